/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - the observer's own messages, to stderr, one line each.
 *
 * Only main, commands, the daemon and probes log; library modules return
 * errors. errno is preserved. Control bytes are escaped, since a container
 * chooses its own file and process names. Thread-safe (one write per line).
 */
#pragma once

enum obs_log_level {
	OBS_LOG_ERROR = 0,
	OBS_LOG_WARN = 1,
	OBS_LOG_INFO = 2,
	OBS_LOG_DEBUG = 3,
};

/** obs_log_set_level() - drop messages above @level (default OBS_LOG_INFO). */
void obs_log_set_level(enum obs_log_level level);

/** obs_log() - write one message; a trailing newline is added. */
void obs_log(enum obs_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define obs_err(...)   obs_log(OBS_LOG_ERROR, __VA_ARGS__)
#define obs_warn(...)  obs_log(OBS_LOG_WARN, __VA_ARGS__)
#define obs_info(...)  obs_log(OBS_LOG_INFO, __VA_ARGS__)
#define obs_debug(...) obs_log(OBS_LOG_DEBUG, __VA_ARGS__)
