// SPDX-License-Identifier: BSD-2-Clause
/* top_rows.c - see top_rows.h. */
#include "command/top_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/ask.h"
#include "command/units.h"
#include "util/cleanup.h"

#define NS_PER_S 1e9

static const struct {
	const char *name;
	char key;
} sorts[OBS_TOP_SORTS] = {
	[OBS_TOP_TROUBLE] = { "trouble", 't' }, [OBS_TOP_NAME] = { "name", 'n' },
	[OBS_TOP_FOR] = { "for", 'f' },		[OBS_TOP_CPU] = { "cpu", 'c' },
	[OBS_TOP_MEMORY] = { "memory", 'm' },	[OBS_TOP_GPU] = { "gpu", 'g' },
	[OBS_TOP_EVENTS] = { "events", 'e' },	[OBS_TOP_ERRORS] = { "errors", 'r' },
};

/* What needs somebody first, and how it looks. */
static const struct {
	const char *state;
	int trouble;
	const char *colour;
} states[] = {
	{ "trainer_gone", 6, "\033[31m" }, { "hung", 5, "\033[31m" },
	{ "stopped", 4, "\033[31m" },	   { "degraded", 3, "\033[33m" },
	{ "unknown", 2, "\033[35m" },	   { "starting", 1, "\033[36m" },
	{ "training", 0, "\033[32m" },	   { "gathering", 0, "\033[32m" },
	{ "waiting", 0, "\033[32m" },	   { "submitting", 0, "\033[32m" },
};

bool obs_top_sort_by_name(const char *name, enum obs_top_sort *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(sorts); i++) {
		if (strcmp(sorts[i].name, name) == 0) {
			*ret = (enum obs_top_sort)i;
			return true;
		}
	}
	return false;
}

bool obs_top_sort_by_key(char key, enum obs_top_sort *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(sorts); i++) {
		if (sorts[i].key == key) {
			*ret = (enum obs_top_sort)i;
			return true;
		}
	}
	return false;
}

/* --- reading --- */

static void copy(char *out, size_t size, const cJSON *o, const char *key)
{
	snprintf(out, size, "%s", obs_ask_text(o, key));
}

static double number(const cJSON *o, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(o, key) ? obs_ask_number(o, key) : NAN;
}

static int trouble_of(const struct obs_top_row *r)
{
	int trouble = 2; /* a state that we do not know */

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(states[i].state, r->state) == 0)
			trouble = states[i].trouble;
	}
	return trouble * 2 + (strcmp(r->earning, "no") == 0);
}

static void read_row(const cJSON *node, struct obs_top_row *r)
{
	*r = (struct obs_top_row){
		.for_s = number(node, "for_s"),
		.round = number(node, "round"),
		.cpu_percent = number(node, "cpu_percent"),
		.memory_bytes = number(node, "memory_bytes"),
		.gpu_bytes = number(node, "gpu_memory_bytes"),
		.peers = number(node, "peers_connected"),
		.events = number(node, "events"),
		.errors = number(node, "errors"),
		.events_per_s = NAN,
	};
	copy(r->name, sizeof(r->name), node, "name");
	copy(r->id, sizeof(r->id), node, "container_id");
	copy(r->state, sizeof(r->state), node, "state");
	copy(r->sub, sizeof(r->sub), node, "sub_state");
	copy(r->earning, sizeof(r->earning), node, "earning");
	copy(r->reason, sizeof(r->reason), node, "earning_reason");
	r->trouble = trouble_of(r);
}

/* The same node among the rows before, or NULL. */
static const struct obs_top_row *before(const struct obs_top_rows *old, const struct obs_top_row *r)
{
	for (size_t i = 0; i < old->n; i++) {
		if (strcmp(old->rows[i].name, r->name) == 0 && strcmp(old->rows[i].id, r->id) == 0)
			return &old->rows[i];
	}
	return NULL;
}

static void rate(const struct obs_top_rows *old, struct obs_top_row *r, uint64_t since_ns)
{
	const struct obs_top_row *b = since_ns ? before(old, r) : NULL;

	if (b && r->events >= b->events)
		r->events_per_s = (r->events - b->events) / ((double)since_ns / NS_PER_S);
}

int obs_top_rows_read(struct obs_top_rows *rows, const cJSON *answer, uint64_t since_ns)
{
	const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(answer, "nodes"), *node;
	struct obs_top_rows fresh = {};

	if (!cJSON_IsArray(nodes))
		return -EBADMSG;
	fresh.rows = calloc((size_t)cJSON_GetArraySize(nodes) + 1, sizeof(*fresh.rows));
	if (!fresh.rows)
		return -ENOMEM;
	cJSON_ArrayForEach(node, nodes)
	{
		read_row(node, &fresh.rows[fresh.n]);
		rate(rows, &fresh.rows[fresh.n++], since_ns);
	}
	obs_top_rows_free(rows);
	*rows = fresh;
	return 0;
}

void obs_top_rows_free(struct obs_top_rows *rows)
{
	free(rows->rows);
	*rows = (struct obs_top_rows){};
}

/* --- order --- */

/* Unknown last. */
static int more_first(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return (a < b) - (a > b);
}

static int by_name(const struct obs_top_row *a, const struct obs_top_row *b)
{
	int d = strcmp(a->name, b->name);

	return d ? d : strcmp(a->id, b->id);
}

