/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * container.h - which container a process is in, and what its engine says of it.
 *
 * The cgroup path alone gives runtime and id, with no engine at all. Name, image
 * and labels are asked of Docker through its unix socket (libcurl on the event
 * loop, never blocking). Answers are untrusted: bounded and checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "util/counters.h"
#include "util/network.h"
#include "util/slice.h"

enum obs_runtime {
	OBS_RUNTIME_NONE = 0, /* a plain process */
	OBS_RUNTIME_DOCKER,
	OBS_RUNTIME_CONTAINERD,
	OBS_RUNTIME_CRIO,
	OBS_RUNTIME_PODMAN,
	OBS_RUNTIME_OTHER, /* a container by its cgroup, engine unknown */
};

#define OBS_CONTAINER_ID_LEN 64

struct obs_container_ref {
	enum obs_runtime runtime;
	char id[OBS_CONTAINER_ID_LEN + 1]; /* hex, lower case */
};

/* Labels are kept as "key=value". */
struct obs_container_info {
	char id[OBS_CONTAINER_ID_LEN + 1];
	char name[128];	 /* without the leading slash; "" = unknown */
	char image[256]; /* as the engine shows it */
	char log_path
		[512];	/* where the engine keeps the output, as the host sees it; "" = nowhere */
	bool log_local; /* … in the format of Docker's local driver */
	bool paused;
	bool running;
	char health[16]; /* "healthy", "unhealthy", "starting"; "" = it has no check */
	struct obs_network network;
	char **labels; /* n_labels entries, borrowed for the call */
	size_t n_labels;
};

/** obs_runtime_str() - "docker", "containerd", …, "process" for NONE. */
const char *obs_runtime_str(enum obs_runtime runtime);

/**
 * obs_cgroup_parse() - the container that a /proc/PID/cgroup text names.
 * @text: the whole file; untrusted
 *
 * Knows the shapes of cgroupfs and systemd drivers, v1, v2 and hybrid, of Docker,
 * containerd, CRI-O, podman and Kubernetes pods, also nested (the innermost container).
 * Kubernetes' cgroupfs driver and --cgroup-parent do not show the engine: OTHER. LXC and
 * nspawn, whose containers have names instead of ids, count as none.
 *
 * Return: 0, or -ENOENT when the process is in no container.
 */
int obs_cgroup_parse(struct obs_slice text, struct obs_container_ref *ret);

struct obs_containers;

/** typedef obs_container_fn - an answer; @err: 0, -ENOENT (no such container), -ETIMEDOUT,
 * -ECONNREFUSED (no engine), -EPROTO (nonsense). @info is NULL unless @err is 0; borrowed. */
typedef void (*obs_container_fn)(void *ctx, const char *id, int err,
				 const struct obs_container_info *info);

/**
 * obs_containers_open() - start asking the engine behind @socket_path.
 * @on_change: called, unasked, when a container starts, is renamed, paused, unpaused or dies
 *             (from the engine's event stream, which is reconnected with backoff and then
 *             asked for what happened meanwhile). @err as for an answer: -ENOENT when the
 *             container is removed, -ECANCELED from obs_containers_free()
 *
 * Return: 0 even when no engine answers yet; -ENOMEM.
 */
int obs_containers_open(uv_loop_t *loop, const char *socket_path, struct obs_counters *counters,
			obs_container_fn on_change, void *ctx, struct obs_containers **ret);

/**
 * obs_containers_ask() - look up one container; @done is called exactly once, within
 * @timeout_ms, never from inside this call. It may ask again, and may free @c.
 * @id: 64 lower-case hex digits, as obs_cgroup_parse() gives them
 *
 * Return: 0; -EINVAL (not an id), -EAGAIN (1024 questions are open), -ENOMEM, -ECANCELED (being
 * freed): @done is not called then.
 */
int obs_containers_ask(struct obs_containers *c, const char *id, unsigned timeout_ms,
		       obs_container_fn done, void *ctx);

/** obs_containers_ok() - does the engine answer? For doctor and /health. */
bool obs_containers_ok(const struct obs_containers *c);

/** obs_containers_free() - cancel everything (done callbacks get -ECANCELED); the loop must
 * run once more for the handles to close. */
void obs_containers_free(struct obs_containers **c);
