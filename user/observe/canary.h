/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canary.h - do the probes still see? A child of ours writes a line and opens a
 * connection now and then; what is attached must see it.
 *
 * The child has a target slot of its own (OBS_SLOT_CANARY): it is no node, and what
 * it writes makes no events. Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "model/model.h"
#include "observe/kernel.h"
#include "util/counters.h"

/* What there is to see, each by one probe. */
enum obs_canary_sight {
	OBS_CANARY_FILE,
	OBS_CANARY_CONSOLE,
	OBS_CANARY_PROCESS,
	OBS_CANARY_CONNECTION,
	OBS_CANARY_MAX,
};

/* One flight, without clocks and processes. All zero: none yet. */
struct obs_canary_flight {
	unsigned expected, seen; /* sets of 1 << enum obs_canary_sight */
	bool under_way;
};

/** obs_canary_flight_start() - it goes out, and the set @expected must be seen; a flight under way
 * is given up without a verdict. */
void obs_canary_flight_start(struct obs_canary_flight *fl, unsigned expected);

/** obs_canary_flight_saw() - Return: true when nothing is left to be seen. */
bool obs_canary_flight_saw(struct obs_canary_flight *fl, enum obs_canary_sight sight);

/**
 * obs_canary_flight_end() - time is over.
 * @done: set of what the child says it did; the rest could not be seen (a full disk)
 *
 * Return: set of what was done and not seen.
 */
unsigned obs_canary_flight_end(struct obs_canary_flight *fl, unsigned done);

/**
 * obs_canary_show() - write the verdict to the probes of @model.
 * @expected: set of what could be seen; other probes are left as they are
 * @missed: set of what was not seen
 * @wall_ns: when it was sent
 */
void obs_canary_show(struct obs_model *model, unsigned expected, unsigned missed, uint64_t wall_ns);

struct obs_canary_options {
	uv_loop_t *loop;
	const char *dir;	       /* writable; gets the file "canary"; borrowed */
	uint64_t interval_ms;	       /* after one that was missed: at most 10 s */
	struct obs_kernel *kernel;     /* borrowed */
	struct obs_model *model;       /* borrowed */
	struct obs_counters *counters; /* borrowed */
};

struct obs_canary;

/** obs_canary_new() - the first one goes out soon. Return: 0 or -ENOMEM. */
int obs_canary_new(const struct obs_canary_options *opt, struct obs_canary **ret);

/** obs_canary_saw() - a record of the canary's slot came. */
void obs_canary_saw(struct obs_canary *c, enum obs_canary_sight sight);

/** obs_canary_free() - stop; the loop must run once more for the handle to close. */
void obs_canary_free(struct obs_canary **c);
