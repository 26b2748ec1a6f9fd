/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abi.h - the EVM's way to write calls, results and events: named items, 32-byte words.
 *
 * Results come from strangers: every offset and count in them is checked against what is there.
 * Pure; values are slices of the data, or text of bounded length.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/buf.h"
#include "util/keccak.h"
#include "util/slice.h"

#define OBS_ABI_WORD	    32
#define OBS_ABI_PARAMS_MAX  8
#define OBS_ABI_NAME_MAX    48
#define OBS_ABI_TOPICS_MAX  4
#define OBS_ABI_DECIMAL_MAX 80 /* of 256 bits: 78 digits, a sign and a NUL */

enum obs_abi_kind {
	OBS_ABI_UINT,
	OBS_ABI_INT,
	OBS_ABI_ADDRESS,
	OBS_ABI_BOOL,
	OBS_ABI_FIXED_BYTES,
	OBS_ABI_BYTES,
	OBS_ABI_STRING,
};

struct obs_abi_param {
	char name[OBS_ABI_NAME_MAX]; /* "" = it has none */
	enum obs_abi_kind kind;
	unsigned dimensions; /* of arrays: 1 for string[], 2 for string[][] */
	bool indexed;
};

/* A function or an event. */
struct obs_abi_item {
	char name[OBS_ABI_NAME_MAX];
	unsigned n_params;
	struct obs_abi_param params[OBS_ABI_PARAMS_MAX];
	uint8_t hash[OBS_KECCAK_LEN]; /* topic of an event; its first 4 bytes select a function */
};

/**
 * obs_abi_item_parse() - read "Name(type [indexed] [name],…)".
 *
 * Return: 0, -EINVAL: not of that shape; -ENOTSUP: a type that is not known here.
 */
int obs_abi_item_parse(struct obs_slice text, struct obs_abi_item *ret);

/**
 * obs_abi_events_from_json() - the events of a contract's ABI, as compilers write it: the array,
 * or an object that has it as "abi". Those with types that are not known here are left out.
 *
 * Return: how many events are in @ret, -EBADMSG: no such JSON.
 */
int obs_abi_events_from_json(struct obs_slice text, struct obs_abi_item *ret, size_t room);

/* Arguments of a call are written one by one: string, or array of strings. */

/** obs_abi_put_call() - "0x" and the selector of @signature, such as "currentRound()", in hex. */
void obs_abi_put_call(struct obs_buf *out, const char *signature);

/** obs_abi_put_number() - one word, in hex. */
void obs_abi_put_number(struct obs_buf *out, uint64_t n);

/** obs_abi_put_string() - the only argument of a call: (string). */
void obs_abi_put_string(struct obs_buf *out, const char *s);

/** obs_abi_put_strings() - the only argument of a call: (string[]). */
void obs_abi_put_strings(struct obs_buf *out, const char *const *v, size_t n);

/** obs_abi_put_address() - the only argument of a call: (address[]) of one. @address: 0x… */
void obs_abi_put_address_list(struct obs_buf *out, const char *address);

/** obs_abi_is_address() - "0x" and 40 hex digits? */
bool obs_abi_is_address(const char *s);

/**
 * obs_hex_decode() - "0x…" to bytes, appended.
 *
 * Return: 0, -EBADMSG: no 0x, an odd digit, or no digit; -ENOMEM, -EMSGSIZE: @out's ceiling.
 */
int obs_hex_decode(struct obs_slice hex, struct obs_buf *out);

/** obs_hex_number() - "0x1a" as a number. Return: is it one of at most 64 bits? */
bool obs_hex_number(struct obs_slice hex, uint64_t *ret);

/* Results: where an array or string stands is told by a word. @base: where offsets count from. */

/** obs_abi_word() - the word at @at. Return: it, or NULL past the end. Borrowed. */
const uint8_t *obs_abi_word(struct obs_slice data, size_t at);

/** obs_abi_number() - the word at @at. Return: is it there and below 2^64? */
bool obs_abi_number(struct obs_slice data, size_t at, uint64_t *ret);

/** obs_abi_decimal() - a word as a decimal number. */
void obs_abi_decimal(const uint8_t word[OBS_ABI_WORD], bool is_signed,
		     char ret[OBS_ABI_DECIMAL_MAX]);

/**
 * obs_abi_array() - the array that the offset at @at leads to.
 * @ret_first: of its first element, which is the new base
 *
 * Return: is it there, with all its words?
 */
bool obs_abi_array(struct obs_slice data, size_t base, size_t at, size_t *ret_first, size_t *ret_n);

/** obs_abi_bytes() - the bytes or string that the offset at @at leads to. Return: is it there? */
bool obs_abi_bytes(struct obs_slice data, size_t base, size_t at, struct obs_slice *ret);

/* A log entry: its topics, then its data. */
struct obs_abi_log {
	uint8_t topics[OBS_ABI_TOPICS_MAX][OBS_ABI_WORD];
	unsigned n_topics;
	struct obs_slice data; /* borrowed */
};

/* One argument of an event, as text. */
struct obs_abi_value {
	const struct obs_abi_param *param;
	struct obs_slice text; /* a string's bytes, borrowed; else @buf */
	char buf[OBS_ABI_DECIMAL_MAX];
	bool is_number;
};

/**
 * obs_abi_log_value() - argument @i of @event from @log. Arrays and indexed strings, of which
 * only the hash is there, are left out: -ENOTSUP.
 *
 * Return: 0, -ENOTSUP, -EBADMSG: it is not there.
 */
int obs_abi_log_value(const struct obs_abi_item *event, const struct obs_abi_log *log, unsigned i,
		      struct obs_abi_value *ret);

/** obs_abi_log_strings() - argument @i, a string[]: at most @room of them. Return: as above. */
int obs_abi_log_strings(const struct obs_abi_item *event, const struct obs_abi_log *log, unsigned i,
			struct obs_slice *ret, size_t room, size_t *ret_n);
