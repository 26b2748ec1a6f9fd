// SPDX-License-Identifier: BSD-2-Clause
/*
 * part_chain.c - what the chain says of our nodes: gives collect/chain.h their peer ids, makes
 * blockchain_snapshot and chain_event of its reports, and keeps how far events were read.
 *
 * Which contract, which peer: from the settings, from the trainer's environment, from what nodes
 * and their p2pd say of themselves. Without blockchain.rpc_url there is no such part.
 */
#include "pipeline/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <xxhash.h>

#include "collect/chain.h"
#include "observe/proc.h"
#include "pipeline/engine.h"
#include "pipeline/role_sources.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/log.h"

#define EVENTS_MAX	64
#define ABI_BYTES_MAX	(1024 * 1024)
#define TIMEOUT_MS	15000
#define POLL_DEFAULT_S	60
#define SAMPLE_CHAIN_ID 1234 /* in the Go sidecar's sample settings; no chain of this swarm */
#define AWAY_POLLS	3    /* failures in a row that are no accident */
#define REMEMBERED_MAX	128
#define STRINGS_MAX	32
#define NEWEST_BLOCKS	16 /* whose events may come with the next poll */
#define TOLD_BYTES	480

/* As in the contracts of both generations. */
static const char *const built_in[] = {
	"RoundAdvanced(uint256 indexed newRoundNumber)",
	"StageAdvanced(uint256 indexed roundNumber,uint256 newStage)",
	"PeerRegistered(address indexed account,string peerId)",
	"RewardSubmitted(address indexed account,uint256 indexed roundNumber,"
	"uint256 indexed stageNumber,int256 reward,string peerId)",
	"RewardSubmitted(address indexed account,uint256 indexed roundNumber,int256 reward,"
	"string peerId)",
	"WinnerSubmitted(address indexed account,string peerId,uint256 indexed roundNumber,"
	"string[] winners)",
	"CumulativeRewardsUpdated(address indexed account,string peerId,int256 totalRewards)",
	"BootnodesAdded(address indexed manager,uint256 count)",
	"BootnodeRemoved(address indexed manager,uint256 index)",
	"AllBootnodesCleared(address indexed manager)",
};

/* What was told last, so that a change is seen. */
struct told {
	char text[TOLD_BYTES];
	uint64_t wall_ns; /* 0 = nothing yet */
};

struct seat {
	struct obs_node *node;
	char peer_id[OBS_PEER_ID_LEN];	/* "" = not known */
	char contract[OBS_ADDRESS_LEN]; /* of its environment; "" = not known */
	struct told told;
};

/* Over a restart: who a container was. */
struct remembered {
	char container[OBS_CONTAINER_ID_LEN + 1];
	char peer_id[OBS_PEER_ID_LEN];
};

struct part {
	struct obs_part_env env;
	struct obs_chain *chain;
	uv_async_t wake;
	struct obs_abi_item events[EVENTS_MAX];
	size_t n_events;
	struct seat *seats[OBS_TARGETS_MAX];
	struct told loose[OBS_CHAIN_PEERS_MAX]; /* of peers without a node, in their order */
	struct remembered remembered[REMEMBERED_MAX];
	size_t n_remembered;
	struct obs_chain_wanted wanted;
	struct obs_chain_view view;
	unsigned failures; /* in a row */
	bool dirty;	   /* what is wanted may have changed */
};

/* --- what is kept --- */

static void state_name(const struct part *p, char *out, size_t size)
{
	snprintf(out, size, "chain/%s", p->wanted.contract);
}

static void keep(struct part *p)
{
	const struct obs_outlet *o = p->env.outlet;
	cleanup_buf struct obs_buf text = {};
	char name[64];

	if (!o->put_state || !*p->wanted.contract)
		return;
	obs_buf_printf(&text, "next %llu\n", (unsigned long long)p->view.next_block);
	for (size_t i = 0; i < p->wanted.n_accounts; i++)
		obs_buf_printf(&text, "account %s\n", p->wanted.accounts[i]);
	for (size_t i = 0; i < p->n_remembered; i++)
		obs_buf_printf(&text, "peer %s %s\n", p->remembered[i].container,
			       p->remembered[i].peer_id);
	state_name(p, name, sizeof(name));
	o->put_state(o->ctx, name, obs_buf_slice(&text));
}

