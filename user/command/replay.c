// SPDX-License-Identifier: BSD-2-Clause
/*
 * replay.c - log text in, events as JSON lines out; no privileges, no state.
 *
 * The same parser as the daemon's. Ids are those the daemon gives to the same bytes
 * of the same file, so a replay adds nothing twice to a store.
 */
#include "command/command.h"
#include "command/reader.h"
#include "command/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "command/follow_loop.h"
#include "parse/parse.h"
#include "parse/patterns.h"
#include "parse/zone.h"
#include "pipeline/cursor.h"
#include "pipeline/custom.h"
#include "pipeline/event.h"
#include "pipeline/scrub.h"
#include "stream/lines.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/log.h"

#define OUT_BYTES      (32 * 1024) /* small enough to stay in the first cache */
#define LINE_MAX_BYTES (64 * 1024)
#define PATHS_MAX      256
#define NS_PER_S       1000000000ull
#define BAR_AFTER_NS   NS_PER_S
#define BAR_EVERY_NS   (NS_PER_S / 5)
#define BAR_COLUMNS    40

struct replay {
	enum obs_source source; /* AUTO: by the file's name */
	const char *node_id;
	struct obs_zone *zone;	       /* owned */
	struct obs_scrub *scrub;       /* owned */
	const char *scrub_level;       /* NULL: the config's */
	struct obs_config *config;     /* owned */
	struct obs_patterns *patterns; /* owned; NULL = none */
	char rpc_host[256];
	const char *paths[PATHS_MAX];
	size_t n_paths;

	/* of the file being read */
	const char *path;
	struct obs_file_id file;
	uint64_t size;		   /* bytes; 0 = unknown */
	uint64_t reference_ns;	   /* when it was last written */
	struct obs_parser *parser; /* owned */
	struct obs_lines *lines;   /* owned */
	struct obs_buf out;
	int err; /* of writing */

	struct obs_summary *summary; /* owned; NULL = print events */
	bool bar;		     /* there is a terminal to draw progress on */
	bool bar_drawn;
	uint64_t begun_ns, drawn_ns;
};

extern const struct obs_command obs_command_replay;

static const struct obs_option options[] = {
	{ 'f', "format", "FORMAT", "auto, node, yarn, wandb, console or docker (default: auto)" },
	{ 'n', "node-id", "NAME", "node_id of the events (default: the host name)" },
	{ 0, "summary", NULL, "print a report instead of events" },
	{ 'c', "config", "FILE",
	  "settings: patterns and scrub rules of your own, the chain's server" },
	{ 's', "scrub", "LEVEL", "off, standard or strict (default: standard)" },
	{ 'z', "timezone", "ZONE", "of times without one: Europe/Berlin, +02:00 (default: UTC)" },
	{ 0 },
};

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static void flush_out(struct replay *r)
{
	if (!r->err)
		r->err = write_all(STDOUT_FILENO, r->out.p, r->out.len);
	obs_buf_reset(&r->out);
}

static inline void scrub(struct replay *r, struct obs_event *ev)
{
	if (r->scrub)
		obs_scrub_event(r->scrub, ev);
}

static void on_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct replay *r = ctx;

	if (r->summary) {
		scrub(r, ev);
		obs_summary_push(r->summary, ev, ev->wall_ns != r->reference_ns);
		return;
	}
	ev->origin.path = obs_slice_str(r->path);
	scrub(r, ev);
	ev->id = obs_event_id_file(obs_slice_str(r->node_id), &r->file, 0, first->offset);
	ev->origin.via = OBS_VIA_BACKFILL;
	ev->origin.offset = first->offset;
	ev->origin.has_offset = true;
	if (obs_event_format(ev, obs_slice_str(r->node_id), &r->out) == 0)
		obs_buf_push(&r->out, "\n", 1);
	if (r->out.len >= OUT_BYTES)
		flush_out(r);
}

