/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kept.h - the bytes of a file in which an engine keeps a console in, the console's lines out.
 *
 * Entries are taken apart (parse/kept.h), the parts of a long line joined, per descriptor. One per
 * stream; not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/kept.h"
#include "parse/parse.h"
#include "stream/assembly.h"

struct obs_kept;

/* A place in the file: of a byte of text, and of the start of its entry. */
struct obs_kept_place {
	uint64_t offset;
	uint64_t entry;
};

/**
 * typedef obs_kept_fn - a line that the container wrote to descriptor @fd (1, 2).
 * @line:  its offset is one that no other line of the file has, and grows from line to line of a
 *         descriptor; wall_ns is when the engine read its last byte. Its text is borrowed
 * @entry: offset of the entry in which it starts
 */
typedef void (*obs_kept_fn)(void *ctx, int fd, const struct obs_line *line, uint64_t entry);

/** obs_kept_new() - @line_bytes: longer lines are cut there. Return: 0, -EINVAL, -ENOMEM. */
int obs_kept_new(enum obs_kept_format format, size_t line_bytes, obs_kept_fn emit, void *ctx,
		 struct obs_kept **ret);
void obs_kept_free(struct obs_kept **k);

/** obs_kept_set_assembly() - as obs_lines_set_assembly(). */
void obs_kept_set_assembly(struct obs_kept *k, struct obs_assembly *assembly);

/** obs_kept_push() - the next bytes of the file; @offset is that of the first of them. */
void obs_kept_push(struct obs_kept *k, struct obs_slice bytes, uint64_t offset);

/** obs_kept_pending() - is there half a line of descriptor @fd, or half an entry? @ret: its start. */
bool obs_kept_pending(const struct obs_kept *k, int fd, struct obs_kept_place *ret);

/** obs_kept_shed() - as obs_lines_shed(), for both descriptors. */
bool obs_kept_shed(struct obs_kept *k);

/**
 * obs_kept_reset() - forget what has no end yet: it is pushed again, from the start of its entry.
 *
 * Return: false when that cannot be done, in the middle of what is skipped.
 */
bool obs_kept_reset(struct obs_kept *k);

/** obs_kept_quiet() - nothing came for long: lines of which no more comes are told as they are.
 * Return: were there any? */
bool obs_kept_quiet(struct obs_kept *k);

/** obs_kept_flush() - the file ends here: the same; half an entry is forgotten. */
void obs_kept_flush(struct obs_kept *k);

/** obs_kept_bad_bytes() - bytes so far that were no entry, and were skipped. */
uint64_t obs_kept_bad_bytes(const struct obs_kept *k);

/** obs_kept_tail_start() - offset of the first of the last @lines entries of an OBS_KEPT_LOCAL
 * file of @size bytes; the file's end when its end is no entry's. */
uint64_t obs_kept_tail_start(int fd, uint64_t size, int64_t lines);
