// SPDX-License-Identifier: BSD-2-Clause
/* conditions.c - see conditions.h. */
#include "serve/conditions.h"

#include <stdio.h>

#include "model/conditions.h"
#include "serve/fields.h"
#include "serve/metric.h"
#include "util/cleanup.h"

static const struct obs_conditions *conditions_of(const struct obs_model *m, uint32_t slot)
{
	for (size_t i = 0; slot && i < m->n_node_conditions; i++) {
		if (m->node_conditions[i].slot == slot)
			return m->node_conditions[i].conditions;
	}
	return NULL;
}

static void put_one(struct obs_json *j, enum obs_condition_id id, const struct obs_condition *c)
{
	obs_json_object_open(j);
	obs_put_text(j, "condition", obs_condition_str(id));
	obs_put_time(j, "since", c->since_wall_ns);
	obs_put_text(j, "words", c->found.words);
	obs_json_key_str(j, "value");
	obs_json_real(j, c->found.value);
	obs_json_key_str(j, "limit");
	obs_json_real(j, c->limit);
	obs_json_key_str(j, "evidence");
	obs_json_array_open(j);
	for (size_t i = 0; i < c->found.n_evidence; i++)
		obs_json_str(j, obs_slice_str(c->found.evidence[i]));
	obs_json_array_close(j);
	obs_json_object_close(j);
}

void obs_conditions_put(struct obs_json *j, const struct obs_model *m, uint32_t slot)
{
	const struct obs_conditions *all = conditions_of(m, slot);

	obs_json_key_str(j, "conditions");
	obs_json_array_open(j);
	for (size_t i = 0; all && i < OBS_CONDITIONS_MAX; i++) {
		if (all->of[i].holds)
			put_one(j, (enum obs_condition_id)i, &all->of[i]);
	}
	obs_json_array_close(j);
}

static void put_samples(struct obs_buf *out, const char *name, const struct obs_node_conditions *v)
{
	char slot[16];

	snprintf(slot, sizeof(slot), "%u", v->slot);
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		const struct obs_metric_label labels[] = {
			{ "node", v->name },
			{ "container_id", v->container_id },
			{ "slot", slot },
			{ "condition", obs_condition_str((enum obs_condition_id)i) },
		};

		obs_metric_line_count(out, name, labels, ARRAY_LEN(labels),
				      v->conditions->of[i].holds);
	}
}

void obs_metrics_conditions_format(const struct obs_model *m, struct obs_buf *out)
{
	static const char name[] = "gswarm_condition";

	if (!m->n_node_conditions)
		return;
	obs_metric_head(out, name, "gauge", "1: this is wrong with the node's network now");
	for (size_t i = 0; i < m->n_node_conditions; i++)
		put_samples(out, name, &m->node_conditions[i]);
}
