// SPDX-License-Identifier: BSD-2-Clause
/* connections.c - see connections.h. The rungs, and the first of them. */
#include "observe/connections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/tcp.skel.h"
#include "observe/tcp_diag.h"
#include "util/buf.h"
#include "util/cleanup.h"

#define ROWS_MAX_BYTES (64 * 1024 * 1024)
#define READ_BYTES     (64 * 1024)

struct obs_connections {
	struct obs_connections_options opt;
	struct tcp_bpf *tcp;	      /* owned; NULL on the other rung */
	struct obs_tcp_diag *diag;    /* owned; NULL on the first rung */
	struct obs_buf rows;	      /* of one pass */
	struct obs_tcp_total *totals; /* of one slot, by CPU; owned */
	int n_cpus;
};

void obs_conn_facts_of(const struct obs_rec_tcp *rec, struct obs_conn_facts *ret)
{
	bool listens = rec->state == OBS_TCP_STATE_LISTEN;

	*ret = (struct obs_conn_facts){
		.id = { .sock = rec->sock, .born = rec->born_ns },
		.pid = rec->tgid,
		.netns = rec->netns,
		.state = rec->state,
		.preexisting = (rec->flags & OBS_TCP_EARLIER) != 0,
		.bound = rec->flags & OBS_TCP_BOUND ? OBS_BOUND_YES : OBS_BOUND_NO,
		.established_ns = rec->established_ns,
		.bytes_sent = rec->bytes_sent,
		.bytes_acked = rec->bytes_acked,
		.bytes_received = rec->bytes_received,
		.delivery_rate = rec->delivery_rate,
		.srtt_us = rec->srtt_us,
		.rttvar_us = rec->rttvar_us,
		.min_rtt_us = rec->min_rtt_us == ~0U ? 0 : rec->min_rtt_us,
		.retransmits = rec->retransmits,
		.cwnd = rec->cwnd,
		.unacked_bytes = rec->unacked_bytes,
		.send_queue = rec->send_queue,
		.recv_queue = rec->recv_queue,
		.drops = rec->drops,
		.half_open = rec->half_open,
		.err = rec->err,
	};
	/* The call's error is nowhere in the socket: a port, or this very connection, is taken. */
	if (rec->flags & OBS_TCP_UNSENT && !rec->err)
		ret->err = EADDRNOTAVAIL;
	memcpy(ret->local.ip, rec->local, sizeof(ret->local.ip));
	memcpy(ret->remote.ip, rec->remote, sizeof(ret->remote.ip));
	ret->local.port = rec->local_port;
	ret->remote.port = listens ? 0 : rec->remote_port;
	if (!ret->preexisting) {
		ret->born_ns = rec->born_ns;
		ret->direction = rec->flags & OBS_TCP_IN ? OBS_DIRECTION_IN : OBS_DIRECTION_OUT;
	}
}

/* --- the first rung --- */

/* Small limits are kept to the connection: no places then. */
static void set_room(struct tcp_bpf *s, uint32_t conns_max)
{
	uint32_t places = conns_max >= 2 * OBS_SOCK_PLACES ? OBS_SOCK_PLACES : 0;

	bpf_map__set_max_entries(s->maps.sock_places, places + 1);
	bpf_map__set_max_entries(s->maps.socks, conns_max - places);
}

static int make_room(struct obs_connections *c)
{
	c->n_cpus = libbpf_num_possible_cpus();
	if (c->n_cpus < 0)
		return c->n_cpus;
	c->totals = calloc((size_t)c->n_cpus, sizeof(*c->totals));
	return c->totals ? 0 : -ENOMEM;
}

static int load_tcp(struct obs_connections *c)
{
	int r = c->opt.kernel ? make_room(c) : -ECANCELED;
	struct tcp_bpf *s = r == 0 ? tcp_bpf__open() : NULL;

	if (r < 0)
		return r;
	if (!s)
		return -errno;
	set_room(s, c->opt.conns_max);
	r = obs_kernel_share_maps(c->opt.kernel, s->obj);
	if (r == 0)
		r = tcp_bpf__load(s);
	if (r == 0)
		r = tcp_bpf__attach(s);
	if (r < 0) {
		tcp_bpf__destroy(s);
		return r;
	}
	c->tcp = s;
	obs_kernel_watch(c->opt.kernel, s->skeleton);
	return 0;
}

