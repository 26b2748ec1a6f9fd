/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2p.h - what is known of a node's dealings with its peers, from p2pd's control socket.
 *
 * Plain numbers, all bounded. Written by collect/p2pd.c, read by whoever shows something.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBS_P2P_RPCS_MAX     32 /* names apart; the last one takes in all further names */
#define OBS_P2P_ADDRS_MAX    16
#define OBS_P2P_ADDR_LEN     256
#define OBS_P2P_KEYS_MAX     64 /* of the DHT, shown by name or hash */
#define OBS_KEY_NAME_LEN     64
#define OBS_P2P_HANDLERS_MAX 32
#define OBS_P2P_NAME_LEN     80
#define OBS_P2P_ID_LEN	     96
#define OBS_P2P_BUCKETS	     14
#define OBS_P2P_SIZE_BUCKETS 9
#define OBS_P2P_PAIRS_MAX    16 /* RPCs kept apart of one peer */

/* Upper ends of the buckets of latencies, in ms, and of sizes, in bytes; one more bucket each
 * takes the rest. */
extern const double obs_p2p_bucket_ms[OBS_P2P_BUCKETS];
extern const uint64_t obs_p2p_bucket_bytes[OBS_P2P_SIZE_BUCKETS];

enum obs_p2p_way { OBS_P2P_OUT = 0, OBS_P2P_IN = 1 };

struct obs_rpc_numbers {
	uint64_t calls, answered, failed, cancelled;
	uint64_t in_flight; /* now */
	uint64_t request_bytes, answer_bytes;
	uint64_t request_max, answer_max;
	uint64_t latency_ns; /* sum over answered and failed */
	uint64_t latency_max_ns;
	uint64_t buckets[OBS_P2P_BUCKETS + 1]; /* of answered and failed */
	uint64_t request_sizes[OBS_P2P_SIZE_BUCKETS + 1];
	uint64_t answer_sizes[OBS_P2P_SIZE_BUCKETS + 1];
};

/* Streams of one protocol: RPCs too long for one message go over them. */
struct obs_stream_numbers {
	uint64_t opened, ended; /* ended: an end or an error was seen on it */
	uint64_t duration_ns;	/* sum over all: from its beginning to what passed on it last */
};

struct obs_rpc_view {
	char name[OBS_P2P_NAME_LEN];
	struct obs_rpc_numbers way[2]; /* enum obs_p2p_way */
	struct obs_stream_numbers streams[2];
	/* written by us, written to us, on streams of both ways; 9 of each message are its length */
	uint64_t stream_bytes[2];
};

/* One peer and one RPC. */
struct obs_p2p_pair {
	unsigned rpc; /* index into obs_p2p_view.rpcs */
	enum obs_p2p_way way;
	struct obs_rpc_numbers n;
	struct obs_p2p_pair *next;
};

struct obs_p2p_peer {
	char id[OBS_P2P_ID_LEN];
	char addr[OBS_P2P_ADDR_LEN]; /* one of its addresses; "" = never told */
	uint64_t first_ns, last_ns;  /* CLOCK_BOOTTIME */
	uint64_t calls[2], failed[2];
	uint64_t bytes_sent, bytes_received; /* of RPCs' messages */
	uint64_t latency_ns;		     /* of its last answer; 0 = none yet */
	bool has_clock;
	double clock_offset_s;	    /* its DHT clock minus ours, when it was asked */
	int64_t clock_shift_ns;	    /* our CLOCK_REALTIME minus CLOCK_BOOTTIME then */
	uint64_t clock_ns;	    /* when: CLOCK_BOOTTIME */
	unsigned n_pairs;	    /* at most OBS_P2P_PAIRS_MAX */
	struct obs_p2p_pair *pairs; /* list, owned by the table of peers */
};

/* What peers that made room had done. */
struct obs_p2p_evicted {
	uint64_t peers, calls[2], failed[2], bytes_sent, bytes_received;
};

/* What the name of a DHT key says that it is for; OTHER: its name is not known. */
enum obs_key_kind {
	OBS_KEY_KIND_OTHER = 0,
	OBS_KEY_KIND_ROUND,
	OBS_KEY_KIND_REWARDS,
	OBS_KEY_KIND_LEADERBOARD,
	OBS_KEY_KIND_RS,
	OBS_KEY_KIND_PROPOSER,
	OBS_KEY_KIND_SOLVER,
	OBS_KEY_KIND_MAX,
};

