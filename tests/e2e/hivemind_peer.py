#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A peer of a real hivemind DHT, as RL-Swarm runs it. Driven by JSON lines on standard input,
answers by JSON lines on standard output. Needs hivemind (see swarm.py); keeps counts of the RPCs
and streams that hivemind's own code made and answered.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import sys
from pathlib import Path

import hivemind
import torch
from hivemind.proto import dht_pb2
from hivemind.utils import get_dht_time

# Counted where hivemind hands over and takes back: {"out DHTProtocol.rpc_find": [calls, answers,
# request bytes, answer bytes, failed, cancelled]}, and what finds and stores say by hivemind's own decoder:
# {"hits": [keys]}, as the observer's metrics call it; of streams [opened, 0, bytes written, messages written, bytes that
# came, messages that came]. The DHT and an averager run in forked children: their counts come by
# files, one of each.
COUNTS = collections.defaultdict(lambda: [0] * 6)
DHT = collections.defaultdict(lambda: [0])
STREAMS = collections.defaultdict(lambda: [0, 0, 0, 0, 0, 0])
DIR = None


def forget():
    COUNTS.clear()
    DHT.clear()
    STREAMS.clear()


def save():
    path = os.path.join(DIR, f"counts-{os.getpid()}.json")
    with open(path + ".new", "w") as f:
        json.dump({"counts": COUNTS, "streams": STREAMS, "dht": DHT}, f)
    os.replace(path + ".new", path)


def saved(what):
    """The sums over all processes."""
    sums = {}
    for path in Path(DIR).glob("counts-*.json"):
        for key, numbers in json.loads(path.read_text())[what].items():
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 6), numbers)]
    return sums


def note_records(way, proto, answer):
    """What an answer says of keys."""
    out, name = way == "out", proto.rsplit(".", 1)[-1]
    if name == "rpc_find":
        for result in dht_pb2.FindResponse.FromString(answer).results:
            key = "misses" if result.type == dht_pb2.NOT_FOUND else "hits"
            DHT[key if out else f"{key}_of_peers"][0] += 1
    elif name == "rpc_store":
        for ok in dht_pb2.StoreResponse.FromString(answer).store_ok:
            if out or ok:
                DHT[("records_sent" if ok else "records_refused") if out else "records_taken"][0] += 1


@contextlib.contextmanager
def counted(way, proto, data):
    """One RPC; its answer is put into what this gives."""
    c, answers = COUNTS[f"{way} {proto}"], []
    c[0] += 1
    c[2] += len(data)
    try:
        yield answers
        c[1] += 1
        c[3] += len(answers[0])
        note_records(way, proto, answers[0])
    except asyncio.CancelledError:
        c[5] += 1
        raise
    except Exception:
        c[4] += 1
        raise
    finally:
        save()


def count_calls():
    from hivemind.p2p.p2p_daemon_bindings.control import ControlClient

    call, add = ControlClient.call_unary_handler, ControlClient.add_unary_handler

    async def counted_call(self, peer_id, proto, data):
        with counted("out", proto, data) as answers:
            answers.append(await call(self, peer_id, proto, data))
        return answers[0]

    async def counted_add(self, proto, handler, balanced=False):
        async def counted_handler(data, peer_id):
            with counted("in", proto, data) as answers:
                answers.append(await handler(data, peer_id))
            return answers[0]

        return await add(self, proto, counted_handler, balanced)

    ControlClient.call_unary_handler = counted_call
    ControlClient.add_unary_handler = counted_add


