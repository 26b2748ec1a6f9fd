// SPDX-License-Identifier: BSD-2-Clause
/* stream.c - see stream.h. */
#include "stream/stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "parse/zone.h"
#include "stream/heard.h"
#include "stream/kept.h"
#include "stream/lines.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define READ_BYTES	(256 * 1024)
#define SLICE_BYTES	(8 * 1024 * 1024)
#define RECORD_QUIET_NS 1000000000ULL
#define PROMPT_QUIET_NS 3000000000ULL
#define SUM_BYTES	(1024 * 1024) /* a sum is kept of files that nobody tells of, up to here */
#define LATE_NS		2000000000ULL /* a write (O_SYNC) may take so long to return */
#define ROOM_NS		2000000000ULL /* for a mapping to be filled */
/* A cursor that nobody has seen for long is dropped from the store: say now and then that the
 * file is still there. */
#define CURSOR_FRESH_NS (24 * 3600 * 1000000000ULL)

/* Of an engine's file: descriptor 2 has a parser of its own. */
struct kept_part {
	struct obs_kept *file;	/* owned; NULL: another file, or a console */
	struct obs_parser *err; /* owned */
	uint64_t skip[2];	/* by descriptor - 1: lines before this offset are events already */
	uint64_t record[2];	/* … offset of the entry in which the record that waits starts */
	uint64_t bad_bytes;	/* counted so far */
	struct obs_heard *heard; /* borrowed; NULL: every line is taken */
	uint64_t wall_ns;	 /* of the last line */
};

struct obs_stream {
	const struct obs_stream_options *opt;
	enum obs_stream_kind kind;
	struct obs_file_id id;
	uint32_t epoch;
	int fd; /* owned; -1 = none */
	char *path;
	void *owner;
	uint64_t offset;      /* next byte to give to the line assembler */
	uint64_t due;	      /* the file is known to reach up to here */
	uint64_t counted;     /* bytes before this are in the ledger */
	uint64_t put_off;     /* end of what was read and is put off: no room for it; 0 = nothing */
	size_t put_off_bytes; /* memory that it took */
	uint64_t read_ns;     /* CLOCK_BOOTTIME of the last look into the file */
	uint64_t looked_from; /* what was read then without a record: from here, */
	uint64_t looked_to;   /* … to here */
	uint64_t sweep_size;  /* size at the sweep before */
	uint64_t active_ns;   /* CLOCK_BOOTTIME of the last bytes */
	uint64_t told;	      /* offset of the cursor last handed out */
	uint64_t told_ns;     /* CLOCK_REALTIME when it was handed out */
	uint32_t told_epoch;
	bool told_any;
	uint64_t seen_ns;   /* mtime of the file when all of it had been read; 0 = never */
	uint64_t seen_size; /* … and its size */
	uint32_t signs;	    /* enum obs_stream_signs since then */
	bool touched;	    /* at the last sweep it had another mtime, and this size */
	XXH64_state_t *sum; /* owned; of its first sum_at bytes, NULL = none is kept */
	uint64_t sum_at;
	bool odd;		/* at the last sweep its bytes were not those that were read */
	bool found;		/* the next bytes read were found by looking */
	bool ends;		/* nothing more will be written */
	uint64_t room_at;	/* offset of the NUL at which reading stopped, */
	uint64_t room_ns;	/* … and since when; 0 = never */
	bool left_behind;	/* its name leads elsewhere: nobody will end its last line */
	uint64_t gone_to;	/* it had reached up to here; what stood behind offset is gone */
	uint64_t former;	/* offset when it was last emptied; 0 = never */
	uint64_t sure;		/* offset when the file was last seen to be the one that was read */
	uint64_t rewritten;	/* end of what was written anew from offset 0 on; 0 = nothing */
	struct obs_rewrite run; /* the writes that did */
	struct obs_cursor cut;	/* where it had been read to when it was emptied last */
	uint64_t cut_lost;	/* bytes behind that, not counted as lost yet */
	bool cut_any;		/* cut is not handed out yet */
	struct obs_rewrite rewrite; /* not handed out yet */
	uint32_t lost;		    /* as the last write to a console told */
	bool lost_known;
	uint32_t tail_len;	   /* bytes in tail */
	char tail[OBS_TAIL_BYTES]; /* what was fed last, up to offset */
	struct obs_lines *lines;   /* owned */
	struct obs_parser *parser; /* owned */
	struct obs_zone *zone;	   /* owned; NULL = UTC */
	struct kept_part kept;
};

/* One buffer for all streams: they belong to one thread. */
static char read_buffer[READ_BYTES];

static bool is_paused(const struct obs_stream *s)
{
	return s->opt->paused && *s->opt->paused;
}

/* --- lines and events --- */

static void push_line(struct obs_stream *s, struct obs_parser *parser, const struct obs_line *line)
{
	struct obs_counters *c = s->opt->counters;

	obs_count(line->backfilled ? &c->lines_backfilled : &c->lines_captured, 1);
	obs_count(&c->lines_parsed, 1);
	if (line->text.len == 0)
		obs_count(&c->lines_blank, 1);
	if (line->truncated)
		obs_count(&c->lines_cut, 1);
	obs_parser_push(parser, line);
}

static void on_line(void *ctx, const struct obs_line *line)
{
	struct obs_stream *s = ctx;

	push_line(s, s->parser, line);
}

static struct obs_parser *parser_of(const struct obs_stream *s, int fd)
{
	return fd == 2 ? s->kept.err : s->parser;
}

/* Consoles are captured, too: was this line not? */
static bool is_missing(struct obs_stream *s, const struct obs_line *line)
{
	struct obs_counters *c = s->opt->counters;

	switch (obs_heard_take(s->kept.heard, line->text, line->truncated, line->wall_ns)) {
	case OBS_HEARD_YES:
		obs_count(&c->console_lines_matched, 1);
		return false;
	case OBS_HEARD_UNSURE:
		obs_count(&c->console_lines_unsure, 1);
		return false;
	default:
		obs_count(&c->console_lines_repaired, 1);
		obs_count(&c->bytes_backfilled, line->text.len);
		return true;
	}
}

