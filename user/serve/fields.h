/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fields.h - a key and its value in one call, for the answers of /api/v1. Part of serve/ only.
 *
 * What is not known (no text, no time) is left out, as in events.
 */
#pragma once

#include <stdint.h>

#include "pipeline/json.h"

static inline void obs_put_text(struct obs_json *j, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	obs_json_key_str(j, key);
	obs_json_str(j, obs_slice_str(text));
}

static inline void obs_put_count(struct obs_json *j, const char *key, uint64_t n)
{
	obs_json_key_str(j, key);
	obs_json_uint(j, n);
}

/** obs_put_time() - @wall_ns: CLOCK_REALTIME in ns; 0 = not known */
static inline void obs_put_time(struct obs_json *j, const char *key, uint64_t wall_ns)
{
	if (!wall_ns)
		return;
	obs_json_key_str(j, key);
	obs_json_time(j, wall_ns);
}
