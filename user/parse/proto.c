// SPDX-License-Identifier: BSD-2-Clause
/* proto.c - see proto.h. */
#include "parse/proto.h"

#include <endian.h>
#include <errno.h>

int obs_varint_parse(struct obs_slice in, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < in.len && i < OBS_VARINT_MAX; i++) {
		uint8_t byte = (uint8_t)in.p[i];

		if (i == OBS_VARINT_MAX - 1 && byte > 1)
			return -EBADMSG;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = v;
			return (int)i + 1;
		}
	}
	return in.len < OBS_VARINT_MAX ? 0 : -EBADMSG;
}

/* The end of what is there. Return: 0, or -EBADMSG when the message had to go on. */
static int at_end(struct obs_proto *w)
{
	if (w->in.have == w->in.len)
		return -EBADMSG;
	w->cut = true;
	w->at = w->in.have;
	return 0;
}

static int take_varint(struct obs_proto *w, uint64_t *ret)
{
	int n = obs_varint_parse(obs_slice(w->in.p + w->at, w->in.have - w->at), ret);

	if (n == 0)
		return at_end(w);
	if (n > 0)
		w->at += (size_t)n;
	return n < 0 ? n : 1;
}

static int take_fixed(struct obs_proto *w, size_t bytes, uint64_t *ret)
{
	uint64_t v = 0;

	if (w->in.len - w->at < bytes)
		return -EBADMSG;
	if (w->in.have - w->at < bytes)
		return at_end(w);
	memcpy(&v, w->in.p + w->at, bytes);
	*ret = le64toh(v);
	w->at += bytes;
	return 1;
}

static int take_bytes(struct obs_proto *w, struct obs_head *ret)
{
	size_t have;
	uint64_t len = 0;
	int r = take_varint(w, &len);

	if (r <= 0)
		return r;
	if (len > w->in.len - w->at)
		return -EBADMSG;
	have = w->in.have - w->at;
	if (have > len)
		have = (size_t)len;
	*ret = obs_head(w->in.p + w->at, have, len);
	w->at += have;
	if (have < len)
		w->cut = true;
	return 1;
}

int obs_proto_next(struct obs_proto *w, struct obs_proto_field *ret)
{
	struct obs_proto_field f = { 0 };
	uint64_t tag = 0;
	int r;

	if (w->cut || w->at == w->in.len)
		return 0;
	r = take_varint(w, &tag);
	if (r <= 0)
		return r;
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return -EBADMSG;
	f.number = (uint32_t)(tag >> 3);
	f.wire = (enum obs_wire_type)(tag & 7);
	if (f.wire == OBS_WIRE_VARINT)
		r = take_varint(w, &f.value);
	else if (f.wire == OBS_WIRE_LEN)
		r = take_bytes(w, &f.bytes);
	else if (f.wire == OBS_WIRE_I64)
		r = take_fixed(w, 8, &f.value);
	else if (f.wire == OBS_WIRE_I32)
		r = take_fixed(w, 4, &f.value);
	else
		r = -EBADMSG; /* groups: nobody writes them any more */
	if (r == 1)
		*ret = f;
	return r;
}

double obs_proto_double(uint64_t value)
{
	double d;

	memcpy(&d, &value, sizeof(d));
	return d;
}
