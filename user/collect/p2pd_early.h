/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_early.h - answers that were heard before their questions.
 *
 * A write is told of when its system call returns. The other end may have read it by then,
 * answered and returned: on one processor, whenever the reader is woken before the writer goes
 * on. Such an answer waits here for its question.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/frames.h"

#define OBS_EARLY_MAX	   32
#define OBS_EARLY_KEY_LEN  32
#define OBS_EARLY_BODY_MAX 1024

/* Zeroed when new. */
struct obs_early {
	unsigned next; /* the oldest */
	struct obs_early_answer {
		bool used;
		char key[OBS_EARLY_KEY_LEN];
		uint64_t kept_ns;
		struct obs_frame frame; /* its body: owned, in bytes[] */
		char bytes[OBS_EARLY_BODY_MAX];
	} answers[OBS_EARLY_MAX];
};

/** obs_early_keep() - copy @frame, and of its body as much as fits.
 * @key: OBS_EARLY_KEY_LEN bytes. Return: whether another answer had to go for it. */
bool obs_early_keep(struct obs_early *e, const char *key, const struct obs_frame *frame,
		    uint64_t now_ns);

/** obs_early_take() - the answer under @key, once. Return: valid until the next keep, or NULL. */
const struct obs_frame *obs_early_take(struct obs_early *e, const char *key);

/** obs_early_expire() - forget what was kept before @before_ns. Return: how many. */
unsigned obs_early_expire(struct obs_early *e, uint64_t before_ns);
