// SPDX-License-Identifier: BSD-2-Clause
/*
 * canary.c - see canary.h.
 *
 * The child is a plain fork, since it must be a target before it writes: it waits on a
 * pipe until we have told the kernel. Between fork and _exit it makes system calls only.
 */
#include "observe/canary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/wire.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define FIRST_MS    100
#define FLIGHT_MS   1000
#define AGAIN_MS    10000
#define CHILD_S	    2
#define EVERY_SIGHT ((1u << OBS_CANARY_MAX) - 1)
#define CONNECTION  (1u << OBS_CANARY_CONNECTION)

struct obs_canary {
	struct obs_canary_options opt;
	struct obs_canary_flight flight;
	uv_timer_t timer;
	uint64_t sent_ns; /* CLOCK_REALTIME */
	pid_t pid;	  /* the child, 0 = none */
	int console;	  /* our end of its standard output; -1 = none */
	bool missed;
	char path[PATH_MAX];
};

/* Sight -> the probe's need in the model, and what a miss means. */
static const struct {
	const char *need, *blind;
} sights[OBS_CANARY_MAX] = {
	[OBS_CANARY_FILE] = { "file writes",
			      "a test line written to a file was not seen; lines are found later "
			      "by looking at the files, without their writer" },
	[OBS_CANARY_CONSOLE] = { "console writes", "a test line written to a pipe was not seen; "
						   "output to consoles may be missing" },
	[OBS_CANARY_PROCESS] = { "processes", "the end of a test process was not seen; processes "
					      "are found late, by polling" },
	[OBS_CANARY_CONNECTION] = { "connections", "a test connection was not seen; connections of "
						   "nodes are found late, if they last" },
};

/* --- the flight --- */

void obs_canary_flight_start(struct obs_canary_flight *fl, unsigned expected)
{
	*fl = (struct obs_canary_flight){ .expected = expected, .under_way = true };
}

bool obs_canary_flight_saw(struct obs_canary_flight *fl, enum obs_canary_sight sight)
{
	if (!fl->under_way)
		return false; /* a late one: it was judged */
	fl->seen |= 1u << sight;
	return fl->seen == fl->expected;
}

unsigned obs_canary_flight_end(struct obs_canary_flight *fl, unsigned done)
{
	unsigned missed = fl->under_way ? fl->expected & done & ~fl->seen : 0;

	fl->under_way = false;
	return missed;
}

void obs_canary_show(struct obs_model *model, unsigned expected, unsigned missed, uint64_t wall_ns)
{
	for (size_t i = 0; i < model->n_probes; i++) {
		struct obs_probe_status *p = &model->probes[i];

		for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
			if (!(expected & 1u << s) || strcmp(p->need, sights[s].need) != 0)
				continue;
			p->canary_ns = wall_ns;
			p->blind = missed & 1u << s ? sights[s].blind : NULL;
		}
	}
}

/* --- the child --- */

/* Return: the set of what was done. */
static unsigned open_connection(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(to);
	cleanup_close int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cleanup_close int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (bind(server, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(server, 1) < 0 ||
	    getsockname(server, (struct sockaddr *)&to, &len) < 0)
		return 0;
	/* Begun is enough: the probes see the SYN, and non-blocking it is never more than begun. */
	if (connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return 0;
	return CONNECTION;
}

/* Return: the set of what was done, as the exit status tells it. */
static int fly(const char *path)
{
	static const char line[] = "canary\n";
	unsigned done = 1u << OBS_CANARY_PROCESS;
	cleanup_close int fd = -1;
	char go;

	if (read(STDIN_FILENO, &go, 1) != 1)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, line, sizeof(line) - 1) == (ssize_t)sizeof(line) - 1)
		done |= 1u << OBS_CANARY_FILE;
	if (write(STDOUT_FILENO, line, sizeof(line) - 1) == (ssize_t)sizeof(line) - 1)
		done |= 1u << OBS_CANARY_CONSOLE;
	done |= open_connection();
	return (int)done;
}

/* Nothing of ours may stay open in it, above all not the lock of the store. */
__attribute__((noreturn)) static void be_child(const char *path, int go, int console)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(go, STDIN_FILENO);
	dup2(console, STDOUT_FILENO);
	syscall(SYS_close_range, 3, UINT_MAX, 0);
	alarm(CHILD_S);
	_exit(fly(path));
}

