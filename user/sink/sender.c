// SPDX-License-Identifier: BSD-2-Clause
/* sender.c - see sender.h. */
#include "sink/sender.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sink/batch.h"
#include "sink/request.h"
#include "sink/retry.h"
#include "store/store.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define DEFAULT_BATCH_BYTES (1024 * 1024)
#define KEEP_BYTES	    (64 * 1024)

/* A store that wakes nobody is looked at this often. */
#define IDLE_LOOK_NS (5 * OBS_NS_PER_S)
/* While a batch waits to fill: an eighth of the wait, within these bounds. So a batch that is
 * full goes out soon, and filling costs a few looks, not one per commit. */
#define FILL_LOOK_MIN_NS (5 * OBS_NS_PER_MS)
#define FILL_LOOK_MAX_NS (250 * OBS_NS_PER_MS)

/* So many dead letters in a row go at full speed; then each waits like a failure does. An API
 * that refuses everything is more likely broken than all the events are. */
#define DEAD_LETTERS_FREE 16

/* After a 413, so many good answers allow batches twice the size again. */
#define GOOD_ANSWERS_TO_GROW 64

enum state { FILL, READY, IN_FLIGHT };

struct obs_sender {
	const struct obs_sink_ops *ops;
	const char *state_dir; /* borrowed */
	struct obs_store_reader *reader;
	uint64_t store_id; /* of the store that the batch came from */
	struct obs_request *request;
	struct obs_backoff backoff;
	struct obs_batch batch;
	enum state state;
	bool sealed;	     /* the request holds the batch's current part */
	uint64_t read_seq;   /* newest event put into a batch */
	size_t batch_events; /* configured; the batch's own limit may be lower */
	uint64_t batch_wait_ns;
	uint64_t first_ns; /* when the batch got its first event */
	uint64_t look_ns;  /* when to look into the store next */
	uint64_t hold_ns;  /* do nothing before this */
	unsigned dead_in_a_row, good_in_a_row;

	pthread_mutex_t lock; /* of stats; only this sender's thread changes them */
	struct obs_sink_stats stats;
};

static bool is_name(const char *name)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t len = name ? strlen(name) : 0;

	return len > 0 && len < sizeof(((struct obs_sink_stats *)0)->name) &&
	       strspn(name, ok) == len;
}

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static int make_request(struct obs_sender *s, const struct obs_sink_options *opt)
{
	const struct obs_request_options ro = {
		.url = opt->url,
		.token = opt->token,
		.ca_file = opt->ca_file,
		.content_type = s->ops->content_type,
		.gzip = opt->gzip,
		.timeout_ms = opt->timeout_ms,
	};

	return obs_request_new(&ro, &s->request);
}

static void seed_backoff(struct obs_backoff *b)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = obs_clock_ns(CLOCK_REALTIME);
	obs_backoff_init(b, seed);
}

int obs_sender_new(const struct obs_sink_ops *ops, const char *state_dir,
		   const struct obs_sink_options *opt, struct obs_sender **ret)
{
	OBS_CLEANUP(obs_sender_free) struct obs_sender *s = NULL;
	int r;

	if (!is_name(opt->name))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;

	pthread_mutex_init(&s->lock, NULL);
	s->ops = ops;
	s->state_dir = state_dir;
	s->read_seq = opt->start_seq;
	s->batch_events = clamp(opt->batch_events, 1, OBS_BATCH_EVENTS_MAX);
	s->batch_wait_ns = clamp(opt->batch_wait_ms, 0, UINT32_MAX) * OBS_NS_PER_MS;
	s->batch.max_events = s->batch_events;
	s->batch.max_bytes = clamp(opt->batch_bytes ? opt->batch_bytes : DEFAULT_BATCH_BYTES, 1,
				   OBS_BATCH_BYTES_MAX);
	s->stats.acked_seq = opt->start_seq;
	snprintf(s->stats.name, sizeof(s->stats.name), "%s", opt->name);
	seed_backoff(&s->backoff);

	r = make_request(s, opt);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void obs_sender_free(struct obs_sender **s)
{
	if (!*s)
		return;
	obs_request_free(&(*s)->request);
	obs_store_reader_free(&(*s)->reader);
	obs_batch_free(&(*s)->batch);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

/* Errors quote what others sent (host names, certificates): keep them to plain text. */
static void make_printable(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	}
}

static void set_error(struct obs_sender *s, const char *text)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->stats.last_error, sizeof(s->stats.last_error), "%s", text);
	make_printable(s->stats.last_error);
	pthread_mutex_unlock(&s->lock);
}

/* Do nothing for @ms. */
static void hold(struct obs_sender *s, uint64_t now_ns, uint64_t ms)
{
	s->hold_ns = now_ns + ms * OBS_NS_PER_MS;
	pthread_mutex_lock(&s->lock);
	s->stats.retry_at_ns = obs_clock_ns(CLOCK_REALTIME) + ms * OBS_NS_PER_MS;
	pthread_mutex_unlock(&s->lock);
}

