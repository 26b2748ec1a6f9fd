// SPDX-License-Identifier: BSD-2-Clause
/* test_peers.c - the table of connections and peers: identity, direction, roles, bounds, holders. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "model/peer_roles.h"
#include "model/peers.h"
#include "model/peers_state.h"
#include "model/roles.h"

#define SLOT 3

static const struct obs_peer_hint p2pd = { .process = "p2pd", .rpc_host = "" };
static const struct obs_peer_hint other = { .process = "other", .rpc_host = "rpc.example" };

static struct obs_endpoint at(const char *ip, uint16_t port)
{
	struct obs_endpoint e = { .ip = { [10] = 0xff, [11] = 0xff }, .port = port };

	if (strchr(ip, ':'))
		assert_int_equal(inet_pton(AF_INET6, ip, e.ip), 1);
	else
		assert_int_equal(inet_pton(AF_INET, ip, e.ip + 12), 1);
	return e;
}

static struct obs_conn_facts conn(uint64_t sock, struct obs_endpoint local,
				  struct obs_endpoint remote, enum obs_direction direction)
{
	return (struct obs_conn_facts){ .id = { sock, 1 },
					.local = local,
					.remote = remote,
					.pid = 10,
					.state = OBS_TCP_STATE_ESTABLISHED,
					.direction = direction };
}

static struct obs_peers *new_peers_who_know(uint32_t peers_max, uint32_t conns_max,
					    const struct obs_roles *roles)
{
	struct obs_peers_options opt = { peers_max, conns_max, roles, SLOT };
	struct obs_peers *p = NULL;

	assert_int_equal(obs_peers_new(&opt, &p), 0);
	return p;
}

static struct obs_peers *new_peers(uint32_t peers_max, uint32_t conns_max)
{
	return new_peers_who_know(peers_max, conns_max, NULL);
}

static struct obs_conn *see(struct obs_peers *p, const struct obs_conn_facts *f,
			    const struct obs_peer_hint *hint)
{
	bool is_new;

	return obs_peers_see(p, f, hint, 1000, &is_new);
}

static void endpoints_are_written_as_people_know_them(void **state)
{
	static const struct {
		const char *ip;
		uint16_t port;
		const char *want;
	} cases[] = {
		{ "192.0.2.7", 80, "192.0.2.7:80" },
		{ "::ffff:192.0.2.7", 80, "192.0.2.7:80" },
		{ "2001:db8::1", 443, "[2001:db8::1]:443" },
		{ "2001:db8::1", 0, "2001:db8::1" },
		{ "192.0.2.7", 0, "192.0.2.7" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_endpoint e = at(cases[i].ip, cases[i].port);
		char text[OBS_ENDPOINT_TEXT];

		obs_endpoint_format(&e, text);
		check_text(cases[i].ip, obs_slice_str(text), cases[i].want);
	}
}

static void roles_follow_the_rules(void **state)
{
	static const struct {
		const char *ip, *process, *name, *rpc_host;
		uint16_t port;
		bool bootnode;
		enum obs_peer_role want;
		bool relay;
	} cases[] = {
		{ "38.101.215.15", "p2pd", "", "", 30021, true, OBS_PEER_BOOTNODE },
		{ "38.101.215.15", "p2pd", "", "", 30021, false, OBS_PEER_DHT },
		{ "38.101.215.15", "p2pd", "", "", 30021, false, OBS_PEER_RELAY, true },
		{ "38.101.215.15", "p2pd", "", "", 30021, true, OBS_PEER_BOOTNODE, true },
		{ "192.0.2.1", "trainer", "huggingface.co.evil.example", "", 443, false,
		  OBS_PEER_UNKNOWN },
		{ "192.0.2.1", "trainer", "nothuggingface.co", "", 443, false, OBS_PEER_UNKNOWN },
		{ "192.0.2.1", "trainer", "cdn-lfs.huggingface.co", "", 443, false,
		  OBS_PEER_MODEL_HUB },
		{ "192.0.2.1", "trainer", "gensyn-testnet.g.alchemy.com", "", 443, false,
		  OBS_PEER_RPC },
		{ "192.0.2.1", "trainer", "rpc.example", "RPC.example", 443, false, OBS_PEER_RPC },
		{ "192.0.2.1", "trainer", "huggingface.co", "", 443, false, OBS_PEER_MODEL_HUB },
		{ "192.0.2.1", "trainer", "cdn-lfs.hf.co", "", 443, false, OBS_PEER_MODEL_HUB },
		{ "192.0.2.1", "trainer", "nothf.co", "", 443, false, OBS_PEER_UNKNOWN },
		{ "192.0.2.1", "trainer", "swarm-judge.internal-apps-central1.clusters.gensyn.ai",
		  "", 443, false, OBS_PEER_JUDGE },
		{ "192.0.2.1", "other", "api.wandb.ai", "", 443, false, OBS_PEER_WANDB },
		{ "192.0.2.1", "other", "api.telegram.org", "", 443, false, OBS_PEER_TELEGRAM },
		{ "127.0.0.1", "trainer", "", "", 3000, false, OBS_PEER_LOGIN },
		{ "::1", "trainer", "", "", 11434, false, OBS_PEER_EVALUATOR },
		{ "192.0.2.1", "trainer", "", "", 3000, false, OBS_PEER_UNKNOWN },
		{ "192.0.2.1", "trainer", "", "", 53, false, OBS_PEER_DNS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_endpoint remote = at(cases[i].ip, cases[i].port);
		struct obs_peer_evidence e = {
			&remote,	   cases[i].process,  cases[i].name,
			cases[i].rpc_host, cases[i].bootnode, cases[i].relay
		};

		if (obs_peer_role_of(&e) != cases[i].want)
			fail_msg("case %zu: got %s, want %s", i,
				 obs_peer_role_str(obs_peer_role_of(&e)),
				 obs_peer_role_str(cases[i].want));
	}
}

/* Numbers only grow by what is new, whoever reports it, and the end has the last word. */
static void counters_add_up(void **state)
{
	struct obs_peers *p = new_peers(16, 16);
	struct obs_conn_facts f =
		conn(7, at("10.0.0.1", 4000), at("192.0.2.7", 9000), OBS_DIRECTION_OUT);
	struct obs_conn *c = see(p, &f, &p2pd);
	const struct obs_peer *peer = c->peer;

	(void)state;
	f.bytes_sent = 100;
	assert_ptr_equal(see(p, &f, &p2pd), c);
	f.bytes_sent = 250;
	f.bytes_received = 40;
	f.retransmits = 2;
	f.state = OBS_TCP_STATE_LAST_ACK;
	f.local.port = 0; /* as the kernel has it at the end */
	obs_peers_end(p, c, &f, 2000);
	assert_int_equal(p->totals.bytes_sent, 250);
	assert_int_equal(p->totals.bytes_received, 40);
	assert_int_equal(p->totals.retransmits, 2);
	assert_int_equal(p->totals.out, 1);
	assert_int_equal(p->totals.closed, 1);
	assert_int_equal(peer->bytes_sent, 250);
	assert_int_equal(peer->open, 0);
	assert_int_equal(peer->last_ns, 2000);
	assert_int_equal(peer->role, OBS_PEER_DHT);
	assert_null(obs_peers_find(p, &f.id));
	obs_peers_free(&p);
}

