// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_usage.c - sums and rates of processes, cgroup files of both versions, /proc texts. The files
 * are in tests/data/usage: v1 as a Docker host shows them, v2 as systemd hosts do.
 */
#include "check.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "collect/cgroup.h"
#include "collect/procfs.h"
#include "collect/report.h"
#include "collect/tally.h"

#define S    UINT64_C(1000000000)
#define DATA "tests/data/usage/"
#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- cgroup files --- */

static const char v2_mounts[] =
	"proc /proc proc rw 0 0\ncgroup2 " DATA "v2 cgroup2 rw,nsdelegate 0 0\n";
static const char v1_mounts[] = "cgroup " DATA "v1/cpu cgroup rw,relatime,cpu 0 0\n"
				"cgroup " DATA "v1/cpuacct cgroup rw,relatime,cpuacct 0 0\n"
				"cgroup " DATA "v1/memory cgroup rw,memory 0 0\n"
				"cgroup " DATA "v1/cpuset cgroup rw,cpuset 0 0\n"
				"cgroup " DATA "v1/blkio cgroup rw,blkio 0 0\n"
				"cgroup " DATA "v1/pids cgroup rw,pids 0 0\n"
				"cgroup2 " DATA "v1/unified cgroup2 rw 0 0\n";
static const char v2_cgroup[] = "0::/system.slice/docker-" ID ".scope/init.scope\n";
static const char v1_cgroup[] =
	"9:pids:/docker/" ID "\n8:blkio:/docker/" ID "\n"
	"5:cpuset:/docker/" ID "\n4:memory:/docker/" ID "/nested\n"
	"2:cpuacct:/docker/" ID "\n1:cpu:/docker/" ID "\n0::/docker/" ID "\n";

static int open_cgroup(const char *mounts, const char *cgroup, struct obs_cgroup **ret)
{
	return obs_cgroup_open(obs_slice_str(mounts), obs_slice_str(cgroup), ID, ret);
}

static void reads_version_2(void **state)
{
	struct obs_cgroup *c = NULL;
	struct obs_cgroup_usage u;

	(void)state;
	assert_int_equal(open_cgroup(v2_mounts, v2_cgroup, &c), 0);
	assert_string_equal(obs_cgroup_versions(c), "cgroup v2");
	assert_int_equal(obs_cgroup_read(c, &u), 0);
	assert_int_equal(u.memory_bytes, 1610612736);
	assert_int_equal(u.memory_peak_bytes, 2147483648);
	assert_int_equal(u.memory_limit_bytes, 8589934592);
	assert_int_equal(u.memory_anon_bytes, 1073741824);
	assert_int_equal(u.memory_file_bytes, 436207616);
	assert_int_equal(u.memory_inactive_file_bytes, 268435456);
	assert_int_equal(u.swap_bytes, 4096);
	assert_int_equal(u.limit_hits, 17);
	assert_int_equal(u.oom_kills, 1);
	assert_int_equal(u.cpu_ns, 2755921000);
	assert_int_equal(u.user_ns, 1932109000);
	assert_int_equal(u.system_ns, 823812000);
	assert_int_equal(u.quota_usec, 150000);
	assert_int_equal(u.period_usec, 100000);
	assert_int_equal(u.cpus, 3);
	assert_int_equal(u.periods, 411);
	assert_int_equal(u.throttled_periods, 36);
	assert_int_equal(u.throttled_ns, 1210050000);
	assert_int_equal(u.read_bytes, 98304);
	assert_int_equal(u.write_bytes, 16384);
	assert_int_equal(u.reads, 12);
	assert_int_equal(u.writes, 4);
	assert_int_equal(u.pids, 213);
	assert_true(u.pids_limit == OBS_UNKNOWN);
	assert_true(u.pressure[OBS_PRESSURE_CPU].some_avg10 == 3.45);
	assert_true(u.pressure[OBS_PRESSURE_IO].full_avg10 == 11);
	assert_int_equal(u.pressure[OBS_PRESSURE_CPU].some_usec, 1234567);
	obs_cgroup_free(&c);
}

