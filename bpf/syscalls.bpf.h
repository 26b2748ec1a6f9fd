/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * syscalls.bpf.h - a finished system call's number and arguments, per architecture.
 *
 * At sys_exit the argument registers still hold what user space put there,
 * but for the one that carries the return value.
 */
#pragma once

#include "vmlinux.h"

#if defined(__TARGET_ARCH_x86)

#define NR_write	   1
#define NR_pwrite64	   18
#define NR_writev	   20
#define NR_sendfile	   40
#define NR_connect	   42
#define NR_sendto	   44
#define NR_sendmsg	   46
#define NR_ftruncate	   77
#define NR_io_getevents	   208
#define NR_io_submit	   209
#define NR_splice	   275
#define NR_tee		   276
#define NR_vmsplice	   278
#define NR_fallocate	   285
#define NR_pwritev	   296
#define NR_copy_file_range 326
#define NR_pwritev2	   328
#define NR_io_pgetevents   333

#define SYSCALL_NR(regs)   ((regs)->orig_ax)
#define SYSCALL_ARG0(regs) ((regs)->di)
#define SYSCALL_ARG1(regs) ((regs)->si)
#define SYSCALL_ARG2(regs) ((regs)->dx)
#define SYSCALL_ARG3(regs) ((regs)->r10)

#define TS_COMPAT	    2
#define TASK_IS_32BIT(task) ((task)->thread_info.status & TS_COMPAT)

#elif defined(__TARGET_ARCH_arm64)

#define NR_io_submit	   2
#define NR_io_getevents	   4
#define NR_ftruncate	   46
#define NR_fallocate	   47
#define NR_write	   64
#define NR_writev	   66
#define NR_pwrite64	   68
#define NR_pwritev	   70
#define NR_sendfile	   71
#define NR_vmsplice	   75
#define NR_splice	   76
#define NR_tee		   77
#define NR_connect	   203
#define NR_sendto	   206
#define NR_sendmsg	   211
#define NR_copy_file_range 285
#define NR_pwritev2	   287
#define NR_io_pgetevents   292

#define SYSCALL_NR(regs)   ((__u64)(regs)->syscallno)
#define SYSCALL_ARG0(regs) ((regs)->orig_x0)
#define SYSCALL_ARG1(regs) ((regs)->regs[1])
#define SYSCALL_ARG2(regs) ((regs)->regs[2])
#define SYSCALL_ARG3(regs) ((regs)->regs[3])

#define TIF_32BIT	    22
#define TASK_IS_32BIT(task) ((task)->thread_info.flags & (1UL << TIF_32BIT))

#else
#error "teach syscalls.bpf.h this architecture"
#endif
