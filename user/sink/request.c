// SPDX-License-Identifier: BSD-2-Clause
/* request.c - see request.h. */
#include "sink/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sink/gzip.h"
#include "util/cleanup.h"

#ifndef OBS_VERSION
#define OBS_VERSION "unknown"
#endif

#define CONNECT_TIMEOUT_MS 10000L
#define DEFAULT_TIMEOUT_MS 30000
#define KEEP_BYTES	   (64 * 1024)

struct obs_request {
	CURL *easy;
	struct curl_slist *headers;
	char *authorization;	  /* owned; a whole header line, or NULL */
	const char *content_type; /* borrowed, static */
	char *url;		  /* owned, for people */
	bool gzip;
	struct obs_buf body, packed;
	char error[CURL_ERROR_SIZE];
	char retry_after[64];
	size_t response_bytes;
	bool response_cut;
	size_t keep_bytes;
	struct obs_buf response; /* with keep_bytes */
};

static void curl_url_cleanupp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static bool is_http(CURLU *u)
{
	char *scheme = NULL;
	bool ok = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl_free(scheme);
	return ok;
}

/* What of a URL may be shown: user, password and query can be secrets. */
static int public_url(const char *url, char **ret)
{
	static const CURLUPart secret[] = { CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS,
					    CURLUPART_QUERY, CURLUPART_FRAGMENT };
	OBS_CLEANUP(curl_url_cleanupp) CURLU *u = curl_url();
	char *text = NULL;

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK || !is_http(u))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(secret); i++)
		curl_url_set(u, secret[i], NULL, 0);
	if (curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		return -ENOMEM;

	*ret = strdup(text);
	curl_free(text);
	return *ret ? 0 : -ENOMEM;
}

static int make_authorization(const char *token, char **ret)
{
	if (!token || !*token)
		return 0;
	for (const char *p = token; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return -EINVAL; /* would end the header and start another */
	}
	return asprintf(ret, "Authorization: Bearer %s", token) < 0 ? -ENOMEM : 0;
}

static size_t on_response(char *p, size_t size, size_t n, void *arg)
{
	struct obs_request *r = arg;

	r->response_bytes += size * n;
	r->response_cut =
		r->response_bytes > (r->keep_bytes ? r->keep_bytes : OBS_RESPONSE_BYTES_MAX);
	if (r->keep_bytes && !r->response_cut && obs_buf_push(&r->response, p, size * n) < 0)
		return 0;
	return r->response_cut ? 0 : size * n; /* 0 ends the transfer */
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	static const char name[] = "retry-after:";
	struct obs_request *r = arg;
	size_t len = size * n, skip = sizeof(name) - 1;

	if (len > skip && len - skip < sizeof(r->retry_after) && strncasecmp(p, name, skip) == 0) {
		memcpy(r->retry_after, p + skip, len - skip);
		r->retry_after[len - skip] = '\0';
	}
	return len;
}

static void limit_protocols(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static int configure(struct obs_request *r, const struct obs_request_options *opt)
{
	uint64_t timeout_ms = opt->timeout_ms ? opt->timeout_ms : DEFAULT_TIMEOUT_MS;
	CURL *easy = r->easy;

	if (curl_easy_setopt(easy, CURLOPT_URL, opt->url) != CURLE_OK)
		return -ENOMEM;
	if (opt->ca_file && *opt->ca_file &&
	    curl_easy_setopt(easy, CURLOPT_CAINFO, opt->ca_file) != CURLE_OK)
		return -ENOMEM;

	limit_protocols(easy);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
	if (opt->keep_bytes) /* some send it packed without being asked */
		curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "gswarm-observer/" OBS_VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_response);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
	return 0;
}

int obs_request_new(const struct obs_request_options *opt, struct obs_request **ret)
{
	OBS_CLEANUP(obs_request_free) struct obs_request *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->gzip = opt->gzip;
	r->content_type = opt->content_type;
	r->keep_bytes = opt->keep_bytes;

	err = public_url(opt->url ? opt->url : "", &r->url);
	if (err == 0)
		err = make_authorization(opt->token, &r->authorization);
	if (err < 0)
		return err;

	r->easy = curl_easy_init();
	if (!r->easy)
		return -ENOMEM;
	err = configure(r, opt);
	if (err < 0)
		return err;

	*ret = TAKE_PTR(r);
	return 0;
}

void obs_request_free(struct obs_request **r)
{
	if (!*r)
		return;
	curl_easy_cleanup((*r)->easy);
	curl_slist_free_all((*r)->headers);
	if ((*r)->authorization)
		explicit_bzero((*r)->authorization, strlen((*r)->authorization));
	free((*r)->authorization);
	free((*r)->url);
	obs_buf_free(&(*r)->body);
	obs_buf_free(&(*r)->packed);
	obs_buf_free(&(*r)->response);
	free(*r);
	*r = NULL;
}

CURL *obs_request_easy(struct obs_request *r)
{
	return r->easy;
}

const char *obs_request_url(const struct obs_request *r)
{
	return r->url;
}

struct obs_buf *obs_request_body(struct obs_request *r)
{
	obs_buf_reset(&r->body);
	obs_buf_reset(&r->packed);
	return &r->body;
}

static void free_slist(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static int append(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int make_headers(struct obs_request *r, const char *key)
{
	OBS_CLEANUP(free_slist) struct curl_slist *list = NULL;
	char type[96], idempotency[64];
	const char *lines[] = {
		type,
		key ? idempotency : NULL,
		"Expect:", /* curl would wait up to 1 s for a "100 Continue" that few send */
		r->gzip ? "Content-Encoding: gzip" : NULL,
		r->authorization,
	};

	snprintf(type, sizeof(type), "Content-Type: %s", r->content_type);
	snprintf(idempotency, sizeof(idempotency), "Idempotency-Key: %s", key ? key : "");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (lines[i] && append(&list, lines[i]) < 0)
			return -ENOMEM;
	}

	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, list);
	curl_slist_free_all(r->headers);
	r->headers = TAKE_PTR(list);
	return 0;
}

int obs_request_seal(struct obs_request *r, const char *key)
{
	const struct obs_buf *wire = r->gzip ? &r->packed : &r->body;

	if (r->gzip && obs_gzip(obs_buf_slice(&r->body), &r->packed) < 0)
		return -ENOMEM;
	if (make_headers(r, key) < 0)
		return -ENOMEM;

	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, wire->p);
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)wire->len);
	return 0;
}

void obs_request_rewind(struct obs_request *r)
{
	r->error[0] = '\0';
	r->retry_after[0] = '\0';
	r->response_bytes = 0;
	r->response_cut = false;
	obs_buf_reset(&r->response);
}

void obs_request_answer(struct obs_request *r, CURLcode rc, struct obs_answer *ret)
{
	long status = 0;

	/* We stop reading a long answer ourselves: the status that came before it counts. */
	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && r->response_cut && !r->keep_bytes)) {
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
		rc = CURLE_OK;
	}
	*ret = (struct obs_answer){
		.status = status,
		.retry_after = obs_slice_str(r->retry_after),
		.body = obs_buf_slice(&r->response),
		.error = rc == CURLE_OK	   ? ""
			 : r->response_cut ? "the answer is too long"
			 : r->error[0]	   ? r->error
					   : curl_easy_strerror(rc),
		.body_bytes = r->gzip ? r->packed.len : r->body.len,
	};
}

void obs_request_trim(struct obs_request *r)
{
	if (r->body.cap <= KEEP_BYTES && r->packed.cap <= KEEP_BYTES)
		return;
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, "");
	curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
	obs_buf_free(&r->body);
	obs_buf_free(&r->packed);
}
