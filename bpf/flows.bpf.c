// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * flows.bpf.c - what nodes send and get over UDP, added up per remote, and the packets that
 * tell names: DNS answers, TLS ClientHellos.
 *
 * Hooks: cgroup_skb/{ingress,egress}, attached to each container's cgroup, so that packets of others
 * cost nothing. One unconnected socket serves all of QUIC's peers: remotes are in packets only.
 * Each UDP socket of a node is marked with its process, by cgroup/sock_create when it is made (in
 * its process's context), by iter/task_file when it was there before. Nodes outside a container
 * share their cgroup with others: there packets of sockets without a mark are let go; whose a TCP
 * socket is, tcp.bpf.c has noted.
 * Cost: a look at two bytes of each packet, which is all for TCP's that came in or are too short
 * for a ClientHello, and a few more bytes of longer ones; a look for the mark and a per-CPU counter
 * for each packet of UDP; a record for each DNS answer and ClientHello.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "budget.bpf.h"
#include "inet.bpf.h"
#include "members.bpf.h"
#include "socks.bpf.h" /* tcp.bpf.c's maps, where that is loaded */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PASS	  1
#define PORT_DNS  53
#define DEPTH_MAX 6 /* a container's own cgroups lie below the one that is known */

#define IP4_BYTES    20
#define IP6_BYTES    40
#define TCP_BYTES    20
#define UDP_BYTES    8
#define HELLO_LEAST  48
#define QUIC_LONG    0xc0 /* header form and fixed bit, RFC 9000 17.2 */
#define QUIC_LEAST   7
#define QUIC_IDS_MAX 20
#define QUIC_TOGETHER \
	3 /* packets looked at in a datagram: Initial, 0-RTT or Handshake, Handshake */
#define QUIC_V2	    0x6b3343cf
#define QUIC_DRAFTS 0xff000000

/* 7.x may have no memory for marks in its sockets: then user space makes no such map. */
const volatile __u8 with_marks = 1;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, OBS_FLOWS_MAX);
	__type(key, struct obs_flow_key);
	__type(value, struct obs_flow_value);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32);
	__type(value, struct obs_flow_total);
} flow_totals SEC(".maps");

struct scratch_packet {
	struct obs_rec_packet rec;
	__u8 payload[OBS_PACKET_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch_packet);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct obs_mark);
} marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32);   /* target slot */
	__type(value, __u32); /* of a node in a shared cgroup: which holder of the slot; else 0 */
} shared SEC(".maps");

struct packet {
	struct obs_flow_key key;
	__u32 l4;   /* offset of the transport's header */
	__u32 tgid; /* whose socket it is; 0 = unknown */
	__u8 protocol;
	__u8 inbound;
	__u8 is_ip6;
};

static __always_inline __u32 target_of(struct __sk_buff *skb)
{
	__u64 id = bpf_skb_cgroup_id(skb);
	struct obs_target_value *v = bpf_map_lookup_elem(&cgroups, &id);

	for (int level = DEPTH_MAX; level > 0 && !v; level--) {
		id = bpf_skb_ancestor_cgroup_id(skb, level);
		v = bpf_map_lookup_elem(&cgroups, &id);
	}
	return v ? v->target : 0;
}

/* The header lies in one piece: the kernel has looked at it, or made it, before. */
static __always_inline int take_protocol(struct __sk_buff *skb, struct packet *p)
{
	const __u8 *h = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (h + IP4_BYTES > end)
		return -1;
	if (h[0] >> 4 == 4) {
		if ((h[6] & 0x1f) || h[7])
			return -1; /* not the first fragment: no ports in it */
		p->protocol = h[9];
		p->l4 = (h[0] & 0x0f) * 4;
		return 0;
	}
	p->protocol = h[6];
	p->l4 = IP6_BYTES;
	p->is_ip6 = 1;
	return h[0] >> 4 == 6 ? 0 : -1;
}

static __always_inline int take_address(struct __sk_buff *skb, const struct packet *p, int sender,
					__u8 ip[16])
{
	if (p->is_ip6)
		return bpf_skb_load_bytes(skb, sender ? 8 : 24, ip, 16);
	ip[10] = ip[11] = 0xff;
	return bpf_skb_load_bytes(skb, sender ? 12 : 16, ip + 12, 4);
}

static __always_inline int take_remote(struct __sk_buff *skb, struct packet *p)
{
	return take_address(skb, p, p->inbound, p->key.remote);
}

static __always_inline int take_ports(struct __sk_buff *skb, struct packet *p)
{
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, p->l4, ports, sizeof(ports)) < 0)
		return -1;
	p->key.local_port = bpf_ntohs(p->inbound ? ports[1] : ports[0]);
	p->key.remote_port = bpf_ntohs(p->inbound ? ports[0] : ports[1]);
	return 0;
}

