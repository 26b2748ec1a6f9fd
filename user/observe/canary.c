// SPDX-License-Identifier: BSD-2-Clause
/*
 * canary.c - see canary.h.
 *
 * The child is a plain fork, since it must be a target before it does anything: it waits on a
 * socket until we have told the kernel.
 */
#include "observe/canary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "obs/wire.h"
#include "observe/cgroup_set.h"
#include "observe/proc.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define FIRST_MS	100
#define FLIGHT_MS	1000
#define AGAIN_MS	10000
#define ACCOUNT_FLIGHTS 3 /* the kernel frees a process when it finds the time */
#define BIT(sight)	(1u << (sight))
#define CGROUP_NAME	"gso-canary-"
#define LINE_BYTES	(sizeof(OBS_CANARY_LINE) - 1)
#define PIECES_BYTES	(sizeof(OBS_CANARY_PIECE) - 1 + LINE_BYTES)

struct obs_canary {
	struct obs_canary_options opt;
	struct obs_canary_flight flight;
	struct obs_canary_words words;
	uv_timer_t timer;
	uint64_t sent_ns;   /* CLOCK_REALTIME */
	uint64_t drops;	    /* of the ring, when it was sent */
	uint64_t skipped;   /* runs of programs, likewise */
	uint64_t late_ns;   /* see obs_kernel_late_cpu_ns() */
	unsigned unfreed;   /* flights since that grew */
	unsigned attached;  /* set of what had a probe at the start */
	unsigned missed;    /* set, of the last flight that was judged */
	unsigned mended;    /* set of what was attached once more since it was last seen */
	pid_t pid;	    /* the child, 0 = none */
	uint32_t forked[4]; /* by it */
	size_t n_forked;
	int talk, console; /* our ends; -1 = none */
	char path[PATH_MAX], socket[64], cgroup[PATH_MAX];
};

/* --- what there is to see --- */

static bool is_file_write(const struct obs_rec_write *w, bool mark)
{
	return w->kind == OBS_KIND_REG && !(w->flags & OBS_W_MARK) == !mark;
}

static bool is_line(const struct obs_record *rec)
{
	return is_file_write(rec->write, false) && rec->write->len == LINE_BYTES;
}

static bool is_in_pieces(const struct obs_record *rec)
{
	return is_file_write(rec->write, false) && rec->write->len == PIECES_BYTES;
}

static bool is_console(const struct obs_record *rec)
{
	return rec->write->kind == OBS_KIND_PIPE;
}

bool obs_canary_made(struct obs_slice path)
{
	char name[32];
	size_t len = (size_t)snprintf(name, sizeof(name), "/" CGROUP_NAME "%d", (int)getpid());

	return path.len >= len && memcmp(path.p + path.len - len, name, len) == 0;
}

static bool is_own_cgroup(const struct obs_record *rec)
{
	return obs_canary_made(rec->tail);
}

static bool is_told_mark(const struct obs_record *rec)
{
	return is_file_write(rec->write, true) && rec->write->len > 0;
}

static bool is_quiet_mark(const struct obs_record *rec)
{
	return is_file_write(rec->write, true) && rec->write->len == 0;
}

/* Sight -> the probe's need in the model, what a miss means, the programs of which the first that is
 * attached has to see it, and the record that shows it (0: none does). */
