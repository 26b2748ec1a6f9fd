// SPDX-License-Identifier: BSD-2-Clause
/*
 * From writes to numbers: what real peers wrote (tests/data/p2pd), the names of keys, and a saved
 * talk that keeps its numbers and loses its data.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "collect/key_names.h"
#include "collect/p2pd.h"
#include "collect/p2pd_file.h"
#include "collect/p2pd_keys.h"
#include "collect/p2pd_peers.h"
#include "collect/p2pd_records.h"
#include "parse/dht.h"
#include "util/sha1.h"

/* --- SHA-1 and the names of keys --- */

static const struct {
	const char *text, *hex;
} hashes[] = {
	/* FIPS 180-4 examples, then lengths at the edge of a block */
	{ "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
	{ "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
};

static void sha1_of_known_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		uint8_t out[OBS_SHA1_LEN];
		char hex[41];

		obs_sha1(obs_slice_str(hashes[i].text), out);
		for (int k = 0; k < OBS_SHA1_LEN; k++)
			snprintf(hex + 2 * k, 3, "%02x", out[k]);
		assert_string_equal(hex, hashes[i].hex);
	}
}

static void key_of(const char *name, uint8_t key[20])
{
	uint8_t packed[64];
	size_t n = obs_msgpack_put_text(obs_slice_str(name), packed, sizeof(packed));

	obs_sha1(obs_slice((char *)packed, n), key);
}

/* The first is used most, the others once each: of these the oldest makes room. */
static void keys_that_are_used_least_make_room(void **state)
{
	const struct obs_p2p_key *const *list;
	struct obs_key_names *names = NULL;
	struct obs_p2pd_keys *k = NULL;
	uint8_t key[20] = { 0 };
	size_t n;

	(void)state;
	assert_int_equal(obs_key_names_new(&names), 0);
	assert_int_equal(obs_p2pd_keys_new(&k), 0);
	assert_int_equal((obs_p2pd_keys_list(k, names, &n), n), 0);
	obs_sha1(OBS_SLICE("proposer"), key);
	for (int i = 0; i < 3; i++)
		obs_p2pd_keys_use(k, key)->hits[OBS_P2P_OUT]++;
	memset(key, 0, sizeof(key));
	for (uint8_t i = 1; i <= OBS_P2P_KEYS_MAX + 1; i++) {
		key[0] = i;
		obs_p2pd_keys_use(k, key)->stored[OBS_P2P_IN] += i;
	}
	list = obs_p2pd_keys_list(k, names, &n);
	assert_int_equal(n, OBS_P2P_KEYS_MAX);
	assert_int_equal(obs_p2pd_keys_evicted(k), 2);
	assert_string_equal(list[0]->name, "proposer");
	assert_int_equal(list[0]->kind, OBS_KEY_KIND_PROPOSER);
	assert_int_equal(list[0]->uses, 3);
	assert_int_equal(list[0]->n.hits[OBS_P2P_OUT], 3);
	for (size_t i = 1; i < n; i++) {
		assert_string_equal(list[i]->name, "");
		assert_int_equal(list[i]->key[0], i + 2);
		assert_int_equal(list[i]->n.stored[OBS_P2P_IN], i + 2);
	}
	obs_p2pd_keys_free(&k);
	obs_key_names_free(&names);
}

static void names_of_keys(void **state)
{
	struct obs_key_names *n = NULL;
	char name[OBS_KEY_NAME_LEN];
	uint8_t key[20];
	int64_t round;

	(void)state;
	assert_int_equal(obs_key_names_new(&n), 0);
	obs_sha1(OBS_SLICE("proposer"), key);
	assert_true(obs_key_names_find(n, key, name, &round));
	assert_string_equal(name, "proposer");
	assert_int_equal(round, -1);

	key_of("rl_swarm_rewards_39513_1", key);
	assert_false(obs_key_names_find(n, key, name, &round));
	obs_key_names_learn(n, 39512);
	assert_true(obs_key_names_find(n, key, name, &round));
	assert_string_equal(name, "rl_swarm_rewards_39513_1");
	assert_int_equal(round, 39513);

	/* a round that nobody told of is found by trying */
	key_of("4711", key);
	assert_false(obs_key_names_find(n, key, name, &round));
	obs_key_names_want(n, key);
	assert_false(obs_key_names_step(n, 4000));
	assert_true(obs_key_names_step(n, 4000));
	assert_false(obs_key_names_busy(n));
	assert_true(obs_key_names_find(n, key, name, &round));
	assert_int_equal(round, 4711);

	/* however many rounds go by, the table stays bounded and knows the newest */
	for (uint32_t r = 0; r < 100000; r += 40)
		obs_key_names_learn(n, r);
	key_of("99960", key);
	assert_true(obs_key_names_find(n, key, name, &round));
	obs_key_names_free(&n);
}

