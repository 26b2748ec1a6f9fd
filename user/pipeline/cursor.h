/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cursor.h - how far a file has been turned into events.
 *
 * Made by stream/, kept by store/ in the transaction of the events it covers.
 */
#pragma once

#include <stdint.h>

/* A file as the kernel knows it (struct inode), not as stat(2) tells: on btrfs
 * and overlayfs the two differ. */
struct obs_file_id {
	uint64_t ino; /* inode->i_ino */
	uint32_t dev; /* inode->i_sb->s_dev, the kernel's encoding (major << 20 | minor) */
	uint32_t gen; /* inode->i_generation */
};

#define OBS_TAIL_BYTES 256

struct obs_cursor {
	struct obs_file_id file;
	uint32_t epoch;	    /* +1 each time the file was truncated below the offset */
	uint32_t tail_len;  /* bytes that tail_hash covers, ≤ OBS_TAIL_BYTES */
	uint64_t offset;    /* of the first byte not yet in an event */
	uint64_t tail_hash; /* XXH3 of the tail_len bytes before offset: is it still this file? */
	uint64_t seen_ns;   /* CLOCK_REALTIME of the last change */
	char path[256];	    /* as the node sees it, cut, NUL-terminated */
	char owner[16];	    /* id of its node's container, short; "" = of none */
};
