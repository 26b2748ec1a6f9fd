// SPDX-License-Identifier: BSD-2-Clause
/* sha1.c - see sha1.h. */
#include "util/sha1.h"

#include <endian.h>

#define BLOCK_LEN 64

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static uint32_t mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
	if (t < 20)
		return ((b & c) | (~b & d)) + 0x5a827999;
	if (t < 40)
		return (b ^ c ^ d) + 0x6ed9eba1;
	if (t < 60)
		return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
	return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
	uint32_t w[80], v[5], next;

	memcpy(w, block, BLOCK_LEN);
	for (int t = 0; t < 16; t++)
		w[t] = be32toh(w[t]);
	for (int t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, h, sizeof(v));
	for (int t = 0; t < 80; t++) {
		next = rotate(v[0], 5) + mix(t, v[1], v[2], v[3]) + v[4] + w[t];
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotate(v[1], 30);
		v[1] = v[0];
		v[0] = next;
	}
	for (int i = 0; i < 5; i++)
		h[i] += v[i];
}

void obs_sha1(struct obs_slice in, uint8_t out[OBS_SHA1_LEN])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	size_t len = in.len < OBS_SHA1_INPUT ? in.len : OBS_SHA1_INPUT;
	size_t blocks = len < BLOCK_LEN - 8 ? 1 : 2;
	uint8_t padded[2 * BLOCK_LEN] = { 0 };
	uint64_t bits = htobe64((uint64_t)len * 8);

	if (len > 0)
		memcpy(padded, in.p, len);
	padded[len] = 0x80;
	memcpy(padded + blocks * BLOCK_LEN - sizeof(bits), &bits, sizeof(bits));
	for (size_t i = 0; i < blocks; i++)
		add_block(h, padded + i * BLOCK_LEN);
	for (int i = 0; i < 5; i++)
		h[i] = htobe32(h[i]);
	memcpy(out, h, OBS_SHA1_LEN);
}
