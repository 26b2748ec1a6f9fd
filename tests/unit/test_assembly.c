// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_assembly.c - lines without an end, at the bound of what all streams may keep of them: files
 * are read again later, each line once; consoles are split.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/stream.h"
#include "util/buf.h"
#include "util/clock.h"

#define STREAMS	   40
#define LINE_BYTES 8192
#define PART_BYTES 3000
#define MAX_BYTES  (64 * 1024)

struct one {
	char path[64];
	int fd; /* the writer's */
	struct obs_stream *stream;
	uint64_t size;
	size_t lines; /* that came out */
	uint64_t sum; /* of their lengths */
	bool cut;
};

struct fixture {
	struct one v[STREAMS];
	struct obs_counters counters;
	struct obs_assembly assembly;
	struct obs_stream_options opt;
	struct obs_buf out; /* "text@offset;" of short lines */
};

static void on_event(void *ctx, struct obs_stream *s, struct obs_event *ev,
		     const struct obs_line *first)
{
	struct fixture *f = ctx;
	struct one *o = obs_stream_owner(s);

	o->lines++;
	o->sum += ev->message.len;
	o->cut |= first->truncated;
	if (ev->message.len < 32)
		obs_buf_printf(&f->out, "%.*s@%llu;", (int)ev->message.len, ev->message.p,
			       (unsigned long long)first->offset);
}

static void open_one(struct fixture *f, struct one *o, enum obs_kept_format kept)
{
	struct obs_stream_start start = { .from_zero = true, .kept = kept };
	struct obs_file_id id = { .ino = (uint64_t)(o - f->v) + 1, .dev = 2, .gen = 3 };

	snprintf(o->path, sizeof(o->path), "/tmp/gso-assembly-XXXXXX");
	o->fd = mkstemp(o->path);
	assert_true(o->fd >= 0);
	assert_int_equal(obs_stream_new_file(&f->opt, &id, open(o->path, O_RDONLY | O_CLOEXEC),
					     o->path, NULL, &start, o, &o->stream),
			 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->assembly.max_bytes = MAX_BYTES;
	f->opt = (struct obs_stream_options){ .line_bytes = LINE_BYTES,
					      .captured = true,
					      .assembly = &f->assembly,
					      .counters = &f->counters,
					      .on_event = on_event,
					      .ctx = f };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < STREAMS; i++) {
		obs_stream_free(&f->v[i].stream);
		if (!*f->v[i].path)
			continue;
		close(f->v[i].fd);
		unlink(f->v[i].path);
	}
	assert_int_equal(f->assembly.used_bytes, 0);
	obs_buf_free(&f->out);
	free(f);
	return 0;
}

static struct obs_chunk append(struct one *o, const char *bytes, size_t len)
{
	struct obs_chunk c = { .payload = obs_slice(bytes, len), .offset = o->size, .len = len };

	assert_int_equal(pwrite(o->fd, bytes, len, (off_t)o->size), len);
	o->size += len;
	c.boot_ns = obs_boot_ns();
	c.wall_ns = obs_wall_ns();
	return c;
}

static void give(struct fixture *f, struct one *o, const char *bytes, size_t len)
{
	struct obs_chunk c = append(o, bytes, len);

	obs_stream_write(o->stream, &c);
	assert_true(f->assembly.used_bytes <= MAX_BYTES);
}

static uint64_t get(_Atomic uint64_t *c)
{
	return obs_counter_get(c);
}

/* As the table of streams does it once a second. Return: is any of them behind after it? */
static bool sweep_all(struct fixture *f)
{
	bool behind = false;

	for (size_t i = 0; i < STREAMS; i++) {
		if (!obs_stream_sweep(f->v[i].stream))
			continue;
		behind |= obs_stream_catch_up(f->v[i].stream, false);
		assert_true(f->assembly.used_bytes <= MAX_BYTES);
	}
	return behind;
}

/* Each file has a line of several parts, all at once; then each gets its end. */
static void files_are_read_again(void **state)
{
	static char part[PART_BYTES];
	struct fixture *f = *state;
	uint64_t written = 0;

	memset(part, 'x', sizeof(part));
	for (size_t i = 0; i < STREAMS; i++)
		open_one(f, &f->v[i], OBS_KEPT_NONE);
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < STREAMS; i++)
			give(f, &f->v[i], part, sizeof(part));
		assert_false(sweep_all(f));
	}
	assert_true(get(&f->counters.lines_put_off) > 0);
	for (size_t i = 0; i < STREAMS; i++)
		give(f, &f->v[i], " end\nnext\n", 10);
	for (size_t i = 0; i < 3; i++)
		assert_false(sweep_all(f));
	for (size_t i = 0; i < STREAMS; i++) {
		struct one *o = &f->v[i];

		written += o->size;
		assert_int_equal(o->lines, 2);
		assert_int_equal(o->sum, 2 * PART_BYTES + strlen(" endnext"));
		assert_int_equal(obs_stream_offset(o->stream), o->size);
	}
	assert_int_equal(get(&f->counters.lines_parsed), 2 * STREAMS);
	assert_int_equal(get(&f->counters.bytes_captured) + get(&f->counters.bytes_backfilled),
			 written);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 0);
	assert_int_equal(get(&f->counters.rewrites), 0);
	assert_int_equal(f->assembly.used_bytes, 0);
}

