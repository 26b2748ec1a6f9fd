// SPDX-License-Identifier: BSD-2-Clause
/*
 * check.c - are the lines of the logs in the events, each exactly once?
 *
 * Events are those of `gswarm-observer events`: one JSON object a line, no spaces. Only what is
 * compared is looked for; good enough for lines that this program wrote itself.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "ways.h"

#define TEXT_CHARS 40 /* compared, from the end of a line */

struct text {
	char *p; /* owned, NUL-terminated */
	size_t len;
};

static void free_text(struct text *t)
{
	free(t->p);
}

static int load(const char *path, struct text *ret)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	ret->p = calloc(1, (size_t)st.st_size + 1);
	if (!ret->p || read(fd, ret->p, (size_t)st.st_size) != st.st_size)
		return -1;
	ret->len = (size_t)st.st_size;
	return 0;
}

/* What is expected of one log, and what came of it. */
struct log {
	char path[PATH_BYTES];
	struct text text;
	unsigned char *seen; /* owned; by offset of a line's first byte */
	unsigned lines, caught, wrong, twice, missing;
};

static void free_log(struct log *l)
{
	free(l->seen);
	free_text(&l->text);
}

static int load_log(const char *dir, const char *name, struct log *l)
{
	char want[PATH_BYTES + 8];

	*l = (struct log){};
	snprintf(l->path, sizeof(l->path), "%s/%s.log", dir, name);
	snprintf(want, sizeof(want), "%s.want", l->path);
	if (load(want, &l->text) < 0 && load(l->path, &l->text) < 0)
		return -1;
	l->seen = calloc(1, l->text.len + 1);
	return l->seen ? 0 : -1;
}

static bool starts_line(const struct log *l, size_t at)
{
	return at < l->text.len && (at == 0 || l->text.p[at - 1] == '\n');
}

static const char *value(const char *line, const char *key)
{
	const char *p = strstr(line, key);

	return p ? p + strlen(key) : NULL;
}

/* Does the line at @at end as the event's message does? */
static bool same_end(const struct log *l, size_t at, const char *message)
{
	const char *start = l->text.p + at;
	const char *end = memchr(start, '\n', l->text.len - at);
	size_t len = message ? strcspn(message, "\"") : 0, n = len < TEXT_CHARS ? len : TEXT_CHARS;

	return end && n > 0 && (size_t)(end - start) >= n &&
	       memcmp(end - n, message + len - n, n) == 0;
}

static void take_event(struct log *l, const char *line)
{
	const char *path = value(line, "\"path\":\""), *via = value(line, "\"via\":\"");
	const char *offset = value(line, "\"offset\":");
	size_t len = strlen(l->path), at;

	if (!path || !via || !offset || strncmp(path, l->path, len) != 0 || path[len] != '"')
		return;
	at = strtoull(offset, NULL, 10);
	if (!starts_line(l, at) || !same_end(l, at, value(line, "\"message\":\""))) {
		if (l->wrong++ == 0)
			printf("# %.300s\n", line);
		return;
	}
	if (l->seen[at]++)
		l->twice++;
	if (strncmp(via, "file\"", 5) == 0)
		l->caught++;
}

static void take_events(struct log *l, const struct text *events)
{
	for (char *line = events->p, *next; *line; line = next) {
		char *end = strchr(line, '\n');

		next = end ? end + 1 : line + strlen(line);
		if (end)
			*end = '\0';
		take_event(l, line);
		if (end)
			*end = '\n';
	}
}

static void count_lines(struct log *l)
{
	for (size_t at = 0; at < l->text.len; at++) {
		if (!starts_line(l, at) || !memchr(l->text.p + at, '\n', l->text.len - at))
			continue;
		l->lines++;
		if (!l->seen[at] && l->missing++ == 0)
			printf("# missing at %zu: %.60s\n", at, l->text.p + at);
	}
}

/* Return: was it as it should be? */
static bool check_log(const char *dir, const struct way *w, const struct text *events, bool caught)
{
	OBS_CLEANUP(free_log) struct log l = {};
	bool ok;

	if (load_log(dir, w->name, &l) < 0)
		return printf("not ok %s: its log cannot be read\n", w->name) < 0;
	take_events(&l, events);
	count_lines(&l);
	ok = l.lines > 0 && !l.missing && !l.twice && !l.wrong;
	if (caught && w->how == CAUGHT && l.caught != l.lines)
		ok = false;
	printf("%s %s: %u lines, %u caught at the write, %u missing, %u twice, %u wrong\n",
	       ok ? "ok" : "not ok", w->name, l.lines, l.caught, l.missing, l.twice, l.wrong);
	return ok;
}

static bool is_meant(const char *name, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 0;
}

static bool is_there(const char *dir, const char *name)
{
	char path[PATH_BYTES];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.log", dir, name);
	return stat(path, &st) == 0 && st.st_size > 0;
}

int check(const char *dir, const char *events_path, int argc, char **argv)
{
	static const struct way *const tables[] = { calls, rings, sharers, memories };
	OBS_CLEANUP(free_text) struct text events = {};
	bool caught = argc > 0 && strcmp(argv[0], "-c") == 0;
	int passed = 0, failed = 0, absent = 0;

	if (load(events_path, &events) < 0) {
		perror(events_path);
		return 2;
	}
	argc -= caught;
	argv += caught;
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		for (const struct way *w = tables[t]; w->name; w++) {
			if (w->keep || !is_meant(w->name, argc, argv))
				continue;
			if (!is_there(dir, w->name))
				absent++;
			else if (check_log(dir, w, &events, caught))
				passed++;
			else
				failed++;
		}
	}
	printf("%d passed, %d failed, %d not here\n", passed, failed, absent);
	return failed || passed == 0 ? 1 : 0;
}
