// SPDX-License-Identifier: BSD-2-Clause
/*
 * parse.c - see parse.h.
 *
 * A line goes: colours off, Docker's prefix off, progress bars off, prefix grammar,
 * pattern row. If it can have no more lines it is emitted from where it lies;
 * else a record is opened (record.h) and made an event when it is whole.
 */
#include "parse/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse/console.h"
#include "parse/docker.h"
#include "parse/exception.h"
#include "parse/metrics.h"
#include "parse/patterns.h"
#include "parse/record.h"
#include "parse/scan.h"
#include "util/cleanup.h"

struct obs_parser {
	enum obs_source source;
	obs_parse_fn emit;
	void *ctx;
	struct obs_parser_options options;
	struct obs_clock clock;
	struct obs_match match;
	struct obs_record record;
	struct obs_buf clean;	  /* a line without its colours */
	struct obs_buf unescaped; /* the text of a line of Docker's own file */
	struct obs_event ev;
};

/* What one line is, before it is known whether more belong to it. */
struct part {
	const struct obs_line *line;
	struct obs_slice text; /* of the whole line, cleaned */
	struct obs_prefix prefix;
	uint64_t wall_ns;
	const struct obs_pattern_row *row;
	struct obs_slice matched; /* what row took */
	struct obs_exception exception;
	bool is_exception;
};

enum obs_source obs_source_for_path(struct obs_slice path)
{
	static const struct {
		struct obs_slice part;
		enum obs_source source;
	} names[] = {
		{ OBS_SLICE("swarm_launcher.log"), OBS_SOURCE_NODE },
		{ OBS_SLICE("swarm.log"), OBS_SOURCE_NODE },
		{ OBS_SLICE("yarn.log"), OBS_SOURCE_YARN },
		{ OBS_SLICE("wandb/"), OBS_SOURCE_WANDB },
		{ OBS_SLICE("console.log"), OBS_SOURCE_CONSOLE },
		{ OBS_SLICE("-json.log"), OBS_SOURCE_DOCKER },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *at = find_text(path, names[i].part);

		if (at && (at == path.p || at[-1] == '/' || *at == '-'))
			return names[i].source;
	}
	return OBS_SOURCE_AUTO;
}

int obs_parser_new(enum obs_source source, obs_parse_fn emit, void *ctx, struct obs_parser **ret)
{
	struct obs_parser *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->source = source;
	p->emit = emit;
	p->ctx = ctx;
	*ret = p;
	return 0;
}

void obs_parser_configure(struct obs_parser *p, const struct obs_parser_options *options)
{
	p->options = *options;
	p->clock.zone = options->zone;
	p->clock.reference_ns = options->reference_ns;
	p->match.rpc_host = options->rpc_host;
}

void obs_parser_free(struct obs_parser **p)
{
	if (!*p)
		return;
	obs_buf_free(&(*p)->record.text);
	obs_buf_free(&(*p)->clean);
	obs_buf_free(&(*p)->unescaped);
	free(*p);
	*p = NULL;
}

/* Field by field, as prefix.c does and for the same reason. */
static inline void clear_origin(struct obs_origin *o)
{
	const struct obs_slice none = { 0 };

	o->via = OBS_VIA_NONE;
	o->container = o->container_id = o->comm = o->path = none;
	o->pid = 0;
	o->offset = 0;
	o->has_offset = false;
}

static struct obs_event *begin_event(struct obs_parser *p, const struct obs_prefix *px,
				     uint64_t wall_ns, bool from_log)
{
	struct obs_event *ev = &p->ev;

	ev->id = (struct obs_event_id){ 0 };
	ev->type = OBS_EVENT_LOG;
	ev->wall_ns = wall_ns;
	ev->name = "log";
	ev->code = NULL;
	ev->level = px->level;
	ev->logger = px->logger;
	ev->message = px->text;
	ev->time_from_log = from_log;
	ev->truncated = false;
	ev->n_fields = 0;
	clear_origin(&ev->origin);
	p->match.n_list = 0;
	return ev;
}

static bool has_field(const struct obs_event *ev, const char *key)
{
	for (unsigned i = 0; i < ev->n_fields; i++) {
		if (obs_slice_eq(ev->fields[i].key, obs_slice_str(key)))
			return true;
	}
	return false;
}

