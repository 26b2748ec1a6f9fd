// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes on a p2pd socket, as hostile as they come: the first bytes of each say how it is
 * captured, the rest is what is written.
 */
#include "fuzz.h"

#include "parse/frames.h"

static void on_frame(void *ctx, struct obs_frames *f, const struct obs_frame *frame)
{
	unsigned *n = ctx;

	fuzz_check(frame->body.have <= OBS_FRAME_HEAD_MAX);
	fuzz_check(frame->body.have <= frame->body.len);
	fuzz_check(frame->started_ns <= frame->ended_ns);
	for (size_t i = 0; i < frame->body.have; i++)
		*n += (uint8_t)frame->body.p[i]; /* every byte is there */
	if (frame->body.have > 1 && frame->body.p[1] == 'r')
		f->framing = OBS_FRAMING_RAW;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct obs_frames f = { .framing = size && data[0] & 1 ? OBS_FRAMING_RAW
							       : OBS_FRAMING_VARINT };
	uint64_t at = 0, ns = 0;
	unsigned n = 0;

	while (size >= 4) {
		size_t have = data[1];
		uint64_t len;
		cleanup_free char *p = NULL;

		if (have > size - 4)
			have = size - 4;
		len = have + (data[2] & 0x3f) * (data[2] & 0x40 ? 1000U : 1U);
		at += data[0] & 2 ? data[3] : 0;
		p = fuzz_copy(data + 4, have);
		obs_frames_push(&f, at, data[0] & 4, obs_head(p, have, len), ++ns, on_frame, &n);
		fuzz_check(f.next == at + len);
		fuzz_check(f.have <= OBS_FRAME_HEAD_MAX);
		at += len;
		data += 4 + have;
		size -= 4 + have;
	}
	return 0;
}
