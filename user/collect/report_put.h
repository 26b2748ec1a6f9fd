/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report_put.h - values of nested JSON, for the report files of collect/. What is unknown is
 * left out.
 */
#pragma once

#include <math.h>

#include "collect/report.h"
#include "pipeline/json.h"

static inline double obs_report_tenth(double x)
{
	return round(x * 10) / 10;
}

static inline void obs_put_uint(struct obs_json *j, const char *key, uint64_t v)
{
	if (v == OBS_UNKNOWN)
		return;
	obs_json_key_str(j, key);
	obs_json_uint(j, v);
}

static inline void obs_put_real(struct obs_json *j, const char *key, double v)
{
	if (isnan(v))
		return;
	obs_json_key_str(j, key);
	obs_json_real(j, obs_report_tenth(v));
}

static inline void obs_put_text(struct obs_json *j, const char *key, const char *text)
{
	if (!*text)
		return;
	obs_json_key_str(j, key);
	obs_json_str(j, obs_slice_str(text));
}

/* 100 · @part / @whole, or NAN. */
static inline double obs_report_percent(uint64_t part, uint64_t whole)
{
	if (part == OBS_UNKNOWN || whole == OBS_UNKNOWN || whole == 0)
		return NAN;
	return 100 * (double)part / (double)whole;
}

/** obs_report_begin() - the next nested value; at most OBS_REPORT_BUFFERS per event. */
struct obs_json obs_report_begin(struct obs_report *r);

/** obs_report_end() - hand it to the event as @key. */
void obs_report_end(const struct obs_json *j, struct obs_event *ev, const char *key);

/** obs_report_psi() - add the field "psi", if anything is known. */
void obs_report_psi(struct obs_report *r, const struct obs_pressure *p, struct obs_event *ev);
