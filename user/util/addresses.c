// SPDX-License-Identifier: BSD-2-Clause
/* addresses.c - see addresses.h. */
#include "util/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>

static bool format(const struct sockaddr *sa, char *out, socklen_t size)
{
	if (sa->sa_family == AF_INET)
		return inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, out, size);
	if (sa->sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, out,
				 size);
	return false;
}

void obs_addresses_of_host(struct obs_addresses *ret)
{
	struct ifaddrs *all;

	ret->n = 0;
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *i = all; i && ret->n < OBS_ADDRESSES_MAX; i = i->ifa_next) {
		char *text = ret->text[ret->n];

		if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) ||
		    !format(i->ifa_addr, text, sizeof(ret->text[0])))
			continue;
		ret->list[ret->n++] = text;
	}
	freeifaddrs(all);
}
