#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What watching costs, measured on this machine, in one table.

Ratios of numbers taken in the same run, medians of the rounds. Each round takes every
measurement once, in turn, so that a slow moment of the machine hits all of them alike.
What this machine cannot measure is skipped, with the reason. Python's own library only.
"""
import argparse
import contextlib
import glob
import http.server
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from crowd import Crowd

TARGET_TAG = "obs-bench-target"
OTHER_TAG = "obs-bench-other"
LINE_BYTES = "120"  # as in write_loop.c
STRACE_WRITES = 5_000
BPFTRACE_WRITES = 50_000

# Where no tracefs is mounted, mount it for the command alone.
WITH_TRACEFS = ["unshare", "-m", "sh", "-c", """
d=/sys/kernel/debug
[ -d $d/tracing/events ] || { mount -t debugfs none $d && ls $d/tracing; } >/dev/null 2>&1
exec "$@" """, "sh"]

CONFIG = """\
node_id: bench
state_dir: {dir}/state
forward: {forward}
server:
  listen: "127.0.0.1:{port}"
targets:
  builtin: false
  include:
    command: ["*{tag}*"]
"""

TRACEBACK = b"""\
[2025-09-25 17:43:01,390][genrl.logging_utils.global_defs][ERROR] - Exception occurred during game run.
Traceback (most recent call last):
  File "/home/gensyn/.venv/lib/python3.12/site-packages/genrl/game/game_manager.py", line 191, in run_game
    self.run_game_round()  # Loops through stages until end of round signal is received
    ^^^^^^^^^^^^^^^^^^^^^
  File "/home/gensyn/.venv/lib/python3.12/site-packages/genrl/game/game_manager.py", line 160, in run_game_round
    self.trainer.train(self.state, self.data_manager, self.rewards)
  File "/home/gensyn/rl_swarm/rgym_exp/src/trainer.py", line 88, in train
    raise ValueError("expected sequence of length 2 at dim 1 (got 1)")
