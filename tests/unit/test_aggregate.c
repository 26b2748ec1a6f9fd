// SPDX-License-Identifier: BSD-2-Clause
/* Windows of counts and curves, and the collapse of repeated errors. */
#include "check.h"

#include <errno.h>
#include <stdio.h>

#include "pipeline/aggregate.h"
#include "pipeline/collapse.h"

#define S 1000000000ull
#define T (1761480000 * S) /* 2025-10-26 12:00 */

static struct obs_event error_event(const char *message, uint64_t at_s)
{
	return (struct obs_event){ .type = OBS_EVENT_ERROR,
				   .name = "error",
				   .code = "CUDA_OOM",
				   .message = obs_slice_str(message),
				   .wall_ns = T + at_s * S };
}

static void note_collapsed(void *ctx, struct obs_event *ev, struct obs_slice node)
{
	obs_buf_printf(ctx, "%.*s %s %.*s repeated=%llu|", (int)node.len, node.p, ev->code,
		       (int)ev->message.len, ev->message.p, (unsigned long long)ev->fields[0].u);
}

static unsigned push_errors(struct obs_collapse *c, const char *message, unsigned n,
			    uint64_t from_s, struct obs_slice node)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++) {
		struct obs_event ev = error_event(message, from_s + i);

		passed += obs_collapse_push(c, &ev, node);
	}
	return passed;
}

static void repeated_errors_become_a_count(void **state)
{
	const struct obs_event other = { .type = OBS_EVENT_LOG, .name = "log", .wall_ns = T };
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_collapse *c = NULL;

	(void)state;
	assert_int_equal(obs_collapse_new(NULL, note_collapsed, &got, &c), 0);
	assert_int_equal(push_errors(c, "a", 10, 0, OBS_SLICE("n1")), 3);
	assert_int_equal(push_errors(c, "a", 2, 0, OBS_SLICE("n2")), 2);
	assert_int_equal(push_errors(c, "b", 3, 0, OBS_SLICE("n1")), 3);
	for (int i = 0; i < 9; i++)
		assert_true(obs_collapse_push(c, &other, OBS_SLICE("n1")));
	obs_collapse_tick(c, T + 59 * S);
	check_text("not yet", obs_buf_slice(&got), "");
	obs_collapse_tick(c, T + 62 * S);
	check_text("window over", obs_buf_slice(&got), "n1 CUDA_OOM a repeated=7|");
	/* the first of the next window passes again */
	assert_int_equal(push_errors(c, "a", 4, 70, OBS_SLICE("n1")), 3);
	obs_collapse_flush(c);
	check_text("flush", obs_buf_slice(&got),
		   "n1 CUDA_OOM a repeated=7|n1 CUDA_OOM a repeated=1|");
	obs_collapse_free(&c);
}

static void a_full_table_loses_no_count(void **state)
{
	const struct obs_collapse_options o = { 60 * S, 1, 2 }, bad = { 60 * S, 0, 2 };
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_collapse *c = NULL;

	(void)state;
	assert_int_equal(obs_collapse_new(&bad, note_collapsed, &got, &c), -EINVAL);
	assert_int_equal(obs_collapse_new(&o, note_collapsed, &got, &c), 0);
	push_errors(c, "a", 2, 0, OBS_SLICE("n"));
	push_errors(c, "b", 2, 1, OBS_SLICE("n"));
	push_errors(c, "c", 2, 2, OBS_SLICE("n"));
	check_text("evicted", obs_buf_slice(&got), "n CUDA_OOM a repeated=1|");
	obs_collapse_free(&c);
}

