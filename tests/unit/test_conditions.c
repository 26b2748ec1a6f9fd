// SPDX-License-Identifier: BSD-2-Clause
/* test_conditions.c - each condition from both sides of its limit, its words, its beginning and end. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>

#include "model/conditions.h"
#include "model/roles.h"
#include "util/clock.h"

#define S ((uint64_t)OBS_NS_PER_S)

static const struct obs_condition_limits limits = { .no_dht_peer_s = 60,
						    .bootnodes_unreachable_s = 10,
						    .half_open_storm = 100,
						    .rtt_grew = 5,
						    .clock_offset_s = 2,
						    .not_reachable_s = 600,
						    .ended_after_s = 15 };

static const struct obs_peer_hint p2pd = { .process = "p2pd", .rpc_host = "" };

struct world {
	struct obs_roles *roles;
	struct obs_peers *peers;
	struct obs_p2p_view *view;
	struct obs_conditions conditions;
	uint64_t now_s;
	bool no_p2pd;
	unsigned begun[OBS_CONDITIONS_MAX], ended[OBS_CONDITIONS_MAX];
};

static struct world new_world(void)
{
	struct obs_peers_options opt = { .peers_max = 64, .conns_max = 64, .slot = 1 };
	struct world w = { .now_s = 1000 };

	assert_int_equal(obs_roles_new(16, NULL, &w.roles), 0);
	opt.roles = w.roles;
	assert_int_equal(obs_peers_new(&opt, &w.peers), 0);
	return w;
}

static void end_world(struct world *w)
{
	obs_peers_free(&w->peers);
	obs_roles_free(&w->roles);
}

static void on_change(void *ctx, enum obs_condition_id id, const struct obs_condition *c)
{
	struct world *w = ctx;

	(c->holds ? w->begun : w->ended)[id]++;
}

static const struct obs_condition *look(struct world *w, uint64_t now_s, enum obs_condition_id id)
{
	struct obs_condition_facts facts = {
		.peers = w->peers,
		.p2p = w->view,
		.has_p2pd = !w->no_p2pd,
		.wall_ns = now_s * S,
		.now_ns = now_s * S,
	};

	w->now_s = now_s;
	obs_conditions_look(&w->conditions, &limits, &facts, on_change, w);
	return &w->conditions.of[id];
}

static struct obs_endpoint at(const char *ip, uint16_t port)
{
	struct obs_endpoint e = { .ip = { [10] = 0xff, [11] = 0xff }, .port = port };

	assert_int_equal(inet_pton(AF_INET, ip, e.ip + 12), 1);
	return e;
}

static struct obs_conn_facts facts_of(uint64_t id, const char *ip, uint16_t port)
{
	return (struct obs_conn_facts){ .id = { id, 1 },
					.local = at("192.0.2.1", 40000),
					.remote = at(ip, port),
					.pid = 10,
					.state = OBS_TCP_STATE_ESTABLISHED,
					.direction = OBS_DIRECTION_OUT };
}

static struct obs_conn *open_conn(struct world *w, uint64_t id, const char *ip, uint32_t srtt_us)
{
	struct obs_conn_facts f = facts_of(id, ip, 4001);
	bool is_new;

	f.srtt_us = srtt_us;
	return obs_peers_see(w->peers, &f, &p2pd, w->now_s * S, &is_new);
}

#define ID "12D3KooWRYXppyiGWJwtXKJZr5V2dbZQBTxusZcF2upJmS4SCoGB"

static void note_bootnode(struct world *w, const struct obs_endpoint *e, const char *peer_id)
{
	assert_int_equal(obs_roles_note(w->roles, 1, e, OBS_KNOWN_BOOTNODE, peer_id, "test"), 0);
}

static void fail_conn(struct world *w, const char *ip, uint16_t port, int err)
{
	struct obs_conn_facts f = facts_of(99, ip, port);

	f.err = err;
	assert_non_null(obs_peers_failed(w->peers, &f, &p2pd, w->now_s * S));
}

static void close_conn(struct world *w, struct obs_conn *c)
{
	struct obs_conn_facts f = c->f;

	obs_peers_end(w->peers, c, &f, w->now_s * S);
}

static void no_peer_for_so_long(void **state)
{
	struct world w = new_world();
	const struct obs_condition *c;
	struct obs_conn *conn;

	(void)state;
	conn = open_conn(&w, 1, "192.0.2.7", 1000);
	assert_false(look(&w, 1000, OBS_NO_DHT_PEER)->holds);
	close_conn(&w, conn);
	assert_false(look(&w, 1100, OBS_NO_DHT_PEER)->holds);
	assert_false(look(&w, 1159, OBS_NO_DHT_PEER)->holds);
	c = look(&w, 1160, OBS_NO_DHT_PEER);
	assert_true(c->holds);
	assert_int_equal(c->since_wall_ns, 1100 * S);
	assert_string_equal(c->found.words, "no connection to any peer of the swarm; 1 are known");
	assert_string_equal(c->found.evidence[0], "192.0.2.7:4001: closed, 160 s ago");
	/* one look that is well is not its end, well for long is; without p2pd it is no question */
	conn = open_conn(&w, 2, "192.0.2.7", 1000);
	assert_true(look(&w, 1170, OBS_NO_DHT_PEER)->holds);
	close_conn(&w, conn);
	assert_true(look(&w, 1180, OBS_NO_DHT_PEER)->holds);
	w.no_p2pd = true;
	look(&w, 1190, OBS_NO_DHT_PEER);
	assert_false(look(&w, 1206, OBS_NO_DHT_PEER)->holds);
	assert_int_equal(w.begun[OBS_NO_DHT_PEER], 1);
	assert_int_equal(w.ended[OBS_NO_DHT_PEER], 1);
	end_world(&w);
}

