// SPDX-License-Identifier: BSD-2-Clause
/* The store keeps what it was given through crashes, full disks and its own limits. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/chunk.h"
#include "store/lock.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define cleanup_store  OBS_CLEANUP(obs_store_free)
#define cleanup_reader OBS_CLEANUP(obs_store_reader_free)

struct fixture {
	char dir[64];
	struct obs_counters counters;
	struct obs_store_options opt;
};

static const struct obs_file_id log_file = { .ino = 4711, .dev = 0x800001, .gen = 3 };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/obs-store-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	f->opt = (struct obs_store_options){ .dir = f->dir, .counters = &f->counters };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "events.db", "events.db-wal", "events.db-shm",
					     "lock" };
	struct fixture *f = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

/* Event @i: its text follows from its number; @pad bytes that zstd cannot shrink. */
static size_t text_of(uint64_t i, size_t pad, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "{\"i\":%llu,\"pad\":\"", (unsigned long long)i);
	uint64_t x = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

	while (pad--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[len++] = (char)('A' + (x >> 24) % 58);
	}
	memcpy(out + len, "\"}", 2);
	return len + 2;
}

static int push(struct obs_store *s, uint64_t i, size_t pad)
{
	static char text[OBS_CHUNK_BYTES];
	size_t len = text_of(i, pad, text, sizeof(text));

	return obs_store_push(s, i % 3 ? OBS_EVENT_LOG : OBS_EVENT_ERROR, "SOME_ERROR", 1000 + i,
			      obs_slice(text, len));
}

static void push_range(struct obs_store *s, uint64_t first, uint64_t last, size_t pad)
{
	for (uint64_t i = first; i <= last; i++)
		assert_int_equal(push(s, i, pad), 0);
}

/* All events @first…@last stand in the store, unchanged and with no other between. */
static void expect_range(const char *dir, uint64_t first, uint64_t last, size_t pad)
{
	static char want[OBS_CHUNK_BYTES];
	cleanup_reader struct obs_store_reader *r = NULL;
	struct obs_store_item item;
	uint64_t after = 0;

	assert_int_equal(obs_store_reader_open(dir, &r), 0);
	for (uint64_t i = first; i <= last; i++) {
		size_t len = text_of(i, pad, want, sizeof(want));

		assert_int_equal(obs_store_reader_next(r, after, &item), 1);
		assert_int_equal(item.seq, i);
		assert_int_equal(item.json.len, len);
		assert_memory_equal(item.json.p, want, len);
		after = item.seq;
	}
	assert_int_equal(obs_store_reader_next(r, after, &item), 0);
}

static struct obs_cursor cursor_at(uint64_t offset)
{
	return (struct obs_cursor){
		.file = log_file,
		.epoch = 2,
		.tail_len = 256,
		.offset = offset,
		.tail_hash = UINT64_MAX - 5,
		.seen_ns = 99,
		.path = "/home/gensyn/rl_swarm/logs/swarm_launcher.log",
	};
}

static int64_t query(const char *dir, const char *sql)
{
	char path[128];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t v;

	snprintf(path, sizeof(path), "%s/events.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	v = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return v;
}

static void events_and_cursors_come_back(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_store_stats stats;
	struct obs_cursor c = cursor_at(12345), got;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	obs_store_get_stats(s, &stats);
	assert_int_equal(stats.first_seq, 0);
	assert_int_equal(stats.last_seq, 0);

	push_range(s, 1, 2500, 40);
	assert_int_equal(obs_store_pending(s), 2500);
	assert_int_equal(obs_store_put_cursor(s, &c), 0);
	assert_int_equal(obs_store_set_position(s, "http", 7), 0);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_pending(s), 0);
	push_range(s, 2501, 2510, 40);
	obs_store_free(&s); /* commits */

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	obs_store_get_stats(s, &stats);
	assert_int_equal(stats.first_seq, 1);
	assert_int_equal(stats.last_seq, 2510);
	assert_true(stats.created_ns > 0);
	assert_int_equal(stats.bytes, query(f->dir, "SELECT sum(length(body)) FROM chunks"));
	assert_int_equal(obs_store_get_position(s, "http"), 7);
	assert_int_equal(obs_store_get_position(s, "other"), 0);
	assert_int_equal(obs_store_get_cursor(s, &log_file, &got), 0);
	assert_memory_equal(&got, &c, sizeof(c));
	expect_range(f->dir, 1, 2510, 40);

	assert_int_equal(query(f->dir, "SELECT count(*) FROM chunks"), 4);
	assert_int_equal(query(f->dir, "SELECT max(n) FROM chunks"), OBS_CHUNK_EVENTS);
	assert_int_equal(query(f->dir, "SELECT types FROM chunks LIMIT 1"),
			 1 << OBS_EVENT_LOG | 1 << OBS_EVENT_ERROR);
	assert_int_equal(query(f->dir, "SELECT count(*) FROM idx"), 2510 / 3);
	assert_int_equal(query(f->dir, "SELECT ts FROM idx WHERE seq=2400"), 3400);
	assert_int_equal(query(f->dir, "SELECT count(*) FROM idx WHERE name='SOME_ERROR'"), 836);
	assert_int_equal(obs_counter_get(&f->counters.events_stored), 2510);
	assert_int_equal(obs_counter_get(&f->counters.store_commits), 2);
}

