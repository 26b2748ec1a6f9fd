// SPDX-License-Identifier: BSD-2-Clause
/* life_state.c - see life_state.h. Which value is what stands in a table. */
#include "model/life_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/cleanup.h"

#define LINE_BYTES 512

enum kind { U64, U32, INT, FLAG, TEXT };

/* STATE: of this very trainer. ALWAYS: of the node. */
enum scope { ALWAYS, STATE };

struct row {
	const char *name;
	enum kind kind;
	enum scope scope;
	size_t offset, size;
	uint64_t max; /* larger ones make no sense */
};

#define ROW(name, kind, scope, member, max)                           \
	{                                                             \
		name, kind, scope, offsetof(struct obs_life, member), \
			sizeof(((struct obs_life *)0)->member), max   \
	}

static const struct row rows[] = {
	ROW("watched_ns", U64, ALWAYS, watched_ns, UINT64_MAX),
	ROW("debug_seen", FLAG, ALWAYS, debug_seen, 1),
	ROW("errors", U64, ALWAYS, errors, UINT64_MAX),
	ROW("joined", U64, ALWAYS, rounds.joined, UINT64_MAX),
	ROW("submits_ok", U64, ALWAYS, submits.ok, UINT64_MAX),
	ROW("submits_failed", U64, ALWAYS, submits.failed, UINT64_MAX),
	ROW("failed_in_a_row", U32, STATE, submits.failed_in_a_row, UINT32_MAX),
	ROW("last_ok_ns", U64, ALWAYS, submits.last_ok_ns, UINT64_MAX),
	ROW("last_failed_ns", U64, ALWAYS, submits.last_failed_ns, UINT64_MAX),
	ROW("last_status", INT, ALWAYS, submits.last_status, 999),
	ROW("last_route", TEXT, ALWAYS, submits.last_route, 0),
	ROW("last_words", TEXT, ALWAYS, submits.last_words, 0),
	ROW("last_reward", TEXT, ALWAYS, submits.last_reward, 0),
	ROW("total_rewards", TEXT, ALWAYS, submits.total_rewards, 0),
	ROW("total_wins", TEXT, ALWAYS, submits.total_wins, 0),
	ROW("peer_id", TEXT, ALWAYS, chain.peer_id, 0),
	ROW("participation", TEXT, ALWAYS, chain.participation, 0),
	ROW("chain_reward", TEXT, ALWAYS, chain.reward, 0),
	ROW("chain_watched_ns", U64, ALWAYS, chain.watched_ns, UINT64_MAX),
	ROW("chain_submitted_ns", U64, ALWAYS, chain.submitted_ns, UINT64_MAX),
	ROW("chain_submitted_round", U64, ALWAYS, chain.submitted_round, UINT64_MAX),
	ROW("chain_won_ns", U64, ALWAYS, chain.won_ns, UINT64_MAX),
	ROW("chain_round_known", FLAG, ALWAYS, chain.round_known, 1),
	ROW("chain_round", U64, ALWAYS, chain.round, UINT64_MAX),
	ROW("chain_round_ns", U64, ALWAYS, chain.round_ns, UINT64_MAX),
	ROW("chain_first_round", U64, ALWAYS, chain.first_round, UINT64_MAX),
	ROW("chain_first_joined", U64, ALWAYS, chain.first_joined, UINT64_MAX),
	ROW("activity", U32, STATE, machine.activity, OBS_STATE_MAX - 1),
	ROW("sub", U32, STATE, machine.sub, OBS_SUB_MAX - 1),
	ROW("before", U32, STATE, machine.before, OBS_STATE_MAX - 1),
	ROW("before_sub", U32, STATE, machine.before_sub, OBS_SUB_MAX - 1),
	ROW("troubles", U32, STATE, machine.troubles, (1u << OBS_TROUBLE_MAX) - 1),
	ROW("since_ns", U64, STATE, machine.since_ns, UINT64_MAX),
	ROW("reason", TEXT, STATE, machine.reason, 0),
	ROW("trainer_ns", U64, STATE, trainer_ns, UINT64_MAX),
	ROW("round", U64, STATE, rounds.round, UINT64_MAX),
	ROW("stage", U64, STATE, rounds.stage, UINT64_MAX),
	ROW("round_known", FLAG, STATE, rounds.known, 1),
	ROW("round_ns", U64, STATE, rounds.started_ns, UINT64_MAX),
	ROW("next_check_ns", U64, STATE, rounds.next_check_ns, UINT64_MAX),
};

