// SPDX-License-Identifier: BSD-2-Clause
/* retry.c - see retry.h. */
#include "sink/retry.h"

#include <ctype.h>
#include <errno.h>

#include <curl/curl.h>

void obs_backoff_init(struct obs_backoff *b, uint64_t seed)
{
	*b = (struct obs_backoff){ .random = seed ? seed : 1 };
}

static uint64_t next_random(struct obs_backoff *b) /* xorshift64* */
{
	b->random ^= b->random >> 12;
	b->random ^= b->random << 25;
	b->random ^= b->random >> 27;
	return b->random * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t obs_backoff_next(struct obs_backoff *b)
{
	unsigned doublings = b->attempt < 16 ? b->attempt : 16;
	uint64_t bound_ms = (uint64_t)OBS_BACKOFF_BASE_MS << doublings;

	if (bound_ms > OBS_BACKOFF_CAP_MS)
		bound_ms = OBS_BACKOFF_CAP_MS;
	b->attempt++;
	return OBS_BACKOFF_FLOOR_MS +
	       (next_random(b) >> 11) % (bound_ms - OBS_BACKOFF_FLOOR_MS + 1);
}

void obs_backoff_reset(struct obs_backoff *b)
{
	b->attempt = 0;
}

static struct obs_slice trim(struct obs_slice s)
{
	while (s.len && isspace((unsigned char)s.p[0]))
		s = obs_slice(s.p + 1, s.len - 1);
	while (s.len && isspace((unsigned char)s.p[s.len - 1]))
		s.len--;
	return s;
}

static int parse_seconds(struct obs_slice s, uint64_t *ret_ms)
{
	uint64_t ms = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (!isdigit((unsigned char)s.p[i]))
			return -EINVAL;
		ms = ms * 10 + (uint64_t)(s.p[i] - '0') * 1000;
		if (ms > OBS_RETRY_AFTER_MAX_MS)
			ms = OBS_RETRY_AFTER_MAX_MS;
	}
	*ret_ms = ms;
	return 0;
}

static int parse_date(struct obs_slice s, time_t now_s, uint64_t *ret_ms)
{
	char text[64];
	time_t when;

	/* curl_getdate() takes much that is no date ("12"); all HTTP dates start with a day. */
	if (s.len >= sizeof(text) || !isalpha((unsigned char)s.p[0]))
		return -EINVAL;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';

	when = curl_getdate(text, NULL);
	if (when < 0)
		return -EINVAL;
	if (when <= now_s)
		*ret_ms = 0;
	else if (when - now_s > OBS_RETRY_AFTER_MAX_MS / 1000)
		*ret_ms = OBS_RETRY_AFTER_MAX_MS;
	else
		*ret_ms = (uint64_t)(when - now_s) * 1000;
	return 0;
}

int obs_retry_after_parse(struct obs_slice value, time_t now_s, uint64_t *ret_ms)
{
	struct obs_slice s = trim(value);

	if (s.len == 0)
		return -EINVAL;
	if (isdigit((unsigned char)s.p[0]))
		return parse_seconds(s, ret_ms);
	return parse_date(s, now_s, ret_ms);
}
