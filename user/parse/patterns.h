/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * patterns.h - patterns that the operator writes: PCRE2, with a ceiling on the work.
 *
 * They are tried on messages that no built-in row takes. Compiled once, used by all
 * parsers of one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pipeline/event.h"

struct obs_pattern_options {
	const char *name;	   /* details.event; A-Z a-z 0-9 _ */
	const char *regex;	   /* PCRE2 with UTF; named groups become fields */
	const char *event;	   /* event_type, e.g. "training_progress"; NULL = log */
	const char *code;	   /* details.code, for errors; NULL = none */
	const char *const *fields; /* names of the groups without one, in order */
	size_t n_fields;
};

struct obs_patterns;

/**
 * obs_patterns_open() - compile a list; all strings are copied.
 * @message: gets one line on what is wrong with which pattern; may be NULL
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int obs_patterns_open(const struct obs_pattern_options *list, size_t n, struct obs_buf *message,
		      struct obs_patterns **ret);
void obs_patterns_free(struct obs_patterns **p);

/**
 * obs_patterns_match() - the first pattern that fits, set on @ev (type, name, code, fields).
 * @text: borrowed by the fields; at most its first 16 KiB are searched
 */
bool obs_patterns_match(const struct obs_patterns *p, struct obs_slice text, struct obs_event *ev);

/** obs_patterns_refused() - matches given up at the limit, of pattern @i: for a counter. */
uint64_t obs_patterns_refused(const struct obs_patterns *p, size_t i);

#define cleanup_patterns __attribute__((cleanup(obs_patterns_free)))
