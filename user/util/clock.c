// SPDX-License-Identifier: BSD-2-Clause
/* clock.c - see clock.h. */
#include "util/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

#define TRIES	     3
#define TOLERANCE_NS 20000 /* less is the noise of measuring; time must not jump back for it */

/* In a time namespace CLOCK_BOOTTIME is shifted for us, and not for the kernel's records
 * (bpf_ktime_get_boot_ns()). The namespace's offsets cannot change once it has a process. */
static uint64_t namespace_offset_ns(void)
{
	cleanup_fclose FILE *f = fopen("/proc/self/timens_offsets", "re");
	long long s, ns;
	char name[32];

	while (f && fscanf(f, "%31s %lld %lld", name, &s, &ns) == 3) {
		if (strcmp(name, "boottime") == 0)
			return (uint64_t)(s * (long long)OBS_NS_PER_S + ns);
	}
	return 0;
}

uint64_t obs_boot_ns(void)
{
	static uint64_t offset_ns;
	static bool known;

	if (!known)
		offset_ns = namespace_offset_ns();
	known = true;
	return obs_clock_ns(CLOCK_BOOTTIME) - offset_ns;
}

/* Both clocks as of one instant: the try that was interrupted least. */
static uint64_t measure(uint64_t (*wall_ns)(void), uint64_t (*boot_ns)(void))
{
	uint64_t best_span = UINT64_MAX, offset = 0;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = boot_ns(), wall = wall_ns(), span = boot_ns() - before;

		if (span >= best_span)
			continue;
		best_span = span;
		offset = wall - (before + span / 2);
	}
	return offset;
}

int64_t obs_wall_clock_measure(struct obs_wall_clock *c, uint64_t (*wall_ns)(void),
			       uint64_t (*boot_ns)(void))
{
	uint64_t offset = measure(wall_ns, boot_ns);
	int64_t step = (int64_t)(offset - c->minus_boot_ns);

	if (step > -TOLERANCE_NS && step < TOLERANCE_NS)
		return 0;
	c->minus_boot_ns = offset;
	return step;
}
