/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.h - what terminals add to text: colours and progress bars.
 */
#pragma once

#include "util/buf.h"
#include "util/slice.h"

/**
 * obs_ansi_strip() - the text without escape sequences (CSI, OSC, others).
 * @scratch: where the result stands if something had to go
 *
 * Return: @text itself, or a slice of @scratch; @text when memory is out.
 */
struct obs_slice obs_ansi_strip(struct obs_slice text, struct obs_buf *scratch);

/**
 * obs_bar_scan() - a tqdm progress bar at the start of a line.
 * @ret_name: what stands before the percentage: the bar's name
 *
 * Return: bytes up to behind the bar's "]"; 0 = no bar.
 */
size_t obs_bar_scan(struct obs_slice line, struct obs_slice *ret_name);