static void remember(struct part *p, const char *container, const char *peer_id)
{
	struct remembered *r = NULL;

	if (!*container || !*peer_id)
		return;
	for (size_t i = 0; i < p->n_remembered && !r; i++) {
		if (strcmp(p->remembered[i].container, container) == 0)
			r = &p->remembered[i];
	}
	if (!r && p->n_remembered == REMEMBERED_MAX) { /* the oldest makes room */
		memmove(p->remembered, p->remembered + 1,
			(REMEMBERED_MAX - 1) * sizeof(*p->remembered));
		r = &p->remembered[REMEMBERED_MAX - 1];
	}
	if (!r)
		r = &p->remembered[p->n_remembered++];
	snprintf(r->container, sizeof(r->container), "%s", container);
	snprintf(r->peer_id, sizeof(r->peer_id), "%s", peer_id);
}

static bool add_account(struct obs_chain_wanted *w, const char *account)
{
	if (!obs_abi_is_address(account) || w->n_accounts == OBS_CHAIN_ACCOUNTS_MAX)
		return false;
	for (size_t i = 0; i < w->n_accounts; i++) {
		if (strcasecmp(w->accounts[i], account) == 0)
			return false;
	}
	snprintf(w->accounts[w->n_accounts++], OBS_ADDRESS_LEN, "%s", account);
	return true;
}

static void take_line(struct part *p, char *line)
{
	char *word = line + strcspn(line, " "), *rest;

	if (*word)
		*word++ = '\0';
	rest = word + strcspn(word, " ");
	if (*rest)
		*rest++ = '\0';
	if (strcmp(line, "next") == 0)
		p->wanted.next_block = p->view.next_block = strtoull(word, NULL, 10);
	else if (strcmp(line, "account") == 0)
		add_account(&p->wanted, word);
	else if (strcmp(line, "peer") == 0)
		remember(p, word, rest);
}

static void take_up(struct part *p)
{
	const struct obs_outlet *o = p->env.outlet;
	cleanup_buf struct obs_buf text = {};
	char name[64], *line, *next;

	state_name(p, name, sizeof(name));
	if (!o->get_state || o->get_state(o->ctx, name, &text) < 0 ||
	    obs_buf_push(&text, "", 1) < 0)
		return;
	for (line = text.p; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		take_line(p, line);
	}
}

/* --- what is wanted --- */

static void add_peer(struct obs_chain_wanted *w, const char *peer_id)
{
	if (!*peer_id || w->n_peers == OBS_CHAIN_PEERS_MAX)
		return;
	for (size_t i = 0; i < w->n_peers; i++) {
		if (strcmp(w->peers[i], peer_id) == 0)
			return;
	}
	snprintf(w->peers[w->n_peers++], OBS_PEER_ID_LEN, "%s", peer_id);
}

/* The settings', else of the first node that has one. */
static void choose_contract(struct part *p)
{
	const char *contract = p->env.config->chain.contract;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX && !*contract; i++) {
		if (p->seats[i] && *p->seats[i]->contract)
			contract = p->seats[i]->contract;
	}
	if (!obs_abi_is_address(contract))
		return;
	snprintf(p->wanted.contract, sizeof(p->wanted.contract), "%s", contract);
	snprintf(p->view.contract, sizeof(p->view.contract), "%s", contract);
	p->view.trouble[0] = '\0';
	take_up(p);
}

static void recall(struct part *p, struct seat *seat)
{
	for (size_t i = 0; i < p->n_remembered && !*seat->peer_id; i++) {
		if (strcmp(p->remembered[i].container, seat->node->ref.id) == 0)
			memcpy(seat->peer_id, p->remembered[i].peer_id, sizeof(seat->peer_id));
	}
}

static void want(struct part *p)
{
	if (!*p->wanted.contract)
		choose_contract(p);
	p->dirty = false;
	if (!*p->wanted.contract || !p->chain)
		return;
	p->wanted.n_peers = 0;
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (!p->seats[i])
			continue;
		recall(p, p->seats[i]);
		add_peer(&p->wanted, p->seats[i]->peer_id);
	}
	add_peer(&p->wanted, p->env.config->chain.node_peer_id);
	add_account(&p->wanted, p->env.config->chain.node_eoa);
	p->view.n_peers = p->wanted.n_peers;
	obs_chain_want(p->chain, &p->wanted);
}

