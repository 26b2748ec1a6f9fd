/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peerid.h - libp2p's names for peers and places: peer ids (base58 of a multihash) and
 * multiaddrs (/ip4/1.2.3.4/tcp/30021/p2p/Qm…), from their binary form.
 */
#pragma once

#include <stdbool.h>

#include "util/slice.h"

#define OBS_PEER_ID_BYTES_MAX 64 /* an Ed25519 id has 38, an RSA id 34 */
#define OBS_PEER_ID_TEXT_MAX  96 /* NUL included */
#define OBS_MULTIADDR_MAX     512

/**
 * obs_base58_format() - @in in Bitcoin's base58, NUL-terminated.
 * @in:  at most OBS_PEER_ID_BYTES_MAX bytes
 * @out: @size bytes
 *
 * Return: length of the text, or -EMSGSIZE; @out is then "".
 */
int obs_base58_format(struct obs_slice in, char *out, size_t size);

/**
 * obs_peer_id_is_valid() - could these bytes be a peer id: a sha2-256 (12 20 …) or an identity
 * (00 len …) multihash of the right length?
 */
bool obs_peer_id_is_valid(struct obs_slice in);

/**
 * obs_multiaddr_format() - a binary multiaddr as text, NUL-terminated.
 *
 * Return: length of the text, -EBADMSG for an unknown protocol or a length that lies, -EMSGSIZE
 * when @out is too small; @out is then "".
 */
int obs_multiaddr_format(struct obs_slice in, char *out, size_t size);
