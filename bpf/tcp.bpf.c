// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * tcp.bpf.c - the TCP connections of targets, from the first SYN to the end.
 *
 * Hooks: tp_btf/inet_sock_set_state for what happens, iter/task_file for how it stands. Most state
 * changes come in a softirq, where "current" is anybody: whose a socket is is noted when
 * its process connects or listens, and a child of a listener (LISTEN -> SYN_RECV, on the child)
 * is the listener's, found by port. iter/task_file and not iter/tcp, since one pass covers every
 * network namespace, and tells who holds a socket now: inherited, or passed by SCM_RIGHTS.
 * Cost: other processes' connections are one look at a bit or a missed look at a hash per change
 * of state; targets' are counted, send two records each, and one where they come by the thousand:
 * then their end tells of their beginning too. The iterator looks at every descriptor of the host.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "dials.bpf.h"
#include "inet.bpf.h"
#include "members.bpf.h"
#include "socks.bpf.h"
#include "walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define USEC_PER_S 1000000ULL
#define NS_PER_S   1000000000ULL

#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h; sk_clone_lock() clears it in children */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, OBS_LISTENERS_MAX);
	__type(key, struct obs_listener_key);
	__type(value, struct obs_sock_value);
} listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32); /* target slot */
	__type(value, struct obs_opens);
} opens SEC(".maps");

/* --- a socket as the record has it --- */

static __always_inline __u32 netns_of(struct sock *sk)
{
	return obs_walked_sock(sk)->__sk_common.skc_net.net->ns.inum;
}

static __always_inline void take_addresses(struct obs_rec_tcp *rec, struct sock *sk)
{
	rec->family = sk->__sk_common.skc_family;
	rec->local_port = sk->__sk_common.skc_num;
	rec->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	rec->netns = netns_of(sk);
	if (rec->family == AF_INET6) {
		BPF_CORE_READ_INTO(&rec->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&rec->remote, sk, __sk_common.skc_v6_daddr);
		return;
	}
	rec->local[10] = rec->local[11] = rec->remote[10] = rec->remote[11] = 0xff;
	*(__u32 *)&rec->local[12] = sk->__sk_common.skc_rcv_saddr;
	*(__u32 *)&rec->remote[12] = sk->__sk_common.skc_daddr;
}

