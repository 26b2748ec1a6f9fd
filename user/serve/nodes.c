// SPDX-License-Identifier: BSD-2-Clause
/*
 * nodes.c - /api/v1/nodes: what state each node is in, whether it earns, and from what that was
 * concluded. Nodes that have ended lately stand behind those that live.
 */
#include "serve/nodes.h"

#include <math.h>
#include <string.h>

#include "model/peers.h"
#include "pipeline/json.h"
#include "serve/conditions.h"
#include "serve/fields.h"
#include "serve/text.h"
#include "util/cleanup.h"

static void put_age(struct obs_json *j, const char *key, uint64_t from_ns, uint64_t now_ns)
{
	uint64_t ms = now_ns > from_ns ? (now_ns - from_ns) / 1000000 : 0;

	if (!from_ns)
		return;
	obs_json_key_str(j, key);
	obs_json_real(j, (double)ms / 1000);
}

static void put_evidence(struct obs_json *j, const struct obs_life_view *v)
{
	obs_json_key_str(j, "evidence");
	obs_json_array_open(j);
	for (size_t i = 0; i < v->n_evidence; i++) {
		obs_json_object_open(j);
		obs_put_time(j, "time", v->evidence[i].wall_ns);
		obs_put_text(j, "text", v->evidence[i].text);
		obs_json_object_close(j);
	}
	obs_json_array_close(j);
}

static void put_submits(struct obs_json *j, const struct obs_life_view *v)
{
	obs_json_key_str(j, "submissions");
	obs_json_object_open(j);
	obs_put_count(j, "taken", v->submits_ok);
	obs_put_count(j, "failed", v->submits_failed);
	obs_put_time(j, "last_taken", v->last_submit_ns);
	obs_put_time(j, "last_failed", v->last_submit_failed_ns);
	if (v->last_submit_status)
		obs_put_count(j, "last_status", (uint64_t)v->last_submit_status);
	obs_put_text(j, "last_failure", v->last_submit_words);
	obs_put_text(j, "last_reward", v->last_reward);
	obs_put_text(j, "total_rewards", v->total_rewards);
	obs_put_text(j, "total_wins", v->total_wins);
	obs_json_object_close(j);
}

static void put_chain(struct obs_json *j, const struct obs_life_view *v)
{
	if (!v->chain_round_known)
		return;
	obs_json_key_str(j, "chain");
	obs_json_object_open(j);
	obs_put_text(j, "peer_id", v->peer_id);
	if (v->registered_known) {
		obs_json_key_str(j, "registered");
		obs_json_bool(j, v->registered);
	}
	obs_put_count(j, "round", v->chain_round);
	obs_put_count(j, "rounds_behind", v->rounds_behind);
	obs_put_count(j, "rounds", v->chain_rounds);
	obs_put_text(j, "participation", v->participation);
	obs_put_text(j, "total_rewards", v->total_rewards);
	obs_put_text(j, "total_wins", v->total_wins);
	obs_put_time(j, "last_submission", v->chain_submitted_ns);
	if (v->chain_submitted_round)
		obs_put_count(j, "last_submission_round", v->chain_submitted_round);
	obs_put_text(j, "last_reward", v->chain_reward);
	obs_put_time(j, "last_win", v->chain_won_ns);
	obs_json_object_close(j);
}

static const struct obs_node_status *status_of(const struct obs_model *m, uint32_t slot)
{
	for (size_t i = 0; slot && i < m->n_nodes; i++) {
		if (m->nodes[i].slot == slot)
			return &m->nodes[i];
	}
	return NULL;
}

/* What its processes hold of all GPUs; OBS_UNKNOWN: no GPU, or the driver does not tell. */
static uint64_t gpu_bytes(const struct obs_host_usage *h, const char *node)
{
	uint64_t sum = 0;
	bool known = false;

	for (size_t i = 0; i < h->n_gpus; i++) {
		known |= h->gpus[i].mig_parent < 0;
		for (size_t k = 0; k < h->gpus[i].n_procs; k++) {
			const struct obs_gpu_process *p = &h->gpus[i].procs[k];

			if (p->memory_bytes != OBS_UNKNOWN && strcmp(p->node, node) == 0)
				sum += p->memory_bytes;
		}
	}
	return known ? sum : OBS_UNKNOWN;
}

