// SPDX-License-Identifier: BSD-2-Clause
/* state.c - see state.h. The tables first, then what reads them. */
#include "model/state.h"

#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

#define S(id)	 (1u << OBS_STATE_##id)
#define SUB(id)	 (1u << OBS_SUB_##id)
#define RUNNING	 (S(TRAINING) | S(GATHERING) | S(WAITING) | S(SUBMITTING))
#define ALIVE	 (S(UNKNOWN) | S(STARTING) | RUNNING | S(HUNG))
#define ANY	 (ALIVE | S(TRAINER_GONE) | S(STOPPED))
#define SENSED	 (~(SUB(DHT_DEAD) | SUB(SIGNAL))) /* kinds of HUNG that a sign of life ends */
#define EARLY	 (SUB(BUILDING) | SUB(LOGIN) | SUB(API_KEY))
#define TO(s, t) OBS_STATE_##s, OBS_SUB_##t
#define ON(id)	 OBS_INPUT_##id

/* clang-format off */
const struct obs_transition obs_transitions[] = {
	/* processes */
	{ ANY,				0,		ON(TRAINER_STARTED),	TO(STARTING, LOADING) },
	{ S(UNKNOWN) | S(STOPPED) | S(TRAINER_GONE), 0,	ON(LAUNCHER_STARTED),	TO(STARTING, BUILDING) },
	{ ANY,				0,		ON(NODE_ENDED),		TO(STOPPED, NONE) },
	{ ALIVE,			0,		ON(TRAINER_ENDED),	TO(TRAINER_GONE, NONE) },
	{ ALIVE,			0,		ON(PAUSED),		TO(STOPPED, PAUSED) },
	{ S(STOPPED),			SUB(PAUSED),	ON(RESUMED),		TO(BACK, NONE) },
	{ ALIVE,			0,		ON(DHT_ENDED),		TO(HUNG, DHT_DEAD) },
	{ S(STARTING) | S(UNKNOWN),	0,		ON(P2PD_STARTED),	TO(STARTING, P2P) },

	/* the start, as it is logged */
	{ S(STARTING) | S(UNKNOWN) | S(TRAINER_GONE) | S(STOPPED), 0, ON(LOGIN_WAITING), TO(STARTING, LOGIN) },
	{ S(STARTING) | S(UNKNOWN) | S(TRAINER_GONE) | S(STOPPED), 0, ON(KEY_WAITING),	TO(STARTING, API_KEY) },
	{ S(STARTING),	SUB(LOGIN) | SUB(API_KEY),	ON(LOGIN_OK),		TO(STARTING, BUILDING) },
	{ S(UNKNOWN),			0,		ON(LOGIN_OK),		TO(STARTING, BUILDING) },
	{ S(STARTING),			EARLY,		ON(ANNOUNCED),		TO(STARTING, LOADING) },
	{ S(UNKNOWN) | S(STOPPED) | S(TRAINER_GONE), 0,	ON(ANNOUNCED),		TO(STARTING, LOADING) },
	{ S(STARTING),			EARLY,		ON(CONNECTED),		TO(STARTING, LOADING) },
	{ S(UNKNOWN),			0,		ON(CONNECTED),		TO(STARTING, LOADING) },
	{ S(STARTING) | S(UNKNOWN),	0,		ON(P2P_CHECKING),	TO(STARTING, P2P) },
	{ S(STARTING) | S(UNKNOWN),	0,		ON(IDENTITY),		TO(STARTING, MODEL) },
	{ S(STARTING) | S(UNKNOWN),	0,		ON(MODEL_SELECTED),	TO(STARTING, MODEL) },
	{ S(STARTING) | S(UNKNOWN),	0,		ON(START_FAILED),	TO(STARTING, FAILING) },

	/* rounds */
	{ ALIVE,			0,		ON(ROUND_JOINED),	TO(TRAINING, NONE) },
	{ ALIVE,			0,		ON(STAGE_STARTED),	TO(TRAINING, NONE) },
	{ ALIVE,			0,		ON(STAGE_FINISHED),	TO(GATHERING, NONE) },
	{ ALIVE,			0,		ON(ROUND_FINISHED),	TO(WAITING, NONE) },
	{ S(TRAINING),			0,		ON(GATHER_STARTED),	TO(GATHERING, NONE) },
	{ S(GATHERING),			0,		ON(GATHER_ENDED),	TO(TRAINING, NONE) },
	{ RUNNING | S(UNKNOWN) | S(HUNG), 0,		ON(SUBMIT_STARTED),	TO(SUBMITTING, NONE) },
	{ RUNNING | S(UNKNOWN) | S(HUNG), 0,		ON(REWARD_SUBMITTED),	TO(SUBMITTING, NONE) },
	{ S(SUBMITTING),		0,		ON(WINNER_SUBMITTED),	TO(WAITING, NONE) },
	{ S(SUBMITTING),		0,		ON(SUBMIT_FAILED),	TO(WAITING, NONE) },

	/* deaths that only the log tells of (no exit is seen without BPF or in time) */
	{ ALIVE,			0,		ON(KILLED),		TO(TRAINER_GONE, NONE) },
	{ ALIVE,			0,		ON(LAUNCHER_FAILED),	TO(TRAINER_GONE, NONE) },
	{ ALIVE,			0,		ON(DHT_DIED),		TO(HUNG, DHT_DEAD) },

	/* nothing happens */
	{ ALIVE,			0,		ON(STOPPED_BY_SIGNAL),	TO(HUNG, SIGNAL) },
	{ S(HUNG),			SUB(SIGNAL),	ON(CONTINUED),		TO(BACK, NONE) },
	{ ALIVE,			SENSED,		ON(BLOCKED_PIPE),	TO(HUNG, PIPE) },
	{ ALIVE,			SENSED,		ON(BLOCKED_LOCK),	TO(HUNG, LOCK) },
	{ ALIVE,			SENSED,		ON(BLOCKED_DISK),	TO(HUNG, DISK) },
	{ ALIVE,			SENSED,		ON(BLOCKED_LOGIN),	TO(HUNG, LOGIN_SERVER) },
	{ ALIVE,			SENSED,		ON(BLOCKED_CONTROL),	TO(HUNG, CONTROL) },
	{ ALIVE,			SENSED,		ON(BLOCKED_REMOTE),	TO(HUNG, REMOTE) },
	{ ALIVE,			SENSED,		ON(BLOCKED_SILENT),	TO(HUNG, SILENT) },
	{ S(HUNG),			SENSED,		ON(PROGRESS),		TO(BACK, NONE) },
};

