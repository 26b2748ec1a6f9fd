// SPDX-License-Identifier: BSD-2-Clause
/* peerid.c - see peerid.h. */
#include "parse/peerid.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "parse/proto.h"
#include "util/buf.h"
#include "util/cleanup.h"

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Add one byte to the base-58 number whose digits stand in @digits, lowest first. */
static size_t add_byte(uint8_t *digits, size_t n, uint8_t byte)
{
	unsigned carry = byte;

	for (size_t i = 0; i < n; i++) {
		carry += (unsigned)digits[i] << 8;
		digits[i] = (uint8_t)(carry % 58);
		carry /= 58;
	}
	while (carry) {
		digits[n++] = (uint8_t)(carry % 58);
		carry /= 58;
	}
	return n;
}

int obs_base58_format(struct obs_slice in, char *out, size_t size)
{
	uint8_t digits[OBS_PEER_ID_BYTES_MAX * 138 / 100 + 2];
	size_t zeros = 0, n = 0;

	if (size > 0)
		out[0] = '\0';
	if (in.len > OBS_PEER_ID_BYTES_MAX)
		return -EMSGSIZE;
	while (zeros < in.len && in.p[zeros] == 0)
		zeros++;
	for (size_t i = zeros; i < in.len; i++)
		n = add_byte(digits, n, (uint8_t)in.p[i]);
	if (zeros + n + 1 > size)
		return -EMSGSIZE;
	memset(out, alphabet[0], zeros);
	for (size_t i = 0; i < n; i++)
		out[zeros + i] = alphabet[digits[n - 1 - i]];
	out[zeros + n] = '\0';
	return (int)(zeros + n);
}

bool obs_peer_id_is_valid(struct obs_slice in)
{
	if (in.len < 3 || in.len > OBS_PEER_ID_BYTES_MAX || (size_t)in.p[1] != in.len - 2)
		return false;
	return in.p[0] == 0x12 ? in.p[1] == 0x20 : in.p[0] == 0x00;
}

enum address_kind {
	ADDR_NONE,
	ADDR_IP4,
	ADDR_IP6,
	ADDR_PORT,
	ADDR_TEXT,
	ADDR_PATH,
	ADDR_PEER,
	ADDR_HASH
};

static const struct protocol {
	uint32_t code;
	const char *name;
	enum address_kind kind;
} protocols[] = {
	{ 4, "ip4", ADDR_IP4 },
	{ 6, "tcp", ADDR_PORT },
	{ 41, "ip6", ADDR_IP6 },
	{ 42, "ip6zone", ADDR_TEXT },
	{ 53, "dns", ADDR_TEXT },
	{ 54, "dns4", ADDR_TEXT },
	{ 55, "dns6", ADDR_TEXT },
	{ 56, "dnsaddr", ADDR_TEXT },
	{ 273, "udp", ADDR_PORT },
	{ 280, "webrtc-direct", ADDR_NONE },
	{ 281, "webrtc", ADDR_NONE },
	{ 290, "p2p-circuit", ADDR_NONE },
	{ 400, "unix", ADDR_PATH },
	{ 421, "p2p", ADDR_PEER },
	{ 443, "https", ADDR_NONE },
	{ 448, "tls", ADDR_NONE },
	{ 449, "sni", ADDR_TEXT },
	{ 454, "noise", ADDR_NONE },
	{ 460, "quic", ADDR_NONE },
	{ 461, "quic-v1", ADDR_NONE },
	{ 465, "webtransport", ADDR_NONE },
	{ 466, "certhash", ADDR_HASH },
	{ 477, "ws", ADDR_NONE },
	{ 478, "wss", ADDR_NONE },
	{ 480, "http", ADDR_NONE },
};

static const struct protocol *find_protocol(uint64_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (protocols[i].code == code)
			return &protocols[i];
	}
	return NULL;
}

/* Cut @len bytes off the front of @in. */
static int take(struct obs_slice *in, uint64_t len, struct obs_slice *ret)
{
	if (len > in->len)
		return -EBADMSG;
	*ret = obs_slice(in->p, (size_t)len);
	*in = obs_slice(in->p + len, in->len - (size_t)len);
	return 0;
}

