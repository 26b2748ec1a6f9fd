/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage.h - what nodes, their processes and the host use: shapes only.
 *
 * observe/ and collect/ fill them, the model shows them. Counters are since the node was
 * found, or since boot where they say so; what is not known is OBS_UNKNOWN, or NAN.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBS_UNKNOWN UINT64_MAX /* also: no limit */

#define OBS_USAGE_ROLES	   16
#define OBS_USAGE_TOP	   8
#define OBS_WAIT_CHANNEL   40
#define OBS_HOST_DISKS	   16
#define OBS_GPUS_MAX	   16
#define OBS_GPU_PROCS	   32
#define OBS_GPU_NAME_BYTES 96

/* What a process, or several together, have used up. */
struct obs_used {
	uint64_t cpu_ns; /* user and system */
	uint64_t user_ns, system_ns;
	uint64_t min_faults, maj_faults;
	uint64_t read_bytes, write_bytes; /* from and to storage */
};

/* One look at a process, or at one of its threads (leader false: only `used` counts). */
struct obs_task_usage {
	int32_t pid, ppid; /* in our PID namespace */
	uint32_t slot;	   /* of its node */
	uint32_t threads;
	uint64_t start_ns; /* CLOCK_BOOTTIME; with the pid this names it for good */
	bool leader;
	char state; /* as ps(1): R S D T t Z X I */
	char comm[16];
	uint64_t rss_bytes, swap_bytes;
	struct obs_used used; /* since it started */
};

/* A process that has ended. */
struct obs_exit_usage {
	int32_t pid;
	uint32_t slot;
	uint64_t start_ns, end_ns; /* CLOCK_BOOTTIME */
	uint64_t max_rss_bytes;
	struct obs_used used;
};

struct obs_role_usage {
	uint32_t processes, threads;
	uint64_t rss_bytes, swap_bytes;
	double cpu_percent;   /* of one core, in the last interval */
	struct obs_used used; /* by those that have ended too */
};

struct obs_process_usage {
	int32_t pid, ppid;
	uint8_t role; /* index of roles[] */
	char state;
	char comm[16];
	uint32_t threads;
	double cpu_percent; /* of one core */
	double age_s;
	uint64_t rss_bytes, swap_bytes;
	double read_bytes_per_s, write_bytes_per_s;
	char wait_channel[OBS_WAIT_CHANNEL]; /* kernel function it sleeps in; "" = unknown, runs */
};

/* Time in which some, or all, tasks waited for a resource (PSI). */
struct obs_pressure {
	double some_avg10, full_avg10; /* percent; NAN = not known */
	uint64_t some_usec, full_usec; /* since the cgroup, or the host, began */
};

enum obs_pressure_kind { OBS_PRESSURE_CPU, OBS_PRESSURE_MEMORY, OBS_PRESSURE_IO, OBS_PRESSURES };

/* A container's cgroup files; counters are since it was made. */
struct obs_cgroup_usage {
	uint64_t memory_bytes, memory_peak_bytes, memory_limit_bytes;
	uint64_t memory_anon_bytes, memory_file_bytes, memory_inactive_file_bytes;
	uint64_t swap_bytes;
	uint64_t limit_hits; /* times that the limit was reached */
	uint64_t oom_kills;
	uint64_t cpu_ns, user_ns, system_ns;
	uint64_t quota_usec, period_usec, cpus; /* cpus: those of its cpuset */
	uint64_t periods, throttled_periods, throttled_ns;
	uint64_t read_bytes, write_bytes, reads, writes;
	uint64_t pids, pids_limit;
	struct obs_pressure pressure[OBS_PRESSURES];
};