static const struct sight {
	const char *need, *blind;
	const char *programs[3];
	uint16_t type;
	bool (*is)(const struct obs_record *rec);
} sights[OBS_CANARY_MAX] = {
	[OBS_CANARY_FILE] = { "file writes",
			      "a test line written to a file was not seen; lines are found later "
			      "by looking at the files, without their writer",
			      { "obs_vfs_write", "obs_sys_exit" },
			      OBS_REC_WRITE,
			      is_line },
	[OBS_CANARY_PIECES] = { "file writes",
				"a test line written in pieces (writev) was not seen; such lines "
				"are found later by looking at the files",
				{ "obs_vfs_writev", "obs_sys_exit" },
				OBS_REC_WRITE,
				is_in_pieces },
	[OBS_CANARY_CONSOLE] = { "console writes",
				 "a test line written to a pipe was not seen; output to consoles "
				 "may be missing",
				 { "obs_call_exit", "obs_sys_exit" },
				 OBS_REC_WRITE,
				 is_console },
	[OBS_CANARY_URING] = { "file writes",
			       "a test line written by io_uring was not seen; such lines are found "
			       "later by looking at the files",
			       { "obs_uring_complete" },
			       OBS_REC_WRITE,
			       is_told_mark },
	[OBS_CANARY_QUIET] = { "file writes",
			       "a test line written by io_uring, its result not wanted, was not "
			       "seen; such lines are found later by looking at the files",
			       { "obs_uring_submit", "obs_uring_submit_old" },
			       OBS_REC_WRITE,
			       is_quiet_mark },
	[OBS_CANARY_FORK] = { "processes",
			      "a test process that was forked was not seen; children of nodes are "
			      "found late, by polling",
			      { "obs_fork" },
			      OBS_REC_FORK },
	[OBS_CANARY_EXEC] = { "processes",
			      "a program started as a test was not seen; nodes are found late, by "
			      "polling",
			      { "obs_exec" },
			      OBS_REC_EXEC },
	[OBS_CANARY_KILL] = { "processes",
			      "a signal that ended a test process was not seen; who ends nodes is "
			      "not known",
			      { "obs_signal" },
			      OBS_REC_DEATH },
	[OBS_CANARY_EXIT] = { "processes",
			      "the end of a test process was not seen; that processes end is found "
			      "out late, by polling",
			      { "obs_exit" },
			      OBS_REC_EXIT },
	[OBS_CANARY_ACCOUNT] = { "processes",
				 "the last account of test processes was not seen; CPU time of "
				 "short processes is told too low",
				 { "obs_free" } },
	[OBS_CANARY_CGROUP] = { "processes",
				"a cgroup that was made as a test was not seen; containers are found "
				"late, by their processes",
				{ "obs_cgroup_mkdir" },
				OBS_REC_CGROUP,
				is_own_cgroup },
	[OBS_CANARY_CONNECT] = { "connections",
				 "a test connection was not seen; connections of nodes are found "
				 "late, if they last",
				 { "obs_tcp_state" },
				 OBS_REC_TCP },
	[OBS_CANARY_P2PD] = { "p2pd's socket",
			      "a test message on a socket like p2pd's was not seen; RPCs, keys and "
			      "peers of nodes may be missing",
			      { "obs_call_exit", "obs_sys_exit" },
			      OBS_REC_P2PD },
	[OBS_CANARY_DATAGRAM] = { "UDP and names",
				  "a test datagram was not seen; UDP and QUIC of nodes that run "
				  "outside a container may be missing" },
	[OBS_CANARY_CGROUPS] = { "UDP and names",
				 "what counts packets was taken off the cgroup of a node and is "
				 "attached again; packets in between are missing" },
};

enum obs_canary_sight obs_canary_sight_of(const struct obs_record *rec, uint32_t child)
{
	for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
		if (sights[s].type != rec->hdr->type || (sights[s].is && !sights[s].is(rec)))
			continue;
		if (s == OBS_CANARY_EXIT && rec->exit->tgid != child)
			continue;
		return s;
	}
	return OBS_CANARY_MAX;
}

/* --- the flight --- */

void obs_canary_flight_start(struct obs_canary_flight *fl, unsigned expected)
{
	*fl = (struct obs_canary_flight){ .expected = expected, .under_way = true };
}

static unsigned unseen(const struct obs_canary_flight *fl)
{
	return fl->expected & fl->done & ~fl->seen;
}

static bool is_complete(const struct obs_canary_flight *fl)
{
	return fl->under_way && fl->landed && !unseen(fl);
}

bool obs_canary_flight_saw(struct obs_canary_flight *fl, enum obs_canary_sight sight)
{
	if (!fl->under_way)
		return false; /* a late one: it was judged */
	fl->seen |= BIT(sight);
	return is_complete(fl);
}

bool obs_canary_flight_landed(struct obs_canary_flight *fl, unsigned done)
{
	if (!fl->under_way)
		return false;
	fl->landed = true;
	fl->done = done;
	return is_complete(fl);
}

unsigned obs_canary_flight_end(struct obs_canary_flight *fl)
{
	unsigned missed = fl->under_way && fl->landed ? unseen(fl) : 0;

	fl->under_way = false;
	return missed;
}

static void say(char *out, size_t size, const char *need, unsigned missed)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned s = 0; s < OBS_CANARY_MAX && used < size; s++) {
		if (missed & BIT(s) && strcmp(sights[s].need, need) == 0)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "; " : "",
						 sights[s].blind);
	}
}