static void note_store(struct obs_sender *s, int err)
{
	pthread_mutex_lock(&s->lock);
	s->stats.store_error = err;
	pthread_mutex_unlock(&s->lock);
}

void obs_sender_reopen(struct obs_sender *s)
{
	obs_store_reader_free(&s->reader);
	note_store(s, 0);
	s->look_ns = 0;
}

static void store_failed(struct obs_sender *s, uint64_t now_ns, int err)
{
	char text[96];

	snprintf(text, sizeof(text), "cannot read the store: %s", strerror(-err));
	set_error(s, text);
	note_store(s, err);
	obs_store_reader_free(&s->reader); /* opened anew at the next try */
	hold(s, now_ns, obs_backoff_next(&s->backoff));
}

static void count_jumped(struct obs_sender *s, uint64_t n)
{
	if (n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->stats.jumped += n;
	pthread_mutex_unlock(&s->lock);
}

/* Read from the store until the batch is full or there is no more. */
static int fill(struct obs_sender *s, uint64_t now_ns)
{
	struct obs_store_item item;
	int r = 0;

	if (!s->reader) {
		r = obs_store_reader_open(s->state_dir, &s->reader);
		if (r == 0)
			s->store_id = obs_store_reader_id(s->reader);
	}

	while (r == 0 && !s->batch.full) {
		r = obs_store_reader_next(s->reader, s->read_seq, &item);
		if (r <= 0)
			return r;
		r = obs_batch_push(&s->batch, item.seq, item.json);
		if (r < 0)
			return r == -ENOSPC ? 0 : r;
		if (s->batch.n == 1)
			s->first_ns = now_ns;
		count_jumped(s, item.seq - s->read_seq - 1);
		s->read_seq = item.seq;
	}
	return r;
}

static void release_memory(struct obs_sender *s)
{
	if (s->batch.text.cap > KEEP_BYTES)
		obs_batch_free(&s->batch);
	obs_request_trim(s->request);
}

static void plan_next_look(struct obs_sender *s, uint64_t now_ns)
{
	uint64_t due_ns = s->first_ns + s->batch_wait_ns;

	if (s->batch.n == 0) {
		s->look_ns = now_ns + IDLE_LOOK_NS;
		release_memory(s);
		return;
	}
	s->look_ns = now_ns + clamp(s->batch_wait_ns / 8, FILL_LOOK_MIN_NS, FILL_LOOK_MAX_NS);
	if (s->look_ns > due_ns)
		s->look_ns = due_ns;
}

static void step_fill(struct obs_sender *s, uint64_t now_ns, bool flush)
{
	int r = fill(s, now_ns);

	if (r < 0) {
		store_failed(s, now_ns, r);
		return;
	}
	if (s->batch.full || (s->batch.n && (flush || now_ns - s->first_ns >= s->batch_wait_ns))) {
		obs_batch_start(&s->batch);
		s->state = READY;
		s->sealed = false;
		return;
	}
	plan_next_look(s, now_ns);
}

static int seal(struct obs_sender *s)
{
	char key[33];
	int r;

	if (s->sealed)
		return 0;
	r = s->ops->format(&s->batch, obs_request_body(s->request));
	if (r < 0)
		return r;
	obs_batch_key(&s->batch, s->store_id, s->stats.name, key);
	r = obs_request_seal(s->request, key);
	if (r < 0)
		return r;
	s->sealed = true;
	return 0;
}

static void step_ready(struct obs_sender *s, CURLM *multi, uint64_t now_ns)
{
	int r = seal(s);

	obs_request_rewind(s->request);
	if (r == 0 && curl_multi_add_handle(multi, obs_request_easy(s->request)) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0) {
		set_error(s, strerror(-r));
		hold(s, now_ns, obs_backoff_next(&s->backoff));
		return;
	}

	s->state = IN_FLIGHT;
	pthread_mutex_lock(&s->lock);
	s->stats.requests++;
	s->stats.retry_at_ns = 0;
	pthread_mutex_unlock(&s->lock);
}

void obs_sender_step(struct obs_sender *s, CURLM *multi, uint64_t now_ns, bool woken, bool flush)
{
	if (now_ns < s->hold_ns)
		return;
	if (s->state == FILL && (flush || now_ns >= s->look_ns || (woken && s->batch.n == 0)))
		step_fill(s, now_ns, flush);
	if (s->state == READY && now_ns >= s->hold_ns)
		step_ready(s, multi, now_ns);
}

/* The current part is settled, one way or the other: on to the next. */
static void advance(struct obs_sender *s)
{
	s->sealed = false;
	s->state = READY;
	if (obs_batch_advance(&s->batch))
		return;
	obs_batch_reset(&s->batch);
	s->state = FILL;
	s->look_ns = 0;
}

static void grow_batches(struct obs_sender *s)
{
	if (s->batch.max_events >= s->batch_events || ++s->good_in_a_row < GOOD_ANSWERS_TO_GROW)
		return;
	s->good_in_a_row = 0;
	s->batch.max_events = clamp(s->batch.max_events * 2, 1, s->batch_events);
}

static void delivered(struct obs_sender *s, const struct obs_answer *a)
{
	const struct obs_batch *b = &s->batch;

	pthread_mutex_lock(&s->lock);
	s->stats.acked_seq = b->v[b->hi - 1].seq;
	s->stats.delivered += b->hi - b->lo;
	s->stats.bytes += a->body_bytes;
	s->stats.last_ok_ns = obs_clock_ns(CLOCK_REALTIME);
	s->stats.last_error[0] = '\0';
	pthread_mutex_unlock(&s->lock);

	obs_backoff_reset(&s->backoff);
	s->dead_in_a_row = 0;
	grow_batches(s);
	advance(s);
}

static void count_failure(struct obs_sender *s)
{
	pthread_mutex_lock(&s->lock);
	s->stats.failures++;
	pthread_mutex_unlock(&s->lock);
}

static void retry_later(struct obs_sender *s, const struct obs_answer *a, uint64_t now_ns)
{
	uint64_t wait_ms = obs_backoff_next(&s->backoff);
	uint64_t asked_ms;

	if ((a->status == 429 || a->status == 503) && a->retry_after.len &&
	    obs_retry_after_parse(a->retry_after, time(NULL), &asked_ms) == 0 && asked_ms > wait_ms)
		wait_ms = asked_ms;

	count_failure(s);
	s->state = READY; /* the same part, still sealed: the same bytes under the same key */
	hold(s, now_ns, wait_ms);
}

static void dead_letter(struct obs_sender *s, uint64_t now_ns)
{
	uint64_t seq = s->batch.v[s->batch.lo].seq;
	size_t len;

	pthread_mutex_lock(&s->lock);
	s->stats.acked_seq = seq;
	s->stats.dead_lettered++;
	len = strlen(s->stats.last_error);
	snprintf(s->stats.last_error + len, sizeof(s->stats.last_error) - len,
		 "; event %llu given up", (unsigned long long)seq);
	pthread_mutex_unlock(&s->lock);

	if (++s->dead_in_a_row > DEAD_LETTERS_FREE)
		hold(s, now_ns, obs_backoff_next(&s->backoff));
	advance(s);
}

static void split(struct obs_sender *s, const struct obs_answer *a, uint64_t now_ns)
{
	(void)a;
	if (!obs_batch_split(&s->batch)) {
		dead_letter(s, now_ns);
		return;
	}
	count_failure(s);
	s->sealed = false;
	s->state = READY;
}

static void too_large(struct obs_sender *s, const struct obs_answer *a, uint64_t now_ns)
{
	size_t half = (s->batch.hi - s->batch.lo + 1) / 2;

	if (half < s->batch.max_events)
		s->batch.max_events = half;
	s->good_in_a_row = 0;
	split(s, a, now_ns);
}

static void describe(struct obs_sender *s, const struct obs_answer *a, const char *hint)
{
	char text[sizeof(s->stats.last_error)];

	if (a->status == 0)
		snprintf(text, sizeof(text), "%s: %s", obs_request_url(s->request), a->error);
	else
		snprintf(text, sizeof(text), "HTTP %ld from %.90s%s%s", a->status,
			 obs_request_url(s->request), *hint ? ": " : "", hint);
	set_error(s, text);
}

void obs_sender_finish(struct obs_sender *s, CURLcode rc, uint64_t now_ns)
{
	static void (*const act[])(struct obs_sender *, const struct obs_answer *, uint64_t) = {
		[OBS_VERDICT_RETRY] = retry_later,
		[OBS_VERDICT_TOO_LARGE] = too_large,
		[OBS_VERDICT_REFUSED] = split,
	};
	enum obs_verdict verdict = OBS_VERDICT_RETRY;
	struct obs_answer answer;
	const char *hint = "";

	obs_request_answer(s->request, rc, &answer);
	if (answer.status)
		verdict = s->ops->judge(answer.status, &hint);

	if (verdict == OBS_VERDICT_DELIVERED) {
		delivered(s, &answer);
		return;
	}
	describe(s, &answer, hint);
	act[verdict](s, &answer, now_ns);
}

void obs_sender_abort(struct obs_sender *s, CURLM *multi)
{
	CURL *easy = obs_request_easy(s->request);

	if (s->state != IN_FLIGHT)
		return;
#if LIBCURL_VERSION_NUM >= 0x075700
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a name lookup */
#endif
	curl_multi_remove_handle(multi, easy);
	s->state = READY;
}

CURL *obs_sender_easy(struct obs_sender *s)
{
	return obs_request_easy(s->request);
}

uint64_t obs_sender_deadline(const struct obs_sender *s)
{
	uint64_t at_ns = s->state == FILL ? s->look_ns : 0;

	if (s->state == IN_FLIGHT)
		return UINT64_MAX;
	return at_ns > s->hold_ns ? at_ns : s->hold_ns;
}

bool obs_sender_is_hungry(const struct obs_sender *s)
{
	return s->state == FILL && s->batch.n == 0;
}

bool obs_sender_is_in_flight(const struct obs_sender *s)
{
	return s->state == IN_FLIGHT;
}

void obs_sender_get_stats(struct obs_sender *s, struct obs_sink_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}
