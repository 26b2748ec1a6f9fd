// SPDX-License-Identifier: BSD-2-Clause
/* test_canary.c - what was done and not seen is missed; what was not done is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/canary.h"
#include "util/cleanup.h"

#define FILE_	 (1u << OBS_CANARY_FILE)
#define CONSOLE_ (1u << OBS_CANARY_CONSOLE)
#define PROCESS_ (1u << OBS_CANARY_PROCESS)
#define CONNECT_ (1u << OBS_CANARY_CONNECTION)
#define ALL	 (FILE_ | CONSOLE_ | PROCESS_)

static void what_was_done_must_be_seen(void **state)
{
	static const struct {
		unsigned seen, done, missed;
	} cases[] = {
		{ ALL, ALL, 0 },
		{ 0, ALL, ALL },
		{ CONSOLE_ | PROCESS_, ALL, FILE_ },
		{ CONSOLE_ | PROCESS_, CONSOLE_ | PROCESS_, 0 }, /* a full disk */
		{ 0, 0, 0 },					 /* it never got anywhere */
		{ ALL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_canary_flight fl;
		bool all = false;

		obs_canary_flight_start(&fl, ALL);
		for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
			if (cases[i].seen & 1u << s)
				all = obs_canary_flight_saw(&fl, s);
		}
		assert_int_equal(all, cases[i].seen == ALL);
		assert_int_equal(obs_canary_flight_end(&fl, cases[i].done), cases[i].missed);
		/* judged: nothing that comes late changes it */
		assert_false(obs_canary_flight_saw(&fl, OBS_CANARY_FILE));
		assert_int_equal(obs_canary_flight_end(&fl, ALL), 0);
	}
}

static void the_probe_says_it_in_words(void **state)
{
	static struct obs_model model = { .n_probes = 4,
					  .probes = { { .need = "file writes" },
						      { .need = "container names" },
						      { .need = "processes" },
						      { .need = "connections" } } };

	(void)state;
	obs_canary_show(&model, ALL, FILE_, 77);
	assert_non_null(model.probes[0].blind);
	assert_null(model.probes[2].blind);
	assert_int_equal(model.probes[0].canary_ns, 77);
	assert_int_equal(model.probes[1].canary_ns, 0);
	assert_int_equal(model.probes[2].canary_ns, 77);

	assert_int_equal(model.probes[3].canary_ns, 0); /* was not to be seen */

	obs_canary_show(&model, ALL | CONNECT_, CONNECT_, 78);
	assert_non_null(model.probes[3].blind);
	assert_null(model.probes[0].blind);
	assert_int_equal(model.probes[0].canary_ns, 78);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_done_must_be_seen),
		cmocka_unit_test(the_probe_says_it_in_words),
	};

	return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
