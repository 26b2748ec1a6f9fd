// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_gpu.c - GPUs through a stand-in of NVML (nvml_standin.c), a stand-in of nvidia-smi (a script
 * written here) and a copy of AMD's sysfs. None of it is a real GPU.
 */
#include "check.h"

#include <dlfcn.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/gpu.h"
#include "collect/report.h"
#include "util/clock.h"

#define GIB UINT64_C(1073741824)

static char standin[4096]; /* path of the library, beside this program */
static char dir[] = "/tmp/gso-test-gpu-XXXXXX";
static void *library;
static void (*set)(const char *text);

static int open_standin(void **state)
{
	ssize_t n = readlink("/proc/self/exe", standin, sizeof(standin) - 32);

	(void)state;
	if (n <= 0 || !mkdtemp(dir))
		return -1;
	standin[n] = '\0';
	strcpy(strrchr(standin, '/'), "/nvml_standin.so");
	library = dlopen(standin, RTLD_NOW);
	if (!library)
		return -1;
	*(void **)&set = dlsym(library, "nvml_standin_set");
	return set ? 0 : -1;
}

static int close_standin(void **state)
{
	(void)state;
	rmdir(dir);
	return dlclose(library);
}

static struct obs_gpu_options options(void)
{
	return (struct obs_gpu_options){ .nvml = standin,
					 .nvidia_smi = "/nonexistent/nvidia-smi",
					 .nvidia_dir = "/nonexistent",
					 .amd_root = "/nonexistent",
					 .timeout_ms = 200 };
}

static struct obs_gpus *start(const struct obs_gpu_options *opt)
{
	struct obs_gpus *g = NULL;

	assert_int_equal(obs_gpus_start(opt, &g), 0);
	return g;
}

static const struct obs_host_usage *look(struct obs_gpus *g)
{
	static struct obs_host_usage u;

	obs_gpus_ask(g);
	assert_true(obs_gpus_wait(g, 10000));
	obs_gpus_get(g, &u);
	return &u;
}

static void reads_all_numbers_of_several(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("gpus=3");
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 3);
	assert_string_equal(u->gpu_source, "nvml");
	assert_string_equal(u->gpu_trouble, "");
	for (size_t i = 0; i < 3; i++) {
		const struct obs_gpu_usage *c = &u->gpus[i];

		assert_int_equal(c->index, i);
		assert_string_equal(c->name, "Stand-in GPU");
		assert_true(c->util_percent == 50 + (double)i && c->temp_c == 60 + (double)i);
		assert_true(c->memory_util_percent == 20 && isnan(c->fan_percent));
		assert_true(c->power_w == 250.5 && c->power_limit_w == 300);
		assert_true(c->sm_mhz == 1410 && c->max_sm_mhz == 1980 && c->memory_mhz == 1593);
		assert_int_equal(c->memory_used_bytes, 60 * GIB);
		assert_int_equal(c->memory_total_bytes, 80 * GIB);
		assert_int_equal(c->throttle_reasons, 0x44);
		assert_int_equal(c->ecc_corrected, 7);
		assert_int_equal(c->ecc_uncorrected, 2);
		assert_int_equal(c->mig_parent, -1);
		assert_false(c->lost);
		assert_int_equal(c->n_procs, 2);
		assert_int_equal(c->procs[0].pid, 4711);
		assert_int_equal(c->procs[0].memory_bytes, 12 * GIB);
		assert_true(c->procs[1].memory_bytes == OBS_UNKNOWN);
	}
	obs_gpus_stop(&g);
}

