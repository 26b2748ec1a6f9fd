/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dns.h - the addresses in a DNS answer, under the name that was asked for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

#define OBS_DNS_NAME_MAX      254
#define OBS_DNS_ADDRESSES_MAX 16

struct obs_dns_answer {
	char name[OBS_DNS_NAME_MAX];	       /* as asked, lower case, without the last dot */
	uint8_t ip[OBS_DNS_ADDRESSES_MAX][16]; /* IPv4 as ::ffff:a.b.c.d */
	size_t n;
};

/**
 * obs_dns_parse() - the A and AAAA records of an answer to one question.
 * @packet: a DNS message, perhaps cut; untrusted
 *
 * Names are compared with nothing: whatever the answer's chain of CNAMEs, its addresses are
 * those of the name asked for. A cut message gives the addresses before the cut.
 *
 * Return: 0, or -EINVAL: no answer, an error, no address, or broken; *@ret is then undefined.
 */
int obs_dns_parse(struct obs_slice packet, struct obs_dns_answer *ret);
