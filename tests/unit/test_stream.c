// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_stream.c - a file and the records of its writes, in every order and with
 * every loss: each line comes out exactly once.
 */
#include <errno.h>
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

#include "stream/heard.h"
#include "stream/stream.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define LINE_BYTES 65536

/* One file, its stream, and what came out: "text@offset,via;" per event. */
struct fixture {
	char path[64];
	int fd; /* the writer's */
	struct obs_counters counters;
	struct obs_stream_options opt;
	struct obs_stream *stream;
	struct obs_buf out;
	uint64_t size;
};

static void on_event(void *ctx, struct obs_stream *s, struct obs_event *ev,
		     const struct obs_line *first)
{
	struct fixture *f = ctx;

	(void)s;
	obs_buf_printf(&f->out, "%.*s@%llu%s;", (int)ev->message.len, ev->message.p,
		       (unsigned long long)first->offset, first->backfilled ? "b" : "");
}

static void open_stream(struct fixture *f, const struct obs_cursor *cursor, int64_t tail_lines)
{
	struct obs_stream_start start = { .from_zero = tail_lines < 0, .tail_lines = tail_lines };
	struct obs_file_id id = { .ino = 1, .dev = 2, .gen = 3 };

	assert_int_equal(obs_stream_new_file(&f->opt, &id, open(f->path, O_RDONLY | O_CLOEXEC),
					     f->path, cursor, &start, f, &f->stream),
			 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->path, sizeof(f->path), "/tmp/gso-stream-XXXXXX");
	f->fd = mkstemp(f->path);
	assert_true(f->fd >= 0);
	f->opt = (struct obs_stream_options){ .line_bytes = LINE_BYTES,
					      .captured = true,
					      .counters = &f->counters,
					      .on_event = on_event,
					      .ctx = f };
	open_stream(f, NULL, -1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	obs_stream_free(&f->stream);
	close(f->fd);
	unlink(f->path);
	obs_buf_free(&f->out);
	free(f);
	return 0;
}

/* Write to the file; the record of it is returned and not given to the stream. */
static struct obs_chunk append(struct fixture *f, const char *text)
{
	struct obs_chunk c = { .payload = obs_slice_str(text),
			       .offset = f->size,
			       .len = strlen(text),
			       .pid = 7,
			       .comm = "python" };

	assert_int_equal(pwrite(f->fd, text, c.len, (off_t)f->size), c.len);
	f->size += c.len;
	c.boot_ns = obs_boot_ns();
	c.wall_ns = obs_wall_ns();
	return c;
}

static void give(struct fixture *f, struct obs_chunk c)
{
	obs_stream_write(f->stream, &c);
}

static void expect(struct fixture *f, const char *want)
{
	assert_string_equal(obs_buf_cstr(&f->out), want);
}

static uint64_t get(_Atomic uint64_t *c)
{
	return obs_counter_get(c);
}

static void captured_writes_need_no_file(void **state)
{
	struct fixture *f = *state;

	give(f, append(f, "one\ntw"));
	give(f, append(f, "o\nthree\n"));
	expect(f, "one@0;two@4;three@8;");
	assert_int_equal(get(&f->counters.lines_captured), 3);
	assert_int_equal(get(&f->counters.bytes_backfilled), 0);
}

static void a_hole_is_read_back(void **state)
{
	struct fixture *f = *state;

	give(f, append(f, "one\n"));
	append(f, "two\nthr"); /* its record is lost */
	give(f, append(f, "ee\nfour\n"));
	expect(f, "one@0;two@4b;three@8;four@14;");
	assert_int_equal(get(&f->counters.holes), 1);
	assert_int_equal(get(&f->counters.bytes_backfilled), 7);
}

static void records_out_of_order_come_out_in_order(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk first = append(f, "one\n"), second = append(f, "two\n");

	give(f, second);
	give(f, first);
	expect(f, "one@0b;two@4;");
	assert_int_equal(get(&f->counters.rewrites), 0);
}

static void a_payload_that_was_cut_is_completed(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = append(f, "a long line\nanother\n");

	c.payload.len = 5;
	give(f, c);
	expect(f, "a long line@0;another@12;");
	assert_int_equal(get(&f->counters.lines_captured), 2);
}

/* Another writer of the description moved f_pos before the probe read it. */
static void a_shared_description_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk a = append(f, "aaa\n"), b = append(f, "bbb\n");

	a.offset = b.offset; /* f_pos was already behind b */
	a.flags = b.flags = OBS_CHUNK_SHARED;
	give(f, a);
	give(f, b);
	expect(f, "aaa@0b;bbb@4;");
}

