/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connections.h - who sees the TCP connections of nodes on this host, and how they stand.
 *
 * Rungs: the programs of bpf/tcp.bpf.c (each connection from its first SYN to its end, by the
 * ring; a pass over the sockets for their counters), else the kernel's sock_diag, or /proc (such a
 * pass alone). Belongs to the event loop's thread.
 */
#pragma once

#include "model/model.h"
#include "model/peers.h"
#include "observe/kernel.h"
#include "observe/targets.h"

struct obs_connections;

struct obs_connections_options {
	const char *rung;	     /* "auto", "bpf", "diag", "proc", "off" */
	uint32_t conns_max;	     /* of all nodes */
	struct obs_kernel *kernel;   /* borrowed; NULL without BPF */
	struct obs_targets *targets; /* borrowed */
};

/**
 * obs_connections_open() - take the best rung that works.
 * @model: gets its row among the probes
 * @ret:   owned by the caller; NULL when nothing sees connections here (still success)
 *
 * Return: 0 or -ENOMEM.
 */
int obs_connections_open(const struct obs_connections_options *opt, struct obs_model *model,
			 struct obs_connections **ret);
void obs_connections_free(struct obs_connections **c);

/** obs_connections_without_bpf() - does this choice (obs_connections_options.rung) want none? */
bool obs_connections_without_bpf(const char *rung);

/** obs_connections_has_events() - do records tell of each connection (the first rung)? */
bool obs_connections_has_events(const struct obs_connections *c);

/** typedef obs_connections_fn - a socket of the node in @slot; listening ones come first. */
typedef void (*obs_connections_fn)(void *ctx, uint32_t slot, const struct obs_conn_facts *f);

/** obs_connections_sample() - all TCP sockets that nodes hold now, one call per holder. Return: how
 * many calls, or a negative errno after which nothing can be said of those not reported. */
int obs_connections_sample(struct obs_connections *c, obs_connections_fn fn, void *ctx);

/** obs_connections_lives() - is this connection, not seen by a pass, still there (not accepted yet,
 * or closed and not through)? Only where there are events. */
bool obs_connections_lives(const struct obs_connections *c, const struct obs_conn_id *id);

/** obs_connections_sees() - does a look find a connection of process @pid, of no node? Only where
 * there are no events. Return: 1 yes, 0 no, or a negative errno: it cannot be looked at. */
int obs_connections_sees(struct obs_connections *c, pid_t pid);

/** obs_connections_counts() - of all connections of the node in @slot, and of those that had the slot
 * before, since the observer runs. Only where there are events. Return: 0 or a negative errno. */
int obs_connections_counts(struct obs_connections *c, uint32_t slot, struct obs_tcp_counts *ret);

/** obs_connections_share_socks() - before @to is loaded: its maps of whose a TCP socket is are ours.
 * @c: NULL, or on a rung without them: @to keeps its own. Return: 0 or a negative errno. */
struct bpf_object;
int obs_connections_share_socks(const struct obs_connections *c, struct bpf_object *to);

/** obs_conn_facts_of() - the facts in a record. */
struct obs_rec_tcp;
void obs_conn_facts_of(const struct obs_rec_tcp *rec, struct obs_conn_facts *ret);
