// SPDX-License-Identifier: BSD-2-Clause
/* last_lines.c - see last_lines.h. */
#include "pipeline/last_lines.h"

#include <stdlib.h>

#include "parse/console.h"
#include "parse/exception.h"
#include "parse/pattern.h"
#include "parse/prefix.h"
#include "util/cleanup.h"

void obs_last_lines_push(struct obs_last_lines *t, struct obs_slice written)
{
	size_t keep;

	if (!t->p)
		t->p = malloc(OBS_LAST_BYTES);
	if (!t->p)
		return;
	if (written.len > OBS_LAST_BYTES) {
		written.p += written.len - OBS_LAST_BYTES;
		written.len = OBS_LAST_BYTES;
	}
	keep = OBS_LAST_BYTES - written.len;
	if (t->len > keep) {
		memmove(t->p, t->p + t->len - keep, keep);
		t->len = keep;
		t->cut = true;
	}
	memcpy(t->p + t->len, written.p, written.len);
	t->len += written.len;
}

void obs_last_lines_free(struct obs_last_lines *t)
{
	free(t->p);
	*t = (struct obs_last_lines){};
}

static bool is_blank(struct obs_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != ' ' && s.p[i] != '\t')
			return false;
	}
	return true;
}

/* Bytes of a file that is no text (a model, wandb's own format). */
static bool is_binary(struct obs_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' && c != '\t' && c != '\033')
			return true;
	}
	return false;
}

static bool is_known(const struct obs_slice *lines, size_t n, struct obs_slice s)
{
	for (size_t i = 0; i < n; i++) {
		if (obs_slice_eq(lines[i], s))
			return true;
	}
	return false;
}

/* The line that ends at @end (its terminator excluded) and starts at *@ret_start. */
static struct obs_slice line_before(const struct obs_last_lines *t, size_t end, size_t *ret_start)
{
	size_t start = end;

	while (start > 0 && t->p[start - 1] != '\n' && t->p[start - 1] != '\r')
		start--;
	*ret_start = start;
	return obs_slice(t->p + start, end - start);
}

/* A copy in @text, which has room for all; without escape sequences, cut. */
static struct obs_slice clean(struct obs_slice raw, struct obs_buf *text)
{
	cleanup_buf struct obs_buf scratch = {};
	struct obs_slice s = obs_ansi_strip(raw, &scratch);
	char *at = text->p + text->len;

	if (s.len > OBS_LAST_LINE_BYTES)
		s.len = OBS_LAST_LINE_BYTES;
	memcpy(at, s.p, s.len);
	text->len += s.len;
	return obs_slice(at, s.len);
}

size_t obs_last_lines_take(const struct obs_last_lines *t, struct obs_buf *text,
			   struct obs_slice *ret)
{
	size_t at = OBS_LAST_LINES, end = t->len, start;
	bool bar_seen = false; /* the line behind this one drew over it */

	obs_buf_reset(text);
	if (!t->p || obs_buf_reserve(text, OBS_LAST_LINES * OBS_LAST_LINE_BYTES * 2) < 0)
		return 0;
	while (at > 0 && text->len + OBS_LAST_LINE_BYTES <= text->cap) {
		struct obs_slice raw = line_before(t, end, &start), s;
		bool bar = end < t->len && t->p[end] == '\r' && bar_seen;

		bar_seen = start > 0 && t->p[start - 1] == '\r';
		if (!(start == 0 && t->cut) && !bar && !is_blank(raw) && !is_binary(raw)) {
			s = clean(raw, text);
			if (!is_blank(s) && !is_known(&ret[at], OBS_LAST_LINES - at, s))
				ret[--at] = s;
		}
		if (start == 0)
			break;
		end = start - 1;
	}
	memmove(ret, ret + at, (OBS_LAST_LINES - at) * sizeof(*ret));
	return OBS_LAST_LINES - at;
}

/* Errors that do not end the process that logs them. */
static const char *const harmless[] = {
	"SUBMIT_FAILED",       "SMART_ACCOUNT_REVERTED", "PEER_PAYLOAD_ERROR",
	"CHAIN_POLL_FAILED",   "NODE_UNREACHABLE",	 "CLOCK_SKEW",
	"LOG_ERROR",	       "LAUNCHER_ERROR",	 "LOGIN_PAGE_ERROR",
	"DHT_COROUTINE_ERROR",
};

static bool ends_a_process(const char *code)
{
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		if (strcmp(code, harmless[i]) == 0)
			return false;
	}
	return true;
}

/* What a line means, or the text behind "SomeError: " in it. */
static const char *code_of(struct obs_slice line)
{
	const struct obs_pattern_row *row;
	struct obs_exception exception;
	struct obs_prefix prefix;
	struct obs_event ev = {};
	struct obs_match m = {};
	struct obs_slice head;

	obs_prefix_scan(line, &prefix);
	head = obs_message_head(prefix.text);
	row = obs_pattern_match(&prefix, head, &m, &ev);
	if (!row && obs_exception_scan(head, &exception))
		row = obs_pattern_match(&prefix, obs_message_head(exception.text), &m, &ev);
	return row ? row->code : NULL;
}

const char *obs_last_lines_code(const struct obs_slice *lines, size_t n)
{
	while (n-- > 0) {
		const char *code = code_of(lines[n]);

		if (code && ends_a_process(code))
			return code;
	}
	return NULL;
}
