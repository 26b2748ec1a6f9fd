// SPDX-License-Identifier: BSD-2-Clause
/*
 * p2pd.c - see p2pd.h. on_frame() hands each message to on_call() (persistent connections),
 * on_request() and on_response() (short ones), or counts it as part of a stream.
 */
#include "collect/p2pd.h"

#include <errno.h>
#include <stdlib.h>

#include <uthash.h>

#include "collect/key_names.h"
#include "collect/p2pd_early.h"
#include "collect/p2pd_keys.h"
#include "collect/p2pd_peers.h"
#include "collect/p2pd_records.h"
#include "collect/p2pd_sync.h"
#include "parse/dht.h"
#include "parse/frames.h"
#include "parse/p2pd.h"
#include "parse/peerid.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define CALL_KEYS_MAX	  8
#define CALL_FORGET_NS	  (600 * (uint64_t)OBS_NS_PER_S)
#define EARLY_WAIT_NS	  (2 * (uint64_t)OBS_NS_PER_S)
#define SYNC_QUIET_NS	  (5 * (uint64_t)OBS_NS_PER_S)
#define CONN_QUIET_NS	  (3600 * (uint64_t)OBS_NS_PER_S)
#define UNNAMED_MAX	  32
#define UNNAMED_NS	  (5 * (uint64_t)OBS_NS_PER_S)
#define ROUNDS_PER_SECOND 50000 /* tried for the name of a key: some ms */

struct conn {
	uint64_t id;
	struct obs_frames way[2]; /* [1]: of the end that accepted */
	pid_t pid[2];
	bool handler;	 /* on a client's socket: p2pd brings a stream */
	bool persistent; /* after the upgrade */
	bool asked;	 /* a Request waits for its Response */
	uint64_t type;
	uint64_t asked_ns, asked_wall_ns;
	char peer[OBS_P2P_ID_LEN];   /* of the request, or of the stream */
	char name[OBS_P2P_NAME_LEN]; /* protocol of the stream */
	bool stream;		     /* it is one, or was */
	bool stream_open;
	unsigned rpc;	    /* index of its protocol */
	uint64_t passed_ns; /* when something passed on the stream last */
	uint64_t last_ns;
	UT_hash_handle hh;
};

#define CALL_KEY_LEN (sizeof(uint64_t) + OBS_CALL_ID_LEN + 1)

/* A call in flight. */
struct call {
	char key[CALL_KEY_LEN]; /* connection, id, way */
	uint64_t conn;
	enum obs_p2p_way way;
	unsigned rpc; /* index */
	char peer[OBS_PEER_ID_BYTES_MAX];
	size_t peer_len;
	uint64_t started_ns, wall_ns;
	enum obs_dht_rpc dht;
	unsigned n_keys; /* kept */
	uint8_t keys[CALL_KEYS_MAX][OBS_DHT_KEY_LEN];
	uint64_t value_bytes[CALL_KEYS_MAX];
	uint64_t subkeys[CALL_KEYS_MAX]; /* hashes; 0 = none */
	double ends_s[CALL_KEYS_MAX];	 /* 0 = not seen */
	UT_hash_handle hh;
};

/* A key whose name is not known, or not yet: it is not counted for a moment. */
struct unnamed {
	bool used;
	uint8_t key[OBS_DHT_KEY_LEN];
	uint64_t since_ns;
	struct obs_key_numbers n;
};

struct obs_p2pd {
	const struct obs_p2pd_ops *ops;
	void *ctx;
	struct obs_counters *counters;
	struct conn *conns; /* owned hash */
	struct call *calls; /* owned hash, the oldest first */
	struct obs_p2pd_peers *peers;
	struct obs_key_names *names;
	struct obs_syncs syncs;
	struct obs_p2pd_records *records;
	struct obs_p2pd_keys *keys;
	struct unnamed unnamed[UNNAMED_MAX];
	struct obs_early early; /* answers without their question */
	struct obs_p2p_view view;
	/* the write being looked at */
	const struct obs_p2pd_write *now;
	struct conn *conn;
};

static void count(struct obs_p2pd *p, _Atomic uint64_t *counter, uint64_t n)
{
	if (p->counters && n)
		obs_count(counter, n);
}

#define COUNT(p, field, n) count(p, (p)->counters ? &(p)->counters->field : NULL, n)

/* Text of peers, as far as it may be shown. */
static void copy_name(char *out, size_t size, struct obs_slice name)
{
	size_t n = name.len < size - 1 ? name.len : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = name.p[i] > ' ' && name.p[i] <= '~' ? name.p[i] : '?';
	out[n] = '\0';
}

static unsigned rpc_index(struct obs_p2pd *p, struct obs_slice name)
{
	struct obs_p2p_view *v = &p->view;
	char text[OBS_P2P_NAME_LEN];

	copy_name(text, sizeof(text), name);
	for (unsigned i = 0; i < v->n_rpcs; i++) {
		if (strcmp(v->rpcs[i].name, text) == 0)
			return i;
	}
	if (v->n_rpcs < OBS_P2P_RPCS_MAX - 1) {
		memcpy(v->rpcs[v->n_rpcs].name, text, sizeof(text));
		return (unsigned)v->n_rpcs++;
	}
	if (v->n_rpcs < OBS_P2P_RPCS_MAX)
		copy_name(v->rpcs[v->n_rpcs++].name, OBS_P2P_NAME_LEN, OBS_SLICE("other"));
	return OBS_P2P_RPCS_MAX - 1;
}

