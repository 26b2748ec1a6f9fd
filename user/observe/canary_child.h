/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * canary_child.h - what the canary's child does, so that each attached probe has something to see.
 *
 * It runs between fork and _exit in a process with threads: it makes system calls only.
 */
#pragma once

#include <stdbool.h>

/* What there is to see, each by one hook. */
enum obs_canary_sight {
	OBS_CANARY_FILE,     /* write(2) to a file */
	OBS_CANARY_PIECES,   /* writev(2) to it */
	OBS_CANARY_CONSOLE,  /* write(2) to a pipe that is standard output */
	OBS_CANARY_URING,    /* a write by io_uring, its result posted */
	OBS_CANARY_QUIET,    /* one whose result is not wanted */
	OBS_CANARY_FORK,     /* a process of its own */
	OBS_CANARY_EXEC,     /* that became another program */
	OBS_CANARY_KILL,     /* one that was sent a signal */
	OBS_CANARY_EXIT,     /* the child's own end */
	OBS_CANARY_ACCOUNT,  /* what it had used, once it was freed */
	OBS_CANARY_CGROUP,   /* a cgroup below the observer's own, made and removed */
	OBS_CANARY_CONNECT,  /* a TCP connection on the loopback */
	OBS_CANARY_P2PD,     /* a message on a socket that is called like p2pd's */
	OBS_CANARY_DATAGRAM, /* over UDP on the loopback, out and in */
	OBS_CANARY_CGROUPS,  /* not of the child: are the programs on nodes' cgroups still there? */
	OBS_CANARY_MAX,
};

/* By their length what it writes is told apart. */
#define OBS_CANARY_LINE	 "canary\n"
#define OBS_CANARY_PIECE "canary, "

struct obs_canary_job {
	const char *path;   /* of the file to write; emptied first */
	const char *socket; /* of the UNIX socket to make, which is removed */
	const char *cgroup; /* directory to make and remove; "" = none */
	unsigned wanted;    /* set of what to do, of 1 << enum obs_canary_sight */
	bool holds;	    /* the connection stays, and the child, until it is told to end */
};

/**
 * obs_canary_child() - wait for a byte, do all of it, say what was done.
 * @talk: the byte is read here, and the set of what was done written: an unsigned; where it holds,
 *        another byte, or the end, is read afterwards
 * @console: becomes its standard output
 */
__attribute__((noreturn)) void obs_canary_child(const struct obs_canary_job *job, int talk,
						int console);
