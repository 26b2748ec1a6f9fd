// SPDX-License-Identifier: BSD-2-Clause
/* p2pd.c - see p2pd.h. Field numbers are those of hivemind's p2pd.proto. */
#include "parse/p2pd.h"

#include <errno.h>

#include "util/cleanup.h"

/* What is there of a bytes field; nothing when it was cut, for a part of an id or of a name is
 * none. */
static struct obs_slice whole(const struct obs_proto_field *f)
{
	bool is = f->wire == OBS_WIRE_LEN && f->bytes.have == f->bytes.len;

	return is ? obs_head_slice(f->bytes) : obs_slice(NULL, 0);
}

static bool has_bytes(const struct obs_proto_field *f)
{
	return f->wire == OBS_WIRE_LEN;
}

/* In which fields a type's own message has what. 0 = nowhere. */
static const struct {
	uint32_t body; /* of the Request */
	uint32_t peer, proto, addr;
} request_fields[OBS_P2PD_TYPE_MAX] = {
	[OBS_P2PD_CONNECT] = { 2, 1, 0, 0 },
	[OBS_P2PD_STREAM_OPEN] = { 3, 1, 2, 0 },
	[OBS_P2PD_STREAM_HANDLER] = { 4, 0, 2, 1 },
	[OBS_P2PD_DHT] = { 5, 2, 0, 0 },
	[OBS_P2PD_CONNMANAGER] = { 6, 2, 0, 0 },
	[OBS_P2PD_DISCONNECT] = { 7, 1, 0, 0 },
	[OBS_P2PD_PUBSUB] = { 8, 0, 0, 0 },
	[OBS_P2PD_REMOVE_STREAM_HANDLER] = { 9, 0, 2, 1 },
};

static int read_request_body(struct obs_p2pd_request *req)
{
	struct obs_proto w = obs_proto(req->body);
	struct obs_proto_field f;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (!has_bytes(&f))
			continue;
		if (f.number == request_fields[req->type].peer)
			req->peer = whole(&f);
		else if (f.number == request_fields[req->type].proto && req->proto.len == 0)
			req->proto = whole(&f);
		else if (f.number == request_fields[req->type].addr)
			req->addr = whole(&f);
	}
	return r;
}

int obs_p2pd_request_parse(struct obs_head in, struct obs_p2pd_request *ret)
{
	struct obs_head bodies[OBS_P2PD_TYPE_MAX] = { 0 }; /* by field number */
	struct obs_p2pd_request req = { 0 };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	bool typed = false;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number == 1 && f.wire == OBS_WIRE_VARINT) {
			req.type = f.value;
			typed = true;
		} else if (has_bytes(&f) && f.number < ARRAY_LEN(bodies)) {
			bodies[f.number] = f.bytes;
		}
	}
	if (r < 0 || !typed)
		return -EBADMSG;
	if (req.type < OBS_P2PD_TYPE_MAX && request_fields[req.type].body) {
		req.body = bodies[request_fields[req.type].body];
		r = read_request_body(&req);
	}
	if (r == 0)
		*ret = req;
	return r;
}

/* Field 1 is the peer's id in IdentifyResponse and in StreamInfo, 3 a StreamInfo's protocol. */
static int read_peer(struct obs_head in, struct obs_slice *peer, struct obs_slice *proto)
{
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number == 1 && has_bytes(&f))
			*peer = whole(&f);
		else if (f.number == 3 && has_bytes(&f) && proto)
			*proto = whole(&f);
	}
	return r;
}

static struct obs_slice read_text(struct obs_head in)
{
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;

	while (obs_proto_next(&w, &f) == 1) {
		if (f.number == 1 && has_bytes(&f))
			return obs_head_slice(f.bytes); /* a part of a text is better than none */
	}
	return obs_slice(NULL, 0);
}

static int read_response_field(const struct obs_proto_field *f, struct obs_p2pd_response *res)
{
	if (!has_bytes(f))
		return 0;
	res->upgraded_or_plain = false;
	switch (f->number) {
	case 2:
		res->error = read_text(f->bytes);
		return 0;
	case 3:
		res->has_stream = true;
		return read_peer(f->bytes, &res->peer, &res->proto);
	case 4:
		res->identify = f->bytes;
		return read_peer(f->bytes, &res->peer, NULL);
	case 6:
		res->has_peers = true;
		return 0;
	default:
		return 0;
	}
}

int obs_p2pd_response_parse(struct obs_head in, struct obs_p2pd_response *ret)
{
	struct obs_p2pd_response res = { .upgraded_or_plain = true };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	bool typed = false;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number == 1 && f.wire == OBS_WIRE_VARINT) {
			if (f.value > 1)
				return -EBADMSG;
			res.failed = f.value == 1;
			typed = true;
		}
		r = read_response_field(&f, &res);
		if (r < 0)
			return r;
	}
	if (r < 0 || !typed)
		return -EBADMSG;
	*ret = res;
	return 0;
}

