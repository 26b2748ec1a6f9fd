// SPDX-License-Identifier: BSD-2-Clause
/* aggregate.c - see aggregate.h. Values of a window are found by a small open hash. */
#include "pipeline/aggregate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "util/cleanup.h"

#define VALUES_MAX 128 /* per window; a power of two */
#define NS_PER_S   1000000000ull
#define NODE_MAX   192

/* Ticks that a window of the past is kept open after its last event: old lines come in bursts,
 * and more of them may follow a restart. */
#define QUIET_TICKS 10

#define SAVED_MAGIC 0x31676761u /* and the version of what is saved */

static const uint64_t lengths_ns[OBS_AGGREGATE_WINDOWS] = { 60 * NS_PER_S, 300 * NS_PER_S,
							    3600 * NS_PER_S };

struct window {
	uint64_t start_ns;		    /* 0 = nothing in it yet */
	struct obs_aggregate_value *values; /* owned, VALUES_MAX; name "" = free */
	size_t n;
	uint64_t dropped;
	unsigned quiet; /* ticks until it may close; 0 = it closes when its time is over */
};

struct node {
	char name[NODE_MAX];
	size_t name_len;
	struct window windows[OBS_AGGREGATE_WINDOWS];
	uint64_t round_joined_ns; /* of the round that runs */
	uint64_t now_ns;	  /* of the event being taken in */
};

struct obs_aggregate {
	obs_aggregate_fn emit;
	void *ctx;
	uint64_t tick_ns; /* now, at the last one */
	size_t n, max;
	struct node nodes[];
};

int obs_aggregate_new(size_t max_nodes, obs_aggregate_fn emit, void *ctx,
		      struct obs_aggregate **ret)
{
	struct obs_aggregate *a;

	if (!max_nodes || max_nodes > 100000)
		return -EINVAL;
	a = calloc(1, sizeof(*a) + max_nodes * sizeof(a->nodes[0]));
	if (!a)
		return -ENOMEM;
	a->emit = emit;
	a->ctx = ctx;
	a->max = max_nodes;
	*ret = a;
	return 0;
}

void obs_aggregate_free(struct obs_aggregate **ap)
{
	struct obs_aggregate *a = *ap;

	for (size_t i = 0; a && i < a->n; i++) {
		for (size_t w = 0; w < OBS_AGGREGATE_WINDOWS; w++)
			free(a->nodes[i].windows[w].values);
	}
	free(a);
	*ap = NULL;
}

static struct node *find_node(struct obs_aggregate *a, struct obs_slice name)
{
	struct node *node;

	if (name.len > NODE_MAX)
		name.len = NODE_MAX;
	for (size_t i = 0; i < a->n; i++) {
		if (obs_slice_eq(obs_slice(a->nodes[i].name, a->nodes[i].name_len), name))
			return &a->nodes[i];
	}
	if (a->n == a->max)
		return NULL;
	node = &a->nodes[a->n++];
	node->name_len = name.len;
	if (name.len)
		memcpy(node->name, name.p, name.len);
	return node;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct obs_aggregate_value *)x)->name,
		      ((const struct obs_aggregate_value *)y)->name);
}

static void close_window(struct obs_aggregate *a, struct node *node, size_t w)
{
	struct window *win = &node->windows[w];
	size_t n = 0;

	if (!win->start_ns)
		return;
	for (size_t i = 0; i < VALUES_MAX; i++) {
		if (win->values[i].name[0])
			win->values[n++] = win->values[i];
	}
	qsort(win->values, n, sizeof(win->values[0]), by_name);
	a->emit(a->ctx, &(struct obs_aggregate_window){
				.node = obs_slice(node->name, node->name_len),
				.start_ns = win->start_ns,
				.length_ns = lengths_ns[w],
				.values = win->values,
				.n_values = n,
				.dropped = win->dropped,
			});
	memset(win->values, 0, VALUES_MAX * sizeof(win->values[0]));
	win->start_ns = win->n = win->dropped = win->quiet = 0;
}

static bool has_ended(const struct window *win, size_t w, uint64_t now_ns)
{
	return win->start_ns && now_ns >= win->start_ns && now_ns - win->start_ns >= lengths_ns[w];
}

