// SPDX-License-Identifier: BSD-2-Clause
/* tls.c - see tls.h. */
#include "parse/tls.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#define RECORD_HANDSHAKE 22
#define HANDSHAKE_HELLO	 1
#define RECORD_BYTES	 5
#define HELLO_BYTES	 (4 + 2 + 32) /* handshake header, version, random */
#define EXTENSION_NAME	 0
#define EXTENSIONS_MAX	 64
#define NAME_TYPE_HOST	 0

struct reader {
	const uint8_t *p;
	size_t left;
};

static bool skip(struct reader *r, size_t n)
{
	if (r->left < n)
		return false;
	r->p += n;
	r->left -= n;
	return true;
}

/* A length of @width bytes, big-endian. */
static bool take_length(struct reader *r, unsigned width, size_t *ret)
{
	const uint8_t *p = r->p;

	if (!skip(r, width))
		return false;
	*ret = 0;
	for (unsigned i = 0; i < width; i++)
		*ret = *ret << 8 | p[i];
	return true;
}

static bool skip_vector(struct reader *r, unsigned width)
{
	size_t n;

	return take_length(r, width, &n) && skip(r, n);
}

static int take_name(const uint8_t *p, size_t n, char ret[OBS_TLS_NAME_MAX])
{
	if (n == 0 || n >= OBS_TLS_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum(p[i]) && p[i] != '-' && p[i] != '_' && p[i] != '.')
			return -EINVAL;
		ret[i] = (char)tolower(p[i]);
	}
	ret[n] = '\0';
	return 0;
}

/* server_name_list: entries of a type and a name; there is only one type. */
static int take_name_list(struct reader r, char ret[OBS_TLS_NAME_MAX])
{
	size_t list, type, n;

	if (!take_length(&r, 2, &list) || !take_length(&r, 1, &type) || type != NAME_TYPE_HOST ||
	    !take_length(&r, 2, &n) || r.left < n)
		return -EINVAL;
	return take_name(r.p, n, ret);
}

static int find_name(struct reader *r, char ret[OBS_TLS_NAME_MAX])
{
	size_t all, type, n;

	if (!take_length(r, 2, &all))
		return -EINVAL;
	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		if (!take_length(r, 2, &type) || !take_length(r, 2, &n) || r->left < n)
			return -EINVAL;
		if (type == EXTENSION_NAME)
			return take_name_list((struct reader){ r->p, n }, ret);
		skip(r, n);
	}
	return -EINVAL;
}

int obs_tls_server_name(struct obs_slice bytes, char ret[OBS_TLS_NAME_MAX])
{
	struct reader r = { (const uint8_t *)bytes.p, bytes.len };

	if (r.left < RECORD_BYTES + HELLO_BYTES || r.p[0] != RECORD_HANDSHAKE || r.p[1] != 3 ||
	    r.p[RECORD_BYTES] != HANDSHAKE_HELLO)
		return -EINVAL;
	skip(&r, RECORD_BYTES + HELLO_BYTES);
	if (!skip_vector(&r, 1) || !skip_vector(&r, 2) ||
	    !skip_vector(&r, 1)) /* session, ciphers, compression */
		return -EINVAL;
	return find_name(&r, ret);
}
