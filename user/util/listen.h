/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.h - an address to listen on, as people write it: "127.0.0.1:8080",
 * "[::1]:8080", ":8080" (every address), "localhost:8080".
 */
#pragma once

#include <stdint.h>

#define OBS_LISTEN_HOST_MAX 254

struct obs_listen {
	char host[OBS_LISTEN_HOST_MAX]; /* without brackets; "" = every address */
	uint16_t port;			/* 0 = any free one */
};

/**
 * obs_listen_parse() - take an address apart. Names are not resolved.
 *
 * Return: 0, or -EINVAL with *@ret untouched.
 */
int obs_listen_parse(const char *text, struct obs_listen *ret);
