// SPDX-License-Identifier: BSD-2-Clause
/*
 * files.c - see files.h.
 *
 * A situation is a function that is called once for each phase. It writes to places: open files
 * that know where their next line will stand.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "ways.h"

#define HUGE_BYTES     8000000
#define LINE_LIMIT     65536 /* limits.line_bytes of the observer */
#define LONG_BYTES     10000
#define CAPTURED_BYTES 4000 /* of one write: probes.payload_bytes' default */
#define MAYBE	       '?'
#define TAIL_LINES     100 /* initial_tail_lines' default */

enum phase { BEFORE, FIRST, PAUSED, RESUMED, AWAY1, AWAY2, AWAY3, BACK, GONE, PHASES };

static const char *const phases[PHASES] = { "before", "first", "paused", "resumed", "away1",
					    "away2",  "away3", "back",	 "gone" };

/* An open file. */
struct place {
	char path[PATH_BYTES];
	int fd;
	size_t at; /* where the next line will begin */
};

/* What a situation works with, from phase to phase. */
struct scene {
	const char *dir, *name;
	bool told;
	struct place log, other;
};

static FILE *want;

__attribute__((noreturn)) static void fail(const char *what)
{
	printf("FAILED %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(int r, const char *what)
{
	if (r < 0)
		fail(what);
}

__attribute__((format(printf, 3, 4))) static void expect(const struct scene *s, size_t offset,
							 const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(want, "%s\t%zu\t", s->name, offset);
	vfprintf(want, format, ap);
	fputc('\n', want);
	fflush(want);
	va_end(ap);
}

/* What stands behind the last newline is a line when its writer is gone; without a probe it is
 * by chance whether anybody knows whose a configured file is. */
static void expect_end(const struct scene *s, size_t offset, const char *text)
{
	if (!s->told)
		fputc(MAYBE, want);
	expect(s, offset, "%s", text);
}

static void path_of(const struct scene *s, const char *file, char *ret)
{
	snprintf(ret, PATH_BYTES, "%s/%s/%s", s->dir, s->name, file);
}

static void open_place(struct scene *s, struct place *p, const char *file, int flags)
{
	path_of(s, file, p->path);
	p->fd = open(p->path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	must(p->fd, p->path);
	p->at = 0;
}

static void open_log(struct scene *s)
{
	open_place(s, &s->log, "app.log", O_APPEND);
}

static void close_place(struct place *p)
{
	close(p->fd);
	p->fd = -1;
}

static void put(struct place *p, const char *data, size_t len)
{
	must(write_all(p->fd, data, len, len), p->path);
	p->at += len;
}

/* @n lines, each expected. */
static void put_lines(struct scene *s, struct place *p, const char *tag, int n)
{
	char line[LINE_BYTES];

	for (int i = 0; i < n; i++) {
		int len = snprintf(line, sizeof(line), "%s %s %d", s->name, tag, i);

		expect(s, p->at, "%s", line);
		line[len] = '\n';
		put(p, line, (size_t)len + 1);
	}
}

static void empty(struct place *p)
{
	must(truncate(p->path, 0), p->path);
	p->at = 0;
}

static void make_dir(const struct scene *s, const char *name)
{
	char path[PATH_BYTES];

	path_of(s, name, path);
	must(mkdir(path, 0755), path);
}

static void move(const struct scene *s, const char *from, const char *to)
{
	char a[PATH_BYTES], b[PATH_BYTES];

	path_of(s, from, a);
	path_of(s, to, b);
	must(rename(a, b), a);
}

/* --- rotation --- */

/* Unread data, and a last line that never got an end. */
static void renamed(struct scene *s, enum phase phase)
{
	static const char part[] = "renamed without an e";

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "first", 50);
	} else if (phase == PAUSED) {
		put_lines(s, &s->log, "unread", 50);
		expect(s, s->log.at, "%s", part);
		put(&s->log, part, sizeof(part) - 1);
		move(s, "app.log", "app.log.1");
		s->other = s->log;
		open_log(s);
		put_lines(s, &s->log, "new", 50);
	} else if (phase == RESUMED) {
		close_place(&s->other);
	}
}

/* Emptied, and grown past where it had ended. */
static void copytruncate(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "old", 20);
	} else if (phase == PAUSED) {
		empty(&s->log);
		put_lines(s, &s->log, "grown", 40);
	}
}

