/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.h - the observer's HTTP server: /health, /metrics and a page that lists them.
 *
 * libmicrohttpd driven from the libuv loop: its epoll descriptor stands in a
 * uv_poll, its timeouts in a uv_timer; no threads. It only reads the model.
 * At most 32 connections, 16 KiB of request head and 10 s of silence each.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "model/model.h"
#include "util/buf.h"

struct obs_server;

/**
 * obs_server_start() - listen and answer.
 * @loop:    borrowed; must outlive the server
 * @listen:  "127.0.0.1:8080", "[::1]:8080", ":8080", "localhost:8080"; port 0: any free one
 * @refresh: called before each answer, with @ctx, on the loop's thread; what it returns is
 *           read before the loop goes on
 * @err:     on failure, gets one line that says why and what to do, without a newline
 * @ret:     on success, owned by the caller
 *
 * Return: 0, -EINVAL for a bad address or an unknown host, -EADDRINUSE (@err names the
 * process that has the port), -EACCES, -ENOMEM, or a negative errno.
 */
int obs_server_start(uv_loop_t *loop, const char *listen, obs_model_refresh_fn refresh, void *ctx,
		     struct obs_buf *err, struct obs_server **ret);

/** obs_server_address() - "127.0.0.1:8080", with the port that it really has. Borrowed. */
const char *obs_server_address(const struct obs_server *s);

/**
 * obs_server_free() - close all connections, set *@s to NULL. The memory goes when the
 * loop has run its close callbacks: run the loop once more before closing it.
 */
void obs_server_free(struct obs_server **s);

/**
 * obs_health_format() - append the JSON of /health.
 * @now_ns: CLOCK_REALTIME
 *
 * Return: the HTTP status: 200, or 503 when nothing can be observed; 500 without memory.
 */
unsigned obs_health_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);

/** obs_peers_format() - append the JSON of /api/v1/peers. Return: 200, or 500 without memory. */
unsigned obs_peers_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);

/** obs_metrics_format() - append the text of /metrics. Return: 200, or 500 without memory. */
unsigned obs_metrics_format(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);
