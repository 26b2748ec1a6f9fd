// SPDX-License-Identifier: BSD-2-Clause
/* cursors.c - see cursors.h. */
#include "store/cursors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define MIN_ENTRIES 16

static bool same_file(const struct obs_file_id *a, const struct obs_file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->gen == b->gen;
}

/* The slot that holds @file, or the free one where it belongs. */
static uint32_t *find_slot(const struct obs_pending_cursors *set, const struct obs_file_id *file)
{
	uint64_t key[2] = { file->ino, (uint64_t)file->dev << 32 | file->gen };
	size_t i = XXH3_64bits(key, sizeof(key)) & (set->n_slots - 1);

	while (set->slots[i] && !same_file(&set->v[set->slots[i] - 1].cursor.file, file))
		i = (i + 1) & (set->n_slots - 1);
	return &set->slots[i];
}

static int grow(struct obs_pending_cursors *set)
{
	size_t cap = set->cap ? set->cap * 2 : MIN_ENTRIES;
	uint32_t *slots;
	void *v;

	if (set->cap >= OBS_CURSORS_MAX)
		return -ENOBUFS;

	v = realloc(set->v, cap * sizeof(*set->v));
	if (!v)
		return -ENOMEM;
	set->v = v;

	slots = calloc(cap * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;

	free(set->slots);
	set->slots = slots;
	set->n_slots = cap * 2;
	set->cap = cap;
	for (size_t i = 0; i < set->n; i++)
		*find_slot(set, &set->v[i].cursor.file) = (uint32_t)i + 1;
	return 0;
}

int obs_pending_cursors_push(struct obs_pending_cursors *set, const struct obs_pending_cursor *c)
{
	uint32_t *slot = set->n_slots ? find_slot(set, &c->cursor.file) : NULL;
	int r;

	if (slot && *slot) {
		set->v[*slot - 1] = *c;
		return 0;
	}

	if (set->n == set->cap) {
		r = grow(set);
		if (r < 0)
			return r;
	}

	slot = find_slot(set, &c->cursor.file);
	set->v[set->n] = *c;
	*slot = (uint32_t)++set->n;
	return 0;
}

const struct obs_pending_cursor *obs_pending_cursors_find(const struct obs_pending_cursors *set,
							  const struct obs_file_id *file)
{
	uint32_t *slot = set->n_slots ? find_slot(set, file) : NULL;

	return slot && *slot ? &set->v[*slot - 1] : NULL;
}

void obs_pending_cursors_reset(struct obs_pending_cursors *set)
{
	if (set->n == 0)
		return;
	set->n = 0;
	memset(set->slots, 0, set->n_slots * sizeof(*set->slots));
}

void obs_pending_cursors_free(struct obs_pending_cursors *set)
{
	free(set->v);
	free(set->slots);
	*set = (struct obs_pending_cursors){};
}
