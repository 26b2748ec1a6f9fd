// SPDX-License-Identifier: BSD-2-Clause
/*
 * kept.c - see kept.h. The local driver's format is Docker's daemon/logger/local: a LogEntry
 * (api/types/plugins/logdriver/entry.proto) between two big-endian lengths of four bytes.
 */
#include "parse/kept.h"

#include <errno.h>

#include "parse/docker.h"
#include "parse/proto.h"
#include "parse/scan.h"
#include "parse/time.h"

#define LENGTH_BYTES 4

enum { /* LogEntry's fields */
       ENTRY_SOURCE = 1,
       ENTRY_TIME = 2,
       ENTRY_LINE = 3,
       ENTRY_PARTIAL = 4,
       ENTRY_PARTIAL_META = 5,
};

enum { META_LAST = 1 };

/* The last one: attributes of a container's own choice stand before it. */
static uint64_t json_time(struct obs_slice rest)
{
	static const struct obs_slice key = OBS_SLICE("\"time\":\"");
	struct obs_text_time t = { 0 };
	const char *at;

	while ((at = find_text(rest, key))) {
		rest = slice_from(rest, (size_t)(at - rest.p) + key.len);
		obs_time_scan_iso(rest, &t);
	}
	return t.kind == OBS_TIME_ABSOLUTE ? t.ns : 0;
}

static bool json_entry(struct obs_slice line, struct obs_buf *scratch, struct obs_kept_entry *ret)
{
	struct obs_slice text, rest;

	if (!obs_docker_unwrap(line, scratch, &text, &rest))
		return false;
	ret->ends = text.len && text.p[text.len - 1] == '\n';
	text.len -= ret->ends;
	ret->text = text;
	ret->fd = TAKE(&rest, ",\"stream\":\"stderr\"") ? 2 : 1;
	ret->wall_ns = json_time(rest);
	return true;
}

/* "2026-10-06T00:17:09.669794202Z stdout F text"; tags are joined by ':', of which the first
 * says whether the line is whole. */
static bool cri_entry(struct obs_slice line, struct obs_kept_entry *ret)
{
	struct obs_text_time t;
	struct obs_slice tags;
	size_t n = obs_time_scan_iso(line, &t);
	bool err;

	if (n == 0 || t.kind != OBS_TIME_ABSOLUTE)
		return false;
	line = slice_from(line, n);
	err = TAKE(&line, " stderr ");
	if (!err && !TAKE(&line, " stdout "))
		return false;
	if (!take_until(&line, ' ', &tags)) {
		tags = line;
		line = slice_from(line, line.len);
	}
	if (!tags.len || (*tags.p != 'F' && *tags.p != 'P') || (tags.len > 1 && tags.p[1] != ':'))
		return false;
	*ret = (struct obs_kept_entry){
		.text = line, .ends = *tags.p == 'F', .fd = err ? 2 : 1, .wall_ns = t.ns
	};
	return true;
}

bool obs_kept_text(struct obs_slice line, struct obs_buf *scratch, struct obs_kept_entry *ret)
{
	return line.len && *line.p == '{' ? json_entry(line, scratch, ret) : cri_entry(line, ret);
}

size_t obs_kept_local_size(const char length[4])
{
	const unsigned char *b = (const unsigned char *)length;
	size_t len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];

	return len == 0 || len > OBS_KEPT_ENTRY_MAX ? 0 : len + 2 * (size_t)LENGTH_BYTES;
}

static bool is_last(struct obs_head meta)
{
	struct obs_proto walk = obs_proto(meta);
	struct obs_proto_field f;

	while (obs_proto_next(&walk, &f) == 1) {
		if (f.number == META_LAST && f.wire == OBS_WIRE_VARINT)
			return f.value != 0;
	}
	return false;
}

static void take_field(const struct obs_proto_field *f, bool *partial, struct obs_kept_entry *e)
{
	if (f->wire == OBS_WIRE_VARINT && f->number == ENTRY_TIME)
		e->wall_ns = f->value;
	else if (f->wire == OBS_WIRE_VARINT && f->number == ENTRY_PARTIAL)
		*partial = f->value != 0;
	else if (f->wire == OBS_WIRE_LEN && f->number == ENTRY_SOURCE)
		e->fd = obs_slice_eq(obs_head_slice(f->bytes), OBS_SLICE("stderr")) ? 2 : 1;
	else if (f->wire == OBS_WIRE_LEN && f->number == ENTRY_LINE)
		e->text = obs_head_slice(f->bytes);
	else if (f->wire == OBS_WIRE_LEN && f->number == ENTRY_PARTIAL_META)
		e->ends = is_last(f->bytes);
}

static int read_entry(struct obs_slice body, struct obs_kept_entry *ret)
{
	struct obs_proto walk = obs_proto(obs_head_whole(body));
	struct obs_kept_entry e = { .text = OBS_SLICE(""), .fd = 1 };
	struct obs_proto_field f;
	bool partial = false;
	int r;

	while ((r = obs_proto_next(&walk, &f)) == 1)
		take_field(&f, &partial, &e);
	if (r < 0 || walk.cut)
		return -EBADMSG;
	e.ends |= !partial;
	*ret = e;
	return 0;
}

ssize_t obs_kept_local(struct obs_slice bytes, struct obs_kept_entry *ret)
{
	size_t whole, len;

	if (bytes.len < LENGTH_BYTES)
		return 0;
	whole = obs_kept_local_size(bytes.p);
	if (whole == 0)
		return -EBADMSG;
	if (bytes.len < whole)
		return 0;
	len = whole - 2 * (size_t)LENGTH_BYTES;
	if (memcmp(bytes.p, bytes.p + LENGTH_BYTES + len, LENGTH_BYTES) != 0 ||
	    read_entry(obs_slice(bytes.p + LENGTH_BYTES, len), ret) < 0)
		return -EBADMSG;
	return (ssize_t)whole;
}
