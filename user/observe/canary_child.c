// SPDX-License-Identifier: BSD-2-Clause
/*
 * canary_child.c - see canary_child.h. One function per thing to see; each returns the set of what
 * was done, and what a host does not allow (io_uring, a full disk) is not in it.
 */
#include "observe/canary_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

#define CHILD_S	    2
#define DATAGRAM_MS 500
#define SAW(sight)  (1u << OBS_CANARY_##sight)
#define LINE_BYTES  (sizeof(OBS_CANARY_LINE) - 1)
#define PIECE_BYTES (sizeof(OBS_CANARY_PIECE) - 1)

static bool write_line(int fd)
{
	return write(fd, OBS_CANARY_LINE, LINE_BYTES) == (ssize_t)LINE_BYTES;
}

static unsigned write_files(const char *path)
{
	struct iovec pieces[] = { { (char *)OBS_CANARY_PIECE, PIECE_BYTES },
				  { (char *)OBS_CANARY_LINE, LINE_BYTES } };
	cleanup_close int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	unsigned done = 0;

	if (fd >= 0 && write_line(fd))
		done |= SAW(FILE);
	if (fd >= 0 && writev(fd, pieces, 2) == (ssize_t)(PIECE_BYTES + LINE_BYTES))
		done |= SAW(PIECES);
	return done;
}

/* --- io_uring, without a library: two requests and one result --- */

struct uring {
	struct io_uring_params p;
	int fd;
	char *rings; /* mapped */
	struct io_uring_sqe *requests;
};

static bool open_uring(struct uring *u)
{
	size_t sq, cq, bytes;
	void *at;

	u->fd = (int)syscall(SYS_io_uring_setup, 2, &u->p);
	if (u->fd < 0 || !(u->p.features & IORING_FEAT_SINGLE_MMAP) ||
	    !(u->p.features & IORING_FEAT_CQE_SKIP))
		return false;
	sq = u->p.sq_off.array + u->p.sq_entries * sizeof(uint32_t);
	cq = u->p.cq_off.cqes + u->p.cq_entries * sizeof(struct io_uring_cqe);
	bytes = sq > cq ? sq : cq;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	if (at == MAP_FAILED)
		return false;
	u->rings = at;
	at = mmap(NULL, u->p.sq_entries * sizeof(*u->requests), PROT_READ | PROT_WRITE, MAP_SHARED,
		  u->fd, IORING_OFF_SQES);
	if (at == MAP_FAILED)
		return false;
	u->requests = at;
	return true;
}

static void want_write(struct uring *u, uint32_t i, int fd, uint8_t flags)
{
	uint32_t *array = (uint32_t *)(void *)(u->rings + u->p.sq_off.array);

	u->requests[i] = (struct io_uring_sqe){ .opcode = IORING_OP_WRITE,
						.flags = flags,
						.fd = fd,
						.addr = (uintptr_t)OBS_CANARY_LINE,
						.len = LINE_BYTES };
	array[i] = i;
}

/* A file each: of one file at most one mark is on its way. They are in no directory. */
static unsigned write_by_uring(void)
{
	cleanup_close int told = memfd_create("canary", MFD_CLOEXEC);
	cleanup_close int quiet = memfd_create("canary", MFD_CLOEXEC);
	struct uring u = { .fd = -1 };
	const struct io_uring_cqe *result;
	uint32_t *tail;

	if (told < 0 || quiet < 0 || !open_uring(&u))
		return 0; /* the process's end cleans up */
	want_write(&u, 0, quiet, IOSQE_CQE_SKIP_SUCCESS);
	want_write(&u, 1, told, 0);
	tail = (uint32_t *)(void *)(u.rings + u.p.sq_off.tail);
	__atomic_store_n(tail, 2, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, u.fd, 2, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 2)
		return 0;
	result = (const void *)(u.rings + u.p.cq_off.cqes);
	return result->res == (int)LINE_BYTES ? SAW(URING) | SAW(QUIET) : 0;
}

/* --- processes --- */

