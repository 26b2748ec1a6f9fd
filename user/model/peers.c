// SPDX-License-Identifier: BSD-2-Clause
/*
 * peers.c - see peers.h. uthash keeps insertion order: a peer that is used is put to the end, so
 * the first one without a connection is the least recently used.
 */
#include "model/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/peer_roles.h"
#include "model/roles.h"
#include "util/cleanup.h"

#define ADDRESSES_SHARE 16  /* one in so many */
#define RTT_RISE	256 /* of its value per sample */
#define EVICT_LOOK	64  /* entries looked at for one without a connection */

struct obs_peer_name {
	uint8_t ip[16];
	char name[80];
	UT_hash_handle hh;
};

/* --- words --- */

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool obs_ip_is_loopback(const uint8_t ip[16])
{
	static const uint8_t one[16] = { [15] = 1 };

	if (memcmp(ip, mapped, sizeof(mapped)) == 0)
		return ip[12] == 127;
	return memcmp(ip, one, sizeof(one)) == 0;
}

void obs_endpoint_format(const struct obs_endpoint *e, char out[OBS_ENDPOINT_TEXT])
{
	bool v4 = memcmp(e->ip, mapped, sizeof(mapped)) == 0;
	char ip[INET6_ADDRSTRLEN] = "";

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? e->ip + 12 : e->ip, ip, sizeof(ip));
	if (e->port == 0)
		snprintf(out, OBS_ENDPOINT_TEXT, "%s", ip);
	else
		snprintf(out, OBS_ENDPOINT_TEXT, v4 ? "%s:%u" : "[%s]:%u", ip, e->port);
}

const char *obs_direction_str(enum obs_direction d)
{
	return d == OBS_DIRECTION_IN ? "in" : d == OBS_DIRECTION_OUT ? "out" : "unknown";
}

const char *obs_tcp_state_str(unsigned state)
{
	static const char *const names[OBS_TCP_STATE_MAX] = {
		[OBS_TCP_STATE_ESTABLISHED] = "ESTAB",	  [OBS_TCP_STATE_SYN_SENT] = "SYN-SENT",
		[OBS_TCP_STATE_SYN_RECV] = "SYN-RECV",	  [OBS_TCP_STATE_FIN_WAIT1] = "FIN-WAIT-1",
		[OBS_TCP_STATE_FIN_WAIT2] = "FIN-WAIT-2", [OBS_TCP_STATE_TIME_WAIT] = "TIME-WAIT",
		[OBS_TCP_STATE_CLOSE] = "UNCONN",	  [OBS_TCP_STATE_CLOSE_WAIT] = "CLOSE-WAIT",
		[OBS_TCP_STATE_LAST_ACK] = "LAST-ACK",	  [OBS_TCP_STATE_LISTEN] = "LISTEN",
		[OBS_TCP_STATE_CLOSING] = "CLOSING",
	};

	return state < OBS_TCP_STATE_MAX && names[state] ? names[state] : "UNKNOWN";
}

const char *obs_conn_error_str(int err)
{
	static const char *const words[] = { [OBS_FAILURE_REFUSED] = "refused",
					     [OBS_FAILURE_TIMED_OUT] = "timeout",
					     [OBS_FAILURE_UNREACHABLE] = "unreachable",
					     [OBS_FAILURE_RESET] = "reset" };
	enum obs_failure f = obs_failure_of(err);

	if (err == 0)
		return "given_up"; /* closed before anything answered */
	if (err == EADDRNOTAVAIL)
		return "not_sent";
	return f == OBS_FAILURE_OTHER ? strerror(err) : words[f];
}

const char *obs_conn_closed_by(const struct obs_conn_facts *f)
{
	if (obs_failure_of(f->err) == OBS_FAILURE_TIMED_OUT)
		return "timeout";
	if (obs_failure_of(f->err) == OBS_FAILURE_RESET)
		return "remote_reset";
	switch (f->state) {
	case OBS_TCP_STATE_ESTABLISHED: /* straight to CLOSE: we sent a reset */
		return "local_reset";
	case OBS_TCP_STATE_FIN_WAIT1:
	case OBS_TCP_STATE_FIN_WAIT2:
	case OBS_TCP_STATE_TIME_WAIT:
		return "local";
	case OBS_TCP_STATE_CLOSE_WAIT:
	case OBS_TCP_STATE_LAST_ACK:
		return "remote";
	case OBS_TCP_STATE_CLOSING:
		return "both";
	default:
		return "unknown";
	}
}

