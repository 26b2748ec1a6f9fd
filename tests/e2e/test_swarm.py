# SPDX-License-Identifier: BSD-2-Clause
"""A swarm of real hivemind DHT processes, two of them in containers, on a network that the case
makes: the observer's table against ss in each namespace and against hivemind's own lists, RPCs
against what Python counted; then a peer dies, and another falls silent. `make test-long`."""

import json
import os
import re
import signal
import sys

from cases import case
from harness import Api, Env, Observer, descendants, docker, wait_for
from swarm import HivemindPeer, hivemind_container
from test_connections import Net, Switch, events_of, peers, sh, wait_event
from test_p2pd import value
from test_p2pd_real import check


class Place:
    """Where a peer lives: its namespace, and how to look at it from within."""

    def __init__(self, container=False):
        self.container, self.net = None, None
        if container:
            self.container, self.pid = hivemind_container()
        else:
            self.net = Net()

    def ip(self, *args):
        if self.net:
            return self.net.ip(*args)
        return sh("nsenter", f"--net=/proc/{self.pid}/ns/net", "ip", *args)

    @property
    def name(self):
        """For `ip link add … netns NAME`: a name or a pid."""
        return self.net.name if self.net else str(self.pid)

    def ss(self):
        """{(local, remote): (pid, rtt_us, bytes_received, retransmits)} of what is established."""
        prefix = ["ip", "netns", "exec", self.net.name] if self.net else \
            ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        out = {}
        for line in sh(*prefix, "ss", "-tinpOH", "state", "established").splitlines():
            at = re.match(r"\d+ +\d+ +(\S+) +(\S+)", line)
            pid = re.search(r"pid=(\d+)", line)
            numbers = [re.search(rf"\b{key}:(\d+)", line) for key in ("bytes_received", "bytes_sent")]
            out[at[1], at[2]] = (int(pid[1]) if pid else 0, *(int(m[1]) if m else 0 for m in numbers))
        return out


def put_up(n_plain, n_containers):
    """Places with addresses 10.77.0.1, .2, …, and the switch between them."""
    places = [Place() for _ in range(n_plain)] + [Place(container=True) for _ in range(n_containers)]
    return places, Switch(places)


def ours(observer):
    """{pid: {(local, remote): connection}} of p2pds."""
    out = {}
    for node in peers(observer):
        for c in node["connections"]:
            if c["process"] == "p2pd" and c["state"] == "ESTAB":
                out.setdefault(c["pid"], {})[c["local"], c["remote"]] = c
    return out


def equals_ss(observer, place, p2pd):
    """The table, asked for between two looks of ss at the same: what stood still must be equal."""
    before = place.ss()
    seen = ours(observer).get(p2pd, {})
    after = place.ss()
    still = {k: v for k, v in before.items() if after.get(k) == v and v[0] == p2pd}
    assert set(still) == set(seen) and len(still) >= 3, (before, after, sorted(seen))
    for key, (_, received, sent) in still.items():
        c = seen[key]
        assert (c["bytes_received"], c["bytes_sent"]) == (received, sent), (key, c, still[key])
    return len(still)


def p2pd_of(peer, place):
    # of a container's peer the pid is that within
    for pid in descendants(place.pid if place.container else peer.process.pid):
        if comm(pid) == "p2pd":
            return pid
    top = docker("top", place.container, "-o", "pid,comm") if place.container else ""
    return next(int(line.split()[0]) for line in top.splitlines() if line.split()[1] == "p2pd")


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def ips_of(addrs):
    return {m[1] for a in addrs for m in [re.match(r"/ip4/(10\.77\.0\.\d+)/", a)] if m}


def observe(api, places):
    containers = [p.container for p in places if p.container]
    return Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-hivemind-*"], "container": containers},
                                       "exclude": {"command": ["*exec -i*"]}},
                          "forward": "events", "connections": {"interval": "1s"}, "p2pd": {"snapshot_interval": "2s"}}).start()


