// SPDX-License-Identifier: BSD-2-Clause
/* distance.c - one row of the Levenshtein table at a time. */
#include "util/distance.h"

#include <limits.h>
#include <string.h>

#define NAME_MAX_BYTES 63

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

unsigned obs_distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_BYTES + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NAME_MAX_BYTES || lb > NAME_MAX_BYTES)
		return UINT_MAX;

	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}