/* --- calls --- */

/* FNV-1a */
static uint64_t hash_of(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3;
	return h;
}

/* What a call is counted in: its name, its peer and name. */
struct counted {
	struct obs_rpc_numbers *n[2]; /* the second may be NULL */
};

static struct counted numbers_of(struct obs_p2pd *p, const struct call *c)
{
	struct obs_p2p_peer *peer = obs_p2pd_peers_find(p->peers, obs_slice(c->peer, c->peer_len));

	return (struct counted){ { &p->view.rpcs[c->rpc].way[c->way],
				   peer ? obs_p2pd_peers_pair(peer, c->rpc, c->way, false)
					: NULL } };
}

static void forget_call(struct obs_p2pd *p, struct call *c)
{
	struct counted k = numbers_of(p, c);

	for (int i = 0; i < 2; i++) { /* a peer's may be younger than the call */
		if (k.n[i] && k.n[i]->in_flight > 0)
			k.n[i]->in_flight--;
	}
	if (!p->calls)
		return; /* never: it holds @c */
	HASH_DEL(p->calls, c);
	free(c);
}

static void count_cancelled(struct obs_p2pd *p, const struct call *c)
{
	struct counted k = numbers_of(p, c);

	for (int i = 0; i < 2; i++) {
		if (k.n[i])
			k.n[i]->cancelled++;
	}
}

static size_t size_bucket(uint64_t bytes)
{
	size_t b = 0;

	while (b < OBS_P2P_SIZE_BUCKETS && bytes > obs_p2p_bucket_bytes[b])
		b++;
	return b;
}

static void make_key(char *out, uint64_t conn, enum obs_p2p_way way, const uint8_t *id)
{
	memcpy(out, &conn, sizeof(conn));
	memcpy(out + sizeof(conn), id, OBS_CALL_ID_LEN);
	out[CALL_KEY_LEN - 1] = (char)way;
}

static struct call *find_call(struct obs_p2pd *p, enum obs_p2p_way way, const uint8_t *id)
{
	char key[CALL_KEY_LEN];
	struct call *c;

	make_key(key, p->conn->id, way, id);
	HASH_FIND(hh, p->calls, key, CALL_KEY_LEN, c);
	return c;
}

static void keep_keys(struct call *c, const struct obs_dht_request *req)
{
	for (unsigned i = 0; i < req->n_keys && i < CALL_KEYS_MAX; i++) {
		const struct obs_slice *subkey = &req->subkeys[i];

		memcpy(c->keys[i], req->keys[i].p, OBS_DHT_KEY_LEN);
		c->value_bytes[i] = req->value_bytes[i];
		c->subkeys[i] =
			i < req->n_subkeys && subkey->len > 0 ? hash_of(subkey->p, subkey->len) : 0;
		c->ends_s[i] = i < req->n_ends ? req->ends_s[i] : 0;
		c->n_keys++;
	}
}

static void look_at_key(struct obs_p2pd *p, const uint8_t *key)
{
	char name[OBS_KEY_NAME_LEN];
	int64_t round;

	if (!obs_key_names_find(p->names, key, name, &round))
		obs_key_names_want(p->names, key);
	else if (round >= 0)
		obs_key_names_learn(p->names, (uint32_t)round);
}

static void start_dht(struct obs_p2pd *p, struct call *c, struct obs_slice name,
		      struct obs_head data)
{
	struct obs_dht_numbers *d = &p->view.dht;
	enum obs_p2p_way way = c->way;
	struct obs_dht_request req;

	c->dht = obs_dht_rpc_of(name);
	if (c->dht == OBS_DHT_OTHER)
		return;
	d->pings[way] += c->dht == OBS_DHT_PING;
	d->stores[way] += c->dht == OBS_DHT_STORE;
	d->finds[way] += c->dht == OBS_DHT_FIND;
	if (obs_dht_request_parse(c->dht, data, &req) < 0) {
		p->view.messages_bad++;
		return;
	}
	keep_keys(c, &req);
	if (c->dht == OBS_DHT_FIND)
		d->keys_asked[way] += req.n_keys;
	for (unsigned i = 0; c->dht == OBS_DHT_STORE && i < c->n_keys; i++) {
		if (way == OBS_P2P_OUT)
			d->value_bytes_sent += c->value_bytes[i];
		if (way == OBS_P2P_OUT && req.n_subkeys > i && req.subkeys[i].len > 0)
			look_at_key(p, c->keys[i]);
	}
}

static void make_room(struct obs_p2pd *p)
{
	if (HASH_COUNT(p->calls) < OBS_P2PD_CALLS_MAX)
		return;
	forget_call(p, p->calls);
	COUNT(p, p2pd_calls_forgotten, 1);
}

static void count_start(struct obs_rpc_numbers *n, uint64_t bytes)
{
	n->calls++;
	n->in_flight++;
	n->request_bytes += bytes;
	n->request_sizes[size_bucket(bytes)]++;
	if (bytes > n->request_max)
		n->request_max = bytes;
}

