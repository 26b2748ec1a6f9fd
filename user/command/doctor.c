// SPDX-License-Identifier: BSD-2-Clause
/*
 * doctor.c - what this host allows: each probe's rung, what stays unseen, what to do.
 */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command/follow_loop.h"
#include "command/show.h"
#include "observe/connections.h"
#include "observe/flows.h"
#include "observe/kernel.h"
#include "pipeline/engine.h"
#include "pipeline/part_host.h"
#include "pipeline/part_usage.h"
#include "util/log.h"

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings; default as for run" },
	{ 0, "no-bpf", NULL, "as if nothing could be loaded into the kernel" },
	{ 'v', "verbose", NULL, "show what libbpf says" },
	{ 0 },
};

static int read_arguments(int argc, char **argv, struct obs_config **config)
{
	const char *file = NULL, *path;
	struct obs_option_value o;
	bool no_bpf = false;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_doctor, argc, argv, &i, &o)) > 0) {
		if (!o.name || !strcmp(o.name, "config"))
			file = o.value;
		else if (!strcmp(o.name, "no-bpf"))
			no_bpf = true;
		else
			obs_log_set_level(OBS_LOG_DEBUG);
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	r = obs_command_config(file, config, &path);
	if (r == 0 && no_bpf)
		(*config)->probes.bpf = false;
	return r;
}

static bool any_ok(const struct obs_model *m)
{
	for (size_t i = 0; i < m->n_probes; i++) {
		if (m->probes[i].ok && strstr(m->probes[i].need, "writes"))
			return true;
	}
	return false;
}

static void describe_connections(const struct obs_config *c, struct obs_kernel *kernel,
				 struct obs_model *model)
{
	struct obs_connections_options opt = {
		.rung = c->probes.connections,
		.conns_max = (uint32_t)c->limits.connections,
		.kernel = kernel,
	};
	struct obs_connections *connections = NULL;
	struct obs_flows *flows = NULL;

	obs_connections_open(&opt, model, &connections);
	obs_flows_open(obs_connections_without_bpf(opt.rung) ? NULL : kernel, NULL, connections,
		       model, &flows);
	obs_flows_free(&flows);
	obs_connections_free(&connections);
}

static int examine(const struct obs_config *c)
{
	struct obs_kernel_options opt = {
		.bpf = c->probes.bpf,
		.file_write = c->probes.file_write,
		.ring_bytes = c->limits.ring_bytes,
		.payload_bytes = (uint32_t)c->limits.payload_bytes,
	};
	static struct obs_model model;
	struct obs_kernel *kernel = NULL;
	struct utsname host;

	if (obs_kernel_open(&opt, &model, &kernel) < 0)
		return OBS_EXIT_FAIL;
	if (kernel)
		obs_kernel_complete(kernel);
	obs_engine_describe_processes(c, kernel, &model);
	obs_engine_describe_names(c, &model);
	obs_usage_describe(kernel, &model);
	describe_connections(c, kernel, &model);
	obs_gpu_describe(c, &model);
	uname(&host);
	printf("kernel %s on %s, running as %s\n\n", host.release, host.machine,
	       geteuid() == 0 ? "root" : "an ordinary user");
	for (size_t i = 0; i < model.n_probes; i++)
		obs_print_probe(stdout, &model.probes[i]);
	obs_kernel_free(&kernel);
	printf("\n%s\n",
	       any_ok(&model) ? "This host can be observed." : "Nothing can be observed here.");
	return any_ok(&model) ? OBS_EXIT_OK : OBS_EXIT_FAIL;
}

static int run(int argc, char **argv)
{
	struct obs_config *config = NULL;
	int r = read_arguments(argc, argv, &config);

	if (r == 0)
		r = examine(config);
	obs_config_free(&config);
	return r;
}

const struct obs_command obs_command_doctor = {
	.name = "doctor",
	.summary = "say what this host allows and what stays unseen",
	.arguments = "",
	.options = options,
	.details = "Loads and attaches every probe, best rung first, and takes it out again.\n"
		   "Exit status 1 if nothing at all can be observed.",
	.run = run,
};
