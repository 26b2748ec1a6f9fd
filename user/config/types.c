// SPDX-License-Identifier: BSD-2-Clause
/*
 * types.c - the types of config values: one row each, with how to read it,
 * how to write it and what to call it.
 */
#include "config/keys.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/listen.h"

struct unit {
	const char *name;
	double factor;
};

/* Biggest first: that is how they are written back. */
static const struct unit size_units[] = {
	{ "TiB", 1099511627776.0 },
	{ "GiB", 1073741824.0 },
	{ "MiB", 1048576.0 },
	{ "KiB", 1024.0 },
	{ "", 1 },
	{ "B", 1 },
	{ "KB", 1e3 },
	{ "MB", 1e6 },
	{ "GB", 1e9 },
	{ "TB", 1e12 },
};

static const struct unit time_units[] = {
	{ "d", 86400 }, { "h", 3600 }, { "m", 60 }, { "s", 1 }, { "", 1 }, { "ms", 0.001 },
};

struct type {
	const char *name;
	const char *expected; /* with its article */
	int (*parse)(const struct obs_key *key, const char *text, union obs_value *ret);
	void (*format)(const struct obs_key *key, const union obs_value *v, struct obs_buf *out);
	void (*format_number)(double n, struct obs_buf *out); /* NULL = no range to show */
	size_t size; /* bytes of the union's member that holds it */
	bool owns_text;
};

void obs_text_free(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

int obs_strv_push(struct obs_strv *list, const char *text)
{
	cleanup_free char *copy = strdup(text);
	char **v;

	if (!copy)
		return -ENOMEM;
	v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	list->v = v;
	list->v[list->n++] = TAKE_PTR(copy);
	return 0;
}

static bool in_range(const struct obs_key *key, double n)
{
	return n >= key->min && n <= key->max;
}

/* "1.5GiB": a number and a unit of the table, in any case. -EINVAL, or 0. */
static int parse_with_unit(const char *text, const struct unit *units, size_t n, double *ret)
{
	char *end;
	double number;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-' && text[0] != '.')
		return -EINVAL;
	if (strchr("xX", text[strspn(text, "-0")]) && text[strspn(text, "-0")])
		return -EINVAL; /* strtod() would take hexadecimal */
	number = strtod(text, &end);
	if (end == text || !isfinite(number))
		return -EINVAL;
	end += strspn(end, " ");
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(end, units[i].name) == 0) {
			*ret = number * units[i].factor;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_integer(const char *text, int64_t *ret)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');
	bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
	char *end;
	long long n;

	if (!isdigit((unsigned char)digits[0]))
		return -EINVAL;
	errno = 0;
	n = strtoll(text, &end, hex ? 16 : 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	*ret = n;
	return 0;
}

static int take_text(const char *text, union obs_value *ret)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	ret->text = copy;
	return 0;
}

static int parse_string(const struct obs_key *key, const char *text, union obs_value *ret)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			return -EINVAL;
	}
	return in_range(key, (double)strlen(text)) ? take_text(text, ret) : -ERANGE;
}

static int parse_tree(const struct obs_key *key, const char *text, union obs_value *ret)
{
	(void)key;
	return take_text(text, ret);
}

static bool is_url(const char *text)
{
	const char *host = NULL;

	if (strncasecmp(text, "http://", 7) == 0)
		host = text + 7;
	else if (strncasecmp(text, "https://", 8) == 0)
		host = text + 8;
	return host && *host && !strchr("/:?#", *host) && !strpbrk(text, " \"<>\\^`{|}");
}

static int parse_url(const struct obs_key *key, const char *text, union obs_value *ret)
{
	if (*text && !is_url(text))
		return -EINVAL;
	return parse_string(key, text, ret);
}

static int parse_listen(const struct obs_key *key, const char *text, union obs_value *ret)
{
	struct obs_listen l;

	if (*text && obs_listen_parse(text, &l) < 0)
		return -EINVAL;
	return parse_string(key, text, ret);
}

/* A port becomes the address it stands for. */
static int parse_port(const struct obs_key *key, const char *text, union obs_value *ret)
{
	char address[32];
	int64_t port;
	int r = parse_integer(text, &port);

	if (r < 0)
		return r;
	if (!in_range(key, (double)port))
		return -ERANGE;
	snprintf(address, sizeof(address), "127.0.0.1:%d", (int)port);
	return take_text(address, ret);
}

/* The number of @text among "a|b|c", or -EINVAL. */
static int choice_index(const char *choices, const char *text)
{
	size_t len = strlen(text);
	int i = 0;

	for (const char *p = choices; *p; i++) {
		size_t n = strcspn(p, "|");

		if (n == len && strncmp(p, text, n) == 0)
			return i;
		p += n + (p[n] == '|');
	}
	return -EINVAL;
}

