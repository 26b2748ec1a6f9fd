// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_inspect.c - answers of container engines, honest and hostile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "enrich/inspect.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UP    "{\"Status\":\"running\",\"Running\":true,\"Paused\":false}"

static const struct inspect_case {
	const char *name, *body;
	int want;
	const char *cname, *image;
	bool running, paused;
	size_t n_labels;
	const char *label0;
} cases[] = {
	/* clang-format off */
	{ "docker", "{\"Id\":\"" ID "\",\"Name\":\"/node-1\",\"State\":" UP ",\"Config\":{\"Image\":\"gensyn/rl-swarm:0.7\",\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}}", 0, "node-1", "gensyn/rl-swarm:0.7", true, false, 2, "a=1" },
	{ "docker, paused", "{\"Name\":\"/n\",\"State\":{\"Running\":true,\"Paused\":true},\"Config\":{\"Image\":\"i\",\"Labels\":{}}}", 0, "n", "i", true, true, 0, NULL },
	{ "podman, paused", "{\"Name\":\"/n\",\"State\":{\"Running\":false,\"Paused\":true},\"Config\":{\"Image\":\"i\",\"Labels\":null}}", 0, "n", "i", true, true, 0, NULL },
	{ "created", "{\"Name\":\"n\",\"State\":{\"Status\":\"created\",\"Running\":false},\"Config\":{\"Image\":\"i\"}}", 0, "n", "i", false, false, 0, NULL },
	{ "empty names", "{\"Name\":\"\",\"State\":" UP ",\"Config\":{\"Image\":\"\"}}", 0, "", "", true, false, 0, NULL },
	{ "running as text is not true", "{\"Name\":\"/n\",\"State\":{\"Running\":\"true\"},\"Config\":{\"Image\":\"i\"}}", 0, "n", "i", false, false, 0, NULL },
	{ "labels of wrong types are left out", "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\",\"Labels\":{\"a\":1,\"b\":null,\"c\":[],\"d\":\"\"}}}", 0, "n", "i", true, false, 1, "d=" },
	{ "empty", "", -EPROTO, 0 },
	{ "not JSON", "<html>", -EPROTO, 0 },
	{ "cut off", "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i", -EPROTO, 0 },
	{ "null", "null", -EPROTO, 0 },
	{ "array", "[]", -EPROTO, 0 },
	{ "no fields", "{}", -EPROTO, 0 },
	{ "another container", "{\"Id\":\"" OTHER "\",\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\"}}", -EPROTO, 0 },
	{ "name is a number", "{\"Name\":7,\"State\":" UP ",\"Config\":{\"Image\":\"i\"}}", -EPROTO, 0 },
	{ "image is an object", "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":{}}}", -EPROTO, 0 },
	{ "config is a text", "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":\"i\"}", -EPROTO, 0 },
	{ "state is a text", "{\"Name\":\"/n\",\"State\":\"running\",\"Config\":{\"Image\":\"i\"}}", -EPROTO, 0 },
	{ "labels are an array", "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\",\"Labels\":[\"a\"]}}", -EPROTO, 0 },
	/* clang-format on */
};

static int parse_copy(struct obs_slice body, struct obs_inspect *ret)
{
	cleanup_free char *copy = malloc(body.len ? body.len : 1);

	assert_non_null(copy);
	memcpy(copy, body.p, body.len);
	return obs_inspect_parse(obs_slice(copy, body.len), ID, ret);
}

static void check_info(const struct inspect_case *c, const struct obs_container_info *info)
{
	if (strcmp(info->id, ID) != 0 || strcmp(info->name, c->cname) != 0 ||
	    strcmp(info->image, c->image) != 0)
		fail_msg("%s: got '%s' '%s' '%s'", c->name, info->id, info->name, info->image);
	if (info->running != c->running || info->paused != c->paused)
		fail_msg("%s: running %d, paused %d", c->name, info->running, info->paused);
	if (info->n_labels != c->n_labels || (c->label0 && strcmp(info->labels[0], c->label0) != 0))
		fail_msg("%s: %zu labels", c->name, info->n_labels);
}

