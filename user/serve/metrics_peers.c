// SPDX-License-Identifier: BSD-2-Clause
/* metrics_peers.c - /metrics of nodes' connections: a row says where a number stands. */
#include <stddef.h>
#include <stdio.h>

#include "model/peers.h"
#include "serve/metric.h"
#include "util/cleanup.h"

/* The numbers of one node in one place. */
struct shown {
	uint64_t open, known, flows, outside, other_failures;
	struct obs_conn_totals totals;
};

#define AT(member)    offsetof(struct shown, member)
#define TOTAL(member) offsetof(struct shown, totals.member)

static const struct row {
	const char *name, *type, *help;
	const char *label, *value; /* one more label; NULL = none */
	size_t offset;
} rows[] = {
	/* clang-format off */
	{ "gswarm_node_connections", "gauge", "Open TCP connections of the node", NULL, NULL, AT(open) },
	{ "gswarm_node_connections_opened_total", "counter", "TCP connections established", "direction", "in", TOTAL(in) },
	{ "gswarm_node_connections_opened_total", "counter", "TCP connections established", "direction", "out", TOTAL(out) },
	{ "gswarm_node_connections_opened_total", "counter", "TCP connections established", "direction", "unknown", TOTAL(unknown) },
	{ "gswarm_node_connections_closed_total", "counter", "TCP connections that ended", NULL, NULL, TOTAL(closed) },
	{ "gswarm_node_connections_broken_total", "counter", "TCP connections that ended by a reset or a timeout", NULL, NULL, TOTAL(broken) },
	{ "gswarm_node_connects_failed_total", "counter", "TCP connects that led nowhere", "error", "refused", TOTAL(refused) },
	{ "gswarm_node_connects_failed_total", "counter", "TCP connects that led nowhere", "error", "timeout", TOTAL(timed_out) },
	{ "gswarm_node_connects_failed_total", "counter", "TCP connects that led nowhere", "error", "unreachable", TOTAL(unreachable) },
	{ "gswarm_node_connects_failed_total", "counter", "TCP connects that led nowhere", "error", "reset", TOTAL(reset) },
	{ "gswarm_node_connects_failed_total", "counter", "TCP connects that led nowhere", "error", "other", AT(other_failures) },
	{ "gswarm_node_peers", "gauge", "Peers remembered", NULL, NULL, AT(known) },
	{ "gswarm_node_peers_evicted_total", "counter", "Peers forgotten because of limits.peers", NULL, NULL, TOTAL(peers_evicted) },
	{ "gswarm_node_connections_not_kept_total", "counter", "TCP connections only counted because of limits.connections", NULL, NULL, TOTAL(not_kept) },
	{ "gswarm_node_sent_bytes_total", "counter", "Bytes sent over TCP, with those sent again", NULL, NULL, TOTAL(bytes_sent) },
	{ "gswarm_node_received_bytes_total", "counter", "Bytes received over TCP", NULL, NULL, TOTAL(bytes_received) },
	{ "gswarm_node_retransmits_total", "counter", "TCP segments sent again", NULL, NULL, TOTAL(retransmits) },
	{ "gswarm_node_udp_flows", "gauge", "UDP flows of the node that are not idle", NULL, NULL, AT(flows) },
	{ "gswarm_node_udp_packets_total", "counter", "UDP packets", "direction", "sent", TOTAL(udp_packets_out) },
	{ "gswarm_node_udp_packets_total", "counter", "UDP packets", "direction", "received", TOTAL(udp_packets_in) },
	{ "gswarm_node_udp_bytes_total", "counter", "Bytes over UDP, with IP headers", "direction", "sent", TOTAL(udp_bytes_out) },
	{ "gswarm_node_udp_bytes_total", "counter", "Bytes over UDP, with IP headers", "direction", "received", TOTAL(udp_bytes_in) },
	{ "gswarm_node_reached_from_outside", "gauge", "1 when anybody outside has connected since the node was found", NULL, NULL, AT(outside) },
	/* clang-format on */
};

static struct shown numbers_of(const struct obs_peers *p)
{
	const struct obs_conn_totals *t = &p->totals;

	return (struct shown){
		.open = HASH_COUNT(p->conns),
		.known = HASH_COUNT(p->peers),
		.flows = HASH_COUNT(p->flows),
		.outside = p->outside_ns != 0,
		.other_failures = t->failed - t->refused - t->timed_out - t->unreachable - t->reset,
		.totals = *t,
	};
}

static void put(struct obs_buf *out, const struct row *row, const struct obs_node_peers *v)
{
	struct shown shown = numbers_of(v->peers);
	char slot[16];
	const struct obs_metric_label l[] = { { "node", v->name },
					      { "container_id", v->container_id },
					      { "slot", slot },
					      { row->label, row->value } };

	snprintf(slot, sizeof(slot), "%u", v->slot);
	obs_metric_line_count(out, row->name, l, row->label ? 4 : 3,
			      *(const uint64_t *)((const char *)&shown + row->offset));
}

void obs_metrics_peers_format(const struct obs_model *m, struct obs_buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows) && m->n_node_peers; i++) {
		if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
			obs_metric_head(out, rows[i].name, rows[i].type, rows[i].help);
		for (size_t n = 0; n < m->n_node_peers; n++)
			put(out, &rows[i], &m->node_peers[n]);
	}
}
