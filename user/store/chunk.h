/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chunk.h - up to 1,000 events as one compressed block.
 *
 * The block holds JSON lines, each with its newline, in order; event i has the
 * sequence number first_seq + i. zstd's checksum is on: a block that the disk
 * has changed does not decode.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <zstd.h>

#include "pipeline/event.h"
#include "util/buf.h"
#include "util/slice.h"

#define OBS_CHUNK_EVENTS 1000
#define OBS_CHUNK_BYTES	 (1024 * 1024) /* of lines, newlines included */
#define OBS_CHUNK_NAME	 63	       /* bytes of an event name that the index keeps */

/* Stored in the database: append, never renumber. */
enum obs_codec {
	OBS_CODEC_RAW = 0,
	OBS_CODEC_ZSTD = 1,
};

struct obs_chunk_info {
	uint64_t first_seq;
	uint64_t n;		       /* events */
	uint64_t ts_min_ns, ts_max_ns; /* of the events' times */
	uint64_t types;		       /* set of 1 << enum obs_event_type */
	uint64_t raw_bytes;	       /* of the lines */
};

/* One row of the history index; kept packed behind the body until it is committed. */
struct obs_chunk_index_entry {
	uint64_t ts_ns;
	uint16_t nth; /* event in the chunk */
	uint8_t type;
	uint8_t name_len;
	uint32_t pad;
	/* name_len bytes of name follow, without NUL */
};

/* A sealed chunk: what one row will hold. Freed with free(). */
struct obs_chunk {
	struct obs_chunk *next; /* sealed after this one */
	struct obs_chunk_info info;
	enum obs_codec codec;
	struct obs_slice body;	/* into data */
	struct obs_slice index; /* into data */
	char data[];
};

/* The chunk that is being filled. All zero is an empty one. */
struct obs_chunk_builder {
	struct obs_chunk_info info;
	struct obs_buf raw, index, scratch;
	ZSTD_CCtx *zstd;
};

/**
 * obs_chunk_builder_fits() - is there room for a line of @len bytes?
 */
bool obs_chunk_builder_fits(const struct obs_chunk_builder *b, size_t len);

/**
 * obs_chunk_builder_push() - add event @seq, which follows the last one pushed.
 *
 * Return: 0, or -ENOMEM; the builder is then as before.
 */
int obs_chunk_builder_push(struct obs_chunk_builder *b, uint64_t seq, enum obs_event_type type,
			   const char *name, uint64_t wall_ns, struct obs_slice json);

/**
 * obs_chunk_builder_seal() - compress what was pushed and empty the builder.
 * @ret: on success, owned by the caller
 *
 * Return: 0, or -ENOMEM; the builder is then as before.
 */
int obs_chunk_builder_seal(struct obs_chunk_builder *b, struct obs_chunk **ret);

/** obs_chunk_builder_free() - release all memory; the builder is then an empty one. */
void obs_chunk_builder_free(struct obs_chunk_builder *b);

/**
 * obs_chunk_index_next() - take the next entry off the front of @index.
 *
 * Return: the entry's name, borrowed, with the rest copied to *@ret_head; NULL at the end.
 */
const char *obs_chunk_index_next(struct obs_slice *index, struct obs_chunk_index_entry *ret_head);

/**
 * obs_chunk_decode() - the lines of a stored body.
 * @raw_bytes: what the row says they have
 * @out:       replaced
 *
 * Return: 0, -EBADMSG when the body is damaged or of an unknown codec, -ENOMEM.
 */
int obs_chunk_decode(ZSTD_DCtx *zstd, int64_t codec, struct obs_slice body, int64_t raw_bytes,
		     struct obs_buf *out);
