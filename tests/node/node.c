// SPDX-License-Identifier: BSD-2-Clause
/*
 * node.c - an RL-Swarm node's look-alike: its processes, command lines, files and
 * consoles, playing a scenario (script.h). No network, no Python, no dependencies.
 *
 *   bash ./run_rl_swarm.sh                          launcher, writes what the script echoes
 *     node …/next start                             server, its stdout is logs/yarn.log
 *     python -m rgym_exp.runner.swarm_launcher …    trainer, writes the logs
 *       python -m rgym_exp.runner.swarm_launcher …  "DHT-1", a fork of the trainer
 *         …/hivemind_cli/p2pd …                     stdout and stderr are a socketpair
 *
 * Every one of them is this program, started again through a link with the right name,
 * so that comm and command line are the real ones. The environment says which it is.
 */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PACKAGES  ".venv/lib/python3.10/site-packages"
#define WANDB_RUN "logs/wandb/offline-run-20250925_173402-dvq6tlnf"
#define GATES_MAX 64
#define GATE_FD	  3 /* the shared page, in every process */

#define ENV_ROLE   "NODE_ROLE"
#define ENV_SCRIPT "NODE_SCRIPT"
#define ENV_HOLD   "NODE_HOLD"
#define ENV_STAY   "NODE_STAY"

/* Shared by all processes of the node: how many gates are open, and since when. */
struct shared {
	_Atomic uint32_t open;
	uint32_t pad;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t open_ns[GATES_MAX];
};

struct player {
	struct shared *shared;
	struct node_script script;
	int fds[PLACE_MAX]; /* -1 = another process writes there */
	bool launcher;	    /* waits with signals, see wait_launcher() */
	uint64_t now_ns;    /* the script's time */
	uint32_t gates;	    /* passed so far */
	pid_t trainer, server;
	char buf[NODE_TEXT_MAX];
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void write_all(int fd, const char *buf, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, buf, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			die("write");
		buf += done;
		n -= done;
	}
}

static int open_log(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		die("%s", path);
	return fd;
}

/* --- starting the processes -------------------------------------------------- */

static void make_dirs(const char *path)
{
	char buf[512];

	snprintf(buf, sizeof(buf), "%s", path);
	for (char *p = buf + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;

		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			die("mkdir %s", buf);
		*p = end;
		if (!end)
			return;
	}
}

static void make_link(const char *to, const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		die("unlink %s", path);
	if (symlink(to, path) < 0)
		die("symlink %s", path);
}

/* The node's files, below the working directory. */
static void make_tree(void)
{
	char self[512];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		die("/proc/self/exe");
	self[n] = '\0';
	make_dirs(PACKAGES "/hivemind/hivemind_cli");
	make_dirs(".venv/bin");
	make_dirs("modal-login/node_modules/.bin");
	make_dirs("rgym_exp/config");
	make_dirs(WANDB_RUN "/logs");
	make_link(self, ".venv/bin/bash");
	make_link(self, ".venv/bin/python");
	make_link(self, ".venv/bin/node");
	make_link(self, PACKAGES "/hivemind/hivemind_cli/p2pd");
	make_link(strrchr(WANDB_RUN, '/') + 1, "logs/wandb/latest-run");
	make_link("latest-run/logs/debug.log", "logs/wandb/debug.log");
	close(open_log(WANDB_RUN "/logs/debug.log", 0));
}

static void become(const char *role, const char *path, char *const argv[])
{
	if (setenv(ENV_ROLE, role, 1) < 0)
		die("setenv");
	execv(path, argv);
	die("exec %s", path);
}

/* The launcher's death must not leave the rest behind. */
static pid_t fork_child(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	return 0;
}