void obs_canary_show(struct obs_model *model, struct obs_canary_words *words, unsigned seen,
		     unsigned missed, uint64_t wall_ns)
{
	for (size_t i = 0; i < model->n_probes; i++) {
		struct obs_probe_status *p = &model->probes[i];
		bool judged = false;

		for (unsigned s = 0; s < OBS_CANARY_MAX; s++)
			judged |= (seen | missed) & BIT(s) && strcmp(p->need, sights[s].need) == 0;
		if (!judged)
			continue;
		say(words->of_probe[i], sizeof(words->of_probe[i]), p->need, missed);
		p->canary_ns = wall_ns;
		p->blind = *words->of_probe[i] ? words->of_probe[i] : NULL;
	}
}

/* --- out and back --- */

#define CAPTURED                                                                   \
	(BIT(OBS_CANARY_FILE) | BIT(OBS_CANARY_PIECES) | BIT(OBS_CANARY_CONSOLE) | \
	 BIT(OBS_CANARY_URING) | BIT(OBS_CANARY_QUIET))

/* What has a probe here. */
static unsigned attached_of(const struct obs_canary *c)
{
	unsigned set = c->opt.flows ? BIT(OBS_CANARY_CGROUPS) : 0;

	for (unsigned s = 0; c->opt.kernel && s < OBS_CANARY_MAX; s++) {
		for (size_t i = 0; i < ARRAY_LEN(sights[s].programs); i++) {
			const char *name = sights[s].programs[i];

			if (name && obs_kernel_is_attached(c->opt.kernel, name))
				set |= BIT(s);
		}
	}
	if (c->opt.watch_file) /* programs of other probes may be those that capture elsewhere */
		set = (set & ~CAPTURED) | BIT(OBS_CANARY_FILE);
	if (c->opt.sees_connection)
		set |= BIT(OBS_CANARY_CONNECT);
	return set;
}

/* The account of a process comes long after its end: those of the flights before are looked for. */
static bool has_account(struct obs_canary *c)
{
	uint64_t late_ns =
		c->opt.kernel ? obs_kernel_late_cpu_ns(c->opt.kernel, OBS_SLOT_CANARY) : 0;
	bool grew = late_ns > c->late_ns;

	c->late_ns = late_ns;
	c->unfreed = grew ? 0 : c->unfreed + 1;
	return grew;
}

static void start_flight(struct obs_canary *c)
{
	unsigned expected = c->attached;
	bool counted = has_account(c);

	if (!counted && c->unfreed <= ACCOUNT_FLIGHTS)
		expected &= ~BIT(OBS_CANARY_ACCOUNT);
	if (c->opt.flows && obs_flows_carry_canary(c->opt.flows, true))
		expected |= BIT(OBS_CANARY_DATAGRAM);
	obs_canary_flight_start(&c->flight, expected);
	if (counted)
		obs_canary_flight_saw(&c->flight, OBS_CANARY_ACCOUNT);
	c->sent_ns = obs_wall_ns();
	if (!c->opt.kernel)
		return;
	c->drops = obs_kernel_control(c->opt.kernel)->drops;
	c->skipped = obs_kernel_missed(c->opt.kernel, c->opt.model);
}

