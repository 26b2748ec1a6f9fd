// SPDX-License-Identifier: BSD-2-Clause
/*
 * An engine's file of a console, in any pieces: the first byte says which format and how long a
 * piece is. Text and frames get through whatever stands between them.
 */
#include "fuzz.h"

#include "stream/kept.h"

#define LINE_BYTES 64

struct seen {
	uint64_t last[2]; /* offset of the last line, by descriptor */
	bool any[2];
	uint64_t end;
};

static void on_line(void *ctx, int fd, const struct obs_line *line, uint64_t entry)
{
	struct seen *s = ctx;
	unsigned sum = 0;

	fuzz_check(fd == 1 || fd == 2);
	fuzz_check(line->text.len <= LINE_BYTES);
	fuzz_check(entry <= line->offset && line->offset < s->end);
	fuzz_check(!s->any[fd - 1] || line->offset > s->last[fd - 1]);
	s->any[fd - 1] = true;
	s->last[fd - 1] = line->offset;
	for (size_t i = 0; i < line->text.len; i++)
		sum += (unsigned char)line->text.p[i]; /* every byte is there */
	(void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum obs_kept_format format = size && data[0] & 1 ? OBS_KEPT_LOCAL : OBS_KEPT_TEXT;
	size_t step = size ? (size_t)(data[0] >> 1) + 1 : 1;
	struct obs_kept_place place;
	struct seen seen = { .end = size };
	struct obs_kept *k;

	fuzz_check(obs_kept_new(format, LINE_BYTES, on_line, &seen, &k) == 0);
	for (size_t at = 1; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		cleanup_free char *p = fuzz_copy(data + at, n);

		obs_kept_push(k, obs_slice(p, n), at);
		for (int fd = 1; fd <= 2; fd++) {
			if (obs_kept_pending(k, fd, &place))
				fuzz_check(place.entry <= place.offset && place.offset < size);
		}
	}
	obs_kept_flush(k);
	fuzz_check(!obs_kept_pending(k, 1, &place) && !obs_kept_pending(k, 2, &place));
	fuzz_check(obs_kept_bad_bytes(k) <= size);
	obs_kept_free(&k);
	return 0;
}
