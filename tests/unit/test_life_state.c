// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_life_state.c - a life kept as text and taken in again: all of it for the same trainer, the
 * node's own for another one, nothing that makes no sense.
 */
#include "check.h"

#include <errno.h>

#include "model/life_state.h"

static void fill(struct obs_life *l)
{
	struct obs_change c;

	obs_life_init(l, 100, NULL, NULL);
	obs_machine_feed(&l->machine, OBS_INPUT_TRAINER_STARTED, 200, "started", &c);
	obs_machine_feed(&l->machine, OBS_INPUT_ROUND_JOINED, 300, "joined\nit", &c);
	obs_machine_feed(&l->machine, OBS_INPUT_SUBMITS_FAILING, 400, "two failed", &c);
	l->trainer_ns = 200;
	l->debug_seen = true;
	l->errors = 5;
	l->rounds = (struct obs_rounds){ .round = 30512,
					 .known = true,
					 .joined = 7,
					 .took_s = { 10, 20.5 },
					 .n_took = 2,
					 .next_took = 2 };
	l->submits = (struct obs_submits){ .ok = 3,
					   .failed = 2,
					   .failed_in_a_row = 2,
					   .last_ok_ns = 250,
					   .last_failed_ns = 400,
					   .last_status = 400,
					   .last_route = "submit-reward",
					   .last_words = "SUBMIT_FAILED: 400 Client Error" };
	l->chain = (struct obs_chain_side){ .round_known = true,
					    .round = 30515,
					    .round_ns = 260,
					    .first_round = 30510,
					    .first_joined = 2,
					    .peer_id = "QmPeer",
					    .participation = "12",
					    .watched_ns = 120,
					    .submitted_ns = 255,
					    .submitted_round = 30514,
					    .reward = "-4",
					    .won_ns = 256 };
}

static void the_same_trainer_goes_on(void **state)
{
	cleanup_buf struct obs_buf text = {}, again = {};
	struct obs_life was, is;
	struct obs_shown shown;

	(void)state;
	fill(&was);
	obs_life_init(&is, 999, NULL, NULL);
	assert_int_equal(obs_life_state_format(&was, 77, &text), 0);
	assert_int_equal(obs_life_state_parse(&is, 77, obs_buf_slice(&text)), 0);
	shown = obs_machine_shown(&is.machine);
	assert_int_equal(shown.state, OBS_STATE_DEGRADED);
	assert_int_equal(shown.trouble, OBS_TROUBLE_SUBMITS);
	assert_string_equal(obs_machine_reason(&is.machine), "two failed");
	assert_string_equal(is.machine.reason, "joined it");
	assert_int_equal(is.machine.n_evidence, 3);
	assert_int_equal(is.machine.evidence[0].wall_ns, 400);
	assert_string_equal(is.machine.evidence[0].text, "two failed");
	assert_string_equal(is.machine.evidence[1].text, "joined it");
	assert_int_equal(is.watched_ns, 100);
	assert_memory_equal(&is.chain, &was.chain, sizeof(is.chain));
	/* whatever is kept is taken in: kept once more it is the same */
	assert_int_equal(obs_life_state_format(&is, 77, &again), 0);
	assert_string_equal(obs_buf_cstr(&again), obs_buf_cstr(&text));
}

static void another_trainer_starts_anew(void **state)
{
	cleanup_buf struct obs_buf text = {};
	struct obs_life was, is;

	(void)state;
	fill(&was);
	obs_life_init(&is, 999, NULL, NULL);
	assert_int_equal(obs_life_state_format(&was, 77, &text), 0);
	assert_int_equal(obs_life_state_parse(&is, 78, obs_buf_slice(&text)), 0);
	assert_int_equal(obs_machine_shown(&is.machine).state, OBS_STATE_UNKNOWN);
	assert_false(is.rounds.known);
	assert_int_equal(is.machine.n_evidence, 0);
	assert_int_equal(is.submits.failed_in_a_row, 0);
	assert_int_equal(is.submits.ok, 3);
	assert_int_equal(is.errors, 5);
	assert_int_equal(is.rounds.n_took, 2);
	/* and none at all is not the same as none */
	assert_int_equal(obs_life_state_parse(&is, 0, OBS_SLICE("trainer 0\nactivity 2\n")), 0);
	assert_int_equal(is.machine.activity, OBS_STATE_UNKNOWN);
}

static void nonsense_is_skipped(void **state)
{
	struct obs_life l;

	(void)state;
	obs_life_init(&l, 999, NULL, NULL);
	assert_int_equal(obs_life_state_parse(&l, 5, OBS_SLICE("")), -EINVAL);
	assert_int_equal(obs_life_state_parse(&l, 5, OBS_SLICE("activity 2\n")), -EINVAL);
	assert_int_equal(obs_life_state_parse(&l, 5,
					      OBS_SLICE("trainer 5\nactivity 99\nsub x\ntook -1\n"
							"trouble_99 x\nunknown 1\njoined 12z\n"
							"troubles 4294967295\n\nsaw\nsaw x\n"
							"saw 7\nstage")),
			 0);
	assert_int_equal(l.machine.activity, OBS_STATE_UNKNOWN);
	assert_int_equal(l.machine.troubles, 0);
	assert_int_equal(l.machine.n_evidence, 0);
	assert_int_equal(l.rounds.joined, 0);
	assert_int_equal(l.rounds.n_took, 0);
}

/* What was seen since the start is newer, and there is room for so much. */
static void kept_evidence_comes_last(void **state)
{
	struct obs_change c;
	struct obs_life l;

	(void)state;
	obs_life_init(&l, 999, NULL, NULL);
	obs_machine_feed(&l.machine, OBS_INPUT_TRAINER_STARTED, 1000, "new", &c);
	assert_int_equal(obs_life_state_parse(&l, 5,
					      OBS_SLICE("trainer 5\nsaw 4 a\nsaw 3 b b\nsaw 2 c\n"
							"saw 1 d\n")),
			 0);
	assert_int_equal(l.machine.n_evidence, OBS_EVIDENCE_MAX);
	assert_string_equal(l.machine.evidence[0].text, "new");
	assert_string_equal(l.machine.evidence[2].text, "b b");
	assert_int_equal(l.machine.evidence[3].wall_ns, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_trainer_goes_on),
		cmocka_unit_test(another_trainer_starts_anew),
		cmocka_unit_test(nonsense_is_skipped),
		cmocka_unit_test(kept_evidence_comes_last),
	};

	return cmocka_run_group_tests_name("life_state", tests, NULL, NULL);
}
