// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_connections.c - the part that follows nodes' TCP connections: records and samples into
 * the table of peers (model/peers.h), and from there into events.
 *
 * The end of a process is told before its sockets are closed, so a node that is gone is kept
 * for a moment, for the last numbers of its connections.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/peers.h"
#include "model/peers_state.h"
#include "model/roles.h"
#include "observe/connections.h"
#include "observe/flows.h"
#include "observe/overflows.h"
#include "observe/proc.h"
#include "parse/dns.h"
#include "parse/tls.h"
#include "pipeline/engine.h"
#include "pipeline/part.h"
#include "pipeline/role_sources.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define LINGER_NS      (2 * OBS_NS_PER_S)
#define READY_NS       (OBS_NS_PER_S / 5) /* nodes found together share a look */
#define FRESH_NS       OBS_NS_PER_S	  /* a look this old will do for showing the model */
#define UNSEEN_PASSES  2
#define SNAPSHOT_PEERS 64
#define KEEP_NS	       (60 * OBS_NS_PER_S)
#define RTTS_MAX       4096

struct watched {
	struct obs_node node; /* a copy: the node may be gone */
	bool gone;
	uint64_t gone_ns;
	struct obs_peers *peers; /* owned */
	bool looked;		 /* a pass has seen it */
	uint64_t second;	 /* in which events are being counted */
	uint64_t events, limited;
	uint64_t snapshot_ns;
	uint64_t changes; /* connections with the swarm that began or ended since the snapshot */
	struct obs_flow_total udp_before; /* of its slot, when it was found */
	uint64_t kept_ns, found_ns;
	pid_t p2pd;			 /* whose command line was read */
	uint64_t roles_serial;		 /* of what the peers were judged by */
	uint64_t opened, closed, failed; /* of its totals: in the counters of all nodes */
};

/* What was counted in a slot before its node had it. */
struct slot {
	bool used;
	struct obs_tcp_counts before;
};

struct part {
	struct obs_part_env env;
	struct obs_connections *source;		  /* owned; NULL until loaded, or for good */
	struct obs_overflows *overflows;	  /* owned */
	struct obs_flows *flows;		  /* owned; NULL where it cannot be had */
	struct watched *watched[OBS_TARGETS_MAX]; /* by slot, owned */
	struct slot slots[OBS_TARGETS_MAX];
	uint64_t looked_ns; /* CLOCK_BOOTTIME */
	uint64_t due_ns;
	struct obs_node_peers *views; /* owned; model->node_peers */
	char rpc_host[128];
};

/* --- words of events --- */

static void add_text(struct obs_event *ev, const char *key, const char *text)
{
	if (*text)
		obs_event_add_str(ev, key, obs_slice_str(text));
}

static void add_known(struct obs_event *ev, const char *key, uint64_t n)
{
	if (n)
		obs_event_add_uint(ev, key, n);
}

struct spoken {
	char remote[OBS_ENDPOINT_TEXT], local[OBS_ENDPOINT_TEXT];
	char peer_id[OBS_ROLES_ID_BYTES];
};

static void begin_event(const struct watched *w, struct obs_event *ev, const char *name,
			const struct obs_conn_facts *f, const struct obs_peer *peer,
			const char *process, struct spoken *words)
{
	*ev = (struct obs_event){ .type = OBS_EVENT_PEER, .name = name };
	ev->origin.via = OBS_VIA_CONNECTION;
	ev->origin.pid = f->pid;
	obs_endpoint_format(&f->remote, words->remote);
	obs_endpoint_format(&f->local, words->local);
	add_text(ev, "remote", words->remote);
	if (f->local.port || !f->err) /* a connect that failed early has none */
		add_text(ev, "local", words->local);
	add_known(ev, "host_port", obs_network_host_port(&w->peers->network, f->local.port, false));
	add_text(ev, "direction", obs_direction_str(f->direction));
	add_text(ev, "role", obs_peer_role_str(peer ? peer->role : OBS_PEER_UNKNOWN));
	add_text(ev, "process", process);
	if (peer)
		add_text(ev, "name", peer->name);
	snprintf(words->peer_id, sizeof(words->peer_id), "%s",
		 obs_peers_id_at(w->peers, &f->remote, peer));
	add_text(ev, "peer_id", words->peer_id);
	if (f->preexisting)
		obs_event_add_bool(ev, "preexisting", true);
}

/* A storm of connections is told by its counters, not by an event each. */
static bool may_tell(struct part *p, struct watched *w)
{
	uint64_t second = obs_boot_ns() / OBS_NS_PER_S;

	if (second != w->second) {
		w->second = second;
		w->events = 0;
	}
	if (w->events++ < p->env.config->connections.events_per_second)
		return true;
	w->limited++;
	obs_count(&p->env.counters->connection_events_limited, 1);
	return false;
}

static void emit(struct part *p, struct watched *w, struct obs_event *ev, const char *comm)
{
	ev->origin.comm = obs_slice_str(comm);
	p->env.emit(p->env.ctx, &w->node, ev);
}

