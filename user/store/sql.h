/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sql.h - SQLite with negative errnos instead of result codes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

/**
 * obs_sql_errno() - what SQLite result @rc of @db means.
 *
 * Return: 0 for success; -EAGAIN when somebody else holds the database, -EUCLEAN when it is
 * broken, -ENOSPC, -EROFS, -ENOMEM, the failed system call's errno, or -EIO.
 */
int obs_sql_errno(sqlite3 *db, int rc);

/**
 * obs_sql_open() - open @path for use by one thread, with little memory.
 * @flags:       SQLITE_OPEN_*
 * @cache_bytes: of the page cache
 * @ret:         on success, closed by the caller with obs_sql_closep()
 */
int obs_sql_open(const char *path, int flags, unsigned cache_bytes, sqlite3 **ret);

void obs_sql_closep(sqlite3 **db);

/** obs_sql_exec() - run statements that give no rows. Return: 0 or a negative errno. */
int obs_sql_exec(sqlite3 *db, const char *sql);

/** obs_sql_prepare() - prepare one statement that is kept. Return: 0 or a negative errno. */
int obs_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);

void obs_sql_finalizep(sqlite3_stmt **stmt);

/**
 * obs_sql_step() - one step of @stmt.
 *
 * Return: 1 when there is a row (the caller resets the statement after reading it), 0 when
 * there is none (left) or a negative errno; both reset it.
 */
int obs_sql_step(sqlite3_stmt *stmt);

/** obs_sql_bind() - bind the @n numbers @v to the parameters from 1 on. */
int obs_sql_bind(sqlite3_stmt *stmt, const int64_t *v, int n);

/** obs_sql_run() - bind the @n numbers @v and run to the end. Return: 0 or a negative errno. */
int obs_sql_run(sqlite3_stmt *stmt, const int64_t *v, int n);

/** obs_sql_get() - the number that @sql gives. Return: 0, -ENOENT for no row, or an errno. */
int obs_sql_get(sqlite3 *db, const char *sql, int64_t *ret);

#define cleanup_sql  __attribute__((cleanup(obs_sql_closep)))
#define cleanup_stmt __attribute__((cleanup(obs_sql_finalizep)))
