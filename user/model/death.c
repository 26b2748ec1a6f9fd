// SPDX-License-Identifier: BSD-2-Clause
/* death.c - see death.h. */
#include "model/death.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* What a process does to itself, by a mistake in it. */
static bool is_fault(int sig)
{
	switch (sig) {
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGSYS:
		return true;
	default:
		return false;
	}
}

static bool is_request(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;
}

int obs_death_signal(const struct obs_death *d)
{
	return d->code_known && WIFSIGNALED(d->wait_status) ? WTERMSIG(d->wait_status) : 0;
}

bool obs_death_was_told(const struct obs_death *d)
{
	return d->code_known && WIFEXITED(d->wait_status) && is_request(d->signal);
}

bool obs_death_by_other(const struct obs_death *d)
{
	if (d->oom_host || d->oom_cgroup || !d->signal || d->sender_pid == d->pid)
		return false;
	return obs_death_was_told(d) || obs_death_signal(d) == d->signal;
}

static bool failed(const struct obs_death *d)
{
	return d->code_known && WIFEXITED(d->wait_status) && WEXITSTATUS(d->wait_status) != 0 &&
	       !obs_death_was_told(d);
}

const char *obs_death_name(const struct obs_death *d)
{
	int sig = obs_death_signal(d);

	if (d->oom_host || d->oom_cgroup)
		return "oom_killed";
	if ((sig && is_fault(sig) && !obs_death_by_other(d)) || failed(d))
		return "crashed";
	if (strcmp(d->role, "trainer") == 0 && d->lives_on)
		return "trainer_gone";
	return "exited";
}

struct words {
	char *out;
	size_t size;
};

static void say(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct words *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->out, w->size, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= w->size)
		n = w->size ? (int)w->size - 1 : 0;
	w->out += n;
	w->size -= (size_t)n;
}

static void say_oom(struct words *w, const struct obs_death *d)
{
	double mib = 1024 * 1024;

	if (d->oom_cgroup)
		say(w, "the kernel killed it: the limit of %.0f MiB of cgroup %s was reached",
		    (double)d->limit_bytes / mib, *d->cgroup ? d->cgroup : "?");
	else
		say(w, "the kernel killed it: the host ran out of memory");
	if (d->rss_bytes)
		say(w, "; it had %.0f MiB resident", (double)d->rss_bytes / mib);
}

static void say_sender(struct words *w, const struct obs_death *d)
{
	if (d->by_kernel)
		say(w, " from the kernel, when process %u (%s) ended its container", d->sender_pid,
		    d->sender_comm);
	else if (d->sender_pid == d->pid)
		say(w, " from itself");
	else
		say(w, " from process %u (%s, uid %u)", d->sender_pid, d->sender_comm,
		    d->sender_uid);
}

static const char *signal_word(int sig)
{
	const char *name = sigabbrev_np(sig);

	return name ? name : "?";
}

static void say_signal(struct words *w, const struct obs_death *d, int sig)
{
	say(w, "%s SIG%s", is_fault(sig) && !obs_death_by_other(d) ? "crashed with" : "killed by",
	    signal_word(sig));
	if (sig == d->signal && !(is_fault(sig) && d->sender_pid == d->pid))
		say_sender(w, d);
	if (WCOREDUMP(d->wait_status))
		say(w, ", core dumped");
}

void obs_death_cause(const struct obs_death *d, char *out, size_t size)
{
	struct words w = { out, size };
	int sig = obs_death_signal(d);

	if (size)
		*out = '\0';
	if (d->oom_host || d->oom_cgroup)
		say_oom(&w, d);
	else if (!d->code_known)
		say(&w, "it is gone; its end was not seen");
	else if (sig)
		say_signal(&w, d, sig);
	else
		say(&w, "ended with exit code %d", WEXITSTATUS(d->wait_status));
	if (obs_death_was_told(d)) {
		say(&w, " after SIG%s", signal_word(d->signal));
		say_sender(&w, d);
	}
	if (d->error && !obs_death_by_other(d))
		say(&w, " after %s", d->error);
}
