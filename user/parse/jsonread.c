// SPDX-License-Identifier: BSD-2-Clause
/* jsonread.c - see jsonread.h. */
#include "parse/jsonread.h"

#include <errno.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct obs_slice after(struct obs_slice s, size_t n)
{
	return obs_slice(s.p + n, s.len - n);
}

static struct obs_slice skip_blanks(struct obs_slice s)
{
	size_t n = 0;

	while (n < s.len && is_blank(s.p[n]))
		n++;
	return n ? after(s, n) : s;
}

/* Length of the string that starts with the quote at @s, quotes included; 0 = it has no end. */
static size_t string_len(struct obs_slice s)
{
	for (size_t i = 1; i < s.len; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

static size_t word_len(struct obs_slice s)
{
	size_t n = 0;

	while (n < s.len && !is_blank(s.p[n]) && !strchr(",:]}[{\"", s.p[n]))
		n++;
	return n;
}

/* Length of the array or object at @s; 0 = it has no end, or is nested too deep. */
static size_t nested_len(struct obs_slice s)
{
	char open[OBS_JSON_DEPTH_MAX];
	size_t depth = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '"') {
			size_t n = string_len(after(s, i));

			if (!n)
				return 0;
			i += n - 1;
		} else if (c == '[' || c == '{') {
			if (depth == OBS_JSON_DEPTH_MAX)
				return 0;
			open[depth++] = c;
		} else if (c == ']' || c == '}') {
			if (open[--depth] != (c == ']' ? '[' : '{'))
				return 0;
			if (depth == 0)
				return i + 1;
		}
	}
	return 0;
}

/* Take a value off the front of @s. */
static bool take_value(struct obs_slice *s, struct obs_slice *ret)
{
	struct obs_slice at = skip_blanks(*s);
	size_t n;

	if (!at.len)
		return false;
	if (*at.p == '"')
		n = string_len(at);
	else
		n = *at.p == '[' || *at.p == '{' ? nested_len(at) : word_len(at);
	if (!n)
		return false;
	*ret = obs_slice(at.p, n);
	*s = after(at, n);
	return true;
}

static bool take_char(struct obs_slice *s, char c)
{
	struct obs_slice at = skip_blanks(*s);

	if (!at.len || *at.p != c)
		return false;
	*s = after(at, 1);
	return true;
}

int obs_json_text(struct obs_slice text, struct obs_slice *ret)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct obs_slice value;

	if (obs_slice_starts(text, OBS_SLICE(mark)))
		text = after(text, sizeof(mark) - 1);
	if (!take_value(&text, &value) || skip_blanks(text).len)
		return -EBADMSG;
	*ret = value;
	return 0;
}

bool obs_json_walk_init(struct obs_json_walk *w, struct obs_slice value)
{
	if (value.len < 2 || (*value.p != '[' && *value.p != '{'))
		return false;
	*w = (struct obs_json_walk){
		.rest = obs_slice(value.p + 1, value.len - 2),
		.is_object = *value.p == '{',
	};
	return true;
}

bool obs_json_walk_next(struct obs_json_walk *w, struct obs_slice *ret_key, struct obs_slice *ret)
{
	struct obs_slice key = {}, value;

	if (w->began && !take_char(&w->rest, ','))
		return false;
	w->began = true;
	if (w->is_object && (!take_value(&w->rest, &key) || !obs_json_string(key, &key) ||
			     !take_char(&w->rest, ':')))
		return false;
	if (!take_value(&w->rest, &value))
		return false;
	if (ret_key)
		*ret_key = key;
	*ret = value;
	return true;
}

bool obs_json_get(struct obs_slice object, const char *key, struct obs_slice *ret)
{
	struct obs_slice name, value;
	struct obs_json_walk w;

	if (!obs_json_walk_init(&w, object) || !w.is_object)
		return false;
	while (obs_json_walk_next(&w, &name, &value)) {
		if (obs_slice_eq(name, obs_slice_str(key))) {
			*ret = value;
			return true;
		}
	}
	return false;
}

bool obs_json_is_null(struct obs_slice value)
{
	return value.len == 0 || obs_slice_eq(value, OBS_SLICE("null"));
}

bool obs_json_string(struct obs_slice value, struct obs_slice *ret)
{
	if (value.len < 2 || *value.p != '"')
		return false;
	*ret = obs_slice(value.p + 1, value.len - 2);
	return true;
}

bool obs_json_number(struct obs_slice value, int64_t *ret)
{
	bool negative = false;
	int64_t n = 0;
	size_t i = 0;

	obs_json_string(value, &value);
	if (value.len && *value.p == '-') {
		negative = true;
		i++;
	}
	if (i == value.len)
		return false;
	for (; i < value.len; i++) {
		char c = value.p[i];

		if (c < '0' || c > '9' || n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (c - '0');
	}
	*ret = negative ? -n : n;
	return true;
}
