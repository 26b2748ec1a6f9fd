// SPDX-License-Identifier: BSD-2-Clause
/*
 * cgroup.c - see cgroup.h. One row per file: which controller's, of which version, and what
 * its text means.
 */
#include "collect/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define FILE_BYTES  8192
#define SELDOM	    6			/* looks */
#define NO_LIMIT_V1 (UINT64_C(1) << 60) /* v1 writes "none" as the largest multiple of a page */

/* --- texts --- */

/* The first number; OBS_UNKNOWN for "max", for v1's no limit (also -1), and for none at all. */
static uint64_t number(const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 10);

	return end == text || *text == '-' || v >= NO_LIMIT_V1 ? OBS_UNKNOWN : v;
}

/* What follows "@key " at the start of a line. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n'), p += p != NULL) {
		if (strncmp(p, key, len) == 0 && p[len] == ' ')
			return number(p + len + 1);
	}
	return OBS_UNKNOWN;
}

/* The sum over all devices of "key=n" (v2), or of the lines "8:0 Key n" (v1). */
static uint64_t summed(const char *text, const char *key)
{
	uint64_t sum = 0;
	const char *p = text;

	while ((p = strstr(p, key))) {
		uint64_t v = number(p + strlen(key));

		sum += v == OBS_UNKNOWN ? 0 : v;
		p += strlen(key);
	}
	return sum;
}

