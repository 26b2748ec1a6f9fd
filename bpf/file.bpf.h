/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * file.bpf.h - what a struct file is, for every probe that meets one.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "obs/wire.h"

#define PATH_DEPTH_MAX 40
#define NAME_BYTES_MAX 256

/* major numbers of include/uapi/linux/major.h */
#define TTY_MAJOR	       4
#define TTYAUX_MAJOR	       5
#define UNIX98_PTY_SLAVE_MAJOR 136
#define UNIX98_PTY_MAJOR_END   143

struct obs_seen_file {
	struct obs_rec_file_id id;
	__u32 kind; /* enum obs_file_kind, 0 = of no interest */
	__u32 open_flags;
	__u64 pos;
};

static __always_inline struct file *obs_file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **array = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), &array[fd]);
	return file;
}

static __always_inline __u32 tty_or_nothing(struct inode *inode)
{
	__u32 major = BPF_CORE_READ(inode, i_rdev) >> 20;

	if (major == TTY_MAJOR || major == TTYAUX_MAJOR)
		return OBS_KIND_TTY;
	if (major >= UNIX98_PTY_SLAVE_MAJOR && major <= UNIX98_PTY_MAJOR_END)
		return OBS_KIND_TTY;
	return 0;
}

static __always_inline __u32 obs_kind_of(struct inode *inode)
{
	switch (BPF_CORE_READ(inode, i_mode) & S_IFMT) {
	case S_IFREG:
		return OBS_KIND_REG;
	case S_IFIFO:
		return OBS_KIND_PIPE;
	case S_IFSOCK:
		return OBS_KIND_SOCK;
	case S_IFCHR:
		return tty_or_nothing(inode);
	}
	return 0;
}

static __always_inline void obs_look_at(struct file *file, struct obs_seen_file *seen)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	seen->kind = obs_kind_of(inode);
	seen->id.ino = BPF_CORE_READ(inode, i_ino);
	seen->id.gen = BPF_CORE_READ(inode, i_generation);
	seen->id.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	seen->open_flags = BPF_CORE_READ(file, f_flags);
	seen->pos = BPF_CORE_READ(file, f_pos);
}

/* More than one owner of the file description, or threads that share the table: another
 * write may have moved f_pos since, or changed the buffer. */
static __always_inline int obs_is_shared(struct task_struct *task, struct file *file)
{
	if (BPF_CORE_READ(task, files, count.counter) > 1)
		return 1;
	if (bpf_core_field_exists(((struct file___ref *)0)->f_ref))
		return BPF_CORE_READ((struct file___ref *)file, f_ref.refcnt.counter) > 0;
	return BPF_CORE_READ((struct file___count *)file, f_count.counter) > 1;
}

/* The names from the file up to the root of its mount namespace, across mounts, as
 * prepend_path() walks. Return: bytes used. */
static __always_inline __u32 obs_path_names(struct file *file, __u8 *out)
{
	struct vfsmount *vfsmnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct mount *mnt =
		(void *)((char *)vfsmnt - __builtin_preserve_field_info(((struct mount *)0)->mnt,
									BPF_FIELD_BYTE_OFFSET));
	__u32 used = 0;

	for (int i = 0; i < PATH_DEPTH_MAX; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		long n;

		if (dentry == BPF_CORE_READ(mnt, mnt.mnt_root) || dentry == parent) {
			struct mount *up = BPF_CORE_READ(mnt, mnt_parent);

			if (up == mnt)
				break;
			dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
			mnt = up;
			continue;
		}
		if (used > OBS_PATH_LEN - NAME_BYTES_MAX)
			break;
		n = bpf_probe_read_kernel_str(out + used, NAME_BYTES_MAX,
					      BPF_CORE_READ(dentry, d_name.name));
		if (n <= 0 || n > NAME_BYTES_MAX)
			break;
		used += n;
		dentry = parent;
	}
	return used;
}
