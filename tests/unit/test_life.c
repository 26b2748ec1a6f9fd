// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_life.c - whole lives of nodes, through the real parser and the state machine.
 *
 * A life is a file tests/data/life-*.txt, one step a line, "+SECONDS VERB REST":
 *
 *   log, con, yarn TEXT   a line of the trainer's log, of a console, of yarn.log
 *   see INPUT TEXT        an input that no line makes (user/model/state.h)
 *   chain KEY=VALUE …     a blockchain_snapshot with these whole numbers
 *   took ROUND REWARD     a RewardSubmitted of this node, from the contract
 *   peers N               a dht_snapshot with so many peers
 *   rpc ok | deaf | TROUBLE   how the chain's RPC server answers us; deaf: it refuses events
 *   state STATE[/SUB]     what must be shown now
 *   earns ANSWER WORDS    whether it earns, and words that the sentence must hold
 *
 * Lines that start with '#' are comments. A record that waits for more lines is finished at the
 * next step that is later, or that looks.
 */
#include "check.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/life.h"
#include "model/model.h"
#include "parse/parse.h"

#define START_NS UINT64_C(1758821598000000000)
#define NS_PER_S UINT64_C(1000000000)

enum { LOG, CONSOLE, YARN, PARSERS };

struct play {
	struct obs_life life;
	struct obs_chain_view chain;
	struct obs_parser *parsers[PARSERS];
	uint64_t now_ns;
	unsigned changes;
	const char *file;
	unsigned line;
};

static void on_change(void *ctx, const struct obs_life *life, const struct obs_change *change)
{
	struct play *p = ctx;

	p->changes++;
	assert_true(change->from.state != change->to.state || change->from.sub != change->to.sub ||
		    change->from.trouble != change->to.trouble);
	assert_true(life->machine.n_evidence > 0);
}

static void on_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct play *p = ctx;

	(void)first;
	obs_life_event(&p->life, ev);
}

static void open_play(struct play *p)
{
	static const enum obs_source sources[PARSERS] = { OBS_SOURCE_NODE, OBS_SOURCE_CONSOLE,
							  OBS_SOURCE_YARN };

	*p = (struct play){ .now_ns = START_NS, .chain.reads_events = true };
	obs_life_init(&p->life, START_NS, on_change, p);
	for (int i = 0; i < PARSERS; i++)
		assert_int_equal(obs_parser_new(sources[i], on_event, p, &p->parsers[i]), 0);
}

static void close_play(struct play *p)
{
	for (int i = 0; i < PARSERS; i++)
		obs_parser_free(&p->parsers[i]);
}

static void flush(struct play *p)
{
	for (int i = 0; i < PARSERS; i++)
		obs_parser_flush(p->parsers[i]);
}

static void push(struct play *p, int parser, const char *text)
{
	struct obs_line line = { .text = obs_slice_str(text), .wall_ns = p->now_ns };

	obs_parser_push(p->parsers[parser], &line);
}

static enum obs_input input_of(const char *name)
{
	static const char *const names[] = {
#define X(id, help) #id,
		OBS_INPUTS(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(names[i], name) == 0)
			return (enum obs_input)i;
	}
	fail_msg("no input '%s'", name);
	return OBS_INPUT_MAX;
}

static void check_state(struct play *p, const char *want)
{
	struct obs_shown s = obs_machine_shown(&p->life.machine);
	const char *sub = obs_shown_sub_str(&s);
	char got[80];

	snprintf(got, sizeof(got), "%s%s%s", obs_state_str(s.state), *sub ? "/" : "", sub);
	if (strcmp(got, want) != 0)
		fail_msg("%s:%u: state is %s (%s), want %s", p->file, p->line, got,
			 obs_machine_reason(&p->life.machine), want);
}