static __always_inline void send_packet(struct __sk_buff *skb, const struct packet *p, __u8 kind,
					__u32 from)
{
	struct obs_control *c = obs_control();
	__u32 zero = 0, n = skb->len > from ? skb->len - from : 0;
	struct scratch_packet *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!c || !s)
		return;
	if (n == 0)
		return;
	if (n > OBS_PACKET_MAX)
		n = OBS_PACKET_MAX;
	barrier_var(n);
	n = ((n - 1) & (OBS_PACKET_MAX - 1)) + 1; /* what 6.1's verifier believes */
	if (bpf_skb_load_bytes(skb, from, s->payload, n) < 0)
		return;
	if (!within_budget(p->key.target, sizeof(s->rec) + n, c)) {
		obs_drop(OBS_DROP_RING_PROCESS, 1);
		return;
	}
	obs_header(&s->rec.hdr, OBS_REC_PACKET, sizeof(s->rec) + n);
	s->rec.target = p->key.target;
	s->rec.kind = kind;
	s->rec.inbound = p->inbound;
	s->rec.remote_port = p->key.remote_port;
	s->rec.payload = n;
	s->rec.pad = 0;
	s->rec.pad2 = 0;
	__builtin_memcpy(s->rec.remote, p->key.remote, sizeof(s->rec.remote));
	if (bpf_ringbuf_output(&events, s, sizeof(s->rec) + n, obs_wakeup(c)) < 0)
		obs_drop(OBS_DROP_RING_PROCESS, 1);
}

enum quic_packet { QUIC_INITIAL, QUIC_0RTT, QUIC_HANDSHAKE, QUIC_RETRY };

/* Those that peers may speak. What else looks like it is not QUIC (DNS answers do), and 0 is no
 * version but a talk about versions. */
static __always_inline int is_known_version(__u32 version)
{
	return version == 1 || version == QUIC_V2 || (version & 0xffffff00) == QUIC_DRAFTS;
}

/* RFC 9369 3.2: version 2 has the same ones, each a number higher. */
static __always_inline enum quic_packet packet_of(__u8 first, __u32 version)
{
	__u8 number = (first >> 4) & 3;

	return version == QUIC_V2 ? (number - 1) & 3 : number;
}

/* A number of RFC 9000 16 at @at; further than a datagram reaches is all the same. Return: its
 * bytes, or 0. */
static __always_inline __u32 take_number(struct __sk_buff *skb, __u32 at, __u32 *ret)
{
	__u8 b[4];

	if (bpf_skb_load_bytes(skb, at, b, 1) < 0 || b[0] >> 6 == 3)
		return 0;
	if (b[0] >> 6 == 0) {
		*ret = b[0];
		return 1;
	}
	if (b[0] >> 6 == 1) {
		if (bpf_skb_load_bytes(skb, at, b, 2) < 0)
			return 0;
		*ret = (__u32)(b[0] & 0x3f) << 8 | b[1];
		return 2;
	}
	if (bpf_skb_load_bytes(skb, at, b, 4) < 0)
		return 0;
	*ret = (__u32)(b[0] & 0x3f) << 24 | (__u32)b[1] << 16 | (__u32)b[2] << 8 | b[3];
	return 4;
}

/* @at: behind the connection ids. Return: where the next packet begins, or 0. */
static __always_inline __u32 end_of_quic(struct __sk_buff *skb, __u32 at, enum quic_packet packet)
{
	__u32 n = 0, bytes;

	if (packet == QUIC_RETRY)
		return 0;
	if (packet == QUIC_INITIAL) { /* its token */
		bytes = take_number(skb, at, &n);
		if (!bytes || n > skb->len)
			return 0;
		at += bytes + n;
	}
	bytes = take_number(skb, at, &n);
	return bytes && n <= skb->len ? at + bytes + n : 0;
}

/* RFC 8999: the version and the lengths of connection ids stand in every long header.
 * Return: where the next packet of the datagram begins, or 0. */
static __always_inline __u32 look_at_quic(struct __sk_buff *skb, __u32 at, struct obs_flow_value *v)
{
	enum quic_packet packet;
	__u8 h[QUIC_LEAST];
	__u32 version;

	if (bpf_skb_load_bytes(skb, at, h, sizeof(h)) < 0 || (h[0] & QUIC_LONG) != QUIC_LONG ||
	    h[5] > QUIC_IDS_MAX)
		return 0;
	version = (__u32)h[1] << 24 | (__u32)h[2] << 16 | (__u32)h[3] << 8 | h[4];
	at += 6 + h[5];
	if (!is_known_version(version) || bpf_skb_load_bytes(skb, at, h + 6, 1) < 0 ||
	    h[6] > QUIC_IDS_MAX)
		return 0;
	v->quic_version = version;
	v->dcid_len = h[5];
	v->scid_len = h[6];
	packet = packet_of(h[0], version);
	if (packet == QUIC_HANDSHAKE)
		v->flags |= OBS_FLOW_HANDSHAKE;
	return end_of_quic(skb, at + 1 + h[6], packet);
}

