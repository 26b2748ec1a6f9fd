// SPDX-License-Identifier: BSD-2-Clause
/* golog.c - see golog.h. A scanner for one flat object, not a JSON parser. */
#include "parse/golog.h"

#include "parse/prefix.h"
#include "parse/scan.h"
#include "util/cleanup.h"

#define KEYS_MAX 64

/* Take a quoted string; what stands between the quotes goes to *@ret as it is. */
static bool take_quoted(struct obs_slice *s, struct obs_slice *ret)
{
	size_t i = 1;

	if (!s->len || *s->p != '"')
		return false;
	for (; i < s->len && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\')
			i++;
	}
	if (i >= s->len)
		return false;
	*ret = obs_slice(s->p + 1, i - 1);
	*s = slice_from(*s, i + 1);
	return true;
}

/* Pass over a number, word, array or object, up to the comma or brace that ends it. */
static bool skip_value(struct obs_slice *s)
{
	unsigned depth = 0;
	struct obs_slice text;

	while (s->len) {
		char c = *s->p;

		if (c == '"') {
			if (!take_quoted(s, &text))
				return false;
			continue;
		}
		if (!depth && (c == ',' || c == '}'))
			return true;
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		*s = slice_from(*s, 1);
	}
	return false;
}

static bool take_member(struct obs_slice *s, struct obs_slice *key, struct obs_slice *value)
{
	*s = trim_left(*s);
	if (!take_quoted(s, key) || !take_char(s, ':'))
		return false;
	*s = trim_left(*s);
	*value = obs_slice(s->p, 0);
	return take_quoted(s, value) || skip_value(s);
}

static void keep_member(struct obs_slice key, struct obs_slice value, struct obs_prefix *p)
{
	const struct {
		struct obs_slice key, *to;
	} members[] = {
		{ OBS_SLICE("level"), &p->level },  { OBS_SLICE("logger"), &p->logger },
		{ OBS_SLICE("caller"), &p->where }, { OBS_SLICE("msg"), &p->text },
		{ OBS_SLICE("error"), &p->reason },
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (obs_slice_eq(key, members[i].key))
			*members[i].to = value;
	}
	/* p2pd says ts, wandb's debug-internal.log time */
	if (obs_slice_eq(key, OBS_SLICE("ts")) || obs_slice_eq(key, OBS_SLICE("time")))
		obs_time_scan_iso(value, &p->time);
}

bool obs_golog_scan(struct obs_slice s, struct obs_prefix *p)
{
	struct obs_slice key, value;

	if (!take_char(&s, '{'))
		return false;
	for (unsigned i = 0; i < KEYS_MAX && take_member(&s, &key, &value); i++) {
		keep_member(key, value, p);
		s = trim_left(s);
		if (!take_char(&s, ','))
			break;
	}
	return p->level.len && p->text.p && take_char(&s, '}');
}

/* "message\t{"error": "…"}": the message stays whole. */
static void take_reason(struct obs_slice text, struct obs_prefix *p)
{
	const char *tab = text.len ? memrchr(text.p, '\t', text.len) : NULL;
	struct obs_slice s, key, value;

	if (!tab)
		return;
	s = slice_from(text, (size_t)(tab - text.p) + 1);
	if (!take_char(&s, '{'))
		return;
	for (unsigned i = 0; i < KEYS_MAX && take_member(&s, &key, &value); i++) {
		if (obs_slice_eq(key, OBS_SLICE("error")))
			p->reason = value;
		s = trim_left(s);
		if (!take_char(&s, ','))
			break;
	}
}

bool obs_golog_console_scan(struct obs_slice s, struct obs_prefix *p)
{
	size_t n = obs_time_scan_iso(s, &p->time);
	struct obs_slice level, logger, where;

	if (n == 0)
		return false;
	s = slice_from(s, n);
	if (!take_char(&s, '\t') || !take_until(&s, '\t', &level) ||
	    !take_until(&s, '\t', &logger) || !take_until(&s, '\t', &where))
		return false;
	p->level = level;
	p->logger = logger;
	p->where = where;
	p->text = s;
	take_reason(s, p);
	return level.len > 0;
}
