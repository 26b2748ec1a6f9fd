// SPDX-License-Identifier: BSD-2-Clause
/*
 * http_uv.c - libcurl's multi interface driven by libuv.
 *
 * libcurl says which sockets to watch and when to wake it; libuv does both.
 * What libcurl delivers is kept in the call and handed on after libcurl has
 * returned (dispatch()), because libcurl forbids most of its functions inside
 * its callbacks. A call that ends while dispatch() walks the list is marked
 * dead and swept at the end, so the walk never steps on freed memory.
 */
#include "enrich/http_uv.h"

#include <errno.h>

#include <curl/curl.h>
#include <sys/queue.h>

#include "util/buf.h"
#include "util/cleanup.h"

/* An engine that hangs must not pile up sockets: further calls wait inside libcurl. */
#define MAX_CONNECTIONS 32L

LIST_HEAD(call_list, obs_http_call);

struct obs_http {
	CURLM *multi;
	uv_loop_t *loop;  /* borrowed */
	uv_timer_t timer; /* libcurl's next wake-up */
	struct call_list calls;
	unsigned walking; /* dispatch() is on the stack */
};

struct obs_http_call {
	LIST_ENTRY(obs_http_call) entry;
	struct obs_http *http; /* borrowed */
	CURL *easy;
	struct obs_http_request req; /* its strings are not ours to keep: not used after start */
	struct obs_buf body;
	long status;
	bool opened, told_open, too_large, dead, done;
	CURLcode result;
};

struct watch {
	uv_poll_t poll;
	struct obs_http *http;
	curl_socket_t fd;
};

static const struct {
	CURLcode code;
	int err;
} errors[] = {
	{ CURLE_OK, 0 },
	{ CURLE_COULDNT_CONNECT, -ECONNREFUSED },
	{ CURLE_COULDNT_RESOLVE_HOST, -ECONNREFUSED },
	{ CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT },
	{ CURLE_GOT_NOTHING, -ECONNRESET },
	{ CURLE_RECV_ERROR, -ECONNRESET },
	{ CURLE_SEND_ERROR, -ECONNRESET },
	{ CURLE_PARTIAL_FILE, -ECONNRESET },
	{ CURLE_OUT_OF_MEMORY, -ENOMEM },
};

static int call_error(const struct obs_http_call *call)
{
	if (call->too_large)
		return -EMSGSIZE;

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == call->result)
			return errors[i].err;
	return -EPROTO;
}

static void call_destroy(struct obs_http_call *call)
{
	LIST_REMOVE(call, entry);
	obs_buf_free(&call->body);
	free(call);
}

/* Take the call from libcurl; its memory stays until no walk can meet it. */
static void call_end(struct obs_http_call *call)
{
	struct obs_http *h = call->http;

	if (call->dead)
		return;

	curl_multi_remove_handle(h->multi, call->easy);
	curl_easy_cleanup(call->easy);
	call->easy = NULL;
	call->dead = true;
	if (!h->walking)
		call_destroy(call);
}

static void sweep(struct obs_http *h)
{
	struct obs_http_call *call = LIST_FIRST(&h->calls), *next;

	for (; call; call = next) {
		next = LIST_NEXT(call, entry);
		if (call->dead)
			call_destroy(call);
	}
}

static void tell_open(struct obs_http_call *call)
{
	if (!call->opened || call->told_open)
		return;

	call->told_open = true;
	if (call->req.on_open)
		call->req.on_open(call->req.ctx, call->status);
}

static void tell_data(struct obs_http_call *call)
{
	if (call->dead || !call->req.on_data || !call->body.len)
		return;

	call->req.on_data(call->req.ctx, obs_buf_slice(&call->body));
	obs_buf_reset(&call->body);
}

static void tell_done(struct obs_http_call *call)
{
	if (call->dead || !call->done)
		return;

	call_end(call);
	call->req.on_done(call->req.ctx, call_error(call), call->status,
			  obs_buf_slice(&call->body));
}

static void take_results(struct obs_http *h)
{
	struct obs_http_call *call;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call->result = msg->data.result;
		call->done = true;
	}
}

static void client_destroy(struct obs_http *h);

/* Everything that libcurl delivered since the last time goes to its callbacks.
 * New calls go to the front of the list, behind the walk. */
static void dispatch(struct obs_http *h)
{
	struct obs_http_call *call;

	take_results(h);
	h->walking++;
	LIST_FOREACH (call, &h->calls, entry) {
		if (!call->dead)
			tell_open(call);
		tell_data(call);
		tell_done(call);
	}
	if (--h->walking)
		return;
	sweep(h);
	if (!h->loop)
		client_destroy(h);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct obs_http *h = w->http;
	int what = 0, running;

	if (status < 0)
		what = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;

	curl_multi_socket_action(h->multi, w->fd, what, &running);
	dispatch(h);
}

static void on_timeout(uv_timer_t *timer)
{
	struct obs_http *h = timer->data;
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	dispatch(h);
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	struct obs_http *h = ctx;

	(void)multi;
	if (timeout_ms < 0)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timeout, (uint64_t)timeout_ms, 0);
	return 0;
}

