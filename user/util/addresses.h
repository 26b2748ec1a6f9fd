/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addresses.h - this host's own addresses, as text.
 */
#pragma once

#include <stddef.h>

#define OBS_ADDRESSES_MAX 64

struct obs_addresses {
	char text[OBS_ADDRESSES_MAX][46];    /* INET6_ADDRSTRLEN */
	const char *list[OBS_ADDRESSES_MAX]; /* into text */
	size_t n;
};

/** obs_addresses_of_host() - all but loopback, at most OBS_ADDRESSES_MAX. */
void obs_addresses_of_host(struct obs_addresses *ret);
