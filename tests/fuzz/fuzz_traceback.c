// SPDX-License-Identifier: BSD-2-Clause
/* The reader of tracebacks, on blocks as a record hands them. */
#include "fuzz.h"

#include "parse/exception.h"

static bool inside(struct obs_slice part, const char *p, size_t size)
{
	return !part.len || (part.p >= p && part.p + part.len <= p + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct obs_match m;
	cleanup_free char *p = fuzz_copy(data, size);
	struct obs_exception e = { 0 };
	struct obs_trace t;

	obs_trace_read(obs_slice(p, size), &m, &t);
	fuzz_check(inside(t.line, p, size) && inside(t.known, p, size) &&
		   inside(t.exception.name, p, size) && inside(t.exception.text, p, size));
	if (obs_exception_scan(obs_slice(p, size), &e))
		fuzz_check(inside(e.name, p, size) && inside(e.text, p, size));
	return 0;
}
