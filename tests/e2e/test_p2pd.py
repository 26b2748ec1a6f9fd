# SPDX-License-Identifier: BSD-2-Clause
"""What peers with a real p2pd say to each other, as the observer counts it, against what each
peer counted itself."""

import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from cases import case
from harness import Api, Env, Observer, ProcessNode, observer_cmd, wait_for
from swarm import P2pdPeer, p2pd_path, swarm
from swarm_peer import dht_key
from test_connections import Net, link

NEEDS = ("root", "bpf")


def observe(peers, api=None, **config):
    return Observer(api, {"targets": {"include": {"command": [p.glob() for p in peers]}},
                          "forward": "events", **config}).start()


def is_node(label, who):
    """Is this the node of whose first process is who (a pid), or that is called so (a container)?"""
    return label == who or f"pid {who} " in label + " "


def rpcs(observer, who):
    """{(rpc, direction): {metric: value}} of a node."""
    out = {}
    for line, value in observer.metrics().items():
        m = re.fullmatch(r'gswarm_rpc_(\w+)\{node="([^"]*)",slot="\d+",rpc="([^"]*)",'
                         r'direction="(\w+)"\}', line)
        if m and is_node(m[2], who):
            out.setdefault((m[3], m[4]), {})[m[1]] = value
    return out


def value(observer, who, metric, labels=""):
    for line, v in observer.metrics().items():
        m = re.match(rf'{metric}{{node="([^"]*)"', line)
        if m and is_node(m[1], who) and labels in line:
            return v
    return None


def check_counts(observer, peer):
    """Every number of every RPC equals what the peer counted."""
    truth = peer.do("counts")

    def same():
        have = rpcs(observer, peer.pid)
        for way in ("out", "in"):
            for name, c in truth[way].items():
                got = have.get((name, way), {})
                want = {"calls_total": c["calls"], "answered_total": c["answers"],
                        "failed_total": c["errors"], "request_bytes_total": c["request_bytes"],
                        "answer_bytes_total": c["answer_bytes"], "in_flight": 0}
                wrong = {k: (got.get(k), v) for k, v in want.items() if got.get(k) != v}
                assert not wrong, f"{way} {name}: (seen, true) {wrong}"
        extra = {k for k in have if k[0] not in truth[k[1]]}
        assert not extra, f"made up: {extra}"
        return True

    wait_for("the same counts", same, 20)


def view(observer, pid):
    """The node whose first process is pid, as /api/v1/p2pd has it."""
    found = [n for n in json.loads(observer.get("/api/v1/p2pd"))["nodes"]
             if n["node"].startswith(f"pid {pid} ")]
    return found[0] if found else None


def check_view(observer, peer, other):
    """The API's numbers, by name and by peer, and their histograms, equal what the peer counted."""
    truth, v = peer.do("counts"), view(observer, peer.pid)
    peers = {p["peer_id"]: p for p in v["peers"]}
    assert list(peers) == [other.id], peers
    for where in (v, peers[other.id]):
        seen = {(r["direction"], r["rpc"]): r for r in where["rpcs"]}
        assert sorted(seen) == sorted((w, n) for w in truth for n in truth[w]), seen
        for (way, name), r in seen.items():
            t = truth[way][name]
            assert (r["calls"], r["answered"], r["failed"], r["in_flight"]) == (
                t["calls"], t["answers"], t["errors"], 0), (r, t)
            assert (r["request_bytes"], r["answer_bytes"]) == (t["request_bytes"], t["answer_bytes"])
            assert sum(b["n"] for b in r["request_sizes"]) == t["calls"], r
            assert sum(b["n"] for b in r["answer_sizes"]) == t["answers"], r
            assert sum(b["n"] for b in r["latency_ms"]) == t["answers"] + t["errors"], r
    assert sum(p["calls_out"] for p in v["peers"]) == sum(c["calls"] for c in truth["out"].values())
    return v


def talk(a, b):
    b.do("ping", peer=a.id)
    b.do("call", peer=a.id, name="Test.rpc_echo", size=10, times=50)
    b.do("call", peer=a.id, name="Test.rpc_echo", size=300000)
    b.do("call", peer=a.id, name="Test.rpc_echo", size=3000000)
    b.do("call", peer=a.id, name="Test.rpc_fail")
    b.do("store", peer=a.id, key="39512", subkey=b.id, size=3000)
    b.do("find", peer=a.id, key="39512")
    b.do("find", peer=a.id, key="nobody has it")
    a.do("ping", peer=b.id)


