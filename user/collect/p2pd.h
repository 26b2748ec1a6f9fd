/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd.h - one node's dealings with its peers, from the writes on its p2pd's sockets.
 *
 * Connections become messages, messages become calls with an answer, a time and a name, DHT
 * operations, peers. All tables are bounded; what did not fit is counted. Times are
 * CLOCK_BOOTTIME in ns, unless said otherwise. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/p2p.h"
#include "parse/proto.h"
#include "util/counters.h"

#define OBS_P2PD_CONNS_MAX 256	/* of one node; the one silent for longest makes room */
#define OBS_P2PD_CALLS_MAX 4096 /* in flight; the oldest makes room */
#define OBS_P2PD_PEERS_MAX 1024

struct obs_p2pd;

enum obs_p2pd_writer { /* who wrote, on which socket: as enum obs_p2pd_ends of the wire */
		       OBS_P2PD_BY_DAEMON = 1,
		       OBS_P2PD_BY_CLIENT = 2,
		       OBS_P2PD_BY_HANDLER = 3,
		       OBS_P2PD_BY_DIALER = 4,
};

/* One captured write. */
struct obs_p2pd_write {
	uint64_t conn; /* the same for both directions */
	uint64_t at;   /* position in what this end wrote */
	enum obs_p2pd_writer by;
	bool fresh;	    /* nothing is known of what was written before */
	struct obs_head in; /* borrowed */
	pid_t pid;
	uint64_t ns;
	uint64_t wall_ns; /* CLOCK_REALTIME, for clocks of peers */
};

/* A call, or a request to p2pd, that failed. Texts are borrowed, and the peers' own words. */
struct obs_p2pd_failure {
	const char *rpc;     /* name; "connect", "stream" … for requests to p2pd */
	const char *peer_id; /* "" = unknown */
	struct obs_slice error;
	enum obs_p2p_way way;
	bool by_daemon; /* p2pd could not; else the other side's handler said no */
	uint64_t latency_ns;
	uint64_t wall_ns;
	pid_t pid;
};

/* The exchange of one round. */
struct obs_swarm_sync {
	const char *key;	 /* its name, or the first half of the hash in hex */
	int64_t round;		 /* -1 = unknown */
	uint64_t sent_bytes;	 /* own outputs */
	unsigned stored_on;	 /* peers that took them */
	unsigned refused_by;	 /* peers that did not */
	unsigned received_from;	 /* peers whose outputs were got */
	uint64_t received_bytes; /* values in the answers of all peers that were asked */
	uint64_t duration_ns;	 /* first store to last answer */
	uint64_t wall_ns;	 /* of its end */
};

struct obs_p2pd_ops {
	void (*failed)(void *ctx, const struct obs_p2pd_failure *f);
	void (*sync)(void *ctx, const struct obs_swarm_sync *s);
	/* an address of a peer, as text; @met: it is connected there now, else somebody's word */
	void (*address)(void *ctx, const char *peer_id, const char *addr, bool met);
	/* p2pd has answered for the first time, or with another identity */
	void (*identified)(void *ctx, const char *peer_id, uint64_t wall_ns);
};

/**
 * obs_p2pd_new() - nothing is known yet.
 * @ops, @ctx, @counters: borrowed for life; a missing op is not called; @counters may be NULL
 *
 * Return: 0, or -ENOMEM.
 */
int obs_p2pd_new(const struct obs_p2pd_ops *ops, void *ctx, struct obs_counters *counters,
		 struct obs_p2pd **ret);
void obs_p2pd_free(struct obs_p2pd **p);

void obs_p2pd_push(struct obs_p2pd *p, const struct obs_p2pd_write *w);

/** obs_p2pd_process_left() - @pid has ended: so have its connections and their calls. */
void obs_p2pd_process_left(struct obs_p2pd *p, pid_t pid);

/** obs_p2pd_learn_round() - a round that the node's log, or the chain, speaks of. */
void obs_p2pd_learn_round(struct obs_p2pd *p, uint32_t round);

/** obs_p2pd_learn_id() - the node's own peer id, from p2pd's output or the log. */
void obs_p2pd_learn_id(struct obs_p2pd *p, const char *peer_id);

/**
 * obs_p2pd_tick() - once a second: what is over is told, what is old is forgotten.
 * @wall_ns: CLOCK_REALTIME at @now_ns
 */
void obs_p2pd_tick(struct obs_p2pd *p, uint64_t now_ns, uint64_t wall_ns);

/** obs_p2pd_finish() - nothing more comes: tell what is under way. */
void obs_p2pd_finish(struct obs_p2pd *p);

/** obs_p2pd_name_view() - whose view it is: for labels. */
void obs_p2pd_name_view(struct obs_p2pd *p, uint32_t slot, const char *title);

/** obs_p2pd_view() - what is known now; borrowed until the next call. */
const struct obs_p2p_view *obs_p2pd_view(struct obs_p2pd *p);
