// SPDX-License-Identifier: BSD-2-Clause
/* store.c - opening, pushing, asking. Writing is in commit.c. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/lock.h"
#include "store/schema.h"
#include "store/shm.h"
#include "store/sql.h"
#include "store/state.h"
#include "store/wal.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* Cursors of files that are long gone have no other end than this. */
#define CURSORS_KEPT "100000"

#define CACHE_BYTES (1024 * 1024)

/* A checkpoint costs two fsyncs on the caller's thread. With small commits most pages of the
 * WAL are the same few again and again, so a larger WAL makes checkpoints both rarer and
 * cheaper per commit. 2,000 pages are 8 MiB of disk and 16 KiB of index in memory. */
#define PRAGMAS                              \
	"PRAGMA journal_size_limit=8388608;" \
	"PRAGMA wal_autocheckpoint=2000;"    \
	"PRAGMA synchronous=NORMAL;"         \
	"PRAGMA secure_delete=OFF;" /* Debian's default zeroes every page it frees */

static const char *const statements[] = {
#define X(name, sql) sql,
	OBS_STORE_STATEMENTS(X)
#undef X
};

/* Make the file before SQLite does, so that it and its -wal and -shm are private. */
static int make_file(const char *path)
{
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : 0;
}

/* The last writer takes the WAL away when it closes; one that is left means it did not. */
static bool closed_uncleanly(const char *path)
{
	char wal[PATH_MAX + 8];
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	return stat(wal, &st) == 0 && st.st_size > 0;
}

static int use_wal(sqlite3 *db)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	int r = obs_sql_prepare(db, "PRAGMA journal_mode=WAL", &stmt);

	if (r == 0)
		r = obs_sql_step(stmt);
	if (r < 0)
		return r;
	if (r == 0 || sqlite3_stricmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
		return -EOPNOTSUPP; /* a file system without shared memory maps */
	return 0;
}

/* SQLite throws the WAL of an empty database away: one with a WAL has lost its pages. */
static bool was_emptied(const char *path, bool unclean)
{
	struct stat st;

	return unclean && stat(path, &st) == 0 && st.st_size == 0;
}

/* What the file lacks must stand in the WAL. */
static int check_length(sqlite3 *db, const char *path)
{
	int64_t pages = 0, page_bytes = 0;
	int r = obs_sql_get(db, "PRAGMA page_count", &pages);

	if (r == 0)
		r = obs_sql_get(db, "PRAGMA page_size", &page_bytes);
	return r < 0 ? r : obs_wal_check_length(path, (uint64_t)pages, (uint64_t)page_bytes);
}

static int open_file(struct obs_store *s)
{
	char path[PATH_MAX];
	bool unclean;
	int r;

	if (snprintf(path, sizeof(path), "%s/" OBS_SCHEMA_FILE, s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	unclean = closed_uncleanly(path);
	if (was_emptied(path, unclean))
		return -EUCLEAN;
	r = make_file(path);
	if (r == 0)
		r = obs_sql_open(path, SQLITE_OPEN_READWRITE, CACHE_BYTES, &s->db);
	if (r == 0 && sqlite3_db_readonly(s->db, "main") == 1)
		r = -EROFS;
	if (r == 0)
		r = use_wal(s->db);
	if (r == 0)
		r = obs_sql_exec(s->db, PRAGMAS);
	if (r == 0)
		r = check_length(s->db, path);
	if (r == 0 && unclean && obs_sql_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE)") == -EUCLEAN)
		r = -EUCLEAN;
	if (r == 0)
		r = obs_schema_upgrade(s->db, unclean);
	return r;
}

static int prepare_statements(struct obs_store *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(statements); i++)
		r = obs_sql_prepare(s->db, statements[i], &s->stmt[i]);
	return r;
}

static int load_positions(struct obs_store *s)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	struct obs_position *row;
	int r;

	r = obs_sql_prepare(s->db, "SELECT name, position FROM sinks", &stmt);
	if (r < 0)
		return r;

	while ((r = obs_sql_step(stmt)) > 0) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);

		if (name && obs_positions_push(&s->positions, name, &row) == 0)
			row->seq = (uint64_t)sqlite3_column_int64(stmt, 1);
	}
	return r;
}

