/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proto.h - the protobuf wire format, read field by field.
 *
 * Works on the head of a message too: what was captured of it, and how long it is. Nothing is
 * allocated or copied; all text is hostile and every length is checked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

#define OBS_VARINT_MAX 10 /* bytes */

/* The first bytes of something that may be longer. */
struct obs_head {
	const char *p; /* borrowed */
	size_t have;   /* bytes that are there */
	uint64_t len;  /* bytes that it has; ≥ have */
};

static inline struct obs_head obs_head(const char *p, size_t have, uint64_t len)
{
	return (struct obs_head){ p, have, len };
}

static inline struct obs_head obs_head_whole(struct obs_slice s)
{
	return (struct obs_head){ s.p, s.len, s.len };
}

static inline struct obs_slice obs_head_slice(struct obs_head h)
{
	return obs_slice(h.p, h.have);
}

/**
 * obs_varint_parse() - an unsigned LEB128 number at the start of @in.
 * @ret: written only when it is complete
 *
 * Return: bytes it takes, 0 when more bytes are needed, -EBADMSG past 64 bits.
 */
int obs_varint_parse(struct obs_slice in, uint64_t *ret);

enum obs_wire_type {
	OBS_WIRE_VARINT = 0,
	OBS_WIRE_I64 = 1,
	OBS_WIRE_LEN = 2,
	OBS_WIRE_I32 = 5,
};

struct obs_proto_field {
	uint32_t number;
	enum obs_wire_type wire;
	uint64_t value;	       /* VARINT, I64, I32 */
	struct obs_head bytes; /* LEN; have < len: the head was cut inside of it */
};

/* A walk over the fields of one message. */
struct obs_proto {
	struct obs_head in;
	size_t at;
	bool cut; /* the end of what is there was met before the end of the message */
};

static inline struct obs_proto obs_proto(struct obs_head in)
{
	return (struct obs_proto){ .in = in };
}

/**
 * obs_proto_next() - the next field, in the order in which they were written.
 *
 * Return: 1 and a field, 0 at the end (w->cut: of what is there), -EBADMSG when this is no
 * protobuf message.
 */
int obs_proto_next(struct obs_proto *w, struct obs_proto_field *ret);

/** obs_proto_double() - the value of an I64 field as the double it stands for. */
double obs_proto_double(uint64_t value);
