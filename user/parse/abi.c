// SPDX-License-Identifier: BSD-2-Clause
/* abi.c - see abi.h. */
#include "parse/abi.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parse/jsonread.h"
#include "util/cleanup.h"

#define WORD		OBS_ABI_WORD
#define SIGNATURE_BYTES 512

/* --- items --- */

static const struct {
	const char *prefix; /* a size follows where the canonical name has one */
	enum obs_abi_kind kind;
} types[] = {
	{ "uint", OBS_ABI_UINT }, { "int", OBS_ABI_INT },	{ "address", OBS_ABI_ADDRESS },
	{ "bool", OBS_ABI_BOOL }, { "string", OBS_ABI_STRING }, { "bytes", OBS_ABI_BYTES },
};

static struct obs_slice trim(struct obs_slice s)
{
	while (s.len && isspace((unsigned char)*s.p))
		s = obs_slice(s.p + 1, s.len - 1);
	while (s.len && isspace((unsigned char)s.p[s.len - 1]))
		s.len--;
	return s;
}

static int parse_type(struct obs_slice text, struct obs_abi_param *p)
{
	static const char brackets[] = "[]";

	while (text.len > 2 && memcmp(text.p + text.len - 2, brackets, 2) == 0) {
		p->dimensions++;
		text.len -= 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct obs_slice prefix = obs_slice_str(types[i].prefix);
		size_t digits = text.len - prefix.len;

		if (!obs_slice_starts(text, prefix) || digits > 3)
			continue;
		for (size_t k = prefix.len; k < text.len; k++) {
			if (!isdigit((unsigned char)text.p[k]))
				return -ENOTSUP;
		}
		p->kind = types[i].kind == OBS_ABI_BYTES && digits ? OBS_ABI_FIXED_BYTES
								   : types[i].kind;
		return 0;
	}
	return -ENOTSUP; /* tuples, functions, fixed-point numbers */
}

static bool copy_name(struct obs_slice s, char ret[OBS_ABI_NAME_MAX])
{
	if (s.len >= OBS_ABI_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != '$')
			return false;
	}
	memcpy(ret, s.p ? s.p : "", s.len);
	ret[s.len] = '\0';
	return true;
}

/* What stands before the first @stop, which goes with it. */
static struct obs_slice cut(struct obs_slice *s, char stop)
{
	const char *end = s->len ? memchr(s->p, stop, s->len) : NULL;
	struct obs_slice head = *s;

	if (!end) {
		*s = (struct obs_slice){};
		return head;
	}
	head.len = (size_t)(end - s->p);
	*s = obs_slice(end + 1, s->len - head.len - 1);
	return head;
}

static int add_param(struct obs_abi_item *it, struct obs_slice type, bool indexed,
		     struct obs_slice name, struct obs_buf *signature)
{
	struct obs_abi_param *p = &it->params[it->n_params];
	int r;

	if (it->n_params == OBS_ABI_PARAMS_MAX)
		return -ENOTSUP;
	*p = (struct obs_abi_param){ .indexed = indexed };
	if (!copy_name(name, p->name))
		return -EINVAL;
	r = parse_type(type, p);
	if (r < 0)
		return r;
	obs_buf_push_str(signature, it->n_params++ ? "," : "");
	obs_buf_push(signature, type.p, type.len);
	return 0;
}

static int begin_item(struct obs_abi_item *it, struct obs_slice name, struct obs_buf *signature)
{
	if (!name.len || !copy_name(name, it->name))
		return -EINVAL;
	signature->max_bytes = SIGNATURE_BYTES;
	obs_buf_push(signature, name.p, name.len);
	return obs_buf_push_str(signature, "(");
}

static int end_item(struct obs_abi_item *it, struct obs_buf *signature)
{
	obs_buf_push_str(signature, ")");
	if (signature->failed)
		return -EINVAL;
	obs_keccak256(obs_buf_slice(signature), it->hash);
	return 0;
}

