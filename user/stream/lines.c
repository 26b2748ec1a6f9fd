// SPDX-License-Identifier: BSD-2-Clause
/*
 * lines.c - see lines.h.
 *
 * A line that lies whole in one push is passed on where it lies; only what has no
 * end yet is copied. After a cut, bytes are skipped up to the line's end, so that
 * memory stays at one line whatever comes.
 */
#include "stream/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "util/buf.h"
#include "util/cleanup.h"

#define LINE_MIN_BYTES 16

struct obs_lines {
	size_t max_line_bytes;
	obs_lines_fn emit;
	void *ctx;
	struct obs_buf part;  /* a line without its end */
	struct obs_line meta; /* of the push that brought the last bytes; text unused */
	uint64_t start;	      /* offset of part's first byte */
	bool open;	      /* part holds a line, perhaps of zero bytes so far */
	bool cut;	      /* part is full or lost: skip to the line's end */
	bool shed;	      /* … and was passed on already */
	bool after_cr;	      /* a \n that comes next belongs to the \r before it */
	uint64_t n_cut;
	struct obs_assembly *assembly; /* borrowed, may be NULL */
	size_t counted;		       /* bytes, there */
};

int obs_lines_new(size_t max_line_bytes, obs_lines_fn emit, void *ctx, struct obs_lines **ret)
{
	struct obs_lines *l;

	if (max_line_bytes < LINE_MIN_BYTES)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->max_line_bytes = max_line_bytes;
	l->part.max_bytes = max_line_bytes;
	l->emit = emit;
	l->ctx = ctx;
	*ret = l;
	return 0;
}

void obs_lines_set_assembly(struct obs_lines *l, struct obs_assembly *assembly)
{
	l->assembly = assembly;
}

/* Where memory is counted, what is not needed is given back. */
static void release(struct obs_lines *l)
{
	if (l->assembly)
		obs_buf_free(&l->part);
	else
		obs_buf_reset(&l->part);
	obs_assembly_note(l->assembly, &l->part, &l->counted);
}

void obs_lines_free(struct obs_lines **l)
{
	if (!*l)
		return;
	release(*l);
	obs_buf_free(&(*l)->part);
	free(*l);
	*l = NULL;
}

/* The first \n or \r in [p, end), or end. */
static const char *find_end(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)p);
		int hit = _mm_movemask_epi8(
			_mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));

		if (hit)
			return p + __builtin_ctz((unsigned)hit);
	}
#endif
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

static void emit_line(struct obs_lines *l, struct obs_slice text, uint64_t offset, bool cut)
{
	struct obs_line *line = &l->meta;

	if (text.len > l->max_line_bytes) {
		text.len = l->max_line_bytes;
		cut = true;
	}
	l->n_cut += cut;
	line->text = text;
	line->offset = offset;
	line->truncated = cut;
	l->emit(l->ctx, line);
}

static void emit_part(struct obs_lines *l)
{
	if (!l->shed)
		emit_line(l, obs_buf_slice(&l->part), l->start, l->cut);
	release(l);
	l->open = l->cut = l->shed = false;
}

bool obs_lines_shed(struct obs_lines *l)
{
	if (!l->cut || l->shed)
		return false;
	emit_line(l, obs_buf_slice(&l->part), l->start, true);
	release(l);
	l->shed = true;
	return true;
}

/* Keep bytes that have no line end yet; what passes the limit is not kept. */
static int keep(struct obs_lines *l, struct obs_slice s, uint64_t offset)
{
	size_t space;
	int r;

	if (!l->open) {
		l->open = true;
		l->start = offset;
	}
	if (l->cut)
		return 0;
	space = l->max_line_bytes - l->part.len;
	if (s.len > space) {
		l->cut = true;
		s.len = space;
	}
	r = obs_buf_push(&l->part, s.p, s.len);
	if (r < 0) {
		release(l);
		l->cut = true;
	}
	obs_assembly_note(l->assembly, &l->part, &l->counted);
	return r;
}

static int finish_line(struct obs_lines *l, struct obs_slice s, uint64_t offset)
{
	int r = 0;

	if (!l->open) {
		emit_line(l, s, offset, false);
		return 0;
	}
	r = keep(l, s, offset);
	emit_part(l);
	return r;
}

/* A \r\n is one end, also when it came in two pushes. */
static const char *skip_lf(struct obs_lines *l, const char *p, const char *end)
{
	if (l->after_cr && p < end) {
		l->after_cr = false;
		if (*p == '\n')
			p++;
	}
	return p;
}

int obs_lines_push(struct obs_lines *l, const struct obs_line *meta)
{
	const char *base = meta->text.p, *end = base + meta->text.len, *p = base, *e;
	int r = 0, r1;

	l->meta = *meta;
	p = skip_lf(l, p, end);
	while (p < end) {
		e = find_end(p, end);
		if (e == end) {
			r1 = keep(l, obs_slice(p, (size_t)(e - p)),
				  meta->offset + (uint64_t)(p - base));
			return r ? r : r1;
		}
		r1 = finish_line(l, obs_slice(p, (size_t)(e - p)),
				 meta->offset + (uint64_t)(p - base));
		r = r ? r : r1;
		l->after_cr = *e == '\r';
		p = skip_lf(l, e + 1, end);
	}
	return r;
}

bool obs_lines_pending(const struct obs_lines *l, uint64_t *ret_offset)
{
	if (!l->open || l->shed)
		return false;
	*ret_offset = l->start;
	return true;
}

void obs_lines_flush(struct obs_lines *l)
{
	if (l->open)
		emit_part(l);
}

void obs_lines_reset(struct obs_lines *l)
{
	release(l);
	l->open = l->cut = l->shed = l->after_cr = false;
}

uint64_t obs_lines_cut(const struct obs_lines *l)
{
	return l->n_cut;
}