/* As Docker 20.10 answers for -p 38331:4001 -p 127.0.0.1:9001:9001/udp, and what is none of it. */
static void ports_and_addresses(void **state)
{
	static const char body[] =
		"{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\"},"
		"\"HostConfig\":{\"NetworkMode\":\"default\"},\"NetworkSettings\":{"
		"\"Ports\":{\"4001/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"38331\"},"
		"{\"HostIp\":\"::\",\"HostPort\":\"38331\"}],"
		"\"9001/udp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"9001\"}],"
		"\"3000/tcp\":null,\"70000/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"1\"}],"
		"\"1/sctp\":[{\"HostIp\":\"\",\"HostPort\":\"1\"}],\"x\":7,"
		"\"2/tcp\":[{\"HostIp\":\"evil\",\"HostPort\":\"1\"},{\"HostPort\":1},7]},"
		"\"Networks\":{\"bridge\":{\"Gateway\":\"172.17.0.1\",\"IPAddress\":\"172.17.0.2\","
		"\"IPv6Gateway\":\"\",\"GlobalIPv6Address\":\"fd00::2\"},\"x\":7}}}";
	static const uint8_t gateway[16] = { [10] = 0xff, [11] = 0xff, 172, 17, 0, 1 };
	static const uint8_t inside[16] = { [10] = 0xff, [11] = 0xff, 172, 17, 0, 2 };
	OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
	const struct obs_network *n = &in.info.network;

	(void)state;
	assert_int_equal(parse_copy(obs_slice_str(body), &in), 0);
	assert_true(n->own);
	assert_int_equal(n->n_published, 3);
	assert_int_equal(obs_network_host_port(n, 4001, false), 38331);
	assert_int_equal(obs_network_host_port(n, 4001, true), 0);
	assert_int_equal(obs_network_host_port(n, 9001, true), 9001);
	assert_int_equal(obs_network_host_port(n, 3000, false), 0);
	assert_int_equal(n->n_addresses, 2);
	assert_memory_equal(n->addresses[0], inside, sizeof(inside));
	assert_true(obs_network_is_gateway(n, gateway));
	assert_false(obs_network_is_gateway(n, inside));
}

static void the_hosts_network_has_its_ports(void **state)
{
	static const char *const modes[] = { "host", "container:" ID };
	char body[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};

		snprintf(
			body, sizeof(body),
			"{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\"},"
			"\"HostConfig\":{\"NetworkMode\":\"%s\"},\"NetworkSettings\":{\"Ports\":{}}}",
			modes[i]);
		assert_int_equal(parse_copy(obs_slice_str(body), &in), 0);
		assert_false(in.info.network.own);
	}
}

static void the_log_is_told_whole_or_not_at_all(void **state)
{
	static char body[2048], path[1024];

	(void)state;
	for (size_t len = 10; len < 1000; len += 300) {
		OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};

		memset(path, 'p', len);
		path[0] = '/';
		path[len] = '\0';
		snprintf(body, sizeof(body),
			 "{\"Name\":\"/n\",\"LogPath\":\"%s\",\"State\":" UP
			 ",\"Config\":{\"Image\":\"i\"}}",
			 path);
		assert_int_equal(parse_copy(obs_slice_str(body), &in), 0);
		assert_string_equal(in.info.log_path, len < sizeof(in.info.log_path) ? path : "");
	}
}

static const struct log_case {
	const char *json, *path;
	bool local;
} logs[] = {
	{ "\"LogPath\":\"/r/a.log\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\"}}",
	  "/r/a.log", false },
	{ "\"LogPath\":\"\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\"}},"
	  "\"HostsPath\":\"/r/containers/x/hosts\"",
	  "/r/containers/" ID "/" ID "-json.log", false },
	{ "\"LogPath\":\"\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"local\"}},"
	  "\"ResolvConfPath\":\"\",\"HostnamePath\":\"/r/containers/x/hostname\"",
	  "/r/containers/" ID "/local-logs/container.log", true },
	{ "\"HostConfig\":{\"LogConfig\":{\"Type\":\"local\"}}", "", true },
	{ "\"HostConfig\":{\"LogConfig\":{\"Type\":\"journald\"}},"
	  "\"HostsPath\":\"/r/containers/x/hosts\"",
	  "", false },
};

static void the_log_of_each_driver_is_found(void **state)
{
	static char body[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
		OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};

		snprintf(body, sizeof(body),
			 "{\"Name\":\"/n\",\"State\":" UP ",\"Config\":{\"Image\":\"i\"},%s}",
			 logs[i].json);
		assert_int_equal(parse_copy(obs_slice_str(body), &in), 0);
		assert_string_equal(in.info.log_path, logs[i].path);
		assert_int_equal(in.info.log_local, logs[i].local);
	}
}

static void inspect_checks_every_answer(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct inspect_case *c = &cases[i];
		OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
		int r = parse_copy(obs_slice_str(c->body), &in);

		if (r != c->want)
			fail_msg("%s: got %d, want %d", c->name, r, c->want);
		if (r < 0)
			assert_int_equal(in.info.name[0], 0);
		else
			check_info(c, &in.info);
	}
}