/* --- life --- */

int obs_peers_new(const struct obs_peers_options *opt, struct obs_peers **ret)
{
	struct obs_peers *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->opt = *opt;
	*ret = p;
	return 0;
}

void obs_peers_free(struct obs_peers **pp)
{
	struct obs_peers *p = *pp;
	struct obs_peer_name *n, *next_n;
	struct obs_conn *c, *next_c;
	struct obs_peer *e, *next_e;
	struct obs_flow *f, *next_f;
	struct obs_conn_counted *k, *next_k;

	if (!p)
		return;
	free(p->remembered);
	HASH_ITER(hh, p->counted, k, next_k)
	{
		HASH_DEL(p->counted, k);
		free(k);
	}
	HASH_ITER(hh, p->flows, f, next_f)
	{
		HASH_DEL(p->flows, f);
		free(f);
	}
	HASH_ITER(hh, p->conns, c, next_c)
	{
		HASH_DEL(p->conns, c);
		free(c);
	}
	HASH_ITER(hh, p->peers, e, next_e)
	{
		HASH_DEL(p->peers, e);
		free(e);
	}
	HASH_ITER(hh, p->names, n, next_n)
	{
		HASH_DEL(p->names, n);
		free(n);
	}
	free(p);
	*pp = NULL;
}

/* --- names, roles, ids --- */

static const char *name_of(struct obs_peers *p, const uint8_t ip[16])
{
	struct obs_peer_name *n;

	HASH_FIND(hh, p->names, ip, sizeof(n->ip), n);
	return n ? n->name : "";
}

static struct obs_known known_of(const struct obs_peers *p, const struct obs_endpoint *at)
{
	return p->opt.roles ? obs_roles_find(p->opt.roles, p->opt.slot, at)
			    : (struct obs_known){ .peer_id = "", .source = "" };
}

/* An address that many dial from, each from a port of the moment, has no id of its own. */
static void adopt_id(struct obs_peer *e, const char *id)
{
	if (!*id || e->many_ids || strcmp(e->peer_id, id) == 0)
		return;
	e->many_ids = *e->peer_id && e->at.port == 0;
	snprintf(e->peer_id, sizeof(e->peer_id), "%s", e->many_ids ? "" : id);
}

static void judge(struct obs_peers *p, struct obs_peer *e, const struct obs_peer_hint *hint)
{
	struct obs_known known = known_of(p, &e->at);
	struct obs_peer_evidence evidence = {
		.remote = &e->at,
		.process = hint->process,
		.name = e->name,
		.rpc_host = hint->rpc_host,
		.bootnode = known.as & OBS_KNOWN_BOOTNODE,
		.relay = known.as & OBS_KNOWN_RELAY,
	};
	enum obs_peer_role role = obs_peer_role_of(&evidence);

	if (role != OBS_PEER_UNKNOWN)
		e->role = role;
	e->source = known.source;
	adopt_id(e, known.peer_id);
}

void obs_peers_judge(struct obs_peers *p)
{
	struct obs_peer_hint hint = { .process = "", .rpc_host = "" };

	for (struct obs_peer *e = p->peers; e; e = e->hh.next)
		judge(p, e, &hint);
	for (struct obs_conn *c = p->conns; c; c = c->hh.next) {
		if (c->peer->at.port == 0)
			adopt_id(c->peer, known_of(p, &c->f.remote).peer_id);
	}
}

const char *obs_peers_id_at(const struct obs_peers *p, const struct obs_endpoint *remote,
			    const struct obs_peer *e)
{
	const char *id = known_of(p, remote).peer_id;

	return *id || !e ? id : e->peer_id;
}

