# SPDX-License-Identifier: BSD-2-Clause
"""Everything that happens to a log file: rotated, emptied, deleted, replaced, filled, linked.

Each case runs once for each rung, and what is expected is exact: every line, once, with its text
and the offset at which it stood. Where a rung cannot know something, the case says so and asserts
what is counted instead.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from cases import case
from harness import (IMAGE, Api, ContainerNode, Env, Observer, Skip, check_file, check_ledger, docker,
                     script_lines, unique, wait_for)
from writer import Writer

RUNGS = {"bpf": [], "inotify": ["--no-bpf"]}


class Scene:
    """An observer, a writer whose directory it watches, and what should come of it."""

    def __init__(self, rung, api=None, start=True, **config):
        self.rung = rung
        self.api = api
        self.expected = []  # (path, offset, text), in the order of each path
        config = {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}, **config}
        self.observer = Observer(api, config, RUNGS[rung])
        if start:
            self.observer.start()
        self.writer = Writer(Env.tmp)
        Env.cleanup.callback(self.writer.end)
        self.home = self.writer.home
        self.log = f"{self.home}/app.log"
        if start:
            wait_for("the node", lambda: self.observer.metrics().get("gswarm_nodes") == 1, 10)

    def do(self, code):
        return self.writer.do(code)

    def open(self, path=None, mode="a", name="f"):
        """The writer opens a file, unbuffered."""
        self.do(f"{name} = open({path or self.log!r}, '{mode}b', buffering=0)")

    def write(self, text, name="f"):
        data = text if isinstance(text, bytes) else text.encode()
        self.do(f"{name}.write({data!r})")

    def lines(self, tag, n, at=0, path=None, name="f"):
        """The writer writes n lines, which are expected from offset at on. Returns their end."""
        texts = [f"{tag} {i}" for i in range(n)]
        self.do(f"for t in {texts!r}: {name}.write(t.encode() + b'\\n')")
        for text in texts:
            at = self.expect(at, text, path)
        return at

    def expect(self, at, text, path=None):
        """A line is expected; returns the offset behind it and its newline."""
        self.expected.append((path or self.log, at, text))
        return at + len(text.encode()) + 1

    def stored(self):
        have = []
        for e in self.observer.stored():
            o = e.get("origin", {})
            if o.get("via") in ("file", "backfill"):
                have.append((o["path"], o["offset"], e["details"].get("message", "")))
        return have

    def settled(self):
        """All that is expected has come; returns what has."""
        with contextlib.suppress(AssertionError):
            wait_for("the lines", lambda: len(self.stored()) >= len(self.expected), 15, 0.1)
        time.sleep(1.3)  # what comes twice, or too much, comes with the next sweep
        return self.stored()

    def check(self, ordered=True):
        """What is stored is what is expected; ordered: also in each path's order (two files that
        had one name after the other are two streams)."""
        have = self.settled()
        for path in {p for p, _, _ in self.expected + have}:
            a = [(at, text) for p, at, text in self.expected if p == path]
            b = [(at, text) for p, at, text in have if p == path]
            if a != b and (ordered or sorted(a) != sorted(b)):
                missing = [x for x in a if x not in b]
                extra = list(b)
                for x in a:
                    if x in extra:
                        extra.remove(x)
                raise AssertionError(
                    f"{path}: {len(a)} lines expected, {len(b)} stored\n  missing: "
                    f"{missing[:6]}\n  too many: {extra[:6]}"
                    + ("" if missing or extra else f"\n  order: {b[:12]}"))
        ids = [e["event_id"] for e in self.observer.stored()]
        assert len(ids) == len(set(ids)), "an event_id stands for two lines"
        wait_for("a ledger that adds up", lambda: check_ledger(
            self.observer.metrics(), delivered=False) is None, 5)

    def count(self, name):
        return self.observer.metrics()[f"gswarm_{name}"]

    def lost(self):
        return sum(v for k, v in self.observer.metrics().items()
                   if k.startswith("gswarm_lost_bytes_total"))


def each_rung(limit_s=60, needs=(), rungs=tuple(RUNGS)):
    """One case per rung: its name is the function's and the rung's."""

    def add(fn):
        for rung in rungs:
            def run(rung=rung):
                fn(rung)

            run.__name__ = f"{fn.__name__}_{rung}"
            run.__module__ = fn.__module__
            run.__doc__ = f"{fn.__doc__.strip().splitlines()[0]} ({rung})"
            case(limit_s, ("root", *(["bpf"] if rung == "bpf" else []), *needs))(run)
        return fn

    return add


# --- rotation --------------------------------------------------------------------


@each_rung()
def renamed(rung):
    """rename rotation while the observer stands still: the rest of the old file, its last line
    that never got an end, and the new file"""
    s = Scene(rung)
    s.open()
    at = s.lines("first", 50)
    wait_for("the first lines", lambda: len(s.stored()) == 50, 10, 0.1)
    s.observer.process.send_signal(signal.SIGSTOP)
    at = s.lines("unread", 50, at)
    s.write("a line without an e")
    s.expect(at, "a line without an e")
    os.rename(s.log, s.log + ".1")
    s.open(name="g")
    s.lines("new", 50, name="g")
    s.observer.process.send_signal(signal.SIGCONT)
    s.do("f.close()")
    s.check(ordered=False)
    assert s.lost() == 0


ROTATING = """
import logging, logging.handlers
class Handler(logging.handlers.RotatingFileHandler):
    starts = [0]
    def doRollover(self):
        super().doRollover()
        self.starts.append(n)
