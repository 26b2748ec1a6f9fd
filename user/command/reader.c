// SPDX-License-Identifier: BSD-2-Clause
/* reader.c - see reader.h. gzip is told by its magic, also on a pipe; members may follow. */
#include "command/reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK_BYTES (32 * 1024)
#define GZIP_WINDOW (15 + 16)

struct obs_reader {
	int fd;
	bool begun, gzip, end;
	bool inside; /* of a gzip member that has not ended */
	uint64_t taken;
	z_stream z;
	char in[CHUNK_BYTES], out[CHUNK_BYTES];
};

int obs_reader_open(int fd, struct obs_reader **ret)
{
	struct obs_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	*ret = r;
	return 0;
}

void obs_reader_free(struct obs_reader **r)
{
	if (!*r)
		return;
	if ((*r)->gzip)
		inflateEnd(&(*r)->z);
	free(*r);
	*r = NULL;
}

static ssize_t read_some(struct obs_reader *r)
{
	ssize_t n;

	do {
		n = read(r->fd, r->in, sizeof(r->in));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->taken += (uint64_t)n;
	return n;
}

static int begin(struct obs_reader *r, size_t n)
{
	r->begun = true;
	if (n < 2 || (unsigned char)r->in[0] != 0x1f || (unsigned char)r->in[1] != 0x8b)
		return 0;
	if (inflateInit2(&r->z, GZIP_WINDOW) != Z_OK)
		return -ENOMEM;
	r->gzip = true;
	return 0;
}

static int refill(struct obs_reader *r)
{
	ssize_t n = read_some(r);
	int err;

	if (n < 0)
		return (int)n;
	if (!r->begun) {
		err = begin(r, (size_t)n);
		if (err)
			return err;
	}
	r->end = n == 0;
	r->z.next_in = (Bytef *)r->in;
	r->z.avail_in = (uInt)n;
	return 0;
}

/* One step of inflate; @r->in has bytes. Return: 0 or -EBADMSG. */
static int inflate_some(struct obs_reader *r)
{
	int z = inflate(&r->z, Z_NO_FLUSH);

	r->inside = z != Z_STREAM_END;
	if (z == Z_STREAM_END)
		return inflateReset(&r->z) == Z_OK ? 0 : -EBADMSG;
	return z == Z_OK || z == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static int next_inflated(struct obs_reader *r, struct obs_slice *ret)
{
	int err = 0;

	r->z.next_out = (Bytef *)r->out;
	r->z.avail_out = sizeof(r->out);
	while (!err && r->z.avail_out && !r->end) {
		if (r->z.avail_in)
			err = inflate_some(r);
		else
			err = refill(r);
	}
	*ret = obs_slice(r->out, sizeof(r->out) - r->z.avail_out);
	if (!err && !ret->len && r->inside)
		return -EBADMSG; /* cut short */
	return err ? err : ret->len > 0;
}

int obs_reader_next(struct obs_reader *r, struct obs_slice *ret)
{
	int err;

	if (r->gzip)
		return next_inflated(r, ret);
	err = refill(r);
	if (err || r->end)
		return err;
	if (r->gzip)
		return next_inflated(r, ret);
	*ret = obs_slice(r->in, r->z.avail_in);
	return 1;
}

uint64_t obs_reader_taken(const struct obs_reader *r)
{
	return r->taken;
}
