/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * part_host.h - what the host and its GPUs use: the part, and its row among the probes.
 */
#pragma once

#include "pipeline/part.h"

extern const struct obs_part_ops obs_part_host;

/** obs_gpu_describe() - how GPUs are seen on this host, as a probe; may take seconds. */
void obs_gpu_describe(const struct obs_config *config, struct obs_model *model);
