// SPDX-License-Identifier: BSD-2-Clause
/*
 * chain.c - see chain.h. One poll: the chain and the contract, our peers, events of the blocks
 * since the last poll.
 *
 * Two generations of the contract are about, one with stages, and which one stands at an address
 * is not known before: what it has not is asked for again only now and then.
 */
#include "collect/chain.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "collect/chain_http.h"
#include "parse/jsonread.h"
#include "sink/retry.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define CONFIRMATIONS  2     /* events this new may be taken back */
#define LOOK_BACK      2000  /* blocks, at the first poll ever */
#define BACKLOG_MAX    50000 /* blocks; more is skipped, and counted */
#define SPAN_MAX       10000 /* blocks in one question for events */
#define LOG_QUESTIONS  16    /* in one poll */
#define LOG_DATA_MAX   (256 * 1024)
#define TIME_QUESTIONS 32  /* in one poll, for the times of blocks that their events do not tell */
#define RARE_POLLS     10  /* bootnodes, and what the contract does not have */
#define QUICK_FAILURES 4   /* that are tried again soon */
#define SOON_MS	       500 /* after a change of what is wanted */
#define IDLE_MS	       60000
#define RESET_BLOCKS   1000 /* so far back a head is that of a chain that began anew */
#define WORD_HEX       64

enum view { CHAIN_ID, BLOCK, ROUND, STAGE, BOOTNODES, PEERS_OF, VIEWS };

struct obs_chain {
	struct obs_chain_options opt;
	struct obs_chain_http *http;
	pthread_t thread;
	bool started;
	atomic_bool stop;
	uint64_t random;

	pthread_mutex_t lock; /* of the next three */
	struct obs_chain_wanted wanted;
	bool changed;
	struct obs_chain_report *ready;

	/* of the thread */
	struct obs_chain_wanted w;
	struct obs_backoff backoff;
	unsigned failures; /* in a row */
	unsigned polls;
	bool lacks_stage, lacks_votes;
	char contract[OBS_ADDRESS_LEN]; /* what the next two are of */
	uint64_t next_block;
	uint64_t span;
};

struct poll {
	struct obs_chain *c;
	struct obs_chain_report *rep;
	struct obs_chain_failure failure;
	bool no_contract, no_round;
	/* of a question for events */
	bool refused;
	size_t n_logs_before, log_data_before;
};

const char *obs_chain_where(const struct obs_chain *c)
{
	return obs_chain_http_where(c->http);
}

void obs_chain_report_free(struct obs_chain_report **r)
{
	if (!*r)
		return;
	obs_buf_free(&(*r)->log_data);
	free(*r);
	*r = NULL;
}

/* --- answers --- */

/* The bytes that a call of the contract returned, in @buf. */
static bool returned(const struct obs_rpc_answer *a, struct obs_buf *buf)
{
	struct obs_slice hex;

	return a->kind == OBS_RPC_RESULT && obs_json_string(a->result, &hex) &&
	       obs_hex_decode(hex, buf) == 0 && buf->len > 0;
}

static bool quantity(const struct obs_rpc_answer *a, uint64_t *ret)
{
	struct obs_slice hex;

	return a->kind == OBS_RPC_RESULT && obs_json_string(a->result, &hex) &&
	       obs_hex_number(hex, ret);
}

/* "0x" from a call: there is no contract. */
static bool is_nothing(const struct obs_rpc_answer *a)
{
	return a->kind == OBS_RPC_RESULT && obs_slice_eq(a->result, OBS_SLICE("\"0x\""));
}

static void copy_text(struct obs_slice s, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)(s.len < size ? s.len : size), s.len ? s.p : "");
}

