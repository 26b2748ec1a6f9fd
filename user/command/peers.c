// SPDX-License-Identifier: BSD-2-Clause
/*
 * peers.c - with whom the nodes of a running observer are connected, asked over its HTTP server.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "config/config.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/listen.h"

#define ANSWER_MAX_BYTES (64 * 1024 * 1024)
#define TIMEOUT_S	 10L

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings of the observer, for its address" },
	{ 0, "url", "URL", "the observer's address, http://HOST:PORT" },
	{ 0, "json", NULL, "everything, as the observer says it" },
	{ 0, "all", NULL, "peers that are not connected now, too" },
	{ 0 },
};

struct request {
	const char *config;
	char url[512];
	bool json, all;
};

static int apply(const struct obs_option_value *o, struct request *q)
{
	if (!o->name) {
		fprintf(stderr, "gswarm-observer peers: '%s' is one too many; see --help\n",
			o->value);
		return -EINVAL;
	}
	if (!strcmp(o->name, "config"))
		q->config = o->value;
	else if (!strcmp(o->name, "url"))
		snprintf(q->url, sizeof(q->url), "%s/api/v1/peers", o->value);
	else if (!strcmp(o->name, "json"))
		q->json = true;
	else
		q->all = true;
	return 0;
}

/* Who listens on every address is asked on loopback. */
static int address_of(struct request *q)
{
	cleanup_buf struct obs_buf messages = {};
	cleanup_config struct obs_config *config = NULL;
	struct obs_listen at;
	const char *host;
	int r;

	if (*q->url)
		return 0;
	r = obs_config_load(obs_config_find(q->config), &messages, &config);
	if (r < 0) {
		fputs(obs_buf_cstr(&messages), stderr);
		return r;
	}
	if (obs_listen_parse(config->server.listen, &at) < 0) {
		fputs("gswarm-observer peers: the observer has no HTTP server (server.listen)\n",
		      stderr);
		return -EINVAL;
	}
	host = *at.host && strcmp(at.host, "0.0.0.0") != 0 && strcmp(at.host, "::") != 0
		       ? at.host
		       : "127.0.0.1";
	snprintf(q->url, sizeof(q->url),
		 strchr(host, ':') ? "http://[%s]:%u/api/v1/peers" : "http://%s:%u/api/v1/peers",
		 host, at.port);
	return 0;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
	return obs_buf_push(ctx, p, size * n) < 0 ? 0 : size * n;
}

static void free_easy(CURL **easy)
{
	curl_easy_cleanup(*easy);
	*easy = NULL;
}

static int fetch(const struct request *q, struct obs_buf *answer)
{
	OBS_CLEANUP(free_easy) CURL *easy = curl_easy_init();
	CURLcode r;

	if (!easy)
		return -ENOMEM;
	curl_easy_setopt(easy, CURLOPT_URL, q->url);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	r = curl_easy_perform(easy);
	if (r == CURLE_OK)
		return 0;
	fprintf(stderr, "gswarm-observer peers: %s: %s; does the observer run?\n", q->url,
		curl_easy_strerror(r));
	return -EIO;
}

/* --- the table --- */

static const char *text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text ? text : "";
}

/* Numbers beyond 2^53 come as text. */
static double number_of(const cJSON *o, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(item) ? item->valuedouble
				    : strtod(cJSON_IsString(item) ? item->valuestring : "0", NULL);
}

static const char *bytes_text(double n, char out[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	for (; n >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000;
	snprintf(out, 16, i == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[i]);
	return out;
}

static const char *rtt_text(double us, char out[16])
{
	if (us > 0)
		snprintf(out, 16, "%.1f ms", us / 1000);
	else
		snprintf(out, 16, "-");
	return out;
}

static void print_peer(const cJSON *p)
{
	char sent[16], received[16], rtt[16];
	const char *who = *text_of(p, "name") ? text_of(p, "name") : text_of(p, "peer_id");

	printf("  %-28s %-12s %4.0f %6.0f %6.0f %6.0f %9s %9s %10s  %s%s%s\n",
	       text_of(p, "address"), text_of(p, "role"), number_of(p, "open"), number_of(p, "in"),
	       number_of(p, "out"), number_of(p, "failed"), rtt_text(number_of(p, "rtt_us"), rtt),
	       bytes_text(number_of(p, "bytes_sent"), sent),
	       bytes_text(number_of(p, "bytes_received"), received), who,
	       *who && *text_of(p, "last_error") ? ", " : "", text_of(p, "last_error"));
}

static void print_listener(const cJSON *l)
{
	if (number_of(l, "from_outside") > 0)
		printf("  %-28s %s, reached from outside, last at %s\n", text_of(l, "local"),
		       text_of(l, "process"), text_of(l, "last_from_outside"));
	else
		printf("  %-28s %s, never reached from outside\n", text_of(l, "local"),
		       text_of(l, "process"));
}

static void print_node(const cJSON *node, bool all)
{
	const cJSON *p, *totals = cJSON_GetObjectItemCaseSensitive(node, "totals");

	printf("%s: %d connections, %.0f opened to it, %.0f by it, %.0f failed\n",
	       text_of(node, "node"),
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(node, "connections")),
	       number_of(totals, "in"), number_of(totals, "out"), number_of(totals, "failed"));
	printf("  %-28s %-12s %4s %6s %6s %6s %9s %9s %10s\n", "peer", "role", "open", "in", "out",
	       "failed", "rtt", "sent", "received");
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "peers"))
	{
		if (all || number_of(p, "open") > 0)
			print_peer(p);
	}
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "listening"))
		print_listener(p);
}

static void free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
	*tree = NULL;
}

static int print_table(struct obs_buf *answer, bool all)
{
	OBS_CLEANUP(free_tree) cJSON *root = cJSON_Parse(obs_buf_cstr(answer));
	const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(root, "nodes"), *node;

	if (!cJSON_IsArray(nodes)) {
		fputs("gswarm-observer peers: what answers there is no observer\n", stderr);
		return -EBADMSG;
	}
	if (!cJSON_GetArraySize(nodes))
		puts("no node is being watched");
	cJSON_ArrayForEach(node, nodes) print_node(node, all);
	return 0;
}

static int run(int argc, char **argv)
{
	cleanup_buf struct obs_buf answer = { .max_bytes = ANSWER_MAX_BYTES };
	struct obs_option_value o;
	struct request q = {};
	int index = 1, r;

	while ((r = obs_command_next(&obs_command_peers, argc, argv, &index, &o)) > 0) {
		r = apply(&o, &q);
		if (r < 0)
			break;
	}
	if (r < 0 || address_of(&q) < 0)
		return OBS_EXIT_USAGE;
	if (fetch(&q, &answer) < 0)
		return OBS_EXIT_FAIL;
	if (!q.json)
		return print_table(&answer, q.all) < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
	fwrite(answer.p, 1, answer.len, stdout);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_peers = {
	.name = "peers",
	.summary = "with whom nodes are connected now, and who has reached them",
	.arguments = "",
	.options = options,
	.details =
		"Asks the running observer (GET /api/v1/peers). Whoever dials a node from a port of the\n"
		"moment is one peer per address. A port that nobody outside has reached may be behind\n"
		"a NAT or a firewall.",
	.run = run,
};
