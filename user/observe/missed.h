/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * missed.h - runs of our BPF programs that the kernel skipped.
 *
 * A BPF program that is preempted is not entered a second time on its CPU: another task that
 * comes by the hook meanwhile goes on unseen, and the kernel only counts that
 * (bpf_prog_inc_misses_counter() in kernel/bpf/trampoline.c and kernel/trace/bpf_trace.c;
 * recursion_misses of struct bpf_prog_info, since 5.12). fexit programs on preemptible kernels
 * meet it under load. What was skipped is found out there: the files are read, processes and
 * connections looked for.
 */
#pragma once

#include <stdint.h>

struct bpf_object;
struct obs_model;

struct obs_missed;

/** obs_missed_new() - Return: owned by the caller, or NULL without memory. */
struct obs_missed *obs_missed_new(void);
void obs_missed_free(struct obs_missed **m);

/** obs_missed_watch() - from now on count the programs of @obj, which is loaded. It may be closed
 * before @m. Programs past OBS_PROGRAMS_MAX are not counted. */
void obs_missed_watch(struct obs_missed *m, const struct bpf_object *obj);

/** obs_missed_read() - ask the kernel; a system call per program.
 * @model: its programs are set. Return: skipped runs of all programs since they were loaded. */
uint64_t obs_missed_read(struct obs_missed *m, struct obs_model *model);
