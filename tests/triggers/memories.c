// SPDX-License-Identifier: BSD-2-Clause
/* memories.c - where the bytes come from, and where in the file they go: mappings, buffers that
 * are not there any more when the call returns, holes, and writes before what was written. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "ways.h"

static char *map_file(int fd)
{
	return mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static int by_mmap(const struct job *j)
{
	char *p;

	if (ftruncate(j->fd, ALL_BYTES) < 0)
		return -1;
	p = map_file(j->fd);
	if (p == MAP_FAILED)
		return -1;
	memcpy(p, j->text, ALL_BYTES);
	munmap(p, ALL_BYTES);
	return 0;
}

/* Room first, lines later: whoever looks in between sees NULs. */
static int by_slow_mmap(const struct job *j)
{
	char *p;

	if (ftruncate(j->fd, ALL_BYTES) < 0)
		return -1;
	p = map_file(j->fd);
	if (p == MAP_FAILED)
		return -1;
	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		usleep(1200 * 1000); /* longer than from one look at the file to the next */
		memcpy(p + at, j->text + at, BLOCK_BYTES);
	}
	munmap(p, ALL_BYTES);
	return 0;
}

/* A buffer that begins in the last bytes of one page and goes on over the next ones. */
static int across_pages(const struct job *j)
{
	static char room[ALL_BYTES + 4 * BLOCK_BYTES] __attribute__((aligned(4096)));
	char *p = room + BLOCK_BYTES - 3;

	memcpy(p, j->text, ALL_BYTES);
	return write_all(j->fd, p, ALL_BYTES, LINE_BYTES * 50);
}

struct dropper {
	pthread_t id;
	char *p;
	int stop, turns;
};

static void *drop_pages(void *arg)
{
	struct dropper *d = arg;

	while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED)) {
		madvise(d->p, ALL_BYTES, MADV_DONTNEED);
		__atomic_add_fetch(&d->turns, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Waits for the disk behind the copy: time for the other thread. */
static int write_slowly(const struct job *j, struct dropper *d)
{
	cleanup_close int fd = open(j->path, O_WRONLY | O_SYNC | O_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < ALL_BYTES; at += 16L * LINE_BYTES) {
		int turn = __atomic_load_n(&d->turns, __ATOMIC_RELAXED);

		while (__atomic_load_n(&d->turns, __ATOMIC_RELAXED) == turn)
			sched_yield();
		if (write_all(fd, d->p + at, 16L * LINE_BYTES, 16L * LINE_BYTES) < 0)
			return -1;
	}
	return fd < 0 ? -1 : 0;
}

/* Another thread takes the buffer's pages away all the time: at the write they are brought
 * back, at its end they are gone again. */
static int from_vanishing_pages(const struct job *j)
{
	char path[PATH_BYTES + 8];
	cleanup_close int fd = -1;
	struct dropper d = {};
	int ret;

	snprintf(path, sizeof(path), "%s.src", j->path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, j->text, ALL_BYTES, ALL_BYTES) < 0)
		return -1;
	unlink(path);
	d.p = map_file(fd);
	if (d.p == MAP_FAILED || pthread_create(&d.id, NULL, drop_pages, &d) != 0)
		return -1;
	ret = write_slowly(j, &d);
	__atomic_store_n(&d.stop, 1, __ATOMIC_RELAXED);
	pthread_join(d.id, NULL);
	return ret;
}

/* Lines, a hole of two pages, lines. NULs are bytes like others: the hole is the beginning of
 * the line that ends behind it. */
static int with_hole(const struct job *j)
{
	const off_t behind = 3 * BLOCK_BYTES;

	if (write_all(j->fd, j->text, BLOCK_BYTES, BLOCK_BYTES) < 0 ||
	    pwrite(j->fd, j->text + BLOCK_BYTES, BLOCK_BYTES, behind) != BLOCK_BYTES)
		return -1;
	return 0;
}

/* A file that the next two ways write into again. */
static int first_lines(const struct job *j)
{
	if (write_want(j, j->text, ALL_BYTES) < 0)
		return -1;
	return write_all(j->fd, j->text, ALL_BYTES, LINE_BYTES);
}

static int over(const struct job *j, off_t at)
{
	static const char other[LINE_BYTES] = "overwritten, and no news to anybody\n";

	return pwrite(j->fd, other, LINE_BYTES, at) == LINE_BYTES ? 0 : -1;
}

static int in_the_middle(const struct job *j)
{
	return over(j, BLOCK_BYTES);
}

/* In the bytes by which a cursor tells its file from another. */
static int at_the_end(const struct job *j)
{
	return over(j, ALL_BYTES - LINE_BYTES);
}

const struct way memories[] = {
	{ "pages", across_pages, CAUGHT },
	{ "vanishing", from_vanishing_pages, TOLD },
	{ "hole", with_hole, TOLD },
	{ "mmap", by_mmap, FOUND },
	{ "mmap-slow", by_slow_mmap, FOUND },
	{ "rewrite", first_lines, TOLD },
	{ "rewrite-middle", in_the_middle, TOLD, .keep = true },
	{ "rewrite-end", at_the_end, TOLD, .keep = true },
	{},
};