/* --- what was recorded --- */

struct told {
	unsigned failed, syncs, identified, met, claimed;
	char errors[1024];
	struct obs_swarm_sync sync;
};

static void on_failed(void *ctx, const struct obs_p2pd_failure *f)
{
	struct told *t = ctx;
	size_t used = strlen(t->errors);

	t->failed++;
	snprintf(t->errors + used, sizeof(t->errors) - used, "%s %s %.*s\n", f->rpc,
		 f->by_daemon ? "p2pd" : "peer", (int)f->error.len, f->error.p);
}

static void on_sync(void *ctx, const struct obs_swarm_sync *s)
{
	struct told *t = ctx;

	t->syncs++;
	t->sync = *s;
	t->sync.key = NULL;
}

static void on_identified(void *ctx, const char *peer_id, uint64_t wall_ns)
{
	struct told *t = ctx;

	(void)wall_ns;
	t->identified++;
	assert_int_equal(strncmp(peer_id, "12D3Koo", 7), 0);
}

static void on_address(void *ctx, const char *peer_id, const char *addr, bool met)
{
	struct told *t = ctx;

	t->met += met;
	t->claimed += !met;
	assert_true(*peer_id);
	assert_int_equal(strncmp(addr, "/ip4/", 5), 0);
}

static const struct obs_p2pd_ops ops = { on_failed, on_sync, on_address, on_identified };

#define CONNS 16

/* Reads a recording as the probe would capture it. */
struct tape {
	FILE *f;
	struct {
		uint64_t conn, at;
		char held[10];
		size_t n_held;
	} ends[CONNS];
	char data[16 + 512];
	uint64_t ns;
};

static bool next_write(struct tape *t, struct obs_p2pd_write *w)
{
	char who, socket[16], hex[1100] = "";
	unsigned long conn, len;
	size_t have, i = 0;

	while (fscanf(t->f, "%lu %c %15s %lu %1099s", &conn, &who, socket, &len, hex) == 5) {
		bool accepted = who == 'd', handler = strcmp(socket, "p2pclient") == 0;
		uint64_t end = conn << 1 | accepted;

		for (i = 0; t->ends[i].conn && t->ends[i].conn != end; i++)
			assert_in_range(i, 0, CONNS - 2);
		w->fresh = !t->ends[i].conn || (t->ends[i].at == 0);
		t->ends[i].conn = end;
		have = strlen(hex) / 2;
		if (len == 1 && t->ends[i].n_held < 10) {
			unsigned byte = 0;

			assert_int_equal(sscanf(hex, "%2x", &byte), 1);
			t->ends[i].held[t->ends[i].n_held++] = (char)byte;
			continue;
		}
		memcpy(t->data, t->ends[i].held, t->ends[i].n_held);
		for (size_t k = 0; k < have; k++) {
			unsigned byte = 0;

			assert_int_equal(sscanf(hex + 2 * k, "%2x", &byte), 1);
			t->data[t->ends[i].n_held + k] = (char)byte;
		}
		t->ns += 1000000;
		w->conn = conn;
		w->at = t->ends[i].at;
		w->by = accepted ? (handler ? OBS_P2PD_BY_HANDLER : OBS_P2PD_BY_DAEMON)
				 : (handler ? OBS_P2PD_BY_DIALER : OBS_P2PD_BY_CLIENT);
		w->in = obs_head(t->data, t->ends[i].n_held + have, t->ends[i].n_held + len);
		w->pid = accepted ? 2 : 1;
		w->ns = t->ns;
		w->wall_ns = 1795686536000000000u + t->ns;
		t->ends[i].at += w->in.len;
		t->ends[i].n_held = 0;
		return true;
	}
	return false;
}

