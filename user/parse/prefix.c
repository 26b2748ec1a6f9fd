// SPDX-License-Identifier: BSD-2-Clause
/* prefix.c - see prefix.h. One scanner per grammar; a first-byte index picks the candidates. */
#include "parse/prefix.h"

#include <pthread.h>
#include <strings.h>

#include "parse/golog.h"
#include "parse/scan.h"
#include "util/cleanup.h"

#define INDEX_WIDTH	  4
#define DOCKER_HEADER	  8
#define DOCKER_NAME_MAX	  64
#define LEVEL_MAX	  8
#define PEER_ID_MIN	  46
#define ANIMAL_NAME_WORDS 3

static const struct obs_slice levels[] = {
	OBS_SLICE("INFO"), OBS_SLICE("DEBUG"),	  OBS_SLICE("WARNING"), OBS_SLICE("ERROR"),
	OBS_SLICE("WARN"), OBS_SLICE("CRITICAL"), OBS_SLICE("FATAL"),
};

static bool is_level(struct obs_slice s)
{
	if (s.len < 4 || s.len > LEVEL_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (obs_slice_eq(s, levels[i]))
			return true;
	}
	return false;
}

bool obs_level_is_error(struct obs_slice s)
{
	return (s.len == 5 && (!strncasecmp(s.p, "ERROR", 5) || !strncasecmp(s.p, "FATAL", 5))) ||
	       (s.len == 8 && !strncasecmp(s.p, "CRITICAL", 8));
}

static bool is_logger(struct obs_slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!is_name(s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
			return false;
	}
	return s.len > 0;
}

static bool is_peer_id(struct obs_slice s)
{
	if (s.len < PEER_ID_MIN || (memcmp(s.p, "Qm", 2) != 0 && memcmp(s.p, "12D3", 4) != 0))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_base58(s.p[i]))
			return false;
	}
	return true;
}

/* "tiny elusive porpoise": three words of lower-case letters. */
static bool is_animal_name(struct obs_slice s)
{
	unsigned words = 1;

	if (!s.len || *s.p == ' ' || s.p[s.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == ' ')
			words++;
		else if (s.p[i] < 'a' || s.p[i] > 'z')
			return false;
	}
	return words == ANIMAL_NAME_WORDS;
}

static bool take_owner(struct obs_slice owner, struct obs_prefix *p)
{
	if (is_animal_name(owner))
		p->animal = owner;
	else if (is_peer_id(owner))
		p->peer_id = owner;
	else
		return false;
	return true;
}

/* v0.1 puts "[F-<uuid>] " before the text. */
static struct obs_slice skip_tag(struct obs_slice s)
{
	struct obs_slice rest = s, tag;

	if (TAKE(&rest, "[F-") && take_until(&rest, ']', &tag) && tag.len == 36)
		return trim_left(rest);
	return s;
}

static bool scan_g1(struct obs_slice s, struct obs_prefix *p)
{
	struct obs_slice rest, owner;

	if (!take_until(&s, ':', &p->level) || !is_level(p->level) ||
	    !take_until(&s, ':', &p->logger) || !is_logger(p->logger))
		return false;
	rest = s;
	if (take_until(&rest, ':', &owner) && take_owner(owner, p))
		s = rest;
	p->text = skip_tag(s);
	return true;
}

/* Split "logger:animal name:302"; the line number is optional. */
static void split_logger(struct obs_slice s, struct obs_prefix *p)
{
	size_t n = s.len;

	while (n && is_digit(s.p[n - 1]))
		n--;
	if (n && n < s.len && s.p[n - 1] == ':')
		s.len = n - 1;
	if (!take_until(&s, ':', &p->logger))
		p->logger = s;
	else if (!take_owner(s, p))
		p->logger.len += 1 + s.len;
}

static bool take_dash(struct obs_slice *s, struct obs_slice *ret)
{
	const char *at = find_text(*s, OBS_SLICE(" - "));

	if (!at)
		return false;
	*ret = obs_slice(s->p, (size_t)(at - s->p));
	*s = slice_from(*s, ret->len + 3);
	return true;
}

