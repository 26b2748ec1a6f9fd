# SPDX-License-Identifier: BSD-2-Clause
"""The list of cases: a test_*.py file adds one with @case."""

import sys
from pathlib import Path

CASES = []


class Case:
    def __init__(self, run, limit_s, needs, alone):
        self.run = run
        self.limit_s = limit_s
        self.needs = set(needs)
        self.alone = alone
        file = Path(sys.modules[run.__module__].__file__).stem
        self.name = f"{file.removeprefix('test_')}.{run.__name__}"
        self.title = run.__doc__.strip().splitlines()[0]


def case(limit_s=60, needs=("root", "docker", "bpf"), alone=False):
    """Make a function a case. needs: what the machine must have, else it is skipped:
    "root", "docker" (an engine that we start), "bpf", a tool's name ("setpriv"); "long": only
    `make test-long` runs it. alone: it measures, or loads the machine: no case beside it."""

    def add(run):
        CASES.append(Case(run, limit_s, needs, alone))
        return run

    return add
