# SPDX-License-Identifier: BSD-2-Clause
"""The canary: /health tells whether the attached probes still see."""

import subprocess
import time
from pathlib import Path

from cases import case
from harness import Api, ContainerNode, Env, Observer, ProcessNode, wait_for
from links import bpftool, links, take_away

IGNORE = 3  # enum obs_verdict


def probes(observer):
    return {p["need"]: p for p in observer.health()["probes"]}


@case(needs=("root", "bpf"))
def seen():
    """soon after the start each attached probe has seen it; it is no node and makes no events"""
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*gswarm-observer run -c {Env.tmp}*"]}},
                              "probes": {"canary_interval": "1s"}}).start()
    wait_for("three canaries", lambda: observer.metrics()["gswarm_canary_seen_total"] >= 3, 10)
    m = observer.metrics()
    assert m["gswarm_canary_missed_total"] == 0, m
    assert m["gswarm_canary_sent_total"] - m["gswarm_canary_seen_total"] <= 1, m
    for need in ("file writes", "console writes", "processes", "connections", "p2pd's socket", "UDP and names"):
        assert probes(observer)[need]["canary_seen"], probes(observer)
        assert probes(observer)[need]["canary"], probes(observer)
    health = observer.health()
    assert health["status"] == "ok" and not health["nodes"], health
    assert m["gswarm_lines_parsed_total"] == 0 and api.count == 0 and not observer.stored()
    assert not list(Path("/tmp").glob(f"hivemind-p2pd-canary-{observer.process.pid}*"))
    # its process is taken in, and dies with us
    assert observer.stop()[0] == 0, observer.log()
    assert not any(b"gswarm-observer" in p.read_bytes() for p in children(observer.process.pid))


def children(pid):
    for p in Path("/proc").glob("[0-9]*"):
        try:
            stat = (p / "stat").read_text()
            if int(stat[stat.rindex(")") + 2:].split()[1]) == pid:
                yield p / "cmdline"
        except OSError:
            pass


def files_map(observer):
    """The id of the observer's map of judged files."""
    for info in Path(f"/proc/{observer.process.pid}/fdinfo").iterdir():
        try:
            lines = info.read_text().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            if line.startswith("map_id:"):
                number = int(line.split()[1])
                if bpftool("map", "show", "id", number).get("name") == "files":
                    return number
    raise AssertionError("the observer has no map 'files'")


@case(needs=("root", "bpf"))
def missed():
    """a probe that has gone blind: /health says for what, and is ok again when it sees again"""
    api = Api()
    observer = Observer(api, {"probes": {"canary_interval": "1s"}}).start()
    wait_for("a canary", lambda: observer.metrics()["gswarm_canary_seen_total"] >= 1, 5)
    number = files_map(observer)
    # we make the kernel's side ignore the canary's file (a container that is still being
    # judged may have put one there, too)
    keys = [e["key"] for e in bpftool("map", "dump", "id", number)]
    assert keys, "the canary's file is not in the map"
    for key in keys:
        bpftool("map", "update", "id", number, "key", *key, "value", IGNORE, 0, 0, 0, 0, 0, 0, 0)
    wait_for("the miss", lambda: observer.health()["status"] == "degraded", 10)
    health = observer.health()
    assert [r for r in health["reasons"] if "file writes" in r and "not seen" in r], health
    assert len(health["reasons"]) == 1, health["reasons"]
    p = probes(observer)
    assert not p["file writes"]["canary_seen"] and p["console writes"]["canary_seen"], p
    time.sleep(2)
    told = [x for x in observer.log().splitlines() if "not seen" in x]
    assert len(told) == 2, observer.log()  # write and writev, once each
    again = [x for x in observer.log().splitlines() if "attached again" in x]
    assert len(again) == 1, observer.log()  # which does not help, and is done once
    for key in keys:
        bpftool("map", "delete", "id", number, "key", *key)
    wait_for("sight", lambda: observer.health()["status"] == "ok", 10)
    m = observer.metrics()
    assert m["gswarm_canary_missed_total"] >= 1, m
    assert "see what they must again" in observer.log()


def seen_without_capture(*args, needs, **config):
    observer = Observer(Api(), {"targets": {"include": {"command": [f"*gswarm-observer run -c {Env.tmp}*"]}},
                                "probes": {"canary_interval": "1s", **config}}, args).start()
    wait_for("three canaries", lambda: observer.metrics()["gswarm_canary_seen_total"] >= 3, 15)
    assert observer.metrics()["gswarm_canary_missed_total"] == 0, observer.health()
    for need, p in probes(observer).items():
        assert (p.get("canary_seen") is True) == (need in needs), (need, p)
    health = observer.health()
    assert not [r for r in health["reasons"] if "not seen" in r] and not health["nodes"], health
    assert "not seen" not in observer.log() and not observer.stored()
    assert observer.stop()[0] == 0, observer.log()


@case(needs=("root",))
def seen_without_bpf():
    """--no-bpf: the test line is told of by inotify, its connection found by sock_diag"""
    seen_without_capture("--no-bpf", needs={"file writes", "connections"})


@case(needs=("root", "bpf"))
def seen_by_inotify():
    """probes.file_write: inotify: the test line by inotify, all else by BPF"""
    seen_without_capture(file_write="inotify", needs={"file writes", "processes", "connections",
                                                      "UDP and names"})