static int get_or(sqlite3 *db, const char *sql, uint64_t otherwise, uint64_t *ret)
{
	int64_t v = (int64_t)otherwise;
	int r = obs_sql_get(db, sql, &v);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret = (uint64_t)v;
	return 0;
}

/* Once every chunk was evicted only meta still knows the last number that was given out. */
static int load_span(struct obs_store *s)
{
	uint64_t newest = 0, evicted = 0;
	int r;

	r = get_or(s->db, "SELECT last_seq FROM chunks ORDER BY first_seq DESC LIMIT 1", 0,
		   &newest);
	if (r == 0)
		r = get_or(s->db, "SELECT value FROM meta WHERE key='last_seq'", 0, &evicted);
	if (r == 0)
		r = get_or(s->db, "SELECT end_bytes FROM chunks ORDER BY first_seq DESC LIMIT 1", 0,
			   &s->span.end_bytes);
	if (r == 0)
		r = get_or(s->db, "SELECT value FROM meta WHERE key='created_ns'", 0,
			   &s->created_ns);
	if (r == 0)
		r = obs_store_load_oldest(s, &s->span);
	if (r < 0)
		return r;

	s->span.last_seq = newest > evicted ? newest : evicted;
	s->next_seq = s->span.last_seq + 1;
	return 0;
}

static int trim_cursors(struct obs_store *s)
{
	return obs_sql_exec(s->db,
			    "DELETE FROM cursors WHERE seen_ns < (SELECT seen_ns FROM cursors"
			    " ORDER BY seen_ns DESC LIMIT 1 OFFSET " CURSORS_KEPT ")");
}

static int load(struct obs_store *s)
{
	int r = prepare_statements(s);

	if (r == 0)
		r = load_positions(s);
	if (r == 0)
		r = load_span(s);
	if (r == 0)
		r = trim_cursors(s);
	if (r == 0) /* from here on the event loop waits for us */
		sqlite3_busy_timeout(s->db, 20);
	return r;
}

void obs_store_close_database(struct obs_store *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->stmt); i++)
		obs_sql_finalizep(&s->stmt[i]);
	obs_shm_forget();
	obs_sql_closep(&s->db);
}

int obs_store_open_database(struct obs_store *s)
{
	int r = open_file(s);

	return r < 0 ? r : load(s);
}

static int open_or_replace(struct obs_store *s)
{
	int r = obs_store_open_database(s);

	if (r != -EUCLEAN || !s->replace_broken)
		return r;
	/* what was read of it so far may be wrong */
	s->created_ns = 0;
	s->span = (struct obs_store_span){};
	s->positions = (struct obs_positions){};
	r = obs_store_set_aside(s);
	return r < 0 ? r : obs_store_start_fresh(s);
}

const char *obs_store_aside(const struct obs_store *s)
{
	return s->aside;
}

static void release(struct obs_store **s)
{
	struct obs_chunk *c;

	if (!*s)
		return;

	while ((c = (*s)->sealed)) {
		(*s)->sealed = c->next;
		free(c);
	}
	obs_store_close_database(*s);
	free((*s)->dir);
	obs_closep(&(*s)->lock_fd);
	obs_chunk_builder_free(&(*s)->open);
	obs_pending_cursors_free(&(*s)->cursors);
	obs_small_rows_free(&(*s)->small);
	free(*s);
	*s = NULL;
}

int obs_store_open(const struct obs_store_options *opt, int *ret_pid, struct obs_store **ret)
{
	OBS_CLEANUP(release) struct obs_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;

	obs_shm_guard();
	s->lock_fd = -1;
	s->max_bytes = opt->max_bytes;
	s->max_age_ns =
		opt->max_age_s > UINT64_MAX / OBS_NS_PER_S ? 0 : opt->max_age_s * OBS_NS_PER_S;
	s->max_pending_bytes = opt->pending_bytes ? opt->pending_bytes : OBS_STORE_PENDING_BYTES;
	s->counters = opt->counters;
	s->sealed_end = &s->sealed;
	s->replace_broken = opt->replace_broken;
	s->dir = strdup(opt->dir);
	if (!s->dir)
		return -ENOMEM;

	r = obs_lock_make_dir(opt->dir);
	if (r == 0)
		r = obs_lock_open(opt->dir, ret_pid, &s->lock_fd);
	if (r == 0)
		r = open_or_replace(s);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(s);
	return 0;
}

