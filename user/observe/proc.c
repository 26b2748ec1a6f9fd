// SPDX-License-Identifier: BSD-2-Clause
/* proc.c - see proc.h. */
#include "observe/proc.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "observe/cgroup_set.h"
#include "util/cleanup.h"

#define PROC_FILE_MAX 65536
#define FDS_MAX	      4096

int obs_proc_read(pid_t pid, const char *name, struct obs_buf *out)
{
	cleanup_close int fd = -1;
	char path[64];
	ssize_t n;

	obs_buf_reset(out);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		int r = obs_buf_reserve(out, 4096);

		if (r < 0)
			return r;
		n = read(fd, out->p + out->len, 4096);
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0 && out->len < PROC_FILE_MAX);
	return n < 0 ? -errno : 0;
}

/* Where field @want (from 1, as in proc(5)) of the text of /proc/PID/stat begins, counted behind
 * the name's last parenthesis, since a process may put parentheses and spaces into its name. */
static const char *find_field(struct obs_buf *text, int want)
{
	const char *p = strrchr(obs_buf_cstr(text), ')');

	for (int field = 2; p && field < want; field++)
		p = strchr(p + 1, ' ');
	return p ? p + 1 : "";
}

static uint64_t stat_field(pid_t pid, int want)
{
	cleanup_buf struct obs_buf text = {};

	if (obs_proc_read(pid, "stat", &text) < 0)
		return 0;
	return strtoull(find_field(&text, want), NULL, 10);
}

static uint64_t number_at(struct obs_buf *text, int want)
{
	return strtoull(find_field(text, want), NULL, 10);
}

static void name_in(struct obs_buf *text, char *out, size_t size)
{
	const char *from = strchr(obs_buf_cstr(text), '('), *to = strrchr(obs_buf_cstr(text), ')');

	snprintf(out, size, "%.*s", from && to > from ? (int)(to - from - 1) : 0,
		 from ? from + 1 : "");
}

/* A leader may end before its threads: that process lives. */
static bool has_ended(struct obs_buf *text)
{
	char state = *find_field(text, 3);

	return (state == 'Z' || state == 'X') && number_at(text, 20) <= 1;
}

bool obs_proc_lives(pid_t pid, uint64_t start_ticks)
{
	cleanup_buf struct obs_buf text = {};

	return obs_proc_read(pid, "stat", &text) == 0 && number_at(&text, 22) == start_ticks &&
	       !has_ended(&text);
}

bool obs_proc_zombie(pid_t pid, struct obs_proc_zombie *ret)
{
	cleanup_buf struct obs_buf text = {};

	if (obs_proc_read(pid, "stat", &text) < 0 || !has_ended(&text))
		return false;
	*ret = (struct obs_proc_zombie){
		.ppid = (pid_t)number_at(&text, 4),
		.start_ticks = number_at(&text, 22),
		.wait_status = (int)number_at(&text, 52),
	};
	name_in(&text, ret->comm, sizeof(ret->comm));
	return true;
}

bool obs_proc_is_zombie(pid_t pid)
{
	struct obs_proc_zombie z;

	return obs_proc_zombie(pid, &z);
}

void obs_proc_comm(pid_t pid, char *out, size_t size)
{
	cleanup_buf struct obs_buf text = {};

	*out = '\0';
	if (obs_proc_read(pid, "comm", &text) == 0)
		snprintf(out, size, "%.*s", (int)strcspn(obs_buf_cstr(&text), "\n"),
			 obs_buf_cstr(&text));
}

pid_t obs_proc_parent(pid_t pid)
{
	return (pid_t)stat_field(pid, 4);
}

uint64_t obs_proc_start_ticks(pid_t pid)
{
	return stat_field(pid, 22);
}

uint32_t obs_proc_netns(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

const char *obs_proc_cgroup2_mount(void)
{
	static char where[PATH_MAX];
	struct mntent *m;
	FILE *f;

	if (*where)
		return where;
	f = setmntent("/proc/self/mounts", "re");
	if (!f)
		return NULL;
	while (!*where && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") == 0)
			snprintf(where, sizeof(where), "%s", m->mnt_dir);
	}
	endmntent(f);
	return *where ? where : NULL;
}

uint64_t obs_proc_cgroup_v2(struct obs_slice cgroup, const char *must_contain)
{
	const char *mount = obs_proc_cgroup2_mount();
	struct obs_slice own = obs_cgroup_v2_path(cgroup);
	cleanup_buf struct obs_buf path = {};
	struct stat st;

	if (!mount || !own.len)
		return 0;
	obs_buf_printf(&path, "%s%.*s", mount, (int)own.len, own.p);
	if (!strstr(obs_buf_cstr(&path), must_contain) || stat(obs_buf_cstr(&path), &st) < 0)
		return 0;
	return st.st_ino; /* kernfs id on 64-bit kernels (67c0496e87d1) */
}

int obs_proc_each(obs_proc_fn fn, void *ctx)
{
	cleanup_closedir DIR *dir = opendir("/proc");
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		if (!fn(ctx, (pid_t)atoi(e->d_name)))
			break;
	}
	return 0;
}

static bool is_writable(pid_t pid, int fd)
{
	cleanup_buf struct obs_buf text = {};
	const char *flags;
	char name[32];

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	if (obs_proc_read(pid, name, &text) < 0)
		return false;
	flags = strstr(obs_buf_cstr(&text), "flags:\t");
	return flags && (strtoul(flags + 7, NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static void visit_fd(pid_t pid, int dir_fd, const char *name, obs_proc_fd_fn fn, void *ctx)
{
	struct obs_proc_fd fd = { .fd = atoi(name), .path = "" };
	char path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstatat(dir_fd, name, &st, 0) < 0 || !S_ISREG(st.st_mode))
		return;
	n = readlinkat(dir_fd, name, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		fd.path = path;
	}
	fd.writable = is_writable(pid, fd.fd);
	fn(ctx, pid, &fd);
}

int obs_proc_each_fd(pid_t pid, obs_proc_fd_fn fn, void *ctx)
{
	cleanup_closedir DIR *dir = NULL;
	struct dirent *e;
	char path[64];
	int left = FDS_MAX;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (left-- > 0 && (e = readdir(dir))) {
		if (isdigit((unsigned char)e->d_name[0]))
			visit_fd(pid, dirfd(dir), e->d_name, fn, ctx);
	}
	return 0;
}
