// SPDX-License-Identifier: BSD-2-Clause
/* test_nodes.c - states of nodes as /api/v1/nodes and /metrics show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "model/model.h"
#include "model/peers.h"
#include "serve/nodes.h"
#include "util/cleanup.h"

#define NOW_NS 1700000100500000000ull

static struct obs_model model;
static struct obs_node_status status;
static struct obs_life_view lives[3];
static struct obs_node_usage usage;

static void fill_life(struct obs_life_view *v, uint32_t slot, const char *name)
{
	*v = (struct obs_life_view){
		.slot = slot,
		.state = "degraded",
		.sub_state = "submits",
		.meaning = "submissions fail",
		.since_ns = NOW_NS - 1500000000,
		.watched_ns = NOW_NS - 60000000000,
		.earning = "no",
		.round_known = true,
		.round = 30512,
		.rounds_joined = 7,
		.submits_ok = 3,
		.submits_failed = 2,
		.last_submit_status = 400,
		.errors = 4,
		.last_error = "SUBMIT_FAILED",
		.last_error_ns = NOW_NS,
		.n_evidence = 1,
		.evidence = { { NOW_NS, "two \"failed\"\x1b" } },
	};
	snprintf(v->name, sizeof(v->name), "%s", name);
	strcpy(v->container_id, "0123456789ab");
	strcpy(v->reason, "two failed");
	strcpy(v->earning_words, "no, because two failed");
}

static int fill(void **state)
{
	(void)state;
	usage = (struct obs_node_usage){ .interval_s = 1,
					 .cpu_percent = 12.5,
					 .cpu_limit = NAN,
					 .processes = 5,
					 .threads = 9,
					 .rss_bytes = 4096,
					 .shared_memory_limit = OBS_UNKNOWN,
					 .has_cgroup = true };
	usage.cgroup.memory_bytes = 8192;
	usage.cgroup.memory_limit_bytes = OBS_UNKNOWN;
	status = (struct obs_node_status){ .slot = 3, .pids = 5, .events = 11, .usage = &usage };
	strcpy(status.name, "swarm");
	strcpy(status.runtime, "docker");
	fill_life(&lives[0], 3, "swarm");
	fill_life(&lives[1], 0, "gone");
	memset(&model, 0, sizeof(model));
	strcpy(model.node_id, "host");
	model.n_nodes = 1;
	model.nodes = &status;
	model.n_lives = 2;
	model.lives = lives;
	return 0;
}

static cJSON *shown(void)
{
	cleanup_buf struct obs_buf out = {};

	assert_int_equal(obs_nodes_format(&model, NOW_NS, &out), 200);
	return cJSON_Parse(obs_buf_cstr(&out));
}

static const cJSON *node(const cJSON *root, int i)
{
	return cJSON_GetArrayItem(cJSON_GetObjectItem(root, "nodes"), i);
}

static const char *text(const cJSON *o, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItem(o, key));

	return s ? s : "-";
}

static double number(const cJSON *o, const char *key)
{
	const cJSON *n = cJSON_GetObjectItem(o, key);

	return cJSON_IsNumber(n) ? n->valuedouble : -1;
}

static void a_living_node(void **state)
{
	cJSON *root = shown();
	const cJSON *n = node(root, 0), *submits = cJSON_GetObjectItem(n, "submissions");
	const cJSON *seen = cJSON_GetArrayItem(cJSON_GetObjectItem(n, "evidence"), 0);

	(void)state;
	assert_string_equal(text(root, "node_id"), "host");
	assert_string_equal(text(n, "name"), "swarm");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(n, "present")));
	assert_string_equal(text(n, "runtime"), "docker");
	assert_string_equal(text(n, "state"), "degraded");
	assert_string_equal(text(n, "sub_state"), "submits");
	assert_string_equal(text(n, "earning"), "no");
	assert_string_equal(text(n, "earning_reason"), "no, because two failed");
	assert_string_equal(text(n, "since"), "2023-11-14T22:14:59.000000Z");
	assert_true(number(n, "for_s") == 1.5);
	assert_true(number(n, "round") == 30512 && number(n, "rounds_joined") == 7);
	assert_true(number(n, "errors") == 4 && number(n, "pids") == 5);
	assert_true(number(submits, "taken") == 3 && number(submits, "failed") == 2);
	assert_true(number(submits, "last_status") == 400);
	assert_string_equal(text(seen, "text"), "two \"failed\"\x1b");
	cJSON_Delete(root);
}

static void what_it_uses(void **state)
{
	cJSON *root = shown();
	const cJSON *n = node(root, 0);

	(void)state;
	assert_true(number(n, "cpu_percent") == 12.5);
	assert_null(cJSON_GetObjectItem(n, "cpu_limit")); /* none */
	assert_true(number(n, "memory_bytes") == 8192);	  /* the container's, not its processes' */
	assert_null(cJSON_GetObjectItem(n, "memory_limit_bytes"));
	assert_null(cJSON_GetObjectItem(n, "gpu_memory_bytes")); /* no GPU */
	assert_null(cJSON_GetObjectItem(n, "peers_connected"));	 /* not watched */
	cJSON_Delete(root);
	usage.has_cgroup = false;
	usage.interval_s = 0; /* the first look: no rates yet */
	root = shown();
	assert_true(number(node(root, 0), "memory_bytes") == 4096);
	assert_null(cJSON_GetObjectItem(node(root, 0), "cpu_percent"));
	cJSON_Delete(root);
}

