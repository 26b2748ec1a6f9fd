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

static __always_inline void obs_join(__u32 tgid, const struct obs_target_value *target)
{
	__u64 *word = member_word(tgid);

	if (bpf_map_update_elem(&targets, &tgid, target, BPF_ANY) < 0)
		obs_drop(OBS_DROP_MAP, 1);
	else if (word)
		__sync_fetch_and_or(word, 1ULL << (tgid % 64));
}

static __always_inline void obs_leave(__u32 tgid)
{
	__u64 *word = member_word(tgid);

	bpf_map_delete_elem(&targets, &tgid);
	if (word)
		__sync_fetch_and_and(word, ~(1ULL << (tgid % 64)));
}
