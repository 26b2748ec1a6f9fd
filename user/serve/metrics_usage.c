// SPDX-License-Identifier: BSD-2-Clause
/*
 * metrics_usage.c - /metrics of what is used: a row says where a number stands and how it is written.
 *
 * What is unknown has no sample; a metric without samples has no head.
 */
#include <math.h>
#include <stdio.h>

#include "serve/metric.h"
#include "util/cleanup.h"

#define NS_PER_S   1e9
#define USEC_PER_S 1e6
#define LABELS_MAX 4

enum kind {
	U32,
	U64,
	REAL,
	FLAG,	 /* bool */
	NANO_S,	 /* ns, shown in seconds */
	MICRO_S, /* µs, shown in seconds */
};

struct row {
	const char *name, *type, *help;
	const char *label, *value; /* one more label; NULL = none */
	enum kind kind;
	size_t offset;
};

static void put(struct obs_buf *out, const struct row *row, const void *base,
		const struct obs_metric_label *labels, size_t n)
{
	struct obs_metric_label l[LABELS_MAX + 1];
	const void *at = (const char *)base + row->offset;
	uint64_t whole = 0;
	double real = NAN;

	for (size_t i = 0; i < n; i++)
		l[i] = labels[i];
	if (row->label)
		l[n++] = (struct obs_metric_label){ row->label, row->value };
	if (row->kind == REAL)
		real = *(const double *)at;
	else
		whole = row->kind == U32    ? *(const uint32_t *)at
			: row->kind == FLAG ? *(const bool *)at
					    : *(const uint64_t *)at;
	if (row->kind == REAL ? isnan(real) : whole == OBS_UNKNOWN)
		return;
	if (row->kind == NANO_S)
		obs_metric_line(out, row->name, l, n, (double)whole / NS_PER_S);
	else if (row->kind == MICRO_S)
		obs_metric_line(out, row->name, l, n, (double)whole / USEC_PER_S);
	else if (row->kind == REAL)
		obs_metric_line(out, row->name, l, n, real);
	else
		obs_metric_line_count(out, row->name, l, n, whole);
}

/* Rows of one name stand together: the head comes before the first that has a sample. */
typedef void (*each_fn)(const struct obs_model *m, const struct row *row, struct obs_buf *out);

static void format_rows(const struct obs_model *m, const struct row *rows, size_t n, each_fn each,
			struct obs_buf *out)
{
	for (size_t i = 0; i < n;) {
		const struct row *first = &rows[i];
		size_t before = out->len, after_head;

		obs_metric_head(out, first->name, first->type, first->help);
		after_head = out->len;
		for (; i < n && strcmp(rows[i].name, first->name) == 0; i++)
			each(m, &rows[i], out);
		if (out->len == after_head)
			out->len = before;
	}
}

/* ---- nodes ---- */

#define NODE(member)	   offsetof(struct obs_node_usage, member)
#define PSI(which, member) NODE(cgroup.pressure[which].member)

