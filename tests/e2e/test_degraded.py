# SPDX-License-Identifier: BSD-2-Clause
"""What this host lacks is said; the rest goes on, and nothing crashes."""

import os
import shutil

from cases import case
from harness import (LAUNCHER_LOG, Api, ContainerNode, Env, Observer, ProcessNode, check_file,
                     check_order, observer_cmd, script_lines, unique, wait_for)


def by_command(node, **more):
    """A config that finds a plain node by its command line."""
    return {"targets": {"include": {"command": [node.glob()]}}, **more}


def by_path(node, **more):
    return by_command(node, log_files=[f"{node.home}/{LAUNCHER_LOG}"], **more)


def all_lines_arrive(api, node, n):
    node.wait_written(n)
    api.wait_file(node, n)
    api.settle()
    check_order(check_file(api.events(), node), node)


@case(needs=("root", "bpf"))
def no_docker_socket():
    """no Docker socket: it says so and follows plain processes all the same"""
    api = Api()
    node = ProcessNode(script_lines("a", 20) + "gate\n" + script_lines("b", 20))
    config = by_command(node)
    config["targets"]["docker_socket"] = str(Env.tmp / "nowhere.sock")
    observer = Observer(api, config).start()
    node.gate()
    all_lines_arrive(api, node, 40)
    wait_for("a word about it", lambda: "nowhere.sock" in observer.log(), 5)
    assert observer.stop()[0] == 0, observer.log()


@case()
def no_docker_socket_but_container():
    """no Docker socket: a container is found by what runs in it and told by its id"""
    api = Api()
    home = f"/home/gensyn/{unique()}"
    observer = Observer(api, {"targets": {"include": {"command": [f"*{home}*"]},
                                          "docker_socket": str(Env.tmp / "nowhere.sock")}}).start()
    node = ContainerNode("gate\n" + script_lines("x", 50), home=home)
    node.process("trainer")
    node.gate()
    api.wait_file(node, 50)
    api.settle()
    check_file(api.events(), node)
    assert observer.stop()[0] == 0, observer.log()


@case(needs=("root",))
def no_bpf():
    """--no-bpf as root: it says what stays unseen; lines of a log_files path still arrive"""
    api = Api()
    node = ProcessNode(script_lines("old", 20) + "gate\n" + script_lines("new", 20))
    node.wait_written(20)
    observer = Observer(api, by_path(node), ["--no-bpf"]).start()
    api.wait_file(node, 20)
    node.gate()
    all_lines_arrive(api, node, 40)
    assert "BPF" in observer.log().upper(), observer.log()
    assert "inotify" in observer.log() + observer.get("/health"), observer.log()
    assert observer.stop()[0] == 0, observer.log()


@case(needs=("root",))
def no_bpf_config():
    """probes.bpf: false is the same as --no-bpf"""
    api = Api()
    node = ProcessNode("", "--burst", 5000)
    Observer(api, by_path(node, probes={"bpf": False})).start()
    all_lines_arrive(api, node, 5000)


@case(needs=("root", "setpriv"))
def unprivileged():
    """as a user without rights: it says what it cannot do; lines of a log_files path arrive"""
    api = Api()
    node = ProcessNode(script_lines("old", 20) + "gate\n" + script_lines("new", 20))
    setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    # it must be able to reach the program, wherever the tree stands
    program = Env.tmp / "gswarm-observer"
    shutil.copy(Env.observer, program)
    program.chmod(0o755)
    Env.observer = str(program)
    observer = Observer(api, by_path(node), prefix=setpriv)
    os.chown(observer.dir, 65534, 65534)
    observer.start()
    node.gate()
    all_lines_arrive(api, node, 40)
    log = observer.log()
    assert "root" in log or "CAP_" in log or "privilege" in log or "permitted" in log, log
    wait_for("a canary", lambda: observer.metrics()["gswarm_canary_seen_total"] >= 1, 15)
    assert observer.metrics()["gswarm_canary_missed_total"] == 0, observer.health()
    assert observer.stop()[0] == 0, log

    out = observer_cmd("doctor", prefix=setpriv)
    assert out.returncode in (0, 1) and out.stdout, out
    assert "inotify" in out.stdout, out.stdout


@case(needs=("root",))
def nothing_to_watch():
    """no node, no API, no Docker, no BPF: it waits, answers /health, ends when asked"""
    observer = Observer(None, args=["--no-bpf"]).start()
    assert observer.health() and observer.metrics()
    assert observer.stop()[0] == 0, observer.log()
