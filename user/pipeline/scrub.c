// SPDX-License-Identifier: BSD-2-Clause
/*
 * scrub.c - see scrub.h.
 *
 * Every rule hangs on one byte that its matches must contain (an @, a =, …). One vector
 * pass finds those bytes; only there are rules asked. A text in which nothing is found is
 * not copied.
 */
#include "pipeline/scrub.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#ifdef __x86_64__
#include <tmmintrin.h>
#endif

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "util/buf.h"
#include "util/cleanup.h"

#define BLOCK		16 /* bytes looked at together */
#define CHUNK		64 /* … before rules are asked */
#define ANCHORS_MAX	16
#define LIST_MAX	64
#define USER_RULES_MAX	64
#define ADDRESSES_MAX	64
#define ADDRESS_BYTES	45 /* the longest form of an IPv6 address */
#define UUID_BYTES	36
#define KEY_HEX_BYTES	64
#define MATCH_LIMIT	100000
#define REPLACEMENT_MAX 72
#define GROWTH		4  /* text grows at most so much, and a bit, by the built-in rules */
#define USER_GROWTH	16 /* a user's rule that wants more makes the text "[SCRUBBED]" */

struct user_rule {
	pcre2_code *regex;
	pcre2_match_data *data;
	char name[REPLACEMENT_MAX];
	char replacement[REPLACEMENT_MAX];
};

struct obs_scrub {
	enum obs_scrub_level level;
	struct obs_buf arena; /* never grows while slices of it are out */
	struct obs_slice list[LIST_MAX];
	size_t n_list;
	unsigned char row[256]; /* of by_pair, by anchor; 0 = no anchor */
	/* bit i: rule i hangs on this anchor, lets this byte stand before, works at our level */
	uint32_t by_pair[ANCHORS_MAX][256];
	/* the same as two tables by half bytes: a byte is an anchor if their bits meet */
	char by_low[BLOCK], by_high[BLOCK];
	bool vectors; /* the machine has SSSE3 */
	char *addresses[ADDRESSES_MAX];
	size_t n_addresses, n_user;
	pcre2_match_context *limits;
	struct user_rule user[USER_RULES_MAX];
	uint64_t counts[64 + USER_RULES_MAX];
};

/* A text under a rule's eyes: [from, to) goes. `free` is the first byte not yet copied or
 * replaced, before which no rule may reach. */
struct view {
	const struct obs_scrub *s;
	const char *p;
	size_t len, free, at;
	size_t from, to;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool is_secret_byte(char c)
{
	return isalnum((unsigned char)c) || strchr("_-.+/=~", c ? c : ' ');
}

static bool is_uuid_at(const struct view *v, size_t at)
{
	if (v->len < UUID_BYTES || at > v->len - UUID_BYTES)
		return false;
	for (size_t i = 0; i < UUID_BYTES; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? v->p[at + i] != '-' : !isxdigit((unsigned char)v->p[at + i]))
			return false;
	}
	return true;
}

static size_t run_back(const struct view *v, size_t at, bool (*ok)(char))
{
	while (at > v->free && ok(v->p[at - 1]))
		at--;
	return at;
}

static size_t run_on(const struct view *v, size_t at, bool (*ok)(char))
{
	while (at < v->len && ok(v->p[at]))
		at++;
	return at;
}

static bool has_at(const struct view *v, size_t at, const char *text)
{
	size_t n = strlen(text);

	return at <= v->len && v->len - at >= n && !memcmp(v->p + at, text, n);
}

static bool ends_at(const struct view *v, size_t at, const char *text)
{
	size_t n = strlen(text);

	return at >= n && !memcmp(v->p + at - n, text, n);
}

static bool take_span(struct view *v, size_t from, size_t to)
{
	v->from = from;
	v->to = to;
	return from >= v->free && to > from;
}

static bool is_local_part(char c)
{
	return isalnum((unsigned char)c) || strchr("._%+-", c ? c : ' ');
}

static bool is_domain(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-';
}

/* A domain of mail has a dot, letters behind the last one, and letters in its first label
 * ("user@21417.service" is a unit of systemd). */
static bool domain_ok(const char *p, size_t len)
{
	const char *dot = len ? memrchr(p, '.', len) : NULL;
	bool letters = false;

	if (!dot || dot == p || p + len - dot < 3)
		return false;
	for (const char *c = dot + 1; c < p + len; c++) {
		if (!isalpha((unsigned char)*c))
			return false;
	}
	for (const char *c = p; c < p + len && *c != '.'; c++)
		letters |= isalpha((unsigned char)*c) != 0;
	return letters;
}

