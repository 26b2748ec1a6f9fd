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

/* The part of struct iocb (include/uapi/linux/aio_abi.h) that is read here. */
struct iocb_user {
	__u16 opcode;
	__s16 reqprio;
	__u32 fd;
	__u64 buf;
	__u64 nbytes;
};

#define IOCB_OPCODE	 16 /* where that part begins */
#define IOCB_CMD_PWRITE	 1
#define IOCB_CMD_PWRITEV 8
#define IO_EVENT_BYTES	 32
#define IO_EVENT_OBJ	 8

struct aio_walk {
	__u64 first;  /* user address of the first pointer to a request */
	__u64 stride; /* bytes from one to the next */
	__u64 n;
	struct obs_write_args w; /* here, so that it is not on the stack twice */
};

static __always_inline int obs_is_aio(__u64 nr)
{
	return nr == NR_io_submit || nr == NR_io_getevents || nr == NR_io_pgetevents;
}

static __always_inline int is_console(struct file *file)
{
	return obs_console_fd(bpf_get_current_task_btf(), file) >= 0;
}

static long take_request(__u32 turn, struct aio_walk *walk)
{
	struct iocb_user cb;
	__u64 at;

	if (turn >= walk->n)
		return 1;
	if (bpf_probe_read_user(&at, sizeof(at), (void *)(walk->first + turn * walk->stride)) < 0 ||
	    bpf_probe_read_user(&cb, sizeof(cb), (void *)(at + IOCB_OPCODE)) < 0)
		return 0;
	if (cb.opcode != IOCB_CMD_PWRITE && cb.opcode != IOCB_CMD_PWRITEV)
		return 0;
	walk->w.file = obs_file_of_fd(bpf_get_current_task_btf(), cb.fd);
	walk->w.len = cb.opcode == IOCB_CMD_PWRITE ? cb.nbytes : 0;
	if (!walk->w.file || (walk->stride == IO_EVENT_BYTES && is_console(walk->w.file)))
		return 0; /* that was counted when it was submitted */
	obs_mark_file(&walk->w);
	return 0;
}

/* The calling task, of a node, has returned from aio call @nr with @ret requests or results. */
static __noinline int obs_mark_aio(struct pt_regs *regs, __u64 nr, long ret, __u32 target)
{
	struct aio_walk walk = { .stride = sizeof(__u64), .n = ret, .w.target = target };

	if (TASK_IS_32BIT(bpf_get_current_task_btf()))
		return 0;
	walk.first = SYSCALL_ARG2(regs);
	if (nr != NR_io_submit) {
		walk.first = SYSCALL_ARG3(regs) + IO_EVENT_OBJ;
		walk.stride = IO_EVENT_BYTES;
	}
	bpf_loop(AIO_REQUESTS_MAX, take_request, &walk, 0);
	return 0;
}
