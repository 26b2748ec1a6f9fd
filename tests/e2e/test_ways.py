# SPDX-License-Identifier: BSD-2-Clause
"""Every way to write: what stands in the files is what is told, each line exactly once.

The writers are those of tests/triggers, one awkward one each, all below one process; `ways check`
compares their files with the store's events, so that the same comparison runs in other kernels
too (scripts/kernel-test.sh), where there is no Python.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

from cases import case
from harness import (Api, ContainerNode, Env, Observer, check_ledger, docker, script_lines,
                     wait_for)


class Ways:
    """`ways run` in a directory of its own, as the observer's only node."""

    def __init__(self, on=None):
        self.tool = str(Path(Env.node).parent.parent / "triggers" / "ways")
        self.dir = tempfile.mkdtemp(prefix="gso-test-ways-", dir=on or Env.tmp)
        Env.cleanup.callback(lambda: subprocess.run(["rm", "-rf", self.dir], check=False))
        self.popen = None

    def start(self):
        self.popen = subprocess.Popen([self.tool, "run", self.dir], text=True, bufsize=1,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        Env.cleanup.callback(self.stop)
        return self

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def config(self, **more):
        return {"targets": {"include": {"command": [f"*run {self.dir}*"]}}, **more}

    def tell(self, command):
        self.popen.stdin.write(command + "\n")
        answer = self.popen.stdout.readline()
        assert answer.startswith("done"), f"{command}: {answer}"
        return answer

    def check(self, observer, *args):
        """Does the store hold every line of these ways' files once? Else why not."""
        events = observer.dir / "events.json"
        with open(events, "wb") as out:
            subprocess.run([Env.observer, "events", "--state-dir", observer.state, "--all"],
                           stdout=out, check=True, timeout=60)
        out = subprocess.run([self.tool, "check", self.dir, events, *args], text=True,
                             stdout=subprocess.PIPE, check=False, timeout=60)
        assert out.returncode == 0, "\n" + "\n".join(
            line for line in out.stdout.splitlines() if not line.startswith("ok"))
        return out.stdout

    def wait_check(self, observer, *args, limit_s=30):
        return wait_for("each line once", lambda: self.check(observer, *args), limit_s, 0.2)


def rewrites(observer):
    return [e for e in observer.stored() if e["details"]["event"] == "rewrite"]


def check_rewrites(ways, observer):
    """Written over after it was read: told as such, and its lines not a second time."""
    assert not rewrites(observer), rewrites(observer)
    ways.tell("rewrite-middle")
    ways.tell("rewrite-end")
    wait_for("two rewrites", lambda: sum(e["details"]["writes"] for e in rewrites(observer)) == 2)
    for e in rewrites(observer):
        assert e["event_type"] == "observer", e
        assert e["origin"]["path"] == f"{ways.dir}/rewrite.log", e
        assert e["origin"]["comm"].startswith("rewrite-"), e
        assert 4096 <= e["details"]["from_offset"] < e["details"]["to_offset"] <= 12288, e
    assert observer.metrics()["gswarm_rewrites_total"] == 2, observer.metrics()


@case(needs=("root", "bpf"))
def told():
    """write … vmsplice, io_uring, aio, O_DIRECT, threads, children, passed descriptors: told at once"""
    ways = Ways()
    observer = Observer(config=ways.config()).start()
    ways.start()
    wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)
    ways.tell("told")
    ways.wait_check(observer, "-c")
    metrics = observer.metrics()
    assert metrics["gswarm_growth_found_bytes_total"] == 0, metrics
    assert metrics["gswarm_marks_total"] > 0, metrics

    check_rewrites(ways, observer)
    ways.tell("found")
    ways.wait_check(observer)
    assert observer.metrics()["gswarm_growth_found_bytes_total"] > 0, observer.metrics()
    check_ledger(observer.metrics(), delivered=False)
    assert observer.stop()[0] == 0, observer.log()
    ways.check(observer)


def by_inotify(args, **more):
    ways = Ways()
    config = ways.config(log_files=[f"{ways.dir}/*.log"], **more)
    observer = Observer(config=config, args=args).start()
    assert "inotify" in observer.log() + observer.get("/health"), observer.log()
    ways.start()
    ways.tell("told")
    ways.wait_check(observer)
    ways.tell("rewrite-middle")
    ways.tell("found")
    ways.wait_check(observer)
    check_ledger(observer.metrics(), delivered=False)
    assert observer.stop()[0] == 0, observer.log()
    ways.check(observer)


@case(needs=("root",))
def inotify_without_bpf():
    """the same ways with --no-bpf: told by inotify, mmap found by looking"""
    by_inotify(["--no-bpf"])


@case(needs=("root", "bpf"))
def inotify_by_config():
    """the same ways with probes.file_write: inotify"""
    by_inotify([], probes={"file_write": "inotify"})
