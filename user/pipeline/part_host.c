// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_host.c - looks at the host every system.poll_interval: one hardware_snapshot per look.
 * GPUs are asked a tick before, on a thread of their own, and what has come by then is taken.
 */
#include <errno.h>
#include <stdlib.h>

#include "collect/gpu.h"
#include "collect/host.h"
#include "collect/report.h"
#include "observe/proc.h"
#include "pipeline/part_host.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define FIRST_LOOK_MS  50   /* a host without GPUs has answered by then */
#define DOCTOR_LOOK_MS 3000 /* drivers of idle GPUs take that long to wake up */

struct part {
	struct obs_part_env env;
	struct obs_host *host; /* owned */
	struct obs_gpus *gpus; /* owned; NULL: not wanted */
	struct obs_probe_status *probe;
	struct obs_report report;
	struct obs_buf text;
	uint64_t due_ns; /* CLOCK_BOOTTIME */
};

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

/* --- GPUs --- */

static struct obs_gpu_options gpu_options(const struct obs_config *c)
{
	return (struct obs_gpu_options){
		.nvml = c->usage.nvml,
		.nvidia_smi = c->usage.nvidia_smi,
		.nvidia_dir = c->usage.nvidia_dir,
		.amd_root = c->usage.amd_root,
		.timeout_ms = (uint64_t)(c->usage.gpu_timeout_s * 1000),
	};
}

static const char *rung_of(const struct obs_host_usage *u, bool done)
{
	static const struct {
		const char *source, *rung;
	} rungs[] = {
		{ "nvml", "NVML" },
		{ "nvidia-smi", "nvidia-smi" },
		{ "amd", "sysfs of amdgpu" },
		{ "nvml, amd", "NVML, sysfs of amdgpu" },
		{ "nvidia-smi, amd", "nvidia-smi, sysfs of amdgpu" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rungs); i++) {
		if (strcmp(u->gpu_source, rungs[i].source) == 0)
			return rungs[i].rung;
	}
	return *u->gpu_trouble ? "none" : done ? "no GPU" : "not answered yet";
}

static void describe_gpus(const struct obs_host_usage *u, bool done, struct obs_probe_status *p)
{
	p->rung = rung_of(u, done);
	p->ok = !*u->gpu_trouble;
	p->first_choice = p->ok && strncmp(u->gpu_source, "nvidia-smi", 10) != 0;
	snprintf(p->unseen, sizeof(p->unseen), "%s%s", u->gpu_trouble,
		 !*u->gpu_trouble && p->ok && !p->first_choice ? "Xid errors, parts of a GPU (MIG)"
							       : "");
	snprintf(p->refused, sizeof(p->refused), "%s", u->gpu_refused);
}

void obs_gpu_describe(const struct obs_config *config, struct obs_model *model)
{
	struct obs_gpu_options opt = gpu_options(config);
	struct obs_probe_status *p;
	struct obs_gpus *gpus = NULL;
	bool done;

	if (!config->usage.gpu || obs_gpus_start(&opt, &gpus) < 0)
		return;
	p = obs_model_add_probe(model, "GPUs");
	done = obs_gpus_wait(gpus, DOCTOR_LOOK_MS);
	obs_gpus_get(gpus, &model->host);
	describe_gpus(&model->host, done, p);
	obs_gpus_stop(&gpus);
}

static void name_gpu_processes(struct part *p, struct obs_gpu_usage *g)
{
	for (size_t i = 0; i < g->n_procs; i++) {
		const struct obs_process *process =
			obs_targets_process(p->env.targets, (pid_t)g->procs[i].pid);

		if (!process)
			continue;
		snprintf(g->procs[i].node, sizeof(g->procs[i].node), "%.127s",
			 process->node->title);
		g->procs[i].role = obs_role_str(process->role);
	}
}

static void take_gpus(struct part *p, bool done)
{
	struct obs_host_usage *u = &p->env.model->host;

	if (!p->gpus)
		return;
	obs_gpus_get(p->gpus, u);
	for (size_t i = 0; i < u->n_gpus; i++)
		name_gpu_processes(p, &u->gpus[i]);
	if (p->probe)
		describe_gpus(u, done, p->probe);
}

static void load(void *part)
{
	struct part *p = part;
	struct obs_gpu_options opt = gpu_options(p->env.config);

	if (!p->env.config->usage.gpu || obs_gpus_start(&opt, &p->gpus) < 0)
		return;
	p->probe = obs_model_add_probe(p->env.model, "GPUs");
	take_gpus(p, obs_gpus_wait(p->gpus, FIRST_LOOK_MS));
}

/* --- a look --- */

static void tick(void *part)
{
	struct part *p = part;
	struct obs_host_usage *u = &p->env.model->host;
	const struct obs_config *c = p->env.config;
	uint64_t now_ns = obs_boot_ns();
	struct obs_event ev;

	if (p->gpus && now_ns + OBS_NS_PER_S * 3 / 2 >= p->due_ns)
		obs_gpus_ask(p->gpus);
	if (now_ns < p->due_ns)
		return;
	/* half a tick early is on time: ticks are a second and a bit apart */
	p->due_ns = now_ns + (uint64_t)(c->usage.host_interval_s * 1e9) - OBS_NS_PER_S / 2;
	obs_host_read(p->host, &(struct obs_host_wanted){ c->usage.cpu, c->usage.ram }, now_ns,
		      obs_wall_ns(), u);
	look_at_volumes(p);
	take_gpus(p, true);
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
	obs_gpus_stop(&p->gpus);
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
	.load = load,
	.tick = tick,
	.free = part_free,
};
