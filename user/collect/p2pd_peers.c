// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_peers.c - see p2pd_peers.h. The hash keeps its entries in the order of use. */
#include "collect/p2pd_peers.h"

#include <errno.h>
#include <stdlib.h>

#include <uthash.h>

#include "parse/peerid.h"

struct entry {
	char id[OBS_PEER_ID_BYTES_MAX];
	struct obs_p2p_peer peer;
	UT_hash_handle hh;
};

struct obs_p2pd_peers {
	struct entry *entries; /* owned hash, least recently heard of first */
	size_t max;
	struct obs_p2p_evicted evicted;
	const struct obs_p2p_peer **list; /* owned, max entries */
};

int obs_p2pd_peers_new(size_t max, struct obs_p2pd_peers **ret)
{
	struct obs_p2pd_peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return -ENOMEM;
	peers->max = max;
	*ret = peers;
	return 0;
}

static void drop(struct obs_p2pd_peers *peers, struct entry *e)
{
	struct obs_p2p_pair *next;

	for (struct obs_p2p_pair *pair = e->peer.pairs; pair; pair = next) {
		next = pair->next;
		free(pair);
	}
	HASH_DEL(peers->entries, e);
	free(e);
}

static void evict(struct obs_p2pd_peers *peers)
{
	struct obs_p2p_evicted *ev = &peers->evicted;
	struct entry *e = peers->entries;

	ev->peers++;
	for (int way = 0; way < 2; way++) {
		ev->calls[way] += e->peer.calls[way];
		ev->failed[way] += e->peer.failed[way];
	}
	ev->bytes_sent += e->peer.bytes_sent;
	ev->bytes_received += e->peer.bytes_received;
	drop(peers, e);
}

void obs_p2pd_peers_free(struct obs_p2pd_peers **pp)
{
	struct obs_p2pd_peers *peers = *pp;
	struct entry *e, *next;

	if (!peers)
		return;
	HASH_ITER(hh, peers->entries, e, next)
	{
		drop(peers, e);
	}
	free(peers->list);
	free(peers);
	*pp = NULL;
}

static struct entry *make(struct obs_p2pd_peers *peers, struct obs_slice id, uint64_t now_ns)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	if (HASH_COUNT(peers->entries) >= peers->max)
		evict(peers);
	memcpy(e->id, id.p, id.len);
	e->peer.first_ns = now_ns;
	obs_base58_format(id, e->peer.id, sizeof(e->peer.id));
	return e;
}

struct obs_p2p_peer *obs_p2pd_peers_get(struct obs_p2pd_peers *peers, struct obs_slice id,
					uint64_t now_ns)
{
	struct entry *e;

	if (!obs_peer_id_is_valid(id))
		return NULL;
	HASH_FIND(hh, peers->entries, id.p, (unsigned)id.len, e);
	if (e)
		HASH_DEL(peers->entries, e); /* to the end */
	else
		e = make(peers, id, now_ns);
	if (!e)
		return NULL;
	e->peer.last_ns = now_ns;
	HASH_ADD_KEYPTR(hh, peers->entries, e->id, (unsigned)id.len, e);
	return &e->peer;
}

struct obs_p2p_peer *obs_p2pd_peers_find(struct obs_p2pd_peers *peers, struct obs_slice id)
{
	struct entry *e = NULL;

	if (id.len)
		HASH_FIND(hh, peers->entries, id.p, (unsigned)id.len, e);
	return e ? &e->peer : NULL;
}

struct obs_rpc_numbers *obs_p2pd_peers_pair(struct obs_p2p_peer *peer, unsigned rpc,
					    enum obs_p2p_way way, bool make)
{
	struct obs_p2p_pair *pair;

	for (pair = peer->pairs; pair; pair = pair->next) {
		if (pair->rpc == rpc && pair->way == way)
			return &pair->n;
	}
	if (!make || peer->n_pairs >= OBS_P2P_PAIRS_MAX)
		return NULL;
	pair = calloc(1, sizeof(*pair));
	if (!pair)
		return NULL;
	pair->rpc = rpc;
	pair->way = way;
	pair->next = peer->pairs;
	peer->pairs = pair;
	peer->n_pairs++;
	return &pair->n;
}

const struct obs_p2p_peer *const *obs_p2pd_peers_list(struct obs_p2pd_peers *peers, size_t *n)
{
	struct entry *e;

	*n = 0;
	if (!peers->list)
		peers->list = calloc(peers->max, sizeof(void *));
	for (e = peers->entries; peers->list && e; e = e->hh.next)
		peers->list[(*n)++] = &e->peer;
	return peers->list;
}

const struct obs_p2p_evicted *obs_p2pd_peers_evicted(const struct obs_p2pd_peers *peers)
{
	return &peers->evicted;
}
