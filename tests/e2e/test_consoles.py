# SPDX-License-Identifier: BSD-2-Clause
"""What a node says on stdout and stderr, on pipes and terminals, and what its engine keeps of it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from cases import case
from cri import link_log
from harness import (Api, ContainerNode, Env, Observer, docker, observer_cmd, of_node,
                     wait_for)
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


KEPT = {"json_file": ("json-file", "-json.log"), "local": ("local", "/local-logs/container.log")}


def kept_texts(observer, node, ending):
    """What the engine's file of this node gave: the lines' texts, in the order of events."""
    return [e["details"].get("message", "") for e in of_node(observer.stored(), node)
            if e["origin"]["via"] == "console" and e["origin"].get("path", "").endswith(ending)]


def per_driver(run):
    """One case for each log driver of Docker whose files are read."""
    for name, (driver, ending) in KEPT.items():

        def one(driver=driver, ending=ending):
            run(driver, ending)

        one.__name__ = f"{run.__name__}_{name}"
        one.__doc__ = f"{run.__doc__} (log driver {driver})"
        case()(one)


@per_driver
def engine_log(driver, ending):
    """BPF refused: what Docker keeps of stdout and stderr is followed instead, also over a restart"""
    script = "gate\n" + "".join(f"out 0 said {i}\nerr 0 complained {i}\n" for i in range(50))
    script += "gate\nout 0 later\nfile 0 the end\n"
    api = Api()
    observer = Observer(api, args=["--no-bpf"]).start()
    node = ContainerNode(script, opts=["--log-driver", driver])
    node.process("trainer")
    node.gate()

    def texts():
        return sorted(kept_texts(observer, node, ending))

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


@per_driver
def engine_log_long_lines(driver, ending):
    """BPF refused: lines that Docker keeps in several entries are whole, also beside another's"""
    a, b, c = ("abcdefghij" * 4500, "0123456789" * 1638 + "4567", "x" * 16384)
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode(f"gate\nout 0 {a}\nout 0 {b}\nerr 0 short\nout 0 {c}\\rbar 1\\rbar 2\n"
                         "out 0 the end\n", opts=["--log-driver", driver])
    node.process("trainer")
    node.gate()
    texts = wait_for("the end", lambda: (t := kept_texts(observer, node, ending))
                     and "the end" in t and "short" in t and t, 15, 0.2)
    assert [t for t in texts if t != "short"] == [a, b, c, "bar 1", "bar 2", "the end"], \
        [t[:20] + f"…{len(t)}" for t in texts]


@per_driver
def engine_log_rotates(driver, ending):
    """BPF refused: the engine rotates its file many times, also while nobody looks: each line once"""
    n = 1600
    opts = ["--log-driver", driver, "--log-opt", "max-size=40k", "--log-opt", "max-file=4"]
    script = f"gate\nloop {n}\nout 0 line %{{n}} of a console that is rotated away\nend\n"
    script += "gate\nloop 300\nout 0 unwatched %{n}\nend\ngate\nout 0 the end\n"
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode(script.replace("out 0 line", "out 1 line"), opts=opts)
    node.process("trainer")
    node.gate()

    def texts(*words):
        return [t for t in kept_texts(observer, node, "") if t.startswith(words)]

    want = [f"line {i} of a console that is rotated away" for i in range(n)]
    def enough():
        got = texts("line")
        lost = [i for i, w in enumerate(want) if w not in set(got)]
        assert len(got) >= n, (len(got), lost[:3], lost[-3:])
        return True

    wait_for("the lines", enough, 40, 0.5)
    assert sorted(texts("line")) == sorted(want)
    observer.kill()
    node.gate()
    time.sleep(1)
    observer.start()
    node.gate()
    wait_for("the end", lambda: "the end" in texts("the end"), 15, 0.3)
    time.sleep(1.5)
    assert sorted(texts("unwatched")) == sorted(f"unwatched {i}" for i in range(300)), \
        len(texts("unwatched"))
    assert sorted(texts("line")) == sorted(want), "a line came twice"


def same_but_for_the_time(of_file, of_console):
    """The file's line has no time but the text's own; that of the console its engine tells."""
    details = dict(of_file["details"])
    return details.pop("time_source") == "log" and details == of_console["details"]


