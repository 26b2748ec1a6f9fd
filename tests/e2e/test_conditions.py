# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong with a node's network, as named conditions: made to happen with real p2pds, real
sockets and links that the case breaks; seen as an event, a metric, and in the APIs."""

import json
import os
import re
import signal
import sys
import threading
import time

from cases import case
from harness import Api, Observer, wait_for
from line import SlowLink
from swarm import P2pdPeer
from test_connections import Connector, Net, link, sh

NEEDS = ("root", "bpf", "ip")
FAST = {"connections": {"interval": "1s"}}


def observe(*who, api=None, rung="auto", **limits):
    return Observer(api, {"targets": {"include": {"command": [f"*{w}*" for w in who]}},
                          "probes": {"connections": rung}, **FAST,
                          "conditions": {"interval": "1s", "ended_after": "1s", **limits}}).start()


def holding(observer):
    """{condition: entry} of the only node, the same in both APIs."""
    nodes = json.loads(observer.get("/api/v1/nodes"))["nodes"]
    found = {c["condition"]: c for n in nodes if n["present"] for c in n["conditions"]}
    health = {c["condition"]: c for n in json.loads(observer.get("/health"))["nodes"] for c in n["conditions"]}
    assert {k: c["evidence"] for k, c in found.items()} == {k: c["evidence"] for k, c in health.items()}
    return found


def metric(observer, name):
    found = {m[1]: v for line, v in observer.metrics().items()
             if (m := re.fullmatch(r'gswarm_condition\{.*condition="(\w+)"\}', line))}
    assert len(found) == 6, found
    return found[name]


def begins(observer, name, limit_s=40):
    entry = wait_for(name, lambda: holding(observer).get(name), limit_s, 0.2)
    assert metric(observer, name) == 1
    return entry


def ends(observer, name, limit_s=60):
    wait_for(f"{name} ends", lambda: name not in holding(observer), limit_s, 0.2)
    assert metric(observer, name) == 0


def events(api, name):
    """Each once: after a kill -9 the last ones are sent again."""
    once = {e["event_id"]: e for e in api.events()}.values()
    return [(e["details"]["event"], e["details"]) for e in once if e["details"].get("condition") == name]


def check_events(api, name, lasted_s=1):
    """One event at its beginning and one at its end, with what was seen."""
    wait_for("both events", lambda: len(events(api, name)) == 2)
    (began, b), (ended, e) = events(api, name)
    assert (began, ended) == ("condition_began", "condition_ended")
    assert b["message"] and b["evidence"] and b["limit"] > 0, b
    assert e["duration_s"] >= lasted_s, e


def goes_on(observer, api, *names, look_s=2.5):
    """Over an end of the observer by kill -9, and over an orderly one: they have the same beginning,
    and do not seem to end."""
    began = {name: holding(observer)[name]["since"] for name in names}
    for name in names:
        wait_for("its event", lambda n=name: events(api, n))  # and with it what goes on
    for end in (observer.kill, observer.stop):
        end()
        observer.start()
        for name in names:
            begins(observer, name)
        time.sleep(look_s)  # longer than what counts as its end
        now = holding(observer)
        assert {name: now[name]["since"] for name in names} == began, (began, now)
        for name in names:
            assert [e for e, _ in events(api, name)] == ["condition_began"], events(api, name)


@case(120, NEEDS)
def nobody_there():
    """the only bootnode dies: no DHT peer, all bootnodes unreachable with the last error; then one comes"""
    api = Api()
    boot = P2pdPeer()
    peer = P2pdPeer(boot.addrs)
    observer = observe(peer.dir, api=api, no_dht_peer="1s", bootnodes_unreachable="1s")
    at = boot.addrs[0].split("/")[4]
    peer.do("ping", peer=boot.id)
    wait_for("a look", lambda: metric(observer, "no_dht_peer") == 0)
    assert holding(observer) == {}
    os.kill(boot.p2pd, signal.SIGKILL)
    c = begins(observer, "no_dht_peer")
    assert any(f"127.0.0.1:{at} ({boot.id})" in line for line in c["evidence"]), c
    wait_for("a refusal", lambda: "refused" in str(peer.do("connect", peer=boot.id, addrs=boot.addrs)), 30)
    c = begins(observer, "bootnodes_unreachable")
    assert c["value"] == 1 and c["evidence"][0].startswith(f"127.0.0.1:{at} ({boot.id}): refused, "), c
    goes_on(observer, api, "no_dht_peer", "bootnodes_unreachable")
    c = begins(observer, "bootnodes_unreachable")
    assert c["evidence"][0].startswith(f"127.0.0.1:{at} ({boot.id}): refused, "), c
    third = P2pdPeer(peer.addrs)
    assert "error" not in third.do("ping", peer=peer.id)
    ends(observer, "no_dht_peer")
    check_events(api, "no_dht_peer")
    assert "bootnodes_unreachable" in holding(observer)


SYN, RST = 2, 4


def send_from_nobody(net, to, port, sources, flags, seq):
    """Packets from addresses that nobody has: the answers find nobody."""
    script = f"""
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def sum16(data):
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff
to = socket.inet_aton("{to}")
for i in range({sources}):
    src = socket.inet_aton("10.77.0.%d" % (50 + i))
    tcp = struct.pack("!HHIIBBHHH", 1024 + i, {port}, {seq}, 0, 5 << 4, {flags}, 64240, 0, 0)
    check = sum16(src + to + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, i, 0, 64, 6, 0) + src + to
    s.sendto(ip + tcp, ("{to}", 0))
