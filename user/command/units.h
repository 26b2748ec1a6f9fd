/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * units.h - amounts as people read them, for the commands that print tables.
 */
#pragma once

#define OBS_UNIT_TEXT 16

/** obs_bytes_text() - @n bytes in thousands: "999 B", "1.5 kB", "120 MB". Return: @out. */
const char *obs_bytes_text(double n, char out[OBS_UNIT_TEXT]);

/** obs_span_text() - @s seconds in one unit, of which there are at least two: "119 s", "2 min".
 * Return: @out. */
const char *obs_span_text(double s, char out[OBS_UNIT_TEXT]);
