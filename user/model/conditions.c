// SPDX-License-Identifier: BSD-2-Clause
/*
 * conditions.c - see conditions.h. A new one: its id, its limit, a function that judges it, its row.
 */
#include "model/conditions.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/clock.h"

#define RTT_FLOOR_US 10000 /* shorter ones are no trouble */

/* --- what was found --- */

__attribute__((format(printf, 2, 3))) static void say(struct obs_condition_finding *f,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->words, sizeof(f->words), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3))) static void note(struct obs_condition_finding *f,
						       const char *fmt, ...)
{
	va_list ap;

	if (f->n_evidence == OBS_CONDITION_EVIDENCE)
		return;
	va_start(ap, fmt);
	vsnprintf(f->evidence[f->n_evidence++], OBS_CONDITION_LINE, fmt, ap);
	va_end(ap);
}

static double seconds_since(const struct obs_condition_facts *facts, uint64_t wall_ns)
{
	return facts->wall_ns > wall_ns ? (double)(facts->wall_ns - wall_ns) / OBS_NS_PER_S : 0;
}

/* "10.77.0.1:4001 (12D3Koo…): refused, 3 s ago" */
static void note_peer(struct obs_condition_finding *f, const struct obs_condition_facts *facts,
		      const struct obs_peer *e)
{
	char at[OBS_ENDPOINT_TEXT];

	obs_endpoint_format(&e->at, at);
	note(f, "%s%s%s%s: %s, %.0f s ago", at, *e->peer_id ? " (" : "", e->peer_id,
	     *e->peer_id ? ")" : "",
	     e->failed_ns > e->opened_ns ? obs_conn_error_str(e->last_err) : "closed",
	     seconds_since(facts, e->failed_ns > e->opened_ns ? e->failed_ns : e->last_ns));
}

/* --- each of them --- */

enum verdict { NO, YES, UNKNOWN };

static enum verdict no_dht_peer(const struct obs_condition_facts *facts, double limit,
				struct obs_condition_finding *f)
{
	(void)limit;
	if (!facts->peers || !facts->has_p2pd)
		return NO;
	for (const struct obs_peer *e = facts->peers->peers; e; e = e->hh.next) {
		if (!obs_peer_is_swarm(e))
			continue;
		if (obs_peer_is_connected(e))
			return NO;
		f->value++;
		note_peer(f, facts, e);
	}
	say(f, "no connection to any peer of the swarm; %.0f are known", f->value);
	return YES;
}

/* Of those that the node has tried since it is watched: none can be had. */
static enum verdict bootnodes_unreachable(const struct obs_condition_facts *facts, double limit,
					  struct obs_condition_finding *f)
{
	(void)limit;
	for (const struct obs_peer *e = facts->peers ? facts->peers->peers : NULL; e;
	     e = e->hh.next) {
		if (e->role != OBS_PEER_BOOTNODE || !(e->open | e->opened_ns | e->failed_ns))
			continue;
		if (obs_peer_is_connected(e) || e->failed_ns <= e->opened_ns)
			return NO;
		f->value++;
		note_peer(f, facts, e);
	}
	say(f, "none of %.0f bootnodes can be reached", f->value);
	return f->value > 0 ? YES : UNKNOWN;
}

static enum verdict half_open_storm(const struct obs_condition_facts *facts, double limit,
				    struct obs_condition_finding *f)
{
	uint32_t dialling = 0;

	if (!facts->peers || !facts->peers->pass)
		return UNKNOWN; /* nobody has looked yet */
	f->value = (double)obs_peers_half_open(facts->peers, &dialling);
	for (size_t i = 0; i < facts->peers->n_listeners; i++) {
		const struct obs_listener *l = &facts->peers->listeners[i];
		char at[OBS_ENDPOINT_TEXT];

		if (!l->open || !l->half_open)
			continue;
		obs_endpoint_format(&l->local, at);
		note(f, "%s (%s): %u begun by others and not finished", at, l->process,
		     l->half_open);
	}
	if (dialling)
		note(f, "%u begun by the node and not answered", dialling);
	say(f, "%.0f TCP handshakes are half open at once", f->value);
	return f->value >= limit ? YES : NO;
}

