// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_state.c - what state each node is in, and whether it earns: feeds model/life.h with
 * events, processes and silence, and tells each change.
 *
 * An event may be in the middle of its way when a change is concluded from it, so changes wait
 * for the next turn of the loop.
 */
#include "pipeline/part.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "model/life.h"
#include "model/life_state.h"
#include "observe/blocked.h"
#include "pipeline/engine.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define GONE_MAX      64
#define GONE_KEEP_NS  (24 * 3600 * OBS_NS_PER_S)
#define KEEP_SECONDS  60 /* between two times that what is known is kept */
#define KEEP_PER_TICK 20
#define CHANGES_MAX   4
#define SETTLE_NS     (500 * OBS_NS_PER_MS) /* an end that others may follow */
#define BUSY_TICKS    3			    /* of CPU in a second: it computes */
#define STOP_LOOK_MS  10		    /* a signal to stop acts a moment after it is sent */
#define STOP_LOOKS    20
#define STALE_NS      (5 * OBS_NS_PER_S)

/* A change that waits to be told: texts as they were then. */
struct told {
	struct obs_change change;
	char reason[OBS_EVIDENCE_BYTES];
	struct obs_observation evidence[OBS_EVIDENCE_MAX];
	unsigned n_evidence;
};

/* An end that means nothing if the rest ends with it, or if a new one comes. */
struct settling {
	uint64_t due_ns; /* CLOCK_MONOTONIC; 0 = none */
	uint64_t wall_ns;
	char text[OBS_EVIDENCE_BYTES];
};

struct seat {
	struct obs_life life;
	struct obs_node *node; /* NULL: it has ended */
	char name[160], id[OBS_CONTAINER_ID_LEN + 1], id12[13];
	uint64_t gone_ns; /* CLOCK_REALTIME */
	struct told told[CHANGES_MAX];
	unsigned n_told;
	struct settling dht, p2pd, server;
	bool trainer_ends; /* its death is about to be told */
	pid_t trainer;
	uint64_t trainer_ticks;
	uint64_t active_ns; /* CLOCK_MONOTONIC: it wrote or computed */
	bool paused;
	unsigned kept;		 /* seconds since it was kept */
	unsigned kept_often;	 /* times since the last tick */
	uint64_t kept_sum;	 /* what_counts() then */
	uint64_t silence_due_ns; /* its patience ends then, before the next tick; 0 = it does not */
	unsigned stop_looks;	 /* left, until a signal that was sent shows */
	char stopped_by[80];	 /* who sent the last one; "" = not seen */
};

struct state {
	struct obs_part_env env;
	struct seat *seats[OBS_TARGETS_MAX];
	struct seat *gone[GONE_MAX];
	size_t next_gone;
	uv_timer_t timer;
	struct obs_life_view *views; /* owned; one per node and per node that has ended */
	bool stopped;
};

static uint64_t mono_ns(void)
{
	return obs_clock_ns(CLOCK_MONOTONIC);
}

/* --- telling --- */

static void on_timer(uv_timer_t *timer);

static void wake(struct state *s, uint64_t in_ms)
{
	if (!s->stopped &&
	    (!uv_is_active((uv_handle_t *)&s->timer) || uv_timer_get_due_in(&s->timer) > in_ms))
		uv_timer_start(&s->timer, on_timer, in_ms, 0);
}

static void on_change(void *ctx, const struct obs_life *life, const struct obs_change *change)
{
	struct seat *seat = ctx;
	struct told *t;

	if (seat->n_told == CHANGES_MAX) { /* the newest is what counts */
		memmove(seat->told, seat->told + 1, (CHANGES_MAX - 1) * sizeof(*seat->told));
		seat->n_told--;
		seat->told[0].change.from = change->from;
	}
	t = &seat->told[seat->n_told++];
	t->change = *change;
	snprintf(t->reason, sizeof(t->reason), "%s", obs_machine_reason(&life->machine));
	memcpy(t->evidence, life->machine.evidence, sizeof(t->evidence));
	t->n_evidence = life->machine.n_evidence;
}

