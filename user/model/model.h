/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - what the observer knows now. Everything that shows something
 * (serve/, alert/, command/) reads this; only the engine writes it.
 *
 * Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/p2p.h"
#include "model/usage.h"
#include "util/counters.h"

#define OBS_PROBES_MAX	    16
#define OBS_NODES_MAX	    1024
#define OBS_SINKS_MAX	    8
#define OBS_PROGRAMS_MAX    64
#define OBS_SCRUB_VIEWS_MAX 96 /* built-in rules and 64 of the operator's */

/* One need of the observer (file writes, consoles, processes, …) and the rung it stands on. */
struct obs_probe_status {
	const char *need;   /* "file writes"; static */
	const char *rung;   /* "tp_btf/sys_exit"; "none" when nothing works; static */
	bool ok;	    /* something works */
	bool first_choice;  /* the best rung */
	char unseen[200];   /* what stays unseen on this rung, in words; "" = nothing */
	char refused[200];  /* why the better rungs were refused, "" = they were not */
	char advice[200];   /* what an operator can do about it */
	uint64_t canary_ns; /* CLOCK_REALTIME of the last canary that was judged; 0 = none */
	const char *blind;  /* what it did not see, in words; NULL = all; borrowed */
};

struct obs_node_status {
	uint32_t slot;	       /* number in the kernel's target map */
	char name[128];	       /* container name, or "pid 4711 (bash)" */
	char container_id[13]; /* "" for a plain process */
	char runtime[16];      /* "docker", "containerd", "process", … */
	char image[128];
	bool paused;
	uint32_t pids;			    /* live processes */
	uint32_t streams;		    /* files and consoles followed */
	uint64_t events;		    /* since it was found */
	uint64_t found_ns;		    /* CLOCK_REALTIME */
	uint64_t last_event_ns;		    /* CLOCK_REALTIME; 0 = none yet */
	const struct obs_node_usage *usage; /* owned by the part that measures; NULL = not yet */
};

/* One observation that a state was concluded from. */
struct obs_evidence_view {
	uint64_t wall_ns;
	char text[240];
};

/* Where a node stands: those that live, and those that have ended lately. */
struct obs_life_view {
	uint32_t slot; /* as in obs_node_status; 0 = it has ended */
	char name[160];
	char container_id[13];
	const char *state, *sub_state; /* static; sub_state "" = none */
	const char *meaning;	       /* of both, in words; static */
	char reason[240];
	uint64_t since_ns; /* CLOCK_REALTIME; 0 = as long as it is watched */
	uint64_t watched_ns;
	const char *earning; /* "yes", "no", "cannot_tell"; static */
	char earning_words[400];
	bool round_known;
	uint64_t round, rounds_joined;
	uint64_t submits_ok, submits_failed, last_submit_ns, last_submit_failed_ns;
	int last_submit_status; /* of HTTP; 0 = unknown */
	char last_submit_words[160];
	char last_reward[32], total_rewards[32], total_wins[32]; /* "" = unknown */
	char peer_id[96], participation[32];			 /* of the chain; "" = unknown */
	bool chain_round_known, registered_known, registered;
	uint64_t chain_round, rounds_behind, chain_rounds; /* since it is watched there */
	uint64_t chain_submitted_ns, chain_submitted_round, chain_won_ns; /* 0 = none seen */
	char chain_reward[32];
	uint64_t errors;	/* since it is watched */
	const char *last_error; /* code; NULL = none; static */
	uint64_t last_error_ns;
	size_t n_evidence;
	struct obs_evidence_view evidence[4]; /* newest first */
};

/* How it stands with the chain's RPC server and the swarm's contract. */
struct obs_chain_view {
	char where[160];   /* scheme, host and port */
	char contract[43]; /* "" = none is known */
	bool answers;	   /* the last poll went well */
	char trouble[200]; /* why not, in words */
	uint64_t ok_ns;	   /* CLOCK_REALTIME of the last poll that went well; 0 = none yet */
	uint64_t away_ns;  /* CLOCK_REALTIME since when none does; 0 = it answers */
	uint64_t retry_ns; /* CLOCK_REALTIME of the next poll */
	double latency_s;  /* of the last poll */
	double asking_s;   /* of all polls together */
	uint64_t polls_ok, polls_failed;
	uint64_t chain_id, block, round, stage; /* ok_ns 0: none is known */
	bool has_stage;
	uint64_t round_ns; /* CLOCK_REALTIME since when it has been at this round, as far as seen */
	size_t n_bootnodes, n_peers; /* of the contract; of ours, that are asked for */
	uint64_t events;	     /* of the contract, since start */
	uint64_t next_block;	     /* whose events come next */
	bool reads_events;	     /* of all blocks but the newest */
};

