// SPDX-License-Identifier: BSD-2-Clause
/* chain_http.c - see chain_http.h. */
#include "collect/chain_http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "sink/request.h"
#include "sink/retry.h"
#include "util/cleanup.h"

#define ANSWER_BYTES_MAX (1024 * 1024)
#define STOP_LOOK_MS	 1000

struct obs_chain_http {
	CURLM *multi;
	struct obs_request *request;
	const atomic_bool *stop;
	struct obs_counters *counters;
	bool singly; /* the server takes no batches */
	unsigned next_id;
	char where[160];
};

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void take_part(CURLU *u, CURLUPart part, unsigned flags, char *out, size_t size)
{
	char *text = NULL;

	*out = '\0';
	if (curl_url_get(u, part, &text, flags) == CURLUE_OK)
		snprintf(out, size, "%s", text);
	curl_free(text);
}

/* The path is left out: with many providers it is the key. */
static int make_where(const char *url, char *ret, size_t size)
{
	OBS_CLEANUP(free_url) CURLU *u = curl_url();
	char scheme[8], host[128], port[8];

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		return -EINVAL;
	take_part(u, CURLUPART_SCHEME, 0, scheme, sizeof(scheme));
	take_part(u, CURLUPART_HOST, 0, host, sizeof(host));
	take_part(u, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT, port, sizeof(port));
	snprintf(ret, size, "%s://%s%s%s", scheme, host, *port ? ":" : "", port);
	return 0;
}

int obs_chain_http_new(const char *url, uint64_t timeout_ms, const atomic_bool *stop,
		       struct obs_counters *counters, struct obs_chain_http **ret)
{
	OBS_CLEANUP(obs_chain_http_free) struct obs_chain_http *h = NULL;
	const struct obs_request_options opt = {
		.url = url,
		.content_type = "application/json",
		.timeout_ms = timeout_ms,
		.keep_bytes = ANSWER_BYTES_MAX,
	};
	int r;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->stop = stop;
	h->counters = counters;
	h->next_id = 1;
	r = make_where(url, h->where, sizeof(h->where));
	if (r == 0)
		r = obs_request_new(&opt, &h->request);
	if (r < 0)
		return r;
	h->multi = curl_multi_init();
	if (!h->multi)
		return -ENOMEM;
	*ret = TAKE_PTR(h);
	return 0;
}

void obs_chain_http_free(struct obs_chain_http **h)
{
	if (!*h)
		return;
	obs_request_free(&(*h)->request);
	curl_multi_cleanup((*h)->multi);
	free(*h);
	*h = NULL;
	curl_global_cleanup();
}

const char *obs_chain_http_where(const struct obs_chain_http *h)
{
	return h->where;
}

/* --- one request --- */