def count_streams():
    """Whose stream it is stands at its reader and writer."""
    from hivemind.p2p.p2p_daemon import P2P
    from hivemind.p2p.p2p_daemon_bindings.control import ControlClient

    open_stream, handle = ControlClient.stream_open, ControlClient.stream_handler
    send, receive = P2P.send_raw_data, P2P.receive_raw_data

    def begin(key, reader, writer):
        STREAMS[key][0] += 1
        reader.counted = writer.counted = STREAMS[key]
        save()

    async def counted_open(self, peer_id, protocols):
        info, reader, writer = await open_stream(self, peer_id, protocols)
        begin("out " + info.proto, reader, writer)
        return info, reader, writer

    async def counted_handler(self, proto, handler_cb, balanced=False):
        async def counted(info, reader, writer):
            begin("in " + info.proto, reader, writer)
            return await handler_cb(info, reader, writer)

        return await handle(self, proto, counted, balanced)

    async def counted_send(data, writer, **kw):
        writer.counted[2] += len(data)
        writer.counted[3] += 1
        save()
        return await send(data, writer, **kw)

    async def counted_receive(reader):
        data = await receive(reader)
        reader.counted[4] += len(data)
        reader.counted[5] += 1
        save()
        return data

    ControlClient.stream_open, ControlClient.stream_handler = counted_open, counted_handler
    P2P.send_raw_data, P2P.receive_raw_data = staticmethod(counted_send), staticmethod(counted_receive)


async def list_peers(_dht, node):
    return [(str(p.peer_id), [str(a) for a in p.addrs]) for p in await node.p2p.list_peers()]


class Peer:
    def __init__(self, initial, host, identity, directory):
        self.directory = directory
        self.dht = hivemind.DHT(start=True, initial_peers=initial, host_maddrs=[host],
                                identity_path=identity,
                                nat_port_map=False, await_ready=True)
        self.averager = None

    def do_addrs(self):
        return {"id": str(self.dht.peer_id),
                "addrs": [str(a) for a in self.dht.get_visible_maddrs(latest=True)]}

    def do_store(self, key, size, subkey=None):
        ok = self.dht.store(key, os.urandom(size), subkey=subkey or str(self.dht.peer_id),
                            expiration_time=get_dht_time() + 600)
        return {"ok": bool(ok)}

    def do_get(self, key):
        got = self.dht.get(key, latest=True)
        return {"subkeys": sorted(got.value) if got else []}

    def do_peers(self):
        """With whom p2pd is connected, by its own list."""
        found = self.dht.run_coroutine(list_peers)
        return {"peers": {id: addrs for id, addrs in found if id != str(self.dht.peer_id)}}

    def do_log(self, text):
        """A line of the trainer's log."""
        with open(os.path.join(self.directory, "logs/swarm_launcher.log"), "a") as f:
            f.write(text + "\n")
        return {}

    def do_averager(self, size, value):
        """Start one, for a tensor of so many numbers, each of them this value."""
        self.averager = hivemind.DecentralizedAverager(
            [torch.full((size,), float(value))], self.dht, prefix="gso", start=True,
            target_group_size=3, min_matchmaking_time=15, request_timeout=5, declare_state_period=2)
        return {"pid": self.averager.pid}

    def do_average(self):
        """One round of averaging: with how many, and what came out."""
        group = self.averager.step(timeout=60)
        with self.averager.get_tensors() as tensors:
            return {"group": sorted(str(p) for p in group or ()), "value": tensors[0][0].item()}

    def do_load_state(self):
        """Somebody's tensors."""
        got = self.averager.load_state_from_peers(timeout=30)
        return {"values": [t[0].item() for t in got[1]] if got else []}

    def do_counts(self):
        return {what: saved(what) for what in ("counts", "streams", "dht")}


def main():
    global DIR
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--dir", required=True)
    p.add_argument("--host", default="/ip4/127.0.0.1/tcp/0")
    p.add_argument("--bootstrap", default="")
    p.add_argument("--identity")
    args = p.parse_args()
    DIR = args.dir
    os.register_at_fork(after_in_child=forget)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints must not stand between the answers

    def say(**what):
        print(json.dumps(what), file=out, flush=True)

    count_calls()
    count_streams()
    peer = Peer([a for a in args.bootstrap.split(",") if a], args.host,
                args.identity, args.dir)
    say(ready=True, pid=os.getpid())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(**getattr(peer, "do_" + command.pop("do"))(**command))
        except Exception as e:  # noqa: BLE001
            say(error=f"{type(e).__name__}: {e}")
    if peer.averager:
        peer.averager.shutdown()
    peer.dht.shutdown()


if __name__ == "__main__":
    main()
