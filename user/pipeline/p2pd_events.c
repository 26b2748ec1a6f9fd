// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_events.c - see p2pd_events.h. */
#include "pipeline/p2pd_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "util/clock.h"

#define TELL_AGAIN_NS (60 * (uint64_t)OBS_NS_PER_S)
#define ERROR_MAX     512

static uint64_t hash_of(const struct obs_p2pd_failure *f)
{
	uint64_t h = XXH3_64bits(f->rpc, strlen(f->rpc));

	h = XXH3_64bits_withSeed(f->peer_id, strlen(f->peer_id), h);
	return h ^ (f->by_daemon ? 1 : 0) ^ (f->way == OBS_P2P_IN ? 2 : 0);
}

bool obs_p2pd_may_tell(struct obs_p2pd_limit *l, const struct obs_p2pd_failure *f, uint64_t now_ns,
		       uint64_t *more)
{
	uint64_t hash = hash_of(f);
	size_t at = hash % OBS_P2PD_LIMIT_ENTRIES;

	*more = 0;
	if (l->entries[at].hash == hash && l->entries[at].told_ns &&
	    now_ns - l->entries[at].told_ns < TELL_AGAIN_NS) {
		l->entries[at].untold++;
		return false;
	}
	if (l->entries[at].hash == hash)
		*more = l->entries[at].untold;
	l->entries[at].hash = hash;
	l->entries[at].told_ns = now_ns;
	l->entries[at].untold = 0;
	return true;
}

static void start(struct obs_event *ev, enum obs_event_type type, const char *name)
{
	ev->type = type;
	ev->name = name;
	ev->origin.via = OBS_VIA_P2PD;
}

static void add_text(struct obs_event *ev, const char *key, const char *text)
{
	if (*text)
		obs_event_add_str(ev, key, obs_slice_str(text));
}

void obs_p2pd_failed_event(const struct obs_p2pd_failure *f, uint64_t more, struct obs_event *ev)
{
	struct obs_slice error = f->error;

	if (error.len > ERROR_MAX)
		error.len = ERROR_MAX;
	start(ev, OBS_EVENT_PEER, strcmp(f->rpc, "connect") == 0 ? "connect_failed" : "rpc_failed");
	ev->wall_ns = f->wall_ns;
	ev->origin.pid = (uint32_t)f->pid;
	add_text(ev, "rpc", f->rpc);
	add_text(ev, "peer_id", f->peer_id);
	add_text(ev, "direction", f->way == OBS_P2P_OUT ? "out" : "in");
	add_text(ev, "failed_at", f->by_daemon ? "p2pd" : f->way == OBS_P2P_OUT ? "peer" : "node");
	if (error.len)
		obs_event_add_str(ev, "error", error);
	obs_event_add_real(ev, "latency_ms", (double)f->latency_ns / 1e6);
	if (more)
		obs_event_add_uint(ev, "more", more);
}

void obs_p2pd_sync_event(const struct obs_swarm_sync *s, struct obs_event *ev)
{
	start(ev, OBS_EVENT_PEER, "swarm_sync");
	ev->wall_ns = s->wall_ns;
	add_text(ev, "key", s->key);
	if (s->round >= 0)
		obs_event_add_int(ev, "round", s->round);
	obs_event_add_uint(ev, "sent_bytes", s->sent_bytes);
	obs_event_add_uint(ev, "stored_on", s->stored_on);
	if (s->refused_by)
		obs_event_add_uint(ev, "refused_by", s->refused_by);
	obs_event_add_uint(ev, "received_from", s->received_from);
	obs_event_add_uint(ev, "received_bytes", s->received_bytes);
	obs_event_add_real(ev, "duration_s", (double)s->duration_ns / 1e9);
}

void obs_p2pd_ready_event(const char *peer_id, uint64_t ready_ns, uint32_t restarts,
			  struct obs_event *ev)
{
	start(ev, OBS_EVENT_PEER, "p2pd_ready");
	add_text(ev, "peer_id", peer_id);
	if (ready_ns)
		obs_event_add_real(ev, "ready_s", (double)ready_ns / 1e9);
	obs_event_add_uint(ev, "restarts", restarts);
}

/* --- the snapshot --- */

static void add_number(struct obs_p2pd_snapshot *s, const char *way, const char *name,
		       const char *what, double value)
{
	char *key;

	if (s->n_keys >= sizeof(s->keys) / sizeof(s->keys[0]))
		return;
	key = s->keys[s->n_keys++];
	snprintf(key, sizeof(s->keys[0]), "rpc/%s/%s/%s", way, name, what);
	obs_event_add_real(&s->ev, key, value);
}

