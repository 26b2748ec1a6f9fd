// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_host.c - looks at the host every system.poll_interval: one hardware_snapshot per look.
 */
#include <errno.h>
#include <stdlib.h>

#include "collect/host.h"
#include "collect/report.h"
#include "observe/proc.h"
#include "pipeline/part.h"
#include "util/cleanup.h"
#include "util/clock.h"

struct part {
	struct obs_part_env env;
	struct obs_host *host; /* owned */
	struct obs_report report;
	struct obs_buf text;
	uint64_t due_ns; /* CLOCK_BOOTTIME */
};

extern const struct obs_part_ops obs_part_host;

/* --- volumes --- */

static void add_volumes(struct part *p, pid_t pid, const char *dir, const char *used_by)
{
	char root[64];

	if (obs_proc_read(pid, "mountinfo", &p->text) < 0)
		return;
	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	obs_host_volumes(obs_buf_cstr(&p->text), root, dir, used_by, &p->env.model->host);
}

/* A container's are all its own; of the host's only the one that the node works in. */
static void add_node_volumes(void *ctx, struct obs_node *node)
{
	struct part *p = ctx;
	pid_t pid = obs_targets_any_pid(p->env.targets, node);
	char link[64], dir[4096];
	ssize_t n;

	if (node->state != OBS_NODE_READY || pid == 0)
		return;
	if (node->ref.runtime != OBS_RUNTIME_NONE) {
		add_volumes(p, pid, NULL, node->title);
		return;
	}
	snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
	n = readlink(link, dir, sizeof(dir) - 1);
	if (n <= 0)
		return;
	dir[n] = '\0';
	add_volumes(p, pid, dir, node->title);
}

static void look_at_volumes(struct part *p)
{
	p->env.model->host.n_disks = 0;
	obs_targets_each(p->env.targets, add_node_volumes, p);
	add_volumes(p, getpid(), p->env.config->state_dir, "gswarm-observer");
}

/* --- a look --- */

static void tick(void *part)
{
	struct part *p = part;
	struct obs_host_usage *u = &p->env.model->host;
	const struct obs_config *c = p->env.config;
	uint64_t now_ns = obs_boot_ns();
	struct obs_event ev;

	if (now_ns < p->due_ns)
		return;
	/* half a tick early is on time: ticks are a second and a bit apart */
	p->due_ns = now_ns + (uint64_t)(c->usage.host_interval_s * 1e9) - OBS_NS_PER_S / 2;
	obs_host_read(p->host, &(struct obs_host_wanted){ c->usage.cpu, c->usage.ram }, now_ns,
		      obs_wall_ns(), u);
	look_at_volumes(p);
	if (u->interval_s <= 0)
		return;
	obs_report_host(&p->report, u, &ev);
	p->env.emit(p->env.ctx, NULL, &ev);
}

/* --- life --- */

static void part_free(void **part)
{
	struct part *p = *part;

	if (!p)
		return;
	obs_host_free(&p->host);
	obs_report_free(&p->report);
	obs_buf_free(&p->text);
	free(p);
	*part = NULL;
}

static int start(const struct obs_part_env *env, void **ret)
{
	struct part *p;
	int r;

	if (env->config->usage.host_interval_s <= 0)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->env = *env;
	r = obs_host_new("/proc", "/sys", &p->host);
	if (r < 0) {
		free(p);
		return r;
	}
	*ret = p;
	return 0;
}

const struct obs_part_ops obs_part_host = {
	.name = "host",
	.start = start,
	.tick = tick,
	.free = part_free,
};
