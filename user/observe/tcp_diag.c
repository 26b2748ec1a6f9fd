// SPDX-License-Identifier: BSD-2-Clause
/*
 * tcp_diag.c - see tcp_diag.h. A pass: who holds which socket (by inode, from /proc/PID/fd), then
 * what the kernel says of the sockets in each namespace, joined by the inode.
 *
 * setns(2) moves this thread into a node's network namespace for as long as it takes to open the
 * netlink socket, which stays there.
 */
#include "observe/tcp_diag.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "observe/proc.h"
#include "observe/tcp_info.h"
#include "util/cleanup.h"

#define HOLDERS_MAX  (1 << 20)
#define ROWS_MAX     (1 << 18)
#define NETNS_MAX    1024
#define REPLY_BYTES  (32 * 1024)
#define STATES_ASKED (~(1U << OBS_TCP_STATE_TIME_WAIT | 1U << OBS_TCP_STATE_CLOSE))
#define FROM_PROC    UINT64_MAX /* in place of a birth: the rest of the id is an inode */

struct holder {
	uint64_t inode;
	uint32_t pid, slot;
};

struct row {
	uint64_t inode;
	struct obs_conn_facts f;
};

struct netns {
	uint32_t inum;
	pid_t pid; /* somebody in it */
};

struct obs_tcp_diag {
	struct obs_targets *targets; /* borrowed */
	bool proc_only;
	int own_ns; /* to come back to */
	uint32_t own_inum;
	uint32_t slot;		/* of the node being looked at */
	struct holder *holders; /* owned, sorted by inode */
	size_t n_holders, cap_holders;
	struct row *rows; /* owned */
	size_t n_rows, cap_rows;
	struct netns netns[NETNS_MAX];
	size_t n_netns;
};

static int grow(void **v, size_t n, size_t *cap, size_t max, size_t size)
{
	size_t more = *cap ? *cap * 2 : 256;
	void *p;

	if (n < *cap)
		return 0;
	if (more > max)
		return -ENOBUFS;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = more;
	return 0;
}

/* --- who holds what --- */

static void add_holder(struct obs_tcp_diag *d, pid_t pid, const char *link)
{
	unsigned long long inode;

	if (sscanf(link, "socket:[%llu]", &inode) != 1 ||
	    grow((void **)&d->holders, d->n_holders, &d->cap_holders, HOLDERS_MAX,
		 sizeof(*d->holders)) < 0)
		return;
	d->holders[d->n_holders++] =
		(struct holder){ .inode = inode, .pid = (uint32_t)pid, .slot = d->slot };
}

static void scan_fds(struct obs_tcp_diag *d, pid_t pid)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;
	char path[64], link[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		add_holder(d, pid, link);
	}
}

static void note_netns(struct obs_tcp_diag *d, pid_t pid)
{
	uint32_t inum = obs_proc_netns(pid);

	for (size_t i = 0; i < d->n_netns; i++) {
		if (d->netns[i].inum == inum)
			return;
	}
	if (inum && d->n_netns < NETNS_MAX)
		d->netns[d->n_netns++] = (struct netns){ inum, pid };
}

static void scan_pid(void *ctx, pid_t pid)
{
	struct obs_tcp_diag *d = ctx;

	scan_fds(d, pid);
	note_netns(d, pid);
}

static void scan_node(void *ctx, struct obs_node *node)
{
	struct obs_tcp_diag *d = ctx;

	if (node->state != OBS_NODE_READY)
		return;
	d->slot = node->slot;
	obs_targets_each_pid(d->targets, node, scan_pid, d);
}

static int by_inode(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

/* --- sock_diag --- */

static void set_ip(uint8_t ip[16], uint8_t family, const __be32 *words)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (family == AF_INET6) {
		memcpy(ip, words, 16);
		return;
	}
	memcpy(ip, mapped, sizeof(mapped));
	memcpy(ip + 12, words, 4);
}

