/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * failure.h - in which way a connect failed, or a connection broke: bpf/ counts by it, user space
 * calls it by name.
 */
#pragma once

#include <asm-generic/errno.h>

enum obs_failure {
	OBS_FAILURE_REFUSED = 0,
	OBS_FAILURE_TIMED_OUT = 1,
	OBS_FAILURE_UNREACHABLE = 2,
	OBS_FAILURE_RESET = 3,
	OBS_FAILURE_OTHER = 4,
	OBS_FAILURES,
};

/** obs_failure_of() - @err: a positive errno, or 0, which is OBS_FAILURE_OTHER. */
static inline enum obs_failure obs_failure_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return OBS_FAILURE_REFUSED;
	case ETIMEDOUT:
		return OBS_FAILURE_TIMED_OUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EACCES: /* an ICMP "prohibited", or a route that is */
	case ENOPROTOOPT:
		return OBS_FAILURE_UNREACHABLE;
	case ECONNRESET:
	case EPIPE:
		return OBS_FAILURE_RESET;
	default:
		return OBS_FAILURE_OTHER;
	}
}
