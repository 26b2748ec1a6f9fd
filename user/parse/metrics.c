// SPDX-License-Identifier: BSD-2-Clause
/* metrics.c - see metrics.h. Digits are handed on as the node wrote them. */
#include "parse/metrics.h"

#include "parse/scan.h"
#include "util/cleanup.h"

#define KEY_MAX_BYTES 128

/* Names that the event itself uses in details, so a metric may not. */
static bool is_taken(const struct obs_event *ev, struct obs_slice key)
{
	static const struct obs_slice own[] = {
		OBS_SLICE("event"),  OBS_SLICE("code"),	     OBS_SLICE("level"),
		OBS_SLICE("logger"), OBS_SLICE("message"),   OBS_SLICE("time_source"),
		OBS_SLICE("animal"), OBS_SLICE("truncated"), OBS_SLICE("peer_id"),
		OBS_SLICE("where"),
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (obs_slice_eq(key, own[i]))
			return true;
	}
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (obs_slice_eq(key, ev->fields[i].key))
			return true;
	}
	return false;
}

static struct obs_field *new_field(struct obs_event *ev, struct obs_slice key,
				   enum obs_value_kind kind)
{
	struct obs_field *f;

	if (ev->n_fields >= OBS_EVENT_FIELDS_MAX || !key.len || key.len > KEY_MAX_BYTES ||
	    is_taken(ev, key))
		return NULL;
	f = &ev->fields[ev->n_fields++];
	f->key = key;
	f->kind = kind;
	return f;
}

static void add_text(struct obs_event *ev, struct obs_slice key, enum obs_value_kind kind,
		     struct obs_slice v)
{
	struct obs_field *f = new_field(ev, key, kind);

	if (f)
		f->str = v;
}

static bool is_number(struct obs_slice s)
{
	return s.len && json_number_len(s) == s.len;
}

/* What float() prints for no number. */
static bool is_not_finite(struct obs_slice s)
{
	take_char(&s, '-');
	return obs_slice_eq(s, OBS_SLICE("nan")) || obs_slice_eq(s, OBS_SLICE("inf"));
}

static bool take_quoted(struct obs_slice *s, struct obs_slice *ret)
{
	struct obs_slice rest = *s;

	if (!rest.len || (*rest.p != '\'' && *rest.p != '"'))
		return false;
	rest = slice_from(rest, 1);
	if (!take_until(&rest, *s->p, ret))
		return false;
	*s = rest;
	return true;
}

/* The text of a value: up to the comma or brace that ends it. */
static struct obs_slice take_value(struct obs_slice *s)
{
	struct obs_slice text, from = *s;
	unsigned depth = 0;

	while (s->len) {
		char c = *s->p;

		if ((c == '\'' || c == '"') && take_quoted(s, &text))
			continue;
		if (!depth && (c == ',' || c == '}'))
			break;
		if (strchr("([{", c) && c)
			depth++;
		else if (strchr(")]}", c) && c && depth)
			depth--;
		*s = slice_from(*s, 1);
	}
	return trim(obs_slice(from.p, (size_t)(s->p - from.p)));
}

bool obs_metrics_dict(struct obs_slice s, struct obs_event *ev)
{
	unsigned before = ev->n_fields, numbers = 0;
	struct obs_slice key, value;
	bool whole = false;

	if (!take_char(&s, '{'))
		return false;
	for (;;) {
		s = trim_left(s);
		if (!take_quoted(&s, &key) || !take_char(&s, ':'))
			break;
		value = take_value(&s);
		if (is_number(value)) {
			add_text(ev, key, OBS_VALUE_NUMBER_TEXT, value);
			numbers++;
		} else if (is_not_finite(value)) {
			add_text(ev, key, OBS_VALUE_STR, value);
			numbers++;
		}
		whole = s.len && *s.p == '}';
		if (!take_char(&s, ','))
			break;
	}
	if (!numbers || !whole)
		ev->n_fields = before;
	return numbers && whole;
}

static size_t key_len(struct obs_slice s)
{
	size_t n = 0;

	if (!s.len || (!is_alpha(*s.p) && *s.p != '_'))
		return 0;
	while (n < s.len && (is_name(s.p[n]) || strchr("/.-@", s.p[n])) && s.p[n])
		n++;
	return n;
}

/* "2:46:34.01" → 9994.01 s; hours may pass 24, days stand before a blank in words. */
static bool clock_value(struct obs_slice s, double *ret)
{
	uint64_t h, m, sec, part;
	struct obs_slice rest;
	double scale = 1;

	if (!take_uint(&s, &h) || !take_char(&s, ':') || !take_uint(&s, &m) ||
	    !take_char(&s, ':') || !take_uint(&s, &sec) || m > 59 || sec > 59 || h > 1000000)
		return false;
	*ret = (double)(h * 3600 + m * 60 + sec);
	rest = s;
	if (!take_char(&rest, '.'))
		return s.len == 0;
	s = rest;
	if (!take_uint(&rest, &part) || rest.len)
		return false;
	for (size_t i = 0; i < s.len; i++)
		scale *= 10;
	*ret += (double)part / scale;
	return true;
}

/* HF's "0GF": gigaflops. */
static bool is_flops(struct obs_slice s)
{
	return s.len > 2 && !memcmp(s.p + s.len - 2, "GF", 2) &&
	       is_number(obs_slice(s.p, s.len - 2));
}

static bool add_table_value(struct obs_event *ev, struct obs_slice key, struct obs_slice value)
{
	struct obs_field *f;
	double seconds;

	if (is_number(value)) {
		add_text(ev, key, OBS_VALUE_NUMBER_TEXT, value);
	} else if (is_flops(value) || is_not_finite(value)) {
		add_text(ev, key, OBS_VALUE_STR, value);
	} else if (clock_value(value, &seconds)) {
		f = new_field(ev, key, OBS_VALUE_REAL);
		if (f)
			f->real = seconds;
	} else {
		return false;
	}
	return true;
}

bool obs_metrics_row(struct obs_slice s, struct obs_event *ev)
{
	struct obs_slice key;
	size_t n;

	if (!TAKE(&s, "  "))
		return false;
	n = key_len(s);
	key = obs_slice(s.p, n);
	s = trim_left(slice_from(s, n));
	if (!n || !TAKE(&s, "= "))
		return false;
	return add_table_value(ev, key, trim(s));
}

bool obs_metrics_wandb(struct obs_slice s, struct obs_event *ev)
{
	struct obs_slice key;
	size_t n;

	s = trim(s);
	n = key_len(s);
	key = obs_slice(s.p, n);
	if (!n || n >= s.len || !is_blank(s.p[n]) ||
	    (!memchr(key.p, '/', n) && !memchr(key.p, '_', n)))
		return false;
	s = trim_left(slice_from(s, n));
	if (!is_number(s) && !is_not_finite(s))
		return false;
	add_text(ev, key, is_number(s) ? OBS_VALUE_NUMBER_TEXT : OBS_VALUE_STR, s);
	return true;
}
