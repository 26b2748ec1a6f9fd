// SPDX-License-Identifier: BSD-2-Clause
/* Records of several lines: what belongs together, and what it is called then. */
#include "check.h"

#include <errno.h>
#include <stdio.h>

#include "parse/parse.h"
#include "parse/patterns.h"

#define G3(level) "[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][" level "] - "
#define TB	  "Traceback (most recent call last):\n"
#define FRAME	  "  File \"/x/manager.py\", line 29, in f\n    g()\n    ^^^\n"

/* code or name, then the fields asked for as key=text; one event per line */
static void note(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct obs_buf *out = ctx;

	(void)first;
	obs_buf_push_str(out, ev->code ? ev->code : ev->name);
	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];

		if (obs_slice_eq(f->key, OBS_SLICE("traceback")))
			obs_buf_push_str(out, " tb");
		else if (f->kind == OBS_VALUE_STR || f->kind == OBS_VALUE_NUMBER_TEXT)
			obs_buf_printf(out, " %.*s=%.*s", (int)f->key.len, f->key.p,
				       (int)f->str.len, f->str.p);
		else if (f->kind == OBS_VALUE_UINT)
			obs_buf_printf(out, " %.*s=%llu", (int)f->key.len, f->key.p,
				       (unsigned long long)f->u);
		else if (f->kind == OBS_VALUE_REAL)
			obs_buf_printf(out, " %.*s=%g", (int)f->key.len, f->key.p, f->real);
		else
			obs_buf_printf(out, " %.*s", (int)f->key.len, f->key.p);
	}
	obs_buf_push_str(out, "\n");
}

static void push_lines(struct obs_parser *p, const char *text)
{
	uint64_t offset = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");
		struct obs_line line = { .text = obs_slice(text, n), .offset = offset };

		obs_parser_push(p, &line);
		offset += n + 1;
		text += n + (text[n] == '\n');
	}
}

