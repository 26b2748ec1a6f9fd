// SPDX-License-Identifier: BSD-2-Clause
/*
 * ways.c - writes log files in every way there is; static, so that it runs in an empty image.
 *
 *   ways run DIR         commands from standard input, one a line, each answered by one line:
 *       told             every way that a probe must tell of    -> "done N ways, N not here: NAME…"
 *       found            those that only a look at the file finds
 *       NAME             one way                                -> the same
 *   ways console DIR     the same with names of console ways, which write to standard output;
 *                        DIR is for their sources; answers go to standard error
 *   ways terminal DIR    the same, standard output being a pseudo-terminal
 *   ways write DIR NAME  one way, by this process itself
 *   ways list            names, one a line
 *   ways check DIR EVENTS [-c] [NAME...]
 *                        are the lines of DIR/NAME.log in EVENTS (JSON lines), each once?
 *                        -c: and were those of plain writes caught at the write?
 *   ways files DIR [looks] [far DIR2]
 *                        commands are phases of what happens to log files, see files.h; looks: the
 *                        observer is not told of writes, it only looks; DIR2: for those that
 *                        happen on another file system
 *   ways files-check DIR EVENTS
 *
 * Each way runs in a child of its own, named as the way is.
 */
#include "ways.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "util/cleanup.h"

static const struct way *const tables[] = { calls, rings, sharers, memories };

static char text[ALL_BYTES] __attribute__((aligned(4096)));

int write_all(int fd, const char *p, size_t n, size_t step)
{
	for (size_t at = 0; at < n; at += step) {
		size_t part = n - at < step ? n - at : step;

		if (write(fd, p + at, part) != (ssize_t)part)
			return -1;
	}
	return 0;
}

int write_want(const struct job *j, const char *p, size_t n)
{
	char path[PATH_BYTES + 8];
	cleanup_close int fd = -1;

	snprintf(path, sizeof(path), "%s.want", j->path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : write_all(fd, p, n, n);
}

int await(int pid, int signal)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return signal && WIFSIGNALED(status) && WTERMSIG(status) == signal ? 0 : -1;
}

/* "[2025-10-26 23:30:27,842][ways][INFO] - NAME line 0001 ....\n", LINE_BYTES each. */
static void make_text(const char *name)
{
	for (size_t i = 0; i < ALL_BYTES / LINE_BYTES; i++) {
		char *line = text + i * LINE_BYTES, head[LINE_BYTES];
		int n = snprintf(head, sizeof(head),
				 "[2025-10-26 23:30:27,842][ways][INFO] - %.12s %03zu", name, i);

		memset(line, '.', LINE_BYTES - 1);
		memcpy(line, head, (size_t)n);
		line[LINE_BYTES - 1] = '\n';
	}
}

static bool is_console(const struct way *w)
{
	return strncmp(w->name, "c-", 2) == 0;
}

static int run_here(const char *dir, const struct way *w)
{
	cleanup_close int fd = -1;
	struct job j = { .name = w->name, .text = text, .fd = 1 };
	int stem = (int)(w->keep ? strcspn(w->name, "-") : strlen(w->name));

	snprintf(j.path, sizeof(j.path), "%s/%.*s.log", dir, stem, w->name);
	prctl(PR_SET_NAME, w->name);
	make_text(w->name);
	if (is_console(w))
		return w->run(&j);
	fd = open(j.path, w->keep ? O_RDWR | O_CLOEXEC : O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		  0644);
	j.fd = fd;
	return fd < 0 ? -1 : w->run(&j);
}

/* Return: 1 done, 0 not to be had on this kernel or file system, -1 failed (said why). */
static int run_child(const char *dir, const struct way *w)
{
	int pid = fork(), status;

	if (pid == 0)
		_exit(run_here(dir, w) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		fprintf(stderr, "ways: %s: no exit status\n", w->name);
		return -1;
	}
	switch (WEXITSTATUS(status)) {
	case 0:
		return 1;
	case ENOSYS:
	case EOPNOTSUPP:
	case EINVAL:
	case EPERM:
		fprintf(stderr, "ways: %s: not here: %s\n", w->name, strerror(WEXITSTATUS(status)));
		return 0;
	default:
		fprintf(stderr, "ways: %s: %s\n", w->name, strerror(WEXITSTATUS(status)));
		return -1;
	}
}