int obs_abi_item_parse(struct obs_slice text, struct obs_abi_item *ret)
{
	cleanup_buf struct obs_buf signature = {};
	struct obs_slice name = trim(cut(&text, '(')), params = cut(&text, ')');
	struct obs_abi_item it = {};
	int r = begin_item(&it, name, &signature);

	while (r == 0 && trim(params).len) {
		struct obs_slice words = trim(cut(&params, ','));
		struct obs_slice type = cut(&words, ' ');
		bool indexed = obs_slice_starts(words, OBS_SLICE("indexed"));

		if (indexed)
			cut(&words, ' ');
		r = add_param(&it, type, indexed, trim(words), &signature);
	}
	if (r == 0)
		r = end_item(&it, &signature);
	if (r == 0)
		*ret = it;
	return r;
}

static int event_from_json(struct obs_slice entry, struct obs_abi_item *ret)
{
	cleanup_buf struct obs_buf signature = {};
	struct obs_slice value = {}, text = {};
	struct obs_abi_item it = {};
	struct obs_json_walk w;
	int r;

	if (!obs_json_get(entry, "type", &value) || !obs_slice_eq(value, OBS_SLICE("\"event\"")) ||
	    !obs_json_get(entry, "name", &value) || !obs_json_string(value, &text))
		return -EINVAL;
	r = begin_item(&it, text, &signature);
	if (r < 0 || !obs_json_get(entry, "inputs", &value) || !obs_json_walk_init(&w, value))
		return -EINVAL;
	while (r == 0 && obs_json_walk_next(&w, NULL, &value)) {
		struct obs_slice type = {}, name = {}, flag = {};

		if (!obs_json_get(value, "type", &text) || !obs_json_string(text, &type))
			return -EINVAL;
		if (obs_json_get(value, "name", &text))
			obs_json_string(text, &name);
		obs_json_get(value, "indexed", &flag);
		r = add_param(&it, type, obs_slice_eq(flag, OBS_SLICE("true")), name, &signature);
	}
	if (r == 0)
		r = end_item(&it, &signature);
	if (r == 0)
		*ret = it;
	return r;
}

int obs_abi_events_from_json(struct obs_slice text, struct obs_abi_item *ret, size_t room)
{
	struct obs_slice value, abi;
	struct obs_json_walk w;
	size_t n = 0;

	if (obs_json_text(text, &value) < 0)
		return -EBADMSG;
	if (obs_json_get(value, "abi", &abi))
		value = abi;
	if (!obs_json_walk_init(&w, value) || w.is_object)
		return -EBADMSG;
	while (n < room && obs_json_walk_next(&w, NULL, &value)) {
		if (event_from_json(value, &ret[n]) == 0)
			n++;
	}
	return (int)n;
}

/* --- calls --- */

static void put_hex(struct obs_buf *out, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obs_buf_printf(out, "%02x", ((const uint8_t *)p)[i]);
}

void obs_abi_put_call(struct obs_buf *out, const char *signature)
{
	uint8_t hash[OBS_KECCAK_LEN];

	obs_keccak256(obs_slice_str(signature), hash);
	obs_buf_push_str(out, "0x");
	put_hex(out, hash, 4);
}

void obs_abi_put_number(struct obs_buf *out, uint64_t n)
{
	obs_buf_printf(out, "%048x%016llx", 0, (unsigned long long)n);
}

static size_t padded(size_t len)
{
	return (len + WORD - 1) / WORD * WORD;
}

/* Its length and its bytes, filled up to whole words. */
static void put_tail(struct obs_buf *out, const char *s)
{
	size_t len = strlen(s);

	obs_abi_put_number(out, len);
	put_hex(out, s, len);
	for (; len < padded(strlen(s)); len++)
		obs_buf_push_str(out, "00");
}

void obs_abi_put_string(struct obs_buf *out, const char *s)
{
	obs_abi_put_number(out, WORD);
	put_tail(out, s);
}

void obs_abi_put_strings(struct obs_buf *out, const char *const *v, size_t n)
{
	size_t at = n * WORD;

	obs_abi_put_number(out, WORD);
	obs_abi_put_number(out, n);
	for (size_t i = 0; i < n; i++) {
		obs_abi_put_number(out, at);
		at += WORD + padded(strlen(v[i]));
	}
	for (size_t i = 0; i < n; i++)
		put_tail(out, v[i]);
}

