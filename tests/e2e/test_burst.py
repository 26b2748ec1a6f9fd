# SPDX-License-Identifier: BSD-2-Clause
"""Full speed: whatever the ring drops is read from the file, nothing twice, all of it counted."""

import collections
import json
import os
import re
import subprocess
import time

from cases import case
from harness import (LAUNCHER_LOG, Api, ContainerNode, Env, Observer, check_file, check_ledger,
                     check_order, wait_for)


LONG = bool(os.environ.get("GSO_LONG"))  # `make test-long`


def burst(n, config, limit_s):
    api = Api()
    observer = Observer(api, config).start()
    node = ContainerNode("", "--burst", n, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(n, limit_s)
    api.wait_file(node, n, limit_s)
    api.settle()
    events = api.events()
    check_file(events, node)
    check_order(events, node)
    # the answer to the last batch reaches the counters a moment later
    wait_for("a ledger that adds up", lambda: check_ledger(observer.metrics()) is None, 5)
    m = observer.metrics()
    captured = m['gswarm_lines_total{place="captured"}']
    backfilled = m['gswarm_lines_total{place="backfilled"}']
    assert captured + backfilled >= n
    told = [e for e in events if e.get("origin", {}).get("via") == "backfill"]
    assert (len(told) > 0) == (backfilled > 0), f"{len(told)} events, {backfilled} counted"
    print(f"captured {captured:.0f}, backfilled {backfilled:.0f}, {len(api.requests)} requests")
    return captured, backfilled


@case(limit_s=120, alone=True)
def lines_200k():
    """200,000 lines at full speed: each exactly once at the API, the ledger adds up"""
    burst(200_000, {}, 60)


@case(limit_s=60)
def small_ring():
    """a ring that is much too small: drops happen, and are repaired from the file"""
    captured, backfilled = burst(50_000, {"limits": {"ring_bytes": 65536}}, 40)
    assert backfilled > 0, "a burst through a 64 KiB ring without a drop: is the option used?"


def numbers_stored(observer, node):
    """How often each number of the burst is in the store, from its file; and what else is there."""
    seen, others = collections.Counter(), []
    mine = re.compile(rb'"path":"[^"]*%s"' % LAUNCHER_LOG.encode())
    number = re.compile(rb"burst (\d{7})/")
    with subprocess.Popen([Env.observer, "events", "--state-dir", str(observer.state), "--all"],
                          stdout=subprocess.PIPE) as events:
        for line in events.stdout:
            if (n := number.search(line)) and mine.search(line):
                seen[int(n[1])] += 1
            else:
                others.append(json.loads(line))
    assert events.returncode == 0
    return seen, others


@case(limit_s=90 if not LONG else 300, alone=True)
def small_ring_big_burst():
    """100 MB at full speed through a ring of 64 KiB (1 GB in test-long): every line is in the store
    once, and the ledger adds up to the line"""
    n = 2_000_000 if LONG else 200_000
    observer = Observer(None, {"limits": {"ring_bytes": 65536}, "store": {"max_bytes": "16GiB"}}
                        ).start()
    node = ContainerNode("", "--burst", n, "--bytes", 500, "--gate")
    node.process("trainer")
    start = time.monotonic()
    node.gate()
    node.wait_written(n, 120)
    size = len(node.read())
    written = time.monotonic() - start

    def m(name):
        return observer.metrics().get(name, 0)

    # the line behind the burst's last one, if there is one, is waited for below
    wait_for("all lines", lambda: m("gswarm_lines_parsed_total") >= n, 120, 0.2)
    seconds = time.monotonic() - start
    time.sleep(1.5)  # what comes twice has come by then
    wait_for("a ledger that adds up",
             lambda: check_ledger(observer.metrics(), delivered=False) is None, 5)
    drops = sum(v for k, v in observer.metrics().items() if "ring_drops_total{" in k and "_file" in k)
    assert drops > 0, "no drop: is the option used?"

    seen, others = numbers_stored(observer, node)
    wrong = [i for i in range(1, n + 1) if seen[i] != 1]
    assert not wrong and len(seen) == n, \
        f"{len(wrong)} of {n} lines not once, such as {[(i, seen[i]) for i in wrong[:5]]}"
    lines = [e for e in others if e.get("origin", {}).get("via") in ("file", "backfill", "console")]
    captured, backfilled = (m(f'gswarm_lines_total{{place="{p}"}}') for p in ("captured", "backfilled"))
    assert captured + backfilled == n + len(lines) + m("gswarm_lines_blank_total"), \
        (captured, backfilled, n, lines)
    assert m('gswarm_events_total{place="stored"}') == n + len(others)
    for reason in ("truncated", "unreadable"):
        assert m(f'gswarm_lost_bytes_total{{reason="{reason}"}}') == 0, reason
    print(f"{size / 1e6:.0f} MB written in {written:.1f} s, read after {seconds:.1f} s, "
          f"{drops:.0f} drops; {captured:.0f} lines captured + {backfilled:.0f} backfilled = "
          f"{n} + {len(lines)} others")


@case(limit_s=60)
def long_writes():
    """lines longer than what is captured of one write"""
    api = Api()
    Observer(api).start()
    node = ContainerNode("", "--burst", 500, "--bytes", 20_000, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(500)
    api.wait_file(node, 500, 30)
    api.settle()
    check_file(api.events(), node)
