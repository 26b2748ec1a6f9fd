// SPDX-License-Identifier: BSD-2-Clause
/* states.c - `states`: the state machine's tables and diagram, as docs/states.md has them. */
#include <stdio.h>

#include "command/command.h"
#include "model/state.h"
#include "util/cleanup.h"

static const struct obs_option options[] = { { 0 } };

static int run(int argc, char **argv)
{
	cleanup_buf struct obs_buf text = {};
	struct obs_option_value o;
	int i = 1, r;

	while ((r = obs_command_next(&obs_command_states, argc, argv, &i, &o)) > 0) {
		fprintf(stderr, "states takes no argument\n");
		return OBS_EXIT_USAGE;
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	obs_states_document(&text);
	fputs(obs_buf_cstr(&text), stdout);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_states = {
	.name = "states",
	.summary = "print the table of a node's states and transitions (Markdown, with a diagram)",
	.arguments = "",
	.options = options,
	.details = "The daemon follows exactly this table. docs/states.md is its output.",
	.run = run,
};