static void start_call(struct obs_p2pd *p, const struct obs_p2pd_call *m, enum obs_p2p_way way,
		       const struct obs_frame *frame)
{
	struct call *c = find_call(p, way, m->id);
	struct obs_rpc_numbers *n;
	struct obs_p2p_peer *peer;

	if (c)
		forget_call(p, c); /* an id that is used twice */
	make_room(p);
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->conn = p->conn->id;
	c->way = way;
	make_key(c->key, c->conn, way, m->id);
	c->rpc = rpc_index(p, m->proto);
	c->peer_len = m->peer.len < sizeof(c->peer) ? m->peer.len : 0;
	if (c->peer_len)
		memcpy(c->peer, m->peer.p, c->peer_len);
	c->started_ns = frame->started_ns;
	c->wall_ns = p->now->wall_ns;
	HASH_ADD(hh, p->calls, key, CALL_KEY_LEN, c);

	count_start(&p->view.rpcs[c->rpc].way[way], m->data.len);
	start_dht(p, c, m->proto, m->data);
	peer = obs_p2pd_peers_get(p->peers, m->peer, p->now->ns);
	if (!peer)
		return;
	n = obs_p2pd_peers_pair(peer, c->rpc, way, true);
	if (n)
		count_start(n, m->data.len);
	peer->calls[way]++;
	*(way == OBS_P2P_OUT ? &peer->bytes_sent : &peer->bytes_received) += m->data.len;
}

static void add_latency(struct obs_rpc_numbers *n, uint64_t ns)
{
	size_t b = 0;

	while (b < OBS_P2P_BUCKETS && (double)ns / 1e6 > obs_p2p_bucket_ms[b])
		b++;
	n->buckets[b]++;
	n->latency_ns += ns;
	if (ns > n->latency_max_ns)
		n->latency_max_ns = ns;
}

static struct obs_p2p_peer *peer_of(struct obs_p2pd *p, const struct call *c)
{
	return obs_p2pd_peers_get(p->peers, obs_slice(c->peer, c->peer_len), p->now->ns);
}

static struct obs_key_numbers *unnamed_numbers(struct obs_p2pd *p, const uint8_t *key)
{
	struct unnamed *free_one = NULL;

	for (size_t i = 0; i < UNNAMED_MAX; i++) {
		struct unnamed *u = &p->unnamed[i];

		if (u->used && memcmp(u->key, key, sizeof(u->key)) == 0)
			return &u->n;
		if (!u->used && !free_one)
			free_one = u;
	}
	if (!free_one)
		return &p->view.dht.kinds[OBS_KEY_KIND_OTHER];
	*free_one = (struct unnamed){ .used = true, .since_ns = p->now->ns };
	memcpy(free_one->key, key, sizeof(free_one->key));
	return &free_one->n;
}

static struct obs_key_numbers *key_numbers(struct obs_p2pd *p, const uint8_t *key)
{
	enum obs_key_kind kind = obs_key_names_kind(p->names, key);

	return kind == OBS_KEY_KIND_OTHER ? unnamed_numbers(p, key) : &p->view.dht.kinds[kind];
}

/* Counted as what it is for; as OTHER only when its name is not being looked for any more. */
static void settle_unnamed(struct obs_p2pd *p, struct unnamed *u, uint64_t now_ns)
{
	enum obs_key_kind kind = obs_key_names_kind(p->names, u->key);
	struct obs_key_numbers *to = &p->view.dht.kinds[kind];

	if (kind == OBS_KEY_KIND_OTHER &&
	    (obs_key_names_busy(p->names) || now_ns < u->since_ns + UNNAMED_NS))
		return;
	for (int way = 0; way < 2; way++) {
		to->stored[way] += u->n.stored[way];
		to->refused[way] += u->n.refused[way];
		to->hits[way] += u->n.hits[way];
		to->misses[way] += u->n.misses[way];
	}
	u->used = false;
}

static struct obs_sync_step step_of(const struct obs_p2pd *p, const struct call *c, unsigned i)
{
	return (struct obs_sync_step){
		.key = c->keys[i],
		.peer = hash_of(c->peer, c->peer_len),
		.started_ns = c->started_ns,
		.ns = p->now->ns,
		.wall_ns = p->now->wall_ns,
	};
}

static void note_stored(struct obs_p2pd *p, const struct call *c, unsigned i, bool ok)
{
	struct obs_key_numbers *k = key_numbers(p, c->keys[i]);
	struct obs_key_numbers *own = obs_p2pd_keys_use(p->keys, c->keys[i]);
	struct obs_p2pd_record record = {
		.key = c->keys[i],
		.subkey = c->subkeys[i],
		.way = c->way,
		.ends_s = c->ends_s[i],
	};

	k->stored[c->way] += ok;
	k->refused[c->way] += !ok;
	own->stored[c->way] += ok;
	own->refused[c->way] += !ok;
	if (ok)
		obs_p2pd_records_put(p->records, &record);
}

static void end_store(struct obs_p2pd *p, const struct call *c, const struct obs_dht_answer *a)
{
	struct obs_dht_numbers *d = &p->view.dht;

	for (unsigned i = 0; i < c->n_keys && i < a->n_ok + a->n_refused; i++)
		note_stored(p, c, i, a->ok[i]);
	if (c->way == OBS_P2P_IN) {
		d->records_taken += a->n_ok;
		return;
	}
	d->records_sent += a->n_ok;
	d->records_refused += a->n_refused;
	for (unsigned i = 0; i < c->n_keys && i < a->n_ok + a->n_refused; i++) {
		struct obs_sync_step step = step_of(p, c, i);

		step.ok = a->ok[i];
		step.value_bytes = c->value_bytes[i];
		obs_syncs_stored(&p->syncs, &step);
	}
}

