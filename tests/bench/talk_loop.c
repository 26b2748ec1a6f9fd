// SPDX-License-Identifier: BSD-2-Clause
/*
 * talk_loop.c - a node and its p2pd, talking as fast as they can.
 *
 *   talk_loop TAG SOCKET
 *
 * TAG only makes the processes tell apart from others by their command line. SOCKET is called
 * as hivemind calls p2pd's. A child accepts there and answers each call, as p2pd writes: length
 * and body at once; the caller writes as hivemind does, each byte of the length by itself.
 * One command per line on standard input, one answer per line on standard output:
 *
 *   talk N BYTES   N calls with BYTES of data, answered by 20 -> nanoseconds per call
 *
 * End of input ends both.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define DATA_MAX   (4u << 20)
#define ANSWER_LEN 42

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static size_t put_varint(uint8_t *p, uint64_t v)
{
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

/* A CallUnaryRequest of @data bytes to some peer, with its call id at byte 2. */
static size_t make_call(uint8_t *p, size_t data)
{
	static const char name[] = "DHTProtocol.rpc_store";
	uint8_t inner[128] = { 0x0a, 0x26, 0x00, 0x24 };
	size_t n = 40, at = 18;

	inner[n++] = 0x12;
	inner[n++] = sizeof(name) - 1;
	memcpy(inner + n, name, sizeof(name) - 1);
	n += sizeof(name) - 1;
	inner[n++] = 0x1a;
	n += put_varint(inner + n, data);
	p[0] = 0x0a;
	p[1] = 16;
	p[at++] = 0x1a;
	at += put_varint(p + at, n + data);
	memcpy(p + at, inner, n);
	memset(p + at + n, 0, data);
	return at + n + data;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int read_all(int fd, uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t r = read(fd, p, n);

		if (r <= 0)
			return r < 0 ? -errno : -EPIPE;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The answer to the call that @body holds: its id, then 20 bytes. */
static int answer(int fd, const uint8_t *body)
{
	uint8_t out[ANSWER_LEN + 1] = { ANSWER_LEN, 0x0a, 16 };

	memcpy(out + 3, body + 2, 16);
	out[19] = 0x12;
	out[20] = 22;
	out[21] = 0x0a;
	out[22] = 20;
	return write_all(fd, out, sizeof(out));
}

static int serve(int listener)
{
	cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cleanup_free uint8_t *body = malloc(DATA_MAX + 256);
	uint64_t len;
	uint8_t byte;

	while (fd >= 0 && body) {
		len = 0;
		for (int shift = 0;; shift += 7) {
			if (read_all(fd, &byte, 1) < 0)
				return 0;
			len |= (uint64_t)(byte & 0x7f) << shift;
			if (!(byte & 0x80))
				break;
		}
		if (len > DATA_MAX + 256 || read_all(fd, body, len) < 0 || answer(fd, body) < 0)
			return 1;
	}
	return 1;
}

static int talk(int fd, uint8_t *call, unsigned long n, size_t data)
{
	size_t len = make_call(call, data), digits;
	uint8_t length[10], back[ANSWER_LEN + 1];
	int r = 0;

	digits = put_varint(length, len);
	for (unsigned long i = 0; i < n && r == 0; i++) {
		memcpy(call + 2, &i, sizeof(i));
		for (size_t k = 0; k < digits && r == 0; k++)
			r = write_all(fd, length + k, 1);
		if (r == 0)
			r = write_all(fd, call, len);
		if (r == 0)
			r = read_all(fd, back, sizeof(back));
	}
	return r;
}

static int call_and_time(const struct sockaddr_un *where)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_free uint8_t *call = malloc(DATA_MAX + 256);
	unsigned long n, data;
	char line[64];

	if (fd < 0 || !call || connect(fd, (const struct sockaddr *)where, sizeof(*where)) < 0)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t start = now_ns();

		if (sscanf(line, "talk %lu %lu", &n, &data) != 2 || n == 0 || data > DATA_MAX ||
		    talk(fd, call, n, data) < 0)
			return 1;
		printf("%.1f\n", (double)(now_ns() - start) / (double)n);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_close int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	pid_t child;
	int r;

	if (argc != 3 || listener < 0)
		return 2;
	snprintf(where.sun_path, sizeof(where.sun_path), "%s", argv[2]);
	unlink(argv[2]);
	if (bind(listener, (struct sockaddr *)&where, sizeof(where)) < 0 || listen(listener, 1) < 0)
		return 1;
	child = fork();
	if (child == 0)
		return serve(listener);
	r = child < 0 ? 1 : call_and_time(&where);
	unlink(argv[2]);
	return r;
}
