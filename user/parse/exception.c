// SPDX-License-Identifier: BSD-2-Clause
/*
 * exception.c - see exception.h.
 *
 * Source lines inside a traceback quote the very texts we look for, so only lines
 * that are not indented (or are a group's, behind its bar) count as exceptions.
 */
#include "parse/exception.h"

#include "parse/scan.h"
#include "util/cleanup.h"

#define NAME_MAX_BYTES 160

static bool ends_with(struct obs_slice s, struct obs_slice end)
{
	return s.len >= end.len && !memcmp(s.p + s.len - end.len, end.p, end.len);
}

static bool sounds_like_exception(struct obs_slice name)
{
	static const struct obs_slice ends[] = {
		OBS_SLICE("Error"),	     OBS_SLICE("Exception"),
		OBS_SLICE("ExceptionGroup"), OBS_SLICE("KeyboardInterrupt"),
		OBS_SLICE("SystemExit"),     OBS_SLICE("StopIteration"),
	};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (ends_with(name, ends[i]))
			return true;
	}
	/* requests.exceptions.ReadTimeout; a bare word would be prose */
	return ends_with(name, OBS_SLICE("Timeout")) && memchr(name.p, '.', name.len);
}

/* Letters, digits, _ and the dot. */
static const bool in_name[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true, ['.'] = true
};

/* Length of a dotted name at the front. */
static size_t dotted_len(struct obs_slice s)
{
	size_t n = 0;

	if (!s.len || (!is_alpha(*s.p) && *s.p != '_'))
		return 0;
	while (n < s.len && n < NAME_MAX_BYTES && in_name[(unsigned char)s.p[n]])
		n++;
	return n && s.p[n - 1] != '.' ? n : 0;
}

/* Name('text') or Name("text"): the quotes and what follows them go. */
static bool scan_repr(struct obs_slice rest, struct obs_exception *e)
{
	char quote;

	if (!take_char(&rest, '(') || !rest.len || (*rest.p != '\'' && *rest.p != '"'))
		return false;
	quote = *rest.p;
	rest = slice_from(rest, 1);
	while (rest.len && rest.p[rest.len - 1] != quote)
		rest.len--;
	e->text = obs_slice(rest.p, rest.len ? rest.len - 1 : 0);
	return rest.len > 0;
}

static bool scan_after_name(struct obs_slice rest, struct obs_exception *e)
{
	struct obs_slice code;

	if (rest.len > 1 && rest.p[0] == ' ' && rest.p[1] == '[') /* Node.js: Error [ERR_X]: */
		take_until(&rest, ']', &code);
	if (!rest.len) {
		e->text = rest;
		return true;
	}
	if (!take_char(&rest, ':'))
		return scan_repr(rest, e);
	if (rest.len && !take_char(&rest, ' '))
		return false;
	e->text = rest;
	return true;
}

static bool may_follow_name(struct obs_slice s)
{
	return *s.p == ':' || *s.p == '(' || (s.len > 1 && s.p[0] == ' ' && s.p[1] == '[');
}

static bool scan_named(struct obs_slice line, bool any_name, struct obs_exception *ret)
{
	size_t n = dotted_len(line);
	struct obs_exception e = { .name = obs_slice(line.p, n) };

	if (!n || (n < line.len && !may_follow_name(slice_from(line, n))) ||
	    (!any_name && !sounds_like_exception(e.name)) ||
	    !scan_after_name(slice_from(line, n), &e))
		return false;
	*ret = e;
	return true;
}

bool obs_exception_scan(struct obs_slice line, struct obs_exception *ret)
{
	return scan_named(line, false, ret);
}

/* Behind a group's "  | " the lines are those of an ordinary traceback. */
static struct obs_slice skip_group_bar(struct obs_slice line)
{
	struct obs_slice s = trim_left(line);

	if (s.p == line.p || !take_char(&s, '|'))
		return line;
	take_char(&s, ' ');
	return s;
}

