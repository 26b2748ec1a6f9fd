# SPDX-License-Identifier: BSD-2-Clause
"""An API that is away, broken or asks for patience gets everything in the end, in order."""

import time

from cases import case
from harness import Api, ContainerNode, Observer, check_file, check_order, g3


@case(limit_s=120)
def away_then_broken():
    """away for 20 s, 500 for 5 s, 429 with Retry-After: 2, then 200: all arrives, in order"""
    api = Api()
    observer = Observer(api).start()
    line = g3("line %{n}")
    script = f"gate\nloop 800\nfile 40 {line}\nend\n"
    nodes = [ContainerNode(script), ContainerNode(script)]
    for node in nodes:
        node.process("trainer")
        node.gate()
    for node in nodes:
        api.wait_file(node, 20)

    api.close()
    time.sleep(20)
    assert observer.process.poll() is None, observer.log()
    api.answer(500, seconds=5)
    api.answer(429, times=1, Retry_After="2")
    before = len(api.requests)
    api.open()

    for node in nodes:
        node.wait_written(800)
    for node in nodes:
        api.wait_file(node, 800, 60)
    api.settle()
    events = api.events()
    for node in nodes:
        check_file(events, node)
        check_order(events, node)

    later = api.requests[before:]
    statuses = [r.status for r in later]
    assert 500 in statuses and 429 in statuses and statuses[-1] == 200, statuses[:20]
    i = statuses.index(429)
    pause = later[i + 1].at - later[i].at
    assert pause >= 1.95, f"asked to wait 2 s, came back after {pause:.2f} s"
    assert statuses.count(500) < 50, f"{statuses.count(500)} tries in 5 s: no backoff"


@case(limit_s=60)
def request_shape():
    """a batch is a JSON array with the token, an Idempotency-Key, and never over batch_size"""
    api = Api()
    api.answer(500, times=1)
    Observer(api, {"batch_size": 100}).start()
    node = ContainerNode("", "--burst", 2000)
    api.wait_file(node, 2000)
    api.settle()
    check_file(api.events(), node)
    for r in api.requests:
        assert r.headers.get("authorization") == "Bearer e2e-secret", r.headers
        assert r.headers.get("content-type", "").startswith("application/json"), r.headers
        assert r.headers.get("idempotency-key"), r.headers
        assert isinstance(r.events(), list) and 1 <= len(r.events()) <= 100, len(r.events())
    first, again = api.requests[0], api.requests[1]
    assert first.status == 500
    same = first.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert same == (first.body == again.body), "one key, two bodies, or one body, two keys"
    keys = [r.headers["idempotency-key"] for r in api.requests if r.status == 200]
    assert len(keys) == len(set(keys)), "two batches with one Idempotency-Key"


@case(limit_s=60)
def secret_is_not_told():
    """the token stands nowhere in log, /health or /metrics, also when the API refuses it"""
    api = Api()
    api.answer(401, times=2)
    observer = Observer(api, args=["-v"]).start()
    node = ContainerNode("", "--burst", 100)
    api.wait_file(node, 100)
    for text in (observer.log(), observer.get("/health"), observer.get("/metrics")):
        assert "e2e-secret" not in text
    check_file(api.events(), node)