static void take_bootnodes(struct poll *p, struct obs_slice data)
{
	struct obs_chain_report *rep = p->rep;
	struct obs_slice text;
	size_t first, n;

	if (!obs_abi_array(data, 0, 0, &first, &n))
		return;
	rep->has_bootnodes = true;
	for (size_t i = 0; i < n && rep->n_bootnodes < OBS_CHAIN_BOOTNODES_MAX; i++) {
		if (obs_abi_bytes(data, first, first + i * OBS_ABI_WORD, &text) && text.len &&
		    text.len < OBS_MULTIADDR_LEN)
			copy_text(text, rep->bootnodes[rep->n_bootnodes++], OBS_MULTIADDR_LEN);
	}
}

static bool is_known_peer(const struct poll *p, struct obs_slice id)
{
	for (size_t i = 0; i < p->rep->n_peers; i++) {
		if (obs_slice_eq(id, obs_slice_str(p->rep->peers[i].id)))
			return true;
	}
	return false;
}

static void add_peer(struct poll *p, struct obs_slice id)
{
	struct obs_chain_report *rep = p->rep;

	if (!id.len || id.len >= OBS_PEER_ID_LEN || rep->n_peers == OBS_CHAIN_PEERS_MAX ||
	    is_known_peer(p, id))
		return;
	copy_text(id, rep->peers[rep->n_peers++].id, OBS_PEER_ID_LEN);
}

