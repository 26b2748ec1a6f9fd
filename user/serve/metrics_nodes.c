// SPDX-License-Identifier: BSD-2-Clause
/*
 * metrics_nodes.c - states of nodes in /metrics. One sample per node and state that it is in
 * (value 1), so that what is shown is one line; and numbers to alert on.
 */
#include <stdlib.h>
#include <string.h>

#include "serve/metric.h"
#include "serve/nodes.h"
#include "util/cleanup.h"

typedef void (*sample_fn)(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			  const char *name, const struct obs_metric_label *labels);

/* labels[0] and [1] name the node; there is room for two more. */
static void put_state(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
		      const char *name, const struct obs_metric_label *labels)
{
	const struct obs_metric_label all[] = {
		labels[0], labels[1], { "state", v->state }, { "sub_state", v->sub_state }
	};

	(void)now_ns;
	obs_metric_line_count(out, name, all, ARRAY_LEN(all), 1);
}

static void put_state_age(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			  const char *name, const struct obs_metric_label *labels)
{
	if (v->since_ns && now_ns >= v->since_ns)
		obs_metric_line(out, name, labels, 2, (double)(now_ns - v->since_ns) / 1e9);
}

static void put_earning(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	obs_metric_line(out, name, labels, 2,
			strcmp(v->earning, "yes") == 0	? 1
			: strcmp(v->earning, "no") == 0 ? 0
							: -1);
}

static void put_round(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
		      const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	if (v->round_known)
		obs_metric_line_count(out, name, labels, 2, v->round);
}

static void put_joined(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
		       const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	obs_metric_line_count(out, name, labels, 2, v->rounds_joined);
}

static void put_submits(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			const char *name, const struct obs_metric_label *labels)
{
	struct obs_metric_label all[] = { labels[0], labels[1], { "result", "taken" } };

	(void)now_ns;
	obs_metric_line_count(out, name, all, ARRAY_LEN(all), v->submits_ok);
	all[2].value = "failed";
	obs_metric_line_count(out, name, all, ARRAY_LEN(all), v->submits_failed);
}

static void put_behind(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
		       const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	if (v->chain_round_known && v->round_known)
		obs_metric_line_count(out, name, labels, 2, v->rounds_behind);
}

/* A number of the chain, as text: large ones lose digits here. */
static void put_number(const char *text, struct obs_buf *out, const char *name,
		       const struct obs_metric_label *labels)
{
	if (*text)
		obs_metric_line(out, name, labels, 2, strtod(text, NULL));
}

static void put_participation(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			      const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	put_number(v->participation, out, name, labels);
}

static void put_rewards(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
			const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	put_number(v->total_rewards, out, name, labels);
}

static void put_wins(const struct obs_life_view *v, uint64_t now_ns, struct obs_buf *out,
		     const char *name, const struct obs_metric_label *labels)
{
	(void)now_ns;
	put_number(v->total_wins, out, name, labels);
}

static const struct {
	const char *name, *type, *help;
	sample_fn put;
} rows[] = {
	{ "gswarm_node_state", "gauge", "1 for the state that the node is in", put_state },
	{ "gswarm_node_state_seconds", "gauge", "Time since the node's state changed",
	  put_state_age },
	{ "gswarm_node_earning", "gauge", "1: it earns, 0: it does not, -1: cannot be told",
	  put_earning },
	{ "gswarm_node_round", "gauge", "The round that the node has joined last", put_round },
	{ "gswarm_node_rounds_joined_total", "counter",
	  "Rounds that the node has joined since it is watched", put_joined },
	{ "gswarm_node_submissions_total", "counter", "Submissions of the node by their result",
	  put_submits },
	{ "gswarm_node_rounds_behind", "gauge", "Rounds that the chain is ahead of the node",
	  put_behind },
	{ "gswarm_node_participation", "gauge", "Submissions of the node that the chain counts",
	  put_participation },
	{ "gswarm_node_rewards", "gauge", "The node's rewards on the chain", put_rewards },
	{ "gswarm_node_wins", "gauge", "The node's wins on the chain", put_wins },
};

/* Prometheus refuses a sample that comes twice: of two with one name the first counts, which is
 * the one that lives. */
static bool comes_again(const struct obs_model *m, size_t k)
{
	for (size_t i = 0; i < k; i++) {
		if (strcmp(m->lives[i].name, m->lives[k].name) == 0 &&
		    strcmp(m->lives[i].container_id, m->lives[k].container_id) == 0)
			return true;
	}
	return false;
}

void obs_metrics_nodes_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	for (size_t i = 0; m->n_lives && i < ARRAY_LEN(rows); i++) {
		size_t before = out->len, after_head;

		obs_metric_head(out, rows[i].name, rows[i].type, rows[i].help);
		after_head = out->len;
		for (size_t k = 0; k < m->n_lives; k++) {
			const struct obs_life_view *v = &m->lives[k];
			const struct obs_metric_label labels[] = {
				{ "node", v->name }, { "container_id", v->container_id }
			};

			if (comes_again(m, k))
				continue;
			rows[i].put(v, now_ns, out, rows[i].name, labels);
		}
		if (out->len == after_head)
			out->len = before;
	}
}
