// SPDX-License-Identifier: BSD-2-Clause
/*
 * p2pd.c - /api/v1/p2pd: each node's RPCs by name and by peer, its DHT, its clock beside those of
 * its peers, as its p2pd's control socket tells.
 */
#include "serve/p2pd.h"

#include <stdio.h>

#include "pipeline/json.h"
#include "serve/fields.h"

static const char *way_str(int way)
{
	return way == OBS_P2P_OUT ? "out" : "in";
}

/* CLOCK_BOOTTIME of the talk -> CLOCK_REALTIME */
static uint64_t wall_of(const struct obs_p2p_view *v, uint64_t boot_ns)
{
	return boot_ns ? boot_ns + (uint64_t)v->shift_ns : 0;
}

/* --- numbers of calls --- */

/* Not cumulative: {"le": upper end, "n": how many}; the last has no upper end. */
static void put_bucket(struct obs_json *j, double le, uint64_t n, bool last)
{
	if (n == 0)
		return;
	obs_json_object_open(j);
	if (!last)
		obs_put_real(j, "le", le);
	obs_put_count(j, "n", n);
	obs_json_object_close(j);
}

static void put_latencies(struct obs_json *j, const struct obs_rpc_numbers *n)
{
	obs_json_key_str(j, "latency_ms");
	obs_json_array_open(j);
	for (size_t i = 0; i <= OBS_P2P_BUCKETS; i++)
		put_bucket(j, i < OBS_P2P_BUCKETS ? obs_p2p_bucket_ms[i] : 0, n->buckets[i],
			   i == OBS_P2P_BUCKETS);
	obs_json_array_close(j);
}

static void put_sizes(struct obs_json *j, const char *key, const uint64_t *sizes)
{
	obs_json_key_str(j, key);
	obs_json_array_open(j);
	for (size_t i = 0; i <= OBS_P2P_SIZE_BUCKETS; i++)
		put_bucket(j, i < OBS_P2P_SIZE_BUCKETS ? (double)obs_p2p_bucket_bytes[i] : 0,
			   sizes[i], i == OBS_P2P_SIZE_BUCKETS);
	obs_json_array_close(j);
}

static void put_numbers(struct obs_json *j, const char *name, int way,
			const struct obs_rpc_numbers *n)
{
	uint64_t over = n->answered + n->failed;

	obs_json_object_open(j);
	obs_put_text(j, "rpc", name);
	obs_put_text(j, "direction", way_str(way));
	obs_put_count(j, "calls", n->calls);
	obs_put_count(j, "answered", n->answered);
	obs_put_count(j, "failed", n->failed);
	obs_put_count(j, "cancelled", n->cancelled);
	obs_put_count(j, "in_flight", n->in_flight);
	obs_put_count(j, "request_bytes", n->request_bytes);
	obs_put_count(j, "answer_bytes", n->answer_bytes);
	obs_put_count(j, "request_max_bytes", n->request_max);
	obs_put_count(j, "answer_max_bytes", n->answer_max);
	obs_put_real(j, "mean_ms", over ? (double)n->latency_ns / 1e6 / (double)over : 0);
	obs_put_real(j, "p50_ms", obs_rpc_quantile_ms(n, 0.5));
	obs_put_real(j, "p90_ms", obs_rpc_quantile_ms(n, 0.9));
	obs_put_real(j, "p99_ms", obs_rpc_quantile_ms(n, 0.99));
	obs_put_real(j, "max_ms", (double)n->latency_max_ns / 1e6);
	put_latencies(j, n);
	put_sizes(j, "request_sizes", n->request_sizes);
	put_sizes(j, "answer_sizes", n->answer_sizes);
	obs_json_object_close(j);
}

static void put_rpcs(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_key_str(j, "rpcs");
	obs_json_array_open(j);
	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			if (v->rpcs[i].way[way].calls)
				put_numbers(j, v->rpcs[i].name, way, &v->rpcs[i].way[way]);
		}
	}
	obs_json_array_close(j);
}

static void put_stream(struct obs_json *j, const struct obs_rpc_view *r, int way)
{
	const struct obs_stream_numbers *n = &r->streams[way];

	obs_json_object_open(j);
	obs_put_text(j, "protocol", r->name);
	obs_put_text(j, "direction", way_str(way));
	obs_put_count(j, "opened", n->opened);
	obs_put_count(j, "ended", n->ended);
	obs_put_real(j, "mean_ms",
		     n->opened ? (double)n->duration_ns / 1e6 / (double)n->opened : 0);
	obs_json_object_close(j);
}

static void put_streams(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_key_str(j, "streams");
	obs_json_array_open(j);
	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			if (v->rpcs[i].streams[way].opened)
				put_stream(j, &v->rpcs[i], way);
		}
	}
	obs_json_array_close(j);
}

