# SPDX-License-Identifier: BSD-2-Clause
"""Start, end, and neighbours."""

import re
import signal
import socket
import time

from cases import case
from harness import (Api, ContainerNode, Observer, ProcessNode, check_file, check_ledger, of_file,
                     script_lines, wait_for)


def end_in_burst(sig, codes):
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode("", "--burst", 60_000, "--rate", 20_000, "--gate")
    node.process("trainer")
    node.gate()
    for _ in range(3):
        time.sleep(0.5)
        code, seconds = observer.stop(sig)
        assert code in codes, f"exit {code}\n{observer.log()}"
        assert seconds <= 1.0, f"ended after {seconds:.2f} s"
        observer.start()
    node.wait_written(60_000)
    api.wait_file(node, 60_000)
    api.settle()
    # a clean end leaves nothing half-sent: not even the API sees a line twice
    check_file(api.events(), node)
    check_file(observer.stored(), node)


@case(alone=True)
def sigterm():
    """SIGTERM in a burst: ends within 1 s, exit 0, nothing lost, nothing twice"""
    end_in_burst(signal.SIGTERM, (0,))


@case(alone=True)
def ctrl_c():
    """Ctrl-C in a burst: the same"""
    end_in_burst(signal.SIGINT, (0, 130))


@case(needs=())
def second_observer():
    """a second observer on the same store refuses and names the first one's pid"""
    first = Observer(args=["--no-bpf"]).start()
    second = Observer(config={"state_dir": str(first.state)}, args=["--no-bpf"])
    second.start(ready=False)
    assert second.wait_end() == 1, second.log()
    assert re.search(rf"\b{first.process.pid}\b", second.log()), second.log()
    assert str(first.state) in second.log(), second.log()
    assert first.process.poll() is None and first.health()
    assert first.stop()[0] == 0
    # the lock goes with its holder, also when that was killed
    third = Observer(config={"state_dir": str(first.state)}, args=["--no-bpf"]).start()
    third.kill()
    second.start()
    assert second.stop()[0] == 0


@case()
def port_taken():
    """the health server's port is taken: one clear error names the holder, the rest goes on"""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    port = holder.getsockname()[1]
    api = Api()
    observer = Observer(api, {"server": {"listen": f"127.0.0.1:{port}"}}).start(ready=False)
    wait_for("the error", lambda: str(port) in observer.log(), 10)
    node = ContainerNode(script_lines("x", 50))
    api.wait_file(node, 50)
    api.settle()
    check_file(api.events(), node)
    told = [s for s in observer.log().splitlines() if str(port) in s and "error" in s.lower()]
    assert len(told) == 1, observer.log()
    assert "python" in told[0], f"the holder is not named: {told[0]}"
    assert observer.stop()[0] == 0


@case()
def first_words():
    """at start: what the kernel allows, the nodes, where events go, the health address"""
    observer = Observer().start()
    log = wait_for("the first words", lambda: observer.log() if f":{observer.port}" in observer.log()
                   else "", 5)
    assert len(log.splitlines()) <= 20, f"not a few lines:\n{log}"
    assert re.search(r"sys_exit|fexit|fentry", log), f"no word of the probes:\n{log}"
    # the nodes' line waits a moment for container engines to answer
    wait_for("a word of what to do without a node", lambda: "make demo" in observer.log(), 5)
    log = observer.log()
    assert "api_endpoint" in log or "no API" in log or "not configured" in log, log
    node = ContainerNode(script_lines("x", 5))
    wait_for("the node", lambda: node.container in observer.log(), 10)
    wait_for("its lines", lambda: len(of_file(observer.stored(), node)) == 5, 10)
    check_file(observer.stored(), node)
    check_ledger(observer.metrics(), delivered=False)
    assert observer.stop()[0] == 0
    again = Observer(config={"state_dir": str(observer.state)}).start()
    wait_for("the node, found at start", lambda: node.container in again.log(), 5)


@case(alone=True)
def first_event():
    """a running node's line is at the API soon after the start"""
    api = Api()
    node = ContainerNode(script_lines("x", 5))
    node.wait_written(5)
    start = time.monotonic()
    Observer(api).start(ready=False)
    wait_for("the first event", lambda: api.count > 0, 10, 0.005)
    seconds = time.monotonic() - start
    # 500 ms is the goal; the machine that tests may be busy with others' work
    assert seconds < 2.0, f"first event after {seconds:.2f} s"
    print(f"first event after {seconds * 1000:.0f} ms")


@case(needs=("root", "bpf"))
def lines_first():
    """what lines come by is loaded first: a node is found, and read, before all probes are told of"""
    node = ProcessNode("")
    observer = Observer(config={"targets": {"include": {"command": [f"*{node.home}*"]}}}).start()
    said = observer.log()
    assert 0 <= said.find("found node") < said.find("file writes"), said


@case(needs=("root",))
def broken_pipe():
    """SIGPIPE, as of an API that hangs up, does not end it"""
    observer = Observer(args=["--no-bpf"]).start()
    observer.process.send_signal(signal.SIGPIPE)
    time.sleep(0.3)
    assert observer.process.poll() is None and observer.health(), observer.log()
