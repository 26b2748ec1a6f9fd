# SPDX-License-Identifier: BSD-2-Clause
"""Every way to write: what stands in the files is what is told, each line exactly once.

The writers are those of tests/triggers, one awkward one each, all below one process; `ways check`
compares their files with the store's events, so that the same comparison runs in other kernels
too (scripts/kernel-test.sh), where there is no Python.
"""

import fcntl
import subprocess
import tempfile
import time
from pathlib import Path

from cases import case
from harness import (IMAGE, ContainerNode, Env, Observer, check_ledger, docker, script_lines,
                     split_lines, unique, wait_for)


def may_lack(way):
    """Can this machine be without a way to write? What else is absent would be unseen."""
    if not way.startswith("uring"):
        return False
    off = Path("/proc/sys/kernel/io_uring_disabled")
    return not off.exists() or off.read_text().strip() != "0"


class Ways:
    """`ways run` in a directory of its own, as the observer's only node."""

    def __init__(self, on=None):
        self.tool = str(Path(Env.node).parent.parent / "triggers" / "ways")
        self.dir = tempfile.mkdtemp(prefix="gso-test-ways-", dir=on or Env.tmp)
        Env.cleanup.callback(lambda: subprocess.run(["rm", "-rf", self.dir], check=False))
        self.popen = None
        self.absent = set()

    def start(self):
        self.popen = subprocess.Popen([self.tool, "run", self.dir], text=True, bufsize=1,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        Env.cleanup.callback(self.stop)
        return self

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def config(self, **more):
        return {"targets": {"include": {"command": [f"*run {self.dir}*"]}}, **more}

    def tell(self, command):
        self.popen.stdin.write(command + "\n")
        answer = self.popen.stdout.readline()
        assert answer.startswith("done"), f"{command}: {answer}"
        absent = answer.rsplit(":", 1)[1].split()
        assert [name for name in absent if not may_lack(name)] == [], answer
        self.absent |= set(absent)
        return answer

    def check_all(self, observer):
        """check(), and that no way is left out of it that can be gone here."""
        names = subprocess.run([self.tool, "list"], text=True, stdout=subprocess.PIPE, check=True)
        want = {n for n in names.stdout.split() if not n.startswith("rewrite-")} - self.absent
        have = {line.split()[1].rstrip(":") for line in self.check(observer).splitlines()
                if line.startswith("ok ")}
        assert have == want, have ^ want

    def check(self, observer, *args):
        """Does the store hold every line of these ways' files once? Else why not."""
        events = observer.dir / "events.json"
        with open(events, "wb") as out:
            subprocess.run([Env.observer, "events", "--state-dir", observer.state, "--all"],
                           stdout=out, check=True, timeout=60)
        out = subprocess.run([self.tool, "check", self.dir, events, *args], text=True,
                             stdout=subprocess.PIPE, check=False, timeout=60)
        assert out.returncode == 0, "\n" + "\n".join(
            line for line in out.stdout.splitlines() if not line.startswith("ok"))
        return out.stdout

    def wait_check(self, observer, *args, limit_s=30):
        return wait_for("each line once", lambda: self.check(observer, *args), limit_s, 0.2)


def rewrites(observer):
    return [e for e in observer.stored() if e["details"]["event"] == "rewrite"]


def check_rewrites(ways, observer):
    """Written over after it was read: told as such, and its lines not a second time."""
    assert not rewrites(observer), rewrites(observer)
    ways.tell("rewrite-middle")
    ways.tell("rewrite-end")
    wait_for("two rewrites", lambda: sum(e["details"]["writes"] for e in rewrites(observer)) == 2)
    for e in rewrites(observer):
        assert e["event_type"] == "observer", e
        assert e["origin"]["path"] == f"{ways.dir}/rewrite.log", e
        assert e["origin"]["comm"].startswith("rewrite-"), e
        assert 4096 <= e["details"]["from_offset"] < e["details"]["to_offset"] <= 12288, e
    assert observer.metrics()["gswarm_rewrites_total"] == 2, observer.metrics()


@case(needs=("root", "bpf"))
def told():
    """write … vmsplice, io_uring, aio, O_DIRECT, threads, children, passed descriptors: told at once"""
    ways = Ways()
    observer = Observer(config=ways.config()).start()
    ways.start()
    wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)
    ways.tell("told")
    ways.wait_check(observer, "-c")
    metrics = observer.metrics()
    assert metrics["gswarm_growth_found_bytes_total"] == 0, metrics
    assert metrics["gswarm_marks_total"] > 0, metrics
    check_rewrites(ways, observer)
    ways.tell("found")
    ways.wait_check(observer)
    assert observer.metrics()["gswarm_growth_found_bytes_total"] > 0, observer.metrics()
    check_ledger(observer.metrics(), delivered=False)
    assert observer.stop()[0] == 0, observer.log()
    ways.check_all(observer)