/* "Time - LEVEL - logger:lineno - message", the time already taken. */
static bool scan_g2(struct obs_slice s, struct obs_prefix *p)
{
	struct obs_slice name;

	if (!TAKE(&s, " - ") || !take_dash(&s, &p->level) || !is_level(p->level))
		return false;
	if (s.len >= 2 && !memcmp(s.p + s.len - 2, " -", 2))
		s.len -= 2; /* an empty message, trimmed by an editor */
	if (!take_dash(&s, &name)) {
		name = s;
		s = slice_from(s, s.len);
	}
	split_logger(name, p);
	p->text = s;
	return true;
}

/* "Time LEVEL    Thread:PID [file.py:func():line] message", the time already taken. */
static bool scan_g10(struct obs_slice s, struct obs_prefix *p)
{
	struct obs_slice thread, place;

	if (!take_char(&s, ' ') || !take_until(&s, ' ', &p->level) || !is_level(p->level))
		return false;
	s = trim_left(s);
	if (!take_until(&s, ' ', &thread) || !memchr(thread.p, ':', thread.len) ||
	    !take_char(&s, '[') || !take_until(&s, ']', &place))
		return false;
	if (!take_until(&place, ':', &p->logger))
		return false;
	p->where = place;
	take_char(&s, ' ');
	p->text = s;
	return true;
}

static bool scan_dated(struct obs_slice line, struct obs_prefix *p)
{
	size_t n = obs_time_scan_iso(line, &p->time);
	struct obs_slice rest = slice_from(line, n);

	if (!n) {
		n = obs_time_scan_go(line, &p->time);
		if (!n || line.len <= n || line.p[n] != ' ')
			return false;
		p->grammar = OBS_GRAMMAR_G12;
		p->text = slice_from(line, n + 1);
		return true;
	}
	p->grammar = OBS_GRAMMAR_G2;
	if (scan_g2(rest, p))
		return true;
	p->grammar = OBS_GRAMMAR_G10;
	if (scan_g10(rest, p))
		return true;
	p->grammar = OBS_GRAMMAR_TIME;
	p->level = p->logger = (struct obs_slice){ 0 };
	p->text = trim_left(rest);
	return !rest.len || *rest.p == ' ';
}

/* "[INFO] message": what people leave of G3 when they shorten it. */
static bool scan_g3_short(struct obs_slice s, struct obs_prefix *p)
{
	if (!take_until(&s, ']', &p->level) || !is_level(p->level) || !take_char(&s, ' '))
		return false;
	TAKE(&s, "- ");
	p->text = s;
	return true;
}

static bool scan_g3(struct obs_slice line, struct obs_prefix *p)
{
	struct obs_slice s = slice_from(line, 1);
	size_t n;

	n = obs_time_scan_iso(s, &p->time);
	if (!n)
		return scan_g3_short(s, p);
	s = slice_from(s, n);
	if (!TAKE(&s, "][") || !take_until(&s, ']', &p->logger) || !take_char(&s, '[') ||
	    !take_until(&s, ']', &p->level) || !is_level(p->level))
		return false;
	if (TAKE(&s, " - ") || TAKE(&s, " -"))
		p->text = s;
	else
		return false;
	return true;
}

/* "[module.func:line] ": hivemind leaves it out at INFO. */
static void take_caller(struct obs_slice *s, struct obs_prefix *p)
{
	struct obs_slice rest = *s, caller;
	size_t dot, digits = 0;

	if (!take_char(&rest, '[') || !take_until(&rest, ']', &caller) ||
	    memchr(caller.p, ' ', caller.len))
		return;
	while (digits < caller.len && is_digit(caller.p[caller.len - 1 - digits]))
		digits++;
	if (!digits || digits == caller.len || caller.p[caller.len - 1 - digits] != ':')
		return;
	for (dot = caller.len; dot && caller.p[dot - 1] != '.'; dot--)
		;
	if (!dot)
		return;
	p->logger = obs_slice(caller.p, dot - 1);
	p->where = slice_from(caller, dot);
	take_char(&rest, ' ');
	*s = rest;
}

