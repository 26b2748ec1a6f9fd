/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * socks.bpf.h - whose a TCP socket is, from its first SYN to its end.
 *
 * A short connection would spend more on its entry in a hash table (memory, two locks) than on all
 * else that it is told by: so each socket has a place in an array, by its address, and only
 * one that finds its place taken goes to the table.
 */
#pragma once

#include "emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set at load: nothing lies at 0 */
	__type(key, __u32);	/* obs_sock_place_of() */
	__type(value, struct obs_sock_place);
} sock_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1); /* set at load */
	__type(key, __u64);	/* struct sock * */
	__type(value, struct obs_sock_value);
} socks SEC(".maps");

/* As a number: with a pointer the verifier lets nobody calculate. */
static __always_inline __u64 obs_sock_key(void *sk)
{
	__u64 key = 0;

	bpf_probe_read_kernel(&key, sizeof(key), &sk);
	return key;
}

static __always_inline struct obs_sock_place *place_of(__u64 sock)
{
	__u32 index = obs_sock_place_of(sock);

	return bpf_map_lookup_elem(&sock_places, &index);
}

static __always_inline struct obs_sock_value *obs_sock_find(__u64 key)
{
	struct obs_sock_place *place = place_of(key);

	if (place && place->sock == key)
		return &place->value;
	return bpf_map_lookup_elem(&socks, &key);
}

/* What is still noted of a socket that begins: that its memory was another's, whose end was not seen.
 * Looked for only where the new note is going to lie. */
static __always_inline struct obs_sock_value *obs_sock_left(__u64 key)
{
	struct obs_sock_place *place = place_of(key);

	if (place && place->sock == key)
		return &place->value;
	return !place || place->sock ? bpf_map_lookup_elem(&socks, &key) : NULL;
}

/* @flags: BPF_ANY; BPF_NOEXIST: what is known of it stays. Return: 0, or -1: there is no room. */
static __always_inline int obs_sock_note(__u64 key, const struct obs_sock_value *s, __u64 flags)
{
	struct obs_sock_place *place = place_of(key);
	__u64 was;

	if (place) {
		was = __sync_val_compare_and_swap(&place->sock, 0, key);
		if (was == 0 || (was == key && flags == BPF_ANY))
			place->value = *s;
		if (was == 0 || was == key)
			return 0;
	}
	return bpf_map_update_elem(&socks, &key, s, flags) == 0 ? 0 : -1;
}

static __always_inline void obs_sock_forget(__u64 key)
{
	struct obs_sock_place *place = place_of(key);

	if (place && place->sock == key)
		place->sock = 0;
	else
		bpf_map_delete_elem(&socks, &key);
}
