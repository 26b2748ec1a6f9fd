// SPDX-License-Identifier: BSD-2-Clause
/*
 * write_hooks.c - which kernel functions see a write, tried instead of believed.
 *
 * Attaches a fexit program to every candidate this kernel has, then writes to a
 * file on each directory named on the command line, in every way there is, and
 * says which functions saw it and whether they show where it went. docs/kernels.md
 * is made of its output. What the observer rests on stands in the table of ways,
 * and the test fails when a kernel does not keep it.
 *
 * Usage: write_hooks [-v] DIR…   (as root)
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "uring.h"
#include "util/cleanup.h"
#include "write_hooks.h"

#include "tests/kernels/write_hooks.skel.h"

#define START 100 /* where every write goes */
#define LEN   50

/* What a system call's wrapper is called. */
#ifdef __aarch64__
#define SYS_FN "__arm64_sys_"
#else
#define SYS_FN "__x64_sys_"
#endif

static char output[1 << 20];
static char data[4096] __attribute__((aligned(4096)));

/*
 * Candidates
 */

static struct hook {
	const char *fn;
	enum hook_shape shape;
	unsigned file_arg, pos_arg;
	struct write_hooks_bpf *skel; /* NULL: not attached */
	int err;
} hooks[] = {
	/* clang-format off */
	/* fs/read_write.c */
	{ "vfs_write",			SHAPE_FILE, 0, 3 },
	{ "vfs_writev",			SHAPE_FILE, 0, 3 },
	{ "do_iter_write",		SHAPE_FILE, 0, 2 },
	{ "do_iter_readv_writev",	SHAPE_FILE, 0, 2 },
	{ "do_loop_readv_writev",	SHAPE_FILE, 0, 2 },
	{ "vfs_iter_write",		SHAPE_FILE, 0, 2 },
	{ "vfs_iocb_iter_write",	SHAPE_KIOCB, 1, 0 },
	{ "__kernel_write",		SHAPE_FILE, 0, 3 },
	{ "__kernel_write_iter",	SHAPE_FILE, 0, 2 },
	{ "ksys_write",			SHAPE_NONE },
	{ "ksys_pwrite64",		SHAPE_NONE },
	{ "do_writev",			SHAPE_NONE },
	{ "do_pwritev",			SHAPE_NONE },
	{ "do_sendfile",		SHAPE_NONE },
	{ "vfs_copy_file_range",	SHAPE_COPY, 2, 3 },
	{ "rw_verify_area",		SHAPE_FILE, 1, 2 },
	{ "generic_write_checks",	SHAPE_KIOCB, 0, 0 },
	/* fs/splice.c */
	{ "do_splice",			SHAPE_SPLICE, 2, 3 },
	{ "__do_splice",		SHAPE_NONE },
	{ "do_tee",			SHAPE_NONE },
	{ "__do_sys_tee",		SHAPE_NONE },
	{ SYS_FN "tee",		SHAPE_NONE },
	{ "__do_sys_vmsplice",		SHAPE_NONE },
	{ SYS_FN "vmsplice",		SHAPE_NONE },
	{ "iter_to_pipe",		SHAPE_NONE },
	{ "splice_to_socket",		SHAPE_FILE, 1, 2 },
	{ "do_splice_direct_actor",	SHAPE_NONE },
	{ "splice_direct_to_actor",	SHAPE_NONE },
	{ "do_splice_from",		SHAPE_FILE, 1, 2 },
	{ "do_splice_direct",		SHAPE_FILE, 2, 3 },
	{ "splice_file_range",		SHAPE_FILE, 2, 3 },
	{ "direct_splice_actor",	SHAPE_NONE },
	{ "iter_file_splice_write",	SHAPE_FILE, 1, 2 },
	{ "splice_to_pipe",		SHAPE_NONE },
	{ "splice_file_to_pipe",	SHAPE_NONE },
	{ "splice_pipe_to_pipe",	SHAPE_NONE },
	{ "link_pipe",			SHAPE_NONE },
	{ "vmsplice_to_pipe",		SHAPE_FILE, 0, 0 },
	{ "vfs_splice_read",		SHAPE_NONE },
	/* io_uring/ and fs/aio.c */
	{ "io_write",			SHAPE_IO_REQ, 0, 0 },
	{ "__io_write",			SHAPE_IO_REQ, 0, 0 },
	{ "io_write_fixed",		SHAPE_IO_REQ, 0, 0 },
	{ "io_splice",			SHAPE_NONE },
	{ "io_tee",			SHAPE_NONE },
	{ "kiocb_done",			SHAPE_IO_DONE, 0, 0 },
	{ "io_complete_rw",		SHAPE_KIOCB, 0, 0 },
	{ "io_rw_done",			SHAPE_NONE },
	{ "aio_write",			SHAPE_KIOCB, 0, 0 },
	{ "aio_complete_rw",		SHAPE_KIOCB, 0, 0 },
	/* filesystems */
	{ "generic_perform_write",	SHAPE_KIOCB, 0, 0 },
	{ "generic_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "__generic_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "shmem_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "ext4_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "ext4_buffered_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "iomap_dio_rw",		SHAPE_KIOCB, 0, 0 },
	{ "iomap_file_buffered_write",	SHAPE_KIOCB, 0, 0 },
	{ "xfs_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "btrfs_file_write_iter",	SHAPE_KIOCB, 0, 0 },
	{ "ovl_write_iter",		SHAPE_KIOCB, 0, 0 },
	{ "ovl_splice_write",		SHAPE_FILE, 1, 2 },
	{ "backing_file_write_iter",	SHAPE_FILE, 0, 0 },
	{ "backing_file_splice_write",	SHAPE_NONE },
	{ "file_update_time",		SHAPE_FILE, 0, 0 },
	{ "file_modified",		SHAPE_FILE, 0, 0 },
	{ "kiocb_modified",		SHAPE_KIOCB, 0, 0 },
	{ "file_modified_flags",	SHAPE_FILE, 0, 0 },
	{ "filemap_page_mkwrite",	SHAPE_NONE },
	{ "ext4_page_mkwrite",		SHAPE_NONE },
	{ "do_page_mkwrite",		SHAPE_NONE },
	/* what is no regular file */
	{ "pipe_write",			SHAPE_KIOCB, 0, 0 },
	{ "anon_pipe_write",		SHAPE_KIOCB, 0, 0 },
	{ "fifo_pipe_write",		SHAPE_KIOCB, 0, 0 },
	{ "tty_write",			SHAPE_KIOCB, 0, 0 },
	{ "file_tty_write",		SHAPE_FILE, 0, 0 },
	{ "sock_write_iter",		SHAPE_KIOCB, 0, 0 },
	{ "sock_sendmsg",		SHAPE_NONE },
	{ "__sock_sendmsg",		SHAPE_NONE },
	{ "unix_stream_sendmsg",	SHAPE_NONE },
	/* what else happens to a log file */
	{ "do_truncate",		SHAPE_NONE },
	{ "vfs_fallocate",		SHAPE_FILE, 0, 0 },
	{ "vfs_rename",			SHAPE_NONE },
	{ "vfs_unlink",			SHAPE_NONE },
	{ "filp_close",			SHAPE_FILE, 0, 0 },
	{ "__fput",			SHAPE_FILE, 0, 0 },
	{ "do_dentry_open",		SHAPE_FILE, 0, 0 },
	{ "vfs_open",			SHAPE_NONE },
	/* cheap marks */
	{ "fsnotify",			SHAPE_NONE },
	{ "__fsnotify_parent",		SHAPE_NONE },
	{ "security_file_permission",	SHAPE_FILE, 0, 0 },
	/* clang-format on */
};

static struct hook *find_hook(const char *fn)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (strcmp(hooks[i].fn, fn) == 0)
			return &hooks[i];
	return NULL;
}

static void attach_hook(struct hook *h)
{
	struct write_hooks_bpf *skel = write_hooks_bpf__open();

	if (!skel) {
		h->err = -errno;
		return;
	}
	skel->rodata->tgid = (__u32)getpid();
	skel->rodata->shape = h->shape;
	skel->rodata->file_arg = h->file_arg;
	skel->rodata->pos_arg = h->pos_arg;
	skel->rodata->user_data = (__u64)(uintptr_t)data;

	h->err = bpf_program__set_attach_target(skel->progs.on_exit, 0, h->fn);
	h->err = h->err ?: write_hooks_bpf__load(skel);
	h->err = h->err ?: write_hooks_bpf__attach(skel);
	if (h->err)
		write_hooks_bpf__destroy(skel);
	else
		h->skel = skel;
}

static void print_params(const struct btf *btf, const char *fn)
{
	int id = btf__find_by_name_kind(btf, fn, BTF_KIND_FUNC);
	const struct btf_type *t;
	const struct btf_param *p;

	if (id < 0) {
		printf("(not in vmlinux BTF)");
		return;
	}
	t = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type);
	p = btf_params(t);
	printf("(");
	for (int i = 0; i < btf_vlen(t); i++)
		printf("%s%s", i ? ", " : "", btf__name_by_offset(btf, p[i].name_off));
	printf(")");
}

