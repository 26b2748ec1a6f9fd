// SPDX-License-Identifier: BSD-2-Clause
/* Waits, Retry-After, and how batches are filled, named and split. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sink/batch.h"
#include "sink/ops.h"
#include "sink/retry.h"
#include "util/cleanup.h"

#define HOUR_MS (3600 * 1000)

static void retry_after_is_seconds_or_a_date(void **state)
{
	static const time_t now_s = 1761521427; /* Sun, 26 Oct 2025 23:30:27 GMT */
	static const struct {
		const char *text;
		int want;
		uint64_t want_ms;
	} cases[] = {
		{ "0", 0, 0 },
		{ "2", 0, 2000 },
		{ " 120\r\n", 0, 120000 },
		{ "3600", 0, HOUR_MS },
		{ "3601", 0, HOUR_MS },
		{ "99999999999999999999999999", 0, HOUR_MS },
		{ "Sun, 26 Oct 2025 23:30:37 GMT", 0, 10000 },
		{ "Sunday, 26-Oct-25 23:30:37 GMT", 0, 10000 },
		{ "Sun Oct 26 23:30:37 2025", 0, 10000 },
		{ "Sun, 26 Oct 2025 23:30:27 GMT", 0, 0 },
		{ "Thu, 01 Jan 1970 00:00:10 GMT", 0, 0 },
		{ "Mon, 26 Oct 2026 23:30:27 GMT", 0, HOUR_MS },
		{ "", -EINVAL, 77 },
		{ " ", -EINVAL, 77 },
		{ "-1", -EINVAL, 77 },
		{ "1.5", -EINVAL, 77 },
		{ "2 s", -EINVAL, 77 },
		{ "soon", -EINVAL, 77 },
		{ "Sun, 99 Foo 2025 99:99:99 GMT", -EINVAL, 77 },
		{ "Sun, 26 Oct 2025 23:30:37 GMT and then some more text that is far too long",
		  -EINVAL, 77 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t ms = 77;
		int got = obs_retry_after_parse(obs_slice_str(cases[i].text), now_s, &ms);

		if (got != cases[i].want || ms != cases[i].want_ms)
			fail_msg("'%s': got %d, %d ms", cases[i].text, got, (int)ms);
	}
}

static void backoff_doubles_up_to_its_cap(void **state)
{
	static const uint64_t bounds_ms[] = { 250,  500,   1000,  2000,	 4000,
					      8000, 15000, 15000, 15000, 15000 };
	uint64_t longest[ARRAY_LEN(bounds_ms)] = { 0 };

	(void)state;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct obs_backoff b;

		obs_backoff_init(&b, seed * UINT64_C(0x9e3779b97f4a7c15));
		for (size_t i = 0; i < ARRAY_LEN(bounds_ms); i++) {
			uint64_t ms = obs_backoff_next(&b);

			assert_in_range(ms, OBS_BACKOFF_FLOOR_MS, bounds_ms[i]);
			longest[i] = ms > longest[i] ? ms : longest[i];
		}
		for (int i = 0; i < 100; i++) /* no overflow after a long outage */
			assert_in_range(obs_backoff_next(&b), OBS_BACKOFF_FLOOR_MS,
					OBS_BACKOFF_CAP_MS);
		obs_backoff_reset(&b);
		assert_in_range(obs_backoff_next(&b), OBS_BACKOFF_FLOOR_MS, OBS_BACKOFF_BASE_MS);
	}
	for (size_t i = 0; i < ARRAY_LEN(bounds_ms); i++) /* full jitter: the whole range is used */
		assert_true(longest[i] > bounds_ms[i] * 9 / 10);
}

