// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * process.bpf.c - which processes belong to a node, and that one started or ended.
 *
 * Hooks: tp_btf/sched_process_{exec,fork,exit}, tp_btf/cgroup_mkdir. Membership is kept here, in the
 * kernel, so that a child's first write is already ours: fork inherits, exec in
 * a target's cgroup joins, the last thread's exit leaves.
 * Cost: exec sends one record for every program started on the host (user space
 * decides by the arguments); fork and exit look up one tgid.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "death.bpf.h"
#include "members.bpf.h"
#include "spent.bpf.h"
#include "walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u32 join_by_cgroup(__u32 tgid, __u64 cgroup)
{
	struct obs_target_value *known = obs_target_of(tgid);

	if (known)
		return known->target;
	known = bpf_map_lookup_elem(&cgroups, &cgroup);
	if (!known)
		return 0;
	obs_join(tgid, known);
	return known->target;
}

static __always_inline __u32 read_args(struct task_struct *task, __u8 *out)
{
	__u64 start = BPF_CORE_READ(task, mm, arg_start);
	__u64 len = BPF_CORE_READ(task, mm, arg_end) - start;

	if (len > OBS_ARGS_LEN)
		len = OBS_ARGS_LEN;
	if (bpf_probe_read_user(out, len, (void *)start) < 0)
		return 0;
	return len;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(obs_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_struct *walked = obs_walked_task(task);
	struct obs_control *c = obs_control();
	struct obs_rec_exec *rec;

	if (!c)
		return 0;
	rec = obs_reserve(OBS_REC_EXEC, sizeof(*rec));
	if (!rec)
		return 0;

	rec->tgid = task->tgid;
	rec->ppid = walked->real_parent->tgid;
	rec->start_ns = walked->group_leader->start_boottime;
	rec->cgroup = bpf_get_current_cgroup_id();
	rec->target = join_by_cgroup(rec->tgid, rec->cgroup);
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	rec->args_len = read_args(task, rec->args);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(obs_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 ppid = parent->tgid, tgid = child->tgid;
	struct obs_control *c = obs_control();
	struct obs_target_value *target;
	struct obs_rec_fork *rec;

	if (ppid == tgid || !c)
		return 0; /* a thread */
	target = obs_target_of(ppid);
	if (!target)
		return 0;
	obs_join(tgid, target);

	rec = obs_reserve(OBS_REC_FORK, sizeof(*rec));
	if (!rec)
		return 0;
	rec->tgid = tgid;
	rec->ppid = ppid;
	rec->target = target->target;
	bpf_ringbuf_submit(rec, obs_wakeup(c));
	return 0;
}

/* The scheduler writes a running task's time down at ticks and when it switches: at the exit
 * tracepoint the last milliseconds are missing, which for a short process is nearly all. What is
 * missing is added per node, once the task is freed and its account is closed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OBS_TGIDS_MAX);
	__type(key, __u64); /* address of the leader's task_struct */
	__type(value, struct obs_leaving);
} leaving SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32);   /* target slot */
	__type(value, __u64); /* ns on a CPU */
} late SEC(".maps");

static __always_inline void note_leaving(struct task_struct *task, __u32 slot, __u64 run_ns)
{
	struct obs_leaving note = { .target = slot, .run_ns = run_ns };
	__u64 key = (__u64)task->group_leader;

	bpf_map_update_elem(&leaving, &key, &note, BPF_ANY);
}

static __always_inline void tell_usage(struct task_struct *task, __u32 tgid, __u32 slot,
				       struct obs_control *c)
{
	struct obs_rec_exit_usage *rec = obs_reserve(OBS_REC_EXIT_USAGE, sizeof(*rec));

	if (!rec) {
		note_leaving(task, slot, 0); /* all of it counts as late then */
		return;
	}
	rec->tgid = tgid;
	rec->target = slot;
	rec->start_ns = task->group_leader->start_boottime;
	rec->max_rss_pages = task->signal->maxrss;
	obs_add_thread(&rec->spent, task);
	obs_add_ended(&rec->spent, task->signal);
	/* A leader that went before its last thread is not among the ended ones yet. */
	if (task->pid != task->tgid)
		obs_add_thread(&rec->spent, task->group_leader);
	note_leaving(task, slot, rec->spent.run_ns);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(obs_exit, struct task_struct *ended)
{
	struct task_struct *task = obs_walked_task(ended);
	__u32 tgid = task->tgid, slot;
	struct obs_control *c = obs_control();
	struct obs_target_value *target;
	struct obs_rec_exit *rec;

	if (task->signal->live.counter != 0 || !c)
		return 0; /* other threads live on */
	target = obs_target_of(tgid);
	if (!target)
		return 0;
	slot = target->target;
	obs_leave(tgid);
	tell_usage(task, tgid, slot, c);

	obs_tell_death(tgid, slot, c);
	rec = obs_reserve(OBS_REC_EXIT, sizeof(*rec));
	if (!rec)
		return 0;
	rec->tgid = tgid;
	rec->target = slot;
	rec->code = obs_group_exit_code(task);
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
	bpf_ringbuf_submit(rec, obs_wakeup(c));
	return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(obs_free, struct task_struct *task)
{
	__u64 key = (__u64)task, *sum, all;
	struct obs_leaving *note;
	__u32 slot;

	if (task->pid != task->tgid)
		return 0;
	note = bpf_map_lookup_elem(&leaving, &key);
	if (!note)
		return 0;
	slot = note->target;
	all = obs_walked_task(task)->signal->sum_sched_runtime;
	sum = bpf_map_lookup_elem(&late, &slot);
	if (sum && all > note->run_ns)
		__sync_fetch_and_add(sum, all - note->run_ns);
	bpf_map_delete_elem(&leaving, &key);
	return 0;
}

/* A container's cgroup is made before its first program runs: told of it now, user space can
 * have it joined by the time of that exec. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(obs_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct obs_control *c = obs_control();
	struct obs_rec_cgroup *rec;
	long n;

	if (!c || BPF_CORE_READ(cgroup, root, hierarchy_id) != 0) /* 0: cgroup v2 */
		return 0;
	rec = obs_reserve(OBS_REC_CGROUP, sizeof(*rec));
	if (!rec)
		return 0;
	rec->id = BPF_CORE_READ(cgroup, kn, id);
	n = bpf_probe_read_kernel_str(rec->path, sizeof(rec->path), path);
	rec->path_len = n > 0 ? n - 1 : 0;
	bpf_ringbuf_submit(rec, obs_wakeup(c));
	return 0;
}
