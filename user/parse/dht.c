// SPDX-License-Identifier: BSD-2-Clause
/* dht.c - see dht.h. Field numbers are those of hivemind's dht.proto. */
#include "parse/dht.h"

#include <endian.h>
#include <errno.h>

#include "util/cleanup.h"

#define DICTIONARY_EXT 0x50 /* hivemind: MSGPackSerializer's type of DictionaryDHTValue */

static const struct {
	const char *method;
	enum obs_dht_rpc rpc;
} methods[] = {
	{ "DHTProtocol.rpc_ping", OBS_DHT_PING },
	{ "DHTProtocol.rpc_store", OBS_DHT_STORE },
	{ "DHTProtocol.rpc_find", OBS_DHT_FIND },
};

enum obs_dht_rpc obs_dht_rpc_of(struct obs_slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		size_t len = strlen(methods[i].method), before;

		if (name.len < len)
			continue;
		before = name.len - len;
		if (memcmp(name.p + before, methods[i].method, len) == 0 &&
		    (before == 0 || name.p[before - 1] == ':'))
			return methods[i].rpc;
	}
	return OBS_DHT_OTHER;
}

/* --- requests --- */

static void add_key(struct obs_dht_request *req, const struct obs_head *h)
{
	if (h->len != OBS_DHT_KEY_LEN || h->have < h->len)
		return;
	if (req->n_keys < OBS_DHT_ENTRIES_MAX)
		req->keys[req->n_keys] = obs_head_slice(*h);
	req->n_keys++;
}

static void add_subkey(struct obs_dht_request *req, const struct obs_head *h)
{
	if (req->n_subkeys < OBS_DHT_ENTRIES_MAX)
		req->subkeys[req->n_subkeys] =
			h->have == h->len ? obs_head_slice(*h) : obs_slice(NULL, 0);
	req->n_subkeys++;
}

static void add_value(struct obs_dht_request *req, const struct obs_head *h)
{
	if (req->n_values < OBS_DHT_ENTRIES_MAX)
		req->value_bytes[req->n_values] = h->len;
	req->n_values++;
}

static void add_end(struct obs_dht_request *req, uint64_t bits)
{
	if (req->n_ends < OBS_DHT_ENTRIES_MAX)
		req->ends_s[req->n_ends] = obs_proto_double(bits);
	req->n_ends++;
}

/* repeated double: packed into one field, or (other writers) a field each */
static void read_ends(const struct obs_proto_field *f, struct obs_dht_request *req)
{
	struct obs_slice in = obs_head_slice(f->bytes);
	uint64_t bits;

	if (f->wire == OBS_WIRE_I64)
		add_end(req, f->value);
	for (; f->wire == OBS_WIRE_LEN && in.len >= sizeof(bits);
	     in = obs_slice(in.p + sizeof(bits), in.len - sizeof(bits))) {
		memcpy(&bits, in.p, sizeof(bits));
		add_end(req, le64toh(bits));
	}
}

static void read_request_field(enum obs_dht_rpc rpc, const struct obs_proto_field *f,
			       struct obs_dht_request *req)
{
	if (rpc == OBS_DHT_PING) {
		if (f->number == 3 && f->wire == OBS_WIRE_VARINT)
			req->validate = f->value != 0;
		return;
	}
	if (f->number == 5 && rpc == OBS_DHT_STORE)
		read_ends(f, req);
	if (f->wire != OBS_WIRE_LEN)
		return;
	if (f->number == 2)
		add_key(req, &f->bytes);
	else if (f->number == 3 && rpc == OBS_DHT_STORE)
		add_subkey(req, &f->bytes);
	else if (f->number == 4 && rpc == OBS_DHT_STORE)
		add_value(req, &f->bytes);
}

int obs_dht_request_parse(enum obs_dht_rpc rpc, struct obs_head in, struct obs_dht_request *ret)
{
	struct obs_dht_request req = { 0 };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	if (rpc == OBS_DHT_OTHER)
		return -EINVAL;
	while ((r = obs_proto_next(&w, &f)) == 1)
		read_request_field(rpc, &f, &req);
	if (r < 0)
		return r;
	req.cut = w.cut;
	*ret = req;
	return 0;
}

/* --- msgpack, as much as is needed --- */

