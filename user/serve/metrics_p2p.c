// SPDX-License-Identifier: BSD-2-Clause
/* metrics_p2p.c - see metrics_p2p.h. A metric is a row: name, type, help, samples of one node. */
#include "serve/metrics_p2p.h"

#include <inttypes.h>

#include "serve/text.h"
#include "util/cleanup.h"

/* Names of RPCs are peers' words, but the tables keep only printable ones. */
static void push_value(struct obs_buf *out, const char *value)
{
	cleanup_buf struct obs_buf clean = { 0 };

	obs_text_push(&clean, value);
	for (const char *p = obs_buf_cstr(&clean); *p; p++) {
		if (*p == '\\' || *p == '"')
			obs_buf_push_str(out, "\\");
		obs_buf_push(out, p, 1);
	}
}

struct sample {
	struct obs_buf *out;
	const char *name;
	const struct obs_p2p_view *v;
};

static void push_node(const struct sample *s, const char *suffix)
{
	obs_buf_printf(s->out, "%s%s{node=\"", s->name, suffix);
	push_value(s->out, s->v->node);
	obs_buf_printf(s->out, "\",slot=\"%u\"", s->v->slot);
}

static void one(const struct sample *s, double value)
{
	push_node(s, "");
	obs_buf_printf(s->out, "} %.15g\n", value);
}

static void rpc(const struct sample *s, const char *suffix, const struct obs_rpc_view *r, int way,
		const char *le, double value)
{
	push_node(s, suffix);
	obs_buf_push_str(s->out, ",rpc=\"");
	push_value(s->out, r->name);
	obs_buf_printf(s->out, "\",direction=\"%s\"", way == OBS_P2P_OUT ? "out" : "in");
	if (le)
		obs_buf_printf(s->out, ",le=\"%s\"", le);
	obs_buf_printf(s->out, "} %.15g\n", value);
}

#define EACH_RPC(member)                                                                      \
	static void rpc_##member(const struct sample *s)                                      \
	{                                                                                     \
		for (size_t i = 0; i < s->v->n_rpcs; i++) {                                   \
			for (int way = 0; way < 2; way++) {                                   \
				const struct obs_rpc_view *r = &s->v->rpcs[i];                \
                                                                                              \
				if (r->way[way].calls)                                        \
					rpc(s, "", r, way, NULL, (double)r->way[way].member); \
			}                                                                     \
		}                                                                             \
	}

EACH_RPC(calls)
EACH_RPC(answered)
EACH_RPC(failed)
EACH_RPC(cancelled)
EACH_RPC(in_flight)
EACH_RPC(request_bytes)
EACH_RPC(answer_bytes)
EACH_RPC(request_max)
EACH_RPC(answer_max)

static void histogram(const struct sample *s, const struct obs_rpc_view *r, int way)
{
	const struct obs_rpc_numbers *n = &r->way[way];
	uint64_t below = 0;
	char le[24];

	for (size_t b = 0; b < OBS_P2P_BUCKETS; b++) {
		below += n->buckets[b];
		snprintf(le, sizeof(le), "%g", obs_p2p_bucket_ms[b] / 1e3);
		rpc(s, "_bucket", r, way, le, (double)below);
	}
	below += n->buckets[OBS_P2P_BUCKETS];
	rpc(s, "_bucket", r, way, "+Inf", (double)below);
	rpc(s, "_sum", r, way, NULL, (double)n->latency_ns / 1e9);
	rpc(s, "_count", r, way, NULL, (double)below);
}

static void sizes(const struct sample *s, const struct obs_rpc_view *r, int way,
		  const uint64_t *buckets, uint64_t sum)
{
	uint64_t below = 0;
	char le[24];

	for (size_t b = 0; b < OBS_P2P_SIZE_BUCKETS; b++) {
		below += buckets[b];
		snprintf(le, sizeof(le), "%" PRIu64, obs_p2p_bucket_bytes[b]);
		rpc(s, "_bucket", r, way, le, (double)below);
	}
	below += buckets[OBS_P2P_SIZE_BUCKETS];
	rpc(s, "_bucket", r, way, "+Inf", (double)below);
	rpc(s, "_sum", r, way, NULL, (double)sum);
	rpc(s, "_count", r, way, NULL, (double)below);
}

#define EACH_SIZE(what)                                                                    \
	static void rpc_##what##_sizes(const struct sample *s)                             \
	{                                                                                  \
		for (size_t i = 0; i < s->v->n_rpcs; i++) {                                \
			for (int way = 0; way < 2; way++) {                                \
				const struct obs_rpc_numbers *n = &s->v->rpcs[i].way[way]; \
                                                                                           \
				if (n->calls)                                              \
					sizes(s, &s->v->rpcs[i], way, n->what##_sizes,     \
					      n->what##_bytes);                            \
			}                                                                  \
		}                                                                          \
	}

EACH_SIZE(request)
EACH_SIZE(answer)

static void rpc_latency(const struct sample *s)
{
	for (size_t i = 0; i < s->v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			if (s->v->rpcs[i].way[way].calls)
				histogram(s, &s->v->rpcs[i], way);
		}
	}
}

