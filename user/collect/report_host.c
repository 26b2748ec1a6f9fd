// SPDX-License-Identifier: BSD-2-Clause
/*
 * report_host.c - the host's use as an event; see report.h.
 *
 * Some numbers stand there under two names: the seed's (percent, total_mb, vram_used_mb) and the
 * Go sidecar's (usage_percent, total in bytes), so that a receiver of either goes on working.
 */
#include "collect/report_put.h"
#include "util/cleanup.h"

#define MIB (1024 * 1024)

static void put_mb(struct obs_json *j, const char *key, uint64_t bytes)
{
	if (bytes != OBS_UNKNOWN)
		obs_put_uint(j, key, bytes / MIB);
}

static uint64_t minus(uint64_t whole, uint64_t part)
{
	if (whole == OBS_UNKNOWN || part == OBS_UNKNOWN)
		return OBS_UNKNOWN;
	return whole > part ? whole - part : 0;
}

static void put_load(struct obs_json *j, const double *load)
{
	if (isnan(load[0]))
		return;
	obs_json_key_str(j, "load_avg");
	obs_json_array_open(j);
	for (int i = 0; i < 3; i++)
		obs_json_real(j, load[i]);
	obs_json_array_close(j);
}

static void add_cpu(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	if (u->cores == 0)
		return;
	obs_json_object_open(&j);
	obs_put_real(&j, "percent", u->cpu_percent);
	obs_put_real(&j, "usage_percent", u->cpu_percent);
	obs_put_uint(&j, "cores", u->cores);
	obs_put_uint(&j, "core_count", u->cores);
	put_load(&j, u->load_avg);
	obs_put_real(&j, "temperature", u->temp_c);
	obs_put_real(&j, "user_percent", u->cpu_user_percent);
	obs_put_real(&j, "system_percent", u->cpu_system_percent);
	obs_put_real(&j, "iowait_percent", u->cpu_iowait_percent);
	obs_put_real(&j, "steal_percent", u->cpu_steal_percent);
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "cpu");
}

static void add_ram(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	uint64_t used = minus(u->ram_total_bytes, u->ram_available_bytes);
	uint64_t swapped = minus(u->swap_total_bytes, u->swap_free_bytes);
	struct obs_json j = obs_report_begin(r);

	if (u->ram_total_bytes == OBS_UNKNOWN)
		return;
	obs_json_object_open(&j);
	put_mb(&j, "total_mb", u->ram_total_bytes);
	put_mb(&j, "used_mb", used);
	put_mb(&j, "available_mb", u->ram_available_bytes);
	obs_put_real(&j, "percent_used", obs_report_percent(used, u->ram_total_bytes));
	put_mb(&j, "swap_total_mb", u->swap_total_bytes);
	put_mb(&j, "swap_used_mb", swapped);
	obs_put_uint(&j, "total", u->ram_total_bytes);
	obs_put_uint(&j, "used", used);
	obs_put_uint(&j, "available", u->ram_available_bytes);
	obs_put_real(&j, "usage_percent", obs_report_percent(used, u->ram_total_bytes));
	obs_put_uint(&j, "swap_total", u->swap_total_bytes);
	obs_put_uint(&j, "swap_used", swapped);
	if (u->swap_total_bytes)
		obs_put_real(&j, "swap_percent", obs_report_percent(swapped, u->swap_total_bytes));
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "ram");
}

static void put_disk(struct obs_json *j, const struct obs_disk_usage *d)
{
	obs_json_object_open(j);
	obs_put_text(j, "path", d->path);
	obs_put_text(j, "used_by", d->used_by);
	obs_put_text(j, "type", d->type);
	obs_put_uint(j, "total_bytes", d->total_bytes);
	obs_put_uint(j, "used_bytes", d->used_bytes);
	obs_put_uint(j, "available_bytes", d->available_bytes);
	/* as df(1): what only root may take does not count */
	obs_put_real(j, "percent_used",
		     obs_report_percent(d->used_bytes, d->used_bytes + d->available_bytes));
	if (d->files)
		obs_put_real(j, "files_percent_used",
			     obs_report_percent(d->files - d->files_free, d->files));
	obs_json_object_close(j);
}

static void add_disks(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_array_open(&j);
	for (size_t i = 0; i < u->n_disks; i++)
		put_disk(&j, &u->disks[i]);
	obs_json_array_close(&j);
	obs_report_end(&j, ev, "disk");
}

static void add_disk_io(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_object_open(&j);
	obs_put_uint(&j, "read_bytes", u->disk_read_bytes);
	obs_put_uint(&j, "write_bytes", u->disk_write_bytes);
	obs_put_real(&j, "read_bytes_per_s", u->disk_read_bytes_per_s);
	obs_put_real(&j, "write_bytes_per_s", u->disk_write_bytes_per_s);
	obs_put_real(&j, "busy_percent", u->disk_busy_percent);
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "disk_io");
}

