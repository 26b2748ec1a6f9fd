// SPDX-License-Identifier: BSD-2-Clause
/* test_abi.c - Keccak, names of functions and events, and what is in calls, results and logs. */
#include "check.h"

#include <stdlib.h>

#include "parse/abi.h"

#define W(tail) "00000000000000000000000000000000000000000000000000000000000000" tail
#define ONES	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define PEER_HEX                                                         \
	"516d5065657200000000000000000000000000000000000000000000000000" \
	"00" /* QmPeer */

static void to_hex(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		out += sprintf(out, "%02x", p[i]);
}

/* Around the block of 136 bytes, where the padding changes. */
static void keccak(void **state)
{
	static const struct {
		size_t len;
		char fill;
		const char *want;
	} rows[] = {
		{ 0, 0, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470" },
		{ 135, 'a', "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446" },
		{ 136, 'a', "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e" },
		{ 137, 'a', "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39" },
	};
	char text[137], got[65];
	uint8_t hash[OBS_KECCAK_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(text, rows[i].fill, sizeof(text));
		obs_keccak256(obs_slice(text, rows[i].len), hash);
		to_hex(hash, sizeof(hash), got);
		assert_string_equal(got, rows[i].want);
	}
	obs_keccak256(OBS_SLICE("abc"), hash);
	to_hex(hash, sizeof(hash), got);
	assert_string_equal(got,
			    "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
}

/* As block explorers print them for the real contracts. */
static void selectors(void **state)
{
	static const char *const rows[][2] = {
		{ "currentRound()", "0x8a19c8bc" },
		{ "currentStage()", "0x5bf5d54c" },
		{ "getPeerId(address[])", "0xb894a469" },
		{ "getEoa(string[])", "0x96bac35a" },
		{ "getBootnodes()", "0x6370ae4f" },
		{ "getVoterVoteCount(string)", "0xdfb3c7df" },
		{ "getTotalWins(string)", "0x099c4002" },
		{ "getTotalRewards(string[])", "0x80c3d97f" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct obs_buf out = {};

		obs_abi_put_call(&out, rows[i][0]);
		assert_string_equal(obs_buf_cstr(&out), rows[i][1]);
	}
}

static void topics(void **state)
{
	static const char *const rows[][2] = {
		{ "RoundAdvanced(uint256 indexed n)", "023811fd72d20a3e" },
		{ "StageAdvanced(uint256 indexed roundNumber,uint256 newStage)",
		  "373b83833fa259ee" },
		{ "PeerRegistered(address indexed account, string peerId)", "13ff856599d1c93e" },
		{ "WinnerSubmitted(address account,string peerId,uint256 r,string[] winners)",
		  "c49e95fe7063aa05" },
		{ "RewardSubmitted(address a,uint256 r,uint256 s,int256 v,string p)",
		  "3d9492e853616bfa" },
		{ "RewardSubmitted(address,uint256,int256,string)", "3a212c2d7121edd8" },
		{ "CumulativeRewardsUpdated(address indexed a,string p,int256 t)",
		  "984ef3ae4724684b" },
		{ "BootnodesAdded(address indexed manager,uint256 count)", "a9a386aeb1871393" },
		{ "BootnodeRemoved(address indexed manager,uint256 index)", "82d82daba96d4df2" },
		{ "AllBootnodesCleared(address indexed manager)", "283fdacb5de1271a" },
	};
	struct obs_abi_item item;
	char got[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(obs_abi_item_parse(obs_slice_str(rows[i][0]), &item), 0);
		to_hex(item.hash, 8, got);
		assert_string_equal(got, rows[i][1]);
	}
	assert_int_equal(obs_abi_item_parse(OBS_SLICE("f(tuple x)"), &item), -ENOTSUP);
	assert_int_equal(obs_abi_item_parse(OBS_SLICE("f(uint2x x)"), &item), -ENOTSUP);
	assert_int_equal(obs_abi_item_parse(OBS_SLICE("(uint8 x)"), &item), -EINVAL);
	assert_int_equal(obs_abi_item_parse(OBS_SLICE("f(uint8 a\"b)"), &item), -EINVAL);
}

static void json_abi(void **state)
{
	static const char text[] =
		"{\"abi\":[{\"type\":\"function\",\"name\":\"f\",\"inputs\":[]},"
		"{\"type\":\"event\",\"name\":\"Odd\",\"inputs\":[{\"type\":\"tuple\"}]},"
		"{\"type\":\"event\",\"name\":\"RoundAdvanced\",\"inputs\":[{\"name\":\"n\","
		"\"type\":\"uint256\",\"indexed\":true}]}]}";
	struct obs_abi_item items[2];

	(void)state;
	assert_int_equal(obs_abi_events_from_json(OBS_SLICE(text), items, 2), 1);
	assert_string_equal(items[0].name, "RoundAdvanced");
	assert_true(items[0].params[0].indexed && items[0].hash[0] == 0x02);
	assert_int_equal(obs_abi_events_from_json(OBS_SLICE("[{\"type\":\"event\""), items, 2),
			 -EBADMSG);
	assert_int_equal(obs_abi_events_from_json(OBS_SLICE("{}"), items, 2), -EBADMSG);
}

static void decimals(void **state)
{
	static const struct {
		const char *hex;
		bool is_signed;
		const char *want;
	} rows[] = {
		{ W("00"), true, "0" },
		{ W("ff"), true, "255" },
		{ ONES, true, "-1" },
		{ ONES, false,
		  "115792089237316195423570985008687907853269984665640564039457584007913129639935" },
		{ "8000000000000000000000000000000000000000000000000000000000000000", true,
		  "-57896044618658097711785492504343953926634992332820282019728792003956564819968" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct obs_buf hex = {}, bytes = {};
		char got[OBS_ABI_DECIMAL_MAX];

		obs_buf_printf(&hex, "0x%s", rows[i].hex);
		assert_int_equal(obs_hex_decode(obs_buf_slice(&hex), &bytes), 0);
		obs_abi_decimal(obs_abi_word(obs_buf_slice(&bytes), 0), rows[i].is_signed, got);
		assert_string_equal(got, rows[i].want);
	}
}

static void hex(void **state)
{
	static const char *const bad[] = { "", "0", "x0", "00", "0x0", "0xg0", "0x0 " };
	cleanup_buf struct obs_buf out = {};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(obs_hex_decode(obs_slice_str(bad[i]), &out), -EBADMSG);
	assert_true(obs_hex_number(OBS_SLICE("0x0a"), &n) && n == 10);
	assert_true(obs_hex_number(OBS_SLICE("0xffffffffffffffff"), &n) && n == UINT64_MAX);
	assert_false(obs_hex_number(OBS_SLICE("0x10000000000000000"), &n));
	assert_false(obs_hex_number(OBS_SLICE("0x"), &n));
	assert_true(obs_abi_is_address("0x00000000000000000000000000000000000000Aa"));
	assert_false(obs_abi_is_address("0x00000000000000000000000000000000000000A"));
	assert_false(obs_abi_is_address("0x00000000000000000000000000000000000000\"a"));
}

/* What is written as an argument is read back as a result of that type. */
static void there_and_back(void **state)
{
	static const char *const ids[] = { "QmPeer", "",
					   "a peer whose id takes more than one word of 32 bytes" };
	cleanup_buf struct obs_buf text = {}, bytes = {};
	struct obs_slice s, data;
	size_t first, n;

	(void)state;
	obs_buf_push_str(&text, "0x");
	obs_abi_put_strings(&text, ids, ARRAY_LEN(ids));
	assert_int_equal(obs_hex_decode(obs_buf_slice(&text), &bytes), 0);
	data = obs_buf_slice(&bytes);
	assert_true(obs_abi_array(data, 0, 0, &first, &n) && n == ARRAY_LEN(ids));
	for (size_t i = 0; i < n; i++) {
		assert_true(obs_abi_bytes(data, first, first + i * OBS_ABI_WORD, &s));
		assert_true(obs_slice_eq(s, obs_slice_str(ids[i])));
	}
	/* cut short anywhere it is refused, never read past */
	for (size_t len = 0; len < data.len; len++) {
		bool whole = obs_abi_array(obs_slice(data.p, len), 0, 0, &first, &n);

		for (size_t i = 0; whole && i < n; i++)
			whole = obs_abi_bytes(obs_slice(data.p, len), first,
					      first + i * OBS_ABI_WORD, &s);
		assert_int_equal(whole, len >= data.len - (2 * OBS_ABI_WORD - strlen(ids[2])));
	}
}

static void hostile_offsets(void **state)
{
	static const char *const rows[] = {
		"0x" ONES,
		"0x" W("20"),
		"0x" W("20") ONES,
		"0x" W("20") W("02") W("00"),
		"0x" W("40") W("01"),
		"0x0000000000000000000000000000000000000000000000007fffffffffffffff" W("01"),
	};
	struct obs_slice s;
	size_t first, n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_buf struct obs_buf bytes = {};

		assert_int_equal(obs_hex_decode(obs_slice_str(rows[i]), &bytes), 0);
		assert_false(obs_abi_array(obs_buf_slice(&bytes), 0, 0, &first, &n));
		assert_false(obs_abi_bytes(obs_buf_slice(&bytes), SIZE_MAX, 0, &s));
	}
}

/* One event of both generations: what is indexed is told by the number of topics. */
static void logs(void **state)
{
	static const char data[] = "0x" ONES W("40") W("06") PEER_HEX;
	cleanup_buf struct obs_buf bytes = {};
	struct obs_abi_log log = { .n_topics = 3 };
	struct obs_abi_item event;
	struct obs_abi_value v;

	(void)state;
	assert_int_equal(obs_hex_decode(OBS_SLICE(data), &bytes), 0);
	log.data = obs_buf_slice(&bytes);
	memset(log.topics[1] + 12, 0xab, 20);
	log.topics[2][31] = 7;
	for (int marked = 0; marked < 2; marked++) {
		assert_int_equal(
			obs_abi_item_parse(
				obs_slice_str(marked ? "R(address indexed account,uint256 indexed "
						       "round,int256 reward,string peerId)"
						     : "R(address account,uint256 round,int256 "
						       "reward,string peerId)"),
				&event),
			0);
		assert_int_equal(obs_abi_log_value(&event, &log, 0, &v), 0);
		assert_string_equal(v.buf, "0xabababababababababababababababababababab");
		assert_int_equal(obs_abi_log_value(&event, &log, 1, &v), 0);
		assert_true(v.is_number && strcmp(v.buf, "7") == 0);
		assert_int_equal(obs_abi_log_value(&event, &log, 2, &v), 0);
		assert_true(v.is_number && strcmp(v.buf, "-1") == 0);
		assert_int_equal(obs_abi_log_value(&event, &log, 3, &v), 0);
		assert_true(obs_slice_eq(v.text, OBS_SLICE("QmPeer")));
		assert_int_equal(obs_abi_log_value(&event, &log, 4, &v), -EBADMSG);
	}
	log.data.len = 64;
	assert_int_equal(obs_abi_log_value(&event, &log, 3, &v), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keccak),	  cmocka_unit_test(selectors),
		cmocka_unit_test(topics),	  cmocka_unit_test(json_abi),
		cmocka_unit_test(decimals),	  cmocka_unit_test(hex),
		cmocka_unit_test(there_and_back), cmocka_unit_test(hostile_offsets),
		cmocka_unit_test(logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
