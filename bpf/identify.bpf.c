// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * identify.bpf.c - the kernel's identity of a file that the observer has open.
 *
 * stat(2) may show other numbers than struct inode has (overlayfs, btrfs), and the
 * write probes report the latter. This program is never attached: user space runs
 * it with BPF_PROG_TEST_RUN, in its own context, with a descriptor as argument.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "file.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct obs_identity);
} identity SEC(".maps");

SEC("raw_tp")
int obs_identify(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct obs_seen_file seen = {};
	struct obs_identity *out;
	struct file *file;
	__u32 zero = 0;

	out = bpf_map_lookup_elem(&identity, &zero);
	file = obs_file_of_fd(task, ctx->args[0]);
	if (!out || !file)
		return 0;
	obs_look_at(file, &seen);
	out->file = seen.id;
	out->kind = seen.kind;
	out->serial++;
	return 0;
}
