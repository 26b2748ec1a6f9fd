// SPDX-License-Identifier: BSD-2-Clause
/*
 * run.c - the daemon: engine, store, delivery and health server on one loop.
 */
#include "command/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command/follow_loop.h"
#include "command/show.h"
#include "pipeline/engine.h"
#include "serve/serve.h"
#include "sink/sink.h"
#include "store/store.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"

#define STOP_GRACE_MS  400
#define COMPLETE_MS    10
#define COMPLETE_TURNS 20 /* so often at most the rest waits for the first lines */
#define GREETING_MS    300
#define HTTP_SINK_NAME "http"
#define PRUNE_EVERY_NS (6 * 3600 * OBS_NS_PER_S)
#define CURSOR_KEEP_NS (30 * 24 * 3600 * OBS_NS_PER_S)
#define NO_TIMEOUT_MS  (24 * 3600 * 1000)

static const struct obs_option options[] = {
	{ 'c', "config", "FILE", "settings (default: $CONFIG_PATH, configs/config.yaml, /etc/…)" },
	{ 0, "no-bpf", NULL, "load nothing into the kernel" },
	{ 'v', "verbose", NULL, "say more" },
	{ 0 },
};

struct daemon {
	uv_loop_t loop;
	struct obs_config *config;
	const char *config_path;
	struct obs_model model;
	struct obs_counters counters;
	struct obs_store *store;
	struct obs_delivery *delivery; /* NULL without an API */
	uint64_t inherited;	       /* events that waited for the API when we started */
	struct obs_engine *engine;
	struct obs_server *server; /* NULL when its port is taken or switched off */
	uv_timer_t greeting;
	unsigned turns; /* that on_complete() has waited */
	struct obs_outlet outlet;
	uint64_t prune_ns; /* CLOCK_BOOTTIME of the next look at old cursors */
};

/* --- outlet: the store --- */

static void note_position(struct daemon *d)
{
	struct obs_sink_stats st;

	if (d->delivery && obs_delivery_get_stats(d->delivery, 0, &st) == 0)
		obs_store_set_position(d->store, HTTP_SINK_NAME, st.acked_seq);
}

static int push(void *ctx, const struct obs_event *ev, struct obs_slice json)
{
	struct daemon *d = ctx;
	int r = obs_store_push(d->store, ev->type, ev->name, ev->wall_ns, json);

	return r == 0 && obs_store_is_filling(d->store) ? 1 : r;
}

static int put_cursor(void *ctx, const struct obs_cursor *c)
{
	struct daemon *d = ctx;

	return obs_store_put_cursor(d->store, c);
}

static int get_cursor(void *ctx, const struct obs_file_id *file, struct obs_cursor *ret)
{
	struct daemon *d = ctx;

	return obs_store_get_cursor(d->store, file, ret);
}

static int put_state(void *ctx, const char *name, struct obs_slice body)
{
	struct daemon *d = ctx;

	return obs_store_put_state(d->store, name, body);
}

static int get_state(void *ctx, const char *name, struct obs_buf *out)
{
	struct daemon *d = ctx;

	return obs_store_get_state(d->store, name, out);
}

static int put_window(void *ctx, uint64_t length_s, uint64_t start_s, struct obs_slice node,
		      struct obs_slice json)
{
	struct daemon *d = ctx;

	return obs_store_put_window(d->store, length_s, start_s, node, json);
}

static int each_cursor(void *ctx, const char *path,
		       void (*fn)(void *fn_ctx, const struct obs_cursor *c), void *fn_ctx)
{
	struct daemon *d = ctx;

	return obs_store_each_cursor(d->store, path, fn, fn_ctx);
}

/* Said when it happens; /health shows the name for as long as we run. */
static void tell_aside(struct daemon *d)
{
	struct obs_store_stats st;

	obs_store_get_stats(d->store, &st);
	d->outlet.created_ns = st.created_ns;
	snprintf(d->model.store_aside, sizeof(d->model.store_aside), "%s",
		 obs_store_aside(d->store));
	obs_count(&d->counters.stores_broken, 1);
	obs_err("the store in %s was damaged: it is kept as %s, and a fresh one took its place; "
		"what the nodes' files still hold is read again",
		d->config->state_dir, d->model.store_aside);
}