static void its_gpu_memory_and_peers(void **state)
{
	struct obs_peer peers[] = { { .role = OBS_PEER_DHT, .open = 2 },
				    { .role = OBS_PEER_BOOTNODE, .open = 1 },
				    { .role = OBS_PEER_DHT, .open = 0 },
				    { .role = OBS_PEER_RPC, .open = 1 } };
	struct obs_peers all = { .peers = peers };
	struct obs_node_peers of_node = { .slot = 3, .peers = &all };
	struct obs_gpu_usage *gpu = &model.host.gpus[0];
	cJSON *root;

	(void)state;
	for (size_t i = 0; i + 1 < ARRAY_LEN(peers); i++)
		peers[i].hh.next = &peers[i + 1];
	model.n_node_peers = 1;
	model.node_peers = &of_node;
	model.host.n_gpus = 1;
	gpu->mig_parent = -1;
	gpu->n_procs = 3;
	gpu->procs[0] = (struct obs_gpu_process){ .memory_bytes = 100, .node = "swarm" };
	gpu->procs[1] = (struct obs_gpu_process){ .memory_bytes = 50, .node = "another" };
	gpu->procs[2] = (struct obs_gpu_process){ .memory_bytes = OBS_UNKNOWN, .node = "swarm" };
	root = shown();
	assert_true(number(node(root, 0), "gpu_memory_bytes") == 100);
	assert_true(number(node(root, 0), "peers_connected") == 2);
	cJSON_Delete(root);
}

static void one_that_has_ended(void **state)
{
	cJSON *root = shown();
	const cJSON *n = node(root, 1);

	(void)state;
	assert_string_equal(text(n, "name"), "gone");
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(n, "present")));
	assert_null(cJSON_GetObjectItem(n, "pids"));
	assert_null(cJSON_GetObjectItem(n, "cpu_percent"));
	cJSON_Delete(root);
}

static unsigned count(const char *in, const char *what)
{
	unsigned n = 0;

	for (; (in = strstr(in, what)); in++)
		n++;
	return n;
}

static void metrics(void **state)
{
	static const char *const want[] = {
		"gswarm_node_state{node=\"swarm\",container_id=\"0123456789ab\",state=\"degraded\","
		"sub_state=\"submits\"} 1\n",
		"gswarm_node_state_seconds{node=\"swarm\",container_id=\"0123456789ab\"} 1.5\n",
		"gswarm_node_earning{node=\"swarm\",container_id=\"0123456789ab\"} 0\n",
		"gswarm_node_round{node=\"swarm\",container_id=\"0123456789ab\"} 30512\n",
		"gswarm_node_rounds_joined_total{node=\"swarm\",container_id=\"0123456789ab\"} 7\n",
		"gswarm_node_submissions_total{node=\"swarm\",container_id=\"0123456789ab\","
		"result=\"failed\"} 2\n",
		"gswarm_node_earning{node=\"cannot\",container_id=\"0123456789ab\"} -1\n",
	};
	cleanup_buf struct obs_buf out = {};

	(void)state;
	fill_life(&lives[2], 0, "swarm"); /* the same container, in its life before */
	lives[2].earning = "yes";
	strcpy(lives[1].name, "cannot");
	lives[1].earning = "cannot_tell";
	model.n_lives = 3;
	obs_metrics_nodes_format(&model, NOW_NS, &out);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		if (!strstr(obs_buf_cstr(&out), want[i]))
			fail_msg("no %s in\n%s", want[i], obs_buf_cstr(&out));
	}
	assert_int_equal(count(obs_buf_cstr(&out), "gswarm_node_earning{node=\"swarm\""), 1);
	assert_int_equal(count(obs_buf_cstr(&out), "# TYPE gswarm_node_earning gauge"), 1);
}

static void no_metric_without_a_sample(void **state)
{
	cleanup_buf struct obs_buf out = {};

	(void)state;
	lives[0].round_known = lives[1].round_known = false;
	lives[0].since_ns = lives[1].since_ns = 0;
	obs_metrics_nodes_format(&model, NOW_NS, &out);
	assert_null(strstr(obs_buf_cstr(&out), "gswarm_node_round{"));
	assert_null(strstr(obs_buf_cstr(&out), "# TYPE gswarm_node_round gauge"));
	assert_null(strstr(obs_buf_cstr(&out), "gswarm_node_state_seconds"));
	model.n_lives = 0;
	out.len = 0;
	obs_metrics_nodes_format(&model, NOW_NS, &out);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_living_node, fill),
		cmocka_unit_test_setup(what_it_uses, fill),
		cmocka_unit_test_setup(its_gpu_memory_and_peers, fill),
		cmocka_unit_test_setup(one_that_has_ended, fill),
		cmocka_unit_test_setup(metrics, fill),
		cmocka_unit_test_setup(no_metric_without_a_sample, fill),
	};

	return cmocka_run_group_tests_name("nodes", tests, NULL, NULL);
}
