# SPDX-License-Identifier: BSD-2-Clause
"""How real hivemind nodes fail: most of it is not in any log, and some of it is silence. Each must
show as the right state, with its cause, within ten seconds. `make test-long` runs these; they
need the real hivemind (scripts/fetch-hivemind.sh)."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from cases import case
from harness import Api, Env, Observer, Skip, descendants, g3, wait_for
from swarm import HERE, Driven, hivemind_python

NEEDS = ("root", "bpf", "long")
WITHIN_S = 10


class Trainer(Driven):
    """hivemind_peer.py under the trainer's name: a real DHT process, a real p2pd."""

    def __init__(self, bootstrap=(), identity=None, dir=None):
        self.dir = dir or tempfile.mkdtemp(prefix="gso-test-real-", dir=Env.tmp)
        (Path(self.dir) / "logs").mkdir(exist_ok=True)
        script = Path(self.dir) / "swarm_launcher.py"
        if not script.is_symlink():
            script.symlink_to(HERE / "hivemind_peer.py")
        argv = [hivemind_python(), script, "--dir", self.dir, "--bootstrap", ",".join(bootstrap)]
        super().__init__(argv + (["--identity", identity] if identity else []), limit_s=120,
                         env={"OMP_NUM_THREADS": "1"}, stderr="drain")
        self.addrs = self.do("addrs")["addrs"]

    @property
    def pid(self):
        return self.process.pid

    def child(self, word):
        """The pid of a descendant by its command line; DHT: the fork with the trainer's own."""
        for pid in descendants(self.pid):
            with contextlib.suppress(OSError):
                if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise AssertionError(f"no process with {word}")

    def join_round(self, round_):
        self.do("log", text=g3(f"🐝 Joining round: {round_}",
                               at=time.strftime("%Y-%m-%d %H:%M:%S,000")))


def observe(glob=None, **state):
    hivemind_python()  # Skip before anything starts
    glob = glob or f"*{Env.tmp}/gso-test-real-*"
    return Observer(Api(), {"targets": {"include": {"command": [glob]}, "builtin": False},
                            "state": {"hung_after": "1h", **state}}).start()


def view(observer, pid):
    found = [n for n in json.loads(observer.get("/api/v1/nodes"))["nodes"]
             if n["name"].startswith(f"pid {pid} ")]
    return found[0] if found else {}


def wait_state(observer, pid, want, limit_s=WITHIN_S):
    """The state, and how long it took to show."""
    start = time.monotonic()

    def is_there():
        v = view(observer, pid)
        return v and v["state"] + ("/" + v["sub_state"] if "sub_state" in v else "") == want

    try:
        wait_for(f"state {want}", is_there, limit_s)
    except AssertionError as e:
        raise AssertionError(f"{e}: {view(observer, pid)}") from None
    print(f"{want} after {time.monotonic() - start:.2f} s", file=sys.stderr)
    return view(observer, pid)


def running(**state):
    observer = observe(**state)
    trainer = Trainer()
    trainer.join_round(1)
    wait_state(observer, trainer.pid, "training", 30)
    return observer, trainer


@case(limit_s=180, needs=NEEDS)
def p2pd_killed():
    """kill -9 of p2pd: the node logs nothing, and store still says True"""
    observer, trainer = running()
    p2pd = trainer.child(b"hivemind_cli/p2pd")
    os.kill(p2pd, signal.SIGKILL)
    v = wait_state(observer, trainer.pid, "degraded/p2pd")
    assert f"process {p2pd}" in v["reason"] and "SIGKILL" in v["reason"], v
    assert trainer.do("store", key="k", size=100).get("ok") is True


@case(limit_s=180, needs=NEEDS)
def dht_killed():
    """kill -9 of the DHT process: the trainer hangs without a line"""
    observer, trainer = running()
    dht = trainer.child(b"swarm_launcher")
    os.kill(dht, signal.SIGKILL)
    v = wait_state(observer, trainer.pid, "hung/dht_dead")
    assert f"process {dht}" in v["reason"] and "SIGKILL" in v["reason"], v
    assert v["earning"] == "no", v


@case(limit_s=180, needs=NEEDS)
def trainer_killed():
    """kill -9 of the trainer: its DHT process and p2pd live on as orphans"""
    observer, trainer = running()
    orphans = descendants(trainer.pid)
    os.kill(trainer.pid, signal.SIGKILL)
    try:
        v = wait_state(observer, trainer.pid, "trainer_gone")
        assert "SIGKILL" in v["reason"] and f"process {os.getpid()}" in v["reason"], v
        assert v["present"] and v["pids"] >= 2, v
    finally:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    wait_state(observer, trainer.pid, "stopped")


def is_zombie(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


@case(limit_s=240, needs=NEEDS)
def large_store():
    """large values: a race inside hivemind ends its DHT process, and the trainer hangs"""
    observer, trainer = running(hung_after="5s", hung_factor=1)
    dht = trainer.child(b"swarm_launcher")
    for i in range(12):
        trainer.send("store", key=f"k{i}", size=3_000_000)
        with contextlib.suppress(AssertionError):
            trainer.answer(6)
            continue
        break
    else:
        raise Skip("twelve large values passed: the race did not happen")
    try:
        wait_for("the end of its DHT process", lambda: is_zombie(dht), 20)
    except AssertionError:  # it lives: the trainer waits for it all the same
        wait_for("that it hangs", lambda: view(observer, trainer.pid)["state"] == "hung", WITHIN_S)
        return
    v = wait_state(observer, trainer.pid, "hung/dht_dead")
    assert v["earning"] == "no", v


@case(limit_s=240, needs=NEEDS)
def same_identity():
    """a second node with the same identity: it ends at its start, and the reason says why"""
    observer = observe()
    identity = Path(Env.tmp) / "swarm.pem"
    first = Trainer(identity=identity)
    # with an address to ask, the second one checks whether its identity is in use
    second = start_failing(observer, bootstrap=first.addrs, identity=identity)
    v = wait_state(observer, second, "stopped")
    assert "IDENTITY_TAKEN" in v["reason"] or v.get("last_error") == "IDENTITY_TAKEN", v


@case(limit_s=240, needs=NEEDS)
def bootstrap_unreachable():
    """no bootstrap peer answers: p2pd ends, and so does the trainer"""
    observer = observe()
    nobody = "/ip4/127.0.0.1/tcp/9/p2p/QmQ2gEXoPJg6iMBSUFWGzAabS2VhnzuS782Y637hGjfsRJ"
    pid = start_failing(observer, bootstrap=[nobody])
    v = wait_state(observer, pid, "stopped")
    assert "DAEMON_START_FAILED" in v["reason"] or v.get("last_error") == "DAEMON_START_FAILED", v


def start_failing(observer, **kw):
    """Start one that must fail. Returns its pid."""
    pids = []
    start = Driven.answer

    def answer(self, limit_s):
        pids.append(self.process.pid)
        return start(self, limit_s)

    Driven.answer = answer
    try:
        Trainer(**kw)
    except AssertionError:
        return pids[0]
    finally:
        Driven.answer = start
    raise AssertionError("it started")