static void tell_connected(struct part *p, struct watched *w, struct obs_conn *c)
{
	struct spoken words;
	struct obs_event ev;

	if (!may_tell(p, w))
		return;
	c->told = true;
	begin_event(w, &ev, "connected", &c->f, c->peer, c->process, &words);
	if (c->f.preexisting && c->f.established_ns) /* an earlier run saw it begin */
		obs_event_add_real(&ev, "age_s",
				   (double)(obs_boot_ns() - c->f.established_ns) / 1e9);
	else if (c->f.established_ns)
		ev.wall_ns = p->env.to_wall(p->env.ctx, c->f.established_ns);
	add_known(&ev, "rtt_us", c->f.srtt_us);
	if (c->f.established_ns && c->f.born_ns && c->f.established_ns > c->f.born_ns)
		obs_event_add_real(&ev, "handshake_ms",
				   (double)(c->f.established_ns - c->f.born_ns) / 1e6);
	emit(p, w, &ev, c->comm);
}

static void add_traffic(struct obs_event *ev, const struct obs_conn_facts *f)
{
	add_known(ev, "rtt_us", f->srtt_us);
	add_known(ev, "min_rtt_us", f->min_rtt_us);
	obs_event_add_uint(ev, "bytes_sent", f->bytes_sent);
	obs_event_add_uint(ev, "bytes_received", f->bytes_received);
	obs_event_add_uint(ev, "retransmits", f->retransmits);
}

static void tell_disconnected(struct part *p, struct watched *w, const struct obs_conn *c,
			      const struct obs_conn_facts *f, uint64_t end_ns)
{
	uint64_t since = c->f.established_ns ? c->f.established_ns : c->f.born_ns;
	struct obs_conn_facts last = *f;
	struct spoken words;
	struct obs_event ev;

	if (!may_tell(p, w))
		return;
	last.local = c->f.local;
	last.remote = c->f.remote;
	last.direction = c->f.direction;
	last.preexisting = c->f.preexisting;
	last.pid = c->f.pid;
	begin_event(w, &ev, "disconnected", &last, c->peer, c->process, &words);
	ev.wall_ns = p->env.to_wall(p->env.ctx, end_ns);
	add_traffic(&ev, f);
	if (since && end_ns > since)
		obs_event_add_real(&ev, "duration_ms", (double)(end_ns - since) / 1e6);
	add_text(&ev, "closed_by", obs_conn_closed_by(f));
	if (f->err)
		add_text(&ev, "error", obs_conn_error_str(f->err));
	emit(p, w, &ev, c->comm);
}

static void tell_failed(struct part *p, struct watched *w, const struct obs_conn_facts *f,
			const struct obs_peer *peer, const char *process, uint64_t end_ns)
{
	struct spoken words;
	struct obs_event ev;

	if (!may_tell(p, w))
		return;
	begin_event(w, &ev, "connect_failed", f, peer, process, &words);
	ev.wall_ns = p->env.to_wall(p->env.ctx, end_ns);
	add_text(&ev, "error", obs_conn_error_str(f->err));
	if (f->err)
		obs_event_add_int(&ev, "errno", f->err);
	if (f->born_ns && end_ns > f->born_ns)
		obs_event_add_real(&ev, "duration_ms", (double)(end_ns - f->born_ns) / 1e6);
	add_known(&ev, "retransmits", f->retransmits);
	emit(p, w, &ev, "");
}

/* --- whom it looks for: p2pd's command line, and what the log says --- */

static void note_maddrs(struct part *p, struct watched *w, struct obs_slice list)
{
	while (list.len) {
		const char *comma = memchr(list.p, ',', list.len);
		size_t n = comma ? (size_t)(comma - list.p) : list.len;

		obs_roles_add_bootnode_of(p->env.roles, w->node.slot, obs_slice(list.p, n),
					  "command_line");
		n += comma != NULL;
		list = obs_slice(list.p + n, list.len - n);
	}
}

/* What the operator named; each node has them. */
static void note_configured(const struct obs_part_env *env)
{
	const struct obs_strv *list = &env->config->bootnodes;

	for (size_t i = 0; i < list->n; i++) {
		if (obs_roles_add_bootnode(env->roles, list->v[i], "config") == -EINVAL)
			obs_warn(
				"bootnodes: %s: no multiaddr with an IP address and a port, ignoring",
				list->v[i]);
	}
}

/* Whoever has noted something since: is it one of our peers? */
static void judge_again(struct part *p, struct watched *w)
{
	uint64_t serial = obs_roles_serial(p->env.roles);

	if (w->roles_serial == serial)
		return;
	w->roles_serial = serial;
	obs_peers_judge(w->peers);
}

/* Called whenever p2pd is seen to have a connection, since it may have joined as what it was
 * before its exec. */
static void note_bootnodes(struct part *p, struct watched *w, pid_t pid)
{
	static const struct obs_slice key = OBS_SLICE("-bootstrapPeers=");
	cleanup_buf struct obs_buf args = {};
	struct obs_slice rest;

	if (w->p2pd == pid || obs_proc_read(pid, "cmdline", &args) < 0)
		return;
	w->p2pd = pid;
	rest = obs_buf_slice(&args);
	while (rest.len) {
		size_t n = strnlen(rest.p, rest.len);

		if (obs_slice_starts(obs_slice(rest.p, n), key))
			note_maddrs(p, w, obs_slice(rest.p + key.len, n - key.len));
		n += n < rest.len;
		rest = obs_slice(rest.p + n, rest.len - n);
	}
}

/* --- what happens to a connection --- */

