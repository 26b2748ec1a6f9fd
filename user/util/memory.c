// SPDX-License-Identifier: BSD-2-Clause
/* memory.c - see memory.h. */
#include "util/memory.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "util/cleanup.h"

struct mapping {
	unsigned long start, end;
	bool file;     /* of a file, private and read-only */
	long rss_kib;  /* resident */
	long anon_kib; /* written since it was mapped: relocations, for instance */
};

static bool is_head(const char *line, struct mapping *m)
{
	struct mapping new = {};
	char perms[5], path[2] = "";

	/* "start-end perms offset dev inode path" of proc(5) */
	if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %1s", &new.start, &new.end, perms, path) < 3)
		return false;
	new.file = path[0] == '/' && perms[1] == '-' && perms[3] == 'p';
	*m = new;
	return true;
}

/* The last line of a mapping: by now its numbers are known. Return: bytes let go of. */
static long let_go(const struct mapping *m)
{
	if (!m->file || m->anon_kib != 0 || m->rss_kib == 0)
		return 0;
	if (madvise((void *)m->start, m->end - m->start, MADV_DONTNEED) < 0)
		return 0;
	return m->rss_kib * 1024;
}

long obs_memory_trim(void)
{
	cleanup_fclose FILE *f = fopen("/proc/self/smaps", "re");
	struct mapping m = {};
	char line[512];
	long freed = 0;

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (is_head(line, &m))
			continue;
		if (sscanf(line, "Rss: %ld kB", &m.rss_kib) == 1 ||
		    sscanf(line, "Anonymous: %ld kB", &m.anon_kib) == 1)
			continue;
		if (strncmp(line, "VmFlags:", 8) == 0)
			freed += let_go(&m);
	}
	malloc_trim(0);
	return freed;
}
