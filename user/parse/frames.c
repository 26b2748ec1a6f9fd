// SPDX-License-Identifier: BSD-2-Clause
/* frames.c - see frames.h. */
#include "parse/frames.h"

#include <endian.h>
#include <errno.h>

#define RAW_HEADER_LEN 9
#define CALL_ID_FIELD  "\x0a\x10" /* what a persistent connection's message starts with */

/* The length of a message from its first @n bytes. Return: bytes it takes, 0 = more are needed,
 * or -EBADMSG. */
static int parse_length(enum obs_framing framing, const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t len = 0;
	int r;

	if (framing == OBS_FRAMING_RAW) {
		if (n < RAW_HEADER_LEN)
			return n > 0 && p[0] > 1 ? -EBADMSG : 0;
		memcpy(&len, p + 1, sizeof(len));
		*ret = be64toh(len);
		return p[0] > 1 || *ret > OBS_RAW_BYTES_MAX ? -EBADMSG : RAW_HEADER_LEN;
	}
	r = obs_varint_parse(obs_slice((const char *)p, n), &len);
	if (r > 0 && len > OBS_FRAME_BYTES_MAX)
		return -EBADMSG;
	if (r > 0)
		*ret = len;
	return r;
}

/* --- the place was lost --- */

/* Does the write start with a message? Its length must fit the write, or the message must look
 * like one of a persistent connection. */
static bool looks_like_start(const struct obs_frames *f, struct obs_head in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	uint64_t len = 0;
	int n = in.have ? parse_length(f->framing, p, in.have, &len) : 0;
	uint8_t first;

	if (n <= 0)
		return false;
	if (f->framing == OBS_FRAMING_RAW)
		return (len > 0 || p[0] == 1) &&
		       ((uint64_t)n + len == in.len || in.len == RAW_HEADER_LEN);
	if (len == 0)
		return false;
	if ((size_t)n == in.have)
		return false;
	first = p[n];
	if ((uint64_t)n + len == in.len)
		return first == 0x08 || first == 0x0a;
	return in.have >= (size_t)n + 2 && memcmp(p + n, CALL_ID_FIELD, 2) == 0;
}

static void lose(struct obs_frames *f)
{
	f->resyncs += f->synced;
	f->synced = false;
	f->body_left = f->body_len = 0;
	f->length_have = 0;
	f->have = 0;
	f->head_broken = false;
}

/* --- the place is known --- */

struct push {
	struct obs_frames *f;
	struct obs_head in; /* what is left of the write */
	uint64_t ts_ns;
	obs_frame_fn on_frame;
	void *ctx;
};

static void skip(struct obs_head *in, uint64_t n)
{
	size_t have = n < in->have ? (size_t)n : in->have;

	in->p += have;
	in->have -= have;
	in->len -= n;
}

static void end_message(struct push *p, const char *body, size_t have)
{
	struct obs_frames *f = p->f;
	bool was_raw = f->framing == OBS_FRAMING_RAW;
	struct obs_frame frame = {
		.body = obs_head(body, have, f->body_len),
		.marker = was_raw ? f->length[0] : 0,
		.started_ns = f->started_ns,
		.ended_ns = p->ts_ns,
	};

	f->length_have = 0;
	f->body_left = 0;
	f->have = 0;
	f->head_broken = false;
	p->on_frame(p->ctx, f, &frame);
	if (f->framing == OBS_FRAMING_RAW && !was_raw)
		f->raw_bytes += p->in.len;
}

/* Bytes of the message's length. Return: false when the place is lost. */
static bool take_length(struct push *p)
{
	struct obs_frames *f = p->f;
	int n;

	if (p->in.have == 0)
		return false; /* it was not captured */
	if (f->length_have == 0)
		f->started_ns = p->ts_ns;
	f->length[f->length_have++] = (uint8_t)p->in.p[0];
	skip(&p->in, 1);
	n = parse_length(f->framing, f->length, f->length_have, &f->body_len);
	if (n < 0)
		return false;
	if (n == 0)
		return true;
	f->body_left = f->body_len;
	if (f->body_len == 0)
		end_message(p, "", 0);
	return true;
}

static void keep(struct obs_frames *f, const char *p, size_t have, uint64_t len)
{
	size_t room = OBS_FRAME_HEAD_MAX - f->have, n = have < room ? have : room;

	if (f->head_broken)
		return;
	if (n > 0)
		memcpy(f->head + f->have, p, n);
	f->have += (uint32_t)n;
	if (have < len)
		f->head_broken = true;
}

static void take_body(struct push *p)
{
	struct obs_frames *f = p->f;
	uint64_t n = p->in.len < f->body_left ? p->in.len : f->body_left;
	size_t have = p->in.have < n ? p->in.have : (size_t)n;
	const char *start = p->in.p;

	if (f->body_left == f->body_len && n == f->body_len) {
		/* all of it in this write: no copy */
		skip(&p->in, n);
		end_message(p, start, have < OBS_FRAME_HEAD_MAX ? have : OBS_FRAME_HEAD_MAX);
		return;
	}
	keep(f, start, have, n);
	skip(&p->in, n);
	f->body_left -= n;
	if (f->body_left == 0)
		end_message(p, (const char *)f->head, f->have);
}

/* Is the message's length known and its body under way? */
static bool in_body(const struct obs_frames *f)
{
	return f->body_left > 0;
}

/* Bytes that nobody showed us: harmless inside of one message. */
static void pass_hole(struct obs_frames *f, uint64_t missing)
{
	if (!f->synced || !in_body(f) || missing >= f->body_left) {
		lose(f);
		return;
	}
	f->head_broken = true;
	f->body_left -= missing;
}

void obs_frames_push(struct obs_frames *f, uint64_t at, bool fresh, struct obs_head in,
		     uint64_t ts_ns, obs_frame_fn on_frame, void *ctx)
{
	struct push p = { .f = f, .in = in, .ts_ns = ts_ns, .on_frame = on_frame, .ctx = ctx };

	if (in.have > in.len)
		return;
	if (fresh || at < f->next || !f->seen_any)
		lose(f);
	else if (at > f->next)
		pass_hole(f, at - f->next);
	if (f->framing == OBS_FRAMING_RAW)
		f->raw_bytes += in.len + (!fresh && f->seen_any && at > f->next ? at - f->next : 0);
	f->seen_any = true;
	f->next = at + in.len;

	if (!f->synced)
		f->synced = looks_like_start(f, in);
	while (f->synced && p.in.len > 0) {
		if (in_body(f))
			take_body(&p);
		else if (!take_length(&p))
			lose(f);
	}
	if (!f->synced)
		f->lost_bytes += p.in.len;
}
