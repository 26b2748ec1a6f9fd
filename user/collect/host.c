// SPDX-License-Identifier: BSD-2-Clause
/*
 * host.c - see host.h. One function per file of /proc and /sys.
 */
#include "collect/host.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/cgroup.h"
#include "collect/procfs.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define FILE_BYTES   65536
#define SECTOR_BYTES 512 /* of /proc/diskstats, whatever the disk's are */
#define NS_PER_S     1e9

struct obs_host {
	const char *proc, *sys;
	uint64_t boot_ns; /* of the look before; 0 = none */
	uint64_t cpu_ns[8];
	uint64_t rx, tx, read, written, busy_ms;
	uint64_t busy_now_ms;
	char text[FILE_BYTES];
};

int obs_host_new(const char *proc, const char *sys, struct obs_host **ret)
{
	struct obs_host *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->proc = proc;
	h->sys = sys;
	*ret = h;
	return 0;
}

void obs_host_free(struct obs_host **h)
{
	free(*h);
	*h = NULL;
}

static bool load(struct obs_host *h, const char *root, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return obs_procfs_read(path, h->text, sizeof(h->text)) > 0;
}

/* --- CPU --- */

static uint64_t count_cores(const char *text)
{
	uint64_t n = 0;

	for (const char *p = text; (p = strstr(p, "\ncpu")); p += 4)
		n += p[4] >= '0' && p[4] <= '9';
	return n;
}

static void read_stat(struct obs_host *h, struct obs_host_usage *u)
{
	unsigned long long t[8] = {};

	if (!load(h, h->proc, "stat") ||
	    sscanf(h->text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
		   &t[3], &t[4], &t[5], &t[6], &t[7]) < 4)
		return;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		u->cpu_ns[i] = obs_ticks_ns(t[i]);
	u->cores = (uint32_t)count_cores(h->text);
}

static double share(const uint64_t *part, size_t n, double all)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)part[i];
	return 100 * sum / all;
}

/* user nice system idle iowait irq softirq steal: of what passed since the look before */
static void set_cpu_shares(struct obs_host *h, struct obs_host_usage *u)
{
	uint64_t d[8];
	double all = 0;

	for (size_t i = 0; i < ARRAY_LEN(d); i++) {
		d[i] = u->cpu_ns[i] > h->cpu_ns[i] ? u->cpu_ns[i] - h->cpu_ns[i] : 0;
		all += (double)d[i];
	}
	if (!h->boot_ns || all <= 0)
		return;
	u->cpu_user_percent = share(&d[0], 2, all);
	u->cpu_system_percent = share(&d[2], 1, all) + share(&d[5], 2, all);
	u->cpu_iowait_percent = share(&d[4], 1, all);
	u->cpu_steal_percent = share(&d[7], 1, all);
	u->cpu_percent = 100 - share(&d[3], 2, all);
}

static void read_loadavg(struct obs_host *h, struct obs_host_usage *u)
{
	if (load(h, h->proc, "loadavg") &&
	    sscanf(h->text, "%lf %lf %lf", &u->load_avg[0], &u->load_avg[1], &u->load_avg[2]) != 3)
		u->load_avg[0] = u->load_avg[1] = u->load_avg[2] = NAN;
}

static void read_pressure(struct obs_host *h, struct obs_host_usage *u)
{
	static const char *const names[OBS_PRESSURES] = { "pressure/cpu", "pressure/memory",
							  "pressure/io" };

	for (size_t i = 0; i < OBS_PRESSURES; i++) {
		if (load(h, h->proc, names[i]))
			obs_pressure_parse(h->text, &u->pressure[i]);
	}
}

/* --- memory --- */

static uint64_t kib_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 : OBS_UNKNOWN;
}

static void read_meminfo(struct obs_host *h, struct obs_host_usage *u)
{
	if (!load(h, h->proc, "meminfo"))
		return;
	u->ram_total_bytes = kib_of(h->text, "MemTotal:");
	u->ram_free_bytes = kib_of(h->text, "MemFree:");
	u->ram_available_bytes = kib_of(h->text, "MemAvailable:");
	u->swap_total_bytes = kib_of(h->text, "SwapTotal:");
	u->swap_free_bytes = kib_of(h->text, "SwapFree:");
}

/* --- network --- */

