/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * collapse.h - the same error over and over becomes a few events and a count.
 *
 * Errors are the same when node, code and message are. The first few of a window pass;
 * the others are held back, and when the window ends one event tells how many they
 * were. The first is never held back. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/event.h"
#include "util/buf.h"

struct obs_collapse_options {
	uint64_t window_ns; /* default 60 s */
	unsigned first;	    /* how many pass per window, at least 1; default 3 */
	size_t max_tracked; /* different errors at once; default 256; the oldest window goes first */
};

struct obs_collapse;

/**
 * typedef obs_collapse_fn - an event that stands for several.
 * @ev: a copy of the last one held back, with fields repeated (how many were held back) and
 *      window_s; its text is valid for the call
 */
typedef void (*obs_collapse_fn)(void *ctx, struct obs_event *ev, struct obs_slice node);

/** obs_collapse_new() - @options may be NULL. Return: 0, -EINVAL (first is 0), -ENOMEM. */
int obs_collapse_new(const struct obs_collapse_options *options, obs_collapse_fn emit, void *ctx,
		     struct obs_collapse **ret);
void obs_collapse_free(struct obs_collapse **c);

/**
 * obs_collapse_push() - may @ev pass?
 *
 * Events that are no errors always pass. Windows that have ended by ev->wall_ns emit first.
 *
 * Return: true = hand it on; false = it is counted and comes later, in one event.
 */
bool obs_collapse_push(struct obs_collapse *c, const struct obs_event *ev, struct obs_slice node);

/** obs_collapse_tick() - emit what windows hold that have ended by @now_ns. */
void obs_collapse_tick(struct obs_collapse *c, uint64_t now_ns);

/** obs_collapse_changes() - a number that grows whenever what obs_collapse_save() gives changes. */
uint64_t obs_collapse_changes(const struct obs_collapse *c);

/** obs_collapse_save() - append what is held back, for obs_collapse_load() after a restart of the
 * same program. Return: 0 or -ENOMEM. */
int obs_collapse_save(const struct obs_collapse *c, struct obs_buf *out);

/**
 * obs_collapse_load() - go on with the windows that were saved; into a new one.
 *
 * Return: 0, or -EBADMSG (nothing is loaded).
 */
int obs_collapse_load(struct obs_collapse *c, struct obs_slice saved);

/** obs_collapse_flush() - emit all that is held. */
void obs_collapse_flush(struct obs_collapse *c);