static void attach_all(const struct btf *btf, bool verbose)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		attach_hook(&hooks[i]);
		if (!verbose)
			continue;
		printf("# fexit %s", hooks[i].fn);
		print_params(btf, hooks[i].fn);
		if (hooks[i].err)
			printf(": %s\n", strerror(-hooks[i].err));
		else
			printf(": attached\n");
	}
}

static void forget_hits(void)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (hooks[i].skel)
			memset(&hooks[i].skel->bss->hit, 0, sizeof(struct hit));
}

/*
 * Ways to write: LEN bytes at START of an open file, or into what has no position
 */

struct dest {
	int fd;
	const char *path; /* NULL: a pipe, terminal or socket */
};

static ssize_t way_write(const struct dest *d)
{
	return write(d->fd, data, LEN);
}

static ssize_t way_append(const struct dest *d)
{
	cleanup_close int fd = open(d->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	return write(fd, data, LEN);
}

static ssize_t way_proc_fd(const struct dest *d)
{
	char path[64];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", d->fd);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return write(fd, data, LEN);
}

static ssize_t way_pwrite(const struct dest *d)
{
	return pwrite(d->fd, data, LEN, START);
}

static const struct iovec two[] = { { data, 20 }, { data + 20, LEN - 20 } };

static ssize_t way_writev(const struct dest *d)
{
	return writev(d->fd, two, 2);
}

static ssize_t way_pwritev(const struct dest *d)
{
	return pwritev(d->fd, two, 2, START);
}

static ssize_t way_pwritev2(const struct dest *d)
{
	return pwritev2(d->fd, two, 2, -1, RWF_APPEND);
}

static int source_file(void)
{
	int fd = memfd_create("source", MFD_CLOEXEC);

	return write(fd, data, LEN) == LEN && lseek(fd, 0, SEEK_SET) == 0 ? fd : -1;
}

static ssize_t way_sendfile(const struct dest *d)
{
	cleanup_close int in = source_file();

	forget_hits();
	return sendfile(d->fd, in, NULL, LEN);
}

static ssize_t way_copy_file_range(const struct dest *d)
{
	char path[256];
	cleanup_close int in = -1;

	snprintf(path, sizeof(path), "%s.source", d->path);
	in = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (write(in, data, LEN) != LEN || lseek(in, 0, SEEK_SET) != 0)
		return -1;
	forget_hits();
	return copy_file_range(in, NULL, d->fd, NULL, LEN, 0);
}

static ssize_t way_splice(const struct dest *d)
{
	cleanup_close int in = -1, out = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	in = p[0];
	out = p[1];
	if (write(out, data, LEN) != LEN)
		return -1;
	forget_hits();
	return splice(in, NULL, d->fd, NULL, LEN, 0);
}

static ssize_t way_file_splice(const struct dest *d)
{
	cleanup_close int in = source_file();

	forget_hits();
	return splice(in, NULL, d->fd, NULL, LEN, 0);
}

static ssize_t way_tee(const struct dest *d)
{
	cleanup_close int in = -1, out = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	in = p[0];
	out = p[1];
	if (write(out, data, LEN) != LEN)
		return -1;
	forget_hits();
	return tee(in, d->fd, LEN, 0);
}

static ssize_t way_vmsplice(const struct dest *d)
{
	return vmsplice(d->fd, two, 2, 0);
}

static ssize_t way_direct(const struct dest *d)
{
	cleanup_close int fd = open(d->path, O_WRONLY | O_DIRECT | O_CLOEXEC);

	return fd < 0 ? -1 : pwrite(fd, data, sizeof(data), 0);
}

static ssize_t way_mmap(const struct dest *d)
{
	char *p;

	if (ftruncate(d->fd, START + LEN) < 0)
		return -1;
	p = mmap(NULL, START + LEN, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	if (p == MAP_FAILED)
		return -1;
	memcpy(p + START, data, LEN);
	munmap(p, START + LEN);
	return LEN;
}

static ssize_t way_sendmsg(const struct dest *d)
{
	return send(d->fd, data, LEN, 0);
}

static ssize_t do_aio(const struct dest *d, int opcode, const void *buf, size_t n)
{
	struct iocb cb = {
		.aio_lio_opcode = (__u16)opcode,
		.aio_fildes = (__u32)d->fd,
		.aio_buf = (__u64)(uintptr_t)buf,
		.aio_nbytes = n,
		.aio_offset = START,
	}, *cbs[] = { &cb };
	struct io_event ev = {};
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 4, &ctx) < 0)
		return -1;
	if (syscall(SYS_io_submit, ctx, 1, cbs) == 1)
		syscall(SYS_io_getevents, ctx, 1, 1, &ev, NULL);
	syscall(SYS_io_destroy, ctx);
	return (ssize_t)ev.res;
}

