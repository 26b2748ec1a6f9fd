/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - use, as the details of an event (docs/events.md).
 */
#pragma once

#include "model/usage.h"
#include "pipeline/event.h"

#define OBS_REPORT_BUFFERS 8

/* Memory for one event's nested JSON: valid until the next report. */
struct obs_report {
	struct obs_buf json[OBS_REPORT_BUFFERS];
	unsigned used;
	struct obs_buf message;
};

void obs_report_free(struct obs_report *r);

/**
 * obs_report_node() - fill @ev with what a node uses: container_snapshot.
 * @roles: names by number; those without processes are left out
 */
void obs_report_node(struct obs_report *r, const struct obs_node_usage *u, const char *const *roles,
		     size_t n_roles, struct obs_event *ev);

/** obs_report_host() - fill @ev with what the host uses: hardware_snapshot. */
void obs_report_host(struct obs_report *r, const struct obs_host_usage *u, struct obs_event *ev);
