# SPDX-License-Identifier: BSD-2-Clause
"""The chain: rounds, rewards and events of a real EVM chain with the swarm's contract (anvil,
tests/chain), what they say of a node's state and earnings, and RPC servers that fail."""

import json

from cases import case
from chain import CHAIN_ID, CONTRACTS, OTHER_PEER, PEER, Chain, FakeRpc
from harness import (IMAGE, Api, ContainerNode, Env, Observer, docker, g3_now, observer_cmd, of_node, unique,
                     wait_for)
from swarm import P2pdPeer
from test_connections import Net, link, peers, wait_event, watch
from test_state import changes, view, wait_state

HELLO = f"file 0 {g3_now(f'🐝 Hello 🐈 [dormant toothy bat] 🦮 [{PEER}]!')}\n"


def join(n):
    return f"file 0 {g3_now(f'🐝 Joining round: {n}')}\n"


def settings(chain, **more):
    return {"blockchain": {"rpc_url": chain.url, "contract_address": chain.address,
                           "poll_interval": "1s", "chain_id": CHAIN_ID, **more}}


def chain_of(observer, node):
    return view(observer, node).get("chain", {})


def events(api, name, node=None):
    found = of_node(api.events(), node) if node else api.events()
    return [e for e in found if e["details"].get("event") == name]


@case(60)
def rewards():
    """a node whose submissions the chain has: events, numbers and the answer are the chain's,
    though its log shows nothing; over a restart nothing comes twice"""
    chain = Chain()
    chain.call("registerPeer(string)", PEER)
    chain.call("registerPeer(string)", OTHER_PEER)
    chain.call("addBootnodes(string[])", ["/ip4/38.101.215.15/tcp/30021/p2p/" + PEER])
    chain.advance(3)
    chain.settle()
    api = Api()
    observer = Observer(api, settings(chain)).start()
    node = ContainerNode("gate\n" + HELLO + join(3))
    node.gate()
    wait_state(observer, node, "training")
    wait_for("its peer at the contract", lambda: chain_of(observer, node).get("registered"), 30)
    chain.reward(3, -17)
    chain.win(3, [PEER, OTHER_PEER])
    chain.reward(3, 5, OTHER_PEER)  # not of this host: not asked for by peer, but by account
    chain.settle()
    wait_for("its reward", lambda: chain_of(observer, node).get("last_reward") == "-17", 30)
    v = wait_for("its win", lambda: (v := view(observer, node))["chain"]["total_wins"] == "1" and v)
    c = v["chain"]
    assert c["total_rewards"] == "-17" and "participation" not in c, c  # not in this contract
    assert c["peer_id"] == PEER and c["round"] == 3 and c["rounds_behind"] == 0, c
    assert c["last_submission_round"] == 3 and "last_submission" in c, c
    assert v["earning"] == "yes" and "for round 3" in v["earning_reason"], v
    assert "rewards -17, wins 1" in v["earning_reason"], v
    wait_for("the events", lambda: events(api, "WinnerSubmitted", node), 10)
    e = events(api, "RewardSubmitted", node)[0]
    d = e["details"]
    assert d["reward"] == -17 and d["roundNumber"] == 3 and d["peerId"] == PEER, d
    assert d["account"] == chain.account.lower() and d["tx_hash"].startswith("0x"), d
    assert e["origin"]["via"] == "chain", e
    assert events(api, "WinnerSubmitted", node)[0]["details"]["winners"] == [PEER, OTHER_PEER]
    assert len(events(api, "RoundAdvanced")) == 3
    snapshot = events(api, "snapshot", node)[-1]["details"]
    assert snapshot["total_wins"] == 1 and snapshot["total_rewards"] == -17, snapshot
    health = observer.health()["chain"]
    assert health["answers"] and health["bootnodes"] == 1 and health["chain_id"] == CHAIN_ID
    assert health["reads_events"] and health["next_block"] > 5, health
    out = observer_cmd("nodes", "-c", observer.config_path, "--long").stdout
    assert "chain: round 3, 0 ahead of it, total_rewards -17, total_wins 1" in out, out
    assert f"chain            http://127.0.0.1:{chain.port} is asked" in observer.log()
    metrics = observer.get("/metrics")
    assert "gswarm_chain_up 1" in metrics and "gswarm_chain_round 3" in metrics
    assert f'gswarm_node_rewards{{node="{node.container}"' in metrics
    observer.stop()
    chain.advance()
    chain.reward(4, 6)
    chain.settle()
    observer.start()
    wait_for("what came meanwhile", lambda: chain_of(observer, node).get("last_reward") == "6", 30)
    assert chain_of(observer, node)["total_rewards"] == "-11"
    wait_for("its event", lambda: len(events(api, "RewardSubmitted", node)) == 2, 10)
    ids = [e["event_id"] for e in api.events() if e["origin"].get("via") == "chain" and
           e["event_type"] == "chain_event"]
    assert len(ids) == len(set(ids)), sorted(ids)