/* The launcher takes its signals in wait_launcher(). Blocked before it is started again as
 * "bash", so that none is lost on the way. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static pid_t start_server(void)
{
	char dir[400], next[512];
	pid_t pid;
	int fd;

	/* The launcher runs `yarn build > yarn.log`, then `yarn start >> yarn.log`. */
	close(open_log("logs/yarn.log", O_TRUNC));
	fd = open_log("logs/yarn.log", 0);
	pid = fork_child();
	if (pid == 0) {
		if (!getcwd(dir, sizeof(dir)))
			die("getcwd");
		snprintf(next, sizeof(next), "%s/modal-login/node_modules/.bin/next", dir);
		if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
			die("dup2");
		unblock_signals();
		become("server", ".venv/bin/node", (char *[]){ "node", next, "start", NULL });
	}
	close(fd);
	return pid;
}

static pid_t start_trainer(void)
{
	char dir[400], config[512];
	pid_t pid = fork_child();

	if (pid > 0)
		return pid;
	if (!getcwd(dir, sizeof(dir)))
		die("getcwd");
	snprintf(config, sizeof(config), "%s/rgym_exp/config", dir);
	unblock_signals();
	become("trainer", ".venv/bin/python",
	       (char *[]){ "python", "-m", "rgym_exp.runner.swarm_launcher", "--config-path",
			   config, "--config-name", "rg-swarm.yaml", NULL });
	return -1;
}

