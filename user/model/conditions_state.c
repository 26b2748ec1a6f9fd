// SPDX-License-Identifier: BSD-2-Clause
/* conditions_state.c - see conditions_state.h. */
#include "model/conditions_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

#define LINE_BYTES 512
#define SAW	   "saw "

uint64_t obs_conditions_differ(const struct obs_conditions *all)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		const struct obs_condition *c = &all->of[i];

		if (c->holds || c->suspected_ns)
			sum = sum * 31 + c->suspected_wall_ns + (c->holds ? c->since_wall_ns : 0) +
			      i + 1;
	}
	return sum;
}

static void put_one(struct obs_buf *out, const char *name, const struct obs_condition *c)
{
	obs_buf_printf(out, "%s %d %" PRIu64 " %" PRIu64 " %.17g %.17g ", name, c->holds,
		       c->since_wall_ns, c->suspected_ns ? c->suspected_wall_ns : 0, c->found.value,
		       c->limit);
	obs_buf_push_line(out, c->found.words);
	for (size_t i = 0; i < c->found.n_evidence; i++) {
		obs_buf_push_str(out, SAW);
		obs_buf_push_line(out, c->found.evidence[i]);
	}
}

int obs_conditions_state_format(const struct obs_conditions *all, uint64_t p2pd, uint64_t wall_ns,
				struct obs_buf *out)
{
	obs_buf_printf(out, "p2pd %" PRIu64 " looked %" PRIu64 "\n", p2pd, wall_ns);
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		if (all->of[i].holds || all->of[i].suspected_ns)
			put_one(out, obs_condition_str((enum obs_condition_id)i), &all->of[i]);
	}
	return out->failed ? -ENOMEM : 0;
}

/* --- and back --- */

static struct obs_condition *find(struct obs_conditions *all, const char *name)
{
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		if (strcmp(obs_condition_str((enum obs_condition_id)i), name) == 0)
			return &all->of[i];
	}
	return NULL;
}

/* How long ago that was is what counts: it may have been before this clock's zero. */
static uint64_t boot_of(const struct obs_condition_facts *facts, uint64_t wall_ns)
{
	uint64_t ago = facts->wall_ns - wall_ns;

	return facts->now_ns > ago ? facts->now_ns - ago : 1;
}

/* Return: the condition, or NULL when the line makes no sense or tells of what is past. */
static struct obs_condition *take_one(struct obs_conditions *all, const char *line,
				      const struct obs_condition_facts *facts, bool recent)
{
	struct obs_condition was = { .restored_ns = facts->now_ns }, *c;
	uint64_t since, suspected;
	int holds, words = 0;
	char name[32];

	if (sscanf(line, "%31s %d %" SCNu64 " %" SCNu64 " %lf %lf %n", name, &holds, &since,
		   &suspected, &was.found.value, &was.limit, &words) < 6 ||
	    !words || since > facts->wall_ns || suspected > facts->wall_ns)
		return NULL;
	c = find(all, name);
	if (!c || !(holds ? since : suspected && recent))
		return NULL;
	was.holds = holds != 0;
	was.since_wall_ns = since;
	was.suspected_wall_ns = suspected;
	was.suspected_ns = suspected ? boot_of(facts, suspected) : 0;
	snprintf(was.found.words, sizeof(was.found.words), "%.*s", OBS_CONDITION_WORDS - 1,
		 line + words);
	*c = was;
	return c;
}

static void take_evidence(struct obs_condition *c, const char *text)
{
	struct obs_condition_finding *f = &c->found;

	if (f->n_evidence < OBS_CONDITION_EVIDENCE)
		snprintf(f->evidence[f->n_evidence++], OBS_CONDITION_LINE, "%.*s",
			 OBS_CONDITION_LINE - 1, text);
}

int obs_conditions_state_parse(struct obs_conditions *all, uint64_t p2pd,
			       const struct obs_condition_facts *facts, struct obs_slice text)
{
	struct obs_condition *c = NULL;
	uint64_t of, looked, gap;
	char line[LINE_BYTES];

	if (!obs_line_next(&text, line, sizeof(line)) ||
	    sscanf(line, "p2pd %" SCNu64 " looked %" SCNu64, &of, &looked) != 2 || !p2pd ||
	    of != p2pd || looked > facts->wall_ns)
		return -EINVAL;
	gap = (facts->wall_ns - looked) / OBS_NS_PER_S;
	while (obs_line_next(&text, line, sizeof(line))) {
		if (strncmp(line, SAW, strlen(SAW)) != 0)
			c = take_one(all, line, facts, gap <= OBS_CONDITION_GAP_S);
		else if (c)
			take_evidence(c, line + strlen(SAW));
	}
	return 0;
}
