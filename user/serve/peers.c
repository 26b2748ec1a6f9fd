// SPDX-License-Identifier: BSD-2-Clause
/*
 * peers.c - /api/v1/peers: with whom each node is connected, whom it knows, what it listens on.
 *
 * Written as a stream: ten thousand connections are a few megabytes.
 */
#include "serve/serve.h"

#include <stdio.h>
#include <string.h>

#include "model/peers.h"
#include "pipeline/json.h"

static void key_text(struct obs_json *j, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	obs_json_key_str(j, key);
	obs_json_str(j, obs_slice_str(text));
}

static void key_count(struct obs_json *j, const char *key, uint64_t n)
{
	obs_json_key_str(j, key);
	obs_json_uint(j, n);
}

static void key_known(struct obs_json *j, const char *key, uint64_t n)
{
	if (n)
		key_count(j, key, n);
}

static void key_time(struct obs_json *j, const char *key, uint64_t wall_ns)
{
	if (!wall_ns)
		return;
	obs_json_key_str(j, key);
	obs_json_time(j, wall_ns);
}

static void key_endpoint(struct obs_json *j, const char *key, const struct obs_endpoint *e)
{
	char text[OBS_ENDPOINT_TEXT];

	obs_endpoint_format(e, text);
	key_text(j, key, text);
}

static void put_queues(struct obs_json *j, const struct obs_conn_facts *f)
{
	key_count(j, "bytes_sent", f->bytes_sent);
	key_count(j, "bytes_acked", f->bytes_acked);
	key_count(j, "bytes_received", f->bytes_received);
	key_count(j, "retransmits", f->retransmits);
	key_known(j, "rtt_us", f->srtt_us);
	key_known(j, "rttvar_us", f->rttvar_us);
	key_known(j, "min_rtt_us", f->min_rtt_us);
	key_known(j, "cwnd", f->cwnd);
	key_known(j, "delivery_rate", f->delivery_rate);
	key_count(j, "unacked_bytes", f->unacked_bytes);
	key_count(j, "send_queue", f->send_queue);
	key_count(j, "recv_queue", f->recv_queue);
}

static void put_connection(struct obs_json *j, const struct obs_conn *c)
{
	obs_json_object_open(j);
	key_endpoint(j, "local", &c->f.local);
	key_endpoint(j, "remote", &c->f.remote);
	key_text(j, "state", obs_tcp_state_str(c->f.state));
	key_text(j, "direction", obs_direction_str(c->f.direction));
	key_text(j, "role", obs_peer_role_str(c->peer->role));
	key_text(j, "name", c->peer->name);
	key_text(j, "peer_id", c->peer->peer_id);
	key_count(j, "pid", c->f.pid);
	key_text(j, "process", c->process);
	key_text(j, "comm", c->comm);
	obs_json_key_str(j, "preexisting");
	obs_json_bool(j, c->f.preexisting);
	put_queues(j, &c->f);
	obs_json_object_close(j);
}

static void put_flow(struct obs_json *j, const struct obs_flow *f)
{
	char version[16];

	obs_json_object_open(j);
	key_endpoint(j, "remote", &f->f.remote);
	key_count(j, "local_port", f->f.local_port);
	key_text(j, "role", obs_peer_role_str(f->peer->role));
	key_text(j, "name", f->peer->name);
	key_text(j, "peer_id", f->peer->peer_id);
	key_count(j, "packets_sent", f->f.packets_out);
	key_count(j, "packets_received", f->f.packets_in);
	key_count(j, "bytes_sent", f->f.bytes_out);
	key_count(j, "bytes_received", f->f.bytes_in);
	if (f->f.quic_version) {
		snprintf(version, sizeof(version), "%08x", f->f.quic_version);
		key_text(j, "quic_version", version);
		key_count(j, "dcid_len", f->f.dcid_len);
		key_count(j, "scid_len", f->f.scid_len);
		obs_json_key_str(j, "handshake_seen");
		obs_json_bool(j, f->f.handshake);
	}
	obs_json_object_close(j);
}

