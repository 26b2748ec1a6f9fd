// SPDX-License-Identifier: BSD-2-Clause
/*
 * aside.c - a broken database gets a dated name, and a fresh one takes its place.
 *
 * What the nodes' files still hold is read again by the owner (the cursors are
 * gone with the database); what they do not hold, such as console output, is
 * carried over: from memory, and from the broken database as far as it can be read.
 * Numbering goes on where it was, so that sinks keep their positions.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zstd.h>

#include "store/schema.h"
#include "store/sql.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define CACHE_BYTES (128 * 1024)
#define NAMES_MAX   100

/* --- events that no file holds --- */

static bool is_of_file(struct obs_slice line)
{
	static const char file[] = "\"via\":\"file\"", backfill[] = "\"via\":\"backfill\"";

	/* inside a JSON string the quotes would be escaped */
	return memmem(line.p, line.len, file, sizeof(file) - 1) ||
	       memmem(line.p, line.len, backfill, sizeof(backfill) - 1);
}

/* Push what of @lines no file holds. @index tells the names; those without are log lines. */
static int keep_lines(struct obs_store *s, struct obs_slice lines, struct obs_slice index,
		      uint64_t otherwise_ns)
{
	struct obs_chunk_index_entry head = {};
	const char *name = obs_chunk_index_next(&index, &head);
	int r = 0;

	for (uint64_t nth = 0; r == 0 && lines.len > 0; nth++) {
		const char *end = memchr(lines.p, '\n', lines.len);
		size_t len = end ? (size_t)(end - lines.p) : lines.len;
		enum obs_event_type type = OBS_EVENT_LOG;
		char text[OBS_CHUNK_NAME + 1] = "";
		uint64_t ts_ns = otherwise_ns;

		while (name && head.nth < nth)
			name = obs_chunk_index_next(&index, &head);
		if (name && head.nth == nth) {
			type = head.type;
			ts_ns = head.ts_ns;
			memcpy(text, name, head.name_len);
		}
		if (!is_of_file(obs_slice(lines.p, len)))
			r = obs_store_push(s, type, text, ts_ns, obs_slice(lines.p, len));
		len += end != NULL;
		lines = obs_slice(lines.p + len, lines.len - len);
	}
	return r;
}

static void free_zstd(ZSTD_DCtx **zstd)
{
	ZSTD_freeDCtx(*zstd);
	*zstd = NULL;
}

/* The list that waited for a commit is taken apart; what no file holds is pushed anew. */
int obs_store_keep_pending(struct obs_store *s)
{
	OBS_CLEANUP(free_zstd) ZSTD_DCtx *zstd = ZSTD_createDCtx();
	cleanup_buf struct obs_buf lines = {};
	struct obs_chunk *c, *list;
	int r = zstd ? obs_store_seal(s) : -ENOMEM;

	if (r < 0)
		return r;
	list = s->sealed;
	s->sealed = NULL;
	s->sealed_end = &s->sealed;
	s->sealed_bytes = 0;
	s->next_seq = s->span.last_seq + 1;
	while ((c = list)) {
		if (obs_chunk_decode(zstd, c->codec, c->body, (int64_t)c->info.raw_bytes, &lines) ==
		    0)
			keep_lines(s, obs_buf_slice(&lines), c->index, c->info.ts_max_ns);
		list = c->next;
		free(c);
	}
	obs_pending_cursors_reset(&s->cursors);
	return 0;
}

/* --- what the broken database still tells --- */