static void on_kept_line(void *ctx, int fd, const struct obs_line *line, uint64_t entry)
{
	struct obs_stream *s = ctx;
	uint64_t start;

	if (line->offset < s->kept.skip[fd - 1])
		return;
	s->kept.wall_ns = line->wall_ns;
	if (s->kept.heard && !is_missing(s, line))
		return;
	push_line(s, parser_of(s, fd), line);
	if (obs_parser_pending(parser_of(s, fd), &start) && start == line->offset)
		s->kept.record[fd - 1] = entry;
}

static void on_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct obs_stream *s = ctx;

	s->opt->on_event(s->opt->ctx, s, ev, first);
}

/* What waits for the end of a line, or for more lines, has all that comes. */
static void flush_lines(struct obs_stream *s)
{
	if (s->kept.file)
		obs_kept_flush(s->kept.file);
	else
		obs_lines_flush(s->lines);
}

static void flush_records(struct obs_stream *s)
{
	obs_parser_flush(s->parser);
	if (s->kept.file)
		obs_parser_flush(s->kept.err);
}

/* --- feeding --- */

static void keep_tail(struct obs_stream *s, struct obs_slice bytes)
{
	size_t keep;

	if (bytes.len >= OBS_TAIL_BYTES) {
		memcpy(s->tail, bytes.p + bytes.len - OBS_TAIL_BYTES, OBS_TAIL_BYTES);
		s->tail_len = OBS_TAIL_BYTES;
		return;
	}
	keep = OBS_TAIL_BYTES - bytes.len;
	if (s->tail_len > keep)
		memmove(s->tail, s->tail + s->tail_len - keep, keep);
	else
		keep = s->tail_len;
	memcpy(s->tail + keep, bytes.p, bytes.len);
	s->tail_len = (uint32_t)(keep + bytes.len);
}

/* Take it from the file: what stands before the cursor now. */
static void load_tail(struct obs_stream *s)
{
	size_t want = s->offset < OBS_TAIL_BYTES ? s->offset : OBS_TAIL_BYTES;
	ssize_t n = s->fd < 0 ? -1 : pread(s->fd, s->tail, want, (off_t)(s->offset - want));

	s->tail_len = n == (ssize_t)want ? (uint32_t)want : 0;
	s->sure = s->offset;
}

/* Are its writes told of by records? */
static bool is_told(const struct obs_stream *s)
{
	return s->kept.file || (s->opt->captured && s->owner);
}

static void drop_sum(struct obs_stream *s)
{
	XXH64_freeState(s->sum);
	s->sum = NULL;
}

/* What stands in the file from sum_at on was read. */
static void add_to_sum(struct obs_stream *s, struct obs_slice bytes)
{
	if (!s->sum)
		return;
	if (s->sum_at != s->offset || s->sum_at + bytes.len > SUM_BYTES || is_told(s)) {
		drop_sum(s);
		return;
	}
	XXH64_update(s->sum, bytes.p, bytes.len);
	s->sum_at += bytes.len;
}

static void start_sum(struct obs_stream *s)
{
	if (is_told(s) || s->kind != OBS_STREAM_FILE)
		return;
	if (!s->sum)
		s->sum = XXH64_createState();
	if (s->sum)
		XXH64_reset(s->sum, 0);
	s->sum_at = 0;
}

/* Return: true when the file's first @len bytes have been added to @sum. */
static bool sum_file(int fd, uint64_t len, XXH64_state_t *sum)
{
	for (uint64_t at = 0; at < len;) {
		uint64_t want = len - at < READ_BYTES ? len - at : READ_BYTES;
		ssize_t n = pread(fd, read_buffer, want, (off_t)at);

		if (n <= 0)
			return false;
		XXH64_update(sum, read_buffer, (size_t)n);
		at += (uint64_t)n;
	}
	return true;
}

/* Reading begins in the middle: what stands before that counts, too. */
static void load_sum(struct obs_stream *s)
{
	start_sum(s);
	if (!s->sum)
		return;
	if (s->fd < 0 || s->offset > SUM_BYTES || !sum_file(s->fd, s->offset, s->sum))
		drop_sum(s);
	else
		s->sum_at = s->offset;
}

/* Does the file hold what was read of it, byte for byte? false: no, or it is not known. */
static bool holds_the_same(const struct obs_stream *s)
{
	XXH64_state_t *now = s->sum && s->sum_at == s->offset ? XXH64_createState() : NULL;
	bool same;

	if (!now)
		return false;
	XXH64_reset(now, 0);
	same = sum_file(s->fd, s->offset, now) && XXH64_digest(now) == XXH64_digest(s->sum);
	XXH64_freeState(now);
	return same;
}

static void push_bytes(struct obs_stream *s, const struct obs_line *meta)
{
	uint64_t bad;

	if (!s->kept.file) {
		obs_lines_push(s->lines, meta);
		return;
	}
	obs_kept_push(s->kept.file, meta->text, meta->offset);
	bad = obs_kept_bad_bytes(s->kept.file);
	obs_count(&s->opt->counters->kept_bad_bytes, bad - s->kept.bad_bytes);
	s->kept.bad_bytes = bad;
}

/* What is put off is read again, and was counted. */
static void count_bytes(struct obs_stream *s, size_t len, bool captured)
{
	struct obs_counters *c = s->opt->counters;
	uint64_t end = s->offset + len, from = s->offset > s->counted ? s->offset : s->counted;

	if (end <= from)
		return;
	obs_count(captured ? &c->bytes_captured : &c->bytes_backfilled, end - from);
	s->counted = end;
}

static void feed(struct obs_stream *s, struct obs_slice bytes, const struct obs_chunk *chunk)
{
	struct obs_line meta = { .text = bytes, .offset = s->offset, .backfilled = !chunk };

	if (chunk) {
		meta.wall_ns = chunk->wall_ns;
		meta.pid = chunk->pid;
		memcpy(meta.comm, chunk->comm, sizeof(meta.comm));
	}
	if (!s->kept.heard) /* else what is taken of it is counted */
		count_bytes(s, bytes.len, chunk != NULL);
	s->active_ns = chunk ? chunk->boot_ns : s->read_ns;
	push_bytes(s, &meta);
	add_to_sum(s, bytes);
	s->offset += bytes.len;
	if (s->kind == OBS_STREAM_FILE)
		keep_tail(s, bytes);
}