static ssize_t way_aio(const struct dest *d)
{
	return do_aio(d, IOCB_CMD_PWRITE, data, LEN);
}

static ssize_t way_aio_v(const struct dest *d)
{
	return do_aio(d, IOCB_CMD_PWRITEV, two, 2);
}

static ssize_t do_ring(const struct dest *d, unsigned setup, struct io_uring_sqe sqe)
{
	static const struct iovec fixed = { data, sizeof(data) };
	struct ring r;
	int res;

	if (ring_open(&r, setup) < 0)
		return -1;
	ring_register(&r, &fixed);
	sqe.fd = d->fd;
	if (!sqe.off)
		sqe.off = d->path ? START : (__u64)-1;
	res = ring_do(&r, &sqe);
	close(r.fd);
	return res;
}

static struct io_uring_sqe sqe_of(int opcode, const void *p, unsigned len)
{
	return (struct io_uring_sqe){ .opcode = (__u8)opcode,
				      .addr = (__u64)(uintptr_t)p,
				      .len = len };
}

static ssize_t way_ring_write(const struct dest *d)
{
	return do_ring(d, 0, sqe_of(IORING_OP_WRITE, data, LEN));
}

static ssize_t way_ring_writev(const struct dest *d)
{
	return do_ring(d, 0, sqe_of(IORING_OP_WRITEV, two, 2));
}

