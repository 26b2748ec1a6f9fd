/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frames.h - one direction of a p2pd socket: from captured writes to the heads of messages.
 *
 * A write is no message: a message can take several writes, a write can hold several, and of each
 * write only the first bytes are captured. The announced lengths tell where messages
 * start; what was not captured is skipped. After a hole that is longer than the message it
 * fell in, the place is found again at the next write that looks like the start of one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/proto.h"

#define OBS_FRAME_HEAD_MAX  512		       /* bytes kept of each message */
#define OBS_FRAME_BYTES_MAX (16 * 1024 * 1024) /* p2pd refuses what is over 4 MiB */
#define OBS_RAW_BYTES_MAX   (1ULL << 32)

enum obs_framing {
	OBS_FRAMING_VARINT, /* varint length, protobuf */
	OBS_FRAMING_RAW,    /* of an open stream: marker byte, 8-byte big-endian length, bytes */
};

/* A whole message, or what was captured of it. */
struct obs_frame {
	struct obs_head body; /* borrowed for the call */
	uint8_t marker;	      /* RAW: 0 a message, 1 the end or an error */
	uint64_t started_ns;  /* when the write with its first byte ended */
	uint64_t ended_ns;    /* when the write with its last byte ended */
};

struct obs_frames {
	enum obs_framing framing; /* may be changed from within on_frame */
	bool synced;
	bool seen_any;
	uint64_t next;	   /* position in the stream of the first byte not seen yet */
	uint64_t body_len; /* of the message under way */
	uint64_t body_left;
	uint64_t started_ns;
	uint32_t have; /* bytes in head */
	uint8_t length_have;
	uint8_t length[OBS_VARINT_MAX]; /* of the length under way */
	bool head_broken;		/* a part of it was not captured: no more is added */
	uint8_t head[OBS_FRAME_HEAD_MAX];
	uint64_t lost_bytes; /* skipped in search of the next message, since the start */
	uint64_t resyncs;    /* times that the place was lost after it had been known */
	uint64_t raw_bytes;  /* while it is RAW: all that passed, lengths and holes too */
};

/** typedef obs_frame_fn - a message has ended. */
typedef void (*obs_frame_fn)(void *ctx, struct obs_frames *f, const struct obs_frame *frame);

/**
 * obs_frames_push() - the next captured write.
 * @f:        zeroed at the start, but for framing
 * @at:       position of its first byte in the stream, as the probe counts it
 * @fresh:    the probe counts from here: nothing is known of what was before
 * @in:       what was captured of it, and how long it was
 * @on_frame: called for each message that ends in it
 */
void obs_frames_push(struct obs_frames *f, uint64_t at, bool fresh, struct obs_head in,
		     uint64_t ts_ns, obs_frame_fn on_frame, void *ctx);
