// SPDX-License-Identifier: BSD-2-Clause
/* The scrubber at its strictest: what it gives is stable when it is scrubbed again. */
#include "fuzz.h"

#include "pipeline/scrub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const host[] = { "192.0.2.7", "::1" };
	static const struct obs_scrub_options o = { OBS_SCRUB_STRICT, host, 2, NULL, 0 };
	static struct obs_scrub *s;
	cleanup_free char *p = fuzz_copy(data, size), *copy = NULL;
	struct obs_slice once;

	if (!s)
		fuzz_check(obs_scrub_new(&o, NULL, &s) == 0);
	once = obs_scrub_text(s, obs_slice(p, size));
	copy = fuzz_copy((const uint8_t *)once.p, once.len);
	obs_scrub_text(s, obs_slice(copy, once.len));
	return 0;
}