static void add_text(struct obs_event *ev, const char *key, const char *text)
{
	if (text && *text)
		obs_event_add_str(ev, key, obs_slice_str(text));
}

static void tell(struct state *s, const struct seat *seat, const struct told *t)
{
	struct obs_slice evidence[OBS_EVIDENCE_MAX];
	struct obs_event ev = {
		.type = OBS_EVENT_NODE_STATE,
		.name = "changed",
		.wall_ns = t->change.wall_ns,
		.origin.via = OBS_VIA_PROCESS,
	};

	add_text(&ev, "from", obs_state_str(t->change.from.state));
	add_text(&ev, "to", obs_state_str(t->change.to.state));
	add_text(&ev, "sub_state", obs_shown_sub_str(&t->change.to));
	add_text(&ev, "meaning", obs_shown_help(&t->change.to));
	add_text(&ev, "reason", t->reason);
	add_text(&ev, "when", obs_input_str(t->change.input));
	if (seat->life.rounds.known)
		obs_event_add_uint(&ev, "round", seat->life.rounds.round);
	for (unsigned i = 0; i < t->n_evidence; i++)
		evidence[i] = obs_slice_str(t->evidence[i].text);
	obs_event_add_list(&ev, "evidence", evidence, t->n_evidence);
	s->env.emit(s->env.ctx, seat->node, &ev);
}

static void keep(struct state *s, struct seat *seat);

/* What is known is kept in the transaction of the event that tells it. */
static void tell_changes(struct state *s, struct seat *seat)
{
	if (seat->n_told)
		keep(s, seat);
	for (unsigned i = 0; i < seat->n_told; i++)
		tell(s, seat, &seat->told[i]);
	seat->n_told = 0;
}

static void input(struct state *s, struct seat *seat, enum obs_input in, uint64_t wall_ns,
		  const char *text)
{
	obs_life_input(&seat->life, in, wall_ns, text);
	if (seat->n_told)
		wake(s, 0);
}

/* --- processes --- */

struct census {
	const struct state *s;
	unsigned n[OBS_ROLE_MAX];
	pid_t trainer;
};

static void count_one(void *ctx, pid_t pid)
{
	struct census *c = ctx;
	const struct obs_process *p = obs_targets_process(c->s->env.targets, pid);

	if (!p)
		return;
	c->n[p->role]++;
	if (p->role == OBS_ROLE_TRAINER)
		c->trainer = pid;
}

static void take_census(const struct state *s, const struct seat *seat, struct census *ret)
{
	*ret = (struct census){ .s = s };
	obs_targets_each_pid(s->env.targets, seat->node, count_one, ret);
}

static void watch_trainer(struct seat *seat, pid_t pid)
{
	seat->trainer = pid;
	seat->trainer_ticks = 0;
	seat->active_ns = mono_ns();
	seat->trainer_ends = false;
}

static bool is_role(struct obs_slice role, enum obs_role want)
{
	return obs_slice_eq(role, obs_slice_str(obs_role_str(want)));
}

static void on_start(struct state *s, struct seat *seat, const struct obs_event *ev,
		     struct obs_slice role)
{
	static const struct {
		enum obs_role role;
		enum obs_input in;
	} starts[] = {
		{ OBS_ROLE_LAUNCHER, OBS_INPUT_LAUNCHER_STARTED },
		{ OBS_ROLE_TRAINER, OBS_INPUT_TRAINER_STARTED },
		{ OBS_ROLE_P2PD, OBS_INPUT_P2PD_STARTED },
		{ OBS_ROLE_LOGIN, OBS_INPUT_SERVER_STARTED },
	};
	char text[80];

	snprintf(text, sizeof(text), "%.*s started: process %u", (int)role.len, role.p,
		 ev->origin.pid);
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		if (!is_role(role, starts[i].role))
			continue;
		if (starts[i].role == OBS_ROLE_TRAINER)
			watch_trainer(seat, (pid_t)ev->origin.pid);
		if (starts[i].role == OBS_ROLE_P2PD)
			seat->p2pd.due_ns = 0;
		input(s, seat, starts[i].in, ev->wall_ns, text);
	}
}

