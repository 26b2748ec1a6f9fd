/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - inotify on files that we have open: the rung below BPF.
 */
#pragma once

#include <uv.h>

struct obs_watch;

enum obs_watch_what {
	OBS_WATCH_MODIFIED = 1, /* written to, or its size was changed */
	OBS_WATCH_OPENED = 2,
	OBS_WATCH_CAME = 4,    /* into a directory: made or renamed */
	OBS_WATCH_MADE = 8,    /* … made, and no directory */
	OBS_WATCH_MISSED = 16, /* the kernel's queue was full: of anything; wd is -1 */
};

/** typedef obs_watch_fn - of what is watched as @wd; @what: enum obs_watch_what; @name: of what
 * came, "" else */
typedef void (*obs_watch_fn)(void *ctx, int wd, unsigned what, const char *name);

/** obs_watch_new() - Return: 0, -ENOMEM, or a negative errno. */
int obs_watch_new(uv_loop_t *loop, obs_watch_fn fn, void *ctx, struct obs_watch **ret);

/** obs_watch_add() - watch the file behind our descriptor @fd. Return: wd, or negative errno. */
int obs_watch_add(struct obs_watch *w, int fd);
/** obs_watch_add_dir() - be told of files that come into directory @fd, made or renamed there. */
int obs_watch_add_dir(struct obs_watch *w, int fd);
void obs_watch_drop(struct obs_watch *w, int wd);

/** obs_watch_free() - stop; the loop must run once more for the handle to close. */
void obs_watch_free(struct obs_watch **w);
