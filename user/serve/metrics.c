// SPDX-License-Identifier: BSD-2-Clause
/*
 * metrics.c - /metrics in Prometheus' text format 0.0.4.
 *
 * A metric is a row: name, type, help, and the function that writes its
 * samples. The rows of OBS_COUNTERS are metrics as they stand.
 */
#include "serve/conditions.h"
#include "serve/serve.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serve/metric.h"
#include "serve/metrics_p2p.h"
#include "serve/nodes.h"
#include "serve/text.h"
#include "util/cleanup.h"

#define NS_PER_S     1e9
#define NS_PER_S_INT 1000000000ull

struct scrape {
	const struct obs_model *m;
	uint64_t now_ns;
	struct obs_buf *out;
	const char *name; /* of the metric being written */
};

/* ---- one line ---- */

static void push_label(struct obs_buf *out, const char *name, const char *value, bool first)
{
	cleanup_buf struct obs_buf clean = { 0 };

	obs_text_push(&clean, value);
	obs_buf_printf(out, "%s%s=\"", first ? "{" : ",", name);
	for (const char *p = obs_buf_cstr(&clean); *p; p++) {
		if (*p == '\\' || *p == '"')
			obs_buf_push_str(out, "\\");
		obs_buf_push(out, p, 1);
	}
	obs_buf_push_str(out, "\"");
}

static void sample(const struct scrape *s, const struct obs_metric_label *labels, size_t n,
		   double value)
{
	obs_buf_push_str(s->out, s->name);
	for (size_t i = 0; i < n; i++)
		push_label(s->out, labels[i].name, labels[i].value, i == 0);
	obs_buf_printf(s->out, n ? "} %.15g\n" : " %.15g\n", value);
}

/* 64-bit counters keep all their digits. */
static void sample_count(const struct scrape *s, const struct obs_metric_label *labels, size_t n,
			 uint64_t value)
{
	obs_buf_push_str(s->out, s->name);
	for (size_t i = 0; i < n; i++)
		push_label(s->out, labels[i].name, labels[i].value, i == 0);
	obs_buf_printf(s->out, n ? "} %llu\n" : " %llu\n", (unsigned long long)value);
}

