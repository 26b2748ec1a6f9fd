// SPDX-License-Identifier: BSD-2-Clause
/* Every prefix grammar and every pattern row meets the line. */
#include "fuzz.h"

#include "parse/console.h"
#include "parse/metrics.h"
#include "parse/pattern.h"
#include "parse/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct obs_event ev;
	static struct obs_match m;
	cleanup_free char *p = fuzz_copy(data, size);
	cleanup_buf struct obs_buf clean = { 0 };
	struct obs_slice line = obs_slice(p, size), name;
	struct obs_text_time t;
	struct obs_prefix px;

	obs_docker_strip(&line, &t);
	obs_ansi_strip(line, &clean);
	for (const struct obs_grammar_row *g = obs_grammars; g->name; g++) {
		px = (struct obs_prefix){ 0 };
		if (line.len)
			g->scan(line, &px);
	}
	obs_prefix_scan(line, &px);
	ev.n_fields = 0;
	m.n_list = 0;
	for (const struct obs_pattern_row *r = obs_pattern_rows; r->pattern; r++) {
		obs_pattern_try(r, &px, px.text, &m, &ev);
		ev.n_fields = 0;
		m.n_list = 0;
	}
	obs_metrics_dict(line, &ev);
	obs_metrics_row(line, &ev);
	obs_metrics_wandb(line, &ev);
	fuzz_check(obs_bar_scan(line, &name) <= line.len);
	return 0;
}
