// SPDX-License-Identifier: BSD-2-Clause
/* positions.c - see positions.h. */
#include "store/positions.h"

#include <errno.h>
#include <string.h>

struct obs_position *obs_positions_find(struct obs_positions *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].name, name) == 0)
			return &p->v[i];
	}
	return NULL;
}

int obs_positions_push(struct obs_positions *p, const char *name, struct obs_position **ret)
{
	struct obs_position *row = obs_positions_find(p, name);
	size_t len = strlen(name);

	if (len == 0 || len > OBS_POSITION_NAME_MAX)
		return -EINVAL;
	if (!row) {
		if (p->n == OBS_POSITIONS_MAX)
			return -ENOSPC;
		row = &p->v[p->n++];
		memcpy(row->name, name, len + 1);
	}
	*ret = row;
	return 0;
}

bool obs_positions_dirty(const struct obs_positions *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].dirty)
			return true;
	}
	return false;
}

uint64_t obs_positions_missing(const struct obs_positions *p, uint64_t first, uint64_t last)
{
	uint64_t slowest = UINT64_MAX;

	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].registered && p->v[i].seq < slowest)
			slowest = p->v[i].seq;
	}
	if (slowest >= last)
		return 0;
	return slowest < first ? last - first + 1 : last - slowest;
}
