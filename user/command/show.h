/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show.h - the model in a few lines for people.
 */
#pragma once

#include <stdio.h>

#include "model/model.h"

/** obs_print_probe() - need, rung, what is unseen, why, what to do; a line each. */
void obs_print_probe(FILE *f, const struct obs_probe_status *p);
