/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * targets.h - which containers and process trees are nodes, now.
 *
 * A node is found by what runs in it (rules.h) or by the configured globs, at start
 * by a scan and afterwards by exec records. While its container's engine is being
 * asked for name and labels it is already captured; its records wait. Belongs to the
 * event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "enrich/container.h"
#include "observe/kernel.h"
#include "observe/rules.h"
#include "util/buf.h"
#include "util/counters.h"

enum obs_node_state {
	OBS_NODE_ASKING, /* captured, but who it is is not known yet */
	OBS_NODE_READY,
	OBS_NODE_GONE, /* no process left */
};

struct obs_node {
	uint32_t slot;
	enum obs_node_state state;
	struct obs_container_ref ref; /* runtime NONE: a plain process tree */
	uint64_t cgroup;	      /* cgroup v2 id; 0 = unknown or shared */
	char name[128];		      /* container name; "" = unknown or plain */
	char id12[13];		      /* container id, short; "" = plain */
	char image[256];
	char log_path[512]; /* where the engine keeps its output, on the host; "" = nowhere */
	bool log_local;	    /* … in the format of Docker's local driver */
	char title[160];    /* for people: the name, or "pid 4711 (bash)" */
	struct obs_network network; /* may change: ports are published when it starts */
	bool paused;
	char health[16]; /* as its engine tells; "" = unknown or unchecked */
	bool empty;	 /* no process has been seen in it yet */
	bool wanted;	 /* a command in it matched: no container rule is needed */
	uint32_t n_pids;
	uint64_t found_ns; /* CLOCK_REALTIME */
	uint64_t last_event_ns;
	uint64_t events;
	uint32_t streams;
	struct obs_buf pending; /* records that wait for READY, each behind its size_t length */
};

/* A live process of a node. The command line it was judged by is its own word. */
struct obs_process {
	pid_t pid;
	pid_t ppid;	      /* when it joined; 0 = unknown */
	uint64_t start_ticks; /* with the pid this names it for good; 0 = it was gone already */
	enum obs_role role;
	char comm[16];
	bool ended; /* its exit waits until it is known whose node this is */
	struct obs_node *node;
};

/* What the owner wants to hear; called from within the obs_targets_ functions. */
struct obs_targets_ops {
	void (*ready)(void *ctx, struct obs_node *node);
	/* pid joined a READY node that was found earlier; its open files may be unknown */
	void (*joined)(void *ctx, struct obs_node *node, pid_t pid);
	void (*left)(void *ctx, struct obs_node *node, pid_t pid);
	void (*gone)(void *ctx, struct obs_node *node); /* freed after the call */
	/* a container that was ASKING about is no node: freed after the call */
	void (*refused)(void *ctx, struct obs_node *node);
	/* what its engine says of a READY node may be new: paused, health, name */
	void (*changed)(void *ctx, struct obs_node *node);
};

struct obs_targets_options {
	const struct obs_target_rules *include, *exclude; /* borrowed for life */
	bool builtin;
	bool exits_told; /* obs_targets_exit() comes for each: the scan only finds what was lost */
	struct obs_kernel *kernel;	   /* borrowed; NULL without BPF */
	struct obs_containers *containers; /* borrowed; NULL without an engine socket */
	struct obs_counters *counters;
	const struct obs_targets_ops *ops;
	void *ctx;
};

struct obs_targets;

int obs_targets_new(const struct obs_targets_options *opt, struct obs_targets **ret);
void obs_targets_free(struct obs_targets **t);

/** obs_targets_scan() - look at every process: new ones are judged, dead ones leave. */
int obs_targets_scan(struct obs_targets *t);

/** obs_targets_exec() - @pid runs a new program. @args: argv with NULs; @slot: 0 = no node yet. */
void obs_targets_exec(struct obs_targets *t, pid_t pid, struct obs_slice args, uint32_t slot);
void obs_targets_fork(struct obs_targets *t, pid_t child, pid_t parent, uint32_t slot);
void obs_targets_exit(struct obs_targets *t, pid_t pid);

/** obs_targets_hold_exit() - @pid of an ASKING node has ended; obs_targets_exit() comes once the
 * node is READY, so that what is told of the end still finds it. */
void obs_targets_hold_exit(struct obs_targets *t, pid_t pid);

/** obs_targets_cgroup() - cgroup v2 @id was made at @path. If container rules may want it, it is
 * captured from its first program on, and its engine is asked meanwhile. */
void obs_targets_cgroup(struct obs_targets *t, uint64_t id, struct obs_slice path);

/** obs_targets_container_changed() - the engine told of a start, rename, pause or end. */
void obs_targets_container_changed(struct obs_targets *t, const char *id,
				   const struct obs_container_info *info);

/** obs_targets_node() - the node in @slot, or NULL. Borrowed. */
struct obs_node *obs_targets_node(struct obs_targets *t, uint32_t slot);

/** obs_targets_node_of() - the node that @pid belongs to, or NULL. */
struct obs_node *obs_targets_node_of(struct obs_targets *t, pid_t pid);

/** obs_targets_process() - the process @pid of a node, or NULL. Borrowed until it leaves. */
const struct obs_process *obs_targets_process(struct obs_targets *t, pid_t pid);

/** obs_targets_each() - all nodes, in slot order. */
void obs_targets_each(struct obs_targets *t, void (*fn)(void *ctx, struct obs_node *node),
		      void *ctx);

/** obs_targets_each_pid() - all processes of @node. */
void obs_targets_each_pid(struct obs_targets *t, const struct obs_node *node,
			  void (*fn)(void *ctx, pid_t pid), void *ctx);

/** obs_process_mark() - names the process for good, over restarts of the observer; 0 = @p is NULL. */
uint64_t obs_process_mark(const struct obs_process *p);

/** obs_targets_mark() - the mark of the oldest process of @node in that role; 0 = there is none. */
uint64_t obs_targets_mark(struct obs_targets *t, const struct obs_node *node, enum obs_role role);

/** obs_targets_any_pid() - a process of @node that should still live, or 0. */
pid_t obs_targets_any_pid(struct obs_targets *t, const struct obs_node *node);