static void put_averaging(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_key_str(j, "averaging");
	obs_json_object_open(j);
	for (int i = 0; i < OBS_AVERAGING_MAX; i++) {
		enum obs_averaging what = (enum obs_averaging)i;

		obs_json_key_str(j, obs_averaging_str(what));
		obs_json_object_open(j);
		obs_put_count(j, "out", obs_p2p_averaging(v, what, OBS_P2P_OUT));
		obs_put_count(j, "in", obs_p2p_averaging(v, what, OBS_P2P_IN));
		obs_json_object_close(j);
	}
	obs_json_object_close(j);
}

/* --- the DHT --- */

static bool was_used(const struct obs_key_numbers *k, int way)
{
	return (k->stored[way] | k->refused[way] | k->hits[way] | k->misses[way]) != 0;
}

static void put_key_numbers(struct obs_json *j, enum obs_key_kind kind,
			    const struct obs_key_numbers *k, int way)
{
	obs_put_text(j, "kind", obs_key_kind_str(kind));
	obs_put_text(j, "direction", way_str(way));
	obs_put_count(j, "stored", k->stored[way]);
	obs_put_count(j, "refused", k->refused[way]);
	obs_put_count(j, "hits", k->hits[way]);
	obs_put_count(j, "misses", k->misses[way]);
}

static void put_kinds(struct obs_json *j, const struct obs_dht_numbers *d)
{
	obs_json_key_str(j, "keys");
	obs_json_array_open(j);
	for (int i = 0; i < OBS_KEY_KIND_MAX; i++) {
		for (int way = 0; way < 2; way++) {
			const struct obs_key_numbers *k = &d->kinds[i];

			if (!was_used(k, way))
				continue;
			obs_json_object_open(j);
			put_key_numbers(j, (enum obs_key_kind)i, k, way);
			obs_json_object_close(j);
		}
	}
	obs_json_array_close(j);
}

static void put_key(struct obs_json *j, const struct obs_p2p_key *k, int way)
{
	char hash[2 * sizeof(k->key) + 1];

	if (!was_used(&k->n, way))
		return;
	for (size_t i = 0; i < sizeof(k->key); i++)
		snprintf(hash + 2 * i, 3, "%02x", k->key[i]);
	obs_json_object_open(j);
	obs_put_text(j, "name", k->name);
	obs_put_text(j, "hash", hash);
	put_key_numbers(j, k->kind, &k->n, way);
	obs_json_object_close(j);
}

static void put_used_keys(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_key_str(j, "most_used_keys");
	obs_json_array_open(j);
	for (size_t i = 0; i < v->n_keys; i++) {
		put_key(j, v->keys[i], OBS_P2P_OUT);
		put_key(j, v->keys[i], OBS_P2P_IN);
	}
	obs_json_array_close(j);
	obs_put_count(j, "keys_evicted_uses", v->keys_evicted);
}

static void put_records(struct obs_json *j, const char *key, const struct obs_record_numbers *r)
{
	obs_json_key_str(j, key);
	obs_json_object_open(j);
	obs_put_count(j, "live", r->live);
	obs_put_count(j, "expired", r->expired);
	obs_put_count(j, "end_unseen", r->end_unseen);
	obs_put_count(j, "not_kept", r->not_kept);
	obs_json_object_close(j);
}

static void put_clock(struct obs_json *j, const struct obs_dht_numbers *d)
{
	if (!d->has_clock)
		return;
	obs_json_key_str(j, "clock");
	obs_json_object_open(j);
	obs_put_count(j, "peers", d->clock_peers);
	obs_put_real(j, "median_offset_s", d->clock_median_s);
	obs_put_real(j, "last_offset_s", d->clock_offset_s);
	obs_put_real(j, "max_offset_s", d->clock_offset_max_s);
	obs_json_object_close(j);
}

static void put_dht(struct obs_json *j, const struct obs_p2p_view *v)
{
	const struct obs_dht_numbers *d = &v->dht;

	obs_json_key_str(j, "dht");
	obs_json_object_open(j);
	obs_put_count(j, "pings", d->pings[OBS_P2P_OUT]);
	obs_put_count(j, "stores", d->stores[OBS_P2P_OUT]);
	obs_put_count(j, "finds", d->finds[OBS_P2P_OUT]);
	obs_put_count(j, "records_sent", d->records_sent);
	obs_put_count(j, "records_refused", d->records_refused);
	obs_put_count(j, "records_taken", d->records_taken);
	obs_put_count(j, "value_bytes_sent", d->value_bytes_sent);
	obs_put_count(j, "value_bytes_received", d->value_bytes_received);
	put_kinds(j, d);
	put_used_keys(j, v);
	put_records(j, "records_at_peers", &d->records[OBS_P2P_OUT]);
	put_records(j, "records_of_peers", &d->records[OBS_P2P_IN]);
	put_clock(j, d);
	obs_json_object_close(j);
}

