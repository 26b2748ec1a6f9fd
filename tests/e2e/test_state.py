# SPDX-License-Identifier: BSD-2-Clause
"""What state a node is in and whether it earns: events, /api/v1/nodes, /health, /metrics, and
`nodes`; on real processes that really hang, stop and end."""

import json
import os
import signal

from cases import case
from harness import (Api, ContainerNode, Observer, docker, g3_now, observer_cmd, of_node, wait_for)

JOIN = f"file 0 {g3_now('🐝 Joining round: 30512')}\n"


def submitted(what):
    return g3_now(f'http://localhost:3000 "POST /api/submit-{what} HTTP/1.1" 200 None', "DEBUG",
                  "urllib3.connectionpool")


QUICK = {"state": {"hung_after": "2s", "hung_factor": 1}}


def view(observer, node):
    nodes = json.loads(observer.get("/api/v1/nodes"))["nodes"]
    found = [n for n in nodes if n.get("container_id") == node.id[:12]]
    assert len(found) == 1, nodes
    return found[0]


def shown(observer, node):
    v = view(observer, node)
    return v["state"] + ("/" + v["sub_state"] if "sub_state" in v else "")


def wait_state(observer, node, want, limit_s=15):
    wait_for(f"state {want}", lambda: shown(observer, node) == want, limit_s)
    return view(observer, node)


def changes(api, node):
    return [e["details"] for e in of_node(api.events(), node) if e["event_type"] == "node_state"]


def training(script="", *args, config=None, **kw):
    """A node that the observer has seen at work on a round."""
    api = Api()
    observer = Observer(api, {**QUICK, **(config or {})}).start()
    node = ContainerNode("gate\n" + JOIN + "gate\n" + script, *args, **kw)
    node.gate()
    wait_state(observer, node, "training")
    return api, observer, node


@case()
def life():
    """a node that starts, trains, submits and waits: each change is an event, and every place
    that shows the state shows the same"""
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode(
        "gate\nsh 0 >> Waiting for modal userData.json to be created...\n"
        f"gate\nfile 0 {g3_now('Using Model: Gensyn/Qwen2.5-0.5B-Instruct')}\ngate\n" + JOIN +
        f"gate\nfile 0 {submitted('reward')}\n"
        f"gate\nfile 0 {g3_now('Already finished round: 30512. Next check in 5.0s.')}\n")
    for state in ("starting/login", "starting/model", "training", "submitting", "waiting"):
        node.gate()
        last = wait_state(observer, node, state)
    assert last["round"] == 30512 and last["submissions"]["taken"] == 1, last
    assert last["earning"] == "yes" and "submission was taken" in last["earning_reason"], last
    wait_for("the last change", lambda: changes(api, node)[-1]["to"] == "waiting", 10)
    told = changes(api, node)
    for before, after in zip(told, told[1:]):
        assert before["to"] == after["from"], told
    assert [c["to"] for c in told][-3:] == ["training", "submitting", "waiting"], told
    assert "Already finished round" in told[-1]["evidence"][0], told[-1]
    state = [s for s in observer.health()["states"] if s["container_id"] == node.id[:12]][0]
    assert state["state"] == "waiting" and state["earning"] == "yes", state
    labels = f'{{node="{node.container}",container_id="{node.id[:12]}"'
    metrics = observer.get("/metrics")
    assert f'gswarm_node_state{labels},state="waiting",sub_state=""}} 1' in metrics
    assert f"gswarm_node_earning{labels}}} 1" in metrics
    out = observer_cmd("nodes", "-c", observer.config_path, "--long")
    assert out.returncode == 0, out.stderr
    assert node.container in out.stdout and "waiting" in out.stdout and "yes: " in out.stdout
    assert "Already finished round" in out.stdout


@case()
def trainer_gone():
    """the trainer ends and its shell lives on: the state says so, and why"""
    api, observer, node = training("exit 0\n", "--stay")
    node.gate()
    v = wait_state(observer, node, "trainer_gone")
    assert v["earning"] == "no" and "exit code 0" in v["reason"], v
    docker("kill", node.container)
    v = wait_state(observer, node, "stopped")
    assert not v["present"] and v["earning"] == "no" and "exit code 0" in v["reason"], v


@case()
def stopped_by_signal():
    """SIGSTOP: hung, because it is stopped; SIGCONT: back to what it did"""
    _, observer, node = training()
    pid = node.process("trainer")
    os.kill(pid, signal.SIGSTOP)
    v = wait_state(observer, node, "hung/signal")
    assert v["earning"] == "no" and f"SIGSTOP from process {os.getpid()} (" in v["reason"], v
    os.kill(pid, signal.SIGCONT)
    wait_state(observer, node, "training")


@case()
def deadlocked_pipe():
    """a pipe that nobody reads: hung, and the reason names the pipe"""
    _, observer, node = training("hang_pipe\n")
    node.gate()
    v = wait_state(observer, node, "hung/pipe")
    assert "write(" in v["reason"] and "pipe:[" in v["reason"], v


