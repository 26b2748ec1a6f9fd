// SPDX-License-Identifier: BSD-2-Clause
/* test_event.c - an event as one JSON line: keys, order, escapes, ids. */
#include "check.h"

#include <errno.h>

#include "pipeline/event.h"

static struct obs_event sample(void)
{
	return (struct obs_event){
		.id = { 0x0123456789abcdefull, 0xfedcba9876543210ull },
		.type = OBS_EVENT_TRAINING_PROGRESS,
		.wall_ns = 1761521427842113000ull,
		.name = "round_joined",
		.level = OBS_SLICE("INFO"),
		.message = OBS_SLICE("Joining round: 39512"),
	};
}

static void keys_stand_in_the_contracts_order(void **state)
{
	const struct obs_slice peers[] = { OBS_SLICE("a"), OBS_SLICE("b\"") };
	cleanup_buf struct obs_buf b = { 0 };
	struct obs_event ev = sample();

	(void)state;
	obs_event_add_uint(&ev, "round", 39512);
	obs_event_add_list(&ev, "peers", peers, 2);
	obs_event_add_number_text(&ev, OBS_SLICE("loss"), OBS_SLICE("1e-07"));
	obs_event_add_number_text(&ev, OBS_SLICE("big"), OBS_SLICE("9007199254740993"));
	obs_event_add_number_text(&ev, OBS_SLICE("ok"), OBS_SLICE("9007199254740992"));
	obs_event_add_json(&ev, "cpu", OBS_SLICE("{\"cores\":2}"));
	ev.time_from_log = ev.truncated = true;
	ev.origin = (struct obs_origin){ .via = OBS_VIA_FILE,
					 .pid = 8015,
					 .path = OBS_SLICE("/l"),
					 .offset = 0,
					 .has_offset = true };
	assert_int_equal(obs_event_format(&ev, OBS_SLICE("node-123"), &b), 0);
	check_text(
		"event", obs_buf_slice(&b),
		"{\"event_id\":\"0123456789abcdeffedcba9876543210\",\"node_id\":\"node-123\","
		"\"timestamp\":\"2025-10-26T23:30:27.842113Z\","
		"\"event_type\":\"training_progress\",\"details\":{\"event\":\"round_joined\","
		"\"level\":\"INFO\",\"message\":\"Joining round: 39512\",\"round\":39512,"
		"\"peers\":[\"a\",\"b\\\"\"],\"loss\":1e-07,\"big\":\"9007199254740993\","
		"\"ok\":9007199254740992,\"cpu\":{\"cores\":2},\"time_source\":\"log\",\"truncated\":true},"
		"\"origin\":{\"via\":\"file\",\"pid\":8015,\"path\":\"/l\",\"offset\":0}}");
}

static void unknown_things_are_left_out(void **state)
{
	cleanup_buf struct obs_buf b = { 0 };
	struct obs_event ev = { .type = OBS_EVENT_LOG };

	(void)state;
	assert_int_equal(obs_event_format(&ev, OBS_SLICE(""), &b), 0);
	check_text("empty", obs_buf_slice(&b),
		   "{\"event_id\":\"00000000000000000000000000000000\","
		   "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"event_type\":\"log\","
		   "\"details\":{\"event\":\"log\"}}");
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	cleanup_buf struct obs_buf b = { .max_bytes = 300 };
	struct obs_event ev = sample();

	(void)state;
	obs_buf_push_str(&b, "before");
	ev.message = OBS_SLICE("0123456789012345678901234567890123456789012345678901234567890123"
			       "0123456789012345678901234567890123456789012345678901234567890123");
	assert_int_equal(obs_event_format(&ev, OBS_SLICE("n"), &b), -EMSGSIZE);
	check_text("buffer", obs_buf_slice(&b), "before");
}

static void fields_have_a_limit(void **state)
{
	struct obs_event ev = sample();

	(void)state;
	for (int i = 0; i < OBS_EVENT_FIELDS_MAX; i++)
		assert_int_equal(obs_event_add_int(&ev, "k", i), 0);
	assert_int_equal(obs_event_add_int(&ev, "k", 1), -ENOSPC);
	assert_int_equal(ev.n_fields, OBS_EVENT_FIELDS_MAX);
}

static void names_and_types_agree(void **state)
{
	(void)state;

	for (int t = 0; t < OBS_EVENT_TYPE_MAX; t++)
		assert_int_equal(obs_event_type_from_str(
					 obs_slice_str(obs_event_type_str((enum obs_event_type)t))),
				 t);
	assert_int_equal(obs_event_type_from_str(OBS_SLICE("nonsense")), -EINVAL);
	assert_string_equal(obs_via_str(OBS_VIA_BACKFILL), "backfill");
}

/* The id must depend on every part of where the bytes stand, and on nothing else. */
static void ids_tell_places_apart(void **state)
{
	const struct obs_file_id f = { 1, 2, 3 },
				 others[] = { { 9, 2, 3 }, { 1, 9, 3 }, { 1, 2, 9 } };
	struct obs_event_id a = obs_event_id_file(OBS_SLICE("n"), &f, 4, 5), b;

	(void)state;
	b = obs_event_id_file(OBS_SLICE("n"), &f, 4, 5);
	assert_true(a.hi == b.hi && a.lo == b.lo);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		b = obs_event_id_file(OBS_SLICE("n"), &others[i], 4, 5);
		assert_true(a.hi != b.hi && a.lo != b.lo);
	}
	b = obs_event_id_file(OBS_SLICE("m"), &f, 4, 5);
	assert_true(a.lo != b.lo);
	b = obs_event_id_file(OBS_SLICE("n"), &f, 9, 5);
	assert_true(a.lo != b.lo);
	b = obs_event_id_file(OBS_SLICE("n"), &f, 4, 9);
	assert_true(a.lo != b.lo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_stand_in_the_contracts_order),
		cmocka_unit_test(unknown_things_are_left_out),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(fields_have_a_limit),
		cmocka_unit_test(names_and_types_agree),
		cmocka_unit_test(ids_tell_places_apart),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