static void a_pending_cursor_is_the_newest(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_cursor c = cursor_at(1), got;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_get_cursor(s, &log_file, &got), -ENOENT);
	for (uint64_t i = 0; i < 300; i++) { /* more than the first size of the table */
		c = cursor_at(i);
		c.file.ino = i;
		assert_int_equal(obs_store_put_cursor(s, &c), 0);
		c.offset = i * 2;
		assert_int_equal(obs_store_put_cursor(s, &c), 0);
	}
	for (int committed = 0; committed < 2; committed++) {
		for (uint64_t i = 0; i < 300; i++) {
			c.file.ino = i;
			assert_int_equal(obs_store_get_cursor(s, &c.file, &got), 0);
			assert_int_equal(got.offset, i * 2);
		}
		assert_int_equal(obs_store_commit(s), 0);
	}

	assert_int_equal(obs_store_drop_cursor(s, &c.file), 0);
	assert_int_equal(obs_store_get_cursor(s, &c.file, &got), -ENOENT);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_get_cursor(s, &c.file, &got), -ENOENT);
	assert_int_equal(query(f->dir, "SELECT count(*) FROM cursors"), 299);
}

struct named {
	const char *owner; /* what all of them have */
	uint64_t offsets[4];
	size_t n;
};

static void note_named(void *ctx, const struct obs_cursor *c)
{
	struct named *n = ctx;

	assert_string_equal(c->owner, n->owner);
	assert_true(n->n < ARRAY_LEN(n->offsets));
	n->offsets[n->n++] = c->offset;
}

static void cursors_are_found_by_path_with_their_owner(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_cursor c = { .file = { 7, 41, 0 }, .offset = 10, .owner = "0123456789ab" };

	snprintf(c.path, sizeof(c.path), "/logs/a.log");
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	for (int committed = 0; committed < 2; committed++) {
		struct named n = { .owner = "0123456789ab" };

		assert_int_equal(obs_store_put_cursor(s, &c), 0);
		if (committed)
			assert_int_equal(obs_store_commit(s), 0);
		assert_int_equal(obs_store_each_cursor(s, "/logs/a.log", note_named, &n), 0);
		assert_int_equal(obs_store_each_cursor(s, "/logs/b.log", note_named, &n), 0);
		assert_int_equal(n.n, 1);
		assert_int_equal(n.offsets[0], 10);
	}
	/* what waits stands for what is committed */
	c.offset = 20;
	assert_int_equal(obs_store_put_cursor(s, &c), 0);
	{
		struct named n = { .owner = "0123456789ab" };

		assert_int_equal(obs_store_each_cursor(s, "/logs/a.log", note_named, &n), 0);
		assert_int_equal(n.n, 1);
		assert_int_equal(n.offsets[0], 20);
	}
}

static int pid_that_ended(void)
{
	int pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* Killed while it had a child, which has the lock's descriptor for a moment longer. */
static void the_lock_of_a_dead_holder_is_waited_for(void **state)
{
	struct fixture *f = *state;
	int held, fd = -1, pid = 0, child;

	assert_int_equal(obs_lock_open(f->dir, NULL, &held), 0);
	assert_int_equal(obs_lock_open(f->dir, &pid, &fd), -EBUSY);
	assert_int_equal(pid, getpid());
	assert_int_equal(ftruncate(held, 0), 0);
	assert_true(dprintf(held, "%d\n", pid_that_ended()) > 0);
	child = fork();
	if (child == 0) {
		usleep(100 * 1000);
		_exit(0);
	}
	close(held);
	assert_int_equal(obs_lock_open(f->dir, NULL, &fd), 0);
	close(fd);
	waitpid(child, NULL, 0);
}

static void cursors_of_files_long_gone_are_forgotten(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_cursor got;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	for (uint64_t i = 1; i <= 10; i++) {
		struct obs_cursor c = { .file.ino = i, .offset = i, .seen_ns = i * 100 };

		assert_int_equal(obs_store_put_cursor(s, &c), 0);
	}
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_prune_cursors(s, 700), 0);
	assert_int_equal(obs_counter_get(&f->counters.cursors_pruned), 6);
	for (uint64_t i = 1; i <= 10; i++) {
		struct obs_file_id file = { .ino = i };

		assert_int_equal(obs_store_get_cursor(s, &file, &got), i < 7 ? -ENOENT : 0);
	}
}

