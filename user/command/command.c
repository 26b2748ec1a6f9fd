// SPDX-License-Identifier: BSD-2-Clause
/* command.c - the table of commands, and what they share: options and help. */
#include "command/command.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/distance.h"

#ifndef OBS_VERSION
#define OBS_VERSION "unknown"
#endif

const char *const obs_version = OBS_VERSION;

const struct obs_command *const obs_commands[] = {
#define X(name) &obs_command_##name,
	OBS_COMMANDS(X)
#undef X
		NULL,
};

static void print_option(const struct obs_option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
		 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
		 o->argument ? " " : "", o->argument ? o->argument : "");
	printf("  %-28s %s\n", left, o->help);
}

void obs_command_help(const struct obs_command *cmd)
{
	printf("usage: gswarm-observer %s [OPTION]... %s\n\n%s\n\noptions:\n", cmd->name,
	       cmd->arguments, cmd->summary);
	for (const struct obs_option *o = cmd->options; o->name; o++)
		print_option(o);
	printf("  %-28s %s\n", "-h, --help", "this text");
	if (cmd->details && *cmd->details)
		printf("\n%s\n", cmd->details);
}

static const struct obs_option *find_long(const struct obs_command *cmd, const char *name,
					  size_t len)
{
	for (const struct obs_option *o = cmd->options; o->name; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static const struct obs_option *find_short(const struct obs_command *cmd, char letter)
{
	for (const struct obs_option *o = cmd->options; o->name; o++) {
		if (o->letter == letter)
			return o;
	}
	return NULL;
}

static int unknown_option(const struct obs_command *cmd, const char *arg)
{
	const char *nearest = NULL;
	unsigned best = 4;

	for (const struct obs_option *o = cmd->options; o->name; o++) {
		unsigned d = obs_distance(arg + strspn(arg, "-"), o->name);

		if (d < best) {
			best = d;
			nearest = o->name;
		}
	}
	fprintf(stderr, "gswarm-observer %s: unknown option '%s'%s%s%s; see --help\n", cmd->name,
		arg, nearest ? "; did you mean '--" : "", nearest ? nearest : "",
		nearest ? "'?" : "");
	return -EINVAL;
}

static int finish_option(const struct obs_command *cmd, const struct obs_option *o,
			 const char *inline_value, int argc, char **argv, int *index,
			 struct obs_option_value *ret)
{
	if (!o->argument && inline_value) {
		fprintf(stderr, "gswarm-observer %s: option '--%s' takes no argument\n", cmd->name,
			o->name);
		return -EINVAL;
	}
	if (o->argument && !inline_value) {
		if (*index >= argc) {
			fprintf(stderr, "gswarm-observer %s: option '--%s' needs %s\n", cmd->name,
				o->name, o->argument);
			return -EINVAL;
		}
		inline_value = argv[(*index)++];
	}
	*ret = (struct obs_option_value){ o->letter, o->name, inline_value };
	return 1;
}

int obs_command_next(const struct obs_command *cmd, int argc, char **argv, int *index,
		     struct obs_option_value *ret)
{
	const struct obs_option *o;
	const char *arg, *eq;

	if (*index >= argc)
		return 0;

	arg = argv[(*index)++];
	if (arg[0] != '-' || arg[1] == '\0') {
		*ret = (struct obs_option_value){ 0, NULL, arg };
		return 1;
	}
	if (arg[1] != '-') {
		o = find_short(cmd, arg[1]);
		if (!o)
			return unknown_option(cmd, arg);
		return finish_option(cmd, o, arg[2] ? arg + 2 : NULL, argc, argv, index, ret);
	}

	eq = strchr(arg, '=');
	o = find_long(cmd, arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2));
	if (!o)
		return unknown_option(cmd, arg);
	return finish_option(cmd, o, eq ? eq + 1 : NULL, argc, argv, index, ret);
}