/* --- is it still the file that was read? --- */

/* Do the bytes before the cursor still stand there? Those in [@from, @to) may have changed. */
static bool tail_differs(const struct obs_stream *s, uint64_t from, uint64_t to)
{
	uint64_t at = s->offset - s->tail_len;
	char now[OBS_TAIL_BYTES];

	if (pread(s->fd, now, s->tail_len, (off_t)at) != (ssize_t)s->tail_len)
		return true;
	for (uint32_t i = 0; i < s->tail_len; i++) {
		if (now[i] != s->tail[i] && !(at + i >= from && at + i < to))
			return true;
	}
	return false;
}

/* Cut below the cursor, or cut and grown past it again? */
static bool is_replaced(struct obs_stream *s)
{
	struct stat st;

	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return false;
	if ((uint64_t)st.st_size < s->offset || (s->tail_len > 0 && tail_differs(s, 0, 0)))
		return true;
	s->sure = s->offset;
	return false;
}

/* Why does the file not give the bytes up to @end, which were written? */
static _Atomic uint64_t *reason_of(const struct obs_stream *s, uint64_t end, bool gone)
{
	struct obs_counters *c = s->opt->counters;
	struct stat st;

	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return &c->bytes_lost_unreadable;
	return gone || (uint64_t)st.st_size < end ? &c->bytes_lost_truncated
						  : &c->bytes_lost_unreadable;
}

/* Bytes up to @end can be had from nowhere: what stood before them ends here. */
static void give_up(struct obs_stream *s, uint64_t end, _Atomic uint64_t *reason)
{
	obs_count(reason, end - s->offset);
	flush_lines(s);
	s->offset = end;
	load_tail(s);
}

/* Where the zeroes end that a file begins with; 0 when it does not. */
static uint64_t zeroes_end(int fd)
{
	off_t at = lseek(fd, 0, SEEK_DATA);
	ssize_t n;

	if (at <= 0)
		return 0;
	n = pread(fd, read_buffer, READ_BYTES, at);
	for (ssize_t i = 0; i < n; i++) {
		if (read_buffer[i])
			return (uint64_t)(at + i);
	}
	return n > 0 ? (uint64_t)(at + n) : 0;
}

/* Emptied under a writer that goes on at its old offset (copytruncate without O_APPEND): zeroes
 * stand where the old lines were, and the new ones follow where the cursor expects them. */
static bool goes_on_behind_zeroes(struct obs_stream *s)
{
	uint64_t end = s->offset > 0 && s->fd >= 0 ? zeroes_end(s->fd) : 0;

	if (end == 0 || end < s->sure)
		return false;
	if (end > s->offset)
		give_up(s, end, &s->opt->counters->bytes_lost_truncated);
	load_tail(s);
	return true;
}

/* The same, when the file had been seen empty before the next line came. */
static void skip_zeroes(struct obs_stream *s)
{
	uint64_t end = s->offset == 0 && s->former > 0 && s->fd >= 0 ? zeroes_end(s->fd) : 0;

	if (end == 0 || end < s->former)
		return;
	s->offset = end;
	load_tail(s);
}

/*
 * NULs are room that a writer made (ftruncate, fallocate) and is filling through a mapping, in
 * whatever order: nothing is read past them for a while, and at the end of a file not at all.
 * Return: how many of the @n bytes in the buffer are to be taken now.
 */
static size_t without_room(struct obs_stream *s, size_t n)
{
	const char *nul = memchr(read_buffer, '\0', n);
	struct stat st;

	if (!nul || s->kept.file)
		return n;
	if (s->room_at != s->offset + (size_t)(nul - read_buffer) || s->room_ns == 0) {
		s->room_at = s->offset + (size_t)(nul - read_buffer);
		s->room_ns = s->read_ns;
	}
	if (s->read_ns - s->room_ns < ROOM_NS && !s->ends)
		return (size_t)(nul - read_buffer);
	if (fstat(s->fd, &st) == 0 && s->offset + n >= (uint64_t)st.st_size) {
		while (n > 0 && read_buffer[n - 1] == '\0')
			n--;
	}
	return n;
}

/* The next bytes, up to @end. Return: bytes in the buffer; 0 or negative = none. */
static ssize_t read_next(struct obs_stream *s, uint64_t end)
{
	uint64_t want = end - s->offset;

	return pread(s->fd, read_buffer, want < READ_BYTES ? want : READ_BYTES, (off_t)s->offset);
}

/* Read what was written up to @end, or what the file holds of it; @chunk says who wrote it. */
static void read_up_to(struct obs_stream *s, uint64_t end, const struct obs_chunk *chunk)
{
	s->read_ns = obs_boot_ns();
	skip_zeroes(s);
	while (s->fd >= 0 && s->offset < end && !is_paused(s)) {
		ssize_t n = read_next(s, end);

		if (n <= 0)
			return;
		feed(s, obs_slice(read_buffer, (size_t)n), chunk);
	}
}

/* The same where only the file's size says that something was written. */
static void look_on(struct obs_stream *s, uint64_t end)
{
	s->read_ns = obs_boot_ns();
	skip_zeroes(s);
	s->looked_from = s->offset;
	while (s->fd >= 0 && s->offset < end && !is_paused(s)) {
		ssize_t n = read_next(s, end);

		if (n > 0)
			n = (ssize_t)without_room(s, (size_t)n);
		if (n <= 0)
			return;
		feed(s, obs_slice(read_buffer, (size_t)n), NULL);
	}
}

static void look_up_to(struct obs_stream *s, uint64_t end)
{
	look_on(s, end);
	s->looked_to = s->offset;
}

/* Hash of up to OBS_TAIL_BYTES before @end. Return: bytes covered, 0 when unreadable. */
static uint32_t tail_of(int fd, uint64_t end, uint32_t want, uint64_t *ret_hash)
{
	char tail[OBS_TAIL_BYTES];
	ssize_t n;

	if (want > end)
		want = (uint32_t)end;
	n = pread(fd, tail, want, (off_t)(end - want));
	if (n != (ssize_t)want)
		return 0;
	*ret_hash = XXH3_64bits(tail, want);
	return want;
}

