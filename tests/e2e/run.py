#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the end-to-end cases: each in its own process with a time limit, on one private Docker
engine. Whatever happens, nothing stays behind: processes, containers, mounts, files.

    tests/e2e/run.py --observer build/gswarm-observer --node build/tests/node/node [WORD...]

A WORD selects the cases whose name (file.case) holds it. --list shows the names, --keep leaves
the directories of failed cases in place. Exit 0: all that ran passed.
"""

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENGINE = HERE.parent.parent / "scripts" / "docker-engine.sh"
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import harness  # noqa: E402 (needs the path above)
from cases import CASES  # noqa: E402

SKIPPED = 77
PR_SET_PDEATHSIG = 1
TMP_PREFIX = "gso-e2e-"


class Ended(Exception):
    """A signal asked us to stop."""


def on_signal(number, _frame):
    raise Ended(signal.Signals(number).name)


class Engine:
    """The private Docker engine, started when the first case needs it."""

    def __init__(self, node):
        self.node = node
        self.dir = None
        self.why_not = None

    def socket(self):
        if self.dir is None and self.why_not is None:
            self.start()
        if self.why_not:
            raise harness.Skip(f"no Docker engine: {self.why_not}")
        return f"{self.dir}/docker.sock"

    def start(self):
        out = subprocess.run([ENGINE, "start", str(os.getpid())], text=True, timeout=90,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if out.returncode != 0:
            self.why_not = out.stderr.strip().splitlines()[-1] if out.stderr.strip() else "?"
            return
        self.dir = out.stdout.strip()
        subprocess.run([ENGINE, "image", f"{self.dir}/docker.sock", self.node], check=True, timeout=60)

    def stop(self):
        if self.dir:
            subprocess.run([ENGINE, "stop", self.dir], timeout=90)
            self.dir = None

    def remove_containers(self):
        if self.dir:
            harness.Env.docker_socket = f"{self.dir}/docker.sock"
            with contextlib.suppress(Exception):
                ids = harness.docker("ps", "-aq").split()
                if ids:
                    harness.docker("rm", "-f", *ids, check=False)


def why_skip(case, engine):
    """Set up what the case needs; say why it cannot be had."""
    if "root" in case.needs and os.geteuid() != 0:
        return "needs root"
    if "bpf" in case.needs and not Path("/sys/kernel/btf/vmlinux").exists():
        return "this kernel has no BTF (/sys/kernel/btf/vmlinux)"
    if "long" in case.needs and not os.environ.get("GSO_LONG"):
        return "takes long: make test-long runs it"
    for tool in case.needs - {"root", "docker", "bpf", "long"}:
        if not shutil.which(tool):
            return f"{tool} is not installed"
    harness.Env.docker_socket = ""
    if "docker" in case.needs:
        try:
            harness.Env.docker_socket = engine.socket()
        except harness.Skip as e:
            return str(e)
    return None


def print_logs(tmp):
    for log in sorted(Path(tmp).glob("**/observer.log")):
        text = log.read_text(errors="replace")
        print(f"--- {log.relative_to(tmp)}{' (its end)' if len(text) > 6000 else ''}")
        print(text[-6000:])


def child(case, tmp, log_fd):
    """In the case's own process: run it, clean up, say how it went by the exit status."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business
    harness.Env.tmp = Path(tmp)
    status = 0
    with harness.Env.cleanup:
        try:
            case.run()
        except harness.Skip as e:
            print(e)
            status = SKIPPED
        except BaseException:  # Ended too: clean up, then tell
            traceback.print_exc()
            status = 1
        if status == 1:
            print_logs(tmp)
        sys.stdout.flush()
    return status


def kill_group(pgid):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)


def wait_child(pid, limit_s):
    """Exit status, or None when the limit passed and it was ended."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGTERM)  # its cleanup runs
    grace = time.monotonic() + 15
    while time.monotonic() < grace:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        time.sleep(0.05)
    kill_group(pid)
    os.waitpid(pid, 0)
    return None


def sweep():
    """Remove what a killed run.py left: its directories. The engine script does the rest."""
    for path in Path(tempfile.gettempdir()).glob(TMP_PREFIX + "*"):
        owner = path.name.removeprefix(TMP_PREFIX).split("-")[0]
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(path, ignore_errors=True)


def run_case(case, engine, keep):
    """Returns ("ok" | "FAIL" | "skip", seconds, text)."""
    reason = why_skip(case, engine)
    if reason:
        return "skip", 0.0, reason
    tmp = tempfile.mkdtemp(prefix=f"{TMP_PREFIX}{os.getpid()}-")
    os.chmod(tmp, 0o755)
    log = tempfile.TemporaryFile(mode="w+b")
    start = time.monotonic()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = child(case, tmp, log.fileno())
        finally:
            os._exit(code)
    try:
        code = wait_child(pid, case.limit_s)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            time.sleep(1)
        raise
    finally:
        kill_group(pid)
        engine.remove_containers()
        if not (keep and code not in (0, SKIPPED)):
            shutil.rmtree(tmp, ignore_errors=True)
    log.seek(0)
    text = log.read().decode(errors="replace").strip()
    seconds = time.monotonic() - start
    if code == 0:
        return "ok", seconds, ""
    if code == SKIPPED:
        return "skip", seconds, text.splitlines()[-1] if text else "?"
    if code is None:
        text = f"not done after {case.limit_s} s\n{text}"
    if keep:
        text += f"\nkept: {tmp}"
    return "FAIL", seconds, text


# --- several at once --------------------------------------------------------------

UNSTEADY_MAX = 3  # of more, something is broken


class Results:
    """What became of each case, told as it becomes known."""

    def __init__(self):
        self.of = {}

    def add(self, case, result, seconds, text):
        self.of[case.name] = (case, result, text)
        note = f"  ({text})" if result == "skip" else ""
        print(f"{result:4} {seconds:6.1f} s  {case.name}: {case.title}{note}", flush=True)
        if result == "FAIL":
            print("       " + text.replace("\n", "\n       "), flush=True)

    def named(self, what):
        return [(case, text) for case, result, text in self.of.values() if result == what]


def worker(cases, queue, out, keep):
    """In a process of its own, with an engine of its own: take cases until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    engine = Engine(harness.Env.node)
    try:
        while True:
            index = os.read(queue, 4)
            if not index:
                return 0
            index = int.from_bytes(index, "little")
            line = json.dumps([index, *run_case(cases[index], engine, keep)]) + "\n"
            os.write(out, line.encode())
    except Ended:
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        engine.stop()


