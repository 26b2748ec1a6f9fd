// SPDX-License-Identifier: BSD-2-Clause
/* Delivery against a small HTTP server in this process that answers as badly as APIs do. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <microhttpd.h>
#include <zlib.h>

#include "sink/sink.h"
#include "store/store.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define MAX_REQUESTS  2048
#define cleanup_store OBS_CLEANUP(obs_store_free)

/* One request as the server saw it. */
struct seen {
	char url[64], key[64], auth[64], type[64], encoding[16];
	struct obs_buf body; /* as sent */
	unsigned events;
	int status; /* our answer */
	uint64_t at_ns;
};

/* Decides on the @n-th request (from 0); may set the answer's Retry-After. */
typedef int (*policy_fn)(const struct seen *req, size_t n, const char **retry_after);

struct fixture {
	char dir[64];
	struct obs_counters counters;
	struct obs_store *store;
	uint64_t pushed;
	struct obs_delivery *delivery;

	struct MHD_Daemon *server;
	uint16_t port;
	pthread_mutex_t lock;
	struct seen *seen[MAX_REQUESTS];
	size_t n_seen;
	policy_fn policy;
	unsigned delay_ms;
	size_t answer_bytes;
};

static unsigned count_events(const char *p, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i + 5 < len; i++)
		n += memcmp(p + i, "{\"i\":", 5) == 0;
	return n;
}

static void copy_header(struct MHD_Connection *c, const char *name, char *out, size_t size)
{
	const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);

	snprintf(out, size, "%s", v ? v : "");
}

static struct seen *new_request(struct MHD_Connection *c, const char *url)
{
	struct seen *req = calloc(1, sizeof(*req));

	req->at_ns = obs_clock_ns(CLOCK_MONOTONIC);
	snprintf(req->url, sizeof(req->url), "%s", url);
	copy_header(c, "Idempotency-Key", req->key, sizeof(req->key));
	copy_header(c, "Authorization", req->auth, sizeof(req->auth));
	copy_header(c, "Content-Type", req->type, sizeof(req->type));
	copy_header(c, "Content-Encoding", req->encoding, sizeof(req->encoding));
	return req;
}

static enum MHD_Result answer(struct fixture *f, struct MHD_Connection *c, struct seen *req)
{
	static char filler[256 * 1024];
	const char *retry_after = NULL;
	struct MHD_Response *response;
	enum MHD_Result r;

	pthread_mutex_lock(&f->lock);
	obs_buf_cstr(&req->body); /* policies search it as text */
	req->events = count_events(req->body.p, req->body.len);
	req->status = f->policy ? f->policy(req, f->n_seen, &retry_after) : 200;
	assert_true(f->n_seen < MAX_REQUESTS);
	f->seen[f->n_seen++] = req;
	pthread_mutex_unlock(&f->lock);
	if (f->delay_ms)
		usleep(f->delay_ms * 1000);
	if (req->status == 0)
		return MHD_NO; /* hang up */

