// SPDX-License-Identifier: BSD-2-Clause
/*
 * p2pd.c - what nodes say to their p2pd: as the running daemon counts it, a table; or a saved talk,
 * decoded once more: its events, then a summary, as JSON lines.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collect/p2pd.h"
#include "collect/p2pd_file.h"
#include "command/ask.h"
#include "command/units.h"
#include "pipeline/p2pd_events.h"
#include "util/buf.h"
#include "util/cleanup.h"

extern const struct obs_command obs_command_p2pd;

static const struct obs_option options[] = {
	{ 'n', "node-id", "NAME", "with FILE: node_id of the events (default: replay)" },
	{ 'c', "config", "FILE", "the daemon's config: where it listens (server.listen)" },
	{ 'u', "url", "URL", "ask this address instead, such as http://127.0.0.1:8080" },
	{ 'j', "json", NULL, "print the answer as it comes" },
	{ 'p', "peers", NULL, "the same for each peer, too" },
	{ 'k', "keys", NULL, "the DHT's keys that were used most, too" },
	{ 0 },
};

struct decode {
	const char *node_id;
	struct obs_buf line;
	uint64_t n_events;
	uint64_t wall_ns; /* of the last write */
};

static void print(struct decode *d, struct obs_event *ev)
{
	ev->id = obs_event_id_other(obs_slice_str(d->node_id), 0, 0, ev->wall_ns, d->n_events++);
	obs_buf_reset(&d->line);
	if (obs_event_format(ev, obs_slice_str(d->node_id), &d->line) == 0)
		printf("%s\n", obs_buf_cstr(&d->line));
}

static void on_failed(void *ctx, const struct obs_p2pd_failure *f)
{
	struct obs_event ev = {};

	obs_p2pd_failed_event(f, 0, &ev);
	print(ctx, &ev);
}

static void on_sync(void *ctx, const struct obs_swarm_sync *s)
{
	struct obs_event ev = {};

	obs_p2pd_sync_event(s, &ev);
	print(ctx, &ev);
}

static const struct obs_p2pd_ops ops = { .failed = on_failed, .sync = on_sync };

static int read_writes(FILE *f, struct obs_p2pd *p, struct decode *d)
{
	char data[OBS_P2PD_FILE_DATA];
	struct obs_p2pd_write w;
	int r;

	while ((r = obs_p2pd_file_next(f, data, &w)) == 1) {
		obs_p2pd_push(p, &w);
		obs_p2pd_tick(p, w.ns, w.wall_ns);
		d->wall_ns = w.wall_ns;
	}
	return r;
}

static int decode_file(const char *path, struct decode *d)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	static struct obs_p2pd_snapshot s; /* static: large */
	struct obs_p2pd *p = NULL;
	int r = f ? obs_p2pd_file_check(f) : -errno;

	if (r == 0)
		r = obs_p2pd_new(&ops, d, NULL, &p);
	if (r < 0) {
		fprintf(stderr, "gswarm-observer p2pd: %s: %s\n", path,
			r == -EPROTO ? "not a file of p2pd.save_file, or of another version"
				     : strerror(-r));
		return OBS_EXIT_FAIL;
	}
	r = read_writes(f, p, d);
	if (r < 0)
		fprintf(stderr,
			"gswarm-observer p2pd: %s: cut or damaged; what was before follows\n",
			path);
	obs_p2pd_finish(p);
	obs_p2pd_snapshot_event(obs_p2pd_view(p), &s);
	s.ev.wall_ns = d->wall_ns;
	print(d, &s.ev);
	obs_p2pd_free(&p);
	return r < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
}

/* --- what the running daemon says --- */

struct request {
	struct obs_ask ask;
	const char *path; /* NULL: ask the daemon */
	bool json, peers, keys;
};

static void print_rpcs(const cJSON *owner, const char *indent)
{
	char asked[16], answered[16];
	const cJSON *r;

	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(owner, "rpcs"))
	{
		printf("%s%-*s %-4s %8.0f %7.0f %6.0f %8.1f %8.1f %8.1f %10s %10s\n", indent,
		       36 - (int)strlen(indent), obs_ask_text(r, "rpc"),
		       obs_ask_text(r, "direction"), obs_ask_number(r, "calls"),
		       obs_ask_number(r, "failed"), obs_ask_number(r, "in_flight"),
		       obs_ask_number(r, "p50_ms"), obs_ask_number(r, "p99_ms"),
		       obs_ask_number(r, "max_ms"),
		       obs_bytes_text(obs_ask_number(r, "request_bytes"), asked),
		       obs_bytes_text(obs_ask_number(r, "answer_bytes"), answered));
	}
}

static void print_keys(const cJSON *dht)
{
	const cJSON *k, *clock = cJSON_GetObjectItemCaseSensitive(dht, "clock");

	cJSON_ArrayForEach(k, cJSON_GetObjectItemCaseSensitive(dht, "keys"))
		printf("  keys %-31s %-4s %.0f stored, %.0f refused, %.0f found, %.0f not found\n",
		       obs_ask_text(k, "kind"), obs_ask_text(k, "direction"),
		       obs_ask_number(k, "stored"), obs_ask_number(k, "refused"),
		       obs_ask_number(k, "hits"), obs_ask_number(k, "misses"));
	if (clock)
		printf("  clocks of %.0f peers: theirs minus ours %+.3f s\n",
		       obs_ask_number(clock, "peers"), obs_ask_number(clock, "median_offset_s"));
}