/* Emptied with half a line read: that is one of its own then, and the rest of it another. */
static void half_line(struct scene *s, enum phase phase)
{
	static const char half[] = "half-a", rest[] = "line.\n";

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "old", 5);
		put(&s->log, half, sizeof(half) - 1);
	} else if (phase == PAUSED) {
		expect(s, s->log.at - (sizeof(half) - 1), "%s", half);
		empty(&s->log);
		expect(s, 0, "line.");
		put(&s->log, rest, sizeof(rest) - 1);
		put_lines(s, &s->log, "new", 8);
	}
}

/* Emptied under a writer that goes on at its old offset: zeroes, then its lines. */
static void keeps_offset(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_place(s, &s->log, "app.log", O_TRUNC);
		put_lines(s, &s->log, "old", 1000);
	} else if (phase == PAUSED) {
		must(truncate(s->log.path, 0), s->log.path);
		put_lines(s, &s->log, "new", 10);
	} else if (phase == RESUMED) {
		put_lines(s, &s->log, "newer", 10);
	}
}

#define CHAIN 20

/* A chain of names, all at once. */
static void renamed_often(struct scene *s, enum phase phase)
{
	char from[32], to[32];

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "first", 5);
	}
	for (int i = 0; i < CHAIN && phase == RESUMED; i++) {
		close_place(&s->log);
		for (int j = i; j > 0; j--) {
			snprintf(from, sizeof(from), "app.log.%d", j);
			snprintf(to, sizeof(to), "app.log.%d", j + 1);
			move(s, from, to);
		}
		move(s, "app.log", "app.log.1");
		snprintf(to, sizeof(to), "file %d line", i);
		open_log(s);
		put_lines(s, &s->log, to, 20);
	}
}

/* What was captured before is kept; without a probe nobody has seen it. */
static void cut_unread(struct scene *s, enum phase phase)
{
	struct scene quiet = *s;

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "read", 20);
	} else if (phase == PAUSED) {
		if (!s->told)
			quiet.name = "nobody";
		put_lines(&quiet, &s->log, "unread", 20);
		empty(&s->log);
		put_lines(s, &s->log, "after", 5);
	}
}

/* The last write is longer than what is captured of one: the rest of it is lost, which the script
 * finds counted. */
static void cut_long(struct scene *s, enum phase phase)
{
	cleanup_free char *data = NULL;

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "read", 20);
	} else if (phase == PAUSED) {
		data = malloc(LONG_BYTES);
		if (!data)
			fail("malloc");
		memset(data, 'l', LONG_BYTES);
		data[CAPTURED_BYTES / 2 - 1] = data[LONG_BYTES - 1] = '\n';
		if (s->told) {
			expect(s, s->log.at, "%.*s", CAPTURED_BYTES / 2 - 1, data);
			expect(s, s->log.at + CAPTURED_BYTES / 2, "%.*s", CAPTURED_BYTES / 2,
			       data + CAPTURED_BYTES / 2);
		}
		put(&s->log, data, LONG_BYTES);
		empty(&s->log);
		put_lines(s, &s->log, "after", 5);
	}
}

/* Twice rotated while the observer is away. The script runs logrotate before AWAY2 and AWAY3. */
static void rotated(struct scene *s, enum phase phase)
{
	bool same_file = strstr(s->name, "copy") != NULL;

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "seen", 30);
	} else if (phase == AWAY1) {
		put_lines(s, &s->log, "unread", 60);
	} else if (phase == AWAY2 || phase == AWAY3) {
		s->log.at = 0;
		if (!same_file) {
			close_place(&s->log);
			open_log(s);
		}
		put_lines(s, &s->log, phase == AWAY2 ? "born and rotated" : "current", 60);
	} else if (phase == BACK) {
		put_lines(s, &s->log, "back", 10);
	}
}

/* By `>` at each start, to the same length, the same text. */
static void same_again(struct scene *s, enum phase phase)
{
	if (phase == FIRST)
		open_place(s, &s->other, "other.log",
			   O_APPEND); /* so that inotify has the directory */
	if (phase == FIRST || phase == PAUSED) {
		open_place(s, &s->log, "app.log", O_TRUNC);
		put_lines(s, &s->log, "start", 30);
		close_place(&s->log);
	}
}