/* --- who is who --- */

static bool is_of_settings(const struct part *p, const char *peer_id)
{
	const struct obs_config *c = p->env.config;

	return strcmp(c->chain.node_peer_id, peer_id) == 0 || *c->chain.node_eoa;
}

/* The node with that id. What the settings name is the node whose id is not seen, if it is the
 * only one. */
static struct seat *seat_of(const struct part *p, const char *peer_id)
{
	struct seat *nameless = NULL;
	unsigned n_nameless = 0;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		struct seat *seat = p->seats[i];

		if (!seat)
			continue;
		if (strcmp(seat->peer_id, peer_id) == 0 && *peer_id)
			return seat;
		if (!*seat->peer_id) {
			nameless = seat;
			n_nameless++;
		}
	}
	return n_nameless == 1 && is_of_settings(p, peer_id) ? nameless : NULL;
}

static const struct obs_chain_peer *peer_of(const struct obs_chain_report *rep,
					    const struct part *p, const struct seat *seat)
{
	for (size_t i = 0; i < rep->n_peers; i++) {
		if (seat_of(p, rep->peers[i].id) == seat)
			return &rep->peers[i];
	}
	return NULL;
}

/* --- snapshots --- */

/* Numbers of a contract may be larger than JSON's. */
static void add_decimal(struct obs_event *ev, const char *key, struct obs_slice digits)
{
	if (digits.len > 15)
		obs_event_add_str(ev, key, digits);
	else if (digits.len)
		obs_event_add_number_text(ev, obs_slice_str(key), digits);
}

static void add_peer_fields(struct obs_event *ev, const struct obs_chain_peer *peer)
{
	obs_event_add_str(ev, "peer_id", obs_slice_str(peer->id));
	add_decimal(ev, "participation", obs_slice_str(peer->votes));
	add_decimal(ev, "total_rewards", obs_slice_str(peer->rewards));
	add_decimal(ev, "total_wins", obs_slice_str(peer->wins));
	if (peer->account_known)
		obs_event_add_bool(ev, "registered", *peer->account);
	if (*peer->account)
		obs_event_add_str(ev, "account", obs_slice_str(peer->account));
}

static void emit_snapshot(struct part *p, const struct obs_chain_report *rep,
			  const struct obs_node *node, const struct obs_chain_peer *peer)
{
	struct obs_event ev = {
		.type = OBS_EVENT_BLOCKCHAIN_SNAPSHOT,
		.name = "snapshot",
		.wall_ns = rep->wall_ns,
		.origin.via = OBS_VIA_CHAIN,
	};

	obs_event_add_uint(&ev, "chain_id", rep->chain_id);
	obs_event_add_str(&ev, "contract", obs_slice_str(rep->contract));
	obs_event_add_uint(&ev, "block_number", rep->block);
	obs_event_add_uint(&ev, "round", rep->round);
	if (rep->has_stage)
		obs_event_add_uint(&ev, "stage", rep->stage);
	if (peer)
		add_peer_fields(&ev, peer);
	p->env.emit(p->env.ctx, node, &ev);
}

static void tell_snapshot(struct part *p, const struct obs_chain_report *rep,
			  const struct obs_node *node, const struct obs_chain_peer *peer,
			  struct told *told)
{
	double wait_s = p->env.config->chain.send_s;
	char text[TOLD_BYTES];

	snprintf(text, sizeof(text), "%llu/%llu %.95s %d%s %s %s %s",
		 (unsigned long long)rep->round, (unsigned long long)rep->stage,
		 peer ? peer->id : "", peer && peer->account_known, peer ? peer->account : "",
		 peer ? peer->votes : "", peer ? peer->wins : "", peer ? peer->rewards : "");
	if (told->wall_ns && strcmp(told->text, text) == 0 &&
	    rep->wall_ns < told->wall_ns + (uint64_t)(wait_s * 1e9))
		return;
	memcpy(told->text, text, sizeof(text));
	told->wall_ns = rep->wall_ns;
	emit_snapshot(p, rep, node, peer);
}

