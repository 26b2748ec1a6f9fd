/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maddr.h - a multiaddr as text: "/ip4/38.101.215.15/tcp/30021/p2p/Qm…".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

struct obs_maddr {
	uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
	bool relayed; /* p2p-circuit: what is there is the relay of somebody else */
	/* Behind /p2p/ or /ipfs/: who answers there, so the relay where it is one. Borrowed from the
	 * text; empty when nothing is said. */
	struct obs_slice peer_id;
};

/**
 * obs_maddr_parse() - where a multiaddr leads.
 * @text: untrusted
 *
 * Return: 0, or -EINVAL, with @ret untouched: it is no multiaddr, or one without an IP address and a
 * TCP or UDP port (dns4, unix).
 */
int obs_maddr_parse(struct obs_slice text, struct obs_maddr *ret);
