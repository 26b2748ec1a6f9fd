// SPDX-License-Identifier: BSD-2-Clause
/*
 * parts.c - see part.h. The table of parts, and what hands each call to all of them.
 */
#include "pipeline/part.h"

#include <errno.h>
#include <stdlib.h>

#include "model/roles.h"
#include "util/cleanup.h"

/* In the order in which they hear of things. A new part: its declaration and its row. */
extern const struct obs_part_ops obs_part_aggregate;
extern const struct obs_part_ops obs_part_connections;
extern const struct obs_part_ops obs_part_life;
extern const struct obs_part_ops obs_part_state;
extern const struct obs_part_ops obs_part_p2pd;
extern const struct obs_part_ops obs_part_conditions;
extern const struct obs_part_ops obs_part_usage;
extern const struct obs_part_ops obs_part_host;
extern const struct obs_part_ops obs_part_chain;

static const struct obs_part_ops *const table[] = {
	/* clang-format off */
	&obs_part_usage,
	&obs_part_host,
	&obs_part_life,
	&obs_part_state,
	&obs_part_connections,
	&obs_part_p2pd,
	&obs_part_conditions,
	&obs_part_chain,
	&obs_part_aggregate,
	NULL, /* the end */
	/* clang-format on */
};

struct obs_parts {
	struct obs_part_env env;      /* its roles are owned */
	void *part[ARRAY_LEN(table)]; /* NULL: has nothing to do here */
};

int obs_parts_open(const struct obs_part_env *env, struct obs_parts **ret)
{
	struct obs_parts *parts = calloc(1, sizeof(*parts));
	int r;

	if (!parts)
		return -ENOMEM;
	parts->env = *env;
	r = obs_roles_new(OBS_ROLES_MAX, env->counters, &parts->env.roles);
	for (size_t i = 0; table[i] && r == 0; i++)
		r = table[i]->start(&parts->env, &parts->part[i]);
	if (r < 0)
		obs_parts_free(&parts);
	else
		*ret = parts;
	return r;
}

void obs_parts_free(struct obs_parts **partsp)
{
	struct obs_parts *parts = *partsp;

	if (!parts)
		return;
	for (size_t i = 0; table[i]; i++) {
		if (parts->part[i])
			table[i]->free(&parts->part[i]);
	}
	obs_roles_free(&parts->env.roles);
	free(parts);
	*partsp = NULL;
}

void obs_parts_load(struct obs_parts *parts)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->load)
			table[i]->load(parts->part[i]);
	}
}

void obs_parts_record(struct obs_parts *parts, struct obs_node *node, const struct obs_record *rec)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->record)
			table[i]->record(parts->part[i], node, rec);
	}
}

void obs_parts_event(struct obs_parts *parts, const struct obs_node *node,
		     const struct obs_event *ev)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->event)
			table[i]->event(parts->part[i], node, ev);
	}
}

void obs_parts_ready(struct obs_parts *parts, struct obs_node *node)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->ready)
			table[i]->ready(parts->part[i], node);
	}
}

void obs_parts_joined(struct obs_parts *parts, struct obs_node *node, pid_t pid)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->joined)
			table[i]->joined(parts->part[i], node, pid);
	}
}

void obs_parts_left(struct obs_parts *parts, struct obs_node *node, pid_t pid)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->left)
			table[i]->left(parts->part[i], node, pid);
	}
}

void obs_parts_gone(struct obs_parts *parts, struct obs_node *node)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->gone)
			table[i]->gone(parts->part[i], node);
	}
}

void obs_parts_changed(struct obs_parts *parts, struct obs_node *node)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->changed)
			table[i]->changed(parts->part[i], node);
	}
}

void obs_parts_tick(struct obs_parts *parts)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->tick)
			table[i]->tick(parts->part[i]);
	}
}

void obs_parts_refresh(struct obs_parts *parts)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->refresh)
			table[i]->refresh(parts->part[i]);
	}
}

struct obs_flows *obs_parts_flows(struct obs_parts *parts)
{
	struct obs_flows *flows = NULL;

	for (size_t i = 0; parts && table[i] && !flows; i++) {
		if (parts->part[i] && table[i]->flows)
			flows = table[i]->flows(parts->part[i]);
	}
	return flows;
}

struct obs_connections *obs_parts_connections(struct obs_parts *parts)
{
	struct obs_connections *connections = NULL;

	for (size_t i = 0; parts && table[i] && !connections; i++) {
		if (parts->part[i] && table[i]->connections)
			connections = table[i]->connections(parts->part[i]);
	}
	return connections;
}

void obs_part_state_name(const char *part, const struct obs_node *node, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", part, *node->ref.id ? node->ref.id : node->title);
}

void obs_parts_stop(struct obs_parts *parts)
{
	for (size_t i = 0; parts && table[i]; i++) {
		if (parts->part[i] && table[i]->stop)
			table[i]->stop(parts->part[i]);
	}
}
