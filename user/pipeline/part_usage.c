// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_usage.c - looks at what nodes use, every usage.interval: the kernel's iterator or /proc, then
 * the cgroup files; one container_snapshot per node and look.
 *
 * A new node is looked at at the next tick, so that its first interval has a start.
 */
#include "pipeline/part_usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect/cgroup.h"
#include "collect/limits.h"
#include "collect/procfs.h"
#include "collect/report.h"
#include "collect/tally.h"
#include "observe/proc.h"
#include "observe/tasks.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define PROC "/proc"

struct part {
	struct obs_part_env env;
	struct obs_tally *tally;		     /* owned */
	struct obs_tasks *tasks;		     /* owned; NULL: /proc is read */
	struct obs_cgroup *cgroups[OBS_TARGETS_MAX]; /* owned, by slot */
	struct obs_report report;
	struct obs_buf mounts; /* /proc/self/mounts */
	const char *role_names[OBS_ROLE_MAX];
	uint64_t due_ns; /* CLOCK_BOOTTIME of the next look whose events are made */
	bool soon;	 /* a node waits for its first look */
	struct obs_probe_status *probe;
};

_Static_assert(OBS_ROLE_MAX <= OBS_USAGE_ROLES, "model/usage.h has room for every role");

/* --- how --- */

static int open_tasks(struct obs_kernel *k, struct obs_tasks **ret)
{
	*ret = NULL;
	return k ? obs_tasks_open(k, ret) : -ECANCELED;
}

/* Of each process that ends, what it has used: taskstats. */
static bool tells_ends(const struct obs_model *model)
{
	for (size_t i = 0; i < model->n_probes; i++) {
		if (strstr(model->probes[i].rung, "taskstats"))
			return true;
	}
	return false;
}

static struct obs_probe_status *describe(struct obs_model *model, int err)
{
	struct obs_probe_status *p = obs_model_add_probe(model, "resource use");

	p->ok = true;
	if (err == 0) {
		p->rung = "iter/task, cgroup files";
		p->first_choice = true;
		return p;
	}
	p->rung = "/proc, cgroup files";
	snprintf(p->unseen, sizeof(p->unseen),
		 tells_ends(model) ? "swap per process"
				   : "the number and the use of processes that live for less than "
				     "a look; their container's sums hold it. Swap per process");
	if (err != -ECANCELED)
		snprintf(p->refused, sizeof(p->refused), "iter/task: %s", strerror(-err));
	return p;
}

void obs_usage_describe(struct obs_kernel *k, struct obs_model *model)
{
	struct obs_tasks *tasks = NULL;

	describe(model, open_tasks(k, &tasks));
	obs_tasks_free(&tasks);
}

/* --- processes --- */

static unsigned role_of(struct part *p, pid_t pid)
{
	const struct obs_process *process = obs_targets_process(p->env.targets, pid);

	return process ? process->role : OBS_ROLE_NONE;
}

static void on_task(void *ctx, const struct obs_task_usage *task)
{
	struct part *p = ctx;

	obs_tally_add(p->tally, task, role_of(p, task->pid));
}

static void look_by_proc(void *ctx, uint32_t slot, int32_t pid)
{
	struct part *p = ctx;
	struct obs_task_usage task;

	if (obs_procfs_look(PROC, pid, &task) < 0)
		return;
	task.slot = slot;
	on_task(p, &task);
}

static void add_late(void *ctx, struct obs_node *node)
{
	struct part *p = ctx;

	obs_tally_late(p->tally, node->slot, obs_kernel_late_cpu_ns(p->env.kernel, node->slot));
}

static void look_at_processes(struct part *p)
{
	uint64_t wall_ns = obs_wall_ns();
	int r = 0;

	obs_tally_begin(p->tally, obs_boot_ns());
	if (p->tasks)
		r = obs_tasks_read(p->tasks, on_task, p);
	else
		obs_tally_each_pid(p->tally, look_by_proc, p);
	if (p->env.kernel)
		obs_targets_each(p->env.targets, add_late, p);
	obs_tally_finish(p->tally, wall_ns);
	if (p->probe)
		p->probe->blind = r < 0 ? "the last look at processes failed" : NULL;
}

/* --- containers --- */

static void open_cgroup(struct part *p, const struct obs_node *node)
{
	cleanup_buf struct obs_buf text = {};
	pid_t pid;

	if (p->cgroups[node->slot] || node->ref.runtime == OBS_RUNTIME_NONE)
		return;
	pid = obs_targets_any_pid(p->env.targets, node);
	if (pid == 0)
		return;
	if (p->mounts.len == 0 && obs_proc_read(getpid(), "mounts", &p->mounts) < 0)
		return;
	if (obs_proc_read(pid, "cgroup", &text) == 0)
		obs_cgroup_open(obs_buf_slice(&p->mounts), obs_buf_slice(&text), node->ref.id,
				&p->cgroups[node->slot]);
}

/* A node outside of a container: the cgroup that it shares may have limits all the same. */
static void look_at_shared_limits(struct part *p, const struct obs_node *node)
{
	struct obs_node_usage *u = obs_tally_node(p->tally, node->slot);
	pid_t pid = obs_targets_any_pid(p->env.targets, node);
	cleanup_buf struct obs_buf text = {};
	struct obs_limits limits;

	if (p->mounts.len == 0 && obs_proc_read(getpid(), "mounts", &p->mounts) < 0)
		return;
	if (!u || !pid || obs_proc_read(pid, "cgroup", &text) < 0)
		return;
	obs_limits_read(obs_buf_slice(&p->mounts), obs_buf_slice(&text), &limits);
	u->cpu_limit = limits.cpus;
	u->shared_memory_limit = limits.memory_bytes;
}

