/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ways.h - one awkward writer each. A way writes BLOCKS blocks of lines to a file of its own,
 * all of them, by one means; what stands in the file afterwards is what an observer must have
 * told, each line once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LINE_BYTES  64
#define BLOCK_BYTES 4096 /* a multiple of any logical block size, for O_DIRECT */
#define BLOCKS	    3
#define ALL_BYTES   (BLOCKS * BLOCK_BYTES)
#define PATH_BYTES  512

/* How the lines of a way come to an observer. */
enum how {
	TOLD,	/* captured, or told of by a mark: without a look at the file */
	CAUGHT, /* captured at the write, every one, where the rung has a payload */
	FOUND,	/* found by looking only */
};

/* What a way is given. */
struct job {
	const char *name;
	char path[PATH_BYTES];
	int fd;		  /* of path, O_RDWR, no O_APPEND, at its start */
	const char *text; /* ALL_BYTES of lines, page-aligned */
};

struct way {
	const char *name;
	/* 0, or -1 with errno; ENOSYS, EOPNOTSUPP, EINVAL, EPERM: not to be had here */
	int (*run)(const struct job *j);
	enum how how;
	bool keep; /* goes on with the file of an earlier way of that name */
};

/* Tables, each ended by an empty row. */
extern const struct way calls[], rings[], sharers[], memories[];

/* Not to a file but to descriptor 1; FOUND: no probe sees the bytes, and nothing keeps them. */
extern const struct way consoles[];

/** by_ring_write(), by_ring_splice() - ways that are in more than one table. */
int by_ring_write(const struct job *j);
int by_ring_splice(const struct job *j);

/** write_all() - write(2) all of @n bytes in writes of @step. Return: 0 or -1. */
int write_all(int fd, const char *p, size_t n, size_t step);

/** write_want() - save what the file's lines were, as PATH.want: the truth where the file is not. */
int write_want(const struct job *j, const char *p, size_t n);

/** await() - wait for a child. Return: 0 if it exited with 0 (or @signal killed it), else -1. */
int await(int pid, int signal);

/**
 * check() - compare the logs under @dir with @events, JSON lines.
 * @argv: "-c" first: lines of CAUGHT ways must have been captured; then names, none = all
 *
 * Return: exit status.
 */
int check(const char *dir, const char *events, int argc, char **argv);
