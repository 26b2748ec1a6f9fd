// SPDX-License-Identifier: BSD-2-Clause
/* Records and tracebacks of any source: every event is JSON, offsets rise. The first byte
 * chooses the source. */
#include "fuzz.h"

#include <cjson/cJSON.h>

#include "parse/parse.h"
#include "stream/lines.h"

struct state {
	struct obs_parser *parser;
	uint64_t last;
	bool any;
};

static void on_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	cleanup_buf struct obs_buf json = { 0 };
	struct state *s = ctx;
	cJSON *parsed;

	fuzz_check(!s->any || first->offset > s->last);
	s->any = true;
	s->last = first->offset;
	fuzz_check(obs_event_format(ev, OBS_SLICE("n"), &json) == 0);
	parsed = cJSON_ParseWithLength(json.p, json.len);
	fuzz_check(parsed != NULL);
	cJSON_Delete(parsed);
}

static void on_line(void *ctx, const struct obs_line *line)
{
	obs_parser_push(((struct state *)ctx)->parser, line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct obs_lines *lines = NULL;
	struct state s = { 0 };
	struct obs_line meta = { 0 };
	cleanup_free char *p = NULL;

	if (!size)
		return 0;
	p = fuzz_copy(data + 1, size - 1);
	fuzz_check(obs_parser_new((enum obs_source)(data[0] % 6), on_event, &s, &s.parser) == 0);
	fuzz_check(obs_lines_new(4096, on_line, &s, &lines) == 0);
	meta.text = obs_slice(p, size - 1);
	obs_lines_push(lines, &meta);
	obs_lines_flush(lines);
	obs_parser_flush(s.parser);
	obs_lines_free(&lines);
	obs_parser_free(&s.parser);
	return 0;
}