static const struct row node_rows[] = {
	/* clang-format off */
	{ "gswarm_node_cpu_percent", "gauge", "CPU that the node used in the last interval, in percent of one core", NULL, NULL, REAL, NODE(cpu_percent) },
	{ "gswarm_node_cpu_limit_cores", "gauge", "Cores that the node may use", NULL, NULL, REAL, NODE(cpu_limit) },
	{ "gswarm_node_process_cpu_seconds_total", "counter", "CPU time of the node's processes since each started, those included that have ended since the node was found", "mode", "user", NANO_S, NODE(used.user_ns) },
	{ "gswarm_node_process_cpu_seconds_total", "counter", "", "mode", "system", NANO_S, NODE(used.system_ns) },
	{ "gswarm_node_resident_memory_bytes", "gauge", "Resident memory of the node's processes, pages that they share counted for each", NULL, NULL, U64, NODE(rss_bytes) },
	{ "gswarm_node_swapped_bytes", "gauge", "Swapped memory of the node's processes", NULL, NULL, U64, NODE(swap_bytes) },
	{ "gswarm_node_page_faults_total", "counter", "Page faults of the node's processes", "kind", "minor", U64, NODE(used.min_faults) },
	{ "gswarm_node_page_faults_total", "counter", "", "kind", "major", U64, NODE(used.maj_faults) },
	{ "gswarm_node_storage_bytes_total", "counter", "Bytes that the node's processes moved from and to storage", "direction", "read", U64, NODE(used.read_bytes) },
	{ "gswarm_node_storage_bytes_total", "counter", "", "direction", "write", U64, NODE(used.write_bytes) },
	{ "gswarm_node_processes", "gauge", "Processes of the node at the last look", NULL, NULL, U32, NODE(processes) },
	{ "gswarm_node_threads", "gauge", "Threads of the node at the last look", NULL, NULL, U32, NODE(threads) },
	{ "gswarm_node_zombies", "gauge", "Processes of the node that have ended and that nobody has waited for", NULL, NULL, U32, NODE(zombies) },
	{ "gswarm_node_processes_started_total", "counter", "Processes of the node, those that were there when it was found included", NULL, NULL, U64, NODE(started) },
	{ "gswarm_node_processes_ended_total", "counter", "Processes of the node that have ended", NULL, NULL, U64, NODE(ended) },
	{ "gswarm_node_processes_short_lived_total", "counter", "Those of them that lived between two looks", NULL, NULL, U64, NODE(short_lived) },
	/* clang-format on */
};

static const struct row cgroup_rows[] = {
	/* clang-format off */
	{ "gswarm_node_cpu_seconds_total", "counter", "CPU time of the node's container since it was made", NULL, NULL, NANO_S, NODE(cgroup.cpu_ns) },
	{ "gswarm_node_cpu_throttled_seconds_total", "counter", "Time in which the container wanted a CPU and was over its quota", NULL, NULL, NANO_S, NODE(cgroup.throttled_ns) },
	{ "gswarm_node_cpu_throttled_periods_total", "counter", "Periods in which the container was held back by its quota", NULL, NULL, U64, NODE(cgroup.throttled_periods) },
	{ "gswarm_node_memory_bytes", "gauge", "Memory of the node's container, page cache included", NULL, NULL, U64, NODE(cgroup.memory_bytes) },
	{ "gswarm_node_memory_peak_bytes", "gauge", "The most memory that the container ever had", NULL, NULL, U64, NODE(cgroup.memory_peak_bytes) },
	{ "gswarm_node_memory_limit_bytes", "gauge", "Memory that the container may have", NULL, NULL, U64, NODE(cgroup.memory_limit_bytes) },
	{ "gswarm_node_memory_anon_bytes", "gauge", "Memory of the container that no file is behind", NULL, NULL, U64, NODE(cgroup.memory_anon_bytes) },
	{ "gswarm_node_memory_file_bytes", "gauge", "Page cache of the container", NULL, NULL, U64, NODE(cgroup.memory_file_bytes) },
	{ "gswarm_node_swap_bytes", "gauge", "Swap of the container", NULL, NULL, U64, NODE(cgroup.swap_bytes) },
	{ "gswarm_node_memory_limit_hits_total", "counter", "Times that the container reached its memory limit", NULL, NULL, U64, NODE(cgroup.limit_hits) },
	{ "gswarm_node_oom_kills_total", "counter", "Processes of the container that were killed for want of memory", NULL, NULL, U64, NODE(cgroup.oom_kills) },
	{ "gswarm_node_io_bytes_total", "counter", "Bytes that the container moved from and to block devices", "direction", "read", U64, NODE(cgroup.read_bytes) },
	{ "gswarm_node_io_bytes_total", "counter", "", "direction", "write", U64, NODE(cgroup.write_bytes) },
	{ "gswarm_node_io_operations_total", "counter", "Operations of the container on block devices", "direction", "read", U64, NODE(cgroup.reads) },
	{ "gswarm_node_io_operations_total", "counter", "", "direction", "write", U64, NODE(cgroup.writes) },
	{ "gswarm_node_tasks", "gauge", "Threads of the container", NULL, NULL, U64, NODE(cgroup.pids) },
	{ "gswarm_node_tasks_limit", "gauge", "Threads that the container may have", NULL, NULL, U64, NODE(cgroup.pids_limit) },
	{ "gswarm_node_pressure_some_seconds_total", "counter", "Time in which some task of the container waited for it", "resource", "cpu", MICRO_S, PSI(OBS_PRESSURE_CPU, some_usec) },
	{ "gswarm_node_pressure_some_seconds_total", "counter", "", "resource", "memory", MICRO_S, PSI(OBS_PRESSURE_MEMORY, some_usec) },
	{ "gswarm_node_pressure_some_seconds_total", "counter", "", "resource", "io", MICRO_S, PSI(OBS_PRESSURE_IO, some_usec) },
	{ "gswarm_node_pressure_full_seconds_total", "counter", "Time in which all tasks of the container waited for it", "resource", "memory", MICRO_S, PSI(OBS_PRESSURE_MEMORY, full_usec) },
	{ "gswarm_node_pressure_full_seconds_total", "counter", "", "resource", "io", MICRO_S, PSI(OBS_PRESSURE_IO, full_usec) },
	/* clang-format on */
};

