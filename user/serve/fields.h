/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fields.h - a key and its value in one call, for the answers of /api/v1. Part of serve/ only.
 *
 * What is not known (no text, no time) is left out, as in events.
 */
#pragma once

#include <math.h>
#include <stdint.h>

#include "model/model.h"
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

/** obs_put_real() - @n: NAN = not known */
static inline void obs_put_real(struct obs_json *j, const char *key, double n)
{
	if (isnan(n))
		return;
	obs_json_key_str(j, key);
	obs_json_real(j, n);
}

/** obs_begin_nodes() - whose answer it is, of when, and the list that its nodes go into. */
static inline void obs_begin_nodes(struct obs_json *j, const struct obs_model *m, uint64_t now_ns)
{
	obs_json_object_open(j);
	obs_put_text(j, "node_id", m->node_id);
	obs_put_time(j, "time", now_ns);
	obs_json_key_str(j, "nodes");
	obs_json_array_open(j);
}

/** obs_end_nodes() - Return: the answer's HTTP status. */
static inline unsigned obs_end_nodes(struct obs_json *j)
{
	obs_json_array_close(j);
	obs_json_object_close(j);
	obs_buf_push_str(j->out, "\n");
	return j->out->failed ? 500 : 200;
}