static void states_of_consoles_long_gone_are_forgotten(void **state)
{
	static const struct {
		const char *name;
		int put_ns;
		bool kept;
	} rows[] = {
		{ "console/1/2/3", 600, false },
		{ "console/1/2/4", 700, true },
		{ "console/1/2/18446744073709551615", 699, false },
		{ "heard/0123456789ab", 600, false }, /* it, and all that is below it */
		{ "heard/0123456789ab/0", 600, false },
		{ "heard/0123456789ab/1", 100, false },
		{ "heard/0123456789ac", 700, true }, /* lives: its blocks may be old */
		{ "heard/0123456789ac/0", 100, true },
		{ "heard/0123456789ad/0", 100, false }, /* whose index never came */
		{ "heart/0123456789ab", 100, true },	/* others' are theirs */
		{ "windows", 100, true },
	};
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	char sql[160];
	uint64_t gone = 0;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(obs_store_put_state(s, rows[i].name, OBS_SLICE("body")), 0);
	assert_int_equal(obs_store_commit(s), 0);
	/* what was put now is new, but a block without an index is nobody's */
	assert_int_equal(obs_store_prune_states(s, obs_wall_ns() - 60 * OBS_NS_PER_S), 0);
	assert_int_equal(obs_counter_get(&f->counters.states_pruned), 1);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(sql, sizeof(sql), "UPDATE state SET put_ns=%d WHERE name='%s'",
			 rows[i].put_ns, rows[i].name);
		query(f->dir, sql);
	}
	assert_int_equal(obs_store_prune_states(s, 700), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct obs_buf body = {};

		gone += !rows[i].kept;
		assert_int_equal(obs_store_get_state(s, rows[i].name, &body),
				 rows[i].kept ? 0 : -ENOENT);
	}
	assert_int_equal(obs_counter_get(&f->counters.states_pruned), gone);
}

/* What an older version kept is as old as the upgrade. */
static void states_survive_an_upgrade(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_buf struct obs_buf body = {};

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_put_state(s, "console/1/2/3", OBS_SLICE("body")), 0);
	obs_store_free(&s);
	query(f->dir, "ALTER TABLE state DROP COLUMN put_ns");
	query(f->dir, "DROP INDEX cursors_path");
	query(f->dir, "ALTER TABLE cursors DROP COLUMN owner");
	query(f->dir, "PRAGMA user_version=2");

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_prune_states(s, obs_wall_ns() - 60 * OBS_NS_PER_S), 0);
	assert_int_equal(obs_store_get_state(s, "console/1/2/3", &body), 0);
	assert_string_equal(obs_buf_cstr(&body), "body");
	assert_int_equal(obs_store_prune_states(s, obs_wall_ns() + 60 * OBS_NS_PER_S), 0);
	assert_int_equal(obs_store_get_state(s, "console/1/2/3", &body), -ENOENT);
}

/* Puts a state for each of nodes @first to @last, and returns how many of nodes 1 to @last are there
 * after a pruning. */
static size_t states_of_nodes(struct obs_store *s, const char *kind, unsigned first, unsigned last)
{
	size_t there = 0;
	char name[32];

	for (unsigned i = first; i <= last; i++) {
		snprintf(name, sizeof(name), "%s/%u", kind, i);
		assert_int_equal(obs_store_put_state(s, name, obs_slice("x", 1)), 0);
	}
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_prune_nodes(s), 0);
	for (unsigned i = 1; i <= last; i++) {
		cleanup_buf struct obs_buf got = { 0 };

		snprintf(name, sizeof(name), "%s/%u", kind, i);
		there += obs_store_get_state(s, name, &got) == 0;
	}
	return there;
}

static void states_of_nodes_long_gone_are_forgotten(void **state)
{
	static const char *const kinds[] = { "peers", "life", "conditions" };
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;

	f->opt.max_age_s = 3600;
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(states_of_nodes(s, "chain", 1, 3), 3);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_int_equal(states_of_nodes(s, kinds[i], 1, 3), 3);
	query(f->dir, "UPDATE state SET put_ns = put_ns - 3601000000000");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_int_equal(states_of_nodes(s, kinds[i], 3, 4), 2);
	assert_int_equal(states_of_nodes(s, "chain", 4, 4), 4);
	/* those of kinds that come later were pruned before they were put again */
	assert_int_equal(obs_counter_get(&f->counters.node_states_pruned), 2 + 3 + 3);
}

