// SPDX-License-Identifier: BSD-2-Clause
/*
 * engine.c - see engine.h. The order of the stages stands in on_record() (ring to
 * stream) and on_event() (parser to outlet). What is not a line is a part's work (part.h).
 */
#include "pipeline/engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <xxhash.h>

#include "enrich/container.h"
#include "observe/canary.h"
#include "observe/connections.h"
#include "observe/decode.h"
#include "observe/kernel.h"
#include "observe/ring.h"
#include "observe/targets.h"
#include "observe/task_events.h"
#include "parse/patterns.h"
#include "pipeline/custom.h"
#include "pipeline/follow.h"
#include "pipeline/part.h"
#include "pipeline/repeats.h"
#include "pipeline/scrub.h"
#include "util/addresses.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define COMMIT_INTERVAL_MS 5
#define SWEEP_INTERVAL_MS  1000
#define RESCAN_SWEEPS_BPF  10
#define COMMIT_SWEEPS	   10	      /* what parts want kept waits so long at most */
#define EMITTED_SOURCE	   UINT64_MAX /* no process and descriptor has this number */
#define CLOCK_STEP_NS	   100000000  /* what is said; slewing and leap seconds smeared are less */

struct obs_engine {
	uv_loop_t *loop;
	const struct obs_config *config;
	struct obs_model *model;
	struct obs_counters *counters;
	const struct obs_outlet *outlet;
	struct obs_kernel *kernel;	     /* owned; NULL without BPF */
	struct obs_ring *ring;		     /* owned; NULL without BPF */
	bool has_task_events;		     /* without BPF: they can be had */
	struct obs_task_events *task_events; /* owned; NULL with BPF, or where they cannot be had */
	struct obs_canary *canary;	     /* owned; NULL when switched off */
	struct obs_containers *containers;   /* owned; NULL without an engine socket */
	struct obs_targets *targets;	     /* owned */
	struct obs_follow *follow;	     /* owned */
	struct obs_parts *parts;	     /* owned */
	struct obs_scrub *scrub;	     /* owned; NULL when switched off */
	struct obs_patterns *patterns;	     /* owned; the operator's; NULL = none */
	struct obs_repeats *repeats;	     /* owned; NULL when switched off */
	uv_timer_t commit_timer, sweep_timer;
	uv_idle_t catch_up;
	uv_timer_t catch_up_timer; /* old logs wait for live lines */
	struct obs_wall_clock clock;
	bool clock_due; /* the next record is the first of a drain */
	uint64_t last_commit_ns;
	uint64_t boot_id; /* hash of the kernel's boot id */
	uint64_t emitted; /* events that no line made */
	uint64_t drops_seen, missed_seen;
	bool lost_due; /* something was dropped: of whose consoles? */
	unsigned sweeps;
	bool uncommitted;
	bool pause_told;
	bool paused; /* too much waits for a commit: nothing more is taken from files */
	struct obs_buf json;
	struct obs_node_status *statuses; /* owned; model->nodes */
	char rpc_host[256];		  /* of the configured chain; "" = none */
	char unheard[256];		  /* nodes whose console is not seen, in words */
};

static uint64_t to_wall(void *ctx, uint64_t boot_ns)
{
	const struct obs_engine *e = ctx;

	return obs_wall_clock_at(&e->clock, boot_ns);
}

/* Before the records of each drain, and once a second: they were written some ms ago at most. */
static void look_at_clock(struct obs_engine *e)
{
	int64_t step = obs_wall_clock_measure(&e->clock, obs_wall_ns, obs_boot_ns);

	e->clock_due = false;
	if (step < CLOCK_STEP_NS && step > -CLOCK_STEP_NS)
		return;
	obs_count(&e->counters->clock_steps, 1);
	obs_info("the clock was set by %+.3f s; timestamps follow it", (double)step / 1e9);
}

/* --- parser to outlet --- */

static void fill_origin(const struct obs_stream *s, const struct obs_node *node,
			const struct obs_line *first, struct obs_origin *o)
{
	bool is_file = obs_stream_kind(s) == OBS_STREAM_FILE;
	bool is_console = !is_file || obs_stream_kept(s);

	o->via = is_console ? OBS_VIA_CONSOLE : first->backfilled ? OBS_VIA_BACKFILL : OBS_VIA_FILE;
	if (node) {
		o->container = obs_slice_str(node->name);
		o->container_id = obs_slice_str(node->id12);
	}
	o->pid = first->pid;
	o->comm = obs_slice_str(first->comm);
	o->path = obs_slice_str(obs_stream_path(s));
	o->offset = first->offset;
	o->has_offset = is_file;
}

/* A file's event has the same id after a crash or a replay; a console's is of this boot. */
static void fill_id(const struct obs_engine *e, const struct obs_stream *s,
		    const struct obs_line *first, struct obs_event_id *id)
{
	if (obs_stream_kind(s) == OBS_STREAM_FILE)
		*id = obs_event_id_file(obs_slice_str(e->config->node_id), obs_stream_file(s),
					obs_stream_epoch(s), first->offset);
	else
		*id = obs_event_id_other(obs_slice_str(e->config->node_id), e->boot_id,
					 obs_stream_file(s)->ino << 2 | obs_stream_file(s)->dev,
					 first->wall_ns - e->clock.minus_boot_ns, first->offset);
}