@case(60, ("root", "bpf", "ip", "ss"))
def bootnodes():
    """a real p2pd dials what the contract lists: a bootnode, by the chain; one that is listed later, too"""
    chain, api, nets = Chain(), Api(), (Net(), Net())
    link(*nets)
    first, second, peer = (P2pdPeer(netns=net, host=f"/ip4/10.77.0.{i}/tcp/0")
                           for i, net in ((1, nets[0]), (1, nets[0]), (2, nets[1])))
    chain.call("addBootnodes(string[])", first.addrs)
    chain.settle()
    observer = watch(api=api, targets={"include": {"command": [peer.glob()]}}, **settings(chain))
    wait_for("the contract's list", lambda: observer.health()["chain"].get("bootnodes") == len(first.addrs), 20)
    for other in (first, second):
        assert peer.do("connect", peer=other.id, addrs=other.addrs) == {}
    at = {other: f"10.77.0.1:{other.addrs[0].split('/')[4]}" for other in (first, second)}
    e = wait_event(api, "connected", remote=at[first], role="bootnode")
    assert e["details"]["peer_id"] == first.id, e
    assert wait_event(api, "connected", remote=at[second])["details"]["role"] == "dht_peer"

    def is_bootnode(other):
        p = next(p for n in peers(observer) for p in n["peers"] if p["address"] == at[other])
        return (p["role"], p.get("bootnode_by"), p.get("peer_id")) == ("bootnode", "chain", other.id)

    wait_for("the first", lambda: is_bootnode(first))
    assert not is_bootnode(second)
    chain.call("addBootnodes(string[])", second.addrs)
    chain.settle()
    wait_for("the second", lambda: is_bootnode(second), 30)


@case(60)
def found():
    """the contract is the one of the trainer's environment; peers are those of node_eoa; events of
    contract_abi_path are told besides those that are built in"""
    chain = Chain("Staged")
    for peer in (PEER, OTHER_PEER):
        chain.call("registerPeer(string)", peer)
    chain.call("note(string,uint256)", "hello", 2**64)
    chain.settle()
    abi = Env.tmp / "abi.json"
    abi.write_text(json.dumps(CONTRACTS["Staged"]))
    api = Api()
    observer = Observer(api, settings(chain, contract_address="", node_eoa=chain.account,
                                      contract_abi_path=str(abi), send_interval=0)).start()
    wait_for("no contract", lambda: "no contract is known" in
             observer.health()["chain"]["trouble"], 10)
    node = ContainerNode("gate\n" + HELLO, opts=["-e", f"SWARM_CONTRACT={chain.address}"])
    node.gate()
    wait_for("both peers", lambda: {e["details"].get("peer_id") for e in events(api, "snapshot")} >=
             {PEER, OTHER_PEER}, 30)
    assert {e["details"]["peer_id"] for e in events(api, "snapshot", node)
            if "peer_id" in e["details"]} <= {PEER, OTHER_PEER}
    noted = wait_for("the event", lambda: events(api, "Noted"), 30)[0]["details"]
    assert noted["text"] == "hello" and noted["number"] == str(2**64), noted
    n = len(events(api, "snapshot"))
    wait_for("more, though nothing changes", lambda: len(events(api, "snapshot")) > n + 2, 30)


