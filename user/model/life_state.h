/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * life_state.h - a node's life as text, to be kept over a restart of the observer: submissions
 * are hours apart, and "does it earn?" must not have to wait for the next one.
 *
 * A line per value: its name, a blank, the value.
 */
#pragma once

#include "model/life.h"
#include "util/buf.h"

/**
 * obs_life_state_format() - append what is known.
 * @trainer: names its trainer's process for good; 0 = none lives
 *
 * Return: 0, -ENOMEM, -EMSGSIZE.
 */
int obs_life_state_format(const struct obs_life *l, uint64_t trainer, struct obs_buf *out);

/**
 * obs_life_state_parse() - take it in again: rounds and submissions always, its state only if
 * the same trainer still lives.
 * @text: as found in the store; what makes no sense is skipped
 *
 * Return: 0, or -EINVAL: nothing was taken.
 */
int obs_life_state_parse(struct obs_life *l, uint64_t trainer, struct obs_slice text);