h = Handler({log!r}, maxBytes=2000, backupCount={kept})
l = logging.getLogger(); l.addHandler(h); l.setLevel(10)
for n in range(2000): l.info('rotated line %d', n)
result = h.starts
"""


def rotated_often(rung, kept):
    """Returns what of the handler's files was stored: for each, a list of its lines' numbers."""
    s = Scene(rung)
    s.open()  # so that inotify has the directory
    s.write("first\n")
    wait_for("it", lambda: len(s.stored()) == 1, 15, 0.1)
    starts = s.do(ROTATING.format(log=s.log, kept=kept)) + [2000]
    files = [set(range(a, b)) for a, b in zip(starts, starts[1:])]
    assert len(files) > 15, starts
    have = []

    def all_told_or_counted():
        have[:] = [int(text.split()[-1]) for _, _, text in s.stored() if text != "first"]
        missed = [f for f in files if not f & set(have)]
        assert sum(map(len, missed)) + len(have) == 2000, (len(missed), len(have))
        assert len(missed) == s.count("files_missed_total")
        return True

    wait_for("each file, told or counted", all_told_or_counted, 30, 0.2)
    time.sleep(1.3)
    assert all_told_or_counted() and len(have) == len(set(have)), "a line came twice"
    return s, [sorted(f & set(have)) for f in files]


@each_rung()
def renamed_often(rung):
    """a size-limited handler: many rotations in a row, a chain of names, all in one second"""
    s, files = rotated_often(rung, 30)
    assert all(files) and s.count("files_missed_total") == 0


@each_rung()
def renamed_often_and_deleted(rung):
    """the same where the handler deletes all but the last three: told, or counted as missed"""
    s, files = rotated_often(rung, 3)
    assert all(files[-4:])
    if rung == "bpf":
        assert all(files)


@each_rung()
def copytruncate_grown(rung):
    """copytruncate, and grown past the old offset again before anyone looks"""
    s = Scene(rung)
    s.open()
    s.lines("old", 20)
    wait_for("the old lines", lambda: len(s.stored()) == 20, 10, 0.1)
    s.observer.process.send_signal(signal.SIGSTOP)
    shutil.copy(s.log, s.log + ".1")
    os.truncate(s.log, 0)
    s.lines("grown", 40)
    s.observer.process.send_signal(signal.SIGCONT)
    s.check()
    assert s.count("truncations_total") == 1
    assert s.lost() == 0


@each_rung()
def copytruncate_half_line(rung):
    """copytruncate with half a line read: its bytes are kept as a line of their own, and what is
    written at that offset later is another event"""
    s = Scene(rung)
    s.open()
    at = s.lines("old", 5)
    s.write("half-a")
    s.expect(at, "half-a")
    wait_for("the old lines", lambda: len(s.stored()) == 5, 10, 0.1)
    time.sleep(1.2)  # it is read, and waits for its end
    shutil.copy(s.log, s.log + ".1")
    os.truncate(s.log, 0)
    s.write("line.\n")
    s.lines("new", 6, s.expect(0, "line."))  # one of them begins where the half stood
    s.check(ordered=False)
    assert s.count("truncations_total") == 1
    assert s.lost() == 0


@each_rung()
def copytruncate_half_line_unread(rung):
    """the same while the observer stands still, and the line's end was written before: all of its
    bytes are kept, from the ring or from the copy"""
    s = Scene(rung)
    s.open()
    at = s.lines("old", 5)
    s.write("half-a")
    wait_for("the old lines", lambda: len(s.stored()) == 5, 10, 0.1)
    time.sleep(1.2)
    s.observer.process.send_signal(signal.SIGSTOP)
    s.write("-line\n")
    end = s.lines("unread", 5, at + 12)
    shutil.copy(s.log, s.log + ".1")
    os.truncate(s.log, 0)
    s.lines("after", 9)
    s.observer.process.send_signal(signal.SIGCONT)

    def all_bytes():
        have = sorted((at, text) for p, at, text in s.stored() if at >= 30 and "after" not in text)
        old = b"".join(t.encode() for _, t in have if "unread" not in t)
        assert old == b"half-a-line", have
        assert [t for _, t in have if "unread" in t] == [f"unread {i}" for i in range(5)], have
        assert sum("after" in t for _, _, t in s.stored()) == 9
        return True

    wait_for("all bytes", all_bytes, 15, 0.2)
    time.sleep(1.3)
    assert all_bytes() and s.lost() == 0 and end > at
    ids = [e["event_id"] for e in s.observer.stored()]
    assert len(ids) == len(set(ids)), "an event_id stands for two lines"


@each_rung()
def copytruncate_keeps_offset(rung):
    """copytruncate under a writer that goes on at its old offset: zeroes, then its lines"""
    s = Scene(rung)
    s.open(mode="w")
    at = s.lines("old", 2000)
    wait_for("the old lines", lambda: len(s.stored()) == 2000, 10, 0.1)
    time.sleep(1.2)
    os.truncate(s.log, 0)
    at = s.lines("new", 10, at)
    time.sleep(1.2)
    s.lines("newer", 10, at)
    s.check()
    assert s.count("truncations_total") == 1
    assert s.lost() == 0


@each_rung()
def truncated_unread(rung):
    """emptied while the observer stands still: what was captured is kept, what nobody took is
    counted in bytes"""
    s = Scene(rung)
    s.open()
    at = s.lines("read", 20)
    wait_for("the first lines", lambda: len(s.stored()) == 20, 10, 0.1)
    s.observer.process.send_signal(signal.SIGSTOP)
    before = len(s.expected)
    end = s.lines("unread", 20, at)
    if rung == "inotify":
        del s.expected[before:]  # nobody saw them
    os.truncate(s.log, 0)
    s.lines("after", 5)
    s.observer.process.send_signal(signal.SIGCONT)
    s.check()
    assert s.count("truncations_total") == 1
    # inotify cannot know that there was more than it had read
    assert s.lost() == 0, f"{s.lost()} lost, {end - at} were unread"


CAPTURED = 4000  # bytes of one write, probes.payload_bytes' default


def long_write(s, at):
    """The observer stands still while one write of 10,000 bytes is made. Of that it will find what
    the ring took: returns the texts of the lines in there, the last one half, and all of it."""
    data = b"".join(b"long %02d " % i + b"x" * 291 + b"\n" for i in range(40))[:9999] + b"\n"
    s.observer.process.send_signal(signal.SIGSTOP)
    s.write(data)
    for line in data[:CAPTURED].decode().split("\n"):
        at = s.expect(at, line)
    return data


def lost_by(s, reason):
    return s.observer.metrics()[f'gswarm_lost_bytes_total{{reason="{reason}"}}']


@each_rung(rungs=("bpf",))
def truncated_long_write(rung):
    """emptied behind a write longer than what is captured of one: told, the rest counted to the byte

    Once with a file that stays short, once with one that has grown past it again."""
    s = Scene(rung)
    for i, more in enumerate((5, 400)):
        s.open(s.log, "w")
        s.do("f.close()")
        s.open()
        at = s.lines(f"read {i}", 20)
        wait_for("the first lines", lambda: len(s.stored()) == len(s.expected), 15, 0.1)
        data = long_write(s, at)
        assert len(data) == 10000
        os.truncate(s.log, 0)
        s.lines("after it, and in no place of what was there before", more)
        s.observer.process.send_signal(signal.SIGCONT)
        s.check()
        wait_for("what is lost", lambda i=i: lost_by(s, "truncated") == (i + 1) * 6000, 15)
        assert lost_by(s, "unreadable") == 0


@each_rung(rungs=("bpf",))
def copytruncate_long_write(rung):
    """the same with a copy made before: the rest of the write stands there, nothing is lost"""
    s = Scene(rung)
    s.open()
    at = s.lines("read", 20)
    wait_for("the first lines", lambda: len(s.stored()) == 20, 15, 0.1)
    data = long_write(s, at)
    shutil.copy(s.log, s.log + ".1")
    os.truncate(s.log, 0)
    s.lines("after", 5)
    s.observer.process.send_signal(signal.SIGCONT)
    at += CAPTURED
    for line in data[CAPTURED:-1].decode().split("\n"):
        at = s.expect(at, line, s.log + ".1")
    s.check(ordered=False)
    assert s.lost() == 0


@each_rung()
def same_again(rung):
    """emptied by `>` at each start and written again, to the same length, the same text"""
    s = Scene(rung)
    text = b"".join(b"start line %d\n" % i for i in range(30))

    def start():
        s.do(f"y = open({s.log!r}, 'wb', buffering=0)\nfor t in {text.splitlines(True)!r}: "
             "y.write(t)\ny.close()")

    def expected(times):
        for _ in range(times):
            at = 0
            for line in text.decode().splitlines():
                at = s.expect(at, line)

    s.open(f"{s.home}/other.log")  # so that inotify has the directory
    start()
    expected(1)
    wait_for("the first start", lambda: len(s.stored()) == 30, 10, 0.1)
    s.observer.process.send_signal(signal.SIGSTOP)
    start()
    s.observer.process.send_signal(signal.SIGCONT)
    expected(1)
    s.check()
    assert s.count("truncations_total") == 1
    assert s.count("rewrites_total") == 0


@each_rung()
def same_again_unseen(rung):
    """emptied and written again, the same text, while the observer is away: counted and told"""
    s = Scene(rung)
    s.open()
    s.lines("the same", 30)
    wait_for("its lines", lambda: len(s.stored()) == 30, 10, 0.1)
    s.observer.kill()
    s.do(f"f.truncate(0)\nfor i in range(30): f.write(b'the same %d\\n' % i)")
    s.observer.start()
    wait_for("the count", lambda: s.count("rewrites_total") == 1, 15)

    def told():
        (e,) = [e for e in s.observer.stored() if e["details"]["event"] == "rewrite"]
        assert e["origin"]["path"] == s.log and e["details"]["to_offset"] == os.stat(s.log).st_size
        return True

    wait_for("the event", told, 15, 0.1)
    s.check()


def logrotate(log, options):
    """Debian's logrotate, once, whatever the file's age and size."""
    config, state = Path(Env.tmp) / "logrotate.conf", Path(Env.tmp) / "logrotate.state"
    config.write_text(f'"{log}" {{\n  su root root\n  rotate 5\n  missingok\n  ' +
                      "\n  ".join(options.split()).replace("create", "create 644 root root") +
                      "\n}\n")
    os.chmod(config, 0o644)
    done = subprocess.run(["logrotate", "-f", "-s", state, config], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def at_api(api):
    """The ids of the lines that have come; more often than once is all right."""
    return {e["event_id"] for e in api.events() if e.get("origin", {}).get("path")}


def rotated_twice(rung, options, stall):
    """kill -9 while the API hangs, two rotations by logrotate, and a start: nothing is missing"""
    api = Api()
    s = Scene(rung, api)
    reopens = "copytruncate" not in options
    s.open()
    at = s.lines("seen", 30)
    wait_for("the first at the API", lambda: len(at_api(api)) == 30, 15)
    if stall:
        api.stall()
    else:
        api.close()
    at = s.lines("not delivered", 30, at)
    wait_for("them", lambda: len(s.stored()) == 60, 10, 0.1)
    if stall:
        wait_for("a request without an answer", lambda: api.waiting > 0, 15)
        assert len(at_api(api)) == 30
    s.observer.kill()
    s.lines("unread", 300, at)
    logrotate(s.log, options)
    if reopens:
        s.open()
    s.lines("born and rotated", 300)
    logrotate(s.log, options)
    if reopens:
        s.open()
    s.lines("current", 30)
    api.open()
    s.observer.start()
    have = sorted(x[1:] for x in s.settled())
    want = sorted(x[1:] for x in s.expected)
    missing = [x for x in want if x not in have]
    assert have == want, f"{len(missing)} missing: {missing[:5]}, {len(have)} of {len(want)} stored"
    wait_for("all at the API", lambda: len(at_api(api)) == len(want), 15)
    # and once more: all of it is known now
    s.observer.kill()
    s.observer.start()
    time.sleep(2.5)
    assert len(s.stored()) == len(want), "a rotated file was read again"


def add_rotations():
    for name, options, stall in (("create", "create", True),
                                 ("create_compress", "create compress", False),
                                 ("copytruncate", "copytruncate", False),
                                 ("copytruncate_compress", "copytruncate compress", True)):
        def run(rung, options=options, stall=stall):
            rotated_twice(rung, options, stall)

        run.__name__ = f"logrotate_{name}"
        doc = rotated_twice.__doc__ if stall else rotated_twice.__doc__.replace("hangs", "is away")
        run.__doc__ = f"logrotate {options}, {doc}"
        each_rung(needs=("logrotate",))(run)


add_rotations()


@each_rung(needs=("logrotate",))
def logrotate_live(rung):
    """logrotate runs while the observer watches: copies and archives are not read again"""
    s = Scene(rung)
    s.open()
    for i, options in enumerate(("copytruncate", "copytruncate compress", "copytruncate")):
        s.lines(f"round {i}", 50)
        wait_for("its lines", lambda: len(s.stored()) == len(s.expected), 10, 0.1)
        logrotate(s.log, options)
    s.lines("last", 50)
    s.check()
    s.observer.kill()
    s.observer.start()
    s.check()
    assert s.lost() == 0


# --- the file itself -------------------------------------------------------------


@each_rung()
def inode_reused(rung):
    """a new file gets a deleted one's inode, while the observer is away"""
    s = Scene(rung)
    s.open()
    s.lines("of the first", 20)
    wait_for("its lines", lambda: len(s.stored()) == 20, 10, 0.1)
    s.observer.kill()
    inode = os.stat(s.log).st_ino
    s.do("f.close()")
    os.unlink(s.log)
    reused = False
    for i in range(200):
        s.open(name="g")
        if reused := os.stat(s.log).st_ino == inode:
            break
        s.do("g.close()")
        os.rename(s.log, f"{s.home}/other{i}")
    if not reused:
        raise Skip("this file system does not use inode numbers again")
    s.lines("of the other, which is longer", 20, name="g")
    s.observer.start()
    s.check()


