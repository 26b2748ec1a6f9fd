/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scrub.h - personal data and secrets leave the text before anything keeps it.
 *
 * A rule is one row: its name, from which level on it works, what stands instead, an
 * example. Peer ids, addresses of accounts and contracts, and hashes are public and
 * stay. A number is never damaged.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pipeline/event.h"
#include "util/slice.h"

enum obs_scrub_level {
	OBS_SCRUB_OFF = 0,
	OBS_SCRUB_STANDARD, /* secrets, e-mail addresses, ids of people and organisations */
	OBS_SCRUB_STRICT,   /* also user names in paths, the host's addresses, long hex keys */
};

struct obs_scrub_rule {
	const char *name;
	enum obs_scrub_level level; /* from this one on */
	const char *replacement;
	const char *example;
	const char *scrubbed; /* the example afterwards */
};

/* The built-in rules; ends with a row whose name is NULL. */
extern const struct obs_scrub_rule obs_scrub_rules[];

struct obs_scrub_user_rule {
	const char *name;
	const char *regex; /* PCRE2; every match becomes "[NAME]" in capitals */
};

/* All strings are copied. */
struct obs_scrub_options {
	enum obs_scrub_level level;
	const char *const *host_addresses; /* text forms; strict only */
	size_t n_host_addresses;
	const struct obs_scrub_user_rule *rules;
	size_t n_rules;
};

struct obs_scrub;

/**
 * obs_scrub_new() - a scrubber; for one thread.
 * @message: gets a line on what is wrong with which user rule; may be NULL
 *
 * Return: 0, -EINVAL (a user rule), -ENOMEM.
 */
int obs_scrub_new(const struct obs_scrub_options *options, struct obs_buf *message,
		  struct obs_scrub **ret);
void obs_scrub_free(struct obs_scrub **s);

/**
 * obs_scrub_text() - @text without what the rules take out.
 *
 * Return: @text itself when nothing was found, else text of the scrubber's, valid until its
 * next use. When memory is out: "[SCRUBBED]".
 */
struct obs_slice obs_scrub_text(struct obs_scrub *s, struct obs_slice text);

/** obs_scrub_event() - scrub message, path, and all texts of the fields, in place. The event's
 * text is then valid until the scrubber's next use. */
void obs_scrub_event(struct obs_scrub *s, struct obs_event *ev);

/** obs_scrub_name() - the name of rule @i, numbered as for obs_scrub_count(); NULL past the last. */
const char *obs_scrub_name(const struct obs_scrub *s, size_t i);

/**
 * obs_scrub_count() - how often rule @i took something out; the built-in rules first, then the
 * user's in their order. Past the last: 0.
 */
uint64_t obs_scrub_count(const struct obs_scrub *s, size_t i);

#define cleanup_scrub __attribute__((cleanup(obs_scrub_free)))
