// SPDX-License-Identifier: BSD-2-Clause
/*
 * The 168 real lines: each alone against what docs/events.md makes of it, all together
 * through every way that bytes can arrive, and mangled.
 */
#include "check.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "parse/parse.h"
#include "pipeline/json.h"
#include "pipeline/scrub.h"
#include "stream/lines.h"

#define LINE_BYTES 65536
#define BAR	   "Glue:  10%|#9        | 2/20 [24:33<3:32:56, 709.81s/it]"

struct run {
	struct obs_parser *parser;
	struct obs_buf *out;
};

/* Shape of an expectation: type, name or code, level, the fields' JSON. */
static void note_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct run *r = ctx;
	cleanup_buf struct obs_buf json = { 0 };
	const char *details;
	struct obs_slice keep = ev->message;

	(void)first;
	ev->message = ev->logger = (struct obs_slice){ 0 };
	ev->time_from_log = false;
	obs_buf_printf(r->out, "%s\t%s\t%.*s\t", obs_event_type_str(ev->type),
		       ev->code ? ev->code : ev->name, (int)ev->level.len,
		       ev->level.p ? ev->level.p : "");
	ev->level = (struct obs_slice){ 0 };
	ev->name = ev->code = NULL;
	obs_event_format(ev, OBS_SLICE(""), &json);
	/* {"event":"…"} or {"event":"…",fields} */
	details = strstr(obs_buf_cstr(&json), "\"details\":{\"event\":\"");
	details = strchr(details + strlen("\"details\":{\"event\":\""), '"') + 1;
	details += *details == ',';
	obs_buf_push(r->out, details, strlen(details) - 2);
	ev->message = keep;
	obs_buf_push_str(r->out, "\n");
}

static void note_with_message(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct run *r = ctx;

	obs_buf_printf(r->out, "%llu ", (unsigned long long)ev->wall_ns);
	obs_buf_push(r->out, ev->message.p, ev->message.len);
	obs_buf_push_str(r->out, "\t");
	note_event(ctx, ev, first);
}

static void on_line(void *ctx, const struct obs_line *line)
{
	obs_parser_push(((struct run *)ctx)->parser, line);
}

static char *read_file(const char *path, size_t *ret_len)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	char *text;

	assert_non_null(f);
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	*ret_len = fread(text, 1, (1 << 20) - 1, f);
	return text;
}

/* Calls back with the text of every corpus line. */
static size_t each_line(void (*fn)(void *, size_t, struct obs_slice), void *ctx)
{
	cleanup_free char *text = NULL;
	size_t len, n = 0;
	char *line, *save = NULL;

	text = read_file("tests/data/loglines.tsv", &len);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *at = strchr(strchr(line, '\t') + 1, '\t') + 1;

		if (n++)
			fn(ctx, n - 1, obs_slice_str(at));
	}
	return n - 1;
}

static void parse_alone(void *ctx, size_t n, struct obs_slice text)
{
	struct run r = { .out = ctx };
	struct obs_line line = { .text = text };

	obs_buf_printf(ctx, "%zu\t", n);
	assert_int_equal(obs_parser_new(OBS_SOURCE_AUTO, note_event, &r, &r.parser), 0);
	obs_parser_push(r.parser, &line);
	obs_parser_flush(r.parser);
	obs_parser_free(&r.parser);
}

static void compare_lines(char *want, char *got)
{
	char *ws = NULL, *gs = NULL, *w = strtok_r(want, "\n", &ws), *g = strtok_r(got, "\n", &gs);

	while (w && g) {
		if (strcmp(w, g) != 0)
			fail_msg("\n want %s\n got  %s", w, g);
		w = strtok_r(NULL, "\n", &ws);
		g = strtok_r(NULL, "\n", &gs);
	}
	if (w || g)
		fail_msg("one has more lines: %s", w ? w : g);
}

static void every_line_is_what_the_contract_says(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	cleanup_free char *want = NULL;
	size_t len;

	(void)state;
	assert_int_equal(each_line(parse_alone, &got), 168);
	if (getenv("OBS_PRINT_CORPUS"))
		printf("%s", obs_buf_cstr(&got));
	want = read_file("tests/data/loglines.expect.tsv", &len);
	obs_buf_cstr(&got);
	compare_lines(strchr(want, '\n') + 1, got.p);
}

struct dress {
	const char *before, *after;
	struct obs_buf text;
};

static void add_line(void *ctx, size_t n, struct obs_slice text)
{
	struct dress *d = ctx;

	(void)n;
	obs_buf_push_str(&d->text, d->before);
	obs_buf_push(&d->text, text.p, text.len);
	obs_buf_push_str(&d->text, d->after);
}

/* piece: bytes per push; 0 = random */
static void run_text(struct obs_slice text, size_t piece, struct obs_buf *out)
{
	struct obs_parser_options o = { .reference_ns = 1767225600000000000ull };
	struct run r = { .out = out };
	struct obs_lines *lines = NULL;
	unsigned seed = 7;

	assert_int_equal(obs_parser_new(OBS_SOURCE_AUTO, note_with_message, &r, &r.parser), 0);
	obs_parser_configure(r.parser, &o);
	assert_int_equal(obs_lines_new(LINE_BYTES, on_line, &r, &lines), 0);
	for (size_t at = 0; at < text.len;) {
		size_t n = piece ? piece : 1 + (size_t)rand_r(&seed) % 300;
		struct obs_line meta = { .offset = at };

		n = n < text.len - at ? n : text.len - at;
		meta.text = obs_slice(text.p + at, n);
		assert_int_equal(obs_lines_push(lines, &meta), 0);
		at += n;
	}
	obs_lines_flush(lines);
	obs_parser_flush(r.parser);
	obs_lines_free(&lines);
	obs_parser_free(&r.parser);
	obs_buf_cstr(out);
}

