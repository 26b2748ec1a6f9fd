// SPDX-License-Identifier: BSD-2-Clause
/* test_config.c - keys, types, messages. Files are made in a directory of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/command.h"
#include "config/config.h"
#include "config/keys.h"
#include "util/cleanup.h"

static char source_dir[4096];

static void write_file(const char *name, const void *data, size_t len, mode_t mode)
{
	cleanup_close int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
}

static int load_text(const char *yaml, struct obs_buf *messages, struct obs_config **ret)
{
	write_file("F", yaml, strlen(yaml), 0600);
	return obs_config_load("F", messages, ret);
}

/* Load what must give no message at all. */
static struct obs_config *load_clean(const char *yaml)
{
	cleanup_buf struct obs_buf messages = { 0 };
	struct obs_config *c = NULL;
	int r = load_text(yaml, &messages, &c);

	if (r < 0 || messages.len)
		fail_msg("%s\n=> %d %s", yaml, r, obs_buf_cstr(&messages));
	return c;
}

/* clang-format off */
static const struct message_case {
	const char *yaml;
	int want;
	const char *messages;
} message_cases[] = {
	/* nothing to say */
	{ "", 0, "" },
	{ "# nothing\n", 0, "" },
	{ "---\n", 0, "" },
	{ "store:\nnode_id:\nlog_files: ~\n", 0, "" },
	{ "\xef\xbb\xbfnode_id: a\r\ngzip: yes\r\n", 0, "" },
	{ "node_id: \"\"\njwt_token: ''\nauth_token: abc\n", 0, "" },
	{ "a: &a 1\n", 0, "F:1:1: warning: unknown key 'a', ignored; 'gswarm-observer check-config --keys' lists all keys\n" },
	/* unknown keys */
	{ "batchsize: 3\n", 0, "F:1:1: warning: unknown key 'batchsize', ignored; did you mean 'batch_size'?\n" },
	{ "gzip: true\nstore:\n  maxage: 7d\n", 0, "F:3:3: warning: unknown key 'store.maxage', ignored; did you mean 'store.max_age'?\n" },
	{ "log_monitorin:\n  batch_size: 1\n", 0, "F:1:1: warning: unknown key 'log_monitorin', ignored; did you mean 'log_monitoring'?\n" },
	{ "max_bytes: 3\n", 0, "F:1:1: warning: unknown key 'max_bytes', ignored; did you mean 'store.max_bytes'?\n" },
	{ "\"a\\e[31m\": 3\n", 0, "F:1:1: warning: unknown key 'a\\x1b[31m', ignored; 'gswarm-observer check-config --keys' lists all keys\n" },
	/* wrong types */
	{ "batch_size: many\n", -EINVAL, "F:1:13: error: batch_size: found 'many'; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n" },
	{ "batch_size: 1.5\n", -EINVAL, "F:1:13: error: batch_size: found '1.5'; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n" },
	{ "batch_size: [1]\n", -EINVAL, "F:1:13: error: batch_size: found a list; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n" },
	{ "node_id: {a: b}\n", -EINVAL, "F:1:10: error: node_id: found a section; expected text on one line of at most 127 bytes; write for example 'node_id: my-node-123'\n" },
	{ "node_id: \"a\\0b\"\n", -EINVAL, "F:1:10: error: node_id: found text with a NUL byte; expected text on one line of at most 127 bytes; write for example 'node_id: my-node-123'\n" },
	{ "node_id: \"a\\nb\"\n", -EINVAL, "F:1:10: error: node_id: found 'a\\x0ab'; expected text on one line of at most 127 bytes; write for example 'node_id: my-node-123'\n" },
	{ "gzip: maybe\n", -EINVAL, "F:1:7: error: gzip: found 'maybe'; expected true or false; write for example 'gzip: false'\n" },
	{ "forward: some\n", -EINVAL, "F:1:10: error: forward: found 'some'; expected one of events, all; write for example 'forward: events'\n" },
	{ "probes: {file_write: fentry}\n", -EINVAL, "F:1:22: error: probes.file_write: found 'fentry'; expected one of auto, fexit, sys_exit, inotify; write for example 'file_write: auto'\n" },
	{ "api_endpoint: example.com\n", -EINVAL, "F:1:15: error: api_endpoint: found 'example.com'; expected an http:// or https:// URL; write for example 'api_endpoint: https://api.example.com/v1/ingest'\n" },
	{ "server:\n  listen: 8080\n", -EINVAL, "F:2:11: error: server.listen: found '8080'; expected an address and port; write for example 'listen: 127.0.0.1:8080'\n" },
	{ "store: 5\n", -EINVAL, "F:1:8: error: store: found a single value; expected a section, its keys indented on the lines below\n" },
	{ "targets:\n  include: [x]\n", -EINVAL, "F:2:12: error: targets.include: found a list; expected a section, its keys indented on the lines below\n" },
	{ "log_files: /a\n", -EINVAL, "F:1:12: error: log_files: found a single value; expected a list of texts; write for example 'log_files: [\"./logs/swarm.log\"]'\n" },
	{ "log_files:\n  - a\n  - [b]\n", -EINVAL, "F:3:5: error: log_files: an entry is no text; expected a list of texts; write for example 'log_files: [\"./logs/swarm.log\"]'\n" },
	{ "log_files:\n  - ''\n", -EINVAL, "F:2:5: error: log_files: an entry is empty, too long or holds a control character; expected a list of texts; write for example 'log_files: [\"./logs/swarm.log\"]'\n" },
	{ "targets: {include: {label: [a=b, a]}}\n", -EINVAL, "F:1:34: error: targets.include.label: a label has no '='; expected a list of texts; write for example 'label: [\"com.example.role=trainer\"]'\n" },
	{ "[1]: 2\n", -EINVAL, "F:1:1: error: a key is no text; expected 'key: value'\n" },
	{ "- a\n- b\n", -EINVAL, "F:1:1: error: the file is no mapping; expected lines of 'key: value'\n" },
	{ "hello\n", -EINVAL, "F:1:1: error: the file is no mapping; expected lines of 'key: value'\n" },
	/* a secret is not repeated */
	{ "auth_token: \"tok\\nen\"\n", -EINVAL, "F:1:13: error: auth_token: found '***'; expected text on one line of at most 4096 bytes; write for example 'auth_token: eyJhbGciOi…'\n" },
	/* out of range */
	{ "batch_size: 0\n", -EINVAL, "F:1:13: error: batch_size: '0' is out of range; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n" },
	{ "batch_size: 99999999999999999999\n", -EINVAL, "F:1:13: error: batch_size: '99999999999999999999' is out of range; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n" },
	{ "log_monitoring: {batch_flush_interval: -1}\n", -EINVAL, "F:1:40: error: log_monitoring.batch_flush_interval: '-1' is out of range; expected a duration from 0 to 1h; write for example 'batch_flush_interval: 10'\n" },
	{ "store: {max_bytes: 1KiB}\n", -EINVAL, "F:1:20: error: store.max_bytes: '1KiB' is out of range; expected a size from 1MiB to 1TiB; write for example 'max_bytes: 256MiB'\n" },
	{ "limits: {ring_bytes: 3MiB}\n", -EINVAL, "F:1:22: error: limits.ring_bytes: found '3MiB'; expected a size from 64KiB to 1GiB, a power of two; write for example 'ring_bytes: 2MiB'\n" },
	{ "system: {health_port: 70000}\n", -EINVAL, "F:1:23: error: system.health_port: '70000' is out of range; expected a port number from 0 to 65535; write for example 'health_port: 8080'\n" },
	/* not YAML */
	{ "a: b: c\n", -EINVAL, "F:1:5: error: not YAML: mapping values are not allowed in this context; correct the line, quote texts that hold : # [ ] { } or quotes\n" },
	{ "store:\n\tmax_age: 7d\n", -EINVAL, "F:2:1: error: not YAML: a tab indents this line; use spaces\n" },
	{ "a: [1, 2\n", -EINVAL, "F:2:1: error: not YAML: did not find expected ',' or ']' (while parsing a flow sequence that begins in line 1); correct the line, quote texts that hold : # [ ] { } or quotes\n" },
	{ "a: *b\n", -EINVAL, "F:1:4: error: not YAML: found undefined alias; correct the line, quote texts that hold : # [ ] { } or quotes\n" },
	{ "node_id: a\nx: \xff\xfe\n", -EINVAL, "F:2:4: error: not YAML: invalid leading UTF-8 octet; correct the line, quote texts that hold : # [ ] { } or quotes\n" },
	{ "\xff\xfe" "a", -EINVAL, "F:1:1: error: not YAML: invalid leading UTF-8 octet; correct the line, quote texts that hold : # [ ] { } or quotes\n" },
	{ "node_id: a\n---\nnode_id: b\n", 0, "F:2:1: warning: a second document begins here, ignored; remove the '---'\n" },
	/* twice */
	{ "gzip: true\ngzip: true\n", -EINVAL, "F:2:1: error: gzip: set twice, first in line 1; remove one of them\n" },
	{ "store: {max_age: 1d}\nstore: {max_age: 2d}\n", -EINVAL, "F:2:1: error: store: set twice, first in line 1; remove one of them\n" },
	{ "a: &x {gzip: true}\n<<: *x\n", -EINVAL, "F:1:1: warning: unknown key 'a', ignored; 'gswarm-observer check-config --keys' lists all keys\n"
	  "F:2:1: error: merge keys (<<) are not supported; write the keys out\n" },
	{ "jwt_token: a\nauth_token: b\n", 0, "F:2:13: warning: auth_token: 'jwt_token' in line 1 sets the same; 'auth_token' counts, remove the other\n" },
	{ "auth_token: b\njwt_token: a\n", 0, "F:2:12: warning: jwt_token: 'auth_token' in line 1 sets the same; 'auth_token' counts, remove the other\n" },
	/* secret files */
	{ "auth_token_file: none\n", -EINVAL, "F:1:18: error: auth_token_file: cannot read 'none': No such file or directory; make it readable for uid UID, or remove the key\n" },
	{ "auth_token_file: .\n", -EINVAL, "F:1:18: error: auth_token_file: cannot read '.': Is a directory; make it readable for uid UID, or remove the key\n" },
	{ "auth_token_file: empty\n", -EINVAL, "F:1:18: error: auth_token_file: 'empty' is empty; expected the secret in it\n" },
	{ "auth_token_file: lines\n", -EINVAL, "F:1:18: error: auth_token_file: the file holds no secret on one line; expected text without control characters, at most 4096 bytes\n" },
	{ "auth_token_file: open\n", 0, "F:1:18: warning: auth_token_file: everyone on this host can read 'open'; chmod 600 it\n" },
	{ "auth_token_file: secret\n", 0, "" },
	/* the token in the clear */
	{ "api_endpoint: http://example.com/\nauth_token: x\n", 0, "F: warning: api_endpoint: the token goes over http:// unencrypted; use https://\n" },
	{ "api_endpoint: http://127.0.0.1:9/\nauth_token: x\n", 0, "" },
	/* all at once, in order */
	{ "batch_size: x\nbatchsize: 1\ngzip: x\n", -EINVAL,
	  "F:1:13: error: batch_size: found 'x'; expected a whole number from 1 to 100000; write for example 'batch_size: 1000'\n"
	  "F:2:1: warning: unknown key 'batchsize', ignored; did you mean 'batch_size'?\n"
	  "F:3:7: error: gzip: found 'x'; expected true or false; write for example 'gzip: false'\n" },
};
/* clang-format on */

