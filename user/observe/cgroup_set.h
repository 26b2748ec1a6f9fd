/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup_set.h - cgroups that take in others: programs on one of them see the packets of all below
 * it, so each packet passes one set of programs only if no member lies below another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/slice.h"

#define OBS_CGROUP_SET_MAX  64
#define OBS_CGROUP_PATH_MAX 1024

struct obs_cgroup_set {
	char *paths[OBS_CGROUP_SET_MAX]; /* owned, none below another; "/" = all there are */
	size_t n;
};

/**
 * obs_cgroup_set_add() - @path and all below it. Too many, or without memory: "/" in their place.
 * @path: as in /proc/PID/cgroup behind "0::"
 *
 * Return: 0, or -EINVAL: it is no path, longer than OBS_CGROUP_PATH_MAX, or outside of our cgroup
 * namespace ("/../…").
 */
int obs_cgroup_set_add(struct obs_cgroup_set *set, struct obs_slice path);

/** obs_cgroup_set_has() - is exactly @path a member? */
bool obs_cgroup_set_has(const struct obs_cgroup_set *set, const char *path);

void obs_cgroup_set_reset(struct obs_cgroup_set *set);

/** obs_cgroup_v2_path() - of the text of /proc/PID/cgroup; empty when there is none. Borrowed. */
struct obs_slice obs_cgroup_v2_path(struct obs_slice text);
