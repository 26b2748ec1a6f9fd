// SPDX-License-Identifier: BSD-2-Clause
/*
 * pattern.c - see pattern.h. One function per type of hole; a first-byte index picks
 * the rows that can fit, so that most messages are compared with none or one.
 */
#include "parse/pattern.h"

#include <pthread.h>

#include "parse/scan.h"
#include "util/cleanup.h"

#define INDEX_WIDTH 24
#define PEER_ID_MIN 46
#define PEER_ID_MAX 64

enum op_kind { OP_END = 0, OP_LITERAL, OP_HOLE, OP_SKIP, OP_GROUP, OP_GROUP_END, OP_EMPTY };

/* A row's pattern, taken apart once. */
struct op {
	unsigned char kind;    /* enum op_kind */
	unsigned char n;       /* OP_GROUP: ops up to its end */
	char type;	       /* OP_HOLE */
	struct obs_slice text; /* the literal, or the hole's key */
	struct obs_slice stop; /* OP_HOLE, OP_SKIP: the literal that follows */
};

struct run {
	const struct op *op;
	struct obs_slice text; /* what is left of the message */
	struct obs_match *m;
	struct obs_event *ev;
};

static struct obs_field *add_field(struct obs_event *ev, struct obs_slice key,
				   enum obs_value_kind kind)
{
	static _Thread_local struct obs_field unused;
	struct obs_field *f = &unused;

	if (key.len && ev->n_fields < OBS_EVENT_FIELDS_MAX)
		f = &ev->fields[ev->n_fields++];
	f->key = key;
	f->kind = kind;
	return f;
}

static void add_str(struct run *r, struct obs_slice key, struct obs_slice v)
{
	add_field(r->ev, key, OBS_VALUE_STR)->str = v;
}

static void add_uint(struct run *r, struct obs_slice key, uint64_t v)
{
	add_field(r->ev, key, OBS_VALUE_UINT)->u = v;
}

static bool hole_uint(struct run *r, struct obs_slice key)
{
	uint64_t v;

	if (!take_uint(&r->text, &v))
		return false;
	add_uint(r, key, v);
	return true;
}

static bool hole_number(struct run *r, struct obs_slice key)
{
	size_t n = json_number_len(r->text);

	if (!n)
		return false;
	add_field(r->ev, key, OBS_VALUE_NUMBER_TEXT)->str = obs_slice(r->text.p, n);
	r->text = slice_from(r->text, n);
	return true;
}

static bool take_str(struct run *r, struct obs_slice key, size_t n)
{
	if (!n)
		return false;
	add_str(r, key, obs_slice(r->text.p, n));
	r->text = slice_from(r->text, n);
	return true;
}

static bool hole_word(struct run *r, struct obs_slice key)
{
	struct obs_slice stop = r->op->stop;
	char end = stop.len ? *stop.p : ' ';
	size_t n = 0;

	while (n < r->text.len && !is_blank(r->text.p[n]) && r->text.p[n] != end)
		n++;
	return take_str(r, key, n);
}

static bool hole_text(struct run *r, struct obs_slice key)
{
	struct obs_slice stop = r->op->stop;
	const char *at;

	if (!stop.len)
		return take_str(r, key, trim_right(r->text).len);
	at = find_text(r->text, stop);
	return at && take_str(r, key, (size_t)(at - r->text.p));
}

static size_t peer_id_len(struct obs_slice s)
{
	size_t n = 0;

	if (s.len < PEER_ID_MIN || (memcmp(s.p, "Qm", 2) != 0 && memcmp(s.p, "12D3", 4) != 0))
		return 0;
	while (n < s.len && n < PEER_ID_MAX && is_base58(s.p[n]))
		n++;
	return n >= PEER_ID_MIN ? n : 0;
}

static bool hole_peer_id(struct run *r, struct obs_slice key)
{
	return take_str(r, key, peer_id_len(r->text));
}

static bool hole_route(struct run *r, struct obs_slice key)
{
	size_t n = 0;

	if (!obs_slice_starts(r->text, OBS_SLICE("/api/")))
		return false;
	while (n < r->text.len && (is_name(r->text.p[n]) || r->text.p[n] == '/' ||
				   r->text.p[n] == '-' || r->text.p[n] == '.'))
		n++;
	return take_str(r, key, n);
}

static bool hole_host(struct run *r, struct obs_slice key)
{
	struct obs_slice host = { r->text.p, 0 };

	while (host.len < r->text.len && (is_name(r->text.p[host.len]) ||
					  r->text.p[host.len] == '.' || r->text.p[host.len] == '-'))
		host.len++;
	if (!obs_slice_starts(host, OBS_SLICE("gensyn-testnet")) &&
	    !(r->m->rpc_host && obs_slice_eq(host, obs_slice_str(r->m->rpc_host))))
		return false;
	return take_str(r, key, host.len);
}