static void check_earning(struct play *p, char *rest)
{
	char *words = rest + strcspn(rest, " ");
	struct obs_earning e;

	if (*words)
		*words++ = '\0';
	obs_life_earning(&p->life, p->now_ns, 3 * 3600, &e);
	if (strcmp(obs_earns_str(e.earns), rest) != 0 || !strstr(e.sentence, words))
		fail_msg("%s:%u: %s: '%s', want %s with '%s'", p->file, p->line,
			 obs_earns_str(e.earns), e.sentence, rest, words);
}

static void see_event(struct play *p, struct obs_event *ev)
{
	ev->wall_ns = p->now_ns;
	ev->origin.via = OBS_VIA_CHAIN;
	obs_life_event(&p->life, ev);
}

static void see_chain(struct play *p, char *words)
{
	struct obs_event ev = { .type = OBS_EVENT_BLOCKCHAIN_SNAPSHOT, .name = "snapshot" };
	char *word, *value;

	while ((word = strsep(&words, " "))) {
		value = strchr(word, '=');
		assert_non_null(value);
		*value++ = '\0';
		if (strcmp(word, "registered") == 0)
			obs_event_add_bool(&ev, word, *value == '1');
		else
			obs_event_add_number_text(&ev, obs_slice_str(word), obs_slice_str(value));
	}
	see_event(p, &ev);
	p->chain.answers = true;
	p->chain.ok_ns = p->now_ns;
	obs_life_chain(&p->life, &p->chain);
}

static void see_took(struct play *p, char *words)
{
	struct obs_event ev = { .type = OBS_EVENT_CHAIN, .name = "RewardSubmitted" };
	char *reward = words + strcspn(words, " ");

	*reward++ = '\0';
	obs_event_add_number_text(&ev, OBS_SLICE("roundNumber"), obs_slice_str(words));
	obs_event_add_number_text(&ev, OBS_SLICE("reward"), obs_slice_str(reward));
	see_event(p, &ev);
}

static void see_peers(struct play *p, const char *n)
{
	struct obs_event ev = { .type = OBS_EVENT_DHT_SNAPSHOT, .name = "snapshot" };

	obs_event_add_uint(&ev, "peers_connected", strtoul(n, NULL, 10));
	see_event(p, &ev);
}

static void see_rpc(struct play *p, const char *how)
{
	p->chain.reads_events = strcmp(how, "ok") == 0;
	p->chain.answers = p->chain.reads_events || strcmp(how, "deaf") == 0;
	if (p->chain.answers)
		p->chain.ok_ns = p->now_ns;
	p->chain.away_ns = p->chain.answers ? 0 : p->now_ns;
	snprintf(p->chain.trouble, sizeof(p->chain.trouble), "%s", p->chain.answers ? "" : how);
	obs_life_chain(&p->life, &p->chain);
}

/* Return: is it one of these? */
static bool step_chain(struct play *p, const char *verb, char *rest)
{
	if (strcmp(verb, "chain") == 0)
		see_chain(p, rest);
	else if (strcmp(verb, "took") == 0)
		see_took(p, rest);
	else if (strcmp(verb, "peers") == 0)
		see_peers(p, rest);
	else if (strcmp(verb, "rpc") == 0)
		see_rpc(p, rest);
	else
		return false;
	return true;
}

static void step(struct play *p, char *line)
{
	char *verb = line + strcspn(line, " "), *rest;
	unsigned long after = strtoul(line + 1, NULL, 10);

	assert_true(*line == '+' && *verb == ' ');
	*verb++ = '\0';
	rest = verb + strcspn(verb, " ");
	*rest++ = '\0';
	p->now_ns += after * NS_PER_S;
	if (after || strcmp(verb, "state") == 0 || strcmp(verb, "earns") == 0)
		flush(p);
	if (strcmp(verb, "log") == 0) {
		push(p, LOG, rest);
	} else if (strcmp(verb, "con") == 0) {
		push(p, CONSOLE, rest);
	} else if (strcmp(verb, "yarn") == 0) {
		push(p, YARN, rest);
	} else if (strcmp(verb, "state") == 0) {
		check_state(p, rest);
	} else if (strcmp(verb, "earns") == 0) {
		check_earning(p, rest);
	} else if (step_chain(p, verb, rest)) {
	} else {
		char *text = rest + strcspn(rest, " ");

		assert_string_equal(verb, "see");
		*text++ = '\0';
		obs_life_input(&p->life, input_of(rest), p->now_ns, text);
	}
}