static void reads_version_1_beside_2(void **state)
{
	uint64_t tick_ns = S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct obs_cgroup *c = NULL;
	struct obs_cgroup_usage u;

	(void)state;
	assert_int_equal(open_cgroup(v1_mounts, v1_cgroup, &c), 0);
	assert_string_equal(obs_cgroup_versions(c), "cgroup v1 and v2");
	assert_int_equal(obs_cgroup_read(c, &u), 0);
	assert_int_equal(u.memory_bytes, 57602048);
	assert_int_equal(u.memory_peak_bytes, 61865984);
	assert_int_equal(u.memory_limit_bytes, 209715200);
	assert_int_equal(u.memory_anon_bytes, 37982208);
	assert_int_equal(u.memory_file_bytes, 18972672);
	assert_int_equal(u.memory_inactive_file_bytes, 12288000);
	assert_int_equal(u.swap_bytes, 8192);
	assert_int_equal(u.limit_hits, 5);
	assert_int_equal(u.oom_kills, 3);
	assert_int_equal(u.cpu_ns, 8123456789); /* not the unified side's */
	assert_int_equal(u.user_ns, 612 * tick_ns);
	assert_int_equal(u.system_ns, 200 * tick_ns);
	assert_true(u.quota_usec == OBS_UNKNOWN);
	assert_int_equal(u.period_usec, 100000);
	assert_int_equal(u.cpus, 2);
	assert_int_equal(u.periods, 90);
	assert_int_equal(u.throttled_periods, 9);
	assert_int_equal(u.throttled_ns, 450000000);
	assert_int_equal(u.read_bytes, 13312);
	assert_int_equal(u.write_bytes, 4096);
	assert_int_equal(u.reads, 4);
	assert_int_equal(u.writes, 1);
	assert_int_equal(u.pids, 7);
	assert_int_equal(u.pids_limit, 512);
	assert_int_equal(u.pressure[OBS_PRESSURE_CPU].some_usec, 5);
	assert_true(u.pressure[OBS_PRESSURE_CPU].full_usec == OBS_UNKNOWN);
	assert_true(isnan(u.pressure[OBS_PRESSURE_IO].some_avg10));
	obs_cgroup_free(&c);
}

static void only_a_containers_own_directory_counts(void **state)
{
	static const struct {
		const char *name, *mounts, *cgroup;
	} cases[] = {
		{ "in no container", v2_mounts, "0::/user.slice/session-1.scope\n" },
		{ "in another's", v2_mounts, "0::/system.slice/docker-ffff.scope\n" },
		{ "no hierarchy", "proc /proc proc rw 0 0\n", v2_cgroup },
		{ "nothing", "", "" },
		{ "a path that climbs", v2_mounts, "0::/../" ID "\n" },
		{ "no such directory", v2_mounts, "0::/docker/" ID "\n" },
		{ "cut short", v2_mounts, "0:" },
		{ "no newline, no path", "cgroup2", "0::" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_cgroup *c = NULL;

		if (open_cgroup(cases[i].mounts, cases[i].cgroup, &c) != -ENOENT)
			fail_msg("%s: found one", cases[i].name);
	}
}

/* --- /proc texts --- */

static void reads_proc(void **state)
{
	uint64_t tick_ns = S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct obs_task_usage task;
	char wait[OBS_WAIT_CHANNEL];

	(void)state;
	assert_int_equal(obs_procfs_look(DATA "proc", 7, &task), 0);
	assert_int_equal(task.pid, 7);
	assert_int_equal(task.ppid, 3);
	assert_int_equal(task.state, 'S');
	assert_string_equal(task.comm, "a) b (python)");
	assert_int_equal(task.threads, 12);
	assert_int_equal(task.start_ns, 98765 * tick_ns);
	assert_int_equal(task.rss_bytes, 2048 * sysconf(_SC_PAGESIZE));
	assert_int_equal(task.used.cpu_ns, 200 * tick_ns);
	assert_int_equal(task.used.user_ns, 150 * tick_ns);
	assert_int_equal(task.used.min_faults, 1234);
	assert_int_equal(task.used.maj_faults, 56);
	assert_int_equal(task.used.read_bytes, 40960);
	assert_int_equal(task.used.write_bytes, 4096);
	obs_procfs_wait_channel(DATA "proc", 7, wait, sizeof(wait));
	assert_string_equal(wait, "pipe_write");
	obs_procfs_wait_channel(DATA "proc", 8, wait, sizeof(wait));
	assert_string_equal(wait, "");
	assert_int_equal(obs_procfs_look(DATA "proc", 8, &task), -EINVAL);
	assert_int_equal(obs_procfs_look(DATA "proc", 9, &task), -ENOENT);
}

static void refuses_texts_that_are_no_stat(void **state)
{
	static const char *const texts[] = { "",	"7",	     "7 (x",	     "7 (x)",
					     "7 (x) S", "7 )x( S 1", "7 (x) S a b c" };
	struct obs_task_usage task;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (obs_procfs_parse_stat(texts[i], &task) != -EINVAL)
			fail_msg("taken: '%s'", texts[i]);
	}
}

