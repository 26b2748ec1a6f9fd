/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - one file or console of a node: bytes in order, each exactly once.
 *
 * For a file the cursor is the promise: bytes before it have been given to the
 * parser, bytes behind it stand in the file. A captured write that starts at the
 * cursor moves it on; anything else is read back from the file. Consoles have
 * nothing behind them: what is captured is all there is.
 * Belongs to the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/kept.h"
#include "parse/parse.h"
#include "pipeline/cursor.h"
#include "stream/assembly.h"
#include "util/counters.h"

struct obs_stream;
struct obs_heard;

enum obs_stream_kind { OBS_STREAM_FILE, OBS_STREAM_CONSOLE };

/* How a captured write differs from the plain case. */
enum obs_chunk_flags {
	OBS_CHUNK_SHARED = 1,	 /* offset and payload may be another writer's: prefer the file */
	OBS_CHUNK_NO_OFFSET = 2, /* something was written, nobody knows where: look */
};

/* One captured write. */
struct obs_chunk {
	struct obs_slice payload; /* its first bytes, maybe none; borrowed */
	uint64_t offset;	  /* in the file; ignored for consoles */
	uint64_t len;		  /* bytes written, payload or not */
	uint32_t flags;		  /* enum obs_chunk_flags */
	uint64_t boot_ns;	  /* CLOCK_BOOTTIME of the write */
	uint64_t wall_ns;	  /* the same in CLOCK_REALTIME */
	uint32_t pid;
	uint32_t lost; /* consoles: grew since the write before? Then something is missing */
	char comm[16];
};

struct obs_stream_options {
	size_t line_bytes;
	size_t slice_bytes; /* read by one catch_up; 0 = 8 MiB */
	/* Borrowed, may be NULL. While it is true, nothing is taken out of files: that there is
	 * more is noted, and catch_up goes on once it is false. Consoles cannot wait. */
	const bool *paused;
	struct obs_assembly *assembly; /* of the lines of all streams; borrowed, may be NULL */
	bool captured;		       /* writes of files with an owner are told of by records */
	struct obs_counters *counters;
	struct obs_parser_options parser; /* of every stream; its zone is set per stream */
	/* An event of @s; ev's id and origin are to be filled in. */
	void (*on_event)(void *ctx, struct obs_stream *s, struct obs_event *ev,
			 const struct obs_line *first);
	void *ctx;
};

/* Where a file without a cursor starts. */
struct obs_stream_start {
	bool from_zero;	    /* the file is younger than our store */
	int64_t tail_lines; /* else: its last lines; 0 or negative = all */
	/* A captured write of it is on its way and will tell how far it reaches. */
	bool told;
	/* An engine keeps a container's output in it: its lines are the console's. */
	enum obs_kept_format kept;
};

/**
 * obs_stream_new_file() - follow a file.
 * @fd:     our own descriptor, owned from here on; -1 = cannot be read, payload only
 * @path:   as the node sees it; copied
 * @cursor: the committed one, or NULL; checked against the file's size and tail hash: if it
 *          does not fit, the file was replaced in place and is read from its start
 * @start:  used when @cursor is NULL
 * @owner:  the caller's, see obs_stream_owner()
 *
 * Reads nothing yet: the backlog is read by obs_stream_catch_up().
 *
 * Return: 0 or -ENOMEM (@fd is closed then too).
 */
int obs_stream_new_file(const struct obs_stream_options *opt, const struct obs_file_id *id, int fd,
			const char *path, const struct obs_cursor *cursor,
			const struct obs_stream_start *start, void *owner, struct obs_stream **ret);

/** obs_stream_new_console() - follow descriptor @fd of process @pid. */
int obs_stream_new_console(const struct obs_stream_options *opt, uint32_t pid, int fd, void *owner,
			   struct obs_stream **ret);

/** obs_stream_set_zone() - of times in its lines that name none; owned from here on, may be
 * NULL. Before the first line. */
void obs_stream_set_zone(struct obs_stream *s, struct obs_zone *zone);

/** obs_stream_take_zone() - it, to be given to another stream; this one's end is near. */
struct obs_zone *obs_stream_take_zone(struct obs_stream *s);

/** obs_stream_free() - close; bytes of a record without an end are not emitted. */
void obs_stream_free(struct obs_stream **s);

/** obs_stream_write() - a captured write. */
void obs_stream_write(struct obs_stream *s, const struct obs_chunk *chunk);

/**
 * obs_stream_catch_up() - read on from the file, at most slice_bytes.
 * @to_end: whatever stands there, else only what is known to be due
 *
 * Return: true when there is more to read.
 */
bool obs_stream_catch_up(struct obs_stream *s, bool to_end);

/**
 * obs_stream_sweep() - once a second: has the file been cut, or has it grown behind our back?
 *
 * Growth is read only when it was there at the sweep before too: its record may still be on
 * its way. Of a file whose writes are not told of, also: was it written to in place, or emptied
 * and written again to the same length? Return: true when catch_up is due.
 */
