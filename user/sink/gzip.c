// SPDX-License-Identifier: BSD-2-Clause
/* gzip.c - see gzip.h. zlib's 256 KiB of state live only during the call. */
#include "sink/gzip.h"

#include <errno.h>

#include <zlib.h>

#include "util/cleanup.h"

static void deflate_end(z_stream *z)
{
	deflateEnd(z);
}

int obs_gzip(struct obs_slice in, struct obs_buf *out)
{
	OBS_CLEANUP(deflate_end) z_stream z = {};
	size_t bound;

	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;

	bound = deflateBound(&z, in.len);
	if (obs_buf_reserve(out, bound) < 0)
		return -ENOMEM;

	z.next_in = (Bytef *)in.p;
	z.avail_in = (uInt)in.len;
	z.next_out = (Bytef *)out->p + out->len;
	z.avail_out = (uInt)bound;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		return -ENOMEM;
	out->len += z.total_out;
	return 0;
}
