// SPDX-License-Identifier: BSD-2-Clause
/* follow.c - see follow.h. */
#include "pipeline/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uthash.h>
#include <xxhash.h>

#include "observe/proc.h"
#include "observe/tz.h"
#include "observe/watch.h"
#include "pipeline/rotated.h"
#include "stream/heard.h"
#include "stream/rules.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define PATH_BYTES	 4096
#define UNLINKED_KEEP_NS 60000000000ULL
#define CURSORS_PER_NAME 16
#define PLACES_MAX	 256
#define ERRANDS_MAX	 256
#define ERRANDS_NS	 50000000ULL /* so long one sweep looks for what was rotated away */
#define ROTATED_KEEP_NS	 600000000000ULL
#define BACKLOG_BYTES	 (1024 * 1024) /* further behind than this: an old log */
#define LIVE_NS		 1000000000ULL /* so long after the last new line, old logs hold back */
#define CURSORS_FRESH_NS 3600000000000ULL
#define FDS_RESERVED	 32
#define LIVE_SLICE_BYTES (256 * 1024)
#define HEARD_BLOCKS	 8192
#define REWRITE_BLOCKS	 4
#define PUT_AGAIN_NS	 (24 * 3600 * 1000000000ULL) /* so that the store knows it is no orphan */
#define HEARD_SLACK_NS	 1000000000ULL /* what was captured so long before is met in the file */
#define MADE_REST_NS	 2000000000ULL /* so long after the last one all logs made are looked at */
#define ENGINE_REST_NS	 3000000000ULL /* for an engine to write what was in its pipes */

/* What finds a stream again; padded so that it can be hashed as bytes. */
struct key {
	uint64_t a; /* file: inode; console: pid */
	uint32_t b; /* file: device; console: descriptor */
	uint32_t c; /* file: generation; console: UINT32_MAX */
};

/* What was captured of a node's console; its engine's files are read against it. */
struct repair {
	struct obs_heard *heard; /* owned */
	size_t users;		 /* entries, and the node while it lives */
	char id12[13];
	struct obs_heard_blocks saved; /* what the store has */
	uint64_t read_ns;   /* CLOCK_REALTIME: of the line of its files that was read last */
	uint64_t signature; /* of what is saved */
	uint64_t put_ns;    /* CLOCK_BOOTTIME */
	struct waiting {
		uint32_t from; /* piece */
		uint16_t writer;
		uint16_t pad;
	} waiting[64]; /* at the commit at hand: in no event yet */
	size_t n_waiting;
};

struct entry {
	struct key key;
	struct obs_stream *stream; /* owned */
	struct obs_node *node;	   /* NULL: a configured file of nobody's */
	int wd;			   /* inotify watch, -1 = none */
	uint64_t place;		   /* hash of the name that it had when we opened it */
	uint64_t turn;		   /* old logs take turns: smallest first */
	enum obs_kept_format kept; /* it is an engine's, and stands on the host */
	uint64_t until_ns;	   /* CLOCK_BOOTTIME: an orphan's engine may write until then */
	bool skips;		   /* the store has more than the cursor: save_skips() */
	struct repair *repair;	   /* counted; NULL: all lines of it are wanted */
	uint32_t waits_from;	   /* console: first piece of what waits for more, see repair */
	bool orphan;		   /* its node is gone, node is our own copy */
	bool behind;		   /* catch_up is due */
	bool to_end;		   /* … to whatever the file holds */
	bool touched;		   /* its cursor may have moved since the last commit */
	bool rotated;		   /* found beside a log: nobody writes to it */
	UT_hash_handle hh;
};

/* To look beside a log for what was rotated away unread. */
struct errand {
	struct errand *next;
	struct obs_node *node; /* NULL: the log is nobody's */
	enum obs_kept_format kept;
	struct obs_file_id current;
	uint64_t since_ns; /* CLOCK_REALTIME of the last sign of the log in the store */
	size_t n;
	struct obs_cursor cursors[CURSORS_PER_NAME];
	char path[PATH_BYTES];
};

/* Without captured writes: a directory in which a followed file stands. */
struct place {
	int wd;
	int fd;		       /* owned */
	struct obs_node *node; /* NULL: nobody's */
	enum obs_kept_format kept;
	char *path;	  /* as the node sees it, an engine's as we do; owned */
	bool due;	  /* something came into it */
	int made;	  /* logs made there, less those that are followed since */
	uint64_t made_ns; /* CLOCK_BOOTTIME of the last one */
	struct place *next;
};

struct obs_follow {
	struct obs_follow_options opt;
	struct place *places; /* list, owned */
	size_t n_places;
	struct entry *entries; /* hash, owned */
	struct entry *last;    /* found last: writes come in runs */
	struct obs_watch *watch;
	size_t n_behind;
	uint64_t turns;
	uint64_t fresh_ns;  /* CLOCK_BOOTTIME when every cursor was last looked at */
	uint64_t live_ns;   /* CLOCK_BOOTTIME of the last new line that needed no reading back */
	int64_t allowance;  /* bytes of old logs that may be read now */
	uint64_t filled_ns; /* CLOCK_BOOTTIME of its last filling */
	struct obs_assembly assembly;
	int canary_wd; /* inotify watch, -1 = none */
	bool canary_seen;
	bool refused_told, assembly_told, places_told, skipped_told, forgotten_told;
	struct errand *errands; /* list, owned; the newest is first */
	size_t n_errands;
	uint64_t start_ns;			 /* CLOCK_REALTIME when we began */
	struct repair *repairs[OBS_TARGETS_MAX]; /* by the node's slot; counted */
	size_t n_repairs;
	uint64_t lost[OBS_TARGETS_MAX]; /* bytes of consoles not captured, told so far */
	int fd_limit; /* our files get descriptors below this; the rest is for everything else */
	bool fds_told;
};

/* --- the table --- */

static struct key file_key(const struct obs_file_id *id)
{
	return (struct key){ id->ino, id->dev, id->gen };
}

static struct key console_key(uint32_t pid, int fd)
{
	return (struct key){ pid, (uint32_t)fd, UINT32_MAX };
}

static struct entry *find(struct obs_follow *f, const struct key *key)
{
	struct entry *en = f->last;

	if (en && memcmp(&en->key, key, sizeof(*key)) == 0)
		return en;
	HASH_FIND(hh, f->entries, key, sizeof(*key), en);
	if (en)
		f->last = en;
	return en;
}

static void set_behind(struct obs_follow *f, struct entry *en, bool behind, bool to_end)
{
	if (!en)
		return;
	if (en->behind != behind)
		f->n_behind += behind ? 1 : (size_t)-1;
	en->behind = behind;
	en->to_end = behind && (en->to_end || to_end);
}

static void leave_node(struct entry *en)
{
	if (en->node && --en->node->streams == 0 && en->orphan)
		free(en->node);
	en->node = NULL;
	en->orphan = false;
}

static void release(struct repair **repair)
{
	struct repair *r = *repair;

	*repair = NULL;
	if (!r || --r->users > 0)
		return;
	obs_heard_free(&r->heard);
	free(r);
}

static void drop_entry(struct obs_follow *f, struct entry *en)
{
	set_behind(f, en, false, false);
	release(&en->repair);
	if (en->wd >= 0 && f->watch)
		obs_watch_drop(f->watch, en->wd);
	leave_node(en);
	/* The same file may come back with its node (docker restart). */
	if (f->opt.captures && obs_stream_kind(en->stream) == OBS_STREAM_FILE)
		obs_kernel_forget(f->opt.kernel, obs_stream_file(en->stream));
	if (f->last == en)
		f->last = NULL;
	HASH_DEL(f->entries, en);
	obs_stream_free(&en->stream);
	free(en);
}

/* What is at its limit is counted each time. */
#define say_once(told, ...)                    \
	do {                                   \
		if (!*(told))                  \
			obs_warn(__VA_ARGS__); \
		*(told) = true;                \
	} while (0)

