// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_last_lines.c - what a process wrote last, and which error that was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/last_lines.h"
#include "util/cleanup.h"

#define G3(level) "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][" level "] - "

static const struct {
	const char *written;
	const char *lines; /* each with a newline */
	const char *code;
} cases[] = {
	{ "", "", NULL },
	{ "a\nb\n", "a\nb\n", NULL },
	{ "a\nunfinished", "a\nunfinished\n", NULL },
	{ "\n \n\ta\n\n", "\ta\n", NULL },
	{ "\033[31m>> An error\033[0m\n", ">> An error\n", NULL },
	/* of a bar the last state */
	{ "a\nMap: 0%\rMap: 50%\rMap: 100%\nb\n", "a\nMap: 100%\nb\n", NULL },
	/* to the log and to the console */
	{ "a\na\nb\nb\n", "a\nb\n", NULL },
	{ "\x01\x02\x7f model\n"
	  "a\n",
	  "a\n", NULL },
	{ G3("ERROR") "Exception occurred during game run.\nTraceback (most recent call last):\n"
		      "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB.\n",
	  NULL, "CUDA_OOM" },
	{ G3("ERROR") "Exception occurred during game run.\nTraceback (most recent call last):\n"
		      "TypeError: cannot unpack non-iterable NoneType object\n",
	  NULL, "GAME_EXCEPTION" },
	{ "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Identity from `/root/swarm.pem` "
	  "is already taken by another peer\n",
	  NULL, "IDENTITY_TAKEN" },
	/* no trainer ends of this */
	{ G3("DEBUG") "400 Client Error: Bad Request for url: "
		      "http://localhost:3000/api/submit-reward\n",
	  NULL, NULL },
};

static void lines_and_code(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_last_lines t = {};
		cleanup_buf struct obs_buf text = {}, all = {};
		struct obs_slice lines[OBS_LAST_LINES];
		const char *code;
		size_t n;

		obs_last_lines_push(&t, obs_slice_str(cases[i].written));
		n = obs_last_lines_take(&t, &text, lines);
		for (size_t k = 0; k < n; k++)
			obs_buf_printf(&all, "%.*s\n", (int)lines[k].len, lines[k].p);
		if (cases[i].lines)
			assert_string_equal(obs_buf_cstr(&all), cases[i].lines);
		code = obs_last_lines_code(lines, n);
		assert_string_equal(code ? code : "", cases[i].code ? cases[i].code : "");
		obs_last_lines_free(&t);
	}
}

static void memory_and_lines_are_bounded(void **state)
{
	static char huge[3 * OBS_LAST_BYTES];
	struct obs_last_lines t = {};
	cleanup_buf struct obs_buf text = {};
	struct obs_slice lines[OBS_LAST_LINES];
	char line[64];
	size_t n;

	(void)state;
	memset(huge, 'x', sizeof(huge));
	obs_last_lines_push(&t, obs_slice(huge, sizeof(huge)));
	assert_int_equal(t.len, OBS_LAST_BYTES);
	assert_int_equal(obs_last_lines_take(&t, &text, lines), 1);
	assert_int_equal(lines[0].len, OBS_LAST_LINE_BYTES);

	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		obs_last_lines_push(&t, obs_slice_str(line));
	}
	assert_int_equal(t.len, OBS_LAST_BYTES);
	n = obs_last_lines_take(&t, &text, lines);
	assert_int_equal(n, OBS_LAST_LINES);
	assert_true(obs_slice_eq(lines[0], OBS_SLICE("line 980")));
	assert_true(obs_slice_eq(lines[19], OBS_SLICE("line 999")));
	obs_last_lines_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_and_code),
		cmocka_unit_test(memory_and_lines_are_bounded),
	};

	return cmocka_run_group_tests_name("last_lines", tests, NULL, NULL);
}