static const struct {
	const char *name;
	enum obs_source source;
	const char *text, *want;
} cases[] = {
	{ "head with traceback", OBS_SOURCE_NODE,
	  G3("ERROR") "Exception occurred during game run.\n" TB FRAME
		      "ValueError: expected sequence of length 2\n" G3("INFO") "Using Model: x\n",
	  "GAME_EXCEPTION exception=ValueError tb\nmodel_selected model=x\n" },
	{ "a known exception gives its code", OBS_SOURCE_NODE,
	  G3("ERROR") "Exception occurred during game run.\n" TB FRAME
		      "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0\n",
	  "CUDA_OOM requested_bytes=2491081032 where=game_run exception=torch.OutOfMemoryError tb\n" },
	{ "source lines quote texts that are not meant", OBS_SOURCE_NODE,
	  G3("ERROR") "Exception occurred during game run.\n" TB
		      "  File \"/x.py\", line 1, in f\n    raise Exception('Failed to connect to Gensyn Testnet')\nKeyError: 'a'\n",
	  "GAME_EXCEPTION exception=KeyError tb\n" },
	{ "v0.5.8 submit, five lines and a traceback", OBS_SOURCE_NODE,
	  G3("ERROR") "Failed to submit to chain.\nThis is most likely transient and will recover.\nThere is no need to kill the program.\nIf you encounter this error, please report it to Gensyn by\nfiling a github issue here: https://github.com/gensyn-ai/rl-swarm/issues/new/choose\n" TB
		  FRAME
		      "requests.exceptions.HTTPError: 500 Server Error: Internal Server Error for url: http://localhost:3000/api/submit-reward\nStack (most recent call last):\n" FRAME,
	  "SUBMIT_FAILED source=trainer status=500 route=/api/submit-reward exception=requests.exceptions.HTTPError tb\n" },
	{ "the same on a console", OBS_SOURCE_CONSOLE,
	  G3("ERROR") "Failed to submit to chain.\nThis is most likely transient and will recover.\nThere is no need to kill the program.\n" TB
		  FRAME
		      "requests.exceptions.HTTPError: 400 Client Error: Bad Request for url: http://localhost:3000/api/submit-winner\n>> Shutting down trainer...\n",
	  "SUBMIT_FAILED source=trainer status=400 route=/api/submit-winner exception=requests.exceptions.HTTPError tb\nlauncher_exit\n" },
	{ "chained: during handling", OBS_SOURCE_CONSOLE,
	  TB FRAME
	  "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n" TB
		  FRAME "RuntimeError: b\n",
	  "EXCEPTION exception=RuntimeError tb\n" },
	{ "chained: direct cause, the cause is known", OBS_SOURCE_CONSOLE,
	  TB FRAME
	  "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start in 15.0 seconds\n\nThe above exception was the direct cause of the following exception:\n\n" TB
		  FRAME
	  "hydra.errors.InstantiationException: Error in call to target 'a.B':\nP2PDaemonError('Daemon failed to start in 15.0 seconds')\nfull_key: game_manager.communication\n\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n",
	  "DAEMON_START_TIMEOUT timeout_s=15.0 exception=hydra.errors.InstantiationException tb\n" },
	{ "hydra alone, unknown cause", OBS_SOURCE_CONSOLE,
	  "Error executing job with overrides: []\nhydra.errors.InstantiationException: Error in call to target 'a.B':\nOSError('disk')\nfull_key: x\n",
	  "STARTUP_FAILED target=a.B cause=OSError('disk') exception=hydra.errors.InstantiationException\n" },
	{ "hydra's job error and its traceback are one", OBS_SOURCE_CONSOLE,
	  "Error executing job with overrides: []\n" TB FRAME "OSError: disk\n",
	  "EXCEPTION exception=OSError tb\n" },
	{ "two tracebacks are two events", OBS_SOURCE_CONSOLE,
	  TB FRAME "KeyError: 'a'\n" TB FRAME "RuntimeError: b\n",
	  "EXCEPTION exception=KeyError tb\nEXCEPTION exception=RuntimeError tb\n" },
	{ "exception group (3.11)", OBS_SOURCE_CONSOLE,
	  "  + Exception Group Traceback (most recent call last):\n  |   File \"/x.py\", line 3, in <module>\n  |     raise eg\n  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: a\n    +---------------- 2 ----------------\n    | TypeError: b\n    +------------------------------------\n",
	  "EXCEPTION exception=ExceptionGroup tb\n" },
	{ "notes (3.11) and names without Error", OBS_SOURCE_CONSOLE,
	  TB FRAME "queue.Empty\nfirst note\nsecond note\n",
	  "EXCEPTION exception=queue.Empty tb\n" },
	{ "syntax error", OBS_SOURCE_CONSOLE,
	  TB "  File \"/x.py\", line 1\n    f(\n     ^\nSyntaxError: '(' was never closed\n",
	  "EXCEPTION exception=SyntaxError tb\n" },
	{ "through the DHT process", OBS_SOURCE_CONSOLE,
	  TB
	  "  File \"/venv/hivemind/dht/dht.py\", line 9, in get\n    return f()\nConnectionResetError: [Errno 104]\n",
	  "DHT_PROCESS_DIED exception=ConnectionResetError tb\n" },
	{ "Process DHT-1 with its traceback", OBS_SOURCE_CONSOLE,
	  "Process DHT-1:\n" TB FRAME "EOFError: Ran out of input\n",
	  "DHT_PROCESS_DIED exception=EOFError tb\n" },
	{ "hivemind's coroutine error keeps its code", OBS_SOURCE_CONSOLE,
	  "Oct 26 23:33:49.827 [ERROR] [hivemind.dht.dht._run_coroutine:267] Caught an exception when running a coroutine:\n" TB
	  "  File \"/venv/hivemind/dht/dht.py\", line 9, in x\n    y\nTypeError: z\n",
	  "DHT_COROUTINE_ERROR exception=TypeError tb where=_run_coroutine:267\n" },
	{ "Node.js", OBS_SOURCE_YARN,
	  "Error: connect ECONNREFUSED 127.0.0.1:443\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1606:16) {\n  errno: -111,\n  code: 'ECONNREFUSED'\n}\nGET /api/get-api-key-status 200\n",
	  "SERVER_ERROR exception=Error syscall_code=ECONNREFUSED source=server tb\napi_call route=/api/get-api-key-status status=200 method=GET\n" },
	{ "Node.js on a console", OBS_SOURCE_AUTO,
	  " \xe2\xa8\xaf TypeError: x is not a function\n    at f (/a.js:1:2)\n",
	  "SERVER_ERROR exception=TypeError source=server tb\n" },
	{ "login page", OBS_SOURCE_YARN,
	  "TypeError: Cannot read properties of undefined (reading 'hasHydrated')\n    at f (/a.js:1:2)\n  digest: \"3290574271\"\n",
	  "LOGIN_PAGE_ERROR exception=TypeError tb\n" },
	{ "FailedOp and its text are one", OBS_SOURCE_YARN,
	  "Failed with 'FailedOp':\nSmart contract account reverted with error: AA24 signature error\n",
	  "SMART_ACCOUNT_REVERTED aa_code=AA24 source=server\n" },
	{ "an exception whose text is that of another event", OBS_SOURCE_CONSOLE,
	  "ValueError: Joining round: 5\nException('Failed with 'FailedOp':')\n",
	  "EXCEPTION exception=ValueError partial\nEXCEPTION exception=Exception partial\n" },
	{ "an unknown error line", OBS_SOURCE_NODE,
	  G3("ERROR") "Something odd\nmore of it\n" G3("INFO") "x\n", "LOG_ERROR\nlog\n" },
	{ "in a node's log, lines without a prefix belong to the record", OBS_SOURCE_NODE,
	  G3("DEBUG") "Received question: a\n{'loss': 1}\nJoining round: 5\n>> x\n" G3(
		  "INFO") "Joining round: 6\n",
	  "log\nround_joined round=6\n" },
	{ "table", OBS_SOURCE_CONSOLE,
	  "***** train metrics *****\n  epoch                    =        0.5\n  total_flos               =        0GF\n  train_runtime            = 2:46:34.01\nx\n",
	  "log\nmetrics epoch=0.5 total_flos=0GF train_runtime=9994.01\nlog\n" },
	{ "wandb summary", OBS_SOURCE_CONSOLE,
	  "wandb: Run summary:\nwandb: train/global_step 20\nwandb:      train/loss 0.5\nwandb:       train/odd nan\nwandb: \nwandb: You can sync this run to the cloud by running:\n",
	  "log\nmetrics train/global_step=20 train/loss=0.5 train/odd=nan\nlog\ntrainer_ended\n" },
	{ "dict with what is no number", OBS_SOURCE_CONSOLE,
	  "{'loss': nan, 'n': None, 's': 'a, b', 'v': [1, 2], 'reward': -0.5, 'message': 1, 'loss': 2}\n{'a': 'b'}\n{'a': 1\n",
	  "metrics loss=nan reward=-0.5\nlog\nlog\n" },
	{ "metrics through a logger", OBS_SOURCE_NODE, G3("INFO") "{'train/loss': 0.25}\n",
	  "metrics train/loss=0.25\n" },
	{ "only the last state of a bar", OBS_SOURCE_CONSOLE,
	  "Map:  50%|#  | 1/2 [00:00<00:00, 2.1it/s]\nMap: 100%|###| 2/2 [00:00<00:00, 2.1it/s]\nGen:  10%|#  | 1/9 [00:00<00:00, 2.1it/s]\n",
	  "log\nlog\n" },
	{ "garbled head of a traceback", OBS_SOURCE_NODE,
	  G3("INFO") " eback (most recent call last):\n" FRAME "TypeError: a\n",
	  "EXCEPTION exception=TypeError tb\n" },
	{ "kernel's oom, ours and another's", OBS_SOURCE_AUTO,
	  "[597411.196718] Out of memory: Killed process 23001 (python3) total-vm:9kB, anon-rss:2kB, file-rss:0kB\n[597411.2] Out of memory: Killed process 1440763 (perl) total-vm:9kB, anon-rss:2kB\n",
	  "PROCESS_KILLED pid=23001 comm=python3 anon_rss_bytes=2048 reason=oom\nlog\n" },
	{ "Docker's own file", OBS_SOURCE_DOCKER,
	  "{\"log\":\"Joining round: 5\\n\",\"stream\":\"stdout\",\"time\":\"2025-05-23T16:49:12.29Z\"}\n"
	  "{\"log\":\"\\u001b[32m\\u003e\\u003e Good luck in the swarm!\\r\\n\",\"stream\":\"stderr\"}\n{\"log\":\"cut",
	  "round_joined round=5\ntrainer_starting\nlog\n" },
	{ "CRI", OBS_SOURCE_DOCKER, "2025-05-23T16:49:12.290114123Z stderr F Joining round: 5\n",
	  "round_joined round=5\n" },
	{ "login done", OBS_SOURCE_YARN,
	  "POST /api/set-api-key-activated 200 in 5ms\nPOST /api/set-api-key-activated 500 in 5ms\n",
	  "login_ok step=api_key\napi_call route=/api/set-api-key-activated status=500 method=POST\n" },
	{ "go-log", OBS_SOURCE_CONSOLE,
	  "{\"level\":\"warn\",\"ts\":\"2025-10-26T23:33:49.827Z\",\"logger\":\"dht\",\"msg\":\"x\"}\n",
	  "log\n" },
	{ "go-log with a reason", OBS_SOURCE_CONSOLE,
	  "{\"level\":\"error\",\"ts\":\"2025-10-26T23:33:49.827Z\",\"logger\":\"dht\",\"msg\":\"x\",\"error\":\"no \\\"way\\\"\"}\n"
	  "2026-11-26T20:12:45.249Z\tERROR\tp2pd\tdaemon.go:198\tit failed\t{\"n\": 3, \"error\": \"closed\"}\n"
	  "2026-11-26T20:12:45.249Z\tERROR\tp2pd\tdaemon.go:198\tit failed\t{\"error\": \"clo\n"
	  "2026-11-26T20:12:45.249Z\tERROR\tp2pd\tdaemon.go:198\tit failed\n",
	  "LOG_ERROR reason=no \\\"way\\\"\n"
	  "LOG_ERROR where=daemon.go:198 reason=closed\n"
	  "LOG_ERROR where=daemon.go:198\nLOG_ERROR where=daemon.go:198\n" },
	{ "last words of a p2pd, and the same of others", OBS_SOURCE_CONSOLE,
	  "2026/11/26 20:22:32 open /x: permission denied\n"
	  "open /x: permission denied\n"
	  "{\"level\":\"warn\",\"ts\":\"2025-10-26T23:33:49.827Z\",\"logger\":\"dht\",\"msg\":\"open /x\"}\n",
	  "DAEMON_START_FAILED reason=/x: permission denied\nlog\nlog\n" },
};

