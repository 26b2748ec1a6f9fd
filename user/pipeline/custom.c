// SPDX-License-Identifier: BSD-2-Clause
/* custom.c - see custom.h. The YAML is small and was checked for depth and size by config/. */
#include "pipeline/custom.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/config.h"
#include "parse/patterns.h"
#include "pipeline/scrub.h"
#include "util/cleanup.h"

#define ENTRIES_MAX 256
#define FIELDS_MAX  16

enum { KEY_NAME, KEY_REGEX, KEY_EVENT, KEY_CODE, KEYS, KEY_FIELDS = KEYS };

/* One entry of a list; texts belong to the document. */
struct entry {
	const char *text[KEYS]; /* NULL = not given */
	const char *fields[FIELDS_MAX];
	size_t n_fields;
};

struct reading {
	const char *what; /* "patterns", for messages */
	unsigned keys;	  /* bits of those that an entry may have */
	yaml_document_t doc;
	struct obs_buf *messages;
	size_t nth; /* of the entry being read, from 1 */
	int err;
	struct entry *entries; /* owned */
	size_t n;
};

static const char *const key_names[] = {
	[KEY_NAME] = "name", [KEY_REGEX] = "regex",   [KEY_EVENT] = "event",
	[KEY_CODE] = "code", [KEY_FIELDS] = "fields",
};

__attribute__((format(printf, 2, 3))) static void tell(struct reading *r, const char *format, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (r->messages && r->nth)
		obs_buf_printf(r->messages, "error: %s, entry %zu: %s\n", r->what, r->nth, text);
	else if (r->messages)
		obs_buf_printf(r->messages, "error: %s\n", text);
	r->err = -EINVAL;
}

static const char *scalar(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

static void read_fields(struct reading *r, const yaml_node_t *n, struct entry *e)
{
	if (n->type != YAML_SEQUENCE_NODE) {
		tell(r, "fields is a list of names");
		return;
	}
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		const char *text = scalar(yaml_document_get_node(&r->doc, *i));

		if (!text || e->n_fields == FIELDS_MAX)
			tell(r, text ? "more than %d fields" : "fields is a list of up to %d names",
			     FIELDS_MAX);
		else
			e->fields[e->n_fields++] = text;
	}
}

static void read_pair(struct reading *r, const yaml_node_pair_t *pair, struct entry *e)
{
	const char *key = scalar(yaml_document_get_node(&r->doc, pair->key));
	const yaml_node_t *value = yaml_document_get_node(&r->doc, pair->value);

	for (unsigned i = 0; key && i < ARRAY_LEN(key_names); i++) {
		if (!(r->keys & 1u << i) || strcmp(key, key_names[i]) != 0)
			continue;
		if (i == KEY_FIELDS) {
			read_fields(r, value, e);
		} else {
			e->text[i] = scalar(value);
			if (!e->text[i])
				tell(r, "%s is a text", key);
		}
		return;
	}
	tell(r, "no key is called '%.60s'", key ? key : "");
}

static void read_entry(struct reading *r, const yaml_node_t *n)
{
	struct entry *e = &r->entries[r->n++];

	r->nth = r->n;
	if (n->type != YAML_MAPPING_NODE) {
		tell(r, "an entry has keys: name, regex, ...");
		return;
	}
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
		read_pair(r, p, e);
	if (!e->text[KEY_NAME] || !e->text[KEY_REGEX])
		tell(r, "it needs a name and a regex");
}

static void read_list(struct reading *r, const yaml_node_t *n)
{
	size_t count;

	if (!n || (n->type == YAML_SCALAR_NODE && !*scalar(n)) ||
	    (n->type == YAML_MAPPING_NODE &&
	     n->data.mapping.pairs.top == n->data.mapping.pairs.start))
		return;
	if (n->type != YAML_SEQUENCE_NODE) {
		tell(r, "%s is a list", r->what);
		return;
	}
	count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (count > ENTRIES_MAX) {
		tell(r, "more than %d entries", ENTRIES_MAX);
		return;
	}
	r->entries = calloc(count + 1, sizeof(*r->entries));
	if (!r->entries) {
		r->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < count; i++)
		read_entry(r, yaml_document_get_node(&r->doc, n->data.sequence.items.start[i]));
}

