// SPDX-License-Identifier: BSD-2-Clause
/* record.c - see record.h. */
#include "parse/record.h"

#include <stdint.h>

#include "parse/scan.h"
#include "util/cleanup.h"

/* A console has other writers: more lines than this behind a head, of no traceback, are theirs. */
#define EXTRA_MAX 8

static void rebase_slice(struct obs_slice *s, const char *from, const char *to)
{
	if (s->p)
		s->p = to + (s->p - from);
}

static void rebase(struct obs_record *r, const char *from, const char *to)
{
	struct obs_prefix *p = &r->prefix;
	struct obs_slice *slices[] = { &p->level,    &p->logger,    &p->where,	     &p->animal,
				       &p->peer_id,  &p->text,	    &p->script_line, &r->matched,
				       &r->bar_name, &r->first.text };

	for (size_t i = 0; i < ARRAY_LEN(slices); i++)
		rebase_slice(slices[i], from, to);
}

void obs_record_open(struct obs_record *r, enum obs_record_kind kind, const struct obs_line *line,
		     struct obs_slice text, const struct obs_prefix *prefix,
		     struct obs_slice matched)
{
	/* field by field: see prefix.c */
	r->kind = kind;
	r->first = *line;
	r->prefix = *prefix;
	r->matched = matched;
	r->row = NULL;
	r->wall_ns = 0;
	r->head_len = text.len;
	r->trace_at = kind == OBS_RECORD_TRACE ? 0 : SIZE_MAX;
	r->bar_name = (struct obs_slice){ 0 };
	r->extra = 0;
	r->keep_all = r->complete = r->chained = r->at_lines = false;
	r->colon = text.len && text.p[text.len - 1] == ':';
	r->truncated = line->truncated;
	obs_buf_reset(&r->text);
	r->first.text = text;
	if (obs_buf_push(&r->text, text.p, text.len) < 0) {
		r->truncated = true;
		r->prefix = (struct obs_prefix){ 0 };
		r->matched = r->first.text = (struct obs_slice){ 0 };
		r->head_len = 0;
		return;
	}
	rebase(r, text.p, r->text.p);
}

static bool is_head_of_trace(const struct obs_record *r, enum obs_trace_line kind)
{
	return r->trace_at == SIZE_MAX && (kind == OBS_TRACE_START || kind == OBS_TRACE_STACK ||
					   kind == OBS_TRACE_INDENT || kind == OBS_TRACE_AT);
}

static bool is_blank_line(struct obs_slice line)
{
	return trim(line).len == 0;
}

/* "full_key: game_manager.communication" and the advice that hydra prints below. */
static bool is_hydra_tail(struct obs_slice line)
{
	return obs_slice_starts(line, OBS_SLICE("full_key:")) ||
	       obs_slice_starts(line, OBS_SLICE("Set the environment variable HYDRA_FULL_ERROR"));
}

/* Of a bare error line: what Node.js prints below it, hydra's cause, a chain. */
static bool error_takes(const struct obs_record *r, struct obs_slice line, enum obs_trace_line kind)
{
	if (r->trace_at != SIZE_MAX && !r->complete)
		return true;
	if (kind == OBS_TRACE_START)
		return r->chained;
	if (kind != OBS_TRACE_OTHER)
		return true;
	return is_blank_line(line) || r->chained || *line.p == '}' || is_hydra_tail(line) ||
	       r->colon;
}

static bool trace_takes(const struct obs_record *r, struct obs_slice line,
			const struct obs_pattern_row *known, enum obs_trace_line kind)
{
	if (kind == OBS_TRACE_START)
		return r->chained || !r->complete;
	if (kind != OBS_TRACE_OTHER || is_blank_line(line) || r->keep_all || !r->complete)
		return true;
	return r->colon || is_hydra_tail(line) || !known;
}

static bool head_takes(const struct obs_record *r, struct obs_slice line,
		       const struct obs_pattern_row *known, bool metric, enum obs_trace_line kind)
{
	bool weak = r->row && r->row->flags & OBS_ROW_WEAK;

	if (r->trace_at != SIZE_MAX)
		return trace_takes(r, line, known, kind);
	if (kind == OBS_TRACE_START || kind == OBS_TRACE_STACK || r->keep_all)
		return true;
	if (weak)
		return r->extra ? error_takes(r, line, kind)
				: known && known->type == OBS_EVENT_ERROR;
	return !metric && !known && r->extra < EXTRA_MAX;
}

bool obs_record_takes(const struct obs_record *r, struct obs_slice line,
		      const struct obs_pattern_row *known, bool metric)
{
	enum obs_trace_line kind = obs_trace_line(line);

	switch (r->kind) {
	case OBS_RECORD_HEAD:
		return head_takes(r, line, known, metric, kind);
	case OBS_RECORD_TRACE:
		return trace_takes(r, line, known, kind);
	case OBS_RECORD_ERROR:
		return error_takes(r, line, kind);
	case OBS_RECORD_TABLE:
		return metric || is_blank_line(line);
	default:
		return false;
	}
}

/* The end of a traceback is the first line after its frames that is not indented. */
static void note_line(struct obs_record *r, struct obs_slice line)
{
	enum obs_trace_line kind = obs_trace_line(line);

	if (is_blank_line(line))
		return;
	if ((is_head_of_trace(r, kind) && r->kind == OBS_RECORD_HEAD &&
	     (!r->keep_all || (r->row && r->row->flags & OBS_ROW_WEAK))) ||
	    (r->trace_at == SIZE_MAX && (kind == OBS_TRACE_START || kind == OBS_TRACE_STACK)))
		r->trace_at = r->text.len;
	else if (r->trace_at == SIZE_MAX)
		r->extra++;
	else if (kind == OBS_TRACE_OTHER)
		r->complete = true;
	if (kind == OBS_TRACE_START || kind == OBS_TRACE_CHAIN)
		r->complete = false;
	r->chained = kind == OBS_TRACE_CHAIN;
	r->at_lines |= kind == OBS_TRACE_AT;
	r->colon = line.p[line.len - 1] == ':';
}

void obs_record_push(struct obs_record *r, struct obs_slice line)
{
	const char *before = r->text.p;

	note_line(r, line);
	if (r->text.len + line.len + 1 > OBS_RECORD_MAX_BYTES ||
	    obs_buf_reserve(&r->text, line.len + 1) < 0) {
		r->truncated = true;
		return;
	}
	obs_buf_push(&r->text, "\n", 1);
	obs_buf_push(&r->text, line.p, line.len);
	if (r->text.p != before)
		rebase(r, before, r->text.p);
}

void obs_record_reset(struct obs_record *r)
{
	r->kind = OBS_RECORD_NONE;
	obs_buf_reset(&r->text);
}
