/* SPDX-License-Identifier: BSD-2-Clause */
/* gzip.h - compress a request body. */
#pragma once

#include "util/buf.h"
#include "util/slice.h"

/** obs_gzip() - append @in as one gzip member, fastest level. Return: 0 or -ENOMEM. */
int obs_gzip(struct obs_slice in, struct obs_buf *out);
