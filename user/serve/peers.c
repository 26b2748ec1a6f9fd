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
#include "serve/fields.h"
#include "util/clock.h"

static void key_known(struct obs_json *j, const char *key, uint64_t n)
{
	if (n)
		obs_put_count(j, key, n);
}

static void key_endpoint(struct obs_json *j, const char *key, const struct obs_endpoint *e)
{
	char text[OBS_ENDPOINT_TEXT];

	obs_endpoint_format(e, text);
	obs_put_text(j, key, text);
}

static void put_queues(struct obs_json *j, const struct obs_conn_facts *f)
{
	obs_put_count(j, "bytes_sent", f->bytes_sent);
	obs_put_count(j, "bytes_acked", f->bytes_acked);
	obs_put_count(j, "bytes_received", f->bytes_received);
	obs_put_count(j, "retransmits", f->retransmits);
	key_known(j, "rtt_us", f->srtt_us);
	key_known(j, "rttvar_us", f->rttvar_us);
	key_known(j, "min_rtt_us", f->min_rtt_us);
	key_known(j, "cwnd", f->cwnd);
	key_known(j, "delivery_rate", f->delivery_rate);
	obs_put_count(j, "unacked_bytes", f->unacked_bytes);
	obs_put_count(j, "send_queue", f->send_queue);
	obs_put_count(j, "recv_queue", f->recv_queue);
}

/* Of one that is older than the observer the kernel tells no age: then nothing is said. */
static void put_age(struct obs_json *j, const struct obs_conn_facts *f)
{
	uint64_t since = f->established_ns ? f->established_ns : f->born_ns, now = obs_boot_ns();

	if (!since || since > now)
		return;
	obs_put_time(j, "since", obs_wall_ns() - (now - since));
	obs_json_key_str(j, "age_s");
	obs_json_real(j, (double)(now - since) / 1e9);
}

static void put_connection(struct obs_json *j, const struct obs_peers *p, const struct obs_conn *c)
{
	obs_json_object_open(j);
	key_endpoint(j, "local", &c->f.local);
	key_endpoint(j, "remote", &c->f.remote);
	key_known(j, "host_port", obs_network_host_port(&p->network, c->f.local.port, false));
	obs_put_text(j, "state", obs_tcp_state_str(c->f.state));
	obs_put_text(j, "direction", obs_direction_str(c->f.direction));
	obs_put_text(j, "role", obs_peer_role_str(c->peer->role));
	obs_put_text(j, "name", c->peer->name);
	obs_put_text(j, "peer_id", obs_peers_id_at(p, &c->f.remote, c->peer));
	obs_put_count(j, "pid", c->f.pid);
	obs_put_text(j, "process", c->process);
	obs_put_text(j, "comm", c->comm);
	obs_json_key_str(j, "preexisting");
	obs_json_bool(j, c->f.preexisting);
	put_age(j, &c->f);
	put_queues(j, &c->f);
	obs_json_object_close(j);
}

static void put_flow(struct obs_json *j, const struct obs_peers *p, const struct obs_flow *f)
{
	char version[16];

	obs_json_object_open(j);
	key_endpoint(j, "remote", &f->f.remote);
	obs_put_count(j, "local_port", f->f.local_port);
	key_known(j, "host_port", obs_network_host_port(&p->network, f->f.local_port, true));
	obs_put_text(j, "direction", obs_direction_str(f->f.direction));
	obs_put_text(j, "role", obs_peer_role_str(f->peer->role));
	obs_put_text(j, "name", f->peer->name);
	obs_put_text(j, "peer_id", f->peer->peer_id);
	key_known(j, "pid", f->f.pid);
	obs_put_text(j, "process", f->process);
	obs_put_text(j, "comm", f->comm);
	obs_put_time(j, "first_seen", f->first_wall_ns);
	obs_put_time(j, "last_seen", f->last_wall_ns);
	obs_put_count(j, "packets_sent", f->f.packets_out);
	obs_put_count(j, "packets_received", f->f.packets_in);
	obs_put_count(j, "bytes_sent", f->f.bytes_out);
	obs_put_count(j, "bytes_received", f->f.bytes_in);
	if (f->f.quic_version) {
		snprintf(version, sizeof(version), "%08x", f->f.quic_version);
		obs_put_text(j, "quic_version", version);
		obs_put_count(j, "dcid_len", f->f.dcid_len);
		obs_put_count(j, "scid_len", f->f.scid_len);
		obs_json_key_str(j, "handshake_seen");
		obs_json_bool(j, f->f.handshake);
	}
	obs_json_object_close(j);
}