static void what_is_held_outlives_a_restart(void **state)
{
	cleanup_buf struct obs_buf got = { 0 }, saved = { 0 };
	struct obs_collapse *c = NULL;
	uint64_t changes;

	(void)state;
	assert_int_equal(obs_collapse_new(NULL, note_collapsed, &got, &c), 0);
	push_errors(c, "a", 3, 0, OBS_SLICE("n"));
	changes = obs_collapse_changes(c);
	push_errors(c, "a", 4, 3, OBS_SLICE("n"));
	assert_true(obs_collapse_changes(c) > changes);
	assert_int_equal(obs_collapse_save(c, &saved), 0);
	obs_collapse_free(&c);

	assert_int_equal(obs_collapse_new(NULL, note_collapsed, &got, &c), 0);
	assert_int_equal(obs_collapse_load(c, OBS_SLICE("something else")), -EBADMSG);
	assert_int_equal(obs_collapse_load(c, obs_buf_slice(&saved)), 0);
	assert_int_equal(push_errors(c, "a", 1, 10, OBS_SLICE("n")), 0);
	obs_collapse_tick(c, T + 60 * S);
	check_text("restart", obs_buf_slice(&got), "n CUDA_OOM a repeated=5|");
	obs_collapse_free(&c);
}

static void note_window(void *ctx, const struct obs_aggregate_window *w)
{
	obs_buf_printf(ctx, "%.*s +%llu %llus:", (int)w->node.len, w->node.p,
		       (unsigned long long)((w->start_ns - T) / S),
		       (unsigned long long)(w->length_ns / S));
	for (size_t i = 0; i < w->n_values; i++) {
		const struct obs_aggregate_value *v = &w->values[i];

		obs_buf_printf(ctx, " %s=%llu", v->name, (unsigned long long)v->count);
		if (v->is_series)
			obs_buf_printf(ctx, "[%g %g %g %g]", v->min, v->mean, v->max, v->last);
	}
	obs_buf_push_str(ctx, "|");
}

static void push_round(struct obs_aggregate *a, uint64_t at_s)
{
	const struct obs_event ev = { .type = OBS_EVENT_TRAINING_PROGRESS,
				      .name = "round_joined",
				      .wall_ns = T + at_s * S };

	assert_int_equal(obs_aggregate_push(a, &ev, OBS_SLICE("n")), 0);
}

static void push_loss(struct obs_aggregate *a, uint64_t at_s, const char *loss)
{
	struct obs_event ev = { .type = OBS_EVENT_TRAINING_PROGRESS,
				.name = "metrics",
				.wall_ns = T + at_s * S };

	obs_event_add_number_text(&ev, OBS_SLICE("loss"), obs_slice_str(loss));
	obs_event_add_str(&ev, "word", OBS_SLICE("nan"));
	assert_int_equal(obs_aggregate_push(a, &ev, OBS_SLICE("n")), 0);
}

static void windows_count_and_average(void **state)
{
	const struct obs_event oom = error_event("x", 130);
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_aggregate *a = NULL;

	(void)state;
	assert_int_equal(obs_aggregate_new(1, note_window, &got, &a), 0);
	push_round(a, 0);
	push_loss(a, 1, "0.5");
	push_loss(a, 2, "1.5e0");
	push_loss(a, 3, "1");
	push_round(a, 70);
	obs_aggregate_push(a, &oom, OBS_SLICE("n"));
	assert_int_equal(obs_aggregate_push(a, &oom, OBS_SLICE("another")), -ENOSPC);
	check_text("minutes", obs_buf_slice(&got),
		   "n +0 60s: loss=3[0.5 1 1.5 1] metrics=3 round_joined=1|"
		   "n +60 60s: round_joined=1 round_s=1[70 70 70 70]|");
	obs_buf_reset(&got);
	obs_aggregate_tick(a, T + 300 * S);
	check_text("five minutes", obs_buf_slice(&got),
		   "n +120 60s: error:CUDA_OOM=1|"
		   "n +0 300s: error:CUDA_OOM=1 loss=3[0.5 1 1.5 1] metrics=3 round_joined=2 "
		   "round_s=1[70 70 70 70]|");
	obs_aggregate_free(&a);
}

static void note_dropped(void *ctx, const struct obs_aggregate_window *w)
{
	if (w->length_ns == 60 * S)
		obs_buf_printf(ctx, "%zu+%llu|", w->n_values, (unsigned long long)w->dropped);
}

