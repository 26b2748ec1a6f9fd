# SPDX-License-Identifier: BSD-2-Clause
"""Full speed: whatever the ring drops is read from the file, nothing twice, all of it counted."""

import os
import time

from cases import case
from harness import Api, ContainerNode, Observer, check_file, check_ledger, check_order, wait_for


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


@case(limit_s=90 if not LONG else 300, alone=True)
def small_ring_big_burst():
    """300 MB at full speed through a ring of 64 KiB (1 GB in test-long): the ledger adds up"""
    n = 2_000_000 if LONG else 600_000
    observer = Observer(None, {"limits": {"ring_bytes": 65536}, "forward": "events"}).start()
    node = ContainerNode("", "--burst", n, "--bytes", 500, "--gate")
    node.process("trainer")
    start = time.monotonic()
    node.gate()
    node.wait_written(n, 120)
    size = len(node.read())
    written = time.monotonic() - start

    def m(name):
        return observer.metrics().get(name, 0)

    wait_for("all lines", lambda: m("gswarm_lines_parsed_total") >= n, 120, 0.2)
    seconds = time.monotonic() - start
    time.sleep(1.5)  # what comes twice has come by then
    wait_for("a ledger that adds up",
             lambda: check_ledger(observer.metrics(), delivered=False) is None, 5)
    drops = sum(v for k, v in observer.metrics().items() if "ring_drops_total{" in k and "_file" in k)
    assert drops > 0, "no drop: is the option used?"
    lines, blank = len(node.lines()), m("gswarm_lines_blank_total")
    console = m("gswarm_lines_parsed_total") - blank - lines
    assert 0 <= console < 100, f"{lines} lines in the file, {console} more were parsed"
    for reason in ("truncated", "unreadable"):
        assert m(f'gswarm_lost_bytes_total{{reason="{reason}"}}') == 0, reason
    print(f"{size / 1e6:.0f} MB written in {written:.1f} s, read after {seconds:.1f} s, "
          f"{drops:.0f} drops")


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
