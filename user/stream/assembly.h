/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assembly.h - memory of lines that have no end yet, of all streams together.
 *
 * Whoever keeps bytes counts them here; that it is too much is for the stream to act on: what
 * stands in a file is put off and read again, a console's line is split. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/buf.h"

struct obs_assembly {
	size_t max_bytes;
	size_t used_bytes; /* may pass the maximum while one stream is at work */
};

/** obs_assembly_note() - @b has grown, or was freed. *@counted: what is counted of it so far. */
static inline void obs_assembly_note(struct obs_assembly *a, const struct obs_buf *b,
				     size_t *counted)
{
	if (!a)
		return;
	a->used_bytes += b->cap - *counted;
	*counted = b->cap;
}
