/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pattern.h - which message means what: the table of docs/events.md as rows.
 *
 * A row's pattern is matched from the message's start (emoji, blanks, asterisks and
 * the like in front are passed over) in a small language without backtracking:
 *
 *   text      itself
 *   {key:t}   a value of type t becomes field `key`; without a key it is only passed over
 *   ~         anything, up to the first occurrence of the text that follows
 *   <…>       may be missing
 *   $         nothing but blanks may follow; without it any rest may
 *
 * Types: u digits · n JSON number · w word (ends at a blank or the byte that follows in
 * the pattern) · s text up to what follows in the pattern, else to the end · q peer id ·
 * r route below /api/ · h host of the chain's RPC · l quoted strings of a Python list ·
 * m one word as a list · b size with unit, in bytes · k kB in bytes · t duration in ms ·
 * g Go's time · a AA code.
 */
#pragma once

#include <stdbool.h>

#include "parse/prefix.h"
#include "pipeline/event.h"

#define OBS_MATCH_LIST_MAX 64

enum obs_pattern_flags {
	OBS_ROW_HOLD = 1 << 0,	    /* more lines may belong to it, whatever its level */
	OBS_ROW_WEAK = 1 << 1,	    /* a failure only if an exception follows, else a log line */
	OBS_ROW_BASH = 1 << 2,	    /* only behind bash's "script: line N:" */
	OBS_ROW_DHT = 1 << 3,	    /* only from hivemind's DHT loggers */
	OBS_ROW_NODE_COMM = 1 << 4, /* only if field comm names a process of a node */
	OBS_ROW_GAME = 1 << 5,	    /* details.where of a known exception below: game_run */
	OBS_ROW_TRAINING = 1 << 6,  /* … training */
	OBS_ROW_SUBMIT = 1 << 7,    /* … submit */
	OBS_ROW_GO = 1 << 8,	    /* only behind Go's own time: p2pd's last words */
};

struct obs_pattern_row {
	enum obs_event_type type;
	const char *name; /* details.event; NULL for errors */
	const char *code; /* details.code; NULL unless an error */
	unsigned flags;	  /* enum obs_pattern_flags */
	const char *pattern;
	const char *constants; /* "key=value;key=value", or NULL */
	const char *example;   /* a line; the tests check that this row takes it */
};

/* Ends with a row whose pattern is NULL; of the rows that fit the first counts. */
extern const struct obs_pattern_row obs_pattern_rows[];

struct obs_match {
	const char *rpc_host; /* besides gensyn-testnet*; NULL = none; borrowed */
	struct obs_slice list[OBS_MATCH_LIST_MAX];
	size_t n_list;
};

/**
 * obs_pattern_match() - find the row for a message and add its fields to @ev.
 * @p:       the line's prefix
 * @message: what obs_message_head() left of it; borrowed by the fields
 * @m:       holds list values; borrowed by the fields
 *
 * Return: the row, or NULL; then @ev is untouched.
 */
const struct obs_pattern_row *obs_pattern_match(const struct obs_prefix *p,
						struct obs_slice message, struct obs_match *m,
						struct obs_event *ev);

/** obs_pattern_try() - match one row only. */
bool obs_pattern_try(const struct obs_pattern_row *row, const struct obs_prefix *p,
		     struct obs_slice message, struct obs_match *m, struct obs_event *ev);

/** obs_message_head() - @s without the ornaments in front. */
struct obs_slice obs_message_head(struct obs_slice s);
