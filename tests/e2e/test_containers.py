# SPDX-License-Identifier: BSD-2-Clause
"""A container's life: renamed, recreated, paused, left out."""

import time

from cases import case
from harness import (Api, ContainerNode, Observer, check_file, check_order, docker, of_file,
                     of_node, script_lines, skip_beside_other_nodes, unique, wait_for)


@case()
def rename():
    """renamed: events carry the new name from then on, and no line is lost"""
    api = Api()
    Observer(api).start()
    node = ContainerNode(script_lines("before", 20) + "gate\n" + script_lines("after", 20))
    old = node.container
    api.wait_file(node, 20)
    node.container = unique()
    docker("rename", old, node.container)
    time.sleep(1)
    node.gate()
    api.wait_file(node, 40)
    api.settle()
    events = check_file(api.events(), node)
    names = [e["origin"]["container"] for e in events]
    assert names == [old] * 20 + [node.container] * 20, names


@case()
def recreate():
    """removed and made again under its name: a new id, a new file, each line once"""
    api = Api()
    Observer(api).start()
    name = unique()
    lives = []
    for i in range(3):
        node = ContainerNode(script_lines(f"life {i}", 50), name=name)
        node.wait_written(50)
        lives.append((node, node.lines()))
        api.wait_file(node, 50)
        node.remove()
    api.settle()
    for node, lines in lives:
        events = check_file(api.events(), node, expected=lines)
        assert {e["origin"]["container"] for e in events} == {name}
    ids = {e["event_id"] for e in api.events()}
    assert len(ids) == len(api.events()), "an event_id came twice"


@case()
def short_life():
    """a container that writes and ends at once: its lines are caught"""
    api = Api()
    Observer(api).start()
    node = ContainerNode(script_lines("x", 20) + "exit 0\n")
    wait_for("its lines", lambda: len(of_file(api.events(), node)) >= 20, 10)
    api.settle()
    texts = [e["details"]["message"] for e in of_file(api.events(), node)]
    assert texts == [f"x {i}" for i in range(20)], texts


@case()
def pause():
    """paused and unpaused: nothing comes meanwhile, all of it afterwards"""
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode("gate\n" + script_lines("x", 200, 20))
    node.gate()
    api.wait_file(node, 20)
    docker("pause", node.container)
    api.settle(2.5)  # the last record waits a second for continuation lines
    n = api.count
    time.sleep(1.5)
    assert len(of_file(api.events()[n:], node)) == 0, "lines of a paused container"
    assert observer.process.poll() is None
    docker("unpause", node.container)
    node.wait_written(200)
    api.wait_file(node, 200)
    api.settle()
    check_order(check_file(api.events(), node), node)


@case()
def restart():
    """docker restart: the same container and file, appended to, each line once"""
    api = Api()
    Observer(api).start()
    node = ContainerNode(script_lines("x", 50))
    api.wait_file(node, 50)
    docker("restart", "-t", "2", node.container)
    node.pid = int(docker("inspect", "-f", "{{.State.Pid}}", node.id))
    node.wait_written(100)
    api.wait_file(node, 100)
    api.settle()
    check_file(api.events(), node)


@case()
def exclude():
    """excluded by name: nothing of it arrives"""
    api = Api()
    Observer(api, {"targets": {"include": {"container": ["gso-test-*"]},
                               "exclude": {"container": ["gso-test-not-*"]}}}).start()
    out = ContainerNode(script_lines("no", 50), name=unique("gso-test-not"))
    node = ContainerNode(script_lines("yes", 50))
    out.wait_written(50)
    api.wait_file(node, 50)
    api.settle()
    check_file(api.events(), node)
    assert not of_node(api.events(), out), of_node(api.events(), out)[0]


@case(alone=True)
def builtin_rules():
    """with no rule at all a node is found by what runs in it; a container without is not"""
    skip_beside_other_nodes()
    api = Api()
    Observer(api, {"targets": {"builtin": True, "include": {"container": []}}}).start()
    docker("run", "-d", "--network", "none", "--name", (name := unique()), "--entrypoint",
           "/bin/sh", "gswarm/node:test", "-c",
           "while :; do echo no >>/tmp/x.log; echo no; sleep 0.1; done")
    node = ContainerNode(script_lines("yes", 50))
    api.wait_file(node, 50)
    api.settle()
    check_file(api.events(), node)
    other = [e for e in api.events() if e.get("origin", {}).get("container") == name]
    assert not other, other[0]