static void note_found(struct obs_p2pd *p, const struct call *c, unsigned i, bool found)
{
	struct obs_key_numbers *k =
		i < c->n_keys ? key_numbers(p, c->keys[i]) : &p->view.dht.kinds[OBS_KEY_KIND_OTHER];

	k->hits[c->way] += found;
	k->misses[c->way] += !found;
	if (i >= c->n_keys)
		return;
	k = obs_p2pd_keys_use(p->keys, c->keys[i]);
	k->hits[c->way] += found;
	k->misses[c->way] += !found;
}

static void end_find(struct obs_p2pd *p, const struct call *c, const struct obs_dht_answer *a)
{
	struct obs_dht_numbers *d = &p->view.dht;

	for (unsigned i = 0; i < a->n_results && i < OBS_DHT_ENTRIES_MAX; i++) {
		const struct obs_dht_result *res = &a->results[i];
		struct obs_sync_step step;

		d->hits[c->way] += res->found != OBS_DHT_NOT_FOUND;
		d->misses[c->way] += res->found == OBS_DHT_NOT_FOUND;
		note_found(p, c, i, res->found != OBS_DHT_NOT_FOUND);
		if (c->way == OBS_P2P_IN)
			continue;
		d->value_bytes_received += res->value_bytes;
		if (i >= c->n_keys)
			continue;
		step = step_of(p, c, i);
		step.ok = res->found != OBS_DHT_NOT_FOUND;
		step.items = res->items;
		step.value_bytes = res->value_bytes;
		obs_syncs_found(&p->syncs, &step);
	}
}

/* The peer's clock, compared with the middle between question and answer. */
static void end_ping(struct obs_p2pd *p, const struct call *c, const struct obs_dht_answer *a)
{
	struct obs_dht_numbers *d = &p->view.dht;
	struct obs_p2p_peer *peer = peer_of(p, c);
	double middle = ((double)c->wall_ns + (double)p->now->wall_ns) / 2 / 1e9, offset;

	if (c->way == OBS_P2P_IN || !(a->dht_time > 0) || a->dht_time > 1e11)
		return;
	offset = a->dht_time - middle;
	d->has_clock = true;
	d->clock_offset_s = offset;
	if (offset > d->clock_offset_max_s || -offset > d->clock_offset_max_s)
		d->clock_offset_max_s = offset < 0 ? -offset : offset;
	if (peer) {
		peer->has_clock = true;
		peer->clock_offset_s = offset;
		peer->clock_shift_ns = p->view.shift_ns;
		peer->clock_ns = p->now->ns;
	}
}

static void end_dht(struct obs_p2pd *p, const struct call *c, struct obs_head data)
{
	struct obs_dht_answer a;

	if (c->dht == OBS_DHT_OTHER)
		return;
	if (obs_dht_answer_parse(c->dht, data, &a) < 0) {
		p->view.messages_bad++;
		return;
	}
	if (c->dht == OBS_DHT_STORE)
		end_store(p, c, &a);
	else if (c->dht == OBS_DHT_FIND)
		end_find(p, c, &a);
	else
		end_ping(p, c, &a);
}

static void tell_failure(struct obs_p2pd *p, const struct obs_p2pd_failure *f)
{
	if (p->ops->failed)
		p->ops->failed(p->ctx, f);
}

static void fail_call(struct obs_p2pd *p, const struct call *c, const struct obs_p2pd_call *m,
		      uint64_t latency_ns)
{
	struct obs_p2p_peer *peer = peer_of(p, c);
	struct counted k = numbers_of(p, c);
	struct obs_p2pd_failure f = {
		.rpc = p->view.rpcs[c->rpc].name,
		.peer_id = peer ? peer->id : "",
		.error = m->kind == OBS_CALL_DAEMON_ERROR ? m->error : obs_head_slice(m->data),
		.way = c->way,
		.by_daemon = m->kind == OBS_CALL_DAEMON_ERROR,
		.latency_ns = latency_ns,
		.wall_ns = p->now->wall_ns,
		.pid = p->now->pid,
	};

	for (int i = 0; i < 2; i++) {
		if (k.n[i])
			k.n[i]->failed++;
	}
	if (peer)
		peer->failed[c->way]++;
	tell_failure(p, &f);
}

static void count_answer(struct obs_rpc_numbers *n, uint64_t bytes)
{
	n->answered++;
	n->answer_bytes += bytes;
	n->answer_sizes[size_bucket(bytes)]++;
	if (bytes > n->answer_max)
		n->answer_max = bytes;
}

static void answer_call(struct obs_p2pd *p, const struct call *c, const struct obs_p2pd_call *m,
			uint64_t latency_ns)
{
	struct obs_p2p_peer *peer = peer_of(p, c);
	struct counted k = numbers_of(p, c);

	for (int i = 0; i < 2; i++) {
		if (k.n[i])
			count_answer(k.n[i], m->data.len);
	}
	if (peer) {
		*(c->way == OBS_P2P_OUT ? &peer->bytes_received : &peer->bytes_sent) += m->data.len;
		if (c->way == OBS_P2P_OUT)
			peer->latency_ns = latency_ns;
	}
	end_dht(p, c, m->data);
}

