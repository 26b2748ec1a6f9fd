// SPDX-License-Identifier: BSD-2-Clause
/*
 * write_loop.c - a writer whose speed is the thing measured.
 *
 *   write_loop TAG FILE
 *
 * TAG only makes the process tell apart from others by its command line. One command per
 * line on standard input, one answer per line on standard output:
 *
 *   write N    N appended writes of one 120-byte log line -> nanoseconds per write
 *   spread N   the same, each timed: its p50, p99, p99.9 and maximum, in nanoseconds
 *   bursts N   N such writes, 50 at a time with 0.5 ms of doing nothing in between, so that a
 *              reader keeps up -> nanoseconds per write, median of the bursts
 *   getppid N  N calls of getppid(2)                      -> nanoseconds per call
 *   drip N     N such lines, 5 ms apart                   -> nanoseconds per line
 *   paced N    N lines, 1 ms apart, that hold "at=NANOSECONDS." of CLOCK_MONOTONIC
 *                                                         -> nanoseconds per line
 *   truncate   empty the file                             -> 0
 *
 * The file is opened for appending, as a logger does. End of input ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define LINE_BYTES     120
#define DRIP_NS	       5000000
#define PACE_NS	       1000000
#define BURST_WRITES   50
#define BURST_PAUSE_NS 500000

static char line[LINE_BYTES + 1];

/* The node's own shape, padded to the length that docs/design.md states its goal for. */
static void make_line(void)
{
	int n = snprintf(line, sizeof(line),
			 "[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][INFO] - "
			 "Joining round: 39512 ");

	memset(line + n, '.', LINE_BYTES - (size_t)n - 1);
	line[LINE_BYTES - 1] = '\n';
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int do_write(int fd, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		if (write(fd, line, LINE_BYTES) != LINE_BYTES)
			return errno ? -errno : -EIO;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void free_samples(uint64_t **v)
{
	free(*v);
}

/* Answers itself. */
static int do_spread(int fd, unsigned long n)
{
	OBS_CLEANUP(free_samples) uint64_t *took = calloc(n ? n : 1, sizeof(*took));

	if (!took)
		return -ENOMEM;
	for (unsigned long i = 0; i < n; i++) {
		uint64_t start_ns = now_ns();

		if (write(fd, line, LINE_BYTES) != LINE_BYTES)
			return errno ? -errno : -EIO;
		took[i] = now_ns() - start_ns;
	}
	if (n == 0)
		return -EINVAL;
	qsort(took, n, sizeof(*took), by_value);
	printf("%llu %llu %llu %llu\n", (unsigned long long)took[n / 2],
	       (unsigned long long)took[n * 99 / 100], (unsigned long long)took[n * 999 / 1000],
	       (unsigned long long)took[n - 1]);
	return 1;
}

static int by_real(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void free_reals(double **v)
{
	free(*v);
}

/* Waits without sleeping: a core that slept is a slower one. Answers itself. */
static int do_bursts(int fd, unsigned long n)
{
	unsigned long bursts = n / BURST_WRITES;
	OBS_CLEANUP(free_reals) double *took = calloc(bursts ? bursts : 1, sizeof(*took));

	if (!took)
		return -ENOMEM;
	if (bursts == 0)
		return -EINVAL;
	for (unsigned long i = 0; i < bursts; i++) {
		uint64_t start_ns = now_ns(), end_ns;
		int r = do_write(fd, BURST_WRITES);

		if (r < 0)
			return r;
		end_ns = now_ns();
		took[i] = (double)(end_ns - start_ns) / BURST_WRITES;
		while (now_ns() < end_ns + BURST_PAUSE_NS)
			;
	}
	qsort(took, bursts, sizeof(*took), by_real);
	printf("%.2f\n", took[bursts / 2]);
	return 1;
}

/* The raw system call: a C library may keep the answer. */
static int do_getppid(int fd, unsigned long n)
{
	(void)fd;
	for (unsigned long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return 0;
}

static int do_drip(int fd, unsigned long n)
{
	const struct timespec pause = { .tv_nsec = DRIP_NS };

	for (unsigned long i = 0; i < n; i++) {
		if (write(fd, line, LINE_BYTES) != LINE_BYTES)
			return -EIO;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Against a clock, not with a fixed sleep: the pace is part of what is measured. */
static int do_paced(int fd, unsigned long n)
{
	uint64_t next_ns = now_ns();
	char stamp[32];

	for (unsigned long i = 0; i < n; i++, next_ns += PACE_NS) {
		const struct timespec due = { .tv_sec = (time_t)(next_ns / 1000000000),
					      .tv_nsec = (long)(next_ns % 1000000000) };
		int len;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		len = snprintf(stamp, sizeof(stamp), "at=%llu.", (unsigned long long)now_ns());
		memcpy(line + LINE_BYTES - sizeof(stamp), stamp, (size_t)len);
		if (write(fd, line, LINE_BYTES) != LINE_BYTES)
			return -EIO;
	}
	return 0;
}

static int do_truncate(int fd, unsigned long n)
{
	(void)n;
	return ftruncate(fd, 0) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*run)(int fd, unsigned long n);
} commands[] = {
	{ "write", do_write },	 { "getppid", do_getppid },   { "drip", do_drip },
	{ "paced", do_paced },	 { "truncate", do_truncate }, { "spread", do_spread },
	{ "bursts", do_bursts },
};

static int answer(int fd, const char *text)
{
	size_t word = strcspn(text, " \n");
	unsigned long n = strtoul(text + word, NULL, 10);

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		uint64_t start_ns;
		int r;

		if (strlen(commands[i].name) != word || strncmp(commands[i].name, text, word) != 0)
			continue;
		start_ns = now_ns();
		r = commands[i].run(fd, n);
		if (r > 0)
			return 0;
		if (r == 0)
			printf("%.2f\n", n ? (double)(now_ns() - start_ns) / (double)n : 0.0);
		return r;
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	cleanup_close int fd = -1;
	char text[64];

	if (argc != 3) {
		fprintf(stderr, "usage: write_loop TAG FILE\n");
		return 2;
	}
	fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		perror(argv[2]);
		return 1;
	}

	make_line();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(text, sizeof(text), stdin)) {
		int r = answer(fd, text);

		if (r < 0) {
			fprintf(stderr, "write_loop: %.*s: %s\n", (int)strcspn(text, "\n"), text,
				strerror(-r));
			return 1;
		}
	}
	return 0;
}
