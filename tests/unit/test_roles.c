// SPDX-License-Identifier: BSD-2-Clause
/* test_roles.c - what is known of addresses: of one node or of all, claims and facts, bounds. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/roles.h"
#include "pipeline/role_sources.h"
#include "util/cleanup.h"

#define ID    "QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ"
#define OTHER "12D3KooWFpQzycjkrxN4NyXLJVVRyLhMfYSTPTfrqn6TYvdnkUbt"

static struct obs_counters counters;

static struct obs_roles *new_roles(size_t max)
{
	struct obs_roles *r = NULL;

	memset(&counters, 0, sizeof(counters));
	assert_int_equal(obs_roles_new(max, &counters, &r), 0);
	return r;
}

static struct obs_endpoint at(uint8_t last, uint16_t port)
{
	return (struct obs_endpoint){
		.ip = { [10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = last },
		.port = port,
	};
}

static void multiaddrs_say_who_is_what(void **state)
{
	static const struct {
		const char *text;
		int want;
		unsigned as;
		const char *id;
	} cases[] = {
		{ "/ip4/192.0.2.1/tcp/9/p2p/" ID, 0, OBS_KNOWN_BOOTNODE, ID },
		{ "/ip4/192.0.2.1/udp/9/quic-v1", 0, OBS_KNOWN_BOOTNODE, "" },
		{ "/ip4/192.0.2.1/tcp/9/p2p/" ID "/p2p-circuit/p2p/" OTHER, 0, OBS_KNOWN_RELAY,
		  ID },
		{ "/dns4/boot.example/tcp/9", -EINVAL, 0, "" },
		{ "", -EINVAL, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_roles *r = new_roles(8);
		struct obs_endpoint e = at(1, 9);
		struct obs_known k;

		assert_int_equal(obs_roles_add_bootnode(r, cases[i].text, "config"), cases[i].want);
		k = obs_roles_find(r, 7, &e);
		assert_int_equal(k.as, cases[i].as);
		check_text(cases[i].text, obs_slice_str(k.peer_id), cases[i].id);
		check_text(cases[i].text, obs_slice_str(k.source),
			   cases[i].as & OBS_KNOWN_BOOTNODE ? "config" : "");
		obs_roles_free(&r);
	}
}

/* Containers have networks of their own: the same address is somebody else there. */
static void each_node_has_its_own(void **state)
{
	struct obs_roles *r = new_roles(8);
	struct obs_endpoint e = at(1, 9);

	(void)state;
	obs_roles_add_peer(r, 1, ID, OBS_SLICE("/ip4/192.0.2.1/tcp/9"), true);
	obs_roles_add_peer(r, 2, OTHER, OBS_SLICE("/ip4/192.0.2.1/tcp/9"), true);
	obs_roles_add_bootnode(r, "/ip4/192.0.2.1/tcp/9", "chain");
	check_text("1", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), ID);
	check_text("2", obs_slice_str(obs_roles_find(r, 2, &e).peer_id), OTHER);
	check_text("3", obs_slice_str(obs_roles_find(r, 3, &e).peer_id), "");
	for (uint32_t slot = 1; slot <= 3; slot++)
		assert_true(obs_roles_find(r, slot, &e).as & OBS_KNOWN_BOOTNODE);
	obs_roles_forget(r, 1);
	check_text("1", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), "");
	check_text("2", obs_slice_str(obs_roles_find(r, 2, &e).peer_id), OTHER);
	obs_roles_free(&r);
}

static void a_claim_does_not_replace_a_fact(void **state)
{
	struct obs_roles *r = new_roles(8);
	struct obs_endpoint e = at(1, 9);
	uint64_t serial;

	(void)state;
	obs_roles_note(r, 1, &e, 0, "claimed", "");
	obs_roles_note(r, 1, &e, 0, "claimed too", "");
	check_text("first", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), "claimed");
	serial = obs_roles_serial(r);
	obs_roles_note(r, 1, &e, OBS_KNOWN_CONNECTED, ID, "");
	check_text("met", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), ID);
	assert_true(obs_roles_serial(r) > serial);
	serial = obs_roles_serial(r);
	obs_roles_note(r, 1, &e, 0, "claimed", "");
	obs_roles_note(r, 1, &e, OBS_KNOWN_CONNECTED, ID, "");
	check_text("still", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), ID);
	assert_int_equal(obs_roles_serial(r), serial);
	obs_roles_note(r, 1, &e, OBS_KNOWN_CONNECTED, OTHER, "");
	check_text("anew", obs_slice_str(obs_roles_find(r, 1, &e).peer_id), OTHER);
	obs_roles_free(&r);
}

static void the_first_makes_room_but_not_bootnodes(void **state)
{
	struct obs_roles *r = new_roles(4);
	struct obs_endpoint boot = at(0, 1), own = at(99, 1), first = at(1, 9), last = at(9, 9);
	char longest[OBS_ROLES_ID_BYTES + 1];

	(void)state;
	obs_roles_add_bootnode(r, "/ip4/192.0.2.0/tcp/1", "config");
	obs_roles_add_bootnode_of(r, 1, OBS_SLICE("/ip4/192.0.2.99/tcp/1"), "log");
	for (uint8_t i = 1; i < 10; i++) {
		struct obs_endpoint e = at(i, 9);

		assert_int_equal(obs_roles_note(r, 1, &e, 0, ID, ""), 0);
	}
	assert_int_equal(counters.addresses_evicted, 7);
	assert_true(obs_roles_find(r, 1, &own).as & OBS_KNOWN_BOOTNODE);
	assert_true(obs_roles_find(r, 1, &boot).as & OBS_KNOWN_BOOTNODE);
	check_text("first", obs_slice_str(obs_roles_find(r, 1, &first).peer_id), "");
	check_text("last", obs_slice_str(obs_roles_find(r, 1, &last).peer_id), ID);
	memset(longest, 'Q', sizeof(longest));
	longest[OBS_ROLES_ID_BYTES] = '\0';
	assert_int_equal(obs_roles_note(r, 1, &last, 0, longest, ""), -EINVAL);
	obs_roles_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(multiaddrs_say_who_is_what),
		cmocka_unit_test(each_node_has_its_own),
		cmocka_unit_test(a_claim_does_not_replace_a_fact),
		cmocka_unit_test(the_first_makes_room_but_not_bootnodes),
	};

	return cmocka_run_group_tests_name("roles", tests, NULL, NULL);
}
