/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd.h - the page of what nodes say to their p2pd.
 */
#pragma once

#include <stdint.h>

#include "model/model.h"
#include "util/buf.h"

/** obs_p2pd_format() - append the JSON of /api/v1/p2pd. Return: 200, or 500 without memory. */
unsigned obs_p2pd_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);