/* What carries the traffic of another interface once more, or none that leaves the host. */
static const char *const inner_interfaces[] = {
	"lo", "veth*", "docker*", "br-*", "virbr*", "cni*", "flannel*", "cali*", "ifb*", "dummy*",
};

static bool is_one_of(const char *name, const char *const *globs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fnmatch(globs[i], name, 0) == 0)
			return true;
	}
	return false;
}

static void add_interface(const char *line, struct obs_host_usage *u)
{
	unsigned long long rx, rx_errors, rx_dropped, tx, tx_errors, tx_dropped;
	char name[32];

	if (sscanf(line, " %31[^:]: %llu %*u %llu %llu %*u %*u %*u %*u %llu %*u %llu %llu", name,
		   &rx, &rx_errors, &rx_dropped, &tx, &tx_errors, &tx_dropped) != 7)
		return;
	if (is_one_of(name, inner_interfaces, ARRAY_LEN(inner_interfaces)))
		return;
	u->net_rx_bytes += rx;
	u->net_rx_errors += rx_errors;
	u->net_rx_dropped += rx_dropped;
	u->net_tx_bytes += tx;
	u->net_tx_errors += tx_errors;
	u->net_tx_dropped += tx_dropped;
}

/* Of the host's own namespace, where we may see it. */
static void read_network(struct obs_host *h, struct obs_host_usage *u)
{
	const char *p = h->text;
	char line[512];

	if (!load(h, h->proc, "1/net/dev") && !load(h, h->proc, "net/dev"))
		return;
	u->net_rx_bytes = u->net_rx_errors = u->net_rx_dropped = 0;
	u->net_tx_bytes = u->net_tx_errors = u->net_tx_dropped = 0;
	while (obs_procfs_line(&p, line, sizeof(line)))
		add_interface(line, u);
}

/* --- storage --- */

/* What is made of other disks, or of memory. */
static const char *const inner_disks[] = { "loop*", "ram*", "dm-*", "md*",
					   "zram*", "sr*",  "fd*",  "nbd*" };

static bool is_whole_disk(struct obs_host *h, const char *name)
{
	char path[PATH_MAX];

	if (is_one_of(name, inner_disks, ARRAY_LEN(inner_disks)))
		return false;
	snprintf(path, sizeof(path), "%s/block/%s", h->sys, name);
	return access(path, F_OK) == 0;
}

static void read_diskstats(struct obs_host *h, struct obs_host_usage *u)
{
	const char *p = h->text;
	char line[512];

	if (!load(h, h->proc, "diskstats"))
		return;
	u->disk_read_bytes = u->disk_write_bytes = 0;
	h->busy_now_ms = 0;
	while (obs_procfs_line(&p, line, sizeof(line))) {
		unsigned long long read, written, busy;
		char name[64];

		if (sscanf(line, "%*u %*u %63s %*u %*u %llu %*u %*u %*u %llu %*u %*u %llu", name,
			   &read, &written, &busy) != 4 ||
		    !is_whole_disk(h, name))
			continue;
		u->disk_read_bytes += read * SECTOR_BYTES;
		u->disk_write_bytes += written * SECTOR_BYTES;
		if (busy > h->busy_now_ms)
			h->busy_now_ms = busy; /* the busiest */
	}
}

/* --- temperature --- */

static double read_milli(struct obs_host *h, const char *path)
{
	char text[32];

	(void)h;
	return obs_procfs_read(path, text, sizeof(text)) > 0 ? strtod(text, NULL) / 1000 : NAN;
}

static bool names_cpu(const char *path)
{
	static const char *const names[] = { "coretemp*", "k10temp*",	   "zenpower*",
					     "cpu*",	  "x86_pkg_temp*", "soc*" };
	char text[64];

	return obs_procfs_read(path, text, sizeof(text)) > 0 &&
	       is_one_of(text, names, ARRAY_LEN(names));
}

/* The hottest of the sensors @dir/temp*_input (or @dir/temp), if @dir/@kind says it is a CPU's. */
static void try_sensor(struct obs_host *h, const char *dir, const char *kind, double *hottest)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, kind);
	if (!names_cpu(path))
		return;
	for (int i = 0; i <= 32; i++) {
		double t;

		if (i == 0)
			snprintf(path, sizeof(path), "%s/temp", dir);
		else
			snprintf(path, sizeof(path), "%s/temp%d_input", dir, i);
		t = read_milli(h, path);
		if (!isnan(t) && !(*hottest >= t))
			*hottest = t;
	}
}

