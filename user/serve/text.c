// SPDX-License-Identifier: BSD-2-Clause
/* text.c - see text.h. */
#include "serve/text.h"

#include <stdint.h>
#include <string.h>

/* Lead byte -> bytes that follow, its data bits, the least code point (no longer forms). */
struct form {
	unsigned char mask, lead, more, bits;
	uint32_t least;
};

static const struct form forms[] = {
	{ 0x80, 0x00, 0, 0x7f, 0 },
	{ 0xe0, 0xc0, 1, 0x1f, 0x80 },
	{ 0xf0, 0xe0, 2, 0x0f, 0x800 },
	{ 0xf8, 0xf0, 3, 0x07, 0x10000 },
};

static bool is_scalar(uint32_t c, const struct form *f)
{
	return c >= f->least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static size_t decode(const unsigned char *s, const struct form *f)
{
	uint32_t c = s[0] & f->bits;

	for (size_t i = 1; i <= f->more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return is_scalar(c, f) ? 1u + f->more : 0;
}

/* Bytes of the character at @s, 0 when it is none to show. */
static size_t character(const unsigned char *s)
{
	if (*s < ' ' || *s == 0x7f)
		return 0;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if ((*s & forms[i].mask) == forms[i].lead)
			return decode(s, &forms[i]);
	}
	return 0;
}

void obs_text_push(struct obs_buf *out, const char *s)
{
	while (*s) {
		size_t n = character((const unsigned char *)s);

		if (n)
			obs_buf_push(out, s, n);
		else
			obs_buf_push_str(out, "\xef\xbf\xbd");
		s += n ? n : 1;
	}
}
