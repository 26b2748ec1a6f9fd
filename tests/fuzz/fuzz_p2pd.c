// SPDX-License-Identifier: BSD-2-Clause
/* The control socket's messages, whole and cut; what they hold is read to its last field. */
#include "fuzz.h"

#include "parse/dht.h"
#include "parse/p2pd.h"
#include "parse/peerid.h"

static void read_addrs(struct obs_head in)
{
	struct obs_proto w = obs_proto(in);
	struct obs_slice addr;
	char text[OBS_MULTIADDR_MAX];

	while (obs_p2pd_next_addr(&w, &addr))
		fuzz_check(obs_multiaddr_format(addr, text, sizeof(text)) < (int)sizeof(text));
}

static void read_peers(struct obs_head in)
{
	struct obs_proto w = obs_proto(in);
	struct obs_slice id;
	struct obs_head info;
	char text[OBS_PEER_ID_TEXT_MAX];

	while (obs_p2pd_next_peer(&w, &id, &info)) {
		obs_base58_format(id, text, sizeof(text));
		fuzz_check(strlen(text) < sizeof(text));
		read_addrs(info);
	}
}

static void read_dht(struct obs_head in)
{
	for (int rpc = OBS_DHT_PING; rpc <= OBS_DHT_FIND; rpc++) {
		struct obs_dht_request req;
		struct obs_dht_answer answer;

		if (obs_dht_request_parse((enum obs_dht_rpc)rpc, in, &req) == 0 && req.n_subkeys)
			obs_msgpack_text(req.subkeys[0]);
		obs_dht_answer_parse((enum obs_dht_rpc)rpc, in, &answer);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t more = size ? data[0] : 0;
	cleanup_free char *p = NULL;
	struct obs_p2pd_request req;
	struct obs_p2pd_response res;
	struct obs_p2pd_call call;
	struct obs_head in;

	if (size)
		data++, size--;
	p = fuzz_copy(data, size);
	in = obs_head(p, size, size + more);
	read_dht(in);
	read_peers(in);
	if (obs_p2pd_request_parse(in, &req) == 0)
		read_addrs(req.body);
	if (obs_p2pd_response_parse(in, &res) == 0)
		read_addrs(res.identify);
	obs_p2pd_stream_info_parse(in, &res);
	for (int by_daemon = 0; by_daemon < 2; by_daemon++) {
		if (obs_p2pd_call_parse(in, by_daemon, &call) == 0)
			fuzz_check(call.kind != OBS_CALL_NONE && call.data.have <= call.data.len);
	}
	return 0;
}
