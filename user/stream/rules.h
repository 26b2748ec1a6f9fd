/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rules.h - which files of a node are logs.
 */
#pragma once

#include <stdbool.h>

#include "util/strv.h"

/**
 * obs_stream_wanted() - should writes to this file become events?
 * @path:      as the node sees it; untrusted
 * @is_output: the process's stdout or stderr goes there
 * @log_files: configured globs or paths, or NULL; they override the table
 */
bool obs_stream_wanted(const char *path, bool is_output, const struct obs_strv *log_files);
