/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.h - states of nodes for /api/v1/nodes and /metrics. Part of serve/ only.
 */
#pragma once

#include "model/model.h"
#include "util/buf.h"

/** obs_nodes_format() - append the JSON of /api/v1/nodes. Return: 200, or 500 without memory. */
unsigned obs_nodes_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);

/** obs_metrics_nodes_format() - state and earning of each node, as samples. */
void obs_metrics_nodes_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);