"""
    sh("ip", "netns", "exec", net.name, sys.executable, "-c", script)


def storm(rung):
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    peer = P2pdPeer(netns=a, host="/ip4/10.77.0.1/tcp/0")
    port = int(peer.addrs[0].split("/")[4])
    observer = observe(peer.dir, api=api, rung=rung, half_open_storm=20)
    wait_for("a look", lambda: metric(observer, "half_open_storm") == 0)
    # whoever is asked for that neighbour is told of a card that is not there
    dev = json.loads(sh("ip", "-n", a.name, "-j", "route", "get", "10.77.0.2"))[0]["dev"]
    for i in range(100):
        a.ip("neigh", "replace", f"10.77.0.{50 + i}", "lladdr", "02:00:00:00:00:99", "dev", dev)
    b.sysctl("net.ipv4.conf.all.rp_filter", 0)
    a.sysctl("net.ipv4.conf.all.rp_filter", 0)
    send_from_nobody(b, "10.77.0.1", port, 30, SYN, 1000)
    found = begins(observer, "half_open_storm")
    assert 20 <= found["value"] <= 30, found
    assert f"10.77.0.1:{port}" in found["evidence"][0], found
    assert re.search(r"\d+ begun by others and not finished", found["evidence"][0]), found
    listening = json.loads(observer.get("/api/v1/peers"))["nodes"][0]["listening"]
    assert 1 <= sum(x["half_open"] for x in listening) <= 30, listening
    if rung == "bpf":
        goes_on(observer, api, "half_open_storm")
    send_from_nobody(b, "10.77.0.1", port, 30, RST, 1001)  # who dialled gives up
    ends(observer, "half_open_storm", 60)
    check_events(api, "half_open_storm")
    # what belongs to nothing is dropped by the listener, too, and is no connection that was refused
    send_from_nobody(b, "10.77.0.1", port, 30, RST, 1001)

    def node():
        return json.loads(observer.get("/api/v1/peers"))["nodes"][0]

    wait_for("drops", lambda: sum(x["drops"] for x in node()["listening"]) >= 30)
    assert node()["totals"]["not_accepted"] == 0, node()
    assert not [e for e in api.events() if e["details"]["event"] == "accept_queue_full"]


@case(180, NEEDS)
def half_open_bpf():
    """SYNs that are never finished: a storm, also over a restart; then not any more"""
    storm("bpf")


@case(180, NEEDS)
def half_open_diag():
    """the same by sock_diag"""
    storm("diag")


@case(120, NEEDS)
def dialling():
    """connects that nobody answers count, too"""
    a, b = Net(), Net()
    link(a, b)
    dev = json.loads(sh("ip", "-n", a.name, "-j", "route", "get", "10.77.0.2"))[0]["dev"]
    a.ip("neigh", "replace", "10.77.0.9", "lladdr", "02:00:00:00:00:99", "dev", dev)
    api = Api()
    cs = [Connector(a, role=("gso-test-dial",)) for _ in range(4)]
    observer = observe(cs[0].home, api=api, half_open_storm=1)
    wait_for("a look", lambda: metric(observer, "half_open_storm") == 0)
    threading.Thread(target=cs[0].do, args=("connect",), kwargs={"as": "x", "to": ["10.77.0.9", 9], "timeout_s": 5},
                     daemon=True).start()
    found = begins(observer, "half_open_storm")
    assert found["evidence"] == ["1 begun by the node and not answered"], found
    ends(observer, "half_open_storm")
    check_events(api, "half_open_storm")


def rtt(rung):
    nets = Net(), Net()
    line = SlowLink(nets)
    api = Api()
    boot = P2pdPeer(netns=nets[0], host="/ip4/10.77.0.1/tcp/0")
    peer = P2pdPeer(boot.addrs, nets[1], "/ip4/10.77.0.2/tcp/0")
    observer = observe(peer.dir, api=api, rung=rung, rtt_grew=5)

    def talk_until(check, limit_s):
        """A quiet connection measures nothing."""
        def step():
            peer.do("call", peer=boot.id, name="Test.rpc_echo", size=100, times=2)
            return check()
        return wait_for("with talk", step, limit_s, 0.2)

    def usual():
        found = [p.get("usual_rtt_us") for n in json.loads(observer.get("/api/v1/peers"))["nodes"]
                 for p in n["peers"] if p["open"]]
        assert len(found) == 1 and found[0] and found[0] < 40000, found
        return found

    talk_until(usual, 60)
    line.delay_s = 0.3
    found = talk_until(lambda: holding(observer).get("rtt_grew"), 90)
    assert found["value"] >= 5 and metric(observer, "rtt_grew") == 1, found
    assert re.match(r"10\.77\.0\.1:\d+: \d+\.\d ms, usually \d+\.\d ms, at best \d+\.\d ms", found["evidence"][0])
    goes_on(observer, api, "rtt_grew")
    line.delay_s = 0.002
    talk_until(lambda: "rtt_grew" not in holding(observer), 120)
    check_events(api, "rtt_grew")


@case(180, NEEDS)
def rtt_bpf():
    """a real link gets 300 ms slower: more than five times the usual; then it is as before"""
    rtt("bpf")


@case(180, (*NEEDS, "long"))
def rtt_diag():
    """the same by sock_diag"""
    rtt("diag")


@case(90, NEEDS)
def clock():
    """a peer's DHT clock is 2.5 s ahead: more than the limit"""
    api = Api()
    boot = P2pdPeer(env={"SWARM_CLOCK_OFFSET": "2.5"})
    peer = P2pdPeer(boot.addrs)
    observer = observe(peer.dir, api=api)
    peer.do("ping", peer=boot.id)
    found = begins(observer, "clock_offset")
    assert "behind those of 1 peers" in found["words"] and 2 < found["value"] < 3, found
    assert re.match(rf"{boot.id}: \+2\.\d+ s", found["evidence"][0]), found
    goes_on(observer, api, "clock_offset")  # although nobody is asked for the time
    peer.stop()
    check_events(api, "clock_offset", 0)  # it ends with the node


