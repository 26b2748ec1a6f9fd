// SPDX-License-Identifier: BSD-2-Clause
/*
 * event.c - see event.h. The order of the keys is the contract's (docs/events.md).
 */
#include "pipeline/event.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "pipeline/json.h"

static const char *const type_names[OBS_EVENT_TYPE_MAX] = {
	[OBS_EVENT_LOG] = "log",
	[OBS_EVENT_TRAINING_PROGRESS] = "training_progress",
	[OBS_EVENT_PEER] = "peer_event",
	[OBS_EVENT_ERROR] = "error",
	[OBS_EVENT_AUTH] = "auth_event",
	[OBS_EVENT_CHAIN] = "chain_event",
	[OBS_EVENT_NODE_LIFECYCLE] = "node_lifecycle",
	[OBS_EVENT_DHT_SNAPSHOT] = "dht_snapshot",
	[OBS_EVENT_NODE_STATE] = "node_state",
	[OBS_EVENT_CONTAINER_SNAPSHOT] = "container_snapshot",
	[OBS_EVENT_HARDWARE_SNAPSHOT] = "hardware_snapshot",
	[OBS_EVENT_BLOCKCHAIN_SNAPSHOT] = "blockchain_snapshot",
	[OBS_EVENT_ALERT] = "alert",
	[OBS_EVENT_OBSERVER] = "observer",
};

static const char *const via_names[] = {
	[OBS_VIA_NONE] = "",
	[OBS_VIA_FILE] = "file",
	[OBS_VIA_BACKFILL] = "backfill",
	[OBS_VIA_CONSOLE] = "console",
	[OBS_VIA_CONNECTION] = "connection",
	[OBS_VIA_P2PD] = "p2pd",
	[OBS_VIA_PROCESS] = "process",
	[OBS_VIA_USAGE] = "usage",
	[OBS_VIA_HOST] = "host",
	[OBS_VIA_CHAIN] = "chain",
	[OBS_VIA_ALERT] = "alert",
};

const char *obs_event_type_str(enum obs_event_type type)
{
	return (unsigned)type < OBS_EVENT_TYPE_MAX ? type_names[type] : "log";
}

const char *obs_via_str(enum obs_via via)
{
	return (unsigned)via < sizeof(via_names) / sizeof(via_names[0]) ? via_names[via] : "";
}

int obs_event_type_from_str(struct obs_slice name)
{
	for (int i = 0; i < OBS_EVENT_TYPE_MAX; i++) {
		if (obs_slice_eq(name, obs_slice_str(type_names[i])))
			return i;
	}
	return -EINVAL;
}

struct obs_event_id obs_event_id_file(struct obs_slice node_id, const struct obs_file_id *file,
				      uint32_t epoch, uint64_t offset)
{
	const uint64_t key[] = {
		XXH3_64bits(node_id.p, node_id.len),
		file->ino,
		(uint64_t)file->dev << 32 | file->gen,
		epoch,
		offset,
	};
	XXH128_hash_t h = XXH3_128bits(key, sizeof(key));

	return (struct obs_event_id){ .hi = h.high64, .lo = h.low64 };
}

struct obs_event_id obs_event_id_other(struct obs_slice node_id, uint64_t boot, uint64_t source,
				       uint64_t boot_ns, uint64_t sequence)
{
	const uint64_t what[] = { boot, source, boot_ns, sequence };
	XXH128_hash_t h =
		XXH3_128bits_withSeed(what, sizeof(what), XXH3_64bits(node_id.p, node_id.len));

	return (struct obs_event_id){ .hi = h.high64, .lo = h.low64 };
}

static struct obs_field *next_field(struct obs_event *ev, struct obs_slice key,
				    enum obs_value_kind kind)
{
	struct obs_field *f;

	if (ev->n_fields >= OBS_EVENT_FIELDS_MAX)
		return NULL;
	f = &ev->fields[ev->n_fields++];
	f->key = key;
	f->kind = kind;
	return f;
}

#define ADD(kind, member, value)                                                   \
	do {                                                                       \
		struct obs_field *f_ = next_field(ev, obs_slice_str(key), (kind)); \
		if (f_)                                                            \
			f_->member = (value);                                      \
		result = f_ ? 0 : -ENOSPC;                                         \
	} while (0)

