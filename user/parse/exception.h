/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exception.h - Python and Node.js failures as they are printed.
 */
#pragma once

#include <stdbool.h>

#include "parse/pattern.h"
#include "util/slice.h"

struct obs_exception {
	struct obs_slice name; /* as printed, with its module */
	struct obs_slice text; /* what follows the colon; may be empty */
};

/**
 * obs_exception_scan() - "Name.Error: text", "Name.Error", or the form repr() gives:
 * Name('text'). Only names that end like an exception's, since any line may be meant.
 */
bool obs_exception_scan(struct obs_slice line, struct obs_exception *ret);

/* The lines that hold a traceback together. */
enum obs_trace_line {
	OBS_TRACE_OTHER = 0,
	OBS_TRACE_START,  /* Traceback (most recent call last): */
	OBS_TRACE_STACK,  /* Stack (most recent call last): */
	OBS_TRACE_CHAIN,  /* During handling of …; The above exception was … */
	OBS_TRACE_INDENT, /* frames, source lines, ^^^^ marks, notes' bodies */
	OBS_TRACE_AT,	  /* Node.js: "    at f (file:1:2)" */
};

enum obs_trace_line obs_trace_line(struct obs_slice line);

struct obs_trace {
	struct obs_exception exception;	   /* the last one; a group's own; name.len 0 = none */
	struct obs_slice line;		   /* the line it stands in */
	struct obs_slice known;		   /* text that a row of the table knows; len 0 = none */
	const struct obs_pattern_row *row; /* that row */
	bool through_dht;		   /* passes hivemind's DHT process */
};

/**
 * obs_trace_read() - find the exceptions of a block of lines.
 * @block: from the line behind the head on
 */
void obs_trace_read(struct obs_slice block, struct obs_match *m, struct obs_trace *ret);