static void marks_make_it_look(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = append(f, "by splice\n");

	c.flags = OBS_CHUNK_NO_OFFSET;
	c.payload.len = 0;
	give(f, c);
	expect(f, "by splice@0b;");
}

static void a_truncated_file_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;

	give(f, append(f, "old one\nold two\n"));
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	give(f, append(f, "new\n"));
	expect(f, "old one@0;old two@8;new@0;");
	assert_int_equal(obs_stream_epoch(f->stream), 1);
	assert_int_equal(get(&f->counters.truncations), 1);
}

static void a_file_cut_and_grown_again_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;

	give(f, append(f, "old\n"));
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	append(f, "new line one\n");
	append(f, "new line two\n");
	assert_false(obs_stream_sweep(f->stream)); /* it might be a write in place */
	assert_true(obs_stream_sweep(f->stream));
	obs_stream_catch_up(f->stream, true);
	expect(f, "old@0;new line one@0b;new line two@13b;");
	assert_int_equal(obs_stream_epoch(f->stream), 1);
}

static void a_rewrite_is_counted_and_not_repeated(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = append(f, "one\ntwo\n");
	struct obs_cursor cursor;

	give(f, c);
	assert_true(obs_stream_cursor(f->stream, &cursor));
	c.boot_ns = obs_boot_ns();
	c.len = c.payload.len = 4;
	give(f, c);
	expect(f, "one@0;two@4;");
	obs_stream_sweep(f->stream);
	assert_int_equal(get(&f->counters.rewrites), 1);
	assert_int_equal(get(&f->counters.truncations), 0);
}

/* O_SYNC: its bytes can be read before it returns. */
static void a_write_that_returns_after_a_look_is_no_rewrite(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c;

	give(f, append(f, "one\n"));
	c = append(f, "two\n");
	obs_stream_catch_up(f->stream, true);
	c.boot_ns = obs_boot_ns();
	give(f, c);
	give(f, append(f, "three\n"));
	expect(f, "one@0;two@4b;three@8;");
	assert_int_equal(get(&f->counters.rewrites), 0);
	assert_int_equal(get(&f->counters.truncations), 0);
	c.boot_ns = obs_boot_ns() + 3000000000ULL; /* long after it */
	give(f, c);
	assert_int_equal(get(&f->counters.rewrites), 1);
}

/* In the middle, over what was read last: the same file all the same. */
static void a_rewrite_of_the_tail_is_no_new_file(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c;

	give(f, append(f, "one\ntwo\n"));
	c = append(f, "");
	c.payload = OBS_SLICE("TWO");
	c.offset = 4;
	c.len = 3;
	assert_int_equal(pwrite(f->fd, "TWO", 3, 4), 3);
	give(f, c);
	obs_stream_sweep(f->stream);
	obs_stream_catch_up(f->stream, true);
	give(f, append(f, "three\n"));
	expect(f, "one@0;two@4;three@8;");
	assert_int_equal(get(&f->counters.rewrites), 1);
	assert_int_equal(get(&f->counters.truncations), 0);
}

/* `>` and the same text again, all of it before anybody looked. */
static void the_same_text_again_is_new(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk a, b;

	give(f, append(f, "one\ntwo\n"));
	f->size = 0;
	a = append(f, "one\n");
	b = append(f, "two\n");
	give(f, a);
	give(f, b);
	give(f, append(f, "three\n"));
	expect(f, "one@0;two@4;one@0b;two@4;three@8;");
	assert_int_equal(get(&f->counters.truncations), 1);
	assert_int_equal(get(&f->counters.rewrites), 0);
	assert_int_equal(obs_stream_epoch(f->stream), 1);
}

