/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * last_lines.h - the last things that a process wrote, for the day it dies.
 *
 * Raw bytes as they were captured, bounded; they become lines only when asked. So they hold
 * also what the parser still keeps back, and what is not forwarded.
 */
#pragma once

#include "util/buf.h"
#include "util/slice.h"

#define OBS_LAST_BYTES	    8192 /* kept per process, once it has written anything */
#define OBS_LAST_LINES	    20
#define OBS_LAST_LINE_BYTES 512 /* longer lines are cut */

struct obs_last_lines {
	char *p; /* owned; NULL until the first write */
	size_t len;
	bool cut; /* older bytes are gone: the first line may lack its start */
};

/** obs_last_lines_push() - what the process wrote. */
void obs_last_lines_push(struct obs_last_lines *t, struct obs_slice written);
void obs_last_lines_free(struct obs_last_lines *t);

/**
 * obs_last_lines_take() - the last lines, oldest first: no ANSI codes, no blank lines, of a progress
 * bar its last state, of a line written to log and console once.
 * @text: holds them; borrowed by @ret
 * @ret:  room for OBS_LAST_LINES
 *
 * Return: how many.
 */
size_t obs_last_lines_take(const struct obs_last_lines *t, struct obs_buf *text,
			   struct obs_slice *ret);

/**
 * obs_last_lines_code() - the error code that tells best why a process ended, from its last lines.
 *
 * Return: static text, or NULL when none of them is such an error.
 */
const char *obs_last_lines_code(const struct obs_slice *lines, size_t n);
