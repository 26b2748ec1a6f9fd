/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_peers.h - the peers that a node has to do with, by their binary id. Bounded: the one
 * that has been silent for longest makes room.
 */
#pragma once

#include <stdint.h>

#include "model/p2p.h"
#include "util/slice.h"

struct obs_p2pd_peers;

int obs_p2pd_peers_new(size_t max, struct obs_p2pd_peers **ret);
void obs_p2pd_peers_free(struct obs_p2pd_peers **pp);

/**
 * obs_p2pd_peers_get() - the peer with this binary id, made if it is new.
 *
 * Return: borrowed until the next call; NULL when the id is none, or without memory.
 */
struct obs_p2p_peer *obs_p2pd_peers_get(struct obs_p2pd_peers *peers, struct obs_slice id,
					uint64_t now_ns);

/** obs_p2pd_peers_find() - the same, but a peer that is not known is not made. */
struct obs_p2p_peer *obs_p2pd_peers_find(struct obs_p2pd_peers *peers, struct obs_slice id);

/**
 * obs_p2pd_peers_pair() - the numbers of @peer and one RPC.
 * @make: make them when they are not there; a peer has at most OBS_P2P_PAIRS_MAX
 *
 * Return: borrowed as long as the peer is; NULL when they are not there.
 */
struct obs_rpc_numbers *obs_p2pd_peers_pair(struct obs_p2p_peer *peer, unsigned rpc,
					    enum obs_p2p_way way, bool make);

/** obs_p2pd_peers_list() - all, the one heard of last at the end. Borrowed until the next call
 * that changes the table. */
const struct obs_p2p_peer *const *obs_p2pd_peers_list(struct obs_p2pd_peers *peers, size_t *n);

/** obs_p2pd_peers_evicted() - what those had done that made room. */
const struct obs_p2p_evicted *obs_p2pd_peers_evicted(const struct obs_p2pd_peers *peers);
