/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h - names that a container chose, made fit for JSON and Prometheus. Part of serve/ only. */
#pragma once

#include "util/buf.h"

/** obs_text_push() - append @s with invalid UTF-8 and control characters as U+FFFD. */
void obs_text_push(struct obs_buf *out, const char *s);