/* How many CPUs "0-3,8" names. */
static uint64_t listed_cpus(const char *text)
{
	uint64_t n = 0;
	char *end;

	while (*text >= '0' && *text <= '9') {
		unsigned long from = strtoul(text, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		n += to >= from ? to - from + 1 : 0;
		text = *end == ',' ? end + 1 : end;
	}
	return n ? n : OBS_UNKNOWN;
}

static double average(const char *line)
{
	const char *p = line ? strstr(line, "avg10=") : NULL;

	return p ? strtod(p + 6, NULL) : NAN;
}

static uint64_t total(const char *line)
{
	const char *p = line ? strstr(line, "total=") : NULL;

	return p ? number(p + 6) : OBS_UNKNOWN;
}

void obs_pressure_parse(const char *text, struct obs_pressure *ret)
{
	const char *some = strstr(text, "some "), *full = strstr(text, "full ");

	*ret = (struct obs_pressure){
		.some_avg10 = average(some),
		.full_avg10 = average(full),
		.some_usec = total(some),
		.full_usec = total(full),
	};
}

/* --- one function per file --- */

typedef void (*parse_fn)(const char *text, struct obs_cgroup_usage *u);

#define ONE_NUMBER(name)                                                       \
	static void parse_##name(const char *text, struct obs_cgroup_usage *u) \
	{                                                                      \
		u->name = number(text);                                        \
	}

ONE_NUMBER(memory_bytes)
ONE_NUMBER(memory_peak_bytes)
ONE_NUMBER(memory_limit_bytes)
ONE_NUMBER(swap_bytes)
ONE_NUMBER(limit_hits)
ONE_NUMBER(cpu_ns)
ONE_NUMBER(quota_usec)
ONE_NUMBER(period_usec)
ONE_NUMBER(pids)
ONE_NUMBER(pids_limit)

static void parse_cpus(const char *text, struct obs_cgroup_usage *u)
{
	u->cpus = listed_cpus(text);
}

static void parse_memory_stat(const char *text, struct obs_cgroup_usage *u)
{
	u->memory_anon_bytes = keyed(text, "anon");
	u->memory_file_bytes = keyed(text, "file");
	u->memory_inactive_file_bytes = keyed(text, "inactive_file");
}

static void parse_memory_stat_v1(const char *text, struct obs_cgroup_usage *u)
{
	u->memory_anon_bytes = keyed(text, "total_rss");
	u->memory_file_bytes = keyed(text, "total_cache");
	u->memory_inactive_file_bytes = keyed(text, "total_inactive_file");
	u->swap_bytes = keyed(text, "total_swap");
}

static void parse_memory_events(const char *text, struct obs_cgroup_usage *u)
{
	u->limit_hits = keyed(text, "max");
	u->oom_kills = keyed(text, "oom_kill");
}

static void parse_oom_control(const char *text, struct obs_cgroup_usage *u)
{
	u->oom_kills = keyed(text, "oom_kill");
}

static uint64_t from_usec(uint64_t usec)
{
	return usec == OBS_UNKNOWN ? OBS_UNKNOWN : usec * 1000;
}

static void parse_cpu_stat(const char *text, struct obs_cgroup_usage *u)
{
	u->cpu_ns = from_usec(keyed(text, "usage_usec"));
	u->user_ns = from_usec(keyed(text, "user_usec"));
	u->system_ns = from_usec(keyed(text, "system_usec"));
	u->periods = keyed(text, "nr_periods");
	u->throttled_periods = keyed(text, "nr_throttled");
	u->throttled_ns = from_usec(keyed(text, "throttled_usec"));
}

static void parse_cpu_stat_v1(const char *text, struct obs_cgroup_usage *u)
{
	u->periods = keyed(text, "nr_periods");
	u->throttled_periods = keyed(text, "nr_throttled");
	u->throttled_ns = keyed(text, "throttled_time");
}

static uint64_t from_ticks(uint64_t ticks)
{
	return ticks == OBS_UNKNOWN ? OBS_UNKNOWN : obs_ticks_ns(ticks);
}

static void parse_cpuacct_stat(const char *text, struct obs_cgroup_usage *u)
{
	u->user_ns = from_ticks(keyed(text, "user"));
	u->system_ns = from_ticks(keyed(text, "system"));
}

/* "200000 100000", "max 100000" */
static void parse_cpu_max(const char *text, struct obs_cgroup_usage *u)
{
	const char *space = strchr(text, ' ');

	u->quota_usec = number(text);
	u->period_usec = space ? number(space + 1) : OBS_UNKNOWN;
}

static void parse_io_stat(const char *text, struct obs_cgroup_usage *u)
{
	u->read_bytes = summed(text, " rbytes=");
	u->write_bytes = summed(text, " wbytes=");
	u->reads = summed(text, " rios=");
	u->writes = summed(text, " wios=");
}

static void parse_blkio_bytes(const char *text, struct obs_cgroup_usage *u)
{
	u->read_bytes = summed(text, " Read ");
	u->write_bytes = summed(text, " Write ");
}

static void parse_blkio_count(const char *text, struct obs_cgroup_usage *u)
{
	u->reads = summed(text, " Read ");
	u->writes = summed(text, " Write ");
}

#define PRESSURE(which, name)                                                           \
	static void parse_pressure_##name(const char *text, struct obs_cgroup_usage *u) \
	{                                                                               \
		obs_pressure_parse(text, &u->pressure[which]);                          \
	}

PRESSURE(OBS_PRESSURE_CPU, cpu)
PRESSURE(OBS_PRESSURE_MEMORY, memory)
PRESSURE(OBS_PRESSURE_IO, io)

/* --- the table --- */

static const struct file {
	const char *v1;	       /* controller whose hierarchy the file is in; NULL: the v2 one's */
	const char *unless_v1; /* v2: not where this controller has a hierarchy of its own */
	const char *name;
	parse_fn parse;
	bool seldom; /* what somebody sets: not read at every look */
} files[] = {
	/* clang-format off */
	{ NULL, "memory", "memory.current", parse_memory_bytes },
	{ NULL, "memory", "memory.peak", parse_memory_peak_bytes },
	{ NULL, "memory", "memory.max", parse_memory_limit_bytes, true },
	{ NULL, "memory", "memory.swap.current", parse_swap_bytes },
	{ NULL, "memory", "memory.stat", parse_memory_stat },
	{ NULL, "memory", "memory.events", parse_memory_events },
	{ NULL, "cpuacct", "cpu.stat", parse_cpu_stat },
	{ NULL, "cpu", "cpu.max", parse_cpu_max, true },
	{ NULL, "cpuset", "cpuset.cpus.effective", parse_cpus, true },
	{ NULL, "blkio", "io.stat", parse_io_stat },
	{ NULL, "pids", "pids.current", parse_pids },
	{ NULL, "pids", "pids.max", parse_pids_limit, true },
	{ NULL, NULL, "cpu.pressure", parse_pressure_cpu },
	{ NULL, NULL, "memory.pressure", parse_pressure_memory },
	{ NULL, NULL, "io.pressure", parse_pressure_io },
	{ "memory", NULL, "memory.usage_in_bytes", parse_memory_bytes },
	{ "memory", NULL, "memory.max_usage_in_bytes", parse_memory_peak_bytes },
	{ "memory", NULL, "memory.limit_in_bytes", parse_memory_limit_bytes, true },
	{ "memory", NULL, "memory.stat", parse_memory_stat_v1 },
	{ "memory", NULL, "memory.failcnt", parse_limit_hits },
	{ "memory", NULL, "memory.oom_control", parse_oom_control },
	{ "cpuacct", NULL, "cpuacct.usage", parse_cpu_ns },
	{ "cpuacct", NULL, "cpuacct.stat", parse_cpuacct_stat },
	{ "cpu", NULL, "cpu.stat", parse_cpu_stat_v1 },
	{ "cpu", NULL, "cpu.cfs_quota_us", parse_quota_usec, true },
	{ "cpu", NULL, "cpu.cfs_period_us", parse_period_usec, true },
	{ "cpuset", NULL, "cpuset.effective_cpus", parse_cpus, true },
	{ "blkio", NULL, "blkio.throttle.io_service_bytes_recursive", parse_blkio_bytes },
	{ "blkio", NULL, "blkio.throttle.io_serviced_recursive", parse_blkio_count },
	{ "pids", NULL, "pids.current", parse_pids },
	{ "pids", NULL, "pids.max", parse_pids_limit, true },
	/* clang-format on */
};

struct obs_cgroup {
	int fds[ARRAY_LEN(files)]; /* owned; -1 = no such file */
	bool v1, v2;
	unsigned looks;
	struct obs_cgroup_usage last; /* of the look before */
};

/* --- where the hierarchies are --- */

static bool has_word(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && p + n <= list + len;
	     p = memchr(p, ',', len - (size_t)(p - list)), p += p != NULL) {
		if (strncmp(p, word, n) == 0 && (p + n == list + len || p[n] == ','))
			return true;
	}
	return false;
}

