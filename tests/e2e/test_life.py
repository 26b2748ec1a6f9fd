# SPDX-License-Identifier: BSD-2-Clause
"""How nodes and their processes start and end: one event for each death, with its cause."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from cases import case
from harness import (Api, ContainerNode, Env, Observer, Skip, docker, g3_now, of_node, script_lines,
                     wait_for)

ENDS = ("exited", "crashed", "oom_killed", "trainer_gone")


def life_events(api, node, names=None, role=None):
    return [e for e in of_node(api.events(), node)
            if e["event_type"] == "node_lifecycle" and "role" in e["details"]
            and (not names or e["details"]["event"] in names)
            and (not role or e["details"]["role"] == role)]


def the_end(api, node, role="trainer", limit_s=20):
    """The one event that tells the end of a role; no second one may come."""
    wait_for(f"the end of the {role}", lambda: life_events(api, node, ENDS, role), limit_s)
    api.settle()
    events = life_events(api, node, ENDS, role)
    assert len(events) == 1, [e["details"] for e in events]
    return events[0]


def seconds(event):
    return time.mktime(time.strptime(event["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")) + \
        float("0" + event["timestamp"][19:-1])


def running(script="", *args, **kw):
    """An observer that has seen the node's trainer at work."""
    api = Api()
    observer = Observer(api, kw.pop("config", None)).start()
    node = ContainerNode(script_lines("hello", 3) + "gate\n" + script, *args, **kw)
    api.wait_file(node, 3)
    return api, observer, node


@case()
def started():
    """the roles of a node that starts are told, once each"""
    api, _, node = running()
    wait_for("p2pd", lambda: life_events(api, node, ("started",), "p2pd"), 10)
    api.settle()
    roles = sorted(e["details"]["role"] for e in life_events(api, node))
    assert roles == ["launcher", "login_server", "p2pd", "trainer"], roles
    trainer = life_events(api, node, ("started",), "trainer")[0]
    assert trainer["origin"]["pid"] == node.process("trainer"), trainer
    assert trainer["origin"]["via"] == "process", trainer


@case()
def kill_9():
    """kill -9 from another process: the event names it, and brings the last lines"""
    api, _, node = running("", "--stay")
    pid = node.process("trainer")
    os.kill(pid, signal.SIGKILL)
    end = the_end(api, node)
    d = end["details"]
    assert d["event"] == "trainer_gone" and d["node_lives_on"], d
    assert d["signal"] == 9 and d["sender_pid"] == os.getpid(), d
    assert d["sender_comm"].startswith("python") and d["sender_uid"] == 0, d
    assert f"process {os.getpid()}" in d["reason"], d
    assert d["uptime_s"] > 0 and "exit_code" not in d, d
    assert [line[-7:] for line in d["last_lines"]] == ["hello 0", "hello 1", "hello 2"], d
    assert end["origin"]["pid"] == pid, end


@case()
def segfault():
    """a segfault of the trainer is a crash, with its signal, and the node goes with it"""
    api, _, node = running("crash 11\n")
    node.gate()
    d = the_end(api, node)["details"]
    assert d["event"] == "crashed" and d["signal"] == 11 and not d["node_lives_on"], d
    launcher = the_end(api, node, "launcher")["details"]
    assert launcher["exit_code"] == 139 and launcher["event"] == "crashed", launcher


@case(alone=True)
def trainer_gone():
    """the trainer exits 0 after an exception and the shell lives on: told within a second"""
    api, _, node = running(
        f"file 0 {g3_now('Exception occurred during game run.', 'ERROR')}\n"
        "file 0 Traceback (most recent call last):\n"
        "file 0 torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB.\n"
        "exit 0\n", "--stay")
    node.gate()
    end = the_end(api, node)
    d = end["details"]
    assert d["event"] == "trainer_gone" and d["exit_code"] == 0 and d["node_lives_on"], d
    assert d["code"] == "CUDA_OOM" and d["advice"], d
    assert any("Exception occurred" in line for line in d["last_lines"]), d
    arrival = next(r.at for r in api.requests if any(e["event_id"] == end["event_id"]
                                                    for e in r.events()))
    late = time.time() - time.monotonic() + arrival - seconds(end)
    assert late < 1.0 + 1.0, f"told {late:.3f} s after it ended"  # 1 s for a busy machine