static void settle(struct state *s, struct settling *w, uint64_t wall_ns, const char *text)
{
	w->due_ns = mono_ns() + SETTLE_NS;
	w->wall_ns = wall_ns;
	snprintf(w->text, sizeof(w->text), "%s", text);
	wake(s, SETTLE_NS / OBS_NS_PER_MS + 1);
}

static void on_end(struct state *s, struct seat *seat, const struct obs_event *ev,
		   struct obs_slice role)
{
	struct obs_slice reason = obs_event_get_str(ev, "reason");
	char text[OBS_EVIDENCE_BYTES];

	snprintf(text, sizeof(text), "%.*s (process %u) %.*s", (int)role.len, role.p,
		 ev->origin.pid, (int)reason.len, reason.p);
	if (is_role(role, OBS_ROLE_DHT))
		settle(s, &seat->dht, ev->wall_ns, text);
	else if (is_role(role, OBS_ROLE_P2PD))
		settle(s, &seat->p2pd, ev->wall_ns, text);
	else if (is_role(role, OBS_ROLE_LOGIN))
		settle(s, &seat->server, ev->wall_ns, text);
	else if (is_role(role, OBS_ROLE_TRAINER)) {
		if (seat->trainer == (pid_t)ev->origin.pid)
			seat->trainer = 0;
		if (seat->trainer == 0)
			input(s, seat, OBS_INPUT_TRAINER_ENDED, ev->wall_ns, text);
	}
}

/* Its end was told, if it was seen. It was not where it ended before the node was watched. */
static void on_zombie(struct state *s, struct seat *seat, const struct obs_event *ev,
		      struct obs_slice role)
{
	struct census c;

	take_census(s, seat, &c);
	if ((is_role(role, OBS_ROLE_DHT) && c.n[OBS_ROLE_DHT] == 0) ||
	    (is_role(role, OBS_ROLE_P2PD) && c.n[OBS_ROLE_P2PD] == 0))
		on_end(s, seat, ev, role);
}

static void settle_one(struct state *s, struct seat *seat, struct settling *w, uint64_t now,
		       enum obs_input in, bool means_something)
{
	if (!w->due_ns)
		return;
	if (w->due_ns > now) {
		wake(s, (w->due_ns - now) / OBS_NS_PER_MS + 1);
		return;
	}
	w->due_ns = 0;
	if (means_something && seat->trainer && !seat->trainer_ends)
		input(s, seat, in, w->wall_ns, w->text);
}

static void settle_all(struct state *s, struct seat *seat)
{
	uint64_t now = mono_ns();
	struct census c;

	if (!seat->dht.due_ns && !seat->p2pd.due_ns && !seat->server.due_ns)
		return;
	take_census(s, seat, &c);
	settle_one(s, seat, &seat->dht, now, OBS_INPUT_DHT_ENDED, c.n[OBS_ROLE_DHT] == 0);
	settle_one(s, seat, &seat->p2pd, now, OBS_INPUT_P2PD_ENDED, c.n[OBS_ROLE_P2PD] == 0);
	settle_one(s, seat, &seat->server, now, OBS_INPUT_SERVER_ENDED, c.n[OBS_ROLE_LOGIN] == 0);
}

static void look_again(struct state *s, struct seat *seat);

static void on_timer(uv_timer_t *timer)
{
	struct state *s = timer->data;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (!s->seats[i])
			continue;
		settle_all(s, s->seats[i]);
		look_again(s, s->seats[i]);
		tell_changes(s, s->seats[i]);
	}
}

/* --- over a restart of the observer --- */

/* Containers by their id, plain trees by what started them; the trainer tells them apart. */
static void keep_name(const struct seat *seat, char *out, size_t size)
{
	const char *comm = strchr(seat->name, '(');

	if (*seat->id)
		snprintf(out, size, "life/%s", seat->id);
	else
		snprintf(out, size, "life/plain %s", comm ? comm : "");
}

