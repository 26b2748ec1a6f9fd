// SPDX-License-Identifier: BSD-2-Clause
/* report.c - see report.h. What is unknown is left out. */
#include "collect/report.h"

#include "collect/report_put.h"
#include "util/cleanup.h"

#define NS_PER_S 1e9

void obs_report_free(struct obs_report *r)
{
	for (size_t i = 0; i < OBS_REPORT_BUFFERS; i++)
		obs_buf_free(&r->json[i]);
	obs_buf_free(&r->message);
}

/* --- one field --- */

static void add_uint(struct obs_event *ev, const char *key, uint64_t v)
{
	if (v != OBS_UNKNOWN)
		obs_event_add_uint(ev, key, v);
}

static void add_real(struct obs_event *ev, const char *key, double v)
{
	if (!isnan(v))
		obs_event_add_real(ev, key, obs_report_tenth(v));
}

static void add_seconds(struct obs_event *ev, const char *key, uint64_t ns)
{
	if (ns != OBS_UNKNOWN)
		obs_event_add_real(ev, key, round((double)ns / 1e6) / 1e3);
}

struct obs_json obs_report_begin(struct obs_report *r)
{
	struct obs_buf *out = &r->json[r->used++];

	obs_buf_reset(out);
	return (struct obs_json){ .out = out };
}

void obs_report_end(const struct obs_json *j, struct obs_event *ev, const char *key)
{
	if (!j->err && j->out->len > 2)
		obs_event_add_json(ev, key, obs_buf_slice(j->out));
}

/* --- a node --- */

static void put_role(struct obs_json *j, const struct obs_role_usage *u)
{
	obs_json_object_open(j);
	obs_put_uint(j, "processes", u->processes);
	obs_put_uint(j, "threads", u->threads);
	obs_put_real(j, "cpu_percent", u->cpu_percent);
	obs_put_uint(j, "rss_bytes", u->rss_bytes);
	obs_put_uint(j, "swap_bytes", u->swap_bytes);
	obs_put_real(j, "cpu_s", (double)u->used.cpu_ns / NS_PER_S);
	obs_put_uint(j, "io_read_bytes", u->used.read_bytes);
	obs_put_uint(j, "io_write_bytes", u->used.write_bytes);
	obs_json_object_close(j);
}

static void add_roles(struct obs_report *r, const struct obs_node_usage *u,
		      const char *const *roles, size_t n_roles, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_object_open(&j);
	for (size_t i = 0; i < n_roles && i < OBS_USAGE_ROLES; i++) {
		if (u->roles[i].processes == 0 && u->roles[i].cpu_percent == 0)
			continue;
		obs_json_key_str(&j, roles[i]);
		put_role(&j, &u->roles[i]);
	}
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "roles");
}

static void put_process(struct obs_json *j, const struct obs_process_usage *p,
			const char *const *roles)
{
	const char state[2] = { p->state, '\0' };

	obs_json_object_open(j);
	obs_put_uint(j, "pid", (uint64_t)p->pid);
	obs_put_uint(j, "ppid", (uint64_t)p->ppid);
	obs_put_text(j, "comm", p->comm);
	obs_put_text(j, "role", roles[p->role]);
	obs_put_text(j, "state", state);
	obs_put_real(j, "cpu_percent", p->cpu_percent);
	obs_put_uint(j, "rss_bytes", p->rss_bytes);
	obs_put_uint(j, "swap_bytes", p->swap_bytes);
	obs_put_uint(j, "threads", p->threads);
	obs_put_real(j, "read_bytes_per_s", p->read_bytes_per_s);
	obs_put_real(j, "write_bytes_per_s", p->write_bytes_per_s);
	obs_put_real(j, "age_s", p->age_s);
	obs_put_text(j, "wait_channel", p->wait_channel);
	obs_json_object_close(j);
}

static void add_top(struct obs_report *r, const struct obs_node_usage *u, const char *const *roles,
		    size_t n_roles, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_array_open(&j);
	for (size_t i = 0; i < u->n_top; i++) {
		if (u->top[i].role < n_roles)
			put_process(&j, &u->top[i], roles);
	}
	obs_json_array_close(&j);
	obs_report_end(&j, ev, "top");
}

static const char *const pressure_names[OBS_PRESSURES] = {
	[OBS_PRESSURE_CPU] = "cpu",
	[OBS_PRESSURE_MEMORY] = "memory",
	[OBS_PRESSURE_IO] = "io",
};

static void put_pressure(struct obs_json *j, const struct obs_pressure *p)
{
	obs_json_object_open(j);
	obs_put_real(j, "some_avg10", p->some_avg10);
	obs_put_real(j, "full_avg10", p->full_avg10);
	obs_put_uint(j, "some_usec", p->some_usec);
	obs_put_uint(j, "full_usec", p->full_usec);
	obs_json_object_close(j);
}