static void a_window_is_bounded(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_aggregate *a = NULL;
	char key[16];

	(void)state;
	assert_int_equal(obs_aggregate_new(1, note_dropped, &got, &a), 0);
	for (int i = 0; i < 200; i++) {
		struct obs_event ev = { .type = OBS_EVENT_TRAINING_PROGRESS,
					.name = "metrics",
					.wall_ns = T };

		snprintf(key, sizeof(key), "k%d", i);
		obs_event_add_uint(&ev, key, 1);
		assert_int_equal(obs_aggregate_push(a, &ev, OBS_SLICE("n")), 0);
	}
	obs_aggregate_tick(a, UINT64_MAX);
	check_text("bounded", obs_buf_slice(&got), "128+73|");
	obs_aggregate_free(&a);
}

static void open_windows_outlive_a_restart(void **state)
{
	cleanup_buf struct obs_buf got = { 0 }, saved = { 0 };
	struct obs_aggregate *a = NULL;

	(void)state;
	assert_int_equal(obs_aggregate_new(1, note_window, &got, &a), 0);
	push_round(a, 0);
	push_loss(a, 1, "0.5");
	assert_int_equal(obs_aggregate_save(a, &saved), 0);
	obs_aggregate_free(&a);

	assert_int_equal(obs_aggregate_new(1, note_window, &got, &a), 0);
	assert_int_equal(obs_aggregate_load(a, obs_buf_slice(&saved)), 0);
	push_loss(a, 2, "1.5");
	push_round(a, 30);
	obs_aggregate_tick(a, T + 60 * S); /* more may follow: it waits */
	check_text("kept open", obs_buf_slice(&got), "");
	for (int i = 0; i < 10; i++)
		obs_aggregate_tick(a, T + 60 * S);
	check_text("restart", obs_buf_slice(&got),
		   "n +0 60s: loss=2[0.5 1 1.5 1.5] metrics=2 round_joined=2 "
		   "round_s=1[30 30 30 30]|");
	for (size_t i = 1; i < saved.len; i += 7) {
		struct obs_aggregate *b = NULL;

		assert_int_equal(obs_aggregate_new(1, note_window, &got, &b), 0);
		obs_aggregate_load(b, obs_slice(saved.p, i)); /* cut anywhere: no harm */
		obs_aggregate_free(&b);
	}
	obs_aggregate_free(&a);
}

static void windows_of_the_past_wait_for_more(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_aggregate *a = NULL;

	(void)state;
	assert_int_equal(obs_aggregate_new(1, note_window, &got, &a), 0);
	obs_aggregate_tick(a, T + 50000 * S);
	push_round(a, 0);
	for (int i = 0; i < 9; i++)
		obs_aggregate_tick(a, T + 50000 * S);
	push_round(a, 30);
	for (int i = 0; i < 9; i++)
		obs_aggregate_tick(a, T + 50000 * S);
	check_text("not yet", obs_buf_slice(&got), "");
	obs_aggregate_tick(a, T + 50000 * S);
	assert_memory_equal(obs_buf_cstr(&got), "n +0 60s: round_joined=2 ", 25);
	obs_aggregate_free(&a);
}

static void old_lines_do_not_count_in_a_new_window(void **state)
{
	cleanup_buf struct obs_buf got = { 0 };
	struct obs_aggregate *a = NULL;

	(void)state;
	assert_int_equal(obs_aggregate_new(1, note_dropped, &got, &a), 0);
	push_round(a, 7200);
	push_round(a, 7199); /* the minute before: a bit late */
	push_round(a, 60);   /* two hours before */
	obs_aggregate_tick(a, T + 7260 * S);
	check_text("late", obs_buf_slice(&got), "1+1|");
	obs_aggregate_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated_errors_become_a_count),
		cmocka_unit_test(a_full_table_loses_no_count),
		cmocka_unit_test(what_is_held_outlives_a_restart),
		cmocka_unit_test(windows_count_and_average),
		cmocka_unit_test(a_window_is_bounded),
		cmocka_unit_test(open_windows_outlive_a_restart),
		cmocka_unit_test(windows_of_the_past_wait_for_more),
		cmocka_unit_test(old_lines_do_not_count_in_a_new_window),
	};

	return cmocka_run_group_tests_name("aggregate", tests, NULL, NULL);
}