static void make_secret_files(void)
{
	write_file("empty", " \n", 2, 0600);
	write_file("lines", "a\nb\n", 4, 0600);
	write_file("open", "abc\n", 4, 0644);
	write_file("secret", "  s3cret \r\n", 11, 0600);
}

/* The number that "UID" stands for in the table. */
static void put_uid(const char *text, struct obs_buf *out)
{
	const char *uid = strstr(text, "UID");

	if (uid)
		obs_buf_printf(out, "%.*s%u%s", (int)(uid - text), text, geteuid(), uid + 3);
	else
		obs_buf_push_str(out, text);
}

static void every_problem_is_told_exactly(void **state)
{
	(void)state;
	make_secret_files();
	for (size_t i = 0; i < ARRAY_LEN(message_cases); i++) {
		const struct message_case *m = &message_cases[i];
		cleanup_buf struct obs_buf messages = { 0 }, want = { 0 };
		cleanup_config struct obs_config *c = NULL;
		int r = load_text(m->yaml, &messages, &c);

		put_uid(m->messages, &want);
		if (r != m->want || strcmp(obs_buf_cstr(&messages), obs_buf_cstr(&want)) != 0)
			fail_msg("%s\n=> %d (want %d)\n%swant:\n%s", m->yaml, r, m->want,
				 obs_buf_cstr(&messages), obs_buf_cstr(&want));
		assert_int_equal(c == NULL, r < 0); /* untouched on failure */
	}
}

