/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dht.h - what hivemind's DHT says in its RPCs: ping, store, find. From the head of each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/proto.h"

#define OBS_DHT_KEY_LEN	    20 /* SHA-1 */
#define OBS_DHT_ENTRIES_MAX 32 /* looked at, of one message; the others are only counted */

enum obs_dht_rpc {
	OBS_DHT_OTHER = 0,
	OBS_DHT_PING,
	OBS_DHT_STORE,
	OBS_DHT_FIND,
};

/** obs_dht_rpc_of() - which of them a name stands for: "[namespace::]DHTProtocol.rpc_find". */
enum obs_dht_rpc obs_dht_rpc_of(struct obs_slice name);

/* PingRequest, StoreRequest, FindRequest. Entries line up: keys[i] with values[i]. */
struct obs_dht_request {
	unsigned n_keys, n_subkeys, n_values, n_ends;  /* all that were seen */
	struct obs_slice keys[OBS_DHT_ENTRIES_MAX];    /* OBS_DHT_KEY_LEN bytes each */
	struct obs_slice subkeys[OBS_DHT_ENTRIES_MAX]; /* msgpack; "" = none */
	uint64_t value_bytes[OBS_DHT_ENTRIES_MAX];     /* true lengths */
	double ends_s[OBS_DHT_ENTRIES_MAX];	       /* when they expire, of the DHT's clock */
	bool validate;				       /* PING */
	bool cut;				       /* there were more */
};

enum obs_dht_found { OBS_DHT_NOT_FOUND = 0, OBS_DHT_REGULAR = 1, OBS_DHT_DICTIONARY = 2 };

struct obs_dht_result {
	enum obs_dht_found found;
	uint64_t value_bytes;
	uint32_t items; /* of a dictionary: subkeys in it; 0 = not seen */
};

/* PingResponse, StoreResponse, FindResponse. */
struct obs_dht_answer {
	double dht_time; /* PING; 0 = none */
	bool available;	 /* PING */
	unsigned n_ok, n_refused;
	bool ok[OBS_DHT_ENTRIES_MAX]; /* STORE, in the order of the keys */
	unsigned n_results;
	struct obs_dht_result results[OBS_DHT_ENTRIES_MAX]; /* FIND, in the order of the keys */
	bool cut;
};

/**
 * obs_dht_request_parse(), obs_dht_answer_parse() - the message of a call, or of its answer.
 * @ret: written only on success
 *
 * Return: 0, -EINVAL for OBS_DHT_OTHER, -EBADMSG.
 */
int obs_dht_request_parse(enum obs_dht_rpc rpc, struct obs_head in, struct obs_dht_request *ret);
int obs_dht_answer_parse(enum obs_dht_rpc rpc, struct obs_head in, struct obs_dht_answer *ret);

/** obs_msgpack_text() - the text that a msgpack string holds; empty for anything else. */
struct obs_slice obs_msgpack_text(struct obs_slice in);

/** obs_msgpack_put_text() - the msgpack form of a short text. Return: bytes, 0 = no room. */
size_t obs_msgpack_put_text(struct obs_slice text, uint8_t *out, size_t size);