ValueError: expected sequence of length 2 at dim 1 (got 1)
"""

STAMP = re.compile(rb"at=(\d+)\.")

# key, what it is, how to print it, goal now, final goal: the largest value, or ("min", smallest).
# Ratios and differences are to the untraced value of the same run.
ROWS = [
    ("write", "120-byte appended write, untraced", "ns", None, None),
    ("write_floor_ns", "  an empty program at tp_btf/sys_exit", "+ns", None, None),
    ("write_other", "  observer runs, writer is no target", "ratio", None, None),
    ("write_other_ns", "    the same as a difference", "+ns", 30, 25),
    ("write_target", "  observer runs, writer is a target", "ratio", 1.45, 1.35),
    ("bursts_target", "  the same, 50 at a time: all with payload", "ratio", 1.45, 1.35),
    ("bursts_floor", "    a program that hands over a record, empty", "ratio", None, None),
    ("bursts_floor_filled", "    the same, with the time and the line", "ratio", None, None),
    ("write_bpftrace", "  bpftrace prints the payload", "ratio", None, None),
    ("write_strace", "  strace -e trace=write", "ratio", None, None),
    ("captured", "of the target's lines, taken at the write", "%", None, None),
    ("unaccounted", "of the target's lines, not in the ledger", "lines", 0, 0),
    ("spread_p50", "write, each one timed, untraced: p50", "ns", None, None),
    ("spread_p99", "    p99", "ns", None, None),
    ("spread_p999", "    p99.9", "ns", None, None),
    ("spread_max", "    maximum", "ns", None, None),
    ("spread_target_p50", "  observer runs, writer is a target: p50", "ns", None, None),
    ("spread_target_p99", "    p99", "ns", None, None),
    ("spread_target_p999", "    p99.9", "ns", None, None),
    ("spread_target_max", "    maximum", "ns", None, None),
    ("getppid", "getppid, untraced", "ns", None, None),
    ("getppid_floor_ns", "  an empty program at tp_btf/sys_exit", "+ns", None, None),
    ("getppid_other_ns", "  observer runs, caller is no target", "+ns", 30, 25),
    ("talk", "node -> p2pd -> node, 100-byte call, untraced", "ns", None, None),
    ("talk_floor", "  an empty program at tp_btf/sys_exit", "ratio", None, None),
    ("talk_target", "  observer runs, both are targets", "ratio", 1.03, 1.03),
    ("talk_bulk", "the same, 1 MB calls, untraced", "ns", None, None),
    ("talk_bulk_floor", "  an empty program at tp_btf/sys_exit", "ratio", None, None),
    ("talk_bulk_target", "  observer runs, both are targets", "ratio", 1.03, 1.03),
    ("talk_rate", "  bytes decoded, all accounted for", "MB/s", ("min", 1000), ("min", 1000)),
    ("first_event", "observer start -> first event at the API", "ms", 500, 300),
    ("restart", "restart, 100 known files -> first new event", "ms", 200, 200),
    ("restart_cpu", "    CPU of the observer until then", "ms", None, None),
    ("backfill_cut", "an old log, read and cut into lines, one core", "MB/s", ("min", 1000), ("min", 1000)),
    ("backfill_cpu", "    and parsed, one core", "MB/s", None, None),
    ("backfill", "    all of it, from the observer's start", "MB/s", None, ("min", 1000)),
    ("idle_cpu", "observer idle: CPU of one core", "%", None, 0.1),
    ("idle_rss", "observer idle: RSS", "MiB", 20, 12),
    ("look_25", "a look at 25 containers, 500 processes", "ms2", None, None),
    ("look_50", "a look at 50 containers, 1,000 processes", "ms2", None, 5),
    ("look_growth", "    of twice as many, of one of them", "times", None, 1.25),
    ("look_proc", "    by /proc, without BPF", "ms2", None, None),
    ("connect", "connect, accept, close both: CPU, untraced", "ns", None, None),
    ("connect_floor", "  empty programs on the same hooks", "ratio", None, None),
    ("connect_other", "  observer runs, it is no target's", "ratio", None, None),
    ("connect_target", "  observer runs, both ends are a target's", "ratio", 1.03, 1.03),
    ("conn_look", "a look at 10,000 TCP sockets", "ms2", 15, 15),
    ("state_median", "cause -> state and its event, median", "ms", None, None),
    ("state_max", "    the slowest of 40, of ten kinds", "ms", 1000, 1000),
    ("state_look", "20 idle nodes: CPU in a second, states included", "ms2", None, None),
    ("latency_p50", "write -> event at the API, 1,000 lines/s: p50", "ms1", None, 5),
    ("latency_p99", "    p99", "ms1", None, 20),
    ("throughput", "write -> store -> API, at full speed", "lines/s", None, ("min", 450_000)),
    ("line_cpu", "    CPU of the observer per line", "us", None, 2.0),
    ("replay", "replay, the mix of lines to JSON, one core", "lines/s", None, ("min", 2_000_000)),
    ("replay_python", "    ten lines of Python with compiled regexes", "lines/s", None, None),
    ("replay_syslog_ng", "    syslog-ng, regexp-parser, JSON to a file", "lines/s", None, None),
    ("replay_traces", "replay, nothing but tracebacks, one core", "lines/s", None,
     ("min", 500_000)),
    ("replay_rss", "    peak RSS of both", "MiB", None, 16),
]

# What a ratio is to, if not to "write".
RATIO_TO = {"bursts_target": "bursts", "bursts_floor": "bursts", "bursts_floor_filled": "bursts",
            "connect_floor": "connect", "connect_other": "connect",
            "connect_target": "connect",
            "talk_floor": "talk", "talk_target": "talk",
            "talk_bulk_floor": "talk_bulk", "talk_bulk_target": "talk_bulk"}

SPREAD_TARGET = [key for key, *_ in ROWS if key.startswith("spread_target")]

FORMATS = {
    "ns": "{:,.0f} ns",
    "ratio": "{:.2f} x",
    "+ns": "{:+.0f} ns",
    "%": "{:.2f} %",
    "ms": "{:,.0f} ms",
    "ms1": "{:.1f} ms",
    "ms2": "{:.2f} ms",
    "times": "{:.2f} x",
    "us": "{:.2f} us",
    "MiB": "{:.1f} MiB",
    "MB/s": "{:,.0f} MB/s",
    "lines": "{:,.0f}",
    "lines/s": "{:,.0f}/s",
}


class Skip(Exception):
    """This machine, or this build, cannot measure it."""


class Loop:
    """One write_loop process; its file lies in memory where there is a tmpfs."""

    def __init__(self, bench, tag, prefix=()):
        self.path = os.path.join(bench.dir, tag + ".log")
        self.proc = subprocess.Popen(
            [*prefix, bench.args.loop, tag, self.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, command, n=0):
        self.proc.stdin.write(f"{command} {n}\n")
        answer = self.proc.stdout.readline()
        if not answer:
            raise Skip(f"write_loop ended during '{command}'")
        return float(answer)

    def spread_ns(self, n):
        self.proc.stdin.write(f"spread {n}\n")
        values = [float(v) for v in self.proc.stdout.readline().split()]
        if len(values) != 4:
            raise Skip("write_loop ended during 'spread'")
        self.ask("truncate")
        return values

    def bursts_ns(self, n):
        ns = self.ask("bursts", n // 4)
        self.ask("truncate")
        return ns

    def write_ns(self, n):
        ns = self.ask("write", n)
        self.ask("truncate")
        return ns

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.stdin.close()
        self.proc.wait()
        self.proc.stdout.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


class Talk(Loop):
    """One talk_loop: a node and its p2pd."""

    def __init__(self, bench, tag):
        self.path = f"/tmp/hivemind-p2pd-{tag}.sock"
        program = os.path.join(os.path.dirname(bench.args.loop), "talk_loop")
        self.proc = subprocess.Popen([program, tag, self.path], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, bufsize=1)


class Observer:
    """One `gswarm-observer run` with a store of its own; ready when /health answers."""

    def __init__(self, bench, api=None, batch=1, more="", forward="all"):
        self.port = free_port()
        config = os.path.join(bench.dir, "config.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=bench.dir, port=self.port, tag=TARGET_TAG, forward=forward))
            if api:
                f.write(f"api_endpoint: {api}\nbatch_size: {batch}\n")
            f.write(more)
        self.log = open(os.path.join(bench.dir, "observer.log"), "w+b")
        self.state = os.path.join(bench.dir, "state")
        self.started = time.monotonic()
        self.proc = subprocess.Popen([bench.args.bin, "run", "-c", config],
                                     stdout=self.log, stderr=self.log)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as r:
            return r.read().decode()

    def ready(self):
        while time.monotonic() - self.started < 10:
            if self.proc.poll() is not None:
                break
            try:
                self.get("/metrics")
                return self
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.02)
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip().splitlines()
        raise Skip("observer did not start: " + (said[-1] if said else "it said nothing"))

    def metric(self, name, label=""):
        """Sum of the samples of NAME (any prefix) whose labels hold LABEL; None if absent."""
        values = []
        for line in self.get("/metrics").splitlines():
            sample, _, value = line.rpartition(" ")
            base, _, labels = sample.partition("{")
            if not line.startswith("#") and base.endswith(name) and label in labels:
                values.append(float(value))
        return sum(values) if values else None

    def wait_metric(self, name, at_least, label="", seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (self.metric(name, label) or 0) >= at_least:
                return True
            time.sleep(0.05)
        return False

    def cpu_ns(self):
        return cpu_ns(self.proc.pid)

    def rss_mib(self):
        with open(f"/proc/{self.proc.pid}/status", encoding="utf-8") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise Skip("no VmRSS")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        self.log.close()
        shutil.rmtree(self.state, ignore_errors=True)


class Receiver:
    """An HTTP API that counts the events of the bench's own log, and when they came.

    It does as little as it can, since it runs on the cores that are measured.
    """

    def __init__(self, keep=False):
        receiver = self
        self.arrived = threading.Event()
        self.at = None
        self.count = 0
        self.kept = [] if keep else None  # (time, body)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                now = time.monotonic()
                receiver.count += body.count(b'"offset":')
                if receiver.kept is not None:
                    receiver.kept.append((now, body))
                if not receiver.arrived.is_set() and TARGET_TAG.encode() in body:
                    receiver.at = now
                    receiver.arrived.set()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_count(self, at_least, seconds):
        end = time.monotonic() + seconds
        while self.count < at_least:
            if time.monotonic() > end:
                raise Skip(f"{self.count:,} of {at_least:,} events within {seconds} s")
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def own_cgroup():
    """Our directory in cgroup v2."""
    with open("/proc/self/mounts", encoding="utf-8") as f:
        mounts = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        paths = [line.strip()[3:] for line in f if line.startswith("0::")]
    if not mounts or not paths:
        raise Skip("no cgroup v2")
    return mounts[0] + paths[0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_ns(pid):
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def peak_rss_mib(pid):
    """VmHWM; ru_maxrss would tell what we were when we forked."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0  # it has ended


