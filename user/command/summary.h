/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * summary.h - what a log tells, on one screen: for someone who was sent one.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "pipeline/event.h"

struct obs_summary;

int obs_summary_new(struct obs_summary **ret);
void obs_summary_free(struct obs_summary **s);

/**
 * obs_summary_push() - take an event in; nothing of it is kept by reference but its code.
 * @timed: its time is of the log, not a guess
 */
void obs_summary_push(struct obs_summary *s, const struct obs_event *ev, bool timed);

/** obs_summary_print() - the report. @colour: for a terminal. */
void obs_summary_print(const struct obs_summary *s, FILE *f, bool colour);