enum obs_trace_line obs_trace_line(struct obs_slice line)
{
	struct obs_slice s = trim_left(line);

	if (s.len && *s.p == '+' &&
	    obs_slice_starts(s, OBS_SLICE("+ Exception Group Traceback (most recent")))
		return OBS_TRACE_START;
	if (s.p == line.p && s.len && *s.p != 'T' && *s.p != 'S' && *s.p != 'D')
		return OBS_TRACE_OTHER; /* none of the texts below */
	if (s.p != line.p)
		return obs_slice_starts(s, OBS_SLICE("at ")) ? OBS_TRACE_AT : OBS_TRACE_INDENT;
	if (obs_slice_starts(s, OBS_SLICE("Traceback (most recent call last)")))
		return OBS_TRACE_START;
	if (obs_slice_starts(s, OBS_SLICE("Stack (most recent call last)")))
		return OBS_TRACE_STACK;
	if (obs_slice_starts(s, OBS_SLICE("During handling of the above exception")) ||
	    obs_slice_starts(s, OBS_SLICE("The above exception was the direct cause")))
		return OBS_TRACE_CHAIN;
	return OBS_TRACE_OTHER;
}

/* What one walk over the lines remembers. */
struct walk {
	bool after_frame; /* the next line that is not indented names the exception */
	bool in_group;
	bool in_stack;
	struct obs_match *m;
	struct obs_trace *to;
};

static const struct obs_pattern_row *known_row(struct obs_slice text, struct obs_match *m)
{
	static const struct obs_prefix no_prefix;
	static _Thread_local struct obs_event unused;
	const struct obs_pattern_row *row;
	size_t n_list = m->n_list;

	unused.n_fields = 0;
	row = obs_pattern_match(&no_prefix, obs_message_head(text), m, &unused);
	m->n_list = n_list;
	return row && row->type == OBS_EVENT_ERROR ? row : NULL;
}

static void note_known(struct walk *w, struct obs_slice line, const struct obs_exception *e)
{
	if (w->to->row)
		return;
	w->to->known = line;
	w->to->row = known_row(line, w->m);
	if (!w->to->row && e) {
		w->to->known = e->text;
		w->to->row = known_row(e->text, w->m);
	}
}

static void note_exception(struct walk *w, struct obs_slice line)
{
	struct obs_exception e;
	bool named = scan_named(line, w->after_frame, &e);

	note_known(w, line, named ? &e : NULL);
	if (!named || (!w->after_frame && w->to->exception.name.len))
		return;
	if (w->in_group && w->to->exception.name.len)
		return;
	w->to->exception = e;
	w->to->line = line;
}

static void read_line(struct walk *w, struct obs_slice line)
{
	struct obs_slice s = skip_group_bar(line);

	switch (obs_trace_line(s)) {
	case OBS_TRACE_STACK:
		w->in_stack = true;
		break;
	case OBS_TRACE_START:
		w->in_stack = false;
		w->in_group |= CONTAINS(s, "Exception Group");
		break;
	case OBS_TRACE_CHAIN:
		w->in_group = w->in_stack = false;
		break;
	case OBS_TRACE_AT:
	case OBS_TRACE_INDENT:
		w->after_frame = true;
		w->to->through_dht |= !w->in_stack && (CONTAINS(s, "hivemind/dht/dht.py") ||
						       CONTAINS(s, "_inner_pipe.recv()"));
		break;
	case OBS_TRACE_OTHER:
		if (s.len && !w->in_stack)
			note_exception(w, s);
		if (s.len)
			w->after_frame = false;
		break;
	}
}

void obs_trace_read(struct obs_slice block, struct obs_match *m, struct obs_trace *ret)
{
	struct walk w = { .m = m, .to = ret };
	struct obs_slice line;

	*ret = (struct obs_trace){ 0 };
	while (take_until(&block, '\n', &line))
		read_line(&w, line);
	read_line(&w, block);
	if (!ret->row)
		ret->known = (struct obs_slice){ 0 };
}