static void push_head(struct obs_buf *out, const char *name, const char *type, const char *help)
{
	obs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void obs_metric_head(struct obs_buf *out, const char *name, const char *type, const char *help)
{
	push_head(out, name, type, help);
}

void obs_metric_line(struct obs_buf *out, const char *name, const struct obs_metric_label *labels,
		     size_t n, double value)
{
	struct scrape s = { .out = out, .name = name };

	sample(&s, labels, n, value);
}

void obs_metric_line_count(struct obs_buf *out, const char *name,
			   const struct obs_metric_label *labels, size_t n, uint64_t value)
{
	struct scrape s = { .out = out, .name = name };

	sample_count(&s, labels, n, value);
}

/* ---- the ledger ---- */

static const struct counter {
	size_t offset;
	const char *name, *labels, *help;
} counters[] = {
#define X(field, metric, label, text) \
	{ offsetof(struct obs_counters, field), "gswarm_" metric, label, text },
	OBS_COUNTERS(X)
#undef X
};

static void format_counters(const struct scrape *s)
{
	const char *previous = "";

	for (size_t i = 0; i < ARRAY_LEN(counters) && s->m->counters; i++) {
		const struct counter *c = &counters[i];
		const char *at = (const char *)s->m->counters + c->offset;

		if (strcmp(previous, c->name) != 0)
			push_head(s->out, c->name, "counter", c->help);
		previous = c->name;
		obs_buf_printf(s->out, *c->labels ? "%s{%s} %llu\n" : "%s%s %llu\n", c->name,
			       c->labels, (unsigned long long)obs_counter_get((const void *)at));
	}
}

/* ---- the kernel side ---- */

static size_t cpus_shown(const struct obs_model *m)
{
	return m->n_cpus < ARRAY_LEN(m->drops) ? m->n_cpus : ARRAY_LEN(m->drops);
}

static void format_drops(const struct scrape *s)
{
	for (size_t cpu = 0; cpu < cpus_shown(s->m); cpu++) {
		char number[24];

		snprintf(number, sizeof(number), "%zu", cpu);
		for (size_t r = 0; r < s->m->n_drop_reasons; r++) {
			const struct obs_metric_label l[] = { { "cpu", number },
							      { "reason", s->m->drop_reasons[r] } };

			sample_count(s, l, 2, s->m->drops[cpu][r]);
		}
	}
}

static void format_dropped_bytes(const struct scrape *s)
{
	for (size_t cpu = 0; cpu < cpus_shown(s->m); cpu++) {
		char number[24];
		const struct obs_metric_label l[] = { { "cpu", number } };

		snprintf(number, sizeof(number), "%zu", cpu);
		sample_count(s, l, 1, s->m->dropped_bytes[cpu]);
	}
}

static void format_missed(const struct scrape *s)
{
	for (size_t i = 0; i < s->m->n_programs; i++) {
		const struct obs_metric_label l[] = { { "program", s->m->programs[i].name } };

		sample_count(s, l, 1, s->m->programs[i].missed);
	}
}

static void format_probe_up(const struct scrape *s)
{
	for (size_t i = 0; i < s->m->n_probes; i++) {
		const struct obs_probe_status *p = &s->m->probes[i];
		const struct obs_metric_label l[] = { { "need", p->need },
						      { "rung", p->rung },
						      { "first_choice",
							p->first_choice ? "true" : "false" } };

		sample_count(s, l, 3, p->ok);
	}
}

/* ---- nodes: one function per number ---- */

static void for_each_node(const struct scrape *s,
			  void (*each)(const struct scrape *s, const struct obs_metric_label *l,
				       size_t n, const struct obs_node_status *node))
{
	for (size_t i = 0; i < s->m->n_nodes; i++) {
		const struct obs_node_status *node = &s->m->nodes[i];
		char slot[16];
		/* Names need not be unique; the slot is. */
		const struct obs_metric_label l[] = { { "node", node->name },
						      { "container_id", node->container_id },
						      { "slot", slot } };

		snprintf(slot, sizeof(slot), "%u", node->slot);
		each(s, l, 3, node);
	}
}

#define EACH_NODE(member)                                                                   \
	static void node_##member(const struct scrape *s, const struct obs_metric_label *l, \
				  size_t n, const struct obs_node_status *node)             \
	{                                                                                   \
		sample_count(s, l, n, node->member);                                        \
	}                                                                                   \
	static void format_node_##member(const struct scrape *s)                            \
	{                                                                                   \
		for_each_node(s, node_##member);                                            \
	}

EACH_NODE(paused)
EACH_NODE(pids)
EACH_NODE(streams)
EACH_NODE(events)

static void node_age(const struct scrape *s, const struct obs_metric_label *l, size_t n,
		     const struct obs_node_status *node)
{
	if (node->last_event_ns)
		sample(s, l, n,
		       s->now_ns > node->last_event_ns
			       ? (double)(s->now_ns - node->last_event_ns) / NS_PER_S
			       : 0);
}

static void format_node_age(const struct scrape *s)
{
	for_each_node(s, node_age);
}

/* ---- sinks ---- */

#define EACH_SINK(member)                                                                        \
	static void format_sink_##member(const struct scrape *s)                                 \
	{                                                                                        \
		for (size_t i = 0; i < s->m->n_sinks; i++) {                                     \
			const struct obs_metric_label l[] = { { "sink", s->m->sinks[i].name } }; \
                                                                                                 \
			sample_count(s, l, 1, s->m->sinks[i].member);                            \
		}                                                                                \
	}

EACH_SINK(failures)
EACH_SINK(requests)
EACH_SINK(bytes)

/* stored + inherited = delivered + dead_lettered + evicted + waiting, at any moment */
static void format_sink_ledger(const struct scrape *s)
{
	for (size_t i = 0; i < s->m->n_sinks; i++) {
		const struct obs_sink_view *v = &s->m->sinks[i];
		const struct {
			const char *place;
			uint64_t n;
		} rows[] = {
			{ "inherited", v->inherited },
			{ "delivered", v->delivered },
			{ "dead_lettered", v->dead_lettered },
			{ "evicted", v->jumped },
			{ "waiting", v->waiting },
		};

		for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
			const struct obs_metric_label l[] = { { "sink", v->name },
							      { "place", rows[j].place } };

			sample_count(s, l, 2, rows[j].n);
		}
	}
}

static void format_sink_last_ok(const struct scrape *s)
{
	for (size_t i = 0; i < s->m->n_sinks; i++) {
		const struct obs_metric_label l[] = { { "sink", s->m->sinks[i].name } };

		sample(s, l, 1, (double)s->m->sinks[i].last_ok_ns / NS_PER_S);
	}
}

/* ---- what was scrubbed, and what was counted ---- */

static void format_scrubbed(const struct scrape *s)
{
	for (size_t i = 0; i < s->m->n_scrub_rules; i++) {
		const struct obs_metric_label l[] = { { "rule", s->m->scrub_rules[i].rule } };

		sample_count(s, l, 1, s->m->scrub_rules[i].count);
	}
}

