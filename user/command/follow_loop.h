/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follow_loop.h - what `run` and `trace` share: config, loop, signals.
 */
#pragma once

#include <uv.h>

#include "config/config.h"

/** obs_command_config() - load @file (or the one that is found, or defaults), print messages.
 * @ret_path: the file's name, borrowed; "" for built-in defaults. Return: 0 or an exit code. */
int obs_command_config(const char *file, struct obs_config **ret, const char **ret_path);

/** obs_loop_until_signal() - run @loop until SIGINT, SIGTERM or obs_loop_stop(). Return: signal. */
int obs_loop_until_signal(uv_loop_t *loop);
void obs_loop_stop(uv_loop_t *loop);

/** obs_loop_close() - let closing handles close, then close the loop. */
void obs_loop_close(uv_loop_t *loop);
