// SPDX-License-Identifier: BSD-2-Clause
/* calls.c - every system call that writes, one way each. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "ways.h"

static int complete(ssize_t n, size_t want)
{
	if (n >= 0 && (size_t)n != want)
		errno = EIO;
	return n == (ssize_t)want ? 0 : -1;
}

static int by_write(const struct job *j)
{
	return write_all(j->fd, j->text, ALL_BYTES, LINE_BYTES * 3);
}

static int by_bytes(const struct job *j)
{
	return write_all(j->fd, j->text, BLOCK_BYTES / 4, 1);
}

/* Longer than what one capture takes. */
static int by_long_write(const struct job *j)
{
	return complete(write(j->fd, j->text, ALL_BYTES), ALL_BYTES);
}

static int by_pwrite(const struct job *j)
{
	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES)
		if (complete(pwrite(j->fd, j->text + at, BLOCK_BYTES, (off_t)at), BLOCK_BYTES) < 0)
			return -1;
	return 0;
}

/* One block in three parts that end in the middle of lines. */
static void three_parts(const char *p, struct iovec *iov)
{
	iov[0] = (struct iovec){ (char *)p, 100 };
	iov[1] = (struct iovec){ (char *)p + 100, 1000 };
	iov[2] = (struct iovec){ (char *)p + 1100, BLOCK_BYTES - 1100 };
}

static int by_writev(const struct job *j)
{
	struct iovec iov[3];

	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		three_parts(j->text + at, iov);
		if (complete(writev(j->fd, iov, 3), BLOCK_BYTES) < 0)
			return -1;
	}
	return 0;
}

/* More segments than one capture walks. */
static int by_many_segments(const struct job *j)
{
	struct iovec iov[ALL_BYTES / LINE_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(iov); i++)
		iov[i] = (struct iovec){ (char *)j->text + i * LINE_BYTES, LINE_BYTES };
	return complete(writev(j->fd, iov, ARRAY_LEN(iov)), ALL_BYTES);
}

static int by_pwritev(const struct job *j)
{
	struct iovec iov[3];

	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		three_parts(j->text + at, iov);
		if (complete(pwritev(j->fd, iov, 3, (off_t)at), BLOCK_BYTES) < 0)
			return -1;
	}
	return 0;
}

static int by_pwritev2(const struct job *j)
{
	struct iovec iov[3];

	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		off_t where = at == BLOCK_BYTES ? (off_t)at : -1;

		three_parts(j->text + at, iov);
		if (at == 2 * BLOCK_BYTES)
			lseek(j->fd, 0, SEEK_END); /* the one before did not move it */
		if (complete(pwritev2(j->fd, iov, 3, where, 0), BLOCK_BYTES) < 0)
			return -1;
	}
	return 0;
}

static int source(const struct job *j)
{
	char path[PATH_BYTES + 8];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "%s.src", j->path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, j->text, ALL_BYTES, ALL_BYTES) < 0 || lseek(fd, 0, SEEK_SET))
		return -1;
	unlink(path);
	return TAKE_FD(fd);
}

static int by_sendfile(const struct job *j)
{
	cleanup_close int in = source(j);

	for (int i = 0; i < BLOCKS; i++)
		if (complete(sendfile(j->fd, in, NULL, BLOCK_BYTES), BLOCK_BYTES) < 0)
			return -1;
	return 0;
}

static int by_copy_file_range(const struct job *j)
{
	cleanup_close int in = source(j);

	for (int i = 0; i < BLOCKS; i++)
		if (complete(copy_file_range(in, NULL, j->fd, NULL, BLOCK_BYTES, 0), BLOCK_BYTES) <
		    0)
			return -1;
	return 0;
}

static int fill_by_write(int pipe_fd, const char *p)
{
	return complete(write(pipe_fd, p, BLOCK_BYTES), BLOCK_BYTES);
}

static int fill_by_vmsplice(int pipe_fd, const char *p)
{
	struct iovec iov[3];

	three_parts(p, iov);
	return complete(vmsplice(pipe_fd, iov, 3, 0), BLOCK_BYTES);
}

static int fill_by_tee(int pipe_fd, const char *p)
{
	cleanup_close int in = -1, out = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	in = fds[0];
	out = fds[1];
	if (fill_by_write(out, p) < 0)
		return -1;
	return complete(tee(in, pipe_fd, BLOCK_BYTES, 0), BLOCK_BYTES);
}