static __always_inline void look_for_quic(struct __sk_buff *skb, __u32 from,
					  struct obs_flow_value *v)
{
	for (int i = 0; i < QUIC_TOGETHER && from; i++)
		from = look_at_quic(skb, from, v);
}

/* One that is sent, or handed up, in one piece may be many on the line: what it has then. */
static __always_inline __u32 packets_of(const struct __sk_buff *skb)
{
	return skb->gso_segs > 1 ? skb->gso_segs : 1;
}

static __always_inline __u32 bytes_of(const struct __sk_buff *skb, const struct packet *p)
{
	return skb->len + (packets_of(skb) - 1) * (p->l4 + UDP_BYTES);
}

static __always_inline void count_total(struct __sk_buff *skb, const struct packet *p)
{
	__u32 target = p->key.target;
	struct obs_flow_total *t = bpf_map_lookup_elem(&flow_totals, &target);

	if (!t)
		return;
	if (p->inbound) {
		t->packets_in += packets_of(skb);
		t->bytes_in += bytes_of(skb, p);
	} else {
		t->packets_out += packets_of(skb);
		t->bytes_out += bytes_of(skb, p);
	}
}

static __always_inline struct obs_flow_value *flow_of(struct __sk_buff *skb, const struct packet *p,
						      __u64 now)
{
	struct obs_flow_value *v = bpf_map_lookup_elem(&flows, &p->key);
	struct obs_flow_value fresh = { .first_ns = now };

	if (v)
		return v;
	take_address(skb, p, !p->inbound, fresh.local);
	bpf_map_update_elem(&flows, &p->key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&flows, &p->key);
}

static __always_inline void count_udp(struct __sk_buff *skb, const struct packet *p)
{
	__u64 now = bpf_ktime_get_boot_ns();
	struct obs_flow_value *v = flow_of(skb, p, now);

	if (!v) {
		obs_drop(OBS_DROP_MAP, 1);
		return;
	}
	look_for_quic(skb, p->l4 + UDP_BYTES, v);
	if (v->quic_version && !v->last_ns)
		v->flags |= p->inbound ? OBS_FLOW_CALLED : OBS_FLOW_DIALLED;
	if (!v->first_ns)
		v->first_ns = now; /* another CPU made the entry */
	v->last_ns = now;
	if (p->tgid)
		v->tgid = p->tgid;
	if (p->inbound) {
		v->packets_in += packets_of(skb);
		v->bytes_in += bytes_of(skb, p);
	} else {
		v->packets_out += packets_of(skb);
		v->bytes_out += bytes_of(skb, p);
	}
}

/* Where a ClientHello begins, or 0. */
static __always_inline __u32 find_hello(struct __sk_buff *skb, const struct packet *p)
{
	__u8 offset, h[6];
	__u32 from;

	if (skb->len < p->l4 + TCP_BYTES + HELLO_LEAST ||
	    bpf_skb_load_bytes(skb, p->l4 + 12, &offset, 1) < 0)
		return 0;
	from = p->l4 + (offset >> 4) * 4;
	if (skb->len < from + HELLO_LEAST || bpf_skb_load_bytes(skb, from, h, sizeof(h)) < 0)
		return 0;
	return h[0] == 22 && h[1] == 3 && h[5] == 1 ? from : 0;
}

/* --- whose a socket is --- */

static __always_inline __u32 holder_of(__u32 slot)
{
	__u32 *holder = bpf_map_lookup_elem(&shared, &slot);

	return holder ? *holder : 0;
}

/* The mark of what @tgid has: without a target where it is nobody's, without a holder where the
 * node has a cgroup of its own. */
static __always_inline struct obs_mark mark_of(__u32 tgid)
{
	struct obs_target_value *target = obs_target_of(tgid);
	struct obs_mark m = {};

	if (target) {
		m.target = target->target;
		m.holder = holder_of(m.target);
		m.tgid = tgid;
	}
	return m;
}

/* A mark of a node that is gone is worth nothing, though its slot be another's now; nor one of a
 * process that is gone, and has passed its socket on. */
static __always_inline int is_worthless(const struct obs_mark *m)
{
	struct obs_target_value *target = obs_target_of(m->tgid);

	return !target || target->target != m->target || m->holder != holder_of(m->target);
}

