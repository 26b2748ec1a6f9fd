// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_p2pd.c - what a node's trainer and its p2pd say to each other, as events and numbers.
 *
 * The tables are collect/p2pd.c's; here they meet records, processes and log lines.
 */
#include "pipeline/part.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/p2pd.h"
#include "collect/p2pd_file.h"
#include "pipeline/engine.h"
#include "pipeline/p2pd_events.h"
#include "pipeline/role_sources.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

struct p2pd_part;

struct p2pd_node {
	struct p2pd_part *part;
	const struct obs_node *node;
	struct obs_p2pd *p2pd; /* owned */
	struct obs_p2pd_limit limit;
	pid_t daemon;	  /* 0 = none was seen */
	uint64_t mark;	  /* of the last one, over restarts of the observer; 0 = unknown */
	uint32_t daemons; /* that have answered */
	uint64_t snapshot_due_ns;
	uint64_t calls_told; /* of the last snapshot */
};

struct p2pd_part {
	struct obs_part_env env;
	struct p2pd_node *nodes[OBS_TARGETS_MAX]; /* by slot, owned; made when p2pd is heard */
	const struct obs_p2p_view *views[OBS_TARGETS_MAX]; /* what the model shows */
	FILE *save;					   /* owned; NULL = nothing is saved */
	uint64_t started_ns;				   /* CLOCK_BOOTTIME */
};

/* What no single write made is still this p2pd's: else nothing tells of which plain node it is. */
static void emit(const struct p2pd_node *n, struct obs_event *ev)
{
	if (!ev->origin.pid && n->daemon) {
		ev->origin.pid = (uint32_t)n->daemon;
		ev->origin.comm = OBS_SLICE("p2pd");
	}
	n->part->env.emit(n->part->env.ctx, n->node, ev);
}

static void on_failed(void *ctx, const struct obs_p2pd_failure *f)
{
	struct p2pd_node *n = ctx;
	struct obs_event ev = {};
	uint64_t more;

	if (!obs_p2pd_may_tell(&n->limit, f, obs_clock_ns(CLOCK_MONOTONIC), &more)) {
		obs_count(&n->part->env.counters->p2pd_failures_untold, 1);
		return;
	}
	obs_p2pd_failed_event(f, more, &ev);
	emit(n, &ev);
}

static void on_sync(void *ctx, const struct obs_swarm_sync *s)
{
	struct obs_event ev = {};

	obs_p2pd_sync_event(s, &ev);
	emit(ctx, &ev);
}

static void on_address(void *ctx, const char *peer_id, const char *addr, bool met)
{
	struct p2pd_node *n = ctx;

	obs_roles_add_peer(n->part->env.roles, n->node->slot, peer_id, obs_slice_str(addr), met);
}

static const struct obs_p2pd_ops ops = { .failed = on_failed,
					 .sync = on_sync,
					 .address = on_address };

/* --- over a restart of the observer: how many p2pds there were, and which was the last --- */

static void keep(const struct p2pd_node *n)
{
	const struct obs_outlet *o = n->part->env.outlet;
	char name[192], body[48];

	if (!o->put_state)
		return;
	obs_part_state_name("p2pd", n->node, name, sizeof(name));
	snprintf(body, sizeof(body), "%" PRIu32 " %" PRIx64, n->daemons, n->mark);
	o->put_state(o->ctx, name, obs_slice_str(body));
}

static void recall(struct p2pd_node *n)
{
	const struct obs_outlet *o = n->part->env.outlet;
	cleanup_buf struct obs_buf body = {};
	uint64_t mark;
	uint32_t daemons;
	char name[192];

	obs_part_state_name("p2pd", n->node, name, sizeof(name));
	if (!o->get_state || o->get_state(o->ctx, name, &body) < 0 ||
	    obs_buf_push(&body, "", 1) < 0 ||
	    sscanf(body.p, "%" SCNu32 " %" SCNx64, &daemons, &mark) != 2)
		return;
	n->daemons = daemons;
	n->mark = mark;
}

