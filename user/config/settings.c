// SPDX-License-Identifier: BSD-2-Clause
/* settings.c - the life of a struct obs_config: defaults, reading by name, the end. */
#include "config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

static void *slot(const struct obs_config *c, const struct obs_key *key)
{
	struct obs_config_extra *extra = c->extra;

	if (key->offset >= 0)
		return (char *)(uintptr_t)c + key->offset;
	return &extra->values[obs_key_index(key)];
}

/* By copy: a field of struct obs_config is not aligned like the union. */
union obs_value obs_key_get(const struct obs_config *c, const struct obs_key *key)
{
	union obs_value v = { 0 };

	key = obs_key_target(key);
	memcpy(&v, slot(c, key), obs_key_size(key));
	return v;
}

void obs_key_set(struct obs_config *c, const struct obs_key *key, union obs_value value)
{
	union obs_value old = obs_key_get(c, key);

	key = obs_key_target(key);
	obs_key_value_free(key, &old);
	memcpy(slot(c, key), &value, obs_key_size(key));
}

struct obs_origin *obs_key_origin(const struct obs_config *c, const struct obs_key *key)
{
	struct obs_config_extra *extra = c->extra;

	return &extra->origins[obs_key_index(obs_key_target(key))];
}

static int set_default(struct obs_config *c, const struct obs_key *key)
{
	cleanup_free char *computed = NULL;
	union obs_value v;
	int r = 0;

	if (key->alias || obs_key_is_list(key))
		return 0;
	if (key->compute_def)
		r = key->compute_def(&computed);
	if (r == 0)
		r = obs_key_parse(key, computed ? computed : key->def, &v);
	if (r == 0)
		obs_key_set(c, key, v);
	return r;
}

static int new_extra(struct obs_config *c)
{
	struct obs_config_extra *extra = calloc(1, sizeof(*extra));

	if (!extra)
		return -ENOMEM;
	c->extra = extra;
	extra->values = calloc(obs_keys_n, sizeof(*extra->values));
	extra->origins = calloc(obs_keys_n, sizeof(*extra->origins));
	return extra->values && extra->origins ? 0 : -ENOMEM;
}

int obs_config_new(struct obs_config **ret)
{
	cleanup_config struct obs_config *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = new_extra(c);
	for (size_t i = 0; i < obs_keys_n && r == 0; i++)
		r = set_default(c, &obs_keys[i]);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

int obs_config_default(struct obs_config **ret)
{
	cleanup_buf struct obs_buf messages = { 0 };

	return obs_config_load(NULL, &messages, ret);
}

static void free_extra(struct obs_config_extra *extra)
{
	free(extra->values);
	free(extra->origins);
	free(extra);
}

static bool extra_is_whole(const struct obs_config_extra *extra)
{
	return extra && extra->values && extra->origins;
}

void obs_config_free(struct obs_config **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < obs_keys_n && extra_is_whole((*c)->extra); i++) {
		if (!obs_keys[i].alias)
			obs_key_set(*c, &obs_keys[i], (union obs_value){ 0 });
	}
	if ((*c)->extra)
		free_extra((*c)->extra);
	free(*c);
	*c = NULL;
}

const char *obs_config_find(const char *arg)
{
	static const char *const places[] = {
		"configs/config.yaml",
		"/etc/gswarm-observer/config.yaml",
	};
	const char *env = getenv("CONFIG_PATH");

	if (arg)
		return arg;
	if (env && *env)
		return env;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (access(places[i], F_OK) == 0)
			return places[i];
	}
	return NULL;
}

const char *obs_config_text(const struct obs_config *c, const char *path)
{
	const struct obs_key *key = obs_key_find(path);

	if (!key || !obs_key_is_text(obs_key_target(key)))
		return "";
	return obs_key_get(c, key).text;
}

double obs_config_number(const struct obs_config *c, const char *path)
{
	const struct obs_key *key = obs_key_find(path);
	union obs_value v;

	if (!key)
		return 0;
	v = obs_key_get(c, key);
	switch (obs_key_target(key)->type) {
	case OBS_KEY_BOOL:
		return v.flag;
	case OBS_KEY_INT:
		return (double)v.integer;
	case OBS_KEY_COUNT:
	case OBS_KEY_SIZE:
		return (double)v.count;
	case OBS_KEY_SECONDS:
		return v.seconds;
	default:
		return 0;
	}
}

struct obs_strv obs_config_list(const struct obs_config *c, const char *path)
{
	const struct obs_key *key = obs_key_find(path);

	if (!key || !obs_key_is_list(obs_key_target(key)))
		return (struct obs_strv){ NULL };
	return obs_key_get(c, key).list;
}

bool obs_config_is_set(const struct obs_config *c, const char *path)
{
	const struct obs_key *key = obs_key_find(path);

	return key && obs_key_origin(c, key)->kind != OBS_FROM_DEFAULT;
}
