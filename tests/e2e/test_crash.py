# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 at any instant: nothing lost, nothing twice in the store."""

import os
import random
import time

from cases import case
from harness import Api, ContainerNode, Observer, check_file, of_file

# `make test-long` kills a thousand times; lines so that both have about the same to compare
KILLS, RATE = (1000, 200) if os.environ.get("GSO_LONG") else (100, 2000)


def check_repeats(events, node):
    """What came to the API more than once has the same id each time: repeated deliveries,
    not new observations. Returns the events without the repeats."""
    ids = {}
    once = []
    for e in of_file(events, node):
        offset = e["origin"]["offset"]
        if offset not in ids:
            ids[offset] = e["event_id"]
            once.append(e)
        assert ids[offset] == e["event_id"], \
            f"offset {offset} came as {ids[offset]} and as {e['event_id']}"
    return once


@case(limit_s=300 if KILLS == 100 else 1500, alone=True)
def kill_9():
    """kill -9 at a hundred random points (a thousand in test-long) while lines come, restart each time"""
    n, rate = KILLS * RATE // 6, RATE  # a kill takes about a sixth of a second
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode("", "--burst", n, "--rate", rate, "--gate")
    node.process("trainer")
    node.gate()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.0, 0.15))
        observer.kill()
        # at times it is away for a while, at times it is killed while it starts
        time.sleep(rng.choice((0, 0, 0, 0.05)))
        observer.start(ready=rng.random() < 0.4)
    observer.wait_ready()
    node.wait_written(n)
    api.wait_file(node, n, 60)
    api.settle()

    check_file(observer.stored(), node)
    broken = list(observer.state.glob("*.broken-*"))
    assert not broken, f"a kill made the store look damaged: {broken}"
    once = check_repeats(api.events(), node)
    check_file(once, node)
    # an answer that the observer did not live to read: sent again, with the same ids
    repeats = len(of_file(api.events(), node)) - len(once)
    print(f"{repeats} of {n} came again")


@case(limit_s=60)
def down_while_written():
    """what a node wrote while no observer ran is not lost"""
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode("", "--burst", 1000, "--gate")
    node.process("trainer")
    node.gate()
    api.wait_file(node, 1000)
    observer.kill()
    other = ContainerNode("", "--burst", 2000)
    other.wait_written(2000)
    observer.start()
    api.wait_file(other, 2000)
    api.settle()
    once = check_repeats(api.events(), node)
    check_file(once, node)
    check_file(api.events(), other)
    check_file(observer.stored(), other)
