// SPDX-License-Identifier: BSD-2-Clause
/* test_maddr.c - multiaddrs as command lines and logs have them, and what only looks like one. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>

#include "parse/maddr.h"

#define ID "QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ"

static const struct {
	const char *text;
	int want;
	const char *ip;
	uint16_t port;
	const char *id;
	bool relayed;
} cases[] = {
	{ "/ip4/38.101.215.15/tcp/30021/p2p/" ID, 0, "::ffff:38.101.215.15", 30021, ID },
	{ "/ip4/38.101.215.15/udp/30021/quic-v1/p2p/" ID, 0, "::ffff:38.101.215.15", 30021, ID },
	{ "/ip6/2001:db8::1/udp/4001/quic-v1/webtransport/certhash/uHw/certhash/uEi_-/p2p/" ID, 0,
	  "2001:db8::1", 4001, ID },
	{ "/ip6/2001:db8::1/tcp/1/ipfs/" ID, 0, "2001:db8::1", 1, ID },
	{ "/ip4/192.0.2.1/tcp/65535", 0, "::ffff:192.0.2.1", 65535, "" },
	{ "/ip4/192.0.2.1/tcp/1/p2p/" ID "/p2p-circuit/p2p/QmOther", 0, "::ffff:192.0.2.1", 1, ID,
	  true },
	{ "/ip4/192.0.2.1/tcp/1/p2p-circuit", 0, "::ffff:192.0.2.1", 1, "", true },
	{ "/ip4/192.0.2.1/tcp/1/p2p-circuit/p2p/" ID, 0, "::ffff:192.0.2.1", 1, "", true },
	{ "/ip4/192.0.2.1/tcp/1/p2p/not+base58", 0, "::ffff:192.0.2.1", 1, "" },
	{ "/ip4/192.0.2.1/tcp/65536", -EINVAL, NULL, 0, NULL },
	{ "/ip4/192.0.2.1/tcp/0", -EINVAL, NULL, 0, NULL },
	{ "/ip4/192.0.2.1/tcp/-1", -EINVAL, NULL, 0, NULL },
	{ "/ip4/192.0.2.1/tcp/", -EINVAL, NULL, 0, NULL },
	{ "/ip4/192.0.2.1/tcp", -EINVAL, NULL, 0, NULL },
	{ "/ip4/192.0.2.300/tcp/1", -EINVAL, NULL, 0, NULL },
	{ "/ip4/1111111111111111111111111111111111111111111111111111/tcp/1", -EINVAL, NULL, 0,
	  NULL },
	{ "/dns4/bootnode.example/tcp/1", -EINVAL, NULL, 0, NULL },
	{ "/unix/tmp/hivemind-p2pd-x.sock", -EINVAL, NULL, 0, NULL },
	{ "ip4/192.0.2.1/tcp/1", -EINVAL, NULL, 0, NULL },
	{ "//////", -EINVAL, NULL, 0, NULL },
	{ "", -EINVAL, NULL, 0, NULL },
};

static void where_a_multiaddr_leads(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_maddr m = {};
		uint8_t want[16];
		int r = obs_maddr_parse(obs_slice_str(cases[i].text), &m);

		if (r != cases[i].want)
			fail_msg("%s: got %d", cases[i].text, r);
		if (r < 0)
			continue;
		assert_int_equal(inet_pton(AF_INET6, cases[i].ip, want), 1);
		assert_memory_equal(m.ip, want, sizeof(want));
		assert_int_equal(m.port, cases[i].port);
		assert_int_equal(m.relayed, cases[i].relayed);
		check_text(cases[i].text, m.peer_id, cases[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_a_multiaddr_leads),
	};

	return cmocka_run_group_tests_name("maddr", tests, NULL, NULL);
}
