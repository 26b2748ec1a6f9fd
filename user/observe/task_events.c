// SPDX-License-Identifier: BSD-2-Clause
/*
 * task_events.c - see task_events.h. The connector tells of every thread; a process has ended when
 * its last one has. A leader that ends before its threads is looked at again until it is the last.
 */
#include "observe/task_events.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uthash.h>

#include "observe/proc.h"
#include "observe/targets.h"
#include "observe/taskstats.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define RECEIVE_BYTES (8 << 20)
#define ANSWER_MS     500
#define CPUS_MAX      1024
#define ENDS_MAX      8192
#define AGAIN_MS      5
#define AGAIN_TIMES   40
#define PER_TURN      4096 /* messages, before the loop does something else */

/* What is known of a process that is ending. */
struct ending {
	pid_t tgid;
	struct obs_spent spent; /* of its threads that have ended */
	uint64_t max_rss_bytes;
	bool leader_ended;
	int32_t code;
	unsigned looks; /* left */
	UT_hash_handle hh;
};

struct obs_task_events {
	struct obs_task_events_options opt;
	int fd;			  /* owned */
	struct obs_taskstats *ts; /* owned; NULL: not there */
	uv_poll_t poll, ts_poll;
	uv_timer_t again;
	int handles;		/* open */
	struct ending *endings; /* hash by tgid, owned */
	uint32_t next_seq[CPUS_MAX];
	bool seq_known[CPUS_MAX];
};

/* --- the connector --- */

static int subscribe(int fd)
{
	static const enum proc_cn_mcast_op op = PROC_CN_MCAST_LISTEN;
	struct cn_msg cn = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(op) };
	char buf[NLMSG_LENGTH(sizeof(cn) + sizeof(op))] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = (void *)buf;

	*h = (struct nlmsghdr){ .nlmsg_len = sizeof(buf), .nlmsg_type = NLMSG_DONE };
	memcpy(NLMSG_DATA(h), &cn, sizeof(cn));
	memcpy((char *)NLMSG_DATA(h) + sizeof(cn), &op, sizeof(op));
	return send(fd, buf, sizeof(buf), 0) < 0 ? -errno : 0;
}

/* What one message holds, copied: the kernel aligns it to four bytes only. */
struct message {
	struct proc_event ev;
	struct cn_msg cn; /* without its data */
};

/* Returns 1 and the message, 0 when there is none, or a negative errno. */
static int receive(int fd, struct message *ret)
{
	char buf[1024] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = (void *)buf;
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	memset(ret, 0, sizeof(*ret));
	if ((size_t)n < NLMSG_HDRLEN + sizeof(ret->cn) || h->nlmsg_type != NLMSG_DONE)
		return 1;
	n -= NLMSG_HDRLEN + (ssize_t)sizeof(ret->cn);
	memcpy(&ret->cn, NLMSG_DATA(h), sizeof(ret->cn));
	memcpy(&ret->ev, (char *)NLMSG_DATA(h) + sizeof(ret->cn),
	       (size_t)n < sizeof(ret->ev) ? (size_t)n : sizeof(ret->ev));
	return 1;
}

/* The kernel answers a subscription; one without CONFIG_PROC_EVENTS says nothing. In a user namespace
 * it does not listen to us, but what it tells others (of a busy host) comes here as well. */
static int wait_answer(int fd)
{
	uint64_t end_ns = obs_boot_ns() + ANSWER_MS * OBS_NS_PER_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct message m;

	while (obs_boot_ns() < end_ns && poll(&p, 1, ANSWER_MS) > 0) {
		int r = receive(fd, &m);

		if (r < 0)
			return r;
		if (r > 0 && m.cn.id.idx == CN_IDX_PROC && m.ev.what == PROC_EVENT_NONE)
			return -(int)m.ev.event_data.ack.err;
	}
	return -ENOSYS;
}

static int open_connector(int *ret)
{
	cleanup_close int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int bytes = RECEIVE_BYTES, r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	r = subscribe(fd);
	if (r == 0)
		r = wait_answer(fd);
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}

