/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.h - the bytes of a file or pipe, gunzipped if they are gzip.
 */
#pragma once

#include <stdint.h>

#include "util/slice.h"

struct obs_reader;

/** obs_reader_open() - @fd is borrowed. Return: 0 or -ENOMEM. */
int obs_reader_open(int fd, struct obs_reader **ret);
void obs_reader_free(struct obs_reader **r);

/**
 * obs_reader_next() - the next bytes, borrowed until the next call.
 *
 * Return: 1, 0 at the end, -EBADMSG for broken gzip, or the negative errno of read(2).
 */
int obs_reader_next(struct obs_reader *r, struct obs_slice *ret);

/** obs_reader_taken() - bytes read from the file so far (compressed ones, of gzip). */
uint64_t obs_reader_taken(const struct obs_reader *r);