/* --- sums --- */

static struct obs_task_usage task(int32_t pid, uint64_t cpu_ns, uint64_t rss)
{
	return (struct obs_task_usage){
		.pid = pid,
		.slot = 1,
		.threads = 1,
		.start_ns = 5,
		.leader = true,
		.state = 'S',
		.rss_bytes = rss,
		.used = { .cpu_ns = cpu_ns, .user_ns = cpu_ns },
	};
}

/* A look in which processes 10, 11, … have used these. */
static void look(struct obs_tally *t, uint64_t at_ns, const uint64_t *cpu_ns, size_t n)
{
	obs_tally_begin(t, at_ns);
	for (size_t i = 0; i < n; i++) {
		struct obs_task_usage u = task(10 + (int32_t)i, cpu_ns[i], 100 * (i + 1));

		if (cpu_ns[i] != OBS_UNKNOWN)
			obs_tally_add(t, &u, i == 0 ? 2 : 0);
	}
	obs_tally_finish(t, at_ns);
}

static struct obs_tally *new_tally(void)
{
	struct obs_tally *t = NULL;

	assert_int_equal(obs_tally_new(&t), 0);
	assert_int_equal(obs_tally_open_node(t, 1), 0);
	return t;
}

static void rates_are_over_the_interval(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);

	(void)state;
	look(t, 10 * S, (uint64_t[]){ 3 * S, 7 * S }, 2);
	assert_true(u->interval_s == 0 && u->cpu_percent == 0);
	assert_int_equal(u->used.cpu_ns, 10 * S);
	look(t, 12 * S, (uint64_t[]){ 4 * S, 8 * S }, 2);
	assert_true(u->interval_s == 2);
	assert_true(u->cpu_percent == 100);
	assert_true(u->roles[2].cpu_percent == 50 && u->roles[0].cpu_percent == 50);
	assert_int_equal(u->processes, 2);
	assert_int_equal(u->rss_bytes, 300);
	assert_int_equal(u->used.cpu_ns, 12 * S);
	obs_tally_free(&t);
}

static void threads_are_summed_in_any_order(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);
	struct obs_task_usage leader = task(10, 2 * S, 100), thread = task(10, 1 * S, 0);

	(void)state;
	thread.leader = false;
	obs_tally_begin(t, S);
	obs_tally_add(t, &thread, 0);
	obs_tally_add(t, &leader, 0);
	obs_tally_add(t, &thread, 0);
	obs_tally_finish(t, S);
	assert_int_equal(u->processes, 1);
	assert_int_equal(u->used.cpu_ns, 4 * S);
	assert_int_equal(u->rss_bytes, 100);
	obs_tally_free(&t);
}

/* While a thread ends, the sum over a process may dip: nothing is counted twice. */
static void a_dip_is_not_counted_again(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);

	(void)state;
	look(t, 1 * S, (uint64_t[]){ 5 * S }, 1);
	look(t, 2 * S, (uint64_t[]){ 4 * S }, 1);
	assert_int_equal(u->used.cpu_ns, 5 * S);
	look(t, 3 * S, (uint64_t[]){ 6 * S }, 1);
	assert_int_equal(u->used.cpu_ns, 6 * S);
	obs_tally_free(&t);
}

