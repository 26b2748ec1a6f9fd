/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vmlinux.h - the few kernel types that the probes read, kept by hand.
 *
 * Every struct carries preserve_access_index: libbpf finds the true offsets in
 * the running kernel's BTF, so only names and types matter here, not order or
 * completeness. A struct called x___y is another kernel's shape of x (CO-RE
 * drops what follows the three underscores).
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef int pid_t;
typedef unsigned long size_t;
typedef long ssize_t;

#define S_IFMT	 0170000
#define S_IFSOCK 0140000
#define S_IFREG	 0100000
#define S_IFCHR	 0020000
#define S_IFIFO	 0010000
#define O_APPEND 02000

/* enum io_uring_op of include/uapi/linux/io_uring.h: what writes */
#define IORING_OP_WRITEV       2
#define IORING_OP_WRITE_FIXED  5
#define IORING_OP_WRITE	       23
#define IORING_OP_SPLICE       30
#define IORING_OP_TEE	       33
#define IORING_OP_WRITEV_FIXED 61
#define REQ_F_FIXED_FILE       (1 << 0)
#define REQ_F_CQE_SKIP	       (1 << 6)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long orig_ax;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long r8;
};

struct thread_info {
	u32 status; /* TS_COMPAT: the system call came from 32-bit code */
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	int syscallno;
};

struct thread_info {
	unsigned long flags; /* TIF_32BIT */
};
#endif

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long counter;
} atomic_long_t;

struct kernfs_node {
	u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

/* Memory cgroups, v1 and v2: what limits a process's memory. */
struct kernfs_node___name {
	const char *name;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

enum cgroup_subsys_id___memory {
	memory_cgrp_id___memory = 4, /* where it is when no BTF says otherwise */
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
};

struct page_counter {
	atomic_long_t usage;
	unsigned long max;
};

struct mem_cgroup {
	struct cgroup_subsys_state css; /* first */
	struct page_counter memory;
};

struct task_struct___cgroups {
	struct css_set *cgroups;
};

/* How a process ends. */
struct kernel_siginfo {
	struct {
		int si_signo;
		int si_errno;
		int si_code;
	};
};

#define SIGNAL_GROUP_EXIT 4

struct signal_struct___flags {
	unsigned int flags;
};

struct qstr {
	const unsigned char *name;
};

struct super_block {
	u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_rdev;
	u32 i_generation;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	long long f_pos;
	struct path f_path;
	unsigned int f_flags;
	void *private_data; /* of a socket: its struct socket */
};

/* Up to 6.12: references as they are. */
struct file___count {
	atomic_long_t f_count;
};

/* Since 6.13 (90ee6ed776c0 "fs: port files to file_ref"): references minus one. */
typedef struct {
	atomic_long_t refcnt;
} file_ref_t;

struct file___ref {
	file_ref_t f_ref;
};

struct io_cqe {
	s32 res;
	int fd; /* until there is a result */
};

/* A request of io_uring. */
struct io_kiocb {
	struct file *file;
	u8 opcode;
	u64 flags; /* of 32 bits up to 6.7: look at the lower ones only */
	struct io_cqe cqe;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct hlist_head {
	struct hlist_node *first;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
};

#define NR_MM_COUNTERS 4 /* MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES */

/* Up to 6.1. */
struct mm_rss_stat {
	atomic_long_t count[NR_MM_COUNTERS];
};

struct mm_struct___atomic {
	struct mm_rss_stat rss_stat;
};

/* Since 6.2 (f1a7941243c1 "mm: convert mm's rss stats into percpu_counter"). */
struct percpu_counter {
	long long count;
};

struct mm_struct___percpu {
	struct percpu_counter rss_stat[NR_MM_COUNTERS];
};

struct task_io_accounting {
	u64 read_bytes;
	u64 write_bytes;
	u64 cancelled_write_bytes;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	int nr_threads;
	u64 utime;
	u64 stime;
	unsigned long min_flt;
	unsigned long maj_flt;
	unsigned long maxrss;
	struct task_io_accounting ioac;
	unsigned long long sum_sched_runtime;
};

struct sched_entity {
	u64 sum_exec_runtime;
};

struct task_struct {
	struct thread_info thread_info;
	struct mm_struct *mm;
	int exit_code;
	pid_t pid;
	pid_t tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	unsigned int __state;
	int exit_state;
	struct sched_entity se;
	u64 utime;
	u64 stime;
	unsigned long min_flt;
	unsigned long maj_flt;
	struct task_io_accounting ioac;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct ns_common {
	u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
		u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_common __sk_common;
	atomic_t sk_drops;
	u8 sk_userlocks;
	u16 sk_protocol;
	int sk_err;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct minmax_sample {
	u32 t;
	u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct inet_sock {
	struct sock sk;
};

struct request_sock_queue {
	atomic_t qlen;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 mss_cache;
	u32 snd_cwnd;
	u32 copied_seq;
	u32 mdev_us;
	struct minmax rtt_min;
	u64 bytes_sent;
	u32 segs_out;
	u32 write_seq;
	u32 rcv_nxt;
	u32 snd_nxt;
	u32 snd_una;
	u32 srtt_us;
	u64 bytes_received;
	u64 bytes_acked;
	u32 rate_delivered;
	u32 rate_interval_us;
	u32 total_retrans;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

#pragma clang attribute pop

/* Not in any kernel's BTF by these members: only pointers to them are used. */
struct linux_binprm;
