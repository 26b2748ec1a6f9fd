// SPDX-License-Identifier: BSD-2-Clause
/*
 * json.c - see json.h.
 *
 * Text is copied in runs: plain_run() finds the next byte that may not stand as
 * it is (16 at a time where the machine can), so that ordinary log lines cost
 * one scan and one memcpy. Anything above ASCII is decoded and checked.
 */
#include "pipeline/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "util/slice.h"

#define EXACT_MAX	((uint64_t)1 << 53) /* above it, doubles lose integers */
#define ESCAPE_MAX	6		    /* \u00XX, the longest form of one input byte */
#define ESCAPE_CHUNK	256		    /* input bytes per reservation */
#define PAGE_BYTES	4096		    /* the smallest there is */
#define PLAIN_SLACK	16		    /* copy_plain() stores whole vectors */
#define NS_PER_S	1000000000u
#define S_PER_DAY	86400u
#define TIME_TEXT_BYTES 29 /* "2025-10-26T23:30:27.842113Z" with its quotes */

char *obs_json_grow(struct obs_json *j, size_t n)
{
	int r = obs_buf_reserve(j->out, n);

	if (r < 0) {
		j->err = j->err ? j->err : r;
		return NULL;
	}
	return j->out->p + j->out->len;
}

static inline void put(struct obs_json *j, const char *p, size_t len)
{
	if (len)
		obs_json_lit(j, obs_slice(p, len));
}

static inline void put_char(struct obs_json *j, char c)
{
	char *w = obs_json_room(j, 1);

	if (w) {
		*w = c;
		j->out->len++;
	}
}

static inline void before_value(struct obs_json *j)
{
	if (j->comma)
		put_char(j, ',');
	j->comma = true;
}

void obs_json_object_open(struct obs_json *j)
{
	before_value(j);
	put_char(j, '{');
	j->comma = false;
}

void obs_json_object_close(struct obs_json *j)
{
	put_char(j, '}');
	j->comma = true;
}

void obs_json_array_open(struct obs_json *j)
{
	before_value(j);
	put_char(j, '[');
	j->comma = false;
}

void obs_json_array_close(struct obs_json *j)
{
	put_char(j, ']');
	j->comma = true;
}

/* Bytes that stand in a JSON string as they are: printable ASCII but " and \. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* Which of the 16 bytes are plain. */
static inline unsigned plain_mask(__m128i v)
{
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
	const __m128i low = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
	/* signed compare: bytes ≥ 0x80 are negative and so fail "> 0x1f" too */
	__m128i ok = _mm_and_si128(_mm_cmpgt_epi8(v, low), _mm_cmplt_epi8(v, del));
	__m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));

	return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(bad, ok));
}

/* Up to 15 bytes at @s without reading past them. Its branches are hard to foresee. */
static inline __m128i load_exact(const char *s, size_t len)
{
	uint64_t lo = 0, hi = 0;

	if (len >= 8) {
		memcpy(&lo, s, 8);
		memcpy(&hi, s + len - 8, 8);
		hi = len > 8 ? hi >> (8 * (16 - len)) : 0;
	} else if (len >= 4) {
		uint32_t a, b;

		memcpy(&a, s, 4);
		memcpy(&b, s + len - 4, 4);
		lo = a | (uint64_t)b << (8 * (len - 4));
	} else if (len) {
		lo = (unsigned char)s[0] | (uint64_t)(unsigned char)s[len / 2] << (8 * (len / 2)) |
		     (uint64_t)(unsigned char)s[len - 1] << (8 * (len - 1));
	}
	return _mm_set_epi64x((long long)hi, (long long)lo);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define load_tail load_exact
#else
/* The same, and whatever stands behind them, as long as that is in the same page. */
static inline __m128i load_tail(const char *s, size_t len)
{
	if (__builtin_expect(((uintptr_t)s & (PAGE_BYTES - 1)) <= PAGE_BYTES - 16, 1))
		return _mm_loadu_si128((const __m128i *)s);
	return load_exact(s, len);
}
#endif
#endif

/* Copy the plain bytes at the start of [p, end) to @w, which has room for them and
 * PLAIN_SLACK more. Return: how many. */
static inline size_t copy_plain(char *w, const char *p, const char *end)
{
	const char *s = p;

#ifdef __SSE2__
	unsigned plain;

	for (; end - s >= 16; s += 16, w += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)s);

		_mm_storeu_si128((__m128i *)w, v);
		plain = plain_mask(v);
		if (plain != 0xffff)
			return (size_t)(s - p) + (size_t)__builtin_ctz(~plain);
	}
	if (s < end) {
		size_t len = (size_t)(end - s);
		__m128i v = load_tail(s, len);

		_mm_storeu_si128((__m128i *)w, v);
		/* what stands behind the tail ends the run */
		return (size_t)(s - p) + (size_t)__builtin_ctz(~plain_mask(v) | 1u << len);
	}
	return (size_t)(s - p);