void obs_peers_note_name(struct obs_peers *p, const struct obs_endpoint *at, const char *name)
{
	struct obs_peer_hint hint = { .process = "", .rpc_host = "" };
	struct obs_peer_name *n;
	struct obs_peer *e, *next;

	HASH_FIND(hh, p->names, at->ip, sizeof(n->ip), n);
	if (!n && HASH_COUNT(p->names) >= OBS_NAMES_MAX) {
		n = p->names; /* the oldest */
		HASH_DEL(p->names, n);
		free(n);
		n = NULL;
	}
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return;
		memcpy(n->ip, at->ip, sizeof(n->ip));
		HASH_ADD(hh, p->names, ip, sizeof(n->ip), n);
	}
	snprintf(n->name, sizeof(n->name), "%s", name);
	HASH_ITER(hh, p->peers, e, next)
	{
		if (memcmp(e->at.ip, at->ip, 16) != 0)
			continue;
		snprintf(e->name, sizeof(e->name), "%s", name);
		judge(p, e, &hint);
	}
}

/* --- peers --- */

/* The least recently used that has no connection. With more open connections than room for peers
 * none may be near the front: then nothing is evicted. Some room is only for addresses without a
 * port, which stand for many (peer_of). */
static bool make_room(struct obs_peers *p, const struct obs_endpoint *at)
{
	uint32_t kept_free = at->port ? p->opt.peers_max / ADDRESSES_SHARE : 0;
	struct obs_peer *e, *next;
	unsigned looked = 0;

	if (HASH_COUNT(p->peers) < p->opt.peers_max - kept_free)
		return true;
	HASH_ITER(hh, p->peers, e, next)
	{
		if (e->open == 0) {
			HASH_DEL(p->peers, e);
			free(e);
			p->totals.peers_evicted++;
			return true;
		}
		if (++looked >= EVICT_LOOK)
			break;
		/* To the end with it, so that the next search starts behind it. */
		HASH_DEL(p->peers, e);
		HASH_ADD(hh, p->peers, at, sizeof(e->at), e);
	}
	return false;
}

static struct obs_peer *find_peer(struct obs_peers *p, const struct obs_endpoint *at)
{
	struct obs_peer *e;

	HASH_FIND(hh, p->peers, at, sizeof(*at), e);
	return e;
}

static struct obs_peer *add_peer(struct obs_peers *p, const struct obs_endpoint *at,
				 uint64_t wall_ns)
{
	struct obs_peer *e;

	if (!make_room(p, at))
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->at = *at;
	e->first_ns = wall_ns;
	snprintf(e->name, sizeof(e->name), "%s", name_of(p, at->ip));
	HASH_ADD(hh, p->peers, at, sizeof(e->at), e);
	return e;
}

/* Who dials us from a port of the moment is one peer per address, not one per connection; libp2p
 * dials from the port it listens on, and is known by that one when we dialled it before. With more
 * of them connected than there is room for, an address is one peer whoever dialled. */
static struct obs_peer *peer_of(struct obs_peers *p, const struct obs_conn_facts *f,
				const struct obs_peer_hint *hint, uint64_t wall_ns)
{
	struct obs_endpoint at = f->remote;
	struct obs_peer *e = find_peer(p, &at);

	if (!e && f->direction == OBS_DIRECTION_IN && !(known_of(p, &at).as & OBS_KNOWN_BOOTNODE)) {
		at.port = 0;
		e = find_peer(p, &at);
	}
	if (!e && at.port && !make_room(p, &at)) {
		at.port = 0;
		e = find_peer(p, &at);
	}
	if (e) {
		HASH_DEL(p->peers, e);
		HASH_ADD(hh, p->peers, at, sizeof(e->at), e);
	} else {
		e = add_peer(p, &at, wall_ns);
	}
	if (!e)
		return NULL;
	e->last_ns = wall_ns;
	judge(p, e, hint);
	return e;
}

int obs_peers_restore(struct obs_peers *p, const struct obs_peer *peer)
{
	struct obs_peer *e = find_peer(p, &peer->at);
	UT_hash_handle hh;

	if (e)
		return -EEXIST;
	e = add_peer(p, &peer->at, peer->first_ns);
	if (!e)
		return -ENOMEM;
	hh = e->hh;
	*e = *peer;
	e->hh = hh;
	e->open = e->unanswered = 0;
	return 0;
}

/* --- connections --- */

