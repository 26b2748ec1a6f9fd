// SPDX-License-Identifier: BSD-2-Clause
/* test_rules.c - which command lines are nodes, which files are logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observe/rules.h"
#include "stream/rules.h"
#include "util/cleanup.h"

#define ARGS(text)                 \
	{                          \
		text, sizeof(text) \
	}

static const struct {
	struct obs_slice args;
	enum obs_role want;
} commands[] = {
	{ ARGS("python\0-m\0rgym_exp.runner.swarm_launcher\0--config-path\0/x"), OBS_ROLE_TRAINER },
	{ ARGS("python3.11\0-m\0code_gen_exp.runner.swarm_launcher"), OBS_ROLE_TRAINER },
	{ ARGS("/usr/bin/python\0-u\0-m\0hivemind_exp.gsm8k.train_single_gpu\0--hf_token\0x"),
	  OBS_ROLE_TRAINER },
	{ ARGS("python\0/root/rl/genrl-swarm/src/genrl_swarm/runner/swarm_launcher.py"),
	  OBS_ROLE_TRAINER },
	{ ARGS("/opt/venv/lib/python3.11/site-packages/hivemind/hivemind_cli/p2pd\0-b=1"),
	  OBS_ROLE_P2PD },
	{ ARGS("p2pd"), OBS_ROLE_P2PD },
	{ ARGS("bash\0./run_rl_swarm.sh"), OBS_ROLE_LAUNCHER },
	{ ARGS("-bash\0run_rl_swarm.sh"), OBS_ROLE_LAUNCHER },
	{ ARGS("./run_rl_swarm.sh"), OBS_ROLE_LAUNCHER },
	/* what only talks about a node is none */
	{ ARGS("grep\0swarm_launcher\0notes.txt"), OBS_ROLE_NONE },
	{ ARGS("vim\0run_rl_swarm.sh"), OBS_ROLE_NONE },
	{ ARGS("python\0-m\0pip\0install\0swarm_launcher"), OBS_ROLE_NONE },
	{ ARGS("python\0-c\0import swarm_launcher"), OBS_ROLE_NONE },
	{ ARGS("python\0tool.py\0swarm_launcher.py"), OBS_ROLE_NONE },
	{ ARGS("bash\0-c\0echo run_rl_swarm.sh"), OBS_ROLE_SHELL },
	/* what has a role only inside of a node */
	{ ARGS("next-server (v14.2.4)"), OBS_ROLE_LOGIN },
	{ ARGS("node\0/app/modal-login/node_modules/.bin/next\0start"), OBS_ROLE_LOGIN },
	{ ARGS("node\0/usr/share/nodejs/yarn/bin/yarn.js\0start"), OBS_ROLE_LOGIN },
	{ ARGS("node\0server.js"), OBS_ROLE_NONE },
	{ ARGS("/usr/local/bin/ollama\0serve"), OBS_ROLE_EVALUATOR },
	{ ARGS("/bin/sh"), OBS_ROLE_SHELL },
	{ ARGS("python\0-m"), OBS_ROLE_NONE },
	{ { "", 0 }, OBS_ROLE_NONE },
	{ { "\0\0\0", 3 }, OBS_ROLE_NONE },
	{ { "p2pd", 4 }, OBS_ROLE_P2PD }, /* cut: no NUL */
};

static void a_command_plays_its_role(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (obs_role_of(commands[i].args) != commands[i].want)
			fail_msg("row %zu: %s", i, commands[i].args.p);
	}
}

static void only_a_node_makes_a_node(void **state)
{
	(void)state;
	for (int role = 0; role < OBS_ROLE_MAX; role++) {
		bool want = role == OBS_ROLE_LAUNCHER || role == OBS_ROLE_TRAINER ||
			    role == OBS_ROLE_P2PD;

		assert_int_equal(obs_role_makes_node(role), want);
		assert_non_null(obs_role_str(role));
	}
	assert_string_equal(obs_role_str(OBS_ROLE_LOGIN), "login_server");
}

static void arguments_are_joined_within_bounds(void **state)
{
	char out[12];

	(void)state;
	obs_args_join((struct obs_slice)ARGS("a\0b\nc\0"), out, sizeof(out));
	assert_string_equal(out, "a b?c");
	obs_args_join((struct obs_slice)ARGS("0123456789abcdef"), out, sizeof(out));
	assert_string_equal(out, "0123456789a");
	obs_args_join(obs_slice("", 0), out, sizeof(out));
	assert_string_equal(out, "");
}

static const struct {
	const char *path;
	bool is_output;
	bool want;
} files[] = {
	{ "/home/gensyn/rl_swarm/logs/swarm_launcher.log", false, true },
	{ "/x/logs/wandb/run-1/logs/debug.log", false, true },
	{ "/x/logs/wandb/run-1/logs/debug-internal.log", false, true },
	{ "/x/logs/wandb/offline-run-1/run-1.wandb", false, false },
	{ "/x/logs/wandb/run-1/files/output.log", false, false },
	{ "/root/nohup.out", true, true },
	{ "/root/nohup.out", false, false },
	{ "/root/state.db", true, false },
	{ "/root/model.safetensors", false, false },
	{ "/root/notes.txt", false, false },
	{ "", false, false },
};

static void a_file_is_a_log_by_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (obs_stream_wanted(files[i].path, files[i].is_output, NULL) != files[i].want)
			fail_msg("%s", files[i].path);
	}
}

static void configured_files_override_the_table(void **state)
{
	char *globs[] = { "/data/*.txt", "state.db", "logs/*.out" };
	struct obs_strv log_files = { globs, ARRAY_LEN(globs) };

	(void)state;
	assert_true(obs_stream_wanted("/data/a.txt", false, &log_files));
	assert_true(obs_stream_wanted("/root/state.db", false, &log_files));
	assert_false(obs_stream_wanted("/root/other.txt", false, &log_files));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_plays_its_role),
		cmocka_unit_test(only_a_node_makes_a_node),
		cmocka_unit_test(arguments_are_joined_within_bounds),
		cmocka_unit_test(a_file_is_a_log_by_the_table),
		cmocka_unit_test(configured_files_override_the_table),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