@case(60)
def found_in_a_later_trainer():
    """the contract of a trainer that starts in a node that is there: it joins as its shell's fork"""
    chain = Chain()
    chain.settle()
    observer = Observer(Api(), settings(chain, contract_address="")).start()
    name = unique()
    container = docker("run", "-d", "--name", name, "--network", "none", "-e",
                       f"SWARM_CONTRACT={chain.address}", "--entrypoint", "/bin/busybox", IMAGE, "sleep", "600")
    Env.cleanup.callback(lambda: docker("rm", "-f", container, check=False))
    wait_for("the node", lambda: name in observer.log(), 10)
    assert "no contract is known" in observer.health()["chain"]["trouble"]
    docker("exec", "-d", container, "/node", "--script", HELLO, "--hold")
    wait_for("an answer", lambda: observer.health()["chain"]["answers"], 30)


@case(60)
def behind():
    """the chain goes on and the node does not: degraded, both rounds as evidence; it catches up"""
    chain = Chain()
    chain.advance(2)
    api = Api()
    observer = Observer(api, settings(chain)).start()
    node = ContainerNode("gate\n" + HELLO + join(2) + "gate\n" + join(7))
    node.gate()
    wait_state(observer, node, "training")
    chain.advance(3)
    wait_for("round 5", lambda: chain_of(observer, node).get("round") == 5, 30)
    assert view(observer, node)["state"] == "training"
    chain.advance(2)
    v = wait_state(observer, node, "degraded/behind", 30)
    assert "round 7" in v["reason"] and "joined is 2: 5 behind" in v["reason"], v
    assert v["chain"]["rounds_behind"] == 5 and v["chain"]["registered"] is False, v
    node.gate()
    wait_state(observer, node, "training", 30)
    last = wait_for("the changes", lambda: (c := changes(api, node)[-1])["when"] ==
                    "round is the chain's" and c, 10)
    assert last["to"] == "training", last


@case(60)
def away():
    """the RPC server goes: not 'no', but 'cannot tell', and why; it comes back"""
    chain = Chain()
    chain.call("registerPeer(string)", PEER)
    chain.advance(2)
    api = Api()
    observer = Observer(api, settings(chain)).start()
    node = ContainerNode("gate\n" + HELLO + join(2))
    node.gate()
    wait_state(observer, node, "training")
    wait_for("the chain", lambda: chain_of(observer, node).get("round") == 2, 30)
    state = Chain.rpc(chain, "anvil_dumpState")
    chain.kill()
    v = wait_for("cannot tell", lambda: "the chain RPC does not answer" in
                 (v := view(observer, node))["earning_reason"] and v, 30)
    assert v["earning"] == "cannot_tell" and v["state"] == "training", v
    assert v["earning_reason"].startswith("cannot tell, because the chain RPC"), v
    assert observer.health()["status"] == "degraded"
    assert any("chain RPC" in r for r in observer.health()["reasons"])
    wait_for("the event", lambda: events(api, "rpc_away"), 10)
    again = Chain(contract=None, port=chain.port)
    again.rpc("anvil_loadState", state)
    wait_for("it answers", lambda: observer.health()["chain"]["answers"], 60)
    wait_for("the event", lambda: events(api, "rpc_back"), 10)
    wait_for("the sentence", lambda: "does not answer" not in
             view(observer, node)["earning_reason"], 10)


def rpc_error(code, message):
    return json.dumps({"jsonrpc": "2.0", "id": None,
                       "error": {"code": code, "message": message}}).encode()


