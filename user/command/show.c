// SPDX-License-Identifier: BSD-2-Clause
/* show.c - see show.h. */
#include "command/show.h"

#include <stdlib.h>
#include <unistd.h>

static const char *colour(FILE *f, const char *code)
{
	return isatty(fileno(f)) && !getenv("NO_COLOR") ? code : "";
}

static void print_more(FILE *f, const char *what, const char *text)
{
	if (*text)
		fprintf(f, "  %-16s      %s: %s\n", "", what, text);
}

void obs_print_probe(FILE *f, const struct obs_probe_status *p)
{
	const char *word = !p->ok ? "none" : p->first_choice ? "best" : "ok  ";
	const char *paint = !p->ok ? "\033[31m" : p->first_choice ? "\033[32m" : "\033[33m";

	fprintf(f, "  %-16s %s%s%s %s\n", p->need, colour(f, paint), word, colour(f, "\033[0m"),
		p->rung);
	print_more(f, "unseen", p->unseen);
	print_more(f, "refused", p->refused);
	print_more(f, "to do", p->advice);
}