/* Who was there before us: the socket tells whether it can be a listener's child. */
static void direction_of_what_was_there(void **state)
{
	static const struct {
		uint16_t local_port;
		enum obs_conn_bound bound;
		enum obs_direction want;
	} cases[] = {
		{ 38331, OBS_BOUND_NO, OBS_DIRECTION_IN },
		{ 38331, OBS_BOUND_YES, OBS_DIRECTION_OUT }, /* libp2p dials from its own port */
		{ 38331, OBS_BOUND_UNKNOWN, OBS_DIRECTION_UNKNOWN },
		{ 50000, OBS_BOUND_NO, OBS_DIRECTION_OUT },
		{ 50000, OBS_BOUND_UNKNOWN, OBS_DIRECTION_OUT },
	};
	struct obs_peers *p = new_peers(16, 16);
	struct obs_conn_facts l =
		conn(1, at("0.0.0.0", 38331), at("0.0.0.0", 0), OBS_DIRECTION_UNKNOWN);

	(void)state;
	l.state = OBS_TCP_STATE_LISTEN;
	obs_peers_listens(p, &l, "p2pd");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_conn_facts f =
			conn(10 + i, at("10.0.0.1", cases[i].local_port),
			     at("192.0.2.7", (uint16_t)(9000 + i)), OBS_DIRECTION_UNKNOWN);

		f.bound = cases[i].bound;
		f.preexisting = true;
		if (see(p, &f, &p2pd)->f.direction != cases[i].want)
			fail_msg("case %zu", i);
	}
	obs_peers_free(&p);
}

static void refusals_of_a_listener_are_told_once(void **state)
{
	static const struct {
		uint32_t drops, want;
	} looks[] = { { 7, 0 }, { 7, 0 }, { 9, 2 }, { 9, 0 }, { 10, 1 } };
	struct obs_peers *p = new_peers(16, 16);
	struct obs_conn_facts l = conn(1, at("::", 80), at("::", 0), OBS_DIRECTION_UNKNOWN);

	(void)state;
	l.state = OBS_TCP_STATE_LISTEN;
	l.preexisting = true;
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		l.drops = looks[i].drops;
		if (obs_peers_listens(p, &l, "") != looks[i].want)
			fail_msg("look %zu", i);
	}
	l = conn(2, at("::", 81), at("::", 0), OBS_DIRECTION_UNKNOWN);
	l.state = OBS_TCP_STATE_LISTEN;
	l.drops = 4; /* all of them since the last look, when it was not there */
	assert_int_equal(obs_peers_listens(p, &l, ""), 4);
	obs_peers_free(&p);
}