/* --- the file itself --- */

static void inode_reused(struct scene *s, enum phase phase)
{
	char other[32];
	struct stat old, new;

	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "of the first", 20);
	} else if (phase == AWAY1) {
		must(fstat(s->log.fd, &old), s->log.path);
		close_place(&s->log);
		must(unlink(s->log.path), s->log.path);
		for (int i = 0; i < 100; i++) {
			open_log(s);
			must(fstat(s->log.fd, &new), s->log.path);
			if (new.st_ino == old.st_ino)
				break;
			close_place(&s->log);
			snprintf(other, sizeof(other), "other%d", i);
			move(s, "app.log", other);
		}
		if (s->log.fd < 0) /* tmpfs numbers on: the name is used again at least */
			open_log(s);
		put_lines(s, &s->log, "of the other, which is longer", 20);
	}
}

static void same_start(struct scene *s, enum phase phase)
{
	if (phase != FIRST)
		return;
	open_place(s, &s->log, "a.log", O_APPEND);
	open_place(s, &s->other, "b.log", O_APPEND);
	put_lines(s, &s->log, "the same", 3);
	put_lines(s, &s->other, "the same", 3);
	put_lines(s, &s->log, "then a", 3);
	put_lines(s, &s->other, "then b", 3);
}

static void deleted(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "named", 20);
	} else if (phase == RESUMED) {
		must(unlink(s->log.path), s->log.path);
		put_lines(s, &s->log, "nameless", 20);
	}
}

/* A file of three bytes, and one without an end: a line as soon as nobody of the node is left. */
static void three_bytes(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_log(s);
		expect(s, 0, "ab");
		put(&s->log, "ab\n", 3);
		open_place(s, &s->other, "open.log", O_APPEND);
		put(&s->other, "xyz", 3);
	} else if (phase == GONE) {
		expect_end(s, 0, "xyz");
	}
}

static void huge_line(struct scene *s, enum phase phase)
{
	cleanup_free char *line = NULL;

	if (phase != FIRST)
		return;
	line = malloc(HUGE_BYTES + 1);
	if (!line)
		fail("malloc");
	memset(line, 'x', HUGE_BYTES);
	line[HUGE_BYTES] = '\n';
	open_log(s);
	expect(s, 0, "%.*s", LINE_LIMIT, line);
	put(&s->log, line, HUGE_BYTES + 1);
	put_lines(s, &s->log, "after", 3);
}

/* NUL, not UTF-8, CRLF, lone CRs; text as JSON has it. */
static void strange(struct scene *s, enum phase phase)
{
	static const struct {
		const char *raw;
		size_t len;
		const char *text;
	} lines[] = {
		{ "nul\0 here\n", 10, "nul\\u0000 here" },
		{ "bad \xff\xfe\xc3(\n", 9, "bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd(" },
		{ "windows\r\n", 9, "windows" },
		{ "unix\n", 5, "unix" },
		{ "split\r\n", 7, "split" },
		{ " 50%|#  \r", 9, " 50%|#  " },
		{ "100%|###\r", 9, "100%|###" },
		{ "done\n", 5, "done" },
	};

	if (phase != FIRST)
		return;
	open_log(s);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		expect(s, s->log.at, "%s", lines[i].text);
		for (size_t at = 0; at < lines[i].len; at += 3)
			put(&s->log, lines[i].raw + at,
			    lines[i].len - at < 3 ? lines[i].len - at : 3);
	}
}

/* Interleaved in the middle of lines; the child has the file open for itself. */
static void two_writers(struct scene *s, enum phase phase)
{
	char part[LINE_BYTES];

	if (phase != FIRST)
		return;
	open_log(s);
	open_place(s, &s->other, "app.log", O_APPEND);
	for (int i = 0; i < 20; i++) {
		int len = snprintf(part, sizeof(part), "A%d begins ", i), pid;

		put(&s->log, part, (size_t)len);
		pid = fork();
		if (pid == 0) {
			len = snprintf(part, sizeof(part), "B%d between\n", i);
			put(&s->other, part, (size_t)len);
			_exit(0);
		}
		must(await(pid, 0), "child");
		len = snprintf(part, sizeof(part), "A%d begins B%d between", i, i);
		expect(s, s->other.at, "%s", part);
		s->other.at += (size_t)len + 1;
	}
}

