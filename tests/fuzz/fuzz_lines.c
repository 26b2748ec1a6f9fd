// SPDX-License-Identifier: BSD-2-Clause
/* The assembler: pieces of any size give the same lines as the whole. */
#include "fuzz.h"

#include "stream/lines.h"

static void note(void *ctx, const struct obs_line *line)
{
	obs_buf_push(ctx, &line->offset, sizeof(line->offset));
	obs_buf_push(ctx, &line->truncated, sizeof(line->truncated));
	obs_buf_push(ctx, line->text.p, line->text.len);
}

static void run(const char *p, size_t size, size_t piece, struct obs_buf *out)
{
	struct obs_lines *l = NULL;

	fuzz_check(obs_lines_new(64, note, out, &l) == 0);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		struct obs_line meta = { .text = obs_slice(p + at, n), .offset = at };

		obs_lines_push(l, &meta);
	}
	obs_lines_flush(l);
	obs_lines_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_buf struct obs_buf whole = { 0 }, pieces = { 0 };
	cleanup_free char *p = fuzz_copy(data, size);

	run(p, size, size + 1, &whole);
	run(p, size, size ? data[0] % 33 + 1 : 1, &pieces);
	fuzz_check(obs_slice_eq(obs_buf_slice(&whole), obs_buf_slice(&pieces)));
	return 0;
}
