// SPDX-License-Identifier: BSD-2-Clause
/*
 * health.c - /health: can the observer see, keep and deliver; if not, why and what to do.
 *
 * Not hot, so a cJSON tree will do. Absent values are left out, never null.
 */
#include "serve/serve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "model/conditions.h"
#include "serve/text.h"
#include "util/cleanup.h"

#define NS_PER_S 1000000000ull

/* Sinks that have failed for this long make the observer degraded. */
#define SINK_PATIENCE_NS (60 * NS_PER_S)

static void free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
	*tree = NULL;
}

static void add_text(cJSON *o, const char *name, const char *text)
{
	cleanup_buf struct obs_buf clean = { 0 };

	if (!text || !*text)
		return;
	obs_text_push(&clean, text);
	cJSON_AddStringToObject(o, name, obs_buf_cstr(&clean));
}

/* Beyond 2^53 a JSON number loses digits. */
static void add_count(cJSON *o, const char *name, uint64_t n)
{
	char text[24];

	if (n <= 1ull << 53) {
		cJSON_AddNumberToObject(o, name, (double)n);
		return;
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	cJSON_AddStringToObject(o, name, text);
}

static void add_time(cJSON *o, const char *name, uint64_t ns)
{
	time_t s = (time_t)(ns / NS_PER_S);
	char text[40];
	struct tm tm;

	if (!ns || !gmtime_r(&s, &tm))
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON_AddStringToObject(o, name, text);
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	uint64_t ms = to_ns > from_ns ? (to_ns - from_ns) / 1000000u : 0;

	return (double)ms / 1000;
}

/* ---- status ---- */

__attribute__((format(printf, 2, 3))) static void add_reason(cJSON *reasons, const char *fmt, ...)
{
	cleanup_buf struct obs_buf clean = { 0 };
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	obs_text_push(&clean, text);
	cJSON_AddItemToArray(reasons, cJSON_CreateString(obs_buf_cstr(&clean)));
}

/* How many probes work; those that do not become reasons. */
static size_t judge_probes(const struct obs_model *m, cJSON *reasons)
{
	size_t ok = 0;

	for (size_t i = 0; i < m->n_probes; i++) {
		const struct obs_probe_status *p = &m->probes[i];

		ok += p->ok;
		if (!p->ok)
			add_reason(reasons, "%s cannot be observed%s%s", p->need,
				   *p->unseen ? ": " : "", p->unseen);
		else if (p->blind)
			add_reason(reasons, "%s: %s", p->need, p->blind);
	}
	if (!ok)
		add_reason(reasons, "nothing can be observed; 'gswarm-observer doctor' says why");
	return ok;
}

static void judge_store(const struct obs_model *m, cJSON *reasons)
{
	if (m->store_error)
		add_reason(reasons, "the store in %s refuses events: %s; they are tried again",
			   m->state_dir, strerror(-m->store_error));
}

static void judge_sinks(const struct obs_model *m, uint64_t now_ns, cJSON *reasons)
{
	for (size_t i = 0; i < m->n_sinks; i++) {
		const struct obs_sink_view *s = &m->sinks[i];
		uint64_t since = s->last_ok_ns ? s->last_ok_ns : m->started_ns;

		if (s->retry_at_ns && now_ns > since + SINK_PATIENCE_NS)
			add_reason(reasons, "sink %s has taken nothing for %.0f s: %s", s->name,
				   seconds_between(since, now_ns), s->last_error);
	}
}

/* Nodes are seen without it, whether they earn is not. */
static void judge_chain(const struct obs_model *m, uint64_t now_ns, cJSON *reasons)
{
	const struct obs_chain_view *v = m->chain;

	if (v && !v->answers && v->away_ns)
		add_reason(reasons, "for %.0f s: %s", seconds_between(v->away_ns, now_ns),
			   v->trouble);
	else if (v && !v->answers && *v->trouble)
		add_reason(reasons, "the chain is not asked: %s", v->trouble);
}

/* ---- parts ---- */

static cJSON *new_entry(cJSON *list)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToArray(list, o);
	return o;
}