/* Return: how it ended, as wait(2) tells it, or -1. */
static int end_of(pid_t pid)
{
	int status = 0;

	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static unsigned send_signal(void)
{
	pid_t pid = _Fork();
	int status;

	if (pid == 0) {
		kill((pid_t)syscall(SYS_getpid), SIGKILL);
		_exit(1);
	}
	status = end_of(pid);
	return status >= 0 && WIFSIGNALED(status) ? SAW(FORK) | SAW(KILL) : 0;
}

__attribute__((noreturn)) static void become_program(int failed)
{
	char *args[] = { (char *)"gswarm-observer", (char *)"--version", NULL }, *env[] = { NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null >= 0)
		execve("/proc/self/exe", args, env);
	(void)!write(failed, "x", 1);
	_exit(1);
}

/* Begun is enough: its first instruction need not be run. */
static unsigned start_program(void)
{
	int failed[2];
	ssize_t n;
	pid_t pid;
	char x;

	if (pipe2(failed, O_CLOEXEC) < 0)
		return 0;
	pid = _Fork();
	if (pid == 0)
		become_program(failed[1]);
	close(failed[1]);
	n = pid > 0 ? read(failed[0], &x, 1) : -1; /* the exec closes the other end */
	close(failed[0]);
	if (pid > 0)
		kill(pid, SIGKILL);
	end_of(pid);
	return n == 0 ? SAW(EXEC) : 0;
}

/* --- sockets --- */

static int bound_to_loopback(int type, struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	cleanup_close int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof(*at)) < 0 ||
	    getsockname(fd, (struct sockaddr *)at, &len) < 0)
		return -1;
	return TAKE_FD(fd);
}

static unsigned open_connection(bool holds)
{
	struct sockaddr_in to;
	cleanup_close int server = bound_to_loopback(SOCK_STREAM, &to);
	cleanup_close int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (server < 0 || listen(server, 1) < 0)
		return 0;
	/* Begun is enough: the probes see the SYN, and non-blocking it is never more than begun. */
	if (connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return 0;
	if (holds)
		server = client = -1; /* its end closes them */
	return SAW(CONNECT);
}

static unsigned send_datagram(void)
{
	struct sockaddr_in to;
	cleanup_close int fd = bound_to_loopback(SOCK_DGRAM, &to);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	if (fd < 0 || sendto(fd, "canary", 6, 0, (struct sockaddr *)&to, sizeof(to)) != 6 ||
	    poll(&wait, 1, DATAGRAM_MS) != 1)
		return 0;
	return SAW(DATAGRAM);
}

static unsigned talk_to_p2pd(const char *path)
{
	cleanup_close int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cleanup_close int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	bool said;

	strncpy(at.sun_path, path, sizeof(at.sun_path) - 1);
	if (bind(server, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 0;
	said = listen(server, 1) == 0 && connect(client, (struct sockaddr *)&at, sizeof(at)) == 0 &&
	       write_line(client);
	unlink(path);
	return said ? SAW(P2PD) : 0;
}

/* Empty, and below our own: nobody is moved, nothing is limited. */
static unsigned make_cgroup(const char *path)
{
	return *path && mkdir(path, 0755) == 0 && rmdir(path) == 0 ? SAW(CGROUP) : 0;
}

/* --- all of it --- */

static unsigned fly(const struct obs_canary_job *job)
{
	unsigned done = SAW(EXIT), wanted = job->wanted;

	if (wanted & (SAW(FILE) | SAW(PIECES)))
		done |= write_files(job->path);
	if (wanted & SAW(CONSOLE))
		done |= write_line(STDOUT_FILENO) ? SAW(CONSOLE) : 0;
	if (wanted & (SAW(URING) | SAW(QUIET)))
		done |= write_by_uring();
	if (wanted & (SAW(FORK) | SAW(KILL)))
		done |= send_signal();
	if (wanted & SAW(EXEC))
		done |= start_program();
	if (wanted & SAW(CGROUP))
		done |= make_cgroup(job->cgroup);
	if (wanted & SAW(CONNECT))
		done |= open_connection(job->holds);
	if (wanted & SAW(P2PD))
		done |= talk_to_p2pd(job->socket);
	if (wanted & SAW(DATAGRAM))
		done |= send_datagram();
	return done;
}

/* Nothing of ours may stay open in it, above all not the lock of the store. */
void obs_canary_child(const struct obs_canary_job *job, int talk, int console)
{
	unsigned done;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(talk, STDIN_FILENO);
	dup2(console, STDOUT_FILENO);
	syscall(SYS_close_range, 3, UINT_MAX, 0);
	alarm(CHILD_S);
	if (read(STDIN_FILENO, &go, 1) != 1)
		_exit(1);
	done = fly(job);
	(void)!write(STDIN_FILENO, &done, sizeof(done));
	if (job->holds)
		(void)!read(STDIN_FILENO, &go, 1);
	_exit(0);
}