/* --- where it is --- */

static void link_to(const struct scene *s, const char *target)
{
	char path[PATH_BYTES];

	path_of(s, "current.new", path);
	must(symlink(target, path), path);
	move(s, "current.new", "current.log");
}

/* The configured name is a link: switched to another file, and to one to come. */
static void linked(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_place(s, &s->log, "a", O_APPEND);
		open_place(s, &s->other, "b", O_APPEND);
		link_to(s, "a");
		put_lines(s, &s->log, "a", 5);
	} else if (phase == RESUMED) {
		link_to(s, "b");
		put_lines(s, &s->other, "b", 5);
	} else if (phase == BACK) {
		link_to(s, "c");
		open_place(s, &s->log, "c", O_APPEND);
		put_lines(s, &s->log, "c", 5);
	}
}

/* Neither the directory nor the file is there when the observer starts. */
static void later(struct scene *s, enum phase phase)
{
	if (phase == FIRST) {
		open_log(s);
		put_lines(s, &s->log, "beside it", 1);
	} else if (phase == RESUMED) {
		make_dir(s, "x");
		open_place(s, &s->other, "x/the.log", O_APPEND);
		put_lines(s, &s->other, "from the start", 20);
	}
}

/* 300 lines that were there first. */
static void tail(struct scene *s, enum phase phase)
{
	struct scene quiet = *s;

	if (phase != BEFORE)
		return;
	quiet.name = "nobody";
	open_log(s);
	put_lines(&quiet, &s->log, "old", 300 - TAIL_LINES);
	put_lines(s, &s->log, "old", TAIL_LINES);
	close_place(&s->log);
}

static void mount_on(const struct scene *s, const char *type, const char *options)
{
	char path[PATH_BYTES];

	path_of(s, "m", path);
	if (!(strstr(options, "remount")))
		make_dir(s, "m");
	must(mount("none", path, type, strstr(options, "remount") ? MS_REMOUNT : 0,
		   strstr(options, "remount") ? options + 8 : options),
	     path);
}

/* The disk fills up in the middle of a line, and is freed. */
static void disk_full(struct scene *s, enum phase phase)
{
	static char line[344];
	ssize_t n = 0;

	if (phase == BEFORE) {
		mount_on(s, "tmpfs", "size=64k");
	} else if (phase == FIRST) {
		memset(line, 'f', sizeof(line) - 1);
		open_place(s, &s->log, "m/app.log", O_APPEND);
		for (int i = 0; n >= 0; i++) {
			line[snprintf(line, sizeof(line), "full %d", i)] = ' ';
			line[sizeof(line) - 1] = '\n';
			n = write(s->log.fd, line, sizeof(line));
			if (n <= 0)
				break;
			expect(s, s->log.at, "%.*s", (int)(n < (ssize_t)sizeof(line) ? n : n - 1),
			       line);
			s->log.at += (size_t)n;
		}
		mount_on(s, "tmpfs", "remount,size=1m");
		if (lseek(s->log.fd, 0, SEEK_END) % (off_t)sizeof(line) != 0)
			put(&s->log, "\n", 1);
		put_lines(s, &s->log, "freed", 20);
	}
}

/* A log that came with the image and is first appended to. */
static void copied_up(struct scene *s, enum phase phase)
{
	char layers[PATH_BYTES], path[PATH_BYTES + 32], options[4 * PATH_BYTES];
	static const char *const dirs[] = { "", "/lower", "/upper", "/work" };

	if (phase == BEFORE) {
		snprintf(layers, sizeof(layers), "%s.layers", s->dir);
		for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
			snprintf(path, sizeof(path), "%s%s", layers, dirs[i]);
			must(mkdir(path, 0755), path);
		}
		snprintf(s->other.path, PATH_BYTES, "%.400s/lower/app.log", layers);
		s->other.fd = open(s->other.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		s->other.at = 0;
		put_lines(s, &s->other, "from the image", 5);
		close_place(&s->other);
		snprintf(options, sizeof(options),
			 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", layers, layers,
			 layers);
		mount_on(s, "overlay", options);
	} else if (phase == FIRST) {
		open_place(s, &s->log, "m/app.log", O_APPEND);
		s->log.at = s->other.at;
		put_lines(s, &s->log, "appended", 20);
	} else if (phase == AWAY1 || phase == BACK) {
		put_lines(s, &s->log, phase == BACK ? "back" : "away", 20);
	}
}

