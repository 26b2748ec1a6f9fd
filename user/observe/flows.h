/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flows.h - UDP flows of nodes, and the packets that tell names (bpf/flows.bpf.c).
 *
 * Belongs to the event loop's thread.
 */
#pragma once

#include "model/model.h"
#include "model/peers.h"
#include "observe/connections.h"
#include "observe/kernel.h"
#include "observe/targets.h"

struct obs_flows;

/**
 * obs_flows_open() - load the programs; they are attached node by node.
 * @kernel:  borrowed; NULL without BPF
 * @targets: borrowed for life; NULL only to see what can be had
 * @tcp:     knows whose TCP sockets are; may be NULL
 * @model:   gets its row among the probes
 * @ret:     owned by the caller; NULL when it cannot be had here (still success)
 *
 * Return: 0 or -ENOMEM.
 */
int obs_flows_open(struct obs_kernel *kernel, struct obs_targets *targets,
		   const struct obs_connections *tcp, struct obs_model *model,
		   struct obs_flows **ret);
void obs_flows_free(struct obs_flows **f);

/**
 * obs_flows_watch() - look at the packets of a node: by its own cgroup, else by its sockets.
 * @pid: a process in it
 *
 * Return: 0, or a negative errno.
 */
int obs_flows_watch(struct obs_flows *f, const struct obs_node *node, pid_t pid);

/** obs_flows_unwatch() - no more. */
void obs_flows_unwatch(struct obs_flows *f, uint32_t slot);

/** obs_flows_total() - all UDP of the node in @slot since we started. Whoever had the slot before
 * is in it. */
struct obs_flow_total;
int obs_flows_total(struct obs_flows *f, uint32_t slot, struct obs_flow_total *ret);

/** obs_flows_carry_canary() - begin or end to count the packets of our own child in
 * OBS_SLOT_CANARY, for sockets that it makes from now on, in our cgroup. Return: can it be done? */
bool obs_flows_carry_canary(struct obs_flows *f, bool on);

/** obs_flows_saw_canary() - since it began: a packet out, and one in? */
bool obs_flows_saw_canary(struct obs_flows *f);

/** obs_flows_mend() - is what was attached still there? It is attached again. Return: how many were
 * gone though their cgroup is there. */
size_t obs_flows_mend(struct obs_flows *f);

/** obs_flows_follow() - now and then: nodes without a cgroup of their own move. */
void obs_flows_follow(struct obs_flows *f);

/** typedef obs_flows_fn - a flow of the node in @slot as it stands. Return: false to forget it. */
typedef bool (*obs_flows_fn)(void *ctx, uint32_t slot, const struct obs_flow_facts *flow);

/** obs_flows_read() - all flows. Return: 0 or a negative errno. */
int obs_flows_read(struct obs_flows *f, obs_flows_fn fn, void *ctx);
