# SPDX-License-Identifier: BSD-2-Clause
"""At each limit: it is counted and said once, and the rest goes on."""

import time
from pathlib import Path

from cases import case
from harness import (Api, Env, Observer, ProcessNode, check_ledger, g3, of_file, script_lines,
                     wait_for)

LINE = (g3("old " + "x" * 200) + "\n").encode()


def watching(**more):
    return {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}, **more}


@case(limit_s=90, needs=("root", "bpf"), alone=True)
def old_log_and_live_lines():
    """an old log of 60 MB, held to 8 MB/s, keeps no live line waiting, and arrives as a whole"""
    api = Api()
    old = Path(Env.tmp) / "old.log"
    n_old = 60_000_000 // len(LINE)
    old.write_bytes(LINE * n_old)
    observer = Observer(api, watching(log_files=[str(old)], forward="events",
                                      limits={"backfill_bytes_per_s": "8MiB"}))
    live = "".join(f"file 10 {g3(f'Joining round: {i}')}\n" for i in range(200))
    node = ProcessNode("gate\n" + live)
    node.process("trainer")
    node.gate()
    observer.start()
    start = time.monotonic()
    node.wait_written(200)
    wait_for("the live lines at the API", lambda: len(of_file(api.events(), node)) == 200, 1)
    seconds = time.monotonic() - start
    m = observer.metrics()
    got = m['gswarm_stream_bytes_total{place="backfilled"}']
    assert m["gswarm_backfill_waits_total"] > 0, "it never waited"
    assert got < n_old * len(LINE), "the old log was done first: the limit is not used"
    wait_for("the whole old log", lambda: observer.metrics()
             ["gswarm_lines_parsed_total"] >= n_old + 200, 20, 0.1)
    wait_for("a ledger that adds up",
             lambda: check_ledger(observer.metrics()) is None, 5)
    print(f"{got / 1e6 / seconds:.0f} MB/s beside live lines")


@case(limit_s=60, needs=("root", "bpf", "prlimit"))
def descriptors():
    """more files than descriptors: counted and said once, the others are followed, it goes on"""
    files = Path(Env.tmp) / "many"
    files.mkdir()
    for i in range(400):
        (files / f"{i:03}.log").write_bytes(LINE)
    observer = Observer(None, watching(log_files=[str(files / "*.log")]),
                        prefix=["prlimit", "--nofile=384:384", "--"]).start()
    wait_for("the count", lambda: observer.metrics()["gswarm_descriptors_refused_total"] > 0, 5)
    lines = wait_for("some lines", lambda: observer.metrics()["gswarm_lines_parsed_total"], 5)
    assert 20 <= lines < 400, lines
    time.sleep(2.5)  # it looks again each second
    told = [x for x in observer.log().splitlines() if "RLIMIT_NOFILE" in x]
    assert len(told) == 1, observer.log()
    node = ProcessNode(script_lines("x", 50))
    wait_for("lines of a node", lambda: observer.metrics()
             ['gswarm_lines_total{place="captured"}'] >= 50, 10)
    assert node.popen.poll() is None
    assert observer.stop()[0] == 0, observer.log()


@case(limit_s=60, needs=("root", "bpf"))
def streams():
    """more files than limits.streams: counted and said once, the first ones are followed"""
    files = Path(Env.tmp) / "many"
    files.mkdir()
    for i in range(30):
        (files / f"{i:03}.log").write_bytes(LINE)
    observer = Observer(None, watching(log_files=[str(files / "*.log")],
                                       limits={"streams": 10})).start()
    wait_for("the lines", lambda: observer.metrics()["gswarm_lines_parsed_total"] == 10, 5)
    m = observer.metrics()
    assert m["gswarm_streams"] == 10 and m["gswarm_streams_refused_total"] >= 20, m
    told = [x for x in observer.log().splitlines() if "limits.streams" in x]
    assert len(told) == 1, observer.log()
