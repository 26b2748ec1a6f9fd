// SPDX-License-Identifier: BSD-2-Clause
/*
 * What real p2pds, real hivemind and the tests' own peer wrote on their control sockets
 * (tests/data/p2pd), through frames and messages: as it was written, cut, and with holes.
 */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "parse/dht.h"
#include "parse/frames.h"
#include "parse/p2pd.h"
#include "parse/peerid.h"

#define CONNS_MAX 16

struct conn {
	unsigned long id;
	bool streams; /* hivemind-p2pclient */
	struct obs_frames way[2];
	char held[2][16]; /* bytes written one by one: the probe puts them before the next write */
	size_t n_held[2];
};

/* Everything that was seen, as numbers by name. */
struct seen {
	struct conn conns[CONNS_MAX];
	size_t n_conns;
	struct conn *now;
	bool by_daemon;
	unsigned requests[OBS_P2PD_TYPE_MAX], responses, failed_responses;
	unsigned calls[2][OBS_CALL_CANCEL + 1]; /* [by_daemon][kind] */
	unsigned failed_answers, raw, stream_infos, bad;
	uint64_t raw_bytes, call_bytes[2], answer_bytes[2];
	unsigned keys, values, dictionaries, items, ok, times;
	char text[8192]; /* errors and names, a line each */
};

static void note(struct seen *s, const char *what, struct obs_slice text)
{
	size_t used = strlen(s->text);

	snprintf(s->text + used, sizeof(s->text) - used, "%s %.*s\n", what, (int)text.len,
		 text.p ? text.p : "");
}

static void on_dht_request(struct seen *s, const struct obs_p2pd_call *call)
{
	struct obs_dht_request req;

	if (obs_dht_request_parse(obs_dht_rpc_of(call->proto), call->data, &req) < 0)
		return;
	s->keys += req.n_keys;
	s->values += req.n_values;
	if (req.n_subkeys)
		note(s, "subkey", obs_msgpack_text(req.subkeys[0]));
}

static void on_answer_of(struct seen *s, enum obs_dht_rpc rpc, struct obs_head data)
{
	struct obs_dht_answer a;

	if (obs_dht_answer_parse(rpc, data, &a) < 0)
		return;
	s->ok += a.n_ok;
	s->times += a.dht_time > 1e9;
	for (unsigned i = 0; i < a.n_results && i < OBS_DHT_ENTRIES_MAX; i++) {
		s->dictionaries += a.results[i].found == OBS_DHT_DICTIONARY;
		s->items += a.results[i].items;
	}
}

static void on_call(struct seen *s, const struct obs_frame *frame)
{
	struct obs_p2pd_call call;

	if (obs_p2pd_call_parse(frame->body, s->by_daemon, &call) < 0) {
		s->bad++;
		return;
	}
	s->calls[s->by_daemon][call.kind]++;
	if (call.kind == OBS_CALL_REQUEST) {
		s->call_bytes[s->by_daemon] += call.data.len;
		assert_true(obs_peer_id_is_valid(call.peer));
		on_dht_request(s, &call);
	} else if (call.kind == OBS_CALL_ANSWER) {
		s->answer_bytes[s->by_daemon] += call.data.len;
		s->failed_answers += call.failed;
		if (call.failed)
			note(s, "failed", obs_head_slice(call.data));
		on_answer_of(s, OBS_DHT_PING, call.data);  /* the kind is not known here: */
		on_answer_of(s, OBS_DHT_STORE, call.data); /* each looks for its own fields */
		on_answer_of(s, OBS_DHT_FIND, call.data);
	} else if (call.kind == OBS_CALL_ADD_HANDLER) {
		note(s, "handler", call.proto);
	} else if (call.kind == OBS_CALL_DAEMON_ERROR) {
		note(s, "daemon", call.error);
	}
}

static void on_short(struct seen *s, struct obs_frames *f, const struct obs_frame *frame)
{
	struct obs_p2pd_request req;
	struct obs_p2pd_response res;

	if (s->by_daemon && obs_p2pd_response_parse(frame->body, &res) == 0) {
		s->responses++;
		s->failed_responses += res.failed;
		if (res.failed)
			note(s, "response", res.error);
		if (res.has_stream)
			f->framing = OBS_FRAMING_RAW;
	} else if (!s->by_daemon && obs_p2pd_request_parse(frame->body, &req) == 0) {
		s->requests[req.type]++;
		if (req.type == OBS_P2PD_STREAM_OPEN)
			f->framing = OBS_FRAMING_RAW;
	} else {
		s->bad++;
	}
}