@case(60, NEEDS)
def counts():
    """two observed peers, both directions: counts, sizes and failures equal the peers' own"""
    a, b = swarm(2)
    observer = observe([a, b])
    talk(a, b)
    for peer in (a, b):
        check_counts(observer, peer)
    assert value(observer, b.pid, "gswarm_dht_total", 'what="hits"') == 1
    assert value(observer, b.pid, "gswarm_dht_total", 'what="misses"') == 1
    assert value(observer, b.pid, "gswarm_dht_total", 'what="records_sent"') == 1
    assert value(observer, a.pid, "gswarm_dht_total", 'what="records_taken"') == 1
    assert value(observer, b.pid, "gswarm_p2p_peers") == 1
    m = observer.metrics()
    assert m["gswarm_p2pd_bytes_lost_total"] == 0, m["gswarm_p2pd_bytes_lost_total"]
    assert m["gswarm_p2pd_messages_bad_total"] == 0
    check_view(observer, a, b)
    v = check_view(observer, b, a)
    echo = next(r for r in v["rpcs"] if r["rpc"] == "Test.rpc_echo")
    assert [(s["le"], s["n"]) for s in echo["request_sizes"]] == [(64, 50), (1048576, 1), (4194304, 1)]
    assert value(observer, b.pid, "gswarm_rpc_request_size_bytes_bucket",
                 'rpc="Test.rpc_echo",direction="out",le="64"') == 50
    assert value(observer, b.pid, "gswarm_rpc_answer_size_bytes_count",
                 'rpc="Test.rpc_echo",direction="out"') == 52
    assert abs(v["dht"]["clock"]["median_offset_s"]) < 1 and v["dht"]["clock"]["peers"] == 1, v["dht"]
    out = observer_cmd("p2pd", "--url", f"http://127.0.0.1:{observer.port}", "--peers")
    assert out.returncode == 0 and f"  {a.id}" in out.stdout, out
    assert re.search(r"Test\.rpc_echo +out +52 +0 +0 ", out.stdout), out.stdout
    assert observer_cmd("p2pd", "--url", "http://127.0.0.1:1").returncode == 1


@case(20, NEEDS)
def doctor_row():
    """doctor says whether the control socket is listened to, and what stays unseen"""
    out = observer_cmd("doctor").stdout
    assert re.search(r"^  p2pd's socket +best tp_btf/sys_exit on AF_UNIX\n +unseen: .*first 512 bytes", out, re.M), out
    out = observer_cmd("doctor", "--no-bpf").stdout
    assert re.search(r"^  p2pd's socket +none\b.*\n +unseen: RPCs, DHT keys", out, re.M), out


@case(60, NEEDS)
def observer_first():
    """peers that start after the observer: how long p2pd took, who it is, all it did"""
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-peer-*"]}},
                              "forward": "events"}).start()
    a, b = swarm(2)
    talk(a, b)
    for peer in (a, b):
        check_counts(observer, peer)

    def ready():
        return [e for e in api.events() if e["details"]["event"] == "p2pd_ready"]

    wait_for("both are ready", lambda: len(ready()) == 2)
    for e, peer in zip(ready(), (a, b)):
        assert e["origin"]["pid"] == peer.p2pd and e["origin"]["via"] == "p2pd", e
        assert 0 < e["details"]["ready_s"] < 60 and e["details"]["restarts"] == 0, e
        assert e["details"]["peer_id"] == peer.id, e
    a.do("identify")
    wait_for("identity", lambda: value(observer, a.pid, "gswarm_p2p_identity",
                                       f'peer_id="{a.id}"') == 1)


@case(90, NEEDS)
def restarts():
    """p2pd is killed and started again: how long each took; how many there were is known over the observer's own end"""
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-peer-*"]}},
                              "forward": "events"}).start()
    a = P2pdPeer()

    def ready():
        return list({e["event_id"]: e for e in api.events() if e["details"]["event"] == "p2pd_ready"}.values())

    def last(n, peer_id, pid):
        def told():
            assert len(ready()) == n + 1, ready()
            return ready()[-1]

        e = wait_for(f"p2pd number {n + 1}", told)
        assert (e["details"]["restarts"], e["origin"]["pid"]) == (n, pid), e
        assert e["details"].get("peer_id", peer_id) == peer_id, e
        return e["details"].get("ready_s")

    last(0, a.id, a.p2pd)
    again = a.do("restart")
    took = last(1, again["id"], again["p2pd"])
    assert 0 < took < again["took_s"] + 0.1, (took, again)
    lives = [(e["details"]["event"], e["details"].get("signal"), e["origin"].get("pid")) for e in api.events()
             if e["event_type"] == "node_lifecycle" and e["details"].get("role") == "p2pd"]
    assert ("started", None, a.p2pd) in lives and ("restarted", None, again["p2pd"]) in lives, lives
    assert any(pid == a.p2pd and signal for _, signal, pid in lives), lives
    observer.stop()
    observer.start()

    def hears():
        a.do("identify")
        return view(observer, a.pid)

    wait_for("the same p2pd is heard", hears)
    again = a.do("restart")
    last(2, again["id"], again["p2pd"])  # the one that was there is not told of again
    observer.kill()
    again = a.do("restart")
    observer.start()
    wait_for("the next p2pd is heard", hears)
    assert last(3, again["id"], again["p2pd"]) is None  # nobody has seen how long it took


