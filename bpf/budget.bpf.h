/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * budget.bpf.h - no node may fill the ring alone.
 */
#pragma once

#include "emit.bpf.h"

/* May this target put @bytes more into the ring during this drain? */
static __always_inline int within_budget(__u32 target, __u64 bytes, struct obs_control *c)
{
	struct obs_budget *b = bpf_map_lookup_elem(&budgets, &target);

	if (!b)
		return 0;
	if (b->drain != c->drain) {
		b->drain = c->drain;
		b->bytes = 0;
	}
	if (b->bytes + bytes > c->budget_bytes)
		return 0;
	__sync_fetch_and_add(&b->bytes, bytes);
	return 1;
}
