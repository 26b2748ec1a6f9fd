# SPDX-License-Identifier: BSD-2-Clause
"""Timestamps are wall time, whatever the kernel's clock says."""

import datetime
import subprocess
import time

from cases import case
from harness import Api, Env, Observer, ProcessNode, Skip, of_file, wait_for


@case(needs=("root", "bpf", "unshare"))
def time_namespace():
    """in a time namespace whose boot time is shifted by days: events still have the wall time"""
    shifted = ["unshare", "--time", "--boottime", "400000", "--"]
    if subprocess.run([*shifted, "true"], capture_output=True).returncode != 0:
        raise Skip("no time namespaces here")
    api = Api()
    observer = Observer(api, {"targets": {"include": {"command": [f"*{Env.tmp}/gso-test-node-*"]}}},
                        prefix=shifted).start()
    node = ProcessNode("gate\n" + "".join(f"file 5 line {i}\n" for i in range(50)))
    node.process("trainer")
    node.gate()
    wait_for("the lines", lambda: len(of_file(api.events(), node)) == 50, 10)
    for e in of_file(api.events(), node):
        at = datetime.datetime.fromisoformat(e["timestamp"].replace("Z", "+00:00")).timestamp()
        assert abs(time.time() - at) < 10, f"{e['timestamp']}, and it is {time.time()}"
    assert all(e["origin"]["via"] == "file" for e in of_file(api.events(), node)[1:])
    assert observer.metrics()["gswarm_clock_steps_total"] == 0
    assert observer.stop()[0] == 0
