// SPDX-License-Identifier: BSD-2-Clause
/*
 * heard.c - see heard.h.
 *
 * Pieces stand in a ring by age and in chains by hash. A piece either ends its line or not; a line
 * is any number of the latter and one of the former behind them.
 */
#include "stream/heard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define FIRST_PIECES 1024
#define KEEP_NS	     60000000000ULL /* an engine that is longer behind has other troubles */
#define SLACK_NS     1000000000ULL  /* between a write and the engine's reading it */
#define PATH_MAX_LEN 1024	    /* pieces of one line */
#define LOOKS_BYTE   16		    /* into the chains, per byte of a line */
#define LOOKS_MORE   16384
#define PIECE_BYTES  4096 /* a record holds no more */
#define HASH_SEED    0xcbf29ce484222325ULL
#define HASH_PRIME   0x100000001b3ULL
#define OPEN_SALT    0x9e3779b97f4a7c15ULL /* of pieces that do not end their line */
#define NONE	     UINT32_MAX

struct piece {
	uint64_t hash;
	uint64_t wall_ns;
	uint32_t next; /* older piece of the same chain; NONE */
	uint16_t writer;
	bool taken;
};

struct obs_heard {
	size_t max_pieces;
	struct piece *ring; /* owned; cap entries, seq % cap */
	uint32_t *heads;    /* owned; cap entries */
	size_t cap;	    /* power of two; 0 = nothing allocated */
	uint32_t first;	    /* seq of the oldest piece kept; they wrap */
	uint32_t next;	    /* … of the next one */
	size_t open;	    /* pieces kept, and not taken, that do not end their line */
	size_t whole;	    /* … that do */
	uint64_t unsure_ns; /* pieces up to this time had to go */
	bool after_cr;	    /* the last write ended in \r: \n belongs to it */
	size_t looks;	    /* left for the line at hand */
	uint32_t path[PATH_MAX_LEN];
};

int obs_heard_new(size_t max_pieces, struct obs_heard **ret)
{
	struct obs_heard *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->max_pieces = max_pieces;
	*ret = h;
	return 0;
}

static void free_table(struct obs_heard *h)
{
	free(h->ring);
	free(h->heads);
	h->ring = NULL;
	h->heads = NULL;
	h->cap = 0;
}

void obs_heard_free(struct obs_heard **h)
{
	if (!*h)
		return;
	free_table(*h);
	free(*h);
	*h = NULL;
}

size_t obs_heard_count(const struct obs_heard *h)
{
	return h->open + h->whole;
}

uint32_t obs_heard_next(const struct obs_heard *h)
{
	return h->next;
}

void obs_heard_set_unsure(struct obs_heard *h, uint64_t wall_ns)
{
	h->unsure_ns = wall_ns;
}

/* --- the table --- */

static struct piece *at(const struct obs_heard *h, uint32_t seq)
{
	return &h->ring[seq & (h->cap - 1)];
}

static uint32_t *head_of(const struct obs_heard *h, uint64_t hash)
{
	return &h->heads[(hash ^ hash >> 32) & (h->cap - 1)];
}

/* Is @seq one that is kept? Chains lead from newer to older ones. */
static bool is_kept(const struct obs_heard *h, uint32_t seq)
{
	return seq != NONE && seq - h->first < h->next - h->first;
}

static void link_piece(struct obs_heard *h, uint32_t seq)
{
	uint32_t *head = head_of(h, at(h, seq)->hash);

	at(h, seq)->next = *head;
	*head = seq;
}

static bool grow(struct obs_heard *h)
{
	size_t cap = h->cap ? 2 * h->cap : FIRST_PIECES;
	struct obs_heard old = *h;

	if (cap > h->max_pieces)
		return false;
	h->ring = calloc(cap, sizeof(*h->ring));
	h->heads = malloc(cap * sizeof(*h->heads));
	if (!h->ring || !h->heads) {
		free(h->ring);
		free(h->heads);
		h->ring = old.ring;
		h->heads = old.heads;
		return false;
	}
	h->cap = cap;
	memset(h->heads, 0xff, cap * sizeof(*h->heads));
	for (uint32_t seq = old.first; seq != old.next; seq++) {
		*at(h, seq) = *at(&old, seq);
		link_piece(h, seq);
	}
	free(old.ring);
	free(old.heads);
	return true;
}

