// SPDX-License-Identifier: BSD-2-Clause
/*
 * load.c - the YAML file, through libyaml's document API, into a struct obs_config.
 *
 * Two passes over the bytes: the first takes libyaml's events and enforces the
 * limits (depth, number of nodes), so that the second, which builds the whole
 * document, cannot be made to use much time or memory. Then each mapping is
 * walked and each key looked up in the table. Every problem becomes a line in
 * `messages`; the walk goes on, so that all are told at once.
 */
#include "config/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "util/cleanup.h"
#include "util/distance.h"

#define FILE_MAX_BYTES	 (1024 * 1024)
#define SECRET_MAX_BYTES (64 * 1024)
#define DEPTH_MAX	 32
#define NODES_MAX	 20000
#define MESSAGES_MAX	 50
#define PATH_MAX_BYTES	 128

struct bytes {
	char *p;
	size_t len;
};

struct load {
	const char *file; /* as shown in messages */
	struct bytes text;
	yaml_document_t *doc;
	struct obs_config *config;
	struct obs_buf *messages;
	unsigned errors, told;
	int fatal; /* -ENOMEM */
};

/* ---- messages ---- */

/* Text of the file for a message: short, and without control bytes. */
static const char *printable(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 8 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f)
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	if (*text)
		snprintf(out + n, size - n, "…");
	return out;
}

/* Whether there is room for one more message; tells once that there is not. */
static bool may_tell(struct load *l)
{
	l->told++;
	if (l->told == MESSAGES_MAX + 1)
		obs_buf_printf(l->messages,
			       "%s: warning: more than %d problems; the rest is not shown\n",
			       l->file, MESSAGES_MAX);
	return l->told <= MESSAGES_MAX;
}

static void tell(struct load *l, bool error, const yaml_mark_t *at, const char *fmt, va_list ap)
{
	char *text = NULL;

	l->errors += error;
	if (!may_tell(l))
		return;
	if (vasprintf(&text, fmt, ap) < 0) {
		l->fatal = -ENOMEM;
		return;
	}
	obs_buf_printf(l->messages, "%s:", l->file);
	if (at)
		obs_buf_printf(l->messages, "%zu:%zu:", at->line + 1, at->column + 1);
	obs_buf_printf(l->messages, " %s: %s\n", error ? "error" : "warning", text);
	free(text);
}

__attribute__((format(printf, 3, 4))) static void tell_error(struct load *l, const yaml_mark_t *at,
							     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(l, true, at, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void
tell_warning(struct load *l, const yaml_mark_t *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(l, false, at, fmt, ap);
	va_end(ap);
}

static const char *example_of(const struct obs_key *key)
{
	if (key->example)
		return key->example;
	return key->def && *key->def ? key->def : "…";
}

/* "PATH: WHAT; expected …; write for example 'KEY: …'" */
static void tell_bad_value(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
			   const char *what)
{
	cleanup_buf struct obs_buf expected = { 0 };

	obs_key_expected(key, &expected);
	tell_error(l, at, "%s: %s; expected %s; write for example '%s: %s'", key->path, what,
		   obs_buf_cstr(&expected), obs_key_leaf(key), example_of(key));
}

/* ---- bytes ---- */

static void bytes_free(struct bytes *b)
{
	if (b->p)
		explicit_bzero(b->p, b->len);
	free(b->p);
	*b = (struct bytes){ NULL, 0 };
}

#define cleanup_bytes __attribute__((cleanup(bytes_free)))

/* All of @fd, with a NUL behind; -EFBIG past @max bytes. */
static int read_all(int fd, size_t max, struct bytes *ret)
{
	cleanup_bytes struct bytes b = { calloc(1, max + 2), 0 };

	if (!b.p)
		return -ENOMEM;
	while (b.len <= max) {
		ssize_t n = read(fd, b.p + b.len, max + 1 - b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b.len += (size_t)n;
	}
	if (b.len > max)
		return -EFBIG;
	*ret = b;
	b = (struct bytes){ NULL, 0 };
	return 0;
}

static int read_config(const char *path, struct bytes *ret)
{
	cleanup_close int fd = -1;

	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, FILE_MAX_BYTES, ret);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : read_all(fd, FILE_MAX_BYTES, ret);
}

static const char *read_problem(int r)
{
	return r == -EFBIG ? "it is larger than 1 MiB" : strerror(-r);
}

/* ---- secret files ---- */

static int open_secret(const char *path, struct stat *st)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	if (S_ISDIR(st->st_mode))
		return -EISDIR;
	return TAKE_FD(fd);
}

static void trim(struct bytes *b)
{
	size_t start;

	while (b->len && strchr(" \t\r\n", b->p[b->len - 1]))
		b->p[--b->len] = '\0';
	start = strspn(b->p, " \t\r\n");
	memmove(b->p, b->p + start, b->len - start + 1);
	b->len -= start;
}

static int read_secret(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
		       const char *path, struct bytes *ret)
{
	struct stat st = { 0 };
	char shown[PATH_MAX_BYTES];
	cleanup_close int fd = open_secret(path, &st);
	int r = fd < 0 ? fd : read_all(fd, SECRET_MAX_BYTES, ret);

	printable(path, shown, sizeof(shown));
	if (r < 0) {
		tell_error(
			l, at,
			"%s: cannot read '%s': %s; make it readable for uid %u, or remove the key",
			key->path, shown, r == -EFBIG ? "it is larger than 64 KiB" : strerror(-r),
			geteuid());
		return r;
	}
	trim(ret);
	if (ret->len == 0) {
		tell_error(l, at, "%s: '%s' is empty; expected the secret in it", key->path, shown);
		return -EINVAL;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 007))
		tell_warning(l, at, "%s: everyone on this host can read '%s'; chmod 600 it",
			     key->path, shown);
	return 0;
}

