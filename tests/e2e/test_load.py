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


def all_counted(observer, each):
    """@each connections, two ends of each: every one of them, whatever the ring had room for."""
    m, t = observer.metrics(), peers(observer)[0]["totals"]
    found = {w: m[f'gswarm_connections_total{{what="{w}"}}'] for w in ("opened", "closed", "failed")}
    missed = {k: v for k, v in m.items() if k.startswith("gswarm_program_missed")}
    assert found == {"opened": 2 * each, "closed": 2 * each, "failed": 0}, (found, t, missed)
    # accept() may come after the other end's reset; who opened it is counted all the same
    assert (t["in"], t["out"], t["closed"], t["unknown_direction"]) == (each, each, 2 * each, 0), t
    return True


def count_all(each, ring_bytes=None, limit_s=30):
    net = Net()
    storm = Told(net, "rate", each)
    more = {"limits": {"ring_bytes": ring_bytes}} if ring_bytes else {}
    observer = watch(storm, connections=FEW, **more)
    wait_for("the node", lambda: peers(observer))
    rate, = storm.go()
    wait_for("all of them", lambda: all_counted(observer, each), limit_s)
    wait_for("no one open", lambda: not connections(observer), limit_s)
    lost = int(dropped(observer))
    print(f"{rate} connects/s, {2 * each:,} ends counted, {lost} records lost", file=sys.stderr)
    return lost


@case(limit_s=180, needs=LONG)
def rate_big():
    """200,000 connections as fast as two processes make them: all counted, whatever records were lost"""
    count_all(200_000, limit_s=60)


@case(limit_s=180, needs=LONG)
def pace_big():
    """20,000 connections a second for 5 s, or as many as the machine makes: all counted"""
    storm = Told(Net(), "pace", 20_000)
    observer = watch(storm, connections=FEW)
    wait_for("the node", lambda: peers(observer))
    made, reached = storm.go()
    wait_for("all of them", lambda: all_counted(observer, made), 60)
    print(f"{reached} of 20,000 connects/s, {2 * made:,} ends counted, {int(dropped(observer))} records lost",
          file=sys.stderr)


@case(needs=NEEDS, alone=True)
def rate():
    """connections as fast as two processes make them: all counted, none thought open"""
    count_all(20_000)


@case(needs=NEEDS, alone=True)
def rate_small_ring():
    """the same through a ring of 64 KiB, which has no room for most of their records"""
    assert count_all(20_000, 64 * 1024) > 0, "nothing was lost"


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