/* A log reached by two paths. */
static void bound(struct scene *s, enum phase phase)
{
	char from[PATH_BYTES], to[PATH_BYTES];

	if (phase == BEFORE) {
		make_dir(s, "a");
		make_dir(s, "b");
		path_of(s, "a", from);
		path_of(s, "b", to);
		must(mount(from, to, NULL, MS_BIND, NULL), to);
	} else if (phase == FIRST) {
		open_place(s, &s->log, "a/app.log", O_APPEND);
		put_lines(s, &s->log, "by one", 20);
	} else if (phase == RESUMED) {
		open_place(s, &s->other, "b/app.log", O_APPEND);
		s->other.at = s->log.at;
		put_lines(s, &s->other, "by the other", 20);
	}
}

/* --- all of them --- */

static struct situation {
	const char *name;
	void (*run)(struct scene *s, enum phase phase);
	bool far; /* on the other file system, if there is one */
	struct scene scene;
} situations[] = {
	{ "renamed", renamed },
	{ "copytruncate", copytruncate },
	{ "renamed_often", renamed_often },
	{ "half_line", half_line },
	{ "keeps_offset", keeps_offset },
	{ "cut_unread", cut_unread },
	{ "cut_long", cut_long },
	{ "rot_create", rotated },
	{ "rot_create_gz", rotated },
	{ "rot_copy", rotated },
	{ "rot_copy_gz", rotated },
	{ "same_again", same_again },
	{ "inode_reused", inode_reused },
	{ "same_start", same_start },
	{ "deleted", deleted },
	{ "three_bytes", three_bytes },
	{ "huge_line", huge_line },
	{ "strange", strange },
	{ "two_writers", two_writers },
	{ "linked", linked },
	{ "later", later },
	{ "tail", tail },
	{ "disk_full", disk_full },
	{ "copied_up", copied_up },
	{ "bound", bound },
	{ "far_renamed", renamed, .far = true },
	{ "far_copytruncate", copytruncate, .far = true },
	{ "far_cut_unread", cut_unread, .far = true },
	{ "far_rot_create", rotated, .far = true },
	{ "far_rot_copy", rotated, .far = true },
	{ "far_same_again", same_again, .far = true },
	{ "far_inode_reused", inode_reused, .far = true },
	{ "far_same_start", same_start, .far = true },
	{ "far_deleted", deleted, .far = true },
	{ "far_two_writers", two_writers, .far = true },
};

static const char *far_dir;

/* What lies in the situation's directory lies on another file system. */
static void take_far(const struct scene *s)
{
	char from[PATH_BYTES], to[PATH_BYTES];

	snprintf(from, sizeof(from), "%s/%s", far_dir, s->name);
	path_of(s, "", to);
	must(mkdir(from, 0755), from);
	must(mount(from, to, NULL, MS_BIND, NULL), to);
}

static void begin(const char *dir, bool told)
{
	char path[PATH_BYTES + 8];

	snprintf(path, sizeof(path), "%s.want", dir);
	want = fopen(path, "we");
	if (!want)
		fail(path);
	for (size_t i = 0; i < ARRAY_LEN(situations); i++) {
		struct situation *it = &situations[i];

		it->scene = (struct scene){ .dir = dir, .name = it->name, .told = told };
		it->scene.log.fd = it->scene.other.fd = -1;
		make_dir(&it->scene, "");
		if (it->far && far_dir)
			take_far(&it->scene);
	}
}

void files_far(const char *dir)
{
	far_dir = dir;
}

int files_obey(const char *dir, const char *phase, bool told)
{
	for (int p = 0; p < PHASES; p++) {
		if (strcmp(phases[p], phase) != 0)
			continue;
		if (p == BEFORE)
			begin(dir, told);
		for (size_t i = 0; i < ARRAY_LEN(situations); i++)
			situations[i].run(&situations[i].scene, p);
		printf("done %s\n", phase);
		return 0;
	}
	printf("FAILED: no phase is called %s\n", phase);
	return 1;
}

/* --- what came of it --- */

struct expected {
	char name[32];
	size_t offset;
	char *text; /* owned */
	bool seen, maybe;
};