static void schedule_commit(struct obs_engine *e);
static void catch_up_soon(struct obs_engine *e);
static void commit_if_due(struct obs_engine *e);

static void hand_over(struct obs_engine *e, const struct obs_event *ev)
{
	int r;

	obs_buf_reset(&e->json);
	r = obs_event_format(ev, obs_slice_str(e->config->node_id), &e->json);
	if (r >= 0)
		r = e->outlet->push(e->outlet->ctx, ev, obs_buf_slice(&e->json));
	if (r < 0)
		obs_count(&e->counters->events_refused, 1);
	if (r > 0)
		e->paused = true; /* until the next commit succeeds */
}

static void on_event(void *ctx, struct obs_stream *s, struct obs_event *ev,
		     const struct obs_line *first)
{
	struct obs_engine *e = ctx;
	struct obs_node *node = obs_stream_owner(s);

	obs_count(&e->counters->events_parsed, 1);
	e->uncommitted = true;
	fill_origin(s, node, first, &ev->origin);
	if (ev->type == OBS_EVENT_LOG && e->config->forward == OBS_FORWARD_EVENTS) {
		obs_count(&e->counters->events_filtered, 1);
		obs_parts_event(e->parts, node, ev);
		return;
	}
	fill_id(e, s, first, &ev->id);
	if (e->scrub)
		obs_scrub_event(e->scrub, ev);
	if (node) {
		node->events++;
		node->last_event_ns = ev->wall_ns;
	}

	obs_parts_event(e->parts, node, ev);
	if (obs_repeats_pass(e->repeats, node, ev))
		hand_over(e, ev);
	else
		obs_count(&e->counters->events_collapsed, 1);
}

/* It stands for errors that parts have heard of one by one. */
static void on_repeated(void *ctx, const struct obs_event *ev)
{
	struct obs_engine *e = ctx;

	obs_count(&e->counters->events_emitted, 1);
	e->uncommitted = true;
	hand_over(e, ev);
}

/* Events of parts: no line, no file. */
static void emit(void *ctx, const struct obs_node *node, struct obs_event *ev)
{
	struct obs_engine *e = ctx;

	obs_count(&e->counters->events_emitted, 1);
	e->uncommitted = true;
	if (ev->wall_ns == 0)
		ev->wall_ns = obs_wall_ns();
	if (node) {
		ev->origin.container = obs_slice_str(node->name);
		ev->origin.container_id = obs_slice_str(node->id12);
	}
	if (ev->id.hi == 0 && ev->id.lo == 0)
		ev->id = obs_event_id_other(obs_slice_str(e->config->node_id), e->boot_id,
					    EMITTED_SOURCE, obs_boot_ns(), ++e->emitted);
	if (e->scrub)
		obs_scrub_event(e->scrub, ev);
	obs_parts_event(e->parts, node, ev);
	hand_over(e, ev);
	commit_if_due(e);
}

/* Said once a second per file at most, and not emitted again: its lines had been taken. */
static void on_rewritten(void *ctx, const struct obs_stream *s, const struct obs_rewrite *r)
{
	struct obs_event ev = {
		.type = OBS_EVENT_OBSERVER,
		.name = "rewrite",
		.level = obs_slice_str("INFO"),
		.message = obs_slice_str("written before what was read of it: not emitted again"),
		.wall_ns = r->wall_ns,
		.origin = { .pid = r->pid,
			    .comm = obs_slice_str(r->comm),
			    .path = obs_slice_str(obs_stream_path(s)) },
	};

	obs_event_add_uint(&ev, "writes", r->writes);
	obs_event_add_uint(&ev, "from_offset", r->offset);
	obs_event_add_uint(&ev, "to_offset", r->end);
	emit(ctx, obs_stream_owner(s), &ev);
}

/* --- commits --- */

static int put_cursor(void *ctx, const struct obs_cursor *c)
{
	struct obs_engine *e = ctx;

	return e->outlet->put_cursor(e->outlet->ctx, c);
}

/* Said and counted once per time that a refusing store makes files wait. */
static void note_pause(struct obs_engine *e, bool refused, bool was_paused)
{
	if (refused && e->paused && !e->pause_told) {
		obs_warn("what may wait for the store (limits.waiting_bytes) is half full: files "
			 "are not read on until it takes events again");
		obs_count(&e->counters->pauses, 1);
		e->pause_told = true;
	} else if (!refused) {
		e->pause_told = false;
	}
	if (was_paused && !e->paused)
		catch_up_soon(e);
}

/* The cursors went with a damaged store: its files are read again, under the same ids. */
static void start_again(struct obs_engine *e)
{
	obs_follow_restart(e->follow);
	catch_up_soon(e);
}

static void commit(struct obs_engine *e)
{
	bool was_paused = e->paused;
	int r;

	uv_timer_stop(&e->commit_timer);
	obs_follow_cursors(e->follow, put_cursor, e);
	obs_repeats_save(e->repeats);
	r = e->outlet->commit(e->outlet->ctx);
	e->last_commit_ns = obs_boot_ns();
	if (r < 0) {
		if (e->model->store_error == 0)
			obs_err("the store refuses to write: %s; events wait in memory, and then "
				"in the nodes' files, retrying",
				strerror(-r));
	} else {
		if (e->model->store_error != 0)
			obs_info("the store takes events again");
		e->uncommitted = e->paused = false;
	}
	e->model->store_error = r < 0 ? r : 0;
	note_pause(e, r < 0, was_paused);
	if (r < 0)
		schedule_commit(e);
	if (r > 0)
		start_again(e);
}

