/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * connect.bpf.h - a connect(2) that fails before there is a SYN: no route, no address of that family,
 * a route that prohibits. The socket's state does not change then, so that only the call's result
 * tells of it; libp2p meets this with every IPv6 address on a host without IPv6.
 */
#pragma once

#include <bpf/bpf_endian.h>

#include "dials.bpf.h"
#include "file.bpf.h"
#include "inet.bpf.h"
#include "syscalls.bpf.h"

/* Others come after the SYN, or say that it is not over, or that the call was no connect at all. */
static __always_inline int fails_before_syn(long ret)
{
	switch (-ret) {
	case EPERM:
	case EACCES:
	case EINVAL:
	case EADDRNOTAVAIL:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTUNREACH:
		return 1;
	}
	return 0;
}

static __always_inline struct sock *tcp_sock_of_fd(struct task_struct *task, __u32 fd)
{
	struct file *file = obs_file_of_fd(task, fd);
	struct socket *socket;
	struct sock *sk;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	return sk && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP ? sk : NULL;
}

static __always_inline int take_remote_address(struct obs_rec_tcp *rec, const __u8 *at)
{
	if (bpf_probe_read_user(&rec->family, sizeof(rec->family), at) < 0 ||
	    bpf_probe_read_user(&rec->remote_port, sizeof(rec->remote_port), at + 2) < 0)
		return -1;
	rec->remote_port = bpf_ntohs(rec->remote_port);
	if (rec->family == AF_INET6)
		return bpf_probe_read_user(rec->remote, 16, at + 8);
	rec->remote[10] = rec->remote[11] = 0xff;
	return rec->family == AF_INET ? bpf_probe_read_user(rec->remote + 12, 4, at + 4) : -1;
}

static __always_inline void tell_unsent(struct sock *sk, const __u8 *at, __u32 target, __s32 err)
{
	struct obs_control *c = obs_control();
	struct obs_rec_tcp *rec = c ? obs_reserve(OBS_REC_TCP, sizeof(*rec)) : NULL;

	if (!rec)
		return;
	rec->what = OBS_TCP_FAIL;
	rec->state = TCP_CLOSE;
	rec->flags = OBS_TCP_UNSENT;
	rec->err = err;
	rec->target = target;
	rec->tgid = bpf_get_current_pid_tgid() >> 32;
	rec->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (take_remote_address(rec, at) < 0) {
		bpf_ringbuf_discard(rec, 0);
		obs_drop(OBS_DROP_FAULT, 1);
		return;
	}
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

/* A function of its own: see obs_capture_syscall(). */
static __noinline int obs_connect_returned(struct pt_regs *regs, long ret, __u32 target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 sent_off = obs_dial_take();
	struct obs_tcp_total *t;
	struct sock *sk;
	__u32 how;

	if (!fails_before_syn(ret) || TASK_IS_32BIT(task))
		return 0;
	sk = tcp_sock_of_fd(task, SYSCALL_ARG0(regs));
	if (!sk || (__u64)sk == sent_off)
		return 0;
	how = obs_failure_of(-ret);
	t = obs_total_of(target);
	if (t && how < OBS_FAILURES)
		obs_add(&t->failed[how], 1);
	tell_unsent(sk, (const __u8 *)SYSCALL_ARG1(regs), target, -ret);
	return 0;
}