static int parse_choice(const struct obs_key *key, const char *text, union obs_value *ret)
{
	int i = choice_index(key->choices, text);

	return i < 0 ? i : take_text(text, ret);
}

static int parse_forward(const struct obs_key *key, const char *text, union obs_value *ret)
{
	int i = choice_index(key->choices, text);

	if (i < 0)
		return i;
	ret->forward = (enum obs_forward)i;
	return 0;
}

/* The words of YAML 1.1, which Go's parser takes for a boolean too. */
static int parse_bool(const struct obs_key *key, const char *text, union obs_value *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	(void)key;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			ret->flag = i % 2;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_int(const struct obs_key *key, const char *text, union obs_value *ret)
{
	int64_t n;
	int r = parse_integer(text, &n);

	if (r < 0)
		return r;
	if (!in_range(key, (double)n))
		return -ERANGE;
	ret->integer = n;
	return 0;
}

static int parse_count(const struct obs_key *key, const char *text, union obs_value *ret)
{
	union obs_value v;
	int r = parse_int(key, text, &v);

	if (r < 0)
		return r;
	ret->count = (uint64_t)v.integer;
	return 0;
}

static int parse_size(const struct obs_key *key, const char *text, union obs_value *ret)
{
	double n;
	int r = parse_with_unit(text, size_units, ARRAY_LEN(size_units), &n);

	if (r < 0)
		return r;
	if (!in_range(key, n))
		return -ERANGE;
	if ((key->flags & OBS_KEY_POWER_OF_2) && ((uint64_t)n & ((uint64_t)n - 1)))
		return -EINVAL;
	ret->count = (uint64_t)n;
	return 0;
}

static int parse_seconds(const struct obs_key *key, const char *text, union obs_value *ret)
{
	double n;
	int r = parse_with_unit(text, time_units, ARRAY_LEN(time_units), &n);

	if (r < 0)
		return r;
	if (!in_range(key, n))
		return -ERANGE;
	ret->seconds = n;
	return 0;
}

static void format_quoted(const char *text, struct obs_buf *out)
{
	obs_buf_push_str(out, "\"");
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			obs_buf_push_str(out, "\\");
		obs_buf_push(out, p, 1);
	}
	obs_buf_push_str(out, "\"");
}

static void format_string(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	if ((key->flags & OBS_KEY_SECRET) && v->text && *v->text)
		obs_buf_push_str(out, "\"***\"");
	else
		format_quoted(v->text ? v->text : "", out);
}

/* User and password go; of a secret URL, all behind the host too (API keys stand there). */
static void format_url(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	const char *text = v->text ? v->text : "";
	const char *host = strstr(text, "://");
	size_t len;
	const char *at;

	host = host ? host + 3 : text;
	len = strcspn(host, "/?#");
	at = memrchr(host, '@', len);
	obs_buf_printf(out, "\"%.*s", (int)(host - text), text);
	if (at) {
		obs_buf_push_str(out, "***");
		len -= (size_t)(at - host);
		host = at;
	}
	obs_buf_push(out, host, len);
	if ((key->flags & OBS_KEY_SECRET) && host[len])
		obs_buf_push_str(out, "/***\"");
	else
		obs_buf_printf(out, "%s\"", host + len);
}

static void format_tree(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	const char *text = v->text ? v->text + strspn(v->text, " ") : "";

	(void)key;
	obs_buf_push_str(out, *text && strcmp(text, "[]") != 0 ? "{}  # …" : "[]");
}

static void format_choice(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	obs_buf_push_str(out, v->text ? v->text : "\"\"");
}

static void format_forward(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	obs_buf_push_str(out, v->forward == OBS_FORWARD_ALL ? "all" : "events");
}

static void format_bool(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	obs_buf_push_str(out, v->flag ? "true" : "false");
}

static void number_plain(double n, struct obs_buf *out)
{
	obs_buf_printf(out, "%.0f", n);
}

/* In the biggest unit that leaves a whole number. */
static void number_with_unit(double n, const struct unit *units, size_t n_units,
			     struct obs_buf *out)
{
	for (size_t i = 0; i < n_units && n != 0; i++) {
		double q = n / units[i].factor;

		if (q >= 1 && fabs(q - round(q)) < 1e-9 * q) {
			obs_buf_printf(out, "%.0f%s", q, units[i].name);
			return;
		}
	}
	obs_buf_printf(out, "%.10g", n);
}

static void number_size(double n, struct obs_buf *out)
{
	number_with_unit(n, size_units, ARRAY_LEN(size_units), out);
}

static void number_seconds(double n, struct obs_buf *out)
{
	number_with_unit(n, time_units, ARRAY_LEN(time_units), out);
}

static void format_int(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	obs_buf_printf(out, "%lld", (long long)v->integer);
}

static void format_size(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	number_size((double)v->count, out);
}