static void records_are_what_they_should_be(void **state)
{
	bool ok = true;

	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		cleanup_buf struct obs_buf got = { 0 };
		struct obs_parser *p = NULL;

		assert_int_equal(obs_parser_new(cases[i].source, note, &got, &p), 0);
		push_lines(p, cases[i].text);
		obs_parser_flush(p);
		ok &= same_text(cases[i].name, obs_buf_slice(&got), cases[i].want);
		obs_parser_free(&p);
	}
	assert_true(ok);
}

static void note_message(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	(void)first;
	obs_buf_push(ctx, ev->message.p, ev->message.len);
	obs_buf_push_str(ctx, "|");
}

static const struct {
	enum obs_source source;
	const char *text, *want;
} messages[] = {
	{ OBS_SOURCE_NODE,
	  G3("ERROR") "Failed to submit to chain.\nsecond\n" TB FRAME "KeyError: 1\n",
	  "Failed to submit to chain.\nsecond|" },
	{ OBS_SOURCE_CONSOLE, TB FRAME "KeyError: 1\n", "KeyError: 1|" },
	{ OBS_SOURCE_CONSOLE, "wandb: train/loss 0\n", "train/loss 0|" },
	{ OBS_SOURCE_CONSOLE, "\033[32m>> Done!\033[0m\n", "Done!|" },
	{ OBS_SOURCE_NODE, G3("INFO") "Loaded PRG state from file:\n\ta,\n\tb\n",
	  "Loaded PRG state from file:\n\ta,\n\tb|" },
};