static bool rule_email(struct view *v)
{
	size_t from = run_back(v, v->at, is_local_part), to = run_on(v, v->at + 1, is_domain);

	while (to > v->at + 1 && !isalpha((unsigned char)v->p[to - 1]))
		to--;
	return from < v->at && domain_ok(v->p + v->at + 1, to - v->at - 1) &&
	       take_span(v, from, to);
}

static bool is_userinfo(char c)
{
	return c && !strchr("/@ \t\"'<>\n", c);
}

/* https://user:password@host */
static bool rule_url_user(struct view *v)
{
	size_t from = run_back(v, v->at, is_userinfo);

	return ends_at(v, from, "://") && memchr(v->p + from, ':', v->at - from) &&
	       take_span(v, from, v->at);
}

/* A cheap look at the two bytes before the anchor: those of the table below. */
static bool may_be_prefix(const struct view *v)
{
	const char *p = v->p + v->at;

	if (v->at < 2)
		return v->at == 1 && p[-1] == 'A';
	switch (p[-1]) {
	case 'f':
		return p[-2] == 'h';
	case 'p':
	case 'o':
	case 'b':
		return p[-2] == 'h' || p[-2] == 'x';
	case 't':
		return p[-2] == 'a';
	case 'k':
		return p[-2] == 's';
	default:
		return p[-1] == 'A';
	}
}

/* Tokens that tell themselves by how they begin; the anchor is the last byte of that. */
static bool rule_prefix(struct view *v)
{
	static const struct {
		const char *begin;
		unsigned min;
	} known[] = {
		{ "hf_", 20 },	       { "ghp_", 30 }, { "gho_", 30 },
		{ "github_pat_", 20 }, { "sk-", 20 },  { "xoxb-", 20 },
		{ "xoxp-", 20 },       { "AKIA", 16 }, { "glpat-", 16 },
	};
	size_t end = v->at + 1, to;

	if (!may_be_prefix(v))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t n = strlen(known[i].begin);
		size_t start = v->p[v->at] == 'K' ? v->at - 1 : end - n;

		if (end < n || start > v->at || !has_at(v, start, known[i].begin) ||
		    (start > 0 && isalnum((unsigned char)v->p[start - 1])))
			continue;
		to = run_on(v, start + n, is_word);
		if (to - start - n >= known[i].min)
			return take_span(v, start, to);
	}
	return false;
}

static bool rule_jwt(struct view *v)
{
	size_t from = v->at - 2, dot, second, to;

	if (v->at < 2 || !has_at(v, from, "eyJ") || (from > 0 && is_word(v->p[from - 1])))
		return false;
	dot = run_on(v, v->at, is_word);
	if (dot - from < 10 || dot >= v->len || v->p[dot] != '.')
		return false;
	second = run_on(v, dot + 1, is_word);
	to = second;
	if (second < v->len && v->p[second] == '.')
		to = run_on(v, second + 1, is_word);
	return second > dot + 4 && take_span(v, from, to);
}

static bool rule_bearer(struct view *v)
{
	size_t from = v->at + 7, to;

	if (v->len < from || v->p[v->at + 6] != ' ' || strncasecmp(v->p + v->at, "bearer ", 7) != 0)
		return false;
	to = run_on(v, from, is_secret_byte);
	return to - from >= 8 && take_span(v, from, to);
}

static bool is_digit_byte(char c)
{
	return c >= '0' && c <= '9';
}

static bool rule_telegram(struct view *v)
{
	size_t from, to;

	if (!v->at || !is_digit_byte(v->p[v->at - 1]))
		return false;
	from = run_back(v, v->at, is_digit_byte);
	if (v->at - from < 8)
		return false;
	to = run_on(v, v->at + 1, is_word);
	return v->at - from <= 10 && to - v->at - 1 >= 34 && to - v->at - 1 <= 36 &&
	       take_span(v, from, to);
}

static bool rule_pem(struct view *v)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	const char *stop;
	size_t to;

	if (v->at + 1 >= v->len || v->p[v->at + 1] != '-' || !has_at(v, v->at, begin))
		return false;
	if (!memmem(v->p + v->at, v->len - v->at < 64 ? v->len - v->at : 64, "PRIVATE KEY", 11))
		return false;
	stop = memmem(v->p + v->at, v->len - v->at, end, sizeof(end) - 1);
	if (!stop)
		return take_span(v, v->at, v->len);
	to = (size_t)(stop - v->p) + sizeof(end) - 1;
	stop = memmem(v->p + to, v->len - to, "-----", 5);
	return take_span(v, v->at, stop ? (size_t)(stop - v->p) + 5 : v->len);
}

