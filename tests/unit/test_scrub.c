// SPDX-License-Identifier: BSD-2-Clause
/* test_scrub.c - what is taken out, and that no number is damaged. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/scrub.h"

static const char *const host[] = { "192.0.2.7" };

static struct obs_scrub *scrubber(enum obs_scrub_level level)
{
	struct obs_scrub_options o = { .level = level,
				       .host_addresses = host,
				       .n_host_addresses = 1 };
	struct obs_scrub *s = NULL;

	assert_int_equal(obs_scrub_new(&o, NULL, &s), 0);
	return s;
}

static void rules_do_what_their_examples_say(void **state)
{
	cleanup_scrub struct obs_scrub *s = scrubber(OBS_SCRUB_STRICT);

	(void)state;
	for (size_t i = 0; obs_scrub_rules[i].name; i++) {
		const struct obs_scrub_rule *r = &obs_scrub_rules[i];

		check_text(r->name, obs_scrub_text(s, obs_slice_str(r->example)), r->scrubbed);
		if (!obs_scrub_count(s, i))
			fail_msg("%s: not counted", r->name);
	}
}

static void levels_are_kept(void **state)
{
	cleanup_scrub struct obs_scrub *off = scrubber(OBS_SCRUB_OFF);
	cleanup_scrub struct obs_scrub *standard = scrubber(OBS_SCRUB_STANDARD);

	(void)state;
	for (const struct obs_scrub_rule *r = obs_scrub_rules; r->name; r++) {
		check_text(r->name, obs_scrub_text(off, obs_slice_str(r->example)), r->example);
		check_text(r->name, obs_scrub_text(standard, obs_slice_str(r->example)),
			   r->level == OBS_SCRUB_STRICT ? r->example : r->scrubbed);
	}
}

/* Lines that must come through the strictest level as they are. */
static const char *const untouched[] = {
	"{'loss': 0.0, 'reward': 0.1234567890123456, 'num_tokens': 123456.0, 'kl': 0.008271162994788028}",
	"Unsloth 2025.3.19 patched 24 layers; yarn install v1.22.22; next@14.2.4",
	"/ip4/38.101.215.15/tcp/30021/p2p/QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ",
	"0xFaD7C5e93f28257429569B854151A1B8DCD404c2",
	"Sent transaction with hash: 0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	"task_memcg=/user.slice/user-21417.slice/user@21417.service,task=perl,pid=1440763",
	"--hf_token \"$HUGGINGFACE_ACCESS_TOKEN\" --identity_path \"$IDENTITY_PATH\"",
	"SyntaxError: Unexpected token: } in JSON",
	"total_tokens=4096 tokens: 12 max_new_tokens=512",
	"RuntimeError: An error occurred while downloading using `hf_transfer`",
	"Popen(['git', 'cat-file', '--batch-check'], cwd=/opt/rl-swarm, stdin=<valid stream>)",
	"https://gensyn-testnet.g.alchemy.com/v2/ and https://huggingface.co:443",
	"2025-10-26 23:30:27,842 1e-07 4.965903258506806e-07 12:34:56",
	"@ : = - -- _ hf_ eyJ /home/ /v2/ Bearer  0x ://@ ?key= \"token\":",
};

static void public_things_and_numbers_stay(void **state)
{
	cleanup_scrub struct obs_scrub *s = scrubber(OBS_SCRUB_STRICT);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(untouched); i++)
		check_text("untouched", obs_scrub_text(s, obs_slice_str(untouched[i])),
			   untouched[i]);
}

static const struct {
	const char *in, *want;
} more[] = {
	{ "a@b.co, c@d.org", "[EMAIL], [EMAIL]" },
	{ "\"orgId\": \"abcdef\"", "\"orgId\": \"[SECRET]\"" },
	{ "api_key: abcdef", "api_key: [SECRET]" },
	{ "password=123456", "password=[SECRET]" },
	{ "--hf_token=hf_AbCdEfGhIjKlMnOpQrStUvWxYz01", "--hf_token=[SECRET]" },
	{ "x sk-AbCdEfGhIjKlMnOpQrStUvWx y AKIAIOSFODNN7EXAMPLE z", "x [TOKEN] y [TOKEN] z" },
	{ "00000000-0000-0000-0000-000000000000", "[ID]" },
	{ "/Users/bob/x /home/al", "/Users/[USER]/x /home/[USER]" },
	{ "192.0.2.7:80 192.0.2.70 10.0.0.1", "[HOST]:80 192.0.2.70 10.0.0.1" },
	{ "-----BEGIN PRIVATE KEY-----\nMII", "[PRIVATE_KEY]" },
};

