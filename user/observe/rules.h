/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rules.h - does a command line look like part of a node?
 */
#pragma once

#include <stdbool.h>

#include "util/slice.h"

enum obs_role {
	OBS_ROLE_NONE = 0,
	OBS_ROLE_LAUNCHER, /* run_rl_swarm.sh */
	OBS_ROLE_TRAINER,
	OBS_ROLE_P2PD,
	/* those below make no node of what runs them, they have a role inside of one */
	OBS_ROLE_DHT,	    /* the trainer's fork that started p2pd (hivemind.DHT, "DHT-1") */
	OBS_ROLE_WORKER,    /* any other fork of the trainer */
	OBS_ROLE_LOGIN,	    /* the login server: yarn, next-server */
	OBS_ROLE_EVALUATOR, /* ollama */
	OBS_ROLE_SHELL,	    /* a shell that is not the launcher */
	OBS_ROLE_MAX,
};

/**
 * obs_role_of() - the role that a command line plays in a node.
 * @args: argv, each argument NUL-terminated (the last may be cut); untrusted
 *
 * Looks at the program and at the script or module it runs, not at other arguments, so that
 * `grep swarm_launcher` or an editor on run_rl_swarm.sh is no node.
 */
enum obs_role obs_role_of(struct obs_slice args);

/** obs_role_makes_node() - is whatever runs a process of this role a node? */
bool obs_role_makes_node(enum obs_role role);

/** obs_role_str() - "trainer", "p2pd", …; "other" for OBS_ROLE_NONE. */
const char *obs_role_str(enum obs_role role);

/** obs_args_join() - argv with spaces between, NUL-terminated, cut to @size; controls become '?'. */
void obs_args_join(struct obs_slice args, char *out, size_t size);