static __always_inline void mark(void *sk, struct obs_mark *fresh)
{
	struct obs_mark *known = bpf_sk_storage_get(&marks, sk, fresh, BPF_SK_STORAGE_GET_F_CREATE);

	if (!known)
		obs_drop(OBS_DROP_MAP, 1);
	else if (is_worthless(known))
		*known = *fresh;
}

static __always_inline struct obs_mark *find_mark(struct bpf_sock *sk)
{
	return with_marks ? bpf_sk_storage_get(&marks, sk, NULL, 0) : NULL;
}

static __always_inline __u32 marked_for(struct bpf_sock *sk, __u32 *tgid)
{
	struct obs_mark *known = find_mark(sk);

	if (!known || !known->holder || known->holder != holder_of(known->target))
		return 0;
	*tgid = known->tgid;
	return known->target;
}

static __always_inline __u32 noted_for(struct bpf_sock *sk)
{
	struct obs_sock_value *known = obs_sock_find(obs_sock_key(sk));

	return known && holder_of(known->target) ? known->target : 0;
}

static __always_inline struct bpf_sock *full_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_fullsock(sk) : NULL;
}

/* In a cgroup that is shared: the node that the socket belongs to. */
static __always_inline __u32 socket_of(struct __sk_buff *skb, __u8 protocol, __u32 *tgid)
{
	struct bpf_sock *sk = full_socket(skb);

	if (!sk)
		return 0;
	return protocol == IPPROTO_UDP ? marked_for(sk, tgid) : noted_for(sk);
}

/* In a node's own cgroup: the process only. */
static __always_inline __u32 marker_of(struct __sk_buff *skb, __u32 target)
{
	struct bpf_sock *sk = full_socket(skb);
	struct obs_mark *known = sk ? find_mark(sk) : NULL;

	return known && known->target == target ? known->tgid : 0;
}

/* --- packets --- */

static __always_inline void take_udp(struct __sk_buff *skb, const struct packet *p)
{
	count_total(skb, p);
	count_udp(skb, p);
	if (p->inbound && p->key.remote_port == PORT_DNS)
		send_packet(skb, p, OBS_PACKET_DNS, p->l4 + UDP_BYTES);
}

static __always_inline int look_at(struct __sk_buff *skb, __u8 inbound, int is_shared)
{
	struct packet p = { .inbound = inbound };
	__u32 hello = 0;

	if (take_protocol(skb, &p) < 0)
		return PASS;
	if (p.protocol == IPPROTO_TCP && !inbound)
		hello = find_hello(skb, &p);
	if (!hello && p.protocol != IPPROTO_UDP)
		return PASS;
	p.key.target = is_shared ? socket_of(skb, p.protocol, &p.tgid) : target_of(skb);
	if (!is_shared && !hello)
		p.tgid = marker_of(skb, p.key.target);
	if (!p.key.target || take_remote(skb, &p) < 0 || take_ports(skb, &p) < 0)
		return PASS;
	if (hello)
		send_packet(skb, &p, OBS_PACKET_HELLO, hello);
	else
		take_udp(skb, &p);
	return PASS;
}

SEC("cgroup_skb/egress")
int obs_egress(struct __sk_buff *skb)
{
	return look_at(skb, 0, 0);
}

SEC("cgroup_skb/ingress")
int obs_ingress(struct __sk_buff *skb)
{
	return look_at(skb, 1, 0);
}

SEC("cgroup_skb/egress")
int obs_shared_egress(struct __sk_buff *skb)
{
	return look_at(skb, 0, 1);
}

SEC("cgroup_skb/ingress")
int obs_shared_ingress(struct __sk_buff *skb)
{
	return look_at(skb, 1, 1);
}

/* --- marks --- */

SEC("cgroup/sock_create")
int obs_sock_create(struct bpf_sock *sk)
{
	struct obs_mark m;

	if (sk->protocol != IPPROTO_UDP)
		return PASS;
	m = mark_of(bpf_get_current_pid_tgid() >> 32);
	if (m.target)
		mark(sk, &m);
	return PASS;
}

/* Tells the cgroup of each that is in a shared one: a socket stays in the one that it was made in. */
SEC("iter/task_file")
int obs_mark_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct obs_mark m;
	struct sock *sk;
	__u64 cgroup;

	if (!task || !file)
		return 0;
	m = mark_of(task->tgid);
	if (!m.target)
		return 0;
	socket = bpf_sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (!sk || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_UDP) ||
	    (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6))
		return 0;
	if (sk->sk_protocol == IPPROTO_UDP)
		mark(sk, &m);
	if (!m.holder)
		return 0;
	cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	bpf_seq_write(ctx->meta->seq, &cgroup, sizeof(cgroup));
	return 0;
}
