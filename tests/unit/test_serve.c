// SPDX-License-Identifier: BSD-2-Clause
/* test_serve.c - the HTTP server over real sockets; libcurl's client runs in the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "serve/serve.h"
#include "util/cleanup.h"

#define NOW_NS 1700000100500000000ull

static struct obs_counters counters;
static struct obs_node_status nodes[2];
static struct obs_model model;
static uv_loop_t loop;
static struct obs_server *server;
static unsigned refreshed;

static void fill_windows(void);

static const char *const drop_reasons[] = { "ring_file", "ring_console" };

static void fill_model(void)
{
	memset(&model, 0, sizeof(model));
	memset(nodes, 0, sizeof(nodes));
	model = (struct obs_model){
		.counters = &counters,
		.started_ns = 1700000000000000000ull,
		.version = "1.2.3",
		.n_probes = 2,
		.n_nodes = 2,
		.nodes = nodes,
		.n_sinks = 1,
		.store_first_seq = 5,
		.store_last_seq = (1ull << 53) + 1,
		.store_bytes = 4096,
		.store_max_bytes = 1 << 28,
		.n_cpus = 2,
		.ring_bytes = 1 << 21,
	};
	strcpy(model.node_id, "host");
	strcpy(model.state_dir, "/var/lib/x");
	model.probes[0] = (struct obs_probe_status){ "file writes", "tp_btf/sys_exit", .ok = true };
	strcpy(model.probes[0].unseen, "writes through io_uring");
	model.probes[1] = (struct obs_probe_status){ "processes", "tp_btf", .ok = true };
	model.drop_reasons = drop_reasons;
	model.n_drop_reasons = ARRAY_LEN(drop_reasons);
	model.drops[1][0] = 7;
	model.n_programs = 1;
	model.programs[0] = (struct obs_program_view){ "obs_call_exit", 3 };
	nodes[0] = (struct obs_node_status){ .slot = 1,
					     .pids = 3,
					     .streams = 2,
					     .events = 41,
					     .last_event_ns = NOW_NS - 2500000000u };
	strcpy(nodes[0].name, "rl-swarm-1");
	strcpy(nodes[0].container_id, "6a3107ab146b");
	nodes[1].slot = 2;
	strcpy(nodes[1].name, "evil\"} 1\n\\ \xff\xc0\xaf é \x1b[31m");
	strcpy(model.sinks[0].name, "http");
	model.sinks[0].delivered = 40;
	model.sinks[0].waiting = 1;
	fill_windows();
}

/* Windows: one that has just ended, and one of yesterday. */
static void fill_windows(void)
{
	static struct obs_window_number numbers[] = {
		{ .name = "round_joined", .count = 4 },
		{ .name = "evil\"} 1\n", .count = 2, .is_series = true, 0.5, 1, 1.5, 0.75 },
	};
	static struct obs_window_view windows[2];

	windows[0] = (struct obs_window_view){ .node = "rl-swarm-1",
					       .length_s = 300,
					       .start_s = NOW_NS / 1000000000u - 400,
					       .n = ARRAY_LEN(numbers),
					       .numbers = numbers };
	windows[1] = windows[0];
	windows[1].length_s = 60;
	windows[1].start_s -= 86400;
	model.windows = windows;
	model.n_windows = ARRAY_LEN(windows);
	model.scrub_rules[0] = (struct obs_scrub_view){ "email", 3 };
	model.n_scrub_rules = 1;
}

static const struct obs_model *refresh(void *ctx)
{
	assert_ptr_equal(ctx, &model);
	refreshed++;
	return &model;
}

/* ---- client ---- */

struct answer {
	long status;
	struct obs_buf head, body;
};

static void free_answer(struct answer *a)
{
	obs_buf_free(&a->head);
	obs_buf_free(&a->body);
}

#define cleanup_answer __attribute__((cleanup(free_answer)))

static size_t take(char *p, size_t size, size_t n, void *buf)
{
	return obs_buf_push(buf, p, size * n) < 0 ? 0 : size * n;
}

static CURL *new_request(const char *method, const char *path, struct answer *a)
{
	CURL *c = curl_easy_init();
	char url[256];

	snprintf(url, sizeof(url), "http://%s%s", obs_server_address(server), path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 3000L);
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, "{}");
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &a->body);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &a->head);
	return c;
}

