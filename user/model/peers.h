/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers.h - the connections of one node, whom they are with, and what it listens on.
 *
 * One shape for every rung that sees connections. Bounded: past the limits connections are
 * counted and not kept, and the peer that is least worth remembering makes room.
 * Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "obs/failure.h"
#include "util/network.h"

#define OBS_ENDPOINT_TEXT  64
#define OBS_LISTENERS_SHOW 256 /* listening sockets kept per node */
#define OBS_UDP_SHOW	   256 /* UDP sockets kept per node */
#define OBS_NAMES_MAX	   1024

/* IPv4 as ::ffff:a.b.c.d, so that one peer is one endpoint. */
struct obs_endpoint {
	uint8_t ip[16];
	uint16_t port; /* 0 = any */
	uint8_t pad[6];
};

/** obs_endpoint_format() - "192.0.2.1:80", "[2001:db8::1]:80"; without ":0" when port is 0. */
void obs_endpoint_format(const struct obs_endpoint *e, char out[OBS_ENDPOINT_TEXT]);

/** obs_ip_is_loopback() - 127.0.0.0/8 or ::1. */
bool obs_ip_is_loopback(const uint8_t ip[16]);

enum obs_direction {
	OBS_DIRECTION_UNKNOWN = 0, /* it was there before us, and nothing tells who dialled */
	OBS_DIRECTION_IN,
	OBS_DIRECTION_OUT,
};

/* The numbers of include/net/tcp_states.h. */
enum obs_tcp_state {
	OBS_TCP_STATE_ESTABLISHED = 1,
	OBS_TCP_STATE_SYN_SENT = 2,
	OBS_TCP_STATE_SYN_RECV = 3,
	OBS_TCP_STATE_FIN_WAIT1 = 4,
	OBS_TCP_STATE_FIN_WAIT2 = 5,
	OBS_TCP_STATE_TIME_WAIT = 6,
	OBS_TCP_STATE_CLOSE = 7,
	OBS_TCP_STATE_CLOSE_WAIT = 8,
	OBS_TCP_STATE_LAST_ACK = 9,
	OBS_TCP_STATE_LISTEN = 10,
	OBS_TCP_STATE_CLOSING = 11,
	OBS_TCP_STATE_MAX,
};

/** obs_tcp_state_str() - "ESTAB", …: as ss prints them. */
const char *obs_tcp_state_str(unsigned state);

/* What the rung calls a connection; never used twice. */
struct obs_conn_id {
	uint64_t sock;
	uint64_t born;
};

/* Was the local port asked for by bind(2)? A child of a listener's never is. */
enum obs_conn_bound { OBS_BOUND_UNKNOWN = 0, OBS_BOUND_NO, OBS_BOUND_YES };

/* What a rung says of a socket. */
struct obs_conn_facts {
	struct obs_conn_id id;
	struct obs_endpoint local, remote;
	uint32_t pid;
	uint32_t netns;
	uint8_t state; /* enum obs_tcp_state */
	enum obs_direction direction;
	bool preexisting;
	enum obs_conn_bound bound;
	uint64_t born_ns;	 /* CLOCK_BOOTTIME of the first SYN; 0 = unknown */
	uint64_t established_ns; /* CLOCK_BOOTTIME; 0 = never, or unknown */
	uint64_t bytes_sent, bytes_acked, bytes_received;
	uint64_t delivery_rate; /* bytes per second; 0 = unknown */
	uint32_t srtt_us, rttvar_us, min_rtt_us;
	uint32_t retransmits, cwnd, unacked_bytes;
	uint32_t send_queue,
		recv_queue; /* bytes; listeners: room in the accept queue, used of it */
	uint32_t drops;	    /* listeners: refused for a full accept queue */
	uint32_t half_open; /* listeners: handshakes that the other side has not finished */
	int err;	    /* positive errno; 0 = none */
	bool udp;	    /* a UDP socket: no state and no counters but queues and drops */
};

/* Who a remote is. */
enum obs_peer_role {
	OBS_PEER_UNKNOWN = 0,
	OBS_PEER_BOOTNODE,
	OBS_PEER_DHT,
	OBS_PEER_RELAY,
	OBS_PEER_RPC,
	OBS_PEER_JUDGE,
	OBS_PEER_MODEL_HUB,
	OBS_PEER_LOGIN,
	OBS_PEER_EVALUATOR,
	OBS_PEER_WANDB,
	OBS_PEER_TELEGRAM,
	OBS_PEER_DNS,
	OBS_PEER_ROLE_MAX,
};

const char *obs_peer_role_str(enum obs_peer_role role);

