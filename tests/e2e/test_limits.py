# SPDX-License-Identifier: BSD-2-Clause
"""Every limit, at its bound: what is over it is counted and said once, and nothing is lost that a
file still holds."""

import socket
import time
from pathlib import Path

from cases import case
from harness import (WANDB_LOG, ContainerNode, Env, Observer, check_file, check_order, g3, of_file,
                     unique, wait_for)
from writer import Writer


def messages(observer):
    return [e["details"].get("message", "") for e in observer.stored()]


def of(name):
    return lambda observer: observer.metrics()[f"gswarm_{name}_total"]


def said(observer, words):
    return sum(words in line for line in observer.log().splitlines())


@case(needs=("root",))
def directories_and_searches():
    """logs in 260 directories, without BPF: 256 directories are watched. All logs are rotated while
    nobody looks: 256 searches for their rest may wait, and all of it comes, once"""
    n, most = 260, 256
    base = Env.tmp / "many"
    for i in range(n):
        (base / str(i)).mkdir(parents=True)
        (base / str(i) / "a.log").write_text(f"first {i}\n")
    observer = Observer(None, {"log_files": [str(base / "*" / "a.log")], "initial_tail_lines": -1},
                        ["--no-bpf"]).start()
    want = sorted(f"first {i}" for i in range(n))
    wait_for("the first lines", lambda: sorted(messages(observer)) == want, 20, 0.3)
    wait_for("what is not watched", lambda: of("places_refused")(observer) == n - most, 10)
    assert said(observer, f"{most} directories are watched") == 1, observer.log()
    assert of("searches_hurried")(observer) == 0
    assert observer.stop()[0] == 0
    for i in range(n):
        with open(base / str(i) / "a.log", "a") as f:
            f.write(f"rest {i}\n")
        (base / str(i) / "a.log").rename(base / str(i) / "a.log.1")
        (base / str(i) / "a.log").write_text(f"new {i}\n")
    observer.start()
    want = sorted(want + [f"{word} {i}" for i in range(n) for word in ("rest", "new")])
    wait_for("all lines", lambda: sorted(messages(observer)) == want, 30, 0.3)
    assert of("searches_hurried")(observer) == n - most
    # in a directory that is not watched, too
    for i in range(n):
        with open(base / str(i) / "a.log", "a") as f:
            f.write(f"last {i}\n")
    want = sorted(want + [f"last {i}" for i in range(n)])
    wait_for("the last lines", lambda: sorted(messages(observer)) == want, 20, 0.3)


@case(needs=("root", "bpf"))
def files_of_the_kernel():
    """a node writes to more files than the kernel's table holds: a followed one that it forgot is
    told of again, and its lines come"""
    observer = Observer(None, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}}
                        ).start()
    w = Writer(Env.tmp)
    Env.cleanup.callback(w.end)
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 10)
    w.do("os.mkdir(home + '/logs')\n"
         "src = os.memfd_create('src')\n"
         "log = os.open(home + '/logs/a.log', os.O_CREAT | os.O_WRONLY)\n"
         "def say(text):\n"
         "    os.pwrite(src, text, 0)\n"
         "    os.sendfile(log, src, 0, len(text))\n"
         "def others(names):\n"
         "    for i in names:\n"
         "        fd = os.open(f'{home}/{i}.bin', os.O_CREAT | os.O_WRONLY)\n"
         "        os.write(fd, b'x')\n"
         "        os.close(fd)\n")
    lines = []
    for turn in range(6):
        lines.append(f"line {turn} of the log")
        w.do(f"say({(lines[-1] + chr(10)).encode()!r})")
        wait_for("it", lambda: messages(observer) == lines, 15)
        if of("files_announced_again")(observer) > 0:
            break
        w.do(f"others(range({turn * 17000}, {turn * 17000 + 17000}))")
    assert of("files_announced_again")(observer) > 0
    assert said(observer, "more files than the kernel's table holds") == 1, observer.log()


