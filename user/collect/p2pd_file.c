// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_file.c - see p2pd_file.h. */
#include "collect/p2pd_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "parse/dht.h"
#include "parse/p2pd.h"
#include "util/cleanup.h"

#define MAGIC		"gswarm-p2pd 1\n"
#define DICTIONARY_HEAD 32 /* bytes of a value in which the number of its entries stands */
#define FLAG_FRESH	1

/* One write in the file, little-endian; its bytes follow. */
struct saved {
	uint64_t conn, at, len, ns, wall_ns;
	uint32_t pid;
	uint8_t by, flags;
	uint16_t have;
};

int obs_p2pd_file_open(const char *path, FILE **ret)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "we");
	if (!f)
		return -errno;
	TAKE_FD(fd);
	fputs_unlocked(MAGIC, f);
	*ret = f;
	return 0;
}

/* --- what is data --- */

static void blank(struct obs_head h, size_t keep)
{
	if (h.have > keep)
		memset((char *)h.p + keep, 0, h.have - keep);
}

/* The values in a StoreRequest (field 4), or in a FindResponse's results (2, in it 2). */
static bool blank_dht(struct obs_head data, bool answer)
{
	struct obs_proto w = obs_proto(data), inner;
	struct obs_proto_field f, g;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number > 7)
			return false;
		if (f.wire == OBS_WIRE_LEN && !answer && f.number == 4)
			blank(f.bytes, 0);
		if (f.wire != OBS_WIRE_LEN || !answer || f.number != 2)
			continue;
		inner = obs_proto(f.bytes);
		while ((r = obs_proto_next(&inner, &g)) == 1) {
			if (g.wire == OBS_WIRE_LEN && g.number == 2)
				blank(g.bytes, DICTIONARY_HEAD);
		}
	}
	return r == 0;
}

/* Is it an answer of hivemind's DHT? Then its few short fields are what is kept. */
static bool is_dht_answer(struct obs_head data)
{
	struct obs_dht_answer a;

	if (data.len > 0 && obs_dht_answer_parse(OBS_DHT_FIND, data, &a) == 0 && a.n_results > 0 &&
	    (a.results[0].found != OBS_DHT_NOT_FOUND || data.len < 4096))
		return true;
	if (obs_dht_answer_parse(OBS_DHT_STORE, data, &a) == 0 && a.n_ok + a.n_refused > 0)
		return data.len < 128;
	return obs_dht_answer_parse(OBS_DHT_PING, data, &a) == 0 && a.dht_time > 1e9 &&
	       data.len < 128;
}

static void blank_call(struct obs_head body, bool by_daemon)
{
	struct obs_p2pd_call m;

	if (obs_p2pd_call_parse(body, by_daemon, &m) < 0) {
		blank(body, 0);
		return;
	}
	if (m.data.len == 0 || m.failed)
		return;
	if (m.kind == OBS_CALL_REQUEST && obs_dht_rpc_of(m.proto) != OBS_DHT_OTHER &&
	    blank_dht(m.data, false))
		return;
	if (m.kind == OBS_CALL_ANSWER && is_dht_answer(m.data) && blank_dht(m.data, true))
		return;
	blank(m.data, 0);
}

/* Requests, responses and stream infos hold ids, addresses and names only, but for what
 * DHTRequest, PUBSUB carry (fields 5, 8 and 7): nobody here uses them. */
static void blank_short(struct obs_head body)
{
	struct obs_p2pd_request req;
	struct obs_p2pd_response res;

	if (obs_p2pd_request_parse(body, &req) == 0 && req.type != OBS_P2PD_DHT &&
	    req.type != OBS_P2PD_PUBSUB)
		return;
	if (obs_p2pd_response_parse(body, &res) == 0)
		return;
	blank(body, 0);
}

void obs_p2pd_blank(char *p, size_t have, uint64_t len, enum obs_p2pd_writer by)
{
	bool by_daemon = by == OBS_P2PD_BY_DAEMON || by == OBS_P2PD_BY_DIALER;
	struct obs_p2pd_response info;
	struct obs_head body;
	uint64_t n = 0;
	int head = obs_varint_parse(obs_slice(p, have), &n);

	if (head <= 0 || (uint64_t)head + n < len || (size_t)head >= have) {
		/* the raw framing of a stream keeps its lengths */
		memset(p + (have < 9 ? have : 9), 0, have - (have < 9 ? have : 9));
		return;
	}
	body = obs_head(p + head, have - (size_t)head, n);
	if (by == OBS_P2PD_BY_HANDLER ||
	    (by == OBS_P2PD_BY_DIALER && obs_p2pd_stream_info_parse(body, &info) < 0))
		blank(body, 0);
	else if (by != OBS_P2PD_BY_DIALER && p[head] == 0x0a)
		blank_call(body, by_daemon);
	else if (by != OBS_P2PD_BY_DIALER)
		blank_short(body);
}

/* --- the file --- */

int obs_p2pd_file_push(FILE *f, const struct obs_p2pd_write *w)
{
	size_t have = w->in.have < OBS_P2PD_FILE_DATA ? w->in.have : OBS_P2PD_FILE_DATA;
	char data[OBS_P2PD_FILE_DATA];
	struct saved s = {
		.conn = htole64(w->conn),
		.at = htole64(w->at),
		.len = htole64(w->in.len),
		.ns = htole64(w->ns),
		.wall_ns = htole64(w->wall_ns),
		.pid = htole32((uint32_t)w->pid),
		.by = (uint8_t)w->by,
		.flags = w->fresh ? FLAG_FRESH : 0,
		.have = htole16((uint16_t)have),
	};

	if (have > 0)
		memcpy(data, w->in.p, have);
	obs_p2pd_blank(data, have, w->in.len, w->by);
	if (fwrite(&s, sizeof(s), 1, f) != 1 || fwrite(data, 1, have, f) != have)
		return -EIO;
	return 0;
}

int obs_p2pd_file_check(FILE *f)
{
	char magic[sizeof(MAGIC)] = "";

	if (fread(magic, 1, sizeof(MAGIC) - 1, f) != sizeof(MAGIC) - 1)
		return -EPROTO;
	return memcmp(magic, MAGIC, sizeof(MAGIC) - 1) == 0 ? 0 : -EPROTO;
}

int obs_p2pd_file_next(FILE *f, char *data, struct obs_p2pd_write *ret)
{
	struct saved s;
	size_t n = fread(&s, 1, sizeof(s), f), have;

	if (n == 0)
		return 0;
	have = n == sizeof(s) ? le16toh(s.have) : 0;
	if (n < sizeof(s) || have > OBS_P2PD_FILE_DATA || fread(data, 1, have, f) != have ||
	    have > le64toh(s.len) || s.by < OBS_P2PD_BY_DAEMON || s.by > OBS_P2PD_BY_DIALER)
		return -EBADMSG;
	*ret = (struct obs_p2pd_write){
		.conn = le64toh(s.conn),
		.at = le64toh(s.at),
		.by = (enum obs_p2pd_writer)s.by,
		.fresh = s.flags & FLAG_FRESH,
		.in = obs_head(data, have, le64toh(s.len)),
		.pid = (pid_t)le32toh(s.pid),
		.ns = le64toh(s.ns),
		.wall_ns = le64toh(s.wall_ns),
	};
	return 1;
}