static void on_line(void *ctx, const struct obs_line *line)
{
	obs_parser_push(((struct replay *)ctx)->parser, line);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The identity that the kernel has for the file, as far as user space can ask for it. */
static void identify(struct replay *r, int fd)
{
	struct stat st;
	int gen = 0;

	r->reference_ns = now_ns(CLOCK_REALTIME);
	r->file = (struct obs_file_id){ 0 };
	r->size = 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	r->size = (uint64_t)st.st_size;
	r->reference_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
	r->file.ino = st.st_ino;
	r->file.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	if (ioctl(fd, FS_IOC_GETVERSION, &gen) == 0)
		r->file.gen = (uint32_t)gen;
}

static void draw_bar(struct replay *r, uint64_t done)
{
	uint64_t now;
	int filled;

	if (!r->bar || !r->size)
		return;
	now = now_ns(CLOCK_MONOTONIC);
	if (now - r->begun_ns < BAR_AFTER_NS || now - r->drawn_ns < BAR_EVERY_NS)
		return;
	filled = done < r->size ? (int)(done * BAR_COLUMNS / r->size) : BAR_COLUMNS;
	fprintf(stderr, "\r%3d%% [%.*s%*s]", filled * 100 / BAR_COLUMNS, filled,
		"########################################", BAR_COLUMNS - filled, "");
	r->drawn_ns = now;
	r->bar_drawn = true;
}

static void wipe_bar(struct replay *r)
{
	if (r->bar_drawn)
		fprintf(stderr, "\r\033[K");
	r->bar_drawn = false;
}

static int read_lines(struct replay *r, struct obs_reader *reader)
{
	struct obs_line meta = { .backfilled = true };
	int n;

	while ((n = obs_reader_next(reader, &meta.text)) > 0) {
		obs_lines_push(r->lines, &meta);
		meta.offset += meta.text.len;
		draw_bar(r, obs_reader_taken(reader));
		if (r->err)
			return r->err;
	}
	obs_lines_flush(r->lines);
	obs_parser_flush(r->parser);
	return n;
}

static int open_stages(struct replay *r)
{
	struct obs_parser_options o = { .zone = r->zone,
					.reference_ns = r->reference_ns,
					.rpc_host = *r->rpc_host ? r->rpc_host : NULL,
					.patterns = r->patterns };
	enum obs_source source = r->source;
	int err;

	if (source == OBS_SOURCE_AUTO)
		source = obs_source_for_path(obs_slice_str(r->path));
	err = obs_parser_new(source, on_event, r, &r->parser);
	if (err)
		return err;
	obs_parser_configure(r->parser, &o);
	return obs_lines_new(LINE_MAX_BYTES, on_line, r, &r->lines);
}

static int replay_fd(struct replay *r, int fd)
{
	struct obs_reader *reader = NULL;
	int err;

	identify(r, fd);
	r->begun_ns = now_ns(CLOCK_MONOTONIC);
	err = open_stages(r);
	if (!err)
		err = obs_reader_open(fd, &reader);
	if (!err)
		err = read_lines(r, reader);
	wipe_bar(r);
	obs_reader_free(&reader);
	obs_lines_free(&r->lines);
	obs_parser_free(&r->parser);
	return err;
}

static int replay_path(struct replay *r, const char *path)
{
	cleanup_close int fd = -1;
	int err;

	r->path = path;
	if (!strcmp(path, "-"))
		return replay_fd(r, STDIN_FILENO);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -errno : replay_fd(r, fd);
	if (err && err != -EPIPE)
		obs_err("%s: %s", path, strerror(-err));
	return err;
}

static int set_format(struct replay *r, const char *value)
{
	static const char *const names[] = {
		[OBS_SOURCE_AUTO] = "auto",	  [OBS_SOURCE_NODE] = "node",
		[OBS_SOURCE_YARN] = "yarn",	  [OBS_SOURCE_WANDB] = "wandb",
		[OBS_SOURCE_CONSOLE] = "console", [OBS_SOURCE_DOCKER] = "docker",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i], value)) {
			r->source = (enum obs_source)i;
			return 0;
		}
	}
	obs_err("replay: no format '%s'; see --help", value);
	return -EINVAL;
}

static int set_scrub(struct replay *r, const char *value)
{
	static const char *const names[] = { "off", "standard", "strict" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i], value)) {
			r->scrub_level = names[i];
			return 0;
		}
	}
	obs_err("replay: no scrub level '%s'; see --help", value);
	return -EINVAL;
}

