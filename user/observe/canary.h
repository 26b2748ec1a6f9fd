/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canary.h - do the probes still see? A child of ours does now and then what nodes do
 * (canary_child.h); what is attached must see it. A probe that did not is attached once more.
 *
 * The child has a target slot of its own (OBS_SLOT_CANARY): it is no node, and what
 * it does makes no events. Without BPF it does what the other rungs can see: it writes to a
 * file and holds a connection. Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "model/model.h"
#include "observe/canary_child.h"
#include "observe/decode.h"
#include "observe/flows.h"
#include "observe/kernel.h"
#include "util/counters.h"

/* One flight, without clocks and processes; sets are of 1 << enum obs_canary_sight. All zero:
 * none yet. */
struct obs_canary_flight {
	unsigned expected, seen, done;
	bool under_way, landed;
};

/** obs_canary_flight_start() - it goes out, and the set @expected must be seen; a flight under way
 * is given up without a verdict. */
void obs_canary_flight_start(struct obs_canary_flight *fl, unsigned expected);

/** obs_canary_flight_saw() - Return: true when it has landed and nothing is left to be seen. */
bool obs_canary_flight_saw(struct obs_canary_flight *fl, enum obs_canary_sight sight);

/** obs_canary_flight_landed() - the child says that it did @done; the rest could not be done (a
 * full disk). Return: as obs_canary_flight_saw(). */
bool obs_canary_flight_landed(struct obs_canary_flight *fl, unsigned done);

/** obs_canary_flight_end() - time is over. Return: set of what was done and not seen; nothing where
 * the child never said what it did. */
unsigned obs_canary_flight_end(struct obs_canary_flight *fl);

/** obs_canary_sight_of() - what record @rec of the canary's slot is the sight of; OBS_CANARY_MAX:
 * of none. @child: the process sent out; others are its own. */
enum obs_canary_sight obs_canary_sight_of(const struct obs_record *rec, uint32_t child);

/* What the model's probes point to when they are blind; all zero at first. */
struct obs_canary_words {
	char of_probe[OBS_PROBES_MAX][1000];
};

/**
 * obs_canary_show() - write the verdict to the probes of @model.
 * @seen, @missed: sets; probes of which neither was are left as they are
 * @wall_ns: when it was sent
 */
void obs_canary_show(struct obs_model *model, struct obs_canary_words *words, unsigned seen,
		     unsigned missed, uint64_t wall_ns);

struct obs_canary_options {
	uv_loop_t *loop;
	const char *dir;	       /* writable; gets the file "canary"; borrowed */
	uint64_t interval_ms;	       /* after one that was missed: at most 10 s */
	struct obs_kernel *kernel;     /* borrowed; NULL without BPF */
	struct obs_flows *flows;       /* borrowed; NULL where there are none */
	struct obs_model *model;       /* borrowed */
	struct obs_counters *counters; /* borrowed */
	/* Where writes are not captured: watch our file from now on; does the watch tell of a write to
	 * it since? NULL: records do. Return: negative = it cannot be watched. */
	int (*watch_file)(void *ctx, int fd);
	bool (*saw_file)(void *ctx);
	/* Without BPF: does a look at the sockets of process @pid find a connection? NULL: nobody
	 * looks. Return: 1 yes, 0 no, negative: we may not look at our own child (it cannot be
	 * dumped), which says nothing of nodes. */
	int (*sees_connection)(void *ctx, pid_t pid);
	/* A probe was attached once more: what passed meanwhile was not seen. */
	void (*mended)(void *ctx);
	void *ctx;
};

struct obs_canary;

/** obs_canary_new() - the first one goes out soon. Return: 0 or -ENOMEM. */
int obs_canary_new(const struct obs_canary_options *opt, struct obs_canary **ret);

/** obs_canary_made() - is the cgroup of this path one that a canary of ours makes? */
bool obs_canary_made(struct obs_slice path);

/** obs_canary_record() - a record of the canary's slot came, or one of its cgroup. */
void obs_canary_record(struct obs_canary *c, const struct obs_record *rec);

/** obs_canary_free() - stop; the loop must run once more for the handle to close. */
void obs_canary_free(struct obs_canary **c);