static void states_of_nodes_are_bounded(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(states_of_nodes(s, "peers", 1, OBS_NODE_STATES_MAX), OBS_NODE_STATES_MAX);
	assert_int_equal(obs_counter_get(&f->counters.node_states_pruned), 0);
	assert_int_equal(states_of_nodes(s, "life", 1, 5), 5);
	assert_int_equal(states_of_nodes(s, "chain", 1, 1), 1);
	assert_int_equal(obs_counter_get(&f->counters.node_states_pruned), 5);
}

static void lines_have_bounds(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_free char *big = malloc(OBS_CHUNK_BYTES + 1);
	const struct {
		const char *name;
		size_t len;
		int newline_at;
		int want;
	} cases[] = {
		{ "empty", 0, -1, -EINVAL },
		{ "newline inside", 10, 9, -EINVAL },
		{ "largest", OBS_CHUNK_BYTES - 1, -1, 0 },
		{ "one byte more", OBS_CHUNK_BYTES, -1, -EMSGSIZE },
		{ "small after the largest", 10, -1, 0 },
	};

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int got;

		memset(big, 'x', OBS_CHUNK_BYTES);
		if (cases[i].newline_at >= 0)
			big[cases[i].newline_at] = '\n';
		got = obs_store_push(s, OBS_EVENT_LOG, NULL, 1, obs_slice(big, cases[i].len));
		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, got, cases[i].want);
	}
	assert_int_equal(obs_store_pending(s), 2);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(query(f->dir, "SELECT count(*) FROM chunks"), 2);
}

static void a_second_observer_is_told_who_holds_it(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL, *other = NULL;
	int pid = -1;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_open(&f->opt, &pid, &other), -EBUSY);
	assert_int_equal(pid, getpid());
	assert_null(other);

	obs_store_free(&s);
	assert_int_equal(obs_store_open(&f->opt, &pid, &s), 0);
}

static void missing_directories_are_made_private(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_reader struct obs_store_reader *r = NULL;
	char mid[96], dir[128], path[160];
	struct stat st;

	snprintf(mid, sizeof(mid), "%s/a", f->dir);
	snprintf(dir, sizeof(dir), "%s/b", mid);
	f->opt.dir = dir;
	assert_int_equal(obs_store_reader_open(dir, &r), -ENOENT);
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/events.db-wal", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	obs_store_free(&s);

	snprintf(path, sizeof(path), "%s/events.db", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock", dir);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else was left */
	rmdir(mid);
}

static void eviction_is_counted_against_the_slowest_sink(void **state)
{
	static const struct {
		const char *name;
		bool registered;
		uint64_t a, b;	    /* positions */
		uint64_t lost_want; /* of 1…40 evicted, as chunks of 10 */
	} cases[] = {
		{ "no sink", false, 0, 0, 0 },
		{ "all have all", true, 50, 60, 0 },
		{ "one has nothing", true, 50, 0, 40 },
		{ "inside a chunk", true, 25, 60, 15 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_store struct obs_store *s = NULL;
		struct obs_store_stats stats;
		struct fixture *f;

		assert_int_equal(setup(state), 0);
		f = *state;
		f->opt.max_bytes = 2 * 10 * 1000 + 2000; /* two chunks and a bit */
		assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
		obs_store_set_position(s, "stale", 0);
		obs_store_commit(s);
		obs_store_free(&s); /* "stale" is no sink of the next run */

		assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
		if (cases[i].registered) {
			obs_store_set_position(s, "a", cases[i].a);
			obs_store_set_position(s, "b", cases[i].b);
		}
		for (uint64_t n = 0; n < 6; n++) {
			push_range(s, n * 10 + 1, n * 10 + 10, 1200);
			assert_int_equal(obs_store_commit(s), 0);
		}

		obs_store_get_stats(s, &stats);
		assert_int_equal(stats.first_seq, 41);
		assert_true(stats.bytes <= f->opt.max_bytes);
		expect_range(f->dir, 41, 60, 1200);
		assert_int_equal(query(f->dir, "SELECT min(seq) FROM idx"), 42);
		if (obs_counter_get(&f->counters.events_evicted_size) != cases[i].lost_want)
			fail_msg("%s: lost %d, want %d", cases[i].name,
				 (int)obs_counter_get(&f->counters.events_evicted_size),
				 (int)cases[i].lost_want);
		assert_int_equal(obs_counter_get(&f->counters.events_evicted_age), 0);
		obs_store_free(&s);
		teardown(state);
	}
}

static void old_events_go_and_numbers_are_never_used_again(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_store_stats stats;

	f->opt.max_age_s = 1;
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	obs_store_set_position(s, "http", 4);
	push_range(s, 1, 10, 10);
	assert_int_equal(obs_store_commit(s), 0);
	expect_range(f->dir, 1, 10, 10);

	usleep(1020 * 1000);
	assert_int_equal(obs_store_commit(s), 0);
	obs_store_get_stats(s, &stats);
	assert_int_equal(stats.first_seq, 0);
	assert_int_equal(stats.last_seq, 10);
	assert_int_equal(stats.bytes, 0);
	assert_int_equal(obs_counter_get(&f->counters.events_evicted_age), 6);
	obs_store_free(&s);

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	push_range(s, 11, 12, 10);
	assert_int_equal(obs_store_commit(s), 0);
	expect_range(f->dir, 11, 12, 10);
}

static void a_reader_sees_commits_and_jumps_over_evicted(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_reader struct obs_store_reader *r = NULL;
	struct obs_store_item item;

	f->opt.max_bytes = 15000;
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_reader_open(f->dir, &r), 0);
	assert_int_equal(obs_store_reader_next(r, 0, &item), 0);

	push_range(s, 1, 10, 1200);
	assert_int_equal(obs_store_reader_next(r, 0, &item), 0); /* not committed */
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_reader_next(r, 0, &item), 1);
	assert_int_equal(item.seq, 1);
	assert_int_equal(obs_store_reader_next(r, 1, &item), 1);
	assert_int_equal(item.seq, 2);
	assert_int_equal(obs_store_reader_next(r, 1, &item), 1); /* the same again */
	assert_int_equal(item.seq, 2);
	assert_int_equal(obs_store_reader_next(r, 7, &item), 1);
	assert_int_equal(item.seq, 8);
	assert_int_equal(obs_store_reader_next(r, 0, &item), 1); /* back */
	assert_int_equal(item.seq, 1);

	for (uint64_t n = 1; n < 5; n++) { /* evicts 1…30 or more */
		push_range(s, n * 10 + 1, n * 10 + 10, 1200);
		assert_int_equal(obs_store_commit(s), 0);
	}
	assert_int_equal(obs_store_reader_next(r, 9, &item), 1); /* still decompressed */
	assert_int_equal(item.seq, 10);
	assert_int_equal(obs_store_reader_next(r, 10, &item), 1);
	assert_int_equal(item.seq, 41);
	assert_int_equal(obs_store_reader_next(r, 45, &item), 1);
	assert_int_equal(item.seq, 46);
	assert_int_equal(obs_store_reader_next(r, 50, &item), 0);
}

