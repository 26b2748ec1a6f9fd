/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proc.h - what /proc says of a process. All of it is the process's own word:
 * bounded, and never trusted beyond that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/buf.h"
#include "util/slice.h"

/** obs_proc_read() - /proc/@pid/@name, at most 64 KiB, into @out (emptied first). */
int obs_proc_read(pid_t pid, const char *name, struct obs_buf *out);

/** obs_proc_parent() - its parent's pid, or 0. */
pid_t obs_proc_parent(pid_t pid);

/** obs_proc_start_ticks() - clock ticks from boot to its start; 0 = gone. With the pid this
 * names one process for good (field 22 of proc(5) stat). */
uint64_t obs_proc_start_ticks(pid_t pid);

/** obs_proc_is_zombie() - has it ended, and only waits for its parent to ask how? */
bool obs_proc_is_zombie(pid_t pid);

/* What is left of a process that has ended. */
struct obs_proc_zombie {
	pid_t ppid;
	uint64_t start_ticks;
	char comm[16];
	int wait_status; /* 0 also where we may not know (field 52 of proc(5) stat) */
};

/** obs_proc_zombie() - as obs_proc_is_zombie(), and what is left of it. @ret: only if true. */
bool obs_proc_zombie(pid_t pid, struct obs_proc_zombie *ret);

/** obs_proc_lives() - does the process that started then still run? A zombie does not. */
bool obs_proc_lives(pid_t pid, uint64_t start_ticks);

/** obs_proc_comm() - its name, "" if it is gone. */
void obs_proc_comm(pid_t pid, char *out, size_t size);

/**
 * obs_proc_cgroup_v2() - the v2 cgroup's id, the number bpf_get_current_cgroup_id() gives.
 * @cgroup: text of /proc/PID/cgroup
 * @must_contain: only if its path contains this (a container id)
 *
 * Return: the id, or 0.
 */
uint64_t obs_proc_cgroup_v2(struct obs_slice cgroup, const char *must_contain);

/** obs_proc_cgroup2_mount() - where cgroup v2 is mounted: /sys/fs/cgroup, or …/unified on a hybrid
 * host; NULL = nowhere. Static text. */
const char *obs_proc_cgroup2_mount(void);

/** obs_proc_netns() - the number of the network namespace that it is in; 0 = it is gone. */
uint32_t obs_proc_netns(pid_t pid);

/** typedef obs_proc_fn - return false to stop. */
typedef bool (*obs_proc_fn)(void *ctx, pid_t pid);

/** obs_proc_each() - every process on the host. Return: 0 or a negative errno. */
int obs_proc_each(obs_proc_fn fn, void *ctx);

struct obs_proc_fd {
	int fd;
	bool writable;	  /* by /proc/PID/fdinfo */
	const char *path; /* link target, "" if unreadable; borrowed for the call */
};

typedef void (*obs_proc_fd_fn)(void *ctx, pid_t pid, const struct obs_proc_fd *fd);

/** obs_proc_each_fd() - descriptors of @pid that are regular files, at most 4,096. */
int obs_proc_each_fd(pid_t pid, obs_proc_fd_fn fn, void *ctx);
