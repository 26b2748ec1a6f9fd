/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * network.h - how a container's network meets its host's, as its engine tells. Addresses of
 * IPv4 as ::ffff:a.b.c.d.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OBS_PUBLISHED_MAX   32
#define OBS_NETWORK_IPS_MAX 8

/* A port of the container that the host takes connections for. */
struct obs_published {
	uint8_t host_ip[16]; /* zeros, or ::ffff:0.0.0.0: every address */
	uint16_t host_port;
	uint16_t port; /* inside */
	bool udp;
	uint8_t pad[3];
};

struct obs_network {
	bool own; /* apart from the host's, and described here */
	size_t n_published;
	struct obs_published published[OBS_PUBLISHED_MAX];
	size_t n_gateways; /* the host's addresses there */
	uint8_t gateways[OBS_NETWORK_IPS_MAX][16];
	size_t n_addresses; /* the container's */
	uint8_t addresses[OBS_NETWORK_IPS_MAX][16];
};

/** obs_network_is_gateway() - is @ip the host, or what the host forwards itself? */
static inline bool obs_network_is_gateway(const struct obs_network *n, const uint8_t ip[16])
{
	for (size_t i = 0; i < n->n_gateways; i++) {
		if (memcmp(n->gateways[i], ip, sizeof(n->gateways[i])) == 0)
			return true;
	}
	return false;
}

/** obs_network_host_port() - the host's port for @port inside; 0 = it is not published. */
static inline uint16_t obs_network_host_port(const struct obs_network *n, uint16_t port, bool udp)
{
	for (size_t i = 0; i < n->n_published; i++) {
		if (n->published[i].port == port && n->published[i].udp == udp)
			return n->published[i].host_port;
	}
	return 0;
}
