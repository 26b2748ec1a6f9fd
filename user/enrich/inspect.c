// SPDX-License-Identifier: BSD-2-Clause
/*
 * inspect.c - what a container engine answers, taken apart.
 *
 * The engine passes on what the container's owner chose (name, image, labels),
 * and the socket may lead to anything, so no field is believed: wrong types are
 * refused, lengths are limits of ours.
 */
#include "enrich/inspect.h"

#include <arpa/inet.h>
#include <errno.h>

#include <cjson/cJSON.h>

#include "util/cleanup.h"

static const struct {
	const char *action;
	bool destroyed;
} actions
	[] = {
		{ "start", false },	    { "die", false },	  { "rename", false },
		{ "pause", false },	    { "unpause", false }, { "destroy", true },
		{ "health_status", false }, /* "health_status: unhealthy" */
	};

static void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

#define cleanup_json OBS_CLEANUP(json_freep)

bool obs_container_id_ok(const char *id)
{
	return strspn(id, "0123456789abcdef") == OBS_CONTAINER_ID_LEN &&
	       id[OBS_CONTAINER_ID_LEN] == '\0';
}

static const cJSON *get(const cJSON *obj, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static const char *get_str(const cJSON *obj, const char *key)
{
	return cJSON_GetStringValue(get(obj, key));
}

static bool get_true(const cJSON *obj, const char *key)
{
	return cJSON_IsTrue(get(obj, key));
}

/* Copy @s, cut to @size before the start of a UTF-8 sequence. */
static void copy_cut(char *dst, size_t size, const char *s)
{
	size_t len = strlen(s);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(dst, s, len);
	dst[len] = '\0';
}

static int add_label(struct obs_inspect *in, const cJSON *label)
{
	const char *value = cJSON_GetStringValue(label);
	char *text;

	if (!value || !label->string ||
	    strlen(label->string) + 1 + strlen(value) > OBS_INSPECT_LABEL_BYTES)
		return 0;
	if (asprintf(&text, "%s=%s", label->string, value) < 0)
		return -ENOMEM;

	in->labels[in->info.n_labels++] = text;
	return 0;
}

static int add_labels(struct obs_inspect *in, const cJSON *labels)
{
	const cJSON *label;
	int r = 0;

	if (labels && !cJSON_IsNull(labels) && !cJSON_IsObject(labels))
		return -EPROTO;

	cJSON_ArrayForEach(label, labels)
	{
		if (r < 0 || in->info.n_labels == OBS_INSPECT_MAX_LABELS)
			break;
		r = add_label(in, label);
	}
	return r;
}

/* The local driver tells no path, and no driver does before the container has started: the file
 * is beside the hostname and the like that Docker makes for a container, or for the one whose
 * network it shares. */
static void find_log(struct obs_container_info *info, const cJSON *root, const char *id,
		     const char *name)
{
	static const char *const beside[] = { "ResolvConfPath", "HostnamePath", "HostsPath" };
	const char *path = NULL, *end = NULL;
	int n;

	for (size_t i = 0; !end && i < ARRAY_LEN(beside); i++) {
		path = get_str(root, beside[i]);
		end = path && path[0] == '/' ? strstr(path, "/containers/") : NULL;
	}
	if (!end)
		return;
	n = snprintf(info->log_path, sizeof(info->log_path), "%.*s/containers/%s/%s%s",
		     (int)(end - path), path, info->id, id, name);
	if (n < 0 || (size_t)n >= sizeof(info->log_path))
		info->log_path[0] = '\0';
}

static void fill_log(struct obs_container_info *info, const cJSON *root)
{
	const char *path = get_str(root, "LogPath");
	const char *driver = get_str(get(get(root, "HostConfig"), "LogConfig"), "Type");

	info->log_local = driver && strcmp(driver, "local") == 0;
	/* a cut path would be another file's */
	if (path && path[0] == '/' && strlen(path) < sizeof(info->log_path))
		copy_cut(info->log_path, sizeof(info->log_path), path);
	else if (info->log_local)
		find_log(info, root, "", "local-logs/container.log");
	else if (driver && strcmp(driver, "json-file") == 0)
		find_log(info, root, info->id, "-json.log");
}

/* --- its network: what is no address or port is left out --- */

static bool take_ip(const char *text, uint8_t ip[16])
{
	memset(ip, 0, 16);
	if (!text)
		return false;
	if (inet_pton(AF_INET6, text, ip) == 1)
		return true;
	ip[10] = ip[11] = 0xff;
	return inet_pton(AF_INET, text, ip + 12) == 1;
}

static void add_ip(const char *text, uint8_t ips[][16], size_t *n)
{
	if (*n < OBS_NETWORK_IPS_MAX && take_ip(text, ips[*n]))
		(*n)++;
}

static void add_networks(const cJSON *networks, struct obs_network *net)
{
	const cJSON *one;

	cJSON_ArrayForEach(one, networks)
	{
		add_ip(get_str(one, "Gateway"), net->gateways, &net->n_gateways);
		add_ip(get_str(one, "IPv6Gateway"), net->gateways, &net->n_gateways);
		add_ip(get_str(one, "IPAddress"), net->addresses, &net->n_addresses);
		add_ip(get_str(one, "GlobalIPv6Address"), net->addresses, &net->n_addresses);
	}
}

static bool take_port(const char *text, const char *end, uint16_t *ret)
{
	size_t digits = text ? strspn(text, "0123456789") : 0;
	unsigned long port;

	if (digits == 0 || digits > 5 || strncmp(text + digits, end, strlen(end)) != 0)
		return false;
	port = strtoul(text, NULL, 10);
	*ret = (uint16_t)port;
	return port > 0 && port <= UINT16_MAX;
}

/* "38331/tcp": [{"HostIp": "0.0.0.0", "HostPort": "38331"}, …], or null. */
static void add_port(const cJSON *port, struct obs_network *net)
{
	struct obs_published p = {};
	const char *host_ip;
	const cJSON *binding;

	p.udp = port->string && strstr(port->string, "/udp");
	if (!take_port(port->string, p.udp ? "/udp" : "/tcp", &p.port))
		return;
	cJSON_ArrayForEach(binding, port)
	{
		host_ip = get_str(binding, "HostIp");
		if (net->n_published == OBS_PUBLISHED_MAX ||
		    !take_port(get_str(binding, "HostPort"), "", &p.host_port))
			continue;
		if (!host_ip || !*host_ip)
			host_ip = "0.0.0.0";
		if (take_ip(host_ip, p.host_ip))
			net->published[net->n_published++] = p;
	}
}

/* With the host's network, or another container's, nothing is said here of where its ports are. */
static void fill_network(const cJSON *root, struct obs_network *net)
{
	const char *mode = get_str(get(root, "HostConfig"), "NetworkMode");
	const cJSON *settings = get(root, "NetworkSettings"), *port;

	if (!mode || !cJSON_IsObject(settings) || strcmp(mode, "host") == 0 ||
	    strncmp(mode, "container:", strlen("container:")) == 0)
		return;
	net->own = true;
	add_networks(get(settings, "Networks"), net);
	cJSON_ArrayForEach(port, get(settings, "Ports")) add_port(port, net);
}

/* Podman says Running: false of a paused container, Docker says true. */
static int fill_info(struct obs_inspect *in, const cJSON *root, const char *id)
{
	const char *name = get_str(root, "Name"), *real_id = get_str(root, "Id");
	const cJSON *config = get(root, "Config"), *state = get(root, "State");
	const char *image = get_str(config, "Image"), *health;

	if (!name || !image || !cJSON_IsObject(state) || (real_id && strcmp(real_id, id) != 0))
		return -EPROTO;

	copy_cut(in->info.id, sizeof(in->info.id), id);
	copy_cut(in->info.name, sizeof(in->info.name), name[0] == '/' ? name + 1 : name);
	copy_cut(in->info.image, sizeof(in->info.image), image);
	fill_log(&in->info, root);
	in->info.paused = get_true(state, "Paused");
	in->info.running = get_true(state, "Running") || in->info.paused;
	health = get_str(get(state, "Health"), "Status");
	copy_cut(in->info.health, sizeof(in->info.health), health ? health : "");
	fill_network(root, &in->info.network);
	return add_labels(in, get(config, "Labels"));
}

int obs_inspect_parse(struct obs_slice body, const char *id, struct obs_inspect *ret)
{
	cleanup_json cJSON *root = NULL;
	OBS_CLEANUP(obs_inspect_free) struct obs_inspect in = {};
	int r;

	if (!body.len || body.len > OBS_INSPECT_MAX_BYTES)
		return -EPROTO;

	root = cJSON_ParseWithLength(body.p, body.len);
	if (!cJSON_IsObject(root))
		return -EPROTO;

	r = fill_info(&in, root, id);
	if (r < 0)
		return r;

	*ret = in;
	ret->info.labels = ret->labels;
	in.info.n_labels = 0; /* moved */
	return 0;
}

void obs_inspect_free(struct obs_inspect *in)
{
	for (size_t i = 0; i < in->info.n_labels; i++)
		free(in->labels[i]);
	in->info.n_labels = 0;
}

/* A double holds nanoseconds of today to 256 ns: good enough to resume from. */
static int64_t event_time(const cJSON *root)
{
	const cJSON *ns = get(root, "timeNano");

	if (!cJSON_IsNumber(ns) || !(ns->valuedouble > 0 && ns->valuedouble < 9e18))
		return 0;
	return (int64_t)ns->valuedouble;
}

static int fill_event(const cJSON *root, struct obs_engine_event *ret)
{
	const char *type = get_str(root, "Type"), *action = get_str(root, "Action");
	const char *id = get_str(get(root, "Actor"), "ID");

	if (!action || !id || !obs_container_id_ok(id) || (type && strcmp(type, "container") != 0))
		return -EPROTO;

	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strncmp(actions[i].action, action, strcspn(action, ":")) == 0 &&
		    strlen(actions[i].action) == strcspn(action, ":")) {
			*ret = (struct obs_engine_event){ .destroyed = actions[i].destroyed,
							  .time_ns = event_time(root) };
			memcpy(ret->id, id, sizeof(ret->id));
			return 0;
		}
	return -ENOENT;
}

int obs_engine_event_parse(struct obs_slice line, struct obs_engine_event *ret)
{
	cleanup_json cJSON *root = NULL;

	root = line.len ? cJSON_ParseWithLength(line.p, line.len) : NULL;
	return cJSON_IsObject(root) ? fill_event(root, ret) : -EPROTO;
}