static const char *role_of(struct part *p, struct watched *w, uint32_t pid, char comm[16])
{
	const struct obs_process *process = obs_targets_process(p->env.targets, (pid_t)pid);

	if (comm)
		comm[0] = '\0';
	if (!process)
		return "";
	if (comm)
		memcpy(comm, process->comm, 16);
	if (process->role == OBS_ROLE_P2PD)
		note_bootnodes(p, w, (pid_t)pid);
	return obs_role_str(process->role);
}

static void see(struct part *p, struct watched *w, const struct obs_conn_facts *f)
{
	char comm[16];
	struct obs_peer_hint hint = { role_of(p, w, f->pid, comm), p->rpc_host };
	struct obs_conn *c;
	bool is_new;

	c = obs_peers_see(w->peers, f, &hint, obs_wall_ns(), &is_new);
	if (!is_new)
		return;
	memcpy(c->comm, comm, sizeof(c->comm));
	w->changes += !f->preexisting && obs_peer_is_swarm(c->peer);
	tell_connected(p, w, c);
}

/* Its opening may have had no room in the ring, or have been before we looked. */
static void end(struct part *p, struct watched *w, const struct obs_conn_facts *f, uint64_t end_ns)
{
	struct obs_conn *c = obs_peers_find(w->peers, &f->id);

	if (!c) {
		see(p, w, f);
		c = obs_peers_find(w->peers, &f->id);
		obs_count(&p->env.counters->connections_told_late, c != NULL);
	}
	if (!c)
		return;
	w->changes += obs_peer_is_swarm(c->peer);
	tell_disconnected(p, w, c, f, end_ns);
	obs_peers_end(w->peers, c, f, obs_wall_ns());
}

static void fail(struct part *p, struct watched *w, const struct obs_conn_facts *f, uint64_t end_ns)
{
	struct obs_peer_hint hint = { role_of(p, w, f->pid, NULL), p->rpc_host };
	struct obs_peer *peer;

	if (f->direction == OBS_DIRECTION_IN)
		return; /* a handshake that the other side never finished */
	peer = obs_peers_failed(w->peers, f, &hint, obs_wall_ns());
	tell_failed(p, w, f, peer, hint.process, end_ns);
}

/* What a listener says of itself. Those who wait in vain are told of once per look. */
static void see_listener(struct part *p, struct watched *w, const struct obs_conn_facts *f)
{
	const char *process = role_of(p, w, f->pid, NULL);
	uint32_t dropped = obs_peers_listens(w->peers, f, process);
	uint32_t refused = obs_overflows_take(p->overflows, f->netns, f->pid, dropped);
	struct obs_event ev = { .type = OBS_EVENT_PEER, .name = "accept_queue_full" };
	char local[OBS_ENDPOINT_TEXT];

	if (!refused)
		return;
	w->peers->totals.not_accepted += refused;
	obs_count(&p->env.counters->connections_not_accepted, refused);
	if (!may_tell(p, w))
		return;
	ev.origin.via = OBS_VIA_CONNECTION;
	ev.origin.pid = f->pid;
	obs_endpoint_format(&f->local, local);
	if (f->local.port)
		add_text(&ev, "local", local);
	add_text(&ev, "process", process);
	obs_event_add_uint(&ev, "refused", refused);
	obs_event_add_uint(&ev, "refused_before", f->drops - refused);
	obs_event_add_uint(&ev, "queue", f->recv_queue);
	obs_event_add_uint(&ev, "queue_max", f->send_queue);
	emit(p, w, &ev, "");
}

static struct watched *watched_in(struct part *p, uint32_t slot)
{
	return slot < OBS_TARGETS_MAX ? p->watched[slot] : NULL;
}

static void on_tcp(struct part *p, struct watched *w, const struct obs_record *rec)
{
	struct obs_conn_facts f;

	obs_conn_facts_of(rec->tcp, &f);
	switch (rec->tcp->what) {
	case OBS_TCP_OPEN:
		see(p, w, &f);
		break;
	case OBS_TCP_CLOSE:
		end(p, w, &f, rec->hdr->ts_ns);
		break;
	case OBS_TCP_FAIL:
		fail(p, w, &f, rec->hdr->ts_ns);
		break;
	case OBS_TCP_LISTEN:
		see_listener(p, w, &f);
		break;
	case OBS_TCP_UNLISTEN:
		see_listener(p, w, &f); /* for its last numbers */
		obs_peers_unlistens(w->peers, &f.id);
		break;
	default:
		break;
	}
}

/* Of a packet only the name and whose it is are kept. */
static void on_packet(struct watched *w, const struct obs_record *rec)
{
	struct obs_endpoint at = {};
	struct obs_dns_answer answer;
	char name[OBS_TLS_NAME_MAX];

	if (rec->packet->kind == OBS_PACKET_DNS) {
		if (obs_dns_parse(rec->tail, &answer) < 0)
			return;
		for (size_t i = 0; i < answer.n; i++) {
			memcpy(at.ip, answer.ip[i], sizeof(at.ip));
			obs_peers_note_name(w->peers, &at, answer.name);
		}
	} else if (obs_tls_server_name(rec->tail, name) == 0) {
		memcpy(at.ip, rec->packet->remote, sizeof(at.ip));
		obs_peers_note_name(w->peers, &at, name);
	}
}

static uint32_t slot_of(const struct obs_record *rec)
{
	if (rec->hdr->type == OBS_REC_TCP)
		return rec->tcp->target;
	return rec->hdr->type == OBS_REC_PACKET ? rec->packet->target : 0;
}