BROKEN = {
    "HTTP 500": lambda q: (500, {}, b"oops"),
    "refuses further questions (HTTP 429": lambda q: (429, {"Retry-After": "1"}, b"slow down"),
    "refuses further questions (HTTP 200": lambda q: (200, {}, rpc_error(-32005, "rate limited")),
    "no JSON-RPC": lambda q: (200, {"Content-Type": "application/json"}, b"<html>hello</html>"),
    "too long": lambda q: (200, {}, b"[" * 3_000_000),
    "is one of chain 1, not of 685685": lambda q: (200, {}, json.dumps(
        [{"id": x["id"], "result": "0x1"} for x in q]).encode()),
    "does not tell the contract's round": lambda q: (200, {}, json.dumps(
        [{"id": str(x["id"]), "result": hex(CHAIN_ID)} for x in reversed(q)]).encode()),
    "no contract at": lambda q: (200, {}, json.dumps(
        [{"id": x["id"], "result": "0x" if x["method"] == "eth_call" else hex(CHAIN_ID)}
         for x in q]).encode()),
}


@case(60, ())
def broken():
    """RPC servers that fail in many ways (fakes): each is said as what it is, the path of the
    URL, which may be a key, nowhere"""
    address = "0x" + "51" * 20
    fakes = {}
    for words, answer in BROKEN.items():
        rpc = FakeRpc(answer)
        rpc.address = address
        fakes[words] = Observer(None, settings(rpc)).start()
    for words, observer in fakes.items():
        trouble = wait_for(words, lambda o=observer, w=words: w in
                           (t := o.health()["chain"].get("trouble", "")) and t, 30)
        assert "secret" not in trouble + observer.get("/metrics") + observer.log(), observer.log()
        assert "secret" not in json.dumps(observer.health())
        assert "chain_errors_total" in observer.get("/metrics")


@case(60, ())
def hangs():
    """an RPC server that takes the question and never answers delays nothing, and not the end"""
    rpc = FakeRpc(lambda q: None)
    rpc.address = "0x" + "51" * 20
    observer = Observer(None, settings(rpc)).start()
    wait_for("its question", lambda: rpc.requests, 30)
    assert observer.health()["chain"]["polls_ok"] == 0
    observer.stop()


@case(60, ())
def picky():
    """servers that take no batches, and few blocks at once (the real chain behind a fake): all is
    read nevertheless"""
    chain = Chain("Staged")
    chain.call("registerPeer(string)", PEER)
    chain.call("updateStageAndRound()")
    chain.call("updateStageAndRound()")
    chain.call("updateStageAndRound()")
    chain.reward(1, 3)
    chain.win(1, [OTHER_PEER])
    chain.settle()

    def answer(q):
        if isinstance(q, list):
            return 400, {}, rpc_error(-32600, "batches are not allowed")
        if q["method"] == "eth_getLogs":
            f = q["params"][0]
            if int(f["toBlock"], 16) - int(f["fromBlock"], 16) >= 2:
                return 400, {}, json.dumps({"id": q["id"], "error": {
                    "code": -32600, "message": "up to a 2 block range"}}).encode()
        try:
            result = {"result": chain.rpc(q["method"], *q["params"])}
        except AssertionError as e:
            result = {"error": e.args[0]["error"]}
        return 200, {}, json.dumps({"id": q["id"], **result}).encode()

    rpc = FakeRpc(answer)
    rpc.address = chain.address
    api = Api()
    observer = Observer(api, settings(rpc, node_peer_id=PEER)).start()
    wait_for("the reward", lambda: events(api, "RewardSubmitted"), 30)
    d = events(api, "RewardSubmitted")[0]["details"]
    assert d["stageNumber"] == 0 and d["reward"] == 3, d
    assert len(events(api, "StageAdvanced")) == 2 and len(events(api, "RoundAdvanced")) == 1
    snapshot = events(api, "snapshot")[-1]["details"]
    assert snapshot["stage"] == 0 and snapshot["round"] == 1, snapshot
    assert snapshot["total_rewards"] == 3 and snapshot["participation"] == 1, snapshot