static void all_bootnodes_each_with_its_error(void **state)
{
	struct world w = new_world();
	struct obs_endpoint a = at("192.0.2.1", 1), b = at("192.0.2.2", 2);
	const struct obs_condition *c;
	struct obs_conn *conn;

	(void)state;
	assert_false(look(&w, 1000, OBS_BOOTNODES_UNREACHABLE)->suspected_ns);
	note_bootnode(&w, &a, ID);
	note_bootnode(&w, &b, "");
	fail_conn(&w, "192.0.2.1", 1, ECONNREFUSED);
	fail_conn(&w, "192.0.2.2", 2, ETIMEDOUT);
	assert_false(look(&w, 1002, OBS_BOOTNODES_UNREACHABLE)->holds);
	c = look(&w, 1012, OBS_BOOTNODES_UNREACHABLE);
	assert_true(c->holds);
	assert_int_equal(c->found.n_evidence, 2);
	assert_string_equal(c->found.evidence[0], "192.0.2.1:1 (" ID "): refused, 12 s ago");
	assert_string_equal(c->found.evidence[1], "192.0.2.2:2: timeout, 12 s ago");
	/* one of them is back */
	struct obs_conn_facts f = facts_of(5, "192.0.2.2", 2);
	bool is_new;

	conn = obs_peers_see(w.peers, &f, &p2pd, w.now_s * S, &is_new);
	look(&w, 1020, OBS_BOOTNODES_UNREACHABLE);
	assert_false(look(&w, 1040, OBS_BOOTNODES_UNREACHABLE)->holds);
	/* closed in good order is not unreachable; the next attempt is, if it fails */
	close_conn(&w, conn);
	assert_false(look(&w, 1050, OBS_BOOTNODES_UNREACHABLE)->suspected_ns);
	fail_conn(&w, "192.0.2.2", 2, ECONNREFUSED);
	assert_true(look(&w, 1060, OBS_BOOTNODES_UNREACHABLE)->suspected_ns);
	end_world(&w);
}

