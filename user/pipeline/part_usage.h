/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * part_usage.h - what nodes and the host use: the part, and its row among the probes.
 */
#pragma once

#include "pipeline/part.h"

extern const struct obs_part_ops obs_part_usage;

/** obs_usage_describe() - how use is found out on this host, as a probe.
 * @k: NULL without BPF */
void obs_usage_describe(struct obs_kernel *k, struct obs_model *model);
