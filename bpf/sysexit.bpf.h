/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sysexit.bpf.h - a finished system call turned into a captured write, or a connect that failed.
 *
 * The offset is f_pos after the write minus its length: right unless another
 * writer shares the description, which OBS_W_SHARED says.
 */
#pragma once

#include "aio.bpf.h"
#include "capture.bpf.h"
#include "connect.bpf.h"
#include "p2pd.bpf.h"
#include "syscalls.bpf.h"

/* Does call @nr write to a descriptor? */
static __always_inline int obs_is_write(__u64 nr)
{
	switch (nr) {
	case NR_write:
	case NR_pwrite64:
	case NR_writev:
	case NR_pwritev:
	case NR_pwritev2:
	case NR_sendfile:
	case NR_splice:
	case NR_tee:
	case NR_vmsplice:
	case NR_copy_file_range:
		return 1;
	}
	return 0;
}

static __always_inline __s32 written_fd(struct pt_regs *regs, __u64 nr)
{
	if (nr == NR_splice || nr == NR_copy_file_range)
		return SYSCALL_ARG2(regs);
	return nr == NR_tee ? SYSCALL_ARG1(regs) : SYSCALL_ARG0(regs);
}

static __always_inline void find_content(struct obs_write_args *w, struct pt_regs *regs, __u64 nr)
{
	if (nr == NR_write || nr == NR_pwrite64) {
		w->buf = (const void *)SYSCALL_ARG1(regs);
	} else if (nr == NR_writev || nr == NR_pwritev || nr == NR_pwritev2 || nr == NR_vmsplice) {
		w->iov = (const struct iovec_user *)SYSCALL_ARG1(regs);
		w->n_iov = SYSCALL_ARG2(regs);
	}
}

static __always_inline void find_offset(struct obs_write_args *w, const struct obs_seen_file *seen,
					struct pt_regs *regs, __u64 nr)
{
	__s64 at = SYSCALL_ARG3(regs);

	if (nr == NR_write || nr == NR_writev || (nr == NR_pwritev2 && at == -1)) {
		w->offset = seen->pos - w->len;
	} else if ((nr == NR_pwrite64 || nr == NR_pwritev || nr == NR_pwritev2) &&
		   !(seen->open_flags & O_APPEND)) {
		/* with O_APPEND Linux appends whatever the offset says: pwrite(2), BUGS */
		w->offset = at;
	} else {
		w->flags |= OBS_W_NO_OFFSET;
	}
}

/* The calling task, of a node, has returned from write-like call @nr with @ret > 0. @no_files:
 * another probe takes what goes to regular files. A function of its own: what it keeps on the
 * stack counts for its own callees only, and every other system call of the host does without. */
static __noinline int obs_capture_syscall(struct pt_regs *regs, __u64 nr, long ret, __u32 target,
					  __u32 no_files)
{
	struct obs_write_args w = { .len = ret, .target = target };
	struct obs_seen_file seen = {};

	w.task = bpf_get_current_task_btf();
	if (TASK_IS_32BIT(w.task))
		return 0;
	w.fd = written_fd(regs, nr);
	w.file = obs_file_of_fd(w.task, w.fd);
	if (!w.file)
		return 0;

	obs_look_at(w.file, &seen);
	if (no_files && seen.kind == OBS_KIND_REG)
		return 0;
	find_content(&w, regs, nr);
	find_offset(&w, &seen, regs, nr);
	if (obs_is_shared(w.task, &seen))
		w.flags |= OBS_W_SHARED;
	obs_capture_or_talk(&w, &seen);
	return 0;
}

/* ftruncate(2) and fallocate(2): cut, or given room that a mapping will fill. Nothing was
 * written, but the file is one to look at. */
static __always_inline int obs_is_resize(__u64 nr)
{
	return nr == NR_ftruncate || nr == NR_fallocate;
}

/* Further calls that are looked at when they return. */
static __always_inline int obs_is_other(__u64 nr)
{
	return obs_is_aio(nr) || obs_is_resize(nr) || obs_is_send(nr);
}

static __noinline int obs_mark_resized(struct pt_regs *regs, __u32 target)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file *file;

	if (TASK_IS_32BIT(task))
		return 0;
	file = obs_file_of_fd(task, SYSCALL_ARG0(regs));
	if (file)
		obs_mark(file, target, 0);
	return 0;
}

/* The node that the calling process belongs to, or 0. */
static __always_inline __u32 obs_current_target(void)
{
	return obs_slot_of(bpf_get_current_task_btf()->tgid);
}

/* Calls whose writes do not pass through vfs_write() and vfs_writev(). */
static __always_inline int obs_passes_no_vfs_write(__u64 nr)
{
	return nr == NR_sendfile || nr == NR_splice || nr == NR_copy_file_range || nr == NR_tee ||
	       nr == NR_vmsplice;
}

/* A system call of the current task has returned. @vfs_elsewhere: another probe takes what goes
 * to regular files through the VFS's own write functions. */
static __always_inline int obs_call_returned(struct pt_regs *regs, long ret, int vfs_elsewhere)
{
	__u64 nr = SYSCALL_NR(regs);
	int is_write = obs_is_write(nr);
	__u32 target;

	if (nr != NR_connect && (ret < is_write || (!is_write && !obs_is_other(nr))))
		return 0;
	target = obs_current_target();
	if (!target)
		return 0;
	if (is_write)
		obs_capture_syscall(regs, nr, ret, target,
				    vfs_elsewhere && !obs_passes_no_vfs_write(nr));
	else if (nr == NR_connect)
		obs_connect_returned(regs, ret, target);
	else if (obs_is_send(nr))
		obs_p2pd_send_call(regs, nr, ret, target);
	else if (obs_is_aio(nr))
		obs_mark_aio(regs, nr, ret, target);
	else
		obs_mark_resized(regs, target);
	return 0;
}
