// SPDX-License-Identifier: BSD-2-Clause
/* procfs.c - see procfs.h. */
#include "collect/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define STAT_FIELDS 24 /* of proc(5): up to rss */

int obs_procfs_read(const char *path, char *out, size_t size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, out + len, size - 1 - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	} while (n > 0 && len < size - 1);
	out[len] = '\0';
	return (int)len;
}

bool obs_procfs_line(const char **at, char *out, size_t size)
{
	const char *p = *at, *nl;

	if (!*p)
		return false;
	nl = strchrnul(p, '\n');
	snprintf(out, size, "%.*s", (int)(nl - p), p);
	*at = *nl ? nl + 1 : nl;
	return true;
}

static int read_of(const char *root, int32_t pid, const char *name, char *out, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d/%s", root, pid, name);
	return obs_procfs_read(path, out, size);
}

static void take_comm(const char *open, const char *close, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)(close - open - 1), open + 1);
}

int obs_procfs_parse_stat(const char *text, struct obs_task_usage *ret)
{
	/* A process may put parentheses and blanks into its name: the last one ends it. */
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	uint64_t field[STAT_FIELDS + 1] = {};
	const char *p;
	char *end;

	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return -EINVAL;
	p = close + 3;
	for (int i = 4; i <= STAT_FIELDS; i++) {
		field[i] = strtoull(p, &end, 10);
		if (end == p)
			return -EINVAL;
		p = end;
	}
	*ret = (struct obs_task_usage){
		.pid = (int32_t)strtol(text, NULL, 10),
		.ppid = (int32_t)field[4],
		.threads = (uint32_t)field[20],
		.start_ns = obs_ticks_ns(field[22]),
		.leader = true,
		.state = close[2],
		.rss_bytes = field[24] * (uint64_t)sysconf(_SC_PAGESIZE),
		.used = {
			.cpu_ns = obs_ticks_ns(field[14] + field[15]),
			.user_ns = obs_ticks_ns(field[14]),
			.system_ns = obs_ticks_ns(field[15]),
			.min_faults = field[10],
			.maj_faults = field[12],
		},
	};
	take_comm(open, close, ret->comm, sizeof(ret->comm));
	return 0;
}

static uint64_t keyed(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 10) : 0;
}

void obs_procfs_parse_io(const char *text, struct obs_used *ret)
{
	uint64_t written = keyed(text, "\nwrite_bytes: ");
	uint64_t cancelled = keyed(text, "\ncancelled_write_bytes: ");

	ret->read_bytes = keyed(text, "\nread_bytes: ");
	ret->write_bytes = written > cancelled ? written - cancelled : 0;
}

int obs_procfs_look(const char *root, int32_t pid, struct obs_task_usage *ret)
{
	struct obs_task_usage task;
	char text[1024];
	int r = read_of(root, pid, "stat", text, sizeof(text));

	if (r >= 0)
		r = obs_procfs_parse_stat(text, &task);
	if (r < 0)
		return r;
	if (read_of(root, pid, "io", text, sizeof(text)) > 0) /* not of other users' processes */
		obs_procfs_parse_io(text, &task.used);
	*ret = task;
	return 0;
}

void obs_procfs_wait_channel(const char *root, int32_t pid, char *out, size_t size)
{
	if (read_of(root, pid, "wchan", out, size) < 0 || strcmp(out, "0") == 0)
		out[0] = '\0';
}