static void on_commit_timer(uv_timer_t *timer)
{
	commit(timer->data);
}

/* At once when the last commit is a while ago, else together with what comes meanwhile. */
static void schedule_commit(struct obs_engine *e)
{
	uint64_t wait = e->model->store_error ? 200 * COMMIT_INTERVAL_MS : COMMIT_INTERVAL_MS;

	if (!e->model->store_error &&
	    (e->paused || obs_boot_ns() - e->last_commit_ns >= COMMIT_INTERVAL_MS * 1000000ULL))
		commit(e);
	else if (!uv_is_active((uv_handle_t *)&e->commit_timer))
		uv_timer_start(&e->commit_timer, on_commit_timer, wait, 0);
}

static void commit_if_due(struct obs_engine *e)
{
	if (e->uncommitted)
		schedule_commit(e);
}

/* --- reading on from files, a slice per turn of the loop --- */

static void on_wait_over(uv_timer_t *timer)
{
	catch_up_soon(timer->data);
}

static void on_idle(uv_idle_t *idle)
{
	struct obs_engine *e = idle->data;
	int wait_ms = e->paused ? -1 : obs_follow_catch_up(e->follow);

	if (wait_ms != 0)
		uv_idle_stop(idle);
	if (wait_ms > 0)
		uv_timer_start(&e->catch_up_timer, on_wait_over, (uint64_t)wait_ms, 0);
	commit_if_due(e);
}

static void catch_up_soon(struct obs_engine *e)
{
	if (!e->paused && obs_follow_is_behind(e->follow))
		uv_idle_start(&e->catch_up, on_idle);
}

/* --- ring to stream --- */

