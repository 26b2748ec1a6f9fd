// SPDX-License-Identifier: BSD-2-Clause
/* print.c - the settings and the table of keys, for people. */
#include "config/keys.h"

#include <string.h>

#include "util/cleanup.h"

#define COMMENT_COLUMN 46

/* How many leading parts, dots included, @a and @b share. */
static size_t common_section(const char *a, const char *b)
{
	size_t common = 0;

	for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
		if (a[i] == '.')
			common = i + 1;
	}
	return common;
}

static size_t depth_of(const char *path, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += path[i] == '.';
	return n;
}

/* The lines "targets:" and "  include:" that @path needs and @previous has not opened. */
static void open_sections(const char *previous, const char *path, struct obs_buf *out)
{
	size_t from = common_section(previous, path);
	const char *dot;

	while ((dot = strchr(path + from, '.'))) {
		obs_buf_printf(out, "%*s%.*s:\n", (int)(2 * depth_of(path, from)), "",
			       (int)(dot - path - (ptrdiff_t)from), path + from);
		from = (size_t)(dot - path) + 1;
	}
}

static void describe_origin(const struct obs_config *c, const struct obs_key *key,
			    struct obs_buf *out)
{
	const struct obs_origin *o = obs_key_origin(c, key);

	if (o->kind == OBS_FROM_DEFAULT)
		obs_buf_push_str(out, "default");
	else if (o->kind == OBS_FROM_ENV)
		obs_buf_printf(out, "environment %s", o->by->env);
	else if (o->by != key)
		obs_buf_printf(out, "file, line %u, as %s", o->line, o->by->path);
	else
		obs_buf_printf(out, "file, line %u", o->line);
	if (key->flags & OBS_KEY_LATER)
		obs_buf_push_str(out, "; kept, no part reads it yet");
}

static void format_setting(const struct obs_config *c, const struct obs_key *key,
			   struct obs_buf *out)
{
	union obs_value value = obs_key_get(c, key);
	size_t start = out->len;

	obs_buf_printf(out, "%*s%s: ", (int)(2 * depth_of(key->path, strlen(key->path))), "",
		       obs_key_leaf(key));
	obs_key_format(key, &value, out);
	obs_buf_printf(
		out, "%*s # ",
		(int)(out->len - start < COMMENT_COLUMN ? COMMENT_COLUMN - (out->len - start) : 0),
		"");
	describe_origin(c, key, out);
	obs_buf_push_str(out, "\n");
}

/* What no part reads is shown only when it was set; what has no effect, never. */
static bool is_shown(const struct obs_config *c, const struct obs_key *key)
{
	if (key->alias || (key->flags & OBS_KEY_DEAD))
		return false;
	return !(key->flags & OBS_KEY_LATER) || obs_key_origin(c, key)->kind != OBS_FROM_DEFAULT;
}

void obs_config_format(const struct obs_config *c, struct obs_buf *out)
{
	const char *previous = "";

	for (size_t i = 0; i < obs_keys_n; i++) {
		if (!is_shown(c, &obs_keys[i]))
			continue;
		open_sections(previous, obs_keys[i].path, out);
		format_setting(c, &obs_keys[i], out);
		previous = obs_keys[i].path;
	}
}

static void describe_default(const struct obs_key *key, struct obs_buf *out)
{
	if (key->def_words)
		obs_buf_push_str(out, key->def_words);
	else if (obs_key_is_list(key) || !*key->def)
		obs_buf_push_str(out, obs_key_is_list(key) ? "[]" : "none");
	else
		obs_buf_push_str(out, key->def);
}

/* "size, 1MiB to 1TiB; default 256MiB; environment X" */
static void describe_value(const struct obs_key *key, struct obs_buf *out)
{
	cleanup_buf struct obs_buf range = { 0 };
	const char *gap;

	obs_key_range(key, &range);
	gap = !range.len ? "" : key->choices ? " " : ", ";
	obs_buf_printf(out, "%s%s%s", obs_key_type_name(key), gap, obs_buf_cstr(&range));
	if (key->alias)
		obs_buf_printf(out, "; sets %s", key->alias);
	if (!key->alias || !obs_key_find(key->alias)) {
		obs_buf_push_str(out, "; default ");
		describe_default(key, out);
	}
	if (key->env)
		obs_buf_printf(out, "; environment %s", key->env);
	if (key->flags & OBS_KEY_LATER)
		obs_buf_push_str(out, "; kept, no part reads it yet");
}

void obs_keys_format(struct obs_buf *out, bool bold)
{
	for (size_t i = 0; i < obs_keys_n; i++) {
		const struct obs_key *key = &obs_keys[i];

		obs_buf_printf(out, "%s%s%s\n    ", bold ? "\033[1m" : "", key->path,
			       bold ? "\033[0m" : "");
		describe_value(key, out);
		obs_buf_printf(out, "\n    %s\n\n", key->help);
	}
}

/* Text for roff: backslashes and leading dots would be read as requests. */
static void push_roff(const char *text, struct obs_buf *out)
{
	if (*text == '.' || *text == '\'')
		obs_buf_push_str(out, "\\&");
	for (; *text; text++) {
		if (*text == '\\')
			obs_buf_push_str(out, "\\e");
		else if (*text == '-')
			obs_buf_push_str(out, "\\-");
		else
			obs_buf_push(out, text, 1);
	}
}

void obs_keys_format_man(struct obs_buf *out)
{
	for (size_t i = 0; i < obs_keys_n; i++) {
		cleanup_buf struct obs_buf line = { 0 };

		describe_value(&obs_keys[i], &line);
		obs_buf_push_str(out, ".TP\n.B ");
		push_roff(obs_keys[i].path, out);
		obs_buf_push_str(out, "\n.RI ( ");
		obs_buf_push_str(out, "\"");
		push_roff(obs_buf_cstr(&line), out);
		obs_buf_push_str(out, "\" )\n.br\n");
		push_roff(obs_keys[i].help, out);
		obs_buf_push_str(out, "\n");
	}
}
