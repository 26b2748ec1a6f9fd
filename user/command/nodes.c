// SPDX-License-Identifier: BSD-2-Clause
/* nodes.c - `nodes`: asks the running daemon what state each node is in, and prints a table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <curl/curl.h>

#include "command/command.h"
#include "command/follow_loop.h"
#include "config/config.h"
#include "util/cleanup.h"
#include "util/listen.h"

#define ANSWER_MAX_BYTES (16 * 1024 * 1024)
#define TIMEOUT_S	 10L

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "the daemon's config: where it listens (server.listen)" },
	{ 'u', "url", "URL", "ask this address instead, such as http://127.0.0.1:8080" },
	{ 'j', "json", NULL, "print the answer as it comes" },
	{ 'l', "long", NULL, "print what each state was concluded from, too" },
	{ 0 },
};

struct arguments {
	const char *config, *url;
	bool json, details;
};

static void free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
	*tree = NULL;
}

static void free_curl(CURL **c)
{
	curl_easy_cleanup(*c);
	*c = NULL;
}

static size_t on_data(char *p, size_t size, size_t n, void *ctx)
{
	return obs_buf_push(ctx, p, size * n) < 0 ? 0 : size * n;
}

/* --- where the daemon listens --- */

static int put_url(const struct arguments *a, struct obs_buf *url)
{
	cleanup_config struct obs_config *config = NULL;
	struct obs_listen at;
	const char *path;
	int r;

	if (a->url) {
		obs_buf_printf(url, "%s/api/v1/nodes", a->url);
		return 0;
	}
	r = obs_command_config(a->config, &config, &path);
	if (r != 0)
		return r;
	if (obs_listen_parse(config->server.listen, &at) < 0) {
		fprintf(stderr, "gswarm-observer nodes: server.listen is empty: the daemon has no "
				"address to ask\n");
		return OBS_EXIT_FAIL;
	}
	if (!*at.host || strcmp(at.host, "0.0.0.0") == 0 || strcmp(at.host, "::") == 0)
		snprintf(at.host, sizeof(at.host), "127.0.0.1");
	obs_buf_printf(url,
		       strchr(at.host, ':') ? "http://[%s]:%u/api/v1/nodes"
					    : "http://%s:%u/api/v1/nodes",
		       at.host, at.port);
	return 0;
}

static int fetch(const char *url, struct obs_buf *out)
{
	OBS_CLEANUP(free_curl) CURL *c = curl_easy_init();
	long status = 0;
	CURLcode r;

	if (!c)
		return -ENOMEM;
	out->max_bytes = ANSWER_MAX_BYTES;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
	r = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (r == CURLE_OK && status == 200)
		return 0;
	fprintf(stderr, "gswarm-observer nodes: %s: %s%.0ld; is the daemon running there?\n", url,
		r == CURLE_OK ? "HTTP " : curl_easy_strerror(r), r == CURLE_OK ? status : 0L);
	return -EIO;
}

/* --- the table --- */

static const char *text_of(const cJSON *o, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItem(o, key));

	return s ? s : "";
}

/* Names and log text are other people's words: no control character reaches the terminal. */
static void put_clean(const char *s, int width)
{
	int n = 0;

	for (; *s; s++) {
		putchar((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s);
		n += ((unsigned char)*s & 0xc0) != 0x80;
	}
	for (; n < width; n++)
		putchar(' ');
}

static void put_for(const cJSON *node, int width)
{
	const cJSON *age = cJSON_GetObjectItem(node, "for_s");
	double s = cJSON_IsNumber(age) ? age->valuedouble : -1;
	char text[32] = "";

	if (s >= 172800)
		snprintf(text, sizeof(text), "%.0f d", s / 86400);
	else if (s >= 7200)
		snprintf(text, sizeof(text), "%.0f h", s / 3600);
	else if (s >= 120)
		snprintf(text, sizeof(text), "%.0f min", s / 60);
	else if (s >= 0)
		snprintf(text, sizeof(text), "%.0f s", s);
	put_clean(text, width);
}

static void put_state(const cJSON *node, int width)
{
	const char *sub = text_of(node, "sub_state");
	char text[64];

	snprintf(text, sizeof(text), "%.30s%s%.30s", text_of(node, "state"), *sub ? "/" : "", sub);
	put_clean(text, width);
}

static void put_round(const cJSON *node, int width)
{
	const cJSON *round = cJSON_GetObjectItem(node, "round");
	char text[32] = "-";

	if (cJSON_IsNumber(round))
		snprintf(text, sizeof(text), "%.0f", round->valuedouble);
	put_clean(text, width);
}

static void put_details(const cJSON *node)
{
	const cJSON *e;

	fputs("    ", stdout);
	put_clean(text_of(node, "reason"), 0);
	putchar('\n');
	cJSON_ArrayForEach(e, cJSON_GetObjectItem(node, "evidence"))
	{
		fputs("    seen ", stdout);
		put_clean(text_of(e, "time"), 30);
		put_clean(text_of(e, "text"), 0);
		putchar('\n');
	}
}

static int print_table(const struct obs_buf *answer, bool details)
{
	OBS_CLEANUP(free_tree) cJSON *root = cJSON_ParseWithLength(answer->p, answer->len);
	const cJSON *node, *nodes = cJSON_GetObjectItem(root, "nodes");

	if (!cJSON_IsArray(nodes)) {
		fprintf(stderr, "gswarm-observer nodes: the answer is not a list of nodes\n");
		return OBS_EXIT_FAIL;
	}
	if (cJSON_GetArraySize(nodes) == 0)
		puts("no node has been found");
	else
		printf("%-28s %-22s %-8s %-8s %s\n", "NODE", "STATE", "FOR", "ROUND", "EARNING?");
	cJSON_ArrayForEach(node, nodes)
	{
		put_clean(text_of(node, "name"), 29);
		put_state(node, 23);
		put_for(node, 9);
		put_round(node, 9);
		put_clean(text_of(node, "earning_reason"), 0);
		putchar('\n');
		if (details)
			put_details(node);
	}
	return OBS_EXIT_OK;
}

static int parse(int argc, char **argv, struct arguments *ret)
{
	struct obs_option_value o;
	int i = 1, r;

	while ((r = obs_command_next(&obs_command_nodes, argc, argv, &i, &o)) > 0) {
		if (!o.name) {
			fprintf(stderr, "gswarm-observer nodes: unexpected '%s'\n", o.value);
			return -EINVAL;
		}
		ret->config = o.letter == 'c' ? o.value : ret->config;
		ret->url = o.letter == 'u' ? o.value : ret->url;
		ret->json |= o.letter == 'j';
		ret->details |= o.letter == 'l';
	}
	return r;
}

static int run(int argc, char **argv)
{
	cleanup_buf struct obs_buf url = {}, answer = {};
	struct arguments a = { 0 };
	int r;

	if (parse(argc, argv, &a) < 0)
		return OBS_EXIT_USAGE;
	r = put_url(&a, &url);
	if (r != 0)
		return r;
	if (fetch(obs_buf_cstr(&url), &answer) < 0)
		return OBS_EXIT_FAIL;
	if (!a.json)
		return print_table(&answer, a.details);
	fwrite(answer.p, 1, answer.len, stdout);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_nodes = {
	.name = "nodes",
	.summary = "print what state each node is in and whether it earns, from the running daemon",
	.arguments = "",
	.options = options,
	.details =
		"Asks the daemon at server.listen for /api/v1/nodes. Nodes that ended within the\n"
		"last day are listed too. docs/states.md explains the states.",
	.run = run,
};
