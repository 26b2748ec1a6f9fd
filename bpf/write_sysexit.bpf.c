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
	__u64 nr = SYSCALL_NR(regs);
	int is_write = obs_is_write(nr);
	__u32 target;

	if (ret < is_write || (!is_write && !obs_is_other(nr)))
		return 0;
	target = obs_current_target();
	if (!target)
		return 0;
	if (is_write)
		obs_capture_syscall(regs, nr, ret, target, 0);
	else if (obs_is_send(nr))
		obs_p2pd_send_call(regs, nr, ret, target);
	else if (obs_is_aio(nr))
		obs_mark_aio(regs, nr, ret, target);
	else
		obs_mark_resized(regs, target);
	return 0;
}