@case(60, NEEDS)
def start_failures():
    """a real p2pd that cannot start: its last words are errors with their reason, and its death names them"""
    dir_ = tempfile.mkdtemp(prefix="gso-test-peer-", dir=Env.tmp)
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    here = "-hostAddrs=/ip4/127.0.0.1/tcp/0"
    nobody = "/ip4/127.0.0.1/tcp/1/p2p/QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ"
    ways = {
        "failed to connect to bootstrap peers": f"{here} -b=1 -bootstrapPeers={nobody}",
        f"[listen tcp4 127.0.0.1:{port}: bind: address already in use]": f"-hostAddrs=/ip4/127.0.0.1/tcp/{port}",
        f"{dir_}/none: no such file or directory": f"{here} -id={dir_}/none",
        "\"nonsense\": must begin with /": f"{here} -b=1 -bootstrapPeers=nonsense",
    }
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{dir_}*"]}}, "forward": "events"}).start()
    script = "".join(f"{p2pd_path()} -listen=/unix{dir_}/{i}.sock {args}\n" for i, args in enumerate(ways.values()))
    node = subprocess.Popen(["sh", "-c", f"read _\n{script} read _", dir_], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    Env.cleanup.callback(node.wait)
    Env.cleanup.callback(node.stdin.close)
    threading.Thread(target=node.stdout.read, daemon=True).start()
    wait_for("the node", lambda: observer.health()["nodes"])
    node.stdin.write(b"\n")
    node.stdin.flush()

    def errors():
        return {e["details"]["reason"]: e for e in api.events() if e["event_type"] == "error"
                and e["details"]["code"] == "DAEMON_START_FAILED"}

    wait_for(f"{list(ways)}", lambda: set(errors()) == set(ways), 30)

    def deaths():
        return [e["details"] for e in api.events() if e["event_type"] == "node_lifecycle"
                and e["details"]["event"] == "crashed" and e["details"]["role"] == "p2pd"]

    found = wait_for("all have died", lambda: len(deaths()) == len(ways) and deaths())
    for d, reason in zip(found, ways):
        assert (d["exit_code"], d["code"]) == (1, "DAEMON_START_FAILED"), d
        assert any(reason in line for line in d["last_lines"]), (reason, d)


@case(60, NEEDS)
def own_words():
    """what a node's p2pd prints: errors of both its formats with their reasons, and nothing made of the rest"""
    told = [
        ('{"level":"error","ts":"2026-11-26T20:12:45.249Z","logger":"swarm2","caller":"swarm/dial.go:1","msg":"failed to dial",'
         '"peer":"x","error":"connection refused"}', ("failed to dial", "connection refused")),
        ('2026-11-26T20:12:45.249Z\\tERROR\\tp2pd\\tdaemon.go:198\\terror accepting connection\\t{"error": "use of closed"}',
         ('error accepting connection\t{"error": "use of closed"}', "use of closed")),
        ('{"level":"fatal","ts":"2026-11-26T20:12:45.249Z","logger":"p2pd","msg":"no more"}', ("no more", None)),
    ]
    quiet = ["Peer Addrs:", "/ip4/127.0.0.1/tcp/38331", "plain words, error: none",
             '{"level":"warn","ts":"2026-11-26T20:12:45.249Z","logger":"swarm2","msg":"slow","error":"not yet"}']
    api = Api()
    node = ProcessNode("gate\n" + "\n".join(f"p2pd 0 {line}" for line in [*quiet, *(t for t, _ in told)]) + "\n")
    observer = Observer(api, {"targets": {"include": {"command": [f"*{node.home}*"]}}, "forward": "events"}).start()
    pid = node.process("p2pd")
    wait_for("the node", lambda: observer.health()["nodes"])
    node.gate()

    def errors():
        return [e for e in api.events() if e["event_type"] == "error"]

    wait_for("all errors", lambda: len(errors()) == len(told))
    for e, (_, (message, reason)) in zip(errors(), told):
        assert (e["details"]["code"], e["details"].get("reason")) == ("LOG_ERROR", reason), e
        assert (e["details"]["message"], e["origin"]["via"], e["origin"]["pid"]) == (message, "console", pid), e


@case(60, NEEDS)
def failures():
    """each way to fail becomes an event that names RPC, peer and reason; the like of it is counted"""
    api = Api()
    a, b = swarm(2)
    observer = observe([b], api)
    gone = P2pdPeer(a.addrs)
    b.do("connect", peer=gone.id, addrs=[gone.addrs[0].split("/p2p/")[0]])
    gone.stop()
    b.do("call", peer=a.id, name="Test.rpc_fail", times=1)
    b.do("call", peer=a.id, name="Test.rpc_fail", times=1)
    b.do("call", peer=a.id, name="Test.rpc_nowhere")
    b.do("call", peer=gone.id, name="Test.rpc_echo")
    b.do("connect", peer=gone.id, addrs=["/ip4/127.0.0.1/tcp/1"])
    b.do("cancel", peer=a.id, seconds=0.3)

    def failed():
        return {(e["details"]["rpc"], e["details"]["event"]): e["details"] for e in api.events()
                if e["origin"].get("via") == "p2pd" and "error" in e["details"]}

    wait_for("all failures", lambda: len(failed()) == 4)
    f = failed()
    assert f["Test.rpc_fail", "rpc_failed"]["peer_id"] == a.id
    assert f["Test.rpc_fail", "rpc_failed"]["failed_at"] == "peer"
    assert "as was asked for" in f["Test.rpc_fail", "rpc_failed"]["error"]
    assert "protocols not supported" in f["Test.rpc_nowhere", "rpc_failed"]["error"]
    assert f["Test.rpc_nowhere", "rpc_failed"]["failed_at"] == "p2pd"
    assert f["Test.rpc_echo", "rpc_failed"]["peer_id"] == gone.id
    assert "connection refused" in f["connect", "connect_failed"]["error"]
    assert f["connect", "connect_failed"]["peer_id"] == gone.id
    assert observer.metrics()["gswarm_p2pd_failures_untold_total"] == 1
    wait_for("the cancelled one", lambda: rpcs(observer, b.pid)["Test.rpc_slow", "out"]
             == {**rpcs(observer, b.pid)["Test.rpc_slow", "out"], "cancelled_total": 1, "in_flight": 0})
    wait_for("the connect", lambda: value(observer, b.pid, "gswarm_p2p_connects_failed_total") == 1)


@case(60, NEEDS)
def in_flight_and_clock():
    """calls in flight, their latency, a clock that is off; p2pd is killed: what was in flight is cut off"""
    a = P2pdPeer(env={"SWARM_CLOCK_OFFSET": "2.5"})
    b = P2pdPeer(a.addrs)
    observer = observe([b])
    b.do("ping", peer=a.id)
    b.send("slow", peer=a.id, seconds=1.0)
    wait_for("it is in flight", lambda: rpcs(observer, b.pid)["Test.rpc_slow", "out"]["in_flight"] == 1)
    truth = b.answer(30)["took_s"]
    wait_for("it is answered", lambda: rpcs(observer, b.pid)["Test.rpc_slow", "out"]["in_flight"] == 0)
    took = value(observer, b.pid, "gswarm_rpc_duration_seconds_sum", 'rpc="Test.rpc_slow"')
    assert 1.0 <= took <= truth + 0.01, (took, truth)
    slow = next(r for r in view(observer, b.pid)["rpcs"] if r["rpc"] == "Test.rpc_slow")
    assert abs(slow["max_ms"] - took * 1e3) < 0.01 and slow["mean_ms"] == slow["max_ms"], (slow, took)
    below = [float(re.search(r'le="([\d.]+)"', line)[1]) for line, n in observer.metrics().items() if n == 0
             and line.startswith("gswarm_rpc_duration_seconds_bucket{") and 'rpc="Test.rpc_slow"' in line]
    (bucket,) = slow["latency_ms"]
    assert bucket["n"] == 1 and max(below) < took <= bucket.get("le", 1e9) / 1e3, (below, slow)
    assert value(observer, b.pid, "gswarm_rpc_duration_seconds_bucket", 'le="0.5"') is not None
    offset = value(observer, b.pid, "gswarm_dht_clock_offset_seconds")
    assert 2.0 < offset < 3.0, offset
    b.send("slow", peer=a.id, seconds=30.0)
    wait_for("one is in flight", lambda: rpcs(observer, b.pid)["Test.rpc_slow", "out"]["in_flight"] == 1)
    os.kill(b.p2pd, 9)
    wait_for("it is cut off", lambda: rpcs(observer, b.pid)["Test.rpc_slow", "out"]["cancelled_total"] == 1)
    assert rpcs(observer, b.pid)["Test.rpc_slow", "out"]["calls_total"] == 2
    wait_for("no connection", lambda: value(observer, b.pid, "gswarm_p2p_control_connections") == 0)


@case(60, NEEDS)
def cancelled_and_cut_off():
    """a call that its caller cancels, as the one that is called sees it; a disconnect that was asked for, and its end"""
    api = Api()
    a, b = swarm(2)
    observer = observe([a, b], api, connections={"interval": "1s"})
    for peer in (a, b):
        peer.do("identify")
    wait_for("both are heard", lambda: all(view(observer, p.pid) for p in (a, b)))
    b.do("cancel", peer=a.id, seconds=5.0)

    def slow(peer, way):
        r = rpcs(observer, peer.pid).get(("Test.rpc_slow", way), {})
        return r.get("calls_total"), r.get("cancelled_total"), r.get("in_flight")

    wait_for("cancelled at the caller", lambda: slow(b, "out") == (1, 1, 0))
    wait_for("cancelled at the one that is called", lambda: slow(a, "in") == (1, 1, 0))
    b.do("disconnect", peer=a.id)
    wait_for("the disconnect", lambda: (view(observer, b.pid)["disconnects"], view(observer, a.pid)["disconnects"]) == (1, 0))

    def ends():
        return {e["origin"]["pid"]: e["details"] for e in api.events() if e["details"]["event"] == "disconnected"}

    wait_for("both ends of it", lambda: set(ends()) == {a.p2pd, b.p2pd})
    assert ends()[b.p2pd]["closed_by"].startswith("local"), ends()
    assert ends()[a.p2pd]["closed_by"].startswith("remote"), ends()
    assert ends()[b.p2pd]["remote"] == endpoints(a.addrs)[0] == ends()[a.p2pd]["local"], ends()


@case(60, NEEDS)
def rounds():
    """the exchange of a round: one store at each peer, one get; the key's name is found out"""
    api = Api()
    a, b, c = swarm(3)
    observe([b], api)
    c.do("store", peer=a.id, key="39512", subkey=c.id, size=2000)
    b.do("store", peer=a.id, key="39512", subkey=b.id, size=3000)
    b.do("store", peer=c.id, key="39512", subkey=b.id, size=3000)
    got = b.do("find", peer=a.id, key="39512")["bytes"] + b.do("find", peer=c.id, key="39512")["bytes"]

    def syncs():
        return [e for e in api.events() if e["details"]["event"] == "swarm_sync"]

    e = wait_for("swarm_sync", syncs, 30)[0]
    assert e["origin"]["pid"] == b.p2pd, e  # whose it is
    d = e["details"]
    assert d["round"] == 39512 and d["key"] == "39512", d
    assert d["sent_bytes"] == 3000 and d["stored_on"] == 2, d
    assert d["received_from"] == 1 and d["received_bytes"] == got, d
    assert 0 < d["duration_s"] < 30, d


@case(60, NEEDS)
def keys_and_records():
    """hits, misses and stores by what the key is for; records until their end, as the store said"""
    a, b = swarm(2)
    observer = observe([b])
    b.do("store", peer=a.id, key="39512", subkey=b.id, size=100, seconds=600)
    b.do("store", peer=a.id, key="39512", subkey=b.id, size=100, seconds=600)  # the same record
    b.do("store", peer=a.id, key="rl_swarm_rewards_39512_0", subkey=b.id, size=100, seconds=3)
    b.do("store", peer=a.id, key="something else", subkey=b.id, size=100, seconds=600)
    b.do("store", peer=a.id, key="39513", subkey=b.id, size=5000)  # its end is not captured
    for key in ("39512", "39513", "rl_swarm_rewards_39512_0", "rl_swarm_leaderboard_39512_2", "else"):
        b.do("find", peer=a.id, key=key)
    a.do("store", peer=b.id, key="39512", subkey=a.id, size=100, seconds=3)

    def keys():
        return {(k["kind"], k["direction"]): (k["stored"], k["hits"], k["misses"])
                for k in view(observer, b.pid)["dht"]["keys"]}

    want = {("round", "out"): (3, 2, 0), ("rl_swarm_rewards", "out"): (1, 1, 0),
            ("rl_swarm_leaderboard", "out"): (0, 0, 1), ("hash", "out"): (1, 0, 1),
            ("round", "in"): (1, 0, 0)}
    # the name of the first key is found by trying rounds, a part of them each second
    wait_for("all kinds", lambda: keys() == want, 30)
    used = {(k.get("name", k["hash"]), k["direction"]): (k["kind"], k["stored"], k["hits"], k["misses"])
            for k in view(observer, b.pid)["dht"]["most_used_keys"]}
    assert used == {
        ("39512", "out"): ("round", 2, 1, 0), ("39513", "out"): ("round", 1, 1, 0), ("39512", "in"): ("round", 1, 0, 0),
        ("rl_swarm_rewards_39512_0", "out"): ("rl_swarm_rewards", 1, 1, 0),
        ("rl_swarm_leaderboard_39512_2", "out"): ("rl_swarm_leaderboard", 0, 0, 1),
        (dht_key("something else").hex(), "out"): ("hash", 1, 0, 0),
        (dht_key("else").hex(), "out"): ("hash", 0, 0, 1)}, used
    out = observer_cmd("p2pd", "--url", f"http://127.0.0.1:{observer.port}", "--keys").stdout
    assert re.search(r"^  key 39512 +out +2 stored, 0 refused, 1 found, 0 not found$", out, re.M), out
    assert re.search(rf"^  key {dht_key('else').hex()} out +0 stored, 0 refused, 0 found, 1 not found$", out, re.M), out
    for kind, way, metric, n in (("round", "out", "stored", 3), ("rl_swarm_rewards", "out", "hit", 1),
                                 ("hash", "out", "missed", 1), ("round", "in", "stored", 1)):
        got = value(observer, b.pid, f"gswarm_dht_keys_{metric}_total",
                    f'kind="{kind}",direction="{way}"')
        assert got == n, (kind, way, metric, got)
    wait_for("expired", lambda: (lambda d: (d["records_at_peers"], d["records_of_peers"]))(
        view(observer, b.pid)["dht"]) == (
            {"live": 2, "expired": 1, "end_unseen": 1, "not_kept": 0},
            {"live": 0, "expired": 1, "end_unseen": 0, "not_kept": 0}), 20)
    assert value(observer, b.pid, "gswarm_dht_records_expired_total", 'direction="out"') == 1


@case(60, NEEDS)
def streams_and_lists():
    """streams in both directions, handlers, the list of peers: counted, nothing taken for RPCs"""
    a, b = swarm(2)
    observer = observe([b])
    for peer in (a, b):
        peer.do("stream_handler", proto="Test.stream")
        peer.do("stream_handler", proto="run1::Test.rpc_join_group")
    b.do("stream", peer=a.id, proto="Test.stream", sizes=[10, 100000, 5])
    a.do("stream", peer=b.id, proto="Test.stream", sizes=[7, 70000])
    b.do("list_peers")
    want = {"out": 1, "in": 1}
    wait_for("both streams", lambda: all(
        value(observer, b.pid, "gswarm_p2p_streams_total",
              f'protocol="Test.stream",direction="{way}"') == n
        for way, n in want.items()))
    # b wrote 100,015 and echoed 70,007; it read its own back, and theirs; each message, the ends too,
    # has a head of 9 bytes
    for way in want:
        wait_for("all bytes", lambda w=way: value(observer, b.pid, "gswarm_p2p_stream_bytes_total",
                                                  f'direction="{w}"') == 170022 + 7 * 9, 10)
    m = observer.metrics()
    assert m["gswarm_p2pd_messages_bad_total"] == 0 and m["gswarm_p2pd_bytes_lost_total"] == 0
    assert rpcs(observer, b.pid) == {}
    b.do("stream", peer=a.id, proto="run1::Test.rpc_join_group", sizes=[5])
    a.do("stream", peer=b.id, proto="run1::Test.rpc_join_group", sizes=[5])
    wait_for("averaging", lambda: view(observer, b.pid)["averaging"] == {
        "join_group": {"out": 1, "in": 1}, "aggregate_part": {"out": 0, "in": 0},
        "download_state": {"out": 0, "in": 0}}, 20)

    def streams():
        found = view(observer, b.pid)["streams"]
        assert {(s["protocol"], s["direction"]): (s["opened"], s["ended"]) for s in found} == {
            (p, w): (1, 1) for p in ("Test.stream", "run1::Test.rpc_join_group") for w in want}, found
        return True
    wait_for("all streams to end", streams)
    v = view(observer, b.pid)
    assert set(v["handlers"]) >= {"Test.stream", "run1::Test.rpc_join_group"}, v["handlers"]
    assert value(observer, b.pid, "gswarm_averaging_rpcs_total",
                 'rpc="join_group",direction="in"') == 1


@case(60, NEEDS)
def saved():
    """a saved talk, decoded by the command, gives the same numbers, and holds no data"""
    a, b = swarm(2)
    path = Env.tmp / "talk"
    observer = observe([b], p2pd={"save_file": str(path)})
    secret = "no-such-rpc-knows-this-data"
    b.do("say", peer=a.id, name="Test.rpc_echo", text=secret)
    b.do("store", peer=a.id, key="39512", subkey="x", text=secret)  # what is stored
    b.do("find", peer=a.id, key="39512")  # and found
    a.do("store", peer=b.id, key="39512", subkey="x", text=secret)
    for peer, other in ((a, b), (b, a)):  # what passes on streams, both ways
        peer.do("stream_handler", proto="Test.stream")
        assert other.do("stream", peer=peer.id, proto="Test.stream", sizes=[], text=secret)["back"] == [len(secret)]
    talk(a, b)
    check_counts(observer, b)
    wait_for("both streams", lambda: all(value(observer, b.pid, "gswarm_p2p_streams_total", f'direction="{way}"') == 1
                                         for way in ("in", "out")))
    observer.stop()
    raw = path.read_bytes()
    assert secret.encode() not in raw and b"Test.rpc_echo" in raw and b"Test.stream" in raw
    out = observer_cmd("p2pd", path)
    assert out.returncode == 0, out.stderr
    events = [json.loads(line) for line in out.stdout.splitlines()]
    d = events[-1]["details"]
    truth = b.do("counts")
    for way in ("out", "in"):
        for name, c in truth[way].items():
            assert d[f"rpc/{way}/{name}/calls"] == c["calls"], (name, d)
            assert d[f"rpc/{way}/{name}/request_bytes"] == c["request_bytes"], (name, d)
            assert d[f"rpc/{way}/{name}/answer_bytes"] == c["answer_bytes"], (name, d)
    assert d["hits"] == 2 and d["misses"] == 1 and d["peers"] == [a.id], d
    assert [e["details"]["round"] for e in events if e["details"]["event"] == "swarm_sync"] == [39512]
    (Env.tmp / "cut").write_bytes(raw[:-3])
    assert observer_cmd("p2pd", Env.tmp / "cut").returncode == 1
    assert observer_cmd("p2pd", "/etc/hostname").returncode == 1


class Tap:
    """What passes on a namespace's link over UDP: {(remote, port of ours): numbers}, counted by the
    packet; what passes in one piece is as many packets as it is cut into."""

    SOL_PACKET, PACKET_VNET_HDR = 263, 15

    def __init__(self, net, address):
        self.address, self.flows, self.error = address, {}, None
        self.sock = self.socket_in(net)
        self.sock.settimeout(0.2)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        Env.cleanup.callback(self.stop)

    def socket_in(self, net):
        """A thread of its own: it stays in that namespace."""
        found = []

        def open_it():
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/var/run/netns/{net.name}") as f:
                if libc.setns(f.fileno(), 0x40000000) < 0:
                    return
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL: what it sends, too
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
            s.setsockopt(self.SOL_PACKET, self.PACKET_VNET_HDR, 1)
            found.append(s)

        t = threading.Thread(target=open_it)
        t.start()
        t.join()
        assert found, "no socket in the namespace"
        return found[0]

    def run(self):
        while not self.stopped.is_set():
            try:
                self.take(self.sock.recv(1 << 17))
            except TimeoutError:
                continue

    def take(self, data):
        gso, kind, data = int.from_bytes(data[4:6], "little"), data[22:24], data[24:]
        if kind != b"\x08\0" or data[9] != 17:
            return
        at = (data[0] & 15) * 4
        src, dst = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        sport, dport = struct.unpack_from(">HH", data, at)
        out = src == self.address
        payload = len(data) - at - 8
        n = -(-payload // gso) if gso else 1
        f = self.flows.setdefault((f"{dst}:{dport}", sport) if out else (f"{src}:{sport}", dport), {
            "packets_sent": 0, "packets_received": 0, "bytes_sent": 0, "bytes_received": 0, "quic": None,
            "ids": set(), "handshake": False, "dialled": out, "pieces": 0})
        f["packets_" + ("sent" if out else "received")] += n
        f["bytes_" + ("sent" if out else "received")] += payload + n * (at + 8)
        f["pieces"] += n > 1
        self.headers(data[at + 8:], f)

    @staticmethod
    def number(data, at):
        n = 1 << (data[at] >> 6)
        return int.from_bytes(data[at:at + n], "big") & ((1 << (8 * n - 2)) - 1), at + n

    def headers(self, data, f):
        """The long headers of a datagram, RFC 9000 17.2; of version 1 only."""
        while len(data) > 7 and data[0] & 0xC0 == 0xC0 and data[1:5] == b"\0\0\0\1":
            kind, at = data[0] >> 4 & 3, 6 + data[5]
            f["quic"] = data[1:5].hex()
            f["ids"].add((data[5], data[at]))
            f["handshake"] |= kind == 2
            at += 1 + data[at]
            if kind == 3:
                return
            if kind == 0:
                n, at = self.number(data, at)
                at += n
            n, at = self.number(data, at)
            data = data[at + n:]

    def stop(self):
        self.stopped.set()
        self.thread.join(5)
        self.sock.close()


@case(120, (*NEEDS, "ip"))
def quic():
    """real p2pd that speak QUIC: each flow as a tap on the link counts it, whose it is, who dialled; roles, RPCs"""
    nets = [Net(), Net()]
    link(*nets)
    taps = [Tap(net, f"10.77.0.{i}") for i, net in enumerate(nets, 1)]
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-peer-*"]}},
                              "forward": "events", "connections": {"interval": "1s", "snapshot_interval": "1s"}}).start()
    a = P2pdPeer(netns=nets[0], host="/ip4/10.77.0.1/udp/0/quic-v1")
    b = P2pdPeer(a.addrs, nets[1], "/ip4/10.77.0.2/udp/0/quic-v1,/ip4/10.77.0.2/udp/0/quic-v1/webtransport")
    address = next(x for x in a.addrs if "/webtransport" not in x).split("/p2p/")[0]
    port = int(address.split("/")[4])
    talk(a, b)
    b.do("call", peer=a.id, name="Test.rpc_echo", size=3000000)
    # b has a socket for each address that it listens on, and dials from any of them
    dialler = max(taps[0].flows.copy().items(), key=lambda f: f[1]["bytes_received"])[0][0]
    ends = [(dialler, port), (f"10.77.0.1:{port}", int(dialler.split(":")[1]))]
    b.do("connect", peer=a.id, addrs=[address])
    for peer in (a, b):
        check_counts(observer, peer)
        peer.do("list_peers")
        peer.do("identify")
        said = {x.split("/p2p/")[0] for x in peer.addrs}
        wait_for(f"{said}", lambda peer=peer, said=said: set(view(observer, peer.pid)["addresses"]) == said)
    assert any("/quic-v1/webtransport/certhash/u" in x for x in view(observer, b.pid)["addresses"])

    def table(peer):
        return next((n for n in json.loads(observer.get("/api/v1/peers"))["nodes"]
                     if n["node"].startswith(f"pid {peer.pid} ")), {"udp": []})

    def check(peer, other, tap, end, role, direction):
        f = {(f["remote"], f["local_port"]): f for f in table(peer)["udp"]}.get(end)
        truth = dict(tap.flows[end])
        numbers = [k for k in truth if k.startswith(("packets", "bytes"))]
        assert f, (table(peer)["udp"], tap.flows)
        wrong = {k: (f[k], truth[k]) for k in numbers if f[k] != truth[k]}
        assert not wrong, (f, truth, wrong)
        assert (f["quic_version"], f["handshake_seen"]) == (truth["quic"], truth["handshake"]) == ("00000001", True), f
        assert (f["dcid_len"], f["scid_len"]) in truth["ids"], (f, truth)
        assert (f["pid"], f["process"], f["comm"]) == (peer.p2pd, "p2pd", "p2pd"), f
        assert (f["role"], f["peer_id"], f["direction"]) == (role, other.id, direction), f
        assert truth["bytes_sent"] > 3000000 and truth["dialled"] == (direction == "out"), truth
        return True

    for args in ((a, b, taps[0], ends[0], "dht_peer", "in"), (b, a, taps[1], ends[1], "bootnode", "out")):
        wait_for(f"the same numbers, {args[3:]}", lambda args=args: check(*args), 40)

    def snapshots():
        return {d["peers"][0]: (d["connections"], d["in"], d["out"]) for e in api.events()
                if (d := e["details"]).get("event") == "snapshot" and d.get("peers")}

    want = {ends[0][0]: (1, 1, 0), ends[1][0]: (1, 0, 1)}
    wait_for(f"{want}", lambda: snapshots() == want)


