// SPDX-License-Identifier: BSD-2-Clause
/* test_time.c - every way in which log lines tell the time. */
#include "check.h"

#include <errno.h>
#include <stdio.h>

#include "parse/time.h"
#include "parse/zone.h"

#define S  1000000000ull
#define MS 1000000ull
#define H  (3600 * S)
#define D  (24 * H)

static const struct {
	const char *text;
	size_t used;
	enum obs_time_kind kind;
	uint64_t ns;
} iso[] = {
	{ "1970-01-01 00:00:00", 19, OBS_TIME_LOCAL, 0 },
	{ "2025-10-26 23:30:27,842 x", 23, OBS_TIME_LOCAL, 1761521427 * S + 842 * MS },
	{ "2025-10-26T23:30:27.842113999Z", 30, OBS_TIME_ABSOLUTE, 1761521427842113999ull },
	{ "2025-10-26T23:30:27+02:00", 25, OBS_TIME_ABSOLUTE, 1761521427 * S - 2 * H },
	{ "2025-10-26T23:30:27-0530 x", 24, OBS_TIME_ABSOLUTE, 1761521427 * S + 5 * H + H / 2 },
	{ "2024-02-29 00:00:00", 19, OBS_TIME_LOCAL, 1709164800 * S },
	{ "2025-02-29 00:00:00", 0, OBS_TIME_NONE, 0 },
	{ "2025-13-01 00:00:00", 0, OBS_TIME_NONE, 0 },
	{ "2025-10-26 24:00:00", 0, OBS_TIME_NONE, 0 },
	{ "2025-10-26 23:30", 0, OBS_TIME_NONE, 0 },
	{ "1969-12-31 23:59:59", 0, OBS_TIME_NONE, 0 },
	{ "9999-12-31 23:59:59", 0, OBS_TIME_NONE, 0 },
	{ "2261-12-31 23:59:59", 19, OBS_TIME_LOCAL, 9214646399 * S },
	{ "2025-10-26 23:30:27,", 19, OBS_TIME_LOCAL, 1761521427 * S },
	{ "1970-01-01T00:00:00+02:00", 0, OBS_TIME_NONE, 0 },
	{ "2025/10/26 23:30:27", 0, OBS_TIME_NONE, 0 },
};

static void iso_times_are_read(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(iso); i++) {
		struct obs_text_time t = { 0 };
		size_t used = obs_time_scan_iso(obs_slice_str(iso[i].text), &t);

		if (used != iso[i].used || t.kind != iso[i].kind || t.ns != iso[i].ns)
			fail_msg("%s: used %zu, kind %d, ns %llu", iso[i].text, used, t.kind,
				 (unsigned long long)t.ns);
	}
}

static void month_names_are_read(void **state)
{
	struct obs_text_time t = { 0 };

	(void)state;
	assert_int_equal(obs_time_scan_month(OBS_SLICE("Oct 26 23:33:49.827 [E"), &t), 19);
	assert_true(t.kind == OBS_TIME_NO_YEAR && t.month == 10 && t.day == 26);
	assert_true(t.ns == 23 * H + 33 * 60 * S + 49 * S + 827 * MS);
	assert_int_equal(obs_time_scan_month(OBS_SLICE("Feb  3 01:02:03"), &t), 15);
	assert_int_equal(t.day, 3);
	assert_int_equal(obs_time_scan_month(OBS_SLICE("Feb 30 01:02:03"), &t), 0);
	assert_int_equal(obs_time_scan_month(OBS_SLICE("Foo 03 01:02:03"), &t), 0);
	assert_int_equal(obs_time_scan_go(OBS_SLICE("2025/05/05 05:11:19 x"), &t), 19);
}

static uint64_t resolve(struct obs_clock *c, const char *text, uint64_t wall_ns)
{
	struct obs_text_time t = { 0 };

	if (!obs_time_scan_iso(obs_slice_str(text), &t))
		obs_time_scan_month(obs_slice_str(text), &t);
	return obs_clock_resolve(c, &t, wall_ns);
}