/* Client and server take turns until the client is done. */
static void perform(CURL *c)
{
	CURLM *multi = curl_multi_init();
	int running = 1;

	curl_multi_add_handle(multi, c);
	while (running) {
		curl_multi_perform(multi, &running);
		uv_run(&loop, UV_RUN_NOWAIT);
		curl_multi_wait(multi, NULL, 0, 1, NULL);
	}
	curl_multi_remove_handle(multi, c);
	curl_multi_cleanup(multi);
}

static void fetch(const char *method, const char *path, struct answer *ret)
{
	CURL *c;

	obs_buf_reset(&ret->head);
	obs_buf_reset(&ret->body);
	c = new_request(method, path, ret);
	perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_cleanup(c);
}

static struct obs_server *start(const char *listen, int want)
{
	cleanup_buf struct obs_buf err = { 0 };
	struct obs_server *s = NULL;
	int r = obs_server_start(&loop, listen, refresh, &model, &err, &s);

	if (r != want)
		fail_msg("%s: %d (want %d): %s", listen, r, want, obs_buf_cstr(&err));
	assert_int_equal(s == NULL, r < 0);
	assert_int_equal(err.len == 0, r == 0);
	return s;
}

static int setup(void **state)
{
	(void)state;
	fill_model();
	uv_loop_init(&loop);
	server = start("127.0.0.1:0", 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	obs_server_free(&server);
	assert_null(server);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

/* ---- tests ---- */

static const struct page_case {
	const char *method, *path;
	long status;
	const char *head, *body; /* parts that must be there */
} page_cases[] = {
	{ "GET", "/", 200, "Content-Type: text/plain; charset=utf-8\r\n", "/metrics" },
	{ "GET", "/health", 200, "Content-Type: application/json\r\n", "\"status\":\t\"ok\"" },
	{ "GET", "/health?x=1", 200, "Cache-Control: no-store\r\n", "\"status\"" },
	{ "GET", "/metrics", 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
	  "gswarm_nodes 2\n" },
	{ "HEAD", "/metrics", 200, "Content-Length: ", "" },
	{ "HEAD", "/nope", 404, "", "" },
	{ "GET", "/nope", 404, "", "404 not found" },
	{ "GET", "/health/", 404, "", "404" },
	{ "GET", "/../etc/passwd", 404, "", "404" },
	{ "POST", "/health", 405, "Allow: GET, HEAD\r\n", "405 only GET and HEAD" },
	{ "DELETE", "/", 405, "Allow: GET, HEAD\r\n", "405" },
	{ "POST", "/nope", 404, "", "404" },
};

static void every_page_answers(void **state)
{
	cleanup_answer struct answer a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(page_cases); i++) {
		const struct page_case *p = &page_cases[i];

		fetch(p->method, p->path, &a);
		if (a.status != p->status || !strstr(obs_buf_cstr(&a.head), p->head) ||
		    !strstr(obs_buf_cstr(&a.body), p->body))
			fail_msg("%s %s: %ld\n%s\n%s", p->method, p->path, a.status,
				 obs_buf_cstr(&a.head), obs_buf_cstr(&a.body));
		if (strcmp(p->method, "HEAD") == 0)
			assert_int_equal(a.body.len, 0);
	}
	assert_true(refreshed > 0);
}

static cJSON *health(unsigned want)
{
	cleanup_buf struct obs_buf out = { 0 };
	cJSON *root;

	assert_int_equal(obs_health_format(&model, NOW_NS, &out), want);
	root = cJSON_Parse(obs_buf_cstr(&out));
	if (!root)
		fail_msg("no JSON: %s", obs_buf_cstr(&out));
	return root;
}

static const char *text_at(const cJSON *root, const char *list, int i, const char *name)
{
	const cJSON *o = i < 0 ? root : cJSON_GetArrayItem(cJSON_GetObjectItem(root, list), i);
	const char *text = cJSON_GetStringValue(
		i < 0 ? cJSON_GetObjectItem(cJSON_GetObjectItem(root, list), name)
		      : cJSON_GetObjectItem(o, name));

	return text ? text : "(none)";
}

static void health_tells_what_is_seen(void **state)
{
	cJSON *root = health(200);

	(void)state;
	assert_string_equal(cJSON_GetObjectItem(root, "status")->valuestring, "ok");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "reasons")), 0);
	assert_true(cJSON_GetObjectItem(root, "uptime_s")->valuedouble == 100.5);
	assert_string_equal(cJSON_GetObjectItem(root, "started")->valuestring,
			    "2023-11-14T22:13:20Z");
	assert_string_equal(text_at(root, "probes", 0, "unseen"), "writes through io_uring");
	assert_string_equal(text_at(root, "probes", 1, "unseen"), "(none)");
	assert_string_equal(text_at(root, "nodes", 0, "name"), "rl-swarm-1");
	assert_string_equal(text_at(root, "nodes", 1, "name"),
			    "evil\"} 1\xef\xbf\xbd\\ \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd é "
			    "\xef\xbf\xbd[31m");
	assert_string_equal(text_at(root, "store", -1, "last_seq"), "9007199254740993");
	assert_int_equal(
		cJSON_GetObjectItem(cJSON_GetObjectItem(root, "losses"), "ring_drops")->valueint,
		7);
	cJSON_Delete(root);
}