def endpoints(addrs):
    return [":".join(a.split("/")[2:5:2]) for a in addrs]


def start_relayed():
    """Four relays, a peer that only they can reach, and one that reaches it by them: each of the two
    in a namespace of its own, from which no way leads to the other's."""
    a, b, c = Net(), Net(), Net()
    link(a, b, "11.77.0")  # no private addresses: p2pd tells nobody that it can be reached there
    link(a, c, "11.78.0", "fd78")
    b.ip("addr", "add", "10.99.0.2/32", "dev", "lo")
    with ThreadPoolExecutor(4) as pool:  # fewer relays are taken only after minutes
        relays = list(pool.map(lambda _: P2pdPeer(netns=a, host="/ip4/11.77.0.1/tcp/0,/ip4/11.78.0.1/tcp/0",
                                                  flags="-forceReachabilityPublic"), range(4)))
    inner, outer = ([next(x for x in r.addrs if f"/{n}." in x) for r in relays] for n in ("11.77", "11.78"))
    hidden = P2pdPeer(inner[:1], b, "/ip4/10.99.0.2/tcp/0",
                      flags=f"-autoRelay=1 -forceReachabilityPrivate -trustedRelays={','.join(inner)}")
    caller = P2pdPeer(outer[:1], c, "/ip4/11.78.0.2/tcp/0")
    ids = {at: r.id for r, both in zip(relays, zip(endpoints(inner), endpoints(outer))) for at in both}
    return hidden, caller, [f"{at}/p2p-circuit/p2p/{hidden.id}" for at in outer], ids, endpoints(inner)[0]