static ssize_t way_ring_fixed(const struct dest *d)
{
	return do_ring(d, 0, sqe_of(IORING_OP_WRITE_FIXED, data, LEN));
}

static ssize_t way_ring_async(const struct dest *d)
{
	struct io_uring_sqe sqe = sqe_of(IORING_OP_WRITE, data, LEN);

	sqe.flags = IOSQE_ASYNC;
	return do_ring(d, 0, sqe);
}

/* At the file's own position, as a logger would. */
static ssize_t way_ring_at_pos(const struct dest *d)
{
	struct io_uring_sqe sqe = sqe_of(IORING_OP_WRITE, data, LEN);

	sqe.off = (__u64)-1;
	return do_ring(d, 0, sqe);
}

static ssize_t way_ring_sqpoll(const struct dest *d)
{
	return do_ring(d, IORING_SETUP_SQPOLL, sqe_of(IORING_OP_WRITE, data, LEN));
}

static ssize_t way_ring_splice(const struct dest *d)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_SPLICE, .len = LEN };
	cleanup_close int in = -1, out = -1;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -1;
	in = p[0];
	out = p[1];
	if (write(out, data, LEN) != LEN)
		return -1;
	sqe.splice_fd_in = in;
	sqe.splice_off_in = (__u64)-1;
	forget_hits();
	return do_ring(d, 0, sqe);
}