static void keep_early(struct obs_p2pd *p, const struct obs_p2pd_call *m, enum obs_p2p_way way,
		       const struct obs_frame *frame)
{
	char key[OBS_EARLY_KEY_LEN] = { 0 };

	make_key(key, p->conn->id, way, m->id);
	if (obs_early_keep(&p->early, key, frame, p->now->ns))
		COUNT(p, p2pd_answers_unmatched, 1);
}

static void end_call(struct obs_p2pd *p, const struct obs_p2pd_call *m, enum obs_p2p_way way,
		     const struct obs_frame *frame)
{
	struct call *c = find_call(p, way, m->id);
	struct counted k;
	uint64_t ns;

	if (!c) { /* told of first, its beginning was not seen, or it was cancelled */
		keep_early(p, m, way, frame);
		return;
	}
	ns = frame->ended_ns > c->started_ns ? frame->ended_ns - c->started_ns : 0;
	k = numbers_of(p, c);
	for (int i = 0; i < 2; i++) {
		if (k.n[i])
			add_latency(k.n[i], ns);
	}
	if (m->kind == OBS_CALL_DAEMON_ERROR || m->failed)
		fail_call(p, c, m, ns);
	else
		answer_call(p, c, m, ns);
	forget_call(p, c);
}

/* The answer to @asked, if it was told of before. */
static void end_early(struct obs_p2pd *p, const struct obs_p2pd_call *asked, enum obs_p2p_way way)
{
	char key[OBS_EARLY_KEY_LEN] = { 0 };
	const struct obs_frame *frame;
	struct obs_p2pd_call m;

	make_key(key, p->conn->id, way, asked->id);
	frame = obs_early_take(&p->early, key);
	if (frame && obs_p2pd_call_parse(frame->body, way == OBS_P2P_OUT, &m) == 0)
		end_call(p, &m, way, frame);
}

static void cancel_call(struct obs_p2pd *p, enum obs_p2p_way way, const uint8_t *id)
{
	struct call *c = find_call(p, way, id);

	if (!c)
		return; /* p2pd's echo */
	count_cancelled(p, c);
	forget_call(p, c);
}

static int find_handler(const struct obs_p2p_view *v, const char *name)
{
	for (size_t i = 0; i < v->n_handlers; i++) {
		if (strcmp(v->handlers[i], name) == 0)
			return (int)i;
	}
	return -1;
}

static void set_handler(struct obs_p2pd *p, struct obs_slice proto, bool there)
{
	struct obs_p2p_view *v = &p->view;
	char name[OBS_P2P_NAME_LEN];
	int at;

	copy_name(name, sizeof(name), proto);
	at = find_handler(v, name);
	if (there && at < 0 && v->n_handlers < OBS_P2P_HANDLERS_MAX)
		memcpy(v->handlers[v->n_handlers++], name, sizeof(name));
	if (!there && at >= 0)
		memmove(v->handlers[at], v->handlers[--v->n_handlers], sizeof(name));
}

static void on_call(struct obs_p2pd *p, bool by_daemon, const struct obs_frame *frame)
{
	enum obs_p2p_way begins = by_daemon ? OBS_P2P_IN : OBS_P2P_OUT;
	struct obs_p2pd_call m;

	if (obs_p2pd_call_parse(frame->body, by_daemon, &m) < 0) {
		p->view.messages_bad++;
		return;
	}
	p->conn->persistent = true;
	switch (m.kind) {
	case OBS_CALL_REQUEST:
		start_call(p, &m, begins, frame);
		end_early(p, &m, begins);
		break;
	case OBS_CALL_ANSWER:
	case OBS_CALL_DAEMON_ERROR:
		end_call(p, &m, by_daemon ? OBS_P2P_OUT : OBS_P2P_IN, frame);
		break;
	case OBS_CALL_CANCEL:
		cancel_call(p, begins, m.id);
		break;
	case OBS_CALL_ADD_HANDLER:
	case OBS_CALL_REMOVE_HANDLER:
		set_handler(p, m.proto, m.kind == OBS_CALL_ADD_HANDLER);
		break;
	case OBS_CALL_ACK:
	case OBS_CALL_NONE:
		break;
	}
}

/* --- short connections --- */

/* @met: it is connected there. */
static void note_peer(struct obs_p2pd *p, struct obs_slice id, struct obs_head with_addrs, bool met)
{
	struct obs_p2p_peer *peer = obs_p2pd_peers_get(p->peers, id, p->now->ns);
	struct obs_proto w = obs_proto(with_addrs);
	char text[OBS_P2P_ADDR_LEN];
	struct obs_slice addr;

	for (unsigned i = 0; peer && i < OBS_P2P_ADDRS_MAX && obs_p2pd_next_addr(&w, &addr); i++) {
		if (obs_multiaddr_format(addr, text, sizeof(text)) <= 0)
			continue;
		if (i == 0)
			memcpy(peer->addr, text, sizeof(peer->addr));
		if (p->ops->address)
			p->ops->address(p->ctx, peer->id, text, met);
	}
}

