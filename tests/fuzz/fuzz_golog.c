// SPDX-License-Identifier: BSD-2-Clause
/* p2pd's JSON lines. */
#include "fuzz.h"

#include "parse/golog.h"
#include "parse/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *p = fuzz_copy(data, size);
	struct obs_prefix px = { 0 };

	obs_golog_scan(obs_slice(p, size), &px);
	return 0;
}