/* Block by block: into a pipe by @fill, out of it into the file by splice. */
static int through_pipe(const struct job *j, int (*fill)(int pipe_fd, const char *p))
{
	cleanup_close int in = -1, out = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	in = fds[0];
	out = fds[1];
	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		size_t left = BLOCK_BYTES;

		if (fill(out, j->text + at) < 0)
			return -1;
		while (left > 0) {
			ssize_t n = splice(in, NULL, j->fd, NULL, left, 0);

			if (n <= 0)
				return -1;
			left -= (size_t)n;
		}
	}
	return 0;
}

static int by_splice(const struct job *j)
{
	return through_pipe(j, fill_by_write);
}

static int by_vmsplice(const struct job *j)
{
	return through_pipe(j, fill_by_vmsplice);
}

static int by_tee(const struct job *j)
{
	return through_pipe(j, fill_by_tee);
}

static int open_again(const struct job *j, int flags)
{
	return open(j->path, O_WRONLY | O_CLOEXEC | flags);
}

static int by_append(const struct job *j)
{
	cleanup_close int fd = open_again(j, O_APPEND);

	return fd < 0 ? -1 : write_all(fd, j->text, ALL_BYTES, LINE_BYTES);
}

/* With O_APPEND the offset of pwrite means nothing: pwrite(2), BUGS. */
static int by_append_pwrite(const struct job *j)
{
	cleanup_close int fd = open_again(j, O_APPEND);

	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES)
		if (complete(pwrite(fd, j->text + at, BLOCK_BYTES, 17), BLOCK_BYTES) < 0)
			return -1;
	return 0;
}

static int by_direct(const struct job *j)
{
	cleanup_close int fd = open_again(j, O_DIRECT);

	return fd < 0 ? -1 : write_all(fd, j->text, ALL_BYTES, BLOCK_BYTES);
}

static int by_proc_fd(const struct job *j)
{
	char path[64];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", j->fd);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return fd < 0 ? -1 : write_all(fd, j->text, ALL_BYTES, BLOCK_BYTES);
}

static int by_stdout(const struct job *j)
{
	cleanup_close int fd = -1;

	if (dup2(j->fd, 1) < 0)
		return -1;
	fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || write_all(1, j->text, BLOCK_BYTES, LINE_BYTES) < 0)
		return -1;
	return write_all(fd, j->text + BLOCK_BYTES, ALL_BYTES - BLOCK_BYTES, BLOCK_BYTES);
}

/* All blocks in one io_submit(2), and their results. */
static int aio(const struct job *j, int fd, bool vectors)
{
	struct iocb cb[BLOCKS] = {}, *list[BLOCKS];
	struct io_event ev[BLOCKS] = {};
	struct iovec iov[BLOCKS][3];
	aio_context_t ctx = 0;
	int ret = 0;

	if (syscall(SYS_io_setup, BLOCKS, &ctx) < 0)
		return -1;
	for (int i = 0; i < BLOCKS; i++) {
		three_parts(j->text + i * BLOCK_BYTES, iov[i]);
		cb[i].aio_lio_opcode = vectors ? IOCB_CMD_PWRITEV : IOCB_CMD_PWRITE;
		cb[i].aio_fildes = (__u32)fd;
		cb[i].aio_buf =
			(__u64)(uintptr_t)(vectors ? (void *)iov[i] : j->text + i * BLOCK_BYTES);
		cb[i].aio_nbytes = vectors ? 3 : BLOCK_BYTES;
		cb[i].aio_offset = i * BLOCK_BYTES;
		list[i] = &cb[i];
	}
	if (syscall(SYS_io_submit, ctx, BLOCKS, list) != BLOCKS ||
	    syscall(SYS_io_getevents, ctx, BLOCKS, BLOCKS, ev, NULL) != BLOCKS)
		ret = -1;
	for (int i = 0; i < BLOCKS && ret == 0; i++) {
		if (ev[i].res < 0)
			errno = (int)-ev[i].res;
		ret = complete(ev[i].res < 0 ? -1 : (ssize_t)ev[i].res, BLOCK_BYTES);
	}
	syscall(SYS_io_destroy, ctx);
	return ret;
}

static int by_aio(const struct job *j)
{
	return aio(j, j->fd, false);
}

