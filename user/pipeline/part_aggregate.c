// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_aggregate.c - aggregate.h in the daemon: windows that end go to the store, the last of
 * each into the model, and on wish they become events.
 *
 * The open windows are saved now and then: a kill loses some seconds of counts, and no event.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/aggregate.h"
#include "pipeline/engine.h"
#include "pipeline/json.h"
#include "pipeline/part.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define STATE	    "aggregate"
#define NODES_MAX   256
#define VIEWS_MAX   (NODES_MAX * OBS_AGGREGATE_WINDOWS)
#define SAVE_TICKS  10
#define NAMES_BYTES 96

struct aggregation {
	const struct obs_part_env *env;
	struct obs_aggregate *a; /* owned */
	uint64_t forward_s;	 /* windows of this length become events; 0 = none do */
	uint64_t changed;	 /* events taken in */
	uint64_t saved;		 /* … when the open windows were saved last */
	unsigned ticks;
	struct obs_buf buf;
	struct obs_window_view *views; /* owned, and their numbers */
	size_t n_views;
};

extern const struct obs_part_ops obs_part_aggregate;

static struct obs_slice key_of(const struct obs_node *node)
{
	if (!node)
		return OBS_SLICE("");
	return obs_slice_str(*node->name ? node->name : node->title);
}

/* --- a window has ended --- */

static void format_value(struct obs_json *j, const struct obs_aggregate_value *v)
{
	obs_json_key_str(j, v->name);
	if (!v->is_series) {
		obs_json_uint(j, v->count);
		return;
	}
	obs_json_object_open(j);
	obs_json_key_str(j, "count");
	obs_json_uint(j, v->count);
	obs_json_key_str(j, "min");
	obs_json_real(j, v->min);
	obs_json_key_str(j, "mean");
	obs_json_real(j, v->mean);
	obs_json_key_str(j, "max");
	obs_json_real(j, v->max);
	obs_json_key_str(j, "last");
	obs_json_real(j, v->last);
	obs_json_object_close(j);
}

static void format_values(struct obs_json *j, const char *key, bool series,
			  const struct obs_aggregate_window *w)
{
	obs_json_key_str(j, key);
	obs_json_object_open(j);
	for (size_t i = 0; i < w->n_values; i++) {
		if (w->values[i].is_series == series)
			format_value(j, &w->values[i]);
	}
	obs_json_object_close(j);
}

static int format_window(const struct obs_aggregate_window *w, struct obs_buf *out)
{
	struct obs_json j = { .out = out };

	obs_json_object_open(&j);
	obs_json_key_str(&j, "node");
	obs_json_str(&j, w->node);
	obs_json_key_str(&j, "start");
	obs_json_time(&j, w->start_ns);
	obs_json_key_str(&j, "window_s");
	obs_json_uint(&j, w->length_ns / OBS_NS_PER_S);
	format_values(&j, "events", false, w);
	format_values(&j, "values", true, w);
	if (w->dropped) {
		obs_json_key_str(&j, "dropped");
		obs_json_uint(&j, w->dropped);
	}
	obs_json_object_close(&j);
	return j.err;
}

static struct obs_window_view *find_view(struct aggregation *g,
					 const struct obs_aggregate_window *w)
{
	for (size_t i = 0; i < g->n_views; i++) {
		struct obs_window_view *v = &g->views[i];

		if (v->length_s == w->length_ns / OBS_NS_PER_S &&
		    obs_slice_eq(obs_slice_str(v->node), w->node))
			return v;
	}
	if (g->n_views == VIEWS_MAX)
		return NULL;
	return &g->views[g->n_views++];
}

static void show_window(struct aggregation *g, const struct obs_aggregate_window *w)
{
	struct obs_window_view *v = find_view(g, w);

	if (!v)
		return;
	free(v->numbers);
	*v = (struct obs_window_view){ .length_s = (uint32_t)(w->length_ns / OBS_NS_PER_S),
				       .start_s = w->start_ns / OBS_NS_PER_S };
	snprintf(v->node, sizeof(v->node), "%.*s", (int)w->node.len, w->node.p ? w->node.p : "");
	v->numbers = calloc(w->n_values + 1, sizeof(*v->numbers));
	if (!v->numbers)
		return;
	for (size_t i = 0; i < w->n_values; i++) {
		const struct obs_aggregate_value *from = &w->values[i];
		struct obs_window_number *to = &v->numbers[v->n++];

		snprintf(to->name, sizeof(to->name), "%s", from->name);
		to->count = from->count;
		to->is_series = from->is_series;
		to->min = from->min;
		to->mean = from->mean;
		to->max = from->max;
		to->last = from->last;
	}
}

struct find_node {
	struct obs_slice key;
	const struct obs_node *node;
};

static void match_node(void *ctx, struct obs_node *node)
{
	struct find_node *f = ctx;

	if (obs_slice_eq(key_of(node), f->key))
		f->node = node;
}

