// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * write_sysexit.bpf.c - writes of targets, seen when the system call returns.
 *
 * Hook: tp_btf/sys_exit. Works where fentry/fexit are refused. It fires for every
 * system call of every process, so the order of the checks is the cost: number
 * first, then one hash lookup of the tgid; only targets go further.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "aio.bpf.h"
#include "sysexit.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(obs_sys_exit, struct pt_regs *regs, long ret)
{
	return obs_call_returned(regs, ret, 0);
}
