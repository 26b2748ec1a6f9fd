// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_host.c - the host's files of /proc and /sys, from copies in tests/data/usage, and which file
 * systems count as somebody's volumes.
 */
#include "check.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/host.h"
#include "collect/report.h"

#define DATA "tests/data/usage/"
#define S    UINT64_C(1000000000)

static const struct obs_host_wanted all = { .cpu = true, .ram = true };

static void reads_every_file(void **state)
{
	uint64_t tick_ns = S / (uint64_t)sysconf(_SC_CLK_TCK);
	struct obs_host_usage u = {};
	struct obs_host *h = NULL;

	(void)state;
	assert_int_equal(obs_host_new(DATA "host", DATA "sys", &h), 0);
	obs_host_read(h, &all, 10 * S, 77, &u);
	assert_int_equal(u.sampled_ns, 77);
	assert_int_equal(u.cpu_ns[0], 100 * tick_ns);
	assert_int_equal(u.cpu_ns[7], 8 * tick_ns);
	assert_int_equal(u.cores, 3);
	assert_true(isnan(u.cpu_percent) && u.interval_s == 0);
	assert_true(u.load_avg[0] == 0.5 && u.load_avg[2] == 2);
	assert_true(u.temp_c == 64.5);
	assert_int_equal(u.ram_total_bytes, 16000000ull * 1024);
	assert_int_equal(u.ram_available_bytes, 12000000ull * 1024);
	assert_int_equal(u.swap_free_bytes, 1500000ull * 1024);
	assert_int_equal(u.net_rx_bytes, 1500);
	assert_int_equal(u.net_tx_bytes, 2600);
	assert_int_equal(u.net_rx_errors, 1);
	assert_int_equal(u.net_rx_dropped, 2);
	assert_int_equal(u.net_tx_errors, 3);
	assert_int_equal(u.net_tx_dropped, 4);
	assert_int_equal(u.disk_read_bytes, 108 * 512);
	assert_int_equal(u.disk_write_bytes, 216 * 512);
	assert_true(isnan(u.disk_busy_percent));
	assert_int_equal(u.pressure[OBS_PRESSURE_CPU].some_usec, 1500);
	assert_true(u.pressure[OBS_PRESSURE_IO].some_usec == OBS_UNKNOWN);
	obs_host_read(h, &all, 12 * S, 78, &u);
	assert_true(u.interval_s == 2 && u.net_rx_bytes_per_s == 0 && u.disk_busy_percent == 0);
	obs_host_free(&h);
}

static void what_is_not_there_or_not_wanted_is_unknown(void **state)
{
	static const struct {
		const char *proc;
		struct obs_host_wanted wanted;
	} cases[] = { { "/nonexistent", { true, true } }, { DATA "host", { false, false } } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_host_usage u = {};
		struct obs_report r = {};
		struct obs_event ev;
		struct obs_host *h = NULL;

		assert_int_equal(obs_host_new(cases[i].proc, "/nonexistent", &h), 0);
		obs_host_read(h, &cases[i].wanted, S, 1, &u);
		assert_int_equal(u.cores, 0);
		assert_true(isnan(u.cpu_percent) && isnan(u.temp_c));
		assert_true(u.ram_total_bytes == OBS_UNKNOWN && u.cpu_ns[0] == OBS_UNKNOWN);
		obs_report_host(&r, &u, &ev);
		for (unsigned k = 0; k < ev.n_fields; k++) {
			assert_false(obs_slice_eq(ev.fields[k].key, OBS_SLICE("cpu")));
			assert_false(obs_slice_eq(ev.fields[k].key, OBS_SLICE("ram")));
		}
		obs_report_free(&r);
		obs_host_free(&h);
	}
}

/* A copy of /proc whose stat can be changed between two looks. */
static void shares_are_of_what_passed(void **state)
{
	char dir[] = "/tmp/gso-test-host-XXXXXX", path[64];
	struct obs_host_usage u = {};
	struct obs_host *h = NULL;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/stat", dir);
	assert_int_equal(obs_host_new(dir, dir, &h), 0);
	for (int i = 0; i < 2; i++) {
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "cpu %d %d %d %d %d 0 0 %d\ncpu0 1\n", 1000 + 30 * i, 10 * i,
			500 + 5 * i, 9000 + 40 * i, 10 * i, 5 * i);
		fclose(f);
		obs_host_read(h, &all, (uint64_t)(i + 1) * S, 1, &u);
	}
	assert_true(u.cpu_percent == 50); /* 100 passed: 40 idle, 10 iowait */
	assert_true(u.cpu_user_percent == 40);
	assert_true(u.cpu_system_percent == 5);
	assert_true(u.cpu_iowait_percent == 10);
	assert_true(u.cpu_steal_percent == 5);
	obs_host_free(&h);
	unlink(path);
	rmdir(dir);
}

/* --- volumes --- */

#define M(where, options, type) "1 2 0:1 / " where " " options " shared:1 - " type " dev rw\n"

static void only_local_volumes_that_are_written_to_count(void **state)
{
	/* all of them are the same file system here, so one more stays one */
	static const struct {
		const char *name, *mountinfo, *dir, *want; /* path of the only one; NULL = none */
	} cases[] = {
		{ "a container's root", M("/", "rw", "overlay"), NULL, "/" },
		{ "and its volume, on the same disk",
		  M("/", "rw", "overlay") M("/tmp", "rw", "ext4"), NULL, "/" },
		{ "read-only", M("/", "ro,relatime", "ext4"), NULL, NULL },
		{ "a file server", M("/", "rw", "nfs4"), NULL, NULL },
		{ "not a file system of files", M("/proc", "rw", "proc"), NULL, NULL },
		{ "memory", M("/run", "rw", "tmpfs"), NULL, NULL },
		{ "where the program works", M("/tmp", "rw", "ext4"), "/tmp/x", "/tmp" },
		{ "beside where it works", M("/tmp", "rw", "ext4"), "/tmpx", NULL },
		{ "one mounted over the other", M("/tmp", "rw", "ext4") M("/tmp", "rw", "nfs4"),
		  "/tmp", NULL },
		{ "nonsense", "a b c\n\n1 2 3 - ext4", NULL, NULL },
		{ "nothing", "", "/", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct obs_host_usage u = {};
		const char *want = cases[i].want;

		obs_host_volumes(cases[i].mountinfo, "", cases[i].dir, "me", &u);
		if (u.n_disks != (want != NULL) || (want && strcmp(u.disks[0].path, want) != 0))
			fail_msg("%s: %zu, %s", cases[i].name, u.n_disks, u.disks[0].path);
		if (want) {
			assert_true(u.disks[0].total_bytes > 0);
			assert_string_equal(u.disks[0].used_by, "me");
		}
	}
}

static void volumes_are_bounded(void **state)
{
	struct obs_host_usage u = { .n_disks = OBS_HOST_DISKS };

	(void)state;
	obs_host_volumes(M("/", "rw", "ext4"), "", NULL, "me", &u);
	assert_int_equal(u.n_disks, OBS_HOST_DISKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_file),
		cmocka_unit_test(what_is_not_there_or_not_wanted_is_unknown),
		cmocka_unit_test(shares_are_of_what_passed),
		cmocka_unit_test(only_local_volumes_that_are_written_to_count),
		cmocka_unit_test(volumes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
