// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write_fexit.bpf.c - writes of targets, seen when the VFS is done with them.
 *
 * Hooks: fexit/vfs_write and fexit/vfs_writev, the outermost functions (docs/kernels.md:
 * deeper ones see overlayfs's inner file too) for regular files; tp_btf/sys_exit for splice,
 * sendfile, copy_file_range, tee, vmsplice, aio and changes of size, which do not pass there,
 * and for all that goes to pipes, terminals and sockets.
 * Better than sys_exit alone: the position is the write's own (the pos argument),
 * whatever other writers of the description do meanwhile.
 * fexit programs may be preempted, and a second run on the same CPU is skipped by the
 * trampoline's recursion check (__bpf_prog_enter_recur): user space finds such a write by looking
 * at the file. A console has no file. Of tracepoints none was seen to be skipped up to 6.12; 7.3
 * skips some, too (observe/missed.h counts).
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "aio.bpf.h"
#include "sysexit.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void seen_by_vfs(struct obs_write_args *w, long long *pos)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct obs_seen_file seen = {};
	long long end;

	w->target = obs_slot_of(tgid);
	if (!w->target)
		return;
	w->task = bpf_get_current_task_btf();
	w->fd = obs_console_fd(w->task, w->file);
	obs_look_at(w->file, &seen);
	if (seen.kind != OBS_KIND_REG)
		return; /* obs_call_exit() takes it */
	if (pos && bpf_probe_read_kernel(&end, sizeof(end), pos) == 0)
		w->offset = end - w->len;
	else
		w->flags |= OBS_W_NO_OFFSET;
	obs_capture(w, &seen);
}

SEC("fexit/vfs_write")
int BPF_PROG(obs_vfs_write, struct file *file, const char *buf, size_t count, long long *pos,
	     ssize_t ret)
{
	struct obs_write_args w = { .file = file, .buf = buf, .len = ret };

	if (ret > 0)
		seen_by_vfs(&w, pos);
	return 0;
}

SEC("fexit/vfs_writev")
int BPF_PROG(obs_vfs_writev, struct file *file, const struct iovec_user *vec, unsigned long vlen,
	     long long *pos, int flags, ssize_t ret)
{
	struct obs_write_args w = { .file = file, .iov = vec, .n_iov = vlen, .len = ret };

	if (ret > 0)
		seen_by_vfs(&w, pos);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(obs_call_exit, struct pt_regs *regs, long ret)
{
	return obs_call_returned(regs, ret, 1);
}