static void on_record(void *part, struct obs_node *node, const struct obs_record *rec)
{
	struct part *p = part;
	struct watched *w = watched_in(p, slot_of(rec));

	(void)node;
	if (w && rec->hdr->type == OBS_REC_TCP)
		on_tcp(p, w, rec);
	else if (w)
		on_packet(w, rec);
}

/* --- UDP --- */

static void begin_flow_event(const struct watched *w, struct obs_event *ev, const char *name,
			     const struct obs_flow *flow, struct spoken *words, char version[16])
{
	struct obs_conn_facts f = { .remote = flow->f.remote,
				    .pid = flow->f.pid,
				    .direction = flow->f.direction };

	memcpy(f.local.ip, flow->f.local_ip, sizeof(f.local.ip));
	f.local.port = flow->f.local_port;
	begin_event(w, ev, name, &f, flow->peer, flow->process, words);
	obs_event_add_uint(ev, "local_port", flow->f.local_port);
	add_known(ev, "host_port",
		  obs_network_host_port(&w->peers->network, flow->f.local_port, true));
	add_text(ev, "transport", "quic");
	snprintf(version, 16, "%08x", flow->f.quic_version);
	add_text(ev, "quic_version", version);
	obs_event_add_bool(ev, "handshake_seen", flow->f.handshake);
}

static void tell_flow(struct part *p, struct watched *w, struct obs_flow *flow)
{
	struct spoken words;
	struct obs_event ev;
	char version[16];

	if (!flow->f.quic_version || flow->told || !may_tell(p, w))
		return;
	flow->told = true;
	begin_flow_event(w, &ev, "connected", flow, &words, version);
	ev.wall_ns = p->env.to_wall(p->env.ctx, flow->f.first_ns);
	emit(p, w, &ev, flow->comm);
}

static void end_flow(struct part *p, struct watched *w, struct obs_flow *flow)
{
	struct spoken words;
	struct obs_event ev;
	char version[16];

	if (flow->told && may_tell(p, w)) {
		begin_flow_event(w, &ev, "disconnected", flow, &words, version);
		obs_event_add_uint(&ev, "bytes_sent", flow->f.bytes_out);
		obs_event_add_uint(&ev, "bytes_received", flow->f.bytes_in);
		obs_event_add_real(&ev, "duration_ms",
				   (double)(flow->f.last_ns - flow->f.first_ns) / 1e6);
		add_text(&ev, "closed_by", "idle");
		emit(p, w, &ev, flow->comm);
	}
	w->changes += flow->counted;
	obs_peers_flow_end(w->peers, flow, obs_wall_ns());
}

/* Where sockets have no marks: only p2pd speaks QUIC in a node, except to web servers. */
static const char *likely_role(const struct obs_flow_facts *f)
{
	return !f->pid && f->quic_version && f->remote.port != 443 ? obs_role_str(OBS_ROLE_P2PD)
								   : "";
}

/* As a connection has it: QUIC that was answered. */
static bool is_connected(const struct obs_flow *f)
{
	return f->f.quic_version && f->f.packets_in && obs_peer_is_swarm(f->peer);
}

static struct obs_flow *see_flow(struct part *p, struct watched *w, const struct obs_flow_facts *f)
{
	char comm[16];
	const char *role = role_of(p, w, f->pid, comm);
	struct obs_peer_hint hint = { *role ? role : likely_role(f), p->rpc_host };
	struct obs_flow *flow;
	bool is_new;

	flow = obs_peers_flow(w->peers, f, &hint, obs_wall_ns(), &is_new);
	if (!flow)
		return NULL;
	if (*comm)
		memcpy(flow->comm, comm, sizeof(flow->comm));
	if (!flow->first_wall_ns)
		flow->first_wall_ns = p->env.to_wall(p->env.ctx, f->first_ns);
	flow->last_wall_ns = p->env.to_wall(p->env.ctx, f->last_ns);
	return flow;
}

static bool on_flow(void *ctx, uint32_t slot, const struct obs_flow_facts *f)
{
	struct part *p = ctx;
	struct watched *w = watched_in(p, slot);
	struct obs_flow *flow;

	if (!w)
		return false;
	flow = see_flow(p, w, f);
	if (flow && !flow->counted && is_connected(flow)) {
		flow->counted = true;
		w->changes++;
	}
	if (flow)
		tell_flow(p, w, flow);
	if (obs_boot_ns() - f->last_ns < (uint64_t)(p->env.config->connections.udp_idle_s * 1e9))
		return true;
	if (flow)
		end_flow(p, w, flow);
	return false;
}

/* --- looking at all of them --- */

/* The engine tells of published ports when a container has started: that may be later. */
static void take_network(struct part *p, struct watched *w)
{
	const struct obs_node *node = obs_targets_node(p->env.targets, w->node.slot);

	if (node && !w->gone)
		w->peers->network = node->network;
}

/* Where no packets are seen. A socket that is not connected tells of nobody. */
static void see_udp(struct part *p, struct watched *w, const struct obs_conn_facts *f)
{
	struct obs_flow_facts flow = { .remote = f->remote,
				       .local_port = f->local.port,
				       .first_ns = p->looked_ns,
				       .last_ns = p->looked_ns,
				       .pid = f->pid };

	obs_peers_udp(w->peers, f, role_of(p, w, f->pid, NULL));
	memcpy(flow.local_ip, f->local.ip, sizeof(flow.local_ip));
	if (f->remote.port)
		see_flow(p, w, &flow);
}

