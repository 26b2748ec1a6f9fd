// SPDX-License-Identifier: BSD-2-Clause
/*
 * docker.c - asking a Docker-compatible engine about containers.
 *
 * A question is one GET /containers/ID/json, tried again until its deadline:
 * dockerd holds the container's lock while it starts it, and just then the
 * observer, which has already seen the first exec, wants to know the name.
 * The event stream is one endless GET /events; after a break it is asked for
 * what happened since, so that nothing is missed unless the engine restarted.
 */
#include "enrich/container.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include <sys/queue.h>

#include "enrich/http_uv.h"
#include "enrich/inspect.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define MAX_ASKS	      1024
#define NOT_FOUND_TRIES	      3
#define RETRY_MIN_MS	      50
#define RETRY_MAX_MS	      400
#define RECONNECT_MIN_MS      250
#define RECONNECT_MAX_MS      5000
#define CONNECT_TIMEOUT_MS    2000
#define CHANGE_TIMEOUT_MS     5000
#define EVENT_LINE_MAX_BYTES  (64 * 1024)
#define EVENT_CHUNK_MAX_BYTES (1024 * 1024)

/* {"type":["container"],"event":["start","die","rename","pause","unpause","destroy",
 * "health_status"]} */
#define EVENT_FILTER                                                              \
	"%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C" \
	"%22die%22%2C%22rename%22%2C%22pause%22%2C%22unpause%22%2C%22destroy%22"  \
	"%2C%22health_status%22%5D%7D"

LIST_HEAD(ask_list, ask);

struct obs_containers {
	uv_loop_t *loop; /* borrowed */
	struct obs_http *http;
	char *socket_path;
	struct obs_counters *counters; /* borrowed */
	obs_container_fn on_change;
	void *ctx;
	struct ask_list asks;
	size_t n_asks;
	bool ok;
	bool closing; /* no more questions */

	struct obs_http_call *stream;
	bool stream_ok;	     /* it answered 200: what comes are events */
	struct obs_buf line; /* an event that has not ended yet */
	bool skip_line;	     /* ... and is too long */
	uv_timer_t reconnect;
	unsigned reconnect_ms;
	int64_t since_ns; /* ask for events after this; 0 = from now on */
};

struct ask {
	LIST_ENTRY(ask) entry;
	struct obs_containers *c; /* borrowed */
	char id[OBS_CONTAINER_ID_LEN + 1];
	obs_container_fn done;
	void *ctx;
	uv_timer_t timer; /* the deadline, or the next try */
	uint64_t deadline_ms;
	struct obs_http_call *call;
	unsigned tries;
	int last_err;	/* of the last try that failed; 0 = none has */
	bool is_change; /* asked because of an event */
	bool again;	/* another event came meanwhile */
};

static void free_ask(uv_handle_t *handle)
{
	free(handle->data);
}

static int start_ask(struct obs_containers *c, const char *id, unsigned timeout_ms, bool is_change,
		     obs_container_fn done, void *ctx);

/* The ask is gone for everyone but the closing timer before anybody is told. */
static void finish(struct ask *a, int err, const struct obs_container_info *info)
{
	struct obs_containers *c = a->c;

	LIST_REMOVE(a, entry);
	c->n_asks--;
	obs_http_cancel(&a->call);
	uv_close((uv_handle_t *)&a->timer, free_ask);
	if (err < 0 && err != -ENOENT && err != -ECANCELED)
		obs_count(&c->counters->engine_errors, 1);

	if (err == 0 && a->again &&
	    start_ask(c, a->id, CHANGE_TIMEOUT_MS, true, a->done, a->ctx) == 0)
		return;
	a->done(a->ctx, a->id, err, info);
}

static void on_ask_timer(uv_timer_t *timer);

static void try_later(struct ask *a, int err)
{
	uint64_t now = uv_now(a->c->loop);
	uint64_t delay = (uint64_t)RETRY_MIN_MS << (a->tries < 8 ? a->tries - 1 : 7);

	a->last_err = err;
	if (delay > RETRY_MAX_MS)
		delay = RETRY_MAX_MS;
	if (now + delay >= a->deadline_ms)
		finish(a, err, NULL);
	else
		uv_timer_start(&a->timer, on_ask_timer, delay, 0);
}

static void take_answer(struct ask *a, struct obs_slice body)
{
	OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
	int r = obs_inspect_parse(body, a->id, &in);

	finish(a, r == -ENOMEM ? -EPROTO : r, r == 0 ? &in.info : NULL);
}

/* A refused connection is final: there is no engine, and waiting would hold up
 * the node's identification. Everything else may pass. */
