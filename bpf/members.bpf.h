/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * members.bpf.h - does a process belong to a node, and to which?
 *
 * The bit is looked at first: almost every caller on a host is nobody's.
 */
#pragma once

#include "emit.bpf.h"

static __always_inline __u64 *member_word(__u32 tgid)
{
	__u32 index = tgid / 64;

	return bpf_map_lookup_elem(&members, &index);
}

static __always_inline struct obs_target_value *obs_target_of(__u32 tgid)
{
	__u64 *word = member_word(tgid);

	if (word && !(*word & (1ULL << (tgid % 64))))
		return NULL;
	return bpf_map_lookup_elem(&targets, &tgid);
}

static __always_inline __u64 *recent_answer(__u32 tgid)
{
	__u32 index = tgid % OBS_RECENT_MAX;

	return bpf_map_lookup_elem(&recent, &index);
}

/* The slot of the node that @tgid belongs to, or 0: for hooks that fire at every write. */
static __always_inline __u32 obs_slot_of(__u32 tgid)
{
	__u64 *word = member_word(tgid), *known;
	struct obs_target_value *target;

	if (word && !(*word & (1ULL << (tgid % 64))))
		return 0;
	known = recent_answer(tgid);
	if (known && *known >> 32 == tgid)
		return *known;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (!target)
		return 0;
	if (known)
		*known = (__u64)tgid << 32 | target->target;
	return target->target;
}

static __always_inline void forget_answer(__u32 tgid)
{
	__u64 *known = recent_answer(tgid);

	if (known)
		*known = 0;
}

static __always_inline void obs_join(__u32 tgid, const struct obs_target_value *target)
{
	__u64 *word = member_word(tgid);

	if (bpf_map_update_elem(&targets, &tgid, target, BPF_ANY) < 0)
		obs_drop(OBS_DROP_MAP, 1);
	else if (word)
		__sync_fetch_and_or(word, 1ULL << (tgid % 64));
	forget_answer(tgid);
}

static __always_inline void obs_leave(__u32 tgid)
{
	__u64 *word = member_word(tgid);

	bpf_map_delete_elem(&targets, &tgid);
	if (word)
		__sync_fetch_and_and(word, ~(1ULL << (tgid % 64)));
	forget_answer(tgid);
}