void obs_stream_place(const struct obs_stream *s, bool former, struct obs_cursor *ret)
{
	if (former) {
		*ret = s->cut;
		return;
	}
	*ret = (struct obs_cursor){
		.file = s->id,
		.epoch = s->epoch,
		.offset = s->offset,
		.tail_len = s->tail_len,
		.tail_hash = XXH3_64bits(s->tail, s->tail_len),
	};
}

static void note_cut(struct obs_stream *s, uint64_t known)
{
	obs_count(&s->opt->counters->bytes_lost_truncated, s->cut_lost);
	s->cut_lost = known > s->offset ? known - s->offset : 0;
	s->cut_any = true;
	obs_stream_place(s, false, &s->cut);
}

bool obs_stream_take_cut(struct obs_stream *s, struct obs_cursor *ret, uint64_t *ret_lost)
{
	bool any = s->cut_any;

	*ret = s->cut;
	*ret_lost = s->cut_lost;
	s->cut_any = false;
	s->cut_lost = 0;
	return any;
}

/* The file was cut below the cursor: begin anew; ids tell the two apart by the epoch. What was
 * taken before is kept: a line that had no end yet has one now. */
static void start_over(struct obs_stream *s)
{
	uint64_t known = s->due > s->sweep_size ? s->due : s->sweep_size;

	if (known < s->gone_to)
		known = s->gone_to;
	obs_count(&s->opt->counters->truncations, 1);
	s->run = (struct obs_rewrite){};
	s->rewritten = 0;
	s->odd = false;
	s->due = s->sweep_size = s->gone_to = 0;
	if (goes_on_behind_zeroes(s)) {
		s->epoch++;
		return;
	}
	note_cut(s, known);
	flush_lines(
		s); /* under the ids of the old epoch: their offsets come again in the new one */
	flush_records(s);
	s->epoch++;
	s->kept.skip[0] = s->kept.skip[1] = 0;
	s->former = s->sure;
	s->offset = s->sure = s->counted = s->put_off = 0;
	s->tail_len = 0;
	s->seen_ns = s->looked_from = s->looked_to = 0;
	start_sum(s);
}

/* --- lines without an end take too much memory together --- */

/* Where the first line without an end starts. Return: false = there is none. */
static bool part_start(const struct obs_stream *s, uint64_t *ret)
{
	struct obs_kept_place out, err;
	bool any_out, any_err;

	if (!s->kept.file)
		return obs_lines_pending(s->lines, ret);
	any_out = obs_kept_pending(s->kept.file, 1, &out);
	any_err = obs_kept_pending(s->kept.file, 2, &err);
	if (any_out || any_err)
		*ret = !any_err || (any_out && out.entry < err.entry) ? out.entry : err.entry;
	return any_out || any_err;
}

/* Of an engine's file: what the other descriptor said since is not to be taken again. */
static bool forget_kept_part(struct obs_stream *s)
{
	struct obs_kept_place at[2] = { { s->offset, s->offset }, { s->offset, s->offset } };

	flush_records(s);
	for (int fd = 1; fd <= 2; fd++)
		obs_kept_pending(s->kept.file, fd, &at[fd - 1]);
	if (!obs_kept_reset(s->kept.file))
		return false;
	for (int i = 0; i < 2; i++) {
		if (at[i].offset > s->kept.skip[i])
			s->kept.skip[i] = at[i].offset;
	}
	return true;
}

/* The file has it: it is read again when there is room, a second later at the earliest. */
static void put_off(struct obs_stream *s, uint64_t start, size_t bytes)
{
	bool behind = s->due > s->offset;

	if (s->kept.file && !forget_kept_part(s))
		return;
	if (!s->kept.file)
		obs_lines_reset(s->lines);
	obs_count(&s->opt->counters->lines_put_off, 1);
	s->put_off = behind ? 0 : s->offset;
	s->put_off_bytes = bytes;
	s->offset = start;
	load_tail(s);
	if (behind)
		return;
	s->due = start;
	s->found = false;
	if (s->sweep_size < s->put_off)
		s->sweep_size = s->put_off;
}

/* What was captured of a console stands nowhere else: it makes a line of its own. */
static void split(struct obs_stream *s)
{
	uint64_t unused;

	if (!part_start(s, &unused))
		return;
	flush_lines(s);
	obs_count(&s->opt->counters->lines_split, 1);
}

static size_t room_missing(const struct obs_stream *s, size_t more)
{
	const struct obs_assembly *a = s->opt->assembly;

	return a && a->used_bytes + more > a->max_bytes ? a->used_bytes + more - a->max_bytes : 0;
}

/* A line that begins before @from, where reading began, and is not whole yet goes on: else a
 * long one would never be read. */
static void settle(struct obs_stream *s, uint64_t from)
{
	const struct obs_assembly *a = s->opt->assembly;
	size_t used = a ? a->used_bytes : 0;
	uint64_t start;

	s->put_off = 0;
	if (s->ends || room_missing(s, 0) == 0)
		return;
	if (s->kept.file ? obs_kept_shed(s->kept.file) : obs_lines_shed(s->lines))
		obs_count(&s->opt->counters->lines_split, 1);
	if (room_missing(s, 0) == 0 || !part_start(s, &start))
		return;
	if (s->kind == OBS_STREAM_CONSOLE || s->fd < 0 || is_replaced(s))
		split(s);
	else if (start > from || s->due <= s->offset)
		put_off(s, start, used);
}

/* A write goes on with what was put off, and there is still no room: not each write reads it. */
static bool stays_put_off(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t end = chunk->offset + chunk->len;

	if (s->put_off == 0 || chunk->offset < s->put_off || room_missing(s, s->put_off_bytes) == 0)
		return false;
	if (s->sweep_size < end)
		s->sweep_size = end;
	s->put_off = end;
	return true;
}

/* --- captured writes --- */

