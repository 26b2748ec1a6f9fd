# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that run without any container."""

from cases import case
from harness import (Api, Env, Observer, ProcessNode, check_file, check_order, check_origin, of_node,
                     script_lines, wait_for)


@case(needs=("root", "bpf"))
def tree_before():
    """a process tree that was there first, found by its command line"""
    api = Api()
    node = ProcessNode(script_lines("old", 30) + "gate\n" + script_lines("new", 30))
    node.wait_written(30)
    Observer(api, {"targets": {"include": {"command": [node.glob()]}}}).start()
    api.wait_file(node, 30)
    node.gate()
    api.wait_file(node, 60)
    api.settle()
    events = check_file(api.events(), node)
    check_order(events, node)
    check_origin(events[30:], node, via="file")
    assert not any("container" in e["origin"] for e in events), events[0]["origin"]


@case(needs=("root", "bpf"))
def tree_after():
    """a process tree that comes later; another one beside it is left alone"""
    api = Api()
    other = ProcessNode("gate\n" + script_lines("other", 10))
    Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]},
                               "exclude": {"command": [other.glob()]}}}).start()
    node = ProcessNode(script_lines("mine", 200))
    api.wait_file(node, 200)
    other.gate()
    other.wait_written(10)
    api.settle()
    check_origin(check_file(api.events(), node), node)
    assert not of_node(api.events(), other), "an excluded tree was observed"


@case(needs=("root", "bpf"))
def two_trees():
    """two trees at once, one ends in the middle: its last lines arrive, the other goes on"""
    api = Api()
    nodes = [ProcessNode("gate\n" + script_lines(t, 100, 5)) for t in "ab"]
    Observer(api, {"targets": {"include": {"command": [n.glob() for n in nodes]}}}).start()
    for node in nodes:
        node.process("trainer")
        node.gate()
    wait_for("some lines", lambda: len(nodes[0].lines()) > 20, 10)
    nodes[0].popen.send_signal(15)
    nodes[0].popen.wait(5)
    nodes[1].wait_written(100)
    api.wait_file(nodes[1], 100)
    api.wait_file(nodes[0], len(nodes[0].lines()))
    api.settle()
    for node in nodes:
        check_file(api.events(), node)
