/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rotated.h - where the unread rest of a log went while nobody looked.
 *
 * A log may be renamed, copied and emptied, or compressed, several times over. What was read of it
 * stands in cursors; here the files beside it are searched for what was not.
 * Finds files only: following them is the caller's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/cursor.h"
#include "util/counters.h"

/* A file that holds something unread. */
struct obs_rotated_file {
	struct obs_file_id id;
	int fd;			  /* the callee's; of a compressed one: what was inside */
	const char *name;	  /* in its directory; borrowed */
	struct obs_cursor cursor; /* where to go on; offset 0 = all of it is new */
};

struct obs_rotated_search {
	int dir_fd;			   /* borrowed */
	const char *base;		   /* the log's name in there */
	const struct obs_file_id *current; /* what has that name now, followed already */
	struct obs_cursor *cursors;	   /* of files that had it, or were it */
	size_t n_cursors;
	uint64_t since_ns;   /* CLOCK_REALTIME: what was written later and is no copy is new */
	bool live;	     /* logs are followed: copies of them hold nothing new */
	const char *tmp_dir; /* for what has to be unpacked */
	struct obs_counters *counters;

	int (*identify)(void *ctx, int fd, struct obs_file_id *ret);
	/* does somebody follow it? else its cursor. Return: 1 followed, 0 a cursor, -ENOENT */
	int (*known)(void *ctx, const struct obs_file_id *id, struct obs_cursor *ret);
	/* a copy of what is read elsewhere, up to this cursor in it */
	void (*copy)(void *ctx, const char *name, const struct obs_cursor *c);
	void (*found)(void *ctx, const struct obs_rotated_file *file);
	void *ctx;
};

/** obs_rotated_is_sibling() - is @name what rotation makes of @base ("app.log.1.gz")? */
bool obs_rotated_is_sibling(const char *base, const char *name);

/* Beside one log so many files are looked at, the youngest. */
#define OBS_ROTATED_MAX 256

/**
 * obs_rotated_look() - search; found() is called oldest first.
 *
 * Return: 0, 1 when more stand there than are looked at (counted), or a negative errno.
 */
int obs_rotated_look(const struct obs_rotated_search *s);
