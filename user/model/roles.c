// SPDX-License-Identifier: BSD-2-Clause
/* roles.c - see roles.h. uthash keeps the order in which entries were made. */
#include "model/roles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct key {
		struct obs_endpoint at;
		uint32_t slot, pad;
	} key;
	unsigned as;
	char peer_id[OBS_ROLES_ID_BYTES];
	const char *source;
	UT_hash_handle hh;
};

struct obs_roles {
	struct entry *entries; /* owned */
	size_t max;
	struct obs_counters *counters; /* borrowed */
	uint64_t serial;
};

int obs_roles_new(size_t max, struct obs_counters *counters, struct obs_roles **ret)
{
	struct obs_roles *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->max = max;
	r->counters = counters;
	*ret = r;
	return 0;
}

static void drop(struct obs_roles *r, struct entry *e)
{
	HASH_DEL(r->entries, e);
	free(e);
}

void obs_roles_free(struct obs_roles **rp)
{
	struct obs_roles *r = *rp;

	if (!r)
		return;
	while (r->entries)
		drop(r, r->entries);
	free(r);
	*rp = NULL;
}

static struct entry *find(const struct obs_roles *r, uint32_t slot, const struct obs_endpoint *at)
{
	struct key key;
	struct entry *e;

	memset(&key, 0, sizeof(key));
	memcpy(key.at.ip, at->ip, sizeof(key.at.ip));
	key.at.port = at->port;
	key.slot = slot;
	HASH_FIND(hh, r->entries, &key, sizeof(key), e);
	return e;
}

/* Bootnodes stay, and what is of every node: they are few, unless somebody floods a log. */
static void make_room(struct obs_roles *r)
{
	struct entry *e = r->entries;

	while (e && (e->key.slot == 0 || (e->as & OBS_KNOWN_BOOTNODE)))
		e = e->hh.next;
	if (!e)
		e = r->entries;
	drop(r, e);
	obs_count(&r->counters->addresses_evicted, 1);
}

static struct entry *make(struct obs_roles *r, uint32_t slot, const struct obs_endpoint *at)
{
	struct entry *e;

	if (HASH_COUNT(r->entries) >= r->max)
		make_room(r);
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	memcpy(e->key.at.ip, at->ip, sizeof(e->key.at.ip));
	e->key.at.port = at->port;
	e->key.slot = slot;
	e->source = "";
	HASH_ADD(hh, r->entries, key, sizeof(e->key), e);
	return e;
}

/* A claim says nothing against what was met, and nothing against an earlier claim. */
static bool believe_id(const struct entry *e, unsigned as, const char *peer_id)
{
	if (!*peer_id || strcmp(e->peer_id, peer_id) == 0)
		return false;
	return !*e->peer_id || (as & OBS_KNOWN_CONNECTED);
}

int obs_roles_note(struct obs_roles *r, uint32_t slot, const struct obs_endpoint *at, unsigned as,
		   const char *peer_id, const char *source)
{
	struct entry *e = find(r, slot, at);

	if (strlen(peer_id) >= sizeof(e->peer_id))
		return -EINVAL;
	if (!e)
		e = make(r, slot, at);
	if (!e)
		return -ENOMEM;
	if (believe_id(e, as, peer_id)) {
		memcpy(e->peer_id, peer_id, strlen(peer_id) + 1);
		r->serial++;
	}
	if ((as & OBS_KNOWN_BOOTNODE) && !*e->source)
		e->source = source;
	if (as & ~e->as)
		r->serial++;
	e->as |= as;
	return 0;
}

struct obs_known obs_roles_find(const struct obs_roles *r, uint32_t slot,
				const struct obs_endpoint *at)
{
	const struct entry *own = slot ? find(r, slot, at) : NULL, *all = find(r, 0, at);
	struct obs_known known = { .peer_id = "", .source = "" };

	if (own)
		known = (struct obs_known){ own->as, own->peer_id, own->source };
	if (!all)
		return known;
	known.as |= all->as;
	if (!*known.peer_id)
		known.peer_id = all->peer_id;
	if (!*known.source)
		known.source = all->source;
	return known;
}

void obs_roles_forget(struct obs_roles *r, uint32_t slot)
{
	struct entry *e, *next;

	HASH_ITER(hh, r->entries, e, next)
	{
		if (e->key.slot == slot)
			drop(r, e);
	}
}

uint64_t obs_roles_serial(const struct obs_roles *r)
{
	return r->serial;
}
