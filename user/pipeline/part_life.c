// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_life.c - starts and ends of a node's processes as node_lifecycle events: one for each
 * death, with its cause, its last lines, and what it cost.
 *
 * Forks of a node come and go by the thousand; told are those that have a role, and of the
 * others those that were killed (some a minute, the rest is counted).
 */
#include "pipeline/part.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <uthash.h>

#include "model/death.h"
#include "observe/proc.h"
#include "pipeline/advice.h"
#include "pipeline/last_lines.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define LIVES_ON_MS	   400 /* after a trainer's end: does the rest go with it? */
#define JUST_FORKED_NS	   (5 * OBS_NS_PER_S)
#define PROCS_MAX	   OBS_TGIDS_MAX
#define MINOR_PER_MINUTE   10
#define PAST_MAX	   256
#define PAGE_BYTES	   4096
#define ZOMBIE_AFTER_NS	   (3 * OBS_NS_PER_S) /* a parent that reaps does so in far less */
#define DEAD_MAX	   1024
#define LIFE_LAST_ERROR_NS (60 * OBS_NS_PER_S)

struct proc {
	pid_t pid;
	uint32_t slot;
	enum obs_role told; /* the start that was told; NONE = none yet */
	bool noted;	    /* death is filled in */
	struct obs_rec_death death;
	uint64_t cpu_ns, max_rss_bytes; /* at its end; 0 = unknown */
	struct obs_last_lines tail;
	const char *error; /* code of its last error event; static */
	uint64_t error_ns; /* CLOCK_REALTIME */
	UT_hash_handle hh;
};

/* A death that waits to be told. */
struct ended {
	struct obs_death d;
	struct obs_last_lines tail;
	enum obs_role role;
	uint64_t wall_ns, uptime_ns;
	uint64_t cpu_ns, max_rss_bytes;
	uint64_t due_ns; /* CLOCK_MONOTONIC */
	uint32_t slot;
	struct ended *next;
};

/* One that has ended, until its parent has taken note. */
struct dead {
	pid_t pid;
	uint64_t start_ticks;
	uint64_t ended_ns; /* CLOCK_BOOTTIME; 0 = before it was watched */
	uint64_t due_ns;   /* CLOCK_BOOTTIME: a zombie is told then */
	uint32_t slot;
	enum obs_role role;
};

/* What is remembered of a node's roles, also over a restart of its container. */
struct history {
	char id[OBS_CONTAINER_ID_LEN + 1];
	uint64_t died_ns[OBS_ROLE_MAX]; /* CLOCK_REALTIME; 0 = never */
	uint32_t restarts[OBS_ROLE_MAX];
};

struct life_node {
	struct obs_node *node;
	struct history h;
	bool listing; /* the processes that were there first are being told */
	bool paused;
	char health[16];
	uint32_t minor; /* deaths without a role told in this minute */
	uint64_t minute;
};

struct life {
	struct obs_part_env env;
	uint64_t opened_ticks; /* clock ticks from boot */
	struct proc *procs;    /* hash by pid, owned */
	struct life_node *nodes[OBS_TARGETS_MAX];
	struct history past[PAST_MAX]; /* of containers that are gone, a ring */
	size_t next_past;
	struct ended *waiting; /* owned list, in order */
	uv_timer_t timer;
	struct dead dead[DEAD_MAX];
	size_t n_dead;
	bool look_for_zombies; /* nodes were found since the last tick */
	pid_t just_ended;      /* its exit record was there: it leaves now */
	bool stopped;
};

static struct proc *find(struct life *l, pid_t pid)
{
	struct proc *p;

	HASH_FIND_INT(l->procs, &pid, p);
	return p;
}

static struct proc *know(struct life *l, pid_t pid, uint32_t slot)
{
	struct proc *p = find(l, pid);

	if (p)
		return p;
	if (HASH_COUNT(l->procs) >= PROCS_MAX) {
		obs_count(&l->env.counters->life_refused, 1);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->pid = pid;
	p->slot = slot;
	HASH_ADD_INT(l->procs, pid, p);
	return p;
}

static void forget(struct life *l, struct proc *p)
{
	HASH_DEL(l->procs, p);
	obs_last_lines_free(&p->tail);
	free(p);
}

static enum obs_role role_of(const struct life *l, pid_t pid)
{
	const struct obs_process *p = obs_targets_process(l->env.targets, pid);