static bool is_meant(const struct way *w, const char *command)
{
	if (strcmp(command, "told") == 0)
		return w->how != FOUND && !w->keep;
	if (strcmp(command, "found") == 0)
		return w->how == FOUND;
	return strcmp(command, w->name) == 0;
}

static int obey_console(const char *dir, const char *command)
{
	for (const struct way *w = consoles; w->name; w++) {
		if (strcmp(command, w->name) == 0) {
			int r = run_child(dir, w);

			fprintf(stderr, "%s\n", r > 0 ? "done" : r == 0 ? "not here" : "FAILED");
			return r < 0 ? 1 : 0;
		}
	}
	fprintf(stderr, "FAILED: unknown\n");
	return 1;
}

static int obey(const char *dir, const char *command)
{
	int n[3] = {}, *failed = &n[0], *missing = &n[1], *done = &n[2];
	char absent[1024] = "";

	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		for (const struct way *w = tables[t]; w->name; w++) {
			int r = is_meant(w, command) ? run_child(dir, w) : 2;
			size_t len = strlen(absent);

			if (r <= 1)
				n[r + 1]++;
			if (r == 0)
				snprintf(absent + len, sizeof(absent) - len, " %s", w->name);
		}
	}
	printf("%s %d ways, %d not here:%s\n", *failed ? "FAILED" : "done", *done + *failed,
	       *missing, absent);
	return *failed ? 1 : 0;
}

static int run(const char *dir, int (*fn)(const char *dir, const char *command))
{
	char command[64];
	int ret = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(command, sizeof(command), stdin)) {
		command[strcspn(command, "\n")] = '\0';
		ret |= fn(dir, command);
	}
	return ret;
}

static int obey_told(const char *dir, const char *phase)
{
	return files_obey(dir, phase, true);
}

static int obey_looks(const char *dir, const char *phase)
{
	return files_obey(dir, phase, false);
}

/* A child whose standard output is a terminal; what comes out of it is thrown away. */
static int on_terminal(const char *dir)
{
	cleanup_close int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64], buf[4096];
	int pid;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		int terminal = open(name, O_RDWR | O_NOCTTY);

		if (terminal < 0 || dup2(terminal, STDOUT_FILENO) < 0)
			_exit(1);
		close(terminal);
		_exit(run(dir, obey_console));
	}
	while (pid > 0 && read(master, buf, sizeof(buf)) > 0) /* EIO: nobody has it open any more */
		;
	return await(pid, 0) < 0 ? 1 : 0;
}

static int run_files(int argc, char **argv)
{
	bool looks = argc > 3 && strcmp(argv[3], "looks") == 0;
	char **more = argv + 3 + looks;

	if (argc == 5 + looks && strcmp(more[0], "far") == 0)
		files_far(more[1]);
	else if (argc != 3 + looks)
		return 2;
	return run(argv[2], looks ? obey_looks : obey_told);
}

static const struct way *find(const char *name)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct way *w = tables[t]; w->name; w++)
			if (strcmp(name, w->name) == 0)
				return w;
	return NULL;
}

static int write_one(const char *dir, const char *name)
{
	const struct way *w = find(name);

	if (!w || run_here(dir, w) < 0) {
		fprintf(stderr, "ways: %s: %s\n", name, w ? strerror(errno) : "unknown");
		return 1;
	}
	return 0;
}

static int list(void)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct way *w = tables[t]; w->name; w++)
			printf("%s\n", w->name);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		return list();
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2], obey);
	if (argc == 3 && strcmp(argv[1], "console") == 0)
		return run(argv[2], obey_console);
	if (argc == 3 && strcmp(argv[1], "terminal") == 0)
		return on_terminal(argv[2]);
	if (argc == 4 && strcmp(argv[1], "write") == 0)
		return write_one(argv[2], argv[3]);
	if (argc >= 4 && strcmp(argv[1], "check") == 0)
		return check(argv[2], argv[3], argc - 4, argv + 4);
	if (argc >= 3 && strcmp(argv[1], "files") == 0)
		return run_files(argc, argv);
	if (argc == 4 && strcmp(argv[1], "files-check") == 0)
		return files_check(argv[2], argv[3]);
	fprintf(stderr,
		"usage: ways list | run DIR | console DIR | terminal DIR | write DIR NAME | check DIR EVENTS [NAME...]\n"
		"       | files DIR [looks] [far DIR2] | files-check DIR EVENTS\n");
	return 2;
}