#endif
	while (s < end && is_plain((unsigned char)*s))
		*w++ = *s++;
	return (size_t)(s - p);
}

static bool is_tail(const unsigned char *s, size_t len, size_t i)
{
	return i < len && (s[i] & 0xc0) == 0x80;
}

/* The lowest and highest second byte that a lead byte allows (RFC 3629). */
static bool second_ok(const unsigned char *s, size_t len)
{
	unsigned char lo = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char hi = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;

	return len > 1 && s[1] >= lo && s[1] <= hi;
}

/* Length of the well-formed sequence at @s, or minus the length of the ill-formed part
 * that one U+FFFD stands for (Unicode's "maximal subpart"). */
static int utf8_sequence(const unsigned char *s, size_t len)
{
	int need = s[0] < 0xc2 || s[0] > 0xf4 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (need == 1 || !second_ok(s, len))
		return -1;
	for (int i = 2; i < need; i++) {
		if (!is_tail(s, len, (size_t)i))
			return -i;
	}
	return need;
}

static char *put_u(char *w, unsigned code)
{
	static const char hex[] = "0123456789abcdef";

	*w++ = '\\';
	*w++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*w++ = hex[code >> shift & 0xf];
	return w;
}

static char *escape_ascii(char *w, unsigned char c)
{
	static const char short_form[128] = {
		['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
		['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
	};

	if (!short_form[c])
		return put_u(w, c);
	*w++ = '\\';
	*w++ = short_form[c];
	return w;
}

/* One sequence above ASCII: copied, escaped (C1, U+2028, U+2029) or replaced. */
static char *escape_wide(char *w, const unsigned char *s, size_t len, size_t *ret_used)
{
	int n = utf8_sequence(s, len);

	*ret_used = (size_t)(n < 0 ? -n : n);
	if (n < 0) {
		memcpy(w, "\xef\xbf\xbd", 3);
		return w + 3;
	}
	if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
		return put_u(w, s[1]);
	if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] & 0xfe) == 0xa8)
		return put_u(w, 0x2000u | (s[2] & 0x3fu));
	memcpy(w, s, (size_t)n);
	return w + n;
}

/* Most of what is above ASCII here are symbols of three bytes that need no second look: the
 * drawings of bars and curves. E0 and ED have odd second bytes, E2 80 holds U+2028. */
static inline bool is_symbol(const unsigned char *s, size_t len)
{
	return len > 2 && s[0] > 0xe0 && s[0] < 0xf0 && s[0] != 0xed && (s[1] & 0xc0) == 0x80 &&
	       (s[2] & 0xc0) == 0x80 && (s[0] != 0xe2 || s[1] != 0x80);
}

/* Escape special bytes at the start of [p, end), at most one chunk of them. */
static const char *escape_some(struct obs_json *j, const char *p, const char *end)
{
	const char *stop = end - p > ESCAPE_CHUNK ? p + ESCAPE_CHUNK : end;
	char *w = obs_json_room(j, (ESCAPE_CHUNK + 4) * ESCAPE_MAX);
	size_t used = 1;

	if (!w)
		return end;
	for (; p < stop && !is_plain((unsigned char)*p); p += used) {
		used = 1;
		if (is_symbol((const unsigned char *)p, (size_t)(end - p))) {
			memcpy(w, p, 3);
			w += used = 3;
		} else if ((unsigned char)*p < 0x80)
			w = escape_ascii(w, (unsigned char)*p);
		else
			w = escape_wide(w, (const unsigned char *)p, (size_t)(end - p), &used);
	}
	j->out->len = (size_t)(w - j->out->p);
	return p;
}

/* The rest of a text, from its first byte that is not plain. */
static void put_rest(struct obs_json *j, const char *p, const char *end)
{
	while (p < end) {
		char *w;
		size_t n;

		p = escape_some(j, p, end);
		w = obs_json_room(j, (size_t)(end - p) + PLAIN_SLACK);
		if (!w)
			return;
		n = copy_plain(w, p, end);
		j->out->len += n;
		p += n;
	}
	put_char(j, '"');
}

static void put_escaped(struct obs_json *j, struct obs_slice s)
{
	char *w = obs_json_room(j, s.len + PLAIN_SLACK + 2);
	size_t n;

	if (!w)
		return;
	*w = '"';
	n = s.len ? copy_plain(w + 1, s.p, s.p + s.len) : 0;
	if (n == s.len) {
		w[n + 1] = '"';
		j->out->len += n + 2;
	} else {
		j->out->len += n + 1;
		put_rest(j, s.p + n, s.p + s.len);
	}
}

void obs_json_key(struct obs_json *j, struct obs_slice key)
{
	before_value(j);
	put_escaped(j, key);
	put_char(j, ':');
	j->comma = false;
}

void obs_json_key_str(struct obs_json *j, const char *key)
{
	obs_json_key(j, obs_slice_str(key));
}