/* ---- values ---- */

static bool is_null(const yaml_node_t *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp((const char *)n->data.scalar.value, words[i]) == 0)
			return true;
	}
	return false;
}

/* The scalar's text, or NULL when it is no scalar or holds a NUL byte. */
static const char *scalar_text(const yaml_node_t *n)
{
	const char *text;

	if (n->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)n->data.scalar.value;
	return strlen(text) == n->data.scalar.length ? text : NULL;
}

static const char *node_kind(const yaml_node_t *n)
{
	switch (n->type) {
	case YAML_SEQUENCE_NODE:
		return "found a list";
	case YAML_MAPPING_NODE:
		return "found a section";
	default:
		return "found text with a NUL byte";
	}
}

/* Says that of two rows for one setting only the upper one counts, and whether it is @key. */
static bool wins(struct load *l, const yaml_mark_t *at, const struct obs_key *key)
{
	struct obs_origin *o = obs_key_origin(l->config, key);
	const struct obs_key *winner = o->by < key ? o->by : key;

	if (o->kind != OBS_FROM_FILE || o->by == key)
		return true;
	tell_warning(l, at, "%s: '%s' in line %u sets the same; '%s' counts, remove the other",
		     key->path, o->by->path, o->line, winner->path);
	return winner == key;
}

static void put(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
		union obs_value value)
{
	if (!wins(l, at, key)) {
		obs_key_value_free(obs_key_target(key), &value);
		return;
	}
	obs_key_set(l->config, key, value);
	*obs_key_origin(l->config, key) =
		(struct obs_origin){ OBS_FROM_FILE, key, (unsigned)at->line + 1 };
}

static void tell_parse_problem(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
			       const char *text, int r)
{
	char shown[PATH_MAX_BYTES], what[2 * PATH_MAX_BYTES];

	if (r == -ENOMEM) {
		l->fatal = r;
		return;
	}
	if (key->flags & OBS_KEY_SECRET)
		text = "***";
	snprintf(what, sizeof(what), r == -ERANGE ? "'%s' is out of range" : "found '%s'",
		 printable(text, shown, sizeof(shown)));
	tell_bad_value(l, at, key, what);
}

/* An empty text means "not set", as it does for the Go sidecar; so does 0 in some rows.
 * An empty server.listen says something of its own: no server. */
static bool means_unset(const struct obs_key *key, const char *text)
{
	if ((key->flags & OBS_KEY_ZERO_UNSET) && strcmp(text, "0") == 0)
		return true;
	return *text == '\0' && (key->type == OBS_KEY_STRING || key->type == OBS_KEY_URL);
}

