// SPDX-License-Identifier: BSD-2-Clause
/*
 * kernel.c - see kernel.h. One object creates the shared maps, the others are
 * given the same ones before they load.
 */
#include "observe/kernel.h"

#include <errno.h>
#include <linux/fs.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/death.skel.h"
#include "bpf/identify.skel.h"
#include "bpf/process.skel.h"
#include "bpf/write_fexit.skel.h"
#include "bpf/write_sysexit.skel.h"
#include "bpf/write_uring.skel.h"
#include "observe/missed.h"
#include "util/cleanup.h"
#include "util/log.h"

#define OBJECTS_MAX 16

struct obs_kernel {
	struct process_bpf *process;			 /* owned; owns the shared maps */
	struct write_sysexit_bpf *sysexit;		 /* owned, or NULL */
	struct write_fexit_bpf *fexit;			 /* owned, or NULL */
	struct write_uring_bpf *uring;			 /* owned, or NULL */
	struct identify_bpf *identify;			 /* owned, or NULL */
	struct death_bpf *death;			 /* owned, or NULL */
	struct obs_missed *missed;			 /* owned */
	struct bpf_object_skeleton *loaded[OBJECTS_MAX]; /* borrowed */
	size_t n_loaded;
	struct btf *types;		/* of the kernel; owned; NULL unless asked for */
	struct obs_probe_status *files; /* in the model */
	struct obs_probe_status *processes;
	struct obs_control *control; /* mapped */
	size_t control_bytes;
	uint64_t *members; /* mapped */
	size_t member_bytes;
	uint64_t *recent; /* mapped */
	size_t recent_bytes;
	struct obs_rec_file_id *followed; /* mapped */
	size_t followed_bytes;
	uint64_t *late; /* mapped, by slot */
	size_t late_bytes;
	uint32_t ring_bytes;
	int n_cpus;
	__u64 *drop_values; /* owned, n_cpus entries */
};

/* --- libbpf's own words: kept for the reason of a refusal, shown only when debugging --- */

static char last_words[160]; /* the first complaint about what is being loaded */

static int on_libbpf_message(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char text[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (!*last_words && strncmp(text, "libbpf: ", 8) == 0 &&
	    !strstr(text, "BEGIN PROG LOAD LOG"))
		snprintf(last_words, sizeof(last_words), "%.150s", text + 8);
	obs_debug("%s", text);
	return 0;
}

static struct bpf_map *find_map(struct bpf_object *obj, const char *name)
{
	return bpf_object__find_map_by_name(obj, name);
}

/* --- shared maps --- */

static const char *const shared_maps[] = {
	"events",  "control", "members", "recent",   "targets",	   "cgroups", "files",
	"budgets", "drops",   "notes",	 "followed", "tcp_totals", "dialled",
};

static int reuse_maps(struct bpf_object *from, struct bpf_object *to)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_maps); i++) {
		struct bpf_map *have = find_map(from, shared_maps[i]);
		struct bpf_map *want = find_map(to, shared_maps[i]);
		int r;

		if (!have || !want)
			continue;
		r = bpf_map__reuse_fd(want, bpf_map__fd(have));
		if (r < 0)
			return r;
	}
	return 0;
}

/* Map the values of an array map that both sides write. */
static int map_array(const struct bpf_map *map, void **ret, size_t *ret_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) & ~7U);
	void *p;

	bytes = (bytes + page - 1) / page * page;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	*ret_bytes = bytes;
	return 0;
}

static int map_control(struct obs_kernel *k, const struct obs_kernel_options *opt)
{
	void *p;
	int r = map_array(k->process->maps.members, &p, &k->member_bytes);

	if (r < 0)
		return r;
	k->members = p;
	r = map_array(k->process->maps.recent, &p, &k->recent_bytes);
	if (r < 0)
		return r;
	k->recent = p;
	r = map_array(k->process->maps.followed, &p, &k->followed_bytes);
	if (r < 0)
		return r;
	k->followed = p;
	r = map_array(k->process->maps.late, &p, &k->late_bytes);
	if (r < 0)
		return r;
	k->late = p;
	r = map_array(k->process->maps.control, &p, &k->control_bytes);
	if (r < 0)
		return r;
	k->control = p;
	k->control->payload_max = opt->payload_bytes;
	/* One loud node may fill half the ring between two drains, not more. */
	k->control->budget_bytes = opt->ring_bytes / 2;
	return 0;
}