static void look_at_cgroup(struct part *p, const struct obs_node *node)
{
	struct obs_cgroup_usage cgroup;

	if (node->ref.runtime == OBS_RUNTIME_NONE) {
		look_at_shared_limits(p, node);
		return;
	}
	open_cgroup(p, node);
	if (!p->cgroups[node->slot])
		return;
	if (obs_cgroup_read(p->cgroups[node->slot], &cgroup) == 0)
		obs_tally_cgroup(p->tally, node->slot, &cgroup, obs_boot_ns());
	else /* restarted under the same id: its directories are new ones */
		obs_cgroup_free(&p->cgroups[node->slot]);
}

/* --- events --- */

static void find_wait_channels(struct obs_node_usage *u)
{
	for (size_t i = 0; i < u->n_top; i++) {
		struct obs_process_usage *v = &u->top[i];

		if (v->role != OBS_ROLE_NONE && (v->state == 'S' || v->state == 'D'))
			obs_procfs_wait_channel(PROC, v->pid, v->wait_channel,
						sizeof(v->wait_channel));
	}
}

struct look {
	struct part *p;
	bool tell; /* make events */
};

static void look_at_node(void *ctx, struct obs_node *node)
{
	struct look *look = ctx;
	struct part *p = look->p;
	struct obs_node_usage *u = obs_tally_node(p->tally, node->slot);
	struct obs_event ev;

	if (node->state != OBS_NODE_READY || !u)
		return;
	look_at_cgroup(p, node);
	find_wait_channels(u);
	if (!look->tell || u->interval_s <= 0)
		return;
	obs_report_node(&p->report, u, p->role_names, OBS_ROLE_MAX, &ev);
	p->env.emit(p->env.ctx, node, &ev);
}

static void tick(void *part)
{
	struct part *p = part;
	uint64_t now_ns = obs_boot_ns(), begin_ns;
	struct look look = { .p = p, .tell = now_ns >= p->due_ns };

	if (!look.tell && !p->soon)
		return;
	p->soon = false;
	if (look.tell) /* half a tick early is on time: ticks are a second and a bit apart */
		p->due_ns = now_ns + (uint64_t)(p->env.config->usage.interval_s * 1e9) -
			    OBS_NS_PER_S / 2;
	begin_ns = obs_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	look_at_processes(p);
	obs_targets_each(p->env.targets, look_at_node, &look);
	obs_count(&p->env.counters->usage_looks, 1);
	p->env.model->look_cpu_ns += obs_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
}

/* --- nodes and processes come and go --- */

static void ready(void *part, struct obs_node *node)
{
	struct part *p = part;

	obs_tally_open_node(p->tally, node->slot);
	if (p->env.kernel)
		add_late(p, node);
	p->soon = true;
}

static void gone(void *part, struct obs_node *node)
{
	struct part *p = part;

	obs_tally_drop_node(p->tally, node->slot);
	obs_cgroup_free(&p->cgroups[node->slot]);
}

static void joined(void *part, struct obs_node *node, pid_t pid)
{
	struct part *p = part;

	obs_tally_started(p->tally, node->slot, pid);
}

static void left(void *part, struct obs_node *node, pid_t pid)
{
	struct part *p = part;

	obs_tally_ended(p->tally, node->slot, pid);
}

static void record(void *part, struct obs_node *node, const struct obs_record *rec)
{
	struct part *p = part;
	struct obs_exit_usage exit;

	if (!node || rec->hdr->type != OBS_REC_EXIT_USAGE)
		return;
	obs_exit_decode(rec->exit_usage, &exit);
	obs_tally_exit(p->tally, &exit, role_of(p, exit.pid));
}

/* --- the model --- */

static void refresh(void *part)
{
	struct part *p = part;
	struct obs_model *m = p->env.model;

	m->roles = p->role_names;
	m->n_roles = OBS_ROLE_MAX;
	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct obs_node_usage *u = obs_tally_node(p->tally, m->nodes[i].slot);

		m->nodes[i].usage = u && u->sampled_ns ? u : NULL;
	}
}

/* --- life --- */

static void part_free(void **part)
{
	struct part *p = *part;

	if (!p)
		return;
	for (size_t i = 0; i < OBS_TARGETS_MAX; i++)
		obs_cgroup_free(&p->cgroups[i]);
	obs_tally_free(&p->tally);
	obs_tasks_free(&p->tasks);
	obs_report_free(&p->report);
	obs_buf_free(&p->mounts);
	free(p);
	*part = NULL;
}

static void load(void *part)
{
	struct part *p = part;

	p->probe = describe(p->env.model, open_tasks(p->env.kernel, &p->tasks));
}

static int start(const struct obs_part_env *env, void **ret)
{
	struct part *p;
	int r;

	if (env->config->usage.interval_s <= 0)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->env = *env;
	for (int i = 0; i < OBS_ROLE_MAX; i++)
		p->role_names[i] = obs_role_str((enum obs_role)i);
	r = obs_tally_new(&p->tally);
	if (r < 0) {
		free(p);
		return r;
	}
	p->due_ns = obs_boot_ns() + (uint64_t)(env->config->usage.interval_s * 1e9);
	*ret = p;
	return 0;
}

const struct obs_part_ops obs_part_usage = {
	.name = "usage",
	.start = start,
	.load = load,
	.record = record,
	.ready = ready,
	.joined = joined,
	.left = left,
	.gone = gone,
	.tick = tick,
	.refresh = refresh,
	.free = part_free,
};
