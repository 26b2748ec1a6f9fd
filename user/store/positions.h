/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * positions.h - how far each sink has come, and which sinks there are now.
 *
 * A sink is registered when its position was set since the store was opened. One
 * that is only known from an earlier run (since taken out of the config) keeps
 * its position but holds nothing up and loses nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBS_POSITIONS_MAX     64
#define OBS_POSITION_NAME_MAX 31

struct obs_position {
	char name[OBS_POSITION_NAME_MAX + 1];
	uint64_t seq; /* last delivered; 0 = none */
	bool registered;
	bool dirty; /* differs from the committed value */
};

/* All zero is an empty table. */
struct obs_positions {
	struct obs_position v[OBS_POSITIONS_MAX];
	size_t n;
};

/** obs_positions_find() - the row of @name, or NULL. */
struct obs_position *obs_positions_find(struct obs_positions *p, const char *name);

/**
 * obs_positions_push() - the row of @name, made when there is none.
 *
 * Return: 0, -EINVAL for an empty or too long name, -ENOSPC past OBS_POSITIONS_MAX.
 */
int obs_positions_push(struct obs_positions *p, const char *name, struct obs_position **ret);

/** obs_positions_dirty() - is there a row to write? */
bool obs_positions_dirty(const struct obs_positions *p);

/** obs_positions_missing() - how many of the events @first…@last some registered sink lacks. */
uint64_t obs_positions_missing(const struct obs_positions *p, uint64_t first, uint64_t last);
