/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tally.h - sums what processes used, per node and per role, also of those that end between two looks.
 *
 * It does not matter whether a look came from the kernel's iterator or from /proc. A look is
 * obs_tally_begin(), an obs_tally_add() per thread or process in any order, obs_tally_finish().
 */
#pragma once

#include "model/usage.h"

struct obs_tally;

int obs_tally_new(struct obs_tally **ret);
void obs_tally_free(struct obs_tally **t);

/** obs_tally_open_node() - from now on @slot counts. Return: 0, -EINVAL or -ENOMEM. */
int obs_tally_open_node(struct obs_tally *t, uint32_t slot);

/** obs_tally_drop_node() - forget @slot and its processes. */
void obs_tally_drop_node(struct obs_tally *t, uint32_t slot);

/** obs_tally_begin() - a look begins. @boot_ns: CLOCK_BOOTTIME */
void obs_tally_begin(struct obs_tally *t, uint64_t boot_ns);

/**
 * obs_tally_add() - one thread, or one process as a whole, of the look.
 * @role: below OBS_USAGE_ROLES
 *
 * Of nodes that were not opened nothing is kept. Return: 0 or -ENOMEM.
 */
int obs_tally_add(struct obs_tally *t, const struct obs_task_usage *task, unsigned role);

/** obs_tally_started() - @pid of @slot was forked, or found. Return: 0 or -ENOMEM. */
int obs_tally_started(struct obs_tally *t, uint32_t slot, int32_t pid);

/** obs_tally_ended() - @pid of @slot ended; nothing happens if obs_tally_exit() told of it. */
void obs_tally_ended(struct obs_tally *t, uint32_t slot, int32_t pid);

/** obs_tally_exit() - a process ended, and this is all that it used. */
void obs_tally_exit(struct obs_tally *t, const struct obs_exit_usage *exit, unsigned role);

/** obs_tally_late() - CPU time of @slot that came to light after the exits, as a running total;
 * the first call sets what it starts from. */
void obs_tally_late(struct obs_tally *t, uint32_t slot, uint64_t total_ns);

/** obs_tally_finish() - the look is done: sums and rates are worked out. */
void obs_tally_finish(struct obs_tally *t, uint64_t wall_ns);

/** obs_tally_cgroup() - what the cgroup of @slot says now; its CPU time counts before ours. */
void obs_tally_cgroup(struct obs_tally *t, uint32_t slot, const struct obs_cgroup_usage *cgroup,
		      uint64_t boot_ns);

/** obs_tally_node() - what @slot uses, or NULL. Borrowed until obs_tally_drop_node(). */
struct obs_node_usage *obs_tally_node(struct obs_tally *t, uint32_t slot);

/** obs_tally_each_pid() - every process known now; @fn may call obs_tally_add() for it. */
void obs_tally_each_pid(struct obs_tally *t, void (*fn)(void *ctx, uint32_t slot, int32_t pid),
			void *ctx);

/** obs_tally_processes() - processes known now. */
size_t obs_tally_processes(const struct obs_tally *t);