static bool is_full(struct obs_follow *f)
{
	if (HASH_COUNT(f->entries) < f->opt.config->limits.streams)
		return false;
	obs_count(&f->opt.stream.counters->streams_refused, 1);
	say_once(&f->refused_told,
		 "%zu files and consoles are followed, which is limits.streams: more are not, "
		 "ignoring",
		 obs_follow_count(f));
	return true;
}

static struct entry *add_entry(struct obs_follow *f, const struct key *key, struct obs_node *node,
			       struct obs_stream *stream)
{
	struct entry *en = calloc(1, sizeof(*en));

	if (!en) {
		obs_stream_free(&stream);
		return NULL;
	}
	*en = (struct entry){ .key = *key, .stream = stream, .node = node, .wd = -1 };
	HASH_ADD(hh, f->entries, key, sizeof(en->key), en);
	if (node)
		node->streams++;
	return en;
}

/* --- opening files --- */

/* Is what we opened a regular file, and the one the kernel told of? */
static bool is_expected(struct obs_follow *f, int fd, const struct obs_file_id *want,
			struct obs_file_id *ret)
{
	if (obs_kernel_identify(f->opt.kernel, fd, ret) < 0)
		return false;
	return !want || (ret->ino == want->ino && ret->dev == want->dev && ret->gen == want->gen);
}

/* Never opens a FIFO or device: the link's target is looked at first, and O_NONBLOCK covers
 * the moment in between. */
static int open_regular(const char *path)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : TAKE_FD(fd);
}

static int use_fd(struct obs_follow *f, int fd)
{
	if (fd >= 0 && fd < f->fd_limit)
		return fd;
	if (fd < 0 && fd != -EMFILE && fd != -ENFILE)
		return fd;
	obs_closep(&fd);
	obs_count(&f->opt.stream.counters->descriptors_refused, 1);
	say_once(&f->fds_told,
		 "descriptors run out (RLIMIT_NOFILE): further files are not opened, ignoring");
	return -EMFILE;
}

static int open_by_descriptor(pid_t pid, int fd)
{
	char path[64];

	if (fd < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return open_regular(path);
}

/* By name, inside the node's own root: no link in there leads out of it. */
static int open_inside(pid_t pid, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	cleanup_close int root = -1;
	char dir[64];
	long fd;

	snprintf(dir, sizeof(dir), "/proc/%d/root", pid);
	root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static struct entry *follow_fd(struct obs_follow *f, struct obs_node *node, pid_t pid,
			       const struct obs_file_id *id, int fd, const char *path, bool told);

/* What the kernel calls it now; renaming, also of a directory above, changes that. */
static uint64_t place_of(int fd)
{
	char link[64], path[PATH_BYTES];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n > 0 ? XXH3_64bits(path, (size_t)n) : 0;
}

static bool is_younger(int fd, uint64_t than_wall_ns)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 || !(stx.stx_mask & STATX_BTIME))
		return false;
	return (uint64_t)stx.stx_btime.tv_sec * 1000000000ULL + stx.stx_btime.tv_nsec >=
	       than_wall_ns;
}

/* Times in the file are the writer's local ones; ours for a file of nobody's. */
static void set_zone(struct obs_stream *s, pid_t pid)
{
	struct obs_zone *zone = NULL;

	if (obs_tz_of_process(pid ? pid : getpid(), &zone) == 0)
		obs_stream_set_zone(s, zone);
}

/* --- what was rotated away unread --- */

static void hurry_errand(struct obs_follow *f);

static void take_cursor(void *ctx, const struct obs_cursor *c)
{
	struct errand *e = ctx;

	if (e->n < CURSORS_PER_NAME)
		e->cursors[e->n++] = *c;
	if (c->seen_ns > e->since_ns)
		e->since_ns = c->seen_ns;
}

/* A log that was followed before we began, and is another file now or was emptied. One that
 * was seen since then is rotated under our eyes. */
static void look_beside_later(struct obs_follow *f, const struct entry *en, const char *path)
{
	const struct obs_outlet *out = f->opt.outlet;
	cleanup_free struct errand *e = NULL;

	if (!out->each_cursor)
		return;
	e = calloc(1, sizeof(*e));
	if (!e || out->each_cursor(out->ctx, path, take_cursor, e) < 0)
		return;
	if (e->n == 0 || e->since_ns >= f->start_ns)
		return;
	e->node = en->node;
	e->kept = en->kept;
	e->current = *obs_stream_file(en->stream);
	snprintf(e->path, sizeof(e->path), "%s", path);
	e->next = f->errands;
	f->errands = TAKE_PTR(e);
	if (++f->n_errands > ERRANDS_MAX)
		hurry_errand(f);
}

struct beside {
	struct obs_follow *f;
	struct obs_node *node;
	enum obs_kept_format kept;
	int dir_fd; /* owned */
	size_t found;
	char dir[PATH_BYTES];
};

static void open_dir_inside(void *ctx, pid_t pid)
{
	struct beside *b = ctx;

	if (b->dir_fd < 0)
		b->dir_fd = use_fd(b->f, open_inside(pid, b->dir));
}

