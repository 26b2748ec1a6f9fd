/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared_flows.h - UDP sockets of nodes are marked with their process; and packets of nodes that
 * share their cgroup with others: the programs of bpf/flows.bpf.c sit on the cgroups that the
 * nodes' processes are in.
 *
 * Belongs to the event loop's thread.
 */
#pragma once

#include "model/model.h"
#include "observe/targets.h"

struct flows_bpf;
struct obs_shared_flows;

/**
 * obs_shared_flows_new() - nothing is attached yet.
 * @skel, @mount, @targets, @status: borrowed for life; @mount: where cgroup v2 is; @status is told
 *                                   what could not be attached
 *
 * Return: 0 or -ENOMEM.
 */
int obs_shared_flows_new(struct flows_bpf *skel, const char *mount, struct obs_targets *targets,
			 struct obs_probe_status *status, struct obs_shared_flows **ret);
void obs_shared_flows_free(struct obs_shared_flows **s);

/** obs_shared_flows_watch(), _unwatch() - mark the sockets of @node; no more those of @slot.
 * @contained: it has a cgroup of its own, and somebody else sits on that */
int obs_shared_flows_watch(struct obs_shared_flows *s, const struct obs_node *node, bool contained);
void obs_shared_flows_unwatch(struct obs_shared_flows *s, uint32_t slot);

/** obs_shared_flows_carry_canary() - see flows.h. */
void obs_shared_flows_carry_canary(struct obs_shared_flows *s, bool on);

/** obs_shared_flows_mend() - see flows.h. */
size_t obs_shared_flows_mend(struct obs_shared_flows *s);

/** obs_flows_link_is_gone() - taken off its cgroup by somebody, or the cgroup was removed. */
struct bpf_link;
bool obs_flows_link_is_gone(const struct bpf_link *link);

/** obs_shared_flows_follow() - now and then: processes move, and get sockets from elsewhere. */
void obs_shared_flows_follow(struct obs_shared_flows *s);