static uint64_t trainer_mark(const struct state *s, pid_t pid)
{
	return obs_process_mark(pid ? obs_targets_process(s->env.targets, pid) : NULL);
}

/* Grows with each round and submission: a line that says so is not read again. */
static uint64_t what_counts(const struct obs_life *l)
{
	return l->rounds.joined + l->submits.ok + l->submits.failed;
}

static void keep(struct state *s, struct seat *seat)
{
	cleanup_buf struct obs_buf text = {};
	char name[256];

	seat->kept = 0;
	seat->kept_often++;
	seat->kept_sum = what_counts(&seat->life);
	if (!s->env.outlet->put_state ||
	    obs_life_state_format(&seat->life, trainer_mark(s, seat->trainer), &text) < 0)
		return;
	keep_name(seat, name, sizeof(name));
	s->env.outlet->put_state(s->env.outlet->ctx, name, obs_buf_slice(&text));
}

static void take_up(struct state *s, struct seat *seat)
{
	cleanup_buf struct obs_buf text = {};
	struct census c;
	char name[256];

	keep_name(seat, name, sizeof(name));
	if (!s->env.outlet->get_state ||
	    s->env.outlet->get_state(s->env.outlet->ctx, name, &text) < 0)
		return;
	take_census(s, seat, &c);
	obs_life_state_parse(&seat->life, trainer_mark(s, c.trainer), obs_buf_slice(&text));
}

/* In the transaction of the event that is on its way; many at once with the next tick. */
static void keep_what_counts(struct state *s, struct seat *seat)
{
	if (what_counts(&seat->life) == seat->kept_sum)
		return;
	if (seat->kept_often < KEEP_PER_TICK)
		keep(s, seat);
	else
		seat->kept = KEEP_SECONDS;
}

/* --- silence --- */

static const enum obs_input blocked_inputs[OBS_BLOCK_MAX] = {
	[OBS_BLOCK_NONE] = OBS_INPUT_MAX,
	[OBS_BLOCK_SIGNAL] = OBS_INPUT_STOPPED_BY_SIGNAL,
	[OBS_BLOCK_PIPE] = OBS_INPUT_BLOCKED_PIPE,
	[OBS_BLOCK_LOCK] = OBS_INPUT_BLOCKED_LOCK,
	[OBS_BLOCK_DISK] = OBS_INPUT_BLOCKED_DISK,
	[OBS_BLOCK_LOGIN] = OBS_INPUT_BLOCKED_LOGIN,
	[OBS_BLOCK_CONTROL] = OBS_INPUT_BLOCKED_CONTROL,
	[OBS_BLOCK_REMOTE] = OBS_INPUT_BLOCKED_REMOTE,
	[OBS_BLOCK_SLEEP] = OBS_INPUT_BLOCKED_SILENT,
};

static double patience(const struct state *s, const struct seat *seat)
{
	return obs_life_patience_s(&seat->life, obs_wall_ns(), s->env.config->state.hung_after_s,
				   (double)s->env.config->state.hung_factor);
}

static void judge_silence(struct state *s, struct seat *seat, double silent_s)
{
	struct obs_blocked b;
	char text[OBS_EVIDENCE_BYTES];

	obs_blocked_read(seat->trainer, &b);
	if (b.kind == OBS_BLOCK_NONE)
		return;
	snprintf(text, sizeof(text),
		 "the trainer (process %d) has neither written nor computed for %.0f s; its main "
		 "thread is %.130s",
		 seat->trainer, silent_s, b.words);
	input(s, seat, blocked_inputs[b.kind], obs_wall_ns(), text);
}

/* Its patience may end before the next tick. */
static void look_at_silence(struct state *s, struct seat *seat, uint64_t now)
{
	double silent_s = (double)(now - seat->active_ns) / OBS_NS_PER_S;
	double left_s = patience(s, seat) - silent_s;

	seat->silence_due_ns = 0;
	if (seat->life.machine.activity == OBS_STATE_HUNG || left_s >= 1)
		return;
	if (left_s <= 0) {
		judge_silence(s, seat, silent_s);
		return;
	}
	seat->silence_due_ns = now + (uint64_t)(left_s * OBS_NS_PER_S);
	wake(s, (uint64_t)(left_s * 1000) + 1);
}

