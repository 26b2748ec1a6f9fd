// SPDX-License-Identifier: BSD-2-Clause
/* summary.c - see summary.h. Every table is bounded: a log may be of any length. */
#include "command/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/advice.h"
#include "util/cleanup.h"

#define NS_PER_S     1000000000ull
#define GAP_NS	     (300 * NS_PER_S)
#define CODES_MAX    64
#define PEERS_MAX    64
#define GAPS_SHOWN   10
#define ROUNDS_SHOWN 10
#define TEXT_BYTES   96
#define WRAP_COLUMN  78

struct tally {
	const char *code;
	uint64_t n, first_ns, last_ns;
	char message[TEXT_BYTES]; /* of the last one */
};

struct gap {
	uint64_t from_ns, ns;
};

struct round {
	uint64_t number, joined_ns, duration_ns; /* 0 = not ended */
};

struct obs_summary {
	uint64_t n_events, n_errors, first_ns, last_ns;
	uint64_t by_type[OBS_EVENT_TYPE_MAX];
	struct tally codes[CODES_MAX];
	size_t n_codes;
	struct gap gaps[GAPS_SHOWN]; /* the longest, longest first */
	uint64_t n_gaps;
	struct round rounds[ROUNDS_SHOWN]; /* a ring of the last ones */
	uint64_t n_rounds, n_durations, sum_ns, min_ns, max_ns, first_round;
	uint64_t submit_ok, submit_failed, n_identity, n_launches;
	char peer_id[TEXT_BYTES], animal[TEXT_BYTES], model[TEXT_BYTES];
	char peers[PEERS_MAX][TEXT_BYTES];
	size_t n_peers;
};

int obs_summary_new(struct obs_summary **ret)
{
	struct obs_summary *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

void obs_summary_free(struct obs_summary **s)
{
	free(*s);
	*s = NULL;
}

static const struct obs_field *find_field(const struct obs_event *ev, const char *key)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (obs_slice_eq(ev->fields[i].key, obs_slice_str(key)))
			return &ev->fields[i];
	}
	return NULL;
}

static struct obs_slice field_str(const struct obs_event *ev, const char *key)
{
	const struct obs_field *f = find_field(ev, key);

	return f && f->kind == OBS_VALUE_STR ? f->str : (struct obs_slice){ 0 };
}

static uint64_t field_uint(const struct obs_event *ev, const char *key)
{
	const struct obs_field *f = find_field(ev, key);

	return f && f->kind == OBS_VALUE_UINT ? f->u : 0;
}

/* Copy text for a terminal: what is not printable ASCII becomes '?'. */
static void copy_text(char *to, struct obs_slice s)
{
	size_t n = s.len < TEXT_BYTES - 1 ? s.len : TEXT_BYTES - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	to[n] = '\0';
}

static void note_code(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	struct tally *t = s->codes;

	s->n_errors++;
	while (t < s->codes + s->n_codes && strcmp(t->code, ev->code) != 0)
		t++;
	if (t == s->codes + s->n_codes) {
		if (s->n_codes == CODES_MAX)
			return;
		s->n_codes++;
		t->code = ev->code;
	}
	t->n++;
	copy_text(t->message, ev->message);
	if (!timed)
		return;
	if (!t->first_ns || ev->wall_ns < t->first_ns)
		t->first_ns = ev->wall_ns;
	if (ev->wall_ns > t->last_ns)
		t->last_ns = ev->wall_ns;
}

static void note_gap(struct obs_summary *s, uint64_t from_ns, uint64_t ns)
{
	size_t i = GAPS_SHOWN - 1;

	s->n_gaps++;
	if (ns <= s->gaps[i].ns)
		return;
	for (; i > 0 && s->gaps[i - 1].ns < ns; i--)
		s->gaps[i] = s->gaps[i - 1];
	s->gaps[i] = (struct gap){ from_ns, ns };
}

static void note_time(struct obs_summary *s, uint64_t ns)
{
	if (!s->first_ns || ns < s->first_ns)
		s->first_ns = ns;
	if (s->last_ns && ns > s->last_ns + GAP_NS)
		note_gap(s, s->last_ns, ns - s->last_ns);
	if (ns > s->last_ns)
		s->last_ns = ns;
}

static void end_round(struct obs_summary *s, struct round *r, uint64_t now_ns)
{
	uint64_t ns = now_ns - r->joined_ns;

	r->duration_ns = ns;
	s->sum_ns += ns;
	s->min_ns = !s->n_durations || ns < s->min_ns ? ns : s->min_ns;
	s->max_ns = ns > s->max_ns ? ns : s->max_ns;
	s->n_durations++;
}

