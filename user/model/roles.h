/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * roles.h - what is known of addresses before, or beside, any connection: who is a bootnode, who
 * relays, which peer id answers there. From p2pd's command line and control socket, logs, the
 * configuration, the chain.
 *
 * Of one node (its own network) or of all. Bounded: the one that was noted first makes room.
 * Belongs to the event loop's thread.
 */
#pragma once

#include "model/peers.h"
#include "util/counters.h"

#define OBS_ROLES_MAX	   16384
#define OBS_ROLES_ID_BYTES 64

enum obs_known_as {
	OBS_KNOWN_BOOTNODE = 1,
	OBS_KNOWN_RELAY = 2,
	OBS_KNOWN_CONNECTED = 4, /* the peer id was met there, not only claimed to be */
};

struct obs_known {
	unsigned as;	     /* enum obs_known_as, ored */
	const char *peer_id; /* "" = unknown; borrowed until the next note */
	const char *source;  /* who said first that it is a bootnode: "config", …; "" = nobody */
};

struct obs_roles;

/**
 * obs_roles_new() - nothing is known yet.
 * @counters: borrowed for life; told of what had to make room
 *
 * Return: 0 or -ENOMEM; *@ret is owned by the caller.
 */
int obs_roles_new(size_t max, struct obs_counters *counters, struct obs_roles **ret);
void obs_roles_free(struct obs_roles **r);

/**
 * obs_roles_note() - @at is known as @as, to node @slot or (0) to every node.
 * @peer_id: "" = unknown. One that was met stays against one that is only claimed
 * @source:  static
 *
 * Return: 0, -EINVAL (a peer id that is none), -ENOMEM.
 */
int obs_roles_note(struct obs_roles *r, uint32_t slot, const struct obs_endpoint *at, unsigned as,
		   const char *peer_id, const char *source);

/** obs_roles_find() - what node @slot, or every node, knows of @at. */
struct obs_known obs_roles_find(const struct obs_roles *r, uint32_t slot,
				const struct obs_endpoint *at);

/** obs_roles_forget() - @slot is another node's now. */
void obs_roles_forget(struct obs_roles *r, uint32_t slot);

/** obs_roles_serial() - another number after each change. */
uint64_t obs_roles_serial(const struct obs_roles *r);