static const struct obs_rpc_numbers *numbers(const struct obs_p2p_view *v, const char *name,
					     enum obs_p2p_way way)
{
	for (size_t i = 0; i < v->n_rpcs; i++) {
		if (strcmp(v->rpcs[i].name, name) == 0)
			return &v->rpcs[i].way[way];
	}
	fail_msg("no RPC %s", name);
	return NULL;
}

/* The recording with each two writes of a connection's two ends told in the wrong order, as the
 * probe tells them when the reader is faster than the writer's way out of the kernel. */
static struct obs_p2pd *play_swapped(const char *path, struct told *told)
{
	struct tape t = { .f = fopen(path, "re") };
	struct obs_p2pd_write w, held = { 0 };
	char data[sizeof(t.data)];
	struct obs_p2pd *p = NULL;

	assert_non_null(t.f);
	assert_int_equal(obs_p2pd_new(&ops, told, NULL, &p), 0);
	while (next_write(&t, &w)) {
		bool answers = held.conn == w.conn && held.by != w.by;

		if (answers)
			obs_p2pd_push(p, &w);
		if (held.conn)
			obs_p2pd_push(p, &held);
		held = (struct obs_p2pd_write){ 0 };
		if (answers)
			continue;
		held = w;
		memcpy(data, t.data, sizeof(data));
		held.in.p = data;
	}
	if (held.conn)
		obs_p2pd_push(p, &held);
	fclose(t.f);
	return p;
}

static struct obs_p2pd *play(const char *path, struct told *told, FILE *save)
{
	struct tape t = { .f = fopen(path, "re") };
	struct obs_p2pd_write w;
	struct obs_p2pd *p = NULL;

	assert_non_null(t.f);
	assert_int_equal(obs_p2pd_new(&ops, told, NULL, &p), 0);
	while (next_write(&t, &w)) {
		obs_p2pd_push(p, &w);
		if (save)
			assert_int_equal(obs_p2pd_file_push(save, &w), 0);
	}
	fclose(t.f);
	return p;
}

static uint64_t sum(const uint64_t *buckets, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += buckets[i];
	return total;
}

/* Each call stands in one bucket of each kind, by name and by peer and name; the peers' parts
 * add up to the whole. */
static void check_sizes_and_pairs(const struct obs_p2p_view *v)
{
	const struct obs_rpc_numbers *store = numbers(v, "DHTProtocol.rpc_store", OBS_P2P_IN);
	uint64_t calls = 0, all = 0, bytes = 0, all_bytes = 0;

	assert_int_equal(store->request_sizes[7], 1); /* 300,095 bytes: up to 1 MiB */
	assert_int_equal(store->answer_sizes[0], 1);
	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			const struct obs_rpc_numbers *n = &v->rpcs[i].way[way];

			assert_int_equal(sum(n->request_sizes, OBS_P2P_SIZE_BUCKETS + 1), n->calls);
			assert_int_equal(sum(n->answer_sizes, OBS_P2P_SIZE_BUCKETS + 1),
					 n->answered);
			all += n->calls;
			all_bytes += n->answer_bytes;
		}
	}
	for (size_t i = 0; i < v->n_peers; i++) {
		for (const struct obs_p2p_pair *p = v->peers[i]->pairs; p; p = p->next) {
			calls += p->n.calls;
			bytes += p->n.answer_bytes;
			assert_int_equal(p->n.in_flight, 0);
			assert_int_equal(sum(p->n.buckets, OBS_P2P_BUCKETS + 1),
					 p->n.answered + p->n.failed);
		}
	}
	assert_int_equal(calls, all);
	assert_int_equal(bytes, all_bytes);
}

static void check_streams(const struct obs_p2p_view *v)
{
	uint64_t opened[2] = { 0 }, bytes[2] = { 0 };

	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int k = 0; k < 2; k++) {
			opened[k] += v->rpcs[i].streams[k].opened;
			bytes[k] += v->rpcs[i].stream_bytes[k];
			assert_true(v->rpcs[i].streams[k].ended <= v->rpcs[i].streams[k].opened);
		}
	}
	assert_int_equal(opened[OBS_P2P_OUT], 1);
	assert_int_equal(opened[OBS_P2P_IN], 1);
	assert_memory_equal(bytes, v->stream_bytes, sizeof(bytes));
}

