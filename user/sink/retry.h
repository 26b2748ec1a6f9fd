/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * retry.h - how long to wait before trying again.
 *
 * Exponential backoff with full jitter: any wait up to a bound that doubles, so
 * that many observers do not come back to a recovering API all at once.
 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "util/slice.h"

#define OBS_BACKOFF_BASE_MS    250
#define OBS_BACKOFF_CAP_MS     (15 * 1000)
#define OBS_BACKOFF_FLOOR_MS   25 /* no wait is shorter, or a fast refusal would make us spin */
#define OBS_RETRY_AFTER_MAX_MS (3600 * 1000)

struct obs_backoff {
	unsigned attempt; /* failures in a row */
	uint64_t random;  /* state; never 0 */
};

/** obs_backoff_init() - no failures yet, jitter from @seed (any value). */
void obs_backoff_init(struct obs_backoff *b, uint64_t seed);

/** obs_backoff_next() - count a failure. Return: the wait before the next try, ms. */
uint64_t obs_backoff_next(struct obs_backoff *b);

/** obs_backoff_reset() - it worked. */
void obs_backoff_reset(struct obs_backoff *b);

/**
 * obs_retry_after_parse() - read a Retry-After value: seconds or an HTTP date.
 * @now_s:  seconds since 1970, for dates
 * @ret_ms: 0 for a date that has passed; at most OBS_RETRY_AFTER_MAX_MS
 *
 * Return: 0, or -EINVAL when it is neither.
 */
int obs_retry_after_parse(struct obs_slice value, time_t now_s, uint64_t *ret_ms);