	response = MHD_create_response_from_buffer(f->answer_bytes, filler, MHD_RESPMEM_PERSISTENT);
	if (retry_after)
		MHD_add_response_header(response, "Retry-After", retry_after);
	MHD_add_response_header(response, "Location", "http://127.0.0.1:1/");
	r = MHD_queue_response(c, (unsigned)req->status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **ctx)
{
	struct seen *req = *ctx;

	(void)version;
	assert_string_equal(method, "POST");
	if (!req) {
		*ctx = new_request(c, url);
		return MHD_YES;
	}
	if (*len) {
		obs_buf_push(&req->body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	return answer(arg, c, req);
}

static void start_server(struct fixture *f)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(f->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	f->server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, f,
				     MHD_OPTION_SOCK_ADDR, &addr,
				     MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
	assert_non_null(f->server);
	f->port = MHD_get_daemon_info(f->server, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct obs_store_options opt = { .dir = f->dir, .counters = &f->counters };

	strcpy(f->dir, "/tmp/obs-delivery-XXXXXX");
	if (!mkdtemp(f->dir) || obs_store_open(&opt, NULL, &f->store) < 0)
		return -1;
	pthread_mutex_init(&f->lock, NULL);
	start_server(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "events.db", "events.db-wal", "events.db-shm",
					     "lock" };
	struct fixture *f = *state;
	char path[128];

	obs_delivery_stop(&f->delivery, 0);
	if (f->server)
		MHD_stop_daemon(f->server);
	obs_store_free(&f->store);
	for (size_t i = 0; i < f->n_seen; i++) {
		obs_buf_free(&f->seen[i]->body);
		free(f->seen[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	rmdir(f->dir);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

static void push(struct fixture *f, unsigned n)
{
	char text[256];

	while (n--) {
		int len = snprintf(text, sizeof(text), "{\"i\":%llu,\"text\":\"%0*d\"}",
				   (unsigned long long)++f->pushed, 80, 0);

		assert_int_equal(obs_store_push(f->store, OBS_EVENT_LOG, "log", 1,
						obs_slice(text, (size_t)len)),
				 0);
	}
	assert_int_equal(obs_store_commit(f->store), 0);
	if (f->delivery)
		obs_delivery_wake(f->delivery);
}

static void start(struct fixture *f, const struct obs_sink_options *opt, size_t n)
{
	assert_int_equal(obs_delivery_start(f->dir, opt, n, &f->delivery), 0);
}

static struct obs_sink_options options(struct fixture *f, char *url, const char *path)
{
	sprintf(url, "http://127.0.0.1:%u%s", f->port, path);
	return (struct obs_sink_options){
		.name = "http",
		.kind = "http",
		.url = url,
		.token = "t0ken",
		.ca_file = "",
		.batch_events = 10,
		.batch_bytes = 1 << 20,
	};
}

static struct obs_sink_stats stats_of(struct fixture *f, size_t i)
{
	struct obs_sink_stats st;

	assert_int_equal(obs_delivery_get_stats(f->delivery, i, &st), 0);
	return st;
}

/* Wait until sink @i has settled all that was pushed. */
static struct obs_sink_stats wait_all(struct fixture *f, size_t i)
{
	uint64_t end_ns = obs_clock_ns(CLOCK_MONOTONIC) + 5 * OBS_NS_PER_S;
	struct obs_sink_stats st = stats_of(f, i);

	while (st.acked_seq < f->pushed) {
		if (obs_clock_ns(CLOCK_MONOTONIC) > end_ns)
			fail_msg("only %d of %d delivered; %s", (int)st.acked_seq, (int)f->pushed,
				 st.last_error);
		usleep(1000);
		st = stats_of(f, i);
	}
	return st;
}

static void wait_failures(struct fixture *f, uint64_t n)
{
	for (int i = 0; i < 5000 && stats_of(f, 0).failures < n; i++)
		usleep(1000);
	assert_true(stats_of(f, 0).failures >= n);
}

/* The bodies that were accepted at @url hold events 1…n without @without, once, in order. */
static void expect_accepted(struct fixture *f, const char *url, uint64_t n,
			    bool (*without)(uint64_t))
{
	uint64_t next = 1;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->n_seen; i++) {
		struct seen *req = f->seen[i];
		const char *p = obs_buf_cstr(&req->body);

		if (req->status / 100 != 2 || strcmp(req->url, url) != 0)
			continue;
		assert_int_equal(p[0], '[');
		assert_int_equal(p[req->body.len - 1], ']');
		while ((p = strstr(p, "{\"i\":"))) {
			while (without && without(next))
				next++;
			assert_int_equal(strtoull(p + 5, NULL, 10), next);
			next++;
			p++;
		}
	}
	pthread_mutex_unlock(&f->lock);
	while (without && without(next))
		next++;
	assert_int_equal(next, n + 1);
}

static void all_is_delivered_in_order(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/v1/events");
	struct obs_sink_stats st;

	push(f, 25);
	start(f, &opt, 1);
	wait_all(f, 0);
	for (int i = 0; i < 50; i++)
		push(f, 3);
	st = wait_all(f, 0);

	assert_int_equal(st.delivered, 175);
	assert_int_equal(st.requests, f->n_seen);
	assert_int_equal(st.failures + st.dead_lettered + st.jumped, 0);
	assert_true(st.last_ok_ns > 0);
	assert_string_equal(st.name, "http");
	assert_string_equal(st.last_error, "");
	expect_accepted(f, "/v1/events", 175, NULL);
	for (size_t i = 0; i < f->n_seen; i++) {
		assert_in_range(f->seen[i]->events, 1, 10);
		assert_string_equal(f->seen[i]->type, "application/json");
		assert_string_equal(f->seen[i]->auth, "Bearer t0ken");
		assert_string_equal(f->seen[i]->encoding, "");
		assert_int_equal(strlen(f->seen[i]->key), 32);
		if (i > 0)
			assert_string_not_equal(f->seen[i]->key, f->seen[i - 1]->key);
	}
	assert_int_equal(f->seen[0]->events, 10);
	assert_int_equal(obs_delivery_get_stats(f->delivery, 1, &st), -ENOENT);
}

/* "/503": the first request there gets 503, later ones 200. "/0": hang up. */
static int fail_once(const struct seen *req, size_t n, const char **retry_after)
{
	static char known[64][64];
	static size_t n_known;

	(void)retry_after;
	if (n == 0)
		n_known = 0;
	for (size_t i = 0; i < n_known; i++) {
		if (strcmp(known[i], req->url) == 0)
			return 200;
	}
	strcpy(known[n_known++], req->url);
	return atoi(req->url + 1);
}

static void a_failed_batch_is_sent_again_unchanged(void **state)
{
	static const char *const paths[] = { "/0",   "/301", "/401", "/403", "/404", "/405", "/408",
					     "/425", "/429", "/500", "/502", "/503", "/200" };
	enum { N = ARRAY_LEN(paths) };
	struct fixture *f = *state;
	struct obs_sink_options opt[N];
	char url[N][128], name[N][16];

	f->policy = fail_once;
	for (size_t i = 0; i < N; i++) {
		opt[i] = options(f, url[i], paths[i]);
		sprintf(name[i], "sink%zu", i);
		opt[i].name = name[i];
	}
	push(f, 10);
	start(f, opt, N);
	usleep(5000);
	push(f, 10); /* must not slip into the batch that is tried again */
	for (size_t i = 0; i < N; i++) {
		struct obs_sink_stats st = wait_all(f, i);
		struct seen *first = NULL, *second = NULL;

		assert_int_equal(st.delivered, 20);
		assert_int_equal(st.dead_lettered, 0);
		assert_int_equal(st.failures, strcmp(paths[i], "/200") != 0);
		assert_string_equal(st.last_error, "");
		expect_accepted(f, paths[i], 20, NULL);
		pthread_mutex_lock(&f->lock);
		for (size_t k = 0; k < f->n_seen && !second; k++) {
			if (strcmp(f->seen[k]->url, paths[i]) == 0)
				*(first ? &second : &first) = f->seen[k];
		}
		pthread_mutex_unlock(&f->lock);
		if (st.failures == 0)
			continue;
		assert_string_equal(first->key, second->key);
		assert_int_equal(first->body.len, second->body.len);
		assert_memory_equal(first->body.p, second->body.p, first->body.len);
		assert_in_range(second->at_ns - first->at_ns, 20 * OBS_NS_PER_MS,
				600 * OBS_NS_PER_MS);
	}
}

static int ask_for_one_second(const struct seen *req, size_t n, const char **retry_after)
{
	(void)req;
	*retry_after = "1";
	return n == 0 ? 429 : 200;
}

static void retry_after_is_honoured(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	f->policy = ask_for_one_second;
	start(f, &opt, 1);
	push(f, 3);
	wait_failures(f, 1);
	assert_true(stats_of(f, 0).retry_at_ns > obs_clock_ns(CLOCK_REALTIME));
	assert_non_null(strstr(stats_of(f, 0).last_error, "HTTP 429"));
	wait_all(f, 0);
	assert_int_equal(f->n_seen, 2);
	assert_in_range(f->seen[1]->at_ns - f->seen[0]->at_ns, 950 * OBS_NS_PER_MS,
			1800 * OBS_NS_PER_MS);
}

static int three_at_most(const struct seen *req, size_t n, const char **retry_after)
{
	(void)n;
	(void)retry_after;
	if (strstr(req->body.p, "{\"i\":7,"))
		return 413; /* even alone */
	return req->events > 3 ? 413 : 200;
}

static bool is_7(uint64_t i)
{
	return i == 7;
}

static void too_large_batches_are_split(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");
	struct obs_sink_stats st;

	f->policy = three_at_most;
	push(f, 40);
	start(f, &opt, 1);
	st = wait_all(f, 0);
	assert_int_equal(st.dead_lettered, 1);
	assert_int_equal(st.delivered, 39);
	expect_accepted(f, "/", 40, is_7);
	assert_true(f->seen[f->n_seen - 1]->events <= 3); /* it has learnt the size */
	assert_true(f->n_seen < 50);
}

static int refuse_5_and_17(const struct seen *req, size_t n, const char **retry_after)
{
	(void)n;
	(void)retry_after;
	return strstr(req->body.p, "{\"i\":5,") || strstr(req->body.p, "{\"i\":17,") ? 422 : 200;
}

static bool is_5_or_17(uint64_t i)
{
	return i == 5 || i == 17;
}

static void only_the_bad_events_are_given_up(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");
	struct obs_sink_stats st;

	f->policy = refuse_5_and_17;
	push(f, 40);
	start(f, &opt, 1);
	st = wait_all(f, 0);
	assert_int_equal(st.dead_lettered, 2);
	assert_int_equal(st.delivered, 38);
	expect_accepted(f, "/", 40, is_5_or_17);
	assert_true(f->n_seen <= 4 + 2 * 8);
}

static int refuse_all(const struct seen *req, size_t n, const char **retry_after)
{
	(void)req;
	(void)n;
	(void)retry_after;
	return 400;
}

static void an_api_that_refuses_everything_is_not_fed_everything(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");
	struct obs_sink_stats st;

	f->policy = refuse_all;
	push(f, 200);
	start(f, &opt, 1);
	for (int i = 0; i < 1000 && stats_of(f, 0).dead_lettered < 16; i++)
		usleep(10 * 1000);
	usleep(300 * 1000);
	st = stats_of(f, 0);
	assert_in_range(st.dead_lettered, 16, 40);
	assert_non_null(strstr(st.last_error, "given up"));
}

static void an_api_that_comes_up_late_gets_everything(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	MHD_stop_daemon(f->server);
	f->server = NULL;
	push(f, 30);
	start(f, &opt, 1);
	wait_failures(f, 2);
	assert_string_not_equal(stats_of(f, 0).last_error, "");
	assert_int_equal(stats_of(f, 0).acked_seq, 0);

	start_server(f);
	assert_string_equal(wait_all(f, 0).last_error, "");
	expect_accepted(f, "/", 30, NULL);
}

static void a_dead_sink_delays_nobody(void **state)
{
	struct fixture *f = *state;
	char url[2][128];
	struct obs_sink_options opt[] = { options(f, url[0], "/dead"), options(f, url[1], "/") };

	strcpy(url[0], "http://127.0.0.1:1/");
	opt[1].name = "other";
	start(f, opt, 2);
	push(f, 100);
	wait_all(f, 1);
	expect_accepted(f, "/", 100, NULL);
	assert_int_equal(stats_of(f, 0).acked_seq, 0);
}

static void gunzip(struct obs_buf *buf)
{
	z_stream z = { .next_in = (Bytef *)buf->p, .avail_in = (uInt)buf->len };
	struct obs_buf out = { 0 };

	assert_int_equal(obs_buf_reserve(&out, 1 << 16), 0);
	z.next_out = (Bytef *)out.p;
	z.avail_out = 1 << 16;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = z.total_out;
	inflateEnd(&z);
	obs_buf_free(buf);
	*buf = out;
}

static void bodies_are_compressed_when_asked(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");
	struct obs_sink_stats st;

	opt.gzip = true;
	opt.token = "";
	f->policy = fail_once; /* "/": once 0, hang up: packed bodies are kept too */
	push(f, 30);
	start(f, &opt, 1);
	st = wait_all(f, 0);
	assert_true(st.bytes < 30 * 60);
	for (size_t i = 0; i < f->n_seen; i++) {
		assert_string_equal(f->seen[i]->encoding, "gzip");
		assert_string_equal(f->seen[i]->auth, "");
		gunzip(&f->seen[i]->body);
	}
	expect_accepted(f, "/", 30, NULL);
}

static void a_batch_waits_to_fill(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	opt.batch_wait_ms = 200;
	start(f, &opt, 1);
	push(f, 2);
	usleep(40 * 1000);
	push(f, 2);
	wait_all(f, 0);
	assert_int_equal(f->n_seen, 1); /* by time */
	assert_int_equal(f->seen[0]->events, 4);

	push(f, 9);
	usleep(20 * 1000);
	push(f, 1);
	wait_all(f, 0);
	assert_int_equal(f->n_seen, 2); /* by count, before the time */
	assert_int_equal(f->seen[1]->events, 10);
}

static void a_long_answer_is_cut_off(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	f->answer_bytes = 256 * 1024;
	push(f, 25);
	start(f, &opt, 1);
	assert_int_equal(wait_all(f, 0).failures, 0);
	expect_accepted(f, "/", 25, NULL);
}

static int always_500(const struct seen *req, size_t n, const char **retry_after)
{
	(void)req;
	(void)n;
	(void)retry_after;
	return 500;
}

static void errors_tell_no_secrets(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	sprintf(url, "http://me:s3cret@127.0.0.1:%u/in?key=s3cret#s3cret", f->port);
	opt.token = "s3cret";
	f->policy = always_500;
	start(f, &opt, 1);
	push(f, 1);
	wait_failures(f, 1);
	assert_null(strstr(stats_of(f, 0).last_error, "s3cret"));
	assert_non_null(strstr(stats_of(f, 0).last_error, "HTTP 500 from http://127.0.0.1:"));
	assert_string_equal(f->seen[0]->auth, "Bearer s3cret");
}

static void evicted_events_are_jumped_and_counted(void **state)
{
	struct fixture *f = *state;
	struct obs_store_options small = { .dir = f->dir, .counters = &f->counters };
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");
	struct obs_store_stats kept;
	struct obs_sink_stats st;

	obs_store_free(&f->store);
	small.max_bytes = 300;
	assert_int_equal(obs_store_open(&small, NULL, &f->store), 0);
	for (int i = 0; i < 20; i++)
		push(f, 5);
	obs_store_get_stats(f->store, &kept);
	assert_in_range(kept.first_seq, 50, 96);

	opt.start_seq = 10;
	start(f, &opt, 1);
	st = wait_all(f, 0);
	assert_int_equal(st.jumped, kept.first_seq - 11);
	assert_int_equal(st.delivered, 100 - kept.first_seq + 1);
}

static void stopping_is_quick_and_keeps_the_rest(void **state)
{
	static const struct {
		const char *name;
		unsigned delay_ms, grace_ms;
		uint64_t want_delivered;
	} cases[] = {
		{ "an answer within the grace counts", 150, 900, 3 },
		{ "one that comes later does not", 700, 50, 0 },
		{ "no grace", 500, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture *f;
		struct obs_sink_options opt;
		uint64_t begin_ns, ms;
		char url[128];

		assert_int_equal(setup(state), 0);
		f = *state;
		f->delay_ms = cases[i].delay_ms;
		opt = options(f, url, "/");
		start(f, &opt, 1);
		push(f, 3);
		while (stats_of(f, 0).requests == 0)
			usleep(500);

		begin_ns = obs_clock_ns(CLOCK_MONOTONIC);
		obs_delivery_finish(f->delivery, cases[i].grace_ms);
		ms = (obs_clock_ns(CLOCK_MONOTONIC) - begin_ns) / OBS_NS_PER_MS;
		if (ms > cases[i].grace_ms + 400 || ms > 1000)
			fail_msg("%s: stopped after %d ms", cases[i].name, (int)ms);
		if (stats_of(f, 0).delivered != cases[i].want_delivered)
			fail_msg("%s: %d delivered", cases[i].name, (int)stats_of(f, 0).delivered);
		obs_delivery_wake(f->delivery); /* harmless now */
		teardown(state);
	}
}

static void stopping_sends_what_waits_to_fill(void **state)
{
	struct fixture *f = *state;
	char url[128];
	struct obs_sink_options opt = options(f, url, "/");

	opt.batch_wait_ms = 10000;
	start(f, &opt, 1);
	push(f, 25);
	obs_delivery_finish(f->delivery, 900);
	assert_int_equal(stats_of(f, 0).acked_seq, 25);
	expect_accepted(f, "/", 25, NULL);
}

static void wrong_options_are_refused(void **state)
{
	static const struct {
		const char *name, *kind, *url, *token;
		int want;
	} cases[] = {
		{ "http", "http", "https://example.org/v1", "t", 0 },
		{ "http", "http", "http://[::1]:8080", "", 0 },
		{ "http", "http", "http://h/", NULL, 0 },
		{ "http", "carrier-pigeon", "http://h/", "", -EINVAL },
		{ "http", "http", "ftp://h/", "", -EINVAL },
		{ "http", "http", "file:///etc/passwd", "", -EINVAL },
		{ "http", "http", "example.org/v1", "", -EINVAL },
		{ "http", "http", "", "", -EINVAL },
		{ "http", "http", NULL, "", -EINVAL },
		{ "http", "http", "http://h/", "a\r\nX-Evil: 1", -EINVAL },
		{ "", "http", "http://h/", "", -EINVAL },
		{ "HTTP", "http", "http://h/", "", -EINVAL },
		{ "a-name-of-more-than-thirty-one-bytes", "http", "http://h/", "", -EINVAL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_sink_options opt = {
			.name = cases[i].name,
			.kind = cases[i].kind,
			.url = cases[i].url,
			.token = cases[i].token,
		};
		int got = obs_delivery_start(f->dir, &opt, 1, &f->delivery);

		if (got != cases[i].want)
			fail_msg("row %zu: got %d", i, got);
		obs_delivery_stop(&f->delivery, 0);
	}
	assert_int_equal(obs_delivery_start(f->dir, NULL, 0, &f->delivery), 0);
	obs_delivery_wake(f->delivery);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(all_is_delivered_in_order),
		T(a_failed_batch_is_sent_again_unchanged),
		T(retry_after_is_honoured),
		T(too_large_batches_are_split),
		T(only_the_bad_events_are_given_up),
		T(an_api_that_refuses_everything_is_not_fed_everything),
		T(an_api_that_comes_up_late_gets_everything),
		T(a_dead_sink_delays_nobody),
		T(bodies_are_compressed_when_asked),
		T(a_batch_waits_to_fill),
		T(a_long_answer_is_cut_off),
		T(errors_tell_no_secrets),
		T(evicted_events_are_jumped_and_counted),
		cmocka_unit_test(stopping_is_quick_and_keeps_the_rest),
		T(stopping_sends_what_waits_to_fill),
		T(wrong_options_are_refused),
#undef T
	};

	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	return cmocka_run_group_tests_name("delivery", tests, NULL, NULL);
}
