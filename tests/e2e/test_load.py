# SPDX-License-Identifier: BSD-2-Clause
"""As many connections and packets as the machine makes. The truth is what their generator
(tests/triggers/connect_storm) says that it made."""

import subprocess
import sys

from cases import case
from harness import wait_for
from test_connections import NEEDS, Connector, Net, Storm, connections, many, peers, put_in_container, text, \
    wait_connection, watch

LONG = (*NEEDS, "long")
FEW = {"events_per_second": 10}


class Told(Storm):
    """connect_storm that begins when it is told, and stays after it has said what it did."""

    def go(self, limit_s=120):
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()
        line = wait_for("its count", self.popen.stdout.readline, limit_s)
        return [int(word) for word in line.split()]


def dropped(observer):
    return sum(v for k, v in observer.metrics().items() if k.startswith("gswarm_ring_drops_total"))


def all_or_counted(observer, ends):
    """Each end of a connection has been counted, or the records of those that were not as lost.
    Returns how many were counted."""
    m = observer.metrics()
    opened, closed = (m[f'gswarm_connections_total{{what="{w}"}}'] for w in ("opened", "closed"))
    assert opened == closed, (opened, closed)
    assert opened == ends or 0 < ends - opened <= dropped(observer), (ends, opened, dropped(observer))
    return opened


@case(limit_s=180, needs=LONG)
def rate_big():
    """200,000 connections as fast as two processes make them: all counted, or their loss"""
    net = Net()
    storm = Told(net, "rate", 200_000)
    observer = watch(storm, connections=FEW)
    wait_for("the node", lambda: peers(observer))
    rate, = storm.go()
    counted = wait_for("all of them", lambda: all_or_counted(observer, 400_000), 60)
    print(f"{rate} connects/s, {int(counted)} of 400,000 ends counted, {int(dropped(observer))} records lost",
          file=sys.stderr)
    assert not connections(observer)


@case(needs=NEEDS, alone=True)
def rate():
    """connections as fast as two processes make them: all counted, or their loss"""
    net = Net()
    storm = Told(net, "rate", 20_000)
    observer = watch(storm, connections=FEW)
    wait_for("the node", lambda: peers(observer))
    storm.go()
    wait_for("all of them", lambda: all_or_counted(observer, 40_000), 30)
    wait_for("no one open", lambda: not connections(observer))


@case(limit_s=180, needs=LONG)
def hold_big_bpf():
    """10,000 connections open: all of them those that ss shows, and their ends"""
    many("bpf", 10_000)


@case(limit_s=180, needs=LONG)
def hold_big_diag():
    """the same by sock_diag"""
    many("diag", 10_000)


def over_the_limit(rung):
    net = Net()
    n, limit = 300, 100
    storm = Storm(net, "hold", n)
    assert storm.popen.stdout.readline() == "ready\n"
    observer = watch(storm, rung=rung, connections={**FEW, "interval": "1s"}, limits={"connections": limit})

    def passes():
        return observer.metrics()["gswarm_connection_passes_total"]

    wait_for("some looks", lambda: connections(observer) and passes() >= 4)
    totals = peers(observer)[0]["totals"]
    kept = len(connections(observer))
    assert kept <= limit and kept + totals["not_kept"] == 2 * n, (kept, totals)
    assert observer.metrics()['gswarm_connections_total{what="opened"}'] == kept
    storm.popen.stdin.close()
    storm.popen.wait(20)

    def ended():
        return observer.metrics()['gswarm_connections_total{what="closed"}'] == kept

    wait_for("as many ends as beginnings", ended, 20)


@case(needs=NEEDS, alone=True)
def over_the_limit_bpf():
    """more connections than limits.connections: all that are not kept are counted, and no end too many"""
    over_the_limit("bpf")


@case(needs=NEEDS, alone=True)
def over_the_limit_diag():
    """the same by sock_diag"""
    over_the_limit("diag")


def flood(mode, n):
    net = Net()
    storm = Told(net, mode, n)
    put_in_container(storm.popen.pid)
    observer = watch(storm, connections={**FEW, "interval": "1s"})
    wait_for("the container", lambda: peers(observer)[0]["container_id"])
    packets, size = storm.go()
    assert packets == n

    def totals():
        t = peers(observer)[0]["totals"]
        return t if t["udp_packets_sent"] == packets else None

    t = wait_for(f"{packets} packets", totals, 20)
    assert t["udp_bytes_sent"] == size and t["udp_packets_received"] == 0, t
    return t, peers(observer)[0]["udp"]


@case(needs=NEEDS, alone=True)
def udp_flood():
    """100,000 datagrams to one port, as fast as they go: packets and bytes are the sender's"""
    t, flows = flood("flood", 100_000)
    assert [(f["remote"], f["packets_sent"]) for f in flows] == [("127.0.0.1:10000", 100_000)], flows
    assert t["udp_packets_unshown"] == 0, t


@case(needs=NEEDS, alone=True)
def udp_scatter():
    """datagrams to more remotes than are remembered: totals are exact, what no flow shows is counted"""
    t, flows = flood("scatter", 100_000)
    shown = sum(f["packets_sent"] for f in flows)
    assert 0 < len(flows) <= 4096 and shown <= 100_000 - t["udp_packets_unshown"] and t["udp_packets_unshown"], t


@case(needs=NEEDS)
def to_itself():
    """a socket that connects to itself (both SYNs at once, one end): one connection, its bytes both ways"""
    net = Net()
    node = Connector(net)
    observer = watch(node)
    at = ["127.0.0.1", 5005]
    c = node.do("connect", **{"as": "x"}, bind=at, to=at)
    node.do("send", on="x", bytes=1234)
    node.do("recv", on="x", bytes=1234)
    key = (text(c["local"]), text(c["remote"]))
    assert key == ("127.0.0.1:5005",) * 2
    found = wait_connection(observer, key, lambda x: x["bytes_received"] == 1234)
    assert (found["direction"], found["bytes_sent"]) == ("out", 1234), found
    node.do("close", on="x")
    wait_for("its end", lambda: not connections(observer))
    t = peers(observer)[0]["totals"]
    assert (t["in"], t["out"], t["closed"], t["failed"]) == (0, 1, 1, 0), t
