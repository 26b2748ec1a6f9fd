/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jsonread.h - look into JSON text of strangers without building a tree of it.
 *
 * Values are slices of the text; nothing is allocated, nothing recurses, nesting is bounded.
 * Grammar is checked as far as it is looked at: whatever is wrong ends a walk early.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "util/slice.h"

#define OBS_JSON_DEPTH_MAX 32

/* Over the entries of an array or object. */
struct obs_json_walk {
	struct obs_slice rest;
	bool is_object, began;
};

/**
 * obs_json_text() - the one value that @text holds; a byte order mark before it is skipped.
 *
 * Return: 0, or -EBADMSG: no value, more than one, one cut short or nested too deep.
 */
int obs_json_text(struct obs_slice text, struct obs_slice *ret);

/** obs_json_walk_init() - begin at @value. Return: is it an array or object? */
bool obs_json_walk_init(struct obs_json_walk *w, struct obs_slice value);

/**
 * obs_json_walk_next() - the next entry.
 * @ret_key: of an object, with its escapes; may be NULL
 *
 * Return: false at the end, and where the text is no JSON.
 */
bool obs_json_walk_next(struct obs_json_walk *w, struct obs_slice *ret_key, struct obs_slice *ret);

/** obs_json_get() - the first entry called @key. Return: is there one? */
bool obs_json_get(struct obs_slice object, const char *key, struct obs_slice *ret);

/** obs_json_is_null() - null, or no value at all (an empty slice). */
bool obs_json_is_null(struct obs_slice value);

/** obs_json_string() - what stands between the quotes, escapes and all. Return: is it a string? */
bool obs_json_string(struct obs_slice value, struct obs_slice *ret);

/** obs_json_number() - a whole number, also one in quotes. Return: is it one? */
bool obs_json_number(struct obs_slice value, int64_t *ret);
