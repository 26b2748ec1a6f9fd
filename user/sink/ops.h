/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.h - what one kind of sink adds to delivery: how a body looks and what an
 * answer means. Positions, batches, retries and connections are the same for all.
 */
#pragma once

#include "sink/batch.h"
#include "util/buf.h"

/* What the receiver's answer means for the events sent. */
enum obs_verdict {
	OBS_VERDICT_DELIVERED,
	OBS_VERDICT_RETRY,     /* the same again later, for ever */
	OBS_VERDICT_TOO_LARGE, /* in smaller parts; one event alone is a dead letter */
	OBS_VERDICT_REFUSED,   /* find the bad event; it is a dead letter */
};

struct obs_sink_ops {
	const char *kind;	  /* what the config calls it */
	const char *content_type; /* of the body */

	/* Append the body for the batch's current part. Return: 0, -EMSGSIZE, -ENOMEM. */
	int (*format)(const struct obs_batch *batch, struct obs_buf *out);

	/* Judge an HTTP status. @ret_hint: what to do about it, for people; may stay "". */
	enum obs_verdict (*judge)(long status, const char **ret_hint);
};

extern const struct obs_sink_ops obs_sink_http;
