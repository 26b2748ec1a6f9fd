// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_conditions.c - the part that looks at each node's network now and then, and tells when one
 * of the conditions of model/conditions.h begins or ends.
 *
 * It reads what the parts before it have put into the model in the same tick.
 */
#include <errno.h>
#include <stdlib.h>

#include "model/conditions_state.h"
#include "pipeline/engine.h"
#include "pipeline/part.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define KEEP_NS (60 * OBS_NS_PER_S)

struct judged {
	const struct obs_node *node; /* borrowed until it is gone */
	struct obs_conditions conditions;
	uint64_t kept;	  /* obs_conditions_differ() then */
	uint64_t kept_ns; /* CLOCK_BOOTTIME */
};

struct part {
	struct obs_part_env env;
	struct judged *judged[OBS_TARGETS_MAX]; /* by slot, owned */
	struct obs_node_conditions *views;	/* owned; model->node_conditions */
	uint64_t due_ns;
};

struct told {
	struct part *p;
	struct judged *j;
	uint64_t wall_ns;
	const char *why; /* it ended, if not by itself */
};

/* --- over a restart of the observer --- */

static void keep(struct part *p, struct judged *j)
{
	uint64_t p2pd = obs_targets_mark(p->env.targets, j->node, OBS_ROLE_P2PD);
	uint64_t sum = p2pd ? obs_conditions_differ(&j->conditions) : 0;
	cleanup_buf struct obs_buf text = {};
	char name[192];

	if (!p->env.outlet->put_state || (!sum && !j->kept))
		return;
	if (sum && obs_conditions_state_format(&j->conditions, p2pd, obs_wall_ns(), &text) < 0)
		return;
	obs_part_state_name("conditions", j->node, name, sizeof(name));
	p->env.outlet->put_state(p->env.outlet->ctx, name, obs_buf_slice(&text));
	j->kept = sum;
	j->kept_ns = obs_boot_ns();
}

static void take_up(struct part *p, struct judged *j)
{
	struct obs_condition_facts now = { .wall_ns = obs_wall_ns(), .now_ns = obs_boot_ns() };
	cleanup_buf struct obs_buf text = {};
	char name[192];

	obs_part_state_name("conditions", j->node, name, sizeof(name));
	if (!p->env.outlet->get_state ||
	    p->env.outlet->get_state(p->env.outlet->ctx, name, &text) < 0)
		return;
	obs_conditions_state_parse(&j->conditions,
				   obs_targets_mark(p->env.targets, j->node, OBS_ROLE_P2PD), &now,
				   obs_buf_slice(&text));
	j->kept = 1; /* whatever it is: there is a row */
}

/* --- telling --- */

static void on_change(void *ctx, enum obs_condition_id id, const struct obs_condition *c)
{
	const struct told *t = ctx;
	struct obs_event ev = { .type = OBS_EVENT_PEER };
	struct obs_slice lines[OBS_CONDITION_EVIDENCE];

	ev.name = c->holds ? "condition_began" : "condition_ended";
	ev.origin.via = id == OBS_CLOCK_OFFSET ? OBS_VIA_P2PD : OBS_VIA_CONNECTION;
	obs_event_add_str(&ev, "condition", obs_slice_str(obs_condition_str(id)));
	ev.message = obs_slice_str(t->why ? t->why : c->found.words);
	obs_event_add_real(&ev, "value", c->found.value);
	obs_event_add_real(&ev, "limit", c->limit);
	if (t->wall_ns > c->since_wall_ns)
		obs_event_add_real(&ev, "duration_s",
				   (double)(t->wall_ns - c->since_wall_ns) / OBS_NS_PER_S);
	for (size_t i = 0; i < c->found.n_evidence; i++)
		lines[i] = obs_slice_str(c->found.evidence[i]);
	if (c->found.n_evidence)
		obs_event_add_list(&ev, "evidence", lines, c->found.n_evidence);
	keep(t->p, t->j); /* in the transaction of the event */
	t->p->env.emit(t->p->env.ctx, t->j->node, &ev);
}

/* --- the facts --- */

struct search {
	struct obs_targets *targets;
	bool found;
};

static void look_for_p2pd(void *ctx, pid_t pid)
{
	struct search *s = ctx;
	const struct obs_process *process = obs_targets_process(s->targets, pid);

	s->found |= process && process->role == OBS_ROLE_P2PD;
}

static const struct obs_peers *peers_of(const struct obs_model *m, uint32_t slot)
{
	for (size_t i = 0; i < m->n_node_peers; i++) {
		if (m->node_peers[i].slot == slot)
			return m->node_peers[i].peers;
	}
	return NULL;
}

