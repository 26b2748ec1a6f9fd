// SPDX-License-Identifier: BSD-2-Clause
/*
 * shared_flows.c - see shared_flows.h.
 *
 * A packet passes the programs of its socket's cgroup and of all above: so they are attached to the
 * topmost of the cgroups only, and nothing counts twice.
 *
 * Going through all sockets costs more than all else here, and sockets made from now on are marked as
 * they are made: so it is done when processes have come, gone or moved, else only now and then.
 */
#include "observe/shared_flows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xxhash.h>

#include "bpf/flows.skel.h"
#include "observe/cgroup_set.h"
#include "observe/proc.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define FILEID_KERNFS 0xfe
#define IDS_MAX	      256
#define MARK_NS	      (60 * OBS_NS_PER_S) /* sockets may be passed on from elsewhere */

struct attached {
	char *path; /* owned */
	struct bpf_link *in, *out, *create;
};

struct obs_shared_flows {
	struct flows_bpf *skel;		 /* borrowed */
	const char *mount;		 /* borrowed */
	int mount_fd;			 /* owned */
	struct obs_targets *targets;	 /* borrowed */
	struct obs_probe_status *status; /* borrowed */
	struct attached attached[OBS_CGROUP_SET_MAX];
	size_t n_attached;
	uint32_t holders[OBS_TARGETS_MAX]; /* by slot; 0 = not ours */
	uint32_t last_holder, n_watched;
	bool contained[OBS_TARGETS_MAX]; /* by slot: marked, and nothing else */
	uint32_t n_contained;
	struct obs_cgroup_set wanted;
	uint64_t ids
		[IDS_MAX]; /* of the cgroups that sockets were in when they were last looked at */
	size_t n_ids;
	uint64_t crowd, marked_crowd; /* which processes in which cgroups: now, and then */
	uint64_t marked_ns;
};

int obs_shared_flows_new(struct flows_bpf *skel, const char *mount, struct obs_targets *targets,
			 struct obs_probe_status *status, struct obs_shared_flows **ret)
{
	struct obs_shared_flows *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->skel = skel;
	s->mount = mount;
	s->mount_fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->targets = targets;
	s->status = status;
	*ret = s;
	return 0;
}

/* --- attaching --- */

static void detach(struct obs_shared_flows *s, size_t i)
{
	struct attached *a = &s->attached[i];

	bpf_link__destroy(a->create);
	bpf_link__destroy(a->in);
	bpf_link__destroy(a->out);
	free(a->path);
	*a = s->attached[--s->n_attached];
}

static int attach(struct obs_shared_flows *s, const char *path)
{
	struct attached *a = &s->attached[s->n_attached];
	cleanup_free char *full = NULL;
	cleanup_close int fd = -1;
	int r = 0;

	if (asprintf(&full, "%s%s", s->mount, path) < 0)
		return -ENOMEM;
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*a = (struct attached){ .path = strdup(path) };
	s->n_attached++;
	a->create = bpf_program__attach_cgroup(s->skel->progs.obs_sock_create, fd);
	a->in = a->create ? bpf_program__attach_cgroup(s->skel->progs.obs_shared_ingress, fd)
			  : NULL;
	a->out = a->in ? bpf_program__attach_cgroup(s->skel->progs.obs_shared_egress, fd) : NULL;
	if (!a->out || !a->path) {
		r = a->out ? -ENOMEM : -errno;
		detach(s, s->n_attached - 1);
	}
	return r;
}

/* --- which cgroups: those of the processes, where new sockets will be --- */

/* Return: what is another number when it has moved; 0 = it is gone. */
static uint64_t want_cgroup_of(struct obs_shared_flows *s, pid_t pid)
{
	cleanup_buf struct obs_buf text = {};
	struct obs_slice path;

	if (obs_proc_read(pid, "cgroup", &text) < 0)
		return 0;
	path = obs_cgroup_v2_path(obs_buf_slice(&text));
	if (obs_cgroup_set_add(&s->wanted, path) < 0)
		snprintf(s->status->refused, sizeof(s->status->refused),
			 "cgroup_skb: process %d is in no cgroup that can be reached from here",
			 pid);
	return XXH3_64bits_withSeed(path.p, path.len, (XXH64_hash_t)pid);
}

