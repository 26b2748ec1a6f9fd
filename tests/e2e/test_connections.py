# SPDX-License-Identifier: BSD-2-Clause
"""TCP connections of nodes, in network namespaces that the case makes. The truth is what the processes
themselves say, and what ss shows in the namespace at the same moment."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

from cases import case
from harness import (Api, Env, Observer, Skip, check_shape, docker, free_port, g3, observer_cmd, unique,
                     wait_for)
from swarm import P2pdPeer, p2pd_path

CONNECTOR = Path(__file__).resolve().parent.parent / "triggers" / "connector.py"
NEEDS = ("root", "bpf", "ip", "ss")


def sh(*args, check=True):
    out = subprocess.run(list(map(str, args)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=20)
    if check and out.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, args))}: {out.stderr.strip()}")
    return out.stdout


class Net:
    """A network namespace with loopback up."""

    def __init__(self):
        self.name = unique()
        sh("ip", "netns", "add", self.name)
        Env.cleanup.callback(lambda: sh("ip", "netns", "del", self.name, check=False))
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return sh("ip", "-n", self.name, *args)

    def sysctl(self, name, value):
        sh("ip", "netns", "exec", self.name, "sysctl", "-qw", f"{name}={value}")

    def ss(self):
        """{(local, remote): {"state", "bytes_sent", …}} of the TCP sockets, as ss shows them."""
        out = {}
        text = sh("ip", "netns", "exec", self.name, "ss", "-tinaOH")
        for line in text.splitlines():
            state, received, sent, local, remote, *rest = line.split(None, 5)
            rest = rest[0] if rest else ""
            row = {"state": state, "recv_queue": int(received), "send_queue": int(sent)}
            for key in ("bytes_sent", "bytes_acked", "bytes_received", "cwnd", "unacked"):
                if m := re.search(rf"\b{key}:(\d+)", rest):
                    row[key] = int(m[1])
            if m := re.search(r"\brtt:([\d.e-]+)/([\d.e-]+)", rest):
                row["rtt_us"], row["rttvar_us"] = float(m[1]) * 1000, float(m[2]) * 1000
            if m := re.search(r"\bminrtt:([\d.e-]+)", rest):
                row["min_rtt_us"] = float(m[1]) * 1000
            if m := re.search(r"\bdelivery_rate (\d+)bps", rest):
                row["delivery_rate"] = int(m[1]) // 8
            if m := re.search(r"\bretrans:\d+/(\d+)", rest):
                row["retransmits"] = int(m[1])
            plain = [a.replace("[::ffff:", "").replace("]", "") if "[::ffff:" in a else a
                     for a in (local, remote)]
            out[tuple(plain)] = row
        return out


def link(a, b, v4="10.77.0", v6="fd77"):
    """A cable between two namespaces: 10.77.0.1 and .2, fd77::1 and ::2."""
    ifs = unique("g")[:10] + "a", unique("g")[:10] + "b"
    sh("ip", "link", "add", ifs[0], "netns", a.name, "type", "veth", "peer", "name", ifs[1],
       "netns", b.name)
    for i, (net, dev) in enumerate(zip((a, b), ifs), 1):
        net.sysctl(f"net.ipv6.conf.{dev}.accept_dad", 0)
        net.ip("addr", "add", f"{v4}.{i}/24", "dev", dev)
        net.ip("-6", "addr", "add", f"{v6}::{i}/64", "dev", dev, "nodad")
        net.ip("link", "set", dev, "up")
    return ifs


class Connector:
    """A process in a namespace (None: ours) that connects as it is told."""

    def __init__(self, net=None, tag=None, role=(), command=None):
        """@command: of its home, the command line that it is to have instead."""
        self.home = tag or tempfile.mkdtemp(prefix="gso-test-conn-", dir=Env.tmp)
        prefix = ["ip", "netns", "exec", net.name] if net else []
        line = command(Path(self.home)) if command else [sys.executable, str(CONNECTOR), *role]
        self.popen = subprocess.Popen([*prefix, *line, self.home], cwd=self.home if command else None,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        Env.cleanup.callback(self.end)
        self.pid = json.loads(self.popen.stdout.readline())["pid"]

    def do(self, what, **args):
        self.popen.stdin.write(json.dumps({"do": what, **args}) + "\n")
        self.popen.stdin.flush()
        return json.loads(self.popen.stdout.readline())

    def end(self):
        if self.popen.poll() is None:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def text(address):
    ip, port = address
    ip = ip.removeprefix("::ffff:")
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def watch(*connectors, rung="bpf", api=None, **config):
    """An observer of these processes."""
    command = [f"*{c.home}*" for c in connectors] or [f"*{Env.tmp}/gso-test-conn-*"]
    return Observer(api, {"targets": {"include": {"command": command}},
                          "probes": {"connections": rung}, **config}).start()


def peers(observer):
    with urllib.request.urlopen(f"http://127.0.0.1:{observer.port}/api/v1/peers", timeout=5) as r:
        return json.load(r)["nodes"]


def connections(observer):
    return {(c["local"], c["remote"]): c for n in peers(observer) for c in n["connections"]}


def events_of(api, *names):
    found = [e for e in api.events() if e["event_type"] == "peer_event"
             and e["details"]["event"] in names]
    check_shape(found)
    return found


def wait_event(api, name, limit_s=15, **details):
    """The first event of this name with these details."""
    def find():
        for e in events_of(api, name):
            if all(e["details"].get(k) == v for k, v in details.items()):
                return e
        return None

    return wait_for(f"{name} {details}", find, limit_s)


def wait_connection(observer, key, check=lambda c: True):
    def find():
        c = connections(observer).get(key)
        return c if c and check(c) else None

    return wait_for(f"connection {key}", find)


def seconds(text):
    """A time of the API's, as time.time() has it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def way(rung, direction):
    """Files in /proc cannot tell who dialled on a port that is listened on."""
    return "unknown" if rung == "proc" and direction == "in" else direction


COUNTERS = ("bytes_sent", "bytes_acked", "bytes_received", "cwnd", "retransmits", "delivery_rate", "send_queue",
            "recv_queue")
TIMES = ("rtt_us", "rttvar_us", "min_rtt_us")  # ss prints six digits of them


def equal_to_ss(net, observer, keys, **want):
    """These connections as ss shows them, at once or soon: the two looks are not in the same moment."""
    def equal():
        before, ours, truth = net.ss(), connections(observer), net.ss()
        for key in keys:
            row, c = truth[key], ours[key]
            assert row == before[key], "it is on its way"
            for field in ("state", *COUNTERS):
                assert c.get(field, 0) == row.get(field, 0), f"{key} {field}: ss {row}, we {c}"
            for field in TIMES:
                assert abs(c.get(field, 0) - row.get(field, 0)) <= 1 + row.get(field, 0) * 1e-5, (field, c, row)
            assert (c["unacked_bytes"] > 0) == (row.get("unacked", 0) > 0), (c, row)
            assert all(c[k] == v for k, v in want.items()), (c, want)
        return [ours[key] for key in keys]

    return wait_for(f"{keys} equal to ss", equal, 30)


def queues(a, observer, inside, outside, dev):
    """Bytes that nobody reads, on either side, and bytes that do not arrive."""
    outside.do("listen", **{"as": "small"}, bind=["10.77.0.2", 4009], rcvbuf=4096)
    c = inside.do("connect", **{"as": "full"}, to=["10.77.0.2", 4009])
    key = (text(c["local"]), text(c["remote"]))
    inside.do("send", on="full", bytes=40000)
    outside.do("accept", **{"from": "small", "as": "unread"})
    outside.do("send", on="unread", bytes=333)
    wait_connection(observer, key, lambda c: c["send_queue"] > 10000 and c["recv_queue"] == 333)
    equal_to_ss(a, observer, [key], recv_queue=333)
    inside.do("reset", on="full")

    c = inside.do("connect", **{"as": "cut"}, to=["10.77.0.2", 4001])
    outside.do("accept", **{"from": "s4", "as": "cut"})
    key = (text(c["local"]), text(c["remote"]))
    inside.do("send", on="cut", bytes=1)
    outside.do("recv", on="cut", bytes=1)
    wait_connection(observer, key, lambda c: c["bytes_acked"] >= 1 and not c["unacked_bytes"])
    a.ip("neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", dev)
    inside.do("send", on="cut", bytes=5000)
    wait_connection(observer, key, lambda c: c["retransmits"] >= 2)
    equal_to_ss(a, observer, [key], unacked_bytes=5000, send_queue=5000)
    a.ip("neigh", "del", "10.77.0.2", "dev", dev)
    wait_connection(observer, key, lambda c: c["bytes_acked"] >= 5001 and not c["unacked_bytes"])
    found, = equal_to_ss(a, observer, [key], unacked_bytes=0, send_queue=0)
    assert found["retransmits"] >= 2 and found["delivery_rate"] > 0, found
    inside.do("reset", on="cut")


