/* SPDX-License-Identifier: BSD-2-Clause */
/* uring.h - io_uring without its library: a ring, one request at a time. */
#pragma once

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct ring {
	int fd;
	char *p;
	struct io_uring_sqe *sqe;
	struct io_uring_params params;
};

/* Return: 0, or -1 with errno. */
static inline int ring_open(struct ring *r, unsigned flags)
{
	*r = (struct ring){ .params = { .flags = flags, .sq_thread_idle = 100 } };
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->params);
	if (r->fd < 0)
		return -1;
	r->p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		    IORING_OFF_SQ_RING);
	r->sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		      IORING_OFF_SQES);
	return r->p == MAP_FAILED || r->sqe == MAP_FAILED ? -1 : 0;
}

/* Its only buffer; where the kernel takes none, requests with it fail. */
static inline void ring_register(const struct ring *r, const struct iovec *buffer)
{
	syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, buffer, 1);
}

/* The result of the request that was submitted last, or 0 where it does not want one. */
static inline int ring_result(struct ring *r)
{
	unsigned *cq_tail = (unsigned *)(r->p + r->params.cq_off.tail);
	unsigned *cq_head = (unsigned *)(r->p + r->params.cq_off.head);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->p + r->params.cq_off.cqes);
	unsigned head = *cq_head;
	int res;

	if (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) == head)
		return -EIO;
	res = cqes[head & (r->params.cq_entries - 1)].res;
	__atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

/* One request, and its result: as write(2) gives it, or a negative errno. */
static inline int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	unsigned *tail = (unsigned *)(r->p + r->params.sq_off.tail);
	unsigned *array = (unsigned *)(r->p + r->params.sq_off.array);
	unsigned slot = *tail & (r->params.sq_entries - 1);
	bool answers = !(sqe->flags & IOSQE_CQE_SKIP_SUCCESS);
	unsigned flags = IORING_ENTER_GETEVENTS;

	r->sqe[slot] = *sqe;
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (r->params.flags & IORING_SETUP_SQPOLL)
		flags |= IORING_ENTER_SQ_WAKEUP;
	if (syscall(SYS_io_uring_enter, r->fd, 1, answers ? 1 : 0, flags, NULL, 0) < 0)
		return -errno;
	return answers ? ring_result(r) : (int)sqe->len;
}
