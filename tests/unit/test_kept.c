// SPDX-License-Identifier: BSD-2-Clause
/* test_kept.c - what engines keep of consoles, taken apart: entries, and the lines they make. */
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

#include "parse/kept.h"
#include "stream/kept.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define T0		   "2026-10-06T00:17:09.000000005Z"
#define T0_NS		   1791245829000000005ULL
#define JSON(text, stream) "{\"log\":\"" text "\",\"stream\":\"" stream "\",\"time\":\"" T0 "\"}"

static const struct text_case {
	const char *line, *text; /* text NULL: no entry */
	int fd;
	bool ends;
	uint64_t wall_ns;
} texts[] = {
	{ JSON("a\\n", "stdout"), "a", 1, true, T0_NS },
	{ JSON("a\\r\\n", "stderr"), "a\r", 2, true, T0_NS },
	{ JSON("first part", "stdout"), "first part", 1, false, T0_NS },
	{ JSON("\\u003c\\\"\\\\\\n", "stdout"), "<\"\\", 1, true, T0_NS },
	{ JSON("\\n", "stdout"), "", 1, true, T0_NS },
	{ "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"attrs\":{\"time\":\"1999-01-01T00:00:00Z\"},"
	  "\"time\":\"" T0 "\"}",
	  "a", 1, true, T0_NS },
	{ "{\"log\":\"a\\n\"}", "a", 1, true, 0 },
	{ "{\"log\":\"a", NULL, 0, false, 0 },
	{ "{\"level\":\"info\"}", NULL, 0, false, 0 },
	{ T0 " stdout F whole", "whole", 1, true, T0_NS },
	{ T0 " stderr P part ", "part ", 2, false, T0_NS },
	{ T0 " stdout F:x:y tagged", "tagged", 1, true, T0_NS },
	{ T0 " stdout F ", "", 1, true, T0_NS },
	{ T0 " stdout F", "", 1, true, T0_NS },
	{ T0 " stdin F no", NULL, 0, false, 0 },
	{ T0 " stdout Q no", NULL, 0, false, 0 },
	{ T0 " stdout Full no", NULL, 0, false, 0 },
	{ "2026-10-06 00:17:09 stdout F no zone", NULL, 0, false, 0 },
	{ "", NULL, 0, false, 0 },
};

static void a_line_of_text_is_one_entry(void **state)
{
	cleanup_buf struct obs_buf scratch = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const struct text_case *c = &texts[i];
		struct obs_kept_entry e = {};

		if (obs_kept_text(obs_slice_str(c->line), &scratch, &e) != (c->text != NULL))
			fail_msg("%s: taken for an entry, or not", c->line);
		if (!c->text)
			continue;
		if (!obs_slice_eq(e.text, obs_slice_str(c->text)) || e.fd != c->fd ||
		    e.ends != c->ends || e.wall_ns != c->wall_ns)
			fail_msg("%s: '%.*s' %d %d %llu", c->line, (int)e.text.len, e.text.p, e.fd,
				 e.ends, (unsigned long long)e.wall_ns);
	}
}

/* --- Docker's local driver --- */

#define FRAME(len, body) "\0\0\0" len body "\0\0\0" len
/* source, time_nano 5, line */
#define OUT(len, text)	      "\x0a\x06stdout\x10\x05\x1a" len text
#define PARTIAL		      "\x20\x01"
#define PART(last)	      "\x2a\x06\x08" last "\x12\x02id"
#define WHOLE_OUT(text3)      FRAME("\x0f", OUT("\x03", text3))
#define WHOLE_ERR(text3)      FRAME("\x0f", "\x0a\x06stderr\x10\x05\x1a\x03" text3)
#define PART_OUT(text3, last) FRAME("\x19", OUT("\x03", text3) PARTIAL PART(last))