static void open_dir(struct beside *b)
{
	if (b->node && !b->kept)
		obs_targets_each_pid(b->f->opt.targets, b->node, open_dir_inside, b);
	else
		b->dir_fd = use_fd(b->f, open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int identify_beside(void *ctx, int fd, struct obs_file_id *ret)
{
	struct beside *b = ctx;

	return obs_kernel_identify(b->f->opt.kernel, fd, ret);
}

static int known_beside(void *ctx, const struct obs_file_id *id, struct obs_cursor *ret)
{
	struct beside *b = ctx;
	struct key key = file_key(id);

	if (find(b->f, &key))
		return 1;
	return b->f->opt.outlet->get_cursor(b->f->opt.outlet->ctx, id, ret) == 0 ? 0 : -ENOENT;
}

static void use_repair(struct obs_follow *f, struct entry *en)
{
	struct repair *r = en->node ? f->repairs[en->node->slot] : NULL;

	if (!r)
		return;
	r->users++;
	en->repair = r;
	obs_stream_set_heard(en->stream, r->heard);
}

static bool is_in(const char *path, const char *dir, size_t dir_len)
{
	return strncmp(path, dir, dir_len) == 0 && path[dir_len] == '/' &&
	       !strchr(path + dir_len + 1, '/');
}

/* A file of @node is followed now: was it made in a place that is watched? */
static void note_followed(struct obs_follow *f, const struct obs_node *node, const char *path)
{
	for (struct place *p = f->places; p; p = p->next) {
		if (p->node == node && is_in(path, p->path, strlen(p->path)))
			p->made--;
	}
}

static void follow_beside(void *ctx, const struct obs_rotated_file *file)
{
	struct beside *b = ctx;
	struct obs_stream_start start = { .from_zero = true, .kept = b->kept };
	struct obs_follow *f = b->f;
	struct key key = file_key(&file->id);
	cleanup_close int fd = use_fd(f, file->fd);
	char path[2 * PATH_BYTES];
	struct obs_stream *stream;
	struct entry *en;

	if (fd < 0 || is_full(f))
		return;
	snprintf(path, sizeof(path), "%s/%s", b->dir, file->name);
	if (obs_stream_new_file(&f->opt.stream, &file->id, TAKE_FD(fd), path,
				file->cursor.offset ? &file->cursor : NULL, &start, b->node,
				&stream) < 0)
		return;
	set_zone(stream, b->node ? obs_targets_any_pid(f->opt.targets, b->node) : 0);
	en = add_entry(f, &key, b->node, stream);
	if (!en)
		return;
	en->kept = b->kept;
	if (en->kept)
		use_repair(f, en);
	note_followed(f, b->node, path);
	en->touched = en->rotated = true;
	set_behind(f, en, true, true);
	b->found++;
}

static void copy_beside(void *ctx, const char *name, const struct obs_cursor *c)
{
	struct beside *b = ctx;
	struct obs_cursor known = *c;

	snprintf(known.path, sizeof(known.path), "%.200s/%.50s", b->dir, name);
	known.seen_ns = obs_wall_ns();
	b->f->opt.outlet->put_cursor(b->f->opt.outlet->ctx, &known);
}

/* Return: files with something unread. */
static size_t look_beside(struct obs_follow *f, struct errand *e, bool live)
{
	struct beside b = { .f = f, .node = e->node, .kept = e->kept, .dir_fd = -1 };
	struct obs_rotated_search search = {
		.base = strrchr(e->path, '/') ? strrchr(e->path, '/') + 1 : e->path,
		.current = &e->current,
		.cursors = e->cursors,
		.n_cursors = e->n,
		.since_ns = e->since_ns,
		.live = live,
		.tmp_dir = f->opt.config->state_dir,
		.counters = f->opt.stream.counters,
		.identify = identify_beside,
		.known = known_beside,
		.copy = copy_beside,
		.found = follow_beside,
		.ctx = &b,
	};

	snprintf(b.dir, sizeof(b.dir), "%.*s", (int)(search.base - e->path), e->path);
	if (strlen(b.dir) > 1)
		b.dir[strlen(b.dir) - 1] = '\0';
	open_dir(&b);
	search.dir_fd = b.dir_fd;
	if (b.dir_fd >= 0 && obs_rotated_look(&search) > 0)
		say_once(&f->skipped_told,
			 "beside a log stand more rotated files than are looked at (%d): the "
			 "oldest ones are not, ignoring",
			 OBS_ROTATED_MAX);
	obs_closep(&b.dir_fd);
	return b.found;
}

static void run_errand(struct obs_follow *f, struct errand **at)
{
	cleanup_free struct errand *e = *at;

	*at = e->next;
	f->n_errands--;
	look_beside(f, e, false);
}

/* No more may wait: the one that has waited longest is due now. */
static void hurry_errand(struct obs_follow *f)
{
	struct errand **at = &f->errands;

	while ((*at)->next)
		at = &(*at)->next;
	obs_count(&f->opt.stream.counters->searches_hurried, 1);
	run_errand(f, at);
}

static void run_errands(struct obs_follow *f)
{
	uint64_t end_ns = obs_boot_ns() + ERRANDS_NS;

	while (f->errands && obs_boot_ns() < end_ns)
		run_errand(f, &f->errands);
}

static void drop_errands(struct obs_follow *f, const struct obs_node *node)
{
	for (struct errand **at = &f->errands; *at;) {
		struct errand *e = *at;

		if (node && e->node != node) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		f->n_errands--;
		free(e);
	}
}

/* Emptied under our eyes: what was not read may stand in a copy (copytruncate). */
static void look_after_cut(struct obs_follow *f, struct entry *en)
{
	cleanup_free struct errand *e = NULL;
	struct obs_cursor cut;
	uint64_t lost;

	if (!obs_stream_take_cut(en->stream, &cut, &lost))
		return;
	e = calloc(1, sizeof(*e));
	if (e) {
		e->node = en->node;
		e->kept = en->kept;
		e->current = *obs_stream_file(en->stream);
		e->since_ns = UINT64_MAX; /* what is no copy of it is none of ours */
		e->cursors[e->n++] = cut;
		snprintf(e->path, sizeof(e->path), "%s", obs_stream_path(en->stream));
	}
	if (!e || en->orphan || look_beside(f, e, false) == 0)
		obs_count(&f->opt.stream.counters->bytes_lost_truncated, lost);
}

/* --- directories: files that come while writes are not captured --- */

static void free_place(struct obs_follow *f, struct place **at)
{
	struct place *p = *at;

	*at = p->next;
	if (f->watch)
		obs_watch_drop(f->watch, p->wd);
	f->n_places--;
	obs_closep(&p->fd);
	free(p->path);
	free(p);
}

static void drop_places(struct obs_follow *f, const struct obs_node *node)
{
	for (struct place **at = &f->places; *at;) {
		if (node && (*at)->node != node)
			at = &(*at)->next;
		else
			free_place(f, at);
	}
}

/* A log was made there. What is gone already, or not a file, is judged by its name only. */
static void note_made(struct obs_follow *f, struct place *p, const char *name)
{
	char path[PATH_BYTES];
	struct stat st;

	snprintf(path, sizeof(path), "%.3800s/%.255s", p->path, name);
	if (p->kept || !obs_stream_wanted(path, false, &f->opt.config->log_files))
		return;
	if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (!S_ISREG(st.st_mode) || st.st_nlink > 1))
		return;
	p->made++;
	p->made_ns = obs_boot_ns();
}

/* Once a second: what was made, was looked for, and is not followed was gone. */
static void count_missed(struct obs_follow *f)
{
	for (struct place *p = f->places; p; p = p->next) {
		if (p->due || p->made == 0 || obs_boot_ns() - p->made_ns < MADE_REST_NS)
			continue;
		if (p->made > 0)
			obs_count(&f->opt.stream.counters->files_missed, (uint64_t)p->made);
		p->made = 0;
	}
}

static void watch_place(struct obs_follow *f, struct obs_node *node, const char *path,
			enum obs_kept_format kept)
{
	const char *slash = strrchr(path, '/');
	struct beside b = { .f = f, .node = node, .kept = kept, .dir_fd = -1 };
	struct place *p;

	if (!slash || slash == path)
		return;
	snprintf(b.dir, sizeof(b.dir), "%.*s", (int)(slash - path), path);
	for (p = f->places; p; p = p->next) {
		if (p->node == node && strcmp(p->path, b.dir) == 0)
			return;
	}
	if (f->n_places >= PLACES_MAX) {
		obs_count(&f->opt.stream.counters->places_refused, 1);
		say_once(&f->places_told,
			 "%d directories are watched for new logs: new ones elsewhere are found "
			 "by looking once a second",
			 PLACES_MAX);
		return;
	}
	open_dir(&b);
	p = b.dir_fd >= 0 ? calloc(1, sizeof(*p)) : NULL;
	if (!p) {
		obs_closep(&b.dir_fd);
		return;
	}
	*p = (struct place){ .wd = obs_watch_add_dir(f->watch, b.dir_fd),
			     .fd = b.dir_fd,
			     .node = node,
			     .kept = kept,
			     .path = strdup(b.dir),
			     .due = true,
			     .next = f->places };
	f->places = p;
	f->n_places++;
	if (p->wd < 0 || !p->path)
		free_place(f, &f->places);
}

/* A log made there. One that was copied there by rotation is none: see look_at_logs(). */
static void look_at_name(struct obs_follow *f, struct place *p, const char *name)
{
	pid_t pid = p->node ? obs_targets_any_pid(f->opt.targets, p->node) : 0;
	struct obs_file_id id;
	char path[PATH_BYTES];
	cleanup_close int fd = -1;
	struct key key;
	struct stat st;

	snprintf(path, sizeof(path), "%.3800s/%.255s", p->path, name);
	if (!obs_stream_wanted(path, false, &f->opt.config->log_files) ||
	    fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	fd = use_fd(f, openat(p->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
	if (fd < 0 || !is_expected(f, fd, NULL, &id) || !is_younger(fd, f->opt.outlet->created_ns))
		return;
	key = file_key(&id);
	if (!find(f, &key) && !is_full(f))
		set_behind(f, follow_fd(f, p->node, pid, &id, TAKE_FD(fd), path, false), true,
			   true);
}

/* Where all files that have, or had, this name are read to. */
static void fill_places(struct obs_follow *f, struct errand *e)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (e->n + 2 > CURSORS_PER_NAME || en->node != e->node ||
		    obs_stream_kind(en->stream) != OBS_STREAM_FILE ||
		    strcmp(obs_stream_path(en->stream), e->path) != 0)
			continue;
		obs_stream_place(en->stream, false, &e->cursors[e->n++]);
		obs_stream_place(en->stream, true, &e->cursors[e->n++]);
	}
}

static void look_beside_live(struct obs_follow *f, const struct entry *en)
{
	cleanup_free struct errand *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->node = en->node;
	e->kept = en->kept;
	e->current = *obs_stream_file(en->stream);
	e->since_ns = f->start_ns;
	snprintf(e->path, sizeof(e->path), "%s", obs_stream_path(en->stream));
	fill_places(f, e);
	look_beside(f, e, true);
}

/* What lived so shortly here that it has a rotated log's name already. */
static void look_at_logs(struct obs_follow *f, struct place *p)
{
	size_t dir_len = strlen(p->path), n = HASH_COUNT(f->entries);
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (n-- == 0)
			break; /* those that came by looking */
		if (en->node == p->node && !en->rotated &&
		    obs_stream_kind(en->stream) == OBS_STREAM_FILE &&
		    is_in(obs_stream_path(en->stream), p->path, dir_len))
			look_beside_live(f, en);
	}
}

static void look_at_place(struct obs_follow *f, struct place *p)
{
	cleanup_close int fd =
		p->kept ? -1 : openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	p->due = false;
	if (p->kept) {
		obs_follow_engine_log(f, p->node);
		return;
	}
	if (!dir)
		return;
	fd = -1; /* the stream's now */
	while ((e = readdir(dir)))
		look_at_name(f, p, e->d_name);
	look_at_logs(f, p);
}

static void look_at_places(struct obs_follow *f)
{
	/* following a file may put a place before the others: it is looked at the next time */
	for (struct place *p = f->places; p; p = p->next) {
		if (p->due)
			look_at_place(f, p);
	}
}

/* Something came into a directory; @wd -1: into any. Return: false = that is no directory. */
static bool note_place(struct obs_follow *f, int wd, unsigned what, const char *name)
{
	bool any = false;

	for (struct place *p = f->places; p; p = p->next) {
		if (p->wd != wd && wd >= 0)
			continue;
		p->due = any = true;
		if (what & OBS_WATCH_MADE)
			note_made(f, p, name);
	}
	return any;
}

/* A device that is a mount's own: overlayfs, btrfs, tmpfs. Each mount gets what number is free. */
static bool is_anonymous(uint32_t dev)
{
	return dev >> 20 == 0;
}

struct mounted_again {
	const struct obs_node *node;
	const struct obs_file_id *id; /* as it is now */
	int fd;
	bool found;
	struct obs_cursor cursor;
};

static void compare_mounted(void *ctx, const struct obs_cursor *c)
{
	struct mounted_again *m = ctx;

	if (m->found || c->file.ino != m->id->ino || c->file.gen != m->id->gen ||
	    c->tail_len == 0 || !is_anonymous(c->file.dev) || strcmp(c->owner, m->node->id12) != 0)
		return;
	m->found = obs_cursor_fits(c, m->fd);
	m->cursor = *c;
	m->cursor.file = *m->id;
}

/*
 * The cursor of @id, also of when its container was mounted elsewhere: stopped and started, it
 * has the same files, on a device of another number if somebody took the old one meanwhile.
 */
static bool get_cursor(struct obs_follow *f, const struct obs_node *node,
		       const struct obs_file_id *id, int fd, const char *path,
		       struct obs_cursor *ret)
{
	const struct obs_outlet *out = f->opt.outlet;
	struct mounted_again m = { .node = node, .id = id, .fd = fd };

	if (out->get_cursor(out->ctx, id, ret) == 0)
		return true;
	if (fd < 0 || !node || !*node->id12 || !is_anonymous(id->dev) || !out->each_cursor)
		return false;
	if (out->each_cursor(out->ctx, path, compare_mounted, &m) < 0 || !m.found)
		return false;
	*ret = m.cursor;
	return true;
}

/* @pid: of the node, one that has the file open; 0 = none */
static struct entry *follow_fd(struct obs_follow *f, struct obs_node *node, pid_t pid,
			       const struct obs_file_id *id, int fd, const char *path, bool told)
{
	struct obs_stream_start start = { .tail_lines = f->opt.config->initial_tail_lines,
					  .told = told };
	struct key key = file_key(id);
	struct obs_cursor cursor;
	struct obs_stream *stream;
	struct entry *en;
	bool known;

	known = get_cursor(f, node, id, fd, path, &cursor);
	start.from_zero = fd < 0 || is_younger(fd, f->opt.outlet->created_ns);
	if (obs_stream_new_file(&f->opt.stream, id, fd, path, known ? &cursor : NULL, &start, node,
				&stream) < 0)
		return NULL;
	set_zone(stream, pid);
	en = add_entry(f, &key, node, stream);
	if (!en)
		return NULL;
	if (f->opt.captures && node)
		obs_kernel_judge(f->opt.kernel, id, OBS_FILE_FOLLOW);
	else if (fd >= 0 && f->watch)
		en->wd = obs_watch_add(f->watch, fd);
	en->touched = true;
	en->place = place_of(fd);
	if (!known || obs_stream_epoch(stream) != cursor.epoch)
		look_beside_later(f, en, path);
	note_followed(f, node, path);
	if (!f->opt.captures && f->watch)
		watch_place(f, node, path, OBS_KEPT_NONE);
	return en;
}

/* --- files that nodes write to --- */

/* "swarm_launcher.log\0logs\0…" -> "/…/logs/swarm_launcher.log" */
static void names_to_path(struct obs_slice names, char *out, size_t size)
{
	size_t end = names.len, used = 0;

	while (end > 0 && used + 2 < size) {
		size_t start = end - 1, len;

		while (start > 0 && names.p[start - 1] != '\0')
			start--;
		len = strnlen(names.p + start, end - start);
		if (used + len + 2 > size)
			break;
		out[used++] = '/';
		memcpy(out + used, names.p + start, len);
		used += len;
		end = start;
	}
	out[used] = '\0';
}

/* Where a file may be had by its name. */
struct search {
	struct obs_follow *f;
	const struct obs_file_id *id;
	const char *path;
	int found; /* our descriptor, owned; -1 = none */
};

static void look_inside(void *ctx, pid_t pid)
{
	struct search *search = ctx;
	cleanup_close int fd = -1;
	struct obs_file_id id;

	if (search->found >= 0)
		return;
	fd = use_fd(search->f, open_inside(pid, search->path));
	if (fd >= 0 && is_expected(search->f, fd, search->id, &id))
		search->found = TAKE_FD(fd);
}

/* The writer may be gone already: its node's other processes see the same files, and so do we
 * where the node is not in a container. */
static int open_by_name(struct obs_follow *f, const struct obs_node *node, pid_t pid,
			const char *path, const struct obs_file_id *id)
{
	struct search search = { f, id, path, -1 };

	look_inside(&search, pid);
	obs_targets_each_pid(f->opt.targets, node, look_inside, &search);
	look_inside(&search, getpid());
	return search.found;
}

static int open_announced(struct obs_follow *f, const struct obs_node *node, pid_t pid, int fd,
			  const char *path, const struct obs_file_id *id)
{
	struct obs_file_id found;
	int ours = use_fd(f, open_by_descriptor(pid, fd));

	if (ours >= 0 && is_expected(f, ours, id, &found))
		return ours;
	obs_closep(&ours);
	return open_by_name(f, node, pid, path, id);
}

/* Followed already, also by the kernel once? */
static void note_forgotten(struct obs_follow *f, const struct obs_file_id *id)
{
	const struct entry *en = f->last; /* just found */

	if (!en->node || en->kept || !obs_kernel_has_forgotten(f->opt.kernel, id))
		return;
	obs_count(&f->opt.stream.counters->files_announced_again, 1);
	say_once(&f->forgotten_told,
		 "nodes write to more files than the kernel's table holds (%d): it tells of some "
		 "again",
		 OBS_FILES_MAX);
}

void obs_follow_announced(struct obs_follow *f, struct obs_node *node, const struct obs_file_id *id,
			  pid_t pid, int fd, struct obs_slice names)
{
	struct key key = file_key(id);
	char path[PATH_BYTES];

	if (find(f, &key)) {
		note_forgotten(f, id);
		obs_kernel_judge(f->opt.kernel, id, OBS_FILE_FOLLOW);
		return;
	}
	names_to_path(names, path, sizeof(path));
	if (!obs_stream_wanted(path, fd == 1 || fd == 2, &f->opt.config->log_files) || is_full(f)) {
		obs_kernel_judge(f->opt.kernel, id, OBS_FILE_IGNORE);
		return;
	}
	/* The write that announced it follows in the ring. */
	follow_fd(f, node, pid, id, open_announced(f, node, pid, fd, path, id), path, true);
}

/* A configured file turned out to be a node's: from now on its writes are captured. */
static void adopt(struct obs_follow *f, struct entry *en, struct obs_node *node)
{
	if ((en->node && !en->orphan) || !f->opt.captures || en->kept)
		return;
	leave_node(en);
	en->node = node;
	node->streams++;
	obs_stream_set_owner(en->stream, node);
	if (en->wd >= 0)
		obs_watch_drop(f->watch, en->wd);
	en->wd = -1;
	obs_kernel_judge(f->opt.kernel, obs_stream_file(en->stream), OBS_FILE_FOLLOW);
}

struct fd_scan {
	struct obs_follow *f;
	struct obs_node *node;
};

static void scan_fd(void *ctx, pid_t pid, const struct obs_proc_fd *fd)
{
	struct fd_scan *scan = ctx;
	struct obs_follow *f = scan->f;
	struct obs_file_id id;
	struct entry *en;
	struct key key;
	char path[PATH_BYTES];
	char *deleted;
	int ours;

	snprintf(path, sizeof(path), "%s", fd->path);
	deleted = strstr(path, " (deleted)");
	if (deleted && deleted[10] == '\0')
		*deleted = '\0';
	if (!fd->writable ||
	    !obs_stream_wanted(path, fd->fd == 1 || fd->fd == 2, &f->opt.config->log_files))
		return;
	ours = use_fd(f, open_by_descriptor(pid, fd->fd));
	if (ours < 0 || !is_expected(f, ours, NULL, &id)) {
		obs_closep(&ours);
		return;
	}
	key = file_key(&id);
	en = find(f, &key);
	if (en)
		adopt(f, en, scan->node);
	if (en || is_full(f))
		obs_closep(&ours);
	else
		set_behind(f, follow_fd(f, scan->node, pid, &id, ours, path, false), true, false);
}

void obs_follow_scan(struct obs_follow *f, struct obs_node *node, pid_t pid)
{
	struct fd_scan scan = { f, node };

	if (node)
		obs_proc_each_fd(pid, scan_fd, &scan);
}

/* --- what engines keep of consoles --- */

/* Docker tells the path; a kubelet links it under a name that ends in the container's id. Where
 * the links lead, rotated ones stand beside it. */
static bool find_engine_log(const struct obs_node *node, char *path)
{
	cleanup_free char *real = NULL;
	char pattern[128];
	glob_t found;

	if (*node->log_path) {
		real = realpath(node->log_path, NULL);
	} else if (*node->ref.id) {
		snprintf(pattern, sizeof(pattern), "/var/log/containers/*-%s.log", node->ref.id);
		if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
			return false;
		if (found.gl_pathc > 0)
			real = realpath(found.gl_pathv[0], NULL);
		globfree(&found);
	}
	if (real)
		snprintf(path, PATH_BYTES, "%s", real);
	return real != NULL;
}

/* @path: NULL = any */
static const struct entry *kept_of(struct obs_follow *f, const struct obs_node *node,
				   const char *path)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (en->kept && en->node == node &&
		    (!path || strcmp(obs_stream_path(en->stream), path) == 0))
			return en;
	}
	return NULL;
}

