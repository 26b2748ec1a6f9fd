/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * p2pd.bpf.h - what passes between a node and its p2pd on their UNIX sockets: the first bytes
 * of each write, both ways (both writers are the node's).
 *
 * Only the accepting end carries the socket's path; the other end is known by its peer. hivemind
 * writes each byte of a message's length by itself: such single bytes wait here and go out in
 * front of what is written next, so that a message is mostly one record.
 */
#pragma once

#include "capture.bpf.h"
#include "syscalls.bpf.h"

#define AF_UNIX		  1
#define P2PD_HELD_MAX	  15
#define P2PD_SOCKETS_MAX  4096
#define P2PD_SEGMENTS_MAX 8
#define P2PD_ROOM	  264 /* payload of most messages; with the record's head five cache lines */

/* What hivemind calls its sockets: …p2pd-XXX.sock and …p2pclient-XXX.sock. */
#define P2PD_PATH     "/tmp/hivemind-p2p"
#define P2PD_PATH_LEN (sizeof(P2PD_PATH) - 1)

struct p2pd_socket {
	__u64 conn;    /* inode of the end that connected */
	__u64 written; /* bytes that this end has written, since it was first seen */
	__u32 ends;    /* enum obs_p2pd_ends; 0 = some other socket */
	__u32 flags;   /* of the next record */
	__u32 n_held;
	__u8 held[P2PD_HELD_MAX + 1];
};

/* By the inode of the end that writes. Other UNIX sockets of nodes stand here too, so that
 * their paths are looked at once. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, P2PD_SOCKETS_MAX);
	__type(key, __u64);
	__type(value, struct p2pd_socket);
} p2pd_sockets SEC(".maps");

struct p2pd_scratch {
	struct obs_rec_p2pd rec;
	/* room for the verifier, that knows of each length only its bound */
	__u8 payload[P2PD_HELD_MAX + 1 + 2 * OBS_P2PD_PAYLOAD_MAX];
	__u32 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct p2pd_scratch);
} p2pd_scratch SEC(".maps");

static __always_inline struct p2pd_scratch *p2pd_get_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&p2pd_scratch, &zero);
}

/* 'd' for p2pd's own socket, 'c' for a client's, 0 for any other. */
static __always_inline char p2pd_path_of(const struct sock *sk)
{
	struct unix_address *addr = BPF_CORE_READ((const struct unix_sock *)sk, addr);
	char path[P2PD_PATH_LEN + 1] = {};
	const void *at;

	if (!addr)
		return 0;
	at = (const void *)addr + bpf_core_field_offset(struct unix_address, name) +
	     bpf_core_field_offset(struct sockaddr_un, sun_path);
	if (bpf_probe_read_kernel(path, sizeof(path), at) < 0)
		return 0;
	for (__u32 i = 0; i < P2PD_PATH_LEN; i++) {
		if (path[i] != P2PD_PATH[i])
			return 0;
	}
	return path[P2PD_PATH_LEN] == 'd' || path[P2PD_PATH_LEN] == 'c' ? path[P2PD_PATH_LEN] : 0;
}

/* Which of the four ends this is, and by which inode both ends are called. */
static __always_inline void p2pd_judge(struct sock *sk, __u64 ino, struct p2pd_socket *s)
{
	struct sock *peer = BPF_CORE_READ((const struct unix_sock *)sk, peer);
	char own = p2pd_path_of(sk), other = 0;

	s->flags = OBS_P2PD_FRESH;
	if (own) {
		s->ends = own == 'd' ? OBS_P2PD_DAEMON : OBS_P2PD_HANDLER;
		s->conn = BPF_CORE_READ(peer, sk_socket, file, f_inode, i_ino);
		return;
	}
	other = peer ? p2pd_path_of(peer) : 0;
	s->conn = ino;
	if (other)
		s->ends = other == 'd' ? OBS_P2PD_CLIENT : OBS_P2PD_DIALER;
}

/* The socket behind a descriptor. */
struct p2pd_seen {
	struct sock *sk;
	__u64 ino;
	__u16 family;
};

static __always_inline void p2pd_look_by_loads(const struct file *file, struct p2pd_seen *seen)
{
	const struct socket *socket =
		bpf_rdonly_cast(file->private_data, bpf_core_type_id_kernel(struct socket));

	seen->sk = socket->sk;
	seen->family = socket->sk->__sk_common.skc_family;
	seen->ino = file->f_inode->i_ino;
}

