/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.h - one file per command, one row per command in table.c.
 *
 * The rows give --help, the man page and shell completion.
 */
#pragma once

#define OBS_EXIT_OK    0
#define OBS_EXIT_FAIL  1 /* it could not be done */
#define OBS_EXIT_USAGE 2 /* bad arguments or bad config: nothing was started */

struct obs_option {
	char letter;	      /* 0 = long form only */
	const char *name;     /* long form, without the dashes */
	const char *argument; /* what stands for it in the help; NULL = a flag */
	const char *help;
};

struct obs_command {
	const char *name;
	const char *summary;		   /* one line */
	const char *arguments;		   /* what follows the options, "" = nothing */
	const struct obs_option *options;  /* ends with a row whose name is NULL */
	const char *details;		   /* paragraphs for --help and the man page */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* All commands; ends with a row whose name is NULL. */
/* One row per command, in the order --help shows them; each stands in its own file. */
#define OBS_COMMANDS(X) \
	X(run)          \
	X(trace)        \
	X(doctor)       \
	X(events)       \
	X(peers)        \
	X(replay)       \
	X(nodes)        \
	X(top)          \
	X(states)       \
	X(p2pd)         \
	X(check_config)

#define X(name) extern const struct obs_command obs_command_##name;
OBS_COMMANDS(X)
#undef X

/* What was built, from git. */
extern const char *const obs_version;

extern const struct obs_command *const obs_commands[];

/** obs_command_help() - print the help of @cmd to stdout. */
void obs_command_help(const struct obs_command *cmd);

struct obs_option_value {
	char letter;	   /* the row's letter, or 0 */
	const char *name;  /* the row's long name; NULL for an operand */
	const char *value; /* argument or operand; borrowed from argv */
};

/**
 * obs_command_next() - the next option or operand.
 * @index: starts at 1; advanced
 *
 * --help is handled by the caller of run(). An unknown option prints an error that names
 * the nearest known one.
 *
 * Return: 1, 0 at the end, -EINVAL after an error message.
 */
int obs_command_next(const struct obs_command *cmd, int argc, char **argv, int *index,
		     struct obs_option_value *ret);