static void a_quic_bootnode_that_never_answers(void **state)
{
	struct world w = new_world();
	struct obs_flow_facts f = {
		.remote = at("192.0.2.3", 3), .local_port = 7, .packets_out = 4, .quic_version = 1
	};
	struct obs_endpoint a = f.remote;
	struct obs_flow *flow;
	bool is_new;

	(void)state;
	note_bootnode(&w, &a, "");
	flow = obs_peers_flow(w.peers, &f, &p2pd, w.now_s * S, &is_new);
	assert_true(look(&w, 1000, OBS_NO_DHT_PEER)->suspected_ns); /* open, but nobody there */
	obs_peers_flow_end(w.peers, flow, w.now_s * S);
	assert_true(look(&w, 1001, OBS_BOOTNODES_UNREACHABLE)->suspected_ns);
	flow = obs_peers_flow(w.peers, &f, &p2pd, w.now_s * S, &is_new);
	f.packets_in = 1;
	obs_peers_flow(w.peers, &f, &p2pd, (w.now_s + 1) * S, &is_new);
	assert_false(look(&w, 1003, OBS_BOOTNODES_UNREACHABLE)->suspected_ns);
	assert_false(look(&w, 1003, OBS_NO_DHT_PEER)->suspected_ns);
	obs_peers_flow_end(w.peers, flow, w.now_s * S);
	assert_int_equal(obs_peers_find_peer(w.peers, &a)->open, 0);
	assert_int_equal(obs_peers_find_peer(w.peers, &a)->unanswered, 0);
	assert_int_equal(obs_peers_find_peer(w.peers, &a)->failed, 1);
	end_world(&w);
}

static void handshakes_both_ways(void **state)
{
	struct world w = new_world();
	struct obs_conn_facts listener = {
		.id = { 50, 1 }, .local = at("0.0.0.0", 4001), .pid = 10, .half_open = 60
	};
	const struct obs_condition *c;

	(void)state;
	obs_peers_start_pass(w.peers);
	obs_peers_listens(w.peers, &listener, "p2pd");
	for (int i = 0; i < 39; i++)
		obs_peers_dials(w.peers);
	obs_peers_end_pass(w.peers, NULL, NULL);
	assert_false(look(&w, 1000, OBS_HALF_OPEN_STORM)->holds);
	obs_peers_start_pass(w.peers);
	for (int i = 0; i < 40; i++)
		obs_peers_dials(w.peers);
	obs_peers_end_pass(w.peers, NULL, NULL);
	c = look(&w, 1001, OBS_HALF_OPEN_STORM);
	assert_true(c->holds);
	assert_string_equal(c->found.evidence[0],
			    "0.0.0.0:4001 (p2pd): 60 begun by others and not finished");
	assert_string_equal(c->found.evidence[1], "40 begun by the node and not answered");
	end_world(&w);
}

/* After a restart a storm of before is not over because nobody has looked yet. */
static void nobody_has_looked(void **state)
{
	struct world w = new_world();
	struct obs_condition *c = &w.conditions.of[OBS_HALF_OPEN_STORM];

	(void)state;
	c->holds = true;
	c->restored_ns = 1000 * S;
	assert_true(look(&w, 1001, OBS_HALF_OPEN_STORM)->holds);
	assert_false(c->well_ns);
	obs_peers_start_pass(w.peers);
	obs_peers_end_pass(w.peers, NULL, NULL);
	assert_true(look(&w, 1002, OBS_HALF_OPEN_STORM)->holds);
	assert_false(look(&w, 1002 + 15, OBS_HALF_OPEN_STORM)->holds);
	end_world(&w);
}

static void usual_rtt(void **state)
{
	uint32_t usual = obs_rtt_usual(0, 20000);
	unsigned n = 0;

	(void)state;
	assert_int_equal(usual, 20000);
	assert_int_equal(obs_rtt_usual(usual, 0), 20000); /* nothing was measured */
	for (int i = 0; i < 20; i++)
		usual = obs_rtt_usual(usual, 10000);
	assert_in_range(usual, 10000, 10100);
	/* five times as much becomes usual only after some hundred samples */
	for (; usual < 50000; n++)
		usual = obs_rtt_usual(usual, 50000);
	assert_in_range(n, 350, 450);
}