/* Bits for the pids that this host hands out; a larger one (pid_max raised later) is looked
 * up without the bit. */
static uint32_t member_words(void)
{
	cleanup_fclose FILE *f = fopen("/proc/sys/kernel/pid_max", "re");
	unsigned pid_max = OBS_PID_BITS;

	if (!f || fscanf(f, "%u", &pid_max) != 1 || pid_max > OBS_PID_BITS)
		pid_max = OBS_PID_BITS;
	return (pid_max + 63) / 64;
}

static int load_process(struct obs_kernel *k, const struct obs_kernel_options *opt)
{
	int r;

	k->process = process_bpf__open();
	if (!k->process)
		return -errno;
	bpf_map__set_max_entries(k->process->maps.events, (uint32_t)opt->ring_bytes);
	bpf_map__set_max_entries(k->process->maps.members, member_words());
	r = process_bpf__load(k->process);
	if (r == 0)
		r = map_control(k, opt);
	if (r < 0)
		return r;
	obs_kernel_watch(k, k->process->skeleton);
	return process_bpf__attach(k->process);
}

static int load_sysexit(struct obs_kernel *k)
{
	struct write_sysexit_bpf *s = write_sysexit_bpf__open();
	int r;

	if (!s)
		return -errno;
	r = reuse_maps(k->process->obj, s->obj);
	if (r == 0)
		r = write_sysexit_bpf__load(s);
	if (r == 0)
		r = write_sysexit_bpf__attach(s);
	if (r < 0) {
		write_sysexit_bpf__destroy(s);
		return r;
	}
	k->sysexit = s;
	obs_kernel_watch(k, s->skeleton);
	return 0;
}

/* Of the kernel's types, which are megabytes. Return: its id, or a negative errno. */
static int find_type(struct obs_kernel *k, const char *name, uint32_t kind)
{
	if (!k->types)
		k->types = btf__load_vmlinux_btf();
	return k->types ? btf__find_by_name_kind(k->types, name, kind) : -errno;
}

/* Does this host let a program of this kind in at all? An empty one, loaded and attached, says so
 * in a small part of the time that opening the real one takes. */
static int try_fexit(struct obs_kernel *k)
{
	const struct bpf_insn empty[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT);
	cleanup_close int prog = -1, link = -1;
	int id = find_type(k, "vfs_write", BTF_KIND_FUNC);

	if (id < 0)
		return id;
	opts.attach_btf_id = (__u32)id;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "obs_try", "Dual BSD/GPL", empty,
			     ARRAY_LEN(empty), &opts);
	if (prog < 0)
		return prog;
	link = bpf_raw_tracepoint_open(NULL, prog);
	return link < 0 ? link : 0;
}

static int load_fexit(struct obs_kernel *k)
{
	struct write_fexit_bpf *s;
	int r = try_fexit(k);

	if (r < 0)
		return r;
	s = write_fexit_bpf__open();
	if (!s)
		return -errno;
	r = reuse_maps(k->process->obj, s->obj);
	if (r == 0)
		r = write_fexit_bpf__load(s);
	if (r == 0)
		r = write_fexit_bpf__attach(s);
	if (r < 0) {
		write_fexit_bpf__destroy(s);
		return r;
	}
	k->fexit = s;
	obs_kernel_watch(k, s->skeleton);
	return 0;
}

static void skip_if_absent(struct obs_kernel *k, struct bpf_program *prog, const char *tracepoint)
{
	char name[64];

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	if (find_type(k, name, BTF_KIND_TYPEDEF) < 0)
		bpf_program__set_autoload(prog, false);
}

