// SPDX-License-Identifier: BSD-2-Clause
/* windows.c - see windows.h; the calls of store.h on states and windows too. */
#include "store/windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/clock.h"

/* How long windows of each length are kept, and how many rows that is per node at most:
 * 1,440 + 2,016 + 2,160. */
static const struct {
	uint64_t length_s, keep_s;
} kept[] = { { 60, 24 * 3600 }, { 300, 7 * 24 * 3600 }, { 3600, 90 * 24 * 3600 } };

static void drop_same(struct obs_small_rows *rows, const struct obs_small_row *row)
{
	for (struct obs_small_row **p = &rows->first; *p; p = &(*p)->next) {
		struct obs_small_row *old = *p;

		if (old->length_s != row->length_s || old->start_s != row->start_s ||
		    strcmp(old->name, row->name) != 0)
			continue;
		*p = old->next;
		free(old);
		rows->n--;
		return;
	}
}

int obs_small_rows_push(struct obs_small_rows *rows, uint64_t length_s, uint64_t start_s,
			struct obs_slice name, struct obs_slice body)
{
	struct obs_small_row *row;
	char *text;

	if (rows->n >= OBS_SMALL_ROWS_MAX)
		return -ENOBUFS;
	row = malloc(sizeof(*row) + name.len + 1 + body.len);
	if (!row)
		return -ENOMEM;
	text = (char *)(row + 1);
	*row = (struct obs_small_row){ .length_s = length_s, .start_s = start_s, .name = text };
	if (name.len)
		memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	row->body = obs_slice(text + name.len + 1, body.len);
	if (body.len)
		memcpy(text + name.len + 1, body.p, body.len);
	drop_same(rows, row);
	row->next = rows->first;
	rows->first = row;
	rows->n++;
	return 0;
}

void obs_small_rows_free(struct obs_small_rows *rows)
{
	while (rows->first) {
		struct obs_small_row *row = rows->first;

		rows->first = row->next;
		free(row);
	}
	rows->n = 0;
}

static int drop_state(struct obs_store *s, const struct obs_small_row *row)
{
	sqlite3_stmt *stmt = s->stmt[OBS_STORE_drop_state];

	sqlite3_bind_text(stmt, 1, row->name, -1, SQLITE_STATIC);
	return obs_sql_run(stmt, NULL, 0);
}

static void bind_state(sqlite3_stmt *stmt, const struct obs_small_row *row, uint64_t now_ns)
{
	sqlite3_bind_blob(stmt, 2, row->body.p, (int)row->body.len, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, (int64_t)now_ns);
}

static int put_row(struct obs_store *s, const struct obs_small_row *row, uint64_t now_ns)
{
	const int64_t key[] = { (int64_t)row->length_s, (int64_t)row->start_s };
	sqlite3_stmt *stmt = s->stmt[row->length_s ? OBS_STORE_put_window : OBS_STORE_put_state];
	int name_at = row->length_s ? 3 : 1;

	sqlite3_bind_text(stmt, name_at, row->name, -1, SQLITE_STATIC);
	if (row->length_s)
		sqlite3_bind_text(stmt, 4, row->body.p, (int)row->body.len, SQLITE_STATIC);
	else
		bind_state(stmt, row, now_ns);
	return obs_sql_run(stmt, key, row->length_s ? 2 : 0);
}

/* At most once per window that is written, which is once a minute. */
static int trim(struct obs_store *s, uint64_t now_ns)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(kept); i++) {
		const int64_t v[] = { (int64_t)kept[i].length_s,
				      (int64_t)(now_ns / OBS_NS_PER_S - kept[i].keep_s) };

		r = obs_sql_run(s->stmt[OBS_STORE_trim_windows], v, 2);
	}
	return r;
}

int obs_small_rows_put(struct obs_store *s, uint64_t now_ns)
{
	bool any_window = false;
	int r = 0;

	for (const struct obs_small_row *row = s->small.first; r == 0 && row; row = row->next) {
		r = row->length_s == 0 && row->body.len == 0 ? drop_state(s, row)
							     : put_row(s, row, now_ns);
		any_window |= row->length_s != 0;
	}
	return r == 0 && any_window ? trim(s, now_ns) : r;
}

int obs_store_put_state(struct obs_store *s, const char *name, struct obs_slice body)
{
	return obs_small_rows_push(&s->small, 0, 0, obs_slice_str(name), body);
}

int obs_store_put_window(struct obs_store *s, uint64_t length_s, uint64_t start_s,
			 struct obs_slice node, struct obs_slice json)
{
	if (!length_s)
		return -EINVAL;
	return obs_small_rows_push(&s->small, length_s, start_s, node, json);
}

int obs_store_get_state(struct obs_store *s, const char *name, struct obs_buf *out)
{
	cleanup_stmt sqlite3_stmt *stmt = NULL;
	int r;

	if (!s->db)
		return -ENOENT;
	r = obs_sql_prepare(s->db, "SELECT body FROM state WHERE name=?1", &stmt);
	if (r < 0)
		return r;
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	r = obs_sql_step(stmt);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return obs_buf_push(out, sqlite3_column_blob(stmt, 0),
			    (size_t)sqlite3_column_bytes(stmt, 0));
}