bool obs_follow_keeps(struct obs_follow *f, const struct obs_node *node)
{
	return kept_of(f, node, NULL) != NULL;
}

static void skip_name(const struct obs_file_id *id, char *out, size_t size)
{
	snprintf(out, size, "console/%u/%llu/%u", id->dev, (unsigned long long)id->ino, id->gen);
}

/* Lines of one descriptor that had become events while the other one's waited for more. */
static void load_skips(struct obs_follow *f, struct entry *en)
{
	const struct obs_outlet *out = f->opt.outlet;
	cleanup_buf struct obs_buf body = {};
	uint64_t skip[2];
	char name[64];

	skip_name(obs_stream_file(en->stream), name, sizeof(name));
	if (!out->get_state || out->get_state(out->ctx, name, &body) < 0 ||
	    body.len != sizeof(skip))
		return;
	memcpy(skip, body.p, sizeof(skip));
	obs_stream_skip(en->stream, 1, skip[0]);
	obs_stream_skip(en->stream, 2, skip[1]);
	en->skips = true;
}

static void save_skips(struct obs_follow *f, struct entry *en, uint64_t cursor)
{
	const struct obs_outlet *out = f->opt.outlet;
	uint64_t skip[2] = { obs_stream_done(en->stream, 1), obs_stream_done(en->stream, 2) };
	bool any = skip[0] != cursor || skip[1] != cursor;
	char name[64];

	if (!out->put_state || (!any && !en->skips))
		return;
	skip_name(obs_stream_file(en->stream), name, sizeof(name));
	out->put_state(out->ctx, name, obs_slice((char *)skip, any ? sizeof(skip) : 0));
	en->skips = any;
}

