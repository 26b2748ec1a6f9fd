/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * file.bpf.h - what a struct file is, for every probe that meets one.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "obs/wire.h"
#include "walk.bpf.h"

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
	__s64 refs; /* owners of the description */
};

static __always_inline struct file *obs_file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = obs_walked_task(task)->files->fdt;
	struct file *file = NULL;

	if (fd >= fdt->max_fds)
		return NULL;
	if (bpf_rdonly_cast) {
		/* any struct that begins with a pointer: one plain load */
		struct hlist_head *slot =
			bpf_rdonly_cast(&fdt->fd[fd], bpf_core_type_id_kernel(struct hlist_head));

		return (struct file *)slot->first;
	}
	bpf_probe_read_kernel(&file, sizeof(file), &fdt->fd[fd]);
	return file;
}

/* Descriptor 1 or 2 if that is where @file stands, else -1. */
static __always_inline __s32 obs_console_fd(struct task_struct *task, struct file *file)
{
	if (obs_file_of_fd(task, 1) == file)
		return 1;
	return obs_file_of_fd(task, 2) == file ? 2 : -1;
}

static __always_inline __u32 tty_or_nothing(struct inode *inode)
{
	__u32 mode = BPF_CORE_READ(inode, i_mode);
	__u32 major = BPF_CORE_READ(inode, i_rdev) >> 20;

	if ((mode & S_IFMT) != S_IFCHR)
		return 0;
	if (major == TTY_MAJOR || major == TTYAUX_MAJOR)
		return OBS_KIND_TTY;
	if (major >= UNIX98_PTY_SLAVE_MAJOR && major <= UNIX98_PTY_MAJOR_END)
		return OBS_KIND_TTY;
	return 0;
}

static __always_inline __u32 kind_of_mode(__u16 mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return OBS_KIND_REG;
	case S_IFIFO:
		return OBS_KIND_PIPE;
	case S_IFSOCK:
		return OBS_KIND_SOCK;
	}
	return 0;
}

static __always_inline void look_by_loads(const struct file *file, struct obs_seen_file *seen)
{
	const struct inode *inode = file->f_inode;

	seen->kind = kind_of_mode(inode->i_mode);
	seen->id.ino = inode->i_ino;
	seen->id.gen = inode->i_generation;
	seen->id.dev = inode->i_sb->s_dev;
	seen->open_flags = file->f_flags;
	seen->pos = file->f_pos;
	if (bpf_core_field_exists(((struct file___ref *)0)->f_ref))
		seen->refs = ((struct file___ref *)file)->f_ref.refcnt.counter + 1;
	else
		seen->refs = ((struct file___count *)file)->f_count.counter;
}

static __always_inline void look_by_reads(const struct file *file, struct obs_seen_file *seen)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	seen->kind = kind_of_mode(BPF_CORE_READ(inode, i_mode));
	seen->id.ino = BPF_CORE_READ(inode, i_ino);
	seen->id.gen = BPF_CORE_READ(inode, i_generation);
	seen->id.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	seen->open_flags = BPF_CORE_READ(file, f_flags);
	seen->pos = BPF_CORE_READ(file, f_pos);
	if (bpf_core_field_exists(((struct file___ref *)0)->f_ref))
		seen->refs = BPF_CORE_READ((struct file___ref *)file, f_ref.refcnt.counter) + 1;
	else
		seen->refs = BPF_CORE_READ((struct file___count *)file, f_count.counter);
}

static __always_inline void obs_look_at(struct file *file, struct obs_seen_file *seen)
{
	if (bpf_rdonly_cast)
		look_by_loads(bpf_rdonly_cast(file, bpf_core_type_id_kernel(struct file)), seen);
	else
		look_by_reads(file, seen);
	if (!seen->kind)
		seen->kind = tty_or_nothing(BPF_CORE_READ(file, f_inode));
}

/* More than one owner of the file description, or threads that share the table: another
 * write may have moved f_pos since, or changed the buffer. */
static __always_inline int obs_is_shared(struct task_struct *task, const struct obs_seen_file *seen)
{
	return obs_walked_task(task)->files->count.counter > 1 || seen->refs > 1;
}

/* Where a walk from a file up to the root of its mount namespace stands. */
struct obs_path_walk {
	struct dentry *dentry;
	struct mount *mnt;
};

static __always_inline void obs_path_start(struct file *file, struct obs_path_walk *walk)
{
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);

	walk->dentry = BPF_CORE_READ(file, f_path.dentry);
	walk->mnt = (void *)((char *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt,
									 BPF_FIELD_BYTE_OFFSET));
}

/* One step, across mounts, as prepend_path() goes. Return: the name to take, NULL for none;
 * *@ret_end is set at the root. */
static __always_inline const unsigned char *obs_path_step(struct obs_path_walk *walk, int *ret_end)
{
	/* locals: BPF_CORE_READ would relocate members of our own struct, too */
	struct dentry *dentry = walk->dentry;
	struct mount *mnt = walk->mnt;
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	struct mount *up;

	if (dentry != BPF_CORE_READ(mnt, mnt.mnt_root) && dentry != parent) {
		walk->dentry = parent;
		return BPF_CORE_READ(dentry, d_name.name);
	}
	up = BPF_CORE_READ(mnt, mnt_parent);
	if (up == mnt) {
		*ret_end = 1;
		return NULL;
	}
	walk->dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
	walk->mnt = up;
	return NULL;
}
