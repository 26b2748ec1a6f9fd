/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - what state a node is in: one table of transitions, one of troubles.
 *
 * A node does one thing at a time (its activity: starting, training, …); beside that it may
 * have troubles (submits fail, the chain is away). A running node with a trouble is shown as
 * degraded. Inputs come from log lines, processes, sockets and the chain (inputs.h); a change
 * keeps what it was concluded from. docs/states.md is made from these tables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

/* clang-format off */
#define OBS_STATES(X) \
	X(UNKNOWN,	"unknown",	"cannot be told; the reason says what the observer does not see") \
	X(STARTING,	"starting",	"on the way to its first round") \
	X(TRAINING,	"training",	"works on a round") \
	X(GATHERING,	"gathering",	"exchanges results with its peers") \
	X(WAITING,	"waiting",	"has finished its round and waits for the next") \
	X(SUBMITTING,	"submitting",	"hands in rewards and winners") \
	X(DEGRADED,	"degraded",	"runs, with a trouble") \
	X(HUNG,		"hung",		"its trainer lives and does nothing") \
	X(TRAINER_GONE,	"trainer_gone",	"its trainer has ended, other processes live on") \
	X(STOPPED,	"stopped",	"no process runs")

#define OBS_SUBS(X) \
	X(NONE,		"",		"") \
	X(BUILDING,	"building",	"installs and builds what it needs") \
	X(LOGIN,	"login",	"waits until somebody logs in at port 3000") \
	X(API_KEY,	"api_key",	"waits until its API key is activated") \
	X(LOADING,	"loading",	"the trainer starts") \
	X(P2P,		"p2p",		"starts p2pd and joins the peers") \
	X(MODEL,	"model",	"downloads or loads the model") \
	X(FAILING,	"failing",	"the start has failed, the trainer is about to end") \
	X(SIGNAL,	"signal",	"stopped by a signal (SIGSTOP)") \
	X(PIPE,		"pipe",		"waits at a pipe") \
	X(LOCK,		"lock",		"waits for a lock") \
	X(DISK,		"disk",		"waits for a disk or a file system") \
	X(LOGIN_SERVER,	"login_server",	"waits for an answer of its login server (port 3000)") \
	X(CONTROL,	"control",	"waits at the control socket of p2pd") \
	X(REMOTE,	"remote",	"waits for an answer over the network") \
	X(DHT_DEAD,	"dht_dead",	"its DHT process has ended: the next call to it never returns") \
	X(SILENT,	"silent",	"writes nothing and computes nothing") \
	X(PAUSED,	"paused",	"its container is paused")

#define OBS_TROUBLES(X) \
	X(P2PD,		"p2pd",		"p2pd has ended: it talks to no peer, although it logs nothing") \
	X(SUBMITS,	"submits",	"submissions fail") \
	X(SERVER,	"login_server",	"the login server has ended: nothing can be submitted") \
	X(TRAINING,	"training",	"training steps fail: rounds pass without training") \
	X(PEERS,	"peers",	"no peer is connected") \
	X(CHAIN,	"chain",	"the chain does not answer") \
	X(CLOCK,	"clock",	"its clock is wrong: peers refuse its data") \
	X(DHT,		"dht",		"requests to the DHT fail") \
	X(BEHIND,	"behind",	"it is rounds behind the chain")

#define OBS_INPUTS(X) \
	X(LAUNCHER_STARTED,	"launcher starts") \
	X(TRAINER_STARTED,	"trainer starts") \
	X(TRAINER_ENDED,	"trainer ends") \
	X(DHT_ENDED,		"DHT process ends") \
	X(P2PD_STARTED,		"p2pd starts") \
	X(P2PD_ENDED,		"p2pd ends") \
	X(SERVER_STARTED,	"login server starts") \
	X(SERVER_ENDED,		"login server ends") \
	X(NODE_ENDED,		"last process ends") \
	X(PAUSED,		"container is paused") \
	X(RESUMED,		"container is resumed") \
	X(LOGIN_WAITING,	"waits for a login") \
	X(KEY_WAITING,		"waits for the API key") \
	X(LOGIN_OK,		"login or key is there") \
	X(ANNOUNCED,		"launcher announces the trainer") \
	X(CONNECTED,		"chain is connected") \
	X(P2P_CHECKING,		"identity is checked") \
	X(IDENTITY,		"identity is known") \
	X(MODEL_SELECTED,	"model is chosen") \
	X(START_FAILED,		"start fails") \
	X(ROUND_JOINED,		"round is joined or started") \
	X(STAGE_STARTED,	"stage starts") \
	X(STAGE_FINISHED,	"stage is finished") \
	X(ROUND_FINISHED,	"round is finished") \
	X(GATHER_STARTED,	"exchange with peers starts") \
	X(GATHER_ENDED,		"exchange with peers ends") \
	X(SUBMIT_STARTED,	"submission starts") \
	X(REWARD_SUBMITTED,	"reward is submitted") \
	X(WINNER_SUBMITTED,	"winners are submitted") \
	X(SUBMIT_FAILED,	"submission fails") \
	X(SUBMITS_FAILING,	"submissions fail one after the other") \
	X(SUBMIT_OK,		"submission works") \
	X(KILLED,		"bash or the kernel log says: killed") \
	X(LAUNCHER_FAILED,	"launcher reports an error") \
	X(DHT_DIED,		"DHT process says that it dies") \
	X(TRAINING_FAILS,	"training step fails") \
	X(DHT_FAILS,		"DHT request fails") \
	X(CLOCK_SKEW,		"peers say that the clock is wrong") \
	X(CLEAN_ROUND,		"a round passes without an error") \
	X(CHAIN_AWAY,		"chain does not answer three times") \
	X(CHAIN_OK,		"chain answers") \
	X(NO_PEERS,		"no peer is connected") \
	X(PEERS_BACK,		"peers are connected") \
	X(BEHIND,		"chain is rounds ahead") \
	X(CAUGHT_UP,		"round is the chain's") \
	X(STOPPED_BY_SIGNAL,	"trainer is stopped by a signal") \
	X(CONTINUED,		"trainer is continued") \
	X(BLOCKED_PIPE,		"silent too long, at a pipe") \
	X(BLOCKED_LOCK,		"silent too long, at a lock") \
	X(BLOCKED_DISK,		"silent too long, at a disk") \
	X(BLOCKED_LOGIN,	"silent too long, at port 3000") \
	X(BLOCKED_CONTROL,	"silent too long, at the control socket") \
	X(BLOCKED_REMOTE,	"silent too long, at a connection") \
	X(BLOCKED_SILENT,	"silent too long") \
	X(PROGRESS,		"trainer writes or computes")
