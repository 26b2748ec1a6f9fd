// SPDX-License-Identifier: BSD-2-Clause
/* rpc.c - see rpc.h. */
#include "parse/rpc.h"

#include <errno.h>
#include <string.h>

#include "parse/abi.h"
#include "parse/jsonread.h"
#include "util/cleanup.h"

#define CODE_REVERTED 3
#define CODE_LIMITED  429

void obs_rpc_put(struct obs_buf *out, unsigned id, const char *method, struct obs_slice params)
{
	obs_buf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\",\"params\":", id,
		       method);
	obs_buf_push(out, params.p, params.len);
	obs_buf_push_str(out, "}");
}

static bool says(struct obs_slice text, const char *words)
{
	size_t n = strlen(words);

	for (size_t i = 0; i + n <= text.len; i++) {
		if (strncasecmp(text.p + i, words, n) == 0)
			return true;
	}
	return false;
}

/* hardhat keeps the data one level deeper */
static bool has_data(struct obs_slice error)
{
	struct obs_slice data, text;

	if (!obs_json_get(error, "data", &data))
		return false;
	if (obs_json_get(data, "data", &text))
		data = text;
	return obs_json_string(data, &text) && obs_slice_starts(text, OBS_SLICE("0x"));
}

static enum obs_rpc_kind judge_error(struct obs_slice error, struct obs_slice message)
{
	static const char *const limited[] = { "too many requests", "rate limit", "compute units",
					       "capacity" };
	struct obs_slice value;
	int64_t code = 0;

	if (obs_json_get(error, "code", &value))
		obs_json_number(value, &code);
	if (code == CODE_REVERTED || has_data(error) || says(message, "revert"))
		return OBS_RPC_REVERTED;
	for (size_t i = 0; i < ARRAY_LEN(limited); i++) {
		if (code == CODE_LIMITED || says(message, limited[i]))
			return OBS_RPC_LIMITED;
	}
	return OBS_RPC_FAILED;
}

/* An error counts even beside a result. */
static bool read_answer(struct obs_slice object, struct obs_rpc_answer *ret)
{
	struct obs_slice error = {}, result = {}, message;
	struct obs_rpc_answer a = {};

	obs_json_get(object, "error", &error);
	obs_json_get(object, "result", &result);
	if (!obs_json_is_null(error)) {
		if (obs_json_get(error, "message", &message))
			obs_json_string(message, &a.error);
		else
			obs_json_string(error, &a.error);
		a.kind = judge_error(error, a.error);
	} else if (!obs_json_is_null(result)) {
		a.kind = OBS_RPC_RESULT;
		a.result = result;
	} else {
		return false;
	}
	*ret = a;
	return true;
}

static void match(struct obs_slice object, unsigned first_id, size_t n, struct obs_rpc_answer *ret)
{
	struct obs_slice value;
	int64_t id;

	if (!obs_json_get(object, "id", &value) || !obs_json_number(value, &id) ||
	    id < (int64_t)first_id || id >= (int64_t)(first_id + n) ||
	    ret[id - first_id].kind != OBS_RPC_MISSING)
		return;
	read_answer(object, &ret[id - first_id]);
}

/* One answer for all: what is wrong with them, before any was read. */
static int read_refusal(struct obs_slice object, size_t n, struct obs_rpc_answer *ret)
{
	struct obs_rpc_answer a;

	if (!read_answer(object, &a) || a.kind == OBS_RPC_RESULT)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		ret[i] = a;
	return n > 1 && a.kind != OBS_RPC_LIMITED ? -EOPNOTSUPP : 0;
}

int obs_rpc_parse(struct obs_slice text, unsigned first_id, size_t n, struct obs_rpc_answer *ret)
{
	struct obs_slice value, entry, id;
	struct obs_json_walk w;

	memset(ret, 0, n * sizeof(*ret));
	if (obs_json_text(text, &value) < 0 || !obs_json_walk_init(&w, value))
		return -EBADMSG;
	if (w.is_object) {
		if (n > 1 || !obs_json_get(value, "id", &id) || obs_json_is_null(id))
			return read_refusal(value, n, ret);
		match(value, first_id, n, ret);
		return 0;
	}
	while (obs_json_walk_next(&w, NULL, &entry))
		match(entry, first_id, n, ret);
	return 0;
}

static bool get_hex(struct obs_slice object, const char *key, struct obs_slice *ret)
{
	struct obs_slice value;

	return obs_json_get(object, key, &value) && obs_json_string(value, ret);
}

static bool get_quantity(struct obs_slice object, const char *key, uint64_t *ret)
{
	struct obs_slice hex;

	return get_hex(object, key, &hex) && obs_hex_number(hex, ret);
}

bool obs_rpc_log_parse(struct obs_slice entry, struct obs_rpc_log *ret)
{
	struct obs_rpc_log l = {};
	struct obs_slice value;
	struct obs_json_walk w;

	if (!get_hex(entry, "address", &l.address) || !get_hex(entry, "data", &l.data) ||
	    !get_hex(entry, "transactionHash", &l.tx_hash) ||
	    !get_quantity(entry, "blockNumber", &l.block) ||
	    !get_quantity(entry, "logIndex", &l.index) || !obs_json_get(entry, "topics", &value) ||
	    !obs_json_walk_init(&w, value))
		return false;
	while (l.n_topics < ARRAY_LEN(l.topics) && obs_json_walk_next(&w, NULL, &value)) {
		if (!obs_json_string(value, &l.topics[l.n_topics++]))
			return false;
	}
	get_quantity(entry, "blockTimestamp", &l.time_s);
	l.removed =
		obs_json_get(entry, "removed", &value) && obs_slice_eq(value, OBS_SLICE("true"));
	*ret = l;
	return l.n_topics > 0;
}