/* Run it to its end. Return: what curl says of it, or -ECANCELED. */
static int transfer(struct obs_chain_http *h)
{
	CURL *easy = obs_request_easy(h->request);
	CURLMsg *msg = NULL;
	int running = 1, left, rc = -ECANCELED;

	if (curl_multi_add_handle(h->multi, easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (!msg && !atomic_load(h->stop)) {
		curl_multi_perform(h->multi, &running);
		msg = curl_multi_info_read(h->multi, &left);
		if (!msg)
			curl_multi_poll(h->multi, NULL, 0, STOP_LOOK_MS, NULL);
	}
	if (msg)
		rc = (int)msg->data.result;
#if LIBCURL_VERSION_NUM >= 0x075700
	if (!msg)
		curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
	curl_multi_remove_handle(h->multi, easy);
	return rc;
}

/* Quotes of the server and of curl: plain text only. */
static void put_quoted(struct obs_slice text, char *out, size_t size)
{
	size_t n = text.len < size - 1 ? text.len : size - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		out[i] = (char)(c < ' ' || c > '~' ? '?' : c);
	}
	out[n] = '\0';
}

__attribute__((format(printf, 4, 5))) static int
fail(_Atomic uint64_t *counter, struct obs_chain_failure *ret, bool limited, const char *fmt, ...)
{
	va_list ap;

	obs_count(counter, 1);
	ret->limited = limited;
	va_start(ap, fmt);
	vsnprintf(ret->text, sizeof(ret->text), fmt, ap);
	va_end(ap);
	return -EIO;
}

static int fail_limited(struct obs_chain_http *h, const struct obs_answer *a,
			struct obs_slice words, struct obs_chain_failure *ret)
{
	char quoted[80];

	if (a->retry_after.len)
		obs_retry_after_parse(a->retry_after, time(NULL), &ret->retry_after_ms);
	put_quoted(words, quoted, sizeof(quoted));
	return fail(&h->counters->chain_limited, ret, true,
		    "it refuses further questions (HTTP %ld%s%s)", a->status, *quoted ? ": " : "",
		    quoted);
}

static bool is_limit(long status)
{
	return status == 429 || status == 403 || status == 402;
}

/* Errors of a question come with 200, and with 4xx from some. */
static bool may_hold_answer(long status)
{
	return status == 200 || status == 400 || status == 413 || status == 422;
}

static int post(struct obs_chain_http *h, struct obs_answer *a, struct obs_chain_failure *ret)
{
	char quoted[96];
	int rc;

	if (obs_request_seal(h->request, NULL) < 0)
		return fail(&h->counters->chain_no_answer, ret, false, "no memory");
	obs_request_rewind(h->request);
	rc = transfer(h);
	if (rc < 0)
		return rc;
	obs_request_answer(h->request, (CURLcode)rc, a);
	obs_count(&h->counters->chain_requests, 1);
	if (a->status == 0) {
		put_quoted(obs_slice_str(a->error), quoted, sizeof(quoted));
		return fail(&h->counters->chain_no_answer, ret, false, "%s", quoted);
	}
	if (is_limit(a->status))
		return fail_limited(h, a, (struct obs_slice){}, ret);
	if (!may_hold_answer(a->status))
		return fail(&h->counters->chain_http, ret, false, "HTTP %ld", a->status);
	return 0;
}

/* --- questions --- */

static void put_questions(const struct obs_chain_question *q, size_t n, unsigned first_id,
			  struct obs_buf *out)
{
	if (n > 1)
		obs_buf_push_str(out, "[");
	for (size_t i = 0; i < n; i++) {
		obs_buf_push_str(out, i ? "," : "");
		obs_rpc_put(out, first_id + (unsigned)i, q[i].method, obs_buf_slice(&q[i].params));
	}
	if (n > 1)
		obs_buf_push_str(out, "]");
}

static void count_answer(struct obs_chain_http *h, enum obs_rpc_kind kind)
{
	if (kind == OBS_RPC_MISSING)
		obs_count(&h->counters->chain_missing, 1);
	if (kind == OBS_RPC_REVERTED)
		obs_count(&h->counters->chain_reverted, 1);
	if (kind == OBS_RPC_FAILED)
		obs_count(&h->counters->chain_failed, 1);
}

/* Return: also -EOPNOTSUPP: not so many at once. */
static int ask_together(struct obs_chain_http *h, const struct obs_chain_question *q, size_t n,
			void *ctx, struct obs_chain_failure *ret)
{
	struct obs_rpc_answer answers[OBS_RPC_BATCH_MAX];
	unsigned first_id = h->next_id;
	struct obs_answer a = {};
	int r;

	h->next_id = first_id > UINT32_MAX / 4 ? 1 : first_id + (unsigned)n;
	put_questions(q, n, first_id, obs_request_body(h->request));
	r = post(h, &a, ret);
	if (r < 0)
		return r;
	r = obs_rpc_parse(a.body, first_id, n, answers);
	if (r == -EOPNOTSUPP || (r < 0 && n > 1 && a.status != 200))
		return -EOPNOTSUPP;
	if (r < 0 && a.status != 200)
		return fail(&h->counters->chain_http, ret, false, "HTTP %ld", a.status);
	if (r < 0)
		return fail(&h->counters->chain_garbage, ret, false, "its answer is no JSON-RPC");
	for (size_t i = 0; i < n; i++) {
		if (answers[i].kind == OBS_RPC_LIMITED)
			return fail_limited(h, &a, answers[i].error, ret);
	}
	for (size_t i = 0; i < n; i++) {
		count_answer(h, answers[i].kind);
		q[i].take(ctx, q[i].arg, &answers[i]);
	}
	return 0;
}

int obs_chain_http_ask(struct obs_chain_http *h, const struct obs_chain_question *questions,
		       size_t n, void *ctx, struct obs_chain_failure *ret)
{
	*ret = (struct obs_chain_failure){};
	for (size_t i = 0; i < n;) {
		size_t some = h->singly ? 1 : n - i;
		int r;

		if (some > OBS_RPC_BATCH_MAX)
			some = OBS_RPC_BATCH_MAX;
		r = ask_together(h, questions + i, some, ctx, ret);
		if (r == -EOPNOTSUPP) {
			h->singly = true;
			continue;
		}
		if (r < 0)
			return r;
		i += some;
	}
	return 0;
}

void obs_chain_http_wait(struct obs_chain_http *h, uint64_t ms)
{
	if (!atomic_load(h->stop))
		curl_multi_poll(h->multi, NULL, 0, (int)(ms < INT32_MAX ? ms : INT32_MAX), NULL);
}

void obs_chain_http_wake(struct obs_chain_http *h)
{
	curl_multi_wakeup(h->multi);
}