def life(rung):
    """A connection out, one in, one over IPv6, one mapped: while they are open equal to ss; then their ends."""
    a, b = Net(), Net()
    dev, _ = link(a, b)
    api = Api()
    inside, outside = Connector(a), Connector(b)
    observer = watch(inside, rung=rung, api=api)
    outside.do("listen", **{"as": "s4"}, bind=["10.77.0.2", 4001])
    outside.do("listen", **{"as": "s6"}, family="6", bind=["fd77::2", 4001])
    inside.do("listen", **{"as": "dual"}, family="6", dual=1, bind=["::", 4002])

    out4 = inside.do("connect", **{"as": "c4"}, to=["10.77.0.2", 4001])
    out6 = inside.do("connect", **{"as": "c6"}, family="6", to=["fd77::2", 4001])
    outside.do("connect", **{"as": "d"}, to=["10.77.0.1", 4002])
    in4 = inside.do("accept", **{"from": "dual", "as": "m"})
    inside.do("send", on="c4", bytes=10000)
    outside.do("accept", **{"from": "s4", "as": "t4"})
    outside.do("recv", on="t4", bytes=10000)
    outside.do("send", on="d", bytes=777)
    inside.do("recv", on="m", bytes=777)
    keys = [(text(c["local"]), text(c["remote"])) for c in (out4, out6, in4)]
    assert keys[2][0] == "10.77.0.1:4002", keys

    for key, direction in zip(keys, ("out", "out", "in")):
        c = wait_connection(observer, key)
        assert c["direction"] == way(rung, direction), c
        assert c["pid"] == inside.pid, c
        assert not c["preexisting"], c
    counted = rung != "proc"  # its files have no counters
    if counted:
        wait_connection(observer, keys[0], lambda c: c["bytes_acked"] >= 10000)
        wait_connection(observer, keys[2], lambda c: c["bytes_received"] == 777)
        equal_to_ss(a, observer, keys)
        queues(a, observer, inside, outside, dev)
    truth, ours = a.ss(), connections(observer)
    assert [ours[key]["state"] for key in keys] == [truth[key]["state"] for key in keys] == ["ESTAB"] * 3, ours
    listening = peers(observer)[0]["listening"]
    assert [x["local"] for x in listening] == ["[::]:4002"], listening
    if rung == "bpf":
        assert listening[0]["reached_from_outside"] and listening[0]["accepted"] == 1, listening

    inside.do("close", on="c4")
    outside.do("close", on="t4")
    outside.do("reset", on="d")
    gone = wait_event(api, "disconnected", remote=keys[0][1], local=keys[0][0])
    assert gone["details"]["bytes_sent"] == (10000 if counted else 0), gone
    assert gone["details"]["direction"] == "out", gone
    assert gone["details"]["duration_ms"] > 0, gone
    assert gone["origin"]["via"] == "connection" and gone["origin"]["pid"] == inside.pid, gone
    reset = wait_event(api, "disconnected", remote=keys[2][1])
    assert reset["details"]["bytes_received"] == (777 if counted else 0), reset
    if rung == "bpf":
        assert gone["details"]["closed_by"] == "local", gone
        assert reset["details"]["closed_by"] == "remote_reset", reset
        assert reset["details"]["error"] == "reset", reset
    for key, direction in zip(keys, ("out", "out", "in")):
        wait_event(api, "connected", local=key[0], remote=key[1], direction=way(rung, direction))
    probe = [p for p in observer.health()["probes"] if p["need"] == "connections"][0]
    assert probe["ok"] and probe["first_choice"] == (rung == "bpf"), probe
    assert ("sock_diag" in probe["rung"]) == (rung == "diag"), probe
    assert ("net/tcp" in probe["rung"]) == (rung == "proc"), probe


@case(needs=NEEDS)
def life_bpf():
    """a connection each way, IPv4, IPv6 and mapped: equal to ss while open, ends told with counters"""
    life("bpf")


@case(needs=NEEDS)
def life_diag():
    """the same without BPF, by sock_diag"""
    life("diag")


def started_at(pid):
    """CLOCK_REALTIME of its start, from the clock ticks since boot that /proc tells."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def there_before(rung):
    net = Net()
    api = Api()
    node = Connector(net)
    node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 4001], reuseport=1)
    node.do("listen", **{"as": "t"}, bind=["127.0.0.1", 4002])
    node.do("connect", **{"as": "c"}, to=["127.0.0.1", 4001])
    node.do("accept", **{"from": "s", "as": "d"})
    # as libp2p does: dialled from the port it listens on
    node.do("connect", **{"as": "e"}, bind=["127.0.0.1", 4001], reuseport=1, to=["127.0.0.1", 4002])
    node.do("accept", **{"from": "t", "as": "f"})
    observer = watch(node, rung=rung, api=api)
    started = started_at(observer.process.pid)
    found = wait_for("4 connections", lambda: (c := connections(observer)) and len(c) == 4 and c, 2)
    assert all(c["preexisting"] for c in found.values()), found
    ways = {key: c["direction"] for key, c in found.items()}
    client = next(k for k in ways if k[1] == "127.0.0.1:4001" and k[0] != "127.0.0.1:4002")
    want = {client: "out", client[::-1]: "in",
            ("127.0.0.1:4001", "127.0.0.1:4002"): "out", ("127.0.0.1:4002", "127.0.0.1:4001"): "in"}
    if rung == "proc":
        want = {k: w if k == client else "unknown" for k, w in want.items()}
    assert ways == want, ways
    e = wait_event(api, "connected", preexisting=True, local=client[0])
    assert e["origin"]["pid"] == node.pid and "age_s" not in e["details"], e
    assert not any("since" in c for c in found.values()), found  # the kernel keeps no age of a socket
    late = [seconds(e["timestamp"]) - started]
    while late[-1] > 1 and len(late) < 4:  # what else the machine does is not to be blamed on it
        observer.stop()
        observer.start()
        n = len(late)
        told = wait_for("them again", lambda n=n: len(t := [e for e in events_of(api, "connected")
                                                             if e["details"]["local"] == client[0]]) > n and t)
        late.append(seconds(told[-1]["timestamp"]) - started_at(observer.process.pid))
    assert late[-1] <= 1, late
    node.do("close", on="c")
    wait_event(api, "disconnected", local=client[0], preexisting=True)


@case(needs=NEEDS)
def before_bpf():
    """connections older than the observer are there at once, with their direction where the socket tells"""
    there_before("bpf")


@case(needs=NEEDS)
def before_diag():
    """the same by sock_diag"""
    there_before("diag")


def before_a_packet(net, api, node):
    """Connects that the routing table ends, which change no socket's state. Returns how many."""
    net.ip("route", "add", "prohibit", "198.51.100.0/24")
    net.ip("route", "add", "unreachable", "203.0.113.0/24")
    net.ip("route", "add", "blackhole", "233.252.0.0/24")
    ways = (("192.0.2.1", "4", "ENETUNREACH", "unreachable", 101), ("2001:db8::1", "6", "ENETUNREACH", "unreachable", 101),
            ("198.51.100.1", "4", "EACCES", "unreachable", 13), ("203.0.113.1", "4", "EHOSTUNREACH", "unreachable", 113),
            ("::ffff:192.0.2.1", "6", "ENETUNREACH", "unreachable", 101))
    for to, family, name, why, number in ways:
        said = node.do("connect", **{"as": "x"}, family=family, dual=1 if family == "6" else None, to=[to, 4005])
        assert said["error"] == name, said
        e = wait_event(api, "connect_failed", remote=text((to, 4005)), errno=number)
        assert e["details"]["error"] == why and e["details"]["direction"] == "out", e
        assert e["origin"]["pid"] == node.pid and "local" not in e["details"], e
    # sockets of which the memory is used again and again; a datagram's is no connect
    assert node.do("try", to=["192.0.2.1", 4006], times=50) == {"ENETUNREACH": 50}
    assert "error" in node.do("udp_open", **{"as": "u"}, bind=["0.0.0.0", 0], to=["192.0.2.1", 4007])
    return len(ways) + 50


@case(needs=NEEDS)
def failures():
    """connects that fail: refused, lost, unreachable, given up, not sent, no route, each with its reason and time"""
    a, b = Net(), Net()
    dev, _ = link(a, b)
    a.sysctl("net.ipv4.tcp_syn_retries", 1)
    a.sysctl(f"net.ipv4.neigh.{dev}.mcast_solicit", 1)  # unreachable after 1 s, lost after 3
    a.ip("neigh", "add", "10.77.0.99", "lladdr", "02:00:00:00:00:99", "dev", dev)
    api = Api()
    node = Connector(a)
    observer = watch(node, api=api)
    for to, why, number in (("10.77.0.2", "refused", 111), ("10.77.0.98", "unreachable", 113),
                            ("10.77.0.99", "timeout", 110)):
        said = node.do("connect", **{"as": "x"}, to=[to, 4001])
        e = wait_event(api, "connect_failed", remote=f"{to}:4001")
        assert e["details"]["error"] == why and e["details"]["errno"] == number, e
        assert e["details"]["direction"] == "out" and e["origin"]["pid"] == node.pid, e
        assert e["details"]["duration_ms"] <= said["ms"] + 1, (e, said)
        assert why == "refused" or e["details"]["duration_ms"] > said["ms"] / 2, (e, said)
    node.do("connect", **{"as": "x"}, to=["10.77.0.99", 4002], timeout_s=0.2)
    e = wait_event(api, "connect_failed", remote="10.77.0.99:4002")
    assert e["details"]["error"] == "given_up" and "errno" not in e["details"], e
    Connector(b).do("listen", **{"as": "s"}, bind=["10.77.0.2", 4003])
    twice = {"bind": ["10.77.0.1", 5003], "reuseport": 1, "to": ["10.77.0.2", 4003]}
    assert "error" not in node.do("connect", **{"as": "c"}, **twice)
    assert node.do("connect", **{"as": "d"}, **twice)["error"] == "EADDRNOTAVAIL"
    e = wait_event(api, "connect_failed", remote="10.77.0.2:4003")
    assert (e["details"]["error"], e["details"]["errno"]) == ("not_sent", 99), e
    n = before_a_packet(a, api, node)

    def all_counted():
        totals = peers(observer)[0]["totals"]
        assert [totals[k] for k in ("failed", "refused", "unreachable", "timed_out")] == [5 + n, 1, 1 + n, 1], totals
        assert observer.metrics()['gswarm_connections_total{what="failed"}'] == 5 + n
        return True

    wait_for("each of them", all_counted)