/* What is to be durable with the events so far. */
static void put_cursor(struct obs_follow *f, struct entry *en,
		       int (*put)(void *ctx, const struct obs_cursor *c), void *ctx)
{
	struct obs_cursor cursor;

	if (obs_stream_cursor(en->stream, &cursor)) {
		snprintf(cursor.owner, sizeof(cursor.owner), "%s", en->node ? en->node->id12 : "");
		put(ctx, &cursor);
	}
	if (en->kept)
		save_skips(f, en, obs_stream_cursor_offset(en->stream));
}

static void block_name(const struct repair *r, uint32_t block, char *out, size_t size)
{
	snprintf(out, size, "heard/%s/%u", r->id12, block % HEARD_BLOCKS);
}

struct saved_repair {
	struct obs_heard_blocks blocks;
	uint64_t read_ns;
};

/* What an earlier run had captured and not met in the file. Its blocks are written anew. */
static void load_repair(struct obs_follow *f, struct repair *r)
{
	const struct obs_outlet *out = f->opt.outlet;
	cleanup_buf struct obs_buf body = {}, index = {};
	struct saved_repair saved;
	char name[64];

	snprintf(name, sizeof(name), "heard/%s", r->id12);
	if (!out->get_state || out->get_state(out->ctx, name, &index) < 0 ||
	    index.len != sizeof(saved))
		return;
	memcpy(&saved, index.p, sizeof(saved));
	for (uint32_t b = saved.blocks.first; b != saved.blocks.end; b++) {
		if (b - saved.blocks.first >= HEARD_BLOCKS)
			break;
		block_name(r, b, name, sizeof(name));
		obs_buf_reset(&body);
		if (out->get_state(out->ctx, name, &body) == 0)
			obs_heard_load(r->heard, obs_buf_slice(&body),
				       saved.read_ns > HEARD_SLACK_NS
					       ? saved.read_ns - HEARD_SLACK_NS
					       : 0);
		out->put_state(out->ctx, name, obs_slice(NULL, 0));
	}
	r->read_ns = saved.read_ns;
}

/* What was captured of @node before this call, since it was found, is not known. */
static struct repair *new_repair(struct obs_follow *f, const struct obs_node *node)
{
	struct repair *r = f->opt.config->limits.console_pieces ? calloc(1, sizeof(*r)) : NULL;

	if (!r || obs_heard_new(f->opt.config->limits.console_pieces, &r->heard) < 0) {
		free(r);
		return NULL;
	}
	r->users = 1;
	snprintf(r->id12, sizeof(r->id12), "%s", node->id12);
	load_repair(f, r);
	if (node->streams > 0)
		obs_heard_set_unsure(r->heard, obs_wall_ns());
	return r;
}

