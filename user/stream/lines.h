/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.h - bytes in any pieces in, whole lines out.
 *
 * Splits on \n and on \r (a \r\n pair is one end; a lone \r ends a progress bar's
 * state). A line longer than the limit is cut there and marked; the rest of it is
 * skipped up to its end. Every byte pushed belongs to exactly one line. Not
 * thread-safe; one assembler per stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parse/parse.h"
#include "stream/assembly.h"

struct obs_lines;

/**
 * typedef obs_lines_fn - one line; its text is borrowed for the call.
 *
 * line->offset is that of its first byte, the rest of the meta data comes from the push
 * that brought its last byte. Empty lines are passed too (text.len 0), except the empty
 * "line" between \r and \n.
 */
typedef void (*obs_lines_fn)(void *ctx, const struct obs_line *line);

/** obs_lines_new() - @max_line_bytes per line, at least 16. Return: 0, -EINVAL, -ENOMEM. */
int obs_lines_new(size_t max_line_bytes, obs_lines_fn emit, void *ctx, struct obs_lines **ret);
void obs_lines_free(struct obs_lines **l);

/** obs_lines_set_assembly() - what it keeps is counted there, and given back with each line's
 * end. Before the first push; borrowed, may be NULL. */
void obs_lines_set_assembly(struct obs_lines *l, struct obs_assembly *assembly);

/**
 * obs_lines_push() - the next bytes of the stream.
 * @meta: text is the bytes, offset that of the first of them; wall_ns, pid, comm and
 *        backfilled are copied into the lines that end in them; truncated is ignored
 *
 * Whole lines inside @meta->text are passed on without a copy. Return: 0, or -ENOMEM (then
 * the partial line is lost and marked truncated).
 */
int obs_lines_push(struct obs_lines *l, const struct obs_line *meta);

/** obs_lines_pending() - bytes of a line without an end? *@ret_offset: its first byte. */
bool obs_lines_pending(const struct obs_lines *l, uint64_t *ret_offset);

/**
 * obs_lines_shed() - of a line that is longer than the limit: pass it on now, skip the rest.
 *
 * Return: false when there is none, or it was passed on.
 */
bool obs_lines_shed(struct obs_lines *l);

/** obs_lines_flush() - emit a partial last line as it is (end of input). */
void obs_lines_flush(struct obs_lines *l);

/** obs_lines_reset() - forget a partial line (the file was truncated and re-read). */
void obs_lines_reset(struct obs_lines *l);

/** obs_lines_cut() - lines cut so far. */
uint64_t obs_lines_cut(const struct obs_lines *l);
