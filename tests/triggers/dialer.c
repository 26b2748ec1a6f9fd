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
 *   queue PORT N            a listener that accepts nobody: N and one wait for it
 *   unqueue                 close it: who waits is reset
 *   mptcp 0|1               what is opened next is MPTCP, or not
 *   fork, pass              the last one held goes to a child: inherited, or by SCM_RIGHTS; its pid
 *   reap                    end the children
 *   storms PROGRAM N, hold PROGRAM N, flood PROGRAM N
 *                           connect_storm does it, as a child; what it holds, reap ends
 *   echo PORT               from now on, a child sends back each datagram
 *   quic ADDRESS PORT N     N datagrams that begin as QUIC does, and their echoes
 *   dns PORT ADDRESS        from now on, a child answers that every name is there
 *   lookup ADDRESS PORT NAME  ask for a name
 *   hello NAME              a ClientHello for it on the last connection held
 *   info                    what the kernel says of the last one held: RTT, retransmits, queues, …
 *   counts                  what was done so far, as the observer's totals call it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sockios.h>
#include <linux/tcp.h> /* netinet's has no delivery rate */

#define HELD_MAX       8192
#define BACKLOG	       4096
#define WORD	       64
#define WAIT_S	       20 /* for what must come */
#define CHILDREN       16
#define PACKET	       512
#define NAME_MAX_BYTES 48

/* The head of a QUIC Initial: version 1, ids of 8 and of 5 bytes, no token. */
#define INITIAL            \
	"\xc3\0\0\0\1\x08" \
	"ABCDEFGH"         \
	"\x05"             \
	"IJKLM"            \
	"\0"
#define INITIAL_BYTES 60

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int listener = -1, queue = -1;
static int held[HELD_MAX];
static size_t n_held;
static unsigned patience_ms;
static int protocol;

/* What was handed on, or runs beside us; ends with us. */
static struct child {
	pid_t pid;
	long ends; /* of connections that end with it */
	int in;	   /* its standard input; -1: it has none of ours */
} children[CHILDREN];
static size_t n_children;

static struct counts {
	uint64_t in, out, closed, failed, refused, timed_out, unreachable, broken;
	uint64_t bytes_sent, bytes_received, udp_packets_sent, udp_packets_received;
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
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, protocol), err;

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
	       " bytes_sent=%" PRIu64 " bytes_received=%" PRIu64 " udp_packets_sent=%" PRIu64
	       " udp_packets_received=%" PRIu64 "\n",
	       counts.in, counts.out, counts.closed, counts.failed, counts.refused,
	       counts.timed_out, counts.unreachable, counts.broken, counts.bytes_sent,
	       counts.bytes_received, counts.udp_packets_sent, counts.udp_packets_received);
	return 1;
}

static int do_queue(const struct args *a)
{
	queue = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	if (queue < 0 || set_options(queue, a->number[1]) < 0)
		return -1;
	return listen(queue, (int)a->number[2]);
}

static int do_unqueue(const struct args *a)
{
	(void)a;
	return close(queue);
}

static int do_mptcp(const struct args *a)
{
	protocol = a->number[1] ? IPPROTO_MPTCP : 0;
	return 0;
}

/* --- children --- */