static void shows_the_parts_of_a_card(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("gpus=2,mig=0");
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 4); /* a card, its two parts, another card */
	assert_int_equal(u->gpus[1].mig_parent, 0);
	assert_int_equal(u->gpus[1].instance, 0);
	assert_int_equal(u->gpus[2].instance, 3);
	assert_int_equal(u->gpus[2].memory_total_bytes, 10 * GIB);
	assert_string_equal(u->gpus[2].uuid, "MIG-1301");
	assert_true(isnan(u->gpus[2].util_percent));
	assert_int_equal(u->gpus[1].n_procs, 0);
	assert_int_equal(u->gpus[2].n_procs, 1);
	assert_int_equal(u->gpus[2].procs[0].pid, 4711);
	assert_int_equal(u->gpus[3].mig_parent, -1);
	assert_int_equal(u->gpus[3].index, 1);
	obs_gpus_stop(&g);
}

static void a_lost_card_stays_in_the_list(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("gpus=2");
	g = start(&opt);
	look(g);
	set("gpus=2,lost=1,xid=79");
	u = look(g);
	assert_int_equal(u->n_gpus, 2);
	assert_false(u->gpus[0].lost);
	assert_int_equal(u->gpus[0].xid_errors, 1);
	assert_int_equal(u->gpus[0].last_xid, 79);
	assert_true(u->gpus[1].lost);
	assert_string_equal(u->gpus[1].uuid, "GPU-2");
	assert_true(isnan(u->gpus[1].temp_c) && u->gpus[1].memory_used_bytes == OBS_UNKNOWN);
	set("gpus=1"); /* the driver does not even count it any more */
	u = look(g);
	assert_int_equal(u->n_gpus, 2);
	obs_gpus_stop(&g);
}

static void a_driver_that_hangs_holds_nobody_up(void **state)
{
	struct obs_gpu_options opt = options();
	struct obs_host_usage u;
	struct obs_gpus *g;
	uint64_t before_ns;

	(void)state;
	set("gpus=1");
	g = start(&opt);
	assert_true(look(g)->gpus[0].util_percent == 50);
	set("gpus=1,hang");
	obs_gpus_ask(g);
	assert_false(obs_gpus_wait(g, 400));
	before_ns = obs_clock_ns(CLOCK_MONOTONIC);
	obs_gpus_ask(g);
	obs_gpus_get(g, &u);
	assert_true(obs_clock_ns(CLOCK_MONOTONIC) - before_ns < OBS_NS_PER_S);
	assert_non_null(strstr(u.gpu_trouble, "has not answered"));
	assert_non_null(strstr(u.gpu_trouble, "utilization"));
	assert_int_equal(u.n_gpus, 1);
	assert_true(isnan(u.gpus[0].util_percent)); /* no old numbers */
	set("gpus=1");
	assert_true(obs_gpus_wait(g, 10000));
	obs_gpus_get(g, &u);
	assert_string_equal(u.gpu_trouble, "");
	assert_true(u.gpus[0].util_percent == 50);
	obs_gpus_stop(&g);
}

/* What obs_gpus_stop() leaves behind ends by itself when the driver answers. */
static void stopping_does_not_wait_for_a_driver(void **state)
{
	struct obs_gpu_options opt = options();
	struct obs_gpus *g;
	uint64_t before_ns;

	(void)state;
	set("hang");
	g = start(&opt);
	before_ns = obs_clock_ns(CLOCK_MONOTONIC);
	obs_gpus_stop(&g);
	assert_null(g);
	assert_true(obs_clock_ns(CLOCK_MONOTONIC) - before_ns < 5 * OBS_NS_PER_S);
	set("");
	usleep(50000);
}

static void a_driver_of_another_version_is_told(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("init=18");
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 0);
	assert_non_null(strstr(u->gpu_trouble, "different versions"));
	obs_gpus_stop(&g);
	set("");
	opt.nvml = "/nonexistent/libnvidia-ml.so.1";
	opt.nvidia_dir = dir; /* the driver is loaded, its library is not there */
	g = start(&opt);
	u = look(g);
	assert_non_null(strstr(u->gpu_trouble, "the NVIDIA driver is loaded, but its"));
	obs_gpus_stop(&g);
}

