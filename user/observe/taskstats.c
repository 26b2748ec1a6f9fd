// SPDX-License-Identifier: BSD-2-Clause
/*
 * taskstats.c - see taskstats.h. Its messages: nlmsghdr, genlmsghdr, then attributes; a thread's
 * are TASKSTATS_TYPE_AGGR_PID { TASKSTATS_TYPE_PID, TASKSTATS_TYPE_STATS }.
 */
#include "observe/taskstats.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/cleanup.h"

#define MESSAGE_BYTES 16384
#define ANSWER_MS     1000
#define RECEIVE_BYTES (4 << 20)
#define TGID_SINCE    12 /* version of struct taskstats that has ac_tgid */
#define NS_PER_US     1000ULL
#define BYTES_PER_KIB 1024ULL

struct obs_taskstats {
	int fd;		/* owned */
	size_t len, at; /* of what is in the buffer */
	char buf[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/* A question with one attribute. */
struct question {
	struct nlmsghdr hdr;
	struct genlmsghdr genl;
	struct nlattr attr;
	char text[256];
};

static int ask(int fd, uint16_t family, uint8_t cmd, uint16_t type, const char *text)
{
	struct question q = {
		.genl = { .cmd = cmd, .version = 1 },
		.attr = { .nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + strlen(text) + 1) },
	};

	if (strlen(text) >= sizeof(q.text))
		return -E2BIG;
	snprintf(q.text, sizeof(q.text), "%s", text);
	q.hdr.nlmsg_len = (uint32_t)(NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(q.attr.nla_len));
	q.hdr.nlmsg_type = family;
	q.hdr.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	return send(fd, &q, q.hdr.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* The attribute @type among those that begin at @p, or NULL. */
static const struct nlattr *find_attr(const void *p, size_t len, uint16_t type)
{
	const struct nlattr *a = p;

	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		size_t step = NLA_ALIGN(a->nla_len);

		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (step >= len)
			break;
		a = (const void *)((const char *)a + step);
		len -= step;
	}
	return NULL;
}

static const void *payload_of(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

static const struct nlattr *attrs_of(const struct nlmsghdr *h, size_t *len)
{
	if (h->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return NULL;
	*len = h->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN);
	return (const void *)((const char *)NLMSG_DATA(h) + GENL_HDRLEN);
}

/* The answer to ask(): its error, and the id of the family if it tells one. */
static int read_answer(int fd, uint16_t *family)
{
	char buf[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	const struct nlattr *a;
	struct nlmsghdr *h;
	size_t len;
	ssize_t n;

	while (poll(&p, 1, ANSWER_MS) > 0 && (n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (h = (void *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			a = attrs_of(h, &len);
			a = a ? find_attr(a, len, CTRL_ATTR_FAMILY_ID) : NULL;
			if (a && a->nla_len >= NLA_HDRLEN + sizeof(*family))
				memcpy(family, payload_of(a), sizeof(*family));
		}
	}
	return -ETIMEDOUT;
}

static int find_family(int fd, uint16_t *ret)
{
	int r = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
		    TASKSTATS_GENL_NAME);

	*ret = 0;
	if (r == 0)
		r = read_answer(fd, ret);
	return r < 0 ? r : *ret ? 0 : -ENOENT;
}

static int listen_on(int fd)
{
	cleanup_fclose FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	char cpus[128] = "0";
	uint16_t family, unused;
	int r = find_family(fd, &family);

	if (r < 0)
		return r;
	if (f && !fgets(cpus, sizeof(cpus), f))
		return -EIO;
	cpus[strcspn(cpus, "\n")] = '\0';
	r = ask(fd, family, TASKSTATS_CMD_GET, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, cpus);
	return r < 0 ? r : read_answer(fd, &unused);
}

int obs_taskstats_open(struct obs_taskstats **ret)
{
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct obs_taskstats *t;
	int bytes = RECEIVE_BYTES, r;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	r = listen_on(fd);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->fd = TAKE_FD(fd);
	*ret = t;
	return 0;
}

void obs_taskstats_free(struct obs_taskstats **tp)
{
	if (!*tp)
		return;
	close((*tp)->fd);
	free(*tp);
	*tp = NULL;
}

int obs_taskstats_fd(const struct obs_taskstats *t)
{
	return t->fd;
}

/* The kernel's struct may be shorter or longer than ours. */
static void read_stats(const struct nlattr *a, struct obs_thread_end *ret)
{
	struct taskstats st = {};
	size_t len = a->nla_len - NLA_HDRLEN;

	memcpy(&st, payload_of(a), len < sizeof(st) ? len : sizeof(st));
	*ret = (struct obs_thread_end){
		.pid = (pid_t)st.ac_pid,
		.tgid = (pid_t)(st.version >= TGID_SINCE ? st.ac_tgid : st.ac_pid),
		.user_ns = st.ac_utime * NS_PER_US,
		.system_ns = st.ac_stime * NS_PER_US,
		.min_faults = st.ac_minflt,
		.maj_faults = st.ac_majflt,
		.read_bytes = st.read_bytes,
		.write_bytes = st.write_bytes,
		.max_rss_bytes = st.hiwater_rss * BYTES_PER_KIB,
	};
}

static bool read_message(const struct nlmsghdr *h, struct obs_thread_end *ret)
{
	size_t len;
	const struct nlattr *a = attrs_of(h, &len);

	if (h->nlmsg_type < NLMSG_MIN_TYPE || !a)
		return false;
	a = find_attr(a, len, TASKSTATS_TYPE_AGGR_PID);
	if (!a)
		return false;
	a = find_attr(payload_of(a), a->nla_len - NLA_HDRLEN, TASKSTATS_TYPE_STATS);
	if (a)
		read_stats(a, ret);
	return a != NULL;
}

int obs_taskstats_next(struct obs_taskstats *t, struct obs_thread_end *ret)
{
	for (;;) {
		while (t->at < t->len) {
			struct nlmsghdr *h = (void *)(t->buf + t->at);

			if (!NLMSG_OK(h, t->len - t->at))
				break;
			t->at += NLMSG_ALIGN(h->nlmsg_len);
			if (read_message(h, ret))
				return 1;
		}
		ssize_t n = recv(t->fd, t->buf, sizeof(t->buf), 0);

		t->at = 0;
		t->len = n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == ENOBUFS)
			return -ENOBUFS;
		if (n <= 0)
			return 0;
	}
}
