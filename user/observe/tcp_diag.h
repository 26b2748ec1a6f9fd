/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_diag.h - connections without BPF: sock_diag(7) in each network namespace of a node, and
 * /proc/PID/fd for whose they are. Where netlink is refused, also in one namespace only, or not
 * wanted: /proc/PID/net/tcp{,6}, which has no counters. Belongs to the event loop's thread.
 */
#pragma once

#include "observe/connections.h"

struct obs_tcp_diag;

/** obs_tcp_diag_new() - Return: 0 or -ENOMEM, or what opening our own namespace says, or what
 * sock_diag says to TCP in it.
 * @proc_only: do not ask sock_diag at all */
int obs_tcp_diag_new(struct obs_targets *targets, bool proc_only, struct obs_tcp_diag **ret);
void obs_tcp_diag_free(struct obs_tcp_diag **d);

/** obs_tcp_diag_sample() - as obs_connections_sample(). */
int obs_tcp_diag_sample(struct obs_tcp_diag *d, obs_connections_fn fn, void *ctx);

/** obs_tcp_diag_sees() - does such a pass find a connection of process @pid, of no node? Return: 1 yes,
 * 0 no, or a negative errno: what it holds cannot be looked at. */
int obs_tcp_diag_sees(struct obs_tcp_diag *d, pid_t pid);
