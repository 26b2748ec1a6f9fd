// SPDX-License-Identifier: BSD-2-Clause
/*
 * targets.c - see targets.h. Three tables: nodes by slot, processes by pid,
 * containers by id (also those that are no nodes, so that each is asked about once).
 */
#include "observe/targets.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#include <uthash.h>

#include "observe/proc.h"
#include "observe/rules.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define ASK_TIMEOUT_MS 1000
#define ANCESTORS_MAX  32
#define CONTAINERS_MAX 4096
#define COMMAND_BYTES  1024
#define EMPTY_KEEP_NS  (60 * OBS_NS_PER_S)

struct process {
	struct obs_process p;
	bool missed; /* it was gone at the last scan */
	UT_hash_handle hh;
};

struct container {
	char id[OBS_CONTAINER_ID_LEN + 1];
	struct obs_node *node; /* NULL = no node */
	bool excluded;
	bool asked; /* its engine answered and no container rule wants it */
	UT_hash_handle hh;
};

struct obs_targets {
	struct obs_targets_options opt;
	struct obs_node *nodes[OBS_TARGETS_MAX]; /* by slot; [0] stays NULL */
	uint32_t last_slot;
	pid_t own[ANCESTORS_MAX];  /* we, and who started us: their command lines may quote ours */
	struct process *processes; /* hash by pid, owned */
	struct container *containers; /* hash by id, owned */
};

/* An engine's answer may come after the node it was asked for is gone. */
struct question {
	struct obs_targets *t;
	uint32_t slot;
	char id[OBS_CONTAINER_ID_LEN + 1];
};

static bool glob_any(const struct obs_strv *globs, const char *text)
{
	for (size_t i = 0; i < globs->n; i++) {
		if (fnmatch(globs->v[i], text, 0) == 0)
			return true;
	}
	return false;
}

static bool rules_match_container(const struct obs_target_rules *r,
				  const struct obs_container_info *info)
{
	if (glob_any(&r->container, info->name) || glob_any(&r->image, info->image))
		return true;
	for (size_t i = 0; i < info->n_labels; i++) {
		if (glob_any(&r->label, info->labels[i]))
			return true;
	}
	return false;
}

static bool has_container_rules(const struct obs_target_rules *r)
{
	return r->container.n + r->image.n + r->label.n > 0;
}

/* --- ourselves: watching our own output would never end --- */

static void note_own(struct obs_targets *t)
{
	pid_t pid = getpid();

	for (size_t i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		t->own[i] = pid;
		pid = obs_proc_parent(pid);
	}
}

static bool is_own(const struct obs_targets *t, pid_t pid)
{
	for (size_t i = 0; i < ANCESTORS_MAX && t->own[i]; i++) {
		if (t->own[i] == pid)
			return true;
	}
	return false;
}

/* --- processes --- */

static struct process *find_process(struct obs_targets *t, pid_t pid)
{
	struct process *p;

	HASH_FIND_INT(t->processes, &pid, p);
	return p;
}

/* Forks of the trainer have its command line. Which of them is the DHT shows when it has
 * started p2pd (hivemind.dht.DHT is a ForkProcess; p2pd is its child). */
static enum obs_role role_inside(struct obs_targets *t, const struct process *p, enum obs_role role)
{
	struct process *parent = find_process(t, p->p.ppid);

	if (!parent || parent->p.node != p->p.node)
		return role;
	if (role == OBS_ROLE_P2PD && parent->p.role == OBS_ROLE_WORKER)
		parent->p.role = OBS_ROLE_DHT;
	if (role != OBS_ROLE_TRAINER)
		return role;
	switch (parent->p.role) {
	case OBS_ROLE_TRAINER:
	case OBS_ROLE_DHT:
	case OBS_ROLE_WORKER:
		return OBS_ROLE_WORKER;
	default:
		return role;
	}
}