static void several_and_odd_forms_go(void **state)
{
	cleanup_scrub struct obs_scrub *s = scrubber(OBS_SCRUB_STRICT);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		check_text(more[i].in, obs_scrub_text(s, obs_slice_str(more[i].in)), more[i].want);
}

static void user_rules_work_and_are_checked(void **state)
{
	const struct obs_scrub_user_rule rules[] = { { "badge", "B-[0-9]+" }, { "x", "x*" } };
	const struct obs_scrub_user_rule bad = { "b", "(" }, slow = { "s", "(a+)+$" };
	struct obs_scrub_options o = { .level = OBS_SCRUB_STANDARD, .rules = rules, .n_rules = 2 };
	cleanup_scrub struct obs_scrub *s = NULL, *t = NULL;
	cleanup_buf struct obs_buf message = { 0 };

	(void)state;
	assert_int_equal(obs_scrub_new(&o, &message, &s), 0);
	check_text("rule", obs_scrub_text(s, OBS_SLICE("a B-12 xx B-3")), "a [BADGE] [X] [BADGE]");
	o.rules = &bad;
	o.n_rules = 1;
	assert_int_equal(obs_scrub_new(&o, &message, &t), -EINVAL);
	assert_non_null(strstr(obs_buf_cstr(&message), "'b'"));
	o.rules = &slow;
	assert_int_equal(obs_scrub_new(&o, NULL, &t), 0);
	check_text("limit",
		   obs_scrub_text(t, OBS_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")),
		   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
}

static void all_texts_of_an_event_are_scrubbed(void **state)
{
	cleanup_scrub struct obs_scrub *s = scrubber(OBS_SCRUB_STANDARD);
	const struct obs_slice list[] = { OBS_SLICE("a@b.co"), OBS_SLICE("plain") };
	struct obs_event ev = { .message = OBS_SLICE("m a@b.co"), .origin.path = OBS_SLICE("/p") };

	(void)state;
	obs_event_add_str(&ev, "traceback", OBS_SLICE("t a@b.co"));
	obs_event_add_list(&ev, "peers", list, 2);
	obs_event_add_list(&ev, "more", list, 2);
	obs_event_add_uint(&ev, "n", 7);
	obs_scrub_event(s, &ev);
	check_text("message", ev.message, "m [EMAIL]");
	check_text("field", ev.fields[0].str, "t [EMAIL]");
	check_text("list", ev.fields[1].list.v[0], "[EMAIL]");
	check_text("list", ev.fields[1].list.v[1], "plain");
	check_text("list", ev.fields[2].list.v[0], "[EMAIL]");
	assert_int_equal(ev.fields[3].u, 7);
	check_text("path", ev.origin.path, "/p");
}

/* Every number of the corpus's metric lines comes through the strictest level. */
static void no_metric_is_damaged(void **state)
{
	cleanup_scrub struct obs_scrub *s = scrubber(OBS_SCRUB_STRICT);
	cleanup_fclose FILE *f = fopen("tests/data/loglines.tsv", "re");
	cleanup_free char *line = NULL;
	size_t cap = 0, seen = 0;

	(void)state;
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0) {
		const char *text = strrchr(line, '\t') + 1;

		if (*text != '{' && strncmp(text, "  t", 3) != 0 && !strstr(text, "train/"))
			continue;
		check_text("metric", obs_scrub_text(s, obs_slice_str(text)), text);
		seen++;
	}
	assert_true(seen >= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_do_what_their_examples_say),
		cmocka_unit_test(levels_are_kept),
		cmocka_unit_test(public_things_and_numbers_stay),
		cmocka_unit_test(several_and_odd_forms_go),
		cmocka_unit_test(user_rules_work_and_are_checked),
		cmocka_unit_test(all_texts_of_an_event_are_scrubbed),
		cmocka_unit_test(no_metric_is_damaged),
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