@each_rung()
def same_first_line(rung):
    """two files with the same first line, and the same second and third"""
    s = Scene(rung)
    paths = [f"{s.home}/{name}.log" for name in "ab"]
    for name, path in zip("fg", paths):
        s.open(path, name=name)
    ends = [s.lines("the same", 3, path=path, name=name) for name, path in zip("fg", paths)]
    for name, path, at in zip("fg", paths, ends):
        s.lines(f"then {name}", 3, at, path=path, name=name)
    s.check()


@each_rung()
def deleted_and_written(rung):
    """deleted while the writer goes on: what it writes arrives all the same"""
    s = Scene(rung)
    s.open()
    at = s.lines("named", 20)
    wait_for("its lines", lambda: len(s.stored()) == 20, 10, 0.1)
    os.unlink(s.log)
    at = s.lines("nameless", 20, at)
    wait_for("more lines", lambda: len(s.stored()) == 40, 10, 0.1)
    s.lines("still nameless", 20, at)
    s.check()


@each_rung()
def three_bytes(rung):
    """a file of three bytes, and one of three bytes without an end"""
    s = Scene(rung)
    s.open()
    s.write("ab\n")
    s.expect(0, "ab")
    s.open(f"{s.home}/open.log", name="g")
    s.write("xyz", name="g")
    s.check()
    s.writer.end()  # the last words of a writer that is gone
    s.expect(0, "xyz", f"{s.home}/open.log")
    s.check()


