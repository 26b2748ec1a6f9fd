// SPDX-License-Identifier: BSD-2-Clause
/* tz.c - see tz.h. What libc does at tzset(), from outside. */
#include "observe/tz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "observe/proc.h"
#include "util/cleanup.h"

#define DATABASE "/usr/share/zoneinfo/"

/* The value of TZ in the environment that @pid was started with, or NULL. */
static const char *find_tz(struct obs_buf *variables)
{
	const char *p = obs_buf_cstr(variables), *end = p + variables->len;

	for (; p < end; p += strlen(p) + 1) {
		if (strncmp(p, "TZ=", 3) == 0)
			return p + 3;
	}
	return NULL;
}

static int open_named(const char *name, struct obs_zone **ret)
{
	name += *name == ':';
	if (strncmp(name, DATABASE, sizeof(DATABASE) - 1) == 0)
		name += sizeof(DATABASE) - 1;
	return obs_zone_open(name, ret);
}

/* As its root shows it: links inside a container do not lead out of it. */
static int open_localtime(pid_t pid)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	cleanup_close int root = -1;
	char dir[64];
	long fd;

	snprintf(dir, sizeof(dir), "/proc/%d/root", pid);
	root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = syscall(SYS_openat2, root, "/etc/localtime", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int read_localtime(pid_t pid, struct obs_zone **ret)
{
	cleanup_close int fd = open_localtime(pid);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	return obs_zone_read(fd, ret);
}

int obs_tz_of_process(pid_t pid, struct obs_zone **ret)
{
	cleanup_buf struct obs_buf variables = {};
	const char *name = NULL;

	if (obs_proc_read(pid, "environ", &variables) == 0)
		name = find_tz(&variables);
	return name && *name ? open_named(name, ret) : read_localtime(pid, ret);
}