static void start_p2pd(int fd)
{
	char dir[400], path[512], id[512];

	if (fork_child() != 0)
		return;
	if (!getcwd(dir, sizeof(dir)))
		die("getcwd");
	snprintf(path, sizeof(path), "%s/" PACKAGES "/hivemind/hivemind_cli/p2pd", dir);
	snprintf(id, sizeof(id), "-id=%s/swarm.pem", dir);
	if (dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		die("dup2");
	become("p2pd", path,
	       (char *[]){ path, "-autoRelay=0", "-autonat=1", "-b=1", "-connManager=1",
			   "-idleTimeout=30s", "-listen=/unix/tmp/hivemind-p2pd-i12aq_D1-4U.sock",
			   "-natPortMap=1", "-relay=1", "-relayHopLimit=0", "-tls=1",
			   "-persistentConnMaxMsgSize=4194304", "-dhtServer=1",
			   "-bootstrapPeers=/ip4/38.101.215.12/tcp/30011/p2p/"
			   "QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ",
			   "-hostAddrs=/ip4/0.0.0.0/tcp/0,/ip4/0.0.0.0/udp/0/quic", id, NULL });
}

/* hivemind's DHT is a forked process that starts p2pd and reads what it says. */
static void start_dht(void)
{
	char buf[4096];
	int pair[2];

	if (fork_child() != 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	start_p2pd(pair[1]);
	close(pair[1]);
	while (read(pair[0], buf, sizeof(buf)) > 0)
		;
	for (;;)
		pause();
}

/* --- waiting ------------------------------------------------------------------ */

static void open_gate(struct shared *sh)
{
	uint32_t i = atomic_load(&sh->open);

	if (i == GATES_MAX)
		die("more than %d gates", GATES_MAX);
	sh->open_ns[i] = clock_ns();
	atomic_store(&sh->open, i + 1);
	syscall(SYS_futex, &sh->open, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void say(const char *text)
{
	write_all(1, text, strlen(text));
}

/* What the real script's EXIT trap does. */
static _Noreturn void shut_down(struct player *p, int code)
{
	say("\033[32m>> Shutting down trainer...\033[0m\n");
	if (p->trainer > 0)
		kill(p->trainer, SIGTERM);
	if (p->server > 0)
		kill(p->server, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0)
		;
	exit(code);
}

static void reap(struct player *p)
{
	char text[256];
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->server)
			p->server = 0;
		if (pid != p->trainer)
			continue;
		p->trainer = 0;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			snprintf(text, sizeof(text),
				 "./run_rl_swarm.sh: line 323: %5d Killed                  "
				 "python -m rgym_exp.runner.swarm_launcher --config-path "
				 "\"$ROOT/rgym_exp/config\" --config-name \"rg-swarm.yaml\"\n",
				 pid);
			write_all(2, text, strlen(text));
		}
		if (status != 0)
			say("\033[31m>> An error was detected while running rl-swarm. See "
			    "/home/gensyn/rl_swarm/logs for full logs.\033[0m\n");
		if (getenv(ENV_STAY))
			continue;
		shut_down(p, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
}

/* The launcher waits with its signals: SIGUSR1 opens a gate, SIGCHLD and SIGTERM end it.
 * @until_ns: UINT64_MAX = until gate @gate is open. */
static void wait_launcher(struct player *p, uint64_t until_ns, uint32_t gate)
{
	struct timespec ts = {};
	uint64_t now;
	sigset_t set;
	int sig;

	sigprocmask(SIG_BLOCK, NULL, &set);
	for (;;) {
		now = clock_ns();
		if (until_ns == UINT64_MAX ? atomic_load(&p->shared->open) >= gate
					   : now >= until_ns)
			return;
		if (until_ns != UINT64_MAX) {
			ts.tv_sec = (until_ns - now) / 1000000000;
			ts.tv_nsec = (until_ns - now) % 1000000000;
		}
		sig = sigtimedwait(&set, NULL, until_ns == UINT64_MAX ? NULL : &ts);
		if (sig == SIGUSR1)
			open_gate(p->shared);
		else if (sig == SIGCHLD)
			reap(p);
		else if (sig == SIGTERM || sig == SIGINT)
			shut_down(p, 128 + sig);
	}
}

static void wait_time(struct player *p, uint64_t until_ns)
{
	struct timespec ts = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

	if (p->launcher)
		wait_launcher(p, until_ns, 0);
	else
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
			;
}

static void wait_gate(struct player *p)
{
	uint32_t open;

	if (++p->gates > GATES_MAX)
		die("more than %d gates", GATES_MAX);
	if (p->launcher)
		wait_launcher(p, UINT64_MAX, p->gates);
	while ((open = atomic_load(&p->shared->open)) < p->gates)
		syscall(SYS_futex, &p->shared->open, FUTEX_WAIT, open, NULL, NULL, 0);
	p->now_ns = p->shared->open_ns[p->gates - 1];
}

/* --- playing ------------------------------------------------------------------ */

static void play_burst(struct player *p, const struct node_op *op)
{
	uint64_t start_ns = clock_ns();

	if (p->fds[PLACE_FILE] < 0)
		return;
	for (unsigned long i = 1; i <= op->n; i++) {
		size_t n = node_burst_line(i, op->n, op->bytes, p->buf);

		if (op->rate > 0)
			wait_time(p, start_ns + (uint64_t)(i - 1) * 1000000000 / op->rate);
		write_all(p->fds[PLACE_FILE], p->buf, n);
	}
	p->now_ns = clock_ns();
}

static void play_end(struct player *p, const struct node_op *op)
{
	fflush(NULL);
	if (p->fds[PLACE_FILE] < 0) /* only the trainer ends so */
		return;
	if (op->kind == OP_EXIT)
		exit((int)op->n);
	signal((int)op->n, SIG_DFL);
	kill(getpid(), (int)op->n);
	pause();
}

static char *volatile eaten; /* a compiler leaves out memory that nobody can see */

static void play_eat(const struct player *p, const struct node_op *op)
{
	if (p->fds[PLACE_FILE] < 0)
		return;
	for (unsigned long i = 0; i < op->n; i++) {
		char *mib = malloc(1 << 20);

		if (!mib)
			die("malloc");
		memset(mib, 1, 1 << 20);
		eaten = mib;
	}
}

static void play_forks(struct player *p, const struct node_op *op)
{
	uint64_t start_ns = clock_ns();

	if (p->fds[PLACE_FILE] < 0)
		return;
	for (unsigned long i = 0; i < op->n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) < 0)
			die("fork");
		if (op->rate > 0)
			wait_time(p, start_ns + (uint64_t)(i + 1) * 1000000000 / op->rate);
	}
	p->now_ns = clock_ns();
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void play_spin(struct player *p, const struct node_op *op)
{
	uint64_t until_ns = cpu_ns() + op->n * 1000000;

	if (p->fds[PLACE_FILE] < 0)
		return;
	while (cpu_ns() < until_ns)
		;
	p->now_ns = clock_ns();
}

/* Both ends are ours: nobody will ever read. */
static void play_hang_pipe(const struct player *p)
{
	static const char page[4096];
	int ends[2];

	if (p->fds[PLACE_FILE] < 0)
		return;
	if (pipe(ends) < 0)
		die("pipe");
	for (;;)
		write_all(ends[1], page, sizeof(page));
}

/* A server that takes the connection, as the kernel does by itself, and never answers. */
static void play_hang_port(const struct player *p, const struct node_op *op)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)op->n),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server, client, on = 1;
	char byte;

	if (p->fds[PLACE_FILE] < 0)
		return;
	server = socket(AF_INET, SOCK_STREAM, 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(server, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(server, 1) < 0 ||
	    connect(client, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("port %lu", op->n);
	while (recv(client, &byte, 1, 0) != 0)
		;
}

static void play_write(struct player *p, const struct node_op *op, unsigned long turn)
{
	p->now_ns += (uint64_t)op->delay_ms * 1000000;
	wait_time(p, p->now_ns);
	if (p->fds[op->place] >= 0)
		write_all(p->fds[op->place], p->buf, node_text_expand(op->text, turn, p->buf));
}

/* Play instructions @from to @to (excluded), inside turn @turn of a loop. */
static void play(struct player *p, size_t from, size_t to, unsigned long turn)
{
	for (size_t i = from; i < to; i++) {
		const struct node_op *op = &p->script.ops[i];

		switch (op->kind) {
		case OP_WRITE:
			play_write(p, op, turn);
			break;
		case OP_BURST:
			play_burst(p, op);
			break;
		case OP_LOOP:
			for (unsigned long k = 0; op->n == 0 || k < op->n; k++)
				play(p, i + 1, op->loop, op->bytes + k);
			i = op->loop;
			break;
		case OP_END:
			break;
		case OP_GATE:
			wait_gate(p);
			break;
		case OP_EAT:
			play_eat(p, op);
			break;
		case OP_FORKS:
			play_forks(p, op);
			break;
		case OP_SPIN:
			play_spin(p, op);
			break;
		case OP_HANG_PIPE:
			play_hang_pipe(p);
			break;
		case OP_HANG_PORT:
			play_hang_port(p, op);
			break;
		case OP_EXIT:
		case OP_CRASH:
			play_end(p, op);
			break;
		}
	}
}

/* --- roles -------------------------------------------------------------------- */

static void role_launcher(struct player *p)
{
	p->launcher = true;
	p->fds[PLACE_SH] = 1;
	p->server = start_server();
	p->trainer = start_trainer();
	play(p, 0, p->script.n_ops, 0);
	/* reap() ends it when the trainer does */
	wait_launcher(p, UINT64_MAX, UINT32_MAX);
}

static void role_trainer(struct player *p)
{
	p->fds[PLACE_FILE] = open_log("logs/swarm_launcher.log", 0);
	p->fds[PLACE_WANDB] = open_log(WANDB_RUN "/logs/debug.log", 0);
	p->fds[PLACE_OUT] = 1;
	p->fds[PLACE_ERR] = 2;
	start_dht();
	play(p, 0, p->script.n_ops, 0);
	while (getenv(ENV_HOLD))
		pause();
}

static void role_server(struct player *p)
{
	p->fds[PLACE_YARN] = 1;
	play(p, 0, p->script.n_ops, 0);
	for (;;)
		pause();
}

static void role_p2pd(struct player *p)
{
	p->fds[PLACE_P2PD] = 1;
	play(p, 0, p->script.n_ops, 0);
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*run)(struct player *p);
} roles[] = {
	{ "launcher", role_launcher },
	{ "trainer", role_trainer },
	{ "server", role_server },
	{ "p2pd", role_p2pd },
};

static int run_role(const char *name)
{
	static struct player p;
	char *text = getenv(ENV_SCRIPT);

	for (int i = 0; i < PLACE_MAX; i++)
		p.fds[i] = -1;
	if (!text || !(text = strdup(text)))
		die(ENV_SCRIPT " is not set");
	node_script_parse(text, &p.script);
	p.shared = mmap(NULL, sizeof(*p.shared), PROT_READ | PROT_WRITE, MAP_SHARED, GATE_FD, 0);
	if (p.shared == MAP_FAILED)
		die("the shared page");
	p.now_ns = p.shared->start_ns;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(name, roles[i].name) == 0)
			roles[i].run(&p);
	}
	return 0;
}