@each_rung()
def huge_line(rung):
    """one line of 8 MB: cut at the limit and marked, and the next line is a line"""
    s = Scene(rung, limits={"line_bytes": 65536})
    s.open()
    s.do("f.write(b'x' * 8_000_000 + b'\\n')")
    s.expect(0, "x" * 65536)
    s.lines("after", 3, 8_000_001)
    s.check()
    assert s.count("lines_cut_total") == 1
    cut = [e for e in s.observer.stored() if e["details"].get("truncated")]
    assert len(cut) == 1 and cut[0]["origin"]["offset"] == 0


@each_rung()
def strange_bytes(rung):
    """NUL bytes, invalid UTF-8, CRLF, lone CR: each line with its offset"""
    s = Scene(rung)
    s.open()
    data, at = b"", 0
    for raw, end, text in (
            (b"nul\0 here", b"\n", "nul\0 here"),
            (b"bad \xff\xfe\xc3(", b"\n", "bad \ufffd\ufffd\ufffd("),
            (b"windows", b"\r\n", "windows"),
            (b"unix", b"\n", "unix"),
            (b"split", b"\r\n", "split")):
        s.expected.append((s.log, at, text))
        at += len(raw) + len(end)
        data += raw + end
    for i in range(0, len(data), 7):
        s.write(data[i:i + 7])
    s.check()


