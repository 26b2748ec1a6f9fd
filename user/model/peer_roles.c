// SPDX-License-Identifier: BSD-2-Clause
/* peer_roles.c - see peer_roles.h. A new kind of remote is a row. */
#include "model/peer_roles.h"

#include <fnmatch.h>
#include <string.h>

#include "util/cleanup.h"

enum place { ANYWHERE, LOOPBACK };

/* All conditions of a row must hold; NULL, 0, ANYBODY and ANYWHERE hold always. */
static const struct rule {
	enum obs_peer_role role;
	enum known { ANYBODY, BOOTNODE, RELAY } known;
	const char *process; /* role of our process */
	const char *name;    /* glob over the remote's name */
	uint16_t port;
	enum place place;
} rules[] = {
	{ OBS_PEER_BOOTNODE, BOOTNODE, NULL, NULL, 0, ANYWHERE },
	{ OBS_PEER_RELAY, RELAY, NULL, NULL, 0, ANYWHERE },
	{ OBS_PEER_DHT, ANYBODY, "p2pd", NULL, 0, ANYWHERE },
	{ OBS_PEER_RPC, ANYBODY, NULL, "*gensyn-testnet*", 0, ANYWHERE },
	{ OBS_PEER_RPC, ANYBODY, NULL, "*.alchemy.com", 0, ANYWHERE },
	{ OBS_PEER_JUDGE, ANYBODY, NULL, "*judge*", 0, ANYWHERE },
	{ OBS_PEER_MODEL_HUB, ANYBODY, NULL, "huggingface.co", 0, ANYWHERE },
	{ OBS_PEER_MODEL_HUB, ANYBODY, NULL, "*.huggingface.co", 0, ANYWHERE },
	{ OBS_PEER_MODEL_HUB, ANYBODY, NULL, "*.hf.co", 0, ANYWHERE },
	{ OBS_PEER_MODEL_HUB, ANYBODY, NULL, "hf.co", 0, ANYWHERE },
	{ OBS_PEER_WANDB, ANYBODY, NULL, "wandb.ai", 0, ANYWHERE },
	{ OBS_PEER_WANDB, ANYBODY, NULL, "*.wandb.ai", 0, ANYWHERE },
	{ OBS_PEER_TELEGRAM, ANYBODY, NULL, "*.telegram.org", 0, ANYWHERE },
	{ OBS_PEER_LOGIN, ANYBODY, NULL, NULL, 3000, LOOPBACK },
	{ OBS_PEER_LOGIN, ANYBODY, "login_server", NULL, 0, LOOPBACK },
	{ OBS_PEER_EVALUATOR, ANYBODY, NULL, NULL, 11434, LOOPBACK },
	{ OBS_PEER_DNS, ANYBODY, NULL, NULL, 53, ANYWHERE },
};

static const char *const names[OBS_PEER_ROLE_MAX] = {
	[OBS_PEER_UNKNOWN] = "unknown",
	[OBS_PEER_BOOTNODE] = "bootnode",
	[OBS_PEER_DHT] = "dht_peer",
	[OBS_PEER_RELAY] = "relay",
	[OBS_PEER_RPC] = "rpc",
	[OBS_PEER_JUDGE] = "judge",
	[OBS_PEER_MODEL_HUB] = "model_hub",
	[OBS_PEER_LOGIN] = "login_server",
	[OBS_PEER_EVALUATOR] = "evaluator",
	[OBS_PEER_WANDB] = "wandb",
	[OBS_PEER_TELEGRAM] = "telegram",
	[OBS_PEER_DNS] = "dns",
};

const char *obs_peer_role_str(enum obs_peer_role role)
{
	return role < OBS_PEER_ROLE_MAX ? names[role] : names[OBS_PEER_UNKNOWN];
}

static bool fits(const struct rule *r, const struct obs_peer_evidence *e)
{
	if ((r->known == BOOTNODE && !e->bootnode) || (r->known == RELAY && !e->relay))
		return false;
	if (r->process && strcmp(r->process, e->process) != 0)
		return false;
	if (r->name && fnmatch(r->name, e->name, FNM_CASEFOLD) != 0)
		return false;
	if (r->port && r->port != e->remote->port)
		return false;
	return r->place == ANYWHERE || obs_ip_is_loopback(e->remote->ip);
}

enum obs_peer_role obs_peer_role_of(const struct obs_peer_evidence *e)
{
	if (*e->rpc_host && strcasecmp(e->rpc_host, e->name) == 0)
		return OBS_PEER_RPC;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (fits(&rules[i], e))
			return rules[i].role;
	}
	return OBS_PEER_UNKNOWN;
}