static void forget(const struct p2pd_node *n)
{
	const struct obs_outlet *o = n->part->env.outlet;
	char name[192];

	if (!o->put_state)
		return;
	obs_part_state_name("p2pd", n->node, name, sizeof(name));
	o->put_state(o->ctx, name, obs_slice(NULL, 0));
}

static struct p2pd_node *node_of(struct p2pd_part *part, const struct obs_node *node)
{
	struct p2pd_node *n = part->nodes[node->slot];

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	n->part = part;
	n->node = node;
	if (obs_p2pd_new(&ops, n, part->env.counters, &n->p2pd) < 0) {
		free(n);
		return NULL;
	}
	part->nodes[node->slot] = n;
	recall(n);
	return n;
}

static void tell_ready(struct p2pd_node *n, uint64_t took_ns, uint64_t boot_ns)
{
	struct p2pd_part *part = n->part;
	struct obs_event ev = {};

	obs_p2pd_ready_event(obs_p2pd_view(n->p2pd)->peer_id, took_ns, n->daemons - 1, &ev);
	ev.wall_ns = part->env.to_wall(part->env.ctx, boot_ns);
	emit(n, &ev);
}

/* The first answer of a p2pd: it is ready. One that is older than we are has answered before. */
static void on_ready(struct p2pd_node *n, pid_t pid, uint64_t boot_ns)
{
	struct p2pd_part *part = n->part;
	const struct obs_process *o = obs_targets_process(part->env.targets, pid);
	uint64_t start_ns = o ? obs_ticks_ns(o->start_ticks) : 0, mark = obs_process_mark(o);
	bool is_new = start_ns >= part->started_ns && start_ns <= boot_ns;

	n->daemon = pid;
	if (mark && mark == n->mark)
		return; /* told by an observer before us */
	n->mark = mark;
	n->daemons++;
	keep(n); /* before the event: durable with it, or neither */
	tell_ready(n, is_new ? boot_ns - start_ns : 0, boot_ns);
}

static void save(struct p2pd_part *part, const struct obs_p2pd_write *w)
{
	int r = part->save ? obs_p2pd_file_push(part->save, w) : 0;

	if (r == 0)
		return;
	obs_warn("p2pd.save_file: %s; nothing more is saved", strerror(-r));
	fclose(part->save);
	part->save = NULL;
}

static void p2pd_record(void *ctx, struct obs_node *node, const struct obs_record *rec)
{
	struct p2pd_part *part = ctx;
	const struct obs_rec_p2pd *r = rec->p2pd;
	struct obs_p2pd_write w;
	struct p2pd_node *n;

	if (rec->hdr->type != OBS_REC_P2PD || !node || r->len < rec->tail.len)
		return;
	n = node_of(part, node);
	if (!n || r->ends < OBS_P2PD_BY_DAEMON || r->ends > OBS_P2PD_BY_DIALER)
		return;
	if (r->ends == OBS_P2PD_DAEMON && n->daemon != (pid_t)r->tgid)
		on_ready(n, (pid_t)r->tgid, rec->hdr->ts_ns);
	w = (struct obs_p2pd_write){
		.conn = r->conn,
		.at = r->at,
		.by = (enum obs_p2pd_writer)r->ends,
		.fresh = r->flags & OBS_P2PD_FRESH,
		.in = obs_head(rec->tail.p, rec->tail.len, r->len),
		.pid = (pid_t)r->tgid,
		.ns = rec->hdr->ts_ns,
		.wall_ns = part->env.to_wall(part->env.ctx, rec->hdr->ts_ns),
	};
	save(part, &w);
	obs_p2pd_push(n->p2pd, &w);
}

/* Rounds and the node's identity also stand in its log, and in p2pd's own output. */
static void p2pd_event(void *ctx, const struct obs_node *node, const struct obs_event *ev)
{
	struct p2pd_part *part = ctx;
	struct p2pd_node *n = node ? part->nodes[node->slot] : NULL;
	char id[OBS_P2P_ID_LEN];
	uint32_t round;

	if (n && obs_p2pd_event_round(ev, &round))
		obs_p2pd_learn_round(n->p2pd, round);
	if (!node || !obs_p2pd_event_identity(ev, id))
		return;
	n = node_of(part, node); /* p2pd prints its id before anybody talks to it */
	if (n)
		obs_p2pd_learn_id(n->p2pd, id);
}

