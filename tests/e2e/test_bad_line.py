# SPDX-License-Identifier: BSD-2-Clause
"""Two real p2pd whose line is slow, loses packets, and swallows them: what the observer says of it, beside what
ss says in the namespace at the same moment, and what p2pd says to its node."""

import re

from cases import case
from harness import Api, wait_for
from line import SlowLink
from swarm import P2pdPeer
from test_connections import NEEDS, Net, connections, events_of, peers, sh, wait_event, watch
from test_p2pd import rpcs

TIMEOUT = 110  # ETIMEDOUT


class Pair:
    """A boot node behind the line, and the peer that is watched."""

    def __init__(self, rung):
        self.nets = Net(), Net()
        for net in self.nets:
            net.sysctl("net.ipv4.tcp_syn_retries", 1)
        self.line = SlowLink(self.nets)
        self.line.delay_s = 0.05  # each way
        self.boot = P2pdPeer(netns=self.nets[0], host="/ip4/10.77.0.1/tcp/0")
        self.peer = P2pdPeer(self.boot.addrs, self.nets[1], "/ip4/10.77.0.2/tcp/0")
        self.at = "10.77.0.1:" + self.boot.addrs[0].split("/")[4]
        self.api = Api()
        self.observer = watch(rung=rung, api=self.api, targets={"include": {"command": [self.peer.glob()]}},
                              connections={"interval": "1s"})

    def talk(self, size=100, times=2):
        return self.peer.do("call", peer=self.boot.id, name="Test.rpc_echo", size=size, times=times)

    def ss(self):
        """What ss says of the one connection with the boot node."""
        lines = sh("ip", "netns", "exec", self.nets[1].name, "ss", "-tinOH", "state", "established",
                   "dst", "10.77.0.1").splitlines()
        assert len(lines) == 1, lines
        rtt, lost = re.search(r"\brtt:([\d.]+)/", lines[0]), re.search(r"\bretrans:\d+/(\d+)", lines[0])
        return float(rtt[1]) * 1000, int(lost[1]) if lost else 0

    def same(self):
        """(rtt_us, retransmits), once both say the same of a connection that stood still meanwhile."""

        def look():
            before = self.ss()
            seen, = (c for c in connections(self.observer).values() if c["remote"] == self.at)
            assert before == self.ss(), "it does not stand still"
            assert seen["retransmits"] == before[1], (seen, before)
            assert abs(seen["rtt_us"] - before[0]) <= 1 + before[0] * 1e-5, (seen, before)  # six digits
            return before

        return wait_for("what ss says", look, 30, 0.2)


def slow_and_lossy(pair):
    assert "error" not in pair.talk(times=10)
    rtt, _ = pair.same()
    assert 100000 <= rtt < 1000000, rtt
    pair.line.loss = 0.05
    before = wait_for("it to be lost", lambda: pair.talk(30000, 1) and pair.line.lost and pair.same())[1]
    wait_for("it to be sent again", lambda: pair.talk(30000, 1) and pair.same()[1] > before and pair.line.lost > 5, 90)
    pair.line.loss = 0.0
    assert pair.same()[1] > 0
    totals = peers(pair.observer)[0]["totals"]
    assert totals["retransmits"] == pair.same()[1], totals
    assert "error" not in pair.talk()


def swallowed(pair, rung):
    """The line takes everything: what was under way ends, and nothing new comes about."""
    for net in pair.nets:
        net.sysctl("net.ipv4.tcp_retries2", 2)  # gives up after some seconds, before p2pd does
    pair.line.black_hole = True
    said = pair.talk()
    assert said.get("error"), said
    e = wait_event(pair.api, "disconnected", 60, remote=pair.at)["details"]
    if rung == "bpf":
        assert (e["closed_by"], e["error"]) == ("timeout", "timeout"), e
    failed = wait_for("the RPC's end", lambda: rpc_failures(pair))[0]
    assert (failed["rpc"], failed["peer_id"], failed["failed_at"]) == ("Test.rpc_echo", pair.boot.id, "p2pd"), failed
    assert failed["error"] == said["error"], (failed, said)
    wait_for("none in flight", lambda: rpcs(pair.observer, pair.peer.pid)["Test.rpc_echo", "out"]["in_flight"] == 0)

    if rung == "bpf":
        said = pair.peer.do("connect", peer=pair.boot.id, addrs=pair.boot.addrs)
        assert said.get("error"), said
        e = wait_event(pair.api, "connect_failed", 30, remote=pair.at)["details"]
        assert (e["error"], e["errno"], e["role"]) == ("timeout", TIMEOUT, "bootnode"), e
        assert {e["details"]["error"] for e in tcp_failures(pair)} == {"timeout"}, tcp_failures(pair)


def tcp_failures(pair):
    return [e for e in events_of(pair.api, "connect_failed") if "remote" in e["details"]]


def rpc_failures(pair):
    return [e["details"] for e in pair.api.events() if e["details"]["event"] == "rpc_failed"]


def bad_line(rung):
    pair = Pair(rung)
    slow_and_lossy(pair)
    swallowed(pair, rung)


@case(limit_s=180, needs=NEEDS)
def bpf():
    """a line of 100 ms, then one that loses 5 %, then a black hole: RTT, retransmits, reasons"""
    bad_line("bpf")


@case(limit_s=180, needs=NEEDS)
def diag():
    """the same by sock_diag, which tells no reasons"""
    bad_line("diag")