static void free_watch(uv_handle_t *handle)
{
	free(handle->data);
}

static struct watch *watch_new(struct obs_http *h, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	if (uv_poll_init_socket(h->loop, &w->poll, fd) < 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->http = h;
	w->fd = fd;
	curl_multi_assign(h->multi, fd, w);
	return w;
}

static int set_watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct obs_http *h = ctx;
	struct watch *w = socket_ctx;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, free_watch);
		return 0;
	}
	if (!w)
		w = watch_new(h, fd);
	if (!w)
		return -1;

	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&w->poll, events, on_ready) < 0 ? -1 : 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct obs_http_call *call = ctx;
	size_t len = size * n;

	if (len > 0 && (p[0] == '\r' || p[0] == '\n')) {
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
		call->opened = call->status >= 200;
	}
	return len;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct obs_http_call *call = ctx;
	size_t len = size * n;

	if (call->body.len + len > call->req.max_body_bytes ||
	    obs_buf_push(&call->body, p, len) < 0) {
		call->too_large = true;
		return 0;
	}
	return len;
}

struct opt_long {
	CURLoption opt;
	long value;
};

static CURLcode set_longs(CURL *easy, const struct opt_long *opts, size_t n)
{
	CURLcode r = CURLE_OK;

	for (size_t i = 0; i < n && r == CURLE_OK; i++)
		r = curl_easy_setopt(easy, opts[i].opt, opts[i].value);
	return r;
}

static CURLcode set_options(CURL *easy, struct obs_http_call *call)
{
	const struct obs_http_request *req = &call->req;
	const struct opt_long longs[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_FORBID_REUSE, 1 },
		{ CURLOPT_TIMEOUT_MS, (long)req->timeout_ms },
		{ CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms },
	};
	CURLcode r = set_longs(easy, longs, ARRAY_LEN(longs));

	r = r ?: curl_easy_setopt(easy, CURLOPT_URL, req->url);
	r = r ?: curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (req->unix_socket) {
		r = r ?: curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, req->unix_socket);
		r = r ?: curl_easy_setopt(easy, CURLOPT_PROXY, "");
	}
	r = r ?: curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	r = r ?: curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	r = r ?: curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	r = r ?: curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	return r ?: curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

static int curl_errno(CURLcode code)
{
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL;
}

static void easy_freep(CURL **easy)
{
	curl_easy_cleanup(*easy);
}

int obs_http_get(struct obs_http *h, const struct obs_http_request *req, struct obs_http_call **ret)
{
	cleanup_free struct obs_http_call *call = calloc(1, sizeof(*call));
	OBS_CLEANUP(easy_freep) CURL *easy = curl_easy_init();
	CURLcode r;

	if (!call || !easy)
		return -ENOMEM;

	call->http = h;
	call->req = *req;
	r = set_options(easy, call);
	if (r != CURLE_OK)
		return curl_errno(r);
	if (curl_multi_add_handle(h->multi, easy) != CURLM_OK)
		return -ENOMEM;

	call->easy = TAKE_PTR(easy);
	LIST_INSERT_HEAD(&h->calls, call, entry);
	*ret = TAKE_PTR(call);
	return 0;
}

void obs_http_cancel(struct obs_http_call **call)
{
	if (*call)
		call_end(*call);
	*call = NULL;
}

static int open_multi(struct obs_http *h)
{
	CURLMcode r = CURLM_OK;

	h->multi = curl_multi_init();
	if (!h->multi)
		return -ENOMEM;

	r = r ?: curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_watch);
	r = r ?: curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	r = r ?: curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	r = r ?: curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	r = r ?: curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS);
	if (r == CURLM_OK)
		return 0;

	curl_multi_cleanup(h->multi);
	return -ENOMEM;
}

int obs_http_open(uv_loop_t *loop, struct obs_http **ret)
{
	cleanup_free struct obs_http *h = calloc(1, sizeof(*h));
	int r;

	if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;

	r = open_multi(h);
	if (r < 0) {
		curl_global_cleanup();
		return r;
	}
	h->loop = loop;
	h->timer.data = h;
	uv_timer_init(loop, &h->timer);
	LIST_INIT(&h->calls);
	*ret = TAKE_PTR(h);
	return 0;
}

static void free_client(uv_handle_t *handle)
{
	free(handle->data);
}

static void client_destroy(struct obs_http *h)
{
	curl_multi_cleanup(h->multi);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&h->timer, free_client);
}

/* From inside a callback the walk still needs the list: dispatch() finishes the work. */
void obs_http_free(struct obs_http **h)
{
	struct obs_http *http = *h;
	struct obs_http_call *call, *next;

	if (!http)
		return;

	for (call = LIST_FIRST(&http->calls); call; call = next) {
		next = LIST_NEXT(call, entry);
		call_end(call);
	}
	http->loop = NULL;
	if (!http->walking)
		client_destroy(http);
	*h = NULL;
}
