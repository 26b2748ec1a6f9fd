// SPDX-License-Identifier: BSD-2-Clause
/* test_canary.c - what was done and not seen is missed; what was not done is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "obs/wire.h"
#include "observe/canary.h"
#include "util/cleanup.h"

#define BIT(sight) (1u << OBS_CANARY_##sight)
#define ALL	   (BIT(FILE) | BIT(CONSOLE) | BIT(EXIT))
#define CHILD	   4711

static void what_was_done_must_be_seen(void **state)
{
	static const struct {
		unsigned seen, done, missed;
	} cases[] = {
		{ ALL, ALL, 0 },
		{ 0, ALL, ALL },
		{ BIT(CONSOLE) | BIT(EXIT), ALL, BIT(FILE) },
		{ BIT(CONSOLE) | BIT(EXIT), BIT(CONSOLE) | BIT(EXIT), 0 }, /* a full disk */
		{ 0, 0, 0 },						   /* it could do nothing */
		{ ALL, 0, 0 },
		{ ALL, ALL | BIT(URING), 0 }, /* nothing is attached for it */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_canary_flight fl;

		obs_canary_flight_start(&fl, ALL);
		for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
			if (cases[i].seen & 1u << s) /* never complete before it has landed */
				assert_false(obs_canary_flight_saw(&fl, s));
		}
		assert_int_equal(obs_canary_flight_landed(&fl, cases[i].done), !cases[i].missed);
		assert_int_equal(obs_canary_flight_end(&fl), cases[i].missed);
		/* judged: nothing that comes late changes it */
		assert_false(obs_canary_flight_saw(&fl, OBS_CANARY_FILE));
		assert_false(obs_canary_flight_landed(&fl, ALL));
		assert_int_equal(obs_canary_flight_end(&fl), 0);
	}
}

static void the_last_sight_may_come_after_the_landing(void **state)
{
	struct obs_canary_flight fl;

	(void)state;
	obs_canary_flight_start(&fl, BIT(FILE) | BIT(CONNECT));
	assert_false(obs_canary_flight_saw(&fl, OBS_CANARY_FILE));
	assert_false(obs_canary_flight_landed(&fl, BIT(FILE) | BIT(CONNECT)));
	assert_true(obs_canary_flight_saw(&fl, OBS_CANARY_CONNECT));
}

static void of_one_that_says_nothing_nothing_is_concluded(void **state)
{
	struct obs_canary_flight fl;

	(void)state;
	obs_canary_flight_start(&fl, ALL);
	assert_int_equal(obs_canary_flight_end(&fl), 0);
}

static void the_probe_says_it_in_words(void **state)
{
	static struct obs_model model = { .n_probes = 4,
					  .probes = { { .need = "file writes" },
						      { .need = "container names" },
						      { .need = "processes" },
						      { .need = "connections" } } };
	static struct obs_canary_words words;

	(void)state;
	obs_canary_show(&model, &words, BIT(CONSOLE) | BIT(EXIT), BIT(FILE), 77);
	assert_non_null(model.probes[0].blind);
	assert_null(strstr(model.probes[0].blind, "; a test line"));
	assert_null(model.probes[2].blind);
	assert_int_equal(model.probes[0].canary_ns, 77);
	assert_int_equal(model.probes[1].canary_ns, 0);
	assert_int_equal(model.probes[2].canary_ns, 77);
	assert_int_equal(model.probes[3].canary_ns, 0); /* was neither seen nor missed */

	/* what cannot be judged stays as it was; of two misses both are said */
	obs_canary_show(&model, &words, 0, BIT(CONNECT), 78);
	assert_non_null(model.probes[3].blind);
	assert_non_null(model.probes[0].blind);
	assert_int_equal(model.probes[0].canary_ns, 77);
	obs_canary_show(&model, &words, BIT(PIECES), BIT(FILE) | BIT(URING), 79);
	assert_non_null(strstr(model.probes[0].blind, "written to a file"));
	assert_non_null(strstr(model.probes[0].blind, "; a test line written by io_uring"));

	obs_canary_show(&model, &words, ALL | BIT(CONNECT), 0, 80);
	assert_null(model.probes[0].blind);
	assert_null(model.probes[3].blind);
	assert_int_equal(model.probes[0].canary_ns, 80);
}

