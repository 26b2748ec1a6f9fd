// SPDX-License-Identifier: BSD-2-Clause
/*
 * p2pd.c - a saved talk between nodes and their p2pd, decoded once more: its events, then a
 * summary, as JSON lines.
 */
#include "command/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collect/p2pd.h"
#include "collect/p2pd_file.h"
#include "pipeline/p2pd_events.h"
#include "util/buf.h"
#include "util/cleanup.h"

extern const struct obs_command obs_command_p2pd;

static const struct obs_option options[] = {
	{ 'n', "node-id", "NAME", "node_id of the events (default: replay)" },
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
		obs_p2pd_tick(p, w.ns);
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

static int run(int argc, char **argv)
{
	struct decode d = { .node_id = "replay" };
	struct obs_option_value o;
	const char *path = NULL;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_p2pd, argc, argv, &i, &o)) > 0) {
		if (o.name)
			d.node_id = o.value;
		else if (!path)
			path = o.value;
		else
			path = "";
	}
	if (r < 0 || !path || !*path) {
		if (r == 0)
			fprintf(stderr, "gswarm-observer p2pd: give it one FILE; see --help\n");
		return OBS_EXIT_USAGE;
	}
	r = decode_file(path, &d);
	obs_buf_free(&d.line);
	return r;
}

const struct obs_command obs_command_p2pd = {
	.name = "p2pd",
	.summary = "decode a saved talk between a node and its p2pd",
	.arguments = "FILE",
	.options = options,
	.details =
		"FILE was written by 'gswarm-observer trace --save-p2pd FILE' or by p2pd.save_file. It\n"
		"holds who wrote how much when, ids, names and keys, but no data of RPCs. Prints the\n"
		"events that come of it, and a dht_snapshot of all at the end. Needs no privileges.",
	.run = run,
};
