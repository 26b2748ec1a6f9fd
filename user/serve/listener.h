/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listener.h - a listening TCP socket, and who has the port when it is taken.
 * Part of serve/ only.
 */
#pragma once

#include "util/buf.h"

#define OBS_ADDRESS_MAX 64 /* "[…]:65535" with its NUL */

/**
 * obs_listener_open() - bind and listen on @address.
 * @name: gets the numeric address with the real port, OBS_ADDRESS_MAX bytes
 * @err:  on failure, gets one line
 *
 * Return: the socket (non-blocking, close-on-exec), -EINVAL, -EADDRINUSE or a negative errno.
 */
int obs_listener_open(const char *address, char *name, struct obs_buf *err);
