/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits.h - what may be used by processes that share their cgroup with others (a node outside of a
 * container, in a session or a service): the least of the limits of its cgroup and those above.
 */
#pragma once

#include <stdint.h>

#include "util/slice.h"

struct obs_limits {
	uint64_t memory_bytes; /* UINT64_MAX = none */
	double cpus;	       /* NAN = none */
};

/**
 * obs_limits_read() - look, in v1 and v2.
 * @mounts: text of /proc/self/mounts
 * @cgroup: text of /proc/PID/cgroup of one of them; untrusted
 */
void obs_limits_read(struct obs_slice mounts, struct obs_slice cgroup, struct obs_limits *ret);