struct book {
	struct expected *lines; /* owned */
	size_t n;
	struct {
		unsigned lines, missing, extra;
	} sums[ARRAY_LEN(situations)];
};

static void free_book(struct book *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->lines[i].text);
	free(b->lines);
}

static int number_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(situations); i++)
		if (strcmp(situations[i].name, name) == 0)
			return (int)i;
	return -1;
}

static int load_want(const char *dir, struct book *b)
{
	cleanup_free char *line = NULL;
	cleanup_fclose FILE *f = NULL;
	char path[PATH_BYTES + 8];
	size_t room = 0;
	ssize_t len;

	snprintf(path, sizeof(path), "%s.want", dir);
	f = fopen(path, "re");
	while (f && (len = getline(&line, &room, f)) > 0) {
		struct expected e = {};
		char *tab = strrchr(line, '\t');

		e.maybe = *line == MAYBE;
		line[len - 1] = '\0';
		if (!tab || sscanf(line + e.maybe, "%31s %zu", e.name, &e.offset) != 2 ||
		    number_of(e.name) < 0)
			continue;
		e.text = strdup(tab + 1);
		b->lines = reallocarray(b->lines, b->n + 1, sizeof(*b->lines));
		if (!b->lines || !e.text)
			return -1;
		b->sums[number_of(e.name)].lines++;
		b->lines[b->n++] = e;
	}
	return f ? 0 : -1;
}

/* Copies what follows @key up to a quote; false: it is not there. */
static bool get(const char *line, const char *key, char *ret, size_t size)
{
	const char *p = strstr(line, key);
	size_t len = p ? strcspn(p + strlen(key), "\"") : 0;

	if (!p || len >= size)
		return false;
	memcpy(ret, p + strlen(key), len);
	ret[len] = '\0';
	return true;
}

static void take_event(struct book *b, const char *dir, const char *line)
{
	static char text[2 * LINE_LIMIT];
	char path[PATH_BYTES], name[PATH_BYTES], offset[512];
	size_t len = strlen(dir);

	if (!get(line, "\"path\":\"", path, sizeof(path)) || strncmp(path, dir, len) != 0 ||
	    path[len] != '/' || !get(line, "\"offset\":", offset, sizeof(offset)) ||
	    !get(line, "\"message\":\"", text, sizeof(text)))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(path + len + 1, "/"), path + len + 1);
	for (size_t i = 0; i < b->n; i++) {
		struct expected *e = &b->lines[i];

		if (!e->seen && e->offset == strtoull(offset, NULL, 10) &&
		    strcmp(e->name, name) == 0 && strcmp(e->text, text) == 0) {
			e->seen = true;
			return;
		}
	}
	if (number_of(name) >= 0 && b->sums[number_of(name)].extra++ == 0)
		printf("# %s: not expected: %.200s at %llu\n", name, text,
		       strtoull(offset, NULL, 10));
}

static int take_events(struct book *b, const char *dir, const char *events)
{
	cleanup_free char *line = NULL;
	cleanup_fclose FILE *f = fopen(events, "re");
	size_t room = 0;

	while (f && getline(&line, &room, f) > 0)
		take_event(b, dir, line);
	return f ? 0 : -1;
}

int files_check(const char *dir, const char *events)
{
	OBS_CLEANUP(free_book) struct book b = {};
	int failed = 0;

	if (load_want(dir, &b) < 0 || take_events(&b, dir, events) < 0) {
		perror(events);
		return 2;
	}
	for (size_t i = 0; i < b.n; i++)
		if (!b.lines[i].seen && !b.lines[i].maybe &&
		    b.sums[number_of(b.lines[i].name)].missing++ == 0)
			printf("# %s: missing: %.200s at %zu\n", b.lines[i].name, b.lines[i].text,
			       b.lines[i].offset);
	for (size_t i = 0; i < ARRAY_LEN(situations); i++) {
		bool ok = b.sums[i].lines && !b.sums[i].missing && !b.sums[i].extra;

		printf("%s file %s: %u lines, %u missing, %u too many\n", ok ? "ok" : "not ok",
		       situations[i].name, b.sums[i].lines, b.sums[i].missing, b.sums[i].extra);
		failed += !ok;
	}
	return failed ? 1 : 0;
}