bool obs_task_events_describe(struct obs_probe_status *p)
{
	struct obs_taskstats *ts = NULL;
	cleanup_close int fd = -1;
	size_t used = strlen(p->refused);
	int r = open_connector(&fd), s = r < 0 ? r : obs_taskstats_open(&ts);

	obs_taskstats_free(&ts);
	if (r < 0 || s < 0)
		snprintf(p->refused + used, sizeof(p->refused) - used, "%s%s: %s", used ? "; " : "",
			 r < 0 ? "process connector" : "taskstats",
			 r == -ENOSYS || r == -EPROTONOSUPPORT || s == -ENOENT
				 ? "this kernel has none"
				 : strerror(r < 0 ? -r : -s));
	if (r < 0)
		return false;
	p->rung = s < 0 ? "process connector" : "process connector, taskstats";
	snprintf(p->unseen, sizeof(p->unseen),
		 "who killed a process, and whether memory ran out for it%s",
		 s < 0 ? "; what a process used that lived for less than a look" : "");
	return true;
}

/* --- those that are ending --- */

static struct ending *ending_of(struct obs_task_events *t, pid_t tgid)
{
	struct ending *e;

	HASH_FIND_INT(t->endings, &tgid, e);
	return e;
}

static void forget_ending(struct obs_task_events *t, struct ending *e)
{
	HASH_DEL(t->endings, e);
	free(e);
}

/* Those that a scan found gone before we did. */
static void forget_gone(struct obs_task_events *t)
{
	struct ending *e, *next;

	HASH_ITER(hh, t->endings, e, next)
	{
		if (!t->opt.find(t->opt.ctx, e->tgid))
			forget_ending(t, e);
	}
}

static struct ending *know_ending(struct obs_task_events *t, pid_t tgid)
{
	struct ending *e = ending_of(t, tgid);

	if (e)
		return e;
	if (HASH_COUNT(t->endings) >= ENDS_MAX)
		forget_gone(t);
	if (HASH_COUNT(t->endings) >= ENDS_MAX)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->tgid = tgid;
	HASH_ADD_INT(t->endings, tgid, e);
	return e;
}

/* --- records --- */

static void fill_header(struct obs_rec_hdr *hdr, uint16_t type, size_t size, uint64_t mono_ns)
{
	uint64_t ahead_ns = obs_boot_ns() - obs_clock_ns(CLOCK_MONOTONIC);

	*hdr = (struct obs_rec_hdr){
		.version = OBS_WIRE_VERSION,
		.type = type,
		.size = (uint32_t)size,
		.ts_ns = mono_ns + ahead_ns,
	};
}

static void on_fork(struct obs_task_events *t, const struct proc_event *ev)
{
	pid_t parent = ev->event_data.fork.parent_tgid, child = ev->event_data.fork.child_tgid;
	const struct obs_process *p = t->opt.find(t->opt.ctx, parent);
	struct ending *e = ending_of(t, child);
	struct obs_rec_fork rec = { .tgid = (uint32_t)child, .ppid = (uint32_t)parent };

	if (!p || child != ev->event_data.fork.child_pid)
		return; /* nobody's, or a thread */
	if (e)
		forget_ending(t, e); /* of one that had this pid before */
	rec.target = p->node->slot;
	fill_header(&rec.hdr, OBS_REC_FORK, sizeof(rec), ev->timestamp_ns);
	t->opt.record(t->opt.ctx, &rec, sizeof(rec));
}

static void on_exec(struct obs_task_events *t, const struct proc_event *ev)
{
	pid_t pid = ev->event_data.exec.process_tgid;
	const struct obs_process *p = t->opt.find(t->opt.ctx, pid);
	cleanup_buf struct obs_buf args = {};
	struct ending *e = ending_of(t, pid);
	struct obs_rec_exec rec = { .tgid = (uint32_t)pid, .target = p ? p->node->slot : 0 };

	if (e) /* it was not the leader that called exec: the old one ended, the process goes on */
		e->leader_ended = false;
	if (obs_proc_read(pid, "cmdline", &args) < 0 || args.len == 0)
		return; /* it is gone: its exit follows */
	rec.args_len = args.len < OBS_ARGS_LEN ? (uint32_t)args.len : OBS_ARGS_LEN;
	memcpy(rec.args, args.p, rec.args_len);
	obs_proc_comm(pid, rec.comm, sizeof(rec.comm));
	fill_header(&rec.hdr, OBS_REC_EXEC, sizeof(rec), ev->timestamp_ns);
	t->opt.record(t->opt.ctx, &rec, sizeof(rec));
}