static struct obs_field *add_list(struct run *r, struct obs_slice key)
{
	struct obs_field *f = add_field(r->ev, key, OBS_VALUE_LIST);

	f->list.v = r->m->list + r->m->n_list;
	f->list.n = 0;
	return f;
}

static void push_item(struct run *r, struct obs_field *f, struct obs_slice item)
{
	if (r->m->n_list >= OBS_MATCH_LIST_MAX)
		return;
	r->m->list[r->m->n_list++] = item;
	f->list.n++;
}

/* 'a', "b", …]: what stands between quotes, up to the bracket or the end. Multiaddr objects,
 * as some versions print them (<Multiaddr /ip4/…>), count as quoted. */
static bool hole_list(struct run *r, struct obs_slice key)
{
	struct obs_field *f = add_list(r, key);
	struct obs_slice s = r->text, item;

	while (s.len && *s.p != ']') {
		char c = *s.p;

		s = slice_from(s, 1);
		if (c == '<') {
			TAKE(&s, "Multiaddr ");
			c = '>';
		}
		if ((c == '\'' || c == '"' || c == '>') && take_until(&s, c, &item))
			push_item(r, f, item);
	}
	r->text = s;
	return true;
}

static bool hole_one(struct run *r, struct obs_slice key)
{
	struct obs_field *f = add_list(r, key);
	size_t n = 0;

	while (n < r->text.len && !is_blank(r->text.p[n]))
		n++;
	push_item(r, f, obs_slice(r->text.p, n));
	r->text = slice_from(r->text, n);
	return n > 0;
}

static bool take_real(struct obs_slice *s, double *ret)
{
	uint64_t whole, part;
	struct obs_slice rest;
	double scale = 1;

	if (!take_uint(s, &whole))
		return false;
	*ret = (double)whole;
	rest = *s;
	if (!take_char(&rest, '.'))
		return true;
	*s = rest;
	if (take_uint(&rest, &part)) {
		for (size_t i = 0; i < s->len - rest.len; i++)
			scale *= 10;
		*ret += (double)part / scale;
		*s = rest;
	}
	return true;
}

/* "2.32 GiB": PyTorch means powers of two whether it writes GB or GiB. */
static bool hole_bytes(struct run *r, struct obs_slice key)
{
	static const char units[] = "KMGTP";
	struct obs_slice s = r->text;
	const char *unit;
	double v;

	if (!take_real(&s, &v))
		return false;
	s = trim_left(s);
	unit = s.len ? memchr(units, *s.p, sizeof(units) - 1) : NULL;
	if (unit) {
		s = slice_from(s, 1);
		take_char(&s, 'i');
		for (long shift = unit - units; shift >= 0; shift--)
			v *= 1024;
	}
	if (!take_char(&s, 'B') && !TAKE(&s, "bytes"))
		return false;
	if (v > 1e18)
		return false;
	add_uint(r, key, (uint64_t)(v + 0.5));
	r->text = s;
	return true;
}

static bool hole_kilobytes(struct run *r, struct obs_slice key)
{
	uint64_t v;

	if (!take_uint(&r->text, &v) || v > UINT64_MAX / 1024)
		return false;
	add_uint(r, key, v * 1024);
	return true;
}

/* "2.7s", "845ms", "1.2min": in milliseconds. */
static bool hole_duration(struct run *r, struct obs_slice key)
{
	double v;

	if (!take_real(&r->text, &v) || v > 1e12)
		return false;
	if (TAKE(&r->text, "min"))
		v *= 60000;
	else if (take_char(&r->text, 's'))
		v *= 1000;
	else if (!TAKE(&r->text, "ms"))
		return false;
	add_uint(r, key, (uint64_t)(v + 0.5));
	return true;
}

static bool hole_go_time(struct run *r, struct obs_slice key)
{
	struct obs_text_time unused;
	size_t n = obs_time_scan_go(r->text, &unused);

	return take_str(r, key, n);
}

static bool hole_aa_code(struct run *r, struct obs_slice key)
{
	size_t n = 2;

	if (!obs_slice_starts(r->text, OBS_SLICE("AA")))
		return false;
	while (n < r->text.len && is_digit(r->text.p[n]))
		n++;
	return n > 2 && take_str(r, key, n);
}

static bool (*const hole_types[128])(struct run *, struct obs_slice) = {
	['u'] = hole_uint,    ['n'] = hole_number,  ['w'] = hole_word,	    ['s'] = hole_text,
	['q'] = hole_peer_id, ['r'] = hole_route,   ['h'] = hole_host,	    ['l'] = hole_list,
	['m'] = hole_one,     ['b'] = hole_bytes,   ['k'] = hole_kilobytes, ['t'] = hole_duration,
	['g'] = hole_go_time, ['a'] = hole_aa_code,
};