void obs_report_psi(struct obs_report *r, const struct obs_pressure *p, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_object_open(&j);
	for (size_t i = 0; i < OBS_PRESSURES; i++) {
		if (p[i].some_usec == OBS_UNKNOWN)
			continue;
		obs_json_key_str(&j, pressure_names[i]);
		put_pressure(&j, &p[i]);
	}
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "psi");
}

static void add_cgroup(const struct obs_cgroup_usage *c, struct obs_event *ev)
{
	add_uint(ev, "memory_bytes", c->memory_bytes);
	add_uint(ev, "memory_limit_bytes", c->memory_limit_bytes);
	add_real(ev, "memory_percent", obs_report_percent(c->memory_bytes, c->memory_limit_bytes));
	add_uint(ev, "memory_peak_bytes", c->memory_peak_bytes);
	add_uint(ev, "memory_anon_bytes", c->memory_anon_bytes);
	add_uint(ev, "memory_file_bytes", c->memory_file_bytes);
	add_uint(ev, "memory_inactive_file_bytes", c->memory_inactive_file_bytes);
	add_uint(ev, "swap_bytes", c->swap_bytes);
	add_uint(ev, "memory_limit_hits", c->limit_hits);
	add_uint(ev, "oom_kills", c->oom_kills);
	add_uint(ev, "io_read_bytes", c->read_bytes);
	add_uint(ev, "io_write_bytes", c->write_bytes);
	add_uint(ev, "io_reads", c->reads);
	add_uint(ev, "io_writes", c->writes);
	add_uint(ev, "cpu_periods", c->periods);
	add_uint(ev, "cpu_throttled_periods", c->throttled_periods);
	add_seconds(ev, "cpu_throttled_s", c->throttled_ns);
	add_seconds(ev, "cpu_s", c->cpu_ns);
	add_seconds(ev, "cpu_user_s", c->user_ns);
	add_seconds(ev, "cpu_system_s", c->system_ns);
	add_uint(ev, "pids", c->pids);
	add_uint(ev, "pids_limit", c->pids_limit);
}

/* Without a cgroup of its own: what its processes add up to. */
static void add_sums(const struct obs_node_usage *u, struct obs_event *ev)
{
	add_uint(ev, "memory_bytes", u->rss_bytes);
	add_uint(ev, "swap_bytes", u->swap_bytes);
	add_uint(ev, "io_read_bytes", u->used.read_bytes);
	add_uint(ev, "io_write_bytes", u->used.write_bytes);
	add_seconds(ev, "cpu_s", u->used.cpu_ns);
	add_seconds(ev, "cpu_user_s", u->used.user_ns);
	add_seconds(ev, "cpu_system_s", u->used.system_ns);
}

static void say(struct obs_report *r, const struct obs_node_usage *u, struct obs_event *ev)
{
	uint64_t memory = u->has_cgroup && u->cgroup.memory_bytes != OBS_UNKNOWN
				  ? u->cgroup.memory_bytes
				  : u->rss_bytes;

	obs_buf_reset(&r->message);
	obs_buf_printf(&r->message, "%.1f %% of a core, %.0f MiB, %u processes", u->cpu_percent,
		       (double)memory / (1024 * 1024), u->processes);
	ev->message = obs_buf_slice(&r->message);
}

void obs_report_node(struct obs_report *r, const struct obs_node_usage *u, const char *const *roles,
		     size_t n_roles, struct obs_event *ev)
{
	r->used = 0;
	*ev = (struct obs_event){
		.type = OBS_EVENT_CONTAINER_SNAPSHOT,
		.name = "usage",
		.wall_ns = u->sampled_ns,
		.origin = { .via = OBS_VIA_USAGE },
	};
	say(r, u, ev);
	obs_event_add_real(ev, "interval_s", round(u->interval_s * 1000) / 1000);
	add_real(ev, "cpu_percent", u->cpu_percent);
	if (!isnan(u->cpu_limit)) {
		obs_event_add_real(ev, "cpu_limit", u->cpu_limit);
		add_real(ev, "cpu_percent_of_limit", u->cpu_percent / u->cpu_limit);
	}
	if (u->has_cgroup)
		add_cgroup(&u->cgroup, ev);
	else
		add_sums(u, ev);
	add_uint(ev, "shared_memory_limit_bytes", u->shared_memory_limit);
	add_uint(ev, "rss_bytes", u->rss_bytes);
	add_uint(ev, "minor_faults", u->used.min_faults);
	add_uint(ev, "major_faults", u->used.maj_faults);
	add_uint(ev, "processes", u->processes);
	add_uint(ev, "threads", u->threads);
	add_uint(ev, "zombies", u->zombies);
	add_uint(ev, "processes_started", u->started);
	add_uint(ev, "processes_ended", u->ended);
	add_uint(ev, "processes_short_lived", u->short_lived);
	if (u->has_cgroup)
		obs_report_psi(r, u->cgroup.pressure, ev);
	add_roles(r, u, roles, n_roles, ev);
	add_top(r, u, roles, n_roles, ev);
}
