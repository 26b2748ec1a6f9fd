// SPDX-License-Identifier: BSD-2-Clause
/*
 * tally.c - see tally.h.
 *
 * A process's counters only grow, but the sum over its threads can dip for a moment, when one is
 * between living and ended: what was counted once is never taken back, and never counted twice.
 */
#include "collect/tally.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "util/cleanup.h"

#define SLOTS	   1024
#define LOOKS_KEPT 64
#define NS_PER_S   1e9

struct process {
	int32_t pid;
	uint64_t start_ns;
	uint32_t slot;
	unsigned role;
	uint64_t look;	     /* the last one that saw it */
	uint64_t since_look; /* the last one before it was known */
	bool seen_once;
	struct obs_used now;  /* summed during a look */
	struct obs_used seen; /* counted so far */
	struct obs_process_usage view;
	UT_hash_handle hh;
};

/* What is needed between two looks, and nobody shows. */
struct node {
	struct obs_node_usage usage;
	uint64_t look_ns;   /* CLOCK_BOOTTIME of the last look, 0 = none yet */
	uint64_t cgroup_ns; /* likewise, of its cgroup */
	uint64_t late_ns;   /* see obs_tally_late() */
	bool late_known;
	struct obs_used last, role_last[OBS_USAGE_ROLES];
};

struct obs_tally {
	struct node *nodes[SLOTS]; /* owned, by slot */
	struct process *processes; /* owned, hash by pid */
	uint64_t look;
	uint64_t boot_ns; /* of this look */
};