static bool match_skip(struct run *r)
{
	const char *at = find_text(r->text, r->op->stop);

	if (at)
		r->text = slice_from(r->text, (size_t)(at - r->text.p));
	return at != NULL;
}

/* One step that is not a group; false = does not fit. */
static inline bool match_step(struct run *r)
{
	switch (r->op->kind) {
	case OP_LITERAL:
		return take(&r->text, r->op->text);
	case OP_HOLE:
		return hole_types[(unsigned char)r->op->type](r, r->op->text);
	case OP_SKIP:
		return match_skip(r);
	case OP_EMPTY:
		return trim_left(r->text).len == 0;
	default:
		return true;
	}
}

/* "<…>": all of it or nothing. */
static void match_group(struct run *r)
{
	const struct op *end = r->op + r->op->n;
	unsigned n_fields = r->ev->n_fields;
	struct obs_slice text = r->text;

	for (r->op++; r->op < end && match_step(r); r->op++)
		;
	if (r->op < end) {
		r->text = text;
		r->ev->n_fields = n_fields;
	}
	r->op = end;
}

static bool match_all(struct run *r)
{
	for (; r->op->kind != OP_END; r->op++) {
		if (r->op->kind == OP_GROUP)
			match_group(r);
		else if (!match_step(r))
			return false;
	}
	return true;
}

static void add_constants(struct obs_event *ev, const char *text)
{
	while (text && *text) {
		size_t key = strcspn(text, "="), value = strcspn(text + key, ";");

		add_field(ev, obs_slice(text, key), OBS_VALUE_STR)->str =
			obs_slice(text + key + 1, value - 1);
		text += key + value;
		text += *text == ';';
	}
}

static const struct obs_field *find_field(const struct obs_event *ev, const char *key)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (obs_slice_eq(ev->fields[i].key, obs_slice_str(key)))
			return &ev->fields[i];
	}
	return NULL;
}

/* The kernel names every process it kills; only a node's are ours. */
static bool is_node_comm(const struct obs_event *ev)
{
	static const char *const names[] = { "python",	    "p2pd",	      "node",
					     "next-server", "yarn",	      "ollama",
					     "wandb",	    "pt_main_thread", "run_rl_swarm" };
	const struct obs_field *f = find_field(ev, "comm");

	for (size_t i = 0; f && i < ARRAY_LEN(names); i++) {
		if (obs_slice_starts(f->str, obs_slice_str(names[i])))
			return true;
	}
	return false;
}

static bool context_ok(const struct obs_pattern_row *row, const struct obs_prefix *p)
{
	if (row->flags & OBS_ROW_BASH && p->grammar != OBS_GRAMMAR_G6)
		return false;
	if (row->flags & OBS_ROW_DHT && !obs_slice_starts(p->logger, OBS_SLICE("hivemind.dht")))
		return false;
	if (row->flags & OBS_ROW_GO && (p->grammar != OBS_GRAMMAR_G12 || p->level.len))
		return false;
	return true;
}

static void add_script_line(struct obs_event *ev, struct obs_slice digits)
{
	uint64_t v;

	if (take_uint(&digits, &v))
		add_field(ev, OBS_SLICE("script_line"), OBS_VALUE_UINT)->u = v;
}

#define ROWS_MAX 128
#define OPS_MAX	 (ROWS_MAX * 12)

static struct op ops[OPS_MAX];
static unsigned short first_op[ROWS_MAX];
static uint32_t first_bytes[ROWS_MAX], first_mask[ROWS_MAX]; /* of the literal in front */
static unsigned char index_by_byte[256][INDEX_WIDTH];	     /* row + 1; 0 = end */
static pthread_once_t built = PTHREAD_ONCE_INIT;

static const char *compile_hole(struct op *op, const char *p)
{
	const char *colon = strchr(p, ':');

	op->kind = OP_HOLE;
	op->text = obs_slice(p + 1, (size_t)(colon - p) - 1);
	op->type = colon[1];
	p = colon + 3;
	op->stop.p = p + strspn(p, ">");
	op->stop.len = strcspn(op->stop.p, "{<>~$");
	return p;
}

static const char *compile_one(struct op *op, const char *p)
{
	static const unsigned char kinds[128] = {
		['~'] = OP_SKIP,
		['$'] = OP_EMPTY,
		['<'] = OP_GROUP,
		['>'] = OP_GROUP_END,
	};

	*op = (struct op){ .kind = kinds[(unsigned char)*p & 0x7f] };
	if (*p == '{')
		return compile_hole(op, p);
	op->text = obs_slice(p, strcspn(p, "{<>~$"));
	op->stop = obs_slice(p + 1, strcspn(p + 1, "{<>~$"));
	if (op->kind)
		return p + 1;
	op->kind = OP_LITERAL;
	return p + op->text.len;
}

