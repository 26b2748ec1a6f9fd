# SPDX-License-Identifier: BSD-2-Clause
"""Full speed: whatever the ring drops is read from the file, nothing twice, all of it counted."""

from cases import case
from harness import Api, ContainerNode, Observer, check_file, check_ledger, check_order, wait_for


def burst(n, config, limit_s):
    api = Api()
    observer = Observer(api, config).start()
    node = ContainerNode("", "--burst", n, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(n, limit_s)
    api.wait(n, limit_s)
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


@case(limit_s=120)
def lines_200k():
    """200,000 lines at full speed: each exactly once at the API, the ledger adds up"""
    burst(200_000, {}, 60)


@case(limit_s=60)
def small_ring():
    """a ring that is much too small: drops happen, and are repaired from the file"""
    captured, backfilled = burst(50_000, {"limits": {"ring_bytes": 65536}}, 40)
    assert backfilled > 0, "a burst through a 64 KiB ring without a drop: is the option used?"


@case(limit_s=60)
def long_writes():
    """lines longer than what is captured of one write"""
    api = Api()
    Observer(api).start()
    node = ContainerNode("", "--burst", 500, "--bytes", 20_000, "--gate")
    node.process("trainer")
    node.gate()
    node.wait_written(500)
    api.wait(500, 30)
    api.settle()
    check_file(api.events(), node)
