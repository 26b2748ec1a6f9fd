// SPDX-License-Identifier: BSD-2-Clause
/*
 * amd.c - AMD's GPUs, as their kernel driver shows them in sysfs.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/gpu_source.h"
#include "collect/procfs.h"
#include "util/cleanup.h"

#define CARDS_MAX  64
#define VENDOR_AMD 0x1002

struct amd {
	const char *root;
	struct obs_gpu_progress *progress;
};

static int read_text(const char *dir, const char *name, char *out, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (obs_procfs_read(path, out, size) < 0)
		return -errno;
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static uint64_t read_number(const char *dir, const char *name)
{
	char text[64], *end;
	uint64_t v;

	if (read_text(dir, name, text, sizeof(text)) < 0)
		return OBS_UNKNOWN;
	v = strtoull(text, &end, 0);
	return end == text ? OBS_UNKNOWN : v;
}

static double scaled(const char *dir, const char *name, double scale)
{
	uint64_t v = read_number(dir, name);

	return v == OBS_UNKNOWN ? NAN : (double)v * scale;
}

/* The one directory hwmon/hwmonN of a device. */
static bool find_hwmon(const char *device, char *out, size_t size)
{
	cleanup_closedir DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/hwmon", device);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, "hwmon", 5) == 0)
			return snprintf(out, size, "%s/%s", path, e->d_name) < (int)size;
	}
	return false;
}

static void read_sensors(const char *device, struct obs_gpu_usage *g)
{
	double fan, fan_max;
	char dir[PATH_MAX];

	if (!find_hwmon(device, dir, sizeof(dir)))
		return;
	g->temp_c = scaled(dir, "temp1_input", 1e-3);
	g->power_w = scaled(dir, "power1_average", 1e-6);
	if (isnan(g->power_w))
		g->power_w = scaled(dir, "power1_input", 1e-6);
	g->power_limit_w = scaled(dir, "power1_cap", 1e-6);
	g->sm_mhz = scaled(dir, "freq1_input", 1e-6);
	g->memory_mhz = scaled(dir, "freq2_input", 1e-6);
	fan = scaled(dir, "fan1_input", 100);
	fan_max = scaled(dir, "fan1_max", 1);
	if (fan_max > 0)
		g->fan_percent = fan / fan_max;
}

static void read_card(const char *device, uint32_t index, struct obs_gpu_usage *g)
{
	*g = obs_gpu_new(index);
	if (read_text(device, "product_name", g->name, sizeof(g->name)) < 0 || !*g->name)
		snprintf(g->name, sizeof(g->name), "AMD GPU");
	if (read_text(device, "unique_id", g->uuid, sizeof(g->uuid)) < 0)
		g->uuid[0] = '\0';
	g->util_percent = scaled(device, "gpu_busy_percent", 1);
	g->memory_util_percent = scaled(device, "mem_busy_percent", 1);
	g->memory_used_bytes = read_number(device, "mem_info_vram_used");
	g->memory_total_bytes = read_number(device, "mem_info_vram_total");
	read_sensors(device, g);
}

static int read_amd(void *source, struct obs_gpu_usage *gpus, size_t *n, char *why)
{
	struct amd *s = source;

	(void)why;
	atomic_store(&s->progress->call, "sysfs of amdgpu");
	for (int card = 0; card < CARDS_MAX && *n < OBS_GPUS_MAX; card++) {
		char device[PATH_MAX - 64];

		snprintf(device, sizeof(device), "%s/card%d/device", s->root, card);
		if (read_number(device, "vendor") != VENDOR_AMD ||
		    read_number(device, "mem_info_vram_total") == OBS_UNKNOWN)
			continue; /* none, or a display of another driver */
		read_card(device, (uint32_t)*n, &gpus[*n]);
		(*n)++;
	}
	return 0;
}

static int open_amd(const struct obs_gpu_options *opt, struct obs_gpu_progress *progress,
		    void **ret, char *why)
{
	struct amd *s = calloc(1, sizeof(*s));

	(void)why;
	if (!s)
		return -ENOMEM;
	s->root = opt->amd_root;
	s->progress = progress;
	*ret = s;
	return 0;
}

static void close_amd(void **source)
{
	free(*source);
	*source = NULL;
}

const struct obs_gpu_source_ops obs_gpu_amd = {
	.name = "amd",
	.begin = open_amd,
	.read = read_amd,
	.close = close_amd,
};
