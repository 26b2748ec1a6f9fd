// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_conditions_state.c - conditions kept as text and taken in again: how long it has been so goes
 * on, what cannot be told at once has not ended, and another p2pd's are nobody's.
 */
#include "check.h"

#include <errno.h>

#include "model/conditions_state.h"
#include "util/clock.h"

#define S ((uint64_t)OBS_NS_PER_S)

static const struct obs_condition_limits limits = { .no_dht_peer_s = 60,
						    .bootnodes_unreachable_s = 10,
						    .half_open_storm = 100,
						    .rtt_grew = 5,
						    .clock_offset_s = 2,
						    .not_reachable_s = 600,
						    .ended_after_s = 15 };

static void on_change(void *ctx, enum obs_condition_id id, const struct obs_condition *c)
{
	int *changes = ctx;

	changes[id] += c->holds ? 1 : 100;
}

/* A node that is connected with nobody, whose clock cannot be told. */
static void look(struct obs_conditions *all, uint64_t wall_s, uint64_t boot_s, int *changes)
{
	struct obs_peers_options opt = { .peers_max = 64, .conns_max = 64, .slot = 1 };
	struct obs_condition_facts facts = { .has_p2pd = true,
					     .wall_ns = wall_s * S,
					     .now_ns = boot_s * S };
	struct obs_peers *peers;

	assert_int_equal(obs_peers_new(&opt, &peers), 0);
	obs_peers_start_pass(peers); /* its sockets have been looked at */
	obs_peers_end_pass(peers, NULL, NULL);
	facts.peers = peers;
	obs_conditions_look(all, &limits, &facts, on_change, changes);
	obs_peers_free(&peers);
}

static int parse(struct obs_conditions *all, uint64_t p2pd, uint64_t wall_s, uint64_t boot_s,
		 struct obs_slice text)
{
	struct obs_condition_facts facts = { .wall_ns = wall_s * S, .now_ns = boot_s * S };

	*all = (struct obs_conditions){ 0 };
	return obs_conditions_state_parse(all, p2pd, &facts, text);
}

static void fill(struct obs_condition *c, uint64_t since_s)
{
	*c = (struct obs_condition){ .holds = true,
				     .limit = 2,
				     .since_wall_ns = since_s * S,
				     .suspected_ns = 50 * S,
				     .suspected_wall_ns = (since_s + 1) * S,
				     .found = { .value = 2.75,
						.words = "it is\nso",
						.n_evidence = 2,
						.evidence = { "one", "two words" } } };
}

static void all_of_them_go_on(void **state)
{
	cleanup_buf struct obs_buf text = {}, again = {};
	struct obs_conditions was = { 0 }, is;

	(void)state;
	for (unsigned i = 0; i < OBS_CONDITIONS_MAX; i++)
		fill(&was.of[i], 100 + i);
	assert_int_equal(obs_conditions_state_format(&was, 7, 1000 * S, &text), 0);
	assert_int_equal(parse(&is, 7, 1010, 90, obs_buf_slice(&text)), 0);
	for (unsigned i = 0; i < OBS_CONDITIONS_MAX; i++) {
		assert_true(is.of[i].holds);
		assert_int_equal(is.of[i].since_wall_ns, (100 + i) * S);
		assert_string_equal(is.of[i].found.words, "it is so");
		assert_string_equal(is.of[i].found.evidence[1], "two words");
		assert_int_equal(is.of[i].found.n_evidence, 2);
		assert_true(is.of[i].found.value == 2.75);
		/* longer ago than this boot: as long as it can be */
		assert_int_equal(is.of[i].suspected_ns, 1);
	}
	assert_int_equal(obs_conditions_differ(&is), obs_conditions_differ(&was));
	assert_int_equal(obs_conditions_state_format(&is, 7, 1000 * S, &again), 0);
	assert_string_equal(obs_buf_cstr(&again), obs_buf_cstr(&text));
}

/* Suspected for 40 s, 10 s nobody looks: 10 s later it has been so for 60 s. */
static void how_long_it_was_so_goes_on(void **state)
{
	int changes[OBS_CONDITIONS_MAX] = { 0 };
	cleanup_buf struct obs_buf text = {};
	struct obs_conditions c = { 0 };

	(void)state;
	assert_int_equal(obs_conditions_differ(&c), 0);
	look(&c, 1000, 500, changes);
	look(&c, 1040, 540, changes);
	assert_true(obs_conditions_differ(&c) != 0);
	assert_int_equal(obs_conditions_state_format(&c, 7, 1040 * S, &text), 0);
	assert_int_equal(parse(&c, 7, 1050, 550, obs_buf_slice(&text)), 0);
	look(&c, 1059, 559, changes);
	assert_false(c.of[OBS_NO_DHT_PEER].holds);
	look(&c, 1060, 560, changes);
	assert_true(c.of[OBS_NO_DHT_PEER].holds);
	assert_int_equal(c.of[OBS_NO_DHT_PEER].since_wall_ns, 1000 * S);
	/* and where it began before, it begins no second time */
	obs_buf_reset(&text);
	assert_int_equal(obs_conditions_state_format(&c, 7, 1060 * S, &text), 0);
	assert_int_equal(parse(&c, 7, 1100, 600, obs_buf_slice(&text)), 0);
	look(&c, 1101, 601, changes);
	assert_int_equal(changes[OBS_NO_DHT_PEER], 1);
	assert_int_equal(c.of[OBS_NO_DHT_PEER].since_wall_ns, 1000 * S);
}