@case(needs=("root", "unshare", "nsenter"))
def missed_without_bpf():
    """--no-bpf where no file can be watched: /health says so, and is as before once that is mended"""
    limit = "/proc/sys/user/max_inotify_watches"  # of a user namespace of its own
    observer = Observer(None, {"probes": {"canary_interval": "1s"}}, ["--no-bpf"],
                        prefix=["unshare", "-Ur", "sh", "-c", f'echo 0 >{limit}; exec "$@"', "sh"]).start()

    def missed_words():
        return [r for r in observer.health()["reasons"] if "file writes" in r and "not seen" in r]

    wait_for("the miss", lambda: missed_words() and observer.health()["status"] == "degraded", 15)
    assert probes(observer)["file writes"]["canary_seen"] is False
    assert probes(observer)["connections"]["canary_seen"] is True
    subprocess.run(["nsenter", "-U", "-t", str(observer.process.pid), "--preserve-credentials",
                    "sh", "-c", f"echo 100 >{limit}"], check=True)
    wait_for("sight", lambda: not missed_words(), 20)
    assert "see what they must again" in observer.log()


@case(needs=("root", "bpf"))
def off():
    """probes.canary_interval: 0: no child, no file"""
    observer = Observer(config={"probes": {"canary_interval": 0}}).start()
    time.sleep(0.5)
    assert observer.metrics()["gswarm_canary_sent_total"] == 0
    assert not (observer.state / "canary").exists()


# Between a miss and the next flight lies the interval less a second: so long can /health be seen.

# Program that is taken away -> what /health then says is not seen. Of the death of a process the end tells, and
# what a process forks is its own only if that was seen.
BLIND = {
    "obs_sys_exit": ["written to a file", "in pieces", "written to a pipe", "like p2pd's"],
    "obs_uring_complete": ["by io_uring was"],
    "obs_uring_submit": ["its result not wanted"],
    "obs_fork": ["was forked", "program started", "signal that ended"],
    "obs_exec": ["program started"],
    "obs_signal": ["signal that ended"],
    "obs_exit": ["end of a test process", "signal that ended"],
    "obs_tcp_state": ["test connection"],
    "obs_cgroup_mkdir": ["cgroup that was made"],
    "obs_free": ["last account"],  # told after some flights
}
# No two programs are missing in the same rounds: each one's words are its own.
ROUNDS = [{"obs_sys_exit", "obs_exec", "obs_tcp_state"}, {"obs_uring_complete", "obs_fork", "obs_tcp_state"},
          {"obs_uring_submit", "obs_exec", "obs_signal", "obs_cgroup_mkdir"}, {"obs_uring_complete", "obs_exit", "obs_exec"}]


@case(needs=("root", "bpf"), limit_s=90)
def each():
    """each attached probe in turn is taken away: /health says in words for what it is blind; it comes back by itself"""
    observer = Observer(config={"probes": {"canary_interval": "2s", "file_write": "sys_exit"}}).start()
    wait_for("a canary", lambda: observer.metrics()["gswarm_canary_seen_total"] >= 2, 10)
    words = {w for said in BLIND.values() for w in said}
    told = set()

    def blind():
        """What /health says is not seen, now; told adds it up"""
        health = observer.health()
        now = {w for w in words for r in health["reasons"] if w in r}
        assert (health["status"] == "degraded") == bool(now), health
        told.update(now)
        return now

    take_away(observer.process.pid, ["obs_free"])
    for programs in ROUNDS:
        told.clear()
        want = {w for p in programs for w in BLIND[p]}
        take_away(observer.process.pid, programs)
        wait_for(f"the words for {programs}", lambda: blind() and told >= want, 15)
        wait_for("sight", lambda: blind() <= {"last account"}, 15)
        assert told - {"last account"} == want, (programs, told)
        for p in programs:
            assert f"{p} is attached again" in observer.log(), observer.log()
    wait_for("the account", lambda: "last account" in observer.log(), 30)
    wait_for("sight of all", lambda: not blind(), 15)
    assert observer.metrics()["gswarm_probes_mended_total"] >= len(ROUNDS)


def cgroup_links(observer, *programs):
    return {number: name for _, number, name in links(observer.process.pid) if name in programs}


@case(limit_s=120)
def cgroups():
    """programs on nodes' cgroups that somebody detaches: /health says so, and they are attached again"""
    plain, contained = ProcessNode(), ContainerNode()
    try:
        observer = Observer(config={"targets": {"include": {"container": [contained.container],
                                                            "command": [plain.glob()]}},
                                    "probes": {"canary_interval": "2s"}}).start()
        wait_for("both nodes", lambda: {"process", "docker"} <= {n["runtime"] for n in observer.health()["nodes"]}, 20)
        for name, want in (("obs_egress", {"taken off"}), ("obs_ingress", {"taken off"}),
                           ("obs_sock_create", {"taken off", "test datagram"}), ("obs_shared_egress", {"taken off"})):
            told = set()
            for _ in range(3):  # one that is gone after the child had made its socket is not missed by that
                wait_for("sight", lambda: observer.health()["status"] == "ok", 15)
                before = wait_for(f"{name} is attached", lambda: cgroup_links(observer, name), 10)
                for number in before:
                    bpftool("link", "detach", "id", number)

                def is_told():
                    told.update(w for r in observer.health()["reasons"] for w in want if w in r)
                    return "taken off" in told

                wait_for(f"the words for {name}, {before}", is_told, 15)
                wait_for("a new link", lambda: set(cgroup_links(observer, name)) - set(before), 10)
                if told == want:
                    break
            assert told == want, (name, told)
        wait_for("sight", lambda: observer.health()["status"] == "ok", 15)
    finally:
        plain.remove()
        contained.remove()
