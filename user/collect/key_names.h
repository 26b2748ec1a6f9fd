/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_names.h - what a DHT key stands for.
 *
 * A key is the SHA-1 of a name, so it is known only by trying names: RL-Swarm's round numbers
 * and the names made with them, near the rounds that are known, and, for a key that the node
 * stores itself, slowly all rounds there can be.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/p2p.h"

struct obs_key_names;

int obs_key_names_new(struct obs_key_names **ret);
void obs_key_names_free(struct obs_key_names **n);

/** obs_key_names_learn() - @round is under way somewhere. */
void obs_key_names_learn(struct obs_key_names *n, uint32_t round);

/**
 * obs_key_names_find() - the name of @key.
 * @out:   the name, NUL-terminated; "" if it is not known
 * @round: the round that is in it, -1 = none
 *
 * Return: is it known?
 */
bool obs_key_names_find(const struct obs_key_names *n, const uint8_t key[20],
			char out[OBS_KEY_NAME_LEN], int64_t *round);

/** obs_key_names_kind() - what @key is for. */
enum obs_key_kind obs_key_names_kind(const struct obs_key_names *n, const uint8_t key[20]);

/** obs_key_names_want() - look for @key's name in what obs_key_names_step() tries. */
void obs_key_names_want(struct obs_key_names *n, const uint8_t key[20]);

/** obs_key_names_busy() - is there a key that is looked for? */
bool obs_key_names_busy(const struct obs_key_names *n);

/** obs_key_names_step() - try the next @budget rounds for the key that is wanted. Return: found? */
bool obs_key_names_step(struct obs_key_names *n, uint32_t budget);