/* Break one thing, and see the status and the first reason. */
static void expect_health(unsigned code, const char *status, const char *reason)
{
	cJSON *root = health(code);
	const cJSON *reasons = cJSON_GetObjectItem(root, "reasons");
	const cJSON *last = cJSON_GetArrayItem(reasons, cJSON_GetArraySize(reasons) - 1);

	assert_string_equal(cJSON_GetObjectItem(root, "status")->valuestring, status);
	assert_non_null(last);
	assert_string_equal(last->valuestring, reason);
	cJSON_Delete(root);
	fill_model();
}

static void health_tells_what_is_wrong(void **state)
{
	(void)state;
	model.probes[0].ok = false;
	expect_health(200, "degraded", "file writes cannot be observed: writes through io_uring");
	model.probes[0].ok = model.probes[1].ok = false;
	expect_health(503, "unavailable",
		      "nothing can be observed; 'gswarm-observer doctor' says why");
	model.n_probes = 0;
	expect_health(503, "unavailable",
		      "nothing can be observed; 'gswarm-observer doctor' says why");
	model.store_error = -ENOSPC;
	expect_health(200, "degraded",
		      "the store in /var/lib/x refuses events: No space left on device; they are "
		      "tried again");
	model.sinks[0].retry_at_ns = NOW_NS + 1;
	strcpy(model.sinks[0].last_error, "connection refused");
	expect_health(200, "degraded", "sink http has taken nothing for 100 s: connection refused");
}

#define LABEL "[a-z0-9_]+=\"([^\"\\]|\\\\[\"\\n])*\""

static regex_t help_line, type_line, sample_line;

static void compile(void)
{
	assert_int_equal(regcomp(&help_line, "^# HELP ([a-z0-9_]+) [^\\]+$", REG_EXTENDED), 0);
	assert_int_equal(regcomp(&type_line, "^# TYPE ([a-z0-9_]+) (counter|gauge)$", REG_EXTENDED),
			 0);
	assert_int_equal(regcomp(&sample_line,
				 "^([a-z0-9_]+)([{]" LABEL "(," LABEL ")*[}])? "
				 "([0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?)$",
				 REG_EXTENDED),
			 0);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static void name_of(const char *line, const regmatch_t *m, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s", (int)(m->rm_eo - m->rm_so), line + m->rm_so);
}

/* Every metric: one HELP, one TYPE, then all of its samples, no sample twice. */
static void check_metrics(char *text)
{
	char current[128] = "", name[128], head[160], *save = NULL;
	const char *seen[4096];
	size_t n_seen = 0;
	regmatch_t m[3];

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (regexec(&help_line, line, 3, m, 0) == 0) {
			name_of(line, &m[1], current, sizeof(current));
			snprintf(head, sizeof(head), "# HELP %s ", current);
			for (size_t i = 0; i < n_seen; i++)
				assert_int_not_equal(strncmp(seen[i], head, strlen(head)), 0);
		} else if (regexec(&type_line, line, 3, m, 0) == 0) {
			name_of(line, &m[1], name, sizeof(name));
			assert_string_equal(name, current);
			assert_int_equal(ends_with(line, " counter"), ends_with(name, "_total"));
		} else if (regexec(&sample_line, line, 3, m, 0) == 0) {
			name_of(line, &m[1], name, sizeof(name));
			if (strcmp(name, current) != 0)
				fail_msg("%s stands under %s", line, current);
			*strrchr(line, ' ') = '\0';
			for (size_t i = 0; i < n_seen; i++)
				assert_string_not_equal(seen[i], line);
		} else {
			fail_msg("not a line of the format: %s", line);
		}
		assert_true(n_seen < ARRAY_LEN(seen));
		seen[n_seen++] = line;
	}
	assert_true(n_seen > 100);
}

