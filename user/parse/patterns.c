// SPDX-License-Identifier: BSD-2-Clause
/*
 * patterns.c - see patterns.h.
 *
 * Backtracking is bounded three ways: match limit, depth limit, and the length of
 * what is searched; JIT code obeys the match limit too.
 */
#include "parse/patterns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "parse/scan.h"
#include "util/cleanup.h"

#define MATCH_LIMIT	  100000
#define DEPTH_LIMIT	  1000
#define HEAP_LIMIT_KIB	  1024
#define SUBJECT_MAX_BYTES 16384
#define PATTERNS_MAX	  256
#define FIELDS_MAX	  16

struct pattern {
	char *name, *code;	  /* owned */
	char *fields[FIELDS_MAX]; /* owned; names of groups without one */
	size_t n_fields;
	enum obs_event_type type;
	pcre2_code *regex;
	pcre2_match_data *data;
	uint32_t n_names, name_bytes, n_groups;
	const char *names; /* PCRE2's table: two bytes of group number, then the name */
	uint64_t refused;
};

struct obs_patterns {
	pcre2_match_context *limits;
	size_t n;
	struct pattern v[];
};

static int complain(struct obs_buf *message, const char *name, const char *what)
{
	if (message)
		obs_buf_printf(message, "pattern '%s': %s\n", name ? name : "", what);
	return -EINVAL;
}

static bool name_ok(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	for (size_t i = 0; i < n; i++) {
		if (!is_name(name[i]))
			return false;
	}
	return n > 0 && n <= 64;
}

static int compile_regex(struct pattern *p, const struct obs_pattern_options *o,
			 struct obs_buf *message)
{
	PCRE2_SIZE at;
	int err;
	PCRE2_UCHAR text[160];

	p->regex = pcre2_compile((PCRE2_SPTR)o->regex, PCRE2_ZERO_TERMINATED,
				 PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &err, &at, NULL);
	if (!p->regex) {
		pcre2_get_error_message(err, text, sizeof(text));
		return complain(message, o->name, (const char *)text);
	}
	pcre2_jit_compile(p->regex, PCRE2_JIT_COMPLETE); /* without JIT it is only slower */
	p->data = pcre2_match_data_create_from_pattern(p->regex, NULL);
	if (!p->data)
		return -ENOMEM;
	pcre2_pattern_info(p->regex, PCRE2_INFO_CAPTURECOUNT, &p->n_groups);
	pcre2_pattern_info(p->regex, PCRE2_INFO_NAMECOUNT, &p->n_names);
	pcre2_pattern_info(p->regex, PCRE2_INFO_NAMEENTRYSIZE, &p->name_bytes);
	pcre2_pattern_info(p->regex, PCRE2_INFO_NAMETABLE, &p->names);
	return 0;
}

static int copy_fields(struct pattern *p, const struct obs_pattern_options *o,
		       struct obs_buf *message)
{
	if (o->n_fields > FIELDS_MAX)
		return complain(message, o->name, "too many fields");
	for (size_t i = 0; i < o->n_fields; i++) {
		if (!name_ok(o->fields[i]))
			return complain(message, o->name,
					"a field is made of letters, digits and _");
		p->fields[i] = strdup(o->fields[i]);
		if (!p->fields[i])
			return -ENOMEM;
		p->n_fields++;
	}
	return 0;
}

static int compile(struct pattern *p, const struct obs_pattern_options *o, struct obs_buf *message)
{
	int type = o->event ? obs_event_type_from_str(obs_slice_str(o->event)) : OBS_EVENT_LOG;
	int r;

	if (!name_ok(o->name))
		return complain(message, o->name, "a name is made of letters, digits and _");
	if (type < 0)
		return complain(message, o->name, "no such event type");
	if (o->code && !name_ok(o->code))
		return complain(message, o->name, "a code is made of letters, digits and _");
	if (type == OBS_EVENT_ERROR && !o->code)
		return complain(message, o->name, "an error has a code");
	if (!o->regex)
		return complain(message, o->name, "no regex");
	p->type = (enum obs_event_type)type;
	p->name = strdup(o->name);
	p->code = o->code ? strdup(o->code) : NULL;
	if (!p->name || (o->code && !p->code))
		return -ENOMEM;
	r = copy_fields(p, o, message);
	return r < 0 ? r : compile_regex(p, o, message);
}