@case(180, (*NEEDS, "ip"))
def relayed():
    """a real p2pd that real relays alone can reach: RPCs both ways, who is a relay, whose id is where"""
    hidden, caller, ways, ids, bootnode = start_relayed()
    observer = observe([hidden, caller], connections={"interval": "1s"},
                       conditions={"interval": "1s", "not_reachable": "1s"})
    wait_for("a way", lambda: any(caller.do("connect", peer=hidden.id, addrs=[w]) == {} for w in ways), 60)
    assert "error" not in caller.do("ping", peer=hidden.id) and "error" not in hidden.do("ping", peer=caller.id)
    for peer in (hidden, caller):
        check_counts(observer, peer)

    def table(peer):
        peer.do("list_peers")
        peer.do("identify")
        node = next(n for n in json.loads(observer.get("/api/v1/peers"))["nodes"]
                    if n["node"].startswith(f"pid {peer.pid} "))
        return {c["remote"]: c for c in node["connections"]}

    def by_relays():
        """There are connections with relays only, by their own ids; whom they lead to is nobody's address."""
        for peer in (hidden, caller):
            conns = table(peer)
            assert conns and {at: c.get("peer_id") for at, c in conns.items()} == {at: ids[at] for at in conns}, conns
            assert {c["direction"] for c in conns.values()} == {"out"}, conns
        by = [x for x in view(observer, hidden.pid)["addresses"] if x.endswith("/p2p-circuit")]
        at_relays = set(endpoints(by))
        for at, c in table(hidden).items():
            assert c["role"] == ("bootnode" if at == bootnode else "relay" if at in at_relays else "dht_peer"), (c, by)
        return by

    by = wait_for("whose all connections are", by_relays, 60, 0.5)
    for one, other in ((hidden, caller), (caller, hidden)):
        met = next(p for p in view(observer, one.pid)["peers"] if p["peer_id"] == other.id)
        assert (met["calls_out"], met["calls_in"]) == (1, 1), met
        where, tail = endpoints([met["address"]])[0], met["address"].split("/p2p/")[1]
        assert tail == f"{ids[where]}/p2p-circuit", met

    def unreached():
        nodes = json.loads(observer.get("/api/v1/nodes"))["nodes"]
        node = next(n for n in nodes if n["name"].startswith(f"pid {hidden.pid} "))
        return next((c for c in node["conditions"] if c["condition"] == "not_reachable"
                     and "by way of relays only" in c["words"]), None)

    c = wait_for("that nobody reaches it", unreached, 30)
    assert [e for e in c["evidence"] if e.startswith(by[0])] == [f"{by[0]} is a way by a relay"], c
