/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sha1.h - SHA-1 (FIPS 180-4) of short texts, for the names of DHT keys. Nothing is secured by it.
 */
#pragma once

#include <stdint.h>

#include "util/slice.h"

#define OBS_SHA1_LEN   20
#define OBS_SHA1_INPUT 119 /* two blocks' worth */

/**
 * obs_sha1() - @in hashed into @out.
 * @in: at most OBS_SHA1_INPUT bytes; what is longer is cut
 */
void obs_sha1(struct obs_slice in, uint8_t out[OBS_SHA1_LEN]);