static void on_inspected(void *ctx, int err, long status, struct obs_slice body)
{
	struct ask *a = ctx;

	a->call = NULL;
	a->tries++;
	a->c->ok = err == 0;
	if (err == 0 && status == 200)
		take_answer(a, body);
	else if (err == -ECONNREFUSED || err == -ETIMEDOUT)
		finish(a, err, NULL);
	else if (err == -EMSGSIZE)
		finish(a, -EPROTO, NULL);
	else if (err == 0 && status == 404 && a->tries >= NOT_FOUND_TRIES)
		finish(a, -ENOENT, NULL);
	else
		try_later(a, err == 0 && status == 404 ? -ENOENT : -EPROTO);
}

/* The timer stands for the deadline from here until the answer. */
static int start_try(struct ask *a)
{
	uint64_t now = uv_now(a->c->loop);
	char url[sizeof("http://localhost/containers//json") + OBS_CONTAINER_ID_LEN];
	const struct obs_http_request req = {
		.url = url,
		.unix_socket = a->c->socket_path,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_body_bytes = OBS_INSPECT_MAX_BYTES,
		.on_done = on_inspected,
		.ctx = a,
	};

	snprintf(url, sizeof(url), "http://localhost/containers/%s/json", a->id);
	uv_timer_start(&a->timer, on_ask_timer, a->deadline_ms > now ? a->deadline_ms - now : 0, 0);
	return obs_http_get(a->c->http, &req, &a->call);
}

static void on_ask_timer(uv_timer_t *timer)
{
	struct ask *a = timer->data;
	int r;

	if (a->call) {
		a->c->ok = false;
		finish(a, a->last_err ? a->last_err : -ETIMEDOUT, NULL);
		return;
	}
	r = start_try(a);
	if (r < 0)
		finish(a, -EPROTO, NULL);
}

static int start_ask(struct obs_containers *c, const char *id, unsigned timeout_ms, bool is_change,
		     obs_container_fn done, void *ctx)
{
	struct ask *a;
	int r;

	if (c->closing)
		return -ECANCELED;
	if (!obs_container_id_ok(id))
		return -EINVAL;
	if (c->n_asks >= MAX_ASKS)
		return -EAGAIN;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;

	*a = (struct ask){ .c = c, .done = done, .ctx = ctx, .is_change = is_change };
	memcpy(a->id, id, sizeof(a->id));
	uv_update_time(c->loop);
	a->deadline_ms = uv_now(c->loop) + timeout_ms;
	uv_timer_init(c->loop, &a->timer);
	a->timer.data = a;
	r = start_try(a);
	if (r < 0) {
		uv_close((uv_handle_t *)&a->timer, free_ask);
		return r;
	}
	LIST_INSERT_HEAD(&c->asks, a, entry);
	c->n_asks++;
	return 0;
}

int obs_containers_ask(struct obs_containers *c, const char *id, unsigned timeout_ms,
		       obs_container_fn done, void *ctx)
{
	return start_ask(c, id, timeout_ms, false, done, ctx);
}

static struct ask *find_change(struct obs_containers *c, const char *id)
{
	struct ask *a;

	LIST_FOREACH (a, &c->asks, entry)
		if (a->is_change && strcmp(a->id, id) == 0)
			return a;
	return NULL;
}

/* An answer under way may be older than the event: it is asked again, once. */
static void take_event(struct obs_containers *c, const struct obs_engine_event *ev)
{
	struct ask *a = find_change(c, ev->id);

	if (ev->time_ns)
		c->since_ns = ev->time_ns;
	if (a && ev->destroyed)
		finish(a, -ENOENT, NULL);
	else if (a)
		a->again = true;
	else if (ev->destroyed)
		c->on_change(c->ctx, ev->id, -ENOENT, NULL);
	else if (start_ask(c, ev->id, CHANGE_TIMEOUT_MS, true, c->on_change, c->ctx) < 0)
		obs_count(&c->counters->engine_errors, 1);
}

static void take_line(struct obs_containers *c, struct obs_slice line)
{
	struct obs_engine_event ev;
	int r;

	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	if (!line.len)
		return;

	r = obs_engine_event_parse(line, &ev);
	if (r == 0)
		take_event(c, &ev);
	else if (r != -ENOENT)
		obs_count(&c->counters->engine_errors, 1);
}

/* Keep a part of a line; an overlong one is dropped whole, and counted once. */
static void keep_part(struct obs_containers *c, struct obs_slice part)
{
	if (c->skip_line || obs_buf_push(&c->line, part.p, part.len) == 0)
		return;

	obs_count(&c->counters->engine_errors, 1);
	obs_buf_reset(&c->line);
	c->skip_line = true;
}

