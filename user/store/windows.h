/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * windows.h - rows of the tables state and windows that wait for the next commit.
 *
 * Part of the store, not to be used by others. Both are few and small.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "util/slice.h"

#define OBS_SMALL_ROWS_MAX 16384

struct obs_small_row {
	struct obs_small_row *next;
	uint64_t length_s, start_s; /* length_s 0: a state */
	char *name;		    /* of the state, or the node; in the same allocation */
	struct obs_slice body;	    /* in the same allocation */
};

struct obs_small_rows {
	struct obs_small_row *first; /* owned */
	size_t n;
};

/**
 * obs_small_rows_push() - add a row; one of the same key is replaced.
 *
 * Return: 0, -ENOMEM, -ENOBUFS past OBS_SMALL_ROWS_MAX.
 */
int obs_small_rows_push(struct obs_small_rows *rows, uint64_t length_s, uint64_t start_s,
			struct obs_slice name, struct obs_slice body);
void obs_small_rows_free(struct obs_small_rows *rows);

struct obs_store;

/** obs_small_rows_put() - within a transaction: write them, let old windows go. */
int obs_small_rows_put(struct obs_store *s, uint64_t now_ns);
