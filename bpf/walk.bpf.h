/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * walk.bpf.h - following pointers of the kernel's structs without the verifier looking for what
 * it promises of them.
 *
 * At each pointer that is taken out of a trusted struct, on every path that leads there, newer
 * verifiers (since 6.4, 6fcd486b3a0a "bpf: Refactor RCU enforcement in the verifier.") go through
 * the names of all of the kernel's types, up to four times (btf_nested_type_is_trusted()). That
 * was most of the time that it took to load a program. What is cast is not trusted.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Since 6.3 (fd264ca02094 "bpf: Add a kfunc to type cast from bpf uapi ctx to kernel ctx" and
 * the cast beside it): a scalar becomes a typed pointer, whose members are plain loads
 * instead of helper calls. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* The same task or socket, to follow its pointers by plain loads; not for helpers. */
static __always_inline struct task_struct *obs_walked_task(struct task_struct *task)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast(task, bpf_core_type_id_kernel(struct task_struct));
	return task;
}

static __always_inline struct sock *obs_walked_sock(struct sock *sk)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock));
	return sk;
}