static void check_peer(const struct obs_p2p_view *v)
{
	const struct obs_rpc_numbers *n;

	/* what tests/e2e/swarm_peer.py counted when this was recorded */
	n = numbers(v, "DHTProtocol.rpc_store", OBS_P2P_OUT);
	assert_int_equal(n->calls, 1);
	assert_int_equal(n->request_bytes, 3094);
	assert_int_equal(n->answer_bytes, 3);
	n = numbers(v, "DHTProtocol.rpc_store", OBS_P2P_IN);
	assert_int_equal(n->request_bytes, 300095);
	n = numbers(v, "DHTProtocol.rpc_find", OBS_P2P_OUT);
	assert_int_equal(n->calls, 2);
	assert_int_equal(n->answer_bytes, 3121);
	n = numbers(v, "DHTProtocol.rpc_find", OBS_P2P_IN);
	assert_int_equal(n->answer_bytes, 300119);
	n = numbers(v, "Test.rpc_fail", OBS_P2P_OUT);
	assert_int_equal(n->failed, 1);
	n = numbers(v, "Test.rpc_slow", OBS_P2P_OUT);
	assert_int_equal(n->cancelled, 1);
	assert_int_equal(n->in_flight, 0);
	assert_int_equal(v->dht.hits[OBS_P2P_OUT], 1);
	assert_int_equal(v->dht.misses[OBS_P2P_OUT], 1);
	assert_int_equal(v->dht.records_sent, 1);
	assert_int_equal(v->dht.records_taken, 1);
	assert_int_equal(v->dht.clock_peers, 1);
	check_sizes_and_pairs(v);
	check_streams(v);
	assert_int_equal(v->connects, 1);
	assert_int_equal(v->connects_failed, 1);
	assert_int_equal(v->disconnects, 1);
	assert_int_equal(v->streams[OBS_P2P_OUT], 1);
	assert_int_equal(v->streams[OBS_P2P_IN], 1);
	assert_int_equal(v->messages_bad, 0);
}

static void what_our_peer_did(void **state)
{
	struct told told = { 0 };
	struct obs_p2pd *p = play("tests/data/p2pd/peer.writes", &told, NULL);

	(void)state;
	check_peer(obs_p2pd_view(p));
	assert_int_equal(obs_p2pd_view(p)->lost_bytes, 0);
	assert_non_null(strstr(told.errors, "Test.rpc_fail peer RuntimeError"));
	assert_non_null(strstr(told.errors, "Test.rpc_none p2pd failed to negotiate"));
	assert_non_null(strstr(told.errors, "connect p2pd failed to dial"));
	assert_int_equal(told.identified, 1);
	assert_int_equal(told.met, 1);
	assert_int_equal(told.claimed, 2); /* of the connect, and its own */
	obs_p2pd_finish(p);
	assert_int_equal(told.syncs, 1);
	assert_int_equal(told.sync.round, 39512);
	assert_int_equal(told.sync.sent_bytes, 3000);
	assert_int_equal(told.sync.stored_on, 1);
	assert_int_equal(told.sync.received_from, 0); /* only our own was there */
	/* its key was a hash until the round was found by trying */
	assert_int_equal(obs_p2pd_view(p)->dht.kinds[OBS_KEY_KIND_ROUND].stored[OBS_P2P_OUT], 1);
	assert_int_equal(obs_p2pd_view(p)->dht.kinds[OBS_KEY_KIND_ROUND].hits[OBS_P2P_OUT], 1);
	assert_int_equal(obs_p2pd_view(p)->dht.kinds[OBS_KEY_KIND_OTHER].misses[OBS_P2P_OUT], 1);
	obs_p2pd_process_left(p, 2);
	assert_int_equal(obs_p2pd_view(p)->connections, 0);
	obs_p2pd_free(&p);
}