static void format_seconds(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	number_seconds(v->seconds, out);
}

static void format_list(const struct obs_key *key, const union obs_value *v, struct obs_buf *out)
{
	(void)key;
	obs_buf_push_str(out, "[");
	for (size_t i = 0; i < v->list.n; i++) {
		obs_buf_push_str(out, i ? ", " : "");
		format_quoted(v->list.v[i], out);
	}
	obs_buf_push_str(out, "]");
}

#define TEXT	    sizeof(char *), true
#define PLAIN(type) sizeof(type), false
/* clang-format off */
static const struct type types[OBS_KEY_TYPES] = {
	[OBS_KEY_STRING]  = { "text",     "text on one line",         parse_string,  format_string,  NULL,           TEXT },
	[OBS_KEY_URL]     = { "URL",      "an http:// or https:// URL", parse_url,   format_url,     NULL,           TEXT },
	[OBS_KEY_LISTEN]  = { "address",  "an address and port",      parse_listen,  format_string,  NULL,           TEXT },
	[OBS_KEY_CHOICE]  = { "one of",   "one of",                   parse_choice,  format_choice,  NULL,           TEXT },
	[OBS_KEY_FORWARD] = { "one of",   "one of",                   parse_forward, format_forward, NULL,           PLAIN(enum obs_forward) },
	[OBS_KEY_BOOL]    = { "boolean",  "true or false",            parse_bool,    format_bool,    NULL,           PLAIN(bool) },
	[OBS_KEY_INT]     = { "number",   "a whole number",           parse_int,     format_int,     number_plain,   PLAIN(int64_t) },
	[OBS_KEY_COUNT]   = { "number",   "a whole number",           parse_count,   format_int,     number_plain,   PLAIN(uint64_t) },
	[OBS_KEY_SIZE]    = { "size",     "a size",                   parse_size,    format_size,    number_size,    PLAIN(uint64_t) },
	[OBS_KEY_SECONDS] = { "duration", "a duration",               parse_seconds, format_seconds, number_seconds, PLAIN(double) },
	[OBS_KEY_LIST]    = { "list",     "a list of texts",          NULL,          format_list,    NULL,           PLAIN(struct obs_strv) },
	[OBS_KEY_TREE]    = { "section",  "anything",                 parse_tree,    format_tree,    NULL,           TEXT },
	[OBS_KEY_SECRET_FILE] = { "file", "a file name",              parse_string,  format_string,  NULL,           TEXT },
	[OBS_KEY_PORT]    = { "number",   "a port number",            parse_port,    format_string,  number_plain,   TEXT },
};
/* clang-format on */

int obs_key_parse(const struct obs_key *key, const char *text, union obs_value *ret)
{
	return types[key->type].parse ? types[key->type].parse(key, text, ret) : -EINVAL;
}

size_t obs_key_size(const struct obs_key *key)
{
	return types[key->type].size;
}

void obs_key_format(const struct obs_key *key, const union obs_value *value, struct obs_buf *out)
{
	types[key->type].format(key, value, out);
}

const char *obs_key_type_name(const struct obs_key *key)
{
	return types[key->type].name;
}

bool obs_key_is_list(const struct obs_key *key)
{
	return key->type == OBS_KEY_LIST;
}

bool obs_key_is_text(const struct obs_key *key)
{
	return types[key->type].owns_text;
}

static void push_choices(const char *choices, struct obs_buf *out)
{
	for (const char *p = choices; *p; p++) {
		if (*p == '|')
			obs_buf_push_str(out, ", ");
		else
			obs_buf_push(out, p, 1);
	}
}

void obs_key_range(const struct obs_key *key, struct obs_buf *out)
{
	const struct type *t = &types[key->type];

	if (key->choices) {
		push_choices(key->choices, out);
	} else if (t->format_number) {
		t->format_number(key->min, out);
		obs_buf_push_str(out, " to ");
		t->format_number(key->max, out);
		if (key->flags & OBS_KEY_POWER_OF_2)
			obs_buf_push_str(out, ", a power of two");
	}
}

void obs_key_expected(const struct obs_key *key, struct obs_buf *out)
{
	const struct type *t = &types[key->type];

	obs_buf_push_str(out, t->expected);
	if (key->choices)
		obs_buf_push_str(out, " ");
	else if (t->format_number)
		obs_buf_push_str(out, " from ");
	obs_key_range(key, out);
	if (t->parse == parse_string)
		obs_buf_printf(out, " of at most %.0f bytes", key->max);
}

static void strv_free(struct obs_strv *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct obs_strv){ NULL };
}

void obs_key_value_free(const struct obs_key *key, union obs_value *value)
{
	if (obs_key_is_list(key))
		strv_free(&value->list);
	else if (types[key->type].owns_text)
		obs_text_free(&value->text);
}
