/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * capture.bpf.h - one write of a target, from whatever hook saw it, to the ring.
 *
 * Regular files: the verdict in the files map decides. Pipes, terminals and
 * sockets count only as descriptor 1 or 2: the rest is talk between processes.
 */
#pragma once

#include "budget.bpf.h"
#include "emit.bpf.h"
#include "file.bpf.h"
#include "members.bpf.h"

#define CONSOLE_TURNS_MAX 64 /* segments and parts of one write */
#define SEGMENTS_MAX	  8
#define LINE_ROOM	  168 /* payload of most lines; with the record's head four cache lines */
#define WORD_ROOM	  40  /* two cache lines */

struct obs_scratch {
	union {
		struct {
			struct obs_rec_write rec;
			/* twice, so that the verifier sees offset + length stay inside */
			__u8 payload[2 * OBS_PAYLOAD_MAX];
		};
		struct obs_rec_file file;
	};
	/* Where a loop stands. Here and not on the stack: what a map holds is any number to
	 * the verifier, so that one look at the loop's body is enough for all its turns. */
	__u32 used;
	__u32 segment;
	__u64 segment_at;
	__u64 done;
	struct obs_path_walk path;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct obs_scratch);
} scratch SEC(".maps");

/* One write as the hook knows it. */
struct obs_write_args {
	struct task_struct *task;
	struct file *file;
	const void *buf;	      /* user memory; NULL = content unknown */
	const struct iovec_user *iov; /* user memory; used when buf is NULL and n_iov > 0 */
	__u64 n_iov;
	__u64 len; /* accepted by the kernel */
	__u64 offset;
	__u32 target;
	__u32 flags; /* enum obs_write_flags */
	__s32 fd;
};

/* struct iovec of 64-bit user space. */
struct iovec_user {
	__u64 base;
	__u64 len;
};

/* Loops are bpf_loop() callbacks: verified once, not once per turn. Unrolled in the verifier's
 * mind they are beyond what 6.1 is ready to look at. */
static long take_name(__u32 turn, void *unused)
{
	const unsigned char *name;
	__u32 zero = 0, used;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	int end = 0;
	long n;

	if (!s)
		return 1;
	used = s->used;
	if (used > OBS_PATH_LEN - NAME_BYTES_MAX)
		return 1;
	name = obs_path_step(&s->path, &end);
	if (!name)
		return end;
	n = bpf_probe_read_kernel_str(s->file.path + used, NAME_BYTES_MAX, name);
	if (n <= 0 || n > NAME_BYTES_MAX)
		return 1;
	s->used = used + n;
	return 0;
}

/* Global functions are verified once, by themselves, instead of once per path that leads to
 * them; their pointer arguments may be NULL as far as the verifier knows. */
__noinline int obs_announce(struct obs_write_args *w, struct obs_seen_file *seen)
{
	struct obs_control *c = obs_control();
	__u32 zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!w || !seen || !c || !s)
		return 0;
	s->used = 0;
	obs_path_start(w->file, &s->path);
	bpf_loop(PATH_DEPTH_MAX, take_name, NULL, 0);
	obs_header(&s->file.hdr, OBS_REC_FILE, sizeof(s->file));
	s->file.file = seen->id;
	s->file.tgid = bpf_get_current_pid_tgid() >> 32;
	s->file.target = w->target;
	s->file.fd = w->fd;
	s->file.path_len = s->used;
	if (bpf_ringbuf_output(&events, &s->file, sizeof(s->file), obs_wakeup(c)) < 0) {
		/* not announced: forget it, so that the next write tries again (6.1 wants its
		 * keys on the stack) */
		struct obs_rec_file_id id = seen->id;

		obs_drop(OBS_DROP_RING_PROCESS, 1);
		bpf_map_delete_elem(&files, &id);
	}
	return 0;
}

