/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls.h - the server's name in a TLS ClientHello.
 */
#pragma once

#include "util/slice.h"

#define OBS_TLS_NAME_MAX 254

/**
 * obs_tls_server_name() - the host_name of the server_name extension (RFC 6066).
 * @bytes: the first bytes of a connection, perhaps cut; untrusted
 * @ret:   lower case, NUL-terminated
 *
 * Return: 0, or -EINVAL when there is none in the bytes given; *@ret is then undefined.
 */
int obs_tls_server_name(struct obs_slice bytes, char ret[OBS_TLS_NAME_MAX]);