/* Finished later, by whatever task or interrupt comes first. */
static ssize_t way_ring_direct(const struct dest *d)
{
	cleanup_close int fd = open(d->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	const struct dest direct = { fd, d->path };
	struct io_uring_sqe sqe = sqe_of(IORING_OP_WRITE, data, sizeof(data));

	sqe.off = sizeof(data);
	return fd < 0 ? -1 : do_ring(&direct, 0, sqe);
}

/* No bytes are written from here on: nothing to say about a position. */
static ssize_t way_ftruncate(const struct dest *d)
{
	return ftruncate(d->fd, 10);
}

static ssize_t way_open_trunc(const struct dest *d)
{
	cleanup_close int fd = open(d->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -1 : 0;
}

static ssize_t way_fallocate(const struct dest *d)
{
	return fallocate(d->fd, 0, 0, 10 * START);
}

static ssize_t way_rename(const struct dest *d)
{
	char to[256];

	snprintf(to, sizeof(to), "%s.1", d->path);
	return rename(d->path, to) < 0 ? -1 : unlink(to);
}

enum { REG = 1, PIPE = 2, TTY = 4, SOCK = 8, NOPOS = PIPE | TTY | SOCK };

static const struct way {
	const char *name;
	ssize_t (*run)(const struct dest *d);
	int kinds;
	const char *seen_by;  /* this must show it; in files with the right end position */
	const char *nopos_by; /* ... and this in pipes and terminals, where it is another */
} ways[] = {
	/* clang-format off */
	{ "write",		way_write,		REG | NOPOS, "vfs_write" },
	{ "write O_APPEND",	way_append,		REG, "vfs_write" },
	{ "write /proc/self/fd", way_proc_fd,		REG, "vfs_write" },
	{ "pwrite64",		way_pwrite,		REG, "vfs_write" },
	{ "writev",		way_writev,		REG | NOPOS, "vfs_writev" },
	{ "pwritev",		way_pwritev,		REG, "vfs_writev" },
	{ "pwritev2 RWF_APPEND", way_pwritev2,		REG, "vfs_writev" },
	{ "write O_DIRECT",	way_direct,		REG, "vfs_write" },
	{ "sendfile",		way_sendfile,		REG | NOPOS, "do_splice_direct", "do_sendfile" },
	{ "copy_file_range",	way_copy_file_range,	REG, "vfs_copy_file_range" },
	{ "splice from pipe",	way_splice,		REG | NOPOS, "do_splice" },
	{ "splice from file",	way_file_splice,	PIPE, "do_splice" },
	{ "tee",		way_tee,		PIPE, "do_tee" },
	{ "vmsplice",		way_vmsplice,		PIPE, SYS_FN "vmsplice" },
	{ "send",		way_sendmsg,		SOCK, "unix_stream_sendmsg" },
	{ "aio PWRITE",		way_aio,		REG | NOPOS, "aio_write" },
	{ "aio PWRITEV",	way_aio_v,		REG, "aio_write" },
	{ "io_uring WRITE",	way_ring_write,		REG | NOPOS, "kiocb_done" },
	{ "io_uring WRITEV",	way_ring_writev,	REG, "kiocb_done" },
	{ "io_uring WRITE_FIXED", way_ring_fixed,	REG, "kiocb_done" },
	{ "io_uring WRITE off -1", way_ring_at_pos,	REG, "kiocb_done" },
	{ "io_uring WRITE async", way_ring_async,	REG | NOPOS, "kiocb_done" },
	{ "io_uring WRITE sqpoll", way_ring_sqpoll,	REG | NOPOS, "kiocb_done" },
	{ "io_uring SPLICE",	way_ring_splice,	REG | NOPOS, "do_splice" },
	{ "io_uring WRITE O_DIRECT", way_ring_direct,	REG },
	{ "mmap",		way_mmap,		REG },
	{ "ftruncate",		way_ftruncate,		REG, "do_truncate" },
	{ "open O_TRUNC",	way_open_trunc,		REG, "do_truncate" },
	{ "fallocate",		way_fallocate,		REG, "vfs_fallocate" },
	{ "rename, unlink",	way_rename,		REG, "vfs_rename" },
	/* clang-format on */
};

static const char *position(__s64 pos, __s64 end)
{
	static char text[32];

	if (pos == end)
		return "end";
	if (pos == START || pos == 0)
		return pos ? "start" : "0";
	snprintf(text, sizeof(text), pos == -1 ? "-" : "%lld", (long long)pos);
	return text;
}

static void print_hits(__s64 end)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		const struct hit *hit = hooks[i].skel ? &hooks[i].skel->bss->hit : NULL;

		if (!hit || !hit->n)
			continue;
		printf(" %s", hooks[i].fn);
		if (hit->n > 1)
			printf("x%llu", (unsigned long long)hit->n);
		printf("[%lld", (long long)hit->ret);
		if (hooks[i].shape)
			printf(",%s", position(hit->pos, end));
		if (hooks[i].shape)
			printf(",f_pos %s", position(hit->f_pos, end));
		printf("]");
	}
	printf("\n");
}

static int failures, tests;
static struct hit outer; /* what vfs_write saw: the file that the process has open */

static bool shows(const struct hook *h, ssize_t n, __s64 end)
{
	const struct hit *hit = h && h->skel ? &h->skel->bss->hit : NULL;

	if (!hit || !hit->n || hit->byte != (__u64)data[0])
		return false;
	if (h->shape == SHAPE_NONE || end < 0 || n == 0)
		return true;
	return hit->pos == end && hit->ino == outer.ino && hit->dev == outer.dev &&
	       (hit->ret == n || hit->ret == 0);
}

