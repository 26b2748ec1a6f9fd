// SPDX-License-Identifier: BSD-2-Clause
/*
 * top.c - `top`: the nodes of a running observer, again and again: state, earning, what they use.
 *
 * On a terminal it takes the whole screen until q; elsewhere it prints one plain table. All texts
 * come through obs_ask_parse(), so what nodes call themselves cannot steer the terminal.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "command/ask.h"
#include "command/command.h"
#include "command/top_rows.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define DELAY_MAX_S 3600

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "the daemon's config: where it listens (server.listen)" },
	{ 'u', "url", "URL", "ask this address instead, such as http://127.0.0.1:8080" },
	{ 'd', "delay", "SECONDS", "time between two looks (default 2)" },
	{ 's', "sort", "KEY", "trouble (default), name, for, cpu, memory, gpu, events, errors" },
	{ 'o', "once", NULL, "print one plain table and end; so too where no terminal is" },
	{ 'j', "json", NULL, "print the answer as it comes, once" },
	{ 0 },
};

struct arguments {
	struct obs_ask ask;
	double delay_s;
	enum obs_top_sort sort;
	bool once, json;
};

static volatile sig_atomic_t ended, resized;

/* --- one table --- */

struct screen {
	struct obs_top_rows rows; /* owned */
	uint64_t rows_ns;	  /* CLOCK_MONOTONIC of the last answer; 0 = none yet */
	bool silent;		  /* the last question had no answer */
};

static int look(const struct arguments *a, struct screen *s)
{
	cleanup_buf struct obs_buf answer = {};
	cleanup_cjson cJSON *root = NULL;
	uint64_t now = obs_clock_ns(CLOCK_MONOTONIC);
	int r = obs_ask(&a->ask, "/api/v1/nodes", &answer);

	s->silent = r != OBS_EXIT_OK;
	if (r != OBS_EXIT_OK)
		return r;
	root = obs_ask_parse(&answer);
	if (obs_top_rows_read(&s->rows, root, s->rows_ns ? now - s->rows_ns : 0) < 0) {
		fprintf(stderr, "gswarm-observer top: the answer is not a list of nodes\n");
		return OBS_EXIT_FAIL;
	}
	s->rows_ns = now;
	obs_top_rows_sort(&s->rows, a->sort);
	return OBS_EXIT_OK;
}

static int print_once(const struct arguments *a)
{
	cleanup_buf struct obs_buf out = {};
	struct screen s = {};
	int r = look(a, &s);

	if (r == OBS_EXIT_OK) {
		obs_top_format(&s.rows, &(struct obs_top_view){}, &out);
		fwrite(out.p, 1, out.len, stdout);
	}
	obs_top_rows_free(&s.rows);
	return r;
}

static int print_json(const struct arguments *a)
{
	cleanup_buf struct obs_buf answer = {};
	int r = obs_ask(&a->ask, "/api/v1/nodes", &answer);

	if (r == OBS_EXIT_OK)
		fwrite(answer.p, 1, answer.len, stdout);
	return r;
}

/* --- the terminal --- */

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };
	struct sigaction act = { .sa_handler = on_signal };

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &act, NULL);
}

static void put(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

/* Keys come at once and are not shown. Returns whether there are keys at all. */
static bool take_terminal(struct termios *before)
{
	struct termios raw;
	bool has_keys = tcgetattr(STDIN_FILENO, before) == 0;

	if (has_keys) {
		raw = *before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* another screen, no cursor, lines that are too long are cut */
	put("\033[?1049h\033[?25l\033[?7l");
	return has_keys;
}

static void give_back(const struct termios *before, bool has_keys)
{
	put("\033[?7h\033[?25h\033[?1049l");
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, before);
}

static void measure(struct obs_top_view *v)
{
	struct winsize w = {};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0 || w.ws_row == 0) {
		w.ws_col = 80;
		w.ws_row = 24;
	}
	v->columns = w.ws_col;
	v->lines = w.ws_row;
}

