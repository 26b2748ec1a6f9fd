/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conditions.h - what is wrong with a node's network, as named conditions: each a row of a table
 * that says from which limit on it holds, how that is judged, and in which words.
 *
 * Alerts are made of these; here nobody is alerted. Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/p2p.h"
#include "model/peers.h"

#define OBS_CONDITION_WORDS    200
#define OBS_CONDITION_EVIDENCE 8
#define OBS_CONDITION_LINE     200

/* An observer that has just been started cannot tell of some for so long; nor does it know of one
 * that did not hold yet whether it went on while nobody looked for longer. */
#define OBS_CONDITION_GAP_S 600

enum obs_condition_id {
	OBS_NO_DHT_PEER = 0,
	OBS_BOOTNODES_UNREACHABLE,
	OBS_HALF_OPEN_STORM,
	OBS_RTT_GREW,
	OBS_CLOCK_OFFSET,
	OBS_NOT_REACHABLE,
	OBS_CONDITIONS_MAX,
};

/* One number each, config keys conditions.NAME; 0 = is not judged. */
struct obs_condition_limits {
	double no_dht_peer_s;		/* so long */
	double bootnodes_unreachable_s; /* so long */
	double half_open_storm;		/* so many handshakes at once */
	double rtt_grew;		/* so many times the usual one */
	double clock_offset_s;		/* so much */
	double not_reachable_s;		/* so long */
	double ended_after_s;		/* well for so long: any of them has ended */
};

/* One node at one moment. */
struct obs_condition_facts {
	const struct obs_peers *peers;	/* NULL = connections are not observed */
	const struct obs_p2p_view *p2p; /* NULL = its p2pd was not heard */
	bool has_p2pd;			/* one runs */
	uint64_t wall_ns;		/* CLOCK_REALTIME */
	uint64_t now_ns;		/* CLOCK_BOOTTIME */
};

/* What was found, when something was. */
struct obs_condition_finding {
	double value;
	char words[OBS_CONDITION_WORDS];
	size_t n_evidence; /* lines kept; what peers say stands in them as it came */
	char evidence[OBS_CONDITION_EVIDENCE][OBS_CONDITION_LINE];
};

struct obs_condition {
	bool holds;
	double limit;
	uint64_t since_wall_ns; /* of holds */
	uint64_t suspected_ns;	/* it is so since, CLOCK_BOOTTIME; 0 = it is not so */
	uint64_t suspected_wall_ns;
	uint64_t well_ns; /* holds, and it is not so any more since; 0 = it is so */
	uint64_t
		restored_ns; /* it was so when an earlier run looked last, CLOCK_BOOTTIME; else 0 */
	struct obs_condition_finding found; /* the last time that it was so */
};

struct obs_conditions {
	struct obs_condition of[OBS_CONDITIONS_MAX];
};

/** obs_condition_str() - "no_dht_peer", … */
const char *obs_condition_str(enum obs_condition_id id);

/** typedef obs_condition_fn - @id has begun or ended: c->holds says which. */
typedef void (*obs_condition_fn)(void *ctx, enum obs_condition_id id,
				 const struct obs_condition *c);

/**
 * obs_conditions_look() - judge all of them; @fn is told of those that begin and end.
 *
 * One that is over for a moment only has not ended.
 */
void obs_conditions_look(struct obs_conditions *all, const struct obs_condition_limits *limits,
			 const struct obs_condition_facts *facts, obs_condition_fn fn, void *ctx);

/** obs_conditions_end() - the node is gone: those that hold end. */
void obs_conditions_end(struct obs_conditions *all, obs_condition_fn fn, void *ctx);
