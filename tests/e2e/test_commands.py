# SPDX-License-Identifier: BSD-2-Clause
"""trace, doctor, replay, events."""

import json
import signal
import subprocess
import time

from cases import case
from harness import (Api, ContainerNode, Env, Observer, ProcessNode, check_file, check_shape,
                     g3, observer_cmd, of_file, of_node, script_lines, unique, wait_for)


class Trace:
    def __init__(self, *args):
        self.path = Env.tmp / "trace.out"
        self.process = subprocess.Popen([Env.observer, "trace", *args], stdin=subprocess.DEVNULL,
                                        stdout=open(self.path, "wb"),
                                        stderr=open(Env.tmp / "trace.err", "wb"), cwd=Env.tmp)
        time.sleep(1)  # it has no address to ask whether it is ready

    def events(self):
        # the last line may be half written
        return [json.loads(s) for s in self.path.read_bytes().split(b"\n")[:-1]]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(5)


@case()
def trace_container():
    """trace --container, with no config: JSON lines of that container, of no other"""
    name = unique()
    trace = Trace("--container", name, "--docker-socket", Env.docker_socket)
    other = ContainerNode(script_lines("no", 20))
    node = ContainerNode(script_lines("yes", 20), name=name)
    wait_for("its lines", lambda: len(of_file(trace.events(), node)) >= 20, 10)
    time.sleep(0.5)
    check_file(trace.events(), node)
    check_shape(trace.events())
    assert not of_node(trace.events(), other)
    assert trace.stop() in (0, 130)
    assert not list(Env.tmp.glob("**/*.db*")), "trace has no store"


@case(needs=("root", "bpf"))
def trace_command():
    """trace --command: JSON lines of a process tree"""
    node = ProcessNode(script_lines("old", 5) + "gate\n" + script_lines("new", 20))
    node.wait_written(5)
    trace = Trace("--command", node.glob(), "--docker-socket", "/nonexistent")
    node.gate()
    wait_for("new lines", lambda: any(e["details"].get("message") == "new 19"
                                      for e in of_node(trace.events(), node)), 10)
    assert trace.stop() in (0, 130)


@case(limit_s=30, needs=("root", "bpf"))
def doctor():
    """doctor: each probe's rung, exit 0 where something can be observed"""
    out = observer_cmd("doctor")
    assert out.returncode == 0, out
    for word in ("file", "sys_exit"):
        assert word in out.stdout, f"no {word!r}:\n{out.stdout}"


@case(limit_s=30, needs=())
def replay():
    """replay: log text in, JSON lines out, without rights; the same from stdin"""
    text = "".join(s + "\n" for s in (g3("🐝 Joining round: 39512"),
                                      g3("Already finished round: 39511. Next check in 10.0s.")))
    path = Env.tmp / "swarm_launcher.log"
    path.write_text(text)
    out = observer_cmd("replay", path)
    events = [json.loads(s) for s in out.stdout.splitlines()]
    assert out.returncode == 0 and len(events) == 2, out
    check_shape(events)
    assert [(e["details"]["event"], e["details"]["round"]) for e in events] == \
        [("round_joined", 39512), ("round_waiting", 39511)], events
    assert [e["origin"]["offset"] for e in events] == [0, len(text.splitlines()[0].encode()) + 1]
    with open(path, "rb") as f:
        again = subprocess.run([Env.observer, "replay", "-"], stdin=f, stdout=subprocess.PIPE,
                               timeout=10)
    assert len(again.stdout.splitlines()) == 2
    assert observer_cmd("replay", "/nonexistent").returncode == 1


@case()
def events_command():
    """events: the store of a running observer, and of one that has ended, in order"""
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode("", "--burst", 3000)
    api.wait_file(node, 3000)
    running = check_file(observer.stored(), node)
    assert running == sorted(running, key=lambda e: e["origin"]["offset"])
    assert observer.stop()[0] == 0
    assert check_file(observer.stored(), node) == running
    out = observer_cmd("events", "--state-dir", Env.tmp / "nowhere", "--all")
    assert out.returncode == 1 and "nowhere" in out.stderr, out