static void the_kernel_teaches_the_zone(void **state)
{
	const uint64_t noon = 1761480000 * S; /* 2025-10-26 12:00 UTC */
	struct obs_clock c = { 0 };

	(void)state;
	assert_true(resolve(&c, "2025-10-26 12:00:00,000", 0) == noon);
	assert_true(resolve(&c, "2025-10-26 17:30:00,000", noon + 3 * MS) == noon + 3 * MS);
	assert_true(resolve(&c, "2025-10-26 17:31:00,000", 0) == noon + 60 * S);
	/* no time of its own: the last one known */
	assert_true(resolve(&c, "nothing", 0) == noon + 60 * S);
	/* a clock that is plainly wrong teaches nothing */
	assert_true(resolve(&c, "2020-01-01 00:00:00", noon) == noon);
	assert_true(resolve(&c, "2025-10-26 17:30:00", 0) == noon);
}

static void missing_years_are_found(void **state)
{
	struct obs_clock c = { .reference_ns = 1767225600 * S }; /* 2026-01-01 */

	(void)state;
	/* before anything is known: the latest that is not past the file's own time */
	assert_true(resolve(&c, "Apr 02 23:29:35.165", 0) == 1743636575 * S + 165 * MS);
	c = (struct obs_clock){ .reference_ns = 1767225600 * S };
	assert_true(resolve(&c, "2025-01-01 00:00:10", 0) == 1735689610 * S);
	assert_true(resolve(&c, "Dec 31 23:59:50", 0) == 1735689590 * S); /* of 2024 */
	c = (struct obs_clock){ 0 };
	assert_true(resolve(&c, "2024-12-31 23:59:59", 0) == 1735689599 * S);
	assert_true(resolve(&c, "Jan 01 00:00:01", 0) == 1735689601 * S);
}

static void zones_are_read(void **state)
{
	static const struct {
		const char *name;
		int err;
		const char *local;
		int64_t offset_s;
	} zones[] = {
		{ "UTC", 0, "2025-07-01 12:00:00", 0 },
		{ "+02:00", 0, "2025-07-01 12:00:00", 7200 },
		{ "-0530", 0, "2025-07-01 12:00:00", -19800 },
		{ "Europe/Berlin", 0, "2025-07-01 12:00:00", 7200 },
		{ "Europe/Berlin", 0, "2025-12-01 12:00:00", 3600 },
		{ "America/New_York", 0, "2025-12-01 12:00:00", -18000 },
		{ "../../etc/passwd", -EINVAL, "", 0 },
		{ "/etc/passwd", -EINVAL, "", 0 },
		{ "Nowhere/City", -ENOENT, "", 0 },
		{ "", -EINVAL, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		cleanup_zone struct obs_zone *z = NULL;
		struct obs_text_time t;
		int err = obs_zone_open(zones[i].name, &z);

		if (err == -ENOENT && !zones[i].err)
			continue; /* no zone database here */
		if (err != zones[i].err)
			fail_msg("%s: %d", zones[i].name, err);
		if (!z)
			continue;
		obs_time_scan_iso(obs_slice_str(zones[i].local), &t);
		if (obs_zone_offset_ns(z, t.ns, 0) != zones[i].offset_s * (int64_t)S)
			fail_msg("%s: wrong offset", zones[i].name);
	}
}

/* On 2025-10-26 at 3:00 Berlin goes back to 2:00: 2:30 comes twice, and time does not run back. */
static void the_repeated_hour_is_told_apart(void **state)
{
	cleanup_zone struct obs_zone *z = NULL;
	struct obs_clock c = { 0 };
	const uint64_t first = 1761438600 * S; /* 00:30 UTC */

	(void)state;
	if (obs_zone_open("Europe/Berlin", &z) == -ENOENT)
		skip();
	c.zone = z;
	assert_true(resolve(&c, "2025-10-26 02:30:00", 0) == first);
	assert_true(resolve(&c, "2025-10-26 02:50:00", 0) == first + 1200 * S);
	assert_true(resolve(&c, "2025-10-26 02:30:00", 0) == first + H);
	assert_true(resolve(&c, "2025-10-26 03:00:00", 0) == first + H + 1800 * S);
	/* 2025-03-30 02:30 does not exist */
	c = (struct obs_clock){ .zone = z };
	assert_true(resolve(&c, "2025-03-30 02:30:00", 0) == 1743298200 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iso_times_are_read),
		cmocka_unit_test(month_names_are_read),
		cmocka_unit_test(the_kernel_teaches_the_zone),
		cmocka_unit_test(missing_years_are_found),
		cmocka_unit_test(zones_are_read),
		cmocka_unit_test(the_repeated_hour_is_told_apart),
	};

	return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