static bool has_other_contract(const struct part *p, const struct seat *seat)
{
	return *seat->contract && strcasecmp(seat->contract, p->wanted.contract) != 0;
}

static void tell_snapshots(struct part *p, const struct obs_chain_report *rep)
{
	bool any = false;

	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++) {
		if (!p->seats[i] || has_other_contract(p, p->seats[i]))
			continue;
		any = true;
		tell_snapshot(p, rep, p->seats[i]->node, peer_of(rep, p, p->seats[i]),
			      &p->seats[i]->told);
	}
	for (size_t i = 0; i < rep->n_peers; i++) {
		if (!seat_of(p, rep->peers[i].id)) {
			tell_snapshot(p, rep, NULL, &rep->peers[i], &p->loose[i]);
			any = true;
		}
	}
	if (!any)
		tell_snapshot(p, rep, NULL, NULL, &p->loose[0]);
}

/* --- events of the contract --- */

/* The same after a crash, since it is read again then. */
static struct obs_event_id event_id(const struct part *p, const struct obs_chain_log *l)
{
	return obs_event_id_other(
		obs_slice_str(p->env.config->node_id), XXH3_64bits(l->tx_hash, strlen(l->tx_hash)),
		XXH3_64bits(l->event->hash, sizeof(l->event->hash)), l->block, l->index);
}

static void add_value(struct obs_event *ev, const struct obs_abi_value *v)
{
	if (v->is_number)
		add_decimal(ev, v->param->name, v->text);
	else if (v->param->kind == OBS_ABI_BOOL)
		obs_event_add_bool(ev, v->param->name, strcmp(v->buf, "true") == 0);
	else
		obs_event_add_str(ev, v->param->name, v->text);
}

/* Whose it is: the peer that it names, else the account's only one. */
static struct seat *owner_of(const struct part *p, const struct obs_chain_report *rep,
			     const struct obs_abi_value *values, unsigned n)
{
	char id[OBS_PEER_ID_LEN];

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(values[i].param->name, "peerId") != 0)
			continue;
		snprintf(id, sizeof(id), "%.*s", (int)values[i].text.len, values[i].text.p);
		return seat_of(p, id);
	}
	for (size_t k = 0; n && k < rep->n_peers; k++) {
		if (strcasecmp(rep->peers[k].account, values[0].buf) == 0)
			return seat_of(p, rep->peers[k].id);
	}
	return NULL;
}

static void tell_log(struct part *p, const struct obs_chain_report *rep,
		     const struct obs_chain_log *l)
{
	struct obs_abi_value values[OBS_ABI_PARAMS_MAX];
	struct obs_slice strings[STRINGS_MAX];
	struct obs_event ev = {
		.type = OBS_EVENT_CHAIN,
		.name = l->event->name,
		.id = event_id(p, l),
		.wall_ns = l->time_s * OBS_NS_PER_S,
		.origin.via = OBS_VIA_CHAIN,
	};
	struct seat *seat;
	unsigned n = 0;
	size_t n_strings;

	for (unsigned i = 0; i < l->event->n_params; i++) {
		int r = obs_abi_log_value(l->event, &l->log, i, &values[n]);

		if (r == 0)
			add_value(&ev, &values[n++]);
		else if (r == -ENOTSUP && obs_abi_log_strings(l->event, &l->log, i, strings,
							      STRINGS_MAX, &n_strings) == 0)
			obs_event_add_list(&ev, l->event->params[i].name, strings, n_strings);
		else if (r == -EBADMSG)
			obs_count(&p->env.counters->chain_fields_bad, 1);
	}
	obs_event_add_uint(&ev, "block_number", l->block);
	obs_event_add_str(&ev, "tx_hash", obs_slice_str(l->tx_hash));
	obs_event_add_uint(&ev, "log_index", l->index);
	seat = owner_of(p, rep, values, n);
	p->view.events++;
	p->env.emit(p->env.ctx, seat ? seat->node : NULL, &ev);
}

/* --- reports --- */

