// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write_hooks.bpf.c - one fexit program that can sit on any function.
 *
 * It takes arguments by number through helpers instead of by BTF type, so the
 * same code can be attached to every candidate that tests/kernels/write_hooks.c
 * tries; where the file and the position stand among the arguments is told by
 * constants. Not a part of the observer.
 */
#include <linux/types.h>

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "write_hooks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inode {
	unsigned long i_ino;
};
struct file {
	struct inode *f_inode;
	long long f_pos;
};
struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
};
/* io_uring: the request's command area begins with a struct kiocb for reads and writes. */
struct io_cmd_data {
	struct file *file;
};
struct io_kiocb {
	struct io_cmd_data cmd;
};
#pragma clang attribute pop

const volatile __u32 tgid;
const volatile __u32 shape; /* enum hook_shape */
const volatile __u32 file_arg;
const volatile __u32 pos_arg;

struct hit hit; /* the last one, and how many */

static __always_inline __u64 arg(void *ctx, __u32 n)
{
	__u64 v = 0;

	bpf_get_func_arg(ctx, n, &v);
	return v;
}

static __always_inline void take_file(struct file *file)
{
	hit.ino = BPF_CORE_READ(file, f_inode, i_ino);
	hit.f_pos = BPF_CORE_READ(file, f_pos);
}

static __always_inline void take_kiocb(struct kiocb *iocb)
{
	take_file(BPF_CORE_READ(iocb, ki_filp));
	hit.pos = BPF_CORE_READ(iocb, ki_pos);
}

SEC("fexit")
int on_exit(void *ctx)
{
	__u64 pos;

	if (bpf_get_current_pid_tgid() >> 32 != tgid)
		return 0;

	__sync_fetch_and_add(&hit.n, 1);
	hit.pos = -1;
	hit.ret = 0;
	bpf_get_func_ret(ctx, (__u64 *)&hit.ret);
	hit.ret = (__s32)hit.ret; /* an int leaves the upper half undefined */

	switch (shape) {
	case SHAPE_FILE:
		take_file((void *)arg(ctx, file_arg));
		pos = arg(ctx, pos_arg);
		if (pos_arg && pos)
			bpf_probe_read_kernel(&hit.pos, sizeof(hit.pos), (void *)pos);
		break;
	case SHAPE_KIOCB:
		take_kiocb((void *)arg(ctx, file_arg));
		break;
	case SHAPE_IO_REQ:
		take_kiocb((void *)arg(ctx, file_arg));
		break;
	}
	return 0;
}