static int take_number(struct obs_slice *in, uint64_t *ret)
{
	struct obs_slice unused;
	int n = obs_varint_parse(*in, ret);

	return n <= 0 ? -EBADMSG : take(in, (uint64_t)n, &unused);
}

static int take_address(struct obs_slice *in, enum address_kind kind, struct obs_slice *ret)
{
	static const uint8_t fixed[] = { [ADDR_IP4] = 4, [ADDR_IP6] = 16, [ADDR_PORT] = 2 };
	uint64_t len;
	int r;

	if (kind < ADDR_TEXT)
		return take(in, fixed[kind], ret);
	r = take_number(in, &len);
	return r < 0 ? r : take(in, len, ret);
}

/* A name as a peer wrote it: only what may stand in one. */
static bool is_plain(struct obs_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	}
	return s.len > 0;
}

/* As multibase has it: 'u', and base64 as URLs do, without padding. */
static int format_hash(struct obs_slice a, char *out, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t used = 0, len = 1 + (a.len * 8 + 5) / 6;
	uint32_t bits = 0, n_bits = 0;

	if (a.len == 0)
		return -EBADMSG;
	if (a.len > OBS_MULTIADDR_MAX || len >= size)
		return -EMSGSIZE;
	out[used++] = 'u';
	for (size_t i = 0; i < a.len; i++) {
		bits = bits << 8 | (uint8_t)a.p[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			out[used++] = digits[bits >> (n_bits - 6) & 63];
	}
	if (n_bits)
		out[used++] = digits[bits << (6 - n_bits) & 63];
	out[used] = '\0';
	return (int)used;
}

static int format_address(enum address_kind kind, struct obs_slice a, char *out, size_t size)
{
	switch (kind) {
	case ADDR_IP4:
	case ADDR_IP6:
		return inet_ntop(kind == ADDR_IP4 ? AF_INET : AF_INET6, a.p, out, (socklen_t)size)
			       ? (int)strlen(out)
			       : -EMSGSIZE;
	case ADDR_PORT:
		return snprintf(out, size, "%u", (uint8_t)a.p[0] << 8U | (uint8_t)a.p[1]);
	case ADDR_PEER:
		return obs_base58_format(a, out, size);
	case ADDR_HASH:
		return format_hash(a, out, size);
	case ADDR_TEXT:
	case ADDR_PATH:
		if (!is_plain(a))
			return -EBADMSG;
		return snprintf(out, size, "%.*s", (int)a.len, a.p);
	case ADDR_NONE:
		break;
	}
	return 0;
}

/* One protocol of an address, "/tcp/30021", appended. */
static int format_part(struct obs_slice *in, char *out, size_t size)
{
	const struct protocol *p;
	struct obs_slice a = { 0 };
	uint64_t code = 0;
	int r = take_number(in, &code), n;

	p = r < 0 ? NULL : find_protocol(code);
	if (!p || take_address(in, p->kind, &a) < 0)
		return -EBADMSG;
	if (p->kind == ADDR_PATH && a.len > 1 && a.p[0] == '/')
		a = obs_slice(a.p + 1, a.len - 1); /* /unix/tmp/x, not /unix//tmp/x */
	n = snprintf(out, size, "/%s%s", p->name, p->kind == ADDR_NONE ? "" : "/");
	if (n < 0 || (size_t)n >= size)
		return -EMSGSIZE;
	r = format_address(p->kind, a, out + n, size - (size_t)n);
	if (r < 0)
		return r;
	return (size_t)n + (size_t)r < size ? n + r : -EMSGSIZE;
}

int obs_multiaddr_format(struct obs_slice in, char *out, size_t size)
{
	size_t used = 0;

	if (size == 0)
		return -EMSGSIZE;
	out[0] = '\0';
	while (in.len > 0) {
		int n = format_part(&in, out + used, size - used);

		if (n < 0) {
			out[0] = '\0';
			return n;
		}
		used += (size_t)n;
	}
	return (int)used;
}