static __always_inline void p2pd_look_by_reads(const struct file *file, struct p2pd_seen *seen)
{
	/* locals: BPF_CORE_READ would relocate members of our own struct, too */
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	seen->sk = sk;
	seen->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	seen->ino = BPF_CORE_READ(file, f_inode, i_ino);
}

static __always_inline struct p2pd_socket *p2pd_socket_of(const struct obs_write_args *w)
{
	struct p2pd_socket fresh = {}, *s;
	struct p2pd_seen seen = {};
	__u64 ino;

	if (bpf_rdonly_cast)
		p2pd_look_by_loads(bpf_rdonly_cast(w->file, bpf_core_type_id_kernel(struct file)),
				   &seen);
	else
		p2pd_look_by_reads(w->file, &seen);
	if (seen.family != AF_UNIX)
		return NULL;
	ino = seen.ino;
	s = bpf_map_lookup_elem(&p2pd_sockets, &ino);
	if (s)
		return s;
	p2pd_judge(seen.sk, ino, &fresh);
	if (bpf_map_update_elem(&p2pd_sockets, &ino, &fresh, BPF_NOEXIST) < 0)
		obs_drop(OBS_DROP_MAP, 1);
	return bpf_map_lookup_elem(&p2pd_sockets, &ino);
}

struct p2pd_segments {
	const struct iovec_user *iov;
	__u64 n_iov;
};

static long p2pd_take_segment(__u32 turn, struct p2pd_segments *walk)
{
	struct p2pd_scratch *s = p2pd_get_scratch();
	struct iovec_user seg;
	__u32 used;
	__u64 n;

	if (!s || turn >= walk->n_iov)
		return 1;
	used = s->used;
	if (used >= OBS_P2PD_PAYLOAD_MAX ||
	    bpf_probe_read_user(&seg, sizeof(seg), walk->iov + turn) < 0)
		return 1;
	n = seg.len;
	if (n > OBS_P2PD_PAYLOAD_MAX - used)
		n = OBS_P2PD_PAYLOAD_MAX - used;
	barrier_var(n); /* 6.1's verifier has to see the bound itself */
	if (n > OBS_P2PD_PAYLOAD_MAX || bpf_probe_read_user(s->payload + used, n, (void *)seg.base))
		return 1;
	s->used = used + n;
	return 0;
}

/* The bytes held back, then the first ones of the write. Return: how many. */
static __always_inline __u32 p2pd_copy(struct p2pd_scratch *s, const struct p2pd_socket *socket,
				       const struct obs_write_args *w)
{
	struct p2pd_segments walk = { .iov = w->iov, .n_iov = w->n_iov };
	__u32 held = socket->n_held & P2PD_HELD_MAX;
	__u64 want = w->len;

	__builtin_memcpy(s->payload, socket->held, sizeof(socket->held));
	s->used = held;
	if (w->buf) {
		barrier_var(want);
		if (want > OBS_P2PD_PAYLOAD_MAX)
			want = OBS_P2PD_PAYLOAD_MAX;
		barrier_var(want);
		if (bpf_probe_read_user(s->payload + held, want, w->buf) < 0)
			obs_note(OBS_DROP_FAULT, 1);
		else
			s->used = held + want;
	} else if (w->n_iov) {
		bpf_loop(P2PD_SEGMENTS_MAX, p2pd_take_segment, &walk, 0);
	}
	return s->used < OBS_P2PD_PAYLOAD_MAX ? s->used : OBS_P2PD_PAYLOAD_MAX;
}

static __always_inline void p2pd_fill(struct obs_rec_p2pd *rec, const struct p2pd_socket *socket,
				      const struct obs_write_args *w, __u32 payload)
{
	struct task_struct *task = bpf_get_current_task_btf();

	obs_header(&rec->hdr, OBS_REC_P2PD, sizeof(*rec) + payload);
	rec->conn = socket->conn;
	rec->at = socket->written;
	rec->len = socket->n_held + w->len;
	rec->tgid = task->tgid;
	rec->tid = task->pid;
	rec->target = w->target;
	rec->ends = socket->ends;
	rec->flags = socket->flags;
	rec->payload = payload;
}

/* Built where it will lie. Return: 0, or -1 when there is no room. */
static __always_inline int p2pd_send_short(const struct p2pd_socket *socket,
					   const struct obs_write_args *w, struct obs_control *c)
{
	__u32 held = socket->n_held & P2PD_HELD_MAX;
	__u64 want = w->len, n = held;
	struct obs_rec_p2pd *rec;
	__u8 *payload;

	if (!within_budget(w->target, sizeof(*rec) + P2PD_ROOM, c))
		return -1;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + P2PD_ROOM, 0);
	if (!rec)
		return -1;
	payload = (__u8 *)(rec + 1);
	__builtin_memcpy(payload, socket->held, sizeof(socket->held));
	barrier_var(want);
	if (want > P2PD_ROOM - sizeof(socket->held))
		want = P2PD_ROOM - sizeof(socket->held);
	barrier_var(want);
	if (bpf_probe_read_user(payload + held, want, w->buf) < 0)
		obs_note(OBS_DROP_FAULT, 1);
	else
		n += want;
	p2pd_fill(rec, socket, w, n);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
	return 0;
}

