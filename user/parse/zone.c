// SPDX-License-Identifier: BSD-2-Clause
/*
 * zone.c - see zone.h. Reads the 64-bit block of TZif version 2 and later
 * (RFC 8536); the footer's rule for times after the last transition is not
 * needed: the database's files list transitions up to 2037, and the last
 * one's offset holds after it.
 */
#include "parse/zone.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse/scan.h"
#include "util/cleanup.h"

#define ZONE_DIR	    "/usr/share/zoneinfo/"
#define ZONE_FILE_MAX_BYTES 65536
#define HEADER_BYTES	    44
#define NS_PER_S	    1000000000ll

struct obs_zone {
	size_t n;
	int32_t first_s; /* offset before the first transition */
	struct change {
		int64_t at_s; /* UTC */
		int32_t offset_s;
	} changes[];
};

struct header {
	uint32_t isut, isstd, leap, times, types, chars;
};

static uint32_t be32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static int64_t be64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

static bool read_header(const unsigned char *p, size_t len, struct header *ret)
{
	if (len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
		return false;
	*ret = (struct header){ be32(p + 20), be32(p + 24), be32(p + 28),
				be32(p + 32), be32(p + 36), be32(p + 40) };
	/* bounded by the file's size, so that no product below can overflow */
	return ret->isut <= len && ret->isstd <= len && ret->leap <= len && ret->times <= len &&
	       ret->types > 0 && ret->types <= 256 && ret->chars <= len;
}

static size_t block_bytes(const struct header *h, size_t time_bytes)
{
	return h->times * time_bytes + h->times + h->types * 6u + h->chars +
	       h->leap * (time_bytes + 4) + h->isstd + h->isut;
}

static int32_t type_offset(const unsigned char *types, const struct header *h, unsigned i)
{
	return i < h->types ? (int32_t)be32(types + (size_t)i * 6) : 0;
}

static int build(const unsigned char *block, const struct header *h, struct obs_zone **ret)
{
	const unsigned char *index = block + (size_t)h->times * 8, *types = index + h->times;
	struct obs_zone *z = calloc(1, sizeof(*z) + h->times * sizeof(z->changes[0]));

	if (!z)
		return -ENOMEM;
	z->n = h->times;
	z->first_s = type_offset(types, h, 0);
	for (size_t i = 0; i < z->n; i++) {
		z->changes[i].at_s = be64(block + i * 8);
		z->changes[i].offset_s = type_offset(types, h, index[i]);
	}
	*ret = z;
	return 0;
}

static int zone_from_bytes(const unsigned char *p, size_t len, struct obs_zone **ret)
{
	struct header h;
	size_t skip;

	if (!read_header(p, len, &h))
		return -EINVAL;
	skip = HEADER_BYTES + block_bytes(&h, 4);
	if (skip > len || !read_header(p + skip, len - skip, &h))
		return -EINVAL;
	skip += HEADER_BYTES;
	if (block_bytes(&h, 8) > len - skip)
		return -EINVAL;
	return build(p + skip, &h, ret);
}

static int fixed_zone(int32_t offset_s, struct obs_zone **ret)
{
	struct obs_zone *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	z->first_s = offset_s;
	*ret = z;
	return 0;
}

static bool parse_fixed(const char *name, int32_t *ret_s)
{
	struct obs_slice s = obs_slice_str(name);
	bool minus = s.len && *s.p == '-';
	uint64_t h, m = 0;

	if (!strcmp(name, "UTC") || !strcmp(name, "Z")) {
		*ret_s = 0;
		return true;
	}
	if ((!take_char(&s, '+') && !take_char(&s, '-')) || !take_uint(&s, &h))
		return false;
	if (h > 99) {
		m = h % 100;
		h /= 100;
	} else if (take_char(&s, ':') && !take_uint(&s, &m)) {
		return false;
	}
	if (s.len || h > 18 || m > 59)
		return false;
	*ret_s = (int32_t)(h * 3600 + m * 60) * (minus ? -1 : 1);
	return true;
}

/* Names of the database only: no path may lead out of it. */
static bool name_ok(const char *name)
{
	for (const char *p = name; *p; p++) {
		if (!is_name(*p) && !strchr("/+-", *p))
			return false;
	}
	return *name && *name != '/' && strlen(name) < 64;
}

int obs_zone_read(int fd, struct obs_zone **ret)
{
	cleanup_free unsigned char *bytes = malloc(ZONE_FILE_MAX_BYTES);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	n = read(fd, bytes, ZONE_FILE_MAX_BYTES);
	if (n < 0)
		return -errno;
	return zone_from_bytes(bytes, (size_t)n, ret);
}

int obs_zone_open(const char *name, struct obs_zone **ret)
{
	char path[PATH_MAX];
	cleanup_close int fd = -1;
	int32_t fixed;

	if (parse_fixed(name, &fixed))
		return fixed_zone(fixed, ret);
	if (!name_ok(name))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s%s", ZONE_DIR, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : obs_zone_read(fd, ret);
}

void obs_zone_free(struct obs_zone **z)
{
	free(*z);
	*z = NULL;
}

static int32_t offset_at_utc(const struct obs_zone *z, int64_t utc_s)
{
	size_t lo = 0, hi = z->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (z->changes[mid].at_s <= utc_s)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? z->changes[lo - 1].offset_s : z->first_s;
}

/* A local time has one or two offsets that lead back to it; the earlier moment is the
 * larger offset. A day around holds at most one change. */
int64_t obs_zone_offset_ns(const struct obs_zone *z, uint64_t local_ns, uint64_t after_ns)
{
	int64_t local_s = (int64_t)(local_ns / NS_PER_S), slack_s = 60;
	int32_t before = offset_at_utc(z, local_s - 86400),
		later = offset_at_utc(z, local_s + 86400);
	bool before_ok = offset_at_utc(z, local_s - before) == before;
	bool later_ok = offset_at_utc(z, local_s - later) == later;

	if (before_ok && later_ok && before != later && after_ns) {
		int64_t last_s = (int64_t)(after_ns / NS_PER_S);

		return (local_s - before + slack_s < last_s ? later : before) * NS_PER_S;
	}
	return (before_ok || !later_ok ? before : later) * NS_PER_S;
}