static void on_request(struct obs_p2pd *p, struct obs_frames *f, const struct obs_frame *frame)
{
	struct conn *c = p->conn;
	struct obs_p2pd_request req;

	if (obs_p2pd_request_parse(frame->body, &req) < 0) {
		p->view.messages_bad++;
		return;
	}
	c->asked = true;
	c->type = req.type;
	c->asked_ns = frame->started_ns;
	c->asked_wall_ns = p->now->wall_ns;
	obs_base58_format(req.peer, c->peer, sizeof(c->peer));
	copy_name(c->name, sizeof(c->name), req.proto);
	if (req.type == OBS_P2PD_CONNECT) {
		p->view.connects++;
		note_peer(p, req.peer, req.body, false);
	} else if (req.type == OBS_P2PD_DISCONNECT) {
		p->view.disconnects++;
	} else if (req.type == OBS_P2PD_STREAM_HANDLER ||
		   req.type == OBS_P2PD_REMOVE_STREAM_HANDLER) {
		set_handler(p, req.proto, req.type == OBS_P2PD_STREAM_HANDLER);
	} else if (req.type == OBS_P2PD_STREAM_OPEN) {
		f->framing = OBS_FRAMING_RAW; /* whatever comes next this way */
	} else if (req.type == OBS_P2PD_UPGRADE) {
		c->persistent = true;
	}
}

static void on_identity(struct obs_p2pd *p, const struct obs_p2pd_response *res)
{
	struct obs_p2p_view *v = &p->view;
	struct obs_proto w = obs_proto(res->identify);
	struct obs_slice addr;
	char id[OBS_P2P_ID_LEN];

	if (!obs_peer_id_is_valid(res->peer))
		return;
	v->n_addrs = 0;
	while (v->n_addrs < OBS_P2P_ADDRS_MAX && obs_p2pd_next_addr(&w, &addr)) {
		if (obs_multiaddr_format(addr, v->addrs[v->n_addrs], OBS_P2P_ADDR_LEN) > 0)
			v->n_addrs++;
	}
	obs_base58_format(res->peer, id, sizeof(id));
	for (size_t i = 0; i < v->n_addrs && p->ops->address; i++)
		p->ops->address(p->ctx, id, v->addrs[i], false);
	obs_p2pd_learn_id(p, id);
}

static void on_peer_list(struct obs_p2pd *p, struct obs_head body)
{
	struct obs_proto w = obs_proto(body);
	struct obs_slice id;
	struct obs_head info;

	p->view.listed = 0;
	while (obs_p2pd_next_peer(&w, &id, &info)) {
		note_peer(p, id, info, true);
		p->view.listed++;
	}
}

static void on_refusal(struct obs_p2pd *p, const struct obs_p2pd_response *res)
{
	static const char *const what[OBS_P2PD_TYPE_MAX] = {
		[OBS_P2PD_CONNECT] = "connect",
		[OBS_P2PD_STREAM_HANDLER] = "stream_handler",
		[OBS_P2PD_DHT] = "dht",
		[OBS_P2PD_DISCONNECT] = "disconnect",
	};
	struct conn *c = p->conn;
	bool named = c->asked && c->type < OBS_P2PD_TYPE_MAX && what[c->type];
	struct obs_p2pd_failure f = {
		.rpc = named	  ? what[c->type]
		       : *c->name ? c->name
				  : "request",
		.peer_id = c->peer,
		.error = res->error,
		.by_daemon = true,
		.latency_ns = c->asked && p->now->ns > c->asked_ns ? p->now->ns - c->asked_ns : 0,
		.wall_ns = p->now->wall_ns,
		.pid = p->now->pid,
	};

	p->view.connects_failed += c->asked && c->type == OBS_P2PD_CONNECT;
	tell_failure(p, &f);
}

/* --- streams --- */

static void open_stream(struct obs_p2pd *p, enum obs_p2p_way way, struct obs_slice proto)
{
	struct conn *c = p->conn;

	c->rpc = rpc_index(p, proto);
	c->stream = c->stream_open = true;
	c->passed_ns = p->now->ns;
	p->view.streams[way]++;
	p->view.rpcs[c->rpc].streams[way].opened++;
}

static struct obs_stream_numbers *stream_numbers(struct obs_p2pd *p, const struct conn *c)
{
	return &p->view.rpcs[c->rpc].streams[c->handler ? OBS_P2P_IN : OBS_P2P_OUT];
}

/* A message of a stream. Their lengths are not summed up: one that p2pd hands on may begin
 * in the middle of a write, where nobody captures it. */
static void on_stream(struct obs_p2pd *p, const struct obs_frame *frame)
{
	struct conn *c = p->conn;

	if (frame->marker == 0 || !c->stream_open)
		return;
	c->stream_open = false;
	stream_numbers(p, c)->ended++;
}

/* @n: bytes that passed on an open stream */
static void on_stream_bytes(struct obs_p2pd *p, struct conn *c, bool by_daemon, uint64_t n)
{
	if (n == 0)
		return;
	p->view.stream_bytes[by_daemon] += n;
	if (!c->stream)
		return; /* its beginning was not seen */
	p->view.rpcs[c->rpc].stream_bytes[by_daemon] += n;
	if (p->now->ns > c->passed_ns) {
		stream_numbers(p, c)->duration_ns += p->now->ns - c->passed_ns;
		c->passed_ns = p->now->ns;
	}
}

