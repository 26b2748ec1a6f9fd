/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * inet.bpf.h - numbers of include/uapi/linux/{socket,in}.h and include/net/tcp_states.h, which the
 * kernel's type information does not have.
 */
#pragma once

#define AF_INET	    2
#define AF_INET6    10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};
