# SPDX-License-Identifier: BSD-2-Clause
"""The store's disk fills up, breaks or is read-only: the observer says so, the node goes on
undisturbed, and what its files still hold arrives."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from cases import case
from harness import (Api, Env, Observer, ProcessNode, Skip, check_file, check_ledger, check_order,
                     of_file, wait_for)

DB = "events.db"


def small_disk(size):
    """A tmpfs of its own for a state directory."""
    path = Path(Env.tmp) / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=True)
    Env.cleanup.callback(lambda: subprocess.run(["umount", "-l", path]))
    return path


def fill(path):
    """Write until nothing more fits; returns the file to remove."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as f:
        while True:
            f.write(b"\0" * 4096)
    return path


def watching(**more):
    """Follows the case's nodes, which come later: their files are younger than the store."""
    return {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}, **more}


def check_once(api, node, n):
    """All lines came to the API; a line that came more than once has the same id each time."""
    ids = {}
    for e in of_file(api.events(), node):
        offset = e["origin"]["offset"]
        assert ids.setdefault(offset, e["event_id"]) == e["event_id"], f"two ids for {offset}"
    assert len(ids) == n, f"{len(ids)} of {n} lines at the API"


@case(limit_s=90, needs=("root", "bpf"))
def disk_full():
    """disk full under a burst: said once, files wait, the node does not; then all arrives once"""
    disk = small_disk("40m")
    api = Api()
    n = 150_000
    observer = Observer(api, watching(state_dir=str(disk / "state"),
                                      limits={"waiting_bytes": "4MiB"})).start()
    node = ProcessNode("", "--burst", n, "--gate")
    observer.state = disk / "state"
    node.process("trainer")
    full = fill(disk / "full")
    node.gate()
    start = time.monotonic()
    node.wait_written(n)
    wait_for("a pause", lambda: observer.metrics()["gswarm_pauses_total"] == 1, 20)
    health = observer.health()
    assert health["status"] == "degraded" and "store" in str(health["reasons"]), health
    time.sleep(2)  # it goes on trying, and says nothing new
    m = observer.metrics()
    assert m['gswarm_events_total{place="refused"}'] == 0, "events were dropped"
    assert m['gswarm_events_total{place="parsed"}'] < n, "nothing waited in the file"
    told = [x for x in observer.log().splitlines() if "refuses to write" in x]
    assert len(told) == 1 and "No space" in told[0], observer.log()
    os.unlink(full)
    api.wait_file(node, n, 40)
    api.settle()
    check_order(check_file(api.events(), node), node)
    check_file(observer.stored(), node)
    wait_for("a ledger that adds up", lambda: check_ledger(observer.metrics()) is None, 5)
    assert observer.health()["status"] == "ok", observer.health()["reasons"]
    assert "takes events again" in observer.log()
    print(f"{time.monotonic() - start:.1f} s")


@case(limit_s=90, needs=("root", "bpf"))
def disk_full_node_gone():
    """disk full and the node ends meanwhile: what its file holds still arrives, with its name"""
    disk = small_disk("40m")
    api = Api()
    n = 150_000
    observer = Observer(api, watching(state_dir=str(disk / "state"),
                                      limits={"waiting_bytes": "4MiB"})).start()
    node = ProcessNode("", "--burst", n, "--gate")
    observer.state = disk / "state"
    node.process("trainer")
    full = fill(disk / "full")
    node.gate()
    node.wait_written(n)
    wait_for("a pause", lambda: observer.metrics()["gswarm_pauses_total"] == 1, 20)
    node.remove()
    wait_for("its end", lambda: "is gone" in observer.log(), 15)
    os.unlink(full)
    api.wait_file(node, n, 40)
    api.settle()
    check_file(api.events(), node)


def flip(path, *ranges):
    with open(path, "r+b") as f:
        for at, length in ranges:
            f.seek(at)
            data = f.read(length)
            f.seek(at)
            f.write(bytes(b ^ 0x5A for b in data))


def junk_all(state):
    for name in (DB, DB + "-wal"):
        path = state / name
        flip(path, *[(at, 3000) for at in range(512, path.stat().st_size, 4096)])


