// SPDX-License-Identifier: BSD-2-Clause
/*
 * gpu_names.c - names for what GPU drivers give as numbers.
 */
#include "model/usage.h"
#include "util/cleanup.h"

/* nvmlClocksThrottleReason…; bits 5 to 7 are hardware's own, the ones that mean trouble. */
static const char *const throttle_names[] = {
	"idle",	      "applications_clocks", "sw_power_cap",   "hw_slowdown",	 "sync_boost",
	"sw_thermal", "hw_thermal",	     "hw_power_brake", "display_clocks",
};

const char *obs_throttle_str(unsigned bit)
{
	return bit < ARRAY_LEN(throttle_names) ? throttle_names[bit] : NULL;
}
