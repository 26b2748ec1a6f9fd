/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - what the unit tests share: cmocka's includes and a comparison that names its case.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/slice.h"

static inline void check_text(const char *name, struct obs_slice got, const char *want)
{
	if (!obs_slice_eq(got, obs_slice_str(want)))
		fail_msg("%s:\n got  %.*s\n want %s", name, (int)got.len, got.p ? got.p : "", want);
}

/** same_text() - as check_text(), but says so and goes on. */
static inline bool same_text(const char *name, struct obs_slice got, const char *want)
{
	if (obs_slice_eq(got, obs_slice_str(want)))
		return true;
	print_error("%s:\n got  %.*s\n want %s\n", name, (int)got.len, got.p ? got.p : "", want);
	return false;
}