static void put_peer(struct obs_json *j, const struct obs_peer *e)
{
	obs_json_object_open(j);
	key_endpoint(j, "address", &e->at);
	obs_put_text(j, "role", obs_peer_role_str(e->role));
	obs_put_text(j, "name", e->name);
	obs_put_text(j, "peer_id", e->peer_id);
	obs_put_text(j, "bootnode_by", e->source);
	obs_put_count(j, "open", e->open);
	obs_put_count(j, "in", e->in);
	obs_put_count(j, "out", e->out);
	key_known(j, "unknown_direction", e->unknown);
	obs_put_count(j, "failed", e->failed);
	if (e->failed)
		obs_put_text(j, "last_error", obs_conn_error_str(e->last_err));
	obs_put_count(j, "bytes_sent", e->bytes_sent);
	obs_put_count(j, "bytes_received", e->bytes_received);
	obs_put_count(j, "retransmits", e->retransmits);
	key_known(j, "rtt_us", e->rtt_us);
	key_known(j, "min_rtt_us", e->min_rtt_us);
	key_known(j, "usual_rtt_us", e->rtt_usual_us);
	obs_put_time(j, "first_seen", e->first_ns);
	obs_put_time(j, "last_seen", e->last_ns);
	obs_json_object_close(j);
}

/* Where the host takes connections for it; an empty list: nowhere. */
static void put_published(struct obs_json *j, const struct obs_network *n, uint16_t port)
{
	obs_json_key_str(j, "published");
	obs_json_array_open(j);
	for (size_t i = 0; i < n->n_published; i++) {
		const struct obs_published *p = &n->published[i];
		struct obs_endpoint at = { .port = p->host_port };
		char text[OBS_ENDPOINT_TEXT];

		if (p->udp || p->port != port)
			continue;
		memcpy(at.ip, p->host_ip, sizeof(at.ip));
		obs_endpoint_format(&at, text);
		obs_json_str(j, obs_slice_str(text));
	}
	obs_json_array_close(j);
}

static void put_listener(struct obs_json *j, const struct obs_peers *p,
			 const struct obs_listener *l)
{
	obs_json_object_open(j);
	key_endpoint(j, "local", &l->local);
	if (p->network.own) {
		put_published(j, &p->network, l->local.port);
		key_known(j, "host_port", obs_network_host_port(&p->network, l->local.port, false));
	}
	obs_put_count(j, "pid", l->pid);
	obs_put_text(j, "process", l->process);
	obs_put_count(j, "accepted", l->accepted);
	obs_put_count(j, "from_outside", l->from_outside);
	key_known(j, "from_gateway", l->from_gateway);
	obs_json_key_str(j, "reached_from_outside");
	obs_json_bool(j, l->from_outside > 0);
	obs_put_time(j, "last_from_outside", l->outside_ns);
	obs_put_count(j, "queue", l->queue);
	obs_put_count(j, "queue_max", l->queue_max);
	obs_put_count(j, "drops", l->drops);
	obs_put_count(j, "half_open", l->half_open);
	obs_json_object_close(j);
}

static void put_udp_socket(struct obs_json *j, const struct obs_udp_socket *s)
{
	obs_json_object_open(j);
	key_endpoint(j, "local", &s->local);
	if (s->remote.port)
		key_endpoint(j, "remote", &s->remote);
	obs_put_count(j, "pid", s->pid);
	obs_put_text(j, "process", s->process);
	obs_put_count(j, "send_queue", s->send_queue);
	obs_put_count(j, "recv_queue", s->recv_queue);
	obs_put_count(j, "drops", s->drops);
	obs_json_object_close(j);
}