static bool is_told_stopped(const struct seat *seat)
{
	return seat->life.machine.activity == OBS_STATE_HUNG &&
	       seat->life.machine.sub == OBS_SUB_SIGNAL;
}

/* Returns whether it stands. */
static bool look_at_stop(struct state *s, struct seat *seat, const struct obs_proc_stat *st)
{
	bool stopped = st->state == 'T' || st->state == 't';
	char text[OBS_EVIDENCE_BYTES];

	if (stopped == is_told_stopped(seat))
		return stopped;
	seat->stop_looks = 0;
	if (stopped) {
		snprintf(text, sizeof(text), "the trainer is stopped by %s",
			 *seat->stopped_by ? seat->stopped_by : "a signal (SIGSTOP or a debugger)");
		input(s, seat, OBS_INPUT_STOPPED_BY_SIGNAL, obs_wall_ns(), text);
	} else {
		seat->active_ns = mono_ns();
		input(s, seat, OBS_INPUT_CONTINUED, obs_wall_ns(), "the trainer is continued");
	}
	return stopped;
}

static void look_at_trainer(struct state *s, struct seat *seat)
{
	struct obs_proc_stat st;
	uint64_t now = mono_ns();
	bool busy, stopped;

	if (!seat->trainer || seat->paused || obs_proc_stat_read(seat->trainer, &st) < 0)
		return;
	stopped = look_at_stop(s, seat, &st);
	busy = st.cpu_ticks >= seat->trainer_ticks + BUSY_TICKS;
	seat->trainer_ticks = st.cpu_ticks;
	if (stopped || busy)
		seat->active_ns = now;
	if (stopped || st.state == 'Z')
		return;
	if (busy)
		input(s, seat, OBS_INPUT_PROGRESS, obs_wall_ns(), "the trainer computes");
	else
		look_at_silence(s, seat, now);
}

/* Between two ticks: after a signal was sent, and when its patience ends. */
static void look_again(struct state *s, struct seat *seat)
{
	uint64_t now = mono_ns();
	bool silent = seat->silence_due_ns && seat->silence_due_ns <= now;
	struct obs_proc_stat st;

	if ((!silent && !seat->stop_looks) || !seat->trainer || seat->paused ||
	    obs_proc_stat_read(seat->trainer, &st) < 0)
		return;
	if (look_at_stop(s, seat, &st))
		return;
	if (silent && st.cpu_ticks < seat->trainer_ticks + BUSY_TICKS)
		look_at_silence(s, seat, now);
	if (seat->stop_looks && --seat->stop_looks)
		wake(s, STOP_LOOK_MS);
}

static void on_signal(struct state *s, struct seat *seat, const struct obs_rec_signal *rec)
{
	const char *name = sigabbrev_np((int)rec->signal);

	if (rec->signal != SIGCONT)
		snprintf(seat->stopped_by, sizeof(seat->stopped_by),
			 "SIG%s from process %u (%.16s)", name ? name : "?", rec->sender_tgid,
			 (const char *)rec->sender_comm);
	seat->stop_looks = STOP_LOOKS;
	wake(s, 1);
}

static void look_at_pause(struct state *s, struct seat *seat)
{
	if (seat->paused == seat->node->paused)
		return;
	seat->paused = seat->node->paused;
	seat->active_ns = mono_ns();
	input(s, seat, seat->paused ? OBS_INPUT_PAUSED : OBS_INPUT_RESUMED, obs_wall_ns(),
	      seat->paused ? "its container was paused" : "its container was resumed");
}

/* Found while it ran, and nothing seen of it so far: say what is missing. */
static void explain_unknown(const struct state *s, struct seat *seat, const struct census *c)
{
	struct obs_machine *m = &seat->life.machine;

	if (m->activity != OBS_STATE_UNKNOWN)
		return;
	snprintf(m->reason, sizeof(m->reason), "%s%s",
		 c->n[OBS_ROLE_TRAINER]
			 ? "its trainer runs, but nothing that it wrote has been seen yet"
			 : "no trainer runs in it; whether it starts or has ended was not seen",
		 s->env.kernel ? "" : "; without BPF its console cannot be seen");
}