static struct row *new_row(struct obs_tcp_diag *d, uint32_t netns)
{
	struct row *row;

	if (grow((void **)&d->rows, d->n_rows, &d->cap_rows, ROWS_MAX, sizeof(*d->rows)) < 0)
		return NULL;
	row = &d->rows[d->n_rows++];
	*row = (struct row){ .f = { .netns = netns } };
	return row;
}

/* An array by SK_MEMINFO_*, as long as the kernel knows. */
static uint32_t drops_in(const void *data, size_t len)
{
	uint32_t drops = 0;

	if (len >= (SK_MEMINFO_DROPS + 1) * sizeof(drops))
		memcpy(&drops, (const char *)data + SK_MEMINFO_DROPS * sizeof(drops),
		       sizeof(drops));
	return drops;
}

static void take_message(struct obs_tcp_diag *d, uint32_t netns, bool udp, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct row *row = h->nlmsg_len >= NLMSG_LENGTH(sizeof(*m)) ? new_row(d, netns) : NULL;
	int len = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	if (!row)
		return;
	row->inode = m->idiag_inode;
	row->f.udp = udp;
	row->f.id.sock = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	row->f.state = m->idiag_state;
	set_ip(row->f.local.ip, m->idiag_family, m->id.idiag_src);
	set_ip(row->f.remote.ip, m->idiag_family, m->id.idiag_dst);
	row->f.local.port = __builtin_bswap16(m->id.idiag_sport);
	row->f.remote.port = __builtin_bswap16(m->id.idiag_dport);
	row->f.recv_queue = m->idiag_rqueue;
	row->f.send_queue = m->idiag_wqueue;
	for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == INET_DIAG_INFO)
			obs_tcp_info_take(RTA_DATA(a), RTA_PAYLOAD(a), &row->f);
		else if (a->rta_type == INET_DIAG_SKMEMINFO &&
			 (udp || m->idiag_state == OBS_TCP_STATE_LISTEN))
			row->f.drops = drops_in(RTA_DATA(a), RTA_PAYLOAD(a));
	}
}

/* What a dump ended with: without the module tcp_diag, that there is no such thing. */
static int how_it_ended(const struct nlmsghdr *done)
{
	int err = 0;

	if (done->nlmsg_len >= NLMSG_LENGTH(sizeof(err)))
		memcpy(&err, NLMSG_DATA(done), sizeof(err));
	return err < 0 ? err : 0;
}

/* Return: 1 when the answer goes on, 0 at its end, or a negative errno. */
static int take_reply(struct obs_tcp_diag *d, uint32_t netns, bool udp, const char *buf, size_t len)
{
	for (const struct nlmsghdr *h = (const void *)buf; NLMSG_OK(h, len);
	     h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return how_it_ended(h);
		if (h->nlmsg_type == NLMSG_ERROR)
			return h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))
				       ? ((const struct nlmsgerr *)NLMSG_DATA(h))->error
				       : -EPROTO;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			take_message(d, netns, udp, h);
	}
	return 1;
}

static int dump(struct obs_tcp_diag *d, uint32_t netns, int sock, bool udp, uint8_t family,
		uint32_t states)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} req = {
		.h = { .nlmsg_len = sizeof(req),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = family,
		       .sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
		       .idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1),
		       .idiag_states = states },
	};
	__attribute__((aligned(8))) char buf[REPLY_BYTES];
	ssize_t n;
	int r;

	if (send(sock, &req, sizeof(req), 0) < 0)
		return -errno;
	do {
		n = recv(sock, buf, sizeof(buf), 0);
		if (n < 0)
			return -errno;
		r = take_reply(d, netns, udp, buf, (size_t)n);
	} while (r > 0);
	return r;
}

