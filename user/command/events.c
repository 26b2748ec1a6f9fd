// SPDX-License-Identifier: BSD-2-Clause
/*
 * events.c - history out of the store, oldest first; a daemon may be writing to it.
 */
#include "command/command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/follow_loop.h"
#include "store/store.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define DEFAULT_LAST 100

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings, for the state directory" },
	{ 0, "state-dir", "DIR", "the store's directory" },
	{ 0, "since", "AGE", "only events of the last 90s, 10m, 1h, 7d" },
	{ 0, "type", "TYPE", "only this event_type; 'error' for instance" },
	{ 'n', "last", "N", "at most the last N (default 100 unless --all or --since)" },
	{ 0, "all", NULL, "everything that is kept" },
	{ 0, "aggregate", "LENGTH",
	  "counts and values per node and window of 1m, 5m or 1h instead" },
	{ 0 },
};

struct query {
	const char *config, *state_dir;
	char since[32];	    /* RFC 3339, "" = from the beginning */
	char type[64];	    /* "\"event_type\":\"error\"" */
	unsigned long last; /* 0 = no limit */
	uint64_t from_s;    /* since, in seconds of 1970 */
	uint64_t window_s;  /* not events but windows of this length; 0 = events */
};

static int parse_age(const char *text, struct query *q)
{
	static const struct {
		char letter;
		unsigned seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		time_t from = time(NULL) - (time_t)(n * units[i].seconds);
		struct tm tm;

		if (end == text || *end != units[i].letter || end[1])
			continue;
		gmtime_r(&from, &tm);
		strftime(q->since, sizeof(q->since), "%Y-%m-%dT%H:%M:%S", &tm);
		q->from_s = (uint64_t)from;
		q->last = 0;
		return 0;
	}
	fprintf(stderr, "gswarm-observer events: '%s' is no age; write 90s, 10m, 1h or 7d\n", text);
	return -EINVAL;
}

static int parse_type(const char *text, struct query *q)
{
	if (obs_event_type_from_str(obs_slice_str(text)) < 0) {
		fprintf(stderr, "gswarm-observer events: no event_type is called '%s'; known are",
			text);
		for (int i = 0; i < OBS_EVENT_TYPE_MAX; i++)
			fprintf(stderr, " %s", obs_event_type_str((enum obs_event_type)i));
		fputc('\n', stderr);
		return -EINVAL;
	}
	snprintf(q->type, sizeof(q->type), "\"event_type\":\"%s\"", text);
	return 0;
}

static int parse_last(const char *text, struct query *q)
{
	char *end;

	q->last = strtoul(text, &end, 10);
	if (end != text && !*end && q->last > 0)
		return 0;
	fprintf(stderr, "gswarm-observer events: '%s' is no number of events\n", text);
	return -EINVAL;
}

static int parse_window(const char *text, struct query *q)
{
	static const struct {
		const char *word;
		unsigned seconds;
	} words[] = { { "1m", 60 }, { "5m", 300 }, { "1h", 3600 } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!strcmp(text, words[i].word))
			q->window_s = words[i].seconds;
	}
	if (q->window_s)
		return 0;
	fprintf(stderr, "gswarm-observer events: '%s' is no window; write 1m, 5m or 1h\n", text);
	return -EINVAL;
}

static int apply(const struct obs_option_value *o, struct query *q)
{
	if (!o->name) {
		fprintf(stderr, "gswarm-observer events: '%s' is one too many; see --help\n",
			o->value);
		return -EINVAL;
	}
	if (!strcmp(o->name, "config"))
		q->config = o->value;
	else if (!strcmp(o->name, "state-dir"))
		q->state_dir = o->value;
	else if (!strcmp(o->name, "since"))
		return parse_age(o->value, q);
	else if (!strcmp(o->name, "type"))
		return parse_type(o->value, q);
	else if (!strcmp(o->name, "last"))
		return parse_last(o->value, q);
	else if (!strcmp(o->name, "aggregate"))
		return parse_window(o->value, q);
	else
		q->last = 0;
	return 0;
}

static bool matches(const struct query *q, struct obs_slice json)
{
	static const char key[] = "\"timestamp\":\"";
	const char *at;

	if (*q->type && !memmem(json.p, json.len, q->type, strlen(q->type)))
		return false;
	if (!*q->since)
		return true;
	at = memmem(json.p, json.len, key, sizeof(key) - 1);
	return at && strncmp(at + sizeof(key) - 1, q->since, strlen(q->since)) >= 0;
}

/* Print what matches behind @after; count only when @skip_to is not reached yet. */
static int walk(struct obs_store_reader *r, const struct query *q, unsigned long skip,
		unsigned long *ret_count)
{
	struct obs_store_item item = { 0 };
	uint64_t after = 0;
	int got;

	*ret_count = 0;
	while ((got = obs_store_reader_next(r, after, &item)) > 0) {
		after = item.seq;
		if (!matches(q, item.json) || (*ret_count)++ < skip)
			continue;
		fwrite(item.json.p, 1, item.json.len, stdout);
		putchar('\n');
	}
	return got;
}

struct windows {
	unsigned long n, skip; /* skip ULONG_MAX: only count */
};

static void print_window(void *ctx, struct obs_slice json)
{
	struct windows *w = ctx;

	if (w->n++ < w->skip)
		return;
	fwrite(json.p, 1, json.len, stdout);
	putchar('\n');
}

static int walk_windows(struct obs_store_reader *r, const struct query *q)
{
	struct windows count = { 0, ULONG_MAX }, w = { 0 };
	int err = obs_store_reader_windows(r, q->window_s, q->from_s, print_window, &count);

	if (err < 0)
		return err;
	w.skip = q->last && count.n > q->last ? count.n - q->last : 0;
	return obs_store_reader_windows(r, q->window_s, q->from_s, print_window, &w);
}

static int walk_events(struct obs_store_reader *r, const struct query *q)
{
	unsigned long count = 0;
	int err = q->last > 0 ? walk(r, q, (unsigned long)-1, &count) : 0;

	if (err == 0)
		err = walk(r, q, q->last && count > q->last ? count - q->last : 0, &count);
	return err;
}

static int print_events(const char *dir, const struct query *q)
{
	struct obs_store_reader *r = NULL;
	int err = obs_store_reader_open(dir, &r);

	if (err == -ENOENT) {
		obs_err("there is no store in %s; --state-dir names another", dir);
		return OBS_EXIT_FAIL;
	}
	if (err == 0)
		err = q->window_s ? walk_windows(r, q) : walk_events(r, q);
	obs_store_reader_free(&r);
	if (err < 0)
		obs_err("cannot read the store in %s: %s", dir, strerror(-err));
	return err < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct query q = { .last = DEFAULT_LAST };
	struct obs_config *config = NULL;
	struct obs_option_value o;
	const char *path;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_events, argc, argv, &i, &o)) > 0) {
		if (apply(&o, &q) < 0)
			return OBS_EXIT_USAGE;
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	if (q.state_dir)
		return print_events(q.state_dir, &q);
	r = obs_command_config(q.config, &config, &path);
	if (r == 0)
		r = print_events(config->state_dir, &q);
	obs_config_free(&config);
	return r;
}

const struct obs_command obs_command_events = {
	.name = "events",
	.summary = "print events out of the store",
	.arguments = "",
	.options = options,
	.details =
		"JSON lines, oldest first. The daemon may run meanwhile. Windows are kept for a day\n"
		"(1m), a week (5m) and 90 days (1h).",
	.run = run,
};