/* Read events 1…20000 as they come; NULL when all came in order. */
static void *follow(void *arg)
{
	const struct fixture *f = arg;
	cleanup_reader struct obs_store_reader *r = NULL;
	struct obs_store_item item;
	uint64_t after = 0;

	if (obs_store_reader_open(f->dir, &r) < 0)
		return "open";
	while (after < 20000) {
		int got = obs_store_reader_next(r, after, &item);

		if (got < 0)
			return "read";
		if (got > 0 && item.seq != ++after)
			return "order";
	}
	return NULL;
}

static void a_reader_follows_a_busy_writer(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	unsigned seed = 7;
	pthread_t thread;
	void *problem;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(pthread_create(&thread, NULL, follow, f), 0);
	for (uint64_t n = 0; n < 20000;) {
		unsigned burst = 1 + rand_r(&seed) % 100;

		while (burst-- && n < 20000)
			assert_int_equal(push(s, ++n, 200), 0);
		assert_int_equal(obs_store_commit(s), 0);
	}
	pthread_join(thread, &problem);
	if (problem)
		fail_msg("%s", (const char *)problem);
}

/* Child: commit event and cursor pairs until it is killed. */
static void write_until_killed(const struct obs_store_options *opt, unsigned seed)
{
	struct obs_store *s = NULL;
	struct obs_cursor c;
	uint64_t n;

	if (obs_store_open(opt, NULL, &s) < 0)
		_exit(1);
	n = obs_store_get_cursor(s, &log_file, &c) == 0 ? c.offset : 0;
	for (;;) {
		unsigned burst = 1 + rand_r(&seed) % 40;

		while (burst--) {
			if (push(s, ++n, 60) < 0)
				_exit(2);
		}
		c = cursor_at(n);
		obs_store_put_cursor(s, &c);
		obs_store_set_position(s, "http", n);
		if (obs_store_commit(s) < 0)
			_exit(3);
	}
}

static void kill_9_loses_nothing_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 42;
	uint64_t before = 0;

	for (int round = 0; round < 12; round++) {
		cleanup_store struct obs_store *s = NULL;
		struct obs_store_stats stats;
		struct obs_cursor c;
		pid_t child = fork();
		int status;

		if (child == 0)
			write_until_killed(&f->opt, (unsigned)round);
		usleep(20000 + (unsigned)rand_r(&seed) % 60000);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));

		assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
		obs_store_get_stats(s, &stats);
		if (obs_store_get_cursor(s, &log_file, &c) < 0)
			c.offset = 0; /* killed before its first commit */
		assert_int_equal(c.offset, stats.last_seq);
		assert_int_equal(obs_store_get_position(s, "http"), stats.last_seq);
		assert_true(stats.last_seq >= before);
		before = stats.last_seq;
	}
	assert_true(before > 0);
	expect_range(f->dir, 1, before, 60);
}

