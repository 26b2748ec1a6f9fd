/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peers_state.h - the peers of a node as text, to be kept over a restart.
 *
 * A line per peer, fields between tabs, the most recently used last.
 */
#pragma once

#include "model/peers.h"
#include "util/buf.h"

/** obs_peers_state_format() - append the @max most recently used peers. Return: 0, -ENOMEM, -EMSGSIZE. */
int obs_peers_state_format(const struct obs_peers *p, size_t max, struct obs_buf *out);

/**
 * obs_peers_state_parse() - take them in again; those known by now are left as they are.
 * @text: as found in the store; a line that makes no sense is skipped
 *
 * Return: peers taken in.
 */
size_t obs_peers_state_parse(struct obs_peers *p, struct obs_slice text);
