# SPDX-License-Identifier: BSD-2-Clause
"""The wall clock is set under a running observer: what comes later has the new time."""

import datetime
import struct
import time
from pathlib import Path

from cases import case
from harness import Env, Observer, wait_for
from writer import Writer


class Shift:
    """By how much an observer's wall clock is another than everybody's."""

    def __init__(self):
        self.path = Env.tmp / "shift"
        self.set(0)
        library = Path(Env.node).parent.parent / "triggers" / "clock_shift.so"
        self.prefix = ["env", f"LD_PRELOAD={library}", f"CLOCK_SHIFT={self.path}"]

    def set(self, seconds):
        with open(self.path, "r+b" if self.path.exists() else "wb") as f:
            f.write(struct.pack("=q", int(seconds * 1e9)))


@case(needs=("root", "bpf"))
def steps():
    """set an hour forth, and back: said and counted once each, and lines that are captured have the
    time of the clock at their write"""
    shift = Shift()
    observer = Observer(None, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}},
                        prefix=shift.prefix).start()
    w = Writer(Env.tmp)
    Env.cleanup.callback(w.end)
    wait_for("the node", lambda: observer.metrics().get("gswarm_nodes") == 1, 10)
    w.do("os.mkdir(home + '/logs')\nf = open(home + '/logs/a.log', 'ab', buffering=0)")

    def write(text):
        """Returns how far the event's time is from ours, s."""
        before = time.time()
        w.do(f"f.write(b'{text}\\n')")
        after = time.time()

        def told():
            return [e for e in of_file_events() if e["details"]["message"] == text]

        def of_file_events():
            return [e for e in observer.stored() if e.get("origin", {}).get("via") == "file"]

        e = wait_for(f"the event of {text!r}", told, 10, 0.2)[0]
        at = datetime.datetime.fromisoformat(e["timestamp"].replace("Z", "+00:00")).timestamp()
        return at - before if at < before else max(0.0, at - after)

    assert abs(write("as it was")) < 0.5
    for n, (seconds, words) in enumerate(((3600, "+3600.0"), (0, "-3600.0")), 1):
        shift.set(seconds)
        # an observer without work looks at it once a second, one with work before each drain
        apart = write(f"set {n} times")
        assert abs(apart - seconds) < 0.5, apart
        wait_for("its count", lambda n=n: observer.metrics()["gswarm_clock_steps_total"] == n, 5)
        assert sum(f"the clock was set by {words}" in x for x in observer.log().splitlines()) == 1, \
            observer.log()
    # moved by less than is said
    shift.set(0.05)
    time.sleep(1.2)
    assert abs(write("moved a little") - 0.05) < 0.5
    assert observer.metrics()["gswarm_clock_steps_total"] == 2
    assert observer.health()["status"] == "ok", observer.health()["reasons"]