static size_t *kind_of(struct obs_heard *h, const struct piece *p)
{
	/* the salt's lowest bit tells them apart, see hash_of() */
	return p->hash & 1 ? &h->whole : &h->open;
}

static void drop_first(struct obs_heard *h)
{
	struct piece *p = at(h, h->first);

	if (!p->taken)
		--*kind_of(h, p);
	h->first++;
}

/* What was met is not needed any more, nor what the engine will not tell of. */
static void drop_done(struct obs_heard *h, uint64_t now_ns)
{
	while (h->first != h->next &&
	       (at(h, h->first)->taken || at(h, h->first)->wall_ns + KEEP_NS < now_ns))
		drop_first(h);
	if (h->first == h->next && h->cap > FIRST_PIECES)
		free_table(h);
}

/* Hash of some text, byte by byte. All that is not ASCII counts as one byte, however long: Docker
 * keeps U+FFFD in place of what is no UTF-8. */
struct text_hash {
	uint64_t value;
	bool wide; /* the last byte was none of ASCII */
};

static void step(struct text_hash *t, char c)
{
	bool wide = c & 0x80;

	if (!wide || !t->wide)
		t->value = (t->value ^ (wide ? 0x80U : (unsigned char)c)) * HASH_PRIME;
	t->wide = wide;
}

static uint64_t hash_of(uint64_t text_hash, bool ends)
{
	uint64_t hash = ends ? text_hash : text_hash ^ OPEN_SALT;

	return (hash & ~1ULL) | ends;
}

static void push_piece(struct obs_heard *h, uint64_t hash, uint16_t writer, uint64_t wall_ns)
{
	if (h->next - h->first == h->cap && !grow(h)) {
		if (h->cap == 0) {
			h->unsure_ns = wall_ns;
			return;
		}
		if (!at(h, h->first)->taken && at(h, h->first)->wall_ns > h->unsure_ns)
			h->unsure_ns = at(h, h->first)->wall_ns;
		drop_first(h);
	}
	*at(h, h->next) = (struct piece){ .hash = hash, .wall_ns = wall_ns, .writer = writer };
	++*kind_of(h, at(h, h->next));
	link_piece(h, h->next++);
}

void obs_heard_write(struct obs_heard *h, uint16_t writer, struct obs_slice bytes, uint64_t wall_ns)
{
	struct text_hash hash = { .value = HASH_SEED };
	size_t i = 0, start;

	if (bytes.len && h->after_cr && bytes.p[0] == '\n')
		i = 1;
	h->after_cr = bytes.len && bytes.p[bytes.len - 1] == '\r';
	for (start = i; i < bytes.len; i++) {
		char c = bytes.p[i];

		if (c != '\n' && c != '\r') {
			step(&hash, c);
			continue;
		}
		push_piece(h, hash_of(hash.value, true), writer, wall_ns);
		hash = (struct text_hash){ .value = HASH_SEED };
		i += c == '\r' && i + 1 < bytes.len && bytes.p[i + 1] == '\n';
		start = i + 1;
	}
	if (start < bytes.len)
		push_piece(h, hash_of(hash.value, false), writer, wall_ns);
}

/* --- lines --- */

/* A piece that is not taken yet; NONE = there is none. */
static uint32_t find(struct obs_heard *h, uint64_t hash)
{
	uint32_t seq = *head_of(h, hash);

	while (is_kept(h, seq) && h->looks > 0) {
		h->looks--;
		if (at(h, seq)->hash == hash && !at(h, seq)->taken)
			return seq;
		seq = at(h, seq)->next;
	}
	return NONE;
}

static void set_taken(struct obs_heard *h, uint32_t seq, bool taken)
{
	struct piece *p = at(h, seq);

	p->taken = taken;
	*kind_of(h, p) += taken ? (size_t)-1 : 1;
}

/* Chains of one text that comes again and again stay short so. */
static void unlink_taken(struct obs_heard *h, uint32_t seq)
{
	uint32_t *head = head_of(h, at(h, seq)->hash);

	while (is_kept(h, *head) && at(h, *head)->taken)
		*head = at(h, *head)->next;
}

static bool take_end(struct obs_heard *h, struct obs_slice rest, size_t n)
{
	struct text_hash hash = { .value = HASH_SEED };
	uint32_t seq;

	for (size_t i = 0; i < rest.len; i++)
		step(&hash, rest.p[i]);
	seq = find(h, hash_of(hash.value, true));
	if (seq == NONE)
		return false;
	set_taken(h, seq, true);
	h->path[n] = seq;
	return true;
}

