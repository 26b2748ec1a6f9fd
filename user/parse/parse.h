/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse.h - lines of one source in, events out.
 *
 * A parser belongs to one stream (one file, or one process's descriptor), so
 * that records of several lines never mix two writers. It is handed lines in
 * order and calls back with each event; an event's text is borrowed for the
 * duration of the callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/event.h"
#include "util/slice.h"

enum obs_source {
	OBS_SOURCE_AUTO, /* grammars are tried per line */
	OBS_SOURCE_NODE, /* swarm_launcher.log, swarm.log */
	OBS_SOURCE_YARN,
	OBS_SOURCE_WANDB,
	OBS_SOURCE_CONSOLE,
	OBS_SOURCE_DOCKER, /* pasted Docker API stream, replay only */
};

struct obs_line {
	struct obs_slice text; /* without its terminator; raw bytes */
	uint64_t offset;       /* of its first byte in the stream */
	uint64_t wall_ns;      /* kernel's time of its last byte; 0 = unknown, use the text's own */
	uint32_t pid;	       /* writer of its last byte; 0 = unknown */
	char comm[16];	       /* writer's name, NUL-terminated; "" = unknown */
	bool truncated;
	bool backfilled; /* read from the file rather than captured */
};

struct obs_parser;

/**
 * typedef obs_parse_fn - one event.
 * @ev:    type, name, code, level, logger, message, fields, wall_ns, time_from_log,
 *         truncated are set; id and origin are the callee's
 * @first: the line in which the event starts (its offset, pid, comm, backfilled)
 */
typedef void (*obs_parse_fn)(void *ctx, struct obs_event *ev, const struct obs_line *first);

/** obs_source_for_path() - which grammars a log file's name suggests. */
enum obs_source obs_source_for_path(struct obs_slice path);

/**
 * obs_parser_new() - a parser for one stream.
 * @emit: called from within push and flush, in line order
 *
 * Return: 0 or -ENOMEM.
 */
int obs_parser_new(enum obs_source source, obs_parse_fn emit, void *ctx, struct obs_parser **ret);
void obs_parser_free(struct obs_parser **p);

struct obs_zone;
struct obs_patterns;

/* All borrowed: they must outlive the parser. Zero = none. */
struct obs_parser_options {
	const struct obs_zone *zone;	     /* of log texts, until kernel-timed lines teach it */
	uint64_t reference_ns;		     /* about when the text was written: for times without
						a year and lines before the first time */
	const char *rpc_host;		     /* the chain's, besides gensyn-testnet* */
	const struct obs_patterns *patterns; /* the operator's own (patterns.h) */
};

/** obs_parser_configure() - set the options; before the first line. */
void obs_parser_configure(struct obs_parser *p, const struct obs_parser_options *options);

/** obs_parser_push() - the next line. Text is copied if it must outlive the call. */
void obs_parser_push(struct obs_parser *p, const struct obs_line *line);

/** obs_parser_flush() - the stream is silent or ended: emit what waits for more lines. */
void obs_parser_flush(struct obs_parser *p);

/**
 * obs_parser_pending() - does a record wait for more lines?
 * @ret_offset: if so, the offset of its first byte: the cursor may not pass it
 */
bool obs_parser_pending(const struct obs_parser *p, uint64_t *ret_offset);
