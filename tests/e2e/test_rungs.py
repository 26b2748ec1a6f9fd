# SPDX-License-Identifier: BSD-2-Clause
"""Connections without BPF, by sock_diag and by files in /proc: the cases of test_connections.py, as far as such
a look can see; of the rest, that it is said to be unseen."""

import re

import test_connections as on
from cases import case
from harness import Api, observer_cmd, wait_for
from test_connections import NEEDS, Connector, Net, connections, events_of, link, peers, watch


def probe_of(observer):
    return next(p for p in observer.health()["probes"] if p["need"] == "connections")


def unseen(rung):
    """What a look cannot see is said, in /health and by doctor's words, and nothing is made up of it."""
    a, b = Net(), Net()
    link(a, b)
    node, api = Connector(a), Api()
    observer = watch(node, rung=rung, api=api, connections={"interval": "1s"})
    node.do("listen", **{"as": "s"}, bind=["10.77.0.1", 4002])
    assert node.do("connect", **{"as": "x"}, to=["10.77.0.2", 4001])["error"] == "ECONNREFUSED"
    assert node.do("storm", **{"from": "s"}, times=300, reset=1) == {"times": 300}
    node.do("connect", **{"as": "c"}, to=["10.77.0.1", 4002])
    node.do("accept", **{"from": "s", "as": "d"})
    wait_for("what stands", lambda: len(connections(observer)) == 2)
    totals = peers(observer)[0]["totals"]
    assert totals["failed"] == 0 and not events_of(api, "connect_failed"), totals
    assert totals["out"] + totals["in"] + totals["unknown_direction"] < 600, totals
    probe = probe_of(observer)
    assert probe["ok"] and not probe["first_choice"], probe
    for words in ("connections that live for less than the interval", "why a connect failed", "MPTCP"):
        assert words in probe["unseen"], probe
    counters = "counters" in probe["unseen"].replace("final counters", "")
    assert counters == (rung == "proc"), probe
    out = observer_cmd("doctor", "-c", observer.config_path).stdout
    assert re.search(r"connections +ok +\S.*/proc/PID/fd\n +unseen: connections that live", out), out


# A case per rung and situation: NAME_diag, NAME_proc.
def add(body, rung, **kw):
    def run():
        body(rung)

    run.__name__ = f"{body.__name__}_{rung}"
    run.__doc__ = f"{body.__name__.replace('_', ' ')}, by {rung}"
    globals()[run.__name__] = case(**kw)(run)


for _rung in ("diag", "proc"):
    for _body in (unseen, on.later_namespace, on.known_addresses):
        add(_body, _rung, needs=NEEDS)
add(on.published_ports, "diag", needs=on.DOCKER_NEEDS, limit_s=120)
add(on.dnat, "diag", needs=(*on.DOCKER_NEEDS, "iptables"), limit_s=120)
for _body in (on.life, on.there_before, on.handed_on):
    add(_body, "proc", needs=NEEDS)
