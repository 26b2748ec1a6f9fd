// SPDX-License-Identifier: BSD-2-Clause
/* Every row of the grammar and pattern tables is tested by its own example. */
#include "check.h"

#include "parse/exception.h"
#include "parse/pattern.h"
#include "parse/prefix.h"

static void grammars_take_their_examples(void **state)
{
	struct obs_prefix p;

	(void)state;
	for (const struct obs_grammar_row *g = obs_grammars; g->name; g++) {
		obs_prefix_scan(obs_slice_str(g->example), &p);
		if (p.grammar != g->id || !p.text.len)
			fail_msg("%s does not take its example", g->name);
	}
}

static const struct {
	const char *line;
	enum obs_grammar grammar;
	const char *level, *logger, *animal, *where, *text;
} prefixes[] = {
	{ "INFO:a.b:tiny elusive porpoise:x: y", OBS_GRAMMAR_G1, "INFO", "a.b",
	  "tiny elusive porpoise", "", "x: y" },
	{ "INFO:a.b:one two:x", OBS_GRAMMAR_G1, "INFO", "a.b", "", "", "one two:x" },
	{ "INFO:a:[F-6f9619ff-8b86-d011-b42d-00cf4fc964ff] Saving model", OBS_GRAMMAR_G1, "INFO",
	  "a", "", "", "Saving model" },
	{ "INFO: no logger", OBS_GRAMMAR_NONE, "", "", "", "", "INFO: no logger" },
	{ "2025-06-09 07:10:42,774 - DEBUG - git.cmd:1253 - Popen", OBS_GRAMMAR_G2, "DEBUG",
	  "git.cmd", "", "", "Popen" },
	{ "2025-06-09 07:10:42,774 - INFO - old.logger - text - more", OBS_GRAMMAR_G2, "INFO",
	  "old.logger", "", "", "text - more" },
	{ "2025-06-09 07:10:42,774 - NOLEVEL - x - y", OBS_GRAMMAR_TIME, "", "", "", "",
	  "- NOLEVEL - x - y" },
	{ "[2025-06-28 13:08:02,566][a.b][INFO] - x", OBS_GRAMMAR_G3, "INFO", "a.b", "", "", "x" },
	{ "[2025-06-28 13:08:02,566][a.b][INFO] - ", OBS_GRAMMAR_G3, "INFO", "a.b", "", "", "" },
	{ "[2025-06-28 13:08:02,566][a.b][INFO]", OBS_GRAMMAR_NONE, "", "", "", "",
	  "[2025-06-28 13:08:02,566][a.b][INFO]" },
	{ "[INFO] Using Model: x", OBS_GRAMMAR_G3, "INFO", "", "", "", "Using Model: x" },
	{ "[1/4] Resolving packages...", OBS_GRAMMAR_NONE, "", "", "", "",
	  "[1/4] Resolving packages..." },
	{ "Oct 26 23:33:49.827 [WARN] [a.b.c.f:62] x", OBS_GRAMMAR_G4, "WARN", "a.b.c", "", "f:62",
	  "x" },
	{ "Oct 26 23:33:49.827 [INFO] [x] y", OBS_GRAMMAR_G4, "INFO", "", "", "", "[x] y" },
	{ ">> Done!", OBS_GRAMMAR_G5, "", "", "", "", "Done!" },
	{ "run.sh: line 160: 91115 Killed: 9", OBS_GRAMMAR_G6, "", "", "", "", "91115 Killed: 9" },
	{ "wandb:  a", OBS_GRAMMAR_G9, "", "", "", "", " a" },
	{ "2025-03-28 05:21:27,271 INFO    MainThread:12 [wandb_setup.py:_flush():67] x",
	  OBS_GRAMMAR_G10, "INFO", "wandb_setup.py", "", "_flush():67", "x" },
	{ "{\"level\":\"error\",\"a\":{\"b\":[1,2]},\"logger\":\"dht\",\"msg\":\"x \\\"y\\\"\",\"n\":1}",
	  OBS_GRAMMAR_G12, "error", "dht", "", "", "x \\\"y\\\"" },
	{ "{\"level\":\"error\"", OBS_GRAMMAR_NONE, "", "", "", "", "{\"level\":\"error\"" },
	{ "2025/05/05 05:11:19 failed to connect", OBS_GRAMMAR_G12, "", "", "", "",
	  "failed to connect" },
};

static void prefixes_come_apart(void **state)
{
	struct obs_prefix p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const char *line = prefixes[i].line;

		obs_prefix_scan(obs_slice_str(line), &p);
		if (p.grammar != prefixes[i].grammar)
			fail_msg("%s: grammar %d", line, p.grammar);
		check_text(line, p.level, prefixes[i].level);
		check_text(line, p.logger, prefixes[i].logger);
		check_text(line, p.animal, prefixes[i].animal);
		check_text(line, p.where, prefixes[i].where);
		check_text(line, p.text, prefixes[i].text);
	}
}

static const struct {
	const char *name;
	struct obs_slice line;
	bool want;
	const char *rest;
} docker[] = {
	{ "frame", OBS_SLICE("\1\0\0\0\0\0\0\5hello"), true, "hello" },
	{ "frame and time",
	  OBS_SLICE("\2\0\0\0\0\0\0\5"
		    "2025-05-23T16:49:12.290114123Z x"),
	  true, "x" },
	{ "pasted", OBS_SLICE("[rl-swarm] B2025-05-23T16:49:12.290114123Z Traceback"), true,
	  "Traceback" },
	{ "docker logs -t", OBS_SLICE("2025-05-23T16:49:12.290114123Z x"), true, "x" },
	{ "ordinary", OBS_SLICE("[INFO] Using Model: x"), false, "[INFO] Using Model: x" },
};

static void docker_prefixes_go(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(docker); i++) {
		struct obs_slice s = docker[i].line;
		struct obs_text_time t;

		if (obs_docker_strip(&s, &t) != docker[i].want)
			fail_msg("%s: wrong answer", docker[i].name);
		check_text(docker[i].name, s, docker[i].rest);
	}
}

static const struct obs_pattern_row *match(const char *line, struct obs_event *ev,
					   struct obs_match *m)
{
	const struct obs_pattern_row *row;
	struct obs_slice s = obs_slice_str(line);
	struct obs_exception e;
	struct obs_prefix p;

	obs_prefix_scan(s, &p);
	row = obs_pattern_match(&p, obs_message_head(p.text), m, ev);
	if (!row && obs_exception_scan(obs_message_head(p.text), &e))
		row = obs_pattern_match(&p, obs_message_head(e.text), m, ev);
	return row;
}

static void patterns_take_their_examples(void **state)
{
	(void)state;

	for (const struct obs_pattern_row *row = obs_pattern_rows; row->pattern; row++) {
		struct obs_event ev = { 0 };
		struct obs_match m = { 0 };
		const struct obs_pattern_row *got = match(row->example, &ev, &m);

		if (got != row)
			fail_msg("row '%s' does not take '%s' (%s does)", row->pattern,
				 row->example, got ? got->pattern : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grammars_take_their_examples),
		cmocka_unit_test(prefixes_come_apart),
		cmocka_unit_test(docker_prefixes_go),
		cmocka_unit_test(patterns_take_their_examples),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