struct obs_peer {
	struct obs_endpoint at;
	enum obs_peer_role role;
	char name[80];	     /* host name, where one was seen; else "" */
	char peer_id[64];    /* libp2p's, where known; else "" */
	bool many_ids;	     /* several peers dial from this address: none is named */
	const char *source;  /* who said that it is a bootnode; NULL or "" = nobody; static */
	uint32_t open;	     /* connections and flows now */
	uint32_t unanswered; /* of these, flows on which nothing came back */
	uint64_t in, out, unknown, failed;
	uint64_t bytes_sent, bytes_received, retransmits;
	uint32_t rtt_us, min_rtt_us; /* newest, best; 0 = unknown */
	uint32_t rtt_usual_us;	     /* what it mostly is; 0 = unknown */
	int last_err;		     /* of the last connect that failed */
	uint64_t first_ns, last_ns;  /* CLOCK_REALTIME */
	/* CLOCK_REALTIME; 0 = not since the node was found */
	uint64_t opened_ns, failed_ns;
	UT_hash_handle hh;
};

struct obs_conn {
	struct obs_conn_facts f;
	struct obs_peer *peer; /* borrowed; it stays as long as a connection is open */
	uint32_t pass;	       /* the sampling pass that saw it last */
	uint32_t holder;       /* in that pass: a process that holds it */
	bool held;	       /* in that pass: its owner does */
	bool told;	       /* an event said that it is there */
	const char *process;   /* role of the process that has it, static; "" = unknown */
	char comm[16];
	UT_hash_handle hh;
};

/* UDP between a port of the node and a remote. */
struct obs_flow_facts {
	struct obs_endpoint remote;
	uint8_t local_ip[16]; /* of the first packet; all 0 = unknown */
	uint16_t local_port;
	uint64_t packets_out, packets_in, bytes_out, bytes_in; /* bytes with IP headers */
	uint64_t first_ns, last_ns;			       /* CLOCK_BOOTTIME */
	uint32_t quic_version;				       /* 0 = no long header was seen */
	uint8_t dcid_len, scid_len;
	bool handshake;		      /* a QUIC Handshake packet was seen */
	enum obs_direction direction; /* who sent the first packet, where that was an Initial */
	uint32_t pid;		      /* 0 = unknown */
};

struct obs_flow {
	struct obs_flow_key_of {
		struct obs_endpoint remote;
		uint64_t local_port;
	} key;
	struct obs_flow_facts f;
	struct obs_peer *peer; /* borrowed */
	bool told;
	bool counted;	     /* by its holder, as a connection */
	const char *process; /* role of the process that has it, static; "" = unknown */
	char comm[16];
	uint64_t first_wall_ns, last_wall_ns; /* CLOCK_REALTIME; 0 = nobody has said */
	UT_hash_handle hh;
};

struct obs_listener {
	struct obs_conn_id id;
	struct obs_endpoint local;
	uint32_t pid, netns, pass;
	const char *process; /* role, static; "" = unknown */
	uint64_t accepted, from_outside;
	uint64_t from_gateway; /* the host, or what its engine's proxy hands on */
	uint64_t outside_ns;   /* CLOCK_REALTIME of the last one from outside; 0 = never */
	bool restored;	       /* its numbers hold what an earlier run has seen */
	uint32_t queue, queue_max, drops, half_open;
	bool open;
};

/* Of a rung that sees no packets, but sockets. */
struct obs_udp_socket {
	struct obs_conn_id id;
	struct obs_endpoint local, remote; /* port 0 = not connected */
	uint32_t pid;
	const char *process; /* role, static; "" = unknown */
	uint32_t send_queue, recv_queue, drops;
};

struct obs_conn_totals {
	uint64_t in, out, unknown; /* connections established, by direction */
	uint64_t closed, failed;
	uint64_t refused, timed_out, unreachable, reset; /* of failed */
	uint64_t broken;       /* established, and ended by a reset or timeout */
	uint64_t not_accepted; /* refused by a full accept queue */
	uint64_t bytes_sent, bytes_received, retransmits;
	uint64_t udp_packets_out, udp_packets_in, udp_bytes_out, udp_bytes_in;
	uint64_t udp_packets_shown; /* of these, both ways: those of flows that are kept */
	uint64_t peers_evicted;
	uint64_t not_kept; /* over the limit of connections, as far as looks saw them */
	uint64_t lost;	   /* their end was not seen */
};

/* What the rung itself has counted of a node's connections: exact, whatever it could tell of each. */
struct obs_tcp_counts {
	uint64_t in, out, earlier; /* established; were it already when they were found */
	uint64_t closed, broken;
	uint64_t bytes_sent, bytes_received, retransmits;
	uint64_t failed[OBS_FAILURES];
};

struct obs_roles;

