/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life.h - one node's life as its events tell it: state (state.h), rounds, submissions, and
 * whether it earns.
 *
 * Whoever has events, of lines or of processes, hands them in; no I/O here. So a recorded life
 * gives the same answers as a running one.
 */
#pragma once

#include "model/state.h"
#include "pipeline/event.h"

#define OBS_ROUND_TIMES 64

struct obs_rounds {
	uint64_t round, stage;
	bool known;
	uint64_t joined;		/* rounds joined since it is watched */
	uint64_t started_ns;		/* of the round, CLOCK_REALTIME; 0 = unknown */
	uint64_t next_check_ns;		/* CLOCK_REALTIME: it sleeps until then; 0 = unknown */
	double took_s[OBS_ROUND_TIMES]; /* ring */
	unsigned n_took, next_took;
};

struct obs_submits {
	uint64_t ok, failed; /* since it is watched */
	unsigned failed_in_a_row;
	uint64_t last_ok_ns, last_failed_ns; /* CLOCK_REALTIME; 0 = never */
	int last_status;		     /* of HTTP; 0 = unknown */
	char last_route[40];
	char last_words[160];			/* of the last failure */
	bool last_by_server;			/* the last failure was told by the login server */
	char last_reward[32];			/* as printed; "" = unknown */
	char total_rewards[32], total_wins[32]; /* of the chain; "" = unknown */
};

/* What the chain says of it: blockchain_snapshot, and events of the contract. */
struct obs_chain_side {
	/* of whoever asks the chain, obs_life_chain() */
	bool asked, answers;
	bool reads_events;	       /* none of them stays unseen */
	uint64_t answered_ns, away_ns; /* CLOCK_REALTIME; 0 = never, not */
	char trouble[200];

	bool round_known;
	uint64_t round, round_ns;	    /* and since when */
	uint64_t first_round, first_joined; /* when the first snapshot came */
	char peer_id[96];		    /* "" = unknown */
	char participation[32];		    /* submissions that count; "" = unknown */
	bool registered_known, registered;  /* its peer id, at the contract */
	uint64_t watched_ns;		    /* since its own numbers are seen; 0 = they are not */
	uint64_t submitted_ns;		    /* last submission that is seen there; 0 = none */
	uint64_t submitted_round;	    /* 0 = not told */
	char reward[32];		    /* of it */
	uint64_t won_ns;		    /* when its wins were seen to grow; 0 = never */
};

enum obs_earns { OBS_EARNS_UNKNOWN, OBS_EARNS_YES, OBS_EARNS_NO };

struct obs_earning {
	enum obs_earns earns;
	char sentence[400]; /* for people: "yes: …", "no, because …", "cannot tell, because …" */
};

struct obs_life;

/** typedef obs_life_change_fn - what is shown has changed; called from within the feeding calls. */
typedef void (*obs_life_change_fn)(void *ctx, const struct obs_life *life,
				   const struct obs_change *change);

struct obs_life {
	struct obs_machine machine;
	struct obs_rounds rounds;
	struct obs_submits submits;
	struct obs_chain_side chain;
	uint64_t watched_ns; /* CLOCK_REALTIME since when */
	uint64_t trainer_ns; /* start of the trainer; 0 = none seen */
	bool sees_ends;	     /* the kernel tells of ends: what a log says of them comes second */
	bool trainer_lives, dht_lives;
	bool debug_seen; /* the log shows DEBUG lines: a submission would show */
	bool error_in_round;
	unsigned polls_failed;	/* in a row */
	uint64_t errors;	/* since it is watched */
	const char *last_error; /* static; NULL = none */
	uint64_t last_error_ns;
	obs_life_change_fn on_change;
	void *ctx;
};

/** obs_life_init() - nothing is known yet. */
void obs_life_init(struct obs_life *l, uint64_t now_ns, obs_life_change_fn on_change, void *ctx);

/** obs_life_input() - something was seen that is no event of a line. */
void obs_life_input(struct obs_life *l, enum obs_input input, uint64_t wall_ns, const char *text);

/** obs_life_event() - an event of a line, of the chain or of peers. */
void obs_life_event(struct obs_life *l, const struct obs_event *ev);

struct obs_chain_view;

/** obs_life_chain() - how whoever asks the chain stands with it now. @view: NULL = nobody asks */
void obs_life_chain(struct obs_life *l, const struct obs_chain_view *view);

/** obs_life_behind() - rounds that the chain is ahead of the last one joined; 0 = none, unknown. */
uint64_t obs_life_behind(const struct obs_life *l);

/**
 * obs_life_patience_s() - for how long silence is plausible.
 * @least_s: at least so long
 * @factor: times the longest round it has had (99th percentile)
 */
double obs_life_patience_s(const struct obs_life *l, uint64_t now_ns, double least_s,
			   double factor);

/**
 * obs_life_earning() - does it earn, and why not?
 * @submit_s: submissions are due that often
 */
void obs_life_earning(const struct obs_life *l, uint64_t now_ns, double submit_s,
		      struct obs_earning *ret);

const char *obs_earns_str(enum obs_earns e);
