// SPDX-License-Identifier: BSD-2-Clause
/* role_sources.c - see role_sources.h. */
#include "pipeline/role_sources.h"

#include <errno.h>
#include <stdio.h>

#include "parse/maddr.h"

static int note(struct obs_roles *r, uint32_t slot, const struct obs_maddr *m, unsigned as,
		const char *peer_id, const char *source)
{
	struct obs_endpoint at = { .port = m->port };

	memcpy(at.ip, m->ip, sizeof(at.ip));
	return obs_roles_note(r, slot, &at, as, peer_id, source);
}

static const char *id_in(const struct obs_maddr *m, char out[OBS_ROLES_ID_BYTES])
{
	snprintf(out, OBS_ROLES_ID_BYTES, "%.*s", (int)m->peer_id.len,
		 m->peer_id.len ? m->peer_id.p : "");
	return out;
}

int obs_roles_add_bootnode_of(struct obs_roles *r, uint32_t slot, struct obs_slice multiaddr,
			      const char *source)
{
	char id[OBS_ROLES_ID_BYTES];
	struct obs_maddr m;
	int err = obs_maddr_parse(multiaddr, &m);

	if (err < 0)
		return err;
	return note(r, slot, &m, m.relayed ? OBS_KNOWN_RELAY : OBS_KNOWN_BOOTNODE, id_in(&m, id),
		    source);
}

int obs_roles_add_bootnode(struct obs_roles *r, const char *multiaddr, const char *source)
{
	return obs_roles_add_bootnode_of(r, 0, obs_slice_str(multiaddr), source);
}

int obs_roles_add_peer(struct obs_roles *r, uint32_t slot, const char *peer_id,
		       struct obs_slice multiaddr, bool met)
{
	char id[OBS_ROLES_ID_BYTES];
	struct obs_maddr m;
	int err = obs_maddr_parse(multiaddr, &m);

	if (err < 0)
		return err;
	if (m.relayed)
		return note(r, slot, &m, OBS_KNOWN_RELAY, id_in(&m, id), "");
	return note(r, slot, &m, met ? OBS_KNOWN_CONNECTED : 0, peer_id, "");
}
