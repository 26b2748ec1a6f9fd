/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers_state.h - the peers of a node as text, to be kept over a restart; and who has reached its
 * listening sockets, and which connections were open, so that these are not counted twice.
 *
 * A line each, fields between tabs; of peers the most recently used comes last. What was seen of one
 * p2pd only (when a peer could be had, and when not) counts for the same one.
 */
#pragma once

#include "model/peers.h"
#include "util/buf.h"

/**
 * obs_peers_state_format() - append the @max most recently used peers.
 * @p2pd: names its process for good; 0 = none runs
 *
 * Return: 0, -ENOMEM, -EMSGSIZE.
 */
int obs_peers_state_format(const struct obs_peers *p, size_t max, uint64_t p2pd,
			   struct obs_buf *out);

/**
 * obs_peers_state_parse() - take them in again; those known by now are left as they are.
 * @p2pd: that of now; 0 = none runs
 * @text: as found in the store; a line that makes no sense is skipped
 *
 * Return: peers taken in.
 */
size_t obs_peers_state_parse(struct obs_peers *p, uint64_t p2pd, struct obs_slice text);
