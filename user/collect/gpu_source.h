/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gpu_source.h - what a way to find out about GPUs has to do. All calls come on gpu.c's thread and
 * may take as long as they like.
 */
#pragma once

#include <math.h>
#include <stdatomic.h>

#include "collect/gpu.h"

#define OBS_GPU_WHY 160

/* Which call of a driver is being waited for, for people; static text. */
struct obs_gpu_progress {
	_Atomic(const char *) call;
};

struct obs_gpu_source_ops {
	const char *name;
	/* 0; -ENODEV: there is nothing of this kind here; else a negative errno, and why in words */
	int (*begin)(const struct obs_gpu_options *opt, struct obs_gpu_progress *progress,
		     void **ret, char *why);
	/* Up to OBS_GPUS_MAX. A negative errno, and why: it has to be opened again. */
	int (*read)(void *source, struct obs_gpu_usage *gpus, size_t *n, char *why);
	void (*close)(void **source);
};

extern const struct obs_gpu_source_ops obs_gpu_nvml, obs_gpu_nvidia_smi, obs_gpu_amd;

/** obs_gpu_forget() - all numbers unknown; who it is stays. */
static inline void obs_gpu_forget(struct obs_gpu_usage *g)
{
	g->util_percent = g->memory_util_percent = g->temp_c = NAN;
	g->power_w = g->power_limit_w = g->fan_percent = NAN;
	g->sm_mhz = g->memory_mhz = g->max_sm_mhz = NAN;
	g->memory_used_bytes = g->memory_total_bytes = OBS_UNKNOWN;
	g->throttle_reasons = g->ecc_corrected = g->ecc_uncorrected = OBS_UNKNOWN;
	g->xid_errors = g->last_xid = OBS_UNKNOWN;
	g->n_procs = 0;
}

/** obs_gpu_new() - a whole card of which nothing is known yet. */
static inline struct obs_gpu_usage obs_gpu_new(uint32_t index)
{
	struct obs_gpu_usage g = { .index = index, .mig_parent = -1, .instance = UINT32_MAX };

	obs_gpu_forget(&g);
	return g;
}

/** obs_gpu_add_process() - as long as there is room. */
static inline void obs_gpu_add_process(struct obs_gpu_usage *g, uint32_t pid, uint64_t memory_bytes,
				       uint32_t instance)
{
	if (g->n_procs < OBS_GPU_PROCS)
		g->procs[g->n_procs++] = (struct obs_gpu_process){
			.pid = pid, .instance = instance, .memory_bytes = memory_bytes, .role = ""
		};
}