const struct obs_trouble_row obs_trouble_rows[] = {
	{ OBS_TROUBLE_P2PD,	ON(P2PD_ENDED),		ON(P2PD_STARTED) },
	{ OBS_TROUBLE_SUBMITS,	ON(SUBMITS_FAILING),	ON(SUBMIT_OK) },
	{ OBS_TROUBLE_SERVER,	ON(SERVER_ENDED),	ON(SERVER_STARTED) },
	{ OBS_TROUBLE_TRAINING,	ON(TRAINING_FAILS),	ON(CLEAN_ROUND) },
	{ OBS_TROUBLE_PEERS,	ON(NO_PEERS),		ON(PEERS_BACK) },
	{ OBS_TROUBLE_CHAIN,	ON(CHAIN_AWAY),		ON(CHAIN_OK) },
	{ OBS_TROUBLE_CLOCK,	ON(CLOCK_SKEW),		ON(CLEAN_ROUND) },
	{ OBS_TROUBLE_DHT,	ON(DHT_FAILS),		ON(CLEAN_ROUND) },
	{ OBS_TROUBLE_BEHIND,	ON(BEHIND),		ON(CAUGHT_UP) },
};
/* clang-format on */

const size_t obs_transitions_n = ARRAY_LEN(obs_transitions);
const size_t obs_trouble_rows_n = ARRAY_LEN(obs_trouble_rows);

struct named {
	const char *name, *help;
};

static const struct named states[] = {
#define X(id, name, help) { name, help },
	OBS_STATES(X)
#undef X
};

static const struct named subs[] = {
#define X(id, name, help) { name, help },
	OBS_SUBS(X)
#undef X
};

static const struct named troubles[] = {
#define X(id, name, help) { name, help },
	OBS_TROUBLES(X)
#undef X
};

static const char *const inputs[] = {
#define X(id, help) help,
	OBS_INPUTS(X)
#undef X
};

const char *obs_state_str(enum obs_state s)
{
	return states[s].name;
}

const char *obs_state_help(enum obs_state s)
{
	return states[s].help;
}

const char *obs_input_str(enum obs_input i)
{
	return inputs[i];
}

const char *obs_shown_sub_str(const struct obs_shown *s)
{
	return s->trouble < OBS_TROUBLE_MAX ? troubles[s->trouble].name : subs[s->sub].name;
}

