/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tasks.h - what the threads of nodes have used, read from the kernel in one pass.
 */
#pragma once

#include "model/usage.h"
#include "obs/wire.h"
#include "observe/kernel.h"

struct obs_tasks;

/** typedef obs_task_fn - one thread; a process's leader and its other threads come in any order. */
typedef void (*obs_task_fn)(void *ctx, const struct obs_task_usage *task);

/**
 * obs_tasks_open() - load the iterator; nothing runs until it is read.
 * @k:   borrowed for life; its members are what is looked at
 * @ret: owned by the caller
 *
 * Return: 0, or a negative errno: this host does not allow it.
 */
int obs_tasks_open(struct obs_kernel *k, struct obs_tasks **ret);
void obs_tasks_free(struct obs_tasks **t);

/**
 * obs_tasks_read() - call @fn for each thread of each node.
 *
 * Return: 0, or a negative errno when the pass could not be finished.
 */
int obs_tasks_read(struct obs_tasks *t, obs_task_fn fn, void *ctx);

/** obs_task_decode() - what one record of the iterator says. */
void obs_task_decode(const struct obs_task *rec, struct obs_task_usage *ret);

/** obs_exit_decode() - what a process that ended had used. */
void obs_exit_decode(const struct obs_rec_exit_usage *rec, struct obs_exit_usage *ret);