/* on_change may free us: the stream's call is then gone, and so is the data. */
static void on_stream_data(void *ctx, struct obs_slice data)
{
	struct obs_containers *c = ctx;
	const char *nl;

	if (!c->stream_ok)
		return;

	while (c->stream && (nl = memchr(data.p, '\n', data.len))) {
		struct obs_buf line;

		keep_part(c, obs_slice(data.p, (size_t)(nl - data.p)));
		data = obs_slice(nl + 1, data.len - (size_t)(nl + 1 - data.p));
		line = c->line;
		c->line = (struct obs_buf){ .max_bytes = EVENT_LINE_MAX_BYTES };
		c->skip_line = false;
		take_line(c, obs_buf_slice(&line));
		obs_buf_free(&line);
	}
	if (c->stream && data.len)
		keep_part(c, data);
}

static int64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void on_stream_open(void *ctx, long status)
{
	struct obs_containers *c = ctx;

	c->ok = true;
	c->stream_ok = status == 200;
	if (!c->stream_ok)
		return;

	c->reconnect_ms = RECONNECT_MIN_MS;
	if (!c->since_ns)
		c->since_ns = wall_ns();
}

static void on_reconnect(uv_timer_t *timer);

static void reconnect_later(struct obs_containers *c)
{
	uv_timer_start(&c->reconnect, on_reconnect, c->reconnect_ms, 0);
	c->reconnect_ms *= 2;
	if (c->reconnect_ms > RECONNECT_MAX_MS)
		c->reconnect_ms = RECONNECT_MAX_MS;
}

static void on_stream_done(void *ctx, int err, long status, struct obs_slice body)
{
	struct obs_containers *c = ctx;

	(void)status;
	(void)body;
	c->stream = NULL;
	c->stream_ok = false;
	c->ok = c->ok && err == 0;
	c->skip_line = false;
	obs_buf_reset(&c->line);
	reconnect_later(c);
}

static int open_stream(struct obs_containers *c)
{
	char url[sizeof(EVENT_FILTER) + 96] = "http://localhost/events?filters=" EVENT_FILTER;
	size_t len = strlen(url);
	const struct obs_http_request req = {
		.url = url,
		.unix_socket = c->socket_path,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_body_bytes = EVENT_CHUNK_MAX_BYTES,
		.on_open = on_stream_open,
		.on_data = on_stream_data,
		.on_done = on_stream_done,
		.ctx = c,
	};

	if (c->since_ns)
		snprintf(url + len, sizeof(url) - len, "&since=%" PRId64 ".%09" PRId64,
			 c->since_ns / 1000000000, c->since_ns % 1000000000);
	return obs_http_get(c->http, &req, &c->stream);
}

static void on_reconnect(uv_timer_t *timer)
{
	struct obs_containers *c = timer->data;

	if (open_stream(c) < 0)
		reconnect_later(c);
}

static void free_containers(uv_handle_t *handle)
{
	struct obs_containers *c = handle->data;

	free(c->socket_path);
	free(c);
}

int obs_containers_open(uv_loop_t *loop, const char *socket_path, struct obs_counters *counters,
			obs_container_fn on_change, void *ctx, struct obs_containers **ret)
{
	cleanup_free struct obs_containers *c = calloc(1, sizeof(*c));
	cleanup_free char *path = strdup(socket_path);
	int r;

	if (!c || !path)
		return -ENOMEM;

	*c = (struct obs_containers){
		.loop = loop,
		.counters = counters,
		.on_change = on_change,
		.ctx = ctx,
		.line = { .max_bytes = EVENT_LINE_MAX_BYTES },
		.reconnect_ms = RECONNECT_MIN_MS,
	};
	r = obs_http_open(loop, &c->http);
	if (r < 0)
		return r;

	c->socket_path = TAKE_PTR(path);
	c->reconnect.data = c;
	uv_timer_init(loop, &c->reconnect);
	uv_timer_start(&c->reconnect, on_reconnect, 0, 0);
	*ret = TAKE_PTR(c);
	return 0;
}

bool obs_containers_ok(const struct obs_containers *c)
{
	return c->ok;
}

/* Its memory lives until the timer is closed, so a callback that frees us is
 * safe. */
void obs_containers_free(struct obs_containers **c)
{
	struct obs_containers *gone = TAKE_PTR(*c);

	if (!gone)
		return;

	gone->closing = true;
	obs_http_cancel(&gone->stream);
	while (!LIST_EMPTY(&gone->asks))
		finish(LIST_FIRST(&gone->asks), -ECANCELED, NULL);
	obs_buf_free(&gone->line);
	obs_http_free(&gone->http);
	uv_close((uv_handle_t *)&gone->reconnect, free_containers);
}
