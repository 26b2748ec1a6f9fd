/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain.h - asks a node of the EVM chain, over JSON-RPC, how the swarm's contract stands: its
 * round, what it counts for our peers, what it logged.
 *
 * A thread of its own does the asking, so that a server which hangs delays nobody. It tells by a
 * callback that a report lies ready; the next poll waits until that one has been taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parse/abi.h"
#include "util/counters.h"

#define OBS_CHAIN_PEERS_MAX	128
#define OBS_CHAIN_ACCOUNTS_MAX	128
#define OBS_CHAIN_BOOTNODES_MAX 64
#define OBS_CHAIN_LOGS_MAX	512
#define OBS_PEER_ID_LEN		96
#define OBS_ADDRESS_LEN		43 /* 0x, 40 digits, NUL */
#define OBS_TX_HASH_LEN		67
#define OBS_MULTIADDR_LEN	200

struct obs_chain_options {
	const char *rpc_url; /* borrowed during the call; may hold a key */
	uint64_t chain_id;   /* the one to insist on; 0 = any */
	const char *eoa; /* account whose peers are asked for too; "" = none; borrowed for life */
	uint64_t poll_ms, timeout_ms;
	const struct obs_abi_item *events; /* to ask for; n_events; borrowed for life */
	size_t n_events;
	struct obs_counters *counters; /* the chain's own rows */
	void (*on_report)(void *ctx);  /* on the thread: only to wake somebody */
	void *ctx;
};

/* What to ask for. */
struct obs_chain_wanted {
	char contract[OBS_ADDRESS_LEN]; /* "" = not known: nothing is asked */
	size_t n_peers, n_accounts;
	char peers[OBS_CHAIN_PEERS_MAX][OBS_PEER_ID_LEN];
	char accounts[OBS_CHAIN_ACCOUNTS_MAX][OBS_ADDRESS_LEN]; /* whose events are asked for */
	uint64_t next_block; /* whose events come next, from an earlier run; 0 = unknown */
};

/* One of our peers, as the contract knows it. Decimal numbers; "" = not known. */
struct obs_chain_peer {
	char id[OBS_PEER_ID_LEN];
	bool account_known;	       /* whether it is registered */
	char account[OBS_ADDRESS_LEN]; /* "" = it is not */
	char votes[OBS_ABI_DECIMAL_MAX], wins[OBS_ABI_DECIMAL_MAX], rewards[OBS_ABI_DECIMAL_MAX];
};

/* An event of the contract. */
struct obs_chain_log {
	const struct obs_abi_item *event;
	struct obs_abi_log log;
	char tx_hash[OBS_TX_HASH_LEN];
	uint64_t block, index;
	uint64_t time_s; /* of the block, since 1970; 0 = not told */
};

struct obs_chain_report {
	bool ok;
	bool limited;	 /* asked too often */
	char error[200]; /* why not: "the chain RPC does not answer: …" */
	uint64_t wall_ns, latency_ns, retry_ms;
	char contract[OBS_ADDRESS_LEN];
	uint64_t chain_id, block, round, stage;
	bool has_chain_id, has_block, has_round, has_stage;
	bool has_bootnodes;
	size_t n_bootnodes;
	char bootnodes[OBS_CHAIN_BOOTNODES_MAX][OBS_MULTIADDR_LEN];
	size_t n_peers;
	struct obs_chain_peer peers[OBS_CHAIN_PEERS_MAX];
	size_t n_logs;
	struct obs_chain_log logs[OBS_CHAIN_LOGS_MAX];
	struct obs_buf log_data; /* owned */
	uint64_t next_block;	 /* whose events come next */
	bool skipped;		 /* events of some blocks were refused for good */
};

struct obs_chain;

/**
 * obs_chain_start() - begin to ask as soon as there is something to ask for.
 *
 * Return: 0; -EINVAL: no http or https URL; -ENOMEM; a negative errno of pthread_create().
 */
int obs_chain_start(const struct obs_chain_options *opt, struct obs_chain **ret);

/** obs_chain_where() - scheme, host and port of the server; its path may be a key. Borrowed. */
const char *obs_chain_where(const struct obs_chain *c);

/** obs_chain_want() - from now on ask for this; a change is asked for soon. Copied. */
void obs_chain_want(struct obs_chain *c, const struct obs_chain_wanted *wanted);

/** obs_chain_take() - the report that lies ready, for the caller to free; NULL = none. */
struct obs_chain_report *obs_chain_take(struct obs_chain *c);
void obs_chain_report_free(struct obs_chain_report **r);

/** obs_chain_stop() - break off what is under way, end the thread, free all; sets *@c to NULL. */
void obs_chain_stop(struct obs_chain **c);
