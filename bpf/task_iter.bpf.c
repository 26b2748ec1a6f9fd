// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * task_iter.bpf.c - what each thread of a node has used so far.
 *
 * Hook: iter/task, run by reading its descriptor: nothing is attached, nothing runs in between.
 * One pass takes the place of four files of /proc per process and one per thread.
 * Cost: per thread on the host a look at its bit; per thread of a node one record.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "members.bpf.h"
#include "spent.bpf.h"
#include "walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct pages {
	__s64 n[NR_MM_COUNTERS];
};

/* A percpu_counter's parts that CPUs have not handed in yet (percpu_counter_batch: 64 pages and
 * more each) are left out: their addresses are nowhere to be had. */
static __always_inline __s64 percpu_count(struct mm_struct___percpu *mm, int i)
{
	struct percpu_counter *all = bpf_core_field_offset(*mm, rss_stat) + (void *)mm;
	__s64 n = 0;

	/* The array's step is the kernel's, not that of our short struct. */
	bpf_probe_read_kernel(&n, sizeof(n),
			      (void *)all + i * bpf_core_type_size(struct percpu_counter) +
				      bpf_core_field_offset(*all, count));
	return n;
}

static __always_inline __s64 atomic_count(struct mm_struct___atomic *mm, int i)
{
	__s64 n = 0;

	/* No plain load: 6.1's verifier does not look through the typedef atomic_long_t. The
	 * array's start is the kernel's; an index that is no constant cannot be relocated. */
	bpf_probe_read_kernel(&n, sizeof(n),
			      (void *)mm + bpf_core_field_offset(*mm, rss_stat.count) +
				      i * sizeof(n));
	return n;
}

static __always_inline void count_pages(struct mm_struct *mm, struct pages *p)
{
	__u32 percpu = !bpf_core_type_exists(struct mm_rss_stat);

	for (int i = 0; i < NR_MM_COUNTERS; i++)
		p->n[i] = percpu ? percpu_count((void *)mm, i) : atomic_count((void *)mm, i);
}

static __always_inline __u64 positive(__s64 n)
{
	return n > 0 ? n : 0;
}

static __always_inline void add_process(struct task_struct *task, struct obs_task *rec)
{
	struct mm_struct *mm = task->mm;
	struct pages p = {};

	rec->threads = task->signal->nr_threads;
	obs_add_ended(&rec->spent, task->signal);
	if (!mm)
		return;
	count_pages(mm, &p);
	rec->file_pages = positive(p.n[0]);
	rec->anon_pages = positive(p.n[1]);
	rec->swap_pages = positive(p.n[2]);
	rec->shmem_pages = positive(p.n[3]);
}

SEC("iter/task")
int obs_each_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct obs_target_value *target;
	struct obs_task rec = {};

	if (!task)
		return 0;
	task = obs_walked_task(task);
	target = obs_target_of(task->tgid);
	if (!target)
		return 0;

	rec.tgid = task->tgid;
	rec.tid = task->pid;
	rec.ppid = task->real_parent->tgid;
	rec.target = target->target;
	rec.start_ns = task->group_leader->start_boottime;
	rec.state = task->__state | task->exit_state;
	bpf_probe_read_kernel_str(rec.comm, sizeof(rec.comm), task->comm);
	obs_add_thread(&rec.spent, task);
	if (rec.tid == rec.tgid)
		add_process(task, &rec);
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
