/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_info.h - the kernel's struct tcp_info, apart from the rest since linux/tcp.h and
 * netinet/tcp.h do not go together.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct obs_conn_facts;

/** obs_tcp_info_take() - the counters of a tcp_info, which may be an older, shorter one, and who has
 * dialled, where they tell. @ret: has its state and its queues */
void obs_tcp_info_take(const void *data, size_t len, struct obs_conn_facts *ret);
