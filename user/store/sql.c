// SPDX-License-Identifier: BSD-2-Clause
/* sql.c - see sql.h. */
#include "store/sql.h"

#include <errno.h>

#include "util/cleanup.h"

static const struct {
	int rc;
	int err;
} errnos[] = {
	{ SQLITE_OK, 0 },
	{ SQLITE_ROW, 0 },
	{ SQLITE_DONE, 0 },
	{ SQLITE_BUSY, -EAGAIN },
	{ SQLITE_LOCKED, -EAGAIN },
	{ SQLITE_NOMEM, -ENOMEM },
	{ SQLITE_READONLY, -EROFS },
	{ SQLITE_FULL, -ENOSPC },
	{ SQLITE_CORRUPT, -EUCLEAN },
	{ SQLITE_NOTADB, -EUCLEAN },
	{ SQLITE_PERM, -EACCES },
	{ SQLITE_TOOBIG, -EMSGSIZE },
	/* Our statements are fixed: these say that the tables are not what they must be. */
	{ SQLITE_ERROR, -EUCLEAN },
	{ SQLITE_SCHEMA, -EUCLEAN },
	{ SQLITE_CONSTRAINT, -EUCLEAN },
	{ SQLITE_MISMATCH, -EUCLEAN },
};

int obs_sql_errno(sqlite3 *db, int rc)
{
	int err = 0;

	/* A file shorter than its own header says has lost pages. */
	if (rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_IOERR_CORRUPTFS)
		return -EUCLEAN;
	for (size_t i = 0; i < ARRAY_LEN(errnos); i++) {
		if (errnos[i].rc == (rc & 0xff))
			return errnos[i].err;
	}

	/* Only these carry an errno of their own; a COMMIT that fails leaves it in errno alone. */
	if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN) {
		err = errno;
		if (sqlite3_system_errno(db) > 0)
			err = sqlite3_system_errno(db);
	}
	return err > 0 ? -err : -EIO;
}

int obs_sql_open(const char *path, int flags, unsigned cache_bytes, sqlite3 **ret)
{
	cleanup_sql sqlite3 *db = NULL;
	char pragma[128];
	int r;

	r = obs_sql_errno(db, sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL));
	if (r < 0)
		return r;

	/* The default lookaside memory is 120 KiB a connection; few statements need little. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 256, 64);
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 1000);
	sqlite3_snprintf(sizeof(pragma), pragma,
			 "PRAGMA cache_size=-%u; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
			 "PRAGMA cell_size_check=ON;",
			 cache_bytes / 1024);
	r = obs_sql_exec(db, pragma);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(db);
	return 0;
}

void obs_sql_closep(sqlite3 **db)
{
	sqlite3_close_v2(*db);
	*db = NULL;
}

int obs_sql_exec(sqlite3 *db, const char *sql)
{
	return obs_sql_errno(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int obs_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	return obs_sql_errno(db,
			     sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

void obs_sql_finalizep(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
	*stmt = NULL;
}

int obs_sql_step(sqlite3_stmt *stmt)
{
	int rc, r;

	errno = 0; /* see obs_sql_errno() */
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		return 1;

	r = obs_sql_errno(sqlite3_db_handle(stmt), rc);
	sqlite3_reset(stmt);
	return r;
}

int obs_sql_bind(sqlite3_stmt *stmt, const int64_t *v, int n)
{
	for (int i = 0; i < n; i++) {
		int rc = sqlite3_bind_int64(stmt, i + 1, v[i]);

		if (rc != SQLITE_OK)
			return obs_sql_errno(sqlite3_db_handle(stmt), rc);
	}
	return 0;
}

int obs_sql_run(sqlite3_stmt *stmt, const int64_t *v, int n)
{
	int r = obs_sql_bind(stmt, v, n);

	if (r == 0)
		r = obs_sql_step(stmt);
	if (r > 0)
		sqlite3_reset(stmt);
	return r < 0 ? r : 0;
}

int obs_sql_get(sqlite3 *db, const char *sql, int64_t *ret)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	int r = obs_sql_prepare(db, sql, &stmt);

	if (r == 0)
		r = obs_sql_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;

	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}