/* A value that the row has not set itself. */
static void add_missing(struct obs_event *ev, const char *key, struct obs_slice v)
{
	if (v.len && !has_field(ev, key))
		obs_event_add_str(ev, key, v);
}

static void finish_event(struct obs_parser *p, const struct obs_prefix *px,
			 const struct obs_line *first)
{
	struct obs_event *ev = &p->ev;

	add_missing(ev, "animal", px->animal);
	add_missing(ev, "peer_id", px->peer_id);
	add_missing(ev, "where", px->where);
	add_missing(ev, "reason", px->reason);
	ev->truncated |= first->truncated;
	if (p->options.patterns &&
	    (ev->type == OBS_EVENT_LOG || (ev->code && !strcmp(ev->code, "LOG_ERROR"))))
		obs_patterns_match(p->options.patterns, ev->message, ev);
	p->emit(p->ctx, ev, first);
}

static void set_row(struct obs_event *ev, const struct obs_pattern_row *row)
{
	ev->type = row->type;
	ev->code = row->code;
	ev->name = row->name ? row->name : "error";
}

/* A failure of any kind is told by details.event = "error" and its code. */
static void set_error(struct obs_event *ev, const char *code)
{
	ev->type = OBS_EVENT_ERROR;
	ev->name = "error";
	ev->code = code;
}

static const struct {
	unsigned flag;
	const char *where;
} places[] = {
	{ OBS_ROW_GAME, "game_run" },
	{ OBS_ROW_TRAINING, "training" },
	{ OBS_ROW_SUBMIT, "submit" },
};

static void add_where(struct obs_event *ev, const struct obs_pattern_row *head)
{
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (head->flags & places[i].flag)
			add_missing(ev, "where", obs_slice_str(places[i].where));
	}
}

/* Take the fields of the known exception that the head does not have. */
static void merge_known(struct obs_parser *p, const struct obs_trace *trace)
{
	static const struct obs_prefix no_prefix;
	struct obs_event *ev = &p->ev;
	unsigned before = ev->n_fields, kept = before;

	obs_pattern_try(trace->row, &no_prefix, obs_message_head(trace->known), &p->match, ev);
	for (unsigned i = before; i < ev->n_fields; i++) {
		unsigned last = ev->n_fields;
		bool seen = false;

		for (unsigned k = 0; k < before && k < last; k++)
			seen |= obs_slice_eq(ev->fields[k].key, ev->fields[i].key);
		if (!seen)
			ev->fields[kept++] = ev->fields[i];
	}
	ev->n_fields = kept;
}

/* The head's code stays, except that a known exception below it gives its own. */
static void apply_known(struct obs_parser *p, const struct obs_pattern_row *head,
			const struct obs_trace *trace)
{
	struct obs_event *ev = &p->ev;
	bool other = !ev->code || !trace->row || strcmp(ev->code, trace->row->code) != 0;

	if (trace->row) {
		merge_known(p, trace);
		set_row(ev, trace->row);
	} else if (trace->through_dht && (!head || head->type != OBS_EVENT_ERROR ||
					  head->flags & (OBS_ROW_GAME | OBS_ROW_TRAINING))) {
		set_error(ev, "DHT_PROCESS_DIED");
	} else {
		return;
	}
	if (head && other)
		add_where(ev, head);
}

/* ECONNREFUSED and its kin: capitals, at least four, that begin with E. */
static struct obs_slice find_syscall_code(struct obs_slice s)
{
	for (size_t i = 0; i + 4 < s.len; i++) {
		size_t n = 0;

		if (s.p[i] != 'E' || (i && is_name(s.p[i - 1])))
			continue;
		while (i + n < s.len && s.p[i + n] >= 'A' && s.p[i + n] <= 'Z')
			n++;
		if (n > 4 && n < 20 && (i + n == s.len || !is_name(s.p[i + n])) &&
		    memcmp(s.p + i, "ERROR", 5) != 0)
			return obs_slice(s.p + i, n);
	}
	return (struct obs_slice){ 0 };
}

static struct obs_slice record_text(const struct obs_record *r, size_t from, size_t to)
{
	struct obs_slice s = obs_slice(r->text.p + from, to - from);