static void look(struct state *s, struct seat *seat)
{
	struct census c;

	take_census(s, seat, &c);
	obs_life_chain(&seat->life, s->env.model->chain);
	seat->life.dht_lives = c.n[OBS_ROLE_DHT] > 0;
	if (!seat->trainer && c.trainer && !seat->trainer_ends)
		watch_trainer(seat, c.trainer);
	seat->life.trainer_lives = seat->trainer != 0;
	snprintf(seat->name, sizeof(seat->name), "%s", seat->node->title);
	explain_unknown(s, seat, &c);
	seat->kept_often = 0;
	if (++seat->kept >= KEEP_SECONDS)
		keep(s, seat);
	look_at_pause(s, seat);
	look_at_trainer(s, seat);
	settle_all(s, seat);
	tell_changes(s, seat);
}

/* --- what the engine calls --- */

static void state_record(void *part, struct obs_node *node, const struct obs_record *rec)
{
	struct state *s = part;
	struct seat *seat = node ? s->seats[node->slot] : NULL;

	if (!seat || !seat->trainer)
		return;
	if (rec->hdr->type == OBS_REC_EXIT && (pid_t)rec->exit->tgid == seat->trainer)
		seat->trainer_ends = true;
	if (rec->hdr->type == OBS_REC_SIGNAL && (pid_t)rec->signal->tgid == seat->trainer)
		on_signal(s, seat, rec->signal);
	if (rec->hdr->type != OBS_REC_WRITE || (pid_t)rec->write->tgid != seat->trainer)
		return;
	seat->active_ns = mono_ns();
	if (seat->life.machine.activity == OBS_STATE_HUNG)
		input(s, seat, OBS_INPUT_PROGRESS, s->env.to_wall(s->env.ctx, rec->hdr->ts_ns),
		      "the trainer writes");
}

/* Lines of the life before this one, read from a log that is appended to. */
static bool is_stale(const struct seat *seat, const struct obs_event *ev)
{
	return ev->origin.via == OBS_VIA_BACKFILL && seat->life.trainer_ns &&
	       ev->wall_ns + STALE_NS < seat->life.trainer_ns;
}

static void state_event(void *part, const struct obs_node *node, const struct obs_event *ev)
{
	struct state *s = part;
	struct seat *seat = node ? s->seats[node->slot] : NULL;
	struct obs_slice role;

	if (!seat || ev->type == OBS_EVENT_NODE_STATE || is_stale(seat, ev))
		return;
	role = obs_event_get_str(ev, "role");
	if (ev->type == OBS_EVENT_NODE_LIFECYCLE && role.len) {
		if (obs_event_tells_start(ev))
			on_start(s, seat, ev, role);
		else if (strcmp(ev->name, "zombie") == 0)
			on_zombie(s, seat, ev, role);
		else
			on_end(s, seat, ev, role);
	} else {
		obs_life_event(&seat->life, ev);
		keep_what_counts(s, seat);
	}
	if (seat->n_told)
		wake(s, 0);
}

/* The same container again: its history goes on. */
static struct seat *recall(struct state *s, const struct obs_node *node)
{
	for (size_t i = 0; i < GONE_MAX && *node->ref.id; i++) {
		if (s->gone[i] && strcmp(s->gone[i]->id, node->ref.id) == 0)
			return TAKE_PTR(s->gone[i]);
	}
	return NULL;
}

static void state_ready(void *part, struct obs_node *node)
{
	struct state *s = part;
	struct seat *seat = recall(s, node);
	bool is_new = !seat;

	if (!seat) {
		seat = calloc(1, sizeof(*seat));
		if (!seat)
			return;
		obs_life_init(&seat->life, obs_wall_ns(), on_change, seat);
	}
	seat->node = node;
	seat->paused = node->paused;
	seat->trainer_ends = false;
	seat->life.sees_ends = s->env.sees_ends;
	snprintf(seat->id, sizeof(seat->id), "%s", node->ref.id);
	snprintf(seat->id12, sizeof(seat->id12), "%s", node->id12);
	snprintf(seat->name, sizeof(seat->name), "%s", node->title);
	s->seats[node->slot] = seat;
	if (is_new)
		take_up(s, seat);
}

