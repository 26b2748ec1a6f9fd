// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect_storm.c - TCP over loopback, as much of it as there is, to a listener of its own.
 *
 *   connect_storm storm N [TAG]   N times: connect, accept, close both; prints ns of our CPU
 *                                  time per connection: what the others on a machine do tells little in it
 *   connect_storm hold N [TAG]    N connections; prints "ready", holds them until stdin ends
 *
 * TAG is only there for the command line to be found by.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define BACKLOG 4096
#define LINGER_ON                           \
	(struct linger)                     \
	{                                   \
		.l_onoff = 1, .l_linger = 0 \
	}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int listen_on(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)at, len) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)at, &len) < 0) {
		perror("listen");
		return -1;
	}
	return fd;
}

static int connect_to(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		return fd;
	perror("connect");
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The client resets, so that no port waits in TIME_WAIT. */
static int storm_once(int listener, const struct sockaddr_in *at)
{
	cleanup_close int client = connect_to(at);
	cleanup_close int server = client < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (server < 0)
		return -1;
	return setsockopt(client, SOL_SOCKET, SO_LINGER, &LINGER_ON, sizeof(LINGER_ON));
}

static int storm(long n)
{
	struct sockaddr_in at;
	cleanup_close int listener = listen_on(&at);
	double start = cpu_ns();

	for (long i = 0; i < n && listener >= 0; i++) {
		if (storm_once(listener, &at) < 0)
			return 1;
	}
	printf("%.0f\n", (cpu_ns() - start) / (double)n);
	return listener < 0;
}

/* Descriptors end with the process. */
static int hold(long n)
{
	struct rlimit files = { (rlim_t)(2 * n + 64), (rlim_t)(2 * n + 64) };
	struct sockaddr_in at;
	cleanup_close int listener = listen_on(&at);
	char c;

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		perror("setrlimit");
	for (long i = 0; i < n && listener >= 0; i++) {
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (connect_to(&at) < 0 || accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
			return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return listener < 0;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	if (n > 0 && strcmp(argv[1], "storm") == 0)
		return storm(n);
	if (n > 0 && strcmp(argv[1], "hold") == 0)
		return hold(n);
	fputs("usage: connect_storm storm|hold N [TAG]\n", stderr);
	return 2;
}