static void overwrite(const char *dir, const char *file, off_t at, size_t len)
{
	cleanup_close int fd = -1;
	char path[128], junk[4096];

	memset(junk, 0xa5, sizeof(junk));
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, len, at), (ssize_t)len);
}

static void a_broken_database_is_refused(void **state)
{
	static const struct {
		const char *name;
		off_t at; /* of 4 KiB of junk */
		const char *sql;
		int want;
	} cases[] = {
		{ "header gone", 0, NULL, -EUCLEAN },
		{ "first table gone", 4096, NULL, -EUCLEAN },
		{ "second table gone", 8192, NULL, -EUCLEAN },
		{ "another program's", -1, "PRAGMA application_id=7", -EUCLEAN },
		{ "a table is missing", -1, "DROP TABLE cursors", -EUCLEAN },
		{ "from the future", -1, "PRAGMA user_version=99", -EPROTO },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_store struct obs_store *s = NULL;
		struct fixture *f;
		int got;

		assert_int_equal(setup(state), 0);
		f = *state;
		assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
		push_range(s, 1, 2000, 100);
		obs_store_free(&s);
		if (cases[i].at >= 0)
			overwrite(f->dir, "events.db", cases[i].at, 4096);
		if (cases[i].sql)
			query(f->dir, cases[i].sql);

		got = obs_store_open(&f->opt, NULL, &s);
		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].name, got, cases[i].want);
		assert_null(s);
		teardown(state);
	}
}

/* RLIMIT_FSIZE stands in for a full disk: writes past it fail. */
static void limit_files(rlim_t bytes)
{
	struct rlimit lim;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &lim);
	lim.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

static const char *of_file = "{\"origin\":{\"via\":\"file\"}}",
		  *of_console = "{\"origin\":{\"via\":\"console\"}}";

static void push_both(struct obs_store *s, int n)
{
	for (int i = 0; i < n; i++) {
		assert_int_equal(obs_store_push(s, OBS_EVENT_LOG, NULL, 7, obs_slice_str(of_file)),
				 0);
		assert_int_equal(
			obs_store_push(s, OBS_EVENT_ERROR, "OOM", 8, obs_slice_str(of_console)), 0);
	}
}

static void expect_consoles(const char *dir, uint64_t after, int n)
{
	cleanup_reader struct obs_store_reader *r = NULL;
	struct obs_store_item item;

	assert_int_equal(obs_store_reader_open(dir, &r), 0);
	for (int i = 1; i <= n; i++) {
		assert_int_equal(obs_store_reader_next(r, after, &item), 1);
		assert_int_equal(item.seq, ++after);
		assert_int_equal(item.json.len, strlen(of_console));
		assert_memory_equal(item.json.p, of_console, item.json.len);
	}
	assert_int_equal(obs_store_reader_next(r, after, &item), 0);
}

/* At start: what no file holds and no sink has yet is carried over, numbers go on. */
static void a_broken_database_is_replaced(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_store_stats before, after;
	struct obs_cursor c = cursor_at(5), got;
	char path[200];

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_string_equal(obs_store_aside(s), "");
	push_both(s, 100);
	obs_store_put_cursor(s, &c);
	obs_store_set_position(s, "http", 150);
	assert_int_equal(obs_store_commit(s), 0);
	push_both(s, 20);
	obs_store_get_stats(s, &before);
	obs_store_free(&s);
	query(f->dir, "DROP TABLE cursors");

	f->opt.replace_broken = true;
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_memory_equal(obs_store_aside(s), "events.db.broken-20", 19);
	snprintf(path, sizeof(path), "%s/%s", f->dir, obs_store_aside(s));
	assert_int_equal(access(path, F_OK), 0);
	obs_store_get_stats(s, &after);
	assert_int_equal(after.created_ns, before.created_ns);
	assert_int_equal(after.last_seq, 240);
	assert_int_equal(obs_store_get_position(s, "http"), 150);
	assert_int_equal(obs_store_get_cursor(s, &log_file, &got), -ENOENT);
	assert_int_equal(obs_store_commit(s), 0);
	/* the first chunk reaches past the position: all of it, then the 20 of the last */
	expect_consoles(f->dir, 240, 120);
	assert_int_equal(query(f->dir, "SELECT position FROM sinks"), 150);
}