/* Cuts the first line off @text. Return: whether there was one. */
static bool next_line(struct obs_slice *text, struct obs_slice *ret)
{
	const char *nl;

	if (!text->len)
		return false;
	nl = memchr(text->p, '\n', text->len);
	*ret = obs_slice(text->p, nl ? (size_t)(nl - text->p) : text->len);
	*text = obs_slice(text->p + ret->len + (nl != NULL), text->len - ret->len - (nl != NULL));
	return true;
}

/* The mount point of the hierarchy of @controller (NULL: of v2), or false. Mount points with
 * spaces are written with escapes, which no distribution's are. */
static bool mounted_at(struct obs_slice mounts, const char *controller, char *out, size_t size)
{
	char line[1024], where[512], type[32], options[256];
	struct obs_slice l;

	while (next_line(&mounts, &l)) {
		snprintf(line, sizeof(line), "%.*s", (int)l.len, l.p);
		if (sscanf(line, "%*s %511s %31s %255s", where, type, options) != 3)
			continue;
		if (controller ? strcmp(type, "cgroup") != 0 ||
					 !has_word(options, strlen(options), controller)
			       : strcmp(type, "cgroup2") != 0)
			continue;
		snprintf(out, size, "%s", where);
		return true;
	}
	return false;
}

/* The path in /proc/PID/cgroup of the hierarchy of @controller (NULL: of v2), cut behind the
 * component that names the container (@id NULL: not cut): a process may be in a cgroup further
 * down. */
static bool path_in(struct obs_slice cgroup, const char *controller, const char *id, char *out,
		    size_t size)
{
	struct obs_slice line;

	while (next_line(&cgroup, &line)) {
		const char *end = line.p + line.len, *at, *cut;
		const char *names = memchr(line.p, ':', line.len);
		const char *path = names ? memchr(names + 1, ':', (size_t)(end - names - 1)) : NULL;

		if (!path ||
		    !(controller ? has_word(names + 1, (size_t)(path - names - 1), controller)
				 : path == names + 1 && *line.p == '0'))
			continue;
		at = id ? memmem(path, (size_t)(end - path), id, strlen(id)) : path;
		if (!at || memmem(path, (size_t)(end - path), "..", 2))
			return false;
		cut = id ? memchr(at, '/', (size_t)(end - at)) : NULL;
		if (!cut)
			cut = end;
		return snprintf(out, size, "%.*s", (int)(cut - path - 1), path + 1) < (int)size;
	}
	return false;
}