/* One slow peer is that peer's trouble; half of them is ours. */
static enum verdict rtt_grew(const struct obs_condition_facts *facts, double limit,
			     struct obs_condition_finding *f)
{
	unsigned measured = 0, slow = 0;

	for (const struct obs_conn *c = facts->peers ? facts->peers->conns : NULL; c;
	     c = c->hh.next) {
		double times =
			c->peer->rtt_usual_us ? (double)c->f.srtt_us / c->peer->rtt_usual_us : 0;
		char at[OBS_ENDPOINT_TEXT];

		if (!obs_peer_is_swarm(c->peer) || !c->f.srtt_us)
			continue;
		measured++;
		if (times < limit || c->f.srtt_us < RTT_FLOOR_US)
			continue;
		slow++;
		f->value = times > f->value ? times : f->value;
		obs_endpoint_format(&c->f.remote, at);
		note(f, "%s: %.1f ms, usually %.1f ms, at best %.1f ms", at, c->f.srtt_us / 1e3,
		     c->peer->rtt_usual_us / 1e3, c->peer->min_rtt_us / 1e3);
	}
	say(f, "%u of %u connections with the swarm are slower than usual, up to %.0f times", slow,
	    measured, f->value);
	if (!measured)
		return UNKNOWN;
	return slow > 0 && 2 * slow >= measured ? YES : NO;
}

static enum verdict clock_offset(const struct obs_condition_facts *facts, double limit,
				 struct obs_condition_finding *f)
{
	const struct obs_p2p_view *v = facts->p2p;

	if (!v || !v->dht.clock_peers)
		return facts->has_p2pd ? UNKNOWN : NO;
	for (size_t i = 0; i < v->n_peers; i++) {
		if (v->peers[i]->has_clock)
			note(f, "%s: %+.3f s", v->peers[i]->id,
			     obs_p2p_clock_offset_s(v, v->peers[i]));
	}
	f->value = v->dht.clock_median_s;
	say(f, "this clock is %.1f s %s those of %u peers", f->value < 0 ? -f->value : f->value,
	    f->value < 0 ? "ahead of" : "behind", v->dht.clock_peers);
	return f->value > limit || -f->value > limit ? YES : NO;
}

static bool is_connected_to_swarm(const struct obs_peers *p)
{
	for (const struct obs_peer *e = p->peers; e; e = e->hh.next) {
		if (obs_peer_is_swarm(e) && obs_peer_is_connected(e))
			return true;
	}
	return false;
}

/* Addresses of its own that are a relay's: others can come by that one. */
static bool note_relays(struct obs_condition_finding *f, const struct obs_p2p_view *v)
{
	bool any = false;

	for (size_t i = 0; v && i < v->n_addrs; i++) {
		if (!strstr(v->addrs[i], "/p2p-circuit"))
			continue;
		any = true;
		note(f, "%s is a way by a relay", v->addrs[i]);
	}
	return any;
}

/* Only of a node that is in the swarm, and that listens on more than loopback. */
static enum verdict not_reachable(const struct obs_condition_facts *facts, double limit,
				  struct obs_condition_finding *f)
{
	(void)limit;
	if (!facts->peers || facts->peers->outside_ns || !is_connected_to_swarm(facts->peers))
		return NO;
	for (size_t i = 0; i < facts->peers->n_listeners; i++) {
		const struct obs_listener *l = &facts->peers->listeners[i];
		char at[OBS_ENDPOINT_TEXT];

		if (!l->open || strcmp(l->process, "p2pd") != 0 || obs_ip_is_loopback(l->local.ip))
			continue;
		f->value++;
		obs_endpoint_format(&l->local, at);
		note(f, "%s was never reached from outside", at);
	}
	say(f, "nobody outside has reached p2pd's %.0f ports; the node itself dials others%s",
	    f->value,
	    note_relays(f, facts->p2p) ? ", and they can reach it by way of relays only" : "");
	/* some that stand may have come from outside: their rung does not tell */
	if (f->value > 0 && facts->peers->totals.unknown)
		return UNKNOWN;
	return f->value > 0 ? YES : NO;
}

