// SPDX-License-Identifier: BSD-2-Clause
/* log.c - see log.h. Colour only when stderr is a terminal and NO_COLOR is unset. */
#include "util/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_BYTES 2048

static enum obs_log_level max_level = OBS_LOG_INFO;

static const struct {
	const char *word;
	const char *colour;
} levels[] = {
	[OBS_LOG_ERROR] = { "error: ", "\033[1;31m" },
	[OBS_LOG_WARN] = { "warning: ", "\033[1;33m" },
	[OBS_LOG_INFO] = { "", "" },
	[OBS_LOG_DEBUG] = { "debug: ", "\033[2m" },
};

void obs_log_set_level(enum obs_log_level level)
{
	max_level = level;
}

static void escape_controls(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

void obs_log(enum obs_log_level level, const char *fmt, ...)
{
	bool colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
	char text[LOG_LINE_BYTES], line[LOG_LINE_BYTES + 64];
	int saved = errno, n;
	va_list ap;

	if (level > max_level)
		return;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	escape_controls(text);

	n = snprintf(line, sizeof(line), "gswarm-observer: %s%s%s%s\n",
		     colour ? levels[level].colour : "", levels[level].word,
		     colour && *levels[level].colour ? "\033[0m" : "", text);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* stderr is gone: nowhere left to say so */
	}
	errno = saved;
}