static const struct {
	const char *name, *before, *after;
	size_t piece;
} ways[] = {
	{ "at once", "", "\n", 1 << 20 },
	{ "byte by byte", "", "\n", 1 },
	{ "random sizes", "", "\n", 0 },
	{ "CRLF", "", "\r\n", 7 },
	{ "colours", "\033[32m", "\033[0m\n", 64 },
	{ "colours and titles", "\033]0;title\007\033[1;31m", "\033[K\033(B\n", 0 },
	{ "glued to a bar", BAR, "\n", 0 },
	{ "glued to two bars", BAR BAR, "\r\n", 5 },
	{ "after bars with \\r", BAR "\r" BAR "\r" BAR, "\n", 0 },
};

static void the_way_does_not_change_the_events(void **state)
{
	cleanup_buf struct obs_buf want = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct dress d = { .before = ways[i].before, .after = ways[i].after };
		cleanup_buf struct obs_buf got = { 0 };

		each_line(add_line, &d);
		run_text(obs_buf_slice(&d.text), ways[i].piece, i ? &got : &want);
		obs_buf_free(&d.text);
		if (i && !obs_slice_eq(obs_buf_slice(&got), obs_buf_slice(&want))) {
			cleanup_free char *w = strdup(want.p);

			print_error("%s:\n", ways[i].name);
			compare_lines(w, got.p);
		}
	}
}

struct checker {
	struct obs_parser *parser;
	struct obs_scrub *scrub;
	uint64_t last_offset;
	size_t n_events, n_lines;
	bool any;
};

static bool utf8_ok(const char *p)
{
	for (const unsigned char *s = (const unsigned char *)p; *s;) {
		int n = *s < 0x80		   ? 1
			: *s >= 0xc2 && *s < 0xe0  ? 2
			: (*s & 0xf0) == 0xe0	   ? 3
			: *s >= 0xf0 && *s <= 0xf4 ? 4
						   : 0;

		if (!n || (n == 1 && *s < 0x20))
			return false;
		for (int i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return false;
		}
		s += n;
	}
	return true;
}

static void check_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct checker *c = ctx;
	cleanup_buf struct obs_buf json = { 0 };
	cJSON *parsed;

	if (c->any)
		assert_true(first->offset > c->last_offset);
	c->any = true;
	c->last_offset = first->offset;
	c->n_events++;
	obs_scrub_event(c->scrub, ev);
	assert_int_equal(obs_event_format(ev, OBS_SLICE("n\xff"), &json), 0);
	assert_true(strlen(obs_buf_cstr(&json)) == json.len);
	assert_true(utf8_ok(obs_buf_cstr(&json)));
	parsed = cJSON_Parse(obs_buf_cstr(&json));
	if (!parsed)
		fail_msg("not JSON: %s", obs_buf_cstr(&json));
	assert_true(cJSON_IsString(cJSON_GetObjectItem(parsed, "event_type")));
	cJSON_Delete(parsed);
}

static void check_line(void *ctx, const struct obs_line *line)
{
	struct checker *c = ctx;

	c->n_lines++;
	obs_parser_push(c->parser, line);
}

static void run_checked(enum obs_source source, struct obs_slice text, unsigned *seed)
{
	struct obs_scrub_options so = { .level = OBS_SCRUB_STRICT };
	struct checker c = { 0 };
	struct obs_lines *lines = NULL;

	assert_int_equal(obs_scrub_new(&so, NULL, &c.scrub), 0);
	assert_int_equal(obs_parser_new(source, check_event, &c, &c.parser), 0);
	assert_int_equal(obs_lines_new(200, check_line, &c, &lines), 0);
	for (size_t at = 0; at < text.len;) {
		size_t n = 1 + (size_t)rand_r(seed) % 500;
		struct obs_line meta = { .offset = at };

		n = n < text.len - at ? n : text.len - at;
		meta.text = obs_slice(text.p + at, n);
		obs_lines_push(lines, &meta);
		at += n;
	}
	obs_lines_flush(lines);
	obs_parser_flush(c.parser);
	assert_true(c.n_events <= c.n_lines);
	obs_lines_free(&lines);
	obs_parser_free(&c.parser);
	obs_scrub_free(&c.scrub);
}

/* Every source meets pure noise and a mangled corpus. */
static void any_bytes_give_valid_json(void **state)
{
	struct dress d = { .before = "", .after = "\n" };
	unsigned seed = 11;

	(void)state;
	each_line(add_line, &d);
	for (int round = 0; round < 24; round++) {
		cleanup_buf struct obs_buf b = { 0 };

		obs_buf_push(&b, d.text.p, d.text.len);
		for (size_t i = 0; i < b.len / (round % 2 ? 1 : 12); i++)
			b.p[(size_t)rand_r(&seed) % b.len] = (char)rand_r(&seed);
		run_checked((enum obs_source)(round % 6), obs_buf_slice(&b), &seed);
	}
	obs_buf_free(&d.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_is_what_the_contract_says),
		cmocka_unit_test(the_way_does_not_change_the_events),
		cmocka_unit_test(any_bytes_give_valid_json),
	};

	return cmocka_run_group_tests_name("corpus", tests, NULL, NULL);
}