/* A netlink socket in the namespace of @ns. */
static int open_in(struct obs_tcp_diag *d, const struct netns *ns)
{
	cleanup_close int fd = -1, sock = -1;
	int err;
	char path[64];

	if (ns->inum == d->own_inum) {
		sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		return sock < 0 ? -errno : TAKE_FD(sock);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", ns->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	err = -errno;
	if (setns(d->own_ns, CLONE_NEWNET) < 0)
		return -errno;
	return sock < 0 ? err : TAKE_FD(sock);
}

/* --- /proc/PID/net/{tcp,udp} --- */

/* "0100007F:1F90": groups of 32 bits as the host has them in memory. */
static bool take_proc_address(const char *text, struct obs_endpoint *ret)
{
	const char *colon = strchr(text, ':');
	size_t digits = colon ? (size_t)(colon - text) : 0;
	__be32 words[4] = { 0 };
	unsigned port;

	if ((digits != 8 && digits != 32) || sscanf(colon, ":%4x", &port) != 1)
		return false;
	for (size_t i = 0; i < digits / 8; i++) {
		if (sscanf(text + i * 8, "%8x", &words[i]) != 1)
			return false;
	}
	set_ip(ret->ip, digits == 32 ? AF_INET6 : AF_INET, words);
	ret->port = (uint16_t)port;
	return true;
}

static void take_proc_line(struct obs_tcp_diag *d, uint32_t netns, bool udp, const char *line)
{
	char local[48], remote[48];
	unsigned state, tx, rx, retransmits;
	unsigned long long inode;
	struct row *row;

	if (sscanf(line, "%*d: %47s %47s %x %x:%x %*x:%*x %x %*u %*d %llu", local, remote, &state,
		   &tx, &rx, &retransmits, &inode) != 7 ||
	    state >= 32 || (!udp && !(STATES_ASKED & 1U << state)))
		return;
	row = new_row(d, netns);
	if (!row)
		return;
	row->inode = inode;
	row->f.udp = udp;
	row->f.id = (struct obs_conn_id){ .sock = inode, .born = FROM_PROC };
	row->f.state = (uint8_t)state;
	row->f.send_queue = tx;
	row->f.recv_queue = rx;
	if (!take_proc_address(local, &row->f.local) || !take_proc_address(remote, &row->f.remote))
		d->n_rows--;
}

static int read_proc(struct obs_tcp_diag *d, const struct netns *ns, bool udp, const char *name)
{
	cleanup_fclose FILE *f = NULL;
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", ns->pid, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		take_proc_line(d, ns->inum, udp, line);
	return 0;
}

/* The kernel may have no module tcp_diag, or udp_diag. */
static int look_at_all(struct obs_tcp_diag *d, const struct netns *ns, int sock, bool udp)
{
	uint32_t states = udp ? ~0U : STATES_ASKED;
	size_t before = d->n_rows;
	int r = sock < 0 ? sock : dump(d, ns->inum, sock, udp, AF_INET, states);

	if (r == 0)
		r = dump(d, ns->inum, sock, udp, AF_INET6, states);
	if (r == 0)
		return 0;
	d->n_rows = before;
	r = read_proc(d, ns, udp, udp ? "udp" : "tcp");
	read_proc(d, ns, udp, udp ? "udp6" : "tcp6"); /* missing where IPv6 is off */
	return r;
}

static int look_at(struct obs_tcp_diag *d, const struct netns *ns)
{
	cleanup_close int sock = d->proc_only ? -ECANCELED : open_in(d, ns);
	int r = look_at_all(d, ns, sock, false);

	return r < 0 ? r : look_at_all(d, ns, sock, true);
}

/* --- a pass --- */

/* Handshakes under way have no socket of their own yet: rows without an inode. */
static uint32_t half_open_of(const struct obs_tcp_diag *d, const struct row *listener)
{
	uint32_t n = 0;

	for (size_t i = 0; i < d->n_rows; i++) {
		const struct obs_conn_facts *f = &d->rows[i].f;

		n += f->state == OBS_TCP_STATE_SYN_RECV && f->netns == listener->f.netns &&
		     f->local.port == listener->f.local.port;
	}
	return n;
}

static void count_half_open(struct obs_tcp_diag *d)
{
	bool any = false;

	for (size_t i = 0; i < d->n_rows && !any; i++)
		any = d->rows[i].f.state == OBS_TCP_STATE_SYN_RECV;
	for (size_t i = 0; i < d->n_rows && any; i++) {
		if (d->rows[i].f.state == OBS_TCP_STATE_LISTEN)
			d->rows[i].f.half_open = half_open_of(d, &d->rows[i]);
	}
}

static int hand_out(struct obs_tcp_diag *d, bool listening, obs_connections_fn fn, void *ctx)
{
	int n = 0;

	for (size_t i = 0; i < d->n_rows; i++) {
		struct row *row = &d->rows[i];
		struct holder key = { .inode = row->inode };
		struct holder *h = bsearch(&key, d->holders, d->n_holders, sizeof(key), by_inode);

		if (!h || (row->f.state == OBS_TCP_STATE_LISTEN) != listening)
			continue;
		while (h > d->holders && h[-1].inode == row->inode)
			h--;
		for (; h < d->holders + d->n_holders && h->inode == row->inode; h++, n++) {
			row->f.pid = h->pid;
			fn(ctx, h->slot, &row->f);
		}
	}
	return n;
}

int obs_tcp_diag_sample(struct obs_tcp_diag *d, obs_connections_fn fn, void *ctx)
{
	int r = 0, n;

	d->n_holders = d->n_rows = d->n_netns = 0;
	obs_targets_each(d->targets, scan_node, d);
	if (d->n_holders == 0)
		return 0;
	qsort(d->holders, d->n_holders, sizeof(*d->holders), by_inode);
	for (size_t i = 0; i < d->n_netns && r == 0; i++)
		r = look_at(d, &d->netns[i]);
	if (r < 0)
		return r;
	count_half_open(d);
	n = hand_out(d, true, fn, ctx);
	return n + hand_out(d, false, fn, ctx);
}

static void ignore(void *ctx, uint32_t slot, const struct obs_conn_facts *f)
{
	(void)ctx;
	(void)slot;
	(void)f;
}

int obs_tcp_diag_sees(struct obs_tcp_diag *d, pid_t pid)
{
	int r;

	d->n_holders = d->n_rows = d->n_netns = 0;
	d->slot = 0;
	scan_pid(d, pid);
	if (d->n_holders == 0 || d->n_netns == 0)
		return -EACCES;
	qsort(d->holders, d->n_holders, sizeof(*d->holders), by_inode);
	r = look_at(d, &d->netns[0]);
	if (r == 0)
		r = hand_out(d, false, ignore, NULL) > 0;
	return r > 0;
}

/* Does the kernel know of TCP here? In no state there is nothing to be told. */
static int try_netlink(struct obs_tcp_diag *d)
{
	const struct netns own = { d->own_inum, getpid() };
	cleanup_close int sock = open_in(d, &own);

	return sock < 0 ? sock : dump(d, own.inum, sock, false, AF_INET, 0);
}

int obs_tcp_diag_new(struct obs_targets *targets, bool proc_only, struct obs_tcp_diag **ret)
{
	struct obs_tcp_diag *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return -ENOMEM;
	d->targets = targets;
	d->proc_only = proc_only;
	d->own_inum = obs_proc_netns(getpid());
	d->own_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (d->own_ns < 0)
		r = -errno;
	else if (!proc_only)
		r = try_netlink(d);
	if (r < 0) {
		obs_tcp_diag_free(&d);
		return r;
	}
	*ret = d;
	return 0;
}

void obs_tcp_diag_free(struct obs_tcp_diag **dp)
{
	struct obs_tcp_diag *d = *dp;

	if (!d)
		return;
	obs_closep(&d->own_ns);
	free(d->holders);
	free(d->rows);
	free(d);
	*dp = NULL;
}