static void note_round(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	struct round *last = s->n_rounds ? &s->rounds[(s->n_rounds - 1) % ROUNDS_SHOWN] : NULL;
	uint64_t number = field_uint(ev, "round"), now_ns = timed ? ev->wall_ns : 0;

	if (last && last->number == number)
		return;
	if (last && last->joined_ns && now_ns > last->joined_ns)
		end_round(s, last, now_ns);
	if (!s->n_rounds)
		s->first_round = number;
	s->rounds[s->n_rounds++ % ROUNDS_SHOWN] = (struct round){ number, now_ns, 0 };
}

static void note_peer(struct obs_summary *s, struct obs_slice peer)
{
	char text[TEXT_BYTES];

	copy_text(text, peer);
	for (size_t i = 0; i < s->n_peers; i++) {
		if (!strcmp(s->peers[i], text))
			return;
	}
	if (s->n_peers < PEERS_MAX)
		snprintf(s->peers[s->n_peers++], sizeof(s->peers[0]), "%s", text);
}

static void note_bootnodes(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	const struct obs_field *f = find_field(ev, "peers");

	(void)timed;
	for (size_t i = 0; f && f->kind == OBS_VALUE_LIST && i < f->list.n; i++)
		note_peer(s, f->list.v[i]);
}

static void note_identity(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	(void)timed;
	s->n_identity++;
	copy_text(s->peer_id, field_str(ev, "peer_id"));
	copy_text(s->animal, field_str(ev, "animal"));
}

static void note_launch(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	(void)ev;
	(void)timed;
	s->n_launches++;
}

static void note_model(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	(void)timed;
	copy_text(s->model, field_str(ev, "model"));
}

static void note_call(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	(void)timed;
	if (!obs_slice_starts(field_str(ev, "route"), OBS_SLICE("/api/submit-")))
		return;
	if (field_uint(ev, "status") / 100 == 2)
		s->submit_ok++;
	else
		s->submit_failed++;
}

static const struct {
	const char *event;
	void (*note)(struct obs_summary *, const struct obs_event *, bool timed);
} notes[] = {
	{ "round_joined", note_round }, { "bootnodes", note_bootnodes },
	{ "identity", note_identity },	{ "model_selected", note_model },
	{ "api_call", note_call },	{ "trainer_starting", note_launch },
};

void obs_summary_push(struct obs_summary *s, const struct obs_event *ev, bool timed)
{
	s->n_events++;
	s->by_type[ev->type]++;
	if (timed)
		note_time(s, ev->wall_ns);
	if (ev->code)
		note_code(s, ev, timed);
	if (ev->type == OBS_EVENT_LOG || !ev->name)
		return;
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		if (!strcmp(notes[i].event, ev->name))
			notes[i].note(s, ev, timed);
	}
}

struct paper {
	FILE *f;
	bool colour;
};

static void title(const struct paper *p, const char *text)
{
	fprintf(p->f, "\n%s%s%s\n", p->colour ? "\033[1m" : "", text, p->colour ? "\033[0m" : "");
}

static const char *time_text(uint64_t ns, char *to, size_t size)
{
	time_t t = (time_t)(ns / NS_PER_S);
	struct tm tm;

	if (!ns)
		return "(no time)";
	gmtime_r(&t, &tm);
	strftime(to, size, "%Y-%m-%d %H:%M:%S", &tm);
	return to;
}

static const char *duration_text(uint64_t ns, char *to, size_t size)
{
	unsigned long long s = (unsigned long long)(ns / NS_PER_S);

	if (s >= 86400)
		snprintf(to, size, "%llud %02lluh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(to, size, "%lluh %02llumin", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(to, size, "%llumin %02llus", s / 60, s % 60);
	else
		snprintf(to, size, "%llus", s);
	return to;
}

/* Words of @text, indented, wrapped. */
static void wrapped(const struct paper *p, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (!column || column + n + 1 > WRAP_COLUMN) {
			fprintf(p->f, "\n    ");
			column = 4;
		}
		fprintf(p->f, "%s%.*s", column > 4 ? " " : "", (int)n, text);
		column += n + (column > 4);
		text += n + (text[n] == ' ');
	}
}

static void print_span(const struct obs_summary *s, const struct paper *p)
{
	char a[32], b[32], c[32];

	title(p, "Time");
	if (!s->first_ns) {
		fprintf(p->f, "  no line carries a time\n");
		return;
	}
	fprintf(p->f, "  %s to %s UTC (%s)\n", time_text(s->first_ns, a, sizeof(a)),
		time_text(s->last_ns, b, sizeof(b)),
		duration_text(s->last_ns - s->first_ns, c, sizeof(c)));
}

static void print_node(const struct obs_summary *s, const struct paper *p)
{
	/* a console has both signs of a start, a log file one of them */
	uint64_t starts = s->n_identity > s->n_launches ? s->n_identity : s->n_launches;

	title(p, "Node");
	if (s->peer_id[0])
		fprintf(p->f, "  %s, peer id %s\n", s->animal, s->peer_id);
	if (s->model[0])
		fprintf(p->f, "  model %s\n", s->model);
	fprintf(p->f, "  starts seen: %llu%s\n", (unsigned long long)starts,
		starts > 1 ? " (all after the first are restarts)" : "");
	fprintf(p->f, "  bootnodes: %zu\n", s->n_peers);
	for (size_t i = 0; i < s->n_peers; i++)
		fprintf(p->f, "    %s\n", s->peers[i]);
}

