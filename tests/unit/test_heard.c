// SPDX-License-Identifier: BSD-2-Clause
/* test_heard.c - lines of an engine's file against the pieces that were captured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/heard.h"
#include "util/cleanup.h"

#define SECOND 1000000000ULL

/* Writes, each ended by '|'; lines of the file, each ended by '|', behind it + was heard, - not. */
static const struct heard_case {
	const char *name, *writes, *lines;
} cases[] = {
	{ "a line per write", "one\n|two\n|", "one|+two|+three|-" },
	{ "each only once", "same\n|same\n|", "same|+same|+same|-" },
	{ "several lines in a write", "a\nb\n\nc\n|", "a|+b|+|+c|+|-" },
	{ "a line in pieces", "text| and |more|\n|", "text and more|+" },
	{ "a piece was lost", "text|more\n|", "text and more|-text|-" },
	{ "two writers' halves", "AAA|BBB\n|CCC\n|", "AAABBB|+CCC|+" },
	{ "of three writers", "A|B|C\n|D\n|\n|", "BAC|+D|+|+" },
	{ "a bar", "\r 1%|\r 2%|\n|", "|+ 1%|+ 2%|+" },
	{ "dos", "a\r\n|b\r|\n|", "a|+b|+|-" },
	{ "a shorter piece leads on", "ab|a|bc\n|", "abc|+" },
	{ "not UTF-8", "x\xff\xfey\n|", "x\xef\xbf\xbd\xef\xbf\xbdy|+" },
	{ "nothing captured", "", "one|-|-" },
	{ "an end is needed", "abc|", "abc|-" },
};

static void play(struct obs_heard *h, const char *writes, uint64_t ns)
{
	for (const char *end; (end = strchr(writes, '|')); writes = end + 1)
		obs_heard_write(h, 7, obs_slice(writes, (size_t)(end - writes)), ns);
}

static void lines_are_made_of_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct heard_case *c = &cases[i];
		const char *at = c->lines, *end;
		struct obs_heard *h;

		assert_int_equal(obs_heard_new(1024, &h), 0);
		play(h, c->writes, SECOND);
		for (; (end = strchr(at, '|')); at = end + 2) {
			enum obs_heard_answer want = end[1] == '+' ? OBS_HEARD_YES : OBS_HEARD_NOT;

			if (obs_heard_take(h, obs_slice(at, (size_t)(end - at)), false,
					   3 * SECOND) != want)
				fail_msg("%s: %.*s", c->name, (int)(end - at), at);
		}
		obs_heard_free(&h);
	}
}

static void what_was_not_met_does_not_count(void **state)
{
	struct obs_heard *h;

	(void)state;
	assert_int_equal(obs_heard_new(1024, &h), 0);
	play(h, "text| and |", SECOND);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("text and more"), false, SECOND),
			 OBS_HEARD_NOT);
	play(h, "more\n|", SECOND); /* those pieces are there still */
	assert_int_equal(obs_heard_take(h, OBS_SLICE("text and more"), false, SECOND),
			 OBS_HEARD_YES);
	assert_int_equal(obs_heard_count(h), 0);
	obs_heard_free(&h);
}

static void a_cut_line_is_known_by_what_there_is_of_it(void **state)
{
	static char part[4096], line[65536];
	struct obs_heard *h;

	(void)state;
	memset(part, 'x', sizeof(part));
	memset(line, 'x', sizeof(line));
	assert_int_equal(obs_heard_new(1024, &h), 0);
	for (int i = 0; i < 20; i++)
		obs_heard_write(h, 7, obs_slice(part, sizeof(part)), SECOND);
	play(h, "\n|", SECOND);
	assert_int_equal(obs_heard_take(h, obs_slice(line, sizeof(line)), true, SECOND),
			 OBS_HEARD_YES);
	obs_heard_free(&h);
}

