/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - the way of the data, from the ring to the store, on one event loop.
 *
 * Owns probes, targets and streams; hands formatted events and cursors to an
 * outlet: the store for `run`, standard output for `trace`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "config/config.h"
#include "model/model.h"
#include "pipeline/cursor.h"
#include "pipeline/event.h"

struct obs_kernel;

/* Where events and cursors go. All called on the loop's thread. */
struct obs_outlet {
	/* 0: taken; 1: taken, and it is time to commit before more comes; or a negative errno */
	int (*push)(void *ctx, const struct obs_event *ev, struct obs_slice json);
	int (*put_cursor)(void *ctx, const struct obs_cursor *c);
	int (*get_cursor)(void *ctx, const struct obs_file_id *file, struct obs_cursor *ret);
	/* the cursors of all files that had this name, newest first; NULL where nothing is kept */
	int (*each_cursor)(void *ctx, const char *path,
			   void (*fn)(void *fn_ctx, const struct obs_cursor *c), void *fn_ctx);
	/* events and cursors so far belong together: make them durable */
	/* 0; 1: all cursors are gone, created_ns may have changed: read files again; or errno */
	int (*commit)(void *ctx);
	/* asked once a second: is there something to mend by a commit, though no event waits? */
	bool (*wants_commit)(void *ctx); /* may be NULL */
	/* What a stage goes on with after a restart, durable with the next commit; NULL where
	 * nothing is kept. get_state appends, or returns -ENOENT. An empty body removes it. */
	int (*put_state)(void *ctx, const char *name, struct obs_slice body);
	int (*get_state)(void *ctx, const char *name, struct obs_buf *out);
	/* Counts and values of one node and window; NULL where nothing is kept. */
	int (*put_window)(void *ctx, uint64_t length_s, uint64_t start_s, struct obs_slice node,
			  struct obs_slice json);
	uint64_t created_ns; /* CLOCK_REALTIME: files born later are read from their start */
	void *ctx;
};

struct obs_engine;

/**
 * obs_engine_new() - load the probes that lines come by; nothing is followed yet.
 * @config, @counters, @outlet: borrowed for life
 * @model: filled and kept up to date; borrowed for life
 *
 * Return: 0 (whatever could be loaded: the model says), -ENOMEM, or a negative errno.
 */
int obs_engine_new(uv_loop_t *loop, const struct obs_config *config, struct obs_model *model,
		   struct obs_counters *counters, const struct obs_outlet *outlet,
		   struct obs_engine **ret);

/** obs_engine_start() - find the nodes that are there, follow their files, read backlogs. */
int obs_engine_start(struct obs_engine *e);

/** obs_engine_complete() - once: load what the first lines do not need, which takes longer than what
 * they need. Soon after obs_engine_start(), or before it where nobody waits for lines. Then all
 * probes are in the model. Return: 0 or -ENOMEM. */
int obs_engine_complete(struct obs_engine *e);

/** obs_engine_stop() - take out what is in the ring, commit, stop all timers. */
void obs_engine_stop(struct obs_engine *e);

/** obs_engine_free() - after obs_engine_stop() and one more turn of the loop. */
void obs_engine_free(struct obs_engine **e);

/** obs_engine_refresh() - bring the model up to date. */
void obs_engine_refresh(struct obs_engine *e);

/** obs_engine_describe_processes() - without BPF: how processes are seen, into the probe that
 * obs_kernel_open() made. Return: whether the kernel tells of each (task_events.h). */
bool obs_engine_describe_processes(const struct obs_config *config, const struct obs_kernel *kernel,
				   struct obs_model *model);

/** obs_engine_describe_names() - where the names of containers come from, as a probe; and where
 * the lines of consoles do, if not from BPF. */
void obs_engine_describe_names(const struct obs_config *config, struct obs_model *model);

/** obs_engine_can_observe() - is there any way to see anything? */
bool obs_engine_can_observe(const struct obs_engine *e);
