// SPDX-License-Identifier: BSD-2-Clause
/*
 * commit.c - what is pending goes to disk, and what is too old or too much goes.
 *
 * All in one transaction. Memory (span, counters, pending lists) changes only
 * after SQLite has said yes, so that a refused commit can simply be tried again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/shm.h"
#include "store/sql.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* More chunks past a limit than this wait for the next commit: a limit that was made
 * smaller must not stop the event loop for seconds. */
#define EVICT_CHUNKS 256

/* What one transaction did, to be made true in memory once it is committed. */
struct work {
	struct obs_store_span span;
	uint64_t now_ns;
	uint64_t stored;	      /* events */
	uint64_t lost_size, lost_age; /* events */
};

int obs_store_seal(struct obs_store *s)
{
	struct obs_chunk *c;
	int r;

	if (s->open.info.n == 0)
		return 0;

	r = obs_chunk_builder_seal(&s->open, &c);
	if (r < 0)
		return r;

	*s->sealed_end = c;
	s->sealed_end = &c->next;
	s->sealed_bytes += sizeof(*c) + c->body.len + c->index.len;
	return 0;
}

static int put_index(struct obs_store *s, const struct obs_chunk *c)
{
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_put_index];
	struct obs_chunk_index_entry e;
	struct obs_slice index = c->index;
	const char *name;
	int r = 0;

	while (r == 0 && (name = obs_chunk_index_next(&index, &e))) {
		int64_t v[] = { (int64_t)(c->info.first_seq + e.nth), (int64_t)e.ts_ns, e.type };

		sqlite3_bind_text(stmt, 4, name, e.name_len, SQLITE_STATIC);
		r = obs_sql_run(stmt, v, ARRAY_LEN(v));
	}
	return r;
}

static int put_chunk(struct obs_store *s, const struct obs_chunk *c, struct work *w)
{
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_put_chunk];
	const struct obs_chunk_info *i = &c->info;
	uint64_t last_seq = i->first_seq + i->n - 1;
	uint64_t end_bytes = w->span.end_bytes + c->body.len;
	const int64_t v[] = {
		(int64_t)i->first_seq, (int64_t)last_seq, (int64_t)i->n,      (int64_t)i->ts_min_ns,
		(int64_t)i->ts_max_ns, (int64_t)i->types, (int64_t)w->now_ns, (int64_t)end_bytes,
		(int64_t)i->raw_bytes, c->codec,
	};
	int r;

	sqlite3_bind_blob(stmt, ARRAY_LEN(v) + 1, c->body.p, (int)c->body.len, SQLITE_STATIC);
	r = obs_sql_run(stmt, v, ARRAY_LEN(v));
	if (r < 0)
		return r;

	if (w->span.first_seq == 0) {
		w->span.first_seq = i->first_seq;
		w->span.first_last_seq = last_seq;
		w->span.first_stored_ns = w->now_ns;
		w->span.start_bytes = w->span.end_bytes;
	}
	w->span.end_bytes = end_bytes;
	w->span.last_seq = last_seq;
	w->stored += i->n;
	return put_index(s, c);
}

static int put_chunks(struct obs_store *s, struct work *w)
{
	int r = 0;

	for (const struct obs_chunk *c = s->sealed; r == 0 && c; c = c->next)
		r = put_chunk(s, c, w);
	return r;
}

static int put_cursor(struct obs_store *s, const struct obs_pending_cursor *p)
{
	const struct obs_cursor *c = &p->cursor;
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_put_cursor];
	const int64_t v[] = {
		c->file.dev, (int64_t)c->file.ino, c->file.gen,		  c->epoch,
		c->tail_len, (int64_t)c->offset,   (int64_t)c->tail_hash, (int64_t)c->seen_ns,
	};

	if (p->drop)
		return obs_sql_run(s->stmt[OBS_STORE_drop_cursor], v, 3);

	sqlite3_bind_text(stmt, ARRAY_LEN(v) + 1, c->path,
			  (int)strnlen(c->path, sizeof(c->path) - 1), SQLITE_STATIC);
	sqlite3_bind_text(stmt, ARRAY_LEN(v) + 2, c->owner,
			  (int)strnlen(c->owner, sizeof(c->owner) - 1), SQLITE_STATIC);
	return obs_sql_run(stmt, v, ARRAY_LEN(v));
}

static int put_cursors(struct obs_store *s, struct work *w)
{
	int r = 0;

	(void)w;
	for (size_t i = 0; r == 0 && i < s->cursors.n; i++)
		r = put_cursor(s, &s->cursors.v[i]);
	return r;
}

static int put_named(sqlite3_stmt *stmt, const char *name, uint64_t value)
{
	const int64_t v[] = { (int64_t)value };

	sqlite3_bind_text(stmt, 2, name, -1, SQLITE_STATIC);
	return obs_sql_run(stmt, v, ARRAY_LEN(v));
}

static int put_positions(struct obs_store *s, struct work *w)
{
	int r = 0;

	(void)w;
	for (size_t i = 0; r == 0 && i < s->positions.n; i++) {
		const struct obs_position *p = &s->positions.v[i];

		if (p->dirty)
			r = put_named(s->stmt[OBS_STORE_put_position], p->name, p->seq);
	}
	return r;
}

static int put_small_rows(struct obs_store *s, struct work *w)
{
	return obs_small_rows_put(s, w->now_ns);
}