static void add_network(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_object_open(&j);
	obs_put_uint(&j, "rx_bytes", u->net_rx_bytes);
	obs_put_uint(&j, "tx_bytes", u->net_tx_bytes);
	obs_put_real(&j, "rx_bytes_per_s", u->net_rx_bytes_per_s);
	obs_put_real(&j, "tx_bytes_per_s", u->net_tx_bytes_per_s);
	obs_put_uint(&j, "rx_errors", u->net_rx_errors);
	obs_put_uint(&j, "tx_errors", u->net_tx_errors);
	obs_put_uint(&j, "rx_dropped", u->net_rx_dropped);
	obs_put_uint(&j, "tx_dropped", u->net_tx_dropped);
	obs_json_object_close(&j);
	obs_report_end(&j, ev, "network");
}

static void put_gpu_processes(struct obs_json *j, const struct obs_gpu_usage *g)
{
	obs_json_key_str(j, "processes");
	obs_json_array_open(j);
	for (size_t i = 0; i < g->n_procs; i++) {
		const struct obs_gpu_process *p = &g->procs[i];

		obs_json_object_open(j);
		obs_put_uint(j, "pid", p->pid);
		obs_put_text(j, "node", p->node);
		obs_put_text(j, "role", p->role);
		obs_put_uint(j, "memory_bytes", p->memory_bytes);
		if (p->instance != UINT32_MAX)
			obs_put_uint(j, "instance", p->instance);
		obs_json_object_close(j);
	}
	obs_json_array_close(j);
}

static void put_gpu_identity(struct obs_json *j, const struct obs_gpu_usage *g)
{
	obs_put_uint(j, "index", g->index);
	obs_put_text(j, "name", g->name);
	obs_put_text(j, "uuid", g->uuid);
	if (g->mig_parent >= 0) {
		obs_put_uint(j, "mig_parent", (uint64_t)g->mig_parent);
		obs_put_uint(j, "mig_instance", g->instance);
	}
	if (g->lost) {
		obs_json_key_str(j, "lost");
		obs_json_bool(j, true);
	}
}

static void put_throttle(struct obs_json *j, uint64_t reasons)
{
	if (reasons == OBS_UNKNOWN)
		return;
	obs_json_key_str(j, "throttle_reasons");
	obs_json_array_open(j);
	for (unsigned bit = 0; bit < 64; bit++) {
		if (reasons >> bit & 1 && obs_throttle_str(bit))
			obs_json_str(j, obs_slice_str(obs_throttle_str(bit)));
	}
	obs_json_array_close(j);
}

static void put_gpu(struct obs_json *j, const struct obs_gpu_usage *g)
{
	obs_json_object_open(j);
	put_gpu_identity(j, g);
	obs_put_real(j, "util_percent", g->util_percent);
	obs_put_real(j, "memory_util_percent", g->memory_util_percent);
	obs_put_real(j, "temp_c", g->temp_c);
	put_mb(j, "vram_used_mb", g->memory_used_bytes);
	put_mb(j, "vram_total_mb", g->memory_total_bytes);
	obs_put_real(j, "vram_percent",
		     obs_report_percent(g->memory_used_bytes, g->memory_total_bytes));
	obs_put_real(j, "power_w", g->power_w);
	obs_put_real(j, "power_limit_w", g->power_limit_w);
	obs_put_real(j, "fan_percent", g->fan_percent);
	obs_put_real(j, "sm_mhz", g->sm_mhz);
	obs_put_real(j, "max_sm_mhz", g->max_sm_mhz);
	obs_put_real(j, "memory_mhz", g->memory_mhz);
	put_throttle(j, g->throttle_reasons);
	obs_put_uint(j, "ecc_corrected", g->ecc_corrected);
	obs_put_uint(j, "ecc_uncorrected", g->ecc_uncorrected);
	obs_put_uint(j, "xid_errors", g->xid_errors);
	if (g->xid_errors && g->xid_errors != OBS_UNKNOWN)
		obs_put_uint(j, "last_xid", g->last_xid);
	put_gpu_processes(j, g);
	obs_json_object_close(j);
}

static void add_gpus(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	struct obs_json j = obs_report_begin(r);

	obs_json_array_open(&j);
	for (size_t i = 0; i < u->n_gpus; i++)
		put_gpu(&j, &u->gpus[i]);
	obs_json_array_close(&j);
	if (!j.err) /* an empty list says that there is none */
		obs_event_add_json(ev, "gpu", obs_buf_slice(j.out));
	if (*u->gpu_source)
		obs_event_add_str(ev, "gpu_source", obs_slice_str(u->gpu_source));
	if (*u->gpu_trouble)
		obs_event_add_str(ev, "gpu_trouble", obs_slice_str(u->gpu_trouble));
}

void obs_report_host(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev)
{
	r->used = 0;
	*ev = (struct obs_event){
		.type = OBS_EVENT_HARDWARE_SNAPSHOT,
		.name = "hardware",
		.wall_ns = u->sampled_ns,
		.origin = { .via = OBS_VIA_HOST },
	};
	obs_event_add_str(ev, "type", OBS_SLICE("hardware_snapshot")); /* the seed's */
	obs_event_add_real(ev, "interval_s", round(u->interval_s * 1000) / 1000);
	add_cpu(r, u, ev);
	add_ram(r, u, ev);
	add_disks(r, u, ev);
	add_disk_io(r, u, ev);
	add_network(r, u, ev);
	obs_report_psi(r, u->pressure, ev);
	add_gpus(r, u, ev);
}