/* Beside either rung: neither sees io_uring by itself. */
static int load_uring(struct obs_kernel *k)
{
	struct write_uring_bpf *s = write_uring_bpf__open();
	int r;

	if (!s)
		return -errno;
	r = reuse_maps(k->process->obj, s->obj);
	skip_if_absent(k, s->progs.obs_uring_submit, "io_uring_submit_req");
	skip_if_absent(k, s->progs.obs_uring_submit_old, "io_uring_submit_sqe");
	if (r == 0)
		r = write_uring_bpf__load(s);
	if (r == 0)
		r = write_uring_bpf__attach(s);
	if (r < 0) {
		write_uring_bpf__destroy(s);
		return r;
	}
	k->uring = s;
	obs_kernel_watch(k, s->skeleton);
	return 0;
}

static void load_identify(struct obs_kernel *k)
{
	k->identify = identify_bpf__open_and_load();
}

static int load_death(struct obs_kernel *k)
{
	struct death_bpf *s = death_bpf__open();
	int r;

	if (!s)
		return -errno;
	r = reuse_maps(k->process->obj, s->obj);
	if (r == 0)
		r = death_bpf__load(s);
	if (r == 0)
		r = death_bpf__attach(s);
	if (r < 0) {
		death_bpf__destroy(s);
		return r;
	}
	k->death = s;
	obs_kernel_watch(k, s->skeleton);
	return 0;
}

/* --- rungs --- */

struct write_rung {
	const char *key;  /* of probes.file_write */
	const char *name; /* for people */
	int (*load)(struct obs_kernel *k);
};

static const struct write_rung write_rungs[] = {
	{ "fexit", "fexit/vfs_write", load_fexit },
	{ "sys_exit", "tp_btf/sys_exit", load_sysexit },
};

static void set_text(char *out, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void set_text(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, size, fmt, ap);
	va_end(ap);
}

static const char *advice_for(int err)
{
	if (err == -EPERM || err == -EACCES)
		return geteuid() == 0 ? "this host's policy forbids it (lockdown, seccomp, LSM)"
				      : "run as root, or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE "
					"and CAP_DAC_READ_SEARCH";
	if (err == -ESRCH || err == -ENOENT)
		return "this kernel has no BTF (/sys/kernel/btf/vmlinux) or lacks the hook";
	return "";
}

static void add_refusal(struct obs_probe_status *p, const char *rung, int err)
{
	size_t used = strlen(p->refused);

	set_text(p->refused + used, sizeof(p->refused) - used, "%s%s: %s%s%.100s", used ? "; " : "",
		 rung, strerror(-err), *last_words ? ": " : "", last_words);
}

static void add_uring(struct obs_kernel *k, struct obs_probe_status *p)
{
	int r;

	last_words[0] = '\0';
	r = load_uring(k);
	if (r < 0)
		add_refusal(p, "tp_btf/io_uring_complete", r);
	set_text(p->unseen, sizeof(p->unseen),
		 "writes through %smmap are found by looking at the file, up to 2 s later",
		 r < 0 ? "io_uring and " : "");
}

static void try_write_rungs(struct obs_kernel *k, const struct obs_kernel_options *opt,
			    struct obs_probe_status *p)
{
	for (size_t i = 0; i < ARRAY_LEN(write_rungs); i++) {
		const struct write_rung *rung = &write_rungs[i];
		int r;

		if (strcmp(opt->file_write, "auto") != 0 && strcmp(opt->file_write, rung->key) != 0)
			continue;
		last_words[0] = '\0';
		r = rung->load(k);
		if (r < 0) {
			add_refusal(p, rung->name, r);
			continue;
		}
		p->rung = rung->name;
		p->ok = true;
		p->first_choice = i == 0;
		return;
	}
}