static void the_oldest_go_first_and_that_is_known(void **state)
{
	struct obs_heard *h;
	char text[32];

	(void)state;
	assert_int_equal(obs_heard_new(2048, &h), 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "%d\n|", i);
		play(h, text, (uint64_t)(i + 1) * SECOND / 1000);
	}
	assert_int_equal(obs_heard_count(h), 2048);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("3"), false, SECOND), OBS_HEARD_UNSURE);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("952"), false, SECOND), OBS_HEARD_YES);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("951"), false, 3 * SECOND), OBS_HEARD_NOT);
	/* an engine that is a minute behind will not tell of them any more */
	assert_int_equal(obs_heard_take(h, OBS_SLICE("no"), false, 70 * SECOND), OBS_HEARD_NOT);
	assert_int_equal(obs_heard_count(h), 0);
	obs_heard_free(&h);
}

static void the_same_text_a_hundred_thousand_times_is_quick(void **state)
{
	struct obs_heard *h;

	(void)state;
	assert_int_equal(obs_heard_new(262144, &h), 0);
	for (int i = 0; i < 100000; i++)
		play(h, "same\n|", SECOND);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(obs_heard_take(h, OBS_SLICE("same"), false, SECOND),
				 OBS_HEARD_YES);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("same"), false, SECOND), OBS_HEARD_NOT);
	obs_heard_free(&h);
}

static bool waits(void *ctx, uint16_t writer, uint32_t seq)
{
	(void)ctx;
	assert_int_equal(writer, 7);
	return seq >= 990; /* the last ten */
}

static void a_time_of_which_nothing_is_known_is_left_alone(void **state)
{
	struct obs_heard *h;

	(void)state;
	assert_int_equal(obs_heard_new(1024, &h), 0);
	obs_heard_set_unsure(h, 10 * SECOND);
	play(h, "one\n|", 11 * SECOND);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("old"), false, 9 * SECOND), OBS_HEARD_UNSURE);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("one"), false, 11 * SECOND), OBS_HEARD_YES);
	assert_int_equal(obs_heard_take(h, OBS_SLICE("new"), false, 12 * SECOND), OBS_HEARD_NOT);
	obs_heard_free(&h);
}

static void it_goes_on_after_a_restart(void **state)
{
	struct obs_heard *h, *again;
	struct obs_heard_blocks b;
	char text[32];

	(void)state;
	assert_int_equal(obs_heard_new(4096, &h), 0);
	assert_int_equal(obs_heard_new(4096, &again), 0);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "%d\n|", i);
		play(h, text, (uint64_t)(i + 1) * SECOND);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(obs_heard_take(h, obs_slice_str(text), false, 0), OBS_HEARD_YES);
	}
	assert_int_equal(obs_heard_next(h), 1000);
	obs_heard_blocks(h, &b);
	assert_int_equal(b.first, 1);
	assert_int_equal(b.end, 4);
	for (uint32_t block = b.first; block < b.end; block++) {
		cleanup_buf struct obs_buf saved = {};

		obs_heard_save(h, block, waits, NULL, &saved);
		obs_heard_load(again, obs_buf_slice(&saved), 501 * SECOND);
	}
	assert_int_equal(obs_heard_count(again), 490);
	assert_int_equal(obs_heard_take(again, OBS_SLICE("499"), false, 0), OBS_HEARD_NOT);
	assert_int_equal(obs_heard_take(again, OBS_SLICE("500"), false, 0), OBS_HEARD_YES);
	assert_int_equal(obs_heard_take(again, OBS_SLICE("989"), false, 0), OBS_HEARD_YES);
	assert_int_equal(obs_heard_take(again, OBS_SLICE("990"), false, 0), OBS_HEARD_NOT);
	obs_heard_free(&h);
	obs_heard_free(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_made_of_pieces),
		cmocka_unit_test(what_was_not_met_does_not_count),
		cmocka_unit_test(a_cut_line_is_known_by_what_there_is_of_it),
		cmocka_unit_test(the_oldest_go_first_and_that_is_known),
		cmocka_unit_test(the_same_text_a_hundred_thousand_times_is_quick),
		cmocka_unit_test(a_time_of_which_nothing_is_known_is_left_alone),
		cmocka_unit_test(it_goes_on_after_a_restart),
	};

	return cmocka_run_group_tests_name("heard", tests, NULL, NULL);
}