@case(400, ("root", "docker", "bpf", "ip", "ss", "nsenter", "long"))
def full():
    """4 real hivemind peers, 2 in containers: table equal to ss and to hivemind's lists; a death, a silence"""
    places, switch = put_up(2, 2)
    early_api, late_api = Api(), Api()
    early = observe(early_api, places)
    swarm = [HivemindPeer(netns=places[0].net, host="/ip4/10.77.0.1/tcp/0")]
    boot = [a for a in swarm[0].addrs if "/ip4/10.77.0.1/" in a]
    for i, place in enumerate(places[1:], 2):
        swarm.append(HivemindPeer(boot, place.net, f"/ip4/10.77.0.{i}/tcp/0", place.container))
    late = observe(late_api, places)
    p2pds = [p2pd_of(peer, place) for peer, place in zip(swarm, places)]

    for size, peer in zip((3000, 2000, 700, 900), swarm):
        assert peer.do("store", key="77", size=size)["ok"]
    for peer in swarm:
        assert peer.do("get", key="77")["subkeys"] == sorted(p.id for p in swarm)

    # the table: ss in each namespace, hivemind's own list of peers
    for observer in (early, late):
        for peer, place, p2pd in zip(swarm, places, p2pds):
            n = wait_for("the table that ss shows", lambda o=observer, l=place, d=p2pd: equals_ss(o, l, d), 30)
            listed = peer.do("peers")["peers"]
            assert set(listed) == {p.id for p in swarm if p is not peer}, listed
            remotes = {r.split(":")[0] for _, r in ours(observer)[p2pd]}
            assert remotes == {f"10.77.0.{i}" for i, p in enumerate(swarm, 1) if p is not peer}, remotes
            print(f"{n} connections equal to ss, {len(listed)} peers", file=sys.stderr)
    assert all(c["preexisting"] for t in ours(late).values() for c in t.values())
    assert not any(c["preexisting"] for t in ours(early).values() for c in t.values())

    # RPCs and sizes, ids and visible addresses: of those whose pid is also theirs
    for peer, place in zip(swarm, places):
        if place.container:
            continue
        counts = check(early, peer)
        print(json.dumps(counts), file=sys.stderr)
        wait_for("identity", lambda p=peer: value(early, p.pid, "gswarm_p2p_identity", f'peer_id="{p.id}"') == 1)
    said = wait_for("addresses", lambda: {a for e in early_api.events() for a in e["details"].get("addrs", ())})
    visible = {a.split("/p2p/")[0] for peer in swarm[:2] for a in peer.do("addrs")["addrs"]}
    assert {a for a in visible if "127.0.0.1" not in a} <= {a.split("/p2p/")[0] for a in said}, (visible, said)

    # one dies: the others' connections with it end, and dialling it is refused
    at = "10.77.0.2"
    os.kill(p2pds[1], signal.SIGKILL)
    for api in (early_api, late_api):
        e = wait_for("its end", lambda a=api: [e for e in events_of(a, "disconnected")
                                               if e["details"]["remote"].startswith(at)])[0]
        assert e["details"]["closed_by"] in ("remote", "remote_reset"), e
    swarm[0].send("get", key="78")  # asks the dead one, too
    swarm[0].answer(60)
    e = wait_event(early_api, "connect_failed", 60, error="refused", errno=111)
    assert e["details"]["remote"].startswith(at), e

    # another one's line is cut: what is sent to it is sent again, and dialling it leads nowhere
    switch.plug(3, "down")
    before = lost(early)
    swarm[2].send("store", key="79", size=100)
    wait_for("retransmissions", lambda: lost(early) > before, 60)
    swarm[2].answer(120)

    def nowhere():
        return [e for e in events_of(early_api, "connect_failed", "disconnected")
                if e["details"]["remote"].startswith("10.77.0.4")
                and (e["details"].get("error") in ("timeout", "unreachable", "given_up")
                     or e["details"].get("closed_by") == "local")]

    e = wait_for("an end or a failure with the silent one", nowhere, 120)[0]
    print(json.dumps(e["details"]), file=sys.stderr)


def lost(observer):
    return sum(n["totals"]["retransmits"] for n in peers(observer))
