/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * capture.bpf.h - one write of a target, from whatever hook saw it, to the ring.
 *
 * Regular files: the verdict in the files map decides. Pipes, terminals and
 * sockets count only as descriptor 1 or 2: the rest is talk between processes.
 */
#pragma once

#include "emit.bpf.h"
#include "file.bpf.h"
#include "members.bpf.h"

#define CONSOLE_PARTS_MAX 16
#define SEGMENTS_MAX	  8

struct obs_scratch {
	struct obs_rec_write rec;
	/* twice, so that the verifier sees offset + length stay inside */
	__u8 payload[2 * OBS_PAYLOAD_MAX];
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

/* Global functions are verified once, by themselves, instead of once per path that leads to
 * them; their pointer arguments may be NULL as far as the verifier knows. */
__noinline int obs_announce(struct obs_write_args *w, struct obs_seen_file *seen)
{
	struct obs_control *c = obs_control();
	struct obs_rec_file *rec;

	if (!w || !seen || !c)
		return 0;
	rec = obs_reserve(OBS_REC_FILE, sizeof(*rec));
	if (!rec) {
		/* not announced: forget it, so that the next write tries again */
		bpf_map_delete_elem(&files, &seen->id);
		return 0;
	}
	rec->file = seen->id;
	rec->tgid = bpf_get_current_pid_tgid() >> 32;
	rec->target = w->target;
	rec->fd = w->fd;
	rec->path_len = obs_path_names(w->file, rec->path);
	bpf_ringbuf_submit(rec, obs_wakeup(c));
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

/* May this target put @bytes more into the ring during this drain? */
static __always_inline int within_budget(__u32 target, __u64 bytes, struct obs_control *c)
{
	struct obs_budget *b = bpf_map_lookup_elem(&budgets, &target);

	if (!b)
		return 0;
	if (b->drain != c->drain) {
		b->drain = c->drain;
		b->bytes = 0;
	}
	if (b->bytes + bytes > c->budget_bytes)
		return 0;
	__sync_fetch_and_add(&b->bytes, bytes);
	return 1;
}

static __always_inline void fill(struct obs_rec_write *rec, const struct obs_write_args *w,
				 const struct obs_seen_file *seen, __u32 payload)
{
	__u64 id = bpf_get_current_pid_tgid();

	obs_header(&rec->hdr, OBS_REC_WRITE, sizeof(*rec) + payload);
	rec->file = seen->id;
	rec->offset = w->offset;
	rec->len = w->len;
	rec->tgid = id >> 32;
	rec->tid = (__u32)id;
	rec->target = w->target;
	rec->fd = w->fd;
	rec->kind = seen->kind;
	rec->flags = w->flags;
	rec->payload = payload;
	rec->pad = 0;
	bpf_get_current_comm(rec->comm, sizeof(rec->comm));
}

/* Up to @want bytes of one buffer into the scratch record. Return: bytes, or 0. */
static __always_inline __u32 copy_flat(struct obs_scratch *s, const void *buf, __u64 want)
{
	if (want > OBS_PAYLOAD_MAX)
		want = OBS_PAYLOAD_MAX;
	if (bpf_probe_read_user(s->payload, want, buf) < 0) {
		obs_drop(OBS_DROP_FAULT, 1);
		return 0;
	}
	return want;
}

/* The same from the segments of a writev, in order. */
__noinline int obs_copy_segments(struct obs_write_args *w, __u64 want)
{
	__u32 used = 0, zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!w || !s)
		return 0;
	for (__u32 i = 0; i < SEGMENTS_MAX; i++) {
		struct iovec_user seg;
		__u64 n;

		if (i >= w->n_iov || used >= want)
			break;
		if (bpf_probe_read_user(&seg, sizeof(seg), w->iov + i) < 0)
			break;
		n = want - used;
		if (n > seg.len)
			n = seg.len;
		if (used >= OBS_PAYLOAD_MAX || n > OBS_PAYLOAD_MAX - used)
			break;
		if (bpf_probe_read_user(s->payload + used, n, (void *)seg.base) < 0)
			break;
		used += n;
	}
	return used;
}

static __always_inline long output(struct obs_scratch *s, __u32 payload, struct obs_control *c)
{
	if (payload > OBS_PAYLOAD_MAX)
		payload = OBS_PAYLOAD_MAX;
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

static __always_inline void capture_file(struct obs_write_args *w, struct obs_seen_file *seen,
					 struct obs_scratch *s, struct obs_control *c)
{
	struct obs_file_value *v = judge(w, seen);
	__u64 want = w->len < c->payload_max ? w->len : c->payload_max;
	__u32 got = 0;

	if (!v || v->verdict == OBS_FILE_IGNORE)
		return;
	if (w->flags & OBS_W_NO_OFFSET) {
		send_mark(w, seen, v, s, c);
		return;
	}
	if (!within_budget(w->target, sizeof(s->rec) + want, c)) {
		obs_note(OBS_DROP_BUDGET_FILE, 1);
		send_mark(w, seen, v, s, c);
		return;
	}
	if (w->buf)
		got = copy_flat(s, w->buf, want);
	else if (w->n_iov)
		got = obs_copy_segments(w, want);
	fill(&s->rec, w, seen, got);
	if (output(s, got, c) < 0)
		obs_drop(OBS_DROP_RING_FILE, 1);
}

static __always_inline void lose_console(__u32 reason, __u64 bytes)
{
	obs_drop(reason, 1);
	obs_drop(OBS_DROP_BYTES_CONSOLE, bytes);
}

/* One part of a console write is in the scratch: hand it on. Return: 0, or -1 when lost. */
static __always_inline int send_part(const struct obs_write_args *w,
				     const struct obs_seen_file *seen, struct obs_scratch *s,
				     struct obs_control *c, __u64 at, __u32 got)
{
	if (!within_budget(w->target, sizeof(s->rec) + got, c)) {
		lose_console(OBS_DROP_BUDGET_CONSOLE, w->len - at);
		return -1;
	}
	fill(&s->rec, w, seen, got);
	s->rec.offset = at;
	if (at)
		s->rec.flags |= OBS_W_PART;
	if (output(s, got, c) < 0) {
		lose_console(OBS_DROP_RING_CONSOLE, w->len - at);
		return -1;
	}
	return 0;
}

/* Nothing behind a console keeps its bytes: take all of a long write, in parts. */
static __always_inline void capture_console(const struct obs_write_args *w,
					    const struct obs_seen_file *seen, struct obs_scratch *s,
					    struct obs_control *c)
{
	__u64 done = 0;

	for (int i = 0; i < CONSOLE_PARTS_MAX && done < w->len; i++) {
		__u64 want = w->len - done;
		__u32 got;

		got = copy_flat(s, w->buf + done, want < c->payload_max ? want : c->payload_max);
		if (!got)
			return lose_console(OBS_DROP_FAULT, want);
		if (send_part(w, seen, s, c, done, got) < 0)
			return;
		done += got;
	}
	if (done < w->len)
		lose_console(OBS_DROP_TOO_LONG, w->len - done);
}

static __always_inline void capture_console_v(struct obs_write_args *w,
					      const struct obs_seen_file *seen,
					      struct obs_scratch *s, struct obs_control *c)
{
	__u64 want = w->len < c->payload_max ? w->len : c->payload_max;
	__u32 got = obs_copy_segments(w, want);

	if (got && send_part(w, seen, s, c, 0, got) < 0)
		return;
	if (got < w->len)
		lose_console(OBS_DROP_TOO_LONG, w->len - got);
}

__noinline int obs_capture_console(struct obs_write_args *w, struct obs_seen_file *seen)
{
	struct obs_control *c = obs_control();
	__u32 zero = 0;
	struct obs_scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!w || !seen || !c || !s)
		return 0;
	if (w->buf)
		capture_console(w, seen, s, c);
	else if (w->n_iov)
		capture_console_v(w, seen, s, c);
	else
		lose_console(OBS_DROP_FAULT, w->len); /* splice, sendfile: no user buffer */
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
	else if (seen->kind && (w->fd == 1 || w->fd == 2))
		obs_capture_console(w, seen);
}