/* --- the command line --------------------------------------------------------- */

static char *read_scenario(const char *path)
{
	size_t room = 1 << 20, n;
	char *text = malloc(room);
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;

	if (!f || !text)
		die("%s", path);
	n = fread(text, 1, room - 1, f);
	if (n == room - 1)
		die("%s: too long", path);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void make_shared(void)
{
	struct shared sh = { .start_ns = clock_ns() };
	int fd = memfd_create("node", 0);

	if (fd < 0 || write(fd, &sh, sizeof(sh)) != sizeof(sh))
		die("memfd");
	if (fd != GATE_FD && dup2(fd, GATE_FD) < 0)
		die("dup2");
	if (fd != GATE_FD)
		close(fd);
}

static void usage(void)
{
	puts("usage: node [OPTION]...\n\n"
	     "A look-alike of an RL-Swarm node that plays a scenario.\n\n"
	     "  --scenario FILE  play FILE ('-' = stdin); its format stands in tests/node/script.h\n"
	     "  --script TEXT    play TEXT, after the scenario\n"
	     "  --burst N        then write N numbered lines to swarm_launcher.log\n"
	     "  --rate N         the burst's lines per second (default: full speed)\n"
	     "  --bytes N        the length of its lines, with the newline (default 120)\n"
	     "  --gate           wait for SIGUSR1 before the burst\n"
	     "  --hold           stay alive when all is written\n"
	     "  --stay           the launcher lives on when the trainer has ended\n"
	     "  --dir DIR        the node's home (default: the working directory)");
}

struct options {
	char *scenario, *script, *dir;
	unsigned long burst, rate, bytes;
	bool gate, hold, stay;
};

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "scenario", required_argument, NULL, 's' },
		{ "script", required_argument, NULL, 't' },
		{ "burst", required_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },
		{ "bytes", required_argument, NULL, 'n' },
		{ "dir", required_argument, NULL, 'd' },
		{ "gate", no_argument, NULL, 'g' },
		{ "hold", no_argument, NULL, 'k' },
		{ "stay", no_argument, NULL, 'y' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->scenario = optarg;
			break;
		case 't':
			o->script = optarg;
			break;
		case 'd':
			o->dir = optarg;
			break;
		case 'b':
			o->burst = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->rate = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			o->bytes = strtoul(optarg, NULL, 10);
			break;
		case 'g':
			o->gate = true;
			break;
		case 'k':
			o->hold = true;
			break;
		case 'y':
			o->stay = true;
			break;
		case 'h':
			usage();
			exit(0);
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	const char *role = getenv(ENV_ROLE);
	struct options o = { .bytes = 120 };
	char *text;

	if (role)
		return run_role(role);
	parse_options(argc, argv, &o);
	text = o.scenario ? read_scenario(o.scenario) : strdup("");
	if (!text || asprintf(&text, "%s\n%s\n%s", text, o.script ? o.script : "",
			      o.gate ? "gate\n" : "") < 0)
		die("out of memory");
	if (o.burst > 0 &&
	    asprintf(&text, "%sburst %lu %lu %lu\n", text, o.burst, o.rate, o.bytes) < 0)
		die("out of memory");
	if (o.dir)
		make_dirs(o.dir);
	if (o.dir && chdir(o.dir) < 0)
		die("%s", o.dir);
	make_tree();
	make_shared();
	block_signals();
	if (setenv(ENV_SCRIPT, text, 1) < 0 || (o.hold && setenv(ENV_HOLD, "1", 1) < 0) ||
	    (o.stay && setenv(ENV_STAY, "1", 1) < 0))
		die("setenv");
	/* with its home behind it, so that whoever looks late knows whose it is */
	become("launcher", ".venv/bin/bash",
	       (char *[]){ "bash", "./run_rl_swarm.sh", o.dir, NULL });
	return 1;
}