static void put_usage(struct obs_json *j, const struct obs_node_usage *u)
{
	bool limited = u->has_cgroup && u->cgroup.memory_limit_bytes != OBS_UNKNOWN;

	if (u->interval_s > 0)
		obs_put_real(j, "cpu_percent", u->cpu_percent);
	obs_put_real(j, "cpu_limit", u->cpu_limit);
	obs_put_count(j, "memory_bytes",
		      u->has_cgroup && u->cgroup.memory_bytes != OBS_UNKNOWN
			      ? u->cgroup.memory_bytes
			      : u->rss_bytes);
	if (limited)
		obs_put_count(j, "memory_limit_bytes", u->cgroup.memory_limit_bytes);
	if (u->shared_memory_limit != OBS_UNKNOWN)
		obs_put_count(j, "shared_memory_limit_bytes", u->shared_memory_limit);
	obs_put_count(j, "processes", u->processes);
	obs_put_count(j, "threads", u->threads);
}

static void put_peers(struct obs_json *j, const struct obs_model *m, uint32_t slot)
{
	uint64_t connected = 0;

	for (size_t i = 0; i < m->n_node_peers; i++) {
		if (m->node_peers[i].slot != slot)
			continue;
		for (const struct obs_peer *e = m->node_peers[i].peers->peers; e; e = e->hh.next)
			connected +=
				e->open && (e->role == OBS_PEER_BOOTNODE ||
					    e->role == OBS_PEER_DHT || e->role == OBS_PEER_RELAY);
		obs_put_count(j, "peers_connected", connected);
		return;
	}
}

static void put_status(struct obs_json *j, const struct obs_model *m,
		       const struct obs_node_status *st)
{
	uint64_t gpu = gpu_bytes(&m->host, st->name);

	obs_put_text(j, "runtime", st->runtime);
	obs_put_text(j, "image", st->image);
	obs_put_count(j, "pids", st->pids);
	obs_put_count(j, "events", st->events);
	obs_put_time(j, "last_event", st->last_event_ns);
	if (st->usage)
		put_usage(j, st->usage);
	if (gpu != OBS_UNKNOWN)
		obs_put_count(j, "gpu_memory_bytes", gpu);
	put_peers(j, m, st->slot);
}

static void put_node(struct obs_json *j, const struct obs_model *m, const struct obs_life_view *v,
		     uint64_t now_ns)
{
	const struct obs_node_status *st = status_of(m, v->slot);

	obs_json_object_open(j);
	obs_put_text(j, "name", v->name);
	obs_put_text(j, "container_id", v->container_id);
	obs_json_key_str(j, "present");
	obs_json_bool(j, v->slot != 0);
	if (st)
		put_status(j, m, st);
	obs_put_text(j, "state", v->state);
	obs_put_text(j, "sub_state", v->sub_state);
	obs_put_text(j, "meaning", v->meaning);
	obs_put_text(j, "reason", v->reason);
	obs_put_time(j, "since", v->since_ns);
	put_age(j, "for_s", v->since_ns, now_ns);
	obs_put_text(j, "earning", v->earning);
	obs_put_text(j, "earning_reason", v->earning_words);
	if (v->round_known)
		obs_put_count(j, "round", v->round);
	obs_put_count(j, "rounds_joined", v->rounds_joined);
	put_submits(j, v);
	put_chain(j, v);
	obs_put_count(j, "errors", v->errors);
	obs_put_text(j, "last_error", v->last_error);
	obs_put_time(j, "last_error_time", v->last_error_ns);
	obs_put_time(j, "watched_since", v->watched_ns);
	put_evidence(j, v);
	obs_conditions_put(j, m, v->slot);
	obs_json_object_close(j);
}

unsigned obs_nodes_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	struct obs_json j = { .out = out };

	obs_begin_nodes(&j, m, now_ns);
	for (size_t i = 0; i < m->n_lives; i++)
		put_node(&j, m, &m->lives[i], now_ns);
	return obs_end_nodes(&j);
}
