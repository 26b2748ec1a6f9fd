/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer_roles.h - who a remote is: a table of rules over what is known of a connection.
 */
#pragma once

#include "model/peers.h"

struct obs_peer_evidence {
	const struct obs_endpoint *remote;
	const char *process; /* the role of our process; "" = unknown */
	const char *name;    /* host name of the remote; "" = unknown */
	const char *rpc_host;
	bool bootnode, relay;
};

/** obs_peer_role_of() - the first rule that fits. */
enum obs_peer_role obs_peer_role_of(const struct obs_peer_evidence *e);
