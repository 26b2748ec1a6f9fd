// SPDX-License-Identifier: BSD-2-Clause
/* test_rotated.c - which names rotation makes, and what is found beside a log. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "pipeline/rotated.h"
#include "util/buf.h"
#include "util/cleanup.h"

static const struct name_case {
	const char *base, *name;
	bool want;
} names[] = {
	{ "app.log", "app.log.1", true },
	{ "app.log", "app.log.12.gz", true },
	{ "app.log", "app.log-20251126", true },
	{ "app.log", "app.log.2025-11-26_10", true },
	{ "app.log", "app.log.old", true },
	{ "app.log", "app-20251126.log", true },
	{ "app.log", "app.1.log.gz", true },
	{ "nohup", "nohup.1", true },
	{ "app.log", "app.log", false },
	{ "app.log", "app.log.gz", false },
	{ "app.log", "app.log.", false },
	{ "app.log", "app.log.notes", false },
	{ "app.log", "app-other.log", false },
	{ "app.log", "app.log2", false },
	{ "app.log", "app", false },
	{ "app.log", "", false },
};

static void siblings_are_told_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct name_case *c = &names[i];

		if (obs_rotated_is_sibling(c->base, c->name) != c->want)
			fail_msg("%s beside %s: not %d", c->name, c->base, c->want);
	}
}

/* A directory, and what the search hands over: "name@offset;". */
struct fixture {
	char dir[64];
	int dir_fd;
	struct obs_counters counters;
	struct obs_buf out;
	struct obs_rotated_search search;
	struct obs_cursor cursor;
	struct obs_file_id current;
};

static int identify(void *ctx, int fd, struct obs_file_id *ret)
{
	struct stat st;

	(void)ctx;
	*ret = (struct obs_file_id){ .ino = fstat(fd, &st) == 0 ? st.st_ino : 0 };
	return 0;
}

static int known(void *ctx, const struct obs_file_id *id, struct obs_cursor *ret)
{
	(void)ctx;
	(void)id;
	(void)ret;
	return -ENOENT;
}

static void found(void *ctx, const struct obs_rotated_file *file)
{
	struct fixture *f = ctx;

	obs_buf_printf(&f->out, "%s@%llu;", file->name, (unsigned long long)file->cursor.offset);
	close(file->fd);
}

static void copy(void *ctx, const char *name, const struct obs_cursor *c)
{
	(void)ctx;
	(void)name;
	(void)c;
}

static const char text[] = "a line that was read, long enough to be told by\nunread\n";
#define READ_LEN 48

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/gso-rotated-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->cursor = (struct obs_cursor){ .file.ino = 1,
					 .offset = READ_LEN,
					 .tail_len = READ_LEN,
					 .tail_hash = XXH3_64bits(text, READ_LEN) };
	f->search = (struct obs_rotated_search){
		.dir_fd = f->dir_fd,
		.base = "app.log",
		.current = &f->current,
		.cursors = &f->cursor,
		.n_cursors = 1,
		.since_ns = UINT64_MAX,
		.tmp_dir = f->dir,
		.counters = &f->counters,
		.identify = identify,
		.known = known,
		.copy = copy,
		.found = found,
		.ctx = f,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[96];

	close(f->dir_fd);
	snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
	obs_buf_free(&f->out);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *name, const char *what)
{
	cleanup_close int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, what, strlen(what)), strlen(what));
}

static void a_copy_is_known_by_its_bytes(void **state)
{
	struct fixture *f = *state;

	put(f, "app.log.1", text);
	put(f, "app.log.2", "something else altogether, which is as long as the other one\n");
	put(f, "other.log", text);
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_string_equal(obs_buf_cstr(&f->out), "app.log.1@48;");
	assert_int_equal(obs_counter_get(&f->counters.rotated_found), 1);
}

static void what_is_new_is_read_from_its_start(void **state)
{
	struct fixture *f = *state;

	put(f, "app.log.1", "born and rotated while nobody looked\n");
	f->search.since_ns = 1;
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_string_equal(obs_buf_cstr(&f->out), "app.log.1@0;");
}

static void a_live_copy_is_not_read(void **state)
{
	struct fixture *f = *state;

	put(f, "app.log.1", text);
	f->search.since_ns = 1;
	f->search.live = true;
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_string_equal(obs_buf_cstr(&f->out), "");
}

static void a_copy_in_the_making_is_not_read(void **state)
{
	struct fixture *f = *state;

	put(f, "app.log", text);
	put(f, "app.log.1", "a line that was");
	put(f, "app.log.2", "");
	put(f, "app.log.3", "another\n");
	f->search.since_ns = 1;
	f->search.live = true;
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_string_equal(obs_buf_cstr(&f->out), "app.log.3@0;");
}

static void what_cannot_be_unpacked_is_counted(void **state)
{
	struct fixture *f = *state;

	put(f, "app.log.1.gz", "this is not gzip\n");
	put(f, "app.log.2.xz", "nor can this be unpacked\n");
	f->search.since_ns = 1;
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_string_equal(obs_buf_cstr(&f->out), "");
	assert_int_equal(obs_counter_get(&f->counters.rotated_unread), 2);
}

/* One more than are looked at: the oldest one is left out, and counted. */
static void beside_a_log_the_youngest_are_looked_at(void **state)
{
	struct fixture *f = *state;
	char name[32];

	f->search.since_ns = 1;
	for (int i = 0; i < OBS_ROTATED_MAX; i++) {
		snprintf(name, sizeof(name), "app.log.%03d", OBS_ROTATED_MAX - i);
		put(f, name, name);
	}
	assert_int_equal(obs_rotated_look(&f->search), 0);
	assert_int_equal(obs_counter_get(&f->counters.rotated_found), OBS_ROTATED_MAX);
	assert_int_equal(obs_counter_get(&f->counters.rotated_skipped), 0);
	obs_buf_reset(&f->out);
	usleep(20000); /* a file's time is as fine as the kernel's tick */
	put(f, "app.log.000", "the youngest");
	assert_int_equal(obs_rotated_look(&f->search), 1);
	assert_int_equal(obs_counter_get(&f->counters.rotated_found), 2 * OBS_ROTATED_MAX);
	assert_int_equal(obs_counter_get(&f->counters.rotated_skipped), 1);
	assert_non_null(strstr(obs_buf_cstr(&f->out), "app.log.000@0;"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_are_told_by_name), T(a_copy_is_known_by_its_bytes),
		T(what_is_new_is_read_from_its_start),	     T(a_live_copy_is_not_read),
		T(a_copy_in_the_making_is_not_read),	     T(what_cannot_be_unpacked_is_counted),
		T(beside_a_log_the_youngest_are_looked_at),
	};

	return cmocka_run_group_tests_name("rotated", tests, NULL, NULL);
}
