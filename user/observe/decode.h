/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode.h - raw ring bytes to a checked record.
 */
#pragma once

#include <stddef.h>

#include "obs/wire.h"
#include "util/slice.h"

struct obs_record {
	const struct obs_rec_hdr *hdr; /* borrowed from the ring; all pointers are */
	union {
		const struct obs_rec_write *write;
		const struct obs_rec_file *file;
		const struct obs_rec_exec *exec;
		const struct obs_rec_fork *fork;
		const struct obs_rec_exit *exit;
		const struct obs_rec_cgroup *cgroup;
		const struct obs_rec_p2pd *p2pd;
		const struct obs_rec_death *death;
		const struct obs_rec_exit_usage *exit_usage;
		const struct obs_rec_tcp *tcp;
		const struct obs_rec_packet *packet;
		const struct obs_rec_signal *signal;
	};
	struct obs_slice tail; /* write: payload; file: names; exec: arguments; cgroup: path */
};

/**
 * obs_decode() - check one record.
 * @len: what the ring delivered; may be more than the record says, never less
 * @ret: written only on success
 *
 * Return: 0, -EMSGSIZE (a length lies), -EPROTO (another version's), -ENOTSUP (unknown type).
 */
int obs_decode(const void *data, size_t len, struct obs_record *ret);
