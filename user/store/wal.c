// SPDX-License-Identifier: BSD-2-Clause
/*
 * wal.c - see wal.h. The format is SQLite's (fileformat2, "The Write-Ahead Log"): a head of 32
 * bytes, then frames of 24 bytes and a page; numbers are big-endian.
 */
#include "store/wal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

/* This page is where SQLite locks: it is never written. */
#define LOCK_BYTE 0x40000000

struct head {
	uint32_t magic, version, page_bytes, checkpoint, salt[2], sum[2];
};

struct frame {
	uint32_t page, size, salt[2], sum[2];
};

_Static_assert(sizeof(struct head) == 32, "the head of a log");
_Static_assert(sizeof(struct frame) == 24, "the head of a frame");

struct missing {
	uint64_t first, n; /* pages behind the end of the file, counted from 1 */
	uint64_t left;	   /* of them, not yet seen in the log */
	uint8_t *seen;	   /* owned; a byte for each */
};

static void note_page(struct missing *m, uint64_t page)
{
	if (page < m->first || page - m->first >= m->n || m->seen[page - m->first])
		return;
	m->seen[page - m->first] = 1;
	m->left--;
}

/* Frames of an older log may stand behind those of this one: their salt is another. */
static void read_frames(int fd, uint64_t page_bytes, struct missing *m)
{
	struct frame frame;
	struct head head;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head))
		return;
	for (off_t at = sizeof(head); m->left > 0; at += (off_t)(sizeof(frame) + page_bytes)) {
		if (pread(fd, &frame, sizeof(frame), at) != sizeof(frame) ||
		    memcmp(frame.salt, head.salt, sizeof(head.salt)) != 0)
			return;
		note_page(m, be32toh(frame.page));
	}
}

int obs_wal_check_length(const char *path, uint64_t pages, uint64_t page_bytes)
{
	cleanup_free uint8_t *seen = NULL;
	cleanup_close int fd = -1;
	char wal[PATH_MAX + 8];
	struct stat st, log = {};
	struct missing m = {};

	if (page_bytes == 0 || stat(path, &st) < 0)
		return page_bytes ? -errno : -EUCLEAN;
	if ((uint64_t)st.st_size / page_bytes >= pages)
		return 0;
	m.first = (uint64_t)st.st_size / page_bytes + 1;
	m.n = m.left = pages - m.first + 1;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	fd = open(wal, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &log) < 0)
		return -errno;
	if (m.n > (uint64_t)log.st_size / page_bytes + 1)
		return -EUCLEAN; /* more than it can hold */
	m.seen = seen = calloc(1, m.n);
	if (!seen)
		return -ENOMEM;
	note_page(&m, LOCK_BYTE / page_bytes + 1);
	if (fd >= 0)
		read_frames(fd, page_bytes, &m);
	return m.left > 0 ? -EUCLEAN : 0;
}