static const struct local_case {
	const char *name;
	struct obs_slice bytes;
	ssize_t want;
	const char *text;
	int fd;
	bool ends;
} locals[] = {
	{ "whole", OBS_SLICE(WHOLE_OUT("abc")), 23, "abc", 1, true },
	{ "stderr, and more behind it", OBS_SLICE(WHOLE_ERR("abc") "xyz"), 23, "abc", 2, true },
	{ "first part", OBS_SLICE(PART_OUT("abc", "\0")), 33, "abc", 1, false },
	{ "last part", OBS_SLICE(PART_OUT("abc", "\1")), 33, "abc", 1, true },
	{ "partial, of an old engine", OBS_SLICE(FRAME("\x11", OUT("\x03", "abc") PARTIAL)), 25,
	  "abc", 1, false },
	{ "no line", OBS_SLICE(FRAME("\x08", "\x0a\x06stdout")), 16, "", 1, true },
	{ "nothing", OBS_SLICE(""), 0, NULL, 0, false },
	{ "half a length", OBS_SLICE("\0\0"), 0, NULL, 0, false },
	{ "half a frame", OBS_SLICE("\0\0\0\x0f\x0a\x06std"), 0, NULL, 0, false },
	{ "no length", OBS_SLICE("\0\0\0\0\0\0\0\0"), -EBADMSG, NULL, 0, false },
	{ "too long", OBS_SLICE("\x7f\0\0\0"), -EBADMSG, NULL, 0, false },
	{ "lengths differ", OBS_SLICE("\0\0\0\x01\x20\0\0\0\x02"), -EBADMSG, NULL, 0, false },
	{ "a field without end", OBS_SLICE(FRAME("\x02", "\x1a\x7f")), -EBADMSG, NULL, 0, false },
};

static void a_frame_is_one_entry(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(locals); i++) {
		const struct local_case *c = &locals[i];
		struct obs_kept_entry e = {};
		ssize_t n = obs_kept_local(c->bytes, &e);

		if (n != c->want)
			fail_msg("%s: %zd", c->name, n);
		if (n <= 0)
			continue;
		if (!obs_slice_eq(e.text, obs_slice_str(c->text)) || e.fd != c->fd ||
		    e.ends != c->ends)
			fail_msg("%s: '%.*s' %d %d", c->name, (int)e.text.len, e.text.p, e.fd,
				 e.ends);
	}
}

/* --- lines --- */

/* "fd:text@offset/entry;" per line; a long text by its length */
static void on_line(void *ctx, int fd, const struct obs_line *line, uint64_t entry)
{
	struct obs_buf *out = ctx;

	if (line->text.len > 20)
		obs_buf_printf(out, "%d:#%zu", fd, line->text.len);
	else
		obs_buf_printf(out, "%d:%.*s", fd, (int)line->text.len, line->text.p);
	obs_buf_printf(out, "@%llu/%llu%s;", (unsigned long long)line->offset,
		       (unsigned long long)entry, line->truncated ? "!" : "");
}

static const struct lines_case {
	const char *name;
	enum obs_kept_format format;
	struct obs_slice bytes;
	const char *want;
} lines[] = {
	{ "json-file", OBS_KEPT_TEXT,
	  OBS_SLICE(JSON("a\\n", "stdout") "\n" JSON("b\\n", "stderr") "\n"),
	  "1:a@0/0;2:b@72/72;" },
	{ "parts with another's line between", OBS_KEPT_TEXT,
	  OBS_SLICE(JSON("ab", "stdout") "\n" JSON("x\\n", "stderr") "\n" JSON("cd\\n",
									       "stdout") "\n"),
	  "2:x@71/71;1:abcd@0/0;" },
	{ "a bar in one entry", OBS_KEPT_TEXT, OBS_SLICE(JSON("1\\r2\\r3\\n", "stdout") "\n"),
	  "1:1@0/0;1:2@2/0;1:3@4/0;" },
	{ "a bar's last state goes on in another", OBS_KEPT_TEXT,
	  OBS_SLICE(JSON("1\\r2", "stdout") "\n" JSON("3\\n", "stdout") "\n"),
	  "1:1@0/0;1:23@2/0;" },
	{ "no entry at all", OBS_KEPT_TEXT, OBS_SLICE("plain\n" T0 " stdout F cri\n"),
	  "1:plain@0/0;1:cri@6/6;" },
	{ "local", OBS_KEPT_LOCAL,
	  OBS_SLICE(WHOLE_OUT("abc") PART_OUT("def", "\0") WHOLE_ERR("xyz") PART_OUT("ghi", "\1")),
	  "1:abc@0/0;2:xyz@56/56;1:defghi@23/23;" },
	{ "local, and rubbish between", OBS_KEPT_LOCAL,
	  OBS_SLICE(WHOLE_OUT("abc") "rubbish" WHOLE_OUT("def")), "1:abc@0/0;1:def@30/30;" },
};