static void play_file(const char *path)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	char line[1024];
	struct play p;

	assert_non_null(f);
	open_play(&p);
	p.file = path;
	while (fgets(line, sizeof(line), f)) {
		p.line++;
		line[strcspn(line, "\n")] = '\0';
		if (*line && *line != '#')
			step(&p, line);
	}
	close_play(&p);
}

static void lives(void **state)
{
	glob_t files;

	(void)state;
	assert_int_equal(glob("tests/data/life-*.txt", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 14);
	for (size_t i = 0; i < files.gl_pathc; i++)
		play_file(files.gl_pathv[i]);
	globfree(&files);
}

/* --- every failure of the catalogue, from a running or a starting node --- */

#define G3(level) "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][" level "] - "

static const struct {
	const char *name;
	bool running;	   /* or starting */
	int times, parser; /* the line comes so often, into that parser */
	const char *line;
	enum obs_input then; /* OBS_INPUT_MAX = nothing more is seen */
	const char *state, *code;
} failures[] = {
	{ "P2P daemon timeout", false, 1, CONSOLE,
	  "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start in 15.0 "
	  "seconds",
	  OBS_INPUT_MAX, "starting/failing", "DAEMON_START_TIMEOUT" },
	{ "bootstrap unreachable", false, 1, CONSOLE,
	  "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start: "
	  "2025/05/05 05:11:19 failed to connect to bootstrap peers",
	  OBS_INPUT_TRAINER_ENDED, "trainer_gone", "DAEMON_START_FAILED" },
	{ "DHT ping", false, 1, CONSOLE,
	  "RuntimeError: DHTNode bootstrap failed: none of the initial_peers responded to a ping. "
	  "(set ensure_bootstrap_success=False to ignore)",
	  OBS_INPUT_MAX, "starting/failing", "DHT_BOOTSTRAP_FAILED" },
	{ "identity taken", false, 1, CONSOLE,
	  "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Identity from `/root/swarm.pem` "
	  "is already taken by another peer",
	  OBS_INPUT_MAX, "starting/failing", "IDENTITY_TAKEN" },
	{ "DHT child dies", true, 1, CONSOLE, "Process DHT-1:", OBS_INPUT_MAX, "hung/dht_dead",
	  "DHT_PROCESS_DIED" },
	{ "DHT coroutine", true, 1, CONSOLE,
	  "Oct 26 23:33:49.827 [ERROR] [hivemind.dht.dht._run_coroutine:267] Caught an exception "
	  "when running a coroutine:",
	  OBS_INPUT_MAX, "degraded/dht", "DHT_COROUTINE_ERROR" },
	{ "daemon gone", true, 1, CONSOLE,
	  "FileNotFoundError: Failed to connect to UNIX socket at "
	  "/tmp/hivemind-p2pd-abcdefghijk.sock",
	  OBS_INPUT_MAX, "degraded/p2pd", "EXCEPTION" },
	{ "game exception, before it exits", true, 1, LOG,
	  G3("ERROR") "Exception occurred during game run.", OBS_INPUT_MAX, "degraded/training",
	  "GAME_EXCEPTION" },
	{ "game exception", true, 1, LOG, G3("ERROR") "Exception occurred during game run.",
	  OBS_INPUT_TRAINER_ENDED, "trainer_gone", "GAME_EXCEPTION" },
	{ "numeric", true, 1, LOG,
	  "RuntimeError: probability tensor contains either 'inf', 'nan' or element < 0",
	  OBS_INPUT_TRAINER_ENDED, "trainer_gone", "NAN_PROBABILITIES" },
	{ "CUDA OOM, swallowed", true, 1, LOG,
	  "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB.", OBS_INPUT_MAX,
	  "degraded/training", "CUDA_OOM" },
	{ "MPS OOM", true, 1, CONSOLE,
	  "RuntimeError: MPS backend out of memory (MPS allocated: 5.05 GB). Tried to allocate "
	  "256.00 MB on private pool.",
	  OBS_INPUT_MAX, "degraded/training", "MPS_OOM" },
	{ "kernel OOM, told by bash", true, 1, CONSOLE,
	  "./run_rl_swarm.sh: line 649:  9746 Killed                  python -m x", OBS_INPUT_MAX,
	  "trainer_gone", "PROCESS_KILLED" },
	{ "launcher error", true, 1, CONSOLE,
	  ">> An error was detected while running rl-swarm. See /home/user/rl-swarm/logs for full "
	  "logs.",
	  OBS_INPUT_MAX, "trainer_gone", "LAUNCHER_ERROR" },
	{ "chain RPC", false, 1, CONSOLE, "Exception: Failed to connect to Gensyn Testnet",
	  OBS_INPUT_TRAINER_ENDED, "trainer_gone", "CHAIN_CONNECT_FAILED" },
	{ "chain polls", true, 3, LOG,
	  G3("DEBUG") "Could not fetch round and stage: x. Next check in 5.0s.", OBS_INPUT_MAX,
	  "degraded/chain", "CHAIN_POLL_FAILED" },
	{ "login page", false, 1, YARN,
	  " ⨯ TypeError: Cannot read properties of undefined (reading 'hasHydrated')",
	  OBS_INPUT_MAX, "starting/loading", "LOGIN_PAGE_ERROR" },
	{ "modal 400", true, 2, LOG,
	  G3("DEBUG") "400 Client Error: Bad Request for url: "
		      "http://localhost:3000/api/submit-reward",
	  OBS_INPUT_MAX, "degraded/submits", "SUBMIT_FAILED" },
	{ "modal 500", true, 2, LOG,
	  G3("DEBUG") "500 Server Error: Internal Server Error for url: "
		      "http://localhost:3000/api/submit-reward",
	  OBS_INPUT_MAX, "degraded/submits", "SUBMIT_FAILED" },
	{ "InvalidRoundNumber once", true, 1, YARN,
	  "Failed to call submitReward: InvalidRoundNumber", OBS_INPUT_MAX, "training",
	  "SUBMIT_FAILED" },
	{ "AA24", true, 2, YARN, "Smart contract account reverted with error: AA24 signature error",
	  OBS_INPUT_MAX, "degraded/submits", "SMART_ACCOUNT_REVERTED" },
	{ "HF", false, 1, CONSOLE,
	  "RuntimeError: An error occurred while downloading using `hf_transfer`. Consider "
	  "disabling HF_HUB_ENABLE_HF_TRANSFER for better error handling.",
	  OBS_INPUT_MAX, "starting/failing", "MODEL_DOWNLOAD_FAILED" },
	{ "ollama", false, 1, CONSOLE, "ollama._types.ResponseError:  (status code: 502)",
	  OBS_INPUT_MAX, "starting/failing", "EVALUATOR_ERROR" },
	{ "startup", false, 1, CONSOLE,
	  "hydra.errors.InstantiationException: Error in call to target 'a.b':", OBS_INPUT_MAX,
	  "starting/failing", "STARTUP_FAILED" },
	{ "clock", true, 1, CONSOLE,
	  "Oct 26 23:33:49.827 [WARN] [hivemind.dht.protocol.call_ping:138] ValidationError('local "
	  "time must be within 3 seconds  of others(local: 1.0, peer: 9.0)')",
	  OBS_INPUT_MAX, "degraded/clock", "CLOCK_SKEW" },
	{ "bad payloads of peers", true, 3, LOG,
	  G3("INFO") "Error with swarm payloads, continuing with local state: 'NoneType' object is "
		     "not iterable",
	  OBS_INPUT_MAX, "training", "PEER_PAYLOAD_ERROR" },
};

static void every_failure_reaches_its_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		struct play p;

		open_play(&p);
		p.file = failures[i].name;
		obs_life_input(&p.life, OBS_INPUT_TRAINER_STARTED, p.now_ns, "trainer started");
		if (failures[i].running)
			push(&p, LOG, G3("INFO") "Joining round: 30512");
		for (int k = 0; k < failures[i].times; k++) {
			p.now_ns += 20 * NS_PER_S;
			push(&p, failures[i].parser, failures[i].line);
			flush(&p);
		}
		if (failures[i].then != OBS_INPUT_MAX)
			obs_life_input(&p.life, failures[i].then, p.now_ns, "seen");
		check_state(&p, failures[i].state);
		if (!p.life.last_error || strcmp(p.life.last_error, failures[i].code) != 0)
			fail_msg("%s: last error is %s", failures[i].name, p.life.last_error);
		close_play(&p);
	}
}