static void file_problems(void **state)
{
	cleanup_buf struct obs_buf messages = { 0 };
	struct obs_config *c = NULL;

	(void)state;
	assert_int_equal(obs_config_load("missing.yaml", &messages, &c), -ENOENT);
	assert_int_equal(obs_config_load(".", &messages, &c), -EISDIR);
	assert_string_equal(obs_buf_cstr(&messages),
			    "missing.yaml: error: cannot read it: No such file or directory; name "
			    "another file with -c FILE or CONFIG_PATH\n"
			    ".: error: cannot read it: Is a directory; name another file with -c "
			    "FILE or CONFIG_PATH\n");
	assert_null(c);
}

static void fill_file(const char *unit, size_t times, const char *end)
{
	cleanup_buf struct obs_buf b = { 0 };

	for (size_t i = 0; i < times; i++)
		obs_buf_push_str(&b, unit);
	obs_buf_push_str(&b, end);
	write_file("F", b.p, b.len, 0600);
}

static const struct limit_case {
	const char *unit;
	size_t times;
	const char *end;
	int want;
	const char *part; /* of the messages */
} limit_cases[] = {
	{ "#234567\n", 131072, "", 0, "" },
	{ "#234567\n", 131072, "#", -EFBIG, "it is larger than 1 MiB" },
	{ "[", 1000000, "", -EINVAL, "nested more than 32 deep" },
	{ "- ", 500000, "", -EINVAL, "nested more than 32 deep" },
	{ "{a: ", 200000, "", -EINVAL, "nested more than 32 deep" },
	{ "- a\n", 200000, "", -EINVAL, "more than 20000 values" },
	{ "a: 1\n", 9000, "", -EINVAL, "more than 50 problems; the rest is not shown" },
	{ "zzzzzzzzzzzzzzzzzzzzzz: &b [*b, *b]\n", 1, "", 0, "unknown key" },
	{ "store: &s\n  targets: *s\n", 1, "", 0, "unknown key 'store.targets'" },
	{ "targets: &s\n  include: *s\n", 1, "", 0, "unknown key 'targets.include.include'" },
	{ "log_files: [", 1, "x, x, x]\n", 0, "" },
};

