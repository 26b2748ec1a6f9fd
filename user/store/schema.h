/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - what stands in events.db, and how older files become newer ones.
 */
#pragma once

#include <stdbool.h>

#include <sqlite3.h>

#define OBS_SCHEMA_FILE "events.db"

/**
 * obs_schema_check() - is this a database of ours, of a version we can read?
 *
 * Return: 0, -ENOENT when it is still empty, -EUCLEAN when it is broken or not ours, -EPROTO
 * when a newer version wrote it, or a negative errno.
 */
int obs_schema_check(sqlite3 *db);

/**
 * obs_schema_upgrade() - make the tables, or bring older ones up to date.
 * @unclean: the last writer did not close; look at the tables page by page
 *
 * Chunks of more than 16 MiB are not read: a crash alone does not break a WAL database,
 * and each chunk carries its own checksum, looked at when it is read.
 *
 * Return: as obs_schema_check(), without -ENOENT.
 */
int obs_schema_upgrade(sqlite3 *db, bool unclean);