/* What the kernel sees to live is not gone because a log says so. */
static void the_kernel_knows_better(void **state)
{
	struct play p;

	(void)state;
	open_play(&p);
	p.file = __func__;
	p.life.sees_ends = true;
	obs_life_input(&p.life, OBS_INPUT_TRAINER_STARTED, p.now_ns, "trainer started");
	p.life.dht_lives = true;
	push(&p, LOG, G3("INFO") "Joining round: 30512");
	push(&p, CONSOLE, "./run_rl_swarm.sh: line 649:  9746 Killed                  yarn build");
	check_state(&p, "training");
	push(&p, CONSOLE, "EOFError: Ran out of input");
	flush(&p);
	check_state(&p, "degraded/dht");
	close_play(&p);
}

static void patience_follows_the_node_s_own_rounds(void **state)
{
	struct play p;

	(void)state;
	open_play(&p);
	assert_true(obs_life_patience_s(&p.life, p.now_ns, 600, 3) == 600);
	for (int i = 0; i < 10; i++) {
		char line[100];

		snprintf(line, sizeof(line), G3("INFO") "Joining round: %d", i);
		push(&p, LOG, line);
		p.now_ns += 1000 * NS_PER_S;
	}
	assert_true(obs_life_patience_s(&p.life, p.now_ns, 600, 3) == 3000);
	push(&p, LOG, G3("INFO") "Already finished round: 9. Next check in 900.0s.");
	assert_true(obs_life_patience_s(&p.life, p.now_ns, 600, 3) == 3900);
	assert_true(obs_life_patience_s(&p.life, p.now_ns + 900 * NS_PER_S, 600, 3) == 3000);
	close_play(&p);
}