/* The flows are read a moment after the totals. */
static uint64_t unshown(const struct obs_conn_totals *t)
{
	uint64_t all = t->udp_packets_out + t->udp_packets_in;

	return all > t->udp_packets_shown ? all - t->udp_packets_shown : 0;
}

static void put_totals(struct obs_json *j, const struct obs_node_peers *v)
{
	const struct obs_conn_totals *t = &v->peers->totals;

	obs_json_key_str(j, "totals");
	obs_json_object_open(j);
	obs_put_count(j, "in", t->in);
	obs_put_count(j, "out", t->out);
	obs_put_count(j, "unknown_direction", t->unknown);
	obs_put_count(j, "closed", t->closed);
	obs_put_count(j, "failed", t->failed);
	obs_put_count(j, "refused", t->refused);
	obs_put_count(j, "timed_out", t->timed_out);
	obs_put_count(j, "unreachable", t->unreachable);
	obs_put_count(j, "reset", t->reset);
	obs_put_count(j, "broken", t->broken);
	obs_put_count(j, "not_accepted", t->not_accepted);
	obs_put_count(j, "bytes_sent", t->bytes_sent);
	obs_put_count(j, "bytes_received", t->bytes_received);
	obs_put_count(j, "retransmits", t->retransmits);
	obs_put_count(j, "udp_packets_sent", t->udp_packets_out);
	obs_put_count(j, "udp_packets_received", t->udp_packets_in);
	obs_put_count(j, "udp_bytes_sent", t->udp_bytes_out);
	obs_put_count(j, "udp_bytes_received", t->udp_bytes_in);
	obs_put_count(j, "udp_packets_unshown", unshown(t));
	obs_put_count(j, "peers_evicted", t->peers_evicted);
	obs_put_count(j, "not_kept", t->not_kept);
	obs_put_count(j, "ends_missed", t->lost);
	obs_put_count(j, "events_limited", v->events_limited);
	obs_json_object_close(j);
}

static void put_lists(struct obs_json *j, const struct obs_peers *p)
{
	obs_json_key_str(j, "connections");
	obs_json_array_open(j);
	for (const struct obs_conn *c = p->conns; c; c = c->hh.next)
		put_connection(j, p, c);
	obs_json_array_close(j);
	obs_json_key_str(j, "udp");
	obs_json_array_open(j);
	for (const struct obs_flow *f = p->flows; f; f = f->hh.next)
		put_flow(j, p, f);
	obs_json_array_close(j);
	if (p->n_udp) { /* where they are all that is seen of UDP */
		obs_json_key_str(j, "udp_sockets");
		obs_json_array_open(j);
		for (size_t i = 0; i < p->n_udp; i++)
			put_udp_socket(j, &p->udp[i]);
		obs_json_array_close(j);
		obs_put_count(j, "udp_sockets_not_kept", p->udp_not_kept);
	}
	obs_json_key_str(j, "listening");
	obs_json_array_open(j);
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i].open)
			put_listener(j, p, &p->listeners[i]);
	}
	obs_json_array_close(j);
	obs_json_key_str(j, "peers");
	obs_json_array_open(j);
	for (const struct obs_peer *e = p->peers; e; e = e->hh.next)
		put_peer(j, e);
	obs_json_array_close(j);
}

static void put_addresses(struct obs_json *j, const struct obs_network *n)
{
	char text[OBS_ENDPOINT_TEXT];

	if (!n->own)
		return;
	obs_json_key_str(j, "container_addresses");
	obs_json_array_open(j);
	for (size_t i = 0; i < n->n_addresses; i++) {
		struct obs_endpoint at = {};

		memcpy(at.ip, n->addresses[i], sizeof(at.ip));
		obs_endpoint_format(&at, text);
		obs_json_str(j, obs_slice_str(text));
	}
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
		obs_put_text(&j, "node", v->name);
		obs_put_text(&j, "container_id", v->container_id);
		put_addresses(&j, &v->peers->network);
		put_totals(&j, v);
		put_lists(&j, v->peers);
		obs_json_object_close(&j);
	}
	return obs_end_nodes(&j);
}