static void metrics_are_well_formed(void **state)
{
	cleanup_buf struct obs_buf out = { 0 };
	const char *text;

	(void)state;
	compile();
	atomic_store(&counters.records, UINT64_MAX);
	assert_int_equal(obs_metrics_format(&model, NOW_NS, &out), 200);
	text = obs_buf_cstr(&out);
	assert_int_equal(out.p[out.len - 1], '\n');
	assert_non_null(strstr(text, "\ngswarm_records_total 18446744073709551615\n"));
	assert_non_null(
		strstr(text, "\ngswarm_ring_drops_total{cpu=\"1\",reason=\"ring_file\"} 7\n"));
	assert_non_null(
		strstr(text, "\ngswarm_program_missed_total{program=\"obs_call_exit\"} 3\n"));
	assert_non_null(strstr(text, "\ngswarm_node_last_event_age_seconds{node=\"rl-swarm-1\","
				     "container_id=\"6a3107ab146b\",slot=\"1\"} 2.5\n"));
	assert_non_null(
		strstr(text, "\ngswarm_sink_events{sink=\"http\",place=\"delivered\"} 40\n"));
	assert_non_null(strstr(text, "{node=\"evil\\\"} 1\xef\xbf\xbd\\\\ "));
	assert_non_null(strstr(text, "\ngswarm_lines_total{place=\"backfilled\"} 0\n"));
	assert_non_null(strstr(text, "\ngswarm_scrubbed_total{rule=\"email\"} 3\n"));
	assert_non_null(strstr(text, "\ngswarm_window_events{node=\"rl-swarm-1\",window=\"5m\","
				     "name=\"round_joined\"} 4\n"));
	assert_non_null(strstr(text, "name=\"evil\\\"} 1\xef\xbf\xbd\",stat=\"mean\"} 1\n"));
	assert_null(strstr(text, "window=\"1m\""));
	check_metrics(out.p);
	regfree(&help_line);
	regfree(&type_line);
	regfree(&sample_line);
}

static void promtool_finds_nothing(void **state)
{
	cleanup_buf struct obs_buf out = { 0 };
	FILE *p;

	(void)state;
	if (system("command -v promtool >/dev/null 2>&1") != 0)
		skip();
	assert_int_equal(obs_metrics_format(&model, NOW_NS, &out), 200);
	p = popen("promtool check metrics", "w");
	assert_non_null(p);
	fwrite(out.p, 1, out.len, p);
	assert_int_equal(pclose(p), 0);
}

static void a_small_host_has_few_series(void **state)
{
	static struct obs_model empty;
	cleanup_buf struct obs_buf out = { 0 };

	(void)state;
	assert_int_equal(obs_metrics_format(&empty, NOW_NS, &out), 200);
	assert_null(strstr(obs_buf_cstr(&out), "gswarm_node_pids"));
	assert_non_null(strstr(obs_buf_cstr(&out), "gswarm_nodes 0\n"));
	obs_buf_reset(&out);
	assert_int_equal(obs_health_format(&empty, NOW_NS, &out), 503);
}

static void no_memory_is_an_answer_too(void **state)
{
	cleanup_buf struct obs_buf out = { .max_bytes = 512 };

	(void)state;
	assert_int_equal(obs_metrics_format(&model, NOW_NS, &out), 500);
	obs_buf_reset(&out);
	assert_int_equal(obs_health_format(&model, NOW_NS, &out), 500);
}

