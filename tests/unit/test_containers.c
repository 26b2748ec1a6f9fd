// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_containers.c - questions to a container engine and its event stream.
 *
 * The engine here is a fake: threads behind a unix socket that answer in the
 * ways below, most of them badly. A real dockerd is asked in tests/e2e.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "enrich/container.h"
#include "enrich/http_uv.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define TAIL	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MAX_CONNS   256
#define MAX_ANSWERS 64
#define AGAIN_MS    1000 /* as max_ms: it is tried again and again */

struct engine {
	char dir[32], path[64];
	int listen_fd;
	pthread_t acceptor, conns[MAX_CONNS];
	int n_conns;
	_Atomic int stop, hits[MAX_ANSWERS];
	_Atomic int events_fd, n_streams;
	char events_request[2048];
};

enum how { SEND, STATUS, HANG, RESET, CLOSE, ENDLESS, BIG, SLOW };

/* The two first hex digits of an id choose the row. */
static const struct answer {
	const char *name;
	enum how how;
	int status, after; /* @after hits with @status, the good answer */
	const char *body;  /* SEND */
	int want;
	int min_ms, max_ms; /* how long the answer may take */
} answers[] = {
	/* clang-format off */
	{ "good",			STATUS,	 404, 0, NULL, 0, 0, 300 },
	{ "no such container",		STATUS,	 404, 99, NULL, -ENOENT, 100, 500 },
	{ "not there for a moment",	STATUS,	 404, 2, NULL, 0, 100, 500 },
	{ "engine in trouble",		STATUS,	 500, 99, NULL, -EPROTO, 100, AGAIN_MS },
	{ "trouble passes",		STATUS,	 500, 1, NULL, 0, 40, 500 },
	{ "hangs",			HANG,	 0, 0, NULL, -ETIMEDOUT, 450, 700 },
	{ "holds the lock, then answers", SLOW,	 0, 0, NULL, 0, 290, 900 },
	{ "resets the connection",	RESET,	 0, 99, NULL, -EPROTO, 100, AGAIN_MS },
	{ "reset once, then good",	RESET,	 0, 1, NULL, 0, 40, 500 },
	{ "closes without a word",	CLOSE,	 0, 99, NULL, -EPROTO, 100, AGAIN_MS },
	{ "endless body",		ENDLESS, 0, 0, NULL, -EPROTO, 0, 800 },
	{ "body too big by its length",	BIG,	 0, 0, NULL, -EPROTO, 0, 800 },
	{ "no HTTP",			SEND,	 0, 0, "\x16\x03\x01 hello\r\n\r\n", -EPROTO, 0, AGAIN_MS },
	{ "not JSON",			SEND,	 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<b>", -EPROTO, 0, 300 },
	{ "wrong types",		SEND,	 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"Name\":1}", -EPROTO, 0, 300 },
	{ "shorter than it says",	SEND,	 0, 0, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"Name\":", -EPROTO, 0, AGAIN_MS },
	{ "no content",			SEND,	 0, 0, "HTTP/1.1 204 No Content\r\n\r\n", -EPROTO, 0, AGAIN_MS },
	{ "redirect elsewhere",		SEND,	 0, 0, "HTTP/1.1 302 Found\r\nLocation: file:///etc/shadow\r\nContent-Length: 0\r\n\r\n", -EPROTO, 0, AGAIN_MS },
	{ "header without end",		SEND,	 0, 0, "HTTP/1.1 200 OK\r\nX: ", -EPROTO, 0, AGAIN_MS },
	/* clang-format on */
};

static void send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void send_str(int fd, const char *s)
{
	send_all(fd, s, strlen(s));
}

static void wait_closed(struct engine *e, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c[256];

	while (!e->stop)
		if (poll(&p, 1, 20) > 0 && recv(fd, c, sizeof(c), 0) <= 0)
			return;
}

static void send_good(int fd, const char *id, int hit)
{
	char body[512], head[128];
	int n = snprintf(body, sizeof(body),
			 "{\"Id\":\"%.64s\",\"Name\":\"/n%d\",\"State\":{\"Running\":true},"
			 "\"Config\":{\"Image\":\"img\",\"Labels\":{\"k\":\"v\"}}}",
			 id, hit);

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n);
	send_str(fd, head);
	send_all(fd, body, (size_t)n);
}

