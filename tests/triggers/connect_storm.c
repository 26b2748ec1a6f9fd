// SPDX-License-Identifier: BSD-2-Clause
/*
 * connect_storm.c - TCP and UDP over loopback, as much of it as there is, to itself.
 *
 *   connect_storm storm N [TAG]   N times: connect, accept, close both; prints ns of our CPU
 *                                  time per connection: what the others on a machine do tells little in it
 *   connect_storm ask N [TAG]     the same, again for each line on stdin
 *   connect_storm hold N [TAG]    N connections; prints "ready", holds them until stdin ends
 *   connect_storm flood N [TAG]    N datagrams, after a line on stdin, to a port without a socket; prints how
 *                                  many were sent, bytes with IP headers, and waits for another line
 *   connect_storm scatter N [TAG]  the same, to 20,000 ports in turn
 *   connect_storm rate N [TAG]     as storm, after a line on stdin, by two processes; prints connections per second
 *   connect_storm pace RATE [TAG]  after a line on stdin, for 5 s so many connections per second, by two processes;
 *                                  prints how many there were, and how many per second it came to
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define BACKLOG	      4096
#define FLOOD_BYTES   100
#define UDP_IP_BYTES  28
#define FLOOD_PORT    10000
#define SCATTER_PORTS 20000
#define PACE_S	      5
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

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sleep until @s after @start, if that is to come. */
static void wait_until(double start, double s)
{
	double left_s = s - (now_s() - start);

	if (left_s > 0)
		nanosleep(&(struct timespec){ .tv_nsec = (long)(left_s * 1e9) }, NULL);
}

/* @per_s: 0 = as fast as they go */
static int storm_quietly(long n, double per_s)
{
	struct sockaddr_in at;
	cleanup_close int listener = listen_on(&at);
	double start = now_s();

	for (long i = 0; i < n && listener >= 0; i++) {
		if (per_s > 0)
			wait_until(start, (double)i / per_s);
		if (storm_once(listener, &at) < 0)
			return 1;
	}
	return listener < 0;
}

static int storm(long n)
{
	double start = cpu_ns();
	int bad = storm_quietly(n, 0);

	printf("%.0f\n", (cpu_ns() - start) / (double)n);
	fflush(stdout);
	return bad;
}

/* The child: N accepted, then wait until the parent is done. Descriptors end with the process. */
static int hold_accepted(int listener, long n, int parent)
{
	char c = 'a';

	for (long i = 0; i < n; i++) {
		if (accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
			return 1;
	}
	if (write(parent, &c, 1) != 1)
		return 1;
	return read(parent, &c, 1) != 0;
}

static int hold_dialled(const struct sockaddr_in *at, long n, int child)
{
	char c;

	for (long i = 0; i < n; i++) {
		if (connect_to(at) < 0)
			return 1;
	}
	if (read(child, &c, 1) != 1)
		return 1;
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}

/* One end in each of two processes, so that a limit on descriptors goes twice as far. */
static int hold(long n)
{
	struct rlimit files = { (rlim_t)(n + 64), (rlim_t)(n + 64) };
	struct sockaddr_in at;
	cleanup_close int listener = listen_on(&at);
	int ends[2];
	pid_t child;

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		perror("setrlimit");
	if (listener < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return 1;
	child = fork();
	if (child < 0)
		return 1;
	if (child == 0) {
		close(ends[0]);
		_exit(hold_accepted(listener, n, ends[1]));
	}
	close(ends[1]);
	return hold_dialled(&at, n, ends[0]);
}

/* Until a line comes. */
static int wait_line(void)
{
	char c = 0;

	while (read(STDIN_FILENO, &c, 1) > 0 && c != '\n')
		;
	return c == '\n' ? 0 : -1;
}

static int send_to_ports(long n, long ports)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cleanup_close int fd = -1;
	char data[FLOOD_BYTES] = "";
	long sent = 0;

	if (wait_line() < 0)
		return 1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); /* its cgroup is ours of now */
	if (fd < 0)
		return 1;
	for (long i = 0; i < n; i++) {
		to.sin_port = htons((uint16_t)(FLOOD_PORT + i % ports));
		sent += sendto(fd, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)) ==
			sizeof(data);
	}
	printf("%ld %ld\n", sent, sent * (FLOOD_BYTES + UDP_IP_BYTES));
	fflush(stdout);
	wait_line();
	return 0;
}

static int flood(long n)
{
	return send_to_ports(n, 1);
}

static int scatter(long n)
{
	return send_to_ports(n, SCATTER_PORTS);
}

static int ask(long n)
{
	int bad = 0;

	while (!bad && wait_line() == 0)
		bad = storm(n);
	return bad;
}

/* Two at once, after a line. Return: what it came to per second, or 0. */
static double storm_by_two(long n, double per_s)
{
	int status = 0, bad;
	double start;
	pid_t child;

	if (wait_line() < 0)
		return 0;
	start = now_s();
	child = fork();
	if (child < 0)
		return 0;
	bad = storm_quietly(n / 2, per_s / 2);
	if (child == 0)
		_exit(bad);
	if (waitpid(child, &status, 0) < 0 || status != 0 || bad)
		return 0;
	return (double)n / (now_s() - start);
}

static int rate(long n)
{
	double reached = storm_by_two(n, 0);

	if (reached == 0)
		return 1;
	printf("%.0f\n", reached);
	fflush(stdout);
	wait_line();
	return 0;
}

static int pace(long per_s)
{
	double reached = storm_by_two(per_s * PACE_S, (double)per_s);

	if (reached == 0)
		return 1;
	printf("%ld %.0f\n", per_s * PACE_S, reached);
	fflush(stdout);
	wait_line();
	return 0;
}

static const struct mode {
	const char *name;
	int (*run)(long n);
} modes[] = { { "storm", storm },     { "ask", ask },	{ "hold", hold }, { "flood", flood },
	      { "scatter", scatter }, { "rate", rate }, { "pace", pace } };

int main(int argc, char **argv)
{
	long n = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	for (size_t i = 0; n > 0 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) == 0)
			return modes[i].run(n);
	}
	fputs("usage: connect_storm storm|ask|hold|flood|scatter|rate|pace N [TAG]\n", stderr);
	return 2;
}