static bool scan_g4(struct obs_slice line, struct obs_prefix *p)
{
	size_t n = obs_time_scan_month(line, &p->time);
	struct obs_slice s = slice_from(line, n);

	if (!n || !TAKE(&s, " [") || !take_until(&s, ']', &p->level) || !is_level(p->level))
		return false;
	take_char(&s, ' ');
	take_caller(&s, p);
	p->text = s;
	return true;
}

static bool scan_g5(struct obs_slice s, struct obs_prefix *p)
{
	if (!TAKE(&s, ">> "))
		return false;
	p->text = s;
	return true;
}

/* "./run_rl_swarm.sh: line 649:  9746 Killed …" */
static bool scan_g6(struct obs_slice s, struct obs_prefix *p)
{
	struct obs_slice script, digits;

	if (!take_until(&s, ':', &script) || script.len < 3 ||
	    memcmp(script.p + script.len - 3, ".sh", 3) != 0 || !TAKE(&s, " line ") ||
	    !take_until(&s, ':', &digits))
		return false;
	digits = trim_right(digits);
	for (size_t i = 0; i < digits.len; i++) {
		if (!is_digit(digits.p[i]))
			return false;
	}
	p->script_line = digits;
	p->text = trim_left(s);
	return digits.len > 0 && digits.len < 10;
}

static bool scan_g9(struct obs_slice s, struct obs_prefix *p)
{
	if (!TAKE(&s, "wandb:"))
		return false;
	take_char(&s, ' ');
	p->text = s;
	return true;
}

/* "[597411.196718] text" */
static bool scan_kernel(struct obs_slice line, struct obs_prefix *p)
{
	struct obs_slice s = trim_left(slice_from(line, 1));
	uint64_t seconds, part;

	if (!take_uint(&s, &seconds) || !take_char(&s, '.') || !take_uint(&s, &part) ||
	    !TAKE(&s, "] "))
		return false;
	p->text = s;
	return true;
}

#define DIGITS "0123456789"

/* clang-format off */
const struct obs_grammar_row obs_grammars[] = {
	{ OBS_GRAMMAR_G3, "G3", "[", scan_g3,
	  "[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][INFO] - Joining round: 39512" },
	{ OBS_GRAMMAR_G12, "G12", DIGITS, obs_golog_console_scan,
	  "2025-10-26T23:33:49.827Z\tERROR\tp2pd\tgo-libp2p-daemon/daemon.go:198\terror accepting connection" },
	{ OBS_GRAMMAR_G2, "G2", DIGITS, scan_dated,
	  "2025-06-09 07:10:43,736 - INFO - hivemind_exp.trainer.hivemind_grpo_trainer:mammalian whiskered badger:302 - Joining round: 646" },
	{ OBS_GRAMMAR_G1, "G1", "DIWECF", scan_g1,
	  "INFO:hivemind_exp.trainer.hivemind_grpo_trainer:robust eager dinosaur:Already finished round: 113." },
	{ OBS_GRAMMAR_G4, "G4", "JFMASOND", scan_g4,
	  "Oct 26 23:33:49.827 [ERROR] [hivemind.dht.dht._run_coroutine:267] Caught an exception when running a coroutine:" },
	{ OBS_GRAMMAR_G9, "G9", "w", scan_g9, "wandb: train/loss 0" },
	{ OBS_GRAMMAR_G5, "G5", ">", scan_g5, ">> Good luck in the swarm!" },
	{ OBS_GRAMMAR_G6, "G6", "./~abcdefghijklmnopqrstuvwxyz", scan_g6,
	  "./run_rl_swarm.sh: line 649:  9746 Killed                  python -m hivemind_exp" },
	{ OBS_GRAMMAR_G12, "G12", "{", obs_golog_scan,
	  "{\"level\":\"warn\",\"ts\":\"2025-10-26T23:33:49.827Z\",\"logger\":\"dht\",\"msg\":\"x\"}" },
	{ OBS_GRAMMAR_KERNEL, "kernel", "[", scan_kernel,
	  "[597411.196718] Out of memory: Killed process 23001 (python)" },
	{ 0 },
};
/* clang-format on */

