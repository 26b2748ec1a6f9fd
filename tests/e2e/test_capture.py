# SPDX-License-Identifier: BSD-2-Clause
"""Lines written in real containers arrive at the API, once, with the right origin."""

from cases import case
from harness import (DATA, WANDB_LOG, YARN_LOG, Api, ContainerNode, Observer, check_file,
                     check_order, check_origin, check_shape, g3, of_file, of_node, script_lines,
                     wait_for)


def via(events):
    return {e["origin"]["via"] for e in events}


@case()
def container_before():
    """a container that was there first: its old lines are read from the file, new ones caught"""
    node = ContainerNode(script_lines("early", 50) + "gate\n" + script_lines("late", 50))
    node.wait_written(50)
    api = Api()
    Observer(api).start()
    api.wait_file(node, 50)
    early = check_file(api.events(), node)
    assert via(early) == {"backfill"}, via(early)
    check_origin(early, node)

    node.gate()
    api.wait_file(node, 100)
    api.settle()
    both = check_file(api.events(), node)
    check_shape(api.events())
    check_order(api.events(), node)
    check_origin(both[50:], node, via="file")


@case()
def container_after():
    """a container that comes later is seen from its first line on"""
    api = Api()
    Observer(api).start()
    node = ContainerNode(script_lines("first", 200) + "gate\n" + script_lines("second", 50))
    api.wait_file(node, 200)
    node.gate()
    api.wait_file(node, 250)
    api.settle()
    events = check_file(api.events(), node)
    check_order(events, node)
    check_origin(events, node)
    check_origin(events[200:], node, via="file")


@case()
def three_nodes():
    """three nodes at once: each event names its own container, path, process, offset"""
    api = Api()
    nodes = [ContainerNode(script_lines("before", 20) + "gate\n" + script_lines("A", 300, 2))]
    Observer(api).start()
    nodes += [ContainerNode("gate\n" + script_lines(tag, 300, 2)) for tag in ("B", "C")]
    nodes[0].wait_written(20)
    api.wait_file(nodes[0], 20)
    for node in nodes:
        node.gate()
    for node in nodes:
        api.wait_file(node, 320 if node is nodes[0] else 300)
    api.settle()
    events = api.events()
    for node in nodes:
        mine = check_file(events, node)
        check_order(events, node)
        check_origin(mine, node)
        assert any(e["origin"]["via"] == "file" for e in mine), "nothing was caught at the write"
    known = {n.id[:12] for n in nodes}
    others = [e for e in events if e.get("origin", {}).get("container_id", "") not in known | {""}]
    assert not others, f"events of a container that is not ours: {others[0]}"


@case()
def healthy_life():
    """a healthy node's life: every log file is found, known lines get their event names"""
    api = Api()
    Observer(api).start()
    # a gate at the start: the observer shall be asked about a life, not about a race
    node = ContainerNode("gate\n" + (DATA / "scenario-healthy.txt").read_text())
    node.gate()
    wait_for("the scenario's end", lambda: b"400 Client Error" in node.read(), 20)
    lines = node.lines()
    api.wait_file(node, len(lines))
    api.wait_file(node, len(node.lines(WANDB_LOG)), 10, WANDB_LOG)
    api.settle()
    events = api.events()
    check_shape(events)

    # scrubbing may change addresses in a text, never which lines there are
    mine = check_file(events, node, messages=False)
    texts = dict(lines)
    for e in mine:
        if "/ip4/" not in (text := texts[e["origin"]["offset"]]):
            assert text.endswith(e["details"]["message"]), f"{e} is not {text!r}"
    check_file(events, node, WANDB_LOG, messages=False)
    starts = dict(node.lines(YARN_LOG))
    yarn = of_file(events, node, YARN_LOG)
    assert {e["origin"]["offset"] for e in yarn} <= starts.keys(), "yarn.log: not a line's start"
    assert len(yarn) == len({e["origin"]["offset"] for e in yarn}) > 0

    named = {(e["event_type"], e["details"]["event"]) for e in mine}
    for want in (("training_progress", "round_joined"), ("training_progress", "round_started"),
                 ("training_progress", "round_waiting"), ("peer_event", "identity"),
                 ("peer_event", "bootnodes")):
        assert want in named, f"no {want} among {sorted(named)}"
    rounds = [e["details"]["round"] for e in mine if e["details"]["event"] == "round_joined"]
    assert rounds == [39511, 39512, 39513, 39514], rounds
    failed = [e for e in mine if e["details"].get("code") == "SUBMIT_FAILED"]
    assert failed, "the failed submission is not told"


@case()
def console():
    """stdout and stderr: the trainer's, the launcher's, p2pd's; on pipes and on a tty"""
    script = ("gate\nsh 0 >> console of the launcher\nout 0 console of the trainer\n"
              "err 0 errors of the trainer\np2pd 0 Peer ID: console of p2pd\n"
              + script_lines("last", 1))
    want = {"bash": ["console of the launcher"], "p2pd": ["console of p2pd"],
            "python": ["console of the trainer", "errors of the trainer"]}
    api = Api()
    Observer(api).start()
    for node in (ContainerNode(script), ContainerNode(script, tty=True)):
        node.process("p2pd")
        node.gate()
        api.wait_file(node, 1)

        def seen(node=node):
            spoken = [e for e in of_node(api.events(), node) if e["origin"]["via"] == "console"]
            for comm, texts in want.items():
                for text in texts:
                    hits = [e for e in spoken if e["details"].get("message", "").endswith(text)]
                    assert len(hits) == 1, f"{len(hits)} events for {comm}'s {text!r}"
                    assert hits[0]["origin"].get("comm") == comm, hits[0]["origin"]
            return True

        wait_for("the consoles' lines", seen, 10)


@case()
def odd_lines():
    """lines in pieces, carriage returns, bytes that are no UTF-8, a line that is too long"""
    script = ("gate\n"
              f"file 0 {g3('in two ')}\\c\nfile 30 pieces\n"
              f"file 0 {g3('one')}\\r{g3('two')}\n"
              f"file 0 {g3('bad bytes: ')}\\xff\\xfe.\n"
              "burst 1 0 65536\n" + script_lines("after", 1))
    api = Api()
    Observer(api, {"limits": {"line_bytes": 4096}}).start()
    node = ContainerNode(script)
    node.gate()
    node.wait_written(5)
    lines = node.lines()
    assert len(lines) == 6, lines
    api.wait_file(node, 6)
    api.settle()
    events = {e["origin"]["offset"]: e for e in of_file(api.events(), node)}
    assert list(events) == [at for at, _ in lines], f"{list(events)}, {[at for at, _ in lines]}"
    messages = [events[at]["details"]["message"] for at, _ in lines]
    assert messages[:4] == ["in two pieces", "one", "two", "bad bytes: \ufffd\ufffd."], messages[:4]
    long = events[lines[4][0]]["details"]
    assert long.get("truncated") is True and len(long["message"]) <= 4096, len(long["message"])
    assert messages[5] == "after 0"
