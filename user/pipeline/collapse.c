// SPDX-License-Identifier: BSD-2-Clause
/* collapse.c - see collapse.h. A table with linear search: errors are rare and few differ. */
#include "pipeline/collapse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "util/cleanup.h"

#define DEFAULT_WINDOW_NS   (60ull * 1000000000)
#define DEFAULT_FIRST	    3
#define DEFAULT_MAX_TRACKED 256
#define MESSAGE_MAX_BYTES   512
#define NODE_MAX_BYTES	    192
#define CODE_MAX_BYTES	    64
#define SAVED_MAGIC	    0x31636f67u /* and the version of struct entry */

struct entry {
	uint64_t hash;	   /* of node, code and message; 0 = free */
	uint64_t since_ns; /* the window's start */
	uint64_t seen, held;
	struct obs_event_id id; /* of the last one held back */
	uint64_t last_ns;
	char code[CODE_MAX_BYTES];
	struct obs_origin origin; /* numbers only; its text is not kept */
	char node[NODE_MAX_BYTES], message[MESSAGE_MAX_BYTES];
	size_t node_len, message_len;
};

struct obs_collapse {
	struct obs_collapse_options o;
	obs_collapse_fn emit;
	void *ctx;
	uint64_t changes;
	struct entry entries[];
};

int obs_collapse_new(const struct obs_collapse_options *options, obs_collapse_fn emit, void *ctx,
		     struct obs_collapse **ret)
{
	struct obs_collapse_options o = { DEFAULT_WINDOW_NS, DEFAULT_FIRST, DEFAULT_MAX_TRACKED };
	struct obs_collapse *c;

	if (options)
		o = *options;
	if (!o.first || !o.max_tracked || o.max_tracked > 65536)
		return -EINVAL;
	c = calloc(1, sizeof(*c) + o.max_tracked * sizeof(c->entries[0]));
	if (!c)
		return -ENOMEM;
	c->o = o;
	c->emit = emit;
	c->ctx = ctx;
	*ret = c;
	return 0;
}

void obs_collapse_free(struct obs_collapse **c)
{
	free(*c);
	*c = NULL;
}

static uint64_t hash_of(const struct obs_event *ev, struct obs_slice node)
{
	const uint64_t parts[] = {
		XXH3_64bits(node.p, node.len),
		XXH3_64bits(ev->code, strlen(ev->code)),
		XXH3_64bits(ev->message.p, ev->message.len),
	};

	return XXH3_64bits(parts, sizeof(parts)) | 1;
}

static void close_window(struct obs_collapse *c, struct entry *e)
{
	struct obs_event ev = {
		.id = e->id,
		.type = OBS_EVENT_ERROR,
		.wall_ns = e->last_ns,
		.name = "error",
		.code = e->code,
		.message = obs_slice(e->message, e->message_len),
		.origin = e->origin,
	};

	if (e->held) {
		obs_event_add_uint(&ev, "repeated", e->held);
		obs_event_add_real(&ev, "window_s", (double)c->o.window_ns / 1e9);
		c->emit(c->ctx, &ev, obs_slice(e->node, e->node_len));
		c->changes++;
	}
	e->hash = e->seen = e->held = 0;
}

static bool has_ended(const struct obs_collapse *c, const struct entry *e, uint64_t now_ns)
{
	return e->hash && now_ns >= e->since_ns && now_ns - e->since_ns >= c->o.window_ns;
}

/* The entry of this hash, else a free one, else the one whose window is oldest. */
static struct entry *find_entry(struct obs_collapse *c, uint64_t hash)
{
	struct entry *spare = NULL;

	for (size_t i = 0; i < c->o.max_tracked; i++) {
		struct entry *e = &c->entries[i];

		if (e->hash == hash)
			return e;
		if (!spare || (!e->hash && spare->hash) ||
		    (e->hash && spare->hash && e->since_ns < spare->since_ns))
			spare = e;
	}
	return spare;
}

static size_t keep_text(char *to, size_t size, struct obs_slice s)
{
	size_t n = s.len < size ? s.len : size;

	if (n)
		memcpy(to, s.p, n);
	return n;
}

static void begin_window(struct entry *e, uint64_t hash, const struct obs_event *ev,
			 struct obs_slice node)
{
	*e = (struct entry){ .hash = hash, .since_ns = ev->wall_ns };
	snprintf(e->code, sizeof(e->code), "%s", ev->code);
	e->node_len = keep_text(e->node, sizeof(e->node), node);
	e->message_len = keep_text(e->message, sizeof(e->message), ev->message);
}

static void hold(struct entry *e, const struct obs_event *ev)
{
	e->held++;
	e->id = ev->id;
	e->last_ns = ev->wall_ns;
	e->origin = (struct obs_origin){ .via = ev->origin.via,
					 .pid = ev->origin.pid,
					 .offset = ev->origin.offset,
					 .has_offset = ev->origin.has_offset };
}

bool obs_collapse_push(struct obs_collapse *c, const struct obs_event *ev, struct obs_slice node)
{
	struct entry *e;
	uint64_t hash;

	if (ev->type != OBS_EVENT_ERROR || !ev->code)
		return true;
	hash = hash_of(ev, node);
	e = find_entry(c, hash);
	if (e->hash != hash || has_ended(c, e, ev->wall_ns)) {
		close_window(c, e);
		begin_window(e, hash, ev, node);
	}
	if (e->seen++ < c->o.first)
		return true;
	hold(e, ev);
	c->changes++;
	return false;
}

void obs_collapse_tick(struct obs_collapse *c, uint64_t now_ns)
{
	for (size_t i = 0; i < c->o.max_tracked; i++) {
		if (has_ended(c, &c->entries[i], now_ns))
			close_window(c, &c->entries[i]);
	}
}

uint64_t obs_collapse_changes(const struct obs_collapse *c)
{
	return c->changes;
}

int obs_collapse_save(const struct obs_collapse *c, struct obs_buf *out)
{
	const uint32_t head[2] = { SAVED_MAGIC, sizeof(struct entry) };
	int r = obs_buf_push(out, head, sizeof(head));

	for (size_t i = 0; r == 0 && i < c->o.max_tracked; i++) {
		if (c->entries[i].held)
			r = obs_buf_push(out, &c->entries[i], sizeof(c->entries[i]));
	}
	return r;
}

static bool is_sound(const struct entry *e)
{
	return e->hash && e->held && e->node_len <= sizeof(e->node) &&
	       e->message_len <= sizeof(e->message) && memchr(e->code, 0, sizeof(e->code));
}

int obs_collapse_load(struct obs_collapse *c, struct obs_slice saved)
{
	const size_t each = sizeof(struct entry);
	uint32_t head[2];
	size_t n = 0;

	if (saved.len < sizeof(head))
		return -EBADMSG;
	memcpy(head, saved.p, sizeof(head));
	if (head[0] != SAVED_MAGIC || head[1] != each)
		return -EBADMSG;
	for (size_t at = sizeof(head); saved.len - at >= each && n < c->o.max_tracked; at += each) {
		struct entry *e = &c->entries[n];

		memcpy(e, saved.p + at, each);
		e->origin = (struct obs_origin){ .via = e->origin.via,
						 .pid = e->origin.pid,
						 .offset = e->origin.offset,
						 .has_offset = e->origin.has_offset };
		if (is_sound(e))
			n++;
		else
			memset(e, 0, each);
	}
	return 0;
}

void obs_collapse_flush(struct obs_collapse *c)
{
	for (size_t i = 0; i < c->o.max_tracked; i++) {
		if (c->entries[i].hash)
			close_window(c, &c->entries[i]);
	}
}