@case(needs=NEEDS)
def storm():
    """thousands of connections shorter than 1 ms, ports reused at once: every one is counted"""
    net = Net()
    api = Api()
    node = Connector(net)
    observer = watch(node, api=api, connections={"events_per_second": 50})
    node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 4001])
    net.sysctl("net.ipv4.ip_local_port_range", "40000 40099")
    times = 3000
    for reset in (0, 1):
        assert node.do("storm", **{"from": "s"}, times=50, reset=1) == {"times": 50}
        if reset:
            assert node.do("storm", **{"from": "s"}, times=times, reset=1) == {"times": times}
    want = 2 * (times + 100)

    def all_counted():
        t = peers(observer)[0]["totals"]
        return t if t["in"] + t["out"] == want and t["closed"] == want else None

    t = wait_for(f"{want} connections", all_counted)
    assert t["in"] == t["out"] == want / 2, t
    assert t["ends_missed"] == t["not_kept"] == 0, t
    metrics = observer.metrics()
    assert metrics['gswarm_connections_total{what="opened"}'] == want, metrics

    def all_told():  # what was counted may still be on its way through the ring
        limited = peers(observer)[0]["totals"]["events_limited"]
        told = len(events_of(api, "connected", "disconnected"))
        assert not connections(observer) and told + limited == 2 * want, (told, limited)
        return True

    wait_for("one event each, or counted", all_told)


def handed_on(rung):
    """Accepted and inherited by a child, or passed to another process: whose it is now."""
    net = Net()
    node = Connector(net)
    observer = watch(node, rung=rung)
    node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 4001])
    for how in ("fork", "pass"):
        c = node.do("connect", **{"as": "c"}, to=["127.0.0.1", 4001])
        node.do("accept", **{"from": "s", "as": "d"})
        key = (text(c["remote"]), text(c["local"]))
        wait_connection(observer, key, lambda x: x["pid"] == node.pid)
        child = node.do(how, on="d")["pid"]
        found = wait_connection(observer, key, lambda x, child=child: x["pid"] == child)
        assert found["direction"] == way(rung, "in"), found


@case(needs=NEEDS)
def handed_on_bpf():
    """a connection inherited by a child or passed by SCM_RIGHTS is its new holder's"""
    handed_on("bpf")


@case(needs=NEEDS)
def handed_on_diag():
    """the same by sock_diag"""
    handed_on("diag")


def later_namespace(rung):
    api = Api()
    observer = watch(rung=rung, api=api)
    nets = Net(), Net()
    nodes = [Connector(n) for n in nets]
    for node in nodes:  # the same addresses and ports in both
        node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 4001])
    nodes[0].do("connect", **{"as": "c"}, bind=["127.0.0.1", 5001], to=["127.0.0.1", 4001])
    nodes[0].do("accept", **{"from": "s", "as": "d"})
    wait_event(api, "connected", local="127.0.0.1:4001", direction=way(rung, "in"))
    views = wait_for("both nodes", lambda: (v := peers(observer)) and len(v) == 2 and v)
    assert sorted(len(v["connections"]) for v in views) == [0, 2], views
    for v in views:
        assert {c["pid"] for c in v["connections"]} <= {nodes[0].pid}, v


@case(needs=NEEDS)
def later_namespace_bpf():
    """a node in a network namespace made after the observer's start; another node's port is not mixed up"""
    later_namespace("bpf")


@case(needs=NEEDS)
def others_are_left_alone():
    """a listener's port, once a node's and then another process's, tells nothing about the latter"""
    net = Net()
    api = Api()
    node, other = Connector(net), Connector(net)
    observer = watch(node, api=api)
    port = node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 0])["local"][1]
    wait_for("the listener", lambda: peers(observer)[0]["listening"])
    node.do("close", on="s")
    wait_for("its end", lambda: not peers(observer)[0]["listening"])
    other.do("listen", **{"as": "s"}, bind=["127.0.0.1", port])
    other.do("connect", **{"as": "c"}, to=["127.0.0.1", port])
    other.do("accept", **{"from": "s", "as": "d"})
    node.do("connect", **{"as": "c"}, to=["127.0.0.1", port])
    wait_event(api, "connected", direction="out")
    assert len(connections(observer)) == 1, connections(observer)
    assert all(e["origin"]["pid"] == node.pid for e in events_of(api, "connected"))


@case(needs=NEEDS)
def peers_command():
    """`peers` shows whom a node is connected with, in a table and as JSON; known peers outlast a restart"""
    a, b = Net(), Net()
    link(a, b)
    node, other = Connector(a), Connector(b)
    other.do("listen", **{"as": "s"}, bind=["10.77.0.2", 4001])
    observer = watch(node)
    node.do("listen", **{"as": "s"}, bind=["10.77.0.1", 4002])
    c = node.do("connect", **{"as": "c"}, to=["10.77.0.2", 4001])
    node.do("send", on="c", bytes=5000)
    key = (text(c["local"]), text(c["remote"]))
    wait_connection(observer, key, lambda c: c["bytes_sent"] == 5000)
    out = observer_cmd("peers", "-c", observer.config_path)
    assert out.returncode == 0, out.stderr
    row = next(line for line in out.stdout.splitlines() if "10.77.0.2:4001" in line)
    assert re.match(r" +10\.77\.0\.2:4001 +unknown +1 +0 +1 +0 .*5\.0 kB", row), out.stdout
    assert re.search(r"10\.77\.0\.1:4002 +other, never reached from outside", out.stdout), out.stdout
    out = observer_cmd("peers", "--json", "--url", f"http://127.0.0.1:{observer.port}")
    assert json.loads(out.stdout)["nodes"][0]["connections"][0]["remote"] == key[1], out.stdout

    node.do("close", on="c")
    wait_for("the end", lambda: not connections(observer))
    observer.stop()
    out = observer_cmd("peers", "-c", observer.config_path)
    assert out.returncode == 1 and "is the daemon running" in out.stderr, (out.returncode, out.stderr)
    observer.start()
    known = wait_for("the peer of before", lambda: {p["address"]: p for p in peers(observer)[0]["peers"]})
    p = known["10.77.0.2:4001"]
    assert (p["open"], p["out"], p["bytes_sent"]) == (0, 1, 5000), p
    # one that is open over a restart is counted once
    node.do("connect", **{"as": "d"}, to=["10.77.0.2", 4001])
    node.do("send", on="d", bytes=700)

    def counted():
        p = next(p for p in peers(observer)[0]["peers"] if p["address"] == "10.77.0.2:4001")
        assert (p["open"], p["out"], p["bytes_sent"]) == (1, 2, sent), p
        return True

    sent = 5700
    wait_for("the second", counted)
    observer.stop()
    node.do("send", on="d", bytes=30)
    observer.start()
    sent = 5730
    wait_for("the second after a restart", counted)