/* The delivery thread read what no commit has touched. */
static bool is_unreadable(void *ctx)
{
	struct daemon *d = ctx;
	struct obs_sink_stats st;

	return d->delivery && obs_delivery_get_stats(d->delivery, 0, &st) == 0 &&
	       st.store_error == -EUCLEAN;
}

static void prune(struct daemon *d)
{
	uint64_t now_ns = obs_boot_ns();

	if (d->prune_ns == 0)
		d->prune_ns = now_ns + PRUNE_EVERY_NS;
	if (now_ns < d->prune_ns)
		return;
	obs_store_prune_cursors(d->store, obs_wall_ns() - CURSOR_KEEP_NS);
	obs_store_prune_states(d->store, obs_wall_ns() - CURSOR_KEEP_NS);
	obs_store_prune_nodes(d->store);
	d->prune_ns = now_ns + PRUNE_EVERY_NS;
}

static int commit(void *ctx)
{
	struct daemon *d = ctx;
	int r;

	note_position(d);
	r = is_unreadable(d) ? obs_store_replace(d->store) : obs_store_commit(d->store);
	if (r > 0) {
		tell_aside(d);
		if (d->delivery)
			obs_delivery_reopen(d->delivery);
	}
	if (r >= 0 && d->delivery)
		obs_delivery_wake(d->delivery);
	if (r == 0)
		prune(d);
	return r;
}

/* --- the model, for whoever looks --- */

static void show_sink(struct daemon *d)
{
	struct obs_sink_view *v = &d->model.sinks[0];
	struct obs_sink_stats st;

	if (!d->delivery || obs_delivery_get_stats(d->delivery, 0, &st) < 0)
		return;
	d->model.n_sinks = 1;
	*v = (struct obs_sink_view){
		.inherited = d->inherited,
		.delivered = st.delivered,
		.waiting = d->model.store_last_seq > st.acked_seq
				   ? d->model.store_last_seq - st.acked_seq
				   : 0,
		.failures = st.failures,
		.dead_lettered = st.dead_lettered,
		.jumped = st.jumped,
		.requests = st.requests,
		.bytes = st.bytes,
		.last_ok_ns = st.last_ok_ns,
		.retry_at_ns = st.retry_at_ns,
	};
	snprintf(v->name, sizeof(v->name), "%s", st.name);
	snprintf(v->last_error, sizeof(v->last_error), "%s", st.last_error);
	snprintf(v->where, sizeof(v->where), "%.150s", d->config->api.endpoint);
	v->where[strcspn(v->where, "?#")] = '\0';
}

static const struct obs_model *refresh(void *ctx)
{
	struct daemon *d = ctx;
	struct obs_store_stats st;

	obs_engine_refresh(d->engine);
	obs_store_get_stats(d->store, &st);
	d->model.store_first_seq = st.first_seq;
	d->model.store_last_seq = st.last_seq;
	d->model.store_bytes = st.bytes;
	d->model.store_max_bytes = d->config->store.max_bytes;
	show_sink(d);
	return &d->model;
}

/* --- greeting --- */

static void print_start(const struct daemon *d)
{
	struct utsname host;

	uname(&host);
	printf("gswarm-observer on kernel %s, settings: %s\n", host.release,
	       *d->config_path ? d->config_path : "built in");
	for (size_t i = 0; i < d->model.n_probes; i++)
		obs_print_probe(stdout, &d->model.probes[i]);
	if (d->delivery)
		printf("  %-16s %s (kept in %s)\n", "events go to", d->config->api.endpoint,
		       d->config->state_dir);
	else
		printf("  %-16s the store in %s (no api_endpoint is set)\n", "events go to",
		       d->config->state_dir);
	if (d->model.chain && *d->model.chain->where)
		printf("  %-16s %s is asked, contract: %s\n", "chain", d->model.chain->where,
		       *d->config->chain.contract ? d->config->chain.contract
						  : "as the nodes' environment says");
	if (d->server)
		printf("  %-16s http://%s/health\n", "health", obs_server_address(d->server));
	else
		printf("  %-16s not served\n", "health");
	fflush(stdout);
}