/* Records keep the alignment that they have in the ring. */
static size_t held_bytes(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

/* It found no room to wait. What was written to a file stands there; a file that nobody knows of
 * yet is told of again by the next write to it. */
static void note_overflow(struct obs_engine *e, const struct obs_record *rec)
{
	const struct obs_rec_file_id *file = &rec->file->file;

	obs_count(&e->counters->pending_overflow, 1);
	if (rec->hdr->type == OBS_REC_WRITE && rec->write->kind != OBS_KIND_REG)
		obs_count(&e->counters->pending_console_bytes, rec->write->len);
	if (rec->hdr->type == OBS_REC_FILE && e->kernel)
		obs_kernel_forget(e->kernel,
				  &(struct obs_file_id){ file->ino, file->dev, file->gen });
}

static bool hold(struct obs_engine *e, struct obs_node *node, const struct obs_record *rec)
{
	static const char padding[8];
	size_t len = rec->hdr->size, limit = e->config->limits.pending_bytes;

	/* what was written can be had again, which files there are cannot */
	node->pending.max_bytes = rec->hdr->type == OBS_REC_WRITE ? limit : limit + limit / 4;
	if (obs_buf_reserve(&node->pending, sizeof(len) + held_bytes(len)) < 0) {
		note_overflow(e, rec);
		return false;
	}
	obs_buf_push(&node->pending, &len, sizeof(len));
	obs_buf_push(&node->pending, rec->hdr, len);
	obs_buf_push(&node->pending, padding, held_bytes(len) - len);
	return true;
}

static bool hold_back(struct obs_engine *e, struct obs_node *node, const struct obs_record *rec)
{
	if (node->state != OBS_NODE_ASKING)
		return false;
	hold(e, node, rec);
	return true;
}

static void on_write(struct obs_engine *e, const struct obs_record *rec)
{
	const struct obs_rec_write *w = rec->write;
	struct obs_node *node = obs_targets_node(e->targets, w->target);
	struct obs_chunk chunk = {
		.payload = rec->tail,
		.offset = w->offset,
		.len = w->len,
		.boot_ns = rec->hdr->ts_ns,
		.wall_ns = to_wall(e, rec->hdr->ts_ns),
		.pid = w->tgid,
		.lost = w->lost,
	};

	if (!node || hold_back(e, node, rec))
		return;
	memcpy(chunk.comm, w->comm, sizeof(chunk.comm));
	chunk.comm[sizeof(chunk.comm) - 1] = '\0';
	if (w->flags & OBS_W_SHARED)
		chunk.flags |= OBS_CHUNK_SHARED;
	if (w->flags & (OBS_W_NO_OFFSET | OBS_W_MARK)) {
		chunk.flags |= OBS_CHUNK_NO_OFFSET;
		obs_count(&e->counters->marks, 1);
	}
	if (w->kind == OBS_KIND_REG)
		obs_follow_file_write(
			e->follow, node,
			&(struct obs_file_id){ w->file.ino, w->file.dev, w->file.gen }, &chunk);
	else
		obs_follow_console_write(e->follow, node, w->fd, &chunk);
}

static void on_file(struct obs_engine *e, const struct obs_record *rec)
{
	const struct obs_rec_file *f = rec->file;
	struct obs_node *node = obs_targets_node(e->targets, f->target);
	struct obs_file_id id = { f->file.ino, f->file.dev, f->file.gen };

	if (!node || hold_back(e, node, rec))
		return;
	obs_follow_announced(e->follow, node, &id, (pid_t)f->tgid, f->fd, rec->tail);
}

static void on_exec(struct obs_engine *e, const struct obs_record *rec)
{
	obs_targets_exec(e->targets, (pid_t)rec->exec->tgid, rec->tail, rec->exec->target);
}

static void on_fork(struct obs_engine *e, const struct obs_record *rec)
{
	obs_targets_fork(e->targets, (pid_t)rec->fork->tgid, (pid_t)rec->fork->ppid,
			 rec->fork->target);
}

static void on_exit_record(struct obs_engine *e, const struct obs_record *rec)
{
	struct obs_node *node = obs_targets_node_of(e->targets, (pid_t)rec->exit->tgid);

	if (node && node->state == OBS_NODE_ASKING && hold(e, node, rec))
		obs_targets_hold_exit(e->targets, (pid_t)rec->exit->tgid);
	else
		obs_targets_exit(e->targets, (pid_t)rec->exit->tgid);
}

static void on_cgroup(struct obs_engine *e, const struct obs_record *rec)
{
	obs_targets_cgroup(e->targets, rec->cgroup->id, rec->tail);
}

/* Which node a record belongs to: each type says so at a place of its own. 0 = none. */
static uint32_t slot_of(const struct obs_record *rec)
{
	switch (rec->hdr->type) {
	case OBS_REC_WRITE:
		return rec->write->target;
	case OBS_REC_FILE:
		return rec->file->target;
	case OBS_REC_EXEC:
		return rec->exec->target;
	case OBS_REC_FORK:
		return rec->fork->target;
	case OBS_REC_EXIT:
		return rec->exit->target;
	case OBS_REC_DEATH:
		return rec->death->target;
	case OBS_REC_EXIT_USAGE:
		return rec->exit_usage->target;
	case OBS_REC_TCP:
		return rec->tcp->target;
	case OBS_REC_P2PD:
		return rec->p2pd->target;
	case OBS_REC_PACKET:
		return rec->packet->target;
	case OBS_REC_SIGNAL:
		return rec->signal->target;
	default:
		return 0;
	}
}

/* What only parts act on: it waits with the rest until the node is known. */
static void on_held(struct obs_engine *e, const struct obs_record *rec)
{
	struct obs_node *node = obs_targets_node(e->targets, slot_of(rec));

	if (node)
		hold_back(e, node, rec);
}

static void (*const handlers[OBS_REC_MAX])(struct obs_engine *, const struct obs_record *) = {
	[OBS_REC_WRITE] = on_write, [OBS_REC_FILE] = on_file,	     [OBS_REC_EXEC] = on_exec,
	[OBS_REC_FORK] = on_fork,   [OBS_REC_EXIT] = on_exit_record, [OBS_REC_CGROUP] = on_cgroup,
	[OBS_REC_TCP] = on_held,    [OBS_REC_P2PD] = on_held,	     [OBS_REC_PACKET] = on_held,
	[OBS_REC_DEATH] = on_held,  [OBS_REC_EXIT_USAGE] = on_held,
};

static void handle(struct obs_engine *e, const struct obs_record *rec)
{
	struct obs_node *node = obs_targets_node(e->targets, slot_of(rec));

	if (!node || node->state == OBS_NODE_READY)
		obs_parts_record(e->parts, node, rec);
	if (handlers[rec->hdr->type])
		handlers[rec->hdr->type](e, rec);
}

/* Records of our own child tell that the probes see, and nothing more. */
static bool is_canary(struct obs_engine *e, const struct obs_record *rec)
{
	if (slot_of(rec) != OBS_SLOT_CANARY &&
	    !(rec->hdr->type == OBS_REC_CGROUP && obs_canary_made(rec->tail)))
		return false;
	if (e->canary)
		obs_canary_record(e->canary, rec);
	return true;
}

static void on_record(void *ctx, const void *data, size_t len)
{
	struct obs_engine *e = ctx;
	struct obs_record rec;
	int r = obs_decode(data, len, &rec);

	if (e->clock_due)
		look_at_clock(e);
	obs_count(&e->counters->records, 1);
	obs_count(&e->counters->record_bytes, len);
	if (r == -EMSGSIZE)
		obs_count(&e->counters->records_bad_size, 1);
	else if (r == -EPROTO)
		obs_count(&e->counters->records_bad_version, 1);
	else if (r < 0)
		obs_count(&e->counters->records_bad_type, 1);
	else if (!is_canary(e, &rec))
		handle(e, &rec);
}

/* Did the ring have no room for something? Then look at every file now. */
static void repair_drops(struct obs_engine *e)
{
	uint64_t drops = obs_kernel_control(e->kernel)->drops;

	if (drops == e->drops_seen)
		return;
	e->drops_seen = drops;
	obs_follow_all_behind(e->follow);
	e->lost_due = true;
}

/* A hook that was not entered: nobody knows for whom, so everybody is looked at. */
static void repair_missed(struct obs_engine *e)
{
	uint64_t missed = obs_kernel_missed(e->kernel, e->model);

	if (missed == e->missed_seen)
		return;
	if (missed / 10 >= e->missed_seen) /* not each time */
		obs_info("the kernel skipped %" PRIu64 " runs of our BPF programs, being busy; "
			 "files and processes are looked at instead",
			 missed);
	e->missed_seen = missed;
	obs_targets_scan(e->targets);
	obs_follow_all_behind(e->follow);
}

static void on_drained(void *ctx, size_t n)
{
	struct obs_engine *e = ctx;

	(void)n;
	e->clock_due = true;
	repair_drops(e);
	catch_up_soon(e);
	commit_if_due(e);
}

/* --- nodes come and go --- */

static void scan_files_of(void *ctx, pid_t pid)
{
	struct obs_engine *e = ctx;

	obs_follow_scan(e->follow, obs_targets_node_of(e->targets, pid), pid);
}

static void tell_joined(void *ctx, pid_t pid)
{
	struct obs_engine *e = ctx;

	obs_parts_joined(e->parts, obs_targets_node_of(e->targets, pid), pid);
}

static void replay_pending(struct obs_engine *e, struct obs_node *node)
{
	struct obs_buf held = node->pending;
	uint32_t slot = node->slot;
	size_t len;

	node->pending = (struct obs_buf){};
	for (size_t at = 0; at + sizeof(len) <= held.len && obs_targets_node(e->targets, slot);
	     at += sizeof(len) + held_bytes(len)) {
		struct obs_record rec;

		memcpy(&len, held.p + at, sizeof(len));
		if (obs_decode(held.p + at + sizeof(len), len, &rec) == 0)
			handle(e, &rec);
	}
	obs_buf_free(&held);
}

static void on_ready(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;
	uint32_t slot = node->slot;

	obs_info("found node %s%s%s%s", node->title, *node->id12 ? " (container " : "", node->id12,
		 *node->id12 ? ")" : "");
	obs_parts_ready(e->parts, node);
	obs_targets_each_pid(e->targets, node, tell_joined, e);
	obs_follow_engine_log(e->follow, node); /* before what was captured of its console */
	replay_pending(e, node);
	if (obs_targets_node(e->targets, slot)) /* its last process may have ended meanwhile */
		obs_targets_each_pid(e->targets, node, scan_files_of, e);
	catch_up_soon(e);
	commit_if_due(e);
}

static void on_joined(void *ctx, struct obs_node *node, pid_t pid)
{
	struct obs_engine *e = ctx;

	obs_parts_joined(e->parts, node, pid);
	if (!e->ring)
		obs_follow_scan(e->follow, node, pid);
}

static void on_left(void *ctx, struct obs_node *node, pid_t pid)
{
	struct obs_engine *e = ctx;

	obs_parts_left(e->parts, node, pid);
	obs_follow_process_left(e->follow, pid);
}

static void count_lost(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	obs_follow_count_lost(e->follow, node, obs_kernel_lost_bytes(e->kernel, node->slot));
}

static void on_gone(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	obs_info("node %s is gone", node->title);
	if (e->kernel)
		count_lost(e, node);
	obs_follow_node_gone(e->follow, node);
	obs_parts_gone(e->parts, node);
	commit_if_due(e);
}

/* Its slot is another's next: that one has not lost what was dropped of this. */
static void on_refused(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	if (e->kernel)
		count_lost(e, node);
}

static void on_changed(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	obs_parts_changed(e->parts, node);
	commit_if_due(e);
}

static const struct obs_targets_ops target_ops = {
	.ready = on_ready,
	.joined = on_joined,
	.left = on_left,
	.gone = on_gone,
	.refused = on_refused,
	.changed = on_changed,
};

static void on_container_changed(void *ctx, const char *id, int err,
				 const struct obs_container_info *info)
{
	struct obs_engine *e = ctx;

	if (err == 0)
		obs_targets_container_changed(e->targets, id, info);
}

/* --- once a second --- */

static void scan_node_files(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	if (node->state != OBS_NODE_READY)
		return;
	obs_targets_each_pid(e->targets, node, scan_files_of, e);
	obs_follow_engine_log(e->follow, node);
}

static void follow_engine_log(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	if (node->state == OBS_NODE_READY)
		obs_follow_engine_log(e->follow, node);
}

/* Whether an engine keeps a node's console, so that nothing is lost, is known when it is ready. */
static void count_lost_of_known(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;

	if (node->state == OBS_NODE_READY)
		count_lost(e, node);
	else
		e->lost_due = true;
}

/* Consoles are captured: what engines keep of them is read a while later. */
static void look_at_consoles(struct obs_engine *e)
{
	bool due = e->lost_due;

	e->lost_due = false;
	if (due)
		obs_targets_each(e->targets, count_lost_of_known, e);
	obs_targets_each(e->targets, follow_engine_log, e);
}

static void on_sweep(uv_timer_t *timer)
{
	struct obs_engine *e = timer->data;

	look_at_clock(e);
	e->sweeps++;
	if (e->kernel) {
		obs_kernel_tick(e->kernel);
		repair_missed(e);
		repair_drops(e); /* the last of a burst: no record follows that would tell */
	}
	if ((!e->ring && !e->task_events) || e->sweeps % RESCAN_SWEEPS_BPF == 0)
		obs_targets_scan(e->targets);
	if (!e->ring)
		obs_targets_each(e->targets, scan_node_files, e);
	else
		look_at_consoles(e);
	obs_follow_sweep(e->follow);
	obs_parts_tick(e->parts);
	if (e->outlet->wants_commit && e->outlet->wants_commit(e->outlet->ctx))
		e->uncommitted = true;
	obs_repeats_tick(e->repeats, obs_wall_ns());
	e->uncommitted |= e->sweeps % COMMIT_SWEEPS == 0;
	catch_up_soon(e);
	commit_if_due(e);
}

/* --- life --- */

static uint64_t read_boot_id(void)
{
	cleanup_fclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	char text[64] = "";

	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	return XXH3_64bits(text, strlen(text));
}

bool obs_engine_describe_processes(const struct obs_config *config, const struct obs_kernel *kernel,
				   struct obs_model *model)
{
	if (kernel || strcmp(config->probes.processes, "proc") == 0)
		return false;
	for (size_t i = 0; i < model->n_probes; i++) {
		if (strcmp(model->probes[i].need, "processes") == 0)
			return obs_task_events_describe(&model->probes[i]);
	}
	return false;
}

static int open_probes(struct obs_engine *e)
{
	struct obs_kernel_options opt = {
		.bpf = e->config->probes.bpf,
		.file_write = e->config->probes.file_write,
		.ring_bytes = e->config->limits.ring_bytes,
		.payload_bytes = (uint32_t)e->config->limits.payload_bytes,
	};

	int r = obs_kernel_open(&opt, e->model, &e->kernel);

	e->has_task_events =
		r == 0 && obs_engine_describe_processes(e->config, e->kernel, e->model);
	return r;
}

static const char *engine_socket(const struct obs_config *config)
{
	const char *path = config->targets.docker_socket;

	return path && *path ? path : "/var/run/docker.sock";
}

static struct obs_probe_status *find_probe(struct obs_model *model, const char *need)
{
	for (size_t i = 0; i < model->n_probes; i++) {
		if (strcmp(model->probes[i].need, need) == 0)
			return &model->probes[i];
	}
	return NULL;
}

/* What engines keep of consoles is the rung below BPF, and repairs what BPF drops. */
static void describe_consoles(struct obs_model *model, bool has_socket)
{
	struct obs_probe_status *p = find_probe(model, "console writes");
	bool kept = has_socket || access("/var/log/containers", R_OK) == 0;

	if (p && p->ok && !*p->unseen)
		snprintf(p->unseen, sizeof(p->unseen), "what finds no room in the ring: %s",
			 kept ? "read from the engine's log file where it keeps one, up to 3 s "
				"later; else lost, and counted"
			      : "lost, and counted");
	if (!p || p->ok || !kept)
		return;
	p->ok = true;
	p->rung = "the engine's log file (Docker json-file and local, CRI)";
	snprintf(p->unseen, sizeof(p->unseen),
		 "consoles outside of containers, and of containers whose engine keeps no such "
		 "file (--log-driver none, journald, ...); who wrote a line");
}

void obs_engine_describe_names(const struct obs_config *config, struct obs_model *model)
{
	struct obs_probe_status *p = obs_model_add_probe(model, "container names");
	const char *path = engine_socket(config);

	p->ok = true;
	p->first_choice = access(path, R_OK | W_OK) == 0;
	describe_consoles(model, p->first_choice);
	p->rung = p->first_choice ? "engine socket" : "cgroup paths";
	if (p->first_choice)
		return;
	snprintf(p->refused, sizeof(p->refused), "%.150s: %s", path, strerror(errno));
	snprintf(p->unseen, sizeof(p->unseen),
		 "names, images and labels of containers; their ids are seen");
}

static int open_containers(struct obs_engine *e)
{
	obs_engine_describe_names(e->config, e->model);
	return obs_containers_open(e->loop, engine_socket(e->config), e->counters,
				   on_container_changed, e, &e->containers);
}

static int open_targets(struct obs_engine *e)
{
	struct obs_targets_options opt = {
		.include = &e->config->targets.include,
		.exclude = &e->config->targets.exclude,
		.builtin = e->config->targets.builtin,
		.exits_told = e->kernel || e->has_task_events,
		.kernel = e->kernel,
		.containers = e->containers,
		.counters = e->counters,
		.ops = &target_ops,
		.ctx = e,
	};

	return obs_targets_new(&opt, &e->targets);
}

static void on_activity(void *ctx)
{
	catch_up_soon(ctx);
	commit_if_due(ctx);
}

static int open_scrub(struct obs_engine *e)
{
	struct obs_addresses mine = {};

	if (strcmp(e->config->scrub.level, "strict") == 0)
		obs_addresses_of_host(&mine);
	return obs_custom_scrub(e->config, NULL, mine.list, mine.n, NULL, &e->scrub);
}

/* What happens between parser and outlet. */
static int open_stages(struct obs_engine *e)
{
	int r = open_scrub(e);

	if (r == 0)
		r = obs_custom_patterns(e->config, NULL, &e->patterns);
	if (r == 0)
		r = obs_repeats_new(e->config, e->outlet, on_repeated, e, &e->repeats);
	return r;
}

static bool captures(const struct obs_engine *e)
{
	return e->kernel && e->model->probes[0].ok &&
	       strcmp(e->model->probes[0].rung, "inotify") != 0;
}

static int open_follow(struct obs_engine *e)
{
	const char *rpc_url = obs_config_text(e->config, "blockchain.rpc_url");
	bool has_rpc = obs_url_host(rpc_url, e->rpc_host, sizeof(e->rpc_host));
	struct obs_follow_options opt = {
		.stream = { .line_bytes = e->config->limits.line_bytes,
			    .paused = &e->paused,
			    .captured = captures(e),
			    .counters = e->counters,
			    .parser = { .patterns = e->patterns,
					.rpc_host = has_rpc ? e->rpc_host : NULL },
			    .on_event = on_event,
			    .ctx = e },
		.config = e->config,
		.kernel = e->kernel,
		.targets = e->targets,
		.captures = captures(e),
		.outlet = e->outlet,
		.loop = e->loop,
		.activity = on_activity,
		.rewritten = on_rewritten,
	};

	return obs_follow_new(&opt, &e->follow);
}

static int open_parts(struct obs_engine *e)
{
	struct obs_part_env env = {
		.loop = e->loop,
		.config = e->config,
		.model = e->model,
		.counters = e->counters,
		.kernel = e->kernel,
		.sees_ends = e->kernel || e->has_task_events,
		.targets = e->targets,
		.outlet = e->outlet,
		.boot_id = e->boot_id,
		.to_wall = to_wall,
		.emit = emit,
		.ctx = e,
	};

	return obs_parts_open(&env, &e->parts);
}

static void start_timers(struct obs_engine *e)
{
	uv_timer_init(e->loop, &e->commit_timer);
	uv_timer_init(e->loop, &e->sweep_timer);
	uv_timer_init(e->loop, &e->catch_up_timer);
	uv_idle_init(e->loop, &e->catch_up);
	e->commit_timer.data = e->sweep_timer.data = e;
	e->catch_up.data = e->catch_up_timer.data = e;
}

int obs_engine_new(uv_loop_t *loop, const struct obs_config *config, struct obs_model *model,
		   struct obs_counters *counters, const struct obs_outlet *outlet,
		   struct obs_engine **ret)
{
	struct obs_engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	*e = (struct obs_engine){ .loop = loop,
				  .config = config,
				  .model = model,
				  .counters = counters,
				  .outlet = outlet,
				  .boot_id = read_boot_id() };
	obs_wall_clock_measure(&e->clock, obs_wall_ns, obs_boot_ns);
	e->statuses = calloc(OBS_NODES_MAX, sizeof(*e->statuses));
	model->nodes = e->statuses;
	start_timers(e);
	r = e->statuses ? open_probes(e) : -ENOMEM;
	if (r == 0)
		r = open_containers(e);
	if (r == 0)
		r = open_targets(e);
	if (r == 0)
		r = open_stages(e);
	if (r == 0)
		r = open_follow(e);
	if (r == 0)
		r = open_parts(e);
	*ret = e;
	return r;
}

/* What passed by a probe while it was attached again was not seen. */
static void on_mended(void *ctx)
{
	struct obs_engine *e = ctx;

	obs_targets_scan(e->targets);
	obs_follow_all_behind(e->follow);
}

static int watch_canary(void *ctx, int fd)
{
	struct obs_engine *e = ctx;

	return obs_follow_watch_canary(e->follow, fd);
}

static bool saw_canary(void *ctx)
{
	const struct obs_engine *e = ctx;

	return obs_follow_saw_canary(e->follow);
}

static int sees_connection(void *ctx, pid_t pid)
{
	struct obs_engine *e = ctx;

	return obs_connections_sees(obs_parts_connections(e->parts), pid);
}

static int open_canary(struct obs_engine *e)
{
	bool looks = !e->kernel && obs_parts_connections(e->parts);
	struct obs_canary_options opt = {
		.loop = e->loop,
		.dir = e->config->state_dir,
		.interval_ms = (uint64_t)(e->config->probes.canary_interval_s * 1000),
		.kernel = e->kernel,
		.flows = obs_parts_flows(e->parts),
		.model = e->model,
		.counters = e->counters,
		.watch_file = captures(e) ? NULL : watch_canary,
		.saw_file = captures(e) ? NULL : saw_canary,
		.sees_connection = looks ? sees_connection : NULL,
		.mended = on_mended,
		.ctx = e,
	};

	return opt.interval_ms ? obs_canary_new(&opt, &e->canary) : 0;
}

static const struct obs_process *find_process(void *ctx, pid_t pid)
{
	struct obs_engine *e = ctx;

	return obs_targets_process(e->targets, pid);
}

static void on_events_lost(void *ctx)
{
	struct obs_engine *e = ctx;

	obs_targets_scan(e->targets);
}

static int open_task_events(struct obs_engine *e)
{
	struct obs_task_events_options opt = {
		.loop = e->loop,
		.counters = e->counters,
		.find = find_process,
		.record = on_record,
		.lost = on_events_lost,
		.ctx = e,
	};

	return e->has_task_events ? obs_task_events_new(&opt, &e->task_events) : 0;
}

int obs_engine_complete(struct obs_engine *e)
{
	if (e->kernel)
		obs_kernel_complete(e->kernel);
	obs_parts_load(e->parts);
	catch_up_soon(e);
	commit_if_due(e);
	return open_canary(e);
}

int obs_engine_start(struct obs_engine *e)
{
	int r = 0;

	if (e->kernel)
		r = obs_ring_new(e->loop, obs_kernel_ring_fd(e->kernel),
				 obs_kernel_control(e->kernel), on_record, on_drained, e, &e->ring);
	if (r == 0)
		r = open_task_events(e);
	if (r < 0)
		return r;
	obs_targets_scan(e->targets);
	obs_follow_sweep(e->follow);
	uv_timer_start(&e->sweep_timer, on_sweep, SWEEP_INTERVAL_MS, SWEEP_INTERVAL_MS);
	catch_up_soon(e);
	commit_if_due(e);
	return 0;
}

void obs_engine_stop(struct obs_engine *e)
{
	if (e->ring) {
		while (obs_ring_drain(e->ring) > 0)
			;
		repair_drops(e);
		repair_missed(e);
	}
	obs_canary_free(&e->canary);
	obs_task_events_free(&e->task_events);
	obs_follow_stop(e->follow);
	obs_parts_stop(e->parts);
	commit(e);
	uv_close((uv_handle_t *)&e->commit_timer, NULL);
	uv_close((uv_handle_t *)&e->sweep_timer, NULL);
	uv_close((uv_handle_t *)&e->catch_up, NULL);
	uv_close((uv_handle_t *)&e->catch_up_timer, NULL);
	obs_ring_free(&e->ring);
	obs_containers_free(&e->containers);
}

void obs_engine_free(struct obs_engine **ep)
{
	struct obs_engine *e = *ep;

	if (!e)
		return;
	obs_follow_free(&e->follow);
	obs_parts_free(&e->parts);
	obs_repeats_free(&e->repeats);
	obs_patterns_free(&e->patterns);
	obs_scrub_free(&e->scrub);
	obs_targets_free(&e->targets);
	obs_kernel_free(&e->kernel);
	obs_buf_free(&e->json);
	free(e->statuses);
	free(e);
	*ep = NULL;
}

/* --- the model --- */

static void show_node(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;
	struct obs_node_status *st;

	if (node->state != OBS_NODE_READY || e->model->n_nodes >= OBS_NODES_MAX)
		return;
	st = &e->statuses[e->model->n_nodes++];
	*st = (struct obs_node_status){
		.slot = node->slot,
		.paused = node->paused,
		.pids = node->n_pids,
		.streams = node->streams,
		.events = node->events,
		.found_ns = node->found_ns,
		.last_event_ns = node->last_event_ns,
	};
	snprintf(st->name, sizeof(st->name), "%.127s", node->title);
	snprintf(st->container_id, sizeof(st->container_id), "%s", node->id12);
	snprintf(st->runtime, sizeof(st->runtime), "%s", obs_runtime_str(node->ref.runtime));
	snprintf(st->image, sizeof(st->image), "%.127s", node->image);
}

static void show_scrub(struct obs_engine *e)
{
	struct obs_model *m = e->model;
	const char *name;

	m->n_scrub_rules = 0;
	while (e->scrub && m->n_scrub_rules < OBS_SCRUB_VIEWS_MAX &&
	       (name = obs_scrub_name(e->scrub, m->n_scrub_rules))) {
		m->scrub_rules[m->n_scrub_rules] =
			(struct obs_scrub_view){ name,
						 obs_scrub_count(e->scrub, m->n_scrub_rules) };
		m->n_scrub_rules++;
	}
}

static void note_unheard(void *ctx, struct obs_node *node)
{
	struct obs_engine *e = ctx;
	size_t used = strlen(e->unheard);

	if (node->state == OBS_NODE_READY && !obs_follow_keeps(e->follow, node))
		snprintf(e->unheard + used, sizeof(e->unheard) - used, "%s%.60s",
			 used ? ", " : "not seen, since no engine keeps it in a file: of ",
			 node->title);
}

/* Without BPF: the nodes of which no console is seen. */
static void show_unheard(struct obs_engine *e)
{
	struct obs_probe_status *p = find_probe(e->model, "console writes");

	if (captures(e) || !p || !p->ok)
		return;
	e->unheard[0] = '\0';
	obs_targets_each(e->targets, note_unheard, e);
	p->blind = *e->unheard ? e->unheard : NULL;
}

void obs_engine_refresh(struct obs_engine *e)
{
	show_unheard(e);
	e->model->n_nodes = 0;
	obs_targets_each(e->targets, show_node, e);
	show_scrub(e);
	obs_parts_refresh(e->parts);
	e->model->streams = obs_follow_count(e->follow);
	e->model->ring_bytes = e->kernel ? e->config->limits.ring_bytes : 0;
	if (e->kernel)
		obs_kernel_read_drops(e->kernel, e->model);
}

bool obs_engine_can_observe(const struct obs_engine *e)
{
	return e->kernel || e->config->log_files.n > 0 || geteuid() == 0;
}
