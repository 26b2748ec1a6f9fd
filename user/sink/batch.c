// SPDX-License-Identifier: BSD-2-Clause
/* batch.c - see batch.h. */
#include "sink/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

/* What a JSON array adds: a comma or bracket per event, and one more. */
static size_t body_bytes(const struct obs_batch *b, size_t more_events, size_t more_bytes)
{
	return b->text.len + more_bytes + b->n + more_events + 1;
}

static int reserve_event(struct obs_batch *b)
{
	size_t cap = b->cap ? b->cap * 2 : 16;
	void *v;

	if (b->n < b->cap)
		return 0;
	v = realloc(b->v, cap * sizeof(*b->v));
	if (!v)
		return -ENOMEM;
	b->v = v;
	b->cap = cap;
	return 0;
}

int obs_batch_push(struct obs_batch *b, uint64_t seq, struct obs_slice json)
{
	if (b->n && (b->n >= b->max_events || body_bytes(b, 1, json.len) > b->max_bytes)) {
		b->full = true;
		return -ENOSPC;
	}
	if (reserve_event(b) < 0)
		return -ENOMEM;

	b->v[b->n] = (struct obs_batch_event){ seq, b->text.len, json.len };
	if (obs_buf_push(&b->text, json.p, json.len) < 0)
		return -ENOMEM;
	b->n++;
	b->full = b->n >= b->max_events || body_bytes(b, 0, 0) >= b->max_bytes;
	return 0;
}

void obs_batch_start(struct obs_batch *b)
{
	b->lo = 0;
	b->hi = b->n;
	b->n_ends = 0;
}

bool obs_batch_split(struct obs_batch *b)
{
	if (b->hi - b->lo <= 1)
		return false;
	b->ends[b->n_ends++] = b->hi;
	b->hi = b->lo + (b->hi - b->lo + 1) / 2;
	return true;
}

bool obs_batch_advance(struct obs_batch *b)
{
	b->lo = b->hi;
	if (b->n_ends == 0)
		return false;
	b->hi = b->ends[--b->n_ends];
	return true;
}

void obs_batch_key(const struct obs_batch *b, uint64_t store_id, const char *sink, char ret[33])
{
	uint64_t id[] = { store_id, b->v[b->lo].seq, b->v[b->hi - 1].seq, b->hi - b->lo };
	XXH64_hash_t seed = XXH3_64bits(sink, strlen(sink));
	XXH128_hash_t h = XXH3_128bits_withSeed(id, sizeof(id), seed);

	snprintf(ret, 33, "%016llx%016llx", (unsigned long long)h.high64,
		 (unsigned long long)h.low64);
}

void obs_batch_reset(struct obs_batch *b)
{
	obs_buf_reset(&b->text);
	b->n = b->lo = b->hi = b->n_ends = 0;
	b->full = false;
}

void obs_batch_free(struct obs_batch *b)
{
	obs_batch_reset(b);
	obs_buf_free(&b->text);
	free(b->v);
	b->v = NULL;
	b->cap = 0;
}
