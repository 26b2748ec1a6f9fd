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
struct super_block {
	unsigned int s_dev;
};
struct inode {
	struct super_block *i_sb;
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
#pragma clang attribute pop

const volatile __u32 tgid;
const volatile __u32 shape; /* enum hook_shape */
const volatile __u32 file_arg;
const volatile __u32 pos_arg;
const volatile __u64 user_data; /* what the writer writes, in its memory */

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
	hit.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	hit.f_pos = BPF_CORE_READ(file, f_pos);
}

/* An io_uring request of a read or write begins with its kiocb. */
static __always_inline void take_kiocb(struct kiocb *iocb)
{
	take_file(BPF_CORE_READ(iocb, ki_filp));
	hit.pos = BPF_CORE_READ(iocb, ki_pos);
}

static __always_inline void take_pos(__u64 pos)
{
	if (pos)
		bpf_probe_read_kernel(&hit.pos, sizeof(hit.pos), (void *)pos);
}

static __always_inline void take_shape(void *ctx)
{
	__u64 first = arg(ctx, file_arg);

	switch (shape) {
	case SHAPE_FILE:
		take_file((void *)first);
		take_pos(pos_arg ? arg(ctx, pos_arg) : 0);
		break;
	case SHAPE_SPLICE:
		take_file((void *)first);
		hit.pos = hit.f_pos;
		take_pos(arg(ctx, pos_arg));
		break;
	case SHAPE_COPY:
		take_file((void *)first);
		hit.pos = arg(ctx, pos_arg) + hit.ret;
		break;
	case SHAPE_IO_DONE:
		hit.ret = arg(ctx, file_arg + 1);
		take_kiocb((void *)first);
		break;
	case SHAPE_KIOCB:
	case SHAPE_IO_REQ:
		take_kiocb((void *)first);
		break;
	}
}

SEC("fexit")
int on_exit(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 != tgid)
		return 0;

	__sync_fetch_and_add(&hit.n, 1);
	hit.pos = -1;
	hit.byte = 0;
	bpf_probe_read_user(&hit.byte, 1, (void *)user_data);
	bpf_get_func_ret(ctx, (__u64 *)&hit.ret);
	hit.ret = (__s32)hit.ret; /* an int leaves the upper half undefined */
	take_shape(ctx);
	return 0;
}
