// SPDX-License-Identifier: BSD-2-Clause
/* kept.c - see kept.h. */
#include "stream/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream/lines.h"
#include "util/cleanup.h"

#define PUSH_BYTES  (64 * 1024)
#define FRAME_BYTES (OBS_KEPT_ENTRY_MAX + 8)

struct console {
	struct obs_kept *kept;
	struct obs_lines *lines; /* owned */
	int fd;
	uint64_t now;	/* offset of the entry being taken */
	uint64_t entry; /* … of that in which the line without an end starts */
};

struct obs_kept {
	enum obs_kept_format format;
	obs_kept_fn emit;
	void *ctx;
	struct console out, err;
	struct obs_buf part;  /* bytes that are no whole entry yet */
	uint64_t start;	      /* offset of its first byte */
	bool skips;	      /* a line of text longer than an entry may be: up to its end */
	struct obs_buf plain; /* scratch for unescaping */
	uint64_t bad_bytes;
	struct obs_assembly *assembly; /* borrowed, may be NULL */
	size_t counted;		       /* bytes of part, there */
};

static void on_line(void *ctx, const struct obs_line *line)
{
	struct console *c = ctx;

	c->kept->emit(c->kept->ctx, c->fd, line, line->offset >= c->now ? c->now : c->entry);
}

int obs_kept_new(enum obs_kept_format format, size_t line_bytes, obs_kept_fn emit, void *ctx,
		 struct obs_kept **ret)
{
	struct obs_kept *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	*k = (struct obs_kept){ .format = format, .emit = emit, .ctx = ctx };
	k->out = (struct console){ .kept = k, .fd = 1 };
	k->err = (struct console){ .kept = k, .fd = 2 };
	k->part.max_bytes = FRAME_BYTES + PUSH_BYTES;
	k->plain.max_bytes = FRAME_BYTES + PUSH_BYTES;
	r = obs_lines_new(line_bytes, on_line, &k->out, &k->out.lines);
	if (r == 0)
		r = obs_lines_new(line_bytes, on_line, &k->err, &k->err.lines);
	if (r < 0) {
		obs_kept_free(&k);
		return r;
	}
	*ret = k;
	return 0;
}

void obs_kept_set_assembly(struct obs_kept *k, struct obs_assembly *assembly)
{
	k->assembly = assembly;
	obs_lines_set_assembly(k->out.lines, assembly);
	obs_lines_set_assembly(k->err.lines, assembly);
}

static void release(struct obs_kept *k)
{
	obs_buf_free(&k->part);
	obs_assembly_note(k->assembly, &k->part, &k->counted);
}

void obs_kept_free(struct obs_kept **kp)
{
	struct obs_kept *k = *kp;

	if (!k)
		return;
	obs_lines_free(&k->out.lines);
	obs_lines_free(&k->err.lines);
	release(k);
	obs_buf_free(&k->plain);
	free(k);
	*kp = NULL;
}

static void push_text(struct console *c, struct obs_line *meta, bool ends)
{
	obs_lines_push(c->lines, meta);
	if (!ends)
		return;
	meta->offset += meta->text.len;
	meta->text = OBS_SLICE("\n");
	obs_lines_push(c->lines, meta);
}

/* Text stands behind the start of its entry and is shorter than it, so that each of the lines in
 * it (an entry may hold carriage returns) has an offset of its own. */
static void take_entry(struct obs_kept *k, const struct obs_kept_entry *e, uint64_t offset)
{
	struct console *c = e->fd == 2 ? &k->err : &k->out;
	struct obs_line meta = {
		.text = e->text, .offset = offset, .wall_ns = e->wall_ns, .backfilled = true
	};
	uint64_t start;

	c->now = offset;
	push_text(c, &meta, e->ends);
	if (obs_lines_pending(c->lines, &start) && start >= offset)
		c->entry = offset;
}

/* What is no entry is somebody's text all the same. */
static size_t take_text(struct obs_kept *k, struct obs_slice bytes, uint64_t offset)
{
	const char *end = memchr(bytes.p, '\n', bytes.len);
	struct obs_kept_entry e;
	struct obs_slice line;

	if (!end)
		return 0;
	line = obs_slice(bytes.p, (size_t)(end - bytes.p));
	if (k->skips) {
		k->skips = false;
		k->bad_bytes += line.len + 1;
		return line.len + 1;
	}
	if (!obs_kept_text(line, &k->plain, &e))
		e = (struct obs_kept_entry){ .text = line, .ends = true, .fd = 1 };
	take_entry(k, &e, offset);
	return line.len + 1;
}

