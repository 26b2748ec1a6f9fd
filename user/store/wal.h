/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wal.h - does a write-ahead log hold what its database file lacks?
 *
 * SQLite does not ask: a checkpoint writes the log's pages where they belong, and where the file
 * had been cut before them a hole of zeroes remains that nobody meets until he reads there.
 */
#pragma once

#include <stdint.h>

/**
 * obs_wal_check_length() - are all pages from the file's end up to @pages in the log?
 * @path:       of the database
 * @pages:      what the database counts, log included
 * @page_bytes: size of each
 *
 * Reads the heads of the log's frames, not the pages. Call it before a checkpoint.
 *
 * Return: 0, -EUCLEAN when a page is in neither, -ENOMEM, or a negative errno.
 */
int obs_wal_check_length(const char *path, uint64_t pages, uint64_t page_bytes);