static void limits_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(limit_cases); i++) {
		const struct limit_case *k = &limit_cases[i];
		cleanup_buf struct obs_buf messages = { 0 };
		cleanup_config struct obs_config *c = NULL;
		int r;

		fill_file(k->unit, k->times, k->end);
		r = obs_config_load("F", &messages, &c);
		if (r != k->want || !strstr(obs_buf_cstr(&messages), k->part))
			fail_msg("case %zu: %d, %s", i, r, obs_buf_cstr(&messages));
	}
}

static void too_many_entries(void **state)
{
	cleanup_buf struct obs_buf messages = { 0 }, yaml = { 0 };
	struct obs_config *c = NULL;

	(void)state;
	obs_buf_push_str(&yaml, "log_files:\n");
	for (int i = 0; i < 1025; i++)
		obs_buf_push_str(&yaml, "- a\n");
	assert_int_equal(load_text(obs_buf_cstr(&yaml), &messages, &c), -EINVAL);
	assert_string_equal(obs_buf_cstr(&messages),
			    "F:2:1: error: log_files: too many entries; expected at most 1024\n");
}

/* The sample of the Go sidecar's repository, with the sections its documents add. */
static const char sidecar[] = "logs:\n"
			      "  swarm_log_path: \"./logs/swarm.log\"\n"
			      "  yarn_log_path: \"./logs/yarn.log\"\n"
			      "  wandb_log_path: \"./logs/wandb/\"\n"
			      "\n"
			      "dht:\n"
			      "  bootstrap_peers:\n"
			      "    - \"/ip4/127.0.0.1/tcp/8001/p2p/QmBootstrap1\"\n"
			      "    - \"/ip4/127.0.0.1/tcp/8002/p2p/QmBootstrap2\"\n"
			      "  port: 8000\n"
			      "\n"
			      "blockchain:\n"
			      "  contract_address: \"0xFaD7C5e93f28257429569B854151A1B8DCD404c2\"\n"
			      "  rpc_url: \"https://gensyn-testnet.g.alchemy.com/v2/key\"\n"
			      "  chain_id: 685685\n"
			      "  contract_abi_path: configs/contract.abi.json\n"
			      "  poll_interval: 60\n"
			      "  send_interval: 300\n"
			      "  node_eoa: \"0x0000000000000000000000000000000000000001\"\n"
			      "  node_peer_id: QmRzqfPNGuudjnz1bkE2i45YGCEtnYx9PtGp2aiVJfKhAc\n"
			      "\n"
			      "system:\n"
			      "  metrics_interval: 30\n"
			      "  health_port: 8089\n"
			      "  poll_interval: 10      # Polling interval in seconds\n"
			      "  enable_gpu: true\n"
			      "  enable_cpu: true\n"
			      "  enable_ram: true\n"
			      "  batch_size: 10\n"
			      "\n"
			      "storage:\n"
			      "  data_path: \"./data\"\n"
			      "\n"
			      "api:\n"
			      "  base_url: \"https://api.gswarm.example.com\"\n"
			      "  metrics_endpoint: \"/api/v1/metrics\"\n"
			      "  health_endpoint: \"/api/v1/health\"\n"
			      "  blockchain_latest_endpoint: \"/api/v1/latest-blockchain\"\n"
			      "  auth_token: \"your-api-token-here\"\n"
			      "  timeout: 30\n"
			      "  retry_count: 3\n"
			      "\n"
			      "log_monitoring:\n"
			      "  api_endpoint: \"https://central-api.example.com/gswarm/metrics\"\n"
			      "  auth_token: \"YOUR_BEARER_TOKEN_HERE\"  # Optional\n"
			      "  batch_size: 10\n"
			      "  batch_flush_interval: 10\n"
			      "  initial_tail_lines: 100\n"
			      "  log_files:\n"
			      "    - \"./logs/swarm.log\"\n"
			      "    - \"./logs/yarn.log\"\n"
			      "    # - \"./logs/wandb/debug.log\"  # Uncomment to enable\n"
			      "\n"
			      "telegram:\n"
			      "  bot_token:    \"<your-telegram-bot-token>\"\n"
			      "  chat_id:      \"-1001234567890\"\n"
			      "  alert_on_down: true\n"
			      "  down_alert_delay: 300\n"
			      "\n"
			      "node_id: \"my-node-123\"\n"
			      "\n"
			      "jwt_token: \"<your-node-JWT>\"\n";