static void on_frame(void *ctx, struct obs_frames *f, const struct obs_frame *frame)
{
	struct seen *s = ctx;
	struct obs_p2pd_response info;

	if (f->framing == OBS_FRAMING_RAW) {
		s->raw++;
		s->raw_bytes += frame->body.len;
	} else if (s->now->streams) {
		s->stream_infos += obs_p2pd_stream_info_parse(frame->body, &info) == 0;
		f->framing = OBS_FRAMING_RAW;
	} else if (frame->body.have > 0 && frame->body.p[0] == 0x0a) {
		on_call(s, frame);
	} else {
		on_short(s, f, frame);
	}
}

static struct conn *conn_of(struct seen *s, unsigned long id, bool streams)
{
	for (size_t i = 0; i < s->n_conns; i++) {
		if (s->conns[i].id == id)
			return &s->conns[i];
	}
	assert_in_range(s->n_conns, 0, CONNS_MAX - 1);
	s->conns[s->n_conns] = (struct conn){ .id = id, .streams = streams };
	if (streams) /* who accepts there answers on the open stream at once */
		s->conns[s->n_conns].way[1].framing = OBS_FRAMING_RAW;
	return &s->conns[s->n_conns++];
}

/* One recorded write. */
struct written {
	unsigned long conn;
	bool accepted, streams;
	uint64_t len;
	size_t have;
	char bytes[16 + 512];
};

static bool read_write(FILE *f, struct written *w)
{
	char who, socket[16], hex[1100] = "";
	unsigned long len;

	if (fscanf(f, "%lu %c %15s %lu %1099s", &w->conn, &who, socket, &len, hex) != 5)
		return false;
	w->accepted = who == 'd';
	w->streams = strcmp(socket, "p2pclient") == 0;
	w->len = len;
	w->have = strlen(hex) / 2;
	for (size_t i = 0; i < w->have; i++) {
		unsigned byte = 0;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		w->bytes[i] = (char)byte;
	}
	return true;
}

/* As the probe does. Return: is there something to hand on? */
static bool join_single_bytes(struct conn *c, struct written *w)
{
	size_t *n = &c->n_held[w->accepted];

	if (w->len == 1 && *n < 10) {
		c->held[w->accepted][(*n)++] = w->bytes[0];
		return false;
	}
	memmove(w->bytes + *n, w->bytes, w->have);
	memcpy(w->bytes, c->held[w->accepted], *n);
	w->have += *n;
	w->len += *n;
	*n = 0;
	return true;
}

static void push(struct seen *s, const struct written *w, size_t have_max)
{
	size_t have = w->have < have_max ? w->have : have_max;
	cleanup_free char *exact = malloc(have + 1);
	struct obs_frames *f;

	memcpy(exact, w->bytes, have);
	s->now = conn_of(s, w->conn, w->streams);
	s->by_daemon = w->accepted != w->streams;
	f = &s->now->way[w->accepted];
	obs_frames_push(f, f->next, !f->seen_any, obs_head(exact, have, w->len), 1, on_frame, s);
}

static struct seen *replay(const char *path, size_t have_max, unsigned leave_out)
{
	struct seen *s = calloc(1, sizeof(*s));
	cleanup_fclose FILE *f = fopen(path, "re");
	struct written w;
	unsigned n = 0;

	assert_non_null(s);
	assert_non_null(f);
	while (read_write(f, &w)) {
		if (!join_single_bytes(conn_of(s, w.conn, w.streams), &w))
			continue;
		if (leave_out && n++ % leave_out == leave_out - 1) {
			struct obs_frames *way;

			s->now = conn_of(s, w.conn, w.streams);
			way = &s->now->way[w.accepted];
			if (way->seen_any) {
				/* the probe counts what it could not hand over */
				char none = 0;

				s->by_daemon = w.accepted != w.streams;
				obs_frames_push(way, way->next + w.len, false,
						obs_head(&none, 0, 0), 1, on_frame, s);
			}
			continue;
		}
		push(s, &w, have_max);
	}
	return s;
}

