/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prefix.h - what stands before the message: the grammars G1 to G12 of docs/events.md.
 *
 * A grammar is one row: an id, the bytes a line may start with, a scanner, an
 * example (which the tests run).
 */
#pragma once

#include <stdbool.h>

#include "parse/parse.h"
#include "parse/time.h"
#include "util/slice.h"

enum obs_grammar {
	OBS_GRAMMAR_NONE = 0, /* no prefix: all of the line is the message */
	OBS_GRAMMAR_G1,	      /* LEVEL:logger:message */
	OBS_GRAMMAR_G2,	      /* time - LEVEL - logger:lineno - message */
	OBS_GRAMMAR_G3,	      /* [time][logger][LEVEL] - message */
	OBS_GRAMMAR_G4,	      /* hivemind: Mon DD time [LEVEL] [module.func:line] message */
	OBS_GRAMMAR_G5,	      /* launcher script: >> message */
	OBS_GRAMMAR_G6,	      /* bash: script.sh: line N: message */
	OBS_GRAMMAR_G9,	      /* wandb: message */
	OBS_GRAMMAR_G10,      /* wandb's debug.log */
	OBS_GRAMMAR_G12,      /* p2pd: go-log JSON, or a Go log time */
	OBS_GRAMMAR_KERNEL,   /* dmesg: [seconds] message */
	OBS_GRAMMAR_TIME,     /* some other time first */
	OBS_GRAMMAR_MAX,
};

/* All slices borrow the line, or (G12) the scratch buffer. Empty = not there. */
struct obs_prefix {
	enum obs_grammar grammar;
	struct obs_text_time time;
	struct obs_slice level, logger, where, animal, peer_id, script_line;
	struct obs_slice reason; /* G12: go-log's "error", escaped as it stands there */
	struct obs_slice text;	 /* the message */
};

struct obs_grammar_row {
	enum obs_grammar id;
	const char *name;
	const char *first; /* a line of this shape starts with one of these bytes */
	bool (*scan)(struct obs_slice line, struct obs_prefix *ret);
	const char *example;
};

/* Ends with a row whose name is NULL; of the rows that fit a line the first counts. */
extern const struct obs_grammar_row obs_grammars[];

/**
 * obs_prefix_scan() - take a line apart.
 *
 * Always succeeds: without a known prefix, grammar is NONE and text is the line.
 */
void obs_prefix_scan(struct obs_slice line, struct obs_prefix *ret);

/**
 * obs_docker_strip() - take off what Docker's raw log stream puts before a line (G13): the
 * 8-byte frame header or what a paste left of it, "[name] ", the RFC 3339 time.
 * @line: advanced past what was found
 * @ret:  Docker's time, if there was one; else untouched
 *
 * Return: was anything there?
 */
bool obs_docker_strip(struct obs_slice *line, struct obs_text_time *ret);

/** obs_level_is_error() - ERROR, CRITICAL or FATAL, in any case of letters. */
bool obs_level_is_error(struct obs_slice level);