def both_ways(observer, node):
    """A line that stands in the log and on the console: its two events, by origin.via."""
    def both():
        found = [e for e in of_node(observer.stored(), node)
                 if e["details"].get("event") == "round_joined"]
        via = {e["origin"]["via"]: e for e in found}
        assert len(found) == 2 and set(via) == {"backfill", "console"}, found
        return via

    return wait_for("both", both, 15, 0.2)


@per_driver
def seen_twice_without_bpf(driver, ending):
    """BPF refused: a line in the log and on the console is stored for both, told by origin.via"""
    text = "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][INFO] - Joining round: 7"
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode(f"gate\nfile 0 {text}\nout 0 {text}\n", opts=["--log-driver", driver])
    node.process("trainer")
    node.gate()

    via = both_ways(observer, node)
    assert via["console"]["origin"]["path"].endswith(ending), via
    assert same_but_for_the_time(via["backfill"], via["console"]), via


@case()
def seen_twice_in_a_pod():
    """the same with a log as a kubelet keeps it, where a long line stands in parts"""
    text = "[2025-09-25 17:35:18,616][genrl.logging_utils.global_defs][INFO] - Joining round: 7"
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode(f"gate\nfile 0 {text}\n", opts=["--log-driver", "none"])
    log = Env.tmp / "0.log"
    link_log(f"gso-test_default_node-{node.id}.log", log)
    log.write_text(f"2025-09-25T21:35:18.7Z stdout P {text[:60]}\n"
                   f"2025-09-25T21:35:18.7Z stdout F {text[60:]}\n")
    node.process("trainer")
    node.gate()

    via = both_ways(observer, node)
    assert same_but_for_the_time(via["backfill"], via["console"]), via


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
    """BPF refused, and a log as a kubelet keeps it: found by the container's id, lines in parts are joined"""
    observer = Observer(None, args=["--no-bpf"]).start()
    node = ContainerNode("gate\n", opts=["--log-driver", "none"])
    log = Env.tmp / "0.log"
    link_log(f"gso-test_default_node-{node.id}.log", log)
    log.write_text("2026-10-06T00:17:09.669794202Z stdout F said by a pod\n"
                   "2026-10-06T00:17:10.669794202Z stdout P a line \n"
                   "2026-10-06T00:17:10.669794202Z stderr F complained by a pod\n"
                   "2026-10-06T00:17:10.769794202Z stdout P in three \n"
                   "2026-10-06T00:17:10.869794202Z stdout F parts\n")

    def texts():
        return [e["details"].get("message") for e in of_node(observer.stored(), node)
                if e["origin"].get("path") == str(log)]

    want = ["said by a pod", "complained by a pod", "a line in three parts"]
    wait_for("all", lambda: sorted(texts()) == sorted(want), 15, 0.2)


@case()
def engine_log_or_none():
    """BPF refused: doctor and /health say that engines' files are read, and whose console is unseen"""
    observer = Observer(None, args=["--no-bpf"]).start()
    doctor = observer_cmd("doctor", "--no-bpf", "-c", observer.config_path).stdout
    row = doctor[doctor.index("console writes"):doctor.index("processes")]
    assert "engine's log file" in row and "log-driver none" in row, doctor
    heard = ContainerNode("gate\n")
    mute = ContainerNode("gate\n", opts=["--log-driver", "none"])

    def said():
        health = observer.health()
        probe = next(p for p in health["probes"] if p["need"] == "console writes")
        assert probe["ok"] and "engine's log file" in probe["rung"], probe
        words = [r for r in health["reasons"] if r.startswith("console writes")]
        assert len(words) == 1 and mute.container in words[0], health["reasons"]
        assert heard.container not in words[0], words
        return health

    assert wait_for("the mute node in words", said, 15, 0.3)["status"] == "degraded"


def heard(observer, node, word):
    """Lines of this node's console that start with a word: text -> (captured, from the file)."""
    out = {}
    for e in of_node(observer.stored(), node):
        text = e["details"].get("message", "")
        if e["origin"]["via"] == "console" and text.startswith(word):
            captured, kept = out.get(text, (0, 0))
            from_file = "offset" in e["origin"]
            out[text] = (captured + (not from_file), kept + from_file)
    return out