/* The verdict on a regular file; an unknown one is announced and captured meanwhile. */
static __always_inline struct obs_file_value *judge(struct obs_write_args *w,
						    struct obs_seen_file *seen)
{
	struct obs_file_value pending = { .verdict = OBS_FILE_PENDING };
	struct obs_file_value *v = bpf_map_lookup_elem(&files, &seen->id);

	if (v)
		return v;
	if (bpf_map_update_elem(&files, &seen->id, &pending, BPF_NOEXIST) == 0)
		obs_announce(w, seen);
	return bpf_map_lookup_elem(&files, &seen->id);
}

/* Its 16 bytes as two plain loads, by way of a struct of two words. */
static __always_inline void take_comm(struct task_struct *task, char *out)
{
	struct timespec64 *words;

	if (!bpf_rdonly_cast) {
		bpf_get_current_comm(out, OBS_COMM_LEN);
		return;
	}
	words = bpf_rdonly_cast((void *)task + bpf_core_field_offset(struct task_struct, comm),
				bpf_core_type_id_kernel(struct timespec64));
	((__u64 *)out)[0] = words->tv_sec;
	((__u64 *)out)[1] = words->tv_nsec;
}

static __always_inline void fill(struct obs_rec_write *rec, const struct obs_write_args *w,
				 const struct obs_seen_file *seen, __u32 payload)
{
	struct task_struct *task = bpf_get_current_task_btf();

	obs_header(&rec->hdr, OBS_REC_WRITE, sizeof(*rec) + payload);
	rec->file = seen->id;
	rec->offset = w->offset;
	rec->len = w->len;
	rec->tgid = task->tgid;
	rec->tid = task->pid;
	rec->target = w->target;
	rec->fd = w->fd;
	rec->kind = seen->kind;
	rec->flags = w->flags;
	rec->payload = payload;
	rec->lost = 0;
	take_comm(task, rec->comm);
}

/* Up to @want bytes of one buffer into the scratch record. Return: bytes, or 0. */
static __always_inline __u32 copy_flat(struct obs_scratch *s, const void *buf, __u64 want)
{
	barrier_var(want);
	if (want > OBS_PAYLOAD_MAX)
		want = OBS_PAYLOAD_MAX;
	barrier_var(want);
	if (bpf_probe_read_user(s->payload, want, buf) < 0) {
		obs_drop(OBS_DROP_FAULT, 1);
		return 0;
	}
	return want;
}

struct segment_walk {
	const struct iovec_user *iov;
	__u64 n_iov;
	__u64 want;
};

static long take_segment(__u32 turn, struct segment_walk *walk)
{
	__u32 zero = 0, used;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	struct iovec_user seg;
	__u64 n;

	if (!s || turn >= walk->n_iov)
		return 1;
	used = s->used;
	if (used >= walk->want || used >= OBS_PAYLOAD_MAX ||
	    bpf_probe_read_user(&seg, sizeof(seg), walk->iov + turn) < 0)
		return 1;
	n = walk->want - used;
	if (n > seg.len)
		n = seg.len;
	if (n > OBS_PAYLOAD_MAX || bpf_probe_read_user(s->payload + used, n, (void *)seg.base) < 0)
		return 1;
	s->used = used + n;
	return 0;
}

/* The same from the segments of a writev, in order. */
static __always_inline __u32 copy_segments(struct obs_scratch *s, const struct obs_write_args *w,
					   __u64 want)
{
	struct segment_walk walk = { .iov = w->iov, .n_iov = w->n_iov };

	s->used = 0;
	walk.want = want < OBS_PAYLOAD_MAX ? want : OBS_PAYLOAD_MAX;
	bpf_loop(SEGMENTS_MAX, take_segment, &walk, 0);
	return s->used < OBS_PAYLOAD_MAX ? s->used : OBS_PAYLOAD_MAX;
}

static __always_inline long output(struct obs_scratch *s, __u32 payload, struct obs_control *c)
{
	/* The barriers, here and in copy_flat(), keep clang from checking one copy of the number
	 * and using another. */
	barrier_var(payload);
	if (payload > OBS_PAYLOAD_MAX)
		payload = OBS_PAYLOAD_MAX;
	barrier_var(payload);
	return bpf_ringbuf_output(&events, s, sizeof(s->rec) + payload, obs_wakeup(c));
}