/* Under way: what waited in memory too, and what was pushed while it could not be replaced. */
static void a_database_that_breaks_is_replaced(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_cursor c = cursor_at(5), got;

	f->opt.replace_broken = true;
	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	push_both(s, 10);
	assert_int_equal(obs_store_commit(s), 0);
	push_both(s, 1000);
	obs_store_put_cursor(s, &c);
	query(f->dir, "DROP TABLE chunks");
	limit_files(0); /* the old one can be renamed, and a new one not be written */
	assert_true(obs_store_commit(s) < 0);
	push_both(s, 1);
	assert_true(obs_store_commit(s) < 0);
	limit_files(RLIM_INFINITY);
	assert_int_equal(obs_store_commit(s), 1);
	assert_int_equal(obs_store_get_cursor(s, &log_file, &got), -ENOENT);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_store_pending(s), 0);
	expect_consoles(f->dir, 20, 1001);
}

static void copy_file(const char *dir, const char *from, const char *to)
{
	cleanup_close int in = -1, out = -1;
	char path[200], bytes[65536];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, from);
	in = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s", dir, to);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(out, bytes, (size_t)n), n);
}

static void commit_tens(struct obs_store *s, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i += 10) {
		push_range(s, i, i + 9, 100);
		if (obs_store_commit(s) < 0)
			_exit(2);
	}
}

/* Child: leaves a database and a WAL that was not taken away. */
static void end_uncleanly(const struct obs_store_options *opt)
{
	struct obs_store *s = NULL;

	if (obs_store_open(opt, NULL, &s) < 0)
		_exit(1);
	commit_tens(s, 1, 1000);
	obs_store_free(&s);
	if (obs_store_open(opt, NULL, &s) < 0)
		_exit(1);
	commit_tens(s, 1001, 1100);
	_exit(0);
}

/* The WAL holds the last pages and writes them where they belong: the gap before them must
 * not go unseen. */
static void a_database_cut_under_its_wal_is_replaced(void **state)
{
	struct fixture *f = *state;
	char db[200], aside[200];
	struct stat st;
	pid_t child = fork();
	int status;

	if (child == 0)
		end_uncleanly(&f->opt);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	copy_file(f->dir, "events.db", "db");
	copy_file(f->dir, "events.db-wal", "wal");
	snprintf(db, sizeof(db), "%s/events.db", f->dir);
	assert_int_equal(stat(db, &st), 0);
	assert_true(st.st_size > 8 * 4096);
	f->opt.replace_broken = true;

	for (off_t size = st.st_size; size > 0; size -= 4096) {
		cleanup_store struct obs_store *s = NULL;

		copy_file(f->dir, "db", "events.db");
		copy_file(f->dir, "wal", "events.db-wal");
		assert_int_equal(truncate(db, size), 0);
		assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
		if (size == st.st_size)
			assert_string_equal(obs_store_aside(s), "");
		if (!*obs_store_aside(s))
			expect_range(f->dir, 1, 1100, 100);
		else
			assert_int_not_equal(size, st.st_size);
		snprintf(aside, sizeof(aside), "%s/%s", f->dir, obs_store_aside(s));
		unlink(aside);
	}
}

static void a_damaged_chunk_is_jumped_over(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_reader struct obs_store_reader *r = NULL;
	struct obs_store_item item;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	push_range(s, 1, 2500, 100);
	obs_store_free(&s);
	query(f->dir, "UPDATE chunks SET body=zeroblob(900) WHERE first_seq=1001");

	assert_int_equal(obs_store_reader_open(f->dir, &r), 0);
	assert_int_equal(obs_store_reader_next(r, 999, &item), 1);
	assert_int_equal(item.seq, 1000);
	assert_int_equal(obs_store_reader_next(r, 1000, &item), 1);
	assert_int_equal(item.seq, 2001);
}

static void a_full_disk_keeps_everything_pending(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	struct obs_cursor c = cursor_at(500), got;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	push_range(s, 1, 10, 1000);
	assert_int_equal(obs_store_commit(s), 0);

	limit_files(64 * 1024);
	push_range(s, 11, 400, 1000);
	assert_int_equal(obs_store_put_cursor(s, &c), 0);
	assert_int_equal(obs_store_set_position(s, "http", 10), 0);
	for (int i = 0; i < 3; i++) {
		int r = obs_store_commit(s);

		if (r != -ENOSPC && r != -EFBIG)
			fail_msg("commit with no space: %d", r);
		assert_int_equal(obs_store_pending(s), 390 + i);
		assert_int_equal(push(s, 401 + (uint64_t)i, 1000), 0);
	}
	assert_int_equal(obs_counter_get(&f->counters.store_errors), 3);
	assert_int_equal(obs_counter_get(&f->counters.events_stored), 10);

	limit_files(RLIM_INFINITY);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(obs_counter_get(&f->counters.events_stored), 403);
	expect_range(f->dir, 1, 403, 1000);
	assert_int_equal(obs_store_get_cursor(s, &log_file, &got), 0);
	assert_int_equal(query(f->dir, "SELECT position FROM sinks"), 10);
}