static void the_sidecars_file_works_unchanged(void **state)
{
	cleanup_config struct obs_config *c = load_clean(sidecar);

	(void)state;
	assert_string_equal(c->node_id, "my-node-123");
	assert_string_equal(c->api.token, "<your-node-JWT>");
	assert_string_equal(c->api.endpoint, "https://central-api.example.com/gswarm/metrics");
	assert_int_equal(c->api.batch_size, 10);
	assert_true(c->api.batch_interval_s == 10 && c->api.timeout_s == 30);
	assert_int_equal(c->log_files.n, 2);
	assert_string_equal(c->log_files.v[1], "./logs/yarn.log");
	assert_string_equal(c->server.listen, "127.0.0.1:8089");
	assert_string_equal(c->state_dir, "./data");
	assert_string_equal(obs_config_text(c, "api.auth_token"), "your-api-token-here");
	assert_string_equal(obs_config_text(c, "telegram.chat_id"), "-1001234567890");
	assert_int_equal(obs_config_number(c, "blockchain.chain_id"), 685685);
	assert_true(obs_config_number(c, "telegram.alert_on_down") == 1);
	assert_int_equal(obs_config_list(c, "dht.bootstrap_peers").n, 2);
	assert_true(obs_config_is_set(c, "blockchain.send_interval"));
	assert_false(obs_config_is_set(c, "gzip"));
}

static void zero_values_of_go_mean_unset(void **state)
{
	cleanup_config struct obs_config *c = load_clean(
		"node_id: ''\njwt_token: ''\napi_endpoint: ''\nstorage: {data_path: ''}\n"
		"log_monitoring: {api_endpoint: '', batch_size: 0, log_files: []}\n"
		"system: {health_port: 0, enable_gpu: false}\napi: {timeout: 0}\n");

	(void)state;
	assert_true(*c->node_id && *c->state_dir);
	assert_int_equal(c->api.batch_size, 1000);
	assert_string_equal(c->server.listen, "127.0.0.1:8080");
	assert_true(c->api.timeout_s == 0);
}

static void the_seeds_flat_file_works(void **state)
{
	cleanup_config struct obs_config *c =
		load_clean("api_endpoint: https://x.example/y\nauth_token: abc\nbatch_size: 50\n"
			   "log_files:\n- /a.log\n- /b.log\n");

	(void)state;
	assert_string_equal(c->api.endpoint, "https://x.example/y");
	assert_string_equal(c->api.token, "abc");
	assert_int_equal(c->api.batch_size, 50);
	assert_int_equal(c->log_files.n, 2);
}

static void defaults(void **state)
{
	cleanup_config struct obs_config *c = NULL;
	char host[128] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	assert_int_equal(obs_config_default(&c), 0);
	assert_string_equal(c->node_id, host);
	assert_int_equal(c->forward, OBS_FORWARD_EVENTS);
	assert_string_equal(c->api.endpoint, "");
	assert_string_equal(c->api.token, "");
	assert_int_equal(c->api.batch_size, 1000);
	assert_int_equal(c->api.batch_bytes, 1 << 20);
	assert_true(c->api.batch_interval_s == 0 && c->api.timeout_s == 30 && !c->api.gzip);
	assert_int_equal(c->initial_tail_lines, 100);
	assert_true(c->targets.builtin && c->probes.bpf);
	assert_int_equal(c->targets.include.container.n, 0);
	assert_string_equal(c->targets.docker_socket, "");
	assert_string_equal(c->server.listen, "127.0.0.1:8080");
	assert_int_equal(c->store.max_bytes, 256 << 20);
	assert_true(c->store.max_age_s == 7 * 86400);
	assert_int_equal(c->limits.ring_bytes, 2 << 20);
	assert_int_equal(c->limits.payload_bytes, 4000);
	assert_int_equal(c->limits.line_bytes, 65536);
	assert_int_equal(c->limits.assembly_bytes, 16 << 20);
	assert_int_equal(c->limits.streams, 1024);
	assert_int_equal(c->limits.pending_bytes, 1 << 20);
	assert_string_equal(c->probes.file_write, "auto");
}