@case()
def silent_login_server():
    """port 3000 takes the connection and does not answer: hung, waiting for the login server"""
    _, observer, node = training("hang_port 3000\n")
    node.gate()
    v = wait_state(observer, node, "hung/login_server")
    assert "127.0.0.1:3000" in v["reason"], v


@case()
def silent_rpc():
    """any other connection without an answer, such as the chain's: hung, and where to"""
    _, observer, node = training("hang_port 8545\n")
    node.gate()
    v = wait_state(observer, node, "hung/remote")
    assert "127.0.0.1:8545" in v["reason"], v


@case()
def busy_is_not_hung():
    """a trainer that is silent but computes is not hung; one that sleeps is"""
    _, observer, node = training("spin 4000\n")
    node.gate()
    end = wait_for("it spins", lambda: cpu_ticks(node) > 250 and cpu_ticks(node), 30)
    assert shown(observer, node) == "training", (end, view(observer, node))
    wait_state(observer, node, "hung/silent")


def cpu_ticks(node):
    with open(f"/proc/{node.process('trainer')}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@case()
def p2pd_killed():
    """p2pd is killed: nothing is logged, and the node is degraded"""
    _, observer, node = training(config={"state": {"hung_after": "1h"}})
    pid = node.process("p2pd")
    os.kill(pid, signal.SIGKILL)
    v = wait_state(observer, node, "degraded/p2pd")
    assert f"process {pid}" in v["reason"] and "SIGKILL" in v["reason"], v


@case()
def dht_killed():
    """the DHT process is killed: the trainer will hang, and the state says so at once"""
    _, observer, node = training(config={"state": {"hung_after": "1h"}})
    with open(f"/proc/{node.process('p2pd')}/stat") as f:
        dht = int(f.read().rsplit(")", 1)[1].split()[1])
    os.kill(dht, signal.SIGKILL)
    v = wait_state(observer, node, "hung/dht_dead")
    assert f"process {dht}" in v["reason"], v


@case()
def paused():
    """docker pause: stopped, and back again"""
    _, observer, node = training()
    docker("pause", node.container)
    wait_state(observer, node, "stopped/paused")
    docker("unpause", node.container)
    wait_state(observer, node, "training")


@case()
def found_late():
    """found while it runs, with a log that says nothing of its state: unknown, and why"""
    node = ContainerNode(f"file 0 {g3_now('PyTorch version 2.7.1 available.')}\n")
    node.wait_written(1)
    observer = Observer(Api()).start()
    v = wait_state(observer, node, "unknown")
    assert v["earning"] == "cannot_tell", v
    wait_for("the reason", lambda: "trainer runs" in view(observer, node)["reason"], 5)


@case(needs=())
def no_daemon():
    """nobody listens: `nodes` says so and fails"""
    out = observer_cmd("nodes", "--url", "http://127.0.0.1:9")
    assert out.returncode == 1 and "is the daemon running" in out.stderr, out


@case()
def over_a_restart():
    """the observer is restarted: state, round and submissions are still known"""
    observer = Observer(Api()).start()
    node = ContainerNode(
        "gate\n" + JOIN + f"file 0 {submitted('winner')}\n")
    node.gate()
    wait_for("a submission", lambda: view(observer, node)["submissions"]["taken"] == 1, 15)
    before = view(observer, node)
    observer.stop()
    observer.start()
    wait_for("the node", lambda: view(observer, node), 10)
    after = view(observer, node)
    assert before["evidence"], before
    for key in ("state", "round", "earning", "submissions", "since", "evidence"):
        assert after[key] == before[key], (key, before, after)
    assert after["earning"] == "yes", after


@case()
def over_a_kill():
    """kill -9 of the observer in the middle of a hang, and again in the middle of a round: state,
    since, round, submissions and earning are known at the next start, and go on"""
    api = Api()
    observer = Observer(api).start()
    node = ContainerNode(
        "gate\n" + JOIN + f"file 0 {submitted('winner')}\n"
        "gate\n" + JOIN.replace("30512", "30513"))
    node.gate()
    wait_for("a submission", lambda: view(observer, node)["submissions"]["taken"] == 1, 15)
    pid, worked = node.process("trainer"), shown(observer, node)
    os.kill(pid, signal.SIGSTOP)
    before = wait_state(observer, node, "hung/signal")
    wait_for("the event", lambda: changes(api, node)[-1]["to"] == "hung", 10)
    observer.kill()
    observer.start()
    wait_for("the node", lambda: view(observer, node), 10)
    after = view(observer, node)
    for key in ("state", "sub_state", "since", "reason", "round", "rounds_joined", "submissions",
                "watched_since", "evidence"):
        assert after[key] == before[key], (key, before, after)
    os.kill(pid, signal.SIGCONT)
    wait_for("it goes on", lambda: shown(observer, node) == worked, 15)
    node.gate()
    wait_for("the round", lambda: any(e["details"].get("round") == 30513
                                      for e in of_node(api.events(), node)), 15)
    observer.kill()
    observer.start()
    wait_for("the node", lambda: view(observer, node), 10)
    again = view(observer, node)
    assert again["round"] == 30513 and again["rounds_joined"] == 2, again
    assert again["state"] == "training" and again["earning"] == "yes", again
