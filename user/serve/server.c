// SPDX-License-Identifier: BSD-2-Clause
/*
 * server.c - libmicrohttpd on the libuv loop. A page is a row of the table:
 * path, content type, the function that writes it.
 */
#include "serve/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "serve/listener.h"
#include "serve/nodes.h"
#include "serve/p2pd.h"
#include "util/cleanup.h"

#define CONNECTIONS_MAX	   32
#define CONNECTION_BYTES   (16 * 1024)
#define CONNECTION_SECONDS 10
#define PAGE_MAX_BYTES	   (32 * 1024 * 1024)

struct obs_server {
	struct MHD_Daemon *daemon;
	obs_model_refresh_fn refresh;
	void *ctx;
	uv_poll_t poll;
	uv_timer_t timer;
	int handles; /* open or closing; the last one frees the rest */
	char address[OBS_ADDRESS_MAX];
};

struct page {
	const char *path;
	const char *type;
	unsigned (*format)(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);
	const char *help;
};

static unsigned format_index(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out);

static const struct page pages[] = {
	{ "/", "text/plain; charset=utf-8", format_index, "this list" },
	{ "/health", "application/json", obs_health_format, "what the observer can see, as JSON" },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", obs_metrics_format,
	  "the same as numbers, for Prometheus" },
	{ "/api/v1/peers", "application/json", obs_peers_format,
	  "nodes' connections, peers and listening sockets" },
	{ "/api/v1/p2pd", "application/json", obs_p2pd_format,
	  "nodes' RPCs by name and peer, their DHT, their clocks" },
	{ "/api/v1/nodes", "application/json", obs_nodes_format,
	  "what state each node is in, and whether it earns" },
};

static unsigned format_index(const struct obs_model *m, uint64_t now_ns, struct obs_buf *out)
{
	(void)now_ns;
	obs_buf_printf(out, "gswarm-observer %s\n\n", m->version ? m->version : "");
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		obs_buf_printf(out, "%-14s %s\n", pages[i].path, pages[i].help);
	return out->failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK;
}

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- answers ---- */

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
				 struct obs_buf *text)
{
	struct MHD_Response *r =
		MHD_create_response_from_buffer(text->len, text->p, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result sent;

	if (!r)
		return MHD_NO; /* closes the connection */
	*text = (struct obs_buf){ 0 };
	MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	sent = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return sent;
}

static enum MHD_Result send_problem(struct MHD_Connection *c, unsigned status, const char *words)
{
	cleanup_buf struct obs_buf text = { 0 };

	obs_buf_printf(&text, "%u %s\n", status, words);
	return send_text(c, status, "text/plain; charset=utf-8", &text);
}

static enum MHD_Result send_page(struct obs_server *s, struct MHD_Connection *c,
				 const struct page *page)
{
	cleanup_buf struct obs_buf text = { .max_bytes = PAGE_MAX_BYTES };
	unsigned status = page->format(s->refresh(s->ctx), wall_ns(), &text);

	if (status == MHD_HTTP_INTERNAL_SERVER_ERROR)
		return send_problem(c, status, "out of memory");
	return send_text(c, status, page->type, &text);
}

static const struct page *find_page(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	}
	return NULL;
}

/* libmicrohttpd calls twice: with the head, and when the body (of GET: none) is read. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *body,
				  size_t *body_len, void **state)
{
	static char head_seen;
	bool read_only = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	const struct page *page = find_page(url);

	(void)version;
	(void)body;
	if (read_only && !*state) {
		*state = &head_seen;
		return MHD_YES;
	}
	*body_len = 0;
	if (!page)
		return send_problem(c, MHD_HTTP_NOT_FOUND, "not found; / lists what is there");
	if (!read_only)
		return send_problem(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
	return send_page(cls, c, page);
}

/* ---- the loop ---- */

static void on_timer(uv_timer_t *t);

static unsigned connections(const struct obs_server *s)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

/* At its limit libmicrohttpd takes the listening socket out of its epoll set, and back in
 * only in the run after the one in which a connection has ended: hence one more run. */
static void run(struct obs_server *s)
{
	unsigned before = connections(s);
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->daemon);
	if (connections(s) < before)
		uv_timer_start(&s->timer, on_timer, 0, 0);
	else if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
		uv_timer_start(&s->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&s->timer);
}

static void on_timer(uv_timer_t *t)
{
	run(t->data);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	run(p->data);
}

static void on_close(uv_handle_t *h)
{
	struct obs_server *s = h->data;

	if (--s->handles == 0)
		free(s);
}

/* The handles go first: libmicrohttpd closes the descriptor they watch. */
void obs_server_free(struct obs_server **s)
{
	struct obs_server *o = *s;

	if (!o)
		return;
	*s = NULL;
	uv_close((uv_handle_t *)&o->poll, on_close);
	uv_close((uv_handle_t *)&o->timer, on_close);
	MHD_stop_daemon(o->daemon);
}

/* Before any handle is open. */
static void free_unstarted(struct obs_server **s)
{
	if (*s && (*s)->daemon)
		MHD_stop_daemon((*s)->daemon);
	free(*s);
	*s = NULL;
}

static int start_daemon(struct obs_server *s, int *fd)
{
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, *fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (!s->daemon)
		return -ENOMEM;
	TAKE_FD(*fd); /* the daemon's now */
	return 0;
}

static int start_handles(struct obs_server *s, uv_loop_t *loop)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	if (!info)
		return -EINVAL;
	r = uv_poll_init(loop, &s->poll, info->epoll_fd);
	if (r < 0)
		return r;
	uv_timer_init(loop, &s->timer); /* cannot fail */
	s->handles = 2;
	s->poll.data = s;
	s->timer.data = s;
	return uv_poll_start(&s->poll, UV_READABLE, on_poll);
}

#define cleanup_unstarted __attribute__((cleanup(free_unstarted)))

int obs_server_start(uv_loop_t *loop, const char *listen, obs_model_refresh_fn refresh, void *ctx,
		     struct obs_buf *err, struct obs_server **ret)
{
	cleanup_unstarted struct obs_server *s = calloc(1, sizeof(*s));
	cleanup_close int fd = -1;
	int r;

	if (!s)
		return -ENOMEM;
	fd = obs_listener_open(listen, s->address, err);
	if (fd < 0)
		return fd;
	s->refresh = refresh;
	s->ctx = ctx;
	r = start_daemon(s, &fd);
	if (r == 0)
		r = start_handles(s, loop);
	if (r < 0) {
		obs_buf_printf(err, "cannot start the HTTP server: %s", strerror(-r));
		return r;
	}
	run(s);
	*ret = TAKE_PTR(s);
	return 0;
}

const char *obs_server_address(const struct obs_server *s)
{
	return s->address;
}
