/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scan.h - bounded scanners over hostile text: what every grammar is built of.
 *
 * A scanner takes from the front of *@s only when it succeeds.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/slice.h"

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static inline bool is_alpha(char c)
{
	return ((unsigned char)c | 0x20) >= 'a' && ((unsigned char)c | 0x20) <= 'z';
}

static inline bool is_name(char c)
{
	return is_alpha(c) || is_digit(c) || c == '_';
}

/* Bytes of base58 (Bitcoin alphabet), as peer ids are written. */
static inline bool is_base58(char c)
{
	return (is_alpha(c) || is_digit(c)) && c != '0' && c != 'O' && c != 'I' && c != 'l';
}

static inline struct obs_slice slice_from(struct obs_slice s, size_t n)
{
	return n < s.len ? obs_slice(s.p + n, s.len - n) : obs_slice(s.p + s.len, 0);
}

static inline struct obs_slice trim_left(struct obs_slice s)
{
	while (s.len && is_blank(*s.p))
		s = slice_from(s, 1);
	return s;
}

static inline struct obs_slice trim_right(struct obs_slice s)
{
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

static inline struct obs_slice trim(struct obs_slice s)
{
	return trim_right(trim_left(s));
}

/* Take the literal @lit off the front. */
static inline bool take(struct obs_slice *s, struct obs_slice lit)
{
	if (s->len < lit.len || memcmp(s->p, lit.p, lit.len) != 0)
		return false;
	*s = obs_slice(s->p + lit.len, s->len - lit.len);
	return true;
}

#define TAKE(s, literal) take((s), OBS_SLICE(literal))

static inline bool take_char(struct obs_slice *s, char c)
{
	if (!s->len || *s->p != c)
		return false;
	*s = obs_slice(s->p + 1, s->len - 1);
	return true;
}

/* Take everything before the first @c, and @c; nothing when there is none. */
static inline bool take_until(struct obs_slice *s, char c, struct obs_slice *ret)
{
	const char *at = s->len ? memchr(s->p, c, s->len) : NULL;

	if (!at)
		return false;
	*ret = obs_slice(s->p, (size_t)(at - s->p));
	*s = slice_from(*s, ret->len + 1);
	return true;
}

/* Take a decimal number; one that does not fit 64 bits is refused. */
static inline bool take_uint(struct obs_slice *s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	for (; n < s->len && is_digit(s->p[n]); n++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s->p[n] - '0'), &v))
			return false;
	}
	if (!n)
		return false;
	*s = slice_from(*s, n);
	*ret = v;
	return true;
}

static inline const char *find_text(struct obs_slice s, struct obs_slice what)
{
	return s.len ? memmem(s.p, s.len, what.p, what.len) : NULL;
}

#define CONTAINS(s, literal) (find_text((s), OBS_SLICE(literal)) != NULL)

/* Length of a JSON number at the front of @s (RFC 8259), or 0. */
static inline size_t json_number_len(struct obs_slice s)
{
	size_t i = s.len && *s.p == '-', start;

	start = i;
	while (i < s.len && is_digit(s.p[i]))
		i++;
	if (i == start || (s.p[start] == '0' && i - start > 1))
		return 0;
	if (i + 1 < s.len && s.p[i] == '.' && is_digit(s.p[i + 1])) {
		for (i++; i < s.len && is_digit(s.p[i]);)
			i++;
	}
	if (i < s.len && (s.p[i] | 0x20) == 'e') {
		size_t e = i + 1;

		if (e < s.len && (s.p[e] == '+' || s.p[e] == '-'))
			e++;
		if (e < s.len && is_digit(s.p[e])) {
			for (i = e; i < s.len && is_digit(s.p[i]);)
				i++;
		}
	}
	return i;
}
