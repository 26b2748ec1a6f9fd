/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * taskstats.h - what a thread used, told by the kernel when it ends (generic netlink, family
 * TASKSTATS, for root): one message per thread, before the process connector's word of its end.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct obs_taskstats;

/* One thread that has ended. */
struct obs_thread_end {
	pid_t pid, tgid; /* kernels before 5.19 do not tell tgid: it is pid then */
	uint64_t user_ns, system_ns;
	uint64_t min_faults, maj_faults;
	uint64_t read_bytes, write_bytes; /* of storage */
	uint64_t max_rss_bytes;		  /* of its process so far */
};

/** obs_taskstats_open() - Return: 0, or a negative errno: -ENOENT without CONFIG_TASKSTATS. */
int obs_taskstats_open(struct obs_taskstats **ret);
void obs_taskstats_free(struct obs_taskstats **t);

/** obs_taskstats_fd() - becomes readable when threads have ended. Borrowed. */
int obs_taskstats_fd(const struct obs_taskstats *t);

/** obs_taskstats_next() - Return: 1 and @ret, 0 when there is nothing, -ENOBUFS after a loss. */
int obs_taskstats_next(struct obs_taskstats *t, struct obs_thread_end *ret);