static int set_zone(struct replay *r, const char *value)
{
	int err;

	obs_zone_free(&r->zone);
	err = obs_zone_open(value, &r->zone);
	if (err)
		obs_err("replay: time zone '%s': %s", value, strerror(-err));
	return err;
}

static int set_config(struct replay *r, const char *value)
{
	const char *path;

	obs_config_free(&r->config);
	return obs_command_config(value, &r->config, &path) ? -EINVAL : 0;
}

static int set_summary(struct replay *r, const char *value)
{
	(void)value;
	return r->summary ? 0 : obs_summary_new(&r->summary);
}

static int set_node_id(struct replay *r, const char *value)
{
	r->node_id = value;
	return 0;
}

static int add_path(struct replay *r, const char *value)
{
	if (r->n_paths == PATHS_MAX) {
		obs_err("replay: more than %d files", PATHS_MAX);
		return -E2BIG;
	}
	r->paths[r->n_paths++] = value;
	return 0;
}

static const struct {
	const char *name; /* NULL: an operand */
	int (*set)(struct replay *, const char *);
} setters[] = {
	{ "format", set_format }, { "node-id", set_node_id }, { "summary", set_summary },
	{ "scrub", set_scrub },	  { "timezone", set_zone },   { "config", set_config },
	{ NULL, add_path },
};

static int set_option(struct replay *r, const struct obs_option_value *v)
{
	for (size_t i = 0; i < ARRAY_LEN(setters); i++) {
		const char *name = setters[i].name;

		if (name == v->name || (name && v->name && !strcmp(name, v->name)))
			return setters[i].set(r, v->value);
	}
	return -EINVAL;
}

static int parse_options(struct replay *r, int argc, char **argv)
{
	struct obs_option_value v;
	int index = 1, n;

	while ((n = obs_command_next(&obs_command_replay, argc, argv, &index, &v)) > 0) {
		int err = set_option(r, &v);

		if (err)
			return err;
	}
	if (n == 0 && !r->n_paths)
		add_path(r, "-");
	return n;
}

/* Without -c no file is looked for: a replay says the same everywhere. */
static int open_settings(struct replay *r)
{
	int err = r->config ? 0 : obs_config_default(&r->config);

	if (err)
		return err;
	obs_url_host(obs_config_text(r->config, "blockchain.rpc_url"), r->rpc_host,
		     sizeof(r->rpc_host));
	err = obs_custom_patterns(r->config, NULL, &r->patterns);
	return err ? err : obs_custom_scrub(r->config, r->scrub_level, NULL, 0, NULL, &r->scrub);
}

static int run_all(struct replay *r)
{
	int status = OBS_EXIT_OK;

	if (open_settings(r) < 0)
		return OBS_EXIT_FAIL;

	for (size_t i = 0; i < r->n_paths && !r->err; i++) {
		if (replay_path(r, r->paths[i]) < 0)
			status = OBS_EXIT_FAIL;
	}
	flush_out(r);
	if (r->summary)
		obs_summary_print(r->summary, stdout, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	return r->err && r->err != -EPIPE ? OBS_EXIT_FAIL : status;
}

static int run(int argc, char **argv)
{
	char host[256] = "localhost";
	struct replay r = {
		.source = OBS_SOURCE_AUTO,
		.node_id = host,
	};
	int status = OBS_EXIT_USAGE;

	gethostname(host, sizeof(host) - 1);
	r.bar = isatty(STDERR_FILENO) && (!isatty(STDOUT_FILENO) || r.summary);
	if (parse_options(&r, argc, argv) == 0)
		status = run_all(&r);
	obs_summary_free(&r.summary);
	obs_scrub_free(&r.scrub);
	obs_patterns_free(&r.patterns);
	obs_config_free(&r.config);
	obs_zone_free(&r.zone);
	obs_buf_free(&r.out);
	return status;
}

const struct obs_command obs_command_replay = {
	.name = "replay",
	.summary = "turn log files into events, as JSON lines on stdout",
	.arguments = "[FILE|-]...",
	.options = options,
	.details =
		"Reads log text of an RL-Swarm node (- or nothing: standard input; also gzip) and needs\n"
		"neither privileges nor a running observer. Exit code: 0, 1 when a file could\n"
		"not be read or the output not be written, 2 for bad arguments.",
	.run = run,
};