static const char *window_word(uint32_t length_s)
{
	return length_s == 60 ? "1m" : length_s == 300 ? "5m" : "1h";
}

/* Windows that ended long ago say nothing of now. */
static bool is_recent(const struct scrape *s, const struct obs_window_view *w)
{
	return s->now_ns / NS_PER_S_INT < w->start_s + 2ull * w->length_s + 60;
}

static void for_each_number(const struct scrape *s,
			    void (*each)(const struct scrape *s, const struct obs_metric_label *l,
					 const struct obs_window_number *number))
{
	for (size_t i = 0; i < s->m->n_windows; i++) {
		const struct obs_window_view *w = &s->m->windows[i];

		for (size_t k = 0; k < w->n && is_recent(s, w); k++) {
			const struct obs_metric_label l[] = { { "node", w->node },
							      { "window",
								window_word(w->length_s) },
							      { "name", w->numbers[k].name } };

			each(s, l, &w->numbers[k]);
		}
	}
}

static void window_count(const struct scrape *s, const struct obs_metric_label *l,
			 const struct obs_window_number *number)
{
	if (!number->is_series)
		sample_count(s, l, 3, number->count);
}

static void format_window_events(const struct scrape *s)
{
	for_each_number(s, window_count);
}

static void window_value(const struct scrape *s, const struct obs_metric_label *l,
			 const struct obs_window_number *number)
{
	const struct {
		const char *stat;
		double v;
	} rows[] = { { "min", number->min },
		     { "mean", number->mean },
		     { "max", number->max },
		     { "last", number->last } };

	for (size_t i = 0; i < ARRAY_LEN(rows) && number->is_series; i++) {
		const struct obs_metric_label all[] = {
			l[0], l[1], l[2], { "stat", rows[i].stat }
		};

		sample(s, all, 4, rows[i].v);
	}
}

static void format_window_values(const struct scrape *s)
{
	for_each_number(s, window_value);
}

/* ---- single numbers ---- */

#define ONE(name, expression)                                     \
	static void format_##name(const struct scrape *s)         \
	{                                                         \
		sample_count(s, NULL, 0, (uint64_t)(expression)); \
	}

ONE(nodes, s->m->n_nodes)
ONE(streams, s->m->streams)
ONE(store_bytes, s->m->store_bytes)
ONE(store_max_bytes, s->m->store_max_bytes)
ONE(store_first_seq, s->m->store_first_seq)
ONE(store_last_seq, s->m->store_last_seq)
ONE(store_ok, s->m->store_error == 0)
ONE(ring_bytes, s->m->ring_bytes)
ONE(ring_used_bytes, s->m->ring_used_bytes)

static void format_build(const struct scrape *s)
{
	const struct obs_metric_label l[] = { { "version",
						s->m->version ? s->m->version : "unknown" },
					      { "node_id", s->m->node_id } };

	sample_count(s, l, 2, 1);
}

/* ---- this process ---- */