/* clang-format on */

enum obs_state {
#define X(id, name, help) OBS_STATE_##id,
	OBS_STATES(X)
#undef X
		OBS_STATE_MAX,
	OBS_STATE_BACK = OBS_STATE_MAX, /* in the table: what it did before */
};

enum obs_sub {
#define X(id, name, help) OBS_SUB_##id,
	OBS_SUBS(X)
#undef X
		OBS_SUB_MAX,
};

enum obs_trouble {
#define X(id, name, help) OBS_TROUBLE_##id,
	OBS_TROUBLES(X)
#undef X
		OBS_TROUBLE_MAX,
};

enum obs_input {
#define X(id, help) OBS_INPUT_##id,
	OBS_INPUTS(X)
#undef X
		OBS_INPUT_MAX,
};

struct obs_transition {
	uint32_t from;	   /* bits of enum obs_state */
	uint32_t from_sub; /* bits of enum obs_sub; 0 = any */
	enum obs_input input;
	enum obs_state to; /* OBS_STATE_BACK: what it did before it hung or was paused */
	enum obs_sub sub;
};

/* Of the rows that fit the first counts; an input without a fitting row changes nothing. */
extern const struct obs_transition obs_transitions[];
extern const size_t obs_transitions_n;

struct obs_trouble_row {
	enum obs_trouble trouble;
	enum obs_input set, clear;
};

extern const struct obs_trouble_row obs_trouble_rows[];
extern const size_t obs_trouble_rows_n;

#define OBS_EVIDENCE_MAX   4
#define OBS_EVIDENCE_BYTES 240

/* What an input was seen from. */
struct obs_observation {
	uint64_t wall_ns;
	char text[OBS_EVIDENCE_BYTES];
};

struct obs_machine {
	enum obs_state activity; /* never DEGRADED */
	enum obs_sub sub;
	enum obs_state before; /* activity before HUNG or STOPPED/paused */
	enum obs_sub before_sub;
	uint32_t troubles;		 /* bits of enum obs_trouble */
	uint64_t since_ns;		 /* of what is shown, CLOCK_REALTIME; 0 = always so */
	char reason[OBS_EVIDENCE_BYTES]; /* of the last change of activity */
	char trouble_reason[OBS_TROUBLE_MAX][OBS_EVIDENCE_BYTES];
	struct obs_observation evidence[OBS_EVIDENCE_MAX]; /* newest first */
	unsigned n_evidence;
};

/* What is shown. */
struct obs_shown {
	enum obs_state state;
	enum obs_sub sub;
	enum obs_trouble trouble; /* the first one, of DEGRADED; OBS_TROUBLE_MAX = none */
};

struct obs_change {
	struct obs_shown from, to;
	enum obs_input input;
	uint64_t wall_ns;
};

/** obs_machine_init() - UNKNOWN, because of @why. */
void obs_machine_init(struct obs_machine *m, const char *why);

/**
 * obs_machine_feed() - something was seen.
 * @text: in words; cut
 * @ret:  written when what is shown has changed
 *
 * Return: has it?
 */
bool obs_machine_feed(struct obs_machine *m, enum obs_input input, uint64_t wall_ns,
		      const char *text, struct obs_change *ret);

/** obs_machine_shown() - activity and troubles as one state. */
struct obs_shown obs_machine_shown(const struct obs_machine *m);

/** obs_machine_reason() - why it is in that state, in words; borrowed. */
const char *obs_machine_reason(const struct obs_machine *m);

/** obs_state_runs() - does a node in this state take part in rounds? */
bool obs_state_runs(enum obs_state s);

const char *obs_state_str(enum obs_state s);
const char *obs_state_help(enum obs_state s);
const char *obs_input_str(enum obs_input i);

/** obs_shown_sub_str() - the sub-state, of DEGRADED the trouble; "" = none. */
const char *obs_shown_sub_str(const struct obs_shown *s);

/** obs_shown_help() - what state and sub-state mean, in words; static. */
const char *obs_shown_help(const struct obs_shown *s);

/** obs_states_document() - docs/states.md: the tables, and a diagram of them (mermaid). */
void obs_states_document(struct obs_buf *out);
