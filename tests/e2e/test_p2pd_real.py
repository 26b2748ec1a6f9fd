# SPDX-License-Identifier: BSD-2-Clause
"""A swarm of real hivemind DHT processes with their real p2pd: what the observer counted against
what hivemind's own code counted, and against its own API."""

import json

from cases import case
from harness import Api, Env, Observer, wait_for
from swarm import HivemindPeer, p2pd_of
from test_p2pd import observe, rpcs, value, view


def check(observer, peer):
    """Calls, ends and bytes of every RPC in both directions, and the keys in them, as hivemind counted
    them; none that it did not make."""
    who = peer.node
    numbers = ("calls_total", "answered_total", "request_bytes_total", "answer_bytes_total", "failed_total",
               "cancelled_total")

    def same():
        said = peer.do("counts")
        have = rpcs(observer, who)
        truth = {tuple(key.split()[::-1]): dict(zip(numbers, row)) for key, row in said["counts"].items()}
        assert set(have) == set(truth), f"{who}: RPCs {set(have)} seen, {set(truth)} true"
        for key, want in truth.items():
            wrong = {k: (have[key].get(k), v) for k, v in want.items() if have[key].get(k) != v}
            assert not wrong, f"{who} {key}: (seen, true) {wrong}"
        for what in ("hits", "misses", "records_sent", "records_refused", "records_taken", "hits_of_peers",
                     "misses_of_peers"):
            got, want = value(observer, who, "gswarm_dht_total", f'what="{what}"'), said["dht"].get(what, [0])[0]
            assert got == want, f"{who} {what}: {got} seen, {want} true"
        return said["counts"]

    return wait_for("the same counts", same, 30)


def check_rounds(api, key, sizes):
    """Each node (by its p2pd) has told of the round: its own stored at all others, theirs received."""

    def syncs():
        found = {e["origin"]["pid"]: e["details"] for e in api.events()
                 if e["details"]["event"] == "swarm_sync" and e["details"]["key"] == key}
        return found if len(found) == len(sizes) else None

    others = len(sizes) - 1
    for pid, d in wait_for("the round of all", syncs, 30).items():
        theirs = sum(sizes.values()) - sizes[pid]
        assert (d["round"], d["stored_on"], d["received_from"]) == (int(key), others, others), d
        assert d["sent_bytes"] >= sizes[pid] and d["received_bytes"] >= theirs, (d, sizes)


@case(300, ("root", "bpf", "long"))
def dht():
    """three real DHT processes exchange a round: RPCs, sizes, identity and peers are hivemind's own"""
    api = Api()
    first = HivemindPeer()
    # it comes later than this one, and before the others
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-hivemind-*"]}},
                              "forward": "events"}).start()
    peers = [first, HivemindPeer(first.addrs), HivemindPeer(first.addrs)]
    late = observe(peers[1:], Api())  # and later than these
    # Below 16 KiB: longer commands go to the DHT process in two writes, of which it may read only the
    # first one and hang (test_real.py, large_store, is about that).
    for size, peer in zip((3000, 12000, 700), peers):
        assert peer.do("store", key="39512", size=size)["ok"]
    for peer in peers:
        assert peer.do("get", key="39512")["subkeys"] == sorted(p.id for p in peers)
        assert peer.do("get", key="nobody stored this")["subkeys"] == []
        assert set(peer.do("addrs")["addrs"])

    for peer in peers:
        truth = check(observer, peer)
        assert truth["in DHTProtocol.rpc_store"][0] >= 2, truth
        # what a late observer has not seen it cannot count
        for by in (observer, late)[:1 if peer is first else 2]:
            wait_for("identity", lambda p=peer, o=by: value(o, p.pid, "gswarm_p2p_identity",
                                                            f'peer_id="{p.id}"') == 1)
            assert value(by, peer.pid, "gswarm_p2p_peers") == 2
            offset = value(by, peer.pid, "gswarm_dht_clock_offset_seconds")
            assert offset is None or abs(offset) < 2, offset
    check_rounds(api, "39512", {p2pd_of(p): size for p, size in zip(peers, (3000, 12000, 700))})
    m = observer.metrics()
    assert m["gswarm_p2pd_messages_bad_total"] == 0
    for peer in peers:
        peer.stop()


def check_averaging(observer, peer):
    """Averaging RPCs are streams: as many, and as many bytes each way, as hivemind counted."""
    averaging = {name: f"gso::DecentralizedAverager.rpc_{name}"
                 for name in ("join_group", "aggregate_part", "download_state")}

    def numbers(metric, label, name):
        return [value(observer, peer.pid, metric, f'{label}="{name}",direction="{way}"') or 0
                for way in ("out", "in")]

    def same():
        truth = peer.do("counts")["streams"]
        assert {k.split()[1] for k in truth} <= set(averaging.values()), truth
        api = view(observer, peer.pid)
        for name, proto in averaging.items():
            out, came = (truth.get(f"{way} {proto}", [0] * 6) for way in ("out", "in"))
            have = numbers("gswarm_averaging_rpcs_total", "rpc", name)
            assert have == [api["averaging"][name][way] for way in ("out", "in")], (have, api)
            assert have == [out[0], came[0]], f"{peer.pid} {name}: {have} seen, {out[0]}, {came[0]} true"
            written, read = (out[i] + came[i] + 9 * (out[i + 1] + came[i + 1]) for i in (2, 4))
            have = numbers("gswarm_p2p_stream_bytes_total", "protocol", proto)
            assert have[0] == written, f"{peer.pid} {name}: {have[0]} bytes written seen, {written} true"
            # who answers does not read the end of what is asked
            ends = 9 * came[0]
            assert read <= have[1] <= read + ends, f"{peer.pid} {name}: {have[1]} bytes seen, {read} true"
        return truth

    return wait_for("the same streams", same, 30)


@case(300, ("root", "bpf", "long"))
def averaging():
    """three real averagers average and one takes a state: streams and their bytes are hivemind's own"""
    peers = [HivemindPeer()]
    peers += [HivemindPeer(peers[0].addrs) for _ in range(2)]
    observer = observe(peers)
    for i, peer in enumerate(peers):
        assert "pid" in peer.do("averager", size=1000000, value=3 * i)
    for peer in peers:
        peer.send("average")
    for end in [peer.answer(120) for peer in peers]:
        assert len(end["group"]) == 3 and end["value"] == 3, end
    assert peers[2].do("load_state")["values"] == [3]
    truths = [check_averaging(observer, peer) for peer in peers]
    opened = {way: sum(t[0] for truth in truths for key, t in truth.items() if key.startswith(way))
              for way in ("out", "in")}
    assert opened["out"] == opened["in"] >= 2 + 6 + 1, truths  # joins, each to each, the state
    took = [s["mean_ms"] for s in view(observer, peers[2].pid)["streams"]
            if s["direction"] == "out" and s["protocol"].endswith("rpc_download_state")]
    assert len(took) == 1 and 0 < took[0] < 30000, took
    assert observer.metrics()["gswarm_p2pd_messages_bad_total"] == 0
    for peer in peers:
        peer.stop()
