// SPDX-License-Identifier: BSD-2-Clause
/*
 * floor_record.c - the least that handing over a record at each write costs.
 *
 *   floor_record PID [BYTES]
 *
 * A program at tp_btf/sys_exit which, for the calls of that process, takes the room that the record
 * of a line has in a ring buffer, and hands it over: as it is, or with the time and BYTES of the
 * caller's buffer (its second argument). Nothing is looked at, nothing decided.
 *
 * Prints "ready", and ends when its standard input does.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <asm/ptrace.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "obs/wire.h"
#include "util/cleanup.h"

#define LINE_ROOM  168 /* as in bpf/capture.bpf.h */
#define RING_BYTES (2 * 1024 * 1024)
#define DRAIN_MS   1

#define R(n) BPF_REG_##n
#define INSN(op, to, from, jump, number)                                                         \
	{                                                                                        \
		.code = (op), .dst_reg = (to), .src_reg = (from), .off = (jump), .imm = (number) \
	}
#define SET(to, number)		  INSN(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number)
#define COPY(to, from)		  INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SHIFT_RIGHT(to, number)	  INSN(BPF_ALU64 | BPF_RSH | BPF_K, to, 0, 0, number)
#define UNLESS(reg, number, jump) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, jump, number)
#define IF(reg, number, jump)	  INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, jump, number)
#define CALL(helper)		  INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define LEAVE			  INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LOAD(to, from, at)	  INSN(BPF_LDX | BPF_MEM | BPF_DW, to, from, at, 0)
#define STORE(to, from, at)	  INSN(BPF_STX | BPF_MEM | BPF_DW, to, from, at, 0)
#define ADD(to, number)		  INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, number)
#define SET_MAP(to, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)

/* Where struct pt_regs has the second argument of a system call. */
#ifdef __x86_64__
#define ARG1_AT offsetof(struct pt_regs, rsi)
#else
#define ARG1_AT offsetof(struct user_pt_regs, regs[1])
#endif

static int load_program(int ring, int pid, int bytes)
{
	const struct bpf_insn program[] = {
		COPY(R(6), R(1)),
		CALL(BPF_FUNC_get_current_pid_tgid),
		SHIFT_RIGHT(R(0), 32),
		UNLESS(R(0), pid, 20),
		SET_MAP(R(1), ring),
		SET(R(2), sizeof(struct obs_rec_write) + LINE_ROOM),
		SET(R(3), 0),
		CALL(BPF_FUNC_ringbuf_reserve),
		IF(R(0), 0, 14),
		COPY(R(7), R(0)),
		SET(R(8), bytes),
		IF(R(8), 0, 8),
		CALL(BPF_FUNC_ktime_get_boot_ns),
		STORE(R(7), R(0), offsetof(struct obs_rec_hdr, ts_ns)),
		LOAD(R(3), R(6), 0),
		LOAD(R(3), R(3), ARG1_AT),
		COPY(R(1), R(7)),
		ADD(R(1), sizeof(struct obs_rec_write)),
		SET(R(2), bytes),
		CALL(BPF_FUNC_probe_read_user),
		COPY(R(1), R(7)),
		SET(R(2), BPF_RB_NO_WAKEUP),
		CALL(BPF_FUNC_ringbuf_submit),
		SET(R(0), 0),
		LEAVE,
	};

	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_RAW_TP);
	int id = libbpf_find_vmlinux_btf_id("sys_exit", BPF_TRACE_RAW_TP);

	if (id < 0)
		return id;
	opts.attach_btf_id = (__u32)id;
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, "floor", "GPL", program, ARRAY_LEN(program),
			     &opts);
}

static int ignore(void *ctx, void *data, size_t len)
{
	(void)ctx, (void)data, (void)len;
	return 0;
}

/* Until standard input ends the ring is kept empty. */
static void drain(struct ring_buffer *ring)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	do
		ring_buffer__consume(ring);
	while (poll(&in, 1, DRAIN_MS) == 0 || read(STDIN_FILENO, &c, 1) > 0);
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "floor_record: %s: %s\n", what, strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring;
	int bytes = argc > 2 ? atoi(argv[2]) : 0;
	int map, prog, link;

	if (argc < 2 || bytes < 0 || bytes > LINE_ROOM) {
		fprintf(stderr, "usage: floor_record PID [BYTES, at most %d]\n", LINE_ROOM);
		return 2;
	}
	map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "floor", 0, 0, RING_BYTES, NULL);
	ring = map < 0 ? NULL : ring_buffer__new(map, ignore, NULL, NULL);
	if (!ring)
		return fail("cannot make a ring buffer", map < 0 ? map : -ENOMEM);
	prog = load_program(map, atoi(argv[1]), bytes);
	link = prog < 0 ? prog : bpf_raw_tracepoint_open(NULL, prog);
	if (link < 0)
		return fail("cannot attach to tp_btf/sys_exit", link);
	puts("ready");
	fflush(stdout);
	drain(ring);
	ring_buffer__free(ring);
	return 0;
}