static void on_sample(void *ctx, uint32_t slot, const struct obs_conn_facts *f)
{
	struct part *p = ctx;
	struct watched *w = watched_in(p, slot);
	struct obs_conn_facts facts = *f;
	struct obs_conn *c;

	if (!w || w->gone)
		return;
	if (f->udp) {
		see_udp(p, w, f);
		return;
	}
	if (!obs_connections_has_events(p->source))
		facts.preexisting = !w->looked;
	if (f->state == OBS_TCP_STATE_LISTEN) {
		see_listener(p, w, &facts);
		return;
	}
	if (f->state == OBS_TCP_STATE_SYN_SENT)
		obs_peers_dials(w->peers);
	if (f->state == OBS_TCP_STATE_SYN_SENT || f->state == OBS_TCP_STATE_SYN_RECV)
		return;
	if (obs_connections_has_events(p->source) && !f->id.born) {
		obs_peers_unkept(w->peers);
		return;
	}
	if (!obs_connections_has_events(p->source)) {
		c = obs_peers_find(w->peers, &f->id);
		if (!c && w->looked)
			facts.born_ns = facts.established_ns = obs_boot_ns();
	}
	see(p, w, &facts);
}

/* Of one whose end nobody saw: an open one may have been closed by either. */
static struct obs_conn_facts last_of(const struct obs_conn *c)
{
	struct obs_conn_facts last = c->f;

	if (last.state == OBS_TCP_STATE_ESTABLISHED)
		last.state = 0;
	return last;
}

struct unseen_walk {
	struct part *p;
	struct watched *w;
};

/* Nobody holds it. With events its end will be told, or is it one that is lost? */
static void on_unseen(void *ctx, struct obs_conn *c)
{
	struct unseen_walk *u = ctx;
	struct obs_conn_facts last = last_of(c);

	if (obs_connections_has_events(u->p->source)) {
		if (u->w->peers->pass - c->pass < UNSEEN_PASSES ||
		    obs_connections_lives(u->p->source, &c->f.id))
			return;
		u->w->peers->totals.lost++;
		obs_count(&u->p->env.counters->connection_ends_missed, 1);
	}
	end(u->p, u->w, &last, obs_boot_ns());
}

static void look_at_flows(struct part *p)
{
	struct obs_flow_total t;

	obs_flows_follow(p->flows);
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		struct watched *w = p->watched[i];

		if (!w || obs_flows_total(p->flows, i, &t) < 0)
			continue;
		obs_peers_flow_totals(w->peers, t.packets_out - w->udp_before.packets_out,
				      t.packets_in - w->udp_before.packets_in,
				      t.bytes_out - w->udp_before.bytes_out,
				      t.bytes_in - w->udp_before.bytes_in);
	}
	obs_flows_read(p->flows, on_flow, p);
}

static void look(struct part *p)
{
	int r;

	if (!p->source)
		return;
	p->looked_ns = obs_boot_ns();
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (!p->watched[i] || p->watched[i]->gone)
			continue;
		take_network(p, p->watched[i]);
		obs_peers_start_pass(p->watched[i]->peers);
	}
	r = obs_connections_sample(p->source, on_sample, p);
	for (uint32_t i = 0; i < OBS_TARGETS_MAX && r >= 0; i++) {
		struct unseen_walk u = { p, p->watched[i] };

		if (!u.w || u.w->gone)
			continue;
		judge_again(p, u.w);
		obs_peers_end_pass(u.w->peers, on_unseen, &u);
		if (!obs_connections_has_events(p->source))
			obs_peers_end_flows(u.w->peers, p->looked_ns, obs_wall_ns());
		u.w->looked = true;
	}
	if (p->flows)
		look_at_flows(p);
	obs_count(&p->env.counters->connection_passes, 1);
}

/* --- how many there were --- */

static bool counts_exactly(const struct part *p)
{
	return p->source && obs_connections_has_events(p->source);
}

static void take_off(struct obs_tcp_counts *c, const struct obs_tcp_counts *before)
{
	c->in -= before->in;
	c->out -= before->out;
	c->earlier -= before->earlier;
	c->closed -= before->closed;
	c->broken -= before->broken;
	c->bytes_sent -= before->bytes_sent;
	c->bytes_received -= before->bytes_received;
	c->retransmits -= before->retransmits;
	for (unsigned i = 0; i < OBS_FAILURES; i++)
		c->failed[i] -= before->failed[i];
}

static void count_up(_Atomic uint64_t *counter, uint64_t *told, uint64_t now)
{
	if (now <= *told)
		return;
	obs_count(counter, now - *told);
	*told = now;
}

/* What the kernel has counted becomes the node's totals; these, the counters of all nodes. */
static void take_counts(struct part *p, struct watched *w)
{
	const struct obs_conn_totals *t = &w->peers->totals;
	struct obs_counters *all = p->env.counters;
	struct obs_tcp_counts c;

	if (counts_exactly(p) && obs_connections_counts(p->source, w->node.slot, &c) == 0) {
		take_off(&c, &p->slots[w->node.slot].before);
		obs_peers_tcp_counts(w->peers, &c);
	}
	count_up(&all->connections_opened, &w->opened, t->in + t->out + t->unknown);
	count_up(&all->connections_closed, &w->closed, t->closed);
	count_up(&all->connects_failed, &w->failed, t->failed);
}