/* What cannot be watched is not seen, and that is what it is for. */
static void watch_file(struct obs_canary *c)
{
	cleanup_close int fd = -1;

	if (!c->opt.watch_file)
		return;
	fd = open(c->path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		c->opt.watch_file(c->opt.ctx, fd);
}

static struct obs_canary_job job_of(const struct obs_canary *c)
{
	bool records = c->opt.kernel != NULL;

	return (struct obs_canary_job){
		.path = c->path,
		.socket = c->socket,
		.cgroup = c->cgroup,
		.wanted = records ? ~0U : c->attached,
		.holds = !records,
	};
}

static int send_out(struct obs_canary *c)
{
	struct obs_canary_job job = job_of(c);
	cleanup_close int talk_fd = -1, its_talk_fd = -1, out_fd = -1, in_fd = -1;
	int talk[2], console[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk) < 0)
		return -errno;
	talk_fd = talk[0];
	its_talk_fd = talk[1];
	if (pipe2(console, O_CLOEXEC) < 0)
		return -errno;
	in_fd = console[0];
	out_fd = console[1];
	unlink(c->socket);
	watch_file(c);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		obs_canary_child(&job, its_talk_fd, out_fd);

	c->pid = pid;
	c->talk = TAKE_FD(talk_fd);
	c->console = TAKE_FD(in_fd);
	if (c->opt.kernel)
		obs_kernel_add_process(c->opt.kernel, (uint32_t)pid, OBS_SLOT_CANARY);
	start_flight(c);
	return send(c->talk, "g", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static void finish(struct obs_canary *c);

/* Return: what of @done can be judged. */
static unsigned look_for_connection(struct obs_canary *c, unsigned done)
{
	int r = done & BIT(OBS_CANARY_CONNECT) ? c->opt.sees_connection(c->opt.ctx, c->pid) : 0;

	if (r > 0)
		obs_canary_flight_saw(&c->flight, OBS_CANARY_CONNECT);
	return r < 0 ? done & ~BIT(OBS_CANARY_CONNECT) : done;
}

/* It has ended, or time is over: what does it say? And what no record shows is looked at. */
static void land(struct obs_canary *c)
{
	unsigned done;

	if (!c->flight.under_way || c->flight.landed || c->talk < 0 ||
	    recv(c->talk, &done, sizeof(done), MSG_DONTWAIT) != sizeof(done))
		return;
	done |= BIT(OBS_CANARY_ACCOUNT) | BIT(OBS_CANARY_CGROUPS);
	if (c->opt.flows && obs_flows_saw_canary(c->opt.flows))
		obs_canary_flight_saw(&c->flight, OBS_CANARY_DATAGRAM);
	if (c->opt.flows && obs_flows_mend(c->opt.flows) == 0)
		obs_canary_flight_saw(&c->flight, OBS_CANARY_CGROUPS);
	if (c->opt.sees_connection)
		done = look_for_connection(c, done);
	if (obs_canary_flight_landed(&c->flight, done))
		finish(c);
}

/* The child may still be at it. */
static void recall(struct obs_canary *c)
{
	int status;

	if (c->opt.flows)
		obs_flows_carry_canary(c->opt.flows, false);
	if (c->pid && waitpid(c->pid, &status, WNOHANG) != c->pid) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, &status, 0);
		unlink(c->socket);
		if (*c->cgroup)
			rmdir(c->cgroup);
	}
	if (c->pid &&
	    c->opt.kernel) /* also where its end was not seen: its number will be another's */
		obs_kernel_drop_process(c->opt.kernel, (uint32_t)c->pid);
	while (c->n_forked)
		obs_kernel_drop_process(c->opt.kernel, c->forked[--c->n_forked]);
	c->pid = 0;
	obs_closep(&c->talk);
	obs_closep(&c->console);
}

/* --- verdicts --- */

static void tell(const struct obs_canary *c, unsigned missed)
{
	for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
		if (missed & ~c->missed & BIT(s))
			obs_warn("%s: %s", sights[s].need, sights[s].blind);
	}
	if (!missed && c->missed)
		obs_info("the probes see what they must again");
}

/* Once until it is seen: if that did not help, a second time would not, and each time something may
 * pass unseen. Return: was anything attached? */
static bool attach_again(struct obs_canary *c, unsigned s)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(sights[s].programs); i++) {
		const char *name = sights[s].programs[i];
		int r = name ? obs_kernel_attach_again(c->opt.kernel, name) : -ENOENT;

		if (r == -ENOENT)
			continue;
		any = true;
		if (r == 0) {
			c->mended |= BIT(s);
			obs_info("%s: %s is attached again", sights[s].need, name);
		} else {
			obs_warn("%s: %s cannot be attached again: %s, retrying", sights[s].need,
				 name, strerror(-r));
		}
	}
	return any;
}

/* Was the program of @s attached again for the sake of another sight that is missed? */
static bool is_mended(const struct obs_canary *c, unsigned s)
{
	for (unsigned other = 0; other < OBS_CANARY_MAX; other++) {
		for (size_t i = 0; c->mended & BIT(other) && i < ARRAY_LEN(sights[s].programs);
		     i++) {
			const char *a = sights[s].programs[i], *b = sights[other].programs[i];

			if (a && b && strcmp(a, b) == 0)
				return true;
		}
	}
	return false;
}

/* A ring that had no room explains it, and a kernel that skipped programs (missed.h): to attach them
 * again would not help. */
