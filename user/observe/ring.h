/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - takes records out of the ring buffer, at the right moments.
 *
 * While records come, a timer drains every 2 ms and the programs wake nobody;
 * after 10 ms of silence the reader raises reader_sleeps, looks once more a tick
 * later (a record sent in between may have missed the flag), and sleeps until
 * the next record wakes it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "obs/wire.h"

struct obs_ring;

/** typedef obs_ring_fn - one raw record; borrowed for the call. */
typedef void (*obs_ring_fn)(void *ctx, const void *data, size_t len);

/** typedef obs_ring_drained_fn - a drain that found @n > 0 records is over. */
typedef void (*obs_ring_drained_fn)(void *ctx, size_t n);

/**
 * obs_ring_new() - start reading.
 * @map_fd:  ring buffer map, borrowed
 * @control: the page shared with the programs, borrowed
 *
 * Return: 0, -ENOMEM, or a negative errno.
 */
int obs_ring_new(uv_loop_t *loop, int map_fd, struct obs_control *control, obs_ring_fn on_record,
		 obs_ring_drained_fn on_drained, void *ctx, struct obs_ring **ret);

/** obs_ring_drain() - take out now what is there. Return: records. */
size_t obs_ring_drain(struct obs_ring *r);

/** obs_ring_free() - stop; the loop must run once more for the handles to close. */
void obs_ring_free(struct obs_ring **r);