static void put_text(struct obs_buf *out, const char *name, const char *text)
{
	if (!*text)
		return;
	obs_buf_printf(out, "%s ", name);
	obs_buf_push_line(out, text);
}

static void put_machine(struct obs_buf *out, const struct obs_machine *m)
{
	char name[32];

	for (unsigned i = 0; i < OBS_TROUBLE_MAX; i++) {
		snprintf(name, sizeof(name), "trouble_%u", i);
		put_text(out, name, m->trouble_reason[i]);
	}
	for (unsigned i = 0; i < m->n_evidence; i++) {
		obs_buf_printf(out, "saw %" PRIu64 " ", m->evidence[i].wall_ns);
		obs_buf_push_line(out, m->evidence[i].text);
	}
}

static uint64_t number(const struct row *row, const void *at)
{
	switch (row->kind) {
	case U64:
		return *(const uint64_t *)at;
	case FLAG:
		return *(const bool *)at;
	default:
		return *(const uint32_t *)at;
	}
}

int obs_life_state_format(const struct obs_life *l, uint64_t trainer, struct obs_buf *out)
{
	obs_buf_printf(out, "trainer %" PRIu64 "\n", trainer);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const void *at = (const char *)l + rows[i].offset;

		if (rows[i].kind == TEXT)
			put_text(out, rows[i].name, at);
		else
			obs_buf_printf(out, "%s %" PRIu64 "\n", rows[i].name, number(&rows[i], at));
	}
	put_machine(out, &l->machine);
	for (unsigned i = 0; i < l->rounds.n_took; i++)
		obs_buf_printf(out, "took %.3f\n", l->rounds.took_s[i]);
	return out->failed ? -ENOMEM : 0;
}

static void take_number(const struct row *row, void *at, const char *value)
{
	char *end;
	uint64_t n = strtoull(value, &end, 10);

	if (*end || n > row->max)
		return;
	if (row->kind == U64)
		*(uint64_t *)at = n;
	else if (row->kind == FLAG)
		*(bool *)at = n != 0;
	else
		*(uint32_t *)at = (uint32_t)n;
}

/* What it was concluded from, the newest first: behind what was seen by now. */
static void take_evidence(struct obs_machine *m, const char *value)
{
	struct obs_observation *o = &m->evidence[m->n_evidence];
	char *text;
	uint64_t wall_ns = strtoull(value, &text, 10);

	if (m->n_evidence == OBS_EVIDENCE_MAX || text == value || *text != ' ')
		return;
	o->wall_ns = wall_ns;
	snprintf(o->text, sizeof(o->text), "%s", text + 1);
	m->n_evidence++;
}

static void take_machine(struct obs_machine *m, const char *name, const char *value)
{
	unsigned trouble;

	if (sscanf(name, "trouble_%u", &trouble) == 1 && trouble < OBS_TROUBLE_MAX)
		snprintf(m->trouble_reason[trouble], OBS_EVIDENCE_BYTES, "%s", value);
	else if (strcmp(name, "saw") == 0)
		take_evidence(m, value);
}

static void take_other(struct obs_life *l, const char *name, const char *value, bool same)
{
	struct obs_rounds *r = &l->rounds;
	double s;

	if (same)
		take_machine(&l->machine, name, value);
	s = strcmp(name, "took") == 0 ? strtod(value, NULL) : 0;
	if (s > 0 && s < 1e9 && r->n_took < OBS_ROUND_TIMES) {
		r->took_s[r->n_took++] = s;
		r->next_took = r->n_took % OBS_ROUND_TIMES;
	}
}

static void take(struct obs_life *l, const char *name, const char *value, bool same)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *at = (char *)l + rows[i].offset;

		if (strcmp(rows[i].name, name) != 0)
			continue;
		if (rows[i].scope == STATE && !same)
			return;
		if (rows[i].kind == TEXT)
			snprintf(at, rows[i].size, "%s", value);
		else
			take_number(&rows[i], at, value);
		return;
	}
	take_other(l, name, value, same);
}

int obs_life_state_parse(struct obs_life *l, uint64_t trainer, struct obs_slice text)
{
	char line[LINE_BYTES], *value;
	bool same = false, first = true;

	while (obs_line_next(&text, line, sizeof(line))) {
		value = line + strcspn(line, " ");
		if (*value)
			*value++ = '\0';
		if (first && strcmp(line, "trainer") != 0)
			return -EINVAL;
		if (first)
			same = trainer && strtoull(value, NULL, 10) == trainer;
		else
			take(l, line, value, same);
		first = false;
	}
	return first ? -EINVAL : 0;
}