static int read_rows(struct obs_connections *c)
{
	cleanup_close int fd = bpf_iter_create(bpf_link__fd(c->tcp->links.obs_tcp_sample));
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		if (obs_buf_reserve(&c->rows, READ_BYTES) < 0)
			return -ENOMEM;
		n = read(fd, c->rows.p + c->rows.len, READ_BYTES);
		if (n > 0)
			c->rows.len += (size_t)n;
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n < 0 ? -errno : 0;
}

static int hand_out(struct obs_connections *c, bool listening, obs_connections_fn fn, void *ctx)
{
	struct obs_conn_facts f;
	struct obs_rec_tcp rec;
	int n = 0;

	for (size_t at = 0; at + sizeof(rec) <= c->rows.len; at += sizeof(rec)) {
		memcpy(&rec, c->rows.p + at, sizeof(rec));
		if ((rec.state == OBS_TCP_STATE_LISTEN) != listening)
			continue;
		obs_conn_facts_of(&rec, &f);
		fn(ctx, rec.target, &f);
		n++;
	}
	return n;
}

static int sample_bpf(struct obs_connections *c, obs_connections_fn fn, void *ctx)
{
	int r = read_rows(c), n = 0;

	if (r == 0) {
		n = hand_out(c, true, fn, ctx);
		n += hand_out(c, false, fn, ctx);
	}
	obs_buf_free(&c->rows);
	c->rows.max_bytes = ROWS_MAX_BYTES;
	return r < 0 ? r : n;
}

/* --- rungs --- */

static int load_diag(struct obs_connections *c)
{
	return obs_tcp_diag_new(c->opt.targets, false, &c->diag);
}

static int load_proc(struct obs_connections *c)
{
	return obs_tcp_diag_new(c->opt.targets, true, &c->diag);
}

static const struct conn_rung {
	const char *key; /* of probes.connections */
	const char *name;
	int (*load)(struct obs_connections *c);
	const char *unseen;
} rungs[] = {
	{ "bpf", "tp_btf/inet_sock_set_state, iter/task_file", load_tcp,
	  "counters of MPTCP while it is open (its subflows' begin and end are seen)" },
	{ "diag", "sock_diag, /proc/PID/fd", load_diag,
	  "connections that live for less than the interval, why a connect failed, exact times and "
	  "final counters, MPTCP; of UDP all but its sockets, and whom they are connected with" },
	{ "proc", "/proc/PID/net/tcp, /proc/PID/fd", load_proc,
	  "connections that live for less than the interval, why a connect failed, who dialled, all "
	  "counters and times, what listeners refused, MPTCP; of UDP all but its sockets, whom they are "
	  "connected with" },
};

bool obs_connections_without_bpf(const char *rung)
{
	return strcmp(rung, "diag") == 0 || strcmp(rung, "proc") == 0;
}

/* Those that fail before a packet is sent, and change no socket's state, are seen by the program that
 * sees system calls return. */
static const char *unseen_connects(const struct obs_connections *c)
{
	bool by_calls = c->tcp && (obs_kernel_is_attached(c->opt.kernel, "obs_sys_exit") ||
				   obs_kernel_is_attached(c->opt.kernel, "obs_call_exit"));

	if (!c->tcp)
		return "";
	return by_calls ? "connects by io_uring that fail before a packet is sent; "
			: "connects that fail before a packet is sent; ";
}

static void take_rung(struct obs_connections *c, struct obs_probe_status *p)
{
	for (size_t i = 0; i < ARRAY_LEN(rungs); i++) {
		size_t used = strlen(p->refused);
		int r;

		if (strcmp(c->opt.rung, "auto") != 0 && strcmp(c->opt.rung, rungs[i].key) != 0)
			continue;
		r = rungs[i].load(c);
		if (r < 0) {
			snprintf(p->refused + used, sizeof(p->refused) - used, "%s%s: %s",
				 used ? "; " : "", rungs[i].name,
				 r == -ECANCELED ? "no BPF" : strerror(-r));
			continue;
		}
		p->rung = rungs[i].name;
		p->ok = true;
		p->first_choice = i == 0;
		snprintf(p->unseen, sizeof(p->unseen), "%s%s", unseen_connects(c), rungs[i].unseen);
		return;
	}
	snprintf(p->unseen, sizeof(p->unseen), "whom nodes are connected with");
}

