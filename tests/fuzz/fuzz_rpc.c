// SPDX-License-Identifier: BSD-2-Clause
/* Answers of JSON-RPC servers: the JSON, the hex in it, and the contract's results and events. */
#include "fuzz.h"

#include "parse/abi.h"
#include "parse/jsonread.h"
#include "parse/rpc.h"

/* Every list of strings, and of such lists, that the bytes may be taken for. */
static void read_lists(struct obs_slice data)
{
	struct obs_slice s;
	size_t first, n, inner, m;

	if (!obs_abi_array(data, 0, 0, &first, &n))
		return;
	fuzz_check(n <= data.len / OBS_ABI_WORD);
	for (size_t i = 0; i < n; i++) {
		if (obs_abi_bytes(data, first, first + i * OBS_ABI_WORD, &s))
			fuzz_check(s.len <= data.len);
		if (obs_abi_array(data, first, first + i * OBS_ABI_WORD, &inner, &m))
			fuzz_check(m <= data.len / OBS_ABI_WORD);
	}
}

static void read_event(struct obs_slice data)
{
	static const char text[] = "W(address indexed account,string peerId,uint256 indexed round,"
				   "string[] winners)";
	struct obs_abi_log log = { .data = data, .n_topics = data.len % 5 };
	struct obs_slice strings[8];
	struct obs_abi_item event;
	struct obs_abi_value v;
	size_t n;

	fuzz_check(obs_abi_item_parse(OBS_SLICE(text), &event) == 0);
	for (unsigned i = 0; i <= event.n_params; i++) {
		if (obs_abi_log_value(&event, &log, i, &v) == 0)
			fuzz_check(v.text.len <= data.len || v.text.p == v.buf);
		if (obs_abi_log_strings(&event, &log, i, strings, 8, &n) == 0)
			fuzz_check(n <= 8);
	}
}

static void read_hex(struct obs_slice hex)
{
	cleanup_buf struct obs_buf bytes = {};

	if (obs_hex_decode(hex, &bytes) < 0)
		return;
	read_lists(obs_buf_slice(&bytes));
	read_event(obs_buf_slice(&bytes));
}

static void read_result(struct obs_slice value)
{
	struct obs_slice s, entry;
	struct obs_rpc_log log;
	struct obs_json_walk w;

	if (obs_json_string(value, &s))
		read_hex(s);
	if (!obs_json_walk_init(&w, value))
		return;
	while (obs_json_walk_next(&w, NULL, &entry)) {
		if (obs_rpc_log_parse(entry, &log))
			read_hex(log.data);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *p = fuzz_copy(data, size);
	struct obs_slice in = obs_slice(p, size);
	struct obs_rpc_answer a[OBS_RPC_BATCH_MAX];
	struct obs_abi_item items[4];

	for (size_t n = 1; n <= 4; n += 3) {
		if (obs_rpc_parse(in, 1, n, a) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			read_result(a[i].result);
	}
	read_hex(in);
	read_lists(in);
	read_event(in);
	fuzz_check(obs_abi_events_from_json(in, items, 4) <= 4);
	obs_abi_item_parse(in, &items[0]);
	return 0;
}
