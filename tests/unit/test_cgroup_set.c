// SPDX-License-Identifier: BSD-2-Clause
/* test_cgroup_set.c - of cgroups only the topmost are kept. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "observe/cgroup_set.h"
#include "util/cleanup.h"

static const struct {
	const char *add[4]; /* in this order */
	const char *want[3];
} cases[] = {
	{ { "/a" }, { "/a" } },
	{ { "/a", "/a" }, { "/a" } },
	{ { "/a", "/a/b" }, { "/a" } },
	{ { "/a/b", "/a" }, { "/a" } },
	{ { "/a/b", "/a/c", "/a" }, { "/a" } },
	{ { "/a/b", "/ab", "/a" }, { "/a", "/ab" } },
	{ { "/a", "/ab" }, { "/a", "/ab" } },
	{ { "/a", "/b/c", "/" }, { "/" } },
	{ { "/", "/a" }, { "/" } },
};

static void only_the_topmost_stay(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_cgroup_set set = {};
		size_t n = 0;

		for (size_t j = 0; j < ARRAY_LEN(cases[i].add) && cases[i].add[j]; j++)
			assert_int_equal(obs_cgroup_set_add(&set, obs_slice_str(cases[i].add[j])),
					 0);
		for (; n < ARRAY_LEN(cases[i].want) && cases[i].want[n]; n++) {
			if (!obs_cgroup_set_has(&set, cases[i].want[n]))
				fail_msg("case %zu: no %s", i, cases[i].want[n]);
		}
		assert_int_equal(set.n, n);
		obs_cgroup_set_reset(&set);
		assert_int_equal(set.n, 0);
	}
}

static void too_many_are_all(void **state)
{
	struct obs_cgroup_set set = {};
	char path[32];

	(void)state;
	for (unsigned i = 0; i <= OBS_CGROUP_SET_MAX; i++) {
		assert_int_equal(set.n, i);
		snprintf(path, sizeof(path), "/c%u", i);
		assert_int_equal(obs_cgroup_set_add(&set, obs_slice_str(path)), 0);
	}
	assert_int_equal(set.n, 1);
	assert_true(obs_cgroup_set_has(&set, "/"));
	obs_cgroup_set_reset(&set);
}

static void what_is_no_path(void **state)
{
	static const char *const texts[] = { "", "a", "/..", "/../a" };
	char path[OBS_CGROUP_PATH_MAX + 1];
	struct obs_cgroup_set set = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(obs_cgroup_set_add(&set, obs_slice_str(texts[i])), -EINVAL);
	memset(path, '/', sizeof(path));
	path[OBS_CGROUP_PATH_MAX] = '\0';
	assert_int_equal(obs_cgroup_set_add(&set, obs_slice_str(path)), -EINVAL);
	assert_int_equal(set.n, 0);
}

static void the_line_of_v2(void **state)
{
	static const struct {
		const char *text, *want;
	} texts[] = {
		{ "0::/user.slice\n", "/user.slice" },
		{ "0::/", "/" },
		{ "12:cpu:/x\n1:name=systemd:/y\n0::/a/b\n", "/a/b" },
		{ "10::/not\n", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		check_text(texts[i].text, obs_cgroup_v2_path(obs_slice_str(texts[i].text)),
			   texts[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_topmost_stay),
		cmocka_unit_test(too_many_are_all),
		cmocka_unit_test(what_is_no_path),
		cmocka_unit_test(the_line_of_v2),
	};

	return cmocka_run_group_tests_name("cgroup_set", tests, NULL, NULL);
}