static void what_our_peer_did(void **state)
{
	cleanup_free struct seen *s = replay("tests/data/p2pd/peer.writes", 512, 0);

	(void)state;
	assert_int_equal(s->bad, 0);
	assert_int_equal(s->requests[OBS_P2PD_UPGRADE], 1);
	assert_int_equal(s->requests[OBS_P2PD_LIST_PEERS], 1);
	assert_int_equal(s->requests[OBS_P2PD_STREAM_OPEN], 1);
	assert_int_equal(s->requests[OBS_P2PD_STREAM_HANDLER], 1);
	assert_int_equal(s->requests[OBS_P2PD_CONNECT], 1);
	assert_int_equal(s->failed_responses, 1);
	assert_int_equal(s->calls[0][OBS_CALL_ADD_HANDLER], 6);
	assert_int_equal(s->calls[1][OBS_CALL_ACK], 6);
	/* ping, store, 2 find, fail, none, the one that is cancelled */
	assert_int_equal(s->calls[0][OBS_CALL_REQUEST], 7);
	assert_int_equal(s->calls[0][OBS_CALL_CANCEL], 1);
	assert_int_equal(s->calls[1][OBS_CALL_DAEMON_ERROR], 1);
	assert_int_equal(s->failed_answers, 1);
	assert_non_null(strstr(s->text, "failed RuntimeError('as was asked for')"));
	assert_non_null(strstr(s->text, "daemon failed to negotiate protocol"));
	assert_non_null(strstr(s->text, "response failed to dial: failed to dial Qm"));
	assert_non_null(strstr(s->text, "handler DHTProtocol.rpc_find"));
	assert_int_equal(s->stream_infos, 1);
	assert_true(s->raw >= 6);
}

static void what_hivemind_did(void **state)
{
	cleanup_free struct seen *s = replay("tests/data/p2pd/hivemind.writes", 512, 0);

	(void)state;
	assert_int_equal(s->bad, 0);
	assert_int_equal(s->calls[0][OBS_CALL_ADD_HANDLER], 3);
	assert_int_equal(s->calls[0][OBS_CALL_REMOVE_HANDLER], 3); /* an orderly end */
	assert_int_equal(s->calls[1][OBS_CALL_ACK], 6);
	assert_true(s->calls[0][OBS_CALL_REQUEST] >= 6);
	assert_true(s->calls[1][OBS_CALL_REQUEST] >= 3);
	assert_true(s->keys > 4);
	assert_true(s->dictionaries > 0);
	assert_true(s->items > 0);
	assert_true(s->ok >= 2);
	assert_true(s->times >= 1);
	assert_non_null(strstr(s->text, "subkey 12D3Koo"));
}

/* However little of each write is captured, messages are counted, and their lengths are true. */
static void short_captures_lose_no_message(void **state)
{
	cleanup_free struct seen *all = replay("tests/data/p2pd/hivemind.writes", 512, 0);

	(void)state;
	for (size_t have = 120; have < 512; have += 7) {
		cleanup_free struct seen *s = replay("tests/data/p2pd/hivemind.writes", have, 0);

		assert_memory_equal(s->calls, all->calls, sizeof(s->calls));
		assert_memory_equal(s->call_bytes, all->call_bytes, sizeof(s->call_bytes));
		assert_int_equal(s->bad, 0);
	}
}

/* With every n-th write lost, what comes out is a part of the truth and never anything else. */
static void holes_make_nothing_up(void **state)
{
	cleanup_free struct seen *all = replay("tests/data/p2pd/hivemind.writes", 512, 0);

	(void)state;
	for (unsigned n = 2; n < 40; n++) {
		cleanup_free struct seen *s = replay("tests/data/p2pd/hivemind.writes", 512, n);
		unsigned got = 0, of = 0;

		for (int way = 0; way < 2; way++) {
			for (size_t k = 0; k < ARRAY_LEN(s->calls[0]); k++) {
				assert_true(s->calls[way][k] <= all->calls[way][k]);
				got += s->calls[way][k];
				of += all->calls[way][k];
			}
		}
		/* at most the message of the hole and the one after it are lost */
		if (got + 2 * (77 / n) + 2 < of)
			fail_msg("every %u-th write lost: %u of %u messages", n, got, of);
	}
}

