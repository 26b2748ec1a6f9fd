// SPDX-License-Identifier: BSD-2-Clause
/* units.c - see units.h. */
#include "command/units.h"

#include <stdio.h>

#include "util/cleanup.h"

const char *obs_bytes_text(double n, char out[OBS_UNIT_TEXT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	for (; n >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000;
	snprintf(out, OBS_UNIT_TEXT, i == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[i]);
	return out;
}

const char *obs_span_text(double s, char out[OBS_UNIT_TEXT])
{
	if (s >= 172800)
		snprintf(out, OBS_UNIT_TEXT, "%.0f d", s / 86400);
	else if (s >= 7200)
		snprintf(out, OBS_UNIT_TEXT, "%.0f h", s / 3600);
	else if (s >= 120)
		snprintf(out, OBS_UNIT_TEXT, "%.0f min", s / 60);
	else
		snprintf(out, OBS_UNIT_TEXT, "%.0f s", s);
	return out;
}
