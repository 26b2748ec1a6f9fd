// SPDX-License-Identifier: BSD-2-Clause
/* docker.c - see docker.h. Only the keys that Docker writes, in its order. */
#include "parse/docker.h"

#include "parse/scan.h"

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 = they are not. */
static int take_hex4(struct obs_slice *s)
{
	int v = 0;

	if (s->len < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(s->p[i]);

		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	*s = slice_from(*s, 4);
	return v;
}

/* Surrogates come out as three bytes each, which the JSON writer turns into U+FFFD: Docker
 * escapes nothing above ASCII but U+2028 and U+2029. */
static void push_code(struct obs_buf *b, unsigned v)
{
	char utf8[3] = { (char)(0xe0 | v >> 12), (char)(0x80 | (v >> 6 & 0x3f)),
			 (char)(0x80 | (v & 0x3f)) };

	if (v < 0x80) {
		utf8[0] = (char)v;
		obs_buf_push(b, utf8, 1);
	} else if (v < 0x800) {
		utf8[0] = (char)(0xc0 | v >> 6);
		utf8[1] = utf8[2];
		obs_buf_push(b, utf8, 2);
	} else {
		obs_buf_push(b, utf8, 3);
	}
}

static bool push_escape(struct obs_slice *s, struct obs_buf *b)
{
	static const char plain[128] = { ['n'] = '\n', ['t'] = '\t', ['r'] = '\r',  ['b'] = '\b',
					 ['f'] = '\f', ['"'] = '"',  ['\\'] = '\\', ['/'] = '/' };
	unsigned char c;
	int v;

	if (!s->len)
		return false;
	c = (unsigned char)*s->p;
	*s = slice_from(*s, 1);
	if (c == 'u') {
		v = take_hex4(s);
		if (v >= 0)
			push_code(b, (unsigned)v);
		return v >= 0;
	}
	if (c < 128 && plain[c])
		obs_buf_push(b, &plain[c], 1);
	return c < 128 && plain[c];
}

/* Up to the closing quote, which is taken. */
static bool take_text(struct obs_slice *s, struct obs_buf *b)
{
	while (s->len) {
		size_t n = 0;

		while (n < s->len && s->p[n] != '"' && s->p[n] != '\\')
			n++;
		obs_buf_push(b, s->p, n);
		*s = slice_from(*s, n);
		if (take_char(s, '"'))
			return true;
		if (!take_char(s, '\\') || !push_escape(s, b))
			return false;
	}
	return false;
}

bool obs_docker_unwrap(struct obs_slice s, struct obs_buf *scratch, struct obs_slice *ret_text,
		       struct obs_slice *ret_rest)
{
	if (!TAKE(&s, "{\"log\":\""))
		return false;
	obs_buf_reset(scratch);
	if (obs_buf_reserve(scratch, s.len) < 0 || !take_text(&s, scratch))
		return false;
	*ret_text = obs_buf_slice(scratch);
	*ret_rest = s;
	return true;
}

bool obs_docker_json(struct obs_slice s, struct obs_buf *scratch, struct obs_slice *ret_text,
		     struct obs_text_time *ret_time)
{
	static const struct obs_slice key = OBS_SLICE("\"time\":\"");
	const char *at;

	if (!obs_docker_unwrap(s, scratch, ret_text, &s))
		return false;
	at = find_text(s, key);
	if (at)
		obs_time_scan_iso(slice_from(s, (size_t)(at - s.p) + key.len), ret_time);
	while (ret_text->len &&
	       (ret_text->p[ret_text->len - 1] == '\n' || ret_text->p[ret_text->len - 1] == '\r'))
		ret_text->len--;
	return true;
}
