/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.h - what the running daemon says, asked over its HTTP server; for the commands that show it.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "util/buf.h"

/* Whom to ask. */
struct obs_ask {
	const char *command; /* who asks, for the messages */
	const char *config;  /* the daemon's settings, for server.listen; NULL = as for run */
	bool quiet;	     /* say nothing on standard error */
	const char *url;     /* "http://HOST:PORT" instead; NULL = by the settings */
};

/**
 * obs_ask() - GET a path of the daemon.
 * @path: "/api/v1/nodes"
 * @out:  the answer is appended
 *
 * Return: OBS_EXIT_OK; else the exit status to end with, and standard error says why.
 */
int obs_ask(const struct obs_ask *ask, const char *path, struct obs_buf *out);

/**
 * obs_ask_parse() - an answer as a tree. Names and log text in it are other people's words: control
 * characters, and those that turn the direction of text, are replaced by '?'.
 *
 * Return: owned by the caller, or NULL.
 */
cJSON *obs_ask_parse(struct obs_buf *answer);

/** obs_ask_text() - a text of an answer's object; "" when there is none. Borrowed. */
const char *obs_ask_text(const cJSON *o, const char *key);

/** obs_ask_number() - a number; those beyond 2^53 come as text. 0 when there is none. */
double obs_ask_number(const cJSON *o, const char *key);

void obs_ask_free_tree(cJSON **tree);

#define cleanup_cjson __attribute__((cleanup(obs_ask_free_tree)))
