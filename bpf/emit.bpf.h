/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * emit.bpf.h - how a probe hands a record to user space, or counts that it could not.
 */
#pragma once

#include "maps.bpf.h"

static __always_inline struct obs_control *obs_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

/* Count what goes another way (a mark instead of a payload): nothing has to be repaired. */
static __always_inline void obs_note(__u32 reason, __u64 n)
{
	__u64 *count = bpf_map_lookup_elem(&drops, &reason);

	if (count)
		*count += n; /* per CPU, programs do not nest on it */
}

/* Count a loss, and let user space know that there is something to repair. */
static __always_inline void obs_drop(__u32 reason, __u64 n)
{
	struct obs_control *c = obs_control();

	obs_note(reason, n);
	if (c)
		__sync_fetch_and_add(&c->drops, 1);
}

/* No wakeup per record: the reader drains on a timer while records come, and
 * raises reader_sleeps before it blocks; the first record after that wakes it. */
static __always_inline __u64 obs_wakeup(struct obs_control *c)
{
	if (!c->reader_sleeps)
		return BPF_RB_NO_WAKEUP;
	c->reader_sleeps = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* Where the time is known already: asking for it costs as much as many a record's content. */
static __always_inline void obs_header_at(struct obs_rec_hdr *hdr, __u16 type, __u32 size,
					  __u64 ts_ns)
{
	hdr->version = OBS_WIRE_VERSION;
	hdr->type = type;
	hdr->size = size;
	hdr->ts_ns = ts_ns;
}

static __always_inline void obs_header(struct obs_rec_hdr *hdr, __u16 type, __u32 size)
{
	obs_header_at(hdr, type, size, bpf_ktime_get_boot_ns());
}

/* memset() of this size is no builtin for BPF; the barrier keeps clang from making one. */
static __always_inline void zero_words(__u64 *words, __u32 n)
{
	for (__u32 i = 0; i < n; i++) {
		words[i] = 0;
		barrier();
	}
}

/* A zeroed record of a fixed size, header filled in; NULL after counting the loss.
 * Zeroed because a reservation still holds older records. */
static __always_inline void *obs_reserve_at(__u16 type, __u32 size, __u64 ts_ns)
{
	struct obs_rec_hdr *hdr = bpf_ringbuf_reserve(&events, size, 0);

	if (!hdr) {
		obs_drop(OBS_DROP_RING_PROCESS, 1);
		return NULL;
	}

	zero_words((__u64 *)hdr, size / sizeof(__u64));
	obs_header_at(hdr, type, size, ts_ns);
	return hdr;
}

static __always_inline void *obs_reserve(__u16 type, __u32 size)
{
	return obs_reserve_at(type, size, bpf_ktime_get_boot_ns());
}