/* Return: as fork() does; the child ends with us. */
static pid_t new_child(long ends, int in)
{
	pid_t pid;

	if (n_children == CHILDREN) {
		errno = ENOBUFS;
		return -1;
	}
	fflush(stdout);
	pid = fork();
	if (pid > 0)
		children[n_children++] = (struct child){ pid, ends, in };
	else if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void keep_only(int fd)
{
	for (size_t i = 0; i < n_held; i++) {
		if (held[i] != fd)
			close(held[i]);
	}
	close(listener);
	for (;;)
		pause();
}

static int handed_on(pid_t pid)
{
	close(held[--n_held]);
	printf("done pid=%d\n", pid);
	return 1;
}

static int do_fork(const struct args *a)
{
	pid_t pid = n_held ? new_child(1, -1) : -1;

	(void)a;
	if (pid == 0)
		keep_only(held[n_held - 1]);
	return pid < 0 ? -1 : handed_on(pid);
}

/* Room for one descriptor in a message of one byte. */
struct passed {
	char byte;
	struct iovec part;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr m;
};

static void make_passed(struct passed *p)
{
	memset(p, 0, sizeof(*p));
	p->part = (struct iovec){ &p->byte, 1 };
	p->m = (struct msghdr){ .msg_iov = &p->part,
				.msg_iovlen = 1,
				.msg_control = p->control,
				.msg_controllen = sizeof(p->control) };
}

static void take_passed(int line)
{
	struct passed p;
	char byte = 'k';

	make_passed(&p);
	if (recvmsg(line, &p.m, 0) == 1 && p.m.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    write(line, &byte, 1) == 1)
		keep_only(-1); /* but what has come */
	_exit(1);
}

static int pass_to(int line, int fd)
{
	struct passed p;
	struct cmsghdr *c;

	make_passed(&p);
	c = CMSG_FIRSTHDR(&p.m);
	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(line, &p.m, 0) == 1 && read(line, &p.byte, 1) == 1 ? 0 : -1;
}

/* To a child that has closed its own. */
static int do_pass(const struct args *a)
{
	int ends[2], r;
	pid_t pid;

	(void)a;
	if (!n_held || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	pid = new_child(1, -1);
	if (pid == 0) {
		for (size_t i = 0; i < n_held; i++)
			close(held[i]);
		n_held = 0;
		take_passed(ends[1]);
	}
	r = pid < 0 ? -1 : pass_to(ends[0], held[n_held - 1]);
	close(ends[0]);
	close(ends[1]);
	return r < 0 ? -1 : handed_on(pid);
}

static int do_reap(const struct args *a)
{
	(void)a;
	while (n_children) {
		struct child *c = &children[--n_children];

		if (c->in >= 0)
			close(c->in); /* it ends by itself, and its own child too */
		else
			kill(c->pid, SIGKILL);
		if (waitpid(c->pid, NULL, 0) < 0)
			return -1;
		counts.closed += (uint64_t)c->ends;
	}
	return 0;
}

/* connect_storm MODE N as a child, told to begin. Return: once it has said a line. */
static int run_storm(const struct args *a, const char *mode, long ends)
{
	int in[2], out[2];
	char c = '\n';
	pid_t pid;

	if (pipe(in) < 0 || pipe(out) < 0)
		return -1;
	pid = new_child(ends, in[1]);
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		for (int fd = STDERR_FILENO + 1; fd < HELD_MAX; fd++)
			close(fd);
		execl(a->word[1], a->word[1], mode, a->word[2], NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	if (pid < 0 || (strcmp(mode, "hold") != 0 && write(in[1], &c, 1) != 1))
		return -1;
	do
		c = 0;
	while (read(out[0], &c, 1) == 1 && c != '\n');
	close(out[0]);
	return c == '\n' ? 0 : -1;
}

static int do_storms(const struct args *a)
{
	uint64_t n = (uint64_t)a->number[2];

	if (run_storm(a, "storm", 0) < 0)
		return -1;
	counts.in += n;
	counts.out += n;
	counts.closed += 2 * n;
	return 0;
}

static int do_hold(const struct args *a)
{
	if (run_storm(a, "hold", 2 * a->number[2]) < 0)
		return -1;
	counts.in += (uint64_t)a->number[2];
	counts.out += (uint64_t)a->number[2];
	return 0;
}

static int do_flood(const struct args *a)
{
	if (run_storm(a, "flood", 0) < 0)
		return -1;
	counts.udp_packets_sent += (uint64_t)a->number[2];
	return 0;
}

/* --- datagrams and names --- */

static int bind_udp(long port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { .tv_sec = WAIT_S };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -1;
	return fd;
}

/* @ip: in each answer, an A record for what was asked; NULL: the datagram goes back. */
static void serve(int fd, const struct in_addr *ip)
{
	static const char record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4";
	char data[2 * PACKET];

	for (;;) {
		struct sockaddr_storage who;
		socklen_t len = sizeof(who);
		ssize_t n = recvfrom(fd, data, PACKET, 0, (struct sockaddr *)&who, &len);

		if (n <= 0)
			continue;
		if (ip && n > 12) {
			data[2] = (char)0x81;
			data[3] = (char)0x80;
			data[7] = 1;
			memcpy(data + n, record, sizeof(record) - 1);
			memcpy(data + n + sizeof(record) - 1, ip, sizeof(*ip));
			n += (ssize_t)(sizeof(record) - 1 + sizeof(*ip));
		}
		sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&who, len);
	}
}

static int start_server(long port, const struct in_addr *ip)
{
	int fd = bind_udp(port);
	pid_t pid = fd < 0 ? -1 : new_child(0, -1);

	if (pid == 0)
		serve(fd, ip);
	close(fd);
	return pid < 0 ? -1 : 0;
}

static int do_echo(const struct args *a)
{
	return start_server(a->number[1], NULL);
}

static int do_dns(const struct args *a)
{
	struct in_addr ip;

	return inet_pton(AF_INET, a->word[2], &ip) == 1 ? start_server(a->number[1], &ip) : -1;
}

/* Send N, each after the answer to the one before. */
static int talk(const struct args *a, const char *data, size_t size, long n)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(a->word[1], a->number[2], &to);
	int fd = len ? bind_udp(0) : -1;
	char answer[2 * PACKET];

	for (long i = 0; i < n && fd >= 0; i++) {
		if (sendto(fd, data, size, 0, (struct sockaddr *)&to, len) < 0 ||
		    recv(fd, answer, sizeof(answer), 0) <= 0)
			return -1;
		counts.udp_packets_sent++;
		counts.udp_packets_received++;
	}
	return fd < 0 ? -1 : close(fd);
}

static int do_quic(const struct args *a)
{
	char data[INITIAL_BYTES] = INITIAL;

	return talk(a, data, sizeof(data), a->number[3]);
}

static int do_lookup(const struct args *a)
{
	char data[PACKET] = "\x12\x34\1\0\0\1\0\0\0\0\0\0";
	char *at = data + 12;

	for (const char *label = a->word[3]; *label;) {
		size_t len = strcspn(label, ".");

		*at++ = (char)len;
		memcpy(at, label, len);
		at += len;
		label += len + (label[len] == '.');
	}
	memcpy(at, "\0\0\1\0\1", 5);
	return talk(a, data, (size_t)(at + 5 - data), 1);
}

static int do_hello(const struct args *a)
{
	size_t name = strlen(a->word[1]);
	char data[PACKET] = "\x16\3\1\0.\1\0\0.\3\3"
			    "01234567890123456789012345678901"
			    "\0\0\2\x13\1\1\0\0.\0\0\0.\0.\0\0.";
	const size_t head = 5 + 4 + 2 + 32 + 1 + 4 + 2 + 2 + 4 + 5;

	if (!n_held || name > NAME_MAX_BYTES)
		return -1;
	data[4] = (char)(head - 5 + name);
	data[8] = (char)(head - 9 + name);
	data[head - 10] = (char)(9 + name); /* extensions, of which this is the only one */
	data[head - 6] = (char)(5 + name);
	data[head - 4] = (char)(3 + name);
	data[head - 1] = (char)name;
	memcpy(data + head, a->word[1], name);
	counts.bytes_sent += head + name;
	return send(held[n_held - 1], data, head + name, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static const struct command {
	const char *name;
	int (*run)(const struct args *a); /* 1: it has answered */
} commands[] = {
	{ "listen", do_listen }, { "dial", do_dial },	    { "from", do_from },
	{ "try", do_try },	 { "storm", do_storm },	    { "accept", do_accept },
	{ "send", do_send },	 { "read", do_read },	    { "close", do_close },
	{ "abort", do_abort },	 { "ends", do_ends },	    { "patience", do_patience },
	{ "info", do_info },	 { "counts", do_counts },   { "queue", do_queue },
	{ "mptcp", do_mptcp },	 { "unqueue", do_unqueue }, { "fork", do_fork },
	{ "pass", do_pass },	 { "reap", do_reap },	    { "storms", do_storms },
	{ "hold", do_hold },	 { "flood", do_flood },	    { "echo", do_echo },
	{ "quic", do_quic },	 { "dns", do_dns },	    { "lookup", do_lookup },
	{ "hello", do_hello },
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