static const struct number_case {
	const char *path, *text;
	double want; /* < 0: refused */
} number_cases[] = {
	{ "store.max_age", "7d", 7 * 86400 },
	{ "store.max_age", "12h", 12 * 3600 },
	{ "store.max_age", "90s", 90 },
	{ "store.max_age", "90", 90 },
	{ "store.max_age", "1.5h", 5400 },
	{ "store.max_age", "60", 60 },
	{ "store.max_age", "59", -1 },
	{ "store.max_age", "3650d", 3650 * 86400.0 },
	{ "store.max_age", "3651d", -1 },
	{ "store.max_age", "7w", -1 },
	{ "store.max_age", "d", -1 },
	{ "store.max_age", "inf", -1 },
	{ "store.max_age", "nan", -1 },
	{ "store.max_age", "0x100", -1 },
	{ "store.max_age", "1e999", -1 },
	{ "store.max_age", "7 d", 7 * 86400 },
	{ "store.max_age", "7d7", -1 },
	{ "batch_interval", "500ms", 0.5 },
	{ "batch_interval", "-1", -1 },
	{ "store.max_bytes", "256MiB", 268435456 },
	{ "store.max_bytes", "10MB", 10000000 },
	{ "store.max_bytes", "10mb", 10000000 },
	{ "store.max_bytes", "1048576", 1048576 },
	{ "store.max_bytes", "1048575", -1 },
	{ "store.max_bytes", "1TiB", 1099511627776.0 },
	{ "store.max_bytes", "1.1TiB", -1 },
	{ "store.max_bytes", "1PiB", -1 },
	{ "limits.ring_bytes", "64KiB", 65536 },
	{ "limits.ring_bytes", "1GiB", 1073741824 },
	{ "limits.ring_bytes", "65537", -1 },
	{ "batch_size", "1", 1 },
	{ "batch_size", "100000", 100000 },
	{ "batch_size", "100001", -1 },
	{ "batch_size", "0x10", 16 },
	{ "batch_size", "1 0", -1 },
	{ "initial_tail_lines", "-1", -1 },
	{ "gzip", "on", 1 },
	{ "gzip", "False", 0 },
	{ "gzip", "2", -1 },
};

static double value_as_number(const struct obs_key *key, const union obs_value *v)
{
	switch (key->type) {
	case OBS_KEY_BOOL:
		return v->flag;
	case OBS_KEY_SECONDS:
		return v->seconds;
	default:
		return (double)v->integer;
	}
}

static void numbers_and_units(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(number_cases); i++) {
		const struct number_case *n = &number_cases[i];
		const struct obs_key *key = obs_key_find(n->path);
		union obs_value v = { .integer = -99 };
		int r = obs_key_parse(key, n->text, &v);

		if (n->want < 0 && r == 0 && v.integer == -1)
			continue; /* initial_tail_lines: -1 */
		if ((r < 0) != (n->want < 0))
			fail_msg("%s %s: %d", n->path, n->text, r);
		if (r < 0)
			assert_int_equal(v.integer, -99);
		else
			assert_true(value_as_number(key, &v) == n->want);
	}
}

static void secrets_from_files_and_environment(void **state)
{
	cleanup_config struct obs_config *a = NULL, *b = NULL;

	(void)state;
	make_secret_files();
	a = load_clean("jwt_token_file: secret\ntelegram: {bot_token_file: secret}\n");
	assert_string_equal(a->api.token, "s3cret");
	assert_string_equal(obs_config_text(a, "telegram.bot_token"), "s3cret");

	setenv("GSWARM_JWT_TOKEN", "jwt", 1);
	setenv("GSWARM_AUTH_TOKEN", "from-env", 1);
	setenv("GSWARM_NODE_ID", "n", 1);
	b = load_clean("auth_token: in-file\n");
	unsetenv("GSWARM_JWT_TOKEN");
	unsetenv("GSWARM_AUTH_TOKEN");
	unsetenv("GSWARM_NODE_ID");
	assert_string_equal(b->api.token, "from-env");
	assert_string_equal(b->node_id, "n");
}

static void bad_environment(void **state)
{
	cleanup_buf struct obs_buf messages = { 0 };
	struct obs_config *c = NULL;

	(void)state;
	setenv("GSWARM_API_ENDPOINT", "ftp://x", 1);
	assert_int_equal(obs_config_load(NULL, &messages, &c), -EINVAL);
	unsetenv("GSWARM_API_ENDPOINT");
	assert_string_equal(
		obs_buf_cstr(&messages),
		"GSWARM_API_ENDPOINT: error: api_endpoint: found 'ftp://x'; expected an "
		"http:// or https:// URL; write for example 'api_endpoint: "
		"https://api.example.com/v1/ingest'\n");
}

