# SPDX-License-Identifier: BSD-2-Clause
"""How nodes and their processes start and end: one event for each death, with its cause."""

import os
import signal
import time

from cases import case
from harness import (Api, ContainerNode, Observer, docker, g3, of_node, script_lines, wait_for)

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


@case()
def trainer_gone():
    """the trainer exits 0 after an exception and the shell lives on: told within a second"""
    api, _, node = running(
        f"file 0 {g3('Exception occurred during game run.', 'ERROR')}\n"
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
    assert len(life_events(api, node, ("started",), "trainer")) == 1


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


@case(limit_s=90)
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