@each_rung()
def progress_bars(rung):
    """a progress bar of lone CRs: each state is a line, where it stands, once"""
    s = Scene(rung)
    s.open()
    s.write("before\n")
    at = s.expect(0, "before") + 1  # the first \r ends a line of nothing, which makes no event
    for i in range(0, 101, 10):
        state = f"{i:3}%|{'#' * (i // 10):10}|"
        s.write("\r" + state)
        at = s.expect(at, state)
    s.write("\nafter\n")
    s.expect(at, "after")
    s.check()
    assert s.count("lines_blank_total") == 1


# --- where it is -----------------------------------------------------------------


@each_rung()
def symlink_switched(rung):
    """log_files names a link: it is switched to another file, back, and to one to come"""
    d = Path(Env.tmp) / "links"
    d.mkdir()
    link = str(d / "current.log")
    for name in "ab":
        (d / name).touch()
    os.symlink("a", link)
    s = Scene(rung, log_files=[link])
    s.open(str(d / "a"))
    s.open(str(d / "b"), name="g")
    ends = [s.lines("a", 5, path=link)]
    wait_for("a's lines", lambda: len(s.stored()) == 5, 10, 0.1)

    def switch(to):
        os.symlink(to, link + ".new")
        os.rename(link + ".new", link)

    switch("b")
    s.lines("b", 5, path=link, name="g")
    wait_for("b's lines", lambda: len(s.stored()) == 10, 10, 0.1)
    switch("a")
    s.lines("a again", 5, ends[0], path=link)
    switch("c")
    wait_for("a's lines", lambda: len(s.stored()) == 15, 10, 0.1)
    s.open(str(d / "c"), name="h")
    s.lines("c", 5, path=link, name="h")
    have = sorted(s.settled(), key=lambda x: (x[2], x[1]))
    want = sorted(s.expected, key=lambda x: (x[2], x[1]))
    # a file that the node itself opened is told by its own name
    names = {link, *(str(d / name) for name in "abc")}
    assert [x[1:] for x in have] == [x[1:] for x in want], have
    assert {x[0] for x in have} <= names, have


