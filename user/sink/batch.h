/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch.h - the events of one request, and its parts when it must be split.
 *
 * The current part is events lo…hi-1. Splitting halves it and remembers the
 * rest, so that after a bad event was found the good ones behind it go out in
 * parts that grow again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/slice.h"

#define OBS_BATCH_EVENTS_MAX 65536
#define OBS_BATCH_BYTES_MAX  ((size_t)64 << 20)

struct obs_batch_event {
	uint64_t seq;
	size_t off, len; /* in text */
};

struct obs_batch {
	size_t max_events, max_bytes; /* of the body; set by the owner */
	struct obs_buf text;
	struct obs_batch_event *v; /* owned, n entries */
	size_t n, cap;
	bool full;	 /* a limit is reached */
	size_t lo, hi;	 /* current part */
	size_t ends[32]; /* of the parts behind it, innermost last */
	size_t n_ends;
};

/**
 * obs_batch_push() - add an event; the first one always fits.
 *
 * Return: 0, -ENOSPC when it would pass a limit, -ENOMEM.
 */
int obs_batch_push(struct obs_batch *b, uint64_t seq, struct obs_slice json);

/** obs_batch_start() - make all events the current part. */
void obs_batch_start(struct obs_batch *b);

/** obs_batch_split() - halve the current part. Return: false when it is one event. */
bool obs_batch_split(struct obs_batch *b);

/** obs_batch_advance() - go to the part behind the current one. Return: false at the end. */
bool obs_batch_advance(struct obs_batch *b);

/** obs_batch_event() - event @i's JSON, borrowed until the next push. */
static inline struct obs_slice obs_batch_event(const struct obs_batch *b, size_t i)
{
	return obs_slice(b->text.p + b->v[i].off, b->v[i].len);
}

/**
 * obs_batch_key() - the name of the current part, the same whenever it is sent.
 * @store_id: of the store the events are from
 * @sink:     name of the sink
 * @ret:      32 hex digits and NUL
 */
void obs_batch_key(const struct obs_batch *b, uint64_t store_id, const char *sink, char ret[33]);

/** obs_batch_reset() - empty it and keep the memory. */
void obs_batch_reset(struct obs_batch *b);

/** obs_batch_free() - empty it and release the memory. */
void obs_batch_free(struct obs_batch *b);
