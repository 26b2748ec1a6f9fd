# SPDX-License-Identifier: BSD-2-Clause
"""Containers without an engine: cgroups named as Docker names them, and processes that sleep in them."""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path


def hierarchies():
    """Where cgroups are mounted, v1 and v2."""
    out = []
    with open("/proc/self/mounts", encoding="utf-8") as f:
        for line in f:
            _, where, kind, *_ = line.split()
            if kind in ("cgroup", "cgroup2"):
                out.append(Path(where))
    return out


class Crowd:
    """`containers` cgroups with `each` processes, whose command lines hold `tag`."""

    def __init__(self, containers, each, tag):
        self.dirs, self.procs = [], []
        sleep = shutil.which("sleep")
        try:
            for _ in range(containers):
                name = secrets.token_hex(32)
                dirs = [h / "docker" / name for h in hierarchies()]
                for d in dirs:
                    d.mkdir(parents=True)
                    self.dirs.append(d)
                    prepare_cpuset(d)
                starter = ["/bin/sh", "-c", 'for d; do echo $$ >"$d/cgroup.procs" || exit 1; done\n'
                           'i=0; while [ $i -lt $N ]; do "$S" 100000 & i=$((i + 1)); done\nwait', tag,
                           *map(str, dirs)]
                self.procs.append(subprocess.Popen(
                    starter, env={**os.environ, "N": str(each - 1), "S": sleep},
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        except OSError:
            self.end()
            raise

    def pids(self):
        """By cgroup: what `sh` started is gone from its command line."""
        found = set()
        for d in self.dirs:
            with contextlib.suppress(OSError):
                found |= {int(p) for p in (d / "cgroup.procs").read_text().split()}
        return found

    def end(self):
        for p in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(p, 9)
        for p in self.procs:
            p.wait()
        end = time.monotonic() + 10
        for d in self.dirs:
            while d.exists() and time.monotonic() < end:
                with contextlib.suppress(OSError):
                    d.rmdir()  # busy until the last of its processes is gone
                    break
                time.sleep(0.01)
        for h in hierarchies():
            with contextlib.suppress(OSError):
                (h / "docker").rmdir()  # if it was ours

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def prepare_cpuset(d):
    """A new cpuset of v1 has no CPUs, and takes no process until it has."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        path = d / name
        if path.exists() and (d / "cpuset.sched_load_balance").exists():
            for up in (d.parent, d):
                if not (up / name).read_text().strip():
                    (up / name).write_text((up.parent / name).read_text())