/* "Look at this file": at most one on its way per file. */
static __always_inline void send_mark(const struct obs_write_args *w,
				      const struct obs_seen_file *seen, struct obs_file_value *v,
				      struct obs_scratch *s, struct obs_control *c)
{
	if (v->dirty)
		return;
	v->dirty = 1;
	fill(&s->rec, w, seen, 0);
	s->rec.flags |= OBS_W_MARK;
	if (output(s, 0, c) < 0) {
		v->dirty = 0;
		obs_drop(OBS_DROP_RING_FILE, 1);
	}
}

/* Copy @want bytes that are written, at most @room (a constant), to behind the record. The barriers
 * keep the bound where 6.1's verifier sees it. Return: how many, or < 0: they cannot be read. */
static __always_inline __s64 take_short(struct obs_rec_write *rec, const struct obs_write_args *w,
					__u64 want, __u32 room)
{
	barrier_var(want);
	if (want > room)
		want = room;
	barrier_var(want);
	if (bpf_probe_read_user(rec + 1, want, w->buf) < 0)
		return -1;
	return want;
}

/* Built where it will lie: a record of at most @room bytes of payload, a constant. */
static __always_inline void send_reserved(const struct obs_write_args *w,
					  const struct obs_seen_file *seen, __u64 want, __u32 room,
					  struct obs_control *c)
{
	struct obs_rec_write *rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + room, 0);
	__s64 got;

	if (!rec) {
		obs_drop(OBS_DROP_RING_FILE, 1);
		return;
	}
	got = take_short(rec, w, want, room);
	if (got < 0)
		obs_drop(OBS_DROP_FAULT, 1);
	fill(rec, w, seen, got < 0 ? 0 : got);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

static __always_inline void send_payload(const struct obs_write_args *w,
					 const struct obs_seen_file *seen, __u64 want,
					 struct obs_scratch *s, struct obs_control *c)
{
	__u32 got = 0;

	if (w->buf && want <= LINE_ROOM) {
		send_reserved(w, seen, want, LINE_ROOM, c);
		return;
	}
	if (w->buf)
		got = copy_flat(s, w->buf, want);
	else if (w->n_iov)
		got = copy_segments(s, w, want);
	fill(&s->rec, w, seen, got);
	if (output(s, got, c) < 0)
		obs_drop(OBS_DROP_RING_FILE, 1);
}

static __always_inline struct obs_rec_file_id *followed_answer(const struct obs_rec_file_id *id)
{
	__u32 index = id->ino % OBS_FOLLOWED_MAX;

	return bpf_map_lookup_elem(&followed, &index);
}

static __always_inline int is_followed(const struct obs_rec_file_id *id)
{
	struct obs_rec_file_id *known = followed_answer(id);

	return known && known->ino == id->ino && known->dev == id->dev && known->gen == id->gen;
}

static __always_inline void note_followed(const struct obs_rec_file_id *id)
{
	struct obs_rec_file_id *known = followed_answer(id);

	if (known)
		*known = *id;
}

static __always_inline void capture_file(struct obs_write_args *w, struct obs_seen_file *seen,
					 struct obs_scratch *s, struct obs_control *c)
{
	__u64 want = w->len < c->payload_max ? w->len : c->payload_max;
	int has_place = !(w->flags & OBS_W_NO_OFFSET), fits;
	struct obs_file_value *v = NULL;

	if (!has_place || !is_followed(&seen->id)) {
		v = judge(w, seen);
		if (!v || v->verdict == OBS_FILE_IGNORE)
			return;
		if (v->verdict == OBS_FILE_FOLLOW)
			note_followed(&seen->id);
	}
	fits = has_place && within_budget(w->target, sizeof(s->rec) + want, c);
	if (fits) {
		send_payload(w, seen, want, s, c);
		return;
	}
	if (has_place)
		obs_note(OBS_DROP_BUDGET_FILE, 1);
	if (!v)
		v = judge(w, seen);
	if (v)
		send_mark(w, seen, v, s, c);
}