static const struct obs_p2p_view *p2p_of(const struct obs_model *m, uint32_t slot)
{
	for (size_t i = 0; i < m->n_p2p; i++) {
		if (m->p2p[i]->slot == slot)
			return m->p2p[i];
	}
	return NULL;
}

static struct obs_condition_limits limits_of(const struct obs_config *c)
{
	return (struct obs_condition_limits){
		.no_dht_peer_s = c->conditions.no_dht_peer_s,
		.bootnodes_unreachable_s = c->conditions.bootnodes_unreachable_s,
		.half_open_storm = (double)c->conditions.half_open_storm,
		.rtt_grew = (double)c->conditions.rtt_grew,
		.clock_offset_s = c->conditions.clock_offset_s,
		.not_reachable_s = c->conditions.not_reachable_s,
		.ended_after_s = c->conditions.ended_after_s,
	};
}

static void judge(struct part *p, struct judged *j)
{
	struct search search = { .targets = p->env.targets };
	struct obs_condition_facts facts = {
		.peers = peers_of(p->env.model, j->node->slot),
		.p2p = p2p_of(p->env.model, j->node->slot),
		.wall_ns = obs_wall_ns(),
		.now_ns = obs_boot_ns(),
	};
	struct obs_condition_limits limits = limits_of(p->env.config);
	struct told told = { .p = p, .j = j, .wall_ns = facts.wall_ns };

	obs_targets_each_pid(p->env.targets, j->node, look_for_p2pd, &search);
	facts.has_p2pd = search.found;
	obs_conditions_look(&j->conditions, &limits, &facts, on_change, &told);
	if (obs_conditions_differ(&j->conditions) != j->kept ||
	    (j->kept && facts.now_ns - j->kept_ns > KEEP_NS))
		keep(p, j);
}

/* --- the part --- */

static void on_tick(void *part)
{
	struct part *p = part;
	uint64_t now = obs_boot_ns();

	if (now < p->due_ns)
		return;
	p->due_ns = now + (uint64_t)(p->env.config->conditions.interval_s * OBS_NS_PER_S);
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (p->judged[i])
			judge(p, p->judged[i]);
	}
}

static void on_ready(void *part, struct obs_node *node)
{
	struct part *p = part;

	free(p->judged[node->slot]);
	p->judged[node->slot] = calloc(1, sizeof(struct judged));
	if (!p->judged[node->slot])
		return;
	p->judged[node->slot]->node = node;
	take_up(p, p->judged[node->slot]);
}

static void on_gone(void *part, struct obs_node *node)
{
	struct part *p = part;
	struct judged *j = p->judged[node->slot];
	struct told told = { .p = p, .j = j, .wall_ns = obs_wall_ns(), .why = "the node is gone" };

	if (!j)
		return;
	obs_conditions_end(&j->conditions, on_change, &told);
	keep(p, j);
	free(j);
	p->judged[node->slot] = NULL;
}

static void on_stop(void *part)
{
	struct part *p = part;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (p->judged[i])
			keep(p, p->judged[i]);
	}
}

static void on_refresh(void *part)
{
	struct part *p = part;
	size_t n = 0;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (!p->judged[i])
			continue;
		p->views[n] =
			(struct obs_node_conditions){ .slot = i,
						      .conditions = &p->judged[i]->conditions };
		snprintf(p->views[n].name, sizeof(p->views[n].name), "%.127s",
			 p->judged[i]->node->title);
		snprintf(p->views[n].container_id, sizeof(p->views[n].container_id), "%s",
			 p->judged[i]->node->id12);
		n++;
	}
	p->env.model->node_conditions = p->views;
	p->env.model->n_node_conditions = n;
}

static void free_part(void **part)
{
	struct part *p = *part;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++)
		free(p->judged[i]);
	p->env.model->n_node_conditions = 0;
	free(p->views);
	free(p);
	*part = NULL;
}

static int start(const struct obs_part_env *env, void **ret)
{
	cleanup_free struct part *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->env = *env;
	p->views = calloc(OBS_TARGETS_MAX, sizeof(*p->views));
	if (!p->views)
		return -ENOMEM;
	*ret = TAKE_PTR(p);
	return 0;
}

extern const struct obs_part_ops obs_part_conditions;

const struct obs_part_ops obs_part_conditions = {
	.name = "conditions",
	.start = start,
	.ready = on_ready,
	.gone = on_gone,
	.tick = on_tick,
	.refresh = on_refresh,
	.stop = on_stop,
	.free = free_part,
};
