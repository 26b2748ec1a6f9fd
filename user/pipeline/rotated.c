// SPDX-License-Identifier: BSD-2-Clause
/*
 * rotated.c - see rotated.h.
 *
 * A renamed file is known by its identity. A copy (copytruncate, gzip) has another one: it is
 * known by the bytes before the cursor of the file that is gone. What is neither, and was
 * written since the observer was last there, lived and was rotated meanwhile.
 */
#include "pipeline/rotated.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>
#include <zlib.h>

#include "util/cleanup.h"

#define UNPACKED_BYTES (64 * 1024 * 1024)
#define NS_PER_S       1000000000ULL

static const char *const compressed[] = { ".gz", ".xz", ".bz2", ".zst", ".Z" };

/* Two files with the same 256 bytes at the same place are the same log; with fewer, who knows. */
#define TAIL_MIN_BYTES 16

struct sibling {
	char name[256];
	struct obs_file_id id;
	struct stat st;
	uint64_t new_ns; /* CLOCK_REALTIME: nothing in it is younger, and it is not older */
	bool packed;
};

/* --- names --- */

static size_t without_packing(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(compressed); i++) {
		size_t n = strlen(compressed[i]);

		if (len > n && strcmp(name + len - n, compressed[i]) == 0)
			return len - n;
	}
	return len;
}

static bool is_number_or_date(const char *s, size_t len)
{
	if (len == 3 && memcmp(s, "old", 3) == 0)
		return true;
	for (size_t i = 0; i < len; i++) {
		if (!strchr("0123456789-_.:TZ", s[i]))
			return false;
	}
	return len > 0;
}

bool obs_rotated_is_sibling(const char *base, const char *name)
{
	size_t len = without_packing(name), base_len = strlen(base);
	const char *dot = strrchr(base, '.');
	size_t stem = dot ? (size_t)(dot - base) : base_len, ext = base_len - stem;

	if (len > base_len + 1 && memcmp(name, base, base_len) == 0 &&
	    strchr(".-_", name[base_len]))
		return is_number_or_date(name + base_len + 1, len - base_len - 1);
	/* app-20251126.log, app.1.log */
	return ext > 0 && len > base_len + 1 && memcmp(name, base, stem) == 0 &&
	       strchr(".-_", name[stem]) && memcmp(name + len - ext, dot, ext) == 0 &&
	       is_number_or_date(name + stem + 1, len - base_len - 1);
}

/* --- the directory --- */

static uint64_t ns_of(int64_t s, uint32_t ns)
{
	return (uint64_t)s * NS_PER_S + ns;
}

/* Written before the first of the two there was nothing new in it: a copy keeps neither. */
static uint64_t new_since(int fd)
{
	struct statx stx;
	uint64_t written, born;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &stx) < 0)
		return 0;
	written = ns_of(stx.stx_mtime.tv_sec, stx.stx_mtime.tv_nsec);
	born = ns_of(stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec);
	return stx.stx_mask & STATX_BTIME && born < written ? born : written;
}

static int open_sibling(const struct obs_rotated_search *s, const char *name)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	fd = openat(s->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : TAKE_FD(fd);
}

static int look_at(const struct obs_rotated_search *s, const char *name, struct sibling *ret)
{
	cleanup_close int fd = open_sibling(s, name);
	int r;

	if (fd < 0)
		return fd;
	r = s->identify(s->ctx, fd, &ret->id);
	if (r < 0 || fstat(fd, &ret->st) < 0)
		return r < 0 ? r : -errno;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	ret->new_ns = new_since(fd);
	ret->packed = without_packing(name) < strlen(name);
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct sibling *x = a, *y = b;

	return x->new_ns < y->new_ns ? -1 : x->new_ns > y->new_ns;
}

/* Where @v has room, or holds what is older than @b; NULL = nowhere. */
static struct sibling *room_for(struct sibling *v, size_t n, const struct sibling *b)
{
	struct sibling *oldest = v;

	if (n < OBS_ROTATED_MAX)
		return &v[n];
	for (size_t i = 1; i < n; i++) {
		if (by_age(&v[i], oldest) < 0)
			oldest = &v[i];
	}
	return by_age(oldest, b) < 0 ? oldest : NULL;
}

/* Return: how many there are, of which the youngest are in @v. */
static size_t list_siblings(const struct obs_rotated_search *s, struct sibling *v)
{
	cleanup_closedir DIR *dir = NULL;
	cleanup_close int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sibling b, *room;
	struct dirent *e;
	size_t n = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return 0;
	fd = -1; /* the stream's now */
	while ((e = readdir(dir))) {
		if (!obs_rotated_is_sibling(s->base, e->d_name) || look_at(s, e->d_name, &b) < 0)
			continue;
		room = room_for(v, n < OBS_ROTATED_MAX ? n : OBS_ROTATED_MAX, &b);
		if (room)
			*room = b;
		n++;
	}
	return n;
}

/* --- what is in them --- */

static bool fits(int fd, uint64_t size, const struct obs_cursor *c)
{
	char tail[OBS_TAIL_BYTES];

	return size >= c->offset && c->tail_len <= sizeof(tail) &&
	       pread(fd, tail, c->tail_len, (off_t)(c->offset - c->tail_len)) ==
		       (ssize_t)c->tail_len &&
	       XXH3_64bits(tail, c->tail_len) == c->tail_hash;
}

