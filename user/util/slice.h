/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slice.h - a borrowed run of bytes: not NUL-terminated, may hold any byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct obs_slice {
	const char *p; /* borrowed; may be NULL when len is 0 */
	size_t len;    /* bytes */
};

#define OBS_SLICE(lit) ((struct obs_slice){ (lit), sizeof(lit) - 1 })

static inline struct obs_slice obs_slice(const char *p, size_t len)
{
	return (struct obs_slice){ p, len };
}

static inline struct obs_slice obs_slice_str(const char *s)
{
	return (struct obs_slice){ s, s ? strlen(s) : 0 };
}

static inline bool obs_slice_eq(struct obs_slice a, struct obs_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool obs_slice_starts(struct obs_slice s, struct obs_slice prefix)
{
	return s.len >= prefix.len && memcmp(s.p, prefix.p, prefix.len) == 0;
}
