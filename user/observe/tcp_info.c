// SPDX-License-Identifier: BSD-2-Clause
/* tcp_info.c - see tcp_info.h. */
#include "observe/tcp_info.h"

#include <stdint.h>
#include <string.h>

#include <linux/tcp.h>

#include "model/peers.h"

/* Who dialled, of a connection that stands: the kernel counts the SYN that was acknowledged among
 * bytes_acked, and not among bytes_sent. What is under way is what waits and has been sent. */
static enum obs_direction direction_in(const struct tcp_info *info, const struct obs_conn_facts *f)
{
	uint64_t under_way = info->tcpi_unacked ? f->send_queue - info->tcpi_notsent_bytes : 0;
	uint64_t sent_once = info->tcpi_bytes_sent - info->tcpi_bytes_retrans;
	uint64_t syns = info->tcpi_bytes_acked + under_way - sent_once;

	if (f->state != OBS_TCP_STATE_ESTABLISHED && f->state != OBS_TCP_STATE_CLOSE_WAIT)
		return OBS_DIRECTION_UNKNOWN;
	return syns == 0 ? OBS_DIRECTION_IN : syns == 1 ? OBS_DIRECTION_OUT : OBS_DIRECTION_UNKNOWN;
}

void obs_tcp_info_take(const void *data, size_t len, struct obs_conn_facts *ret)
{
	struct tcp_info info = { 0 };

	memcpy(&info, data, len < sizeof(info) ? len : sizeof(info));
	ret->bytes_sent = info.tcpi_bytes_sent;
	ret->bytes_acked = info.tcpi_bytes_acked;
	ret->bytes_received = info.tcpi_bytes_received;
	ret->delivery_rate = info.tcpi_delivery_rate;
	ret->srtt_us = info.tcpi_rtt;
	ret->rttvar_us = info.tcpi_rttvar;
	ret->min_rtt_us = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt;
	ret->retransmits = info.tcpi_total_retrans;
	ret->cwnd = info.tcpi_snd_cwnd;
	ret->unacked_bytes = ret->send_queue > info.tcpi_notsent_bytes
				     ? ret->send_queue - info.tcpi_notsent_bytes
				     : 0;
	if (len >= offsetof(struct tcp_info, tcpi_dsack_dups)) /* has bytes_retrans, from 4.19 on */
		ret->direction = direction_in(&info, ret);
}