static void add_probes(cJSON *root, const struct obs_model *m)
{
	cJSON *list = cJSON_AddArrayToObject(root, "probes");

	for (size_t i = 0; i < m->n_probes; i++) {
		const struct obs_probe_status *p = &m->probes[i];
		cJSON *o = new_entry(list);

		add_text(o, "need", p->need);
		add_text(o, "rung", p->rung);
		cJSON_AddBoolToObject(o, "ok", p->ok);
		cJSON_AddBoolToObject(o, "first_choice", p->first_choice);
		if (p->canary_ns)
			cJSON_AddBoolToObject(o, "canary_seen", !p->blind);
		add_time(o, "canary", p->canary_ns);
		add_text(o, "unseen", p->unseen);
		add_text(o, "refused", p->refused);
		add_text(o, "advice", p->advice);
	}
}

static void add_usage(cJSON *node, const struct obs_node_usage *u)
{
	uint64_t memory = u->has_cgroup && u->cgroup.memory_bytes != OBS_UNKNOWN
				  ? u->cgroup.memory_bytes
				  : u->rss_bytes;
	cJSON *o = cJSON_AddObjectToObject(node, "usage");

	add_time(o, "sampled", u->sampled_ns);
	cJSON_AddNumberToObject(o, "cpu_percent", round(u->cpu_percent * 10) / 10);
	if (!isnan(u->cpu_limit))
		cJSON_AddNumberToObject(o, "cpu_limit", u->cpu_limit);
	add_count(o, "memory_bytes", memory);
	if (u->has_cgroup && u->cgroup.memory_limit_bytes != OBS_UNKNOWN)
		add_count(o, "memory_limit_bytes", u->cgroup.memory_limit_bytes);
	if (u->has_cgroup && u->cgroup.oom_kills != OBS_UNKNOWN)
		add_count(o, "oom_kills", u->cgroup.oom_kills);
	add_count(o, "processes", u->processes);
	add_count(o, "threads", u->threads);
}

/* What a node and its p2pd said to each other, in few numbers; /api/v1/p2pd has them all. */
static void add_p2pd(cJSON *node, const struct obs_p2p_view *v)
{
	uint64_t calls = 0, failed = 0, in_flight = 0;
	cJSON *o = cJSON_AddObjectToObject(node, "p2pd");

	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			calls += v->rpcs[i].way[way].calls;
			failed += v->rpcs[i].way[way].failed;
			in_flight += v->rpcs[i].way[way].in_flight;
		}
	}
	add_text(o, "peer_id", v->peer_id);
	add_count(o, "peers", v->n_peers);
	add_count(o, "rpcs", calls);
	add_count(o, "rpcs_failed", failed);
	add_count(o, "rpcs_in_flight", in_flight);
	add_count(o, "rounds_exchanged", v->syncs);
	if (v->dht.clock_peers)
		cJSON_AddNumberToObject(o, "clock_offset_s", v->dht.clock_median_s);
}

static void add_condition(cJSON *list, enum obs_condition_id id, const struct obs_condition *c)
{
	cJSON *lines, *o = new_entry(list);

	add_text(o, "condition", obs_condition_str(id));
	add_time(o, "since", c->since_wall_ns);
	add_text(o, "words", c->found.words);
	lines = cJSON_AddArrayToObject(o, "evidence");
	for (size_t i = 0; i < c->found.n_evidence; i++)
		add_reason(lines, "%s", c->found.evidence[i]);
}

static void add_conditions(cJSON *node, const struct obs_model *m, uint32_t slot)
{
	cJSON *list = cJSON_AddArrayToObject(node, "conditions");

	for (size_t i = 0; i < m->n_node_conditions; i++) {
		const struct obs_conditions *all = m->node_conditions[i].conditions;

		for (size_t k = 0; m->node_conditions[i].slot == slot && k < OBS_CONDITIONS_MAX;
		     k++) {
			if (all->of[k].holds)
				add_condition(list, (enum obs_condition_id)k, &all->of[k]);
		}
	}
}

static const struct obs_p2p_view *p2pd_of(const struct obs_model *m, uint32_t slot)
{
	for (size_t i = 0; i < m->n_p2p; i++) {
		if (m->p2p[i]->slot == slot)
			return m->p2p[i];
	}
	return NULL;
}

