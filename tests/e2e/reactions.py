# SPDX-License-Identifier: BSD-2-Clause
"""How long after its cause a change of state can be seen: at /api/v1/nodes, and as an event at
the API. Causes of every kind, at plain look-alikes, each with the time just before it; for the
e2e case and for the bench."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from harness import Api, Env, Observer, ProcessNode, descendants, g3_now, unique, wait_for

JOIN = f"file 0 {g3_now('🐝 Joining round: 30512')}\n"
FINISH = f"file 0 {g3_now('Already finished round: 30512. Next check in 5.0s.')}\n"
LIMIT_S = 20  # for one change; how long it took is the caller's business


class MemoryLimit:
    """A memory cgroup of its own, v1 or v2, that a node is started in."""

    def __init__(self, mib):
        v1 = Path("/sys/fs/cgroup/memory")
        self.dir = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / unique()
        self.dir.mkdir()
        Env.cleanup.callback(self.remove)
        limit = self.dir / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")
        limit.write_text(str(mib << 20))
        with contextlib.suppress(OSError):  # no swap accounting
            (self.dir / "memory.memsw.limit_in_bytes" if v1.is_dir() else
             self.dir / "memory.swap.max").write_text(str(mib << 20) if v1.is_dir() else "0")

    def remove(self):
        with contextlib.suppress(AssertionError):
            wait_for("its end", lambda: self.dir.rmdir() is None, 5)

    def enter(self):
        (self.dir / "cgroup.procs").write_text(str(os.getpid()))


class Subject:
    """A node that is watched while things happen to it."""

    def __init__(self, api, observer, script, limit=None):
        self.api, self.observer = api, observer
        self.node = ProcessNode(script, "--stay", preexec_fn=limit and limit.enter)
        wait_for("the node", self.shown, LIMIT_S)
        wait_for("its p2pd", lambda: self.node.process("p2pd"), LIMIT_S)

    def shown(self):
        for n in json.loads(self.observer.get("/api/v1/nodes"))["nodes"]:
            if n["name"].startswith(f"pid {self.node.pid} "):
                return n["state"] + ("/" + n["sub_state"] if "sub_state" in n else "")
        return None

    def told(self, want, since):
        """When the event of this change came, or None."""
        for r in self.api.requests:
            if r.at < since:
                continue
            for e in r.events():
                d = e["details"]
                if e["event_type"] == "node_state" and want == \
                        d["to"] + ("/" + d["sub_state"] if "sub_state" in d else ""):
                    return r.at
        return None

    def react(self, name, cause, want):
        """Returns {"cause", "state", "api_s", "event_s"}. @cause returns when it happened."""
        at = cause()
        wait_for(f"{name}: state {want}", lambda: self.shown() == want, LIMIT_S, 0.005)
        seen = time.monotonic()
        told = wait_for(f"{name}: event {want}", lambda: self.told(want, at), LIMIT_S, 0.005)
        return {"cause": name, "state": want, "api_s": seen - at, "event_s": told - at}

    def gate(self):
        at = time.monotonic()
        self.node.gate()
        return at

    def send(self, pid, sig):
        at = time.monotonic()
        os.kill(pid, sig)
        return at

    def dht(self):
        stat = Path(f"/proc/{self.node.process('p2pd')}/stat").read_text()
        return int(stat.rsplit(")", 1)[1].split()[1])

    def run_out_of_memory(self):
        """Told by the last moment at which the trainer was seen alive."""
        stat = Path(f"/proc/{self.node.process('trainer')}/stat")
        self.node.gate()
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            at = time.monotonic()
            try:
                if stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                    return at
            except OSError:
                return at
            time.sleep(0.001)
        raise AssertionError("the trainer has not run out of memory")

    def end_all(self):
        pids = [self.node.pid, *descendants(self.node.pid)]
        at = time.monotonic()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.node.popen.wait()
        return at


def watch(config=None):
    api = Api()
    config = {"forward": "events", "targets": {"include": {"command": [f"*{Env.tmp}*"]}},
              **(config or {})}
    return api, Observer(api, config).start()


def one_life(api, observer):
    """Eight causes at one node, one after the other."""
    subject = Subject(api, observer, "loop 0\ngate\n" + JOIN + "gate\n" + FINISH + "end\n")
    trainer, p2pd, dht = subject.node.process("trainer"), subject.node.process("p2pd"), subject.dht()
    return [
        subject.react("a line in its log", subject.gate, "training"),
        subject.react("another line", subject.gate, "waiting"),
        subject.react("SIGSTOP", lambda: subject.send(trainer, signal.SIGSTOP), "hung/signal"),
        subject.react("SIGCONT", lambda: subject.send(trainer, signal.SIGCONT), "waiting"),
        subject.react("p2pd killed", lambda: subject.send(p2pd, signal.SIGKILL), "degraded/p2pd"),
        subject.react("DHT killed", lambda: subject.send(dht, signal.SIGKILL), "hung/dht_dead"),
        subject.react("trainer killed", lambda: subject.send(trainer, signal.SIGKILL),
                      "trainer_gone"),
        subject.react("all killed", subject.end_all, "stopped"),
    ]


def out_of_memory(api, observer):
    subject = Subject(api, observer, "gate\n" + JOIN + "gate\neat 100\n", MemoryLimit(48))
    out = [subject.react("a line in its log", subject.gate, "training"),
           subject.react("out of memory", subject.run_out_of_memory, "trainer_gone")]
    subject.end_all()
    return out


def silence(api, observer):
    """With hung_after of 2 s: the cause is the moment at which that is over."""
    subject = Subject(api, observer, "gate\n" + JOIN)
    at = []

    def is_silent():
        at.append(time.monotonic())
        subject.node.gate()
        return at[0] + 2.0
    out = [subject.react("silent for too long", is_silent, "hung/silent")]
    subject.end_all()
    return out
