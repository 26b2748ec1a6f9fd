/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.h - one row per config key, and the types of their values.
 *
 * Only config/ and check-config include this; every other part reads struct
 * obs_config. A row either sets a field of that struct (offset), is kept in
 * `extra` for a part that does not exist yet (offset < 0), or is another name
 * for a row further up (alias).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "util/buf.h"

enum obs_key_type {
	OBS_KEY_STRING,
	OBS_KEY_URL,
	OBS_KEY_LISTEN,
	OBS_KEY_CHOICE,	 /* stored as text */
	OBS_KEY_FORWARD, /* stored as enum obs_forward */
	OBS_KEY_BOOL,
	OBS_KEY_INT,
	OBS_KEY_COUNT,
	OBS_KEY_SIZE,
	OBS_KEY_SECONDS,
	OBS_KEY_LIST,
	OBS_KEY_TREE,	     /* anything; its YAML text is kept */
	OBS_KEY_SECRET_FILE, /* alias: the file's content is the value */
	OBS_KEY_PORT,	     /* alias of a listen address: the port on 127.0.0.1 */
	OBS_KEY_TYPES,
};

enum obs_key_flags {
	OBS_KEY_SECRET = 1,	/* never shown, wiped */
	OBS_KEY_POWER_OF_2 = 2, /* sizes */
	OBS_KEY_ZERO_UNSET = 4, /* 0 means "not set" */
	OBS_KEY_LATER = 8,	/* checked and kept, no part reads it yet */
	OBS_KEY_DEAD = 16,	/* a Go sidecar key that has no effect there or here */
	OBS_KEY_LABELS = 32,	/* entries of a list look like key=value */
};

#define OBS_KEY_EXTRA (-1) /* offset of a row that is kept in `extra` */

struct obs_key {
	const char *path; /* "store.max_bytes" */
	enum obs_key_type type;
	ptrdiff_t offset;		/* in struct obs_config, or OBS_KEY_EXTRA */
	double min, max;		/* of the number, the text's bytes, or the list's entries */
	const char *def;		/* as written in YAML; a list's is always empty */
	const char *help;		/* one or two sentences */
	unsigned flags;			/* enum obs_key_flags */
	const char *alias;		/* path of the row that this one is another name for */
	const char *env;		/* environment variable that overrides the file */
	const char *choices;		/* "events|all" */
	const char *example;		/* for messages, where the default is no good example */
	const char *def_words;		/* the default in words, where it depends on the host */
	int (*compute_def)(char **ret); /* and how to find it */
};

extern const struct obs_key obs_keys[];
extern const size_t obs_keys_n;

/* The biggest member stands first: `= { 0 }` clears only that one. */
union obs_value {
	struct obs_strv list;
	char *text;
	bool flag;
	int64_t integer;
	uint64_t count;
	double seconds;
	enum obs_forward forward;
};

enum obs_origin_kind { OBS_FROM_DEFAULT, OBS_FROM_FILE, OBS_FROM_ENV };

/* Where the value of a row came from. */
struct obs_origin {
	enum obs_origin_kind kind;
	const struct obs_key *by; /* the row that set it: itself or an alias */
	unsigned line;
};

/* What struct obs_config's `extra` points to; indexed like obs_keys. */
struct obs_config_extra {
	union obs_value *values;
	struct obs_origin *origins;
};

/** obs_key_find() - the row of @path, or NULL. */
const struct obs_key *obs_key_find(const char *path);

/** obs_key_target() - the row that @key is another name for, else @key itself. */
const struct obs_key *obs_key_target(const struct obs_key *key);

/** obs_key_index() - the row's number in obs_keys. */
size_t obs_key_index(const struct obs_key *key);

/** obs_key_leaf() - the last part of the path. Borrowed. */
const char *obs_key_leaf(const struct obs_key *key);

/** obs_key_get() - the value of (an alias of) @key in @c; what it points to is borrowed. */
union obs_value obs_key_get(const struct obs_config *c, const struct obs_key *key);

/** obs_key_set() - put @value in place of the old one, which is freed; owns @value after. */
void obs_key_set(struct obs_config *c, const struct obs_key *key, union obs_value value);

/** obs_key_size() - bytes of the member of union obs_value that holds it. */
size_t obs_key_size(const struct obs_key *key);

/** obs_key_origin() - where the value of (an alias of) @key came from. */
struct obs_origin *obs_key_origin(const struct obs_config *c, const struct obs_key *key);

/**
 * obs_key_parse() - text to value; not for lists.
 * @ret: owned by the caller; untouched on failure
 *
 * Return: 0, -EINVAL (not of this type), -ERANGE, -ENOMEM.
 */
int obs_key_parse(const struct obs_key *key, const char *text, union obs_value *ret);

/** obs_key_format() - append @value as it would stand in YAML. Secrets become "***". */
void obs_key_format(const struct obs_key *key, const union obs_value *value, struct obs_buf *out);

/** obs_key_expected() - append what the key takes: "a whole number from 1 to 100000". */
void obs_key_expected(const struct obs_key *key, struct obs_buf *out);

/** obs_key_range() - append the range alone, "1 to 100000"; nothing when there is none. */
void obs_key_range(const struct obs_key *key, struct obs_buf *out);

/** obs_key_type_name() - "size", "duration", … */
const char *obs_key_type_name(const struct obs_key *key);

/** obs_key_is_list() - a sequence of strings. */
bool obs_key_is_list(const struct obs_key *key);

/** obs_key_is_text() - the value is kept as text. */
bool obs_key_is_text(const struct obs_key *key);

/** obs_key_value_free() - wipe and free what @value owns, and zero it. */
void obs_key_value_free(const struct obs_key *key, union obs_value *value);

/** obs_text_free() - wipe and free *@text, set it to NULL. */
void obs_text_free(char **text);

#define cleanup_text __attribute__((cleanup(obs_text_free)))

/** obs_strv_push() - append a copy of @text. Return: 0 or -ENOMEM. */
int obs_strv_push(struct obs_strv *list, const char *text);

/**
 * obs_config_new() - every row at its default, nothing from file or environment.
 *
 * Return: 0 or -ENOMEM.
 */
int obs_config_new(struct obs_config **ret);

/** obs_config_format() - append the effective settings, with where they came from. */
void obs_config_format(const struct obs_config *c, struct obs_buf *out);

/** obs_keys_format() - append the table of all keys as text. @bold: for a terminal. */
void obs_keys_format(struct obs_buf *out, bool bold);

/** obs_keys_format_man() - append the table of all keys as man page source. */
void obs_keys_format_man(struct obs_buf *out);