	return p ? p->role : OBS_ROLE_NONE;
}

/* --- who else lives --- */

struct census {
	struct life *l;
	enum obs_role role;
	pid_t except;
	unsigned n;
};

static void count_role(void *ctx, pid_t pid)
{
	struct census *c = ctx;

	if (pid != c->except && role_of(c->l, pid) == c->role)
		c->n++;
}

static bool another_lives(struct life *l, const struct obs_node *node, enum obs_role role,
			  pid_t except)
{
	struct census c = { .l = l, .role = role, .except = except };

	obs_targets_each_pid(l->env.targets, node, count_role, &c);
	return c.n > 0;
}

/* --- starts --- */

static bool tells_start(enum obs_role role)
{
	return role == OBS_ROLE_LAUNCHER || role == OBS_ROLE_TRAINER || role == OBS_ROLE_P2PD ||
	       role == OBS_ROLE_LOGIN || role == OBS_ROLE_EVALUATOR;
}

static void fill_process(struct obs_event *ev, const char *name, enum obs_role role, uint32_t pid,
			 const char *comm)
{
	ev->type = OBS_EVENT_NODE_LIFECYCLE;
	ev->name = name;
	ev->origin.via = OBS_VIA_PROCESS;
	ev->origin.pid = pid;
	ev->origin.comm = obs_slice_str(comm);
	if (role != OBS_ROLE_MAX)
		obs_event_add_str(ev, "role", obs_slice_str(obs_role_str(role)));
}

static void tell_start(struct life *l, struct life_node *n, struct proc *p, enum obs_role role,
		       const char *comm, uint64_t wall_ns)
{
	struct obs_event ev = { .wall_ns = wall_ns };
	uint64_t died_ns = n->h.died_ns[role];

	p->told = role;
	fill_process(&ev, died_ns ? "restarted" : "started", role, (uint32_t)p->pid, comm);
	if (died_ns) {
		obs_event_add_uint(&ev, "restarts", ++n->h.restarts[role]);
		obs_event_add_real(&ev, "down_s",
				   (double)(int64_t)(wall_ns - died_ns) / OBS_NS_PER_S);
	}
	l->env.emit(l->env.ctx, n->node, &ev);
}

static void count_told(void *ctx, pid_t pid)
{
	struct census *c = ctx;
	const struct proc *p = find(c->l, pid);

	if (pid != c->except && p && p->told == c->role)
		c->n++;
}

/* Forks have their parent's command line until their exec, and yarn is several processes. */
static bool is_part_of_another(struct life *l, const struct obs_node *node, enum obs_role role,
			       pid_t pid)
{
	const struct obs_process *o = obs_targets_process(l->env.targets, pid);
	struct census c = { .l = l, .role = role, .except = pid };

	if (o && o->ppid && role_of(l, o->ppid) == role)
		return true;
	obs_targets_each_pid(l->env.targets, node, count_told, &c);
	return c.n > 0;
}

static void consider_start(struct life *l, struct life_node *n, pid_t pid, enum obs_role role,
			   const char *comm, uint64_t wall_ns)
{
	struct proc *p = know(l, pid, n->node->slot);

	if (!p || p->told == role || !tells_start(role))
		return;
	if (role != OBS_ROLE_TRAINER && role != OBS_ROLE_P2PD &&
	    is_part_of_another(l, n->node, role, pid))
		return;
	tell_start(l, n, p, role, comm, wall_ns);
}

static void on_exec(struct life *l, struct life_node *n, const struct obs_record *rec)
{
	enum obs_role role = obs_role_of(rec->tail);
	char comm[OBS_COMM_LEN + 1] = "";

	memcpy(comm, rec->exec->comm, OBS_COMM_LEN);
	consider_start(l, n, (pid_t)rec->exec->tgid, role, comm,
		       l->env.to_wall(l->env.ctx, rec->hdr->ts_ns));
}

/* --- ends --- */

static void take_note(struct obs_death *d, const struct obs_rec_death *note)
{
	d->signal = note->signal;
	d->si_code = note->si_code;
	d->by_kernel = note->by_kernel;
	d->sender_pid = note->sender_tgid;
	d->sender_uid = note->sender_uid;
	memcpy(d->sender_comm, note->sender_comm, OBS_COMM_LEN);
	d->oom_host = note->oom == OBS_OOM_HOST;
	d->oom_cgroup = note->oom == OBS_OOM_CGROUP;
	d->rss_bytes = (note->anon_pages + note->file_pages + note->shmem_pages) * PAGE_BYTES;
	d->limit_bytes = note->limit_pages * PAGE_BYTES;
	d->limit_used_bytes = note->usage_pages * PAGE_BYTES;
	memcpy(d->cgroup, note->cgroup, OBS_CGROUP_NAME_LEN);
}

static void add_signal(struct obs_event *ev, const struct obs_death *d)
{
	int sig = obs_death_signal(d);

	if (d->code_known && !sig)
		obs_event_add_int(ev, "exit_code", WEXITSTATUS(d->wait_status));
	if (sig)
		obs_event_add_int(ev, "signal", sig);
	if (sig && WCOREDUMP(d->wait_status))
		obs_event_add_bool(ev, "core_dumped", true);
	if (!d->signal || (sig && sig != d->signal) || (!sig && !obs_death_was_told(d)))
		return;
	obs_event_add_uint(ev, "sender_pid", d->sender_pid);
	obs_event_add_str(ev, "sender_comm", obs_slice_str(d->sender_comm));
	obs_event_add_uint(ev, "sender_uid", d->sender_uid);
}

static void add_memory(struct obs_event *ev, const struct obs_death *d)
{
	if (!d->oom_host && !d->oom_cgroup)
		return;
	obs_event_add_str(ev, "oom", d->oom_cgroup ? OBS_SLICE("cgroup") : OBS_SLICE("host"));
	obs_event_add_uint(ev, "rss_bytes", d->rss_bytes);
	if (!d->oom_cgroup) {
		obs_event_add_str(ev, "limit_of", OBS_SLICE("host"));
		return;
	}
	obs_event_add_uint(ev, "limit_bytes", d->limit_bytes);
	obs_event_add_uint(ev, "limit_used_bytes", d->limit_used_bytes);
	obs_event_add_str(ev, "limit_of", obs_slice_str(d->cgroup));
}

static void add_advice(struct obs_event *ev, const struct obs_death *d)
{
	bool oom = d->oom_host || d->oom_cgroup;
	const struct obs_advice *a = obs_advice_find(oom ? "PROCESS_KILLED" : d->error);

	if (!a || (obs_death_by_other(d) && !oom))
		return;
	ev->code = a->code;
	obs_event_add_str(ev, "advice", obs_slice_str(a->action));
}

static void tell_end(struct life *l, struct life_node *n, struct ended *e)
{
	cleanup_buf struct obs_buf text = {};
	struct obs_slice lines[OBS_LAST_LINES];
	size_t n_lines = obs_last_lines_take(&e->tail, &text, lines);
	struct obs_event ev = { .wall_ns = e->wall_ns };
	char cause[400];

	if (obs_last_lines_code(lines, n_lines))
		e->d.error = obs_last_lines_code(lines, n_lines);
	obs_death_cause(&e->d, cause, sizeof(cause));
	fill_process(&ev, obs_death_name(&e->d), e->role, e->d.pid, e->d.comm);
	obs_event_add_str(&ev, "reason", obs_slice_str(cause));
	add_signal(&ev, &e->d);
	add_memory(&ev, &e->d);
	if (e->uptime_ns)
		obs_event_add_real(&ev, "uptime_s", (double)e->uptime_ns / OBS_NS_PER_S);
	if (e->role == OBS_ROLE_TRAINER)
		obs_event_add_bool(&ev, "node_lives_on", e->d.lives_on);
	if (e->max_rss_bytes) {
		obs_event_add_real(&ev, "cpu_s", (double)e->cpu_ns / OBS_NS_PER_S);
		obs_event_add_uint(&ev, "max_rss_bytes", e->max_rss_bytes);
	}
	add_advice(&ev, &e->d);
	if (n_lines)
		obs_event_add_list(&ev, "last_lines", lines, n_lines);
	l->env.emit(l->env.ctx, n->node, &ev);
}

static void free_ended(struct ended *e)
{
	obs_last_lines_free(&e->tail);
	free(e);
}

/* A node's deaths go with it; others wait until they are due. */
static void tell_waiting(struct life *l, const struct obs_node *gone, bool all)
{
	uint64_t now = obs_clock_ns(CLOCK_MONOTONIC), next = UINT64_MAX;

	for (struct ended **at = &l->waiting; *at;) {
		struct ended *e = *at;
		struct life_node *n = l->nodes[e->slot];
		bool its = n && n->node == gone;

		if (n && !all && !its && e->due_ns > now) {
			next = e->due_ns < next ? e->due_ns : next;
			at = &e->next;
			continue;
		}
		*at = e->next;
		e->d.lives_on = !its;
		if (n)
			tell_end(l, n, e);
		free_ended(e);
	}
	if (next != UINT64_MAX && !l->stopped)
		uv_timer_start(&l->timer, l->timer.timer_cb, (next - now) / 1000000 + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
	tell_waiting(timer->data, NULL, false);
}

static void wait_and_tell(struct life *l, struct ended *e)
{
	struct ended **at = &l->waiting;

	while (*at)
		at = &(*at)->next;
	*at = e;
	e->due_ns = obs_clock_ns(CLOCK_MONOTONIC) + LIVES_ON_MS * OBS_NS_PER_MS;
	if (!uv_is_active((uv_handle_t *)&l->timer))
		uv_timer_start(&l->timer, on_timer, LIVES_ON_MS, 0);
}

/* --- what is left of them --- */

static void note_dead(struct life *l, const struct dead *d)
{
	if (l->n_dead == DEAD_MAX) {
		obs_count(&l->env.counters->zombies_unwatched, 1);
		return;
	}
	l->dead[l->n_dead++] = *d;
}

/* Has p2pd its parent, the DHT? */
static void note_kept_p2pd(void *ctx, pid_t pid)
{
	struct census *c = ctx;
	enum obs_role above;

	if (role_of(c->l, pid) != OBS_ROLE_P2PD)
		return;
	above = role_of(c->l, obs_proc_parent(pid));
	if (above == OBS_ROLE_DHT || above == OBS_ROLE_WORKER || above == OBS_ROLE_TRAINER)
		c->n++;
}

/* It ended before it was watched, and its command line is gone with it. Of a trainer's forks the
 * DHT process is the one that starts p2pd: where no fork has one, it is that which ended. */
static enum obs_role guess_role(struct life *l, const struct obs_node *node,
				const struct obs_proc_zombie *z)
{
	const struct obs_process *parent = obs_targets_process(l->env.targets, z->ppid);
	struct census c = { .l = l };

	if (strcmp(z->comm, "p2pd") == 0)
		return OBS_ROLE_P2PD;
	if (!parent || parent->role != OBS_ROLE_TRAINER || strcmp(z->comm, parent->comm) != 0)
		return OBS_ROLE_NONE;
	obs_targets_each_pid(l->env.targets, node, note_kept_p2pd, &c);
	return c.n || another_lives(l, node, OBS_ROLE_DHT, 0) ? OBS_ROLE_WORKER : OBS_ROLE_DHT;
}

static void tell_zombie(struct life *l, const struct dead *d, const struct obs_proc_zombie *z)
{
	struct life_node *n = l->nodes[d->slot];
	enum obs_role role = n && !d->ended_ns ? guess_role(l, n->node, z) : d->role;
	char parent[16], reason[200];
	struct obs_event ev = {};

	if (!n || role == OBS_ROLE_NONE)
		return;
	obs_proc_comm(z->ppid, parent, sizeof(parent));
	snprintf(reason, sizeof(reason),
		 "has ended, and its parent, process %d (%s), does not take note of it: a zombie",
		 z->ppid, parent);
	fill_process(&ev, "zombie", role, (uint32_t)d->pid, z->comm);
	obs_event_add_str(&ev, "reason", obs_slice_str(reason));
	obs_event_add_uint(&ev, "parent_pid", (uint64_t)z->ppid);
	obs_event_add_str(&ev, "parent_comm", obs_slice_str(parent));
	obs_event_add_bool(&ev, "parent_is_trainer", role_of(l, z->ppid) == OBS_ROLE_TRAINER);
	if (d->ended_ns)
		obs_event_add_real(&ev, "ended_s_ago",
				   (double)(obs_boot_ns() - d->ended_ns) / OBS_NS_PER_S);
	l->env.emit(l->env.ctx, n->node, &ev);
}

/* A parent that takes note has done so long before it is due. */
static void look_at_dead(struct life *l)
{
	uint64_t now = obs_boot_ns();
	struct obs_proc_zombie z;
	size_t kept = 0;

	for (size_t i = 0; i < l->n_dead; i++) {
		struct dead *d = &l->dead[i];

		if (d->due_ns > now)
			l->dead[kept++] = *d;
		else if (obs_proc_zombie(d->pid, &z) && z.start_ticks == d->start_ticks)
			tell_zombie(l, d, &z);
	}
	l->n_dead = kept;
}

static bool find_zombie(void *ctx, pid_t pid)
{
	struct life *l = ctx;
	struct obs_proc_zombie z;
	struct obs_node *node;
	struct dead d = { .pid = pid };

	if (!obs_proc_zombie(pid, &z))
		return true;
	node = obs_targets_node_of(l->env.targets, z.ppid);
	if (!node || !l->nodes[node->slot])
		return true;
	for (size_t i = 0; i < l->n_dead; i++) {
		if (l->dead[i].pid == pid)
			return true;
	}
	d.slot = node->slot;
	d.start_ticks = z.start_ticks;
	d.due_ns = obs_boot_ns() + ZOMBIE_AFTER_NS;
	note_dead(l, &d);
	return true;
}

/* Killed, but of no role: some of them are told, so that a storm of them is not. */
static bool minor_allowed(struct life *l, struct life_node *n, uint64_t wall_ns)
{
	if (wall_ns / (60 * OBS_NS_PER_S) != n->minute) {
		n->minute = wall_ns / (60 * OBS_NS_PER_S);
		n->minor = 0;
	}
	if (n->minor++ < MINOR_PER_MINUTE)
		return true;
	obs_count(&l->env.counters->deaths_untold, 1);
	return false;
}

static bool worth_telling(struct life *l, struct life_node *n, const struct ended *e)
{
	switch (e->role) {
	case OBS_ROLE_TRAINER:
	case OBS_ROLE_DHT:
	case OBS_ROLE_P2PD:
	case OBS_ROLE_EVALUATOR:
		return true;
	case OBS_ROLE_LAUNCHER:
	case OBS_ROLE_LOGIN:
		if (!another_lives(l, n->node, e->role, (pid_t)e->d.pid))
			return true;
		break;
	default:
		break;
	}
	return obs_death_signal(&e->d) && minor_allowed(l, n, e->wall_ns);
}

static uint64_t uptime(const struct obs_process *p, uint64_t boot_ns)
{
	uint64_t start_ns = obs_ticks_ns(p->start_ticks);

	return p->start_ticks && boot_ns > start_ns ? boot_ns - start_ns : 0;
}

static void describe(const struct obs_process *o, struct proc *p, struct ended *e)
{
	e->role = o->role;
	e->d.role = obs_role_str(o->role);
	e->d.pid = (uint32_t)o->pid;
	snprintf(e->d.comm, sizeof(e->d.comm), "%s", o->comm);
	if (!p)
		return;
	if (p->noted)
		take_note(&e->d, &p->death);
	if (p->error && e->wall_ns < p->error_ns + LIFE_LAST_ERROR_NS)
		e->d.error = p->error;
	e->cpu_ns = p->cpu_ns;
	e->max_rss_bytes = p->max_rss_bytes;
	e->tail = p->tail;
	p->tail = (struct obs_last_lines){};
}

/* @wait_status: NULL = unknown */
static void end(struct life *l, struct life_node *n, const struct obs_process *o,
		const int32_t *wait_status, uint64_t boot_ns)
{
	struct proc *p = find(l, o->pid);
	struct ended *e = calloc(1, sizeof(*e));

	obs_count(&l->env.counters->processes_ended, 1);
	if (!e)
		return;
	e->slot = n->node->slot;
	e->wall_ns = l->env.to_wall(l->env.ctx, boot_ns);
	e->uptime_ns = uptime(o, boot_ns);
	e->d.code_known = wait_status != NULL;
	e->d.wait_status = wait_status ? *wait_status : 0;
	describe(o, p, e);
	if (p)
		forget(l, p);
	if (!worth_telling(l, n, e)) {
		free_ended(e);
		return;
	}
	n->h.died_ns[e->role] = e->wall_ns;
	note_dead(l, &(struct dead){ o->pid, o->start_ticks, boot_ns, boot_ns + ZOMBIE_AFTER_NS,
				     n->node->slot, e->role });
	if (e->role == OBS_ROLE_TRAINER) {
		wait_and_tell(l, e);
	} else {
		tell_end(l, n, e);
		free_ended(e);
	}
}

/* --- what the engine calls --- */

static void on_death(struct life *l, const struct obs_record *rec)
{
	struct proc *p = know(l, (pid_t)rec->death->tgid, rec->death->target);

	if (!p)
		return;
	p->noted = true;
	memcpy(&p->death, rec->death, sizeof(p->death));
	p->death.sender_comm[OBS_COMM_LEN - 1] = '\0';
	p->death.cgroup[OBS_CGROUP_NAME_LEN - 1] = '\0';
}

/* Comes before the exit record; of processes without a role nobody will ask. */
static void on_exit_usage(struct life *l, const struct obs_record *rec)
{
	struct proc *p = find(l, (pid_t)rec->exit_usage->tgid);

	if (!p)
		return;
	p->cpu_ns = rec->exit_usage->spent.run_ns;
	p->max_rss_bytes = rec->exit_usage->max_rss_pages * PAGE_BYTES;
}

static void on_exit_record(struct life *l, struct life_node *n, const struct obs_record *rec)
{
	const struct obs_process *o = obs_targets_process(l->env.targets, (pid_t)rec->exit->tgid);

	l->just_ended = (pid_t)rec->exit->tgid;
	if (o && o->node == n->node)
		end(l, n, o, &rec->exit->code, rec->hdr->ts_ns);
}

static void on_write(struct life *l, const struct obs_record *rec)
{
	struct proc *p;

	if (rec->tail.len == 0)
		return;
	p = know(l, (pid_t)rec->write->tgid, rec->write->target);
	if (p)
		obs_last_lines_push(&p->tail, rec->tail);
}

static void life_record(void *part, struct obs_node *node, const struct obs_record *rec)
{
	struct life *l = part;
	struct life_node *n = node ? l->nodes[node->slot] : NULL;

	if (!n)
		return;
	switch (rec->hdr->type) {
	case OBS_REC_WRITE:
		on_write(l, rec);
		break;
	case OBS_REC_EXEC:
		on_exec(l, n, rec);
		break;
	case OBS_REC_DEATH:
		on_death(l, rec);
		break;
	case OBS_REC_EXIT_USAGE:
		on_exit_usage(l, rec);
		break;
	case OBS_REC_EXIT:
		on_exit_record(l, n, rec);
		break;
	default:
		break;
	}
}

static void life_event(void *part, const struct obs_node *node, const struct obs_event *ev)
{
	struct life *l = part;
	struct proc *p;

	if (!node || !ev->code || ev->type != OBS_EVENT_ERROR || !ev->origin.pid)
		return;
	p = find(l, (pid_t)ev->origin.pid);
	if (!p)
		return;
	p->error = ev->code;
	p->error_ns = ev->wall_ns;
}

static void recall(struct life *l, struct life_node *n)
{
	if (!*n->node->ref.id)
		return;
	for (size_t i = 0; i < PAST_MAX; i++) {
		if (strcmp(l->past[i].id, n->node->ref.id) == 0)
			n->h = l->past[i];
	}
	snprintf(n->h.id, sizeof(n->h.id), "%s", n->node->ref.id);
}

static void life_ready(void *part, struct obs_node *node)
{
	struct life *l = part;
	struct life_node *n = calloc(1, sizeof(*n));

	if (!n)
		return;
	n->node = node;
	n->paused = node->paused;
	memcpy(n->health, node->health, sizeof(n->health));
	l->nodes[node->slot] = n;
	l->look_for_zombies = true;
	recall(l, n);
}

/* When it was forked, not when we heard of it: what it wrote in between is of this life. One
 * that was forked long ago became a node's by an exec that nobody told of. */
static uint64_t start_wall(const struct life *l, const struct obs_process *o)
{
	uint64_t now_ns = obs_wall_ns();
	uint64_t forked_ns = l->env.to_wall(l->env.ctx, obs_ticks_ns(o->start_ticks));

	return o->start_ticks && now_ns - forked_ns < JUST_FORKED_NS ? forked_ns : now_ns;
}

/* Those that were there before us have not started now. */
static void life_joined(void *part, struct obs_node *node, pid_t pid)
{
	struct life *l = part;
	struct life_node *n = l->nodes[node->slot];
	const struct obs_process *o = obs_targets_process(l->env.targets, pid);
	struct proc *p;

	if (!n || !o)
		return;
	obs_count(&l->env.counters->processes_joined, 1);
	if (o->start_ticks < l->opened_ticks) {
		p = tells_start(o->role) ? know(l, pid, node->slot) : NULL;
		if (p)
			p->told = o->role;
		return;
	}
	consider_start(l, n, pid, o->role, o->comm, start_wall(l, o));
}

/* Gone without an exit record: polled, or the record was lost. */
static void life_left(void *part, struct obs_node *node, pid_t pid)
{
	struct life *l = part;
	struct life_node *n = l->nodes[node->slot];
	const struct obs_process *o = obs_targets_process(l->env.targets, pid);
	struct obs_proc_zombie z;
	bool is_left;

	if (o && n && pid != l->just_ended) {
		/* a zombie keeps how it ended */
		is_left = obs_proc_zombie(pid, &z) && z.start_ticks == o->start_ticks;
		end(l, n, o, is_left ? &z.wait_status : NULL, obs_boot_ns());
	}
	l->just_ended = 0;
}

static void life_gone(void *part, struct obs_node *node)
{
	struct life *l = part;
	struct life_node *n = l->nodes[node->slot];
	struct proc *p, *next;

	if (!n)
		return;
	tell_waiting(l, node, false);
	if (*n->h.id) {
		l->past[l->next_past] = n->h;
		l->next_past = (l->next_past + 1) % PAST_MAX;
	}
	HASH_ITER(hh, l->procs, p, next)
	{
		if (p->slot == node->slot)
			forget(l, p);
	}
	l->nodes[node->slot] = NULL;
	free(n);
}

static void tell_container(struct life *l, const struct life_node *n, const char *name)
{
	struct obs_event ev = {};

	fill_process(&ev, name, OBS_ROLE_MAX, 0, "");
	if (*n->health)
		obs_event_add_str(&ev, "health", obs_slice_str(n->health));
	l->env.emit(l->env.ctx, n->node, &ev);
}

/* What its engine has told of the container since. */
static void look_at_container(struct life *l, struct life_node *n)
{
	bool sick = strcmp(n->node->health, "unhealthy") == 0;
	bool was_sick = strcmp(n->health, "unhealthy") == 0;

	memcpy(n->health, n->node->health, sizeof(n->health));
	if (n->paused != n->node->paused) {
		n->paused = n->node->paused;
		tell_container(l, n, n->paused ? "paused" : "resumed");
	}
	if (sick != was_sick)
		tell_container(l, n, sick ? "unhealthy" : "healthy");
}

static void life_changed(void *part, struct obs_node *node)
{
	struct life *l = part;

	if (l->nodes[node->slot])
		look_at_container(l, l->nodes[node->slot]);
}

static void life_tick(void *part)
{
	struct life *l = part;

	if (l->look_for_zombies)
		obs_proc_each(find_zombie, l);
	l->look_for_zombies = false;
	look_at_dead(l);
}

static int life_start(const struct obs_part_env *env, void **ret)
{
	struct life *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->env = *env;
	l->opened_ticks = obs_boot_ns() / obs_ticks_ns(1);
	uv_timer_init(env->loop, &l->timer);
	l->timer.data = l;
	*ret = l;
	return 0;
}

static void life_stop(void *part)
{
	struct life *l = part;

	l->stopped = true;
	tell_waiting(l, NULL, true);
	uv_close((uv_handle_t *)&l->timer, NULL);
}

static void life_free(void **part)
{
	struct life *l = *part;
	struct proc *p, *next;

	HASH_ITER(hh, l->procs, p, next)
	{
		forget(l, p);
	}
	for (struct ended *e = l->waiting, *after; e; e = after) {
		after = e->next;
		free_ended(e);
	}
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++)
		free(l->nodes[i]);
	free(l);
	*part = NULL;
}

extern const struct obs_part_ops obs_part_life;

const struct obs_part_ops obs_part_life = {
	.name = "life",
	.start = life_start,
	.record = life_record,
	.event = life_event,
	.ready = life_ready,
	.joined = life_joined,
	.left = life_left,
	.gone = life_gone,
	.changed = life_changed,
	.tick = life_tick,
	.stop = life_stop,
	.free = life_free,
};