static void on_greeting(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	refresh(d);
	if (d->model.n_nodes == 0)
		printf("  %-16s none found yet, waiting for one; 'make demo' starts one\n",
		       "nodes");
	for (size_t i = 0; i < d->model.n_nodes; i++)
		printf("  %-16s %s (%s, %u processes)\n", i ? "" : "nodes", d->model.nodes[i].name,
		       d->model.nodes[i].runtime, d->model.nodes[i].pids);
	fflush(stdout);
	obs_memory_trim(); /* all has been loaded, and all that was there has been found */
}

static void start_server(struct daemon *d)
{
	cleanup_buf struct obs_buf why = {};

	if (!d->config->server.listen || !*d->config->server.listen)
		return;
	if (obs_server_start(&d->loop, d->config->server.listen, refresh, d, &why, &d->server) < 0)
		obs_err("%s; going on without /health and /metrics", obs_buf_cstr(&why));
}

static bool is_sending(const struct daemon *d)
{
	struct obs_store_stats st;
	struct obs_sink_stats sink;

	obs_store_get_stats(d->store, &st);
	return d->delivery && obs_delivery_get_stats(d->delivery, 0, &sink) == 0 &&
	       st.last_seq > sink.acked_seq;
}

/* Lines are on their way: what else there is to load, and then all is known that can be said. */
static void on_complete(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	/* Timers come first in a turn of the loop: at the first one nothing has been read yet. */
	if (d->turns++ == 0 || (is_sending(d) && d->turns < COMPLETE_TURNS)) {
		uv_update_time(&d->loop);
		uv_timer_start(timer, on_complete, COMPLETE_MS, 0);
		return;
	}
	if (obs_engine_complete(d->engine) < 0)
		obs_warn("no memory for watching over the probes, ignoring");
	start_server(d);
	print_start(d);
	uv_timer_start(timer, on_greeting, GREETING_MS, 0);
}

/* --- start --- */

static int open_store(struct daemon *d)
{
	struct obs_store_options opt = {
		.dir = d->config->state_dir,
		.max_bytes = d->config->store.max_bytes,
		.max_age_s = (uint64_t)d->config->store.max_age_s,
		.replace_broken = true,
		.pending_bytes = d->config->limits.waiting_bytes,
		.counters = &d->counters,
	};
	int pid = 0, r = obs_store_open(&opt, &pid, &d->store);

	if (r == -EBUSY)
		obs_err("another observer, pid %d, uses the store in %s; stop it, or give this one "
			"its own state_dir",
			pid, opt.dir);
	else if (r < 0)
		obs_err("cannot open the store in %s: %s; set state_dir to a directory that can be "
			"written",
			opt.dir, strerror(-r));
	return r;
}

static int start_delivery(struct daemon *d)
{
	const struct obs_config *c = d->config;
	uint64_t delivered = obs_store_get_position(d->store, HTTP_SINK_NAME);
	struct obs_store_stats st;
	struct obs_sink_options sink = {
		.name = HTTP_SINK_NAME,
		.kind = "http",
		.url = c->api.endpoint,
		.token = c->api.token ? c->api.token : "",
		.ca_file = c->api.ca_file ? c->api.ca_file : "",
		.gzip = c->api.gzip,
		.batch_events = c->api.batch_size ? c->api.batch_size : 1,
		.batch_bytes = c->api.batch_bytes,
		.batch_wait_ms = (uint64_t)(c->api.batch_interval_s * 1000),
		.timeout_ms =
			c->api.timeout_s > 0 ? (uint64_t)(c->api.timeout_s * 1000) : NO_TIMEOUT_MS,
		.start_seq = delivered,
	};
	int r;

	if (!sink.url || !*sink.url)
		return 0;
	obs_store_get_stats(d->store, &st);
	if (delivered > st.last_seq) /* a store that lost its newest commits */
		delivered = st.last_seq;
	d->inherited = st.last_seq > delivered ? st.last_seq - delivered : 0;
	/* From now on what is evicted before this sink has it counts as loss. */
	obs_store_set_position(d->store, HTTP_SINK_NAME, delivered);
	r = obs_delivery_start(c->state_dir, &sink, 1, &d->delivery);
	if (r < 0)
		obs_err("cannot deliver to %s: %s; check api_endpoint", sink.url, strerror(-r));
	return r;
}