/* Close what is over, and open what is not. */
static int roll_windows(struct obs_aggregate *a, struct node *node, uint64_t now_ns)
{
	for (size_t w = 0; w < OBS_AGGREGATE_WINDOWS; w++) {
		struct window *win = &node->windows[w];

		if (has_ended(win, w, now_ns))
			close_window(a, node, w);
		if (!win->values)
			win->values = calloc(VALUES_MAX, sizeof(win->values[0]));
		if (!win->values)
			return -ENOMEM;
		if (!win->start_ns)
			win->start_ns = now_ns - now_ns % lengths_ns[w];
		if (!win->start_ns)
			win->start_ns = 1; /* the first minute of 1970 */
		if (has_ended(win, w, a->tick_ns))
			win->quiet = QUIET_TICKS;
	}
	return 0;
}

/* A name without its end, shorter than OBS_AGGREGATE_NAME. */
static bool is_called(const struct obs_aggregate_value *v, struct obs_slice name)
{
	return memcmp(v->name, name.p, name.len) == 0 && v->name[name.len] == '\0';
}

static struct obs_aggregate_value *find_value(struct window *win, struct obs_slice name,
					      uint64_t hash)
{
	size_t at = hash % VALUES_MAX;

	for (size_t i = 0; i < VALUES_MAX; i++, at = (at + 1) % VALUES_MAX) {
		struct obs_aggregate_value *v = &win->values[at];

		if (is_called(v, name))
			return v;
		if (!v->name[0]) {
			memcpy(v->name, name.p, name.len);
			win->n++;
			return v;
		}
	}
	win->dropped++;
	return NULL;
}

static struct obs_aggregate_value *find_named(struct window *win, struct obs_slice name)
{
	return find_value(win, name, XXH3_64bits(name.p, name.len));
}

/* Running mean: it does not overflow, however many values come. */
static void add_number(struct obs_aggregate_value *v, double x)
{
	v->is_series = true;
	v->min = v->count && v->min < x ? v->min : x;
	v->max = v->count && v->max > x ? v->max : x;
	v->count++;
	v->mean += (x - v->mean) / (double)v->count;
	v->last = x;
}

/* Another file's old lines, read while live ones come, are not of this window. */
static bool is_late(const struct window *win, size_t w, uint64_t now_ns)
{
	return now_ns < win->start_ns && win->start_ns - now_ns > lengths_ns[w];
}

static void add(struct node *node, struct obs_slice name, const double *x)
{
	uint64_t hash = XXH3_64bits(name.p, name.len);

	for (size_t w = 0; w < OBS_AGGREGATE_WINDOWS; w++) {
		struct window *win = &node->windows[w];
		struct obs_aggregate_value *v;

		if (is_late(win, w, node->now_ns)) {
			win->dropped++;
			continue;
		}
		v = find_value(win, name, hash);
		if (!v)
			continue;
		if (x)
			add_number(v, *x);
		else
			v->count++;
	}
}

static bool number_of(const struct obs_field *f, double *ret)
{
	char text[64];

	switch (f->kind) {
	case OBS_VALUE_NUMBER_TEXT:
		if (f->str.len >= sizeof(text))
			return false;
		memcpy(text, f->str.p, f->str.len);
		text[f->str.len] = '\0';
		*ret = strtod(text, NULL);
		return isfinite(*ret);
	case OBS_VALUE_REAL:
		*ret = f->real;
		return isfinite(*ret);
	case OBS_VALUE_UINT:
		*ret = (double)f->u;
		return true;
	case OBS_VALUE_INT:
		*ret = (double)f->i;
		return true;
	default:
		return false;
	}
}

static void add_metrics(struct node *node, const struct obs_event *ev)
{
	double x;

	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];

		if (!f->key.len || f->key.len >= OBS_AGGREGATE_NAME ||
		    memchr(f->key.p, 0, f->key.len) || !number_of(f, &x))
			continue;
		add(node, f->key, &x);
	}
}

/* From one join to the next: the seconds of a round. */
static void add_round(struct node *node, uint64_t now_ns)
{
	double seconds;

	if (node->round_joined_ns && now_ns > node->round_joined_ns) {
		seconds = (double)(now_ns - node->round_joined_ns) / 1e9;
		add(node, OBS_SLICE("round_s"), &seconds);
	}
	node->round_joined_ns = now_ns;
}

static void add_event(struct node *node, const struct obs_event *ev)
{
	char error[OBS_AGGREGATE_NAME];
	struct obs_slice name;

	if (ev->code) {
		snprintf(error, sizeof(error), "error:%s", ev->code);
		name = obs_slice_str(error);
	} else {
		name = obs_slice_str(ev->name ? ev->name : obs_event_type_str(ev->type));
	}
	if (name.len >= OBS_AGGREGATE_NAME)
		name.len = OBS_AGGREGATE_NAME - 1;
	add(node, name, NULL);
	if (ev->type != OBS_EVENT_TRAINING_PROGRESS || !ev->name)
		return;
	if (!strcmp(ev->name, "metrics"))
		add_metrics(node, ev);
	else if (!strcmp(ev->name, "round_joined"))
		add_round(node, ev->wall_ns);
}

