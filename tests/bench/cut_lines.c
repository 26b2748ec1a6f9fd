// SPDX-License-Identifier: BSD-2-Clause
/*
 * cut_lines.c - an old log is read and cut into lines, as the observer does it, and no more.
 *
 *   cut_lines FILE
 *
 * Prints the number of lines. What it costs to read, apart from what is made of the lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stream/lines.h"
#include "util/cleanup.h"

#define READ_BYTES (256 * 1024) /* as in user/stream/stream.c */
#define LINE_BYTES (1024 * 1024)

static void count(void *ctx, const struct obs_line *line)
{
	uint64_t *n = ctx;

	*n += line->text.len > 0;
}

static int cut(int fd, struct obs_lines *lines)
{
	static char buffer[READ_BYTES];
	struct obs_line meta = { .backfilled = true };
	ssize_t n;

	while ((n = pread(fd, buffer, sizeof(buffer), (off_t)meta.offset)) > 0) {
		int r;

		meta.text = obs_slice(buffer, (size_t)n);
		r = obs_lines_push(lines, &meta);
		if (r < 0)
			return r;
		meta.offset += (uint64_t)n;
	}
	return n < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	cleanup_close int fd = -1;
	struct obs_lines *lines = NULL;
	uint64_t n = 0;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: cut_lines FILE\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : obs_lines_new(LINE_BYTES, count, &n, &lines);
	if (r == 0)
		r = cut(fd, lines);
	obs_lines_free(&lines);
	if (r < 0) {
		fprintf(stderr, "cut_lines: %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	printf("%" PRIu64 "\n", n);
	return 0;
}
