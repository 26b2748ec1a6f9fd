/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain_http.h - questions of JSON-RPC over HTTP, many in one request where the server takes
 * that. Belongs to the thread of collect/chain.c.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parse/rpc.h"
#include "util/buf.h"
#include "util/counters.h"

struct obs_chain_http;

/* One question, and who gets its answer. */
struct obs_chain_question {
	const char *method;    /* static */
	struct obs_buf params; /* a JSON array; owned by whoever asks */
	void (*take)(void *ctx, size_t arg, const struct obs_rpc_answer *answer);
	size_t arg;
};

struct obs_chain_failure {
	char text[160];
	bool limited;		 /* asked too often, or the quota is spent */
	uint64_t retry_after_ms; /* 0 = not told */
};

/**
 * obs_chain_http_new() - @stop: when it is set, what is under way is broken off; borrowed.
 *
 * Return: 0, -EINVAL for a URL that is not http or https, -ENOMEM.
 */
int obs_chain_http_new(const char *url, uint64_t timeout_ms, const atomic_bool *stop,
		       struct obs_counters *counters, struct obs_chain_http **ret);
void obs_chain_http_free(struct obs_chain_http **h);

/** obs_chain_http_where() - scheme, host and port. Borrowed. */
const char *obs_chain_http_where(const struct obs_chain_http *h);

/**
 * obs_chain_http_ask() - ask @n questions, in as few requests as the server allows.
 * @ctx: handed to each take(), which is called for every question that the server has reacted to
 * @ret: written on failure
 *
 * Return: 0 (single questions may have failed), or -EIO: @ret says why; -ECANCELED: stopped.
 */
int obs_chain_http_ask(struct obs_chain_http *h, const struct obs_chain_question *questions,
		       size_t n, void *ctx, struct obs_chain_failure *ret);

/** obs_chain_http_wait() - sleep, until woken or stopped. */
void obs_chain_http_wait(struct obs_chain_http *h, uint64_t ms);

/** obs_chain_http_wake() - end a wait early. Any thread. */
void obs_chain_http_wake(struct obs_chain_http *h);