static void on_raw(void *ctx, struct obs_frames *f, const struct obs_frame *frame)
{
	unsigned *seen = ctx;

	if (f->framing != OBS_FRAMING_RAW) {
		f->framing = OBS_FRAMING_RAW; /* what comes now is the stream */
		return;
	}
	seen[frame->marker]++;
}

/* p2pd hands on what it has read, wherever a message begins in it: all bytes count, also those of
 * a message whose length nobody captured. */
static void streams_count_every_byte(void **state)
{
	static const struct {
		uint64_t at;
		bool fresh;
		uint64_t len;
		struct obs_slice have;
		uint64_t raw;
		unsigned messages, ends;
	} writes[] = {
		/* a frame, and in the same write the length of a message and 1 of its 600 bytes */
		{ 0, true, 13, OBS_SLICE("\2\x0a\x10\0\0\0\0\0\0\0\2\x58x"), 10, 0, 0 },
		{ 13, false, 599, OBS_SLICE("x"), 609, 1, 0 },
		/* one of 20 bytes, and the length of the next one unseen */
		{ 612, false, 100, OBS_SLICE("\0\0\0\0\0\0\0\0\x14"), 709, 2, 0 },
		{ 712, false, 1000, OBS_SLICE("xxxxxxxxxx"), 1709, 2, 0 },
		{ 2712, false, 9, OBS_SLICE("\1\0\0\0\0\0\0\0\0"), 2718, 2, 1 },
	};
	struct obs_frames f = {};
	unsigned seen[2] = {};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		obs_frames_push(&f, writes[i].at, writes[i].fresh,
				obs_head(writes[i].have.p, writes[i].have.len, writes[i].len), 1,
				on_raw, seen);
		assert_int_equal(f.raw_bytes, writes[i].raw);
		assert_int_equal(seen[0], writes[i].messages);
		assert_int_equal(seen[1], writes[i].ends);
	}
}

static const struct {
	const char *name;
	enum obs_dht_rpc rpc;
} names[] = {
	{ "DHTProtocol.rpc_find", OBS_DHT_FIND },   { "ns::DHTProtocol.rpc_store", OBS_DHT_STORE },
	{ "DHTProtocol.rpc_ping", OBS_DHT_PING },   { "MyDHTProtocol.rpc_ping", OBS_DHT_OTHER },
	{ "DHTProtocol.rpc_finds", OBS_DHT_OTHER }, { "", OBS_DHT_OTHER },
};

static void names_of_rpcs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(obs_dht_rpc_of(obs_slice_str(names[i].name)), names[i].rpc);
}

static const struct {
	const char *text;
	size_t len;
} texts[] = { { "a", 2 },
	      { "0123456789012345678901234567890", 32 },
	      { "01234567890123456789012345678901", 34 },
	      { "", 1 } };

static void msgpack_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		uint8_t out[64];
		struct obs_slice s = obs_slice_str(texts[i].text);
		size_t n = obs_msgpack_put_text(s, out, sizeof(out));

		assert_int_equal(n, texts[i].len);
		check_text(texts[i].text, obs_msgpack_text(obs_slice((char *)out, n)), s.p);
		assert_int_equal(obs_msgpack_text(obs_slice((char *)out, n - 1)).len, 0);
		assert_int_equal(obs_msgpack_put_text(s, out, n - 1), 0);
	}
	assert_int_equal(obs_msgpack_text(OBS_SLICE("\xc4\x01x")).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_our_peer_did),
		cmocka_unit_test(what_hivemind_did),
		cmocka_unit_test(short_captures_lose_no_message),
		cmocka_unit_test(holes_make_nothing_up),
		cmocka_unit_test(streams_count_every_byte),
		cmocka_unit_test(names_of_rpcs),
		cmocka_unit_test(msgpack_texts),
	};

	return cmocka_run_group_tests_name("p2pd", tests, NULL, NULL);
}
