// SPDX-License-Identifier: BSD-2-Clause
/* test_json.c - the JSON writer against another parser. */
#include "check.h"

#include <errno.h>
#include <math.h>

#include "pipeline/json.h"

static const struct {
	const char *name;
	struct obs_slice in;
	const char *want;
} strings[] = {
	{ "empty", OBS_SLICE(""), "\"\"" },
	{ "plain, longer than a vector", OBS_SLICE("0123456789abcdefXYZ"),
	  "\"0123456789abcdefXYZ\"" },
	{ "quotes", OBS_SLICE("a\"b\\c"), "\"a\\\"b\\\\c\"" },
	{ "quote in the second vector", OBS_SLICE("0123456789abcdef\"g"),
	  "\"0123456789abcdef\\\"g\"" },
	{ "C0", OBS_SLICE("\b\f\n\r\t\x01\x1f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\"" },
	{ "NUL", OBS_SLICE("a\0b"), "\"a\\u0000b\"" },
	{ "DEL", OBS_SLICE("\x7f"), "\"\\u007f\"" },
	{ "C1", OBS_SLICE("\xc2\x80\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009f\xc2\xa0\"" },
	{ "line separators", OBS_SLICE("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"),
	  "\"\\u2028\\u2029\xe2\x80\xaa\"" },
	{ "emoji", OBS_SLICE("🐝 x"), "\"🐝 x\"" },
	{ "lone tail", OBS_SLICE("a\x80z"), "\"a\xef\xbf\xbdz\"" },
	{ "overlong", OBS_SLICE("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "surrogate", OBS_SLICE("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "above U+10FFFF", OBS_SLICE("\xf4\x90\x80\x80"),
	  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	{ "cut at the end", OBS_SLICE("x\xf0\x9f\x90"), "\"x\xef\xbf\xbd\"" },
	{ "cut before ASCII", OBS_SLICE("\xe2\x82g"), "\"\xef\xbf\xbdg\"" },
};

static void strings_are_escaped(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		cleanup_buf struct obs_buf b = { 0 };
		struct obs_json j = { .out = &b };

		obs_json_str(&j, strings[i].in);
		check_text(strings[i].name, obs_buf_slice(&b), strings[i].want);
	}
}

static void numbers_keep_their_value(void **state)
{
	cleanup_buf struct obs_buf b = { 0 };
	struct obs_json j = { .out = &b };

	(void)state;
	obs_json_array_open(&j);
	obs_json_int(&j, -42);
	obs_json_int(&j, INT64_MIN);
	obs_json_uint(&j, 0);
	obs_json_uint(&j, (uint64_t)1 << 53);
	obs_json_uint(&j, ((uint64_t)1 << 53) + 1);
	obs_json_real(&j, 9994.01);
	obs_json_real(&j, 0.1 + 0.2);
	obs_json_real(&j, INFINITY);
	obs_json_real(&j, 3);
	obs_json_real(&j, 0);
	obs_json_real(&j, -0.25);
	obs_json_real(&j, 100.5);
	obs_json_real(&j, 0.001);
	obs_json_real(&j, 0.0001);
	obs_json_real(&j, 999999999.999);
	obs_json_real(&j, 1e9);
	obs_json_real(&j, 1e300);
	obs_json_real(&j, 10.05);
	obs_json_bool(&j, true);
	obs_json_array_close(&j);
	check_text("numbers", obs_buf_slice(&b),
		   "[-42,\"-9223372036854775808\",0,9007199254740992,\"9007199254740993\","
		   "9994.01,0.30000000000000004,\"inf\",3,0,-0.25,100.5,0.001,0.0001,999999999.999,"
		   "1000000000,1e+300,10.05,true]");
}

static void commas_and_keys_fall_into_place(void **state)
{
	cleanup_buf struct obs_buf b = { 0 };
	struct obs_json j = { .out = &b };

	(void)state;
	obs_json_object_open(&j);
	obs_json_key_str(&j, "a");
	obs_json_array_open(&j);
	obs_json_array_close(&j);
	obs_json_key(&j, OBS_SLICE("k\"\n"));
	obs_json_object_open(&j);
	obs_json_object_close(&j);
	obs_json_key_str(&j, "t");
	obs_json_time(&j, 1761521427842113999ull);
	obs_json_key_str(&j, "t");
	obs_json_time(&j, 951782400000000000ull);
	obs_json_object_close(&j);
	check_text("shape", obs_buf_slice(&b),
		   "{\"a\":[],\"k\\\"\\n\":{},\"t\":\"2025-10-26T23:30:27.842113Z\","
		   "\"t\":\"2000-02-29T00:00:00.000000Z\"}");
}

static void the_ceiling_is_reported(void **state)
{
	cleanup_buf struct obs_buf b = { .max_bytes = 64 };
	struct obs_json j = { .out = &b };

	(void)state;
	for (int i = 0; i < 20; i++)
		obs_json_str(&j, OBS_SLICE("0123456789"));
	assert_int_equal(j.err, -EMSGSIZE);
	assert_true(b.len <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(numbers_keep_their_value),
		cmocka_unit_test(commas_and_keys_fall_into_place),
		cmocka_unit_test(the_ceiling_is_reported),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