static void note_rewrite(struct obs_rewrite *r, const struct obs_rewrite *more)
{
	uint64_t writes = r->writes + more->writes;
	uint64_t low = r->writes && r->offset < more->offset ? r->offset : more->offset;
	uint64_t high = r->end > more->end ? r->end : more->end;

	*r = *more;
	r->writes = writes;
	r->offset = low;
	r->end = high;
}

static struct obs_rewrite as_rewrite(const struct obs_chunk *chunk)
{
	struct obs_rewrite r = { .writes = 1,
				 .offset = chunk->offset,
				 .end = chunk->offset + chunk->len,
				 .wall_ns = chunk->wall_ns,
				 .pid = chunk->pid };

	memcpy(r.comm, chunk->comm, sizeof(r.comm));
	return r;
}

static void count_rewrite(struct obs_stream *s, const struct obs_rewrite *r)
{
	obs_count(&s->opt->counters->rewrites, r->writes);
	note_rewrite(&s->rewrite, r);
}

/* What was written anew did not reach as far as was read. */
static void end_run(struct obs_stream *s)
{
	if (s->run.writes > 0)
		count_rewrite(s, &s->run);
	s->run = (struct obs_rewrite){};
	s->rewritten = 0;
}

/* Written anew from offset 0 on, without a gap, as far as was read: `>` and the same again. */
static bool is_all_rewritten(struct obs_stream *s, const struct obs_chunk *chunk)
{
	struct obs_rewrite r = as_rewrite(chunk);

	if (chunk->offset == 0 || chunk->offset > s->rewritten)
		end_run(s);
	if (chunk->offset > s->rewritten)
		return false;
	if (r.end > s->rewritten)
		s->rewritten = r.end;
	note_rewrite(&s->run, &r);
	return s->rewritten >= s->offset;
}

/* A file that was emptied is written from its start, or behind its old end: a write in between
 * is one in place. */
static bool begins_anew(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t end = chunk->offset + chunk->len;
	struct stat st;

	if (fstat(s->fd, &st) == 0 && (uint64_t)st.st_size < s->offset)
		return true;
	if (chunk->offset > s->rewritten || chunk->boot_ns <= s->read_ns)
		end_run(s);
	else if (is_all_rewritten(s, chunk))
		return true;
	if (chunk->offset > 0 && end <= s->offset)
		return false;
	return tail_differs(s, chunk->offset, end);
}

/* Its bytes were there when we last looked, and it returned only then: the last one of before. */
static bool is_late(const struct obs_stream *s, const struct obs_chunk *chunk)
{
	return chunk->offset >= s->looked_from && chunk->offset + chunk->len == s->looked_to &&
	       chunk->boot_ns < s->read_ns + LATE_NS;
}

/* A write that starts before the cursor. Return: true when there is nothing left to do. */
static bool before_cursor(struct obs_stream *s, const struct obs_chunk *chunk)
{
	bool covered = chunk->offset + chunk->len <= s->offset;

	if (covered && chunk->boot_ns <= s->read_ns)
		return true; /* its bytes were there when we last looked */
	if (s->fd >= 0 && begins_anew(s, chunk)) {
		start_over(s);
		return false;
	}
	/* A record may come after a later one whose hole it was: then we have read it. */
	if (s->run.writes == 0 && chunk->boot_ns > s->read_ns && !is_late(s, chunk) &&
	    !(chunk->flags & OBS_CHUNK_SHARED)) {
		struct obs_rewrite r = as_rewrite(chunk);

		count_rewrite(s, &r);
	}
	load_tail(s);
	s->told_any = false; /* the tail's hash is another now: hand it out again */
	return covered;
}

/* The file cannot give what stood at the cursor when this was written. */
static bool is_gone(struct obs_stream *s)
{
	return s->fd < 0 || is_replaced(s);
}

static void fill_hole(struct obs_stream *s, uint64_t end)
{
	obs_count(&s->opt->counters->holes, 1);
	if (!is_gone(s))
		read_up_to(s, end, NULL);
	if (s->offset < end && !is_paused(s))
		give_up(s, end, reason_of(s, end, is_gone(s)));
}

/* The file does not hold the bytes up to @end: it was emptied (@gone), and then a copy of it may,
 * which is looked for when it is begun anew (obs_stream_take_cut). */
static void miss(struct obs_stream *s, uint64_t end, bool gone)
{
	if (!gone || s->fd < 0) {
		give_up(s, end, reason_of(s, end, gone));
		return;
	}
	s->gone_to = s->due > end ? s->due : end;
	s->due = s->offset;
}

/* The cursor stands inside the written range: take the rest of it. */
static void take_range(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t end = chunk->offset + chunk->len, skip;
	bool gone = is_gone(s);

	if (!gone)
		read_up_to(s, end, chunk);
	if (s->offset >= end || is_paused(s))
		return;
	/* The file does not give it any more: what was captured is all there is. */
	skip = s->offset - chunk->offset;
	if (skip < chunk->payload.len)
		feed(s, obs_slice(chunk->payload.p + skip, chunk->payload.len - skip), chunk);
	if (s->offset < end)
		miss(s, end, gone);
}

/* The file was emptied: was this written before that, or does it stand in what came since? */
static bool stands_in_file(const struct obs_stream *s, const struct obs_chunk *chunk)
{
	size_t want = chunk->payload.len < READ_BYTES ? chunk->payload.len : READ_BYTES;
	struct stat st;

	if (want == 0)
		return fstat(s->fd, &st) == 0 && (uint64_t)st.st_size >= chunk->offset + chunk->len;
	return pread(s->fd, read_buffer, want, (off_t)chunk->offset) == (ssize_t)want &&
	       memcmp(read_buffer, chunk->payload.p, want) == 0;
}

static uint64_t slice_bytes(const struct obs_stream *s)
{
	return s->opt->slice_bytes ? s->opt->slice_bytes : SLICE_BYTES;
}