static void rtt_of_half_of_them(void **state)
{
	struct world w = new_world();
	const struct obs_condition *c;

	(void)state;
	open_conn(&w, 1, "192.0.2.1", 4000);
	open_conn(&w, 2, "192.0.2.2", 20000);
	open_conn(&w, 3, "192.0.2.3", 20000);
	obs_peers_learn_rtts(w.peers);
	open_conn(&w, 2, "192.0.2.2", 100000);
	assert_false(look(&w, 1000, OBS_RTT_GREW)->suspected_ns); /* a third of them */
	open_conn(&w, 1, "192.0.2.1", 9999); /* more than five times, but short */
	assert_false(look(&w, 1001, OBS_RTT_GREW)->suspected_ns);
	open_conn(&w, 3, "192.0.2.3", 100000);
	assert_true(look(&w, 1002, OBS_RTT_GREW)->suspected_ns);
	c = look(&w, 1012, OBS_RTT_GREW);
	assert_true(c->holds);
	assert_true(c->found.value == 5);
	assert_string_equal(c->found.evidence[0], "192.0.2.2:4001: 100.0 ms, usually 20.0 ms, "
						  "at best 0.0 ms");
	open_conn(&w, 3, "192.0.2.3", 99000);
	look(&w, 1020, OBS_RTT_GREW);
	assert_false(look(&w, 1036, OBS_RTT_GREW)->holds);
	end_world(&w);
}

static void clock_of_most_peers(void **state)
{
	struct obs_p2p_peer peer = { .id = "12D3KooA", .has_clock = true, .clock_offset_s = -2.5 };
	const struct obs_p2p_peer *list[] = { &peer };
	static struct obs_p2p_view view;
	struct world w = new_world();
	const struct obs_condition *c;

	(void)state;
	view = (struct obs_p2p_view){ .n_peers = 1, .peers = list };
	w.view = &view;
	assert_false(look(&w, 1000, OBS_CLOCK_OFFSET)->holds);
	view.dht.clock_peers = 1;
	view.dht.clock_median_s = -2;
	assert_false(look(&w, 1000, OBS_CLOCK_OFFSET)->holds);
	view.dht.clock_median_s = -2.5;
	c = look(&w, 1001, OBS_CLOCK_OFFSET);
	assert_true(c->holds);
	assert_string_equal(c->found.words, "this clock is 2.5 s ahead of those of 1 peers");
	assert_string_equal(c->found.evidence[0], "12D3KooA: -2.500 s");
	obs_conditions_end(&w.conditions, on_change, &w); /* the node is gone */
	assert_int_equal(w.ended[OBS_CLOCK_OFFSET], 1);
	end_world(&w);
}

