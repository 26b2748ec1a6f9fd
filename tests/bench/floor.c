// SPDX-License-Identifier: BSD-2-Clause
/*
 * floor.c - the least that any observer on the same hooks costs: empty programs there.
 *
 *   floor           tp_btf/sys_exit: every system call of the host takes the kernel's slow way
 *                   out (syscall_exit_work() in kernel/entry/common.c), whatever the program does
 *   floor CGROUP    what a connection passes too: tp_btf/inet_sock_set_state, and on that cgroup
 *                   (its directory) cgroup_skb both ways and cgroup/sock_create
 *
 * Prints "ready", and ends when its standard input does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "util/cleanup.h"

static int load_empty(enum bpf_prog_type type, enum bpf_attach_type attach, int btf_id)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach,
		    .attach_btf_id = (__u32)btf_id);

	return bpf_prog_load(type, "floor", "GPL", program, ARRAY_LEN(program), &opts);
}

static int on_tracepoint(const char *name)
{
	int id = libbpf_find_vmlinux_btf_id(name, BPF_TRACE_RAW_TP);
	int prog = id < 0 ? id : load_empty(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, id);

	return prog < 0 ? prog : bpf_raw_tracepoint_open(NULL, prog);
}

static int on_cgroup(const char *path, enum bpf_prog_type type, enum bpf_attach_type attach)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int prog = fd < 0 ? -errno : load_empty(type, attach, 0);

	return prog < 0 ? prog : bpf_link_create(prog, fd, attach, NULL);
}

static int attach(const char *cgroup)
{
	static const struct {
		enum bpf_prog_type type;
		enum bpf_attach_type attach;
	} hooks[] = { { BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS },
		      { BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS },
		      { BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE } };
	int r = on_tracepoint("sys_exit");

	if (cgroup && r >= 0)
		r = on_tracepoint("inet_sock_set_state");
	for (size_t i = 0; i < ARRAY_LEN(hooks) && cgroup && r >= 0; i++)
		r = on_cgroup(cgroup, hooks[i].type, hooks[i].attach);
	return r; /* descriptors end with the process */
}

int main(int argc, char **argv)
{
	int r = attach(argc > 1 ? argv[1] : NULL);
	char c;

	if (r < 0) {
		fprintf(stderr, "floor: cannot attach: %s\n", strerror(-r));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