static void what_hivemind_did(void **state)
{
	struct told told = { 0 };
	struct obs_p2pd *p = play("tests/data/p2pd/hivemind.writes", &told, NULL);
	const struct obs_p2p_view *v = obs_p2pd_view(p);

	(void)state;
	/* hivemind's own counts; strace lost one of our find's writes */
	assert_int_equal(numbers(v, "DHTProtocol.rpc_store", OBS_P2P_OUT)->calls, 2);
	assert_int_equal(numbers(v, "DHTProtocol.rpc_store", OBS_P2P_OUT)->request_bytes, 6242);
	assert_int_equal(numbers(v, "DHTProtocol.rpc_store", OBS_P2P_OUT)->answer_bytes, 54);
	assert_int_equal(numbers(v, "DHTProtocol.rpc_store", OBS_P2P_IN)->request_bytes, 2121);
	assert_int_equal(numbers(v, "DHTProtocol.rpc_ping", OBS_P2P_OUT)->answer_bytes, 35);
	assert_int_equal(v->n_peers, 2);
	obs_p2pd_finish(p);
	assert_int_equal(told.sync.round, 7);
	assert_int_equal(told.sync.stored_on, 2);
	obs_p2pd_free(&p);
}

static void answers_told_before_questions(void **state)
{
	static const char *const tapes[] = { "tests/data/p2pd/peer.writes",
					     "tests/data/p2pd/hivemind.writes" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tapes); i++) {
		struct told a = { 0 }, b = { 0 };
		struct obs_p2pd *p = play(tapes[i], &a, NULL), *q = play_swapped(tapes[i], &b);
		const struct obs_p2p_view *v = obs_p2pd_view(p);

		for (size_t k = 0; k < v->n_rpcs; k++) {
			const struct obs_rpc_numbers *n = v->rpcs[k].way;
			const struct obs_rpc_numbers *m =
				numbers(obs_p2pd_view(q), v->rpcs[k].name, OBS_P2P_OUT);

			assert_int_equal(m[OBS_P2P_OUT].calls, n[OBS_P2P_OUT].calls);
			assert_int_equal(m[OBS_P2P_OUT].answered, n[OBS_P2P_OUT].answered);
			/* a call that is cancelled and answered is whatever comes first */
			if (!n[OBS_P2P_IN].cancelled)
				assert_int_equal(m[OBS_P2P_IN].answered, n[OBS_P2P_IN].answered);
			assert_int_equal(m[OBS_P2P_OUT].answer_bytes, n[OBS_P2P_OUT].answer_bytes);
		}
		assert_int_equal(a.failed, b.failed);
		obs_p2pd_free(&p);
		obs_p2pd_free(&q);
	}
}

/* --- saved --- */

static void saved_talk_keeps_numbers(void **state)
{
	FILE *f = tmpfile(), *g;
	char *text = NULL, data[OBS_P2PD_FILE_DATA];
	size_t size = 0;
	struct told a = { 0 }, b = { 0 };
	struct obs_p2pd *p, *q = NULL;
	struct obs_p2pd_write w;
	int r;

	(void)state;
	fclose(f);
	g = open_memstream(&text, &size);
	p = play("tests/data/p2pd/peer.writes", &a, g);
	fclose(g);
	obs_p2pd_free(&p);

	assert_int_equal(obs_p2pd_new(&ops, &b, NULL, &q), 0);
	f = fmemopen(text, size, "r");
	while ((r = obs_p2pd_file_next(f, data, &w)) == 1)
		obs_p2pd_push(q, &w);
	assert_int_equal(r, 0);
	check_peer(obs_p2pd_view(q));
	assert_int_equal(a.failed, b.failed);
	fclose(f);

	/* cut anywhere: an error or an end, nothing worse */
	for (size_t n = 0; n < size && n < 2000; n += 13) {
		f = fmemopen(text, n ? n : 1, "r");
		while ((r = obs_p2pd_file_next(f, data, &w)) == 1)
			;
		assert_true(r <= 0);
		fclose(f);
	}
	obs_p2pd_free(&q);
	free(text);
}