def by_inotify(args, **more):
    ways = Ways()
    config = ways.config(log_files=[f"{ways.dir}/*.log"], **more)
    observer = Observer(config=config, args=args).start()
    assert "inotify" in observer.log() + observer.get("/health"), observer.log()
    ways.start()
    ways.tell("told")
    ways.wait_check(observer)
    assert not rewrites(observer), rewrites(observer)
    ways.tell("rewrite-middle")  # nobody knows where, and by whom
    (e,) = wait_for("the rewrite", lambda: rewrites(observer))
    assert e["event_type"] == "observer", e
    assert e["origin"]["path"] == f"{ways.dir}/rewrite.log", e
    assert "comm" not in e["origin"] and "pid" not in e["origin"], e
    assert [e["details"][k] for k in ("writes", "from_offset", "to_offset")] == [1, 0, 12288], e
    ways.tell("found")
    ways.wait_check(observer)
    assert observer.metrics()["gswarm_rewrites_total"] == 1
    check_ledger(observer.metrics(), delivered=False)
    assert observer.stop()[0] == 0, observer.log()
    ways.check_all(observer)


@case(needs=("root",))
def inotify_without_bpf():
    """the same ways with --no-bpf: told by inotify, mmap found by looking"""
    by_inotify(["--no-bpf"])


@case(needs=("root", "bpf"))
def inotify_by_config():
    """the same ways with probes.file_write: inotify"""
    by_inotify([], probes={"file_write": "inotify"})


CONSOLE_LINES = 192  # of a way, 64 bytes each
# no probe has a user's buffer of these
UNCAUGHT = ("c-tee", "c-splice", "c-sendfile", "c-aio", "c-ring-write", "c-ringsplice")


@case(needs=("root", "bpf"))
def consoles():
    """write, writev, vmsplice to a pipe on stdout: each line once; tee, splice, sendfile, aio, io_uring:
    counted as lost"""
    ways = Ways()
    observer = Observer(config={"targets": {"include": {"command": [f"*console {ways.dir}*"]}}})
    observer.start()
    ways.popen = subprocess.Popen([ways.tool, "console", ways.dir], text=True, bufsize=1,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
    Env.cleanup.callback(ways.stop)
    wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)

    def run(way):
        """Returns the bytes that were counted as lost."""
        before = lost(observer)
        ways.popen.stdin.write(way + "\n")
        for _ in range(CONSOLE_LINES):
            ways.popen.stdout.readline()
        answer = ways.popen.stderr.readline()
        assert answer == "done\n", f"{way}: {answer}"
        return lost(observer) - before

    for way in ("c-write", "c-pieces", "c-writev", "c-vmsplice"):
        assert run(way) == 0, way
        wait_for(f"the lines of {way}", lambda w=way: len(spoken(observer, w)) == CONSOLE_LINES)
        assert sorted(spoken(observer, way)) == [f"{way} {i:03}" for i in range(CONSOLE_LINES)]
    for way in UNCAUGHT:
        assert run(way) == 64 * CONSOLE_LINES, way
        assert not spoken(observer, way), way


PART = 4000  # bytes of one record, probes.payload_bytes' default
PARTS = 64  # of one write at most


