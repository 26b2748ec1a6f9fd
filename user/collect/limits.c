// SPDX-License-Identifier: BSD-2-Clause
/* limits.c - see limits.h. */
#include "collect/limits.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/cgroup.h"
#include "util/cleanup.h"

#define NO_LIMIT (1ULL << 60) /* v1 writes a number near 2^63 */

/* Its first two numbers; false where there is no such file, or no limit ("max", -1). */
static bool numbers_in(const char *dir, const char *name, double *first, double *second)
{
	char path[PATH_MAX + 64];
	cleanup_fclose FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	*second = 0;
	return f && fscanf(f, "%lf %lf", first, second) >= 1 && *first >= 0;
}

static void look_at_memory(const char *dir, const char *name, struct obs_limits *l)
{
	double bytes, unused;

	if (numbers_in(dir, name, &bytes, &unused) && bytes < (double)NO_LIMIT &&
	    bytes < (double)l->memory_bytes)
		l->memory_bytes = (uint64_t)bytes;
}

static void look_at_cpu(double quota, double period, struct obs_limits *l)
{
	if (period > 0 && !(l->cpus < quota / period))
		l->cpus = quota / period;
}

static void look_at_v2(const char *dir, struct obs_limits *l)
{
	double quota, period;

	look_at_memory(dir, "memory.max", l);
	if (numbers_in(dir, "cpu.max", &quota, &period))
		look_at_cpu(quota, period, l);
}

static void look_at_v1_memory(const char *dir, struct obs_limits *l)
{
	look_at_memory(dir, "memory.limit_in_bytes", l);
}

static void look_at_v1_cpu(const char *dir, struct obs_limits *l)
{
	double quota, period, unused;

	if (numbers_in(dir, "cpu.cfs_quota_us", &quota, &unused) &&
	    numbers_in(dir, "cpu.cfs_period_us", &period, &unused))
		look_at_cpu(quota, period, l);
}

void obs_limits_read(struct obs_slice mounts, struct obs_slice cgroup, struct obs_limits *ret)
{
	static const struct {
		const char *controller; /* NULL: v2 */
		void (*look)(const char *dir, struct obs_limits *l);
	} hierarchies[] = {
		{ NULL, look_at_v2 },
		{ "memory", look_at_v1_memory },
		{ "cpu", look_at_v1_cpu },
	};
	char dir[PATH_MAX];
	size_t top;

	*ret = (struct obs_limits){ .memory_bytes = UINT64_MAX, .cpus = NAN };
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		if (!obs_cgroup_directory(mounts, cgroup, hierarchies[i].controller, dir,
					  sizeof(dir), &top))
			continue;
		while (strlen(dir) > top) { /* at the mount point itself there are none */
			hierarchies[i].look(dir, ret);
			*strrchr(dir, '/') = '\0';
		}
	}
}
