/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * death.bpf.h - what the kernel did to a process before it ended.
 *
 * death.bpf.c notes it, per process; the exit hook of process.bpf.c sends it, so that one
 * death is one pair of records however many signals came before.
 */
#pragma once

#include "emit.bpf.h"
#include <bpf/bpf_core_read.h>

#define NOTES_MAX 2048

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NOTES_MAX);
	__type(key, __u32); /* tgid */
	__type(value, struct obs_rec_death);
} notes SEC(".maps");

/* As wait(2) gives it: the group's, where one call or signal ended all threads, else the
 * leader's own (do_exit() of the last thread, and wait_task_zombie()). */
static __always_inline __s32 obs_group_exit_code(struct task_struct *task)
{
	struct signal_struct___flags *how = (void *)BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(how, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(task, signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

static __always_inline void obs_tell_death(__u32 tgid, __u32 slot, struct obs_control *c)
{
	struct obs_rec_death *note = bpf_map_lookup_elem(&notes, &tgid);

	if (!note)
		return;
	note->target = slot;
	obs_header(&note->hdr, OBS_REC_DEATH, sizeof(*note));
	if (bpf_ringbuf_output(&events, note, sizeof(*note), obs_wakeup(c)) < 0)
		obs_drop(OBS_DROP_RING_PROCESS, 1);
	bpf_map_delete_elem(&notes, &tgid);
}
