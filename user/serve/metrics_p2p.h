/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics_p2p.h - the metrics of nodes' dealings with their peers (model/p2p.h).
 */
#pragma once

#include "model/model.h"
#include "util/buf.h"

/** obs_metrics_p2p() - append them in Prometheus' text format; nothing where no p2pd was seen. */
void obs_metrics_p2p(const struct obs_model *m, struct obs_buf *out);
