/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * dials.bpf.h - which socket a thread has sent off last, and what all TCP of a node adds up to: what
 * the two programs share that see connects, by the socket's state and by the call's result.
 */
#pragma once

#include "emit.bpf.h"

static __always_inline struct obs_dial *dial_of(__u32 tid)
{
	__u32 index = tid % OBS_DIALS_MAX;

	return bpf_map_lookup_elem(&dialled, &index);
}

static __always_inline void obs_dial_note(__u64 sock)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct obs_dial *d = dial_of(tid);

	if (!d)
		return;
	d->sock = sock;
	d->tid = tid;
}

/* The socket that the current thread has sent off since it was asked last, or 0. */
static __always_inline __u64 obs_dial_take(void)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct obs_dial *d = dial_of(tid);

	if (!d || d->tid != tid)
		return 0;
	d->tid = 0;
	return d->sock;
}

static __always_inline struct obs_tcp_total *obs_total_of(__u32 target)
{
	return bpf_map_lookup_elem(&tcp_totals, &target);
}

/* Atomic though it is this CPU's own: a change of state in a process may be interrupted by one in
 * a softirq. */
static __always_inline void obs_add(__u64 *count, __u64 n)
{
	if (n)
		__sync_fetch_and_add(count, n);
}
