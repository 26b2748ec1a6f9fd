/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * distance.h - how far two names are apart, for "did you mean".
 */
#pragma once

/** obs_distance() - Levenshtein distance of two names; names over 63 bytes: UINT_MAX. */
unsigned obs_distance(const char *a, const char *b);
