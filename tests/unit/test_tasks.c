// SPDX-License-Identifier: BSD-2-Clause
/* test_tasks.c - records of the kernel's task iterator and of exits, as use. */
#include "check.h"

#include <unistd.h>

#include "observe/tasks.h"

static void states_are_those_of_ps(void **state)
{
	/* include/linux/sched.h: task->__state | task->exit_state */
	static const struct {
		uint32_t state;
		char letter;
	} cases[] = {
		{ 0, 'R' },    { 0x1, 'S' },   { 0x2, 'D' },  { 0x402, 'I' }, { 0x102, 'D' },
		{ 0x4, 'T' },  { 0x104, 'T' }, { 0x8, 't' },  { 0x108, 't' }, { 0x20, 'Z' },
		{ 0xa0, 'Z' }, { 0x10, 'X' },  { 0x90, 'X' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_task rec = { .state = cases[i].state };
		struct obs_task_usage task;

		obs_task_decode(&rec, &task);
		if (task.state != cases[i].letter)
			fail_msg("%#x: %c", cases[i].state, task.state);
	}
}

static void a_record_becomes_use(void **state)
{
	struct obs_task rec = {
		.tgid = 7,
		.tid = 7,
		.ppid = 3,
		.target = 9,
		.threads = 4,
		.start_ns = 11,
		.file_pages = 1,
		.anon_pages = 20,
		.swap_pages = 3,
		.shmem_pages = 400,
		.spent = { .run_ns = 1000,
			   .user_ns = 30,
			   .system_ns = 10,
			   .min_faults = 5,
			   .maj_faults = 6,
			   .read_bytes = 7,
			   .write_bytes = 8 },
		.comm = { [0 ... 15] = 'x' }, /* no NUL: not taken on trust */
	};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct obs_task_usage task;

	(void)state;
	obs_task_decode(&rec, &task);
	assert_true(task.leader);
	assert_int_equal(task.pid, 7);
	assert_int_equal(task.ppid, 3);
	assert_int_equal(task.slot, 9);
	assert_int_equal(task.threads, 4);
	assert_int_equal(task.rss_bytes, 421 * page);
	assert_int_equal(task.swap_bytes, 3 * page);
	assert_int_equal(task.used.cpu_ns, 1000);
	assert_int_equal(task.used.user_ns, 750); /* ticks only say how it divides */
	assert_int_equal(task.used.system_ns, 250);
	assert_int_equal(task.used.maj_faults, 6);
	assert_int_equal(task.used.write_bytes, 8);
	assert_int_equal(strlen(task.comm), 15);
	rec.tid = 8;
	obs_task_decode(&rec, &task);
	assert_false(task.leader);
}

static void an_exit_becomes_use(void **state)
{
	const struct obs_rec_exit_usage rec = { .hdr = { .ts_ns = 99 },
						.tgid = 7,
						.target = 9,
						.start_ns = 11,
						.max_rss_pages = 2,
						.spent = { .run_ns = 10 } };
	struct obs_exit_usage exit;

	(void)state;
	obs_exit_decode(&rec, &exit);
	assert_int_equal(exit.pid, 7);
	assert_int_equal(exit.slot, 9);
	assert_int_equal(exit.start_ns, 11);
	assert_int_equal(exit.end_ns, 99);
	assert_int_equal(exit.max_rss_bytes, 2 * sysconf(_SC_PAGESIZE));
	assert_int_equal(exit.used.cpu_ns, 10);
	assert_int_equal(exit.used.user_ns, 10); /* too short for a tick */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_are_those_of_ps),
		cmocka_unit_test(a_record_becomes_use),
		cmocka_unit_test(an_exit_becomes_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