/* A bitfield up to 6.2. */
static __always_inline int port_was_bound(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

static __always_inline void take_rate(struct obs_rec_tcp *rec, struct tcp_sock *tp)
{
	__u64 interval_us = tp->rate_interval_us;

	if (interval_us)
		rec->delivery_rate =
			(__u64)tp->rate_delivered * tp->mss_cache * USEC_PER_S / interval_us;
}

/* What there is to tell of a connection that has just begun. */
static __always_inline void take_start(struct obs_rec_tcp *rec, struct tcp_sock *tp)
{
	rec->srtt_us = tp->srtt_us >> 3;
	rec->rttvar_us = tp->mdev_us >> 2; /* as tcp_get_info(): what decides on RTOs is another */
	rec->min_rtt_us = tp->rtt_min.s[0].v;
	rec->retransmits = tp->total_retrans;
	rec->cwnd = tp->snd_cwnd;
}

static __always_inline void take_counters(struct obs_rec_tcp *rec, struct tcp_sock *tp)
{
	take_start(rec, tp);
	rec->bytes_sent = tp->bytes_sent;
	rec->bytes_acked = tp->bytes_acked;
	rec->bytes_received = tp->bytes_received;
	rec->unacked_bytes = tp->snd_nxt - tp->snd_una;
	rec->send_queue = tp->write_seq - tp->snd_una;
	rec->recv_queue = tp->rcv_nxt - tp->copied_seq;
	take_rate(rec, tp);
}

static __always_inline void take_listener(struct obs_rec_tcp *rec, struct sock *sk,
					  struct tcp_sock *tp)
{
	if (tp)
		rec->half_open = tp->inet_conn.icsk_accept_queue.qlen.counter;
	rec->send_queue = sk->sk_max_ack_backlog;
	rec->recv_queue = sk->sk_ack_backlog;
	rec->drops = sk->sk_drops.counter;
}

static __always_inline void take_owner(struct obs_rec_tcp *rec, const struct obs_sock_value *s)
{
	rec->target = s->target;
	rec->tgid = s->tgid;
	rec->born_ns = s->born_ns;
	rec->established_ns = s->established_ns;
	rec->flags = s->flags;
}

static __always_inline void send(struct sock *sk, const struct obs_sock_value *s, __u8 what,
				 __u8 state, __u64 now_ns)
{
	struct obs_control *c = obs_control();
	struct obs_rec_tcp *rec;
	struct tcp_sock *tp;

	if (!c)
		return;
	rec = obs_reserve_at(OBS_REC_TCP, sizeof(*rec), now_ns);
	if (!rec)
		return;
	rec->sock = (__u64)sk;
	rec->what = what;
	rec->state = state;
	rec->err = sk->sk_err;
	take_owner(rec, s);
	take_addresses(rec, sk);
	if (!rec->local_port)
		rec->local_port = s->port;
	if (port_was_bound(sk))
		rec->flags |= OBS_TCP_BOUND;
	tp = bpf_skc_to_tcp_sock(sk);
	if (what == OBS_TCP_LISTEN || what == OBS_TCP_UNLISTEN)
		take_listener(rec, sk, tp);
	else if (tp && what == OBS_TCP_OPEN)
		take_start(rec, tp);
	else if (tp)
		take_counters(rec, tp);
	if (what == OBS_TCP_FAIL && tp && !tp->segs_out)
		rec->flags |= OBS_TCP_UNSENT;
	bpf_ringbuf_submit(rec, obs_wakeup(c));
}

/* --- counts: exact, whatever the ring has room for --- */

/* What is new since the last look, unless it has just ended on another CPU: then all is in. */
static __always_inline void add_so_far(__u64 *count, __u64 *counted, __u64 now)
{
	__u64 before = *counted;

	if (before != OBS_TCP_ALL_COUNTED && before != now &&
	    __sync_val_compare_and_swap(counted, before, now) == before)
		obs_add(count, now - before);
}

static __always_inline void add_the_rest(__u64 *count, __u64 *counted, __u64 now)
{
	obs_add(count, now - __sync_lock_test_and_set(counted, OBS_TCP_ALL_COUNTED));
}

static __always_inline void count_so_far(struct sock *sk, struct obs_sock_value *s)
{
	struct obs_tcp_total *t = obs_total_of(s->target);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!t || !tp)
		return;
	add_so_far(&t->bytes_sent, &s->counted_sent, tp->bytes_sent);
	add_so_far(&t->bytes_received, &s->counted_received, tp->bytes_received);
	add_so_far(&t->retransmits, &s->counted_retransmits, tp->total_retrans);
}

static __always_inline void count_open(struct obs_sock_value *s)
{
	struct obs_tcp_total *t = obs_total_of(s->target);

	if (t)
		obs_add(s->flags & OBS_TCP_IN ? &t->in : &t->out, 1);
}

static __always_inline void count_end(struct sock *sk, struct obs_sock_value *s, __u8 what)
{
	struct obs_tcp_total *t = obs_total_of(s->target);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 how = obs_failure_of(sk->sk_err);

	if (!t || !tp || what == OBS_TCP_UNLISTEN)
		return;
	if (what == OBS_TCP_FAIL) {
		if (!(s->flags & OBS_TCP_IN) && how < OBS_FAILURES)
			obs_add(&t->failed[how], 1);
		return;
	}
	if (!s->established_ns && !(s->flags & OBS_TCP_EARLIER))
		count_open(s); /* that was skipped */
	obs_add(&t->closed, 1);
	obs_add(&t->broken, how == OBS_FAILURE_RESET || how == OBS_FAILURE_TIMED_OUT);
	add_the_rest(&t->bytes_sent, &s->counted_sent, tp->bytes_sent);
	add_the_rest(&t->bytes_received, &s->counted_received, tp->bytes_received);
	add_the_rest(&t->retransmits, &s->counted_retransmits, tp->total_retrans);
}

/* --- whose it is --- */

/* A program may be skipped (user/observe/missed.h): what its socket was is over by now. */
static __always_inline void count_missed_end(const struct obs_sock_value *s)
{
	struct obs_tcp_total *t = obs_total_of(s->target);

	if (t && (s->established_ns || s->flags & OBS_TCP_EARLIER))
		obs_add(&t->closed, 1);
}

