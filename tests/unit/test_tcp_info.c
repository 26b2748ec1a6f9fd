// SPDX-License-Identifier: BSD-2-Clause
/* Who dialled, as a tcp_info tells; one that an older kernel made, and numbers that make no sense. */
#include <stddef.h>
#include <string.h>

#include <linux/tcp.h>

#include "check.h"
#include "model/peers.h"
#include "observe/tcp_info.h"

#define ALL sizeof(struct tcp_info)

static const struct {
	const char *what;
	struct tcp_info info;
	uint32_t send_queue;
	uint8_t state;
	size_t len;
	enum obs_direction want;
} rows[] = {
	{ "dialled, quiet",
	  { .tcpi_bytes_acked = 1 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_OUT },
	{ "accepted, quiet",
	  { .tcpi_bytes_acked = 0 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_IN },
	{ "dialled, some was sent again",
	  { .tcpi_bytes_acked = 1001, .tcpi_bytes_sent = 1300, .tcpi_bytes_retrans = 300 },
	  0,
	  OBS_TCP_STATE_CLOSE_WAIT,
	  ALL,
	  OBS_DIRECTION_OUT },
	{ "accepted, some was sent again",
	  { .tcpi_bytes_acked = 1000, .tcpi_bytes_sent = 1300, .tcpi_bytes_retrans = 300 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_IN },
	{ "dialled, 500 under way and 200 not sent",
	  { .tcpi_bytes_acked = 101,
	    .tcpi_bytes_sent = 600,
	    .tcpi_unacked = 1,
	    .tcpi_notsent_bytes = 200 },
	  700,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_OUT },
	{ "accepted, 500 under way",
	  { .tcpi_bytes_acked = 100, .tcpi_bytes_sent = 600, .tcpi_unacked = 1 },
	  500,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_IN },
	{ "its FIN is among what was acknowledged",
	  { .tcpi_bytes_acked = 1 },
	  0,
	  OBS_TCP_STATE_FIN_WAIT2,
	  ALL,
	  OBS_DIRECTION_UNKNOWN },
	{ "no sense in it",
	  { .tcpi_bytes_acked = 7 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_UNKNOWN },
	{ "no sense in what waits",
	  { .tcpi_unacked = 1, .tcpi_notsent_bytes = 9 },
	  3,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL,
	  OBS_DIRECTION_UNKNOWN },
	{ "older than the counters",
	  { .tcpi_bytes_acked = 1 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  offsetof(struct tcp_info, tcpi_bytes_sent),
	  OBS_DIRECTION_UNKNOWN },
	{ "knows not what was sent again",
	  { .tcpi_bytes_acked = 1 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  offsetof(struct tcp_info, tcpi_bytes_retrans),
	  OBS_DIRECTION_UNKNOWN },
	{ "younger than ours",
	  { .tcpi_bytes_acked = 1 },
	  0,
	  OBS_TCP_STATE_ESTABLISHED,
	  ALL + 64,
	  OBS_DIRECTION_OUT },
};

static void test_who_dialled(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct obs_conn_facts f = { .state = rows[i].state,
					    .send_queue = rows[i].send_queue };
		char data[ALL + 64] = "";

		memcpy(data, &rows[i].info, ALL);
		obs_tcp_info_take(data, rows[i].len, &f);
		if (f.direction != rows[i].want)
			fail_msg("%s: %d", rows[i].what, f.direction);
		assert_int_equal(f.bytes_acked,
				 rows[i].len == 0 ? 0 : rows[i].info.tcpi_bytes_acked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_dialled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
