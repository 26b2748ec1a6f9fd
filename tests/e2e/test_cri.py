# SPDX-License-Identifier: BSD-2-Clause
"""The log that a real CRI runtime keeps of a real pod's console: followed without BPF, repaired from with it."""

from cases import case
from cri import Cri, PodNode
from harness import Observer, of_node, wait_for
from test_consoles import each_once, ledger_of_consoles


def observer_of(node, args=(), **config):
    return Observer(None, {"targets": {"include": {"command": [node.glob()]}}, **config}, args=args).start()


def count(node, word):
    return sum(text.startswith(f"{word} ") for _, text in node.said())


@case(limit_s=120)
def followed():
    """BPF refused: a pod's console comes from its CRI log, a line of 20,000 bytes too, and over two rotations"""
    long = "long " + "x" * 20000
    part = "loop 100 {0}\nout 0 line %{{n}}\nend\ngate\n"
    node = PodNode(Cri(), f"gate\nerr 0 complained\nout 0 {long}\n" + "".join(map(part.format, (0, 100, 200))))
    observer = observer_of(node, ["--no-bpf"])
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    for turn in (1, 2, 3):
        node.gate()
        wait_for("its lines in the log", lambda: count(node, "line") == 100 * turn, 20, 0.1)
        if turn == 1:
            assert ("stderr", "complained") in node.said() and " stdout P long " in node.log.read_text()
        if turn < 3:
            node.rotate()
    assert each_once(observer, node, "line", 300) == 300
    told = [e for e in of_node(observer.stored(), node) if e["origin"]["via"] == "console"]
    assert {"complained", long} <= {e["details"].get("message") for e in told}
    assert any(e["origin"]["path"] == str(node.log) for e in told), told[-1]


@case(limit_s=120)
def repaired():
    """a pod that is louder than the ring: what was dropped is taken from its CRI log, each line once"""
    n = 6000
    node = PodNode(Cri(), "".join(f"gate\nloop {n // 2} {at}\nout 0 burst %{{n}}\nend\n" for at in (0, n // 2)))
    observer = observer_of(node, limits={"ring_bytes": "64KiB"})
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 20)
    node.gate()
    wait_for("half of it", lambda: count(node, "burst") >= n // 2, 30, 0.2)
    with observer.standing_still():
        node.gate()
        wait_for("the rest", lambda: count(node, "burst") >= n, 30, 0.2)
    assert each_once(observer, node, "burst", n, 60)
    m = wait_for("the ledger", lambda: ledger_of_consoles(observer), 10)
    assert m["gswarm_console_hole_bytes_total"] > 0, "nothing was dropped: no test"
    assert m['gswarm_lost_bytes_total{reason="console"}'] == 0