int obs_p2pd_stream_info_parse(struct obs_head in, struct obs_p2pd_response *ret)
{
	struct obs_p2pd_response res = { .has_stream = true };
	int r = read_peer(in, &res.peer, &res.proto);

	if (r < 0 || res.peer.len == 0)
		return -EBADMSG;
	*ret = res;
	return 0;
}

/* CallUnaryRequest {1 peer, 2 proto, 3 data} */
static int read_call(struct obs_head in, struct obs_p2pd_call *call)
{
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (!has_bytes(&f))
			continue;
		if (f.number == 1)
			call->peer = whole(&f);
		else if (f.number == 2)
			call->proto = whole(&f);
		else if (f.number == 3)
			call->data = f.bytes;
	}
	return r;
}

/* CallUnaryResponse {1 response | 2 error} */
static int read_answer(struct obs_head in, struct obs_p2pd_call *call)
{
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (!has_bytes(&f) || f.number > 2)
			continue;
		call->failed = f.number == 2;
		call->data = f.bytes;
	}
	return r;
}

static int read_text_into(struct obs_head in, struct obs_p2pd_call *call)
{
	if (call->kind == OBS_CALL_DAEMON_ERROR)
		call->error = read_text(in);
	else if (call->kind != OBS_CALL_CANCEL)
		call->proto = read_text(in);
	return 0;
}

/* Which field of a persistent connection's messages means what. */
static const struct call_field {
	enum obs_call_kind kind;
	int (*read)(struct obs_head in, struct obs_p2pd_call *call);
} call_fields[2][7] = {
	{
		[2] = { OBS_CALL_ADD_HANDLER, read_text_into },
		[3] = { OBS_CALL_REQUEST, read_call },
		[4] = { OBS_CALL_ANSWER, read_answer },
		[5] = { OBS_CALL_CANCEL, read_text_into },
		[6] = { OBS_CALL_REMOVE_HANDLER, read_text_into },
	},
	{
		[2] = { OBS_CALL_ANSWER, read_answer },
		[3] = { OBS_CALL_REQUEST, read_call },
		[4] = { OBS_CALL_DAEMON_ERROR, read_text_into },
		[5] = { OBS_CALL_CANCEL, read_text_into },
	},
};

static int read_call_field(const struct obs_proto_field *f, bool by_daemon,
			   struct obs_p2pd_call *call)
{
	const struct call_field *known;

	if (!has_bytes(f) || f->number >= ARRAY_LEN(call_fields[0]))
		return 0;
	known = &call_fields[by_daemon][f->number];
	if (!known->read)
		return 0;
	call->kind = known->kind;
	return known->read(f->bytes, call);
}

int obs_p2pd_call_parse(struct obs_head in, bool by_daemon, struct obs_p2pd_call *ret)
{
	struct obs_p2pd_call call = { .kind = by_daemon ? OBS_CALL_ACK : OBS_CALL_NONE };
	struct obs_proto w = obs_proto(in);
	struct obs_proto_field f;
	bool named = false;
	int r;

	while ((r = obs_proto_next(&w, &f)) == 1) {
		if (f.number == 1 && whole(&f).len == OBS_CALL_ID_LEN) {
			memcpy(call.id, f.bytes.p, OBS_CALL_ID_LEN);
			named = true;
			continue;
		}
		r = read_call_field(&f, by_daemon, &call);
		if (r < 0)
			return r;
	}
	if (r < 0 || !named || call.kind == OBS_CALL_NONE)
		return -EBADMSG;
	*ret = call;
	return 0;
}

bool obs_p2pd_next_addr(struct obs_proto *w, struct obs_slice *ret)
{
	struct obs_proto_field f;

	while (obs_proto_next(w, &f) == 1) {
		if (f.number != 2 || whole(&f).len == 0)
			continue;
		*ret = whole(&f);
		return true;
	}
	return false;
}

bool obs_p2pd_next_peer(struct obs_proto *w, struct obs_slice *id, struct obs_head *info)
{
	struct obs_proto_field f;

	while (obs_proto_next(w, &f) == 1) {
		if (f.number != 6 || !has_bytes(&f))
			continue;
		*id = obs_slice(NULL, 0);
		*info = f.bytes;
		if (read_peer(f.bytes, id, NULL) == 0 && id->len > 0)
			return true;
	}
	return false;
}

struct obs_slice obs_p2pd_error_text(struct obs_head in)
{
	return read_text(in);
}