void obs_store_free(struct obs_store **s)
{
	if (*s)
		obs_store_commit(*s);
	release(s);
}

static bool pending_is_full(const struct obs_store *s, size_t more)
{
	return s->sealed_bytes + s->open.raw.len + more > s->max_pending_bytes;
}

bool obs_store_is_filling(const struct obs_store *s)
{
	return s->sealed_bytes > s->max_pending_bytes / 2;
}

int obs_store_push(struct obs_store *s, enum obs_event_type type, const char *name,
		   uint64_t wall_ns, struct obs_slice json)
{
	int r;

	if (json.len + 1 > OBS_CHUNK_BYTES)
		return -EMSGSIZE;
	if (json.len == 0 || memchr(json.p, '\n', json.len))
		return -EINVAL;
	if (pending_is_full(s, json.len + 1))
		return -ENOBUFS;

	if (!obs_chunk_builder_fits(&s->open, json.len)) {
		r = obs_store_seal(s);
		if (r < 0)
			return r;
	}

	r = obs_chunk_builder_push(&s->open, s->next_seq, type, name, wall_ns, json);
	if (r == 0)
		s->next_seq++;
	return r;
}

int obs_store_put_cursor(struct obs_store *s, const struct obs_cursor *c)
{
	return obs_pending_cursors_push(&s->cursors, &(struct obs_pending_cursor){ .cursor = *c });
}

int obs_store_drop_cursor(struct obs_store *s, const struct obs_file_id *file)
{
	struct obs_pending_cursor c = { .cursor.file = *file, .drop = true };

	return obs_pending_cursors_push(&s->cursors, &c);
}

/* @sql: one statement; the %lld in it is @n. Adds to @pruned. */
static int prune(struct obs_store *s, const char *sql, uint64_t n, _Atomic uint64_t *pruned)
{
	char text[400];
	int r;

	if (!s->db)
		return -EAGAIN;
	sqlite3_snprintf(sizeof(text), text, sql, (long long)n);
	r = obs_sql_exec(s->db, text);
	if (r == 0)
		obs_count(pruned, (uint64_t)sqlite3_changes(s->db));
	return r;
}

int obs_store_prune_cursors(struct obs_store *s, uint64_t wall_ns)
{
	return prune(s, "DELETE FROM cursors WHERE seen_ns < %lld", wall_ns,
		     &s->counters->cursors_pruned);
}

/* '0' comes after '/'. */
int obs_store_prune_states(struct obs_store *s, uint64_t wall_ns)
{
	static const char *const statements_of[] = {
		"DELETE FROM state WHERE name >= 'console/' AND name < 'console0' AND put_ns < %lld",
		"DELETE FROM state WHERE name >= 'heard/' AND name < 'heard0'"
		" AND substr(name, 1, length('heard/') + 12) NOT IN (SELECT name FROM state"
		" WHERE name >= 'heard/' AND name < 'heard0' AND put_ns >= %lld)",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(statements_of); i++)
		r = prune(s, statements_of[i], wall_ns, &s->counters->states_pruned);
	return r;
}

#define OF_NODES                                                                          \
	"((name >= 'peers/' AND name < 'peers0') OR (name >= 'life/' AND name < 'life0')" \
	" OR (name >= 'conditions/' AND name < 'conditions0'))"

int obs_store_prune_nodes(struct obs_store *s)
{
	uint64_t now_ns = obs_clock_ns(CLOCK_REALTIME), max = OBS_NODE_STATES_MAX;
	bool has_age = s->max_age_ns && s->max_age_ns < now_ns;
	int r = prune(s, "DELETE FROM state WHERE " OF_NODES " AND put_ns < %lld",
		      has_age ? now_ns - s->max_age_ns : 0, &s->counters->node_states_pruned);

	if (r < 0)
		return r;
	return prune(s,
		     "DELETE FROM state WHERE name IN (SELECT name FROM state WHERE " OF_NODES
		     " ORDER BY put_ns DESC LIMIT -1 OFFSET %lld)",
		     max, &s->counters->node_states_pruned);
}