static size_t node_labels(const struct obs_node_status *node, char *slot, size_t size,
			  struct obs_metric_label *l)
{
	snprintf(slot, size, "%u", node->slot);
	l[0] = (struct obs_metric_label){ "node", node->name };
	l[1] = (struct obs_metric_label){ "container_id", node->container_id };
	l[2] = (struct obs_metric_label){ "slot", slot };
	return 3;
}

static void each_node(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	bool of_cgroup = row >= cgroup_rows && row < cgroup_rows + ARRAY_LEN(cgroup_rows);

	for (size_t i = 0; i < m->n_nodes; i++) {
		const struct obs_node_usage *u = m->nodes[i].usage;
		struct obs_metric_label l[LABELS_MAX];
		char slot[16];

		if (u && (u->has_cgroup || !of_cgroup))
			put(out, row, u, l, node_labels(&m->nodes[i], slot, sizeof(slot), l));
	}
}

/* ---- roles ---- */

#define ROLE(member) offsetof(struct obs_role_usage, member)

static const struct row role_rows[] = {
	/* clang-format off */
	{ "gswarm_role_processes", "gauge", "Processes of the node that have this role", NULL, NULL, U32, ROLE(processes) },
	{ "gswarm_role_threads", "gauge", "Their threads", NULL, NULL, U32, ROLE(threads) },
	{ "gswarm_role_cpu_percent", "gauge", "CPU that they used in the last interval, in percent of one core", NULL, NULL, REAL, ROLE(cpu_percent) },
	{ "gswarm_role_cpu_seconds_total", "counter", "CPU time of those that live and those that have ended", NULL, NULL, NANO_S, ROLE(used.cpu_ns) },
	{ "gswarm_role_resident_memory_bytes", "gauge", "Their resident memory", NULL, NULL, U64, ROLE(rss_bytes) },
	{ "gswarm_role_storage_bytes_total", "counter", "Bytes that they moved from and to storage", "direction", "read", U64, ROLE(used.read_bytes) },
	{ "gswarm_role_storage_bytes_total", "counter", "", "direction", "write", U64, ROLE(used.write_bytes) },
	/* clang-format on */
};

static void each_role_of(const struct obs_model *m, const struct obs_node_status *node,
			 const struct row *row, struct obs_buf *out)
{
	struct obs_metric_label l[LABELS_MAX];
	char slot[16];
	size_t n = node_labels(node, slot, sizeof(slot), l);

	for (size_t i = 0; i < m->n_roles && i < OBS_USAGE_ROLES; i++) {
		const struct obs_role_usage *r = &node->usage->roles[i];

		l[n] = (struct obs_metric_label){ "role", m->roles[i] };
		if (r->processes || r->used.cpu_ns)
			put(out, row, r, l, n + 1);
	}
}

static void each_role(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	for (size_t i = 0; i < m->n_nodes; i++) {
		if (m->nodes[i].usage)
			each_role_of(m, &m->nodes[i], row, out);
	}
}

