/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - numbers that the trainer prints: a Python dict, a table's rows, wandb's summary.
 */
#pragma once

#include <stdbool.h>

#include "pipeline/event.h"

/**
 * obs_metrics_dict() - {'loss': 0.0, …}: add every number as a field.
 *
 * Words for what is no number (nan, inf) stay words; strings, lists and None are left out,
 * and so are keys that a detail of the event has already.
 *
 * Return: was it a dict with at least one number? If not, @ev is untouched.
 */
bool obs_metrics_dict(struct obs_slice text, struct obs_event *ev);

/** obs_metrics_row() - one row "  train_loss   =   0.0". Return: as obs_metrics_dict(). */
bool obs_metrics_row(struct obs_slice line, struct obs_event *ev);

/** obs_metrics_wandb() - "train/loss 0", behind "wandb: ". Return: as obs_metrics_dict(). */
bool obs_metrics_wandb(struct obs_slice text, struct obs_event *ev);