static void read_cursor(sqlite3_stmt *stmt, const struct obs_file_id *file, struct obs_cursor *ret)
{
	const char *path = (const char *)sqlite3_column_text(stmt, 5);
	const char *owner = (const char *)sqlite3_column_text(stmt, 6);

	*ret = (struct obs_cursor){
		.file = *file,
		.epoch = (uint32_t)sqlite3_column_int64(stmt, 0),
		.tail_len = (uint32_t)sqlite3_column_int64(stmt, 1),
		.offset = (uint64_t)sqlite3_column_int64(stmt, 2),
		.tail_hash = (uint64_t)sqlite3_column_int64(stmt, 3),
		.seen_ns = (uint64_t)sqlite3_column_int64(stmt, 4),
	};
	snprintf(ret->path, sizeof(ret->path), "%s", path ? path : "");
	snprintf(ret->owner, sizeof(ret->owner), "%s", owner ? owner : "");
}

int obs_store_get_cursor(struct obs_store *s, const struct obs_file_id *file,
			 struct obs_cursor *ret)
{
	const int64_t key[] = { file->dev, (int64_t)file->ino, file->gen };
	const struct obs_pending_cursor *waiting = obs_pending_cursors_find(&s->cursors, file);
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_get_cursor];
	int r;

	if (waiting && waiting->drop)
		return -ENOENT;
	if (waiting) {
		*ret = waiting->cursor;
		return 0;
	}
	if (!s->db)
		return -ENOENT;

	r = obs_sql_bind(stmt, key, ARRAY_LEN(key));
	if (r == 0)
		r = obs_sql_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	read_cursor(stmt, file, ret);
	sqlite3_reset(stmt);
	return 0;
}

int obs_store_each_cursor(struct obs_store *s, const char *path,
			  void (*fn)(void *ctx, const struct obs_cursor *c), void *ctx)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	struct obs_cursor c;
	int r;

	for (size_t i = 0; i < s->cursors.n; i++) {
		const struct obs_pending_cursor *p = &s->cursors.v[i];

		if (!p->drop && strncmp(p->cursor.path, path, sizeof(c.path) - 1) == 0)
			fn(ctx, &p->cursor);
	}
	if (!s->db)
		return -EAGAIN;
	r = obs_sql_prepare(
		s->db,
		"SELECT epoch, tail_len, offset, tail_hash, seen_ns, path, owner,"
		" dev, ino, gen FROM cursors WHERE path=?1 ORDER BY seen_ns DESC LIMIT 64",
		&stmt);
	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, path, (int)strnlen(path, sizeof(c.path) - 1), SQLITE_STATIC);
	while ((r = obs_sql_step(stmt)) > 0) {
		struct obs_file_id id = { (uint64_t)sqlite3_column_int64(stmt, 8),
					  (uint32_t)sqlite3_column_int64(stmt, 7),
					  (uint32_t)sqlite3_column_int64(stmt, 9) };

		read_cursor(stmt, &id, &c);
		if (!obs_pending_cursors_find(&s->cursors, &id))
			fn(ctx, &c);
	}
	return r;
}

size_t obs_store_pending(const struct obs_store *s)
{
	return s->next_seq - 1 - s->span.last_seq;
}

int obs_store_set_position(struct obs_store *s, const char *sink, uint64_t seq)
{
	struct obs_position *row;
	int r = obs_positions_push(&s->positions, sink, &row);

	if (r < 0)
		return r;
	if (row->seq != seq)
		row->dirty = true;
	row->seq = seq;
	row->registered = true;
	return 0;
}

uint64_t obs_store_get_position(struct obs_store *s, const char *sink)
{
	const struct obs_position *row = obs_positions_find(&s->positions, sink);

	return row ? row->seq : 0;
}

void obs_store_get_stats(const struct obs_store *s, struct obs_store_stats *ret)
{
	*ret = (struct obs_store_stats){
		.first_seq = s->span.first_seq,
		.last_seq = s->span.last_seq,
		.bytes = s->span.end_bytes - s->span.start_bytes,
		.created_ns = s->created_ns,
	};
}