int obs_tally_new(struct obs_tally **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void forget(struct obs_tally *t, struct process *p)
{
	HASH_DEL(t->processes, p);
	free(p);
}

void obs_tally_free(struct obs_tally **tp)
{
	struct obs_tally *t = *tp;
	struct process *p, *next;

	if (!t)
		return;
	HASH_ITER(hh, t->processes, p, next)
	forget(t, p);
	for (size_t i = 0; i < SLOTS; i++)
		free(t->nodes[i]);
	free(t);
	*tp = NULL;
}

static struct node *node_of(struct obs_tally *t, uint32_t slot)
{
	return slot < SLOTS ? t->nodes[slot] : NULL;
}

int obs_tally_open_node(struct obs_tally *t, uint32_t slot)
{
	if (slot >= SLOTS)
		return -EINVAL;
	obs_tally_drop_node(t, slot);
	t->nodes[slot] = calloc(1, sizeof(struct node));
	if (!t->nodes[slot])
		return -ENOMEM;
	t->nodes[slot]->usage.cpu_limit = NAN;
	t->nodes[slot]->usage.shared_memory_limit = OBS_UNKNOWN;
	return 0;
}

void obs_tally_drop_node(struct obs_tally *t, uint32_t slot)
{
	struct process *p, *next;

	if (!node_of(t, slot))
		return;
	HASH_ITER(hh, t->processes, p, next)
	{
		if (p->slot == slot)
			forget(t, p);
	}
	free(t->nodes[slot]);
	t->nodes[slot] = NULL;
}

/* --- sums --- */

static uint64_t above(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* to += by */
static void add_used(struct obs_used *to, const struct obs_used *by)
{
	to->cpu_ns += by->cpu_ns;
	to->user_ns += by->user_ns;
	to->system_ns += by->system_ns;
	to->min_faults += by->min_faults;
	to->maj_faults += by->maj_faults;
	to->read_bytes += by->read_bytes;
	to->write_bytes += by->write_bytes;
}

static struct obs_used grown(const struct obs_used *now, const struct obs_used *seen)
{
	return (struct obs_used){
		.cpu_ns = above(now->cpu_ns, seen->cpu_ns),
		.user_ns = above(now->user_ns, seen->user_ns),
		.system_ns = above(now->system_ns, seen->system_ns),
		.min_faults = above(now->min_faults, seen->min_faults),
		.maj_faults = above(now->maj_faults, seen->maj_faults),
		.read_bytes = above(now->read_bytes, seen->read_bytes),
		.write_bytes = above(now->write_bytes, seen->write_bytes),
	};
}

/* A part of the node's use: for good, and for the rates of this interval. */
static void count(struct node *node, unsigned role, const struct obs_used *part)
{
	add_used(&node->usage.used, part);
	add_used(&node->usage.roles[role].used, part);
	add_used(&node->last, part);
	add_used(&node->role_last[role], part);
}

/* --- processes --- */

static struct process *find(struct obs_tally *t, int32_t pid)
{
	struct process *p;

	HASH_FIND(hh, t->processes, &pid, sizeof(pid), p);
	return p;
}

static struct process *add(struct obs_tally *t, int32_t pid, uint32_t slot)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->pid = pid;
	p->slot = slot;
	p->since_look = t->look;
	HASH_ADD(hh, t->processes, pid, sizeof(p->pid), p);
	return p;
}

static struct process *know(struct obs_tally *t, const struct obs_task_usage *task)
{
	struct process *p = find(t, task->pid);

	if (p && p->slot == task->slot && !p->start_ns)
		p->start_ns = task->start_ns; /* only its fork was known */
	if (p && p->slot == task->slot && p->start_ns == task->start_ns)
		return p;
	if (p)
		forget(t, p); /* its number was given to another one */
	p = add(t, task->pid, task->slot);
	if (p)
		p->start_ns = task->start_ns;
	return p;
}

void obs_tally_begin(struct obs_tally *t, uint64_t boot_ns)
{
	t->look++;
	t->boot_ns = boot_ns;
}

static void note_leader(struct process *p, const struct obs_task_usage *task, uint64_t now_ns)
{
	struct obs_process_usage *v = &p->view;

	v->pid = task->pid;
	v->ppid = task->ppid;
	v->role = (uint8_t)p->role;
	v->state = task->state;
	v->threads = task->threads;
	v->rss_bytes = task->rss_bytes;
	v->swap_bytes = task->swap_bytes;
	v->age_s = (double)above(now_ns, task->start_ns) / NS_PER_S;
	memcpy(v->comm, task->comm, sizeof(v->comm));
}

int obs_tally_add(struct obs_tally *t, const struct obs_task_usage *task, unsigned role)
{
	struct process *p;

	if (!node_of(t, task->slot) || role >= OBS_USAGE_ROLES)
		return 0;
	p = know(t, task);
	if (!p)
		return -ENOMEM;
	if (!p->seen_once || p->look != t->look)
		p->now = (struct obs_used){};
	p->seen_once = true;
	p->look = t->look;
	p->role = role;
	add_used(&p->now, &task->used);
	if (task->leader)
		note_leader(p, task, t->boot_ns);
	return 0;
}

int obs_tally_started(struct obs_tally *t, uint32_t slot, int32_t pid)
{
	struct node *node = node_of(t, slot);

	if (!node)
		return 0;
	node->usage.started++;
	return find(t, pid) || add(t, pid, slot) ? 0 : -ENOMEM;
}

/* The process with that number, if it is the one that is meant. */
static struct process *known(struct obs_tally *t, uint32_t slot, int32_t pid)
{
	struct process *p = find(t, pid);

	return p && p->slot == slot ? p : NULL;
}

void obs_tally_ended(struct obs_tally *t, uint32_t slot, int32_t pid)
{
	struct node *node = node_of(t, slot);
	struct process *p = known(t, slot, pid);

	if (!node || !p)
		return;
	node->usage.ended++;
	node->usage.short_lived += !p->seen_once;
	forget(t, p);
}

void obs_tally_exit(struct obs_tally *t, const struct obs_exit_usage *exit, unsigned role)
{
	struct node *node = node_of(t, exit->slot);
	struct process *p = known(t, exit->slot, exit->pid);
	struct obs_used part = exit->used;

	if (!node || role >= OBS_USAGE_ROLES)
		return;
	node->usage.ended++;
	node->usage.short_lived += !p || !p->seen_once;
	if (p && p->start_ns == exit->start_ns)
		part = grown(&exit->used, &p->seen);
	count(node, role, &part);
	if (p)
		forget(t, p);
}

void obs_tally_late(struct obs_tally *t, uint32_t slot, uint64_t total_ns)
{
	struct node *node = node_of(t, slot);
	struct obs_used part = {};

	if (!node)
		return;
	if (node->late_known)
		part.cpu_ns = part.system_ns = above(total_ns, node->late_ns);
	count(node, 0, &part);
	node->late_ns = total_ns;
	node->late_known = true;
}

/* --- the end of a look --- */

static void reset_sums(struct node *node)
{
	struct obs_node_usage *u = &node->usage;

	u->processes = u->threads = u->zombies = 0;
	u->rss_bytes = u->swap_bytes = 0;
	u->n_top = 0;
	for (size_t i = 0; i < OBS_USAGE_ROLES; i++) {
		struct obs_used used = u->roles[i].used;

		u->roles[i] = (struct obs_role_usage){ .used = used };
	}
}

static bool is_more(const struct obs_process_usage *a, const struct obs_process_usage *b)
{
	if (a->cpu_percent != b->cpu_percent)
		return a->cpu_percent > b->cpu_percent;
	return a->rss_bytes > b->rss_bytes;
}

/* Insert into the short sorted list; the least one falls off its end. */
static void rank(struct obs_node_usage *u, const struct obs_process_usage *v)
{
	size_t at = u->n_top < OBS_USAGE_TOP ? u->n_top++ : OBS_USAGE_TOP;

	while (at > 0 && is_more(v, &u->top[at - 1])) {
		if (at < OBS_USAGE_TOP)
			u->top[at] = u->top[at - 1];
		at--;
	}
	if (at < OBS_USAGE_TOP)
		u->top[at] = *v;
}

static void sum_process(struct node *node, struct process *p)
{
	struct obs_node_usage *u = &node->usage;
	struct obs_role_usage *r = &u->roles[p->role];

	u->processes++;
	u->threads += p->view.threads;
	u->zombies += p->view.state == 'Z';
	u->rss_bytes += p->view.rss_bytes;
	u->swap_bytes += p->view.swap_bytes;
	r->processes++;
	r->threads += p->view.threads;
	r->rss_bytes += p->view.rss_bytes;
	r->swap_bytes += p->view.swap_bytes;
}

/* @seconds: of the interval, 0 = there is none yet */
static void settle(struct node *node, struct process *p, double seconds)
{
	struct obs_used part = grown(&p->now, &p->seen);

	add_used(&p->seen, &part);
	count(node, p->role, &part);
	p->view.cpu_percent = p->view.read_bytes_per_s = p->view.write_bytes_per_s = 0;
	if (seconds > 0) {
		p->view.cpu_percent = 100 * (double)part.cpu_ns / NS_PER_S / seconds;
		p->view.read_bytes_per_s = (double)part.read_bytes / seconds;
		p->view.write_bytes_per_s = (double)part.write_bytes / seconds;
	}
	sum_process(node, p);
	rank(&node->usage, &p->view);
}

static double interval_of(const struct obs_tally *t, const struct node *node)
{
	return node->look_ns ? (double)above(t->boot_ns, node->look_ns) / NS_PER_S : 0;
}

static void set_rates(struct obs_tally *t, struct node *node, uint64_t wall_ns)
{
	struct obs_node_usage *u = &node->usage;

	u->interval_s = interval_of(t, node);
	u->sampled_ns = wall_ns;
	u->cpu_percent = 0;
	for (size_t i = 0; i < OBS_USAGE_ROLES && u->interval_s > 0; i++)
		u->roles[i].cpu_percent =
			100 * (double)node->role_last[i].cpu_ns / NS_PER_S / u->interval_s;
	if (u->interval_s > 0)
		u->cpu_percent = 100 * (double)node->last.cpu_ns / NS_PER_S / u->interval_s;
	node->last = (struct obs_used){};
	memset(node->role_last, 0, sizeof(node->role_last));
	node->look_ns = t->boot_ns;
}

void obs_tally_finish(struct obs_tally *t, uint64_t wall_ns)
{
	struct process *p, *next;

	for (size_t i = 0; i < SLOTS; i++) {
		if (t->nodes[i])
			reset_sums(t->nodes[i]);
	}
	HASH_ITER(hh, t->processes, p, next)
	{
		/* Not seen: it has ended, and that may still be on its way to us: kept, so that
		 * nothing is counted again then. */
		if (p->look + LOOKS_KEPT < t->look && p->since_look + LOOKS_KEPT < t->look)
			forget(t, p);
		else if (p->look == t->look && p->seen_once)
			settle(t->nodes[p->slot], p, interval_of(t, t->nodes[p->slot]));
	}
	for (size_t i = 0; i < SLOTS; i++) {
		if (t->nodes[i])
			set_rates(t, t->nodes[i], wall_ns);
	}
}

/* --- its cgroup --- */

static double cpu_limit(const struct obs_cgroup_usage *c)
{
	double limit = NAN;

	if (c->quota_usec != OBS_UNKNOWN && c->period_usec != OBS_UNKNOWN && c->period_usec > 0)
		limit = (double)c->quota_usec / (double)c->period_usec;
	if (c->cpus != OBS_UNKNOWN && c->cpus > 0 && !(limit < (double)c->cpus))
		limit = (double)c->cpus;
	return limit;
}

void obs_tally_cgroup(struct obs_tally *t, uint32_t slot, const struct obs_cgroup_usage *cgroup,
		      uint64_t boot_ns)
{
	struct node *node = node_of(t, slot);
	struct obs_node_usage *u;
	double seconds;

	if (!node)
		return;
	u = &node->usage;
	seconds = node->cgroup_ns ? (double)above(boot_ns, node->cgroup_ns) / NS_PER_S : 0;
	if (seconds > 0 && cgroup->cpu_ns != OBS_UNKNOWN && u->cgroup.cpu_ns != OBS_UNKNOWN)
		u->cpu_percent =
			100 * (double)above(cgroup->cpu_ns, u->cgroup.cpu_ns) / NS_PER_S / seconds;
	u->cgroup = *cgroup;
	u->cpu_limit = cpu_limit(cgroup);
	u->has_cgroup = true;
	node->cgroup_ns = boot_ns;
}

struct obs_node_usage *obs_tally_node(struct obs_tally *t, uint32_t slot)
{
	struct node *node = node_of(t, slot);

	return node ? &node->usage : NULL;
}

void obs_tally_each_pid(struct obs_tally *t, void (*fn)(void *ctx, uint32_t slot, int32_t pid),
			void *ctx)
{
	struct process *p, *next;

	HASH_ITER(hh, t->processes, p, next)
	fn(ctx, p->slot, p->pid);
}

size_t obs_tally_processes(const struct obs_tally *t)
{
	return HASH_COUNT(t->processes);
}