class Storm:
    """connect_storm in a namespace, found by a directory of its own on its command line."""

    def __init__(self, net, mode, n):
        self.home = tempfile.mkdtemp(prefix="gso-test-conn-", dir=Env.tmp)
        program = Path(Env.node).resolve().parent.parent / "triggers" / "connect_storm"
        self.popen = subprocess.Popen(["ip", "netns", "exec", net.name, str(program), mode, str(n), self.home],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        Env.cleanup.callback(self.end)

    def end(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


def many(rung, n):
    net = Net()
    storm = Storm(net, "hold", n)
    assert storm.popen.stdout.readline() == "ready\n"
    observer = watch(storm, rung=rung)
    found = wait_for(f"{n} connections", lambda: (c := connections(observer)) and len(c) == 2 * n and c, 30)
    truth = net.ss()
    assert set(found) == {k for k, row in truth.items() if row["state"] == "ESTAB"}
    p = peers(observer)[0]
    assert len(p["peers"]) <= 4096 and p["totals"]["not_kept"] == 0, p["totals"]
    storm.popen.stdin.close()
    storm.popen.wait(20)
    wait_for("their ends", lambda: observer.metrics()['gswarm_connections_total{what="closed"}'] == 2 * n, 30)


@case(needs=NEEDS)
def many_bpf():
    """a thousand connections that are there at start, all of them those that ss shows, and their ends"""
    many("bpf", 1000)


@case(needs=NEEDS)
def many_diag():
    """the same by sock_diag"""
    many("diag", 1000)


@case(needs=NEEDS, alone=True)
def full_speed():
    """connections as fast as the machine makes them: every one is counted, none is thought open"""
    net = Net()
    observer = watch(connections={"events_per_second": 10})
    n = 10000
    storm = Storm(net, "storm", n)
    storm.popen.wait(60)

    def counted():
        m = observer.metrics()
        return m['gswarm_connections_total{what="opened"}'] == m['gswarm_connections_total{what="closed"}'] == 2 * n

    wait_for(f"{2 * n} connections", counted, 20)

    def through():
        metrics = observer.metrics()
        assert metrics["gswarm_connection_ends_missed_total"] == 0, metrics
        assert metrics["gswarm_connections_told_late_total"] > 0, metrics
        return not connections(observer)

    wait_for("no one open", through, 20)


class Switch:
    """A namespace that the others are plugged into: 10.77.0.1, .2, …"""

    def __init__(self, nets):
        self.net = Net()
        self.ports = []
        self.net.ip("link", "add", "name", "br0", "type", "bridge")
        self.net.ip("link", "set", "dev", "br0", "up")
        for i, net in enumerate(nets, 1):
            self.ports.append(dev := unique("g")[-8:])
            sh("ip", "link", "add", "name", "eth0", "netns", net.name, "type", "veth", "peer", "name", dev,
               "netns", self.net.name)
            self.net.ip("link", "set", "dev", dev, "master", "br0", "up")
            net.ip("addr", "add", f"10.77.0.{i}/24", "dev", "eth0")
            net.ip("link", "set", "dev", "eth0", "up")

    def plug(self, i, how):
        self.net.ip("link", "set", "dev", self.ports[i], how)


def real_swarm(rung):
    nets = [Net() for _ in range(3)]
    switch = Switch(nets)
    boot = P2pdPeer(netns=nets[0], host="/ip4/10.77.0.1/tcp/0")
    api = Api()
    observer = watch(rung=rung, api=api, targets={"include": {"command": [f"*{Env.tmp}/gso-test-peer-*"]},
                                                  "exclude": {"command": [boot.glob()]}},
                     connections={"snapshot_interval": "1s"})
    address = next(a for a in boot.addrs if a.startswith("/ip4/10.77.0.1/tcp/"))
    boot_at = "10.77.0.1:" + address.split("/")[4]
    peer = P2pdPeer([address], nets[1], "/ip4/10.77.0.2/tcp/0")
    third = P2pdPeer([address], nets[2], "/ip4/10.77.0.3/tcp/0")
    assert "error" not in peer.do("connect", peer=third.id, addrs=third.addrs)
    assert "error" not in peer.do("ping", peer=boot.id)

    def mine():
        return {k: c for n in peers(observer) for c in n["connections"]
                if c["pid"] == peer.p2pd for k in [(c["local"], c["remote"])]}

    def equals_ss():
        truth = {k for k, row in nets[1].ss().items() if row["state"] == "ESTAB"}
        ours = mine()
        assert set(ours) == truth and len(truth) >= 2, (set(ours), truth)
        return ours

    ours = wait_for("the table that ss shows", equals_ss, 20)
    to_boot = [c for c in ours.values() if c["remote"] == boot_at]
    assert to_boot, ours
    for c in to_boot:
        assert (c["role"], c["process"], c["peer_id"]) == ("bootnode", "p2pd", boot.id), c
        assert c["direction"] == "out", c  # though from the port it listens on
    assert all(c["role"] == "dht_peer" for c in ours.values() if c["remote"] != boot_at), ours
    e = wait_event(api, "connected", role="bootnode", remote=boot_at)
    assert e["details"]["peer_id"] == boot.id, e

    def snapshot():
        found = [e["details"] for e in api.events() if e["event_type"] == "dht_snapshot"]
        # the third's has two as well; the bootnode may have dialled it, from another port
        return next((d for d in found if d.get("peers_connected", 0) >= 2 and boot_at in d["peers"]), None)

    # p2pd is asked for its peers: who is behind each address, whoever dialled
    listed = peer.do("list_peers")["peers"]
    assert set(listed) == {boot.id, third.id}, listed  # once per connection: both may have dialled

    def named():
        found = {c["remote"].split(":")[0]: c.get("peer_id") for c in mine().values()}
        return found == {"10.77.0.1": boot.id, "10.77.0.3": third.id}

    wait_for("ids of all peers", named)
    table = {p["peer_id"]: p for n in peers(observer) for p in n["peers"]
             if "peer_id" in p and p["address"].startswith("10.77.0.")}
    assert table[boot.id]["address"] == boot_at and table[boot.id]["bootnode_by"] == "command_line", table
    out = observer_cmd("peers", "-c", observer.config_path)
    assert re.search(rf"10\.77\.0\.3\S* +dht_peer .* {third.id}", out.stdout), out.stdout

    d = wait_for("a snapshot with both peers", snapshot)
    assert d["rtt_p50_us"] > 0, d

    # a cut line: what is sent is sent again
    before = sum(c["retransmits"] for c in mine().values())
    switch.plug(0, "down")
    peer.send("ping", peer=boot.id)
    wait_for("retransmissions", lambda: sum(c["retransmits"] for c in mine().values()) > before, 20)
    switch.plug(0, "up")
    assert "error" not in peer.answer(60)

    # the bootnode dies: connections end, and dialling it again is refused
    os.kill(boot.p2pd, signal.SIGKILL)
    e = wait_event(api, "disconnected", remote=boot_at)
    if rung == "bpf":
        assert e["details"]["closed_by"] in ("remote", "remote_reset"), e
        wait_for("a refused connect", lambda: peer.do("connect", peer=boot.id, addrs=[address]) and
                 events_of(api, "connect_failed"), 30)
        e = wait_event(api, "connect_failed", remote=boot_at)
        assert (e["details"]["error"], e["details"]["role"]) == ("refused", "bootnode"), e


def roles_of(observer):
    return {p["address"]: p for n in peers(observer) for p in n["peers"]}


def known_addresses(rung):
    a, b = Net(), Net()
    link(a, b)
    who = "12D3KooWFpQzycjkrxN4NyXLJVVRyLhMfYSTPTfrqn6TYvdnkUbt"
    relayed = "/ip4/10.77.0.2/tcp/4003/p2p/" + who + "/p2p-circuit/p2p/QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ"
    node, other = Connector(a), Connector(b)
    for port in range(4001, 4005):
        other.do("listen", **{"as": f"s{port}"}, bind=["10.77.0.2", port])
    for key in ("bootnodes", "dht"):
        named = [f"/ip4/10.77.0.2/tcp/4001/p2p/{who}", relayed, "/dns4/boot.example/tcp/1"]
        observer = watch(node, rung=rung, **{key: named if key == "bootnodes" else {"bootstrap_peers": named}})
        for port in (4001, 4003, 4004):
            node.do("connect", **{"as": f"{key}{port}"}, to=["10.77.0.2", port])
        found = wait_for("the three", lambda o=observer: len(r := roles_of(o)) == 3 and r)
        boot, relay, peer = (found[f"10.77.0.2:{port}"] for port in (4001, 4003, 4004))
        assert (boot["role"], boot["peer_id"], boot["bootnode_by"]) == ("bootnode", who, "config"), boot
        assert (relay["role"], relay["peer_id"]) == ("relay", who), relay
        assert peer["role"] == "unknown" and "peer_id" not in peer and "bootnode_by" not in peer, peer
        assert "/dns4/boot.example/tcp/1: no multiaddr" in observer.log(), observer.log()
        node.do("log", path=f"{node.home}/logs/swarm_launcher.log",
                line=g3(f"bootnodes: ['/ip4/10.77.0.2/tcp/4004/p2p/{who}']"))
        boot = wait_for("what the log says", lambda o=observer: (p := roles_of(o)["10.77.0.2:4004"])
                        and p["role"] == "bootnode" and p)
        assert (boot["peer_id"], boot["bootnode_by"]) == (who, "log"), boot
        observer.stop()


@case(needs=NEEDS)
def known_addresses_bpf():
    """bootnodes named by the configuration, by the sidecar's key too, and by the log; a relay"""
    known_addresses("bpf")


@case(needs=NEEDS)
def snapshots():
    """with how many of the swarm a node is connected, by direction, and how many came and went"""
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    node, other = Connector(a), Connector(b)
    known = [f"/ip4/10.77.0.2/tcp/{port}" for port in range(4001, 4006)]
    observer = watch(node, api=api, bootnodes=known, connections={"interval": "1s", "snapshot_interval": "1s"})
    wait_for("the node", lambda: peers(observer))
    node.do("listen", **{"as": "s"}, bind=["10.77.0.1", 4000])
    for port in (4001, 4002, 4003, 9999):  # the last one is nobody of the swarm
        other.do("listen", **{"as": f"s{port}"}, bind=["10.77.0.2", port])
        node.do("connect", **{"as": f"c{port}"}, to=["10.77.0.2", port])
    other.do("connect", **{"as": "in"}, bind=["10.77.0.2", 4005], to=["10.77.0.1", 4000])

    def told():
        return [(seconds(e["timestamp"]), e["details"]) for e in api.events() if e["event_type"] == "dht_snapshot"]

    def quiet(n, at):
        """The first snapshot after @at with n connections and no changes."""
        return next(((t, d) for t, d in told() if t > at and d["connections"] == n and d["churn_per_min"] == 0), None)

    at, d = wait_for("four connections", lambda: quiet(4, 0), 20)
    assert (d["in"], d["out"], round(d["in_out_ratio"], 3)) == (1, 3, 0.333), d
    assert sum(d["churn_per_min"] for t, d in told() if t < at) > 0, told()
    for name in ("c4001", "c4002", "c4003", "c9999"):
        node.do("close", on=name)
    end, d = wait_for("one connection", lambda: quiet(1, at), 20)
    assert (d["in"], d["out"]) == (1, 0) and "in_out_ratio" not in d, d
    times = [(t, d["churn_per_min"]) for t, d in told() if at <= t <= end]
    changes = sum(churn * (t - before) / 60 for (before, _), (t, churn) in zip(times, times[1:]))
    assert 2.5 < changes < 3.5, (changes, times)


@case(limit_s=120, needs=NEEDS)
def real_p2pd_bpf():
    """three real p2pd in three namespaces: table equal to ss, bootnode and its id, a cut line, death, refusal"""
    real_swarm("bpf")


@case(limit_s=120, needs=NEEDS)
def real_p2pd_diag():
    """the same by sock_diag"""
    real_swarm("diag")


def published_ports(rung):
    network, number = unique(), os.getpid() % 200 + 20
    docker("network", "create", "--subnet", f"10.78.{number}.0/24", network)
    Env.cleanup.callback(lambda: docker("network", "rm", network, check=False))
    observer = Observer(None, {"connections": {"interval": "1s"}, "probes": {"connections": rung}}).start()
    port, name = free_port(), unique()
    container = docker("run", "-d", "--name", name, "--network", network, "-p", f"127.0.0.1:{port}:4001",
                       "--entrypoint", "/bin/busybox", "gswarm/node:test", "sh", "-c",
                       "busybox nc -ll -p 4001 -e /bin/cat & busybox nc -ll -p 4002 -e /bin/cat & wait")
    Env.cleanup.callback(lambda: docker("rm", "-f", container, check=False))
    inside = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)

    def listens(inner):
        node = next(n for n in peers(observer) if n.get("container_id") == container[:12])
        assert node["container_addresses"] == [inside], node
        return next((x for x in node["listening"] if x["local"].endswith(f":{inner}")), None)

    published = wait_for("the published port", lambda: (x := listens(4001)) and x["published"] and x, 30)
    assert published["published"] == [f"127.0.0.1:{port}"] and published["host_port"] == port, published
    hidden = wait_for("the other port", lambda: listens(4002))
    assert hidden["published"] == [] and "host_port" not in hidden, hidden

    def shown():
        return observer_cmd("peers", "-c", observer.config_path).stdout

    assert re.search(rf"127\.0\.0\.1:{port} -> \S+:4001 .*never reached from outside", shown()), shown()
    assert re.search(r"\S+:4002 \(not published\) .*never reached from outside", shown()), shown()

    with socket.create_connection(("127.0.0.1", port), 5):
        x = wait_for("it by the proxy", lambda: (x := listens(4001)) and x["accepted"] and x)
    assert (x["from_gateway"], x["from_outside"], x["reached_from_outside"]) == (1, 0, False), x
    assert "by its engine's proxy, only" in shown(), shown()

    other = docker("run", "-d", "--network", network, "--name", unique("gso-other"), "--entrypoint", "/bin/busybox",
                   "gswarm/node:test", "sh", "-c", f"sleep 60 | busybox nc {inside} 4001")
    Env.cleanup.callback(lambda: docker("rm", "-f", other, check=False))
    x = wait_for("it from elsewhere", lambda: (x := listens(4001)) and x["reached_from_outside"] and x)
    assert (x["from_gateway"], x["from_outside"]) == (1, 1), x
    assert re.search(rf"127\.0\.0\.1:{port} -> .*reached from outside, last at", shown()), shown()


DOCKER_NEEDS = (*NEEDS, "docker", "docker-proxy")


@case(needs=DOCKER_NEEDS, limit_s=120)
def published_ports_bpf():
    """a container's port by its host's name: not published, published, reached by a proxy, reached from elsewhere"""
    published_ports("bpf")


def gateway_of(network, subnet):
    """A network of containers whose gateway is a namespace, as a host is: (it, one that is outside)."""
    host, outside, bridge, end = Net(), Net(), unique("g")[-12:] + "b", unique("g")[-12:] + "h"
    docker("network", "create", "--subnet", f"{subnet}.0/24", "-o", f"com.docker.network.bridge.name={bridge}",
           "-o", "com.docker.network.bridge.inhibit_ipv4=true", network)
    Env.cleanup.callback(lambda: docker("network", "rm", network, check=False))
    sh("ip", "link", "add", end, "netns", host.name, "type", "veth", "peer", "name", f"{end}b")
    sh("ip", "link", "set", f"{end}b", "master", bridge, "up")
    host.ip("addr", "add", f"{subnet}.1/24", "dev", end)
    host.ip("link", "set", end, "up")
    link(host, outside, "198.51.100", "fd79")
    host.sysctl("net.ipv4.ip_forward", 1)
    return host, outside


def dnat(rung):
    network, subnet, name = unique(), f"10.79.{os.getpid() % 200 + 20}", unique()
    host, outside = gateway_of(network, subnet)
    api = Api()
    observer = Observer(api, {"connections": {"interval": "1s"}, "probes": {"connections": rung}}).start()
    port = free_port()
    container = docker("run", "-d", "--name", name, "--network", network, "-p", f"127.0.0.1:{port}:4001",
                       "-v", f"{p2pd_path()}:/p2pd:ro", "--entrypoint", "/p2pd", "gswarm/node:test",
                       "-listen=/unix/tmp/hivemind-p2pd-gsodnat.sock", "-hostAddrs=/ip4/0.0.0.0/tcp/4001")
    Env.cleanup.callback(lambda: docker("rm", "-f", container, check=False))
    inside = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
    who = wait_for("p2pd", lambda: re.search(r"^Peer ID: (\S+)", docker("logs", name), re.M), 30)[1]

    def node():
        return next(n for n in peers(observer) if n.get("container_id") == container[:12])

    def reached():
        return next((x for x in node()["listening"] if x["local"].endswith(":4001") and x["published"]), None)

    def shown():
        return observer_cmd("peers", "-c", observer.config_path).stdout

    x = wait_for("the published port", reached, 30)
    assert (x["process"], x["host_port"], x["reached_from_outside"]) == ("p2pd", port, False), x
    assert re.search(rf"127\.0\.0\.1:{port} -> \S+:4001 .*never reached from outside", shown()), shown()

    nat = ["ip", "netns", "exec", host.name, "iptables", "-t", "nat", "-A"]
    sh(*nat, "PREROUTING", "-p", "tcp", "--dport", port, "-j", "DNAT", "--to-destination", f"{inside}:4001")
    peer = P2pdPeer(netns=outside, host="/ip4/198.51.100.2/tcp/0")
    assert peer.do("connect", peer=who, addrs=[f"/ip4/198.51.100.1/tcp/{port}"]) == {}
    x = wait_for("it from outside", lambda: (x := reached()) and x["reached_from_outside"] and x)
    assert (x.get("from_gateway", 0), x["from_outside"]) == (0, 1), x
    conn, = node()["connections"]
    assert (conn["direction"], conn["local"], conn["host_port"]) == (way(rung, "in"), f"{inside}:4001", port), conn
    assert conn["remote"].startswith("198.51.100.2:"), conn
    e = wait_event(api, "connected", remote=conn["remote"])
    assert (e["details"]["host_port"], e["details"]["direction"]) == (port, way(rung, "in")), e
    assert re.search(rf"127\.0\.0\.1:{port} -> .*reached from outside, last at", shown()), shown()

    sh(*nat, "POSTROUTING", "-d", inside, "-j", "MASQUERADE")
    other = P2pdPeer(netns=outside, host="/ip4/198.51.100.2/tcp/0")
    assert other.do("connect", peer=who, addrs=[f"/ip4/198.51.100.1/tcp/{port}"]) == {}
    x = wait_for("it by the host", lambda: (x := reached()) and x.get("from_gateway") and x)
    assert (x["from_gateway"], x["from_outside"]) == (1, 1), x
    assert {c["remote"].rsplit(":", 1)[0] for c in node()["connections"]} == {"198.51.100.2", f"{subnet}.1"}, node()


@case(needs=(*DOCKER_NEEDS, "iptables"), limit_s=120)
def dnat_bpf():
    """a real p2pd in a container, its published port reached from outside by real DNAT: who it was, and that
    it was reached; behind a masquerade it was somebody whom the host hides"""
    dnat("bpf")


def cgroup_v2():
    for line in Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise Skip("no cgroup v2")


def remove_cgroup(path):
    with contextlib.suppress(OSError):
        path.rmdir()


def put_in_container(pid):
    """In a cgroup named as Docker names those of its containers."""
    docker = cgroup_v2() / "docker"
    ours = docker / os.urandom(32).hex()
    had = docker.is_dir()
    ours.mkdir(parents=True)

    def remove():
        with contextlib.suppress(OSError):
            ours.rmdir()
            if not had:
                docker.rmdir()

    Env.cleanup.callback(remove)
    (ours / "cgroup.procs").write_text(str(pid))
    return ours.name


def comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


INITIAL = "c3" + "00000001" + "08" + "11" * 8 + "05" + "22" * 5 + "00" * 40


def names_and_udp(contained):
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    node, other, stranger = Connector(a), Connector(b), Connector(a, role=["stranger"])
    container = put_in_container(node.pid) if contained else ""
    Env.cleanup.callback(node.end)
    other.do("echo", at=["10.77.0.2", 9000])
    # a socket that is older than the observer
    assert node.do("udp", **{"as": "q"}, bind=["10.77.0.1", 9100], to=["10.77.0.2", 9000], packets=1,
                   hex="00") == {"answers": 1}
    observer = watch(node, api=api, connections={"interval": "1s"})
    wait_for("the node", lambda: peers(observer)[0].get("container_id", "") == container[:12])
    probe = [p for p in observer.health()["probes"] if p["need"] == "UDP and names"][0]
    assert probe["rung"] == "cgroup_skb, cgroup/sock_create" and probe["ok"], probe
    assert not probe.get("unseen") and not probe.get("refused"), probe

    for port in (443, 4443):
        other.do("listen", **{"as": f"s{port}"}, bind=["10.77.0.2", port])
    b.ip("addr", "add", "10.77.0.3/24", "dev", b.ip("-br", "link", "show", "type", "veth").split("@")[0])
    other.do("listen", **{"as": "hub"}, bind=["10.77.0.3", 443])
    other.do("dns", at=["10.77.0.2", 53], ip="10.77.0.3")

    assert node.do("lookup", name="HuggingFace.co", at=["10.77.0.2", 53]) == {"bytes": 48}
    c = node.do("connect", **{"as": "hub"}, to=["10.77.0.3", 443])
    found = wait_connection(observer, (text(c["local"]), text(c["remote"])), lambda x: x.get("name"))
    assert (found["name"], found["role"]) == ("huggingface.co", "model_hub"), found

    # what another process asks for, and sends, beside it is none of ours
    if not contained:
        stranger.do("lookup", name="secret.example", at=["10.77.0.2", 53])
        stranger.do("udp", **{"as": "u"}, bind=["10.77.0.1", 9300], to=["10.77.0.2", 9000], packets=7, hex=INITIAL)
        stranger.do("connect", **{"as": "w"}, to=["10.77.0.2", 4443])
        stranger.do("hello", on="w", name="secret.example")

    c = node.do("connect", **{"as": "w"}, to=["10.77.0.2", 443])
    node.do("hello", on="w", name="api.wandb.ai")
    found = wait_connection(observer, (text(c["local"]), text(c["remote"])), lambda x: x.get("name"))
    assert (found["name"], found["role"]) == ("api.wandb.ai", "wandb"), found

    answers = node.do("udp", **{"as": "q"}, to=["10.77.0.2", 9000], packets=20, hex=INITIAL)
    assert answers == {"answers": 20}, answers

    def flow(port=9100):
        return next((f for f in peers(observer)[0]["udp"]
                     if (f["remote"], f["local_port"]) == ("10.77.0.2:9000", port)), None)

    f = wait_for("the flow", lambda: (f := flow()) and f["packets_sent"] == 20 and f)
    size = len(INITIAL) // 2 + 28
    assert (f["packets_received"], f["bytes_sent"], f["bytes_received"]) == (20, 20 * size, 20 * size), f
    assert (f["local_port"], f["quic_version"], f["dcid_len"], f["scid_len"]) == (9100, "00000001", 8, 5), f
    # it is no p2pd that speaks: the address is what its name says
    assert f["handshake_seen"] is False and f["role"] == "wandb", f
    assert (f["pid"], f["process"], f["comm"]) == (node.pid, "other", comm(node.pid)), f
    e = wait_event(api, "connected", remote="10.77.0.2:9000", transport="quic")
    assert e["details"]["quic_version"] == "00000001" and e["details"]["local_port"] == 9100, e
    assert (e["origin"]["pid"], e["details"]["process"], e["details"]["local"]) == (
        node.pid, "other", "10.77.0.1:9100"), e
    # and one that is younger
    node.do("udp", **{"as": "r"}, bind=["10.77.0.1", 9200], to=["10.77.0.2", 9000], packets=5, hex="e3" + INITIAL[2:])
    f = wait_for("the handshake", lambda: (f := flow(9200)) and f["packets_sent"] == 5 and f)
    assert f["handshake_seen"] is True and f["direction"] == "out", f
    totals = peers(observer)[0]["totals"]
    assert totals["udp_packets_sent"] == totals["udp_packets_received"] == 26, totals
    # a process of the node's that came later
    child = node.do("udp_child", bind=["10.77.0.1", 9400], to=["10.77.0.2", 9000], packets=2, hex="00")["pid"]
    f = wait_for("the child's", lambda: (f := flow(9400)) and f["packets_sent"] == 2 and f)
    assert f["pid"] == child and "quic_version" not in f and f["direction"] == "unknown", f
    shown = observer.get("/api/v1/peers")
    assert "secret.example" not in shown and flow(9300) is None, shown


@case(needs=NEEDS)
def names_and_udp_container():
    """a container's remotes get names from DNS answers and ClientHellos; UDP is added up per remote, QUIC told"""
    names_and_udp(True)


@case(needs=NEEDS)
def names_and_udp_plain():
    """the same of a node outside a container, and nothing of the processes beside it in its cgroup"""
    names_and_udp(False)


@case(needs=(*NEEDS, "unshare", "setpriv"))
def udp_refused():
    """no cgroup v2, or no right to attach to one: doctor says so, and what stays unseen"""
    bare = ("unshare", "-m", "sh", "-c", f"umount -l {cgroup_v2()}; exec \"$@\"", "sh")
    weak = ("setpriv", "--bounding-set=-net_admin,-sys_admin", "--inh-caps=-net_admin,-sys_admin")
    for prefix, why in ((bare, "no cgroup v2 is mounted"), (weak, "Operation not permitted")):
        out = observer_cmd("doctor", prefix=prefix).stdout
        assert re.search(rf"UDP and names +ok +none\n +unseen: UDP and QUIC flows, names .*\n +refused: cgroup_skb: {why}",
                         out), out


@case(needs=NEEDS)
def udp_diag():
    """by sock_diag: UDP sockets, whom connected ones are with, and their end; the rest is said to be unseen"""
    net = Net()
    node, stranger = Connector(net), Connector(net, role=["stranger"])
    node.do("udp_open", **{"as": "q"}, bind=["127.0.0.1", 9100])
    node.do("udp_open", **{"as": "r"}, bind=["::1", 9200], to=["::1", 9300])
    stranger.do("udp_open", **{"as": "s"}, bind=["127.0.0.1", 9400])
    observer = watch(node, rung="diag", connections={"interval": "1s"})

    def sockets():
        return {(s["local"], s.get("remote")): s["pid"] for s in peers(observer)[0].get("udp_sockets", [])}

    want = {("127.0.0.1:9100", None): node.pid, ("[::1]:9200", "[::1]:9300"): node.pid}
    wait_for(f"{want}", lambda: sockets() == want)
    flows = peers(observer)[0]["udp"]
    assert [(f["remote"], f["local_port"]) for f in flows] == [("[::1]:9300", 9200)], flows
    shown = observer_cmd("peers", "-c", observer.config_path).stdout
    assert re.search(r"\[::1\]:9200 .*UDP, connected with \[::1\]:9300", shown), shown
    assert re.search(r"127\.0\.0\.1:9100 .*UDP, whoever sends to it is unseen here", shown), shown
    unseen = [p for p in observer.health()["probes"] if p["need"] == "connections"][0]["unseen"]
    assert "of UDP all but its sockets" in unseen and "MPTCP" in unseen, unseen

    node.do("close", on="r")
    del want["[::1]:9200", "[::1]:9300"]
    wait_for(f"{want}", lambda: sockets() == want and not peers(observer)[0]["udp"])


@case(needs=NEEDS)
def udp_mapped():
    """a dual-stack UDP socket: what it sends over IPv4 is its peer's at IPv4, what over IPv6 at IPv6"""
    a, b = Net(), Net()
    link(a, b)
    node, other = Connector(a), Connector(b)
    other.do("echo", at=["10.77.0.2", 9000])
    other.do("echo", at=["fd77::2", 9000])
    observer = watch(node, connections={"interval": "1s"})
    wait_for("the node", lambda: peers(observer))
    for to, n in (("::ffff:10.77.0.2", 3), ("fd77::2", 5)):
        assert node.do("udp", **{"as": "q"}, bind=["::", 9100], to=[to, 9000], packets=n, hex="00") == {"answers": n}
    want = {("10.77.0.2:9000", 9100): (3, 3), ("[fd77::2]:9000", 9100): (5, 5)}

    def flows():
        return {(f["remote"], f["local_port"]): (f["packets_sent"], f["packets_received"])
                for f in peers(observer)[0]["udp"]} == want

    wait_for(f"{want}", flows)


def quic(first, version, dcid=8, scid=5, token=0, length=40, lies=0):
    """A packet with a long header, RFC 9000 17.2: token and length as a number of two bytes."""
    head = bytes([first]) + bytes.fromhex(version) + bytes([dcid]) + b"\x11" * dcid + bytes([scid]) + b"\x22" * scid
    if token is not None:
        head += (0x4000 | token).to_bytes(2, "big") + b"\x33" * token
    return (head + (0x4000 | length + lies).to_bytes(2, "big") + bytes(length)).hex()


V1, V2, DRAFT = "00000001", "6b3343cf", "ff00001d"
# what is sent: version, connection ids, handshake seen; None: it is no QUIC
QUIC = (
    (quic(0xC3, V1), (V1, 8, 5, False)),
    (quic(0xE3, V1, token=None), (V1, 8, 5, True)),
    (quic(0xC3, V1, 20, 0) + quic(0xE3, V1, 4, 20, None), (V1, 4, 20, True)),
    (quic(0xC3, V1, token=70) + quic(0xD3, V1, token=None) + quic(0xE3, V1, 0, 0, None), (V1, 0, 0, True)),
    (quic(0xC3, V1) + quic(0xC3, V1) + quic(0xC3, V1) + quic(0xE3, V1, token=None), (V1, 8, 5, False)),  # the 4th
    (quic(0xC3, V1, lies=200) + quic(0xE3, V1, token=None), (V1, 8, 5, False)),
    (quic(0xC3, V1, lies=1) + quic(0xE3, V1, token=None), (V1, 8, 5, False)),
    (quic(0xD3, V2), (V2, 8, 5, False)),  # an Initial there
    (quic(0xE3, V2, token=None), (V2, 8, 5, False)),  # 0-RTT
    (quic(0xD3, V2) + quic(0xF3, V2, token=None), (V2, 8, 5, True)),
    (quic(0xE3, DRAFT, token=None), (DRAFT, 8, 5, True)),
    (quic(0xF3, V1, token=None) + quic(0xE3, V1, token=None), (V1, 8, 5, False)),  # nothing follows a Retry
    (quic(0xC3, "00000000"), None),  # a talk about versions
    (quic(0xC3, V1, 21), None),
    (quic(0xC3, V1, 8, 21), None),
    (quic(0x83, V1), None),
    ("c123" + "8180" + "0001" * 2 + "00" * 40, None),  # an answer of DNS
    (quic(0xC3, V1)[:12], None),
    ("c3", None),
)


@case(needs=NEEDS)
def quic_packets():
    """what a datagram says of QUIC: packets that share it, version 2, drafts; and what only looks like it"""
    a, b = Net(), Net()
    link(a, b)
    node, other = Connector(a), Connector(b)
    other.do("echo", at=["10.77.0.2", 9000])
    observer = watch(node, connections={"interval": "1s"})
    wait_for("the node", lambda: peers(observer))
    for port, (packet, _) in enumerate(QUIC, 9100):
        assert node.do("udp", **{"as": port}, bind=["10.77.0.1", port], to=["10.77.0.2", 9000], packets=1,
                       hex=packet) == {"answers": 1}
    # a version that was agreed on stays, whatever is asked for later
    assert node.do("udp", **{"as": 9100}, to=["10.77.0.2", 9000], packets=1, hex=quic(0xC3, "00000000", 0, 0)) == {
        "answers": 1}

    def seen():
        found = {f["local_port"]: f for f in peers(observer)[0]["udp"]}
        return len(found) == len(QUIC) and found[9100]["packets_sent"] == 2 and found

    found = wait_for("all flows", seen)
    for port, (packet, want) in enumerate(QUIC, 9100):
        f = found[port]
        got = (f["quic_version"], f["dcid_len"], f["scid_len"], f["handshake_seen"]) if "quic_version" in f else None
        assert got == want, (packet, got, want)
        assert f["direction"] == ("out" if want else "unknown"), f


@case(needs=NEEDS)
def quic_idle():
    """a QUIC flow: when it was there, who dialled; its end when nothing passes any more, and its next begin"""
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    node, other = Connector(a), Connector(b)
    for at, end in (("10.77.0.1", node), ("10.77.0.2", other)):
        end.do("echo", at=[at, 9000])
    observer = watch(node, api=api, connections={"interval": "1s", "udp_idle": "6s"})
    wait_for("the node", lambda: peers(observer))

    def flows():
        return {f["remote"]: f for f in peers(observer)[0]["udp"]}

    before = time.time()
    node.do("udp", **{"as": "q"}, bind=["10.77.0.1", 9100], to=["10.77.0.2", 9000], packets=3, hex=INITIAL)
    other.do("udp", **{"as": "q"}, bind=["10.77.0.2", 9100], to=["10.77.0.1", 9000], packets=2, hex=INITIAL)
    after = time.time()
    found = wait_for("both flows", lambda: len(f := flows()) == 2 and f)
    for remote, direction, n in (("10.77.0.2:9000", "out", 3), ("10.77.0.2:9100", "in", 2)):
        f = found[remote]
        assert (f["direction"], f["packets_sent"], f["packets_received"]) == (direction, n, n), f
        assert before - 0.1 <= seconds(f["first_seen"]) <= seconds(f["last_seen"]) <= after + 0.1, (before, f, after)
        e = wait_event(api, "disconnected", 30, remote=remote, transport="quic")
        d, size = e["details"], len(INITIAL) // 2 + 28
        assert (d["closed_by"], d["direction"], d["bytes_sent"], d["bytes_received"]) == (
            "idle", direction, n * size, n * size), d
        assert d["process"] == "other" and d["duration_ms"] <= (after - before) * 1e3 + 100, d
        assert seconds(e["timestamp"]) >= before + 6, e
    wait_for("no flow", lambda: not flows())
    shown = observer_cmd("peers", "-c", observer.config_path).stdout
    assert "QUIC" not in shown, shown
    node.do("udp", **{"as": "q"}, to=["10.77.0.2", 9000], packets=1, hex=INITIAL)
    wait_for("it again", lambda: flows().get("10.77.0.2:9000", {}).get("packets_sent") == 1)
    shown = observer_cmd("peers", "-c", observer.config_path).stdout
    assert re.search(r"10\.77\.0\.2:9000 +other, QUIC 00000001 from port 9100, no handshake seen, last packet at", shown), shown
    assert len(events_of(api, "connected")) == 3, events_of(api, "connected")


@case(needs=NEEDS)
def udp_moves():
    """nodes in cgroups one above the other, that move: each packet is counted once"""
    a, b = Net(), Net()
    link(a, b)
    nodes, other = (Connector(a), Connector(a)), Connector(b)
    other.do("echo", at=["10.77.0.2", 9000])
    top = cgroup_v2() / unique()
    for path in (top / "below" / "deep", top / "else"):
        path.mkdir(parents=True)
        Env.cleanup.callback(remove_cgroup, path)
    Env.cleanup.callback(remove_cgroup, top / "below")
    Env.cleanup.callback(remove_cgroup, top)
    for node in nodes:
        Env.cleanup.callback(node.end)

    def move(node, path):
        (path / "cgroup.procs").write_text(str(node.pid))

    observer = watch(*nodes, connections={"interval": "1s"})
    wait_for("both nodes", lambda: len(peers(observer)) == 2)
    sent = {node.pid: 0 for node in nodes}
    ports = iter(range(9100, 9200))

    def passes():
        return observer.metrics()["gswarm_connection_passes_total"]

    def talk():
        for node in nodes:  # by a socket that is there, and by a new one
            for name in ("same", f"new {sent}"):
                node.do("udp", **{"as": name}, bind=["10.77.0.1", next(ports)], to=["10.77.0.2", 9000], packets=3,
                        hex="00")
                sent[node.pid] += 3
        wait_for(f"{sent}", lambda: sorted(n["totals"]["udp_packets_sent"] for n in peers(observer))
                 == sorted(sent.values()))

    talk()
    for first, second in ((top / "below", top / "else"), (top, top / "below" / "deep")):
        move(nodes[0], first)
        move(nodes[1], second)
        n = passes()
        wait_for("a look", lambda n=n: passes() >= n + 2)
        talk()


def accept_queue(rung):
    net = Net()
    net.sysctl("net.ipv4.tcp_syn_retries", 1)
    node, other = Connector(net), Connector(net)
    api = Api()
    observer = watch(node, rung=rung, api=api, connections={"interval": "1s"})
    node.do("listen", **{"as": "s"}, bind=["127.0.0.1", 4001], backlog=1)
    for i in range(4):
        other.do("connect", **{"as": f"c{i}"}, to=["127.0.0.1", 4001], timeout_s=0.3)

    def listener():
        found = peers(observer)[0]["listening"]
        return found and found[0]["drops"] > 0 and found[0]

    seen = wait_for("drops", listener)
    assert (seen["queue"], seen["queue_max"]) == (2, 1), seen  # the kernel takes one more than asked
    e = wait_event(api, "accept_queue_full", local="127.0.0.1:4001")
    assert (e["details"]["queue"], e["details"]["queue_max"]) == (2, 1), e
    assert e["origin"]["pid"] == node.pid and e["details"]["process"], e

    def told():
        drops = listener()["drops"]
        told = sum(e["details"]["refused"] for e in events_of(api, "accept_queue_full"))
        metric = observer.metrics()['gswarm_connections_total{what="not_accepted"}']
        total = peers(observer)[0]["totals"]["not_accepted"]
        assert drops == told == metric == total, (drops, told, metric, total)
        return True

    wait_for("as many told as there were", told)


@case(needs=NEEDS)
def accept_queue_bpf():
    """a listener that does not accept: what waits for it and what was refused are shown, and told"""
    accept_queue("bpf")


@case(needs=NEEDS)
def accept_queue_diag():
    """the same by sock_diag"""
    accept_queue("diag")


def mptcp(rung):
    net = Net()
    api = Api()
    node = Connector(net)
    observer = watch(node, rung=rung, api=api)
    try:
        net.sysctl("net.mptcp.enabled", 1)
    except RuntimeError:
        raise Skip("this kernel has no MPTCP") from None
    node.do("listen", **{"as": "s"}, mptcp=1, bind=["127.0.0.1", 4001])
    c = node.do("connect", **{"as": "c"}, mptcp=1, to=["127.0.0.1", 4001])
    assert "error" not in c, c
    node.do("accept", **{"from": "s", "as": "d"})
    wait_event(api, "connected", remote="127.0.0.1:4001", direction="out")
    node.do("close", on="c")
    node.do("close", on="d")
    wait_event(api, "disconnected", remote="127.0.0.1:4001", direction="out")
    probe = [p for p in observer.health()["probes"] if p["need"] == "connections"][0]
    assert "MPTCP" in probe["unseen"], probe


@case(needs=NEEDS)
def mptcp_bpf():
    """MPTCP: its subflows are seen from their first SYN to their end, and doctor says what is not"""
    mptcp("bpf")


def endings(rung):
    """Who closed: each of the ways that there are."""
    a, b = Net(), Net()
    dev, _ = link(a, b)
    api = Api()
    node, other = Connector(a), Connector(b)
    observer = watch(node, rung=rung, api=api)
    other.do("listen", **{"as": "s"}, bind=["10.77.0.2", 4001])

    def open_one():
        c = node.do("connect", **{"as": "c"}, to=["10.77.0.2", 4001])
        other.do("accept", **{"from": "s", "as": "t"})
        key = (text(c["local"]), text(c["remote"]))
        wait_connection(observer, key)
        return key

    def ended(key):
        return wait_event(api, "disconnected", local=key[0])["details"]["closed_by"]

    key = open_one()
    node.do("reset", on="c")
    by = {"local_reset": ended(key)}
    other.do("close", on="t")
    if rung != "bpf":
        assert by == {"local_reset": "unknown"}, by  # it was open when it was seen last
    key = open_one()
    other.do("close", on="t")
    wait_connection(observer, key, lambda c: c["state"] == "CLOSE-WAIT")
    node.do("close", on="c")
    assert ended(key) == "remote"
    if rung != "bpf":
        return
    key = open_one()
    node.do("close", on="c")
    other.do("close", on="t")
    by["local"] = ended(key)
    key = open_one()
    other.do("reset", on="t")
    by["remote_reset"] = ended(key)
    node.do("close", on="c")
    # both FINs are sent before either has come: ours goes to a wrong address until theirs is here
    key = open_one()
    a.ip("neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", dev)
    node.do("close", on="c")
    other.do("close", on="t")
    wait_for("both ways closed", lambda: a.ss()[key]["state"] == "CLOSING")
    a.ip("neigh", "del", "10.77.0.2", "dev", dev)
    by["both"] = ended(key)
    assert all(k == v for k, v in by.items()), by


@case(needs=NEEDS)
def endings_bpf():
    """who closed a connection: we, the other side, both at once, either by a reset"""
    endings("bpf")


@case(needs=NEEDS)
def endings_diag():
    """by sock_diag: the other side, where it was seen waiting for us; else nobody is named"""
    endings("diag")


@case(needs=NEEDS)
def restarts():
    """2,100 peers and as many open connections outlast a restart and a kill -9, with their age; no peer counts twice"""
    net = Net()
    api = Api()
    node = Connector(net)
    node.do("listen", **{"as": "s"}, bind=["0.0.0.0", 4001], backlog=4096)
    observer = watch(node, api=api, connections={"events_per_second": 100}, limits={"connections": 8192})
    wait_for("the node", lambda: peers(observer))
    n = 2100
    assert node.do("dial", **{"from": "s"}, times=n, port=4001) == {"times": n}

    def known():
        view = peers(observer)[0]
        out = {p["address"]: p for p in view["peers"] if p["address"].endswith(":4001")}
        found = {(c["local"], c["remote"]): c for c in view["connections"] if c["remote"].endswith(":4001")}
        assert len(out) == len(found) == n, (len(out), len(found))
        assert all((p["open"], p["out"]) == (1, 1) for p in out.values())
        return found

    first = wait_for(f"{n} peers", known, 30)
    assert not any(c["preexisting"] for c in first.values())
    for stop in (observer.stop, observer.kill):
        stop()
        observer.start()
        again = wait_for(f"{n} peers once more", known, 30)
        assert all(c["preexisting"] for c in again.values())
        late = [k for k in first if abs(seconds(first[k]["since"]) - seconds(again[k]["since"])) > 0.1]
        assert not late, (len(late), first[late[0]], again[late[0]])
        assert all(c["age_s"] >= first[k]["age_s"] for k, c in again.items())
        assert peers(observer)[0]["totals"]["peers_evicted"] == 0
    e = wait_event(api, "connected", preexisting=True, direction="out")
    assert e["details"]["age_s"] > 0, e


@case(needs=NEEDS)
def evicted():
    """more peers than limits.peers: the least recently used make room, which is counted"""
    net = Net()
    node = Connector(net)
    node.do("listen", **{"as": "s"}, bind=["0.0.0.0", 4001])
    observer = watch(node, limits={"peers": 64}, connections={"events_per_second": 10})
    wait_for("the node", lambda: peers(observer))
    assert node.do("dial", **{"from": "s"}, times=300, port=4001, close=1) == {"times": 300}

    def counted():
        view = peers(observer)[0]
        out = [p["address"] for p in view["peers"]]
        assert view["totals"]["out"] == view["totals"]["in"] == 300, view["totals"]
        assert len(out) <= 64 and view["totals"]["peers_evicted"] >= 300 - 64, (len(out), view["totals"])
        assert "127.0.1.44:4001" in out and "127.0.0.1:4001" not in out, out  # the last, and the first
        return view["totals"]["peers_evicted"]

    gone = wait_for("what made room", counted, 30)
    m = [v for k, v in observer.metrics().items() if k.startswith("gswarm_node_peers_evicted_total")]
    assert m == [gone], (m, gone)


def link_to(home, name, target):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return str(path)


def as_trainer(home):
    link_to(home, "rgym_exp/runner/swarm_launcher.py", CONNECTOR)
    return [sys.executable, "-m", "rgym_exp.runner.swarm_launcher"]


def as_login(home):
    return [link_to(home, "bin/node", sys.executable), link_to(home, "node_modules/.bin/next", CONNECTOR), "start"]


def as_evaluator(home):
    return [link_to(home, "bin/ollama", sys.executable), str(CONNECTOR), "serve"]


def as_p2pd(home):
    return [link_to(home, "hivemind_cli/p2pd", sys.executable), str(CONNECTOR)]


@case(needs=NEEDS)
def roles_live():
    """owners of connections by their command lines, and remotes by name, port and owner"""
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    other = Connector(b)
    end = b.ip("-br", "link", "show", "type", "veth").split("@")[0]
    owners = {name: Connector(a, command=command) for name, command in
              (("trainer", as_trainer), ("login_server", as_login), ("evaluator", as_evaluator), ("p2pd", as_p2pd))}
    observer = watch(*owners.values(), api=api)
    wait_for("the nodes", lambda: len(peers(observer)) == 4)
    trainer = owners["trainer"]
    names = {"gensyn-testnet.g.alchemy.com": "rpc", "swarm-judge.internal-apps-central1.clusters.gensyn.ai": "judge",
             "api.telegram.org": "telegram", "huggingface.co": "model_hub"}

    def connect(node, at):
        c = node.do("connect", **{"as": str(at)}, to=at)
        assert "error" not in c, (at, c)
        return text(c["local"]), text(c["remote"])

    for i, (name, role) in enumerate(names.items(), 11):
        ip = f"10.77.0.{i}"
        b.ip("addr", "add", f"{ip}/24", "dev", end)
        other.do("dns", at=[ip, 53], ip=ip)
        other.do("listen", **{"as": name}, bind=[ip, 443])
        assert trainer.do("lookup", name=name, at=[ip, 53])["bytes"] > 0
        found = wait_connection(observer, connect(trainer, [ip, 443]), lambda c: c.get("name"))
        assert (found["name"], found["role"], found["process"]) == (name, role, "trainer"), found
    other.do("listen", **{"as": "dns"}, bind=["10.77.0.2", 53])
    other.do("listen", **{"as": "any"}, bind=["10.77.0.2", 4001])
    found = wait_connection(observer, connect(trainer, ["10.77.0.2", 53]))
    assert (found["role"], found["process"]) == ("dns", "trainer"), found
    for name, node in owners.items():
        found = wait_connection(observer, connect(node, ["10.77.0.2", 4001]))
        assert found["process"] == name and found["pid"] == node.pid, (name, found)
        assert found["role"] == ("dht_peer" if name == "p2pd" else found["role"]), found
        e = wait_event(api, "connected", local=found["local"])
        assert e["details"]["process"] == name and e["origin"]["pid"] == node.pid, e
    owners["login_server"].do("listen", **{"as": "s"}, bind=["127.0.0.1", 3000])
    owners["evaluator"].do("listen", **{"as": "s"}, bind=["127.0.0.1", 11434])
    for port, role in ((3000, "login_server"), (11434, "evaluator")):
        key = connect(trainer, ["127.0.0.1", port])
        found = wait_connection(observer, key)
        assert (found["role"], found["process"]) == (role, "trainer"), found
    # the trainer's fork has what it inherited
    key = connect(trainer, ["10.77.0.2", 4001])
    child = trainer.do("fork", on=str(["10.77.0.2", 4001]))["pid"]
    found = wait_connection(observer, key, lambda c: c["pid"] == child)