static unsigned gathered;

static void on_gather(void *ctx, const struct obs_life *life, const struct obs_change *change)
{
	(void)ctx;
	(void)life;
	if (change->to.state == OBS_STATE_GATHERING && change->wall_ns == 7 * NS_PER_S)
		gathered |= 1;
	if (change->from.state == OBS_STATE_GATHERING && change->wall_ns == 10 * NS_PER_S)
		gathered |= 2;
}

/* p2pd's part tells of an exchange when it is over. */
static void an_exchange_has_its_own_times(void **state)
{
	struct obs_event ev = { .type = OBS_EVENT_PEER,
				.name = "swarm_sync",
				.wall_ns = 10 * NS_PER_S };
	struct obs_life l;

	(void)state;
	obs_event_add_real(&ev, "duration_s", 3);
	obs_life_init(&l, 1, on_gather, NULL);
	obs_life_event(&l, &ev);
	assert_int_equal(gathered, 0); /* of a node that is not known to train */
	obs_life_input(&l, OBS_INPUT_ROUND_JOINED, 5 * NS_PER_S, "joined");
	obs_life_event(&l, &ev);
	assert_int_equal(gathered, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives),
		cmocka_unit_test(every_failure_reaches_its_state),
		cmocka_unit_test(the_kernel_knows_better),
		cmocka_unit_test(patience_follows_the_node_s_own_rounds),
		cmocka_unit_test(an_exchange_has_its_own_times),
	};

	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