static bool rule_uuid(struct view *v)
{
	size_t from = v->at - 8;

	if (v->at < 8 || v->len - v->at < 28 || v->p[v->at + 5] != '-' || !is_uuid_at(v, from) ||
	    (from > 0 && is_word(v->p[from - 1]) && v->p[from - 1] != '-') ||
	    (from + UUID_BYTES < v->len && is_word(v->p[from + UUID_BYTES])))
		return false;
	return take_span(v, from, from + UUID_BYTES);
}

static bool ends_with_word(const char *p, size_t len, struct obs_slice word)
{
	if (len < word.len || (p[len - 1] | 0x20) != word.p[word.len - 1])
		return false;
	return strncasecmp(p + len - word.len, word.p, word.len) == 0;
}

/* Words at the end of a name that make its value a secret. */
static bool is_secret_name(const char *p, size_t len, bool *ret_token)
{
	static const struct obs_slice words[] = {
		OBS_SLICE("token"),	 OBS_SLICE("secret"),	   OBS_SLICE("password"),
		OBS_SLICE("passwd"),	 OBS_SLICE("api_key"),	   OBS_SLICE("apikey"),
		OBS_SLICE("api-key"),	 OBS_SLICE("private_key"), OBS_SLICE("privatekey"),
		OBS_SLICE("access_key"), OBS_SLICE("accesskey"),   OBS_SLICE("secret_key"),
		OBS_SLICE("secretkey"),	 OBS_SLICE("org_id"),	   OBS_SLICE("orgid"),
		OBS_SLICE("org-id"),	 OBS_SLICE("credential"),  OBS_SLICE("credentials"),
		OBS_SLICE("passphrase"), OBS_SLICE("mnemonic"),
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (ends_with_word(p, len, words[i])) {
			*ret_token = i == 0;
			return true;
		}
	}
	return false;
}

/* Numbers, words for nothing, and names of shell variables are no secrets. */
static bool is_harmless(const char *p, size_t len, bool token)
{
	static const char *const words[] = { "true", "false", "null", "none", "undefined", "***" };
	size_t i = 0;

	for (size_t w = 0; w < ARRAY_LEN(words); w++) {
		if (strlen(words[w]) == len && !strncasecmp(p, words[w], len))
			return true;
	}
	while (i < len && (is_digit_byte(p[i]) || strchr(".-+eE", p[i] ? p[i] : ' ')))
		i++;
	return *p == '$' || *p == '[' || *p == '<' || *p == '{' || (token && i == len);
}

/* A switch, which becomes one look at a bit mask: this is asked of very many bytes. */
static bool is_value(char c)
{
	switch (c) {
	case '\0':
	case ' ':
	case '\t':
	case '\n':
	case '"':
	case '\'':
	case ',':
	case ';':
	case '&':
	case ')':
	case '}':
	case ']':
		return false;
	default:
		return true;
	}
}

static bool take_secret_value(struct view *v, size_t from, bool token)
{
	size_t to;

	while (from < v->len && (v->p[from] == ' ' || v->p[from] == '"' || v->p[from] == '\''))
		from++;
	to = run_on(v, from, is_value);
	if (to - from < 3 || is_harmless(v->p + from, to - from, token))
		return false;
	return take_span(v, from, to);
}

/* The last two letters of the words above: a cheap look before the dear one. */
static bool may_end_secret_name(const char *end, size_t len)
{
	static const char before[256] = { ['n'] = 'e', ['t'] = 'e', ['y'] = 'e', ['l'] = 'a',
					  ['s'] = 'l', ['e'] = 's', ['c'] = 'i' };
	char last, prior;

	if (len < 5)
		return false;
	last = (char)(end[-1] | 0x20);
	prior = (char)(end[-2] | 0x20);
	if (last == 'd')
		return prior == 'r' || prior == 'w' || prior == 'i';
	return before[(unsigned char)last] == prior;
}

/* NAME=value, name: "value", "name": "value". Behind a colon a bare name must look like a key
 * (have a _ or capitals), since "invalid token: x" is prose. */
static bool rule_assignment(struct view *v)
{
	size_t end = v->at, from;
	bool quoted, token, key = false;

	if (!end || end <= v->free)
		return false;
	quoted = v->p[end - 1] == '"' || v->p[end - 1] == '\'';
	end -= quoted;
	if (!may_end_secret_name(v->p + end, end - v->free))
		return false;
	from = run_back(v, end, is_word);
	for (size_t i = from; i < end; i++)
		key |= v->p[i] == '_' || isupper((unsigned char)v->p[i]);
	if (v->p[v->at] == ':' && !quoted && !key)
		return false;
	return is_secret_name(v->p + from, end - from, &token) &&
	       take_secret_value(v, v->at + 1, token);
}