static void want_cgroup_of_member(void *ctx, pid_t pid)
{
	struct obs_shared_flows *s = ctx;

	s->crowd += want_cgroup_of(s, pid);
}

/* --- ... and those that their sockets are in, which do not move with them --- */

/* include/linux/exportfs.h: a cgroup's id is all that the handle of its directory holds. */
struct cgroup_handle {
	struct file_handle h;
	uint64_t id;
};

static void want_cgroup(struct obs_shared_flows *s, uint64_t id)
{
	struct cgroup_handle handle = {
		.h = { .handle_bytes = sizeof(handle.id), .handle_type = FILEID_KERNFS },
	};
	char link[64], path[OBS_CGROUP_PATH_MAX + PATH_MAX];
	size_t skip = strlen(s->mount);
	cleanup_close int fd = -1;
	ssize_t n;

	memcpy(handle.h.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(s->mount_fd, &handle.h, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return; /* removed, and its sockets live on */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n < (ssize_t)skip || memcmp(path, s->mount, skip) != 0)
		return;
	if ((size_t)n == skip)
		obs_cgroup_set_add(&s->wanted, OBS_SLICE("/"));
	else
		obs_cgroup_set_add(&s->wanted, obs_slice(path + skip, (size_t)n - skip));
}

/* Most are in the same one. More than there is room for: the set of wanted ones has less. */
static void take_ids(struct obs_shared_flows *s, const uint64_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < s->n_ids && s->ids[at] != ids[i])
			at++;
		if (at < s->n_ids || s->n_ids == IDS_MAX)
			continue;
		s->ids[s->n_ids++] = ids[i];
	}
}

/* Kernels before 6.1 know no iterator over one process: all of them are gone through then. */
static struct bpf_link *iterator_over(struct obs_shared_flows *s, pid_t pid)
{
	union bpf_iter_link_info info = { .task = { .pid = (uint32_t)pid } };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link;

	link = bpf_program__attach_iter(s->skel->progs.obs_mark_sockets, &opts);
	return link ? link : bpf_program__attach_iter(s->skel->progs.obs_mark_sockets, NULL);
}

static void mark_sockets_of(void *ctx, pid_t pid)
{
	struct obs_shared_flows *s = ctx;
	struct bpf_link *link = iterator_over(s, pid);
	cleanup_close int fd = -1;
	uint64_t ids[512];
	ssize_t n;

	if (!link)
		return;
	fd = bpf_iter_create(bpf_link__fd(link));
	do {
		n = fd >= 0 ? read(fd, ids, sizeof(ids)) : 0;
		if (n > 0)
			take_ids(s, ids, (size_t)n / sizeof(ids[0]));
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	bpf_link__destroy(link);
}

/* --- on and off --- */

static bool is_attached(const struct obs_shared_flows *s, const char *path)
{
	for (size_t i = 0; i < s->n_attached; i++) {
		if (strcmp(s->attached[i].path, path) == 0)
			return true;
	}
	return false;
}

/* First off, then on: in between nothing is seen, but nothing twice. Return: anything new? */
static bool attach_wanted(struct obs_shared_flows *s)
{
	bool is_new = false;

	for (size_t i = s->n_attached; i-- > 0;) {
		if (!obs_cgroup_set_has(&s->wanted, s->attached[i].path))
			detach(s, i);
	}
	for (size_t i = 0; i < s->wanted.n && s->n_attached < OBS_CGROUP_SET_MAX; i++) {
		int r;

		if (is_attached(s, s->wanted.paths[i]))
			continue;
		r = attach(s, s->wanted.paths[i]);
		is_new |= r == 0;
		if (r < 0 && r != -ENOENT) /* gone in the meantime */
			snprintf(s->status->refused, sizeof(s->status->refused),
				 "cgroup_skb on cgroup %.100s: %s", s->wanted.paths[i],
				 strerror(-r));
	}
	return is_new;
}

/* --- what the owner calls --- */

static void each_pid(struct obs_shared_flows *s, uint32_t slot, void (*fn)(void *ctx, pid_t pid))
{
	const struct obs_node *node = obs_targets_node(s->targets, slot);

	if (node)
		obs_targets_each_pid(s->targets, node, fn, s);
}

static int tell_kernel(struct obs_shared_flows *s, uint32_t slot)
{
	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.shared), &slot, &s->holders[slot],
				   BPF_ANY);
}

