// SPDX-License-Identifier: BSD-2-Clause
/*
 * A node's talk with its p2pd, as hostile as it comes: writes of any end, on any connection, in any
 * order, and processes that end. The tables stay within their bounds, and nothing is counted that
 * was not there.
 */
#include "fuzz.h"

#include "collect/p2pd.h"

#define PIDS 2

static void on_failed(void *ctx, const struct obs_p2pd_failure *f)
{
	unsigned *n = ctx;

	fuzz_check(*f->rpc && strlen(f->peer_id) < OBS_P2P_ID_LEN);
	for (size_t i = 0; i < f->error.len; i++)
		*n += (uint8_t)f->error.p[i]; /* every byte is there */
}

static void on_address(void *ctx, const char *peer_id, const char *addr, bool met)
{
	unsigned *n = ctx;

	fuzz_check(strlen(peer_id) < OBS_P2P_ID_LEN && strlen(addr) < OBS_P2P_ADDR_LEN);
	*n += met;
}

static void check_numbers(const struct obs_rpc_numbers *n)
{
	uint64_t over = n->answered + n->failed + n->cancelled;

	fuzz_check(n->in_flight <= n->calls && n->answered + n->failed <= n->calls);
	fuzz_check(n->in_flight + over <= n->calls);
}

static void check_view(const struct obs_p2p_view *v, uint64_t written)
{
	fuzz_check(v->n_rpcs <= OBS_P2P_RPCS_MAX && v->n_addrs <= OBS_P2P_ADDRS_MAX);
	fuzz_check(v->n_handlers <= OBS_P2P_HANDLERS_MAX && v->n_keys <= OBS_P2P_KEYS_MAX);
	fuzz_check(v->n_peers <= OBS_P2PD_PEERS_MAX && v->connections <= OBS_P2PD_CONNS_MAX);
	fuzz_check(v->messages <= written);
	for (size_t i = 0; i < v->n_rpcs; i++) {
		for (int way = 0; way < 2; way++) {
			check_numbers(&v->rpcs[i].way[way]);
			fuzz_check(v->rpcs[i].streams[way].ended <= v->rpcs[i].streams[way].opened);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct obs_p2pd_ops ops = { .failed = on_failed, .address = on_address };
	uint64_t at[2][8] = {}, ns = 0, written = 0;
	struct obs_p2pd *p = NULL;
	unsigned n = 0;

	fuzz_check(obs_p2pd_new(&ops, &n, NULL, &p) == 0);
	while (size >= 4) {
		unsigned conn = data[0] >> 2 & 7, by = data[0] & 3;
		size_t have = data[1] < size - 4 ? data[1] : size - 4;
		uint64_t len = have + (data[2] & 0x3f) * (data[2] & 0x40 ? 1000U : 1U);
		cleanup_free char *copy = fuzz_copy(data + 4, have);
		struct obs_p2pd_write w = {
			.conn = conn,
			.at = at[by & 1][conn] + data[3],
			.by = (enum obs_p2pd_writer)(OBS_P2PD_BY_DAEMON + by),
			.fresh = data[0] & 0x20,
			.in = obs_head(copy, have, len),
			.pid = 1 + (pid_t)(by & 1),
			.ns = ns,
			.wall_ns = ns,
		};

		ns++;
		obs_p2pd_push(p, &w);
		at[by & 1][conn] = w.at + len;
		written += len;
		if ((data[0] & 0xc0) == 0xc0)
			obs_p2pd_process_left(p, 1 + data[3] % PIDS);
		data += 4 + have;
		size -= 4 + have;
	}
	check_view(obs_p2pd_view(p), written);
	obs_p2pd_free(&p);
	return 0;
}