const char *obs_shown_help(const struct obs_shown *s)
{
	if (s->trouble < OBS_TROUBLE_MAX)
		return troubles[s->trouble].help;
	return s->sub != OBS_SUB_NONE ? subs[s->sub].help : states[s->state].help;
}

bool obs_state_runs(enum obs_state s)
{
	return s == OBS_STATE_DEGRADED || (RUNNING >> s & 1);
}

/* --- the machine --- */

void obs_machine_init(struct obs_machine *m, const char *why)
{
	*m = (struct obs_machine){ .activity = OBS_STATE_UNKNOWN };
	snprintf(m->reason, sizeof(m->reason), "%s", why);
}

struct obs_shown obs_machine_shown(const struct obs_machine *m)
{
	struct obs_shown s = { m->activity, m->sub, OBS_TROUBLE_MAX };

	if (m->troubles && obs_state_runs(m->activity)) {
		s.state = OBS_STATE_DEGRADED;
		s.trouble = (enum obs_trouble)__builtin_ctz(m->troubles);
	}
	return s;
}

const char *obs_machine_reason(const struct obs_machine *m)
{
	struct obs_shown s = obs_machine_shown(m);

	return s.trouble < OBS_TROUBLE_MAX ? m->trouble_reason[s.trouble] : m->reason;
}

static bool same_shown(const struct obs_shown *a, const struct obs_shown *b)
{
	return a->state == b->state && a->sub == b->sub && a->trouble == b->trouble;
}

static void note(struct obs_machine *m, uint64_t wall_ns, const char *text)
{
	memmove(m->evidence + 1, m->evidence, (OBS_EVIDENCE_MAX - 1) * sizeof(*m->evidence));
	m->evidence[0].wall_ns = wall_ns;
	snprintf(m->evidence[0].text, sizeof(m->evidence[0].text), "%s", text);
	if (m->n_evidence < OBS_EVIDENCE_MAX)
		m->n_evidence++;
}

/* A trouble is one of a running node: what ends while it starts is part of starting. */
static void feed_troubles(struct obs_machine *m, enum obs_input input, const char *text)
{
	for (size_t i = 0; i < obs_trouble_rows_n; i++) {
		const struct obs_trouble_row *row = &obs_trouble_rows[i];
		uint32_t bit = 1u << row->trouble;

		if (row->set == input && m->activity != OBS_STATE_STARTING &&
		    !(m->troubles & bit)) {
			m->troubles |= bit;
			snprintf(m->trouble_reason[row->trouble], OBS_EVIDENCE_BYTES, "%s", text);
		}
		if (row->clear == input)
			m->troubles &= ~bit;
	}
	if (input == OBS_INPUT_TRAINER_STARTED)
		m->troubles = 0;
}

static const struct obs_transition *find_row(const struct obs_machine *m, enum obs_input input)
{
	for (size_t i = 0; i < obs_transitions_n; i++) {
		const struct obs_transition *row = &obs_transitions[i];

		if (row->input == input && (row->from >> m->activity & 1) &&
		    (!row->from_sub || (row->from_sub >> m->sub & 1)))
			return row;
	}
	return NULL;
}

/* What a hang or a pause interrupts. */
static bool is_interruption(enum obs_state to, enum obs_sub sub)
{
	return to == OBS_STATE_HUNG || sub == OBS_SUB_PAUSED;
}

static void follow(struct obs_machine *m, const struct obs_transition *row, const char *text)
{
	enum obs_state to = row->to;
	enum obs_sub sub = row->sub;

	if (to == OBS_STATE_BACK) {
		to = m->before;
		sub = m->before_sub;
	} else if (is_interruption(to, sub) && !is_interruption(m->activity, m->sub)) {
		m->before = m->activity;
		m->before_sub = m->sub;
	}
	if (to == m->activity && sub == m->sub)
		return;
	m->activity = to;
	m->sub = sub;
	snprintf(m->reason, sizeof(m->reason), "%s", text);
}

bool obs_machine_feed(struct obs_machine *m, enum obs_input input, uint64_t wall_ns,
		      const char *text, struct obs_change *ret)
{
	struct obs_shown from = obs_machine_shown(m), to;
	const struct obs_transition *row = find_row(m, input);

	if (input != OBS_INPUT_PROGRESS || row)
		note(m, wall_ns, text);
	if (row)
		follow(m, row, text);
	feed_troubles(m, input, text);
	to = obs_machine_shown(m);
	if (same_shown(&from, &to))
		return false;
	m->since_ns = wall_ns;
	*ret = (struct obs_change){ from, to, input, wall_ns };
	return true;
}