static void data_is_blanked(void **state)
{
	/* a call of an RPC that is none of the DHT's: 37 bytes with 8 of data */
	char call[] = "\x25\x0a\x10"
		      "0123456789abcdef"
		      "\x1a\x11\x0a\x02pp\x12\x01n\x1a\x08"
		      "secret!!";
	char raw[] = "\x00\x00\x00\x00\x00\x00\x00\x00\x06secret";
	char part[] = "the middle of a message";

	(void)state;
	obs_p2pd_blank(call, sizeof(call) - 1, sizeof(call) - 1, OBS_P2PD_BY_CLIENT);
	assert_memory_equal(call + 3, "0123456789abcdef", 16);
	assert_memory_equal(call + sizeof(call) - 9, "\0\0\0\0\0\0\0\0", 8);
	obs_p2pd_blank(raw, sizeof(raw) - 1, sizeof(raw) - 1, OBS_P2PD_BY_HANDLER);
	assert_int_equal(raw[8], 6);
	assert_memory_equal(raw + 9, "\0\0\0\0\0\0", 6);
	obs_p2pd_blank(part, sizeof(part) - 1, 100000, OBS_P2PD_BY_CLIENT);
	assert_memory_equal(part + 9, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
}

static void bounded(void **state)
{
	struct told told = { 0 };
	struct obs_p2pd *p = NULL;
	char call[] = "\x25\x0a\x10"
		      "0123456789abcdef"
		      "\x1a\x12\x0a\x02pp\x12\x02nn\x1a\x08"
		      "12345678";
	struct obs_p2pd_write w = { .by = OBS_P2PD_BY_CLIENT, .pid = 1, .fresh = true };

	(void)state;
	call[0] = (char)(sizeof(call) - 2);
	assert_int_equal(obs_p2pd_new(&ops, &told, NULL, &p), 0);
	for (unsigned i = 0; i < 3 * OBS_P2PD_CALLS_MAX; i++) {
		memcpy(call + 3, &i, sizeof(i));
		call[27] = (char)('A' + i % 40);
		w.conn = i % (2 * OBS_P2PD_CONNS_MAX) + 1;
		w.ns = i + 1;
		w.in = obs_head(call, sizeof(call) - 1, sizeof(call) - 1);
		obs_p2pd_push(p, &w);
	}
	assert_int_equal(obs_p2pd_view(p)->connections, OBS_P2PD_CONNS_MAX);
	assert_int_equal(obs_p2pd_view(p)->n_rpcs, OBS_P2P_RPCS_MAX);
	assert_string_equal(obs_p2pd_view(p)->rpcs[OBS_P2P_RPCS_MAX - 1].name, "other");
	obs_p2pd_tick(p, UINT64_MAX / 2, UINT64_MAX / 2);
	for (size_t i = 0; i < OBS_P2P_RPCS_MAX; i++)
		assert_int_equal(obs_p2pd_view(p)->rpcs[i].way[0].in_flight, 0);
	obs_p2pd_free(&p);
}

/* --- records, peers, clocks --- */

static void records_expire_once(void **state)
{
	uint8_t key[OBS_DHT_KEY_LEN] = { 1 };
	struct obs_p2pd_record record = { .key = key, .subkey = 7, .ends_s = 100 };
	struct obs_p2pd_records *r = NULL;
	const struct obs_record_numbers *n;

	(void)state;
	assert_int_equal(obs_p2pd_records_new(&r), 0);
	n = obs_p2pd_records_numbers(r, OBS_P2P_OUT);
	obs_p2pd_records_put(r, &record);
	record.ends_s = 120; /* stored again: it is the same one, and lasts longer */
	obs_p2pd_records_put(r, &record);
	record.subkey = 8;
	record.ends_s = 110;
	obs_p2pd_records_put(r, &record);
	record.ends_s = 0;
	obs_p2pd_records_put(r, &record);
	assert_int_equal(n->live, 2);
	assert_int_equal(n->end_unseen, 1);
	obs_p2pd_records_expire(r, 109);
	assert_int_equal(n->expired, 0);
	obs_p2pd_records_expire(r, 110);
	assert_int_equal(n->expired, 1);
	obs_p2pd_records_expire(r, 1000);
	assert_int_equal(n->expired, 2);
	assert_int_equal(n->live, 0);
	for (uint64_t i = 0; i < OBS_P2PD_RECORDS_MAX + 5; i++) {
		record.subkey = i;
		record.ends_s = 2000;
		record.way = OBS_P2P_IN;
		obs_p2pd_records_put(r, &record);
	}
	n = obs_p2pd_records_numbers(r, OBS_P2P_IN);
	assert_int_equal(n->live, OBS_P2PD_RECORDS_MAX);
	assert_int_equal(n->not_kept, 5);
	obs_p2pd_records_free(&r);
}

static void peers_make_room(void **state)
{
	struct obs_p2pd_peers *peers = NULL;
	char id[38] = "\x00\x24";
	struct obs_p2p_peer *peer;
	size_t n;

	(void)state;
	memcpy(id + 2, "\x08\x01\x12\x20", 4);
	assert_int_equal(obs_p2pd_peers_new(2, &peers), 0);
	for (char c = 'a'; c <= 'c'; c++) {
		id[37] = c;
		assert_null(obs_p2pd_peers_find(peers, obs_slice(id, sizeof(id))));
		peer = obs_p2pd_peers_get(peers, obs_slice(id, sizeof(id)), 1);
		assert_non_null(peer);
		peer->calls[OBS_P2P_OUT] = 5;
		peer->bytes_sent = 100;
		for (unsigned rpc = 0; rpc < OBS_P2P_PAIRS_MAX + 3; rpc++) {
			struct obs_rpc_numbers *pair =
				obs_p2pd_peers_pair(peer, rpc, OBS_P2P_OUT, true);

			assert_int_equal(pair != NULL, rpc < OBS_P2P_PAIRS_MAX);
		}
		assert_null(obs_p2pd_peers_pair(peer, 0, OBS_P2P_IN, false));
	}
	obs_p2pd_peers_list(peers, &n);
	assert_int_equal(n, 2);
	assert_int_equal(obs_p2pd_peers_evicted(peers)->peers, 1);
	assert_int_equal(obs_p2pd_peers_evicted(peers)->calls[OBS_P2P_OUT], 5);
	assert_int_equal(obs_p2pd_peers_evicted(peers)->bytes_sent, 100);
	obs_p2pd_peers_free(&peers);
}

/* A peer's clock was 2.5 s ahead; then ours was set forward by 2 s. */
static void clock_set_since(void **state)
{
	struct obs_p2p_peer peer = { .clock_offset_s = 2.5, .clock_shift_ns = 1000000000 };
	struct obs_p2p_view v = { .shift_ns = 1000000000 };

	(void)state;
	assert_true(obs_p2p_clock_offset_s(&v, &peer) == 2.5);
	v.shift_ns += 2000000000;
	assert_true(obs_p2p_clock_offset_s(&v, &peer) == 0.5);
}

static void averaging_by_any_prefix(void **state)
{
	static struct obs_p2p_view v = { .n_rpcs = 4 };
	static const char *const names[] = { "DecentralizedAverager.rpc_join_group",
					     "run7::Averager.rpc_join_group",
					     "Averager.rpc_join_group_not",
					     "Averager.rpc_download_state" };

	(void)state;
	for (size_t i = 0; i < v.n_rpcs; i++) {
		snprintf(v.rpcs[i].name, sizeof(v.rpcs[i].name), "%s", names[i]);
		v.rpcs[i].way[OBS_P2P_OUT].calls = 2;
		v.rpcs[i].streams[OBS_P2P_OUT].opened = 1;
	}
	assert_int_equal(obs_p2p_averaging(&v, OBS_JOIN_GROUP, OBS_P2P_OUT), 6);
	assert_int_equal(obs_p2p_averaging(&v, OBS_JOIN_GROUP, OBS_P2P_IN), 0);
	assert_int_equal(obs_p2p_averaging(&v, OBS_DOWNLOAD_STATE, OBS_P2P_OUT), 3);
	assert_int_equal(obs_p2p_averaging(&v, OBS_AGGREGATE_PART, OBS_P2P_OUT), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha1_of_known_texts),
		cmocka_unit_test(names_of_keys),
		cmocka_unit_test(keys_that_are_used_least_make_room),
		cmocka_unit_test(what_our_peer_did),
		cmocka_unit_test(what_hivemind_did),
		cmocka_unit_test(answers_told_before_questions),
		cmocka_unit_test(saved_talk_keeps_numbers),
		cmocka_unit_test(data_is_blanked),
		cmocka_unit_test(bounded),
		cmocka_unit_test(records_expire_once),
		cmocka_unit_test(peers_make_room),
		cmocka_unit_test(clock_set_since),
		cmocka_unit_test(averaging_by_any_prefix),
	};

	return cmocka_run_group_tests_name("p2pd_calls", tests, NULL, NULL);
}