/* --- ends --- */

static void add_thread(struct obs_task_events *t, const struct obs_thread_end *th)
{
	struct ending *e;

	if (!t->opt.find(t->opt.ctx, th->tgid))
		return;
	e = know_ending(t, th->tgid);
	if (!e) {
		obs_count(&t->opt.counters->exit_usage_lost, 1);
		return;
	}
	e->spent.user_ns += th->user_ns;
	e->spent.system_ns += th->system_ns;
	e->spent.run_ns += th->user_ns + th->system_ns;
	e->spent.min_faults += th->min_faults;
	e->spent.maj_faults += th->maj_faults;
	e->spent.read_bytes += th->read_bytes;
	e->spent.write_bytes += th->write_bytes;
	if (th->max_rss_bytes > e->max_rss_bytes)
		e->max_rss_bytes = th->max_rss_bytes;
}

static void drain_taskstats(struct obs_task_events *t)
{
	struct obs_thread_end th;
	int r;

	while (t->ts && (r = obs_taskstats_next(t->ts, &th)) != 0) {
		if (r > 0)
			add_thread(t, &th);
		else
			obs_count(&t->opt.counters->exit_usage_lost, 1);
	}
}

static void tell_usage(struct obs_task_events *t, const struct obs_process *p,
		       const struct ending *e, uint64_t mono_ns)
{
	struct obs_rec_exit_usage rec = {
		.start_ns = obs_ticks_ns(p->start_ticks),
		.max_rss_pages = e->max_rss_bytes / (uint64_t)sysconf(_SC_PAGESIZE),
		.spent = e->spent,
		.tgid = (uint32_t)p->pid,
		.target = p->node->slot,
	};

	fill_header(&rec.hdr, OBS_REC_EXIT_USAGE, sizeof(rec), mono_ns);
	t->opt.record(t->opt.ctx, &rec, sizeof(rec));
}

static void tell_end(struct obs_task_events *t, struct ending *e, uint64_t mono_ns)
{
	const struct obs_process *p = t->opt.find(t->opt.ctx, e->tgid);
	struct obs_rec_exit rec = { .tgid = (uint32_t)e->tgid, .code = e->code };

	if (p) {
		if (t->ts)
			tell_usage(t, p, e, mono_ns);
		rec.target = p->node->slot;
		memcpy(rec.comm, p->comm, sizeof(p->comm));
		fill_header(&rec.hdr, OBS_REC_EXIT, sizeof(rec), mono_ns);
		t->opt.record(t->opt.ctx, &rec, sizeof(rec));
	}
	forget_ending(t, e);
}

static void on_again(uv_timer_t *timer);

static void tell_if_ended(struct obs_task_events *t, struct ending *e, uint64_t mono_ns)
{
	const struct obs_process *p = t->opt.find(t->opt.ctx, e->tgid);

	if (!p || !p->start_ticks || !obs_proc_lives(e->tgid, p->start_ticks))
		tell_end(t, e, mono_ns);
	else if (e->looks && !uv_is_active((uv_handle_t *)&t->again))
		uv_timer_start(&t->again, on_again, AGAIN_MS, 0);
}

static void on_again(uv_timer_t *timer)
{
	struct obs_task_events *t = timer->data;
	struct ending *e, *next;

	HASH_ITER(hh, t->endings, e, next)
	{
		if (!e->leader_ended || !e->looks)
			continue;
		e->looks--;
		tell_if_ended(t, e, obs_clock_ns(CLOCK_MONOTONIC));
	}
}

