/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * role_sources.h - multiaddrs, as configurations, logs, command lines and chains have them, into
 * what is known of addresses (model/roles.h).
 */
#pragma once

#include "model/roles.h"
#include "util/slice.h"

/**
 * obs_roles_add_bootnode() - a bootnode of every node.
 * @multiaddr: untrusted
 * @source:    "config", "chain"; static
 *
 * Return: 0, -EINVAL (no multiaddr, or one without an IP address and a port), -ENOMEM.
 */
int obs_roles_add_bootnode(struct obs_roles *r, const char *multiaddr, const char *source);

/** obs_roles_add_bootnode_of() - the same, of the node in @slot only: "command_line", "log". */
int obs_roles_add_bootnode_of(struct obs_roles *r, uint32_t slot, struct obs_slice multiaddr,
			      const char *source);

/**
 * obs_roles_add_peer() - node @slot knows of a peer, or of its own relay, at @multiaddr.
 * @peer_id: whose address it is
 * @met:     it is connected there, so the address is no mere claim
 *
 * A relayed address says where the relay is, and nothing of where the peer is.
 * Return: as obs_roles_add_bootnode().
 */
int obs_roles_add_peer(struct obs_roles *r, uint32_t slot, const char *peer_id,
		       struct obs_slice multiaddr, bool met);
