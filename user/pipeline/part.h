/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * part.h - what the engine does besides log lines (connections, usage, life and
 * death, ...), each as one part: a row in the table of parts.c and a file part_NAME.c.
 *
 * A part hears of records, events, nodes and processes, and emits events of its own. All calls
 * come on the event loop's thread; any of them may be missing.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "config/config.h"
#include "model/model.h"
#include "observe/decode.h"
#include "observe/kernel.h"
#include "observe/targets.h"
#include "pipeline/event.h"

struct obs_flows;
struct obs_outlet;
struct obs_roles;

/* What a part may use; borrowed for its life. */
struct obs_part_env {
	uv_loop_t *loop;
	const struct obs_config *config;
	struct obs_model *model;
	struct obs_counters *counters;
	struct obs_kernel *kernel; /* NULL without BPF */
	bool sees_ends;		   /* each process's end is told, with its code */
	struct obs_targets *targets;
	struct obs_roles *roles; /* of addresses; whoever learns of one notes it (role_sources.h) */
	const struct obs_outlet *outlet;
	uint64_t boot_id; /* of the host's run since its start */
	/* CLOCK_BOOTTIME of a record -> CLOCK_REALTIME, both ns */
	uint64_t (*to_wall)(void *ctx, uint64_t boot_ns);
	/* Finish and store an event that no line made: id, where it has none, container and
	 * scrubbing are added. @node may be NULL; ev->wall_ns 0 = now. */
	void (*emit)(void *ctx, const struct obs_node *node, struct obs_event *ev);
	void *ctx;
};

struct obs_part_ops {
	const char *name;
	/* @ret: handed to all other calls; left NULL when there is nothing to do on this host */
	int (*start)(const struct obs_part_env *env, void **ret);
	/* Once, when the nodes that are there at the start have been looked for: what takes its
	 * time to be loaded. Before that there was no tick and no refresh. */
	void (*load)(void *part);
	/* Each record of a READY node, and of no node (@node NULL), before the engine acts on it. */
	void (*record)(void *part, struct obs_node *node, const struct obs_record *rec);
	/* Each event, of lines and of parts, scrubbed, before it is stored; also those that are
	 * not stored (forward: events). @node may be NULL. */
	void (*event)(void *part, const struct obs_node *node, const struct obs_event *ev);
	void (*ready)(void *part, struct obs_node *node);
	/* A process of a READY node; those that were there first come right after ready(). */
	void (*joined)(void *part, struct obs_node *node, pid_t pid);
	void (*left)(void *part, struct obs_node *node, pid_t pid);
	void (*gone)(void *part, struct obs_node *node); /* freed after the call */
	/* what its engine says of it may be new: paused, health, name */
	void (*changed)(void *part, struct obs_node *node);
	void (*tick)(void *part);    /* once a second */
	void (*refresh)(void *part); /* before the model is shown */
	/* What counts packets, for the canary; NULL = nothing does. */
	struct obs_flows *(*flows)(void *part);
	struct obs_connections *(*connections)(void *part);
	/* Before the loop ends: last events, and uv_close() of what it opened on the loop. */
	void (*stop)(void *part);
	void (*free)(void **part);
};

/* All parts of one engine. */
struct obs_parts;

/**
 * obs_parts_open() - open every part of the table.
 * @env: copied; what it points to is borrowed
 *
 * Return: 0, or the negative errno of the first part that failed.
 */
int obs_parts_open(const struct obs_part_env *env, struct obs_parts **ret);
void obs_parts_free(struct obs_parts **parts);

void obs_parts_load(struct obs_parts *parts);
void obs_parts_record(struct obs_parts *parts, struct obs_node *node, const struct obs_record *rec);
void obs_parts_event(struct obs_parts *parts, const struct obs_node *node,
		     const struct obs_event *ev);
void obs_parts_ready(struct obs_parts *parts, struct obs_node *node);
void obs_parts_joined(struct obs_parts *parts, struct obs_node *node, pid_t pid);
void obs_parts_left(struct obs_parts *parts, struct obs_node *node, pid_t pid);
void obs_parts_gone(struct obs_parts *parts, struct obs_node *node);
void obs_parts_changed(struct obs_parts *parts, struct obs_node *node);
void obs_parts_tick(struct obs_parts *parts);
void obs_parts_refresh(struct obs_parts *parts);

/** obs_parts_flows() - what counts packets; NULL = nothing does. Borrowed. */
struct obs_flows *obs_parts_flows(struct obs_parts *parts);

/** obs_parts_connections() - who sees connections; NULL = nobody. Borrowed. */
struct obs_connections *obs_parts_connections(struct obs_parts *parts);

void obs_parts_stop(struct obs_parts *parts);

/** obs_part_state_name() - of the row in which a part keeps what it knows of @node: containers by their
 * id, plain trees by their first process. */
void obs_part_state_name(const char *part, const struct obs_node *node, char *out, size_t size);