/* Without events of connections nobody can see one that is over at once. */
static unsigned expected_of(const struct obs_model *model)
{
	for (size_t i = 0; i < model->n_probes; i++) {
		if (strcmp(model->probes[i].need, sights[OBS_CANARY_CONNECTION].need) == 0 &&
		    model->probes[i].first_choice)
			return EVERY_SIGHT;
	}
	return EVERY_SIGHT & ~CONNECTION;
}

static int send_out(struct obs_canary *c)
{
	cleanup_close int wait_fd = -1, go_fd = -1, out_fd = -1, in_fd = -1;
	int go[2], console[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	wait_fd = go[0];
	go_fd = go[1];
	if (pipe2(console, O_CLOEXEC) < 0)
		return -errno;
	in_fd = console[0];
	out_fd = console[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		be_child(c->path, wait_fd, out_fd);

	c->pid = pid;
	c->console = TAKE_FD(in_fd);
	c->sent_ns = obs_wall_ns();
	obs_canary_flight_start(&c->flight, expected_of(c->opt.model));
	obs_kernel_add_process(c->opt.kernel, (uint32_t)pid, OBS_SLOT_CANARY);
	return write(go_fd, "g", 1) == 1 ? 0 : -errno;
}

/* Return: the set of what it says it did; nothing when it is still at it. */
static unsigned recall(struct obs_canary *c)
{
	int status = 0;

	obs_closep(&c->console);
	if (c->pid == 0)
		return 0;
	if (waitpid(c->pid, &status, WNOHANG) != c->pid) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, &status, 0);
		obs_kernel_drop_process(c->opt.kernel, (uint32_t)c->pid);
	}
	c->pid = 0;
	return WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 0;
}

/* --- rounds --- */

static void tell(struct obs_canary *c, unsigned missed)
{
	if (missed && !c->missed) {
		for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
			if (missed & 1u << s)
				obs_warn("%s: %s", sights[s].need, sights[s].blind);
		}
	} else if (!missed && c->missed) {
		obs_info("the probes see what they must again");
	}
	c->missed = missed != 0;
}

static void on_send(uv_timer_t *timer);

static void on_over(uv_timer_t *timer)
{
	struct obs_canary *c = timer->data;
	bool open = c->flight.under_way;
	unsigned missed = obs_canary_flight_end(&c->flight, recall(c));
	uint64_t wait_ms = c->opt.interval_ms;

	if (open) {
		obs_count(missed ? &c->opt.counters->canary_missed : &c->opt.counters->canary_seen,
			  1);
		obs_canary_show(c->opt.model, c->flight.expected, missed, c->sent_ns);
		tell(c, missed);
	}
	if (missed && wait_ms > AGAIN_MS)
		wait_ms = AGAIN_MS;
	uv_timer_start(timer, on_send, wait_ms > FLIGHT_MS ? wait_ms - FLIGHT_MS : 0, 0);
}

static void on_send(uv_timer_t *timer)
{
	struct obs_canary *c = timer->data;
	int r = send_out(c);

	if (r < 0)
		obs_debug("no canary: %s", strerror(-r));
	else
		obs_count(&c->opt.counters->canary_sent, 1);
	uv_timer_start(timer, on_over, FLIGHT_MS, 0);
}

void obs_canary_saw(struct obs_canary *c, enum obs_canary_sight sight)
{
	if (!obs_canary_flight_saw(&c->flight, sight))
		return;
	obs_canary_flight_end(&c->flight, EVERY_SIGHT); /* the child is taken in by on_over() */
	obs_count(&c->opt.counters->canary_seen, 1);
	obs_canary_show(c->opt.model, c->flight.expected, 0, c->sent_ns);
	tell(c, 0);
}

int obs_canary_new(const struct obs_canary_options *opt, struct obs_canary **ret)
{
	struct obs_canary *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->opt = *opt;
	c->console = -1;
	snprintf(c->path, sizeof(c->path), "%s/canary", opt->dir);
	uv_timer_init(opt->loop, &c->timer);
	c->timer.data = c;
	uv_timer_start(&c->timer, on_send, FIRST_MS, 0);
	*ret = c;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void obs_canary_free(struct obs_canary **cp)
{
	struct obs_canary *c = *cp;

	if (!c)
		return;
	recall(c);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	*cp = NULL;
}