/* --hf_token VALUE; with "=" rule_assignment() has it. */
static bool rule_option(struct view *v)
{
	size_t name = v->at + 2, end;
	bool token;

	if (name >= v->len || v->p[v->at + 1] != '-' || (v->at > 0 && v->p[v->at - 1] != ' '))
		return false;
	end = run_on(v, name, is_word);
	if (end >= v->len || v->p[end] != ' ' || !may_end_secret_name(v->p + end, end - name))
		return false;
	return is_secret_name(v->p + name, end - name, &token) &&
	       take_secret_value(v, end + 1, token);
}

/* ?key=… and the like; what rule_assignment() calls secret it has already. */
static bool rule_query(struct view *v)
{
	static const char *const names[] = { "key",  "auth", "sig", "signature",
					     "code", "pass", "pwd" };
	size_t from = run_back(v, v->at, is_word), to;

	if (!from || from <= v->free || from == v->at ||
	    (v->p[from - 1] != '?' && v->p[from - 1] != '&'))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strlen(names[i]) != v->at - from ||
		    strncasecmp(v->p + from, names[i], v->at - from))
			continue;
		to = run_on(v, v->at + 1, is_value);
		return take_span(v, v->at + 1, to);
	}
	return false;
}

/* https://gensyn-testnet.g.alchemy.com/v2/<key> */
static bool rule_rpc_key(struct view *v)
{
	size_t to;

	if (v->at < 3 || v->p[v->at - 2] != 'v')
		return false;
	if (!ends_at(v, v->at, "/v2") && !ends_at(v, v->at, "/v3"))
		return false;
	to = run_on(v, v->at + 1, is_word);
	return to - v->at - 1 >= 20 && take_span(v, v->at + 1, to);
}

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c) != 0;
}

/* 64 hex digits after 0x: a key unless a word before says that it is a hash. */
static bool rule_hex_key(struct view *v)
{
	size_t from = v->at - 1, to = run_on(v, v->at + 1, is_hex), back;

	if (v->at < 1 || v->p[from] != '0' || (from > 0 && is_word(v->p[from - 1])) ||
	    to - v->at - 1 != KEY_HEX_BYTES)
		return false;
	back = from > 24 ? from - 24 : 0;
	for (size_t i = back; i + 4 <= from; i++) {
		if (!strncasecmp(v->p + i, "hash", 4) || !strncasecmp(v->p + i, "topi", 4) ||
		    !memcmp(v->p + i, "tx: ", 4))
			return false;
	}
	return take_span(v, from, to);
}

static bool is_user_name(char c)
{
	return c && !strchr("/ \t\n\"'`:,;)]", c);
}

/* /home/<user>/…, /Users/<user>/… */
static bool rule_home(struct view *v)
{
	size_t to;

	if (!ends_at(v, v->at, "/home") && !ends_at(v, v->at, "/Users"))
		return false;
	to = run_on(v, v->at + 1, is_user_name);
	return take_span(v, v->at + 1, to);
}

static bool is_address_byte(char c)
{
	return isxdigit((unsigned char)c) || c == '.' || c == ':';
}

static bool rule_host_address(struct view *v)
{
	size_t from = v->at;

	while (from > v->free && v->at - from < ADDRESS_BYTES && is_address_byte(v->p[from - 1]))
		from--;
	for (size_t i = 0; i < v->s->n_addresses; i++) {
		size_t n = strlen(v->s->addresses[i]);

		if (has_at(v, from, v->s->addresses[i]) && from + n > v->at &&
		    (from + n == v->len || !isalnum((unsigned char)v->p[from + n])))
			return take_span(v, from, from + n);
	}
	return false;
}

