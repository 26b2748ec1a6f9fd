// SPDX-License-Identifier: BSD-2-Clause
/*
 * reader.c - a read-only view of the store for another thread or process.
 *
 * Every look at the database is one short read transaction: it sees the newest
 * commit and never keeps the writer from reusing its WAL.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "store/chunk.h"
#include "store/schema.h"
#include "store/sql.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define CACHE_BYTES (128 * 1024)
#define KEEP_BYTES  (64 * 1024)

/* The chunk that holds the event after ?1, or the first one behind it. */
#define FIND                                                                             \
	"SELECT first_seq, last_seq, codec, raw_bytes, body FROM chunks WHERE first_seq" \
	" >= coalesce((SELECT max(first_seq) FROM chunks WHERE first_seq <= ?1 + 1), 0)" \
	" AND last_seq > ?1 ORDER BY first_seq LIMIT 1"

struct obs_store_reader {
	sqlite3 *db;
	sqlite3_stmt *find;
	ZSTD_DCtx *zstd;
	uint64_t id;

	uint64_t first_seq, last_seq; /* of the chunk in raw; 0 = none */
	struct obs_buf raw;
	uint64_t seq;	 /* of the line at off */
	size_t off, len; /* without the newline */
};

void obs_store_reader_free(struct obs_store_reader **r)
{
	if (!*r)
		return;
	obs_sql_finalizep(&(*r)->find);
	obs_sql_closep(&(*r)->db);
	ZSTD_freeDCtx((*r)->zstd);
	obs_buf_free(&(*r)->raw);
	free(*r);
	*r = NULL;
}

static int open_database(const char *dir, sqlite3 **ret)
{
	cleanup_sql sqlite3 *db = NULL;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/" OBS_SCHEMA_FILE, dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, R_OK) < 0)
		return -errno;

	r = obs_sql_open(path, SQLITE_OPEN_READONLY, CACHE_BYTES, &db);
	if (r == 0)
		r = obs_sql_exec(db, "PRAGMA query_only=ON");
	if (r == 0)
		r = obs_schema_check(db);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(db);
	return 0;
}

int obs_store_reader_open(const char *dir, struct obs_store_reader **ret)
{
	OBS_CLEANUP(obs_store_reader_free)
	struct obs_store_reader *r = calloc(1, sizeof(*r));
	int64_t id = 0;
	int err;

	if (!r)
		return -ENOMEM;
	r->zstd = ZSTD_createDCtx();
	if (!r->zstd)
		return -ENOMEM;

	err = open_database(dir, &r->db);
	if (err == 0)
		err = obs_sql_prepare(r->db, FIND, &r->find);
	if (err == 0)
		err = obs_sql_get(r->db, "SELECT value FROM meta WHERE key='store_id'", &id);
	if (err < 0)
		return err;

	r->id = (uint64_t)id;
	*ret = TAKE_PTR(r);
	return 0;
}

int obs_store_reader_windows(struct obs_store_reader *r, uint64_t length_s, uint64_t from_s,
			     void (*fn)(void *ctx, struct obs_slice json), void *ctx)
{
	const int64_t v[] = { (int64_t)length_s, (int64_t)from_s };
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	int err = obs_sql_prepare(r->db,
				  "SELECT body FROM windows WHERE length_s=?1 AND start_s>=?2"
				  " ORDER BY start_s, node",
				  &stmt);

	if (err == 0)
		err = obs_sql_bind(stmt, v, ARRAY_LEN(v));
	while (err >= 0 && (err = obs_sql_step(stmt)) > 0)
		fn(ctx, obs_slice((const char *)sqlite3_column_text(stmt, 0),
				  (size_t)sqlite3_column_bytes(stmt, 0)));
	return err;
}

uint64_t obs_store_reader_id(const struct obs_store_reader *r)
{
	return r->id;
}

static void unload(struct obs_store_reader *r)
{
	r->first_seq = r->last_seq = 0;
	if (r->raw.cap > KEEP_BYTES)
		obs_buf_free(&r->raw);
}

static int read_chunk(struct obs_store_reader *r)
{
	int64_t codec = sqlite3_column_int64(r->find, 2);
	int64_t raw_bytes = sqlite3_column_int64(r->find, 3);
	const void *body = sqlite3_column_blob(r->find, 4);
	size_t len = (size_t)sqlite3_column_bytes(r->find, 4);

	r->first_seq = (uint64_t)sqlite3_column_int64(r->find, 0);
	r->last_seq = (uint64_t)sqlite3_column_int64(r->find, 1);
	return obs_chunk_decode(r->zstd, codec, obs_slice(body, len), raw_bytes, &r->raw);
}

/* Go to the first line of the chunk, or to the one after the current. */
static bool step_line(struct obs_store_reader *r, bool first)
{
	size_t off = first ? 0 : r->off + r->len + 1;
	const char *end;

	if (off >= r->raw.len)
		return false;
	end = memchr(r->raw.p + off, '\n', r->raw.len - off);
	if (!end)
		return false;

	r->seq = first ? r->first_seq : r->seq + 1;
	r->off = off;
	r->len = (size_t)(end - r->raw.p) - off;
	return true;
}

/* Load the chunk that holds the event after @after. One that the disk has damaged is jumped
 * over like an evicted one: the hole in the numbers tells. */
static int load(struct obs_store_reader *r, uint64_t after)
{
	for (;;) {
		const int64_t v[] = { (int64_t)after };
		int err = obs_sql_bind(r->find, v, 1);

		if (err == 0)
			err = obs_sql_step(r->find);
		if (err <= 0) {
			unload(r);
			return err;
		}

		err = read_chunk(r);
		sqlite3_reset(r->find);
		if (err == 0 && step_line(r, true))
			return 1;
		after = r->last_seq;
		unload(r);
		if (err < 0 && err != -EBADMSG)
			return err;
	}
}

static bool loaded(const struct obs_store_reader *r, uint64_t seq)
{
	return r->first_seq && seq >= r->first_seq && seq <= r->last_seq;
}

/* Make event @seq of the loaded chunk the current one. */
static bool seek_line(struct obs_store_reader *r, uint64_t seq)
{
	if (seq < r->seq && !step_line(r, true))
		return false;
	while (r->seq < seq) {
		if (!step_line(r, false))
			return false;
	}
	return true;
}

int obs_store_reader_next(struct obs_store_reader *r, uint64_t after, struct obs_store_item *ret)
{
	int err;

	while (!loaded(r, after + 1) || !seek_line(r, after + 1)) {
		if (loaded(r, after + 1)) /* fewer lines than the row said */
			after = r->last_seq;
		err = load(r, after);
		if (err <= 0)
			return err;
		if (r->first_seq > after + 1)
			after = r->first_seq - 1;
	}

	ret->seq = r->seq;
	ret->json = obs_slice(r->raw.p + r->off, r->len);
	return 1;
}