	while (s.len && (is_blank(s.p[s.len - 1]) || s.p[s.len - 1] == '\n'))
		s.len--;
	return s;
}

static struct obs_slice traceback_of(const struct obs_record *r)
{
	if (r->trace_at >= r->text.len)
		return (struct obs_slice){ 0 };
	return record_text(r, r->trace_at + (r->text.p[r->trace_at] == '\n'), r->text.len);
}

/* The head's message with the lines that are of no traceback. */
static struct obs_slice message_of(const struct obs_record *r)
{
	size_t from = (size_t)(r->prefix.text.p - r->text.p);
	size_t to = r->trace_at < r->text.len ? r->trace_at : r->text.len;

	if (!r->prefix.text.p || from > to)
		return r->prefix.text;
	return to <= r->head_len ? r->prefix.text : record_text(r, from, to);
}

static struct obs_slice below_head(const struct obs_record *r)
{
	size_t at = r->head_len < r->text.len ? r->head_len + 1 : r->text.len;

	return obs_slice(r->text.p + at, r->text.len - at);
}

static void add_traceback(struct obs_event *ev, const struct obs_record *r,
			  const struct obs_trace *trace)
{
	add_missing(ev, "exception", trace->exception.name);
	add_missing(ev, "traceback", traceback_of(r));
}

/* hydra: the cause stands in the line below its "Error in call to target". */
static void add_cause(struct obs_event *ev, const struct obs_record *r)
{
	static const struct obs_slice head = OBS_SLICE("Error in call to target");
	struct obs_slice rest = obs_buf_slice(&r->text), line;
	const char *at = has_field(ev, "target") ? find_text(rest, head) : NULL;

	if (!at)
		return;
	rest = slice_from(rest, (size_t)(at - rest.p));
	if (!take_until(&rest, '\n', &line))
		return;
	if (!take_until(&rest, '\n', &line))
		line = rest;
	if (!obs_slice_starts(line, OBS_SLICE("full_key:")))
		add_missing(ev, "cause", line);
}

static void close_head(struct obs_parser *p, struct obs_record *r)
{
	struct obs_event *ev = &p->ev;
	bool weak = r->row && r->row->flags & OBS_ROW_WEAK;
	struct obs_trace trace = { 0 };

	ev->message = message_of(r);
	if (r->row && obs_pattern_try(r->row, &r->prefix, r->matched, &p->match, ev) && !weak)
		set_row(ev, r->row);
	else if (obs_level_is_error(r->prefix.level))
		set_error(ev, "LOG_ERROR");
	if (r->text.len <= r->head_len ||
	    (ev->type == OBS_EVENT_LOG && !weak && r->trace_at == SIZE_MAX))
		return;
	obs_trace_read(below_head(r), &p->match, &trace);
	if (r->trace_at != SIZE_MAX && ev->type == OBS_EVENT_LOG && trace.exception.name.len)
		set_error(ev, "EXCEPTION");
	apply_known(p, r->row, &trace);
	add_cause(ev, r);
	add_traceback(ev, r, &trace);
}

static void close_trace(struct obs_parser *p, struct obs_record *r)
{
	struct obs_event *ev = &p->ev;
	struct obs_trace trace;

	obs_trace_read(obs_buf_slice(&r->text), &p->match, &trace);
	set_error(ev, "EXCEPTION");
	if (trace.line.len)
		ev->message = trace.line;
	apply_known(p, NULL, &trace);
	add_missing(ev, "exception", trace.exception.name);
	if (!trace.line.len)
		obs_event_add_bool(ev, "partial", true);
	add_missing(ev, "traceback", record_text(r, 0, r->text.len));
}

