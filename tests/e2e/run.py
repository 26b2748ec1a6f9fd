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
import os
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


def run_all(cases, engine, keep):
    results = []
    for case in cases:
        result, seconds, text = run_case(case, engine, keep)
        results.append((case, result, text))
        note = f"  ({text})" if result == "skip" else ""
        print(f"{result:4} {seconds:6.1f} s  {case.name}: {case.title}{note}", flush=True)
        if result == "FAIL":
            print("       " + text.replace("\n", "\n       "), flush=True)
    return results


def select(words):
    for path in sorted(HERE.glob("test_*.py")):
        importlib.import_module(path.stem)
    return [c for c in CASES if not words or any(w in c.name for w in words)]


def parse_args():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--observer", default="build/gswarm-observer")
    p.add_argument("--node", default="build/tests/node/node")
    p.add_argument("--list", action="store_true", help="show the cases")
    p.add_argument("--keep", action="store_true", help="keep the directories of failed cases")
    p.add_argument("--summary", help="write 'passed failed skipped' to this file")
    p.add_argument("words", nargs="*")
    return p.parse_args()


def main():
    args = parse_args()
    cases = select(args.words)
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
    engine = Engine(harness.Env.node)
    results = []
    try:
        results = run_all(cases, engine, args.keep)
    except Ended as e:
        print(f"ended by {e}")
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        engine.stop()
    counts = [sum(r == what for _, r, _ in results) for what in ("ok", "FAIL", "skip")]
    for case, result, text in results:
        if result != "ok":
            print(f"{result} {case.name}: {text.splitlines()[0] if result == 'skip' else case.title}")
    if args.summary:
        Path(args.summary).write_text(" ".join(map(str, counts)) + "\n")
    print("e2e: {} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
