/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keccak.h - Keccak-256, by which the EVM names functions and events. Not SHA-3: the padding is
 * the older one.
 */
#pragma once

#include <stdint.h>

#include "util/slice.h"

#define OBS_KECCAK_LEN 32

/** obs_keccak256() - the digest of @in. */
void obs_keccak256(struct obs_slice in, uint8_t ret[OBS_KECCAK_LEN]);