static bool same_endpoint(const struct obs_endpoint *a, const struct obs_endpoint *b)
{
	return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

struct obs_conn *obs_peers_find(struct obs_peers *p, const struct obs_conn_id *id)
{
	struct obs_conn *c;

	HASH_FIND(hh, p->conns, id, sizeof(*id), c);
	return c;
}

static struct obs_listener *listener_of(struct obs_peers *p, uint32_t netns, uint16_t port)
{
	for (size_t i = 0; i < p->n_listeners; i++) {
		struct obs_listener *l = &p->listeners[i];

		if (l->open && l->netns == netns && l->local.port == port)
			return l;
	}
	return NULL;
}

/* What comes from the gateway comes from the host itself, or by a proxy that hides who it is. */
static bool is_outside(const struct obs_peers *p, const uint8_t remote[16], const uint8_t local[16])
{
	return !obs_ip_is_loopback(remote) && memcmp(remote, local, 16) != 0 &&
	       !obs_network_is_gateway(&p->network, remote);
}

/* Where the rung did not see the first SYN: a socket on a port that nobody listens on, or whose
 * port was asked for by bind(), has dialled. */
static enum obs_direction direction_of(struct obs_peers *p, const struct obs_conn_facts *f)
{
	if (f->direction != OBS_DIRECTION_UNKNOWN)
		return f->direction;
	if (f->bound == OBS_BOUND_YES || !listener_of(p, f->netns, f->local.port))
		return OBS_DIRECTION_OUT;
	return f->bound == OBS_BOUND_NO ? OBS_DIRECTION_IN : OBS_DIRECTION_UNKNOWN;
}

static void count_accept(struct obs_peers *p, const struct obs_conn_facts *f, uint64_t wall_ns)
{
	struct obs_listener *l = listener_of(p, f->netns, f->local.port);

	if (is_outside(p, f->remote.ip, f->local.ip))
		p->outside_ns = wall_ns;
	if (!l || (l->restored && f->preexisting)) /* it was counted when it came */
		return;
	l->accepted++;
	l->from_gateway += obs_network_is_gateway(&p->network, f->remote.ip);
	if (!is_outside(p, f->remote.ip, f->local.ip))
		return;
	l->from_outside++;
	l->outside_ns = wall_ns;
}

/* What the rung has counted is told of by it. */
static void count_direction(struct obs_peers *p, const struct obs_conn_facts *f)
{
	bool counts = !p->opt.counted;

	switch (f->direction) {
	case OBS_DIRECTION_IN:
		p->totals.in += counts;
		p->earlier_in += f->preexisting;
		break;
	case OBS_DIRECTION_OUT:
		p->totals.out += counts;
		p->earlier_out += f->preexisting;
		break;
	default:
		p->totals.unknown += counts;
	}
}

/* @again: its peer has counted it, in an earlier run */
static void count_open(struct obs_peers *p, struct obs_conn *c, bool again, uint64_t wall_ns)
{
	struct obs_peer *e = c->peer;

	e->open++;
	e->opened_ns = wall_ns;
	count_direction(p, &c->f);
	switch (c->f.direction) {
	case OBS_DIRECTION_IN:
		e->in += !again;
		count_accept(p, &c->f, wall_ns);
		break;
	case OBS_DIRECTION_OUT:
		e->out += !again;
		break;
	default:
		e->unknown += !again;
	}
}

int obs_peers_restore_conn(struct obs_peers *p, const struct obs_conn_counted *c)
{
	struct obs_conn_counted *known;

	if (HASH_COUNT(p->counted) >= p->opt.conns_max)
		return -ENOSPC;
	HASH_FIND(hh, p->counted, &c->at, sizeof(c->at), known);
	if (known)
		return -EEXIST;
	known = malloc(sizeof(*known));
	if (!known)
		return -ENOMEM;
	*known = *c;
	HASH_ADD(hh, p->counted, at, sizeof(known->at), known);
	return 0;
}

/* Has an earlier run counted it? Then @ret says what. */
static bool take_counted(struct obs_peers *p, const struct obs_conn_facts *f,
			 struct obs_conn_counted *ret)
{
	struct obs_conn_ends at = { f->local, f->remote, f->netns, 0 };
	struct obs_conn_counted *c;

	if (!f->preexisting || !p->counted)
		return false;
	HASH_FIND(hh, p->counted, &at, sizeof(at), c);
	if (!c)
		return false;
	*ret = *c;
	HASH_DEL(p->counted, c);
	free(c);
	return true;
}

static void count_bytes(struct obs_peers *p, uint64_t sent, uint64_t received, uint64_t again)
{
	if (p->opt.counted)
		return;
	p->totals.bytes_sent += sent;
	p->totals.bytes_received += received;
	p->totals.retransmits += again;
}

/* Its peer has these numbers; the totals, which are of this run, have not. */
static void go_on_from(struct obs_peers *p, struct obs_conn *c, const struct obs_conn_counted *was)
{
	c->f.bytes_sent = was->bytes_sent;
	c->f.bytes_received = was->bytes_received;
	c->f.retransmits = was->retransmits;
	count_bytes(p, was->bytes_sent, was->bytes_received, was->retransmits);
}

static uint64_t more(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void take_numbers(struct obs_peers *p, struct obs_conn *c, const struct obs_conn_facts *f)
{
	uint64_t sent = more(f->bytes_sent, c->f.bytes_sent);
	uint64_t received = more(f->bytes_received, c->f.bytes_received);
	uint64_t again = more(f->retransmits, c->f.retransmits);
	struct obs_conn_facts known = c->f;

	count_bytes(p, sent, received, again);
	c->peer->bytes_sent += sent;
	c->peer->bytes_received += received;
	c->peer->retransmits += again;
	if (f->srtt_us)
		c->peer->rtt_us = f->srtt_us;
	if (f->min_rtt_us && (!c->peer->min_rtt_us || f->min_rtt_us < c->peer->min_rtt_us))
		c->peer->min_rtt_us = f->min_rtt_us;
	c->f = *f;
	c->f.id = known.id;
	if (known.local.port) { /* one that has ended has no port any more */
		c->f.local = known.local;
		c->f.remote = known.remote;
	}
	c->f.direction = known.direction;
	c->f.preexisting = known.preexisting;
	c->f.pid = known.pid;
	c->f.born_ns = known.born_ns;
	if (known.established_ns)
		c->f.established_ns = known.established_ns;
}

static struct obs_conn *add_conn(struct obs_peers *p, const struct obs_conn_facts *f,
				 const struct obs_peer_hint *hint, uint64_t wall_ns)
{
	struct obs_conn_counted was = {};
	bool again = take_counted(p, f, &was);
	struct obs_conn_facts facts = *f;
	struct obs_conn *c;
	struct obs_peer *e;

	facts.direction =
		again && f->direction == OBS_DIRECTION_UNKNOWN ? was.direction : direction_of(p, f);
	if (!facts.established_ns)
		facts.established_ns = was.since_ns;
	e = HASH_COUNT(p->conns) < p->opt.conns_max ? peer_of(p, &facts, hint, wall_ns) : NULL;
	c = e ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		obs_peers_unkept(p);
		return NULL;
	}
	c->peer = e;
	c->process = hint->process;
	c->f.id = facts.id;
	c->f.pid = facts.pid;
	c->f.direction = facts.direction;
	c->f.preexisting = facts.preexisting;
	c->f.born_ns = facts.born_ns;
	c->f.established_ns = facts.established_ns;
	HASH_ADD(hh, p->conns, f.id, sizeof(c->f.id), c);
	go_on_from(p, c, &was);
	take_numbers(p, c, &facts);
	count_open(p, c, again, wall_ns);
	return c;
}

/* In a pass each holder reports it once: it stays with its owner as long as that one holds it. */
static void note_holder(struct obs_peers *p, struct obs_conn *c, uint32_t pid)
{
	if (c->pass != p->pass)
		c->held = false;
	c->pass = p->pass;
	c->holder = pid;
	c->held |= pid == c->f.pid;
}

struct obs_conn *obs_peers_see(struct obs_peers *p, const struct obs_conn_facts *f,
			       const struct obs_peer_hint *hint, uint64_t wall_ns, bool *ret_new)
{
	struct obs_conn *c = obs_peers_find(p, &f->id);

	*ret_new = false;
	if (c) {
		take_numbers(p, c, f);
		c->peer->last_ns = wall_ns;
	} else {
		c = add_conn(p, f, hint, wall_ns);
		*ret_new = c != NULL;
	}
	if (c)
		note_holder(p, c, f->pid);
	return c;
}

void obs_peers_unkept(struct obs_peers *p)
{
	p->unkept += p->looking;
	p->totals.not_kept += !p->looking;
}

void obs_peers_end(struct obs_peers *p, struct obs_conn *c, const struct obs_conn_facts *f,
		   uint64_t wall_ns)
{
	enum obs_failure how = obs_failure_of(f->err);

	take_numbers(p, c, f);
	c->peer->open--;
	c->peer->last_ns = wall_ns;
	if (!p->opt.counted) {
		p->totals.closed++;
		p->totals.broken += how == OBS_FAILURE_RESET || how == OBS_FAILURE_TIMED_OUT;
	}
	HASH_DEL(p->conns, c);
	free(c);
}

static void count_failure(struct obs_conn_totals *t, enum obs_failure how, uint64_t n)
{
	uint64_t *const of[OBS_FAILURES] = { [OBS_FAILURE_REFUSED] = &t->refused,
					     [OBS_FAILURE_TIMED_OUT] = &t->timed_out,
					     [OBS_FAILURE_UNREACHABLE] = &t->unreachable,
					     [OBS_FAILURE_RESET] = &t->reset };

	t->failed += n;
	if (of[how])
		*of[how] += n;
}

void obs_peers_tcp_counts(struct obs_peers *p, const struct obs_tcp_counts *c)
{
	struct obs_conn_totals *t = &p->totals;

	t->in = c->in + p->earlier_in;
	t->out = c->out + p->earlier_out;
	t->unknown = more(c->earlier, p->earlier_in + p->earlier_out);
	t->closed = c->closed;
	t->broken = c->broken;
	t->bytes_sent = c->bytes_sent;
	t->bytes_received = c->bytes_received;
	t->retransmits = c->retransmits;
	t->failed = t->refused = t->timed_out = t->unreachable = t->reset = 0;
	for (unsigned i = 0; i < OBS_FAILURES; i++)
		count_failure(t, i, c->failed[i]);
}

struct obs_peer *obs_peers_failed(struct obs_peers *p, const struct obs_conn_facts *f,
				  const struct obs_peer_hint *hint, uint64_t wall_ns)
{
	struct obs_peer *e = peer_of(p, f, hint, wall_ns);

	if (!p->opt.counted)
		count_failure(&p->totals, obs_failure_of(f->err), 1);
	if (!e)
		return NULL;
	e->failed++;
	e->failed_ns = wall_ns;
	e->last_err = f->err;
	return e;
}

/* --- UDP --- */

static struct obs_flow *add_flow(struct obs_peers *p, const struct obs_flow_facts *f,
				 const struct obs_flow_key_of *key,
				 const struct obs_peer_hint *hint, uint64_t wall_ns)
{
	struct obs_conn_facts facts = { .remote = f->remote, .direction = OBS_DIRECTION_OUT };
	struct obs_flow *flow;
	struct obs_peer *e;

	e = HASH_COUNT(p->flows) < p->opt.peers_max ? peer_of(p, &facts, hint, wall_ns) : NULL;
	flow = e ? calloc(1, sizeof(*flow)) : NULL;
	if (!flow)
		return NULL;
	flow->key = *key;
	flow->peer = e;
	flow->process = "";
	e->open++;
	e->unanswered++;
	HASH_ADD(hh, p->flows, key, sizeof(flow->key), flow);
	return flow;
}

/* The kernel may have forgotten the flow, and begun again. */
static uint64_t again_or_more(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

/* Whose it is may be told late, and its process may be gone before the flow is over. */
static void note_process(struct obs_peers *p, struct obs_flow *flow,
			 const struct obs_peer_hint *hint)
{
	if (!*hint->process || strcmp(hint->process, flow->process) == 0)
		return;
	flow->process = hint->process;
	judge(p, flow->peer, hint);
}

/* What was known of it, and that the kernel may have forgotten. */
static void go_on(struct obs_flow *flow, const struct obs_flow_facts *was)
{
	if (!flow->f.pid)
		flow->f.pid = was->pid;
	if (flow->f.direction == OBS_DIRECTION_UNKNOWN)
		flow->f.direction = was->direction;
	flow->f.handshake |= was->handshake;
	if (flow->f.quic_version)
		return;
	flow->f.quic_version = was->quic_version;
	flow->f.dcid_len = was->dcid_len;
	flow->f.scid_len = was->scid_len;
}

struct obs_flow *obs_peers_flow(struct obs_peers *p, const struct obs_flow_facts *f,
				const struct obs_peer_hint *hint, uint64_t wall_ns, bool *ret_new)
{
	struct obs_flow_key_of key = { .remote = f->remote, .local_port = f->local_port };
	struct obs_flow_facts was;
	uint64_t out, in;
	struct obs_flow *flow;

	HASH_FIND(hh, p->flows, &key, sizeof(key), flow);
	*ret_new = !flow;
	if (!flow)
		flow = add_flow(p, f, &key, hint, wall_ns);
	if (!flow)
		return NULL;
	note_process(p, flow, hint);
	out = again_or_more(f->bytes_out, flow->f.bytes_out);
	in = again_or_more(f->bytes_in, flow->f.bytes_in);
	p->totals.udp_packets_shown += again_or_more(f->packets_out, flow->f.packets_out) +
				       again_or_more(f->packets_in, flow->f.packets_in);
	flow->peer->bytes_sent += out;
	flow->peer->bytes_received += in;
	if (out + in)
		flow->peer->last_ns = wall_ns;
	if (f->packets_in && !flow->f.packets_in) {
		flow->peer->unanswered--;
		flow->peer->opened_ns = wall_ns;
	}
	if (f->direction == OBS_DIRECTION_IN && f->packets_out &&
	    is_outside(p, f->remote.ip, f->local_ip))
		p->outside_ns = wall_ns;
	was = flow->f;
	flow->f = *f;
	go_on(flow, &was);
	return flow;
}

void obs_peers_flow_totals(struct obs_peers *p, uint64_t packets_out, uint64_t packets_in,
			   uint64_t bytes_out, uint64_t bytes_in)
{
	p->totals.udp_packets_out = packets_out;
	p->totals.udp_packets_in = packets_in;
	p->totals.udp_bytes_out = bytes_out;
	p->totals.udp_bytes_in = bytes_in;
}

void obs_peers_flow_end(struct obs_peers *p, struct obs_flow *flow, uint64_t wall_ns)
{
	struct obs_peer *e = flow->peer;

	e->open--;
	if (!flow->f.packets_in)
		e->unanswered--;
	if (!flow->f.packets_in && flow->f.quic_version) { /* it dialled, and nobody was there */
		e->failed++;
		e->failed_ns = wall_ns;
		e->last_err = ETIMEDOUT;
	}
	HASH_DEL(p->flows, flow);
	free(flow);
}

void obs_peers_end_flows(struct obs_peers *p, uint64_t boot_ns, uint64_t wall_ns)
{
	struct obs_flow *f, *next;

	HASH_ITER(hh, p->flows, f, next)
	{
		if (f->f.last_ns < boot_ns)
			obs_peers_flow_end(p, f, wall_ns);
	}
}

void obs_peers_udp(struct obs_peers *p, const struct obs_conn_facts *f, const char *process)
{
	for (size_t i = 0; i < p->n_udp; i++) {
		if (memcmp(&p->udp[i].id, &f->id, sizeof(f->id)) == 0)
			return; /* of another holder */
	}
	if (p->n_udp == OBS_UDP_SHOW) {
		p->udp_not_kept++;
		return;
	}
	p->udp[p->n_udp++] = (struct obs_udp_socket){ .id = f->id,
						      .local = f->local,
						      .remote = f->remote,
						      .pid = f->pid,
						      .process = process,
						      .send_queue = f->send_queue,
						      .recv_queue = f->recv_queue,
						      .drops = f->drops };
}

/* --- listeners --- */

int obs_peers_restore_listener(struct obs_peers *p, const struct obs_listener *l)
{
	struct obs_listener *all;

	if (p->n_remembered == OBS_LISTENERS_SHOW)
		return -ENOSPC;
	all = realloc(p->remembered, (p->n_remembered + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	p->remembered = all;
	all[p->n_remembered++] = *l;
	return 0;
}

/* The same process at the same port: who reached it before has reached it. */
static void recall_listener(struct obs_peers *p, struct obs_listener *l)
{
	for (size_t i = 0; i < p->n_remembered; i++) {
		const struct obs_listener *was = &p->remembered[i];

		if (was->pid != l->pid || was->netns != l->netns ||
		    !same_endpoint(&was->local, &l->local))
			continue;
		l->restored = true;
		l->accepted = was->accepted;
		l->from_outside = was->from_outside;
		l->from_gateway = was->from_gateway;
		l->outside_ns = was->outside_ns;
		if (p->outside_ns < was->outside_ns)
			p->outside_ns = was->outside_ns;
		p->remembered[i] = p->remembered[--p->n_remembered];
		return;
	}
}

static struct obs_listener *free_listener(struct obs_peers *p)
{
	if (p->n_listeners < OBS_LISTENERS_SHOW)
		return &p->listeners[p->n_listeners++];
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (!p->listeners[i].open)
			return &p->listeners[i];
	}
	return NULL;
}

uint32_t obs_peers_listens(struct obs_peers *p, const struct obs_conn_facts *f, const char *process)
{
	struct obs_listener *l = NULL;
	uint32_t refused;

	for (size_t i = 0; i < p->n_listeners && !l; i++) {
		if (p->listeners[i].open && p->listeners[i].id.sock == f->id.sock &&
		    p->listeners[i].id.born == f->id.born)
			l = &p->listeners[i];
	}
	if (!l) {
		l = free_listener(p);
		if (!l)
			return 0;
		*l = (struct obs_listener){ .id = f->id,
					    .local = f->local,
					    .pid = f->pid,
					    .netns = f->netns,
					    .drops = f->preexisting ? f->drops : 0,
					    .open = true };
		recall_listener(p, l);
	}
	l->pass = p->pass;
	l->process = process;
	l->queue = f->recv_queue;
	l->queue_max = f->send_queue;
	refused = f->drops - l->drops; /* the kernel's counter wraps */
	l->drops = f->drops;
	l->half_open = f->half_open;
	return refused;
}

void obs_peers_unlistens(struct obs_peers *p, const struct obs_conn_id *id)
{
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i].id.sock == id->sock && p->listeners[i].id.born == id->born)
			p->listeners[i].open = false;
	}
}