/* ---- looking ---- */

static const struct row look_rows[] = {
	{ "gswarm_usage_look_cpu_seconds_total", "counter",
	  "CPU time that looks at what nodes use took, their events included", NULL, NULL, NANO_S,
	  offsetof(struct obs_model, look_cpu_ns) },
};

static void each_look(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	if (m->look_cpu_ns)
		put(out, row, m, NULL, 0);
}

/* ---- the host ---- */

#define HOST(member) offsetof(struct obs_host_usage, member)

static const struct row host_rows[] = {
	/* clang-format off */
	{ "gswarm_host_sampled_timestamp_seconds", "gauge", "Time of the last look at the host", NULL, NULL, NANO_S, HOST(sampled_ns) },
	{ "gswarm_host_cpu_percent", "gauge", "CPU of the host that was busy in the last interval, in percent of all cores", NULL, NULL, REAL, HOST(cpu_percent) },
	{ "gswarm_host_cpu_seconds_total", "counter", "CPU time of the host since boot, all cores", "mode", "user", NANO_S, HOST(cpu_ns[0]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "nice", NANO_S, HOST(cpu_ns[1]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "system", NANO_S, HOST(cpu_ns[2]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "idle", NANO_S, HOST(cpu_ns[3]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "iowait", NANO_S, HOST(cpu_ns[4]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "irq", NANO_S, HOST(cpu_ns[5]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "softirq", NANO_S, HOST(cpu_ns[6]) },
	{ "gswarm_host_cpu_seconds_total", "counter", "", "mode", "steal", NANO_S, HOST(cpu_ns[7]) },
	{ "gswarm_host_cores", "gauge", "Cores of the host", NULL, NULL, U32, HOST(cores) },
	{ "gswarm_host_load1", "gauge", "Load average over a minute", NULL, NULL, REAL, HOST(load_avg[0]) },
	{ "gswarm_host_load5", "gauge", "Load average over five minutes", NULL, NULL, REAL, HOST(load_avg[1]) },
	{ "gswarm_host_load15", "gauge", "Load average over fifteen minutes", NULL, NULL, REAL, HOST(load_avg[2]) },
	{ "gswarm_host_cpu_temperature_celsius", "gauge", "The hottest of the CPU's sensors", NULL, NULL, REAL, HOST(temp_c) },
	{ "gswarm_host_memory_total_bytes", "gauge", "Memory of the host", NULL, NULL, U64, HOST(ram_total_bytes) },
	{ "gswarm_host_memory_available_bytes", "gauge", "Memory that programs can still get without swapping", NULL, NULL, U64, HOST(ram_available_bytes) },
	{ "gswarm_host_memory_free_bytes", "gauge", "Memory that nothing uses", NULL, NULL, U64, HOST(ram_free_bytes) },
	{ "gswarm_host_swap_total_bytes", "gauge", "Swap of the host", NULL, NULL, U64, HOST(swap_total_bytes) },
	{ "gswarm_host_swap_free_bytes", "gauge", "Swap that is not used", NULL, NULL, U64, HOST(swap_free_bytes) },
	{ "gswarm_host_network_bytes_total", "counter", "Bytes through the host's outer interfaces", "direction", "receive", U64, HOST(net_rx_bytes) },
	{ "gswarm_host_network_bytes_total", "counter", "", "direction", "transmit", U64, HOST(net_tx_bytes) },
	{ "gswarm_host_network_errors_total", "counter", "Packets with errors", "direction", "receive", U64, HOST(net_rx_errors) },
	{ "gswarm_host_network_errors_total", "counter", "", "direction", "transmit", U64, HOST(net_tx_errors) },
	{ "gswarm_host_network_dropped_total", "counter", "Packets dropped", "direction", "receive", U64, HOST(net_rx_dropped) },
	{ "gswarm_host_network_dropped_total", "counter", "", "direction", "transmit", U64, HOST(net_tx_dropped) },
	{ "gswarm_host_storage_bytes_total", "counter", "Bytes from and to the host's disks", "direction", "read", U64, HOST(disk_read_bytes) },
	{ "gswarm_host_storage_bytes_total", "counter", "", "direction", "write", U64, HOST(disk_write_bytes) },
	{ "gswarm_host_storage_busy_percent", "gauge", "Time in which the busiest disk had something to do", NULL, NULL, REAL, HOST(disk_busy_percent) },
	{ "gswarm_host_pressure_some_seconds_total", "counter", "Time in which some task waited for it", "resource", "cpu", MICRO_S, HOST(pressure[OBS_PRESSURE_CPU].some_usec) },
	{ "gswarm_host_pressure_some_seconds_total", "counter", "", "resource", "memory", MICRO_S, HOST(pressure[OBS_PRESSURE_MEMORY].some_usec) },
	{ "gswarm_host_pressure_some_seconds_total", "counter", "", "resource", "io", MICRO_S, HOST(pressure[OBS_PRESSURE_IO].some_usec) },
	{ "gswarm_host_pressure_full_seconds_total", "counter", "Time in which all tasks waited for it", "resource", "memory", MICRO_S, HOST(pressure[OBS_PRESSURE_MEMORY].full_usec) },
	{ "gswarm_host_pressure_full_seconds_total", "counter", "", "resource", "io", MICRO_S, HOST(pressure[OBS_PRESSURE_IO].full_usec) },
	/* clang-format on */
};

static void each_host(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	if (m->host.sampled_ns)
		put(out, row, &m->host, NULL, 0);
}

/* ---- volumes ---- */

#define DISK(member) offsetof(struct obs_disk_usage, member)

static const struct row disk_rows[] = {
	/* clang-format off */
	{ "gswarm_volume_size_bytes", "gauge", "Size of a file system that somebody writes to", NULL, NULL, U64, DISK(total_bytes) },
	{ "gswarm_volume_used_bytes", "gauge", "What is used of it", NULL, NULL, U64, DISK(used_bytes) },
	{ "gswarm_volume_available_bytes", "gauge", "What ordinary users can still write", NULL, NULL, U64, DISK(available_bytes) },
	{ "gswarm_volume_files", "gauge", "How many files it can hold", NULL, NULL, U64, DISK(files) },
	{ "gswarm_volume_files_free", "gauge", "How many more", NULL, NULL, U64, DISK(files_free) },
	/* clang-format on */
};

static void each_disk(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	for (size_t i = 0; i < m->host.n_disks; i++) {
		const struct obs_disk_usage *d = &m->host.disks[i];
		const struct obs_metric_label l[] = { { "path", d->path },
						      { "used_by", d->used_by },
						      { "type", d->type } };

		put(out, row, d, l, ARRAY_LEN(l));
	}
}

/* ---- GPUs ---- */

#define GPU(member) offsetof(struct obs_gpu_usage, member)

static const struct row gpu_rows[] = {
	/* clang-format off */
	{ "gswarm_gpu_lost", "gauge", "1 when the GPU was there and does not answer any more", NULL, NULL, FLAG, GPU(lost) },
	{ "gswarm_gpu_utilization_percent", "gauge", "Time in which the GPU had something to do", NULL, NULL, REAL, GPU(util_percent) },
	{ "gswarm_gpu_memory_utilization_percent", "gauge", "Time in which its memory was read or written", NULL, NULL, REAL, GPU(memory_util_percent) },
	{ "gswarm_gpu_temperature_celsius", "gauge", "Temperature of the GPU", NULL, NULL, REAL, GPU(temp_c) },
	{ "gswarm_gpu_power_watts", "gauge", "Power that it draws", NULL, NULL, REAL, GPU(power_w) },
	{ "gswarm_gpu_power_limit_watts", "gauge", "Power that it may draw", NULL, NULL, REAL, GPU(power_limit_w) },
	{ "gswarm_gpu_fan_percent", "gauge", "Speed of its fan", NULL, NULL, REAL, GPU(fan_percent) },
	{ "gswarm_gpu_sm_clock_mhz", "gauge", "Clock of its processors", NULL, NULL, REAL, GPU(sm_mhz) },
	{ "gswarm_gpu_sm_clock_max_mhz", "gauge", "The highest that they can have", NULL, NULL, REAL, GPU(max_sm_mhz) },
	{ "gswarm_gpu_memory_clock_mhz", "gauge", "Clock of its memory", NULL, NULL, REAL, GPU(memory_mhz) },
	{ "gswarm_gpu_memory_used_bytes", "gauge", "Memory of the GPU in use", NULL, NULL, U64, GPU(memory_used_bytes) },
	{ "gswarm_gpu_memory_total_bytes", "gauge", "Memory of the GPU", NULL, NULL, U64, GPU(memory_total_bytes) },
	{ "gswarm_gpu_throttle_reasons", "gauge", "Why its clocks are held back, as NVML's bits", NULL, NULL, U64, GPU(throttle_reasons) },
	{ "gswarm_gpu_ecc_errors_total", "counter", "Memory errors since the driver was loaded", "kind", "corrected", U64, GPU(ecc_corrected) },
	{ "gswarm_gpu_ecc_errors_total", "counter", "", "kind", "uncorrected", U64, GPU(ecc_uncorrected) },
	{ "gswarm_gpu_xid_errors_total", "counter", "Xid errors since the observer started", NULL, NULL, U64, GPU(xid_errors) },
	{ "gswarm_gpu_last_xid", "gauge", "Number of the last of them, 0 for none", NULL, NULL, U64, GPU(last_xid) },
	/* clang-format on */
};

static size_t gpu_labels(const struct obs_gpu_usage *g, char *index, size_t size,
			 struct obs_metric_label *l)
{
	snprintf(index, size, "%u", g->index);
	l[0] = (struct obs_metric_label){ "gpu", index };
	l[1] = (struct obs_metric_label){ "name", g->name };
	l[2] = (struct obs_metric_label){ "uuid", g->uuid };
	return 3;
}

static void each_gpu(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	for (size_t i = 0; i < m->host.n_gpus; i++) {
		const struct obs_gpu_usage *g = &m->host.gpus[i];
		struct obs_metric_label l[LABELS_MAX];
		char index[16];

		put(out, row, g, l, gpu_labels(g, index, sizeof(index), l));
	}
}

static const struct row gpu_process_rows[] = {
	/* clang-format off */
	{ "gswarm_gpu_process_memory_bytes", "gauge", "GPU memory that a process holds", NULL, NULL, U64, offsetof(struct obs_gpu_process, memory_bytes) },
	/* clang-format on */
};

static void each_gpu_process(const struct obs_model *m, const struct row *row, struct obs_buf *out)
{
	for (size_t i = 0; i < m->host.n_gpus; i++) {
		const struct obs_gpu_usage *g = &m->host.gpus[i];

		for (size_t k = 0; k < g->n_procs; k++) {
			char index[16], pid[16];
			const struct obs_metric_label l[] = { { "gpu", index },
							      { "pid", pid },
							      { "node", g->procs[k].node },
							      { "role", g->procs[k].role } };

			snprintf(index, sizeof(index), "%u", g->index);
			snprintf(pid, sizeof(pid), "%u", g->procs[k].pid);
			put(out, row, &g->procs[k], l, ARRAY_LEN(l));
		}
	}
}

void obs_metrics_usage_format(const struct obs_model *m, struct obs_buf *out)
{
	format_rows(m, node_rows, ARRAY_LEN(node_rows), each_node, out);
	format_rows(m, cgroup_rows, ARRAY_LEN(cgroup_rows), each_node, out);
	format_rows(m, role_rows, ARRAY_LEN(role_rows), each_role, out);
	format_rows(m, look_rows, ARRAY_LEN(look_rows), each_look, out);
	format_rows(m, host_rows, ARRAY_LEN(host_rows), each_host, out);
	format_rows(m, disk_rows, ARRAY_LEN(disk_rows), each_disk, out);
	format_rows(m, gpu_rows, ARRAY_LEN(gpu_rows), each_gpu, out);
	format_rows(m, gpu_process_rows, ARRAY_LEN(gpu_process_rows), each_gpu_process, out);
}
