/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gpu.h - GPUs: NVIDIA's by NVML, else by nvidia-smi; AMD's by sysfs.
 *
 * Drivers can hang for minutes, so a thread of its own asks them. Nobody ever waits for it: what it
 * found last is taken, and a driver that does not answer is told as such.
 */
#pragma once

#include "model/usage.h"

struct obs_gpus;

/* Borrowed for life. */
struct obs_gpu_options {
	const char *nvml;	/* "libnvidia-ml.so.1" */
	const char *nvidia_smi; /* "nvidia-smi" */
	const char *nvidia_dir; /* "/proc/driver/nvidia": there when the driver is loaded */
	const char *amd_root;	/* "/sys/class/drm" */
	uint64_t timeout_ms;	/* after which a driver counts as not answering */
};

/** obs_gpus_start() - start the thread; it asks once at once. Return: 0 or a negative errno. */
int obs_gpus_start(const struct obs_gpu_options *opt, struct obs_gpus **ret);

/** obs_gpus_stop() - end the thread. One that hangs in a driver is left behind, and cleans up if it
 * ever comes back. */
void obs_gpus_stop(struct obs_gpus **g);

/** obs_gpus_ask() - have a look soon; nothing happens while the last one goes on. */
void obs_gpus_ask(struct obs_gpus *g);

/** obs_gpus_wait() - until a look is done, at most @ms. Return: false: it is not. */
bool obs_gpus_wait(struct obs_gpus *g, unsigned ms);

/** obs_gpus_get() - what was found last: n_gpus, gpus, gpu_source, gpu_refused and gpu_trouble
 * of @u. Processes are given by pid only. */
void obs_gpus_get(struct obs_gpus *g, struct obs_host_usage *u);
