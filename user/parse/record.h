/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - a record of several lines while it is being gathered.
 *
 * Holds copies of the lines, joined by \n. What belongs to it is decided here; what
 * it means, in parse.c, once it is whole.
 */
#pragma once

#include <stdbool.h>

#include "parse/exception.h"
#include "parse/parse.h"
#include "parse/pattern.h"
#include "parse/prefix.h"
#include "util/buf.h"

#define OBS_RECORD_MAX_BYTES (64 * 1024)

enum obs_record_kind {
	OBS_RECORD_NONE = 0,
	OBS_RECORD_HEAD,  /* a line with a prefix or a row that lets more follow */
	OBS_RECORD_TRACE, /* a traceback without a head */
	OBS_RECORD_ERROR, /* a bare "Name.Error: text" */
	OBS_RECORD_TABLE, /* rows of metrics */
	OBS_RECORD_WANDB, /* likewise, behind "wandb: " */
	OBS_RECORD_BAR,	  /* the last state of a progress bar */
};

struct obs_record {
	enum obs_record_kind kind;
	struct obs_line first;	  /* its text is of the record's buffer */
	struct obs_prefix prefix; /* likewise */
	struct obs_slice matched; /* the text that row took; likewise */
	const struct obs_pattern_row *row;
	uint64_t wall_ns;
	size_t head_len;	   /* of the first line in text */
	size_t trace_at;	   /* where a traceback starts in text; SIZE_MAX = none */
	struct obs_slice bar_name; /* likewise */
	struct obs_buf text;
	unsigned extra; /* lines behind the head that are of no traceback */
	bool keep_all;	/* every line without a prefix belongs to it */
	bool complete;	/* the traceback has named its exception */
	bool chained;	/* a further traceback is announced */
	bool colon;	/* the last line ends with a colon: its text goes on */
	bool at_lines;	/* Node.js frames were seen */
	bool truncated;
};

/** obs_record_open() - start with a line; its prefix and matched text are rebased. */
void obs_record_open(struct obs_record *r, enum obs_record_kind kind, const struct obs_line *line,
		     struct obs_slice text, const struct obs_prefix *prefix,
		     struct obs_slice matched);

/**
 * obs_record_takes() - does a line without a prefix belong to the open record?
 * @known: the row that takes the line when it stands alone, or NULL
 * @metric: it is a table's row
 */
bool obs_record_takes(const struct obs_record *r, struct obs_slice line,
		      const struct obs_pattern_row *known, bool metric);

/** obs_record_push() - add a line. Past OBS_RECORD_MAX_BYTES it is dropped and marked. */
void obs_record_push(struct obs_record *r, struct obs_slice line);

void obs_record_reset(struct obs_record *r);