void obs_abi_put_address_list(struct obs_buf *out, const char *address)
{
	obs_abi_put_number(out, WORD);
	obs_abi_put_number(out, 1);
	obs_buf_printf(out, "%024x%s", 0, address + 2);
}

bool obs_abi_is_address(const char *s)
{
	if (!s || s[0] != '0' || s[1] != 'x' || strlen(s) != 42)
		return false;
	return strspn(s + 2, "0123456789abcdefABCDEF") == 40;
}

/* --- hex --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool strip_0x(struct obs_slice *hex)
{
	if (hex->len < 2 || hex->p[0] != '0' || (hex->p[1] != 'x' && hex->p[1] != 'X'))
		return false;
	*hex = obs_slice(hex->p + 2, hex->len - 2);
	return true;
}

int obs_hex_decode(struct obs_slice hex, struct obs_buf *out)
{
	int r;

	if (!strip_0x(&hex) || hex.len % 2)
		return -EBADMSG;
	r = obs_buf_reserve(out, hex.len / 2 + 1);
	for (size_t i = 0; r == 0 && i < hex.len; i += 2) {
		int high = digit(hex.p[i]), low = digit(hex.p[i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		out->p[out->len++] = (char)(high << 4 | low);
	}
	return r;
}

bool obs_hex_number(struct obs_slice hex, uint64_t *ret)
{
	uint64_t n = 0;

	if (!strip_0x(&hex) || hex.len == 0)
		return false;
	for (size_t i = 0; i < hex.len; i++) {
		if (digit(hex.p[i]) < 0 || n >> 60)
			return false;
		n = n << 4 | (uint64_t)digit(hex.p[i]);
	}
	*ret = n;
	return true;
}

/* --- results --- */

const uint8_t *obs_abi_word(struct obs_slice data, size_t at)
{
	if (at > data.len || data.len - at < WORD)
		return NULL;
	return (const uint8_t *)data.p + at;
}

bool obs_abi_number(struct obs_slice data, size_t at, uint64_t *ret)
{
	const uint8_t *word = obs_abi_word(data, at);
	uint64_t n = 0;

	if (!word)
		return false;
	for (unsigned i = 0; i < WORD; i++) {
		if (i < WORD - 8 && word[i])
			return false;
		n = n << 8 | word[i];
	}
	*ret = n;
	return true;
}

