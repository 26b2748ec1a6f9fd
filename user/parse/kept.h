/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kept.h - what a container's engine keeps of its output: one entry of its file.
 *
 * An entry is what the engine read at once, at most 16 KiB: a long line comes as several, of which
 * only the last one ends it. Everything is hostile; nothing here is allocated but the scratch.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/buf.h"
#include "util/slice.h"

enum obs_kept_format {
	OBS_KEPT_NONE = 0, /* no engine's file */
	OBS_KEPT_TEXT,	   /* Docker's json-file, or CRI's "time stream F text": each line tells */
	OBS_KEPT_LOCAL,	   /* Docker's local: protobuf between two lengths */
};

/* Of one frame of OBS_KEPT_LOCAL, or of one line of OBS_KEPT_TEXT. */
#define OBS_KEPT_ENTRY_MAX (1024 * 1024)

struct obs_kept_entry {
	struct obs_slice text; /* without its line end; borrows the input or the scratch */
	bool ends;	       /* else the line goes on in the next entry of the same descriptor */
	int fd;		       /* 1, 2 */
	uint64_t wall_ns;      /* when the engine read it; 0 = it does not say */
};

/**
 * obs_kept_text() - a line of a json-file or of a CRI log, without its \n.
 * @scratch: where unescaped text stands afterwards
 *
 * Return: was it one? Then *@ret is filled.
 */
bool obs_kept_text(struct obs_slice line, struct obs_buf *scratch, struct obs_kept_entry *ret);

/**
 * obs_kept_local() - the frame at the start of @bytes.
 *
 * Return: bytes it takes, 0 when more are needed, -EBADMSG when this is no frame.
 */
ssize_t obs_kept_local(struct obs_slice bytes, struct obs_kept_entry *ret);

/**
 * obs_kept_local_size() - the size that four bytes at either end of a frame tell.
 *
 * Return: bytes of the whole frame, 0 when no frame has such a length.
 */
size_t obs_kept_local_size(const char length[4]);