def count_lines(path):
    try:
        with open(path, "rb") as f:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


class Bench:
    def __init__(self, args):
        self.args = args
        self.values = {}
        self.skipped = {}
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.mkdtemp(prefix="obs-bench-", dir=base)

    def note(self, key, value):
        self.values.setdefault(key, []).append(value)

    def attempt(self, keys, measure):
        """Run one measurement; a reason not to is kept for its rows and not tried again."""
        if any(k in self.skipped for k in keys) or not self.wanted(keys):
            return
        try:
            measure()
        except (Skip, OSError) as e:
            for k in keys:
                self.skipped[k] = str(e)

    def wanted(self, keys):
        return not self.args.only or any(self.args.only in k for k in keys)

    def untraced(self):
        if not self.wanted(["write", "getppid", "spread", "bursts", "write_target", "getppid_other",
                            "write_floor", "bursts_floor"]):
            return
        with Loop(self, OTHER_TAG) as loop:
            loop.write_ns(self.args.writes // 10)
            self.note("write", loop.write_ns(self.args.writes))
            self.note("bursts", loop.bursts_ns(self.args.writes))
            self.note("getppid", loop.ask("getppid", self.args.writes))
            self.note_spread("spread", loop)

    def note_spread(self, key, loop):
        values = loop.spread_ns(self.args.writes)
        for name, value in zip(("p50", "p99", "p999", "max"), values):
            self.note(f"{key}_{name}", value)

    def need_observer(self):
        if os.geteuid() != 0:
            raise Skip("needs root")
        if shutil.which(self.args.bin) is None:
            raise Skip(f"no {self.args.bin}")
        said = subprocess.run([self.args.bin, "--help"], capture_output=True, text=True)
        if " run " not in said.stdout:
            raise Skip("this build has no 'run' command")

    @contextlib.contextmanager
    def empty_programs(self, *args, name="floor"):
        """On the observer's hooks: no observer can cost less there."""
        if os.geteuid() != 0:
            raise Skip("needs root")
        program = os.path.join(os.path.dirname(self.args.loop), name)
        with subprocess.Popen([program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as p:
            if p.stdout.readline() != "ready\n":
                raise Skip(p.stderr.read().strip() or "it did not start")
            yield
            p.stdin.close()

    def floor(self):
        with self.empty_programs(), Loop(self, OTHER_TAG) as loop:
            loop.write_ns(self.args.writes // 10)
            self.note("write_floor", loop.write_ns(self.args.writes))
            self.note("getppid_floor", loop.ask("getppid", self.args.writes))

    def floor_of_records(self):
        """What is left of a capture when nothing is looked at: nothing copied, or just the line."""
        for key, copied in (("bursts_floor", "0"), ("bursts_floor_filled", LINE_BYTES)):
            with Loop(self, OTHER_TAG) as loop:
                with self.empty_programs(str(loop.proc.pid), copied, name="floor_record"):
                    loop.write_ns(self.args.writes // 10)
                    self.note(key, loop.bursts_ns(self.args.writes))

    def observed(self):
        self.need_observer()
        with Observer(self) as obs:
            obs.ready()
            with Loop(self, OTHER_TAG) as loop:
                loop.write_ns(self.args.writes // 10)
                self.note("write_other", loop.write_ns(self.args.writes))
                self.note("getppid_other", loop.ask("getppid", self.args.writes))
            with Loop(self, TARGET_TAG) as loop:
                self.target(obs, loop)

    def target(self, obs, loop):
        warm = self.args.writes // 10
        loop.ask("drip", 20)
        if not obs.wait_metric("lines_total", 20, seconds=5):
            raise Skip("the observer does not follow the target's log")
        loop.ask("write", warm)
        obs.wait_metric("lines_total", 20 + warm)
        before = {p: obs.metric("lines_total", p) or 0 for p in ("captured", "backfilled")}
        self.note("write_target", loop.ask("write", self.args.writes))
        obs.wait_metric("lines_total", sum(before.values()) + self.args.writes, seconds=20)
        got = {p: (obs.metric("lines_total", p) or 0) - before[p] for p in before}
        self.note("captured", 100 * got["captured"] / self.args.writes)
        self.note_spread("spread_target", loop)
        self.note("bursts_target", loop.bursts_ns(self.args.writes))
        self.note("unaccounted", self.args.writes - sum(got.values()))

    def talk(self):
        """Untraced before and after: what drifts, drifts for all."""
        self.need_observer()
        self.talk_once("")
        with self.empty_programs():
            self.talk_once("_floor")
        with Observer(self) as obs:
            obs.ready()
            self.talk_once("_target", obs)
        self.talk_once("")

    def talk_once(self, suffix, obs=None):
        calls = self.args.writes // 10
        with Talk(self, TARGET_TAG if obs else OTHER_TAG) as talk:
            time.sleep(0.3)  # found, if it is to be
            talk.ask("talk", f"{calls // 10} 100")
            self.note("talk" + suffix, talk.ask("talk", f"{calls} 100"))
            before = obs.metric("p2pd_bytes_total") if obs else 0
            ns = talk.ask("talk", f"{calls // 10} 1000000")
            self.note("talk_bulk" + suffix, ns)
            if obs:
                want = calls // 10 * 1_000_000
                if not obs.wait_metric("p2pd_bytes_total", before + want):
                    raise Skip("not all bytes were accounted for")
                self.note("talk_rate", 1_000_000 / ns * 1e3)

    def strace(self):
        if not shutil.which("strace"):
            raise Skip("no strace here")
        prefix = ["strace", "-f", "-e", "trace=write", "-o", "/dev/null"]
        with Loop(self, OTHER_TAG, prefix) as loop:
            self.note("write_strace", loop.write_ns(STRACE_WRITES))

    def bpftrace(self):
        if not shutil.which("bpftrace"):
            raise Skip("no bpftrace here")
        if os.geteuid() != 0:
            raise Skip("needs root")
        with Loop(self, OTHER_TAG) as loop:
            program = ("tracepoint:syscalls:sys_enter_write /pid == %d/ "
                       '{ printf("%%s", str(args->buf, args->count)) }' % loop.proc.pid)
            # bpftrace copies 64 bytes of a string unless told.
            tracer = subprocess.Popen(
                [*WITH_TRACEFS, "bpftrace", "-o", "/dev/null", "-e", program],
                env={**os.environ, "BPFTRACE_STRLEN": "128"},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_attached(tracer)
                self.note("write_bpftrace", loop.write_ns(BPFTRACE_WRITES))
            finally:
                tracer.send_signal(signal.SIGINT)
                tracer.wait()

    def first_event(self):
        self.need_observer()
        with Receiver() as api, Loop(self, TARGET_TAG) as loop:
            loop.ask("drip", 5)
            loop.proc.stdin.write("drip 600\n")
            with Observer(self, api.url) as obs:
                if not api.arrived.wait(5):
                    raise Skip("no event within 5 s")
                self.note("first_event", 1000 * (api.at - obs.started))
                loop.proc.kill()

    def restart(self):
        """A stop that keeps the store, then a start: 100 files are known, one writer is active."""
        self.need_observer()
        logs = os.path.join(self.dir, "known")
        os.makedirs(logs)
        for i in range(100):
            with open(os.path.join(logs, f"{i}.log"), "w", encoding="utf-8") as f:
                f.write(f"known {i}\n" * 1000)
        more = f"log_files: ['{logs}/*.log']\ninitial_tail_lines: 10\n"
        kept = os.path.join(self.dir, "kept")
        try:
            with Receiver() as api, Observer(self, api.url, 1000, more) as obs:
                obs.ready()
                api.wait_count(1000, 10)
                obs.proc.terminate()
                obs.proc.wait(5)
                shutil.copytree(obs.state, kept)
            os.rename(kept, obs.state)
            with Receiver() as api, Loop(self, TARGET_TAG) as loop:
                loop.ask("drip", 5)
                loop.proc.stdin.write("drip 600\n")
                with Observer(self, api.url, 1, more) as obs:
                    if not api.arrived.wait(5):
                        raise Skip("no event within 5 s")
                    self.note("restart_cpu", obs.cpu_ns() / 1e6)
                    self.note("restart", 1000 * (api.at - obs.started))
                    loop.proc.kill()
        finally:
            shutil.rmtree(logs, ignore_errors=True)
            shutil.rmtree(kept, ignore_errors=True)

    def backfill(self):
        self.need_observer()
        path = os.path.join(self.dir, "old.log")
        line = (b"[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][INFO] - "
                b"something of no particular meaning ".ljust(52, b".") + b"\n")
        n = self.args.old_mb * 1_000_000 // len(line)
        with open(path, "wb") as f:
            for _ in range(100):
                f.write(line * (n // 100))
        n = n // 100 * 100
        more = f"log_files: ['{path}']\ninitial_tail_lines: 0\n"
        try:
            with Observer(self, more=more, forward="events") as obs:
                obs.ready()
                cpu, before = obs.cpu_ns(), obs.metric("lines_parsed_total")
                if not obs.wait_metric("lines_parsed_total", n, seconds=30):
                    raise Skip("not read within 30 s")
                self.note("backfill", n * len(line) / 1e6 / (time.monotonic() - obs.started))
                self.note("backfill_cpu", (n - before) * len(line) * 1e3 / (obs.cpu_ns() - cpu))
            program = os.path.join(os.path.dirname(self.args.loop), "cut_lines")
            self.cpu_rate("backfill_cut", n * len(line) / 1e6, [program, path])
        finally:
            os.unlink(path)

    def latency(self):
        self.need_observer()
        with Receiver(keep=True) as api, Observer(self, api.url, batch=1000) as obs:
            obs.ready()
            with Loop(self, TARGET_TAG) as loop:
                loop.ask("drip", 20)
                api.wait_count(20, 5)
                loop.ask("paced", self.args.paced)
                api.wait_count(20 + self.args.paced, 10)
        late = sorted(1000 * now - int(stamp) / 1e6
                      for now, body in api.kept for stamp in STAMP.findall(body))
        self.note("latency_p50", late[len(late) // 2])
        self.note("latency_p99", late[len(late) * 99 // 100])

    def throughput(self):
        self.need_observer()
        n = self.args.burst
        with Receiver() as api, Observer(self, api.url, batch=1000) as obs:
            obs.ready()
            with Loop(self, TARGET_TAG) as loop:
                loop.ask("drip", 20)
                api.wait_count(20, 5)
                start, cpu = time.monotonic(), obs.cpu_ns()
                loop.ask("write", n)
                api.wait_count(20 + n, 60)
                self.note("throughput", n / (time.monotonic() - start))
                self.note("line_cpu", (obs.cpu_ns() - cpu) / 1000 / n)

    def idle(self):
        self.need_observer()
        with Observer(self) as obs:
            obs.ready()
            time.sleep(1)
            cpu, at = obs.cpu_ns(), time.monotonic()
            time.sleep(self.args.idle)
            self.note("idle_cpu", (obs.cpu_ns() - cpu) / 1e7 / (time.monotonic() - at))
            self.note("idle_rss", obs.rss_mib())

    def look(self, containers, each=20, more="", looks=10):
        """CPU of one look at that many containers, their events included, ms."""
        usage = "usage:\n  interval: 1\nsystem:\n  poll_interval: 0\n" + more
        with Crowd(containers, each, TARGET_TAG), Observer(self, more=usage,
                                                          forward="events").ready() as obs:
            if not obs.wait_metric("gswarm_node_processes", containers * each, seconds=30):
                raise Skip(f"{obs.metric('gswarm_node_processes') or 0:.0f} processes were found")
            names = ("usage_looks_total", "usage_look_cpu_seconds_total")
            start = [obs.metric(n) for n in names]
            obs.wait_metric(names[0], start[0] + looks, seconds=60)
            end = [obs.metric(n) for n in names]
        return 1000 * (end[1] - start[1]) / (end[0] - start[0])

    def looks(self):
        if os.geteuid() != 0:
            raise Skip("needs root")
        half, whole = self.look(25), self.look(50)
        self.note("look_25", half)
        self.note("look_50", whole)
        self.note("look_growth", whole / 50 / (half / 25))
        self.note("look_proc", self.look(50, more="probes:\n  bpf: false\n", looks=3))

    def look_alikes(self):
        """What the cases of e2e need; returns their Env."""
        self.need_observer()
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../e2e"))
        sys.dont_write_bytecode = True
        import harness
        env = harness.Env
        env.observer = self.args.bin
        env.node = os.path.abspath(os.path.join(os.path.dirname(self.args.loop), "../node/node"))
        env.tmp = pathlib.Path(tempfile.mkdtemp(prefix="gso-bench-", dir=self.dir))
        if not os.access(env.node, os.X_OK):
            raise Skip("no look-alike was built")
        return env

    def state_look(self, nodes=20, seconds=5):
        """CPU of a second with that many idle nodes, without what an observer of none needs."""
        quiet = {"usage": {"interval": 0}, "connections": {"interval": "1h"},
                 "probes": {"canary_interval": 0}}
        with self.look_alikes().cleanup:
            import harness
            import reactions

            def per_second(observer):
                start = cpu_ns(observer.process.pid)
                time.sleep(seconds)
                return (cpu_ns(observer.process.pid) - start) / seconds / 1e6
            _, observer = reactions.watch(quiet)
            time.sleep(1)
            alone = per_second(observer)
            for _ in range(nodes):
                harness.ProcessNode("")
            end = time.monotonic() + 30
            while observer.metrics().get("gswarm_nodes") != nodes:
                if time.monotonic() > end:
                    raise Skip(f"{observer.metrics().get('gswarm_nodes'):.0f} nodes were found")
                time.sleep(0.1)
            time.sleep(4)  # their starts are told
            self.note("state_look", per_second(observer) - alone)

    def reactions(self, lives=4):
        """Causes of every kind at look-alikes; the later of the two places counts."""
        import reactions
        with self.look_alikes().cleanup:
            at = reactions.watch()
            seen = [r for _ in range(lives) for kind in (reactions.one_life, reactions.out_of_memory)
                    for r in kind(*at)]
        late = sorted(1000 * max(r["api_s"], r["event_s"]) for r in seen)
        self.note("state_median", statistics.median(late))
        self.note("state_max", late[-1])

    def storm(self, mode, n, tag):
        program = os.path.join(os.path.dirname(self.args.loop), "../triggers/connect_storm")
        if not os.access(program, os.X_OK):
            raise Skip("no connect_storm was built")
        return subprocess.Popen([program, mode, str(n), tag], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def connects(self, each=2_000, times=10):
        """CPU of those that connect: with nothing there and with empty programs in turn, then with an
        observer, the two in turn."""
        self.need_observer()
        with self.storm("ask", each, OTHER_TAG) as other, self.storm("ask", each, TARGET_TAG) as target:
            def ask(key, proc):
                proc.stdin.write("\n")
                proc.stdin.flush()
                self.note(key, float(proc.stdout.readline()))

            for _ in range(times):
                ask("connect", other)
                with self.empty_programs(own_cgroup()):
                    ask("connect_floor", other)
            with Observer(self, forward="events").ready() as obs:
                if not obs.wait_metric("gswarm_nodes", 1):
                    raise Skip("the observer does not find its target")
                for _ in range(times):
                    ask("connect_other", other)
                    ask("connect_target", target)
            for _ in range(times):
                ask("connect", other)
            other.stdin.close()
            target.stdin.close()

    def conn_look(self, seconds=5):
        """CPU of a look at 10,000 sockets, without what else the observer does in a second."""
        self.need_observer()
        more = ("usage:\n  interval: 0\nsystem:\n  poll_interval: 0\n"
                "connections:\n  interval: 1\n  events_per_second: 0\n")

        def per_look(obs):
            start = obs.cpu_ns(), obs.metric("connection_passes_total")
            time.sleep(seconds)
            passes = obs.metric("connection_passes_total") - start[1]
            return (obs.cpu_ns() - start[0]) / max(passes, 1) / 1e6

        with Observer(self, more=more, forward="events").ready() as obs:
            alone = per_look(obs)
            with self.storm("hold", 5000, TARGET_TAG) as proc:
                if proc.stdout.readline() != "ready\n":
                    raise Skip("5,000 connections could not be made")
                time.sleep(1)
                self.note("conn_look", per_look(obs) - alone)
                proc.stdin.close()

    def write_log(self, name, text, lines):
        """TEXT again and again until the file has LINES; returns its path and how many it has."""
        path = os.path.join(self.dir, name)
        times = max(1, lines // text.count(b"\n"))
        with open(path, "wb") as f:
            for _ in range(times):
                f.write(text)
        return path, times * text.count(b"\n")

    def corpus(self, lines):
        source = os.path.join(os.path.dirname(__file__), "../data/loglines.tsv")
        if not os.path.exists(source):
            raise Skip("no tests/data/loglines.tsv")
        with open(source, "rb") as f:
            rows = [row.rstrip(b"\n").split(b"\t", 2)[-1] + b"\n" for row in f][1:]
        return self.write_log("mix.log", b"".join(rows), lines)

    def cpu_rate(self, key, lines, command):
        """Lines per second of one core: the CPU time counts, whatever else runs here."""
        proc, pid, rss = subprocess.Popen(command, stdout=subprocess.DEVNULL), 0, 0
        while not pid:
            rss = peak_rss_mib(proc.pid) or rss
            time.sleep(0.02)
            pid, status, used = os.wait4(proc.pid, os.WNOHANG)
        proc.returncode = os.waitstatus_to_exitcode(status)
        if proc.returncode != 0:
            raise Skip(f"{command[0]} ended with {proc.returncode}")
        self.note(key, lines / (used.ru_utime + used.ru_stime))
        return rss

    def replay(self):
        path, n = self.corpus(self.args.replay_lines)
        rss = self.cpu_rate("replay", n, [self.args.bin, "replay", path])
        os.unlink(path)
        path, n = self.write_log("traces.log", TRACEBACK, self.args.replay_lines)
        rss = max(rss, self.cpu_rate("replay_traces", n, [self.args.bin, "replay", path]))
        os.unlink(path)
        self.note("replay_rss", rss)

    def replay_python(self):
        script = os.path.join(os.path.dirname(__file__), "replay_baseline.py")
        path, n = self.corpus(self.args.replay_lines // 10)
        self.cpu_rate("replay_python", n, [sys.executable, script, path])
        os.unlink(path)

    def replay_syslog_ng(self):
        program = shutil.which("syslog-ng", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise Skip("no syslog-ng here")
        path, n = self.corpus(self.args.replay_lines // 10)
        at = {name: os.path.join(self.dir, "ng-" + name) for name in ("conf", "out", "state")}
        with open(os.path.join(os.path.dirname(__file__), "replay_syslog_ng.conf"),
                  encoding="utf-8") as f:
            text = f.read().replace("@INPUT@", path).replace("@OUTPUT@", at["out"])
        with open(at["conf"], "w", encoding="utf-8") as f:
            f.write(text)
        proc = subprocess.Popen(
            [program, "-F", "--no-caps", "-f", at["conf"], "-R", at["state"],
             "-p", at["state"] + ".pid", "-c", at["state"] + ".ctl"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end, lines = time.monotonic() + 60, 0
        while lines < n and time.monotonic() < end and proc.poll() is None:
            time.sleep(0.1)
            lines = count_lines(at["out"])
        proc.terminate()
        _, _, used = os.wait4(proc.pid, 0)
        proc.returncode = 0
        for f in (path, *glob.glob(os.path.join(self.dir, "ng-*"))):
            os.unlink(f)
        if lines < n:
            raise Skip(f"syslog-ng wrote {lines:,} of {n:,} lines")
        self.note("replay_syslog_ng", n / (used.ru_utime + used.ru_stime))

    def run(self):
        for i in range(self.args.rounds):
            progress(f"round {i + 1} of {self.args.rounds}")
            self.untraced()
            self.attempt(["write_floor", "getppid_floor"], self.floor)
            self.attempt(["bursts_floor", "bursts_floor_filled"], self.floor_of_records)
            self.attempt(["write_other", "write_target", "bursts_target", "captured", "unaccounted",
                          "getppid_other", *SPREAD_TARGET], self.observed)
            self.untraced()  # before and after: what drifts, drifts for both
            self.attempt([key for key, *_ in ROWS if key.startswith("talk")], self.talk)
            self.attempt(["connect", "connect_floor", "connect_other", "connect_target"], self.connects)
            self.attempt(["write_strace"], self.strace)
            self.attempt(["write_bpftrace"], self.bpftrace)
            self.attempt(["first_event"], self.first_event)
            self.attempt(["restart", "restart_cpu"], self.restart)
            self.attempt(["backfill", "backfill_cpu", "backfill_cut"], self.backfill)
            self.attempt(["latency_p50", "latency_p99"], self.latency)
            self.attempt(["throughput", "line_cpu"], self.throughput)
            self.attempt(["replay", "replay_traces", "replay_rss"], self.replay)
            self.attempt(["replay_python"], self.replay_python)
            self.attempt(["replay_syslog_ng"], self.replay_syslog_ng)
        progress("looks")
        self.attempt(["look_25", "look_50", "look_growth", "look_proc"], self.looks)
        self.attempt(["state_look"], self.state_look)
        self.attempt(["state_median", "state_max"], self.reactions)
        progress("idle")
        self.attempt(["conn_look"], self.conn_look)
        self.attempt(["idle_cpu", "idle_rss"], self.idle)
        progress("")
        return self.results()

    def result(self, key, unit):
        base = {"write_other_ns": ("write_other", "write"),
                "write_floor_ns": ("write_floor", "write"),
                "getppid_floor_ns": ("getppid_floor", "getppid"),
                "getppid_other_ns": ("getppid_other", "getppid")}.get(key)
        if base:
            if not all(k in self.values for k in base):
                return None
            return (statistics.median(self.values[base[0]])
                    - statistics.median(self.values[base[1]]))
        if key not in self.values:
            return None
        value = statistics.median(self.values[key])
        if unit == "ratio":
            value /= statistics.median(self.values[RATIO_TO.get(key, "write")])
        return value

    def results(self):
        out = []
        for key, what, unit, now, final in (r for r in ROWS if self.wanted([r[0]])):
            value = self.result(key, unit)
            reason = self.skipped.get(key.removesuffix("_ns"), "") if value is None else ""
            out.append({"key": key, "what": what, "unit": unit, "value": value,
                        "samples": self.values.get(key, []), "skipped": reason,
                        "goal": now, "final_goal": final,
                        "pass": reached(value, now), "final_pass": reached(value, final)})
        return out


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def wait_attached(tracer):
    """bpftrace does not say when it is ready where its output is thrown away."""
    tool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if tracer.poll() is not None:
            raise Skip(f"bpftrace ended with {tracer.returncode}")
        if not os.path.exists(tool):
            time.sleep(5)
            return
        said = subprocess.run([tool, "perf", "list"], capture_output=True, text=True).stdout
        if f"pid {tracer.pid} " in said:
            return
        time.sleep(0.05)
    raise Skip("bpftrace attached nothing in 15 s")


def reached(value, goal):
    if value is None or goal is None:
        return None
    if isinstance(goal, tuple):
        return value >= goal[1]
    return value <= goal


def goal_text(goal, unit):
    if goal is None:
        return ""
    sign, number = (">=", goal[1]) if isinstance(goal, tuple) else ("<=", goal)
    return f"{sign} " + FORMATS[unit].format(number)


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "cpu": model,
            "load": os.getloadavg()[0]}


MARKS = {True: "ok", False: "MISS", None: ""}


def print_table(host, args, rows):
    print(f"{host['cpus']} x {host['cpu']}, Linux {host['kernel']}, "
          f"load {host['load']:.2f} at start")
    print(f"median of {args.rounds}, {args.writes:,} writes each "
          f"(strace {STRACE_WRITES:,}, bpftrace {BPFTRACE_WRITES:,})\n")
    if host["load"] > 0.5:
        print("(other work is going on here: expect noise)\n")
    line = "{:<44} {:>13}  {:<14} {:<5} {:<16} {}"
    print(line.format("", "measured", "goal now", "", "final goal", "").rstrip())
    for r in rows:
        value = FORMATS[r["unit"]].format(r["value"]) if r["value"] is not None else "skipped"
        tail = f"({r['skipped']})" if r["value"] is None else MARKS[r["final_pass"]]
        print(line.format(r["what"], value, goal_text(r["goal"], r["unit"]), MARKS[r["pass"]],
                          goal_text(r["final_goal"], r["unit"]), tail).rstrip())


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--bin", default="build/gswarm-observer")
    p.add_argument("--loop", default="build/tests/bench/write_loop")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--writes", type=int, default=200_000)
    p.add_argument("--paced", type=int, default=3_000, help="lines for the latency")
    p.add_argument("--burst", type=int, default=500_000, help="lines for the throughput")
    p.add_argument("--old-mb", type=int, default=500, help="size of the old log")
    p.add_argument("--replay-lines", type=int, default=2_000_000)
    p.add_argument("--idle", type=float, default=10, help="seconds")
    p.add_argument("--only", help="measure only rows whose keys hold this word")
    p.add_argument("--json", action="store_true", help="print JSON instead of the table")
    p.add_argument("--strict", action="store_true", help="exit 1 when a goal of now is missed")
    args = p.parse_args()
    args.bin = os.path.abspath(args.bin)
    host = machine()
    bench = Bench(args)
    try:
        rows = bench.run()
    finally:
        shutil.rmtree(bench.dir, ignore_errors=True)
    if args.json:
        print(json.dumps({"machine": host, "rounds": args.rounds, "writes": args.writes,
                          "rows": rows}, indent=2))
    else:
        print_table(host, args, rows)
    return 1 if args.strict and any(r["pass"] is False for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