static double order_of(const struct obs_top_row *r, enum obs_top_sort sort)
{
	const double values[OBS_TOP_SORTS] = {
		[OBS_TOP_TROUBLE] = r->trouble,	    [OBS_TOP_NAME] = 0,
		[OBS_TOP_FOR] = r->for_s,	    [OBS_TOP_CPU] = r->cpu_percent,
		[OBS_TOP_MEMORY] = r->memory_bytes, [OBS_TOP_GPU] = r->gpu_bytes,
		[OBS_TOP_EVENTS] = r->events_per_s, [OBS_TOP_ERRORS] = r->errors,
	};

	return values[sort];
}

static int by_order(const void *pa, const void *pb)
{
	const struct obs_top_row *a = pa, *b = pb;
	int d = more_first(a->order, b->order);

	return d ? d : by_name(a, b);
}

void obs_top_rows_sort(struct obs_top_rows *rows, enum obs_top_sort sort)
{
	for (size_t i = 0; i < rows->n; i++)
		rows->rows[i].order = order_of(&rows->rows[i], sort);
	if (rows->n)
		qsort(rows->rows, rows->n, sizeof(*rows->rows), by_order);
}

/* --- text --- */

/* Columns, not bytes: what begins no character adds none. Cut, or filled up with spaces. */
static void put_padded(struct obs_buf *out, const char *text, unsigned width)
{
	unsigned n = 0;

	for (const char *p = text; *p; p++) {
		if (((unsigned char)*p & 0xc0) != 0x80 && n++ == width) {
			n = width;
			break;
		}
		obs_buf_push(out, p, 1);
	}
	for (; n < width; n++)
		obs_buf_push_str(out, " ");
	obs_buf_push_str(out, " ");
}

static void put_number(struct obs_buf *out, const char *format, double value, unsigned width)
{
	char text[32] = "-";

	if (!isnan(value))
		snprintf(text, sizeof(text), format, value);
	obs_buf_printf(out, "%*s ", (int)width, text);
}

static void put_bytes(struct obs_buf *out, double n, unsigned width)
{
	static const char *const units[] = { "%.0f B", "%.0f kB", "%.0f MB", "%.1f GB", "%.1f TB" };
	size_t i = 0;

	for (; n >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000;
	put_number(out, units[i], n, width);
}

static void put_span(struct obs_buf *out, double s, unsigned width)
{
	char text[OBS_UNIT_TEXT] = "-";

	obs_buf_printf(out, "%*s ", (int)width, isnan(s) ? text : obs_span_text(s, text));
}

static const char *colour_of(const struct obs_top_row *r)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (strcmp(states[i].state, r->state) == 0)
			return states[i].colour;
	}
	return "\033[35m";
}

static void end_line(struct obs_buf *out, const struct obs_top_view *v)
{
	obs_buf_push_str(out, v->live ? "\033[K\n" : "\n");
}

static void put_row(struct obs_buf *out, const struct obs_top_row *r, const struct obs_top_view *v)
{
	char state[72];

	snprintf(state, sizeof(state), "%s%s%s", r->state, *r->sub ? "/" : "", r->sub);
	put_padded(out, r->name, 24);
	obs_buf_push_str(out, v->colours ? colour_of(r) : "");
	put_padded(out, state, 18);
	obs_buf_push_str(out, v->colours ? "\033[0m" : "");
	put_span(out, r->for_s, 7);
	put_number(out, "%.0f", r->round, 7);
	put_number(out, "%.1f", r->cpu_percent, 6);
	put_bytes(out, r->memory_bytes, 8);
	put_bytes(out, r->gpu_bytes, 8);
	put_number(out, "%.0f", r->peers, 5);
	put_number(out, "%.1f", r->events_per_s, 8);
	put_number(out, "%.0f", r->errors, 6);
	obs_buf_push_str(out, r->reason);
	end_line(out, v);
}

static unsigned count_earning(const struct obs_top_rows *rows)
{
	unsigned n = 0;

	for (size_t i = 0; i < rows->n; i++)
		n += strcmp(rows->rows[i].earning, "yes") == 0;
	return n;
}

static void put_summary(struct obs_buf *out, const struct obs_top_rows *rows,
			const struct obs_top_view *v)
{
	obs_buf_printf(out, "%zu nodes, %u earn; by %s (q ends, t n f c m g e r sort)", rows->n,
		       count_earning(rows), sorts[v->sort].name);
	if (v->silent_s > 0)
		obs_buf_printf(out, "%s; NO ANSWER for %.0f s%s", v->colours ? "\033[31m" : "",
			       v->silent_s, v->colours ? "\033[0m" : "");
	end_line(out, v);
}

static void put_head(struct obs_buf *out, const struct obs_top_view *v)
{
	obs_buf_push_str(out, v->colours ? "\033[7m" : "");
	obs_buf_printf(out, "%-24s %-18s %7s %7s %6s %8s %8s %5s %8s %6s %s", "NODE", "STATE",
		       "FOR", "ROUND", "CPU%", "MEMORY", "GPU", "PEERS", "EVENTS/S", "ERRORS",
		       "EARNING?");
	obs_buf_push_str(out, v->colours ? "\033[0m" : "");
	end_line(out, v);
}

void obs_top_format(const struct obs_top_rows *rows, const struct obs_top_view *v,
		    struct obs_buf *out)
{
	size_t room = v->live ? (v->lines > 4 ? v->lines - 4 : 1) : rows->n;
	size_t n = rows->n < room ? rows->n : room;

	if (v->live)
		put_summary(out, rows, v);
	if (rows->n == 0) {
		obs_buf_push_str(out, "no node has been found");
		end_line(out, v);
		return;
	}
	put_head(out, v);
	for (size_t i = 0; i < n; i++)
		put_row(out, &rows->rows[i], v);
	if (n < rows->n) {
		obs_buf_printf(out, "(%zu more)", rows->n - n);
		end_line(out, v);
	}
}
