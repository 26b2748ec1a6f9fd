/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blocked.h - what a process that does nothing waits for: /proc/PID/{stat,syscall,wchan,fd,net}.
 *
 * A look at its main thread now; costs some ten system calls, so only once somebody is silent.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum obs_block_kind {
	OBS_BLOCK_NONE,	  /* it runs, or cannot be looked at */
	OBS_BLOCK_SIGNAL, /* stopped */
	OBS_BLOCK_PIPE,
	OBS_BLOCK_LOCK,	   /* a futex */
	OBS_BLOCK_DISK,	   /* uninterruptible */
	OBS_BLOCK_LOGIN,   /* a connection to port 3000 */
	OBS_BLOCK_CONTROL, /* a UNIX socket */
	OBS_BLOCK_REMOTE,  /* any other connection */
	OBS_BLOCK_SLEEP,   /* anything else */
	OBS_BLOCK_MAX,
};

struct obs_blocked {
	enum obs_block_kind kind;
	char words[200]; /* "in write(5) to pipe:[4711] (anon_pipe_write)" */
};

/** obs_blocked_read() - look. Always fills @ret. */
void obs_blocked_read(pid_t pid, struct obs_blocked *ret);

struct obs_proc_stat {
	char state;	    /* as in proc(5): R S D T t Z … */
	uint64_t cpu_ticks; /* user and system, all threads */
	uint64_t start_ticks;
};

/** obs_proc_stat_read() - Return: 0, or a negative errno. */
int obs_proc_stat_read(pid_t pid, struct obs_proc_stat *ret);