int obs_aggregate_push(struct obs_aggregate *a, const struct obs_event *ev, struct obs_slice node)
{
	struct node *n = find_node(a, node);
	int r;

	if (!n)
		return -ENOSPC;
	n->now_ns = ev->wall_ns;
	r = roll_windows(a, n, ev->wall_ns);
	if (!r)
		add_event(n, ev);
	return r;
}

/* What is saved of a window: this, the node's name, then its values. */
struct saved {
	uint32_t magic, name_len, window, n;
	uint64_t start_ns, dropped, round_joined_ns;
};

static int save_window(const struct node *node, size_t w, struct obs_buf *out)
{
	const struct window *win = &node->windows[w];
	struct saved s = { SAVED_MAGIC,		 (uint32_t)node->name_len,
			   (uint32_t)w,		 (uint32_t)win->n,
			   win->start_ns,	 win->dropped,
			   node->round_joined_ns };
	int r = obs_buf_push(out, &s, sizeof(s));

	if (r == 0)
		r = obs_buf_push(out, node->name, node->name_len);
	for (size_t i = 0; r == 0 && i < VALUES_MAX; i++) {
		if (win->values[i].name[0])
			r = obs_buf_push(out, &win->values[i], sizeof(win->values[i]));
	}
	return r;
}

int obs_aggregate_save(const struct obs_aggregate *a, struct obs_buf *out)
{
	int r = 0;

	for (size_t i = 0; i < a->n; i++) {
		for (size_t w = 0; r == 0 && w < OBS_AGGREGATE_WINDOWS; w++) {
			if (a->nodes[i].windows[w].start_ns)
				r = save_window(&a->nodes[i], w, out);
		}
	}
	return r;
}

static bool take_bytes(struct obs_slice *s, void *to, size_t n)
{
	if (s->len < n)
		return false;
	memcpy(to, s->p, n);
	*s = obs_slice(s->p + n, s->len - n);
	return true;
}

static int load_values(struct window *win, uint32_t n, struct obs_slice *s)
{
	struct obs_aggregate_value v, *to;

	if (!win->values)
		win->values = calloc(VALUES_MAX, sizeof(win->values[0]));
	if (!win->values)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (!take_bytes(s, &v, sizeof(v)) || !v.name[0] || v.name[sizeof(v.name) - 1])
			return -EBADMSG;
		to = find_named(win, obs_slice_str(v.name));
		if (to)
			*to = v;
	}
	return 0;
}

static int load_window(struct obs_aggregate *a, struct obs_slice *s)
{
	struct node *node;
	struct saved head;

	if (!take_bytes(s, &head, sizeof(head)) || head.magic != SAVED_MAGIC ||
	    head.window >= OBS_AGGREGATE_WINDOWS || head.name_len > NODE_MAX ||
	    head.name_len > s->len || head.n > VALUES_MAX)
		return -EBADMSG;
	node = find_node(a, obs_slice(s->p, head.name_len));
	*s = obs_slice(s->p + head.name_len, s->len - head.name_len);
	if (!node)
		return -EBADMSG;
	node->round_joined_ns = head.round_joined_ns;
	node->windows[head.window].start_ns = head.start_ns;
	node->windows[head.window].dropped = head.dropped;
	node->windows[head.window].quiet = QUIET_TICKS;
	return load_values(&node->windows[head.window], head.n, s);
}

int obs_aggregate_load(struct obs_aggregate *a, struct obs_slice saved)
{
	int r = 0;

	while (r == 0 && saved.len)
		r = load_window(a, &saved);
	return r;
}

void obs_aggregate_tick(struct obs_aggregate *a, uint64_t now_ns)
{
	a->tick_ns = now_ns;
	for (size_t i = 0; i < a->n; i++) {
		for (size_t w = 0; w < OBS_AGGREGATE_WINDOWS; w++) {
			struct window *win = &a->nodes[i].windows[w];

			if (win->quiet)
				win->quiet--;
			if (now_ns == UINT64_MAX || (!win->quiet && has_ended(win, w, now_ns)))
				close_window(a, &a->nodes[i], w);
		}
	}
}
