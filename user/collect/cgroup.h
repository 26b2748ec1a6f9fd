/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - what a container's cgroup files say: v2, v1, and hosts that have both.
 *
 * The files are kept open and read again from their start: a look at them costs no path walk.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/usage.h"
#include "util/slice.h"

struct obs_cgroup;

/**
 * obs_cgroup_open() - find and open the files of one container.
 * @mounts:  text of /proc/self/mounts: where the hierarchies are
 * @cgroup:  text of /proc/PID/cgroup of one of its processes; untrusted
 * @id:      the container's id: only directories named after it are its own
 * @ret:     owned by the caller
 *
 * Return: 0, -ENOENT when no hierarchy has a directory of it, -ENOMEM.
 */
int obs_cgroup_open(struct obs_slice mounts, struct obs_slice cgroup, const char *id,
		    struct obs_cgroup **ret);
void obs_cgroup_free(struct obs_cgroup **c);

/**
 * obs_cgroup_directory() - where the cgroup of a process lies, whoever shares it.
 * @controller: of v1; NULL = v2
 * @top:        written on success: length of the mount point, with which @out begins
 */
bool obs_cgroup_directory(struct obs_slice mounts, struct obs_slice cgroup, const char *controller,
			  char *out, size_t size, size_t *top);

/** obs_cgroup_read() - read all of it. What there is no file for is OBS_UNKNOWN (or NAN).
 * Return: 0, or -ENODEV when the cgroup is gone. */
int obs_cgroup_read(struct obs_cgroup *c, struct obs_cgroup_usage *ret);

/** obs_cgroup_versions() - "cgroup v1", "cgroup v2", "cgroup v1 and v2": what it reads from. */
const char *obs_cgroup_versions(const struct obs_cgroup *c);

/** obs_pressure_parse() - a PSI file, of a cgroup or below /proc/pressure. */
void obs_pressure_parse(const char *text, struct obs_pressure *ret);