/* copytruncate under a writer that keeps its offset. */
static void a_writer_behind_zeroes_goes_on(void **state)
{
	struct fixture *f = *state;
	cleanup_buf struct obs_buf old = {};
	struct obs_chunk c;

	for (int i = 0; i < 2000; i++)
		obs_buf_printf(&old, "old %d\n", i);
	obs_buf_printf(&old, "half a ");
	give(f, append(f, obs_buf_cstr(&old)));
	obs_stream_sweep(f->stream);
	obs_buf_reset(&f->out);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	c = append(f, "line\nnew\n");
	give(f, c);
	obs_stream_sweep(f->stream);
	obs_stream_catch_up(f->stream, true);
	give(f, append(f, "newer\n"));
	assert_non_null(strstr(obs_buf_cstr(&f->out), "half a line@"));
	assert_non_null(strstr(obs_buf_cstr(&f->out), "new@"));
	assert_non_null(strstr(obs_buf_cstr(&f->out), "newer@"));
	assert_int_equal(get(&f->counters.lines_parsed), 2003);
	assert_int_equal(get(&f->counters.truncations), 1);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 0);
}

/* A payload that was captured before the file was emptied is not lost by it. */
static void what_was_captured_before_a_cut_is_kept(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk a = append(f, "one\n"), b = append(f, "two\n"), c;

	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	c = append(f, "after it, longer than before\n");
	give(f, a);
	give(f, b);
	give(f, c);
	expect(f, "one@0;two@4;after it, longer than before@0;");
	assert_int_equal(get(&f->counters.truncations), 1);
}

/* The writer is gone: its last words had no end. */
static void last_words_are_taken(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;

	give(f, append(f, "one\nlast wor"));
	append(f, "ds");
	obs_stream_end(f->stream);
	expect(f, "one@0;last words@4b;");
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_int_equal(cursor.offset, 14);
}

/* In the bytes by which a replaced file is told, and told of by its record or not yet. */
static void a_rewrite_of_the_last_line_is_no_new_file(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;
	struct obs_rewrite rewrite;
	struct obs_chunk c;

	give(f, append(f, "one\ntwo\n"));
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_int_equal(pwrite(f->fd, "TWO\n", 4, 4), 4);
	assert_false(obs_stream_sweep(f->stream));
	c = (struct obs_chunk){ .payload = obs_slice_str("TWO\n"),
				.offset = 4,
				.len = 4,
				.pid = 7,
				.boot_ns = obs_boot_ns() };
	give(f, c);
	assert_false(obs_stream_sweep(f->stream));
	give(f, append(f, "three\n"));
	expect(f, "one@0;two@4;three@8;");
	assert_int_equal(obs_stream_epoch(f->stream), 0);
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_true(obs_stream_take_rewrites(f->stream, &rewrite));
	assert_int_equal(rewrite.writes, 1);
	assert_int_equal(rewrite.offset, 4);
	assert_int_equal(rewrite.end, 8);
	assert_int_equal(rewrite.pid, 7);
	assert_false(obs_stream_take_rewrites(f->stream, &rewrite));

	/* the cursor handed out since then holds after a restart */
	obs_stream_free(&f->stream);
	open_stream(f, &cursor, 0);
	assert_int_equal(obs_stream_epoch(f->stream), 0);
}

/* ftruncate, then stores through a mapping, in two steps. */
static void room_at_the_end_is_read_when_it_is_filled(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ftruncate(f->fd, 4096), 0);
	assert_false(obs_stream_sweep(f->stream));
	assert_true(obs_stream_sweep(f->stream));
	assert_false(obs_stream_catch_up(f->stream, false));
	expect(f, "");
	assert_int_equal(pwrite(f->fd, "one\ntw", 6, 0), 6);
	assert_true(obs_stream_sweep(f->stream));
	assert_false(obs_stream_catch_up(f->stream, false));
	expect(f, "one@0b;");
	assert_int_equal(get(&f->counters.growth_found), 6);
	assert_int_equal(pwrite(f->fd, "o\n", 2, 6), 2);
	assert_true(obs_stream_sweep(f->stream));
	assert_false(obs_stream_catch_up(f->stream, false));
	assert_int_equal(ftruncate(f->fd, 8), 0);
	f->size = 8;
	give(f, append(f, "three\n"));
	expect(f, "one@0b;two@4b;three@8;");
	assert_int_equal(get(&f->counters.growth_found), 8);
}