static __always_inline void lose_console(__u32 target, __u32 reason, __u64 bytes)
{
	struct obs_budget *b = bpf_map_lookup_elem(&budgets, &target);

	obs_drop(reason, 1);
	obs_drop(OBS_DROP_BYTES_CONSOLE, bytes);
	if (!b)
		return;
	__sync_fetch_and_add(&b->lost, 1);
	__sync_fetch_and_add(&b->lost_bytes, bytes);
}

/* So that a reader knows where something is missing. */
static __always_inline __u32 losses_of(__u32 target)
{
	struct obs_budget *b = bpf_map_lookup_elem(&budgets, &target);

	return b ? b->lost : 0;
}

/* One part of a console write is in the scratch: hand it on. Return: 0, or -1 when lost. */
static __always_inline int send_part(const struct obs_write_args *w,
				     const struct obs_seen_file *seen, struct obs_scratch *s,
				     struct obs_control *c, __u64 at, __u32 got)
{
	if (!within_budget(w->target, sizeof(s->rec) + got, c)) {
		lose_console(w->target, OBS_DROP_BUDGET_CONSOLE, w->len - at);
		return -1;
	}
	fill(&s->rec, w, seen, got);
	s->rec.offset = at;
	s->rec.lost = losses_of(w->target);
	if (at)
		s->rec.flags |= OBS_W_PART;
	if (output(s, got, c) < 0) {
		lose_console(w->target, OBS_DROP_RING_CONSOLE, w->len - at);
		return -1;
	}
	return 0;
}

struct part_walk {
	struct obs_write_args w;
	struct obs_seen_file seen;
};

/* The rest of the segment that the walk stands in; a plain write is one segment. */
static __always_inline int next_segment(const struct obs_scratch *s, const struct obs_write_args *w,
					struct iovec_user *seg)
{
	if (w->buf) {
		seg->base = (__u64)w->buf;
		seg->len = w->len;
	} else if (s->segment >= w->n_iov ||
		   bpf_probe_read_user(seg, sizeof(*seg), w->iov + s->segment) < 0) {
		return -1;
	}
	if (s->segment_at > seg->len)
		return -1;
	seg->base += s->segment_at;
	seg->len -= s->segment_at;
	return 0;
}

/* As much of a segment as the part still takes. Return: bytes, or -1. */
static __always_inline long fill_part(struct obs_scratch *s, const struct iovec_user *seg,
				      __u64 room)
{
	__u64 n = seg->len < room ? seg->len : room;
	__u32 used = s->used;

	barrier_var(n);
	if (n > OBS_PAYLOAD_MAX)
		n = OBS_PAYLOAD_MAX;
	barrier_var(n);
	if (used >= OBS_PAYLOAD_MAX ||
	    bpf_probe_read_user(s->payload + used, n, (void *)seg->base) < 0)
		return -1;
	s->used = used + n;
	return n;
}

/* A part cannot be read (not mapped any more): what a plain write has behind it may still be there;
 * where the next segments are is not known. Return: whether nothing is left. */
static __always_inline long lose_part(struct obs_scratch *s, const struct obs_write_args *w,
				      __u64 room, __u64 left)
{
	__u64 gone = w->buf ? room : left;

	lose_console(w->target, OBS_DROP_FAULT, gone);
	s->done += gone;
	s->segment_at += gone;
	return s->done >= w->len;
}

