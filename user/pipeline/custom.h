/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * custom.h - what the operator's own `patterns` and `scrub.rules` in the config amount to.
 *
 * Both are lists of mappings, kept by the config as YAML text; here they are read, checked
 * and compiled. A mistake is told with the entry's number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/buf.h"

struct obs_config;
struct obs_patterns;
struct obs_scrub;

/**
 * obs_custom_patterns() - compile `patterns`.
 * @messages: gets a line on each mistake
 * @ret: owned by the caller; NULL when there are none
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int obs_custom_patterns(const struct obs_config *config, struct obs_buf *messages,
			struct obs_patterns **ret);

/**
 * obs_custom_scrub() - the scrubber that `scrub.level` and `scrub.rules` ask for.
 * @level: instead of the config's; NULL = the config's
 * @addresses: of this host, text forms; used by level strict only
 * @ret: owned by the caller; NULL when scrubbing is off
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int obs_custom_scrub(const struct obs_config *config, const char *level,
		     const char *const *addresses, size_t n_addresses, struct obs_buf *messages,
		     struct obs_scrub **ret);

/** obs_url_host() - "rpc.example.org" of "https://user:key@rpc.example.org:8545/v2". Return: is
 * there one? Else @out is "". */
bool obs_url_host(const char *url, char *out, size_t size);

/** obs_custom_check() - are both right? For whoever reads a config. Return: 0 or -EINVAL, … */
int obs_custom_check(const struct obs_config *config, struct obs_buf *messages);