void obs_json_str(struct obs_json *j, struct obs_slice s)
{
	before_value(j);
	put_escaped(j, s);
}

/* Digits in front of @end, two at a time. Return: how many. */
static size_t format_uint(char *end, uint64_t v)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";
	char *w = end;

	while (v >= 10) {
		w -= 2;
		memcpy(w, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (v || w == end)
		*--w = (char)('0' + v);
	else if (*w == '0' && end - w > 1)
		w++;
	return (size_t)(end - w);
}

static void put_integer(struct obs_json *j, bool negative, uint64_t v)
{
	bool quoted = v > EXACT_MAX;
	char text[24], *end = text + sizeof(text) - 1;
	size_t n;

	*end = '"';
	n = format_uint(end, v);
	if (negative)
		end[-(ptrdiff_t)++n] = '-';
	if (quoted)
		end[-(ptrdiff_t)++n] = '"';
	before_value(j);
	put(j, end - n, n + quoted);
}

void obs_json_int(struct obs_json *j, int64_t v)
{
	put_integer(j, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void obs_json_uint(struct obs_json *j, uint64_t v)
{
	put_integer(j, false, v);
}

/* Most numbers have at most three decimals: those need no search for their shortest form.
 * Return: false: not one of them. */
static bool put_thousandths(struct obs_json *j, double v)
{
	double scaled = rint(v * 1000);
	char text[32], *end = text + sizeof(text);
	uint64_t units;
	size_t n = 0;

	if (!(fabs(v) < 1e9) || scaled / 1000 != v || (v == 0 && signbit(v)))
		return false;
	units = (uint64_t)fabs(scaled);
	for (int decimals = 3; decimals > 0; decimals--, units /= 10) {
		if (n > 0 || units % 10 > 0)
			end[-(ptrdiff_t)++n] = (char)('0' + units % 10);
	}
	if (n > 0)
		end[-(ptrdiff_t)++n] = '.';
	n += format_uint(end - n, units);
	if (v < 0)
		end[-(ptrdiff_t)++n] = '-';
	before_value(j);
	put(j, end - n, n);
	return true;
}

void obs_json_real(struct obs_json *j, double v)
{
	char text[40];
	int n = 0;

	if (put_thousandths(j, v))
		return;
	if (!isfinite(v)) {
		obs_json_str(j, obs_slice_str(isnan(v) ? "nan" : v > 0 ? "inf" : "-inf"));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		n = snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	before_value(j);
	put(j, text, (size_t)n);
}

void obs_json_bool(struct obs_json *j, bool v)
{
	before_value(j);
	put(j, v ? "true" : "false", v ? 4 : 5);
}

void obs_json_raw(struct obs_json *j, struct obs_slice json)
{
	before_value(j);
	put(j, json.p, json.len);
}

/* Days since 1970 to a civil date (H. Hinnant's algorithm, eras of 400 years). */
static void civil_from_days(int64_t days, unsigned *y, unsigned *m, unsigned *d)
{
	uint64_t z = (uint64_t)(days + 719468), era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	*m = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	*y = (unsigned)(yoe + era * 400 + (*m <= 2));
}

static inline void put_two(char *w, unsigned v)
{
	w[0] = (char)('0' + v / 10);
	w[1] = (char)('0' + v % 10);
}

#define SECOND_BYTES 20 /* with the quote in front */

/* "2025-10-26T23:30:27 of a second, kept, since many events share one. */
static const char *second_text(uint64_t s)
{
	static _Thread_local uint64_t last_s = UINT64_MAX;
	static _Thread_local char last[SECOND_BYTES];
	unsigned in_day = (unsigned)(s % S_PER_DAY), y, m, d;

	if (s == last_s)
		return last;
	civil_from_days((int64_t)(s / S_PER_DAY), &y, &m, &d);
	memcpy(last, "\"YYYY-MM-DDThh:mm:ss", SECOND_BYTES);
	put_two(last + 1, y / 100 % 100);
	put_two(last + 3, y % 100);
	put_two(last + 6, m);
	put_two(last + 9, d);
	put_two(last + 12, in_day / 3600);
	put_two(last + 15, in_day / 60 % 60);
	put_two(last + 18, in_day % 60);
	last_s = s;
	return last;
}

void obs_json_time(struct obs_json *j, uint64_t wall_ns)
{
	unsigned us = (unsigned)(wall_ns % NS_PER_S / 1000);
	char *w;

	before_value(j);
	w = obs_json_room(j, TIME_TEXT_BYTES);
	if (!w)
		return;
	memcpy(w, second_text(wall_ns / NS_PER_S), SECOND_BYTES);
	memcpy(w + SECOND_BYTES, ".uuuuuuZ\"", TIME_TEXT_BYTES - SECOND_BYTES);
	put_two(w + 21, us / 10000);
	put_two(w + 23, us / 100 % 100);
	put_two(w + 25, us % 100);
	j->out->len += TIME_TEXT_BYTES;
}