static __always_inline int note(struct sock *sk, const struct obs_sock_value *s)
{
	__u64 key = obs_sock_key(sk);
	struct obs_sock_value *left = obs_sock_left(key);

	if (left)
		count_missed_end(left);
	if (obs_sock_note(key, s, BPF_ANY) == 0)
		return 0;
	obs_drop(OBS_DROP_MAP, 1);
	return -1;
}

static __always_inline struct obs_listener_key listener_key(struct sock *sk)
{
	return (struct obs_listener_key){ .netns = netns_of(sk), .port = sk->__sk_common.skc_num };
}

static __always_inline void on_active(struct sock *sk, int newstate)
{
	__u32 tgid = bpf_get_current_task_btf()->tgid;
	struct obs_target_value *target = obs_target_of(tgid);
	struct obs_listener_key key = listener_key(sk);
	struct obs_sock_value s = { .tgid = tgid };

	if (!target)
		return;
	s.target = target->target;
	s.born_ns = bpf_ktime_get_boot_ns();
	if (newstate == TCP_LISTEN)
		s.port = key.port;
	else
		obs_dial_note(obs_sock_key(sk));
	if (note(sk, &s) < 0 || newstate != TCP_LISTEN)
		return;
	bpf_map_update_elem(&listeners, &key, &s, BPF_ANY);
	send(sk, &s, OBS_TCP_LISTEN, TCP_LISTEN, s.born_ns);
}

/* The child's addresses are not there yet, but its port is. Where the port tells nothing, the
 * cgroup does, which a child has from its listener. */
static __always_inline void on_child(struct sock *sk)
{
	struct obs_listener_key key = listener_key(sk);
	struct obs_sock_value *listener = bpf_map_lookup_elem(&listeners, &key);
	struct obs_sock_value s = { .flags = OBS_TCP_IN };

	if (listener) {
		s.target = listener->target;
		s.tgid = listener->tgid;
	} else {
		__u64 cgroup = obs_walked_sock(sk)->sk_cgrp_data.cgroup->kn->id;
		struct obs_target_value *target = bpf_map_lookup_elem(&cgroups, &cgroup);

		if (!target)
			return;
		s.target = target->target;
	}
	s.born_ns = bpf_ktime_get_boot_ns();
	note(sk, &s);
}

/* Is this one to be told of now, or at its end? CPUs may count past each other. */
static __always_inline int told_now(__u32 target, __u64 now_ns)
{
	struct obs_opens *o = bpf_map_lookup_elem(&opens, &target);

	if (!o)
		return 1;
	if (now_ns - o->since_ns > NS_PER_S) {
		o->since_ns = now_ns;
		o->n = 0;
	}
	return ++o->n <= OBS_OPENS_PER_S;
}

static __always_inline void on_established(struct sock *sk, int oldstate)
{
	__u64 key = obs_sock_key(sk);
	struct obs_sock_value *s = obs_sock_find(key);

	if (!s && oldstate == TCP_SYN_RECV) { /* its beginning was skipped, or it is nobody's */
		on_child(sk);
		s = obs_sock_find(key);
	}
	if (!s)
		return;
	s->established_ns = bpf_ktime_get_boot_ns();
	s->port = sk->__sk_common.skc_num;
	s->flags &= ~OBS_TCP_EARLIER; /* a connect that was under way when it was found */
	count_open(s);
	if (told_now(s->target, s->established_ns))
		send(sk, s, OBS_TCP_OPEN, TCP_ESTABLISHED, s->established_ns);
}

static __always_inline __u8 ending(const struct obs_sock_value *s, int oldstate)
{
	if (oldstate == TCP_LISTEN)
		return OBS_TCP_UNLISTEN;
	if (oldstate == TCP_SYN_SENT || oldstate == TCP_SYN_RECV)
		return OBS_TCP_FAIL;
	return OBS_TCP_CLOSE;
}

