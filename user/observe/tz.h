/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tz.h - the time zone in which a process writes its log lines.
 */
#pragma once

#include <sys/types.h>

#include "parse/zone.h"

/**
 * obs_tz_of_process() - the zone of @pid: its TZ, else its /etc/localtime.
 * @ret: owned by the caller
 *
 * Both are the process's own word; whatever they hold, at most a wrong zone comes out.
 *
 * Return: 0, -ENOENT when neither says anything (which means UTC), or a negative errno.
 */
int obs_tz_of_process(pid_t pid, struct obs_zone **ret);