static void end(struct obs_tally *t, int32_t pid, uint64_t start_ns, uint64_t cpu_ns)
{
	struct obs_exit_usage e = {
		.pid = pid, .slot = 1, .start_ns = start_ns, .used = { .cpu_ns = cpu_ns }
	};

	obs_tally_exit(t, &e, 0);
}

static void ends_are_counted_once_each(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);

	(void)state;
	obs_tally_started(t, 1, 10);
	obs_tally_started(t, 1, 20);
	look(t, 1 * S, (uint64_t[]){ 1 * S }, 1);
	end(t, 10, 5, 3 * S);	   /* seen before: the rest of it */
	end(t, 20, 7, 2 * S);	   /* started and ended between two looks */
	end(t, 30, 8, 4 * S);	   /* not even its start was seen */
	obs_tally_ended(t, 1, 10); /* the same end told again */
	assert_int_equal(u->started, 2);
	assert_int_equal(u->ended, 3);
	assert_int_equal(u->short_lived, 2);
	assert_int_equal(u->used.cpu_ns, 9 * S);
	obs_tally_started(t, 1, 40);
	obs_tally_ended(t, 1, 40); /* an end of which no more is known */
	assert_int_equal(u->ended, 4);
	obs_tally_late(t, 1, 70);
	obs_tally_late(t, 1, 100);
	assert_int_equal(u->used.cpu_ns, 9 * S + 30);
	look(t, 3 * S, NULL, 0);
	assert_true(u->cpu_percent > 399 && u->cpu_percent < 401); /* 8 s in 2 s */
	assert_int_equal(obs_tally_processes(t), 0);
	obs_tally_free(&t);
}

/* It ended during a look, its exit record is read after it. */
static void an_end_that_overtakes_its_record(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);

	(void)state;
	look(t, 1 * S, (uint64_t[]){ 1 * S }, 1);
	look(t, 2 * S, (uint64_t[]){ OBS_UNKNOWN }, 1);
	assert_int_equal(u->processes, 0);
	end(t, 10, 5, 2 * S);
	assert_int_equal(u->used.cpu_ns, 2 * S);
	assert_int_equal(u->short_lived, 0);
	obs_tally_free(&t);
}

static void a_pid_used_again_is_another_process(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);
	struct obs_task_usage next = task(10, 1 * S, 0);

	(void)state;
	look(t, 1 * S, (uint64_t[]){ 5 * S }, 1);
	next.start_ns = 99;
	obs_tally_begin(t, 2 * S);
	obs_tally_add(t, &next, 0);
	obs_tally_finish(t, 2 * S);
	assert_int_equal(u->used.cpu_ns, 6 * S);
	obs_tally_free(&t);
}

static void the_top_is_sorted_and_bounded(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);
	uint64_t first[20] = {}, second[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(second); i++)
		second[i] = i < 3 ? i * S : 0;
	look(t, 1 * S, first, ARRAY_LEN(first));
	look(t, 11 * S, second, ARRAY_LEN(second));
	assert_int_equal(u->n_top, OBS_USAGE_TOP);
	assert_int_equal(u->top[0].pid, 12);
	assert_int_equal(u->top[1].pid, 11);
	assert_int_equal(u->top[2].pid, 29); /* no CPU: the most memory */
	assert_true(u->top[0].cpu_percent == 20);
	obs_tally_free(&t);
}

static void other_nodes_are_left_alone(void **state)
{
	struct obs_tally *t = new_tally();
	struct obs_task_usage other = task(10, S, 1);

	(void)state;
	other.slot = 2;
	obs_tally_begin(t, S);
	assert_int_equal(obs_tally_add(t, &other, 0), 0);
	other.slot = 1u << 30;
	assert_int_equal(obs_tally_add(t, &other, 0), 0);
	obs_tally_finish(t, S);
	assert_int_equal(obs_tally_processes(t), 0);
	assert_null(obs_tally_node(t, 2));
	assert_int_equal(obs_tally_open_node(t, 1u << 30), -EINVAL);
	look(t, 2 * S, (uint64_t[]){ S }, 1);
	obs_tally_drop_node(t, 1);
	assert_int_equal(obs_tally_processes(t), 0);
	obs_tally_free(&t);
}

