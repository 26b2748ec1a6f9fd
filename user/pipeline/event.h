/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - one observation, as every stage after the parser sees it.
 *
 * An event borrows all its text: it is valid only during the call that hands
 * it on. obs_event_format() turns it into the JSON line of docs/events.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/cursor.h"
#include "util/buf.h"
#include "util/slice.h"

#define OBS_EVENT_FIELDS_MAX 96

/* Coarse families. The bit number is stored in chunks: append, never renumber. */
enum obs_event_type {
	OBS_EVENT_LOG = 0,
	OBS_EVENT_TRAINING_PROGRESS = 1,
	OBS_EVENT_PEER = 2,
	OBS_EVENT_ERROR = 3,
	OBS_EVENT_AUTH = 4,
	OBS_EVENT_CHAIN = 5,
	OBS_EVENT_NODE_LIFECYCLE = 6,
	OBS_EVENT_DHT_SNAPSHOT = 7,
	OBS_EVENT_NODE_STATE = 8,
	OBS_EVENT_CONTAINER_SNAPSHOT = 9,
	OBS_EVENT_HARDWARE_SNAPSHOT = 10,
	OBS_EVENT_BLOCKCHAIN_SNAPSHOT = 11,
	OBS_EVENT_ALERT = 12,
	OBS_EVENT_OBSERVER = 13,
	OBS_EVENT_TYPE_MAX,
};

enum obs_via {
	OBS_VIA_NONE = 0,
	OBS_VIA_FILE,
	OBS_VIA_BACKFILL,
	OBS_VIA_CONSOLE,
	OBS_VIA_CONNECTION,
	OBS_VIA_P2PD,
	OBS_VIA_PROCESS,
	OBS_VIA_USAGE,
	OBS_VIA_HOST,
	OBS_VIA_CHAIN,
	OBS_VIA_ALERT,
};

enum obs_value_kind {
	OBS_VALUE_STR,	/* any bytes; escaped and made valid UTF-8 when formatted */
	OBS_VALUE_INT,	/* decimal string in JSON when |x| > 2^53 */
	OBS_VALUE_UINT, /* likewise */
	OBS_VALUE_REAL, /* finite; seconds, bytes, ratios */
	OBS_VALUE_BOOL,
	OBS_VALUE_NUMBER_TEXT, /* the node's own digits, already a valid JSON number */
	OBS_VALUE_LIST,	       /* JSON array of strings */
	OBS_VALUE_JSON,	       /* an object or array of our own making; not scrubbed */
};

struct obs_field {
	struct obs_slice key; /* borrowed; may come from hostile text (metric names) */
	enum obs_value_kind kind;
	union {
		struct obs_slice str; /* STR, NUMBER_TEXT, JSON */
		int64_t i;
		uint64_t u;
		double real;
		bool b;
		struct {
			const struct obs_slice *v; /* borrowed */
			size_t n;
		} list;
	};
};

struct obs_event_id {
	uint64_t hi, lo;
};

struct obs_origin {
	enum obs_via via;
	struct obs_slice container;    /* name without the leading slash */
	struct obs_slice container_id; /* first 12 hex digits */
	uint32_t pid;		       /* in the root PID namespace; 0 = unknown */
	struct obs_slice comm;
	struct obs_slice path; /* as the node sees it */
	uint64_t offset;       /* of the line's first byte; valid if has_offset */
	bool has_offset;
};

struct obs_event {
	struct obs_event_id id;
	enum obs_event_type type;
	uint64_t wall_ns;			 /* CLOCK_REALTIME, ns since 1970 */
	const char *name;			 /* details.event, static text */
	const char *code;			 /* details.code, static text; NULL = none */
	struct obs_slice level, logger, message; /* empty = omitted */
	bool time_from_log;			 /* details.time_source = "log" */
	bool truncated;				 /* details.truncated = true */
	unsigned n_fields;
	struct obs_field fields[OBS_EVENT_FIELDS_MAX];
	struct obs_origin origin;
};

struct obs_file_id;

/**
 * obs_event_id_file() - the id of the event that starts at @offset of a file.
 * @epoch: how often the file was cut below what was read (pipeline/cursor.h)
 *
 * The same node, file, epoch and offset give the same id, whenever and however it is read.
 */
struct obs_event_id obs_event_id_file(struct obs_slice node_id, const struct obs_file_id *file,
				      uint32_t epoch, uint64_t offset);

/**
 * obs_event_id_other() - the id of an event that has no file behind it.
 * @boot:   hash of the kernel's boot id
 * @source: number of the source within this boot (process and descriptor)
 * @boot_ns, @sequence: when, and which of several at that moment
 */
struct obs_event_id obs_event_id_other(struct obs_slice node_id, uint64_t boot, uint64_t source,
				       uint64_t boot_ns, uint64_t sequence);

/**
 * obs_event_type_str() - "training_progress", …
 * obs_via_str() - "file", …; "" for OBS_VIA_NONE.
 */
const char *obs_event_type_str(enum obs_event_type type);
const char *obs_via_str(enum obs_via via);

/**
 * obs_event_type_from_str() - the type called @name.
 *
 * Return: the type, or -EINVAL.
 */
int obs_event_type_from_str(struct obs_slice name);

/**
 * obs_event_get_str() - the text of the field @key in details.
 *
 * Return: borrowed from @ev; {} if it has no such field, or that is no text.
 */
struct obs_slice obs_event_get_str(const struct obs_event *ev, const char *key);

/** obs_event_tells_start() - has a process of a node begun? Which: its role and origin. */
bool obs_event_tells_start(const struct obs_event *ev);

/**
 * obs_event_add_str(), _int, _uint, _real, _bool, _number_text, _list, _json() - append one field
 * to details. @key is borrowed; so is _json's @v: valid JSON, without text that has to be scrubbed. A field past OBS_EVENT_FIELDS_MAX is not added.
 *
 * Return: 0, or -ENOSPC.
 */
int obs_event_add_str(struct obs_event *ev, const char *key, struct obs_slice v);
int obs_event_add_int(struct obs_event *ev, const char *key, int64_t v);
int obs_event_add_uint(struct obs_event *ev, const char *key, uint64_t v);
int obs_event_add_real(struct obs_event *ev, const char *key, double v);
int obs_event_add_bool(struct obs_event *ev, const char *key, bool v);
int obs_event_add_list(struct obs_event *ev, const char *key, const struct obs_slice *v, size_t n);
int obs_event_add_json(struct obs_event *ev, const char *key, struct obs_slice v);
int obs_event_add_number_text(struct obs_event *ev, struct obs_slice key, struct obs_slice digits);

/**
 * obs_event_format() - append the event as one JSON object, without a newline.
 * @ev:      borrowed
 * @node_id: borrowed
 * @out:     appended to; left as it was on failure
 *
 * Keys stand in the order of docs/events.md; unknown ones are omitted. All text is
 * made valid UTF-8 (U+FFFD for what is not), C0, C1, DEL, U+2028/9 are escaped.
 *
 * Return: 0, -EMSGSIZE when @out's ceiling is reached, -ENOMEM.
 */
int obs_event_format(const struct obs_event *ev, struct obs_slice node_id, struct obs_buf *out);
