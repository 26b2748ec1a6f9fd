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
#define OBS_P2P_ADDR_LEN     160
#define OBS_P2P_HANDLERS_MAX 32
#define OBS_P2P_NAME_LEN     80
#define OBS_P2P_ID_LEN	     96
#define OBS_P2P_BUCKETS	     14

/* Upper ends of the buckets of latencies, in ms; one more bucket takes the rest. */
extern const double obs_p2p_bucket_ms[OBS_P2P_BUCKETS];

enum obs_p2p_way { OBS_P2P_OUT = 0, OBS_P2P_IN = 1 };

struct obs_rpc_numbers {
	uint64_t calls, answered, failed, cancelled;
	uint64_t in_flight; /* now */
	uint64_t request_bytes, answer_bytes;
	uint64_t request_max, answer_max;
	uint64_t latency_ns; /* sum over answered and failed */
	uint64_t latency_max_ns;
	uint64_t buckets[OBS_P2P_BUCKETS + 1]; /* of answered and failed */
};

struct obs_rpc_view {
	char name[OBS_P2P_NAME_LEN];
	struct obs_rpc_numbers way[2]; /* enum obs_p2p_way */
};

struct obs_p2p_peer {
	char id[OBS_P2P_ID_LEN];
	char addr[OBS_P2P_ADDR_LEN]; /* one of its addresses; "" = never told */
	uint64_t first_ns, last_ns;  /* CLOCK_BOOTTIME */
	uint64_t calls[2], failed[2];
	uint64_t bytes_sent, bytes_received; /* of RPCs' messages */
	uint64_t latency_ns;		     /* of its last answer; 0 = none yet */
	bool has_clock;
	double clock_offset_s; /* its DHT clock minus ours */
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
	const struct obs_p2p_peer *peers; /* n_peers entries, newest last; borrowed */
	uint64_t peers_evicted;
	uint64_t listed; /* peers that p2pd was connected to when it was asked last */
	uint64_t connects, connects_failed, disconnects; /* asked of p2pd */
	uint64_t streams[2], stream_bytes[2];		 /* opened; bytes written, by us / to us */
	uint64_t connections;				 /* control connections now known */
	uint64_t messages, messages_bad, resyncs, lost_bytes;
	uint64_t syncs; /* rounds exchanged */
};
