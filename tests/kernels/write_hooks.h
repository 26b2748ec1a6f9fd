/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * write_hooks.h - between the two halves of tests/kernels/write_hooks.
 */
#pragma once

#include <linux/types.h>

enum hook_shape {
	SHAPE_NONE = 0,	   /* count only */
	SHAPE_FILE = 1,	   /* struct file * at file_arg, loff_t * at pos_arg (0 = none) */
	SHAPE_KIOCB = 2,   /* struct kiocb * at file_arg */
	SHAPE_IO_REQ = 3,  /* struct io_kiocb * at file_arg */
	SHAPE_IO_DONE = 4, /* the same, and the number of bytes behind it */
	SHAPE_SPLICE = 5,  /* as SHAPE_FILE, but without a position the file's own is used */
	SHAPE_COPY = 6,	   /* struct file * at file_arg, loff_t before the call at pos_arg */
};

struct hit {
	__u64 n;
	__s64 ret;
	__s64 pos; /* after the call; -1 = not shown */
	__s64 f_pos;
	__u64 ino;
	__u64 byte; /* the first of the writer's memory, as the program could read it */
	__u64 dev; /* of the superblock: overlayfs shows the inner inode's number, but not its device */
};
