/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * procfs.h - what a process used, as /proc tells it: the rung below the kernel's iterator.
 */
#pragma once

#include "model/usage.h"

/**
 * obs_procfs_look() - one process as a whole.
 * @root: "/proc", or a copy of it
 * @ret:  slot is left 0; swap is not known here and left 0
 *
 * Return: 0, or a negative errno: it is gone, or its files cannot be read.
 */
int obs_procfs_look(const char *root, int32_t pid, struct obs_task_usage *ret);

/** obs_procfs_parse_stat() - the text of /proc/PID/stat. Return: 0 or -EINVAL. */
int obs_procfs_parse_stat(const char *text, struct obs_task_usage *ret);

/** obs_procfs_parse_io() - the text of /proc/PID/io. */
void obs_procfs_parse_io(const char *text, struct obs_used *ret);

/** obs_procfs_wait_channel() - the kernel function that @pid sleeps in; "" when it runs, or
 * when the kernel does not tell. */
void obs_procfs_wait_channel(const char *root, int32_t pid, char *out, size_t size);

/**
 * obs_procfs_line() - the next line of a text into @out, cut to @size, without its newline.
 * @at: moved behind it
 *
 * Return: false when there is none.
 */
bool obs_procfs_line(const char **at, char *out, size_t size);

/** obs_procfs_read() - a small file into @out, NUL-terminated. Return: bytes or negative errno. */
int obs_procfs_read(const char *path, char *out, size_t size);