/* What holds all the room is another's: an end that comes is taken, and the cursor stands at the
 * beginning of what is put off. */
static void a_full_assembly_keeps_the_cursor(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor c;

	f->assembly.used_bytes = MAX_BYTES;
	open_one(f, &f->v[0], OBS_KEPT_NONE);
	f->assembly.max_bytes = 0; /* nothing that has no end may stay */
	for (size_t i = 0; i < 3; i++) {
		struct obs_chunk chunk = append(&f->v[0], "one\ntw", 6);

		obs_stream_write(f->v[0].stream, &chunk);
		obs_stream_sweep(f->v[0].stream);
		obs_stream_catch_up(f->v[0].stream, true);
		assert_int_equal(f->assembly.used_bytes, MAX_BYTES);
	}
	assert_string_equal(obs_buf_cstr(&f->out), "one@0;twone@4;twone@10;");
	assert_true(obs_stream_cursor(f->v[0].stream, &c));
	assert_int_equal(c.offset, 16);
	/* its writer is gone: what is there is all there is */
	obs_stream_end(f->v[0].stream);
	assert_string_equal(obs_buf_cstr(&f->out), "one@0;twone@4;twone@10;tw@16;");
	f->assembly.used_bytes -= MAX_BYTES;
}

/* A line longer than the limit, without an end: passed on as it is, and its rest skipped. */
static void a_line_that_is_cut_is_passed_on(void **state)
{
	static char part[LINE_BYTES];
	struct fixture *f = *state;
	struct one *o = &f->v[0];

	memset(part, 'x', sizeof(part));
	open_one(f, o, OBS_KEPT_NONE);
	f->assembly.max_bytes = 0;
	for (size_t i = 0; i < 4; i++) {
		struct obs_chunk chunk = append(o, part, sizeof(part));

		obs_stream_write(o->stream, &chunk);
		obs_stream_sweep(o->stream);
		obs_stream_sweep(o->stream);
		obs_stream_catch_up(o->stream, true);
		assert_int_equal(f->assembly.used_bytes, 0);
	}
	give(f, o, "\nnext\n", 6);
	obs_stream_catch_up(o->stream, true);
	assert_int_equal(o->lines, 2);
	assert_int_equal(o->sum, LINE_BYTES + strlen("next"));
	assert_true(o->cut);
	assert_int_equal(get(&f->counters.lines_cut), 1);
}

static void consoles_are_split(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = { .payload = OBS_SLICE("one\ntw"), .len = 6 };

	assert_int_equal(obs_stream_new_console(&f->opt, 7, 1, &f->v[0], &f->v[0].stream), 0);
	f->assembly.max_bytes = 0;
	obs_stream_write(f->v[0].stream, &c);
	c.payload = OBS_SLICE("o\nthree\n");
	obs_stream_write(f->v[0].stream, &c);
	assert_string_equal(obs_buf_cstr(&f->out), "one@0;tw@4;o@6;three@8;");
	assert_int_equal(get(&f->counters.lines_split), 1);
}

/* Of an engine's file: a line in parts of one descriptor, whole ones of the other in between. */
static void an_engines_file_is_read_again(void **state)
{
	static const char *const entries[] = {
		"2026-10-06T00:17:09Z stdout P one \n2026-10-06T00:17:10Z stderr F e1\n",
		"2026-10-06T00:17:11Z stdout P and \n2026-10-06T00:17:12Z stderr F e2\n2026-10",
		"-06T00:17:13Z stderr F e3\n2026-10-06T00:17:14Z stdout F two\n",
		"2026-10-06T00:17:15Z stderr P half \n",
		"2026-10-06T00:17:16Z stdout F four\n2026-10-06T00:17:16Z stderr F an e4\n",
	};
	struct fixture *f = *state;
	struct one *o = &f->v[0];

	open_one(f, o, OBS_KEPT_TEXT);
	f->assembly.max_bytes = 0;
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
		append(o, entries[i], strlen(entries[i]));
		for (size_t j = 0; j < 2; j++) {
			obs_stream_sweep(o->stream);
			assert_false(obs_stream_catch_up(o->stream, true));
		}
		assert_int_equal(f->assembly.used_bytes, 0);
	}
	assert_string_equal(obs_buf_cstr(&f->out),
			    "e1@35;e2@103;e3@136;one and two@0;four@239;half an e4@203;");
	assert_true(get(&f->counters.lines_put_off) > 0);
	assert_int_equal(get(&f->counters.bytes_backfilled), o->size);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(files_are_read_again),
		T(a_full_assembly_keeps_the_cursor),
		T(a_line_that_is_cut_is_passed_on),
		T(consoles_are_split),
		T(an_engines_file_is_read_again),
	};

	return cmocka_run_group_tests_name("assembly", tests, NULL, NULL);
}