/* Of the process and descriptor of a console: 16 bits are enough, since one that is taken for
 * another one is taken to wait for longer than it does. */
static uint16_t writer_of(const struct key *key)
{
	return (uint16_t)XXH3_64bits(key, sizeof(*key));
}

/* Is a captured piece part of a line, or record, that waits for more? It is in no event yet. */
static bool is_waiting(void *ctx, uint16_t writer, uint32_t seq)
{
	const struct repair *r = ctx;

	for (size_t i = 0; i < r->n_waiting; i++) {
		if (r->waiting[i].writer == writer && (int32_t)(seq - r->waiting[i].from) >= 0)
			return true;
	}
	return false;
}

static void note_waiting(struct obs_follow *f, const struct entry *en)
{
	struct repair *r = en->node ? f->repairs[en->node->slot] : NULL;
	uint64_t unused;

	if (r && r->n_waiting < ARRAY_LEN(r->waiting) && obs_stream_waits(en->stream, &unused))
		r->waiting[r->n_waiting++] =
			(struct waiting){ .from = en->waits_from, .writer = writer_of(&en->key) };
}

static uint64_t sign(const struct repair *r, const struct obs_heard_blocks *now)
{
	uint64_t v[] = { now->first, obs_heard_next(r->heard), r->read_ns,
			 XXH3_64bits(r->waiting, r->n_waiting * sizeof(*r->waiting)) };

	return XXH3_64bits(v, sizeof(v));
}

/* The newest, and of those before it some in which something has waited. */
static uint32_t first_to_save(const struct repair *r, const struct obs_heard_blocks *now)
{
	uint32_t from = r->saved.end > now->first ? r->saved.end - 1 : now->first;

	return from - now->first > REWRITE_BLOCKS ? from - REWRITE_BLOCKS : now->first;
}

/* With each commit: the blocks that changed. Those that are empty go. */
static void save_repair(struct obs_follow *f, struct repair *r)
{
	const struct obs_outlet *out = f->opt.outlet;
	struct saved_repair index = { .read_ns = r->read_ns };
	struct obs_heard_blocks *now = &index.blocks;
	cleanup_buf struct obs_buf body = {};
	uint32_t b;
	char name[64];

	obs_heard_blocks(r->heard, now);
	if (!out->put_state ||
	    (r->signature == sign(r, now) && obs_boot_ns() - r->put_ns < PUT_AGAIN_NS))
		return;
	r->signature = sign(r, now);
	r->put_ns = obs_boot_ns();
	for (b = r->saved.first; b != now->first && b != r->saved.end; b++) {
		block_name(r, b, name, sizeof(name));
		out->put_state(out->ctx, name, obs_slice(NULL, 0));
	}
	b = first_to_save(r, now);
	for (; b != now->end; b++) {
		block_name(r, b, name, sizeof(name));
		obs_buf_reset(&body);
		obs_heard_save(r->heard, b, is_waiting, r, &body);
		out->put_state(out->ctx, name, obs_buf_slice(&body));
	}
	r->saved = *now;
	snprintf(name, sizeof(name), "heard/%s", r->id12);
	out->put_state(out->ctx, name, obs_slice((char *)&index, sizeof(index)));
}

static void save_repairs(struct obs_follow *f)
{
	struct entry *en, *next;

	if (f->n_repairs == 0)
		return;
	HASH_ITER(hh, f->entries, en, next)
	{
		if (obs_stream_kind(en->stream) == OBS_STREAM_CONSOLE)
			note_waiting(f, en);
	}
	for (size_t slot = 0; slot < OBS_TARGETS_MAX; slot++) {
		if (!f->repairs[slot])
			continue;
		save_repair(f, f->repairs[slot]);
		f->repairs[slot]->n_waiting = 0;
	}
}

/* The container is gone, and its file is read to the end. */
static void forget_repair(struct obs_follow *f, const struct repair *r)
{
	const struct obs_outlet *out = f->opt.outlet;
	char name[64];

	if (!out->put_state)
		return;
	for (uint32_t b = r->saved.first; b != r->saved.end; b++) {
		block_name(r, b, name, sizeof(name));
		out->put_state(out->ctx, name, obs_slice(NULL, 0));
	}
	snprintf(name, sizeof(name), "heard/%s", r->id12);
	out->put_state(out->ctx, name, obs_slice(NULL, 0));
}

void obs_follow_count_lost(struct obs_follow *f, struct obs_node *node, uint64_t bytes)
{
	struct obs_counters *c = f->opt.stream.counters;
	uint64_t more = bytes - f->lost[node->slot];

	f->lost[node->slot] = bytes;
	if (node->state == OBS_NODE_ASKING)
		obs_count(&c->console_foreign_bytes, more);
	else if (kept_of(f, node, NULL))
		obs_count(&c->console_hole_bytes, more);
	else
		obs_count(&c->bytes_lost_console, more);
}

static void follow_kept(struct obs_follow *f, struct obs_node *node, const struct obs_file_id *id,
			int fd, const char *path)
{
	struct obs_stream_start start = { .tail_lines = f->opt.config->initial_tail_lines,
					  .from_zero = is_younger(fd, f->opt.outlet->created_ns),
					  .kept = node->log_local ? OBS_KEPT_LOCAL
								  : OBS_KEPT_TEXT };
	const struct entry *former = kept_of(f, node, path);
	struct key key = file_key(id);
	struct obs_cursor cursor;
	struct obs_stream *stream;
	struct entry *en;
	bool known = f->opt.outlet->get_cursor(f->opt.outlet->ctx, id, &cursor) == 0;

	if (obs_stream_new_file(&f->opt.stream, id, fd, path, known ? &cursor : NULL, &start, node,
				&stream) < 0)
		return;
	set_zone(stream, obs_targets_any_pid(f->opt.targets, node));
	en = add_entry(f, &key, node, stream);
	if (!en)
		return;
	en->kept = start.kept;
	en->touched = true;
	en->place = place_of(fd);
	if (known && obs_stream_epoch(stream) == cursor.epoch)
		load_skips(f, en);
	else
		look_beside_later(f, en, path);
	use_repair(f, en);
	if (f->watch && !en->repair)
		en->wd = obs_watch_add(f->watch, fd);
	if (f->watch)
		watch_place(f, node, path, en->kept);
	if (former)
		look_beside_live(f, en); /* rotated more than once since we looked */
	set_behind(f, en, !en->repair, true);
}

/* What was captured of the container before it was started again may not be met yet. */
static struct repair *repair_of_orphan(struct obs_follow *f, const struct obs_node *node)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (!en->orphan || !en->repair || strcmp(en->node->id12, node->id12) != 0)
			continue;
		en->repair->users++;
		return en->repair;
	}
	return NULL;
}

static void start_repair(struct obs_follow *f, struct obs_node *node)
{
	struct repair *r = repair_of_orphan(f, node);

	f->repairs[node->slot] = r ? r : new_repair(f, node);
	f->n_repairs += f->repairs[node->slot] != NULL;
}

/* Its container was started again before the engine had written all of the last one's. */
static void adopt_orphan(struct entry *en, struct obs_node *node)
{
	if (!en->orphan || !en->kept)
		return;
	leave_node(en);
	en->node = node;
	node->streams++;
	obs_stream_set_owner(en->stream, node);
}

void obs_follow_engine_log(struct obs_follow *f, struct obs_node *node)
{
	cleanup_close int fd = -1;
	struct obs_file_id id;
	char path[PATH_BYTES];
	struct entry *en;
	struct key key;

	if (!find_engine_log(node, path))
		return;
	if (f->opt.captures && !f->repairs[node->slot])
		start_repair(f, node);
	fd = use_fd(f, open_regular(path));
	if (fd < 0 || !is_expected(f, fd, NULL, &id))
		return;
	key = file_key(&id);
	en = find(f, &key);
	if (en)
		adopt_orphan(en, node);
	else if (!is_full(f))
		follow_kept(f, node, &id, TAKE_FD(fd), path);
}

