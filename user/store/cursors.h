/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cursors.h - the cursors that wait for the next commit, newest value per file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/cursor.h"

#define OBS_CURSORS_MAX 65536

struct obs_pending_cursor {
	struct obs_cursor cursor;
	bool drop; /* forget the file; only cursor.file counts */
};

/* All zero is an empty set. */
struct obs_pending_cursors {
	struct obs_pending_cursor *v; /* owned, n entries, in order of their first change */
	size_t n, cap;
	uint32_t *slots; /* owned; open addressing, index into v + 1, 0 = free */
	size_t n_slots;	 /* power of two, at least 2 * cap */
};

/**
 * obs_pending_cursors_push() - remember @c, in place of an earlier value for the same file.
 *
 * Return: 0, -ENOMEM, or -ENOBUFS past OBS_CURSORS_MAX files.
 */
int obs_pending_cursors_push(struct obs_pending_cursors *set, const struct obs_pending_cursor *c);

/** obs_pending_cursors_find() - what waits for @file, borrowed; NULL when nothing does. */
const struct obs_pending_cursor *obs_pending_cursors_find(const struct obs_pending_cursors *set,
							  const struct obs_file_id *file);

/** obs_pending_cursors_reset() - forget all and keep the memory. */
void obs_pending_cursors_reset(struct obs_pending_cursors *set);

/** obs_pending_cursors_free() - release the memory; the set is then an empty one. */
void obs_pending_cursors_free(struct obs_pending_cursors *set);
