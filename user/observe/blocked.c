// SPDX-License-Identifier: BSD-2-Clause
/* blocked.c - see blocked.h. All of it is the process's own state: bounded, and only described. */
#include "observe/blocked.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "observe/proc.h"
#include "util/cleanup.h"

#define LOGIN_PORT     3000
#define NET_LINES_MAX  65536
#define NET_LINE_BYTES 512

/* System calls that wait at a descriptor: the first argument. */
static const struct {
	long nr;
	const char *name;
	bool polls; /* the first argument is a list of struct pollfd */
} calls[] = {
	{ SYS_read, "read", false },	   { SYS_write, "write", false },
	{ SYS_readv, "readv", false },	   { SYS_writev, "writev", false },
	{ SYS_recvfrom, "recv", false },   { SYS_sendto, "send", false },
	{ SYS_recvmsg, "recvmsg", false }, { SYS_sendmsg, "sendmsg", false },
	{ SYS_connect, "connect", false }, { SYS_accept, "accept", false },
	{ SYS_accept4, "accept", false },
#ifdef SYS_poll
	{ SYS_poll, "poll", true },
#endif
	{ SYS_ppoll, "poll", true },
};

struct call {
	long nr;
	unsigned long arg0;
};

static int read_call(pid_t pid, struct call *ret)
{
	cleanup_buf struct obs_buf text = {};
	char *end;
	int r = obs_proc_read(pid, "syscall", &text);

	if (r < 0)
		return r;
	ret->nr = strtol(obs_buf_cstr(&text), &end, 10);
	if (end == obs_buf_cstr(&text) || ret->nr < 0)
		return -EAGAIN; /* "running" */
	ret->arg0 = strtoul(end, NULL, 16);
	return 0;
}

int obs_proc_stat_read(pid_t pid, struct obs_proc_stat *ret)
{
	cleanup_buf struct obs_buf text = {};
	unsigned long user, system;
	unsigned long long start;
	const char *p;
	char state;
	int r = obs_proc_read(pid, "stat", &text);

	if (r < 0)
		return r;
	p = strrchr(obs_buf_cstr(&text), ')'); /* a name may hold anything */
	if (!p || sscanf(p + 1,
			 " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d "
			 "%*d %*d %llu",
			 &state, &user, &system, &start) != 4)
		return -EINVAL;
	*ret = (struct obs_proc_stat){ state, (uint64_t)user + system, start };
	return 0;
}

static void read_wchan(pid_t pid, char *out, size_t size)
{
	cleanup_buf struct obs_buf text = {};

	snprintf(out, size, "?");
	if (obs_proc_read(pid, "wchan", &text) == 0 && text.len > 0)
		snprintf(out, size, "%.40s", obs_buf_cstr(&text));
}

/* --- descriptors --- */

static bool read_fd(pid_t pid, int fd, char *out, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = readlink(path, out, size - 1);
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

/* The first descriptor that poll() waits for. */
static int polled_fd(pid_t pid, unsigned long at)
{
	struct pollfd first;
	struct iovec to = { &first, sizeof(first) };
	struct iovec from = { (void *)at, sizeof(first) };

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == sizeof(first) ? first.fd : -1;
}

struct peer {
	char text[80];
	unsigned port;
};

/* "0100007F:0BB8", or 32 digits: words in the host's byte order. */
static void parse_peer(const char *hex, struct peer *ret)
{
	unsigned words[4] = {}, port = 0;
	char addr[INET6_ADDRSTRLEN] = "?";

	if (strcspn(hex, ":") == 8 && sscanf(hex, "%8x:%x", &words[0], &port) == 2)
		inet_ntop(AF_INET, words, addr, sizeof(addr));
	else if (sscanf(hex, "%8x%8x%8x%8x:%x", &words[0], &words[1], &words[2], &words[3],
			&port) == 5)
		inet_ntop(AF_INET6, words, addr, sizeof(addr));
	ret->port = port;
	snprintf(ret->text, sizeof(ret->text), "%s:%u", addr, port);
}

static bool find_socket(pid_t pid, const char *table, unsigned long inode, struct peer *ret)
{
	char path[64], line[NET_LINE_BYTES], remote[64];
	cleanup_fclose FILE *f = NULL;
	unsigned long at;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	f = fopen(path, "re");
	for (int i = 0; f && i < NET_LINES_MAX && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, " %*s %*s %63s %*s %*s %*s %*s %*s %*s %lu", remote, &at) == 2 &&
		    at == inode) {
			parse_peer(remote, ret);
			return true;
		}
	}
	return false;
}

static enum obs_block_kind socket_kind(pid_t pid, const char *link, struct peer *peer)
{
	unsigned long inode = strtoul(link + strlen("socket:["), NULL, 10);

	if (find_socket(pid, "tcp", inode, peer) || find_socket(pid, "tcp6", inode, peer))
		return peer->port == LOGIN_PORT ? OBS_BLOCK_LOGIN : OBS_BLOCK_REMOTE;
	snprintf(peer->text, sizeof(peer->text), "a UNIX socket");
	return OBS_BLOCK_CONTROL;
}

static bool describe_fd(pid_t pid, const char *call, int fd, const char *wchan,
			struct obs_blocked *ret)
{
	struct peer peer = {};
	char link[128];

	if (fd < 0 || !read_fd(pid, fd, link, sizeof(link)))
		return false;
	if (strncmp(link, "pipe:", 5) == 0) {
		ret->kind = OBS_BLOCK_PIPE;
		snprintf(ret->words, sizeof(ret->words), "in %s(%d) at %.60s (%s)", call, fd, link,
			 wchan);
		return true;
	}
	if (strncmp(link, "socket:[", 8) != 0)
		return false;
	ret->kind = socket_kind(pid, link, &peer);
	snprintf(ret->words, sizeof(ret->words), "in %s(%d) for an answer from %s (%s)", call, fd,
		 peer.text, wchan);
	return true;
}

static void describe_call(pid_t pid, const struct call *call, const char *wchan,
			  struct obs_blocked *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].nr != call->nr)
			continue;
		if (describe_fd(pid, calls[i].name,
				calls[i].polls ? polled_fd(pid, call->arg0) : (int)call->arg0,
				wchan, ret))
			return;
	}
	ret->kind = call->nr == SYS_futex ? OBS_BLOCK_LOCK : OBS_BLOCK_SLEEP;
	snprintf(ret->words, sizeof(ret->words), "in system call %ld (%s)", call->nr, wchan);
}

void obs_blocked_read(pid_t pid, struct obs_blocked *ret)
{
	struct obs_proc_stat st;
	struct call call;
	char wchan[48];

	*ret = (struct obs_blocked){ .kind = OBS_BLOCK_NONE };
	if (obs_proc_stat_read(pid, &st) < 0 || st.state == 'R' || st.state == 'Z')
		return;
	read_wchan(pid, wchan, sizeof(wchan));
	if (st.state == 'T' || st.state == 't') {
		ret->kind = OBS_BLOCK_SIGNAL;
		snprintf(ret->words, sizeof(ret->words), "stopped by a signal");
	} else if (read_call(pid, &call) == 0) {
		describe_call(pid, &call, wchan, ret);
	} else {
		ret->kind = OBS_BLOCK_SLEEP;
		snprintf(ret->words, sizeof(ret->words), "in %s", wchan);
	}
	if (st.state == 'D')
		ret->kind = OBS_BLOCK_DISK;
}