@case()
def oom_cgroup():
    """the memory limit is hit: the kernel's kill is told, with resident size and limit"""
    api, _, node = running("eat 200\n", opts=["--memory", "64m", "--memory-swap", "64m"])
    node.gate()
    d = the_end(api, node)["details"]
    assert d["event"] == "oom_killed" and d["signal"] == 9 and d["oom"] == "cgroup", d
    assert d["limit_bytes"] == 64 << 20, d
    assert 40 << 20 < d["rss_bytes"] <= 66 << 20, d
    assert node.id in d["limit_of"], d
    assert d["code"] == "PROCESS_KILLED" and d["advice"], d


@case()
def docker_stop():
    """docker stop: who asked, and that each role ended once"""
    api, _, node = running()
    docker("stop", "-t", "5", node.container)
    launcher = the_end(api, node, "launcher")["details"]
    assert launcher["event"] == "exited" and launcher["exit_code"] == 143, launcher
    assert "SIGTERM" in launcher["reason"] and launcher["sender_comm"], launcher
    for role in ("trainer", "dht", "p2pd", "login_server"):
        d = the_end(api, node, role)["details"]
        assert d["event"] == "exited", d


@case()
def docker_kill():
    """docker kill: the launcher by a signal from outside, the others with their container"""
    api, _, node = running()
    docker("kill", node.container)
    d = the_end(api, node, "launcher")["details"]
    assert d["event"] == "exited" and d["signal"] == 9 and d["sender_comm"], d
    d = the_end(api, node)["details"]
    assert d["event"] == "exited" and d["signal"] in (9, 15) and not d["node_lives_on"], d


@case()
def docker_restart():
    """docker restart: the roles end once, and are told as restarted"""
    api, _, node = running()
    docker("restart", "-t", "5", node.container)
    node.pid = int(docker("inspect", "-f", "{{.State.Pid}}", node.id))
    wait_for("the trainer again", lambda: life_events(api, node, ("restarted",), "trainer"), 20)
    the_end(api, node)
    d = life_events(api, node, ("restarted",), "trainer")[0]["details"]
    assert d["restarts"] == 1 and 0 <= d["down_s"] < 60, d
    started = life_events(api, node, ("started",), "trainer")
    assert len(started) == 1, started


@case()
def pause():
    """docker pause and unpause are told"""
    api, _, node = running()
    def names():
        return [e["details"]["event"] for e in of_node(api.events(), node)
                if e["event_type"] == "node_lifecycle"]
    docker("pause", node.container)
    wait_for("paused", lambda: "paused" in names(), 10)
    docker("unpause", node.container)
    wait_for("resumed", lambda: "resumed" in names(), 10)


@case()
def health():
    """a container whose health check fails, and then does not: both are told"""
    api = Api()
    Observer(api).start()
    node = ContainerNode("", opts=["--health-cmd", "test -e /tmp/well", "--health-interval", "1s",
                                   "--health-retries", "1"])

    def names():
        return [e["details"]["event"] for e in of_node(api.events(), node)
                if e["event_type"] == "node_lifecycle"]
    wait_for("unhealthy", lambda: "unhealthy" in names(), 20)
    docker("exec", node.container, "/bin/sh", "-c", "mkdir -p /tmp; : >/tmp/well")
    wait_for("healthy", lambda: "healthy" in names(), 20)


@case(limit_s=90, alone=True)
def fork_storm():
    """2,000 short processes a second: all are counted, none is told, the observer stays small"""
    api, observer, node = running("forks 10000 2000\n" + script_lines("after", 1))
    before = observer.metrics()
    node.gate()
    node.wait_written(4)

    def counted(place):
        key = f'gswarm_processes_total{{place="{place}"}}'
        return observer.metrics()[key] - before[key]

    wait_for("all of them", lambda: counted("ended") >= 10000, 20)
    assert counted("ended") == 10000, counted("ended")
    assert counted("started") == 10000, counted("started")
    assert not life_events(api, node, ENDS), life_events(api, node, ENDS)[0]
    rss = observer.metrics()["process_resident_memory_bytes"]
    assert rss < 64 << 20, rss


@case()
def before_it_is_known():
    """a trainer that ends while the engine is still asked whose container it is: told, once,
    with its code, when the answer has come"""
    slow = SlowEngine(0.8)
    api = Api()
    Observer(api, {"targets": {"docker_socket": slow.path}}).start()
    # it lives for a moment, as Python does while it starts; the engine takes longer
    node = ContainerNode(script_lines("still here", 1) + "file 300 the end\nexit 3\n", "--stay")
    end = the_end(api, node)
    d = end["details"]
    assert slow.delayed, "nobody was asked"
    assert d["event"] == "crashed" and d["exit_code"] == 3, d
    started = life_events(api, node, ("started",), "trainer")
    assert len(started) == 1, started
    # when it was forked, not when we knew whose it is: that was after its end
    lived = seconds(end) - seconds(started[0])
    assert abs(lived - d["uptime_s"]) < 0.1, (lived, d)