@each_rung()
def not_there_yet(rung):
    """neither the directory nor the file is there when the observer starts; a glob finds both"""
    d = Path(Env.tmp) / "later"
    s = Scene(rung, log_files=[str(d / "*" / "*.out")])
    time.sleep(1.2)
    (d / "x").mkdir(parents=True)
    time.sleep(1.2)
    path = str(d / "x" / "the.out")
    s.open(path)
    s.lines("from the start", 20, path=path)
    s.check()


@each_rung()
def tails(rung):
    """the last lines of what was there first: 100 by default, as many as asked, none, all"""
    paths = {}
    for key in ("default", "7", "0", "-1"):
        paths[key] = Path(Env.tmp) / f"tail{key}.log"
        paths[key].write_bytes(b"".join(b"old %d\n" % i for i in range(300)))
    for key, want in (("default", 100), ("7", 7), ("0", 300), ("-1", 300)):
        config = {"log_files": [str(paths[key])]}
        if key != "default":
            config["initial_tail_lines"] = int(key)
        o = Observer(None, config, RUNGS[rung])
        if key == "default":
            text = o.config_path.read_text()
            o.config_path.write_text("".join(
                line for line in text.splitlines(True) if "initial_tail_lines" not in line))
        o.start()
        with contextlib.suppress(AssertionError):
            wait_for("the lines", lambda o=o, want=want: len(o.stored()) >= want, 5, 0.1)
        texts = [e["details"]["message"] for e in o.stored()]
        assert texts == [f"old {i}" for i in range(300 - want, 300)], (key, len(texts), texts[:2])
        o.kill()