static void close_error(struct obs_parser *p, struct obs_record *r)
{
	struct obs_event *ev = &p->ev;
	bool server = p->source == OBS_SOURCE_YARN || r->at_lines;
	struct obs_slice all = record_text(r, 0, r->text.len);
	struct obs_trace trace;

	set_error(ev, server ? "SERVER_ERROR" : "EXCEPTION");
	if (r->row && obs_pattern_try(r->row, &r->prefix, r->matched, &p->match, ev))
		set_row(ev, r->row);
	add_cause(ev, r);
	obs_trace_read(obs_message_head(all), &p->match, &trace);
	if (trace.row && trace.row != r->row)
		apply_known(p, r->row, &trace);
	add_missing(ev, "exception", trace.exception.name);
	if (server)
		add_missing(ev, "syscall_code", find_syscall_code(all));
	if (server && !strcmp(ev->code, "SERVER_ERROR"))
		add_missing(ev, "source", OBS_SLICE("server"));
	if (!server && !strcmp(ev->code, "EXCEPTION"))
		obs_event_add_bool(ev, "partial", true);
	if (all.len > r->head_len)
		add_missing(ev, "traceback", all);
}

static void close_table(struct obs_parser *p, struct obs_record *r)
{
	struct obs_slice rest = obs_buf_slice(&r->text), line;
	struct obs_event *ev = &p->ev;
	bool more = true;

	ev->type = OBS_EVENT_TRAINING_PROGRESS;
	ev->name = "metrics";
	ev->message = r->text.len > r->head_len ? record_text(r, 0, r->text.len) : r->prefix.text;
	while (more) {
		more = take_until(&rest, '\n', &line);
		if (!more)
			line = rest;
		if (r->kind == OBS_RECORD_TABLE)
			obs_metrics_row(line, ev);
		else if (TAKE(&line, "wandb:"))
			obs_metrics_wandb(line, ev);
	}
}

static void close_bar(struct obs_parser *p, struct obs_record *r)
{
	p->ev.message = record_text(r, 0, r->text.len);
}

static void (*const closers[])(struct obs_parser *, struct obs_record *) = {
	[OBS_RECORD_HEAD] = close_head,	  [OBS_RECORD_TRACE] = close_trace,
	[OBS_RECORD_ERROR] = close_error, [OBS_RECORD_TABLE] = close_table,
	[OBS_RECORD_WANDB] = close_table, [OBS_RECORD_BAR] = close_bar,
};

static void close_record(struct obs_parser *p)
{
	struct obs_record *r = &p->record;
	struct obs_event *ev;

	if (r->kind == OBS_RECORD_NONE)
		return;
	ev = begin_event(p, &r->prefix, r->wall_ns, !r->first.wall_ns);
	closers[r->kind](p, r);
	ev->truncated = r->truncated;
	finish_event(p, &r->prefix, &r->first);
	obs_record_reset(r);
}

static void open_record(struct obs_parser *p, const struct part *part, enum obs_record_kind kind,
			struct obs_slice bar_name)
{
	struct obs_record *r = &p->record;

	obs_record_open(r, kind, part->line, part->text, &part->prefix, part->matched);
	r->row = part->row;
	r->wall_ns = part->wall_ns;
	r->keep_all = p->source == OBS_SOURCE_NODE && part->prefix.grammar != OBS_GRAMMAR_NONE;
	if (bar_name.len && r->text.len)
		r->bar_name = obs_slice(r->text.p + (bar_name.p - part->text.p), bar_name.len);
}

/* Find the row of a line's message, or of the exception that the message is. */
static void classify(struct obs_parser *p, struct part *part)
{
	struct obs_slice head = obs_message_head(part->prefix.text);

	p->ev.n_fields = 0;
	p->match.n_list = 0;
	part->matched = head;
	part->row = obs_pattern_match(&part->prefix, head, &p->match, &p->ev);
	part->is_exception = !part->row && obs_exception_scan(head, &part->exception);
	if (part->is_exception) {
		part->matched = obs_message_head(part->exception.text);
		part->row =
			obs_pattern_match(&part->prefix, part->exception.text, &p->match, &p->ev);
		if (part->row && part->row->type != OBS_EVENT_ERROR) {
			part->row = NULL; /* "ValueError: Joining round: 5" is still a failure */
			p->ev.n_fields = 0;
			p->match.n_list = 0;
		}
	}
}

static inline bool may_start_trace(struct obs_slice s)
{
	return s.len && (*s.p == 'T' || *s.p == ' ');
}

/* Which record a line begins; NONE = it stands alone. */
static enum obs_record_kind record_for(const struct obs_parser *p, const struct part *part)
{
	bool prefixed = part->prefix.grammar != OBS_GRAMMAR_NONE;