@case(needs=("root", "bpf"))
def console_unmapped():
    """256 KiB in one write to a full pipe, its beginning not mapped any more at the end: just that is lost

    What is lost is counted to the byte, and so is what is beyond the parts that a write may have."""
    ways = Ways()
    observer = Observer(config={"targets": {"include": {"command": [f"*console {ways.dir}*"]}}})
    observer.start()
    with subprocess.Popen([ways.tool, "console", ways.dir], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as popen:
        ways.popen = popen
        Env.cleanup.callback(ways.stop)
        wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)
        room = fcntl.fcntl(popen.stdout, 1032)  # F_GETPIPE_SZ, which Python knows since 3.10
        popen.stdin.write(b"c-unmapped\n")
        popen.stdin.flush()
        assert popen.stderr.readline() == b"unmapped\n"
        assert len(popen.stdout.read(256 * 1024)) == 256 * 1024
        assert popen.stderr.readline() == b"done\n"
        popen.stdin.close()
    gone = -(-room // PART) * PART
    wait_for("what is lost", lambda: lost(observer) == gone + 256 * 1024 - PARTS * PART)
    assert faults(observer) == gone // PART
    want = [f"c-unmapped {i:05}" for i in range(-(-gone // 64), PARTS * PART // 64)]

    def told():
        have = [line for line in spoken(observer, "c-unmapped") if line.startswith("c-")]
        assert have == want, (len(have), len(want), have[:2])
        return True

    wait_for("the rest", told)


@case()
def consoles_of_a_container():
    """the same in a container: what no probe can take is read from the engine's file, each line once"""
    observer = Observer().start()
    name = unique()
    node = docker("create", "-i", "--name", name, "--network", "none", "--entrypoint", "/ways",
                  "--tmpfs", "/tmp", "--security-opt", "seccomp=unconfined",  # Docker's forbids io_uring
                  IMAGE, "console", "/tmp")
    Env.cleanup.callback(lambda: docker("rm", "-f", node, check=False))
    docker("cp", Ways().tool, f"{node}:/ways")
    speaker = subprocess.Popen(["docker", "-H", f"unix://{Env.docker_socket}", "start", "-ai", node],
                               text=True, bufsize=1, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    Env.cleanup.callback(speaker.kill)
    wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)
    for way in ("c-write", *UNCAUGHT, "c-pieces"):
        speaker.stdin.write(way + "\n")
        answer = speaker.stderr.readline()
        assert answer == "done\n", f"{way}: {answer}"
    want = sorted(f"{way} {i:03}" for way in ("c-write", *UNCAUGHT, "c-pieces")
                  for i in range(CONSOLE_LINES))

    def told(captured):
        return sorted(e["details"]["message"].rstrip(".") for e in observer.stored()
                      if e["origin"].get("via") == "console" and "ways" in e["details"].get("logger", "")
                      and (not captured or e["origin"].get("comm")))

    def all_told():
        got = told(False)
        missing, extra = [x for x in want if x not in got], [x for x in got if x not in want]
        assert got == want, (len(got), len(missing), missing[:3], extra[:3])
        return True

    wait_for("all lines", all_told, 20, 0.3)
    time.sleep(2.5)  # nothing comes twice, later
    assert told(False) == want
    assert told(True) == [line for line in want if line.split()[0] in ("c-write", "c-pieces")]
    m = observer.metrics()
    assert m["gswarm_console_hole_bytes_total"] == 64 * CONSOLE_LINES * len(UNCAUGHT), m
    assert m['gswarm_lost_bytes_total{reason="console"}'] == 0
    speaker.stdin.close()


def faults(observer):
    """Records, or parts of them, whose bytes could not be read when the call returned."""
    return sum(v for k, v in observer.metrics().items()
               if k.startswith("gswarm_ring_drops_total") and 'reason="fault"' in k)


def lost(observer):
    return sum(v for k, v in observer.metrics().items()
               if k.startswith("gswarm_ring_lost_console_bytes_total"))


def spoken(observer, way):
    return [e["details"]["message"].rstrip(".") for e in observer.stored()
            if e["origin"].get("via") == "console" and e["origin"]["comm"] == way]


def entering(args, via):
    """`docker exec` into a container; via: by way, how its lines come where not by "file"."""
    observer = Observer(args=args).start()
    node = ContainerNode("gate\n" + script_lines("x", 1))
    wait_for("the node", lambda: observer.metrics()["gswarm_nodes"] == 1)
    home = f"{node.home}/logs"  # of which inotify knows when a log in there is followed
    node.gate()
    wait_for("its log", lambda: len(observer.stored()) >= 1)
    docker("cp", Ways().tool, f"{node.id}:/ways")
    for way in ("write", "dying", "splice"):
        docker("exec", node.id, "/ways", "write", home, way)
    for way in ("write", "dying", "splice"):
        path = f"{home}/{way}.log"
        truth = split_lines(node.read(f"logs/{way}.log"))

        def told(path=path):
            return [e for e in observer.stored() if e["origin"].get("path") == path]

        wait_for(f"the lines of {way}", lambda t=truth: len(told()) >= len(t))
        assert [e["origin"]["offset"] for e in told()] == [at for at, _ in truth], way
        for e in told():
            assert e["origin"]["container"] == node.container, e
            assert e["origin"]["via"] == via.get(way, "file"), e
            assert e["origin"]["via"] == "backfill" or e["origin"]["comm"] == way, e


@case(needs=("root", "docker", "bpf"))
def docker_exec():
    """a process that entered a container by `docker exec` is the container's like others"""
    entering([], {"splice": "backfill"})


@case(needs=("root", "docker"))
def docker_exec_without_bpf():
    """the same with --no-bpf: what it writes beside a followed log is found there"""
    entering(["--no-bpf"], {way: "backfill" for way in ("write", "dying", "splice")})