static void emit_change(struct part *p, const char *name, const char *reason)
{
	struct obs_event ev = {
		.type = OBS_EVENT_CHAIN,
		.name = name,
		.origin.via = OBS_VIA_CHAIN,
	};

	obs_event_add_str(&ev, "where", obs_slice_str(p->view.where));
	if (*reason)
		obs_event_add_str(&ev, "reason", obs_slice_str(reason));
	p->env.emit(p->env.ctx, NULL, &ev);
}

static void note_failure(struct part *p, const struct obs_chain_report *rep)
{
	struct obs_chain_view *v = &p->view;

	v->polls_failed++;
	if (p->failures++ == 0)
		v->away_ns = rep->wall_ns;
	memcpy(v->trouble, rep->error, sizeof(v->trouble));
	if (p->failures != AWAY_POLLS)
		return;
	v->answers = false;
	obs_warn("blockchain: %s (%s), retrying", rep->error, v->where);
	emit_change(p, "rpc_away", rep->error);
}

static void note_success(struct part *p, const struct obs_chain_report *rep)
{
	struct obs_chain_view *v = &p->view;

	if (p->failures >= AWAY_POLLS) {
		obs_info("blockchain: %s answers again", v->where);
		emit_change(p, "rpc_back", "");
	}
	if (!v->ok_ns || v->round != rep->round)
		v->round_ns = rep->wall_ns;
	p->failures = 0;
	v->answers = true;
	v->polls_ok++;
	v->ok_ns = rep->wall_ns;
	v->away_ns = 0;
	v->trouble[0] = '\0';
	v->chain_id = rep->chain_id;
	v->block = rep->block;
	v->round = rep->round;
	v->stage = rep->stage;
	v->has_stage = rep->has_stage;
	v->reads_events = !rep->skipped && rep->next_block + NEWEST_BLOCKS > rep->block;
	if (rep->has_bootnodes)
		v->n_bootnodes = rep->n_bootnodes;
}

/* The contract's list is known to any node, whatever its own settings say. */
static void learn_bootnodes(struct part *p, const struct obs_chain_report *rep)
{
	for (size_t i = 0; i < rep->n_bootnodes; i++) {
		if (obs_roles_add_bootnode(p->env.roles, rep->bootnodes[i], "chain") == -EINVAL)
			obs_count(&p->env.counters->chain_fields_bad, 1);
	}
}

static void learn_accounts(struct part *p, const struct obs_chain_report *rep)
{
	for (size_t i = 0; i < rep->n_peers; i++)
		p->dirty |= add_account(&p->wanted, rep->peers[i].account);
}

static void take_report(struct part *p, const struct obs_chain_report *rep)
{
	p->view.latency_s = (double)rep->latency_ns / 1e9;
	p->view.asking_s += p->view.latency_s;
	p->view.retry_ns = rep->wall_ns + rep->retry_ms * OBS_NS_PER_MS;
	if (strcmp(rep->contract, p->wanted.contract) != 0)
		return;
	for (size_t i = 0; i < rep->n_logs; i++)
		tell_log(p, rep, &rep->logs[i]);
	if (rep->next_block)
		p->view.next_block = rep->next_block;
	if (rep->ok) {
		note_success(p, rep);
		learn_accounts(p, rep);
		learn_bootnodes(p, rep);
		tell_snapshots(p, rep);
	} else {
		note_failure(p, rep);
	}
	keep(p);
}

static void on_wake(uv_async_t *wake)
{
	struct part *p = wake->data;
	OBS_CLEANUP(obs_chain_report_free) struct obs_chain_report *rep = NULL;

	rep = p->chain ? obs_chain_take(p->chain) : NULL;
	if (rep)
		take_report(p, rep);
}

static void on_report(void *ctx)
{
	struct part *p = ctx;

	uv_async_send(&p->wake);
}

/* --- what the engine calls --- */