	if (!part->row && may_start_trace(part->prefix.text) &&
	    obs_trace_line(part->prefix.text) == OBS_TRACE_START)
		return OBS_RECORD_TRACE;
	if (part->is_exception && !prefixed)
		return OBS_RECORD_ERROR;
	if (part->row && part->row->flags & OBS_ROW_HOLD)
		return OBS_RECORD_HEAD;
	if (obs_level_is_error(part->prefix.level))
		return OBS_RECORD_HEAD;
	if (!part->row && prefixed && p->source == OBS_SOURCE_NODE)
		return OBS_RECORD_HEAD;
	return OBS_RECORD_NONE;
}

static struct obs_event *begin_part(struct obs_parser *p, const struct part *part)
{
	unsigned n_fields = p->ev.n_fields;
	size_t n_list = p->match.n_list;
	struct obs_event *ev = begin_event(p, &part->prefix, part->wall_ns, !part->line->wall_ns);

	ev->n_fields = n_fields; /* those that classify() found */
	p->match.n_list = n_list;
	return ev;
}

static void emit_alone(struct obs_parser *p, const struct part *part)
{
	struct obs_event *ev = begin_part(p, part);

	if (part->row && !(part->row->flags & OBS_ROW_WEAK))
		set_row(ev, part->row);
	finish_event(p, &part->prefix, part->line);
}

static bool emit_dict(struct obs_parser *p, const struct part *part)
{
	struct obs_slice head = part->matched;

	if (part->row || part->is_exception || !head.len || *head.p != '{' ||
	    !obs_metrics_dict(head, &p->ev))
		return false;
	begin_part(p, part);
	p->ev.type = OBS_EVENT_TRAINING_PROGRESS;
	p->ev.name = "metrics";
	finish_event(p, &part->prefix, part->line);
	return true;
}

static bool is_table_row(struct obs_parser *p, struct obs_slice text)
{
	p->ev.n_fields = 0;
	return obs_slice_starts(text, OBS_SLICE("  ")) && obs_metrics_row(text, &p->ev);
}

/* The line begins something: a record, or an event of its own. */
static void start_line(struct obs_parser *p, struct part *part)
{
	enum obs_record_kind kind;

	classify(p, part);
	if (emit_dict(p, part))
		return;
	kind = record_for(p, part);
	if (kind == OBS_RECORD_NONE)
		emit_alone(p, part);
	else
		open_record(p, part, kind, (struct obs_slice){ 0 });
}

/* A new state of the bar that waits, or a bar that begins. Inside a record a bar is
 * another writer's, and only its last state would count: it is left out. */
static void push_bar(struct obs_parser *p, const struct part *part, struct obs_slice name)
{
	struct obs_record *r = &p->record;

	if (r->kind == OBS_RECORD_BAR && !obs_slice_eq(r->bar_name, name))
		close_record(p);
	if (r->kind != OBS_RECORD_NONE && r->kind != OBS_RECORD_BAR)
		return;
	open_record(p, part, OBS_RECORD_BAR, name);
}

static void push_wandb(struct obs_parser *p, struct part *part)
{
	p->ev.n_fields = 0;
	if (!obs_metrics_wandb(part->prefix.text, &p->ev)) {
		close_record(p);
		start_line(p, part);
	} else if (p->record.kind == OBS_RECORD_WANDB) {
		obs_record_push(&p->record, part->text);
	} else {
		close_record(p);
		open_record(p, part, OBS_RECORD_WANDB, (struct obs_slice){ 0 });
	}
}

/* In a log file of Python's logging, only these begin a record; what else looks like a
 * prefix is part of a message. */
static bool ends_record(const struct obs_parser *p, enum obs_grammar g)
{
	bool strong = g == OBS_GRAMMAR_G1 || g == OBS_GRAMMAR_G2 || g == OBS_GRAMMAR_G3 ||
		      g == OBS_GRAMMAR_G4 || g == OBS_GRAMMAR_G10;

	return strong || (g != OBS_GRAMMAR_NONE && !p->record.keep_all);
}

