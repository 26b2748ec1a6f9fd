/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - a streaming JSON writer for the hot path.
 *
 * Appends to an obs_buf; commas are placed by the writer. Errors gather in
 * buf->failed and err. No nesting check: the callers' shapes are fixed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/buf.h"

struct obs_json {
	struct obs_buf *out; /* borrowed */
	bool comma;	     /* a value stands before, a comma is due */
	int err;	     /* first error of the buffer: -EMSGSIZE, -ENOMEM; 0 = none */
};

/** obs_json_grow() - room for @n more bytes, when there is none. NULL and j->err on failure. */
char *obs_json_grow(struct obs_json *j, size_t n);

/** obs_json_room() - where at least @n bytes can be written; NULL as obs_json_grow(). */
static inline char *obs_json_room(struct obs_json *j, size_t n)
{
	struct obs_buf *b = j->out;

	return __builtin_expect(n <= b->cap - b->len, 1) ? b->p + b->len : obs_json_grow(j, n);
}

/** obs_json_lit() - text as it stands, without a look at commas. */
static inline void obs_json_lit(struct obs_json *j, struct obs_slice text)
{
	char *w = obs_json_room(j, text.len);

	if (w) {
		memcpy(w, text.p, text.len);
		j->out->len += text.len;
	}
}

void obs_json_object_open(struct obs_json *j);
void obs_json_object_close(struct obs_json *j);
void obs_json_array_open(struct obs_json *j);
void obs_json_array_close(struct obs_json *j);

/** obs_json_key() - a key; any bytes, escaped. The value must follow. */
void obs_json_key(struct obs_json *j, struct obs_slice key);
void obs_json_key_str(struct obs_json *j, const char *key);

/** obs_json_str() - a string value: escaped, invalid UTF-8 becomes U+FFFD. */
void obs_json_str(struct obs_json *j, struct obs_slice s);

/** obs_json_int(), obs_json_uint() - a number, or a decimal string beyond 2^53. */
void obs_json_int(struct obs_json *j, int64_t v);
void obs_json_uint(struct obs_json *j, uint64_t v);

/** obs_json_real() - shortest form that reads back the same; not finite: a string. */
void obs_json_real(struct obs_json *j, double v);
void obs_json_bool(struct obs_json *j, bool v);

/** obs_json_raw() - text that is already JSON. */
void obs_json_raw(struct obs_json *j, struct obs_slice json);

/** obs_json_time() - "2025-10-26T23:30:27.842113Z" from ns since 1970. */
void obs_json_time(struct obs_json *j, uint64_t wall_ns);