static void dht(const struct sample *s, const char *what, uint64_t value)
{
	push_node(s, "");
	obs_buf_printf(s->out, ",what=\"%s\"} %" PRIu64 "\n", what, value);
}

static void dht_all(const struct sample *s)
{
	const struct obs_dht_numbers *d = &s->v->dht;

	dht(s, "records_sent", d->records_sent);
	dht(s, "records_refused", d->records_refused);
	dht(s, "records_taken", d->records_taken);
	dht(s, "keys_asked", d->keys_asked[OBS_P2P_OUT]);
	dht(s, "hits", d->hits[OBS_P2P_OUT]);
	dht(s, "misses", d->misses[OBS_P2P_OUT]);
	dht(s, "keys_asked_by_peers", d->keys_asked[OBS_P2P_IN]);
	dht(s, "hits_of_peers", d->hits[OBS_P2P_IN]);
	dht(s, "misses_of_peers", d->misses[OBS_P2P_IN]);
	dht(s, "value_bytes_sent", d->value_bytes_sent);
	dht(s, "value_bytes_received", d->value_bytes_received);
}

static void clock_offset(const struct sample *s)
{
	if (s->v->dht.has_clock)
		one(s, s->v->dht.clock_offset_s);
}

static void identity(const struct sample *s)
{
	if (!*s->v->peer_id)
		return;
	push_node(s, "");
	obs_buf_printf(s->out, ",peer_id=\"%s\"} 1\n", s->v->peer_id);
}

#define ONE(member)                                      \
	static void one_##member(const struct sample *s) \
	{                                                \
		one(s, (double)s->v->member);            \
	}

ONE(n_peers)
ONE(connects)
ONE(connects_failed)
ONE(connections)
ONE(syncs)

/* Samples of what goes both ways. */
static void both_ways(const struct sample *s, const char *label, const char *value,
		      const uint64_t numbers[2])
{
	for (int way = 0; way < 2; way++) {
		push_node(s, "");
		obs_buf_printf(s->out, ",%s=\"", label);
		push_value(s->out, value);
		obs_buf_printf(s->out, "\",direction=\"%s\"} %" PRIu64 "\n",
			       way == OBS_P2P_OUT ? "out" : "in", numbers[way]);
	}
}

static bool has_streams(const struct obs_rpc_view *r)
{
	return r->streams[OBS_P2P_OUT].opened || r->streams[OBS_P2P_IN].opened;
}

static void streams(const struct sample *s)
{
	for (size_t i = 0; i < s->v->n_rpcs; i++) {
		const struct obs_rpc_view *r = &s->v->rpcs[i];
		const uint64_t n[2] = { r->streams[0].opened, r->streams[1].opened };

		if (has_streams(r))
			both_ways(s, "protocol", r->name, n);
	}
}

static void stream_bytes(const struct sample *s)
{
	for (size_t i = 0; i < s->v->n_rpcs; i++) {
		if (has_streams(&s->v->rpcs[i]))
			both_ways(s, "protocol", s->v->rpcs[i].name, s->v->rpcs[i].stream_bytes);
	}
}

static void handlers(const struct sample *s)
{
	one(s, (double)s->v->n_handlers);
}

static void averaging(const struct sample *s)
{
	for (int i = 0; i < OBS_AVERAGING_MAX; i++) {
		enum obs_averaging what = (enum obs_averaging)i;
		const uint64_t n[2] = { obs_p2p_averaging(s->v, what, OBS_P2P_OUT),
					obs_p2p_averaging(s->v, what, OBS_P2P_IN) };

		if (n[0] || n[1])
			both_ways(s, "rpc", obs_averaging_str(what), n);
	}
}

#define EACH_KIND(member)                                                                        \
	static void keys_##member(const struct sample *s)                                        \
	{                                                                                        \
		for (int i = 0; i < OBS_KEY_KIND_MAX; i++) {                                     \
			const uint64_t *n = s->v->dht.kinds[i].member;                           \
                                                                                                 \
			if (n[0] || n[1])                                                        \
				both_ways(s, "kind", obs_key_kind_str((enum obs_key_kind)i), n); \
		}                                                                                \
	}

EACH_KIND(stored)
EACH_KIND(refused)
EACH_KIND(hits)
EACH_KIND(misses)

#define RECORDS(member)                                                            \
	static void records_##member(const struct sample *s)                       \
	{                                                                          \
		const uint64_t n[2] = { s->v->dht.records[0].member,               \
					s->v->dht.records[1].member };             \
                                                                                   \
		for (int way = 0; way < 2; way++) {                                \
			push_node(s, "");                                          \
			obs_buf_printf(s->out, ",direction=\"%s\"} %" PRIu64 "\n", \
				       way == OBS_P2P_OUT ? "out" : "in", n[way]); \
		}                                                                  \
	}