static void set_text(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
		     const char *text)
{
	union obs_value v = { 0 };
	int r;

	if (means_unset(key, text))
		return;
	r = obs_key_parse(key, text, &v);
	if (r < 0)
		tell_parse_problem(l, at, key, text, r);
	else
		put(l, at, key, v);
}

static void set_secret_file(struct load *l, const yaml_mark_t *at, const struct obs_key *key,
			    const char *path)
{
	cleanup_bytes struct bytes secret = { NULL, 0 };
	union obs_value v = { 0 };
	int r;

	if (!*path || read_secret(l, at, key, path, &secret) < 0)
		return;
	r = strlen(secret.p) == secret.len ? obs_key_parse(obs_key_target(key), secret.p, &v)
					   : -EINVAL;
	if (r < 0)
		tell_error(l, at,
			   "%s: the file holds no secret on one line; "
			   "expected text without control characters, at most 4096 bytes",
			   key->path);
	else
		put(l, at, key, v);
}

static void set_scalar(struct load *l, const yaml_node_t *n, const struct obs_key *key)
{
	const char *text = scalar_text(n);

	if (!text)
		tell_bad_value(l, &n->start_mark, key, node_kind(n));
	else if (key->type == OBS_KEY_SECRET_FILE)
		set_secret_file(l, &n->start_mark, key, text);
	else
		set_text(l, &n->start_mark, key, text);
}

/* One entry of a list; false when it was refused. */
static bool push_entry(struct load *l, const yaml_node_t *n, const struct obs_key *key,
		       struct obs_strv *list)
{
	static const struct obs_key entry = { "entry", .type = OBS_KEY_STRING, .min = 1,
					      .max = 4096 };
	cleanup_text char *copy = NULL;
	const char *text = scalar_text(n);
	union obs_value v = { 0 };

	if (!text || obs_key_parse(&entry, text, &v) < 0) {
		tell_bad_value(l, &n->start_mark, key,
			       text ? "an entry is empty, too long or holds a control character"
				    : "an entry is no text");
		return false;
	}
	copy = v.text;
	if ((key->flags & OBS_KEY_LABELS) && !strchr(text, '=')) {
		tell_bad_value(l, &n->start_mark, key, "a label has no '='");
		return false;
	}
	if (obs_strv_push(list, text) < 0)
		l->fatal = -ENOMEM;
	return true;
}

static void set_list(struct load *l, const yaml_node_t *n, const struct obs_key *key)
{
	union obs_value v = { 0 };
	bool ok = true;

	if (n->type != YAML_SEQUENCE_NODE) {
		tell_bad_value(l, &n->start_mark, key,
			       n->type == YAML_SCALAR_NODE ? "found a single value" : node_kind(n));
		return;
	}
	if (n->data.sequence.items.top - n->data.sequence.items.start > (ptrdiff_t)key->max) {
		tell_error(l, &n->start_mark, "%s: too many entries; expected at most %.0f",
			   key->path, key->max);
		return;
	}
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++)
		ok &= push_entry(l, yaml_document_get_node(l->doc, *i), key, &v.list);
	if (ok)
		put(l, &n->start_mark, key, v);
	else
		obs_key_value_free(key, &v);
}

/* libyaml counts characters, not bytes. */
static size_t byte_of(const struct bytes *text, size_t character)
{
	size_t i = 0;

	for (; i < text->len; i++) {
		if (((unsigned char)text->p[i] & 0xc0) != 0x80 && character-- == 0)
			break;
	}
	return i;
}

/* The subtree's text; its first line is indented as it was, so that it stays YAML. */
static void set_tree(struct load *l, const yaml_node_t *n, const struct obs_key *key)
{
	size_t start = byte_of(&l->text, n->start_mark.index);
	size_t end = byte_of(&l->text, n->end_mark.index);
	cleanup_buf struct obs_buf text = { 0 };

	for (size_t i = 0; i < n->start_mark.column && i < FILE_MAX_BYTES; i++)
		obs_buf_push_str(&text, " ");
	obs_buf_push(&text, l->text.p + start, end - start);
	set_text(l, &n->start_mark, key, obs_buf_cstr(&text));
	if (text.p)
		explicit_bzero(text.p, text.cap);
}