void obs_follow_file_write(struct obs_follow *f, struct obs_node *node,
			   const struct obs_file_id *id, const struct obs_chunk *chunk)
{
	struct key key = file_key(id);
	struct entry *en = find(f, &key);

	if (!en)
		return; /* judged as no log, or refused: counted there */
	if (chunk->flags & OBS_CHUNK_NO_OFFSET)
		obs_kernel_judge(f->opt.kernel, id, OBS_FILE_FOLLOW); /* before we look */
	adopt(f, en, node);
	en->touched = true;
	if (en->behind && !(chunk->flags & OBS_CHUNK_NO_OFFSET)) {
		/* It is being read already: reading on gets there. */
		obs_stream_expect(en->stream, chunk);
		set_behind(f, en, true, true);
		return;
	}
	obs_stream_write(en->stream, chunk);
	f->live_ns = chunk->boot_ns;
	if (obs_stream_is_behind(en->stream))
		set_behind(f, en, true, true);
}

static uint32_t count_ends(const char *p, size_t len)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += p[i] == '\n' || (p[i] == '\r' && (i + 1 == len || p[i + 1] != '\n'));
	return n;
}

/* The same for its engine's file, and where what waits for more now has begun. */
static void write_heard(struct entry *en, struct repair *r, const struct obs_chunk *chunk)
{
	uint64_t start = obs_stream_offset(en->stream), waits;
	uint32_t first = obs_heard_next(r->heard);

	obs_heard_write(r->heard, writer_of(&en->key), chunk->payload, chunk->wall_ns);
	obs_stream_write(en->stream, chunk);
	if (obs_stream_waits(en->stream, &waits) && waits >= start)
		en->waits_from = first + count_ends(chunk->payload.p, waits - start);
}

void obs_follow_console_write(struct obs_follow *f, struct obs_node *node, int fd,
			      const struct obs_chunk *chunk)
{
	struct key key = console_key(chunk->pid, fd);
	struct repair *repair = f->repairs[node->slot];
	struct entry *en = find(f, &key);
	struct obs_stream *stream;

	if (!en) {
		if (is_full(f) ||
		    obs_stream_new_console(&f->opt.stream, chunk->pid, fd, node, &stream) < 0) {
			obs_count(&f->opt.stream.counters->bytes_lost_console, chunk->payload.len);
			return;
		}
		en = add_entry(f, &key, node, stream);
	}
	f->live_ns = chunk->boot_ns;
	if (!en)
		return;
	if (repair)
		write_heard(en, repair, chunk);
	else
		obs_stream_write(en->stream, chunk);
}

/* --- ends --- */

void obs_follow_process_left(struct obs_follow *f, pid_t pid)
{
	for (int fd = 1; fd <= 2; fd++) {
		struct key key = console_key((uint32_t)pid, fd);
		struct entry *en = find(f, &key);

		if (!en)
			continue;
		obs_stream_end(en->stream);
		drop_entry(f, en);
	}
}

static void end_entry(struct obs_follow *f, struct entry *en)
{
	obs_stream_end(en->stream);
	put_cursor(f, en, f->opt.outlet->put_cursor, f->opt.outlet->ctx);
	if (en->repair && en->repair->users == 1)
		forget_repair(f, en->repair);
	drop_entry(f, en);
}

/* Nothing is read while the store takes nothing, and an engine writes for a while longer. What
 * stands in the file is read afterwards, and its events shall still tell whose they are. */
static bool outlives_node(struct obs_follow *f, struct entry *en, struct obs_node **copy)
{
	bool waits = *f->opt.stream.paused && obs_stream_lag(en->stream) > 0;

	if (!waits && !en->kept)
		return false;
	if (!*copy) {
		*copy = malloc(sizeof(**copy));
		if (!*copy)
			return false;
		**copy = *en->node;
		(*copy)->streams = 0;
		(*copy)->pending = (struct obs_buf){};
	}
	leave_node(en);
	en->node = *copy;
	en->node->streams++;
	en->orphan = true;
	en->until_ns = en->kept ? obs_boot_ns() + ENGINE_REST_NS : 0;
	obs_stream_set_owner(en->stream, en->node);
	set_behind(f, en, true, true);
	return true;
}

void obs_follow_node_gone(struct obs_follow *f, struct obs_node *node)
{
	struct obs_node *copy = NULL;
	struct entry *en, *next;

	drop_errands(f, node);
	drop_places(f, node);
	f->n_repairs -= f->repairs[node->slot] != NULL;
	release(&f->repairs[node->slot]);
	HASH_ITER(hh, f->entries, en, next)
	{
		if (en->node == node && !outlives_node(f, en, &copy))
			end_entry(f, en);
	}
}

/* --- once a second --- */

static void follow_configured(struct obs_follow *f, const char *path)
{
	struct obs_file_id id;
	struct key key;
	int fd = use_fd(f, open_regular(path));

	if (fd < 0 || !is_expected(f, fd, NULL, &id)) {
		obs_closep(&fd);
		return;
	}
	key = file_key(&id);
	if (find(f, &key) || is_full(f))
		obs_closep(&fd);
	else
		set_behind(f, follow_fd(f, NULL, 0, &id, fd, path, false), true, false);
}

static void find_configured(struct obs_follow *f)
{
	const struct obs_strv *globs = &f->opt.config->log_files;

	for (size_t i = 0; i < globs->n; i++) {
		glob_t found;

		if (glob(globs->v[i], GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++)
			follow_configured(f, found.gl_pathv[j]);
		globfree(&found);
	}
}

/* A file that was rotated away, or lost its name, and that nobody writes to any more. */
static bool is_abandoned(struct entry *en, uint64_t now_ns)
{
	uint64_t quiet_ns = now_ns - obs_stream_active_ns(en->stream);
	int fd = obs_stream_fd(en->stream);
	bool moved;
	struct stat st;

	if (obs_stream_kind(en->stream) != OBS_STREAM_FILE || fd < 0 || fstat(fd, &st) < 0)
		return false;
	moved = st.st_nlink == 0 || en->rotated || place_of(fd) != en->place;
	obs_stream_leave_behind(en->stream, moved);
	if (!moved || en->behind || obs_stream_active_ns(en->stream) > now_ns)
		return false;
	return quiet_ns > (st.st_nlink == 0 || en->rotated ? UNLINKED_KEEP_NS : ROTATED_KEEP_NS);
}

static void tell_assembly(struct obs_follow *f)
{
	const struct obs_counters *c = f->opt.stream.counters;

	if (obs_counter_get(&c->lines_put_off) + obs_counter_get(&c->lines_split) > 0)
		say_once(&f->assembly_told, "lines without an end take limits.assembly_bytes: "
					    "those of files are read again later, those of "
					    "consoles are split");
}

void obs_follow_sweep(struct obs_follow *f)
{
	uint64_t now_ns = obs_boot_ns();
	bool all = now_ns - f->fresh_ns > CURSORS_FRESH_NS;
	struct obs_rewrite rewrite;
	struct entry *en, *next;
	bool abandoned;

	find_configured(f);
	run_errands(f);
	tell_assembly(f);
	look_at_places(f);
	count_missed(f);
	if (all)
		f->fresh_ns = now_ns;
	HASH_ITER(hh, f->entries, en, next)
	{
		en->touched |= all;
		if (obs_stream_sweep(en->stream)) {
			en->touched = true;
			set_behind(f, en, true, false);
		}
		look_after_cut(f, en);
		abandoned = is_abandoned(en, now_ns);
		if (obs_stream_silent(en->stream, now_ns))
			en->touched = true;
		if (obs_stream_take_rewrites(en->stream, &rewrite)) {
			en->touched = true;
			f->opt.rewritten(f->opt.stream.ctx, en->stream, &rewrite);
		}
		if (en->orphan && en->kept)
			set_behind(f, en, true, true); /* its end is in read_on() */
		if (abandoned && !*f->opt.stream.paused)
			end_entry(f, en);
	}
}

void obs_follow_all_behind(struct obs_follow *f)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		/* an engine's file is read later: what is captured shall be known by then */
		if (obs_stream_kind(en->stream) == OBS_STREAM_FILE && !en->repair)
			set_behind(f, en, true, true);
	}
}