@each_rung()
def two_writers(rung):
    """two writers to one file, interleaved in the middle of lines: the file is the truth"""
    s = Scene(rung)
    other = Writer(Env.tmp, home=s.home)
    Env.cleanup.callback(other.end)
    s.open()
    other.do(f"f = open({s.log!r}, 'ab', buffering=0)")
    for i in range(50):
        s.write(f"A{i} begins ")
        other.do(f"f.write(b'B{i} between ')")
        s.write(f"A{i} ends\n")
        other.do(f"f.write(b'B{i} ends\\n')")
    at = 0
    for line in Path(s.log).read_text().splitlines():
        at = s.expect(at, line)
    s.check()


@each_rung()
def disk_full(rung):
    """the disk under the log fills up in the middle of a line and is freed: no byte is missed"""
    disk = Path(Env.tmp) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    Env.cleanup.callback(lambda: subprocess.run(["umount", "-l", disk]))
    s = Scene(rung)
    s.log = str(disk / "app.log")
    s.open()
    refused = s.do("n = 0\nresult = 0\ntry:\n"
                   "    while True:\n"
                   "        t = b'line %d ' % n + b'x' * 333 + b'\\n'\n"
                   "        if f.write(t) != len(t): result += 1\n"
                   "        n += 1\n"
                   "except OSError: result += 1")
    assert refused
    filled = s.do("result = n")
    assert filled > 100
    (disk / "app.log.0").touch()
    subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
    s.write("\n")
    s.do("for i in range(20): f.write(b'freed %d\\n' % i)")
    at = 0
    for line in Path(s.log).read_text().split("\n")[:-1]:
        if line:
            s.expected.append((s.log, at, line))
        at += len(line) + 1
    s.check()


@each_rung()
def two_paths(rung):
    """a log reached by two paths, one of them a bind mount: its lines come once"""
    s = Scene(rung, log_files=[f"{Env.tmp}/bound/*.log"])
    bound = Path(Env.tmp) / "bound"
    bound.mkdir()
    subprocess.run(["mount", "--bind", s.home, bound], check=True)
    Env.cleanup.callback(lambda: subprocess.run(["umount", "-l", bound]))
    time.sleep(1.2)
    s.open()
    at = s.lines("first", 20)
    time.sleep(1.2)
    s.open(str(bound / "app.log"), name="g")
    s.lines("by the other", 20, at, name="g")
    have = sorted(x[1:] for x in s.settled())
    assert have == sorted(x[1:] for x in s.expected), have


@each_rung(needs=("mkfs.btrfs",))
def btrfs_subvolume(rung):
    """a log on a btrfs subvolume, where stat's device is not the kernel's"""
    image, disk = Path(Env.tmp) / "btrfs.img", Path(Env.tmp) / "btrfs"
    disk.mkdir()
    with open(image, "wb") as f:
        f.truncate(128 * 1024 * 1024)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, disk]).returncode != 0:
        raise Skip("btrfs, or a loop device, cannot be had here")
    Env.cleanup.callback(lambda: subprocess.run(["umount", "-l", disk]))
    subprocess.run(["btrfs", "-q", "subvolume", "create", disk / "sub"], check=True,
                   stdout=subprocess.DEVNULL)
    s = Scene(rung)
    s.log = str(disk / "sub" / "app.log")
    s.open()
    at = s.lines("first", 20)
    wait_for("the first lines", lambda: len(s.stored()) == 20, 10, 0.1)
    s.observer.kill()
    at = s.lines("meanwhile", 20, at)
    s.observer.start()
    s.lines("then", 20, at)
    s.check()


# --- containers ------------------------------------------------------------------