static void set_key(struct load *l, const yaml_node_t *value, const struct obs_key *key)
{
	if (is_null(value))
		return;
	if (key->type == OBS_KEY_TREE)
		set_tree(l, value, key);
	else if (obs_key_is_list(key))
		set_list(l, value, key);
	else
		set_scalar(l, value, key);
}

/* ---- names ---- */

/* The first @parts parts of @path as a string of its own. */
static void path_head(const char *path, int parts, char *out, size_t size)
{
	size_t n = 0;

	for (; path[n] && n + 1 < size; n++) {
		if (path[n] == '.' && --parts == 0)
			break;
	}
	memcpy(out, path, n);
	out[n] = '\0';
}

static int count_parts(const char *path)
{
	int n = 1;

	for (; *path; path++)
		n += *path == '.';
	return n;
}

static bool is_section(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < obs_keys_n; i++) {
		if (strncmp(obs_keys[i].path, path, len) == 0 && obs_keys[i].path[len] == '.')
			return true;
	}
	return false;
}

/* The known key or section most like @path; "" when none is like it. */
static void nearest(const char *path, char *out, size_t size)
{
	const char *dot = strrchr(path, '.');
	const char *leaf = dot ? dot + 1 : path;
	unsigned best = strlen(leaf) < 7 ? (unsigned)(strlen(leaf) + 2) / 3 : 3;
	char candidate[PATH_MAX_BYTES];

	out[0] = '\0';
	for (size_t i = 0; i < obs_keys_n; i++) {
		unsigned d;

		path_head(obs_keys[i].path, count_parts(path), candidate, sizeof(candidate));
		d = obs_distance(path, candidate);
		if (d <= best && (d < best || !*out)) {
			best = d;
			snprintf(out, size, "%s", candidate);
		}
	}
	/* the right name in the wrong section */
	for (size_t i = 0; i < obs_keys_n && !*out; i++) {
		if (strcmp(obs_key_leaf(&obs_keys[i]), leaf) == 0)
			snprintf(out, size, "%s", obs_keys[i].path);
	}
}

static void tell_unknown(struct load *l, const yaml_mark_t *at, const char *path)
{
	char near[PATH_MAX_BYTES] = "", shown[PATH_MAX_BYTES];

	if (l->told < MESSAGES_MAX)
		nearest(path, near, sizeof(near));
	printable(path, shown, sizeof(shown));
	if (*near)
		tell_warning(l, at, "unknown key '%s', ignored; did you mean '%s'?", shown, near);
	else
		tell_warning(l, at,
			     "unknown key '%s', ignored; "
			     "'gswarm-observer check-config --keys' lists all keys",
			     shown);
}

/* ---- the walk ---- */

static void walk_mapping(struct load *l, const yaml_node_t *map, const char *prefix);

static const yaml_node_t *key_node(struct load *l, const yaml_node_pair_t *pair)
{
	return yaml_document_get_node(l->doc, pair->key);
}

/* Whether the same key stands further up in @map; says so. */
static bool is_duplicate(struct load *l, const yaml_node_t *map, const yaml_node_pair_t *pair,
			 const char *path)
{
	const yaml_node_t *this = key_node(l, pair);
	char shown[PATH_MAX_BYTES];

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
		const char *other = scalar_text(key_node(l, p));

		if (!other || strcmp(other, scalar_text(this)) != 0)
			continue;
		tell_error(l, &this->start_mark,
			   "%s: set twice, first in line %zu; remove one of them",
			   printable(path, shown, sizeof(shown)),
			   key_node(l, p)->start_mark.line + 1);
		return true;
	}
	return false;
}

static void walk_section(struct load *l, const yaml_node_t *value, const char *path)
{
	if (value->type == YAML_MAPPING_NODE)
		walk_mapping(l, value, path);
	else if (!is_null(value))
		tell_error(l, &value->start_mark,
			   "%s: found %s; expected a section, its keys indented on the lines below",
			   path, value->type == YAML_SEQUENCE_NODE ? "a list" : "a single value");
}