static __always_inline void on_closed(struct sock *sk, int oldstate)
{
	__u64 key = obs_sock_key(sk);
	struct obs_sock_value *s = obs_sock_find(key);
	__u8 what;

	if (!s)
		return;
	what = ending(s, oldstate);
	if (oldstate == TCP_LISTEN) {
		struct obs_listener_key port = listener_key(sk);

		port.port = s->port;
		bpf_map_delete_elem(&listeners, &port);
	}
	count_end(sk, s, what);
	send(sk, s, what, oldstate, bpf_ktime_get_boot_ns());
	obs_sock_forget(key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(obs_tcp_state, struct sock *sk, int oldstate, int newstate)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (newstate == TCP_SYN_SENT || newstate == TCP_LISTEN)
		on_active(sk, newstate);
	else if (newstate == TCP_SYN_RECV && oldstate == TCP_LISTEN)
		on_child(sk);
	else if (newstate == TCP_ESTABLISHED)
		on_established(sk, oldstate);
	else if (newstate == TCP_CLOSE)
		on_closed(sk, oldstate);
	return 0;
}

/* --- how they stand: one pass over all descriptors --- */

/* Is this the note that was just made, and of a connection? */
static __always_inline void count_earlier(const struct obs_sock_value *s,
					  const struct obs_sock_value *noted, __u8 state)
{
	struct obs_tcp_total *t = obs_total_of(noted->target);

	if (t && s->born_ns == noted->born_ns && state != TCP_LISTEN && state != TCP_SYN_SENT &&
	    state != TCP_SYN_RECV)
		obs_add(&t->earlier, 1);
}

/* A socket that was there before it was watched. */
static __always_inline struct obs_sock_value *adopt(struct sock *sk, __u64 key, __u32 target,
						    __u32 tgid)
{
	struct obs_sock_value s = { .target = target, .tgid = tgid, .flags = OBS_TCP_EARLIER };
	struct obs_listener_key port = listener_key(sk);
	struct obs_sock_value *found;

	s.born_ns = bpf_ktime_get_boot_ns();
	s.port = port.port;
	obs_sock_note(key, &s, BPF_NOEXIST); /* it may just be beginning, on another CPU */
	if (sk->__sk_common.skc_state == TCP_CLOSE) {
		obs_sock_forget(key); /* it ended before it was noted */
		return NULL;
	}
	if (sk->__sk_common.skc_state == TCP_LISTEN)
		bpf_map_update_elem(&listeners, &port, &s, BPF_NOEXIST);
	found = obs_sock_find(key);
	if (found)
		count_earlier(found, &s, sk->__sk_common.skc_state);
	return found;
}

static __always_inline void fill_sample(struct obs_rec_tcp *rec, struct sock *sk,
					struct obs_sock_value *s, __u32 tgid)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	obs_header(&rec->hdr, OBS_REC_TCP, sizeof(*rec));
	rec->sock = (__u64)sk;
	rec->what = OBS_TCP_SAMPLE;
	rec->state = sk->__sk_common.skc_state;
	take_owner(rec, s);
	rec->tgid = tgid;
	take_addresses(rec, sk);
	if (port_was_bound(sk))
		rec->flags |= OBS_TCP_BOUND;
	if (rec->state == TCP_LISTEN)
		take_listener(rec, sk, tp);
	else if (tp)
		take_counters(rec, tp);
}

SEC("iter/task_file")
int obs_tcp_sample(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct obs_target_value *target;
	struct obs_sock_value known = {}; /* no room for it: without a birth */
	struct obs_rec_tcp rec = {};
	struct obs_sock_value *s;
	struct socket *socket;
	struct sock *sk;
	__u64 key;

	if (!task || !file)
		return 0;
	target = obs_target_of(task->tgid);
	if (!target)
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (!sk || sk->sk_protocol != IPPROTO_TCP || sk->__sk_common.skc_state == TCP_CLOSE ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	key = obs_sock_key(sk);
	s = obs_sock_find(key);
	if (!s)
		s = adopt(sk, key, target->target, task->tgid);
	if (!s && sk->__sk_common.skc_state == TCP_CLOSE)
		return 0;
	known.target = target->target;
	if (s) {
		if (sk->__sk_common.skc_state != TCP_LISTEN)
			count_so_far(sk, s);
		known = *s;
	}
	fill_sample(&rec, sk, &known, task->tgid);
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