static void messages_are_the_right_part(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		cleanup_buf struct obs_buf got = { 0 };
		struct obs_parser *p = NULL;

		assert_int_equal(obs_parser_new(messages[i].source, note_message, &got, &p), 0);
		push_lines(p, messages[i].text);
		obs_parser_flush(p);
		check_text(messages[i].text, obs_buf_slice(&got), messages[i].want);
		obs_parser_free(&p);
	}
}

/* A record that waits holds the cursor at its first byte; what cannot go on does not wait. */
static void pending_is_told(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_parser *p = NULL;
	struct obs_line line = { .text = OBS_SLICE(G3("ERROR") "x"), .offset = 77 };
	uint64_t at = 0;

	(void)state;
	assert_int_equal(obs_parser_new(OBS_SOURCE_NODE, note, &got, &p), 0);
	assert_false(obs_parser_pending(p, &at));
	obs_parser_push(p, &line);
	assert_true(obs_parser_pending(p, &at));
	assert_int_equal(at, 77);
	obs_parser_flush(p);
	assert_false(obs_parser_pending(p, &at));
	line.text = OBS_SLICE(G3("INFO") "Joining round: 5");
	obs_parser_push(p, &line);
	assert_false(obs_parser_pending(p, &at));
	check_text("events", obs_buf_slice(&got), "LOG_ERROR\nround_joined round=5\n");
	obs_parser_free(&p);
}

