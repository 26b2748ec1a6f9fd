// SPDX-License-Identifier: BSD-2-Clause
/* test_overflows.c - what is read of /proc/PID/net/netstat; that of our own namespace. */
#include "check.h"

#include <errno.h>
#include <unistd.h>

#include "observe/overflows.h"

static void counter_is_found_by_its_name(void **state)
{
	static const struct {
		const char *what, *text;
		int r;
		uint64_t n;
	} rows[] = {
		{ "as it is",
		  "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\nIpExt: A\nIpExt: 4\n",
		  0, 22 },
		{ "not first, no end",
		  "X: a\nX: 1\nTcpExt: ListenOverflows\nTcpExt: 18446744073709551615", 0,
		  UINT64_MAX },
		{ "no such name", "TcpExt: ListenDrops\nTcpExt: 1\n", -ENOENT, 0 },
		{ "fewer numbers", "TcpExt: A ListenOverflows\nTcpExt: 1\n", -ENOENT, 0 },
		{ "no numbers", "TcpExt: A ListenOverflows\nIpExt: 1 2\n", -ENOENT, 0 },
		{ "one line", "TcpExt: A", -ENOENT, 0 },
		{ "nothing", "", -ENOENT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		uint64_t n = 0;

		snprintf(text, sizeof(text), "%s", rows[i].text);
		if (obs_overflows_parse(text, &n) != rows[i].r || n != rows[i].n)
			fail_msg("%s: %llu", rows[i].what, (unsigned long long)n);
	}
}

static void drops_that_nobody_counted_are_none(void **state)
{
	struct obs_overflows *o = NULL;

	(void)state;
	assert_int_equal(obs_overflows_new(&o), 0);
	assert_int_equal(obs_overflows_take(o, 8, (uint32_t)getpid(), 5), 5); /* has not begun */
	assert_int_equal(obs_overflows_take(o, 7, (uint32_t)getpid(), 0), 0);
	assert_int_equal(obs_overflows_take(o, 7, (uint32_t)getpid(), 5), 0);
	assert_int_equal(obs_overflows_take(o, 7, 0, 5), 5); /* cannot be asked */
	for (uint32_t ns = 100; ns < 600; ns++)		     /* more than there is room for */
		assert_int_equal(obs_overflows_take(o, ns, (uint32_t)getpid(), 0), 0);
	obs_overflows_free(&o);
	assert_null(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counter_is_found_by_its_name),
		cmocka_unit_test(drops_that_nobody_counted_are_none),
	};

	return cmocka_run_group_tests_name("overflows", tests, NULL, NULL);
}