/* One segment further, and hand on the part when it is full or the last. */
static long take_part(__u32 turn, struct part_walk *walk)
{
	struct obs_control *c = obs_control();
	__u32 zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);
	struct iovec_user seg;
	__u64 left, room;
	long n;

	if (!s || !c || s->done >= walk->w.len)
		return 1;
	left = walk->w.len - s->done;
	room = left < c->payload_max ? left : c->payload_max;
	n = next_segment(s, &walk->w, &seg) < 0 || s->used >= room
		    ? -1
		    : fill_part(s, &seg, room - s->used);
	if (n < 0)
		return lose_part(s, &walk->w, room, left);
	s->segment_at += n;
	if ((__u64)n == seg.len) {
		s->segment++;
		s->segment_at = 0;
	}
	if (s->used < room)
		return 0;
	if (send_part(&walk->w, &walk->seen, s, c, s->done, s->used) < 0) {
		s->done = walk->w.len;
		return 1;
	}
	s->done += s->used;
	s->used = 0;
	return 0;
}

/* Nothing behind a console keeps its bytes: take all of a long write, in parts. */
static __always_inline void capture_console(struct obs_scratch *s, const struct obs_write_args *w,
					    const struct obs_seen_file *seen)
{
	struct part_walk walk = { .w = *w, .seen = *seen };

	s->done = s->segment_at = 0;
	s->used = s->segment = 0;
	bpf_loop(CONSOLE_TURNS_MAX, take_part, &walk, 0);
	if (s->done < w->len)
		lose_console(w->target, OBS_DROP_TOO_LONG, w->len - s->done);
}

/* All of a write in one part of at most @room bytes, a constant: built where it will lie. */
static __always_inline void capture_short(const struct obs_write_args *w,
					  const struct obs_seen_file *seen, __u32 room,
					  struct obs_control *c)
{
	struct obs_rec_write *rec;
	__s64 got;

	if (!within_budget(w->target, sizeof(*rec) + room, c)) {
		lose_console(w->target, OBS_DROP_BUDGET_CONSOLE, w->len);
		return;
	}
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + room, 0);
	if (!rec) {
		lose_console(w->target, OBS_DROP_RING_CONSOLE, w->len);
		return;
	}
	got = take_short(rec, w, w->len, room);
	if (got < 0) {
		bpf_ringbuf_discard(rec, BPF_RB_NO_WAKEUP);
		lose_console(w->target, OBS_DROP_FAULT, w->len);
		return;
	}
	fill(rec, w, seen, got);
	rec->offset = 0;
	rec->lost = losses_of(w->target);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

__noinline int obs_capture_console(struct obs_write_args *w, struct obs_seen_file *seen)
{
	__u32 zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!w || !seen || !s)
		return 0;
	if (w->buf || w->n_iov)
		capture_console(s, w, seen);
	else
		lose_console(w->target, OBS_DROP_FAULT,
			     w->len); /* splice, sendfile: no user buffer */
	return 0;
}

static __always_inline void obs_capture(struct obs_write_args *w, struct obs_seen_file *seen)
{
	struct obs_control *c = obs_control();
	__u32 zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!c || !s)
		return;
	if (seen->kind == OBS_KIND_REG)
		capture_file(w, seen, s, c);
	else if (!seen->kind || (w->fd != 1 && w->fd != 2))
		return; /* talk between processes */
	else if (w->buf && w->len <= WORD_ROOM && w->len <= c->payload_max)
		capture_short(w, seen, WORD_ROOM, c);
	else if (w->buf && w->len <= LINE_ROOM && w->len <= c->payload_max)
		capture_short(w, seen, LINE_ROOM, c);
	else
		obs_capture_console(w, seen);
}

/* Somebody of a node wrote to @w's file, nobody knows where: files are looked at, what went to a
 * console is lost. */
__noinline int obs_mark_file(struct obs_write_args *w)
{
	struct obs_seen_file seen = {};

	if (!w)
		return 0;
	w->flags = OBS_W_NO_OFFSET;
	w->fd = obs_console_fd(bpf_get_current_task_btf(), w->file);
	obs_look_at(w->file, &seen);
	obs_capture(w, &seen);
	return 0;
}

static __always_inline void obs_mark(struct file *file, __u32 target, __u64 len)
{
	struct obs_write_args w = { .file = file, .len = len, .target = target };

	obs_mark_file(&w);
}