static void note_program(struct obs_targets *t, struct process *p, struct obs_slice args)
{
	cleanup_buf struct obs_buf comm = {};

	p->p.role = role_inside(t, p, obs_role_of(args));
	if (obs_proc_read(p->p.pid, "comm", &comm) == 0)
		snprintf(p->p.comm, sizeof(p->p.comm), "%.*s",
			 (int)strcspn(obs_buf_cstr(&comm), "\n"), comm.p ? comm.p : "");
}

static void look_at_program(struct obs_targets *t, struct process *p)
{
	cleanup_buf struct obs_buf args = {};

	if (obs_proc_read(p->p.pid, "cmdline", &args) == 0)
		note_program(t, p, obs_buf_slice(&args));
}

static void forget_process(struct obs_targets *t, struct process *p)
{
	if (t->opt.kernel)
		obs_kernel_drop_process(t->opt.kernel, (uint32_t)p->p.pid);
	HASH_DEL(t->processes, p);
	p->p.node->n_pids--;
	free(p);
}

static int add_child(struct obs_targets *t, struct obs_node *node, pid_t pid, pid_t ppid)
{
	struct process *p = find_process(t, pid);

	if ((p && p->p.node == node) || is_own(t, pid))
		return 0;
	if (p)
		forget_process(t, p);
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->p = (struct obs_process){
		.pid = pid,
		.ppid = ppid,
		.start_ticks = obs_proc_start_ticks(pid),
		.node = node,
	};
	HASH_ADD_INT(t->processes, p.pid, p);
	look_at_program(t, p);
	node->n_pids++;
	node->empty = false;
	if (t->opt.kernel)
		obs_kernel_add_process(t->opt.kernel, (uint32_t)pid, node->slot);
	if (node->state == OBS_NODE_READY)
		t->opt.ops->joined(t->opt.ctx, node, pid);
	return 1;
}

static int add_process(struct obs_targets *t, struct obs_node *node, pid_t pid)
{
	return add_child(t, node, pid, obs_proc_parent(pid));
}

/* --- nodes --- */

static struct obs_node *new_node(struct obs_targets *t)
{
	struct obs_node *node;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		uint32_t slot = (t->last_slot + i) % OBS_TARGETS_MAX;

		if (slot == 0 || slot == OBS_SLOT_CANARY || t->nodes[slot])
			continue;
		node = calloc(1, sizeof(*node));
		if (!node)
			return NULL;
		node->slot = t->last_slot = slot;
		node->found_ns = obs_wall_ns();
		return t->nodes[slot] = node;
	}
	return NULL;
}

static void free_node(struct obs_targets *t, struct obs_node *node)
{
	struct container *c, *next_c;
	struct process *p, *next_p;

	HASH_ITER(hh, t->processes, p, next_p)
	{
		if (p->p.node == node)
			forget_process(t, p);
	}
	HASH_ITER(hh, t->containers, c, next_c)
	{
		if (c->node == node)
			c->node = NULL;
	}
	if (t->opt.kernel && node->cgroup)
		obs_kernel_drop_cgroup(t->opt.kernel, node->cgroup);
	t->nodes[node->slot] = NULL;
	obs_buf_free(&node->pending);
	free(node);
}

static void end_node(struct obs_targets *t, struct obs_node *node)
{
	node->state = OBS_NODE_GONE;
	obs_count(&t->opt.counters->targets_gone, 1);
	t->opt.ops->gone(t->opt.ctx, node);
	free_node(t, node);
}

/* Its held exits come meanwhile: it may be gone afterwards. Returns whether it is there. */
static bool set_ready(struct obs_targets *t, struct obs_node *node)
{
	uint32_t slot = node->slot;

	node->state = OBS_NODE_READY;
	obs_count(&t->opt.counters->targets_found, 1);
	t->opt.ops->ready(t->opt.ctx, node);
	if (!t->nodes[slot])
		return false;
	obs_buf_free(&node->pending);
	return true;
}

static void set_title(struct obs_node *node, pid_t pid)
{
	cleanup_buf struct obs_buf comm = {};

	if (*node->name) {
		snprintf(node->title, sizeof(node->title), "%s", node->name);
	} else if (*node->id12) {
		snprintf(node->title, sizeof(node->title), "%s", node->id12);
	} else {
		obs_proc_read(pid, "comm", &comm);
		snprintf(node->title, sizeof(node->title), "pid %d (%.*s)", pid,
			 (int)strcspn(obs_buf_cstr(&comm), "\n"), comm.p ? comm.p : "");
	}
}