static void negate(uint8_t word[WORD])
{
	unsigned carry = 1;

	for (unsigned i = WORD; i-- > 0;) {
		carry += (uint8_t)~word[i];
		word[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void obs_abi_decimal(const uint8_t word[OBS_ABI_WORD], bool is_signed,
		     char ret[OBS_ABI_DECIMAL_MAX])
{
	uint8_t w[WORD];
	char digits[OBS_ABI_DECIMAL_MAX];
	size_t n = 0;
	bool more, negative = is_signed && word[0] >> 7;

	memcpy(w, word, WORD);
	if (negative)
		negate(w);
	do { /* divide by ten */
		unsigned rest = 0;

		more = false;
		for (unsigned i = 0; i < WORD; i++) {
			rest = rest << 8 | w[i];
			w[i] = (uint8_t)(rest / 10);
			rest %= 10;
			more |= w[i] != 0;
		}
		digits[n++] = (char)('0' + rest);
	} while (more);
	if (negative)
		*ret++ = '-';
	while (n)
		*ret++ = digits[--n];
	*ret = '\0';
}

/* Where the offset at @at leads to. */
static bool follow_offset(struct obs_slice data, size_t base, size_t at, size_t *ret)
{
	uint64_t offset;

	if (!obs_abi_number(data, at, &offset) || base > data.len || offset > data.len - base)
		return false;
	*ret = base + offset;
	return true;
}

bool obs_abi_array(struct obs_slice data, size_t base, size_t at, size_t *ret_first, size_t *ret_n)
{
	size_t place;
	uint64_t n;

	if (!follow_offset(data, base, at, &place) || !obs_abi_number(data, place, &n) ||
	    n > (data.len - place - WORD) / WORD)
		return false;
	*ret_first = place + WORD;
	*ret_n = n;
	return true;
}

bool obs_abi_bytes(struct obs_slice data, size_t base, size_t at, struct obs_slice *ret)
{
	size_t place;
	uint64_t len;

	if (!follow_offset(data, base, at, &place) || !obs_abi_number(data, place, &len) ||
	    len > data.len - place - WORD)
		return false;
	*ret = obs_slice(data.p + place + WORD, len);
	return true;
}

/* --- events --- */

static void put_hex_text(const uint8_t *p, size_t n, struct obs_abi_value *ret)
{
	static const char digits[] = "0123456789abcdef";
	char *out = ret->buf;

	*out++ = '0';
	*out++ = 'x';
	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static void put_word(const uint8_t *word, struct obs_abi_value *ret)
{
	enum obs_abi_kind kind = ret->param->kind;

	ret->is_number = kind == OBS_ABI_UINT || kind == OBS_ABI_INT;
	if (ret->is_number)
		obs_abi_decimal(word, kind == OBS_ABI_INT, ret->buf);
	else if (kind == OBS_ABI_ADDRESS)
		put_hex_text(word + 12, 20, ret);
	else if (kind == OBS_ABI_BOOL)
		snprintf(ret->buf, sizeof(ret->buf), "%s", word[WORD - 1] ? "true" : "false");
	else
		put_hex_text(word, WORD, ret);
	ret->text = obs_slice_str(ret->buf);
}

/* Two generations of one event may differ in what is indexed, not in its name and types: then
 * the first ones are. */
static bool is_indexed(const struct obs_abi_item *event, unsigned n_topics, unsigned i)
{
	unsigned n = 0;

	for (unsigned k = 0; k < event->n_params; k++)
		n += event->params[k].indexed;
	return n + 1 == n_topics ? event->params[i].indexed : i + 1 < n_topics;
}

static bool is_dynamic(const struct obs_abi_param *p)
{
	return p->dimensions || p->kind == OBS_ABI_STRING || p->kind == OBS_ABI_BYTES;
}

/* Which topic argument @i is, or where its word stands in the data. */
static bool place_of(const struct obs_abi_item *event, unsigned n_topics, unsigned i,
		     unsigned *ret_topic, size_t *ret_at)
{
	*ret_topic = 1;
	*ret_at = 0;
	for (unsigned k = 0; k < i; k++) {
		bool indexed = is_indexed(event, n_topics, k);

		*ret_topic += indexed;
		*ret_at += indexed ? 0 : WORD;
	}
	return is_indexed(event, n_topics, i);
}

int obs_abi_log_value(const struct obs_abi_item *event, const struct obs_abi_log *log, unsigned i,
		      struct obs_abi_value *ret)
{
	const uint8_t *word;
	unsigned topic;
	bool indexed;
	size_t at;

	if (i >= event->n_params)
		return -EBADMSG;
	*ret = (struct obs_abi_value){ .param = &event->params[i] };
	indexed = place_of(event, log->n_topics, i, &topic, &at);
	if (ret->param->dimensions || (indexed && is_dynamic(ret->param)))
		return -ENOTSUP;
	if (indexed && topic >= log->n_topics)
		return -EBADMSG;
	if (is_dynamic(ret->param))
		return obs_abi_bytes(log->data, 0, at, &ret->text) ? 0 : -EBADMSG;
	word = indexed ? log->topics[topic] : obs_abi_word(log->data, at);
	if (!word)
		return -EBADMSG;
	put_word(word, ret);
	return 0;
}

int obs_abi_log_strings(const struct obs_abi_item *event, const struct obs_abi_log *log, unsigned i,
			struct obs_slice *ret, size_t room, size_t *ret_n)
{
	size_t at, first, n;
	unsigned topic;

	if (i >= event->n_params || event->params[i].kind != OBS_ABI_STRING ||
	    event->params[i].dimensions != 1 || place_of(event, log->n_topics, i, &topic, &at))
		return -ENOTSUP;
	if (!obs_abi_array(log->data, 0, at, &first, &n))
		return -EBADMSG;
	n = n < room ? n : room;
	for (size_t k = 0; k < n; k++) {
		if (!obs_abi_bytes(log->data, first, first + k * WORD, &ret[k]))
			return -EBADMSG;
	}
	*ret_n = n;
	return 0;
}
