// SPDX-License-Identifier: BSD-2-Clause
/* check_config.c - read a config file, say what is wrong with it, start nothing. */
#include "command/command.h"

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "the file to check" },
	{ 0 },
};

static int run(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_check_config = {
	.name = "check-config",
	.summary = "check a config file and print the settings it gives",
	.arguments = "",
	.options = options,
	.details = "",
	.run = run,
};