/* --- plain process trees --- */

static bool command_wanted(struct obs_targets *t, struct obs_slice args)
{
	char command[COMMAND_BYTES];

	obs_args_join(args, command, sizeof(command));
	if (glob_any(&t->opt.exclude->command, command))
		return false;
	if (t->opt.builtin && obs_role_makes_node(obs_role_of(args)))
		return true;
	return glob_any(&t->opt.include->command, command);
}

static bool pid_wanted(struct obs_targets *t, pid_t pid)
{
	cleanup_buf struct obs_buf args = {};

	return obs_proc_read(pid, "cmdline", &args) == 0 && command_wanted(t, obs_buf_slice(&args));
}

/* The topmost ancestor that looks like part of a node itself: the launcher script. */
static pid_t tree_root(struct obs_targets *t, pid_t pid)
{
	pid_t root = pid, up = pid;

	for (int i = 0; i < ANCESTORS_MAX; i++) {
		up = obs_proc_parent(up);
		if (up <= 1 || is_own(t, up))
			break;
		if (pid_wanted(t, up))
			root = up;
	}
	return root;
}

struct tree_walk {
	struct obs_targets *t;
	struct obs_node *node;
	bool grown;
};

static bool add_if_child(void *ctx, pid_t pid)
{
	struct tree_walk *w = ctx;
	struct process *parent = find_process(w->t, obs_proc_parent(pid));

	/* its exit may have been told already: it would come to life again */
	if (parent && parent->p.node == w->node && !find_process(w->t, pid) &&
	    !obs_proc_is_zombie(pid) && add_process(w->t, w->node, pid) > 0)
		w->grown = true;
	return true;
}

/* Pids are mostly in order, parents first: one pass finds nearly all, a last one nothing. */
static void add_tree(struct obs_targets *t, struct obs_node *node, pid_t root)
{
	struct tree_walk w = { .t = t, .node = node };

	add_process(t, node, root);
	do {
		w.grown = false;
		obs_proc_each(add_if_child, &w);
	} while (w.grown);
}

static void add_plain(struct obs_targets *t, pid_t pid)
{
	pid_t root = tree_root(t, pid);
	struct process *known = find_process(t, root);
	struct obs_node *node = known ? known->p.node : new_node(t);

	if (!node)
		return;
	if (known) {
		add_process(t, node, pid);
		return;
	}
	node->wanted = true;
	set_title(node, root);
	add_tree(t, node, root);
	set_ready(t, node);
}

/* --- containers --- */

static struct container *know_container(struct obs_targets *t, const char *id)
{
	struct container *c, *next;