def each_once(observer, node, word, n, limit_s=30):
    """Wait until the lines 0 … n - 1 are there; return how many came from the engine's file."""

    def all_there():
        got = heard(observer, node, word)
        missing = [i for i in range(n) if f"{word} {i}" not in got]
        assert not missing, (len(missing), missing[:3], missing[-3:])
        return got

    wait_for(f"{n} lines", all_there, limit_s, 0.5)
    time.sleep(2.5)  # nothing comes twice, later
    got = heard(observer, node, word)
    assert set(got) == {f"{word} {i}" for i in range(n)}, set(got)
    twice = {text: n for text, n in got.items() if sum(n) != 1}
    assert not twice, (len(twice), list(twice.items())[:5])
    return sum(kept for _, kept in got.values())


def ledger_of_consoles(observer):
    """The sums of docs/operations.md that consoles have a part in. Return: the metrics."""
    m = observer.metrics()
    dropped = sum(v for k, v in m.items() if k.startswith("gswarm_ring_lost_console_bytes_total"))
    holes = m["gswarm_console_hole_bytes_total"]
    lost = m['gswarm_lost_bytes_total{reason="console"}']
    foreign = m["gswarm_console_foreign_bytes_total"]  # of another case's container, before Docker answers
    assert holes + lost + foreign == dropped, (holes, lost, foreign, dropped)
    assert m['gswarm_lines_total{place="captured"}'] + m['gswarm_lines_total{place="backfilled"}'] \
        == m["gswarm_lines_parsed_total"]
    return m


def said(node, word):
    """How many lines of the node's console that start so its engine has."""
    return len(re.findall(rf"^{word} \d", docker("logs", node.id), re.M))