/* The container's own account counts before the sum of its processes. */
static void a_cgroups_cpu_time_counts_first(void **state)
{
	struct obs_tally *t = new_tally();
	const struct obs_node_usage *u = obs_tally_node(t, 1);
	struct obs_cgroup_usage c = {
		.cpu_ns = 10 * S, .quota_usec = 150000, .period_usec = 100000, .cpus = 4
	};

	(void)state;
	obs_tally_cgroup(t, 1, &c, 10 * S);
	assert_true(u->cpu_limit == 1.5);
	c.cpu_ns = 13 * S;
	c.quota_usec = OBS_UNKNOWN;
	obs_tally_cgroup(t, 1, &c, 12 * S);
	assert_true(u->cpu_percent == 150);
	assert_true(u->cpu_limit == 4);
	obs_tally_free(&t);
}

/* --- the event --- */

static void a_report_leaves_out_what_is_unknown(void **state)
{
	static const char *const roles[] = { "other", "launcher", "trainer" };
	struct obs_tally *t = new_tally();
	struct obs_report r = {};
	cleanup_buf struct obs_buf b = {};
	struct obs_event ev;

	(void)state;
	look(t, 1 * S, (uint64_t[]){ 1 * S }, 1);
	look(t, 3 * S, (uint64_t[]){ 2 * S }, 1);
	obs_report_node(&r, obs_tally_node(t, 1), roles, ARRAY_LEN(roles), &ev);
	ev.wall_ns = 0;
	assert_int_equal(obs_event_format(&ev, OBS_SLICE("n"), &b), 0);
	check_text(
		"report", obs_buf_slice(&b),
		"{\"event_id\":\"00000000000000000000000000000000\",\"node_id\":\"n\","
		"\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"event_type\":\"container_snapshot\","
		"\"details\":{\"event\":\"usage\",\"message\":\"50.0 % of a core, 0 MiB, 1 processes\","
		"\"interval_s\":2,\"cpu_percent\":50,\"memory_bytes\":100,\"swap_bytes\":0,"
		"\"io_read_bytes\":0,\"io_write_bytes\":0,\"cpu_s\":2,\"cpu_user_s\":2,"
		"\"cpu_system_s\":0,\"rss_bytes\":100,\"minor_faults\":0,\"major_faults\":0,"
		"\"processes\":1,\"threads\":1,\"zombies\":0,\"processes_started\":0,"
		"\"processes_ended\":0,\"processes_short_lived\":0,"
		"\"roles\":{\"trainer\":{\"processes\":1,\"threads\":1,\"cpu_percent\":50,"
		"\"rss_bytes\":100,\"swap_bytes\":0,\"cpu_s\":2,\"io_read_bytes\":0,"
		"\"io_write_bytes\":0}},\"top\":[{\"pid\":10,\"ppid\":0,\"role\":\"trainer\","
		"\"state\":\"S\",\"cpu_percent\":50,\"rss_bytes\":100,\"swap_bytes\":0,"
		"\"threads\":1,\"read_bytes_per_s\":0,\"write_bytes_per_s\":0,\"age_s\":3}]},"
		"\"origin\":{\"via\":\"usage\"}}");
	obs_report_free(&r);
	obs_tally_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_version_2),
		cmocka_unit_test(reads_version_1_beside_2),
		cmocka_unit_test(only_a_containers_own_directory_counts),
		cmocka_unit_test(reads_proc),
		cmocka_unit_test(refuses_texts_that_are_no_stat),
		cmocka_unit_test(rates_are_over_the_interval),
		cmocka_unit_test(threads_are_summed_in_any_order),
		cmocka_unit_test(a_dip_is_not_counted_again),
		cmocka_unit_test(ends_are_counted_once_each),
		cmocka_unit_test(an_end_that_overtakes_its_record),
		cmocka_unit_test(a_pid_used_again_is_another_process),
		cmocka_unit_test(the_top_is_sorted_and_bounded),
		cmocka_unit_test(other_nodes_are_left_alone),
		cmocka_unit_test(a_cgroups_cpu_time_counts_first),
		cmocka_unit_test(a_report_leaves_out_what_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
