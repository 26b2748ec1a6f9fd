/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * time.h - the times that log lines carry, and what moment they mean.
 *
 * Most lines have local time without a zone, hivemind's not even a year. A clock
 * belongs to one stream: it learns the zone from lines whose moment the kernel
 * told, and keeps the last time for the lines that have none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parse/zone.h"
#include "util/slice.h"

enum obs_time_kind {
	OBS_TIME_NONE = 0,
	OBS_TIME_LOCAL,	   /* ns: as if the text were UTC */
	OBS_TIME_ABSOLUTE, /* ns: since 1970; the text had a zone */
	OBS_TIME_NO_YEAR,  /* month, day; ns: within the day */
};

struct obs_text_time {
	enum obs_time_kind kind;
	uint8_t month, day; /* 1…; OBS_TIME_NO_YEAR only */
	uint64_t ns;
};

/**
 * obs_time_scan_iso()   - "2025-10-26 23:30:27,842", also with T, a dot, 0 to 9 decimals, and a
 *                         zone (Z, +02:00, +0200).
 * obs_time_scan_month() - "Oct 26 23:33:49.827".
 * obs_time_scan_go()    - "2025/05/05 05:11:19".
 *
 * Dates before 1970 and after 2261 are refused (ns would not fit).
 *
 * Return: bytes used from the front of @s; 0 = not this shape, then *@ret is untouched.
 */
size_t obs_time_scan_iso(struct obs_slice s, struct obs_text_time *ret);
size_t obs_time_scan_month(struct obs_slice s, struct obs_text_time *ret);
size_t obs_time_scan_go(struct obs_slice s, struct obs_text_time *ret);

struct obs_clock {
	const struct obs_zone *zone; /* the container's TZ; borrowed; NULL = UTC */
	bool offset_known;	     /* learnt from a kernel-timed line */
	int64_t offset_ns;	     /* local time - UTC */
	uint64_t last_ns;	     /* last moment resolved; 0 = none */
	uint64_t reference_ns;	     /* about now, for missing years; 0 = unknown */
};

/**
 * obs_clock_resolve() - the moment a line was written.
 * @wall_ns: the kernel's time of the write, 0 = unknown. It wins, and teaches the zone.
 *
 * Return: ns since 1970; the last known time for a line without one; 0 if there is none.
 */
uint64_t obs_clock_resolve(struct obs_clock *c, const struct obs_text_time *t, uint64_t wall_ns);
