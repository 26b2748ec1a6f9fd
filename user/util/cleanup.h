/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cleanup.h - owning locals that free themselves at the end of their scope.
 *
 * A local that owns something carries one of the cleanup_* attributes and an
 * initialiser; ownership leaves the scope only through TAKE_PTR or TAKE_FD.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OBS_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void obs_freep(void *p)
{
	free(*(void **)p);
}

/* Close *@fd unless it is negative, keep errno, and leave -1 behind. */
static inline void obs_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void obs_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

static inline void obs_closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
	*d = NULL;
}

#define cleanup_free	 OBS_CLEANUP(obs_freep)
#define cleanup_close	 OBS_CLEANUP(obs_closep)
#define cleanup_fclose	 OBS_CLEANUP(obs_fclosep)
#define cleanup_closedir OBS_CLEANUP(obs_closedirp)

#define TAKE_PTR(p)                       \
	({                                \
		__typeof__(p) tmp_ = (p); \
		(p) = NULL;               \
		tmp_;                     \
	})

static inline int obs_take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define TAKE_FD(fd) obs_take_fd(&(fd))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
