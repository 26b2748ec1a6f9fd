# SPDX-License-Identifier: BSD-2-Clause
"""A change of state is seen soon after its cause, whatever the cause. `make bench` has the exact
times (rows state_*); here a busy machine gets a second more."""


from cases import case
from harness import Api, ContainerNode, Observer, docker, wait_for
from reactions import one_life, out_of_memory, silence, watch
import json
import time

SOON_S = 1.0
GRACE_S = 1.0


def check(reactions):
    for r in reactions:
        print(f"{r['cause']:20} {r['state']:16} {1000 * r['api_s']:6.0f} ms "
              f"{1000 * r['event_s']:6.0f} ms")
    late = [r for r in reactions if max(r["api_s"], r["event_s"]) > SOON_S + GRACE_S]
    assert not late, late


@case(needs=("root", "bpf"), alone=True)
def causes():
    """log lines, signals, deaths: the state and its event follow within a second"""
    check(one_life(*watch()))


@case(needs=("root", "bpf"), alone=True)
def memory():
    """the same when memory runs out"""
    check(out_of_memory(*watch()))


@case(needs=("root", "bpf"), alone=True)
def too_silent():
    """the same when it has been silent for too long"""
    check(silence(*watch({"state": {"hung_after": "2s", "hung_factor": 1}})))


@case(alone=True)
def paused():
    """docker pause and unpause: the same"""
    api, observer = Api(), Observer(Api()).start()
    node = ContainerNode("")

    def state():
        nodes = json.loads(observer.get("/api/v1/nodes"))["nodes"]
        n = next(n for n in nodes if n.get("container_id") == node.id[:12])
        return n["state"] + "/" + n.get("sub_state", "")
    wait_for("the node", state, 10)
    before = state()
    for command, want in (("pause", "stopped/paused"), ("unpause", before)):
        docker(command, node.container)
        at = time.monotonic()
        wait_for(want, lambda want=want: state() == want, 10)
        assert time.monotonic() - at < SOON_S + GRACE_S, f"{command}: {time.monotonic() - at:.2f} s"
