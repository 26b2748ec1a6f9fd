/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the settings, from YAML, checked before anything starts.
 *
 * Every key is one row of the table in keys.c: path, type, range, default,
 * description. The same rows give check-config's output and the man page.
 * The Go sidecar's keys and the seed's flat keys are rows too (aliases).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/strv.h"

enum obs_forward { OBS_FORWARD_EVENTS, OBS_FORWARD_ALL };

/* What makes a container or process a node, or keeps it from being one. Each list
 * holds shell globs (fnmatch); labels are "key=value" globs. */
struct obs_target_rules {
	struct obs_strv container; /* container names */
	struct obs_strv image;
	struct obs_strv label;
	struct obs_strv command; /* matched against the joined command line */
};

struct obs_config {
	char *node_id;	 /* default: host name */
	char *state_dir; /* default: /var/lib/gswarm-observer, or XDG state when not root */
	enum obs_forward forward;

	struct {
		char *endpoint; /* api_endpoint / log_monitoring.api_endpoint; "" = none */
		char *token;	/* auth_token / jwt_token, or read from auth_token_file */
		char *ca_file;
		bool gzip;
		uint64_t batch_size; /* events */
		uint64_t batch_bytes;
		double batch_interval_s; /* 0 = as soon as the connection is free */
		double timeout_s;
	} api;

	struct obs_strv log_files;
	struct obs_strv bootnodes;  /* multiaddrs */
	int64_t initial_tail_lines; /* 0 and -1 = all */

	struct {
		struct obs_target_rules include;
		struct obs_target_rules exclude;
		bool builtin;	     /* use the built-in node patterns too; default true */
		char *docker_socket; /* "" = /var/run/docker.sock */
	} targets;

	struct {
		char *listen; /* "127.0.0.1:8080"; "" = no server */
	} server;

	struct {
		uint64_t max_bytes; /* default 256 MiB */
		double max_age_s;   /* default 7 d */
	} store;

	struct {
		uint64_t ring_bytes;	 /* power of two */
		uint64_t payload_bytes;	 /* captured per write */
		uint64_t line_bytes;	 /* default 65536 */
		uint64_t assembly_bytes; /* of all lines without an end; default 16 MiB */
		uint64_t streams;	 /* files followed at once */
		uint64_t pending_bytes;	 /* per node still being identified */
		uint64_t waiting_bytes;	 /* events that the store cannot take yet */
		uint64_t
			console_pieces; /* remembered per container; 0 = its engine's file is not read */
		uint64_t backfill_bytes_per_s;
		uint64_t connections; /* TCP connections of all nodes, at once */
		uint64_t peers;	      /* remembered per node */
	} limits;

	struct {
		double interval_s;	    /* between two looks at all sockets */
		double snapshot_interval_s; /* 0 = no dht_snapshot */
		double udp_idle_s;
		uint64_t events_per_second; /* per node */
	} connections;

	struct {
		bool bpf;		  /* false = never load BPF */
		double canary_interval_s; /* 0 = never */
		char *file_write;	  /* "auto", "fexit", "sys_exit", "inotify" */
		char *connections;	  /* "auto", "bpf", "diag", "off" */
		char *processes;	  /* without BPF: "auto", "proc" */
	} probes;

	struct {
		double interval_s;	/* between two looks at nodes and processes; 0 = never */
		double host_interval_s; /* between two looks at the host; 0 = never */
		bool cpu, ram, gpu;	/* of the host */
		double gpu_timeout_s;	/* after which a driver that does not answer is given up */
		char *nvml;		/* "libnvidia-ml.so.1" */
		char *nvidia_smi;	/* "nvidia-smi" */
		char *nvidia_dir;	/* "/proc/driver/nvidia" */
		char *amd_root;		/* "/sys/class/drm" */
	} usage;

	struct {
		double hung_after_s;
		uint64_t hung_factor; /* times the longest round */
		double submit_interval_s;
	} state;

	struct {
		double snapshot_interval_s; /* 0 = never */
		char *save_file;	    /* "" = none */
	} p2pd;

	struct {
		char *contract;	  /* "" = as the nodes' environment says */
		char *rpc_url;	  /* "" = the chain is not asked */
		int64_t chain_id; /* 0 = any */
		char *abi_path;	  /* "" = the events built in */
		double poll_s, send_s;
		char *node_eoa, *node_peer_id; /* "" = found */
	} chain;

	struct {
		double interval_s; /* between two looks */
		double no_dht_peer_s, bootnodes_unreachable_s, clock_offset_s, not_reachable_s;
		uint64_t half_open_storm, rtt_grew;
		double ended_after_s;
	} conditions; /* 0 = is not judged */

	struct {
		char *level; /* "off", "standard", "strict" */
	} scrub;

	void *extra; /* owned by config/: values of keys that no stage reads yet */
};

/**
 * obs_config_default() - the settings of an empty file, and of the environment.
 *
 * Return: 0, -ENOMEM, or -EINVAL when the environment holds a bad value
 * (obs_config_load() with a NULL path says which); *@ret is owned by the caller.
 */
int obs_config_default(struct obs_config **ret);

/**
 * obs_config_load() - read and check a YAML file, then the environment (GSWARM_…).
 * @path:     file name, or "-" for standard input; NULL: defaults and environment only
 * @messages: gets one line per problem, "FILE:LINE:COL: error|warning: …\n"; all problems of
 *            the file are reported, not only the first
 * @ret:      on success, owned by the caller; untouched on failure
 *
 * Return: 0 (there may be warnings), -EINVAL when there are errors, -ENOMEM, or the
 * negative errno of reading the file (a message says so too).
 */
int obs_config_load(const char *path, struct obs_buf *messages, struct obs_config **ret);

/**
 * obs_config_find() - the file that `run` uses.
 * @arg: the -c argument or NULL
 *
 * Order: -c, $CONFIG_PATH, configs/config.yaml, /etc/gswarm-observer/config.yaml.
 *
 * Return: a borrowed path, or NULL when there is none.
 */
const char *obs_config_find(const char *arg);

/**
 * obs_config_text() - a text by its key's path, for keys that struct obs_config has no
 * field for ("blockchain.rpc_url"). Aliases work too.
 *
 * Return: borrowed; "" when not set, or when the key is none or no text. Of a section
 * that is only kept ("sinks"), its YAML.
 */
const char *obs_config_text(const struct obs_config *c, const char *path);

/** obs_config_number() - the same for numbers; seconds, bytes, 0 or 1. */
double obs_config_number(const struct obs_config *c, const char *path);

/** obs_config_list() - the same for lists; the entries are borrowed. */
struct obs_strv obs_config_list(const struct obs_config *c, const char *path);

/** obs_config_is_set() - the file or the environment has set the key, or an alias of it. */
bool obs_config_is_set(const struct obs_config *c, const char *path);

/** obs_config_free() - wipe secrets, free all, set *@c to NULL. */
void obs_config_free(struct obs_config **c);

#define cleanup_config __attribute__((cleanup(obs_config_free)))