static void on_response(struct obs_p2pd *p, struct obs_frames *f, const struct obs_frame *frame)
{
	struct obs_p2pd_response res;

	if (obs_p2pd_response_parse(frame->body, &res) < 0) {
		p->view.messages_bad++;
		return;
	}
	if (res.failed)
		on_refusal(p, &res);
	if (res.identify.len > 0)
		on_identity(p, &res);
	if (res.has_peers || (p->conn->asked && p->conn->type == OBS_P2PD_LIST_PEERS))
		on_peer_list(p, frame->body);
	if (res.has_stream) {
		open_stream(p, OBS_P2P_OUT,
			    obs_slice_str(*p->conn->name ? p->conn->name : "unknown"));
		f->framing = OBS_FRAMING_RAW;
	}
	p->conn->asked = false;
}

static void on_stream_info(struct obs_p2pd *p, struct obs_frames *f, const struct obs_frame *frame)
{
	struct obs_p2pd_response res;

	f->framing = OBS_FRAMING_RAW;
	if (obs_p2pd_stream_info_parse(frame->body, &res) < 0) {
		p->view.messages_bad++;
		return;
	}
	open_stream(p, OBS_P2P_IN, res.proto.len ? res.proto : OBS_SLICE("unknown"));
	obs_p2pd_peers_get(p->peers, res.peer, p->now->ns);
}

/* --- from writes to messages --- */

static bool by_p2pd(const struct obs_p2pd_write *w)
{
	return w->by == OBS_P2PD_BY_DAEMON || w->by == OBS_P2PD_BY_DIALER;
}

static void on_frame(void *ctx, struct obs_frames *f, const struct obs_frame *frame)
{
	struct obs_p2pd *p = ctx;
	bool by_daemon = by_p2pd(p->now);

	p->view.messages++;
	COUNT(p, p2pd_messages, 1);
	if (f->framing == OBS_FRAMING_RAW)
		on_stream(p, frame);
	else if (p->conn->handler)
		on_stream_info(p, f, frame);
	else if (frame->body.have > 0 && frame->body.p[0] == 0x0a)
		on_call(p, by_daemon, frame);
	else if (by_daemon)
		on_response(p, f, frame);
	else
		on_request(p, f, frame);
}

static void forget_conn(struct obs_p2pd *p, struct conn *conn)
{
	struct call *c, *next;

	HASH_ITER(hh, p->calls, c, next)
	{
		if (c->conn != conn->id)
			continue;
		count_cancelled(p, c);
		forget_call(p, c);
	}
	HASH_DEL(p->conns, conn);
	free(conn);
}

/* The one silent for longest, and rather a short one, whose end nobody tells us of. */
static void evict_conn(struct obs_p2pd *p)
{
	struct conn *oldest = p->conns;

	for (struct conn *c = p->conns; c; c = c->hh.next) {
		if (c->persistent != oldest->persistent ? oldest->persistent
							: c->last_ns < oldest->last_ns)
			oldest = c;
	}
	forget_conn(p, oldest);
}

static struct conn *conn_of(struct obs_p2pd *p, const struct obs_p2pd_write *w)
{
	struct conn *c;

	HASH_FIND(hh, p->conns, &w->conn, sizeof(w->conn), c);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	if (HASH_COUNT(p->conns) >= OBS_P2PD_CONNS_MAX)
		evict_conn(p);
	c->id = w->conn;
	c->handler = w->by == OBS_P2PD_BY_HANDLER || w->by == OBS_P2PD_BY_DIALER;
	if (c->handler) /* who accepts there answers on the open stream at once */
		c->way[1].framing = OBS_FRAMING_RAW;
	HASH_ADD(hh, p->conns, id, sizeof(c->id), c);
	return c;
}

void obs_p2pd_push(struct obs_p2pd *p, const struct obs_p2pd_write *w)
{
	bool accepted = w->by == OBS_P2PD_BY_DAEMON || w->by == OBS_P2PD_BY_HANDLER;
	struct conn *c = conn_of(p, w);
	uint64_t lost, resyncs, raw, bad = p->view.messages_bad;
	struct obs_frames *f;

	if (!c)
		return;
	f = &c->way[accepted];
	lost = f->lost_bytes;
	resyncs = f->resyncs;
	raw = f->raw_bytes;
	c->pid[accepted] = w->pid;
	c->last_ns = w->ns;
	p->now = w;
	p->conn = c;
	p->view.shift_ns = (int64_t)(w->wall_ns - w->ns);
	obs_frames_push(f, w->at, w->fresh, w->in, w->ns, on_frame, p);
	on_stream_bytes(p, c, by_p2pd(w), f->raw_bytes - raw);
	p->view.lost_bytes += f->lost_bytes - lost;
	p->view.resyncs += f->resyncs - resyncs;
	COUNT(p, p2pd_bytes, w->in.len);
	COUNT(p, p2pd_bytes_lost, f->lost_bytes - lost);
	COUNT(p, p2pd_messages_bad, p->view.messages_bad - bad);
	p->now = NULL;
	p->conn = NULL;
}

/* --- life --- */

int obs_p2pd_new(const struct obs_p2pd_ops *ops, void *ctx, struct obs_counters *counters,
		 struct obs_p2pd **ret)
{
	struct obs_p2pd *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->ops = ops;
	p->ctx = ctx;
	p->counters = counters;
	r = obs_key_names_new(&p->names);
	if (r == 0)
		r = obs_p2pd_peers_new(OBS_P2PD_PEERS_MAX, &p->peers);
	if (r == 0)
		r = obs_p2pd_records_new(&p->records);
	if (r == 0)
		r = obs_p2pd_keys_new(&p->keys);
	if (r < 0)
		obs_p2pd_free(&p);
	else
		*ret = p;
	return r;
}

