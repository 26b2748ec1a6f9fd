// SPDX-License-Identifier: BSD-2-Clause
/* delivery.c - the thread that owns all sinks; see sink.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "sink/ops.h"
#include "sink/sender.h"
#include "sink/sink.h"
#include "util/cleanup.h"
#include "util/clock.h"

static const struct obs_sink_ops *const kinds[] = {
	&obs_sink_http,
};

struct obs_delivery {
	char *state_dir;	     /* owned */
	struct obs_sender **senders; /* owned, n entries */
	size_t n;
	CURLM *multi;
	pthread_t thread;
	bool running; /* the thread is there to be joined */

	_Atomic bool woken;	  /* new events since the thread last looked */
	_Atomic bool reopen;	  /* the store is another one now */
	_Atomic bool hungry;	  /* some sink would send a new event at once */
	_Atomic uint64_t stop_ns; /* CLOCK_MONOTONIC; 0 = go on */
};

static const struct obs_sink_ops *find_kind(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i]->kind, kind) == 0)
			return kinds[i];
	}
	return NULL;
}

static struct obs_sender *find_sender(struct obs_delivery *d, CURL *easy)
{
	for (size_t i = 0; i < d->n; i++) {
		if (obs_sender_easy(d->senders[i]) == easy)
			return d->senders[i];
	}
	return NULL;
}

/* Return: true when a request ended, so that there may be something to do at once. */
static bool reap(struct obs_delivery *d)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(d->multi, &left))) {
		CURLcode rc = msg->data.result;
		struct obs_sender *s = find_sender(d, msg->easy_handle);

		curl_multi_remove_handle(d->multi, msg->easy_handle); /* msg is gone now */
		if (s)
			obs_sender_finish(s, rc, obs_clock_ns(CLOCK_MONOTONIC));
		any = true;
	}
	return any;
}

static void step_all(struct obs_delivery *d, bool woken, bool flush)
{
	uint64_t now_ns = obs_clock_ns(CLOCK_MONOTONIC);
	bool reopen = atomic_exchange(&d->reopen, false);

	for (size_t i = 0; reopen && i < d->n; i++)
		obs_sender_reopen(d->senders[i]);
	for (size_t i = 0; i < d->n; i++)
		obs_sender_step(d->senders[i], d->multi, now_ns, woken, flush);
}

static bool any_sender(struct obs_delivery *d, bool (*question)(const struct obs_sender *))
{
	for (size_t i = 0; i < d->n; i++) {
		if (question(d->senders[i]))
			return true;
	}
	return false;
}

static int wait_ms(struct obs_delivery *d, uint64_t stop_ns)
{
	uint64_t now_ns = obs_clock_ns(CLOCK_MONOTONIC);
	uint64_t at_ns = stop_ns ? stop_ns : now_ns + 60 * OBS_NS_PER_S;

	for (size_t i = 0; i < d->n; i++) {
		uint64_t own_ns = obs_sender_deadline(d->senders[i]);

		if (own_ns < at_ns)
			at_ns = own_ns;
	}
	return at_ns <= now_ns ? 0 : (int)((at_ns - now_ns) / OBS_NS_PER_MS + 1);
}

/* Stopping waits for requests under way, not for those that wait to be tried again: they
 * failed, and their events stay stored. */
static bool is_over(struct obs_delivery *d, uint64_t stop_ns)
{
	return stop_ns && (obs_clock_ns(CLOCK_MONOTONIC) >= stop_ns ||
			   !any_sender(d, obs_sender_is_in_flight));
}

static void *deliver(void *arg)
{
	struct obs_delivery *d = arg;
	uint64_t stop_ns;

	do {
		int running;
		bool woken;

		/* In this order: a wake that comes after the look must find us hungry. */
		atomic_store(&d->hungry, true);
		woken = atomic_exchange(&d->woken, false);
		stop_ns = atomic_load(&d->stop_ns);
		step_all(d, woken, stop_ns != 0);
		curl_multi_perform(d->multi, &running);
		if (reap(d))
			continue;
		if (is_over(d, stop_ns))
			break;
		atomic_store(&d->hungry, any_sender(d, obs_sender_is_hungry));
		curl_multi_poll(d->multi, NULL, 0, wait_ms(d, stop_ns), NULL);
	} while (stop_ns == 0 || obs_clock_ns(CLOCK_MONOTONIC) < stop_ns);

	for (size_t i = 0; i < d->n; i++)
		obs_sender_abort(d->senders[i], d->multi);
	return NULL;
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void release(struct obs_delivery **d)
{
	if (!*d)
		return;
	for (size_t i = 0; i < (*d)->n; i++)
		obs_sender_free(&(*d)->senders[i]);
	free((*d)->senders);
	curl_multi_cleanup((*d)->multi);
	free((*d)->state_dir);
	free(*d);
	*d = NULL;
}

static int make_senders(struct obs_delivery *d, const struct obs_sink_options *sinks, size_t n)
{
	d->senders = calloc(n, sizeof(struct obs_sender *));
	if (!d->senders)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		const struct obs_sink_ops *ops = find_kind(sinks[i].kind);
		int r;

		if (!ops)
			return -EINVAL;
		r = obs_sender_new(ops, d->state_dir, &sinks[i], &d->senders[i]);
		if (r < 0)
			return r;
		d->n++;
	}
	return 0;
}

/* Signals are the main thread's business. */
static int start_thread(struct obs_delivery *d)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&d->thread, NULL, deliver, d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;

	pthread_setname_np(d->thread, "delivery");
	d->running = true;
	return 0;
}

/* Without sinks there is no thread, and curl's memory is not touched. */
static int start(struct obs_delivery *d, const struct obs_sink_options *sinks, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int r;

	if (n == 0)
		return 0;
	pthread_once(&once, init_curl);
	d->multi = curl_multi_init();
	if (!d->multi)
		return -ENOMEM;
	curl_multi_setopt(d->multi, CURLMOPT_MAXCONNECTS, (long)n);

	r = make_senders(d, sinks, n);
	return r < 0 ? r : start_thread(d);
}

int obs_delivery_start(const char *state_dir, const struct obs_sink_options *sinks, size_t n,
		       struct obs_delivery **ret)
{
	OBS_CLEANUP(release) struct obs_delivery *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->state_dir = strdup(state_dir);
	if (!d->state_dir)
		return -ENOMEM;

	r = start(d, sinks, n);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

void obs_delivery_wake(struct obs_delivery *d)
{
	if (!atomic_load(&d->hungry) || atomic_exchange(&d->woken, true))
		return;
	if (d->multi)
		curl_multi_wakeup(d->multi);
}

void obs_delivery_reopen(struct obs_delivery *d)
{
	atomic_store(&d->reopen, true);
	if (d->multi)
		curl_multi_wakeup(d->multi);
}

int obs_delivery_get_stats(struct obs_delivery *d, size_t i, struct obs_sink_stats *ret)
{
	if (i >= d->n)
		return -ENOENT;
	obs_sender_get_stats(d->senders[i], ret);
	return 0;
}

void obs_delivery_finish(struct obs_delivery *d, unsigned grace_ms)
{
	if (!d->running)
		return;
	atomic_store(&d->stop_ns, obs_clock_ns(CLOCK_MONOTONIC) + grace_ms * OBS_NS_PER_MS);
	curl_multi_wakeup(d->multi);
	pthread_join(d->thread, NULL);
	d->running = false;
}

void obs_delivery_stop(struct obs_delivery **d, unsigned grace_ms)
{
	if (!*d)
		return;
	obs_delivery_finish(*d, grace_ms);
	release(d);
}
