// SPDX-License-Identifier: BSD-2-Clause
/* ask.c - see ask.h. */
#include "command/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "command/command.h"
#include "command/follow_loop.h"
#include "config/config.h"
#include "util/cleanup.h"
#include "util/listen.h"

#define ANSWER_MAX_BYTES (64 * 1024 * 1024)
#define TIMEOUT_S	 10L

/* Who listens on every address is asked on loopback. */
static int put_url(const struct obs_ask *ask, const char *path, struct obs_buf *url)
{
	cleanup_config struct obs_config *config = NULL;
	struct obs_listen at;
	const char *file;
	int r;

	if (ask->url) {
		obs_buf_printf(url, "%s%s", ask->url, path);
		return OBS_EXIT_OK;
	}
	r = obs_command_config(ask->config, &config, &file);
	if (r != 0)
		return r;
	if (obs_listen_parse(config->server.listen, &at) < 0) {
		fprintf(stderr,
			"gswarm-observer %s: server.listen is empty: the daemon has no "
			"address to ask\n",
			ask->command);
		return OBS_EXIT_FAIL;
	}
	if (!*at.host || strcmp(at.host, "0.0.0.0") == 0 || strcmp(at.host, "::") == 0)
		snprintf(at.host, sizeof(at.host), "127.0.0.1");
	obs_buf_printf(url, strchr(at.host, ':') ? "http://[%s]:%u%s" : "http://%s:%u%s", at.host,
		       at.port, path);
	return OBS_EXIT_OK;
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

static int fetch(const struct obs_ask *ask, const char *url, struct obs_buf *out)
{
	OBS_CLEANUP(free_easy) CURL *easy = curl_easy_init();
	CURLcode r;

	if (!easy)
		return OBS_EXIT_FAIL;
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
	r = curl_easy_perform(easy);
	if (r == CURLE_OK)
		return OBS_EXIT_OK;
	if (!ask->quiet)
		fprintf(stderr, "gswarm-observer %s: %s: %s; is the daemon running there?\n",
			ask->command, url, curl_easy_strerror(r));
	return OBS_EXIT_FAIL;
}

int obs_ask(const struct obs_ask *ask, const char *path, struct obs_buf *out)
{
	cleanup_buf struct obs_buf url = {};
	int r = put_url(ask, path, &url);

	if (r != OBS_EXIT_OK)
		return r;
	out->max_bytes = ANSWER_MAX_BYTES;
	return fetch(ask, obs_buf_cstr(&url), out);
}

/* Bytes of a character, at its first one, that would steer a terminal; 0 = it does not: C0, DEL, C1
 * (U+0080 to U+009F), and what turns the direction of text (U+200E, U+200F, U+202A to U+202E,
 * U+2066 to U+2069). */
static size_t steers(const unsigned char *p)
{
	if (*p < ' ' || *p == 0x7f)
		return 1;
	if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
		return 2;
	if (p[0] != 0xe2)
		return 0;
	if (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae)))
		return 3;
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9 ? 3 : 0;
}

static void tidy_text(char *text)
{
	char *out = text;
	size_t n;

	for (char *p = text; *p; p += n ? n : 1) {
		n = steers((const unsigned char *)p);
		*out++ = n ? '?' : *p;
	}
	*out = '\0';
}

static void tidy(cJSON *o)
{
	cJSON *item;

	if (cJSON_IsString(o))
		tidy_text(o->valuestring);
	cJSON_ArrayForEach(item, o) tidy(item);
}

cJSON *obs_ask_parse(struct obs_buf *answer)
{
	cJSON *root = cJSON_Parse(obs_buf_cstr(answer));

	if (root)
		tidy(root);
	return root;
}

const char *obs_ask_text(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text ? text : "";
}

double obs_ask_number(const cJSON *o, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(item) ? item->valuedouble
				    : strtod(cJSON_IsString(item) ? item->valuestring : "0", NULL);
}

void obs_ask_free_tree(cJSON **tree)
{
	cJSON_Delete(*tree);
	*tree = NULL;
}
