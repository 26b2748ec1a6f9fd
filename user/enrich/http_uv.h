/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_uv.h - HTTP GET on the event loop: libcurl's multi interface driven by libuv.
 *
 * Never blocks and starts no thread. Bodies are bounded. Every callback is
 * called from the loop, outside of libcurl, so callbacks may start, cancel and
 * free whatever they like. Not thread-safe: one loop, one thread.
 */
#pragma once

#include <stddef.h>
#include <uv.h>

#include "util/slice.h"

struct obs_http;
struct obs_http_call;

struct obs_http_request {
	const char *url;	 /* borrowed for the call */
	const char *unix_socket; /* path, borrowed for the call; NULL = TCP */
	unsigned timeout_ms;	 /* for all of it; 0 = none */
	unsigned connect_timeout_ms;
	/* Of the whole body, or, with @on_data, of what may wait to be taken. */
	size_t max_body_bytes;

	/* The answer's headers are complete. May be NULL. */
	void (*on_open)(void *ctx, long status);
	/* Body bytes as they come, borrowed; NULL = the body is collected for @on_done. */
	void (*on_data)(void *ctx, struct obs_slice data);
	/* Exactly once, unless cancelled; the call is gone after it. @err: 0 (any HTTP status),
	 * -ECONNREFUSED (nobody there), -ETIMEDOUT, -EMSGSIZE (body too large),
	 * -ECONNRESET, -EPROTO. @body is borrowed. */
	void (*on_done)(void *ctx, int err, long status, struct obs_slice body);
	void *ctx;
};

/** obs_http_open() - make a client on @loop. Return: 0, -ENOMEM. */
int obs_http_open(uv_loop_t *loop, struct obs_http **ret);

/**
 * obs_http_get() - start a GET; calls back later, never from inside this call.
 * @ret: the call, for obs_http_cancel(); valid until @on_done begins
 *
 * Return: 0, -ENOMEM, -EINVAL (unusable URL or socket path).
 */
int obs_http_get(struct obs_http *h, const struct obs_http_request *req,
		 struct obs_http_call **ret);

/** obs_http_cancel() - drop a call without calling back, and set *@call to NULL. */
void obs_http_cancel(struct obs_http_call **call);

/** obs_http_free() - drop all calls without calling back; the loop must run once more for
 * the handles to close. */
void obs_http_free(struct obs_http **h);
