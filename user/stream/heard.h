/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heard.h - what was captured of a container's output and not yet met in its engine's file.
 *
 * The file is read a while later. A line of it that was captured is taken off here; what is left
 * of the file was not captured. Writers share a pipe: a line there may be made of pieces of several
 * writes, by several processes, so pieces of writes are kept, not lines: hashes of them.
 * Bounded; the oldest pieces go first, and lines of that time are not told apart any more.
 * Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/slice.h"

struct obs_heard;

/** obs_heard_new() - @max_pieces are kept at most. Return: 0 or -ENOMEM. */
int obs_heard_new(size_t max_pieces, struct obs_heard **ret);
void obs_heard_free(struct obs_heard **h);

/** obs_heard_write() - one captured write, or a part of one; @writer: the caller's, see
 * obs_heard_save(); @wall_ns: when. */
void obs_heard_write(struct obs_heard *h, uint16_t writer, struct obs_slice bytes,
		     uint64_t wall_ns);

/** obs_heard_next() - number of the next piece; a write is one more piece than it has line ends,
 * or as many where it ends in one. */
uint32_t obs_heard_next(const struct obs_heard *h);

/** obs_heard_set_unsure() - what was captured up to @wall_ns is not known. */
void obs_heard_set_unsure(struct obs_heard *h, uint64_t wall_ns);

enum obs_heard_answer {
	OBS_HEARD_NOT,	  /* it was not captured, or not all of it */
	OBS_HEARD_YES,	  /* it was; its pieces are taken off */
	OBS_HEARD_UNSURE, /* pieces of that time had to go: nobody knows */
};

/**
 * obs_heard_take() - was this line of the engine's file captured?
 * @cut:     the line was longer than we keep lines
 * @wall_ns: when the engine read it; 0 = unknown. Grows from call to call
 */
enum obs_heard_answer obs_heard_take(struct obs_heard *h, struct obs_slice line, bool cut,
				     uint64_t wall_ns);

/** obs_heard_count() - pieces that are kept. */
size_t obs_heard_count(const struct obs_heard *h);

#define OBS_HEARD_BLOCK 256 /* pieces that are saved together */

struct obs_heard_blocks {
	uint32_t first, end; /* of the blocks that hold pieces; they never come back */
};

/** obs_heard_blocks() - only the last one still changes, but for what is taken off. */
void obs_heard_blocks(const struct obs_heard *h, struct obs_heard_blocks *ret);

/**
 * obs_heard_save() - the pieces of @block, to be handed to obs_heard_load().
 * @waits: is piece @seq of @writer not in an event yet? Then it is left out
 * @out:   appended to
 */
void obs_heard_save(const struct obs_heard *h, uint32_t block,
		    bool (*waits)(void *ctx, uint16_t writer, uint32_t seq), void *ctx,
		    struct obs_buf *out);

/** obs_heard_load() - pieces of an earlier run, those captured before @since_ns left out. */
void obs_heard_load(struct obs_heard *h, struct obs_slice saved, uint64_t since_ns);