/* clang-format off */
const struct obs_scrub_rule obs_scrub_rules[] = {
	{ "url_user", OBS_SCRUB_STANDARD, "[CREDENTIALS]", "http://bob:hunter2@proxy:3128/", "http://[CREDENTIALS]@proxy:3128/" },
	{ "email", OBS_SCRUB_STANDARD, "[EMAIL]", "login of ann.b+x@mail.example.org failed", "login of [EMAIL] failed" },
	{ "token", OBS_SCRUB_STANDARD, "[TOKEN]", "using hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345 now", "using [TOKEN] now" },
	{ "jwt", OBS_SCRUB_STANDARD, "[JWT]", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", "got [JWT]." },
	{ "bearer", OBS_SCRUB_STANDARD, "[TOKEN]", "Authorization: Bearer abc.DEF-123~456", "Authorization: Bearer [TOKEN]" },
	{ "telegram", OBS_SCRUB_STANDARD, "[TELEGRAM_TOKEN]", "/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0/send", "/bot[TELEGRAM_TOKEN]/send" },
	{ "pem", OBS_SCRUB_STANDARD, "[PRIVATE_KEY]", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x", "[PRIVATE_KEY] x" },
	{ "uuid", OBS_SCRUB_STANDARD, "[ID]", "Your ORG_ID is set to: 6f9619ff-8b86-d011-b42d-00cf4fc964ff", "Your ORG_ID is set to: [ID]" },
	{ "option", OBS_SCRUB_STANDARD, "[SECRET]", "python -m x --modal_org_id abcdef --n 3", "python -m x --modal_org_id [SECRET] --n 3" },
	{ "assignment", OBS_SCRUB_STANDARD, "[SECRET]", "WANDB_API_KEY=0123abcd {'privateKey': '0xab12', 'loss': 1}", "WANDB_API_KEY=[SECRET] {'privateKey': '[SECRET]', 'loss': 1}" },
	{ "query", OBS_SCRUB_STANDARD, "[SECRET]", "GET /x?key=abc123&n=5", "GET /x?key=[SECRET]&n=5" },
	{ "rpc_key", OBS_SCRUB_STANDARD, "[KEY]", "https://gensyn-testnet.g.alchemy.com/v2/AbCdEfGhIjKlMnOpQrStUv012345", "https://gensyn-testnet.g.alchemy.com/v2/[KEY]" },
	{ "hex_key", OBS_SCRUB_STRICT, "[KEY]", "key 0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "key [KEY]" },
	{ "home", OBS_SCRUB_STRICT, "[USER]", "File \"/home/ann/rl-swarm/x.py\", line 3", "File \"/home/[USER]/rl-swarm/x.py\", line 3" },
	{ "host_address", OBS_SCRUB_STRICT, "[HOST]", "listening on /ip4/192.0.2.7/tcp/38331", "listening on /ip4/[HOST]/tcp/38331" },
	{ "key_body", OBS_SCRUB_STANDARD, "[KEY]", "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaC5rS1zR3yA9LQg", "[KEY]" },
	{ 0 },
};
/* clang-format on */

#define KEY_BODY_RULE (ARRAY_LEN(finders))

static bool before_any(char c)
{
	(void)c;
	return true;
}

static bool before_prefix(char c)
{
	return c && strchr("fpotkbA", c);
}

static bool before_y(char c)
{
	return c == 'y';
}

static bool before_blank(char c)
{
	return c == ' ';
}

static bool before_version(char c)
{
	return c == '2' || c == '3';
}

static bool before_user(char c)
{
	return c == 'e' || c == 's';
}

static bool before_zero(char c)
{
	return c == '0';
}

static bool before_value(char c)
{
	return c && strchr("ntdylsecNTDYLSEC\"'", c);
}

/* The rules' functions, in the table's order, the bytes they hang on, and which byte may stand
 * before those: most places are ruled out by that alone. */
static const struct {
	bool (*find)(struct view *);
	bool (*before)(char);
	const char *anchors;
} finders[] = {
	{ rule_url_user, is_userinfo, "@" },
	{ rule_email, is_local_part, "@" },
	{ rule_prefix, before_prefix, "_-K" },
	{ rule_jwt, before_y, "J" },
	{ rule_bearer, before_any, "Bb" },
	{ rule_telegram, is_digit_byte, ":" },
	{ rule_pem, before_any, "-" },
	{ rule_uuid, is_hex, "-" },
	{ rule_option, before_blank, "-" },
	{ rule_assignment, before_value, "=:" },
	{ rule_query, is_word, "=" },
	{ rule_rpc_key, before_version, "/" },
	{ rule_hex_key, before_zero, "x" },
	{ rule_home, before_user, "/" },
	{ rule_host_address, is_address_byte, ".:" },
};

_Static_assert(ARRAY_LEN(finders) + 2 == ARRAY_LEN(obs_scrub_rules), "one finder per rule");
_Static_assert(ARRAY_LEN(finders) <= 32, "bits of by_pair");

static int replacement_from(const char *name, char *to)
{
	size_t n = strlen(name);

	if (!n || n > REPLACEMENT_MAX - 3)
		return -EINVAL;
	*to++ = '[';
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && *name != '_')
			return -EINVAL;
		*to++ = (char)toupper((unsigned char)*name);
	}
	memcpy(to, "]", 2);
	return 0;
}

static int complain(struct obs_buf *message, const char *name, const char *what)
{
	if (message)
		obs_buf_printf(message, "scrub rule '%s': %s\n", name ? name : "", what);
	return -EINVAL;
}

static int add_user_rule(struct obs_scrub *s, const struct obs_scrub_user_rule *rule,
			 struct obs_buf *message)
{
	struct user_rule *u = &s->user[s->n_user];
	PCRE2_UCHAR text[160];
	PCRE2_SIZE at;
	int err;

	if (!rule->name || replacement_from(rule->name, u->replacement) < 0)
		return complain(message, rule->name, "a name is made of letters, digits and _");
	snprintf(u->name, sizeof(u->name), "%s", rule->name);
	u->regex =
		pcre2_compile((PCRE2_SPTR)(rule->regex ? rule->regex : ""), PCRE2_ZERO_TERMINATED,
			      PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &err, &at, NULL);
	if (!u->regex) {
		pcre2_get_error_message(err, text, sizeof(text));
		return complain(message, rule->name, (const char *)text);
	}
	s->n_user++;
	pcre2_jit_compile(u->regex, PCRE2_JIT_COMPLETE);
	u->data = pcre2_match_data_create(1, NULL);
	return u->data ? 0 : -ENOMEM;
}

static int add_options(struct obs_scrub *s, const struct obs_scrub_options *o,
		       struct obs_buf *message)
{
	int r = 0;

	if (o->n_rules > USER_RULES_MAX || o->n_host_addresses > ADDRESSES_MAX)
		return complain(message, "", "too many rules or addresses");
	for (size_t i = 0; i < o->n_host_addresses; i++) {
		s->addresses[i] = strdup(o->host_addresses[i]);
		if (!s->addresses[i])
			return -ENOMEM;
		s->n_addresses++;
	}
	s->limits = pcre2_match_context_create(NULL);
	if (!s->limits)
		return -ENOMEM;
	pcre2_set_match_limit(s->limits, MATCH_LIMIT);
	for (size_t i = 0; !r && i < o->n_rules; i++)
		r = add_user_rule(s, &o->rules[i], message);
	return r;
}

/* One bit per high half that anchors have; there are at most eight of them. */
static void add_anchor(struct obs_scrub *s, unsigned char c, unsigned *n_rows, unsigned *n_high)
{
	char *high = &s->by_high[c >> 4];

	if (!*high)
		*high = (char)(1u << (*n_high)++);
	s->by_low[c & 15] |= *high;
	if (!s->row[c])
		s->row[c] = (unsigned char)++*n_rows;
}

static void hang_rule(struct obs_scrub *s, size_t i, unsigned char anchor)
{
	for (unsigned c = 0; c < 256; c++) {
		if (finders[i].before((char)c))
			s->by_pair[s->row[anchor]][c] |= 1u << i;
	}
}

static void hang_rules(struct obs_scrub *s)
{
	unsigned n_high = 0, n_rows = 0;

	for (size_t i = 0; i < ARRAY_LEN(finders); i++) {
		if (s->level < obs_scrub_rules[i].level)
			continue;
		for (const char *c = finders[i].anchors; *c; c++) {
			add_anchor(s, (unsigned char)*c, &n_rows, &n_high);
			hang_rule(s, i, (unsigned char)*c);
		}
	}
#ifdef __x86_64__
	s->vectors = __builtin_cpu_supports("ssse3");
#endif
}

int obs_scrub_new(const struct obs_scrub_options *o, struct obs_buf *message,
		  struct obs_scrub **ret)
{
	cleanup_scrub struct obs_scrub *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->level = o->level;
	hang_rules(s);
	r = add_options(s, o, message);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void obs_scrub_free(struct obs_scrub **sp)
{
	struct obs_scrub *s = *sp;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_user; i++) {
		pcre2_match_data_free(s->user[i].data);
		pcre2_code_free(s->user[i].regex);
	}
	for (size_t i = 0; i < s->n_addresses; i++)
		free(s->addresses[i]);
	pcre2_match_context_free(s->limits);
	obs_buf_free(&s->arena);
	free(s);
	*sp = NULL;
}

#ifdef __x86_64__
#define SSSE3 __attribute__((target("ssse3")))

SSSE3 static inline uint64_t block_mask(__m128i low, __m128i high, const char *p)
{
	const __m128i half = _mm_set1_epi8(15);
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i l = _mm_shuffle_epi8(low, _mm_and_si128(v, half));
	__m128i h = _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(v, 4), half));
	__m128i none = _mm_cmpeq_epi8(_mm_and_si128(l, h), _mm_setzero_si128());

	return ~(unsigned)_mm_movemask_epi8(none) & 0xffff;
}

