// SPDX-License-Identifier: BSD-2-Clause
/* script.c - read a scenario; make the text of its writes. The format stands in script.h. */
#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define BURST_LINE_BYTES 120
#define BURST_LINE_MIN	 96
#define LOOP_DEPTH_MAX	 8

/* The prefix is a real one (rls#474) and always the same, so that a test can tell the text. */
#define BURST_PREFIX "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][INFO] - "

static const char *const place_names[PLACE_MAX] = {
	[PLACE_FILE] = "file",	 [PLACE_OUT] = "out", [PLACE_ERR] = "err",
	[PLACE_WANDB] = "wandb", [PLACE_SH] = "sh",   [PLACE_YARN] = "yarn",
	[PLACE_P2PD] = "p2pd",
};

static const struct {
	const char *name;
	enum node_op_kind kind;
} verbs[] = {
	{ "burst", OP_BURST },
	{ "loop", OP_LOOP },
	{ "end", OP_END },
	{ "gate", OP_GATE },
	{ "exit", OP_EXIT },
	{ "crash", OP_CRASH },
	{ "eat", OP_EAT },
	{ "forks", OP_FORKS },
	{ "spin", OP_SPIN },
	{ "hang_pipe", OP_HANG_PIPE },
	{ "hang_port", OP_HANG_PORT },
};

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fputs("node: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (err)
		fprintf(stderr, ": %s", strerror(err));
	fputc('\n', stderr);
	exit(1);
}

static bool parse_write(const char *word, char *rest, struct node_op *op)
{
	char *text;

	for (int p = 0; p < PLACE_MAX; p++) {
		if (strcmp(word, place_names[p]) != 0)
			continue;
		op->kind = OP_WRITE;
		op->place = p;
		op->delay_ms = strtoul(rest, &text, 10);
		op->text = *text == ' ' ? text + 1 : text;
		return text != rest;
	}
	return false;
}

static bool parse_verb(const char *word, char *rest, struct node_op *op)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(word, verbs[i].name) != 0)
			continue;
		op->kind = verbs[i].kind;
		op->n = strtoul(rest, &rest, 10);
		op->rate = strtoul(rest, &rest, 10);
		op->bytes = strtoul(rest, &rest, 10);
		if (op->kind == OP_BURST && op->bytes == 0)
			op->bytes = BURST_LINE_BYTES;
		if (op->kind == OP_LOOP)
			op->bytes = op->rate;
		return *rest == '\0' && (op->kind != OP_BURST || (op->bytes >= BURST_LINE_MIN &&
								  op->bytes <= NODE_TEXT_MAX));
	}
	return false;
}

static void parse_line(char *line, unsigned number, struct node_op *ret)
{
	char *rest = line + strcspn(line, " \t");

	if (*rest)
		*rest++ = '\0';
	*ret = (struct node_op){};
	errno = 0;
	if (!parse_write(line, rest, ret) && !parse_verb(line, rest, ret))
		die("scenario line %u: '%s' is not understood here", number, line);
}

static void match_loops(struct node_script *s)
{
	size_t open[LOOP_DEPTH_MAX], depth = 0;

	for (size_t i = 0; i < s->n_ops; i++) {
		if (s->ops[i].kind == OP_LOOP) {
			if (depth == LOOP_DEPTH_MAX)
				die("scenario: loops are nested too deep");
			open[depth++] = i;
		} else if (s->ops[i].kind == OP_END) {
			if (depth == 0)
				die("scenario: an 'end' without its 'loop'");
			s->ops[i].loop = open[--depth];
			s->ops[s->ops[i].loop].loop = i;
		}
	}
	if (depth > 0)
		die("scenario: a 'loop' without its 'end'");
}

void node_script_parse(char *text, struct node_script *ret)
{
	struct node_script s = {};
	unsigned number = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		number++;
		if (*line == '\0' || *line == '#')
			continue;
		s.ops = reallocarray(s.ops, s.n_ops + 1, sizeof(*s.ops));
		if (!s.ops)
			die("out of memory");
		parse_line(line, number, &s.ops[s.n_ops++]);
	}
	errno = 0;
	match_loops(&s);
	*ret = s;
}

static size_t print_now(char *out, size_t room)
{
	struct timeval tv;
	struct tm tm;
	size_t n;

	gettimeofday(&tv, NULL);
	localtime_r(&tv.tv_sec, &tm);
	n = strftime(out, room, "%Y-%m-%d %H:%M:%S", &tm);
	return n + snprintf(out + n, room - n, ",%03ld", (long)tv.tv_usec / 1000);
}

/* Put out the character that the escape at @p stands for; return what follows it. */
static const char *unescape(const char *p, char *out)
{
	static const char from[] = "nrte\\", to[] = "\n\r\t\033\\";
	const char *at = p[1] ? strchr(from, p[1]) : NULL;
	char hex[3];

	if (at) {
		*out = to[at - from];
		return p + 2;
	}
	if (p[1] != 'x' || !p[2] || !p[3])
		die("scenario: unknown escape in '%s'", p);
	memcpy(hex, p + 2, 2);
	hex[2] = '\0';
	*out = (char)strtoul(hex, NULL, 16);
	return p + 4;
}

size_t node_text_expand(const char *text, unsigned long turn, char *ret)
{
	size_t n = 0;

	while (*text) {
		if (n + 64 > NODE_TEXT_MAX)
			die("scenario: a text of more than %d bytes", NODE_TEXT_MAX - 64);
		if (strcmp(text, "\\c") == 0)
			return n;
		if (*text == '\\') {
			text = unescape(text, &ret[n++]);
		} else if (strncmp(text, "%{n}", 4) == 0) {
			n += snprintf(ret + n, NODE_TEXT_MAX - n, "%lu", turn);
			text += 4;
		} else if (strncmp(text, "%{time}", 7) == 0) {
			n += print_now(ret + n, NODE_TEXT_MAX - n);
			text += 7;
		} else {
			ret[n++] = *text++;
		}
	}
	ret[n++] = '\n';
	return n;
}

size_t node_burst_line(unsigned long i, unsigned long n, size_t bytes, char *ret)
{
	size_t used = snprintf(ret, bytes, BURST_PREFIX "burst %07lu/%lu ", i, n);

	memset(ret + used, 'x', bytes - used - 1);
	ret[bytes - 1] = '\n';
	return bytes;
}