static void output_hides_secrets_and_loads_again(void **state)
{
	cleanup_config struct obs_config *c = load_clean(sidecar), *again = NULL;
	cleanup_buf struct obs_buf out = { 0 }, out2 = { 0 };
	const char *text;

	(void)state;
	obs_config_format(c, &out);
	text = obs_buf_cstr(&out);
	assert_null(strstr(text, "<your-node-JWT>"));
	assert_null(strstr(text, "your-api-token-here"));
	assert_null(strstr(text, "telegram-bot-token"));
	assert_null(strstr(text, "v2/key"));
	assert_non_null(strstr(text, "auth_token: \"***\" "));
	assert_non_null(strstr(text, "# file, line 62, as jwt_token"));
	assert_non_null(strstr(text, "rpc_url: \"https://gensyn-testnet.g.alchemy.com/***\""));
	again = load_clean(text);
	obs_config_format(again, &out2);
	assert_string_equal(again->server.listen, c->server.listen);
	assert_int_equal(again->log_files.n, 2);
	assert_true(again->store.max_age_s == c->store.max_age_s);
}

static void user_and_password_in_urls_are_hidden(void **state)
{
	cleanup_config struct obs_config *c = load_clean("api_endpoint: https://me:pw@h:1/p?q@r\n");
	cleanup_buf struct obs_buf out = { 0 };

	(void)state;
	obs_config_format(c, &out);
	assert_non_null(strstr(obs_buf_cstr(&out), "\"https://***@h:1/p?q@r\""));
}

static void sections_for_later_keep_their_text(void **state)
{
	cleanup_config struct obs_config *c =
		load_clean("node_id: \"é\"\nsinks:\n  - a: \"ü\"\n    b: 2\n"
			   "alerts: {x: [1]}\n");

	(void)state;
	assert_string_equal(obs_config_text(c, "sinks"), "  - a: \"ü\"\n    b: 2\n");
	assert_string_equal(obs_config_text(c, "alerts"), "        {x: [1]}");
	assert_string_equal(obs_config_text(c, "patterns"), "");
	assert_string_equal(obs_config_text(c, "no.such.key"), "");
}

static void the_table_is_consistent(void **state)
{
	(void)state;
	for (size_t i = 0; i < obs_keys_n; i++) {
		const struct obs_key *k = &obs_keys[i];

		if (obs_key_find(k->path) != k)
			fail_msg("%s: two rows", k->path);
		if (k->alias && (!obs_key_find(k->alias) || obs_key_find(k->alias) >= k))
			fail_msg("%s: an alias stands below its row", k->path);
		if (!k->help || !*k->help || (!obs_key_is_list(k) && !k->def && !k->compute_def))
			fail_msg("%s: no help or default", k->path);
	}
}

/* Take the '#' from every line "#key: value"; how many there were. */
static int uncomment(const char *text, struct obs_buf *out)
{
	int n = 0;

	while (*text) {
		size_t len = strcspn(text, "\n"), blank = strspn(text, " ");
		bool key = text[blank] == '#' && text[blank + 1] >= 'a' && text[blank + 1] <= 'z';

		n += key;
		obs_buf_push(out, text, blank);
		obs_buf_push(out, text + blank + key, len - blank - key);
		obs_buf_push_str(out, "\n");
		text += len + (text[len] == '\n');
	}
	return n;
}

static void read_sample(struct obs_buf *out)
{
	char path[sizeof(source_dir) + 32], chunk[4096];
	cleanup_fclose FILE *f = NULL;
	size_t n;

	snprintf(path, sizeof(path), "%s/configs/config.yaml", source_dir);
	f = fopen(path, "re");
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		obs_buf_push(out, chunk, n);
}

/* As it stands and with every '#' taken away, the sample means the defaults. */
static void the_sample_shows_every_default(void **state)
{
	cleanup_buf struct obs_buf sample = { 0 }, all = { 0 };
	cleanup_config struct obs_config *c = NULL, *d = NULL;

	(void)state;
	read_sample(&sample);
	c = load_clean(obs_buf_cstr(&sample));
	assert_int_equal(obs_config_default(&d), 0);
	for (size_t i = 0; i < obs_keys_n; i++)
		assert_int_equal(obs_key_origin(c, &obs_keys[i])->kind, OBS_FROM_DEFAULT);
	obs_config_free(&c);

	assert_true(uncomment(obs_buf_cstr(&sample), &all) > 30);
	c = load_clean(obs_buf_cstr(&all));
	for (size_t i = 0; i < obs_keys_n; i++) {
		const struct obs_key *k = &obs_keys[i];
		cleanup_buf struct obs_buf a = { 0 }, b = { 0 };
		union obs_value va = obs_key_get(c, k), vb = obs_key_get(d, k);

		if (k->alias || k->compute_def || (k->flags & (OBS_KEY_LATER | OBS_KEY_DEAD)))
			continue;
		if (!strstr(obs_buf_cstr(&sample), obs_key_leaf(k)))
			fail_msg("%s is not in configs/config.yaml", k->path);
		obs_key_format(k, &va, &a);
		obs_key_format(k, &vb, &b);
		assert_string_equal(obs_buf_cstr(&a), obs_buf_cstr(&b));
	}
}

