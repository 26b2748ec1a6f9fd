// SPDX-License-Identifier: BSD-2-Clause
/* The time scanners and the clock. */
#include "fuzz.h"

#include "parse/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t walls[] = { 0, 1, 1761480000000000000ull, UINT64_MAX };
	size_t (*const scans[])(struct obs_slice, struct obs_text_time *) = { obs_time_scan_iso,
									      obs_time_scan_month,
									      obs_time_scan_go };
	cleanup_free char *p = fuzz_copy(data, size);
	struct obs_clock c = { .reference_ns = 1761480000000000000ull };

	for (size_t i = 0; i < ARRAY_LEN(scans); i++) {
		struct obs_text_time t = { 0 };

		fuzz_check(scans[i](obs_slice(p, size), &t) <= size);
		for (size_t w = 0; w < ARRAY_LEN(walls); w++) {
			uint64_t ns = obs_clock_resolve(&c, &t, walls[w]);

			fuzz_check(!walls[w] || ns == walls[w]);
		}
	}
	return 0;
}
