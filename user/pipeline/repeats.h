/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repeats.h - collapse.h in the daemon: by config, per node, outliving a restart.
 */
#pragma once

#include "config/config.h"
#include "observe/targets.h"
#include "pipeline/engine.h"

struct obs_repeats;

/**
 * typedef obs_repeats_fn - an event that stands for several that were held back.
 * @ev: complete but for nothing; its text is valid for the call
 */
typedef void (*obs_repeats_fn)(void *ctx, const struct obs_event *ev);

/**
 * obs_repeats_new() - go on with what was held back before a restart.
 * @outlet: borrowed for life
 * @ret: NULL when collapse.first is 0, or when nothing is kept (trace shows all)
 *
 * Return: 0, -ENOMEM.
 */
int obs_repeats_new(const struct obs_config *config, const struct obs_outlet *outlet,
		    obs_repeats_fn emit, void *ctx, struct obs_repeats **ret);
void obs_repeats_free(struct obs_repeats **r);

/** obs_repeats_pass() - see obs_collapse_push(). @r and @node may be NULL. */
bool obs_repeats_pass(struct obs_repeats *r, const struct obs_node *node,
		      const struct obs_event *ev);

/** obs_repeats_tick() - emit what is due at @now_ns (CLOCK_REALTIME). */
void obs_repeats_tick(struct obs_repeats *r, uint64_t now_ns);

/** obs_repeats_save() - before a commit: what is held back goes into it. */
void obs_repeats_save(struct obs_repeats *r);
