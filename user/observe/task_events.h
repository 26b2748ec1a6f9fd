/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * task_events.h - forks, execs and exits where BPF is refused: from the kernel's process connector,
 * with what a process used from taskstats. Both are netlink, for root in the host's own network
 * namespace.
 *
 * They come as the records that BPF would send (wire.h), so that nobody behind has to know. What
 * is not in them: who sent a signal, and for which limit the kernel killed.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "model/model.h"
#include "util/counters.h"

struct obs_process;

struct obs_task_events_options {
	uv_loop_t *loop;
	struct obs_counters *counters;
	/* The process @pid of a node, or NULL: of others only programs that start are told. */
	const struct obs_process *(*find)(void *ctx, pid_t pid);
	/* A record, as the ring hands it over; valid during the call. */
	void (*record)(void *ctx, const void *data, size_t len);
	/* Messages were lost: look at all processes. */
	void (*lost)(void *ctx);
	void *ctx;
};

struct obs_task_events;

/**
 * obs_task_events_describe() - can it be had? Sets the rung of @p and what stays unseen on it, or why
 * it is refused.
 *
 * Return: whether obs_task_events_new() will work.
 */
bool obs_task_events_describe(struct obs_probe_status *p);

/** obs_task_events_new() - listen from now on. Return: 0, or a negative errno. */
int obs_task_events_new(const struct obs_task_events_options *opt, struct obs_task_events **ret);

/** obs_task_events_free() - the loop must run once more to let go of it. */
void obs_task_events_free(struct obs_task_events **t);