struct obs_sink_view {
	char name[32];
	char where[160];    /* URL without secrets, or "stdout" */
	uint64_t inherited; /* waited already when we started */
	uint64_t delivered, waiting, failures, dead_lettered, jumped, requests, bytes;
	uint64_t last_ok_ns, retry_at_ns;
	char last_error[160];
};

/* The last window of a node that has ended. */
struct obs_window_view {
	char node[192];
	uint32_t length_s;
	uint64_t start_s;
	size_t n;
	struct obs_window_number {
		char name[64];
		uint64_t count;
		bool is_series; /* else only the count says something */
		double min, mean, max, last;
	} * numbers; /* n entries */
};

struct obs_peers;

/* With whom a node is connected (peers.h). */
struct obs_node_peers {
	uint32_t slot;
	char name[128]; /* as in obs_node_status */
	char container_id[13];
	const struct obs_peers *peers; /* borrowed */
	uint64_t events_limited;       /* events not made, connections.events_per_second */
};

struct obs_conditions;

/* What is wrong with a node's network (conditions.h). */
struct obs_node_conditions {
	uint32_t slot;
	char name[128]; /* as in obs_node_status */
	char container_id[13];
	const struct obs_conditions *conditions; /* borrowed */
};

struct obs_model {
	const struct obs_counters *counters;
	uint64_t started_ns; /* CLOCK_REALTIME */
	char node_id[128];
	char state_dir[256];
	const char *version;
	size_t n_probes;
	struct obs_probe_status probes[OBS_PROBES_MAX];
	struct obs_probe_status one_too_many; /* what there was no row for; not shown */
	size_t n_nodes;
	struct obs_node_status *nodes; /* n_nodes entries, owned by the engine */
	size_t n_scrub_rules;
	struct obs_scrub_view {
		const char *rule; /* borrowed from the scrubber */
		uint64_t count;	  /* of texts taken out */
	} scrub_rules[OBS_SCRUB_VIEWS_MAX];
	size_t n_windows;
	const struct obs_window_view *windows; /* n_windows entries, owned by the aggregation */
	size_t n_node_peers;
	struct obs_node_peers *node_peers; /* n_node_peers entries, owned by the engine's part */
	size_t n_node_conditions;
	struct obs_node_conditions *node_conditions; /* owned by the part that judges them */
	size_t n_lives;
	const struct obs_life_view *lives; /* owned by the part that judges */
	size_t n_p2p;
	const struct obs_p2p_view *const *p2p; /* of nodes whose p2pd was heard; borrowed */
	const struct obs_chain_view *chain;    /* owned by its part; NULL: it is not asked */
	size_t n_sinks;
	struct obs_sink_view sinks[OBS_SINKS_MAX];
	uint64_t store_first_seq, store_last_seq, store_bytes, store_max_bytes;
	char store_aside[80]; /* name that a damaged store got; "" = none was */
	int store_error;      /* negative errno of the last commit; 0 = fine */
	uint64_t streams;     /* followed now */
	uint32_t n_cpus;
	const char *const *drop_reasons; /* n_drop_reasons names; static */
	size_t n_drop_reasons;
	uint64_t drops[64][16];	    /* [cpu][reason], since load; cpus past 63 in 63 */
	uint64_t dropped_bytes[64]; /* [cpu], of consoles */
	size_t n_programs;
	struct obs_program_view {
		const char *name; /* borrowed from the kernel side */
		uint64_t missed;  /* runs that the kernel skipped */
	} programs[OBS_PROGRAMS_MAX];
	uint64_t ring_bytes, ring_used_bytes;
	const char *const *roles; /* of processes, n_roles names; static; NULL: not measured */
	size_t n_roles;
	uint64_t look_cpu_ns; /* CPU time of all looks at what nodes use */
	struct obs_host_usage host;
};

/** typedef obs_model_refresh_fn - bring the numbers up to date before they are shown. */
typedef const struct obs_model *(*obs_model_refresh_fn)(void *ctx);

/**
 * obs_model_add_probe() - a row for one need, on no rung yet.
 * @need: for people; static
 *
 * Return: the row, borrowed; never NULL. Beyond OBS_PROBES_MAX it is one that nobody sees.
 */
struct obs_probe_status *obs_model_add_probe(struct obs_model *model, const char *need);