/* string[][], of one account */
static void take_peers_of(struct poll *p, struct obs_slice data)
{
	struct obs_slice text;
	size_t first, n;

	if (!obs_abi_array(data, 0, 0, &first, &n) || n == 0 ||
	    !obs_abi_array(data, first, first, &first, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		if (obs_abi_bytes(data, first, first + i * OBS_ABI_WORD, &text))
			add_peer(p, text);
	}
}

static void take_view(void *ctx, size_t view, const struct obs_rpc_answer *a)
{
	cleanup_buf struct obs_buf data = {};
	struct poll *p = ctx;
	struct obs_chain_report *rep = p->rep;

	if (view == CHAIN_ID)
		rep->has_chain_id = quantity(a, &rep->chain_id);
	if (view == BLOCK)
		rep->has_block = quantity(a, &rep->block);
	if (view < ROUND)
		return;
	if (view == ROUND) {
		p->no_contract = is_nothing(a);
		p->no_round = a->kind == OBS_RPC_REVERTED;
	}
	if (view == STAGE)
		p->c->lacks_stage = a->kind == OBS_RPC_REVERTED;
	if (!returned(a, &data))
		return;
	if (view == ROUND)
		rep->has_round = obs_abi_number(obs_buf_slice(&data), 0, &rep->round);
	if (view == STAGE)
		rep->has_stage = obs_abi_number(obs_buf_slice(&data), 0, &rep->stage);
	if (view == BOOTNODES)
		take_bootnodes(p, obs_buf_slice(&data));
	if (view == PEERS_OF)
		take_peers_of(p, obs_buf_slice(&data));
}

/* --- questions --- */

static void free_questions(struct obs_chain_question *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		obs_buf_free(&q[i].params);
}

/* A call of the contract without arguments; the caller adds them, and then ends it. */
static void begin_call(struct poll *p, struct obs_chain_question *q, const char *signature)
{
	q->method = "eth_call";
	obs_buf_printf(&q->params, "[{\"to\":\"%s\",\"data\":\"", p->c->w.contract);
	obs_abi_put_call(&q->params, signature);
}

static void end_call(struct obs_chain_question *q)
{
	obs_buf_push_str(&q->params, "\"},\"latest\"]");
}

static struct obs_chain_question *add_view(struct obs_chain_question *all, size_t *n,
					   enum view view)
{
	struct obs_chain_question *q = &all[(*n)++];

	*q = (struct obs_chain_question){ .take = take_view, .arg = view };
	return q;
}

static void add_plain(struct obs_chain_question *all, size_t *n, enum view view, const char *method)
{
	struct obs_chain_question *q = add_view(all, n, view);

	q->method = method;
	obs_buf_push_str(&q->params, "[]");
}

static void add_call(struct poll *p, struct obs_chain_question *all, size_t *n, enum view view,
		     const char *signature)
{
	struct obs_chain_question *q = add_view(all, n, view);

	begin_call(p, q, signature);
	if (view == PEERS_OF)
		obs_abi_put_address_list(&q->params, p->c->opt.eoa);
	end_call(q);
}

static bool is_rare(const struct obs_chain *c)
{
	return c->polls % RARE_POLLS == 0;
}

static int ask_chain(struct poll *p)
{
	struct obs_chain_question q[VIEWS];
	struct obs_chain *c = p->c;
	size_t n = 0;
	int r;

	add_plain(q, &n, CHAIN_ID, "eth_chainId");
	add_plain(q, &n, BLOCK, "eth_blockNumber");
	add_call(p, q, &n, ROUND, "currentRound()");
	if (!c->lacks_stage || is_rare(c))
		add_call(p, q, &n, STAGE, "currentStage()");
	if (is_rare(c))
		add_call(p, q, &n, BOOTNODES, "getBootnodes()");
	if (*c->opt.eoa)
		add_call(p, q, &n, PEERS_OF, "getPeerId(address[])");
	r = obs_chain_http_ask(c->http, q, n, p, &p->failure);
	free_questions(q, n);
	return r;
}

/* --- peers --- */

enum peer_view { VOTES, WINS, PEER_VIEWS };

static void take_peer_count(void *ctx, size_t arg, const struct obs_rpc_answer *a)
{
	cleanup_buf struct obs_buf data = {};
	struct poll *p = ctx;
	struct obs_chain_peer *peer = &p->rep->peers[arg / PEER_VIEWS];
	const uint8_t *word = returned(a, &data) ? obs_abi_word(obs_buf_slice(&data), 0) : NULL;

	if (arg % PEER_VIEWS == VOTES)
		p->c->lacks_votes = a->kind == OBS_RPC_REVERTED;
	if (word)
		obs_abi_decimal(word, false, arg % PEER_VIEWS == VOTES ? peer->votes : peer->wins);
}

/* One word per peer, in their order. */
static bool take_list(const struct poll *p, const struct obs_rpc_answer *a, struct obs_buf *data,
		      size_t *ret_first)
{
	size_t n;

	return returned(a, data) && obs_abi_array(obs_buf_slice(data), 0, 0, ret_first, &n) &&
	       n == p->rep->n_peers;
}

static void take_rewards(void *ctx, size_t arg, const struct obs_rpc_answer *a)
{
	cleanup_buf struct obs_buf data = {};
	struct poll *p = ctx;
	size_t first;

	(void)arg;
	for (size_t i = 0; take_list(p, a, &data, &first) && i < p->rep->n_peers; i++) {
		obs_abi_decimal(obs_abi_word(obs_buf_slice(&data), first + i * OBS_ABI_WORD), true,
				p->rep->peers[i].rewards);
		obs_buf_reset(&data);
	}
}

/* For the events of this very poll; whoever gets the report asks for it from then on. */
static void add_account(struct obs_chain_wanted *w, const char *account)
{
	for (size_t i = 0; i < w->n_accounts; i++) {
		if (strcasecmp(w->accounts[i], account) == 0)
			return;
	}
	if (w->n_accounts < OBS_CHAIN_ACCOUNTS_MAX)
		snprintf(w->accounts[w->n_accounts++], OBS_ADDRESS_LEN, "%s", account);
}

static void take_accounts(void *ctx, size_t arg, const struct obs_rpc_answer *a)
{
	static const uint8_t nobody[OBS_ABI_WORD];
	cleanup_buf struct obs_buf data = {};
	struct poll *p = ctx;
	size_t first;

	(void)arg;
	if (!take_list(p, a, &data, &first))
		return;
	for (size_t i = 0; i < p->rep->n_peers; i++) {
		struct obs_chain_peer *peer = &p->rep->peers[i];
		const uint8_t *word = obs_abi_word(obs_buf_slice(&data), first + i * OBS_ABI_WORD);
		char *out = peer->account;

		peer->account_known = true;
		if (memcmp(word, nobody, sizeof(nobody)) == 0)
			continue;
		out += snprintf(out, 3, "0x");
		for (unsigned k = 12; k < OBS_ABI_WORD; k++)
			out += snprintf(out, 3, "%02x", word[k]);
		add_account(&p->c->w, peer->account);
	}
}

static void add_list_call(struct poll *p, struct obs_chain_question *q, const char *signature,
			  void (*take)(void *, size_t, const struct obs_rpc_answer *))
{
	const char *ids[OBS_CHAIN_PEERS_MAX];

	for (size_t i = 0; i < p->rep->n_peers; i++)
		ids[i] = p->rep->peers[i].id;
	*q = (struct obs_chain_question){ .take = take };
	begin_call(p, q, signature);
	obs_abi_put_strings(&q->params, ids, p->rep->n_peers);
	end_call(q);
}

static int ask_peers(struct poll *p)
{
	static const char *const signatures[PEER_VIEWS] = {
		[VOTES] = "getVoterVoteCount(string)",
		[WINS] = "getTotalWins(string)",
	};
	size_t n = 0, n_peers = p->rep->n_peers;
	cleanup_free struct obs_chain_question *q =
		calloc(n_peers * PEER_VIEWS + 2, sizeof(struct obs_chain_question));
	int r;

	if (!q || n_peers == 0)
		return q ? 0 : -ENOMEM;
	add_list_call(p, &q[n++], "getTotalRewards(string[])", take_rewards);
	add_list_call(p, &q[n++], "getEoa(string[])", take_accounts);
	for (size_t i = 0; i < n_peers * PEER_VIEWS; i++) {
		if (i % PEER_VIEWS == VOTES && p->c->lacks_votes && !is_rare(p->c))
			continue;
		q[n] = (struct obs_chain_question){ .take = take_peer_count, .arg = i };
		begin_call(p, &q[n], signatures[i % PEER_VIEWS]);
		obs_abi_put_string(&q[n].params, p->rep->peers[i / PEER_VIEWS].id);
		end_call(&q[n++]);
	}
	r = obs_chain_http_ask(p->c->http, q, n, p, &p->failure);
	free_questions(q, n);
	return r;
}

/* --- events --- */

static const struct obs_abi_item *event_of(const struct obs_chain *c, const uint8_t *topic)
{
	for (size_t i = 0; i < c->opt.n_events; i++) {
		if (memcmp(c->opt.events[i].hash, topic, OBS_KECCAK_LEN) == 0)
			return &c->opt.events[i];
	}
	return NULL;
}

/* Events that name an account first are asked for by account: the swarm has many. */
static bool is_by_account(const struct obs_abi_item *e)
{
	return e->n_params && e->params[0].indexed && e->params[0].kind == OBS_ABI_ADDRESS &&
	       strcmp(e->params[0].name, "account") == 0;
}

static bool take_topics(const struct obs_rpc_log *from, struct obs_abi_log *log)
{
	cleanup_buf struct obs_buf bytes = {};

	for (unsigned i = 0; i < from->n_topics; i++) {
		obs_buf_reset(&bytes);
		if (obs_hex_decode(from->topics[i], &bytes) < 0 || bytes.len != OBS_ABI_WORD)
			return false;
		memcpy(log->topics[i], bytes.p, OBS_ABI_WORD);
	}
	log->n_topics = from->n_topics;
	return true;
}

/* Of the right contract, and of an event that was asked for. Its data stands in log_data, which
 * may still move: the slice is made when all are in. */
static bool take_log(struct poll *p, struct obs_slice entry)
{
	struct obs_chain_report *rep = p->rep;
	struct obs_chain_log *l = &rep->logs[rep->n_logs];
	size_t before = rep->log_data.len;
	struct obs_rpc_log from;

	*l = (struct obs_chain_log){};
	if (!obs_rpc_log_parse(entry, &from) || from.removed || !take_topics(&from, &l->log) ||
	    from.address.len != OBS_ADDRESS_LEN - 1 ||
	    strncasecmp(from.address.p, p->c->w.contract, from.address.len) != 0)
		return false;
	l->event = event_of(p->c, l->log.topics[0]);
	rep->log_data.max_bytes = LOG_DATA_MAX;
	if (!l->event || obs_hex_decode(from.data, &rep->log_data) < 0) {
		rep->log_data.len = before;
		return false;
	}
	l->log.data = obs_slice(NULL, rep->log_data.len - before);
	copy_text(from.tx_hash, l->tx_hash, sizeof(l->tx_hash));
	l->block = from.block;
	l->index = from.index;
	l->time_s = from.time_s < UINT32_MAX ? from.time_s : 0;
	rep->n_logs++;
	return true;
}

static void take_logs(void *ctx, size_t arg, const struct obs_rpc_answer *a)
{
	struct poll *p = ctx;
	struct obs_slice entry;
	struct obs_json_walk w;

	(void)arg;
	if (a->kind != OBS_RPC_RESULT || !obs_json_walk_init(&w, a->result) || w.is_object) {
		p->refused = true;
		return;
	}
	while (obs_json_walk_next(&w, NULL, &entry)) {
		if (p->rep->n_logs == OBS_CHAIN_LOGS_MAX) {
			p->refused = true; /* as if the range were too large */
			return;
		}
		if (!take_log(p, entry))
			obs_count(&p->c->opt.counters->chain_logs_bad, 1);
	}
}

static void put_topics(const struct obs_chain *c, bool by_account, struct obs_buf *out)
{
	const char *sep = "[";

	for (size_t i = 0; i < c->opt.n_events; i++) {
		if (is_by_account(&c->opt.events[i]) != by_account)
			continue;
		obs_buf_printf(out, "%s\"0x", sep);
		for (unsigned k = 0; k < OBS_KECCAK_LEN; k++)
			obs_buf_printf(out, "%02x", c->opt.events[i].hash[k]);
		obs_buf_push_str(out, "\"");
		sep = ",";
	}
	obs_buf_push_str(out, "]");
}

static void begin_logs(struct poll *p, struct obs_chain_question *q, uint64_t to)
{
	*q = (struct obs_chain_question){ .method = "eth_getLogs", .take = take_logs };
	obs_buf_printf(&q->params,
		       "[{\"address\":\"%s\",\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\","
		       "\"topics\":[",
		       p->c->w.contract, (unsigned long long)p->c->next_block,
		       (unsigned long long)to);
}

static int ask_logs(struct poll *p, uint64_t to)
{
	const struct obs_chain_wanted *w = &p->c->w;
	struct obs_chain_question q[2];
	size_t n = 0;
	int r;

	begin_logs(p, &q[n], to);
	put_topics(p->c, false, &q[n].params);
	obs_buf_push_str(&q[n++].params, "]}]");
	if (w->n_accounts) {
		begin_logs(p, &q[n], to);
		put_topics(p->c, true, &q[n].params);
		for (size_t i = 0; i < w->n_accounts; i++)
			obs_buf_printf(&q[n].params, "%s\"0x%024x%s\"", i ? "," : ",[", 0,
				       w->accounts[i] + 2);
		obs_buf_push_str(&q[n++].params, "]]}]");
	}
	p->refused = false;
	p->n_logs_before = p->rep->n_logs;
	p->log_data_before = p->rep->log_data.len;
	r = obs_chain_http_ask(p->c->http, q, n, p, &p->failure);
	free_questions(q, n);
	if (r < 0 || p->refused) { /* they come again */
		p->rep->n_logs = p->n_logs_before;
		p->rep->log_data.len = p->log_data_before;
	}
	return r;
}

/* What a server says is the largest range may be the one just asked for: halve it. */
static void shrink_span(struct obs_chain *c, struct obs_chain_report *rep)
{
	if (c->span > 1) {
		c->span /= 2;
		return;
	}
	c->next_block++;
	rep->skipped = true;
	obs_count(&c->opt.counters->chain_blocks_skipped, 1);
}

static void place_cursor(struct obs_chain *c, uint64_t head)
{
	if (c->next_block == 0)
		c->next_block = head > LOOK_BACK ? head - LOOK_BACK : 1;
	if (c->next_block > head + RESET_BLOCKS)
		c->next_block = head;
	if (head > c->next_block + BACKLOG_MAX) {
		obs_count(&c->opt.counters->chain_blocks_skipped,
			  head - BACKLOG_MAX - c->next_block);
		c->next_block = head - BACKLOG_MAX;
	}
}

static int read_logs(struct poll *p)
{
	struct obs_chain *c = p->c;
	uint64_t head = p->rep->block;
	int r = 0;

	if (head < CONFIRMATIONS)
		return 0;
	head -= CONFIRMATIONS;
	place_cursor(c, head);
	for (int i = 0; i < LOG_QUESTIONS && r == 0 && c->next_block <= head; i++) {
		uint64_t to = head - c->next_block < c->span ? head : c->next_block + c->span - 1;

		if (p->rep->n_logs > OBS_CHAIN_LOGS_MAX / 2)
			break; /* the rest at the next poll */
		r = ask_logs(p, to);
		if (r == 0 && p->refused) {
			shrink_span(c, p->rep);
		} else if (r == 0) {
			c->next_block = to + 1;
			c->span = c->span * 2 < SPAN_MAX ? c->span * 2 : SPAN_MAX;
		}
	}
	return r;
}

static void take_time(void *ctx, size_t arg, const struct obs_rpc_answer *a)
{
	struct obs_chain_report *rep = ((struct poll *)ctx)->rep;
	struct obs_slice value, hex;
	uint64_t time_s;

	if (a->kind != OBS_RPC_RESULT || !obs_json_get(a->result, "timestamp", &value) ||
	    !obs_json_string(value, &hex) || !obs_hex_number(hex, &time_s) || time_s > UINT32_MAX)
		return;
	for (size_t i = 0; i < rep->n_logs; i++) {
		if (rep->logs[i].block == rep->logs[arg].block)
			rep->logs[i].time_s = time_s;
	}
}

static bool is_asked_before(const struct obs_chain_report *rep, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (rep->logs[k].block == rep->logs[i].block)
			return true;
	}
	return false;
}