/* --- peers --- */

static void put_peer(struct obs_json *j, const struct obs_p2p_view *v, const struct obs_p2p_peer *e)
{
	obs_json_object_open(j);
	obs_put_text(j, "peer_id", e->id);
	obs_put_text(j, "address", e->addr);
	obs_put_time(j, "first_seen", wall_of(v, e->first_ns));
	obs_put_time(j, "last_seen", wall_of(v, e->last_ns));
	obs_put_count(j, "calls_out", e->calls[OBS_P2P_OUT]);
	obs_put_count(j, "calls_in", e->calls[OBS_P2P_IN]);
	obs_put_count(j, "failed_out", e->failed[OBS_P2P_OUT]);
	obs_put_count(j, "failed_in", e->failed[OBS_P2P_IN]);
	obs_put_count(j, "bytes_sent", e->bytes_sent);
	obs_put_count(j, "bytes_received", e->bytes_received);
	if (e->latency_ns)
		obs_put_real(j, "last_latency_ms", (double)e->latency_ns / 1e6);
	if (e->has_clock) {
		obs_put_real(j, "clock_offset_s", obs_p2p_clock_offset_s(v, e));
		obs_put_time(j, "clock_asked", wall_of(v, e->clock_ns));
	}
	obs_json_key_str(j, "rpcs");
	obs_json_array_open(j);
	for (const struct obs_p2p_pair *p = e->pairs; p; p = p->next)
		put_numbers(j, v->rpcs[p->rpc].name, p->way, &p->n);
	obs_json_array_close(j);
	obs_json_object_close(j);
}

static void put_peers(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_key_str(j, "peers");
	obs_json_array_open(j);
	for (size_t i = 0; i < v->n_peers; i++)
		put_peer(j, v, v->peers[i]);
	obs_json_array_close(j);
	obs_json_key_str(j, "peers_evicted");
	obs_json_object_open(j);
	obs_put_count(j, "peers", v->evicted.peers);
	obs_put_count(j, "calls_out", v->evicted.calls[OBS_P2P_OUT]);
	obs_put_count(j, "calls_in", v->evicted.calls[OBS_P2P_IN]);
	obs_put_count(j, "failed_out", v->evicted.failed[OBS_P2P_OUT]);
	obs_put_count(j, "failed_in", v->evicted.failed[OBS_P2P_IN]);
	obs_put_count(j, "bytes_sent", v->evicted.bytes_sent);
	obs_put_count(j, "bytes_received", v->evicted.bytes_received);
	obs_json_object_close(j);
}

/* --- nodes --- */

static void put_texts(struct obs_json *j, const char *key, const char *texts, size_t size, size_t n)
{
	obs_json_key_str(j, key);
	obs_json_array_open(j);
	for (size_t i = 0; i < n; i++)
		obs_json_str(j, obs_slice_str(texts + i * size));
	obs_json_array_close(j);
}

static void put_node(struct obs_json *j, const struct obs_p2p_view *v)
{
	obs_json_object_open(j);
	obs_put_text(j, "node", v->node);
	obs_put_count(j, "slot", v->slot);
	obs_put_text(j, "peer_id", v->peer_id);
	put_texts(j, "addresses", v->addrs[0], sizeof(v->addrs[0]), v->n_addrs);
	put_texts(j, "handlers", v->handlers[0], sizeof(v->handlers[0]), v->n_handlers);
	obs_put_count(j, "control_connections", v->connections);
	obs_put_count(j, "connected_peers_listed", v->listed);
	obs_put_count(j, "connects", v->connects);
	obs_put_count(j, "connects_failed", v->connects_failed);
	obs_put_count(j, "disconnects", v->disconnects);
	obs_put_count(j, "messages", v->messages);
	obs_put_count(j, "messages_bad", v->messages_bad);
	obs_put_count(j, "lost_bytes", v->lost_bytes);
	obs_put_count(j, "rounds_exchanged", v->syncs);
	put_rpcs(j, v);
	put_streams(j, v);
	put_averaging(j, v);
	put_dht(j, v);
	put_peers(j, v);
	obs_json_object_close(j);
}

unsigned obs_p2pd_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	struct obs_json j = { .out = out };

	obs_begin_nodes(&j, m, now_ns);
	for (size_t i = 0; i < m->n_p2p; i++)
		put_node(&j, m->p2p[i]);
	return obs_end_nodes(&j);
}