static void mark_sockets(struct obs_shared_flows *s)
{
	s->n_ids = 0;
	s->marked_crowd = s->crowd;
	s->marked_ns = obs_boot_ns();
	for (uint32_t slot = 1; slot < OBS_TARGETS_MAX; slot++) {
		if (s->holders[slot] || s->contained[slot])
			each_pid(s, slot, mark_sockets_of);
	}
}

static void count_member(void *ctx, pid_t pid)
{
	struct obs_shared_flows *s = ctx;

	s->crowd += XXH3_64bits(&pid, sizeof(pid));
}

static void want_cgroups(struct obs_shared_flows *s)
{
	s->crowd = 0;
	for (uint32_t slot = 1; slot < OBS_TARGETS_MAX; slot++) {
		if (s->holders[slot])
			each_pid(s, slot, want_cgroup_of_member);
		else if (s->contained[slot])
			each_pid(s, slot, count_member);
	}
}

void obs_shared_flows_follow(struct obs_shared_flows *s)
{
	if (!s->n_watched && !s->n_contained && !s->n_attached)
		return;
	want_cgroups(s);
	if (s->crowd != s->marked_crowd || obs_boot_ns() - s->marked_ns > MARK_NS)
		mark_sockets(s);
	for (size_t i = 0; i < s->n_ids; i++)
		want_cgroup(s, s->ids[i]);
	if (s->holders[OBS_SLOT_CANARY])
		want_cgroup_of(s, getpid()); /* it has no sockets that were there before */
	if (attach_wanted(s))
		mark_sockets(s); /* those made before it was on */
	obs_cgroup_set_reset(&s->wanted);
}

static int watch_slot(struct obs_shared_flows *s, uint32_t slot)
{
	if (s->holders[slot])
		return -EEXIST;
	if (++s->last_holder == 0)
		s->last_holder = 1;
	s->holders[slot] = s->last_holder;
	s->n_watched++;
	tell_kernel(s, slot);
	obs_shared_flows_follow(s);
	return 0;
}

int obs_shared_flows_watch(struct obs_shared_flows *s, const struct obs_node *node, bool contained)
{
	if (!contained)
		return watch_slot(s, node->slot);
	s->n_contained += !s->contained[node->slot];
	s->contained[node->slot] = true;
	each_pid(s, node->slot, mark_sockets_of);
	return 0;
}

void obs_shared_flows_unwatch(struct obs_shared_flows *s, uint32_t slot)
{
	s->n_contained -= s->contained[slot];
	s->contained[slot] = false;
	if (!s->holders[slot])
		return;
	s->holders[slot] = 0;
	s->n_watched--;
	tell_kernel(s, slot);
	obs_shared_flows_follow(s);
}

void obs_shared_flows_carry_canary(struct obs_shared_flows *s, bool on)
{
	if (on)
		watch_slot(s, OBS_SLOT_CANARY);
	else
		obs_shared_flows_unwatch(s, OBS_SLOT_CANARY);
}

bool obs_flows_link_is_gone(const struct bpf_link *link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) == 0 &&
	       info.cgroup.cgroup_id == 0;
}

size_t obs_shared_flows_mend(struct obs_shared_flows *s)
{
	size_t gone = 0;

	for (size_t i = s->n_attached; i-- > 0;) {
		const struct attached *a = &s->attached[i];
		cleanup_free char *full = NULL;

		if (!obs_flows_link_is_gone(a->create) && !obs_flows_link_is_gone(a->in) &&
		    !obs_flows_link_is_gone(a->out))
			continue;
		if (asprintf(&full, "%s%s", s->mount, a->path) > 0 && access(full, F_OK) == 0)
			gone++;
		detach(s, i);
	}
	if (gone)
		obs_shared_flows_follow(s);
	return gone;
}

void obs_shared_flows_free(struct obs_shared_flows **sp)
{
	struct obs_shared_flows *s = *sp;

	if (!s)
		return;
	while (s->n_attached)
		detach(s, s->n_attached - 1);
	obs_cgroup_set_reset(&s->wanted);
	obs_closep(&s->mount_fd);
	free(s);
	*sp = NULL;
}
