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
from harness import Api, Env, Observer, wait_for
from swarm import HivemindPeer, hivemind_container, p2pd_of
from test_connections import Net, Switch, events_of, peers, sh, wait_event
from test_p2pd import value
from test_p2pd_real import check, check_rounds


SIZES = (3000, 2000, 700, 900)  # of what each one stores


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

    def sh(self, *args):
        prefix = ["ip", "netns", "exec", self.net.name] if self.net else \
            ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        return sh(*prefix, *args)

    def ss(self):
        """{(local, remote): {"pid", "rtt_us", "cwnd", …}} of what is established."""
        out = {}
        for line in self.sh("ss", "-tinpOH", "state", "established").splitlines():
            row = {name: int(m[1]) if (m := re.search(rf"\b{pattern}(\d+)", line)) else 0
                   for name, pattern in SS_HAS.items()}
            rtt = re.search(r"\brtt:([\d.]+)/", line)  # printed with six digits
            at = re.match(r"\d+ +\d+ +(\S+) +(\S+)", line)
            out[at[1], at[2]] = row | {"rtt_us": float(rtt[1]) * 1000}
        return out


# what ss calls what the observer has by another name
SS_HAS = {"pid": "pid=", "bytes_received": "bytes_received:", "bytes_sent": "bytes_sent:",
          "bytes_acked": "bytes_acked:", "cwnd": "cwnd:", "retransmits": r"retrans:\d+/"}


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
    still = {k: v for k, v in before.items() if after.get(k) == v and v["pid"] == p2pd}
    assert set(still) == set(seen) and len(still) >= 3, (before, after, sorted(seen))
    for key, truth in still.items():
        c = seen[key]
        wrong = {name: (c.get(name), truth[name]) for name in SS_HAS if c.get(name) != truth[name]}
        assert not wrong, f"{key}: (seen, ss) {wrong}"
        assert abs(c["rtt_us"] - truth["rtt_us"]) <= 1 + truth["rtt_us"] * 1e-5, (c, truth)
    return len(still)


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
    p2pds = [p2pd_of(peer) for peer in swarm]

    for size, peer in zip(SIZES, swarm):
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

    # RPCs, their sizes, ends and keys; ids and visible addresses
    for peer in swarm:
        counts = check(early, peer)
        print(json.dumps(counts), file=sys.stderr)
        wait_for("identity", lambda p=peer: value(early, p.node, "gswarm_p2p_identity", f'peer_id="{p.id}"') == 1)
    check_rounds(early_api, "77", dict(zip(p2pds, SIZES)))
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

    # another one's line is cut, and nobody is told that it is not there: what is sent to it is sent again
    # until it is given up, and so is dialling it
    for place in places[:3]:
        cut_off(place, "10.77.0.4", places[3])
    switch.plug(3, "down")
    before = lost(early)
    swarm[2].send("store", key="79", size=100)
    wait_for("retransmissions", lambda: lost(early) > before, 60)
    swarm[2].answer(120)

    for name, api in (("disconnected", early_api), ("disconnected", late_api), ("connect_failed", early_api)):
        told = wait_for(f"{name} with the silent one", lambda n=name, a=api: to_silent(a, n), 120)
        print(json.dumps(told), file=sys.stderr)
        assert {d["error"] for d in told} == {"timeout"}, told
        assert name != "disconnected" or {d["closed_by"] for d in told} == {"timeout"}, told
        if name == "disconnected" and api is late_api:  # it is asked for once more, by one that had it
            swarm[2].send("get", key="80")
            swarm[2].answer(120)


def cut_off(place, ip, other):
    """Its neighbour stays its neighbour, and what it does not answer is given up after seconds."""
    mac = json.loads(other.ip("-j", "link", "show", "dev", "eth0"))[0]["address"]
    place.ip("neigh", "replace", ip, "lladdr", mac, "nud", "permanent", "dev", "eth0")
    for name, n in (("tcp_retries2", 3), ("tcp_syn_retries", 1)):
        place.sh("sysctl", "-qw", f"net.ipv4.{name}={n}")


def to_silent(api, name):
    """What was told of ends and failures with it, by those who live and whose line is whole."""
    return [d for e in events_of(api, name) for d in [e["details"]]
            if d.get("remote", "").startswith("10.77.0.4") and re.match(r"10\.77\.0\.[13]:", d["local"])]


def lost(observer):
    return sum(n["totals"]["retransmits"] for n in peers(observer))
