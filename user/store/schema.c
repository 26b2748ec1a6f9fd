// SPDX-License-Identifier: BSD-2-Clause
/* schema.c - see schema.h. */
#include "store/schema.h"

#include <errno.h>

#include "store/sql.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define APPLICATION_ID 0x67736f62 /* "gsob" */
#define CHECK_PAGES    4096

/*
 * Row i takes a database from version i to i + 1. Append; never edit one that
 * was released.
 *
 * chunks.body comes last, so that the small columns are read without it.
 * chunks.end_bytes: all body bytes ever stored up to and with this chunk; newest
 * minus oldest is what is kept, so that opening need not add up all rows.
 * chunks.stored_ns: age is counted from here, not from the events' own time:
 * a backlog of old lines must not be evicted before it was delivered.
 */
static const char *const migrations[] = {
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE chunks(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL,"
	" n INTEGER NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,"
	" types INTEGER NOT NULL, stored_ns INTEGER NOT NULL, end_bytes INTEGER NOT NULL,"
	" raw_bytes INTEGER NOT NULL, codec INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE idx(seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, type INTEGER NOT NULL,"
	" name TEXT NOT NULL);"
	"CREATE TABLE cursors(dev INTEGER NOT NULL, ino INTEGER NOT NULL, gen INTEGER NOT NULL,"
	" epoch INTEGER NOT NULL, tail_len INTEGER NOT NULL, offset INTEGER NOT NULL,"
	" tail_hash INTEGER NOT NULL, seen_ns INTEGER NOT NULL, path TEXT NOT NULL,"
	" PRIMARY KEY(dev, ino, gen)) WITHOUT ROWID;"
	"CREATE TABLE sinks(name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('store_id', random());",

	/* state: what a stage has to go on with after a restart. windows: counts and values of
	 * the events of a window of time, as JSON. */
	"CREATE TABLE state(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE windows(length_s INTEGER NOT NULL, start_s INTEGER NOT NULL,"
	" node TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(length_s, start_s, node))"
	" WITHOUT ROWID;",

	/* state.put_ns: for those whose owner may be gone without a word. */
	("ALTER TABLE state ADD COLUMN put_ns INTEGER NOT NULL DEFAULT 0;"
	 "UPDATE state SET put_ns = CAST(strftime('%s', 'now') AS INTEGER) * 1000000000;"),

	/* cursors.owner: whose file it is. A container's files have another device each time
	 * that it is started. */
	("ALTER TABLE cursors ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
	 "CREATE INDEX cursors_path ON cursors(path);"),
};

#define VERSION ((int64_t)ARRAY_LEN(migrations))

static int get_version(sqlite3 *db, int64_t *ret)
{
	int64_t id = 0, version = 0, tables = 0;
	int r;

	r = obs_sql_get(db, "PRAGMA application_id", &id);
	if (r == 0)
		r = obs_sql_get(db, "PRAGMA user_version", &version);
	if (r == 0)
		r = obs_sql_get(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;

	if (id != APPLICATION_ID && (id != 0 || version != 0 || tables != 0))
		return -EUCLEAN;
	*ret = version;
	return 0;
}

int obs_schema_check(sqlite3 *db)
{
	int64_t version;
	int r = get_version(db, &version);

	if (r < 0)
		return r;
	if (version > VERSION)
		return -EPROTO;
	return version == 0 ? -ENOENT : 0;
}

static int set_version(sqlite3 *db, int64_t version)
{
	char sql[160];

	sqlite3_snprintf(sizeof(sql), sql,
			 "PRAGMA application_id=%d; PRAGMA user_version=%lld;"
			 "INSERT OR IGNORE INTO meta VALUES('created_ns', %lld);",
			 APPLICATION_ID, (long long)version,
			 (long long)obs_clock_ns(CLOCK_REALTIME));
	return obs_sql_exec(db, sql);
}

static int migrate(sqlite3 *db)
{
	int64_t version;
	int r = get_version(db, &version);

	for (; r == 0 && version < VERSION; version++) {
		r = obs_sql_exec(db, migrations[version]);
		if (r == 0)
			r = set_version(db, version + 1);
	}
	return r;
}

/* quick_check stops at the first fault; anything but one row "ok" is a fault. */
static int check_table(sqlite3 *db, const char *sql)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	const char *text;
	int r = obs_sql_prepare(db, sql, &stmt);

	if (r == 0)
		r = obs_sql_step(stmt);
	if (r <= 0)
		return r;

	text = (const char *)sqlite3_column_text(stmt, 0);
	return text && sqlite3_stricmp(text, "ok") == 0 ? 0 : -EUCLEAN;
}

/* The chunks are all the bytes there are: where they are many, reading them takes too long, and
 * a broken page shows when somebody reads it. */
static int check_tables(sqlite3 *db)
{
	static const char *const checks[] = {
		"PRAGMA quick_check('state')",	 "PRAGMA quick_check('meta')",
		"PRAGMA quick_check('cursors')", "PRAGMA quick_check('sinks')",
		"PRAGMA quick_check('idx')",	 "PRAGMA quick_check('chunks')",
	};
	int64_t pages = 0;
	int r = obs_sql_get(db, "PRAGMA page_count", &pages);
	size_t n = pages > CHECK_PAGES ? ARRAY_LEN(checks) - 2 : ARRAY_LEN(checks);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = check_table(db, checks[i]);
	return r;
}

int obs_schema_upgrade(sqlite3 *db, bool unclean)
{
	int r = obs_schema_check(db);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && unclean) {
		r = check_tables(db);
		if (r < 0)
			return r;
	}

	r = obs_sql_exec(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return r;
	r = migrate(db);
	if (r == 0)
		return obs_sql_exec(db, "COMMIT");
	obs_sql_exec(db, "ROLLBACK");
	return r;
}