struct obs_node_usage {
	uint64_t sampled_ns; /* CLOCK_REALTIME; 0 = not yet */
	double interval_s;   /* that the rates are over; 0 = the first look, without rates */
	double cpu_percent;  /* of one core */
	double cpu_limit;    /* cores; NAN = none */
	uint64_t shared_memory_limit; /* without a cgroup of its own: of the one that it is in */
	uint32_t processes, threads, zombies;
	uint64_t rss_bytes, swap_bytes;
	struct obs_used used;			      /* by those that have ended too */
	uint64_t started, ended;		      /* processes, since it was found */
	uint64_t short_lived;			      /* of those ended: never seen by a look */
	struct obs_role_usage roles[OBS_USAGE_ROLES]; /* by the number of the role */
	size_t n_top;
	struct obs_process_usage top[OBS_USAGE_TOP]; /* most CPU first, then most memory */
	bool has_cgroup;
	struct obs_cgroup_usage cgroup;
};

struct obs_disk_usage {
	char path[128]; /* as who writes there sees it */
	char used_by[128];
	char type[16];
	uint64_t total_bytes, used_bytes, available_bytes; /* available: to ordinary users */
	uint64_t files, files_free;
};

struct obs_gpu_process {
	uint32_t pid;
	uint32_t instance;     /* MIG GPU instance; UINT32_MAX = none */
	uint64_t memory_bytes; /* OBS_UNKNOWN: the driver does not tell */
	char node[128];	       /* title; "" = none of ours */
	const char *role;      /* static; "" = none, never NULL */
};

struct obs_gpu_usage {
	uint32_t index;
	char name[OBS_GPU_NAME_BYTES], uuid[OBS_GPU_NAME_BYTES];
	int32_t mig_parent; /* index of the card that this is an instance of; -1 = a whole card */
	uint32_t instance;  /* MIG GPU instance; UINT32_MAX = none */
	bool lost;	    /* it does not answer any more */
	double util_percent, memory_util_percent, temp_c, power_w, power_limit_w, fan_percent;
	double sm_mhz, memory_mhz, max_sm_mhz;
	uint64_t memory_used_bytes, memory_total_bytes;
	uint64_t throttle_reasons; /* NVML's bits; OBS_UNKNOWN */
	uint64_t ecc_corrected, ecc_uncorrected;
	uint64_t xid_errors; /* seen since start */
	uint64_t last_xid;
	size_t n_procs;
	struct obs_gpu_process procs[OBS_GPU_PROCS];
};

struct obs_host_usage {
	uint64_t sampled_ns; /* CLOCK_REALTIME; 0 = not yet */
	double interval_s;
	double cpu_percent, cpu_user_percent, cpu_system_percent, cpu_iowait_percent,
		cpu_steal_percent;
	uint64_t cpu_ns[8]; /* since boot: user nice system idle iowait irq softirq steal */
	uint32_t cores;
	double load_avg[3];
	double temp_c; /* the hottest of the CPU's sensors; NAN = none */
	uint64_t ram_total_bytes, ram_available_bytes, ram_free_bytes;
	uint64_t swap_total_bytes, swap_free_bytes;
	uint64_t net_rx_bytes, net_tx_bytes, net_rx_errors, net_tx_errors, net_rx_dropped,
		net_tx_dropped; /* since boot, all interfaces but lo and those inside */
	double net_rx_bytes_per_s, net_tx_bytes_per_s;
	uint64_t disk_read_bytes, disk_write_bytes; /* since boot, whole disks */
	double disk_read_bytes_per_s, disk_write_bytes_per_s, disk_busy_percent;
	struct obs_pressure pressure[OBS_PRESSURES];
	size_t n_disks;
	struct obs_disk_usage disks[OBS_HOST_DISKS];
	size_t n_gpus;
	struct obs_gpu_usage gpus[OBS_GPUS_MAX];
	char gpu_source[24];   /* "nvml", "nvidia-smi", "amd", "" */
	char gpu_refused[160]; /* why a better source is not used; "" = it is */
	char gpu_trouble[160]; /* why GPUs are not seen although there may be some; "" = none */
};

/** obs_throttle_str() - the name of an NVML throttle reason's bit, or NULL. */
const char *obs_throttle_str(unsigned bit);