static void fall_back_to_inotify(struct obs_probe_status *files, struct obs_probe_status *consoles,
				 int err)
{
	files->rung = "inotify";
	files->ok = true;
	if (err == -ECANCELED)
		set_text(files->refused, sizeof(files->refused),
			 "BPF is switched off (--no-bpf or probes.bpf: false)");
	set_text(files->unseen, sizeof(files->unseen),
		 "who wrote a line and when exactly; lines of files removed before they are read");
	set_text(files->advice, sizeof(files->advice), "%s", advice_for(err));
	set_text(
		consoles->unseen, sizeof(consoles->unseen),
		"stdout and stderr of nodes, except where Docker keeps a json-file, or a kubelet a log, of them: out-of-memory kills, daemon start failures, "
		"hivemind's own messages");
	set_text(consoles->advice, sizeof(consoles->advice), "%s", advice_for(err));
}

static void describe_processes(struct obs_probe_status *p, int err)
{
	if (err == 0) {
		p->rung = "tp_btf/sched_process_{exec,fork,exit}";
		p->ok = p->first_choice = true;
		return;
	}
	p->rung = "/proc polling";
	p->ok = true;
	set_text(p->unseen, sizeof(p->unseen), "processes that live for less than 1 s");
	set_text(p->advice, sizeof(p->advice), "%s", advice_for(err));
	if (err != -ECANCELED)
		add_refusal(p, "tp_btf/sched_process_exec", err);
}

/* Without it ends are still seen, with their code. */
static void describe_deaths(struct obs_probe_status *p, int err)
{
	if (err == 0)
		return;
	add_refusal(p, "tp_btf/{signal_generate,mark_victim}", err);
	p->first_choice = false;
	set_text(p->unseen, sizeof(p->unseen),
		 "who killed a process, and whether memory ran out for it");
	set_text(p->advice, sizeof(p->advice), "%s", advice_for(err));
}

static int open_bpf(const struct obs_kernel_options *opt, struct obs_kernel *k)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	/* Before 5.11 maps count against RLIMIT_MEMLOCK (cbf1bc1bdc0c: memcg instead). */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	k->n_cpus = libbpf_num_possible_cpus();
	if (k->n_cpus < 1)
		return -EINVAL;
	k->drop_values = calloc((size_t)k->n_cpus, sizeof(__u64));
	k->missed = obs_missed_new();
	if (!k->drop_values || !k->missed)
		return -ENOMEM;
	k->ring_bytes = (uint32_t)opt->ring_bytes;
	return load_process(k, opt);
}

/* Both programs of the write rungs take the socket's writes along. */
static void describe_p2pd(struct obs_probe_status *p, const struct obs_kernel *k, int err)
{
	p->ok = k != NULL;
	p->first_choice = p->ok;
	if (p->ok) {
		p->rung = "tp_btf/sys_exit on AF_UNIX";
		set_text(p->unseen, sizeof(p->unseen),
			 "what was said before it was watched; of each write all but its first "
			 "%u bytes; sockets that are not called /tmp/hivemind-p2p*",
			 OBS_P2PD_PAYLOAD_MAX);
		return;
	}
	set_text(p->unseen, sizeof(p->unseen),
		 "RPCs, DHT keys, exchanged rounds, peer ids and clocks: nothing but BPF sees what "
		 "a node says to its p2pd");
	set_text(p->advice, sizeof(p->advice), "%s", advice_for(err));
}

int obs_kernel_open(const struct obs_kernel_options *opt, struct obs_model *model,
		    struct obs_kernel **ret)
{
	struct obs_probe_status *files = obs_model_add_probe(model, "file writes");
	struct obs_probe_status *consoles = obs_model_add_probe(model, "console writes");
	struct obs_probe_status *processes = obs_model_add_probe(model, "processes");
	struct obs_probe_status *p2pd = obs_model_add_probe(model, "p2pd's socket");
	struct obs_kernel *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;