int obs_event_add_str(struct obs_event *ev, const char *key, struct obs_slice v)
{
	int result;

	ADD(OBS_VALUE_STR, str, v);
	return result;
}

int obs_event_add_int(struct obs_event *ev, const char *key, int64_t v)
{
	int result;

	ADD(OBS_VALUE_INT, i, v);
	return result;
}

int obs_event_add_uint(struct obs_event *ev, const char *key, uint64_t v)
{
	int result;

	ADD(OBS_VALUE_UINT, u, v);
	return result;
}

int obs_event_add_real(struct obs_event *ev, const char *key, double v)
{
	int result;

	ADD(OBS_VALUE_REAL, real, v);
	return result;
}

int obs_event_add_bool(struct obs_event *ev, const char *key, bool v)
{
	int result;

	ADD(OBS_VALUE_BOOL, b, v);
	return result;
}

int obs_event_add_json(struct obs_event *ev, const char *key, struct obs_slice v)
{
	int result;

	ADD(OBS_VALUE_JSON, str, v);
	return result;
}

int obs_event_add_list(struct obs_event *ev, const char *key, const struct obs_slice *v, size_t n)
{
	struct obs_field *f = next_field(ev, obs_slice_str(key), OBS_VALUE_LIST);

	if (!f)
		return -ENOSPC;
	f->list.v = v;
	f->list.n = n;
	return 0;
}

int obs_event_add_number_text(struct obs_event *ev, struct obs_slice key, struct obs_slice digits)
{
	struct obs_field *f = next_field(ev, key, OBS_VALUE_NUMBER_TEXT);

	if (!f)
		return -ENOSPC;
	f->str = digits;
	return 0;
}

/* An integer in text beyond 2^53? (Fractions and exponents are doubles anyway.) */
static bool too_big_for_double(struct obs_slice s)
{
	static const char limit[] = "9007199254740992";
	size_t digits = 0;
	const char *p = s.p;

	if (s.len < sizeof(limit) - 1)
		return false;
	if (*p == '-')
		p++;
	for (digits = 0; p + digits < s.p + s.len; digits++) {
		if (p[digits] < '0' || p[digits] > '9')
			return false;
	}
	if (digits != sizeof(limit) - 1)
		return digits > sizeof(limit) - 1;
	return memcmp(p, limit, digits) > 0;
}

static void format_list(struct obs_json *j, const struct obs_field *f)
{
	obs_json_array_open(j);
	for (size_t i = 0; i < f->list.n; i++)
		obs_json_str(j, f->list.v[i]);
	obs_json_array_close(j);
}

static void format_number_text(struct obs_json *j, struct obs_slice s)
{
	if (too_big_for_double(s))
		obs_json_str(j, s);
	else
		obs_json_raw(j, s);
}

static void format_value(struct obs_json *j, const struct obs_field *f)
{
	switch (f->kind) {
	case OBS_VALUE_STR:
		obs_json_str(j, f->str);
		break;
	case OBS_VALUE_INT:
		obs_json_int(j, f->i);
		break;
	case OBS_VALUE_UINT:
		obs_json_uint(j, f->u);
		break;
	case OBS_VALUE_REAL:
		obs_json_real(j, f->real);
		break;
	case OBS_VALUE_BOOL:
		obs_json_bool(j, f->b);
		break;
	case OBS_VALUE_NUMBER_TEXT:
		format_number_text(j, f->str);
		break;
	case OBS_VALUE_LIST:
		format_list(j, f);
		break;
	case OBS_VALUE_JSON:
		obs_json_raw(j, f->str);
		break;
	}
}

/* Keys are literals of this file, their comma in front: they need no escaping. */
#define KEY(name) OBS_SLICE(",\"" name "\":")

static inline void put_key(struct obs_json *j, struct obs_slice key)
{
	obs_json_lit(j, key);
	j->comma = false;
}

static inline void put_str_if(struct obs_json *j, struct obs_slice key, struct obs_slice v)
{
	if (!v.len)
		return;
	put_key(j, key);
	obs_json_str(j, v);
}

