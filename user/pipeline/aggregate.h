/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aggregate.h - per node and window of time: how often, how much, how long.
 *
 * Counts of every event and error code, count/min/mean/max/last of every number worth
 * a curve (losses, rewards, seconds per round). Pure: times come with the events.
 * Storing what comes out is the caller's. Not thread-safe.
 */
#pragma once

#include <stdint.h>

#include "pipeline/event.h"
#include "util/buf.h"

#define OBS_AGGREGATE_WINDOWS 3
#define OBS_AGGREGATE_NAME    64

/* One value of one window: a count (min = max = mean = 0) or a series. */
struct obs_aggregate_value {
	char name[OBS_AGGREGATE_NAME]; /* "round_joined", "error:CUDA_OOM", "loss", "round_s" */
	uint64_t count;
	double min, mean, max, last;
	bool is_series;
};

struct obs_aggregate_window {
	struct obs_slice node;			  /* borrowed for the call */
	uint64_t start_ns;			  /* a multiple of length_ns */
	uint64_t length_ns;			  /* 1 min, 5 min, 1 h */
	const struct obs_aggregate_value *values; /* borrowed for the call */
	size_t n_values;
	uint64_t dropped; /* values that found no room, or came more than a window too late */
};

/** typedef obs_aggregate_fn - a window has ended. */
typedef void (*obs_aggregate_fn)(void *ctx, const struct obs_aggregate_window *w);

struct obs_aggregate;

/**
 * obs_aggregate_new() - @max_nodes: at most so many are followed; the others are counted.
 *
 * Return: 0, -EINVAL (0 nodes), -ENOMEM.
 */
int obs_aggregate_new(size_t max_nodes, obs_aggregate_fn emit, void *ctx,
		      struct obs_aggregate **ret);
void obs_aggregate_free(struct obs_aggregate **a);

/**
 * obs_aggregate_push() - take an event in. Windows that it is past are emitted first; an event
 * a bit older than its node's open windows counts in the open ones, one that is older by more than
 * their length in none.
 *
 * Return: 0, -ENOSPC (no room for another node), -ENOMEM.
 */
int obs_aggregate_push(struct obs_aggregate *a, const struct obs_event *ev, struct obs_slice node);

/** obs_aggregate_save() - append the open windows, for obs_aggregate_load() after a restart of the
 * same program. Return: 0 or -ENOMEM. */
int obs_aggregate_save(const struct obs_aggregate *a, struct obs_buf *out);

/** obs_aggregate_load() - go on with the windows that were saved; into a new one. Return: 0,
 * -EBADMSG (what was sound is loaded), -ENOMEM. */
int obs_aggregate_load(struct obs_aggregate *a, struct obs_slice saved);

/**
 * obs_aggregate_tick() - emit windows that have ended by @now_ns; UINT64_MAX: all.
 *
 * Called once a second. Those that had ended when their last event came (old lines are read), or
 * when they were loaded, are kept open for 10 more.
 */
void obs_aggregate_tick(struct obs_aggregate *a, uint64_t now_ns);
