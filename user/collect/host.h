/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.h - what the host as a whole uses, out of /proc and /sys.
 */
#pragma once

#include "model/usage.h"

struct obs_host;

/**
 * obs_host_new() - @proc, @sys: "/proc" and "/sys", or copies of them; borrowed for life.
 *
 * Return: 0 or -ENOMEM.
 */
int obs_host_new(const char *proc, const char *sys, struct obs_host **ret);
void obs_host_free(struct obs_host **h);

struct obs_host_wanted {
	bool cpu, ram;
};

/**
 * obs_host_read() - fill @u in, but for its disks and GPUs; what is not wanted, or not told here,
 * becomes OBS_UNKNOWN or NAN. Rates are over the time since the call before.
 */
void obs_host_read(struct obs_host *h, const struct obs_host_wanted *wanted, uint64_t boot_ns,
		   uint64_t wall_ns, struct obs_host_usage *u);

/**
 * obs_host_volumes() - add the file systems that somebody writes to.
 * @mountinfo: text of /proc/PID/mountinfo
 * @root:      "/proc/PID/root": where that process's root is for us
 * @dir:       only the volume that this directory is on, and the one of "/"; NULL: all
 * @used_by:   who writes there, for people
 *
 * Only kinds that live on this host: a file server that does not answer must not hold us up. A file
 * system that is in @u already is not added again, nor are more than OBS_HOST_DISKS.
 */
void obs_host_volumes(const char *mountinfo, const char *root, const char *dir, const char *used_by,
		      struct obs_host_usage *u);