	k->files = files;
	k->processes = processes;
	/* libbpf reads the kernel's whole type information: megabytes that go back at once
	 * only if they were mapped, which a fixed threshold ensures. Left in the heap they would be
	 * used for tables that are hardly touched, and make all of their pages resident. */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	libbpf_set_print(on_libbpf_message);
	last_words[0] = '\0';
	r = opt->bpf ? open_bpf(opt, k) : -ECANCELED;
	describe_processes(processes, r);
	if (r == 0)
		try_write_rungs(k, opt, files);
	if (r == 0 && files->ok) {
		consoles->rung = files->rung;
		consoles->ok = true;
		consoles->first_choice = files->first_choice;
		describe_p2pd(p2pd, k, 0);
		load_identify(k);
		malloc_trim(0);
		*ret = k;
		return 0;
	}

	fall_back_to_inotify(files, consoles, r);
	describe_p2pd(p2pd, NULL, r);
	if (r < 0) {
		obs_kernel_free(&k);
		*ret = NULL;
		return 0;
	}
	load_identify(k);
	*ret = k;
	return 0;
}

void obs_kernel_complete(struct obs_kernel *k)
{
	last_words[0] = '\0';
	describe_deaths(k->processes, load_death(k));
	if (k->sysexit || k->fexit)
		add_uring(k, k->files);
	btf__free(k->types);
	k->types = NULL;
}

void obs_kernel_free(struct obs_kernel **kp)
{
	struct obs_kernel *k = *kp;

	if (!k)
		return;
	if (k->control)
		munmap(k->control, k->control_bytes);
	if (k->members)
		munmap(k->members, k->member_bytes);
	if (k->recent)
		munmap(k->recent, k->recent_bytes);
	if (k->followed)
		munmap(k->followed, k->followed_bytes);
	if (k->late)
		munmap(k->late, k->late_bytes);
	write_fexit_bpf__destroy(k->fexit);
	write_sysexit_bpf__destroy(k->sysexit);
	write_uring_bpf__destroy(k->uring);
	identify_bpf__destroy(k->identify);
	death_bpf__destroy(k->death);
	process_bpf__destroy(k->process);
	obs_missed_free(&k->missed);
	btf__free(k->types);
	free(k->drop_values);
	free(k);
	*kp = NULL;
}

int obs_kernel_share_maps(const struct obs_kernel *k, struct bpf_object *to)
{
	return reuse_maps(k->process->obj, to);
}

void obs_kernel_watch(struct obs_kernel *k, struct bpf_object_skeleton *skeleton)
{
	obs_missed_watch(k->missed, *skeleton->obj);
	if (k->n_loaded < OBJECTS_MAX)
		k->loaded[k->n_loaded++] = skeleton;
}

void obs_kernel_unwatch(struct obs_kernel *k, const struct bpf_object_skeleton *skeleton)
{
	for (size_t i = 0; i < k->n_loaded; i++) {
		if (k->loaded[i] != skeleton)
			continue;
		k->loaded[i] = k->loaded[--k->n_loaded];
		return;
	}
}

static struct bpf_prog_skeleton *find_program(const struct obs_kernel *k, const char *name)
{
	for (size_t i = 0; i < k->n_loaded; i++) {
		const struct bpf_object_skeleton *s = k->loaded[i];

		for (int n = 0; n < s->prog_cnt; n++) {
			void *at = (char *)s->progs + n * s->prog_skel_sz;
			struct bpf_prog_skeleton *p = at;

			if (p->link && strcmp(p->name, name) == 0)
				return p;
		}
	}
	return NULL;
}

bool obs_kernel_is_attached(const struct obs_kernel *k, const char *program)
{
	const struct bpf_prog_skeleton *p = find_program(k, program);

	return p && *p->link;
}

int obs_kernel_attach_again(struct obs_kernel *k, const char *program)
{
	struct bpf_prog_skeleton *p = find_program(k, program);

	if (!p || bpf_program__fd(*p->prog) < 0)
		return -ENOENT;
	bpf_link__destroy(*p->link);
	*p->link = bpf_program__attach(*p->prog);
	return *p->link ? 0 : -errno;
}

uint64_t obs_kernel_missed(struct obs_kernel *k, struct obs_model *model)
{
	return obs_missed_read(k->missed, model);
}