/* Names of fields: "loss.mean", "round_joined". */
static void add_value(struct obs_event *ev, const struct obs_aggregate_value *v,
		      char (*names)[NAMES_BYTES])
{
	static const char *const suffixes[] = { "min", "mean", "max", "last" };
	const double values[] = { v->min, v->mean, v->max, v->last };

	if (!v->is_series) {
		obs_event_add_uint(ev, v->name, v->count);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(suffixes) && ev->n_fields < OBS_EVENT_FIELDS_MAX; i++) {
		char *name = names[ev->n_fields];

		snprintf(name, NAMES_BYTES, "%s.%s", v->name, suffixes[i]);
		obs_event_add_real(ev, name, values[i]);
	}
}

static void forward_window(struct aggregation *g, const struct obs_aggregate_window *w)
{
	static char names[OBS_EVENT_FIELDS_MAX][NAMES_BYTES]; /* of one thread */
	static struct obs_event ev;
	struct find_node f = { .key = w->node };

	obs_targets_each(g->env->targets, match_node, &f);
	ev = (struct obs_event){ .type = OBS_EVENT_CONTAINER_SNAPSHOT,
				 .name = "window",
				 .wall_ns = w->start_ns + w->length_ns };
	obs_event_add_uint(&ev, "window_s", w->length_ns / OBS_NS_PER_S);
	for (size_t i = 0; i < w->n_values; i++)
		add_value(&ev, &w->values[i], names);
	g->env->emit(g->env->ctx, f.node, &ev);
}

static void on_window(void *ctx, const struct obs_aggregate_window *w)
{
	struct aggregation *g = ctx;
	const struct obs_outlet *outlet = g->env->outlet;

	obs_buf_reset(&g->buf);
	if (format_window(w, &g->buf) < 0 ||
	    outlet->put_window(outlet->ctx, w->length_ns / OBS_NS_PER_S, w->start_ns / OBS_NS_PER_S,
			       w->node, obs_buf_slice(&g->buf)) < 0)
		obs_count(&g->env->counters->windows_lost, 1);
	show_window(g, w);
	if (g->forward_s && g->forward_s == w->length_ns / OBS_NS_PER_S)
		forward_window(g, w);
}

/* --- the part --- */

static void save(struct aggregation *g)
{
	const struct obs_outlet *outlet = g->env->outlet;

	if (g->changed == g->saved)
		return;
	obs_buf_reset(&g->buf);
	if (obs_aggregate_save(g->a, &g->buf) == 0 &&
	    outlet->put_state(outlet->ctx, STATE, obs_buf_slice(&g->buf)) == 0)
		g->saved = g->changed;
}

/* The store is still there and commits once more. */
static void part_free(void **part)
{
	struct aggregation *g = *part;

	if (g->a)
		save(g);
	obs_aggregate_free(&g->a);
	for (size_t i = 0; i < g->n_views; i++)
		free(g->views[i].numbers);
	free(g->views);
	obs_buf_free(&g->buf);
	free(g);
	*part = NULL;
}

static uint64_t forward_of(const struct obs_config *config)
{
	static const struct {
		const char *word;
		uint64_t length_s;
	} words[] = { { "1m", 60 }, { "5m", 300 }, { "1h", 3600 } };
	const char *word = obs_config_text(config, "aggregate.forward");

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!strcmp(word, words[i].word))
			return words[i].length_s;
	}
	return 0;
}

static int start(const struct obs_part_env *env, void **ret)
{
	struct aggregation *g;
	void *part;

	if (!env->outlet->put_window)
		return 0; /* trace: nothing is kept */
	part = g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->env = env;
	g->forward_s = forward_of(env->config);
	g->views = calloc(VIEWS_MAX, sizeof(*g->views));
	if (!g->views || obs_aggregate_new(NODES_MAX, on_window, g, &g->a) < 0) {
		part_free(&part);
		return -ENOMEM;
	}
	if (env->outlet->get_state(env->outlet->ctx, STATE, &g->buf) == 0)
		obs_aggregate_load(g->a, obs_buf_slice(&g->buf));
	*ret = g;
	return 0;
}

static void event(void *part, const struct obs_node *node, const struct obs_event *ev)
{
	struct aggregation *g = part;

	if (ev->type == OBS_EVENT_CONTAINER_SNAPSHOT || ev->type == OBS_EVENT_HARDWARE_SNAPSHOT)
		return; /* windows and samples of their own */
	g->changed++;
	if (obs_aggregate_push(g->a, ev, key_of(node)) < 0)
		obs_count(&g->env->counters->windows_lost, 1);
}

static void tick(void *part)
{
	struct aggregation *g = part;

	obs_aggregate_tick(g->a, obs_wall_ns());
	if (++g->ticks % SAVE_TICKS == 0)
		save(g);
}

static void refresh(void *part)
{
	struct aggregation *g = part;

	g->env->model->windows = g->views;
	g->env->model->n_windows = g->n_views;
}

const struct obs_part_ops obs_part_aggregate = {
	.name = "aggregate",
	.start = start,
	.event = event,
	.tick = tick,
	.refresh = refresh,
	.free = part_free,
};
