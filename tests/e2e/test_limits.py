# SPDX-License-Identifier: BSD-2-Clause
"""Every limit, at its bound: what is over it is counted and said once, and nothing is lost that a
file still holds."""

from cases import case
from harness import Env, Observer, wait_for
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