static void pending_is_bounded(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	size_t n = 0;
	int r;

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	do {
		r = push(s, n + 1, 500 * 1000);
		n += r == 0;
	} while (r == 0 && n < 300);
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(obs_store_pending(s), n);
	assert_in_range(n, 120, 200);

	limit_files(64 * 1024); /* nor is it lost by a commit that fails */
	assert_true(obs_store_commit(s) < 0);
	if (push(s, n + 1, 500 * 1000) == 0) /* commit compressed the last one: room for one */
		n++;
	assert_int_equal(push(s, n + 1, 500 * 1000), -ENOBUFS);
	limit_files(RLIM_INFINITY);
	assert_int_equal(obs_store_commit(s), 0);
	assert_int_equal(push(s, n + 1, 500 * 1000), 0);
}

static void note_json(void *ctx, struct obs_slice json)
{
	size_t len = strlen(ctx);

	snprintf((char *)ctx + len, 256 - len, "%.*s;", (int)json.len, json.p);
}

static void states_and_windows_are_kept(void **state)
{
	struct fixture *f = *state;
	cleanup_store struct obs_store *s = NULL;
	cleanup_reader struct obs_store_reader *r = NULL;
	cleanup_buf struct obs_buf got = { 0 };
	uint64_t now_s = (uint64_t)time(NULL);
	char windows[256] = "";

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_get_state(s, "a", &got), -ENOENT);
	assert_int_equal(obs_store_put_state(s, "a", obs_slice("old", 3)), 0);
	assert_int_equal(obs_store_put_state(s, "b", obs_slice("b", 1)), 0);
	assert_int_equal(obs_store_put_state(s, "a", obs_slice("x\0y", 3)), 0);
	assert_int_equal(obs_store_put_window(s, 0, now_s, obs_slice("n", 1), obs_slice("{}", 2)),
			 -EINVAL);
	obs_store_put_window(s, 60, now_s, obs_slice("n", 1), obs_slice("new", 3));
	obs_store_put_window(s, 60, now_s - 60, obs_slice("n", 1), obs_slice("mid", 3));
	obs_store_put_window(s, 60, now_s - 25 * 3600, obs_slice("n", 1), obs_slice("gone", 4));
	obs_store_put_window(s, 3600, now_s - 25 * 3600, obs_slice("n", 1), obs_slice("hour", 4));
	obs_store_free(&s); /* commits */

	assert_int_equal(obs_store_open(&f->opt, NULL, &s), 0);
	assert_int_equal(obs_store_get_state(s, "a", &got), 0);
	assert_int_equal(got.len, 3);
	assert_memory_equal(got.p, "x\0y", 3);
	assert_int_equal(obs_store_reader_open(f->dir, &r), 0);
	assert_int_equal(obs_store_reader_windows(r, 60, 0, note_json, windows), 0);
	assert_string_equal(windows, "mid;new;");
	assert_int_equal(obs_store_reader_windows(r, 60, now_s, note_json, windows), 0);
	assert_int_equal(obs_store_reader_windows(r, 3600, 0, note_json, windows), 0);
	assert_string_equal(windows, "mid;new;new;hour;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(events_and_cursors_come_back),
		T(a_pending_cursor_is_the_newest),
		T(cursors_are_found_by_path_with_their_owner),
		T(the_lock_of_a_dead_holder_is_waited_for),
		T(cursors_of_files_long_gone_are_forgotten),
		T(states_of_consoles_long_gone_are_forgotten),
		T(states_survive_an_upgrade),
		T(states_of_nodes_long_gone_are_forgotten),
		T(states_of_nodes_are_bounded),
		T(lines_have_bounds),
		T(a_second_observer_is_told_who_holds_it),
		T(missing_directories_are_made_private),
		cmocka_unit_test(eviction_is_counted_against_the_slowest_sink),
		T(old_events_go_and_numbers_are_never_used_again),
		T(a_reader_sees_commits_and_jumps_over_evicted),
		T(a_reader_follows_a_busy_writer),
		T(kill_9_loses_nothing_and_doubles_nothing),
		cmocka_unit_test(a_broken_database_is_refused),
		T(a_broken_database_is_replaced),
		T(a_database_cut_under_its_wal_is_replaced),
		T(a_database_that_breaks_is_replaced),
		T(a_damaged_chunk_is_jumped_over),
		T(a_full_disk_keeps_everything_pending),
		T(pending_is_bounded),
		T(states_and_windows_are_kept),
#undef T
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
