// SPDX-License-Identifier: BSD-2-Clause
/* http.c - the central API: a POST of a JSON array of events. */
#include <stddef.h>

#include "sink/ops.h"
#include "util/cleanup.h"

static int format(const struct obs_batch *batch, struct obs_buf *out)
{
	int r = 0;

	for (size_t i = batch->lo; r == 0 && i < batch->hi; i++) {
		struct obs_slice ev = obs_batch_event(batch, i);

		obs_buf_push(out, i == batch->lo ? "[" : ",", 1);
		r = obs_buf_push(out, ev.p, ev.len);
	}
	return r < 0 ? r : obs_buf_push(out, "]", 1);
}

/*
 * The first row that a status falls into counts. Events are given up only for an
 * answer that is about the events; one that is about the address, the method,
 * the token or the moment would be the same for every event, and losing them
 * all because of a wrong setting helps nobody.
 */
static const struct {
	long first, last;
	enum obs_verdict verdict;
	const char *hint;
} answers[] = {
	{ 200, 299, OBS_VERDICT_DELIVERED, "" },
	{ 300, 399, OBS_VERDICT_RETRY, "a redirect, which is not followed; correct the URL" },
	{ 401, 401, OBS_VERDICT_RETRY, "not authorised; check the token" },
	{ 403, 403, OBS_VERDICT_RETRY, "forbidden; check the token" },
	{ 404, 404, OBS_VERDICT_RETRY, "not found; check the URL" },
	{ 405, 405, OBS_VERDICT_RETRY, "POST is not allowed there; check the URL" },
	{ 407, 407, OBS_VERDICT_RETRY, "the proxy wants a password" },
	{ 408, 408, OBS_VERDICT_RETRY, "" },
	{ 410, 410, OBS_VERDICT_RETRY, "gone; check the URL" },
	{ 413, 413, OBS_VERDICT_TOO_LARGE, "too large; sending smaller batches" },
	{ 421, 421, OBS_VERDICT_RETRY, "the wrong server; check the URL" },
	{ 423, 426, OBS_VERDICT_RETRY, "" },
	{ 429, 429, OBS_VERDICT_RETRY, "too many requests" },
	{ 400, 499, OBS_VERDICT_REFUSED, "refused" },
};

static enum obs_verdict judge(long status, const char **ret_hint)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		if (status >= answers[i].first && status <= answers[i].last) {
			*ret_hint = answers[i].hint;
			return answers[i].verdict;
		}
	}
	*ret_hint = "";
	return OBS_VERDICT_RETRY;
}

const struct obs_sink_ops obs_sink_http = {
	.kind = "http",
	.content_type = "application/json",
	.format = format,
	.judge = judge,
};
