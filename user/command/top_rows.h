/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * top_rows.h - the table of `top`: rows from an answer of /api/v1/nodes, their order, their text.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"

enum obs_top_sort {
	OBS_TOP_TROUBLE, /* those that need somebody first */
	OBS_TOP_NAME,
	OBS_TOP_FOR,
	OBS_TOP_CPU,
	OBS_TOP_MEMORY,
	OBS_TOP_GPU,
	OBS_TOP_EVENTS,
	OBS_TOP_ERRORS,
	OBS_TOP_SORTS,
};

/* NAN: not known. */
struct obs_top_row {
	char name[160], id[16], state[32], sub[32], earning[16];
	char reason[400]; /* the sentence about earning */
	double for_s, round, cpu_percent, memory_bytes, gpu_bytes, peers, events, errors;
	double events_per_s;
	int trouble;  /* 0 = none */
	double order; /* of the sort; larger ones first */
};

struct obs_top_rows {
	struct obs_top_row *rows; /* owned */
	size_t n;
};

/* What a table is made for; all zero: a pipe. */
struct obs_top_view {
	bool live; /* a terminal's screen: a head line, cut to what fits */
	bool colours;
	unsigned columns, lines;
	enum obs_top_sort sort;
	double silent_s; /* since the last answer; 0 = it is new */
};

/**
 * obs_top_rows_read() - replace the rows by those of an answer.
 * @since_ns: the rows before are so old: what events per second are made from; 0 = none
 *
 * Return: 0, -EBADMSG when it is no such answer, -ENOMEM.
 */
int obs_top_rows_read(struct obs_top_rows *rows, const cJSON *answer, uint64_t since_ns);
void obs_top_rows_sort(struct obs_top_rows *rows, enum obs_top_sort sort);
void obs_top_rows_free(struct obs_top_rows *rows);

/** obs_top_format() - the table as text, with terminal sequences only if the view is live. */
void obs_top_format(const struct obs_top_rows *rows, const struct obs_top_view *view,
		    struct obs_buf *out);

/** obs_top_sort_by_name() - of --sort; obs_top_sort_by_key() - of a key pressed. */
bool obs_top_sort_by_name(const char *name, enum obs_top_sort *ret);
bool obs_top_sort_by_key(char key, enum obs_top_sort *ret);
