// SPDX-License-Identifier: BSD-2-Clause
/* decode.c - see decode.h. One row per record type. */
#include "observe/decode.h"

#include <errno.h>

#include "util/cleanup.h"

static size_t write_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_write *)hdr)->payload;
}

static size_t file_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_file *)hdr)->path_len;
}

static size_t exec_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_exec *)hdr)->args_len;
}

static size_t p2pd_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_p2pd *)hdr)->payload;
}

static size_t cgroup_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_cgroup *)hdr)->path_len;
}

static size_t packet_tail(const struct obs_rec_hdr *hdr)
{
	return ((const struct obs_rec_packet *)hdr)->payload;
}

static const struct {
	size_t fixed;				       /* bytes before the tail */
	size_t max_tail;			       /* what tail() may say */
	size_t reserved;			       /* bytes of the tail that are always there */
	size_t (*tail)(const struct obs_rec_hdr *hdr); /* NULL = none */
} shapes[OBS_REC_MAX] = {
	[OBS_REC_WRITE] = { sizeof(struct obs_rec_write), OBS_PAYLOAD_MAX, 0, write_tail },
	[OBS_REC_FILE] = { offsetof(struct obs_rec_file, path), OBS_PATH_LEN, OBS_PATH_LEN,
			   file_tail },
	[OBS_REC_EXEC] = { offsetof(struct obs_rec_exec, args), OBS_ARGS_LEN, OBS_ARGS_LEN,
			   exec_tail },
	[OBS_REC_FORK] = { sizeof(struct obs_rec_fork), 0, 0, NULL },
	[OBS_REC_EXIT] = { sizeof(struct obs_rec_exit), 0, 0, NULL },
	[OBS_REC_EXIT_USAGE] = { sizeof(struct obs_rec_exit_usage), 0, 0, NULL },
	[OBS_REC_P2PD] = { sizeof(struct obs_rec_p2pd), OBS_P2PD_PAYLOAD_MAX, 0, p2pd_tail },
	[OBS_REC_CGROUP] = { offsetof(struct obs_rec_cgroup, path), OBS_CGROUP_LEN, OBS_CGROUP_LEN,
			     cgroup_tail },
	[OBS_REC_DEATH] = { sizeof(struct obs_rec_death), 0, 0, NULL },
	[OBS_REC_PACKET] = { sizeof(struct obs_rec_packet), OBS_PACKET_MAX, 0, packet_tail },
	[OBS_REC_SIGNAL] = { sizeof(struct obs_rec_signal), 0, 0, NULL },
	[OBS_REC_TCP] = { sizeof(struct obs_rec_tcp), 0, 0, NULL },
};

int obs_decode(const void *data, size_t len, struct obs_record *ret)
{
	const struct obs_rec_hdr *hdr = data;
	size_t tail = 0;

	if (len < sizeof(*hdr) || hdr->size > len)
		return -EMSGSIZE;
	if (hdr->version != OBS_WIRE_VERSION)
		return -EPROTO;
	if (hdr->type >= OBS_REC_MAX || !shapes[hdr->type].fixed)
		return -ENOTSUP;
	if (hdr->size < shapes[hdr->type].fixed + shapes[hdr->type].reserved)
		return -EMSGSIZE;

	if (shapes[hdr->type].tail)
		tail = shapes[hdr->type].tail(hdr);
	if (tail > shapes[hdr->type].max_tail || tail > hdr->size - shapes[hdr->type].fixed)
		return -EMSGSIZE;

	*ret = (struct obs_record){
		.hdr = hdr,
		.write = data,
		.tail = obs_slice((const char *)data + shapes[hdr->type].fixed, tail),
	};
	return 0;
}
