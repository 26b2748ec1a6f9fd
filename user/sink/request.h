/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.h - one HTTP POST at a time to one address, through libcurl.
 *
 * The request keeps its body until it is given another: sending it again sends
 * the very same bytes. The answer's body is read up to a limit and, unless it is asked
 * for, thrown away: a hostile API must not fill our memory, nor its words reach our messages.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "util/buf.h"
#include "util/slice.h"

#define OBS_RESPONSE_BYTES_MAX (64 * 1024)

struct obs_request_options {
	const char *url, *token, *ca_file, *content_type; /* borrowed; "" = none */
	bool gzip;
	uint64_t timeout_ms;
	/* The answer is kept, up to so many bytes, unpacked; more is no answer. 0: thrown away */
	size_t keep_bytes;
};

struct obs_request;

/* How a request ended. */
struct obs_answer {
	long status;		      /* 0 when there was no answer */
	struct obs_slice retry_after; /* the header's text, borrowed until the next request */
	struct obs_slice body;	      /* with keep_bytes; borrowed until the next request */
	const char *error;	      /* why there was no answer; "" */
	size_t body_bytes;	      /* sent, as on the wire */
};

/**
 * obs_request_new() - make a request for one address.
 * @ret: on success, owned by the caller
 *
 * Return: 0, -EINVAL for a URL that is not http or https or a token that cannot stand in a
 * header, -ENOMEM.
 */
int obs_request_new(const struct obs_request_options *opt, struct obs_request **ret);

/** obs_request_free() - it must not be under way; sets *@r to NULL. */
void obs_request_free(struct obs_request **r);

/** obs_request_easy() - the handle to give to curl_multi_add_handle(). */
CURL *obs_request_easy(struct obs_request *r);

/** obs_request_url() - the address without user, password, query and fragment. Borrowed. */
const char *obs_request_url(const struct obs_request *r);

/** obs_request_body() - the empty buffer for a new body; obs_request_seal() when it is in. */
struct obs_buf *obs_request_body(struct obs_request *r);

/**
 * obs_request_seal() - compress the body where configured, and make the headers.
 * @key: Idempotency-Key; NULL: without
 *
 * Return: 0 or -ENOMEM.
 */
int obs_request_seal(struct obs_request *r, const char *key);

/** obs_request_rewind() - forget the last answer, before each sending. */
void obs_request_rewind(struct obs_request *r);

/** obs_request_answer() - what came of it. @rc: from the multi handle's message. */
void obs_request_answer(struct obs_request *r, CURLcode rc, struct obs_answer *ret);

/** obs_request_trim() - give back the memory of a large body. */
void obs_request_trim(struct obs_request *r);