bool obs_follow_is_behind(const struct obs_follow *f)
{
	return f->n_behind > 0;
}

static void read_on(struct obs_follow *f, struct entry *en, size_t slice_bytes)
{
	f->opt.stream.slice_bytes = slice_bytes;
	en->touched = true;
	set_behind(f, en, obs_stream_catch_up(en->stream, en->to_end), en->to_end);
	f->opt.stream.slice_bytes = 0;
	if (en->orphan && !en->behind && obs_boot_ns() >= en->until_ns)
		end_entry(f, en);
}

static void fill_allowance(struct obs_follow *f, uint64_t now_ns)
{
	double rate = (double)f->opt.config->limits.backfill_bytes_per_s;
	double more = (double)(now_ns - f->filled_ns) * 1e-9 * rate;

	/* what was not used in a tenth of a second is not saved up */
	f->allowance += (int64_t)(more < rate / 10 ? more : rate / 10);
	if ((double)f->allowance > rate / 10)
		f->allowance = (int64_t)(rate / 10);
	f->filled_ns = now_ns;
}

/* A slice of an old log. Return: as obs_follow_catch_up(). */
static int read_old(struct obs_follow *f, struct entry *en)
{
	uint64_t now_ns = obs_boot_ns(), lag = obs_stream_lag(en->stream);
	bool live = now_ns < f->live_ns + LIVE_NS;

	fill_allowance(f, now_ns);
	if (live && f->allowance <= 0) {
		obs_count(&f->opt.stream.counters->backfill_waits, 1);
		return 1 + (int)(-f->allowance * 1000 /
				 (int64_t)f->opt.config->limits.backfill_bytes_per_s);
	}
	en->turn = ++f->turns;
	f->allowance -= (int64_t)(live && lag > LIVE_SLICE_BYTES ? LIVE_SLICE_BYTES : 0);
	read_on(f, en, live ? LIVE_SLICE_BYTES : 0);
	return 0;
}

int obs_follow_catch_up(struct obs_follow *f)
{
	struct entry *en, *next, *old = NULL;
	int wait_ms = 0;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (!en->behind)
			continue;
		if (obs_stream_lag(en->stream) <= BACKLOG_BYTES || en->repair)
			read_on(f, en, 0);
		else if (!old || en->turn < old->turn)
			old = en;
	}
	if (old)
		wait_ms = read_old(f, old);
	return f->n_behind > 0 ? wait_ms : -1;
}

static void restart_entry(struct obs_follow *f, struct entry *en)
{
	struct obs_stream_start start = { .tail_lines = f->opt.config->initial_tail_lines };
	struct obs_cursor zero = { .file = *obs_stream_file(en->stream),
				   .epoch = obs_stream_epoch(en->stream) };
	int fd = obs_stream_fd(en->stream);
	struct obs_stream *fresh;
	bool young;

	if (fd < 0)
		return; /* what was captured is all there is */
	young = is_younger(fd, f->opt.outlet->created_ns);
	start.kept = en->kept;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 ||
	    obs_stream_new_file(&f->opt.stream, &zero.file, fd, obs_stream_path(en->stream),
				young ? &zero : NULL, &start, en->node, &fresh) < 0)
		return;
	obs_stream_set_zone(fresh, obs_stream_take_zone(en->stream));
	obs_stream_free(&en->stream);
	en->stream = fresh;
	if (en->repair)
		obs_stream_set_heard(fresh, en->repair->heard);
	en->touched = true;
	set_behind(f, en, true, true);
}

void obs_follow_restart(struct obs_follow *f)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (obs_stream_kind(en->stream) == OBS_STREAM_FILE)
			restart_entry(f, en);
	}
}

void obs_follow_cursors(struct obs_follow *f, int (*put)(void *ctx, const struct obs_cursor *c),
			void *ctx)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (!en->touched)
			continue;
		en->touched = false;
		put_cursor(f, en, put, ctx);
		if (en->repair && obs_stream_read_wall_ns(en->stream) > en->repair->read_ns)
			en->repair->read_ns = obs_stream_read_wall_ns(en->stream);
	}
	save_repairs(f);
}

/* --- life --- */

static uint32_t signs_of(unsigned what)
{
	return (what & OBS_WATCH_MODIFIED ? OBS_STREAM_MODIFIED : 0) |
	       (what & OBS_WATCH_OPENED ? OBS_STREAM_OPENED : 0);
}

static void on_watched(void *ctx, int wd, unsigned what, const char *name)
{
	struct obs_follow *f = ctx;
	struct entry *en, *next;

	if (wd >= 0 && wd == f->canary_wd) {
		f->canary_seen |= (what & OBS_WATCH_MODIFIED) != 0;
		return;
	}
	if (what & OBS_WATCH_MISSED) {
		obs_count(&f->opt.stream.counters->watch_overflows, 1);
		obs_follow_all_behind(f);
	}
	if (note_place(f, wd, what, name)) {
		look_at_places(f);
		f->opt.activity(f->opt.stream.ctx);
		return;
	}
	HASH_ITER(hh, f->entries, en, next)
	{
		if (en->wd != wd)
			continue;
		obs_stream_sign(en->stream, signs_of(what));
		if (!(what & OBS_WATCH_MODIFIED))
			continue;
		f->live_ns = obs_boot_ns();
		set_behind(f, en, true, true);
		if (obs_stream_lag(en->stream) <= BACKLOG_BYTES)
			read_on(f, en, 0);
		f->opt.activity(f->opt.stream.ctx);
	}
}

/* The store, sinks, servers and passing looks at /proc need some, too. */
static int fd_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)lim.rlim_cur - FDS_RESERVED;
}

int obs_follow_new(const struct obs_follow_options *opt, struct obs_follow **ret)
{
	struct obs_follow *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->opt = *opt;
	f->canary_wd = -1;
	f->assembly.max_bytes = opt->config->limits.assembly_bytes;
	f->opt.stream.assembly = &f->assembly;
	f->fd_limit = fd_limit();
	f->start_ns = obs_wall_ns();
	r = obs_watch_new(opt->loop, on_watched, f, &f->watch);
	if (r < 0)
		obs_warn("inotify is not to be had (%s): files outside of nodes are looked at once "
			 "a second",
			 strerror(-r));
	*ret = f;
	return 0;
}

void obs_follow_stop(struct obs_follow *f)
{
	struct entry *en, *next;

	HASH_ITER(hh, f->entries, en, next)
	{
		if (obs_stream_kind(en->stream) == OBS_STREAM_CONSOLE)
			obs_stream_end(en->stream);
		else if (!en->repair || en->orphan)
			obs_stream_catch_up(en->stream, en->to_end);
		en->touched = true;
	}
	obs_watch_free(&f->watch);
}

void obs_follow_free(struct obs_follow **fp)
{
	struct obs_follow *f = *fp;
	struct entry *en, *next;

	if (!f)
		return;
	drop_errands(f, NULL);
	drop_places(f, NULL);
	HASH_ITER(hh, f->entries, en, next)
	drop_entry(f, en);
	for (size_t slot = 0; slot < OBS_TARGETS_MAX; slot++)
		release(&f->repairs[slot]);
	free(f);
	*fp = NULL;
}

size_t obs_follow_count(const struct obs_follow *f)
{
	return HASH_COUNT(f->entries);
}

int obs_follow_watch_canary(struct obs_follow *f, int fd)
{
	f->canary_seen = false;
	f->canary_wd = f->watch ? obs_watch_add(f->watch, fd) : -ENOSYS;
	return f->canary_wd < 0 ? f->canary_wd : 0;
}

bool obs_follow_saw_canary(const struct obs_follow *f)
{
	return f->canary_seen;
}
