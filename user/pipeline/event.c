// SPDX-License-Identifier: BSD-2-Clause
/*
 * event.c - see event.h. The order of the keys is the contract's (docs/events.md).
 */
#include "pipeline/event.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <xxhash.h>

#include "pipeline/json.h"
#include "util/cleanup.h"

/* A constant, which OBS_SLICE() is not in the eyes of C. */
#define OBS_STATIC(literal)                    \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

static const struct obs_slice type_names[OBS_EVENT_TYPE_MAX] = {
	[OBS_EVENT_LOG] = OBS_STATIC("log"),
	[OBS_EVENT_TRAINING_PROGRESS] = OBS_STATIC("training_progress"),
	[OBS_EVENT_PEER] = OBS_STATIC("peer_event"),
	[OBS_EVENT_ERROR] = OBS_STATIC("error"),
	[OBS_EVENT_AUTH] = OBS_STATIC("auth_event"),
	[OBS_EVENT_CHAIN] = OBS_STATIC("chain_event"),
	[OBS_EVENT_NODE_LIFECYCLE] = OBS_STATIC("node_lifecycle"),
	[OBS_EVENT_DHT_SNAPSHOT] = OBS_STATIC("dht_snapshot"),
	[OBS_EVENT_NODE_STATE] = OBS_STATIC("node_state"),
	[OBS_EVENT_CONTAINER_SNAPSHOT] = OBS_STATIC("container_snapshot"),
	[OBS_EVENT_HARDWARE_SNAPSHOT] = OBS_STATIC("hardware_snapshot"),
	[OBS_EVENT_BLOCKCHAIN_SNAPSHOT] = OBS_STATIC("blockchain_snapshot"),
	[OBS_EVENT_ALERT] = OBS_STATIC("alert"),
	[OBS_EVENT_OBSERVER] = OBS_STATIC("observer"),
};

static const struct obs_slice via_names[] = {
	[OBS_VIA_NONE] = OBS_STATIC(""),
	[OBS_VIA_FILE] = OBS_STATIC("file"),
	[OBS_VIA_BACKFILL] = OBS_STATIC("backfill"),
	[OBS_VIA_CONSOLE] = OBS_STATIC("console"),
	[OBS_VIA_CONNECTION] = OBS_STATIC("connection"),
	[OBS_VIA_P2PD] = OBS_STATIC("p2pd"),
	[OBS_VIA_PROCESS] = OBS_STATIC("process"),
	[OBS_VIA_USAGE] = OBS_STATIC("usage"),
	[OBS_VIA_HOST] = OBS_STATIC("host"),
	[OBS_VIA_CHAIN] = OBS_STATIC("chain"),
	[OBS_VIA_ALERT] = OBS_STATIC("alert"),
};

const char *obs_event_type_str(enum obs_event_type type)
{
	return (unsigned)type < OBS_EVENT_TYPE_MAX ? type_names[type].p : "log";
}

const char *obs_via_str(enum obs_via via)
{
	return (unsigned)via < sizeof(via_names) / sizeof(via_names[0]) ? via_names[via].p : "";
}

int obs_event_type_from_str(struct obs_slice name)
{
	for (int i = 0; i < OBS_EVENT_TYPE_MAX; i++) {
		if (obs_slice_eq(name, type_names[i]))
			return i;
	}
	return -EINVAL;
}

/* There is one node_id, asked for with every line: the last one is kept. */
static uint64_t hash_of_node(struct obs_slice id)
{
	static _Thread_local char last[128];
	static _Thread_local size_t last_len = SIZE_MAX;
	static _Thread_local uint64_t hash;

	if (id.len == last_len && (!id.len || memcmp(id.p, last, id.len) == 0))
		return hash;
	hash = XXH3_64bits(id.p, id.len);
	last_len = id.len <= sizeof(last) ? id.len : SIZE_MAX;
	if (id.len && last_len == id.len)
		memcpy(last, id.p, id.len);
	return hash;
}

struct obs_event_id obs_event_id_file(struct obs_slice node_id, const struct obs_file_id *file,
				      uint32_t epoch, uint64_t offset)
{
	const uint64_t key[] = {
		hash_of_node(node_id),
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

struct obs_slice obs_event_get_str(const struct obs_event *ev, const char *key)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (ev->fields[i].kind == OBS_VALUE_STR &&
		    obs_slice_eq(ev->fields[i].key, obs_slice_str(key)))
			return ev->fields[i].str;
	}
	return (struct obs_slice){};
}

bool obs_event_tells_start(const struct obs_event *ev)
{
	return ev->type == OBS_EVENT_NODE_LIFECYCLE &&
	       (strcmp(ev->name, "started") == 0 || strcmp(ev->name, "restarted") == 0);
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

#ifdef __SSE2__
/* 16 digits out of 16 half bytes: '0' is added, and 'a' - '0' - 10 to those over 9. */
static inline void put_digits(char *w, __m128i half)
{
	__m128i over = _mm_and_si128(_mm_cmpgt_epi8(half, _mm_set1_epi8(9)),
				     _mm_set1_epi8('a' - '0' - 10));

	_mm_storeu_si128((__m128i *)w, _mm_add_epi8(_mm_add_epi8(half, _mm_set1_epi8('0')), over));
}

static inline char *put_hex(char *w, struct obs_event_id id)
{
	const __m128i low = _mm_set1_epi8(0x0f);
	__m128i v = _mm_set_epi64x((int64_t)htobe64(id.lo), (int64_t)htobe64(id.hi));
	__m128i first = _mm_and_si128(_mm_srli_epi16(v, 4), low), second = _mm_and_si128(v, low);

	put_digits(w, _mm_unpacklo_epi8(first, second));
	put_digits(w + 16, _mm_unpackhi_epi8(first, second));
	return w + 32;
}
#else
static char *put_hex(char *w, struct obs_event_id id)
{
	static const char digits[] = "0123456789abcdef";
	const uint64_t halves[] = { id.hi, id.lo };

	for (size_t i = 0; i < 32; i++)
		*w++ = digits[halves[i / 16] >> (60 - i % 16 * 4) & 15];
	return w;
}
#endif

static void put_id(struct obs_json *j, struct obs_event_id id)
{
	static const struct obs_slice start = OBS_SLICE("{\"event_id\":\"");
	char *w = obs_json_room(j, start.len + 33);

	if (!w)
		return;
	memcpy(w, start.p, start.len);
	*put_hex(w + start.len, id) = '"';
	j->out->len += start.len + 33;
}

/* Text of our own that needs no escaping. */
static inline void put_word(struct obs_json *j, struct obs_slice s)
{
	char *w = obs_json_room(j, s.len + 2);

	if (!w)
		return;
	*w = '"';
	memcpy(w + 1, s.p, s.len);
	w[s.len + 1] = '"';
	j->out->len += s.len + 2;
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
	put_word(j, via_names[o->via < ARRAY_LEN(via_names) ? o->via : OBS_VIA_NONE]);
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
	put_word(&j,
		 type_names[(unsigned)ev->type < OBS_EVENT_TYPE_MAX ? ev->type : OBS_EVENT_LOG]);
	format_details(&j, ev);
	format_origin(&j, &ev->origin);
	obs_json_lit(&j, OBS_SLICE("}"));

	if (j.err)
		out->len = before;
	return j.err;
}