/** obs_key_kind_str() - "round", "rl_swarm_rewards", …; "hash" for OTHER. */
const char *obs_key_kind_str(enum obs_key_kind kind);

/* By way: OUT: we stored, asked; IN: peers did. */
struct obs_key_numbers {
	uint64_t stored[2], refused[2]; /* keys of stores that were taken, or not */
	uint64_t hits[2], misses[2];	/* keys of finds */
};

/* A key of the DHT, a SHA-1. */
struct obs_p2p_key {
	uint8_t key[20];
	char name[OBS_KEY_NAME_LEN]; /* "" = not known */
	enum obs_key_kind kind;
	uint64_t uses; /* in stores and finds */
	struct obs_key_numbers n;
};

/* Records whose end was seen in their store, each of them once however often it is stored. */
struct obs_record_numbers {
	uint64_t live, expired;
	uint64_t end_unseen; /* stored, but their end lay behind what is captured of a message */
	uint64_t not_kept;   /* over the limit */
};

struct obs_dht_numbers {
	uint64_t pings[2], stores[2], finds[2];	    /* calls */
	uint64_t records_sent, records_refused;	    /* stored by peers for us, or not */
	uint64_t records_taken;			    /* stored by us for peers */
	uint64_t keys_asked[2], hits[2], misses[2]; /* keys of finds */
	uint64_t value_bytes_sent, value_bytes_received;
	bool has_clock;
	double clock_offset_s;	   /* of the peer that was asked last */
	double clock_offset_max_s; /* the largest since start, without its sign */
	unsigned clock_peers;	   /* whose clock is known; counted by obs_p2pd_view() */
	double clock_median_s;	   /* of them, corrected by what ours was set since */
	struct obs_key_numbers kinds[OBS_KEY_KIND_MAX];
	struct obs_record_numbers records[2]; /* OUT: ours at peers; IN: peers' with us */
};

struct obs_p2p_view {
	uint32_t slot;		      /* of the node */
	char node[128];		      /* its title */
	char peer_id[OBS_P2P_ID_LEN]; /* "" = not seen yet */
	size_t n_addrs;
	char addrs[OBS_P2P_ADDRS_MAX][OBS_P2P_ADDR_LEN]; /* p2pd's own word, last IDENTIFY */
	size_t n_handlers;
	char handlers[OBS_P2P_HANDLERS_MAX][OBS_P2P_NAME_LEN];
	size_t n_rpcs;
	struct obs_rpc_view rpcs[OBS_P2P_RPCS_MAX];
	struct obs_dht_numbers dht;
	size_t n_peers;
	const struct obs_p2p_peer *const *peers; /* n_peers entries, newest last; borrowed */
	struct obs_p2p_evicted evicted;
	size_t n_keys;
	const struct obs_p2p_key *const *keys; /* n_keys entries, the most used first; borrowed */
	uint64_t keys_evicted;		       /* uses of those that made room */
	int64_t shift_ns;		       /* CLOCK_REALTIME minus CLOCK_BOOTTIME, now */
	uint64_t listed; /* peers that p2pd was connected to when it was asked last */
	uint64_t connects, connects_failed, disconnects; /* asked of p2pd */
	uint64_t streams[2], stream_bytes[2];		 /* opened; bytes written, by us / to us */
	uint64_t connections;				 /* control connections now known */
	uint64_t messages, messages_bad, resyncs, lost_bytes;
	uint64_t syncs; /* rounds exchanged */
};

/**
 * obs_rpc_quantile_ms() - the latency that a share @q of a name's calls stayed below, in ms, from
 * its buckets. Return: 0 when there were none.
 */
double obs_rpc_quantile_ms(const struct obs_rpc_numbers *n, double q);

/* Where hivemind averages parameters: its other programs do, RL-Swarm does not. */
enum obs_averaging { OBS_JOIN_GROUP, OBS_AGGREGATE_PART, OBS_DOWNLOAD_STATE, OBS_AVERAGING_MAX };

/** obs_averaging_str() - "join_group", "aggregate_part", "download_state". */
const char *obs_averaging_str(enum obs_averaging what);

/** obs_p2p_averaging() - calls and streams of an averaging RPC, under all names that end in it. */
uint64_t obs_p2p_averaging(const struct obs_p2p_view *v, enum obs_averaging what,
			   enum obs_p2p_way way);

/** obs_p2p_clock_offset_s() - a peer's clock minus ours, if it was now asked for. */
double obs_p2p_clock_offset_s(const struct obs_p2p_view *v, const struct obs_p2p_peer *peer);
