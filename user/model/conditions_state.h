/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conditions_state.h - the conditions of a node as text, to be kept over a restart of the observer:
 * one of half an hour must not begin anew, nor seem to have ended.
 *
 * A line says of which p2pd they are and when it was looked; then a line per condition that holds
 * or is suspected, and one behind it for each line of its evidence.
 */
#pragma once

#include "model/conditions.h"
#include "util/buf.h"

/** obs_conditions_differ() - a number that changes whenever what is kept of them has changed, but
 * for values and words; 0 = there is nothing to keep. */
uint64_t obs_conditions_differ(const struct obs_conditions *all);

/**
 * obs_conditions_state_format() - append those that hold or are suspected.
 * @p2pd: names its process for good
 * @wall_ns: CLOCK_REALTIME of now
 *
 * Return: 0, -ENOMEM, -EMSGSIZE.
 */
int obs_conditions_state_format(const struct obs_conditions *all, uint64_t p2pd, uint64_t wall_ns,
				struct obs_buf *out);

/**
 * obs_conditions_state_parse() - take them in again, if they are of the same p2pd.
 * @all:   zeroed
 * @facts: the clocks of now
 * @text:  as found in the store; what makes no sense is skipped
 *
 * One that did not hold yet is dropped when nobody has looked for OBS_CONDITION_GAP_S.
 *
 * Return: 0, -EINVAL: nothing was taken.
 */
int obs_conditions_state_parse(struct obs_conditions *all, uint64_t p2pd,
			       const struct obs_condition_facts *facts, struct obs_slice text);