/* The same for a long one, or one in segments. */
static __always_inline int p2pd_send_long(const struct p2pd_socket *socket,
					  const struct obs_write_args *w, struct obs_control *c)
{
	struct p2pd_scratch *s = p2pd_get_scratch();
	__u32 n;

	if (!s)
		return -1;
	n = p2pd_copy(s, socket, w);
	p2pd_fill(&s->rec, socket, w, n);
	barrier_var(n);
	if (n > OBS_P2PD_PAYLOAD_MAX)
		n = OBS_P2PD_PAYLOAD_MAX;
	if (!within_budget(w->target, sizeof(s->rec) + n, c))
		return -1;
	return bpf_ringbuf_output(&events, s, sizeof(s->rec) + n, obs_wakeup(c));
}

static __always_inline void p2pd_send(struct p2pd_socket *socket, const struct obs_write_args *w,
				      struct obs_control *c)
{
	int r = w->buf && w->len <= P2PD_ROOM - sizeof(socket->held) ? p2pd_send_short(socket, w, c)
								     : p2pd_send_long(socket, w, c);

	if (r < 0)
		obs_note(OBS_DROP_P2PD, 1); /* user space sees the hole by the position */
	else
		socket->flags &= ~OBS_P2PD_FRESH;
	socket->written += socket->n_held + w->len;
	socket->n_held = 0;
}

/* A single byte waits for what comes next. Return: whether it does. */
static __always_inline int p2pd_hold(struct p2pd_socket *socket, const struct obs_write_args *w)
{
	__u32 n = socket->n_held;
	__u8 byte;

	if (w->len != 1 || !w->buf || n >= P2PD_HELD_MAX ||
	    bpf_probe_read_user(&byte, 1, w->buf) < 0)
		return 0;
	socket->held[n & P2PD_HELD_MAX] = byte;
	socket->n_held = n + 1;
	return 1;
}

/* Somebody of a node wrote to a socket. */
__noinline int obs_p2pd_write(struct obs_write_args *w)
{
	struct obs_control *c = obs_control();
	struct p2pd_socket *socket;

	if (!w || !c || !w->len || !bpf_core_type_exists(struct unix_sock))
		return 0;
	socket = p2pd_socket_of(w);
	if (!socket || !socket->ends || p2pd_hold(socket, w))
		return 0;
	p2pd_send(socket, w, c);
	return 0;
}

/* A write of which all is known, to what it went to. */
static __always_inline void obs_capture_or_talk(struct obs_write_args *w,
						struct obs_seen_file *seen)
{
	if (seen->kind == OBS_KIND_SOCK && w->fd != 1 && w->fd != 2)
		obs_p2pd_write(w);
	else
		obs_capture(w, seen);
}

/* sendto(2) and sendmsg(2), which do not pass by vfs_write(). */
static __always_inline int obs_is_send(__u64 nr)
{
	return nr == NR_sendto || nr == NR_sendmsg;
}

/* struct user_msghdr of 64-bit user space, as far as it matters. */
struct p2pd_msghdr {
	__u64 name;
	__u64 name_len;
	__u64 iov;
	__u64 n_iov;
};

static __noinline int obs_p2pd_send_call(struct pt_regs *regs, __u64 nr, long ret, __u32 target)
{
	struct obs_write_args w = { .len = ret, .target = target };
	struct p2pd_msghdr msg;

	w.task = bpf_get_current_task_btf();
	if (TASK_IS_32BIT(w.task))
		return 0;
	w.fd = SYSCALL_ARG0(regs);
	w.file = obs_file_of_fd(w.task, w.fd);
	if (!w.file)
		return 0;
	if (nr == NR_sendto) {
		w.buf = (const void *)SYSCALL_ARG1(regs);
	} else if (bpf_probe_read_user(&msg, sizeof(msg), (void *)SYSCALL_ARG1(regs)) == 0) {
		w.iov = (const struct iovec_user *)msg.iov;
		w.n_iov = msg.n_iov;
	}
	obs_p2pd_write(&w);
	return 0;
}
