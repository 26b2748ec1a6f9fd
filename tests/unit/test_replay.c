// SPDX-License-Identifier: BSD-2-Clause
/* What replay is made of: the reader, the summary, the advice. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <zlib.h>

#include "command/reader.h"
#include "command/summary.h"
#include "parse/pattern.h"
#include "pipeline/advice.h"

static void every_code_has_advice(void **state)
{
	static const char *const others[] = { "EXCEPTION", "LOG_ERROR", "SERVER_ERROR" };

	(void)state;
	for (const struct obs_pattern_row *r = obs_pattern_rows; r->pattern; r++) {
		if (r->code && !obs_advice_find(r->code))
			fail_msg("%s has no advice", r->code);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_non_null(obs_advice_find(others[i]));
	assert_null(obs_advice_find("NO_SUCH_CODE"));
	assert_null(obs_advice_find(NULL));
}

/* docs/errors.md is the same table for people. */
static void the_document_says_the_same(void **state)
{
	cleanup_fclose FILE *f = fopen("docs/errors.md", "re");
	cleanup_buf struct obs_buf text = { 0 };
	char chunk[4096];
	size_t n;

	(void)state;
	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		obs_buf_push(&text, chunk, n);
	for (const struct obs_advice *a = obs_advices; a->code; a++) {
		snprintf(chunk, sizeof(chunk), "| %s | %s | %s |\n", a->code, a->meaning,
			 a->action);
		if (!strstr(obs_buf_cstr(&text), chunk))
			fail_msg("docs/errors.md does not have: %s", chunk);
	}
}

static size_t gzip(const char *text, unsigned char *to, size_t size)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)text,
		       .avail_in = (uInt)strlen(text),
		       .next_out = to,
		       .avail_out = (uInt)size };

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return size - z.avail_out;
}

static int read_all(const void *bytes, size_t len, struct obs_buf *out)
{
	cleanup_close int fd = memfd_create("test", MFD_CLOEXEC);
	struct obs_reader *r = NULL;
	struct obs_slice s;
	int n;

	assert_int_equal(write(fd, bytes, len), len);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(obs_reader_open(fd, &r), 0);
	while ((n = obs_reader_next(r, &s)) > 0)
		obs_buf_push(out, s.p, s.len);
	assert_int_equal(obs_reader_taken(r), len);
	obs_reader_free(&r);
	return n;
}

static void plain_and_gzip_are_read(void **state)
{
	unsigned char z[512];
	size_t n = gzip("hello\n", z, sizeof(z)), m = gzip("world\n", z + n, sizeof(z) - n);
	cleanup_buf struct obs_buf plain = { 0 }, two = { 0 }, cut = { 0 }, none = { 0 };

	(void)state;
	assert_int_equal(read_all("hello\n", 6, &plain), 0);
	check_text("plain", obs_buf_slice(&plain), "hello\n");
	assert_int_equal(read_all(z, n + m, &two), 0);
	check_text("two members", obs_buf_slice(&two), "hello\nworld\n");
	assert_int_equal(read_all(z, n - 9, &cut), -EBADMSG);
	assert_int_equal(read_all("", 0, &none), 0);
}

static void push(struct obs_summary *s, struct obs_event ev, uint64_t second, uint64_t round)
{
	ev.wall_ns = (1761521400ull + second) * 1000000000ull;
	if (round)
		obs_event_add_uint(&ev, "round", round);
	obs_summary_push(s, &ev, true);
}

static void the_summary_tells_what_matters(void **state)
{
	const struct obs_event joined = { .type = OBS_EVENT_TRAINING_PROGRESS,
					  .name = "round_joined" };
	const struct obs_event oom = { .type = OBS_EVENT_ERROR,
				       .name = "error",
				       .code = "CUDA_OOM",
				       .message = OBS_SLICE("CUDA out of\tmemory") };
	static const char *const wanted[] = {
		"2025-10-26 23:30:00 to 2025-10-26 23:43:20 UTC (13min 20s)",
		"3 joined, from 7 to 9",
		"1min 40s at least",
		"5min 00s at most",
		"CUDA_OOM  2×  first 2025-10-26 23:31:00, last 2025-10-26 23:43:20",
		"last: CUDA out of?memory\n",
		"The GPU has no memory",
		"6min 40s from 2025-10-26 23:36:40"
	};
	struct obs_summary *s = NULL;
	char *text = NULL;
	size_t len;
	FILE *f;

	(void)state;
	assert_int_equal(obs_summary_new(&s), 0);
	push(s, joined, 0, 7);
	push(s, oom, 60, 0);
	push(s, joined, 100, 8);
	push(s, joined, 400, 9);
	push(s, joined, 400, 9);
	push(s, oom, 800, 0);
	f = open_memstream(&text, &len);
	obs_summary_print(s, f, false);
	fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (!strstr(text, wanted[i]))
			fail_msg("no '%s' in:\n%s", wanted[i], text);
	}
	assert_null(strchr(text, '\033'));
	free(text);
	obs_summary_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_advice),
		cmocka_unit_test(the_document_says_the_same),
		cmocka_unit_test(plain_and_gzip_are_read),
		cmocka_unit_test(the_summary_tells_what_matters),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
