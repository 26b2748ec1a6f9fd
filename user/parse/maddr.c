// SPDX-License-Identifier: BSD-2-Clause
/* maddr.c - see maddr.h. */
#include "parse/maddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define PARTS_MAX   16
#define PEER_ID_MAX 63

/* Takes "/part" off the front. */
static bool next_part(struct obs_slice *rest, struct obs_slice *ret)
{
	const char *end;

	if (rest->len < 2 || rest->p[0] != '/')
		return false;
	*ret = obs_slice(rest->p + 1, rest->len - 1);
	end = memchr(ret->p, '/', ret->len);
	if (end)
		ret->len = (size_t)(end - ret->p);
	*rest = obs_slice(ret->p + ret->len, rest->len - 1 - ret->len);
	return ret->len > 0;
}

static bool is(struct obs_slice part, const char *word)
{
	return obs_slice_eq(part, obs_slice_str(word));
}

static bool take_ip(struct obs_slice kind, struct obs_slice value, uint8_t ip[16])
{
	char text[INET6_ADDRSTRLEN];

	if (value.len >= sizeof(text))
		return false;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	if (is(kind, "ip6"))
		return inet_pton(AF_INET6, text, ip) == 1;
	memset(ip, 0, 10);
	ip[10] = ip[11] = 0xff;
	return is(kind, "ip4") && inet_pton(AF_INET, text, ip + 12) == 1;
}

static bool take_port(struct obs_slice kind, struct obs_slice value, uint16_t *ret)
{
	unsigned port = 0;

	if ((!is(kind, "tcp") && !is(kind, "udp")) || value.len > 5)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
		port = port * 10 + (unsigned)(value.p[i] - '0');
	}
	*ret = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

/* Base58, as Bitcoin has it. */
static bool is_peer_id(struct obs_slice id)
{
	static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

	for (size_t i = 0; i < id.len; i++) {
		if (!memchr(digits, id.p[i], sizeof(digits) - 1))
			return false;
	}
	return id.len <= PEER_ID_MAX;
}

/* Behind the port: transports, and at the end who it is. What stands behind p2p-circuit is not
 * there. */
static void take_rest(struct obs_slice rest, struct obs_maddr *m)
{
	struct obs_slice part;

	for (unsigned i = 0; i < PARTS_MAX && next_part(&rest, &part); i++) {
		m->relayed = is(part, "p2p-circuit");
		if (m->relayed)
			return;
		if ((is(part, "p2p") || is(part, "ipfs")) && next_part(&rest, &part) &&
		    is_peer_id(part))
			m->peer_id = part;
	}
}

int obs_maddr_parse(struct obs_slice text, struct obs_maddr *ret)
{
	struct obs_slice kind, value;
	struct obs_maddr m = {};

	if (!next_part(&text, &kind) || !next_part(&text, &value) || !take_ip(kind, value, m.ip) ||
	    !next_part(&text, &kind) || !next_part(&text, &value) ||
	    !take_port(kind, value, &m.port))
		return -EINVAL;
	take_rest(text, &m);
	*ret = m;
	return 0;
}