def container_case(rung, node, n, first=0):
    """Lines before the observer, with it, while it is away, and after a restart of it."""
    api = Api()
    observer = Observer(api, args=RUNGS[rung]).start()
    if rung == "inotify":
        time.sleep(1.2)
    node.gate()
    api.wait_file(node, n // 3 + first)
    observer.kill()
    node.gate()
    node.wait_written(2 * n // 3 + first)
    observer.start()
    node.gate()
    api.wait_file(node, n + first)
    api.settle(1.3)
    check_file(observer.stored(), node)


THREE = "".join("gate\n" + script_lines(tag, 20) for tag in ("one", "two", "three"))


@each_rung(needs=("docker",))
def overlay_copy_up(rung):
    """a log that came with the image and is first appended to: copied up under the observer"""
    name = unique()
    layer = Path(Env.tmp) / "layer"
    path = ContainerNode.home + "/logs"
    (layer / path.lstrip("/")).mkdir(parents=True)
    old = b"".join(b"[2025-09-25 17:35:18,616][x][INFO] - from the image %d\n" % i for i in range(5))
    (layer / path.lstrip("/") / "swarm_launcher.log").write_bytes(old)
    for p in (layer / "home").glob("**/*"):
        p.chmod(0o777 if p.is_dir() else 0o666)
    (layer / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY home /home\n")
    docker("build", "-q", "-t", "gswarm/logged:test", str(layer))
    cid = docker("create", "--name", name, "--network", "none", "gswarm/logged:test", "--script",
                 THREE, "--hold")
    Env.cleanup.callback(lambda: docker("rm", "-f", cid, check=False))
    docker("start", cid)
    node = ContainerNode.__new__(ContainerNode)
    node.container, node.id = name, cid
    node.pid = int(docker("inspect", "-f", "{{.State.Pid}}", cid))
    container_case(rung, node, 60, 5)


def mounted(kind, *opts):
    def run(rung):
        mount = [o.format(tmp=Env.tmp, home=ContainerNode.home) for o in opts]
        (Path(Env.tmp) / "logs").mkdir()
        (Path(Env.tmp) / "logs").chmod(0o777)
        if kind == "volume":
            docker("volume", "create", "gso-test-volume")
            Env.cleanup.callback(lambda: docker("volume", "rm", "-f", "gso-test-volume", check=False))
            os.chmod(docker("volume", "inspect", "-f", "{{.Mountpoint}}", "gso-test-volume"), 0o777)
        container_case(rung, ContainerNode(THREE, opts=mount), 60)

    run.__name__ = f"log_on_{kind}"
    run.__doc__ = f"a container's log on a {kind.replace('_', ' ')}: found, followed, gone on with"
    each_rung(needs=("docker",))(run)


mounted("bind_mount", "-v", "{tmp}/logs:{home}/logs")
mounted("volume", "-v", "gso-test-volume:{home}/logs")
mounted("tmpfs", "--tmpfs", "{home}/logs")


def take_devices(n=16):
    """Mount what has a device of its own: numbers that others have given back are taken."""
    for i in range(n):
        (at := Path(Env.tmp) / f"taken-{i}").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", at], check=True)
        Env.cleanup.callback(lambda at=at: subprocess.run(["umount", at], check=True))


@each_rung(needs=("docker",))
def container_started_again(rung):
    """the same with nothing unread, and the observer there: no line comes twice, though the
    files have another device after each start"""
    api = Api()
    observer = Observer(api, args=RUNGS[rung]).start()
    node = ContainerNode("gate\n" + script_lines("some", 20))
    node.process("trainer")
    node.gate()
    api.wait_file(node, 20)
    before = Path(f"/proc/{node.pid}/root").stat().st_dev
    docker("stop", "-t", "1", node.id)
    take_devices()
    docker("start", node.id)
    node.pid = int(docker("inspect", "-f", "{{.State.Pid}}", node.id))
    assert Path(f"/proc/{node.pid}/root").stat().st_dev != before
    node.process("trainer")
    node.gate()
    node.wait_written(40)
    api.wait_file(node, 40)
    api.settle(1.3)
    check_file(observer.stored(), node)


@each_rung(needs=("docker",))
def container_stopped(rung):
    """a container stopped while the observer is away: what it wrote arrives when it is started"""
    api = Api()
    observer = Observer(api, args=RUNGS[rung]).start()
    node = ContainerNode("gate\n" + script_lines("first", 20) + "gate\n" + script_lines("last", 20))
    node.process("trainer")
    node.gate()
    api.wait_file(node, 20)
    observer.kill()
    node.gate()
    node.wait_written(40)
    docker("stop", "-t", "1", node.id)
    take_devices()
    observer.start()
    time.sleep(1)
    assert len(api.seen(node)) == 20
    docker("start", node.id)
    node.pid = int(docker("inspect", "-f", "{{.State.Pid}}", node.id))
    node.process("trainer")
    node.gate()
    node.wait_written(60)
    node.gate()
    api.wait_file(node, 80)
    api.settle(1.3)
    check_file(observer.stored(), node)
