/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd.h - the messages of p2pd's control socket (go-libp2p-daemon with hivemind's
 * persistent connections), from the head of each.
 *
 * All that comes out is borrowed from the head. A message that was cut gives what was there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "parse/proto.h"

#define OBS_CALL_ID_LEN 16 /* a UUID */

enum obs_p2pd_type { /* of a Request */
		     OBS_P2PD_IDENTIFY = 0,
		     OBS_P2PD_CONNECT = 1,
		     OBS_P2PD_STREAM_OPEN = 2,
		     OBS_P2PD_STREAM_HANDLER = 3,
		     OBS_P2PD_DHT = 4,
		     OBS_P2PD_LIST_PEERS = 5,
		     OBS_P2PD_CONNMANAGER = 6,
		     OBS_P2PD_DISCONNECT = 7,
		     OBS_P2PD_PUBSUB = 8,
		     OBS_P2PD_UPGRADE = 9, /* to a persistent connection */
		     OBS_P2PD_REMOVE_STREAM_HANDLER = 10,
		     OBS_P2PD_TYPE_MAX,
};

struct obs_p2pd_request {
	uint64_t type;		/* enum obs_p2pd_type, or a newer one's */
	struct obs_head body;	/* the type's own message: addresses by obs_p2pd_next_addr() */
	struct obs_slice peer;	/* binary id; empty = none */
	struct obs_slice proto; /* the first of those named */
	struct obs_slice addr;	/* STREAM_HANDLER: multiaddr that p2pd shall dial */
};

struct obs_p2pd_response {
	bool failed;
	struct obs_slice error;	    /* text */
	struct obs_head identify;   /* IdentifyResponse; len 0 = none */
	struct obs_slice peer;	    /* of identify or streamInfo */
	struct obs_slice proto;	    /* of streamInfo */
	bool has_stream, has_peers; /* peers: by obs_p2pd_next_peer() over the whole message */
	bool upgraded_or_plain;	    /* OK and nothing more */
};

enum obs_call_kind { /* what a message of a persistent connection is about */
		     OBS_CALL_NONE = 0,
		     OBS_CALL_ACK, /* p2pd: only the id */
		     OBS_CALL_ADD_HANDLER,
		     OBS_CALL_REMOVE_HANDLER,
		     OBS_CALL_REQUEST, /* client: a call to a peer; p2pd: a peer's call to us */
		     OBS_CALL_ANSWER, /* client: our answer to a peer; p2pd: a peer's answer to us */
		     OBS_CALL_DAEMON_ERROR, /* p2pd could not reach the peer */
		     OBS_CALL_CANCEL,
};

struct obs_p2pd_call {
	enum obs_call_kind kind;
	uint8_t id[OBS_CALL_ID_LEN];
	struct obs_slice peer;	/* REQUEST: binary id */
	struct obs_slice proto; /* REQUEST, ADD/REMOVE_HANDLER: name of the RPC */
	struct obs_head data;	/* REQUEST, ANSWER: the RPC's own message */
	bool failed;		/* ANSWER: data is the handler's error, serialized */
	struct obs_slice error; /* DAEMON_ERROR: text */
};

/**
 * obs_p2pd_request_parse(), _response_, _stream_info_ - one message of a short connection.
 * @ret: written only on success
 *
 * Return: 0, or -EBADMSG.
 */
int obs_p2pd_request_parse(struct obs_head in, struct obs_p2pd_request *ret);
int obs_p2pd_response_parse(struct obs_head in, struct obs_p2pd_response *ret);
int obs_p2pd_stream_info_parse(struct obs_head in, struct obs_p2pd_response *ret);

/**
 * obs_p2pd_call_parse() - one message of a persistent connection.
 * @by_daemon: written by p2pd; else by its client
 *
 * Return: 0, or -EBADMSG.
 */
int obs_p2pd_call_parse(struct obs_head in, bool by_daemon, struct obs_p2pd_call *ret);

/**
 * obs_p2pd_next_addr() - the next binary multiaddr (field 2) of an IdentifyResponse,
 * ConnectRequest or PeerInfo that @w walks over. Addresses that were cut are left out.
 */
bool obs_p2pd_next_addr(struct obs_proto *w, struct obs_slice *ret);

/** obs_p2pd_next_peer() - the next PeerInfo of a Response that @w walks over. */
bool obs_p2pd_next_peer(struct obs_proto *w, struct obs_slice *id, struct obs_head *info);

/**
 * obs_p2pd_error_text() - the text of a serialized RPCError (a handler's failure).
 */
struct obs_slice obs_p2pd_error_text(struct obs_head in);