static void draw(const struct arguments *a, const struct screen *s)
{
	cleanup_buf struct obs_buf out = {};
	struct obs_top_view v = { .colours = !getenv("NO_COLOR"), .sort = a->sort, .live = true };

	measure(&v);
	if (s->silent && s->rows_ns)
		v.silent_s = (double)(obs_clock_ns(CLOCK_MONOTONIC) - s->rows_ns) / OBS_NS_PER_S;
	obs_buf_push_str(&out, "\033[H");
	obs_top_format(&s->rows, &v, &out);
	obs_buf_push_str(&out, "\033[J");
	fwrite(out.p, 1, out.len, stdout);
	fflush(stdout);
}

/* Until the delay is over, or a key or signal came. Returns the key, or 0. */
static char wait_key(double delay_s, bool *has_keys)
{
	struct pollfd p = { .fd = *has_keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key = 0;

	if (poll(&p, 1, (int)(delay_s * 1000)) <= 0 || !*has_keys)
		return 0;
	if (read(STDIN_FILENO, &key, 1) <= 0) {
		*has_keys = false; /* the terminal is gone, or stdin has ended */
		return 0;
	}
	return key;
}

/* Returns whether there is something new to ask for. */
static bool act_on(char key, struct arguments *a, struct screen *s)
{
	enum obs_top_sort sort;

	if (key == 'q' || key == 'Q')
		ended = 1;
	if (key == 0)
		return !resized;
	if (obs_top_sort_by_key(key, &sort)) {
		a->sort = sort;
		obs_top_rows_sort(&s->rows, sort);
	}
	return key == ' ' || key == '\n';
}

static int show_live(struct arguments *a)
{
	struct termios before;
	struct screen s = {};
	int r = look(a, &s); /* its first answer decides whether there is anything to show */
	bool has_keys, ask = false;

	if (r == OBS_EXIT_OK) {
		a->ask.quiet = true;
		catch_signals();
		has_keys = take_terminal(&before);
		while (!ended) {
			if (ask)
				look(a, &s);
			draw(a, &s);
			resized = 0;
			ask = act_on(wait_key(a->delay_s, &has_keys), a, &s);
		}
		give_back(&before, has_keys);
	}
	obs_top_rows_free(&s.rows);
	return r;
}

/* --- the command --- */

static int read_delay(const char *text, double *ret)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0.1 && s <= DELAY_MAX_S)) {
		fprintf(stderr, "gswarm-observer top: --delay takes seconds, 0.1 to %d\n",
			DELAY_MAX_S);
		return -EINVAL;
	}
	*ret = s;
	return 0;
}

static int apply(const struct obs_option_value *o, struct arguments *a)
{
	if (!o->name) {
		fprintf(stderr, "gswarm-observer top: unexpected '%s'\n", o->value);
		return -EINVAL;
	}
	if (!strcmp(o->name, "delay"))
		return read_delay(o->value, &a->delay_s);
	if (!strcmp(o->name, "sort") && !obs_top_sort_by_name(o->value, &a->sort)) {
		fprintf(stderr, "gswarm-observer top: --sort does not know '%s'\n", o->value);
		return -EINVAL;
	}
	a->ask.config = strcmp(o->name, "config") ? a->ask.config : o->value;
	a->ask.url = strcmp(o->name, "url") ? a->ask.url : o->value;
	a->once |= !strcmp(o->name, "once");
	a->json |= !strcmp(o->name, "json");
	return 0;
}

static int run(int argc, char **argv)
{
	struct arguments a = { .ask.command = "top", .delay_s = 2 };
	struct obs_option_value o;
	int i = 1, r;

	while ((r = obs_command_next(&obs_command_top, argc, argv, &i, &o)) > 0) {
		r = apply(&o, &a);
		if (r < 0)
			break;
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	if (a.json)
		return print_json(&a);
	if (a.once || !isatty(STDOUT_FILENO))
		return print_once(&a);
	return show_live(&a);
}

const struct obs_command obs_command_top = {
	.name = "top",
	.summary = "watch the nodes of a running observer: state, earning, and what they use",
	.arguments = "",
	.options = options,
	.details =
		"Asks the daemon at server.listen for /api/v1/nodes, every two seconds. Keys: q ends,\n"
		"space looks now; t n f c m g e r sort by trouble, name, how long, CPU, memory,\n"
		"GPU memory, events, errors. CPU is in percent of one core. NO_COLOR is heeded.",
	.run = run,
};
