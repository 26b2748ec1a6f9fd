/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - kernel time and wall time, both in ns.
 */
#pragma once

#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define OBS_NS_PER_S  UINT64_C(1000000000)
#define OBS_NS_PER_MS UINT64_C(1000000)

/** obs_clock_ns() - the time of @clock (CLOCK_REALTIME, CLOCK_MONOTONIC, …), ns. */
static inline uint64_t obs_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * OBS_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/** obs_wall_ns() - CLOCK_REALTIME. */
static inline uint64_t obs_wall_ns(void)
{
	return obs_clock_ns(CLOCK_REALTIME);
}

/** obs_boot_ns() - CLOCK_BOOTTIME as the kernel's records have it, also in a time namespace.
 * First called before there are threads. */
uint64_t obs_boot_ns(void);

/** obs_ticks_ns() - what /proc tells in clock ticks (USER_HZ, proc(5)), in ns. */
static inline uint64_t obs_ticks_ns(uint64_t ticks)
{
	long per_s = sysconf(_SC_CLK_TCK);

	return ticks * (OBS_NS_PER_S / (per_s > 0 ? (uint64_t)per_s : 100));
}

/*
 * Kernel time to wall time. CLOCK_BOOTTIME goes on in suspend and is never set, so one offset
 * is enough; it changes when the wall clock is set, slewed, or a leap second is put in.
 */
struct obs_wall_clock {
	uint64_t minus_boot_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME, modulo 2^64 */
};

/**
 * obs_wall_clock_measure() - look at both clocks again; a few hundred nanoseconds.
 *
 * Return: by how much the wall clock was moved since, in ns; 0 for less than can be told from
 * the noise (the offset stays as it was then).
 */
int64_t obs_wall_clock_measure(struct obs_wall_clock *c, uint64_t (*wall_ns)(void),
			       uint64_t (*boot_ns)(void));

/** obs_wall_clock_at() - the wall time of @boot_ns. */
static inline uint64_t obs_wall_clock_at(const struct obs_wall_clock *c, uint64_t boot_ns)
{
	return boot_ns + c->minus_boot_ns;
}