static void without_gpus_there_is_no_trouble(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("init=9"); /* the library is installed, there is no driver */
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 0);
	assert_string_equal(u->gpu_trouble, "");
	obs_gpus_stop(&g);
	opt.nvml = "/nonexistent/libnvidia-ml.so.1";
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 0);
	assert_string_equal(u->gpu_trouble, "");
	assert_string_equal(u->gpu_source, "");
	obs_gpus_stop(&g);
}

static void a_driver_that_fails_is_opened_again(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("gpus=1");
	g = start(&opt);
	look(g);
	set("count=999");
	u = look(g);
	assert_int_equal(u->n_gpus, 0);
	assert_non_null(strstr(u->gpu_trouble, "Unknown Error"));
	set("gpus=2");
	u = look(g);
	assert_int_equal(u->n_gpus, 2);
	assert_string_equal(u->gpu_trouble, "");
	obs_gpus_stop(&g);
}

/* --- nvidia-smi --- */

static void write_script(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0755);
}

static const char script[] =
	"#!/bin/sh\n"
	"case $1 in\n"
	"--query-gpu=*) echo '0, NVIDIA GeForce RTX 4090, GPU-aa, 98, 61, 71, 412.35, 450.00, 66, "
	"2520, 10501, 3105, 20480, 24564, 0x0000000000000004, [N/A], [N/A]'\n"
	"echo '1, NVIDIA GeForce RTX 4090, GPU-bb, [GPU is lost], [GPU is lost], [GPU is lost], "
	"[N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]'\n"
	"echo 'no such line' ;;\n"
	"--query-compute-apps=*) echo 'GPU-aa, 4711, 19000'; echo 'GPU-aa, 4712, [N/A]' ;;\n"
	"esac\n";

static void asks_nvidia_smi_without_the_library(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_host_usage *u;
	struct obs_gpus *g;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/nvidia-smi", dir);
	write_script(path, script);
	opt.nvml = "/nonexistent/libnvidia-ml.so.1";
	opt.nvidia_smi = path;
	opt.nvidia_dir = dir;
	opt.timeout_ms = 20000;
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 2);
	assert_string_equal(u->gpu_source, "nvidia-smi");
	assert_string_equal(u->gpu_trouble, "");
	assert_non_null(strstr(u->gpu_refused, "not here"));
	assert_string_equal(u->gpus[0].name, "NVIDIA GeForce RTX 4090");
	assert_true(u->gpus[0].util_percent == 98 && u->gpus[0].power_w == 412.35);
	assert_true(u->gpus[0].temp_c == 71 && u->gpus[0].sm_mhz == 2520);
	assert_int_equal(u->gpus[0].memory_used_bytes, 20 * GIB);
	assert_int_equal(u->gpus[0].throttle_reasons, 4);
	assert_true(u->gpus[0].ecc_corrected == OBS_UNKNOWN);
	assert_int_equal(u->gpus[0].n_procs, 2);
	assert_int_equal(u->gpus[0].procs[0].memory_bytes, 19000ull << 20);
	assert_true(u->gpus[0].procs[1].memory_bytes == OBS_UNKNOWN);
	assert_true(u->gpus[1].lost && isnan(u->gpus[1].util_percent));
	write_script(path, "#!/bin/sh\nexit 9\n");
	u = look(g);
	assert_int_equal(u->n_gpus, 0);
	assert_non_null(strstr(u->gpu_trouble, "failed"));
	obs_gpus_stop(&g);
	unlink(path);
}

static void a_program_that_hangs_is_ended(void **state)
{
	struct obs_gpu_options opt = options();
	struct obs_gpus *g;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/nvidia-smi", dir);
	write_script(path, "#!/bin/sh\nexec sleep 1000\n");
	opt.nvml = "/nonexistent/libnvidia-ml.so.1";
	opt.nvidia_smi = path;
	opt.nvidia_dir = dir;
	g = start(&opt); /* what is told is the first trouble: the library */
	assert_non_null(strstr(look(g)->gpu_trouble, "the NVIDIA driver is loaded, but its"));
	obs_gpus_stop(&g);
	unlink(path);
}

