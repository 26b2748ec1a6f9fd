// SPDX-License-Identifier: BSD-2-Clause
/*
 * nvidia_smi.c - where NVML cannot be loaded, NVIDIA's own program is asked.
 *
 * It is started for each look and ended by force when it takes too long; its words are bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/gpu_source.h"
#include "collect/procfs.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define OUTPUT_MAX   65536
#define MIB	     (1024.0 * 1024)
#define FIELDS	     17
#define PROCESS_COLS 3

static char cards_query[] =
	"--query-gpu=index,name,uuid,utilization.gpu,utilization.memory,temperature.gpu,power.draw,"
	"enforced.power.limit,fan.speed,clocks.sm,clocks.mem,clocks.max.sm,memory.used,memory.total,"
	"clocks_throttle_reasons.active,ecc.errors.corrected.volatile.total,"
	"ecc.errors.uncorrected.volatile.total";
static char processes_query[] = "--query-compute-apps=gpu_uuid,pid,used_memory";
static char csv[] = "--format=csv,noheader,nounits";

struct smi {
	const char *program;
	uint64_t timeout_ms;
	struct obs_gpu_progress *progress;
};

/* --- running it --- */

static int spawn(const struct smi *s, char *query, int out_fd, pid_t *ret)
{
	char *argv[] = { (char *)s->program, query, csv, NULL };
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(ret, s->program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Until the end of its output, or of its time. */
static int collect_output(int fd, uint64_t timeout_ms, struct obs_buf *out)
{
	uint64_t end_ns = obs_clock_ns(CLOCK_MONOTONIC) + timeout_ms * OBS_NS_PER_MS;

	for (;;) {
		uint64_t now_ns = obs_clock_ns(CLOCK_MONOTONIC);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char text[4096];
		ssize_t n;

		if (now_ns >= end_ns ||
		    poll(&p, 1, (int)((end_ns - now_ns) / OBS_NS_PER_MS) + 1) == 0)
			return -ETIMEDOUT;
		n = read(fd, text, sizeof(text));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0 && obs_buf_push(out, text, (size_t)n) < 0)
			return -EMSGSIZE;
	}
}

static int ask(const struct smi *s, char *query, struct obs_buf *out)
{
	cleanup_close int in_fd = -1, out_fd = -1;
	int fds[2], status = 0, r;
	pid_t pid = 0;

	atomic_store(&s->progress->call, "nvidia-smi");
	out->max_bytes = OUTPUT_MAX;
	obs_buf_reset(out);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in_fd = fds[0];
	out_fd = fds[1];
	r = spawn(s, query, out_fd, &pid);
	if (r < 0)
		return r;
	obs_closep(&out_fd);
	r = collect_output(in_fd, s->timeout_ms, out);
	if (r < 0)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return -EIO;
	return r;
}

static void say_failure(const struct smi *s, int r, char *why)
{
	snprintf(why, OBS_GPU_WHY, "%.60s failed: %s", s->program,
		 r == -ETIMEDOUT ? "no answer in time" : strerror(-r));
}

/* --- its tables --- */

/* Cut "a, b, c" into its columns, in place. Return: how many. */
static size_t split(char *line, char **fields, size_t max)
{
	size_t n = 0;

	for (char *p = line; p && n < max;) {
		char *comma = strstr(p, ", ");

		if (comma)
			*comma = '\0';
		fields[n++] = p;
		p = comma ? comma + 2 : NULL;
	}
	return n;
}

/* "[N/A]", "[Not Supported]", "[GPU is lost]" are no numbers. */
static double real(const char *text, double scale)
{
	char *end;
	double v = strtod(text, &end);

	return end == text ? NAN : v * scale;
}

static uint64_t whole(const char *text, double scale)
{
	double v = real(text, scale);

	return isnan(v) || v < 0 ? OBS_UNKNOWN : (uint64_t)v;
}

static void take_card(char **f, struct obs_gpu_usage *g)
{
	char *end;
	uint64_t reasons = strtoull(f[14], &end, 16);

	*g = obs_gpu_new((uint32_t)strtoul(f[0], NULL, 10));
	snprintf(g->name, sizeof(g->name), "%s", f[1]);
	snprintf(g->uuid, sizeof(g->uuid), "%s", f[2]);
	g->util_percent = real(f[3], 1);
	g->memory_util_percent = real(f[4], 1);
	g->temp_c = real(f[5], 1);
	g->power_w = real(f[6], 1);
	g->power_limit_w = real(f[7], 1);
	g->fan_percent = real(f[8], 1);
	g->sm_mhz = real(f[9], 1);
	g->memory_mhz = real(f[10], 1);
	g->max_sm_mhz = real(f[11], 1);
	g->memory_used_bytes = whole(f[12], MIB);
	g->memory_total_bytes = whole(f[13], MIB);
	g->throttle_reasons = end == f[14] ? OBS_UNKNOWN : reasons;
	g->ecc_corrected = whole(f[15], 1);
	g->ecc_uncorrected = whole(f[16], 1);
	g->lost = strstr(f[5], "lost") != NULL;
}

static void take_process(char **f, struct obs_gpu_usage *gpus, size_t n)
{
	uint32_t pid = (uint32_t)strtoul(f[1], NULL, 10);

	for (size_t i = 0; i < n && pid; i++) {
		if (strcmp(gpus[i].uuid, f[0]) == 0)
			obs_gpu_add_process(&gpus[i], pid, whole(f[2], MIB), UINT32_MAX);
	}
}

static int read_smi(void *source, struct obs_gpu_usage *gpus, size_t *n, char *why)
{
	struct smi *s = source;
	cleanup_buf struct obs_buf out = {};
	char line[1024], *f[FIELDS];
	const char *at;
	int r = ask(s, cards_query, &out);

	if (r < 0) {
		say_failure(s, r, why);
		return r;
	}
	at = obs_buf_cstr(&out);
	while (*n < OBS_GPUS_MAX && obs_procfs_line(&at, line, sizeof(line))) {
		if (split(line, f, FIELDS) == FIELDS)
			take_card(f, &gpus[(*n)++]);
	}
	if (ask(s, processes_query, &out) < 0)
		return 0;
	at = obs_buf_cstr(&out);
	while (obs_procfs_line(&at, line, sizeof(line))) {
		if (split(line, f, PROCESS_COLS) == PROCESS_COLS)
			take_process(f, gpus, *n);
	}
	return 0;
}

/* --- life --- */

static void close_smi(void **source)
{
	free(*source);
	*source = NULL;
}

/* Where no driver is loaded it is not even started. */
static int open_smi(const struct obs_gpu_options *opt, struct obs_gpu_progress *progress,
		    void **ret, char *why)
{
	cleanup_buf struct obs_buf out = {};
	struct smi *s;
	int r;

	if (access(opt->nvidia_dir, F_OK) < 0)
		return -ENODEV;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct smi){ opt->nvidia_smi, opt->timeout_ms, progress };
	r = ask(s, cards_query, &out);
	if (r < 0) {
		say_failure(s, r, why);
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

const struct obs_gpu_source_ops obs_gpu_nvidia_smi = {
	.name = "nvidia-smi",
	.begin = open_smi,
	.read = read_smi,
	.close = close_smi,
};
