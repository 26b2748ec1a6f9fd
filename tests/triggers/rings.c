// SPDX-License-Identifier: BSD-2-Clause
/* rings.c - io_uring, by raw system calls: one way per kind of request and of ring. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uring.h"
#include "util/cleanup.h"
#include "ways.h"

/* Nobody says when it is done. */
static int await_size(int fd, size_t size)
{
	struct stat st;

	for (int ms = 0; ms < 10000; ms++) {
		if (fstat(fd, &st) < 0)
			return -errno;
		if ((size_t)st.st_size >= size)
			return BLOCK_BYTES;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

static void fill(struct io_uring_sqe *sqe, const struct job *j, int i, struct iovec *iov)
{
	const char *p = j->text + (size_t)i * BLOCK_BYTES;

	sqe->off = (__u64)i * BLOCK_BYTES;
	if (sqe->opcode == IORING_OP_SPLICE) {
		if (lseek(j->fd, 0, SEEK_CUR) < 0)
			sqe->off = (__u64)-1; /* a pipe wants none */
		return;
	}
	if (sqe->opcode == IORING_OP_WRITEV) {
		iov[0] = (struct iovec){ (char *)p, 1000 };
		iov[1] = (struct iovec){ (char *)p + 1000, BLOCK_BYTES - 1000 };
		sqe->addr = (__u64)(uintptr_t)iov;
		sqe->len = 2;
		return;
	}
	sqe->addr = (__u64)(uintptr_t)p;
	sqe->len = BLOCK_BYTES;
}

/* All blocks, one request each, on a ring of its own. */
static int by_ring(const struct job *j, unsigned setup, struct io_uring_sqe sqe)
{
	const struct iovec fixed = { (char *)j->text, ALL_BYTES };
	struct iovec iov[2];
	struct ring r;
	int res = 0;

	if (ring_open(&r, setup) < 0)
		return -1;
	ring_register(&r, &fixed);
	if (!sqe.fd)
		sqe.fd = j->fd;
	for (int i = 0; i < BLOCKS && res >= 0; i++) {
		fill(&sqe, j, i, iov);
		res = ring_do(&r, &sqe);
		if (res >= 0 && (sqe.flags & IOSQE_CQE_SKIP_SUCCESS))
			res = await_size(j->fd, (size_t)(i + 1) * BLOCK_BYTES);
		if (res >= 0 && res != BLOCK_BYTES)
			res = -EIO;
	}
	close(r.fd);
	errno = res < 0 ? -res : 0;
	return res < 0 ? -1 : 0;
}

static int by_op(const struct job *j, unsigned setup, int opcode, unsigned flags)
{
	return by_ring(j, setup,
		       (struct io_uring_sqe){ .opcode = (__u8)opcode, .flags = (__u8)flags });
}

int by_ring_write(const struct job *j)
{
	return by_op(j, 0, IORING_OP_WRITE, 0);
}

static int by_writev(const struct job *j)
{
	return by_op(j, 0, IORING_OP_WRITEV, 0);
}

static int by_fixed(const struct job *j)
{
	return by_op(j, 0, IORING_OP_WRITE_FIXED, 0);
}

static int by_worker(const struct job *j)
{
	return by_op(j, 0, IORING_OP_WRITE, IOSQE_ASYNC);
}

static int by_sqpoll(const struct job *j)
{
	return by_op(j, IORING_SETUP_SQPOLL, IORING_OP_WRITE, 0);
}

static int without_result(const struct job *j)
{
	return by_op(j, 0, IORING_OP_WRITE, IOSQE_CQE_SKIP_SUCCESS);
}

static int by_direct(const struct job *j)
{
	cleanup_close int fd = open(j->path, O_WRONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return by_ring(j, 0, (struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = fd });
}

int by_ring_splice(const struct job *j)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_SPLICE,
				    .len = BLOCK_BYTES,
				    .splice_off_in = (__u64)-1 };
	cleanup_close int in = -1, out = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	in = fds[0];
	out = fds[1];
	sqe.splice_fd_in = in;
	if (write(out, j->text, ALL_BYTES) != ALL_BYTES)
		return -1;
	return by_ring(j, 0, sqe);
}

const struct way rings[] = {
	{ "uring-write", by_ring_write, TOLD },
	{ "uring-writev", by_writev, TOLD },
	{ "uring-fixed", by_fixed, TOLD },
	{ "uring-splice", by_ring_splice, TOLD },
	{ "uring-worker", by_worker, TOLD },
	{ "uring-sqpoll", by_sqpoll, TOLD },
	{ "uring-direct", by_direct, TOLD },
	{ "uring-no-result", without_result, FOUND },
	{},
};
