// SPDX-License-Identifier: BSD-2-Clause
/* repeats.c - see repeats.h. */
#include "pipeline/repeats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/collapse.h"
#include "util/cleanup.h"

#define STATE "collapse"

struct obs_repeats {
	struct obs_collapse *collapse; /* owned */
	const struct obs_outlet *outlet;
	obs_repeats_fn emit;
	void *ctx;
	uint64_t saved; /* obs_collapse_changes() of what was saved last */
	struct obs_buf buf;
};

/* "6a3107ab146b/rl-swarm-1", so that the collapsed event can say where it is from; the title of
 * a plain process behind a bare "/". */
static struct obs_slice key_of(const struct obs_node *node, char *out, size_t size)
{
	int n = node ? snprintf(out, size, "%s/%s", node->id12,
				*node->id12 ? node->name : node->title)
		     : 0;

	return obs_slice(out, (size_t)n < size ? (size_t)n : size - 1);
}

static void on_collapsed(void *ctx, struct obs_event *ev, struct obs_slice node)
{
	struct obs_repeats *r = ctx;
	const char *slash = node.len ? memchr(node.p, '/', node.len) : NULL;

	if (slash > node.p) {
		size_t at = (size_t)(slash - node.p);

		ev->origin.container_id = obs_slice(node.p, at);
		ev->origin.container = obs_slice(slash + 1, node.len - at - 1);
	}
	r->emit(r->ctx, ev);
}

static void load(struct obs_repeats *r)
{
	if (r->outlet->get_state(r->outlet->ctx, STATE, &r->buf) == 0)
		obs_collapse_load(r->collapse, obs_buf_slice(&r->buf));
}

int obs_repeats_new(const struct obs_config *config, const struct obs_outlet *outlet,
		    obs_repeats_fn emit, void *ctx, struct obs_repeats **ret)
{
	struct obs_collapse_options o = {
		.window_ns = (uint64_t)(obs_config_number(config, "collapse.window") * 1e9),
		.first = (unsigned)obs_config_number(config, "collapse.first"),
		.max_tracked = 256,
	};
	struct obs_repeats *r;

	*ret = NULL;
	if (o.first == 0 || !outlet->put_state)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r || obs_collapse_new(&o, on_collapsed, r, &r->collapse) < 0) {
		free(r);
		return -ENOMEM;
	}
	r->outlet = outlet;
	r->emit = emit;
	r->ctx = ctx;
	load(r);
	*ret = r;
	return 0;
}

void obs_repeats_free(struct obs_repeats **r)
{
	if (!*r)
		return;
	obs_collapse_free(&(*r)->collapse);
	obs_buf_free(&(*r)->buf);
	free(*r);
	*r = NULL;
}

bool obs_repeats_pass(struct obs_repeats *r, const struct obs_node *node,
		      const struct obs_event *ev)
{
	char key[192];

	if (!r || ev->type != OBS_EVENT_ERROR)
		return true;
	return obs_collapse_push(r->collapse, ev, key_of(node, key, sizeof(key)));
}

void obs_repeats_tick(struct obs_repeats *r, uint64_t now_ns)
{
	if (r)
		obs_collapse_tick(r->collapse, now_ns);
}

void obs_repeats_save(struct obs_repeats *r)
{
	if (!r || r->saved == obs_collapse_changes(r->collapse))
		return;
	obs_buf_reset(&r->buf);
	if (obs_collapse_save(r->collapse, &r->buf) == 0 &&
	    r->outlet->put_state(r->outlet->ctx, STATE, obs_buf_slice(&r->buf)) == 0)
		r->saved = obs_collapse_changes(r->collapse);
}
