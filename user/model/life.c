// SPDX-License-Identifier: BSD-2-Clause
/* life.c - see life.h. Which event is which input stands in a table. */
#include "model/life.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "util/cleanup.h"

#define NS_PER_S	UINT64_C(1000000000)
#define SAME_FAILURE_NS (10 * NS_PER_S) /* told by trainer and login server */
#define POLLS_AWAY	3
#define SUBMITS_FAILING 2
#define BEHIND_ROUNDS	3
#define BLOCK_TIME_NS	(15 * NS_PER_S)	 /* whole seconds of a clock that is not ours */
#define SEEN_LATE_NS	(600 * NS_PER_S) /* what was taken shows on the chain by then */
#define SUBMIT_LATENESS 1.5		 /* times the interval: it ends with a round */

/* --- events to inputs --- */

/* A column that is NULL fits anything. */
static const struct rule {
	enum obs_event_type type;
	const char *name; /* details.event or details.code */
	const char *step; /* details.step */
	enum obs_input input;
} rules[] = {
	{ OBS_EVENT_TRAINING_PROGRESS, "round_joined", NULL, OBS_INPUT_ROUND_JOINED },
	{ OBS_EVENT_TRAINING_PROGRESS, "round_started", NULL, OBS_INPUT_ROUND_JOINED },
	{ OBS_EVENT_TRAINING_PROGRESS, "round_waiting", NULL, OBS_INPUT_ROUND_FINISHED },
	{ OBS_EVENT_TRAINING_PROGRESS, "stage_started", NULL, OBS_INPUT_STAGE_STARTED },
	{ OBS_EVENT_TRAINING_PROGRESS, "training_started", NULL, OBS_INPUT_STAGE_STARTED },
	{ OBS_EVENT_TRAINING_PROGRESS, "stage_finished", NULL, OBS_INPUT_STAGE_FINISHED },
	{ OBS_EVENT_TRAINING_PROGRESS, "model_selected", NULL, OBS_INPUT_MODEL_SELECTED },
	{ OBS_EVENT_TRAINING_PROGRESS, "winners_submitting", NULL, OBS_INPUT_SUBMIT_STARTED },
	{ OBS_EVENT_PEER, "identity", NULL, OBS_INPUT_IDENTITY },
	{ OBS_EVENT_PEER, "identity_checking", NULL, OBS_INPUT_P2P_CHECKING },
	{ OBS_EVENT_CHAIN, "chain_connected", NULL, OBS_INPUT_CONNECTED },
	{ OBS_EVENT_AUTH, "login_waiting", "user_data", OBS_INPUT_LOGIN_WAITING },
	{ OBS_EVENT_AUTH, "login_waiting", "api_key", OBS_INPUT_KEY_WAITING },
	{ OBS_EVENT_AUTH, "login_ok", NULL, OBS_INPUT_LOGIN_OK },
	{ OBS_EVENT_NODE_LIFECYCLE, "trainer_starting", NULL, OBS_INPUT_ANNOUNCED },
	{ OBS_EVENT_ERROR, "DAEMON_START_TIMEOUT", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "DAEMON_START_FAILED", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "DHT_BOOTSTRAP_FAILED", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "IDENTITY_TAKEN", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "CHAIN_CONNECT_FAILED", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "STARTUP_FAILED", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "MODEL_DOWNLOAD_FAILED", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "EVALUATOR_ERROR", NULL, OBS_INPUT_START_FAILED },
	{ OBS_EVENT_ERROR, "GAME_EXCEPTION", NULL, OBS_INPUT_TRAINING_FAILS },
	{ OBS_EVENT_ERROR, "TRAINING_EXCEPTION", NULL, OBS_INPUT_TRAINING_FAILS },
	{ OBS_EVENT_ERROR, "CUDA_OOM", NULL, OBS_INPUT_TRAINING_FAILS },
	{ OBS_EVENT_ERROR, "MPS_OOM", NULL, OBS_INPUT_TRAINING_FAILS },
	{ OBS_EVENT_ERROR, "NAN_PROBABILITIES", NULL, OBS_INPUT_TRAINING_FAILS },
	{ OBS_EVENT_ERROR, "PROCESS_KILLED", NULL, OBS_INPUT_KILLED },
	{ OBS_EVENT_ERROR, "LAUNCHER_ERROR", NULL, OBS_INPUT_LAUNCHER_FAILED },
	{ OBS_EVENT_ERROR, "DHT_PROCESS_DIED", NULL, OBS_INPUT_DHT_DIED },
	{ OBS_EVENT_ERROR, "DHT_COROUTINE_ERROR", NULL, OBS_INPUT_DHT_FAILS },
	{ OBS_EVENT_ERROR, "CLOCK_SKEW", NULL, OBS_INPUT_CLOCK_SKEW },
};

