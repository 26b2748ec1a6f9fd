/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * aio.bpf.h - writes by io_submit(2), as marks: which files to look at.
 *
 * Seen when the kernel has taken the requests (buffered ones are done by then) and when
 * their results are fetched (O_DIRECT ones are done by then).
 */
#pragma once

#include "capture.bpf.h"
#include "syscalls.bpf.h"

#define AIO_REQUESTS_MAX 64

/* struct iocb and struct io_event of include/uapi/linux/aio_abi.h, up to what is read here. */
struct iocb_user {
	__u64 data;
	__u32 key;
	__u32 rw_flags;
	__u16 opcode;
	__s16 reqprio;
	__u32 fd;
	__u64 buf;
	__u64 nbytes;
};

#define IOCB_CMD_PWRITE	 1
#define IOCB_CMD_PWRITEV 8
#define IO_EVENT_BYTES	 32
#define IO_EVENT_OBJ	 8

struct aio_walk {
	__u64 first;  /* user address of the first pointer to a request */
	__u64 stride; /* bytes from one to the next */
	__u64 n;
	__u32 target;
};

static __always_inline int obs_is_aio(__u64 nr)
{
	return nr == NR_io_submit || nr == NR_io_getevents || nr == NR_io_pgetevents;
}

static long take_request(__u32 turn, struct aio_walk *walk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct iocb_user cb;
	struct file *file;
	__u64 at;

	if (turn >= walk->n)
		return 1;
	if (bpf_probe_read_user(&at, sizeof(at), (void *)(walk->first + turn * walk->stride)) < 0 ||
	    bpf_probe_read_user(&cb, sizeof(cb), (void *)at) < 0)
		return 0;
	if (cb.opcode != IOCB_CMD_PWRITE && cb.opcode != IOCB_CMD_PWRITEV)
		return 0;
	file = obs_file_of_fd(task, cb.fd);
	if (file)
		obs_mark(task, file, walk->target, cb.opcode == IOCB_CMD_PWRITE ? cb.nbytes : 0);
	return 0;
}

/* The calling task has returned from aio call @nr with @ret > 0 requests or results. */
static __always_inline void obs_mark_aio(struct pt_regs *regs, __u64 nr, long ret)
{
	struct obs_target_value *target = obs_target_of(bpf_get_current_pid_tgid() >> 32);
	struct aio_walk walk = { .stride = sizeof(__u64), .n = ret };

	if (!target || TASK_IS_32BIT(bpf_get_current_task_btf()))
		return;
	walk.target = target->target;
	walk.first = SYSCALL_ARG2(regs);
	if (nr != NR_io_submit) {
		walk.first = SYSCALL_ARG3(regs) + IO_EVENT_OBJ;
		walk.stride = IO_EVENT_BYTES;
	}
	bpf_loop(AIO_REQUESTS_MAX, take_request, &walk, 0);
}