static void write_file(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t end = chunk->offset + chunk->len;

	if (chunk->offset < s->offset && before_cursor(s, chunk))
		return;
	if (s->due < end)
		s->due = end;
	if (end - s->offset > slice_bytes(s) || is_paused(s))
		return; /* a long way, or not now: catch_up goes it in slices */

	if (chunk->offset == s->offset && chunk->payload.len > 0 &&
	    !(chunk->flags & OBS_CHUNK_SHARED)) {
		feed(s, chunk->payload, chunk);
		if (s->offset < end)
			take_range(s, chunk);
		return;
	}
	if (s->fd >= 0 && is_replaced(s) && stands_in_file(s, chunk))
		start_over(s);
	if (chunk->offset > s->offset)
		fill_hole(s, chunk->offset);
	if (s->offset >= chunk->offset)
		take_range(s, chunk);
}

/* What follows a loss is another line's, perhaps: half a line ends before it. */
static void write_console(struct obs_stream *s, const struct obs_chunk *chunk)
{
	if (s->lost_known && s->lost != chunk->lost)
		obs_lines_flush(s->lines);
	s->lost = chunk->lost;
	s->lost_known = true;
	feed(s, chunk->payload, chunk);
}

void obs_stream_write(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t from = s->offset;

	if (s->kind == OBS_STREAM_CONSOLE)
		write_console(s, chunk);
	else if (chunk->flags & OBS_CHUNK_NO_OFFSET)
		obs_stream_catch_up(s, true);
	else if (!stays_put_off(s, chunk))
		write_file(s, chunk);
	else
		return;
	settle(s, from);
}

/* --- reading without a record --- */

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000ULL + (uint64_t)st->st_mtim.tv_nsec;
}

/* All that the file had when @st was taken has been read. */
static void note_seen(struct obs_stream *s, const struct stat *st)
{
	s->seen_ns = mtime_ns(st);
	s->seen_size = (uint64_t)st->st_size;
	s->signs = 0;
	s->touched = false;
}

bool obs_stream_catch_up(struct obs_stream *s, bool to_end)
{
	uint64_t end = s->due, from, to;
	bool found = s->found;
	struct stat st;

	if (s->kind == OBS_STREAM_CONSOLE || s->fd < 0 || fstat(s->fd, &st) < 0)
		return false;
	if (is_replaced(s)) {
		start_over(s);
		end = (uint64_t)st.st_size;
	}
	if (to_end && end < (uint64_t)st.st_size)
		end = (uint64_t)st.st_size;
	if (end > (uint64_t)st.st_size)
		end = (uint64_t)st.st_size;
	if (end <= s->offset)
		return false;
	s->due = end;
	from = s->offset;
	to = end - from > slice_bytes(s) ? from + slice_bytes(s) : end;
	look_up_to(s, to);
	if (found && s->put_off == 0)
		obs_count(&s->opt->counters->growth_found, s->offset - from);
	if (s->offset < to && !is_paused(s))
		s->due = s->offset; /* that is all there is */
	s->found = found && s->offset < s->due;
	settle(s, from);
	if (s->offset == (uint64_t)st.st_size)
		note_seen(s, &st);
	return s->offset < s->due;
}

/* Without records nobody knows where it was written to. */
static void tell_touch(struct obs_stream *s, uint64_t wall_ns)
{
	struct obs_rewrite r = { .writes = 1, .end = s->offset, .wall_ns = wall_ns };

	count_rewrite(s, &r);
	s->told_any = false; /* its cursor shall not be older than this */
}

/*
 * Without records: was it written to since all of it was read, and is as long as it was? When
 * it was opened, written to, and holds the same text, it was emptied by `>` and written again.
 * Looked at twice, since the signs of it may still be on their way.
 * Return: true when it is begun anew.
 */
static bool note_touch(struct obs_stream *s, const struct stat *st)
{
	const uint32_t both = OBS_STREAM_OPENED | OBS_STREAM_MODIFIED;
	bool before = s->touched;

	s->touched = !is_told(s) && s->seen_ns && s->seen_ns != mtime_ns(st) &&
		     s->seen_size == (uint64_t)st->st_size && s->seen_size == s->offset;
	if (!s->touched) {
		if (s->seen_size != (uint64_t)st->st_size || s->seen_ns == mtime_ns(st))
			s->signs = 0;
		return false;
	}
	if (!before)
		return false;
	if ((s->signs & both) == both && s->offset > 0 && holds_the_same(s)) {
		start_over(s);
		s->due = (uint64_t)st->st_size;
		return true;
	}
	tell_touch(s, mtime_ns(st));
	note_seen(s, st);
	return false;
}

void obs_stream_sign(struct obs_stream *s, uint32_t signs)
{
	s->signs |= signs;
}

bool obs_stream_sweep(struct obs_stream *s)
{
	uint64_t before = s->sweep_size;
	struct stat st;

	if (s->kind == OBS_STREAM_CONSOLE || s->fd < 0 || fstat(s->fd, &st) < 0)
		return false;
	end_run(s);
	s->sweep_size = (uint64_t)st.st_size;
	if (is_replaced(s)) {
		bool again = s->odd || s->sweep_size < s->offset;

		/* The record of a write in place may still be on its way. */
		s->odd = true;
		s->sweep_size = before; /* what the old one is known to have reached */
		return again;
	}
	s->odd = false;
	if (note_touch(s, &st))
		return true;
	if (before <= s->offset)
		return false;
	if (s->due < before) {
		s->due = before;
		s->found = true;
	}
	return true;
}

bool obs_stream_take_rewrites(struct obs_stream *s, struct obs_rewrite *ret)
{
	if (s->rewrite.writes == 0)
		return false;
	*ret = s->rewrite;
	s->rewrite = (struct obs_rewrite){};
	return true;
}

uint64_t obs_stream_lag(const struct obs_stream *s)
{
	struct stat st;

	if (s->kind == OBS_STREAM_CONSOLE || s->fd < 0 || fstat(s->fd, &st) < 0 ||
	    (uint64_t)st.st_size <= s->offset)
		return 0;
	return (uint64_t)st.st_size - s->offset;
}

bool obs_stream_is_behind(const struct obs_stream *s)
{
	return s->kind == OBS_STREAM_FILE && s->due > s->offset;
}

static bool records_wait(const struct obs_stream *s)
{
	uint64_t unused;

	return obs_parser_pending(s->parser, &unused) ||
	       (s->kept.file && obs_parser_pending(s->kept.err, &unused));
}

