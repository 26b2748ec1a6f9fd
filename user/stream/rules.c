// SPDX-License-Identifier: BSD-2-Clause
/* rules.c - see rules.h. The first row that matches decides. */
#include "stream/rules.h"

#include <fnmatch.h>
#include <string.h>

#include "util/cleanup.h"

static const struct {
	const char *glob; /* for the whole path; '*' matches '/' too */
	bool output_only; /* only where stdout or stderr goes there */
	bool follow;
} table[] = {
	/* wandb keeps a database and copies of console text beside its debug logs */
	{ "*.wandb", false, false },
	{ "*/wandb/*/files/*", false, false },
	{ "*/wandb/*debug*.log", false, true },
	{ "*.log", false, true },
	{ "*.db", false, false },
	{ "*.sqlite*", false, false },
	{ "*.safetensors", false, false },
	{ "*.bin", false, false },
	{ "*.pt", false, false },
	{ "*.lock", false, false },
	{ "*.gz", false, false },
	/* nohup.out, `> gensynnode.txt` */
	{ "*", true, true },
};

static bool configured(const char *path, const struct obs_strv *log_files)
{
	for (size_t i = 0; log_files && i < log_files->n; i++) {
		const char *want = log_files->v[i];
		const char *name = strrchr(path, '/');

		if (fnmatch(want, path, 0) == 0)
			return true;
		/* a bare name, or one relative to where the node runs */
		if (*want != '/' && name && fnmatch(want, name + 1, 0) == 0)
			return true;
	}
	return false;
}

bool obs_stream_wanted(const char *path, bool is_output, const struct obs_strv *log_files)
{
	if (configured(path, log_files))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].output_only && !is_output)
			continue;
		if (fnmatch(table[i].glob, path, 0) == 0)
			return table[i].follow;
	}
	return false;
}
