// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_early.c - see p2pd_early.h. A ring; few answers wait, and not for long. */
#include "collect/p2pd_early.h"

#include <string.h>

bool obs_early_keep(struct obs_early *e, const char *key, const struct obs_frame *frame,
		    uint64_t now_ns)
{
	struct obs_early_answer *a = &e->answers[e->next++ % OBS_EARLY_MAX];
	struct obs_head body = frame->body;
	bool displaced = a->used;

	if (body.have > sizeof(a->bytes))
		body.have = sizeof(a->bytes);
	if (body.have)
		memcpy(a->bytes, body.p, body.have);
	body.p = a->bytes;
	memcpy(a->key, key, sizeof(a->key));
	a->used = true;
	a->kept_ns = now_ns;
	a->frame = *frame;
	a->frame.body = body;
	return displaced;
}

const struct obs_frame *obs_early_take(struct obs_early *e, const char *key)
{
	for (unsigned i = 0; i < OBS_EARLY_MAX; i++) {
		struct obs_early_answer *a = &e->answers[i];

		if (a->used && memcmp(a->key, key, sizeof(a->key)) == 0) {
			a->used = false;
			return &a->frame;
		}
	}
	return NULL;
}

unsigned obs_early_expire(struct obs_early *e, uint64_t before_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < OBS_EARLY_MAX; i++) {
		struct obs_early_answer *a = &e->answers[i];

		if (a->used && a->kept_ns < before_ns) {
			a->used = false;
			n++;
		}
	}
	return n;
}