static void name_model(struct daemon *d)
{
	d->model.counters = &d->counters;
	d->model.started_ns = obs_wall_ns();
	d->model.version = obs_version;
	snprintf(d->model.node_id, sizeof(d->model.node_id), "%s", d->config->node_id);
	snprintf(d->model.state_dir, sizeof(d->model.state_dir), "%s", d->config->state_dir);
}

static int start(struct daemon *d, const struct obs_outlet *outlet)
{
	int r;

	name_model(d);
	r = obs_engine_new(&d->loop, d->config, &d->model, &d->counters, outlet, &d->engine);
	if (r == 0)
		r = start_delivery(d);
	if (r < 0)
		return r;
	if (!obs_engine_can_observe(d->engine)) {
		obs_err("nothing can be observed: no BPF, no rights to look into other processes, "
			"and no log_files in the config; run as root");
		return -EPERM;
	}
	uv_timer_init(&d->loop, &d->greeting);
	d->greeting.data = d;
	uv_timer_start(&d->greeting, on_complete, COMPLETE_MS, 0);
	return obs_engine_start(d->engine);
}

static void stop(struct daemon *d)
{
	if (d->engine)
		obs_engine_stop(d->engine);
	if (d->delivery) {
		obs_delivery_wake(d->delivery);
		obs_delivery_finish(d->delivery, STOP_GRACE_MS);
		note_position(d);
	}
	if (d->greeting.data)
		uv_close((uv_handle_t *)&d->greeting, NULL);
	obs_server_free(&d->server);
}

static int serve(struct daemon *d)
{
	struct obs_store_stats st;
	int r = open_store(d);

	if (r < 0)
		return r;
	obs_store_get_stats(d->store, &st);
	d->outlet = (struct obs_outlet){
		.push = push,
		.put_cursor = put_cursor,
		.get_cursor = get_cursor,
		.each_cursor = each_cursor,
		.put_state = put_state,
		.get_state = get_state,
		.put_window = put_window,
		.commit = commit,
		.wants_commit = is_unreadable,
		.created_ns = st.created_ns,
		.ctx = d,
	};
	if (*obs_store_aside(d->store))
		tell_aside(d);
	uv_loop_init(&d->loop);
	r = start(d, &d->outlet);
	if (r == 0)
		obs_loop_until_signal(&d->loop);
	stop(d);
	obs_loop_close(&d->loop);
	obs_engine_free(&d->engine);
	obs_delivery_stop(&d->delivery, 0);
	/* Commits the position too: nothing is sent again. Last, since only the last one to close
	 * the database can take its WAL away. */
	obs_store_free(&d->store);
	if (r == 0)
		obs_info("stopped; what was not delivered yet is kept");
	return r;
}

/* Each followed file costs a descriptor; the payloads are other people's words: no core. */
static void set_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_DUMPABLE, 0);
	/* An API that hangs up, a log at its size limit: errors, not ends. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static int read_arguments(int argc, char **argv, struct daemon *d)
{
	struct obs_option_value o;
	const char *file = NULL;
	bool no_bpf = false;
	int r, i = 1;

	while ((r = obs_command_next(&obs_command_run, argc, argv, &i, &o)) > 0) {
		if (!o.name || !strcmp(o.name, "config"))
			file = o.value;
		else if (!strcmp(o.name, "no-bpf"))
			no_bpf = true;
		else
			obs_log_set_level(OBS_LOG_DEBUG);
	}
	if (r < 0)
		return OBS_EXIT_USAGE;
	r = obs_command_config(file, &d->config, &d->config_path);
	if (r == 0 && no_bpf)
		d->config->probes.bpf = false;
	return r;
}

static int run(int argc, char **argv)
{
	static struct daemon d; /* static: large and zeroed */
	int r = read_arguments(argc, argv, &d);

	if (r == 0) {
		set_limits();
		r = serve(&d) < 0 ? OBS_EXIT_FAIL : OBS_EXIT_OK;
	}
	obs_config_free(&d.config);
	return r;
}

const struct obs_command obs_command_run = {
	.name = "run",
	.summary = "observe this host: the daemon",
	.arguments = "",
	.options = options,
	.details =
		"Finds nodes, turns what they write into events, keeps them in the store and posts\n"
		"them to api_endpoint. SIGINT and SIGTERM end it within a second; nothing is lost.",
	.run = run,
};