static int read_times(struct poll *p)
{
	struct obs_chain_question q[TIME_QUESTIONS];
	const struct obs_chain_report *rep = p->rep;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < rep->n_logs && n < TIME_QUESTIONS; i++) {
		if (rep->logs[i].time_s || is_asked_before(rep, i))
			continue;
		q[n] = (struct obs_chain_question){ .method = "eth_getBlockByNumber",
						    .take = take_time,
						    .arg = i };
		obs_buf_printf(&q[n++].params, "[\"0x%llx\",false]",
			       (unsigned long long)rep->logs[i].block);
	}
	r = obs_chain_http_ask(p->c->http, q, n, p, &p->failure);
	free_questions(q, n);
	return r;
}

/* --- a poll --- */

__attribute__((format(printf, 2, 3))) static int is_wrong(struct poll *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->rep->error, sizeof(p->rep->error), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

static int judge_chain(struct poll *p)
{
	const struct obs_chain_report *rep = p->rep;
	uint64_t want = p->c->opt.chain_id;

	if (!rep->has_chain_id || !rep->has_block)
		return is_wrong(p, "the chain RPC does not tell the chain's id and block");
	if (want && rep->chain_id != want)
		return is_wrong(p, "the chain RPC is one of chain %llu, not of %llu",
				(unsigned long long)rep->chain_id, (unsigned long long)want);
	if (p->no_contract)
		return is_wrong(p, "there is no contract at %s on chain %llu", p->c->w.contract,
				(unsigned long long)rep->chain_id);
	if (p->no_round)
		return is_wrong(p, "the contract at %s has no rounds", p->c->w.contract);
	if (!rep->has_round)
		return is_wrong(p, "the chain RPC does not tell the contract's round");
	return 0;
}

static void use_contract(struct obs_chain *c)
{
	if (strcmp(c->contract, c->w.contract) == 0)
		return;
	memcpy(c->contract, c->w.contract, sizeof(c->contract));
	c->next_block = c->w.next_block;
	c->span = SPAN_MAX;
	c->lacks_stage = c->lacks_votes = false;
	c->polls = 0;
}

static int by_place(const void *a, const void *b)
{
	const struct obs_chain_log *x = a, *y = b;

	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void place_log_data(struct obs_chain_report *rep)
{
	const char *at = rep->log_data.p;

	for (size_t i = 0; i < rep->n_logs; i++) {
		rep->logs[i].log.data.p = at;
		at += rep->logs[i].log.data.len;
	}
	if (rep->n_logs)
		qsort(rep->logs, rep->n_logs, sizeof(*rep->logs), by_place);
}

static int poll_all(struct poll *p)
{
	int r;

	for (size_t i = 0; i < p->c->w.n_peers; i++)
		add_peer(p, obs_slice_str(p->c->w.peers[i]));
	r = ask_chain(p);
	if (r == 0)
		r = judge_chain(p);
	if (r == 0)
		r = ask_peers(p);
	if (r == 0)
		r = read_logs(p);
	if (r == 0)
		r = read_times(p);
	return r;
}

/* After failures: soon, then ever later, and much later where the server wants no more. */
static uint64_t next_wait_ms(struct obs_chain *c, const struct poll *p, int r)
{
	uint64_t jitter = obs_backoff_next(&c->backoff); /* any wait up to a bound */
	uint64_t ms = c->opt.poll_ms;

	if (r == 0) {
		obs_backoff_reset(&c->backoff);
		c->failures = 0;
		return ms;
	}
	c->failures++;
	if (p->failure.limited) {
		ms = (ms << (c->failures < 5 ? c->failures : 5)) + jitter;
		return ms > p->failure.retry_after_ms ? ms : p->failure.retry_after_ms;
	}
	if (r == -EPROTO || c->failures > QUICK_FAILURES)
		return ms + jitter;
	return jitter < ms ? jitter : ms;
}

static uint64_t poll_once(struct obs_chain *c, struct obs_chain_report *rep)
{
	struct poll p = { .c = c, .rep = rep };
	uint64_t from_ns = obs_clock_ns(CLOCK_MONOTONIC);
	int r = poll_all(&p);

	rep->ok = r == 0;
	rep->limited = p.failure.limited;
	if (r == -EIO)
		snprintf(rep->error, sizeof(rep->error), "the chain RPC does not answer: %s",
			 p.failure.text);
	else if (r == -ENOMEM)
		snprintf(rep->error, sizeof(rep->error), "no memory");
	rep->wall_ns = obs_wall_ns();
	rep->latency_ns = obs_clock_ns(CLOCK_MONOTONIC) - from_ns;
	rep->next_block = c->next_block;
	memcpy(rep->contract, c->w.contract, sizeof(rep->contract));
	place_log_data(rep);
	c->polls++;
	rep->retry_ms = next_wait_ms(c, &p, r);
	return rep->retry_ms;
}

/* --- the thread --- */

static bool take_wanted(struct obs_chain *c)
{
	bool changed;

	pthread_mutex_lock(&c->lock);
	c->w = c->wanted;
	changed = c->changed;
	c->changed = false;
	pthread_mutex_unlock(&c->lock);
	return changed;
}

static bool is_idle(struct obs_chain *c)
{
	bool idle;

	pthread_mutex_lock(&c->lock);
	idle = c->ready || !*c->wanted.contract;
	pthread_mutex_unlock(&c->lock);
	return idle;
}

static bool has_changed(struct obs_chain *c)
{
	bool changed;

	pthread_mutex_lock(&c->lock);
	changed = c->changed;
	pthread_mutex_unlock(&c->lock);
	return changed;
}

/* Until it is time, or, while all is well, until something else is wanted. */
static void pause_for(struct obs_chain *c, uint64_t ms)
{
	uint64_t due_ns = obs_clock_ns(CLOCK_MONOTONIC) + ms * OBS_NS_PER_MS;
	uint64_t now_ns;

	while (!atomic_load(&c->stop)) {
		now_ns = obs_clock_ns(CLOCK_MONOTONIC);
		if (now_ns >= due_ns && !is_idle(c))
			return;
		if (c->failures == 0 && has_changed(c)) {
			uint64_t soon_ns = now_ns + SOON_MS * OBS_NS_PER_MS;

			take_wanted(c);
			due_ns = soon_ns < due_ns ? soon_ns : due_ns;
		}
		obs_chain_http_wait(c->http, now_ns < due_ns ? (due_ns - now_ns) / OBS_NS_PER_MS + 1
							     : IDLE_MS);
	}
}

static void *ask(void *arg)
{
	struct obs_chain *c = arg;
	uint64_t wait_ms = SOON_MS;

	for (;;) {
		struct obs_chain_report *rep;

		pause_for(c, wait_ms);
		if (atomic_load(&c->stop))
			return NULL;
		rep = calloc(1, sizeof(*rep));
		wait_ms = c->opt.poll_ms;
		if (!rep)
			continue;
		take_wanted(c);
		use_contract(c);
		wait_ms = poll_once(c, rep);
		pthread_mutex_lock(&c->lock);
		c->ready = rep;
		pthread_mutex_unlock(&c->lock);
		c->opt.on_report(c->opt.ctx);
	}
}

/* Signals are the main thread's business. */
static int start_thread(struct obs_chain *c)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&c->thread, NULL, ask, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_setname_np(c->thread, "chain");
	c->started = true;
	return 0;
}

int obs_chain_start(const struct obs_chain_options *opt, struct obs_chain **ret)
{
	OBS_CLEANUP(obs_chain_stop) struct obs_chain *c = calloc(1, sizeof(*c));
	uint64_t seed;
	int r;

	if (!c)
		return -ENOMEM;
	c->opt = *opt;
	c->opt.rpc_url = NULL; /* not ours to keep */
	pthread_mutex_init(&c->lock, NULL);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = obs_wall_ns();
	obs_backoff_init(&c->backoff, seed);
	r = obs_chain_http_new(opt->rpc_url, opt->timeout_ms, &c->stop, opt->counters, &c->http);
	if (r == 0)
		r = start_thread(c);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

void obs_chain_want(struct obs_chain *c, const struct obs_chain_wanted *wanted)
{
	pthread_mutex_lock(&c->lock);
	c->wanted = *wanted;
	c->changed = true;
	pthread_mutex_unlock(&c->lock);
	obs_chain_http_wake(c->http);
}

struct obs_chain_report *obs_chain_take(struct obs_chain *c)
{
	struct obs_chain_report *rep;

	pthread_mutex_lock(&c->lock);
	rep = TAKE_PTR(c->ready);
	pthread_mutex_unlock(&c->lock);
	if (rep)
		obs_chain_http_wake(c->http);
	return rep;
}

void obs_chain_stop(struct obs_chain **cp)
{
	struct obs_chain *c = *cp;

	if (!c)
		return;
	atomic_store(&c->stop, true);
	if (c->started) {
		obs_chain_http_wake(c->http);
		pthread_join(c->thread, NULL);
	}
	obs_chain_http_free(&c->http);
	obs_chain_report_free(&c->ready);
	pthread_mutex_destroy(&c->lock);
	free(c);
	*cp = NULL;
}