/* A mapping may be filled from behind: what stands behind NULs waits for them, not for ever. */
static void room_in_between_is_waited_for(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(pwrite(f->fd, "one\n", 4, 0), 4);
	assert_int_equal(pwrite(f->fd, "three\n", 6, 8), 6);
	assert_false(obs_stream_catch_up(f->stream, true));
	expect(f, "one@0b;");
	assert_int_equal(pwrite(f->fd, "two\n", 4, 4), 4);
	assert_false(obs_stream_catch_up(f->stream, true));
	expect(f, "one@0b;two@4b;three@8b;");

	assert_int_equal(pwrite(f->fd, "\0five\n\0", 7, 14), 7);
	assert_false(obs_stream_catch_up(f->stream, true));
	expect(f, "one@0b;two@4b;three@8b;");
	obs_stream_end(f->stream); /* nobody will fill it now */
	assert_non_null(strstr(obs_buf_cstr(&f->out), "@14b;"));
}

/* The same file, whose writes nobody tells of. */
static void follow_untold(struct fixture *f, const struct obs_cursor *cursor)
{
	obs_stream_free(&f->stream);
	f->opt.captured = false;
	open_stream(f, cursor, -1);
}

/* Both sweeps that it takes; later than the file's time of before. Return: is it to be read? */
static bool sweep_twice(struct fixture *f)
{
	assert_false(obs_stream_sweep(f->stream));
	return obs_stream_sweep(f->stream);
}

static void write_later(struct fixture *f, const char *text, uint64_t at)
{
	usleep(20000); /* more than a tick: the file gets another time */
	assert_int_equal(pwrite(f->fd, text, strlen(text), (off_t)at), strlen(text));
}

static void the_same_again_is_new_when_its_signs_say_so(void **state)
{
	struct fixture *f = *state;
	struct obs_rewrite r;

	follow_untold(f, NULL);
	append(f, "one\ntwo\n");
	obs_stream_catch_up(f->stream, true);
	write_later(f, "one\ntwo\n", 0);
	obs_stream_sign(f->stream, OBS_STREAM_OPENED);
	obs_stream_sign(f->stream, OBS_STREAM_MODIFIED);
	assert_true(sweep_twice(f));
	obs_stream_catch_up(f->stream, false);
	expect(f, "one@0b;two@4b;one@0b;two@4b;");
	assert_int_equal(obs_stream_epoch(f->stream), 1);
	assert_int_equal(get(&f->counters.truncations), 1);
	assert_int_equal(get(&f->counters.rewrites), 0);
	assert_false(sweep_twice(f));
	assert_false(obs_stream_take_rewrites(f->stream, &r));

	/* only written to: in place, for all we know */
	write_later(f, "one\ntwo\n", 0);
	obs_stream_sign(f->stream, OBS_STREAM_MODIFIED);
	assert_false(sweep_twice(f));
	assert_true(obs_stream_take_rewrites(f->stream, &r));
	assert_int_equal(r.writes, 1);
	assert_int_equal(r.offset, 0);
	assert_int_equal(r.end, 8);
	assert_int_equal(r.pid, 0);
	assert_true(r.wall_ns > 0);
	assert_int_equal(get(&f->counters.rewrites), 1);
	expect(f, "one@0b;two@4b;one@0b;two@4b;");
}

/* Another text where the cursor's own bytes do not reach. */
static void a_write_in_place_that_nobody_tells_of_is_told(void **state)
{
	struct fixture *f = *state;
	cleanup_buf struct obs_buf old = {};
	struct obs_cursor cursor;
	struct obs_rewrite r;

	for (int i = 0; i < 1000; i++)
		obs_buf_printf(&old, "old %d\n", i);
	follow_untold(f, NULL);
	append(f, obs_buf_cstr(&old));
	obs_stream_catch_up(f->stream, true);
	assert_int_equal(get(&f->counters.lines_parsed), 1000);
	assert_true(obs_stream_cursor(f->stream, &cursor));
	write_later(f, "new", 6);
	obs_stream_sign(f->stream, OBS_STREAM_OPENED | OBS_STREAM_MODIFIED);
	assert_false(sweep_twice(f));
	assert_true(obs_stream_take_rewrites(f->stream, &r));
	assert_int_equal(get(&f->counters.rewrites), 1);
	assert_true(obs_stream_cursor(f->stream, &cursor)); /* not older than that */

	/* the same while nobody was there: the cursor is older than the file */
	write_later(f, "New", 6);
	follow_untold(f, &cursor);
	assert_true(obs_stream_take_rewrites(f->stream, &r));
	assert_int_equal(r.end, f->size);
	assert_int_equal(get(&f->counters.rewrites), 2);
	assert_false(sweep_twice(f));
	assert_false(obs_stream_take_rewrites(f->stream, &r));
	assert_int_equal(get(&f->counters.lines_parsed), 1000);

	/* and the same again is known after a restart, too */
	write_later(f, "New", 6);
	obs_stream_sign(f->stream, OBS_STREAM_OPENED | OBS_STREAM_MODIFIED);
	assert_true(sweep_twice(f));
	obs_stream_catch_up(f->stream, false);
	assert_int_equal(get(&f->counters.lines_parsed), 2000);
	assert_int_equal(get(&f->counters.rewrites), 2);
}

