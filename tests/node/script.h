/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * script.h - the scenario that the look-alike plays: its format, and its text.
 *
 * One instruction a line; blank lines and lines that start with '#' are left out.
 *
 *   PLACE DELAY_MS TEXT         after DELAY_MS, one write(2) of TEXT and a newline
 *   burst N [RATE [BYTES]]      N numbered lines into swarm_launcher.log, one write(2) each,
 *                               BYTES long with the newline (default 120), at full speed or
 *                               RATE lines a second
 *   loop N [FROM] … end         the lines between, N times (0 = for ever); may be nested
 *   gate                        wait for the next SIGUSR1 at the launcher
 *   exit CODE | crash SIGNAL    the trainer ends so
 *   eat MIB                     the trainer takes memory and writes to all of it
 *   forks N [RATE]              the trainer starts N children that end at once, RATE a second
 *   spin MS                     the trainer computes, for so much CPU time
 *   hang_pipe                   the trainer writes into a pipe that nobody reads
 *   hang_port PORT              the trainer waits for an answer from 127.0.0.1:PORT
 *
 * PLACE says who writes where:
 *   file   trainer  logs/swarm_launcher.log          sh    launcher  stdout
 *   out    trainer  stdout                           yarn  server    logs/yarn.log
 *   err    trainer  stderr                           p2pd  p2pd      stdout (a socket)
 *   wandb  trainer  logs/wandb/offline-run-…/logs/debug.log
 *
 * TEXT knows \n \r \t \e \\ \xHH, a \c at the end (no newline follows), %{n} (the number of
 * the innermost loop's turn, counted from FROM) and %{time} (now, as Python prints it).
 *
 * Each process plays the whole script, waits all its delays and writes only its own lines.
 * So delays line the processes up, but a burst takes time in the trainer alone: put a gate
 * behind it where the order between processes matters.
 */
#pragma once

#include <stddef.h>

#define NODE_TEXT_MAX 65536

enum node_place {
	PLACE_FILE,
	PLACE_OUT,
	PLACE_ERR,
	PLACE_WANDB,
	PLACE_SH,
	PLACE_YARN,
	PLACE_P2PD,
	PLACE_MAX,
};

enum node_op_kind {
	OP_WRITE,
	OP_BURST,
	OP_LOOP,
	OP_END,
	OP_GATE,
	OP_EXIT,
	OP_CRASH,
	OP_EAT,
	OP_FORKS,
	OP_SPIN,
	OP_HANG_PIPE,
	OP_HANG_PORT,
};

struct node_op {
	enum node_op_kind kind;
	enum node_place place; /* OP_WRITE */
	unsigned delay_ms;     /* OP_WRITE */
	const char *text;      /* OP_WRITE; borrowed from the script, still escaped */
	unsigned long n;       /* lines, turns, exit code or signal */
	unsigned long rate;    /* OP_BURST: lines a second, 0 = full speed */
	unsigned long bytes;   /* OP_BURST: of one line; OP_LOOP: number of the first turn */
	size_t loop;	       /* OP_END: index of its loop; OP_LOOP: of its end */
};

struct node_script {
	struct node_op *ops; /* owned, n_ops entries */
	size_t n_ops;
};

/**
 * node_script_parse() - turn @text into instructions.
 * @text: changed, and kept by the result
 *
 * A mistake ends the program with a message that names the line.
 */
void node_script_parse(char *text, struct node_script *ret);

/**
 * node_text_expand() - what a write puts out.
 * @ret: NODE_TEXT_MAX bytes
 *
 * Return: its length in bytes.
 */
size_t node_text_expand(const char *text, unsigned long turn, char *ret);

/**
 * node_burst_line() - line @i (from 1) of a burst of @n.
 * @bytes: length with the newline, at least 96, at most NODE_TEXT_MAX
 *
 * Return: @bytes.
 */
size_t node_burst_line(unsigned long i, unsigned long n, size_t bytes, char *ret);

/** die() - print a message, with errno's text if it is set, and exit 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