/* A connection that was open when an earlier run looked last: its peer has counted it. */
struct obs_conn_counted {
	struct obs_conn_ends {
		struct obs_endpoint local, remote;
		uint32_t netns, pad;
	} at;
	enum obs_direction direction;
	uint64_t bytes_sent, bytes_received;
	uint32_t retransmits;
	uint64_t since_ns; /* CLOCK_BOOTTIME when it was established; 0 = unknown */
	UT_hash_handle hh;
};

struct obs_peers_options {
	uint32_t peers_max, conns_max;
	const struct obs_roles *roles; /* borrowed for life; NULL = nothing is known */
	uint32_t slot;		       /* of the node, there */
	bool counted;		       /* obs_peers_tcp_counts() will tell the totals of TCP */
};

struct obs_peers {
	struct obs_peers_options opt;
	struct obs_conn *conns; /* hash by id, owned */
	struct obs_flow *flows; /* hash by remote and port, owned */
	struct obs_peer *peers; /* hash by endpoint, owned; the least recently used first */
	struct obs_listener listeners[OBS_LISTENERS_SHOW];
	size_t n_listeners;
	struct obs_listener *remembered; /* of an earlier run, not seen yet; owned */
	size_t n_remembered;
	struct obs_conn_counted
		*counted; /* hash by its ends: of an earlier run, not seen yet; owned */
	struct obs_udp_socket udp[OBS_UDP_SHOW]; /* those of the last pass */
	size_t n_udp, udp_not_kept;
	struct obs_peer_name *names; /* hash by address, owned */
	struct obs_network network;  /* of the node; set by whoever is told of it */
	struct obs_conn_totals totals;
	uint64_t earlier_in, earlier_out; /* were there when they were found, and are known */
	uint32_t pass;
	bool looking;			 /* a pass is on */
	uint64_t unkept, unkept_before;	 /* in this pass and the one before: had no room */
	uint32_t dialling, dialling_now; /* connects under way: in the last pass, in this one */
	uint64_t outside_ns; /* CLOCK_REALTIME: last time anybody outside reached a listener */
};

/** obs_peers_new() - Return: 0 or -ENOMEM; *@ret is owned by the caller. */
int obs_peers_new(const struct obs_peers_options *opt, struct obs_peers **ret);
void obs_peers_free(struct obs_peers **p);

/** obs_peers_find() - the connection called @id, or NULL. */
struct obs_conn *obs_peers_find(struct obs_peers *p, const struct obs_conn_id *id);

/* What a role is decided by besides the remote's address. */
struct obs_peer_hint {
	const char *process;  /* role of the process, as obs_role_str() calls it; "" = unknown */
	const char *rpc_host; /* of the configured chain; "" = none */
};

/**
 * obs_peers_see() - a connection stands like this now.
 * @wall_ns: CLOCK_REALTIME
 * @ret_new: true when it was not known and is established now
 *
 * Return: the connection, or NULL when it is not kept (counted).
 */
struct obs_conn *obs_peers_see(struct obs_peers *p, const struct obs_conn_facts *f,
			       const struct obs_peer_hint *hint, uint64_t wall_ns, bool *ret_new);

/** obs_peers_unkept() - a connection that nobody has room for; one that is seen in every pass
 * counts once. */
void obs_peers_unkept(struct obs_peers *p);

/** obs_peers_end() - it is over; @f has the final numbers. @c is freed. */
void obs_peers_end(struct obs_peers *p, struct obs_conn *c, const struct obs_conn_facts *f,
		   uint64_t wall_ns);

/** obs_peers_failed() - a connect that led nowhere. Return: its peer, or NULL. Borrowed. */
struct obs_peer *obs_peers_failed(struct obs_peers *p, const struct obs_conn_facts *f,
				  const struct obs_peer_hint *hint, uint64_t wall_ns);

/**
 * obs_peers_flow() - a UDP flow stands like this now.
 * @ret_new: true when it was not known
 *
 * Return: the flow, or NULL when it is not kept.
 */
struct obs_flow *obs_peers_flow(struct obs_peers *p, const struct obs_flow_facts *f,
				const struct obs_peer_hint *hint, uint64_t wall_ns, bool *ret_new);

/** obs_peers_flow_totals() - all UDP of the node so far: in @p->totals, whatever flows are kept. */
void obs_peers_flow_totals(struct obs_peers *p, uint64_t packets_out, uint64_t packets_in,
			   uint64_t bytes_out, uint64_t bytes_in);

/** obs_peers_tcp_counts() - all TCP of the node so far: in @p->totals, whatever connections are
 * kept. Of those that were there before, looks tell who had dialled. */
void obs_peers_tcp_counts(struct obs_peers *p, const struct obs_tcp_counts *c);