/* @p has at least BLOCK bytes before @p + @len: the last block reaches back into those. */
SSSE3 static uint64_t vector_mask(const struct obs_scrub *s, const char *p, size_t len)
{
	const __m128i low = _mm_loadu_si128((const __m128i *)s->by_low);
	const __m128i high = _mm_loadu_si128((const __m128i *)s->by_high);
	uint64_t mask = 0;
	size_t i = 0;

	for (; i + BLOCK <= len; i += BLOCK)
		mask |= block_mask(low, high, p + i) << i;
	if (i < len)
		mask |= block_mask(low, high, p + len - BLOCK) >> (BLOCK - (len - i)) << i;
	return mask;
}
#endif

/* Which of the (at most CHUNK) bytes from @base on are anchors. */
static uint64_t anchor_mask(const struct obs_scrub *s, const struct view *v, size_t base)
{
	size_t len = v->len - base < CHUNK ? v->len - base : CHUNK;
	uint64_t mask = 0;

#ifdef __x86_64__
	if (v->len >= BLOCK && s->vectors)
		return vector_mask(s, v->p + base, len);
#endif
	for (size_t i = 0; i < len; i++)
		mask |= (uint64_t)(s->row[(unsigned char)v->p[base + i]] != 0) << i;
	return mask;
}

