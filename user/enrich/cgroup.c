// SPDX-License-Identifier: BSD-2-Clause
/*
 * cgroup.c - the container that a /proc/PID/cgroup text names.
 *
 * Every engine puts a container's 64 hex digits into one component of the
 * cgroup path; what stands around them says which engine it was. A cgroup name
 * never holds a newline (cgroup_mkdir() refuses it), so lines can be trusted,
 * but a container that may make cgroups of its own chooses the names below its
 * own: it can lie about itself, not about others.
 */
#include "enrich/container.h"

#include <errno.h>

#include "util/cleanup.h"

#define DELETED OBS_SLICE(" (deleted)")

/* A component is prefix, id, suffix; with neither, the component above decides. */
static const struct shape {
	struct obs_slice parent; /* the component above; empty = any */
	struct obs_slice prefix;
	struct obs_slice suffix;
	enum obs_runtime runtime;
} shapes[] = {
#define S(parent, prefix, suffix, runtime)                                      \
	{                                                                       \
		{ parent, sizeof(parent) - 1 }, { prefix, sizeof(prefix) - 1 }, \
			{ suffix, sizeof(suffix) - 1 }, OBS_RUNTIME_##runtime   \
	}
	/* clang-format off */
	/* above	prefix			suffix		engine */
	S("",		"docker-",		".scope",	DOCKER),	/* systemd driver */
	S("docker",	"",			"",		DOCKER),	/* cgroupfs driver */
	S("",		"cri-containerd-",	".scope",	CONTAINERD),	/* Kubernetes, systemd */
	S("",		"nerdctl-",		".scope",	CONTAINERD),
	S("default",	"",			"",		CONTAINERD),	/* containerd's namespaces */
	S("k8s.io",	"",			"",		CONTAINERD),
	S("",		"crio-",		".scope",	CRIO),
	S("",		"crio-",		"",		CRIO),
	S("",		"libpod-",		".scope",	PODMAN),
	S("",		"libpod-",		"",		PODMAN),
	S("",		"libpod-payload-",	"",		PODMAN),	/* --cgroups=split */
	S("",		"",			"",		OTHER),		/* kubepods/…/podUID/ID, --cgroup-parent */
/* clang-format on */
#undef S
};

/* runc without a running systemd writes "slice:engine:id" as one component. */
static const struct {
	struct obs_slice engine;
	enum obs_runtime runtime;
} triples[] = {
	{ { "cri-containerd", 14 }, OBS_RUNTIME_CONTAINERD },
	{ { "nerdctl", 7 }, OBS_RUNTIME_CONTAINERD },
	{ { "docker", 6 }, OBS_RUNTIME_DOCKER },
	{ { "crio", 4 }, OBS_RUNTIME_CRIO },
	{ { "libpod", 6 }, OBS_RUNTIME_PODMAN },
};

static const char *const runtime_names[] = {
	[OBS_RUNTIME_NONE] = "process",		 [OBS_RUNTIME_DOCKER] = "docker",
	[OBS_RUNTIME_CONTAINERD] = "containerd", [OBS_RUNTIME_CRIO] = "cri-o",
	[OBS_RUNTIME_PODMAN] = "podman",	 [OBS_RUNTIME_OTHER] = "container",
};

const char *obs_runtime_str(enum obs_runtime runtime)
{
	if ((size_t)runtime >= ARRAY_LEN(runtime_names))
		return "container";
	return runtime_names[runtime];
}

