/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink.h - where stored events go, and the thread that brings them there.
 *
 * A sink is one file with one `struct obs_sink_ops` and one row in delivery.c's
 * table. The delivery thread owns all sinks; each has its own position in the
 * outbox and its own backoff, so that a dead one delays nobody else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

struct obs_sink_options {
	const char *name;    /* position key in the store, e.g. "http"; [a-z0-9_-] */
	const char *kind;    /* row of the sink table: "http" */
	const char *url;     /* borrowed during start */
	const char *token;   /* bearer token, "" = none */
	const char *ca_file; /* "" = the system's */
	bool gzip;
	uint64_t batch_events;	/* ≥ 1 */
	uint64_t batch_bytes;	/* of uncompressed body */
	uint64_t batch_wait_ms; /* 0 = send as soon as the connection is free */
	uint64_t timeout_ms;	/* whole request; 0 = 30 s */
	uint64_t start_seq;	/* last delivered, from the store */
};

/* What delivery knows about one sink; read with obs_delivery_get_stats(). */
struct obs_sink_stats {
	char name[32];
	uint64_t acked_seq;	/* all events up to and with this one are delivered */
	uint64_t delivered;	/* events since start */
	uint64_t dead_lettered; /* events the receiver refused for good (4xx), since start */
	uint64_t jumped;	/* events evicted from the store before this sink had them */
	uint64_t requests;	/* HTTP requests made */
	uint64_t failures;	/* requests that failed and are tried again */
	uint64_t bytes;		/* body bytes sent with success, as on the wire */
	uint64_t last_ok_ns;	/* CLOCK_REALTIME of the last success; 0 = never */
	uint64_t retry_at_ns;	/* CLOCK_REALTIME of the next try; 0 = not waiting */
	int store_error;	/* negative errno of the last look into the store; 0 = fine */
	char last_error[160];	/* "" when the last request succeeded; no secrets */
};

struct obs_delivery;

/**
 * obs_delivery_start() - start the delivery thread.
 * @state_dir: of the store; the thread opens its own reader
 * @sinks:     @n options, copied
 *
 * Return: 0, -EINVAL for an unknown kind, a bad name or URL, or a token with control
 * characters, -ENOMEM, or a negative errno.
 */
int obs_delivery_start(const char *state_dir, const struct obs_sink_options *sinks, size_t n,
		       struct obs_delivery **ret);

/** obs_delivery_wake() - the store has new events. Any thread; cheap, never blocks. */
void obs_delivery_wake(struct obs_delivery *d);

/** obs_delivery_get_stats() - copy the numbers of sink @i. Return: 0, or -ENOENT past the end. */
int obs_delivery_get_stats(struct obs_delivery *d, size_t i, struct obs_sink_stats *ret);

/** obs_delivery_reopen() - another database took the store's place: read from that. */
void obs_delivery_reopen(struct obs_delivery *d);

/**
 * obs_delivery_finish() - stop the thread and keep the numbers.
 * @grace_ms: as for obs_delivery_stop()
 *
 * After this obs_delivery_get_stats() gives the final acked_seq, to be stored before the
 * store is closed, so that the next run does not send the last batches again.
 */
void obs_delivery_finish(struct obs_delivery *d, unsigned grace_ms);

/**
 * obs_delivery_stop() - obs_delivery_finish(), then free and set *@d to NULL.
 * @grace_ms: let what is waiting go out for so long, then give up (it stays stored)
 */
void obs_delivery_stop(struct obs_delivery **d, unsigned grace_ms);
