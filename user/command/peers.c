// SPDX-License-Identifier: BSD-2-Clause
/*
 * peers.c - with whom the nodes of a running observer are connected, asked over its HTTP server.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/ask.h"
#include "command/units.h"
#include "util/buf.h"
#include "util/cleanup.h"

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings of the observer, for its address" },
	{ 0, "url", "URL", "the observer's address, http://HOST:PORT" },
	{ 0, "json", NULL, "everything, as the observer says it" },
	{ 0, "all", NULL, "peers that are not connected now, too" },
	{ 0 },
};

struct request {
	struct obs_ask ask;
	bool json, all;
};

static int apply(const struct obs_option_value *o, struct request *q)
{
	if (!o->name) {
		fprintf(stderr, "gswarm-observer peers: '%s' is one too many; see --help\n",
			o->value);
		return -EINVAL;
	}
	if (!strcmp(o->name, "config"))
		q->ask.config = o->value;
	else if (!strcmp(o->name, "url"))
		q->ask.url = o->value;
	else if (!strcmp(o->name, "json"))
		q->json = true;
	else
		q->all = true;
	return 0;
}

/* --- the table --- */

static const char *rtt_text(double us, char out[16])
{
	if (us > 0)
		snprintf(out, 16, "%.1f ms", us / 1000);
	else
		snprintf(out, 16, "-");
	return out;
}

static void print_peer(const cJSON *p)
{
	char sent[16], received[16], rtt[16];
	const char *who =
		*obs_ask_text(p, "name") ? obs_ask_text(p, "name") : obs_ask_text(p, "peer_id");

	printf("  %-28s %-12s %4.0f %6.0f %6.0f %6.0f %9s %9s %10s  %s%s%s\n",
	       obs_ask_text(p, "address"), obs_ask_text(p, "role"), obs_ask_number(p, "open"),
	       obs_ask_number(p, "in"), obs_ask_number(p, "out"), obs_ask_number(p, "failed"),
	       rtt_text(obs_ask_number(p, "rtt_us"), rtt),
	       obs_bytes_text(obs_ask_number(p, "bytes_sent"), sent),
	       obs_bytes_text(obs_ask_number(p, "bytes_received"), received), who,
	       *who && *obs_ask_text(p, "last_error") ? ", " : "", obs_ask_text(p, "last_error"));
}

/* "0.0.0.0:38331 -> [::]:4001": who is outside knows the host's port only. */
static void where_it_listens(const cJSON *l, char *out, size_t size)
{
	const cJSON *published = cJSON_GetObjectItemCaseSensitive(l, "published");
	const char *host = cJSON_GetStringValue(cJSON_GetArrayItem(published, 0));

	if (host)
		snprintf(out, size, "%s -> %s", host, obs_ask_text(l, "local"));
	else
		snprintf(out, size, "%s%s", obs_ask_text(l, "local"),
			 published ? " (not published)" : "");
}

static void print_listener(const cJSON *l)
{
	char where[160];

	where_it_listens(l, where, sizeof(where));
	printf("  %-28s %s, ", where, obs_ask_text(l, "process"));
	if (obs_ask_number(l, "from_outside") > 0)
		printf("reached from outside, last at %s\n", obs_ask_text(l, "last_from_outside"));
	else if (obs_ask_number(l, "from_gateway") > 0)
		puts("reached from its host, or by its engine's proxy, only");
	else
		puts("never reached from outside");
}

static void print_udp_socket(const cJSON *s)
{
	const char *remote = obs_ask_text(s, "remote");

	printf("  %-28s %s, UDP, %s%s\n", obs_ask_text(s, "local"), obs_ask_text(s, "process"),
	       *remote ? "connected with " : "whoever sends to it is unseen here", remote);
}

static void print_quic(const cJSON *f)
{
	const char *process = obs_ask_text(f, "process");

	if (!*obs_ask_text(f, "quic_version"))
		return;
	printf("  %-28s %s, QUIC %s from port %.0f, %s, last packet at %s\n",
	       obs_ask_text(f, "remote"), *process ? process : "unknown",
	       obs_ask_text(f, "quic_version"), obs_ask_number(f, "local_port"),
	       cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(f, "handshake_seen"))
		       ? "handshake seen"
		       : "no handshake seen",
	       obs_ask_text(f, "last_seen"));
}

static void print_node(const cJSON *node, bool all)
{
	const cJSON *p, *totals = cJSON_GetObjectItemCaseSensitive(node, "totals");

	printf("%s: %d connections, %.0f opened to it, %.0f by it, %.0f failed\n",
	       obs_ask_text(node, "node"),
	       cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(node, "connections")),
	       obs_ask_number(totals, "in"), obs_ask_number(totals, "out"),
	       obs_ask_number(totals, "failed"));
	printf("  %-28s %-12s %4s %6s %6s %6s %9s %9s %10s\n", "peer", "role", "open", "in", "out",
	       "failed", "rtt", "sent", "received");
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "peers"))
	{
		if (all || obs_ask_number(p, "open") > 0)
			print_peer(p);
	}
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "listening"))
		print_listener(p);
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "udp_sockets"))
		print_udp_socket(p);
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "udp")) print_quic(p);
}

static int print_table(struct obs_buf *answer, bool all)
{
	cleanup_cjson cJSON *root = obs_ask_parse(answer);
	const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(root, "nodes"), *node;

	if (!cJSON_IsArray(nodes)) {
		fputs("gswarm-observer peers: what answers there is no observer\n", stderr);
		return -EBADMSG;
	}
	if (!cJSON_GetArraySize(nodes))
		puts("no node is being watched");
	cJSON_ArrayForEach(node, nodes) print_node(node, all);
	return 0;
}

static int run(int argc, char **argv)
{
	cleanup_buf struct obs_buf answer = {};
	struct obs_option_value o;
	struct request q = { .ask.command = "peers" };
	int index = 1, r;

	while ((r = obs_command_next(&obs_command_peers, argc, argv, &index, &o)) > 0) {
		r = apply(&o, &q);
		if (r < 0)
			break;
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	r = obs_ask(&q.ask, "/api/v1/peers", &answer);
	if (r != OBS_EXIT_OK)
		return r;
	if (!q.json)
		return print_table(&answer, q.all) < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
	fwrite(answer.p, 1, answer.len, stdout);
	return OBS_EXIT_OK;
}

const struct obs_command obs_command_peers = {
	.name = "peers",
	.summary = "with whom nodes are connected now, and who has reached them",
	.arguments = "",
	.options = options,
	.details =
		"Asks the running observer (GET /api/v1/peers). Whoever dials a node from a port of the\n"
		"moment is one peer per address. A port that nobody outside has reached may be behind\n"
		"a NAT or a firewall. Of a container's port the host's comes first, where its engine\n"
		"publishes it; whoever comes by the engine's proxy is nobody from outside.",
	.run = run,
};