@per_driver
def burst_through_a_tiny_ring(driver, ending):
    """a console that is louder than the ring: what was dropped is taken from the engine's file"""
    n = 6000
    script = f"gate\nloop {n // 2} 0\nout 0 burst %{{n}}\nend\n"
    script += f"gate\nloop {n // 2} {n // 2}\nout 0 burst %{{n}}\nend\n"
    observer = Observer(None, {"limits": {"ring_bytes": "64KiB"}}).start()
    node = ContainerNode(script, opts=["--log-driver", driver])
    node.process("trainer")
    node.gate()
    wait_for("half of it", lambda: said(node, "burst") >= n // 2, 30, 0.2)
    with observer.standing_still():
        node.gate()
        wait_for("the rest", lambda: said(node, "burst") >= n, 30, 0.2)
    repaired = each_once(observer, node, "burst", n, 60)
    m = wait_for("the ledger", lambda: ledger_of_consoles(observer), 10)
    counted = {place: m[f'gswarm_console_log_lines_total{{place="{place}"}}']
               for place in ("captured", "repaired", "unsure")}
    assert repaired and m["gswarm_console_hole_bytes_total"] > 0, "nothing was dropped: no test"
    assert counted["repaired"] >= repaired and counted["unsure"] == 0, (counted, repaired)
    assert sum(counted.values()) >= n
    assert m['gswarm_lost_bytes_total{reason="console"}'] == 0


@case()
def burst_without_engine_file():
    """the same where no engine keeps the console: what was dropped is lost, and counted in bytes"""
    n = 5000
    observer = Observer(None, {"limits": {"ring_bytes": "64KiB"}}).start()
    node = ContainerNode(f"gate\nloop {n} 0\nout 0 burst %{{n}}\nend\nfile 0 the end\n",
                         opts=["--log-driver", "none"])
    node.process("trainer")
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes"), 10)
    with observer.standing_still():
        node.gate()
        node.wait_written(1)
    bytes_said = sum(len(f"burst {i}\n") for i in range(n))

    def adds_up():
        m = ledger_of_consoles(observer)
        got = heard(observer, node, "burst")
        lost = m['gswarm_lost_bytes_total{reason="console"}']
        assert lost > 0 and m["gswarm_console_hole_bytes_total"] == 0, lost
        assert sum(len(t) + 1 for t in got) + lost == bytes_said, (len(got), lost)
        return True

    wait_for("the sum", adds_up, 15, 0.3)


@case()
def burst_of_no_node():
    """a container that turns out to be no node: what was dropped of its console is no node's loss"""
    with socket.socket(socket.AF_UNIX) as mute:  # an engine that does not answer: all are captured meanwhile
        mute.bind(str(Env.tmp / "mute.sock"))
        mute.listen(16)
        observer = Observer(None, {"limits": {"ring_bytes": "64KiB"},
                                   "targets": {"docker_socket": str(Env.tmp / "mute.sock")}}).start()
        node = ContainerNode("gate\nloop 5000 0\nout 0 burst %{n}\nend\nfile 0 the end\n")
        node.process("trainer")
        with observer.standing_still():
            node.gate()
            node.wait_written(1)

        def told_apart():
            m = ledger_of_consoles(observer)
            foreign = m["gswarm_console_foreign_bytes_total"]
            assert foreign > 0 and m["gswarm_nodes"] == 0, (foreign, m["gswarm_nodes"])
            return True
        wait_for("it to be no node", told_apart, 15, 0.3)


@case()
def console_before_the_observer():
    """the observer starts while a container speaks: all that its engine kept comes, each line once"""
    n = 6000
    node = ContainerNode(f"gate\nloop {n} 0\nout 0 line %{{n}}\nend\nout 0 the end\n")
    node.process("trainer")
    node.gate()
    wait_for("some lines", lambda: said(node, "line") > 100, 20, 0.05)
    observer = Observer(None, {"initial_tail_lines": 0}).start()
    repaired = each_once(observer, node, "line", n, 60)
    assert repaired > 100, repaired


@case()
def console_first_milliseconds():
    """a container that speaks and ends at once: nothing of it is missing, nothing comes twice"""
    observer = Observer(None).start()
    node = ContainerNode("loop 50 0\nout 0 line %{n}\nend\nexit 3\n")
    each_once(observer, node, "line", 50)


@case()
def console_over_kill():
    """kill -9 while a container speaks, and goes on: each line of its console once"""
    n = 1600
    observer = Observer(None).start()
    node = ContainerNode(f"gate\nloop {n} 0\nout 2 line %{{n}}\nend\n")
    node.process("trainer")
    node.gate()
    for i in range(4):
        wait_for("more", lambda: said(node, "line") > (i + 1) * n // 6, 30, 0.02)
        observer.kill()
        time.sleep(0.4)
        observer.start()
    each_once(observer, node, "line", n, 60)


@per_driver
def console_rotated(driver, ending):
    """the engine rotates its file while a console is captured: all of it is met again, no line twice"""
    n = 1500
    observer = Observer(None).start()
    node = ContainerNode(f"gate\nloop {n} 0\nout 1 line %{{n}}\nend\n",
                         opts=["--log-driver", driver, "--log-opt", "max-size=20k",
                               "--log-opt", "max-file=4"])
    node.process("trainer")
    node.gate()
    assert each_once(observer, node, "line", n) == 0, "captured, and taken from the file"

    def met():
        m = observer.metrics()
        counted = [m[f'gswarm_console_log_lines_total{{place="{place}"}}']
                   for place in ("captured", "repaired", "unsure")]
        assert counted[0] >= n and counted[1:] == [0, 0], counted
        return True

    wait_for("all lines in the files", met, 20, 0.3)


@case()
def console_of_a_restarted_container():
    """docker restart of a container that speaks: each line of each of its lives once"""
    n = 150
    observer = Observer(None).start()
    node = ContainerNode(f"loop {n} 0\nout 1 line %{{n}}\nend\n")
    for life in (1, 2, 3):
        wait_for("its lines", lambda: said(node, "line") >= life * n, 20, 0.05)
        if life < 3:
            docker("restart", "-t", "0", node.id)

    def all_there():
        got = heard(observer, node, "line")
        assert len(got) == n and all(sum(v) >= 3 for v in got.values()), list(got.items())[:3]
        return got

    wait_for("the lines", all_there, 20, 0.3)
    time.sleep(4)
    got = heard(observer, node, "line")
    assert all(sum(v) == 3 for v in got.values()), [x for x in got.items() if sum(x[1]) != 3][:5]


@case()
def console_interleaved():
    """two processes write halves of lines to one container's console: what the engine mixes of them
    is known to be captured"""
    n = 200
    observer = Observer(None).start()
    node = ContainerNode(f"gate\nloop {n} 0\nout 2 line \\c\nsh 1 word \\c\nout 1 %{{n}}\n"
                         "sh 1 %{n}\nend\n")
    node.process("trainer")
    node.gate()
    for word in ("line", "word"):
        assert each_once(observer, node, word, n) == 0, "captured, and taken from the file"
    log = docker("logs", node.id)
    assert re.search("line word|word line", log), "nothing was mixed: no test"
    m = observer.metrics()
    assert m['gswarm_console_log_lines_total{place="repaired"}'] == 0
    assert m['gswarm_console_log_lines_total{place="captured"}'] >= 2 * n
