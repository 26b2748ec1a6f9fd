// SPDX-License-Identifier: BSD-2-Clause
/* buf.c - see buf.h. Growth doubles, so n pushes cost O(n) copies. */
#include "util/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN_BYTES	  256
#define BUF_DEFAULT_LIMIT ((size_t)1 << 30)

int obs_buf_reserve(struct obs_buf *b, size_t more)
{
	size_t limit = b->max_bytes ? b->max_bytes : BUF_DEFAULT_LIMIT;
	size_t cap = b->cap ? b->cap : BUF_MIN_BYTES;
	char *p;

	if (more <= b->cap - b->len)
		return 0;

	if (more > limit || b->len > limit - more) {
		b->failed = true;
		return -EMSGSIZE;
	}

	while (cap < b->len + more)
		cap *= 2;
	if (cap > limit)
		cap = limit;

	p = realloc(b->p, cap);
	if (!p) {
		b->failed = true;
		return -ENOMEM;
	}

	b->p = p;
	b->cap = cap;
	return 0;
}

int obs_buf_push(struct obs_buf *b, const void *p, size_t len)
{
	int r = obs_buf_reserve(b, len);

	if (r < 0 || len == 0)
		return r;

	memcpy(b->p + b->len, p, len);
	b->len += len;
	return 0;
}

int obs_buf_push_str(struct obs_buf *b, const char *s)
{
	return obs_buf_push(b, s, strlen(s));
}

int obs_buf_push_line(struct obs_buf *b, const char *s)
{
	for (; *s; s++)
		obs_buf_push(b, *s == '\n' ? " " : s, 1);
	return obs_buf_push_str(b, "\n");
}

bool obs_line_next(struct obs_slice *text, char *ret, size_t size)
{
	const char *end = text->len ? memchr(text->p, '\n', text->len) : NULL;
	size_t len = end ? (size_t)(end - text->p) : text->len, cut = len < size ? len : size - 1;

	if (text->len == 0)
		return false;
	memcpy(ret, text->p, cut);
	ret[cut] = '\0';
	len += end != NULL;
	*text = obs_slice(text->p + len, text->len - len);
	return true;
}

int obs_buf_printf(struct obs_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;

	r = obs_buf_reserve(b, (size_t)n + 1);
	if (r < 0)
		return r;

	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

const char *obs_buf_cstr(struct obs_buf *b)
{
	if (obs_buf_reserve(b, 1) < 0)
		return "";
	b->p[b->len] = '\0';
	return b->p;
}

void obs_buf_drop(struct obs_buf *b, size_t len)
{
	if (len >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->p, b->p + len, b->len - len);
	b->len -= len;
}

void obs_buf_free(struct obs_buf *b)
{
	free(b->p);
	*b = (struct obs_buf){ .max_bytes = b->max_bytes };
}