static void add_rpc(struct obs_p2pd_snapshot *s, const struct obs_rpc_view *v, enum obs_p2p_way w)
{
	const struct obs_rpc_numbers *n = &v->way[w];
	const char *way = w == OBS_P2P_OUT ? "out" : "in";

	if (n->calls == 0)
		return;
	add_number(s, way, v->name, "calls", (double)n->calls);
	if (n->failed)
		add_number(s, way, v->name, "failed", (double)n->failed);
	add_number(s, way, v->name, "request_bytes", (double)n->request_bytes);
	add_number(s, way, v->name, "answer_bytes", (double)n->answer_bytes);
	add_number(s, way, v->name, "p90_ms", obs_rpc_quantile_ms(n, 0.9));
}

static void add_dht(struct obs_event *ev, const struct obs_dht_numbers *d)
{
	obs_event_add_uint(ev, "records_sent", d->records_sent);
	obs_event_add_uint(ev, "records_taken", d->records_taken);
	obs_event_add_uint(ev, "hits", d->hits[OBS_P2P_OUT]);
	obs_event_add_uint(ev, "misses", d->misses[OBS_P2P_OUT]);
	if (d->has_clock)
		obs_event_add_real(ev, "clock_offset_s", d->clock_offset_s);
}

static void add_lists(struct obs_p2pd_snapshot *s, const struct obs_p2p_view *v)
{
	size_t n = 0, skip = v->n_peers > OBS_P2PD_SNAPSHOT_PEERS
				     ? v->n_peers - OBS_P2PD_SNAPSHOT_PEERS
				     : 0;

	for (size_t i = skip; i < v->n_peers; i++)
		s->peers[n++] = obs_slice_str(v->peers[i]->id);
	if (n)
		obs_event_add_list(&s->ev, "peers", s->peers, n);
	for (size_t i = 0; i < v->n_addrs; i++)
		s->addrs[i] = obs_slice_str(v->addrs[i]);
	if (v->n_addrs)
		obs_event_add_list(&s->ev, "addrs", s->addrs, v->n_addrs);
}

void obs_p2pd_snapshot_event(const struct obs_p2p_view *v, struct obs_p2pd_snapshot *s)
{
	memset(s, 0, sizeof(*s));
	start(&s->ev, OBS_EVENT_DHT_SNAPSHOT, "rpcs");
	add_text(&s->ev, "peer_id", v->peer_id);
	obs_event_add_uint(&s->ev, "peers_known", v->n_peers);
	add_dht(&s->ev, &v->dht);
	add_lists(s, v);
	for (size_t i = 0; i < v->n_rpcs; i++) {
		add_rpc(s, &v->rpcs[i], OBS_P2P_OUT);
		add_rpc(s, &v->rpcs[i], OBS_P2P_IN);
	}
}

/* --- what events tell --- */

bool obs_p2pd_event_round(const struct obs_event *ev, uint32_t *ret)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];
		char digits[12] = "";

		if (!obs_slice_eq(f->key, OBS_SLICE("round")))
			continue;
		if (f->kind == OBS_VALUE_NUMBER_TEXT && f->str.len < sizeof(digits)) {
			memcpy(digits, f->str.p, f->str.len);
			return sscanf(digits, "%" SCNu32, ret) == 1;
		}
		if ((f->kind == OBS_VALUE_INT && f->i < 0) || f->u > UINT32_MAX)
			return false;
		*ret = (uint32_t)f->u;
		return f->kind == OBS_VALUE_INT || f->kind == OBS_VALUE_UINT;
	}
	return false;
}

static bool take_id(struct obs_slice s, char ret[OBS_P2P_ID_LEN])
{
	if (s.len < 40 || s.len >= OBS_P2P_ID_LEN)
		return false;
	memcpy(ret, s.p, s.len);
	ret[s.len] = '\0';
	return true;
}

bool obs_p2pd_event_identity(const struct obs_event *ev, char ret[OBS_P2P_ID_LEN])
{
	struct obs_slice head = OBS_SLICE("Peer ID: ");

	if (obs_slice_eq(ev->origin.comm, OBS_SLICE("p2pd")) && obs_slice_starts(ev->message, head))
		return take_id(obs_slice(ev->message.p + head.len, ev->message.len - head.len),
			       ret);
	if (ev->type != OBS_EVENT_PEER || !ev->name || strcmp(ev->name, "identity") != 0)
		return false;
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (obs_slice_eq(ev->fields[i].key, OBS_SLICE("peer_id")) &&
		    ev->fields[i].kind == OBS_VALUE_STR)
			return take_id(ev->fields[i].str, ret);
	}
	return false;
}
