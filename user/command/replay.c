// SPDX-License-Identifier: BSD-2-Clause
/*
 * replay.c - log text in, events as JSON lines out; no privileges, no state.
 *
 * The same parser as the daemon's. Ids are those the daemon gives to the same bytes
 * of the same file, so a replay adds nothing twice to a store.
 */
#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "parse/parse.h"
#include "parse/zone.h"
#include "pipeline/cursor.h"
#include "pipeline/event.h"
#include "pipeline/scrub.h"
#include "stream/lines.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/log.h"

#define IN_BYTES       (64 * 1024)
#define OUT_BYTES      (256 * 1024)
#define LINE_MAX_BYTES (64 * 1024)
#define PATHS_MAX      256
#define NS_PER_S       1000000000ull

struct replay {
	enum obs_source source; /* AUTO: by the file's name */
	const char *node_id;
	struct obs_zone *zone;	 /* owned */
	struct obs_scrub *scrub; /* owned */
	enum obs_scrub_level scrub_level;
	const char *paths[PATHS_MAX];
	size_t n_paths;

	/* of the file being read */
	const char *path;
	struct obs_file_id file;
	struct obs_parser *parser; /* owned */
	struct obs_lines *lines;   /* owned */
	struct obs_buf out;
	int err; /* of writing */
};

extern const struct obs_command obs_command_replay;

static const struct obs_option options[] = {
	{ 'f', "format", "FORMAT", "auto, node, yarn, wandb, console or docker (default: auto)" },
	{ 'n', "node-id", "NAME", "node_id of the events (default: the host name)" },
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

static void on_event(void *ctx, struct obs_event *ev, const struct obs_line *first)
{
	struct replay *r = ctx;

	ev->origin.path = obs_slice_str(r->path);
	obs_scrub_event(r->scrub, ev);
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

/* The identity that the kernel has for the file, as far as user space can ask for it. */
static void identify(struct replay *r, int fd, uint64_t *ret_mtime_ns)
{
	struct timespec now;
	struct stat st;
	int gen = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	*ret_mtime_ns = (uint64_t)now.tv_sec * NS_PER_S;
	r->file = (struct obs_file_id){ 0 };
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	*ret_mtime_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S;
	r->file.ino = st.st_ino;
	r->file.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	if (ioctl(fd, FS_IOC_GETVERSION, &gen) == 0)
		r->file.gen = (uint32_t)gen;
}

static int read_lines(struct replay *r, int fd)
{
	static char bytes[IN_BYTES];
	struct obs_line meta = { .backfilled = true };
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		meta.text = obs_slice(bytes, (size_t)n);
		obs_lines_push(r->lines, &meta);
		meta.offset += (uint64_t)n;
		if (r->err)
			return r->err;
	}
	obs_lines_flush(r->lines);
	obs_parser_flush(r->parser);
	return 0;
}

static int replay_fd(struct replay *r, int fd)
{
	enum obs_source source = r->source;
	struct obs_parser_options o = { .zone = r->zone };
	int err;

	if (source == OBS_SOURCE_AUTO)
		source = obs_source_for_path(obs_slice_str(r->path));
	identify(r, fd, &o.reference_ns);
	err = obs_parser_new(source, on_event, r, &r->parser);
	if (!err)
		err = obs_lines_new(LINE_MAX_BYTES, on_line, r, &r->lines);
	if (!err) {
		obs_parser_configure(r->parser, &o);
		err = read_lines(r, fd);
	}
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
	static const char *const names[] = {
		[OBS_SCRUB_OFF] = "off",
		[OBS_SCRUB_STANDARD] = "standard",
		[OBS_SCRUB_STRICT] = "strict",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(names[i], value)) {
			r->scrub_level = (enum obs_scrub_level)i;
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
	{ "format", set_format }, { "node-id", set_node_id }, { "scrub", set_scrub },
	{ "timezone", set_zone }, { NULL, add_path },
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

static int run_all(struct replay *r)
{
	const struct obs_scrub_options o = { .level = r->scrub_level };
	int status = OBS_EXIT_OK;

	if (obs_scrub_new(&o, NULL, &r->scrub) < 0)
		return OBS_EXIT_FAIL;

	for (size_t i = 0; i < r->n_paths && !r->err; i++) {
		if (replay_path(r, r->paths[i]) < 0)
			status = OBS_EXIT_FAIL;
	}
	flush_out(r);
	return r->err && r->err != -EPIPE ? OBS_EXIT_FAIL : status;
}

static int run(int argc, char **argv)
{
	char host[256] = "localhost";
	struct replay r = { .source = OBS_SOURCE_AUTO,
			    .node_id = host,
			    .scrub_level = OBS_SCRUB_STANDARD };
	int status = OBS_EXIT_USAGE;

	gethostname(host, sizeof(host) - 1);
	if (parse_options(&r, argc, argv) == 0)
		status = run_all(&r);
	obs_scrub_free(&r.scrub);
	obs_zone_free(&r.zone);
	obs_buf_free(&r.out);
	return status;
}

const struct obs_command obs_command_replay = {
	.name = "replay",
	.summary = "turn log files into events, as JSON lines on stdout",
	.arguments = "[FILE|-]...",
	.options = options,
	.details = "Reads log text of an RL-Swarm node (- or nothing: standard input) and needs\n"
		   "neither privileges nor a running observer. Exit code: 0, 1 when a file could\n"
		   "not be read or the output not be written, 2 for bad arguments.",
	.run = run,
};