int obs_connections_open(const struct obs_connections_options *opt, struct obs_model *model,
			 struct obs_connections **ret)
{
	struct obs_connections *c;
	struct obs_probe_status *p;

	if (strcmp(opt->rung, "off") == 0) {
		*ret = NULL;
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	p = obs_model_add_probe(model, "connections");
	c->opt = *opt;
	c->rows.max_bytes = ROWS_MAX_BYTES;
	take_rung(c, p);
	if (!p->ok)
		obs_connections_free(&c);
	*ret = c;
	return 0;
}

void obs_connections_free(struct obs_connections **cp)
{
	struct obs_connections *c = *cp;

	if (!c)
		return;
	if (c->tcp)
		obs_kernel_unwatch(c->opt.kernel, c->tcp->skeleton);
	tcp_bpf__destroy(c->tcp);
	obs_tcp_diag_free(&c->diag);
	obs_buf_free(&c->rows);
	free(c->totals);
	free(c);
	*cp = NULL;
}

bool obs_connections_has_events(const struct obs_connections *c)
{
	return c->tcp != NULL;
}

int obs_connections_sample(struct obs_connections *c, obs_connections_fn fn, void *ctx)
{
	return c->tcp ? sample_bpf(c, fn, ctx) : obs_tcp_diag_sample(c->diag, fn, ctx);
}

int obs_connections_sees(struct obs_connections *c, pid_t pid)
{
	return c->diag ? obs_tcp_diag_sees(c->diag, pid) : -EOPNOTSUPP;
}

static void add_up(const struct obs_tcp_total *t, struct obs_tcp_counts *sum)
{
	sum->in += t->in;
	sum->out += t->out;
	sum->earlier += t->earlier;
	sum->closed += t->closed;
	sum->broken += t->broken;
	sum->bytes_sent += t->bytes_sent;
	sum->bytes_received += t->bytes_received;
	sum->retransmits += t->retransmits;
	for (unsigned i = 0; i < OBS_FAILURES; i++)
		sum->failed[i] += t->failed[i];
}

int obs_connections_counts(struct obs_connections *c, uint32_t slot, struct obs_tcp_counts *ret)
{
	if (!c->tcp)
		return -ENOENT;
	if (bpf_map_lookup_elem(bpf_map__fd(c->tcp->maps.tcp_totals), &slot, c->totals) < 0)
		return -errno;
	*ret = (struct obs_tcp_counts){};
	for (int cpu = 0; cpu < c->n_cpus; cpu++)
		add_up(&c->totals[cpu], ret);
	return 0;
}

bool obs_connections_lives(const struct obs_connections *c, const struct obs_conn_id *id)
{
	uint32_t at = obs_sock_place_of(id->sock);
	struct obs_sock_place place;
	struct obs_sock_value v;

	if (!c->tcp)
		return false;
	if (bpf_map_lookup_elem(bpf_map__fd(c->tcp->maps.sock_places), &at, &place) == 0 &&
	    place.sock == id->sock)
		return place.value.born_ns == id->born;
	return bpf_map_lookup_elem(bpf_map__fd(c->tcp->maps.socks), &id->sock, &v) == 0 &&
	       v.born_ns == id->born;
}

int obs_connections_share_socks(const struct obs_connections *c, struct bpf_object *to)
{
	struct bpf_map *places = bpf_object__find_map_by_name(to, "sock_places");
	struct bpf_map *socks = bpf_object__find_map_by_name(to, "socks");
	int r;

	if (!c || !c->tcp)
		return 0;
	r = bpf_map__reuse_fd(places, bpf_map__fd(c->tcp->maps.sock_places));
	return r < 0 ? r : bpf_map__reuse_fd(socks, bpf_map__fd(c->tcp->maps.socks));
}
