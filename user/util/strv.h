/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * strv.h - a list of strings.
 */
#pragma once

#include <stddef.h>

struct obs_strv {
	char **v; /* n entries; who owns them stands where the list stands */
	size_t n;
};