static void walk_pair(struct load *l, const yaml_node_t *map, const yaml_node_pair_t *pair,
		      const char *prefix)
{
	const yaml_node_t *name = key_node(l, pair);
	const yaml_node_t *value = yaml_document_get_node(l->doc, pair->value);
	const char *text = scalar_text(name);
	char path[PATH_MAX_BYTES];
	const struct obs_key *key;

	if (!text) {
		tell_error(l, &name->start_mark, "a key is no text; expected 'key: value'");
		return;
	}
	if (strcmp(text, "<<") == 0) {
		tell_error(l, &name->start_mark,
			   "merge keys (<<) are not supported; write the keys out");
		return;
	}
	snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "", text);
	if (is_duplicate(l, map, pair, path))
		return;
	key = obs_key_find(path);
	if (key)
		set_key(l, value, key);
	else if (is_section(path))
		walk_section(l, value, path);
	else
		tell_unknown(l, &name->start_mark, path);
}

static void walk_mapping(struct load *l, const yaml_node_t *map, const char *prefix)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++)
		walk_pair(l, map, p, prefix);
}

static void walk_document(struct load *l)
{
	const yaml_node_t *root = yaml_document_get_root_node(l->doc);

	if (!root || is_null(root))
		return;
	if (root->type == YAML_MAPPING_NODE)
		walk_mapping(l, root, "");
	else
		tell_error(l, &root->start_mark,
			   "the file is no mapping; expected lines of 'key: value'");
}

/* ---- YAML ---- */

/* Line and column of a byte, for problems that libyaml gives no mark for. */
static yaml_mark_t mark_of_byte(const struct bytes *text, size_t offset)
{
	yaml_mark_t m = { offset, 0, 0 };

	for (size_t i = 0; i < offset && i < text->len; i++) {
		m.column = text->p[i] == '\n' ? 0 : m.column + 1;
		m.line += text->p[i] == '\n';
	}
	return m;
}

/* The line's indentation, up to the problem, holds a tab: libyaml's own words do not say so. */
static bool tab_before(const struct bytes *text, const yaml_mark_t *at)
{
	const char *line = text->p;

	for (size_t i = 0; i < at->line && line; i++) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return line && memchr(line, '\t', strspn(line, " \t"));
}

static void tell_not_yaml(struct load *l, const yaml_parser_t *p)
{
	yaml_mark_t at = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR) {
		l->fatal = -ENOMEM;
		return;
	}
	if (p->error == YAML_READER_ERROR)
		at = mark_of_byte(&l->text, p->problem_offset);
	if (tab_before(&l->text, &at))
		tell_error(l, &at, "not YAML: a tab indents this line; use spaces");
	else if (p->context)
		tell_error(l, &at,
			   "not YAML: %s (%s that begins in line %zu); correct the line, "
			   "quote texts that hold : # [ ] { } or quotes",
			   p->problem, p->context, p->context_mark.line + 1);
	else
		tell_error(l, &at,
			   "not YAML: %s; correct the line, "
			   "quote texts that hold : # [ ] { } or quotes",
			   p->problem ? p->problem : "it cannot be parsed");
}

static void start_parser(struct load *l, yaml_parser_t *p)
{
	yaml_parser_set_encoding(p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(p, (const unsigned char *)l->text.p, l->text.len);
}

/* libyaml keeps what it read in buffers of its own. */
static void end_parser(yaml_parser_t *p)
{
	if (p->raw_buffer.start)
		explicit_bzero(p->raw_buffer.start,
			       (size_t)(p->raw_buffer.end - p->raw_buffer.start));
	if (p->buffer.start)
		explicit_bzero(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
	yaml_parser_delete(p);
}

static void end_event(yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		explicit_bzero(e->data.scalar.value, e->data.scalar.length);
	yaml_event_delete(e);
}

static void end_document(yaml_document_t *doc)
{
	for (yaml_node_t *n = doc->nodes.start; n < doc->nodes.top; n++) {
		if (n->type == YAML_SCALAR_NODE)
			explicit_bzero(n->data.scalar.value, n->data.scalar.length);
	}
	yaml_document_delete(doc);
}

struct limits {
	unsigned depth, nodes, documents;
};

/* Count one event; false when the first pass has to end. */
static bool check_event(struct load *l, const yaml_event_t *e, struct limits *n)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++n->documents > 1)
			tell_warning(l, &e->start_mark,
				     "a second document begins here, ignored; remove the '---'");
		return n->documents == 1;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		n->depth++;
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		n->depth--;
		break;
	default:
		break;
	}
	if (n->depth > DEPTH_MAX)
		tell_error(l, &e->start_mark, "nested more than %d deep", DEPTH_MAX);
	else if (++n->nodes > NODES_MAX)
		tell_error(l, &e->start_mark, "more than %d values", NODES_MAX);
	else
		return e->type != YAML_STREAM_END_EVENT;
	return false;
}

