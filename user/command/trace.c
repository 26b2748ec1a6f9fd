// SPDX-License-Identifier: BSD-2-Clause
/*
 * trace.c - events as JSON lines on standard output: no store, no sinks.
 */
#include "command/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/follow_loop.h"
#include "pipeline/engine.h"
#include "util/clock.h"
#include "util/log.h"

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings; default as for run" },
	{ 0, "container", "GLOB", "only containers of this name" },
	{ 0, "command", "GLOB", "only process trees whose command line matches" },
	{ 0, "docker-socket", "PATH", "the container engine to ask" },
	{ 0, "events-only", NULL, "leave out lines that mean nothing in particular" },
	{ 0, "no-bpf", NULL, "load nothing into the kernel" },
	{ 0, "save-p2pd", "FILE", "keep what nodes and p2pd say, for the p2pd command" },
	{ 'v', "verbose", NULL, "say more on standard error" },
	{ 0 },
};

struct trace {
	uv_loop_t loop;
	struct obs_config *config;
	struct obs_model model;
	struct obs_counters counters;
	struct obs_engine *engine;
};

static int push(void *ctx, const struct obs_event *ev, struct obs_slice json)
{
	(void)ev;
	(void)ctx;
	fwrite(json.p, 1, json.len, stdout);
	putchar('\n');
	return 0;
}

static int no_cursor(void *ctx, const struct obs_file_id *file, struct obs_cursor *ret)
{
	(void)ctx;
	(void)file;
	(void)ret;
	return -ENOENT;
}

static int put_nothing(void *ctx, const struct obs_cursor *c)
{
	(void)ctx;
	(void)c;
	return 0;
}

/* A reader that went away (head, a closed pager) ends the trace. */
static int flush(void *ctx)
{
	struct trace *t = ctx;

	if (fflush(stdout) == EOF)
		obs_loop_stop(&t->loop);
	return 0;
}

static int add_glob(struct obs_strv *list, const char *glob)
{
	char **v = realloc(list->v, (list->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	list->v = v;
	v[list->n] = strdup(glob);
	if (!v[list->n])
		return -ENOMEM;
	list->n++;
	return 0;
}

static int replace(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int apply(struct obs_config *c, const struct obs_option_value *o)
{
	if (!strcmp(o->name, "container") || !strcmp(o->name, "command"))
		c->targets.builtin = false;
	if (!strcmp(o->name, "container"))
		return add_glob(&c->targets.include.container, o->value);
	if (!strcmp(o->name, "command"))
		return add_glob(&c->targets.include.command, o->value);
	if (!strcmp(o->name, "docker-socket"))
		return replace(&c->targets.docker_socket, o->value);
	if (!strcmp(o->name, "save-p2pd"))
		return replace(&c->p2pd.save_file, o->value);
	if (!strcmp(o->name, "events-only"))
		c->forward = OBS_FORWARD_EVENTS;
	if (!strcmp(o->name, "no-bpf"))
		c->probes.bpf = false;
	if (!strcmp(o->name, "verbose"))
		obs_log_set_level(OBS_LOG_DEBUG);
	return 0;
}

/* The config file first, then the options on top of it. */
static int read_arguments(int argc, char **argv, struct obs_config **config)
{
	struct obs_option_value o;
	const char *file = NULL, *path;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_trace, argc, argv, &i, &o)) > 0) {
		if (o.name && !strcmp(o.name, "config"))
			file = o.value;
		if (!o.name) {
			fprintf(stderr, "gswarm-observer trace: '%s' is one too many; see --help\n",
				o.value);
			return OBS_EXIT_USAGE;
		}
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	r = obs_command_config(file, config, &path);
	if (r != 0)
		return r;
	(*config)->forward = OBS_FORWARD_ALL;
	(*config)->probes.canary_interval_s = 0; /* it has no directory to write to */
	for (i = 1; obs_command_next(&obs_command_trace, argc, argv, &i, &o) > 0;) {
		if (apply(*config, &o) < 0)
			return OBS_EXIT_FAIL;
	}
	return 0;
}

static int follow(struct trace *t)
{
	struct obs_outlet outlet = {
		.push = push,
		.put_cursor = put_nothing,
		.get_cursor = no_cursor,
		.commit = flush,
		.created_ns = obs_wall_ns(),
		.ctx = t,
	};
	int r;

	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&t->loop);
	t->model.counters = &t->counters;
	r = obs_engine_new(&t->loop, t->config, &t->model, &t->counters, &outlet, &t->engine);
	if (r == 0)
		r = obs_engine_complete(t->engine);
	if (r == 0)
		r = obs_engine_start(t->engine);
	if (r == 0) {
		obs_loop_until_signal(&t->loop);
		obs_engine_stop(t->engine);
	} else {
		obs_err("cannot start: %s", strerror(-r));
	}
	obs_loop_close(&t->loop);
	obs_engine_free(&t->engine);
	return r < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
}

static int run(int argc, char **argv)
{
	static struct trace t; /* static: large and zeroed */
	int r = read_arguments(argc, argv, &t.config);

	if (r == 0)
		r = follow(&t);
	obs_config_free(&t.config);
	return r;
}

const struct obs_command obs_command_trace = {
	.name = "trace",
	.summary = "print events as JSON lines, without store and sinks",
	.arguments = "",
	.options = options,
	.details =
		"Finds the nodes of this host, reads the last lines of their logs, and prints every\n"
		"event as it happens until it is interrupted. Works without any configuration.",
	.run = run,
};
