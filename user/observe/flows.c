// SPDX-License-Identifier: BSD-2-Clause
/* flows.c - see flows.h. */
#include "observe/flows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/flows.skel.h"
#include "observe/cgroup_set.h"
#include "observe/proc.h"
#include "observe/shared_flows.h"
#include "util/cleanup.h"

#define PATH_BYTES 4096

struct obs_flows {
	struct obs_kernel *kernel;	 /* borrowed */
	struct flows_bpf *skel;		 /* owned */
	struct obs_shared_flows *shared; /* owned; NULL where sockets cannot be marked */
	struct {
		struct bpf_link *in, *out; /* owned; NULL = not watched */
		struct bpf_link *create;   /* owned; NULL = sockets are not marked */
		char *path;		   /* owned; of the cgroup */
	} links[OBS_TARGETS_MAX];
	int n_cpus;
	struct obs_flow_value *values; /* owned, n_cpus entries */
	const char *mount;	       /* of cgroup v2; static */
	struct obs_flow_total before;  /* of the canary */
};

static void leave_out_shared(struct flows_bpf *skel)
{
	bpf_program__set_autoload(skel->progs.obs_sock_create, false);
	bpf_program__set_autoload(skel->progs.obs_shared_ingress, false);
	bpf_program__set_autoload(skel->progs.obs_shared_egress, false);
	bpf_program__set_autoload(skel->progs.obs_mark_sockets, false);
	bpf_map__set_autocreate(skel->maps.marks, false);
	skel->rodata->with_marks = 0;
}

static int load_programs(struct obs_kernel *kernel, struct obs_flows *f,
			 const struct obs_connections *tcp, bool shared)
{
	int r;

	f->skel = flows_bpf__open();
	if (!f->skel)
		return -errno;
	if (!shared)
		leave_out_shared(f->skel);
	r = obs_kernel_share_maps(kernel, f->skel->obj);
	if (r == 0)
		r = obs_connections_share_socks(tcp, f->skel->obj);
	if (r == 0)
		r = flows_bpf__load(f->skel);
	if (r == 0)
		obs_kernel_watch(kernel, f->skel->skeleton);
	if (r < 0) {
		flows_bpf__destroy(f->skel);
		f->skel = NULL;
	}
	return r;
}