/* As long as nobody has the slot: a socket may outlive its node. */
static void forget_counts(struct part *p, uint32_t slot)
{
	if (p->slots[slot].used && counts_exactly(p) && !obs_targets_node(p->env.targets, slot))
		obs_connections_counts(p->source, slot, &p->slots[slot].before);
}

static void keep(struct part *p, struct watched *w);

/* A condition goes on over a kill -9 with what it was judged by. */
static bool is_condition(const struct obs_event *ev)
{
	return strcmp(ev->name, "condition_began") == 0 || strcmp(ev->name, "condition_ended") == 0;
}

static void on_event(void *part, const struct obs_node *node, const struct obs_event *ev)
{
	struct part *p = part;
	struct watched *w = node ? watched_in(p, node->slot) : NULL;

	if (!w || ev->type != OBS_EVENT_PEER)
		return;
	if (is_condition(ev))
		keep(p, w);
	if (strcmp(ev->name, "bootnodes") != 0)
		return;
	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];

		if (f->kind != OBS_VALUE_LIST || !obs_slice_eq(f->key, OBS_SLICE("peers")))
			continue;
		for (size_t j = 0; j < f->list.n; j++)
			obs_roles_add_bootnode_of(p->env.roles, node->slot, f->list.v[j], "log");
	}
}

/* --- snapshots --- */

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct tally {
	uint64_t connections, in, out, unknown, connected;
	uint32_t rtts[RTTS_MAX];
	size_t n_rtts;
	char text[SNAPSHOT_PEERS][OBS_ENDPOINT_TEXT];
	struct obs_slice list[SNAPSHOT_PEERS];
	size_t n_list;
};

static void tally_conns(const struct obs_peers *peers, struct tally *t)
{
	for (const struct obs_conn *c = peers->conns; c; c = c->hh.next) {
		if (!obs_peer_is_swarm(c->peer))
			continue;
		t->connections++;
		t->in += c->f.direction == OBS_DIRECTION_IN;
		t->out += c->f.direction == OBS_DIRECTION_OUT;
		t->unknown += c->f.direction == OBS_DIRECTION_UNKNOWN;
		if (c->f.srtt_us && t->n_rtts < RTTS_MAX)
			t->rtts[t->n_rtts++] = c->f.srtt_us;
	}
	qsort(t->rtts, t->n_rtts, sizeof(t->rtts[0]), by_number);
}

static void tally_flows(const struct obs_peers *peers, struct tally *t)
{
	for (const struct obs_flow *f = peers->flows; f; f = f->hh.next) {
		if (!is_connected(f))
			continue;
		t->connections++;
		t->in += f->f.direction == OBS_DIRECTION_IN;
		t->out += f->f.direction == OBS_DIRECTION_OUT;
		t->unknown += f->f.direction == OBS_DIRECTION_UNKNOWN;
	}
}

static uint64_t tally_peers(const struct obs_peers *peers, struct tally *t)
{
	uint64_t known = 0;

	for (const struct obs_peer *e = peers->peers; e; e = e->hh.next) {
		if (!obs_peer_is_swarm(e))
			continue;
		known++;
		if (!e->open)
			continue;
		t->connected++;
		if (t->n_list == SNAPSHOT_PEERS)
			continue;
		obs_endpoint_format(&e->at, t->text[t->n_list]);
		t->list[t->n_list] = obs_slice_str(t->text[t->n_list]);
		t->n_list++;
	}
	return known;
}

static void add_rtts(struct obs_event *ev, const struct tally *t)
{
	if (!t->n_rtts)
		return;
	obs_event_add_uint(ev, "rtt_p50_us", t->rtts[t->n_rtts / 2]);
	obs_event_add_uint(ev, "rtt_p90_us", t->rtts[t->n_rtts * 9 / 10]);
	obs_event_add_uint(ev, "rtt_max_us", t->rtts[t->n_rtts - 1]);
}

static void add_totals(struct part *p, struct obs_event *ev, struct watched *w)
{
	const struct obs_conn_totals *t = &w->peers->totals;

	take_counts(p, w);
	obs_event_add_uint(ev, "opened_in", t->in);
	obs_event_add_uint(ev, "opened_out", t->out);
	obs_event_add_uint(ev, "closed", t->closed);
	obs_event_add_uint(ev, "connects_failed", t->failed);
	obs_event_add_uint(ev, "bytes_sent", t->bytes_sent);
	obs_event_add_uint(ev, "bytes_received", t->bytes_received);
	obs_event_add_uint(ev, "retransmits", t->retransmits);
	obs_event_add_bool(ev, "reached_from_outside", w->peers->outside_ns != 0);
	add_known(ev, "peers_evicted", t->peers_evicted);
	add_known(ev, "events_limited", w->limited);
}