static struct obs_slice field_of(const struct obs_event *ev, const char *key)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];

		if ((f->kind == OBS_VALUE_STR || f->kind == OBS_VALUE_NUMBER_TEXT) &&
		    obs_slice_eq(f->key, obs_slice_str(key)))
			return f->str;
	}
	return (struct obs_slice){};
}

static bool number_of(const struct obs_event *ev, const char *key, double *ret)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];
		char text[40];

		if (!obs_slice_eq(f->key, obs_slice_str(key)))
			continue;
		if (f->kind == OBS_VALUE_INT)
			*ret = (double)f->i;
		else if (f->kind == OBS_VALUE_UINT)
			*ret = (double)f->u;
		else if (f->kind == OBS_VALUE_REAL)
			*ret = f->real;
		else if (f->kind == OBS_VALUE_NUMBER_TEXT) {
			snprintf(text, sizeof(text), "%.*s", (int)f->str.len, f->str.p);
			*ret = strtod(text, NULL);
		} else
			continue;
		return true;
	}
	return false;
}

static bool has(struct obs_slice s, const char *what)
{
	return s.len && memmem(s.p, s.len, what, strlen(what));
}

static const struct rule *find_rule(const struct obs_event *ev)
{
	const char *name = ev->type == OBS_EVENT_ERROR ? ev->code : ev->name;

	for (size_t i = 0; name && i < ARRAY_LEN(rules); i++) {
		if (rules[i].type == ev->type && strcmp(rules[i].name, name) == 0 &&
		    (!rules[i].step ||
		     obs_slice_eq(field_of(ev, "step"), obs_slice_str(rules[i].step))))
			return &rules[i];
	}
	return NULL;
}

/* --- feeding --- */

void obs_life_init(struct obs_life *l, uint64_t now_ns, obs_life_change_fn on_change, void *ctx)
{
	*l = (struct obs_life){ .watched_ns = now_ns, .on_change = on_change, .ctx = ctx };
	obs_machine_init(&l->machine,
			 "it was found; nothing that it wrote or did has been seen yet");
}

void obs_life_input(struct obs_life *l, enum obs_input input, uint64_t wall_ns, const char *text)
{
	struct obs_change change;

	switch (input) {
	case OBS_INPUT_TRAINER_STARTED:
		l->trainer_lives = true;
		l->trainer_ns = wall_ns;
		l->submits.failed_in_a_row = 0;
		l->polls_failed = 0;
		l->error_in_round = l->rounds.known = false;
		l->rounds.started_ns = l->rounds.next_check_ns = 0;
		break;
	case OBS_INPUT_TRAINER_ENDED:
	case OBS_INPUT_NODE_ENDED:
		l->trainer_lives = l->dht_lives = false;
		break;
	case OBS_INPUT_DHT_ENDED:
		l->dht_lives = false;
		break;
	default:
		break;
	}
	if (obs_machine_feed(&l->machine, input, wall_ns, text, &change) && l->on_change)
		l->on_change(l->ctx, l, &change);
}

/* What the machine keeps of it. */
static void put_words(const struct obs_event *ev, char *out, size_t size)
{
	struct obs_slice m = ev->message;

	snprintf(out, size, "%s%s%.*s", ev->code ? ev->code : "", ev->code && m.len ? ": " : "",
		 (int)(m.len < 200 ? m.len : 200), m.p ? m.p : "");
	if (!*out)
		snprintf(out, size, "%s", ev->name ? ev->name : "");
}

