// SPDX-License-Identifier: BSD-2-Clause
/* key_names.c - see key_names.h. */
#include "collect/key_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <uthash.h>

#include "parse/dht.h"
#include "util/cleanup.h"
#include "util/sha1.h"

#define ROUNDS_BEFORE 16
#define ROUNDS_AFTER  64
#define NAMES_MAX     8192 /* then all are forgotten and learned anew */
#define SEARCH_END    2000000
#define STAGES	      3

struct entry {
	uint64_t key; /* first 8 bytes */
	int64_t round;
	enum obs_key_kind kind;
	char name[OBS_KEY_NAME_LEN];
	UT_hash_handle hh;
};

struct obs_key_names {
	struct entry *entries; /* owned hash */
	bool any;
	uint32_t from, to; /* rounds whose names are there */
	bool searching;
	uint64_t wanted;
	uint32_t next; /* round to try */
};

static uint64_t short_key(const uint8_t key[20])
{
	uint64_t k;

	memcpy(&k, key, sizeof(k));
	return k;
}

/* hivemind hashes the msgpack form of a text, and bytes as they are. */
static uint64_t key_of(const char *name, bool as_text)
{
	uint8_t packed[OBS_SHA1_INPUT], hash[OBS_SHA1_LEN];
	struct obs_slice s = obs_slice_str(name);

	if (as_text)
		s = obs_slice((char *)packed, obs_msgpack_put_text(s, packed, sizeof(packed)));
	obs_sha1(s, hash);
	return short_key(hash);
}

static void add(struct obs_key_names *n, const char *name, bool as_text, int64_t round,
		enum obs_key_kind kind)
{
	uint64_t key = key_of(name, as_text);
	struct entry *e;

	HASH_FIND(hh, n->entries, &key, sizeof(key), e);
	if (e)
		return;
	e = calloc(1, sizeof(*e));
	if (!e)
		return;
	e->key = key;
	e->round = round;
	e->kind = kind;
	snprintf(e->name, sizeof(e->name), "%s", name);
	HASH_ADD(hh, n->entries, key, sizeof(e->key), e);
}

/* All names that RL-Swarm has made with a round, in whatever version. */
static void add_round(struct obs_key_names *n, uint32_t round)
{
	static const enum obs_key_kind kinds[] = { OBS_KEY_KIND_REWARDS, OBS_KEY_KIND_LEADERBOARD };
	char name[OBS_KEY_NAME_LEN];

	snprintf(name, sizeof(name), "%u", round);
	add(n, name, true, round, OBS_KEY_KIND_ROUND);
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		for (unsigned stage = 0; stage < STAGES; stage++) {
			snprintf(name, sizeof(name), "%s_%u_%u", obs_key_kind_str(kinds[k]), round,
				 stage);
			add(n, name, true, round, kinds[k]);
		}
	}
}

static void add_fixed(struct obs_key_names *n)
{
	add(n, obs_key_kind_str(OBS_KEY_KIND_RS), true, -1, OBS_KEY_KIND_RS);
	add(n, obs_key_kind_str(OBS_KEY_KIND_PROPOSER), false, -1, OBS_KEY_KIND_PROPOSER);
	add(n, obs_key_kind_str(OBS_KEY_KIND_SOLVER), false, -1, OBS_KEY_KIND_SOLVER);
}

static void clear(struct obs_key_names *n)
{
	struct entry *e, *next;

	HASH_ITER(hh, n->entries, e, next)
	{
		HASH_DEL(n->entries, e);
		free(e);
	}
	n->any = false;
}

int obs_key_names_new(struct obs_key_names **ret)
{
	struct obs_key_names *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	add_fixed(n);
	*ret = n;
	return 0;
}

void obs_key_names_free(struct obs_key_names **np)
{
	if (!*np)
		return;
	clear(*np);
	free(*np);
	*np = NULL;
}

void obs_key_names_learn(struct obs_key_names *n, uint32_t round)
{
	uint32_t from = round > ROUNDS_BEFORE ? round - ROUNDS_BEFORE : 0;

	if (n->any && round >= n->from && round + ROUNDS_AFTER / 2 <= n->to)
		return;
	if (round > UINT32_MAX - ROUNDS_AFTER)
		return;
	if (HASH_COUNT(n->entries) > NAMES_MAX) {
		clear(n);
		add_fixed(n);
	}
	for (uint32_t r = from; r <= round + ROUNDS_AFTER; r++)
		add_round(n, r);
	n->any = true;
	n->from = from;
	n->to = round + ROUNDS_AFTER;
}

bool obs_key_names_find(const struct obs_key_names *n, const uint8_t key[20],
			char out[OBS_KEY_NAME_LEN], int64_t *round)
{
	uint64_t k = short_key(key);
	struct entry *e;

	HASH_FIND(hh, n->entries, &k, sizeof(k), e);
	out[0] = '\0';
	*round = -1;
	if (!e)
		return false;
	memcpy(out, e->name, sizeof(e->name));
	*round = e->round;
	return true;
}

enum obs_key_kind obs_key_names_kind(const struct obs_key_names *n, const uint8_t key[20])
{
	uint64_t k = short_key(key);
	struct entry *e;

	HASH_FIND(hh, n->entries, &k, sizeof(k), e);
	return e ? e->kind : OBS_KEY_KIND_OTHER;
}

void obs_key_names_want(struct obs_key_names *n, const uint8_t key[20])
{
	if (n->searching)
		return;
	n->searching = true;
	n->wanted = short_key(key);
	n->next = 0;
}

bool obs_key_names_busy(const struct obs_key_names *n)
{
	return n->searching;
}

bool obs_key_names_step(struct obs_key_names *n, uint32_t budget)
{
	char name[16];

	for (; n->searching && budget > 0; budget--, n->next++) {
		snprintf(name, sizeof(name), "%u", n->next);
		if (key_of(name, true) == n->wanted) {
			n->searching = false;
			obs_key_names_learn(n, n->next);
			return true;
		}
		if (n->next >= SEARCH_END)
			n->searching = false; /* the name is another one */
	}
	return false;
}