static void nobody_outside_came(void **state)
{
	struct world w = new_world();
	struct obs_conn_facts listener = { .id = { 50, 1 },
					   .local = at("127.0.0.1", 4001),
					   .pid = 10 };
	struct obs_conn_facts in = facts_of(9, "192.0.2.9", 5555);
	static struct obs_p2p_view view;
	const struct obs_condition *c;
	bool is_new;

	(void)state;
	open_conn(&w, 1, "192.0.2.7", 1000);
	obs_peers_listens(w.peers, &listener, "p2pd");
	assert_false(look(&w, 1000, OBS_NOT_REACHABLE)->suspected_ns); /* nobody could */
	listener.id.sock = 51;
	listener.local = at("192.0.2.1", 4001);
	obs_peers_listens(w.peers, &listener, "p2pd");
	look(&w, 1001, OBS_NOT_REACHABLE);
	assert_false(look(&w, 1600, OBS_NOT_REACHABLE)->holds);
	assert_true(look(&w, 1601, OBS_NOT_REACHABLE)->holds);
	c = look(&w, 1601, OBS_NOT_REACHABLE);
	assert_string_equal(c->found.words, "nobody outside has reached p2pd's 1 ports; the node "
					    "itself dials others");
	view = (struct obs_p2p_view){ .n_addrs = 2,
				      .addrs = { "/ip4/192.0.2.1/tcp/4001",
						 "/ip4/192.0.2.5/tcp/1/p2p/" ID "/p2p-circuit" } };
	w.view = &view;
	c = look(&w, 1601, OBS_NOT_REACHABLE);
	assert_string_equal(c->found.words,
			    "nobody outside has reached p2pd's 1 ports; the node itself dials "
			    "others, and they can reach it by way of relays only");
	assert_int_equal(c->found.n_evidence, 2);
	assert_string_equal(c->found.evidence[1],
			    "/ip4/192.0.2.5/tcp/1/p2p/" ID "/p2p-circuit is a way by a relay");
	in.local = listener.local;
	in.direction = OBS_DIRECTION_IN;
	assert_non_null(obs_peers_see(w.peers, &in, &p2pd, w.now_s * S, &is_new));
	look(&w, 1610, OBS_NOT_REACHABLE);
	assert_false(look(&w, 1630, OBS_NOT_REACHABLE)->holds);
	end_world(&w);
}

/* On a port that is listened on, and whoever began it: nobody can say that none came from outside. */
static void who_dialled_is_not_told(void **state)
{
	struct world w = new_world();
	struct obs_conn_facts listener = { .id = { 50, 1 },
					   .local = at("192.0.2.1", 4001),
					   .pid = 10 };
	struct obs_conn_facts either = facts_of(9, "192.0.2.9", 5555);
	bool is_new;

	(void)state;
	open_conn(&w, 1, "192.0.2.7", 1000);
	obs_peers_listens(w.peers, &listener, "p2pd");
	assert_true(look(&w, 1000, OBS_NOT_REACHABLE)->suspected_ns);
	either.local = listener.local;
	either.direction = OBS_DIRECTION_UNKNOWN;
	assert_non_null(obs_peers_see(w.peers, &either, &p2pd, w.now_s * S, &is_new));
	assert_int_equal(w.peers->totals.unknown, 1);
	assert_false(look(&w, 1001, OBS_NOT_REACHABLE)->suspected_ns);
	assert_false(look(&w, 2000, OBS_NOT_REACHABLE)->holds);
	end_world(&w);
}

/* A limit of 0 turns it off; evidence stays within its bound. */
static void off_and_bounded(void **state)
{
	static const struct obs_condition_limits off;
	struct world w = new_world();
	struct obs_condition_facts facts = { .peers = w.peers, .has_p2pd = true };

	(void)state;
	for (uint16_t i = 1; i < 40; i++)
		fail_conn(&w, "192.0.2.5", i, ECONNREFUSED);
	for (uint64_t s = 1; s < 5; s++) {
		facts.now_ns = facts.wall_ns = s * 100000 * S;
		obs_conditions_look(&w.conditions, &off, &facts, on_change, &w);
	}
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		assert_int_equal(w.begun[i], 0);
		assert_non_null(obs_condition_str((enum obs_condition_id)i));
	}
	assert_int_equal(look(&w, 900000, OBS_NO_DHT_PEER)->found.n_evidence,
			 OBS_CONDITION_EVIDENCE);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_peer_for_so_long),
		cmocka_unit_test(all_bootnodes_each_with_its_error),
		cmocka_unit_test(a_quic_bootnode_that_never_answers),
		cmocka_unit_test(handshakes_both_ways),
		cmocka_unit_test(nobody_has_looked),
		cmocka_unit_test(usual_rtt),
		cmocka_unit_test(rtt_of_half_of_them),
		cmocka_unit_test(clock_of_most_peers),
		cmocka_unit_test(nobody_outside_came),
		cmocka_unit_test(who_dialled_is_not_told),
		cmocka_unit_test(off_and_bounded),
	};

	return cmocka_run_group_tests_name("conditions", tests, NULL, NULL);
}
