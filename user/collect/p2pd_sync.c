// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_sync.c - see p2pd_sync.h. */
#include "collect/p2pd_sync.h"

#include <stdio.h>
#include <string.h>

static struct obs_sync *find(struct obs_syncs *s, const uint8_t *key)
{
	for (size_t i = 0; i < OBS_SYNCS_OPEN; i++) {
		if (s->open[i].used && memcmp(s->open[i].key, key, sizeof(s->open[i].key)) == 0)
			return &s->open[i];
	}
	return NULL;
}

/* A free place, else that of the one which is silent for longest: it is told of too late then. */
static struct obs_sync *make(struct obs_syncs *s, const uint8_t *key, uint64_t ns)
{
	struct obs_sync *o = &s->open[0];

	for (size_t i = 0; i < OBS_SYNCS_OPEN && o->used; i++) {
		if (!s->open[i].used || s->open[i].last_ns < o->last_ns)
			o = &s->open[i];
	}
	*o = (struct obs_sync){ .used = true, .first_ns = ns };
	memcpy(o->key, key, sizeof(o->key));
	return o;
}

static bool took_it(const struct obs_sync *o, uint64_t peer)
{
	for (unsigned i = 0; i < o->n_peers && i < OBS_SYNC_PEERS; i++) {
		if (o->peers[i] == peer)
			return true;
	}
	return false;
}

void obs_syncs_stored(struct obs_syncs *s, const struct obs_sync_step *step)
{
	struct obs_sync *o = find(s, step->key);

	if (!o)
		o = make(s, step->key, step->started_ns);
	o->last_ns = step->ns;
	o->last_wall_ns = step->wall_ns;
	if (step->value_bytes > o->sent_bytes)
		o->sent_bytes = step->value_bytes;
	if (!step->ok) {
		o->refused_by++;
		return;
	}
	if (took_it(o, step->peer))
		return;
	if (o->n_peers < OBS_SYNC_PEERS)
		o->peers[o->n_peers] = step->peer;
	o->n_peers++;
}

void obs_syncs_found(struct obs_syncs *s, const struct obs_sync_step *step)
{
	struct obs_sync *o = find(s, step->key);
	unsigned others = step->items;

	if (!o || !step->ok)
		return; /* only rounds in which this node takes part are exchanges */
	if (others > 0 && took_it(o, step->peer))
		others--; /* our own is in it */
	if (others > o->items)
		o->items = others;
	o->answers++;
	o->received_bytes += step->value_bytes;
	o->last_ns = step->ns;
	o->last_wall_ns = step->wall_ns;
}

static void tell(const struct obs_sync *o, const struct obs_key_names *names, obs_sync_fn fn,
		 void *ctx)
{
	char name[OBS_KEY_NAME_LEN];
	struct obs_swarm_sync sync = {
		.sent_bytes = o->sent_bytes,
		.stored_on = o->n_peers,
		.refused_by = o->refused_by,
		.received_from = o->items,
		.received_bytes = o->received_bytes,
		.duration_ns = o->last_ns - o->first_ns,
		.wall_ns = o->last_wall_ns,
	};

	if (!obs_key_names_find(names, o->key, name, &sync.round)) {
		for (int i = 0; i < 10; i++)
			snprintf(name + 2 * i, 3, "%02x", o->key[i]);
	}
	sync.key = name;
	fn(ctx, &sync);
}

unsigned obs_syncs_end(struct obs_syncs *s, uint64_t before_ns, const struct obs_key_names *names,
		       obs_sync_fn fn, void *ctx)
{
	unsigned n = 0;

	for (size_t i = 0; i < OBS_SYNCS_OPEN; i++) {
		struct obs_sync *o = &s->open[i];

		if (!o->used || o->last_ns >= before_ns)
			continue;
		tell(o, names, fn, ctx);
		o->used = false;
		n++;
	}
	return n;
}
