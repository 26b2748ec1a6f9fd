// SPDX-License-Identifier: BSD-2-Clause
/* test_rpc.c - JSON read without a tree, and answers of JSON-RPC servers, the broken ones too. */
#include "check.h"

#include "parse/jsonread.h"
#include "parse/rpc.h"

static void json_values(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{ "{}", true },		  { "\xef\xbb\xbf [1, {\"a\": \"}]\\\"\"}] ", true },
		{ "null", true },	  { "", false },
		{ "{} {}", false },	  { "[1", false },
		{ "[1}", false },	  { "\"abc", false },
		{ "{\"a\":\"\\", false }, { "]", false },
	};
	struct obs_slice v;
	char deep[OBS_JSON_DEPTH_MAX * 2 + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if ((obs_json_text(obs_slice_str(rows[i].text), &v) == 0) != rows[i].ok)
			fail_msg("%s", rows[i].text);
	}
	memset(deep, '[', OBS_JSON_DEPTH_MAX + 1);
	memset(deep + OBS_JSON_DEPTH_MAX + 1, ']', OBS_JSON_DEPTH_MAX + 1);
	assert_int_equal(obs_json_text(obs_slice(deep, sizeof(deep)), &v), -EBADMSG);
	assert_int_equal(obs_json_text(obs_slice(deep + 1, sizeof(deep) - 2), &v), 0);
}

static void json_walks(void **state)
{
	struct obs_slice v, s;
	struct obs_json_walk w;
	int64_t n;

	(void)state;
	assert_true(obs_json_get(OBS_SLICE("{\"a\":{\"b\":1},\"b\":\"-20\"}"), "b", &v));
	assert_true(obs_json_number(v, &n) && n == -20);
	assert_false(obs_json_get(OBS_SLICE("{\"a\" 1,\"b\":2}"), "b", &v));
	assert_false(obs_json_get(OBS_SLICE("[\"b\",2]"), "b", &v));
	assert_false(obs_json_get(OBS_SLICE("{b:2}"), "b", &v));
	assert_false(obs_json_number(OBS_SLICE("1e3"), &n));
	assert_false(obs_json_number(OBS_SLICE("99999999999999999999"), &n));
	assert_false(obs_json_number(OBS_SLICE("-"), &n));
	assert_false(obs_json_string(OBS_SLICE("\""), &s));
	assert_true(obs_json_walk_init(&w, OBS_SLICE("[1 2]")));
	assert_true(obs_json_walk_next(&w, NULL, &v));
	assert_false(obs_json_walk_next(&w, NULL, &v));
}

/* Three questions with the ids 7, 8 and 9; the kinds of their answers as letters. */
static void answers(void **state)
{
	static const struct {
		const char *text;
		int ret;
		const char *kinds; /* m(issing) r(esult) v (reverted) l(imited) f(ailed) */
	} rows[] = {
		{ "[{\"id\":9,\"result\":\"0x1\"},{\"id\":\"7\",\"result\":\"0x2\"}]", 0, "rmr" },
		{ "[{\"id\":8,\"result\":\"0x1\",\"error\":{\"code\":3,\"data\":\"0x\"}}]", 0,
		  "mvm" },
		{ "[{\"id\":7,\"error\":{\"code\":-32603,\"data\":{\"data\":\"0x\"}}}]", 0, "vmm" },
		{ "[{\"id\":7,\"error\":{\"code\":-32000,\"message\":\"execution reverted\"}}]", 0,
		  "vmm" },
		{ "[{\"id\":7,\"error\":{\"code\":-32603,\"message\":\"out of gas\"}}]", 0, "fmm" },
		{ "[{\"id\":7,\"error\":{\"code\":-32005,\"message\":\"Too Many Requests\"}}]", 0,
		  "lmm" },
		{ "[{\"id\":7,\"result\":null},{\"id\":8},{\"id\":10,\"result\":1},5,[]]", 0,
		  "mmm" },
		{ "[{\"id\":7,\"result\":1},{\"id\":7,\"error\":\"x\"}]", 0, "rmm" },
		{ "{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"no batches\"}}",
		  -EOPNOTSUPP, "fff" },
		{ "{\"id\":1,\"error\":{\"code\":429}}", 0, "lll" },
		{ "{\"id\":7,\"result\":\"0x1\"}", -EBADMSG, "mmm" },
		{ "<html>", -EBADMSG, "mmm" },
		{ "\"0x\"", -EBADMSG, "mmm" },
		{ "[{\"id\":7,\"result\":\"0x1\"}", -EBADMSG, "mmm" },
	};
	struct obs_rpc_answer a[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char kinds[4] = "";

		assert_int_equal(obs_rpc_parse(obs_slice_str(rows[i].text), 7, 3, a), rows[i].ret);
		for (size_t k = 0; k < 3; k++)
			kinds[k] = "mrvlf"[a[k].kind];
		if (strcmp(kinds, rows[i].kinds) != 0)
			fail_msg("%s: %s, want %s", rows[i].text, kinds, rows[i].kinds);
	}
	assert_int_equal(obs_rpc_parse(OBS_SLICE("{\"id\":7,\"result\":\"0x1\"}"), 7, 1, a), 0);
	assert_int_equal(a[0].kind, OBS_RPC_RESULT);
	assert_int_equal(obs_rpc_parse(OBS_SLICE("{\"id\":6,\"result\":\"0x1\"}"), 7, 1, a), 0);
	assert_int_equal(a[0].kind, OBS_RPC_MISSING);
}

static void log_entries(void **state)
{
	static const char good[] =
		"{\"address\":\"0xaa\",\"topics\":[\"0x01\",\"0x02\"],\"data\":\"0x\","
		"\"blockNumber\":\"0x10\",\"transactionHash\":\"0xcc\",\"logIndex\":\"0x3\","
		"\"blockTimestamp\":\"0x64\",\"removed\":true}";
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"address\":1,\"topics\":[\"0x01\"],\"data\":\"0x\",\"blockNumber\":\"0x10\","
		"\"transactionHash\":\"0xcc\",\"logIndex\":\"0x3\"}",
		"{\"address\":\"0xaa\",\"topics\":[],\"data\":\"0x\",\"blockNumber\":\"0x10\","
		"\"transactionHash\":\"0xcc\",\"logIndex\":\"0x3\"}",
		"{\"address\":\"0xaa\",\"topics\":[1],\"data\":\"0x\",\"blockNumber\":\"0x10\","
		"\"transactionHash\":\"0xcc\",\"logIndex\":\"0x3\"}",
		"{\"address\":\"0xaa\",\"topics\":[\"0x01\"],\"data\":\"0x\",\"blockNumber\":16,"
		"\"transactionHash\":\"0xcc\",\"logIndex\":\"0x3\"}",
	};
	struct obs_rpc_log l;

	(void)state;
	assert_true(obs_rpc_log_parse(OBS_SLICE(good), &l));
	assert_true(l.n_topics == 2 && l.block == 16 && l.index == 3 && l.time_s == 100);
	assert_true(l.removed && obs_slice_eq(l.tx_hash, OBS_SLICE("0xcc")));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(obs_rpc_log_parse(obs_slice_str(bad[i]), &l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_values),
		cmocka_unit_test(json_walks),
		cmocka_unit_test(answers),
		cmocka_unit_test(log_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
