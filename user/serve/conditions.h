/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conditions.h - how a node's conditions (model/conditions.h) are shown.
 */
#pragma once

#include "model/model.h"
#include "pipeline/json.h"
#include "util/buf.h"

/** obs_conditions_put() - "conditions": those that hold of the node in @slot, with evidence. */
void obs_conditions_put(struct obs_json *j, const struct obs_model *m, uint32_t slot);

/** obs_metrics_conditions_format() - 0 or 1 for each node and condition. */
void obs_metrics_conditions_format(const struct obs_model *m, struct obs_buf *out);
