// SPDX-License-Identifier: BSD-2-Clause
/*
 * dialer.c - one end of TCP connections, which does as it is told and counts what it did.
 *
 *   dialer [TAG]
 *
 * One command a line on stdin, one answer a line on stdout: "done …", or "failed …" and why.
 * TAG is only there for the command line to be found by. Connections that stand are held, in
 * the order in which they came. Addresses: IPv4, IPv6, or IPv4 mapped into IPv6.
 *
 *   listen PORT             on all addresses of both families
 *   dial ADDRESS PORT N     N connects, in sequence
 *   from ADDRESS PORT FROM  one, from that port
 *   try ADDRESS PORT N      the same, none of which is expected to stand
 *   storm ADDRESS PORT N    N connects, each reset at once
 *   accept N                N connections of the listener
 *   send BYTES, read BYTES  on every held connection
 *   close, abort            every held connection, with FIN or with RST
 *   ends                    wait until the other side has ended every held one, close them
 *   patience MS             how long what comes next waits for acknowledgements
 *   info                    what the kernel says of the last one held: RTT, retransmits, queues, …
 *   counts                  what was done so far, as the observer's totals call it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>
#include <linux/tcp.h> /* netinet's has no delivery rate */

#define HELD_MAX 8192
#define BACKLOG	 4096
#define WORD	 64
#define WAIT_S	 20 /* for what must come */

static int listener = -1;
static int held[HELD_MAX];
static size_t n_held;
static unsigned patience_ms;

static struct counts {
	uint64_t in, out, closed, failed, refused, timed_out, unreachable, broken;
	uint64_t bytes_sent, bytes_received;
} counts;

struct args {
	char word[4][WORD]; /* the command, then what it is to be done with */
	long number[4];
};

static int say_failed(const char *what)
{
	printf("failed %s: %s\n", what, strerror(errno));
	return -1;
}

/* --- sockets --- */

static socklen_t address_of(const char *text, long port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (void *)ret;
	struct sockaddr_in *in4 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		return sizeof(*in4);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		return 0;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	return sizeof(*in6);
}

static int set_options(int fd, long from)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)from) };
	struct timeval limit = { .tv_sec = WAIT_S };
	int on = 1, off = 0, syns = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)); /* never hang */
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (patience_ms &&
	    (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms)) < 0 ||
	     setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &syns, sizeof(syns)) < 0))
		return -1;
	return from ? bind(fd, (struct sockaddr *)&any, sizeof(any)) : 0;
}

static int open_to(const struct args *a, long from)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(a->word[1], a->number[2], &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0 || !len || set_options(fd, from) < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, len) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void count_failure(int err)
{
	counts.failed++;
	counts.refused += err == ECONNREFUSED;
	counts.timed_out += err == ETIMEDOUT;
	counts.unreachable += err == EHOSTUNREACH || err == ENETUNREACH;
}

static int hold(int fd)
{
	if (n_held == HELD_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	held[n_held++] = fd;
	return 0;
}

static int reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int r = setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));

	return close(fd) < 0 ? -1 : r;
}

/* --- commands --- */

static int do_listen(const struct args *a)
{
	listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || set_options(listener, a->number[1]) < 0)
		return -1;
	return listen(listener, BACKLOG);
}

static int do_dial(const struct args *a)
{
	for (long i = 0; i < a->number[3]; i++) {
		int fd = open_to(a, 0);

		if (fd < 0 || hold(fd) < 0)
			return -1;
		counts.out++;
	}
	return 0;
}

/* One, from a port; the other side may dial in the same moment. */
static int do_from(const struct args *a)
{
	int fd = open_to(a, a->number[3]);

	if (fd < 0 || hold(fd) < 0)
		return -1;
	counts.out++;
	return 0;
}

static int do_try(const struct args *a)
{
	for (long i = 0; i < a->number[3]; i++) {
		if (open_to(a, 0) >= 0) {
			errno = EISCONN;
			return -1;
		}
		count_failure(errno);
	}
	return 0;
}

static int do_storm(const struct args *a)
{
	for (long i = 0; i < a->number[3]; i++) {
		int fd = open_to(a, 0);

		if (fd < 0 || reset(fd) < 0)
			return -1;
		counts.out++;
		counts.closed++;
	}
	return 0;
}

static int do_accept(const struct args *a)
{
	for (long i = 0; i < a->number[1]; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 || hold(fd) < 0)
			return -1;
		counts.in++;
	}
	return 0;
}