void obs_p2pd_free(struct obs_p2pd **pp)
{
	struct obs_p2pd *p = *pp;

	if (!p)
		return;
	while (p->conns)
		forget_conn(p, p->conns);
	while (p->calls)
		forget_call(p, p->calls);
	obs_p2pd_records_free(&p->records);
	obs_p2pd_keys_free(&p->keys);
	obs_p2pd_peers_free(&p->peers);
	obs_key_names_free(&p->names);
	free(p);
	*pp = NULL;
}

void obs_p2pd_process_left(struct obs_p2pd *p, pid_t pid)
{
	struct conn *c, *next;

	HASH_ITER(hh, p->conns, c, next)
	{
		if (c->pid[0] == pid || c->pid[1] == pid)
			forget_conn(p, c);
	}
}

void obs_p2pd_learn_round(struct obs_p2pd *p, uint32_t round)
{
	obs_key_names_learn(p->names, round);
}

void obs_p2pd_learn_id(struct obs_p2pd *p, const char *peer_id)
{
	if (strcmp(p->view.peer_id, peer_id) == 0)
		return;
	snprintf(p->view.peer_id, sizeof(p->view.peer_id), "%s", peer_id);
	if (p->ops->identified)
		p->ops->identified(p->ctx, peer_id, p->now ? p->now->wall_ns : 0);
}

static void tell_sync(void *ctx, const struct obs_swarm_sync *s)
{
	struct obs_p2pd *p = ctx;

	p->view.syncs++;
	if (p->ops->sync)
		p->ops->sync(p->ctx, s);
}

static void forget_old_calls(struct obs_p2pd *p, uint64_t now_ns)
{
	while (p->calls && p->calls->started_ns + CALL_FORGET_NS < now_ns) {
		forget_call(p, p->calls);
		COUNT(p, p2pd_calls_forgotten, 1);
	}
}

static void forget_quiet_conns(struct obs_p2pd *p, uint64_t now_ns)
{
	struct conn *c, *next;

	HASH_ITER(hh, p->conns, c, next)
	{
		if (c->last_ns + CONN_QUIET_NS < now_ns)
			forget_conn(p, c);
	}
}

static void name_keys(struct obs_p2pd *p, uint64_t now_ns)
{
	obs_key_names_step(p->names, ROUNDS_PER_SECOND);
	for (size_t i = 0; i < UNNAMED_MAX; i++) {
		if (p->unnamed[i].used)
			settle_unnamed(p, &p->unnamed[i], now_ns);
	}
}

void obs_p2pd_tick(struct obs_p2pd *p, uint64_t now_ns, uint64_t wall_ns)
{
	p->view.shift_ns = (int64_t)(wall_ns - now_ns);
	name_keys(p, now_ns);
	obs_p2pd_records_expire(p->records, (double)wall_ns / 1e9);
	if (now_ns > SYNC_QUIET_NS)
		obs_syncs_end(&p->syncs, now_ns - SYNC_QUIET_NS, p->names, tell_sync, p);
	forget_old_calls(p, now_ns);
	if (now_ns > EARLY_WAIT_NS)
		COUNT(p, p2pd_answers_unmatched,
		      obs_early_expire(&p->early, now_ns - EARLY_WAIT_NS));
	forget_quiet_conns(p, now_ns);
}

void obs_p2pd_finish(struct obs_p2pd *p)
{
	while (obs_key_names_busy(p->names))
		obs_key_names_step(p->names, ROUNDS_PER_SECOND);
	name_keys(p, UINT64_MAX);
	obs_syncs_end(&p->syncs, UINT64_MAX, p->names, tell_sync, p);
}

void obs_p2pd_name_view(struct obs_p2pd *p, uint32_t slot, const char *title)
{
	p->view.slot = slot;
	snprintf(p->view.node, sizeof(p->view.node), "%s", title);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* One peer's clock says nothing about ours, that of most of them does. */
static void compare_clocks(struct obs_p2p_view *v)
{
	double offsets[OBS_P2PD_PEERS_MAX];
	unsigned n = 0;

	for (size_t i = 0; i < v->n_peers; i++) {
		if (v->peers[i]->has_clock)
			offsets[n++] = obs_p2p_clock_offset_s(v, v->peers[i]);
	}
	qsort(offsets, n, sizeof(offsets[0]), by_value);
	v->dht.clock_peers = n;
	v->dht.clock_median_s = n % 2 ? offsets[n / 2]
				: n   ? (offsets[n / 2 - 1] + offsets[n / 2]) / 2
				      : 0;
}

const struct obs_p2p_view *obs_p2pd_view(struct obs_p2pd *p)
{
	p->view.peers = obs_p2pd_peers_list(p->peers, &p->view.n_peers);
	compare_clocks(&p->view);
	for (int way = 0; way < 2; way++)
		p->view.dht.records[way] =
			*obs_p2pd_records_numbers(p->records, (enum obs_p2p_way)way);
	p->view.evicted = *obs_p2pd_peers_evicted(p->peers);
	p->view.keys = obs_p2pd_keys_list(p->keys, p->names, &p->view.n_keys);
	p->view.keys_evicted = obs_p2pd_keys_evicted(p->keys);
	p->view.connections = HASH_COUNT(p->conns);
	return &p->view;
}