/* @passed_ns: since the last one, or since the node was found */
static void tell_snapshot(struct part *p, struct watched *w, uint64_t passed_ns)
{
	cleanup_free struct tally *t = calloc(1, sizeof(*t));
	struct obs_event ev = { .type = OBS_EVENT_DHT_SNAPSHOT, .name = "snapshot" };
	uint64_t known;

	if (!t)
		return;
	ev.origin.via = OBS_VIA_CONNECTION;
	tally_conns(w->peers, t);
	tally_flows(w->peers, t);
	known = tally_peers(w->peers, t);
	obs_event_add_uint(&ev, "peers_connected", t->connected);
	obs_event_add_uint(&ev, "peers_known", known);
	obs_event_add_uint(&ev, "connections", t->connections);
	obs_event_add_uint(&ev, "in", t->in);
	obs_event_add_uint(&ev, "out", t->out);
	add_known(&ev, "unknown_direction", t->unknown);
	if (t->out)
		obs_event_add_real(&ev, "in_out_ratio", (double)t->in / (double)t->out);
	obs_event_add_real(&ev, "churn_per_min", (double)w->changes * 60e9 / (double)passed_ns);
	w->changes = 0;
	add_rtts(&ev, t);
	add_totals(p, &ev, w);
	if (t->n_list)
		obs_event_add_list(&ev, "peers", t->list, t->n_list);
	emit(p, w, &ev, "");
}

static void snapshot_if_due(struct part *p, struct watched *w, uint64_t now)
{
	uint64_t interval = (uint64_t)(p->env.config->connections.snapshot_interval_s * 1e9);
	uint64_t passed_ns = now - w->snapshot_ns;

	if (!interval || passed_ns < interval)
		return;
	w->snapshot_ns = now;
	if (w->peers->peers || w->peers->n_listeners)
		tell_snapshot(p, w, passed_ns);
}

/* --- over a restart --- */

/* What a node will be called by the next observer: containers by their name, plain trees by
 * what started them. */
static void state_name(const struct watched *w, char *out, size_t size)
{
	const struct obs_node *node = &w->node;
	const char *comm = strchr(node->title, '(');

	if (*node->name || *node->id12)
		snprintf(out, size, "peers/%s", *node->name ? node->name : node->id12);
	else
		snprintf(out, size, "peers/plain %s", comm ? comm : "");
}

static uint64_t p2pd_of(const struct part *p, const struct watched *w)
{
	const struct obs_node *node =
		w->gone ? NULL : obs_targets_node(p->env.targets, w->node.slot);

	return node ? obs_targets_mark(p->env.targets, node, OBS_ROLE_P2PD) : 0;
}

static void keep(struct part *p, struct watched *w)
{
	struct obs_peers_of of = { p2pd_of(p, w), p->env.boot_id };
	cleanup_buf struct obs_buf text = {};
	char name[160];

	w->kept_ns = obs_boot_ns();
	if (!p->env.outlet->put_state || !w->peers->peers ||
	    obs_peers_state_format(w->peers, &of, &text) < 0)
		return;
	state_name(w, name, sizeof(name));
	p->env.outlet->put_state(p->env.outlet->ctx, name, obs_buf_slice(&text));
}

static void recall(struct part *p, struct watched *w)
{
	struct obs_peers_of now = { p2pd_of(p, w), p->env.boot_id };
	cleanup_buf struct obs_buf text = {};
	char name[160];

	w->kept_ns = obs_boot_ns();
	state_name(w, name, sizeof(name));
	if (p->env.outlet->get_state &&
	    p->env.outlet->get_state(p->env.outlet->ctx, name, &text) == 0)
		obs_peers_state_parse(w->peers, &now, obs_buf_slice(&text));
}

/* --- nodes --- */

static void free_watched(struct part *p, uint32_t slot)
{
	struct watched *w = p->watched[slot];

	if (!w)
		return;
	p->watched[slot] = NULL;
	obs_peers_free(&w->peers);
	free(w);
}

static void end_one(void *ctx, struct obs_conn *c)
{
	struct unseen_walk *u = ctx;
	struct obs_conn_facts last = last_of(c);

	end(u->p, u->w, &last, obs_boot_ns());
}

/* What is still open after a while is not going to be told any more. */
static void bury(struct part *p, uint32_t slot)
{
	struct unseen_walk u = { p, p->watched[slot] };

	obs_peers_start_pass(u.w->peers);
	obs_peers_end_pass(u.w->peers, end_one, &u);
	take_counts(p, u.w);
	count_up(&p->env.counters->connections_closed, &u.w->closed, u.w->opened);
	p->slots[slot].used = true;
	if (obs_boot_ns() - u.w->found_ns > KEEP_NS)
		keep(p, u.w); /* not of everything that ran for a moment */
	free_watched(p, slot);
}

static void watch_flows(struct part *p, struct watched *w)
{
	const struct obs_node *node = obs_targets_node(p->env.targets, w->node.slot);

	if (!p->flows || !node)
		return;
	obs_flows_total(p->flows, node->slot, &w->udp_before);
	obs_flows_watch(p->flows, node, obs_targets_any_pid(p->env.targets, node));
}

static void begin_overflows(void *part, pid_t pid)
{
	struct part *p = part;

	obs_overflows_begin(p->overflows, pid);
}

static void on_ready(void *part, struct obs_node *node)
{
	struct obs_peers_options opt;
	struct part *p = part;
	struct watched *w;

	opt = (struct obs_peers_options){
		.peers_max = (uint32_t)p->env.config->limits.peers,
		.conns_max = (uint32_t)p->env.config->limits.connections,
		.roles = p->env.roles,
		.slot = node->slot,
		.counted = counts_exactly(p),
	};
	obs_targets_each_pid(p->env.targets, node, begin_overflows, p);
	if (p->watched[node->slot])
		bury(p, node->slot);
	obs_roles_forget(p->env.roles, node->slot); /* of whose slot it was */
	w = calloc(1, sizeof(*w));
	if (!w || obs_peers_new(&opt, &w->peers) < 0) {
		free(w);
		return;
	}
	w->node = *node;
	w->node.pending = (struct obs_buf){};
	w->snapshot_ns = w->found_ns = obs_boot_ns();
	recall(p, w);
	p->watched[node->slot] = w;
	take_network(p, w);
	watch_flows(p, w);
	if (obs_boot_ns() - p->looked_ns > READY_NS)
		look(p);
	else
		p->due_ns = 0;
}

