// SPDX-License-Identifier: BSD-2-Clause
/* chunk.c - see chunk.h. */
#include "store/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define ZSTD_LEVEL 1
/* Smaller bodies gain nothing and would pay for the frame header and the checksum. */
#define ZSTD_MIN_BYTES 128
/* A buffer above this that is mostly unused is given back. */
#define KEEP_BYTES (64 * 1024)

bool obs_chunk_builder_fits(const struct obs_chunk_builder *b, size_t len)
{
	return b->info.n < OBS_CHUNK_EVENTS && b->raw.len + len + 1 <= OBS_CHUNK_BYTES;
}

static int push_index(struct obs_chunk_builder *b, enum obs_event_type type, const char *name,
		      uint64_t wall_ns)
{
	struct obs_chunk_index_entry head = {
		.ts_ns = wall_ns,
		.nth = (uint16_t)b->info.n,
		.type = (uint8_t)type,
		.name_len = (uint8_t)strnlen(name ? name : "", OBS_CHUNK_NAME),
	};
	int r = obs_buf_reserve(&b->index, sizeof(head) + head.name_len);

	if (r < 0)
		return r;
	obs_buf_push(&b->index, &head, sizeof(head));
	return obs_buf_push(&b->index, name, head.name_len);
}

static void note_event(struct obs_chunk_info *info, uint64_t seq, enum obs_event_type type,
		       uint64_t wall_ns)
{
	if (info->n == 0) {
		*info = (struct obs_chunk_info){
			.first_seq = seq,
			.ts_min_ns = wall_ns,
			.ts_max_ns = wall_ns,
		};
	}
	if (wall_ns < info->ts_min_ns)
		info->ts_min_ns = wall_ns;
	if (wall_ns > info->ts_max_ns)
		info->ts_max_ns = wall_ns;
	info->types |= UINT64_C(1) << type;
	info->n++;
}

int obs_chunk_builder_push(struct obs_chunk_builder *b, uint64_t seq, enum obs_event_type type,
			   const char *name, uint64_t wall_ns, struct obs_slice json)
{
	if (obs_buf_reserve(&b->raw, json.len + 1) < 0)
		return -ENOMEM;
	if (type != OBS_EVENT_LOG && push_index(b, type, name, wall_ns) < 0)
		return -ENOMEM;

	obs_buf_push(&b->raw, json.p, json.len);
	obs_buf_push(&b->raw, "\n", 1);
	note_event(&b->info, seq, type, wall_ns);
	return 0;
}

static int compress(struct obs_chunk_builder *b, size_t *ret_len)
{
	size_t bound = ZSTD_compressBound(b->raw.len);
	size_t len;

	if (!b->zstd) {
		b->zstd = ZSTD_createCCtx();
		if (!b->zstd)
			return -ENOMEM;
		ZSTD_CCtx_setParameter(b->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(b->zstd, ZSTD_c_checksumFlag, 1);
	}

	obs_buf_reset(&b->scratch);
	if (obs_buf_reserve(&b->scratch, bound) < 0)
		return -ENOMEM;

	len = ZSTD_compress2(b->zstd, b->scratch.p, bound, b->raw.p, b->raw.len);
	if (ZSTD_isError(len))
		return -ENOMEM;
	*ret_len = len;
	return 0;
}

static void empty_buf(struct obs_buf *buf)
{
	if (buf->cap > KEEP_BYTES && buf->len < buf->cap / 8)
		obs_buf_free(buf);
	obs_buf_reset(buf);
}

static void empty_builder(struct obs_chunk_builder *b)
{
	b->scratch.len = b->raw.len;
	empty_buf(&b->scratch);
	empty_buf(&b->raw);
	empty_buf(&b->index);
	b->info = (struct obs_chunk_info){};
}

int obs_chunk_builder_seal(struct obs_chunk_builder *b, struct obs_chunk **ret)
{
	struct obs_slice body = obs_buf_slice(&b->raw);
	enum obs_codec codec = OBS_CODEC_RAW;
	struct obs_chunk *c;
	size_t len;

	if (b->raw.len >= ZSTD_MIN_BYTES) {
		if (compress(b, &len) < 0)
			return -ENOMEM;
		if (len < b->raw.len) {
			body = obs_slice(b->scratch.p, len);
			codec = OBS_CODEC_ZSTD;
		}
	}

	c = malloc(sizeof(*c) + body.len + b->index.len);
	if (!c)
		return -ENOMEM;

	*c = (struct obs_chunk){
		.info = b->info,
		.codec = codec,
		.body = obs_slice(c->data, body.len),
		.index = obs_slice(c->data + body.len, b->index.len),
	};
	c->info.raw_bytes = b->raw.len;
	memcpy(c->data, body.p, body.len);
	if (b->index.len)
		memcpy(c->data + body.len, b->index.p, b->index.len);

	empty_builder(b);
	*ret = c;
	return 0;
}

void obs_chunk_builder_free(struct obs_chunk_builder *b)
{
	ZSTD_freeCCtx(b->zstd);
	obs_buf_free(&b->raw);
	obs_buf_free(&b->index);
	obs_buf_free(&b->scratch);
	*b = (struct obs_chunk_builder){};
}

const char *obs_chunk_index_next(struct obs_slice *index, struct obs_chunk_index_entry *ret_head)
{
	const char *name = index->p + sizeof(*ret_head);

	if (index->len < sizeof(*ret_head))
		return NULL;

	memcpy(ret_head, index->p, sizeof(*ret_head));
	*index = obs_slice(name + ret_head->name_len,
			   index->len - sizeof(*ret_head) - ret_head->name_len);
	return name;
}

static int decode_zstd(ZSTD_DCtx *zstd, struct obs_slice body, size_t raw_bytes, char *out)
{
	size_t len = ZSTD_decompressDCtx(zstd, out, raw_bytes, body.p, body.len);

	return len == raw_bytes ? 0 : -EBADMSG;
}

static int decode_raw(ZSTD_DCtx *zstd, struct obs_slice body, size_t raw_bytes, char *out)
{
	(void)zstd;

	if (body.len != raw_bytes)
		return -EBADMSG;
	memcpy(out, body.p, raw_bytes);
	return 0;
}

static int (*const decoders[])(ZSTD_DCtx *, struct obs_slice, size_t, char *) = {
	[OBS_CODEC_RAW] = decode_raw,
	[OBS_CODEC_ZSTD] = decode_zstd,
};

int obs_chunk_decode(ZSTD_DCtx *zstd, int64_t codec, struct obs_slice body, int64_t raw_bytes,
		     struct obs_buf *out)
{
	int r;

	if (codec < 0 || (size_t)codec >= ARRAY_LEN(decoders) || raw_bytes <= 0 ||
	    raw_bytes > OBS_CHUNK_BYTES)
		return -EBADMSG;

	obs_buf_reset(out);
	r = obs_buf_reserve(out, (size_t)raw_bytes);
	if (r < 0)
		return r;

	r = decoders[codec](zstd, body, (size_t)raw_bytes, out->p);
	if (r == 0)
		out->len = (size_t)raw_bytes;
	return r;
}