static uint64_t start_of(const struct state *s, const struct obs_process *p)
{
	return s->env.to_wall(s->env.ctx, obs_ticks_ns(p->start_ticks));
}

/* Than our watch: else its start is told. */
static bool is_older(const struct state *s, const struct seat *seat, const struct obs_process *p)
{
	return seat->life.trainer_ns || start_of(s, p) < seat->life.watched_ns;
}

/* A trainer that was there before us: its start is known, what it does is not. */
static void state_joined(void *part, struct obs_node *node, pid_t pid)
{
	struct state *s = part;
	struct seat *seat = s->seats[node->slot];
	const struct obs_process *p = obs_targets_process(s->env.targets, pid);

	if (!seat || !p || p->role != OBS_ROLE_TRAINER || seat->trainer || !is_older(s, seat, p))
		return;
	watch_trainer(seat, pid);
	seat->life.trainer_lives = true;
	if (!seat->life.trainer_ns)
		seat->life.trainer_ns = start_of(s, p);
}

static void forget_oldest(struct state *s)
{
	free(s->gone[s->next_gone]);
	s->gone[s->next_gone] = NULL;
}

static void state_gone(void *part, struct obs_node *node)
{
	struct state *s = part;
	struct seat *seat = s->seats[node->slot];
	char why[OBS_EVIDENCE_BYTES] = "its last process has ended";

	if (!seat)
		return;
	s->seats[node->slot] = NULL;
	seat->trainer = 0;
	seat->dht.due_ns = seat->p2pd.due_ns = seat->server.due_ns = 0;
	if (seat->life.machine.activity == OBS_STATE_TRAINER_GONE)
		snprintf(why, sizeof(why), "%s", seat->life.machine.reason);
	obs_life_input(&seat->life, OBS_INPUT_NODE_ENDED, obs_wall_ns(), why);
	tell_changes(s, seat);
	seat->node = NULL;
	seat->gone_ns = obs_wall_ns();
	forget_oldest(s);
	s->gone[s->next_gone] = seat;
	s->next_gone = (s->next_gone + 1) % GONE_MAX;
}

static void state_changed(void *part, struct obs_node *node)
{
	struct state *s = part;

	if (s->seats[node->slot])
		look_at_pause(s, s->seats[node->slot]);
}

static void state_tick(void *part)
{
	struct state *s = part;
	uint64_t now = obs_wall_ns();

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (s->seats[i])
			look(s, s->seats[i]);
	}
	for (size_t i = 0; i < GONE_MAX; i++) {
		if (s->gone[i] && now > s->gone[i]->gone_ns + GONE_KEEP_NS) {
			free(s->gone[i]);
			s->gone[i] = NULL;
		}
	}
}

/* --- the model --- */

static void show_submits(const struct obs_submits *from, struct obs_life_view *v)
{
	v->submits_ok = from->ok;
	v->submits_failed = from->failed;
	v->last_submit_ns = from->last_ok_ns;
	v->last_submit_failed_ns = from->last_failed_ns;
	v->last_submit_status = from->last_status;
	memcpy(v->last_submit_words, from->last_words, sizeof(v->last_submit_words));
	memcpy(v->last_reward, from->last_reward, sizeof(v->last_reward));
	memcpy(v->total_rewards, from->total_rewards, sizeof(v->total_rewards));
	memcpy(v->total_wins, from->total_wins, sizeof(v->total_wins));
}