static void captured_bytes_of_a_file_that_is_gone_are_kept(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = append(f, "kept\n");

	c.flags = OBS_CHUNK_SHARED; /* the file would be preferred */
	assert_int_equal(ftruncate(f->fd, 0), 0);
	give(f, c);
	expect(f, "kept@0;");
	assert_int_equal(get(&f->counters.bytes_lost_unreadable), 0);
}

static void bytes_that_nothing_holds_are_counted(void **state)
{
	struct obs_stream_start start = { .from_zero = true };
	struct obs_file_id id = { .ino = 1, .dev = 2, .gen = 3 };
	struct fixture *f = *state;
	struct obs_chunk c;

	append(f, "lost\n");
	c = append(f, "seen\n");
	assert_int_equal(ftruncate(f->fd, 0), 0);
	give(f, c);
	expect(f, "seen@5;");
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 5);
	assert_int_equal(get(&f->counters.bytes_lost_unreadable), 0);

	/* A file that could not be opened. */
	obs_stream_free(&f->stream);
	assert_int_equal(
		obs_stream_new_file(&f->opt, &id, -1, f->path, NULL, &start, NULL, &f->stream), 0);
	c.offset = 7;
	give(f, c);
	c.offset = 12;
	c.len += 3;
	give(f, c);
	expect(f, "seen@5;seen@7;seen@12;");
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 5);
	assert_int_equal(get(&f->counters.bytes_lost_unreadable), 7 + 3);
}

/* Emptied before its end was read, of which the last record had only the beginning. */
static struct obs_chunk cut_write(struct fixture *f)
{
	struct obs_chunk c = append(f, "captured\nhalf, the rest is not\n");

	c.payload.len = 13;
	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	return c;
}

static void what_a_cut_write_had_more_is_lost_unless_copied(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cut;
	uint64_t lost;

	give(f, append(f, "before\n"));
	give(f, cut_write(f));
	assert_false(obs_stream_is_behind(f->stream)); /* records of before may follow */
	give(f, append(f, "after\n"));
	expect(f, "before@0;captured@7;half@16;after@0;");
	assert_true(obs_stream_take_cut(f->stream, &cut, &lost));
	assert_int_equal(cut.offset, 20);
	assert_int_equal(lost, 18);
	/* who took it looks for a copy, and counts */
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 0);
	assert_false(obs_stream_take_cut(f->stream, &cut, &lost));
	assert_int_equal(lost, 0);
	obs_stream_free(&f->stream);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 0);
	assert_int_equal(get(&f->counters.bytes_lost_unreadable), 0);
}

/* Another record of before the cut: there is a gap between the two, whatever a copy may hold. */
static void a_gap_before_a_cut_is_counted(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk a = append(f, "long long\n"), b = append(f, "next\n");

	a.payload.len = 4;
	assert_int_equal(ftruncate(f->fd, 0), 0);
	give(f, a);
	give(f, b);
	expect(f, "long@0;next@10;");
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 6);
}

