// SPDX-License-Identifier: BSD-2-Clause
/* metrics_chain.c - the chain's RPC server and the swarm's contract in /metrics. */
#include "serve/metric.h"
#include "util/cleanup.h"

enum kind { ALWAYS, ONCE_ASKED };

static double number(const struct obs_chain_view *v, unsigned row)
{
	const double numbers[] = {
		v->answers,
		(double)v->ok_ns / 1e9,
		v->latency_s,
		(double)v->block,
		(double)v->round,
		(double)v->round_ns / 1e9,
		(double)v->n_bootnodes,
	};

	return numbers[row];
}

/* In the order of the numbers above. */
static const struct {
	const char *name, *help;
	enum kind kind;
} rows[] = {
	{ "gswarm_chain_up", "1 while the chain's RPC server answers", ALWAYS },
	{ "gswarm_chain_last_success_timestamp_seconds",
	  "Time of the last poll of the chain that went well, 0 for none", ALWAYS },
	{ "gswarm_chain_last_poll_seconds", "How long the last poll of the chain took",
	  ONCE_ASKED },
	{ "gswarm_chain_block", "The chain's newest block", ONCE_ASKED },
	{ "gswarm_chain_round", "Round of the contract", ONCE_ASKED },
	{ "gswarm_chain_round_timestamp_seconds", "Time at which that round was first seen",
	  ONCE_ASKED },
	{ "gswarm_chain_bootnodes", "Bootnodes that the contract names", ONCE_ASKED },
};

void obs_metrics_chain_format(const struct obs_model *m, struct obs_buf *out)
{
	const struct obs_chain_view *v = m->chain;

	for (unsigned i = 0; v && i < ARRAY_LEN(rows); i++) {
		if (rows[i].kind == ONCE_ASKED && !v->ok_ns)
			continue;
		obs_metric_head(out, rows[i].name, "gauge", rows[i].help);
		obs_metric_line(out, rows[i].name, NULL, 0, number(v, i));
	}
	if (v) {
		const struct obs_metric_label ok = { "result", "ok" }, bad = { "result", "failed" };

		obs_metric_head(out, "gswarm_chain_polls_total", "counter", "Polls of the chain");
		obs_metric_line_count(out, "gswarm_chain_polls_total", &ok, 1, v->polls_ok);
		obs_metric_line_count(out, "gswarm_chain_polls_total", &bad, 1, v->polls_failed);
		obs_metric_head(out, "gswarm_chain_poll_seconds_total", "counter",
				"Time that these took together");
		obs_metric_line(out, "gswarm_chain_poll_seconds_total", NULL, 0, v->asking_s);
	}
}