static size_t take_frame(struct obs_kept *k, struct obs_slice bytes, uint64_t offset)
{
	struct obs_kept_entry e;
	ssize_t n = obs_kept_local(bytes, &e);

	if (n > 0)
		take_entry(k, &e, offset);
	if (n >= 0)
		return (size_t)n;
	k->bad_bytes++; /* look for the next frame byte by byte */
	return 1;
}

static void take_all(struct obs_kept *k)
{
	size_t at = 0, n;

	while (at < k->part.len) {
		struct obs_slice rest = obs_slice(k->part.p + at, k->part.len - at);

		n = k->format == OBS_KEPT_LOCAL ? take_frame(k, rest, k->start + at)
						: take_text(k, rest, k->start + at);
		if (n == 0)
			break;
		at += n;
	}
	obs_buf_drop(&k->part, at);
	k->start += at;
	if (k->part.len > FRAME_BYTES) {
		k->skips = true;
		k->bad_bytes += k->part.len;
		k->start += k->part.len;
		obs_buf_reset(&k->part);
	}
}

void obs_kept_push(struct obs_kept *k, struct obs_slice bytes, uint64_t offset)
{
	if (k->part.len == 0)
		k->start = offset;
	for (size_t at = 0; at < bytes.len;) {
		size_t n = bytes.len - at < PUSH_BYTES ? bytes.len - at : PUSH_BYTES;

		if (obs_buf_push(&k->part, bytes.p + at, n) < 0)
			k->bad_bytes += n;
		at += n;
		take_all(k);
	}
	obs_buf_free(&k->plain);
	if (k->part.len == 0)
		release(k);
	obs_assembly_note(k->assembly, &k->part, &k->counted);
}

bool obs_kept_shed(struct obs_kept *k)
{
	bool out = obs_lines_shed(k->out.lines), err = obs_lines_shed(k->err.lines);

	return out || err;
}

bool obs_kept_reset(struct obs_kept *k)
{
	if (k->skips)
		return false;
	obs_lines_reset(k->out.lines);
	obs_lines_reset(k->err.lines);
	release(k);
	return true;
}

bool obs_kept_pending(const struct obs_kept *k, int fd, struct obs_kept_place *ret)
{
	const struct console *c = fd == 2 ? &k->err : &k->out;

	if (obs_lines_pending(c->lines, &ret->offset)) {
		ret->entry = c->entry;
		return true;
	}
	if (k->part.len > 0)
		*ret = (struct obs_kept_place){ k->start, k->start };
	return k->part.len > 0;
}

bool obs_kept_quiet(struct obs_kept *k)
{
	uint64_t unused;
	bool any = obs_lines_pending(k->out.lines, &unused) ||
		   obs_lines_pending(k->err.lines, &unused);

	obs_lines_flush(k->out.lines);
	obs_lines_flush(k->err.lines);
	return any;
}

void obs_kept_flush(struct obs_kept *k)
{
	obs_kept_quiet(k);
	k->bad_bytes += k->part.len;
	obs_buf_reset(&k->part);
	k->skips = false;
}

uint64_t obs_kept_bad_bytes(const struct obs_kept *k)
{
	return k->bad_bytes;
}

/* Size of the frame that ends at @end; 0 = there is none. */
static size_t frame_before(int fd, uint64_t end)
{
	char tail[4], head[4];
	size_t whole;

	if (end < sizeof(tail) ||
	    pread(fd, tail, sizeof(tail), (off_t)(end - sizeof(tail))) != (ssize_t)sizeof(tail))
		return 0;
	whole = obs_kept_local_size(tail);
	if (whole == 0 || whole > end ||
	    pread(fd, head, sizeof(head), (off_t)(end - whole)) != (ssize_t)sizeof(head))
		return 0;
	return memcmp(head, tail, sizeof(head)) == 0 ? whole : 0;
}

uint64_t obs_kept_tail_start(int fd, uint64_t size, int64_t lines)
{
	uint64_t at = size;

	while (lines-- > 0 && at > 0) {
		size_t n = frame_before(fd, at);

		if (n == 0)
			break;
		at -= n;
	}
	return at;
}
