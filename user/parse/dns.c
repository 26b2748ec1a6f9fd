// SPDX-License-Identifier: BSD-2-Clause
/* dns.c - see dns.h. Only the question's name is decoded; those of records are jumped over. */
#include "parse/dns.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES  12
#define RECORDS_MAX   64
#define LABEL_MAX     63
#define TYPE_A	      1
#define TYPE_AAAA     28
#define FLAG_RESPONSE 0x8000
#define RCODE_MASK    0x000f

struct reader {
	const uint8_t *p;
	size_t len, at;
};

static bool has(const struct reader *r, size_t n)
{
	return r->len - r->at >= n;
}

static unsigned u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* What stands in host names; anything else would be somebody's joke. */
static bool is_host_byte(uint8_t c)
{
	return isalnum(c) || c == '-' || c == '_';
}

static bool take_label(struct reader *r, size_t n, char *out, size_t *used)
{
	if (n > LABEL_MAX || !has(r, n) || *used + n + 2 > OBS_DNS_NAME_MAX)
		return false;
	if (*used)
		out[(*used)++] = '.';
	for (size_t i = 0; i < n; i++) {
		uint8_t c = r->p[r->at++];

		if (!is_host_byte(c))
			return false;
		out[(*used)++] = (char)tolower(c);
	}
	out[*used] = '\0';
	return true;
}

/* A question's name is never compressed: there is nothing before it to point to. */
static bool take_question(struct reader *r, char name[OBS_DNS_NAME_MAX])
{
	size_t used = 0;

	name[0] = '\0';
	while (has(r, 1)) {
		size_t n = r->p[r->at++];

		if (n == 0) {
			r->at += 4; /* type and class */
			return used > 0 && r->at <= r->len;
		}
		if (!take_label(r, n, name, &used))
			return false;
	}
	return false;
}

static bool skip_name(struct reader *r)
{
	while (has(r, 1)) {
		uint8_t n = r->p[r->at];

		if (n >= 0xc0) {
			r->at += 2;
			return r->at <= r->len;
		}
		r->at += 1u + n;
		if (n == 0)
			return r->at <= r->len;
		if (n > LABEL_MAX || r->at > r->len)
			return false;
	}
	return false;
}

static void take_address(const uint8_t *data, size_t n, struct obs_dns_answer *ret)
{
	uint8_t *ip = ret->ip[ret->n];

	if (ret->n == OBS_DNS_ADDRESSES_MAX)
		return;
	memset(ip, 0, 16);
	if (n == 4)
		ip[10] = ip[11] = 0xff;
	memcpy(ip + 16 - n, data, n);
	ret->n++;
}

static bool take_record(struct reader *r, struct obs_dns_answer *ret)
{
	unsigned type;
	size_t n;

	if (!skip_name(r) || !has(r, 10))
		return false;
	type = u16(r->p + r->at);
	n = u16(r->p + r->at + 8);
	r->at += 10;
	if (!has(r, n))
		return false;
	if ((type == TYPE_A && n == 4) || (type == TYPE_AAAA && n == 16))
		take_address(r->p + r->at, n, ret);
	r->at += n;
	return true;
}

int obs_dns_parse(struct obs_slice packet, struct obs_dns_answer *ret)
{
	struct reader r = { (const uint8_t *)packet.p, packet.len, HEADER_BYTES };
	unsigned flags, answers;

	if (packet.len < HEADER_BYTES)
		return -EINVAL;
	flags = u16(r.p + 2);
	answers = u16(r.p + 6);
	if (!(flags & FLAG_RESPONSE) || flags & RCODE_MASK || u16(r.p + 4) != 1)
		return -EINVAL;
	ret->n = 0;
	if (!take_question(&r, ret->name))
		return -EINVAL;
	for (unsigned i = 0; i < answers && i < RECORDS_MAX && take_record(&r, ret); i++)
		;
	return ret->n ? 0 : -EINVAL;
}