static void print_rounds(const struct obs_summary *s, const struct paper *p)
{
	uint64_t from = s->n_rounds > ROUNDS_SHOWN ? s->n_rounds - ROUNDS_SHOWN : 0;
	char a[32], b[32], c[32];

	title(p, "Rounds");
	if (!s->n_rounds) {
		fprintf(p->f, "  none joined\n");
		return;
	}
	fprintf(p->f, "  %llu joined, from %llu to %llu\n", (unsigned long long)s->n_rounds,
		(unsigned long long)s->first_round,
		(unsigned long long)s->rounds[(s->n_rounds - 1) % ROUNDS_SHOWN].number);
	if (s->n_durations)
		fprintf(p->f, "  from one to the next: %s at least, %s on average, %s at most\n",
			duration_text(s->min_ns, a, sizeof(a)),
			duration_text(s->sum_ns / s->n_durations, b, sizeof(b)),
			duration_text(s->max_ns, c, sizeof(c)));
	for (uint64_t i = from; i < s->n_rounds; i++) {
		const struct round *r = &s->rounds[i % ROUNDS_SHOWN];

		fprintf(p->f, "    %-10llu %s  %s\n", (unsigned long long)r->number,
			time_text(r->joined_ns, a, sizeof(a)),
			r->duration_ns ? duration_text(r->duration_ns, b, sizeof(b)) : "");
	}
}

static void print_submissions(const struct obs_summary *s, const struct paper *p)
{
	title(p, "Submissions");
	fprintf(p->f, "  %llu went through, %llu were refused by the login server\n",
		(unsigned long long)s->submit_ok, (unsigned long long)s->submit_failed);
	if (!s->submit_ok && !s->submit_failed)
		fprintf(p->f, "  (they are logged at DEBUG only, by releases from 0.6.0 on)\n");
}

static int by_count(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return x->n < y->n ? 1 : x->n > y->n ? -1 : strcmp(x->code, y->code);
}

static void print_error(const struct tally *t, const struct paper *p)
{
	const struct obs_advice *advice = obs_advice_find(t->code);
	char a[32], b[32];

	fprintf(p->f, "  %s%s%s  %llu×", p->colour ? "\033[31m" : "", t->code,
		p->colour ? "\033[0m" : "", (unsigned long long)t->n);
	if (t->first_ns)
		fprintf(p->f, "  first %s, last %s", time_text(t->first_ns, a, sizeof(a)),
			time_text(t->last_ns, b, sizeof(b)));
	if (*t->message)
		fprintf(p->f, "\n    last: %s", t->message);
	if (advice) {
		wrapped(p, advice->meaning);
		wrapped(p, advice->action);
	}
	fputc('\n', p->f);
}

static void print_errors(const struct obs_summary *s, const struct paper *p)
{
	struct tally sorted[CODES_MAX];

	title(p, "Errors");
	if (!s->n_codes)
		fprintf(p->f, "  none\n");
	memcpy(sorted, s->codes, sizeof(sorted));
	qsort(sorted, s->n_codes, sizeof(sorted[0]), by_count);
	for (size_t i = 0; i < s->n_codes; i++)
		print_error(&sorted[i], p);
}

static void print_gaps(const struct obs_summary *s, const struct paper *p)
{
	char a[32], b[32];

	title(p, "Silence over 5 minutes");
	if (!s->n_gaps)
		fprintf(p->f, "  none\n");
	for (size_t i = 0; i < GAPS_SHOWN && s->gaps[i].ns; i++)
		fprintf(p->f, "  %s from %s\n", duration_text(s->gaps[i].ns, b, sizeof(b)),
			time_text(s->gaps[i].from_ns, a, sizeof(a)));
	if (s->n_gaps > GAPS_SHOWN)
		fprintf(p->f, "  and %llu shorter ones\n",
			(unsigned long long)(s->n_gaps - GAPS_SHOWN));
}

static void print_events(const struct obs_summary *s, const struct paper *p)
{
	title(p, "Events");
	for (int t = 0; t < OBS_EVENT_TYPE_MAX; t++) {
		if (s->by_type[t])
			fprintf(p->f, "  %-20s %llu\n", obs_event_type_str((enum obs_event_type)t),
				(unsigned long long)s->by_type[t]);
	}
}

void obs_summary_print(const struct obs_summary *s, FILE *f, bool colour)
{
	const struct paper p = { f, colour };

	print_span(s, &p);
	print_node(s, &p);
	print_rounds(s, &p);
	print_submissions(s, &p);
	print_errors(s, &p);
	print_gaps(s, &p);
	print_events(s, &p);
}