static void first_pass(struct load *l)
{
	struct limits n = { 0 };
	yaml_parser_t p;
	bool more = true;

	if (!yaml_parser_initialize(&p)) {
		l->fatal = -ENOMEM;
		return;
	}
	start_parser(l, &p);
	while (more) {
		yaml_event_t e;

		if (!yaml_parser_parse(&p, &e)) {
			tell_not_yaml(l, &p);
			break;
		}
		more = check_event(l, &e, &n);
		end_event(&e);
	}
	end_parser(&p);
}

static void second_pass(struct load *l)
{
	yaml_parser_t p;
	yaml_document_t doc;

	if (!yaml_parser_initialize(&p)) {
		l->fatal = -ENOMEM;
		return;
	}
	start_parser(l, &p);
	if (yaml_parser_load(&p, &doc)) {
		l->doc = &doc;
		walk_document(l);
		end_document(&doc);
		l->doc = NULL;
	} else {
		tell_not_yaml(l, &p); /* an alias without an anchor, for one */
	}
	end_parser(&p);
}

/* With a fixed encoding libyaml takes a byte order mark for text. */
static void drop_byte_order_mark(struct bytes *text)
{
	if (text->len < 3 || memcmp(text->p, "\xef\xbb\xbf", 3) != 0)
		return;
	text->len -= 3;
	memmove(text->p, text->p + 3, text->len + 1);
}

static int load_file(struct load *l, const char *path)
{
	int r = read_config(path, &l->text);

	if (r < 0) {
		tell_error(l, NULL,
			   "cannot read it: %s; name another file with -c FILE or CONFIG_PATH",
			   read_problem(r));
		return r;
	}
	drop_byte_order_mark(&l->text);
	first_pass(l);
	if (!l->errors && !l->fatal)
		second_pass(l);
	return l->fatal;
}

/* ---- environment ---- */

static int load_variable(struct load *l, const struct obs_key *key)
{
	const char *text = getenv(key->env);
	union obs_value v = { 0 };
	int r;

	if (!text || !*text)
		return 0;
	l->file = key->env;
	r = obs_key_parse(key, text, &v);
	if (r < 0) {
		tell_parse_problem(l, NULL, key, text, r);
		return l->fatal;
	}
	obs_key_set(l->config, key, v);
	*obs_key_origin(l->config, key) = (struct obs_origin){ OBS_FROM_ENV, key, 0 };
	return 0;
}

/* From the bottom up: of two names for one setting, the upper one counts. */
static int load_environment(struct load *l)
{
	int r = 0;

	for (size_t i = obs_keys_n; i-- > 0 && r == 0;) {
		if (obs_keys[i].env)
			r = load_variable(l, &obs_keys[i]);
	}
	return r;
}

/* The API's token over a connection that anyone on the way can read. */
static void check_plain_http(struct load *l)
{
	static const char *const local[] = { "127.", "localhost", "[::1]" };
	const char *url = l->config->api.endpoint;

	if (strncasecmp(url, "http://", 7) != 0 || !*l->config->api.token)
		return;
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		if (strncasecmp(url + 7, local[i], strlen(local[i])) == 0)
			return;
	}
	tell_warning(l, NULL,
		     "api_endpoint: the token goes over http:// unencrypted; use https://");
}

int obs_config_load(const char *path, struct obs_buf *messages, struct obs_config **ret)
{
	cleanup_config struct obs_config *config = NULL;
	struct load l = { .file = path && strcmp(path, "-") ? path : "stdin",
			  .messages = messages };
	int r = obs_config_new(&config);

	if (r < 0)
		return r;
	l.config = config;
	if (path)
		r = load_file(&l, path);
	bytes_free(&l.text);
	if (r == 0)
		r = load_environment(&l);
	if (r < 0 || l.errors)
		return r < 0 ? r : -EINVAL;
	l.file = path ? l.file : "environment";
	check_plain_http(&l);
	*ret = TAKE_PTR(config);
	return 0;
}