/* The lock was made with the first store of this directory. */
static uint64_t lock_born_ns(const struct obs_store *s)
{
	struct statx stx;

	if (statx(s->lock_fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 ||
	    !(stx.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)stx.stx_btime.tv_sec * OBS_NS_PER_S + stx.stx_btime.tv_nsec;
}

static uint64_t number_or(sqlite3 *db, const char *sql, uint64_t otherwise)
{
	int64_t v;

	return obs_sql_get(db, sql, &v) == 0 && v > 0 ? (uint64_t)v : otherwise;
}

/* Positions of the run before: at start ours are not loaded yet. */
static void read_positions(struct obs_store *s, sqlite3 *db)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	struct obs_position *row;

	if (obs_sql_prepare(db, "SELECT name, position FROM sinks", &stmt) < 0)
		return;
	while (obs_sql_step(stmt) > 0) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		if (name && !obs_positions_find(&s->positions, name) &&
		    obs_positions_push(&s->positions, name, &row) == 0)
			row->seq = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
}

static uint64_t delivered_to_all(const struct obs_store *s)
{
	uint64_t least = s->positions.n ? UINT64_MAX : 0;

	for (size_t i = 0; i < s->positions.n; i++) {
		if (s->positions.v[i].seq < least)
			least = s->positions.v[i].seq;
	}
	return least;
}

/* One chunk at a time, so that a page that cannot be read costs what stands on it. */
static void read_undelivered(struct obs_store *s, sqlite3 *db)
{
	OBS_CLEANUP(free_zstd) ZSTD_DCtx *zstd = ZSTD_createDCtx();
	cleanup_buf struct obs_buf lines = {};
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	int64_t after = (int64_t)delivered_to_all(s);

	if (!zstd || obs_sql_prepare(db,
				     "SELECT last_seq, codec, raw_bytes, ts_max, body FROM chunks"
				     " WHERE first_seq > ?1 OR last_seq > ?1"
				     " ORDER BY first_seq",
				     &stmt) < 0)
		return;
	if (obs_sql_bind(stmt, &after, 1) < 0)
		return;
	while (obs_sql_step(stmt) > 0) {
		struct obs_slice body = obs_slice(sqlite3_column_blob(stmt, 4),
						  (size_t)sqlite3_column_bytes(stmt, 4));

		if (body.p && obs_chunk_decode(zstd, sqlite3_column_int64(stmt, 1), body,
					       sqlite3_column_int64(stmt, 2), &lines) == 0)
			keep_lines(s, obs_buf_slice(&lines), (struct obs_slice){},
				   (uint64_t)sqlite3_column_int64(stmt, 3));
	}
}

static void read_broken(struct obs_store *s, const char *path)
{
	cleanup_sql sqlite3 *db = NULL;
	uint64_t last_seq;

	s->created_ns = s->created_ns ? s->created_ns : lock_born_ns(s);
	if (obs_sql_open(path, SQLITE_OPEN_READWRITE, CACHE_BYTES, &db) < 0)
		return;
	s->created_ns =
		number_or(db, "SELECT value FROM meta WHERE key='created_ns'", s->created_ns);
	last_seq = number_or(db, "SELECT max(last_seq) FROM chunks", 0);
	read_positions(s, db);
	if (last_seq > s->span.last_seq) {
		s->span.last_seq = last_seq;
		s->next_seq = last_seq + 1;
	}
	for (size_t i = 0; i < s->positions.n; i++) {
		s->positions.v[i].dirty = true;
		if (s->positions.v[i].seq > s->span.last_seq) /* its chunks are unreadable */
			s->span.last_seq = s->positions.v[i].seq;
	}
	s->next_seq = s->span.last_seq + 1;
	read_undelivered(s, db);
}

/* --- the files --- */

static int pick_name(const char *dir, char *out, size_t size)
{
	time_t now = (time_t)(obs_wall_ns() / OBS_NS_PER_S);
	char date[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	for (int i = 0; i < NAMES_MAX; i++) {
		int n = snprintf(out, size, "%s/" OBS_SCHEMA_FILE ".broken-%s", dir, date);

		if (i > 0 && n < (int)size)
			n += snprintf(out + n, size - (size_t)n, ".%d", i);
		if (n >= (int)size)
			return -ENAMETOOLONG;
		if (access(out, F_OK) < 0)
			return errno == ENOENT ? 0 : -errno;
	}
	return -EEXIST;
}

static int rename_all(const char *dir, const char *aside)
{
	static const char *const suffixes[] = { "-wal", "-shm", "" };

	/* The database last: an end in between leaves one that is seen as broken again. */
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char from[PATH_MAX], to[PATH_MAX];

		if (snprintf(from, sizeof(from), "%s/" OBS_SCHEMA_FILE "%s", dir, suffixes[i]) >=
			    (int)sizeof(from) ||
		    snprintf(to, sizeof(to), "%s%s", aside, suffixes[i]) >= (int)sizeof(to))
			return -ENAMETOOLONG;
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int note_history(struct obs_store *s)
{
	char sql[200];

	sqlite3_snprintf(sizeof(sql), sql,
			 "INSERT OR REPLACE INTO meta(key, value) VALUES('last_seq', %lld);"
			 "UPDATE meta SET value=%lld WHERE key='created_ns' AND %lld > 0;",
			 (long long)s->span.last_seq, (long long)s->created_ns,
			 (long long)s->created_ns);
	return obs_sql_exec(s->db, sql);
}

int obs_store_set_aside(struct obs_store *s)
{
	char path[PATH_MAX];
	int r;

	obs_store_close_database(s);
	r = pick_name(s->dir, path, sizeof(path));
	if (r == 0)
		r = rename_all(s->dir, path);
	if (r < 0)
		return r;
	snprintf(s->aside, sizeof(s->aside), "%s", strrchr(path, '/') + 1);
	s->span = (struct obs_store_span){ .last_seq = s->span.last_seq };
	obs_store_keep_pending(s);
	read_broken(s, path);
	return 0;
}

int obs_store_start_fresh(struct obs_store *s)
{
	uint64_t created_ns = s->created_ns, next_seq = s->next_seq;
	struct obs_store_span span = s->span;
	int r = obs_store_open_database(s);

	s->created_ns = created_ns ? created_ns : s->created_ns;
	s->span = span;
	s->next_seq = next_seq;
	if (r == 0)
		r = note_history(s);
	if (r < 0)
		obs_store_close_database(s);
	return r;
}