static void send_endless(struct engine *e, int fd)
{
	static const char chunk[] = "1000\r\n";
	static char zeros[4096];
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	send_str(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 1000 && !e->stop; i++) {
		if (poll(&p, 1, 1000) <= 0 || (p.revents & (POLLERR | POLLHUP)))
			return;
		send_str(fd, chunk);
		send_all(fd, zeros, sizeof(zeros));
		send_str(fd, "\r\n");
	}
}

static void answer_badly(struct engine *e, int fd, const struct answer *a, const char *id, int hit)
{
	static const struct linger now = { .l_onoff = 1 };
	char head[128];

	switch (a->how) {
	case SEND:
		send_str(fd, a->body);
		break;
	case STATUS:
		snprintf(head, sizeof(head), "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n",
			 a->status);
		send_str(fd, head);
		break;
	case HANG:
		wait_closed(e, fd);
		break;
	case SLOW:
		usleep(300 * 1000);
		send_good(fd, id, hit);
		break;
	case RESET:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		break;
	case ENDLESS:
		send_endless(e, fd);
		break;
	case BIG:
		send_str(fd, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n");
		send_endless(e, fd);
		break;
	case CLOSE:
		break;
	}
}

static void answer_inspect(struct engine *e, int fd, const char *id)
{
	char digits[3] = { id[0], id[1], '\0' };
	size_t row = strtoul(digits, NULL, 16);
	const struct answer *a;
	int hit;

	if (row >= ARRAY_LEN(answers))
		return;

	a = &answers[row];
	hit = atomic_fetch_add(&e->hits[row], 1);
	if ((a->how == STATUS || a->how == RESET) && hit >= a->after)
		send_good(fd, id, hit);
	else
		answer_badly(e, fd, a, id, hit);
}

static void answer_events(struct engine *e, int fd, const char *request)
{
	snprintf(e->events_request, sizeof(e->events_request), "%s", request);
	send_str(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	e->events_fd = fd;
	e->n_streams++;
	wait_closed(e, fd);
	e->events_fd = -1;
}

struct conn {
	struct engine *e;
	int fd;
};

static void *serve(void *arg)
{
	cleanup_free struct conn *conn = arg;
	cleanup_close int fd = conn->fd;
	char req[2048] = "";
	size_t len = 0;
	ssize_t n;

	while (!strstr(req, "\r\n\r\n") && len < sizeof(req) - 1) {
		n = recv(fd, req + len, sizeof(req) - 1 - len, 0);
		if (n <= 0)
			return NULL;
		len += (size_t)n;
		req[len] = '\0';
	}
	if (strncmp(req, "GET /containers/", 16) == 0)
		answer_inspect(conn->e, fd, req + 16);
	else if (strncmp(req, "GET /events?", 12) == 0)
		answer_events(conn->e, fd, req);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct engine *e = arg;
	struct pollfd p = { .fd = e->listen_fd, .events = POLLIN };

	while (!e->stop && e->n_conns < MAX_CONNS) {
		struct conn *conn;

		if (poll(&p, 1, 20) <= 0)
			continue;
		conn = malloc(sizeof(*conn));
		*conn = (struct conn){ e, accept(e->listen_fd, NULL, NULL) };
		pthread_create(&e->conns[e->n_conns++], NULL, serve, conn);
	}
	return NULL;
}

static void engine_start(struct engine *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	*e = (struct engine){ .dir = "/tmp/obs-engine-XXXXXX", .events_fd = -1 };
	assert_non_null(mkdtemp(e->dir));
	snprintf(e->path, sizeof(e->path), "%s/engine.sock", e->dir);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", e->path);
	e->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(e->listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(e->listen_fd, 64), 0);
	assert_int_equal(pthread_create(&e->acceptor, NULL, accept_all, e), 0);
}

static void engine_stop(struct engine *e)
{
	e->stop = 1;
	pthread_join(e->acceptor, NULL);
	for (int i = 0; i < e->n_conns; i++)
		pthread_join(e->conns[i], NULL);
	obs_closep(&e->listen_fd);
	unlink(e->path);
	rmdir(e->dir);
}

struct fixture {
	struct engine engine;
	uv_loop_t loop;
	struct obs_counters counters;
	struct obs_containers *c;
	int answered, changes, err;
	struct obs_container_info info; /* of the last answer, labels not kept */
	char label[32], id[OBS_CONTAINER_ID_LEN + 1];
	bool free_in_callback;
};

static void take(struct fixture *f, const char *id, int err, const struct obs_container_info *info)
{
	assert_true((err == 0) == (info != NULL));
	f->err = err;
	snprintf(f->id, sizeof(f->id), "%s", id);
	f->info = info ? *info : (struct obs_container_info){};
	snprintf(f->label, sizeof(f->label), "%s", info && info->n_labels ? info->labels[0] : "");
	if (f->free_in_callback)
		obs_containers_free(&f->c);
}

static void on_answer(void *ctx, const char *id, int err, const struct obs_container_info *info)
{
	struct fixture *f = ctx;

	f->answered++;
	take(f, id, err, info);
}

static void on_change(void *ctx, const char *id, int err, const struct obs_container_info *info)
{
	struct fixture *f = ctx;

	f->changes++;
	take(f, id, err, info);
}

static void tick(uv_timer_t *t)
{
	(void)t;
}

static void close_tick(uv_handle_t *t)
{
	free(t);
}

/* Run the loop until *@n is @want, at most @ms; how long it took. */
static int run_until(uv_loop_t *loop, const _Atomic int *n, int want, int ms)
{
	uv_timer_t *t = malloc(sizeof(*t));
	uint64_t start;
	int took;

	uv_timer_init(loop, t);
	uv_timer_start(t, tick, 5, 5);
	uv_update_time(loop);
	start = uv_now(loop);
	while (*n != want && uv_now(loop) - start < (uint64_t)ms)
		uv_run(loop, UV_RUN_ONCE);
	took = (int)(uv_now(loop) - start);
	uv_close((uv_handle_t *)t, close_tick);
	return took;
}

static void fixture_open(struct fixture *f, const char *path)
{
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(obs_containers_open(&f->loop, path ?: f->engine.path, &f->counters,
					     on_change, f, &f->c),
			 0);
}

/* Everything must close by itself: a handle left open would run for ever. */
static void fixture_close(struct fixture *f)
{
	obs_containers_free(&f->c);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static const char *row_id(size_t row)
{
	static char id[OBS_CONTAINER_ID_LEN + 1];

	snprintf(id, sizeof(id), "%02zx" TAIL, row);
	return id;
}

/* What fails is tried again until the deadline, so that is near; what answers may take long on a
 * busy machine. */
static unsigned limit_ms(const struct answer *a)
{
	if (a->want == -ETIMEDOUT)
		return 500;
	return a->max_ms == AGAIN_MS ? AGAIN_MS : 10000;
}

static void ask_one(struct fixture *f, size_t row)
{
	const struct answer *a = &answers[row];
	uint64_t before_ns;
	int took;

	f->answered = 0;
	/* timers run from the loop's time: an old one makes them early */
	uv_update_time(&f->loop);
	before_ns = obs_clock_ns(CLOCK_MONOTONIC);
	assert_int_equal(obs_containers_ask(f->c, row_id(row), limit_ms(a), on_answer, f), 0);
	assert_int_equal(f->answered, 0);
	run_until(&f->loop, (_Atomic int *)&f->answered, 1, 15000);
	took = (int)((obs_clock_ns(CLOCK_MONOTONIC) - before_ns) / 1000000);
	if (f->answered != 1 || f->err != a->want)
		fail_msg("%s: %d answers, got %d, want %d", a->name, f->answered, f->err, a->want);
	if (took < a->min_ms || took > a->max_ms + 9000) /* a busy machine */
		fail_msg("%s: took %d ms", a->name, took);
	assert_string_equal(f->id, row_id(row));
	if (f->err == 0) {
		assert_string_equal(f->info.image, "img");
		assert_true(f->info.running);
		assert_string_equal(f->label, "k=v");
	}
}

static void ask_takes_every_answer(void **state)
{
	struct fixture f = {};

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		ask_one(&f, i);
	assert_true(f.counters.engine_errors > 0);
	ask_one(&f, 0);
	assert_true(obs_containers_ok(f.c));
	fixture_close(&f);
	engine_stop(&f.engine);
}

static void ask_without_an_engine_fails_at_once(void **state)
{
	struct fixture f = {};

	(void)state;
	fixture_open(&f, "/nonexistent/engine.sock");
	assert_int_equal(obs_containers_ask(f.c, row_id(0), 5000, on_answer, &f), 0);
	assert_true(run_until(&f.loop, (_Atomic int *)&f.answered, 1, 3000) < 500);
	assert_int_equal(f.err, -ECONNREFUSED);
	assert_false(obs_containers_ok(f.c));
	assert_int_equal(obs_containers_ask(f.c, "../images", 10, on_answer, &f), -EINVAL);
	assert_int_equal(obs_containers_ask(f.c, "", 10, on_answer, &f), -EINVAL);
	fixture_close(&f);
	assert_int_equal(f.answered, 1);
}

static void ask_is_bounded(void **state)
{
	struct fixture f = {};
	int n = 0;

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	while (obs_containers_ask(f.c, row_id(5), 60000, on_answer, &f) == 0)
		n++;
	assert_int_equal(n, 1024);
	assert_int_equal(obs_containers_ask(f.c, row_id(5), 1, on_answer, &f), -EAGAIN);
	fixture_close(&f);
	assert_int_equal(f.answered, 1024);
	assert_int_equal(f.err, -ECANCELED);
	engine_stop(&f.engine);
}

static void send_event_text(struct engine *e, const char *text)
{
	char head[32];

	snprintf(head, sizeof(head), "%zx\r\n", strlen(text));
	send_str(e->events_fd, head);
	send_str(e->events_fd, text);
	send_str(e->events_fd, "\r\n");
}

static void send_event(struct engine *e, const char *action, size_t row)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "{\"Type\":\"container\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"%s\"},"
		 "\"timeNano\":1700000000123456789}\n",
		 action, row_id(row));
	send_event_text(e, text);
}

static void wait_changes(struct fixture *f, int want)
{
	run_until(&f->loop, (_Atomic int *)&f->changes, want, 3000);
	assert_int_equal(f->changes, want);
}

static void events_bring_fresh_answers(void **state)
{
	struct fixture f = {};

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	run_until(&f.loop, &f.engine.n_streams, 1, 3000);
	assert_non_null(strstr(f.engine.events_request, "%22health_status%22%5D%7D HTTP/1.1"));

	send_event(&f.engine, "start", 0);
	wait_changes(&f, 1);
	assert_int_equal(f.err, 0);
	assert_string_equal(f.info.name, "n0");

	send_event(&f.engine, "rename", 0);
	wait_changes(&f, 2);
	assert_string_equal(f.info.name, "n1");

	send_event(&f.engine, "destroy", 0);
	wait_changes(&f, 3);
	assert_int_equal(f.err, -ENOENT);
	assert_true(obs_containers_ok(f.c));
	fixture_close(&f);
	engine_stop(&f.engine);
}

/* Two events while the first answer is on its way: one more question, not two. */
static void events_during_an_answer_ask_again_once(void **state)
{
	struct fixture f = {};

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	run_until(&f.loop, &f.engine.n_streams, 1, 3000);
	send_event(&f.engine, "start", 6);
	run_until(&f.loop, &f.engine.hits[6], 1, 3000);
	send_event(&f.engine, "rename", 6);
	send_event(&f.engine, "pause", 6);
	wait_changes(&f, 1);
	run_until(&f.loop, (_Atomic int *)&f.changes, 2, 500);
	assert_int_equal(f.changes, 1);
	assert_int_equal(f.engine.hits[6], 2);
	assert_string_equal(f.info.name, "n1");
	fixture_close(&f);
	engine_stop(&f.engine);
}

static void events_survive_nonsense(void **state)
{
	static char big[100 * 1024];
	struct fixture f = {};

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	run_until(&f.loop, &f.engine.n_streams, 1, 3000);
	memset(big, 'x', sizeof(big) - 1);
	send_event_text(&f.engine, "garbage\n\r\n\n{}\n[1]\n");
	send_event_text(&f.engine, big);
	send_event_text(&f.engine, "\n{\"Type\":\"container\",\"Action\":\"sta");
	send_event_text(&f.engine, "rt\",\"Actor\":{\"ID\":\"00" TAIL "\"}}\n{\"cut");
	wait_changes(&f, 1);
	assert_int_equal(f.err, 0);
	assert_int_equal(f.counters.engine_errors, 4);
	fixture_close(&f);
	engine_stop(&f.engine);
}

static void events_resume_after_a_break(void **state)
{
	struct fixture f = {};

	(void)state;
	engine_start(&f.engine);
	fixture_open(&f, NULL);
	run_until(&f.loop, &f.engine.n_streams, 1, 3000);
	assert_null(strstr(f.engine.events_request, "since="));
	send_event(&f.engine, "start", 0);
	wait_changes(&f, 1);
	shutdown(f.engine.events_fd, SHUT_RDWR);
	run_until(&f.loop, &f.engine.n_streams, 2, 3000);
	assert_int_equal(f.engine.n_streams, 2);
	assert_non_null(strstr(f.engine.events_request, "&since=1700000000.1234567"));
	send_event(&f.engine, "die", 0);
	wait_changes(&f, 2);
	fixture_close(&f);
	engine_stop(&f.engine);
}

static void free_from_inside_callbacks(void **state)
{
	static const char *const actions[] = { "destroy", "start" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		struct fixture f = { .free_in_callback = true };

		engine_start(&f.engine);
		fixture_open(&f, NULL);
		run_until(&f.loop, &f.engine.n_streams, 1, 3000);
		assert_int_equal(obs_containers_ask(f.c, row_id(5), 9000, on_answer, &f), 0);
		send_event(&f.engine, actions[i], 0);
		run_until(&f.loop, (_Atomic int *)&f.answered, 1, 3000);
		assert_int_equal(f.changes, 1);
		assert_int_equal(f.answered, 1);
		fixture_close(&f);
		engine_stop(&f.engine);
	}
}

static void on_http_done(void *ctx, int err, long status, struct obs_slice body)
{
	int *got = ctx;

	(void)body;
	got[0]++;
	got[1] = err;
	got[2] = (int)status;
}

static void http_speaks_tcp_and_refuses_other_schemes(void **state)
{
	static const struct {
		const char *url;
		int want;
	} urls[] = {
		{ "http://127.0.0.1:1/", -ECONNREFUSED },
		{ "file:///etc/passwd", -EPROTO },
		{ "http://", -EPROTO },
	};
	struct obs_http *h = NULL;
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(obs_http_open(&loop, &h), 0);
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		int got[3] = {};
		struct obs_http_call *call = NULL;
		const struct obs_http_request req = {
			.url = urls[i].url, .timeout_ms = 2000, .on_done = on_http_done, .ctx = got
		};

		assert_int_equal(obs_http_get(h, &req, &call), 0);
		run_until(&loop, (_Atomic int *)got, 1, 3000);
		assert_int_equal(got[0], 1);
		assert_int_equal(got[1], urls[i].want);
		assert_int_equal(obs_http_get(h, &req, &call), 0);
		obs_http_cancel(&call);
		assert_null(call);
	}
	obs_http_free(&h);
	obs_http_free(&h);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ask_takes_every_answer),
		cmocka_unit_test(ask_without_an_engine_fails_at_once),
		cmocka_unit_test(ask_is_bounded),
		cmocka_unit_test(events_bring_fresh_answers),
		cmocka_unit_test(events_during_an_answer_ask_again_once),
		cmocka_unit_test(events_survive_nonsense),
		cmocka_unit_test(events_resume_after_a_break),
		cmocka_unit_test(free_from_inside_callbacks),
		cmocka_unit_test(http_speaks_tcp_and_refuses_other_schemes),
	};

	return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
