// SPDX-License-Identifier: BSD-2-Clause
/* test_lines.c - bytes in any pieces, lines in order. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "stream/lines.h"

#define LIMIT 16

static void note(void *ctx, const struct obs_line *line)
{
	obs_buf_printf(ctx, "%llu:%.*s%s|", (unsigned long long)line->offset, (int)line->text.len,
		       line->text.p ? line->text.p : "", line->truncated ? "!" : "");
}

static const struct {
	const char *name;
	struct obs_slice in;
	const char *want; /* offset:text, ! = cut */
} cases[] = {
	{ "lf", OBS_SLICE("a\nbc\n"), "0:a|2:bc|" },
	{ "crlf is one end", OBS_SLICE("a\r\nb\r\n"), "0:a|3:b|" },
	{ "lone cr ends a bar's state", OBS_SLICE("1%\r2%\rx\n"), "0:1%|3:2%|6:x|" },
	{ "blank lines are lines", OBS_SLICE("\n\na\n\r\n"), "0:|1:|2:a|4:|" },
	{ "two crs", OBS_SLICE("a\r\rb\n"), "0:a|2:|3:b|" },
	{ "no end", OBS_SLICE("a\nbc"), "0:a|2:bc|" },
	{ "NUL inside", OBS_SLICE("a\0b\nc\n"), "0:a|4:c|" },
	{ "at the limit", OBS_SLICE("0123456789abcdef\nx\n"), "0:0123456789abcdef|17:x|" },
	{ "one past it", OBS_SLICE("0123456789abcdefg\nx\n"), "0:0123456789abcdef!|18:x|" },
	{ "cut, no end", OBS_SLICE("0123456789abcdefghij"), "0:0123456789abcdef!|" },
};

static void push(struct obs_lines *l, struct obs_slice s, size_t from, size_t n)
{
	struct obs_line meta = { .text = obs_slice(s.p + from, n), .offset = from };

	assert_int_equal(obs_lines_push(l, &meta), 0);
}

/* Whatever pieces the bytes come in, the lines are the same. */
static void run_case(size_t i, size_t piece)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_lines *l = NULL;

	assert_int_equal(obs_lines_new(LIMIT, note, &got, &l), 0);
	for (size_t at = 0; at < cases[i].in.len; at += piece) {
		size_t left = cases[i].in.len - at;

		push(l, cases[i].in, at, left < piece ? left : piece);
	}
	obs_lines_flush(l);
	check_text(cases[i].name, obs_buf_slice(&got), cases[i].want);
	obs_lines_free(&l);
}

static void lines_do_not_depend_on_the_pieces(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece <= 20; piece++)
			run_case(i, piece);
	}
}

static void pending_names_the_first_byte(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_lines *l = NULL;
	uint64_t at = 99;

	(void)state;
	assert_int_equal(obs_lines_new(8, note, &got, &l), -EINVAL);
	assert_int_equal(obs_lines_new(LIMIT, note, &got, &l), 0);
	assert_false(obs_lines_pending(l, &at));
	push(l, OBS_SLICE("ab\ncd"), 0, 5);
	assert_true(obs_lines_pending(l, &at));
	assert_int_equal(at, 3);
	obs_lines_reset(l);
	assert_false(obs_lines_pending(l, &at));
	obs_lines_flush(l);
	check_text("after reset", obs_buf_slice(&got), "0:ab|");
	assert_int_equal(obs_lines_cut(l), 0);
	obs_lines_free(&l);
}

static void meta_is_of_the_last_bytes(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_lines *l = NULL;
	struct obs_line meta = { .text = OBS_SLICE("a"), .wall_ns = 1 };

	(void)state;
	assert_int_equal(obs_lines_new(LIMIT, note, &got, &l), 0);
	assert_int_equal(obs_lines_push(l, &meta), 0);
	meta = (struct obs_line){ .text = OBS_SLICE("\n"), .offset = 1, .wall_ns = 2, .pid = 7 };
	assert_int_equal(obs_lines_push(l, &meta), 0);
	check_text("line", obs_buf_slice(&got), "0:a|");
	obs_lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_do_not_depend_on_the_pieces),
		cmocka_unit_test(pending_names_the_first_byte),
		cmocka_unit_test(meta_is_of_the_last_bytes),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