RECORDS(live)
RECORDS(expired)
RECORDS(end_unseen)

static void clock_median(const struct sample *s)
{
	if (s->v->dht.clock_peers)
		one(s, s->v->dht.clock_median_s);
}

static void clock_peers(const struct sample *s)
{
	one(s, s->v->dht.clock_peers);
}

static void evicted(const struct sample *s)
{
	one(s, (double)s->v->evicted.peers);
}

static const struct {
	const char *name, *type, *help;
	void (*format)(const struct sample *s);
} metrics[] = {
	{ "gswarm_p2p_identity", "gauge", "The node's peer id, as a label", identity },
	{ "gswarm_p2p_peers", "gauge", "Peers that the node had to do with", one_n_peers },
	{ "gswarm_p2p_control_connections", "gauge",
	  "Connections between the node and its p2pd that are known", one_connections },
	{ "gswarm_p2p_connects_total", "counter", "Connects that p2pd was asked for",
	  one_connects },
	{ "gswarm_p2p_connects_failed_total", "counter", "Of these, those that failed",
	  one_connects_failed },
	{ "gswarm_p2p_peers_evicted_total", "counter", "Peers that made room for others", evicted },
	{ "gswarm_p2p_handlers", "gauge", "RPCs and streams that the node answers", handlers },
	{ "gswarm_p2p_streams_total", "counter", "Streams opened", streams },
	{ "gswarm_p2p_stream_bytes_total", "counter",
	  "Bytes on streams, messages with their lengths: out: written by the node", stream_bytes },
	{ "gswarm_averaging_rpcs_total", "counter",
	  "hivemind's averaging RPCs, as calls or as streams", averaging },
	{ "gswarm_p2p_syncs_total", "counter", "Rounds whose outputs were exchanged", one_syncs },
	{ "gswarm_rpc_calls_total", "counter", "RPCs begun", rpc_calls },
	{ "gswarm_rpc_answered_total", "counter", "RPCs answered", rpc_answered },
	{ "gswarm_rpc_failed_total", "counter", "RPCs that failed", rpc_failed },
	{ "gswarm_rpc_cancelled_total", "counter", "RPCs cancelled, or cut off by an end",
	  rpc_cancelled },
	{ "gswarm_rpc_in_flight", "gauge", "RPCs begun and not answered yet", rpc_in_flight },
	{ "gswarm_rpc_request_bytes_total", "counter", "Bytes of RPCs' requests",
	  rpc_request_bytes },
	{ "gswarm_rpc_answer_bytes_total", "counter", "Bytes of RPCs' answers", rpc_answer_bytes },
	{ "gswarm_rpc_request_max_bytes", "gauge", "The largest request since start",
	  rpc_request_max },
	{ "gswarm_rpc_answer_max_bytes", "gauge", "The largest answer since start",
	  rpc_answer_max },
	{ "gswarm_rpc_duration_seconds", "histogram", "From request to answer or failure",
	  rpc_latency },
	{ "gswarm_rpc_request_size_bytes", "histogram", "Sizes of RPCs' requests",
	  rpc_request_sizes },
	{ "gswarm_rpc_answer_size_bytes", "histogram", "Sizes of RPCs' answers", rpc_answer_sizes },
	{ "gswarm_dht_keys_stored_total", "counter",
	  "Keys stored by us at peers (out) and by peers with us (in), by what they are for",
	  keys_stored },
	{ "gswarm_dht_keys_refused_total", "counter", "The same, of stores that were refused",
	  keys_refused },
	{ "gswarm_dht_keys_hit_total", "counter", "Keys asked for and found", keys_hits },
	{ "gswarm_dht_keys_missed_total", "counter", "Keys asked for and not found", keys_misses },
	{ "gswarm_dht_records", "gauge", "Records stored whose end is to come", records_live },
	{ "gswarm_dht_records_expired_total", "counter", "Records whose end has come",
	  records_expired },
	{ "gswarm_dht_records_end_unseen_total", "counter",
	  "Records whose end lay behind what is captured of a message", records_end_unseen },
	{ "gswarm_dht_total", "counter", "What the DHT's RPCs were about", dht_all },
	{ "gswarm_dht_clock_offset_seconds", "gauge",
	  "The DHT clock of the peer that was asked last, minus ours", clock_offset },
	{ "gswarm_dht_clock_offset_median_seconds", "gauge",
	  "Median of the DHT clocks of all peers that were asked, minus ours", clock_median },
	{ "gswarm_dht_clock_peers", "gauge", "How many peers' clocks that is", clock_peers },
};

void obs_metrics_p2p(const struct obs_model *m, struct obs_buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		size_t before = out->len, head;

		obs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name,
			       metrics[i].help, metrics[i].name, metrics[i].type);
		head = out->len;
		for (size_t k = 0; k < m->n_p2p; k++)
			metrics[i].format(&(struct sample){ out, metrics[i].name, m->p2p[k] });
		if (out->len == head)
			out->len = before; /* a head without samples would only be noise */
	}
}