/* Loaded is not allowed: on the root for a moment, while there is no node yet. */
static int try_attaching(const struct obs_flows *f)
{
	cleanup_close int fd = open(f->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_link *link;

	if (fd < 0)
		return -errno;
	link = bpf_program__attach_cgroup(f->skel->progs.obs_ingress, fd);
	if (!link)
		return -errno;
	bpf_link__destroy(link);
	return 0;
}

/* A kernel may load the programs, and have no memory for a mark in any of its sockets (7.x without
 * cmpxchg16b). */
static int try_marking(const struct obs_flows *f)
{
	cleanup_close int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct obs_mark nobody = {};

	if (sock < 0)
		return -errno;
	return bpf_map_update_elem(bpf_map__fd(f->skel->maps.marks), &sock, &nobody, BPF_ANY);
}

static int load(struct obs_kernel *kernel, struct obs_flows *f, const struct obs_connections *tcp,
		struct obs_probe_status *p)
{
	int r;

	f->kernel = kernel;
	f->n_cpus = libbpf_num_possible_cpus();
	f->values = f->n_cpus > 0 ? calloc((size_t)f->n_cpus, sizeof(*f->values)) : NULL;
	if (!f->values)
		return -ENOMEM;
	r = load_programs(kernel, f, tcp, true);
	if (r == 0)
		r = try_marking(f);
	if (r < 0) {
		snprintf(p->refused, sizeof(p->refused), "cgroup/sock_create, sk_storage: %s",
			 strerror(-r));
		r = f->skel ? 0 : load_programs(kernel, f, tcp, false);
	}
	return r < 0 ? r : try_attaching(f);
}

static int open_all(struct obs_kernel *kernel, struct obs_targets *targets,
		    const struct obs_connections *tcp, struct obs_flows *f,
		    struct obs_probe_status *p)
{
	int r;

	if (!kernel) {
		snprintf(p->refused, sizeof(p->refused), "cgroup_skb: BPF is not used here");
		return -ECANCELED;
	}
	f->mount = obs_proc_cgroup2_mount();
	if (!f->mount) {
		snprintf(p->refused, sizeof(p->refused), "cgroup_skb: no cgroup v2 is mounted");
		return -ENOENT;
	}
	r = load(kernel, f, tcp, p);
	if (r < 0)
		snprintf(p->refused, sizeof(p->refused), "cgroup_skb: %s", strerror(-r));
	else if (!*p->refused)
		r = obs_shared_flows_new(f->skel, f->mount, targets, p, &f->shared);
	return r;
}

int obs_flows_open(struct obs_kernel *kernel, struct obs_targets *targets,
		   const struct obs_connections *tcp, struct obs_model *model,
		   struct obs_flows **ret)
{
	struct obs_probe_status *p = obs_model_add_probe(model, "UDP and names");
	struct obs_flows *f = calloc(1, sizeof(*f));

	p->ok = true; /* of what is looked at for itself nothing is missing */
	if (!f)
		return -ENOMEM;
	if (open_all(kernel, targets, tcp, f, p) < 0) {
		snprintf(p->unseen, sizeof(p->unseen),
			 "UDP and QUIC flows, names by DNS and TLS; no other rung has them");
		obs_flows_free(&f);
		*ret = NULL;
		return 0;
	}
	p->rung = f->shared ? "cgroup_skb, cgroup/sock_create" : "cgroup_skb";
	p->first_choice = f->shared != NULL;
	if (!f->shared)
		snprintf(p->unseen, sizeof(p->unseen),
			 "UDP and QUIC flows, and names, of nodes that run outside a container; "
			 "which process of a container has a flow");
	else if (!tcp || !obs_connections_has_events(tcp))
		snprintf(p->unseen, sizeof(p->unseen),
			 "names by TLS of nodes that run outside a container");
	*ret = f;
	return 0;
}

void obs_flows_free(struct obs_flows **fp)
{
	struct obs_flows *f = *fp;

	if (!f)
		return;
	obs_shared_flows_free(&f->shared);
	for (uint32_t i = 0; i < OBS_TARGETS_MAX; i++)
		obs_flows_unwatch(f, i);
	if (f->skel)
		obs_kernel_unwatch(f->kernel, f->skel->skeleton);
	flows_bpf__destroy(f->skel);
	free(f->values);
	free(f);
	*fp = NULL;
}

/* --- attaching --- */

/* "0::/docker/<id>/init" -> "/docker/<id>": the part of the path that names the container. */
static int container_path(pid_t pid, const char *id, char *out, size_t size)
{
	cleanup_buf struct obs_buf text = {};
	struct obs_slice path;
	const char *at, *end;

	if (obs_proc_read(pid, "cgroup", &text) < 0)
		return -ESRCH;
	path = obs_cgroup_v2_path(obs_buf_slice(&text));
	at = memmem(path.p, path.len, id, strlen(id));
	if (!at)
		return -ENOTSUP;
	end = memchr(at, '/', path.len - (size_t)(at - path.p));
	if (end)
		path.len = (size_t)(end - path.p);
	return snprintf(out, size, "%.*s", (int)path.len, path.p) < (int)size ? 0 : -ENAMETOOLONG;
}

static bool is_attached(const struct obs_flows *f, uint32_t slot)
{
	return f->links[slot].in && f->links[slot].out && (f->links[slot].create || !f->shared);
}

/* What of them is missing. */
static int attach(struct obs_flows *f, uint32_t slot)
{
	struct bpf_link **in = &f->links[slot].in, **out = &f->links[slot].out;
	cleanup_close int fd = -1;

	if (!f->links[slot].path)
		return -ENOMEM;
	fd = open(f->links[slot].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!*in)
		*in = bpf_program__attach_cgroup(f->skel->progs.obs_ingress, fd);
	if (*in && !*out)
		*out = bpf_program__attach_cgroup(f->skel->progs.obs_egress, fd);
	if (*out && f->shared && !f->links[slot].create)
		f->links[slot].create =
			bpf_program__attach_cgroup(f->skel->progs.obs_sock_create, fd);
	return is_attached(f, slot) ? 0 : -errno;
}

static int watch_container(struct obs_flows *f, const struct obs_node *node, pid_t pid)
{
	char path[PATH_BYTES], full[2 * PATH_BYTES];
	int r;

	if (!*node->ref.id || !node->cgroup)
		return -ENOTSUP;
	r = container_path(pid, node->ref.id, path, sizeof(path));
	if (r < 0)
		return r;
	snprintf(full, sizeof(full), "%s%s", f->mount, path);
	free(f->links[node->slot].path);
	f->links[node->slot].path = strdup(full);
	r = attach(f, node->slot);
	if (r == 0 && f->shared)
		obs_shared_flows_watch(f->shared, node, true);
	return r;
}

int obs_flows_watch(struct obs_flows *f, const struct obs_node *node, pid_t pid)
{
	int r = f->links[node->slot].in ? 0 : watch_container(f, node, pid);

	return r == -ENOTSUP && f->shared ? obs_shared_flows_watch(f->shared, node, false) : r;
}

void obs_flows_unwatch(struct obs_flows *f, uint32_t slot)
{
	bpf_link__destroy(f->links[slot].in);
	bpf_link__destroy(f->links[slot].out);
	bpf_link__destroy(f->links[slot].create);
	free(f->links[slot].path);
	memset(&f->links[slot], 0, sizeof(f->links[slot]));
	if (f->shared)
		obs_shared_flows_unwatch(f->shared, slot);
}

void obs_flows_follow(struct obs_flows *f)
{
	if (f->shared)
		obs_shared_flows_follow(f->shared);
}

/* --- is it still there? --- */

static void drop_if_gone(struct bpf_link **link)
{
	if (!*link || !obs_flows_link_is_gone(*link))
		return;
	bpf_link__destroy(*link);
	*link = NULL;
}

size_t obs_flows_mend(struct obs_flows *f)
{
	size_t gone = f->shared ? obs_shared_flows_mend(f->shared) : 0;

	for (uint32_t slot = 1; slot < OBS_TARGETS_MAX; slot++) {
		drop_if_gone(&f->links[slot].in);
		drop_if_gone(&f->links[slot].out);
		drop_if_gone(&f->links[slot].create);
		if (!f->links[slot].path || is_attached(f, slot))
			continue;
		if (attach(f, slot) != -ENOENT)
			gone++; /* and not with its cgroup, which ends with the container */
	}
	return gone;
}

bool obs_flows_carry_canary(struct obs_flows *f, bool on)
{
	if (!f->shared)
		return false;
	obs_shared_flows_carry_canary(f->shared, on);
	return !on || obs_flows_total(f, OBS_SLOT_CANARY, &f->before) == 0;
}

bool obs_flows_saw_canary(struct obs_flows *f)
{
	struct obs_flow_total now;

	return obs_flows_total(f, OBS_SLOT_CANARY, &now) == 0 &&
	       now.packets_out > f->before.packets_out && now.packets_in > f->before.packets_in;
}

/* --- reading --- */

static enum obs_direction direction_of(const struct obs_flow_value *v)
{
	if (v->flags & OBS_FLOW_DIALLED)
		return OBS_DIRECTION_OUT;
	return v->flags & OBS_FLOW_CALLED ? OBS_DIRECTION_IN : OBS_DIRECTION_UNKNOWN;
}

/* Each CPU has counted its share. */
static struct obs_flow_facts add_up(const struct obs_flows *f, const struct obs_flow_key *key)
{
	struct obs_flow_facts sum = { .local_port = key->local_port };
	uint64_t owned_ns = 0;

	memcpy(sum.remote.ip, key->remote, sizeof(sum.remote.ip));
	sum.remote.port = key->remote_port;
	for (int cpu = 0; cpu < f->n_cpus; cpu++) {
		const struct obs_flow_value *v = &f->values[cpu];

		sum.packets_out += v->packets_out;
		sum.packets_in += v->packets_in;
		sum.bytes_out += v->bytes_out;
		sum.bytes_in += v->bytes_in;
		sum.handshake |= (v->flags & OBS_FLOW_HANDSHAKE) != 0;
		if (v->first_ns && (!sum.first_ns || v->first_ns < sum.first_ns)) {
			sum.first_ns = v->first_ns;
			sum.direction = direction_of(v);
			memcpy(sum.local_ip, v->local, sizeof(sum.local_ip));
		}
		if (v->tgid && v->last_ns >= owned_ns) {
			owned_ns = v->last_ns;
			sum.pid = v->tgid;
		}
		if (v->last_ns > sum.last_ns)
			sum.last_ns = v->last_ns;
		if (v->quic_version) {
			sum.quic_version = v->quic_version;
			sum.dcid_len = v->dcid_len;
			sum.scid_len = v->scid_len;
		}
	}
	return sum;
}

/* The next key is asked for before this one may be deleted. */
int obs_flows_read(struct obs_flows *f, obs_flows_fn fn, void *ctx)
{
	int fd = bpf_map__fd(f->skel->maps.flows);
	struct obs_flow_key key, next;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	for (unsigned i = 0; r == 0 && i < 2 * OBS_FLOWS_MAX; i++) {
		struct obs_flow_facts flow;

		key = next;
		r = bpf_map_get_next_key(fd, &key, &next);
		if (bpf_map_lookup_elem(fd, &key, f->values) < 0)
			continue;
		flow = add_up(f, &key);
		if (!fn(ctx, key.target, &flow))
			bpf_map_delete_elem(fd, &key);
	}
	return 0;
}

int obs_flows_total(struct obs_flows *f, uint32_t slot, struct obs_flow_total *ret)
{
	cleanup_free struct obs_flow_total *v = calloc((size_t)f->n_cpus, sizeof(*v));

	*ret = (struct obs_flow_total){};
	if (!v)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.flow_totals), &slot, v) < 0)
		return -errno;
	for (int cpu = 0; cpu < f->n_cpus; cpu++) {
		ret->packets_out += v[cpu].packets_out;
		ret->packets_in += v[cpu].packets_in;
		ret->bytes_out += v[cpu].bytes_out;
		ret->bytes_in += v[cpu].bytes_in;
	}
	return 0;
}
