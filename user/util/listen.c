// SPDX-License-Identifier: BSD-2-Clause
/* listen.c - see listen.h. */
#include "util/listen.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *s, uint16_t *ret)
{
	unsigned long port = 0;

	if (!*s || strlen(s) > 5 || s[strspn(s, "0123456789")])
		return -EINVAL;
	port = strtoul(s, NULL, 10);
	if (port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

static int check_host(const char *s, size_t len, const char *allowed)
{
	if (len >= OBS_LISTEN_HOST_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && !strchr(allowed, s[i]))
			return -EINVAL;
	}
	return 0;
}

int obs_listen_parse(const char *text, struct obs_listen *ret)
{
	bool brackets = text[0] == '[';
	const char *colon = strrchr(text, ':');
	const char *host = text + brackets;
	struct obs_listen l = { .port = 0 };
	size_t len;

	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (brackets) {
		if (len < 3 || colon[-1] != ']')
			return -EINVAL;
		len -= 2;
	}
	if (check_host(host, len, brackets ? ":.%" : ".-_") < 0 ||
	    parse_port(colon + 1, &l.port) < 0)
		return -EINVAL;

	memcpy(l.host, host, len);
	*ret = l;
	return 0;
}