def start_worker(cases, queue, keep):
    """Returns its pid, and where it tells the results."""
    results_out, results_in = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = worker(cases, queue, results_in, keep)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(results_in)
    return pid, results_out


def read_results(fds, cases, results):
    """Until the last worker has closed its end."""
    rest = dict.fromkeys(fds, b"")
    while rest:
        for fd in select.select(list(rest), [], [])[0]:
            chunk = os.read(fd, 65536)
            if not chunk:
                del rest[fd]
                continue
            *lines, rest[fd] = (rest[fd] + chunk).split(b"\n")
            for line in lines:
                index, result, seconds, text = json.loads(line)
                results.add(cases[index], result, seconds, text)


def run_beside(cases, jobs, keep, results):
    """Each of the cases once, @jobs at a time."""
    queue_out, queue_in = os.pipe()
    # the pipe holds 64 KiB: all numbers at once
    os.write(queue_in, b"".join(i.to_bytes(4, "little") for i in range(len(cases))))
    os.close(queue_in)
    workers = [start_worker(cases, queue_out, keep) for _ in range(min(jobs, len(cases)))]
    os.close(queue_out)
    try:
        read_results([fd for _, fd in workers], cases, results)
    except BaseException:
        for pid, _ in workers:
            os.kill(pid, signal.SIGTERM)
        raise
    finally:
        for pid, fd in workers:
            os.waitpid(pid, 0)
            os.close(fd)
    for case in cases:
        if case.name not in results.of:
            results.add(case, "FAIL", 0, "it did not come to its end")


def run_again(results, keep):
    """A case that failed beside others is judged by how it fares alone; it is named all the same,
    because a test that sometimes fails is a defect. Returns those that passed then."""
    failed = [case for case, _ in results.named("FAIL")]
    if not 0 < len(failed) <= UNSTEADY_MAX:
        return []
    print("alone, once more:", flush=True)
    run_beside(failed, 1, keep, results)
    return [case for case in failed if results.of[case.name][1] == "ok"]


def run_all(cases, jobs, keep):
    """Returns the results, and the cases that passed only alone."""
    results = Results()
    if jobs > 1:
        run_beside([c for c in cases if not c.alone], jobs, keep, results)
        unsteady = run_again(results, keep)
        run_beside([c for c in cases if c.alone], 1, keep, results)
    else:
        run_beside(cases, 1, keep, results)
        unsteady = []
    return results, unsteady


def choose(words):
    for path in sorted(HERE.glob("test_*.py")):
        importlib.import_module(path.stem)
    return [c for c in CASES if not words or any(w in c.name for w in words)]


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--observer", default="build/gswarm-observer")
    p.add_argument("--node", default="build/tests/node/node")
    p.add_argument("--list", action="store_true", help="show the cases")
    p.add_argument("--jobs", type=int, default=1, help="cases at a time (those that measure: one)")
    p.add_argument("--keep", action="store_true", help="keep the directories of failed cases")
    p.add_argument("--summary", help="write 'passed failed skipped' to this file")
    p.add_argument("words", nargs="*")
    return p.parse_args()


def sum_up(results, unsteady, summary):
    for case, text in results.named("skip"):
        print(f"skip {case.name}: {text.splitlines()[0]}")
    for case in unsteady:
        print(f"unsteady {case.name}: failed beside others, passed alone; find out why")
    for case, _ in results.named("FAIL"):
        print(f"FAIL {case.name}: {case.title}")
    counts = [len(results.named(what)) for what in ("ok", "FAIL", "skip")]
    if summary:
        Path(summary).write_text(" ".join(map(str, counts)) + "\n")
    print("e2e: {} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0


def main():
    args = parse_args()
    cases = choose(args.words)
    if args.list:
        for c in cases:
            print(f"{c.name}: {c.title}")
        return 0
    if not cases:
        print(f"no case has a name with {' or '.join(args.words)} in it")
        return 2
    harness.Env.observer = os.path.abspath(args.observer)
    harness.Env.node = os.path.abspath(args.node)
    for path in (harness.Env.observer, harness.Env.node):
        if not os.access(path, os.X_OK):
            print(f"{path} is not there; 'make test-e2e' builds it")
            return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    sweep()
    try:
        results, unsteady = run_all(cases, args.jobs, args.keep)
    except Ended as e:
        print(f"ended by {e}")
        return 130
    return sum_up(results, unsteady, args.summary)


if __name__ == "__main__":
    sys.exit(main())
