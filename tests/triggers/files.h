/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * files.h - everything that happens to a log file, at the same time, each to files in a directory
 * of its own. What an observer must tell of them stands, as it is written, in DIR.want.
 */
#pragma once

#include <stdbool.h>

/**
 * files_obey() - let time go on by a phase; prints one line, "done" or what failed
 * @dir: has no other use; what lies beside it and begins with its name is ours, too
 * @phase: "before" the observer is started; "first"; "paused": it stands still; "resumed";
 *	   "away1", "away2", "away3": it was killed, log files are rotated in between; "back";
 *	   "gone": ends next
 * @told: the rung tells of writes; else lines that only a look can find, and cannot, are not
 *	  expected
 *
 * Return: exit status.
 */
int files_obey(const char *dir, const char *phase, bool told);

/** files_far() - some of it happens in @dir, on another file system; mounted where it belongs. */
void files_far(const char *dir);

/**
 * files_check() - compare DIR.want with @events, JSON lines as `gswarm-observer events` prints
 * them. Prints one line per situation. Return: exit status.
 */
int files_check(const char *dir, const char *events);