/* The longest piece at the start of @rest that is not longer than @limit. Return: its length. */
static size_t take_open(struct obs_heard *h, struct obs_slice rest, size_t limit, size_t n)
{
	struct text_hash hash = { .value = HASH_SEED };
	size_t best = 0;

	if (limit > PIECE_BYTES)
		limit = PIECE_BYTES;
	for (size_t i = 0; i < rest.len && i < limit && h->looks > 0; i++) {
		uint32_t seq;

		step(&hash, rest.p[i]);
		seq = find(h, hash_of(hash.value, false));
		h->looks -= h->looks > 0;
		if (seq == NONE)
			continue;
		best = i + 1;
		h->path[n] = seq;
	}
	if (best)
		set_taken(h, h->path[n], true);
	return best;
}

static void give_back(struct obs_heard *h, size_t n)
{
	while (n-- > 0)
		set_taken(h, h->path[n], false);
}

/* Pieces without an end, longest first, then one with an end; where that leads nowhere, the first
 * piece is tried shorter. Return: pieces, 0 = the line is not made of pieces. */
static size_t take_apart(struct obs_heard *h, struct obs_slice line, bool cut)
{
	size_t limit = line.len;

	while (limit > 0 && h->looks > 0) {
		size_t n = 0, used = 0, first = 0, len;

		while (n + 1 < PATH_MAX_LEN) {
			struct obs_slice rest = obs_slice(line.p + used, line.len - used);

			if (n > 0 && cut && rest.len < PIECE_BYTES)
				return n;
			if (n > 0 && take_end(h, rest, n))
				return n + 1;
			len = h->open ? take_open(h, rest, n ? rest.len : limit, n) : 0;
			if (!len)
				break;
			first = n ? first : len;
			used += len;
			n++;
		}
		give_back(h, n);
		limit = first ? first - 1 : 0;
	}
	return 0;
}

enum obs_heard_answer obs_heard_take(struct obs_heard *h, struct obs_slice line, bool cut,
				     uint64_t wall_ns)
{
	size_t n = 0;

	h->looks = LOOKS_BYTE * line.len + LOOKS_MORE;
	if (h->cap && !cut && take_end(h, line, 0))
		n = 1;
	else if (h->cap && h->open)
		n = take_apart(h, line, cut);
	for (size_t i = 0; i < n; i++)
		unlink_taken(h, h->path[i]);
	if (h->cap)
		drop_done(h, wall_ns);
	if (n)
		return OBS_HEARD_YES;
	return h->unsure_ns && wall_ns && wall_ns <= h->unsure_ns + SLACK_NS ? OBS_HEARD_UNSURE
									     : OBS_HEARD_NOT;
}

/* --- over a restart --- */

struct saved_piece {
	uint64_t hash;
	uint64_t wall_ns;
};

void obs_heard_blocks(const struct obs_heard *h, struct obs_heard_blocks *ret)
{
	ret->first = h->first / OBS_HEARD_BLOCK;
	ret->end = h->next / OBS_HEARD_BLOCK + 1;
}

void obs_heard_save(const struct obs_heard *h, uint32_t block,
		    bool (*waits)(void *ctx, uint16_t writer, uint32_t seq), void *ctx,
		    struct obs_buf *out)
{
	uint32_t seq = block * OBS_HEARD_BLOCK;

	for (uint32_t i = 0; i < OBS_HEARD_BLOCK; i++, seq++) {
		struct saved_piece s;

		if (seq - h->first >= h->next - h->first || at(h, seq)->taken ||
		    waits(ctx, at(h, seq)->writer, seq))
			continue;
		s = (struct saved_piece){ at(h, seq)->hash, at(h, seq)->wall_ns };
		obs_buf_push(out, &s, sizeof(s));
	}
}

void obs_heard_load(struct obs_heard *h, struct obs_slice saved, uint64_t since_ns)
{
	struct saved_piece s;

	for (; saved.len >= sizeof(s);
	     saved = obs_slice(saved.p + sizeof(s), saved.len - sizeof(s))) {
		memcpy(&s, saved.p, sizeof(s));
		if (s.wall_ns >= since_ns)
			push_piece(h, s.hash, 0, s.wall_ns);
	}
}