static void judge(const char *where, const struct way *w, ssize_t n, __s64 end, bool verbose)
{
	const char *fn = end < 0 && w->nopos_by ? w->nopos_by : w->seen_by;
	bool ok = !fn || n < 0 || shows(find_hook(fn), n, end);

	tests++;
	failures += !ok;
	printf("%s %d - %s: %s", ok ? "ok" : "not ok", tests, where, w->name);
	if (n < 0)
		printf(" # SKIP not here");
	else if (fn)
		printf(" is seen by %s", fn);
	printf("\n");
	if (!verbose && ok)
		return;
	printf("#   returned %zd:", n);
	print_hits(end);
}

static int open_file(const char *dir, char *path, size_t size)
{
	cleanup_close int fd = -1;

	snprintf(path, size, "%s/write_hooks.log", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, START) != START)
		return -errno;
	return TAKE_FD(fd);
}

static __s64 end_of(const struct way *w)
{
	if (w->run == way_ring_direct)
		return 2 * sizeof(data);
	return w->run == way_direct ? (__s64)sizeof(data) : START + LEN;
}

static void try_file(const char *dir, const struct way *w, bool verbose)
{
	char path[256];
	cleanup_close int fd = open_file(dir, path, sizeof(path));
	const struct dest d = { fd, path };
	ssize_t n;

	outer = find_hook("vfs_write")->skel->bss->hit;
	forget_hits();
	n = w->run(&d);
	judge(dir, w, n, end_of(w), verbose);
}

/* Is the file known to stat by the number that the kernel's inode has? */
static void print_identity(const char *dir)
{
	char path[256];
	cleanup_close int fd = open_file(dir, path, sizeof(path));
	const struct hit *hit = &find_hook("vfs_write")->skel->bss->hit;
	struct stat st;

	if (fstat(fd, &st) == 0)
		printf("# %s: stat says inode %llu on %u:%u, struct inode %llu on %u:%u\n", dir,
		       (unsigned long long)st.st_ino, major(st.st_dev), minor(st.st_dev),
		       (unsigned long long)hit->ino, (unsigned)(hit->dev >> 20),
		       (unsigned)(hit->dev & 0xfffff));
}

static int open_pipe(int fds[2])
{
	return pipe2(fds, O_CLOEXEC);
}

static int open_tty(int fds[2])
{
	return openpty(&fds[0], &fds[1], NULL, NULL, NULL);
}

static int open_sock(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static const struct {
	const char *name;
	int kind;
	int (*open)(int fds[2]);
} kinds[] = {
	{ "pipe", PIPE, open_pipe },
	{ "tty", TTY, open_tty },
	{ "socket", SOCK, open_sock },
};

static void try_console(size_t kind, const struct way *w, bool verbose)
{
	cleanup_close int in = -1, out = -1;
	struct dest d = {};
	int fds[2];
	ssize_t n;

	if (kinds[kind].open(fds) < 0)
		return;
	in = fds[0];
	out = fds[1];
	d.fd = out;
	forget_hits();
	n = w->run(&d);
	judge(kinds[kind].name, w, n, -2, verbose);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static void try_all(char **dirs, bool verbose)
{
	for (; *dirs; dirs++) {
		print_identity(*dirs);
		for (size_t w = 0; w < ARRAY_LEN(ways); w++)
			if (ways[w].kinds & REG)
				try_file(*dirs, &ways[w], verbose);
	}
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t w = 0; w < ARRAY_LEN(ways); w++)
			if (ways[w].kinds & kinds[k].kind)
				try_console(k, &ways[w], verbose);
}

int main(int argc, char **argv)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;

	if (!btf) {
		printf("1..0 # SKIP this kernel has no BTF\n");
		return 77;
	}
	setvbuf(stdout, output, _IOFBF, sizeof(output)); /* no writes of ours in between */
	libbpf_set_print(quiet);
	memset(data, 'x', sizeof(data));
	attach_all(btf, verbose);
	if (!find_hook("vfs_write")->skel) {
		printf("1..0 # SKIP this kernel refuses fexit: %s\n",
		       strerror(-find_hook("vfs_write")->err));
		return 77;
	}
	try_all(argv + 1 + verbose, verbose);
	printf("1..%d\n", tests);
	return failures ? 1 : 0;
}