/* However blind, all of it is said. */
static void there_is_room_for_all_words(void **state)
{
	static struct obs_model model = { .n_probes = 1, .probes = { { .need = "processes" } } };
	static struct obs_canary_words words;

	(void)state;
	obs_canary_show(&model, &words, 0, (1u << OBS_CANARY_MAX) - 1, 1);
	assert_non_null(strstr(model.probes[0].blind, "short processes is told too low"));
}

static void each_record_is_one_sight(void **state)
{
	static const struct obs_rec_write line = { .kind = OBS_KIND_REG, .len = 7 };
	static const struct obs_rec_write pieces = { .kind = OBS_KIND_REG, .len = 15 };
	static const struct obs_rec_write other = { .kind = OBS_KIND_REG, .len = 8 };
	static const struct obs_rec_write console = { .kind = OBS_KIND_PIPE, .len = 7 };
	static const struct obs_rec_write told = { .kind = OBS_KIND_REG,
						   .flags = OBS_W_MARK,
						   .len = 7 };
	static const struct obs_rec_write quiet = { .kind = OBS_KIND_REG, .flags = OBS_W_MARK };
	static const struct obs_rec_exit own = { .tgid = CHILD }, forked = { .tgid = CHILD + 1 };
	static const struct {
		uint16_t type;
		const void *rec;
		enum obs_canary_sight want;
	} cases[] = {
		{ OBS_REC_CGROUP, NULL, OBS_CANARY_MAX },
		{ OBS_REC_WRITE, &line, OBS_CANARY_FILE },
		{ OBS_REC_WRITE, &pieces, OBS_CANARY_PIECES },
		{ OBS_REC_WRITE, &other, OBS_CANARY_MAX },
		{ OBS_REC_WRITE, &console, OBS_CANARY_CONSOLE },
		{ OBS_REC_WRITE, &told, OBS_CANARY_URING },
		{ OBS_REC_WRITE, &quiet, OBS_CANARY_QUIET },
		{ OBS_REC_FORK, NULL, OBS_CANARY_FORK },
		{ OBS_REC_EXEC, NULL, OBS_CANARY_EXEC },
		{ OBS_REC_DEATH, NULL, OBS_CANARY_KILL },
		{ OBS_REC_EXIT, &own, OBS_CANARY_EXIT },
		{ OBS_REC_EXIT, &forked, OBS_CANARY_MAX },
		{ OBS_REC_TCP, NULL, OBS_CANARY_CONNECT },
		{ OBS_REC_P2PD, NULL, OBS_CANARY_P2PD },
		{ OBS_REC_FILE, NULL, OBS_CANARY_MAX },
		{ OBS_REC_EXIT_USAGE, NULL, OBS_CANARY_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_rec_hdr hdr = { .type = cases[i].type };
		struct obs_record rec = { .hdr = &hdr, .write = cases[i].rec };

		assert_int_equal(obs_canary_sight_of(&rec, CHILD), cases[i].want);
	}
}

static void its_cgroup_is_known_by_its_name(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/a.slice/b/gso-canary-%d", (int)getpid());
	assert_true(obs_canary_made(obs_slice_str(path)));
	assert_false(obs_canary_made(obs_slice(path, strlen(path) - 1)));
	snprintf(path, sizeof(path), "/a.slice/b/gso-canary-%d", (int)getpid() + 1);
	assert_false(obs_canary_made(obs_slice_str(path)));
	assert_false(obs_canary_made(OBS_SLICE("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_done_must_be_seen),
		cmocka_unit_test(the_last_sight_may_come_after_the_landing),
		cmocka_unit_test(of_one_that_says_nothing_nothing_is_concluded),
		cmocka_unit_test(the_probe_says_it_in_words),
		cmocka_unit_test(there_is_room_for_all_words),
		cmocka_unit_test(each_record_is_one_sight),
		cmocka_unit_test(its_cgroup_is_known_by_its_name),
	};

	return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
