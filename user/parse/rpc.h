/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rpc.h - JSON-RPC 2.0 as nodes of the EVM speak it: what is asked, and what came back.
 *
 * Servers differ and some are broken (batches cut, reordered or refused, ids as strings, errors in
 * many shapes), so answers are matched by id and everything else is taken as not answered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/slice.h"

#define OBS_RPC_BATCH_MAX 32

enum obs_rpc_kind {
	OBS_RPC_MISSING, /* no answer, or none that can be read */
	OBS_RPC_RESULT,
	OBS_RPC_REVERTED, /* the contract refused the call, or has no such function */
	OBS_RPC_LIMITED,  /* too many questions */
	OBS_RPC_FAILED,	  /* any other error */
};

struct obs_rpc_answer {
	enum obs_rpc_kind kind;
	struct obs_slice result; /* JSON; borrowed from the text */
	struct obs_slice error;	 /* the server's words, with their escapes; borrowed */
};

/** obs_rpc_put() - one request. @params: the JSON array. */
void obs_rpc_put(struct obs_buf *out, unsigned id, const char *method, struct obs_slice params);

/**
 * obs_rpc_parse() - the answer to @n requests with the ids @first_id, first_id + 1, …
 *
 * Return: 0; -EBADMSG: no JSON-RPC at all; -EOPNOTSUPP: one answer to many requests, an error,
 * which is what servers say that take no batches.
 */
int obs_rpc_parse(struct obs_slice text, unsigned first_id, size_t n, struct obs_rpc_answer *ret);

/* An entry of eth_getLogs. All borrowed; hex as it came. */
struct obs_rpc_log {
	struct obs_slice address, data, tx_hash;
	struct obs_slice topics[4];
	unsigned n_topics;
	uint64_t block, index;
	uint64_t time_s; /* of the block; 0 = not told */
	bool removed;
};

/** obs_rpc_log_parse() - Return: is @entry a log entry? */
bool obs_rpc_log_parse(struct obs_slice entry, struct obs_rpc_log *ret);
