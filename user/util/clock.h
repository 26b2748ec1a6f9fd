/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - kernel time and wall time, both in ns.
 */
#pragma once

#include <stdint.h>
#include <time.h>

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

/** obs_boot_ns() - CLOCK_BOOTTIME, the clock of the records. */
static inline uint64_t obs_boot_ns(void)
{
	return obs_clock_ns(CLOCK_BOOTTIME);
}