/** obs_peers_flow_end() - nothing has passed for long. @flow is freed. A QUIC flow that was never
 * answered is a connect that failed. */
void obs_peers_flow_end(struct obs_peers *p, struct obs_flow *flow, uint64_t wall_ns);

/** obs_peers_udp() - in this pass: a UDP socket is there. Past OBS_UDP_SHOW they are only counted. */
void obs_peers_udp(struct obs_peers *p, const struct obs_conn_facts *f, const char *process);

/** obs_peers_end_flows() - flows that were last seen before @boot_ns are over. */
void obs_peers_end_flows(struct obs_peers *p, uint64_t boot_ns, uint64_t wall_ns);

/** obs_peers_listens(), _unlistens() - a listening socket is there, or no more. Return: what it has
 * dropped since it was last seen: connections that it refused, its accept queue being full, and
 * packets that belong to none. The caller adds the former to totals.not_accepted. */
uint32_t obs_peers_listens(struct obs_peers *p, const struct obs_conn_facts *f,
			   const char *process);
void obs_peers_unlistens(struct obs_peers *p, const struct obs_conn_id *id);

/** obs_peers_dials() - in this pass: a connect is under way. */
void obs_peers_dials(struct obs_peers *p);

/** obs_peers_half_open() - handshakes that only one side has begun, both ways, in the last pass. */
uint64_t obs_peers_half_open(const struct obs_peers *p, uint32_t *dialling);

/** obs_peer_is_swarm() - a bootnode, DHT peer or relay. */
bool obs_peer_is_swarm(const struct obs_peer *e);

/** obs_peer_is_connected() - something is open, and the other side has answered. */
bool obs_peer_is_connected(const struct obs_peer *e);

/** obs_peers_find_peer() - the peer at @at, or NULL. Borrowed. */
const struct obs_peer *obs_peers_find_peer(const struct obs_peers *p,
					   const struct obs_endpoint *at);

/** obs_rtt_usual() - a peer's usual RTT after one more sample: it falls fast, and rises so slowly
 * that at a sample every 10 s a link that got bad is unusual for an hour. */
uint32_t obs_rtt_usual(uint32_t usual_us, uint32_t sample_us);

/** obs_peers_learn_rtts() - once per interval: each peer's usual RTT. */
void obs_peers_learn_rtts(struct obs_peers *p);

/**
 * obs_peers_start_pass() - a pass over all sockets begins; what obs_peers_see() and _listens()
 * report until obs_peers_end_pass() counts as seen in it.
 */
void obs_peers_start_pass(struct obs_peers *p);

/** typedef obs_peers_unseen_fn - @c was not seen in this pass; it may be ended in the call. */
typedef void (*obs_peers_unseen_fn)(void *ctx, struct obs_conn *c);
void obs_peers_end_pass(struct obs_peers *p, obs_peers_unseen_fn fn, void *ctx);

/** obs_peers_judge() - what is known of addresses has changed: look at all peers again. */
void obs_peers_judge(struct obs_peers *p);

/** obs_peers_id_at() - the peer id that answers, or dials, at @remote; else @e's; "" = unknown.
 * @e: its peer; may be NULL. Borrowed until something is noted. */
const char *obs_peers_id_at(const struct obs_peers *p, const struct obs_endpoint *remote,
			    const struct obs_peer *e);

/** obs_peers_note_name() - the address in @at is called @name. */
void obs_peers_note_name(struct obs_peers *p, const struct obs_endpoint *at, const char *name);

/** obs_peers_restore() - a peer remembered from an earlier run. Return: 0, -ENOMEM, -EEXIST. */
int obs_peers_restore(struct obs_peers *p, const struct obs_peer *peer);

/** obs_peers_restore_listener() - who reached a listening socket in an earlier run: it counts when
 * the same process listens there. Return: 0, -ENOMEM, -ENOSPC. */
int obs_peers_restore_listener(struct obs_peers *p, const struct obs_listener *l);

/** obs_peers_restore_conn() - a connection that was open in an earlier run: when it is still there,
 * its peer counts only what is new of it, and it has its age. @c: copied. Return: 0, -ENOMEM, -EEXIST,
 * -ENOSPC (past the limit of connections). */
int obs_peers_restore_conn(struct obs_peers *p, const struct obs_conn_counted *c);

/** obs_direction_str() - "in", "out", "unknown". */
const char *obs_direction_str(enum obs_direction d);

/** obs_conn_error_str() - "refused", "timeout", "unreachable", "reset", "not_sent", "given_up" for 0;
 * else strerror(). */
const char *obs_conn_error_str(int err);

/** obs_conn_closed_by() - who ended it: "local", "remote", "both", "reset", "timeout". */
const char *obs_conn_closed_by(const struct obs_conn_facts *f);