	HASH_FIND_STR(t->containers, id, c);
	if (c)
		return c;
	if (HASH_COUNT(t->containers) >= CONTAINERS_MAX) {
		HASH_ITER(hh, t->containers, c, next)
		{
			if (c->node)
				continue;
			HASH_DEL(t->containers, c);
			free(c);
		}
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	snprintf(c->id, sizeof(c->id), "%s", id);
	HASH_ADD_STR(t->containers, id, c);
	return c;
}

struct container_walk {
	struct obs_targets *t;
	struct obs_node *node;
	struct obs_buf text;
};

static bool add_if_inside(void *ctx, pid_t pid)
{
	struct container_walk *w = ctx;
	struct obs_container_ref ref;

	if (obs_proc_read(pid, "cgroup", &w->text) == 0 &&
	    obs_cgroup_parse(obs_buf_slice(&w->text), &ref) == 0 &&
	    strcmp(ref.id, w->node->ref.id) == 0 && !obs_proc_is_zombie(pid))
		add_process(w->t, w->node, pid);
	return true;
}

static void add_members(struct obs_targets *t, struct obs_node *node)
{
	struct container_walk w = { .t = t, .node = node };

	obs_proc_each(add_if_inside, &w);
	obs_buf_free(&w.text);
}

static void note_info(struct obs_node *node, const struct obs_container_info *info)
{
	snprintf(node->name, sizeof(node->name), "%s", info->name);
	snprintf(node->image, sizeof(node->image), "%s", info->image);
	snprintf(node->log_path, sizeof(node->log_path), "%s", info->log_path);
	node->log_local = info->log_local;
	node->network = info->network;
	node->paused = info->paused;
	snprintf(node->health, sizeof(node->health), "%s", info->health);
	set_title(node, 0);
}

static void decide(struct obs_targets *t, struct obs_node *node,
		   const struct obs_container_info *info)
{
	struct container *c = know_container(t, node->ref.id);
	bool excluded = info && rules_match_container(t->opt.exclude, info);
	bool included = node->wanted || (info && rules_match_container(t->opt.include, info));

	if (included && !excluded) {
		if (set_ready(t, node) && node->n_pids == 0 && !node->empty)
			end_node(t, node); /* it ended while we asked */
		return;
	}
	if (c) {
		c->excluded = excluded;
		c->asked = info != NULL;
	}
	t->opt.ops->refused(t->opt.ctx, node);
	free_node(t, node);
}

static void on_answer(void *ctx, const char *id, int err, const struct obs_container_info *info)
{
	struct question *q = ctx;
	struct obs_targets *t = q->t;
	struct obs_node *node = err == -ECANCELED ? NULL : t->nodes[q->slot];

	(void)id;
	if (node && node->state == OBS_NODE_ASKING && strcmp(node->ref.id, q->id) == 0) {
		if (err == 0)
			note_info(node, info);
		decide(t, node, err == 0 ? info : NULL);
	}
	free(q);
}

static void ask(struct obs_targets *t, struct obs_node *node)
{
	struct question *q = malloc(sizeof(*q));

	if (q && t->opt.containers) {
		*q = (struct question){ .t = t, .slot = node->slot };
		memcpy(q->id, node->ref.id, sizeof(q->id));
		if (obs_containers_ask(t->opt.containers, node->ref.id, ASK_TIMEOUT_MS, on_answer,
				       q) == 0)
			return;
	}
	free(q);
	decide(t, node, NULL);
}

static struct obs_node *new_container_node(struct obs_targets *t, struct container *c,
					   const struct obs_container_ref *ref, uint64_t cgroup)
{
	struct obs_node *node = new_node(t);

	if (!node)
		return NULL;
	node->ref = *ref;
	node->state = OBS_NODE_ASKING;
	node->cgroup = cgroup;
	node->empty = true;
	snprintf(node->id12, sizeof(node->id12), "%.12s", ref->id);
	set_title(node, 0);
	c->node = node;
	if (t->opt.kernel && cgroup)
		obs_kernel_add_cgroup(t->opt.kernel, cgroup, node->slot);
	return node;
}

static void add_container(struct obs_targets *t, struct container *c,
			  const struct obs_container_ref *ref, struct obs_slice cgroup, bool wanted)
{
	struct obs_node *node = new_container_node(t, c, ref, obs_proc_cgroup_v2(cgroup, ref->id));

	if (!node)
		return;
	node->wanted = wanted;
	add_members(t, node);
	ask(t, node);
}

void obs_targets_cgroup(struct obs_targets *t, uint64_t id, struct obs_slice path)
{
	cleanup_buf struct obs_buf line = {};
	struct obs_container_ref ref;
	struct obs_node *node;
	struct container *c;

	if (!has_container_rules(t->opt.include))
		return;
	obs_buf_printf(&line, "0::%.*s\n", (int)path.len, path.p);
	if (obs_cgroup_parse(obs_buf_slice(&line), &ref) < 0)
		return;
	c = know_container(t, ref.id);
	if (!c || c->node || c->excluded || c->asked)
		return;
	node = new_container_node(t, c, &ref, id);
	if (node)
		ask(t, node);
}

static void consider_container(struct obs_targets *t, pid_t pid,
			       const struct obs_container_ref *ref, struct obs_slice cgroup,
			       bool wanted)
{
	struct container *c = know_container(t, ref->id);

	if (!c || c->excluded)
		return;
	if (c->node) {
		c->node->wanted |= wanted;
		add_process(t, c->node, pid);
		return;
	}
	if (wanted || (has_container_rules(t->opt.include) && !c->asked))
		add_container(t, c, ref, cgroup, wanted);
}

/* Does an exec need a look at its cgroup although its command is not wanted? */
static bool must_look_inside(struct obs_targets *t)
{
	if (has_container_rules(t->opt.include))
		return true;
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		struct obs_node *node = t->nodes[i];

		if (node && node->ref.runtime != OBS_RUNTIME_NONE && !node->cgroup)
			return true;
	}
	return false;
}

