// SPDX-License-Identifier: BSD-2-Clause
/* console.c - see console.h. */
#include "parse/console.h"

#include "parse/scan.h"

#define ESC	     '\033'
#define BEL	     '\007'
#define BAR_NAME_MAX 256

static bool is_final(char c)
{
	return c >= 0x40 && c <= 0x7e;
}

/* ESC [ parameters final */
static size_t csi_len(struct obs_slice s)
{
	size_t n = 2;

	while (n < s.len && !is_final(s.p[n]))
		n++;
	return n < s.len ? n + 1 : n;
}

/* ESC ] text, ended by BEL or ESC \ */
static size_t osc_len(struct obs_slice s)
{
	size_t n = 2;

	while (n < s.len && s.p[n] != BEL && s.p[n] != ESC)
		n++;
	if (n + 1 < s.len && s.p[n] == ESC && s.p[n + 1] == '\\')
		return n + 2;
	return n < s.len && s.p[n] == BEL ? n + 1 : n;
}

/* ESC ( B and the like: intermediate bytes, one final. */
static size_t short_len(struct obs_slice s)
{
	size_t n = 1;

	while (n < s.len && s.p[n] >= 0x20 && s.p[n] <= 0x2f)
		n++;
	return n < s.len ? n + 1 : n;
}

static size_t escape_len(struct obs_slice s)
{
	if (s.len < 2)
		return s.len;
	if (s.p[1] == '[')
		return csi_len(s);
	return s.p[1] == ']' ? osc_len(s) : short_len(s);
}

struct obs_slice obs_ansi_strip(struct obs_slice text, struct obs_buf *scratch)
{
	struct obs_slice s = text, plain;

	if (!text.len || !memchr(text.p, ESC, text.len))
		return text;
	obs_buf_reset(scratch);
	if (obs_buf_reserve(scratch, text.len) < 0)
		return text;
	while (take_until(&s, ESC, &plain)) {
		obs_buf_push(scratch, plain.p, plain.len);
		s = obs_slice(s.p - 1, s.len + 1);
		s = slice_from(s, escape_len(s));
	}
	obs_buf_push(scratch, s.p, s.len);
	return obs_buf_slice(scratch);
}

/* "| 17/20 [13:46<03:05, 61.82s/it]" or "| 7.30k/7.30k [00:00<…]": from behind the drawing. */
static size_t counts_len(struct obs_slice s)
{
	struct obs_slice rest = s, done, inside;

	if (!take_char(&rest, ' ') || !take_until(&rest, '[', &done) || done.len > 48 ||
	    !done.len || !memchr(done.p, '/', done.len) || done.p[done.len - 1] != ' ')
		return 0;
	if (!take_until(&rest, ']', &inside) || inside.len > 96 || !inside.len ||
	    (!is_digit(*inside.p) && *inside.p != '?'))
		return 0;
	return s.len - rest.len;
}

size_t obs_bar_scan(struct obs_slice line, struct obs_slice *ret_name)
{
	const char *percent = line.len ? memchr(line.p, '%', line.len) : NULL;
	struct obs_slice rest, drawing;
	size_t at, name, n;

	if (!percent)
		return 0;
	at = name = (size_t)(percent - line.p);
	while (name && is_digit(line.p[name - 1]))
		name--;
	rest = slice_from(line, at + 1);
	if (name == at || at - name > 3 || name > BAR_NAME_MAX || !take_char(&rest, '|') ||
	    !take_until(&rest, '|', &drawing))
		return 0;
	n = counts_len(rest);
	if (!n)
		return 0;
	*ret_name = trim(obs_slice(line.p, name));
	return line.len - rest.len + n;
}
