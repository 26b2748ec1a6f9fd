/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow.h - which files and consoles are followed: the table of streams.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "config/config.h"
#include "observe/kernel.h"
#include "observe/targets.h"
#include "pipeline/engine.h"
#include "stream/stream.h"

struct obs_follow;

struct obs_follow_options {
	struct obs_stream_options stream;
	const struct obs_config *config; /* borrowed */
	struct obs_kernel *kernel;	 /* borrowed; NULL without BPF */
	struct obs_targets *targets;	 /* borrowed */
	bool captures;			 /* writes of nodes come through the ring */
	const struct obs_outlet *outlet; /* borrowed */
	uv_loop_t *loop;
	void (*activity)(void *ctx); /* inotify brought something; ctx is stream.ctx */
	/* once a second per file, if it was written to before its cursor; ctx is stream.ctx */
	void (*rewritten)(void *ctx, const struct obs_stream *s, const struct obs_rewrite *r);
};

int obs_follow_new(const struct obs_follow_options *opt, struct obs_follow **ret);
void obs_follow_free(struct obs_follow **f);

/**
 * obs_follow_announced() - a node wrote to a file that nobody has judged.
 * @names: path parts from the file upwards, each NUL-terminated
 */
void obs_follow_announced(struct obs_follow *f, struct obs_node *node, const struct obs_file_id *id,
			  pid_t pid, int fd, struct obs_slice names);

/**
 * obs_follow_engine_log() - follow what the container's engine keeps of @node's output: for what is
 * not captured of it. To be called now and then, since the engine rotates it.
 */
void obs_follow_engine_log(struct obs_follow *f, struct obs_node *node);

/** obs_follow_keeps() - is a file in which an engine keeps @node's output followed? */
bool obs_follow_keeps(struct obs_follow *f, const struct obs_node *node);

/** obs_follow_count_lost() - @bytes of @node's consoles were not captured, since its slot is in use:
 * are they to be had from its engine's file? Of one that is ASKING they are not ours. */
void obs_follow_count_lost(struct obs_follow *f, struct obs_node *node, uint64_t bytes);

/** obs_follow_scan() - look at the files that @pid has open for writing. */
void obs_follow_scan(struct obs_follow *f, struct obs_node *node, pid_t pid);

void obs_follow_file_write(struct obs_follow *f, struct obs_node *node,
			   const struct obs_file_id *id, const struct obs_chunk *chunk);
void obs_follow_console_write(struct obs_follow *f, struct obs_node *node, int fd,
			      const struct obs_chunk *chunk);

/** obs_follow_process_left() - its consoles end. */
void obs_follow_process_left(struct obs_follow *f, pid_t pid);

/** obs_follow_node_gone() - its files are read to the end and closed. */
void obs_follow_node_gone(struct obs_follow *f, struct obs_node *node);

/** obs_follow_sweep() - once a second: configured files, growth behind our back, silence. */
void obs_follow_sweep(struct obs_follow *f);

/** obs_follow_all_behind() - something was dropped: every file may have more. */
void obs_follow_all_behind(struct obs_follow *f);

bool obs_follow_is_behind(const struct obs_follow *f);

/**
 * obs_follow_catch_up() - read on: what is nearly up to date first, then a slice of one old log.
 *
 * While new lines come from elsewhere the old logs keep to limits.backfill_bytes_per_s.
 *
 * Return: ms after which to call again, 0 = at once, -1 = nothing is behind any more.
 */
int obs_follow_catch_up(struct obs_follow *f);

/** obs_follow_restart() - all cursors are lost: read files as if they were seen for the first
 * time, those that are younger than the outlet's created_ns from their start. */
void obs_follow_restart(struct obs_follow *f);

/** obs_follow_cursors() - hand out the cursors that moved since the last call. */
void obs_follow_cursors(struct obs_follow *f, int (*put)(void *ctx, const struct obs_cursor *c),
			void *ctx);

/** obs_follow_stop() - emit what waits for more lines of consoles; files go on after a restart. */
void obs_follow_stop(struct obs_follow *f);

/** obs_follow_watch_canary() - tell of writes to this file from now on, as of those of nodes. Return:
 * 0, -ENOSYS where there is no inotify, or a negative errno. */
int obs_follow_watch_canary(struct obs_follow *f, int fd);

/** obs_follow_saw_canary() - was one told of since? */
bool obs_follow_saw_canary(const struct obs_follow *f);

size_t obs_follow_count(const struct obs_follow *f);