static bool is_explained(const struct obs_canary *c)
{
	return !c->opt.kernel || obs_kernel_control(c->opt.kernel)->drops != c->drops ||
	       obs_kernel_missed(c->opt.kernel, c->opt.model) != c->skipped;
}

static void mend(struct obs_canary *c, unsigned missed)
{
	unsigned due = missed & ~c->mended;
	bool any = false;

	if (is_explained(c))
		return;
	for (unsigned s = 0; s < OBS_CANARY_MAX; s++) {
		if (due & BIT(s) && !is_mended(c, s))
			any |= attach_again(c, s);
	}
	if (!any)
		return;
	obs_count(&c->opt.counters->probes_mended, 1);
	c->opt.mended(c->opt.ctx);
}

static void finish(struct obs_canary *c)
{
	bool landed = c->flight.landed;
	unsigned missed = obs_canary_flight_end(&c->flight);

	if (!landed) {
		obs_count(&c->opt.counters->canary_unfinished, 1);
		return;
	}
	obs_count(missed ? &c->opt.counters->canary_missed : &c->opt.counters->canary_seen, 1);
	obs_canary_show(c->opt.model, &c->words, c->flight.seen, missed, c->sent_ns);
	tell(c, missed);
	c->missed = missed;
	c->mended &= missed;
	if (missed)
		mend(c, missed);
}

static void on_send(uv_timer_t *timer);

static void on_over(uv_timer_t *timer)
{
	struct obs_canary *c = timer->data;
	uint64_t wait_ms = c->opt.interval_ms;

	land(c);
	if (c->opt.saw_file && c->opt.saw_file(c->opt.ctx))
		obs_canary_flight_saw(&c->flight, OBS_CANARY_FILE);
	if (c->flight.under_way)
		finish(c);
	recall(c);
	if (c->missed && wait_ms > AGAIN_MS)
		wait_ms = AGAIN_MS;
	uv_timer_start(timer, on_send, wait_ms > FLIGHT_MS ? wait_ms - FLIGHT_MS : 0, 0);
}

static void on_send(uv_timer_t *timer)
{
	struct obs_canary *c = timer->data;
	int r;

	if (!c->attached)
		c->attached = attached_of(c);
	r = send_out(c);
	if (r < 0)
		obs_debug("no canary: %s", strerror(-r));
	else
		obs_count(&c->opt.counters->canary_sent, 1);
	uv_timer_start(timer, on_over, FLIGHT_MS, 0);
}

void obs_canary_record(struct obs_canary *c, const struct obs_record *rec)
{
	enum obs_canary_sight sight = obs_canary_sight_of(rec, (uint32_t)c->pid);

	if (sight == OBS_CANARY_MAX || !c->pid)
		return;
	if (sight == OBS_CANARY_FORK && c->n_forked < ARRAY_LEN(c->forked))
		c->forked[c->n_forked++] = rec->fork->tgid;
	if (obs_canary_flight_saw(&c->flight, sight))
		finish(c);
	else if (sight == OBS_CANARY_EXIT)
		land(c);
}

/* Ours, where the second version of cgroups is mounted, and shows it. */
static void find_cgroup(struct obs_canary *c)
{
	const char *mount = obs_proc_cgroup2_mount();
	cleanup_buf struct obs_buf text = {};
	struct obs_slice own;
	char procs[PATH_MAX];

	if (!c->opt.kernel || !mount || obs_proc_read(getpid(), "cgroup", &text) < 0)
		return;
	own = obs_cgroup_v2_path(obs_buf_slice(&text));
	snprintf(procs, sizeof(procs), "%s%.*s/cgroup.procs", mount, (int)own.len, own.p);
	if (own.len && access(procs, F_OK) == 0)
		snprintf(c->cgroup, sizeof(c->cgroup), "%s%.*s/" CGROUP_NAME "%d", mount,
			 (int)own.len, own.p, (int)getpid());
}

int obs_canary_new(const struct obs_canary_options *opt, struct obs_canary **ret)
{
	struct obs_canary *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->opt = *opt;
	c->talk = c->console = -1;
	snprintf(c->path, sizeof(c->path), "%s/canary", opt->dir);
	snprintf(c->socket, sizeof(c->socket), "/tmp/hivemind-p2pd-canary-%d.sock", (int)getpid());
	find_cgroup(c);
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