static void put_peer(struct obs_json *j, const struct obs_peer *e)
{
	obs_json_object_open(j);
	key_endpoint(j, "address", &e->at);
	key_text(j, "role", obs_peer_role_str(e->role));
	key_text(j, "name", e->name);
	key_text(j, "peer_id", e->peer_id);
	key_count(j, "open", e->open);
	key_count(j, "in", e->in);
	key_count(j, "out", e->out);
	key_known(j, "unknown_direction", e->unknown);
	key_count(j, "failed", e->failed);
	if (e->failed)
		key_text(j, "last_error", obs_conn_error_str(e->last_err));
	key_count(j, "bytes_sent", e->bytes_sent);
	key_count(j, "bytes_received", e->bytes_received);
	key_count(j, "retransmits", e->retransmits);
	key_known(j, "rtt_us", e->rtt_us);
	key_known(j, "min_rtt_us", e->min_rtt_us);
	key_time(j, "first_seen", e->first_ns);
	key_time(j, "last_seen", e->last_ns);
	obs_json_object_close(j);
}

static void put_listener(struct obs_json *j, const struct obs_listener *l)
{
	obs_json_object_open(j);
	key_endpoint(j, "local", &l->local);
	key_count(j, "pid", l->pid);
	key_text(j, "process", l->process);
	key_count(j, "accepted", l->accepted);
	key_count(j, "from_outside", l->from_outside);
	obs_json_key_str(j, "reached_from_outside");
	obs_json_bool(j, l->from_outside > 0);
	key_time(j, "last_from_outside", l->outside_ns);
	key_count(j, "queue", l->queue);
	key_count(j, "queue_max", l->queue_max);
	key_count(j, "drops", l->drops);
	obs_json_object_close(j);
}

static void put_totals(struct obs_json *j, const struct obs_node_peers *v)
{
	const struct obs_conn_totals *t = &v->peers->totals;

	obs_json_key_str(j, "totals");
	obs_json_object_open(j);
	key_count(j, "in", t->in);
	key_count(j, "out", t->out);
	key_count(j, "unknown_direction", t->unknown);
	key_count(j, "closed", t->closed);
	key_count(j, "failed", t->failed);
	key_count(j, "refused", t->refused);
	key_count(j, "timed_out", t->timed_out);
	key_count(j, "unreachable", t->unreachable);
	key_count(j, "reset", t->reset);
	key_count(j, "broken", t->broken);
	key_count(j, "bytes_sent", t->bytes_sent);
	key_count(j, "bytes_received", t->bytes_received);
	key_count(j, "retransmits", t->retransmits);
	key_count(j, "udp_packets_sent", t->udp_packets_out);
	key_count(j, "udp_packets_received", t->udp_packets_in);
	key_count(j, "udp_bytes_sent", t->udp_bytes_out);
	key_count(j, "udp_bytes_received", t->udp_bytes_in);
	key_count(j, "peers_evicted", t->peers_evicted);
	key_count(j, "not_kept", t->not_kept);
	key_count(j, "ends_missed", t->lost);
	key_count(j, "events_limited", v->events_limited);
	obs_json_object_close(j);
}

static void put_lists(struct obs_json *j, const struct obs_peers *p)
{
	obs_json_key_str(j, "connections");
	obs_json_array_open(j);
	for (const struct obs_conn *c = p->conns; c; c = c->hh.next)
		put_connection(j, c);
	obs_json_array_close(j);
	obs_json_key_str(j, "udp");
	obs_json_array_open(j);
	for (const struct obs_flow *f = p->flows; f; f = f->hh.next)
		put_flow(j, f);
	obs_json_array_close(j);
	obs_json_key_str(j, "listening");
	obs_json_array_open(j);
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i].open)
			put_listener(j, &p->listeners[i]);
	}
	obs_json_array_close(j);
	obs_json_key_str(j, "peers");
	obs_json_array_open(j);
	for (const struct obs_peer *e = p->peers; e; e = e->hh.next)
		put_peer(j, e);
	obs_json_array_close(j);
}

unsigned obs_peers_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	struct obs_json j = { .out = out };

	(void)now_ns;
	obs_json_object_open(&j);
	obs_json_key_str(&j, "nodes");
	obs_json_array_open(&j);
	for (size_t i = 0; i < m->n_node_peers; i++) {
		const struct obs_node_peers *v = &m->node_peers[i];

		obs_json_object_open(&j);
		key_text(&j, "node", v->name);
		key_text(&j, "container_id", v->container_id);
		put_totals(&j, v);
		put_lists(&j, v->peers);
		obs_json_object_close(&j);
	}
	obs_json_array_close(&j);
	obs_json_object_close(&j);
	obs_buf_push_str(out, "\n");
	return out->failed ? 500 : 200;
}