int obs_kernel_ring_fd(const struct obs_kernel *k)
{
	return bpf_map__fd(k->process->maps.events);
}

uint64_t obs_kernel_late_cpu_ns(const struct obs_kernel *k, uint32_t slot)
{
	return slot < OBS_TARGETS_MAX ? __atomic_load_n(&k->late[slot], __ATOMIC_RELAXED) : 0;
}

struct obs_control *obs_kernel_control(struct obs_kernel *k)
{
	return k->control;
}

static int set_target(struct bpf_map *map, const void *key, uint32_t slot)
{
	struct obs_target_value v = { .target = slot };

	return bpf_map_update_elem(bpf_map__fd(map), key, &v, BPF_ANY);
}

int obs_kernel_add_process(struct obs_kernel *k, uint32_t tgid, uint32_t slot)
{
	int r = set_target(k->process->maps.targets, &tgid, slot);

	__atomic_store_n(&k->recent[tgid % OBS_RECENT_MAX], 0, __ATOMIC_SEQ_CST);
	/* The bit last: whoever sees it finds the entry. */
	if (r == 0 && tgid / 8 < k->member_bytes)
		__atomic_fetch_or(&k->members[tgid / 64], UINT64_C(1) << (tgid % 64),
				  __ATOMIC_SEQ_CST);
	return r;
}

int obs_kernel_drop_process(struct obs_kernel *k, uint32_t tgid)
{
	int r;

	if (tgid / 8 < k->member_bytes)
		__atomic_fetch_and(&k->members[tgid / 64], ~(UINT64_C(1) << (tgid % 64)),
				   __ATOMIC_SEQ_CST);
	r = bpf_map_delete_elem(bpf_map__fd(k->process->maps.targets), &tgid);
	__atomic_store_n(&k->recent[tgid % OBS_RECENT_MAX], 0, __ATOMIC_SEQ_CST);
	return r;
}

void obs_kernel_tick(struct obs_kernel *k)
{
	for (size_t i = 0; i < OBS_RECENT_MAX; i++) {
		if (k->recent[i])
			__atomic_store_n(&k->recent[i], 0, __ATOMIC_RELAXED);
	}
	for (size_t i = 0; i < OBS_FOLLOWED_MAX; i++) {
		if (k->followed[i].ino)
			__atomic_store_n(&k->followed[i].ino, 0, __ATOMIC_RELAXED);
	}
}

int obs_kernel_add_cgroup(struct obs_kernel *k, uint64_t id, uint32_t slot)
{
	return set_target(k->process->maps.cgroups, &id, slot);
}

int obs_kernel_drop_cgroup(struct obs_kernel *k, uint64_t id)
{
	return bpf_map_delete_elem(bpf_map__fd(k->process->maps.cgroups), &id);
}

static int files_map_fd(const struct obs_kernel *k)
{
	if (k->sysexit)
		return bpf_map__fd(k->sysexit->maps.files);
	return k->fexit ? bpf_map__fd(k->fexit->maps.files) : -ENOENT;
}

static void forget_followed(struct obs_kernel *k, const struct obs_file_id *file)
{
	__atomic_store_n(&k->followed[file->ino % OBS_FOLLOWED_MAX].ino, 0, __ATOMIC_SEQ_CST);
}

static struct obs_rec_file_id key_of(const struct obs_file_id *file)
{
	return (struct obs_rec_file_id){ .ino = file->ino, .dev = file->dev, .gen = file->gen };
}

int obs_kernel_judge(struct obs_kernel *k, const struct obs_file_id *file, enum obs_verdict verdict)
{
	struct obs_rec_file_id key = key_of(file);
	struct obs_file_value v = { .verdict = verdict };
	int fd = files_map_fd(k), r;

	if (fd < 0)
		return fd;
	r = bpf_map_update_elem(fd, &key, &v, BPF_ANY);
	if (verdict != OBS_FILE_FOLLOW)
		forget_followed(k, file);
	return r;
}

