# SPDX-License-Identifier: BSD-2-Clause
"""What a node says on stdout and stderr, on pipes and terminals, and what its engine keeps of it."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from cases import case
from harness import Api, ContainerNode, Env, Observer, of_node, wait_for
from writer import Writer


def spoken(events):
    """The lines of consoles: (pid, descriptor's name) -> texts, in order."""
    out = {}
    for e in events:
        o = e.get("origin", {})
        if o.get("via") == "console" and o.get("path") in ("stdout", "stderr"):
            out.setdefault((o.get("pid"), o["path"]), []).append(e["details"].get("message", ""))
    return out


def watching():
    return Observer(None, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}}
                    ).start()


def end_all(word):
    """The processes that we started with this word in their command line: also daemons."""
    for p in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (p / "cmdline").read_bytes() and int(p.name) != os.getpid():
                os.kill(int(p.name), signal.SIGKILL)


@case(needs=("root", "bpf"))
def pipes_are_not_mixed():
    """two processes on one pipe and one on two: lines in pieces, joined per process and descriptor"""
    observer = watching()
    ours, theirs = os.pipe()
    drain = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL)
    Env.cleanup.callback(drain.kill)
    a, b = (Writer(Env.tmp, stdout=theirs, stderr=theirs) for _ in "ab")
    os.close(ours)
    os.close(theirs)
    for w in (a, b):
        Env.cleanup.callback(w.end)
    wait_for("the nodes", lambda: observer.metrics().get("gswarm_nodes") == 2, 10)
    step = 20
    for i in range(0, 200, step):
        for w, tag in ((a, "a"), (b, "b")):
            for fd in (1, 2):
                w.do(f"for i in range({i}, {i + step}):\n"
                     f"    for part in (b'{tag}{fd} ', b'line ', b'%d' % i, b'\\n'): "
                     f"os.write({fd}, part)")
    want = {(w.pid, name): [f"{tag}{fd} line {i}" for i in range(200)]
            for w, tag in ((a, "a"), (b, "b")) for fd, name in ((1, "stdout"), (2, "stderr"))}
    wait_for("all lines", lambda: spoken(observer.stored()) == want, 15, 0.2)


def on_terminal(argv, needs):
    """A writer whose stdout is a terminal that another program made."""

    def run():
        observer = watching()
        home = Env.tmp / "gso-test-node-tty"
        home.mkdir()
        script = home / "speak.sh"
        script.write_text("#!/bin/sh\ntest -t 1 || exit 1\nsleep 1\nfor i in 1 2 3; do printf 'said '; "
                          "echo $i; done\nprintf 'and asked: '\nsleep 30\n")
        script.chmod(0o755)
        env = {**os.environ, "TERM": "xterm", "SCREENDIR": str(home), "TMUX_TMPDIR": str(home)}
        os.chmod(home, 0o700)
        p = subprocess.Popen([a.format(script=script, home=home) for a in argv], env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        Env.cleanup.callback(p.kill)
        Env.cleanup.callback(end_all, str(script))

        def told():
            for texts in spoken(observer.stored()).values():
                if texts == ["said 1", "said 2", "said 3", "and asked: "]:
                    return True
            raise AssertionError(spoken(observer.stored()))

        wait_for("what was said", told, 15, 0.2)

    name = next(a for a in argv if not a.startswith("-"))
    run.__name__ = f"terminal_of_{name}"
    run.__doc__ = f"a node under {name}: what it says on its terminal, and its prompt"
    case(needs=("root", "bpf", *needs))(run)


on_terminal(["script", "-q", "-c", "{script}", "/dev/null"], ("script",))
on_terminal(["tmux", "-f", "/dev/null", "new-session", "-d", "{script}"], ("tmux",))
on_terminal(["screen", "-D", "-m", "{script}"], ("screen",))


@case()
def engine_log():
    """BPF refused: what Docker keeps of stdout and stderr is followed instead, also over a restart"""
    script = "gate\n" + "".join(f"out 0 said {i}\nerr 0 complained {i}\n" for i in range(50))
    script += "gate\nout 0 later\nfile 0 the end\n"
    api = Api()
    observer = Observer(api, args=["--no-bpf"]).start()
    node = ContainerNode(script)
    node.process("trainer")
    node.gate()

    def texts():
        return sorted(e["details"].get("message", "") for e in of_node(observer.stored(), node)
                      if e["origin"].get("path", "").endswith("-json.log"))

    want = sorted([f"said {i}" for i in range(50)] + [f"complained {i}" for i in range(50)])
    wait_for("them", lambda: [t for t in texts() if t in want] == want, 15, 0.2)
    observer.kill()
    node.gate()
    time.sleep(0.3)
    observer.start()
    wait_for("the last", lambda: "later" in texts(), 15, 0.2)
    time.sleep(1.5)
    assert [t for t in texts() if t in want] == want, "a line came twice"
    assert texts().count("later") == 1


@case()
def seen_twice():
    """a line in the log and on the console is stored for both: same details, told by origin.via"""
    text = "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][INFO] - Joining round: 7"
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode(f"gate\nfile 0 {text}\nout 0 {text}\n")
    node.process("trainer")
    node.gate()

    def both():
        found = [e for e in of_node(observer.stored(), node)
                 if e["details"].get("event") == "round_joined"]
        via = {e["origin"]["via"]: e["details"] for e in found}
        assert len(found) == 2 and set(via) == {"file", "console"}, found
        return via

    via = wait_for("both", both, 15, 0.2)
    assert via["file"] == via["console"], via


@case()
def kubelet_log():
    """BPF refused, and a log as a kubelet keeps it: found by the container's id, read as text"""
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode("gate\n", opts=["--log-driver", "none"])
    logs = Path("/var/log/containers")
    if not logs.exists():
        logs.mkdir()
        Env.cleanup.callback(logs.rmdir)
    log = logs / f"gso-test_default_node-{node.id}.log"
    Env.cleanup.callback(lambda: log.unlink(missing_ok=True))
    log.write_text("2026-10-06T00:17:09.669794202Z stdout F said by a pod\n"
                   "2026-10-06T00:17:10.669794202Z stderr F complained by a pod\n")

    def texts():
        return [e["details"].get("message") for e in of_node(observer.stored(), node)
                if e["origin"].get("path") == str(log)]

    wait_for("both", lambda: texts() == ["said by a pod", "complained by a pod"], 15, 0.2)