static void addresses(void **state)
{
	static const struct address_case {
		const char *listen;
		int want;
		const char *prefix;
	} cases[] = {
		{ "127.0.0.1:0", 0, "127.0.0.1:" },
		{ "localhost:0", 0, "127.0.0.1:" },
		{ ":0", 0, "" },
		{ "8080", -EINVAL, NULL },
		{ "", -EINVAL, NULL },
		{ "127.0.0.1:65536", -EINVAL, NULL },
		{ "127.0.0.1:http", -EINVAL, NULL },
		{ "[::1:0", -EINVAL, NULL },
		{ "a b:0", -EINVAL, NULL },
		{ "203.0.113.7:0", -EADDRNOTAVAIL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_server *s = start(cases[i].listen, cases[i].want);

		if (s)
			assert_memory_equal(obs_server_address(s), cases[i].prefix,
					    strlen(cases[i].prefix));
		obs_server_free(&s);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

static void ipv6(void **state)
{
	cleanup_close int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct obs_server *s;

	(void)state;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		skip();
	s = start("[::1]:0", 0);
	assert_memory_equal(obs_server_address(s), "[::1]:", 6);
	obs_server_free(&s);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void a_taken_port_names_its_holder(void **state)
{
	cleanup_buf struct obs_buf err = { 0 }, want = { 0 };
	struct obs_server *s = NULL;
	const char *port = strrchr(obs_server_address(server), ':');
	char any[32];

	(void)state;
	assert_int_equal(
		obs_server_start(&loop, obs_server_address(server), refresh, &model, &err, &s),
		-EADDRINUSE);
	obs_buf_printf(&want,
		       "%s is taken by 'test_serve' (pid %d); end it, or set server.listen to "
		       "another port",
		       obs_server_address(server), getpid());
	assert_string_equal(obs_buf_cstr(&err), obs_buf_cstr(&want));

	snprintf(any, sizeof(any), "%s", port);
	start(any, -EADDRINUSE);
	assert_null(s);
}

static int connect_raw(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_port = htons((uint16_t)atoi(strrchr(obs_server_address(server), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void turn_loop(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

static void connections_are_limited(void **state)
{
	cleanup_answer struct answer a = { 0 };
	int fds[32];
	CURL *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = connect_raw();
		turn_loop(1);
	}
	turn_loop(5);
	c = new_request("GET", "/", &a);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 200L);
	perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a.status);
	curl_easy_cleanup(c);
	assert_int_equal(a.status, 0);

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	turn_loop(5);
	fetch("GET", "/", &a);
	assert_int_equal(a.status, 200);
}

static const struct raw_case {
	const char *request;
	size_t repeat; /* of a header line */
	const char *answer;
} raw_cases[] = {
	{ "GET / HTTP/1.1\r\nHost: x\r\n", 1000, "HTTP/1.1 431" },
	{ "\x16\x03\x01\r\n\r\n", 0, "" }, /* closed */
	{ "GET / HTTP/1.0\r\n\r\n", 0, " 200 OK" },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 0,
	  "404 Not Found" },
};

static void odd_requests(void **state)
{
	cleanup_answer struct answer a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(raw_cases); i++) {
		cleanup_buf struct obs_buf request = { 0 };
		cleanup_close int fd = connect_raw();
		char answer[4096] = "";
		ssize_t n;

		obs_buf_push_str(&request, raw_cases[i].request);
		for (size_t k = 0; k < raw_cases[i].repeat; k++)
			obs_buf_printf(&request, "X-%zu: aaaaaaaaaaaaaaaa\r\n", k);
		assert_int_equal(send(fd, request.p, request.len, MSG_NOSIGNAL),
				 (ssize_t)request.len);
		turn_loop(10);
		n = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
		if (n < 0 || !strstr(answer, raw_cases[i].answer))
			fail_msg("%zu: %zd, %s", i, n, answer);
		fetch("GET", "/", &a);
		assert_int_equal(a.status, 200);
	}
}

static void idle_costs_nothing(void **state)
{
	(void)state;
	turn_loop(5);
	/* no timer, nothing to read: the loop would sleep for ever */
	assert_int_equal(uv_backend_timeout(&loop), -1);
}

static void freed_while_a_client_waits(void **state)
{
	cleanup_close int fd = connect_raw();

	(void)state;
	send(fd, "GET / HT", 8, MSG_NOSIGNAL);
	turn_loop(2);
	/* teardown frees the server */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_page_answers),
		T(health_tells_what_is_seen),
		T(health_tells_what_is_wrong),
		T(metrics_are_well_formed),
		T(promtool_finds_nothing),
		T(a_small_host_has_few_series),
		T(no_memory_is_an_answer_too),
		T(addresses),
		T(ipv6),
		T(a_taken_port_names_its_holder),
		T(connections_are_limited),
		T(odd_requests),
		T(idle_costs_nothing),
		T(freed_while_a_client_waits),
	};

	curl_global_init(CURL_GLOBAL_DEFAULT);
	return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
