// SPDX-License-Identifier: BSD-2-Clause
/* test_model.c - the table of probes has a bound, and whoever adds beyond it is not lied to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model.h"

static void rows_are_bounded(void **state)
{
	struct obs_model *m = calloc(1, sizeof(*m));
	struct obs_probe_status *p;

	(void)state;
	assert_non_null(m);
	for (size_t i = 0; i < OBS_PROBES_MAX; i++) {
		p = obs_model_add_probe(m, "something");
		assert_ptr_equal(p, &m->probes[i]);
		assert_string_equal(p->need, "something");
		assert_string_equal(p->rung, "none");
	}
	for (int i = 0; i < 2; i++) {
		p = obs_model_add_probe(m, "one more");
		p->ok = true;
		snprintf(p->unseen, sizeof(p->unseen), "all of it");
	}
	assert_int_equal(m->n_probes, OBS_PROBES_MAX);
	assert_string_equal(m->probes[OBS_PROBES_MAX - 1].need, "something");
	assert_false(m->probes[OBS_PROBES_MAX - 1].ok);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