/* A prompt ends without a newline; in a file the rest of the line may still come, unless it
 * was rotated away. An engine writes the parts of a line at once. */
static bool take_prompt(struct obs_stream *s)
{
	uint64_t unused;

	if (s->kept.file)
		return obs_kept_quiet(s->kept.file);
	if ((s->kind != OBS_STREAM_CONSOLE && !s->left_behind) ||
	    !obs_lines_pending(s->lines, &unused))
		return false;
	obs_lines_flush(s->lines);
	return true;
}

bool obs_stream_silent(struct obs_stream *s, uint64_t now_boot_ns)
{
	uint64_t quiet = now_boot_ns > s->active_ns ? now_boot_ns - s->active_ns : 0;
	bool waits = false;

	if (quiet >= RECORD_QUIET_NS && records_wait(s)) {
		flush_records(s);
		waits = true;
	}
	if (quiet >= PROMPT_QUIET_NS && take_prompt(s)) {
		flush_records(s);
		waits = true;
	}
	return waits;
}

void obs_stream_end(struct obs_stream *s)
{
	s->ends = true;
	while (obs_stream_catch_up(s, true) && !is_paused(s))
		;
	if (!obs_stream_is_behind(s))
		flush_lines(s);
	flush_records(s);
}

void obs_stream_leave_behind(struct obs_stream *s, bool yes)
{
	s->left_behind = yes;
}

uint64_t obs_stream_active_ns(const struct obs_stream *s)
{
	return s->active_ns;
}

void obs_stream_expect(struct obs_stream *s, const struct obs_chunk *chunk)
{
	uint64_t end = chunk->offset + chunk->len;

	if (!(chunk->flags & OBS_CHUNK_NO_OFFSET) && s->due < end)
		s->due = end;
}

/* --- cursors --- */

/* Up to where lines of descriptor @fd are done, and where reading has to go on for the rest. */
static struct obs_kept_place done_place(const struct obs_stream *s, int fd)
{
	struct obs_kept_place done = { s->offset, s->offset }, at = { 0, 0 };

	if (obs_kept_pending(s->kept.file, fd, &at))
		done = at;
	if (obs_parser_pending(parser_of(s, fd), &at.offset) && at.offset < done.offset)
		done = (struct obs_kept_place){ at.offset, s->kept.record[fd - 1] };
	return done;
}

uint64_t obs_stream_done(const struct obs_stream *s, int fd)
{
	uint64_t done = done_place(s, fd).offset, skip = s->kept.skip[fd - 1];

	return done > skip ? done : skip; /* … until what was done before is read again */
}

void obs_stream_skip(struct obs_stream *s, int fd, uint64_t offset)
{
	s->kept.skip[fd - 1] = offset;
}

static uint64_t done_offset(const struct obs_stream *s)
{
	uint64_t done = s->offset, at = 0;

	if (s->kept.file) {
		done = done_place(s, 1).entry;
		at = done_place(s, 2).entry;
		return done < at ? done : at;
	}
	if (obs_lines_pending(s->lines, &at) && at < done)
		done = at;
	if (obs_parser_pending(s->parser, &at) && at < done)
		done = at;
	return done;
}

bool obs_stream_cursor(struct obs_stream *s, struct obs_cursor *ret)
{
	uint64_t done = done_offset(s);

	if (s->kind == OBS_STREAM_CONSOLE)
		return false;
	if (s->told_any && s->told == done && s->told_epoch == s->epoch &&
	    obs_wall_ns() - s->told_ns < CURSOR_FRESH_NS)
		return false;
	s->told = done;
	s->told_epoch = s->epoch;
	s->told_any = true;
	*ret = (struct obs_cursor){
		.file = s->id,
		.epoch = s->epoch,
		.offset = done,
		.seen_ns = obs_wall_ns(),
	};
	s->told_ns = ret->seen_ns;
	ret->tail_len = tail_of(s->fd, done, OBS_TAIL_BYTES, &ret->tail_hash);
	snprintf(ret->path, sizeof(ret->path), "%s", s->path);
	return true;
}

bool obs_cursor_fits(const struct obs_cursor *c, int fd)
{
	uint64_t hash = 0;

	return c->tail_len == 0 ||
	       (tail_of(fd, c->offset, c->tail_len, &hash) == c->tail_len && hash == c->tail_hash);
}

/* Offset of the first of the last @lines lines of a file of @size bytes. */
static uint64_t tail_start(int fd, uint64_t size, int64_t lines)
{
	uint64_t at = size;
	int64_t seen = 0;

	while (at > 0) {
		uint64_t step = at < READ_BYTES ? at : READ_BYTES;
		ssize_t n = pread(fd, read_buffer, step, (off_t)(at - step));

		if (n <= 0)
			return at;
		for (ssize_t i = n - 1; i >= 0; i--) {
			uint64_t pos = at - step + (uint64_t)i;

			if (read_buffer[i] == '\n' && pos + 1 < size && ++seen == lines)
				return pos + 1;
		}
		at -= step;
	}
	return 0;
}

static void find_place(struct obs_stream *s, const struct obs_cursor *cursor,
		       const struct obs_stream_start *start)
{
	struct stat st;

	if (s->fd < 0 || fstat(s->fd, &st) < 0) {
		s->offset = cursor ? cursor->offset : 0;
		s->epoch = cursor ? cursor->epoch : 0;
		return;
	}
	s->due = (uint64_t)st.st_size;
	if (!cursor) {
		if (!start->from_zero && start->tail_lines > 0)
			s->offset = start->kept == OBS_KEPT_LOCAL
					    ? obs_kept_tail_start(s->fd, s->due, start->tail_lines)
					    : tail_start(s->fd, s->due, start->tail_lines);
		if (start->told)
			s->due = s->offset;
		return;
	}
	s->epoch = cursor->epoch;
	s->offset = cursor->offset;
	if (s->due < cursor->offset || !obs_cursor_fits(cursor, s->fd)) {
		obs_count(&s->opt->counters->truncations, 1);
		s->epoch++;
		s->offset = 0;
	}
}

