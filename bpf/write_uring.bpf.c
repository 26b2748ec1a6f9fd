// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write_uring.bpf.c - writes by io_uring, as marks: which files to look at.
 *
 * Hook: tp_btf/io_uring_complete, where a request's result is posted: its bytes are in the file
 * by then, whoever did the work (the caller, a worker, the SQPOLL thread: all carry
 * the tgid of the process). Its arguments changed more than once; the request is the second on
 * all kernels. Requests that ask for no result (IOSQE_CQE_SKIP_SUCCESS) do not pass there:
 * these are told of when they are submitted (io_uring_submit_req, before 6.3 io_uring_submit_sqe),
 * too early to see their bytes, but early enough to know the file.
 * Cost: one look at the tgid's bit per request and hook.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "capture.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int is_write_request(__u8 op)
{
	return op == IORING_OP_WRITEV || op == IORING_OP_WRITE_FIXED || op == IORING_OP_WRITE ||
	       op == IORING_OP_SPLICE || op == IORING_OP_TEE || op == IORING_OP_WRITEV_FIXED;
}

SEC("tp_btf/io_uring_complete")
int obs_uring_complete(__u64 *ctx)
{
	struct io_kiocb *req = (void *)ctx[1];
	struct obs_target_value *target;
	struct file *file;
	__s32 res;

	target = obs_target_of(bpf_get_current_pid_tgid() >> 32);
	if (!target || !req || !is_write_request(BPF_CORE_READ(req, opcode)))
		return 0;
	res = BPF_CORE_READ(req, cqe.res);
	file = BPF_CORE_READ(req, file);
	if (res > 0 && file)
		obs_mark(file, target->target, res);
	return 0;
}

static __always_inline int seen_at_submit(struct io_kiocb *req)
{
	struct obs_target_value *target = obs_target_of(bpf_get_current_pid_tgid() >> 32);
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file;
	__u64 flags;

	if (!target || !is_write_request(BPF_CORE_READ(req, opcode)))
		return 0;
	flags = BPF_CORE_READ(req, flags);
	if (!(flags & REQ_F_CQE_SKIP) || (flags & REQ_F_FIXED_FILE))
		return 0;
	file = obs_file_of_fd(task, BPF_CORE_READ(req, cqe.fd));
	if (file)
		obs_mark(file, target->target, 0);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int obs_uring_submit(__u64 *ctx)
{
	return seen_at_submit((void *)ctx[0]);
}

SEC("tp_btf/io_uring_submit_sqe")
int obs_uring_submit_old(__u64 *ctx)
{
	return seen_at_submit((void *)ctx[0]);
}
