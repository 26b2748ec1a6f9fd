/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel.h - our programs and maps in the kernel: load, attach, feed, read.
 *
 * What a host allows is found by trying, best rung first; the answers go into
 * the model for doctor and /health. Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "obs/wire.h"
#include "pipeline/cursor.h"

struct bpf_object;
struct bpf_object_skeleton;
struct obs_kernel;

struct obs_kernel_options {
	bool bpf;		/* false: load nothing, say so */
	const char *file_write; /* "auto", or the one rung to try: "fexit", "sys_exit", "inotify" */
	uint64_t ring_bytes;	/* power of two, multiple of the page size */
	uint32_t payload_bytes; /* captured per record, ≤ OBS_PAYLOAD_MAX */
};

/**
 * obs_kernel_open() - load and attach what this host allows of what lines are made from.
 * @model: its probes are filled in, also on failure; they stay where they are
 * @ret:   owned by the caller; NULL when no BPF program can run (still success)
 *
 * Return: 0, or -ENOMEM.
 */
int obs_kernel_open(const struct obs_kernel_options *opt, struct obs_model *model,
		    struct obs_kernel **ret);
void obs_kernel_free(struct obs_kernel **k);

/** obs_kernel_complete() - the rest, which the first lines do without: who kills processes, and
 * io_uring's writes (until then, and where it is refused, files are looked at for these). */
void obs_kernel_complete(struct obs_kernel *k);

/** obs_kernel_ring_fd() - the ring buffer map, for obs_ring_new(). Borrowed. */
int obs_kernel_ring_fd(const struct obs_kernel *k);

/** obs_kernel_share_maps() - before @to is loaded: it gets our maps in place of its own of the
 * same names. Return: 0 or a negative errno. */
int obs_kernel_share_maps(const struct obs_kernel *k, struct bpf_object *to);

/** obs_kernel_watch() - after @skeleton was loaded: count the runs of its programs that are
 * skipped, and know them by name. obs_kernel_unwatch(): before it is destroyed. */
void obs_kernel_watch(struct obs_kernel *k, struct bpf_object_skeleton *skeleton);
void obs_kernel_unwatch(struct obs_kernel *k, const struct bpf_object_skeleton *skeleton);

/** obs_kernel_is_attached() - is the program of that name, of any object, attached for good? */
bool obs_kernel_is_attached(const struct obs_kernel *k, const char *program);

/** obs_kernel_attach_again() - take it off its hook and put it there anew; what passes in between
 * is not seen. Return: 0, -ENOENT (there is none of that name), or why it could not be attached;
 * it is not attached then. */
int obs_kernel_attach_again(struct obs_kernel *k, const char *program);

/** obs_kernel_missed() - runs of all programs that the kernel skipped, since load (missed.h).
 * Grows. @model: its programs are set. */
uint64_t obs_kernel_missed(struct obs_kernel *k, struct obs_model *model);

/** obs_kernel_late_cpu_ns() - CPU time of processes of @slot that was known only after their exit
 * record. Grows; survives the node that the slot belonged to. */
uint64_t obs_kernel_late_cpu_ns(const struct obs_kernel *k, uint32_t slot);

/** obs_kernel_control() - the page shared with the programs. Borrowed. */
struct obs_control *obs_kernel_control(struct obs_kernel *k);

/** obs_kernel_add_process() - process @tgid belongs to node @slot. Return: 0 or negative errno. */
int obs_kernel_add_process(struct obs_kernel *k, uint32_t tgid, uint32_t slot);
int obs_kernel_drop_process(struct obs_kernel *k, uint32_t tgid);

/** obs_kernel_tick() - once a second: forget which answers about processes and files are recent, so
 * that one that crossed a change does not stay. */
void obs_kernel_tick(struct obs_kernel *k);

/** obs_kernel_add_cgroup() - what execs in cgroup v2 @id joins node @slot. */
int obs_kernel_add_cgroup(struct obs_kernel *k, uint64_t id, uint32_t slot);
int obs_kernel_drop_cgroup(struct obs_kernel *k, uint64_t id);

/** obs_kernel_judge() - follow or ignore writes to @file; also clears its dirty mark. */
int obs_kernel_judge(struct obs_kernel *k, const struct obs_file_id *file,
		     enum obs_verdict verdict);

/** obs_kernel_has_forgotten() - had the kernel no verdict on @file when it was written to last? */
bool obs_kernel_has_forgotten(struct obs_kernel *k, const struct obs_file_id *file);

/** obs_kernel_forget() - the next write to @file announces it anew. */
int obs_kernel_forget(struct obs_kernel *k, const struct obs_file_id *file);

/**
 * obs_kernel_identify() - the kernel's identity of the file behind our descriptor @fd.
 * @k: may be NULL: then stat(2) and FS_IOC_GETVERSION answer
 *
 * Return: 0, or a negative errno.
 */
int obs_kernel_identify(struct obs_kernel *k, int fd, struct obs_file_id *ret);

/** obs_kernel_lost_bytes() - of consoles of @slot, not captured. Grows; survives the node that the
 * slot belonged to. */
uint64_t obs_kernel_lost_bytes(const struct obs_kernel *k, uint32_t slot);

/** obs_kernel_read_drops() - copy the drop counters into the model. */
void obs_kernel_read_drops(struct obs_kernel *k, struct obs_model *model);