static void feed(struct obs_life *l, enum obs_input input, const struct obs_event *ev)
{
	char words[OBS_EVIDENCE_BYTES];

	put_words(ev, words, sizeof(words));
	obs_life_input(l, input, ev->wall_ns, words);
}

/* --- rounds --- */

uint64_t obs_life_behind(const struct obs_life *l)
{
	if (!l->chain.round_known || !l->rounds.known || l->chain.round <= l->rounds.round)
		return 0;
	return l->chain.round - l->rounds.round;
}

/* Evidence is for changes: what stays as it is says nothing new. */
static bool has_trouble(const struct obs_life *l, enum obs_trouble t)
{
	return l->machine.troubles >> t & 1;
}

static void judge_behind(struct obs_life *l, uint64_t wall_ns)
{
	uint64_t n = obs_life_behind(l);
	bool behind = n > BEHIND_ROUNDS;
	char text[OBS_EVIDENCE_BYTES];

	if (!l->chain.round_known || !l->rounds.known ||
	    behind == has_trouble(l, OBS_TROUBLE_BEHIND))
		return;
	snprintf(text, sizeof(text),
		 "the chain is at round %llu, the last one that it joined is %llu: %llu behind",
		 (unsigned long long)l->chain.round, (unsigned long long)l->rounds.round,
		 (unsigned long long)n);
	obs_life_input(l, behind ? OBS_INPUT_BEHIND : OBS_INPUT_CAUGHT_UP, wall_ns, text);
}

static void note_duration(struct obs_rounds *r, uint64_t now_ns)
{
	if (!r->started_ns || now_ns <= r->started_ns)
		return;
	r->took_s[r->next_took] = (double)(now_ns - r->started_ns) / (double)NS_PER_S;
	r->next_took = (r->next_took + 1) % OBS_ROUND_TIMES;
	if (r->n_took < OBS_ROUND_TIMES)
		r->n_took++;
}

static void note_round(struct obs_life *l, const struct obs_event *ev, uint64_t round)
{
	struct obs_rounds *r = &l->rounds;

	if (r->known && r->round == round)
		return;
	note_duration(r, ev->wall_ns);
	if (r->known && !l->error_in_round)
		feed(l, OBS_INPUT_CLEAN_ROUND, ev);
	l->error_in_round = false;
	r->round = round;
	r->stage = 0;
	r->known = true;
	r->joined++;
	r->started_ns = ev->wall_ns;
	judge_behind(l, ev->wall_ns);
}