static void place(struct obs_stream *s, const struct obs_cursor *cursor,
		  const struct obs_stream_start *start)
{
	struct stat st;

	find_place(s, cursor, start);
	load_tail(s);
	load_sum(s);
	if (s->fd < 0 || fstat(s->fd, &st) < 0 || s->offset != (uint64_t)st.st_size)
		return;
	note_seen(s, &st);
	/* Whoever wrote to it since we saw it did that in place, or emptied it and wrote the same. */
	if (cursor && s->offset > 0 && cursor->offset == s->offset && !s->kept.file &&
	    cursor->seen_ns < mtime_ns(&st))
		tell_touch(s, mtime_ns(&st));
}

/* --- life --- */

static int new_stream(const struct obs_stream_options *opt, enum obs_source source,
		      const char *path, struct obs_stream **ret)
{
	struct obs_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->opt = opt;
	s->fd = -1;
	s->path = strdup(path);
	s->active_ns = obs_boot_ns();
	r = s->path ? obs_lines_new(opt->line_bytes, on_line, s, &s->lines) : -ENOMEM;
	if (r == 0)
		obs_lines_set_assembly(s->lines, opt->assembly);
	if (r == 0)
		r = obs_parser_new(source, on_event, s, &s->parser);
	if (r < 0) {
		obs_stream_free(&s);
		return r;
	}
	obs_stream_set_zone(s, NULL);
	*ret = s;
	return 0;
}

void obs_stream_set_zone(struct obs_stream *s, struct obs_zone *zone)
{
	struct obs_parser_options o = s->opt->parser;

	obs_zone_free(&s->zone);
	s->zone = zone;
	o.zone = zone;
	o.reference_ns = obs_wall_ns();
	obs_parser_configure(s->parser, &o);
	if (s->kept.err)
		obs_parser_configure(s->kept.err, &o);
}

struct obs_zone *obs_stream_take_zone(struct obs_stream *s)
{
	struct obs_zone *zone = TAKE_PTR(s->zone);

	obs_stream_set_zone(s, NULL);
	return zone;
}

static int open_kept(struct obs_stream *s, enum obs_kept_format format)
{
	int r = obs_kept_new(format, s->opt->line_bytes, on_kept_line, s, &s->kept.file);

	if (r == 0)
		obs_kept_set_assembly(s->kept.file, s->opt->assembly);
	if (r == 0)
		r = obs_parser_new(OBS_SOURCE_CONSOLE, on_event, s, &s->kept.err);
	if (r == 0)
		obs_stream_set_zone(s, NULL);
	return r;
}

int obs_stream_new_file(const struct obs_stream_options *opt, const struct obs_file_id *id, int fd,
			const char *path, const struct obs_cursor *cursor,
			const struct obs_stream_start *start, void *owner, struct obs_stream **ret)
{
	bool kept = start->kept != OBS_KEPT_NONE;
	struct obs_stream *s;
	int r = new_stream(opt,
			   kept ? OBS_SOURCE_CONSOLE : obs_source_for_path(obs_slice_str(path)),
			   path, &s);

	if (r == 0 && kept) {
		r = open_kept(s, start->kept);
		if (r < 0)
			obs_stream_free(&s);
	}
	if (r < 0) {
		obs_closep(&fd);
		return r;
	}
	s->kind = OBS_STREAM_FILE;
	s->id = *id;
	s->fd = fd;
	s->owner = owner;
	place(s, cursor, start);
	*ret = s;
	return 0;
}

int obs_stream_new_console(const struct obs_stream_options *opt, uint32_t pid, int fd, void *owner,
			   struct obs_stream **ret)
{
	struct obs_stream *s;
	int r = new_stream(opt, OBS_SOURCE_CONSOLE, fd == 2 ? "stderr" : "stdout", &s);

	if (r < 0)
		return r;
	s->kind = OBS_STREAM_CONSOLE;
	s->id = (struct obs_file_id){ .ino = pid, .dev = (uint32_t)fd };
	s->owner = owner;
	*ret = s;
	return 0;
}

void obs_stream_free(struct obs_stream **sp)
{
	struct obs_stream *s = *sp;

	if (!s)
		return;
	obs_count(&s->opt->counters->bytes_lost_truncated, s->cut_lost);
	if (s->gone_to > s->offset)
		obs_count(&s->opt->counters->bytes_lost_truncated, s->gone_to - s->offset);
	obs_closep(&s->fd);
	obs_lines_free(&s->lines);
	obs_parser_free(&s->parser);
	obs_kept_free(&s->kept.file);
	obs_parser_free(&s->kept.err);
	obs_zone_free(&s->zone);
	drop_sum(s);
	free(s->path);
	free(s);
	*sp = NULL;
}

enum obs_stream_kind obs_stream_kind(const struct obs_stream *s)
{
	return s->kind;
}

const struct obs_file_id *obs_stream_file(const struct obs_stream *s)
{
	return &s->id;
}

uint32_t obs_stream_epoch(const struct obs_stream *s)
{
	return s->epoch;
}

int obs_stream_fd(const struct obs_stream *s)
{
	return s->fd;
}

const char *obs_stream_path(const struct obs_stream *s)
{
	return s->path;
}

void *obs_stream_owner(const struct obs_stream *s)
{
	return s->owner;
}

void obs_stream_set_owner(struct obs_stream *s, void *owner)
{
	s->owner = owner;
}

bool obs_stream_kept(const struct obs_stream *s)
{
	return s->kept.file != NULL;
}

uint64_t obs_stream_cursor_offset(const struct obs_stream *s)
{
	return s->told;
}

void obs_stream_set_heard(struct obs_stream *s, struct obs_heard *heard)
{
	s->kept.heard = heard;
}

uint64_t obs_stream_read_wall_ns(const struct obs_stream *s)
{
	return s->kept.wall_ns;
}

uint64_t obs_stream_offset(const struct obs_stream *s)
{
	return s->offset;
}

bool obs_stream_waits(const struct obs_stream *s, uint64_t *ret_offset)
{
	uint64_t line, record;
	bool in_line = obs_lines_pending(s->lines, &line);
	bool in_record = obs_parser_pending(s->parser, &record);

	if (!in_line && !in_record)
		return false;
	*ret_offset = !in_record || (in_line && line < record) ? line : record;
	return true;
}
