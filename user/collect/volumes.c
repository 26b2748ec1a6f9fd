// SPDX-License-Identifier: BSD-2-Clause
/*
 * volumes.c - how full the file systems are that nodes write to; see host.h.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "collect/host.h"
#include "collect/procfs.h"
#include "util/cleanup.h"

#define LINE_BYTES 2048

/* Those that answer without a network. */
static const char *const local_types[] = {
	"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "tmpfs",
};

struct mount {
	char where[512], options[128], type[32];
};

/* "36 35 98:0 /root /where rw,noatime master:1 - ext4 /dev/sda1 rw" */
static bool parse_mount(const char *line, struct mount *m)
{
	const char *dash = strstr(line, " - ");

	if (!dash)
		return false;
	return sscanf(line, "%*s %*s %*s %*s %511s %127s", m->where, m->options) == 2 &&
	       sscanf(dash, " - %31s", m->type) == 1;
}

static bool is_local(const struct mount *m)
{
	for (size_t i = 0; i < ARRAY_LEN(local_types); i++) {
		if (strcmp(m->type, local_types[i]) == 0)
			return true;
	}
	return false;
}

/* Of memory file systems only the one that programs share memory in. */
static bool is_written_to(const struct mount *m)
{
	if (strncmp(m->options, "rw", 2) != 0 || !is_local(m))
		return false;
	return strcmp(m->type, "tmpfs") != 0 || strcmp(m->where, "/dev/shm") == 0;
}

static bool is_above(const char *where, const char *dir)
{
	size_t len = strlen(where);

	if (strcmp(where, "/") == 0)
		return true;
	return strncmp(dir, where, len) == 0 && (dir[len] == '/' || dir[len] == '\0');
}

/* The same file system seen through another mount. overlayfs hides which one it is on, and
 * somebody may write between two looks: so by its size, and about how full it is. */
static bool is_known(const struct obs_host_usage *u, const struct obs_disk_usage *d)
{
	for (size_t i = 0; i < u->n_disks; i++) {
		const struct obs_disk_usage *k = &u->disks[i];

		uint64_t apart = k->available_bytes > d->available_bytes
					 ? k->available_bytes - d->available_bytes
					 : d->available_bytes - k->available_bytes;

		if (k->total_bytes == d->total_bytes && k->files == d->files &&
		    apart <= d->total_bytes / 1000)
			return true;
	}
	return false;
}

static void add_volume(const struct mount *m, const char *root, const char *used_by,
		       struct obs_host_usage *u)
{
	struct obs_disk_usage d = {};
	char path[PATH_MAX];
	struct statvfs st;

	snprintf(path, sizeof(path), "%s%s", root, m->where);
	if (u->n_disks >= OBS_HOST_DISKS || statvfs(path, &st) < 0 || st.f_blocks == 0)
		return;
	d.total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
	d.used_bytes = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
	d.available_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	d.files = st.f_files;
	d.files_free = st.f_ffree;
	snprintf(d.path, sizeof(d.path), "%.127s", m->where);
	snprintf(d.used_by, sizeof(d.used_by), "%s", used_by);
	snprintf(d.type, sizeof(d.type), "%.15s", m->type);
	if (!is_known(u, &d))
		u->disks[u->n_disks++] = d;
}

/* The mount that @dir is on: the longest above it, and of those the last, which lies on top. */
static bool find_mount(const char *mountinfo, const char *dir, struct mount *ret)
{
	size_t longest = 0;
	char line[LINE_BYTES];
	struct mount m;

	while (obs_procfs_line(&mountinfo, line, sizeof(line))) {
		if (!parse_mount(line, &m) || !is_above(m.where, dir) || strlen(m.where) < longest)
			continue;
		longest = strlen(m.where);
		*ret = m;
	}
	return longest > 0;
}

void obs_host_volumes(const char *mountinfo, const char *root, const char *dir, const char *used_by,
		      struct obs_host_usage *u)
{
	char line[LINE_BYTES];
	struct mount m;

	if (dir) {
		if (find_mount(mountinfo, "/", &m) && is_written_to(&m))
			add_volume(&m, root, used_by, u);
		if (find_mount(mountinfo, dir, &m) && is_written_to(&m))
			add_volume(&m, root, used_by, u);
		return;
	}
	while (obs_procfs_line(&mountinfo, line, sizeof(line))) {
		if (parse_mount(line, &m) && is_written_to(&m))
			add_volume(&m, root, used_by, u);
	}
}
