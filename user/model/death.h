/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * death.h - how a process ended, from what the kernel saw: one name, one cause in words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct obs_death {
	const char *role; /* "trainer", …; static */
	char comm[17];
	uint32_t pid;
	bool code_known;
	int wait_status;   /* as wait(2) */
	bool lives_on;	   /* the rest of its node does */
	const char *error; /* code of its last error, NULL = none; static */
	/* Of the last signal that ends a process unless handled; 0 = none was sent. */
	int signal, si_code;
	bool by_kernel;
	uint32_t sender_pid, sender_uid;
	char sender_comm[17];
	/* Memory ran out: for the host, or for a cgroup. */
	bool oom_host, oom_cgroup;
	uint64_t rss_bytes, limit_bytes, limit_used_bytes;
	char cgroup[81];
};

/** obs_death_signal() - the signal that it died of, or 0. */
int obs_death_signal(const struct obs_death *d);

/** obs_death_was_told() - it ended by itself after it had been asked to (SIGTERM and its like). */
bool obs_death_was_told(const struct obs_death *d);

/** obs_death_by_other() - some other process made it end. */
bool obs_death_by_other(const struct obs_death *d);

/** obs_death_name() - "oom_killed", "crashed", "trainer_gone" or "exited". */
const char *obs_death_name(const struct obs_death *d);

/** obs_death_cause() - one sentence without a full stop, into @out. */
void obs_death_cause(const struct obs_death *d, char *out, size_t size);