static int by_aio_vectors(const struct job *j)
{
	return aio(j, j->fd, true);
}

static int by_aio_direct(const struct job *j)
{
	cleanup_close int fd = open_again(j, O_DIRECT);

	return fd < 0 ? -1 : aio(j, fd, false);
}

/* To a pipe on descriptor 1, where nothing keeps what is not captured. */

static int console_blocks(const struct job *j, int (*fill)(int pipe_fd, const char *p))
{
	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES)
		if (fill(j->fd, j->text + at) < 0)
			return -1;
	return 0;
}

/* Each line in four writes. */
static int console_pieces(const struct job *j)
{
	return write_all(j->fd, j->text, ALL_BYTES, LINE_BYTES / 4);
}

static int console_vmsplice(const struct job *j)
{
	return console_blocks(j, fill_by_vmsplice);
}

static int console_tee(const struct job *j)
{
	return console_blocks(j, fill_by_tee);
}

#define PLENTY_BYTES (256 * 1024)

/* The pipe holds so much of the write, which waits; that part of the buffer is not needed again. */
static void *unmap_when_full(void *buffer)
{
	int room = fcntl(1, F_GETPIPE_SZ), queued = 0;

	while (ioctl(1, FIONREAD, &queued) == 0 && queued < room)
		usleep(1000);
	munmap(buffer, (size_t)room);
	dprintf(2, "unmapped\n");
	return NULL;
}

/* One write, of whose buffer the beginning is not mapped any more when it returns. Whoever reads
 * begins when he is told. */
static int console_unmapped(const struct job *j)
{
	char *p = mmap(NULL, PLENTY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	pthread_t id;
	int ret;

	if (p == MAP_FAILED)
		return -1;
	memset(p, '.', PLENTY_BYTES);
	for (size_t at = 0; at < PLENTY_BYTES; at += LINE_BYTES) {
		int n = snprintf(p + at, LINE_BYTES, "%s %05zu", j->name, at / LINE_BYTES);

		p[at + (size_t)n] = '.';
		p[at + LINE_BYTES - 1] = '\n';
	}
	if (pthread_create(&id, NULL, unmap_when_full, p) != 0)
		return -1;
	ret = complete(write(1, p, PLENTY_BYTES), PLENTY_BYTES);
	pthread_join(id, NULL);
	return ret;
}

const struct way consoles[] = {
	{ "c-write", by_long_write, CAUGHT },
	{ "c-writev", by_writev, CAUGHT },
	{ "c-pieces", console_pieces, CAUGHT },
	{ "c-vmsplice", console_vmsplice, CAUGHT },
	/* nothing captures these, or not all of them */
	{ "c-tee", console_tee, FOUND },
	{ "c-splice", by_splice, FOUND },
	{ "c-sendfile", by_sendfile, FOUND },
	{ "c-aio", by_aio, FOUND },
	{ "c-ring-write", by_ring_write, FOUND },
	{ "c-ringsplice", by_ring_splice, FOUND },
	{ "c-unmapped", console_unmapped, FOUND },
	{},
};

const struct way calls[] = {
	{ "write", by_write, CAUGHT },
	{ "write-bytes", by_bytes, CAUGHT },
	{ "write-long", by_long_write, CAUGHT },
	{ "pwrite64", by_pwrite, CAUGHT },
	{ "writev", by_writev, CAUGHT },
	{ "writev-many", by_many_segments, CAUGHT },
	{ "pwritev", by_pwritev, CAUGHT },
	{ "pwritev2", by_pwritev2, CAUGHT },
	{ "sendfile", by_sendfile, TOLD },
	{ "copy_file_range", by_copy_file_range, TOLD },
	{ "splice", by_splice, TOLD },
	{ "vmsplice", by_vmsplice, TOLD },
	{ "tee", by_tee, TOLD },
	{ "append", by_append, CAUGHT },
	{ "append-pwrite", by_append_pwrite, TOLD },
	{ "direct", by_direct, CAUGHT },
	{ "proc-fd", by_proc_fd, CAUGHT },
	{ "stdout", by_stdout, TOLD },
	{ "aio", by_aio, TOLD },
	{ "aio-vectors", by_aio_vectors, TOLD },
	{ "aio-direct", by_aio_direct, TOLD },
	{},
};