static void add_nodes(cJSON *root, const struct obs_model *m, uint64_t now_ns)
{
	cJSON *list = cJSON_AddArrayToObject(root, "nodes");

	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct obs_node_status *n = &m->nodes[i];
		const struct obs_p2p_view *p2pd = p2pd_of(m, n->slot);
		cJSON *o = new_entry(list);

		add_text(o, "name", n->name);
		add_text(o, "container_id", n->container_id);
		add_text(o, "runtime", n->runtime);
		add_text(o, "image", n->image);
		cJSON_AddBoolToObject(o, "paused", n->paused);
		add_count(o, "pids", n->pids);
		add_count(o, "streams", n->streams);
		add_count(o, "events", n->events);
		add_time(o, "found", n->found_ns);
		add_time(o, "last_event", n->last_event_ns);
		if (n->last_event_ns)
			cJSON_AddNumberToObject(o, "last_event_age_s",
						seconds_between(n->last_event_ns, now_ns));
		if (n->usage)
			add_usage(o, n->usage);
		if (p2pd)
			add_p2pd(o, p2pd);
		add_conditions(o, m, n->slot);
	}
}

static void add_lives(cJSON *root, const struct obs_model *m)
{
	cJSON *list = cJSON_AddArrayToObject(root, "states");

	for (size_t i = 0; i < m->n_lives; i++) {
		const struct obs_life_view *v = &m->lives[i];
		cJSON *o = new_entry(list);

		add_text(o, "name", v->name);
		add_text(o, "container_id", v->container_id);
		cJSON_AddBoolToObject(o, "present", v->slot != 0);
		add_text(o, "state", v->state);
		add_text(o, "sub_state", v->sub_state);
		add_text(o, "reason", v->reason);
		add_time(o, "since", v->since_ns);
		add_text(o, "earning", v->earning);
		add_text(o, "earning_reason", v->earning_words);
	}
}

static void add_sinks(cJSON *root, const struct obs_model *m, uint64_t now_ns)
{
	cJSON *list = cJSON_AddArrayToObject(root, "sinks");

	for (size_t i = 0; i < m->n_sinks; i++) {
		const struct obs_sink_view *s = &m->sinks[i];
		cJSON *o = new_entry(list);

		add_text(o, "name", s->name);
		add_text(o, "where", s->where);
		add_count(o, "delivered", s->delivered);
		add_count(o, "waiting", s->waiting);
		add_count(o, "failures", s->failures);
		add_count(o, "dead_lettered", s->dead_lettered);
		add_count(o, "jumped", s->jumped);
		add_count(o, "requests", s->requests);
		add_count(o, "bytes", s->bytes);
		add_time(o, "last_ok", s->last_ok_ns);
		if (s->retry_at_ns)
			cJSON_AddNumberToObject(o, "retry_in_s",
						seconds_between(now_ns, s->retry_at_ns));
		add_text(o, "last_error", s->last_error);
	}
}

static void add_chain(cJSON *root, const struct obs_model *m, uint64_t now_ns)
{
	const struct obs_chain_view *v = m->chain;
	cJSON *o = v ? cJSON_AddObjectToObject(root, "chain") : NULL;

	if (!v)
		return;
	add_text(o, "where", v->where);
	add_text(o, "contract", v->contract);
	cJSON_AddBoolToObject(o, "answers", v->answers);
	add_text(o, "trouble", v->trouble);
	add_time(o, "last_ok", v->ok_ns);
	add_time(o, "away_since", v->away_ns);
	if (v->retry_ns)
		cJSON_AddNumberToObject(o, "next_poll_in_s", seconds_between(now_ns, v->retry_ns));
	add_count(o, "polls_ok", v->polls_ok);
	add_count(o, "polls_failed", v->polls_failed);
	add_count(o, "peers", v->n_peers);
	if (!v->ok_ns)
		return;
	cJSON_AddNumberToObject(o, "latency_s", v->latency_s);
	add_count(o, "chain_id", v->chain_id);
	add_count(o, "block", v->block);
	add_count(o, "round", v->round);
	if (v->has_stage)
		add_count(o, "stage", v->stage);
	add_time(o, "round_since", v->round_ns);
	add_count(o, "bootnodes", v->n_bootnodes);
	add_count(o, "events", v->events);
	add_count(o, "next_block", v->next_block);
	cJSON_AddBoolToObject(o, "reads_events", v->reads_events);
}

