// SPDX-License-Identifier: BSD-2-Clause
/* cgroup_set.c - see cgroup_set.h. */
#include "observe/cgroup_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Is @path @top, or below it? */
static bool is_within(const char *top, struct obs_slice path)
{
	size_t n = strlen(top);

	if (strcmp(top, "/") == 0)
		return true;
	return path.len >= n && memcmp(path.p, top, n) == 0 && (path.len == n || path.p[n] == '/');
}

static void drop(struct obs_cgroup_set *set, size_t i)
{
	free(set->paths[i]);
	set->paths[i] = set->paths[--set->n];
}

static void take_everything(struct obs_cgroup_set *set)
{
	obs_cgroup_set_reset(set);
	set->paths[0] = strdup("/");
	set->n = set->paths[0] != NULL;
}

int obs_cgroup_set_add(struct obs_cgroup_set *set, struct obs_slice path)
{
	char *copy;

	if (path.len == 0 || path.p[0] != '/' || path.len >= OBS_CGROUP_PATH_MAX ||
	    (path.len >= 3 && memcmp(path.p, "/..", 3) == 0))
		return -EINVAL;
	for (size_t i = 0; i < set->n; i++) {
		if (is_within(set->paths[i], path))
			return 0;
	}
	copy = strndup(path.p, path.len);
	for (size_t i = set->n; copy && i-- > 0;) {
		if (is_within(copy, obs_slice_str(set->paths[i])))
			drop(set, i);
	}
	if (!copy || set->n == OBS_CGROUP_SET_MAX) {
		free(copy);
		take_everything(set);
		return 0;
	}
	set->paths[set->n++] = copy;
	return 0;
}

bool obs_cgroup_set_has(const struct obs_cgroup_set *set, const char *path)
{
	for (size_t i = 0; i < set->n; i++) {
		if (strcmp(set->paths[i], path) == 0)
			return true;
	}
	return false;
}

void obs_cgroup_set_reset(struct obs_cgroup_set *set)
{
	while (set->n)
		drop(set, set->n - 1);
}

struct obs_slice obs_cgroup_v2_path(struct obs_slice text)
{
	while (text.len) {
		const char *end = memchr(text.p, '\n', text.len);
		size_t len = end ? (size_t)(end - text.p) : text.len;

		if (len > 3 && memcmp(text.p, "0::", 3) == 0)
			return obs_slice(text.p + 3, len - 3);
		len += end != NULL;
		text = obs_slice(text.p + len, text.len - len);
	}
	return (struct obs_slice){};
}
