/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metric.h - what the files that write /metrics share.
 */
#pragma once

#include "model/model.h"
#include "util/buf.h"

struct obs_metric_label {
	const char *name, *value;
};

/** obs_metric_head() - the HELP and TYPE lines. */
void obs_metric_head(struct obs_buf *out, const char *name, const char *type, const char *help);

/** obs_metric_line() - one sample; of whole numbers all digits are kept. */
void obs_metric_line(struct obs_buf *out, const char *name, const struct obs_metric_label *labels,
		     size_t n, double value);
void obs_metric_line_count(struct obs_buf *out, const char *name,
			   const struct obs_metric_label *labels, size_t n, uint64_t value);

/** obs_metrics_usage_format() - what nodes, their roles, the host and its GPUs use. */
void obs_metrics_usage_format(const struct obs_model *m, struct obs_buf *out);

/** obs_metrics_peers_format() - nodes' connections and peers. */
void obs_metrics_peers_format(const struct obs_model *m, struct obs_buf *out);

/** obs_metrics_chain_format() - the chain's RPC server and the contract; nothing if not asked. */
void obs_metrics_chain_format(const struct obs_model *m, struct obs_buf *out);