static size_t compile(const char *pattern, struct op *op)
{
	size_t n = 0, group = 0;

	for (; *pattern; n++) {
		pattern = compile_one(&op[n], pattern);
		if (op[n].kind == OP_GROUP)
			group = n;
		if (op[n].kind == OP_GROUP_END)
			op[group].n = (unsigned char)(n - group);
	}
	op[n] = (struct op){ .kind = OP_END };
	return n + 1;
}

/* The first four bytes of a text, fewer with zeros behind. */
static inline uint32_t four_bytes(const char *p, size_t len)
{
	uint32_t v = 0;

	if (len >= 4)
		memcpy(&v, p, 4);
	else if (len)
		memcpy(&v, p, len);
	return v;
}

static void note_first_bytes(size_t row)
{
	const struct op *op = &ops[first_op[row]];
	static const char ones[] = "\xff\xff\xff\xff";

	if (op->kind != OP_LITERAL)
		return;
	first_bytes[row] = four_bytes(op->text.p, op->text.len);
	first_mask[row] = four_bytes(ones, op->text.len);
}

static void index_row(unsigned char byte, size_t row)
{
	unsigned char *slot = index_by_byte[byte];

	slot += strnlen((char *)slot, INDEX_WIDTH - 1);
	*slot = (unsigned char)(row + 1);
}

/* The bytes a message for this pattern can begin with: digits for a number, the literal's
 * first byte, and for an optional group also what follows it. */
static void build_index(void)
{
	size_t n_ops = 0;

	for (size_t row = 0; obs_pattern_rows[row].pattern; row++) {
		const char *p = obs_pattern_rows[row].pattern;

		first_op[row] = (unsigned short)n_ops;
		n_ops += compile(p, ops + n_ops);
		note_first_bytes(row);
		if (*p == '<') {
			index_row((unsigned char)p[1], row);
			p = strchr(p, '>') + 1;
		}
		if (*p == '{') {
			for (int c = '0'; c <= '9'; c++)
				index_row((unsigned char)c, row);
		} else {
			index_row((unsigned char)*p, row);
		}
	}
}

bool obs_pattern_try(const struct obs_pattern_row *row, const struct obs_prefix *p,
		     struct obs_slice message, struct obs_match *m, struct obs_event *ev)
{
	struct run r = { NULL, message, m, ev };
	unsigned n_fields = ev->n_fields;
	size_t n_list = m->n_list;

	pthread_once(&built, build_index);
	r.op = &ops[first_op[row - obs_pattern_rows]];
	if (!context_ok(row, p) || !match_all(&r) ||
	    (row->flags & OBS_ROW_NODE_COMM && !is_node_comm(ev))) {
		ev->n_fields = n_fields;
		m->n_list = n_list;
		return false;
	}
	add_script_line(ev, p->script_line);
	add_constants(ev, row->constants);
	return true;
}

/* "[PRINT] " (0.4.3's swarm.log) and v0.1's "[F-<uuid>] ". */
static void skip_tag(struct obs_slice *s)
{
	struct obs_slice rest = *s, tag;

	if (TAKE(s, "[PRINT] "))
		return;
	if (TAKE(&rest, "[F-") && take_until(&rest, ']', &tag) && tag.len == 36)
		*s = trim_left(rest);
}

static bool is_ornament(char c)
{
	return (unsigned char)c >= 0x80 || is_blank(c) || c == '*' || c == '_' || c == '?';
}

/* An emoji may be lost on its way, or be left as "__" or "??". */
struct obs_slice obs_message_head(struct obs_slice s)
{
	while (s.len && is_ornament(*s.p))
		s = obs_slice(s.p + 1, s.len - 1);
	if (s.len && *s.p == '[')
		skip_tag(&s);
	return s;
}

const struct obs_pattern_row *obs_pattern_match(const struct obs_prefix *p,
						struct obs_slice message, struct obs_match *m,
						struct obs_event *ev)
{
	const unsigned char *rows;
	uint32_t first;

	pthread_once(&built, build_index);
	if (!message.len)
		return NULL;
	rows = index_by_byte[(unsigned char)*message.p];
	first = four_bytes(message.p, message.len);
	for (unsigned i = 0; i < INDEX_WIDTH && rows[i]; i++) {
		size_t row = rows[i] - 1u;

		if ((first & first_mask[row]) == first_bytes[row] &&
		    obs_pattern_try(&obs_pattern_rows[row], p, message, m, ev))
			return &obs_pattern_rows[row];
	}
	return NULL;
}
