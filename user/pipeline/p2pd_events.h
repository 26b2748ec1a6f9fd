/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_events.h - what collect/p2pd.h tells, as events; and what other events tell it.
 */
#pragma once

#include "collect/p2pd.h"
#include "pipeline/event.h"

/* A peer that is gone fails each call: each kind of failure is told once a minute. */
#define OBS_P2PD_LIMIT_ENTRIES 64

struct obs_p2pd_limit {
	struct {
		uint64_t hash, told_ns, untold;
	} entries[OBS_P2PD_LIMIT_ENTRIES];
};

/**
 * obs_p2pd_may_tell() - is this failure to become an event?
 * @more: how many of its kind were left out since the last one that was told
 */
bool obs_p2pd_may_tell(struct obs_p2pd_limit *l, const struct obs_p2pd_failure *f, uint64_t now_ns,
		       uint64_t *more);

/* Each fills *@ev, which borrows the texts of its first argument. */
void obs_p2pd_failed_event(const struct obs_p2pd_failure *f, uint64_t more, struct obs_event *ev);
void obs_p2pd_sync_event(const struct obs_swarm_sync *s, struct obs_event *ev);

/** obs_p2pd_ready_event() - @ready_ns: from start to the first answer, 0 = not seen. */
void obs_p2pd_ready_event(const char *peer_id, uint64_t ready_ns, uint32_t restarts,
			  struct obs_event *ev);

#define OBS_P2PD_SNAPSHOT_RPCS	16
#define OBS_P2PD_SNAPSHOT_PEERS 64

/* The event with the texts that it borrows. */
struct obs_p2pd_snapshot {
	struct obs_event ev;
	size_t n_keys;
	char keys[OBS_P2PD_SNAPSHOT_RPCS * 5][OBS_P2P_NAME_LEN + 24];
	struct obs_slice peers[OBS_P2PD_SNAPSHOT_PEERS], addrs[OBS_P2P_ADDRS_MAX];
};

void obs_p2pd_snapshot_event(const struct obs_p2p_view *v, struct obs_p2pd_snapshot *s);

/** obs_p2pd_event_round() - the round that an event of the node's log speaks of. */
bool obs_p2pd_event_round(const struct obs_event *ev, uint32_t *ret);

/** obs_p2pd_event_identity() - the node's own peer id, when an event says it. */
bool obs_p2pd_event_identity(const struct obs_event *ev, char ret[OBS_P2P_ID_LEN]);