static bool is_base58(struct obs_slice id)
{
	static const char digits[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

	for (size_t i = 0; i < id.len; i++) {
		if (!id.p[i] || !strchr(digits, id.p[i]))
			return false;
	}
	return id.len > 0 && id.len < OBS_PEER_ID_LEN;
}

static void learn_peer_id(struct part *p, struct seat *seat, struct obs_slice id)
{
	if (!is_base58(id) || obs_slice_eq(id, obs_slice_str(seat->peer_id)))
		return;
	snprintf(seat->peer_id, sizeof(seat->peer_id), "%.*s", (int)id.len, id.p);
	remember(p, seat->node->ref.id, seat->peer_id);
	p->dirty = true;
}

/* Events in which a node or its p2pd says who it is. */
static bool tells_own_id(const struct obs_event *ev)
{
	static const char *const names[] = { "identity", "registering", "registered",
					     "p2pd_ready" };

	if (ev->type == OBS_EVENT_DHT_SNAPSHOT)
		return strcmp(ev->name, "rpcs") == 0;
	for (size_t i = 0; ev->type == OBS_EVENT_PEER && i < ARRAY_LEN(names); i++) {
		if (strcmp(ev->name, names[i]) == 0)
			return true;
	}
	return false;
}

static void find_contract(const struct obs_buf *variables, char ret[OBS_ADDRESS_LEN])
{
	static const char name[] = "SWARM_CONTRACT=";
	const char *at = variables->p, *end = at + variables->len;

	for (; at && at < end; at += strnlen(at, (size_t)(end - at)) + 1) {
		size_t len = strnlen(at, (size_t)(end - at));

		if (len == sizeof(name) - 1 + OBS_ADDRESS_LEN - 1 &&
		    memcmp(at, name, sizeof(name) - 1) == 0)
			snprintf(ret, OBS_ADDRESS_LEN, "%.*s", OBS_ADDRESS_LEN - 1,
				 at + sizeof(name) - 1);
	}
	if (!obs_abi_is_address(ret))
		*ret = '\0';
}

static void read_environment(struct part *p, struct seat *seat, pid_t trainer)
{
	cleanup_buf struct obs_buf variables = {};

	if (obs_proc_read(trainer, "environ", &variables) < 0)
		return;
	find_contract(&variables, seat->contract);
	explicit_bzero(variables.p, variables.len); /* secrets stand beside it */
	p->dirty = true;
}

static bool tells_trainer_start(const struct obs_event *ev)
{
	return obs_event_tells_start(ev) &&
	       obs_slice_eq(obs_event_get_str(ev, "role"),
			    obs_slice_str(obs_role_str(OBS_ROLE_TRAINER)));
}

static void chain_heard(void *part, const struct obs_node *node, const struct obs_event *ev)
{
	struct part *p = part;
	struct seat *seat = node ? p->seats[node->slot] : NULL;

	if (!seat || !ev->name)
		return;
	if (tells_trainer_start(ev))
		read_environment(p, seat, (pid_t)ev->origin.pid);
	if (tells_own_id(ev))
		learn_peer_id(p, seat, obs_event_get_str(ev, "peer_id"));
}

static void chain_ready(void *part, struct obs_node *node)
{
	struct part *p = part;
	struct seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		return;
	seat->node = node;
	free(p->seats[node->slot]);
	p->seats[node->slot] = seat;
	p->dirty = true;
}

/* A trainer that starts while we watch joins as the fork of its shell: its exec is told. */
static void chain_joined(void *part, struct obs_node *node, pid_t pid)
{
	struct part *p = part;
	const struct obs_process *process = obs_targets_process(p->env.targets, pid);

	if (p->seats[node->slot] && process && process->role == OBS_ROLE_TRAINER)
		read_environment(p, p->seats[node->slot], pid);
}

static void chain_gone(void *part, struct obs_node *node)
{
	struct part *p = part;

	free(p->seats[node->slot]);
	p->seats[node->slot] = NULL;
	p->dirty = true;
}

static void chain_tick(void *part)
{
	struct part *p = part;

	if (p->dirty)
		want(p);
}

/* --- start and end --- */

static bool is_there(const struct part *p, const struct obs_abi_item *event)
{
	for (size_t i = 0; i < p->n_events; i++) {
		if (memcmp(p->events[i].hash, event->hash, sizeof(event->hash)) == 0)
			return true;
	}
	return false;
}

static int read_text(const char *path, struct obs_buf *out)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char some[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	out->max_bytes = ABI_BYTES_MAX;
	while ((n = read(fd, some, sizeof(some))) > 0) {
		if (obs_buf_push(out, some, (size_t)n) < 0)
			return -EFBIG;
	}
	return n < 0 ? -errno : 0;
}

static void read_abi(struct part *p, const char *path)
{
	cleanup_free struct obs_abi_item *items = calloc(EVENTS_MAX, sizeof(*items));
	cleanup_buf struct obs_buf text = {};
	int n = items ? read_text(path, &text) : -ENOMEM;

	if (n == 0)
		n = obs_abi_events_from_json(obs_buf_slice(&text), items, EVENTS_MAX);
	if (n < 0)
		obs_warn("blockchain.contract_abi_path: %s: %s; its events are not asked for", path,
			 n == -EBADMSG ? "no ABI as JSON" : strerror(-n));
	for (int i = 0; i < n && p->n_events < EVENTS_MAX; i++) {
		if (!is_there(p, &items[i]))
			p->events[p->n_events++] = items[i];
	}
}

static void prepare_events(struct part *p)
{
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++) {
		if (obs_abi_item_parse(obs_slice_str(built_in[i]), &p->events[p->n_events]) == 0)
			p->n_events++;
	}
	if (*p->env.config->chain.abi_path)
		read_abi(p, p->env.config->chain.abi_path);
}