# what is done to the store; was the observer killed, so that a WAL is left, or ended cleanly;
# must the store be set aside? (None: what the WAL holds may make up for it)
DAMAGES = {
    "header": (lambda s: flip(s / DB, (0, 100)), False, True),
    "pages": (lambda s: flip(s / DB, (4096, 100_000)), False, True),
    "both": (junk_all, True, None),
    "wal": (lambda s: flip(s / (DB + "-wal"), (5000, 200_000)), True, False),
    "wal_cut": (lambda s: os.truncate(s / (DB + "-wal"), 10_000), True, False),
    "emptied": (lambda s: os.truncate(s / DB, 0), True, True),
    "halved": (lambda s: os.truncate(s / DB, (s / DB).stat().st_size // 8192 * 4096), True, None),
}


def damaged(name):
    damage, kill, aside = DAMAGES[name]
    api = Api()
    observer = Observer(api, watching(initial_tail_lines=1)).start()
    node = ProcessNode("", "--burst", 5000, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(5000)
    api.wait_file(node, 5000)
    # after a clean end all stands in the database, and a kill leaves a WAL beside it
    observer.stop()
    observer.start()
    with open(f"{node.home}/logs/swarm_launcher.log", "ab") as f:
        for i in range(100):
            f.write(b"[2025-09-25 17:35:18,616][x][INFO] - more %d\n" % i)
            f.flush()
            time.sleep(0.003)
    api.wait_file(node, 5_100)
    if kill:
        observer.kill()
    else:
        observer.stop()
    damage(observer.state)
    observer.start()
    broken = [p.name for p in observer.state.glob(DB + ".broken-*") if not p.name.endswith(("-wal", "-shm"))]
    if aside is not None:
        assert len(broken) == (1 if aside else 0), broken
    told = [x for x in observer.log().splitlines() if "was damaged" in x]
    assert len(told) == len(broken), observer.log()
    assert all(b in told[0] for b in broken)
    assert observer.metrics()["gswarm_stores_broken_total"] == len(broken)
    wait_for("all lines in the store",
             lambda: len(of_file(observer.stored(), node)) >= 5_100, 15, 0.3)
    check_order(check_file(observer.stored(), node), node)
    api.settle(0.5)
    check_once(api, node, 5_100)
    assert observer.health()["status"] == "ok", observer.health()["reasons"]


def add(name):
    def run():
        damaged(name)

    run.__name__ = "broken_" + name
    run.__doc__ = f"a store damaged while the observer was down ({name}): set aside, files read again"
    case(limit_s=60, needs=("root", "bpf"))(run)


for damage_name in DAMAGES:
    add(damage_name)


@case(limit_s=60, needs=("root", "bpf"))
def broken_while_running():
    """the store breaks under a running observer: set aside, a fresh one, nothing lost"""
    api = Api()
    observer = Observer(api, watching(initial_tail_lines=1)).start()
    node = ProcessNode("", "--burst", 3000, "--rate", 1000, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(1000)
    api.close()
    node.wait_written(2000)
    junk_all(observer.state)
    node.wait_written(3000)
    api.open()
    wait_for("the message", lambda: "was damaged" in observer.log(), 20)
    wait_for("all lines in the store",
             lambda: len(of_file(observer.stored(), node)) >= 3000, 20, 0.3)
    check_file(observer.stored(), node)
    api.wait_file(node, 3000)
    check_once(api, node, 3000)
    assert len(list(observer.state.glob(DB + ".broken-*Z"))) == 1
    assert observer.health()["status"] == "ok", observer.health()["reasons"]


@case(needs=("root",))
def read_only():
    """a state directory that cannot be written: it says so and does not start"""
    disk = small_disk("8m")
    state = disk / "state"
    state.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    observer = Observer(config={"state_dir": str(state)}, args=["--no-bpf"])
    observer.start(ready=False)
    assert observer.wait_end() == 1, observer.log()
    assert "Read-only" in observer.log() and str(state) in observer.log(), observer.log()
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    observer.start()
    assert observer.stop()[0] == 0


def loop_disk(mib):
    """An ext4 of its own for a state directory."""
    image, path = Path(Env.tmp) / "disk.img", Path(Env.tmp) / "disk"
    path.mkdir()
    with open(image, "wb") as f:
        f.truncate(mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, path], stderr=subprocess.DEVNULL).returncode:
        raise Skip("no loop device with ext4 can be had")
    Env.cleanup.callback(lambda: subprocess.run(["umount", "-l", path]))
    return path


def immutable(state, on):
    """Nothing below can be written, not by those either who have it open. The index of the WAL is
    mapped: once what was written is on the disk, the next store into it is refused, too."""
    subprocess.run(["sync", "-f", state], check=True)
    for path in (*state.iterdir(), state):
        subprocess.run(["chattr", "+i" if on else "-i", path], check=True)


@contextlib.contextmanager
def refused_as_immutable(observer):
    immutable(observer.state, True)
    try:
        yield
    finally:
        immutable(observer.state, False)


@contextlib.contextmanager
def refused_as_read_only(observer):
    """What a disk answers that the kernel made read-only because of errors."""
    strace = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64",
                               "-e", "inject=pwrite64:error=EROFS", "-p",
                               str(observer.process.pid)])
    try:
        yield
    finally:
        strace.terminate()
        strace.wait()


def refused_for_a_while(refused, words):
    disk = loop_disk(64)
    api = Api()
    n = 10_000
    observer = Observer(api, watching(state_dir=str(disk / "state"))).start()
    observer.state = disk / "state"
    node = ProcessNode("", "--burst", n, "--rate", 5_000, "--gate")
    node.process("trainer")
    node.gate()
    api.wait_file(node, 1000)
    with refused(observer):
        wait_for("a refusal", lambda: observer.metrics()["gswarm_store_errors_total"] > 1, 20)
        health = observer.health()
        assert health["status"] == "degraded" and "store" in str(health["reasons"]), health
        node.wait_written(n)  # it does not wait
    api.wait_file(node, n, 40)
    api.settle()
    told = [x for x in observer.log().splitlines() if "refuses to write" in x]
    assert len(told) == 1 and words in told[0], observer.log()
    check_order(check_file(api.events(), node), node)
    check_file(observer.stored(), node)
    wait_for("a ledger that adds up", lambda: check_ledger(observer.metrics()) is None, 5)
    assert observer.health()["status"] == "ok", observer.health()["reasons"]
    assert "takes events again" in observer.log()
    assert not list(observer.state.glob(DB + ".broken-*")), "it was set aside"


@case(limit_s=90, needs=("root", "bpf", "mkfs.ext4", "chattr"))
def not_writable_while_running():
    """the store cannot be written for a while under a running observer: degraded, said once, the
    node goes on; then all arrives once"""
    refused_for_a_while(refused_as_immutable, "not permitted")


@case(limit_s=90, needs=("root", "bpf", "mkfs.ext4", "strace", "long"))
def read_only_while_running():
    """the same on a disk that is read-only for a while"""
    refused_for_a_while(refused_as_read_only, "Read-only")


@case(needs=("root",))
def copied_store():
    """a store copied to where the same inode numbers hold other files: its positions are not
    believed, a stopped node's unchanged file is not read again"""
    log, same = Path(Env.tmp) / "a.log", Path(Env.tmp) / "b.log"
    log.write_bytes(b"".join(b"first %d\n" % i for i in range(1000)))
    same.write_bytes(b"".join(b"same %d\n" % i for i in range(1000)))
    config = {"log_files": [str(log), str(same)], "initial_tail_lines": 0}
    observer = Observer(config=config, args=["--no-bpf"]).start()
    wait_for("the lines", lambda: len(observer.stored()) == 2000, 10, 0.1)
    assert observer.stop()[0] == 0
    with open(log, "r+b") as f:  # the same inode, longer than before
        f.write(b"".join(b"other %d\n" % i for i in range(2000)))
    copy = Observer(config=config, args=["--no-bpf"])
    shutil.copytree(observer.state, copy.state)
    copy.start()
    wait_for("the other lines", lambda: len(copy.stored()) >= 4000, 10, 0.1)
    time.sleep(1.5)
    texts = [e["details"]["message"] for e in copy.stored()[2000:]]
    assert texts == [f"other {i}" for i in range(2000)], texts[:3]
    # cut below the position: read from its start
    assert copy.stop()[0] == 0
    log.write_bytes(b"short\n")
    copy.start()
    wait_for("the short line", lambda: len(copy.stored()) == 4001, 10, 0.1)
    ids = [e["event_id"] for e in copy.stored()]
    assert len(set(ids)) == 4001, "an id came twice"