static bool is_id(struct obs_slice s)
{
	if (s.len != OBS_CONTAINER_ID_LEN)
		return false;

	for (size_t i = 0; i < s.len; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return true;
}

static bool slice_ends(struct obs_slice s, struct obs_slice suffix)
{
	return s.len >= suffix.len &&
	       obs_slice_eq(obs_slice(s.p + s.len - suffix.len, suffix.len), suffix);
}

/* Cut off everything up to and with the last @sep; false when there is none. */
static bool split_last(struct obs_slice *s, char sep, struct obs_slice *last)
{
	const char *at = s->len ? memrchr(s->p, sep, s->len) : NULL;

	if (!at)
		return false;

	*last = obs_slice(at + 1, s->len - (size_t)(at + 1 - s->p));
	s->len = (size_t)(at - s->p);
	return true;
}

static void set_ref(struct obs_container_ref *ret, enum obs_runtime runtime, struct obs_slice id)
{
	*ret = (struct obs_container_ref){ .runtime = runtime };
	memcpy(ret->id, id.p, id.len);
}

static bool match_shape(const struct shape *sh, struct obs_slice parent, struct obs_slice name,
			struct obs_slice *id)
{
	if (sh->parent.len && !obs_slice_eq(sh->parent, parent))
		return false;
	if (!obs_slice_starts(name, sh->prefix) || !slice_ends(name, sh->suffix) ||
	    name.len < sh->prefix.len + sh->suffix.len)
		return false;

	*id = obs_slice(name.p + sh->prefix.len, name.len - sh->prefix.len - sh->suffix.len);
	return is_id(*id);
}

static bool match_triple(struct obs_slice name, struct obs_container_ref *ret)
{
	struct obs_slice id, engine;

	if (!split_last(&name, ':', &id) || !is_id(id) || !split_last(&name, ':', &engine))
		return false;

	for (size_t i = 0; i < ARRAY_LEN(triples); i++)
		if (obs_slice_eq(triples[i].engine, engine)) {
			set_ref(ret, triples[i].runtime, id);
			return true;
		}
	set_ref(ret, OBS_RUNTIME_OTHER, id);
	return true;
}

static bool match_component(struct obs_slice parent, struct obs_slice name,
			    struct obs_container_ref *ret)
{
	struct obs_slice id;

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (match_shape(&shapes[i], parent, name, &id)) {
			set_ref(ret, shapes[i].runtime, id);
			return true;
		}
	return match_triple(name, ret);
}

/* Walk from the innermost component outwards. Returns where the container's
 * component begins in the path, for comparing depths, or 0 for none. */
static size_t parse_path(struct obs_slice path, struct obs_container_ref *ret)
{
	struct obs_slice name, rest, parent;

	if (slice_ends(path, DELETED))
		path.len -= DELETED.len;

	while (split_last(&path, '/', &name)) {
		rest = path;
		parent = (struct obs_slice){};
		split_last(&rest, '/', &parent);
		if (match_component(parent, name, ret))
			return path.len + 1;
	}
	return 0;
}

/* "hierarchy:controllers:path"; the path may hold further colons. */
static struct obs_slice line_path(struct obs_slice line)
{
	for (int colons = 0; colons < 2; colons++) {
		const char *at = line.len ? memchr(line.p, ':', line.len) : NULL;

		if (!at)
			return (struct obs_slice){};
		line = obs_slice(at + 1, line.len - (size_t)(at + 1 - line.p));
	}
	return line;
}

static struct obs_slice next_line(struct obs_slice *text)
{
	const char *nl = memchr(text->p, '\n', text->len);
	struct obs_slice line = obs_slice(text->p, nl ? (size_t)(nl - text->p) : text->len);
	size_t used = line.len + (nl ? 1 : 0);

	*text = obs_slice(text->p + used, text->len - used);
	return line;
}

/* Hierarchies can differ: hybrid hosts keep some processes at the root of one
 * and in the container of another, so the deepest container of all lines wins. */
int obs_cgroup_parse(struct obs_slice text, struct obs_container_ref *ret)
{
	struct obs_container_ref found, best;
	size_t depth, best_depth = 0;

	while (text.len) {
		depth = parse_path(line_path(next_line(&text)), &found);
		if (depth > best_depth) {
			best_depth = depth;
			best = found;
		}
	}
	if (!best_depth)
		return -ENOENT;

	*ret = best;
	return 0;
}
