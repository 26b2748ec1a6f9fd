// SPDX-License-Identifier: BSD-2-Clause
/* Base58, peer ids, multiaddrs: published values, what real p2pds said, and hostile ones. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "parse/peerid.h"

static size_t from_hex(const char *hex, char *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte = 0;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (char)byte;
	}
	return n;
}

static const struct {
	const char *hex, *text;
} ids[] = {
	/* the vectors of the Internet-Draft "The Base58 Encoding Scheme" */
	{ "48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U" },
	{ "0000287fb4cd", "11233QC4" },
	{ "", "" },
	{ "00", "1" },
	/* ids of real peers */
	{ "0024080112209fbb5addd6341567c3932d8b84f2bd9b9e2a3f31b2d5a3ff0cd6a3f1ed3e9cbd", NULL },
	{ "1220eabc9c11ddabd9f8e6b8c4e6c2f8b5a1d3b2c4d5e6f708192a3b4c5d6e7f8091", NULL },
};

static void base58_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char raw[128], text[OBS_PEER_ID_TEXT_MAX];
		size_t n = from_hex(ids[i].hex, raw);
		int len = obs_base58_format(obs_slice(raw, n), text, sizeof(text));

		assert_int_equal(len, strlen(text));
		if (ids[i].text)
			assert_string_equal(text, ids[i].text);
		else
			assert_int_equal(strncmp(text, raw[0] ? "Qm" : "12D3Koo", raw[0] ? 2 : 7),
					 0);
	}
}

static void base58_bounds(void **state)
{
	char raw[OBS_PEER_ID_BYTES_MAX + 1], text[OBS_PEER_ID_TEXT_MAX];
	int n;

	(void)state;
	memset(raw, 0xff, sizeof(raw));
	n = obs_base58_format(obs_slice(raw, OBS_PEER_ID_BYTES_MAX), text, sizeof(text));
	assert_in_range(n, 80, OBS_PEER_ID_TEXT_MAX - 1);
	assert_int_equal(obs_base58_format(obs_slice(raw, sizeof(raw)), text, sizeof(text)),
			 -EMSGSIZE);
	assert_string_equal(text, "");
	assert_int_equal(obs_base58_format(obs_slice(raw, 8), text, 11), -EMSGSIZE);
	assert_int_equal(obs_base58_format(obs_slice(raw, 8), text, 12), 11);
}

static void valid_ids(void **state)
{
	char raw[64] = "\x12\x20";

	(void)state;
	assert_true(obs_peer_id_is_valid(obs_slice(raw, 34)));
	assert_false(obs_peer_id_is_valid(obs_slice(raw, 33)));
	raw[0] = 0;
	assert_true(obs_peer_id_is_valid(obs_slice(raw, 34)));
	raw[0] = 0x16;
	assert_false(obs_peer_id_is_valid(obs_slice(raw, 34)));
	assert_false(obs_peer_id_is_valid(obs_slice("", 0)));
}

static const struct {
	const char *hex, *want; /* NULL = -EBADMSG */
} addrs[] = {
	{ "0426650fd706753d", "/ip4/38.101.15.215/tcp/30013" },
	{ "047f000001910204d2cd03", "/ip4/127.0.0.1/udp/1234/quic-v1" },
	{ "047f000001910204d2cc03", "/ip4/127.0.0.1/udp/1234/quic" },
	{ "2920010db800000000000000000000000106a476", "/ip6/2001:db8::1/tcp/42102" },
	{ "360b6578616d706c652e6f726706115cdd03", "/dns4/example.org/tcp/4444/ws" },
	{ "90030b2f746d702f782e736f636b", "/unix/tmp/x.sock" },
	{ "a503221220ab5f8e4b2a3c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7deea202",
	  "/p2p/QmZscwEgkQhWaNp4KwD9z3SkskLLRrypDyMoXsSN9fcMVo/p2p-circuit" },
	/* as a real p2pd says it */
	{ "047f0000019102aa3bcd03d103d20322122075c664b86283c997e606bf79f22de34749186fa019a1"
	  "2e7dbecb153eaea6f7cbd2032212201ce4fd8068d719ccfd6878b7ebd53d57b50ee2c2f153a26764"
	  "13a4d35e5f00c5",
	  "/ip4/127.0.0.1/udp/43579/quic-v1/webtransport"
	  "/certhash/uEiB1xmS4YoPJl-YGv3nyLeNHSRhvoBmhLn2-yxU-rqb3yw"
	  "/certhash/uEiAc5P2AaNcZzP1oeLfr1T1XtQ7iwvFTomdkE6TTXl8AxQ" },
	{ "d203011f", "/certhash/uHw" },
	{ "d203021fe0", "/certhash/uH-A" },
	{ "d203031fe0ff", "/certhash/uH-D_" },
	{ "d20300", NULL },
	{ "", "" },
	{ "04265f", NULL }, /* too short an address */
	{ "ff7f", NULL },   /* no such protocol */
	{ "0480", NULL },
	{ "36ff01", NULL },	/* a name longer than what follows */
	{ "36036120ff", NULL }, /* a name that is none */
	{ "a503ffffffffffffffffff01", NULL },
};

static void multiaddr_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		char raw[128], text[OBS_MULTIADDR_MAX] = "left";
		size_t n = from_hex(addrs[i].hex, raw);
		cleanup_free char *exact = malloc(n + 1);
		int r;

		memcpy(exact, raw, n);
		r = obs_multiaddr_format(obs_slice(exact, n), text, sizeof(text));
		if (!addrs[i].want) {
			assert_int_equal(r, -EBADMSG);
			assert_string_equal(text, "");
			continue;
		}
		if (strcmp(text, addrs[i].want) != 0)
			fail_msg("%s: %s", addrs[i].hex, text);
		assert_int_equal(r, strlen(text));
		/* every size that is too small says so */
		for (size_t size = 1; size <= strlen(addrs[i].want); size++)
			assert_int_equal(obs_multiaddr_format(obs_slice(exact, n), text, size),
					 -EMSGSIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base58_texts),
		cmocka_unit_test(base58_bounds),
		cmocka_unit_test(valid_ids),
		cmocka_unit_test(multiaddr_texts),
	};

	return cmocka_run_group_tests_name("peerid", tests, NULL, NULL);
}