/* --- the table --- */

#define LIMIT(member) offsetof(struct obs_condition_limits, member)

static const struct row {
	const char *name;
	size_t limit;
	bool limit_is_time; /* of how long it must be so, in seconds; else of a number */
	double hold_s;	    /* where it is not: so long */
	enum verdict (*is_so)(const struct obs_condition_facts *facts, double limit,
			      struct obs_condition_finding *f);
} rows[OBS_CONDITIONS_MAX] = {
	/* clang-format off */
	[OBS_NO_DHT_PEER] =           { "no_dht_peer",           LIMIT(no_dht_peer_s),           true,  0,  no_dht_peer },
	[OBS_BOOTNODES_UNREACHABLE] = { "bootnodes_unreachable", LIMIT(bootnodes_unreachable_s), true,  0,  bootnodes_unreachable },
	[OBS_HALF_OPEN_STORM] =       { "half_open_storm",       LIMIT(half_open_storm),         false, 0,  half_open_storm },
	[OBS_RTT_GREW] =              { "rtt_grew",              LIMIT(rtt_grew),                false, 10, rtt_grew },
	[OBS_CLOCK_OFFSET] =          { "clock_offset",          LIMIT(clock_offset_s),          false, 0,  clock_offset },
	[OBS_NOT_REACHABLE] =         { "not_reachable",         LIMIT(not_reachable_s),         true,  0,  not_reachable },
	/* clang-format on */
};

const char *obs_condition_str(enum obs_condition_id id)
{
	return rows[id].name;
}

/* --- beginning and end --- */

static void suspect(struct obs_condition *c, const struct row *row,
		    const struct obs_condition_facts *facts)
{
	double hold_s = row->limit_is_time ? c->limit : row->hold_s;

	c->well_ns = 0;
	if (!c->suspected_ns) {
		c->suspected_ns = facts->now_ns;
		c->suspected_wall_ns = facts->wall_ns;
	}
	if (c->holds || (double)(facts->now_ns - c->suspected_ns) / OBS_NS_PER_S < hold_s)
		return;
	c->holds = true;
	c->since_wall_ns = c->suspected_wall_ns;
}

static void clear(struct obs_condition *c, uint64_t now_ns, double ended_after_s)
{
	c->suspected_ns = 0;
	if (!c->holds)
		return;
	if (!c->well_ns)
		c->well_ns = now_ns;
	if ((double)(now_ns - c->well_ns) / OBS_NS_PER_S < ended_after_s)
		return;
	c->holds = false;
	c->well_ns = 0;
}

/* Restored a moment ago: what cannot be told yet is as it was. */
static bool is_young(const struct obs_condition *c, uint64_t now_ns)
{
	return c->restored_ns &&
	       now_ns - c->restored_ns < OBS_CONDITION_GAP_S * (uint64_t)OBS_NS_PER_S;
}

void obs_conditions_look(struct obs_conditions *all, const struct obs_condition_limits *limits,
			 const struct obs_condition_facts *facts, obs_condition_fn fn, void *ctx)
{
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		struct obs_condition *c = &all->of[i];
		struct obs_condition_finding found = { 0 };
		enum verdict verdict = NO;
		bool held = c->holds;

		c->limit = *(const double *)((const char *)limits + rows[i].limit);
		if (c->limit > 0)
			verdict = rows[i].is_so(facts, c->limit, &found);
		if (verdict == YES) {
			c->found = found;
			suspect(c, &rows[i], facts);
		} else if (verdict == NO || !is_young(c, facts->now_ns)) {
			clear(c, facts->now_ns, limits->ended_after_s);
		}
		if (c->holds != held)
			fn(ctx, (enum obs_condition_id)i, c);
	}
}

void obs_conditions_end(struct obs_conditions *all, obs_condition_fn fn, void *ctx)
{
	for (size_t i = 0; i < OBS_CONDITIONS_MAX; i++) {
		if (!all->of[i].holds)
			continue;
		all->of[i].holds = false;
		fn(ctx, (enum obs_condition_id)i, &all->of[i]);
	}
}