/* Return: bytes moved. */
static long move(int fd, long bytes, int out)
{
	static char buf[65536];
	long done = 0;

	while (done < bytes) {
		size_t most = (size_t)(bytes - done);
		size_t size = most < sizeof(buf) ? most : sizeof(buf);
		ssize_t n = out ? send(fd, buf, size, MSG_NOSIGNAL) : recv(fd, buf, size, 0);

		if (n <= 0)
			return done;
		done += n;
	}
	return done;
}

static int do_send(const struct args *a)
{
	for (size_t i = 0; i < n_held; i++) {
		if (move(held[i], a->number[1], 1) != a->number[1])
			return -1;
		counts.bytes_sent += (uint64_t)a->number[1];
	}
	return 0;
}

static int do_read(const struct args *a)
{
	for (size_t i = 0; i < n_held; i++) {
		if (move(held[i], a->number[1], 0) != a->number[1])
			return -1;
		counts.bytes_received += (uint64_t)a->number[1];
	}
	return 0;
}

static int end_all(int (*how)(int fd))
{
	counts.closed += n_held;
	while (n_held) {
		if (how(held[--n_held]) < 0)
			return -1;
	}
	return 0;
}

static int do_close(const struct args *a)
{
	(void)a;
	return end_all(close);
}

static int do_abort(const struct args *a)
{
	(void)a;
	return end_all(reset);
}

static int do_ends(const struct args *a)
{
	char buf[4096];

	(void)a;
	for (size_t i = 0; i < n_held; i++) {
		ssize_t n;

		do
			n = recv(held[i], buf, sizeof(buf), 0);
		while (n > 0);
		counts.broken += n < 0 && (errno == ECONNRESET || errno == ETIMEDOUT);
	}
	return end_all(close);
}

static int do_patience(const struct args *a)
{
	patience_ms = (unsigned)a->number[1];
	return 0;
}

static int do_info(const struct args *a)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int out = 0, in = 0;

	(void)a;
	if (!n_held || getsockopt(held[n_held - 1], IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    ioctl(held[n_held - 1], SIOCOUTQ, &out) < 0 ||
	    ioctl(held[n_held - 1], FIONREAD, &in) < 0)
		return -1;
	printf("done rtt_us=%u rttvar_us=%u min_rtt_us=%u cwnd=%u delivery_rate=%" PRIu64
	       " retransmits=%u unacked=%u send_queue=%d recv_queue=%d\n",
	       info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_min_rtt, info.tcpi_snd_cwnd,
	       (uint64_t)info.tcpi_delivery_rate, info.tcpi_total_retrans, info.tcpi_unacked, out,
	       in);
	return 1;
}

static int do_counts(const struct args *a)
{
	(void)a;
	printf("done in=%" PRIu64 " out=%" PRIu64 " closed=%" PRIu64 " failed=%" PRIu64
	       " refused=%" PRIu64 " timed_out=%" PRIu64 " unreachable=%" PRIu64 " broken=%" PRIu64
	       " bytes_sent=%" PRIu64 " bytes_received=%" PRIu64 "\n",
	       counts.in, counts.out, counts.closed, counts.failed, counts.refused,
	       counts.timed_out, counts.unreachable, counts.broken, counts.bytes_sent,
	       counts.bytes_received);
	return 1;
}

static const struct command {
	const char *name;
	int (*run)(const struct args *a); /* 1: it has answered */
} commands[] = {
	{ "listen", do_listen }, { "dial", do_dial },	  { "from", do_from },
	{ "try", do_try },	 { "storm", do_storm },	  { "accept", do_accept },
	{ "send", do_send },	 { "read", do_read },	  { "close", do_close },
	{ "abort", do_abort },	 { "ends", do_ends },	  { "patience", do_patience },
	{ "info", do_info },	 { "counts", do_counts },
};

static void obey(const char *line)
{
	struct args a = {};

	sscanf(line, "%63s %63s %63s %63s", a.word[0], a.word[1], a.word[2], a.word[3]);
	for (size_t i = 0; i < 4; i++)
		a.number[i] = strtol(a.word[i], NULL, 10);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int r;

		if (strcmp(a.word[0], commands[i].name) != 0)
			continue;
		r = commands[i].run(&a);
		if (r < 0)
			say_failed(a.word[0]);
		else if (r == 0)
			puts("done");
		return;
	}
	printf("failed %s: no such command\n", a.word[0]);
}

int main(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		fflush(stdout);
	}
	return 0;
}
