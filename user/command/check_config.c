// SPDX-License-Identifier: BSD-2-Clause
/* check_config.c - read a config file, say what is wrong with it, start nothing. */
#include "command/command.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/keys.h"
#include "pipeline/custom.h"
#include "util/cleanup.h"

extern const struct obs_command obs_command_check_config;

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "the file to check; '-' is standard input" },
	{ 'k', "keys", NULL, "list all keys with type, range, default and meaning" },
	{ 0, "man", NULL, "with --keys: as the source of a man page" },
	{ 0 },
};

struct arguments {
	const char *file;
	bool keys, man;
};

static bool use_color(FILE *f)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fileno(f)) && !(no_color && *no_color);
}

static void print_keys(bool man)
{
	cleanup_buf struct obs_buf out = { 0 };

	if (man)
		obs_keys_format_man(&out);
	else
		obs_keys_format(&out, use_color(stdout));
	fwrite(out.p, 1, out.len, stdout);
}

/* One line, with "error" or "warning" in colour. */
static void print_message(const char *line, size_t len)
{
	const char *error = memmem(line, len, " error: ", 8);
	const char *warning = memmem(line, len, " warning: ", 10);
	bool is_error = error && (!warning || error < warning);
	const char *word = is_error ? error + 1 : warning ? warning + 1 : line;
	size_t n = is_error ? 5 : warning ? 7 : 0;

	fprintf(stderr, "%.*s\033[%sm%.*s\033[0m%.*s\n", (int)(word - line), line,
		is_error ? "1;31" : "1;33", (int)n, word, (int)(line + len - word - n), word + n);
}

static void print_messages(struct obs_buf *messages)
{
	const char *p = obs_buf_cstr(messages);

	if (!use_color(stderr)) {
		fputs(p, stderr);
		return;
	}
	while (*p) {
		size_t len = strcspn(p, "\n");

		print_message(p, len);
		p += len + (p[len] == '\n');
	}
}

static int check(const char *arg)
{
	cleanup_config struct obs_config *config = NULL;
	cleanup_buf struct obs_buf messages = { 0 }, out = { 0 };
	const char *file = obs_config_find(arg);
	int r = obs_config_load(file, &messages, &config);

	if (r == 0)
		r = obs_custom_check(config, &messages);
	print_messages(&messages);
	if (r == -ENOMEM)
		fprintf(stderr, "gswarm-observer check-config: out of memory\n");
	if (r < 0)
		return OBS_EXIT_USAGE;
	printf("# %s\n", file ? file : "no config file: defaults and environment");
	obs_config_format(config, &out);
	fwrite(out.p, 1, out.len, stdout);
	return OBS_EXIT_OK;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	struct obs_option_value v;
	int index = 1, r;

	while ((r = obs_command_next(&obs_command_check_config, argc, argv, &index, &v)) > 0) {
		if (!v.name) {
			fprintf(stderr,
				"gswarm-observer check-config: unexpected '%s'; name the file with -c\n",
				v.value);
			return -EINVAL;
		}
		ret->file = v.letter == 'c' ? v.value : ret->file;
		ret->keys |= v.letter == 'k';
		ret->man |= strcmp(v.name, "man") == 0;
	}
	return r;
}

static int run(int argc, char **argv)
{
	struct arguments args = { 0 };

	if (parse(argc, argv, &args) < 0)
		return OBS_EXIT_USAGE;
	if (!args.keys && !args.man)
		return check(args.file);
	print_keys(args.man);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_check_config = {
	.name = "check-config",
	.summary = "check a config file and print the settings it gives",
	.arguments = "",
	.options = options,
	.details = "Without -c: $CONFIG_PATH, else configs/config.yaml, else\n"
		   "/etc/gswarm-observer/config.yaml, else the defaults.\n"
		   "Problems go to stderr as FILE:LINE:COLUMN. Secrets are printed as ***.\n"
		   "Exit status: 0 when the file can be used, 2 when not.",
	.run = run,
};
