/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * overflows.h - how many connections full accept queues have refused, as each network namespace
 * counts them. A listener's own counter of drops has other things in it, such as a stray RST.
 * Belongs to the event loop's thread.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct obs_overflows;

/** obs_overflows_new() - Return: 0 or -ENOMEM. */
int obs_overflows_new(struct obs_overflows **ret);
void obs_overflows_free(struct obs_overflows **o);

/**
 * obs_overflows_take() - how many of @most drops of a listener were refusals, at most: those that
 * its namespace has counted and nobody has taken yet. All of them where that one has not begun, or
 * cannot be asked.
 * @pid: somebody in the namespace
 */
uint32_t obs_overflows_take(struct obs_overflows *o, uint32_t netns, uint32_t pid, uint32_t most);

/** obs_overflows_begin() - from now on, in the namespace of @pid: before its listeners are looked at. */
void obs_overflows_begin(struct obs_overflows *o, pid_t pid);

/** obs_overflows_parse() - the count in a text as /proc/PID/net/netstat, which is taken apart.
 * Return: 0 or -ENOENT. */
int obs_overflows_parse(char *text, uint64_t *ret);
