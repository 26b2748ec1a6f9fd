// SPDX-License-Identifier: BSD-2-Clause
/* peers_state.c - see peers_state.h. */
#include "model/peers_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 512
#define LISTENER       "listener\t"
#define P2PD	       "p2pd\t"
#define CONN	       "open\t"
#define BOOT	       "boot\t"

/* Of a name nothing is kept that could be taken for a field's or line's end. */
static const char *or_dash(const char *text)
{
	return *text && !strpbrk(text, "\t\n ") ? text : "-";
}

static void format_endpoint(const struct obs_endpoint *e, struct obs_buf *out)
{
	for (size_t i = 0; i < sizeof(e->ip); i++)
		obs_buf_printf(out, "%02x", e->ip[i]);
	obs_buf_printf(out, "\t%u", e->port);
}

static void format_peer(const struct obs_peer *e, struct obs_buf *out)
{
	format_endpoint(&e->at, out);
	obs_buf_printf(out,
		       "\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%d\t%" PRIu64
		       "\t%" PRIu64 "\t%" PRIu64 "\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s"
		       "\t%" PRIu64 "\t%" PRIu64 "\t%u\n",
		       obs_peer_role_str(e->role), e->in, e->out, e->unknown, e->failed,
		       e->last_err, e->bytes_sent, e->bytes_received, e->retransmits, e->rtt_us,
		       e->min_rtt_us, e->first_ns, e->last_ns, or_dash(e->name),
		       or_dash(e->peer_id), e->opened_ns, e->failed_ns, e->rtt_usual_us);
}

static void format_listener(const struct obs_listener *l, struct obs_buf *out)
{
	obs_buf_push_str(out, LISTENER);
	format_endpoint(&l->local, out);
	obs_buf_printf(out, "\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
		       l->pid, l->netns, l->accepted, l->from_outside, l->from_gateway,
		       l->outside_ns);
}

static void format_conn(const struct obs_conn_facts *f, struct obs_buf *out)
{
	obs_buf_push_str(out, CONN);
	format_endpoint(&f->local, out);
	obs_buf_push_str(out, "\t");
	format_endpoint(&f->remote, out);
	obs_buf_printf(out, "\t%u\t%u\t%" PRIu64 "\t%" PRIu64 "\t%u\t%" PRIu64 "\n", f->netns,
		       f->direction, f->bytes_sent, f->bytes_received, f->retransmits,
		       f->established_ns);
}

int obs_peers_state_format(const struct obs_peers *p, const struct obs_peers_of *of,
			   struct obs_buf *out)
{
	obs_buf_printf(out, P2PD "%" PRIu64 "\n" BOOT "%" PRIx64 "\n", of->p2pd, of->boot);
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i].open)
			format_listener(&p->listeners[i], out);
	}
	for (const struct obs_conn *c = p->conns; c; c = c->hh.next)
		format_conn(&c->f, out);
	for (const struct obs_peer *e = p->peers; e; e = e->hh.next)
		format_peer(e, out);
	return out->failed ? -ENOMEM : 0;
}

static bool parse_ip(const char *hex, uint8_t ip[16])
{
	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		ip[i] = (uint8_t)byte;
	}
	return true;
}

static enum obs_peer_role role_from(const char *text)
{
	for (unsigned i = 0; i < OBS_PEER_ROLE_MAX; i++) {
		if (strcmp(obs_peer_role_str(i), text) == 0)
			return i;
	}
	return OBS_PEER_UNKNOWN;
}

static void from_dash(char *text)
{
	if (strcmp(text, "-") == 0)
		text[0] = '\0';
}

static bool take_endpoint(const char *hex, unsigned port, struct obs_endpoint *ret)
{
	ret->port = (uint16_t)port;
	return strlen(hex) == 32 && parse_ip(hex, ret->ip) && port <= UINT16_MAX;
}

static bool parse_peer(const char *line, struct obs_peer *e)
{
	char hex[33], role[32];
	unsigned port;
	int n;

	n = sscanf(line,
		   "%32[0-9a-f]\t%u\t%31s\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64
		   "\t%d\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%u\t%u\t%" SCNu64 "\t%" SCNu64
		   "\t%79s\t%63s\t%" SCNu64 "\t%" SCNu64 "\t%u",
		   hex, &port, role, &e->in, &e->out, &e->unknown, &e->failed, &e->last_err,
		   &e->bytes_sent, &e->bytes_received, &e->retransmits, &e->rtt_us, &e->min_rtt_us,
		   &e->first_ns, &e->last_ns, e->name, e->peer_id, &e->opened_ns, &e->failed_ns,
		   &e->rtt_usual_us);
	if ((n != 17 && n != 20) || /* older ones end with the peer id */
	    !take_endpoint(hex, port, &e->at))
		return false;
	e->role = role_from(role);
	from_dash(e->name);
	from_dash(e->peer_id);
	return true;
}

static bool parse_listener(const char *line, struct obs_listener *l)
{
	char hex[33];
	unsigned port;

	return sscanf(line,
		      LISTENER "%32[0-9a-f]\t%u\t%u\t%u\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64
			       "\t%" SCNu64,
		      hex, &port, &l->pid, &l->netns, &l->accepted, &l->from_outside,
		      &l->from_gateway, &l->outside_ns) == 8 &&
	       take_endpoint(hex, port, &l->local);
}

static bool parse_conn(const char *line, struct obs_conn_counted *c)
{
	char local[33], remote[33];
	unsigned local_port, remote_port, direction;
	int n;

	n = sscanf(line,
		   CONN "%32[0-9a-f]\t%u\t%32[0-9a-f]\t%u\t%u\t%u\t%" SCNu64 "\t%" SCNu64
			"\t%u\t%" SCNu64,
		   local, &local_port, remote, &remote_port, &c->at.netns, &direction,
		   &c->bytes_sent, &c->bytes_received, &c->retransmits, &c->since_ns);
	if ((n != 9 && n != 10) || /* older ones have no age */
	    !take_endpoint(local, local_port, &c->at.local) ||
	    !take_endpoint(remote, remote_port, &c->at.remote) || direction > OBS_DIRECTION_OUT)
		return false;
	c->direction = direction;
	return true;
}

/* What a line is about, is it still there? */
struct still {
	bool p2pd, boot;
};

static size_t take_line(struct obs_peers *p, const char *line, const struct obs_peers_of *now,
			struct still *same)
{
	struct obs_conn_counted c = {};
	struct obs_listener l = {};
	struct obs_peer e = {};
	uint64_t of;

	if (sscanf(line, P2PD "%" SCNu64, &of) == 1)
		same->p2pd = now->p2pd && of == now->p2pd;
	if (sscanf(line, BOOT "%" SCNx64, &of) == 1)
		same->boot = of == now->boot;
	if (parse_listener(line, &l))
		obs_peers_restore_listener(p, &l); /* they are as many as fit */
	if (parse_conn(line, &c) && same->boot)
		obs_peers_restore_conn(p, &c); /* so are these */
	if (!parse_peer(line, &e))
		return 0;
	if (!same->p2pd)
		e.opened_ns = e.failed_ns = 0;
	return obs_peers_restore(p, &e) == 0;
}

size_t obs_peers_state_parse(struct obs_peers *p, const struct obs_peers_of *now,
			     struct obs_slice text)
{
	char line[LINE_MAX_BYTES];
	struct still same = { .boot = true }; /* older ones do not say */
	size_t n = 0;

	while (obs_line_next(&text, line, sizeof(line))) {
		if (strlen(line) < sizeof(line) - 1) /* else it may be cut */
			n += take_line(p, line, now, &same);
	}
	return n;
}