static void note_bytes(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	(void)first;
	obs_buf_printf(ctx, "%s%s %d|", ev->code ? ev->code : ev->name, ev->truncated ? " cut" : "",
		       ev->message.len + 70000 < 70000);
}

static void a_record_is_bounded(void **state)
{
	cleanup_buf struct obs_buf got = { 0 }, text = { 0 };
	struct obs_parser *p = NULL;

	(void)state;
	obs_buf_push_str(&text, G3("ERROR") "x\n");
	for (int i = 0; i < 3000; i++)
		obs_buf_push_str(&text, "    a line of forty bytes, so that it sums\n");
	assert_int_equal(obs_parser_new(OBS_SOURCE_NODE, note_bytes, &got, &p), 0);
	push_lines(p, obs_buf_cstr(&text));
	obs_parser_flush(p);
	check_text("cut", obs_buf_slice(&got), "LOG_ERROR cut 0|");
	obs_parser_free(&p);
}

static void sources_follow_the_names(void **state)
{
	(void)state;
	assert_int_equal(obs_source_for_path(OBS_SLICE("/l/logs/swarm_launcher.log")),
			 OBS_SOURCE_NODE);
	assert_int_equal(obs_source_for_path(OBS_SLICE("swarm.log")), OBS_SOURCE_NODE);
	assert_int_equal(obs_source_for_path(OBS_SLICE("logs/yarn.log")), OBS_SOURCE_YARN);
	assert_int_equal(obs_source_for_path(OBS_SLICE("logs/wandb/debug.log")), OBS_SOURCE_WANDB);
	assert_int_equal(obs_source_for_path(OBS_SLICE("x.txt")), OBS_SOURCE_AUTO);
	assert_int_equal(obs_source_for_path(OBS_SLICE("/l/gswarm.log")), OBS_SOURCE_AUTO);
	assert_int_equal(obs_source_for_path(OBS_SLICE("/c/6a31-json.log")), OBS_SOURCE_DOCKER);
}

static void own_patterns_take_what_is_left(void **state)
{
	const struct obs_pattern_options list[] = {
		{ "my_score", "^score (?<score>[0-9.]+) by (?<who>\\w+)$", "training_progress",
		  NULL },
		{ "slow", "^(a+)+$", "log", NULL },
	};
	const struct obs_pattern_options bad = { "x", "(", "log", NULL };
	cleanup_buf struct obs_buf got = { 0 }, message = { 0 };
	cleanup_patterns struct obs_patterns *patterns = NULL, *none = NULL;
	struct obs_parser_options o = { 0 };
	struct obs_parser *p = NULL;

	(void)state;
	assert_int_equal(obs_patterns_open(&bad, 1, &message, &none), -EINVAL);
	assert_true(message.len > 0);
	assert_int_equal(obs_patterns_open(list, 2, NULL, &patterns), 0);
	o.patterns = patterns;
	assert_int_equal(obs_parser_new(OBS_SOURCE_CONSOLE, note, &got, &p), 0);
	obs_parser_configure(p, &o);
	push_lines(
		p,
		"score 0.5 by ann\nJoining round: 5\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\n");
	obs_parser_flush(p);
	check_text("own", obs_buf_slice(&got),
		   "my_score score=0.5 who=ann\nround_joined round=5\nlog\n");
	assert_true(obs_patterns_refused(patterns, 1) > 0);
	obs_parser_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_what_they_should_be),
		cmocka_unit_test(messages_are_the_right_part),
		cmocka_unit_test(pending_is_told),
		cmocka_unit_test(a_record_is_bounded),
		cmocka_unit_test(sources_follow_the_names),
		cmocka_unit_test(own_patterns_take_what_is_left),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
