#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A peer of a real hivemind DHT, as RL-Swarm runs it. Driven by JSON lines on standard input,
answers by JSON lines on standard output. Needs hivemind (see swarm.py); keeps counts of the RPCs
that hivemind's own code made and answered.
"""

import argparse
import collections
import json
import os
import sys

import hivemind
from hivemind.utils import get_dht_time

# Counted where hivemind hands over and takes back: {"out DHTProtocol.rpc_find": [calls, answers,
# request bytes, answer bytes]}. The DHT runs in a forked child: its counts come by a file.
COUNTS = collections.defaultdict(lambda: [0, 0, 0, 0])
COUNTS_PATH = None


def save():
    with open(COUNTS_PATH + ".new", "w") as f:
        json.dump(COUNTS, f)
    os.replace(COUNTS_PATH + ".new", COUNTS_PATH)


def count_calls():
    from hivemind.p2p.p2p_daemon_bindings.control import ControlClient

    call, add = ControlClient.call_unary_handler, ControlClient.add_unary_handler

    async def counted_call(self, peer_id, proto, data):
        c = COUNTS["out " + proto]
        c[0] += 1
        c[2] += len(data)
        try:
            answer = await call(self, peer_id, proto, data)
            c[1] += 1
            c[3] += len(answer)
            return answer
        finally:
            save()

    async def counted_add(self, proto, handler, balanced=False):
        async def counted(data, peer_id):
            c = COUNTS["in " + proto]
            c[0] += 1
            c[2] += len(data)
            try:
                answer = await handler(data, peer_id)
                c[1] += 1
                c[3] += len(answer)
                return answer
            finally:
                save()

        return await add(self, proto, counted, balanced)

    ControlClient.call_unary_handler = counted_call
    ControlClient.add_unary_handler = counted_add


async def list_peers(_dht, node):
    return [(str(p.peer_id), [str(a) for a in p.addrs]) for p in await node.p2p.list_peers()]


class Peer:
    def __init__(self, initial, host, identity, directory):
        self.directory = directory
        self.dht = hivemind.DHT(start=True, initial_peers=initial, host_maddrs=[host],
                                identity_path=identity,
                                nat_port_map=False, await_ready=True)
        self.step = 0

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

    def do_counts(self):
        with open(COUNTS_PATH) as f:
            return {"counts": json.load(f)}


def main():
    global COUNTS_PATH
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--dir", required=True)
    p.add_argument("--host", default="/ip4/127.0.0.1/tcp/0")
    p.add_argument("--bootstrap", default="")
    p.add_argument("--identity")
    args = p.parse_args()
    COUNTS_PATH = os.path.join(args.dir, "counts.json")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints must not stand between the answers

    def say(**what):
        print(json.dumps(what), file=out, flush=True)

    count_calls()
    peer = Peer([a for a in args.bootstrap.split(",") if a], args.host,
                args.identity, args.dir)
    say(ready=True, pid=os.getpid())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(**getattr(peer, "do_" + command.pop("do"))(**command))
        except Exception as e:  # noqa: BLE001
            say(error=f"{type(e).__name__}: {e}")
    peer.dht.shutdown()


if __name__ == "__main__":
    main()
