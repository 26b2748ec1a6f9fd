// SPDX-License-Identifier: BSD-2-Clause
/*
 * rules.c - see rules.h. One row per way that a version of RL-Swarm starts one
 * of its programs.
 */
#include "observe/rules.h"

#include <fnmatch.h>

#include "util/cleanup.h"

/* How an argument names what is run. */
enum run_by {
	BY_PROGRAM, /* argv[0]'s last path part */
	BY_MODULE,  /* the argument after -m, last dotted part */
	BY_SCRIPT,  /* the first argument that is no option, last path part */
};

static const struct rule {
	enum obs_role role;
	const char *program; /* glob for argv[0]'s last path part */
	enum run_by by;
	const char *name; /* glob */
} rules[] = {
	/* 0.5.2 and later: python -m rgym_exp.runner.swarm_launcher, code_gen_exp.… */
	{ OBS_ROLE_TRAINER, "python*", BY_MODULE, "swarm_launcher" },
	/* 0.1 to 0.4.4: python -m hivemind_exp.gsm8k.train_single_gpu */
	{ OBS_ROLE_TRAINER, "python*", BY_MODULE, "train_single_gpu" },
	/* 0.5.0, 0.5.1: python …/swarm_launcher.py */
	{ OBS_ROLE_TRAINER, "python*", BY_SCRIPT, "swarm_launcher.py" },
	{ OBS_ROLE_TRAINER, "python*", BY_SCRIPT, "train_single_gpu.py" },
	/* hivemind's daemon: …/hivemind/hivemind_cli/p2pd */
	{ OBS_ROLE_P2PD, "p2pd", BY_PROGRAM, "p2pd" },
	{ OBS_ROLE_LAUNCHER, "*sh", BY_SCRIPT, "run_rl_swarm*.sh" },
	{ OBS_ROLE_LAUNCHER, "run_rl_swarm*.sh", BY_PROGRAM, "run_rl_swarm*.sh" },
	/* yarn start -> node …/next start, which calls itself next-server */
	{ OBS_ROLE_LOGIN, "next-server*", BY_PROGRAM, "next-server*" },
	{ OBS_ROLE_LOGIN, "node", BY_SCRIPT, "next" },
	{ OBS_ROLE_LOGIN, "node", BY_SCRIPT, "yarn*" },
	{ OBS_ROLE_LOGIN, "yarn*", BY_PROGRAM, "yarn*" },
	{ OBS_ROLE_EVALUATOR, "ollama", BY_PROGRAM, "ollama" },
	{ OBS_ROLE_SHELL, "*sh", BY_PROGRAM, "*sh" },
};

static const char *const role_names[OBS_ROLE_MAX] = {
	[OBS_ROLE_NONE] = "other",
	[OBS_ROLE_LAUNCHER] = "launcher",
	[OBS_ROLE_TRAINER] = "trainer",
	[OBS_ROLE_P2PD] = "p2pd",
	[OBS_ROLE_DHT] = "dht",
	[OBS_ROLE_WORKER] = "worker",
	[OBS_ROLE_LOGIN] = "login_server",
	[OBS_ROLE_EVALUATOR] = "evaluator",
	[OBS_ROLE_SHELL] = "shell",
};

bool obs_role_makes_node(enum obs_role role)
{
	return role > OBS_ROLE_NONE && role <= OBS_ROLE_P2PD;
}

const char *obs_role_str(enum obs_role role)
{
	return role_names[role];
}

static struct obs_slice next_arg(struct obs_slice *rest)
{
	const char *end = memchr(rest->p, '\0', rest->len);
	size_t len = end ? (size_t)(end - rest->p) : rest->len;
	struct obs_slice arg = obs_slice(rest->p, len);

	len += end ? 1 : 0;
	rest->p += len;
	rest->len -= len;
	return arg;
}

/* What follows the last @sep, as a C string cut to @size. */
static void last_part(struct obs_slice s, char sep, char *out, size_t size)
{
	const char *p = s.len ? memrchr(s.p, sep, s.len) : NULL;
	size_t skip = p ? (size_t)(p - s.p) + 1 : 0, len = s.len - skip;

	if (len >= size)
		len = size - 1;
	memcpy(out, s.p + skip, len);
	out[len] = '\0';
}

struct command {
	char program[64], module[64], script[64];
};

static void take_apart(struct obs_slice args, struct command *c)
{
	struct obs_slice arg;

	last_part(next_arg(&args), '/', c->program, sizeof(c->program));
	if (c->program[0] == '-') /* a login shell */
		memmove(c->program, c->program + 1, strlen(c->program));
	while (args.len > 0) {
		arg = next_arg(&args);
		if (obs_slice_eq(arg, OBS_SLICE("-m"))) {
			if (args.len > 0)
				last_part(next_arg(&args), '.', c->module, sizeof(c->module));
			return;
		}
		if (arg.len > 0 && arg.p[0] != '-') {
			last_part(arg, '/', c->script, sizeof(c->script));
			return;
		}
	}
}

static bool matches(const struct rule *r, const struct command *c)
{
	const char *name = r->by == BY_PROGRAM	? c->program
			   : r->by == BY_MODULE ? c->module
						: c->script;

	return *name && fnmatch(r->program, c->program, 0) == 0 && fnmatch(r->name, name, 0) == 0;
}

enum obs_role obs_role_of(struct obs_slice args)
{
	struct command c = {};

	if (args.len == 0)
		return OBS_ROLE_NONE;
	take_apart(args, &c);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (matches(&rules[i], &c))
			return rules[i].role;
	}
	return OBS_ROLE_NONE;
}

void obs_args_join(struct obs_slice args, char *out, size_t size)
{
	size_t len = args.len < size - 1 ? args.len : size - 1;

	while (len > 0 && args.p[len - 1] == '\0')
		len--;
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)args.p[i];

		out[i] = ch == '\0' ? ' ' : ch < 0x20 || ch == 0x7f ? '?' : (char)ch;
	}
	out[len] = '\0';
}