static int make_limits(struct obs_patterns *p)
{
	p->limits = pcre2_match_context_create(NULL);
	if (!p->limits)
		return -ENOMEM;
	pcre2_set_match_limit(p->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
	return 0;
}

int obs_patterns_open(const struct obs_pattern_options *list, size_t n, struct obs_buf *message,
		      struct obs_patterns **ret)
{
	cleanup_patterns struct obs_patterns *p = NULL;
	int r;

	if (n > PATTERNS_MAX)
		return complain(message, "", "too many patterns");
	p = calloc(1, sizeof(*p) + n * sizeof(p->v[0]));
	if (!p)
		return -ENOMEM;
	r = make_limits(p);
	for (size_t i = 0; !r && i < n; i++) {
		p->n++;
		r = compile(&p->v[i], &list[i], message);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

void obs_patterns_free(struct obs_patterns **p)
{
	if (!*p)
		return;
	for (size_t i = 0; i < (*p)->n; i++) {
		pcre2_match_data_free((*p)->v[i].data);
		pcre2_code_free((*p)->v[i].regex);
		free((*p)->v[i].name);
		free((*p)->v[i].code);
		for (size_t f = 0; f < (*p)->v[i].n_fields; f++)
			free((*p)->v[i].fields[f]);
	}
	pcre2_match_context_free((*p)->limits);
	free(*p);
	*p = NULL;
}

static void add_group(const struct pattern *p, struct obs_slice text, unsigned group,
		      const char *key, struct obs_event *ev)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->data);
	PCRE2_SIZE from = at[2 * (size_t)group], to = at[2 * (size_t)group + 1];
	struct obs_slice v;

	if (from == PCRE2_UNSET || to <= from)
		return;
	v = obs_slice(text.p + from, to - from);
	if (json_number_len(v) == v.len)
		obs_event_add_number_text(ev, obs_slice_str(key), v);
	else
		obs_event_add_str(ev, key, v);
}

/* The name that the regex itself gives to a group, or NULL. */
static const char *name_of_group(const struct pattern *p, unsigned group)
{
	for (uint32_t i = 0; i < p->n_names; i++) {
		const char *entry = p->names + (size_t)i * p->name_bytes;

		if (((unsigned)(unsigned char)entry[0] << 8 | (unsigned char)entry[1]) == group)
			return entry + 2;
	}
	return NULL;
}

/* Groups that took part become fields, numbers as numbers; those without a name get one of
 * `fields`, or are left out. */
static void add_groups(const struct pattern *p, struct obs_slice text, struct obs_event *ev)
{
	size_t next = 0;

	for (unsigned group = 1; group <= p->n_groups; group++) {
		const char *key = name_of_group(p, group);

		if (!key && next < p->n_fields)
			key = p->fields[next++];
		if (key)
			add_group(p, text, group, key, ev);
	}
}

bool obs_patterns_match(const struct obs_patterns *ps, struct obs_slice text, struct obs_event *ev)
{
	if (text.len > SUBJECT_MAX_BYTES)
		text.len = SUBJECT_MAX_BYTES;
	for (size_t i = 0; i < ps->n; i++) {
		struct pattern *p = (struct pattern *)&ps->v[i];
		int r = pcre2_match(p->regex, (PCRE2_SPTR)(text.p ? text.p : ""), text.len, 0, 0,
				    p->data, ps->limits);

		if (r < 0) {
			p->refused += r != PCRE2_ERROR_NOMATCH;
			continue;
		}
		ev->type = p->type;
		ev->name = p->name;
		ev->code = p->code;
		add_groups(p, text, ev);
		return true;
	}
	return false;
}

uint64_t obs_patterns_refused(const struct obs_patterns *p, size_t i)
{
	return i < p->n ? p->v[i].refused : 0;
}