/* The second time it is emptied nobody has asked after the first. */
static void the_loss_of_a_cut_that_nobody_took_is_counted(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cut;
	uint64_t lost;

	give(f, cut_write(f));
	give(f, append(f, "after\n"));
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 0);
	give(f, append(f, "and\n"));
	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	give(f, append(f, "anew\n"));
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 18);
	assert_true(obs_stream_take_cut(f->stream, &cut, &lost));
	assert_int_equal(lost, 0);

	/* and when the file is followed no longer, with what is gone, and with a cut */
	give(f, append(f, "it goes on\n"));
	give(f, cut_write(f));
	obs_stream_free(&f->stream);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 2 * 18);
	open_stream(f, NULL, -1);
	give(f, cut_write(f));
	give(f, append(f, "after\n"));
	obs_stream_free(&f->stream);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), 3 * 18);
}

/* A writer that keeps its offset had written what nobody read before the file was emptied. */
static void what_zeroes_stand_for_is_counted(void **state)
{
	struct fixture *f = *state;
	cleanup_buf struct obs_buf old = {};
	uint64_t unread;

	for (int i = 0; i < 1000; i++)
		obs_buf_printf(&old, "old %d\n", i);
	give(f, append(f, obs_buf_cstr(&old)));
	unread = append(f, obs_buf_cstr(&old)).len; /* its record is lost */
	assert_int_equal(ftruncate(f->fd, 0), 0);
	append(f, "new\n");
	obs_buf_reset(&f->out);
	obs_stream_catch_up(f->stream, true);
	assert_non_null(strstr(obs_buf_cstr(&f->out), "new@"));
	assert_int_equal(get(&f->counters.lines_parsed), 1001);
	assert_int_equal(get(&f->counters.truncations), 1);
	assert_int_equal(get(&f->counters.bytes_lost_truncated), unread);
}

static void a_cursor_goes_on_where_it_stood(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;

	give(f, append(f, "one\ntwo\npart"));
	assert_true(obs_stream_cursor(f->stream, &cursor));
	assert_int_equal(cursor.offset, 8); /* a line without an end is not done */
	assert_false(obs_stream_cursor(f->stream, &cursor));

	obs_stream_free(&f->stream);
	append(f, "ial\nthree\n");
	open_stream(f, &cursor, 0);
	assert_false(obs_stream_catch_up(f->stream, false));
	expect(f, "one@0;two@4;partial@8b;three@16b;");
	assert_int_equal(obs_stream_epoch(f->stream), 0);
}

static void a_cursor_of_another_file_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct obs_cursor cursor;

	give(f, append(f, "one\ntwo\n"));
	assert_true(obs_stream_cursor(f->stream, &cursor));
	obs_stream_free(&f->stream);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	f->size = 0;
	append(f, "another file with the same inode\n");
	open_stream(f, &cursor, 0);
	obs_stream_catch_up(f->stream, false);
	expect(f, "one@0;two@4;another file with the same inode@0b;");
	assert_int_equal(obs_stream_epoch(f->stream), 1);
}

static void only_the_tail_of_an_old_file_is_read(void **state)
{
	struct fixture *f = *state;

	obs_stream_free(&f->stream);
	append(f, "one\ntwo\nthree\n");
	open_stream(f, NULL, 2);
	obs_stream_catch_up(f->stream, false);
	expect(f, "two@4b;three@8b;");
}

static void growth_is_read_at_the_second_sweep(void **state)
{
	struct fixture *f = *state;

	append(f, "by mmap\n");
	assert_false(obs_stream_sweep(f->stream)); /* its record may be on its way */
	assert_true(obs_stream_sweep(f->stream));
	obs_stream_catch_up(f->stream, false);
	expect(f, "by mmap@0b;");
}

static void consoles_keep_what_they_are_given(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = { .payload = OBS_SLICE("half"), .len = 4, .pid = 7 };

	obs_stream_free(&f->stream);
	assert_int_equal(obs_stream_new_console(&f->opt, 7, 1, NULL, &f->stream), 0);
	give(f, c);
	c.payload = OBS_SLICE(" a line\r50%\r");
	give(f, c);
	obs_stream_end(f->stream);
	assert_non_null(strstr(obs_buf_cstr(&f->out), "half a line"));
}