/* The document stays until reading_free(): the entries point into it. */
static int read_text(struct reading *r, const char *text)
{
	yaml_parser_t parser;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
	if (yaml_parser_load(&parser, &r->doc))
		read_list(r, yaml_document_get_root_node(&r->doc));
	else
		tell(r, "not YAML");
	yaml_parser_delete(&parser);
	return r->err;
}

static void reading_free(struct reading *r)
{
	free(r->entries);
	yaml_document_delete(&r->doc);
}

#define cleanup_reading OBS_CLEANUP(reading_free)

static int compile_patterns(const struct reading *r, struct obs_patterns **ret)
{
	cleanup_free struct obs_pattern_options *list = calloc(r->n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < r->n; i++) {
		const struct entry *e = &r->entries[i];

		list[i] = (struct obs_pattern_options){
			.name = e->text[KEY_NAME],
			.regex = e->text[KEY_REGEX],
			.event = e->text[KEY_EVENT],
			.code = e->text[KEY_CODE],
			.fields = e->fields,
			.n_fields = e->n_fields,
		};
	}
	return obs_patterns_open(list, r->n, r->messages, ret);
}

int obs_custom_patterns(const struct obs_config *config, struct obs_buf *messages,
			struct obs_patterns **ret)
{
	cleanup_reading struct reading r = {
		.what = "patterns",
		.keys = 1u << KEY_NAME | 1u << KEY_REGEX | 1u << KEY_EVENT | 1u << KEY_CODE |
			1u << KEY_FIELDS,
		.messages = messages,
	};
	int err = read_text(&r, obs_config_text(config, "patterns"));

	if (err < 0)
		return err;
	if (r.n > 0)
		return compile_patterns(&r, ret);
	*ret = NULL;
	return 0;
}

static enum obs_scrub_level level_of(const char *word)
{
	if (strcmp(word, "off") == 0)
		return OBS_SCRUB_OFF;
	return strcmp(word, "strict") == 0 ? OBS_SCRUB_STRICT : OBS_SCRUB_STANDARD;
}

int obs_custom_scrub(const struct obs_config *config, const char *level,
		     const char *const *addresses, size_t n_addresses, struct obs_buf *messages,
		     struct obs_scrub **ret)
{
	cleanup_reading struct reading r = {
		.what = "scrub.rules",
		.keys = 1u << KEY_NAME | 1u << KEY_REGEX,
		.messages = messages,
	};
	cleanup_free struct obs_scrub_user_rule *rules = NULL;
	struct obs_scrub_options o = { .level = level_of(level ? level : config->scrub.level),
				       .host_addresses = addresses,
				       .n_host_addresses = n_addresses };
	int err = read_text(&r, obs_config_text(config, "scrub.rules"));

	if (err < 0)
		return err;
	rules = calloc(r.n + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < r.n; i++)
		rules[i] = (struct obs_scrub_user_rule){ r.entries[i].text[KEY_NAME],
							 r.entries[i].text[KEY_REGEX] };
	o.rules = rules;
	o.n_rules = r.n;
	if (o.level == OBS_SCRUB_OFF) {
		*ret = NULL;
		return 0;
	}
	return obs_scrub_new(&o, messages, ret);
}

bool obs_url_host(const char *url, char *out, size_t size)
{
	const char *at = strstr(url, "://"), *user;

	*out = '\0';
	if (!at)
		return false;
	at += 3;
	user = memchr(at, '@', strcspn(at, "/?#"));
	if (user)
		at = user + 1;
	snprintf(out, size, "%.*s", (int)strcspn(at, ":/?#"), at);
	return *out != '\0';
}

int obs_custom_check(const struct obs_config *config, struct obs_buf *messages)
{
	cleanup_patterns struct obs_patterns *patterns = NULL;
	cleanup_scrub struct obs_scrub *scrub = NULL;
	int patterns_err = obs_custom_patterns(config, messages, &patterns);
	int err = obs_custom_scrub(config, NULL, NULL, 0, messages, &scrub);

	return patterns_err < 0 ? patterns_err : err;
}