/* The arena may not move while slices of it are out: what does not fit fails the text. */
static void arena_push(struct obs_scrub *s, const char *p, size_t len)
{
	if (len > s->arena.cap - s->arena.len)
		s->arena.failed = true;
	else
		obs_buf_push(&s->arena, p, len);
}

/* Ask the rules that hang on the byte at v->at. Return: the rule, or -1. */
static int find_rule(struct view *v, uint32_t rules)
{
	for (; rules; rules &= rules - 1) {
		int i = __builtin_ctz(rules);

		if (finders[i].find(v))
			return i;
	}
	return -1;
}

static void look_at(struct obs_scrub *s, struct view *v, uint32_t rules)
{
	int rule = find_rule(v, rules);

	if (rule < 0)
		return;
	s->counts[rule]++;
	arena_push(s, v->p + v->free, v->from - v->free);
	arena_push(s, obs_scrub_rules[rule].replacement, strlen(obs_scrub_rules[rule].replacement));
	v->free = v->to;
}

/* A text begins as if a blank stood before it. */
static inline uint32_t rules_at(const struct obs_scrub *s, const struct view *v)
{
	unsigned char before = v->at ? (unsigned char)v->p[v->at - 1] : ' ';

	return s->by_pair[s->row[(unsigned char)v->p[v->at]]][before];
}

/* A line of a PEM file that came as a line of its own: base64 all through, of a line's length,
 * with capitals, small letters and digits. */
static bool is_key_body(struct obs_slice text)
{
	unsigned kinds = 0;

	if (text.len < 60 || text.len > 76)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (!isalnum(c) && c != '+' && c != '/' && c != '=')
			return false;
		kinds |= islower(c) ? 1 : isupper(c) ? 2 : isdigit(c) ? 4 : 0;
	}
	return kinds == 7;
}

static struct obs_slice scrub_builtin(struct obs_scrub *s, struct obs_slice text)
{
	struct view v = { .s = s, .p = text.p, .len = text.len };
	size_t start = s->arena.len;

	if (is_key_body(text)) {
		s->counts[KEY_BODY_RULE]++;
		return obs_slice_str(obs_scrub_rules[KEY_BODY_RULE].replacement);
	}

	for (size_t base = 0; base < v.len; base += CHUNK) {
		uint64_t mask = anchor_mask(s, &v, base);

		for (; mask; mask &= mask - 1) {
			uint32_t rules;

			v.at = base + (size_t)__builtin_ctzll(mask);
			rules = rules_at(s, &v);
			if (rules && v.at >= v.free)
				look_at(s, &v, rules);
		}
	}
	if (!v.free)
		return text;
	arena_push(s, v.p + v.free, v.len - v.free);
	return obs_slice(s->arena.p + start, s->arena.len - start);
}

static struct obs_slice scrub_user(struct obs_scrub *s, size_t rule, struct obs_slice text)
{
	struct user_rule *u = &s->user[rule];
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(u->data);
	size_t start = s->arena.len, done = 0, from = 0;

