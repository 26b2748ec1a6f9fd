// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_state.c - the tables of the state machine: every row is reached and does what it says, and
 * the document shows them as they are.
 */
#include "check.h"

#include <stdio.h>

#include "model/state.h"

/* The row that decides, as the document says: the first that fits. */
static size_t first_row(enum obs_state activity, enum obs_sub sub, enum obs_input input)
{
	for (size_t i = 0; i < obs_transitions_n; i++) {
		const struct obs_transition *t = &obs_transitions[i];

		if (t->input == input && (t->from >> activity & 1) &&
		    (!t->from_sub || (t->from_sub >> sub & 1)))
			return i;
	}
	return obs_transitions_n;
}

/* Whatever it was, after the input it is what the row says. Return: times that it decided. */
static unsigned try_row(size_t i)
{
	const struct obs_transition *t = &obs_transitions[i];
	struct obs_change change;
	unsigned n = 0;

	for (unsigned activity = 0; activity < OBS_STATE_MAX; activity++) {
		for (unsigned sub = 0; sub < OBS_SUB_MAX; sub++) {
			struct obs_machine m;

			if (first_row(activity, sub, t->input) != i)
				continue;
			n++;
			obs_machine_init(&m, "test");
			m.activity = activity;
			m.sub = sub;
			m.before = OBS_STATE_GATHERING;
			obs_machine_feed(&m, t->input, 5, "seen", &change);
			assert_int_equal(m.activity,
					 t->to == OBS_STATE_BACK ? OBS_STATE_GATHERING : t->to);
			assert_int_equal(m.sub, t->sub);
			if (m.activity != activity || m.sub != sub)
				assert_string_equal(m.reason, "seen");
		}
	}
	return n;
}

static void every_row_is_reached(void **state)
{
	(void)state;
	for (size_t i = 0; i < obs_transitions_n; i++) {
		if (try_row(i) == 0)
			fail_msg("row %zu (%s) is never reached", i,
				 obs_input_str(obs_transitions[i].input));
	}
}

/* Each input is in a table, and each state and trouble can come. */
static void nothing_is_left_over(void **state)
{
	uint64_t inputs = 0;
	uint32_t states = 1u << OBS_STATE_UNKNOWN, troubles = 0;

	(void)state;
	_Static_assert(OBS_INPUT_MAX <= 64, "one bit each");
	for (size_t i = 0; i < obs_transitions_n; i++) {
		inputs |= UINT64_C(1) << obs_transitions[i].input;
		states |= 1u << obs_transitions[i].to;
	}
	for (size_t i = 0; i < obs_trouble_rows_n; i++) {
		inputs |= UINT64_C(1) << obs_trouble_rows[i].set;
		inputs |= UINT64_C(1) << obs_trouble_rows[i].clear;
		troubles |= 1u << obs_trouble_rows[i].trouble;
	}
	for (unsigned i = 0; i < OBS_INPUT_MAX; i++) {
		if (!(inputs >> i & 1))
			fail_msg("no row for '%s'", obs_input_str(i));
	}
	assert_int_equal(states | 1u << OBS_STATE_DEGRADED | 1u << OBS_STATE_BACK,
			 (1u << (OBS_STATE_MAX + 1)) - 1);
	assert_int_equal(troubles, (1u << OBS_TROUBLE_MAX) - 1);
}

static void troubles_come_and_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < obs_trouble_rows_n; i++) {
		const struct obs_trouble_row *row = &obs_trouble_rows[i];
		struct obs_change c;
		struct obs_machine m;

		obs_machine_init(&m, "test");
		/* none of them while it starts */
		obs_machine_feed(&m, OBS_INPUT_TRAINER_STARTED, 1, "start", &c);
		obs_machine_feed(&m, row->set, 2, "early", &c);
		assert_int_equal(m.troubles, 0);
		assert_true(obs_machine_feed(&m, OBS_INPUT_ROUND_JOINED, 3, "round", &c));
		assert_true(obs_machine_feed(&m, row->set, 4, "trouble", &c));
		assert_int_equal(c.to.state, OBS_STATE_DEGRADED);
		assert_int_equal(c.to.trouble, row->trouble);
		assert_string_equal(obs_machine_reason(&m), "trouble");
		assert_false(obs_machine_feed(&m, row->set, 5, "again", &c));
		/* it goes on with what it does, and stays degraded */
		assert_false(obs_machine_feed(&m, OBS_INPUT_ROUND_FINISHED, 6, "waits", &c));
		assert_true(obs_machine_feed(&m, row->clear, 7, "over", &c));
		assert_int_equal(c.to.state, OBS_STATE_WAITING);
		assert_int_equal(m.since_ns, 7);
		/* and a new trainer has none */
		obs_machine_feed(&m, row->set, 8, "trouble", &c);
		obs_machine_feed(&m, OBS_INPUT_TRAINER_STARTED, 9, "start", &c);
		assert_int_equal(m.troubles, 0);
	}
}

static void evidence_is_kept_newest_first(void **state)
{
	struct obs_machine m;
	struct obs_change c;
	char text[8];

	(void)state;
	obs_machine_init(&m, "test");
	for (unsigned i = 0; i < 2 * OBS_EVIDENCE_MAX; i++) {
		snprintf(text, sizeof(text), "%u", i);
		obs_machine_feed(&m, OBS_INPUT_ROUND_JOINED, i, text, &c);
	}
	assert_int_equal(m.n_evidence, OBS_EVIDENCE_MAX);
	assert_string_equal(m.evidence[0].text, "7");
	assert_string_equal(m.evidence[OBS_EVIDENCE_MAX - 1].text, "4");
}

static void the_document_is_up_to_date(void **state)
{
	cleanup_fclose FILE *f = fopen("docs/states.md", "re");
	cleanup_buf struct obs_buf want = {}, have = {};
	char part[4096];
	size_t n;

	(void)state;
	assert_non_null(f);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		obs_buf_push(&have, part, n);
	obs_states_document(&want);
	if (!obs_slice_eq(obs_buf_slice(&have), obs_buf_slice(&want)))
		fail_msg("docs/states.md is not what the table says: run scripts/gen-states.sh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_reached),
		cmocka_unit_test(nothing_is_left_over),
		cmocka_unit_test(troubles_come_and_go),
		cmocka_unit_test(evidence_is_kept_newest_first),
		cmocka_unit_test(the_document_is_up_to_date),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