/* Our child, or a child of it, until it execs: it has our command line. */
static bool is_canary(pid_t pid)
{
	pid_t parent = obs_proc_parent(pid);

	return parent == getpid() || (parent > 1 && obs_proc_parent(parent) == getpid());
}

static void consider(struct obs_targets *t, pid_t pid, struct obs_slice args)
{
	cleanup_buf struct obs_buf cgroup = {};
	bool wanted = command_wanted(t, args);
	struct obs_container_ref ref;

	if ((!wanted && !must_look_inside(t)) || is_own(t, pid))
		return;
	if (wanted && is_canary(pid))
		return;
	if (obs_proc_read(pid, "cgroup", &cgroup) == 0 &&
	    obs_cgroup_parse(obs_buf_slice(&cgroup), &ref) == 0)
		consider_container(t, pid, &ref, obs_buf_slice(&cgroup), wanted);
	else if (wanted)
		add_plain(t, pid);
}

/* --- what the owner calls --- */

int obs_targets_new(const struct obs_targets_options *opt, struct obs_targets **ret)
{
	struct obs_targets *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->opt = *opt;
	note_own(t);
	*ret = t;
	return 0;
}

void obs_targets_free(struct obs_targets **tp)
{
	struct obs_targets *t = *tp;
	struct container *c, *next;

	if (!t)
		return;
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (t->nodes[i])
			free_node(t, t->nodes[i]);
	}
	HASH_ITER(hh, t->containers, c, next)
	{
		HASH_DEL(t->containers, c);
		free(c);
	}
	free(t);
	*tp = NULL;
}

struct scan {
	struct obs_targets *t;
	struct obs_buf args;
};

static bool scan_one(void *ctx, pid_t pid)
{
	struct scan *s = ctx;

	if (find_process(s->t, pid) || obs_proc_read(pid, "cmdline", &s->args) < 0)
		return true;
	if (s->args.len > 0) /* not a kernel thread */
		consider(s->t, pid, obs_buf_slice(&s->args));
	return true;
}

/* Where the kernel tells of exits, a record of this one may be on its way: if not, the next scan
 * takes it for lost. */
static void reap(struct obs_targets *t)
{
	struct process *p, *next;

	HASH_ITER(hh, t->processes, p, next)
	{
		if (obs_proc_lives(p->p.pid, p->p.start_ticks) ||
		    (p->p.ended && p->p.node->state == OBS_NODE_ASKING))
			continue;
		if (t->opt.exits_told && !p->missed)
			p->missed = true;
		else
			obs_targets_exit(t, p->p.pid);
	}
}

/* A container that was made and never started. */
static void drop_empty(struct obs_targets *t)
{
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		struct obs_node *node = t->nodes[i];

		if (node && node->empty && node->state == OBS_NODE_READY &&
		    obs_wall_ns() - node->found_ns > EMPTY_KEEP_NS)
			end_node(t, node);
	}
}

static void follow_trees(struct obs_targets *t)
{
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		struct tree_walk w = { .t = t, .node = t->nodes[i] };

		if (w.node && w.node->ref.runtime == OBS_RUNTIME_NONE)
			obs_proc_each(add_if_child, &w);
	}
}

