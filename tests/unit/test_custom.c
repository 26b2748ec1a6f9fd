// SPDX-License-Identifier: BSD-2-Clause
/* The operator's own patterns and scrub rules: what YAML gives them, and what is told. */
#include "check.h"

#include <errno.h>
#include <stdlib.h>

#include "config/config.h"
#include "parse/patterns.h"
#include "pipeline/custom.h"
#include "pipeline/scrub.h"

#define RULES_OF(level) \
	"scrub:\n  level: " level "\n  rules:\n    - {name: w, regex: 'wallet \\d+'}\n"

static struct obs_config *config_of(const char *yaml)
{
	char path[] = "/tmp/obs-custom-XXXXXX";
	cleanup_close int fd = mkstemp(path);
	cleanup_buf struct obs_buf messages = { 0 };
	struct obs_config *c = NULL;

	assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
	assert_int_equal(obs_config_load(path, &messages, &c), 0);
	unlink(path);
	return c;
}

static const struct {
	const char *name, *yaml, *told; /* told NULL: it is right */
} cases[] = {
	{ "nothing", "node_id: x\n", NULL },
	{ "empty", "patterns: []\nscrub:\n  rules: []\n", NULL },
	{ "both",
	  "patterns:\n  - name: a\n    regex: b\nscrub:\n  rules:\n    - {name: c, regex: d}\n",
	  NULL },
	{ "no list", "patterns: {a: b}\n", "patterns is a list" },
	{ "no mapping", "patterns: [a]\n", "patterns, entry 1: an entry has keys" },
	{ "no regex", "patterns:\n  - name: a\n    regex: b\n  - name: c\n",
	  "patterns, entry 2: it needs a name and a regex" },
	{ "unknown key", "patterns:\n  - {name: a, regex: b, evnt: log}\n",
	  "no key is called 'evnt'" },
	{ "bad regex", "patterns:\n  - {name: a, regex: '('}\n", "pattern 'a': " },
	{ "bad event", "patterns:\n  - {name: a, regex: b, event: nonsense}\n",
	  "no such event type" },
	{ "no code", "patterns:\n  - {name: a, regex: b, event: error}\n", "an error has a code" },
	{ "bad field", "patterns:\n  - {name: a, regex: b, fields: ['x y']}\n",
	  "a field is made of" },
	{ "no fields", "patterns:\n  - {name: a, regex: b, fields: x}\n", "fields is a list" },
	{ "no event key in a rule", "scrub:\n  rules:\n    - {name: a, regex: b, event: log}\n",
	  "scrub.rules, entry 1: no key is called 'event'" },
	{ "bad rule", "scrub:\n  rules:\n    - {name: a, regex: '('}\n", "scrub rule 'a': " },
};

static void mistakes_are_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_config struct obs_config *c = config_of(cases[i].yaml);
		cleanup_buf struct obs_buf messages = { 0 };
		int r = obs_custom_check(c, &messages);

		if (r != (cases[i].told ? -EINVAL : 0))
			fail_msg("%s: %d, %s", cases[i].name, r, obs_buf_cstr(&messages));
		if (cases[i].told && !strstr(obs_buf_cstr(&messages), cases[i].told))
			fail_msg("%s: told %s", cases[i].name, obs_buf_cstr(&messages));
	}
}

static void groups_become_fields(void **state)
{
	cleanup_config struct obs_config *c = config_of(
		"patterns:\n  - name: gpu\n    regex: 'GPU (?<gpu>\\d+) at (\\S+) (\\w+)'\n"
		"    event: error\n    code: GPU_HOT\n    fields: [celsius, unit]\n");
	cleanup_patterns struct obs_patterns *p = NULL;
	cleanup_buf struct obs_buf json = { 0 };
	struct obs_event ev = { 0 };

	(void)state;
	assert_int_equal(obs_custom_patterns(c, NULL, &p), 0);
	assert_false(obs_patterns_match(p, OBS_SLICE("GPU x"), &ev));
	assert_true(obs_patterns_match(p, OBS_SLICE("GPU 3 at 81.5 C"), &ev));
	assert_int_equal(obs_event_format(&ev, OBS_SLICE("n"), &json), 0);
	if (!strstr(obs_buf_cstr(&json), "\"event_type\":\"error\",\"details\":{\"event\":\"gpu\","
					 "\"code\":\"GPU_HOT\",\"gpu\":3,\"celsius\":81.5,"
					 "\"unit\":\"C\"}"))
		fail_msg("%s", obs_buf_cstr(&json));
}

static void rules_scrub_by_level(void **state)
{
	static const char *const host[] = { "192.0.2.7" };
	static const char text[] = "wallet 12 of 192.0.2.7";
	const struct {
		const char *level, *want;
	} levels[] = { { "off", NULL },
		       { "standard", "[W] of 192.0.2.7" },
		       { "strict", "[W] of [HOST]" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		cleanup_buf struct obs_buf full = { 0 };
		cleanup_config struct obs_config *c = NULL;
		cleanup_scrub struct obs_scrub *s = NULL;

		obs_buf_printf(&full, RULES_OF("%s"), levels[i].level);
		c = config_of(obs_buf_cstr(&full));
		assert_int_equal(obs_custom_scrub(c, NULL, host, 1, NULL, &s), 0);
		assert_int_equal(s != NULL, levels[i].want != NULL);
		if (!s)
			continue;
		check_text(levels[i].level, obs_scrub_text(s, obs_slice_str(text)), levels[i].want);
		for (size_t r = 0; obs_scrub_name(s, r); r++) {
			if (!strcmp(obs_scrub_name(s, r), "w"))
				assert_int_equal(obs_scrub_count(s, r), 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(groups_become_fields),
		cmocka_unit_test(rules_scrub_by_level),
	};

	return cmocka_run_group_tests_name("custom", tests, NULL, NULL);
}
