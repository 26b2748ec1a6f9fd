/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inspect.h - what a container engine answers, taken apart. Answers are
 * untrusted: everything is bounded and checked. No I/O.
 */
#pragma once

#include "enrich/container.h"
#include "util/slice.h"

#define OBS_INSPECT_MAX_BYTES	(256 * 1024)
#define OBS_INSPECT_MAX_LABELS	64
#define OBS_INSPECT_LABEL_BYTES 1024 /* of "key=value"; longer ones are left out */

struct obs_inspect {
	struct obs_container_info info; /* its labels point into @labels */
	char *labels[OBS_INSPECT_MAX_LABELS];
};

/**
 * obs_inspect_parse() - the body of GET /containers/ID/json.
 * @id:  the container that was asked for
 * @ret: filled on success, free with obs_inspect_free()
 *
 * Return: 0, -EPROTO (not JSON, wrong types, another container), -ENOMEM.
 */
int obs_inspect_parse(struct obs_slice body, const char *id, struct obs_inspect *ret);

/** obs_inspect_free() - release the labels. */
void obs_inspect_free(struct obs_inspect *in);

struct obs_engine_event {
	char id[OBS_CONTAINER_ID_LEN + 1];
	bool destroyed;
	int64_t time_ns; /* the engine's clock; 0 = not given */
};

/**
 * obs_engine_event_parse() - one JSON object of GET /events.
 *
 * Return: 0, -ENOENT (an event that changes nothing here), -EPROTO.
 */
int obs_engine_event_parse(struct obs_slice line, struct obs_engine_event *ret);

/** obs_container_id_ok() - 64 lower-case hex digits? Then it is safe in a URL. */
bool obs_container_id_ok(const char *id);