static void note_progress(struct obs_life *l, enum obs_input input, const struct obs_event *ev)
{
	double number;

	if (input == OBS_INPUT_ROUND_JOINED && number_of(ev, "round", &number))
		note_round(l, ev, (uint64_t)number);
	if (number_of(ev, "stage", &number))
		l->rounds.stage = (uint64_t)number;
	l->rounds.next_check_ns = 0;
	if (input == OBS_INPUT_ROUND_FINISHED && number_of(ev, "next_check_s", &number))
		l->rounds.next_check_ns = ev->wall_ns + (uint64_t)(number * (double)NS_PER_S);
	if (input == OBS_INPUT_ROUND_JOINED || input == OBS_INPUT_ROUND_FINISHED) {
		l->polls_failed = 0;
		feed(l, OBS_INPUT_CHAIN_OK, ev);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double longest_round_s(const struct obs_rounds *r)
{
	double sorted[OBS_ROUND_TIMES];

	if (r->n_took == 0)
		return 0;
	memcpy(sorted, r->took_s, r->n_took * sizeof(*sorted));
	qsort(sorted, r->n_took, sizeof(*sorted), by_size);
	return sorted[(r->n_took * 99 + 99) / 100 - 1];
}

double obs_life_patience_s(const struct obs_life *l, uint64_t now_ns, double least_s, double factor)
{
	double s = longest_round_s(&l->rounds) * factor;
	uint64_t until_ns = l->rounds.next_check_ns;

	if (s < least_s)
		s = least_s;
	if (until_ns > now_ns) /* it sleeps, as it has said */
		s += (double)(until_ns - now_ns) / (double)NS_PER_S;
	return s;
}

/* --- submissions --- */

static bool is_submit_route(struct obs_slice route)
{
	return has(route, "submit-reward") || has(route, "submit-winner");
}

static void note_submitted(struct obs_life *l, const struct obs_event *ev, struct obs_slice route)
{
	struct obs_submits *s = &l->submits;
	bool reward = has(route, "submit-reward");
	bool again = ev->wall_ns < s->last_ok_ns + SAME_FAILURE_NS && has(route, s->last_route) &&
		     *s->last_route;

	s->last_status = 200;
	if (!again)
		s->ok++;
	s->failed_in_a_row = 0;
	s->last_ok_ns = ev->wall_ns;
	snprintf(s->last_route, sizeof(s->last_route), "%s",
		 reward ? "submit-reward" : "submit-winner");
	feed(l, reward ? OBS_INPUT_REWARD_SUBMITTED : OBS_INPUT_WINNER_SUBMITTED, ev);
	feed(l, OBS_INPUT_SUBMIT_OK, ev);
}

static void note_call(struct obs_life *l, const struct obs_event *ev)
{
	struct obs_slice route = field_of(ev, "route");
	double status = 0;

	if (!is_submit_route(route) || !number_of(ev, "status", &status))
		return;
	l->debug_seen = true;
	if (status >= 200 && status < 300)
		note_submitted(l, ev, route);
	else
		l->submits.last_status = (int)status;
}

static void note_submit_failure(struct obs_life *l, const struct obs_event *ev)
{
	struct obs_submits *s = &l->submits;
	bool by_server = obs_slice_eq(field_of(ev, "source"), OBS_SLICE("server"));
	bool told = s->last_failed_ns && by_server != s->last_by_server &&
		    ev->wall_ns < s->last_failed_ns + SAME_FAILURE_NS;
	double status;

	if (has(field_of(ev, "route"), "register") || has(field_of(ev, "function"), "register"))
		return;
	put_words(ev, s->last_words, sizeof(s->last_words));
	if (number_of(ev, "status", &status))
		s->last_status = (int)status;
	s->last_failed_ns = ev->wall_ns;
	s->last_by_server = by_server;
	if (told)
		return;
	s->failed++;
	s->failed_in_a_row++;
	feed(l, OBS_INPUT_SUBMIT_FAILED, ev);
	if (s->failed_in_a_row >= SUBMITS_FAILING)
		feed(l, OBS_INPUT_SUBMITS_FAILING, ev);
}

/* --- errors --- */

static bool names_control_socket(const struct obs_event *ev)
{
	static const char *const keys[] = { "traceback", "reason" };

	if (has(ev->message, "hivemind-p2p"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (has(field_of(ev, keys[i]), "hivemind-p2p"))
			return true;
	}
	return false;
}

/* What a log says of an end that the kernel would have told is of another process. */
static enum obs_input judged(const struct obs_life *l, enum obs_input input)
{
	bool lives = l->sees_ends && l->trainer_lives;

	if (lives && (input == OBS_INPUT_KILLED || input == OBS_INPUT_LAUNCHER_FAILED))
		return OBS_INPUT_MAX;
	if (l->sees_ends && l->dht_lives && input == OBS_INPUT_DHT_DIED)
		return OBS_INPUT_DHT_FAILS;
	return input;
}

static void note_error(struct obs_life *l, const struct obs_event *ev)
{
	const struct rule *rule = find_rule(ev);
	enum obs_input input = rule ? judged(l, rule->input) : OBS_INPUT_MAX;

	l->errors++;
	l->last_error = ev->code;
	l->last_error_ns = ev->wall_ns;
	if (strcmp(ev->code, "SUBMIT_FAILED") == 0 ||
	    strcmp(ev->code, "SMART_ACCOUNT_REVERTED") == 0)
		note_submit_failure(l, ev);
	if (strcmp(ev->code, "CHAIN_POLL_FAILED") == 0 && ++l->polls_failed >= POLLS_AWAY)
		feed(l, OBS_INPUT_CHAIN_AWAY, ev);
	if (names_control_socket(ev))
		feed(l, OBS_INPUT_P2PD_ENDED, ev);
	if (input == OBS_INPUT_TRAINING_FAILS || input == OBS_INPUT_DHT_FAILS ||
	    input == OBS_INPUT_CLOCK_SKEW)
		l->error_in_round = true;
	if (input != OBS_INPUT_MAX)
		feed(l, input, ev);
}

/* --- the chain and peers, as others see them --- */

static void keep(char *out, size_t size, const struct obs_event *ev, const char *key)
{
	struct obs_slice s = field_of(ev, key);
	double number;

	if (s.len)
		snprintf(out, size, "%.*s", (int)s.len, s.p);
	else if (number_of(ev, key, &number))
		snprintf(out, size, "%.15g", number);
}

/* Did it grow, or change at all? Unknown before: not. */
static bool keep_changing(char *out, size_t size, const struct obs_event *ev, const char *key)
{
	char before[32];

	snprintf(before, sizeof(before), "%.31s", out);
	keep(out, size, ev, key);
	return *before && strcmp(before, out) != 0;
}

static void note_submission(struct obs_life *l, uint64_t wall_ns, const char *words)
{
	struct obs_chain_side *c = &l->chain;

	if (wall_ns <= c->submitted_ns)
		return;
	c->submitted_ns = wall_ns;
	if (wall_ns > l->submits.last_failed_ns && has_trouble(l, OBS_TROUBLE_SUBMITS)) {
		l->submits.failed_in_a_row = 0;
		obs_life_input(l, OBS_INPUT_SUBMIT_OK, wall_ns, words);
	}
}

static void note_own_numbers(struct obs_life *l, const struct obs_event *ev)
{
	struct obs_chain_side *c = &l->chain;
	struct obs_submits *s = &l->submits;
	bool submitted =
		keep_changing(c->participation, sizeof(c->participation), ev, "participation");

	submitted |= keep_changing(s->total_rewards, sizeof(s->total_rewards), ev, "total_rewards");
	if (keep_changing(s->total_wins, sizeof(s->total_wins), ev, "total_wins"))
		c->won_ns = ev->wall_ns;
	if (!c->watched_ns && (*c->participation || *s->total_rewards))
		c->watched_ns = ev->wall_ns;
	/* its event, if there is one, has told when */
	if (submitted && ev->wall_ns > c->submitted_ns + SEEN_LATE_NS)
		note_submission(l, ev->wall_ns, "its numbers on the chain have changed");
}

static void note_chain_snapshot(struct obs_life *l, const struct obs_event *ev)
{
	struct obs_chain_side *c = &l->chain;
	double round;

	keep(c->peer_id, sizeof(c->peer_id), ev, "peer_id");
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (!obs_slice_eq(ev->fields[i].key, OBS_SLICE("registered")))
			continue;
		c->registered_known = true;
		c->registered = ev->fields[i].b;
	}
	note_own_numbers(l, ev);
	if (!number_of(ev, "round", &round))
		return;
	if (!c->round_known) {
		c->first_round = (uint64_t)round;
		c->first_joined = l->rounds.joined;
	}
	if (!c->round_known || c->round != (uint64_t)round)
		c->round_ns = ev->wall_ns;
	c->round_known = true;
	c->round = (uint64_t)round;
	judge_behind(l, ev->wall_ns);
}

/* Of this very node: whoever hands them in has looked. */
static void note_contract_event(struct obs_life *l, const struct obs_event *ev)
{
	struct obs_chain_side *c = &l->chain;
	bool newest = ev->wall_ns > c->submitted_ns;
	double round;

	if (strcmp(ev->name, "RewardSubmitted") != 0 && strcmp(ev->name, "WinnerSubmitted") != 0)
		return;
	if (newest && number_of(ev, "roundNumber", &round))
		c->submitted_round = (uint64_t)round;
	if (newest)
		keep(c->reward, sizeof(c->reward), ev, "reward");
	note_submission(l, ev->wall_ns, "the chain has taken a submission of it");
}

static void note_peers(struct obs_life *l, const struct obs_event *ev)
{
	double n;

	if (number_of(ev, "peers_connected", &n) && (n < 1) != has_trouble(l, OBS_TROUBLE_PEERS))
		obs_life_input(l, n < 1 ? OBS_INPUT_NO_PEERS : OBS_INPUT_PEERS_BACK, ev->wall_ns,
			       n < 1 ? "no peer is connected" : "peers are connected again");
}

/* The exchange of a round, told when it is over: so its two changes come late, with their own
 * times, unless the round has gone on meanwhile. */
static void note_exchange(struct obs_life *l, const struct obs_event *ev)
{
	double took_s = 0;
	uint64_t took_ns;

	number_of(ev, "duration_s", &took_s);
	took_ns = took_s > 0 && took_s < 86400 ? (uint64_t)(took_s * (double)NS_PER_S) : 0;
	obs_life_input(l, OBS_INPUT_GATHER_STARTED, ev->wall_ns - took_ns,
		       "p2pd: it stores its results at its peers");
	obs_life_input(l, OBS_INPUT_GATHER_ENDED, ev->wall_ns,
		       "p2pd: its peers' results have come");
}

void obs_life_event(struct obs_life *l, const struct obs_event *ev)
{
	const struct rule *rule;
	double status;

	if (obs_slice_eq(ev->level, OBS_SLICE("DEBUG")))
		l->debug_seen = true;
	if (ev->type == OBS_EVENT_ERROR && ev->code) {
		note_error(l, ev);
		return;
	}
	if (ev->type == OBS_EVENT_BLOCKCHAIN_SNAPSHOT)
		note_chain_snapshot(l, ev);
	if (ev->type == OBS_EVENT_DHT_SNAPSHOT)
		note_peers(l, ev);
	if (ev->type == OBS_EVENT_PEER && strcmp(ev->name, "swarm_sync") == 0)
		note_exchange(l, ev);
	if (ev->type == OBS_EVENT_TRAINING_PROGRESS && strcmp(ev->name, "metrics") == 0)
		keep(l->submits.last_reward, sizeof(l->submits.last_reward), ev, "reward");
	if (ev->type == OBS_EVENT_CHAIN && ev->origin.via == OBS_VIA_CHAIN)
		note_contract_event(l, ev);
	if (ev->type == OBS_EVENT_CHAIN && strcmp(ev->name, "api_call") == 0)
		note_call(l, ev);
	if (ev->type == OBS_EVENT_CHAIN && strcmp(ev->name, "rpc_call") == 0 &&
	    number_of(ev, "status", &status) && status == 200) {
		l->polls_failed = 0;
		feed(l, OBS_INPUT_CHAIN_OK, ev);
	}
	rule = find_rule(ev);
	if (!rule)
		return;
	if (ev->type == OBS_EVENT_TRAINING_PROGRESS)
		note_progress(l, rule->input, ev);
	feed(l, rule->input, ev);
}

/* --- earning --- */

const char *obs_earns_str(enum obs_earns e)
{
	return e == OBS_EARNS_YES ? "yes" : e == OBS_EARNS_NO ? "no" : "cannot_tell";
}

static void put_span(uint64_t from_ns, uint64_t to_ns, char *out, size_t size)
{
	uint64_t s = to_ns > from_ns ? (to_ns - from_ns) / NS_PER_S : 0;

	if (s < 120)
		snprintf(out, size, "%u s", (unsigned)s);
	else if (s < 7200)
		snprintf(out, size, "%u min", (unsigned)(s / 60));
	else
		snprintf(out, size, "%u h %u min", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
}

__attribute__((format(printf, 3, 4))) static void
conclude(struct obs_earning *ret, enum obs_earns earns, const char *fmt, ...)
{
	va_list ap;

	ret->earns = earns;
	va_start(ap, fmt);
	vsnprintf(ret->sentence, sizeof(ret->sentence), fmt, ap);
	va_end(ap);
}

/* It does not run: what it is doing instead, and since when. */
static void explain_state(const struct obs_life *l, const struct obs_shown *s, uint64_t now_ns,
			  struct obs_earning *ret)
{
	char span[32];

	put_span(l->machine.since_ns, now_ns, span, sizeof(span));
	conclude(ret, OBS_EARNS_NO, "no, because %s (for %s): %.200s", obs_shown_help(s), span,
		 obs_machine_reason(&l->machine));
}

void obs_life_chain(struct obs_life *l, const struct obs_chain_view *view)
{
	struct obs_chain_side *c = &l->chain;

	c->asked = view != NULL;
	c->answers = view && view->answers;
	c->reads_events = view && view->reads_events;
	c->answered_ns = view ? view->ok_ns : 0;
	c->away_ns = view ? view->away_ns : 0;
	snprintf(c->trouble, sizeof(c->trouble), "%s", view ? view->trouble : "");
}

static double seconds_since(uint64_t from_ns, uint64_t now_ns)
{
	return (double)(int64_t)(now_ns - from_ns) / (double)NS_PER_S;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* "3 rounds joined since it is watched", and of how many. */
static void put_rounds(const struct obs_life *l, char *out, size_t size)
{
	const struct obs_chain_side *c = &l->chain;

	if (c->round_known && c->round > c->first_round && l->rounds.joined >= c->first_joined)
		snprintf(out, size, "%llu of the chain's last %llu rounds joined",
			 (unsigned long long)(l->rounds.joined - c->first_joined),
			 (unsigned long long)(c->round - c->first_round));
	else
		snprintf(out, size, "%llu rounds joined since it is watched",
			 (unsigned long long)l->rounds.joined);
}

/* What its quiet on the chain may come from. */
static void put_cause(const struct obs_life *l, uint64_t now_ns, double due_s, char *out,
		      size_t size)
{
	const struct obs_chain_side *c = &l->chain;
	char span[32];

	*out = '\0';
	put_span(c->round_ns, now_ns, span, sizeof(span));
	if (c->registered_known && !c->registered)
		snprintf(out, size, "; its peer id is not registered at the contract");
	else if (c->round_known && seconds_since(c->round_ns, now_ns) > due_s)
		snprintf(out, size, "; the chain has been at round %llu for %s",
			 (unsigned long long)c->round, span);
}

/* The login server took it a while ago, and the chain, which is seen, does not show it. */
static bool is_lost_on_its_way(const struct obs_life *l)
{
	const struct obs_chain_side *c = &l->chain;
	uint64_t ok_ns = l->submits.last_ok_ns;

	return ok_ns && c->watched_ns && c->watched_ns < ok_ns &&
	       c->submitted_ns + SEEN_LATE_NS < ok_ns && c->answered_ns > ok_ns + SEEN_LATE_NS;
}

static void put_yes_by_chain(const struct obs_life *l, uint64_t now_ns, struct obs_earning *ret)
{
	const struct obs_chain_side *c = &l->chain;
	char span[32], rounds[80], round[40] = "";

	put_span(c->submitted_ns, now_ns, span, sizeof(span));
	put_rounds(l, rounds, sizeof(rounds));
	if (c->submitted_round)
		snprintf(round, sizeof(round), " for round %llu",
			 (unsigned long long)c->submitted_round);
	conclude(ret, OBS_EARNS_YES,
		 "yes: the chain shows its submission%s, %s ago, %s; rewards %s, wins %s", round,
		 span, rounds, *l->submits.total_rewards ? l->submits.total_rewards : "unknown",
		 *l->submits.total_wins ? l->submits.total_wins : "unknown");
}

/* What the chain itself shows counts more than what a log says. Return: is that an answer? */
static bool judge_by_chain(const struct obs_life *l, uint64_t now_ns, double submit_s,
			   struct obs_earning *ret)
{
	const struct obs_chain_side *c = &l->chain;
	double due_s = submit_s * SUBMIT_LATENESS;
	uint64_t since_ns = later(later(c->watched_ns, l->trainer_ns), c->submitted_ns);
	char span[32], taken[32], cause[120];
	/* a reward of 0 changes no number: only its event shows, or the count of submissions */
	bool would_show = *c->participation || c->reads_events;
	bool fresh = c->asked && c->answers && c->watched_ns && would_show;

	put_span(since_ns, now_ns, span, sizeof(span));
	put_span(l->submits.last_ok_ns, now_ns, taken, sizeof(taken));
	put_cause(l, now_ns, due_s, cause, sizeof(cause));
	if (fresh && is_lost_on_its_way(l))
		conclude(
			ret, OBS_EARNS_NO,
			"no, because its login server took a submission %s ago and the chain shows "
			"none since%s",
			taken, cause);
	else if (c->submitted_ns && c->submitted_ns + BLOCK_TIME_NS >= l->trainer_ns &&
		 seconds_since(c->submitted_ns, now_ns) <= due_s)
		put_yes_by_chain(l, now_ns, ret);
	else if (fresh && seconds_since(since_ns, now_ns) > due_s &&
		 seconds_since(l->submits.last_ok_ns, now_ns) > due_s)
		conclude(ret, OBS_EARNS_NO,
			 "no, because the chain shows no submission of it for %s; one is due every "
			 "%.0f h%s",
			 span, submit_s / 3600, cause);
	else
		return false;
	return true;
}

/* Nothing is seen of submissions, in its log or on the chain. */
static void judge_quiet(const struct obs_life *l, uint64_t now_ns, double submit_s,
			uint64_t since_ns, struct obs_earning *ret)
{
	double due_s = submit_s * SUBMIT_LATENESS;
	uint64_t from_ns = l->submits.last_ok_ns ? l->submits.last_ok_ns : since_ns;
	bool overdue = seconds_since(later(l->submits.last_ok_ns, since_ns), now_ns) > due_s;
	char span[32], rounds[80], away[32];

	put_span(from_ns, now_ns, span, sizeof(span));
	put_span(l->chain.away_ns, now_ns, away, sizeof(away));
	put_rounds(l, rounds, sizeof(rounds));
	if (l->chain.asked && !l->chain.answers && *l->chain.trouble)
		conclude(ret, OBS_EARNS_UNKNOWN, "cannot tell, because %.160s (for %s); %s",
			 l->chain.trouble, l->chain.away_ns ? away : "0 s", rounds);
	else if (overdue && l->debug_seen)
		conclude(ret, OBS_EARNS_NO,
			 "no, because no submission has been taken for %s; one is due every %.0f h",
			 span, submit_s / 3600);
	else if (overdue)
		conclude(ret, OBS_EARNS_UNKNOWN,
			 "cannot tell, because its log does not show submissions (no DEBUG lines); "
			 "%s",
			 rounds);
	else
		conclude(
			ret, OBS_EARNS_UNKNOWN,
			"cannot tell, because it has been watched for %s without a submission; one "
			"is due every %.0f h",
			span, submit_s / 3600);
}

static void judge_running(const struct obs_life *l, uint64_t now_ns, double submit_s,
			  struct obs_earning *ret)
{
	const struct obs_submits *s = &l->submits;
	uint64_t since_ns = later(l->trainer_ns, l->watched_ns);
	char span[32], rounds[80];

	if (judge_by_chain(l, now_ns, submit_s, ret))
		return;
	put_span(s->last_ok_ns, now_ns, span, sizeof(span));
	put_rounds(l, rounds, sizeof(rounds));
	if (s->last_ok_ns && s->last_ok_ns >= l->trainer_ns &&
	    seconds_since(s->last_ok_ns, now_ns) <= submit_s * SUBMIT_LATENESS)
		conclude(ret, OBS_EARNS_YES, "yes: a submission was taken %s ago, %s%s%s", span,
			 rounds, *s->last_reward ? ", last reward " : "", s->last_reward);
	else
		judge_quiet(l, now_ns, submit_s, since_ns, ret);
}

/* Troubles under which nothing is earned. */
static bool stops_earning(enum obs_trouble t)
{
	return t == OBS_TROUBLE_SUBMITS || t == OBS_TROUBLE_SERVER || t == OBS_TROUBLE_TRAINING;
}

void obs_life_earning(const struct obs_life *l, uint64_t now_ns, double submit_s,
		      struct obs_earning *ret)
{
	struct obs_shown s = obs_machine_shown(&l->machine);

	if (s.state == OBS_STATE_UNKNOWN)
		conclude(ret, OBS_EARNS_UNKNOWN, "cannot tell, because %.250s",
			 obs_machine_reason(&l->machine));
	else if (s.trouble == OBS_TROUBLE_SUBMITS)
		conclude(ret, OBS_EARNS_NO, "no, because the last %u submissions failed: %.150s",
			 l->submits.failed_in_a_row, l->submits.last_words);
	else if (!obs_state_runs(s.state) || stops_earning(s.trouble))
		explain_state(l, &s, now_ns, ret);
	else
		judge_running(l, now_ns, submit_s, ret);
}