static void on_exit_event(struct obs_task_events *t, const struct proc_event *ev)
{
	pid_t pid = ev->event_data.exit.process_pid, tgid = ev->event_data.exit.process_tgid;
	struct ending *e;

	if (!t->opt.find(t->opt.ctx, tgid))
		return;
	drain_taskstats(t);
	e = pid == tgid ? know_ending(t, tgid) : ending_of(t, tgid);
	if (!e)
		return; /* a thread; or too many end: the next scan finds it gone */
	if (pid == tgid) {
		e->leader_ended = true;
		e->code = (int32_t)ev->event_data.exit.exit_code;
	}
	if (!e->leader_ended)
		return;
	e->looks = AGAIN_TIMES;
	tell_if_ended(t, e, ev->timestamp_ns);
}

/* --- reading --- */

/* The connector counts its messages per CPU: a gap is what was lost. */
static bool has_gap(struct obs_task_events *t, const struct message *m)
{
	uint32_t cpu = m->ev.cpu, lost;

	if (cpu >= CPUS_MAX || m->ev.what == PROC_EVENT_NONE)
		return false;
	lost = t->seq_known[cpu] ? m->cn.seq - t->next_seq[cpu] : 0;
	t->seq_known[cpu] = true;
	t->next_seq[cpu] = m->cn.seq + 1;
	if (lost == 0 || lost > UINT32_MAX / 2)
		return false;
	obs_count(&t->opt.counters->task_events_lost, lost);
	return true;
}

static void on_message(struct obs_task_events *t, const struct proc_event *ev)
{
	switch (ev->what) {
	case PROC_EVENT_FORK:
		on_fork(t, ev);
		break;
	case PROC_EVENT_EXEC:
		on_exec(t, ev);
		break;
	case PROC_EVENT_EXIT:
		on_exit_event(t, ev);
		break;
	default:
		break;
	}
}

/* A loss is an error of the socket, after which libuv watches it no longer. */
static void go_on(uv_poll_t *poll, uv_poll_cb fn)
{
	uv_poll_start(poll, UV_READABLE, fn);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct obs_task_events *t = poll->data;
	bool lost = false;
	struct message m;
	int r = 1;

	(void)events;
	if (status < 0)
		go_on(poll, on_readable);
	for (unsigned i = 0; i < PER_TURN && r != 0; i++) {
		r = receive(t->fd, &m);
		if (r < 0) {
			lost |= r == -ENOBUFS;
			continue;
		}
		if (r == 0 || m.cn.id.idx != CN_IDX_PROC)
			continue;
		lost |= has_gap(t, &m);
		on_message(t, &m.ev);
	}
	if (lost)
		t->opt.lost(t->opt.ctx);
}

static void on_taskstats(uv_poll_t *poll, int status, int events)
{
	(void)events;
	if (status < 0)
		go_on(poll, on_taskstats);
	drain_taskstats(poll->data);
}

/* --- life --- */

static void start(struct obs_task_events *t)
{
	uv_timer_init(t->opt.loop, &t->again);
	uv_poll_init(t->opt.loop, &t->poll, t->fd);
	t->again.data = t->poll.data = t->ts_poll.data = t;
	t->handles = 2;
	uv_poll_start(&t->poll, UV_READABLE, on_readable);
	if (!t->ts)
		return;
	uv_poll_init(t->opt.loop, &t->ts_poll, obs_taskstats_fd(t->ts));
	t->handles++;
	uv_poll_start(&t->ts_poll, UV_READABLE, on_taskstats);
}

int obs_task_events_new(const struct obs_task_events_options *opt, struct obs_task_events **ret)
{
	struct obs_task_events *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->opt = *opt;
	r = open_connector(&t->fd);
	if (r < 0) {
		free(t);
		return r;
	}
	if (obs_taskstats_open(&t->ts) < 0)
		t->ts = NULL;
	start(t);
	*ret = t;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct obs_task_events *t = handle->data;
	struct ending *e, *next;

	if (--t->handles > 0)
		return;
	HASH_ITER(hh, t->endings, e, next)
	{
		forget_ending(t, e);
	}
	obs_taskstats_free(&t->ts);
	close(t->fd);
	free(t);
}

void obs_task_events_free(struct obs_task_events **tp)
{
	struct obs_task_events *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	uv_close((uv_handle_t *)&t->again, on_closed);
	uv_close((uv_handle_t *)&t->poll, on_closed);
	if (t->ts)
		uv_close((uv_handle_t *)&t->ts_poll, on_closed);
}
