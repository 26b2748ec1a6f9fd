// SPDX-License-Identifier: BSD-2-Clause
/*
 * floor.c - the least that any observer on tp_btf/sys_exit costs: an empty program there. With it
 * attached every system call of the host takes the kernel's slow way out
 * (syscall_exit_work() in kernel/entry/common.c), whatever the program does.
 *
 * Prints "ready", and ends when its standard input does.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static int load_empty(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);
	int id = libbpf_find_vmlinux_btf_id("sys_exit", BPF_TRACE_RAW_TP);

	if (id < 0)
		return id;
	opts.attach_btf_id = (__u32)id;
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "floor", "GPL", program,
			     sizeof(program) / sizeof(program[0]), &opts);
}

int main(void)
{
	int prog = load_empty();
	int link = prog < 0 ? prog : bpf_raw_tracepoint_open(NULL, prog);
	char c;

	if (link < 0) {
		fprintf(stderr, "floor: cannot attach to tp_btf/sys_exit: %s\n", strerror(-link));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
