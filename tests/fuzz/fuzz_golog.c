// SPDX-License-Identifier: BSD-2-Clause
/* JSON lines: p2pd's and Docker's; and p2pd's for consoles. */
#include "fuzz.h"

#include "parse/docker.h"
#include "parse/golog.h"
#include "parse/prefix.h"

static void check_reason(const struct obs_prefix *px, const char *p, size_t size)
{
	if (px->reason.len)
		fuzz_check(px->reason.p > p && px->reason.p + px->reason.len <= p + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *p = fuzz_copy(data, size);
	cleanup_buf struct obs_buf scratch = { 0 };
	struct obs_prefix px = { 0 };
	struct obs_text_time t;
	struct obs_slice text;

	obs_golog_scan(obs_slice(p, size), &px);
	check_reason(&px, p, size);
	px = (struct obs_prefix){ 0 };
	obs_golog_console_scan(obs_slice(p, size), &px);
	check_reason(&px, p, size);
	if (obs_docker_json(obs_slice(p, size), &scratch, &text, &t))
		fuzz_check(text.len <= scratch.len);
	return 0;
}