class SlowEngine:
    """The engine's socket, behind one that answers questions about containers late."""

    def __init__(self, delay_s):
        self.delay_s, self.delayed = delay_s, 0
        self.path = str(Env.tmp / "slow.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        Env.cleanup.callback(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(Env.docker_socket)
                for a, b, asks in ((client, engine, True), (engine, client, False)):
                    threading.Thread(target=self.pump, args=(a, b, asks), daemon=True).start()

    def pump(self, a, b, asks):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                if asks and b"/json" in data and b"/containers/" in data:
                    self.delayed += 1
                    time.sleep(self.delay_s)
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


def zombies(api):
    return [e for e in api.events() if e["details"].get("event") == "zombie"]


@case()
def zombie():
    """a DHT process that has ended and is not reaped: a zombie is told, with its parent; also one
    that was there first"""
    api, observer, node = running()
    trainer = node.process("trainer")
    with open(f"/proc/{node.process('p2pd')}/stat") as f:
        dht = int(f.read().rsplit(")", 1)[1].split()[1])
    os.kill(dht, signal.SIGKILL)
    told = wait_for("the zombie", lambda: zombies(api), 20)[0]
    assert told["origin"]["pid"] == dht and told["details"]["role"] == "dht", told
    assert told["details"]["parent_pid"] == trainer and told["details"]["parent_is_trainer"], told
    assert told["details"]["ended_s_ago"] >= 3, told
    observer.stop()
    later = Api()
    observer = Observer(later).start()  # with a new store: nothing is known of it
    told = wait_for("the zombie", lambda: zombies(later), 20)[0]
    assert told["origin"]["pid"] == dht and told["details"]["role"] == "dht", told
    wait_for("its state", lambda: [n["sub_state"] for n in json.loads(
        observer.get("/api/v1/nodes"))["nodes"]] == ["dht_dead"], 20)
    later.settle()
    assert len(zombies(api)) == 1 and len(zombies(later)) == 1


def start_with_pid(pid, command):
    """A process with that pid, or None: it went to another process of this host meanwhile."""
    with open("/proc/sys/kernel/ns_last_pid", "w") as f:
        f.write(str(pid - 1))
    child = os.fork()
    if child == 0:
        if os.getpid() != pid:
            os._exit(0)
        os.execv(command[0], command)
    if child == pid:
        return child
    os.waitpid(child, 0)
    return None


def reuse_pid(pid, command):
    if not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        raise Skip("this kernel has no ns_last_pid: a pid cannot be used again on purpose")
    for _ in range(2000):
        if start_with_pid(pid, command):
            return
        if Path(f"/proc/{pid}").exists():
            raise Skip(f"pid {pid} went to another process")
    raise Skip(f"pid {pid} was not to be had in 2,000 tries")


def lives_of_pid(api, pid):
    return [(e["details"]["event"], e["details"]["role"]) for e in api.events()
            if e["event_type"] == "node_lifecycle" and e["origin"].get("pid") == pid]


@case(needs=("root", "bpf"))
def pid_used_again():
    """the pid of a p2pd that was killed becomes another node's: two lives, each with its own
    start and end, and nothing of one is told of the other"""
    program = Env.tmp / "p2pd"
    shutil.copy("/bin/sleep", program)
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}*"]}}}).start()
    first = subprocess.Popen([program, "600"])
    pid = first.pid
    wait_for("its start", lambda: lives_of_pid(api, pid), 15)
    first.kill()
    first.wait()
    reuse_pid(pid, [str(program), "0.3"])
    os.waitpid(pid, 0)
    want = [("started", "p2pd"), ("exited", "p2pd")] * 2
    wait_for("both lives", lambda: lives_of_pid(api, pid) == want, 15)
    ends = [e["details"] for e in api.events() if e["details"].get("event") == "exited"]
    assert ends[0]["signal"] == 9 and ends[0]["sender_pid"] == os.getpid(), ends
    assert ends[1]["exit_code"] == 0 and "signal" not in ends[1] and "sender_pid" not in ends[1], ends
    assert ends[1]["uptime_s"] < 10, ends
    api.settle()
    assert lives_of_pid(api, pid) == want and observer.metrics()["gswarm_nodes"] == 0
