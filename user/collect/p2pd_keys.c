// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_keys.c - see p2pd_keys.h. uthash keeps order: a key that is used is put to the end. */
#include "collect/p2pd_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

struct entry {
	struct obs_p2p_key k;
	UT_hash_handle hh;
};

struct obs_p2pd_keys {
	struct entry *entries;				  /* owned hash, the last used at the end */
	const struct obs_p2p_key *list[OBS_P2P_KEYS_MAX]; /* of obs_p2pd_keys_list() */
	uint64_t evicted;
};

int obs_p2pd_keys_new(struct obs_p2pd_keys **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void drop(struct obs_p2pd_keys *k, struct entry *e)
{
	HASH_DEL(k->entries, e);
	free(e);
}

void obs_p2pd_keys_free(struct obs_p2pd_keys **kp)
{
	struct entry *e, *next;

	if (!*kp)
		return;
	HASH_ITER(hh, (*kp)->entries, e, next)
	{
		drop(*kp, e);
	}
	free(*kp);
	*kp = NULL;
}

static void make_room(struct obs_p2pd_keys *k)
{
	struct entry *least = k->entries;

	if (HASH_COUNT(k->entries) < OBS_P2P_KEYS_MAX)
		return;
	for (struct entry *e = k->entries; e; e = e->hh.next) {
		if (e->k.uses < least->k.uses)
			least = e;
	}
	k->evicted += least->k.uses;
	drop(k, least);
}

struct obs_key_numbers *obs_p2pd_keys_use(struct obs_p2pd_keys *k, const uint8_t *key)
{
	static struct obs_key_numbers nowhere;
	struct entry *e;

	HASH_FIND(hh, k->entries, key, sizeof(e->k.key), e);
	if (e) {
		HASH_DEL(k->entries, e);
	} else {
		make_room(k);
		e = calloc(1, sizeof(*e));
		if (!e)
			return &nowhere;
		memcpy(e->k.key, key, sizeof(e->k.key));
	}
	HASH_ADD(hh, k->entries, k.key, sizeof(e->k.key), e);
	e->k.uses++;
	return &e->k.n;
}

static int by_uses(const void *a, const void *b)
{
	const struct obs_p2p_key *const *x = a, *const *y = b;

	if ((*x)->uses != (*y)->uses)
		return (*x)->uses < (*y)->uses ? 1 : -1;
	return memcmp((*x)->key, (*y)->key, sizeof((*x)->key));
}

const struct obs_p2p_key *const *obs_p2pd_keys_list(struct obs_p2pd_keys *k,
						    const struct obs_key_names *names, size_t *n)
{
	int64_t round;

	*n = 0;
	for (struct entry *e = k->entries; e; e = e->hh.next) {
		if (!*e->k.name && obs_key_names_find(names, e->k.key, e->k.name, &round))
			e->k.kind = obs_key_names_kind(names, e->k.key);
		k->list[(*n)++] = &e->k;
	}
	qsort(k->list, *n, sizeof(const struct obs_p2p_key *), by_uses);
	return k->list;
}

uint64_t obs_p2pd_keys_evicted(const struct obs_p2pd_keys *k)
{
	return k->evicted;
}