/* --- passes --- */

void obs_peers_start_pass(struct obs_peers *p)
{
	p->pass++;
	p->looking = true;
	p->unkept = 0;
	p->dialling_now = 0;
	p->n_udp = p->udp_not_kept = 0;
}

void obs_peers_dials(struct obs_peers *p)
{
	p->dialling_now++;
}

uint64_t obs_peers_half_open(const struct obs_peers *p, uint32_t *dialling)
{
	uint64_t n = p->dialling;

	*dialling = p->dialling;
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i].open)
			n += p->listeners[i].half_open;
	}
	return n;
}

bool obs_peer_is_swarm(const struct obs_peer *e)
{
	return e->role == OBS_PEER_BOOTNODE || e->role == OBS_PEER_DHT || e->role == OBS_PEER_RELAY;
}

bool obs_peer_is_connected(const struct obs_peer *e)
{
	return e->open > e->unanswered;
}

const struct obs_peer *obs_peers_find_peer(const struct obs_peers *p, const struct obs_endpoint *at)
{
	struct obs_peer *e;

	HASH_FIND(hh, p->peers, at, sizeof(*at), e);
	return e;
}

uint32_t obs_rtt_usual(uint32_t usual_us, uint32_t sample_us)
{
	if (!sample_us || !usual_us)
		return sample_us ? sample_us : usual_us;
	if (sample_us < usual_us)
		return usual_us - (usual_us - sample_us + 3) / 4;
	return usual_us + (sample_us > usual_us ? usual_us / RTT_RISE + 1 : 0);
}

void obs_peers_end_pass(struct obs_peers *p, obs_peers_unseen_fn fn, void *ctx)
{
	struct obs_conn *c, *next;

	p->dialling = p->dialling_now;
	HASH_ITER(hh, p->conns, c, next)
	{
		if (c->pass != p->pass)
			fn(ctx, c);
		else if (!c->held && c->holder)
			c->f.pid = c->holder; /* accepted by a child, or passed on */
	}
	/* Each is seen in every pass: only those that are more count. */
	p->totals.not_kept += more(p->unkept, p->unkept_before);
	p->unkept_before = p->unkept;
	p->looking = false;
}

void obs_peers_learn_rtts(struct obs_peers *p)
{
	for (struct obs_conn *c = p->conns; c; c = c->hh.next)
		c->peer->rtt_usual_us = obs_rtt_usual(c->peer->rtt_usual_us, c->f.srtt_us);
}
