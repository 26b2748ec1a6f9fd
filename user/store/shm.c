// SPDX-License-Identifier: BSD-2-Clause
/*
 * shm.c - see shm.h. on_bus_error() may interrupt anything: it makes system calls and nothing else.
 */
#include "store/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"

#define PAGES_MAX      256
#define PAGE_BYTES_MAX (64 * 1024)
#define SUFFIX	       "-shm"

/* A page of ours in the place of one of the file. */
struct page {
	char *at;
	off_t offset; /* in the file */
};

/* One file for the whole process: the store has one database. */
static struct {
	atomic_flag busy;
	atomic_size_t n;
	struct page pages[PAGES_MAX];
	char path[PATH_MAX];
	size_t page_bytes;
} guard = { .busy = ATOMIC_FLAG_INIT };

/* A line of /proc/self/maps: "FROM-TO rwxp OFFSET DEV INODE   PATH". */
struct mapping {
	uintptr_t from, to;
	off_t offset;
	const char *path;
};

static uintptr_t take_hex(const char **at)
{
	uintptr_t v = 0;

	for (;; (*at)++) {
		char c = **at;

		if (c >= '0' && c <= '9')
			v = v * 16 + (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (uintptr_t)(c - 'a') + 10;
		else
			return v;
	}
}

static struct mapping parse(const char *line)
{
	struct mapping m = {};
	const char *at = line;

	m.from = take_hex(&at);
	at += *at == '-';
	m.to = take_hex(&at);
	at += strcspn(at + (*at == ' '), " ") + 2; /* permissions */
	m.offset = (off_t)take_hex(&at);
	m.path = strchr(at, '/');
	return m;
}

static bool is_wanted(const struct mapping *m, uintptr_t address)
{
	size_t len = m->path ? strlen(m->path) : 0;

	return address >= m->from && address < m->to && len > strlen(SUFFIX) &&
	       strcmp(m->path + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* Which file is mapped at @address? The lines lie in @buf, of which @used bytes are one's begin. */
static bool scan(int fd, uintptr_t address, struct mapping *ret, char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while ((n = read(fd, buf + used, size - 1 - used)) > 0) {
		char *line = buf, *end;

		buf[used + (size_t)n] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			*ret = parse(line);
			if (is_wanted(ret, address))
				return true;
		}
		used = strlen(line);
		memmove(buf, line, used + 1);
		if (used + 1 >= size)
			return false;
	}
	return false;
}

static bool is_replaced(const char *page)
{
	for (size_t i = 0; i < atomic_load(&guard.n); i++) {
		if (guard.pages[i].at == page)
			return true;
	}
	return false;
}

/* What stands in the file now goes into a page of our own. */
static bool replace(char *page, const struct mapping *m)
{
	static char copy[PAGE_BYTES_MAX];
	off_t offset = m->offset + (off_t)((uintptr_t)page - m->from);
	size_t n = atomic_load(&guard.n);
	cleanup_close int fd = open(m->path, O_RDONLY | O_CLOEXEC);

	if (n == PAGES_MAX || strlen(m->path) >= sizeof(guard.path) || fd < 0)
		return false;
	memset(copy, 0, sizeof(copy));
	if (pread(fd, copy, guard.page_bytes, offset) < 0 ||
	    mmap(page, guard.page_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	memcpy(page, copy, guard.page_bytes);
	memcpy(guard.path, m->path, strlen(m->path) + 1);
	guard.pages[n] = (struct page){ page, offset };
	atomic_store(&guard.n, n + 1);
	return true;
}

static bool mend(uintptr_t address)
{
	static char buf[2 * PATH_MAX];
	char *page = (char *)(address & ~(uintptr_t)(guard.page_bytes - 1));
	cleanup_close int fd = -1;
	struct mapping m;

	if (is_replaced(page))
		return true; /* by another thread, meanwhile */
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && scan(fd, address, &m, buf, sizeof(buf)) && replace(page, &m);
}

static void on_bus_error(int signal_nr, siginfo_t *info, void *context)
{
	int saved = errno;
	bool mended;

	(void)context;
	while (atomic_flag_test_and_set(&guard.busy))
		;
	mended = mend((uintptr_t)info->si_addr);
	atomic_flag_clear(&guard.busy);
	errno = saved;
	if (!mended)
		signal(signal_nr, SIG_DFL); /* the same again, for good */
}

void obs_shm_guard(void)
{
	struct sigaction act = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };

	guard.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	if (guard.page_bytes > PAGE_BYTES_MAX)
		return;
	sigemptyset(&act.sa_mask);
	sigaction(SIGBUS, &act, NULL);
}

static int restore(int fd, const struct page *p)
{
	ssize_t n = pwrite(fd, p->at, guard.page_bytes, p->offset);

	if (n != (ssize_t)guard.page_bytes)
		return n < 0 ? -errno : -EIO;
	if (mmap(p->at, guard.page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 p->offset) == MAP_FAILED)
		return -errno;
	return 0;
}

int obs_shm_restore(void)
{
	cleanup_close int fd = -1;
	size_t n = atomic_load(&guard.n);

	if (n == 0)
		return 0;
	fd = open(guard.path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (; n > 0; n--) {
		int r = restore(fd, &guard.pages[n - 1]);

		if (r < 0)
			return r;
		atomic_store(&guard.n, n - 1);
	}
	return 0;
}

void obs_shm_forget(void)
{
	atomic_store(&guard.n, 0);
}