static void which_file(void **state)
{
	(void)state;
	unsetenv("CONFIG_PATH");
	assert_string_equal(obs_config_find("x"), "x");
	mkdir("configs", 0700);
	write_file("configs/config.yaml", "", 0, 0600);
	assert_string_equal(obs_config_find(NULL), "configs/config.yaml");
	setenv("CONFIG_PATH", "y", 1);
	assert_string_equal(obs_config_find(NULL), "y");
	unsetenv("CONFIG_PATH");
	unlink("configs/config.yaml");
	rmdir("configs");
}

extern const struct obs_command obs_command_check_config;

static int redirect(int fd, const char *name)
{
	cleanup_close int to = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int saved;

	fflush(NULL);
	saved = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	assert_true(to >= 0 && saved >= 0 && dup2(to, fd) == fd);
	return saved;
}

static void restore(int fd, int saved)
{
	fflush(NULL);
	dup2(saved, fd);
	close(saved);
}

static void read_file(const char *name, struct obs_buf *ret)
{
	cleanup_fclose FILE *f = fopen(name, "re");
	char chunk[4096];
	size_t n;

	while (f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		obs_buf_push(ret, chunk, n);
}

/* Run check-config; its output stands in the files "out" and "err". */
static int run_command(char **argv)
{
	int argc = 0, out = redirect(STDOUT_FILENO, "out"), err = redirect(STDERR_FILENO, "err"), r;

	while (argv[argc])
		argc++;
	r = obs_command_check_config.run(argc, argv);
	restore(STDOUT_FILENO, out);
	restore(STDERR_FILENO, err);
	return r;
}

static const struct command_case {
	const char *yaml;
	char *argv[5];
	int want;
	const char *out, *err; /* parts */
} command_cases[] = {
	{ "gzip: true\n", { "check-config", "-c", "F" }, 0, "\ngzip: true ", "" },
	{ "gzi: true\n", { "check-config", "--config=F" }, 0, "\ngzip: false ", "F:1:1: warning:" },
	{ "gzip: 7\n", { "check-config", "-c", "F" }, 2, "", "F:1:7: error: gzip: found '7'" },
	{ "", { "check-config", "-c", "none" }, 2, "", "none: error: cannot read it" },
	{ "", { "check-config", "F" }, 2, "", "unexpected 'F'; name the file with -c" },
	{ "", { "check-config", "--key" }, 2, "", "did you mean '--keys'?" },
	{ "",
	  { "check-config", "--keys" },
	  0,
	  "\nstore.max_bytes\n    size, 1MiB to 1TiB; default 256MiB\n",
	  "" },
	{ "", { "check-config", "--keys", "--man" }, 0, ".B store.max_bytes\n", "" },
};

static void the_command_says_it_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(command_cases); i++) {
		const struct command_case *k = &command_cases[i];
		cleanup_buf struct obs_buf out = { 0 }, err = { 0 };
		int r;

		write_file("F", k->yaml, strlen(k->yaml), 0600);
		r = run_command((char **)(uintptr_t)k->argv);
		read_file("out", &out);
		read_file("err", &err);
		if (r != k->want || !strstr(obs_buf_cstr(&out), k->out) ||
		    !strstr(obs_buf_cstr(&err), k->err) || (err.len == 0) != (*k->err == 0))
			fail_msg("%zu: %d\n%s\n%s", i, r, obs_buf_cstr(&out), obs_buf_cstr(&err));
	}
}

static char work_dir[] = "/tmp/obs-config-XXXXXX";

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < obs_keys_n; i++) {
		if (obs_keys[i].env)
			unsetenv(obs_keys[i].env);
	}
	if (!getcwd(source_dir, sizeof(source_dir)) || !mkdtemp(work_dir))
		return -1;
	return chdir(work_dir);
}

static int teardown(void **state)
{
	static const char *const files[] = {
		"F", "empty", "lines", "open", "secret", "out", "err"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(files[i]);
	return chdir("/") == 0 ? rmdir(work_dir) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_problem_is_told_exactly),
		cmocka_unit_test(file_problems),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(too_many_entries),
		cmocka_unit_test(the_sidecars_file_works_unchanged),
		cmocka_unit_test(zero_values_of_go_mean_unset),
		cmocka_unit_test(the_seeds_flat_file_works),
		cmocka_unit_test(defaults),
		cmocka_unit_test(numbers_and_units),
		cmocka_unit_test(secrets_from_files_and_environment),
		cmocka_unit_test(bad_environment),
		cmocka_unit_test(output_hides_secrets_and_loads_again),
		cmocka_unit_test(user_and_password_in_urls_are_hidden),
		cmocka_unit_test(sections_for_later_keep_their_text),
		cmocka_unit_test(the_table_is_consistent),
		cmocka_unit_test(the_sample_shows_every_default),
		cmocka_unit_test(which_file),
		cmocka_unit_test(the_command_says_it_all),
	};

	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
