// SPDX-License-Identifier: BSD-2-Clause
/* keccak.c - see keccak.h. The permutation as in "The Keccak reference", section 1.2. */
#include "util/keccak.h"

#include <endian.h>

#define ROUNDS 24
#define LANES  25
#define RATE   136 /* bytes taken in between two permutations, of 256 bits of output */

static uint64_t rotate(uint64_t x, unsigned n)
{
	return n ? x << n | x >> (64 - n) : x;
}

/* theta */
static void mix_columns(uint64_t a[LANES])
{
	uint64_t c[5];

	for (unsigned x = 0; x < 5; x++)
		c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	for (unsigned i = 0; i < LANES; i++)
		a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
}

/* rho and pi */
static void move_lanes(uint64_t a[LANES])
{
	static const uint8_t to[] = { 10, 7,  11, 17, 18, 3, 5,	 16, 8,	 21, 24, 4,
				      15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,	 1 };
	uint64_t moved = a[1], next;

	for (unsigned i = 0; i < sizeof(to); i++) {
		next = a[to[i]];
		a[to[i]] = rotate(moved, (i + 1) * (i + 2) / 2 % 64);
		moved = next;
	}
}

/* chi */
static void mix_rows(uint64_t a[LANES])
{
	for (unsigned y = 0; y < LANES; y += 5) {
		uint64_t row[5];

		for (unsigned x = 0; x < 5; x++)
			row[x] = a[y + x];
		for (unsigned x = 0; x < 5; x++)
			a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
}

static void permute(uint64_t a[LANES])
{
	static const uint64_t constants[ROUNDS] = {
		0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
		0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
		0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
		0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
		0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
		0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
	};

	for (unsigned i = 0; i < ROUNDS; i++) {
		mix_columns(a);
		move_lanes(a);
		mix_rows(a);
		a[0] ^= constants[i];
	}
}

static void take_block(uint64_t a[LANES], const char *block)
{
	for (unsigned i = 0; i < RATE / 8; i++) {
		uint64_t lane;

		memcpy(&lane, block + (size_t)i * 8, sizeof(lane));
		a[i] ^= le64toh(lane);
	}
	permute(a);
}

void obs_keccak256(struct obs_slice in, uint8_t ret[OBS_KECCAK_LEN])
{
	uint64_t a[LANES] = { 0 };
	char last[RATE] = { 0 };

	for (; in.len >= RATE; in = obs_slice(in.p + RATE, in.len - RATE))
		take_block(a, in.p);
	if (in.len)
		memcpy(last, in.p, in.len);
	last[in.len] = 0x01;
	last[RATE - 1] = (char)(last[RATE - 1] | 0x80);
	take_block(a, last);
	for (unsigned i = 0; i < OBS_KECCAK_LEN / 8; i++) {
		uint64_t lane = htole64(a[i]);

		memcpy(ret + (size_t)i * 8, &lane, sizeof(lane));
	}
}