static void add_store(cJSON *root, const struct obs_model *m)
{
	cJSON *o = cJSON_AddObjectToObject(root, "store");

	add_text(o, "dir", m->state_dir);
	add_count(o, "bytes", m->store_bytes);
	add_count(o, "max_bytes", m->store_max_bytes);
	add_count(o, "first_seq", m->store_first_seq);
	add_count(o, "last_seq", m->store_last_seq);
	if (m->store_error)
		add_text(o, "error", strerror(-m->store_error));
	add_text(o, "set_aside", m->store_aside);
}

/* What is gone for good, what was repaired, and where the counters of both stand. */
static const struct loss {
	const char *name;
	size_t offset;
} losses[] = {
#define LOSS(field)                                          \
	{                                                    \
#field, offsetof(struct obs_counters, field) \
	}
	LOSS(bytes_lost_truncated), LOSS(bytes_lost_unreadable), LOSS(bytes_lost_console),
	LOSS(events_evicted_size),  LOSS(events_evicted_age),	 LOSS(records_bad_size),
	LOSS(records_bad_version),  LOSS(records_bad_type),	 LOSS(lines_cut),
	LOSS(streams_refused),	    LOSS(pending_overflow),	 LOSS(holes),
	LOSS(bytes_backfilled),
#undef LOSS
};

static uint64_t ring_drops(const struct obs_model *m)
{
	uint64_t n = 0;

	for (size_t cpu = 0; cpu < ARRAY_LEN(m->drops); cpu++) {
		for (size_t reason = 0; reason < m->n_drop_reasons; reason++)
			n += m->drops[cpu][reason];
	}
	return n;
}

static uint64_t program_misses(const struct obs_model *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_programs; i++)
		n += m->programs[i].missed;
	return n;
}

static void add_losses(cJSON *root, const struct obs_model *m)
{
	cJSON *o = cJSON_AddObjectToObject(root, "losses");

	add_count(o, "ring_drops", ring_drops(m));
	add_count(o, "program_misses", program_misses(m));
	for (size_t i = 0; i < ARRAY_LEN(losses) && m->counters; i++)
		add_count(o, losses[i].name,
			  obs_counter_get(
				  (const void *)((const char *)m->counters + losses[i].offset)));
}

static void add_summary(cJSON *root, const struct obs_model *m, uint64_t now_ns)
{
	add_text(root, "version", m->version);
	add_text(root, "node_id", m->node_id);
	add_time(root, "started", m->started_ns);
	cJSON_AddNumberToObject(root, "uptime_s", seconds_between(m->started_ns, now_ns));
}

static unsigned add_status(cJSON *root, const struct obs_model *m, uint64_t now_ns)
{
	cJSON *reasons = cJSON_CreateArray();
	size_t working = judge_probes(m, reasons);
	const char *status;

	judge_store(m, reasons);
	judge_sinks(m, now_ns, reasons);
	judge_chain(m, now_ns, reasons);
	status = !working ? "unavailable" : cJSON_GetArraySize(reasons) ? "degraded" : "ok";
	cJSON_AddStringToObject(root, "status", status);
	cJSON_AddItemToObject(root, "reasons", reasons);
	return working ? 200 : 503;
}

unsigned obs_health_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	__attribute__((cleanup(free_tree))) cJSON *root = cJSON_CreateObject();
	char *text;
	unsigned status;

	if (!root)
		return 500;
	status = add_status(root, m, now_ns);
	add_summary(root, m, now_ns);
	add_probes(root, m);
	add_nodes(root, m, now_ns);
	add_lives(root, m);
	add_sinks(root, m, now_ns);
	add_chain(root, m, now_ns);
	add_store(root, m);
	add_losses(root, m);
	text = cJSON_Print(root);
	if (!text)
		return 500;
	obs_buf_push_str(out, text);
	obs_buf_push_str(out, "\n");
	cJSON_free(text);
	return out->failed ? 500 : status;
}