int obs_store_load_oldest(struct obs_store *s, struct obs_store_span *span)
{
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_oldest];
	int r = obs_sql_step(stmt);

	if (r < 0)
		return r;
	if (r == 0) {
		*span = (struct obs_store_span){ .last_seq = span->last_seq };
		return 0;
	}
	span->first_seq = (uint64_t)sqlite3_column_int64(stmt, 0);
	span->first_last_seq = (uint64_t)sqlite3_column_int64(stmt, 1);
	span->first_stored_ns = (uint64_t)sqlite3_column_int64(stmt, 2);
	span->start_bytes = (uint64_t)sqlite3_column_int64(stmt, 3);
	sqlite3_reset(stmt);
	return 0;
}

/* The newest chunk stays, whatever its size. */
static bool over_size(const struct obs_store *s, const struct obs_store_span *span)
{
	return s->max_bytes && span->first_seq && span->first_last_seq < span->last_seq &&
	       span->end_bytes - span->start_bytes > s->max_bytes;
}

static bool over_age(const struct obs_store *s, const struct obs_store_span *span, uint64_t now_ns)
{
	return s->max_age_ns && span->first_seq && now_ns > span->first_stored_ns &&
	       now_ns - span->first_stored_ns > s->max_age_ns;
}

static int evict_oldest(struct obs_store *s, struct work *w)
{
	const int64_t range[] = { (int64_t)w->span.first_seq, (int64_t)w->span.first_last_seq };
	int r = obs_sql_run(s->stmt[OBS_STORE_drop_chunk], range, 1);

	if (r == 0)
		r = obs_sql_run(s->stmt[OBS_STORE_drop_index], range, 2);
	if (r == 0)
		r = obs_store_load_oldest(s, &w->span);
	if (r == 0 && w->span.first_seq == 0)
		r = put_named(s->stmt[OBS_STORE_put_meta], "last_seq", w->span.last_seq);
	return r;
}

static int evict(struct obs_store *s, struct work *w)
{
	for (int i = 0; i < EVICT_CHUNKS; i++) {
		bool size = over_size(s, &w->span);
		uint64_t missing;
		int r;

		if (!size && !over_age(s, &w->span, w->now_ns))
			return 0;

		missing = obs_positions_missing(&s->positions, w->span.first_seq,
						w->span.first_last_seq);
		r = evict_oldest(s, w);
		if (r < 0)
			return r;
		*(size ? &w->lost_size : &w->lost_age) += missing;
	}
	return 0;
}

static int write_all(struct obs_store *s, struct work *w)
{
	static int (*const steps[])(struct obs_store *, struct work *) = {
		put_chunks, put_cursors, put_positions, put_small_rows, evict,
	};
	int r = obs_sql_run(s->stmt[OBS_STORE_begin], NULL, 0);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(steps); i++)
		r = steps[i](s, w);
	if (r == 0)
		r = obs_sql_run(s->stmt[OBS_STORE_commit], NULL, 0);
	if (r < 0 && !sqlite3_get_autocommit(s->db))
		obs_sql_run(s->stmt[OBS_STORE_rollback], NULL, 0);
	return r;
}

static void forget_pending(struct obs_store *s)
{
	struct obs_chunk *c;

	while ((c = s->sealed)) {
		s->sealed = c->next;
		free(c);
	}
	s->sealed_end = &s->sealed;
	s->sealed_bytes = 0;
	obs_pending_cursors_reset(&s->cursors);
	obs_small_rows_free(&s->small);
	for (size_t i = 0; i < s->positions.n; i++)
		s->positions.v[i].dirty = false;
}

static void settle(struct obs_store *s, const struct work *w)
{
	s->span = w->span;
	forget_pending(s);
	obs_count(&s->counters->store_commits, 1);
	obs_count(&s->counters->events_stored, w->stored);
	obs_count(&s->counters->events_evicted_size, w->lost_size);
	obs_count(&s->counters->events_evicted_age, w->lost_age);
}

static bool has_work(const struct obs_store *s, uint64_t now_ns)
{
	return s->sealed || s->cursors.n || s->small.n || obs_positions_dirty(&s->positions) ||
	       over_size(s, &s->span) || over_age(s, &s->span, now_ns);
}

int obs_store_replace(struct obs_store *s)
{
	/* What came since a first try that failed will be read again, too. */
	int r = s->db ? obs_store_set_aside(s) : obs_store_keep_pending(s);

	if (r == 0)
		r = obs_store_start_fresh(s);
	if (r < 0) {
		obs_count(&s->counters->store_errors, 1);
		return r;
	}
	return 1;
}

int obs_store_commit(struct obs_store *s)
{
	struct work w = { .span = s->span, .now_ns = obs_clock_ns(CLOCK_REALTIME) };
	int r;

	if (!s->db)
		return obs_store_replace(s);
	r = obs_store_seal(s);
	if (r == 0 && !has_work(s, w.now_ns))
		return 0;
	if (r == 0)
		r = obs_shm_restore();
	if (r == 0)
		r = write_all(s, &w);
	if (r == -EUCLEAN && s->replace_broken)
		return obs_store_replace(s);
	if (r < 0) {
		obs_count(&s->counters->store_errors, 1);
		return r;
	}
	settle(s, &w);
	return 0;
}
