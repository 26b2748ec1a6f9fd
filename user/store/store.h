/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - the outbox, the cursors and the history: one SQLite database (WAL).
 *
 * One writer (the event loop's thread) owns an obs_store. Events of one drain
 * and the cursors that produced them go in with one transaction, as one chunk of
 * zstd-compressed JSON lines. Readers (delivery thread, commands) open their own
 * obs_store_reader on the same directory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/cursor.h"
#include "pipeline/event.h"
#include "util/buf.h"
#include "util/counters.h"

/* What may wait for a commit that fails (a full disk), compressed; the default. */
#define OBS_STORE_PENDING_BYTES ((size_t)64 << 20)

struct obs_store;
struct obs_store_reader;

struct obs_store_options {
	const char *dir;     /* state directory, created 0700 when missing; borrowed during open */
	uint64_t max_bytes;  /* compressed chunk bytes kept; 0 = no limit */
	uint64_t max_age_s;  /* since an event was stored, seconds; 0 = no limit */
	bool replace_broken; /* a broken database is renamed and a fresh one made */
	uint64_t pending_bytes; /* may wait for a commit, compressed; 0 = OBS_STORE_PENDING_BYTES */
	struct obs_counters *counters; /* borrowed, outlives the store */
};

struct obs_store_stats {
	uint64_t first_seq;  /* oldest event kept; 0 = none */
	uint64_t last_seq;   /* newest event committed, kept or not; 0 = none ever */
	uint64_t bytes;	     /* compressed chunk bytes kept */
	uint64_t created_ns; /* CLOCK_REALTIME when this store was first made */
};

/**
 * obs_store_open() - open or create the store and take its lock.
 * @opt:     borrowed
 * @ret_pid: on -EBUSY, the pid of the observer that holds it (0 if unknown); may be NULL
 * @ret:     on success, owned by the caller
 *
 * Return: 0 (see obs_store_aside()), -EBUSY when another observer holds the store, -EUCLEAN when the database is
 * broken, -EPROTO when it was written by a newer version, -EAGAIN when another program has the
 * database locked, -EOPNOTSUPP on a file system that cannot have a WAL, -ENOMEM, or a negative
 * errno.
 */
int obs_store_open(const struct obs_store_options *opt, int *ret_pid, struct obs_store **ret);

/** obs_store_free() - commit what is pending, close, and set *@s to NULL. */
void obs_store_free(struct obs_store **s);

/**
 * obs_store_push() - add one formatted event to the pending chunk.
 * @type:    the event's family
 * @name:    details.event; only for the history index; borrowed
 * @wall_ns: the event's time
 * @json:    the line without newline; copied
 *
 * A chunk that reaches 1,000 events or 1 MiB is sealed; sealing does not commit.
 *
 * Return: 0, -ENOMEM, -EMSGSIZE for a line over 1 MiB, -EINVAL for an empty one or one with
 * a newline in it, -ENOBUFS when pending_bytes wait for a commit.
 */
int obs_store_push(struct obs_store *s, enum obs_event_type type, const char *name,
		   uint64_t wall_ns, struct obs_slice json);

/** obs_store_put_cursor() - remember @c with the next commit. Return: 0, -ENOMEM, -ENOBUFS. */
int obs_store_put_cursor(struct obs_store *s, const struct obs_cursor *c);

/** obs_store_drop_cursor() - forget the cursor of @file with the next commit. */
int obs_store_drop_cursor(struct obs_store *s, const struct obs_file_id *file);

/**
 * obs_store_prune_cursors() - forget committed cursors of files last seen before @wall_ns.
 *
 * Not soon after a start: files are found, and their cursors made fresh, by and by.
 *
 * Return: 0, or a negative errno; to be tried again.
 */
int obs_store_prune_cursors(struct obs_store *s, uint64_t wall_ns);

/**
 * obs_store_prune_states() - the same for committed states of consoles, which were put before
 * @wall_ns: their owners put them again once a day. "console/…" each by itself; "heard/ID/…" (ID:
 * 12 letters) all with "heard/ID".
 *
 * Return: as obs_store_prune_cursors().
 */
int obs_store_prune_states(struct obs_store *s, uint64_t wall_ns);

#define OBS_NODE_STATES_MAX 2048

/**
 * obs_store_prune_nodes() - the same for committed states of nodes ("peers/…", "life/…",
 * "conditions/…"), which are put again and again as long as the node is there: those put longer ago
 * than the store's age limit go, and the oldest of more than OBS_NODE_STATES_MAX.
 *
 * Return: as obs_store_prune_cursors().
 */
int obs_store_prune_nodes(struct obs_store *s);

/**
 * obs_store_get_cursor() - the newest cursor of @file: the one that waits for the next commit
 * with its events, else the committed one.
 *
 * Return: 0, -ENOENT, or a negative errno.
 */
int obs_store_get_cursor(struct obs_store *s, const struct obs_file_id *file,
			 struct obs_cursor *ret);

/**
 * obs_store_each_cursor() - the cursors of files that had the name @path: those that wait for the
 * next commit, then the committed ones, newest first, at most 64.
 *
 * Return: 0 or a negative errno.
 */
int obs_store_each_cursor(struct obs_store *s, const char *path,
			  void (*fn)(void *ctx, const struct obs_cursor *c), void *ctx);

/**
 * obs_store_put_state() - remember what a stage goes on with after a restart, with the next
 * commit: together with the events and cursors that led to it. Both are copied.
 *
 * Return: 0, -ENOMEM, -ENOBUFS.
 */
int obs_store_put_state(struct obs_store *s, const char *name, struct obs_slice body);

/** obs_store_get_state() - append what was last committed. Return: 0, -ENOENT, or an errno. */
int obs_store_get_state(struct obs_store *s, const char *name, struct obs_buf *out);

/**
 * obs_store_put_window() - keep the counts and values of one node and window, with the next
 * commit. Kept for a day (windows of 1 min), a week (5 min), 90 days (1 h).
 * @json: one line
 *
 * Return: 0, -EINVAL, -ENOMEM, -ENOBUFS.
 */
int obs_store_put_window(struct obs_store *s, uint64_t length_s, uint64_t start_s,
			 struct obs_slice node, struct obs_slice json);

/**
 * obs_store_commit() - write pending events, cursors and sink positions in one
 * transaction; then evict past the limits (counted).
 *
 * On failure everything stays pending and the next call tries again. Costs nothing when there
 * is nothing to do, so it may be called on a timer to let old events go.
 *
 * Return: 0, 1 when the database turned out to be broken and a fresh one took its place (see
 * obs_store_aside()), or a negative errno (-ENOSPC, -EIO, -EUCLEAN, …).
 */
int obs_store_commit(struct obs_store *s);

/** obs_store_pending() - events pushed and not yet committed. */
size_t obs_store_pending(const struct obs_store *s);

/**
 * obs_store_aside() - the name, in the state directory, that a broken database got; "" when
 * none broke since the store was opened. Borrowed.
 *
 * With the database all cursors are gone, also those that waited: the owner reads its files
 * again, from the start those that are younger than created_ns, which is kept.
 */
const char *obs_store_aside(const struct obs_store *s);

/**
 * obs_store_replace() - somebody else found the database broken: what a commit does by itself
 * when it finds that. Return: 1, or a negative errno.
 */
int obs_store_replace(struct obs_store *s);

/** obs_store_is_filling() - does half of what may wait for a commit wait already? */
bool obs_store_is_filling(const struct obs_store *s);

/**
 * obs_store_set_position() - sink @sink has delivered all events up to and with @seq.
 * Written with the next commit.
 *
 * The first call registers the sink for this run, also with the position it had: from then on
 * an event evicted before the sink has it counts as lost.
 *
 * Return: 0, -EINVAL for an empty name or one over 31 bytes, -ENOSPC past 64 sinks.
 */
int obs_store_set_position(struct obs_store *s, const char *sink, uint64_t seq);

/** obs_store_get_position() - last delivered seq of @sink; 0 when it never delivered. */
uint64_t obs_store_get_position(struct obs_store *s, const char *sink);

/** obs_store_get_stats() - what the store holds now; cheap, from memory. */
void obs_store_get_stats(const struct obs_store *s, struct obs_store_stats *ret);

/**
 * obs_store_reader_open() - a read-only view for another thread or process.
 * @dir: the state directory
 *
 * Return: 0, -ENOENT when there is no store, or a negative errno.
 */
int obs_store_reader_open(const char *dir, struct obs_store_reader **ret);

/** obs_store_reader_free() - close, and set *@r to NULL. */
void obs_store_reader_free(struct obs_store_reader **r);

/** obs_store_reader_id() - a random number that this store got when it was made. */
uint64_t obs_store_reader_id(const struct obs_store_reader *r);

/**
 * obs_store_reader_windows() - call @fn with the JSON of every window of @length_s that starts
 * at @from_s or later, oldest first.
 *
 * Return: 0, or a negative errno.
 */
int obs_store_reader_windows(struct obs_store_reader *r, uint64_t length_s, uint64_t from_s,
			     void (*fn)(void *ctx, struct obs_slice json), void *ctx);

/* One event handed out by a reader. */
struct obs_store_item {
	uint64_t seq;
	struct obs_slice json; /* borrowed until the next call on the reader */
};

/**
 * obs_store_reader_next() - the first event with seq > @after.
 * @ret: valid until the next call
 *
 * Sequential calls decompress each chunk once, and asking for the same event again is cheap.
 * Evicted events, and chunks that the disk has damaged, are jumped over: the seq tells.
 *
 * Return: 1 when there is one, 0 when there is none yet, or a negative errno.
 */
int obs_store_reader_next(struct obs_store_reader *r, uint64_t after, struct obs_store_item *ret);
