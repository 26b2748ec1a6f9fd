// SPDX-License-Identifier: BSD-2-Clause
/*
 * test_cgroup.c - container ids out of /proc/PID/cgroup texts as real hosts show them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "enrich/container.h"
#include "util/cleanup.h"

#define A    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID  "2d3c4b5a-1111-2222-3333-444455556666"
#define UID_ "2d3c4b5a_1111_2222_3333_444455556666"

static const struct cgroup_case {
	const char *name, *text;
	enum obs_runtime runtime; /* NONE: -ENOENT */
	const char *id;
} cases[] = {
	/* clang-format off */
	{ "docker cgroupfs v2", "0::/docker/" A "\n", OBS_RUNTIME_DOCKER, A },
	{ "docker cgroupfs v1", "12:pids:/docker/" A "\n11:cpu,cpuacct:/docker/" A "\n1:name=systemd:/docker/" A "\n", OBS_RUNTIME_DOCKER, A },
	{ "docker hybrid, unified at the root", "4:memory:/docker/" A "\n1:name=systemd:/docker/" A "\n0::/\n", OBS_RUNTIME_DOCKER, A },
	{ "docker hybrid, unified in the service", "4:memory:/docker/" A "\n0::/system.slice/containerd.service\n", OBS_RUNTIME_DOCKER, A },
	{ "docker systemd", "0::/system.slice/docker-" A ".scope\n", OBS_RUNTIME_DOCKER, A },
	{ "docker rootless", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope\n", OBS_RUNTIME_DOCKER, A },
	{ "docker, systemd inside", "0::/docker/" A "/init.scope\n", OBS_RUNTIME_DOCKER, A },
	{ "docker, systemd driver without systemd", "0::/system.slice:docker:" A "\n", OBS_RUNTIME_DOCKER, A },
	{ "docker in docker", "0::/docker/" A "/docker/" B "\n", OBS_RUNTIME_DOCKER, B },
	{ "podman in docker", "0::/docker/" A "/libpod_parent/libpod-" B "\n", OBS_RUNTIME_PODMAN, B },
	{ "innermost of all hierarchies", "4:memory:/docker/" A "/docker/" B "\n0::/docker/" A "\n", OBS_RUNTIME_DOCKER, B },
	{ "kubelet cgroupfs", "0::/kubepods/besteffort/pod" UID "/" A "\n", OBS_RUNTIME_OTHER, A },
	{ "kubelet systemd, containerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" A ".scope\n", OBS_RUNTIME_CONTAINERD, A },
	{ "kubelet systemd, cri-o", "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/crio-" A ".scope\n", OBS_RUNTIME_CRIO, A },
	{ "cri-o, child cgroup", "0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" A ".scope/container\n", OBS_RUNTIME_CRIO, A },
	{ "cri-o cgroupfs", "0::/kubepods/pod" UID "/crio-" A "\n", OBS_RUNTIME_CRIO, A },
	{ "kubelet systemd, cri-dockerd", "0::/kubepods.slice/kubepods-pod" UID_ ".slice/docker-" A ".scope\n", OBS_RUNTIME_DOCKER, A },
	{ "containerd in its service", "0::/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" A "\n", OBS_RUNTIME_CONTAINERD, A },
	{ "kind", "0::/docker/" A "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_ ".slice/cri-containerd-" B ".scope\n", OBS_RUNTIME_CONTAINERD, B },
	{ "nerdctl systemd", "0::/system.slice/nerdctl-" A ".scope\n", OBS_RUNTIME_CONTAINERD, A },
	{ "nerdctl cgroupfs", "0::/default/" A "\n", OBS_RUNTIME_CONTAINERD, A },
	{ "podman", "0::/machine.slice/libpod-" A ".scope\n", OBS_RUNTIME_PODMAN, A },
	{ "podman, child cgroup", "0::/machine.slice/libpod-" A ".scope/container\n", OBS_RUNTIME_PODMAN, A },
	{ "podman pod", "0::/machine.slice/machine-libpod_pod_" B ".slice/libpod-" A ".scope\n", OBS_RUNTIME_PODMAN, A },
	{ "podman rootless", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope\n", OBS_RUNTIME_PODMAN, A },
	{ "podman cgroupfs", "0::/libpod_parent/libpod-" A "\n", OBS_RUNTIME_PODMAN, A },
	{ "podman split", "0::/system.slice/my.service/libpod-payload-" A "\n", OBS_RUNTIME_PODMAN, A },
	{ "custom parent", "0::/my/parent/" A "\n", OBS_RUNTIME_OTHER, A },
	{ "seen from a cgroup namespace", "0::/../" A "\n", OBS_RUNTIME_OTHER, A },
	{ "unknown engine in a triple", "0::/system.slice:shiny:" A "\n", OBS_RUNTIME_OTHER, A },
	{ "cgroup already removed", "0::/docker/" A " (deleted)\n", OBS_RUNTIME_DOCKER, A },
	{ "no newline at the end", "0::/docker/" A, OBS_RUNTIME_DOCKER, A },

	{ "plain process", "0::/user.slice/user-1000.slice/session-1.scope\n", OBS_RUNTIME_NONE, NULL },
	{ "root", "0::/\n", OBS_RUNTIME_NONE, NULL },
	{ "dockerd itself", "0::/system.slice/docker.service\n", OBS_RUNTIME_NONE, NULL },
	{ "podman's monitor", "0::/machine.slice/libpod-conmon-" A ".scope\n", OBS_RUNTIME_NONE, NULL },
	{ "cri-o's monitor", "0::/system.slice/crio-conmon-" A ".scope\n", OBS_RUNTIME_NONE, NULL },
	{ "empty", "", OBS_RUNTIME_NONE, NULL },
	{ "no path", "0:\n", OBS_RUNTIME_NONE, NULL },
	{ "no colons", A "\n", OBS_RUNTIME_NONE, NULL },
	{ "id outside the path", "0:/docker/" A "\n", OBS_RUNTIME_NONE, NULL },
	{ "newlines only", "\n\n\n", OBS_RUNTIME_NONE, NULL },
	{ "upper case", "0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n", OBS_RUNTIME_NONE, NULL },
	{ "one digit short", "0::/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n", OBS_RUNTIME_NONE, NULL },
	{ "one digit more", "0::/docker/" A "0\n", OBS_RUNTIME_NONE, NULL },
	{ "prefix and suffix overlap", "0::/docker-.scope\n", OBS_RUNTIME_NONE, NULL },
	{ "a lone colon", "0::/:" A "\n", OBS_RUNTIME_NONE, NULL },
	/* clang-format on */
};

/* Exact allocation, so that ASan sees a read past the text. */
static int parse_copy(struct obs_slice text, struct obs_container_ref *ret)
{
	cleanup_free char *copy = malloc(text.len ? text.len : 1);

	assert_non_null(copy);
	memcpy(copy, text.p, text.len);
	return obs_cgroup_parse(obs_slice(copy, text.len), ret);
}

static void cgroup_knows_every_shape(void **state)
{
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cgroup_case *c = &cases[i];
		struct obs_container_ref ref = { .runtime = 99 };
		int r = parse_copy(obs_slice_str(c->text), &ref);

		if (r != (c->id ? 0 : -ENOENT))
			fail_msg("%s: got %d", c->name, r);
		if (r < 0 && (ref.runtime != 99 || ref.id[0]))
			fail_msg("%s: result touched on failure", c->name);
		if (r == 0 && (ref.runtime != c->runtime || strcmp(ref.id, c->id) != 0))
			fail_msg("%s: got %s %s", c->name, obs_runtime_str(ref.runtime), ref.id);
	}
}

static void cgroup_survives_any_bytes(void **state)
{
	static char text[1 << 16];
	struct obs_container_ref ref;
	uint32_t x = 1;

	(void)state;
	for (int round = 0; round < 50; round++) {
		size_t len = (size_t)round * 97;

		for (size_t i = 0; i < len; i++) {
			x = x * 1664525u + 1013904223u;
			text[i] = "/:\n\0adf09-.scope"[(x >> 16) % 16];
		}
		parse_copy(obs_slice(text, len), &ref);
	}
	memset(text, '/', sizeof(text));
	assert_int_equal(parse_copy(obs_slice(text, sizeof(text)), &ref), -ENOENT);
	memset(text, 'a', sizeof(text));
	memcpy(text, "0::/", 4);
	assert_int_equal(parse_copy(obs_slice(text, sizeof(text)), &ref), -ENOENT);
}

static void cgroup_finds_a_container_behind_a_long_path(void **state)
{
	static const char tail[] = "/docker/" A "\n";
	static char text[1 << 16];
	struct obs_container_ref ref;
	size_t at = sizeof(text) - sizeof(tail);

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "0::/", 4);
	memcpy(text + at, tail, sizeof(tail));
	assert_int_equal(parse_copy(obs_slice(text, sizeof(text) - 1), &ref), 0);
	assert_string_equal(ref.id, A);
}

static void cgroup_names_every_runtime(void **state)
{
	(void)state;
	assert_string_equal(obs_runtime_str(OBS_RUNTIME_NONE), "process");
	assert_string_equal(obs_runtime_str(OBS_RUNTIME_DOCKER), "docker");
	assert_string_equal(obs_runtime_str(OBS_RUNTIME_OTHER), "container");
	assert_string_equal(obs_runtime_str((enum obs_runtime)77), "container");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cgroup_knows_every_shape),
		cmocka_unit_test(cgroup_survives_any_bytes),
		cmocka_unit_test(cgroup_finds_a_container_behind_a_long_path),
		cmocka_unit_test(cgroup_names_every_runtime),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