static void show_chain(const struct obs_life *l, struct obs_life_view *v)
{
	const struct obs_chain_side *c = &l->chain;

	memcpy(v->peer_id, c->peer_id, sizeof(v->peer_id));
	memcpy(v->participation, c->participation, sizeof(v->participation));
	memcpy(v->chain_reward, c->reward, sizeof(v->chain_reward));
	v->registered_known = c->registered_known;
	v->registered = c->registered;
	v->chain_round_known = c->round_known;
	v->chain_round = c->round;
	v->chain_rounds = c->round > c->first_round ? c->round - c->first_round : 0;
	v->rounds_behind = obs_life_behind(l);
	v->chain_submitted_ns = c->submitted_ns;
	v->chain_submitted_round = c->submitted_round;
	v->chain_won_ns = c->won_ns;
}

static void show(const struct state *s, const struct seat *seat, struct obs_life_view *v)
{
	const struct obs_life *l = &seat->life;
	struct obs_shown shown = obs_machine_shown(&l->machine);
	struct obs_earning e;

	obs_life_earning(l, obs_wall_ns(), s->env.config->state.submit_interval_s, &e);
	*v = (struct obs_life_view){
		.slot = seat->node ? seat->node->slot : 0,
		.state = obs_state_str(shown.state),
		.sub_state = obs_shown_sub_str(&shown),
		.meaning = obs_shown_help(&shown),
		.since_ns = l->machine.since_ns,
		.watched_ns = l->watched_ns,
		.earning = obs_earns_str(e.earns),
		.round_known = l->rounds.known,
		.round = l->rounds.round,
		.rounds_joined = l->rounds.joined,
		.errors = l->errors,
		.last_error = l->last_error,
		.last_error_ns = l->last_error_ns,
		.n_evidence = l->machine.n_evidence,
	};
	memcpy(v->name, seat->name, sizeof(v->name));
	memcpy(v->container_id, seat->id12, sizeof(v->container_id));
	snprintf(v->reason, sizeof(v->reason), "%s", obs_machine_reason(&l->machine));
	memcpy(v->earning_words, e.sentence, sizeof(v->earning_words));
	show_submits(&l->submits, v);
	show_chain(l, v);
	for (size_t i = 0; i < v->n_evidence; i++) {
		v->evidence[i].wall_ns = l->machine.evidence[i].wall_ns;
		memcpy(v->evidence[i].text, l->machine.evidence[i].text,
		       sizeof(v->evidence[i].text));
	}
}

static void state_refresh(void *part)
{
	struct state *s = part;
	size_t n = 0;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (s->seats[i])
			show(s, s->seats[i], &s->views[n++]);
	}
	for (size_t i = 0; i < GONE_MAX; i++) {
		if (s->gone[i])
			show(s, s->gone[i], &s->views[n++]);
	}
	s->env.model->lives = s->views;
	s->env.model->n_lives = n;
}

static int state_start(const struct obs_part_env *env, void **ret)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->env = *env;
	s->views = calloc(OBS_TARGETS_MAX + GONE_MAX, sizeof(*s->views));
	if (!s->views) {
		free(s);
		return -ENOMEM;
	}
	uv_timer_init(env->loop, &s->timer);
	s->timer.data = s;
	*ret = s;
	return 0;
}

static void state_stop(void *part)
{
	struct state *s = part;

	s->stopped = true;
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (!s->seats[i])
			continue;
		tell_changes(s, s->seats[i]);
		keep(s, s->seats[i]);
	}
	uv_close((uv_handle_t *)&s->timer, NULL);
}

static void state_free(void **part)
{
	struct state *s = *part;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++)
		free(s->seats[i]);
	for (size_t i = 0; i < GONE_MAX; i++)
		free(s->gone[i]);
	s->env.model->lives = NULL;
	s->env.model->n_lives = 0;
	free(s->views);
	free(s);
	*part = NULL;
}

extern const struct obs_part_ops obs_part_state;

const struct obs_part_ops obs_part_state = {
	.name = "state",
	.start = state_start,
	.record = state_record,
	.event = state_event,
	.ready = state_ready,
	.joined = state_joined,
	.gone = state_gone,
	.changed = state_changed,
	.tick = state_tick,
	.refresh = state_refresh,
	.stop = state_stop,
	.free = state_free,
};
