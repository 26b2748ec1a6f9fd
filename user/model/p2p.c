// SPDX-License-Identifier: BSD-2-Clause
/* p2p.c - see p2p.h: the words and the buckets of its numbers. */
#include "model/p2p.h"

#include <string.h>

const double obs_p2p_bucket_ms[OBS_P2P_BUCKETS] = { 0.5, 1,   2.5, 5,	 10,   25,   50,
						    100, 250, 500, 1000, 2500, 5000, 10000 };

/* p2pd refuses messages over 4 MiB. */
const uint64_t obs_p2p_bucket_bytes[OBS_P2P_SIZE_BUCKETS] = { 64,    256,    1024,    4096,   16384,
							      65536, 262144, 1048576, 4194304 };

double obs_rpc_quantile_ms(const struct obs_rpc_numbers *n, double q)
{
	double max_ms = (double)n->latency_max_ns / 1e6;
	uint64_t total = 0, below = 0;

	for (size_t i = 0; i <= OBS_P2P_BUCKETS; i++)
		total += n->buckets[i];
	for (size_t i = 0; total > 0 && i < OBS_P2P_BUCKETS; i++) {
		below += n->buckets[i];
		if ((double)below >= q * (double)total)
			return obs_p2p_bucket_ms[i] < max_ms ? obs_p2p_bucket_ms[i] : max_ms;
	}
	return total > 0 ? max_ms : 0;
}

const char *obs_key_kind_str(enum obs_key_kind kind)
{
	static const char *const names[OBS_KEY_KIND_MAX] = {
		[OBS_KEY_KIND_OTHER] = "hash",
		[OBS_KEY_KIND_ROUND] = "round",
		[OBS_KEY_KIND_REWARDS] = "rl_swarm_rewards",
		[OBS_KEY_KIND_LEADERBOARD] = "rl_swarm_leaderboard",
		[OBS_KEY_KIND_RS] = "rl_swarm_rs",
		[OBS_KEY_KIND_PROPOSER] = "proposer",
		[OBS_KEY_KIND_SOLVER] = "solver",
	};

	return names[kind];
}

static const char *const averaging[OBS_AVERAGING_MAX] = {
	[OBS_JOIN_GROUP] = "join_group",
	[OBS_AGGREGATE_PART] = "aggregate_part",
	[OBS_DOWNLOAD_STATE] = "download_state",
};

const char *obs_averaging_str(enum obs_averaging what)
{
	return averaging[what];
}

/* "[prefix::]DecentralizedAverager.rpc_join_group" */
static bool ends_in(const char *name, const char *rpc)
{
	const char *dot = strrchr(name, '.');

	return dot && strncmp(dot, ".rpc_", 5) == 0 && strcmp(dot + 5, rpc) == 0;
}

uint64_t obs_p2p_averaging(const struct obs_p2p_view *v, enum obs_averaging what,
			   enum obs_p2p_way way)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->n_rpcs; i++) {
		if (ends_in(v->rpcs[i].name, averaging[what]))
			n += v->rpcs[i].way[way].calls + v->rpcs[i].streams[way].opened;
	}
	return n;
}

/* When our clock was set forward since, the peer's is behind by as much. */
double obs_p2p_clock_offset_s(const struct obs_p2p_view *v, const struct obs_p2p_peer *peer)
{
	return peer->clock_offset_s - (double)(v->shift_ns - peer->clock_shift_ns) / 1e9;
}