static void inspect_keeps_its_limits(void **state)
{
	OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
	cleanup_buf struct obs_buf b = {};

	(void)state;
	obs_buf_printf(&b, "{\"Name\":\"/%0127d\xc3\xa4%0100d\",\"State\":{},", 0, 0);
	obs_buf_printf(&b, "\"Config\":{\"Image\":\"%0300d\",\"Labels\":{", 0);
	obs_buf_printf(&b, "\"long\":\"%0*d\",\"fits\":\"%0*d\"", OBS_INSPECT_LABEL_BYTES - 4, 0,
		       OBS_INSPECT_LABEL_BYTES - 5, 0);
	for (int i = 0; i < 100; i++)
		obs_buf_printf(&b, ",\"k%d\":\"v\"", i);
	obs_buf_push_str(&b, "}}}");

	assert_int_equal(parse_copy(obs_buf_slice(&b), &in), 0);
	assert_int_equal(strlen(in.info.name), 127);
	assert_int_equal(strlen(in.info.image), 255);
	assert_int_equal(in.info.n_labels, OBS_INSPECT_MAX_LABELS);
	assert_int_equal(strlen(in.info.labels[0]), OBS_INSPECT_LABEL_BYTES);
	assert_memory_equal(in.info.labels[0], "fits=", 5);
	assert_string_equal(in.info.labels[1], "k0=v");
}

static void inspect_cuts_names_between_characters(void **state)
{
	OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
	cleanup_buf struct obs_buf b = {};

	(void)state;
	obs_buf_printf(&b, "{\"Name\":\"%0126d\xc3\xa4\",\"State\":{},\"Config\":{\"Image\":\"\"}}",
		       0);
	assert_int_equal(parse_copy(obs_buf_slice(&b), &in), 0);
	assert_int_equal(strlen(in.info.name), 126);
}

static void inspect_refuses_depth_and_size(void **state)
{
	static char body[OBS_INSPECT_MAX_BYTES + 1];
	struct obs_inspect in = {};

	(void)state;
	memset(body, '[', sizeof(body));
	assert_int_equal(parse_copy(obs_slice(body, sizeof(body)), &in), -EPROTO);
	assert_int_equal(parse_copy(obs_slice(body, sizeof(body) - 1), &in), -EPROTO);
}

static const struct event_case {
	const char *name, *line;
	int want;
	bool destroyed;
	int64_t time_s;
} events[] = {
	/* clang-format off */
	{ "start", "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"" ID "\"},\"timeNano\":1700000000000000000}", 0, false, 1700000000 },
	{ "destroy", "{\"Type\":\"container\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"" ID "\"}}", 0, true, 0 },
	{ "no type", "{\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID "\"},\"timeNano\":\"1\"}", 0, false, 0 },
	{ "time out of range", "{\"Action\":\"die\",\"Actor\":{\"ID\":\"" ID "\"},\"timeNano\":1e300}", 0, false, 0 },
	{ "health", "{\"Action\":\"health_status: unhealthy\",\"Actor\":{\"ID\":\"" ID "\"}}", 0, false, 0 },
	{ "nearly start", "{\"Action\":\"star\",\"Actor\":{\"ID\":\"" ID "\"}}", -ENOENT },
	{ "other action", "{\"Type\":\"container\",\"Action\":\"exec_start: sh\",\"Actor\":{\"ID\":\"" ID "\"}}", -ENOENT },
	{ "other type", "{\"Type\":\"network\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"" ID "\"}}", -EPROTO },
	{ "hostile id", "{\"Action\":\"start\",\"Actor\":{\"ID\":\"../../images/json?\"}}", -EPROTO },
	{ "id too long", "{\"Action\":\"start\",\"Actor\":{\"ID\":\"" ID "0\"}}", -EPROTO },
	{ "no actor", "{\"Action\":\"start\"}", -EPROTO },
	{ "not JSON", "start", -EPROTO },
	{ "empty", "", -EPROTO },
	/* clang-format on */
};

static void event_checks_every_line(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		const struct event_case *c = &events[i];
		struct obs_engine_event ev = {};
		int r = obs_engine_event_parse(obs_slice_str(c->line), &ev);

		if (r != c->want)
			fail_msg("%s: got %d, want %d", c->name, r, c->want);
		if (strcmp(ev.id, r == 0 ? ID : "") != 0 || ev.destroyed != c->destroyed ||
		    ev.time_ns / 1000000000 != c->time_s)
			fail_msg("%s: '%s' %d", c->name, ev.id, ev.destroyed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_and_addresses),
		cmocka_unit_test(the_hosts_network_has_its_ports),
		cmocka_unit_test(the_log_is_told_whole_or_not_at_all),
		cmocka_unit_test(the_log_of_each_driver_is_found),
		cmocka_unit_test(inspect_checks_every_answer),
		cmocka_unit_test(inspect_keeps_its_limits),
		cmocka_unit_test(inspect_cuts_names_between_characters),
		cmocka_unit_test(inspect_refuses_depth_and_size),
		cmocka_unit_test(event_checks_every_line),
	};

	return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
