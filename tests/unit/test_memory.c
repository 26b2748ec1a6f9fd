// SPDX-License-Identifier: BSD-2-Clause
/* test_memory.c - pages that only the start needed are let go, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "util/memory.h"

#define TABLE_BYTES (1024 * 1024)

/* Clean pages of this program, larger than anything else in it. */
static const unsigned char table[TABLE_BYTES] = { [0] = 1, [TABLE_BYTES - 1] = 2 };
static unsigned char written[TABLE_BYTES] = { [0] = 1 };

static long rss_file_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "RssFile: %ld", &kib);
	fclose(f);
	return kib;
}

static void clean_pages_go_and_come_back(void **state)
{
	unsigned sum = 0;
	long before, after, freed;

	(void)state;
	for (size_t i = 0; i < TABLE_BYTES; i += 512)
		sum += *(volatile const unsigned char *)&table[i];
	before = rss_file_kib();
	freed = obs_memory_trim();
	after = rss_file_kib();
	assert_true(freed >= TABLE_BYTES / 2);
	assert_true(before - after >= TABLE_BYTES / 2 / 1024);
	assert_int_equal(sum, 1);
	assert_int_equal(*(volatile const unsigned char *)&table[TABLE_BYTES - 1], 2);
}

static void what_was_written_stays(void **state)
{
	(void)state;
	memset(written, 7, sizeof(written));
	assert_true(obs_memory_trim() >= 0);
	for (size_t i = 0; i < TABLE_BYTES; i++)
		assert_int_equal(written[i], 7);
	/* relocated tables of libraries work on */
	assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
	assert_non_null(curl_version());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_pages_go_and_come_back),
		cmocka_unit_test(what_was_written_stays),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