static void try_sensors(struct obs_host *h, const char *class, const char *kind, double *hottest)
{
	cleanup_closedir DIR *dir = NULL;
	char path[PATH_MAX - 256];
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/class/%s", h->sys, class);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		char sensor[PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sensor, sizeof(sensor), "%s/%.200s", path, e->d_name);
		try_sensor(h, sensor, kind, hottest);
	}
}

static void read_temperature(struct obs_host *h, struct obs_host_usage *u)
{
	try_sensors(h, "hwmon", "name", &u->temp_c);
	if (isnan(u->temp_c))
		try_sensors(h, "thermal", "type", &u->temp_c);
}

/* --- all of it --- */

static void forget(struct obs_host_usage *u)
{
	u->cpu_percent = u->cpu_user_percent = u->cpu_system_percent = NAN;
	u->cpu_iowait_percent = u->cpu_steal_percent = u->temp_c = NAN;
	u->load_avg[0] = u->load_avg[1] = u->load_avg[2] = NAN;
	for (size_t i = 0; i < ARRAY_LEN(u->cpu_ns); i++)
		u->cpu_ns[i] = OBS_UNKNOWN;
	u->cores = 0;
	u->ram_total_bytes = u->ram_free_bytes = u->ram_available_bytes = OBS_UNKNOWN;
	u->swap_total_bytes = u->swap_free_bytes = OBS_UNKNOWN;
	u->net_rx_bytes = u->net_rx_errors = u->net_rx_dropped = OBS_UNKNOWN;
	u->net_tx_bytes = u->net_tx_errors = u->net_tx_dropped = OBS_UNKNOWN;
	u->net_rx_bytes_per_s = u->net_tx_bytes_per_s = NAN;
	u->disk_read_bytes = u->disk_write_bytes = OBS_UNKNOWN;
	u->disk_read_bytes_per_s = u->disk_write_bytes_per_s = u->disk_busy_percent = NAN;
	for (size_t i = 0; i < OBS_PRESSURES; i++)
		u->pressure[i] = (struct obs_pressure){ NAN, NAN, OBS_UNKNOWN, OBS_UNKNOWN };
}

/* A counter that went back (an interface that left) gives no rate. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
	if (now == OBS_UNKNOWN || now < before || seconds <= 0)
		return NAN;
	return (double)(now - before) / seconds;
}

static void set_rates(struct obs_host *h, uint64_t boot_ns, struct obs_host_usage *u)
{
	double seconds = h->boot_ns ? (double)(boot_ns - h->boot_ns) / NS_PER_S : 0;

	u->interval_s = seconds;
	u->net_rx_bytes_per_s = rate(u->net_rx_bytes, h->rx, seconds);
	u->net_tx_bytes_per_s = rate(u->net_tx_bytes, h->tx, seconds);
	u->disk_read_bytes_per_s = rate(u->disk_read_bytes, h->read, seconds);
	u->disk_write_bytes_per_s = rate(u->disk_write_bytes, h->written, seconds);
	if (u->disk_read_bytes != OBS_UNKNOWN)
		u->disk_busy_percent = rate(h->busy_now_ms, h->busy_ms, seconds) / 10;
}

static void remember(struct obs_host *h, uint64_t boot_ns, const struct obs_host_usage *u)
{
	h->boot_ns = boot_ns;
	memcpy(h->cpu_ns, u->cpu_ns, sizeof(h->cpu_ns));
	h->rx = u->net_rx_bytes;
	h->tx = u->net_tx_bytes;
	h->read = u->disk_read_bytes;
	h->written = u->disk_write_bytes;
	h->busy_ms = h->busy_now_ms;
}

void obs_host_read(struct obs_host *h, const struct obs_host_wanted *wanted, uint64_t boot_ns,
		   uint64_t wall_ns, struct obs_host_usage *u)
{
	forget(u);
	u->sampled_ns = wall_ns;
	if (wanted->cpu) {
		read_stat(h, u);
		set_cpu_shares(h, u);
		read_loadavg(h, u);
		read_temperature(h, u);
	}
	if (wanted->ram)
		read_meminfo(h, u);
	read_pressure(h, u);
	read_network(h, u);
	read_diskstats(h, u);
	set_rates(h, boot_ns, u);
	remember(h, boot_ns, u);
}
