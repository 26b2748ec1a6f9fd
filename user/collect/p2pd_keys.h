/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_keys.h - which DHT keys a node and its peers use most: a bounded table.
 *
 * A key that is new takes the place of the one that was used least, and of these of the one that
 * was used longest ago; what was counted for that one is told as evicted. Belongs to one thread.
 */
#pragma once

#include <stdint.h>

#include "collect/key_names.h"
#include "model/p2p.h"

struct obs_p2pd_keys;

/** obs_p2pd_keys_new() - Return: 0, or -ENOMEM. */
int obs_p2pd_keys_new(struct obs_p2pd_keys **ret);
void obs_p2pd_keys_free(struct obs_p2pd_keys **k);

/**
 * obs_p2pd_keys_use() - @key is used once.
 * @key: 20 bytes
 *
 * Return: its numbers, for the caller to count what was done with it; borrowed until the next
 * call.
 */
struct obs_key_numbers *obs_p2pd_keys_use(struct obs_p2pd_keys *k, const uint8_t *key);

/**
 * obs_p2pd_keys_list() - all of them, the most used first; borrowed until the next call.
 * @names: what their names are looked up in
 */
const struct obs_p2p_key *const *obs_p2pd_keys_list(struct obs_p2pd_keys *k,
						    const struct obs_key_names *names, size_t *n);

/** obs_p2pd_keys_evicted() - how many uses were counted for keys that made room. */
uint64_t obs_p2pd_keys_evicted(const struct obs_p2pd_keys *k);
