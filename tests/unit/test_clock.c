// SPDX-License-Identifier: BSD-2-Clause
/* test_clock.c - kernel time is turned into wall time, whatever happens to the clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/clock.h"

/* The world: readings advance by what reading costs, and by an interruption now and then. */
static uint64_t boot, wall;
static unsigned reads, interrupted_at;

static void pass(uint64_t ns)
{
	boot += ns;
	wall += ns;
}

static void one_read(void)
{
	pass(30);
	if (++reads == interrupted_at)
		pass(5000000); /* preempted for 5 ms */
}

static uint64_t read_boot(void)
{
	one_read();
	return boot;
}

static uint64_t read_wall(void)
{
	one_read();
	return wall;
}

#define S ((int64_t)OBS_NS_PER_S)

static void the_offset_follows_the_wall_clock(void **state)
{
	static const struct {
		const char *what;
		int64_t wall_ns; /* what happens to the wall clock alone */
		uint64_t both_ns;
		int64_t step; /* told; 0 = none */
	} cases[] = {
		{ "nothing", 0, 1000000000, 0 },
		{ "noise", 5000, 1000000000, 0 },
		{ "set forward", 3600 * S, 0, 3600 * S },
		{ "set back before the boot", -1700000000 * S, 0, -1700000000 * S },
		{ "set to now", 1700000000 * S, 0, 1700000000 * S },
		{ "suspended for 8 hours", 0, 8 * 3600 * 1000000000ULL, 0 },
		{ "slewed by 500 ppm", 500000, 1000000000, 500000 },
		{ "leap second", -S, 0, -S },
	};
	struct obs_wall_clock c = {};

	(void)state;
	boot = 12345 * OBS_NS_PER_S;
	wall = 1700000000 * OBS_NS_PER_S;
	for (unsigned at = 0; at < 6; at++) { /* interrupted nowhere, and at each early read */
		interrupted_at = 0;
		obs_wall_clock_measure(&c, read_wall, read_boot);
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			int64_t step, error;

			pass(cases[i].both_ns);
			wall += (uint64_t)cases[i].wall_ns;
			reads = 0;
			interrupted_at = at;
			step = obs_wall_clock_measure(&c, read_wall, read_boot);
			error = step - cases[i].step;
			if (error < -20000 || error > 20000)
				fail_msg("%s: told %lld", cases[i].what, (long long)step);
			error = (int64_t)(obs_wall_clock_at(&c, boot) - wall);
			if (error < -20000 || error > 20000)
				fail_msg("%s: %lld ns off", cases[i].what, (long long)error);
		}
	}
}

/* Small changes do not add up unseen. */
static void a_slow_drift_is_followed(void **state)
{
	struct obs_wall_clock c = {};

	(void)state;
	interrupted_at = 0;
	obs_wall_clock_measure(&c, read_wall, read_boot);
	for (int i = 0; i < 1000; i++) {
		int64_t error;

		pass(2000000);
		wall += 1000;
		obs_wall_clock_measure(&c, read_wall, read_boot);
		error = (int64_t)(wall - obs_wall_clock_at(&c, boot));
		assert_in_range(error + 20000, 0, 40000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_offset_follows_the_wall_clock),
		cmocka_unit_test(a_slow_drift_is_followed),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
