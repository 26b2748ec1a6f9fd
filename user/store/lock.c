// SPDX-License-Identifier: BSD-2-Clause
/* lock.c - see lock.h. */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define PAUSE_NS   10000000
#define PAUSES_MAX 200

static int make_one_dir(const char *dir)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int obs_lock_make_dir(const char *dir)
{
	char path[PATH_MAX];
	int r;

	if (strlen(dir) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, strlen(dir) + 1);

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		r = make_one_dir(path);
		if (r < 0)
			return r;
		*slash = '/';
	}
	return make_one_dir(path);
}

static int read_pid(int fd)
{
	char text[16] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;

	return pid > 0 && pid <= INT_MAX ? (int)pid : 0;
}

static int write_pid(int fd)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) < 0)
		return -errno;
	return 0;
}

static bool is_gone(int pid)
{
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* A child of an observer that was killed has its lock until it ends too: a moment. */
static int take_lock(int fd, int *ret_pid)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int pid = 0;

	for (int i = 0; i < PAUSES_MAX; i++) {
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		pid = read_pid(fd);
		if (!is_gone(pid))
			break;
		nanosleep(&pause, NULL);
	}
	if (ret_pid)
		*ret_pid = pid;
	return -EBUSY;
}

int obs_lock_open(const char *dir, int *ret_pid, int *ret)
{
	cleanup_close int fd = -1;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;

	r = take_lock(fd, ret_pid);
	if (r < 0)
		return r;

	/* A full disk must not keep the observer from starting: the lock holds without the pid. */
	r = write_pid(fd);
	if (r < 0 && r != -ENOSPC && r != -EDQUOT)
		return r;

	*ret = TAKE_FD(fd);
	return 0;
}