static uint32_t big_endian(const uint8_t *p, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Bytes of the number or nil that starts with @first; 0 = something else. */
static size_t scalar_size(uint8_t first)
{
	static const uint8_t sizes[] = {
		[0x00] = 1, /* c0: nil */
		[0x0a] = 5, [0x0b] = 9, [0x0c] = 2, [0x0d] = 3, [0x0e] = 5,
		[0x0f] = 9, [0x10] = 2, [0x11] = 3, [0x12] = 5, [0x13] = 9
	};

	if (first < 0x80 || first >= 0xe0)
		return 1;
	return first >= 0xc0 && first - 0xc0 < (int)sizeof(sizes) ? sizes[first - 0xc0] : 0;
}

/* The length of the array that starts at @p, -1 = there is none. */
static int64_t array_len(const uint8_t *p, size_t have)
{
	if (have >= 1 && (p[0] & 0xf0) == 0x90)
		return p[0] & 0x0f;
	if (have >= 3 && p[0] == 0xdc)
		return big_endian(p + 1, 2);
	if (have >= 5 && p[0] == 0xdd)
		return big_endian(p + 1, 4);
	return -1;
}

/* The header of an ext object of type @type at @p. Return: its bytes, 0 = it is something else. */
static size_t ext_header(const uint8_t *p, size_t have, uint8_t type)
{
	size_t n = 0;

	if (have >= 1 && p[0] >= 0xc7 && p[0] <= 0xc9)
		n = 1 + (1U << (p[0] - 0xc7)) + 1;
	else if (have >= 1 && p[0] >= 0xd4 && p[0] <= 0xd8)
		n = 2;
	return n > 0 && n <= have && p[n - 1] == type ? n : 0;
}

/* A dictionary is ext 50 { [maxsize, latest expiration, [[subkey, value, expiration], …]] }. */
static uint32_t dictionary_items(struct obs_head h)
{
	const uint8_t *p = (const uint8_t *)h.p;
	size_t at = ext_header(p, h.have, DICTIONARY_EXT), n;
	int64_t items;

	if (at == 0 || at >= h.have || p[at] != 0x93)
		return 0;
	at++;
	for (int i = 0; i < 2; i++) {
		n = at < h.have ? scalar_size(p[at]) : 0;
		if (n == 0)
			return 0;
		at += n;
	}
	items = at < h.have ? array_len(p + at, h.have - at) : -1;
	return items > 0 ? (uint32_t)items : 0;
}

struct obs_slice obs_msgpack_text(struct obs_slice in)
{
	const uint8_t *p = (const uint8_t *)in.p;
	size_t skip = 0, len = 0;

	if (in.len >= 1 && (p[0] & 0xe0) == 0xa0) {
		skip = 1;
		len = p[0] & 0x1f;
	} else if (in.len >= 2 && p[0] == 0xd9) {
		skip = 2;
		len = p[1];
	}
	return skip && len == in.len - skip ? obs_slice(in.p + skip, len) : obs_slice(NULL, 0);
}

size_t obs_msgpack_put_text(struct obs_slice text, uint8_t *out, size_t size)
{
	size_t skip = text.len < 32 ? 1 : 2;

	if (text.len > UINT8_MAX || skip + text.len > size)
		return 0;
	out[0] = skip == 1 ? (uint8_t)(0xa0 | text.len) : 0xd9;
	if (skip == 2)
		out[1] = (uint8_t)text.len;
	memcpy(out + skip, text.p, text.len);
	return skip + text.len;
}

/* --- answers --- */

static void add_ok(struct obs_dht_answer *a, bool ok)
{
	unsigned n = a->n_ok + a->n_refused;

	if (n < OBS_DHT_ENTRIES_MAX)
		a->ok[n] = ok;
	if (ok)
		a->n_ok++;
	else
		a->n_refused++;
}

/* repeated bool: packed into one field, or (other writers) a field each */
static void read_store_ok(const struct obs_proto_field *f, struct obs_dht_answer *a)
{
	struct obs_slice in = obs_head_slice(f->bytes);
	uint64_t v = 0;
	int n;

	if (f->wire == OBS_WIRE_VARINT) {
		add_ok(a, f->value != 0);
		return;
	}
	while (f->wire == OBS_WIRE_LEN && (n = obs_varint_parse(in, &v)) > 0) {
		add_ok(a, v != 0);
		in = obs_slice(in.p + n, in.len - (size_t)n);
	}
}

static int read_result(struct obs_head in, struct obs_dht_answer *a)
{
	struct obs_dht_result res = { 0 };
	struct obs_head value = { 0 };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number == 1 && f.wire == OBS_WIRE_VARINT && f.value <= OBS_DHT_DICTIONARY)
			res.found = (enum obs_dht_found)f.value;
		else if (f.number == 2 && f.wire == OBS_WIRE_LEN)
			value = f.bytes;
	}
	if (r < 0)
		return r;
	res.value_bytes = value.len;
	if (res.found == OBS_DHT_DICTIONARY)
		res.items = dictionary_items(value);
	if (a->n_results < OBS_DHT_ENTRIES_MAX)
		a->results[a->n_results] = res;
	a->n_results++;
	return 0;
}

static int read_answer_field(enum obs_dht_rpc rpc, const struct obs_proto_field *f,
			     struct obs_dht_answer *a)
{
	if (rpc == OBS_DHT_STORE && f->number == 2)
		read_store_ok(f, a);
	else if (rpc == OBS_DHT_FIND && f->number == 2 && f->wire == OBS_WIRE_LEN)
		return read_result(f->bytes, a);
	else if (rpc == OBS_DHT_PING && f->number == 4 && f->wire == OBS_WIRE_I64)
		a->dht_time = obs_proto_double(f->value);
	else if (rpc == OBS_DHT_PING && f->number == 5 && f->wire == OBS_WIRE_VARINT)
		a->available = f->value != 0;
	return 0;
}

int obs_dht_answer_parse(enum obs_dht_rpc rpc, struct obs_head in, struct obs_dht_answer *ret)
{
	struct obs_dht_answer a = { 0 };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	if (rpc == OBS_DHT_OTHER)
		return -EINVAL;
	while ((r = obs_proto_next(&w, &f)) == 1) {
		r = read_answer_field(rpc, &f, &a);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	a.cut = w.cut;
	*ret = a;
	return 0;
}
