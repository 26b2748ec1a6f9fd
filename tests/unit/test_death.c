// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_death.c - how a process ended: name and cause, for every way to end.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/death.h"
#include "util/cleanup.h"

#define EXIT(code)	     ((code) << 8)
#define MIB		     (1024 * 1024)
#define TRAINER		     .role = "trainer", .pid = 10, .code_known = true
#define FROM(sig, who, name) .signal = (sig), .sender_pid = (who), .sender_comm = name

static const struct {
	struct obs_death d;
	const char *name, *cause;
} cases[] = {
	{ { TRAINER }, "exited", "ended with exit code 0" },
	{ { TRAINER, .lives_on = true, .error = "GAME_EXCEPTION" },
	  "trainer_gone",
	  "ended with exit code 0 after GAME_EXCEPTION" },
	{ { .role = "p2pd", .code_known = true, .lives_on = true },
	  "exited",
	  "ended with exit code 0" },
	{ { TRAINER, .wait_status = EXIT(1), .error = "IDENTITY_TAKEN" },
	  "crashed",
	  "ended with exit code 1 after IDENTITY_TAKEN" },
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGKILL, 7, "bash"), .sender_uid = 1000 },
	  "exited",
	  "killed by SIGKILL from process 7 (bash, uid 1000)" },
	{ { TRAINER, .wait_status = SIGKILL, .lives_on = true, FROM(SIGKILL, 7, "bash") },
	  "trainer_gone",
	  "killed by SIGKILL from process 7 (bash, uid 0)" },
	/* what it logged before is not why it was killed */
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGKILL, 7, "bash"), .error = "CUDA_OOM" },
	  "exited",
	  "killed by SIGKILL from process 7 (bash, uid 0)" },
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGKILL, 1, "init"), .by_kernel = true },
	  "exited",
	  "killed by SIGKILL from the kernel, when process 1 (init) ended its container" },
	{ { TRAINER, .wait_status = SIGSEGV | 0x80, FROM(SIGSEGV, 10, "python") },
	  "crashed",
	  "crashed with SIGSEGV, core dumped" },
	{ { TRAINER, .wait_status = SIGSEGV, FROM(SIGSEGV, 7, "bash") },
	  "exited",
	  "killed by SIGSEGV from process 7 (bash, uid 0)" },
	{ { TRAINER, .wait_status = SIGABRT, FROM(SIGABRT, 10, "python") },
	  "crashed",
	  "crashed with SIGABRT" },
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGKILL, 10, "python") },
	  "exited",
	  "killed by SIGKILL from itself" },
	/* asked to end, it ended by itself */
	{ { TRAINER, .wait_status = EXIT(143), FROM(SIGTERM, 7, "runc") },
	  "exited",
	  "ended with exit code 143 after SIGTERM from process 7 (runc, uid 0)" },
	/* asked to end, and then killed by somebody who was not seen */
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGTERM, 7, "runc") },
	  "exited",
	  "killed by SIGKILL" },
	{ { TRAINER, .wait_status = SIGKILL, FROM(SIGKILL, 10, "python"), .by_kernel = true,
	    .oom_cgroup = true, .rss_bytes = 60 * MIB, .limit_bytes = 64 * MIB, .cgroup = "abc" },
	  "oom_killed",
	  "the kernel killed it: the limit of 64 MiB of cgroup abc was reached; it had 60 MiB "
	  "resident" },
	{ { TRAINER, .wait_status = SIGKILL, .oom_host = true, .rss_bytes = 60 * MIB },
	  "oom_killed",
	  "the kernel killed it: the host ran out of memory; it had 60 MiB resident" },
	{ { .role = "trainer" }, "exited", "it is gone; its end was not seen" },
};

static void every_end_has_name_and_cause(void **state)
{
	char cause[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		obs_death_cause(&cases[i].d, cause, sizeof(cause));
		assert_string_equal(cause, cases[i].cause);
		assert_string_equal(obs_death_name(&cases[i].d), cases[i].name);
	}
}

static void a_cause_is_cut_to_its_room(void **state)
{
	const struct obs_death d = { TRAINER };
	char cause[8];

	(void)state;
	obs_death_cause(&d, cause, sizeof(cause));
	assert_string_equal(cause, "ended w");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_has_name_and_cause),
		cmocka_unit_test(a_cause_is_cut_to_its_room),
	};

	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