static void p2pd_left(void *ctx, struct obs_node *node, pid_t pid)
{
	struct p2pd_part *part = ctx;
	struct p2pd_node *n = part->nodes[node->slot];

	if (n)
		obs_p2pd_process_left(n->p2pd, pid);
}

static void snapshot(struct p2pd_node *n)
{
	const struct obs_p2p_view *v = obs_p2pd_view(n->p2pd);
	struct obs_p2pd_snapshot s;
	uint64_t calls = 0;

	for (size_t i = 0; i < v->n_rpcs; i++)
		calls += v->rpcs[i].way[OBS_P2P_OUT].calls + v->rpcs[i].way[OBS_P2P_IN].calls;
	if (calls == n->calls_told)
		return;
	n->calls_told = calls;
	obs_p2pd_snapshot_event(v, &s);
	emit(n, &s.ev);
}

static void p2pd_gone(void *ctx, struct obs_node *node)
{
	struct p2pd_part *part = ctx;
	struct p2pd_node *n = part->nodes[node->slot];

	if (!n)
		return;
	obs_p2pd_finish(n->p2pd);
	snapshot(n);
	forget(n);
	obs_p2pd_free(&n->p2pd);
	free(n);
	part->nodes[node->slot] = NULL;
}

static void p2pd_refresh(void *ctx)
{
	struct p2pd_part *part = ctx;
	size_t count = 0;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		struct p2pd_node *n = part->nodes[i];

		if (!n)
			continue;
		obs_p2pd_name_view(n->p2pd, n->node->slot, n->node->title);
		part->views[count++] = obs_p2pd_view(n->p2pd);
	}
	part->env.model->p2p = part->views;
	part->env.model->n_p2p = count;
}

static void p2pd_tick(void *ctx)
{
	struct p2pd_part *part = ctx;
	uint64_t now = obs_boot_ns();
	uint64_t every = (uint64_t)(part->env.config->p2pd.snapshot_interval_s * 1e9);

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		struct p2pd_node *n = part->nodes[i];

		if (!n)
			continue;
		obs_p2pd_tick(n->p2pd, now, obs_wall_ns());
		if (every == 0 || now < n->snapshot_due_ns)
			continue;
		if (n->snapshot_due_ns)
			snapshot(n);
		n->snapshot_due_ns = now + every;
	}
	if (part->save)
		fflush(part->save);
	p2pd_refresh(part); /* parts behind this one look at it */
}

static void open_save(struct p2pd_part *part)
{
	const char *path = part->env.config->p2pd.save_file;
	int r = path && *path ? obs_p2pd_file_open(path, &part->save) : 0;

	if (r < 0)
		obs_err("p2pd.save_file: %s: %s; nothing is saved", path, strerror(-r));
}

static int p2pd_start(const struct obs_part_env *env, void **ret)
{
	struct p2pd_part *part = calloc(1, sizeof(*part));

	if (!part)
		return -ENOMEM;
	part->env = *env;
	part->started_ns = obs_boot_ns();
	open_save(part);
	*ret = part;
	return 0;
}

static void p2pd_free(void **ctx)
{
	struct p2pd_part *part = *ctx;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (part->nodes[i])
			obs_p2pd_free(&part->nodes[i]->p2pd);
		free(part->nodes[i]);
	}
	part->env.model->p2p = NULL;
	part->env.model->n_p2p = 0;
	if (part->save)
		fclose(part->save);
	free(part);
	*ctx = NULL;
}

extern const struct obs_part_ops obs_part_p2pd;

const struct obs_part_ops obs_part_p2pd = {
	.name = "p2pd",
	.start = p2pd_start,
	.record = p2pd_record,
	.event = p2pd_event,
	.left = p2pd_left,
	.gone = p2pd_gone,
	.tick = p2pd_tick,
	.refresh = p2pd_refresh,
	.free = p2pd_free,
};