static const struct {
	const char *name;
	const char *text;
	int want;
	bool suspected, holds;
} cases[] = {
	{ "as it was", "p2pd 7 looked 1000000000000\nno_dht_peer 0 0 990000000000 0 60 w\n", 0,
	  true, false },
	{ "too long ago", "p2pd 7 looked 390000000000\nno_dht_peer 0 0 380000000000 0 60 w\n", 0,
	  false, false },
	{ "too long ago, but it had begun",
	  "p2pd 7 looked 390000000000\nno_dht_peer 1 380000000000 380000000000 0 60 w\n", 0, true,
	  true },
	{ "another p2pd", "p2pd 8 looked 1000000000000\nno_dht_peer 1 1 1 0 60 w\n", -EINVAL, false,
	  false },
	{ "from the future", "p2pd 7 looked 2000000000000\nno_dht_peer 1 1 1 0 60 w\n", -EINVAL,
	  false, false },
	{ "since the future", "p2pd 7 looked 1\nno_dht_peer 1 2000000000000 0 0 60 w\n", 0, false,
	  false },
	{ "neither", "p2pd 7 looked 1\nno_dht_peer 1 0 5 0 60 w\nsaw x\n", 0, false, false },
	{ "cut", "p2pd 7 looked 1\nno_dht_peer 1 1\nsaw\n\nsaw x", 0, false, false },
	{ "unknown name", "p2pd 7 looked 1\nno_dht 1 1 1 0 60 w\n", 0, false, false },
	{ "nothing", "", -EINVAL, false, false },
};

static void what_makes_no_sense_is_skipped(void **state)
{
	struct obs_conditions c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = parse(&c, 7, 1000, 900, obs_slice_str(cases[i].text));

		if (r != cases[i].want || cases[i].holds != c.of[OBS_NO_DHT_PEER].holds ||
		    cases[i].suspected != (c.of[OBS_NO_DHT_PEER].suspected_ns != 0))
			fail_msg("%s: %d", cases[i].name, r);
	}
	assert_int_equal(parse(&c, 0, 1000, 900, OBS_SLICE("p2pd 0 looked 1\n")), -EINVAL);
}

/* Peers' clocks and dials that failed are known only when the node asks or dials next. */
static void what_cannot_be_told_has_not_ended(void **state)
{
	static const struct obs_slice text =
		OBS_SLICE("p2pd 7 looked 1\n"
			  "clock_offset 1 990000000000 990000000000 2.5 2 behind\n"
			  "rtt_grew 1 990000000000 990000000000 6 5 slow\n"
			  "bootnodes_unreachable 1 990000000000 990000000000 1 10 none\n"
			  "half_open_storm 1 990000000000 990000000000 300 100 many\n");
	static const enum obs_condition_id stay[] = { OBS_CLOCK_OFFSET, OBS_RTT_GREW,
						      OBS_BOOTNODES_UNREACHABLE };
	int changes[OBS_CONDITIONS_MAX] = { 0 };
	struct obs_conditions c;

	(void)state;
	assert_int_equal(parse(&c, 7, 1000, 1000, text), 0);
	for (uint64_t s = 1000; s < 1000 + OBS_CONDITION_GAP_S; s += 10)
		look(&c, s, s, changes);
	assert_int_equal(changes[OBS_HALF_OPEN_STORM], 100); /* that can be told */
	for (size_t i = 0; i < ARRAY_LEN(stay); i++)
		assert_int_equal(changes[stay[i]], 0);
	look(&c, 1000 + OBS_CONDITION_GAP_S, 1000 + OBS_CONDITION_GAP_S, changes);
	look(&c, 1015 + OBS_CONDITION_GAP_S, 1015 + OBS_CONDITION_GAP_S, changes);
	for (size_t i = 0; i < ARRAY_LEN(stay); i++)
		assert_int_equal(changes[stay[i]], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them_go_on),
		cmocka_unit_test(how_long_it_was_so_goes_on),
		cmocka_unit_test(what_makes_no_sense_is_skipped),
		cmocka_unit_test(what_cannot_be_told_has_not_ended),
	};

	return cmocka_run_group_tests_name("conditions_state", tests, NULL, NULL);
}