bool obs_stream_sweep(struct obs_stream *s);

/* What is told of a file whose writes are not captured. */
enum obs_stream_signs { OBS_STREAM_MODIFIED = 1, OBS_STREAM_OPENED = 2 };

/** obs_stream_sign() - something was told; see obs_stream_sweep(). */
void obs_stream_sign(struct obs_stream *s, uint32_t signs);

/* Writes before the cursor: their lines had been taken, and are not emitted again. */
struct obs_rewrite {
	uint64_t writes;
	uint64_t offset, end; /* the lowest byte, and behind the highest */
	uint64_t wall_ns;     /* of the last one */
	uint32_t pid;	      /* its writer, 0 = not known; then where it wrote is not, either */
	char comm[16];
};

/** obs_stream_take_rewrites() - what was written so since the last call. Return: false = nothing. */
bool obs_stream_take_rewrites(struct obs_stream *s, struct obs_rewrite *ret);

/** obs_stream_lag() - bytes of the file that are not read yet; 0 for consoles. */
uint64_t obs_stream_lag(const struct obs_stream *s);

/** obs_stream_is_behind() - is the file known to reach further than was read? */
bool obs_stream_is_behind(const struct obs_stream *s);

/** obs_stream_silent() - nothing came for a while: emit what waits for more lines. Return: did it? */
bool obs_stream_silent(struct obs_stream *s, uint64_t now_boot_ns);

/** obs_stream_end() - the writer is gone: read the rest, emit the partial line too. */
void obs_stream_end(struct obs_stream *s);

/** obs_stream_offset() - bytes taken so far; of a file: where it has been read to. */
uint64_t obs_stream_offset(const struct obs_stream *s);

/** obs_stream_waits() - does a line, or record, wait for more? @ret_offset: of its first byte. */
bool obs_stream_waits(const struct obs_stream *s, uint64_t *ret_offset);

/** obs_stream_leave_behind() - does the file's name lead elsewhere now? Then its last line, when
 * nothing comes for a while, is taken as it is. */
void obs_stream_leave_behind(struct obs_stream *s, bool yes);

/** obs_stream_active_ns() - CLOCK_BOOTTIME of the last bytes. */
uint64_t obs_stream_active_ns(const struct obs_stream *s);

/**
 * obs_stream_take_cut() - was the file emptied since the last call?
 * @ret:      where it had been read to, and its bytes before that: a copy may hold the rest
 * @ret_lost: bytes behind that; counted as lost by the caller if no copy holds them
 */
bool obs_stream_take_cut(struct obs_stream *s, struct obs_cursor *ret, uint64_t *ret_lost);

/**
 * obs_stream_place() - where it has been read to, and the bytes before that: to find copies.
 * @former: before it was emptied last; tail_len is 0 when it never was
 */
void obs_stream_place(const struct obs_stream *s, bool former, struct obs_cursor *ret);

/** obs_stream_expect() - a captured write that is not given to it: the file reaches that far. */
void obs_stream_expect(struct obs_stream *s, const struct obs_chunk *chunk);

/**
 * obs_cursor_fits() - are the bytes before @c's offset in the file behind @fd those that it covers?
 */
bool obs_cursor_fits(const struct obs_cursor *c, int fd);

/**
 * obs_stream_cursor() - what to commit with the events emitted so far.
 *
 * Return: true when it differs from the last one handed out, or that was a day ago. Its owner is
 * for the caller to name.
 */
bool obs_stream_cursor(struct obs_stream *s, struct obs_cursor *ret);

/** obs_stream_set_heard() - of an engine's file: only lines that are not in there are taken.
 * Borrowed. */
void obs_stream_set_heard(struct obs_stream *s, struct obs_heard *heard);

/** obs_stream_read_wall_ns() - of an engine's file: when the engine read the line taken last. */
uint64_t obs_stream_read_wall_ns(const struct obs_stream *s);

/** obs_stream_done() - of an engine's file: all lines of descriptor @fd before this offset have
 * become events. The cursor stands where reading on finds the rest of both. */
uint64_t obs_stream_done(const struct obs_stream *s, int fd);

/** obs_stream_skip() - lines of descriptor @fd before @offset have become events already. */
void obs_stream_skip(struct obs_stream *s, int fd, uint64_t offset);

/** obs_stream_cursor_offset() - of the cursor that was handed out last. */
uint64_t obs_stream_cursor_offset(const struct obs_stream *s);

enum obs_stream_kind obs_stream_kind(const struct obs_stream *s);

/** obs_stream_kept() - does an engine keep a container's output in it? */
bool obs_stream_kept(const struct obs_stream *s);
const struct obs_file_id *obs_stream_file(const struct obs_stream *s);
uint32_t obs_stream_epoch(const struct obs_stream *s);
int obs_stream_fd(const struct obs_stream *s);
const char *obs_stream_path(const struct obs_stream *s);
void *obs_stream_owner(const struct obs_stream *s);
void obs_stream_set_owner(struct obs_stream *s, void *owner);