	while (from <= text.len && pcre2_match(u->regex, (PCRE2_SPTR)text.p, text.len, from, 0,
					       u->data, s->limits) > 0) {
		if (at[1] <= at[0] || at[0] < done) {
			from = at[1] + 1; /* an empty match takes nothing out */
			continue;
		}
		s->counts[ARRAY_LEN(obs_scrub_rules) - 1 + rule]++;
		arena_push(s, text.p + done, at[0] - done);
		arena_push(s, u->replacement, strlen(u->replacement));
		done = from = at[1];
	}
	if (!done)
		return text;
	arena_push(s, text.p + done, text.len - done);
	return obs_slice(s->arena.p + start, s->arena.len - start);
}

/* Room for every pass over @len bytes, so that the arena stays where it is. */
static bool reserve(struct obs_scrub *s, size_t len)
{
	size_t need = len * GROWTH + 64 + s->n_user * (len * USER_GROWTH + 256);

	return need <= s->arena.cap - s->arena.len || obs_buf_reserve(&s->arena, need) == 0;
}

static struct obs_slice scrub_one(struct obs_scrub *s, struct obs_slice text)
{
	if (!text.len || s->level == OBS_SCRUB_OFF)
		return text;
	if (!reserve(s, text.len))
		return OBS_SLICE("[SCRUBBED]");
	text = scrub_builtin(s, text);
	for (size_t i = 0; i < s->n_user; i++)
		text = scrub_user(s, i, text);
	return s->arena.failed ? OBS_SLICE("[SCRUBBED]") : text;
}

struct obs_slice obs_scrub_text(struct obs_scrub *s, struct obs_slice text)
{
	obs_buf_reset(&s->arena);
	return scrub_one(s, text);
}

static void scrub_list(struct obs_scrub *s, struct obs_field *f)
{
	struct obs_slice *to = s->list + s->n_list;
	size_t n = LIST_MAX - s->n_list;

	if (f->list.n < n)
		n = f->list.n;
	for (size_t i = 0; i < n; i++)
		to[i] = scrub_one(s, f->list.v[i]);
	f->list.v = to;
	f->list.n = n;
	s->n_list += n;
}

static size_t text_bytes(const struct obs_event *ev)
{
	size_t n = ev->message.len + ev->origin.path.len;

	for (unsigned i = 0; i < ev->n_fields; i++) {
		const struct obs_field *f = &ev->fields[i];

		if (f->kind == OBS_VALUE_STR)
			n += f->str.len;
		for (size_t k = 0; f->kind == OBS_VALUE_LIST && k < f->list.n; k++)
			n += f->list.v[k].len;
	}
	return n;
}

static bool is_inside(struct obs_slice part, struct obs_slice whole)
{
	return part.p >= whole.p && part.p + part.len <= whole.p + whole.len;
}

/* Nothing was found in the message, so nothing is in a field that is a part of it. */
static bool is_clean(const struct obs_field *f, struct obs_slice clean)
{
	if (f->kind == OBS_VALUE_LIST)
		return !f->list.n || (is_inside(f->list.v[0], clean) &&
				      is_inside(f->list.v[f->list.n - 1], clean));
	return f->kind == OBS_VALUE_STR && is_inside(f->str, clean);
}

void obs_scrub_event(struct obs_scrub *s, struct obs_event *ev)
{
	struct obs_slice clean = { 0 };

	if (s->level == OBS_SCRUB_OFF)
		return;
	obs_buf_reset(&s->arena);
	s->n_list = 0;
	reserve(s, text_bytes(ev) + 64 * (ev->n_fields + LIST_MAX));
	clean = ev->message;
	ev->message = scrub_one(s, ev->message);
	if (ev->message.p != clean.p)
		clean = (struct obs_slice){ 0 };
	if (s->level == OBS_SCRUB_STRICT || s->n_user)
		ev->origin.path = scrub_one(s, ev->origin.path);
	for (unsigned i = 0; i < ev->n_fields; i++) {
		struct obs_field *f = &ev->fields[i];

		if (clean.len && is_clean(f, clean))
			continue;
		if (f->kind == OBS_VALUE_STR)
			f->str = scrub_one(s, f->str);
		else if (f->kind == OBS_VALUE_LIST)
			scrub_list(s, f);
	}
}

const char *obs_scrub_name(const struct obs_scrub *s, size_t i)
{
	const size_t n = ARRAY_LEN(obs_scrub_rules) - 1;

	if (i < n)
		return obs_scrub_rules[i].name;
	return i - n < s->n_user ? s->user[i - n].name : NULL;
}

uint64_t obs_scrub_count(const struct obs_scrub *s, size_t i)
{
	return i < ARRAY_LEN(s->counts) ? s->counts[i] : 0;
}