static bool same_id(const struct obs_file_id *a, const struct obs_file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->gen == b->gen;
}

static int unpack_into(gzFile in, int out)
{
	static char buf[64 * 1024];
	uint64_t total = 0;
	int n;

	while ((n = gzread(in, buf, sizeof(buf))) > 0) {
		total += (uint64_t)n;
		if (total > UNPACKED_BYTES)
			return -EFBIG;
		if (write(out, buf, (size_t)n) != n)
			return -EIO;
	}
	return n < 0 ? -EBADMSG : 0;
}

/* A descriptor for the unpacked text, in a file without a name. Takes @packed over. */
static int unpack(const struct obs_rotated_search *s, int packed)
{
	cleanup_close int in = packed, out = -1;
	gzFile gz;
	int r;

	out = open(s->tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	gz = gzdopen(in, "rb");
	if (!gz)
		return -ENOMEM;
	in = -1;
	r = gzdirect(gz) ? -EBADMSG : unpack_into(gz, out);
	gzclose_r(gz);
	return r < 0 ? r : TAKE_FD(out);
}

static int open_text(const struct obs_rotated_search *s, const struct sibling *b)
{
	int fd = open_sibling(s, b->name);

	return fd >= 0 && b->packed ? unpack(s, fd) : fd;
}

/* Of the logs that are gone, the one whose copy this is. */
static const struct obs_cursor *copied_from(const struct obs_rotated_search *s, int fd,
					    uint64_t size)
{
	for (size_t i = 0; i < s->n_cursors; i++) {
		const struct obs_cursor *c = &s->cursors[i];

		if (c->tail_len >= TAIL_MIN_BYTES && fits(fd, size, c))
			return c;
	}
	return NULL;
}

static void hand_over(const struct obs_rotated_search *s, const struct sibling *b, int fd,
		      const struct obs_cursor *from)
{
	struct obs_rotated_file file = { .id = b->id, .fd = fd, .name = b->name };

	if (from)
		file.cursor = *from;
	file.cursor.file = b->id;
	obs_count(&s->counters->rotated_found, 1);
	s->found(s->ctx, &file);
}

static void tell_copy(const struct obs_rotated_search *s, const struct sibling *b,
		      const struct obs_cursor *from)
{
	struct obs_cursor c = *from;

	c.file = b->id;
	s->copy(s->ctx, b->name, &c);
}

/* A copy in the making is shorter than what was read; it begins like the log. */
static bool may_be_copied_now(const struct obs_rotated_search *s, int fd, uint64_t size)
{
	cleanup_close int log = open_sibling(s, s->base);
	char a[OBS_TAIL_BYTES], b[OBS_TAIL_BYTES];
	size_t len = size < sizeof(a) ? size : sizeof(a);

	return len == 0 || (log >= 0 && pread(fd, a, len, 0) == (ssize_t)len &&
			    pread(log, b, len, 0) == (ssize_t)len && memcmp(a, b, len) == 0);
}

static void look_into(const struct obs_rotated_search *s, const struct sibling *b,
		      const struct obs_cursor *own)
{
	cleanup_close int fd = open_text(s, b);
	const struct obs_cursor *from = own;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		obs_count(&s->counters->rotated_unread, 1);
		return;
	}
	if (!from) {
		from = copied_from(s, fd, (uint64_t)st.st_size);
		if (from && !b->packed)
			tell_copy(s, b, from);
		if (from && s->live)
			return;
	}
	if (!from && s->live && may_be_copied_now(s, fd, (uint64_t)st.st_size))
		return;
	if (!from && b->new_ns <= s->since_ns)
		return; /* a copy of what was read, and was emptied while we looked */
	if (from && (uint64_t)st.st_size <= from->offset)
		return;
	hand_over(s, b, TAKE_FD(fd), from);
}

static void visit(const struct obs_rotated_search *s, const struct sibling *b)
{
	struct obs_cursor own;
	int r = same_id(&b->id, s->current) ? 1 : s->known(s->ctx, &b->id, &own);

	if (r == 1 || (r == 0 && !b->packed && (uint64_t)b->st.st_size <= own.offset))
		return;
	if (b->packed && s->live)
		return;
	/* Unpacking costs: not for what is older than the last that was seen of the log. */
	if (b->packed && b->new_ns <= s->since_ns && r < 0 && s->since_ns != UINT64_MAX)
		return;
	look_into(s, b, r == 0 ? &own : NULL);
}

/* A cursor whose file is still there, unchanged, is no copy's. */
static void forget_present(const struct obs_rotated_search *s, const struct sibling *v, size_t n)
{
	for (size_t i = 0; i < s->n_cursors; i++) {
		for (size_t j = 0; j < n; j++) {
			if (same_id(&v[j].id, &s->cursors[i].file))
				s->cursors[i].tail_len = 0;
		}
	}
}

int obs_rotated_look(const struct obs_rotated_search *s)
{
	cleanup_free struct sibling *v = calloc(OBS_ROTATED_MAX, sizeof(*v));
	size_t n, all;

	if (!v)
		return -ENOMEM;
	all = list_siblings(s, v);
	n = all < OBS_ROTATED_MAX ? all : OBS_ROTATED_MAX;
	obs_count(&s->counters->rotated_skipped, all - n);
	qsort(v, n, sizeof(*v), by_age);
	forget_present(s, v, n);
	for (size_t i = 0; i < n; i++)
		visit(s, &v[i]);
	return all > n;
}