static bool directory_of(struct obs_slice mounts, struct obs_slice cgroup, const char *controller,
			 const char *id, char *out, size_t size)
{
	char where[512], path[PATH_MAX];

	return mounted_at(mounts, controller, where, sizeof(where)) &&
	       path_in(cgroup, controller, id, path, sizeof(path)) &&
	       snprintf(out, size, "%s%s", where, path) < (int)size;
}

bool obs_cgroup_directory(struct obs_slice mounts, struct obs_slice cgroup, const char *controller,
			  char *out, size_t size, size_t *top)
{
	char where[512];

	if (!mounted_at(mounts, controller, where, sizeof(where)) ||
	    !directory_of(mounts, cgroup, controller, NULL, out, size))
		return false;
	*top = strlen(where);
	if (out[strlen(out) - 1] == '/')
		out[strlen(out) - 1] = '\0';
	return true;
}

static int open_file(const struct file *f, struct obs_slice mounts, struct obs_slice cgroup,
		     const char *id)
{
	char dir[PATH_MAX], path[PATH_MAX + 64], where[512];

	if (f->unless_v1 && mounted_at(mounts, f->unless_v1, where, sizeof(where)))
		return -1;
	if (!directory_of(mounts, cgroup, f->v1, id, dir, sizeof(dir)))
		return -1;
	snprintf(path, sizeof(path), "%s/%s", dir, f->name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int obs_cgroup_open(struct obs_slice mounts, struct obs_slice cgroup, const char *id,
		    struct obs_cgroup **ret)
{
	struct obs_cgroup *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		c->fds[i] = open_file(&files[i], mounts, cgroup, id);
		c->v1 |= c->fds[i] >= 0 && files[i].v1;
		c->v2 |= c->fds[i] >= 0 && !files[i].v1;
	}
	if (!c->v1 && !c->v2) {
		obs_cgroup_free(&c);
		return -ENOENT;
	}
	*ret = c;
	return 0;
}

void obs_cgroup_free(struct obs_cgroup **cp)
{
	if (!*cp)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		obs_closep(&(*cp)->fds[i]);
	free(*cp);
	*cp = NULL;
}

const char *obs_cgroup_versions(const struct obs_cgroup *c)
{
	if (c->v1 && c->v2)
		return "cgroup v1 and v2";
	return c->v1 ? "cgroup v1" : "cgroup v2";
}

/* --- reading --- */

static void forget_all(struct obs_cgroup_usage *u)
{
	uint64_t *words = (uint64_t *)u;

	/* All members before `pressure` are 64-bit numbers. */
	for (size_t i = 0; i < offsetof(struct obs_cgroup_usage, pressure) / sizeof(*words); i++)
		words[i] = OBS_UNKNOWN;
	for (size_t i = 0; i < OBS_PRESSURES; i++)
		u->pressure[i] = (struct obs_pressure){ NAN, NAN, OBS_UNKNOWN, OBS_UNKNOWN };
}

static void keep_seldom(const struct obs_cgroup_usage *from, struct obs_cgroup_usage *to)
{
	to->memory_limit_bytes = from->memory_limit_bytes;
	to->quota_usec = from->quota_usec;
	to->period_usec = from->period_usec;
	to->cpus = from->cpus;
	to->pids_limit = from->pids_limit;
}

/* Return: was there anything to read? */
static bool read_file(struct obs_cgroup *c, size_t i, struct obs_cgroup_usage *u)
{
	char text[FILE_BYTES];
	ssize_t n = pread(c->fds[i], text, sizeof(text) - 1, 0);

	if (n < 0 && errno == EOPNOTSUPP) /* PSI is switched off (psi=0) */
		obs_closep(&c->fds[i]);
	if (n <= 0)
		return false;
	text[n] = '\0';
	files[i].parse(text, u);
	return true;
}

int obs_cgroup_read(struct obs_cgroup *c, struct obs_cgroup_usage *ret)
{
	bool any = false, all = c->looks % SELDOM == 0;
	struct obs_cgroup_usage u;

	forget_all(&u);
	if (!all)
		keep_seldom(&c->last, &u);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (c->fds[i] >= 0 && (all || !files[i].seldom))
			any |= read_file(c, i, &u);
	}
	if (!any)
		return -ENODEV;
	c->looks++;
	c->last = u;
	*ret = u;
	return 0;
}
