// SPDX-License-Identifier: BSD-2-Clause
/*
 * listener.c - binds the socket itself, instead of leaving that to libmicrohttpd,
 * to be able to say who has the port: the socket's inode from /proc/net/tcp{,6},
 * then the process whose descriptor leads to it.
 */
#include "serve/listener.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/listen.h"

#define BACKLOG	   32
#define TCP_LISTEN 10 /* enum of include/net/tcp_states.h */
#define INODES_MAX 8

struct holder {
	long pid; /* 0 = not found */
	char comm[32];
};

/* ---- who has the port ---- */

struct inodes {
	unsigned long v[INODES_MAX];
	size_t n;
};

static bool is_any(const uint32_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (words[i])
			return false;
	}
	return true;
}

/* Whether a socket bound to the hexadecimal @local is in the way of one bound to @want. */
static bool in_the_way(const char *local, const struct sockaddr *want)
{
	const struct sockaddr_in *v4 = (const void *)want;
	const struct sockaddr_in6 *v6 = (const void *)want;
	const uint32_t *ours =
		want->sa_family == AF_INET ? &v4->sin_addr.s_addr : v6->sin6_addr.s6_addr32;
	size_t n_ours = want->sa_family == AF_INET ? 1 : 4;
	size_t n = strlen(local) / 8;
	uint32_t theirs[4] = { 0 };

	for (size_t i = 0; i < n && i < 4; i++)
		sscanf(local + 8 * i, "%8x", &theirs[i]);
	if (is_any(ours, n_ours) || is_any(theirs, n))
		return true;
	return n == n_ours && memcmp(ours, theirs, n * sizeof(*ours)) == 0;
}

static void collect_inodes(const char *table, const struct sockaddr *want, unsigned port,
			   struct inodes *ret)
{
	cleanup_fclose FILE *f = fopen(table, "re");
	char line[512], local[40];
	unsigned local_port, state;
	unsigned long inode;

	while (f && fgets(line, sizeof(line), f) && ret->n < INODES_MAX) {
		if (sscanf(line,
			   " %*d: %39[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %lu",
			   local, &local_port, &state, &inode) != 4)
			continue;
		if (state == TCP_LISTEN && local_port == port && in_the_way(local, want))
			ret->v[ret->n++] = inode;
	}
}

static bool leads_to(int fd_dir, const char *name, const struct inodes *inodes)
{
	char link[64];
	ssize_t n = readlinkat(fd_dir, name, link, sizeof(link) - 1);
	unsigned long inode;

	if (n < 0)
		return false;
	link[n] = '\0';
	if (sscanf(link, "socket:[%lu]", &inode) != 1)
		return false;
	for (size_t i = 0; i < inodes->n; i++) {
		if (inodes->v[i] == inode)
			return true;
	}
	return false;
}

static bool process_has(const char *pid, const struct inodes *inodes)
{
	char path[64];
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (leads_to(dirfd(dir), e->d_name, inodes))
			return true;
	}
	return false;
}

static void read_comm(const char *pid, char *ret, size_t size)
{
	char path[64];
	cleanup_fclose FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(ret, (int)size, f))
		snprintf(ret, size, "?");
	ret[strcspn(ret, "\n")] = '\0';
	for (char *p = ret; *p; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
}

static struct holder find_holder(const struct sockaddr *want, unsigned port)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	struct inodes inodes = { .n = 0 };
	struct holder h = { 0 };
	struct dirent *e;

	collect_inodes("/proc/self/net/tcp", want, port, &inodes);
	collect_inodes("/proc/self/net/tcp6", want, port, &inodes);
	while (proc && inodes.n && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !process_has(e->d_name, &inodes))
			continue;
		h.pid = atol(e->d_name);
		read_comm(e->d_name, h.comm, sizeof(h.comm));
		break;
	}
	return h;
}

static void tell_taken(const char *address, const struct addrinfo *ai, unsigned port,
		       struct obs_buf *err)
{
	struct holder h = find_holder(ai->ai_addr, port);

	obs_buf_printf(err, "%s is taken ", address);
	if (h.pid)
		obs_buf_printf(err, "by '%s' (pid %ld)", h.comm, h.pid);
	else
		obs_buf_push_str(err, "by a process that only root can name");
	obs_buf_push_str(err, "; end it, or set server.listen to another port");
}

/* ---- the socket ---- */

static void free_addresses(struct addrinfo **ai)
{
	if (*ai)
		freeaddrinfo(*ai);
	*ai = NULL;
}

static int resolve(const struct obs_listen *l, int family, struct addrinfo **ret)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	char port[8];
	int r;

	snprintf(port, sizeof(port), "%u", l->port);
	r = getaddrinfo(*l->host ? l->host : NULL, port, &hints, ret);
	return r == 0 ? 0 : r == EAI_MEMORY ? -ENOMEM : -EINVAL;
}

static int bind_and_listen(const struct addrinfo *ai)
{
	cleanup_close int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6) /* "[::]" takes IPv4 too */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int name_socket(int fd, char *ret)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	char host[48], port[8];

	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EINVAL;
	snprintf(ret, OBS_ADDRESS_MAX, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

/* One family: its first address. */
static int open_family(const char *address, const struct obs_listen *l, int family, char *name,
		       struct obs_buf *err)
{
	__attribute__((cleanup(free_addresses))) struct addrinfo *ai = NULL;
	cleanup_close int fd = -1;
	int r = resolve(l, family, &ai);

	if (r < 0)
		return r;
	fd = bind_and_listen(ai);
	if (fd == -EADDRINUSE)
		tell_taken(address, ai, l->port, err);
	if (fd < 0)
		return fd;
	r = name_socket(fd, name);
	return r < 0 ? r : TAKE_FD(fd);
}

/* A name that has both kinds gets the IPv4 one, which is what clients of "localhost" try;
 * no name means every address, so IPv6, which takes both, goes first. */
int obs_listener_open(const char *address, char *name, struct obs_buf *err)
{
	struct obs_listen l;
	int first, other, r;

	if (obs_listen_parse(address, &l) < 0) {
		obs_buf_printf(err, "'%s' is no address; expected host:port, [ipv6]:port or :port",
			       address);
		return -EINVAL;
	}
	first = *l.host ? AF_INET : AF_INET6;
	r = open_family(address, &l, first, name, err);
	if (r == -EINVAL || r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) {
		other = open_family(address, &l, first == AF_INET ? AF_INET6 : AF_INET, name, err);
		r = other == -EINVAL ? r : other;
	}
	if (r < 0 && err->len == 0)
		obs_buf_printf(err,
			       "cannot listen on %s: %s; set server.listen to an address of "
			       "this host",
			       address, r == -EINVAL ? "unknown host" : strerror(-r));
	return r;
}