/* --- AMD --- */

static void reads_amds_sysfs(void **state)
{
	struct obs_gpu_options opt = options();
	const struct obs_gpu_usage *c;
	const struct obs_host_usage *u;
	struct obs_gpus *g;

	(void)state;
	set("gpus=1");
	opt.amd_root = "tests/data/usage/amd";
	g = start(&opt);
	u = look(g);
	assert_int_equal(u->n_gpus, 2); /* beside one of NVIDIA's */
	assert_string_equal(u->gpu_source, "nvml, amd");
	c = &u->gpus[1];
	assert_int_equal(c->index, 1);
	assert_string_equal(c->name, "AMD GPU");
	assert_string_equal(c->uuid, "7f3a5c21d8e4b690");
	assert_true(c->util_percent == 97 && c->memory_util_percent == 31);
	assert_int_equal(c->memory_used_bytes, 16 * GIB);
	assert_true(c->temp_c == 67 && c->power_w == 289 && c->power_limit_w == 303);
	assert_true(fabs(c->sm_mhz - 2482) < 1e-6 && fabs(c->memory_mhz - 1249) < 1e-6);
	assert_true(c->fan_percent == 50);
	obs_gpus_stop(&g);
}

/* --- the event --- */

static void the_event_names_throttling_and_processes(void **state)
{
	struct obs_gpu_options opt = options();
	cleanup_buf struct obs_buf b = {};
	struct obs_report r = {};
	struct obs_event ev;
	struct obs_gpus *g;

	(void)state;
	set("gpus=1");
	g = start(&opt);
	obs_report_host(&r, look(g), &ev);
	assert_int_equal(obs_event_format(&ev, OBS_SLICE("n"), &b), 0);
	assert_non_null(strstr(obs_buf_cstr(&b),
			       "\"gpu\":[{\"index\":0,\"name\":\"Stand-in GPU\",\"uuid\":\"GPU-1\","
			       "\"util_percent\":50,\"memory_util_percent\":20,\"temp_c\":60,"
			       "\"vram_used_mb\":61440,\"vram_total_mb\":81920,\"vram_percent\":75,"
			       "\"power_w\":250.5,\"power_limit_w\":300,\"sm_mhz\":1410,"
			       "\"max_sm_mhz\":1980,\"memory_mhz\":1593,"
			       "\"throttle_reasons\":[\"sw_power_cap\",\"hw_thermal\"],"
			       "\"ecc_corrected\":7,\"ecc_uncorrected\":2,\"xid_errors\":0,"
			       "\"processes\":[{\"pid\":4711,\"memory_bytes\":12884901888},"
			       "{\"pid\":4712}]}],\"gpu_source\":\"nvml\""));
	obs_report_free(&r);
	obs_gpus_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_numbers_of_several),
		cmocka_unit_test(shows_the_parts_of_a_card),
		cmocka_unit_test(a_lost_card_stays_in_the_list),
		cmocka_unit_test(a_driver_that_hangs_holds_nobody_up),
		cmocka_unit_test(stopping_does_not_wait_for_a_driver),
		cmocka_unit_test(a_driver_of_another_version_is_told),
		cmocka_unit_test(without_gpus_there_is_no_trouble),
		cmocka_unit_test(a_driver_that_fails_is_opened_again),
		cmocka_unit_test(asks_nvidia_smi_without_the_library),
		cmocka_unit_test(a_program_that_hangs_is_ended),
		cmocka_unit_test(reads_amds_sysfs),
		cmocka_unit_test(the_event_names_throttling_and_processes),
	};

	return cmocka_run_group_tests(tests, open_standin, close_standin);
}