static void format_cpu(const struct scrape *s)
{
	struct rusage u = { 0 };

	getrusage(RUSAGE_SELF, &u);
	sample(s, NULL, 0,
	       (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void read_statm(unsigned long *size, unsigned long *resident)
{
	cleanup_fclose FILE *f = fopen("/proc/self/statm", "re");

	*size = *resident = 0;
	if (f && fscanf(f, "%lu %lu", size, resident) != 2)
		*size = *resident = 0;
}

static void format_resident(const struct scrape *s)
{
	unsigned long size, resident;

	read_statm(&size, &resident);
	sample_count(s, NULL, 0, resident * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void format_virtual(const struct scrape *s)
{
	unsigned long size, resident;

	read_statm(&size, &resident);
	sample_count(s, NULL, 0, size * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Without ".", ".." and the descriptor that reads the directory. */
static void format_open_fds(const struct scrape *s)
{
	cleanup_closedir DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	while (dir && readdir(dir))
		n++;
	sample_count(s, NULL, 0, n > 3 ? n - 3 : 0);
}

static void format_max_fds(const struct scrape *s)
{
	struct rlimit l = { 0 };

	getrlimit(RLIMIT_NOFILE, &l);
	sample_count(s, NULL, 0, l.rlim_cur);
}

static void format_start_time(const struct scrape *s)
{
	sample(s, NULL, 0, (double)s->m->started_ns / NS_PER_S);
}

static const struct metric {
	const char *name, *type, *help;
	void (*format)(const struct scrape *s);
} metrics[] = {
	{ "gswarm_build_info", "gauge", "Version of the observer, as a label", format_build },
	{ "gswarm_probe_up", "gauge", "1 when the observer can see this, 0 when it is blind for it",
	  format_probe_up },
	{ "gswarm_ring_drops_total", "counter",
	  "Records the kernel side could not hand over; those of files are read back from the file",
	  format_drops },
	{ "gswarm_ring_lost_console_bytes_total", "counter",
	  "Bytes of console output in records that could not be handed over",
	  format_dropped_bytes },
	{ "gswarm_program_missed_total", "counter",
	  "Runs of a BPF program that the kernel skipped; files, processes and connections are then looked at",
	  format_missed },
	{ "gswarm_ring_bytes", "gauge", "Size of the ring buffer", format_ring_bytes },
	{ "gswarm_ring_used_bytes", "gauge", "Bytes of the ring buffer waiting to be read",
	  format_ring_used_bytes },
	{ "gswarm_nodes", "gauge", "Nodes being watched", format_nodes },
	{ "gswarm_node_paused", "gauge", "1 while the node's container is paused",
	  format_node_paused },
	{ "gswarm_node_pids", "gauge", "Live processes of the node", format_node_pids },
	{ "gswarm_node_streams", "gauge", "Files and consoles of the node being followed",
	  format_node_streams },
	{ "gswarm_node_events_total", "counter", "Events of the node since it was found",
	  format_node_events },
	{ "gswarm_node_last_event_age_seconds", "gauge", "Time since the node's last event",
	  format_node_age },
	{ "gswarm_scrubbed_total", "counter", "Texts taken out of events, by rule",
	  format_scrubbed },
	{ "gswarm_window_events", "gauge",
	  "Events of the node in the last minute, 5 minutes or hour that has ended, by name or error code",
	  format_window_events },
	{ "gswarm_window_value", "gauge",
	  "Losses, rewards and other metrics, and seconds per round, in that window",
	  format_window_values },
	{ "gswarm_streams", "gauge", "Files and consoles being followed", format_streams },
	{ "gswarm_store_ok", "gauge", "1 when the last commit to the store worked",
	  format_store_ok },
	{ "gswarm_store_bytes", "gauge", "Size of the store", format_store_bytes },
	{ "gswarm_store_max_bytes", "gauge", "Size at which the store evicts the oldest events",
	  format_store_max_bytes },
	{ "gswarm_store_first_sequence", "gauge", "Number of the oldest event in the store",
	  format_store_first_seq },
	{ "gswarm_store_last_sequence", "gauge", "Number of the newest event in the store",
	  format_store_last_seq },
	{ "gswarm_sink_events", "gauge",
	  "A sink's share of the ledger: stored + inherited = delivered + dead_lettered + evicted + waiting",
	  format_sink_ledger },
	{ "gswarm_sink_requests_total", "counter", "Requests made by the sink",
	  format_sink_requests },
	{ "gswarm_sink_failures_total", "counter", "Requests of the sink that failed",
	  format_sink_failures },
	{ "gswarm_sink_sent_bytes_total", "counter", "Body bytes the sink has sent with success",
	  format_sink_bytes },
	{ "gswarm_sink_last_success_timestamp_seconds", "gauge",
	  "Time of the sink's last success, 0 for none", format_sink_last_ok },
	{ "process_cpu_seconds_total", "counter", "User and system CPU time spent", format_cpu },
	{ "process_resident_memory_bytes", "gauge", "Resident memory size", format_resident },
	{ "process_virtual_memory_bytes", "gauge", "Virtual memory size", format_virtual },
	{ "process_open_fds", "gauge", "Open file descriptors", format_open_fds },
	{ "process_max_fds", "gauge", "Limit of open file descriptors", format_max_fds },
	{ "process_start_time_seconds", "gauge", "Time at which the observer started",
	  format_start_time },
};

/* A head without samples is left out: it would only be noise. */
static void format_metric(struct scrape *s, const struct metric *metric)
{
	size_t before = s->out->len, after_head;

	push_head(s->out, metric->name, metric->type, metric->help);
	after_head = s->out->len;
	s->name = metric->name;
	metric->format(s);
	if (s->out->len == after_head)
		s->out->len = before;
}

unsigned obs_metrics_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	struct scrape s = { .m = m, .now_ns = now_ns, .out = out };

	for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
		format_metric(&s, &metrics[i]);
	obs_metrics_usage_format(m, out);
	obs_metrics_peers_format(m, out);
	obs_metrics_conditions_format(m, out);
	obs_metrics_nodes_format(m, now_ns, out);
	obs_metrics_chain_format(m, out);
	format_counters(&s);
	obs_metrics_p2p(m, out);
	return out->failed ? 500 : 200;
}