def not_reachable(rung):
    a, b = Net(), Net()
    link(a, b)
    api = Api()
    boot = P2pdPeer(netns=a, host="/ip4/10.77.0.1/tcp/0")
    peer = P2pdPeer(boot.addrs, b, "/ip4/10.77.0.2/tcp/0")
    observer = observe(peer.dir, api=api, rung=rung, not_reachable="2s", no_dht_peer="1s")
    found = begins(observer, "not_reachable")
    assert re.match(r"10\.77\.0\.2:\d+ was never reached from outside", found["evidence"][0]), found
    if rung == "bpf":
        goes_on(observer, api, "not_reachable")
    third = P2pdPeer(peer.addrs, a, "/ip4/10.77.0.1/tcp/0")
    assert "error" not in third.do("ping", peer=peer.id)
    ends(observer, "not_reachable")
    check_events(api, "not_reachable")
    third.stop()
    return boot, observer, api


@case(120, NEEDS)
def not_reachable_bpf():
    """a node that dials others and is dialled by nobody; then somebody outside comes"""
    _, observer, api = not_reachable("bpf")
    observer.stop()
    observer.start()  # who came before has come

    def port():
        node = json.loads(observer.get("/api/v1/peers"))["nodes"][0]
        return next(p for p in node["listening"] if p["process"] == "p2pd" and p["local"].startswith("10."))

    assert wait_for("the port", port, 20)["reached_from_outside"]
    time.sleep(2.5)
    check_events(api, "not_reachable")


@case(120, NEEDS)
def not_reachable_diag():
    """the same by sock_diag; then the others leave: no DHT peer"""
    boot, observer, api = not_reachable("diag")
    boot.stop()
    begins(observer, "no_dht_peer")
    wait_for("its event", lambda: events(api, "no_dht_peer"))


@case(120, NEEDS)
def not_reachable_proc():
    """by files in /proc it does not stand who came to whom: nothing is claimed"""
    boot = P2pdPeer()
    peer = P2pdPeer(boot.addrs)
    third = P2pdPeer(peer.addrs)
    assert "error" not in third.do("ping", peer=peer.id)
    observer = observe(peer.dir, rung="proc", not_reachable="1s")
    wait_for("both", lambda: len(json.loads(observer.get("/api/v1/peers"))["nodes"][0]["connections"]) >= 2)
    time.sleep(3)
    assert holding(observer) == {}