/* Eight digits at once: half bytes are spread over the bytes of a word, then turned into
 * digits by adding '0', and 'a' - '0' - 10 to those over 9. */
static char *put_hex(char *w, uint64_t v)
{
	for (int shift = 32; shift >= 0; shift -= 32) {
		uint64_t x = v >> shift & 0xffffffff, over;

		x = (x | x << 16) & 0x0000ffff0000ffffull;
		x = (x | x << 8) & 0x00ff00ff00ff00ffull;
		x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
		over = (x + 0x0606060606060606ull) >> 4 & 0x0101010101010101ull;
		x += 0x3030303030303030ull + over * ('a' - '0' - 10);
		x = htobe64(x);
		memcpy(w, &x, 8);
		w += 8;
	}
	return w;
}

static void put_id(struct obs_json *j, struct obs_event_id id)
{
	static const struct obs_slice start = OBS_SLICE("{\"event_id\":\"");
	char *w = obs_json_room(j, start.len + 33);

	if (!w)
		return;
	memcpy(w, start.p, start.len);
	*put_hex(put_hex(w + start.len, id.hi), id.lo) = '"';
	j->out->len += start.len + 33;
}

/* Text of our own that needs no escaping. */
static inline void put_word(struct obs_json *j, const char *s)
{
	obs_json_lit(j, OBS_SLICE("\""));
	obs_json_lit(j, obs_slice_str(s));
	obs_json_lit(j, OBS_SLICE("\""));
	j->comma = true;
}

static void format_details(struct obs_json *j, const struct obs_event *ev)
{
	obs_json_lit(j, OBS_SLICE(",\"details\":{\"event\":"));
	j->comma = false;
	obs_json_str(j, obs_slice_str(ev->name ? ev->name : obs_event_type_str(ev->type)));
	put_str_if(j, KEY("code"), obs_slice_str(ev->code));
	put_str_if(j, KEY("level"), ev->level);
	put_str_if(j, KEY("logger"), ev->logger);
	put_str_if(j, KEY("message"), ev->message);
	for (unsigned i = 0; i < ev->n_fields; i++) {
		obs_json_key(j, ev->fields[i].key);
		format_value(j, &ev->fields[i]);
	}
	if (ev->time_from_log)
		obs_json_lit(j, OBS_SLICE(",\"time_source\":\"log\""));
	if (ev->truncated)
		obs_json_lit(j, OBS_SLICE(",\"truncated\":true"));
	obs_json_lit(j, OBS_SLICE("}"));
}

static bool origin_is_empty(const struct obs_origin *o)
{
	return o->via == OBS_VIA_NONE && !o->container.len && !o->container_id.len && !o->pid &&
	       !o->comm.len && !o->path.len && !o->has_offset;
}

static void format_origin(struct obs_json *j, const struct obs_origin *o)
{
	if (origin_is_empty(o))
		return;
	obs_json_lit(j, OBS_SLICE(",\"origin\":{\"via\":"));
	put_word(j, obs_via_str(o->via));
	put_str_if(j, KEY("container"), o->container);
	put_str_if(j, KEY("container_id"), o->container_id);
	if (o->pid) {
		put_key(j, KEY("pid"));
		obs_json_uint(j, o->pid);
	}
	put_str_if(j, KEY("comm"), o->comm);
	put_str_if(j, KEY("path"), o->path);
	if (o->has_offset) {
		put_key(j, KEY("offset"));
		obs_json_uint(j, o->offset);
	}
	obs_json_lit(j, OBS_SLICE("}"));
}

int obs_event_format(const struct obs_event *ev, struct obs_slice node_id, struct obs_buf *out)
{
	struct obs_json j = { .out = out };
	size_t before = out->len;

	put_id(&j, ev->id);
	put_str_if(&j, KEY("node_id"), node_id);
	put_key(&j, KEY("timestamp"));
	obs_json_time(&j, ev->wall_ns);
	put_key(&j, KEY("event_type"));
	put_word(&j, obs_event_type_str(ev->type));
	format_details(&j, ev);
	format_origin(&j, &ev->origin);
	obs_json_lit(&j, OBS_SLICE("}"));

	if (j.err)
		out->len = before;
	return j.err;
}