/* What was said between two writes is lost: they are not one line. */
static void half_a_line_ends_before_a_loss(void **state)
{
	struct fixture *f = *state;
	struct obs_chunk c = { .payload = OBS_SLICE("half"), .len = 4, .pid = 7, .lost = 3 };
	uint64_t at;

	obs_stream_free(&f->stream);
	assert_int_equal(obs_stream_new_console(&f->opt, 7, 1, NULL, &f->stream), 0);
	give(f, c);
	c.payload = OBS_SLICE(" of one\nstart ");
	give(f, c);
	assert_true(obs_stream_waits(f->stream, &at));
	assert_int_equal(at, 12);
	c.payload = OBS_SLICE("end of another\n");
	c.lost = 4;
	give(f, c);
	obs_stream_end(f->stream);
	assert_non_null(strstr(obs_buf_cstr(&f->out), "half of one@0;"));
	assert_non_null(strstr(obs_buf_cstr(&f->out), "start @12;"));
	assert_non_null(strstr(obs_buf_cstr(&f->out), "end of another@18;"));
}

/* Of an engine's file only what was not captured is taken. */
static void only_what_was_not_heard_is_taken(void **state)
{
	struct fixture *f = *state;
	struct obs_stream_start start = { .from_zero = true, .kept = OBS_KEPT_TEXT };
	struct obs_file_id id = { .ino = 1, .dev = 2, .gen = 3 };
	struct obs_heard *heard;

	obs_stream_free(&f->stream);
	assert_int_equal(obs_heard_new(1024, &heard), 0);
	assert_int_equal(obs_stream_new_file(&f->opt, &id, open(f->path, O_RDONLY | O_CLOEXEC),
					     f->path, NULL, &start, NULL, &f->stream),
			 0);
	obs_stream_set_heard(f->stream, heard);
	obs_heard_write(heard, 1, OBS_SLICE("one\nthree\n"), 1791245829000000000ULL);
	append(f, "2026-10-06T00:17:09Z stdout F one\n2026-10-06T00:17:10Z stderr F two\n"
		  "2026-10-06T00:17:11Z stdout F three\n");
	assert_false(obs_stream_catch_up(f->stream, true));
	obs_stream_end(f->stream);
	expect(f, "two@34b;");
	assert_int_equal(get(&f->counters.console_lines_matched), 2);
	assert_int_equal(get(&f->counters.console_lines_repaired), 1);
	assert_int_equal(get(&f->counters.lines_backfilled), 1);
	assert_int_equal(get(&f->counters.bytes_backfilled), 3);
	assert_int_equal(obs_stream_read_wall_ns(f->stream), 1791245831000000000ULL);
	obs_stream_free(&f->stream);
	obs_heard_free(&heard);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(captured_writes_need_no_file),
		T(a_hole_is_read_back),
		T(records_out_of_order_come_out_in_order),
		T(a_payload_that_was_cut_is_completed),
		T(a_shared_description_is_not_believed),
		T(marks_make_it_look),
		T(a_truncated_file_begins_anew),
		T(a_file_cut_and_grown_again_is_noticed),
		T(a_rewrite_is_counted_and_not_repeated),
		T(a_rewrite_of_the_last_line_is_no_new_file),
		T(room_at_the_end_is_read_when_it_is_filled),
		T(a_write_that_returns_after_a_look_is_no_rewrite),
		T(a_rewrite_of_the_tail_is_no_new_file),
		T(the_same_text_again_is_new),
		T(a_writer_behind_zeroes_goes_on),
		T(what_was_captured_before_a_cut_is_kept),
		T(last_words_are_taken),
		T(room_in_between_is_waited_for),
		T(the_same_again_is_new_when_its_signs_say_so),
		T(a_write_in_place_that_nobody_tells_of_is_told),
		T(captured_bytes_of_a_file_that_is_gone_are_kept),
		T(bytes_that_nothing_holds_are_counted),
		T(what_a_cut_write_had_more_is_lost_unless_copied),
		T(a_gap_before_a_cut_is_counted),
		T(the_loss_of_a_cut_that_nobody_took_is_counted),
		T(what_zeroes_stand_for_is_counted),
		T(a_cursor_goes_on_where_it_stood),
		T(a_cursor_of_another_file_is_not_believed),
		T(only_the_tail_of_an_old_file_is_read),
		T(growth_is_read_at_the_second_sweep),
		T(consoles_keep_what_they_are_given),
		T(half_a_line_ends_before_a_loss),
		T(only_what_was_not_heard_is_taken),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
