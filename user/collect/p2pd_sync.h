/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_sync.h - the exchange of rounds: the node stores its own outputs under the round's key at
 * several peers, then asks peers for that key until it has everybody's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collect/key_names.h"
#include "collect/p2pd.h"

#define OBS_SYNCS_OPEN 8 /* keys under way at once */
#define OBS_SYNC_PEERS 16

struct obs_sync {
	bool used;
	uint8_t key[20];
	uint64_t peers[OBS_SYNC_PEERS]; /* hashes of those that took it */
	unsigned n_peers;
	unsigned refused_by;
	uint64_t sent_bytes;
	unsigned items; /* the most that a peer's answer held, our own not counted */
	unsigned answers;
	uint64_t received_bytes;
	uint64_t first_ns, last_ns, last_wall_ns;
};

struct obs_syncs {
	struct obs_sync open[OBS_SYNCS_OPEN];
};

/* One key of a store or of a find that a peer has answered. */
struct obs_sync_step {
	const uint8_t *key;
	uint64_t peer; /* hash of its id */
	uint64_t started_ns, ns, wall_ns;
	uint64_t value_bytes;
	unsigned items; /* find: subkeys in the answer */
	bool ok;	/* store: taken; find: found */
};

typedef void (*obs_sync_fn)(void *ctx, const struct obs_swarm_sync *s);

void obs_syncs_stored(struct obs_syncs *s, const struct obs_sync_step *step);
void obs_syncs_found(struct obs_syncs *s, const struct obs_sync_step *step);

/**
 * obs_syncs_end() - tell those of which nothing was heard since @before_ns.
 * Return: how many.
 */
unsigned obs_syncs_end(struct obs_syncs *s, uint64_t before_ns, const struct obs_key_names *names,
		       obs_sync_fn fn, void *ctx);