/* By its name where that is known, else by its hash. */
static void print_used_keys(const cJSON *dht)
{
	const cJSON *k;

	cJSON_ArrayForEach(k, cJSON_GetObjectItemCaseSensitive(dht, "most_used_keys"))
		printf("  key %-40s %-4s %.0f stored, %.0f refused, %.0f found, %.0f not found\n",
		       *obs_ask_text(k, "name") ? obs_ask_text(k, "name") : obs_ask_text(k, "hash"),
		       obs_ask_text(k, "direction"), obs_ask_number(k, "stored"),
		       obs_ask_number(k, "refused"), obs_ask_number(k, "hits"),
		       obs_ask_number(k, "misses"));
}

static void print_node(const cJSON *node, const struct request *q)
{
	const cJSON *p, *s;

	printf("%s%s%s\n", obs_ask_text(node, "node"), *obs_ask_text(node, "peer_id") ? ": " : "",
	       obs_ask_text(node, "peer_id"));
	printf("  %-34s %-4s %8s %7s %6s %8s %8s %8s %10s %10s\n", "rpc", "way", "calls", "failed",
	       "open", "p50 ms", "p99 ms", "max ms", "requests", "answers");
	print_rpcs(node, "  ");
	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(node, "streams"))
		printf("  stream %-29s %-4s %.0f opened, %.0f ended\n", obs_ask_text(s, "protocol"),
		       obs_ask_text(s, "direction"), obs_ask_number(s, "opened"),
		       obs_ask_number(s, "ended"));
	print_keys(cJSON_GetObjectItemCaseSensitive(node, "dht"));
	if (q->keys)
		print_used_keys(cJSON_GetObjectItemCaseSensitive(node, "dht"));
	cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(node, "peers"))
	{
		if (!q->peers)
			break;
		printf("  %s %s\n", obs_ask_text(p, "peer_id"), obs_ask_text(p, "address"));
		print_rpcs(p, "    ");
	}
}

static int print_table(const struct obs_buf *answer, const struct request *q)
{
	cleanup_cjson cJSON *root = cJSON_ParseWithLength(answer->p, answer->len);
	const cJSON *node, *nodes = cJSON_GetObjectItemCaseSensitive(root, "nodes");

	if (!cJSON_IsArray(nodes)) {
		fputs("gswarm-observer p2pd: the answer is not a list of nodes\n", stderr);
		return OBS_EXIT_FAIL;
	}
	if (cJSON_GetArraySize(nodes) == 0)
		puts("no node has been heard talking to its p2pd");
	cJSON_ArrayForEach(node, nodes) print_node(node, q);
	return OBS_EXIT_OK;
}

static int ask(const struct request *q)
{
	cleanup_buf struct obs_buf answer = {};
	int r = obs_ask(&q->ask, "/api/v1/p2pd", &answer);

	if (r != OBS_EXIT_OK || !q->json)
		return r != OBS_EXIT_OK ? r : print_table(&answer, q);
	fwrite(answer.p, 1, answer.len, stdout);
	return OBS_EXIT_OK;
}

static int apply(const struct obs_option_value *o, struct request *q, struct decode *d)
{
	if (!o->name && q->path) {
		fprintf(stderr, "gswarm-observer p2pd: '%s' is one too many; see --help\n",
			o->value);
		return -EINVAL;
	}
	if (!o->name)
		q->path = o->value;
	d->node_id = o->letter == 'n' ? o->value : d->node_id;
	q->ask.config = o->letter == 'c' ? o->value : q->ask.config;
	q->ask.url = o->letter == 'u' ? o->value : q->ask.url;
	q->json |= o->letter == 'j';
	q->peers |= o->letter == 'p';
	q->keys |= o->letter == 'k';
	return 0;
}

static int run(int argc, char **argv)
{
	struct decode d = { .node_id = "replay" };
	struct request q = { .ask.command = "p2pd" };
	struct obs_option_value o;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_p2pd, argc, argv, &i, &o)) > 0) {
		r = apply(&o, &q, &d);
		if (r < 0)
			break;
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	r = q.path ? decode_file(q.path, &d) : ask(&q);
	obs_buf_free(&d.line);
	return r;
}

const struct obs_command obs_command_p2pd = {
	.name = "p2pd",
	.summary = "what nodes and their p2pd say to each other: RPCs by name and peer, the DHT",
	.arguments = "[FILE]",
	.options = options,
	.details =
		"Without FILE asks the daemon at server.listen for /api/v1/p2pd.\n"
		"FILE was written by 'gswarm-observer trace --save-p2pd FILE' or by p2pd.save_file. It\n"
		"holds who wrote how much when, ids, names and keys, but no data of RPCs. Prints the\n"
		"events that come of it, and a dht_snapshot of all at the end. Needs no privileges.",
	.run = run,
};
