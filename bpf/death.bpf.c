// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * death.bpf.c - who sends a node's process a signal that ends it, and whether that was the
 * out-of-memory killer.
 *
 * Hooks: tp_btf/signal_generate runs in the sender's context, so the current task is who did it
 * (a fault: the process itself). tp_btf/mark_victim follows the OOM killer's SIGKILL at once,
 * under the victim's task lock (__oom_kill_process()); its arguments differ between kernels
 * (a pid up to 6.8, then a task) and are not looked at.
 * Signals that stop a process or let it go on are told at once: nobody would look in time.
 * Cost: per signal on the host one look at a bit; per signal to a node's process one map entry.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "death.bpf.h"
#include "members.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SIGKILL	      9
#define TRACE_IGNORED 1 /* TRACE_SIGNAL_IGNORED */
#define SEND_SIG_PRIV 1 /* (struct kernel_siginfo *)1: the kernel itself sends */
#define MEMCG_DEPTH   8
#define CHARGE_SLACK  64 /* pages that a charge takes at once (MEMCG_CHARGE_BATCH) */

/* Signals that end a process which does not handle them, and that say something:
 * HUP INT QUIT ILL TRAP ABRT BUS FPE KILL SEGV TERM XCPU XFSZ SYS. */
#define NOTED                                                                                \
	(1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 7 | \
	 1ULL << 8 | 1ULL << 9 | 1ULL << 11 | 1ULL << 15 | 1ULL << 24 | 1ULL << 25 | 1ULL << 31)

/* CONT STOP TSTP TTIN TTOU */
#define STOPPING (1ULL << 18 | 1ULL << 19 | 1ULL << 20 | 1ULL << 21 | 1ULL << 22)

/* mark_victim is the next thing on the CPU, but a virtual CPU may be stopped in between. */
#define MARK_WITHIN_NS 1000000000ULL

/* Whom the kernel itself killed last on this CPU, if that was a node's: mark_victim comes after. */
struct killed {
	__u64 at_ns;
	__u32 tgid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct killed);
} last_killed SEC(".maps");

static __always_inline void killed_by_kernel(__u32 tgid)
{
	__u32 zero = 0;
	struct killed *k = bpf_map_lookup_elem(&last_killed, &zero);

	if (!k)
		return;
	k->tgid = tgid;
	k->at_ns = bpf_ktime_get_boot_ns();
}

static __always_inline __u64 positive(__s64 n)
{
	return n > 0 ? n : 0;
}

/* A macro, since CO-RE wants to see the index; what CPUs have not handed in yet is left out. */
#define RESIDENT(mm, which)                                                \
	positive(                                                          \
		bpf_core_type_exists(struct mm_rss_stat)                   \
			? BPF_CORE_READ((struct mm_struct___atomic *)(mm), \
					rss_stat.count[which].counter)     \
			: BPF_CORE_READ((struct mm_struct___percpu *)(mm), rss_stat[which].count))

/* The nearest cgroup above the process that has used up its limit. */
static __always_inline void find_limit(struct task_struct *task, struct obs_rec_death *note)
{
	struct task_struct___cgroups *t = (void *)task;
	struct css_set *set = BPF_CORE_READ(t, cgroups);
	__u32 at = memory_cgrp_id___memory;
	struct cgroup_subsys_state *css = NULL;

	if (bpf_core_enum_value_exists(enum cgroup_subsys_id___memory, memory_cgrp_id___memory))
		at = bpf_core_enum_value(enum cgroup_subsys_id___memory, memory_cgrp_id___memory);
	bpf_probe_read_kernel(&css, sizeof(css), &set->subsys[at & 15]);
	for (int i = 0; i < MEMCG_DEPTH && css; i++) {
		struct mem_cgroup *memcg = (void *)css;
		__u64 usage = positive(BPF_CORE_READ(memcg, memory.usage.counter));
		__u64 max = BPF_CORE_READ(memcg, memory.max);

		if (usage + CHARGE_SLACK >= max) {
			struct kernfs_node___name *kn = (void *)BPF_CORE_READ(css, cgroup, kn);

			note->limit_pages = max;
			note->usage_pages = usage;
			bpf_probe_read_kernel_str(note->cgroup, sizeof(note->cgroup),
						  BPF_CORE_READ(kn, name));
			return;
		}
		css = BPF_CORE_READ(css, parent);
	}
}

/* What the OOM killer would not tell: how much the victim had, and who was full. */
static __always_inline void look_at_memory(struct task_struct *task, struct obs_rec_death *note)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	find_limit(task, note);
	if (!mm)
		return;
	note->file_pages = RESIDENT(mm, 0);
	note->anon_pages = RESIDENT(mm, 1);
	note->shmem_pages = RESIDENT(mm, 3);
}

static __always_inline void tell_stopping(__u32 tgid, __u32 slot, int sig)
{
	struct obs_control *c = obs_control();
	struct obs_rec_signal *rec;

	if (!c)
		return;
	rec = obs_reserve(OBS_REC_SIGNAL, sizeof(*rec));
	if (!rec)
		return;
	rec->tgid = tgid;
	rec->target = slot;
	rec->signal = sig;
	rec->sender_tgid = bpf_get_current_pid_tgid() >> 32;
	rec->sender_uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(rec->sender_comm, sizeof(rec->sender_comm));
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

SEC("tp_btf/signal_generate")
int BPF_PROG(obs_signal, int sig, struct kernel_siginfo *info, struct task_struct *task, int group,
	     int result)
{
	struct obs_rec_death note = {}, *have;
	__u32 tgid = task->tgid;
	struct obs_target_value *target;
	int killed = sig == SIGKILL && (__u64)info == SEND_SIG_PRIV;

	if (sig < 1 || sig > 31 || !((NOTED | STOPPING) >> sig & 1))
		return 0;
	target = obs_target_of(tgid);
	if (!target) {
		if (killed)
			killed_by_kernel(0);
		return 0;
	}
	if (STOPPING >> sig & 1) { /* SIGCONT acts where it is ignored, too */
		tell_stopping(tgid, target->target, sig);
		return 0;
	}
	if (result == TRACE_IGNORED)
		return 0;
	have = bpf_map_lookup_elem(&notes, &tgid);
	if (have && have->signal == SIGKILL)
		return 0; /* nothing that comes later matters */

	note.tgid = tgid;
	note.signal = sig;
	note.sent_ns = bpf_ktime_get_boot_ns();
	note.by_kernel = (__u64)info == SEND_SIG_PRIV;
	if ((__u64)info > SEND_SIG_PRIV)
		bpf_probe_read_kernel(&note.si_code, sizeof(note.si_code), &info->si_code);
	note.sender_tgid = bpf_get_current_pid_tgid() >> 32;
	note.sender_uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(note.sender_comm, sizeof(note.sender_comm));
	if (killed) {
		killed_by_kernel(tgid);
		look_at_memory(task, &note);
	}
	bpf_map_update_elem(&notes, &tgid, &note, BPF_ANY);
	return 0;
}

SEC("tp_btf/mark_victim")
int obs_oom(void *ctx)
{
	__u32 zero = 0, tgid;
	struct killed *k = bpf_map_lookup_elem(&last_killed, &zero);
	struct obs_rec_death *note;

	if (!k || !k->tgid || bpf_ktime_get_boot_ns() - k->at_ns > MARK_WITHIN_NS)
		return 0;
	tgid = k->tgid;
	note = bpf_map_lookup_elem(&notes, &tgid);
	if (note)
		note->oom = note->limit_pages ? OBS_OOM_CGROUP : OBS_OOM_HOST;
	k->tgid = 0;
	return 0;
}
