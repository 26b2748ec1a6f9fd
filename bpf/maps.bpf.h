/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.bpf.h - the maps that all probes share.
 *
 * Each object declares them; the loader creates them once and hands the same
 * ones to every further object (bpf_map__reuse_fd). Sizes are set at load.
 */
#pragma once

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "obs/wire.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 * 1024 * 1024); /* bytes; limits.ring_bytes */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct obs_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OBS_PID_BITS / 64);
	__type(key, __u32); /* tgid / 64 */
	__type(value, __u64);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OBS_RECENT_MAX);
	__type(key, __u32);   /* tgid % OBS_RECENT_MAX */
	__type(value, __u64); /* tgid << 32 | target slot; 0 = nothing */
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OBS_TGIDS_MAX);
	__type(key, __u32); /* tgid, root PID namespace */
	__type(value, struct obs_target_value);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u64); /* cgroup v2 id of a target container */
	__type(value, struct obs_target_value);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, OBS_FILES_MAX);
	__type(key, struct obs_rec_file_id);
	__type(value, struct obs_file_value);
} files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, OBS_FOLLOWED_MAX);
	__type(key, __u32); /* ino % OBS_FOLLOWED_MAX */
	__type(value, struct obs_rec_file_id);
} followed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32); /* target slot */
	__type(value, struct obs_budget);
} budgets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OBS_TARGETS_MAX);
	__type(key, __u32); /* target slot */
	__type(value, struct obs_tcp_total);
} tcp_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OBS_DIALS_MAX);
	__type(key, __u32); /* thread % OBS_DIALS_MAX */
	__type(value, struct obs_dial);
} dialled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OBS_DROP_MAX);
	__type(key, __u32); /* enum obs_drop */
	__type(value, __u64);
} drops SEC(".maps");
