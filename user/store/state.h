/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.h - the inside of a store, shared by store.c and commit.c only.
 */
#pragma once

#include <sqlite3.h>

#include "store/chunk.h"
#include "store/cursors.h"
#include "store/positions.h"
#include "store/store.h"
#include "store/windows.h"

/* Kept statements: {name, SQL}. */
/* clang-format off */
#define OBS_STORE_STATEMENTS(X) \
	X(begin,	"BEGIN IMMEDIATE") \
	X(commit,	"COMMIT") \
	X(rollback,	"ROLLBACK") \
	X(put_chunk,	"INSERT INTO chunks VALUES(?,?,?,?,?,?,?,?,?,?,?)") \
	X(put_index,	"INSERT INTO idx VALUES(?,?,?,?)") \
	X(put_cursor,	"INSERT OR REPLACE INTO cursors VALUES(?,?,?,?,?,?,?,?,?,?)") \
	X(drop_cursor,	"DELETE FROM cursors WHERE dev=? AND ino=? AND gen=?") \
	X(get_cursor,	"SELECT epoch, tail_len, offset, tail_hash, seen_ns, path, owner FROM cursors" \
			" WHERE dev=? AND ino=? AND gen=?") \
	X(put_position,	"INSERT OR REPLACE INTO sinks(position, name) VALUES(?,?)") \
	X(put_state,	"INSERT OR REPLACE INTO state(name, body, put_ns) VALUES(?1,?2,?3)") \
	X(drop_state,	"DELETE FROM state WHERE name=?1") \
	X(put_window,	"INSERT OR REPLACE INTO windows VALUES(?1,?2,?3,?4)") \
	X(trim_windows,	"DELETE FROM windows WHERE length_s=?1 AND start_s<?2") \
	X(put_meta,	"INSERT OR REPLACE INTO meta(value, key) VALUES(?,?)") \
	X(oldest,	"SELECT first_seq, last_seq, stored_ns, end_bytes - length(body)" \
			" FROM chunks ORDER BY first_seq LIMIT 1") \
	X(drop_chunk,	"DELETE FROM chunks WHERE first_seq=?") \
	X(drop_index,	"DELETE FROM idx WHERE seq BETWEEN ? AND ?")
/* clang-format on */

enum obs_store_statement {
#define X(name, sql) OBS_STORE_##name,
	OBS_STORE_STATEMENTS(X)
#undef X
		OBS_STORE_STATEMENTS_MAX,
};

/* What the chunks table holds. */
struct obs_store_span {
	uint64_t first_seq, first_last_seq; /* of the oldest chunk; 0 = no chunks */
	uint64_t first_stored_ns;
	uint64_t start_bytes, end_bytes; /* running totals before the oldest, after the newest */
	uint64_t last_seq;		 /* newest event ever committed */
};

struct obs_store {
	sqlite3 *db;	/* NULL: the old one was set aside, and the new one could not be made yet */
	char *dir;	/* owned */
	char aside[80]; /* name that the broken database got; "" = none broke */
	bool replace_broken;
	sqlite3_stmt *stmt[OBS_STORE_STATEMENTS_MAX];
	int lock_fd;
	uint64_t max_bytes;  /* 0 = no limit */
	uint64_t max_age_ns; /* 0 = no limit */
	size_t max_pending_bytes;
	uint64_t created_ns;
	struct obs_counters *counters; /* borrowed */

	struct obs_store_span span; /* committed */
	struct obs_positions positions;
	struct obs_small_rows small; /* pending states and windows */

	/* Pending: */
	struct obs_pending_cursors cursors;
	struct obs_chunk *sealed, **sealed_end; /* list, oldest first */
	size_t sealed_bytes;
	struct obs_chunk_builder open;
	uint64_t next_seq; /* of the next event pushed */
};

/** obs_store_seal() - compress the open chunk, if any, onto the list. Return: 0 or -ENOMEM. */
int obs_store_seal(struct obs_store *s);

/** obs_store_open_database() - open, check and load what stands in s->dir. */
int obs_store_open_database(struct obs_store *s);
void obs_store_close_database(struct obs_store *s);

/**
 * obs_store_set_aside() - close the broken database and rename it, keep what no file holds.
 *
 * Return: 0, or a negative errno (-EROFS, …): it is still there then, and closed.
 */
int obs_store_set_aside(struct obs_store *s);

/** obs_store_keep_pending() - of what waits for a commit, keep what no file holds. */
int obs_store_keep_pending(struct obs_store *s);

/** obs_store_start_fresh() - after that: make the new one. May be tried again. */
int obs_store_start_fresh(struct obs_store *s);

/** obs_store_load_oldest() - read the oldest chunk's row into @span. Return: 0 or an errno. */
int obs_store_load_oldest(struct obs_store *s, struct obs_store_span *span);