def half_lines(args):
    """half a line each in 60 files take more than may be kept: said, and each line comes once"""
    n, part = 60, "x" * 3000
    w = Writer(Env.tmp)
    Env.cleanup.callback(w.end)
    observer = Observer(None, {
        "limits": {"assembly_bytes": "64KiB"}, "log_files": [f"{w.home}/*.log"],
        "targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}}, args).start()
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 10)
    w.do(f"files = [open(f'{{home}}/{{i}}.log', 'ab', buffering=0) for i in range({n})]\n"
         f"for f in files: f.write(b'{part}')")
    put_off = 'gswarm_assembly_full_total{what="put_off"}'
    wait_for("a full assembly", lambda: observer.metrics()[put_off] >= n // 2, 15)
    w.do("for f in files: f.write(b' more')")
    w.do("for i, f in enumerate(files): f.write(b' end %d\\nwhole\\nhalf' % i)")
    want = sorted([f"{part} more end {i}" for i in range(n)] + ["whole"] * n)
    wait_for("the lines", lambda: sorted(messages(observer)) == want, 20, 0.3)
    w.do("for f in files: f.write(b' and half\\n')")
    want = sorted(want + ["half and half"] * n)
    wait_for("the last lines", lambda: sorted(messages(observer)) == want, 20, 0.3)
    m = observer.metrics()
    assert m['gswarm_lines_total{place="captured"}'] + m['gswarm_lines_total{place="backfilled"}'] \
        == 3 * n == m["gswarm_lines_parsed_total"]
    assert m['gswarm_stream_bytes_total{place="captured"}'] \
        + m['gswarm_stream_bytes_total{place="backfilled"}'] \
        == sum(p.stat().st_size for p in Path(w.home).glob("*.log"))
    assert not [k for k, v in m.items() if "lost_bytes" in k and v], "bytes were lost"
    wait_for("a word about it", lambda: said(observer, "take limits.assembly_bytes") == 1, 5)


@case(needs=("root", "bpf"))
def assembly():
    """half a line each in 60 files take more than may be kept: said, and each line comes once"""
    half_lines([])


@case(needs=("root",))
def assembly_inotify():
    """the same without BPF"""
    half_lines(["--no-bpf"])


@case(needs=("root", "prlimit"))
def descriptors_raised():
    """started with few descriptors and allowed more: it takes what it may have"""
    observer = Observer(None, args=["--no-bpf"], prefix=["prlimit", "--nofile=384:4096", "--"]
                        ).start()
    limits = Path(f"/proc/{observer.process.pid}/limits").read_text()
    row = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert row.split()[3:5] == ["4096", "4096"], row


@case(needs=("root",))
def streams():
    """as many files as limits.streams are followed; one more is counted and said"""
    most = 8
    base = Env.tmp / "logs"
    base.mkdir()

    def log(i):
        (base / f"{i}.log").write_text(f"line {i}\n")

    for i in range(most):
        log(i)
    observer = Observer(None, {"log_files": [str(base / "*.log")], "initial_tail_lines": -1,
                               "limits": {"streams": most}}, ["--no-bpf"]).start()
    want = [f"line {i}" for i in range(most)]
    wait_for("those that there is room for", lambda: sorted(messages(observer)) == want, 10, 0.2)
    assert of("streams_refused")(observer) == 0
    log(most)
    wait_for("a refusal", lambda: of("streams_refused")(observer) > 0, 10)
    assert sorted(messages(observer)) == want
    assert said(observer, "which is limits.streams") == 1, observer.log()
    assert observer.metrics()["gswarm_streams"] == most


@case(needs=("root", "prlimit"))
def descriptors_run_out():
    """no more descriptors to be had: that many files are followed, the rest is counted and said"""
    n, most = 100, 96
    base = Env.tmp / "few"
    base.mkdir()
    for i in range(n):
        (base / f"{i}.log").write_text(f"line {i}\n")
    observer = Observer(None, {"log_files": [str(base / "*.log")], "initial_tail_lines": -1},
                        ["--no-bpf"], prefix=["prlimit", f"--nofile={most}:{most}", "--"]).start()
    wait_for("refusals", lambda: of("descriptors_refused")(observer) > 0, 15)
    got = messages(observer)
    assert 20 < len(got) == len(set(got)) < most, len(got)
    assert said(observer, "descriptors run out") == 1, observer.log()


@case()
def pending():
    """the engine does not answer for a second, and the node writes more than may wait meanwhile:
    counted, and read from its files and from what the engine keeps"""
    home = f"/home/gensyn/{unique()}"
    n = 6000
    node = ContainerNode(f"gate\nloop {n // 3}\nfile 1 {g3('line %{n}')}\nout 0 said %{{n}}\nend\n"
                         f"wandb 0 {g3('the end')}\n", home=home)
    node.process("trainer")
    node.gate()
    node.wait_written(50)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(Env.tmp / "mute.sock"))
        mute.listen(16)
        observer = Observer(None, {
            "limits": {"pending_bytes": "4KiB"}, "initial_tail_lines": -1,
            "targets": {"include": {"command": [f"*{home}*"]},
                        "docker_socket": str(Env.tmp / "mute.sock")}}).start()
        wait_for("an overflow", lambda: of("pending_overflow")(observer) > 0, 10)
        node.wait_written(n // 3)
        wait_for("all lines", lambda: len(of_file(observer.stored(), node)) >= n // 3, 30, 0.5)
        check_order(check_file(observer.stored(), node), node)
        wait_for("the end", lambda: check_file(observer.stored(), node, WANDB_LOG), 10, 0.3)
        assert of("pending_console_bytes")(observer) > 0


@case()
def console_pieces():
    """of a console more is captured than is remembered until its engine's file shows it: what is
    not sure is counted, and no line is missing or comes twice"""
    n, most = 4000, 64
    observer = Observer(None, {"limits": {"console_pieces": most}}).start()
    node = ContainerNode(f"gate\nloop {n}\nout 0 line %{{n}}\nend\n")
    node.process("trainer")
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 10)
    node.gate()

    def met():
        m = observer.metrics()
        got = {place: m[f'gswarm_console_log_lines_total{{place="{place}"}}']
               for place in ("captured", "repaired", "unsure")}
        assert sum(got.values()) >= n and got["unsure"] > 0, got
        return got

    got = wait_for("its file", met, 30, 0.2)
    lines = [t for t in messages(observer) if t.startswith("line ")]
    assert lines == [f"line {i}" for i in range(n)], len(lines)
    assert got["repaired"] == 0, got


@case(needs=("root", "bpf"))
def backfill_rate():
    """an old log of 20 MB beside a node that writes: it is read at the rate that is configured,
    new lines come first; once the node is silent it is read at once"""
    rate = 1024 * 1024
    old = Env.tmp / "old.log"
    observer = Observer(None, {
        "forward": "events", "log_files": [str(old)], "initial_tail_lines": -1,
        "limits": {"backfill_bytes_per_s": rate},
        "targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}})
    w = Writer(Env.tmp)
    Env.cleanup.callback(w.end)
    w.do("import threading, time\nos.mkdir(home + '/logs')\nwritten, on = 0, True\n"
         "def live():\n"
         "    global written\n"
         "    with open(home + '/logs/swarm_launcher.log', 'ab', buffering=0) as f:\n"
         "        while on:\n"
         "            f.write(b'a new line\\n')\n"
         "            written += 1\n"
         "            time.sleep(0.02)\n"
         "thread = threading.Thread(target=live)\nthread.start()\n")
    observer.start()

    def place(what):
        m = observer.metrics()
        return m[f'gswarm_lines_total{{place="{what}"}}']

    wait_for("new lines", lambda: place("captured") > 20, 15)
    (Env.tmp / "old").write_bytes((b"x" * 1023 + b"\n") * (20 * 1024))
    (Env.tmp / "old").rename(old)
    wait_for("the old log", lambda: place("backfilled") > 200, 10)
    start, read = time.monotonic(), place("backfilled") * 1024
    while time.monotonic() < start + 2.5:
        n = w.do("result = written")
        # its first ones may have been there before we looked
        wait_for("the new lines", lambda n=n: place("captured") >= n - 100, 5)
        time.sleep(0.2)
    spent, more = time.monotonic() - start, place("backfilled") * 1024 - read
    # a slice is read at once, and paid for afterwards
    assert more <= rate * (spent + 0.2) + 512 * 1024, (more, spent)
    assert more >= rate * spent / 8, (more, spent)
    assert of("backfill_waits")(observer) > 0
    w.do("on = False\nthread.join()")
    wait_for("all of it", lambda: place("backfilled") >= 20 * 1024, 10)
