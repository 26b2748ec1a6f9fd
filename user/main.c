// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - argv to command. Everything else stands in user/command/.
 */
#include "command/command.h"

#include <stdio.h>
#include <string.h>

static void usage(FILE *f)
{
	fprintf(f,
		"usage: gswarm-observer COMMAND [OPTION]...\n\n"
		"Watch Gensyn RL-Swarm nodes from the kernel, without touching them.\n\ncommands:\n");
	for (const struct obs_command *const *c = obs_commands; *c; c++)
		fprintf(f, "  %-14s %s\n", (*c)->name, (*c)->summary);
	fprintf(f, "\n'gswarm-observer COMMAND --help' tells more.\n");
}

static const struct obs_command *find_command(const char *name)
{
	for (const struct obs_command *const *c = obs_commands; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return *c;
	}
	return NULL;
}

static int wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct obs_command *cmd;

	if (argc < 2) {
		usage(stderr);
		return OBS_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return OBS_EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("gswarm-observer %s\n", obs_version);
		return OBS_EXIT_OK;
	}

	cmd = find_command(argv[1]);
	if (!cmd) {
		fprintf(stderr,
			"gswarm-observer: unknown command '%s'; "
			"'gswarm-observer --help' lists them\n",
			argv[1]);
		return OBS_EXIT_USAGE;
	}
	if (wants_help(argc - 1, argv + 1)) {
		obs_command_help(cmd);
		return OBS_EXIT_OK;
	}
	return cmd->run(argc - 1, argv + 1);
}
