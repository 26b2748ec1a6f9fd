// SPDX-License-Identifier: BSD-2-Clause
/* tcp_info.c - see tcp_info.h. */
#include "observe/tcp_info.h"

#include <stdint.h>
#include <string.h>

#include <linux/tcp.h>

#include "model/peers.h"

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
	ret->unacked_bytes = info.tcpi_unacked * info.tcpi_snd_mss;
}