bool obs_kernel_has_forgotten(struct obs_kernel *k, const struct obs_file_id *file)
{
	struct obs_rec_file_id key = key_of(file);
	struct obs_file_value v = {};
	int fd = files_map_fd(k);

	return fd >= 0 && bpf_map_lookup_elem(fd, &key, &v) == 0 && v.verdict == OBS_FILE_PENDING;
}

int obs_kernel_forget(struct obs_kernel *k, const struct obs_file_id *file)
{
	struct obs_rec_file_id key = key_of(file);
	int fd = files_map_fd(k), r;

	if (fd < 0)
		return fd;
	r = bpf_map_delete_elem(fd, &key);
	forget_followed(k, file);
	return r;
}

static int identify_by_program(struct obs_kernel *k, int fd, struct obs_file_id *ret)
{
	__u64 args[1] = { (__u64)fd };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));
	struct obs_identity answer;
	__u32 zero = 0;
	int r;

	r = bpf_prog_test_run_opts(bpf_program__fd(k->identify->progs.obs_identify), &opts);
	if (r < 0)
		return r;
	r = bpf_map_lookup_elem(bpf_map__fd(k->identify->maps.identity), &zero, &answer);
	if (r < 0)
		return r;
	if (answer.kind != OBS_KIND_REG)
		return -EINVAL;
	*ret = (struct obs_file_id){ answer.file.ino, answer.file.dev, answer.file.gen };
	return 0;
}

static int identify_by_stat(int fd, struct obs_file_id *ret)
{
	unsigned int generation = 0;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (ioctl(fd, FS_IOC_GETVERSION, &generation) < 0)
		generation = 0; /* not every file system has one */
	/* MKDEV() of include/linux/kdev_t.h */
	*ret = (struct obs_file_id){ st.st_ino, major(st.st_dev) << 20 | minor(st.st_dev),
				     generation };
	return 0;
}

int obs_kernel_identify(struct obs_kernel *k, int fd, struct obs_file_id *ret)
{
	if (k && k->identify)
		return identify_by_program(k, fd, ret);
	return identify_by_stat(fd, ret);
}

static const char *const drop_reasons[OBS_DROP_REASONS] = {
	[OBS_DROP_RING_FILE] = "ring_file",
	[OBS_DROP_RING_CONSOLE] = "ring_console",
	[OBS_DROP_RING_PROCESS] = "ring_process",
	[OBS_DROP_BUDGET_CONSOLE] = "budget_console",
	[OBS_DROP_BUDGET_FILE] = "budget_file",
	[OBS_DROP_FAULT] = "fault",
	[OBS_DROP_MAP] = "map",
	[OBS_DROP_TOO_LONG] = "too_long",
	[OBS_DROP_P2PD] = "p2pd",
};

uint64_t obs_kernel_lost_bytes(const struct obs_kernel *k, uint32_t slot)
{
	struct obs_budget b = {};

	bpf_map_lookup_elem(bpf_map__fd(k->process->maps.budgets), &slot, &b);
	return b.lost_bytes;
}

void obs_kernel_read_drops(struct obs_kernel *k, struct obs_model *model)
{
	model->drop_reasons = drop_reasons;
	model->n_drop_reasons = OBS_DROP_REASONS;
	model->n_cpus = k->n_cpus < 64 ? (uint32_t)k->n_cpus : 64;
	memset(model->drops, 0, sizeof(model->drops));
	memset(model->dropped_bytes, 0, sizeof(model->dropped_bytes));
	for (__u32 reason = 0; reason < OBS_DROP_MAX; reason++) {
		if (bpf_map_lookup_elem(bpf_map__fd(k->process->maps.drops), &reason,
					k->drop_values) < 0)
			continue;
		for (int cpu = 0; cpu < k->n_cpus; cpu++) {
			size_t shown = cpu < 63 ? (size_t)cpu : 63;

			if (reason == OBS_DROP_BYTES_CONSOLE)
				model->dropped_bytes[shown] += k->drop_values[cpu];
			else
				model->drops[shown][reason] += k->drop_values[cpu];
		}
	}
}