/* --- the document --- */

static void put_states(struct obs_buf *out, uint32_t bits)
{
	const char *sep = "";

	if (bits == ANY) {
		obs_buf_push_str(out, "any");
		return;
	}
	for (unsigned i = 0; i < OBS_STATE_MAX; i++) {
		if (bits >> i & 1) {
			obs_buf_printf(out, "%s%s", sep, states[i].name);
			sep = ", ";
		}
	}
}

static void put_subs(struct obs_buf *out, uint32_t bits)
{
	bool but = bits >> OBS_SUB_NONE & 1; /* all but a few */
	const char *sep = but ? " (not " : " (";

	for (unsigned i = 1; bits && i < OBS_SUB_MAX; i++) {
		if ((bits >> i & 1) != but) {
			obs_buf_printf(out, "%s%s", sep, subs[i].name);
			sep = ", ";
		}
	}
	obs_buf_push_str(out, bits ? ")" : "");
}

static void put_to(struct obs_buf *out, const struct obs_transition *row)
{
	if (row->to == OBS_STATE_BACK)
		obs_buf_push_str(out, "what it was before");
	else
		obs_buf_printf(out, "%s%s%s", states[row->to].name, row->sub ? " / " : "",
			       subs[row->sub].name);
}

static void put_tables(struct obs_buf *out)
{
	obs_buf_push_str(out, "\n## Transitions\n\nOf the rows that fit the first counts.\n\n"
			      "| from | when | to |\n|---|---|---|\n");
	for (size_t i = 0; i < obs_transitions_n; i++) {
		obs_buf_push_str(out, "| ");
		put_states(out, obs_transitions[i].from);
		put_subs(out, obs_transitions[i].from_sub);
		obs_buf_printf(out, " | %s | ", inputs[obs_transitions[i].input]);
		put_to(out, &obs_transitions[i]);
		obs_buf_push_str(out, " |\n");
	}
	obs_buf_push_str(out,
			 "\n## Troubles\n\nA running node with one of them is degraded; with "
			 "several the first in this table is shown. A new trainer has none.\n\n"
			 "| trouble | means | comes when | goes when |\n|---|---|---|---|\n");
	for (size_t i = 0; i < obs_trouble_rows_n; i++) {
		const struct obs_trouble_row *row = &obs_trouble_rows[i];

		obs_buf_printf(out, "| %s | %s | %s | %s |\n", troubles[row->trouble].name,
			       troubles[row->trouble].help, inputs[row->set], inputs[row->clear]);
	}
}

/* One arrow per pair of states, with the first input that leads along it. */
static void put_diagram(struct obs_buf *out)
{
	uint32_t drawn[OBS_STATE_MAX] = {};

	obs_buf_push_str(out, "\n```mermaid\nstateDiagram-v2\n    [*] --> unknown\n");
	for (size_t i = 0; i < obs_transitions_n; i++) {
		const struct obs_transition *row = &obs_transitions[i];

		for (unsigned from = 0; from < OBS_STATE_MAX && row->to < OBS_STATE_MAX; from++) {
			if (!(row->from >> from & 1) || from == row->to ||
			    (drawn[from] >> row->to & 1))
				continue;
			drawn[from] |= 1u << row->to;
			obs_buf_printf(out, "    %s --> %s: %s\n", states[from].name,
				       states[row->to].name, inputs[row->input]);
		}
	}
	for (unsigned from = 0; from < OBS_STATE_MAX; from++) {
		if (RUNNING >> from & 1)
			obs_buf_printf(out, "    %s --> degraded: a trouble\n", states[from].name);
	}
	obs_buf_push_str(out, "    degraded --> training: trouble gone\n"
			      "    hung --> training: trainer writes or computes\n```\n");
}

void obs_states_document(struct obs_buf *out)
{
	obs_buf_push_str(out,
			 "# States of a node\n\nMade by `scripts/gen-states.sh` from the tables in "
			 "`user/model/state.c`; do not edit.\n\n| state | means |\n|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		obs_buf_printf(out, "| %s | %s |\n", states[i].name, states[i].help);
	obs_buf_push_str(out, "\n| sub-state | means |\n|---|---|\n");
	for (size_t i = 1; i < ARRAY_LEN(subs); i++)
		obs_buf_printf(out, "| %s | %s |\n", subs[i].name, subs[i].help);
	put_diagram(out);
	put_tables(out);
}
