/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * golog.h - p2pd's go-log JSON lines: {"level":…,"ts":…,"logger":…,"msg":…,"error":…}.
 */
#pragma once

#include <stdbool.h>

#include "util/slice.h"

struct obs_prefix;

/**
 * obs_golog_console_scan() - the same library's lines for consoles: time, LEVEL, logger, caller and
 * message, with tabs between; fields as JSON may follow the message and stay with it.
 *
 * Return: was it such a line?
 */
bool obs_golog_console_scan(struct obs_slice line, struct obs_prefix *ret);

/**
 * obs_golog_scan() - the scanner of grammar G12.
 *
 * Reads a flat object; nested values are passed over. Escapes in the texts stay as they
 * stand, since a second copy of the line would buy nothing for a message.
 *
 * Return: was it an object with "level" and "msg"?
 */
bool obs_golog_scan(struct obs_slice line, struct obs_prefix *ret);