static void check_address(const char *key, const char *value)
{
	if (*value && !obs_abi_is_address(value))
		obs_warn("blockchain.%s: '%s' is no address (0x and 40 hex digits), ignoring", key,
			 value);
}

static int start_chain(struct part *p)
{
	const struct obs_config *c = p->env.config;
	double poll_s = c->chain.poll_s > 0 ? c->chain.poll_s : POLL_DEFAULT_S;
	struct obs_chain_options opt = {
		.rpc_url = c->chain.rpc_url,
		.chain_id = c->chain.chain_id == SAMPLE_CHAIN_ID ? 0 : (uint64_t)c->chain.chain_id,
		.eoa = obs_abi_is_address(c->chain.node_eoa) ? c->chain.node_eoa : "",
		.poll_ms = (uint64_t)((poll_s < 1 ? 1 : poll_s) * 1000),
		.timeout_ms = TIMEOUT_MS,
		.events = p->events,
		.n_events = p->n_events,
		.counters = p->env.counters,
		.on_report = on_report,
		.ctx = p,
	};

	check_address("contract_address", c->chain.contract);
	check_address("node_eoa", c->chain.node_eoa);
	return obs_chain_start(&opt, &p->chain);
}

static int chain_start(const struct obs_part_env *env, void **ret)
{
	struct part *p;
	int r;

	if (!*env->config->chain.rpc_url)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->env = *env;
	p->dirty = true;
	prepare_events(p);
	uv_async_init(env->loop, &p->wake, on_wake);
	p->wake.data = p;
	r = start_chain(p);
	if (r < 0) {
		obs_warn("blockchain.rpc_url: %s; the chain is not asked", strerror(-r));
		snprintf(p->view.trouble, sizeof(p->view.trouble), "blockchain.rpc_url: %s",
			 strerror(-r));
	} else {
		snprintf(p->view.where, sizeof(p->view.where), "%s", obs_chain_where(p->chain));
		snprintf(p->view.trouble, sizeof(p->view.trouble),
			 "no contract is known (blockchain.contract_address)");
	}
	env->model->chain = &p->view;
	*ret = p;
	return 0;
}

static void chain_stop(void *part)
{
	struct part *p = part;

	obs_chain_stop(&p->chain);
	keep(p);
	uv_close((uv_handle_t *)&p->wake, NULL);
}

static void chain_free(void **part)
{
	struct part *p = *part;

	obs_chain_stop(&p->chain);
	for (uint32_t i = 1; i < OBS_TARGETS_MAX; i++)
		free(p->seats[i]);
	p->env.model->chain = NULL;
	free(p);
	*part = NULL;
}

extern const struct obs_part_ops obs_part_chain;

const struct obs_part_ops obs_part_chain = {
	.name = "chain",
	.start = chain_start,
	.event = chain_heard,
	.ready = chain_ready,
	.joined = chain_joined,
	.gone = chain_gone,
	.tick = chain_tick,
	.stop = chain_stop,
	.free = chain_free,
};
