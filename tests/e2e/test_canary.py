# SPDX-License-Identifier: BSD-2-Clause
"""The canary: /health tells whether the attached probes still see."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from cases import case
from harness import Api, Env, Observer, Skip, wait_for

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
    for need in ("file writes", "console writes", "processes", "connections"):
        assert probes(observer)[need]["canary_seen"], probes(observer)
        assert probes(observer)[need]["canary"], probes(observer)
    health = observer.health()
    assert health["status"] == "ok" and not health["nodes"], health
    assert m["gswarm_lines_parsed_total"] == 0 and api.count == 0
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


def bpftool(*args):
    tool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    if not os.path.exists(tool):
        raise Skip("no bpftool")
    out = subprocess.run([tool, "-j", *map(str, args)], capture_output=True, text=True)
    if out.returncode != 0:
        raise Skip(f"bpftool {args[0]}: {out.stdout} {out.stderr}")
    return json.loads(out.stdout or "null")


def files_map(observer):
    """The id of the observer's map of judged files."""
    for info in Path(f"/proc/{observer.process.pid}/fdinfo").iterdir():
        for line in info.read_text().splitlines():
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
    assert len(told) == 1, observer.log()
    for key in keys:
        bpftool("map", "delete", "id", number, "key", *key)
    wait_for("sight", lambda: observer.health()["status"] == "ok", 10)
    m = observer.metrics()
    assert m["gswarm_canary_missed_total"] >= 1, m
    assert "see what they must again" in observer.log()


@case(needs=("root", "bpf"))
def off():
    """probes.canary_interval: 0: no child, no file"""
    observer = Observer(config={"probes": {"canary_interval": 0}}).start()
    time.sleep(0.5)
    assert observer.metrics()["gswarm_canary_sent_total"] == 0
    assert not (observer.state / "canary").exists()
