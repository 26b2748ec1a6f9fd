/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maddr.h - a multiaddr as text: "/ip4/38.101.215.15/tcp/30021/p2p/Qm…".
 */
#pragma once

#include <stdint.h>

#include "util/slice.h"

/**
 * obs_maddr_endpoint() - where a multiaddr leads.
 * @text:        untrusted
 * @ret_ip:      IPv4 as ::ffff:a.b.c.d
 * @ret_peer_id: what stands behind /p2p/ or /ipfs/, borrowed from @text; empty when nothing does
 *
 * Relayed addresses (p2p-circuit) lead to the relay, and have no peer id here.
 *
 * Return: 0, or -EINVAL, with the results untouched: it is no multiaddr, or one without an IP address
 * and a TCP or UDP port (dns4, unix).
 */
int obs_maddr_endpoint(struct obs_slice text, uint8_t ret_ip[16], uint16_t *ret_port,
		       struct obs_slice *ret_peer_id);
