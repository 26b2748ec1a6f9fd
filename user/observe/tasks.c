// SPDX-License-Identifier: BSD-2-Clause
/* tasks.c - see tasks.h. */
#include "observe/tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/task_iter.skel.h"
#include "util/cleanup.h"

#define RECORDS_PER_READ 256

/* include/linux/sched.h */
#define STATE_INTERRUPTIBLE   0x1
#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_STOPPED	      0x4
#define STATE_TRACED	      0x8
#define STATE_DEAD	      0x10
#define STATE_ZOMBIE	      0x20
#define STATE_NO_LOAD	      0x400

struct obs_tasks {
	struct task_iter_bpf *skel; /* owned */
	struct obs_task records[RECORDS_PER_READ];
};

int obs_tasks_open(struct obs_kernel *k, struct obs_tasks **ret)
{
	struct obs_tasks *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->skel = task_iter_bpf__open();
	r = t->skel ? obs_kernel_share_maps(k, t->skel->obj) : -errno;
	if (r == 0)
		r = task_iter_bpf__load(t->skel);
	if (r == 0)
		r = task_iter_bpf__attach(t->skel);
	if (r < 0) {
		obs_tasks_free(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void obs_tasks_free(struct obs_tasks **tp)
{
	if (!*tp)
		return;
	task_iter_bpf__destroy((*tp)->skel);
	free(*tp);
	*tp = NULL;
}

static char state_letter(uint32_t state)
{
	if (state & STATE_ZOMBIE)
		return 'Z';
	if (state & STATE_DEAD)
		return 'X';
	if (state & STATE_TRACED)
		return 't';
	if (state & STATE_STOPPED)
		return 'T';
	if ((state & (STATE_UNINTERRUPTIBLE | STATE_NO_LOAD)) ==
	    (STATE_UNINTERRUPTIBLE | STATE_NO_LOAD))
		return 'I';
	if (state & STATE_UNINTERRUPTIBLE)
		return 'D';
	return state & STATE_INTERRUPTIBLE ? 'S' : 'R';
}

/* run_ns is exact, the ticks only tell how it divides: what cputime_adjust() does. */
static struct obs_used used_of(const struct obs_spent *s)
{
	uint64_t ticked = s->user_ns + s->system_ns;
	double user = ticked ? (double)s->user_ns / (double)ticked : 1;
	uint64_t user_ns = (uint64_t)((double)s->run_ns * user);

	return (struct obs_used){
		.cpu_ns = s->run_ns,
		.user_ns = user_ns,
		.system_ns = s->run_ns - user_ns,
		.min_faults = s->min_faults,
		.maj_faults = s->maj_faults,
		.read_bytes = s->read_bytes,
		.write_bytes = s->write_bytes,
	};
}

void obs_task_decode(const struct obs_task *rec, struct obs_task_usage *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	*ret = (struct obs_task_usage){
		.pid = (int32_t)rec->tgid,
		.ppid = (int32_t)rec->ppid,
		.slot = rec->target,
		.threads = rec->threads,
		.start_ns = rec->start_ns,
		.leader = rec->tid == rec->tgid,
		.state = state_letter(rec->state),
		.rss_bytes = (rec->file_pages + rec->anon_pages + rec->shmem_pages) * page,
		.swap_bytes = rec->swap_pages * page,
		.used = used_of(&rec->spent),
	};
	memcpy(ret->comm, rec->comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
}

void obs_exit_decode(const struct obs_rec_exit_usage *rec, struct obs_exit_usage *ret)
{
	*ret = (struct obs_exit_usage){
		.pid = (int32_t)rec->tgid,
		.slot = rec->target,
		.start_ns = rec->start_ns,
		.end_ns = rec->hdr.ts_ns,
		.max_rss_bytes = rec->max_rss_pages * (uint64_t)sysconf(_SC_PAGESIZE),
		.used = used_of(&rec->spent),
	};
}

/* The kernel hands over whole records: bpf_seq_write() is not cut (bpf_seq_read()). */
int obs_tasks_read(struct obs_tasks *t, obs_task_fn fn, void *ctx)
{
	cleanup_close int fd = bpf_iter_create(bpf_link__fd(t->skel->links.obs_each_task));
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, t->records, sizeof(t->records))) > 0 || (n < 0 && errno == EAGAIN)) {
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(t->records[0]); i++) {
			struct obs_task_usage task;

			obs_task_decode(&t->records[i], &task);
			fn(ctx, &task);
		}
	}
	return n < 0 ? -errno : 0;
}