static void a_batch_ends_at_its_limits(void **state)
{
	static const struct {
		const char *name;
		size_t max_events, max_bytes, len; /* of each event */
		size_t want;			   /* events */
	} cases[] = {
		{ "by count", 5, 1000, 10, 5 },
		{ "by bytes, exactly", 100, 3 * 10 + 4, 10, 3 }, /* [x,x,x] */
		{ "by bytes, one short", 100, 3 * 10 + 3, 10, 2 },
		{ "one always fits", 100, 5, 10, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_batch b = { .max_events = cases[i].max_events,
				       .max_bytes = cases[i].max_bytes };
		cleanup_buf struct obs_buf body = { 0 };
		uint64_t seq = 1;

		while (obs_batch_push(&b, seq, obs_slice("0123456789", cases[i].len)) == 0)
			seq++;
		if (b.n != cases[i].want)
			fail_msg("%s: %zu events", cases[i].name, b.n);
		assert_true(b.full);

		obs_batch_start(&b);
		assert_int_equal(obs_sink_http.format(&b, &body), 0);
		assert_true(b.n == 1 || body.len <= cases[i].max_bytes);
		obs_batch_free(&b);
	}
}

static void parts_cover_a_batch_once_and_in_order(void **state)
{
	(void)state;
	for (size_t n = 1; n < 70; n++) {
		struct obs_batch b = { .max_events = 100, .max_bytes = 1000 };
		size_t next = 0;
		bool more = true;

		for (uint64_t seq = 1; seq <= n; seq++)
			assert_int_equal(obs_batch_push(&b, seq, OBS_SLICE("{}")), 0);
		obs_batch_start(&b);
		assert_int_equal(b.hi, n);
		for (size_t turn = 0; more; turn++) {
			while (turn % 2 == 0 && obs_batch_split(&b))
				;
			assert_int_equal(b.lo, next);
			assert_true(b.hi > b.lo);
			next = b.hi;
			more = obs_batch_advance(&b);
		}
		assert_int_equal(next, n);
		obs_batch_free(&b);
	}
}

static void a_key_names_exactly_one_range(void **state)
{
	static const struct {
		const char *name;
		uint64_t store, first;
		size_t n;
		const char *sink;
		bool same;
	} cases[] = {
		{ "again", 1, 10, 3, "http", true },
		{ "other store", 2, 10, 3, "http", false },
		{ "other start", 1, 9, 3, "http", false },
		{ "longer", 1, 10, 4, "http", false },
		{ "other sink", 1, 10, 3, "http2", false },
	};
	char first[33] = "", key[33];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_batch b = { .max_events = 100, .max_bytes = 1000 };

		for (size_t k = 0; k < cases[i].n; k++)
			obs_batch_push(&b, cases[i].first + k, OBS_SLICE("{}"));
		obs_batch_start(&b);
		obs_batch_key(&b, cases[i].store, cases[i].sink, key);
		assert_int_equal(strlen(key), 32);
		if (i == 0)
			strcpy(first, key);
		if ((strcmp(first, key) == 0) != cases[i].same)
			fail_msg("%s: %s", cases[i].name, key);
		obs_batch_free(&b);
	}
}

static void a_body_is_a_json_array(void **state)
{
	struct obs_batch b = { .max_events = 100, .max_bytes = 1000 };
	cleanup_buf struct obs_buf body = { 0 };

	(void)state;
	obs_batch_push(&b, 1, OBS_SLICE("{\"a\":1}"));
	obs_batch_push(&b, 2, OBS_SLICE("{}"));
	obs_batch_push(&b, 3, OBS_SLICE("{\"c\":3}"));
	obs_batch_start(&b);
	assert_int_equal(obs_sink_http.format(&b, &body), 0);
	assert_string_equal(obs_buf_cstr(&body), "[{\"a\":1},{},{\"c\":3}]");

	obs_batch_split(&b);
	obs_batch_advance(&b);
	obs_buf_reset(&body);
	assert_int_equal(obs_sink_http.format(&b, &body), 0);
	assert_string_equal(obs_buf_cstr(&body), "[{\"c\":3}]");
	obs_batch_free(&b);
}

static void every_status_has_a_verdict(void **state)
{
	static const struct {
		long status;
		enum obs_verdict want;
	} cases[] = {
		{ 200, OBS_VERDICT_DELIVERED }, { 204, OBS_VERDICT_DELIVERED },
		{ 299, OBS_VERDICT_DELIVERED }, { 301, OBS_VERDICT_RETRY },
		{ 308, OBS_VERDICT_RETRY },	{ 400, OBS_VERDICT_REFUSED },
		{ 401, OBS_VERDICT_RETRY },	{ 403, OBS_VERDICT_RETRY },
		{ 404, OBS_VERDICT_RETRY },	{ 408, OBS_VERDICT_RETRY },
		{ 409, OBS_VERDICT_REFUSED },	{ 413, OBS_VERDICT_TOO_LARGE },
		{ 422, OBS_VERDICT_REFUSED },	{ 425, OBS_VERDICT_RETRY },
		{ 429, OBS_VERDICT_RETRY },	{ 499, OBS_VERDICT_REFUSED },
		{ 500, OBS_VERDICT_RETRY },	{ 503, OBS_VERDICT_RETRY },
		{ 599, OBS_VERDICT_RETRY },	{ 999, OBS_VERDICT_RETRY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *hint = NULL;

		if (obs_sink_http.judge(cases[i].status, &hint) != cases[i].want)
			fail_msg("%ld", cases[i].status);
		assert_non_null(hint);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retry_after_is_seconds_or_a_date),
		cmocka_unit_test(backoff_doubles_up_to_its_cap),
		cmocka_unit_test(a_batch_ends_at_its_limits),
		cmocka_unit_test(parts_cover_a_batch_once_and_in_order),
		cmocka_unit_test(a_key_names_exactly_one_range),
		cmocka_unit_test(a_body_is_a_json_array),
		cmocka_unit_test(every_status_has_a_verdict),
	};

	return cmocka_run_group_tests_name("sink_retry", tests, NULL, NULL);
}