int obs_targets_scan(struct obs_targets *t)
{
	struct scan s = { .t = t };
	int r;

	reap(t);
	r = obs_proc_each(scan_one, &s);
	follow_trees(t);
	drop_empty(t);
	obs_buf_free(&s.args);
	return r;
}

void obs_targets_exec(struct obs_targets *t, pid_t pid, struct obs_slice args, uint32_t slot)
{
	struct obs_node *node = obs_targets_node(t, slot);
	struct process *p = find_process(t, pid);
	int added;

	if (node) {
		node->wanted |= command_wanted(t, args);
		added = add_process(t, node, pid);
		p = find_process(t, pid);
		/* a new one has told it all, if /proc still had it */
		if (p && (added == 0 || p->p.role == OBS_ROLE_NONE))
			note_program(t, p, args);
	} else if (!p) {
		consider(t, pid, args);
	}
}

void obs_targets_fork(struct obs_targets *t, pid_t child, pid_t parent, uint32_t slot)
{
	struct obs_node *node = obs_targets_node(t, slot);

	if (node)
		add_child(t, node, child, parent);
}

void obs_targets_hold_exit(struct obs_targets *t, pid_t pid)
{
	struct process *p = find_process(t, pid);

	if (p)
		p->p.ended = true;
}

void obs_targets_exit(struct obs_targets *t, pid_t pid)
{
	struct process *p = find_process(t, pid);
	struct obs_node *node;

	if (!p)
		return;
	node = p->p.node;
	if (node->state == OBS_NODE_READY)
		t->opt.ops->left(t->opt.ctx, node, pid);
	forget_process(t, p);
	if (node->n_pids == 0 && node->state == OBS_NODE_READY)
		end_node(t, node);
}

void obs_targets_container_changed(struct obs_targets *t, const char *id,
				   const struct obs_container_info *info)
{
	struct container *c;

	HASH_FIND_STR(t->containers, id, c);
	if (!c || !info)
		return;
	if (c->node) {
		note_info(c->node, info);
		if (c->node->state == OBS_NODE_READY)
			t->opt.ops->changed(t->opt.ctx, c->node);
		return;
	}
	/* A new name may meet, or no longer meet, the rules: judge it again at its next exec. */
	c->asked = c->excluded = false;
}

struct obs_node *obs_targets_node(struct obs_targets *t, uint32_t slot)
{
	return slot < OBS_TARGETS_MAX ? t->nodes[slot] : NULL;
}

struct obs_node *obs_targets_node_of(struct obs_targets *t, pid_t pid)
{
	struct process *p = find_process(t, pid);

	return p ? p->p.node : NULL;
}

const struct obs_process *obs_targets_process(struct obs_targets *t, pid_t pid)
{
	struct process *p = find_process(t, pid);

	return p ? &p->p : NULL;
}

void obs_targets_each(struct obs_targets *t, void (*fn)(void *ctx, struct obs_node *node),
		      void *ctx)
{
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (t->nodes[i])
			fn(ctx, t->nodes[i]);
	}
}

void obs_targets_each_pid(struct obs_targets *t, const struct obs_node *node,
			  void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	struct process *p, *next;

	HASH_ITER(hh, t->processes, p, next)
	{
		if (p->p.node == node)
			fn(ctx, p->p.pid);
	}
}

uint64_t obs_process_mark(const struct obs_process *p)
{
	return p ? p->start_ticks << 22 ^ (uint64_t)p->pid : 0;
}

uint64_t obs_targets_mark(struct obs_targets *t, const struct obs_node *node, enum obs_role role)
{
	const struct obs_process *oldest = NULL;
	struct process *p, *next;

	HASH_ITER(hh, t->processes, p, next)
	{
		if (p->p.node == node && p->p.role == role &&
		    (!oldest || p->p.start_ticks < oldest->start_ticks))
			oldest = &p->p;
	}
	return obs_process_mark(oldest);
}

pid_t obs_targets_any_pid(struct obs_targets *t, const struct obs_node *node)
{
	struct process *p, *next;

	HASH_ITER(hh, t->processes, p, next)
	{
		if (p->p.node == node)
			return p->p.pid;
	}
	return 0;
}
