// SPDX-License-Identifier: BSD-2-Clause
/* sharers.c - several writers: threads, children, other processes, and those that die at once. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "ways.h"

#define WRITERS 4

/* Part @i of the text, in lines. */
static int write_share(int fd, const struct job *j, int i)
{
	size_t share = ALL_BYTES / WRITERS / LINE_BYTES * LINE_BYTES;

	return write_all(fd, j->text + (size_t)i * share, share, LINE_BYTES);
}

struct thread {
	pthread_t id;
	const struct job *j;
	int fd, i, ret;
};

static void *on_thread(void *arg)
{
	struct thread *t = arg;

	t->ret = write_share(t->fd, t->j, t->i);
	return NULL;
}

static int by_threads_on(const struct job *j, int fd)
{
	struct thread t[WRITERS];
	int ret = 0;

	for (int i = 0; i < WRITERS; i++) {
		t[i] = (struct thread){ .j = j, .fd = fd, .i = i };
		if (pthread_create(&t[i].id, NULL, on_thread, &t[i]) != 0)
			return -1;
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(t[i].id, NULL);
		ret |= t[i].ret;
	}
	return ret;
}

/* They share the position: the kernel's lock on it keeps them apart. */
static int by_threads(const struct job *j)
{
	return by_threads_on(j, j->fd);
}

static int by_threads_append(const struct job *j)
{
	cleanup_close int fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	return fd < 0 ? -1 : by_threads_on(j, fd);
}

/* WRITERS children at once; @own: each opens the file itself. */
static int by_children_on(const struct job *j, bool own)
{
	int pids[WRITERS], ret = 0;

	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			int fd = own ? open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC) : j->fd;

			_exit(fd < 0 || write_share(fd, j, i) < 0 ? 1 : 0);
		}
	}
	for (int i = 0; i < WRITERS; i++)
		ret |= await(pids[i], 0);
	return ret;
}

static int by_children(const struct job *j)
{
	return by_children_on(j, false);
}

static int by_appenders(const struct job *j)
{
	return by_children_on(j, true);
}

static int by_dup(const struct job *j)
{
	cleanup_close int a = dup(j->fd), b = dup2(j->fd, 200);

	if (write_all(a, j->text, BLOCK_BYTES, LINE_BYTES) < 0 ||
	    write_all(b, j->text + BLOCK_BYTES, BLOCK_BYTES, LINE_BYTES) < 0)
		return -1;
	return write_all(j->fd, j->text + 2 * BLOCK_BYTES, BLOCK_BYTES, LINE_BYTES);
}

static int send_fd(int sock, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* The writer never opened the file: it was handed the descriptor. */
static int by_scm_rights(const struct job *j)
{
	cleanup_close int here = -1, there = -1;
	int fds[2], pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	here = fds[0];
	there = fds[1];
	pid = fork();
	if (pid == 0) {
		int fd;

		close(j->fd);
		fd = receive_fd(there);
		_exit(fd < 0 || write_all(fd, j->text, ALL_BYTES, BLOCK_BYTES) < 0 ? 1 : 0);
	}
	if (send_fd(here, j->fd) < 0)
		return -1;
	return await(pid, 0);
}

/* Dead before anybody can look at its descriptors. */
static int by_dying(const struct job *j)
{
	for (size_t at = 0; at < ALL_BYTES; at += BLOCK_BYTES) {
		int pid = fork();

		if (pid == 0) {
			if (write_all(j->fd, j->text + at, BLOCK_BYTES, BLOCK_BYTES) < 0)
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		if (await(pid, SIGKILL) < 0)
			return -1;
	}
	return 0;
}

/* The first the kernel tells of the file comes from a process that is gone. */
static int by_one_shot(const struct job *j)
{
	int pid = fork();

	if (pid == 0) {
		int fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);

		_exit(write_all(fd, j->text, ALL_BYTES, ALL_BYTES) < 0 ? 1 : 0);
	}
	return await(pid, 0);
}

const struct way sharers[] = {
	{ "threads", by_threads, TOLD },
	{ "threads-append", by_threads_append, TOLD },
	{ "children", by_children, TOLD },
	{ "appenders", by_appenders, TOLD },
	{ "dup", by_dup, TOLD },
	{ "scm-rights", by_scm_rights, TOLD },
	{ "dying", by_dying, TOLD },
	{ "one-shot", by_one_shot, CAUGHT },
	{},
};
