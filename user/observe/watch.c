// SPDX-License-Identifier: BSD-2-Clause
/* watch.c - see watch.h. */
#include "observe/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

struct obs_watch {
	int fd; /* owned */
	uv_poll_t poll;
	obs_watch_fn fn;
	void *ctx;
};

static unsigned what_of(uint32_t mask)
{
	return (mask & IN_MODIFY ? OBS_WATCH_MODIFIED : 0) |
	       (mask & IN_OPEN ? OBS_WATCH_OPENED : 0) |
	       (mask & (IN_CREATE | IN_MOVED_TO) ? OBS_WATCH_CAME : 0) |
	       ((mask & (IN_CREATE | IN_ISDIR)) == IN_CREATE ? OBS_WATCH_MADE : 0) |
	       (mask & IN_Q_OVERFLOW ? OBS_WATCH_MISSED : 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct obs_watch *w = poll->data;
	ssize_t n = read(w->fd, buf, sizeof(buf));

	(void)status;
	(void)events;
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const void *)(buf + at);

		w->fn(w->ctx, e->wd, what_of(e->mask), e->len ? e->name : "");
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

int obs_watch_new(uv_loop_t *loop, obs_watch_fn fn, void *ctx, struct obs_watch **ret)
{
	struct obs_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct obs_watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
				 .fn = fn,
				 .ctx = ctx };
	if (w->fd < 0) {
		r = -errno;
		free(w);
		return r;
	}
	uv_poll_init(loop, &w->poll, w->fd);
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	*ret = w;
	return 0;
}

static int add(struct obs_watch *w, int fd, uint32_t mask)
{
	char path[64];
	int wd;

	/* The magic link leads to the inode itself, in whatever mount namespace it is. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(w->fd, path, mask);
	return wd < 0 ? -errno : wd;
}

int obs_watch_add(struct obs_watch *w, int fd)
{
	return add(w, fd, IN_MODIFY | IN_OPEN);
}

int obs_watch_add_dir(struct obs_watch *w, int fd)
{
	return add(w, fd, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
}

void obs_watch_drop(struct obs_watch *w, int wd)
{
	inotify_rm_watch(w->fd, wd);
}

static void on_closed(uv_handle_t *handle)
{
	struct obs_watch *w = handle->data;

	close(w->fd);
	free(w);
}

void obs_watch_free(struct obs_watch **wp)
{
	struct obs_watch *w = *wp;

	if (!w)
		return;
	*wp = NULL;
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