static void outside_is_neither_loopback_nor_ourselves(void **state)
{
	static const struct {
		const char *local, *remote;
		bool outside;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1", false },	{ "10.0.0.1", "10.0.0.1", false },
		{ "10.0.0.1", "192.0.2.7", true },	{ "::1", "::1", false },
		{ "2001:db8::1", "2001:db8::2", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_peers *p = new_peers(16, 16);
		struct obs_conn_facts l =
			conn(1, at("0.0.0.0", 80), at("0.0.0.0", 0), OBS_DIRECTION_UNKNOWN);
		struct obs_conn_facts f = conn(2, at(cases[i].local, 80), at(cases[i].remote, 5000),
					       OBS_DIRECTION_IN);

		obs_peers_listens(p, &l, "");
		see(p, &f, &other);
		assert_int_equal(p->listeners[0].accepted, 1);
		if ((p->listeners[0].from_outside == 1) != cases[i].outside ||
		    (p->outside_ns != 0) != cases[i].outside)
			fail_msg("%s", cases[i].remote);
		obs_peers_free(&p);
	}
}

/* A hundred connections from one address are one peer, unless it is known by its port. */
static void who_dials_us_is_known_by_address(void **state)
{
	struct obs_peers *p = new_peers(16, 200);
	struct obs_endpoint local = at("10.0.0.1", 80);

	(void)state;
	for (uint16_t i = 0; i < 100; i++) {
		struct obs_conn_facts f = conn(
			100 + i, local, at("192.0.2.7", (uint16_t)(5000 + i)), OBS_DIRECTION_IN);

		see(p, &f, &other);
	}
	assert_int_equal(HASH_COUNT(p->peers), 1);
	assert_int_equal(p->peers->at.port, 0);
	assert_int_equal(p->peers->in, 100);
	assert_int_equal(p->peers->open, 100);

	/* dialled before, it dials back from the same port */
	see(p,
	    &(struct obs_conn_facts){ .id = { 1, 1 },
				      .local = local,
				      .remote = at("192.0.2.8", 38331),
				      .direction = OBS_DIRECTION_OUT },
	    &p2pd);
	see(p,
	    &(struct obs_conn_facts){ .id = { 2, 1 },
				      .local = local,
				      .remote = at("192.0.2.8", 38331),
				      .direction = OBS_DIRECTION_IN },
	    &p2pd);
	assert_int_equal(HASH_COUNT(p->peers), 2);
	obs_peers_free(&p);
}

static void the_least_recently_used_makes_room(void **state)
{
	struct obs_peers *p = new_peers(4, 64);
	struct obs_endpoint local = at("10.0.0.1", 4000);
	struct obs_conn *open_one = NULL;

	(void)state;
	for (uint16_t i = 0; i < 10; i++) {
		struct obs_conn_facts f = conn(10 + i, local, at("192.0.2.7", (uint16_t)(9000 + i)),
					       OBS_DIRECTION_OUT);
		struct obs_conn *c = see(p, &f, &p2pd);

		assert_non_null(c);
		if (i == 0)
			open_one = c;
		else
			obs_peers_end(p, c, &f, 1000);
	}
	assert_int_equal(HASH_COUNT(p->peers), 4);
	assert_int_equal(p->totals.peers_evicted, 6);
	assert_int_equal(open_one->peer->at.port, 9000); /* has a connection: stays */
	obs_peers_free(&p);
}

static void end_unseen(void *ctx, struct obs_conn *c)
{
	struct obs_conn_facts last = c->f;

	obs_peers_end(ctx, c, &last, 3000);
}

/* More peers connected than there is room for: their connections are kept all the same. */
static void without_room_a_peer_is_an_address(void **state)
{
	struct obs_peers *p = new_peers(32, 200);

	(void)state;
	for (uint16_t i = 0; i < 100; i++) {
		struct obs_conn_facts f =
			conn(10 + i, at("10.0.0.1", 4000), at("192.0.2.7", (uint16_t)(9000 + i)),
			     OBS_DIRECTION_OUT);

		assert_non_null(see(p, &f, &p2pd));
	}
	assert_int_equal(HASH_COUNT(p->peers), 31);
	assert_int_equal(p->totals.out, 100);
	assert_int_equal(p->totals.not_kept, 0);
	obs_peers_free(&p);
}

static void past_the_limit_connections_are_counted(void **state)
{
	struct obs_peers *p = new_peers(64, 3);

	(void)state;
	for (uint16_t i = 0; i < 5; i++) {
		struct obs_conn_facts f =
			conn(10 + i, at("10.0.0.1", 4000), at("192.0.2.7", (uint16_t)(9000 + i)),
			     OBS_DIRECTION_OUT);

		assert_int_equal(see(p, &f, &p2pd) != NULL, i < 3);
	}
	assert_int_equal(p->totals.not_kept, 2);
	for (int pass = 0; pass < 3; pass++) {
		obs_peers_start_pass(p);
		obs_peers_unkept(p);
		obs_peers_end_pass(p, end_unseen, p);
	}
	assert_int_equal(p->totals.not_kept, 3);
	assert_int_equal(p->totals.closed, 3);
	assert_int_equal(p->totals.out, 3);
	obs_peers_free(&p);
}

/* Accepted by the parent, then only its child holds it: it is the child's. */
static void a_pass_tells_who_holds_it_and_who_is_gone(void **state)
{
	struct obs_peers *p = new_peers(16, 16);
	struct obs_conn_facts a = conn(1, at("10.0.0.1", 80), at("192.0.2.7", 1), OBS_DIRECTION_IN);
	struct obs_conn_facts b = conn(2, at("10.0.0.1", 80), at("192.0.2.7", 2), OBS_DIRECTION_IN);
	struct obs_conn *c = see(p, &a, &other);

	(void)state;
	see(p, &b, &other);
	obs_peers_start_pass(p);
	a.pid = 11;
	see(p, &a, &other);
	a.pid = 10;
	see(p, &a, &other);
	obs_peers_end_pass(p, end_unseen, p);
	assert_int_equal(c->f.pid, 10); /* both hold it: it stays with its owner */
	assert_int_equal(HASH_COUNT(p->conns), 1);

	obs_peers_start_pass(p);
	a.pid = 11;
	see(p, &a, &other);
	obs_peers_end_pass(p, end_unseen, p);
	assert_int_equal(c->f.pid, 11);
	obs_peers_free(&p);
}

static void failures_have_reasons(void **state)
{
	static const struct {
		int err;
		const char *want;
	} cases[] = {
		{ ECONNREFUSED, "refused" },	 { ETIMEDOUT, "timeout" },
		{ EHOSTUNREACH, "unreachable" }, { ENETUNREACH, "unreachable" },
		{ ECONNRESET, "reset" },	 { 0, "given_up" },
	};
	struct obs_peers *p = new_peers(16, 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_conn_facts f =
			conn(1, at("10.0.0.1", 4000), at("192.0.2.7", 9000), OBS_DIRECTION_OUT);

		f.err = cases[i].err;
		assert_int_equal(obs_peers_failed(p, &f, &p2pd, 1000)->last_err, cases[i].err);
		check_text("reason", obs_slice_str(obs_conn_error_str(f.err)), cases[i].want);
	}
	assert_int_equal(p->totals.failed, 6);
	assert_int_equal(p->totals.refused, 1);
	assert_int_equal(p->totals.timed_out, 1);
	assert_int_equal(p->totals.unreachable, 2);
	assert_int_equal(p->totals.reset, 1);
	assert_int_equal(HASH_COUNT(p->peers), 1);
	obs_peers_free(&p);
}

static void who_closed_it(void **state)
{
	static const struct {
		unsigned state;
		int err;
		const char *want;
	} cases[] = {
		{ OBS_TCP_STATE_FIN_WAIT2, 0, "local" },
		{ OBS_TCP_STATE_LAST_ACK, 0, "remote" },
		{ OBS_TCP_STATE_CLOSING, 0, "both" },
		{ OBS_TCP_STATE_ESTABLISHED, 0, "local_reset" },
		{ OBS_TCP_STATE_ESTABLISHED, ECONNRESET, "remote_reset" },
		{ OBS_TCP_STATE_CLOSE_WAIT, EPIPE, "remote_reset" },
		{ OBS_TCP_STATE_ESTABLISHED, ETIMEDOUT, "timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_conn_facts f = { .state = (uint8_t)cases[i].state, .err = cases[i].err };

		check_text("closed by", obs_slice_str(obs_conn_closed_by(&f)), cases[i].want);
	}
}

/* What the log or a DNS answer says later counts for peers known before. */
static void later_knowledge_reaches_known_peers(void **state)
{
	struct obs_counters counters = {};
	struct obs_roles *roles = NULL;
	struct obs_peers *p;
	struct obs_endpoint boot = at("38.101.215.15", 30021), hub = at("192.0.2.9", 443);
	struct obs_conn_facts f = conn(1, at("10.0.0.1", 4000), boot, OBS_DIRECTION_OUT);
	struct obs_conn_facts g = conn(2, at("10.0.0.1", 4001), hub, OBS_DIRECTION_OUT);
	const struct obs_peer *b, *h;

	(void)state;
	assert_int_equal(obs_roles_new(4, &counters, &roles), 0);
	p = new_peers_who_know(16, 16, roles);
	b = see(p, &f, &other)->peer;
	h = see(p, &g, &other)->peer;
	assert_int_equal(b->role, OBS_PEER_UNKNOWN);
	obs_roles_note(roles, 0, &boot, OBS_KNOWN_BOOTNODE, "QmBoot", "config");
	obs_peers_judge(p);
	obs_peers_note_name(p, &hub, "huggingface.co");
	assert_int_equal(b->role, OBS_PEER_BOOTNODE);
	check_text("id", obs_slice_str(b->peer_id), "QmBoot");
	check_text("source", obs_slice_str(b->source), "config");
	assert_int_equal(h->role, OBS_PEER_MODEL_HUB);
	obs_peers_free(&p);
	obs_roles_free(&roles);
}

/* Who dials from ports of the moment is one peer per address; p2pd's list tells ids per port. */
static void ids_of_those_who_dial(void **state)
{
	struct obs_counters counters = {};
	struct obs_roles *roles = NULL;
	struct obs_endpoint one = at("192.0.2.7", 40001), two = at("192.0.2.7", 40002);
	struct obs_conn_facts f = conn(1, at("10.0.0.1", 4000), one, OBS_DIRECTION_IN);
	struct obs_conn_facts g = conn(2, at("10.0.0.1", 4000), two, OBS_DIRECTION_IN);
	struct obs_peers *p;
	struct obs_conn *c;

	(void)state;
	assert_int_equal(obs_roles_new(16, &counters, &roles), 0);
	p = new_peers_who_know(16, 16, roles);
	c = see(p, &f, &p2pd);
	check_text("nobody", obs_slice_str(obs_peers_id_at(p, &one, c->peer)), "");
	obs_roles_note(roles, SLOT, &one, OBS_KNOWN_CONNECTED, "QmOne", "");
	obs_peers_judge(p);
	check_text("peer", obs_slice_str(c->peer->peer_id), "QmOne");
	check_text("one", obs_slice_str(obs_peers_id_at(p, &one, c->peer)), "QmOne");
	see(p, &g, &p2pd);
	obs_roles_note(roles, SLOT, &two, OBS_KNOWN_CONNECTED, "QmTwo", "");
	obs_peers_judge(p);
	check_text("both", obs_slice_str(c->peer->peer_id), "");
	check_text("one", obs_slice_str(obs_peers_id_at(p, &one, c->peer)), "QmOne");
	check_text("two", obs_slice_str(obs_peers_id_at(p, &two, c->peer)), "QmTwo");
	obs_peers_free(&p);
	obs_roles_free(&roles);
}

static const struct obs_peers_of of = { .p2pd = 7, .boot = 1 };

/* What is written can be read again, and what was tampered with is left out. */
static void peers_survive_a_restart(void **state)
{
	struct obs_peers *p = new_peers(64, 64), *q = new_peers(64, 64);
	cleanup_buf struct obs_buf text = {};
	const struct obs_peer *e;

	(void)state;
	for (uint16_t i = 0; i < 5; i++) {
		struct obs_conn_facts f =
			conn(10 + i, at("10.0.0.1", 4000), at("2001:db8::7", (uint16_t)(9000 + i)),
			     OBS_DIRECTION_OUT);

		f.bytes_sent = 100 + i;
		see(p, &f, &p2pd);
	}
	snprintf(p->peers->name, sizeof(p->peers->name), "a b"); /* no name of a host */
	assert_int_equal(obs_peers_state_format(p, &of, &text), 0);
	obs_buf_push_str(&text, "zz\t1\n\n20010db8\t1\tdht_peer\n");
	assert_int_equal(obs_peers_state_parse(q, &of, obs_buf_slice(&text)), 5);
	assert_int_equal(obs_peers_state_parse(q, &of, obs_buf_slice(&text)), 0); /* known now */
	e = q->peers;
	assert_int_equal(e->at.port, 9000);
	assert_int_equal(e->bytes_sent, 100);
	assert_int_equal(e->out, 1);
	assert_int_equal(e->open, 0);
	assert_int_equal(e->role, OBS_PEER_DHT);
	check_text("name", obs_slice_str(e->name), "");
	obs_peers_free(&p);
	obs_peers_free(&q);
}

/* What is open over a restart: its peer counts what is new of it, and another one as a whole. */
static const struct {
	const char *name;
	uint16_t local_port;
	uint32_t netns;
	bool preexisting;
	uint64_t want_out, want_sent;
} still_open[] = {
	{ "the same", 4000, 5, true, 1, 130 },
	{ "from another port", 4009, 5, true, 2, 230 },
	{ "in another namespace", 4000, 6, true, 2, 230 },
	{ "a new one from the same port", 4000, 5, false, 2, 230 },
};

/* After a start of the host another connection may have the same ends. */
static void of_another_boot(void **state)
{
	const struct obs_peers_of later = { .p2pd = 7, .boot = 2 };
	struct obs_conn_facts f =
		conn(10, at("10.0.0.1", 4000), at("198.51.100.7", 9000), OBS_DIRECTION_OUT);
	struct obs_peers *p = new_peers(64, 64), *q = new_peers(64, 64);
	cleanup_buf struct obs_buf text = {};

	(void)state;
	f.established_ns = 77;
	see(p, &f, &p2pd);
	assert_int_equal(obs_peers_state_format(p, &of, &text), 0);
	assert_int_equal(obs_peers_state_parse(q, &later, obs_buf_slice(&text)), 1);
	f.preexisting = true;
	f.established_ns = 0;
	see(q, &f, &p2pd);
	assert_int_equal(q->peers->out, 2);
	assert_int_equal(q->conns->f.established_ns, 0);
	obs_peers_free(&p);
	obs_peers_free(&q);
}

static void open_connections_are_counted_once(void **state)
{
	struct obs_conn_facts f =
		conn(10, at("10.0.0.1", 4000), at("198.51.100.7", 9000), OBS_DIRECTION_OUT);
	struct obs_peers *p = new_peers(64, 64);
	cleanup_buf struct obs_buf text = {};

	(void)state;
	f.netns = 5;
	f.bytes_sent = 100;
	f.established_ns = 77;
	see(p, &f, &p2pd);
	assert_int_equal(obs_peers_state_format(p, &of, &text), 0);
	for (size_t i = 0; i < ARRAY_LEN(still_open); i++) {
		struct obs_peers *q = new_peers(64, 64);
		struct obs_conn_facts now = f;

		obs_peers_state_parse(q, &of, obs_buf_slice(&text));
		now.local.port = still_open[i].local_port;
		now.netns = still_open[i].netns;
		now.preexisting = still_open[i].preexisting;
		now.bytes_sent = 130;
		now.established_ns = 0;
		see(q, &now, &p2pd);
		assert_int_equal(q->conns->f.established_ns, still_open[i].want_out == 1 ? 77 : 0);
		if (q->peers->out != still_open[i].want_out ||
		    q->peers->bytes_sent != still_open[i].want_sent)
			fail_msg("%s: %llu out, %llu sent", still_open[i].name,
				 (unsigned long long)q->peers->out,
				 (unsigned long long)q->peers->bytes_sent);
		assert_int_equal(q->totals.out, 1); /* of this run */
		assert_int_equal(q->totals.bytes_sent, 130);
		assert_int_equal(q->peers->open, 1);
		obs_peers_free(&q);
	}
	obs_peers_free(&p);
}

/* Who reached a port, and when a peer could be had: of the same process only. */
static const struct {
	const char *name;
	uint64_t p2pd;
	uint32_t pid;
	uint16_t port;
	uint64_t want_outside, want_failed;
} restarts[] = {
	{ "all the same", 7, 10, 4001, 1, 5 },
	{ "another p2pd", 8, 10, 4001, 1, 0 },
	{ "no p2pd", 0, 10, 4001, 1, 0 },
	{ "another process", 7, 11, 4001, 0, 5 },
	{ "it listens elsewhere", 7, 10, 4002, 0, 5 },
};

static void reached_ports_survive_a_restart(void **state)
{
	struct obs_conn_facts l = { .id = { 1, 1 }, .pid = 10, .local = at("10.0.0.1", 4001) };
	struct obs_conn_facts in =
		conn(20, at("10.0.0.1", 4001), at("198.51.100.7", 5000), OBS_DIRECTION_IN);
	struct obs_peers *p = new_peers(64, 64);
	cleanup_buf struct obs_buf text = {};

	(void)state;
	obs_peers_listens(p, &l, "p2pd");
	see(p, &in, &p2pd);
	p->peers->failed_ns = 5;
	p->peers->rtt_usual_us = 800;
	assert_int_equal(obs_peers_state_format(p, &of, &text), 0);
	in.preexisting = true; /* it is still there, and was counted */
	for (size_t i = 0; i < ARRAY_LEN(restarts); i++) {
		struct obs_peers *q = new_peers(64, 64);

		obs_peers_state_parse(q, &(struct obs_peers_of){ restarts[i].p2pd, 1 },
				      obs_buf_slice(&text));
		assert_int_equal(q->peers->failed_ns, restarts[i].want_failed);
		assert_int_equal(q->peers->rtt_usual_us, 800);
		assert_int_equal(q->outside_ns, 0); /* nobody listens yet */
		l.pid = restarts[i].pid;
		l.local.port = restarts[i].port;
		obs_peers_listens(q, &l, "p2pd");
		if (q->listeners[0].from_outside != restarts[i].want_outside)
			fail_msg("%s", restarts[i].name);
		assert_int_equal(q->outside_ns != 0, restarts[i].want_outside);
		in.local.port = restarts[i].port;
		see(q, &in, &p2pd);
		assert_int_equal(q->listeners[0].from_outside, 1);
		obs_peers_free(&q);
	}
	obs_peers_free(&p);
}

/* What an older version kept ends with the peer id. */
static void older_lines_are_understood(void **state)
{
	struct obs_peers *p = new_peers(64, 64);

	(void)state;
	assert_int_equal(
		obs_peers_state_parse(
			p, &of,
			OBS_SLICE(
				"00000000000000000000ffff0a000001\t4001\tdht_peer\t1\t2\t3\t4\t5\t6\t"
				"7\t8\t9\t10\t11\t12\t-\tQmX\n")),
		1);
	assert_int_equal(p->peers->last_ns, 12);
	assert_string_equal(p->peers->peer_id, "QmX");
	obs_peers_free(&p);
}

static void udp_sockets_are_those_of_the_last_pass(void **state)
{
	struct obs_peers *p = new_peers(16, 16);
	struct obs_conn_facts f =
		conn(0, at("127.0.0.1", 9000), at("0.0.0.0", 0), OBS_DIRECTION_UNKNOWN);

	(void)state;
	obs_peers_start_pass(p);
	for (uint64_t i = 1; i <= OBS_UDP_SHOW + 3; i++) {
		f.id.sock = i;
		obs_peers_udp(p, &f, "p2pd");
		if (i == 1)
			obs_peers_udp(p, &f, "other"); /* another holder of the same */
	}
	assert_int_equal(p->n_udp, OBS_UDP_SHOW);
	assert_int_equal(p->udp_not_kept, 3);
	assert_string_equal(p->udp[0].process, "p2pd");
	obs_peers_start_pass(p);
	obs_peers_udp(p, &f, "p2pd");
	assert_int_equal(p->n_udp, 1);
	assert_int_equal(p->udp_not_kept, 0);
	obs_peers_free(&p);
}

/* The kernel's counts are the totals, whatever was told of single connections. */
static void counted_elsewhere(void **state)
{
	struct obs_tcp_counts c = { .in = 20,
				    .out = 30,
				    .earlier = 4,
				    .closed = 11,
				    .broken = 2,
				    .bytes_sent = 1000,
				    .bytes_received = 2000,
				    .retransmits = 3,
				    .failed = { 5, 6, 7, 8, 9 } };
	struct obs_conn_facts f =
		conn(1, at("10.0.0.1", 4000), at("192.0.2.7", 9000), OBS_DIRECTION_OUT);
	struct obs_peers *p = new_peers(16, 16);
	const struct obs_conn_totals *t = &p->totals;

	(void)state;
	p->opt.counted = true;
	f.bytes_sent = 77;
	see(p, &f, &other);
	obs_peers_failed(p, &f, &other, 1);
	f.id.sock = 2;
	f.preexisting = true;
	see(p, &f, &other);
	obs_peers_end(p, obs_peers_find(p, &f.id), &f, 1);
	obs_peers_tcp_counts(p, &c);
	assert_int_equal(t->in, 20);
	assert_int_equal(t->out, 31);
	assert_int_equal(t->unknown, 3); /* of the four that were there one is known */
	assert_int_equal(t->closed, 11);
	assert_int_equal(t->broken, 2);
	assert_int_equal(t->bytes_sent, 1000);
	assert_int_equal(t->bytes_received, 2000);
	assert_int_equal(t->retransmits, 3);
	assert_int_equal(t->failed, 35);
	assert_int_equal(t->refused, 5);
	assert_int_equal(t->timed_out, 6);
	assert_int_equal(t->unreachable, 7);
	assert_int_equal(t->reset, 8);
	obs_peers_tcp_counts(p, &c);
	assert_int_equal(t->failed, 35);
	assert_int_equal(p->peers->bytes_sent, 154); /* its peer's are what was told */
	obs_peers_free(&p);
}

static void flows_not_seen_since_are_over(void **state)
{
	struct obs_peers *p = new_peers(16, 16);
	struct obs_flow_facts f = { .remote = at("192.0.2.1", 53), .local_port = 1, .last_ns = 10 };
	bool is_new;

	(void)state;
	obs_peers_flow(p, &f, &other, 1, &is_new);
	f.local_port = 2;
	f.last_ns = 20;
	obs_peers_flow(p, &f, &other, 1, &is_new);
	assert_int_equal(p->peers->open, 2);
	obs_peers_end_flows(p, 20, 2);
	assert_int_equal(HASH_COUNT(p->flows), 1);
	assert_int_equal(p->flows->f.local_port, 2);
	assert_int_equal(p->peers->open, 1);
	obs_peers_free(&p);
}

/* The kernel forgets a flow that others push out, and begins anew; its process may end before it. */
static void a_flow_keeps_what_was_known_of_it(void **state)
{
	struct obs_peers *p = new_peers(16, 16);
	struct obs_flow_facts f = { .remote = at("192.0.2.1", 4001),
				    .local_port = 1,
				    .pid = 7,
				    .quic_version = 1,
				    .dcid_len = 8,
				    .scid_len = 4,
				    .handshake = true,
				    .direction = OBS_DIRECTION_OUT };
	struct obs_peer_hint nobody = { .process = "", .rpc_host = "" };
	struct obs_flow *flow;
	bool is_new;

	(void)state;
	flow = obs_peers_flow(p, &f, &nobody, 1, &is_new);
	assert_string_equal(flow->process, "");
	assert_int_equal(flow->peer->role, OBS_PEER_UNKNOWN);
	obs_peers_flow(p, &f, &p2pd, 1, &is_new);
	assert_string_equal(flow->process, "p2pd");
	assert_int_equal(flow->peer->role, OBS_PEER_DHT);
	f = (struct obs_flow_facts){ .remote = f.remote, .local_port = 1 };
	obs_peers_flow(p, &f, &nobody, 1, &is_new);
	assert_false(is_new);
	assert_string_equal(flow->process, "p2pd");
	assert_int_equal(flow->f.pid, 7);
	assert_int_equal(flow->f.direction, OBS_DIRECTION_OUT);
	assert_int_equal(flow->f.quic_version, 1);
	assert_int_equal(flow->f.dcid_len, 8);
	assert_int_equal(flow->f.scid_len, 4);
	assert_true(flow->f.handshake);
	obs_peers_free(&p);
}

static void who_calls_by_quic_is_outside(void **state)
{
	static const struct {
		const char *remote;
		enum obs_direction direction;
		uint64_t answered;
		bool outside;
	} cases[] = {
		{ "192.0.2.1", OBS_DIRECTION_IN, 1, true },
		{ "192.0.2.1", OBS_DIRECTION_IN, 0, false },
		{ "192.0.2.1", OBS_DIRECTION_OUT, 1, false },
		{ "192.0.2.1", OBS_DIRECTION_UNKNOWN, 1, false },
		{ "198.51.100.7", OBS_DIRECTION_IN, 1, false }, /* ourselves */
		{ "127.0.0.1", OBS_DIRECTION_IN, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_peers *p = new_peers(16, 16);
		struct obs_endpoint us = at("198.51.100.7", 0);
		struct obs_flow_facts f = { .remote = at(cases[i].remote, 4001),
					    .packets_in = 1,
					    .packets_out = cases[i].answered,
					    .direction = cases[i].direction };
		bool is_new;

		memcpy(f.local_ip, us.ip, sizeof(f.local_ip));
		obs_peers_flow(p, &f, &p2pd, 9, &is_new);
		if ((p->outside_ns == 9) != cases[i].outside)
			fail_msg("case %zu", i);
		obs_peers_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_written_as_people_know_them),
		cmocka_unit_test(roles_follow_the_rules),
		cmocka_unit_test(counters_add_up),
		cmocka_unit_test(direction_of_what_was_there),
		cmocka_unit_test(refusals_of_a_listener_are_told_once),
		cmocka_unit_test(udp_sockets_are_those_of_the_last_pass),
		cmocka_unit_test(flows_not_seen_since_are_over),
		cmocka_unit_test(a_flow_keeps_what_was_known_of_it),
		cmocka_unit_test(who_calls_by_quic_is_outside),
		cmocka_unit_test(counted_elsewhere),
		cmocka_unit_test(outside_is_neither_loopback_nor_ourselves),
		cmocka_unit_test(who_dials_us_is_known_by_address),
		cmocka_unit_test(the_least_recently_used_makes_room),
		cmocka_unit_test(without_room_a_peer_is_an_address),
		cmocka_unit_test(past_the_limit_connections_are_counted),
		cmocka_unit_test(a_pass_tells_who_holds_it_and_who_is_gone),
		cmocka_unit_test(failures_have_reasons),
		cmocka_unit_test(who_closed_it),
		cmocka_unit_test(later_knowledge_reaches_known_peers),
		cmocka_unit_test(ids_of_those_who_dial),
		cmocka_unit_test(peers_survive_a_restart),
		cmocka_unit_test(open_connections_are_counted_once),
		cmocka_unit_test(of_another_boot),
		cmocka_unit_test(reached_ports_survive_a_restart),
		cmocka_unit_test(older_lines_are_understood),
	};

	return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
