/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buf.h - a growable byte buffer with a ceiling.
 *
 * A push that would pass the ceiling, or that finds no memory, changes nothing
 * and sets `failed`; callers that push many pieces check it once at the end.
 * Not thread-safe.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/slice.h"

struct obs_buf {
	char *p;
	size_t len;	  /* bytes used */
	size_t cap;	  /* bytes allocated */
	size_t max_bytes; /* ceiling for cap; 0 = 1 GiB */
	bool failed;	  /* a push was refused since the last reset */
};

/**
 * obs_buf_reserve() - make room for @more bytes behind the used ones.
 *
 * Return: 0, -EMSGSIZE past the ceiling, -ENOMEM.
 */
int obs_buf_reserve(struct obs_buf *b, size_t more);

/** obs_buf_push() - append @len bytes. Return: as obs_buf_reserve(). */
int obs_buf_push(struct obs_buf *b, const void *p, size_t len);

/** obs_buf_push_str() - append a NUL-terminated string, without its NUL. */
int obs_buf_push_str(struct obs_buf *b, const char *s);

/** obs_buf_push_line() - append a text and a line's end; those inside it become blanks. */
int obs_buf_push_line(struct obs_buf *b, const char *s);

/**
 * obs_line_next() - cut the next line off *@text.
 * @ret: gets it, ended; of a longer one its first @size - 1 bytes
 *
 * Return: false when nothing is left.
 */
bool obs_line_next(struct obs_slice *text, char *ret, size_t size);

/** obs_buf_printf() - append formatted text. Return: as obs_buf_reserve(). */
int obs_buf_printf(struct obs_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** obs_buf_cstr() - the content as a C string; "" when empty or out of memory. Borrowed. */
const char *obs_buf_cstr(struct obs_buf *b);

/** obs_buf_drop() - remove the first @len bytes (at most all of them). */
void obs_buf_drop(struct obs_buf *b, size_t len);

/** obs_buf_reset() - empty the buffer and keep its memory. */
static inline void obs_buf_reset(struct obs_buf *b)
{
	b->len = 0;
	b->failed = false;
}

/** obs_buf_free() - release the memory; the buffer may be used again. */
void obs_buf_free(struct obs_buf *b);

static inline struct obs_slice obs_buf_slice(const struct obs_buf *b)
{
	return obs_slice(b->p, b->len);
}

#define cleanup_buf __attribute__((cleanup(obs_buf_free)))
