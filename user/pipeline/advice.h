/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * advice.h - what an error code means to an operator, and what to do: one table for
 * replay --summary, alerts, the dashboard and docs/.
 */
#pragma once

struct obs_advice {
	const char *code;
	const char *meaning; /* one line: what happened and what it costs */
	const char *action;  /* one or two lines: the usual cause, what to do */
};

/* Ends with a row whose code is NULL. */
extern const struct obs_advice obs_advices[];

/** obs_advice_find() - the row of a code, or NULL. */
const struct obs_advice *obs_advice_find(const char *code);
