/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers_state.h - the peers of a node as text, to be kept over a restart; and who has reached its
 * listening sockets, and which connections were open, so that these are not counted twice.
 *
 * A line each, fields between tabs; of peers the most recently used comes last. What was seen of one
 * p2pd only (when a peer could be had, and when not) counts for the same one; no connection outlives
 * its boot, though another may have its ends.
 */
#pragma once

#include "model/peers.h"
#include "util/buf.h"

struct obs_peers_of {
	uint64_t p2pd; /* names its process for good; 0 = none runs */
	uint64_t boot; /* names the time since the host was started */
};

/** obs_peers_state_format() - append all of them. Return: 0, -ENOMEM, -EMSGSIZE. */
int obs_peers_state_format(const struct obs_peers *p, const struct obs_peers_of *of,
			   struct obs_buf *out);

/**
 * obs_peers_state_parse() - take them in again; those known by now are left as they are.
 * @now:  of what is there now
 * @text: as found in the store; a line that makes no sense is skipped
 *
 * Return: peers taken in.
 */
size_t obs_peers_state_parse(struct obs_peers *p, const struct obs_peers_of *now,
			     struct obs_slice text);