/* Candidates by first byte, in the table's order. */
static unsigned char index_by_byte[256][INDEX_WIDTH]; /* row + 1; 0 = end */

static void build_index(void)
{
	for (size_t row = 0; obs_grammars[row].name; row++) {
		for (const char *c = obs_grammars[row].first; *c; c++) {
			unsigned char *slot = index_by_byte[(unsigned char)*c];

			slot += strnlen((char *)slot, INDEX_WIDTH - 1);
			*slot = (unsigned char)(row + 1);
		}
	}
}

/* Field by field: compilers clear a struct of this size with a slow string instruction. */
static inline void clear(struct obs_prefix *p, enum obs_grammar grammar, struct obs_slice text)
{
	const struct obs_slice none = { 0 };

	p->grammar = grammar;
	p->time.kind = OBS_TIME_NONE;
	p->level = p->logger = p->where = none;
	p->animal = p->peer_id = p->script_line = p->reason = none;
	p->text = text;
}

void obs_prefix_scan(struct obs_slice line, struct obs_prefix *ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *rows;

	pthread_once(&once, build_index);
	if (line.len) {
		rows = index_by_byte[(unsigned char)*line.p];
		for (unsigned i = 0; i < INDEX_WIDTH && rows[i]; i++) {
			const struct obs_grammar_row *row = &obs_grammars[rows[i] - 1];

			clear(ret, row->id, (struct obs_slice){ 0 });
			if (row->scan(line, ret))
				return;
		}
	}
	clear(ret, OBS_GRAMMAR_NONE, line);
}

/* A frame header, whole, or the printable last length byte that a paste keeps. */
static bool take_frame(struct obs_slice *s)
{
	struct obs_text_time unused;

	if (s->len >= DOCKER_HEADER && (unsigned char)s->p[0] <= 2 && !s->p[1] && !s->p[2] &&
	    !s->p[3]) {
		*s = slice_from(*s, DOCKER_HEADER);
		return true;
	}
	if (s->len > 11 && !is_digit(*s->p) && s->p[11] == 'T' &&
	    obs_time_scan_iso(slice_from(*s, 1), &unused) && unused.kind == OBS_TIME_ABSOLUTE) {
		*s = slice_from(*s, 1);
		return true;
	}
	return false;
}

static bool take_name(struct obs_slice *s)
{
	struct obs_slice rest = *s, name;

	if (!take_char(&rest, '[') || !take_until(&rest, ']', &name) || !name.len ||
	    name.len > DOCKER_NAME_MAX || !take_char(&rest, ' '))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		if (!is_name(name.p[i]) && !strchr("-.", name.p[i]))
			return false;
	}
	*s = rest;
	return true;
}

/* What containerd and CRI-O write behind the time: "stderr F ". */
static void skip_cri(struct obs_slice *s)
{
	struct obs_slice rest = *s;

	if ((TAKE(&rest, "stdout ") || TAKE(&rest, "stderr ")) &&
	    (TAKE(&rest, "F ") || TAKE(&rest, "P ")))
		*s = rest;
}

/* A cheap look: a frame's first byte, "[name", or a digit first or second. */
static bool may_be_docker(struct obs_slice s)
{
	if (s.len < 2)
		return false;
	return (unsigned char)s.p[0] <= 2 || is_digit(s.p[0]) || is_digit(s.p[1]) ||
	       (s.p[0] == '[' && is_alpha(s.p[1]));
}

bool obs_docker_strip(struct obs_slice *line, struct obs_text_time *ret)
{
	struct obs_slice s = *line;
	struct obs_text_time t;
	bool framed, named;
	size_t n;

	if (!may_be_docker(s))
		return false;
	named = take_name(&s);

	framed = take_frame(&s);
	n = s.len > 10 && s.p[10] == 'T' ? obs_time_scan_iso(s, &t) : 0;
	if (n && t.kind == OBS_TIME_ABSOLUTE && n < s.len && s.p[n] == ' ') {
		*ret = t;
		*line = slice_from(s, n + 1);
		skip_cri(line);
		return true;
	}
	if (framed && !named)
		*line = s;
	return framed && !named;
}