static void on_gone(void *part, struct obs_node *node)
{
	struct part *p = part;
	struct watched *w = watched_in(p, node->slot);

	if (!w)
		return;
	if (p->flows)
		obs_flows_unwatch(p->flows, node->slot);
	w->gone = true;
	w->gone_ns = obs_boot_ns();
}

static void learn_rtts(struct part *p)
{
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (p->watched[i])
			obs_peers_learn_rtts(p->watched[i]->peers);
	}
}

/* What the model shows until the next tick. */
static void publish(struct part *p)
{
	size_t n = 0;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		struct watched *w = p->watched[i];
		struct obs_node_peers *v = &p->views[n];

		if (w)
			take_counts(p, w);
		if (!w || w->gone)
			continue;
		judge_again(p, w);
		take_network(p, w);
		*v = (struct obs_node_peers){ .slot = i,
					      .peers = w->peers,
					      .events_limited = w->limited };
		snprintf(v->name, sizeof(v->name), "%.127s", w->node.title);
		snprintf(v->container_id, sizeof(v->container_id), "%s", w->node.id12);
		n++;
	}
	p->env.model->node_peers = p->views;
	p->env.model->n_node_peers = n;
}

static void on_tick(void *part)
{
	struct part *p = part;
	uint64_t now = obs_boot_ns();

	if (p->source && now >= p->due_ns) {
		p->due_ns = obs_connections_has_events(p->source)
				    ? now + (uint64_t)(p->env.config->connections.interval_s * 1e9)
				    : now;
		look(p);
		learn_rtts(p);
	}
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		struct watched *w = p->watched[i];

		if (w && w->gone && now - w->gone_ns > LINGER_NS)
			bury(p, i);
		else if (w && !w->gone)
			snapshot_if_due(p, w, obs_boot_ns());
		if (p->watched[i] && now - w->kept_ns > KEEP_NS)
			keep(p, w);
		if (!p->watched[i])
			forget_counts(p, i);
	}
	publish(p); /* parts behind this one look at it */
}

static void on_refresh(void *part)
{
	struct part *p = part;

	if (obs_boot_ns() - p->looked_ns > FRESH_NS)
		look(p);
	publish(p);
}

static struct obs_flows *flows_of(void *part)
{
	const struct part *p = part;

	return p->flows;
}

static struct obs_connections *connections_of(void *part)
{
	const struct part *p = part;

	return p->source;
}

static void on_stop(void *part)
{
	struct part *p = part;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (p->watched[i])
			keep(p, p->watched[i]);
	}
}

/* --- life --- */

static void free_part(void **part)
{
	struct part *p = *part;

	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++)
		free_watched(p, i);
	obs_connections_free(&p->source);
	obs_overflows_free(&p->overflows);
	obs_flows_free(&p->flows);
	p->env.model->n_node_peers = 0;
	free(p->views);
	free(p);
	*part = NULL;
}

/* "https://host/path" -> "host", of the configured chain. */
static void find_rpc_host(struct part *p)
{
	const char *url = obs_config_text(p->env.config, "blockchain.rpc_url");
	const char *host = strstr(url, "://");

	if (!host)
		return;
	host += 3;
	snprintf(p->rpc_host, sizeof(p->rpc_host), "%.*s", (int)strcspn(host, ":/"), host);
}

/* The nodes that were found before are watched from now on. */
static void load(void *part)
{
	struct part *p = part;
	const struct obs_part_env *env = &p->env;
	struct obs_connections_options opt = {
		.rung = env->config->probes.connections,
		.conns_max = (uint32_t)env->config->limits.connections,
		.kernel = env->kernel,
		.targets = env->targets,
	};

	if (obs_connections_open(&opt, env->model, &p->source) < 0 || !p->source)
		return;
	obs_flows_open(obs_connections_without_bpf(opt.rung) ? NULL : env->kernel, env->targets,
		       p->source, env->model, &p->flows);
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++) {
		if (!p->watched[i])
			continue;
		p->watched[i]->peers->opt.counted = counts_exactly(p);
		if (!p->watched[i]->gone)
			watch_flows(p, p->watched[i]);
	}
	look(p);
}

static int start(const struct obs_part_env *env, void **ret)
{
	cleanup_free struct part *p = NULL;

	if (strcmp(env->config->probes.connections, "off") == 0)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->env = *env;
	p->views = calloc(OBS_TARGETS_MAX, sizeof(*p->views));
	if (!p->views || obs_overflows_new(&p->overflows) < 0) {
		free(p->views);
		return -ENOMEM;
	}
	find_rpc_host(p);
	note_configured(env);
	*ret = TAKE_PTR(p);
	return 0;
}

const struct obs_part_ops obs_part_connections = {
	.name = "connections",
	.start = start,
	.load = load,
	.record = on_record,
	.event = on_event,
	.ready = on_ready,
	.gone = on_gone,
	.tick = on_tick,
	.refresh = on_refresh,
	.flows = flows_of,
	.connections = connections_of,
	.stop = on_stop,
	.free = free_part,
};