static void push_plain(struct obs_parser *p, struct part *part)
{
	struct obs_record *r = &p->record;
	bool metric = is_table_row(p, part->text);

	if (r->kind != OBS_RECORD_NONE) {
		const struct obs_pattern_row *known = NULL;

		if (!r->keep_all) {
			classify(p, part);
			known = part->row;
		}
		if (obs_record_takes(r, part->text, known, metric)) {
			obs_record_push(r, part->text);
			r->truncated |= part->line->truncated;
			return;
		}
		close_record(p);
	}
	if (metric)
		open_record(p, part, OBS_RECORD_TABLE, (struct obs_slice){ 0 });
	else
		start_line(p, part);
}

/* Take the progress bars off the front that something is glued to. Return: is what is
 * left a bar too? Then *@name is its name. */
static bool skip_bars(struct obs_parser *p, struct part *part, struct obs_slice *name)
{
	struct obs_record *r = &p->record;
	struct obs_slice rest;
	size_t n;

	while ((n = obs_bar_scan(part->text, name))) {
		rest = slice_from(part->text, n);
		if (!trim(rest).len)
			return true;
		if (r->kind == OBS_RECORD_BAR && obs_slice_eq(r->bar_name, *name))
			obs_record_reset(r);
		part->text = rest;
	}
	return false;
}

static bool strips_docker(const struct obs_parser *p)
{
	return p->source == OBS_SOURCE_DOCKER || p->source == OBS_SOURCE_AUTO ||
	       p->source == OBS_SOURCE_CONSOLE;
}

/* What Docker puts before a line, if there is something to take. */
static void take_docker(struct obs_parser *p, struct part *part)
{
	struct obs_text_time t = { 0 };
	bool found;

	if (!strips_docker(p) || !part->text.len)
		return;
	found = obs_docker_strip(&part->text, &t) ||
		(*part->text.p == '{' &&
		 obs_docker_json(part->text, &p->unescaped, &part->text, &t));
	if (found && t.kind)
		part->wall_ns = obs_clock_resolve(&p->clock, &t, part->line->wall_ns);
}

static void push_text(struct obs_parser *p, struct part *part)
{
	struct obs_slice name;
	const char *start = part->text.p;
	bool bar = false;
	enum obs_grammar g;

	obs_prefix_scan(part->text, &part->prefix);
	if (part->prefix.grammar == OBS_GRAMMAR_NONE) {
		bar = skip_bars(p, part, &name);
		if (part->text.p != start)
			take_docker(p, part);
		if (part->text.p != start)
			obs_prefix_scan(part->text, &part->prefix);
	}
	if (!part->wall_ns)
		part->wall_ns =
			obs_clock_resolve(&p->clock, &part->prefix.time, part->line->wall_ns);
	g = part->prefix.grammar;
	part->row = NULL;
	part->matched = part->prefix.text;
	part->is_exception = false;
	if (bar) {
		push_bar(p, part, name);
	} else if (g == OBS_GRAMMAR_G9 && !p->record.keep_all) {
		push_wandb(p, part);
	} else if (ends_record(p, g)) {
		close_record(p);
		start_line(p, part);
	} else {
		push_plain(p, part);
	}
}

static void push_blank(struct obs_parser *p)
{
	if (p->record.kind == OBS_RECORD_HEAD || p->record.kind == OBS_RECORD_TRACE ||
	    p->record.kind == OBS_RECORD_ERROR)
		obs_record_push(&p->record, (struct obs_slice){ 0 });
}

void obs_parser_push(struct obs_parser *p, const struct obs_line *line)
{
	struct part part;

	part.line = line;
	part.text = line->text;
	part.wall_ns = 0;
	take_docker(p, &part);
	part.text = obs_ansi_strip(part.text, &p->clean);
	if (part.text.p == p->clean.p && p->clean.p)
		take_docker(p, &part); /* behind the colours */
	if (trim(part.text).len)
		push_text(p, &part);
	else
		push_blank(p);
}

void obs_parser_flush(struct obs_parser *p)
{
	close_record(p);
}

bool obs_parser_pending(const struct obs_parser *p, uint64_t *ret_offset)
{
	if (p->record.kind == OBS_RECORD_NONE)
		return false;
	*ret_offset = p->record.first.offset;
	return true;
}
