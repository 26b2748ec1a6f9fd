/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sender.h - one sink's way through the outbox: read, batch, send, judge, wait.
 *
 *   FILL ----due----> READY ----sent----> IN_FLIGHT
 *    ^                  ^                     |
 *    |                  +--try again, part----+
 *    +--------------------batch done----------+
 *
 * Belongs to the delivery thread; only obs_sender_get_stats() may be called from
 * another one. All times are CLOCK_MONOTONIC ns unless a name says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>

#include "sink/ops.h"
#include "sink/sink.h"

struct obs_sender;

/**
 * obs_sender_new() - a sink that has not begun.
 * @state_dir: borrowed, outlives the sender
 * @opt:       borrowed during the call
 *
 * Return: 0, -EINVAL for a bad name, URL or token, -ENOMEM.
 */
int obs_sender_new(const struct obs_sink_ops *ops, const char *state_dir,
		   const struct obs_sink_options *opt, struct obs_sender **ret);

/** obs_sender_free() - not while in flight; sets *@s to NULL. */
void obs_sender_free(struct obs_sender **s);

/**
 * obs_sender_step() - do what can be done now, without blocking.
 * @woken: the store has new events
 * @flush: do not wait for a batch to fill
 */
void obs_sender_step(struct obs_sender *s, CURLM *multi, uint64_t now_ns, bool woken, bool flush);

/** obs_sender_reopen() - the store's database was replaced; its numbering goes on. */
void obs_sender_reopen(struct obs_sender *s);

/** obs_sender_finish() - its request ended with @rc and has left the multi handle. */
void obs_sender_finish(struct obs_sender *s, CURLcode rc, uint64_t now_ns);

/** obs_sender_abort() - take a request under way out of @multi; its events stay waiting. */
void obs_sender_abort(struct obs_sender *s, CURLM *multi);

/** obs_sender_easy() - the handle of its requests. */
CURL *obs_sender_easy(struct obs_sender *s);

/** obs_sender_deadline() - when it wants the next step; UINT64_MAX while in flight. */
uint64_t obs_sender_deadline(const struct obs_sender *s);

/** obs_sender_is_hungry() - has sent all it knew of: a new event is news to it. */
bool obs_sender_is_hungry(const struct obs_sender *s);

/** obs_sender_is_in_flight() - has a request under way. */
bool obs_sender_is_in_flight(const struct obs_sender *s);

/** obs_sender_get_stats() - copy the numbers. Any thread. */
void obs_sender_get_stats(struct obs_sender *s, struct obs_sink_stats *ret);