static void entries_become_lines_however_they_come(void **state)
{
	static const size_t steps[] = { 1, 7, 4096 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines) * ARRAY_LEN(steps); i++) {
		const struct lines_case *c = &lines[i / ARRAY_LEN(steps)];
		size_t step = steps[i % ARRAY_LEN(steps)];
		cleanup_buf struct obs_buf out = {};
		struct obs_kept_place place;
		struct obs_kept *k;

		assert_int_equal(obs_kept_new(c->format, 4096, on_line, &out, &k), 0);
		for (size_t at = 0; at < c->bytes.len; at += step) {
			size_t n = c->bytes.len - at < step ? c->bytes.len - at : step;

			obs_kept_push(k, obs_slice(c->bytes.p + at, n), at);
		}
		if (strcmp(obs_buf_cstr(&out), c->want) != 0)
			fail_msg("%s in steps of %zu: %s", c->name, step, obs_buf_cstr(&out));
		assert_false(obs_kept_pending(k, 1, &place));
		assert_int_equal(obs_kept_bad_bytes(k), strstr(c->name, "rubbish") ? 7 : 0);
		obs_kept_free(&k);
	}
}

static void push_text(struct obs_kept *k, const char *text, uint64_t *at)
{
	obs_kept_push(k, obs_slice_str(text), *at);
	*at += strlen(text);
}

static void what_waits_is_known_by_its_entry(void **state)
{
	cleanup_buf struct obs_buf out = {};
	struct obs_kept_place place;
	struct obs_kept *k;
	uint64_t at = 0;

	(void)state;
	assert_int_equal(obs_kept_new(OBS_KEPT_TEXT, 4096, on_line, &out, &k), 0);
	push_text(k, JSON("a\\n", "stdout") "\n", &at);
	push_text(k, JSON("1\\r2", "stdout") "\n" JSON("e\\n", "stderr") "\n", &at);
	assert_true(obs_kept_pending(k, 1, &place));
	assert_int_equal(place.entry, 72);
	assert_int_equal(place.offset, 74);
	assert_false(obs_kept_pending(k, 2, &place));
	push_text(k, "{\"log", &at);
	assert_true(obs_kept_pending(k, 2, &place));
	assert_int_equal(place.offset, at - 5);
	assert_true(obs_kept_quiet(k));
	obs_kept_flush(k);
	assert_false(obs_kept_pending(k, 1, &place));
	assert_string_equal(obs_buf_cstr(&out), "1:a@0/0;1:1@72/72;2:e@145/145;1:2@74/72;");
	assert_int_equal(obs_kept_bad_bytes(k), 5);
	obs_kept_free(&k);
}

static void memory_has_bounds(void **state)
{
	static char big[2 * OBS_KEPT_ENTRY_MAX];
	cleanup_buf struct obs_buf out = {};
	struct obs_kept *k;
	uint64_t at = 0;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(obs_kept_new(OBS_KEPT_TEXT, 64, on_line, &out, &k), 0);
	/* a line without end, longer than an entry may be */
	obs_kept_push(k, obs_slice(big, sizeof(big)), at);
	at += sizeof(big);
	push_text(k, "\n", &at);
	/* parts without end: cut at the limit for lines */
	for (int i = 0; i < 1000; i++)
		push_text(k, JSON("0123456789", "stdout") "\n", &at);
	push_text(k, JSON("\\n", "stdout") "\n", &at);
	assert_int_equal(obs_kept_bad_bytes(k), sizeof(big) + 1);
	assert_string_equal(obs_buf_cstr(&out), "1:#64@2097153/2097153!;");
	obs_kept_free(&k);
}

static void the_last_frames_are_found_from_the_end(void **state)
{
	static const char frames[] = WHOLE_OUT("abc") WHOLE_ERR("def") PART_OUT("ghi", "\1");
	const uint64_t size = sizeof(frames) - 1;
	cleanup_close int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, frames, size, 0), size);
	assert_int_equal(obs_kept_tail_start(fd, size, 1), 46);
	assert_int_equal(obs_kept_tail_start(fd, size, 2), 23);
	assert_int_equal(obs_kept_tail_start(fd, size, 9), 0);
	assert_int_equal(obs_kept_tail_start(fd, size - 1, 1), size - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_text_is_one_entry),
		cmocka_unit_test(a_frame_is_one_entry),
		cmocka_unit_test(entries_become_lines_however_they_come),
		cmocka_unit_test(what_waits_is_known_by_its_entry),
		cmocka_unit_test(memory_has_bounds),
		cmocka_unit_test(the_last_frames_are_found_from_the_end),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
