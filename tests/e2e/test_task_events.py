# SPDX-License-Identifier: BSD-2-Clause
"""Processes where BPF is refused: the kernel's process connector and taskstats, for root. The same
that the rung above it tells, but who sent a signal."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from cases import case
from harness import (Api, ContainerNode, Env, Observer, Skip, descendants, g3_now, observer_cmd, of_node,
                     script_lines, wait_for)
from reactions import Subject, watch

NO_BPF = {"probes": {"bpf": False}}
ENDS = ("exited", "crashed", "oom_killed", "trainer_gone")


def need_connector():
    said = observer_cmd("doctor", "--no-bpf").stdout
    if "process connector, taskstats" not in said:
        raise Skip("no process connector: " + ' '.join(re.search(r"processes .*(?:\n {10,}.*)*", said)[0].split()))


def ends(api, node, role):
    return [e["details"] for e in of_node(api.events(), node)
            if e["event_type"] == "node_lifecycle" and e["details"]["event"] in ENDS
            and e["details"].get("role") == role]


@case(needs=("root", "docker"), limit_s=90, alone=True)
def fork_storm():
    """2,000 short processes a second, without BPF: all are counted, with what they used, and
    nothing is lost"""
    need_connector()
    api = Api()
    observer = Observer(api, {**NO_BPF, "usage": {"interval": "1s"}}).start()
    node = ContainerNode("gate\nforks 10000 2000\n" + script_lines("after", 1))
    wait_for("the trainer", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    trainer = node.process("trainer")
    wait_for("its start", lambda: any(e["origin"].get("pid") == trainer for e in api.events()), 20)
    before = observer.metrics()
    node.gate()

    def counted(place):
        key = f'gswarm_processes_total{{place="{place}"}}'
        return observer.metrics()[key] - before[key]

    wait_for("all of them", lambda: counted("ended") >= 10000, 40)
    assert (counted("started"), counted("ended")) == (10000, 10000)
    after = observer.metrics()
    assert after["gswarm_task_events_lost_total"] == 0, after
    assert not ends(api, node, "trainer")
    assert after["process_resident_memory_bytes"] < 64 << 20


@case(needs=("root", "docker"))
def exit_code():
    """the trainer exits 3 while its shell lives on: at once, once, with code and usage"""
    need_connector()
    api = Api()
    observer = Observer(api, NO_BPF).start()
    node = ContainerNode("gate\nspin 300\nexit 3\n", "--stay")
    wait_for("the trainer", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    node.process("trainer")
    node.gate()
    wait_for("its end", lambda: ends(api, node, "trainer"), 20)
    api.settle()
    told = ends(api, node, "trainer")
    assert len(told) == 1 and told[0]["event"] == "crashed", told
    assert told[0]["exit_code"] == 3 and told[0]["node_lives_on"], told
    assert 0.25 < told[0]["cpu_s"] < 5 and told[0]["max_rss_bytes"] > 0, told


@case(needs=("root",), alone=True)
def causes():
    """deaths and their states follow within a second here, too"""
    need_connector()
    api, observer = watch({**NO_BPF, "initial_tail_lines": 10})  # it finds files a moment late
    # lines that are read from the file must be of this life
    subject = Subject(api, observer, f"gate\nfile 0 {g3_now('🐝 Joining round: 30512')}\n")
    trainer, p2pd, dht = subject.node.process("trainer"), subject.node.process("p2pd"), subject.dht()
    subject.react("a line", subject.gate, "training")
    seen = [
        subject.react("p2pd killed", lambda: subject.send(p2pd, signal.SIGKILL), "degraded/p2pd"),
        subject.react("DHT killed", lambda: subject.send(dht, signal.SIGKILL), "hung/dht_dead"),
        subject.react("trainer killed", lambda: subject.send(trainer, signal.SIGKILL),
                      "trainer_gone"),
        subject.react("all killed", subject.end_all, "stopped"),
    ]
    late = [r for r in seen if max(r["api_s"], r["event_s"]) > 2]
    assert not late, late


@case(needs=("root",))
def many_threads():
    """a process with threads ends once, when the last one has, with the CPU time of them all"""
    need_connector()
    api, _ = watch(NO_BPF)
    program = Env.tmp / "swarm_launcher.py"
    program.write_text("import os, threading, time\n"
                       "def burn():\n"
                       "    while time.thread_time() < 0.1: pass\n"
                       "burners = [threading.Thread(target=burn) for _ in range(8)]\n"
                       "for t in burners: t.start()\n"
                       "for t in burners: t.join()\n"
                       "time.sleep(1); os._exit(9)\n")
    start = os.posix_spawnp("python3", ["python3", str(program)], os.environ)
    os.waitpid(start, 0)

    def end():
        return [e["details"] for e in api.events() if e["details"].get("event") in ENDS
                and e["origin"].get("pid") == start]
    wait_for("its end", end, 20)
    api.settle()
    assert len(end()) == 1 and end()[0]["exit_code"] == 9, end()
    assert end()[0]["cpu_s"] >= 0.8 or kernel_is_old(), end()


def kernel_is_old():
    """Kernels before 5.19 do not tell whose thread it was."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor.split("-")[0])) < (5, 19)


@case(needs=("root", "docker"))
def proc_polling():
    """probes.processes: proc: /proc is polled, and doctor and /health say what stays unseen"""
    observer = Observer(Api(), {"probes": {"bpf": False, "processes": "proc"}}).start()
    probe = [p for p in observer.health()["probes"] if p["need"] == "processes"][0]
    assert probe["rung"] == "/proc polling" and "less than 1 s" in probe["unseen"], probe
    node = ContainerNode("gate\nexit 3\n", "--stay")
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    node.process("trainer")
    node.gate()
    wait_for("its end", lambda: any("trainer_gone" == n["state"] for n in json.loads(
        observer.get("/api/v1/nodes"))["nodes"]), 20)


@case(needs=("root", "docker"), limit_s=90, alone=True)
def too_many_at_once():
    """the observer stands still while the host forks: what the kernel could not tell is counted,
    and afterwards it knows who lives"""
    need_connector()
    api = Api()
    observer = Observer(api, NO_BPF).start()
    node = ContainerNode("gate\nforks 20000\n" + script_lines("after", 1) + "gate\nexit 4\n", "--stay")
    wait_for("the trainer", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    node.process("trainer")
    with observer.standing_still():
        node.gate()
        node.wait_written(1)

    def lost():
        subprocess.run(["true"], check=True)  # a gap shows at the next event of the same processor
        return observer.metrics()["gswarm_task_events_lost_total"]
    wait_for("the loss", lambda: lost() > 0, 20)

    def living():
        with open(f"/proc/{node.pid}/cgroup") as f:
            mine = f.read()
        pids = [node.pid, *descendants(node.pid)]
        return [p for p in pids if Path(f"/proc/{p}/cgroup").read_text() == mine]

    def known():
        return json.loads(observer.get("/api/v1/nodes"))["nodes"][0]["pids"]
    wait_for("the living", lambda: known() == len(living()), 30)
    before = lost()
    node.gate()
    wait_for("its end", lambda: ends(api, node, "trainer"), 20)
    end = ends(api, node, "trainer")[0]
    assert end.get("exit_code") == 4 or lost() > before, end
